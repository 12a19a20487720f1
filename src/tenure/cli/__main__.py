"""`python -m tenure.cli` is `tenure`, where no script is on the path."""

from __future__ import annotations

from tenure.cli.main import main

if __name__ == "__main__":
    main()
