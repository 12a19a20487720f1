"""What a handler returns to say something about the next run of its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from tenure.sdk.when import When

R = TypeVar("R")


class Unchanged:
    """The type of `UNCHANGED`."""

    def __repr__(self) -> str:
        return "UNCHANGED"


# The state of a run that says nothing about it.
UNCHANGED: Final = Unchanged()


@dataclass(frozen=True, slots=True, kw_only=True)
class Next(Generic[R]):
    """What a handler returns to say more than its result: ``return Next(state=cursor)``.

    *state* is handed to the next run of the schedule; unless given it stays as it was, and a run
    that fails leaves it as it was in any case. *at* is when the next run is, in place of the
    rule's next. *when* is the rule from now on.
    """

    result: R | None = None
    state: object = UNCHANGED
    at: datetime | None = None
    when: When | None = None
