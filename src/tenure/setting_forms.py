"""The forms of settings: how their values look outside, and what they are inside.

Called by `config`, which declares each setting in one of these forms, and by
`settings_sources`, which reads values through them. A duration is seconds outside and
whole microseconds inside; no float survives the door.

Whatever is shown of a URL is shown without its password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Protocol
from urllib.parse import parse_qsl

SECOND_US: Final = 1_000_000
HOUR_US: Final = 3_600 * SECOND_US
DAY_US: Final = 24 * HOUR_US
KIB: Final = 1_024
MIB: Final = 1_024 * KIB
QUOTED_CHARACTERS_MAX: Final = 120

_SECRET: Final = re.compile(r"(?<=:)(?!//).*(?=@)", re.DOTALL)
_QUERY_SECRET: Final = re.compile(r"(?<=password=)[^&]*", re.IGNORECASE)
_LOOSE_SECRET: Final = re.compile(r"(?<=password=).*", re.DOTALL | re.IGNORECASE)
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?")


class Form(Protocol):
    """How the values of a setting look outside, and which of them are accepted."""

    @property
    def unit(self) -> str:
        """The unit of a value outside, or what sort of text it is."""

    @property
    def allowed(self) -> str:
        """The bounds, in words that end the sentence "it must be ..."."""

    def parse(self, text: str) -> object:
        """Return what *text* stands for, or *text* itself if it stands for nothing."""

    def read(self, value: object) -> int | str | None:
        """Return *value* as it is kept inside, or None if it is not accepted."""

    def show(self, value: int | str) -> str:
        """Return a value from inside as people read it, with its unit, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """Seconds outside, whole microseconds inside."""

    least_us: int
    most_us: int
    zero: str = ""
    unit: str = "s"

    @property
    def allowed(self) -> str:
        """The bounds in seconds."""
        bounds = f"{_seconds(self.least_us)} to {_seconds(self.most_us)}"
        return f"a number of seconds from {bounds}{_meaning(self.zero)}"

    def parse(self, text: str) -> object:
        """Return the number, exactly as written."""
        try:
            return Decimal(text)
        except InvalidOperation:
            return text

    def read(self, value: object) -> int | None:
        """Return microseconds, of which there must be a whole number.

        A float stands for the shortest number that prints like it.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            return None
        seconds = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
        # Bounds first: a number with a huge exponent is never spelled out.
        if not seconds.is_finite() or not -1 <= seconds <= self.most_us // SECOND_US + 1:
            return None
        value_us = seconds * SECOND_US
        if value_us != int(value_us) or not self.least_us <= value_us <= self.most_us:
            return None
        return int(value_us)

    def show(self, value: int | str) -> str:
        """Return seconds, and days or hours if that is easier to read."""
        value_us = int(value)
        text = f"{_seconds(value_us)} s"
        if value_us == 0 and self.zero:
            return f"{text} ({self.zero})"
        for name, length_us in (("day", DAY_US), ("hour", HOUR_US)):
            if value_us >= length_us and value_us % length_us == 0:
                count = value_us // length_us
                return f"{text} ({count} {name}{'s' if count > 1 else ''})"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A whole number of something."""

    unit: str
    least: int
    most: int
    zero: str = ""

    @property
    def allowed(self) -> str:
        """The bounds and what is counted."""
        bounds = f"{self.least} to {self.most}"
        return f"a whole number of {self.unit} from {bounds}{_meaning(self.zero)}"

    def parse(self, text: str) -> object:
        """Return the whole number."""
        try:
            return int(text)
        except ValueError:
            return text

    def read(self, value: object) -> int | None:
        """Return *value* if it is whole and within the bounds."""
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return value if self.least <= value <= self.most else None

    def show(self, value: int | str) -> str:
        """Return the number and its unit; bytes also in KiB or MiB where that is exact."""
        text = f"{value} {self.unit}"
        if value == 0 and self.zero:
            return f"{text} ({self.zero})"
        if self.unit == "bytes":
            for name, size in (("MiB", MIB), ("KiB", KIB)):
                if int(value) >= size and int(value) % size == 0:
                    return f"{text} ({int(value) // size} {name})"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One word out of a few."""

    words: tuple[str, ...]
    unit: str = "word"

    @property
    def allowed(self) -> str:
        """The words."""
        return f"one of: {', '.join(self.words)}"

    def parse(self, text: str) -> object:
        """Return *text*."""
        return text

    def read(self, value: object) -> str | None:
        """Return the word if it is one of the few."""
        return value if isinstance(value, str) and value in self.words else None

    def show(self, value: int | str) -> str:
        """Return the word."""
        return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Yes or no, written as TOML writes it."""

    unit: str = "switch"
    allowed: str = "true or false"

    def parse(self, text: str) -> object:
        """Return the truth value; upper and lower case are alike."""
        return {"true": True, "false": False}.get(text.lower(), text)

    def read(self, value: object) -> bool | None:
        """Return *value* if it is a truth value; 0 and 1 are not."""
        return value if isinstance(value, bool) else None

    def show(self, value: int | str) -> str:
        """Return `true` or `false`."""
        return "true" if value else "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The URL of a store."""

    unit: str = "URL"
    allowed: str = (
        "sqlite:///file, sqlite:////absolute/file or postgresql://user:password@host:port/database"
        " (special characters in the password percent-encoded)"
    )

    def parse(self, text: str) -> object:
        """Return *text*."""
        return text

    def read(self, value: object) -> str | None:
        """Return the URL if a store can be found by it."""
        return value if isinstance(value, str) and _is_store_url(value) else None

    def show(self, value: int | str) -> str:
        """Return the URL without its password."""
        return mask_url(str(value))


def mask_url(url: str) -> str:
    """Return a store's URL with `***` where its passwords were."""
    head, mark, query = url.partition("?")
    return _SECRET.sub("***", head) + mark + _QUERY_SECRET.sub("***", query)


def quote(value: object) -> str:
    """Return a refused value as an error shows it: short, and without what may be a password.

    Nothing is known of the value, so everything between a colon and the last `@` goes,
    and everything after `password=`. A URL pasted into the wrong place leaks nothing.
    """
    text = value if isinstance(value, str) else f"{value}"
    text = _LOOSE_SECRET.sub("***", _SECRET.sub("***", text))
    if len(text) > QUOTED_CHARACTERS_MAX:
        text = text[:QUOTED_CHARACTERS_MAX] + "..."
    return f"'{text}'" if isinstance(value, str) else text


def _is_store_url(text: str) -> bool:
    if any(character.isspace() for character in text):
        return False
    scheme, mark, rest = text.partition("://")
    if scheme == "sqlite":
        return rest.startswith("/") and rest not in ("/", "//", "/:memory:")
    if scheme not in ("postgresql", "postgres") or not mark:
        return False
    before, _, query = rest.partition("?")
    authority, _, database = before.partition("/")
    # A raw `/`, `?` or `#` in a password moves its end into another part of the URL, where it
    # would be taken for something else and shown. Those parts are therefore held to their form.
    if "@" in database or "#" in rest:
        return False
    hosts = authority.rpartition("@")[2].split(",")
    return all(_HOST.fullmatch(host) for host in hosts) and _is_query(query)


def _is_query(query: str) -> bool:
    if not query:
        return True
    try:
        parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return False
    return True


def _seconds(value_us: int) -> str:
    whole, rest = divmod(value_us, SECOND_US)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")


def _meaning(zero: str) -> str:
    return f"; 0 means {zero}" if zero else ""
