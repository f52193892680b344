"""Binding corrections of who is one person, what is one incident, which merchant is meant; and the runs that moved records."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app import correcting, runs
from app.api.common import PROBLEMS, Caller, InHouse, Moment, answer, cursor, lanes, read_cursor
from app.incidents import Filter
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
    """Later runs may change it again."""
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.pin_person(house, complainant_id, principal, pinned=False, reason=body.reason, lanes=lanes(principal))
    )


class MergeIncidents(_Act):
    others: Annotated[list[uuid.UUID], Field(min_length=1, max_length=50, description="Incidents that are this one too")]


class Members(BaseModel):
    """Which members; what is absent does not restrict."""

    model_config = ConfigDict(extra="forbid")

    matters: Annotated[list[uuid.UUID], Field(min_length=1, max_length=1000)] | None = None
    district: Annotated[str, Field(pattern=r"^\d{2,6}$", description="Code or its beginning")] | None = None
    shop: Clean | None = None
    merchant_id: uuid.UUID | None = None
    issue: Clean | None = None
    from_: Annotated[Moment | None, Field(alias="from")] = None
    to: Moment | None = None


class SplitIncident(_Act):
    filter: Members
    into: Annotated[uuid.UUID | None, Field(description="Another incident; absent: one of their own")] = None
    token: Annotated[str | None, Field(description="Of the preview. Absent: nothing is done, the answer shows what would be")] = (
        None
    )


@router.post("/incidents/{incident_id}/merge")
async def merge_incidents(house: InHouse, principal: Caller, incident_id: uuid.UUID, body: MergeIncidents) -> Response:
    """Several ids are one incident: their complaints move here, the other ids answer with `merged_into`. Binds every later pass."""
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.merge_incidents(house, incident_id, body.others, principal, reason=body.reason, lanes=lanes(principal))
    )


@router.post("/incidents/{incident_id}/split")
async def split_incident(house: InHouse, principal: Caller, incident_id: uuid.UUID, body: SplitIncident) -> Response:
    """Takes members out, into an incident of their own or into another. First without `token`: shows which; then with it: touches exactly
    those. Binds every later pass."""
    principal.require("analyst", "supervisor")
    f = body.filter
    chosen = Filter(f.matters, f.district, f.shop, f.merchant_id, f.issue, f.from_, f.to)
    return answer(
        await correcting.split_incident(
            house, incident_id, chosen, principal, into=body.into, reason=body.reason, lanes=lanes(principal), expect=body.token
        )
    )


@router.post("/incidents/{incident_id}/close")
async def close_incident(house: InHouse, principal: Caller, incident_id: uuid.UUID, body: _Act) -> Response:
    """Ends it: a like complaint from now on is a recurrence, linked to it."""
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.close_incident(house, incident_id, principal, closed=True, reason=body.reason, lanes=lanes(principal))
    )


@router.post("/incidents/{incident_id}/reopen")
async def reopen_incident(house: InHouse, principal: Caller, incident_id: uuid.UUID, body: _Act) -> Response:
    """It takes new complaints again."""
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.close_incident(house, incident_id, principal, closed=False, reason=body.reason, lanes=lanes(principal))
    )


class MergeMerchants(_Act):
    others: Annotated[list[uuid.UUID], Field(min_length=1, max_length=50, description="Merchants that are this one too")]


class SplitMerchant(_Act):
    respondents: Annotated[
        list[uuid.UUID], Field(min_length=1, max_length=1000, description="Mentions (respondent ids) that mean somebody else")
    ]
    into: Annotated[uuid.UUID | None, Field(description="The merchant they mean; absent: one of their own")] = None


@router.post("/merchants/{merchant_id}/merge")
async def merge_merchants(house: InHouse, principal: Caller, merchant_id: uuid.UUID, body: MergeMerchants) -> Response:
    """Several ids are one merchant: their complaints and names move here, the other ids answer with `merged_into`."""
    principal.require("analyst", "supervisor")
    return answer(await correcting.merge_merchants(house, merchant_id, body.others, principal, reason=body.reason))


@router.post("/merchants/{merchant_id}/split")
async def split_merchant(house: InHouse, principal: Caller, merchant_id: uuid.UUID, body: SplitMerchant) -> Response:
    """Mentions of somebody else move to the merchant they mean."""
    principal.require("analyst", "supervisor")
    return answer(
        await correcting.split_merchant(house, merchant_id, body.respondents, principal, into=body.into, reason=body.reason)
    )


@router.get("/link-runs")
async def list_link_runs(
    house: InHouse, principal: Caller, kind: Literal["relink", "bridge", "merge", "split", "move", "pin", "unpin", "close", "reopen", "regroup", "undo"] | None = None,
    of: Literal["complainant", "incident", "merchant"] | None = None,
    after: Annotated[str | None, Query(alias="cursor")] = None, limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:  # fmt: skip
    """Merges, splits, relinks and their undoings, newest first."""
    principal.require("analyst", "supervisor", "auditor")
    async with house.database.connection() as connection:
        found = await runs.runs(connection, kind=kind, of=of, after=read_cursor(after), limit=limit)
    following = cursor(found[-1]["started_at"], found[-1]["id"]) if len(found) == limit else None
    return answer({"items": found, "next_cursor": following})


@router.post("/link-runs/{run_id}/undo")
async def undo_link_run(house: InHouse, principal: Caller, run_id: uuid.UUID, body: _Act) -> Response:
    """All that the run moved goes back where it was; what somebody moved since stays (`left` counts it)."""
    principal.require("analyst", "supervisor")
    return answer(await correcting.undo_run(house, run_id, principal, reason=body.reason, lanes=lanes(principal)))
