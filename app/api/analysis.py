"""The analysts' side: people, incidents, merchants, alerts, reports."""

import csv
import io
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app import audit, bursts, complainants, merchants, portraits, reports
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, lanes, plain, read_cursor
from app.errors import Invalid, NotFound
from app.identity import Principal
from app.intake import Clean

router = APIRouter(prefix="/v1", tags=["analysis"], responses=PROBLEMS)

Format = Annotated[Literal["json", "csv", "xlsx"], Query(alias="format")]
From = Annotated[date | None, Query(alias="from", description="First day, Asia/Shanghai; default 90 days back")]
To = Annotated[date | None, Query(alias="to", description="Last day, included; default today")]


@router.get("/complainants/{complainant_id}")
async def get_complainant(house: InHouse, principal: Caller, complainant_id: uuid.UUID) -> Response:
    """One person's complaints, the evidence that joined them, and history. No personal values."""
    principal.require("mediator", "supervisor", "analyst", "intake")
    async with house.database.connection() as connection:
        found = await complainants.read(
            connection,
            complainant_id,
            lanes=lanes(principal),
            jurisdictions=principal.jurisdictions,
            parameters=house.scale.parameters,
        )
        await audit.record(connection, principal.subject, "read", "complainant", [complainant_id])
    return answer(found)


@router.get("/incidents/{incident_id}")
async def get_incident(
    house: InHouse, principal: Caller, incident_id: uuid.UUID, limit: Annotated[int, Query(ge=1, le=2000)] = 100,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Response:  # fmt: skip
    """One incident: what it is called, people and complaints over time and by place, demands, money, a complaint that stands for it
    (masked), its members with the reasons, related incidents, what people did to it."""
    principal.require("mediator", "supervisor", "analyst", "intake")
    async with house.database.connection() as connection:
        found = await portraits.read(
            connection, house.vault, incident_id, lanes=lanes(principal), jurisdictions=principal.jurisdictions, limit=limit, offset=offset
        )  # fmt: skip
        await audit.record(connection, principal.subject, "read", "incident", [incident_id])
        if one := found.get("representative"):
            await audit.record(connection, principal.subject, "read", "letter", [one["complaint_id"]])
    return answer(found)


@router.get("/merchants/{merchant_id}")
async def get_merchant(house: InHouse, principal: Caller, merchant_id: uuid.UUID) -> Response:
    """Its names, shops and chain, whether it is an ODR enterprise, and what it was complained of in the caller's places."""
    principal.require("mediator", "supervisor", "analyst", "intake")
    async with house.database.connection() as connection:
        found = await merchants.read(connection, merchant_id, lanes=lanes(principal), jurisdictions=principal.jurisdictions)
        await audit.record(connection, principal.subject, "read", "merchant", [merchant_id])
    return answer(found)


@router.get("/alerts")
async def list_alerts(
    house: InHouse, principal: Caller, kind: Literal["merchant", "product", "lot", "district", "problem"] | None = None,
    running: Annotated[bool, Query(alias="open", description="Only those that go on")] = False,
    first: Annotated[date | None, Query(alias="from", description="First day of finding, Asia/Shanghai")] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day of finding, included")] = None,
    after: Annotated[str | None, Query(alias="cursor")] = None, limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:  # fmt: skip
    """预警: what rises faster than chance, newest first, where a complaint of it lies in the caller's places. people and expected are
    of all places when it was found; complaints and incidents of the caller's places, until now or its end. log10_tail: how unlikely."""
    principal.require("analyst", "supervisor")
    async with house.database.reading(house.settings.report_timeout_seconds) as connection:
        items, more = await bursts.alerts(
            connection, jurisdictions=principal.jurisdictions, limit=limit, kind=kind, running=running, first=first, last=last,
            after=read_cursor(after),
        )  # fmt: skip
    return answer({"items": items, "next_cursor": cursor(items[-1]["found_at"], items[-1]["id"]) if more else None})


class _Seen(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Annotated[Clean, Field(max_length=500, description="What came of it; kept with the act")] | None = None


@router.post("/alerts/{alert_id}/seen")
async def see_alert(house: InHouse, principal: Caller, alert_id: uuid.UUID, body: _Seen | None = None) -> Response:
    """A person has looked. The first one stays as seen_by; every note is kept."""
    principal.require("analyst", "supervisor")
    async with house.database.reading(house.settings.report_timeout_seconds) as reading:
        visible, _ = await bursts.alerts(reading, jurisdictions=principal.jurisdictions, limit=1, id=alert_id)
    if not visible:
        raise NotFound("no such alert")
    async with house.database.transaction() as connection:
        return answer(await bursts.see(connection, alert_id, principal, body.note if body else None))


@router.get("/reports/incidents")
async def report_incidents(
    house: InHouse, principal: Caller, first: From = None, last: To = None, district: str | None = None, source: str | None = None,
    lane: Literal["complaint", "report", "other"] | None = "complaint", min_people: Annotated[int, Query(ge=1, le=10**6)] = 3,
    state: Literal["single", "watch", "open", "closed"] | None = None, limit: Annotated[int, Query(ge=1, le=reports.MAX_ROWS)] = 100,
    format_: Format = "json",
) -> Response:  # fmt: skip
    """一事多人: incidents by distinct people."""
    scope = _scope(principal, first, last, district, source, lane)
    async with house.database.reading(house.settings.report_timeout_seconds) as connection:
        rows = await reports.incidents(connection, scope, minimum=min_people, state=state, limit=limit)
    return _report("incidents", scope, rows, format_)


@router.get("/reports/repeat-complainants")
async def report_repeat(
    house: InHouse, principal: Caller, first: From = None, last: To = None, district: str | None = None, source: str | None = None,
    lane: Literal["complaint", "report", "other"] | None = "complaint", min_complaints: Annotated[int, Query(ge=2, le=10**6)] = 3,
    limit: Annotated[int, Query(ge=1, le=reports.MAX_ROWS)] = 100, format_: Format = "json",
) -> Response:  # fmt: skip
    """一人多次: people by complaints, copies apart."""
    scope = _scope(principal, first, last, district, source, lane)
    async with house.database.reading(house.settings.report_timeout_seconds) as connection:
        rows = await reports.repeat_complainants(connection, scope, minimum=min_complaints, limit=limit)
    return _report("repeat-complainants", scope, rows, format_)


@router.get("/reports/trends")
async def report_trends(
    house: InHouse, principal: Caller, first: From = None, last: To = None, district: str | None = None, source: str | None = None,
    lane: Literal["complaint", "report", "other"] | None = None, step: str = "day", by: str = "none", format_: Format = "json",
) -> Response:  # fmt: skip
    """Received over time and by a dimension, with 环比 and 同比."""
    scope = _scope(principal, first, last, district, source, lane)
    async with house.database.reading(house.settings.report_timeout_seconds) as connection:
        found = await reports.trends(connection, scope, step=step, by=by)
    return _report(
        "trends", scope, found["groups"] if format_ != "json" and by != "none" else found["series"], format_, extra=found
    )


@router.get("/reports/tracks")
async def report_tracks(
    house: InHouse, principal: Caller, first: From = None, last: To = None, district: str | None = None, source: str | None = None,
    lane: Literal["complaint", "report", "other"] | None = None, format_: Format = "json",
) -> Response:  # fmt: skip
    """What each track received and what became of it."""
    scope = _scope(principal, first, last, district, source, lane)
    async with house.database.reading(house.settings.report_timeout_seconds) as connection:
        rows = await reports.tracks(connection, scope)
    return _report("tracks", scope, rows, format_)


@router.get("/reports/satisfaction")
async def report_satisfaction(
    house: InHouse, principal: Caller, first: From = None, last: To = None, district: str | None = None, source: str | None = None,
    by: Literal["none", "district", "ending"] = "district", format_: Format = "json",
) -> Response:  # fmt: skip
    """回访满意度: of the complaints that ended in the period and were drawn, how many were asked, reached, satisfied; whether agreements were
    performed."""
    scope = _scope(principal, first, last, district, source, "complaint")
    async with house.database.reading(house.settings.report_timeout_seconds) as connection:
        rows = await reports.satisfaction(connection, scope, by=by)
    return _report("satisfaction", scope, rows, format_)


def _scope(
    principal: Principal, first: date | None, last: date | None, district: str | None, source: str | None, lane: str | None
) -> reports.Scope:
    principal.require("analyst", "supervisor")
    if district is not None and not (district.isdigit() and 2 <= len(district) <= 6):
        raise Invalid.field("district", "must be a region code of 2 to 6 digits")
    visible = [x for x in lanes(principal) if lane is None or x == lane]
    return reports.Scope(reports.period_of(first, last), visible, principal.jurisdictions, district, source)


def _report(
    name: str, scope: reports.Scope, rows: Sequence[dict[str, Any]], format_: str, extra: dict[str, Any] | None = None
) -> Response:
    if format_ == "json":
        body = {
            "report": name, "period": scope.period.as_json(), "previous_period": scope.period.previous.as_json(),
            "year_before_period": scope.period.year_before.as_json(), "as_of": datetime.now(UTC),
            "definition": reports.DEFINITIONS[name], **(extra or {"items": rows}),
        }  # fmt: skip
        return answer(body)
    columns = list(rows[0]) if rows else []
    cells = [[_cell(r[c]) for c in columns] for r in rows]
    filename = f"{name}-{scope.period.first}-{scope.period.last}.{format_}"
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    if format_ == "csv":
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(cells)
        # A byte-order mark: spreadsheet programs take a CSV without one for a local code page.
        return Response(("\ufeff" + out.getvalue()).encode(), 200, headers, media_type="text/csv; charset=utf-8")
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet(name)
    sheet.append(columns)
    for line in cells:
        sheet.append(line)
    binary = io.BytesIO()
    book.save(binary)
    return Response(
        binary.getvalue(), 200, headers, media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "、".join(str(v.get("name") or v.get("code")) if isinstance(v, dict) else str(v) for v in value)
    return reports.cell(value if value is None or isinstance(value, int | float | str) else plain(value))
