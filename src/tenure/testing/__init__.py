"""Test a year of tasks and schedules in a moment: the real platform on a clock that stands still.

`platform` and `async_platform` open a store of their own and a worker on it. Both are the real
ones, and so are your handlers; only the time is the test's. It stands until the test travels, and
then everything that comes due on the way runs, in order, each at its own moment.
"""

from __future__ import annotations

from tenure.testing.asynchronous import AsyncPlatform, async_platform
from tenure.testing.clock import now
from tenure.testing.failures import Failure
from tenure.testing.synchronous import Platform, platform

__all__ = ["AsyncPlatform", "Failure", "Platform", "async_platform", "now", "platform"]
