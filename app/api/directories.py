"""Directories: who can take a complaint besides the desk, as of a day."""

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from app import directories
from app.api.common import PROBLEMS, Caller, InHouse, answer
from app.calendar import local_day

router = APIRouter(prefix="/v1/directories", tags=["directories"], responses=PROBLEMS)


@router.get("")
async def list_directories(principal: Caller) -> Response:
    """Which there are, with their fields."""
    found = directories.DIRECTORIES.items()
    return answer({"items": [{"kind": kind, "label": d.label, "fields": list(d.columns)} for kind, d in found]})


@router.get("/{kind}")
async def get_entries(
    house: InHouse, principal: Caller, kind: Literal["odr", "mediation", "station", "department", "bureau", "platform"],
    district: Annotated[str | None, Query(pattern=r"^\d{2,6}$", description="Code or its beginning: what lies in it or serves it")] = None,
    on: Annotated[date | None, Query(description="Default: today")] = None,
    limit: Annotated[int, Query(ge=1, le=directories.MAX_ENTRIES)] = 500, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:  # fmt: skip
    """Entries valid on the day, the nearest to the place first, each with its source and validity."""
    day = on or local_day(datetime.now(UTC))
    async with house.database.connection() as connection:
        found = await directories.entries(connection, kind, on=day, district=district, limit=limit, offset=offset)
    return answer({"kind": kind, "on": day, "items": found})
