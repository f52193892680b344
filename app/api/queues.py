"""The mediators' side: queues, claims, work items."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from app import audit, correcting, dossier, queues, settling, similar, staff, work, working
from app.api.common import PROBLEMS, WAITS, Caller, InHouse, Moment, answer, lanes
from app.api.complaints import field_errors, full_view, shown_kind
from app.errors import Conflict, Invalid, NotFound
from app.identity import Principal
from app.intake import Clean, Required
from app.privacy import mask_text
from app.triage import House

router = APIRouter(prefix="/v1", tags=["queues"], responses=PROBLEMS)


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


_Seconds = Annotated[int, Field(ge=work.LEASE_SECONDS[0], le=work.LEASE_SECONDS[1])]
_Why = Annotated[Required, Field(max_length=500)]
_Name = Annotated[Clean, Field(min_length=1, max_length=60)]
_Subject = Annotated[Clean, Field(min_length=1, max_length=200)]
_DESK = ("mediator", "supervisor", "intake")


class Claim(_Shape):
    limit: Annotated[int, Field(ge=1, le=work.MAX_CLAIM)] = 1
    lease_seconds: _Seconds = 900


class Lease(_Shape):
    lease_token: uuid.UUID


class Renewal(Lease):
    lease_seconds: _Seconds = 900


class Finish(Lease):
    """through: of an agreement, the body before which it was made: consumer_council, people_mediation, industry_association, station."""

    outcome: Annotated[
        str,
        Field(
            description="agreement, no_agreement, withdrawn, refused, unreachable, other; verified for reports; answered for others"
        ),
    ]
    note: Annotated[Clean, Field(max_length=2000)] | None = None
    recovered_fen: Annotated[int | None, Field(ge=0, le=10**13)] = None
    satisfied: StrictBool | None = None
    through: Annotated[Clean, Field(max_length=60)] | None = None


class Return(Lease):
    reason: _Why


class Transfer(Lease):
    """One of both: another desk's queue of the same bureau and track, or a colleague."""

    queue: _Name | None = None
    to: _Subject | None = None
    reason: _Why


class Hold(Lease):
    """until: default the end of its term, or sixty days; without a zone it is Asia/Shanghai. reason: of an appraisal that has not begun, for its legal act."""

    held_for: Annotated[_Name, Field(description="appraisal, appointment, reply or other")]
    until: Moment | None = None
    reason: _Why | None = None


class Extension(Lease):
    reason: _Why
    clock: Annotated[_Name, Field(description="clue.verify or case.decide; default: the one that runs")] | None = None


class Recusal(_Shape):
    """subject: whom; default: the caller himself, by his lease."""

    lease_token: uuid.UUID | None = None
    subject: _Subject | None = None
    reason: _Why


class Assignment(_Shape):
    to: Annotated[_Subject, Field(description="whose it becomes; null: back to the queue")] | None = None
    reason: _Why


class Queue(_Shape):
    """What is absent stays as it is, or open in a new one. track: whose matters fall in by themselves, null: none. district: a region's code
    or its beginning. goods, problems: level-2 classes it takes, none: all."""

    name: _Name | None = None
    lane: Literal["complaint", "report", "any"] | None = None
    track: _Name | None = None
    district: Annotated[Clean, Field(pattern=r"^[0-9]{0,6}$")] | None = None
    desk: _Name | None = None
    skill: _Name | None = None
    goods: Annotated[list[_Name], Field(max_length=50)] | None = None
    problems: Annotated[list[_Name], Field(max_length=50)] | None = None
    roles: Annotated[list[_Name], Field(max_length=8)] | None = None
    active: StrictBool | None = None


class Absence(_Shape):
    """subject: default the caller himself. from_at: default now. A time without a zone is Asia/Shanghai."""

    subject: _Subject | None = None
    from_at: Moment | None = None
    until_at: Moment
    deputy: _Subject | None = None


@router.get("/queues")
async def list_queues(house: InHouse, principal: Caller) -> Response:
    """The queues the caller may pull from, and what waits in them, per district."""
    principal.require(*_DESK)
    async with house.database.connection() as connection:
        found = await work.waiting(connection, principal)
    return answer({"items": found})


@router.put("/queues/{queue}")
async def define_queue(house: InHouse, principal: Caller, queue: str, body: Queue) -> Response:
    """Makes a queue or changes it: which matters fall into it (track, place, classes), who may pull from it (roles, skill), whose desk it
    is. Work that lies in one stays there until it is claimed or decided anew."""
    principal.require("supervisor")
    principal.require_person()
    async with house.database.transaction() as connection:
        row = await queues.define(connection, principal, queue, body.model_dump(exclude_unset=True))
        await audit.record(connection, principal.subject, "define", "queue", [queue])
    return answer(dict(row))


@router.post("/queues/{queue}/claim")
async def claim(
    house: InHouse,
    principal: Caller,
    queue: str,
    request: Request,
    body: Claim | None = None,
    prefer: Annotated[
        str | None, Header(description="wait=20: when nothing is ready, wait for it that many seconds, at most 30")
    ] = None,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=200, description="The client's own name of this claim: never empty")
    ] = None,
) -> Response:
    """Leases the most urgent items: {items: [{id, lease_token, lease_until, matter ...}]}. queue: an id of GET /v1/queues, its part in a
    district (420106.t2), or any: all the caller may pull from. The items of a joint matter come together, under one token; limit counts
    them as one. With an Idempotency-Key the same request again gives the same leases while one of them lives."""
    principal.require(*_DESK)
    wanted = body or Claim()
    visible = lanes(principal)
    until = time.monotonic() + _wait_seconds(prefer)
    while True:
        async with house.database.transaction() if idempotency_key else house.database.connection() as connection:
            rows = await work.claim(
                connection, queue, principal, limit=wanted.limit, lease_seconds=wanted.lease_seconds, key=idempotency_key,
                beside=dossier.brief_sql("w.matter_id", visible),
            )  # fmt: skip
        left = until - time.monotonic()
        if rows or left <= 0:
            break
        await asyncio.sleep(min(_LOOK_AGAIN_SECONDS, left))
        if await request.is_disconnected():  # nobody would get what is leased now
            break
    return answer({"items": _with_matters(house, rows, visible)})


_LOOK_AGAIN_SECONDS = 0.5
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")


def _wait_seconds(prefer: str | None) -> int:
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), 30) if found else 0


def _with_matters(house: House, rows: Sequence[Any], visible: tuple[str, ...]) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    items = []
    for row in rows:
        item = dict(row)
        matter = item["matter"] = dossier.brief(house.calendar, item.pop("beside"), visible, now=now)
        if matter is not None:
            matter["kind"] = shown_kind(matter, visible)
        items.append(item)
    return items


@router.get("/work-items")
async def list_items(house: InHouse, principal: Caller, mine: Annotated[bool, Query()] = True) -> Response:
    """What the caller has, worked on or resting, so that a client that lost its memory finds its work and its tokens again."""
    principal.require(*_DESK)
    if not mine:
        raise Invalid.field("mine", "only mine=true is offered")
    async with house.database.connection() as connection:
        rows = await work.mine(connection, principal)
    return answer({"items": [dict(r) for r in rows]})


class Chosen(_Shape):
    """lease_token: where the verb needs one; what else a verb takes, for this item alone."""

    id: uuid.UUID
    lease_token: uuid.UUID | None = None
    note: Annotated[Clean, Field(max_length=2000)] | None = None
    recovered_fen: Annotated[int | None, Field(ge=0, le=10**13)] = None


class Bulk(_Shape):
    """verb: claim, renew, release, finish, return, transfer, hold, extend, escalate (each item with its lease_token but for claim), assign
    (a supervisor's). with: what the single verb takes, for all. dry_run: only which could be chosen for the verb, and why not."""

    verb: _Name
    items: Annotated[list[Chosen], Field(min_length=1, max_length=working.MAX_BULK)]
    common: Annotated[dict[str, Any], Field(alias="with")] = Field(default_factory=dict)
    dry_run: StrictBool = False


@router.post("/work-items/bulk")
async def bulk(house: InHouse, principal: Caller, body: Bulk) -> Response:
    """One verb on chosen items, a result for each: what is refused for one holds up no other. {results: [{id, status, ...}], done, refused}."""
    principal.require(*_DESK)
    if body.verb not in _VERBS:
        raise Invalid.field("verb", f"must be one of {', '.join(_VERBS)}")
    ids = [i.id for i in body.items]
    if body.dry_run:
        async with house.database.connection() as connection:
            found = await working.selectable(connection, ids, principal, body.verb)
        return answer({"items": found, "selectable": sum(f["selectable"] for f in found)})
    shape, verb = _VERBS[body.verb]

    async def one(item: Mapping[str, Any]) -> Mapping[str, Any]:
        own = {k: v for k, v in item.items() if k != "id" and v is not None}
        try:
            given = shape.model_validate({**body.common, **own})
        except ValidationError as error:
            raise Invalid("not what the verb takes", errors=field_errors(error)) from None
        return await verb(house, principal, item["id"], given)

    told = await working.bulk([i.model_dump() for i in body.items], one)
    results = [{"id": t.item_id, "status": t.status, **t.answer} for t in told]
    done = sum(t.status < 400 for t in told)
    return answer({"results": results, "done": done, "refused": len(told) - done})


@router.get("/work-items/{item_id}")
async def get_item(house: InHouse, principal: Caller, item_id: uuid.UUID) -> Response:
    """The item with the complaint and what is needed to begin: missing, clocks, why, complainant, incident, merchant, law, documents,
    acts, and handling: who had it before, and why he gave it away. Contacts are unmasked for the holder of the lease only, and that is logged."""
    principal.require(*_DESK)
    async with house.database.connection() as connection:
        item = dict(await work.read_item(connection, item_id))
        letter = await connection.fetchrow(
            "SELECT id, external_id, source, channel, received_at, event_at, state, history FROM letter WHERE id = $1",
            item["letter_id"],
        )
    holds = item["holder"] == principal.subject
    if not holds and (not principal.covers(item["district"]) or item["lane"] not in lanes(principal)):
        raise NotFound("no such work item")
    if not holds:
        item.pop("lease_token")
    shown = await full_view(house, letter, principal, reveal=holds)
    matter = next((m for m in shown["matters"] if m["id"] == item["matter_id"]), None)
    if matter is not None:
        async with house.database.connection() as connection:
            item |= await dossier.read(
                house, connection, matter, principal, lanes=lanes(principal), letter_id=letter["id"], flags=item["flags"], now=datetime.now(UTC)
            )  # fmt: skip
    return answer({**item, "complaint": shown})


# -- the verbs, of one item and of many


async def _claim_one(house: House, principal: Principal, item_id: uuid.UUID, given: "ClaimThis") -> dict[str, Any]:
    visible = lanes(principal)
    beside = dossier.brief_sql("w.matter_id", visible)
    async with house.database.connection() as connection:
        rows = await work.claim_these(connection, [item_id], principal, lease_seconds=given.lease_seconds, beside=beside)
        if not rows:  # a joint matter's others were leased with the first of them, and what was said twice has its answer
            rows = await work.claimed_already(connection, item_id, principal, beside=beside)
        if not rows:
            (found,) = await working.selectable(connection, [item_id], principal)
            raise Conflict(found["why"] or "现在不能领取")
    return {"items": _with_matters(house, rows, visible)}


async def _renew(house: House, principal: Principal, item_id: uuid.UUID, given: Renewal) -> dict[str, Any]:
    async with house.database.connection() as connection:
        until = await work.renew(connection, item_id, given.lease_token, principal, lease_seconds=given.lease_seconds)
    return {"id": item_id, "lease_token": given.lease_token, "lease_until": until}


async def _release(house: House, principal: Principal, item_id: uuid.UUID, given: Lease) -> dict[str, Any]:
    return {"id": item_id, "matter_id": await working.release(house, item_id, given.lease_token, principal), "state": "ready"}


async def _finish(house: House, principal: Principal, item_id: uuid.UUID, given: Finish) -> dict[str, Any]:
    matter = await settling.finish(
        house, item_id, given.lease_token, principal, outcome=given.outcome, note=mask_text(given.note) if given.note else None,
        recovered_fen=given.recovered_fen, satisfied=given.satisfied, through=given.through,
    )  # fmt: skip
    async with house.database.connection() as connection:
        findings = await similar.unusual_end(connection, matter)
        owed = await dossier.owed(connection, house.calendar, matter)
    return {"id": item_id, "matter_id": matter, "state": "finished", "outcome": given.outcome, "findings": findings, "owed": owed}


async def _return(house: House, principal: Principal, item_id: uuid.UUID, given: Return) -> dict[str, Any]:
    principal.require("mediator", "supervisor")
    matter = await settling.return_to_intake(house, item_id, given.lease_token, principal, mask_text(given.reason))
    return {"id": item_id, "matter_id": matter, "state": "ready", "queue_id": "intake"}


async def _transfer(house: House, principal: Principal, item_id: uuid.UUID, given: Transfer) -> dict[str, Any]:
    matter = await working.transfer(
        house, item_id, given.lease_token, principal, queue=given.queue, to=given.to, reason=mask_text(given.reason)
    )
    return {"id": item_id, "matter_id": matter, "queue_id": given.queue, "holder": given.to}


async def _hold(house: House, principal: Principal, item_id: uuid.UUID, given: Hold) -> dict[str, Any]:
    until = await working.hold(
        house, item_id, given.lease_token, principal, held_for=given.held_for, until=given.until,
        reason=mask_text(given.reason) if given.reason else None,
    )  # fmt: skip
    return {"id": item_id, "lease_token": given.lease_token, "state": "held", "held_for": given.held_for, "lease_until": until}


async def _extend(house: House, principal: Principal, item_id: uuid.UUID, given: Extension) -> dict[str, Any]:
    async with house.database.transaction() as connection:
        held = await work.grasp(connection, item_id, given.lease_token, principal)
    done = await settling.perform(
        house, held.matter_id, principal, "extend", lanes=lanes(principal), reason=mask_text(given.reason),
        detail={"clock": given.clock} if given.clock else None,
    )  # fmt: skip
    return {
        "id": item_id,
        "matter_id": held.matter_id,
        "state": done.state,
        "approval_id": done.approval_id,
        "missing": done.missing,
    }


async def _escalate(house: House, principal: Principal, item_id: uuid.UUID, given: Return) -> dict[str, Any]:
    track = await working.escalate(house, item_id, given.lease_token, principal, reason=mask_text(given.reason))
    return {"id": item_id, "state": "ready", "track": track}


async def _assign(house: House, principal: Principal, item_id: uuid.UUID, given: Assignment) -> dict[str, Any]:
    matter = await working.assign(house, item_id, principal, to=given.to, reason=mask_text(given.reason))
    return {"id": item_id, "matter_id": matter, "holder": given.to}


class ClaimThis(_Shape):
    lease_seconds: _Seconds = 900


_VERBS: dict[str, tuple[type[BaseModel], Callable[[House, Principal, uuid.UUID, Any], Awaitable[dict[str, Any]]]]] = {
    "claim": (ClaimThis, _claim_one), "renew": (Renewal, _renew), "release": (Lease, _release), "finish": (Finish, _finish), "return": (Return, _return),
    "transfer": (Transfer, _transfer), "hold": (Hold, _hold), "extend": (Extension, _extend), "escalate": (Return, _escalate), "assign": (Assignment, _assign),
}  # fmt: skip


@router.post("/work-items/{item_id}/renew")
async def renew(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Renewal) -> Response:
    """The lease runs on from now; what rested is worked on again."""
    principal.require(*_DESK)
    return answer(await _renew(house, principal, item_id, body))


@router.post("/work-items/{item_id}/release")
async def release(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Lease) -> Response:
    """Back to its place in the queue, a joint matter's items together."""
    principal.require(*_DESK)
    return answer(await _release(house, principal, item_id, body))


@router.post("/work-items/{item_id}/finish")
async def finish(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Finish) -> Response:
    """Ends the work and the matter together; 409 when the lease is lost. Said again, it gives the same answer. findings: that this end lies
    far outside those of like cases, for the mediator to look at; it stops nothing. owed: terms that run on (Art. 23(2): both sides are told),
    with the act that ends each."""
    principal.require(*_DESK)
    return answer(await _finish(house, principal, item_id, body))


@router.post("/work-items/{item_id}/return")
async def return_(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Return) -> Response:
    """To the intake desk, which alone may send it elsewhere (Art. 41)."""
    return answer(await _return(house, principal, item_id, body))


@router.post("/work-items/{item_id}/transfer")
async def transfer(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Transfer) -> Response:
    """To another desk of the same bureau and track, or to a colleague, for whom it is kept a day."""
    principal.require(*_DESK)
    return answer(await _transfer(house, principal, item_id, body))


@router.post("/work-items/{item_id}/hold")
async def hold(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Hold) -> Response:
    """Rests with its holder while something is waited for, never past a term that runs; renew takes it up again. For an appraisal the legal
    act is done with it, and the term stands still."""
    principal.require(*_DESK)
    return answer(await _hold(house, principal, item_id, body))


@router.post("/work-items/{item_id}/extend", responses=WAITS)
async def extend(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Extension) -> Response:
    """Asks for the longer term the law allows; 202: it waits for the head's approval."""
    principal.require(*_DESK)
    found = await _extend(house, principal, item_id, body)
    return answer(found, 202 if found["approval_id"] else 200)


@router.post("/work-items/{item_id}/escalate")
async def escalate(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Return) -> Response:
    """Too hard for its track: to the next one; from the last, to a supervisor's eyes."""
    principal.require(*_DESK)
    return answer(await _escalate(house, principal, item_id, body))


@router.post("/work-items/{item_id}/recuse")
async def recuse(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Recusal) -> Response:
    """Whoever is recused works on it no more (Art. 21); a mediation he led is suspended until another takes it on. Not to be taken back."""
    principal.require(*_DESK)
    matter = await working.recuse(
        house,
        item_id,
        principal,
        token=body.lease_token,
        subject=body.subject or principal.subject,
        reason=mask_text(body.reason),
    )
    return answer({"id": item_id, "matter_id": matter, "recused": body.subject or principal.subject})


@router.post("/work-items/{item_id}/assign")
async def assign(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Assignment) -> Response:
    """A supervisor gives the work to a person, whoever had it, or takes it back to the queue."""
    return answer(await _assign(house, principal, item_id, body))


# -- who is away


@router.get("/absences")
async def list_absences(house: InHouse, principal: Caller) -> Response:
    """Who is away or will be: a supervisor sees all, others their own and those they stand in for."""
    principal.require(*_DESK)
    async with house.database.connection() as connection:
        rows = await staff.absences(connection, principal)
    return answer({"items": [dict(r) for r in rows]})


@router.post("/absences", status_code=201)
async def enter_absence(house: InHouse, principal: Caller, body: Absence) -> Response:
    """While it lasts the person gets no work; what he has goes to his deputy, or back to the queue."""
    principal.require(*_DESK)
    now = datetime.now(UTC)
    async with house.database.transaction() as connection:
        row = await staff.leave(
            connection, principal, subject=body.subject or principal.subject, from_at=body.from_at or now, until_at=body.until_at, deputy=body.deputy,
            now=now,
        )  # fmt: skip
        await audit.record(connection, principal.subject, "absence", "person", [row["subject"]])
    return answer(dict(row), 201)


@router.post("/absences/{absence_id}/end")
async def end_absence(house: InHouse, principal: Caller, absence_id: uuid.UUID) -> Response:
    """Back before its time, or not gone at all."""
    principal.require(*_DESK)
    async with house.database.transaction() as connection:
        row = await staff.come_back(connection, principal, absence_id, datetime.now(UTC))
        await audit.record(connection, principal.subject, "absence_end", "person", [row["subject"]])
    return answer(dict(row))


class MarkedDanger(_Shape):
    type: Annotated[Clean, Field(max_length=40)]
    severity: Annotated[Clean, Field(max_length=10)] = "medium"


class ReadingCorrection(_Shape):
    """What a person reads instead; absent fields stay as they were read. dangers, signals: the whole list."""

    kind: Annotated[Clean, Field(max_length=40)] | None = None
    goods: Annotated[Clean, Field(max_length=60)] | None = None
    problem: Annotated[Clean, Field(max_length=60)] | None = None
    demands: Annotated[list[Clean], Field(max_length=20)] | None = None
    department: Annotated[Clean, Field(max_length=60)] | None = None
    dangers: Annotated[list[MarkedDanger], Field(max_length=40)] | None = None
    signals: Annotated[list[Clean], Field(max_length=20)] | None = None
    note: Annotated[Clean, Field(max_length=1000)] | None = None


@router.post("/matters/{matter_id}/correct-reading")
async def correct_reading(house: InHouse, principal: Caller, matter_id: uuid.UUID, body: ReadingCorrection) -> Response:
    """Corrects what was read. It binds: the track is decided anew, a live lease is flagged and not touched, the statutory
    term still counts from receipt; text and correction become training labels. 409 where a legal act stands against it."""
    principal.require("mediator", "supervisor", "intake")
    wanted = correcting.Correction(
        kind=body.kind, goods=body.goods, problem=body.problem, demands=body.demands, department=body.department,
        dangers=None if body.dangers is None else [(d.type, d.severity) for d in body.dangers], signals=body.signals,
        note=mask_text(body.note) if body.note else None,
    )  # fmt: skip
    return answer(await correcting.correct_reading(house, matter_id, principal, wanted, lanes=lanes(principal)))
