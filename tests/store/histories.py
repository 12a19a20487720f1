"""How machines that make random histories are run: on both stores, and on one with a fault."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import Phase, settings as profile
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.store.conftest import THOROUGH, Drivers
from tests.store.drivers import Driver
from tests.store.faults import open_beside, statement_fault, without

Machine = Callable[[list[Driver]], RuleBasedStateMachine]


def run_histories(machine: Machine, stores: list[Driver], settings: profile) -> None:
    """Run histories of a machine on stores."""
    run_state_machine_as_test(
        lambda: machine(stores),  # type: ignore[arg-type] # it takes whatever makes a machine
        settings=settings,
    )


def run_on_both(machine: Machine, drivers: Drivers, gate: profile) -> None:
    """Run histories on both stores: as many as the gate has, or the thorough profile."""
    is_thorough = profile.get_current_profile_name() == THOROUGH
    run_histories(
        machine,
        [drivers.emptied("apsw_sync"), drivers.emptied("psycopg")],
        profile.get_profile(THOROUGH) if is_thorough else gate,
    )


def assert_fault_found(
    machine: Machine, drivers: Drivers, gate: profile, *, statement: str, old: str, new: str
) -> None:
    """Check that random histories find a fault planted in a statement of SQLite."""
    sound = drivers.emptied("apsw_sync")
    fault = without(statement, {"sqlite": old}, new, check=run_histories)
    with statement_fault(fault, "sqlite"):
        faulty = open_beside(sound)
        # To make the history short would take longer than to find it.
        settings = profile(
            gate,
            max_examples=1_000,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            print_blob=False,
        )
        try:
            with pytest.raises(AssertionError):
                run_histories(machine, [faulty], settings)
        finally:
            faulty.close()
