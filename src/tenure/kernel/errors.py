"""Every error that Tenure raises, with its stable code.

Callers catch these by class; faces and the command line translate them by `code`. The
message is one sentence that names the value and, where it is known, what to do about it.

    TenureError                      code            when
    ├─ InvalidError                  invalid         a field breaks a rule; .field
    ├─ NotFoundError                 not_found       no such task, schedule, queue or worker
    ├─ ConflictError                 conflict        the thing is not in a state that allows it
    │  ├─ TransitionError            transition      the table has no such move; .state, .event
    │  ├─ RevisionError              revision        somebody else changed it first
    │  └─ DuplicateError             duplicate       the unique key is taken; .existing_id
    ├─ LeaseLostError                lease_lost      the claim is no longer ours
    ├─ LimitError                    limit           over a declared bound; .bound
    ├─ UnknownKindError              unknown_kind    no handler is registered under the name
    ├─ TaskFailedError               task_failed     the awaited task ended without a result
    ├─ WaitTimeoutError              wait_timeout    the task had not ended when waiting stopped
    ├─ StoreError                    store           the store answered, but not as it should
    │  ├─ StoreBusyError             store_busy      try again (locked, serialization, connection)
    │  ├─ StoreDownError             store_down      cannot reach it or not write to it
    │  └─ SchemaError                schema          wrong version, drift
    └─ ConfigError                   config          a setting or an option; .key, .origin
"""

from __future__ import annotations

from typing import ClassVar


class TenureError(Exception):
    """The root of every error that Tenure raises on purpose."""

    code: ClassVar[str] = "error"


class InvalidError(TenureError):
    """A value given by the caller breaks a rule; `field` names where."""

    code: ClassVar[str] = "invalid"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(TenureError):
    """Nothing by that name or id exists, for this tenant."""

    code: ClassVar[str] = "not_found"


class ConflictError(TenureError):
    """The thing exists, but what was asked does not go with its present state."""

    code: ClassVar[str] = "conflict"


class TransitionError(ConflictError):
    """The transition table has no move for this event from this state."""

    code: ClassVar[str] = "transition"

    def __init__(self, message: str, *, state: str, event: str) -> None:
        super().__init__(message)
        self.state = state
        self.event = event


class RevisionError(ConflictError):
    """The revision that the caller read is not the newest any more."""

    code: ClassVar[str] = "revision"


class DuplicateError(ConflictError):
    """A live task holds the unique key, or a task has the id; `existing_id` is that task."""

    code: ClassVar[str] = "duplicate"

    def __init__(self, message: str, *, existing_id: str) -> None:
        super().__init__(message)
        self.existing_id = existing_id


class LeaseLostError(TenureError):
    """The claim was taken back: its lease ran out, or the task was cancelled by force."""

    code: ClassVar[str] = "lease_lost"


class LimitError(TenureError):
    """A declared bound was passed; `bound` is its value."""

    code: ClassVar[str] = "limit"

    def __init__(self, message: str, *, bound: int) -> None:
        super().__init__(message)
        self.bound = bound


class UnknownKindError(TenureError):
    """No handler is registered under this kind."""

    code: ClassVar[str] = "unknown_kind"


class TaskFailedError(TenureError):
    """The task that was waited for failed or was cancelled, so there is no result.

    `state` is the state it ended in; `error_type` and `traceback` are those of its last
    attempt, empty if it had none.
    """

    code: ClassVar[str] = "task_failed"

    def __init__(
        self, message: str, *, state: str, error_type: str = "", traceback: str = ""
    ) -> None:
        super().__init__(message)
        self.state = state
        self.error_type = error_type
        self.traceback = traceback


class WaitTimeoutError(TenureError):
    """The task had not ended when the time allowed for waiting was over. It goes on."""

    code: ClassVar[str] = "wait_timeout"


class StoreError(TenureError):
    """The store answered, but not as it should."""

    code: ClassVar[str] = "store"


class StoreBusyError(StoreError):
    """The store could not do it now; the same call may succeed in a moment."""

    code: ClassVar[str] = "store_busy"


class StoreDownError(StoreError):
    """The store cannot be reached, opened or written to."""

    code: ClassVar[str] = "store_down"


class SchemaError(StoreError):
    """The tables are not of the version that this code works with."""

    code: ClassVar[str] = "schema"


class ConfigError(TenureError):
    """A setting, an option or the application module is wrong; `key` and `origin` say where."""

    code: ClassVar[str] = "config"

    def __init__(self, message: str, *, key: str = "", origin: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.origin = origin
