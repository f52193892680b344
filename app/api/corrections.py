"""Binding corrections of who is one person, and the runs that moved records."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app import complainants, correcting
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.intake import Clean

router = APIRouter(prefix="/v1", tags=["corrections"], responses=PROBLEMS)


class _Act(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Clean, Field(min_length=1, max_length=500, description="Why; kept with the act")]


class MergePeople(_Act):
    others: Annotated[list[uuid.UUID], Field(min_length=1, max_length=50, description="Complainants that are this person too")]


class SplitPeople(_Act):
    records: Annotated[
        list[uuid.UUID], Field(min_length=1, max_length=1000, description="Records of somebody else: they leave together")
    ]


@router.post("/complainants/{complainant_id}/merge")
async def merge_complainants(house: InHouse, principal: Caller, complainant_id: uuid.UUID, body: MergePeople) -> Response:
    """Several ids are one person: their complaints move here, the other ids answer with `merged_into`. Binds every later run."""
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.merge_people(house, complainant_id, body.others, principal, reason=body.reason, lanes=lanes(principal))
    )


@router.post("/complainants/{complainant_id}/split")
async def split_complainant(house: InHouse, principal: Caller, complainant_id: uuid.UUID, body: SplitPeople) -> Response:
    """Records of somebody else get an id of their own and stay apart from the rest. Binds every later run."""
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.split_people(house, complainant_id, body.records, principal, reason=body.reason, lanes=lanes(principal))
    )


@router.post("/complainants/{complainant_id}/pin")
async def pin_complainant(house: InHouse, principal: Caller, complainant_id: uuid.UUID, body: _Act) -> Response:
    """A person has looked: nothing automatic moves these records or merges the id away; new ones may still join."""
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.pin_person(house, complainant_id, principal, pinned=True, reason=body.reason, lanes=lanes(principal))
    )


@router.post("/complainants/{complainant_id}/unpin")
async def unpin_complainant(house: InHouse, principal: Caller, complainant_id: uuid.UUID, body: _Act) -> Response:
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.pin_person(house, complainant_id, principal, pinned=False, reason=body.reason, lanes=lanes(principal))
    )


@router.get("/link-runs")
async def list_link_runs(
    house: InHouse, principal: Caller, kind: Literal["relink", "bridge", "merge", "split", "pin", "unpin", "undo"] | None = None,
    after: Annotated[str | None, Query(alias="cursor")] = None, limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:  # fmt: skip
    """Merges, splits, relinks and their undoings, newest first."""
    principal.require("analyst", "supervisor", "auditor")
    async with house.database.connection() as connection:
        found = await complainants.runs(connection, kind=kind, after=read_cursor(after), limit=limit)
    following = cursor(found[-1]["started_at"], found[-1]["id"]) if len(found) == limit else None
    return answer({"items": found, "next_cursor": following})


@router.post("/link-runs/{run_id}/undo")
async def undo_link_run(house: InHouse, principal: Caller, run_id: uuid.UUID, body: _Act) -> Response:
    """All that the run moved goes back where it was; what somebody moved since stays (`left` counts it)."""
    principal.require("analyst", "supervisor")
    return answer(await correcting.undo_run(house, run_id, principal, reason=body.reason, lanes=lanes(principal)))
