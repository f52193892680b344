"""The journey of a calendar year: its notice is loaded, or corrected, and every running clock that it touches is reckoned anew,
told, and moved to its new place in the queue.

The notice is committed first, the clocks follow in batches: a killed run goes on with the same file, and the worker looks
again for a day at what other processes started from the calendar they still held.
"""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app import audit, calendar, clocks, work
from app.calendar import YearFile
from app.clocks import Changed
from app.triage import House

_LOOKED_AGAIN = timedelta(hours=26)
# How far a holiday at the turn of the year reaches back: dates beside the due date are looked at too.
_REACH = timedelta(days=15)


@dataclass(frozen=True)
class Redated:
    """stored: False where the year stood there just so; its clocks were looked at all the same."""

    stored: bool
    changed: list[Changed]


async def load_year(house: House, told: YearFile, *, replace: bool, actor: str) -> Redated:
    """Raises Conflict where another notice of that year is loaded and is not to be replaced."""
    async with house.database.transaction() as connection:
        stored = await calendar.store(connection, told, replace=replace)
        if stored:
            await audit.record(connection, actor, "load", "calendar", [told.year], purpose=told.source)
    since = min([date(told.year, 1, 1), *told.days])
    return Redated(stored, await _redate(house, since, actor=actor, cause=f"{told.year}：{told.source}"))


async def catch_up(house: House, now: datetime) -> list[Changed]:
    """Clocks that touch a year loaded since yesterday, whoever loaded it. Nothing to do is one look."""
    async with house.database.connection() as connection:
        years = [
            r["year"] for r in await connection.fetch("SELECT year FROM calendar_year WHERE loaded_at > $1", now - _LOOKED_AGAIN)
        ]
    if not years:
        return []
    return await _redate(house, date(min(years), 1, 1), actor="worker", cause="、".join(map(str, sorted(years))))


async def _redate(house: House, since: date, *, actor: str, cause: str) -> list[Changed]:
    async with house.database.connection() as connection:
        house.calendar = await calendar.load(connection, house.calendar.terms)
    changed: list[Changed] = []
    after: uuid.UUID | None = None
    while True:
        async with house.database.transaction() as connection:
            found, after = await clocks.recompute(
                connection, house.calendar, since - _REACH, actor=actor, cause=cause, after=after
            )
            if found:
                await work.redate(connection, list({one.matter_id for one in found}))
        changed += found
        if after is None:
            return changed
