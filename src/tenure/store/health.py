"""The verb that asks a database how it is set up; for `tenure doctor`."""

from __future__ import annotations

from tenure.kernel.ports import Statement, Steps, read


@read
def server() -> Steps[dict[str, str]]:
    """Return the version and the settings that durability hangs on, by name."""
    found = yield Statement("describe_server", {})
    return {str(row[0]): str(row[1]) for row in found}
