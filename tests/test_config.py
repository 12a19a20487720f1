"""Settings: each source beats the one below it, and every wrong value says where it stands."""

from __future__ import annotations

import dataclasses
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from tenure import config
from tenure.kernel.errors import ConfigError
from tenure.setting_forms import Choice, Count, Duration, mask_url, quote

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
KEYS = list(config.declared())
POSTGRES_URL = "postgresql://tenure:hush@db.example:5432/tenure"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty directory, so that nobody's `tenure.toml` is read by chance."""
    monkeypatch.chdir(tmp_path)


def a_file(text: str, *, name: str = "settings.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def load(
    text: str = "",
    *,
    environment: dict[str, str] | None = None,
    options: dict[str, object] | None = None,
) -> config.Configuration:
    """Load from a file with *text*, and never from the real environment."""
    return config.load(file=a_file(text), environment=environment or {}, options=options)


def test_without_sources_every_setting_is_the_default() -> None:
    loaded = config.load(environment={})

    assert config.Settings() == loaded.settings
    assert dict.fromkeys(KEYS, "default") == dict(loaded.origins)


def test_each_source_wins_over_the_one_below_it() -> None:
    text = "[worker]\nslots = 2\nthreads = 2\nprocesses = 2"
    environment = {"TENURE_WORKER__THREADS": "3", "TENURE_WORKER__PROCESSES": "3"}

    loaded = load(text, environment=environment, options={"worker.processes": "4"})

    worker = loaded.settings.worker
    assert (2, 3, 4) == (worker.slots, worker.threads, worker.processes)
    assert {
        "worker.slots": "file settings.toml",
        "worker.threads": "environment TENURE_WORKER__THREADS",
        "worker.processes": "option --worker-processes",
        "worker.lease_s": "default",
    } == {
        key: loaded.origins[key]
        for key in ("worker.slots", "worker.threads", "worker.processes", "worker.lease_s")
    }


def test_an_unset_variable_and_an_absent_option_never_beat_the_file() -> None:
    """Once a project's unset variables overruled its file with their defaults."""
    environment = {"TENURE_WORKER__THREADS": "3"}

    loaded = load("[worker]\nslots = 2", environment=environment, options={"worker.slots": None})

    assert 2 == loaded.settings.worker.slots
    assert "file settings.toml" == loaded.origins["worker.slots"]


def test_a_value_equal_to_the_default_still_has_its_own_origin() -> None:
    loaded = load("[worker]\nslots = 100")

    assert "file settings.toml" == loaded.origins["worker.slots"]


def test_tenure_toml_in_the_working_directory_is_read_if_no_file_is_named() -> None:
    a_file("[log]\nformat = 'json'", name="tenure.toml")

    loaded = config.load(environment={})

    assert ("json", "file tenure.toml") == (
        loaded.settings.log.format,
        loaded.origins["log.format"],
    )


def test_a_named_file_is_read_instead_of_tenure_toml() -> None:
    a_file("[log]\nformat = 'json'", name="tenure.toml")

    assert "text" == load("").settings.log.format


def test_the_process_environment_is_read_if_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_LOG__LEVEL", "debug")

    assert "debug" == config.load().settings.log.level


def test_a_named_file_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'nowhere\.toml' does not exist") as caught:
        config.load(file=Path("nowhere.toml"), environment={})

    assert "file nowhere.toml" == caught.value.origin


@pytest.mark.parametrize("content", [b"slots =", b"url = '\xff'"], ids=["not-toml", "not-utf-8"])
def test_a_file_that_is_not_toml_is_an_error_with_its_path(content: bytes) -> None:
    Path("tenure.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"'tenure\.toml' is not TOML in UTF-8"):
        config.load(environment={})


def test_a_file_that_cannot_be_read_is_an_error_with_its_path() -> None:
    Path("folder").mkdir()

    with pytest.raises(ConfigError, match="'folder' cannot be read"):
        config.load(file=Path("folder"), environment={})


def test_every_setting_can_be_given_by_every_source() -> None:
    """The defaults, written out in each source's way, are read back as the defaults."""
    written: dict[str, str] = {}
    for key, setting in config.declared().items():
        is_duration = isinstance(setting.form, Duration)
        value = Decimal(setting.default) / 1_000_000 if is_duration else setting.default
        written[key] = str(value).lower() if isinstance(value, bool) else f"{value}"
    words = {key for key, setting in config.declared().items() if isinstance(setting.default, str)}
    text = "\n".join(
        f"{key} = '{v}'" if key in words else f"{key} = {v}" for key, v in written.items()
    )
    environment = {config.environment_name(key): value for key, value in written.items()}

    by_file, by_environment = load(text), load(environment=environment)
    by_options = load(options={**written})

    for loaded, origin in ((by_file, "file"), (by_environment, "env"), (by_options, "option")):
        assert config.Settings() == loaded.settings
        assert all(each.startswith(origin) for each in loaded.origins.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[worker]\nslot = 1", "unknown setting 'worker.slot'.*did you mean 'worker.slots'"),
        ("[wroker]\nslots = 1", "unknown setting 'wroker.slots'.*did you mean 'worker.slots'"),
        ("[worker]\nlease_us = 1", "'worker.lease_us'.*did you mean 'worker.lease_s'"),
        ("slots = 1", "unknown setting 'slots'.*did you mean 'worker.slots'"),
        ("[nonsense]", r"unknown setting 'nonsense' \(file settings.toml\)$"),
        ("worker = 5", "unknown setting 'worker'"),
        ("url.host = 'a'", "unknown setting 'url.host'"),
    ],
)
def test_an_unknown_key_in_the_file_is_an_error_with_a_hint(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        load(text)

    assert "file settings.toml" == caught.value.origin


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("TENURE_CLAIMER__POL_S", "TENURE_CLAIMER__POLL_S"),
        ("TENURE_CLAIMER_POLL_S", "TENURE_CLAIMER__POLL_S"),
        ("TENURE_worker__slots", "TENURE_WORKER__SLOTS"),
        ("TENURE_URLS", "TENURE_URL"),
    ],
)
def test_an_unknown_variable_is_an_error_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown setting '{name}'.*did you mean '{hint}'"):
        load(environment={name: "1"})


def test_an_unknown_option_is_an_error_with_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"'--worker-slot'.*did you mean '--worker-slots'"):
        load(options={"worker.slot": 1})


def test_variables_of_others_are_left_alone() -> None:
    others = {"TENURE_TEST_POSTGRES": "1", "TENURE_BENCH_ROUNDS": "9", "TENURES": "x", "URL": "y"}

    assert config.Settings() == load(environment=others).settings


def test_durations_are_seconds_outside_and_whole_microseconds_inside() -> None:
    text = "[settler]\nlinger_s = 0.1\n[worker]\nlease_s = 90"

    loaded = load(
        text,
        environment={"TENURE_CLAIMER__POLL_S": "0.000123e2"},
        options={"reaper.every_s": 0.3, "elector.lease_s": 2},
    )

    settings = loaded.settings
    assert [100_000, 90_000_000, 12_300, 300_000, 2_000_000] == [
        settings.settler.linger_us,
        settings.worker.lease_us,
        settings.claimer.poll_us,
        settings.reaper.every_us,
        settings.elector.lease_us,
    ]


@pytest.mark.parametrize("key", [k for k, s in config.declared().items() if s.key != "url"])
def test_no_default_is_a_float_or_out_of_its_own_bounds(key: str) -> None:
    setting = config.declared()[key]
    default = setting.default

    assert not isinstance(default, float)
    outside = Decimal(default) / 1_000_000 if isinstance(setting.form, Duration) else default
    assert default == setting.form.read(outside)


def bounds() -> list[tuple[str, str, bool]]:
    """Each bound of each number, and the next value beyond it."""
    found = []
    for key, setting in config.declared().items():
        if isinstance(setting.form, Count):
            low, high, step = Decimal(setting.form.least), Decimal(setting.form.most), Decimal(1)
        elif isinstance(setting.form, Duration):
            low = Decimal(setting.form.least_us) / 1_000_000
            high, step = Decimal(setting.form.most_us) / 1_000_000, Decimal("0.000001")
        else:
            continue
        found += [(key, f"{low}", True), (key, f"{low - step:f}", False)]
        found += [(key, f"{high}", True), (key, f"{high + step:f}", False)]
    return found


@pytest.mark.parametrize(("key", "text", "is_accepted"), bounds())
def test_a_number_is_accepted_up_to_its_bounds_and_not_beyond(
    key: str, text: str, is_accepted: bool
) -> None:
    form = config.declared()[key].form

    assert is_accepted == (form.read(form.parse(text)) is not None)


@pytest.mark.parametrize(
    "text",
    [
        "[worker]\nslots = '50'",
        "[worker]\nslots = 50.0",
        "[worker]\nslots = true",
        "[worker]\nlease_s = '60'",
        "[worker]\nlease_s = true",
        "[worker]\nlease_s = nan",
        "[worker]\nlease_s = inf",
        "[worker]\nlease_s = 1e999999999999999999999",
        "[worker]\nlease_s = 1.0000001",
        "[worker]\nslots.least = 1",
        "[store]\nlisten = 1",
        "[store]\nlisten = 'true'",
        "[store]\ndurability = 'FULL'",
        "[store]\ndurability = 1",
        "[log]\nlevel = 'trace'",
        "url = 1",
    ],
)
def test_a_wrong_type_in_the_file_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^setting '[a-z._]+' is .* \(file settings.toml\); it"):
        load(text)


@pytest.mark.parametrize("value", ["", "many", "1.5", "1e2", "0x10", " ", "9" * 5_000])
def test_text_that_is_no_whole_number_is_an_error(value: str) -> None:
    with pytest.raises(ConfigError, match=r"environment TENURE_WORKER__SLOTS\); it must be"):
        load(environment={"TENURE_WORKER__SLOTS": value})


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("False", False)])
def test_a_switch_is_read_from_text(text: str, expected: bool) -> None:
    assert expected is load(environment={"TENURE_STORE__LISTEN": text}).settings.store.listen


def test_the_error_names_key_value_origin_bounds_and_unit() -> None:
    with pytest.raises(ConfigError) as caught:
        load(options={"worker.slots": "0"})

    assert (
        "setting 'worker.slots' is '0' (option --worker-slots);"
        " it must be a whole number of slots from 1 to 100000"
    ) == str(caught.value)
    assert ("worker.slots", "option --worker-slots") == (caught.value.key, caught.value.origin)


def test_the_error_of_a_duration_speaks_of_seconds() -> None:
    with pytest.raises(ConfigError) as caught:
        load("[claimer]\npoll_s = 0.001")

    assert (
        "setting 'claimer.poll_s' is 0.001 (file settings.toml);"
        " it must be a number of seconds from 0.01 to 60"
    ) == str(caught.value)


def test_a_wrong_value_is_an_error_even_if_a_later_source_overrules_it() -> None:
    with pytest.raises(ConfigError, match=r"worker\.slots"):
        load("[worker]\nslots = 0", options={"worker.slots": 5})


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///tenure.db",
        "sqlite:////var/lib/tenure.db",
        POSTGRES_URL,
        "postgres://db.example/tenure",
        "postgresql:///tenure",
        "postgresql://one:5432,two:5433/tenure?target_session_attrs=read-write",
        "postgresql://tenure:p%40ss@[::1]:5432/tenure",
    ],
)
def test_a_url_that_names_a_store_is_kept_as_it_is(url: str) -> None:
    assert url == load(environment={"TENURE_URL": url}).settings.url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tenure.db",
        "sqlite://tenure.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "mysql://db.example/tenure",
        "postgresql:/db.example/tenure",
        "postgresql://db.example:port/tenure",
        "postgresql://db.example/tenure\n",
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^setting 'url' is "):
        load(environment={"TENURE_URL": url})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (POSTGRES_URL, "postgresql://tenure:***@db.example:5432/tenure"),
        ("postgresql://tenure@db.example:5432/a", "postgresql://tenure@db.example:5432/a"),
        ("postgresql://u:a:b@c@h/d?user=x@y", "postgresql://u:***@h/d?user=x@y"),
        ("postgresql://h/d?password=hush&a=b", "postgresql://h/d?password=***&a=b"),
        ("postgresql://h/d?a=b&sslpassword=hush", "postgresql://h/d?a=b&sslpassword=***"),
        ("sqlite:///a:b.db", "sqlite:///a:b.db"),
    ],
)
def test_a_password_is_masked_and_nothing_else(url: str, expected: str) -> None:
    assert expected == mask_url(url)


def test_rows_and_reprs_do_not_show_the_password() -> None:
    loaded = load(environment={"TENURE_URL": POSTGRES_URL})

    assert "postgresql://tenure:***@db.example:5432/tenure" == loaded.rows()[0].value
    assert "hush" not in repr(loaded)


@pytest.mark.parametrize(
    "url",
    [
        "postgre://tenure:hush@db.example/tenure",
        "postgresql:/tenure:hush@db.example/tenure",
        "postgresql://tenure:12/hush@db.example/tenure",
        "postgresql://tenure:12?hush@db.example/tenure",
        "postgresql://tenure:12#hush@db.example/tenure",
        "postgresql://db.example:port/tenure?password=hush",
        "host=db.example password=hush",
    ],
)
def test_a_refused_url_does_not_show_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environment={"TENURE_URL": url})

    assert "***" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_url_in_the_wrong_place_does_not_show_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        load(environment={"TENURE_WORKER__SLOTS": POSTGRES_URL})

    assert "'postgresql://tenure:***@db.example:5432/tenure'" in str(caught.value)


def test_a_long_refused_value_is_cut() -> None:
    assert f"'{'x' * 120}...'" == quote("x" * 5_000)


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        (
            "renewer.every_s",
            "[worker]\nlease_s = 10\n[renewer]\nevery_s = 5",
            "[worker]\nlease_s = 10\n[renewer]\nevery_s = 4.999999",
        ),
        ("reaper.backoff_s", "[reaper]\nbackoff_max_s = 0.5", "[reaper]\nbackoff_max_s = 1"),
        ("settler.batch", "[settler]\nbacklog_max = 499", "[settler]\nbacklog_max = 500"),
        ("listener.patience_s", "[listener]\nprobe_s = 9", "[listener]\nprobe_s = 10"),
    ],
)
def test_settings_at_odds_are_an_error(key: str, wrong: str, right: str) -> None:
    load(right)
    with pytest.raises(ConfigError) as caught:
        load(wrong)

    assert key == caught.value.key


def test_the_error_of_settings_at_odds_names_both_values_and_origins() -> None:
    with pytest.raises(ConfigError) as caught:
        load("[renewer]\nevery_s = 40", options={"worker.lease_s": 80})

    assert (
        "setting 'renewer.every_s' is 40 s (file settings.toml);"
        " it must be less than half of 'worker.lease_s', which is 80 s (option --worker-lease-s)"
    ) == str(caught.value)


def test_leases_are_renewed_after_a_third_unless_set() -> None:
    derived, given = load("[worker]\nlease_s = 90"), load("[renewer]\nevery_s = 7")

    assert 30_000_000 == derived.settings.renew_every_us
    assert 7_000_000 == given.settings.renew_every_us


def test_the_leader_is_elected_every_half_lease() -> None:
    assert 5_000_000 == load("[elector]\nlease_s = 10").settings.elect_every_us


def test_every_field_of_the_tree_is_declared_once() -> None:
    settings = config.Settings()
    values = [getattr(settings, field.name) for field in dataclasses.fields(settings)]
    sections = [value for value in values if dataclasses.is_dataclass(value)]
    leaves = len(values) - len(sections) + sum(len(dataclasses.fields(each)) for each in sections)

    assert leaves == len(KEYS) == len({config.environment_name(key) for key in KEYS})


@pytest.mark.parametrize("key", KEYS)
def test_a_setting_has_a_unit_bounds_and_one_sentence_of_when_to_change_it(key: str) -> None:
    setting = config.declared()[key]

    assert setting.form.unit
    assert setting.form.allowed
    assert setting.when.startswith(("Raise", "Lower", "Choose", "Turn", "Set"))
    assert setting.when.endswith(".")
    assert 1 == setting.when.count(".")
    assert isinstance(setting.form, Duration) == key.endswith("_s")
    assert isinstance(setting.form, Duration) == setting.field.endswith("_us")


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("worker.slots", 7, "7 slots"),
        ("worker.processes", 0, "0 processes (the number of cores)"),
        ("renewer.every_s", 0, "0 s (a third of worker.lease_s)"),
        ("settler.linger_s", "0.0025", "0.0025 s"),
        ("claimer.poll_s", 10, "10 s"),
        ("worker.lease_s", 7_200, "7200 s (2 hours)"),
        ("pruner.keep_failed_s", 86_400, "86400 s (1 day)"),
        ("limits.payload_bytes_max", 2_097_152, "2097152 bytes (2 MiB)"),
        ("limits.error_bytes_max", 1_025, "1025 bytes"),
        ("store.listen", False, "false"),
        ("log.format", "json", "json"),
    ],
)
def test_a_row_shows_the_value_with_its_unit(key: str, value: object, shown: str) -> None:
    loaded = load(options={key: value})

    row = next(row for row in loaded.rows() if row.key == key)

    assert (shown, f"option {config.option_name(key)}") == (row.value, row.origin)
    assert config.declared()[key].when == row.when
    assert row.default == next(row for row in load().rows() if row.key == key).value


def test_a_choice_offers_the_words_of_its_type() -> None:
    form = config.declared()["log.level"].form

    assert isinstance(form, Choice)
    assert ("debug", "info", "warning", "error") == form.words


def test_the_reference_page_is_in_step() -> None:
    assert 0 == config.main(["--check"], path=PAGE), "run `python -m tenure.config`"


def test_the_check_fails_if_the_page_differs_or_is_absent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = Path("page.md")

    absent = config.main(["--check"], path=page)
    written = config.main([], path=page)
    same = config.main(["--check"], path=page)
    page.write_text(page.read_text(encoding="utf-8") + "x", encoding="utf-8")
    differs = config.main(["--check"], path=page)

    assert [1, 0, 0, 1] == [absent, written, same, differs]
    assert "page.md is not in step" in capsys.readouterr().err


def test_an_unknown_argument_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    status = config.main(["--help"], path=Path("page.md"))

    assert 2 == status
    assert not Path("page.md").exists()
    assert capsys.readouterr().err.startswith("usage:")


def test_the_example_on_the_reference_page_loads() -> None:
    example = config.reference_page().split("```toml\n")[1].split("```")[0]

    settings = load(example).settings

    assert tomllib.loads(example)["worker"]["slots"] == settings.worker.slots


@pytest.mark.parametrize(
    "name",
    [
        "TENURE_SERVICE_HOST",
        "TENURE_PORT",
        "TENURE_PORT_8080_TCP_ADDR",
        "TENURE_API_SERVICE_PORT_HTTP",
    ],
)
def test_what_kubernetes_says_of_a_service_is_no_setting(name: str) -> None:
    configuration = config.load(environment={name: "tcp://10.0.0.1:80"})

    assert config.load(environment={}).settings == configuration.settings
