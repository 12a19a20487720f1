"""The handlers of the simulated tasks: each does what its payload tells it, start by start.

A task carries *moves*, words such as ``fail:20`` (the number is in milliseconds). Its first start
makes the first move, and so on; the last move stands for all that follow. Starts are counted in
the ledger, because snoozing and releasing give attempts back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tenure.kernel.errors import ConflictError
from tenure.kernel.model import NewTask, TaskId
from tenure.kernel.outcome import Cancelled, Completed, Snoozed, Waiting
from tenure.kernel.ports import Statement, Steps, Verb, transaction
from tenure.kernel.retry import Exponential, Fixed, RetryPolicy
from tenure.sdk.context import TaskContext, context
from tenure.sdk.next_run import Next
from tenure.sdk.payload import encode_json
from tenure.sdk.retrying import GiveUp, RetryLater
from tenure.sdk.task import Registry
from tenure.sdk.when import every
from tenure.store import tasks
from tests.sim.ledger import HandlerRun

if TYPE_CHECKING:
    from tests.sim.workers import SimWorker
    from tests.sim.world import World

MS = 1_000
RESULT_PAD = 600  # over the inline bound of every plan
STUBBORN_MS_MAX = 2_000
TIMEOUT_MS = 1_500
HEARTBEAT_MS = 700
FOREVER_MS = 600_000

# The worker on whose host the present coroutine runs.
ACTING: ContextVar[SimWorker] = ContextVar("acting_worker")

# What is kept of a task's retries is bounded, so that a run comes to rest.
QUICK = RetryPolicy(attempts_max=4, backoff=Exponential(base_us=300 * MS), delay_max_us=2_000 * MS)
PICKY = RetryPolicy(attempts_max=3, backoff=Fixed(delay_us=100 * MS), never_on=(ValueError,))

KINDS = ("plain", "timed", "beating", "picky", "rare")


class TroubleInHandler(Exception):  # noqa: N818 - a user may name his errors as he likes
    """An error of the user's."""


def _registry(*, knows_all: bool) -> Registry:
    made = Registry()

    async def plain(moves: list[str], pad: str) -> Any:
        return await _perform(moves, pad)

    async def timed(moves: list[str], pad: str) -> Any:
        return await _perform(moves, pad)

    async def beating(moves: list[str], pad: str) -> Any:
        return await _perform(moves, pad)

    async def picky(moves: list[str], pad: str) -> Any:
        return await _perform(moves, pad)

    async def rare(moves: list[str], pad: str) -> Any:
        return await _perform(moves, pad)

    made.task(retry=QUICK)(plain)
    made.task(retry=QUICK, timeout=TIMEOUT_MS / 1000)(timed)
    made.task(retry=QUICK, heartbeat=HEARTBEAT_MS / 1000)(beating)
    made.task(retry=PICKY, queue="narrow")(picky)
    if knows_all:
        made.task(retry=QUICK)(rare)
    return made


async def _perform(moves: list[str], pad: str) -> Any:
    """Note the start, make the move, note the end."""
    worker = ACTING.get()
    world = worker.world
    ctx = context()
    claim = ctx._claim
    key = (claim.tenant, claim.id, claim.claim_no)
    loop = world.loop
    run = HandlerRun(
        key=key,
        host=worker.host,
        cost=min(claim.cost, world.plan.settings.worker.slots),
        began_us=loop.now_us,
        frozen_before_us=worker.host.frozen_us,
        timeout_us=claim.timeout_us,
    )
    before = world.ledger.begin(run)
    world.counts.handler_runs += 1
    _check_start(world, worker, run, pad)
    _check_state(world, ctx)
    move = moves[min(before, len(moves) - 1)]
    world.note(worker.host, f"starts {claim.id}/{claim.claim_no} {move}")
    how = "raised"
    try:
        value = await _move(world, ctx, move)
        how = "returned"
        if isinstance(value, Next):
            run.handed = b'{"v":1,"s":%b}'.__mod__(encode_json(value.state, what="state")).decode()
    except asyncio.CancelledError:
        how = "cut short"
        raise
    finally:
        world.ledger.end(run, how, loop.now_us)
        if not world.ledger.is_closed:
            world.note(worker.host, f"ends {claim.id}/{claim.claim_no} {how}")
    return value


def _check_start(world: World, worker: SimWorker, run: HandlerRun, pad: str) -> None:
    owner = world.checker.claimed_by.get(run.key)
    if owner != worker.worker_id:
        world.blame(f"{run.key} was started by {worker.host} and claimed by {owner}")
    if world.ledger.repeated:
        world.blame(f"claims were started twice: {world.ledger.repeated}")
    slots = world.plan.settings.worker.slots
    load = world.ledger.load(worker.host)
    if load > slots:
        world.blame(f"{worker.host} runs {load} on {slots} slots")
    if pad != "x" * len(pad):
        world.blame(f"{run.key} was started with a spoilt payload")


def _check_state(world: World, ctx: TaskContext) -> None:
    """A handler sees the state that its task was given."""
    row = world.checker.tasks.get((ctx.tenant, ctx.task_id))
    if row is None or row.claim_no != ctx._claim.claim_no:
        return  # The claim is gone, and whoever runs on will hear of it.
    given = None if row.carry is None else json.loads(row.carry)["s"]
    if ctx.state != given:
        world.blame(f"{ctx.task_id} sees the state {ctx.state}, and was given {given}")


async def _move(world: World, ctx: TaskContext, move: str) -> Any:
    word, _, number = move.partition(":")
    ms = int(number or 0)
    steps: dict[str, Callable[[], Any]] = {
        "stubborn": lambda: _ignore_cancelling(world, ms),
        "progress": lambda: _tell_progress(ctx, ms),
        "polite": lambda: _until_asked(ctx, ms),
        "beats": lambda: _beat(ctx, ms),
    }
    if word in steps:
        value = await steps[word]()
        return value or _result(ctx)
    if ms:
        await asyncio.sleep(ms / 1000)
    return _end(ctx, word)


def _end(ctx: TaskContext, word: str) -> Any:
    if word in FAILURES:
        raise FAILURES[word]()
    if word in OUTCOMES:
        return OUTCOMES[word]
    if word in NEXTS:
        return NEXTS[word](ctx)
    if word in PADS:
        return _result(ctx, pad="y" * PADS[word])
    return _completed_with_more(ctx, is_bad=word == "also_bad")


def _result(ctx: TaskContext, *, pad: str = "") -> dict[str, Any]:
    return {"task": ctx.task_id, "claim": ctx._claim.claim_no, "pad": pad}


def _completed_with_more(ctx: TaskContext, *, is_bad: bool) -> Completed:
    """Return a completion that makes another task in the same transaction, or cannot."""
    body = encode_json(_result(ctx), what="the result")
    if is_bad:
        return Completed(result=body, also=refuse(ctx.task_id))
    child = NewTask(
        id=TaskId(f"child-of-{ctx.task_id}-{ctx._claim.claim_no}"),
        kind="plain",
        payload=encode_json({"moves": ["ok:10"], "pad": ""}, what="the payload"),
        parent_id=TaskId(ctx.task_id),
    )
    verb: Verb[bool] = tasks.insert(child)
    return Completed(result=body, also=verb)


def _next(ctx: TaskContext, **fields: Any) -> Next[Any]:
    return Next(result=_result(ctx), state={"by": f"{ctx.task_id}/{ctx._claim.claim_no}"}, **fields)


# How a handler may end, by the word for it.
NEXTS: dict[str, Callable[[TaskContext], Next[Any]]] = {
    "next": _next,
    "next_at": lambda ctx: _next(ctx, at=ctx.scheduled_at + timedelta(seconds=3.5)),
    "next_when": lambda ctx: _next(ctx, when=every("2s")),
}
PADS = {"ok": 0, "large": RESULT_PAD, "huge": 5_000}
OUTCOMES = {
    "snooze": Snoozed(delay_us=400 * MS),
    "cancelled": Cancelled(reason="no use"),
    "wait": Waiting(on="signal"),
}
FAILURES: dict[str, Callable[[], BaseException]] = {
    "fail": lambda: TroubleInHandler("as told"),
    "value": lambda: ValueError("as told"),
    "give_up": lambda: GiveUp("as told"),
    "later": lambda: RetryLater("as told", after=0.5),
    "exit": lambda: SystemExit(3),
    "cancels_itself": asyncio.CancelledError,
}


@transaction
def refuse(task_id: str) -> Steps[None]:
    """Write something, and then find that it must not be."""
    yield Statement(
        "log_event", {"tenant": "", "id": task_id, "event": "half", "detail": "never seen"}
    )
    raise ConflictError("the follow-up is refused")


async def _ignore_cancelling(world: World, ms: int) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + ms / 1000
    while (left := until - loop.time()) > 0 and not world.ledger.is_closed:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(left)


async def _tell_progress(ctx: TaskContext, ms: int) -> None:
    for part in range(4):
        ctx.progress(part / 4, text=f"{ctx.task_id}/{ctx._claim.claim_no}")
        await asyncio.sleep(ms / 4000)


async def _until_asked(ctx: TaskContext, ms: int) -> Cancelled | None:
    for _ in range(20):
        if ctx.cancel_asked:
            return Cancelled(reason="tidily")
        await asyncio.sleep(ms / 20_000)
    return None


async def _beat(ctx: TaskContext, ms: int) -> None:
    for _ in range(max(1, ms // 300)):
        ctx.heartbeat()
        await asyncio.sleep(0.3)


# A worker of the second kind does not know the rare one.
EVERY_KIND = _registry(knows_all=True)
COMMON_KINDS = _registry(knows_all=False)
