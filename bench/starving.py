"""`make bench-starving`: mediators who can't keep up, for half a year of working days: how long which priority waits, by the real claims.

Each complaint has the term of acceptance by the calendar (7 working days). Time is moved, not waited for: arrivals are dated, and how near an
item's end must be is told to work.claim from the day that is played. Each mix is played with the share for the least urgent and without it.
In the bundled database in bench/.work.
"""

import asyncio
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app import calendar, work
from app.calendar import SHANGHAI, Calendar
from app.database import Connection, Database
from app.embedded import EmbeddedPostgres
from app.identity import Principal
from bench import corpus

# The days hold two long weekends and the eight days of the National Day.
FIRST, DAYS = date(2026, 5, 6), 120
MEDIATORS, EACH_A_DAY = 8, 5
CLAIMED = MEDIATORS * EACH_A_DAY
OVERLOAD = 1.3
_OPENS = time(9)
_EVERY = timedelta(hours=8) / CLAIMED
_NEVER = timedelta(days=-36_500)
PEOPLE = [Principal(f"m{n}", True, frozenset({"mediator"}), ("42",), (), ()) for n in range(MEDIATORS)]


@dataclass(frozen=True)
class Mix:
    """shares: priority -> of what arrives. keeps: less of priority 0 arrives than the quarter of what is claimed."""

    name: str
    shares: dict[int, float]

    @property
    def least(self) -> float:
        """What arrives of priority 0, of what is claimed."""
        return self.shares.get(0, 0) * OVERLOAD

    @property
    def keeps(self) -> bool:
        return self.least < 1 / work.LAST_SHARE


MIXES = (
    Mix("60 % urgent", {0: 0.15, 1: 0.25, 2: 0.15, 3: 0.15, 4: 0.15, 6: 0.15}),
    Mix("nearly all urgent", {0: 0.05, 3: 0.35, 4: 0.35, 6: 0.25}),
    Mix("just below the quarter", {0: 0.18, 1: 0.22, 2: 0.2, 4: 0.2, 6: 0.2}),
    Mix("twice the quarter", {0: 0.4, 2: 0.3, 4: 0.15, 6: 0.15}),
)


@dataclass
class Played:
    """waits: priority -> (days, past its term) of everything that arrived, unclaimed ones as they stand on the last day."""

    waits: dict[int, list[tuple[float, bool]]]

    def of(self, priority: int) -> tuple[float, float, float]:
        """Median and longest wait in days, share past the term."""
        waits = self.waits[priority]
        return statistics.median(w for w, _ in waits), max(w for w, _ in waits), sum(late for _, late in waits) / len(waits)


def working_days(days: Calendar) -> list[date]:
    found = [FIRST]
    while len(found) < DAYS:
        found.append(days.add_working_days(found[-1], 1))
    return found


def arrivals(mix: Mix, day: date, days: Calendar, chance: random.Random) -> list[dict[str, Any]]:
    """What came in before the day began; as many as in real life, now more, now fewer."""
    opens = datetime.combine(day, _OPENS, SHANGHAI)
    due_at = calendar.due(days, "complaint.accept", day).due_at
    count = round(chance.gauss(CLAIMED * OVERLOAD, (CLAIMED * OVERLOAD) ** 0.5))
    return [
        {"track": "t1", "district": "420106", "priority": p, "due_at": due_at, "received_at": opens}
        for p in chance.choices(list(mix.shares), list(mix.shares.values()), k=max(count, 0))
    ]


async def play(
    connection: Connection, mix: Mix, days: Calendar, matter_ids: Sequence[Any], last_call: timedelta, tick: Any
) -> Played:
    chance = random.Random(12315)
    random.seed(12315)  # the turns in work.claim
    await connection.execute("DELETE FROM lease; DELETE FROM ready; DELETE FROM work_item")
    free = iter(matter_ids)
    open_items: dict[Any, dict[str, Any]] = {}
    waits: dict[int, list[tuple[float, bool]]] = {p: [] for p in mix.shares}

    def note(item: dict[str, Any], at: datetime) -> None:
        waits[item["priority"]].append(((at - item["received_at"]) / timedelta(days=1), at > item["due_at"]))

    at = datetime.combine(FIRST, _OPENS, SHANGHAI)
    for number, day in enumerate(working_days(days)):
        items = [{**item, "matter_id": next(free)} for item in arrivals(mix, day, days, chance)]
        await work.enqueue(connection, items)
        open_items |= {i["matter_id"]: i for i in items}
        if number % 10 == 9:  # as autovacuum would, had the days their length
            await connection.execute("VACUUM ANALYZE ready")
        at = datetime.combine(day, _OPENS, SHANGHAI)
        for turn in range(CLAIMED):
            at += _EVERY
            shifted = max(last_call + (at - datetime.now(UTC)), _NEVER)
            rows = await work.claim(
                connection, "t1", PEOPLE[turn % MEDIATORS], limit=1, lease_seconds=8 * 3600, last_call=shifted
            )
            for row in rows:
                note(open_items.pop(row["matter_id"]), at)
        tick()
    for item in open_items.values():
        note(item, at)
    return Played(waits)


def shown(mix: Mix, kept: Played, bare: Played) -> Table:
    table = Table(
        "priority", "arrived", "median", "longest", "past its term", "median", "longest", "past its term",
        title=f"{mix.name}: of what is claimed, {mix.least:.0%} arrives with priority 0. Days; with the share kept, and without it",
    )  # fmt: skip
    for priority in sorted(mix.shares):
        cells = [f"{v:.1f}" if n < 2 else f"{v:.1%}" for played in (kept, bare) for n, v in enumerate(played.of(priority))]
        table.add_row(str(priority), str(len(kept.waits[priority])), *cells)
    return table


async def simulate(database: EmbeddedPostgres) -> list[tuple[Mix, Played, Played]]:
    days = calendar.shipped_calendar()
    owner = Database(database.url("owner"), pool_size=1)
    found = []
    async with owner.connection() as connection:
        await connection.execute("SET synchronous_commit = off")
        count = int(CLAIMED * OVERLOAD * DAYS * 1.1)
        # One letter's worth of row each, the least the schema lets be a matter.
        await connection.execute(
            "WITH l AS (INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, history, state) "
            "SELECT gen_random_uuid(), 'bench', n::text, '', '', 1, 'app', now(), now(), false, 'triaged' FROM generate_series(1, $1::int) n RETURNING id) "
            "INSERT INTO matter (id, letter_id, sequence, lane, kind, kind_probability, source, channel, issues, demands, reading, terms, term_weights, "
            "place_tokens, district, received_at, event_at, history, state, authority, as_of, track) SELECT gen_random_uuid(), id, 1, 'complaint', 'complaint', "
            "1, 'bench', 'app', '{}', '{}', '{}', '{}', '{}', '{}', '420106', now(), now(), false, 'pending_acceptance', 'bureau', now(), 't1' FROM l",
            count,
        )  # fmt: skip
        matter_ids = [r["id"] for r in await connection.fetch("SELECT id FROM matter")]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bars:
            for mix in MIXES:
                task = bars.add_task(mix.name, total=2 * DAYS)
                played = [
                    await play(connection, mix, days, matter_ids, last_call, lambda t=task: bars.advance(t))
                    for last_call in (work.LAST_CALL, _NEVER)
                ]
                found.append((mix, *played))
    await owner.close()
    return found


def main() -> None:
    database = corpus.start()
    try:
        asyncio.run(corpus.seed(database))
        found = asyncio.run(simulate(database))
    finally:
        database.stop()
    console = Console()
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d}: {MEDIATORS} mediators claim {CLAIMED} a working day, {OVERLOAD} times as much arrives, {DAYS} working days"
    )
    failed = []
    for mix, kept, bare in found:
        console.print(shown(mix, kept, bare))
        late = sum(past for _, past in kept.waits[0])
        if mix.keeps:
            console.print(f"priority 0: {late} past their term, bar 0: {'met' if not late else 'MISSED'}")
            failed += [mix.name] if late else []
        else:
            console.print("more than the share kept for it arrives: no order keeps all terms when more arrives than is done")
    if failed:
        sys.exit(f"the least urgent starved: {', '.join(failed)}")


if __name__ == "__main__":
    main()
