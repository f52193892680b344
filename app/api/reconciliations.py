"""Where the platform's word and ours differ, and a person's on it."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app import reconciling
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.intake import Clean
from app.privacy import mask_text

router = APIRouter(prefix="/v1/reconciliations", tags=["reconciliations"], responses=PROBLEMS)


class Resolution(BaseModel):
    model_config = ConfigDict(extra="forbid")

    holds: Annotated[Literal["ours", "platform"], Field(description="Whose state stands; platform: its state is taken over")]
    reason: Annotated[Clean, Field(min_length=1, max_length=2000)]


@router.get("")
async def list_contradictions(
    house: InHouse, principal: Caller, after: Annotated[str | None, Query(alias="cursor")] = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Response:  # fmt: skip
    """What waits for a person's word, oldest first: ours, theirs, why they differ (cause), as_of of the platform's state. missing: signatures
    still needed where one person let the platform hold already."""
    principal.require("intake", "supervisor")
    async with house.database.connection() as connection:
        found = await reconciling.contradictions(connection, principal, lanes(principal), read_cursor(after), limit + 1)
    more = cursor(found[limit - 1]["opened_at"], found[limit - 1]["id"]) if len(found) > limit else None
    return answer({"items": found[:limit], "next_cursor": more})


@router.post("/{complaint_id}/resolve")
async def resolve(house: InHouse, principal: Caller, complaint_id: uuid.UUID, body: Resolution) -> Response:
    """A natural person says whose word holds. 202 where a second one must sign (a refusal); 409 where nothing waits, or a hotline's ticket
    should end a complaint."""
    principal.require("intake", "supervisor")
    done = await reconciling.resolve(
        house, complaint_id, principal, holds=body.holds, reason=mask_text(body.reason), lanes=lanes(principal)
    )
    return answer(done, 202 if done["missing"] else 200)
