"""The legal life of matters as it is kept: states, gates, what waits for a signature, history. Opened in one statement, changed by the
named acts of app.acts; nothing else changes a state.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from app import clocks, joint, law
from app.acts import CLOSED, FACTORS, FOUND, MEDIATION, STATE_LABELS
from app.database import Connection, to_json
from app.errors import Conflict, NotFound

# What a finding bears on, as (article, paragraph, item) of Order 121: for the person who judges it.
_FINDING_BASIS: dict[str, tuple[tuple[int, int | None, int | None], ...]] = {
    "R1": ((14, None, None), (16, None, 2)), "R2": ((16, None, 2), (26, None, None)), "R4": ((17, 1, 1), (17, 1, 5)), "R5": ((35, 2, None),),
    "R6": ((35, 2, None),), "R7": ((17, 1, 4),), "R8": ((17, 1, 2),), "serial_wording": ((17, 1, 5),), "time_bar": ((16, None, 4),),
    "callback_dissatisfied": ((26, None, None),), "agreement_not_performed": ((26, None, None), (25, None, None)),
    "ART17": ((17, 1, None),), "earlier_receipt": ((14, None, None),), "handled_by_council": ((16, None, 2),), "factor17_review": ((17, 1, None),), "unusual_quantity": ((17, 1, None), (17, 1, 1)), "outcome_unusual": ((26, None, None),),
}  # fmt: skip


def finding_basis(code: str, evidence: Mapping[str, Any] | None = None) -> str | None:
    """Chinese; None where no article speaks of it. evidence: may name factors of Art. 17(1) it bears on, "17(2)"."""
    named = [(17, 1, int(f[3:-1])) for f in (evidence or {}).get("factors", ()) if f in FACTORS]
    cited = [
        law.cite(law.ORDER_121, article, paragraph, item) for article, paragraph, item in (*_FINDING_BASIS.get(code, ()), *named)
    ]
    return "、".join(dict.fromkeys(cited)) or None


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
    act: str | None = None, ground: str | None = None, signed_by: Sequence[str] = (), detail: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """A state change with its history row. A closed matter's clocks stop, but those that outlive it; one that is opened again is closed
    no more."""
    closes = state in CLOSED
    await connection.execute(
        "UPDATE matter SET state = $2, authority = $3, as_of = $4, outcome = coalesce($5, outcome), "
        "recovered_fen = coalesce($6, recovered_fen), satisfied = coalesce($7, satisfied), "
        "closed_at = CASE WHEN $8 THEN coalesce(closed_at, $4) END WHERE id = $1",
        matter_id, state, authority, at, outcome, recovered_fen, satisfied, closes,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO state_change (matter_id, state, actor, authority, at, note, act, ground, signed_by, detail) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb)",
        matter_id, state, actor, authority, at, note, act, ground, list(signed_by), to_json(detail) if detail else None,
    )  # fmt: skip
    if closes:
        await clocks.stop_clocks(connection, matter_id, at=at, by=state, actor=actor)
        await write(
            connection, await joint.follow_matter(connection, matter_id, "closed", actor=actor, at=at), actor=actor, at=at
        )


async def note_satisfied(connection: Connection, matter_id: uuid.UUID, satisfied: bool | None) -> None:
    """What the complainant himself said afterwards, whatever was noted at the end. None: neither."""
    await connection.execute("UPDATE matter SET satisfied = $2 WHERE id = $1", matter_id, satisfied)


async def repeated(connection: Connection, matter_id: uuid.UUID) -> uuid.UUID | None:
    """R2: the closed matter of the same dispute that was found when this one arrived."""
    found = await connection.fetchval(
        "SELECT evidence ->> 'earlier' FROM finding WHERE matter_id = $1 AND code = 'R2' ORDER BY id DESC LIMIT 1", matter_id
    )
    return uuid.UUID(found) if found else None


async def stand_for(connection: Connection, matter_id: uuid.UUID, original: uuid.UUID) -> list[uuid.UUID]:
    """A copy of the original from now on, with those that were its own copies: all of them. Both must be held."""
    rows = await connection.fetch(
        "UPDATE matter SET copy_of = $2, track = 'none' WHERE id = $1 OR copy_of = $1 RETURNING id", matter_id, original
    )
    return [r["id"] for r in rows]


async def write(connection: Connection, said: Sequence[joint.Said], *, actor: str, at: datetime) -> None:
    """What a joint matter has to say in the histories of its members."""
    for one in said:
        await remark(connection, one.matter_id, one.act, actor=actor, at=at, note=one.note)


async def set_gate(
    connection: Connection, matter_id: uuid.UUID, name: str, state: str, *, actor: str, at: datetime, track: str | None = None
) -> list[str]:  # fmt: skip
    """The tracks whose open gate of that name it decided, of one track or of all. A gate that was decided is not decided again here."""
    rows = await connection.fetch(
        "UPDATE gate SET state = $3, actor = $4, at = $5 WHERE matter_id = $1 AND name = $2 AND state = 'open' AND track = coalesce($6, track) "
        "RETURNING track",
        matter_id, name, state, actor, at, track,
    )  # fmt: skip
    return [r["track"] for r in rows]


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


async def decide_again(
    connection: Connection, decision: Mapping[str, Any], *, gates: Sequence[Any], left: Sequence[tuple[str, Any]] = ()
) -> None:  # fmt: skip
    """A decision after the first, with the gates of its track and those failed of tracks it fell from; gates that stand already keep their state. That it was accepted holds on
    every track; a consent does not: one to delegation is none to the bureau's own mediation."""
    columns = _COLUMNS["decision"]
    await connection.execute(
        f"INSERT INTO decision ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::decision, $1::jsonb)",
        to_json(decision),
    )
    await connection.execute("UPDATE matter SET track = $2 WHERE id = $1", decision["matter_id"], decision["track"])
    for track, gate in (*((decision["track"], g) for g in gates), *left):
        await connection.execute(
            "INSERT INTO gate (matter_id, track, name, state, actor, at, basis) "
            "VALUES ($1, $2, $3, $4, CASE WHEN $4 <> 'open' THEN 'portal' END, CASE WHEN $4 <> 'open' THEN $5::timestamptz END, $6) "
            "ON CONFLICT DO NOTHING",
            decision["matter_id"], track, gate.name, gate.state, decision["decided_at"], gate.basis,
        )  # fmt: skip
    await connection.execute(
        "UPDATE gate g SET state = d.state, actor = d.actor, at = d.at FROM gate d WHERE g.matter_id = $1 AND g.track = $2 AND g.state = 'open' "
        "AND g.name = 'accepted' AND d.matter_id = g.matter_id AND d.name = g.name AND d.state <> 'open'",
        decision["matter_id"], decision["track"],
    )  # fmt: skip


_COPIED = "letter_id, kind, source, channel, district, goods, problem, issues, demands, amount_fen, reading, terms, term_weights, \
order_token, product_token, lot_token, shop_token, place_tokens, name_tokens, city, quarter, signature, event_on, received_at, event_at, history, merchant_id, authority, kind_probability"
_SPLIT = (
    "split_by_person", "工作人员认定来件同时包含举报，分别登记办理", law.cite(law.ORDER_121, 9),
)  # fmt: skip
_CLUE_FOUND = (
    "clue_found", "调解中发现涉嫌违法线索，自发现之日起核查，调解继续进行",
    "、".join(law.cite(law.ORDER_121, 27, paragraph) for paragraph in (1, 2)),
)  # fmt: skip


async def copy_as_report(
    connection: Connection, matter_id: uuid.UUID, twin: uuid.UUID, actor: str, at: datetime, *, found: str | None = None
) -> None:
    """A report made from a complaint: same reading, parties and respondents; not their contacts, whose ciphertext is bound to the
    first matter's row. found: the note of whoever found the clue in mediation: then it is the bureau's own, received as it was
    found, and has no reporter."""
    values = {name: name for name in _COPIED.split(", ")}
    if found is not None:
        values |= {"kind": "'report'", "kind_probability": "1", "source": f"'{FOUND}'", "received_at": "$3::timestamptz"}
    await connection.execute(
        f"INSERT INTO matter (id, sequence, lane, state, track, as_of, {', '.join(values)}) "
        "SELECT $2, (SELECT max(sequence) + 1 FROM matter o WHERE o.letter_id = matter.letter_id), 'report', "
        "CASE WHEN history THEN 'history' ELSE 'verifying' END, CASE WHEN history THEN 'none' ELSE 'clue' END, $3, "
        f"{', '.join(values.values())} FROM matter WHERE id = $1",
        matter_id, twin, at,
    )  # fmt: skip
    if found is None:
        await connection.execute("INSERT INTO party SELECT $2, record_id, role FROM party WHERE matter_id = $1", matter_id, twin)
    await connection.execute(
        "INSERT INTO respondent (id, matter_id, sequence, merchant_id, written_name, shop, platform, stated, origin, evidence) "
        "SELECT gen_random_uuid(), $2, sequence, merchant_id, written_name, shop, platform, stated, origin, evidence "
        "FROM respondent WHERE matter_id = $1 AND valid_to IS NULL",
        matter_id, twin,
    )  # fmt: skip
    rule, text, basis = _SPLIT if found is None else _CLUE_FOUND
    await connection.execute(
        "INSERT INTO decision (id, matter_id, kind, decided_at, actor, track, rule, reasons, facts, evidence, sign, policy_hash, law, parameters) "
        "SELECT gen_random_uuid(), $2, 'initial', $3, $4, 'clue', $5, $6::jsonb, "
        "facts, evidence, 'one_person', policy_hash, law, parameters FROM decision WHERE matter_id = $1 AND kind = 'initial'",
        matter_id, twin, at, actor, rule, to_json([{"text": text, "legal_basis": basis}]),
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO state_change (matter_id, state, actor, authority, at, note, act, signed_by) "
        "SELECT id, state, $2, authority, $3, $4, $5, $6 FROM matter WHERE id = $1",
        twin, actor, at, found or "reading_corrected", found and "find_clue", [actor] if found else [],
    )  # fmt: skip


# From the person outward: the sum keeps the planner from walking everybody's matters of the period instead.
_EARLIER = """
WITH own AS MATERIALIZED (
  SELECT m.id, m.letter_id, m.merchant_id, m.issues, m.goods, m.problem, m.outcome, m.terms, m.term_weights, m.received_at, m.event_at, m.closed_at, m.source,
         m.channel, m.district, m.order_token, m.product_token, m.lot_token, m.event_on, m.amount_fen, m.state, m.lane
  FROM complainant_membership cm
  JOIN party p ON p.record_id = cm.record_id AND p.role IN ('filer', 'principal')
  JOIN matter m ON m.id = p.matter_id
  WHERE cm.complainant_id = $1 AND cm.valid_to IS NULL AND m.copy_of IS NULL
    AND m.event_at + interval '0' BETWEEN $2 AND $3
)
SELECT own.*, im.incident_id FROM own
LEFT JOIN incident_membership im ON im.matter_id = own.id AND im.valid_to IS NULL AND im.is_primary
ORDER BY own.event_at DESC, own.id LIMIT $4
"""


async def earlier(
    connection: Connection, complainant_id: uuid.UUID, since: datetime, until: datetime, limit: int = 40
) -> list[Any]:
    """The person's other matters of that time, newest first: what a copy or a repeat is measured against."""
    return list(await connection.fetch(_EARLIER, complainant_id, since, until, limit))


# -- acts that wait for a signature

_PROPOSE = """
INSERT INTO approval (id, matter_id, kind, act, ground, reason, detail, persons, signed_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (matter_id, act) WHERE state = 'open' DO NOTHING RETURNING id
"""


async def propose(
    connection: Connection, approval_id: uuid.UUID, matter_id: uuid.UUID, *, kind: str, act: str, ground: str | None, reason: str | None,
    detail: Mapping[str, Any], persons: int, signed_by: Sequence[str], at: datetime,
) -> bool:  # fmt: skip
    """An act that waits. kind: sign (of further persons), sample (looked at afterwards), clock (drafted by a term), partner (by the word of
    one it was handed to), review (by a complainant's afterwards: a supervisor's). False: the same act waits for this matter already."""
    made = await connection.fetchval(
        _PROPOSE, approval_id, matter_id, kind, act, ground, reason, to_json(detail), persons, list(signed_by), at
    )
    return made is not None


async def proposed(
    connection: Connection, matter_id: uuid.UUID, act: str, *, ground: str | None, reason: str | None, detail: Mapping[str, Any], by: str
) -> Any:  # fmt: skip
    """The very proposal that waits already, of the same person: {id, signed_by, persons}; None where there is none, or another."""
    return await connection.fetchrow(
        "SELECT id, persons, signed_by FROM approval WHERE matter_id = $1 AND act = $2 AND state = 'open' AND kind = 'sign' "
        "AND ground IS NOT DISTINCT FROM $3 AND reason IS NOT DISTINCT FROM $4 AND detail = $5::jsonb AND signed_by[1] = $6",
        matter_id, act, ground, reason, to_json(detail), by,
    )  # fmt: skip


async def add_to_sample(connection: Connection, matter_id: uuid.UUID, act: str, detail: Mapping[str, Any]) -> None:
    """What is to be looked at already is to be looked at for this as well; what it says of itself stays."""
    await connection.execute(
        "UPDATE approval SET detail = $3::jsonb || detail WHERE matter_id = $1 AND act = $2 AND state = 'open' AND kind = 'sample'",
        matter_id, act, to_json(detail),
    )  # fmt: skip


async def hold_approval(connection: Connection, approval_id: uuid.UUID) -> Any:
    row = await connection.fetchrow("SELECT * FROM approval WHERE id = $1 FOR UPDATE", approval_id)
    if row is None:
        raise NotFound("no such approval")
    return row


async def end_approval(
    connection: Connection, approval_id: uuid.UUID, state: str, *, by: str, at: datetime, reason: str | None = None
) -> None:
    """state: done, rejected, lapsed (the matter went another way)."""
    await connection.execute(
        "UPDATE approval SET state = $2, decided_by = $3, decided_at = $4, decided_reason = $5, "
        "signed_by = CASE WHEN $2 = 'done' AND NOT $3 = ANY(signed_by) THEN signed_by || $3 ELSE signed_by END WHERE id = $1",
        approval_id, state, by, at, reason,
    )  # fmt: skip


async def lapse_approvals(connection: Connection, matter_id: uuid.UUID, *, by: str, at: datetime) -> None:
    """What waited to be signed for a matter that has gone another way; what is only looked at afterwards stays."""
    await connection.execute(
        "UPDATE approval SET state = 'lapsed', decided_by = $2, decided_at = $3 WHERE matter_id = $1 AND state = 'open' AND kind <> 'sample'",
        matter_id, by, at,
    )  # fmt: skip


_APPROVALS = """
SELECT a.id, a.matter_id, a.kind, a.act, a.ground, a.reason, a.detail, a.persons, a.signed_by, a.created_at, m.letter_id AS complaint_id, m.district,
       m.lane, m.state, (SELECT min(due_at) FROM clock c WHERE c.matter_id = m.id AND c.stopped_at IS NULL) AS due_at
FROM approval a JOIN matter m ON m.id = a.matter_id
WHERE a.state = 'open' AND m.lane = ANY($1) AND EXISTS (SELECT 1 FROM unnest($2::text[]) j WHERE starts_with(m.district, j))
  AND ($3::timestamptz IS NULL OR (a.created_at, a.id) > ($3, $4)) ORDER BY a.created_at, a.id LIMIT $5
"""


async def approvals(
    connection: Connection, lanes: Sequence[str], jurisdictions: Sequence[str], after: tuple[datetime, uuid.UUID] | None, limit: int
) -> list[Any]:  # fmt: skip
    """What waits to be signed, oldest first."""
    return list(await connection.fetch(_APPROVALS, list(lanes), list(jurisdictions), *(after or (None, None)), limit))


_ENDING = """
SELECT m.id FROM clock c JOIN matter m ON m.id = c.matter_id
WHERE c.key = 'complaint.mediate' AND c.stopped_at IS NULL AND c.due_on <= $1 AND m.state = ANY($2) AND NOT EXISTS (
  SELECT 1 FROM approval a WHERE a.matter_id = m.id AND a.act = 'terminate'
    AND (a.state = 'open' OR (a.state = 'rejected' AND a.decided_at > $3))
) ORDER BY c.due_on LIMIT $4
"""
DRAFTED_DAYS = 7  # before the 60th day: there must be time to sign
_LEFT_ALONE = timedelta(days=2)  # once a person said not yet


async def ending(connection: Connection, today: date, now: datetime, limit: int) -> list[uuid.UUID]:
    """Mediations whose sixty days end within a week, with no end drafted."""
    rows = await connection.fetch(
        _ENDING, today + timedelta(days=DRAFTED_DAYS), sorted(MEDIATION - {"appraising"}), now - _LEFT_ALONE, limit
    )
    return [r["id"] for r in rows]


async def signers(connection: Connection, matter_id: uuid.UUID, act: str) -> list[str]:
    """Who signed an act when it was last done; nobody where it never was."""
    found = await connection.fetchval(
        "SELECT signed_by FROM state_change WHERE matter_id = $1 AND (act = $2 OR (act IN ('finish', 'transfer_police') AND state = 'terminated' AND $2 = 'terminate')) "
        "ORDER BY id DESC LIMIT 1",
        matter_id, act,
    )  # fmt: skip
    return list(found or ())


async def gates_of(connection: Connection, matter_id: uuid.UUID) -> dict[tuple[str, str], str]:
    """(track, name) -> state, over all tracks the matter was proposed for."""
    rows = await connection.fetch("SELECT track, name, state FROM gate WHERE matter_id = $1", matter_id)
    return {(r["track"], r["name"]): r["state"] for r in rows}


async def was_accepted(connection: Connection, matter_id: uuid.UUID) -> bool:
    """Whether the bureau accepted it, whichever track it is on now: not every track has a gate that says so."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM state_change WHERE matter_id = $1 AND state = 'accepted') OR EXISTS (SELECT 1 FROM gate "
            "WHERE matter_id = $1 AND name = 'accepted' AND state = 'passed')",
            matter_id,
        )
    )


async def ask_gate(
    connection: Connection, matter_id: uuid.UUID, track: str, name: str, state: str, *, actor: str, at: datetime, basis: str
) -> bool:
    """A side's word on what another track than the matter's asks. False where that word was given before."""
    row = await connection.fetchrow(
        "INSERT INTO gate (matter_id, track, name, state, actor, at, basis) VALUES ($1, $2, $3, $4, $5, $6, $7) "
        "ON CONFLICT DO NOTHING RETURNING name",
        matter_id, track, name, state, actor, at, basis,
    )  # fmt: skip
    return row is not None


async def remark(
    connection: Connection, matter_id: uuid.UUID, act: str, *, actor: str, at: datetime, note: str | None, ground: str | None = None,
    signed_by: Sequence[str] = (), detail: Mapping[str, Any] | None = None, authority: str = "bureau",
) -> None:  # fmt: skip
    """Something in a matter's history that leaves its state as it is."""
    await connection.execute(
        "INSERT INTO state_change (matter_id, state, actor, authority, at, note, act, ground, signed_by, detail) "
        "SELECT id, state, $2, $9, $3, $4, $5, $6, $7, $8::jsonb FROM matter WHERE id = $1",
        matter_id, actor, at, note, act, ground, list(signed_by), to_json(detail) if detail else None, authority,
    )  # fmt: skip


async def next_due(connection: Connection, matter_id: uuid.UUID) -> datetime | None:
    due: datetime | None = await connection.fetchval(
        "SELECT min(due_at) FROM clock WHERE matter_id = $1 AND stopped_at IS NULL", matter_id
    )
    return due


async def press(connection: Connection, matter_id: uuid.UUID, act: str, *, actor: str, at: datetime, note: str | None) -> None:
    """Urged 催办 by the complainant, or supervised 督办 from above: counted, and in the history."""
    column = {"urge": "urged", "supervise": "supervised"}[act]
    await connection.execute(f"UPDATE matter SET {column} = {column} + 1 WHERE id = $1", matter_id)
    await remark(connection, matter_id, act, actor=actor, at=at, note=note)


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
                "authority": row["authority"], "as_of": row["as_of"], "reached_at": row["reached_at"], "track": row["track"], "district": row["district"],
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
                "findings": [
                    {"code": f["code"], "evidence": f["evidence"], "legal_basis": finding_basis(f["code"], f["evidence"])} for f in of(findings)
                ],
                "parties": of(parties),
                "respondents": of(respondents),
            }
        )  # fmt: skip
    return found


def require_open(row: Any) -> None:
    if row["state"] in CLOSED:
        raise Conflict(f"the matter is closed ({STATE_LABELS[row['state']]})")
