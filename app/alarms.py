"""Alarms of starving queues: a queue's part in a district where nobody pulls what is due, or where work waits too long for its term.

An alarm is opened once, seen again while it lasts, closed by itself when it is over. Nobody's work is moved by it: a person looks. How long
is too long is data (data/alarms.json), a design choice and no law.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any

from app import audit
from app.calendar import SHANGHAI, Calendar, limits, local_day, start_of_day
from app.codes import region_name, shipped
from app.database import Connection, to_json
from app.errors import Conflict, NotFound
from app.identity import Principal, new_id

KINDS = {
    "unclaimed": "今天到期或者已超期，上班时间{hours:g}小时内无人领取",
    "waiting": "等待时间已过其期限的{share:.0%}，仍从未被领取",
}
_ONE_DAY = timedelta(days=1)
# A calendar of rest days only would be looked through for ever.
_FARTHEST = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Rules:
    """hours: of a working day, in Shanghai. unclaimed: of working time. share: of the time from a work item's entry to the end of its term."""

    unclaimed: timedelta
    share: float
    hours: tuple[tuple[time, time], ...]


@lru_cache(maxsize=1)
def rules() -> Rules:
    raw = shipped("alarms")
    hours = tuple((time.fromisoformat(a), time.fromisoformat(b)) for a, b in raw["office_hours"]["value"])
    return Rules(timedelta(hours=raw["unclaimed_working_hours"]["value"]), float(raw["waited_share"]["value"]), hours)


def working_time_before(now: datetime, span: timedelta, calendar: Calendar, hours: Sequence[tuple[time, time]]) -> datetime:
    """The latest moment from which until now there is that much working time."""
    day = local_day(now)
    while start_of_day(day) > now - _FARTHEST:
        for first, last in sorted(hours, reverse=True) if calendar.is_working(day) else ():
            begins = datetime.combine(day, first, SHANGHAI)
            ends = min(datetime.combine(day, last, SHANGHAI), now)
            if ends > begins:
                if ends - begins >= span:
                    return ends - span
                span -= ends - begins
        day -= _ONE_DAY
    return now - _FARTHEST


# Where something red waits for long enough: {queue_id, district}, with what lies ready there. Red: due before $1. Nobody claimed since $2.
# It was red, and there, since the beginning of the day it is due, or since it came.
_UNCLAIMED = """
WITH red AS (
  SELECT w.queue_id, w.district, w.due_at, w.enqueued_at FROM work_item w
  WHERE w.finished_at IS NULL AND w.due_at < $1 AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.unit_id = w.unit_id)
), pulled AS (
  SELECT w.queue_id, w.district FROM lease l JOIN work_item w ON w.unit_id = l.unit_id AND w.finished_at IS NULL WHERE l.claimed_at >= $2
  UNION SELECT coalesce(e.detail ->> 'from', w.queue_id), coalesce(e.detail ->> 'place', w.district)
  FROM work_event e JOIN work_item w ON w.id = e.work_item_id
  WHERE e.at >= $2 AND e.token IS NOT NULL AND (e.detail ->> 'claimed_at')::timestamptz >= $2
)
SELECT queue_id, district, count(*) AS items, count(*) FILTER (WHERE due_at < $3) AS overdue, min(due_at) AS due_at, min(enqueued_at) AS enqueued_at
FROM red WHERE NOT EXISTS (SELECT 1 FROM pulled p WHERE p.queue_id = red.queue_id AND p.district = red.district)
GROUP BY 1, 2
HAVING min(greatest(enqueued_at, date_trunc('day', due_at, 'Asia/Shanghai'))) <= $2
"""
# Never claimed, and waiting for longer than the share $2 of the time it had when it came. LIMIT: a look for each of them, not at all events.
_WAITING = """
WITH late AS MATERIALIZED (
  SELECT w.id, w.queue_id, w.district, w.due_at, w.enqueued_at FROM work_item w
  WHERE w.finished_at IS NULL AND w.due_at IS NOT NULL AND $1 - w.enqueued_at > $2::float8 * (w.due_at - w.enqueued_at)
    AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.unit_id = w.unit_id)
)
SELECT queue_id, district, count(*) AS items, count(*) FILTER (WHERE due_at < $1) AS overdue, min(due_at) AS due_at, min(enqueued_at) AS enqueued_at
FROM late LEFT JOIN LATERAL (SELECT true AS claimed FROM work_event e WHERE e.work_item_id = late.id AND e.token IS NOT NULL LIMIT 1) e ON true
WHERE e.claimed IS NULL GROUP BY 1, 2
"""
_SEEN = """
WITH seen AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) AS s(id, queue_id, district, kind, figures)
), closed AS (
  UPDATE queue_alarm a SET closed_at = $6 WHERE a.closed_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.queue_id = a.queue_id AND s.district = a.district AND s.kind = a.kind) RETURNING a.id
), shown AS (
  INSERT INTO queue_alarm AS a (id, queue_id, district, kind, figures, opened_at, last_seen_at)
  SELECT id, queue_id, district, kind, figures::jsonb, $6, $6 FROM seen
  ON CONFLICT (queue_id, district, kind) WHERE closed_at IS NULL DO UPDATE SET figures = excluded.figures, last_seen_at = excluded.last_seen_at
  RETURNING a.opened_at = $6 AS fresh
)
SELECT (SELECT count(*) FROM shown WHERE fresh) AS opened, (SELECT count(*) FROM closed) AS closed
"""


async def watch(connection: Connection, calendar: Calendar, now: datetime) -> tuple[int, int]:
    """Looks at all queues; gives how many alarms it opened and closed. Inside a transaction, one at a time."""
    rule = rules()
    since = working_time_before(now, rule.unclaimed, calendar, rule.hours)
    found = [("unclaimed", r) for r in await connection.fetch(_UNCLAIMED, limits(now, calendar)[0], since, now)]
    found += [("waiting", r) for r in await connection.fetch(_WAITING, now, rule.share)]
    figures = [to_json({k: r[k] for k in ("items", "overdue", "due_at", "enqueued_at")}) for _, r in found]
    row = await connection.fetchrow(
        _SEEN, [new_id() for _ in found], [r["queue_id"] for _, r in found], [r["district"] for _, r in found], [kind for kind, _ in found],
        figures, now,
    )  # fmt: skip
    return row["opened"], row["closed"]


_COLUMNS = "a.id, a.queue_id, q.name, a.district, a.kind, a.figures, a.opened_at, a.last_seen_at, a.closed_at, a.acknowledged_by, a.acknowledged_at, a.note"


async def alarms(
    connection: Connection, principal: Principal, *, running: bool, after: tuple[datetime, uuid.UUID] | None, limit: int
) -> list[dict[str, Any]]:
    """Of the caller's places, newest first. figures: items, overdue, the first due_at and enqueued_at among them, as last seen."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM queue_alarm a JOIN queue q ON q.id = a.queue_id "
        "WHERE (NOT $1 OR a.closed_at IS NULL) AND a.district ^@ ANY($2::text[]) "
        "AND ($3::timestamptz IS NULL OR (a.opened_at, a.id) < ($3, $4::uuid)) ORDER BY a.opened_at DESC, a.id DESC LIMIT $5",
        running, list(principal.jurisdictions), *(after or (None, None)), limit,
    )  # fmt: skip
    return [_shown(r) for r in rows]


def _shown(row: Any) -> dict[str, Any]:
    """With the times among its figures as times: as text they would be told in UTC."""
    times = {k: datetime.fromisoformat(row["figures"][k]) for k in ("due_at", "enqueued_at") if row["figures"].get(k)}
    rule = rules()
    label = KINDS[row["kind"]].format(hours=rule.unclaimed.total_seconds() / 3600, share=rule.share)
    return {**dict(row), "figures": {**row["figures"], **times}, "label": label, "district_name": region_name(row["district"])}


async def acknowledge(
    connection: Connection, alarm_id: uuid.UUID, principal: Principal, note: str | None, now: datetime
) -> dict[str, Any]:
    """A named person has seen to it; it closes by itself when it is over. A second person learns who was first."""
    principal.require_person("acknowledge")
    row = await connection.fetchrow("SELECT * FROM queue_alarm WHERE id = $1 FOR UPDATE", alarm_id)
    if row is None or not principal.covers(row["district"]):
        raise NotFound("no such alarm")
    if row["acknowledged_by"] not in (None, principal.subject):
        raise Conflict(f"already acknowledged by {row['acknowledged_by']}")
    if row["acknowledged_by"] is None:
        if row["closed_at"] is not None:
            raise Conflict("it is over already")
        row = await connection.fetchrow(
            "UPDATE queue_alarm SET acknowledged_by = $2, acknowledged_at = $3, note = $4 WHERE id = $1 RETURNING *",
            alarm_id, principal.subject, now, note,
        )  # fmt: skip
        await audit.record(connection, principal.subject, "acknowledge", "queue_alarm", [alarm_id])
    return _shown(row)


async def gauges(connection: Connection, calendar: Calendar, now: datetime) -> tuple[dict[str, float], dict[str, float]]:
    """For the metrics, by queue: open alarms; seconds since the first open item that is red was due (below nothing: until it is)."""
    running = await connection.fetch("SELECT queue_id, count(*) AS n FROM queue_alarm WHERE closed_at IS NULL GROUP BY 1")
    red = await connection.fetch(
        "SELECT queue_id, min(due_at) AS due_at FROM work_item WHERE finished_at IS NULL AND due_at < $1 GROUP BY 1",
        limits(now, calendar)[0],
    )
    return {r["queue_id"]: r["n"] for r in running}, {r["queue_id"]: (now - r["due_at"]).total_seconds() for r in red}
