"""A host's way to the database, with every trouble that can lie on it.

`SimStore` wraps a real `SqliteStore`: it may refuse a verb before it, between any two of its
statements and before the commit, kill the host at any of these places and after the commit, and
lose or delay the answer. `watch` drops, repeats and delays notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from tenure.kernel.errors import StoreBusyError, TenureError
from tenure.kernel.ports import Batch, Mode, Rows, Script, Step, Verb
from tenure.store.sqlite import SqliteStore
from tenure.store.sqlite_session import SqliteOptions
from tests.sim.audit import DEED_FUNCTION, Deed
from tests.sim.clocks import SECOND_US
from tests.sim.ledger import ClaimKey
from tests.sim.loop import Host, HostDiedError

if TYPE_CHECKING:
    from tests.sim.world import World

T = TypeVar("T")

# No verb has more statements than this that are worth being struck between.
STATEMENTS_MAX = 6


class TroubleError(StoreBusyError):
    """A refusal that the simulator made up."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What will happen to one run of a verb."""

    delay_before_us: int = 0
    delay_after_us: int = 0
    refuse: bool = False
    strike_at: int = -1  # before which statement; after the last one if there are fewer
    strike_kills: bool = False
    lose: bool = False
    die_after: bool = False


CALM = Fate()


class AuditedStore(SqliteStore):
    """The real store, which tells when it has committed."""

    def __init__(self, options: SqliteOptions, world: World) -> None:
        super().__init__(options, world.store_clock)
        self._world = world
        connection = self._session.connection
        connection.create_scalar_function(DEED_FUNCTION, lambda *_: world.current_deed(), 0)
        for name, edit in world.plant.statements.items():
            compiled = self._session._statements[name]
            text = edit(compiled.text)
            assert text != compiled.text, f"the planted fault changes nothing in {name}: {text}"
            self._session._statements[name] = replace(compiled, text=text)

    def abandon(self) -> None:
        """Let go of the file as a killed process does: what is not committed is undone."""
        self._watch.close()
        self._session.connection.close(True)

    def _commit_group(self) -> None:
        super()._commit_group()
        self._world.checker.after_commit()


class SimStore:
    """What one host is given as its store."""

    def __init__(self, world: World, host: Host, path: Path, *, can_die: bool) -> None:
        settings = world.plan.settings.store
        options = SqliteOptions(
            path=path, durable=False, busy_us=settings.busy_us, watch_us=settings.watch_us
        )
        self.worker_id = ""
        self.heard: set[ClaimKey] = set()
        self.host = host
        self.is_gone = False
        self._world = world
        self._can_die = can_die
        self._inner = AuditedStore(options, world)
        host.when_dead.append(self._inner.abandon)

    async def run(self, verb: Verb[T]) -> T:
        """Run one verb, or not, or not so that anybody would know."""
        if self.is_gone:
            raise TroubleError("the simulation is over")
        world = self._world
        fate = self._draw(verb)
        try:
            if fate.delay_before_us:
                await asyncio.sleep(fate.delay_before_us / SECOND_US)
            if fate.refuse:
                raise TroubleError("refused")
            value = await self._run_inner(verb, fate)
            if fate.die_after:
                world.note(self.host, f"{verb.name} written; dies")
                await self._die()
            if fate.delay_after_us:
                await asyncio.sleep(fate.delay_after_us / SECOND_US)
            if fate.lose:
                raise TroubleError("the answer is lost")
        except TenureError as error:
            world.note(self.host, f"{verb.name}: {type(error).__name__} {str(error)[:60]}")
            raise
        self._hear(verb.name, value)
        if value or verb.mode is not Mode.READ:
            world.note(self.host, f"{verb.name} -> {_shown(value)}")
        return value

    async def watch(self, tell: Callable[[str], None]) -> int:
        """Look for notices; what is told is told late, twice or never."""
        if self.is_gone or (self._world.is_troubled and self._chance(self._world.plan.refuse)):
            raise TroubleError("refused to look for notices")
        context = copy_context()

        def tell_perhaps(topic: str) -> None:
            # The store calls back in the context of whoever committed.
            context.copy().run(self._tell, tell, topic)

        return await self._inner.watch(tell_perhaps)

    async def close(self) -> None:
        """Close the file."""
        await self._inner.close()

    async def _run_inner(self, verb: Verb[T], fate: Fate) -> T:
        if self._world.plant.splits_verbs and verb.mode is Mode.TRANSACTION:
            return await self._run_split(verb, fate)
        watched: Verb[T] = Verb(lambda: self._steps(verb, fate), mode=verb.mode, name=verb.name)
        if verb.mode is Mode.READ:
            try:
                return await self._inner.run(watched)
            except HostDiedError:
                await self._die()
        return await self._inner.run(watched)

    async def _run_split(self, verb: Verb[T], fate: Fate) -> T:
        """Run each statement in a transaction of its own: a planted fault."""
        steps = self._steps(verb, fate)
        try:
            step = next(steps)
            while True:
                rows = await self._inner.run(_alone(step, verb.name))
                step = steps.send(rows)
        except StopIteration as stop:
            value: T = stop.value
            return value
        except HostDiedError:
            await self._die()

    def _steps(self, verb: Verb[T], fate: Fate) -> Generator[Step, Rows, T]:
        steps = verb.steps
        asked = 0
        rows: Rows | None = None
        while True:
            try:
                step = next(steps) if rows is None else steps.send(rows)
            except StopIteration as stop:
                if fate.strike_at >= asked:
                    self._strike(verb, fate, asked)
                value: T = stop.value
                return value
            if fate.strike_at == asked:
                self._strike(verb, fate, asked)
            self._announce(verb, step)
            rows = yield step
            asked += 1

    def _announce(self, verb: Verb[T], step: Step) -> None:
        assert not isinstance(step, Script)
        keys: frozenset[ClaimKey] = frozenset()
        if isinstance(step, Batch) and "claim_no" in step.columns:
            columns = (step.columns[name] for name in ("tenant", "id", "claim_no"))
            keys = frozenset(
                (str(tenant), str(task_id), int(str(number)))
                for tenant, task_id, number in zip(*columns, strict=True)
            )
        asked = step.params if step.name == "claim_tasks" else {}
        self._world.begin_deed(
            lambda number: Deed(
                number=number,
                host=self.host.name,
                worker_id=self.worker_id,
                verb=verb.name,
                statement=step.name,
                keys=keys,
                now_us=self._world.store_clock.now_us(),
                **{name: int(str(asked.get(name, 0))) for name in ("limit", "spare", "slots")},
            )
        )

    def _strike(self, verb: Verb[T], fate: Fate, asked: int) -> NoReturn:
        if fate.strike_kills:
            self._world.note(self.host, f"{verb.name} dies before statement {asked}")
            raise HostDiedError
        raise TroubleError(f"refused before statement {asked}")

    async def _die(self) -> NoReturn:
        self.host.die()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("the dead do not go on")

    def _hear(self, verb_name: str, value: object) -> None:
        """Note which claims the worker knows of: those it has heard with their payloads."""
        if verb_name not in ("claim", "claim_limited", "fill_bodies"):
            return
        assert isinstance(value, list)
        if all(claim.payload for claim in value):
            self.heard.update((claim.tenant, claim.id, claim.claim_no) for claim in value)

    def _tell(self, tell: Callable[[str], None], topic: str) -> None:
        world, plan = self._world, self._world.plan
        if self.host.is_dead or self.host.is_frozen or self.is_gone:
            return
        if not world.is_troubled:
            tell(topic)
            return
        if self._chance(plan.drop_notice):
            return
        tell(topic)
        loop = asyncio.get_running_loop()
        if self._chance(plan.repeat_notice):
            loop.call_soon(tell, topic)
        if self._chance(plan.late_notice):
            loop.call_later(world.rng.uniform(0, 2), tell, topic)

    def _chance(self, chance: float) -> bool:
        return chance > 0 and self._world.rng.random() < chance

    def _draw(self, verb: Verb[Any]) -> Fate:
        plan, rng = self._world.plan, self._world.rng
        if not self._world.is_troubled:
            return CALM
        strike_kills = self._can_die and self._chance(plan.die_inside)
        strikes = strike_kills or self._chance(plan.refuse_inside)
        late = self._chance(plan.delay)
        delay_us = rng.randint(0, plan.delay_us) if late else 0
        is_before = late and rng.random() < 0.5
        return Fate(
            delay_before_us=delay_us if is_before else 0,
            delay_after_us=0 if is_before else delay_us,
            refuse=self._chance(plan.refuse),
            strike_at=rng.randrange(STATEMENTS_MAX) if strikes else -1,
            strike_kills=strike_kills,
            lose=self._chance(plan.lose),
            die_after=self._can_die and self._chance(plan.die_after),
        )


def _alone(step: Step, name: str) -> Verb[Rows]:
    def steps() -> Generator[Step, Rows, Rows]:
        rows = yield step
        return rows

    return Verb(steps, mode=Mode.SINGLE, name=name)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(_shown(each) for each in value) or "nothing"
    if isinstance(value, dict):
        return " ".join(f"{key[1]}/{key[2]}:{each}" for key, each in value.items())
    if hasattr(value, "claim_no"):
        return f"{getattr(value, 'id', '') or getattr(value, 'task_id', '')}/{value.claim_no}"
    if isinstance(value, tuple):
        return "+".join(_shown(each) for each in value)
    if isinstance(value, set | frozenset):
        return " ".join(sorted(map(str, value)))
    return str(getattr(value, "value", value))[:80]
