"""One person, many complaints: candidates by key, join with evidence. Decrypts nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.database import STAGE_PERSON, Connection, lock, to_array, to_json
from app.errors import NotFound
from app.identity import new_id
from ml import linkage
from ml.linkage import Evidence
from ml.tokens import TOKEN_VERSION, Field, Tokens, field_of

MAX_CANDIDATES = 60
_PER_KEY = 30

# Contacts that a household, an agent or a shop counter shares (Art. 17(4)).
_SHARED = frozenset({Field.PHONE, Field.ADDRESS, Field.WECHAT, Field.ID})


@dataclass(frozen=True, slots=True)
class Linked:
    """shared_with: complainants that share a contact but, by the rules, are other people."""

    record_id: uuid.UUID
    complainant_id: uuid.UUID
    role: str
    known: bool
    evidence: dict[str, Any]
    shared_with: tuple[tuple[uuid.UUID, str], ...]


_CANDIDATES = """
SELECT id, tokens FROM complainant
WHERE merged_into IS NULL AND id IN (
  SELECT k.complainant_id FROM unnest($1::bigint[]) AS t(token)
  CROSS JOIN LATERAL (SELECT complainant_id FROM complainant_key WHERE token = t.token ORDER BY complainant_id DESC LIMIT $2) AS k
) LIMIT $3
"""

_JOIN = """
WITH record AS (
  INSERT INTO complainant_record (id, letter_id, role, tokens, token_version, key_id) VALUES ($1, $2, $3, $4::text::bigint[], $5, $6)
), person AS (
  INSERT INTO complainant (id, tokens, records) VALUES ($7, $8::text::bigint[], 1)
  -- Two records of one person may share no key and so no lock: the union is made here, not from what was read.
  ON CONFLICT (id) DO UPDATE SET records = complainant.records + 1, tokens = ARRAY(
    SELECT DISTINCT t FROM unnest(excluded.tokens || complainant.tokens) AS t LIMIT 400)
), keys AS (
  INSERT INTO complainant_key (token, complainant_id, token_version)
  SELECT unnest($9::bigint[]), $7, $5 ON CONFLICT DO NOTHING
)
INSERT INTO complainant_membership (id, record_id, complainant_id, origin, actor, evidence)
VALUES ($10, $1, $7, 'auto', $11, $12)
"""


async def lock_people(connection: Connection, people: Sequence[tuple[str, Tokens]]) -> None:
    """Before looking for candidates: 200 first complaints of 50 people filed at once are 50 people."""
    await lock(connection, STAGE_PERSON, [key for _, tokens in people for key in tokens.keys])


async def link(connection: Connection, letter_id: uuid.UUID, role: str, tokens: Tokens, *, key_id: int) -> Linked:
    """Joins the record to the complainant it belongs to, or opens one. The caller holds lock_people."""
    parameters = linkage.shipped_parameters()
    rows = await connection.fetch(_CANDIDATES, list(tokens.keys), _PER_KEY, MAX_CANDIDATES) if tokens.keys else []
    profiles: dict[uuid.UUID, Sequence[int]] = {r["id"]: r["tokens"] for r in rows}
    winner, scored = linkage.best(tokens.comparison, profiles, parameters)
    complainant_id = winner or new_id()
    evidence = {
        "parameters": parameters.version,
        "token_version": TOKEN_VERSION,
        "joined": scored[0][1].as_json() if winner else None,
        "candidates": len(scored),
        # Why the strongest others were not joined: a rule, or too few bits.
        "others": [{"complainant_id": str(k), **e.as_json()} for k, e in scored[1 if winner else 0 :][:3]],
    }
    record_id = new_id()
    await connection.execute(
        _JOIN, record_id, letter_id, role, to_array(tokens.comparison), TOKEN_VERSION, key_id, complainant_id, to_array(tokens.comparison),
        list(tokens.keys), new_id(), "triage", to_json(evidence),
    )  # fmt: skip
    return Linked(record_id, complainant_id, role, winner is not None, evidence, _shared(tokens, profiles, scored, winner))


def _shared(
    tokens: Tokens,
    profiles: dict[uuid.UUID, Sequence[int]],
    scored: Sequence[tuple[uuid.UUID, Evidence]],
    winner: uuid.UUID | None,
) -> tuple[tuple[uuid.UUID, str], ...]:
    own = {t for t in tokens.comparison if field_of(t) in _SHARED}
    found = []
    for key, evidence in scored:
        common = own & set(profiles[key])
        if key != winner and common and evidence.forbidden_by:
            found.append((key, field_of(min(common)).name.lower()))
    return tuple(found[:5])


_HISTORY = """
SELECT m.id, m.letter_id, m.lane, m.kind, m.goods, m.problem, m.issues, m.state, m.track, m.received_at, m.closed_at,
       m.merchant_id, p.role, m.district
FROM complainant_membership cm
JOIN party p ON p.record_id = cm.record_id
JOIN matter m ON m.id = p.matter_id
WHERE cm.complainant_id = $1 AND cm.valid_to IS NULL
ORDER BY m.received_at DESC, m.id LIMIT 200
"""


async def read(
    connection: Connection, complainant_id: uuid.UUID, *, lanes: Sequence[str], jurisdictions: Sequence[str]
) -> dict[str, Any]:
    """Members, evidence and history. A merged id answers with merged_into. lanes: what the caller may see; that a
    report exists is hidden from everyone else (Art. 37)."""
    row = await connection.fetchrow("SELECT id, records, merged_into, created_at FROM complainant WHERE id = $1", complainant_id)
    if row is None:
        raise NotFound("no such complainant")
    if row["merged_into"]:
        return {"id": row["id"], "merged_into": row["merged_into"]}
    matters = [dict(r) for r in await connection.fetch(_HISTORY, complainant_id) if r["lane"] in lanes]
    matters = [m for m in matters if any(m["district"].startswith(j) for j in jurisdictions)]
    if not matters:
        raise NotFound("no such complainant")
    if "report" not in lanes:
        matters = [{**m, "kind": m["lane"]} for m in matters]
    members = await connection.fetch(
        "SELECT cm.record_id, cm.origin, cm.actor, cm.evidence, cm.valid_from, r.letter_id, r.role "
        "FROM complainant_membership cm JOIN complainant_record r ON r.id = cm.record_id "
        "WHERE cm.complainant_id = $1 AND cm.valid_to IS NULL ORDER BY cm.valid_from, cm.id LIMIT 200",
        complainant_id,
    )
    visible = {m["letter_id"] for m in matters}
    return {
        "id": row["id"],
        "merged_into": None,
        "created_at": row["created_at"],
        "complaints": sum(m["lane"] == "complaint" for m in matters),
        "matters": matters,
        "records": [dict(m) for m in members if m["letter_id"] in visible],
    }
