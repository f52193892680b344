"""The supervisors' side: how the work lies, the items behind a figure, re-balancing, alarms of starving queues."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from app import alarms, team, working
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, read_cursor
from app.intake import Clean, Required
from app.privacy import mask_text

router = APIRouter(prefix="/v1/team", tags=["team"], responses=PROBLEMS)

_District = Annotated[
    str | None, Query(pattern=r"^\d{2,6}$", description="A region's code or its beginning; default: the caller's places")
]
_Queue = Annotated[str | None, Query(max_length=60, description="An id of GET /v1/queues; default: all")]
_Cursor = Annotated[str | None, Query(alias="cursor")]
_Subject = Annotated[Clean, Field(min_length=1, max_length=200)]


@router.get("")
async def get_team(house: InHouse, principal: Caller, district: _District = None, queue: _Queue = None) -> Response:
    """Per queue and district, and per person: what lies there now, and what was done today, in seven and thirty days. Reports are among
    it (Art. 37: a supervisor's to see). Each figure is defined in the answer and true as of as_of."""
    principal.require("supervisor")
    async with house.database.snapshot(house.settings.report_timeout_seconds) as connection:
        seen = await team.view(connection, principal, district=district, queue=queue)
        desks = await team.desks(connection, seen, house.calendar)
        people = await team.people(connection, seen, principal)
    return answer({"as_of": seen.now, "places": seen.places, "desks": desks, "people": people, "definitions": team.DEFINITIONS})


@router.get("/items")
async def list_items(
    house: InHouse, principal: Caller, district: _District = None, queue: _Queue = None,
    holder: Annotated[str | None, Query(max_length=200)] = None, state: Literal["ready", "leased", "held"] | None = None,
    light: Literal["green", "yellow", "red", "grey"] | None = None, overdue: bool | None = None,
    flag: Annotated[str | None, Query(max_length=60, description="escalated, urged, supervised, or another of the items' flags")] = None,
    after: _Cursor = None, limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:  # fmt: skip
    """The open items behind a figure, those whose term ends first before the others: their ids are what POST /v1/work-items/bulk
    {verb: assign} takes."""
    principal.require("supervisor")
    async with house.database.snapshot(house.settings.report_timeout_seconds) as connection:
        seen = await team.view(connection, principal, district=district, queue=queue)
        found, more = await team.items(
            connection, seen, house.calendar, holder=holder, state=state, light_is=light, overdue=overdue, flag=flag, after=read_cursor(after),
            limit=limit,
        )  # fmt: skip
    return answer({"items": found, "as_of": seen.now, "next_cursor": cursor(*more) if more else None})


class Rebalance(BaseModel):
    """queue, district: whose items. from: whose; absent: what waits there. to: over whom; whoever is in both keeps an even part. limit: at
    most so many units."""

    model_config = ConfigDict(extra="forbid")

    queue: Annotated[Clean, Field(min_length=1, max_length=60)]
    district: Annotated[Clean, Field(pattern=r"^\d{2,6}$")] | None = None
    holder: Annotated[_Subject | None, Field(alias="from")] = None
    to: Annotated[list[_Subject], Field(min_length=1, max_length=working.MAX_COLLEAGUES)]
    limit: Annotated[int, Field(ge=1, le=working.MAX_BULK)] = working.MAX_BULK
    reason: Annotated[Required, Field(max_length=500)]
    dry_run: StrictBool = False


@router.post("/rebalance")
async def rebalance(house: InHouse, principal: Caller, body: Rebalance) -> Response:
    """Spreads what one person has, or what waits, over colleagues who may have it, to whoever has least now; a joint matter goes whole.
    {items: [{id, items, from, to, status, ...}], colleagues: [{subject, before, after, why}]}; dry_run: the plan alone."""
    async with house.database.connection() as connection:
        seen = await team.view(connection, principal, district=body.district, queue=body.queue)
    done = await working.rebalance(
        house,
        principal,
        seen,
        holder=body.holder,
        to=body.to,
        limit=body.limit,
        reason=mask_text(body.reason),
        dry_run=body.dry_run,
    )
    return answer({**done, "dry_run": body.dry_run})


@router.get("/alarms")
async def list_alarms(
    house: InHouse, principal: Caller, running: Annotated[bool, Query(alias="open", description="Only those that go on")] = True,
    after: _Cursor = None, limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:  # fmt: skip
    """Starving queues of the caller's places, newest first. unclaimed: something is due today or overdue and nobody pulled for hours of
    working time; waiting: something waited too long for its term and was never claimed."""
    principal.require("supervisor")
    async with house.database.connection() as connection:
        found = await alarms.alarms(connection, principal, running=running, after=read_cursor(after), limit=limit + 1)
    more = cursor(found[limit - 1]["opened_at"], found[limit - 1]["id"]) if len(found) > limit else None
    return answer({"items": found[:limit], "next_cursor": more})


class Seen(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Annotated[Clean, Field(max_length=500)] | None = None


@router.post("/alarms/{alarm_id}/acknowledge")
async def acknowledge(house: InHouse, principal: Caller, alarm_id: uuid.UUID, body: Seen | None = None) -> Response:
    """A named person sees to it. 409 with his name where another did before."""
    principal.require("supervisor")
    note = mask_text(body.note) if body and body.note else None
    async with house.database.transaction() as connection:
        return answer(await alarms.acknowledge(connection, alarm_id, principal, note, datetime.now(UTC)))
