"""Where a PostgreSQL database is and how we speak to it; shared by both of its drivers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """What to connect to.

    Without `durable` a commit is answered before it is on disk (`synchronous_commit = off`).
    Without `prepare` no statement is prepared, as PgBouncer in transaction mode needs it, and
    no setting is sent at connection time. With `listen` sleeping workers are woken by notices;
    without, they look by themselves.
    """

    url: str
    durable: bool
    pool_max: int
    prepare: bool
    listen: bool
    connect_s: float
    probe_us: int
    patience_us: int

    @property
    def server_settings(self) -> dict[str, str]:
        """Settings of a session, sent when it connects."""
        if not self.prepare:
            return {}
        settings = {
            "application_name": "tenure",
            # Planned once: with a table full of future rows the planner thinks each new plan
            # worth its while, and planning a claim takes longer than the claim.
            "plan_cache_mode": "force_generic_plan",
            # Every statement of ours goes by an index, and a batch goes row by row in the order
            # it is given in, so that two batches lock the same rows in the same order.
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
        }
        if not self.durable:
            settings["synchronous_commit"] = "off"
        return settings
