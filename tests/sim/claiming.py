"""What must be true of a claim as a whole: its size, its order, and what came before it.

Called by the checker with the tasks that one statement has claimed, as they were before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.kernel.states import State
from tests.sim.audit import Deed, Row

if TYPE_CHECKING:
    from tests.sim.world import World


def check(world: World, deed: Deed, claimed: list[Row]) -> None:
    """Check one claim."""
    _check_room(world, deed, claimed)
    _check_order(world, deed, claimed)
    _check_unheard(world, deed, claimed)


def _check_room(world: World, deed: Deed, claimed: list[Row]) -> None:
    """It brings no more than was asked for."""
    cost = sum(min(row.cost, deed.slots) for row in claimed)
    if len(claimed) > deed.limit or cost > deed.spare:
        world.blame(f"{len(claimed)} tasks of cost {cost} were claimed by {deed}")
    world.worker(deed.worker_id).check_accounts()


def _check_order(world: World, deed: Deed, claimed: list[Row]) -> None:
    """Nothing that is due and was left behind is more urgent than what was taken."""
    last = max((row.lane, row.run_at_us) for row in claimed)
    for row in world.checker.tasks.values():
        if (
            row.state == State.PENDING
            and row.queue == claimed[0].queue
            and row.run_at_us <= deed.now_us
            and (row.lane, row.run_at_us) < last
        ):
            world.blame(f"{row.id} is more urgent than what was claimed by {deed}")


def _check_unheard(world: World, deed: Deed, claimed: list[Row]) -> None:
    """Before a claimer claims again it has given back what it did not hear of."""
    heard = world.heard(deed.host)
    now_claimed = {(row.tenant, row.id) for row in claimed}
    for row in world.checker.running(deed.worker_id):
        key = (row.tenant, row.id)
        if row.queue != claimed[0].queue or key in now_claimed:
            continue
        if (*key, row.claim_no) not in heard:
            world.blame(f"{row.id}/{row.claim_no} was claimed and forgotten by {deed.host}")
