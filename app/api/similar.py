"""What became of settled cases like a matter, or of those a search names."""

import uuid
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from app import audit, similar
from app.api.common import PROBLEMS, Caller, InHouse, answer, lanes
from app.similar import Wanted

router = APIRouter(prefix="/v1", tags=["similar cases"], responses=PROBLEMS)

_Code = Annotated[str | None, Query(min_length=1, max_length=60)]
_After = Annotated[date | None, Query(description="Closed on that day or later, Asia/Shanghai")]
_Limit = Annotated[int, Query(ge=1, le=similar.MAX_ITEMS)]
_ROLES = ("intake", "mediator", "supervisor", "analyst")


@router.get("/matters/{matter_id}/similar")
async def similar_cases(
    house: InHouse, principal: Caller, matter_id: uuid.UUID, merchant: Literal["same"] | None = None, problem: _Code = None, goods: _Code = None,
    demand: _Code = None, outcome: _Code = None, closed_after: _After = None, limit: _Limit = 10,
) -> Response:  # fmt: skip
    """The settled cases most like a matter, of the whole deployment: which fields agree, with bits for each (score: their sum), and the cosine
    over keyed terms; their ends, and the spread over up to 100 of them: shares and quartiles, each with n, none under `least`. Of another
    place's case no id and no place."""
    principal.require(*_ROLES)
    async with house.database.connection() as connection:
        found = await similar.of_matter(
            connection, matter_id, Wanted(None, goods, problem, demand, outcome, closed_after), principal, lanes=lanes(principal),
            same_merchant=merchant == "same", limit=limit,
        )  # fmt: skip
        await audit.record(connection, principal.subject, "read_similar", "matter", [matter_id])
    return answer(found)


@router.get("/settled-cases")
async def settled_cases(
    house: InHouse, principal: Caller, merchant_id: uuid.UUID | None = None, goods: _Code = None, problem: _Code = None, demand: _Code = None,
    outcome: _Code = None, closed_after: _After = None, lane: Literal["complaint", "report"] = "complaint", limit: _Limit = 10,
) -> Response:  # fmt: skip
    """Settled cases that have all that is given, newest first, and their spread; merchant_id, goods or problem must be given."""
    principal.require(*_ROLES)
    async with house.database.connection() as connection:
        found = await similar.of_search(
            connection, Wanted(merchant_id, goods, problem, demand, outcome, closed_after), principal, lane=lane, lanes=lanes(principal),
            limit=limit,
        )  # fmt: skip
        if merchant_id is not None:
            await audit.record(connection, principal.subject, "read_similar", "merchant", [merchant_id])
    return answer(found)
