"""The calendar that dates are counted with."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from app import calendar
from app.api.common import PROBLEMS, Caller, InHouse, answer
from app.errors import NotFound

router = APIRouter(prefix="/v1", tags=["calendar"], responses=PROBLEMS)


@router.get("/calendar/{year}")
async def get_calendar(house: InHouse, _: Caller, year: Annotated[int, Path(ge=2004, le=2100)]) -> Response:
    """A year's days that differ from their weekday, statutory days and rest blocks, with the notice's source. 404 where the notice
    is not loaded: dates that touch the year are provisional."""
    async with house.database.connection() as connection:
        found = await calendar.read_year(connection, year)
    if found is None:
        raise NotFound(f"the notice of {year} is not loaded; dates that touch it are provisional")
    return answer(found)
