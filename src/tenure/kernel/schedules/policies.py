"""What a schedule does where its rule alone leaves a choice: written down, each with a default.

| policy | choices, the default first |
| --- | --- |
| `gap`: a local time that the clocks skip | `shift` it by the gap, `skip` it |
| `fold`: a local time that comes twice | `first`, `second`, `both` |
| `missed`: instants that nobody fired in time | the `latest`, `none`, `all` of them |
| `missed_max`, `missed_within_us` | how many of them, from how long ago: 100, any time |
| `overlap`: a run is still going | `skip`, `queue_one`, `queue_all`, `cancel_old`, `allow` |
| `drift`: what an interval counts from | `rate`: its start, `delay`: the end of each run |
| `jitter_us`: how much later a run may be | 0; less than the time between two fires |
| `exclude`: names of calendars of days off | none; at most 20 |

A rule that goes by the hour or finer has `both` as the default of `fold`: an hour that the clock
shows twice is two hours to it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from tenure.kernel import validate
from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.wallclock import Fold, Gap

MISSED_MAX_MAX = 1_000
EXCLUDE_MAX = 20
JITTER_MAX_US = 86_400_000_000


class Missed(StrEnum):
    """What becomes of instants that nobody fired in time."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


class Overlap(StrEnum):
    """What a fire does while an earlier run has not ended."""

    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    QUEUE_ALL = "queue_all"
    CANCEL_OLD = "cancel_old"
    ALLOW = "allow"


# With these at most one run at a time is under way; a later one waits for its turn.
TAKES_TURNS = frozenset({Overlap.QUEUE_ONE, Overlap.QUEUE_ALL, Overlap.CANCEL_OLD})


class Drift(StrEnum):
    """From what an interval is counted."""

    RATE = "rate"
    DELAY = "delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The choices of one schedule. Without arguments, the defaults."""

    gap: Gap = Gap.SHIFT
    fold: Fold | None = None
    missed: Missed = Missed.LATEST
    missed_max: int = 100
    missed_within_us: int | None = None
    overlap: Overlap = Overlap.SKIP
    drift: Drift = Drift.RATE
    jitter_us: int = 0
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the choices, one by one and together.

        Raises:
            InvalidError: a value breaks its rule, or two contradict one another.
        """
        validate.within(self.missed_max, field="missed_max", low=1, high=MISSED_MAX_MAX)
        validate.within(self.jitter_us, field="jitter", low=0, high=JITTER_MAX_US)
        if self.missed_within_us is not None:
            validate.within(
                self.missed_within_us, field="missed_within", low=1, high=validate.DELAY_MAX_US
            )
        validate.within(len(self.exclude), field="exclude", low=0, high=EXCLUDE_MAX)
        for name in self.exclude:
            validate.name(name, field="exclude")
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        if self.missed is Missed.NONE and self.missed_within_us is not None:
            raise InvalidError(
                "missed='none' fires nothing late, so missed_within has no meaning: leave it out, "
                "or use missed='latest' or 'all'",
                field="missed_within",
            )
        if self.missed is Missed.ALL and self.overlap is Overlap.SKIP:
            raise InvalidError(
                "missed='all' makes several runs at once, and overlap='skip' drops all but the "
                "first of them: use overlap='queue_all' or 'allow', or missed='latest'",
                field="overlap",
            )
        if self.drift is Drift.DELAY and self.overlap is not Overlap.SKIP:
            raise InvalidError(
                f"drift='delay' starts a run after the end of the one before, so that none "
                f"overlap: leave overlap out instead of {self.overlap.value!r}",
                field="overlap",
            )
        if self.drift is Drift.DELAY and self.missed is not Missed.LATEST:
            raise InvalidError(
                "drift='delay' has no instants that could be missed: leave missed out instead of "
                f"{self.missed.value!r}",
                field="missed",
            )
        if self.drift is Drift.DELAY and self.missed_within_us is not None:
            raise InvalidError(
                "drift='delay' has no instants that could be missed, so missed_within has no "
                "meaning: leave it out",
                field="missed_within",
            )

    @property
    def document(self) -> dict[str, Any]:
        """What differs from the defaults, as a JSON document."""
        chosen = asdict(self)
        return {name: value for name, value in chosen.items() if value != _DEFAULTS[name]}


DEFAULT_POLICIES = Policies()
_DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(Policies)}


def policies_from(document: dict[str, Any]) -> Policies:
    """Read what `Policies.document` gave."""
    values = dict(document)
    for name, choice in (("gap", Gap), ("missed", Missed), ("overlap", Overlap), ("drift", Drift)):
        if name in values:
            values[name] = choice(values[name])
    if values.get("fold") is not None:
        values["fold"] = Fold(values["fold"])
    if "exclude" in values:
        values["exclude"] = tuple(values["exclude"])
    return Policies(**values)
