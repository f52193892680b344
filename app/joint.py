"""Joint matters (共同投诉, Order 121 Art. 12): who is asked, who consents, who represents whom, who leaves. A legal joinder, each person's
consent a fact with who and when; an incident is statistics and asks nobody.

A joint matter links; it moves nothing. Every member keeps his matter, its clocks, letter and documents. proposed -> joined (every kept
member consented, two persons at least) -> ended. A member that refuses, withdraws, leaves or closes is kept no more; with fewer than two
kept ones it ends, in the transaction that made them fewer.

Locks: matters (by id), then the joint matter. Functions that change something give what is to be written in the histories of which
matters (`Said`); the caller, who knows cases, writes it.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app import law
from app.database import Connection, to_json
from app.errors import Conflict, Invalid, NotFound
from app.identity import new_id

STATE_LABELS = {"proposed": "征求投诉人同意中", "joined": "按共同投诉处理", "ended": "已结束"}
CONSENT_LABELS = {"open": "待答复", "given": "同意", "refused": "不同意", "withdrawn": "撤回同意"}
LEFT_LABELS = {
    "refused": "投诉人不同意", "withdrawn": "投诉人撤回同意", "left": "退出", "closed": "该投诉已办结", "not_a_complaint": "经更正不属于投诉",
    "same_person": "与另一成员为同一投诉人", "few": "投诉人不足两人", "ended": "共同投诉结束",
}  # fmt: skip
# What representatives can't do alone (Art. 12(2)).
KINDS = {"settlement": "与被投诉人达成调解协议", "change": "变更投诉请求", "waiver": "放弃投诉请求"}
REPRESENTATIVES = 2
MAX_MEMBERS = 200


def _cited(paragraph: int) -> str:
    return law.cite(law.ORDER_121, 12, paragraph)


@dataclass(frozen=True, slots=True)
class Said:
    """What the history of one matter says."""

    matter_id: uuid.UUID
    act: str
    note: str


# -- who could be joined


_CANDIDATES = """
SELECT m.id, m.letter_id, m.lane, m.state, m.district, m.history, m.merchant_id, m.received_at, im.incident_id, (
  SELECT jm.joint_matter_id FROM joint_member jm WHERE jm.matter_id = m.id AND jm.left_at IS NULL
) AS joint_matter_id, (
  SELECT array_agg(DISTINCT cm.complainant_id) FROM party p
  JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  WHERE p.matter_id = m.id AND p.role = CASE WHEN EXISTS (
    SELECT 1 FROM party o WHERE o.matter_id = m.id AND o.role = 'principal') THEN 'principal' ELSE 'filer' END
) AS people
FROM matter m LEFT JOIN incident_membership im ON im.matter_id = m.id AND im.valid_to IS NULL AND im.is_primary
WHERE m.id = ANY($1) ORDER BY m.id
"""


async def candidates(connection: Connection, matter_ids: Iterable[uuid.UUID], *, locked: bool = True) -> list[Any]:
    """The matters, locked in order. people: whose complaint it is (of an agent's letter the principal), None where nobody is known."""
    ids = list(set(matter_ids))
    if locked:  # before they are looked at: whoever was quicker has been seen then
        await connection.execute("SELECT 1 FROM matter WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", ids)
    return list(await connection.fetch(_CANDIDATES, ids))


async def of_incident(
    connection: Connection, incident_id: uuid.UUID, jurisdictions: Sequence[str], closed: Iterable[str]
) -> list[uuid.UUID]:  # fmt: skip
    """The open complaints of an incident, each person's first, of those whose person is known and who is in no joint matter yet. Reports
    have no part in it (Art. 37). NotFound where the caller may see none of its complaints."""
    rows = await connection.fetch(
        "SELECT m.id, m.state, m.history FROM incident_membership im JOIN matter m ON m.id = im.matter_id "
        "WHERE im.incident_id = $1 AND im.valid_to IS NULL AND m.lane = 'complaint' "
        "AND EXISTS (SELECT 1 FROM unnest($2::text[]) j WHERE starts_with(m.district, j)) LIMIT 5000",
        incident_id, list(jurisdictions),
    )  # fmt: skip
    if not rows:
        raise NotFound("no such incident")
    no_more = set(closed)
    found = await candidates(connection, [r["id"] for r in rows if r["state"] not in no_more and not r["history"]], locked=False)
    seen: set[uuid.UUID] = {p for r in found if r["joint_matter_id"] is not None for p in r["people"] or ()}
    chosen = []
    for row in sorted(found, key=lambda r: (r["received_at"], str(r["id"]))):
        people = set(row["people"] or ())
        if people and not people & seen and row["joint_matter_id"] is None:
            seen |= people
            chosen.append(row["id"])
    return chosen


def strangers(rows: Sequence[Any]) -> dict[uuid.UUID, str]:
    """matter -> why it can't be joined with the others: another operator, another dispute, the same person. Empty where all are of one
    dispute with one operator and of different persons.

    Two matters are of one dispute where they are of one incident, or where they complain of the same merchant: that it is the same thing
    there is the judgement of the person who joins them, which words alone don't decide. Two known merchants are two operators,
    whatever the incident.
    """
    wrong: dict[uuid.UUID, str] = {}
    known = [r["merchant_id"] for r in rows if r["merchant_id"] is not None]
    main = max(dict.fromkeys(known), key=known.count, default=None)
    for row in rows:
        if row["merchant_id"] not in (None, main):
            wrong[row["id"]] = "被投诉人与其他投诉不是同一经营者"
    rest = [r for r in rows if r["id"] not in wrong]
    best: set[uuid.UUID] = set()
    left = list(rest)
    while left:
        group = [left.pop(0)]
        for one in group:
            near = [r for r in left if _linked(one, r)]
            group += near
            left = [r for r in left if r not in near]
        if len(group) > len(best):
            best = {r["id"] for r in group}
    wrong |= {r["id"]: "与其他投诉不是同一消费者权益争议" for r in rest if r["id"] not in best}
    taken: set[uuid.UUID] = set()
    for row in sorted(rest, key=lambda r: (r["received_at"], str(r["id"]))):
        people = set(row["people"] or ())
        if not people:
            wrong.setdefault(row["id"], "投诉人身份不明，无从取得其同意")
        elif people & taken:
            wrong.setdefault(row["id"], "与另一投诉为同一投诉人提出")
        taken |= people
    return wrong


def _linked(a: Any, b: Any) -> bool:
    same_merchant = a["merchant_id"] is not None and a["merchant_id"] == b["merchant_id"]
    return same_merchant or (a["incident_id"] is not None and a["incident_id"] == b["incident_id"])


# -- what there is


async def hold(connection: Connection, joint_id: uuid.UUID) -> Any:
    """Locks a joint matter for this transaction."""
    row = await connection.fetchrow("SELECT * FROM joint_matter WHERE id = $1 FOR UPDATE", joint_id)
    if row is None:
        raise NotFound("no such joint matter")
    return row


def require_live(row: Any) -> None:
    if row["state"] == "ended":
        raise Conflict(f"the joint matter ended ({LEFT_LABELS[row['end_reason']]})")


_MEMBERS = """
SELECT jm.*, m.letter_id AS complaint_id, m.state, m.district, m.received_at, c.key AS clock, c.due_at
FROM joint_member jm JOIN matter m ON m.id = jm.matter_id LEFT JOIN LATERAL (
  SELECT key, due_at FROM clock WHERE matter_id = m.id AND stopped_at IS NULL ORDER BY due_at LIMIT 1
) c ON true WHERE jm.joint_matter_id = $1 AND m.lane = 'complaint' ORDER BY c.due_at NULLS LAST, m.received_at, m.id
"""


async def members(connection: Connection, joint_id: uuid.UUID) -> list[Any]:
    """All that are or were in it, by what is due first; nothing that was found to be a report (Art. 37). state, district, due_at: of the
    member's own matter."""
    return list(await connection.fetch(_MEMBERS, joint_id))


def kept(rows: Iterable[Any]) -> list[Any]:
    return [r for r in rows if r["left_at"] is None]


async def of_matters(connection: Connection, matter_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    """matter -> {joint_matter_id, joint_state, joint_consent} of those that are kept in one now."""
    rows = await connection.fetch(
        "SELECT jm.matter_id, jm.joint_matter_id, j.state AS joint_state, jm.consent AS joint_consent FROM joint_member jm "
        "JOIN joint_matter j ON j.id = jm.joint_matter_id WHERE jm.matter_id = ANY($1) AND jm.left_at IS NULL",
        list(matter_ids),
    )
    return {r["matter_id"]: {k: v for k, v in dict(r).items() if k != "matter_id"} for r in rows}


async def of_letter(connection: Connection, letter_id: uuid.UUID) -> list[Any]:
    """Where the letter's complaint is a kept member: [{joint_matter_id, matter_id, state, consent}]."""
    return list(
        await connection.fetch(
            "SELECT jm.joint_matter_id, jm.matter_id, j.state, jm.consent FROM joint_member jm JOIN joint_matter j ON j.id = jm.joint_matter_id "
            "JOIN matter m ON m.id = jm.matter_id WHERE m.letter_id = $1 AND jm.left_at IS NULL ORDER BY jm.matter_id",
            letter_id,
        )
    )


# -- its life

_ALONE = "UPDATE joint_member SET role = NULL WHERE matter_id = ANY($1) AND left_reason = 'few' AND role IS NOT NULL"


async def open_joint(
    connection: Connection, joint_id: uuid.UUID, matter_ids: Sequence[uuid.UUID], *, incident_id: uuid.UUID | None, basis: str | None,
    consents: Mapping[uuid.UUID, str | None], actor: str, at: datetime,
) -> list[Said]:  # fmt: skip
    """Proposes it; where all consents are at hand it is joined at once. consents: matter -> how the word was given. The matters must be
    held by the caller, and be fit to be joined (strangers)."""
    await connection.execute(
        "INSERT INTO joint_matter (id, incident_id, created_by, created_at, state, basis) VALUES ($1, $2, $3, $4, 'proposed', $5)",
        joint_id, incident_id, actor, at, basis,
    )  # fmt: skip
    await _note(connection, joint_id, "propose", actor, at, members=len(matter_ids), basis=basis)
    return await add(connection, joint_id, matter_ids, consents=consents, actor=actor, at=at)


async def add(
    connection: Connection, joint_id: uuid.UUID, matter_ids: Sequence[uuid.UUID], *, consents: Mapping[uuid.UUID, str | None], actor: str,
    at: datetime,
) -> list[Said]:  # fmt: skip
    """Further members, under no election until they elect. Whoever left may come back."""
    said = []
    # Where they were left alone before, nobody speaks for them any more.
    await connection.execute(_ALONE, list(matter_ids))
    for matter_id in matter_ids:
        await connection.execute(
            "INSERT INTO joint_member (joint_matter_id, matter_id) VALUES ($1, $2) ON CONFLICT (joint_matter_id, matter_id) DO UPDATE "
            "SET consent = 'open', consent_by = NULL, consent_at = NULL, consent_reference = NULL, role = NULL, left_at = NULL, left_by = NULL, "
            "left_reason = NULL",
            joint_id, matter_id,
        )  # fmt: skip
        await _note(connection, joint_id, "ask", actor, at, matter_id)
        said.append(Said(matter_id, "joint_proposed", f"{_cited(1)}：拟按共同投诉处理，征求投诉人同意"))
    for matter_id in matter_ids:
        if matter_id in consents:
            said += await _say(connection, joint_id, matter_id, "given", actor=actor, at=at, reference=consents[matter_id])
    return [*said, *await _follow(connection, joint_id, actor=actor, at=at)]


async def answer(
    connection: Connection, joint_id: uuid.UUID, member: Any, agrees: bool, *, actor: str, at: datetime, reference: str | None
) -> list[Said]:  # fmt: skip
    """A member's yes or no to being joined. A no after a yes takes it back; both end his part, and nothing of his matter changes. The same
    word again changes nothing."""
    consent = "given" if agrees else "refused" if member["consent"] == "open" else "withdrawn"
    if member["consent"] == consent:
        return []
    said = await _say(connection, joint_id, member["matter_id"], consent, actor=actor, at=at, reference=reference)
    if not agrees:
        return [*said, *await leave(connection, joint_id, member["matter_id"], consent, actor=actor, at=at)]
    return [*said, *await _follow(connection, joint_id, actor=actor, at=at)]


async def _say(
    connection: Connection, joint_id: uuid.UUID, matter_id: uuid.UUID, consent: str, *, actor: str, at: datetime, reference: str | None
) -> list[Said]:  # fmt: skip
    # Kept members' words are open or given (a check of the table): whoever says no is written with his leaving.
    if consent == "given":
        await connection.execute(
            "UPDATE joint_member SET consent = 'given', consent_by = $3, consent_at = $4, consent_reference = $5 "
            "WHERE joint_matter_id = $1 AND matter_id = $2",
            joint_id, matter_id, actor, at, reference,
        )  # fmt: skip
    else:
        await connection.execute(
            "UPDATE joint_member SET consent = $6, consent_by = $3, consent_at = $4, consent_reference = $5, left_at = $4, left_by = $3, "
            "left_reason = $6 WHERE joint_matter_id = $1 AND matter_id = $2",
            joint_id, matter_id, actor, at, reference, consent,
        )  # fmt: skip
    await _note(connection, joint_id, "consent", actor, at, matter_id, consent=consent, reference=reference)
    told = f"{_cited(1)}：{CONSENT_LABELS[consent]}按共同投诉处理"
    return [Said(matter_id, "joint_consent", f"{told}；{reference}" if reference else told)]


async def leave(
    connection: Connection, joint_id: uuid.UUID, matter_id: uuid.UUID, reason: str, *, actor: str, at: datetime, note: str | None = None
) -> list[Said]:  # fmt: skip
    """reason: of LEFT_LABELS. A representative's leaving ends the election: nobody is represented until there is another. Where it is his
    matter that closed he stays who spoke for them."""
    member = await connection.fetchrow(
        "UPDATE joint_member SET left_at = coalesce(left_at, $3), left_by = coalesce(left_by, $4), left_reason = coalesce(left_reason, $5) "
        "WHERE joint_matter_id = $1 AND matter_id = $2 RETURNING role",
        joint_id, matter_id, at, actor, reason,
    )  # fmt: skip
    await _note(connection, joint_id, "leave", actor, at, matter_id, reason=reason, note=note)
    if member["role"] == "representative" and reason != "closed":
        await connection.execute("UPDATE joint_matter SET election = NULL WHERE id = $1", joint_id)
        await connection.execute("UPDATE joint_member SET role = NULL WHERE joint_matter_id = $1", joint_id)
        await _note(connection, joint_id, "election_ends", actor, at, reason=reason)
    elif reason != "closed":
        await connection.execute(
            "UPDATE joint_member SET role = NULL WHERE joint_matter_id = $1 AND matter_id = $2", joint_id, matter_id
        )
    told = f"不再按共同投诉处理：{LEFT_LABELS[reason]}"
    said = [Said(matter_id, "joint_left", f"{told}；{note}" if note else told)]
    return [*said, *await _follow(connection, joint_id, actor=actor, at=at)]


async def speaks_for_himself(
    connection: Connection, joint_id: uuid.UUID, matter_id: uuid.UUID, *, actor: str, at: datetime, note: str | None
) -> list[Said]:  # fmt: skip
    """Who was left alone when the joint matter ended, and was represented, is so no more."""
    await connection.execute(
        "UPDATE joint_member SET role = NULL WHERE joint_matter_id = $1 AND matter_id = $2", joint_id, matter_id
    )
    await _note(connection, joint_id, "leave", actor, at, matter_id, note=note)
    return [Said(matter_id, "joint_left", "；".join(("不再由代表人代表", *((note,) if note else ()))))]


async def end(
    connection: Connection, joint_id: uuid.UUID, reason: str, *, actor: str, at: datetime, note: str | None = None
) -> list[Said]:
    """reason: ended (somebody says so), few. Every member goes on alone, as he stands."""
    await connection.execute(
        "UPDATE joint_matter SET state = 'ended', ended_at = $2, ended_by = $3, end_reason = $4 WHERE id = $1", joint_id, at, actor, reason
    )  # fmt: skip
    rows = await connection.fetch(
        "UPDATE joint_member SET left_at = $2, left_by = $3, left_reason = $4, role = CASE WHEN $4 = 'few' THEN role END "
        "WHERE joint_matter_id = $1 AND left_at IS NULL RETURNING matter_id",
        joint_id, at, actor, reason,
    )  # fmt: skip
    await _note(connection, joint_id, "end", actor, at, reason=reason, note=note)
    told = f"共同投诉结束：{note}" if reason == "ended" and note else f"不再按共同投诉处理：{LEFT_LABELS[reason]}"
    return [Said(m, "joint_ended", told) for m in sorted((r["matter_id"] for r in rows), key=str)]


_COUNT = """
SELECT count(DISTINCT jm.matter_id) AS members, count(DISTINCT jm.matter_id) FILTER (WHERE jm.consent = 'given') AS given,
       count(DISTINCT cm.complainant_id) AS people
FROM joint_member jm
LEFT JOIN party p ON p.matter_id = jm.matter_id AND p.role = CASE WHEN EXISTS (
  SELECT 1 FROM party o WHERE o.matter_id = jm.matter_id AND o.role = 'principal') THEN 'principal' ELSE 'filer' END
LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
WHERE jm.joint_matter_id = $1 AND jm.left_at IS NULL
"""


async def _follow(connection: Connection, joint_id: uuid.UUID, *, actor: str, at: datetime) -> list[Said]:
    """What its members make of it: ended with fewer than two, joined once every one has consented. The last word decides, for the bureau
    proposed it already."""
    state = await connection.fetchval("SELECT state FROM joint_matter WHERE id = $1", joint_id)
    counted = await connection.fetchrow(_COUNT, joint_id)
    if state == "ended":
        return []
    if counted["members"] < 2:
        return await end(connection, joint_id, "few", actor=actor, at=at)
    if state == "proposed" and counted["given"] == counted["members"] and counted["people"] >= 2:
        await connection.execute("UPDATE joint_matter SET state = 'joined', joined_at = $2 WHERE id = $1", joint_id, at)
        await _note(connection, joint_id, "join", actor, at, members=counted["members"])
        rows = await connection.fetch(
            "SELECT matter_id FROM joint_member WHERE joint_matter_id = $1 AND left_at IS NULL ORDER BY matter_id", joint_id
        )
        told = f"{_cited(1)}：经投诉人同意，按共同投诉处理"
        return [Said(r["matter_id"], "joint_joined", told) for r in rows]
    return []


async def _note(
    connection: Connection, joint_id: uuid.UUID, act: str, actor: str, at: datetime, matter_id: uuid.UUID | None = None, **detail: Any
) -> None:  # fmt: skip
    await connection.execute(
        "INSERT INTO joint_event (joint_matter_id, matter_id, act, actor, at, detail) VALUES ($1, $2, $3, $4, $5, $6)",
        joint_id, matter_id, act, actor, at, to_json({k: v for k, v in detail.items() if v is not None}),
    )  # fmt: skip


# -- what follows from elsewhere


async def follow_matter(connection: Connection, matter_id: uuid.UUID, reason: str, *, actor: str, at: datetime) -> list[Said]:
    """A matter that closed or is no complaint any more is no member. The matter must be held by the caller; the others need not be."""
    joint_id = await connection.fetchval(
        "SELECT joint_matter_id FROM joint_member WHERE matter_id = $1 AND left_at IS NULL", matter_id
    )
    if joint_id is None:
        await connection.execute(_ALONE, [matter_id])
        return []
    await hold(connection, joint_id)
    if not await connection.fetchval(
        "SELECT true FROM joint_member WHERE joint_matter_id = $1 AND matter_id = $2 AND left_at IS NULL", joint_id, matter_id
    ):
        return []  # it ended while this waited
    return await leave(connection, joint_id, matter_id, reason, actor=actor, at=at)


async def follow_person(connection: Connection, complainant_id: uuid.UUID, *, actor: str, at: datetime) -> list[Said]:
    """A person has said that several members are one: his first matter stays a member, the others leave."""
    said = []
    for joint_id in [
        r["joint_matter_id"]
        for r in await connection.fetch(
            "SELECT DISTINCT jm.joint_matter_id FROM complainant_membership cm JOIN party p ON p.record_id = cm.record_id "
            "JOIN joint_member jm ON jm.matter_id = p.matter_id AND jm.left_at IS NULL WHERE cm.complainant_id = $1 AND cm.valid_to IS NULL "
            "ORDER BY 1",
            complainant_id,
        )
    ]:
        await hold(connection, joint_id)
        for double in (await _doubles(connection, joint_id)).get(complainant_id, [])[1:]:
            said += await follow_matter(connection, double, "same_person", actor=actor, at=at)
    return said


async def _doubles(connection: Connection, joint_id: uuid.UUID) -> dict[uuid.UUID, list[uuid.UUID]]:
    """person -> his kept matters, the first received first, of persons with several."""
    rows = await connection.fetch(
        "SELECT cm.complainant_id, array_agg(m.id ORDER BY m.received_at, m.id) AS matters FROM joint_member jm "
        "JOIN matter m ON m.id = jm.matter_id JOIN party p ON p.matter_id = m.id AND p.role = CASE WHEN EXISTS ("
        "SELECT 1 FROM party o WHERE o.matter_id = m.id AND o.role = 'principal') THEN 'principal' ELSE 'filer' END "
        "JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL "
        "WHERE jm.joint_matter_id = $1 AND jm.left_at IS NULL GROUP BY 1 HAVING count(DISTINCT m.id) > 1 ORDER BY 1",
        joint_id,
    )
    return {r["complainant_id"]: list(dict.fromkeys(r["matters"])) for r in rows}


# -- representatives (Art. 12(2))


async def elect(
    connection: Connection, joint_id: uuid.UUID, representatives: Sequence[uuid.UUID], electors: Iterable[uuid.UUID], *,
    election: Mapping[str, Any], actor: str, at: datetime,
) -> list[Said]:  # fmt: skip
    """Two of the members, for those who elected them in writing; an earlier election ends. Who did not elect acts for himself."""
    represented = sorted(set(electors) - set(representatives), key=str)
    await connection.execute(
        "UPDATE joint_matter SET election = $2::jsonb WHERE id = $1",
        joint_id,
        to_json({**election, "recorded_by": actor, "at": at}),
    )
    await connection.execute(
        "UPDATE joint_member SET role = CASE WHEN matter_id = ANY($2) THEN 'representative' WHEN matter_id = ANY($3) THEN 'represented' END "
        "WHERE joint_matter_id = $1",
        joint_id, list(representatives), represented,
    )  # fmt: skip
    await _note(
        connection, joint_id, "elect", actor, at, representatives=[str(m) for m in representatives], electors=len(represented), **election
    )  # fmt: skip
    told = f"{_cited(2)}：投诉人书面推选两名代表人"
    return [
        *(Said(m, "joint_elected", f"{told}，本投诉人为代表人") for m in representatives),
        *(Said(m, "joint_elected", f"{told}，本投诉人由其代表") for m in represented),
    ]


async def put(
    connection: Connection, joint_id: uuid.UUID, kind: str, reference: str, *, actor: str, at: datetime
) -> tuple[uuid.UUID, list[Said]]:  # fmt: skip
    """What the representatives want that binds nobody without his word: (its id, the histories of the represented). Later terms of the same kind
    take the place of earlier ones, and need their own words."""
    proposal_id = new_id()
    await connection.execute(
        "INSERT INTO joint_proposal (id, joint_matter_id, kind, reference, put_by, put_at) VALUES ($1, $2, $3, $4, $5, $6)",
        proposal_id, joint_id, kind, reference, actor, at,
    )  # fmt: skip
    await _note(connection, joint_id, "put", actor, at, proposal_id=str(proposal_id), kind=kind, reference=reference)
    told = f"{_cited(2)}：代表人拟{KINDS[kind]}，征求被代表的投诉人同意；{reference}"
    rows = await connection.fetch(
        "SELECT matter_id FROM joint_member WHERE joint_matter_id = $1 AND left_at IS NULL AND role = 'represented' ORDER BY matter_id",
        joint_id,
    )
    return proposal_id, [Said(r["matter_id"], "joint_put", told) for r in rows]


async def assent(
    connection: Connection, joint_id: uuid.UUID, proposal_id: uuid.UUID, matter_id: uuid.UUID, agrees: bool, *, actor: str, at: datetime,
    reference: str | None,
) -> list[Said]:  # fmt: skip
    """A represented person's word on it, which he may change. Raises NotFound, Conflict where other terms took its place."""
    kind = await connection.fetchval(
        "SELECT kind FROM joint_proposal WHERE id = $1 AND joint_matter_id = $2", proposal_id, joint_id
    )
    if kind is None:
        raise NotFound("no such proposal")
    if proposal_id != await connection.fetchval(
        "SELECT id FROM joint_proposal WHERE joint_matter_id = $1 AND kind = $2 ORDER BY put_at DESC, id DESC LIMIT 1",
        joint_id,
        kind,
    ):
        raise Conflict("other terms took the place of these")
    await connection.execute(
        "INSERT INTO joint_assent (proposal_id, matter_id, agrees, actor, at, reference) VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (proposal_id, matter_id) DO UPDATE SET agrees = excluded.agrees, actor = excluded.actor, at = excluded.at, "
        "reference = excluded.reference",
        proposal_id, matter_id, agrees, actor, at, reference,
    )  # fmt: skip
    await _note(
        connection, joint_id, "assent", actor, at, matter_id, proposal_id=str(proposal_id), agrees=agrees, reference=reference
    )
    told = f"{_cited(2)}：被代表的投诉人{'同意' if agrees else '不同意'}代表人{KINDS[kind]}"
    return [Said(matter_id, "joint_assent", f"{told}；{reference}" if reference else told)]


# Whoever was left alone when the others' matters closed is asked still: the order in which they close must settle for nobody.
_LACKING = """
SELECT p.id AS proposal_id, a.agrees FROM joint_member jm JOIN joint_matter j ON j.id = jm.joint_matter_id
LEFT JOIN LATERAL (
  SELECT DISTINCT ON (kind) id, kind FROM joint_proposal WHERE joint_matter_id = j.id AND kind = ANY($2) ORDER BY kind, put_at DESC, id DESC
) p ON true LEFT JOIN joint_assent a ON a.proposal_id = p.id AND a.matter_id = jm.matter_id
WHERE jm.matter_id = $1 AND jm.role = 'represented' AND ((j.state = 'joined' AND jm.left_at IS NULL) OR jm.left_reason = 'few')
"""


async def require_assent(connection: Connection, matter_id: uuid.UUID, kinds: Sequence[str]) -> None:
    """What a representative can't do alone needs the represented person's own word on the terms put last, on one of the kinds. Nothing where
    he acts for himself. Raises Conflict with the matter."""
    rows = await connection.fetch(_LACKING, matter_id, list(kinds))
    if not rows or any(r["agrees"] for r in rows):
        return
    asked = [r for r in rows if r["proposal_id"]]
    answer = "尚未征求" if not asked else "已被拒绝" if all(r["agrees"] is False for r in asked) else "尚未取得"
    told = f"{_cited(2)}：代表人{'或者'.join(KINDS[k] for k in kinds)}，应当经被代表的投诉人同意，{answer}"
    raise Conflict(f"{told}: {matter_id}", errors=[{"field": str(matter_id), "message": answer}])


# -- what people read


_LIST = """
SELECT j.id, j.state, j.incident_id, j.created_by, j.created_at, j.joined_at, j.ended_at, j.end_reason,
  (SELECT count(*) FROM joint_member jm WHERE jm.joint_matter_id = j.id AND jm.left_at IS NULL) AS members,
  (SELECT min(c.due_at) FROM joint_member jm JOIN clock c ON c.matter_id = jm.matter_id AND c.stopped_at IS NULL
   WHERE jm.joint_matter_id = j.id AND jm.left_at IS NULL) AS due_at
FROM joint_matter j
WHERE EXISTS (SELECT 1 FROM joint_member jm JOIN matter m ON m.id = jm.matter_id, unnest($1::text[]) p
              WHERE jm.joint_matter_id = j.id AND starts_with(m.district, p))
  AND ($2::text IS NULL OR j.state = $2) AND ($3::uuid IS NULL OR j.incident_id = $3)
  AND ($4::timestamptz IS NULL OR (j.created_at, j.id) < ($4, $5))
ORDER BY j.created_at DESC, j.id DESC LIMIT $6
"""


async def listed(
    connection: Connection, jurisdictions: Sequence[str], *, state: str | None, incident_id: uuid.UUID | None,
    after: tuple[datetime, uuid.UUID] | None, limit: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Newest first. members: kept ones; due_at: the first of their clocks."""
    if state is not None and state not in STATE_LABELS:
        raise Invalid.field("state", f"must be one of {', '.join(STATE_LABELS)}")
    rows = await connection.fetch(_LIST, list(jurisdictions), state, incident_id, *(after or (None, None)), limit)
    return [{**dict(r), "state_label": STATE_LABELS[r["state"]]} for r in rows]


async def read(connection: Connection, joint_id: uuid.UUID, jurisdictions: Sequence[str]) -> dict[str, Any]:
    """The whole, as the desk sees it; of members in other places only how many they are. due_at: the first of the kept members' clocks,
    which governs the work. one_person: matters that are taken for one person's by now, for somebody to look at."""
    row = await connection.fetchrow("SELECT * FROM joint_matter WHERE id = $1", joint_id)
    every = await members(connection, joint_id) if row else []
    seen = [m for m in every if any(m["district"].startswith(j) for j in jurisdictions)]
    if not seen:
        raise NotFound("no such joint matter")
    ids = {m["matter_id"] for m in seen}
    proposals = await connection.fetch(
        "SELECT id, kind, reference, put_by, put_at FROM joint_proposal WHERE joint_matter_id = $1 ORDER BY put_at, id", joint_id
    )
    words = await connection.fetch(
        "SELECT a.* FROM joint_assent a JOIN joint_proposal p ON p.id = a.proposal_id WHERE p.joint_matter_id = $1 ORDER BY a.at, a.matter_id",
        joint_id,
    )
    events = await connection.fetch("SELECT * FROM joint_event WHERE joint_matter_id = $1 ORDER BY id", joint_id)
    return {
        **dict(row), "state_label": STATE_LABELS[row["state"]],
        "end_reason_label": LEFT_LABELS[row["end_reason"]] if row["end_reason"] else None,
        "due_at": min((m["due_at"] for m in kept(every) if m["due_at"]), default=None),
        "members": [_member(m) for m in seen], "elsewhere": len(every) - len(seen),
        "representatives": [m["matter_id"] for m in seen if m["role"] == "representative"],
        "one_person": [p for p in (await _doubles(connection, joint_id)).values() if ids.issuperset(p)],
        "proposals": [
            {**dict(p), "kind_label": KINDS[p["kind"]],
             "words": [_without(w, "proposal_id") for w in words if w["proposal_id"] == p["id"] and w["matter_id"] in ids]}
            for p in proposals
        ],
        "history": [_without(e, "joint_matter_id") for e in events if e["matter_id"] is None or e["matter_id"] in ids],
    }  # fmt: skip


def _member(row: Any) -> dict[str, Any]:
    return {
        **_without(row, "joint_matter_id"), "consent_label": CONSENT_LABELS[row["consent"]],
        "left_label": LEFT_LABELS[row["left_reason"]] if row["left_reason"] else None,
    }  # fmt: skip


def _without(row: Any, name: str) -> dict[str, Any]:
    return {k: v for k, v in dict(row).items() if k != name}
