"""Start an adapter: `call_peer.py peer_huey drain 1000`.

A file of its own, so that the adapter's handlers live in a module that a worker can import.
"""

from __future__ import annotations

import importlib
import sys

import adapter

if __name__ == "__main__":
    module = importlib.import_module(sys.argv[1])
    adapter.main(module.Adapter(), sys.argv[2:])
