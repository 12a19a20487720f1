"""Calendars of a client: named sets of days off, which schedules exclude."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.ics import parse_ics
from tenure.sdk.wanted import AsyncOwner, Owner
from tenure.service import calendars

Day = date | str


def document_of(days: Sequence[Day], rules: Sequence[str], ics: str | None) -> dict[str, object]:
    """Return the document of a calendar of days off, of RRULEs and of an iCalendar text.

    Raises:
        InvalidError: the iCalendar text cannot be read, or a text stands where a list should.
    """
    for field, given in (("days", days), ("rules", rules)):
        if isinstance(given, str):
            raise InvalidError(f"{field} is {given!r}; write a list: [{given!r}]", field=field)
    document: dict[str, Any] = {} if ics is None else json.loads(parse_ics(ics).text)
    dates = [day if isinstance(day, str) else day.isoformat() for day in days]
    document["dates"] = [*document.get("dates", ()), *dates]
    document["rules"] = [*document.get("rules", ()), *rules]
    return {name: entries for name, entries in document.items() if entries}


class Calendars:
    """What a `Client` knows of calendars: `client.calendars`."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def put(
        self, name: str, days: Sequence[Day] = (), *, rules: Sequence[str] = (),
        ics: str | None = None,
    ) -> int:  # fmt: skip
        """Store a calendar, in place of an older one; return how many schedules it moves.

        *days* are dates, ISO texts, or ranges such as ``"2026-12-24/2027-01-01"``; *rules* are
        RRULEs of days; *ics* is the text of an iCalendar file.

        Raises:
            InvalidError, LimitError: something in it breaks a rule.
        """
        document = document_of(days, rules, ics)
        return self._owner.run(
            calendars.put(self._owner.tenant, name, document, self._owner.settings)
        )

    def get(self, name: str) -> dict[str, Any]:
        """Return the document of a calendar; NotFoundError if there is none."""
        return _document(self._owner.run(calendars.get(self._owner.tenant, name)).document)

    def names(self, *, after: str = "", limit: int = 50) -> list[str]:
        """Return a page of names; the next page is after the last."""
        found = calendars.find(
            self._owner.tenant, self._owner.settings, after_name=after, limit=limit
        )
        return [calendar.name for calendar in self._owner.run(found)]

    def delete(self, name: str) -> None:
        """Delete a calendar.

        Raises:
            NotFoundError: there is none by that name.
            ConflictError: a schedule excludes it.
        """
        self._owner.run(calendars.delete(self._owner.tenant, name, self._owner.settings))


class AsyncCalendars:
    """What an `AsyncClient` knows of calendars: `client.calendars`; see `Calendars`."""

    def __init__(self, owner: AsyncOwner) -> None:
        self._owner = owner

    async def put(
        self, name: str, days: Sequence[Day] = (), *, rules: Sequence[str] = (),
        ics: str | None = None,
    ) -> int:  # fmt: skip
        """Store a calendar, in place of an older one; return how many schedules it moves."""
        document = document_of(days, rules, ics)
        return await self._owner.run(
            calendars.put(self._owner.tenant, name, document, self._owner.settings)
        )

    async def get(self, name: str) -> dict[str, Any]:
        """Return the document of a calendar; NotFoundError if there is none."""
        found = await self._owner.run(calendars.get(self._owner.tenant, name))
        return _document(found.document)

    async def names(self, *, after: str = "", limit: int = 50) -> list[str]:
        """Return a page of names; the next page is after the last."""
        found = calendars.find(
            self._owner.tenant, self._owner.settings, after_name=after, limit=limit
        )
        return [calendar.name for calendar in await self._owner.run(found)]

    async def delete(self, name: str) -> None:
        """Delete a calendar; see `Calendars.delete`."""
        await self._owner.run(calendars.delete(self._owner.tenant, name, self._owner.settings))


def _document(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    return document
