"""What rises faster than chance: a merchant, product, lot, district or problem with more people than its own usual share of
everything. Statistics only: a burst says that somebody should look, not that anybody did wrong.

Counted are distinct people of the lane complaint, copies (R1) apart, by day of receipt in Asia/Shanghai; each once per series
within the longest window, so that nobody is many. Reports are left out whole: a burst is shown to callers who may not learn that
they exist (Art. 37). The technique, its threshold and what its figures mean: ml.bursts.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

from app import audit
from app.calendar import SHANGHAI, local_day
from app.codes import region_name
from app.database import Connection
from app.errors import NotFound
from app.identity import Principal, new_id

if TYPE_CHECKING:
    from ml.bursts import Burst, Counts, Parameters

KINDS = ("merchant", "product", "lot", "district", "problem")
_MOST_INCIDENTS = 10
_MOST_AT_ONCE = 500

# Merged merchants to the one that stands for them.
_HOME = """
RECURSIVE merged (id, home) AS (
  SELECT id, merged_into FROM merchant WHERE merged_into IS NOT NULL
  UNION SELECT merged.id, m.merged_into FROM merged JOIN merchant m ON m.id = merged.home WHERE m.merged_into IS NOT NULL
), home AS (
  SELECT merged.id, merged.home FROM merged JOIN merchant m ON m.id = merged.home WHERE m.merged_into IS NULL
)
"""
# What is counted, and therefore what is shown of a burst. Days are numbered as by date.toordinal.
_DAY = "((m.received_at AT TIME ZONE 'Asia/Shanghai')::date - date '0001-01-01' + 1)"
_MATTER = "matter m LEFT JOIN home ON home.id = m.merchant_id"
_COUNTS = "m.lane = 'complaint' AND m.copy_of IS NULL"
_SERIES = """
(VALUES ('merchant', coalesce(home.home, m.merchant_id)::text), ('product', m.product_token::text), ('lot', m.lot_token::text),
        ('district', m.district), ('problem', m.problem)) AS series (kind, key)
"""


# -- what the worker finds


# One row a series, its days and people as pairs of big-endian integers: half a million rows would cost more than all the rest.
# A letter without identity is one person. Where no place was found the deployment's own code stands: no district. Sorting is what
# takes time, so people come first, as numbers and in order, and each kind's keys in their own type.
_GATHER = f"""
WITH {_HOME}, seen AS MATERIALIZED (
  SELECT {_DAY} AS day, uuid_hash_extended(coalesce(cm.complainant_id, m.letter_id), 0) AS person, coalesce(home.home, m.merchant_id) AS merchant,
         m.product_token AS product, m.lot_token AS lot, nullif(m.district, $4) COLLATE "C" AS district, m.problem COLLATE "C" AS problem
  FROM {_MATTER}
  LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
  LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  WHERE {_COUNTS} AND m.received_at >= $1 AND m.received_at < $2 ORDER BY person, day
)
SELECT 'total' AS kind, '' AS key, string_agg(int4send(day) || int4send(people), '') AS days
FROM (SELECT day, count(*)::int AS people FROM (SELECT DISTINCT person, day FROM seen) AS present GROUP BY day) AS daily
""" + "".join(
    f"""
UNION ALL SELECT '{kind}', {kind}::text, string_agg(int4send(day) || int4send(people), '') FROM (
  SELECT {kind}, day, count(*)::int AS people FROM (
    SELECT {kind}, day, day - lag(day) OVER (PARTITION BY person, {kind} ORDER BY day) AS since FROM seen WHERE {kind} IS NOT NULL
  ) AS appearance WHERE since IS NULL OR since >= $3 GROUP BY {kind}, day
) AS daily GROUP BY {kind}"""
    for kind in KINDS
)
_KNOWN = f"""
WITH {_HOME}
SELECT b.*, coalesce(home.home::text, b.key) AS root FROM burst b
LEFT JOIN home ON b.kind = 'merchant' AND home.id::text = b.key
WHERE b.last_on IS NULL OR b.last_on >= $1 ORDER BY b.found_at, b.id
"""
_TELL = """
INSERT INTO burst (id, kind, key, first_on, found_on, last_on, window_days, people, expected, log10_tail, log10_threshold,
                   base_per_day, factor, shape, new_series, false_alarms_per_month)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (kind, key, first_on) DO NOTHING
"""


async def watch(connection: Connection, now: datetime, *, unplaced: str) -> int | None:
    """Finds what rises and ends what is over; gives how many are new. Call in a transaction: one worker at a time, None when
    another is at it. unplaced: the district of matters whose place nobody knows."""
    from ml.bursts import Parameters

    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('bursts'))"):
        return None
    parameters, today = Parameters(), local_day(now)
    first = today - timedelta(days=parameters.history_days)
    bounds = _bounds(first, today)
    await connection.execute("SET LOCAL work_mem = '128MB'")
    rows = await connection.fetch(_GATHER, *bounds, max(parameters.windows_days), unplaced)
    known, running = [], defaultdict(list)
    for row in await connection.fetch(_KNOWN, first):
        known.append(_from_row(row, today))
        if row["last_on"] is None:
            running[row["kind"], row["root"]].append(row["id"])
    found = await asyncio.to_thread(_find, rows, today.toordinal(), parameters, _apart(known))
    new = 0
    for burst in found:
        if ids := running.get((burst.kind, str(burst.key))):
            if burst.last_day is not None:
                await connection.execute(
                    "UPDATE burst SET last_on = greatest(first_on, $2) WHERE id = ANY($1)", ids, date.fromordinal(burst.last_day)
                )
            continue
        status: str = await connection.execute(
            _TELL, new_id(), burst.kind, burst.key, date.fromordinal(burst.first_day), date.fromordinal(burst.found_day), None,
            burst.window_days, burst.seen, burst.expected, burst.log10_tail, burst.log10_threshold, burst.base_per_day,
            burst.factor, burst.shape, burst.new, parameters.false_alarms_per_month,
        )  # fmt: skip
        new += status == "INSERT 0 1"
    return new


def _bounds(first: date, last: date) -> tuple[datetime, datetime]:
    """Both days included."""
    begins, ends = (datetime.combine(d, time.min, SHANGHAI).astimezone(UTC) for d in (first, last + timedelta(days=1)))
    return begins, ends


def _find(rows: Sequence[Any], today: int, parameters: "Parameters", known: "Sequence[Burst]") -> "list[Burst]":
    from ml.bursts import find

    total, *counts = (_counts([r for r in rows if r["kind"] == kind and r["days"]]) for kind in ("total", *KINDS))
    totals = dict(zip(total.days.tolist(), total.people.tolist(), strict=True))
    return find(dict(zip(KINDS, counts, strict=True)), totals, today, parameters, known)


def _counts(rows: Sequence[Any]) -> "Counts":
    import numpy as np

    from ml.bursts import Counts

    table = np.frombuffer(b"".join(r["days"] for r in rows), ">i4").astype(np.int64).reshape(-1, 2)
    series = np.repeat(np.arange(len(rows), dtype=np.int64), [len(r["days"]) // 8 for r in rows])
    return Counts([r["key"] for r in rows], series, table[:, 0], table[:, 1])


def _from_row(row: Any, today: date) -> "Burst":
    """As the technique knows it. A merchant merged since stands under the one it was merged into."""
    from ml.bursts import Burst

    return Burst(
        row["kind"], row["root"], row["first_on"].toordinal(), row["found_on"].toordinal(),
        min(row["last_on"], today).toordinal() if row["last_on"] else None, row["window_days"], row["people"], row["expected"],
        row["log10_tail"], row["log10_threshold"], row["base_per_day"], row["factor"], row["shape"], row["new_series"],
    )  # fmt: skip


def _apart(known: "Sequence[Burst]") -> "list[Burst]":
    """The technique takes each day of a series as in one burst at most. Those of merchants merged since may overlap: the elder then
    lasts as long as both."""
    told: list[Burst] = []
    for burst in sorted(known, key=lambda b: (b.kind, str(b.key), b.first_day)):
        last = told[-1] if told else None
        if (
            last
            and (last.kind, last.key) == (burst.kind, burst.key)
            and (last.last_day is None or burst.first_day <= last.last_day)
        ):
            ends = None if last.last_day is None or burst.last_day is None else max(last.last_day, burst.last_day)
            told[-1] = replace(last, last_day=ends, found_day=max(last.found_day, burst.found_day))
        else:
            told.append(burst)
    return told


# -- what people read


_LIST = f"""
WITH {_HOME}
SELECT b.*, mc.id AS merchant_id, mc.name AS merchant FROM burst b
LEFT JOIN home ON b.kind = 'merchant' AND home.id::text = b.key
LEFT JOIN merchant mc ON mc.id = CASE b.kind WHEN 'merchant' THEN coalesce(home.home, b.key::uuid) END
WHERE (CAST(:kind AS text) IS NULL OR b.kind = CAST(:kind AS text)) AND (b.last_on IS NULL OR NOT CAST(:running AS boolean))
  AND b.found_on BETWEEN coalesce(CAST(:first AS date), '-infinity') AND coalesce(CAST(:last AS date), 'infinity')
  AND (CAST(:id AS uuid) IS NULL OR b.id = CAST(:id AS uuid))
  AND (CAST(:after AS timestamptz) IS NULL OR (b.found_at, b.id) < (CAST(:after AS timestamptz), CAST(:after_id AS uuid)))
ORDER BY b.found_at DESC, b.id DESC LIMIT :limit
"""
# By burst, and by burst and incident: matters of the caller's places. One pass over the matters for all bursts of a page.
_MATTERS = f"""
WITH {_HOME}, listed AS (
  SELECT b.id, b.kind, coalesce(home.home::text, b.key) AS key, b.first_on, coalesce(b.last_on, date 'infinity') AS last_on
  FROM burst b LEFT JOIN home ON b.kind = 'merchant' AND home.id::text = b.key WHERE b.id = ANY(:ids)
), own AS (
  SELECT listed.id AS burst_id, m.id AS matter_id FROM {_MATTER} CROSS JOIN LATERAL {_SERIES}
  JOIN listed ON listed.kind = series.kind AND listed.key = series.key
    AND (m.received_at AT TIME ZONE 'Asia/Shanghai')::date BETWEEN listed.first_on AND listed.last_on
  WHERE {_COUNTS} AND m.received_at >= :start AND m.received_at < :end
    AND EXISTS (SELECT 1 FROM unnest(:jurisdictions) AS j WHERE starts_with(m.district, j))
)
SELECT own.burst_id, i.id, i.title, i.state, grouping(i.id) = 1 AS whole, count(DISTINCT own.matter_id) AS complaints
FROM own LEFT JOIN incident_membership im ON im.matter_id = own.matter_id AND im.valid_to IS NULL
LEFT JOIN incident i ON i.id = im.incident_id
GROUP BY GROUPING SETS ((own.burst_id), (own.burst_id, i.id, i.title, i.state)) ORDER BY complaints DESC, i.id
"""


async def alerts(
    connection: AsyncConnection, *, jurisdictions: Sequence[str], limit: int, kind: str | None = None, running: bool = False,
    first: date | None = None, last: date | None = None, after: tuple[datetime, uuid.UUID] | None = None, id: uuid.UUID | None = None,
) -> tuple[list[dict[str, Any]], bool]:  # fmt: skip
    """Bursts with a matter in the caller's places, newest first, and whether there are more. first, last: days of finding."""
    shown: list[dict[str, Any]] = []
    size = limit + 1
    while len(shown) <= limit:
        arguments = {
            "kind": kind, "running": running, "first": first, "last": last, "id": id, "limit": size,
            "after": after[0] if after else None, "after_id": after[1] if after else None,
        }  # fmt: skip
        page = (await connection.execute(text(_LIST), arguments)).mappings().all()
        if page:
            own = await _matters(connection, page, jurisdictions)
            shown += [_told(row, own[row["id"]]) for row in page if row["id"] in own]
        if len(page) < size:
            break
        after, size = (page[-1]["found_at"], page[-1]["id"]), min(2 * size, _MOST_AT_ONCE)
    return shown[:limit], len(shown) > limit


async def _matters(
    connection: AsyncConnection, bursts: Sequence[Mapping[Any, Any]], jurisdictions: Sequence[str]
) -> dict[uuid.UUID, list[Mapping[Any, Any]]]:
    today = local_day(datetime.now(UTC))
    start, end = _bounds(min(b["first_on"] for b in bursts), max(b["last_on"] or today for b in bursts))
    statement = text(_MATTERS).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("jurisdictions", type_=ARRAY(Text)))
    arguments = {"ids": [b["id"] for b in bursts], "start": start, "end": end, "jurisdictions": list(jurisdictions)}
    of: dict[uuid.UUID, list[Mapping[Any, Any]]] = defaultdict(list)
    for row in (await connection.execute(statement, arguments)).mappings():
        of[row["burst_id"]].append(row)
    return of


def _told(row: Mapping[Any, Any], matters: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    incidents = [
        {"id": m["id"], "title": m["title"], "state": m["state"], "complaints": m["complaints"]} for m in matters if m["id"]
    ]
    # No plain text is stored of a product or a lot: what most of its matters are about says what it is.
    name = {"merchant": row["merchant"], "district": region_name(row["key"]), "problem": row["key"]}.get(
        row["kind"], incidents[0]["title"] if incidents else None
    )
    return {
        "id": row["id"], "kind": row["kind"], "key": row["key"], "name": name, "merchant_id": row["merchant_id"],
        "first_on": row["first_on"], "found_on": row["found_on"], "last_on": row["last_on"], "found_at": row["found_at"],
        "window_days": row["window_days"], "people": row["people"], "expected": _figure(row["expected"]),
        "log10_tail": _figure(row["log10_tail"]), "log10_threshold": _figure(row["log10_threshold"]),
        "base_per_day": _figure(row["base_per_day"]), "factor": _figure(row["factor"]), "new_series": row["new_series"],
        "false_alarms_per_month": _figure(row["false_alarms_per_month"]), "sentence": sentence(row),
        "complaints": next(m["complaints"] for m in matters if m["whole"]), "incidents": incidents[:_MOST_INCIDENTS],
        "seen_by": row["seen_by"], "seen_at": row["seen_at"],
    }  # fmt: skip


def _figure(value: float) -> float:
    """A REAL as it reads: four digits that mean something."""
    return float(f"{value:.4g}")


def sentence(row: Mapping[Any, Any]) -> str:
    """What a reader of Chinese is told: what was seen, what is usual, and how often such an alert is wrong."""
    days, expected, factor = row["window_days"], row["expected"], row["factor"]
    within = "当日" if days == 1 else f"{days}日内"
    usual = "不足0.1" if expected < 0.1 else f"{expected:.1f}" if expected < 100 else f"{expected:.0f}"
    before = "，此前未见投诉" if row["new_series"] else ""
    whole = f"（已计入同期投诉总量为平日的{factor:.1f}倍）" if factor >= 1.3 else ""
    return f"{within}{row['people']}人投诉{before}，按往常应有{usual}人{whole}；此类误报全库每月不超过{row['false_alarms_per_month']:g}次"


async def see(connection: Connection, burst_id: uuid.UUID, principal: Principal, note: str | None) -> dict[str, Any]:
    """Somebody has looked; the first one stays. The caller has made sure that he may see it. The note is kept with the act."""
    principal.require_person("have looked")
    row = await connection.fetchrow(
        "UPDATE burst SET seen_by = coalesce(seen_by, $2), seen_at = coalesce(seen_at, clock_timestamp()) WHERE id = $1 "
        "RETURNING id, seen_by, seen_at",
        burst_id, principal.subject,
    )  # fmt: skip
    if row is None:
        raise NotFound("no such alert")
    await audit.record(connection, principal.subject, "see", "burst", [burst_id], purpose=note or "", lane="complaint")
    return dict(row)
