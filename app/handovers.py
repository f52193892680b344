"""Matters in others' hands: what is handed over, what a partner reads, and what its word is worth.

One interface for all kinds of partner. A hand-over goes sent -> received -> working -> done, failed or returned, or is recalled. A partner's
status is kept whatever it says; it stands where it is later than the one that stands and may follow it (`judge`). What it then does to the
matter is the journey's (`handing`), never here.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

from app import audit, deliveries, law
from app.calendar import local_day
from app.codes import common_region
from app.database import Connection
from app.errors import Conflict, DifferentContent, Invalid, NotFound
from app.identity import Principal, new_id
from app.intake import Letter, open_letter
from app.partners import BY_ACT, KINDS, RESULT_LABELS, basis
from app.privacy import Vault, mask_person, mask_text
from ml.text import mask_values

OPEN = ("sent", "received", "working")
ENDS = ("done", "failed", "returned")
STATE_LABELS = {
    "sent": "已移送", "received": "已接收", "working": "办理中", "done": "已办结", "failed": "未能办成", "returned": "已退回", "recalled": "已撤回",
}  # fmt: skip
# -- handed over

_REPORTED = re.compile(r"(?<!投诉)(?<!投诉/)举报")
_PARTIES = ("odr", "consumer_council", "people_mediation")


def check_message(kind: str, message: str | None) -> None:
    if message and kind in (*_PARTIES, "judicial_confirmation") and _REPORTED.search(message):
        raise Invalid.field("message", f"不得提及举报（{law.cite(law.ORDER_121, 37)}）")
    if kind == "hotline_12345" and not message:
        raise Invalid.field("message", "the answer to the hotline is missing")


async def send(
    connection: Connection, vault: Vault, matter: Any, partner: Any, *, act: str | None, actor: str, at: datetime, due_on: date | None = None,
    agreement_on: date | None = None, message: str | None = None, incident_id: uuid.UUID | None = None,
) -> uuid.UUID:  # fmt: skip
    """Hands the matter, which the caller holds, to a partner found fit for it; told by the outbox. due_on: by default the matter's clock's.

    Raises Conflict where one of the kind has it already.
    """
    kind = partner["kind"]
    check_message(kind, message)
    handover_id = new_id()
    clock = KINDS[kind].clock
    if due_on is None and clock:
        due_on = await connection.fetchval(
            "SELECT due_on FROM clock WHERE matter_id = $1 AND key = $2 AND stopped_at IS NULL", matter["id"], clock
        )
    cipher = vault.encrypt(message, str(handover_id)) if message else None
    made = await connection.fetchval(
        "INSERT INTO handover (id, matter_id, incident_id, kind, partner_id, act, basis, due_on, state, agreement_on, message_cipher, key_id, "
        "created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'sent', $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING RETURNING id",
        handover_id, matter["id"], incident_id, kind, partner["id"], act, basis(kind, matter["lane"], act=act), due_on, agreement_on,
        cipher, vault.key_id if cipher else None, actor, at,
    )  # fmt: skip
    if made is None:
        raise Conflict(f"{KINDS[kind].label}: 已有尚未办结的移送")
    await _note(connection, handover_id, Status(str(new_id()), "sent", at), "bureau", actor, at, True, None, "sent")
    await _tell(connection, matter["id"], handover_id, kind, "sent", due_on)
    await audit.record(connection, actor, "hand_over", "handover", [handover_id], purpose=kind, lane=matter["lane"])
    return handover_id


async def _tell(
    connection: Connection, matter_id: uuid.UUID, handover_id: uuid.UUID, kind: str, state: str, due_on: date | None = None
) -> None:  # fmt: skip
    """The partner of what the desk did; those who listen of whatever happened."""
    payload = {"handover_id": str(handover_id), "kind": kind, "state": state}
    if state in ("sent", "recalled"):
        mine = {**payload, "due_on": due_on.isoformat()} if due_on else payload
        await deliveries.announce(connection, [(matter_id, f"handover.{state}", mine)], handover_id=handover_id)
    await deliveries.announce(
        connection, [(matter_id, f"matter.{'handed_over' if state == 'sent' else 'handover_changed'}", payload)]
    )


async def hold(connection: Connection, handover_id: uuid.UUID) -> Any:
    """Locks a hand-over, whose matter the caller holds."""
    return await connection.fetchrow("SELECT * FROM handover WHERE id = $1 FOR UPDATE", handover_id)


async def recall(
    connection: Connection, vault: Vault, handover: Any, *, actor: str, at: datetime, reason: str | None
) -> None:  # fmt: skip
    """Taken back from the partner, who is told; whatever it says afterwards is kept and does nothing."""
    await connection.execute(
        "UPDATE handover SET state = 'recalled', closed_at = $2, attention = NULL WHERE id = $1", handover["id"], at
    )
    said = Status(str(new_id()), "recalled", at, reason=reason)
    await _note(connection, handover["id"], said, "bureau", actor, at, True, None, "recalled", vault=vault)
    await _tell(connection, handover["matter_id"], handover["id"], handover["kind"], "recalled")
    await audit.record(connection, actor, "recall", "handover", [handover["id"]], purpose=handover["kind"])


async def follow(
    connection: Connection, vault: Vault, matter_id: uuid.UUID, state: str, *, act: str, actor: str, at: datetime
) -> None:  # fmt: skip
    """The matter went to a state in which some of its partners have nothing to do any more: theirs is recalled."""
    for row in await connection.fetch(
        "SELECT * FROM handover WHERE matter_id = $1 AND closed_at IS NULL AND act IS NOT NULL ORDER BY id FOR UPDATE", matter_id
    ):
        states = KINDS[row["kind"]].states
        # A bureau that mediates itself has taken the matter back; one that hands it over anew does so from the one who had it.
        if states is not None and (state not in states or act in ("mediate", *BY_ACT)):
            await recall(connection, vault, row, actor=actor, at=at, reason=None)


# -- what comes back


@dataclass(frozen=True, slots=True)
class Status:
    """A partner's word. as_of: when it was true there. recovered_fen: what the consumer got back."""

    status_id: str
    state: str
    as_of: datetime
    result: str | None = None
    reason: str | None = None
    external_ref: str | None = None
    agreement_on: date | None = None
    recovered_fen: int | None = None


_RANK = {"sent": 0, "received": 1, "working": 2, "done": 3, "failed": 3, "returned": 3}
_SKEW = timedelta(minutes=10)


def check(said: Status, kind: str, now: datetime) -> None:
    """Raises Invalid for what a partner of the kind can't say."""
    results = KINDS[kind].results
    if said.state not in (*OPEN[1:], *ENDS):
        raise Invalid.field("state", f"must be one of {', '.join((*OPEN[1:], *ENDS))}")
    if said.as_of > now + _SKEW:
        raise Invalid.field("as_of", "lies in the future")
    allowed = results.get(said.state, ())
    if said.result is not None and said.result not in allowed:
        raise Invalid.field("result", f"of {said.state} must be one of {', '.join(allowed) or 'none'}")
    if said.state == "done" and said.result is None:
        raise Invalid.field("result", f"must be one of {', '.join(allowed)}")
    if said.state in ("failed", "returned") and not said.reason and said.result is None:
        raise Invalid.field("reason", f"{said.state} needs a reason or a result")
    agreed = said.result == "agreement"
    if agreed and said.agreement_on is None:
        raise Invalid.field("agreement_on", "the day of the agreement is missing")
    if agreed and said.agreement_on and said.agreement_on > local_day(said.as_of):
        raise Invalid.field("agreement_on", "lies after as_of")
    for name in ("agreement_on", "recovered_fen"):
        if getattr(said, name) is not None and not (agreed or (name == "recovered_fen" and said.state == "done")):
            raise Invalid.field(name, "only of an agreement" if name == "agreement_on" else "only of what is done")


def judge(state: str, as_of: datetime | None, said_state: str, said_as_of: datetime) -> bool:
    """Whether a status takes the place of the one that stands. False: it is older, so it is only kept; of two of one moment the further one
    is the newer. A state may be said again and any may be left out; Conflict for one that may not follow: after an end, or backwards."""
    if as_of is not None and (said_as_of, _RANK[said_state]) < (as_of, _RANK[state]):
        return False
    if state in ENDS:
        raise Conflict(f"{STATE_LABELS[state]}: it ended as of {as_of.isoformat() if as_of else '?'}; nothing follows")
    if _RANK[said_state] < _RANK[state]:
        raise Conflict(f"{said_state} does not follow {state}")
    return True


async def known(connection: Connection, vault: Vault, handover_id: uuid.UUID, said: Status) -> dict[str, Any] | None:
    """The answer to the same status, where it was said before. Raises DifferentContent naming the fields where it said something else."""
    row = await connection.fetchrow(
        "SELECT * FROM handover_status WHERE handover_id = $1 AND authority = 'partner' AND status_id = $2",
        handover_id,
        said.status_id,
    )
    if row is None:
        return None
    stored = {**row, "reason": _reason(vault, row)}
    changed = [f.name for f in fields(Status) if stored[f.name] != getattr(said, f.name)]
    if changed:
        raise DifferentContent(
            f"status_id {said.status_id!r} was received with other content",
            errors=[{"field": name, "message": "differs from the status received before"} for name in changed],
        )
    return _answer(row)


def _answer(row: Any) -> dict[str, Any]:
    return {
        "handover_id": row["handover_id"], "status_id": row["status_id"], "applied": row["applied"], "effect": row["effect"],
        "state": row["state_after"], "recorded_at": row["recorded_at"],
    }  # fmt: skip


async def stand(connection: Connection, handover: Any, said: Status, at: datetime) -> None:
    """Makes a partner's status the hand-over's."""
    await connection.execute(
        "UPDATE handover SET state = $2, as_of = $3, result = coalesce($4, result), external_ref = coalesce($5, external_ref), "
        "agreement_on = coalesce($6, agreement_on), recovered_fen = coalesce($7, recovered_fen), closed_at = CASE WHEN $8 THEN $9::timestamptz END "
        "WHERE id = $1",
        handover["id"], said.state, said.as_of, said.result, said.external_ref, said.agreement_on, said.recovered_fen,
        said.state in ENDS, at,
    )  # fmt: skip
    await _tell(connection, handover["matter_id"], handover["id"], handover["kind"], said.state)


async def keep(
    connection: Connection, vault: Vault, handover: Any, said: Status, *, actor: str, at: datetime, applied: bool, effect: str | None
) -> dict[str, Any]:  # fmt: skip
    """A partner's status with what it did. Gives the answer to it."""
    if not applied and said.external_ref and handover["external_ref"] is None:
        # Said late, but nobody else did: the partner's number is no state.
        await connection.execute("UPDATE handover SET external_ref = $2 WHERE id = $1", handover["id"], said.external_ref)
    after = said.state if applied else handover["state"]
    row = await _note(connection, handover["id"], said, "partner", actor, at, applied, effect, after, vault=vault)
    await audit.record(connection, actor, "report_status", "handover", [handover["id"]], purpose=said.state)
    return _answer(row)


async def attend(connection: Connection, handover_id: uuid.UUID, attention: str | None) -> None:
    """Calls a person of the desk to it; None: somebody has seen it."""
    await connection.execute("UPDATE handover SET attention = $2 WHERE id = $1", handover_id, attention)


async def _note(
    connection: Connection, handover_id: uuid.UUID, said: Status, authority: str, actor: str, at: datetime, applied: bool,
    effect: str | None, after: str, *, vault: Vault | None = None,
) -> Any:  # fmt: skip
    cipher = vault.encrypt(said.reason, f"{handover_id}|{authority}|{said.status_id}") if vault and said.reason else None
    return await connection.fetchrow(
        "INSERT INTO handover_status (handover_id, status_id, authority, state, as_of, recorded_at, actor, result, external_ref, agreement_on, "
        "recovered_fen, reason_cipher, key_id, applied, effect, state_after) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING *",
        handover_id, said.status_id, authority, said.state, said.as_of, at, actor, said.result, said.external_ref, said.agreement_on,
        said.recovered_fen, cipher, vault.key_id if vault and cipher else None, applied, effect, after,
    )  # fmt: skip


def _reason(vault: Vault, row: Any) -> str | None:
    if row["reason_cipher"] is None:
        return None
    return vault.decrypt(row["reason_cipher"], f"{row['handover_id']}|{row['authority']}|{row['status_id']}")


async def mediated_agreement(connection: Connection, matter_id: uuid.UUID) -> Any:
    """{kind, agreement_on, external_ref} of the latest agreement that a body the matter was delegated to reported; None: none did."""
    return await connection.fetchrow(
        "SELECT kind, agreement_on, external_ref FROM handover WHERE matter_id = $1 AND kind IN ('people_mediation', 'consumer_council') "
        "AND act IS NOT NULL AND state = 'done' AND result = 'agreement' ORDER BY closed_at DESC LIMIT 1",
        matter_id,
    )


# -- what people and partners read

# The day of the matter's clock while both run: a pause or a calendar moves it.
_DUE_ON = (
    "coalesce((SELECT c.due_on FROM clock c WHERE h.closed_at IS NULL AND c.matter_id = h.matter_id AND c.stopped_at IS NULL AND c.key = CASE h.kind "
    + " ".join(f"WHEN '{name}' THEN '{kind.clock}'" for name, kind in KINDS.items() if kind.clock)
    + " END), h.due_on)"
)
_LIST = """
SELECT h.id, h.matter_id, h.incident_id, h.kind, h.partner_id, p.name AS partner, h.act, h.basis, {due_on} AS due_on, h.state, h.as_of, h.result, h.external_ref,
       h.agreement_on, h.recovered_fen, h.created_by, h.created_at, h.closed_at, h.attention, m.district, m.lane, m.state AS matter_state,
       p.disabled_at IS NOT NULL AS partner_disabled, t.undelivered, t.delivered_at, {alarm} AS alarm
FROM handover h JOIN partner p ON p.id = h.partner_id JOIN matter m ON m.id = h.matter_id
CROSS JOIN LATERAL (
  SELECT coalesce(bool_or(d.state = 'failed'), false) AS undelivered, max(d.delivered_at) AS delivered_at FROM outbox o
  JOIN webhook w ON w.partner_id = h.partner_id JOIN delivery d ON d.webhook_id = w.id AND d.outbox_id = o.id WHERE o.handover_id = h.id
) t
"""
_MINE = " WHERE h.partner_id = $1 AND p.disabled_at IS NULL"
_DESK = " WHERE m.lane = ANY($1) AND EXISTS (SELECT 1 FROM unnest($2::text[]) j WHERE starts_with(m.district, j))"
# Why somebody should look at it, the gravest first.
_ALARM = (
    "CASE WHEN h.closed_at IS NOT NULL THEN h.attention WHEN t.undelivered THEN 'undeliverable' "
    f"WHEN p.disabled_at IS NOT NULL THEN 'partner_disabled' WHEN {_DUE_ON} < $%d THEN 'overdue' ELSE h.attention END"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which hand-overs of those the caller may see. alarmed: only those somebody should look at."""

    kind: str | None = None
    state: str | None = None
    is_open: bool | None = None
    alarmed: bool = False
    matter_id: uuid.UUID | None = None
    after: tuple[datetime, uuid.UUID] | None = None
    limit: int = 50


async def listed(
    connection: Connection, principal: Principal, lanes: Sequence[str], wanted: Wanted, today: date, *, handover_id: uuid.UUID | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    """Newest first. A partner's own, in its words; else those of the caller's places and lanes, with an alarm: undeliverable,
    partner_disabled, overdue, or what the last status left to be looked at."""
    arguments: list[Any] = [principal.partner_id] if principal.partner_id else [list(lanes), list(principal.jurisdictions)]
    where = _MINE if principal.partner_id else _DESK

    def argument(value: Any) -> int:
        arguments.append(value)
        return len(arguments)

    alarm = _ALARM % argument(today)
    for condition, value in (
        ("h.id = $%d", handover_id), ("h.kind = $%d", wanted.kind), ("h.state = $%d", wanted.state), ("h.matter_id = $%d", wanted.matter_id),
        ("(h.closed_at IS NULL) = $%d", wanted.is_open),
    ):  # fmt: skip
        if value is not None:
            where += " AND " + condition % argument(value)
    if wanted.alarmed:
        where += f" AND {alarm} IS NOT NULL"
    if wanted.after:
        where += f" AND (h.created_at, h.id) < (${argument(wanted.after[0])}, ${argument(wanted.after[1])})"
    where += f" ORDER BY h.created_at DESC, h.id DESC LIMIT ${argument(wanted.limit)}"
    rows = await connection.fetch(_LIST.format(alarm=alarm, due_on=_DUE_ON) + where, *arguments)
    return [_shown(dict(r), bool(principal.partner_id)) for r in rows]


_HIDDEN = (
    "created_by",
    "attention",
    "alarm",
    "lane",
    "matter_state",
    "partner_disabled",
    "undelivered",
    "delivered_at",
    "district",
    "act",
)


def _shown(row: dict[str, Any], to_partner: bool) -> dict[str, Any]:
    row |= {"label": KINDS[row["kind"]].label, "state_label": STATE_LABELS[row["state"]]}
    row["result_label"] = RESULT_LABELS.get(row["result"] or "")
    return {k: v for k, v in row.items() if not (to_partner and k in _HIDDEN)}


async def find(
    connection: Connection, principal: Principal, lanes: Sequence[str], handover_id: uuid.UUID, today: date
) -> dict[str, Any]:  # fmt: skip
    found = await listed(connection, principal, lanes, Wanted(), today, handover_id=handover_id)
    if not found:
        raise NotFound("no such hand-over")
    return found[0]


async def statuses(connection: Connection, vault: Vault, handover_id: uuid.UUID, *, to_partner: bool) -> list[dict[str, Any]]:
    """Every word on it, in the order it came. Reasons are masked for the desk: whoever said them may have named people."""
    rows = await connection.fetch("SELECT * FROM handover_status WHERE handover_id = $1 ORDER BY id", handover_id)
    found = []
    for row in rows:
        reason = _reason(vault, row)
        found.append(
            {
                **{k: row[k] for k in ("status_id", "authority", "state", "as_of", "recorded_at", "result", "external_ref", "agreement_on")},
                "recovered_fen": row["recovered_fen"], "reason": mask_text(reason) if reason else None, "applied": row["applied"],
                "effect": row["effect"], **({} if to_partner else {"actor": row["actor"]}),
            }
        )  # fmt: skip
    return found


_FILE = """
SELECT h.*, m.letter_id, m.lane, m.state AS matter_state, m.goods, m.problem, m.demands, m.amount_fen, m.event_on, m.district,
       m.kind = 'both' OR EXISTS (SELECT 1 FROM matter r WHERE r.letter_id = m.letter_id AND r.lane = 'report') AS reported
FROM handover h JOIN matter m ON m.id = h.matter_id WHERE h.id = $1
"""


async def case_file(connection: Connection, vault: Vault, handover_id: uuid.UUID, principal: Principal) -> dict[str, Any] | None:
    """What the partner needs to work: decrypted, logged as a reveal. None where it has nothing to do any more.

    What each may know: an ODR enterprise, a council and a mediation body the dispute and how to reach the complainant, never that anybody
    reported (Art. 37); enforcement everything; a department a complaint whole, a report without who made it; the court the parties and the
    agreement; the hotline its own number and the answer; whoever sues for many the numbers alone.
    """
    row = await connection.fetchrow(_FILE, handover_id)
    states = KINDS[row["kind"]].states
    if row["closed_at"] is not None or (row["act"] and states is not None and row["matter_state"] not in states):
        return None
    message = vault.decrypt(row["message_cipher"], str(handover_id)) if row["message_cipher"] else None
    if row["kind"] == "public_interest":
        await audit.record(
            connection, principal.subject, "read", "incident", [row["incident_id"]], purpose="handover:public_interest"
        )
        return {"message": message, "incident": await _figures(connection, row["incident_id"])}
    letter = await open_letter(connection, vault, row["letter_id"])
    purpose = f"handover:{row['kind']}"
    await audit.record(connection, principal.subject, "reveal", "letter", [row["letter_id"]], purpose=purpose, lane=row["lane"])
    facts = {k: row[k] for k in ("goods", "problem", "demands", "amount_fen", "event_on", "district")}
    return {"message": message, **_told_to(row, letter, message, facts)}


def _told_to(row: Any, letter: Letter, message: str | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    body, kind = letter.body, row["kind"]

    def person(*names: str) -> dict[str, str]:
        return {n: v for n in names if (v := getattr(body.complainant, n, None))}

    respondents = [{k: v for k, v in r.__dict__.items() if v} for r in body.respondents]
    dispute = {"facts": facts, "product": body.product, "order_no": body.order_no}
    match kind:
        case "hotline_12345":
            return {"external_id": body.external_id, "received_at": letter.received_at}
        case "judicial_confirmation":
            return {
                "facts": facts, "agreement_on": row["agreement_on"], "respondents": respondents,
                "complainant": person("name", "phone", "address"),
            }  # fmt: skip
        case "consumer_council" if row["act"] is None:
            # It is asked whether it knows the dispute, not to work on it: nobody has consented yet.
            return {
                "facts": facts,
                "product": body.product,
                "respondents": respondents,
                "complainant": mask_person(person("name", "phone")),
            }
        case "odr" | "consumer_council" | "people_mediation":
            reach = ("name", "phone") if kind == "odr" else ("name", "phone", "address")
            agent = {n: v for n in ("name", "phone") if (v := getattr(body.agent, n, None))}
            # What tells who he is elsewhere is nobody's business here.
            text = mask_values(body.text, [n for n in (body.complainant.id_no, body.agent.id_no) if n])
            if row["reported"] or _REPORTED.search(text):
                text = _composed(body.product, facts)
            return {
                **dispute, "text": text, "complainant": person(*reach), **({"agent": agent} if agent else {}),
                **({} if kind == "odr" else {"respondents": respondents}),
            }  # fmt: skip
        case "enforcement":
            return {**dispute, "text": body.text, "complainant": person("name", "phone", "address"), "respondents": respondents}
        case _ if row["lane"] == "report":
            return {
                "facts": facts,
                "product": body.product,
                "text": mask_text(body.text, *body.personal_values()),
                "respondents": respondents,
            }
        case _:
            return {**dispute, "text": body.text, "complainant": person("name", "phone", "address"), "respondents": respondents}


def _composed(product: str | None, facts: Mapping[str, Any]) -> str:
    """The dispute in the reading's words, where the letter's own say more than the partner may know."""
    parts = [
        f"{facts['event_on'].isoformat()}发生消费争议" if facts["event_on"] else "发生消费争议",
        product or facts["goods"] or "", facts["problem"] or "",
        f"金额{facts['amount_fen'] / 100:.2f}元" if facts["amount_fen"] else "",
        f"请求{'、'.join(facts['demands'])}" if facts["demands"] else "",
    ]  # fmt: skip
    return "，".join(p for p in parts if p) + "。"


# -- candidates of a public-interest suit

# Design choice, each a threshold of the policy: how many people are many; how many where somebody was hurt; or where so much money is at stake.
CANDIDATE_THRESHOLDS = {
    "public_interest.people": 30.0,
    "public_interest.harm_people": 5.0,
    "public_interest.amount_fen": 50_000_000.0,
}
_CANDIDATES = """
SELECT i.id AS incident_id, i.merchant_id, mc.name AS merchant, i.people_complaints AS people, i.harm, i.first_at, i.last_at, i.state,
       c.complaints, c.districts, c.amount_fen, h.state AS handover, h.id AS handover_id
FROM incident i LEFT JOIN merchant mc ON mc.id = i.merchant_id
CROSS JOIN LATERAL (
  SELECT count(*) AS complaints, array_agg(DISTINCT m.district) AS districts, coalesce(sum(m.amount_fen), 0)::bigint AS amount_fen
  FROM incident_membership im JOIN matter m ON m.id = im.matter_id
  WHERE im.incident_id = i.id AND im.valid_to IS NULL AND im.is_primary AND m.lane = 'complaint' AND m.copy_of IS NULL
) c
LEFT JOIN LATERAL (SELECT id, state FROM handover WHERE incident_id = i.id ORDER BY created_at DESC LIMIT 1) h ON true
WHERE i.merged_into IS NULL
"""
_OF_PLACES = " AND i.people_complaints >= $1 AND EXISTS (SELECT 1 FROM unnest(c.districts) d, unnest($2::text[]) j WHERE starts_with(d, j))"
_MOST_CANDIDATES = 500


async def _figures(connection: Connection, incident_id: uuid.UUID) -> dict[str, Any] | None:
    row = await connection.fetchrow(_CANDIDATES + " AND i.id = $1", incident_id)
    return {k: v for k, v in row.items() if k not in ("handover", "handover_id")} if row else None


async def candidates(connection: Connection, principal: Principal, thresholds: Any, *, least: float) -> list[dict[str, Any]]:
    """Incidents that harm many consumers, most people first: numbers only. thresholds: of a place, as a function; least: the lowest number
    of people any of them speaks of."""
    rows = await connection.fetch(
        f"{_CANDIDATES}{_OF_PLACES} ORDER BY i.people_complaints DESC, i.id LIMIT {_MOST_CANDIDATES}",
        int(least), list(principal.jurisdictions),
    )  # fmt: skip
    found = []
    for row in rows:
        limits = {
            **CANDIDATE_THRESHOLDS,
            **{k: v for k, v in thresholds(common_region(row["districts"])).items() if k in CANDIDATE_THRESHOLDS},
        }
        some = row["people"] >= limits["public_interest.harm_people"]
        reached = [
            name
            for name, holds in (
                ("people", row["people"] >= limits["public_interest.people"]),
                ("harm", some and row["harm"]),
                ("amount", some and row["amount_fen"] >= limits["public_interest.amount_fen"]),
            )
            if holds
        ]
        if reached:
            found.append({**dict(row), "reached": reached, "basis": basis("public_interest", "complaint", act=None)})
    return found
