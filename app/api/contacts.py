"""The log of contacts and the appointments of a matter that somebody has in hand."""

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from app import contacts
from app.api.common import PROBLEMS, Caller, InHouse, Moment, answer, lanes
from app.calendar import local_day
from app.contacts import Plan, Said
from app.errors import Invalid
from app.identity import Principal
from app.intake import Clean, Instant, Required
from app.privacy import mask_text

router = APIRouter(prefix="/v1", tags=["contacts"], responses=PROBLEMS)

_DESK = ("mediator", "supervisor", "intake")
_SAME: dict[int | str, dict[str, Any]] = {200: {"description": "This key was used before: the same entry"}}

_Key = Annotated[
    uuid.UUID | None,
    Field(description="The client's own name of it: sent again it is the same entry. Or the header Idempotency-Key"),
]
_KeyHeader = Annotated[uuid.UUID | None, Header(alias="Idempotency-Key")]
_Note = Annotated[Clean, Field(min_length=1, max_length=2000)]
_Why = Annotated[Required, Field(max_length=2000)]
_Side = Literal["consumer", "merchant"]
_Sides = Annotated[list[_Side], Field(min_length=1, max_length=2)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Consents(_Shape):
    """What the side agreed to or refused. A word to one is none to another."""

    to: Literal["settlement", "delegation", "mediation"]
    agrees: StrictBool


class NewContact(_Shape):
    """party: agent is the complainant's. result: reached, promised_reply, agreed_to_mediation, refused_mediation, refused_to_talk, no_answer,
    unreachable_number, wrong_number; of what is sent: sent, returned. at: default now; an earlier day is taken and marked as written
    later."""

    key: _Key = None
    party: Literal["consumer", "merchant", "agent", "other"]
    way: Literal["call", "sms", "wechat", "online", "letter", "visit", "window"]
    result: Annotated[Clean, Field(max_length=40)]
    at: Instant | None = None
    note: _Note | None = None
    consents: Consents | None = None


class Striking(_Shape):
    key: _Key = None
    reason: _Why


class NewAppointment(_Shape):
    """form: on_site (place needed), or the remote means; place: where they meet, or how it is joined. mediator: default the caller."""

    key: _Key = None
    at: Moment
    form: Literal["on_site", "online", "call", "audio", "video"]
    place: Annotated[Clean, Field(min_length=1, max_length=200)] | None = None
    minutes: Annotated[StrictInt, Field(ge=5, le=600)] = 60
    mediator: Annotated[Clean, Field(min_length=1, max_length=200)] | None = None
    participants: _Sides = ["consumer", "merchant"]


class Moving(NewAppointment):
    """mediator: default the same as before."""

    reason: _Why


class Notice(_Shape):
    """at: when the side was told, before the appointment; default now. result: as of a contact; default: that it arrived (sms, wechat,
    online, letter: sent; else reached)."""

    key: _Key = None
    party: Literal["consumer", "merchant", "agent"]
    way: Literal["call", "sms", "wechat", "online", "letter", "visit", "window"]
    result: Annotated[Clean, Field(max_length=40)] | None = None
    at: Instant | None = None
    note: _Note | None = None


class Held(_Shape):
    reason: Annotated[_Why | None, Field(description="Where it was recorded as missed: why that was wrong")] = None


class Missed(_Shape):
    """by: who did not come. excused: those of them who had a good reason; their absence ends no mediation."""

    by: _Sides
    excused: Annotated[list[_Side], Field(max_length=2)] = []
    reason: _Why | None = None


class Cancelled(_Shape):
    reason: _Why


class NoticeDocument(_Shape):
    """What the official notice says besides time and place."""

    mediator: Annotated[Clean, Field(min_length=1, max_length=200)] | None = None
    contact_phone: Annotated[Clean, Field(min_length=1, max_length=200)] | None = None
    materials: Annotated[Clean, Field(min_length=1, max_length=500)] | None = None
    recusal_days: Annotated[StrictInt, Field(ge=0, le=9999)] | None = None


def _masked(text: str | None) -> str | None:
    return mask_text(text) if text else None


def _key(given: uuid.UUID | None, header: uuid.UUID | None) -> uuid.UUID:
    if given and header and given != header:
        raise Invalid.field("key", "is another than the header Idempotency-Key")
    key = given or header
    if key is None:
        raise Invalid.field("key", "is missing: without it, what is sent twice would count twice")
    return key


def _desk(principal: Principal) -> tuple[str, ...]:
    principal.require(*_DESK)
    return lanes(principal)


def _made(made: tuple[dict[str, Any], bool]) -> Response:
    found, fresh = made
    return answer(found, 201 if fresh else 200)


def _plan(body: NewAppointment, header: uuid.UUID | None) -> Plan:
    return Plan(
        _key(body.key, header), body.at, body.form, _masked(body.place), body.minutes, body.mediator, tuple(body.participants)
    )


@router.post("/work-items/{item_id}/contacts", status_code=201, responses=_SAME)
async def post_contact(
    house: InHouse, principal: Caller, item_id: uuid.UUID, body: NewContact, idempotency_key: _KeyHeader = None
) -> Response:  # fmt: skip
    """Writes down whom somebody tried to speak with, how, and what came of it; by whoever has the matter in hand. What is agreed or refused
    in it (`consents`) decides the gate as POST /v1/complaints/{id}/consent does, with this entry as its proof. 409 where the key has another
    entry, with the fields."""
    visible = _desk(principal)
    said = Said(
        _key(body.key, idempotency_key), body.party, body.way, body.result, body.at, _masked(body.note),
        body.consents.to if body.consents else None, body.consents.agrees if body.consents else None,
    )  # fmt: skip
    return _made(await contacts.log(house, item_id, principal, said, lanes=visible))


@router.get("/work-items/{item_id}/contacts")
async def list_contacts(house: InHouse, principal: Caller, item_id: uuid.UUID) -> Response:
    """The log, oldest first, what was struck with it; and `proof`: what on file proves a refusal or an absence (Art. 23(1)(2)), what is there
    and does not suffice, what would."""
    found = await contacts.of_item(house, item_id, principal, lanes=_desk(principal))
    return answer({"matter_id": found["matter_id"], "items": found["contacts"], "proof": found["proof"]})


@router.post("/work-items/{item_id}/contacts/{contact_id}/strike", status_code=201, responses=_SAME)
async def strike_contact(
    house: InHouse, principal: Caller, item_id: uuid.UUID, contact_id: uuid.UUID, body: Striking, idempotency_key: _KeyHeader = None
) -> Response:  # fmt: skip
    """A wrong entry counts no more and stays readable; gates that it decided are open again. 409 where the matter stands on it."""
    visible = _desk(principal)
    key = _key(body.key, idempotency_key)
    return _made(
        await contacts.strike(house, item_id, contact_id, principal, lanes=visible, key=key, reason=mask_text(body.reason))
    )


@router.post("/work-items/{item_id}/appointments", status_code=201, responses=_SAME)
async def post_appointment(
    house: InHouse, principal: Caller, item_id: uuid.UUID, body: NewAppointment, idempotency_key: _KeyHeader = None
) -> Response:  # fmt: skip
    """When, where or by which means, and with whom the sides meet (Art. 20). 409 where the mediator has another appointment then. warnings:
    after_due (after the mediation's term), not_working_day."""
    visible = _desk(principal)
    return _made(await contacts.book(house, item_id, principal, _plan(body, idempotency_key), lanes=visible))


@router.get("/work-items/{item_id}/appointments")
async def list_appointments(house: InHouse, principal: Caller, item_id: uuid.UUID) -> Response:
    """All there were and will be, with the notices given of each. state lapsed: planned in a matter that is over."""
    found = await contacts.of_item(house, item_id, principal, lanes=_desk(principal))
    return answer({"matter_id": found["matter_id"], "items": found["appointments"]})


_ONE = "/work-items/{item_id}/appointments/{appointment_id}"


@router.post(_ONE + "/notify", status_code=201, responses=_SAME)
async def notify(
    house: InHouse, principal: Caller, item_id: uuid.UUID, appointment_id: uuid.UUID, body: Notice, idempotency_key: _KeyHeader = None
) -> Response:  # fmt: skip
    """That a side was told of time, place and mediator: an entry of the log that names the appointment. Without one in advance, not coming
    proves nothing."""
    visible = _desk(principal)
    made = await contacts.notify(
        house, item_id, appointment_id, principal, lanes=visible, key=_key(body.key, idempotency_key), party=body.party, way=body.way,
        result=body.result, told_at=body.at, note=_masked(body.note),
    )  # fmt: skip
    return _made(made)


@router.post(_ONE + "/hold")
async def hold(
    house: InHouse, principal: Caller, item_id: uuid.UUID, appointment_id: uuid.UUID, body: Held | None = None
) -> Response:  # fmt: skip
    """It took place."""
    visible, reason = _desk(principal), _masked(body.reason) if body else None
    return answer(await contacts.hold(house, item_id, appointment_id, principal, lanes=visible, reason=reason))


@router.post(_ONE + "/miss")
async def miss(
    house: InHouse, principal: Caller, item_id: uuid.UUID, appointment_id: uuid.UUID, body: Missed
) -> Response:  # fmt: skip
    """Somebody did not come. Without a good reason, and told in advance, it is what Art. 23(1)(2) asks for."""
    visible = _desk(principal)
    found = await contacts.miss(
        house, item_id, appointment_id, principal, lanes=visible, by=body.by, excused=body.excused, reason=_masked(body.reason)
    )
    return answer(found)


@router.post(_ONE + "/cancel")
async def cancel(
    house: InHouse, principal: Caller, item_id: uuid.UUID, appointment_id: uuid.UUID, body: Cancelled
) -> Response:  # fmt: skip
    """It will not take place; who was told of it is to be told so."""
    visible = _desk(principal)
    return answer(await contacts.cancel(house, item_id, appointment_id, principal, lanes=visible, reason=mask_text(body.reason)))


@router.post(_ONE + "/move", status_code=201, responses=_SAME)
async def move(
    house: InHouse, principal: Caller, item_id: uuid.UUID, appointment_id: uuid.UUID, body: Moving, idempotency_key: _KeyHeader = None
) -> Response:  # fmt: skip
    """Another time, place or mediator (also after a request for recusal, Art. 21): the answer is the new appointment, of which both sides are
    to be told anew."""
    visible = _desk(principal)
    made = await contacts.move(
        house, item_id, appointment_id, principal, _plan(body, idempotency_key), lanes=visible, reason=mask_text(body.reason)
    )
    return _made(made)


@router.post(_ONE + "/document", status_code=201)
async def draw_notice(
    house: InHouse, principal: Caller, item_id: uuid.UUID, appointment_id: uuid.UUID, body: NoticeDocument | None = None
) -> Response:  # fmt: skip
    """A draft of 投诉调解通知书 (form 7, on-site mediation) with the appointment's time, place and mediator; it is signed as every document."""
    visible = _desk(principal)
    values = body.model_dump(exclude_none=True) if body else {}
    made = await contacts.draw_notice(house, item_id, appointment_id, principal, values, lanes=visible)
    return answer(made, 201, {"Location": f"/v1/documents/{made['id']}"})


@router.get("/appointments")
async def calendar(
    house: InHouse, principal: Caller, mine: Annotated[bool, Query(description="false: all of the caller's places, for a supervisor")] = True,
    first: Annotated[date | None, Query(alias="from", description="Default: today")] = None,
    last: Annotated[date | None, Query(alias="to", description="Default: two weeks on")] = None,
) -> Response:  # fmt: skip
    """A mediator's days: {days: [{day, working, appointments}]}."""
    visible = _desk(principal)
    start = first or local_day(datetime.now(UTC))
    try:
        end = last or start + timedelta(days=14)
    except OverflowError:
        raise Invalid.field("from", "is not a day this service can hold") from None
    if not 2000 <= start.year <= end.year <= 2100:
        raise Invalid.field("from", "must lie between 2000 and 2100, not after `to`")
    return answer({"days": await contacts.days(house, principal, lanes=visible, first=start, last=end, mine=mine)})
