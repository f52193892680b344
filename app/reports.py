"""What analysts read. SELECT only, one function per question, each figure with its definition and the time it is true
for. Reads run in a read-only session with a statement timeout.

Counted are matters of the period by the event's time (history) or receipt (live), copies (R1) apart; people are
distinct complainants after linking.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from app.calendar import SHANGHAI, local_day
from app.codes import region_name
from app.errors import Invalid

MAX_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Period:
    """Days in Asia/Shanghai, both included."""

    first: date
    last: date

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        start = datetime.combine(self.first, datetime.min.time(), SHANGHAI)
        return start.astimezone(UTC), (datetime.combine(self.last, datetime.min.time(), SHANGHAI) + timedelta(days=1)).astimezone(
            UTC
        )

    @property
    def previous(self) -> "Period":
        """环比: as many days just before."""
        days = (self.last - self.first).days + 1
        return Period(self.first - timedelta(days=days), self.first - timedelta(days=1))

    @property
    def year_before(self) -> "Period":
        """同比: the same days a year earlier."""
        return Period(_year_before(self.first), _year_before(self.last))

    def as_json(self) -> dict[str, str]:
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)


@dataclass(frozen=True, slots=True)
class Scope:
    """Who asks and for what. lanes: those the caller may see; districts: prefixes of his jurisdictions."""

    period: Period
    lanes: Sequence[str]
    jurisdictions: Sequence[str]
    district: str | None = None
    source: str | None = None

    def arguments(self, period: Period | None = None) -> dict[str, Any]:
        start, end = (period or self.period).bounds
        return {
            "start": start, "end": end, "lanes": list(self.lanes), "jurisdictions": list(self.jurisdictions),
            "district": self.district, "source": self.source,
        }  # fmt: skip


def period_of(first: date | None, last: date | None, *, days: int = 90) -> Period:
    end = last or local_day(datetime.now(UTC))
    start = first or (end - timedelta(days=days - 1) if end.year >= 2000 else end)
    for name, day in (("from", start), ("to", end)):
        if not 2000 <= day.year <= 2100:
            raise Invalid.field(name, "must lie between 2000 and 2100")
    if start > end:
        raise Invalid.field("from", "must not lie after to")
    return Period(start, end)


# Matters in scope, in every report the same.
_IN_SCOPE = """
  m.event_at >= :start AND m.event_at < :end AND m.lane = ANY(:lanes) AND m.copy_of IS NULL
  AND EXISTS (SELECT 1 FROM unnest(:jurisdictions) AS j WHERE starts_with(m.district, j))
  AND (CAST(:district AS text) IS NULL OR starts_with(m.district, CAST(:district AS text)))
  AND (CAST(:source AS text) IS NULL OR m.source = CAST(:source AS text))
"""
# The complainant of a matter: the one it is filed for, not an agent.
_PERSON = """
  LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
  LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
"""


async def _rows(connection: AsyncConnection, sql: str, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    statement = text(sql)
    arrays = [bindparam(n, type_=ARRAY(Text)) for n in ("lanes", "jurisdictions") if f":{n}" in sql]
    used = {k: v for k, v in arguments.items() if f":{k}" in sql}
    result = await connection.execute(statement.bindparams(*arrays), used)
    return [dict(r) for r in result.mappings()]


_INCIDENTS = f"""
WITH counted AS (
  SELECT im.incident_id, count(DISTINCT m.id) AS complaints, count(DISTINCT cm.complainant_id) AS people,
         count(DISTINCT m.id) FILTER (WHERE cm.complainant_id IS NULL) AS unidentified,
         min(m.event_at) AS first_at, max(m.event_at) AS last_at, sum(m.amount_fen) AS amount_fen,
         array_agg(DISTINCT m.district) FILTER (WHERE m.district IS NOT NULL) AS districts
  FROM incident_membership im JOIN matter m ON m.id = im.matter_id {_PERSON}
  WHERE im.valid_to IS NULL AND {_IN_SCOPE}
  GROUP BY im.incident_id HAVING count(DISTINCT cm.complainant_id) + count(*) FILTER (WHERE cm.complainant_id IS NULL) >= :minimum
)
SELECT i.id, i.title, i.state, i.scope, i.merchant_id, mc.name AS merchant, c.complaints, c.people, c.unidentified, c.first_at, c.last_at,
       c.amount_fen, c.districts, i.recurrence_of
FROM counted c JOIN incident i ON i.id = c.incident_id LEFT JOIN merchant mc ON mc.id = i.merchant_id
WHERE CAST(:state AS text) IS NULL OR i.state = CAST(:state AS text)
ORDER BY c.people DESC, c.complaints DESC, i.id LIMIT :limit
"""


async def incidents(
    connection: AsyncConnection, scope: Scope, *, minimum: int = 3, state: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """一事多人: incidents by distinct people in the period. previous_people and year_before_people compare the same
    incidents' people in those periods."""
    extra = {"minimum": minimum, "state": state, "limit": min(limit, MAX_ROWS)}
    rows = await _rows(connection, _INCIDENTS, {**scope.arguments(), **extra})
    ids = [r["id"] for r in rows]
    for name, period in (("previous_people", scope.period.previous), ("year_before_people", scope.period.year_before)):
        before = await _people_of(connection, scope, period, ids) if ids else {}
        for row in rows:
            row[name] = before.get(row["id"], 0)
    for row in rows:
        row["districts"] = [{"code": d, "name": region_name(d)} for d in row["districts"] or ()]
        row["first_at"], row["last_at"] = _local(row["first_at"]), _local(row["last_at"])
    return rows


async def _people_of(connection: AsyncConnection, scope: Scope, period: Period, ids: Sequence[Any]) -> dict[Any, int]:
    rows = await connection.execute(
        text(
            f"SELECT im.incident_id, count(DISTINCT cm.complainant_id) AS people FROM incident_membership im "
            f"JOIN matter m ON m.id = im.matter_id {_PERSON} WHERE im.incident_id = ANY(:ids) AND im.valid_to IS NULL AND {_IN_SCOPE} "
            "GROUP BY im.incident_id"
        ).bindparams(bindparam("lanes", type_=ARRAY(Text)), bindparam("jurisdictions", type_=ARRAY(Text))),
        {**scope.arguments(period), "ids": list(ids)},
    )
    return {r.incident_id: r.people for r in rows}


_REPEAT = f"""
SELECT cm.complainant_id AS id, count(DISTINCT m.id) AS complaints, count(DISTINCT m.merchant_id) AS merchants,
       count(DISTINCT im.incident_id) AS incidents, min(m.event_at) AS first_at, max(m.event_at) AS last_at,
       count(DISTINCT m.id) FILTER (WHERE m.state = 'withdrawn') AS withdrawn,
       count(DISTINCT m.id) FILTER (WHERE m.closed_at IS NULL) AS open, mode() WITHIN GROUP (ORDER BY m.problem) AS problem,
       array_agg(DISTINCT m.channel) AS channels, array_agg(DISTINCT m.district) FILTER (WHERE m.district IS NOT NULL) AS districts
FROM matter m {_PERSON.replace("LEFT JOIN", "JOIN")}
LEFT JOIN incident_membership im ON im.matter_id = m.id AND im.valid_to IS NULL AND im.is_primary
WHERE {_IN_SCOPE} GROUP BY cm.complainant_id HAVING count(DISTINCT m.id) >= :minimum
ORDER BY complaints DESC, last_at DESC, id LIMIT :limit
"""


async def repeat_complainants(
    connection: AsyncConnection, scope: Scope, *, minimum: int = 3, limit: int = 100
) -> list[dict[str, Any]]:
    """一人多次: people by complaints in the period. A high count is not an abuse: it may be an unsolved case."""
    rows = await _rows(connection, _REPEAT, {**scope.arguments(), "minimum": minimum, "limit": min(limit, MAX_ROWS)})
    copies = await connection.execute(
        text(
            "SELECT cm.complainant_id AS id, count(*) AS copies FROM matter m JOIN party p ON p.matter_id = m.id "
            "JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL "
            f"WHERE cm.complainant_id = ANY(:ids) AND {_IN_SCOPE.replace('m.copy_of IS NULL', 'm.copy_of IS NOT NULL')} GROUP BY 1"
        ).bindparams(bindparam("lanes", type_=ARRAY(Text)), bindparam("jurisdictions", type_=ARRAY(Text))),
        {**scope.arguments(), "ids": [r["id"] for r in rows]},
    )
    copied = {r.id: r.copies for r in copies}
    for row in rows:
        row["copies"] = copied.get(row["id"], 0)
        row["districts"] = [{"code": d, "name": region_name(d)} for d in row["districts"] or ()]
        row["first_at"], row["last_at"] = _local(row["first_at"]), _local(row["last_at"])
    return rows


_BY = {
    "none": "NULL::text", "goods": "m.goods", "problem": "m.problem", "district": "m.district", "channel": "m.channel",
    "lane": "m.lane", "kind": "m.kind", "source": "m.source", "track": "m.track",
}  # fmt: skip
_STEPS = ("day", "week", "month")


async def trends(connection: AsyncConnection, scope: Scope, *, step: str = "day", by: str = "none") -> dict[str, Any]:
    """Received over time and by a dimension; groups carry the previous period (环比) and the year before (同比)."""
    if step not in _STEPS:
        raise Invalid.field("step", f"must be one of {', '.join(_STEPS)}")
    if by not in _BY:
        raise Invalid.field("by", f"must be one of {', '.join(_BY)}")
    column = _BY[by]
    series = await _rows(
        connection,
        f"SELECT date_trunc('{step}', m.event_at AT TIME ZONE 'Asia/Shanghai')::date AS start, {column} AS name, count(*) AS received, "
        f"count(DISTINCT cm.complainant_id) AS people FROM matter m {_PERSON} WHERE {_IN_SCOPE} GROUP BY 1, 2 ORDER BY 1, 2",
        scope.arguments(),
    )
    grouped = f"SELECT {column} AS name, count(DISTINCT m.id) AS received FROM matter m WHERE {_IN_SCOPE} GROUP BY 1"
    now, previous, year = [
        {r["name"]: r["received"] for r in await _rows(connection, grouped, scope.arguments(p))}
        for p in (scope.period, scope.period.previous, scope.period.year_before)
    ]
    groups = [
        {
            "name": name, "label": region_name(name) if by == "district" else name, "received": now.get(name, 0),
            "previous": previous.get(name, 0), "change": _change(now.get(name, 0), previous.get(name, 0)),
            "year_before": year.get(name, 0), "year_change": _change(now.get(name, 0), year.get(name, 0)),
        }
        for name in sorted(now.keys() | previous.keys(), key=lambda n: (-now.get(n, 0), str(n)))
    ]  # fmt: skip
    return {"step": step, "by": by, "series": series, "groups": groups}


def _change(now: int, before: int) -> float | None:
    """Relative to before; None where there was nothing to compare with."""
    return round((now - before) / before, 4) if before else None


_TRACKS = f"""
SELECT m.track, count(*) AS received, count(*) FILTER (WHERE m.closed_at IS NOT NULL) AS closed,
       count(*) FILTER (WHERE m.state = 'agreed') AS agreed, count(*) FILTER (WHERE m.state = 'terminated') AS terminated,
       count(*) FILTER (WHERE m.state = 'withdrawn') AS withdrawn,
       count(*) FILTER (WHERE m.state IN ('agreed', 'terminated')) AS mediated,
       count(*) FILTER (WHERE late.matter_id IS NOT NULL) AS overdue,
       sum(m.recovered_fen) AS recovered_fen,
       round(avg(extract(epoch FROM m.closed_at - m.received_at) / 86400) FILTER (WHERE m.closed_at IS NOT NULL)::numeric, 2) AS days_to_close
FROM matter m
LEFT JOIN LATERAL (
  SELECT c.matter_id FROM clock c WHERE c.matter_id = m.id AND c.due_at < coalesce(c.paused_at, c.stopped_at, clock_timestamp()) LIMIT 1
) late ON true
WHERE {_IN_SCOPE} AND NOT m.history GROUP BY m.track ORDER BY m.track
"""


async def tracks(connection: AsyncConnection, scope: Scope) -> list[dict[str, Any]]:
    """What each track received and what became of it. success_rate = agreed / (agreed + terminated)."""
    rows = await _rows(connection, _TRACKS, scope.arguments())
    before = {r["track"]: r["received"] for r in await _rows(connection, _TRACKS, scope.arguments(scope.period.previous))}
    year = {r["track"]: r["received"] for r in await _rows(connection, _TRACKS, scope.arguments(scope.period.year_before))}
    total = sum(r["received"] for r in rows)
    for row in rows:
        row["share"] = round(row["received"] / total, 4)
        row["success_rate"] = round(row["agreed"] / row["mediated"], 4) if row["mediated"] else None
        row["previous"], row["year_before"] = before.get(row["track"], 0), year.get(row["track"], 0)
        row["recovered_fen"] = int(row["recovered_fen"] or 0)
        row["days_to_close"] = float(row["days_to_close"]) if row["days_to_close"] is not None else None
    return rows


_ASKED_BY = {"none": "'all'", "district": "m.district", "ending": "k.ending"}
_SATISFACTION = f"""
SELECT {{column}} AS name, count(*) AS due, count(*) FILTER (WHERE k.state = 'open') AS waiting,
       count(*) FILTER (WHERE k.state IN ('done', 'unreachable')) AS asked, count(*) FILTER (WHERE k.state = 'done') AS reached,
       count(*) FILTER (WHERE k.satisfied IN ('very', 'yes')) AS satisfied, count(*) FILTER (WHERE k.satisfied = 'neutral') AS neutral,
       count(*) FILTER (WHERE k.satisfied = 'no') AS dissatisfied, count(*) FILTER (WHERE k.performed = 'yes') AS performed,
       count(*) FILTER (WHERE k.performed IN ('yes', 'partly', 'no')) AS performance_due
FROM callback k JOIN matter m ON m.id = k.matter_id
WHERE k.state <> 'lapsed' AND k.cause = 'ended' AND {_IN_SCOPE.replace("m.event_at", "k.opened_at")} GROUP BY 1 ORDER BY 1
"""


async def satisfaction(connection: AsyncConnection, scope: Scope, *, by: str = "district") -> list[dict[str, Any]]:
    """回访满意度: what complainants said of complaints that ended in the period. The rates of the previous period and the year before beside."""
    if by not in _ASKED_BY:
        raise Invalid.field("by", f"must be one of {', '.join(_ASKED_BY)}")
    sql = _SATISFACTION.format(column=_ASKED_BY[by])
    rows = await _rows(connection, sql, scope.arguments())
    for row in rows:
        row["label"] = region_name(row["name"]) if by == "district" else None
        row["reach_rate"] = _share(row["reached"], row["asked"])
        row["satisfaction_rate"] = _share(row["satisfied"], row["reached"])
        row["performance_rate"] = _share(row["performed"], row["performance_due"])
    for name, period in (("previous", scope.period.previous), ("year_before", scope.period.year_before)):
        then = {r["name"]: _share(r["satisfied"], r["reached"]) for r in await _rows(connection, sql, scope.arguments(period))}
        for row in rows:
            row[f"{name}_satisfaction_rate"] = then.get(row["name"])
    return rows


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def cell(value: Any) -> Any:
    """A value for a CSV or XLSX cell: what a spreadsheet would take for a formula is quoted, control characters go."""
    if not isinstance(value, str):
        return value
    clean = _UNPRINTABLE.sub("", value)
    return "'" + clean if clean[:1] in tuple("=+-@\t\r") else clean


DEFINITIONS = {
    "incidents": "people：期间内该事件中不同投诉人数（关联后去重）；unidentified：没有身份信息、无法归人的件数；重复件（R1）不计",
    "repeat-complainants": "complaints：同一人期间内的件数（重复件不计，另列copies）；次数多不等于滥用投诉",
    "trends": "received：期间内收到的事项数（一信两诉按两件）；change＝（本期−上期）÷上期；year_change与上年同期比",
    "tracks": "success_rate＝达成协议÷（达成协议＋终止调解）；overdue：任一法定期限已过而未停止的件数；历史导入不计",
    "satisfaction": "按办结之日计入期间；due：抽中回访的件数（重新办理而不再回访的、办结后再次投诉而回访的不计）；asked：已联系（reached＋多次联系未果）；"
    "reached：接受回访；satisfied：非常满意或者满意；satisfaction_rate＝satisfied÷reached；reach_rate＝reached÷asked；"
    "performance_rate＝已履行÷（已履行＋部分履行＋未履行），履行期未到的不计；各类办理结果抽取比例不同，合计不代表全部办结件，应按ending分看",
}


def _local(moment: datetime | None) -> str | None:
    return moment.astimezone(SHANGHAI).isoformat(timespec="seconds") if moment else None
