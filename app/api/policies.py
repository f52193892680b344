"""Policies: read, draft, prove, back-test, publish, try."""

import uuid
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app import drafting
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.intake import Clean
from app.policy import proving, sheets

router = APIRouter(prefix="/v1", tags=["policies"], responses=PROBLEMS)

_READERS = ("policy", "supervisor", "analyst", "auditor")
Version = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="Hash of the content")]
Note = Annotated[Clean | None, Field(max_length=500, description="Why, for those who look later")]


@router.get("/policies")
async def list_policies(
    house: InHouse, principal: Caller, limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(alias="cursor")] = None,
) -> Response:  # fmt: skip
    """Versions, newest first, each with its state (draft, backtested, scheduled, in_force, superseded) and what was done to it."""
    principal.require(*_READERS)
    seen = read_cursor(after)
    async with house.database.connection() as connection:
        found = await drafting.versions(connection, after=(seen[0], seen[1].hex[:16]) if seen else None, limit=limit + 1)
    items = found[:limit]
    # A cursor holds a time and a UUID; a version's name is half of one.
    following = cursor(items[-1]["created_at"], uuid.UUID(items[-1]["hash"] * 2)) if len(found) > limit else None
    return answer({"items": items, "next_cursor": following})


@router.get("/policies/{version}")
async def read_policy(
    house: InHouse, principal: Caller, version: Version, format: Annotated[Literal["json", "csv", "xlsx"], Query()] = "json"
) -> Response:  # fmt: skip
    """A version with its content, acts and latest back-tests; or its tables, as an officer edits them."""
    principal.require(*_READERS)
    async with house.database.connection() as connection:
        if format == "json":
            return answer(await drafting.find(connection, version))
        content = (await drafting.load_version(connection, version)).content
    headers = {"Content-Disposition": f'attachment; filename="policy-{version}.{format}"'}
    if format == "csv":
        return Response(sheets.to_csv(content), 200, headers, media_type="text/csv; charset=utf-8")
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return Response(sheets.to_xlsx(content), 200, headers, media_type=kind)


@router.get("/policies/{version}/open-questions")
async def read_open_questions(house: InHouse, principal: Caller, version: Version) -> Response:
    """What of it no law says or nobody verified: for the legal officer."""
    principal.require(*_READERS)
    async with house.database.connection() as connection:
        return answer({"items": proving.open_questions(await drafting.load_version(connection, version))})


@router.post("/policies", status_code=201)
async def post_policy(house: InHouse, principal: Caller, body: dict[str, Any]) -> Response:
    """Keeps a draft: the content as `GET /v1/policies/{version}` shows it, `valid_from` where a day is meant already. 422 names each cell.
    200: the version was known, and is proposed anew."""
    principal.require("policy")
    made = await drafting.draft(house, principal, body)
    return answer(made, 201 if made["created"] else 200)


@router.post("/policies/validate")
async def validate_policy(house: InHouse, principal: Caller, body: dict[str, Any]) -> Response:
    """Proves a content without keeping it: errors would be refused, warnings are to be looked at, each with fact sheets as proof."""
    principal.require("policy")
    report = await drafting.prove(house, body)
    return answer(
        {
            "valid": not report.errors, "version": report.policy.hash if report.policy else None,
            "errors": drafting.told(report.errors), "warnings": drafting.told(report.warnings),
        }
    )  # fmt: skip


class Sheet(BaseModel):
    """facts: as in a decision; what is left out has its default."""

    model_config = ConfigDict(extra="forbid")

    facts: dict[str, Any]
    on: date | None = None
    jurisdiction: Annotated[Clean | None, Field(pattern=r"^[0-9]{2,6}$")] = None
    version: Annotated[Clean | None, Field(pattern=r"^[0-9a-f]{16}$", description="Must be in force on that day")] = None


@router.post("/policies/decide")
async def decide(house: InHouse, principal: Caller, body: Sheet) -> Response:
    """What a fact sheet would get, with the reasons. Nothing is kept."""
    principal.require(*_READERS)
    return answer(drafting.decide(house, body.facts, on=body.on, jurisdiction=body.jurisdiction, version=body.version))


class Backtest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1_000_000, description="The newest so many")] = drafting.MOST_FACTS


@router.post("/policies/{version}/backtest")
async def backtest(house: InHouse, principal: Caller, version: Version, body: Backtest | None = None) -> Response:
    """Decides stored facts anew by the version and by what is in force: what changes, by pair of tracks, district, merchant, with samples."""
    principal.require("policy")
    limit = body.limit if body else drafting.MOST_FACTS
    return answer(
        await drafting.backtest_version(
            house, version, actor=principal.subject, principal=principal, lanes=lanes(principal), limit=limit
        )
    )


class Proposal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    valid_from: date | None = None
    note: Note = None


@router.post("/policies/{version}/propose")
async def propose(house: InHouse, principal: Caller, version: Version, body: Proposal | None = None) -> Response:
    """The first person's half of publishing a version that is kept already: rolling back to it."""
    principal.require("policy")
    given = body or Proposal()
    return answer(await drafting.propose(house, principal, version, valid_from=given.valid_from, note=given.note))


class Publication(BaseModel):
    model_config = ConfigDict(extra="forbid")

    valid_from: Annotated[date, Field(description="Today in Shanghai or later")]
    note: Note = None


@router.post("/policies/{version}/publish")
async def publish(house: InHouse, principal: Caller, version: Version, body: Publication) -> Response:
    """The second person's half: 403 for whoever drafted or proposed it and for machines, 409 without proposal or back-test."""
    principal.require("policy")
    return answer(await drafting.publish(house, principal, version, body.valid_from, note=body.note))
