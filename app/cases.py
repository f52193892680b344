"""The legal life of matters: states, gates, statutory clocks. Opened in one statement, changed by named acts.

States (DOMAIN 7.4): pending_acceptance 待受理, accepted 受理, settling 和解中, mediating 调解中, agreed 达成协议,
terminated 终止调解, not_accepted 不予受理, withdrawn 已撤回; verifying 核查 for reports; registered 已登记 for what is no case;
merged 合并 for copies; history 历史记录.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app import clocks
from app.database import Connection, to_json
from app.errors import Conflict, NotFound

STATE_LABELS = {
    "pending_acceptance": "待受理", "accepted": "已受理", "settling": "和解中", "mediating": "调解中", "agreed": "达成协议",
    "terminated": "终止调解", "not_accepted": "不予受理", "withdrawn": "已撤回", "verifying": "核查中", "verified": "已核查",
    "registered": "已登记", "answered": "已答复", "merged": "与此前投诉合并办理", "history": "历史记录", "received": "已收到",
    "human": "人工登记中",
}  # fmt: skip
CLOSED = frozenset({"agreed", "terminated", "not_accepted", "withdrawn", "verified", "answered", "merged", "history"})

_COLUMNS = {
    "matter": "id, letter_id, sequence, lane, kind, kind_probability, source, channel, district, goods, problem, issues, demands, "
    "amount_fen, reading, terms, term_weights, order_token, product_token, lot_token, shop_token, place_tokens, "
    "name_tokens, city, quarter, signature, compared, event_on, received_at, event_at, history, merchant_id, copy_of, state, authority, "
    "as_of, track, closed_at",
    "party": "matter_id, record_id, role",
    "respondent": "id, matter_id, sequence, merchant_id, written_name, shop, platform, stated, contact_cipher, key_id, origin, evidence",
    "decision": "id, matter_id, kind, decided_at, actor, track, rule, reasons, facts, evidence, alternative, sign, policy_hash, law, "
    "parameters",
    "gate": "matter_id, track, name, state, actor, at, basis",
    "clock": clocks.COLUMNS,
    "state_change": "matter_id, state, actor, authority, at, note",
    "finding": "id, matter_id, code, evidence",
}
# The FKs are checked at the statement's end, so one statement can carry a matter with all that hangs on it.
_OPEN = (
    "WITH "
    + ", ".join(
        f"{table}_rows AS (INSERT INTO {table} ({columns}) "
        f"SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb -> '{table}'))"
        for table, columns in _COLUMNS.items()
    )
    + " SELECT 1"
)


async def open_matters(connection: Connection, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """rows: table -> rows as JSON values, of all matters of one letter."""
    await connection.execute(_OPEN, to_json({t: list(rows.get(t, ())) for t in _COLUMNS}))


async def hold(connection: Connection, matter_id: uuid.UUID) -> Any:
    """Locks a matter for this transaction."""
    row = await connection.fetchrow("SELECT * FROM matter WHERE id = $1 FOR NO KEY UPDATE", matter_id)
    if row is None:
        raise NotFound("no such matter")
    return row


async def move(
    connection: Connection, matter_id: uuid.UUID, state: str, *, actor: str, at: datetime, note: str | None = None,
    authority: str = "bureau", outcome: str | None = None, recovered_fen: int | None = None, satisfied: bool | None = None,
) -> None:  # fmt: skip
    """A state change with its history row. A closed matter's clocks stop."""
    closes = state in CLOSED
    await connection.execute(
        "UPDATE matter SET state = $2, authority = $3, as_of = $4, outcome = coalesce($5, outcome), "
        "recovered_fen = coalesce($6, recovered_fen), satisfied = coalesce($7, satisfied), "
        "closed_at = CASE WHEN $8 THEN $4 ELSE closed_at END WHERE id = $1",
        matter_id, state, authority, at, outcome, recovered_fen, satisfied, closes,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO state_change (matter_id, state, actor, authority, at, note) VALUES ($1, $2, $3, $4, $5, $6)",
        matter_id, state, actor, authority, at, note,
    )  # fmt: skip
    if closes:
        await clocks.stop_clocks(connection, matter_id, at=at, by=state, actor=actor)


async def set_gate(connection: Connection, matter_id: uuid.UUID, name: str, state: str, *, actor: str, at: datetime) -> bool:
    """False when the matter has no such gate open. A gate that was decided is not decided again here."""
    row = await connection.fetchrow(
        "UPDATE gate SET state = $3, actor = $4, at = $5 WHERE matter_id = $1 AND name = $2 AND state = 'open' RETURNING name",
        matter_id, name, state, actor, at,
    )  # fmt: skip
    return row is not None


async def rewrite_reading(
    connection: Connection, matter_id: uuid.UUID, *, kind: str, lane: str, goods: str | None, problem: str | None, demands: Sequence[str],
    reading: Mapping[str, Any],
) -> None:  # fmt: skip
    """What a person read instead. The machine's own reading stays in the first decision and in the correction."""
    await connection.execute(
        "UPDATE matter SET kind = $2, kind_probability = 1, lane = $3, goods = $4, problem = $5, demands = $6, reading = $7::jsonb "
        "WHERE id = $1",
        matter_id, kind, lane, goods, problem, list(demands), to_json(reading),
    )  # fmt: skip


async def note_correction(
    connection: Connection, correction_id: uuid.UUID, matter_id: uuid.UUID, actor: str, before: Mapping[str, Any], after: Mapping[str, Any],
    versions: Mapping[str, Any], note: str | None,
) -> None:  # fmt: skip
    await connection.execute(
        "INSERT INTO reading_correction (id, matter_id, actor, before, after, versions, note) "
        "VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, $6::jsonb, $7)",
        correction_id, matter_id, actor, to_json(before), to_json(after), to_json(versions), note,
    )  # fmt: skip


async def decide_again(connection: Connection, decision: Mapping[str, Any], *, gates: Sequence[Any]) -> None:
    """A decision after the first, with the gates of its track; gates that stand already keep their state."""
    columns = _COLUMNS["decision"]
    await connection.execute(
        f"INSERT INTO decision ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::decision, $1::jsonb)",
        to_json(decision),
    )
    await connection.execute("UPDATE matter SET track = $2 WHERE id = $1", decision["matter_id"], decision["track"])
    for gate in gates:
        await connection.execute(
            "INSERT INTO gate (matter_id, track, name, state, actor, at, basis) "
            "VALUES ($1, $2, $3, $4, CASE WHEN $4 <> 'open' THEN 'portal' END, CASE WHEN $4 <> 'open' THEN $5::timestamptz END, $6) "
            "ON CONFLICT DO NOTHING",
            decision["matter_id"], decision["track"], gate.name, gate.state, decision["decided_at"], gate.basis,
        )  # fmt: skip


async def copy_as_report(connection: Connection, matter_id: uuid.UUID, twin: uuid.UUID, actor: str, at: datetime) -> None:
    """The report of a letter that was taken for a complaint alone: same reading, parties and respondents; not their
    contacts, whose ciphertext is bound to the first matter's row."""
    kept = "letter_id, kind, source, channel, district, goods, problem, issues, demands, amount_fen, reading, terms, term_weights, \
order_token, product_token, lot_token, shop_token, place_tokens, name_tokens, city, quarter, signature, event_on, received_at, event_at, history, merchant_id, authority, kind_probability"
    await connection.execute(
        f"INSERT INTO matter (id, sequence, lane, state, track, as_of, {kept}) SELECT $2, sequence + 1, 'report', "
        f"CASE WHEN history THEN 'history' ELSE 'verifying' END, CASE WHEN history THEN 'none' ELSE 'clue' END, $3, {kept} "
        "FROM matter WHERE id = $1",
        matter_id, twin, at,
    )  # fmt: skip
    await connection.execute("INSERT INTO party SELECT $2, record_id, role FROM party WHERE matter_id = $1", matter_id, twin)
    await connection.execute(
        "INSERT INTO respondent (id, matter_id, sequence, merchant_id, written_name, shop, platform, stated, origin, evidence) "
        "SELECT gen_random_uuid(), $2, sequence, merchant_id, written_name, shop, platform, stated, origin, evidence "
        "FROM respondent WHERE matter_id = $1 AND valid_to IS NULL",
        matter_id, twin,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO decision (id, matter_id, kind, decided_at, actor, track, rule, reasons, facts, evidence, sign, policy_hash, law, parameters) "
        "SELECT gen_random_uuid(), $2, 'initial', $3, $4, 'clue', 'split_by_person', "
        "'[{\"text\": \"工作人员认定来件同时包含举报，分别登记办理\", \"legal_basis\": \"《市场监督管理投诉举报处理办法》第九条\"}]'::jsonb, "
        "facts, evidence, 'one_person', policy_hash, law, parameters FROM decision WHERE matter_id = $1 AND kind = 'initial'",
        matter_id, twin, at, actor,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO state_change (matter_id, state, actor, authority, at, note) "
        "SELECT id, state, $2, authority, $3, 'reading_corrected' FROM matter WHERE id = $1",
        twin, actor, at,
    )  # fmt: skip


# From the person outward: the sum keeps the planner from walking everybody's matters of the period instead.
_EARLIER = """
WITH own AS MATERIALIZED (
  SELECT m.id, m.letter_id, m.merchant_id, m.issues, m.problem, m.terms, m.term_weights, m.received_at, m.event_at, m.closed_at, m.source,
         m.channel, m.order_token, m.product_token, m.lot_token, m.event_on, m.amount_fen, m.state, m.lane
  FROM complainant_membership cm
  JOIN party p ON p.record_id = cm.record_id AND p.role IN ('filer', 'principal')
  JOIN matter m ON m.id = p.matter_id
  WHERE cm.complainant_id = $1 AND cm.valid_to IS NULL AND m.copy_of IS NULL
    AND m.event_at + interval '0' BETWEEN $2 AND $3
)
SELECT own.*, im.incident_id FROM own
LEFT JOIN incident_membership im ON im.matter_id = own.id AND im.valid_to IS NULL AND im.is_primary
ORDER BY own.event_at DESC, own.id LIMIT 40
"""


async def earlier(connection: Connection, complainant_id: uuid.UUID, since: datetime, until: datetime) -> list[Any]:
    """The person's other matters of that time, newest first: what a copy or a repeat is measured against."""
    return list(await connection.fetch(_EARLIER, complainant_id, since, until))


# -- what people read

_MATTERS = """
SELECT m.*, d.rule, d.reasons, d.facts, d.evidence AS decision_evidence, d.alternative, d.sign, d.policy_hash, d.law, d.parameters,
       d.decided_at, d.kind AS decision_kind, d.actor AS decided_by, im.incident_id, im.evidence AS incident_evidence, mc.name AS merchant_name
FROM matter m
LEFT JOIN LATERAL (SELECT * FROM decision d WHERE d.matter_id = m.id ORDER BY d.decided_at DESC, d.id DESC LIMIT 1) d ON true
LEFT JOIN incident_membership im ON im.matter_id = m.id AND im.valid_to IS NULL AND im.is_primary
LEFT JOIN merchant mc ON mc.id = m.merchant_id
WHERE m.letter_id = $1 ORDER BY m.sequence
"""


async def read_matters(connection: Connection, letter_id: uuid.UUID, *, now: datetime, lights: Any) -> list[dict[str, Any]]:
    """Everything about a letter's matters. lights: the calendar the lights are computed with."""
    rows = await connection.fetch(_MATTERS, letter_id)
    ids = [r["id"] for r in rows]
    gates = await connection.fetch("SELECT * FROM gate WHERE matter_id = ANY($1) ORDER BY track, name", ids)
    running = await clocks.read(connection, lights, ids, now=now)
    changes = await connection.fetch("SELECT * FROM state_change WHERE matter_id = ANY($1) ORDER BY id", ids)
    findings = await connection.fetch("SELECT * FROM finding WHERE matter_id = ANY($1) ORDER BY id", ids)
    parties = await connection.fetch(
        "SELECT p.matter_id, p.role, p.record_id, cm.complainant_id, cm.evidence FROM party p LEFT JOIN complainant_membership cm "
        "ON cm.record_id = p.record_id AND cm.valid_to IS NULL WHERE p.matter_id = ANY($1) ORDER BY p.role",
        ids,
    )
    respondents = await connection.fetch(
        "SELECT matter_id, merchant_id, written_name, shop, platform, stated, evidence FROM respondent "
        "WHERE matter_id = ANY($1) AND valid_to IS NULL ORDER BY sequence",
        ids,
    )
    found = []
    for row in rows:

        def of(others: Sequence[Any], matter_id: uuid.UUID = row["id"]) -> list[dict[str, Any]]:
            return [{k: v for k, v in dict(o).items() if k != "matter_id"} for o in others if o["matter_id"] == matter_id]

        found.append(
            {
                "id": row["id"], "lane": row["lane"], "kind": row["kind"], "kind_probability": row["kind_probability"],
                "case_no": row["case_no"], "state": row["state"], "state_label": STATE_LABELS[row["state"]],
                "authority": row["authority"], "as_of": row["as_of"], "track": row["track"], "district": row["district"],
                "goods": row["goods"], "problem": row["problem"], "issues": row["issues"], "demands": row["demands"],
                "amount_fen": row["amount_fen"], "reading": row["reading"], "copy_of": row["copy_of"],
                "merchant_id": row["merchant_id"], "merchant_name": row["merchant_name"], "incident_id": row["incident_id"],
                "incident_evidence": row["incident_evidence"], "outcome": row["outcome"], "closed_at": row["closed_at"],
                "decision": None if row["rule"] is None else {
                    "kind": row["decision_kind"], "rule": row["rule"], "reasons": row["reasons"], "facts": row["facts"],
                    "evidence": row["decision_evidence"], "alternative": row["alternative"], "sign": row["sign"],
                    "policy_hash": row["policy_hash"], "law": row["law"], "parameters": row["parameters"],
                    "decided_at": row["decided_at"], "actor": row["decided_by"],
                },
                "gates": of(gates),
                "clocks": of(running),
                "history": of(changes),
                "findings": [{"code": f["code"], "evidence": f["evidence"]} for f in of(findings)],
                "parties": of(parties),
                "respondents": of(respondents),
            }
        )  # fmt: skip
    return found


def require_open(row: Any) -> None:
    if row["state"] in CLOSED:
        raise Conflict(f"the matter is closed ({STATE_LABELS[row['state']]})")
