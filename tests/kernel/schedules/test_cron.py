"""Cron: the grammar and its errors, the days by hand, and all of it against cronsim."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import example, given, settings, strategies as st

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.cron import _civil, _day_number, parse_cron
from tenure.kernel.schedules.cron_text import MACROS
from tenure.kernel.schedules.rule import LAST_S
from tests.kernel.schedules import reference
from tests.kernel.schedules.agree import TEXTS, lists, plain_entries

DAY_S = 86_400
EPOCH = reference.EPOCH


def local(text: str) -> int:
    """Return the local second of a text."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def fires(text: str, start: str, *, count: int) -> list[str]:
    """Return the first local times from a start on, seconds left out where they are 0."""
    rule = parse_cron(text)
    found = []
    local_s: int | None = local(start)
    for _ in range(count):
        local_s = rule.at_or_after(local_s) if local_s is not None else None
        if local_s is not None:
            shown = (EPOCH + timedelta(seconds=local_s)).isoformat(sep=" ")
            found.append(shown.removesuffix(":00").removesuffix(" 00:00"))
            local_s += 1
    return found


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("5 4 * * *", "2026-01-01T04:05", "2026-01-01 04:05|2026-01-02 04:05"),
        ("5 4 * * *", "2026-01-01T04:05:01", "2026-01-02 04:05|2026-01-03 04:05"),
        ("7 5 4 * * *", "2026-12-31T04:05:08", "2027-01-01 04:05:07"),
        ("*/15 * * * *", "2026-01-01T23:44", "2026-01-01 23:45|2026-01-02"),
        ("3-59/15 0 * * *", "2026-01-01", "2026-01-01 00:03|2026-01-01 00:18"),
        ("50/5 0 * * *", "2026-01-01", "2026-01-01 00:50|2026-01-01 00:55|2026-01-02 00:50"),
        ("*/90 0 * * *", "2026-01-01T00:01", "2026-01-02|2026-01-03"),
        ("0,59 23 31 12 *", "2026-01-01", "2026-12-31 23:00|2026-12-31 23:59|2027-12-31 23:00"),
        ("0 0 1 jan,Jul *", "2026-01-02", "2026-07-01|2027-01-01"),
        ("0 0 ? * mon", "2026-01-01", "2026-01-05|2026-01-12"),
        ("0 0 13 * ?", "2026-01-01", "2026-01-13|2026-02-13"),
        ("0 0 * * 0", "2026-01-01", "2026-01-04|2026-01-11"),
        ("0 0 * * 7", "2026-01-01", "2026-01-04|2026-01-11"),
        ("0 0 * * FRI-MON", "2026-01-01", "2026-01-02|2026-01-03|2026-01-04|2026-01-05|2026-01-09"),
        ("0 0 * * 6-2/2", "2026-01-01", "2026-01-03|2026-01-05|2026-01-10"),
        ("0 0 * * 5-7", "2026-01-01", "2026-01-02|2026-01-03|2026-01-04|2026-01-09"),
        ("0 0 * * 1/3", "2026-01-01", "2026-01-01|2026-01-04|2026-01-05"),
        ("0 0 L * *", "2028-01-01", "2028-01-31|2028-02-29|2028-03-31|2028-04-30"),
        ("0 0 L-3 * *", "2026-01-29", "2026-02-25|2026-03-28"),
        ("0 0 L-30 * *", "2026-01-02", "2026-03-01|2026-05-01"),
        ("0 0 LW * *", "2026-01-01", "2026-01-30|2026-02-27|2026-03-31|2026-04-30|2026-05-29"),
        ("0 0 15W * *", "2026-01-01", "2026-01-15|2026-02-16|2026-03-16"),
        ("0 0 15W 8 *", "2026-01-01", "2026-08-14"),
        ("0 0 1W * *", "2026-08-01", "2026-08-03|2026-09-01"),
        ("0 0 31W 5,6,7 *", "2026-05-01", "2026-05-29|2026-07-31"),
        ("0 0 30W 8 *", "2026-08-01", "2026-08-31"),
        ("0 0 1,L,15W 2 *", "2026-01-01", "2026-02-01|2026-02-16|2026-02-28"),
        ("0 0 * * FRIL", "2026-01-01", "2026-01-30|2026-02-27|2026-03-27"),
        ("0 0 * * FRIL", "2026-07-01", "2026-07-31|2026-08-28"),
        ("0 0 * * 7L", "2026-01-01", "2026-01-25|2026-02-22"),
        ("0 0 * * MON#2", "2026-01-01", "2026-01-12|2026-02-09"),
        ("0 0 * * 7#1,3#5", "2026-01-01", "2026-01-04|2026-02-01|2026-03-01|2026-04-05|2026-04-29"),
        ("0 0 13 * FRI", "2026-01-01", "2026-01-02|2026-01-09|2026-01-13|2026-01-16"),
        ("0 0 */2 * MON", "2026-01-01", "2026-01-05|2026-01-19"),
        ("0 0 13 * */5", "2026-01-01", "2026-02-13|2026-03-13|2026-09-13"),
        ("0 0 13,* * MON", "2026-01-01", "2026-01-01|2026-01-02"),
        ("0 0 29 2 *", "2096-03-01", "2104-02-29|2108-02-29"),
        ("0 0 29 2 *", "1997-01-01", "2000-02-29|2004-02-29"),
        ("0 0 29 2 *", "2396-03-01", "2400-02-29|2404-02-29"),
        ("0 0 29 2 */7", "2004-03-01", "2032-02-29|2060-02-29|2088-02-29|2128-02-29"),
        ("0 0 1 1 *", "1899-06-01", "1900-01-01|1901-01-01"),
        ("@yearly", "2026-01-02", "2027-01-01"),
        ("@Monthly", "2026-01-02", "2026-02-01"),
        ("@weekly", "2026-01-01", "2026-01-04"),
        ("@hourly", "2026-01-01T00:01", "2026-01-01 01:00|2026-01-01 02:00"),
        ("  0\t0 * *   * ", "2026-01-01", "2026-01-01"),
    ],
)
def test_a_cron_text_fires_at(text: str, start: str, expected: str) -> None:
    times = expected.split("|")

    assert times == fires(text, start, count=len(times))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("61 * * * *", "minute '61' is not allowed; give a number from 0 to 59"),
        ("60 0 0 * * *", "second '60' is not allowed; give a number from 0 to 59"),
        ("0 24 * * *", "hour '24' is not allowed; give a number from 0 to 23"),
        ("0 0 0 * *", "day '0' is not allowed; give a number from 1 to 31"),
        ("0 0 32W * *", "day '32' is not allowed; give a number from 1 to 31"),
        ("0 0 * 13 *", "month '13' is not allowed; give a number from 1 to 12 or a name from JAN"),
        ("0 0 * MON *", "month 'MON' is not allowed"),
        ("0 0 * * 8", "from 0 to 7 (0 and 7 are Sunday) or a name from SUN to SAT"),
        ("0 0 * * 8L", "weekday '8' is not allowed"),
        ("0 0 * * MONDAY", "weekday 'MONDAY' is not allowed"),
        ("0 0 * * JAN", "weekday 'JAN' is not allowed"),
        ("1,,2 * * * *", "minute '' is not allowed"),
        ("1- * * * *", "minute '' is not allowed"),
        ("-1 * * * *", "minute '' is not allowed"),
        ("1-2-3 * * * *", "minute '2-3' is not allowed"),
        ("1.5 * * * *", "minute '1.5' is not allowed"),
        ("? * * * *", "minute '?' is not allowed"),
        ("0 0 ?,1 * *", "day '?' is not allowed"),
        ("L * * * *", "minute 'L' is not allowed"),
        ("50-10 * * * *", "minute '50-10' runs backwards; give the two parts on their own, as in "
         "'50-59,0-10'"),
        ("0 0 * NOV-FEB *", "as in 'NOV-12,1-FEB'"),
        ("*/0 * * * *", "minute '*/0' has the step '0'; after / comes a number from 1 on"),
        ("*/ * * * *", "has the step ''"),
        ("*/x * * * *", "has the step 'X'"),
        ("*/2/3 * * * *", "has the step '2/3'"),
        ("0 0 L/2 * *", "day 'L' is not allowed"),
        ("0 0 L-0 * *", "day 'L-0' counts back from the last day of the month: give L- and a "
         "number from 1 to 30"),
        ("0 0 L-31 * *", "day 'L-31' counts back"),
        ("0 0 * * L", "weekday 'L' does not say which day; give one, as in '5L'"),
        ("0 0 * * MON#0", "must be from 1 to 5"),
        ("* * * * MON#6", "weekday 'MON#6' can never come: no month has the same weekday more "
         "than 5 times"),
        ("0 0 * * MON#", "must be from 1 to 5"),
        ("0 0 * * MON#x", "must be from 1 to 5"),
        ("0 0 * *", "has 4 fields; it must have five (minute hour day month weekday) or six"),
        ("0 0 0 * * * 2026", "has 7 fields"),
        ("", "has 0 fields"),
        ("@reboot", "'@reboot' is not a known name; it may be @hourly, @daily, @midnight"),
        ("@daily 5", "has 2 fields"),
        ("\u0665 * * * *", "may hold letters, digits and * , - / ? L W # only"),
        ("0 0 * * \u017fUN", "may hold letters, digits"),
    ],
)  # fmt: skip
def test_a_wrong_text_is_refused_with_the_field_the_value_and_what_is_allowed(
    text: str, part: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_cron(text)

    assert part in str(caught.value)
    assert "cron" == caught.value.field


@pytest.mark.parametrize(
    "text",
    [
        *["0 0 30 2 *", "0 0 31 4,6 *", "0 0 31W 2,9 *", "0 0 L-29 2 *", "0 0 30 2 */2"],
        "0 0 */31 4 1#2",
    ],
)
def test_a_text_that_can_never_fire_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_cron(text)

    assert f"cron {text!r} can never fire" in str(caught.value)
    assert "cron" == caught.value.field


@pytest.mark.parametrize("text", ["0 0 30 2 MON", "0 0 L-28 2 *", "0 0 31 4,5 *", "0 0 29 2 */6"])
def test_a_text_that_fires_now_and_then_is_not_taken_for_impossible(text: str) -> None:
    assert parse_cron(text).at_or_after(local("2026-01-01")) is not None


def test_a_text_has_at_most_500_characters() -> None:
    text = "0 0 * * " + ",".join(["1"] * 246)
    assert 499 == len(text)
    assert parse_cron(text + " ").text == text + " "

    with pytest.raises(InvalidError, match="cron has 501 characters; at most 500") as caught:
        parse_cron(text + "  ")
    assert "cron" == caught.value.field


@pytest.mark.parametrize(
    ("text", "is_dense"),
    [
        ("* * * * *", True),
        ("30 */1 * * *", True),
        ("@hourly", True),
        ("0 0-23 * * MON", True),
        ("*/5 8-18 * * *", False),
        ("* 1-23 * * *", False),
        ("* 0-22 * * *", False),
        ("0 5 * * *", False),
        ("* * 5 * * *", False),
    ],
)
def test_a_text_is_dense_if_its_hour_is_every_hour(text: str, is_dense: bool) -> None:
    assert is_dense is parse_cron(text).is_dense


def test_a_rule_is_known_by_its_text() -> None:
    rule = parse_cron("0 5 * * *")
    parse_cron.cache_clear()

    assert rule == parse_cron("0 5 * * *")
    assert hash(rule) == hash(parse_cron("0 5 * * *"))
    assert rule != parse_cron("0 5 * * 0-6")
    assert "0 5 * * *" == rule.text
    assert parse_cron("0 5 * * *") is parse_cron("0 5 * * *")


@pytest.mark.parametrize("macro", MACROS)
def test_a_macro_fires_as_the_text_it_stands_for(macro: str) -> None:
    start_s = local("2026-03-04T05:06:07")

    assert parse_cron(MACROS[macro]).at_or_after(start_s) == parse_cron(macro).at_or_after(start_s)
    assert macro == parse_cron(macro).text


def test_a_rule_ends_with_the_year_9999() -> None:
    rule = parse_cron("59 59 23 * * *")

    assert LAST_S == rule.at_or_after(LAST_S)
    assert rule.at_or_after(LAST_S + 1) is None
    assert rule.at_or_after(LAST_S + 10**9) is None
    assert parse_cron("0 0 * * *").at_or_after(LAST_S) is None
    assert parse_cron("0 0 1 1 *").at_or_after(LAST_S - 40 * DAY_S) is None


@given(day=st.dates())
@example(date(1, 1, 1))
@example(date(2000, 2, 29))
@example(date(2100, 3, 1))
@example(date(9999, 12, 31))
def test_dates_and_day_numbers_are_those_of_the_calendar(day: date) -> None:
    number = day.toordinal() - date(1970, 1, 1).toordinal()

    assert (day.year, day.month, day.day) == _civil(number)
    assert number - day.day + 1 == _day_number(day.year, day.month)


STARTS_S = st.integers(local("1890-01-01"), local("2190-01-01"))
COMMON_TEXTS = st.builds(
    "{}{} {} {} {} {}".format,
    st.one_of(st.just(""), lists(plain_entries(0, 59)).map("{} ".format)),
    st.one_of(st.just("*"), lists(plain_entries(0, 59))),
    st.one_of(st.just("*"), lists(plain_entries(0, 23))),
    st.one_of(
        st.just("*"), lists(st.one_of(plain_entries(1, 31), st.sampled_from(["L", "LW", "31"])))
    ),
    st.one_of(
        st.just("*"), lists(st.one_of(plain_entries(1, 12), st.sampled_from(reference.MONTHS)))
    ),
    st.one_of(
        st.just("*"),
        lists(
            st.one_of(
                plain_entries(0, 7),
                st.sampled_from([*reference.WEEKDAYS, "MON-FRI", "SUN#1", "7#5", "5L", "0L"]),
            )
        ),
    ),
)


@settings(deadline=None, max_examples=600)
@given(text=COMMON_TEXTS, start_s=STARTS_S)
@example(text="0 0 29 2 */7", start_s=local("2089-01-01"))
@example(text="0 0 31 * 5#5", start_s=local("2000-01-01"))
def test_every_text_of_the_common_grammar_fires_when_cronsim_does(text: str, start_s: int) -> None:
    try:
        oracle = CronSim(text, EPOCH + timedelta(seconds=start_s - 1))
        expected = [int((next(oracle) - EPOCH).total_seconds()) for _ in range(4)]
    except (CronSimError, StopIteration):
        # What cronsim finds impossible we refuse at once, or it is decades away.
        expected = []

    try:
        rule = parse_cron(text)
    except InvalidError as error:
        if "can never fire" not in str(error):
            raise
        assert not expected
        return
    found_s: int | None = start_s - 1
    for time_s in expected:
        assert found_s is not None
        found_s = rule.at_or_after(found_s + 1)
        assert time_s == found_s
    if not expected:
        first_s = rule.at_or_after(start_s)
        assert first_s is None or first_s > start_s + 40 * 365 * DAY_S


@settings(deadline=None, max_examples=300)
@given(text=TEXTS, start_s=STARTS_S)
def test_every_text_fires_when_the_slow_reading_does(text: str, start_s: int) -> None:
    until_s = start_s + 60 * DAY_S
    expected = reference.fires(
        text,
        "UTC",
        after_us=start_s * 1_000_000 - 1,
        until_s=until_s,
        count=3,
        gap="skip",
        fold="first",
    )

    try:
        rule = parse_cron(text)
    except InvalidError as error:
        if "can never fire" not in str(error):
            raise
        assert not expected
        return
    found: list[int] = []
    local_s = rule.at_or_after(start_s)
    while local_s is not None and local_s <= until_s and len(found) < 3:
        found.append(local_s)
        local_s = rule.at_or_after(local_s + 1)
    assert expected == found


@settings(deadline=None, max_examples=300)
@given(
    text=TEXTS,
    start_s=STARTS_S,
    later_s=st.one_of(st.integers(0, 100), st.integers(0, 400 * DAY_S)),
)
def test_asking_later_never_gives_an_earlier_time_and_a_time_gives_itself(
    text: str, start_s: int, later_s: int
) -> None:
    try:
        rule = parse_cron(text)
    except InvalidError:
        return

    first_s, second_s = rule.at_or_after(start_s), rule.at_or_after(start_s + later_s)

    assert first_s is not None
    assert second_s is not None
    assert start_s <= first_s <= second_s
    assert first_s == rule.at_or_after(first_s)
    assert second_s == first_s or start_s + later_s > first_s
