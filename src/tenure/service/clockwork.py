"""The real clock, ids and chance: the only file that may ask the system for them."""

from __future__ import annotations

import asyncio
import random
import secrets
import threading
import time


class SystemClock:
    """The time of this machine."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC; may jump."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Microseconds since some start; never goes back."""
        return time.monotonic_ns() // 1000

    async def sleep(self, us: int) -> None:
        """Let other coroutines run for so long."""
        await asyncio.sleep(us / 1_000_000)

    def block(self, us: int) -> None:
        """Stop this thread for so long; for synchronous callers."""
        time.sleep(us / 1_000_000)


class Uuid7Ids:
    """Ids of RFC 9562, version 7: 48 bits of milliseconds, then ours, then chance.

    The twelve bits after the version hold the fraction of the millisecond, and an id is never
    less than the one before it from this process, so that ids made in a row sort in that order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def new(self) -> str:
        """Return a new id."""
        stamp = self._stamp(1)
        noise = secrets.token_hex(8)
        time_part = f"{stamp:015x}"
        return (
            f"{time_part[:8]}-{time_part[8:12]}-7{time_part[12:]}"
            f"-{_VARIANTS[noise[0]]}{noise[1:4]}-{noise[4:]}"
        )

    def many(self, count: int) -> list[str]:
        """Return so many new ids, in order."""
        first = self._stamp(count)
        noise = secrets.token_hex(8 * count)
        texts: list[str] = []
        millisecond, time_part = -1, ""
        for stamp, at in zip(range(first, first + count), range(0, 16 * count, 16), strict=True):
            if stamp >> 12 != millisecond:
                millisecond = stamp >> 12
                hexadecimal = f"{millisecond:012x}"
                time_part = f"{hexadecimal[:8]}-{hexadecimal[8:]}-7"
            variant = _VARIANTS[noise[at]]
            texts.append(
                f"{time_part}{stamp & 0xFFF:03x}-{variant}{noise[at + 1 : at + 4]}"
                f"-{noise[at + 4 : at + 16]}"
            )
        return texts

    def _stamp(self, count: int) -> int:
        """Take so many stamps of time, each later than all before; return the first.

        60 bits: milliseconds, then the fraction in units of 2**-12 ms.
        """
        millisecond, rest = divmod(time.time_ns(), 1_000_000)
        with self._lock:
            first = max(millisecond << 12 | (rest << 12) // 1_000_000, self._last + 1)
            self._last = first + count - 1
        return first


# Two bits of the variant are fixed, so of sixteen digits four are left.
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class SystemRng:
    """Chance for jitter; not for secrets."""

    def __init__(self) -> None:
        self._random = random.Random()

    def random(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()
