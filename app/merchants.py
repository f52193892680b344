"""Which merchant is meant: candidates by brand and sound, join with evidence or open a new one."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.database import STAGE_MERCHANT, Connection, lock
from app.errors import NotFound
from app.identity import new_id
from app.reading import WrittenMerchant
from ml import merchants
from ml.linkage import UNIT, Evidence
from ml.merchants import MerchantName

_PER_KEY = 20
_MOST = 5


@dataclass(frozen=True, slots=True)
class Resolved:
    """usccs: the merchant's own code and the one written."""

    merchant_id: uuid.UUID
    written: WrittenMerchant
    evidence: dict[str, Any]
    usccs: tuple[str, ...]


_CANDIDATES = """
SELECT id, name, core, city, trade, uscc, registered FROM merchant
WHERE merged_into IS NULL AND id IN (
  SELECT k.merchant_id FROM unnest($1::text[]) AS t(key)
  CROSS JOIN LATERAL (SELECT merchant_id FROM merchant_key WHERE key = t.key ORDER BY merchant_id LIMIT $2) AS k
)
"""


async def resolve(connection: Connection, written: Sequence[WrittenMerchant]) -> list[Resolved]:
    """One merchant for each name written, the first being the matter's. Looks without locks first; then one ordered
    lock over all that somebody new may be made of."""
    wanted = [(one, keys) for one in written[:_MOST] if (keys := _keys(one))]
    found = [await _find(connection, one, keys) for one, keys in wanted]
    unknown = [key for (_, keys), resolved in zip(wanted, found, strict=True) if resolved is None for key in keys]
    if unknown:
        await lock(connection, STAGE_MERCHANT, unknown)
    return [
        resolved or await _find(connection, one, keys) or await _open(connection, one, keys)
        for (one, keys), resolved in zip(wanted, found, strict=True)
    ]


def _keys(written: WrittenMerchant) -> list[str]:
    keys = merchants.keys(written.name) if written.name else []
    if written.uscc:
        keys.append(f"u:{written.uscc}")
    if written.phone_token is not None:
        keys.append(f"t:{written.phone_token}")
    return keys


async def _find(connection: Connection, written: WrittenMerchant, keys: list[str]) -> Resolved | None:
    rows = await connection.fetch(_CANDIDATES, keys, _PER_KEY)
    best: tuple[int, str, Any, Evidence] | None = None
    for row in rows:
        same_uscc = None if not (written.uscc and row["uscc"]) else written.uscc == row["uscc"]
        if written.name is None:
            weight = 24 * UNIT if same_uscc else 0
            evidence = Evidence(weight, {"uscc": ("uscc", weight)}, None, bool(same_uscc))
        else:
            known = merchants.parse_name(row["name"])
            evidence = merchants.compare(
                written.name, written.city, known, row["city"] or "", same_uscc=same_uscc, same_phone=False
            )
        if evidence.joins and (best is None or (-evidence.weight, str(row["id"])) < (-best[0], best[1])):
            best = (evidence.weight, str(row["id"]), row, evidence)
    if best is None:
        return None
    row = best[2]
    await _learn(connection, row, written, keys)
    return Resolved(row["id"], written, best[3].as_json(), tuple({c for c in (row["uscc"], written.uscc) if c}))


async def _learn(connection: Connection, row: Any, written: WrittenMerchant, keys: list[str]) -> None:
    """A fuller name, a code or a city that the merchant lacked. Rare, so that a busy merchant's row stays cool."""
    name = written.name
    fuller = name is not None and name.trade and not row["trade"] and written.stated
    if fuller or (written.uscc and not row["uscc"]) or (written.city and not row["city"]):
        await connection.execute(
            "UPDATE merchant SET name = CASE WHEN $2 THEN $3 ELSE name END, trade = coalesce(trade, $4), "
            "uscc = coalesce(uscc, $5), city = coalesce(city, $6) WHERE id = $1 "
            "AND ($5::text IS NULL OR NOT EXISTS (SELECT 1 FROM merchant o WHERE o.uscc = $5 AND o.id <> $1))",
            row["id"], bool(fuller), name.written if name else row["name"], (name.trade or None) if name else None,
            written.uscc or None, written.city or None,
        )  # fmt: skip
        await _remember(connection, row["id"], keys)


async def _remember(connection: Connection, merchant_id: uuid.UUID, keys: list[str]) -> None:
    await connection.execute(
        "INSERT INTO merchant_key (key, merchant_id) SELECT k, $2 FROM unnest($1::text[]) AS k ON CONFLICT DO NOTHING",
        sorted(keys), merchant_id,
    )  # fmt: skip


async def _open(connection: Connection, written: WrittenMerchant, keys: list[str]) -> Resolved:
    merchant_id = new_id()
    name = written.name or MerchantName(written.uscc, written.uscc, written.uscc, "", "", "")
    await connection.execute(
        "WITH opened AS (INSERT INTO merchant (id, name, core, city, trade, uscc, registered) VALUES ($1, $2, $3, $4, $5, $6, 0)) "
        "INSERT INTO merchant_key (key, merchant_id) SELECT k, $1 FROM unnest($7::text[]) AS k",
        merchant_id, name.written, name.core, written.city or None, name.trade or None, written.uscc or None, sorted(keys),
    )  # fmt: skip
    return Resolved(merchant_id, written, {"opened": True}, (written.uscc,) if written.uscc else ())


async def read(
    connection: Connection, merchant_id: uuid.UUID, *, lanes: Sequence[str], jurisdictions: Sequence[str]
) -> dict[str, Any]:
    row = await connection.fetchrow("SELECT * FROM merchant WHERE id = $1", merchant_id)
    if row is None:
        raise NotFound("no such merchant")
    if row["merged_into"]:
        return {"id": row["id"], "merged_into": row["merged_into"]}
    scope = (merchant_id, list(lanes), list(jurisdictions))
    seen = (
        "m.merchant_id = $1 AND m.lane = ANY($2) AND EXISTS (SELECT 1 FROM unnest($3::text[]) j WHERE starts_with(m.district, j))"
    )
    names = await connection.fetch(
        "SELECT r.written_name AS name, count(*) AS complaints, max(r.shop) AS shop FROM respondent r JOIN matter m ON m.id = r.matter_id "
        f"WHERE {seen} AND r.sequence = 1 AND r.valid_to IS NULL AND r.written_name IS NOT NULL "
        "GROUP BY r.written_name ORDER BY 2 DESC, 1 LIMIT 50",
        *scope,
    )
    counts = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE lane = 'complaint') AS complaints, count(*) FILTER (WHERE lane = 'report') AS reports, "
        "count(*) FILTER (WHERE lane = 'complaint' AND closed_at IS NOT NULL) AS closed, "
        "count(*) FILTER (WHERE outcome = 'agreement') AS agreements, min(received_at) AS first_at, max(received_at) AS last_at "
        f"FROM matter m WHERE {seen} AND copy_of IS NULL",
        *scope,
    )
    if counts["first_at"] is None:
        raise NotFound("no such merchant")
    incidents = await connection.fetch(
        "SELECT i.id, i.title, i.state, count(*) AS complaints, min(m.event_at) AS first_at, max(m.event_at) AS last_at "
        "FROM incident i JOIN incident_membership im ON im.incident_id = i.id AND im.valid_to IS NULL JOIN matter m ON m.id = im.matter_id "
        f"WHERE i.merchant_id = $1 AND i.merged_into IS NULL AND {seen} GROUP BY i.id ORDER BY 6 DESC LIMIT 50",
        *scope,
    )
    figures = dict(counts)
    if "report" not in lanes:
        figures.pop("reports")
    return {
        "id": row["id"], "merged_into": None, "name": row["name"], "brand": row["core"], "city": row["city"],
        "uscc": row["uscc"], **figures, "names": [dict(n) for n in names], "incidents": [dict(i) for i in incidents],
    }  # fmt: skip
