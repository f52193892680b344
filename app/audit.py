"""Who did what to which object, for which purpose: plain appends, chained afterwards.

Rows are sealed in batches by the worker: hash = SHA-256(previous hash | rows). Only rows of transactions that are
certainly over are sealed, so no row can slip in behind a seal.
"""

import hashlib
from collections.abc import Iterable

from app.database import Connection

_INSERT = """
INSERT INTO audit_entry (actor, act, object, object_id, purpose, lane)
SELECT $1, $2, $3, unnest($4::text[]), $5, $6
"""


async def record(
    connection: Connection,
    actor: str,
    act: str,
    object: str,
    object_ids: Iterable[object],
    *,
    purpose: str = "",
    lane: str | None = None,
) -> None:
    ids = [str(i) for i in object_ids]
    if ids:
        await connection.execute(_INSERT, actor, act, object, ids, purpose, lane)


_UNSEALED = """
SELECT id, xid, concat_ws('|', id, xid, extract(epoch FROM at), actor, act, object, object_id, purpose, lane) AS row
FROM audit_entry
WHERE (xid, id) > ($1, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY xid, id LIMIT $3
"""


async def seal(connection: Connection, *, limit: int = 5000) -> int:
    """Chains the next batch. Call inside a transaction; one sealer at a time."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('audit_seal'))")
    last = await connection.fetchrow("SELECT last_xid, last_id, hash FROM audit_seal ORDER BY id DESC LIMIT 1")
    rows = await connection.fetch(_UNSEALED, last["last_xid"] if last else 0, last["last_id"] if last else 0, limit)
    if not rows:
        return 0
    await connection.execute(
        "INSERT INTO audit_seal (last_xid, last_id, entries, hash) VALUES ($1, $2, $3, $4)",
        rows[-1]["xid"], rows[-1]["id"], len(rows), _chain(last["hash"] if last else b"", (r["row"] for r in rows)),
    )  # fmt: skip
    return len(rows)


async def verify(connection: Connection) -> int | None:
    """The first seal that does not fit its rows, None when all do."""
    previous, xid, entry = b"", 0, 0
    for sealed in await connection.fetch("SELECT * FROM audit_seal ORDER BY id"):
        rows = await connection.fetch(
            _UNSEALED.replace("LIMIT $3", "").replace("ORDER BY", "AND (xid, id) <= ($3, $4) ORDER BY"),
            xid, entry, sealed["last_xid"], sealed["last_id"],
        )  # fmt: skip
        if len(rows) != sealed["entries"] or _chain(previous, (r["row"] for r in rows)) != sealed["hash"]:
            return int(sealed["id"])
        previous, xid, entry = sealed["hash"], sealed["last_xid"], sealed["last_id"]
    return None


def _chain(previous: bytes, rows: Iterable[str]) -> bytes:
    digest = hashlib.sha256(previous)
    for row in rows:
        digest.update(row.encode() + b"\n")
    return digest.digest()
