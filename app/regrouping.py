"""The nightly journey over what is open: incidents that turned out to be one are merged, members that fit elsewhere move, groups that
share nothing as a whole come apart.

It decides on a snapshot and then moves matters in small transactions, each of which first looks whether they are still where they
were. Ids stay with whoever keeps most of their members; what a person said stands; the whole run can be undone.
"""

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app import incidents, runs
from app.database import Connection
from app.identity import new_id
from app.runs import Moved
from app.triage import House
from ml import grouping
from ml.grouping import Bindings
from ml.incidents import IDLE_GAP_DAYS, Features
from ml.progress import Progress, quiet

_FETCH = 5_000
WINDOW_DAYS = max(IDLE_GAP_DAYS.values())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """ids: the matters', in the order of `features`. homes: incident of each. fixed: rows that nothing automatic moves."""

    ids: list[uuid.UUID]
    homes: list[uuid.UUID]
    features: list[Features]
    fixed: frozenset[int]
    must: list[tuple[int, int]]
    cannot: list[tuple[int, int]]


_OPEN = f"""
SELECT m.id, im.incident_id, im.origin = 'person' OR i.pinned_by IS NOT NULL AS fixed, {incidents.FEATURES}
FROM incident i JOIN incident_membership im ON im.incident_id = i.id AND im.valid_to IS NULL AND im.is_primary
JOIN matter m ON m.id = im.matter_id
WHERE i.state <> 'closed' AND i.merged_into IS NULL AND i.last_at > $1 AND {incidents.TEACHES} ORDER BY m.event_at, m.id
"""


async def _snapshot(connection: Connection, since: datetime) -> Snapshot:
    ids: list[uuid.UUID] = []
    homes: list[uuid.UUID] = []
    features: list[Features] = []
    fixed: set[int] = set()
    async with connection.transaction(readonly=True, isolation="repeatable_read"):
        cursor = await connection.cursor(_OPEN, since)
        while rows := await cursor.fetch(_FETCH):
            fixed |= {len(ids) + n for n, r in enumerate(rows) if r["fixed"]}
            ids += [r["id"] for r in rows]
            homes += [r["incident_id"] for r in rows]
            features += [incidents.stored_features(r) for r in rows]
        must, cannot = await runs.said(connection, ids, of="incident")
    return Snapshot(ids, homes, features, frozenset(fixed), must, cannot)


async def regroup(house: House, *, actor: str, now: datetime | None = None, progress: Progress = quiet) -> dict[str, Any]:
    """Decides anew where the matters of open incidents belong. Gives {run_id, matters, moved, merged, opened, skipped}.
    skipped: groups whose matters somebody moved meanwhile; the next run sees them."""
    since = (now or datetime.now(UTC)) - timedelta(days=WINDOW_DAYS)
    async with house.database.connection() as connection:
        snapshot = await _snapshot(connection, since)
    number = {home: n for n, home in enumerate(dict.fromkeys(snapshot.homes))}
    start = [number[h] for h in snapshot.homes]
    bindings = Bindings(snapshot.must, snapshot.cannot, {row: start[row] for row in snapshot.fixed})
    scorecard = house.incident_scorecard
    labels = await asyncio.to_thread(
        grouping.group, snapshot.features, scorecard, bindings=bindings, start=start, progress=progress
    )  # fmt: skip
    kept = _keep_ids(snapshot, labels)
    groups = _changes(snapshot, labels, kept)
    async with house.database.transaction() as connection:
        run_id = await runs.open_run(connection, "regroup", actor, of="incident", parameters={"incidents": scorecard.version})
    moved = skipped = 0
    for done, group in enumerate(groups):
        target = {snapshot.ids[n]: home for n, home in group.items()}
        expected = {snapshot.ids[n]: snapshot.homes[n] for n in group}
        try:
            async with house.database.transaction() as connection:
                moved += await incidents.regroup(
                    connection, house.reader.tokeniser, run_id, target, origin="auto", actor=actor,
                    evidence={"parameters": scorecard.version}, expected=expected,
                )  # fmt: skip
        except Moved:
            skipped += 1
        progress("move", done, len(groups))
    progress("move", len(groups), len(groups))
    summary = {
        "matters": len(snapshot.ids), "moved": moved, "merged": len(set(snapshot.homes) - set(kept.values())),
        "opened": len(set(labels) - set(kept)), "skipped": skipped,
    }  # fmt: skip
    async with house.database.transaction() as connection:
        await runs.close_run(connection, run_id, summary)
    return {"run_id": run_id, **summary}


def _keep_ids(snapshot: Snapshot, labels: Sequence[int]) -> dict[int, uuid.UUID]:
    """group -> the id it keeps: the one most of its matters have. An id goes to one group only; where people fixed members it goes to
    theirs before all others. What gets none is new. Ties go to the elder id."""
    held = {(snapshot.homes[row], labels[row]) for row in snapshot.fixed}
    overlap = Counter(zip(snapshot.homes, labels, strict=True))
    kept: dict[int, uuid.UUID] = {}
    given: set[uuid.UUID] = set()
    for (home, label), _ in sorted(
        overlap.items(), key=lambda item: (item[0] not in held, -item[1], str(item[0][0]), item[0][1])
    ):
        if label not in kept and home not in given:
            kept[label] = home
            given.add(home)
    return kept


def _changes(snapshot: Snapshot, labels: Sequence[int], kept: Mapping[int, uuid.UUID]) -> list[dict[int, uuid.UUID]]:
    """Row -> new home of all that move, in groups that no incident is in twice: each is one small transaction."""
    opened: dict[int, uuid.UUID] = defaultdict(new_id)
    moves = {
        row: home
        for row, label in enumerate(labels)
        if (home := kept[label] if label in kept else opened[label]) != snapshot.homes[row]
    }
    return runs.apart(moves, snapshot.homes)
