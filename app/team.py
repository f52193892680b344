"""What supervisors read of their people's work: how much lies where and with whom, and which items are behind a figure. SELECT only, each
figure with its definition and the moment it is true for.

Counted are items: one matter is one item, the members of a joint matter are as many. Supervisors may know of reports; who else may ask is
the door's to say.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app import queues, staff
from app.calendar import LITTLE_LEFT, Calendar, light, limits, local_day, start_of_day
from app.codes import region_name
from app.database import Connection
from app.errors import NotFound
from app.identity import Principal

LIGHTS = ("green", "yellow", "red", "grey")
STATES = ("ready", "leased", "held")
# In a list ordered by term, where what has none stands.
_LAST = datetime(2199, 12, 31, tzinfo=UTC)
# Whose work this is.
_ROLES = ("mediator", "supervisor", "intake")

DEFINITIONS = {
    "items": "各数均为工作项数：一个事项一项，共同投诉按其成员件数计",
    "ready": "未办结且现在无人持有的件数", "leased": "现在由某人办理中的件数", "held": "由某人持有、因鉴定、约见、等待答复等搁置的件数",
    "overdue": "未办结且期限已过的件数", "due_today": "未办结且期限在今天（北京时间）、尚未过的件数",
    "lights": "red：今天到期或者已超期；yellow：剩余时间不多（与各期限灯号同一规则）；green：其余；grey：没有正在计算的期限（中止或者无期限）",
    "oldest_waiting_at": "现在无人持有的各件中，最早进入队列的时间",
    "flagged_escalated": "未办结、已升级到最后一级待主管处理（标记escalated）的件数", "urged": "未办结、被催办过的件数", "supervised": "未办结、被督办过的件数",
    "claimed": "期间内被领取或者被分派给人的次数（每件每次计一）", "finished": "期间内由办理人办结的件数（后来重开的仍计）",
    "returned": "期间内退回统一接收机构的件数（第四十一条）", "transferred": "期间内转给其他队列或者同事的件数", "expired": "期间内因到时未续而收回的件数",
    "escalated": "期间内被升级的件数", "today": "今天零时（北京时间）起", "days_7": "今天在内的7个自然日", "days_30": "今天在内的30个自然日",
    "place": "期间内的数计在办理时所在的队列和地区，其余计在现在所在的队列和地区", "resting": "本人持有而搁置的件数", "oldest_claim_at": "本人现有各件中最早的领取时间",
    "outcomes": "按结果分的办结件数", "recovered_fen": "办结时登记的挽回金额之和，单位分",
    "absence": "正在或者将要开始的请假及代理人", "people": "在所问地区有工作权限的自然人，以及现在持有工作项或者期间内有记录的人",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """Who looks at what, and when. places: prefixes of region codes, his own or the part he asks for; queue: None is all."""

    places: tuple[str, ...]
    queue: str | None
    now: datetime

    @property
    def whole(self) -> list[Any]:
        return [list(self.places), self.queue]

    def since(self, days: int) -> datetime:
        """The first moment of that many days, today included."""
        return start_of_day(local_day(self.now) - timedelta(days=days - 1))


async def view(connection: Connection, principal: Principal, *, district: str | None, queue: str | None) -> View:
    """Raises NotFound for a queue that does not exist, Forbidden for a district that is not his."""
    if queue is not None and not await connection.fetchval("SELECT true FROM queue WHERE id = $1", queue):
        raise NotFound(f"no queue {queue}")
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return View(queues.within(principal, district), queue, now)


# Of an item or an event: in the view. $1: places, $2: queue or null.
_IN_VIEW = "{district} ^@ ANY($1::text[]) AND ($2::text IS NULL OR {queue} = $2::text)"
_OPEN_IN_VIEW = f"w.finished_at IS NULL AND {_IN_VIEW.format(district='w.district', queue='w.queue_id')}"

# -- by place

_LOAD = f"""
SELECT w.queue_id, w.district, count(*) AS open, count(*) FILTER (WHERE l.unit_id IS NULL) AS ready,
       count(*) FILTER (WHERE l.unit_id IS NOT NULL AND l.held_for IS NULL) AS leased, count(l.held_for) AS held,
       count(*) FILTER (WHERE w.due_at < $3) AS overdue, count(*) FILTER (WHERE w.due_at >= $3 AND w.due_at < $4) AS due_today,
       count(*) FILTER (WHERE w.due_at >= $4 AND w.due_at < $5) AS soon, count(*) FILTER (WHERE w.due_at IS NULL) AS grey,
       min(w.enqueued_at) FILTER (WHERE l.unit_id IS NULL) AS oldest_waiting_at
FROM work_item w LEFT JOIN lease l ON l.unit_id = w.unit_id AND l.until > $3 WHERE {_OPEN_IN_VIEW} GROUP BY 1, 2
"""
_SHORT = LITTLE_LEFT.format(now="$3", share="$5::float8")
# Not due as soon as to be yellow for that, but with little left of a long term.
_OF_LONG_TERMS = f"""
WITH short AS MATERIALIZED (
  SELECT DISTINCT matter_id, due_at FROM clock c WHERE stopped_at IS NULL AND paused_at IS NULL AND due_at >= $4 AND {_SHORT}
)
SELECT w.queue_id, w.district, count(*) AS items FROM short JOIN work_item w ON w.matter_id = short.matter_id AND w.due_at = short.due_at
WHERE {_OPEN_IN_VIEW} GROUP BY 1, 2
"""
_FLAGGED = f"""
SELECT w.queue_id, w.district, count(*) AS flagged_escalated FROM work_item w
WHERE w.flags <> '{{}}' AND 'escalated' = ANY(w.flags) AND {_OPEN_IN_VIEW} GROUP BY 1, 2
"""
_PRESSED = f"""
SELECT w.queue_id, w.district, count(*) FILTER (WHERE m.urged > 0) AS urged, count(*) FILTER (WHERE m.supervised > 0) AS supervised
FROM matter m JOIN work_item w ON w.matter_id = m.id
WHERE m.closed_at IS NULL AND (m.urged > 0 OR m.supervised > 0) AND {_OPEN_IN_VIEW} GROUP BY 1, 2
"""
# What ended or changed a lease since $3, with where it was held then.
_TOLD = f"""
SELECT e.work_item_id, e.act, e.token, e.at, e.detail, o.queue_id, o.district FROM work_event e CROSS JOIN LATERAL (
  SELECT coalesce(e.detail ->> 'from', (SELECT queue_id FROM work_item WHERE id = e.work_item_id)) AS queue_id,
         coalesce(e.detail ->> 'place', (SELECT district FROM work_item WHERE id = e.work_item_id)) AS district OFFSET 0
) o WHERE e.at >= $3 AND e.token IS NOT NULL AND {_IN_VIEW.format(district="o.district", queue="o.queue_id")}
"""
_ACTS = {"finish": "finished", "return": "returned", "transfer": "transferred", "expire": "expired", "escalate": "escalated"}
# A claim writes no event of its own: it is known by the lease that lives, or by what ended it.
_DONE = f"""
WITH told AS ({_TOLD}), claims AS (
  SELECT queue_id, district, work_item_id, token, (detail ->> 'claimed_at')::timestamptz AS at FROM told
  UNION SELECT w.queue_id, w.district, w.id, l.token, l.claimed_at FROM lease l JOIN work_item w ON w.unit_id = l.unit_id WHERE {_OPEN_IN_VIEW}
)
SELECT queue_id, district, act, count(*) AS week, count(*) FILTER (WHERE at >= $4) AS today FROM told WHERE act = ANY($5) GROUP BY 1, 2, 3
UNION ALL
SELECT queue_id, district, 'claim', count(*), count(*) FILTER (WHERE at >= $4) FROM claims WHERE at >= $3 GROUP BY 1, 2
"""


async def desks(connection: Connection, seen: View, calendar: Calendar) -> list[dict[str, Any]]:
    """Each queue in each district where there is something open, or something happened in seven days."""
    red, yellow = limits(seen.now, calendar)
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def of(row: Any) -> dict[str, Any]:
        return found.setdefault((row["queue_id"], row["district"]), _empty())

    for row in await connection.fetch(_LOAD, *seen.whole, seen.now, red, yellow):
        one = of(row)
        one.update({k: row[k] for k in ("open", *STATES, "overdue", "due_today", "oldest_waiting_at")})
        lights = one["lights"]
        lights["red"], lights["yellow"], lights["grey"] = row["overdue"] + row["due_today"], row["soon"], row["grey"]
        lights["green"] = row["open"] - lights["red"] - lights["yellow"] - lights["grey"]
    for row in await connection.fetch(_OF_LONG_TERMS, *seen.whole, seen.now, yellow, calendar.terms.yellow_share):
        of(row)["lights"]["yellow"] += row["items"]
        of(row)["lights"]["green"] -= row["items"]
    for statement in (_FLAGGED, _PRESSED):
        for row in await connection.fetch(statement, *seen.whole):
            of(row).update({k: v for k, v in row.items() if k not in ("queue_id", "district")})
    names = {**_ACTS, "claim": "claimed"}
    for row in await connection.fetch(_DONE, *seen.whole, seen.since(7), seen.since(1), list(_ACTS)):
        of(row)["days_7"][names[row["act"]]], of(row)["today"][names[row["act"]]] = row["week"], row["today"]
    known = {q["id"]: q for q in await connection.fetch("SELECT id, name, desk FROM queue")}
    return [
        {
            "queue": queue, "name": known[queue]["name"], "desk": known[queue]["desk"], "district": district,
            "district_name": region_name(district), **one,
        }
        for (queue, district), one in sorted(found.items())
    ]  # fmt: skip


def _empty() -> dict[str, Any]:
    counts = dict.fromkeys(("open", *STATES, "overdue", "due_today", "flagged_escalated", "urged", "supervised"), 0)
    done = ("claimed", *_ACTS.values())
    return {
        **counts, "oldest_waiting_at": None, "lights": dict.fromkeys(LIGHTS, 0), "today": dict.fromkeys(done, 0), "days_7": dict.fromkeys(done, 0),
    }  # fmt: skip


# -- by person

_HAS = f"""
SELECT l.holder AS subject, count(*) FILTER (WHERE l.held_for IS NULL) AS leased, count(l.held_for) AS resting,
       min(l.claimed_at) AS oldest_claim_at, count(*) FILTER (WHERE w.due_at < $3) AS overdue
FROM lease l JOIN work_item w ON w.unit_id = l.unit_id WHERE l.until > $3 AND {_OPEN_IN_VIEW} GROUP BY 1
"""
_DID = f"""
SELECT detail ->> 'holder' AS subject, act, detail ->> 'outcome' AS outcome, count(*) AS month, count(*) FILTER (WHERE at >= $4) AS week,
       coalesce(sum((detail ->> 'recovered_fen')::bigint), 0)::bigint AS month_fen,
       coalesce(sum((detail ->> 'recovered_fen')::bigint) FILTER (WHERE at >= $4), 0)::bigint AS week_fen
FROM ({_TOLD} AND e.act IN ('finish', 'return', 'expire')) told GROUP BY 1, 2, 3
"""


async def people(connection: Connection, seen: View, principal: Principal) -> list[dict[str, Any]]:
    """Everybody who may work there, or has or had something of it in thirty days; who has most comes first."""
    found = {subject: _nothing() for subject in await _staff(connection, seen)}
    for row in await connection.fetch(_HAS, *seen.whole, seen.now):
        found.setdefault(row["subject"], _nothing()).update({k: v for k, v in row.items() if k != "subject"})
    for row in await connection.fetch(_DID, *seen.whole, seen.since(30), seen.since(7)):
        one = found.setdefault(row["subject"], _nothing())
        for days, count, fen in (("days_7", row["week"], row["week_fen"]), ("days_30", row["month"], row["month_fen"])):
            if count:
                one[days][_ACTS[row["act"]]] += count
                one[days]["recovered_fen"] += fen
                if row["outcome"]:
                    one[days]["outcomes"][row["outcome"]] = count
    for away in reversed(await staff.absences(connection, principal)):
        if away["subject"] in found:
            found[away["subject"]]["absence"] = {k: away[k] for k in ("from_at", "until_at", "deputy")}
    return [
        {"subject": subject, **one}
        for subject, one in sorted(found.items(), key=lambda f: (-f[1]["leased"] - f[1]["resting"], f[0]))
    ]


async def _staff(connection: Connection, seen: View) -> list[str]:
    """Whose desk is there."""
    rows = await connection.fetch(
        "SELECT subject FROM api_token WHERE natural_person AND partner_id IS NULL AND revoked_at IS NULL AND expires_at > $3 AND roles && $2::text[] "
        "AND EXISTS (SELECT 1 FROM unnest($1::text[]) p, unnest(jurisdictions) j WHERE starts_with(p, j) OR starts_with(j, p)) GROUP BY 1 ORDER BY 1",
        list(seen.places), list(_ROLES), seen.now,
    )  # fmt: skip
    return [r["subject"] for r in rows]


def _nothing() -> dict[str, Any]:
    def period() -> dict[str, Any]:
        return {"finished": 0, "returned": 0, "expired": 0, "outcomes": {}, "recovered_fen": 0}

    return {
        "leased": 0, "resting": 0, "overdue": 0, "oldest_claim_at": None, "days_7": period(), "days_30": period(), "absence": None,
    }  # fmt: skip


# -- the items behind a figure

_LISTED = f"""
SELECT w.id, w.matter_id, w.unit_id, w.queue_id, w.district, w.priority, w.due_at, w.flags, w.enqueued_at,
       CASE WHEN l.unit_id IS NULL THEN 'ready' WHEN l.held_for IS NOT NULL THEN 'held' ELSE 'leased' END AS state,
       l.holder, l.claimed_at, l.until AS lease_until, l.held_for, m.lane, m.kind, m.goods, m.problem, m.state AS matter_state, m.urged, m.supervised,
       c.started_at, c.paused_days
FROM work_item w JOIN matter m ON m.id = w.matter_id LEFT JOIN lease l ON l.unit_id = w.unit_id AND l.until > $3
LEFT JOIN LATERAL (
  SELECT started_at, paused_days FROM clock WHERE matter_id = w.matter_id AND stopped_at IS NULL AND paused_at IS NULL AND due_at = w.due_at
  ORDER BY started_at DESC LIMIT 1
) c ON true WHERE {_OPEN_IN_VIEW}
"""
_SHORT_OF = LITTLE_LEFT.format(now="$3::timestamptz", share="{share}")
_IS_SHORT = (
    "EXISTS (SELECT 1 FROM clock c WHERE c.matter_id = w.matter_id AND c.stopped_at IS NULL AND c.paused_at IS NULL AND c.due_at = w.due_at "
    f"AND {_SHORT_OF})"
)


async def items(
    connection: Connection, seen: View, calendar: Calendar, *, holder: str | None = None, state: str | None = None, light_is: str | None = None,
    overdue: bool | None = None, flag: str | None = None, after: tuple[datetime, uuid.UUID] | None = None, limit: int = 100,
) -> tuple[list[dict[str, Any]], tuple[datetime, uuid.UUID] | None]:  # fmt: skip
    """Open items, the one whose term ends first before the others, what has none last; and after which to go on, if there is more. flag:
    one of the items' own, or urged, supervised."""
    values: list[Any] = [*seen.whole, seen.now]
    wanted: list[str] = []

    def put(value: Any, kind: str) -> str:
        values.append(value)
        return f"${len(values)}::{kind}"

    if holder is not None:
        wanted.append(f"l.holder = {put(holder, 'text')}")
    if state is not None:
        wanted.append(
            {
                "ready": "l.unit_id IS NULL",
                "held": "l.held_for IS NOT NULL",
                "leased": "l.unit_id IS NOT NULL AND l.held_for IS NULL",
            }[state]
        )
    if overdue is not None:
        wanted.append("w.due_at < $3" if overdue else "(w.due_at >= $3 OR w.due_at IS NULL)")
    if flag in ("urged", "supervised"):
        wanted.append(f"m.closed_at IS NULL AND m.{flag} > 0")
    elif flag is not None:
        wanted.append(f"w.flags <> '{{}}' AND {put(flag, 'text')} = ANY(w.flags)")
    if light_is is not None:
        wanted.append(_has_light(light_is, limits(seen.now, calendar), calendar.terms.yellow_share, put))
    rows: list[Any] = []
    at, last = after or (None, None)
    # Two stretches of the index: what has a term, then what has none.
    for tail in (False, True):
        left = limit + 1 - len(rows)
        if left <= 0 or (tail and light_is in ("red", "yellow", "green")) or (not tail and at is not None and at >= _LAST):
            continue
        given = list(values)
        if tail:
            place = "w.due_at IS NULL"
            if at is not None and at >= _LAST:
                place += f" AND w.id > ${len(given) + 1}"
                given.append(last)
        else:
            place = "w.due_at IS NOT NULL"
            if at is not None:
                place = f"(w.due_at, w.id) > (${len(given) + 1}, ${len(given) + 2})"
                given += [at, last]
        given.append(left)
        rows += await connection.fetch(
            f"{_LISTED} AND {' AND '.join([place, *wanted])} ORDER BY {'w.id' if tail else 'w.due_at, w.id'} LIMIT ${len(given)}",
            *given,
        )
    shown = rows[:limit]
    more = (shown[-1]["due_at"] or _LAST, shown[-1]["id"]) if len(rows) > limit else None
    return [_shown(r, seen.now, calendar) for r in shown], more


def _has_light(wanted: str, bounds: tuple[datetime, datetime], share: float, put: Any) -> str:
    if wanted == "grey":
        return "w.due_at IS NULL"
    red = put(bounds[0], "timestamptz")
    if wanted == "red":
        return f"w.due_at < {red}"
    yellow = put(bounds[1], "timestamptz")
    short = _IS_SHORT.format(share=put(share, "float8"))
    if wanted == "yellow":
        return f"w.due_at >= {red} AND (w.due_at < {yellow} OR {short})"
    return f"w.due_at >= greatest({red}, {yellow}) AND NOT {short}"


def _shown(row: Any, now: datetime, calendar: Calendar) -> dict[str, Any]:
    due_at = row["due_at"]
    told = {k: v for k, v in row.items() if k not in ("started_at", "paused_days")}
    # Where no clock stands behind the term, only its end says how much is left.
    seen = (
        "grey"
        if due_at is None
        else light(now, due_at, row["started_at"] or due_at, calendar, paused_days=row["paused_days"] or 0)
    )
    return {**told, "light": seen, "overdue": due_at is not None and due_at < now}


# -- what could be moved


@dataclass(frozen=True, slots=True)
class Movable:
    """A unit: one of its items, all of them, whose it is now (None: nobody's)."""

    unit_id: uuid.UUID
    item_id: uuid.UUID
    items: tuple[uuid.UUID, ...]
    holder: str | None


_MOVABLE_LEASED = f"""
SELECT l.unit_id, l.holder, min(w.urgent_at) AS urgent_at FROM lease l JOIN work_item w ON w.unit_id = l.unit_id
WHERE l.holder = $4 AND l.until > $3 AND {_OPEN_IN_VIEW} GROUP BY 1, 2 ORDER BY 3, 1 LIMIT $5
"""
_MOVABLE_READY = f"""
SELECT w.unit_id, NULL AS holder, w.urgent_at FROM ready w
WHERE {_IN_VIEW.format(district="w.district", queue="w.queue_id")} AND $3::timestamptz IS NOT NULL AND $4::text IS NULL ORDER BY 3, 1 LIMIT $5
"""


async def movable(connection: Connection, seen: View, holder: str | None, limit: int) -> list[Movable]:
    """Units of a person, or those nobody has, the most urgent first."""
    rows = await connection.fetch(_MOVABLE_READY if holder is None else _MOVABLE_LEASED, *seen.whole, seen.now, holder, limit)
    members = await connection.fetch(
        "SELECT unit_id, id FROM work_item WHERE unit_id = ANY($1) AND finished_at IS NULL ORDER BY id",
        [r["unit_id"] for r in rows],
    )
    whole: dict[uuid.UUID, list[uuid.UUID]] = {}
    for member in members:
        whole.setdefault(member["unit_id"], []).append(member["id"])
    return [
        Movable(r["unit_id"], whole[r["unit_id"]][0], tuple(whole[r["unit_id"]]), r["holder"])
        for r in rows
        if r["unit_id"] in whole
    ]


async def loads(connection: Connection, subjects: Iterable[str]) -> Mapping[str, int]:
    """How many items each has now, wherever they are."""
    asked: Sequence[str] = list(subjects)
    rows = await connection.fetch(
        "SELECT l.holder, count(*) AS items FROM lease l JOIN work_item w ON w.unit_id = l.unit_id AND w.finished_at IS NULL "
        "WHERE l.holder = ANY($1) AND l.until > clock_timestamp() GROUP BY 1",
        asked,
    )
    return {**dict.fromkeys(asked, 0), **{r["holder"]: r["items"] for r in rows}}
