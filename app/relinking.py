"""The journeys that walk the whole store: who is one person, decided anew in batch; and tokens made anew.

Both run beside the service. A relink decides on a snapshot and then moves records in small transactions, each of which first
looks whether they are still where they were; ids stay with whoever keeps most of their records, and a person's corrections
stand. Tokens are made anew letter by letter, so a killed run goes on where it stopped.
"""

import asyncio
import logging
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app import complainants, intake, runs
from app.database import Connection, to_array
from app.identity import new_id
from app.runs import Moved
from app.triage import House
from ml import batch
from ml.batch import Records
from ml.progress import Progress, quiet
from ml.tokens import TOKEN_VERSION

log = logging.getLogger(__name__)
Integers = npt.NDArray[np.int64]

_FETCH = 20_000
_LETTERS = 200


@dataclass(frozen=True, slots=True)
class Snapshot:
    """ids: the records', in the order of `records`. homes: complainant of each. pinned: complainants nothing moves."""

    ids: list[uuid.UUID]
    homes: list[uuid.UUID]
    pinned: frozenset[uuid.UUID]
    records: Records
    must: list[tuple[int, int]]
    cannot: list[tuple[int, int]]


async def _snapshot(connection: Connection) -> Snapshot:
    """Every record with its tokens, and what people have said of them. A cursor: the store does not fit into one answer."""
    ids: list[uuid.UUID] = []
    homes: list[uuid.UUID] = []
    counts: list[int] = []
    days: list[int] = []
    tokens: list[Integers] = []
    # By id, so equal stores give equal results whatever order their rows lie in.
    async with connection.transaction(readonly=True, isolation="repeatable_read"):
        cursor = await connection.cursor(
            "SELECT r.id, m.complainant_id, r.tokens, floor(extract(epoch FROM l.event_at) / 86400)::int AS day "
            "FROM complainant_record r JOIN complainant_membership m ON m.record_id = r.id AND m.valid_to IS NULL "
            "LEFT JOIN letter l ON l.id = r.letter_id ORDER BY r.id"
        )
        while rows := await cursor.fetch(_FETCH):
            ids += [r["id"] for r in rows]
            homes += [r["complainant_id"] for r in rows]
            days += [r["day"] or 0 for r in rows]
            counts += [len(r["tokens"]) for r in rows]
            tokens.append(np.array([t for r in rows for t in sorted(r["tokens"])], dtype=np.int64))
        must, cannot = await runs.said(connection, ids, of="complainant")
        pinned = await connection.fetch("SELECT id FROM complainant WHERE pinned_at IS NOT NULL AND merged_into IS NULL")
    records = Records(
        len(ids), np.repeat(np.arange(len(ids), dtype=np.int64), counts), np.concatenate(tokens) if tokens else np.zeros(0, dtype=np.int64),
        np.array(days, dtype=np.int64),
    )  # fmt: skip
    return Snapshot(ids, homes, frozenset(r["id"] for r in pinned), records, must, cannot)


def _hold_pinned(snapshot: Snapshot) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """must, cannot with what pins mean: a pinned complainant's records stay together and apart from every other pinned one."""
    must, cannot = list(snapshot.must), list(snapshot.cannot)
    of: dict[uuid.UUID, list[int]] = defaultdict(list)
    for number, home in enumerate(snapshot.homes):
        if home in snapshot.pinned:
            of[home].append(number)
    for members in of.values():
        must += [(members[0], other) for other in members[1:]]
    first = [members[0] for members in of.values()]
    cannot += [(a, b) for n, a in enumerate(first) for b in first[n + 1 :]]
    return must, cannot


def keep_ids(homes: Sequence[uuid.UUID], labels: Sequence[int], pinned: frozenset[uuid.UUID]) -> dict[int, uuid.UUID]:
    """cluster -> the id it keeps: the one most of its records have, and most of whose records it has. An id goes to one cluster
    only; a pinned one goes to its records' cluster before all others. What gets none is new. Ties go to the elder id."""
    overlap = Counter(zip(homes, labels, strict=True))
    order = sorted(overlap.items(), key=lambda item: (item[0][0] not in pinned, -item[1], str(item[0][0]), item[0][1]))
    kept: dict[int, uuid.UUID] = {}
    given: set[uuid.UUID] = set()
    for (home, label), _ in order:
        if label not in kept and home not in given:
            kept[label] = home
            given.add(home)
    return kept


async def read_store(house: House) -> Snapshot:
    async with house.database.connection() as connection:
        return await _snapshot(connection)


async def relink(house: House, *, actor: str, progress: Progress = quiet) -> dict[str, Any]:
    """Clusters the whole store anew. Gives {run_id, records, moved, merged, opened, skipped}; `complainants.undo` takes the run back.
    skipped: groups whose records somebody moved meanwhile; the next run sees them."""
    snapshot = await read_store(house)
    must, cannot = _hold_pinned(snapshot)
    parameters = house.scale.parameters
    labels = (
        await asyncio.to_thread(batch.link, snapshot.records, parameters, must=must, cannot=cannot, progress=progress)
    ).tolist()
    kept = keep_ids(snapshot.homes, labels, snapshot.pinned)
    members: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        members[label].append(number)
    groups = _changes(snapshot, members, kept)
    async with house.database.transaction() as connection:
        run_id = await runs.open_run(connection, "relink", actor, parameters={"linkage": parameters.version})
    moved = skipped = 0
    opened = sum(label not in kept for label in members)
    for done, group in enumerate(groups):
        target = {snapshot.ids[n]: home for n, home in group.items()}
        expected = {snapshot.ids[n]: snapshot.homes[n] for n in group}
        try:
            async with house.database.transaction() as connection:
                moved += await complainants.regroup(
                    connection,
                    run_id,
                    target,
                    origin="auto",
                    actor=actor,
                    evidence={"parameters": parameters.version},
                    expected=expected,
                )
        except Moved:
            skipped += 1
        if done % 100 == 0:
            progress("move", done, len(groups))
    progress("move", len(groups), len(groups))
    merged = len(set(snapshot.homes) - set(kept.values()))
    summary = {"records": len(snapshot.ids), "moved": moved, "merged": merged, "opened": opened, "skipped": skipped}
    async with house.database.transaction() as connection:
        await runs.close_run(connection, run_id, summary)
    async with house.database.transaction() as connection:
        await complainants.recount_tokens(connection)
    return {"run_id": run_id, **summary}


def _changes(snapshot: Snapshot, members: Mapping[int, list[int]], kept: Mapping[int, uuid.UUID]) -> list[dict[int, uuid.UUID]]:
    """Record -> new home of all that move, in groups that no complainant is in twice: each is one small transaction."""
    moves: dict[int, uuid.UUID] = {}
    for label, numbers in members.items():
        home = kept.get(label) or new_id()
        moves |= {n: home for n in numbers if snapshot.homes[n] != home}
    return runs.apart(moves, snapshot.homes)


# -- tokens made anew


async def retokenise(house: House, *, progress: Progress = quiet) -> int:
    """Makes the tokens of every record of another token version or key anew, letter by letter; gives how many.

    While it runs, a complainant holds both kinds, so new complaints find him either way; when his last record is done, the old ones
    go. A killed run goes on where it stopped; several may run at once. The only path that decrypts letters to link people.
    """
    current = (TOKEN_VERSION, house.vault.key_id)
    async with house.database.connection() as connection:
        total = await connection.fetchval(f"SELECT count(*) FROM complainant_record WHERE {_STALE}", *current)
    done, last = 0, uuid.UUID(int=0)
    while done < total:
        async with house.database.transaction() as connection:
            rows = await connection.fetch(
                f"SELECT id, letter_id, role FROM complainant_record WHERE id > $3 AND {_STALE} ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED",
                *current, last, _LETTERS,
            )  # fmt: skip
            if not rows:
                break
            homes = {await _retokenise_one(house, connection, row) for row in rows} - {None}
            finished = await connection.fetch(
                f"SELECT id FROM complainant c WHERE id = ANY($3) AND NOT EXISTS (SELECT 1 FROM complainant_membership m "
                f"JOIN complainant_record r ON r.id = m.record_id WHERE m.complainant_id = c.id AND m.valid_to IS NULL AND {_STALE})",
                *current, list(homes),
            )  # fmt: skip
            await complainants.rebuild(connection, [r["id"] for r in finished])
        done, last = done + len(rows), rows[-1]["id"]
        progress("tokens", min(done, total), total)
    if done:
        async with house.database.transaction() as connection:
            await complainants.recount_tokens(connection)
    return done


_STALE = "(token_version <> $1 OR key_id <> $2)"


async def _retokenise_one(house: House, connection: Connection, row: Any) -> uuid.UUID | None:
    """The new tokens into the record, and beside the old ones into its complainant, whose id it gives."""
    letter = await intake.open_letter(connection, house.vault, row["letter_id"])
    person = letter.body.agent if row["role"] == "agent" else letter.body.complainant
    tokens = house.reader.tokeniser.person(person.__dict__)
    comparison = to_array(tokens.comparison)
    await connection.execute(
        "UPDATE complainant_record SET tokens = $2::text::bigint[], token_version = $3, key_id = $4 WHERE id = $1",
        row["id"], comparison, TOKEN_VERSION, house.vault.key_id,
    )  # fmt: skip
    home: uuid.UUID | None = await connection.fetchval(
        "UPDATE complainant SET tokens = ARRAY(SELECT DISTINCT t FROM unnest($2::text::bigint[] || tokens) AS t) WHERE id = "
        "(SELECT complainant_id FROM complainant_membership WHERE record_id = $1 AND valid_to IS NULL) RETURNING id",
        row["id"], comparison,
    )  # fmt: skip
    if home is not None:
        await connection.execute(
            "INSERT INTO complainant_key (token, complainant_id, token_version) SELECT t, $2, $3 FROM unnest($1::bigint[]) AS t ON CONFLICT DO NOTHING",
            list(tokens.keys), home, TOKEN_VERSION,
        )  # fmt: skip
    return home
