"""Who is told what: webhooks, their deliveries, and emergencies that wait for a person."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app import deliveries
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.intake import Clean

router = APIRouter(prefix="/v1", tags=["deliveries"], responses=PROBLEMS)


class NewWebhook(BaseModel):
    """kinds: which events, empty for all. lanes: events of reports only where 'report' is named."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[Clean, Field(min_length=8, max_length=2000)]
    kinds: Annotated[list[str], Field(max_length=50)] = []
    jurisdictions: Annotated[
        list[Annotated[Clean, Field(pattern=r"^\d{2,6}$")]],
        Field(max_length=200, description="Region code prefixes; empty: the caller's"),
    ] = []
    lanes: Annotated[list[str], Field(min_length=1, max_length=3)] = ["complaint", "other"]


@router.post("/webhooks", status_code=201)
async def post_webhook(house: InHouse, principal: Caller, body: NewWebhook) -> Response:
    """Registers a receiver of signed events (Standard Webhooks). The secret is shown in this answer only."""
    principal.require("admin")
    async with house.database.transaction() as connection:
        made = await deliveries.listen(
            connection, house.vault, principal, url=body.url, kinds=body.kinds, jurisdictions=body.jurisdictions, lanes=body.lanes
        )
    return answer(made, 201)


@router.get("/webhooks")
async def list_webhooks(house: InHouse, principal: Caller) -> Response:
    """Who is told, of what and of which places; never a secret."""
    principal.require("admin")
    async with house.database.connection() as connection:
        return answer({"items": await deliveries.webhooks(connection)})


@router.delete("/webhooks/{webhook_id}", status_code=204)
async def delete_webhook(house: InHouse, principal: Caller, webhook_id: uuid.UUID) -> Response:
    """Nothing more is sent there; what was sent stays on record."""
    principal.require("admin")
    async with house.database.transaction() as connection:
        await deliveries.disable(connection, webhook_id, principal)
    return Response(status_code=204)


@router.get("/deliveries")
async def list_deliveries(
    house: InHouse,
    principal: Caller,
    state: Literal["waiting", "delivered", "failed"] | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(alias="cursor")] = None,
) -> Response:
    """Newest first, with attempts and the last answer."""
    principal.require("admin")
    async with house.database.connection() as connection:
        rows = await deliveries.list_deliveries(connection, state=state, after=read_cursor(after), limit=limit + 1)
    items = rows[:limit]
    more = len(rows) > limit
    return answer({"items": items, "next_cursor": cursor(items[-1]["created_at"], items[-1]["id"]) if more else None})


@router.post("/deliveries/{delivery_id}/retry")
async def retry(house: InHouse, principal: Caller, delivery_id: uuid.UUID) -> Response:
    """Starts a failed or waiting delivery again, with all its attempts."""
    principal.require("admin")
    async with house.database.transaction() as connection:
        await deliveries.redrive(connection, delivery_id, principal)
    return answer({"id": delivery_id, "state": "waiting"})


@router.get("/emergencies")
async def list_emergencies(house: InHouse, principal: Caller, waiting: bool = True) -> Response:
    """Emergencies of the caller's places; by default those nobody acknowledged yet."""
    principal.require("intake", "mediator", "supervisor")
    async with house.database.connection() as connection:
        return answer({"items": await deliveries.pages(connection, principal, waiting=waiting, lanes=lanes(principal))})


@router.post("/matters/{matter_id}/acknowledge")
async def acknowledge(house: InHouse, principal: Caller, matter_id: uuid.UUID) -> Response:
    """A named person takes an emergency over; it stops calling. 409 names who was first."""
    principal.require("intake", "mediator", "supervisor")
    return answer(await deliveries.acknowledge(house.database, matter_id, principal, lanes=lanes(principal)))
