"""What can be asked about the health of a store."""

from __future__ import annotations

from tenure.service.program import Program
from tenure.store import health


def server() -> Program[dict[str, str]]:
    """Return the version and the settings that durability hangs on, by name.

    On SQLite `version`, `journal_mode` and `synchronous`; on PostgreSQL `version`,
    `synchronous_commit`, `fsync`, `full_page_writes`, `read_only` and `schema`.
    """
    found: dict[str, str] = yield health.server()
    return found
