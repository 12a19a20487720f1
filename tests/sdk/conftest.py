"""Fixtures of the tests of the SDK."""

from __future__ import annotations

from tests.sdk.stores import postgres_template, postgres_url, sqlite_url, url

__all__ = ["postgres_template", "postgres_url", "sqlite_url", "url"]
