"""Matters in others' hands: the desk hands over and looks, a partner reads its own and says how they stand; who partners are."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from app import handing, handovers, partners
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.calendar import local_day
from app.handovers import Status, Wanted
from app.identity import PARTNER, Principal
from app.intake import MAX_AMOUNT_FEN, Clean, Day, Instant, Required

router = APIRouter(prefix="/v1", tags=["handovers"], responses=PROBLEMS)

_DESK = ("intake", "mediator", "supervisor")
_READERS = (*_DESK, "analyst", "auditor")
Kind = Literal[
    "odr", "consumer_council", "people_mediation", "judicial_confirmation", "enforcement", "hotline_12345", "department",
    "public_interest",
]  # fmt: skip


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewPartner(_Shape):
    """directory_key: the unified code of an ODR enterprise; key or code of an organisation in its directory. url: where it is told of its
    hand-overs; without one it asks."""

    kind: Kind
    name: Annotated[Required, Field(max_length=200)]
    directory_key: Annotated[Required, Field(max_length=200)] | None = None
    jurisdictions: Annotated[
        list[Annotated[Clean, Field(pattern=r"^\d{2,6}$")]],
        Field(max_length=200, description="Region code prefixes; empty: the caller's"),
    ] = []
    url: Annotated[Clean, Field(min_length=8, max_length=2000)] | None = None


class Address(_Shape):
    url: Annotated[Clean, Field(min_length=8, max_length=2000)]


class NewHandover(_Shape):
    """agreement_on, both_parties: of a judicial confirmation; the day is taken from the mediation body's own word where it gave one."""

    partner_id: uuid.UUID
    message: Annotated[Clean, Field(min_length=1, max_length=4000)] | None = None
    agreement_on: Day = None
    both_parties: StrictBool = False


class Candidate(_Shape):
    partner_id: uuid.UUID
    message: Annotated[Clean, Field(min_length=1, max_length=4000)] | None = None


class Recall(_Shape):
    reason: Annotated[Clean, Field(min_length=1, max_length=2000)] | None = None


class NewStatus(_Shape):
    """status_id: the partner's own name of this word; sent again it changes nothing. as_of: since when it is so. result: a code of
    handover_result; done needs one. agreement_on: of an agreement. recovered_fen: what the consumer got back."""

    status_id: Annotated[Clean, Field(pattern=r"^[\x21-\x7e]{1,100}$")]
    state: Literal["received", "working", "done", "failed", "returned"]
    as_of: Instant
    result: Annotated[Clean, Field(max_length=40)] | None = None
    reason: Annotated[Required, Field(max_length=2000)] | None = None
    external_ref: Annotated[Clean, Field(pattern=r"^[\w\-/.〔〕\[\]（）()]{1,80}$", description="Its own case number")] | None = (
        None
    )
    agreement_on: Day = None
    recovered_fen: Annotated[StrictInt, Field(ge=0, le=MAX_AMOUNT_FEN)] | None = None


# -- partners


@router.post("/partners", status_code=201)
async def post_partner(house: InHouse, principal: Caller, body: NewPartner) -> Response:
    """Registers who matters are handed to. Its token and the secret of its address are shown in this answer only."""
    principal.require("admin")
    async with house.database.transaction() as connection:
        made = await partners.register(connection, house.vault, principal, **body.model_dump())
    return answer(made, 201)


@router.get("/partners")
async def list_partners(house: InHouse, principal: Caller) -> Response:
    """All, with what they have open and what their addresses did not take."""
    principal.require(*_READERS)
    async with house.database.connection() as connection:
        found = await partners.listed(connection)
    near = [
        p for p in found if any(a.startswith(b) or b.startswith(a) for a in principal.jurisdictions for b in p["jurisdictions"])
    ]
    if not principal.has("admin"):  # an address may hold a secret of its owner's
        near = [{k: v for k, v in p.items() if k != "url"} for p in near]
    return answer({"items": near})


@router.post("/partners/{partner_id}/token")
async def post_token(house: InHouse, principal: Caller, partner_id: uuid.UUID) -> Response:
    """A new token instead of the old one, shown once."""
    principal.require("admin")
    async with house.database.transaction() as connection:
        token = await partners.renew_token(connection, partner_id, principal)
    return answer({"id": partner_id, "token": token})


@router.put("/partners/{partner_id}/address")
async def put_address(house: InHouse, principal: Caller, partner_id: uuid.UUID, body: Address) -> Response:
    """Where it is told from now on, with a new secret; what the old address did not take is sent there."""
    principal.require("admin")
    async with house.database.transaction() as connection:
        secret = await partners.readdress(connection, house.vault, partner_id, body.url, principal)
    return answer({"id": partner_id, "url": body.url, "secret": secret})


@router.delete("/partners/{partner_id}", status_code=204)
async def delete_partner(house: InHouse, principal: Caller, partner_id: uuid.UUID) -> Response:
    """It reads and says nothing more. What it has open is shown to the desk with an alarm."""
    principal.require("admin")
    async with house.database.transaction() as connection:
        await partners.disable(connection, partner_id, principal)
    return Response(status_code=204)


# -- hand-overs


@router.post("/matters/{matter_id}/handovers", status_code=201)
async def post_handover(house: InHouse, principal: Caller, matter_id: uuid.UUID, body: NewHandover) -> Response:
    """Hands a matter to a partner beside the acts: the answer to 12345, a clue to enforcement, an application for judicial confirmation, what is
    another department's, the question to the council whether it has the dispute already. ODR enterprises and mediation bodies are handed to by
    settle and delegate. 409 where one of the kind has it, or the matter is none for it."""
    principal.require(*_DESK)
    made = await handing.hand_over(
        house, matter_id, principal, body.partner_id, lanes=lanes(principal), message=body.message, agreement_on=body.agreement_on,
        both_parties=body.both_parties,
    )  # fmt: skip
    return answer(await _found(house, principal, made), 201)


@router.post("/incidents/{incident_id}/handovers", status_code=201)
async def post_candidate(house: InHouse, principal: Caller, incident_id: uuid.UUID, body: Candidate) -> Response:
    """Names an incident to whoever may sue for many consumers: numbers, nobody's data."""
    principal.require("supervisor", "analyst")
    made = await handing.hand_over_incident(house, incident_id, principal, body.partner_id, message=body.message)
    return answer(await _found(house, principal, made), 201)


@router.get("/handovers")
async def list_handovers(
    house: InHouse,
    principal: Caller,
    kind: Kind | None = None,
    state: Literal["sent", "received", "working", "done", "failed", "returned", "recalled"] | None = None,
    is_open: Annotated[bool | None, Query(alias="open")] = None,
    alarm: Annotated[bool, Query(description="Only those somebody should look at")] = False,
    matter_id: uuid.UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(alias="cursor")] = None,
) -> Response:
    """Newest first: a partner's own; for others those of their places and lanes, each with its alarm (undeliverable, partner_disabled, overdue,
    returned, answer_rejected, contradiction, draft_waits)."""
    principal.require(*_READERS, PARTNER)
    wanted = Wanted(kind, state, is_open, alarm, matter_id, read_cursor(after), limit + 1)
    async with house.database.connection() as connection:
        rows = await handovers.listed(connection, principal, lanes(principal), wanted, _today())
    items = rows[:limit]
    more = cursor(items[-1]["created_at"], items[-1]["id"]) if len(rows) > limit else None
    return answer({"items": items, "next_cursor": more})


@router.get("/handovers/candidates")
async def list_candidates(house: InHouse, principal: Caller, kind: Literal["public_interest"] = "public_interest") -> Response:
    """Incidents that harm many consumers, for whoever may sue for them: counts only, and by which threshold (people, harm, amount)."""
    principal.require("supervisor", "analyst", "intake")
    return answer({"kind": kind, "items": await handing.candidates(house, principal)})


@router.get("/handovers/{handover_id}")
async def get_handover(house: InHouse, principal: Caller, handover_id: uuid.UUID) -> Response:
    """With every status. Its partner is given what it needs to work on it while it is open (case), which is logged; nobody else is."""
    principal.require(*_READERS, PARTNER)
    if principal.partner_id:
        return answer(await handing.read_own(house, handover_id, principal))
    return answer(await _found(house, principal, handover_id))


@router.post("/handovers/{handover_id}/status")
async def post_status(house: InHouse, principal: Caller, handover_id: uuid.UUID, body: NewStatus) -> Response:
    """The partner's word. applied: whether it stands; effect: what it did, or why nothing (older, recalled, matter_ended). 409 for the same
    status_id with other content (fields named), and for what may not follow."""
    principal.require(PARTNER)
    return answer(await handing.report(house, handover_id, principal, Status(**body.model_dump())))


@router.post("/handovers/{handover_id}/recall")
async def post_recall(house: InHouse, principal: Caller, handover_id: uuid.UUID, body: Recall | None = None) -> Response:
    """Takes it back from the partner, who is told."""
    principal.require(*_DESK)
    await handing.recall(house, handover_id, principal, lanes=lanes(principal), reason=body.reason if body else None)
    return answer(await _found(house, principal, handover_id))


@router.post("/handovers/{handover_id}/acknowledge")
async def post_acknowledgement(house: InHouse, principal: Caller, handover_id: uuid.UUID) -> Response:
    """Somebody has seen what called for a person."""
    principal.require(*_DESK)
    await handing.acknowledge(house, handover_id, principal, lanes=lanes(principal))
    return answer(await _found(house, principal, handover_id))


async def _found(house: InHouse, principal: Principal, handover_id: uuid.UUID) -> dict[str, Any]:
    async with house.database.connection() as connection:
        found = await handovers.find(connection, principal, lanes(principal), handover_id, _today())
        found["statuses"] = await handovers.statuses(connection, house.vault, handover_id, to_partner=False)
    return found


def _today() -> Any:
    return local_day(datetime.now(UTC))
