"""The outbox: what others must be told, written in the transaction that made it true, numbered per matter."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from app.database import Connection, to_json


async def announce(connection: Connection, events: Sequence[tuple[uuid.UUID, str, Mapping[str, Any]]]) -> None:
    """(matter, kind, payload). Payloads carry ids and states, never personal values."""
    if events:
        await connection.execute(
            "INSERT INTO outbox (matter_id, sequence, kind, payload) "
            "SELECT e.m, coalesce((SELECT max(o.sequence) FROM outbox o WHERE o.matter_id = e.m), 0) + 1, e.k, e.p::jsonb "
            "FROM unnest($1::uuid[], $2::text[], $3::text[]) AS e(m, k, p)",
            [m for m, _, _ in events], [k for _, k, _ in events], [to_json(p) for _, _, p in events],
        )  # fmt: skip
