"""`tenure schedules`: making, listing, switching, running and steering."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tenure import Client, Next, Registry, State, Worker, cron, every
from tenure.cli.schedule_shapes import words_of
from tenure.cli.schedule_show import next_in_words, zone_of
from tenure.kernel.model import NO_TENANT
from tenure.kernel.schedules.policies import Missed, Overlap, Policies
from tenure.kernel.schedules.wallclock import Fold, Gap
from tenure.sdk.wanted import wanted
from tenure.service import schedules as service
from tests.cli.conftest import Run, answer

FAR = datetime(2090, 1, 1, 8, 0, tzinfo=UTC)


@pytest.fixture
def recurring() -> Registry:
    """A handler whose runs hand on a number, and one that takes an argument."""
    registry = Registry()

    @registry.task
    def add(a: int, b: int = 1) -> int:
        return a + b

    @registry.task(state=int)
    def count() -> Next[int]:
        from tenure import context

        number = (context().state or 0) + 1
        return Next(result=number, state=number)

    return registry


def test_a_schedule_is_created_then_unchanged_then_updated(
    run: Run, client: Client, url: str
) -> None:
    put = ["schedules", "put", "nightly", "add", '{"a": 1}', "--zone", "Europe/Berlin"]

    created = run(*put, "--cron", "30 2 * * *", "--url", url)
    again = run(*put, "--cron", "30 2 * * *", "--url", url)
    moved = answer(run(*put, "--cron", "45 2 * * *", "--json", "--url", url))

    words = "at 02:30 every day, Europe/Berlin time; next "
    assert created.stdout.startswith(f"schedule nightly created: {words}")
    assert again.stdout.startswith(f"schedule nightly unchanged: {words}")
    assert ("nightly", "updated", "45 2 * * *", 2) == (
        moved["id"],
        moved["change"],
        moved["schedule"]["text"],
        moved["schedule"]["revision"],
    )


def test_every_option_reaches_the_schedule(run: Run, client: Client, url: str) -> None:
    run("calendars", "put", "off", "--day", "2091-01-01", "--url", url)
    options = ["--cron", "0 9 * * *", "--zone", "Europe/Berlin", "--gap", "skip"]
    options += ["--fold", "second", "--missed", "all", "--missed-max", "7"]
    options += ["--missed-within", "2h", "--overlap", "queue_all", "--jitter", "90"]
    options += ["--exclude", "off", "--start", "2090-01-01", "--end", "2090-06-30"]
    options += ["--queue", "slow", "--priority", "low", "--cost", "3", "--attempts", "4"]
    options += ["--timeout", "1.5", "--tag", "x", "--tag", "y", "--paused"]

    told = answer(
        run("schedules", "put", "s", "add", '{"a": 1}', *options, "--json", "--url", url)
    )["schedule"]

    assert (7200, 90, ["off"]) == (
        told["policies"]["missed_within_s"],
        told["policies"]["jitter_s"],
        told["policies"]["exclude"],
    )
    assert (1.5, {"a": 1}) == (told["task"]["timeout_s"], told["task"]["payload"])
    made = client.schedules.get("s")
    definition, template = made.definition, made.template
    assert Policies(
        gap=Gap.SKIP,
        fold=Fold.SECOND,
        missed=Missed.ALL,
        missed_max=7,
        missed_within_us=7_200_000_000,
        overlap=Overlap.QUEUE_ALL,
        jitter_us=90_000_000,
        exclude=("off",),
    ) == (definition.policies)
    # Midnight and the last second of the day on the clock of Berlin, in winter and in summer.
    berlin = (datetime(2089, 12, 31, 23, tzinfo=UTC), datetime(2090, 6, 30, 21, 59, 59, tzinfo=UTC))
    assert [at.timestamp() * 1_000_000 for at in berlin] == [
        definition.start_us,
        definition.end_us,
    ]
    assert ("add", b'{"a": 1}', "slow", 3, 3, 4, 1_500_000, ("x", "y")) == (
        template.kind,
        template.payload,
        template.queue,
        template.lane,
        template.cost,
        template.attempts_max,
        template.timeout_us,
        template.tags,
    )
    assert "paused" == made.label


def test_an_interval_can_count_from_the_ends_of_runs(run: Run, client: Client, url: str) -> None:
    made = run("schedules", "put", "s", "add", "--every", "5m", "--drift", "delay", "--url", url)

    assert "5 minutes after the end of each run" in made.stdout
    assert client.schedules.get("s").counts_from_ends


def test_the_handler_of_an_application_checks_and_completes_the_task(
    run: Run, client: Client, url: str, app: str
) -> None:
    put = ["schedules", "put", "s", "--every", "5m", "--app", app, "--url", url]

    refused = run(*put, "add", '{"x": 1}')
    by_place = run(*put, "send", '["me"]')
    template = client.schedules.get("s").template
    run(*put, "send", '["me"]', "--queue", "post")

    assert "post" == client.schedules.get("s").template.queue
    assert (2, 0) == (refused.exit_code, by_place.exit_code)
    assert "does not fit the signature of 'add'" in refused.stderr
    assert ("send", "mail", b'{"to":"me"}') == (template.kind, template.queue, template.payload)


def test_a_dry_run_stores_nothing_and_shows_the_difference(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", cron("0 4 * * *"), kinds.get("add").call(1))
    before = client.schedules.get("s")
    put = ["schedules", "put", "s", "add", '{"a":2}', "--dry-run", "--url", url]

    told = run(*put, "--cron", "0 4,5 * * *")
    as_json = answer(run(*put, "--cron", "0 4,5 * * *", "--json"))
    new = run("schedules", "put", "t", "add", "--cron", "0 4 * * *", "--dry-run", "--url", url)

    assert "schedule s would be updated" in told.stdout
    assert 'payload: {"a":1} becomes {"a":2}' in told.stdout
    assert "was: at 04:00 every day" in told.stdout
    assert "is:  at 04:00 and 05:00 every day" in told.stdout
    difference = as_json["difference"]
    assert not answer(run("schedules", "ls", "--json", "--url", url))["schedules"][0]["is_steered"]
    assert ("updated", 0, 366, 366) == (
        as_json["change"],
        difference["removed_count"],
        difference["added_count"],
        difference["kept"],
    )
    assert new.stdout.startswith("schedule t would be created: at 04:00 every day\n")
    assert before == client.schedules.get("s")
    assert ["s"] == [schedule.id for schedule in client.schedules.find()]


def test_a_dry_run_of_what_there_is_changes_nothing(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", every("5m"), kinds.get("add").call(1))
    template = client.schedules.get("s").template
    attempts = str(template.attempts_max)

    told = run(
        "schedules", "put", "s", "add", '{"a":1}', "--every", "5m", "--attempts", attempts,
        "--dry-run", "--url", url,
    )  # fmt: skip

    other = run(
        "schedules", "put", "s", "add", '{"a":1}', "--every", "5m", "--attempts", f"{attempts}1",
        "--dry-run", "--url", url,
    )  # fmt: skip

    assert "schedule s would be unchanged\n" == told.stdout
    task = f"attempts_max: {attempts} becomes {attempts}1"
    assert f"schedule s would be updated\n\nthe task\n  {task}\n" == other.stdout


def test_schedules_are_listed_by_page_kind_and_origin(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    for name, kind in (("a", "add"), ("b", "send"), ("c", "add")):
        call = kinds.get(kind).call(1 if kind == "add" else "me")
        client.schedules.create(name, cron("0 9 * * *", zone="Asia/Tokyo"), call)
    client.schedules.pause("b")

    whole = run("schedules", "ls", "--url", url)
    page = answer(run("schedules", "ls", "-n", "2", "--json", "--url", url))
    rest = run("schedules", "ls", "--after", page["next_after"], "--ids", "--url", url)
    adding = run("schedules", "ls", "--kind", "add", "--ids", "--url", url)
    declared = run("schedules", "ls", "--origin", "code:app", "--url", url)

    lines = whole.stdout.splitlines()
    assert [("a", "active"), ("b", "paused"), ("c", "active")] == [
        tuple(line.split()[:2]) for line in lines[1:]
    ]
    assert "at 09:00 every day, Asia/Tokyo time" in lines[1]
    assert " 09:00 +09:00 (in " in lines[1]
    assert " 09:00 +09:00" not in lines[2]
    assert (["a", "b"], "b") == ([each["id"] for each in page["schedules"]], page["next_after"])
    assert ("c\n", "a\nc\n") == (rest.stdout, adding.stdout)
    assert ("", "no schedules\n") == (declared.stdout, declared.stderr)


def test_show_tells_the_rule_the_policies_and_what_comes(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    when = cron("30 2 28 3 *", zone="Europe/Berlin")
    client.schedules.create("s", when, kinds.get("add").call(7))
    client.schedules.run_soon("s")
    client.schedules.set_state("s", {"at": 5})

    told = run("schedules", "show", "s", "--url", url).stdout
    as_json = answer(run("schedules", "show", "s", "--json", "--url", url))

    assert "at 02:30 on the 28th of March, Europe/Berlin time" in told
    assert "A local time that a clock change skips is shifted forward by the gap." in told
    # The clocks of Berlin skip 02:30 on 28 March in 2027 and in 2032.
    assert "Sun 2027-03-28 03:30 +02:00" in told
    assert "shifted from 2027-03-28T02:30:00, which the clocks skip" in told
    assert '{"a":7}' in told
    assert "asked for" in told
    assert 10 == len(as_json["preview"]["fires"])
    assert {"v": 1, "s": {"at": 5}} == as_json["state"]
    assert ["fired"] == [fire["verdict"] for fire in as_json["fires"]]
    assert as_json["fires"][0]["task_id"] == as_json["runs"][0]["id"]


def test_a_schedule_whose_zone_is_gone_can_still_be_looked_at(
    client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", cron("0 9 * * *"), kinds.get("add").call(1))
    sound = client.schedules.get("s")
    lost = replace(
        sound, definition=replace(sound.definition, zone="Mars/Base"), trouble="no such zone"
    )

    assert "cron 0 9 * * *, Mars/Base time" == words_of(lost.definition)
    assert "UTC" == zone_of(lost)
    assert "" == next_in_words(lost, 0)
    assert "" != next_in_words(sound, 0)


def test_many_are_paused_and_resumed_with_an_answer_for_each(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    for name in ("a", "b", "c"):
        client.schedules.create(name, cron("0 9 1 1 *"), kinds.get("add").call(1))
    client.schedules.pause("b")

    paused = run("schedules", "pause", "a", "b", "gone", "a", "--url", url)
    resume = ["schedules", "resume", "a", "b", "c", "--run-soon", "--within", "10m"]
    resumed = answer(run(*resume, "--json", "--url", url))

    assert (1, "a  paused\nb  was paused already\n") == (paused.exit_code, paused.stdout)
    assert "error: there is no schedule 'gone'\n" == paused.stderr
    assert [("a", "resumed"), ("b", "resumed"), ("c", "was not paused")] == [
        (each["id"], each["outcome"]) for each in resumed["schedules"]
    ]
    first, second, third = (client.schedules.get(name).steered_us for name in "abc")
    assert first is not None
    assert second is not None
    assert third is None
    # Half of ten minutes apart, but for what the commands themselves take.
    assert 300_000_000 <= second - first < 330_000_000


def test_a_refused_one_has_its_message_in_json(run: Run, client: Client, url: str) -> None:
    told = run("schedules", "pause", "gone", "--json", "--url", url)

    assert 1 == told.exit_code
    refused = {
        "id": "gone", "outcome": None, "error": {"message": "there is no schedule 'gone'"},
    }  # fmt: skip
    assert {"schedules": [refused]} == json.loads(told.stdout)


def test_delete_asks_first(run: Run, client: Client, url: str, kinds: Registry) -> None:
    for name in ("a", "b"):
        client.schedules.create(name, every("5m"), kinds.get("add").call(1))

    kept = run("schedules", "rm", "a", "--url", url, input="n\n")
    still = [schedule.id for schedule in client.schedules.find()]
    gone = run("schedules", "rm", "a", "--url", url, input="y\n")
    silent = run("schedules", "rm", "b", "--yes", "--url", url)
    again = run("schedules", "rm", "b", "--yes", "--url", url)

    assert (130, ["a", "b"]) == (kept.exit_code, still)
    assert (0, 0, 1) == (gone.exit_code, silent.exit_code, again.exit_code)
    assert "schedule b is deleted\n" == silent.stdout
    assert [] == client.schedules.find()


def test_what_code_declares_is_remarked_on(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    """An edit from outside lasts until the next worker starts, and nobody should wonder why."""
    declared = wanted("report", cron("0 9 * * *"), kinds.get("add").call(1), origin="code:app")
    client.run(service.ensure(NO_TENANT, declared, client.settings))

    edited = run("schedules", "put", "report", "report", "--cron", "0 8 * * *", "--url", url)
    listed = run("schedules", "ls", "--origin", "code:app", "--ids", "--url", url)
    deleted = run("schedules", "rm", "report", "--yes", "--url", url)

    assert "report is declared in module app" in edited.stderr
    assert "changes it back" in edited.stderr
    assert "report\n" == listed.stdout
    assert "makes it again" in deleted.stderr


def test_a_run_is_made_now_and_can_be_waited_for(
    run: Run, client: Client, url: str, recurring: Registry
) -> None:
    client.schedules.create("s", cron("0 9 1 1 *"), recurring.get("count").call())

    with Worker(client, registry=recurring):
        waited = [run("schedules", "run", "s", "--wait", "--url", url).stdout for _ in "ab"]
    task_id = run("schedules", "run", "s", "--url", url).stdout.strip()
    refused = run("schedules", "run", "s", "--url", url)

    assert ["1\n", "2\n"] == waited
    assert State.PENDING is client.get(task_id).state
    assert 1 == refused.exit_code
    assert f"run {task_id} was under way" in refused.stderr


def test_runs_and_fires_are_listed_by_page(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    when = cron("0 9 1 1 *", overlap="allow")
    client.schedules.create("s", when, kinds.get("add").call(1))
    made = [client.schedules.run_soon("s") for _ in range(3)]

    runs = answer(run("schedules", "runs", "s", "-n", "2", "--json", "--url", url))
    older = run("schedules", "runs", "s", "--before", runs["next_before"], "--url", url)
    fires = answer(run("schedules", "fires", "s", "-n", "2", "--json", "--url", url))
    rest = run("schedules", "fires", "s", "--before", fires["next_before"], "--url", url)

    # Ids sort by milliseconds, and entries of the ledger by microseconds.
    by_id = sorted(made)
    assert by_id[:0:-1] == [task["id"] for task in runs["tasks"]]
    assert made[:0:-1] == [fire["task_id"] for fire in fires["fires"]]
    for table, oldest in ((older, by_id), (rest, made)):
        assert oldest[0] in table.stdout
        assert oldest[1] not in table.stdout


def test_the_runs_of_a_deleted_schedule_are_still_there(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", cron("0 9 1 1 *"), kinds.get("add").call(1))
    task_id = client.schedules.run_soon("s")
    client.schedules.delete("s")

    kept = run("schedules", "runs", "s", "--url", url)
    unknown = run("schedules", "runs", "t", "--url", url)

    assert task_id in kept.stdout
    assert (1, "error: there is no schedule 't'\n") == (unknown.exit_code, unknown.stderr)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2090-01-01T09:00", FAR),
        ("2090-01-01T08:00Z", FAR),
        ("2090-01-01T10:00+02:00", FAR),
    ],
)
def test_the_next_run_can_be_set(
    time: str, expected: datetime, run: Run, client: Client, url: str, kinds: Registry
) -> None:
    when = cron("0 9 * * *", zone="Europe/Berlin")
    client.schedules.create("s", when, kinds.get("add").call(1))

    told = run("schedules", "next", "s", time, "--url", url)
    shown = run("schedules", "show", "s", "--url", url)
    page = answer(run("schedules", "ls", "--json", "--url", url))

    assert page["schedules"][0]["is_steered"]
    assert expected.timestamp() * 1_000_000 == client.schedules.get("s").next_fire_at_us
    assert told.stdout.startswith("schedule s runs next Sun 2090-01-01 09:00 +01:00 (in ")
    assert "as asked for in place of the rule's next" in shown.stdout
    assert "Mon 2090-01-02 09:00 +01:00" in shown.stdout


def test_the_next_run_of_a_paused_schedule_waits_for_its_resuming(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", cron("0 9 1 1 *"), kinds.get("add").call(1))
    client.schedules.pause("s")

    told = run("schedules", "next", "s", "2090-01-01T08:00", "--url", url)
    client.schedules.resume("s")

    assert told.stdout.startswith("schedule s runs next Sun 2090-01-01 08:00 UTC (in ")
    assert "it is paused, and runs only once it is resumed\n" == told.stderr
    assert FAR.timestamp() * 1_000_000 == client.schedules.get("s").next_fire_at_us


def test_the_next_run_can_be_so_long_from_now(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", cron("0 9 1 1 *"), kinds.get("add").call(1))

    told = run("schedules", "next", "s", "+3d", "--url", url)

    assert "(in 2 d)" in told.stdout or "(in 3 d)" in told.stdout


def test_state_is_shown_replaced_and_cleared(
    run: Run, client: Client, url: str, recurring: Registry
) -> None:
    client.schedules.create("s", cron("0 9 1 1 *"), recurring.get("count").call())
    state = ["schedules", "state", "s", "--url", url]

    none = run(*state)
    replaced = run(*state, "--replace", "41")
    with Worker(client, registry=recurring):
        counted = run("schedules", "run", "s", "--wait", "--url", url)
    newer = answer(run(*state, "--replace", "-", "--version", "2", "--json", input=' {"n": 1}\n'))
    kept = answer(run(*state, "--replace", "7", "--json"))
    cleared = answer(run(*state, "--clear", "--json"))

    assert ("", "no state\n") == (none.stdout, none.stderr)
    assert ("41\n", "42\n") == (replaced.stdout, counted.stdout)
    assert {"id": "s", "version": 2, "state": {"n": 1}} == newer
    assert {"id": "s", "version": 2, "state": 7} == kept
    assert {"id": "s", "version": None, "state": None} == cleared
    assert client.schedules.get("s").carry is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["put", "s", "add"], "give one rule and no more"),
        (["put", "s", "add", "--every", "5m", "--once", "2090-01-01"], "give one rule and no more"),
        (["put", "s", "add", "[1]", "--every", "5m"], "must be a JSON object by name"),
        (["put", "s", "add", "{", "--every", "5m"], "the arguments are not JSON"),
        (["put", "s", "a b", "--every", "5m"], "kind 'a b' may hold"),
        (["put", "s", "add", "--every", "1h30m"], 'Invalid interval "1h30m"'),
        (["put", "s", "add", "--every", "5m", "--exclude", "x"], "there is no calendar 'x'"),
        (["put", "s", "add", "--every", "5m", "--jitter", "5m"], "make it shorter"),
        (["put", "s", "add", "--every", "5m", "--timeout", "x"], "timeout is 'x'; write a number"),
        (["resume", "s", "--within", "5m"], "--within needs --run-soon"),
        (["resume", "s", "--run-soon", "--within", "2d"], "within is"),
        (["rm", "s", "--json"], "give --yes"),
        (["state", "s", "--replace", "1", "--clear"], "give either --replace or --clear"),
        (["state", "s", "--version", "2"], "give both"),
        (["state", "s", "--replace", "{"], "the state is not JSON"),
        (["next", "s", "soon"], "time is 'soon'; write a time"),
        (["next", "s", "+soon"], "time is 'soon'; write a number of seconds"),
        (["ls", "--limit", "0"], "limit is 0"),
        (["fires", "s", "--before", "then"], "before is 'then'"),
    ],
)
def test_what_is_typed_wrong_is_exit_code_2(
    arguments: list[str], expected: str, run: Run, tmp_path: Path, kinds: Registry
) -> None:
    url = f"sqlite:///{tmp_path}/tenure.db"
    with Client(url) as client:
        client.schedules.create("s", cron("0 9 1 1 *"), kinds.get("add").call(1))

    result = run("schedules", *arguments, "--url", url)

    assert 2 == result.exit_code
    assert expected in result.stderr.replace('\\"', '"')


@pytest.mark.parametrize(
    "command",
    ["show", "runs", "fires", "run", "state", "preview", ("next", "2090-01-01T00:00Z")],
    ids=str,
)
def test_an_unknown_id_is_exit_code_1(
    command: str | tuple[str, str], run: Run, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/tenure.db"
    Client(url).close()
    name, *others = (command,) if isinstance(command, str) else command

    result = run("schedules", name, "gone", *others, "--url", url)

    assert (1, "error: there is no schedule 'gone'\n") == (result.exit_code, result.stderr)


def test_a_store_that_is_not_there_is_not_made_by_looking(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/typo.db"

    dry = run("schedules", "put", "s", "add", "--every", "5m", "--dry-run", "--url", url)
    listed = run("schedules", "ls", "--url", url)

    assert (3, 3) == (dry.exit_code, listed.exit_code)
    assert not (tmp_path / "typo.db").exists()
