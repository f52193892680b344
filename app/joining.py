"""The journey of a joint matter (Order 121 Art. 12): a person of the desk proposes it, everybody is asked, two may be elected, acts are
done for all in one step.

An act over a joint matter is done member by member, each in a transaction of its own, with a result for each: every member's matter is a
legal record with its own state, term and document, so what is lacking in one (an acceptance, a consent, a second signature) must not hold
up the others' terms, and one that was done is done.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app import acts, audit, cases, deliveries, joint, law, settling, work
from app.database import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound, TriageError
from app.identity import Principal, new_id
from app.joint import Said
from app.triage import House

log = logging.getLogger(__name__)

ROLES = ("intake", "mediator", "supervisor")
# What may be done for all at once. Nobody withdraws for another, and no finding on a person is made by the dozen.
ACTS = (
    "ask_material",
    "accept",
    "refuse",
    "settle",
    "delegate",
    "mediate",
    "appraise",
    "suspend",
    "resume",
    "agree",
    "terminate",
)
_TOLD = frozenset({"joint_proposed", "joint_joined", "joint_left", "joint_ended"})


@dataclass(frozen=True, slots=True)
class Result:
    """What an act came to for one member: status as of HTTP (200 done, 202 waits for a further signature), else detail says why not."""

    matter_id: uuid.UUID
    status: int
    state: str | None = None
    approval_id: uuid.UUID | None = None
    missing: int = 0
    detail: str | None = None
    errors: list[dict[str, str]] = field(default_factory=list)


async def propose(
    house: House, principal: Principal, *, lanes: Sequence[str], matters: Sequence[uuid.UUID] = (), incident_id: uuid.UUID | None = None,
    consents: Mapping[uuid.UUID, str | None] | None = None, join: bool = False, reason: str | None = None, at: datetime | None = None,
) -> uuid.UUID:  # fmt: skip
    """Named matters, or an incident's open complaints. consents: matter -> how that person's word was given. join: only where all have
    consented; otherwise those who have not are asked, and the last word joins them.

    Raises NotFound for a matter the caller may not know of; Conflict, with an entry for each matter that stands in the way.
    """
    _desk(principal)
    moment, given = at or datetime.now(UTC), dict(consents or {})
    if bool(matters) == (incident_id is not None):
        raise Invalid.field("matters", "name the matters, or the incident they are taken from")
    async with house.database.transaction() as connection:
        wanted = list(dict.fromkeys(matters))
        if incident_id is not None:
            wanted = await joint.of_incident(connection, incident_id, principal.jurisdictions, acts.CLOSED)
        if beyond := [str(m) for m in given if m not in wanted]:
            raise Invalid.field("consents", f"not among the matters: {', '.join(beyond)}")
        rows = await _fit(connection, wanted, principal, lanes, reason)
        if join and (absent := [r["id"] for r in rows if r["id"] not in given]):
            raise _refused("共同投诉须经每一投诉人同意", dict.fromkeys(absent, "投诉人尚未同意"))
        joint_id = new_id()
        said = await joint.open_joint(
            connection, joint_id, [r["id"] for r in rows], incident_id=incident_id, basis=reason, consents=given, actor=principal.subject, at=moment
        )  # fmt: skip
        await _tell(connection, joint_id, "joint_propose", said, principal, moment)
    return joint_id


async def add(
    house: House, joint_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], matters: Sequence[uuid.UUID],
    consents: Mapping[uuid.UUID, str | None] | None = None, reason: str | None = None, at: datetime | None = None,
) -> None:  # fmt: skip
    """Further complaints of the same dispute. To one that is joined only with their persons' consent at hand: it never has a member
    without."""
    _desk(principal)
    moment, given = at or datetime.now(UTC), dict(consents or {})
    new = list(dict.fromkeys(matters))
    if beyond := [str(m) for m in given if m not in new]:
        raise Invalid.field("consents", f"not among the matters: {', '.join(beyond)}")
    async with house.database.transaction() as connection:
        row, members = await _held(connection, joint_id, principal, more=new)
        joint.require_live(row)
        present = [m["matter_id"] for m in joint.kept(members)]
        if double := [m for m in new if m in present]:
            raise _refused("已在该共同投诉中", dict.fromkeys(double, "已是成员"))
        await _fit(connection, [*present, *new], principal, lanes, reason or row["basis"], present=present)
        if row["state"] == "joined" and (absent := [m for m in new if m not in given]):
            raise _refused("共同投诉须经每一投诉人同意", dict.fromkeys(absent, "投诉人尚未同意"))
        said = await joint.add(connection, joint_id, new, consents=given, actor=principal.subject, at=moment)
        await _tell(connection, joint_id, "joint_add", said, principal, moment)


async def consent(
    house: House, joint_id: uuid.UUID, principal: Principal, matter_id: uuid.UUID, *, agrees: bool, reference: str | None,
    at: datetime | None = None,
) -> None:  # fmt: skip
    """A member's word, recorded at the desk. A no ends his part alone; the last yes joins."""
    _desk(principal)
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        row, members = await _held(connection, joint_id, principal)
        joint.require_live(row)
        await _answer(connection, joint_id, _member(members, matter_id, principal), principal, agrees, reference, moment)


async def consent_of_letter(
    house: House, letter_id: uuid.UUID, principal: Principal, *, agrees: bool, at: datetime | None = None
) -> None:  # fmt: skip
    """The complainant's own word through his portal, which may see the letter. Raises Conflict where nobody asked him."""
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        answered = False
        for one in await joint.of_letter(connection, letter_id):
            _, members = await _locked(connection, one["joint_matter_id"])
            for member in joint.kept(members):
                if member["matter_id"] == one["matter_id"]:
                    await _answer(connection, one["joint_matter_id"], member, principal, agrees, None, moment)
                    answered = True
        if not answered:
            raise Conflict("nothing in this letter waits for that consent")


async def _answer(
    connection: Connection, joint_id: uuid.UUID, member: Any, principal: Principal, agrees: bool, reference: str | None, at: datetime
) -> None:  # fmt: skip
    said = await joint.answer(connection, joint_id, member, agrees, actor=principal.subject, at=at, reference=reference)
    await _tell(connection, joint_id, "joint_consent", said, principal, at)


async def leave(
    house: House, joint_id: uuid.UUID, principal: Principal, matter_id: uuid.UUID, *, reason: str, at: datetime | None = None
) -> None:  # fmt: skip
    """One goes on alone. Whoever was left alone by its end, and was represented, speaks for himself from then on: until that is said, nobody
    settles with him on his representatives' word."""
    _desk(principal)
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        row, members = await _held(connection, joint_id, principal, more=[matter_id])
        alone = next((m for m in members if m["matter_id"] == matter_id and m["left_reason"] == "few" and m["role"]), None)
        if alone is not None:
            said = await joint.speaks_for_himself(
                connection, joint_id, matter_id, actor=principal.subject, at=moment, note=reason
            )
        else:
            joint.require_live(row)
            _member(members, matter_id, principal)
            said = await joint.leave(connection, joint_id, matter_id, "left", actor=principal.subject, at=moment, note=reason)
        await _tell(connection, joint_id, "joint_leave", said, principal, moment)


async def end(house: House, joint_id: uuid.UUID, principal: Principal, *, reason: str, at: datetime | None = None) -> None:
    """Everybody goes on alone, each as he stands."""
    _desk(principal)
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        row, _ = await _held(connection, joint_id, principal, every=True)
        joint.require_live(row)
        said = await joint.end(connection, joint_id, "ended", actor=principal.subject, at=moment, note=reason)
        await _tell(connection, joint_id, "joint_end", said, principal, moment)


async def elect(
    house: House, joint_id: uuid.UUID, principal: Principal, representatives: Sequence[uuid.UUID], *, electors: Sequence[uuid.UUID] | None,
    reference: str | None, attachment_id: uuid.UUID | None, at: datetime | None = None,
) -> None:  # fmt: skip
    """Two representatives, elected in writing (Art. 12(2)). electors: who signed, by default all members. attachment_id: the written
    election among what came with a member's letter; else reference says where it is."""
    _desk(principal)
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        row, members = await _held(connection, joint_id, principal, every=True)
        if row["state"] != "joined":
            raise Conflict(
                f"representatives are of a joint matter that is joined; this one is {joint.STATE_LABELS[row['state']]}"
            )
        present = {m["matter_id"] for m in joint.kept(members)}
        if len(representatives) != joint.REPRESENTATIVES or len(set(representatives)) != joint.REPRESENTATIVES:
            raise Invalid.field("representatives", f"must be {joint.REPRESENTATIVES} different members")
        signed = present if electors is None else set(electors)
        for name, said_of in (("representatives", set(representatives)), ("electors", signed)):
            if unknown := sorted(str(m) for m in said_of - present):
                raise Invalid.field(name, f"not members of it: {', '.join(unknown)}")
        if reference is None and attachment_id is None:
            raise Invalid.field("reference", "the election must be in writing: name the attachment or the document")
        if attachment_id is not None and not await connection.fetchval(
            "SELECT true FROM attachment a JOIN matter m ON m.letter_id = a.letter_id WHERE a.id = $1 AND m.id = ANY($2)",
            attachment_id, list(present),
        ):  # fmt: skip
            raise Invalid.field("attachment_id", "is no attachment of a member's letter")
        said = await joint.elect(
            connection, joint_id, list(representatives), signed, actor=principal.subject, at=moment,
            election={"reference": reference, "attachment_id": str(attachment_id) if attachment_id else None},
        )  # fmt: skip
        await _tell(connection, joint_id, "joint_elect", said, principal, moment)


async def put(
    house: House, joint_id: uuid.UUID, principal: Principal, *, kind: str, reference: str, at: datetime | None = None
) -> uuid.UUID:  # fmt: skip
    """Terms the representatives would settle on, or a claim they would change or give up: each represented person is asked."""
    _desk(principal)
    if kind not in joint.KINDS:
        raise Invalid.field("kind", f"must be one of {', '.join(joint.KINDS)}")
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        row, _ = await _held(connection, joint_id, principal, every=True)
        joint.require_live(row)
        if row["election"] is None:
            raise Conflict("nobody is represented in it: every member speaks for himself")
        proposal_id, said = await joint.put(connection, joint_id, kind, reference, actor=principal.subject, at=moment)
        await _tell(connection, joint_id, "joint_put", said, principal, moment)
    return proposal_id


async def assent(
    house: House, joint_id: uuid.UUID, principal: Principal, proposal_id: uuid.UUID, matter_id: uuid.UUID, *, agrees: bool,
    reference: str | None, at: datetime | None = None,
) -> None:  # fmt: skip
    """A represented person's word on terms that were put."""
    _desk(principal)
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        _, members = await _held(connection, joint_id, principal, more=[matter_id])
        member = _member(members, matter_id, principal, alone=True)
        if member["role"] != "represented":
            raise Conflict(
                "this member is not represented: what he agrees to is his own act", errors=_named(matter_id, "未被代表")
            )
        said = await joint.assent(
            connection, joint_id, proposal_id, matter_id, agrees, actor=principal.subject, at=moment, reference=reference
        )
        await _tell(connection, joint_id, "joint_assent", said, principal, moment)


async def act(
    house: House, joint_id: uuid.UUID, principal: Principal, name: str, *, lanes: Sequence[str], matters: Sequence[uuid.UUID] | None = None,
    ground: str | None = None, reason: str | None = None, detail: Mapping[str, Any] | None = None, at: datetime | None = None,
) -> list[Result]:  # fmt: skip
    """A legal act on all members or some of them, by what is due first; a result for each."""
    if name not in ACTS:
        raise NotFound(f"no act {name} for a joint matter; there are {', '.join(ACTS)}")
    principal.require(*ROLES)

    async def one(member: Any) -> Result:
        matter_id: uuid.UUID = member["matter_id"]
        done = await settling.perform(
            house, matter_id, principal, name, lanes=lanes, ground=ground, reason=reason, detail=detail, at=at
        )
        return Result(matter_id, 202 if done.approval_id else 200, done.state, done.approval_id, done.missing)

    return [await _tried(one, m) for m in await _acted_on(house, joint_id, principal, matters)]


async def consent_to_handling(
    house: House, joint_id: uuid.UUID, principal: Principal, *, party: str, agrees: bool, to: str | None = None,
    matters: Sequence[uuid.UUID] | None = None, at: datetime | None = None,
) -> list[Result]:  # fmt: skip
    """A side's word on what the tracks propose, for all at once: the merchant's, or the representatives', which binds whom they represent
    (Art. 12(2)). Who acts for himself is asked himself: named in matters it is his own word."""
    _desk(principal)
    principal.require("intake")  # as for one matter
    members = await _acted_on(house, joint_id, principal, matters)
    if party == "consumer" and matters is None:
        members = [m for m in members if m["role"]]
        if not members:
            raise Invalid.field("matters", "nobody is represented in it: name those who said so themselves")

    async def one(member: Any) -> Result:
        await settling.consent(house, member["complaint_id"], principal, party=party, agrees=agrees, to=to, at=at)
        if party == "consumer" and matters is None and member["role"] == "represented":
            told = f"{law.cite(law.ORDER_121, 12, 2)}：代表人{'同意' if agrees else '不同意'}，对被代表的投诉人发生效力"
            async with house.database.transaction() as connection:
                said = [Said(member["matter_id"], "joint_bound", told)]
                await cases.write(connection, said, actor=principal.subject, at=at or datetime.now(UTC))
        return Result(member["matter_id"], 200, member["state"])

    return [await _tried(one, m) for m in members]


async def _acted_on(
    house: House, joint_id: uuid.UUID, principal: Principal, matters: Sequence[uuid.UUID] | None
) -> list[Any]:  # fmt: skip
    """The members an act is on, by what is due first, each the caller's."""
    async with house.database.connection() as connection:
        row = await connection.fetchrow("SELECT state, end_reason FROM joint_matter WHERE id = $1", joint_id)
        every = await joint.members(connection, joint_id)
    if row is None or not any(principal.covers(m["district"]) for m in every):
        raise NotFound("no such joint matter")
    joint.require_live(row)
    if row["state"] != "joined":
        raise Conflict("not every member has consented yet: each matter is handled on its own until then")
    members = joint.kept(every)
    if unknown := sorted({str(m) for m in matters or ()} - {str(m["matter_id"]) for m in members}):
        raise Invalid.field("matters", f"not members of it: {', '.join(unknown)}")
    chosen = [m for m in members if matters is None or m["matter_id"] in matters]
    if outside := sum(not principal.covers(m["district"]) for m in chosen):
        raise Forbidden(f"{outside} of its complaints are outside your jurisdiction: a supervisor of the whole must act")
    return chosen


async def _tried(one: Callable[[Any], Awaitable[Result]], member: Any) -> Result:
    try:
        return await one(member)
    except TriageError as error:
        return Result(member["matter_id"], error.status, detail=error.detail, errors=error.errors)
    except Exception as error:  # the others are independent of it
        log.warning("joint act on %s: %s", member["matter_id"], type(error).__name__)
        return Result(member["matter_id"], 500, detail=TriageError.title)


# -- checks


def _desk(principal: Principal) -> None:
    principal.require(*ROLES)
    principal.require_person()


def _refused(told: str, why: Mapping[uuid.UUID, str]) -> Conflict:
    """Names each matter that stands in the way."""
    listed = "、".join(f"{matter} {reason}" for matter, reason in why.items())
    errors = [{"field": str(matter), "message": reason} for matter, reason in why.items()]
    return Conflict(f"{law.cite(law.ORDER_121, 12, 1)}：{told}：{listed}", errors=errors)


def _named(matter_id: uuid.UUID, reason: str) -> list[dict[str, str]]:
    return [{"field": str(matter_id), "message": reason}]


async def _fit(
    connection: Connection, wanted: Sequence[uuid.UUID], principal: Principal, lanes: Sequence[str], reason: str | None,
    present: Sequence[uuid.UUID] = (),
) -> list[Any]:  # fmt: skip
    """The matters, held. present: members already. Raises NotFound for one the caller may not know of, Conflict where they can't be
    joined, each named."""
    if len(wanted) > joint.MAX_MEMBERS:
        raise Invalid.field("matters", f"{len(wanted)} complaints: name at most {joint.MAX_MEMBERS}")
    rows = await joint.candidates(connection, wanted)
    known = {r["id"]: r for r in rows if r["lane"] in lanes and principal.covers(r["district"])}
    if unknown := [str(m) for m in wanted if m not in known]:
        raise NotFound(f"no such matter: {', '.join(unknown)}")
    wrong: dict[uuid.UUID, str] = {}
    for row in rows:
        if row["lane"] != "complaint":
            wrong[row["id"]] = "不是投诉"
        elif row["history"] or row["state"] in acts.CLOSED:
            wrong[row["id"]] = f"已办结（{acts.STATE_LABELS[row['state']]}）"
        elif row["joint_matter_id"] is not None and row["id"] not in present:
            wrong[row["id"]] = "已在另一共同投诉中"
    if wrong:
        raise _refused("不能按共同投诉处理", wrong)
    if len(rows) < 2:
        raise _refused("共同投诉须有两名以上投诉人", {r["id"]: "只有一名投诉人" for r in rows})
    if wrong := joint.strangers(rows):
        raise _refused("不能按共同投诉处理", wrong)
    if reason is None and len({r["incident_id"] for r in rows}) > 1:
        raise Invalid.field("reason", "the matters are of several incidents: say why it is one dispute")
    return rows


async def _locked(connection: Connection, joint_id: uuid.UUID, more: Iterable[uuid.UUID] = ()) -> tuple[Any, list[Any]]:
    """(joint matter, all its members), the kept ones' matters locked before it, in order, as everywhere."""
    matters = {m["matter_id"] for m in await joint.members(connection, joint_id) if m["left_at"] is None} | set(more)
    await connection.execute("SELECT 1 FROM matter WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", list(matters))
    row = await joint.hold(connection, joint_id)
    return row, await joint.members(connection, joint_id)


async def _held(
    connection: Connection, joint_id: uuid.UUID, principal: Principal, *, every: bool = False, more: Iterable[uuid.UUID] = ()
) -> tuple[Any, list[Any]]:  # fmt: skip
    """every: the act is on all, so all must be his."""
    row, members = await _locked(connection, joint_id, more)
    if not any(principal.covers(m["district"]) for m in members):
        raise NotFound("no such joint matter")
    if every and not all(principal.covers(m["district"]) for m in joint.kept(members)):
        raise Forbidden("some of its complaints are outside your jurisdiction: a supervisor of the whole must act")
    return row, members


def _member(members: Iterable[Any], matter_id: uuid.UUID, principal: Principal, *, alone: bool = False) -> Any:
    """alone: also the one who was left when it ended."""
    for one in members:
        if one["matter_id"] == matter_id and (one["left_at"] is None or (alone and one["left_reason"] == "few")):
            if principal.covers(one["district"]):
                return one
            break
    raise NotFound(f"no such member: {matter_id}")


async def _tell(
    connection: Connection, joint_id: uuid.UUID, act: str, said: Sequence[Said], principal: Principal, at: datetime
) -> None:  # fmt: skip
    """Histories, audit, events, the order of work. An event says that and nothing of the others."""
    await cases.write(connection, said, actor=principal.subject, at=at)
    await audit.record(connection, principal.subject, act, "joint_matter", [joint_id], lane="complaint")
    touched = list(dict.fromkeys(s.matter_id for s in said))
    await audit.record(connection, principal.subject, act, "matter", touched, purpose=str(joint_id), lane="complaint")
    await deliveries.announce(connection, [(s.matter_id, f"matter.{s.act}", {}) for s in said if s.act in _TOLD])
    if any(s.act in ("joint_joined", "joint_left", "joint_ended") for s in said):
        every = [m["matter_id"] for m in await joint.members(connection, joint_id)]
        await work.regroup(connection, joint_id)
        await work.redate(connection, every)
