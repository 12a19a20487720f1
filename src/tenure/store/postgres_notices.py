"""LISTEN and NOTIFY: a channel that notices its own death, and a brake for senders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from tenure.kernel.ports import ANYTHING, Clock
from tenure.store.postgres_options import PostgresOptions

CHANNEL = "tenure"
PROBE = "probe:"
PAUSE_US = 5_000
RECONNECT_US = 1_000_000
NEVER_US = 3_600_000_000


class NoticeChannel:
    """One connection that listens.

    Such a connection can die without a word, so it sends itself a note now and then and is
    replaced if the note does not come. Whoever sleeps meanwhile looks by himself every second.
    """

    def __init__(self, options: PostgresOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self._tell: Callable[[str], None] | None = None
        self._probes = 0
        self._heard = asyncio.Event()

    async def watch(self, tell: Callable[[str], None]) -> int:
        """Connect if need be, else prove that the channel lives. Return when to come again."""
        if not self._options.listen:
            return NEVER_US
        self._tell = tell
        try:
            if self._connection is None or self._connection.is_closed():
                await self._connect()
                tell(ANYTHING)  # what was said while nobody listened
            elif not await self._probe():
                await self.close()
                return 0
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await self.close()
            return RECONNECT_US
        return self._options.probe_us

    async def close(self) -> None:
        """Drop the connection without waiting for a server that may not answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connect(self) -> None:
        connection = await asyncpg.connect(
            self._options.url,
            timeout=self._options.connect_s,
            statement_cache_size=0,
            server_settings=self._options.server_settings,
        )
        await connection.add_listener(CHANNEL, self._hear)
        self._connection = connection

    async def _probe(self) -> bool:
        assert self._connection is not None
        self._probes += 1
        self._heard.clear()
        note = f"{PROBE}{id(self)}:{self._probes}"
        patience_s = self._options.patience_us / 1_000_000
        async with asyncio.timeout(patience_s):
            await self._connection.execute(f"NOTIFY {CHANNEL}, '{note}'")
        try:
            async with asyncio.timeout(patience_s):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        topic = str(payload)
        if topic.startswith(PROBE):
            if topic.startswith(f"{PROBE}{id(self)}:"):
                self._heard.set()
        elif self._tell is not None:
            self._tell(topic)


class NoticeThrottle:
    """Lets a topic through once in a few milliseconds; what it holds back is sent after that.

    A commit with a notice waits for all others that have one, so a burst of inserts sends one at
    its start, one every few milliseconds, and one soon after its end.
    """

    def __init__(self, clock: Clock, *, pause_us: int = PAUSE_US) -> None:
        self._pause_us = pause_us
        self._clock = clock
        self._sent_us: dict[str, int] = {}
        self._held_us: dict[str, int] = {}

    def allows(self, topic: str) -> bool:
        """Return whether the topic may be sent now; if so, it counts as sent."""
        now_us = self._clock.monotonic_us()
        if now_us - self._sent_us.get(topic, -self._pause_us) < self._pause_us:
            return False
        if len(self._sent_us) > 1000:
            self._sent_us.clear()
        self._sent_us[topic] = now_us
        return True

    def hold(self, topic: str) -> bool:
        """Note that what the topic tells of is written, untold.

        Return whether the caller must now `follow`; otherwise somebody does so already.
        """
        must_follow = topic not in self._held_us
        self._held_us[topic] = self._clock.monotonic_us()
        return must_follow

    async def follow(self, topic: str) -> bool:
        """Wait for a chance that others tell of what was held back. Return whether none did."""
        try:
            while True:
                began_us = self._clock.monotonic_us()
                await self._clock.sleep(self._pause_us)
                sent_us = self._sent_us.get(topic, -1)
                if sent_us > self._held_us[topic]:
                    return False
                if sent_us <= began_us:
                    self._sent_us[topic] = self._clock.monotonic_us()
                    return True
        finally:
            del self._held_us[topic]
