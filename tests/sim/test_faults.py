"""Every check of the simulator fails when it should: each planted fault turns some seed red."""

from __future__ import annotations

import pytest

from tests.sim.faults import FAULTS
from tests.sim.faults_made import Fault
from tests.sim.simulation import simulate

SEEDS = range(30)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    told: list[str] = []

    with fault.planted() as plant:
        for seed in SEEDS:
            told = list(simulate(seed, plant=plant).violations)
            if any(fault.tells in violation for violation in told):
                return

    pytest.fail(f"{len(SEEDS)} seeds did not say {fault.tells!r}; the last said {told}")
