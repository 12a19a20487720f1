"""What a run of a schedule hands to the next: its state, and when that is.

State is stored as a JSON object of a version and the state itself, so that code which knows a
newer version can bring an older one up, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from tenure.kernel.errors import ConfigError, InvalidError
from tenure.kernel.outcome import Completed, Steer
from tenure.sdk.durations import instant_us
from tenure.sdk.next_run import Next, Unchanged
from tenure.sdk.payload import decode_as, encode_json

R = TypeVar("R")

Migration = Callable[[Any], Any]


class _Stored(msgspec.Struct):
    v: int
    s: msgspec.Raw


class States:
    """How the state of one kind is written and read."""

    def __init__(
        self, kind: str, *, type_: Any, version: int, migrations: Mapping[int, Migration]
    ) -> None:
        """Take the newest version and, for each older one that may be met, the step up from it.

        Raises:
            ConfigError: a step is missing or leads from no older version.
        """
        self._kind = kind
        self._type = type_
        self._version = version
        self._migrations = dict(migrations)
        if version < 1:
            raise ConfigError(
                f"kind {kind!r}: state_version is {version}; the first is 1", key=kind
            )
        wrong = sorted(set(self._migrations) - set(range(1, version)))
        if wrong:
            raise ConfigError(
                f"kind {kind!r}: a migration leads from state version {wrong[0]}, and the newest "
                f"is {version}",
                key=kind,
            )

    def encode(self, state: object) -> bytes:
        """Return a state as it is stored.

        Raises:
            InvalidError: it cannot be JSON, or cannot be read back as the kind's type.
        """
        body = encode_json(state, what=f"the state of {self._kind!r}")
        if self._type is not Any:
            decode_as(body, self._type, what=f"the state of {self._kind!r}")
        return b'{"v":%d,"s":%b}' % (self._version, body)

    def decode(self, carry: bytes | None) -> Any:
        """Return a stored state, brought up to the newest version; None if there is none.

        Raises:
            InvalidError: it is of a newer version than this code knows, or does not fit.
        """
        if carry is None:
            return None
        try:
            stored = msgspec.json.decode(carry, type=_Stored)
        except msgspec.DecodeError as error:
            raise InvalidError(
                f"the state of {self._kind!r} is not one: {error}", field="state"
            ) from None
        if stored.v > self._version:
            raise InvalidError(
                f"the state of {self._kind!r} is of version {stored.v}, and this code knows "
                f"versions up to {self._version}: run it with the newer code",
                field="state",
            )
        if stored.v == self._version:
            return decode_as(bytes(stored.s), self._type, what=f"the state of {self._kind!r}")
        state = msgspec.json.decode(stored.s)
        for version in range(stored.v, self._version):
            step = self._migrations.get(version)
            if step is None:
                raise InvalidError(
                    f"the state of {self._kind!r} is of version {version}, and there is no "
                    f"migration from it: give one, migrate_state={{{version}: ...}}",
                    field="state",
                )
            state = step(state)
        body = encode_json(state, what=f"the state of {self._kind!r}")
        return decode_as(body, self._type, what=f"the state of {self._kind!r}")


def completed(
    value: Next[Any], states: States, encode_result: Callable[[object], bytes]
) -> Completed:
    """Return the outcome of a handler that returned a `Next`.

    Raises:
        InvalidError: something in it cannot be stored.
    """
    steer = None
    if value.at is not None or value.when is not None:
        at_us = None if value.at is None else instant_us(value.at, field="at")
        steer = Steer(
            next_us=at_us, definition=None if value.when is None else value.when.definition
        )
    return Completed(
        result=encode_result(value.result),
        carry=None if isinstance(value.state, Unchanged) else states.encode(value.state),
        steer=steer,
    )
