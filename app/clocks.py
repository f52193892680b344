"""Statutory clocks of matters: started, paused, extended, stopped, and reckoned anew when a calendar is loaded. What has run
out for other reasons (limitation) is looked at here too, for a person to judge.

How long, on which sentence, what may pause a term and who may extend it: app.terms. When it ends: app.calendar. Who did what
and when is appended to clock_event; the clock's row says where that leads.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from app import calendar as days
from app import deliveries
from app.calendar import Calendar, Due, Pause, light, local_day
from app.database import Connection, to_json
from app.errors import Conflict, Invalid, NotFound
from app.terms import Rule, shipped

COLUMNS = "id, matter_id, key, law, received_on, mode, bounded, started_at, due_on, due_at, provisional, reason, other_modes"


@dataclass(frozen=True, slots=True)
class Changed:
    """A running clock whose due day is another one now."""

    matter_id: uuid.UUID
    key: str
    old: date
    new: date


def clock_row(clock_id: uuid.UUID, matter_id: uuid.UUID, due: Due, started_at: datetime) -> dict[str, Any]:
    return {
        "id": clock_id, "matter_id": matter_id, "key": due.key, "law": due.law, "received_on": due.received_on, "mode": due.mode,
        "bounded": due.bounded, "started_at": started_at, "due_on": due.due_on, "due_at": due.due_at, "provisional": due.provisional,
        "reason": due.reason, "other_modes": due.other_modes,
    }  # fmt: skip


async def start_clock(connection: Connection, clock_id: uuid.UUID, matter_id: uuid.UUID, due: Due, started_at: datetime) -> None:
    """A matter has at most one running clock of a key: a second start changes nothing."""
    row = clock_row(clock_id, matter_id, due, started_at)
    await connection.execute(
        f"INSERT INTO clock ({COLUMNS}) VALUES ({', '.join(f'${n}' for n in range(1, len(row) + 1))}) "
        "ON CONFLICT (matter_id, key) WHERE stopped_at IS NULL DO NOTHING",
        *[to_json(v) if k == "other_modes" else v for k, v in row.items()],
    )


async def stop_clocks(
    connection: Connection, matter_id: uuid.UUID, *, at: datetime, by: str, key: str | None = None, actor: str | None = None
) -> None:  # fmt: skip
    """The running clock of that key, else all that end with their matter. by: what ended them. A pause that goes on ends with its clock."""
    await stop_each(connection, matter_id, None if key is None else [key], at=at, by=by, actor=actor)


async def stop_each(
    connection: Connection, matter_id: uuid.UUID, keys: Sequence[str] | None, *, at: datetime, by: str, actor: str | None = None
) -> list[str]:  # fmt: skip
    """Those of the keys (None: all that end with their matter) that ran, stopped now."""
    rows = await connection.fetch(_STOP, matter_id, at, by, keys, actor, _outliving())
    return [r["key"] for r in rows]


@lru_cache(maxsize=1)
def _outliving() -> list[str]:
    """What somebody is owed still when a matter is closed is the law's, in no bureau's own file."""
    return [key for key, term in shipped().terms.items() if term.outlives]


_STOP = """
WITH stopped AS (
  UPDATE clock SET stopped_at = $2, stopped_by = $3, paused_days = paused_days + CASE WHEN paused_at IS NULL THEN 0 ELSE
    greatest(($2 AT TIME ZONE 'Asia/Shanghai')::date - (paused_at AT TIME ZONE 'Asia/Shanghai')::date, 0) END
  WHERE matter_id = $1 AND stopped_at IS NULL AND CASE WHEN $4::text[] IS NULL THEN key <> ALL($6::text[]) ELSE key = ANY($4) END
  RETURNING id, key, paused_at
), noted AS (
  INSERT INTO clock_event (clock_id, act, at, actor, reason, detail)
  SELECT id, 'resume', greatest($2, paused_at), coalesce($5, $3), 'stopped', '{}' FROM stopped WHERE paused_at IS NOT NULL
)
SELECT key FROM stopped
"""


async def pause(
    connection: Connection, calendar: Calendar, matter_id: uuid.UUID, key: str, *, actor: str, reason: str, at: datetime
) -> None:  # fmt: skip
    """Stops the counting for an appraisal 鉴定 or inspection 检测 (reason: a key of the terms' pause_reasons), where the term
    allows it. The day of `at` still counts. Raises Conflict where the clock is paused or its term has ended."""
    row, rule = await _running(connection, calendar, matter_id, key)
    if reason not in rule.pause:
        allowed = ", ".join(sorted(rule.pause)) or "nothing"
        raise Invalid.field("reason", f"{key} is paused by {allowed}; {reason} does not stop it")
    if row["paused_at"] is not None:
        raise Conflict(f"{key} is paused already, since {local_day(row['paused_at'])}")
    _in_order(row, at)
    _not_over(row, at)
    pauses = [*_pauses(row, calendar), Pause(local_day(at), None, calendar.terms.pause_reasons[reason])]
    await _change(connection, calendar, row, "pause", pauses, actor=actor, at=at, reason=reason, paused_at=at)


async def resume(
    connection: Connection, calendar: Calendar, matter_id: uuid.UUID, key: str, *, actor: str, at: datetime
) -> Changed | None:  # fmt: skip
    """Counts on from the day after `at`. None: no day was lost, the due day stands."""
    row, _ = await _running(connection, calendar, matter_id, key)
    if row["paused_at"] is None:
        raise Conflict(f"{key} is not paused")
    _in_order(row, at)
    *before, open_one = _pauses(row, calendar)
    return await _change(
        connection, calendar, row, "resume", [*before, open_one._replace(until=local_day(at))], actor=actor, at=at
    )


async def extend(
    connection: Connection, calendar: Calendar, matter_id: uuid.UUID, key: str, *, actor: str, approver: str, reason: str, at: datetime
) -> Changed | None:  # fmt: skip
    """The extension the law allows, approved by `approver` at `at`, before the term ends. actor: who records it."""
    row, rule = await _running(connection, calendar, matter_id, key)
    if rule.extension is None:
        raise Conflict(f"{key} can't be extended")
    if row["extended"] >= rule.extension.times:
        raise Conflict(f"{key} has been extended already")
    for field, value in (("approver", approver), ("reason", reason)):
        if not value.strip():
            raise Invalid.field(field, "must not be empty")
    if at < row["started_at"]:
        raise Invalid.field("at", "lies before the clock's start")
    if row["paused_at"] is None:
        _not_over(row, at)
    return await _change(
        connection, calendar, row, "extend", _pauses(row, calendar), actor=actor, at=at, reason=reason, extended=row["extended"] + 1,
        paused_at=row["paused_at"], detail={"approver": approver, "count": rule.extension.count},
    )  # fmt: skip


async def recompute(
    connection: Connection, calendar: Calendar, since: date, *, actor: str, cause: str, after: uuid.UUID | None = None, limit: int = 500
) -> tuple[list[Changed], uuid.UUID | None]:  # fmt: skip
    """Reckons running clocks anew that are provisional or reach into the days from `since` on, of the next `limit` matters.
    Changed days are told and appended to the clock's history with `cause`. In a transaction.

    Returns:
        What changed, and the matter to go on after; None when all were looked at.
    """
    found = [r["matter_id"] for r in await connection.fetch(_NEXT, since, after, limit)]
    if not found:
        return [], None
    await connection.execute("SELECT id FROM matter WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", found)
    rows = await _read(connection, found)
    ends: dict[tuple[uuid.UUID, str], date] = {(r["matter_id"], r["key"]): r["due_on"] for r in rows}
    updates, events, changed = [], [], []
    # What falls back before another term comes after it.
    running = [(r, calendar.terms.term(r["key"]).rule(r["received_on"])) for r in rows if r["stopped_at"] is None]
    for row, rule in sorted(running, key=lambda pair: pair[1].fall_back is not None):
        before = ends.get((row["matter_id"], rule.fall_back.before)) if rule.fall_back and row["bounded"] else None
        due = _again(calendar, row, _pauses(row, calendar), row["extended"], before)
        ends[row["matter_id"], row["key"]] = due.due_on
        if (due.due_on, due.provisional, due.reason) == (row["due_on"], row["provisional"], row["reason"]):
            continue
        updates.append((row["id"], due.due_on, due.due_at, due.provisional, due.reason, to_json(due.other_modes)))
        if (due.due_on, due.provisional) != (row["due_on"], row["provisional"]):
            events.append(
                (row["id"], actor, cause, to_json({"old": row["due_on"], "new": due.due_on, "provisional": due.provisional}))
            )
        if due.due_on != row["due_on"]:
            changed.append((Changed(row["matter_id"], row["key"], row["due_on"], due.due_on), due))
    if updates:
        await connection.execute(_UPDATE, *map(list, zip(*updates, strict=True)))
    if events:
        await connection.execute(_NOTE, *map(list, zip(*events, strict=True)))
    await deliveries.announce(connection, [_told(one, due, "recompute") for one, due in changed], held=True)
    return [one for one, _ in changed], found[-1] if len(found) == limit else None


_NEXT = """
SELECT DISTINCT matter_id FROM clock
WHERE stopped_at IS NULL AND (provisional OR due_on >= $1) AND ($2::uuid IS NULL OR matter_id > $2) ORDER BY matter_id LIMIT $3
"""

_UPDATE = """
UPDATE clock c SET due_on = u.due_on, due_at = u.due_at, provisional = u.provisional, reason = u.reason, other_modes = u.other::jsonb
FROM unnest($1::uuid[], $2::date[], $3::timestamptz[], $4::bool[], $5::text[], $6::text[]) AS u(id, due_on, due_at, provisional, reason, other)
WHERE c.id = u.id
"""

_NOTE = """
INSERT INTO clock_event (clock_id, act, at, actor, reason, detail)
SELECT c, 'recompute', clock_timestamp(), a, r, d::jsonb FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS u(c, a, r, d)
"""

# The days of the pauses, as Shanghai counts them: [[act, day, reason], ...].
_CLOCKS = """
SELECT c.*, (
  SELECT coalesce(jsonb_agg(jsonb_build_array(e.act, (e.at AT TIME ZONE 'Asia/Shanghai')::date, e.reason) ORDER BY e.id), '[]')
  FROM clock_event e WHERE e.clock_id = c.id AND e.act IN ('pause', 'resume')
) AS turns, (SELECT max(e.at) FROM clock_event e WHERE e.clock_id = c.id AND e.act IN ('pause', 'resume')) AS turned_at
FROM clock c WHERE c.matter_id = ANY($1) ORDER BY c.started_at, c.key
"""


async def _read(connection: Connection, matter_ids: Sequence[uuid.UUID]) -> list[Any]:
    return list(await connection.fetch(_CLOCKS, list(matter_ids)))


async def _running(connection: Connection, calendar: Calendar, matter_id: uuid.UUID, key: str) -> tuple[Any, Rule]:
    """The matter's running clock of that key, held with its matter as every act holds it."""
    term = calendar.terms.term(key)
    await connection.execute("SELECT 1 FROM matter WHERE id = $1 FOR NO KEY UPDATE", matter_id)
    for row in await _read(connection, [matter_id]):
        if row["key"] == key and row["stopped_at"] is None:
            return row, term.rule(row["received_on"])
    raise NotFound(f"no running clock {key}")


def _pauses(row: Any, calendar: Calendar) -> list[Pause]:
    found: list[Pause] = []
    for act, day, reason in row["turns"]:
        on = date.fromisoformat(day)
        if act == "pause":
            found.append(Pause(on, None, calendar.terms.pause_reasons.get(reason, reason)))
        else:
            found[-1] = found[-1]._replace(until=on)
    return found


def _again(calendar: Calendar, row: Any, pauses: Sequence[Pause], extended: int, before: date | None) -> Due:
    return days.due(
        calendar, row["key"], local_day(row["started_at"]), received_on=row["received_on"], mode=row["mode"], pauses=pauses,
        extended=extended, before=before,
    )  # fmt: skip


def _in_order(row: Any, at: datetime) -> None:
    if at < row["started_at"] or (row["turned_at"] is not None and at < row["turned_at"]):
        raise Invalid.field("at", "lies before the clock's start or its last pause or resumption")


def _not_over(row: Any, at: datetime) -> None:
    if local_day(at) > row["due_on"]:
        raise Conflict(f"the term ended on {row['due_on']}; it can be neither paused nor extended after that")


async def _change(
    connection: Connection, calendar: Calendar, row: Any, act: str, pauses: Sequence[Pause], *, actor: str, at: datetime,
    reason: str | None = None, extended: int | None = None, paused_at: datetime | None = None, detail: Mapping[str, Any] | None = None,
) -> Changed | None:  # fmt: skip
    """One act on one clock: the row, its event, and the word to those who listen when the due day is another."""
    extended = row["extended"] if extended is None else extended
    due = _again(calendar, row, pauses, extended, None)
    lost = sum((p.until - p.since).days for p in pauses if p.until is not None)
    await connection.execute(
        "UPDATE clock SET due_on = $2, due_at = $3, provisional = $4, reason = $5, other_modes = $6::jsonb, paused_at = $7, "
        "paused_days = $8, extended = $9 WHERE id = $1",
        row["id"], due.due_on, due.due_at, due.provisional, due.reason, to_json(due.other_modes), paused_at, lost, extended,
    )  # fmt: skip
    told = {**(detail or {}), "old": row["due_on"], "new": due.due_on}
    await connection.execute(
        "INSERT INTO clock_event (clock_id, act, at, actor, reason, detail) VALUES ($1, $2, $3, $4, $5, $6::jsonb)",
        row["id"], act, at, actor, reason, to_json(told),
    )  # fmt: skip
    if due.due_on == row["due_on"]:
        return None
    changed = Changed(row["matter_id"], row["key"], row["due_on"], due.due_on)
    await deliveries.announce(connection, [_told(changed, due, act)], held=True)
    return changed


def _told(one: Changed, due: Due, cause: str) -> tuple[uuid.UUID, str, dict[str, Any]]:
    payload = {
        "key": one.key, "old": one.old.isoformat(), "new": one.new.isoformat(), "due_at": due.due_at.isoformat(),
        "provisional": due.provisional, "cause": cause,
    }  # fmt: skip
    return one.matter_id, "matter.due_changed", payload


# -- what people read

_HIDDEN = frozenset({"turns", "turned_at", "bounded"})


async def read(
    connection: Connection, calendar: Calendar, matter_ids: Sequence[uuid.UUID], *, now: datetime
) -> list[dict[str, Any]]:  # fmt: skip
    """All clocks of these matters, oldest first, with their lights and what happened to them. light: green, yellow, red, grey
    (paused); None, as working_days_left, where the clock has stopped."""
    rows = await _read(connection, matter_ids)
    events = await connection.fetch(
        "SELECT clock_id, act, at, actor, reason, detail FROM clock_event WHERE clock_id = ANY($1) ORDER BY id",
        [r["id"] for r in rows],
    )
    found = []
    for row in rows:
        runs, paused = row["stopped_at"] is None, row["paused_at"] is not None
        term = calendar.terms.terms.get(row["key"])
        found.append(
            {
                **{k: v for k, v in row.items() if k not in _HIDDEN},
                "name": term.name if term else row["key"],
                "light": light(now, row["due_at"], row["started_at"], calendar, paused=paused, paused_days=row["paused_days"])
                if runs else None,
                "working_days_left": calendar.working_days_between(local_day(now), row["due_on"]) if runs and not paused else None,
                "events": [{k: v for k, v in e.items() if k != "clock_id"} for e in events if e["clock_id"] == row["id"]],
            }
        )  # fmt: skip
    return found


# -- limitation: what a person is told, never what a machine decides by


@dataclass(frozen=True, slots=True)
class Limitation:
    """expired: yes, no or unknown. basis, reason: Chinese. expires_on: the last day in time, where it can be said."""

    key: str
    expires_on: date | None
    expired: str
    basis: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def time_bar(
    calendar: Calendar, received_on: date, *, known_on: date | None = None, event_on: date | None = None, mode: str = "statutory"
) -> Limitation:  # fmt: skip
    """Ground 四 of Art. 16: over three years since the complainant knew or should have known. known_on: the day stated or proved;
    event_on: the day of the dispute, taken for it where no other is known."""
    key = "complaint.time_bar"
    rule = calendar.terms.term(key).rule(received_on)
    start = known_on or event_on
    if start is None:
        return Limitation(
            key, None, "unknown", rule.basis, "来件没有说明何时知道权益受到侵害，也没有争议发生日期，需向投诉人核实"
        )
    if start > received_on:
        return Limitation(key, None, "unknown", rule.basis, f"所述日期{start}晚于收到投诉之日{received_on}，需核实")
    end = days.due(calendar, key, start, received_on=received_on, mode=mode).due_on
    since = (
        f"自知道或者应当知道权益受到侵害之日{start}" if known_on else f"以争议发生日{start}推定知道之日（实际知道日期待核实），"
    )
    over = received_on > end
    reason = f"{since}起{rule.count}年，至{end}届满；{received_on}收到投诉，{'已超过' if over else '未超过'}"
    return Limitation(key, end, "yes" if over else "no", rule.basis, reason + "。是否受理由工作人员判断")


def penalty_limit(
    calendar: Calendar, found_on: date, *, act_on: date | None = None, ended_on: date | None = None, continuing: bool | None = None,
    harm: bool | None = None, life_or_finance: bool | None = None,
) -> Limitation:  # fmt: skip
    """Art. 36 of the penalty law: not found within two years of the act, or of its end where it went on; five where life and
    health or financial safety is touched and there is harm. found_on: the day the authority learnt of it. None: not known."""
    key = "penalty.limit"
    rule = calendar.terms.term(key).rule(found_on)
    longer = rule.longer
    assert longer is not None
    if continuing and ended_on is None:
        return Limitation(key, None, "no", rule.basis, "违法行为仍有连续或者继续状态，期限自行为终了之日起计算，尚未起算")
    start = ended_on or act_on
    if start is None:
        return Limitation(key, None, "unknown", rule.basis, "违法行为发生或者终了的日期不明，需核实")
    if start > found_on:
        return Limitation(key, None, "unknown", rule.basis, f"所述日期{start}晚于发现之日{found_on}，需核实")
    short, long = (days.years_later(start, n) for n in (rule.count, longer.count))
    met = None if None in (harm, life_or_finance) and False not in (harm, life_or_finance) else bool(harm and life_or_finance)
    since = f"自行为{'终了' if ended_on else '发生'}之日{start}起"
    if met is None and short < found_on <= long:
        reason = (
            f"{since}已超过{rule.count}年、未超过{longer.count}年：是否涉及公民生命健康安全、金融安全且有危害后果尚不清楚，需核实"
        )
        return Limitation(key, long, "unknown", rule.basis, reason)
    end, count = (long, longer.count) if met or (met is None and found_on > long) else (short, rule.count)
    over = found_on > end
    reason = f"{since}{count}年，至{end}届满；{found_on}发现，{'已超过' if over else '未超过'}"
    if met:
        reason += "（涉及公民生命健康安全、金融安全且有危害后果）"
    elif met is None and not over:
        reason += f"；涉及公民生命健康安全、金融安全且有危害后果的至{long}"
    if over and continuing is None and ended_on is None:
        reason += "；如有连续或者继续状态，自行为终了之日起计算，需核实"
    return Limitation(key, end, "yes" if over else "no", rule.basis, reason + "。由工作人员判断")
