"""Call-backs after a complaint ended, and what becomes of a dispute that comes again."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from app import callbacks, reviewing
from app.api.common import PROBLEMS, WAITS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.api.complaints import full_view
from app.intake import Clean, Required
from app.privacy import mask_text

router = APIRouter(prefix="/v1", tags=["callbacks"], responses=PROBLEMS)

_DESK = ("intake", "mediator", "supervisor")


class Result(BaseModel):
    """performed: of an agreement, which must be asked; not_due: its day has not come. wants_reopening: left out where it was not asked."""

    model_config = ConfigDict(extra="forbid")

    satisfied: Literal["very", "yes", "neutral", "no"]
    performed: Literal["yes", "partly", "no", "not_due"] | None = None
    wants_reopening: StrictBool | None = None
    note: Annotated[Clean, Field(min_length=1, max_length=2000)] | None = None


class Choice(BaseModel):
    """ground, of reopen: own_error, agreement_not_performed or handled_by_merchant_or_odr_only."""

    model_config = ConfigDict(extra="forbid")

    choice: Literal["reopen", "refuse", "new"]
    ground: Annotated[Clean, Field(min_length=1, max_length=60)] | None = None
    reason: Annotated[Required, Field(max_length=2000)]


@router.get("/callbacks")
async def list_callbacks(
    house: InHouse, principal: Caller, state: Literal["open", "done", "unreachable", "lapsed"] = "open",
    due: Annotated[bool, Query(description="Only those that may be asked today")] = False,
    district: Annotated[str, Query(pattern=r"^\d{0,6}$")] = "",
    after: Annotated[str | None, Query(alias="cursor")] = None, limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:  # fmt: skip
    """回访: who is to be asked, due first. may_ask: whether the caller may, who must not have handled the matter; cause repeat: the
    complainant came again (R2); taken_by: who is asking now, until taken_until."""
    principal.require(*_DESK)
    async with house.database.connection() as connection:
        items = await callbacks.listed(
            connection, principal, lanes(principal), now=datetime.now(UTC), state=state, due=due, district=district,
            after=read_cursor(after), limit=limit + 1,
        )  # fmt: skip
    more = cursor(items[limit - 1]["due_at"], items[limit - 1]["id"]) if len(items) > limit else None
    return answer({"items": items[:limit], "next_cursor": more})


class Taking(BaseModel):
    """minutes: for which nobody else is given them. district: a region's code or its beginning, within the caller's places."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=20)] = 1
    minutes: Annotated[int, Field(ge=5, le=240)] = 30
    district: Annotated[Clean, Field(pattern=r"^\d{0,6}$")] = ""


@router.post("/callbacks/take")
async def take(house: InHouse, principal: Caller, body: Taking | None = None) -> Response:
    """The next the caller may ask, due first, for him alone meanwhile; said again, what he has comes first. Left out are those whose complainant
    was called in vain some hours ago. A result ends it, an attempt or POST .../release gives it back."""
    principal.require(*_DESK)
    wanted = body or Taking()
    async with house.database.connection() as connection:
        items = await callbacks.take(
            connection, principal, lanes(principal), now=datetime.now(UTC), district=wanted.district, limit=wanted.limit,
            keep=timedelta(minutes=wanted.minutes),
        )  # fmt: skip
    return answer({"items": items})


@router.post("/callbacks/{callback_id}/release")
async def release(house: InHouse, principal: Caller, callback_id: uuid.UUID) -> Response:
    """Somebody else may ask. 409 where the caller has not taken it."""
    principal.require(*_DESK)
    async with house.database.connection() as connection:
        await callbacks.find(connection, callback_id, principal, lanes(principal), now=datetime.now(UTC))
        await callbacks.give_back(connection, callback_id, principal)
    return answer({"id": callback_id, "state": "open"})


@router.get("/callbacks/{callback_id}")
async def get_callback(house: InHouse, principal: Caller, callback_id: uuid.UUID) -> Response:
    """With the complaint; contacts are unmasked for who may ask now, and that is logged."""
    principal.require(*_DESK)
    async with house.database.connection() as connection:
        found = await callbacks.find(connection, callback_id, principal, lanes(principal), now=datetime.now(UTC))
        letter = await connection.fetchrow(
            "SELECT id, external_id, source, channel, received_at, event_at, state, history FROM letter WHERE id = $1",
            found["complaint_id"],
        )
    return answer({**found, "complaint": await full_view(house, letter, principal, reveal=found["may_ask"])})


@router.post("/callbacks/{callback_id}/attempt")
async def attempt(house: InHouse, principal: Caller, callback_id: uuid.UUID) -> Response:
    """Nobody answered. After as many as the rules name it ends as unreachable. counted: false for what comes within hours of the last: a
    retry or a second caller is no other attempt. 403 for whoever handled the matter; 409 before its day and after its end."""
    principal.require(*_DESK)
    return answer(await reviewing.attempt(house, callback_id, principal, lanes=lanes(principal)))


@router.post("/callbacks/{callback_id}/result")
async def result(house: InHouse, principal: Caller, callback_id: uuid.UUID, body: Result) -> Response:
    """What the complainant said. approval_id: reopening was proposed to a supervisor (GET /v1/approvals, kind review). The same again gives the
    same answer, another 409. 403 for whoever handled the matter, and for machines."""
    principal.require(*_DESK)
    said = reviewing.Answer(
        body.satisfied, body.performed, body.wants_reopening, mask_text(body.note) if body.note is not None else None
    )
    return answer(await reviewing.record(house, callback_id, principal, said, lanes=lanes(principal)))


@router.post("/matters/{matter_id}/repeat", responses=WAITS)
async def choose(house: InHouse, principal: Caller, matter_id: uuid.UUID, body: Choice) -> Response:
    """R2: a complaint of a dispute that had ended. reopen: the earlier one is taken up again and this letter is joined to it, without a second
    clock; refuse: not accepted under Art. 16(2), with the other ways of the consumer law's Art. 39; new: another dispute after all. 202
    where it waits for a supervisor (a mediator's choice); 403 where the earlier handler would refuse; 409 where it is no R2 or is decided."""
    done = await reviewing.choose(
        house, matter_id, principal, body.choice, ground=body.ground, reason=mask_text(body.reason), lanes=lanes(principal)
    )
    waits = {"approval_id": done.approval_id, "missing": done.missing} if done.approval_id else {}
    told = {"id": matter_id, "choice": body.choice, "matter_id": done.matter_id, "act": done.act, "state": done.state, **waits}
    return answer(told, 202 if done.approval_id else 200)
