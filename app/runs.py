"""Acts that move records between clusters, of people, incidents and merchants alike: each is a run that can be undone as a whole, and
what a person says of records binds every later run."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.database import Connection, to_json
from app.errors import Conflict
from app.identity import new_id


class Moved(Conflict):
    """Somebody else moved these records meanwhile."""

    title = "The records were moved meanwhile"


async def open_run(
    connection: Connection, kind: str, actor: str, *, of: str = "complainant", reason: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> uuid.UUID:  # fmt: skip
    """of: complainant, incident or merchant."""
    run_id = new_id()
    await connection.execute(
        "INSERT INTO link_run (id, object, kind, actor, reason, parameters) VALUES ($1, $2, $3, $4, $5, $6)",
        run_id, of, kind, actor, reason, to_json(parameters or {}),
    )  # fmt: skip
    return run_id


async def close_run(connection: Connection, run_id: uuid.UUID, summary: Mapping[str, Any]) -> None:
    await connection.execute(
        "UPDATE link_run SET finished_at = clock_timestamp(), summary = $2 WHERE id = $1", run_id, to_json(summary)
    )


async def constrain(
    connection: Connection, run_id: uuid.UUID, kind: str, pairs: Iterable[tuple[uuid.UUID, uuid.UUID]], actor: str, reason: str,
    *, of: str = "complainant",
) -> None:  # fmt: skip
    """kind: must or cannot. Between records: clusters die."""
    await connection.executemany(
        "INSERT INTO link_constraint (id, object, kind, first_id, second_id, actor, reason, run_id) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [(new_id(), of, kind, a, b, actor, reason, run_id) for a, b in pairs],
    )


async def revoke_between(
    connection: Connection, some: Iterable[uuid.UUID], others: Iterable[uuid.UUID], kind: str, actor: str, *, of: str = "complainant"
) -> None:  # fmt: skip
    """What a person said before and now says otherwise."""
    await connection.execute(
        "UPDATE link_constraint SET revoked_at = clock_timestamp(), revoked_by = $4 WHERE object = $5 AND kind = $3 "
        "AND revoked_at IS NULL AND (first_id = ANY($1) AND second_id = ANY($2) OR first_id = ANY($2) AND second_id = ANY($1))",
        list(some), list(others), kind, actor, of,
    )  # fmt: skip


async def begin_undo(
    connection: Connection, run: Any, *, of: str, actor: str, reason: str | None
) -> uuid.UUID:  # fmt: skip
    """The run that undoes one; what that one said of records is revoked. Raises Conflict for a run that is undone already."""
    if run["undone_at"] is not None or run["kind"] == "undo":
        raise Conflict("the run is undone already" if run["undone_at"] else "an undoing can't be undone; do the act again")
    undoing = await open_run(connection, "undo", actor, of=of, reason=reason, parameters={"run_id": str(run["id"])})
    await connection.execute(
        "UPDATE link_constraint SET revoked_at = clock_timestamp(), revoked_by = $2 WHERE run_id = $1 AND revoked_at IS NULL",
        run["id"], actor,
    )  # fmt: skip
    await connection.execute(
        "UPDATE link_run SET undone_at = clock_timestamp(), undone_by = $2 WHERE id = $1", run["id"], undoing
    )
    return undoing


# Which column counts what a cluster of each kind holds.
_HELD = {"complainant": "records", "incident": "complaints"}


async def redirect(
    connection: Connection, run_id: uuid.UUID, actor: str, moves: Sequence[tuple[uuid.UUID, uuid.UUID]], *, of: str
) -> None:  # fmt: skip
    """moves: (from, to) of every record. An id left without records answers with where most of them went; one that has records again
    answers for itself."""
    held = _HELD[of]
    ways: dict[uuid.UUID, Counter[uuid.UUID]] = defaultdict(Counter)
    for old, new in moves:
        ways[old][new] += 1
    touched = {*ways, *(new for _, new in moves)}
    left = await connection.fetch(f"SELECT id, {held} AS held, merged_into FROM {of} WHERE id = ANY($1)", list(touched))
    gone = [(r["id"], ways[r["id"]].most_common(1)[0][0]) for r in left if not r["held"] and r["id"] in ways]
    back = [r["id"] for r in left if r["held"] and r["merged_into"]]
    await connection.executemany(f"UPDATE {of} SET merged_into = $2 WHERE id = $1", gone)
    await connection.execute(f"UPDATE {of} SET merged_into = NULL WHERE id = ANY($1)", back)
    # Whoever was sent to an id that is now gone itself is sent on: nobody follows two redirects.
    await connection.executemany(f"UPDATE {of} SET merged_into = $2 WHERE merged_into = $1 AND id <> $2", gone)
    emptied = {g for g, _ in gone}
    history = [(o, n, "merged") for o, n in gone] + [(b, None, "restored") for b in back]
    history += [(o, n, "moved") for o in ways if o not in emptied for n in ways[o]]
    await connection.executemany(
        "INSERT INTO identifier_history (object, old_id, new_id, act, actor, run_id) VALUES ($1, $2, $3, $4, $5, $6)",
        [(of, o, n, act, actor, run_id) for o, n, act in history],
    )


Pairs = list[tuple[int, int]]


async def said(connection: Connection, ids: Sequence[uuid.UUID], *, of: str) -> tuple[Pairs, Pairs]:
    """(must, cannot): what people said of these records and nobody took back, by their numbers in `ids`."""
    rows = await connection.fetch(
        "SELECT kind, first_id, second_id FROM link_constraint WHERE object = $1 AND revoked_at IS NULL", of
    )
    number = {record: n for n, record in enumerate(ids)}
    pairs: dict[str, Pairs] = {"must": [], "cannot": []}
    for row in rows:
        if row["first_id"] in number and row["second_id"] in number:
            pairs[row["kind"]].append((number[row["first_id"]], number[row["second_id"]]))
    return pairs["must"], pairs["cannot"]


def apart(moves: Mapping[int, uuid.UUID], homes: Sequence[uuid.UUID]) -> list[dict[int, uuid.UUID]]:
    """Row -> new home of all that move, in groups that no cluster is in twice: each is one small transaction. homes: of every row now."""
    parent: dict[uuid.UUID, uuid.UUID] = {}

    def root(home: uuid.UUID) -> uuid.UUID:
        while parent.setdefault(home, home) != home:
            parent[home] = home = parent[parent[home]]
        return home

    for row, home in moves.items():
        parent[root(homes[row])] = root(home)
    groups: dict[uuid.UUID, dict[int, uuid.UUID]] = defaultdict(dict)
    for row, home in moves.items():
        groups[root(home)][row] = home
    return list(groups.values())


_LIST = """
SELECT id, object, kind, actor, reason, parameters, summary, started_at, finished_at, undone_at, undone_by FROM link_run
WHERE ($5::text IS NULL OR object = $5) AND ($1::text IS NULL OR kind = $1) AND ($2::timestamptz IS NULL OR (started_at, id) < ($2, $3))
ORDER BY started_at DESC, id DESC LIMIT $4
"""


async def runs(
    connection: Connection, *, kind: str | None, after: tuple[datetime, uuid.UUID] | None, limit: int, of: str | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    """What moved records, newest first."""
    at, last = after or (None, None)
    return [dict(r) for r in await connection.fetch(_LIST, kind, at, last, limit, of)]
