"""Keep one environment per peer, made on demand and outside of the tree.

Called by the runner before the first measurement. The directory is BENCH_VENVS, or one under
the temporary directory, and is kept, so that the next call is fast. Remove a peer's directory
to get its newest release.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = {
    "limits": ["apsw", "asyncpg", "uvloop"],
    "huey": ["huey"],
    # DBOS needs a newer SQLite than some Pythons are linked with.
    "dbos": ["dbos", "pysqlite3-binary"],
    "pgqueuer": ["pgqueuer[asyncpg,cli]", "uvloop"],
    "apscheduler": ["apscheduler>=3,<4", "sqlalchemy"],
    "celery_beat": ["celery[redis]"],
    # Together, so that all are asked in one process.
    "next_fire": ["cronsim", "croniter", "python-dateutil", "tzdata"],
    "procrastinate": ["procrastinate", "psycopg[binary,pool]", "uvloop"],
}
INSTALL_WAIT_S = 600
TENURE_VENV = Path(__file__).resolve().parent.parent / ".venv"


def directory() -> Path:
    """Return where the environments are kept."""
    kept = os.environ.get("BENCH_VENVS")
    return Path(kept) if kept else Path(tempfile.gettempdir()) / "tenure-bench-venvs"


def environment(name: str) -> Path:
    """Return the environment called *name*, made if it does not exist.

    Tenure's own is never made here: it is the checkout's `.venv`, or BENCH_TENURE_VENV.
    """
    if name == "tenure":
        return _tenure()
    place = directory() / name
    finished = place / ".finished"
    if finished.exists():
        return place
    print(f"making the environment of {name} in {place}", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    install = [place / "bin" / "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, *REQUIREMENTS[name]], check=True, timeout=INSTALL_WAIT_S)
    finished.touch()
    return place


def _tenure() -> Path:
    place = Path(os.environ.get("BENCH_TENURE_VENV", TENURE_VENV))
    if not (place / "bin" / "tenure").exists():
        raise RuntimeError(f"Tenure is not installed in {place}; make it or set BENCH_TENURE_VENV")
    return place
