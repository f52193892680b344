"""The mediators' side: queues, claims, work items."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from app import correcting, dossier, settling, work
from app.api.common import PROBLEMS, Caller, InHouse, answer, lanes
from app.api.complaints import full_view, shown_kind
from app.errors import Invalid, NotFound
from app.identity import Principal
from app.intake import Clean
from app.privacy import mask_text

router = APIRouter(prefix="/v1", tags=["queues"], responses=PROBLEMS)


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Claim(_Shape):
    limit: Annotated[int, Field(ge=1, le=work.MAX_CLAIM)] = 1
    lease_seconds: Annotated[int, Field(ge=work.LEASE_SECONDS[0], le=work.LEASE_SECONDS[1])] = 900


class Lease(_Shape):
    lease_token: uuid.UUID


class Renewal(Lease):
    lease_seconds: Annotated[int, Field(ge=work.LEASE_SECONDS[0], le=work.LEASE_SECONDS[1])] = 900


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
    reason: Annotated[Clean, Field(min_length=1, max_length=500)]


@router.get("/queues")
async def list_queues(house: InHouse, principal: Caller) -> Response:
    """What waits where, per queue and district."""
    principal.require("mediator", "supervisor", "intake")
    async with house.database.connection() as connection:
        found = await work.queues(connection, principal)
    return answer({"items": [q for q in found if _claims(principal, q["id"])]})


@router.post("/queues/{queue}/claim")
async def claim(house: InHouse, principal: Caller, queue: str, body: Claim | None = None) -> Response:
    """Leases the most urgent items: {items: [{id, lease_token, lease_until, matter ...}]}."""
    _may_claim(principal, queue)
    wanted = body or Claim()
    async with house.database.connection() as connection:
        rows = await work.claim(connection, queue, principal, limit=wanted.limit, lease_seconds=wanted.lease_seconds)
        found = await connection.fetch(_MATTERS, [r["matter_id"] for r in rows]) if rows else []
    matters = {m["id"]: dict(m) for m in found}
    for matter in matters.values():
        matter["kind"] = shown_kind(matter, lanes(principal))
    return answer({"items": [_item(dict(r), matters.get(r["matter_id"])) for r in rows]})


_MATTERS = """
SELECT m.id, m.letter_id AS complaint_id, m.lane, m.kind, m.state, m.track, m.district, m.goods, m.problem, m.issues, m.demands,
       m.amount_fen, m.received_at, mc.name AS merchant, m.merchant_id,
       (SELECT d.reasons FROM decision d WHERE d.matter_id = m.id ORDER BY d.decided_at DESC LIMIT 1) AS reasons
FROM matter m LEFT JOIN merchant mc ON mc.id = m.merchant_id WHERE m.id = ANY($1)
"""


def _item(item: dict[str, Any], matter: dict[str, Any] | None) -> dict[str, Any]:
    item.pop("urgent_at", None)
    return {**item, "matter": matter}


_MEDIATORS = ("mediator", "supervisor")
_CLAIMERS = {
    "intake": ("intake", "supervisor"),
    "clue": ("intake", "supervisor"),
    "emergency": ("intake", "supervisor", "mediator"),
}


def _claims(principal: Principal, queue: str) -> bool:
    """Reports are pulled by those who work on them."""
    return principal.has(*_CLAIMERS.get(queue, _MEDIATORS), "admin") or (
        queue == "clue" and "report" in lanes(principal) and principal.has("mediator")
    )


def _may_claim(principal: Principal, queue: str) -> None:
    name = queue.rsplit(".", 1)[-1]
    if not _claims(principal, name):
        principal.require(*_CLAIMERS.get(name, _MEDIATORS))


@router.get("/work-items")
async def list_items(house: InHouse, principal: Caller, mine: Annotated[bool, Query()] = True) -> Response:
    """The caller's live leases, so that a client that lost its memory finds its work again."""
    principal.require("mediator", "supervisor", "intake")
    if not mine:
        raise Invalid.field("mine", "only mine=true is offered")
    async with house.database.connection() as connection:
        rows = await work.mine(connection, principal)
    return answer({"items": [dict(r) for r in rows]})


@router.get("/work-items/{item_id}")
async def get_item(house: InHouse, principal: Caller, item_id: uuid.UUID) -> Response:
    """The item with the complaint and what is needed to begin: missing, clocks, why, complainant, incident, merchant, law, documents,
    acts. Contacts are unmasked for the holder of the lease only, and that is logged."""
    principal.require("mediator", "supervisor", "intake")
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


@router.post("/work-items/{item_id}/renew")
async def renew(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Renewal) -> Response:
    principal.require("mediator", "supervisor", "intake")
    async with house.database.connection() as connection:
        until = await work.renew(connection, item_id, body.lease_token, principal, lease_seconds=body.lease_seconds)
    return answer({"id": item_id, "lease_token": body.lease_token, "lease_until": until})


@router.post("/work-items/{item_id}/release")
async def release(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Lease) -> Response:
    principal.require("mediator", "supervisor", "intake")
    async with house.database.connection() as connection:
        matter = await work.release(connection, item_id, body.lease_token, principal)
    return answer({"id": item_id, "matter_id": matter, "state": "ready"})


@router.post("/work-items/{item_id}/finish")
async def finish(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Finish) -> Response:
    """Ends the work and the matter together; 409 when the lease is lost."""
    principal.require("mediator", "supervisor", "intake")
    matter = await settling.finish(
        house, item_id, body.lease_token, principal, outcome=body.outcome, note=mask_text(body.note) if body.note else None,
        recovered_fen=body.recovered_fen, satisfied=body.satisfied, through=body.through,
    )  # fmt: skip
    return answer({"id": item_id, "matter_id": matter, "state": "finished", "outcome": body.outcome})


@router.post("/work-items/{item_id}/return")
async def return_(house: InHouse, principal: Caller, item_id: uuid.UUID, body: Return) -> Response:
    """To the intake desk, which alone may send it elsewhere (Art. 41)."""
    principal.require("mediator", "supervisor")
    matter = await settling.return_to_intake(house, item_id, body.lease_token, principal, mask_text(body.reason))
    return answer({"id": item_id, "matter_id": matter, "state": "ready", "queue_id": "intake"})


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
