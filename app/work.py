"""The mediators' queue: claim, renew, release, finish; database time.

A work item is the work on one matter. A unit is what one person works on: an item, or the items of a joint matter. A unit with open
items has a row in `ready` or one in `lease`: a claim moves it from one to the other in one statement, for leases kept inside the pull index
are stepped over by every later claim. Every other verb locks the unit's row first and, when it changed something, writes its row anew
(`_settle`).

Locks: matters, then a unit's row in `ready`, then its lease, then its items.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from app import identity, queues, staff
from app.calendar import local_day
from app.database import Connection, to_json
from app.errors import Conflict, Forbidden, Invalid, LeaseLost, NotFound
from app.identity import Principal, new_id

MAX_CLAIM = 50
LEASE_SECONDS = (30, 8 * 3600)
# How far each step of priority moves an item forward. Bounded, so the least urgent item overtakes by waiting.
PRIORITY_STEP = timedelta(hours=12)
MAX_PRIORITY = 6
# Every fourth claim, by lot, is kept for the least urgent items whose term ends within these days: however many urgent ones arrive, they
# don't wait it out. Days enough to make good what came in a crowd or before a long holiday (bench/starving.py).
LAST_SHARE = 4
LAST_CALL = timedelta(days=7)
# How long what somebody was given, or gets back from a hold, is kept for him.
KEPT = timedelta(days=1)
HELD_FOR = ("appraisal", "appointment", "reply", "other")
_LONGEST_HOLD = timedelta(days=60)
# Among those who may not have a unit: everybody who is not cleared for reports (Art. 37), in whatever queue it lies.
_UNCLEARED = "*"
_NO_TERM = timedelta(days=10)


def urgent_at(due_at: datetime | None, received_at: datetime, priority: int) -> datetime:
    return (due_at or received_at + _NO_TERM) - priority * PRIORITY_STEP


_KEPT_FROM = f"CASE WHEN {{report}} THEN '{{{{{_UNCLEARED}}}}}'::text[] ELSE '{{{{}}}}' END"
_IN_PLACE = queues.PLACE.format(track="$3::text", district="$4::text", goods="m.goods", problem="m.problem")
_ENQUEUE = f"""
WITH item AS (
  INSERT INTO work_item (id, matter_id, unit_id, queue_id, district, priority, due_at, urgent_at)
  SELECT $1, m.id, $1, {_IN_PLACE}, $4, $5, $6, $7 FROM matter m WHERE m.id = $2
  ON CONFLICT (matter_id) DO NOTHING RETURNING id, queue_id, district, priority, urgent_at
)
INSERT INTO ready (unit_id, queue_id, district, priority, urgent_at, excluded)
SELECT item.id, queue_id, item.district, priority, urgent_at, {_KEPT_FROM.format(report="m.lane = 'report'")} FROM item JOIN matter m ON m.id = $2
"""


async def enqueue(connection: Connection, items: Sequence[Mapping[str, Any]]) -> None:
    """items: {matter_id, track, district, priority, due_at, received_at}. A matter has one item, ever."""
    # One at a time in one go: of arrays the planner would think anew at every letter.
    if items:
        await connection.executemany(
            _ENQUEUE,
            [
                (
                    new_id(), i["matter_id"], i["track"], i["district"], i["priority"], i["due_at"],
                    urgent_at(i["due_at"], i["received_at"], i["priority"]),
                )
                for i in items
            ],
        )  # fmt: skip


# -- claims

_AVAILABLE = f"NOT $3 = ANY(r.excluded) AND ($8::boolean OR NOT '{_UNCLEARED}' = ANY(r.excluded)) AND NOT EXISTS ({staff.AWAY.format(subject='$3')})"
_MAY = queues.MAY_PULL.format(roles="$6::text[]", skills="$7::text[]", reports="$8::boolean")
# By the statement's own time, which unlike the clock bounds the scan: without anything near its end it ends at once.
_LAST = "AND r.priority = 0 AND r.urgent_at <= statement_timestamp() + $9::interval"
# Where a place, a prefix of region codes, lies: each level is one stretch of its own pull index. By CASE, for the planner takes a bare prefix
# test for a rare hit and plans anew at every claim.
_LEVELS = {
    "all": "CASE WHEN starts_with(r.district, {place}) THEN true ELSE false END",
    "city": '"left"(r.district, 4) = {place}',
    "district": "r.district = {place}",
}
_HEAD = """SELECT r.ctid AS row, r.urgent_at, r.unit_id FROM ready r WHERE r.queue_id = {queue} AND {where} AND {available} {last}
  {may} {other} ORDER BY r.urgent_at, r.unit_id LIMIT {limit} FOR UPDATE SKIP LOCKED"""
# Of several queues or places: the head of each, merged. All heads are locked until the statement ends, so that whoever asks at the same time
# looks further and never finds too few.
_HEADS = """SELECT h.* FROM queue q CROSS JOIN unnest($2::text[]) place CROSS JOIN LATERAL ({head}) h
  WHERE ($1::text IS NULL OR q.id = $1) AND {may} AND {level}"""
_OF_LEVEL = {"all": "length(place) NOT IN (4, 6)", "city": "length(place) = 4", "district": "length(place) = 6"}
# Of an item that was claimed.
_CLAIMED = "w.id, w.matter_id, w.unit_id, w.queue_id, w.district, w.priority, w.due_at, w.flags"
_TAKEN = f"""
, taken AS (
  DELETE FROM ready r WHERE r.ctid = ANY(ARRAY(SELECT row FROM picked)) RETURNING r.unit_id, r.urgent_at
), leased AS (
  INSERT INTO lease (unit_id, token, holder, until, request_key)
  SELECT unit_id, gen_random_uuid(), $3, clock_timestamp() + make_interval(secs => $4), $5 FROM taken RETURNING unit_id, token, until
)
SELECT {_CLAIMED}, leased.token AS lease_token, leased.until AS lease_until, {{beside}} AS beside
FROM taken JOIN leased ON leased.unit_id = taken.unit_id JOIN work_item w ON w.unit_id = taken.unit_id AND w.finished_at IS NULL
ORDER BY taken.urgent_at, taken.unit_id, w.urgent_at, w.id
"""


def _level(place: str) -> str:
    return {4: "city", 6: "district"}.get(len(place), "all")


@lru_cache(maxsize=1000)
def _claim_statement(levels: frozenset[str], straight: bool, limit: int, last_call: bool, beside: str) -> str:
    """levels: of the places asked for. straight: of one queue and one place, what its pull index says in its order. limit is written out: one that
    the planner does not know makes it plan for a tenth of the table, anew at every claim. beside: see `claim`."""
    taken = _TAKEN.format(beside=beside)

    def pick(last: str, other: str) -> str:
        def head(level: str, queue: str, place: str, may: str) -> str:
            return _HEAD.format(
                queue=queue, where=_LEVELS[level].format(place=place), available=_AVAILABLE, last=last, may=may, other=other, limit=limit
            )  # fmt: skip

        if straight:
            (level,) = levels
            return head(level, "$1", "($2::text[])[1]", f"AND (SELECT true FROM queue q WHERE q.id = $1 AND {_MAY})")
        lines = [
            _HEADS.format(head=head(level, "q.id", "place", ""), may=_MAY, level=_OF_LEVEL[level]) for level in sorted(levels)
        ]
        return f"SELECT * FROM ({' UNION ALL '.join(lines)}) h ORDER BY urgent_at, unit_id LIMIT {limit}"

    if not last_call:
        return f"WITH picked AS ({pick('', '')}){taken}"
    # When the last call fills the claim, nothing else is looked for.
    other = f"AND (SELECT count(*) FROM last) < {limit} AND r.unit_id NOT IN (SELECT unit_id FROM last)"
    return (
        f"WITH last AS ({pick(_LAST, '')}), main AS ({pick('', other)}), picked AS (SELECT * FROM last UNION ALL "
        f"(SELECT * FROM main LIMIT {limit} - (SELECT count(*) FROM last))){taken}"
    )


async def claim(
    connection: Connection, queue: str, principal: Principal, *, limit: int, lease_seconds: int, key: str | None = None,
    beside: str = "NULL", last_call: timedelta = LAST_CALL,
) -> list[Any]:  # fmt: skip
    """Leases the most urgent units of a queue, of its part in a district (420106.t2), or of all the person may pull from (any). Gives their
    items, those of one joint matter together; limit counts units. Empty when nothing is ready.

    key: the same again gives what that claim leased while a lease of it lives; needs a transaction. beside: SQL of one more value of each item, w.
    last_call: see LAST_CALL.

    Raises NotFound for a queue that does not exist, Forbidden without the rights to it, Conflict for whoever is entered as away.
    """
    district, name = queues.asked(queue)
    _check_seconds(lease_seconds)
    if not 1 <= limit <= MAX_CLAIM:
        raise Invalid.field("limit", f"must be from 1 to {MAX_CLAIM}")
    places = queues.within(principal, district)
    if key is not None and (before := await _claimed_before(connection, principal, key, beside)):
        return before
    every = name == queues.ANY
    last = random.random() * LAST_SHARE < 1  # noqa: S311 - a turn, not a secret
    levels = frozenset(map(_level, places or ("",)))
    rows = await connection.fetch(
        _claim_statement(levels, len(places) == 1 and not every, limit, last, beside), None if every else name,
        list(places), principal.subject, float(lease_seconds), key, *queues.rights(principal), *((last_call,) if last else ()),
    )  # fmt: skip
    if not rows:
        if not every:
            await queues.require(connection, name, principal)
        await _require_present(connection, principal.subject)
    return list(rows)


async def claim_these(
    connection: Connection, item_ids: Sequence[uuid.UUID], principal: Principal, *, lease_seconds: int, beside: str = "NULL"
) -> list[Any]:
    """Leases chosen items' units, as far as they are ready and the person may pull them: of what he got nothing is said why."""
    _check_seconds(lease_seconds)
    return list(
        await connection.fetch(
            _THESE.format(beside=beside),
            list(item_ids),
            list(principal.jurisdictions),
            principal.subject,
            float(lease_seconds),
            None,
            *queues.rights(principal),
        )
    )


_THESE = f"""
WITH picked AS (
  SELECT r.ctid AS row FROM ready r JOIN queue q ON q.id = r.queue_id
  WHERE r.unit_id IN (SELECT unit_id FROM work_item WHERE id = ANY($1) AND finished_at IS NULL) AND {_AVAILABLE} AND {_MAY}
    AND EXISTS (SELECT 1 FROM unnest($2::text[]) place WHERE starts_with(r.district, place))
  LIMIT {MAX_CLAIM} FOR UPDATE OF r SKIP LOCKED
){_TAKEN}"""


async def _claimed_before(connection: Connection, principal: Principal, key: str, beside: str) -> list[Any]:
    # Two requests with one key at once: the second waits and sees what the first got.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))", principal.subject, key)
    return list(await connection.fetch(_LEASED.format(beside=beside, which="l.request_key = $2"), principal.subject, key))


async def claimed_already(connection: Connection, item_id: uuid.UUID, principal: Principal, *, beside: str = "NULL") -> list[Any]:
    """The live lease the person has on a chosen item's unit, as a claim answers: chosen again it is the same claim."""
    which = "l.unit_id = (SELECT unit_id FROM work_item WHERE id = $2)"
    return list(await connection.fetch(_LEASED.format(beside=beside, which=which), principal.subject, item_id))


_LEASED = f"""
SELECT {_CLAIMED}, l.token AS lease_token, l.until AS lease_until, {{beside}} AS beside
FROM lease l JOIN work_item w ON w.unit_id = l.unit_id AND w.finished_at IS NULL
WHERE l.holder = $1 AND {{which}} AND l.until > clock_timestamp() ORDER BY w.urgent_at, w.unit_id, w.id
"""


def _check_seconds(lease_seconds: int) -> None:
    if not LEASE_SECONDS[0] <= lease_seconds <= LEASE_SECONDS[1]:
        raise Invalid.field("lease_seconds", f"must be from {LEASE_SECONDS[0]} to {LEASE_SECONDS[1]}")


async def _require_present(connection: Connection, subject: str) -> None:
    if (absence := await staff.away(connection, subject)) is not None:
        raise Conflict(
            f"entered as away until {staff.told(absence['until_at'])}: end the absence first (POST /v1/absences/{absence['id']}/end)"
        )


# -- what a holder does


@dataclass(frozen=True, slots=True)
class Held:
    """An item whose lease its holder showed, locked. others: further open items of its unit."""

    item_id: uuid.UUID
    matter_id: uuid.UUID
    unit_id: uuid.UUID
    queue_id: str
    district: str
    token: uuid.UUID
    holder: str
    claimed_at: datetime
    others: int


async def renew(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, lease_seconds: int
) -> datetime:
    """From now on; also what rested with its holder is worked on again."""
    _check_seconds(lease_seconds)
    for _ in range(2):  # the item may leave its joint matter's unit while this looks, and takes the token with it
        until = await connection.fetchval(
            "UPDATE lease l SET until = clock_timestamp() + make_interval(secs => $4), held_for = NULL FROM work_item w "
            "WHERE w.id = $1 AND w.finished_at IS NULL AND l.unit_id = w.unit_id AND l.token = $2 AND l.holder = $3 AND l.until > clock_timestamp() RETURNING until",
            item_id, token, principal.subject, float(lease_seconds),
        )  # fmt: skip
        if until is not None:
            return datetime.fromisoformat(until.isoformat())
    raise await _lost(connection, item_id, token, principal)


async def grasp(connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal) -> Held:
    """Locks the lease, which must be the caller's and live. Raises LeaseLost, NotFound."""
    for _ in range(20):
        row = await connection.fetchrow(
            "SELECT w.matter_id, w.unit_id, w.queue_id, w.district, l.claimed_at FROM work_item w JOIN lease l ON l.unit_id = w.unit_id "
            "WHERE w.id = $1 AND w.finished_at IS NULL AND l.token = $2 AND l.holder = $3 AND l.until > clock_timestamp() FOR UPDATE OF l",
            item_id, token, principal.subject,
        )  # fmt: skip
        if row is None:
            break
        # Asked anew: while this waited for the lease an item of the unit may have been finished, or this one have left it.
        now = await connection.fetchrow(
            "SELECT count(*) FILTER (WHERE id <> $2) AS others, count(*) FILTER (WHERE id = $2) AS there FROM work_item "
            "WHERE unit_id = $1 AND finished_at IS NULL",
            row["unit_id"], item_id,
        )  # fmt: skip
        if now["there"]:
            return Held(
                item_id, row["matter_id"], row["unit_id"], row["queue_id"], row["district"], token, principal.subject, row["claimed_at"],
                now["others"],
            )  # fmt: skip
    raise await _lost(connection, item_id, token, principal)


async def release(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, act: str = "release",
    detail: Mapping[str, Any] | None = None,
) -> uuid.UUID:  # fmt: skip
    """The whole unit back to its place in the queue. act, detail: why, for its history."""
    held = await grasp(connection, item_id, token, principal)
    await _free(connection, held, act, detail)
    return held.matter_id


async def finish(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, detail: Mapping[str, Any]
) -> uuid.UUID:
    """The item's work is done, for good; the lease goes on over what else the unit has open."""
    held = await grasp(connection, item_id, token, principal)
    await connection.execute("UPDATE work_item SET finished_at = clock_timestamp() WHERE id = $1", item_id)
    if not held.others:
        await connection.execute("DELETE FROM lease WHERE unit_id = $1", held.unit_id)
    await _note(connection, [item_id], "finish", held.holder, detail, held)
    return held.matter_id


async def return_to_intake(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, reason: str
) -> uuid.UUID:
    """Art. 41: a unit without power returns to the intake desk; it may not pass on itself. One item goes; those of the same joint matter
    stay."""
    held = await grasp(connection, item_id, token, principal)
    await _leave(connection, held)
    await _place(connection, item_id, "intake")
    await _note(connection, [item_id], "return", held.holder, {"reason": reason}, held)
    await _settle(connection, [item_id])
    return held.matter_id


async def transfer_to_queue(connection: Connection, held: Held, queue_id: str, reason: str) -> None:
    """To another desk of the same bureau and track, the whole unit. Where it may go is asked before (queues.require_fit). The matters of
    all its items must be held (hold_unit)."""
    await connection.execute(
        "UPDATE work_item SET queue_id = $2 WHERE unit_id = $1 AND finished_at IS NULL", held.unit_id, queue_id
    )
    await _free(connection, held, "transfer", {"queue": queue_id, "reason": reason})


async def hold_unit(connection: Connection, item_id: uuid.UUID) -> None:
    """Holds the matters of all items of the item's unit, in the order everybody locks them."""
    await connection.execute(
        "SELECT 1 FROM matter WHERE id IN (SELECT matter_id FROM work_item WHERE unit_id = (SELECT unit_id FROM work_item WHERE id = $1)) "
        "ORDER BY id FOR NO KEY UPDATE",
        item_id,
    )


async def hold(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, held_for: str, until: datetime | None, now: datetime
) -> datetime:  # fmt: skip
    """Rests with its holder until then, out of the queue: an appraisal, an appointment, a reply is waited for. It comes back to him for a
    day (KEPT), then to the queue. A term that runs is not slept through: Conflict where it ends before."""
    if held_for not in HELD_FOR:
        raise Invalid.field("held_for", f"must be one of {', '.join(HELD_FOR)}")
    held = await grasp(connection, item_id, token, principal)
    ends = until or now + _LONGEST_HOLD
    if not now < ends <= now + _LONGEST_HOLD:
        raise Invalid.field("until", f"must lie within the next {_LONGEST_HOLD.days} days")
    due_at = await connection.fetchval(
        "SELECT min(due_at) FROM work_item WHERE unit_id = $1 AND finished_at IS NULL", held.unit_id
    )
    if due_at is not None and due_at < ends:
        if due_at <= now:
            raise Conflict(f"its term was over on {local_day(due_at)}: it can't rest")
        if until is not None:
            told = f"a term ends at {staff.told(due_at)}, before that: hold it until then at most"
            raise Conflict(told, errors=[{"field": "until", "message": told}])
        ends = due_at
    await connection.execute("UPDATE lease SET until = $2, held_for = $3 WHERE unit_id = $1", held.unit_id, ends, held_for)
    await _note(connection, [item_id], "hold", held.holder, {"for": held_for, "until": ends.isoformat()}, held)
    return ends


async def _free(
    connection: Connection, held: Held, act: str, detail: Mapping[str, Any] | None = None, *, actor: str | None = None
) -> None:
    """Ends a locked lease; its unit may be pulled again."""
    items = await connection.fetch(
        "SELECT id, flags FROM work_item WHERE unit_id = $1 AND finished_at IS NULL ORDER BY id", held.unit_id
    )
    await connection.execute("DELETE FROM lease WHERE unit_id = $1", held.unit_id)
    await _note(connection, [i["id"] for i in items], act, actor or held.holder, detail or {}, held)
    if act != "transfer" and any(f.startswith(_REROUTED) for i in items for f in i["flags"]):
        await connection.execute(_FOLLOW, [held.unit_id])
    await _settle(connection, [held.unit_id])


async def _leave(connection: Connection, held: Held) -> None:
    """The item stands alone from now on, and is nobody's."""
    if not held.others:
        await connection.execute("DELETE FROM lease WHERE unit_id = $1", held.unit_id)
    await connection.execute("UPDATE work_item SET unit_id = id WHERE id = $1", held.item_id)


async def _place(connection: Connection, item_id: uuid.UUID, track: str, district: str | None = None) -> None:
    place = queues.PLACE.format(track="$2::text", district="coalesce($3::text, w.district)", goods="m.goods", problem="m.problem")
    await connection.execute(
        f"UPDATE work_item w SET queue_id = {place}, district = coalesce($3, w.district), flags = {_UNFLAGGED} FROM matter m "
        "WHERE w.id = $1 AND m.id = w.matter_id",
        item_id, track, district,
    )  # fmt: skip


# The track an item was put on while somebody had it is a flag, rerouted:TRACK; it goes there when he gives it back. What another has locked in
# this moment stays: whoever holds an item may be waiting for the lease.
_REROUTED = "rerouted:"
_UNFLAGGED = f"ARRAY(SELECT f FROM unnest(w.flags) f WHERE NOT starts_with(f, '{_REROUTED}'))"
_WANTED = f"(SELECT substr(f, {len(_REROUTED) + 1}) FROM unnest(w.flags) WITH ORDINALITY AS u(f, n) WHERE starts_with(f, '{_REROUTED}') ORDER BY n DESC LIMIT 1)"
_FOLLOW = f"""
UPDATE work_item w SET flags = {_UNFLAGGED},
  queue_id = coalesce({queues.PLACE.format(track=_WANTED, district="w.district", goods="m.goods", problem="m.problem")}, w.queue_id)
FROM matter m WHERE m.id = w.matter_id AND w.id IN (
  SELECT w.id FROM work_item w WHERE w.unit_id = ANY($1) AND w.finished_at IS NULL AND {_WANTED} IS NOT NULL FOR NO KEY UPDATE SKIP LOCKED)
"""


async def _lost(connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal) -> LeaseLost | NotFound:
    """Of another place's item, or a report's, it is not even told that there is one, unless the caller had it."""
    item = await connection.fetchrow(
        "SELECT w.district, w.finished_at, m.lane FROM work_item w JOIN matter m ON m.id = w.matter_id WHERE w.id = $1", item_id
    )
    ended = await ended_by(connection, item_id, token, principal.subject)
    if item is None or (ended is None and not (principal.covers(item["district"]) and item["lane"] in principal.lanes)):
        return NotFound("no such work item")
    how = (
        f": {_ENDED.get(ended['act'], 'ended by ' + ended['act'])} at {staff.told(ended['at'])} by {ended['actor']}"
        if ended else ""
    )  # fmt: skip
    return LeaseLost(
        f"the lease has ended or is another's{how}; {'claim again' if item['finished_at'] is None else 'its work is finished'}"
    )


_ENDED = {
    "release": "released", "finish": "finished", "return": "returned to intake", "transfer": "transferred", "expire": "expired",
    "assign": "given to another by a supervisor", "recall": "recalled by a supervisor", "recuse": "ended by a recusal", "deputise": "given to the deputy",
    "absent": "ended by an absence", "escalate": "escalated", "withdraw": "withdrawn", "dispatch": "dispatched by the intake desk",
    "merged": "merged with an earlier one", "platform_ended": "ended on the platform",
}  # fmt: skip
# What changes a lease and leaves it its holder's; all else that is noted with a token ended it.
_GOES_ON = ["hold", "rested"]


async def ended_by(connection: Connection, item_id: uuid.UUID, token: uuid.UUID, subject: str) -> Any:
    """What ended the lease that had this token and holder: {act, actor, detail, at}; None where nothing did. By it a verb that is said
    again is known."""
    return await connection.fetchrow(
        "SELECT act, actor, detail, at FROM work_event WHERE work_item_id = $1 AND token = $2 AND detail ->> 'holder' = $3 AND act <> ALL($4) "
        "ORDER BY id DESC LIMIT 1",
        item_id, token, subject, _GOES_ON,
    )  # fmt: skip


async def _open_items(connection: Connection, unit_id: uuid.UUID) -> list[uuid.UUID]:
    rows = await connection.fetch("SELECT id FROM work_item WHERE unit_id = $1 AND finished_at IS NULL ORDER BY id", unit_id)
    return [r["id"] for r in rows]


async def _note(
    connection: Connection,
    item_ids: Sequence[uuid.UUID],
    act: str,
    actor: str,
    detail: Mapping[str, Any],
    held: Held | None = None,
) -> None:
    """held: of what ends or changes a lease, whose it was, since when, and where it was held: a claim itself writes no event."""
    whose = (
        {"holder": held.holder, "claimed_at": held.claimed_at.isoformat(), "from": held.queue_id, "place": held.district}
        if held
        else {}
    )
    await connection.execute(
        "INSERT INTO work_event (work_item_id, act, actor, token, detail) SELECT i, $2, $3, $4, $5::jsonb FROM unnest($1::uuid[]) i",
        list(item_ids), act, actor, held.token if held else None, to_json({**whose, **detail}),
    )  # fmt: skip


_SETTLE = f"""
WITH unit AS (
  SELECT w.unit_id, (array_agg(w.queue_id ORDER BY w.priority DESC, w.urgent_at, w.id))[1] AS queue_id,
         (array_agg(w.district ORDER BY w.priority DESC, w.urgent_at, w.id))[1] AS district, max(w.priority) AS priority,
         min(w.urgent_at) AS urgent_at, coalesce(array_agg(DISTINCT r.subject) FILTER (WHERE r.subject IS NOT NULL), '{{}}')
         || {_KEPT_FROM.format(report="bool_or(m.lane = 'report')")} AS excluded
  FROM work_item w JOIN matter m ON m.id = w.matter_id LEFT JOIN recusal r ON r.matter_id = w.matter_id
  WHERE w.unit_id = ANY($1) AND w.finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.unit_id = w.unit_id)
  GROUP BY w.unit_id
), gone AS (
  DELETE FROM ready WHERE unit_id = ANY($1) AND NOT unit_id IN (SELECT unit_id FROM unit)
)
INSERT INTO ready (unit_id, queue_id, district, priority, urgent_at, excluded)
SELECT unit_id, queue_id, district, priority, urgent_at, excluded FROM unit
ON CONFLICT (unit_id) DO UPDATE SET queue_id = excluded.queue_id, district = excluded.district, priority = excluded.priority,
  urgent_at = excluded.urgent_at, excluded = excluded.excluded
"""


async def _settle(connection: Connection, unit_ids: Sequence[uuid.UUID]) -> None:
    """The units' rows in `ready` as their items stand now. Their rows must be locked, or just made."""
    await connection.execute(_SETTLE, list(unit_ids))


# -- what happens to a matter's work from elsewhere


@dataclass(frozen=True, slots=True)
class _Standing:
    """An item with its unit locked. lease: its row, also when it has expired and no worker has seen it; None: ready, or nothing open."""

    item_id: uuid.UUID
    unit_id: uuid.UUID
    queue_id: str
    district: str
    finished: bool
    lease: Any
    live: bool


async def _stand(connection: Connection, matter_id: uuid.UUID) -> _Standing | None:
    """Where a matter's work is, locked there; None where it never had any. The matter must be held."""
    for _ in range(20):
        item = await connection.fetchrow(
            "SELECT id, unit_id, queue_id, district, finished_at FROM work_item WHERE matter_id = $1", matter_id
        )
        if item is None:
            return None
        unit_id = item["unit_id"]
        ready = await connection.fetchval("SELECT true FROM ready WHERE unit_id = $1 FOR UPDATE", unit_id)
        lease = None if ready else await connection.fetchrow(
            "SELECT *, until > clock_timestamp() AS live FROM lease WHERE unit_id = $1 FOR UPDATE", unit_id
        )  # fmt: skip
        # Between the two questions a lease may have come or gone, and the item may have joined others.
        same = await connection.fetchrow("SELECT unit_id, finished_at FROM work_item WHERE id = $1", item["id"])
        finished = same["finished_at"] is not None
        if same["unit_id"] == unit_id and (ready or lease is not None or finished):
            return _Standing(
                item["id"], unit_id, item["queue_id"], item["district"], finished, lease, lease is not None and lease["live"]
            )
    raise Conflict("the work item changes hands all the time; try again")


def _held_by(found: _Standing, matter_id: uuid.UUID, others: int) -> Held:
    lease = found.lease
    return Held(
        found.item_id, matter_id, found.unit_id, found.queue_id, found.district, lease["token"], lease["holder"], lease["claimed_at"],
        others,
    )  # fmt: skip


async def send(
    connection: Connection, matter_id: uuid.UUID, track: str, act: str, actor: str, *, district: str | None = None
) -> None:
    """To the desk of another track, another district's where one is named; the actor's own lease on it ends. Conflict while somebody else
    works on it. A matter without work has nothing to send. The matter must be held."""
    found = await _stand(connection, matter_id)
    if found is None or found.finished:
        return
    if found.live and found.lease["holder"] != actor:
        raise Conflict("somebody else works on it now")
    others = len(await _open_items(connection, found.unit_id)) - 1
    held = _held_by(found, matter_id, others) if found.lease is not None else None
    if held is not None:
        await _leave(connection, held)
    elif found.unit_id != found.item_id:
        await connection.execute("UPDATE work_item SET unit_id = id WHERE id = $1", found.item_id)
    await _place(connection, found.item_id, track, district)
    now = await connection.fetchrow("SELECT queue_id, district FROM work_item WHERE id = $1", found.item_id)
    if held is not None or (now["queue_id"], now["district"]) != (found.queue_id, found.district):
        await _note(connection, [found.item_id], act, actor, {"queue": now["queue_id"], "district": now["district"]}, held)
    await _settle(connection, [found.item_id, *([] if held else [found.unit_id])])


async def close_item(connection: Connection, matter_id: uuid.UUID, act: str, actor: str) -> None:
    """The matter ended elsewhere (withdrawn): its item leaves the queue, a live lease with it where nothing else is open under it. The
    matter must be held."""
    found = await _stand(connection, matter_id)
    if found is None or found.finished:
        return
    await connection.execute("UPDATE work_item SET finished_at = clock_timestamp() WHERE id = $1", found.item_id)
    open_items = await _open_items(connection, found.unit_id)
    held = _held_by(found, matter_id, len(open_items)) if found.lease is not None else None
    if held is not None and not open_items:
        await connection.execute("DELETE FROM lease WHERE unit_id = $1", found.unit_id)
    await _note(connection, [found.item_id], act, actor, {}, held)
    if held is None:
        await _settle(connection, [found.unit_id])


async def reopen(connection: Connection, matter_id: uuid.UUID, actor: str) -> None:
    """A closed matter that is taken up again is work again, alone: the only way out of `finished`. The matter must be held."""
    item_id = await connection.fetchval(
        "UPDATE work_item SET finished_at = NULL, unit_id = id WHERE matter_id = $1 AND finished_at IS NOT NULL RETURNING id",
        matter_id,
    )
    if item_id is not None:
        await _note(connection, [item_id], "reopen", actor, {})
        await _settle(connection, [item_id])


async def reroute(
    connection: Connection, matter_id: uuid.UUID, track: str, actor: str, *, priority: int, due_at: datetime | None, urgent_at: datetime
) -> bool:  # fmt: skip
    """To another track's queue, or another place in its own. A live lease is never touched: it is flagged, and goes there when it ends.
    False: the matter never had an item; one that is finished stays so. The matter must be held."""
    found = await _stand(connection, matter_id)
    if found is None:
        return False
    if found.finished:
        return True
    await connection.execute(
        "UPDATE work_item SET priority = $2, due_at = $3, urgent_at = $4 WHERE id = $1",
        found.item_id,
        priority,
        due_at,
        urgent_at,
    )
    if found.live or (found.lease is not None and found.lease["held_for"]):
        there = await connection.fetchval(
            "SELECT q.track IS NOT DISTINCT FROM $2 FROM queue q WHERE q.id = $1", found.queue_id, track
        )
        await connection.execute(
            f"UPDATE work_item w SET flags = {_UNFLAGGED} || $2::text[] WHERE id = $1",
            found.item_id,
            [] if there else [_REROUTED + track],
        )
        if not there:
            await _note(connection, [found.item_id], "reroute", actor, {"from": found.queue_id, "to": track})
        return True
    if found.lease is not None:  # over, only no worker has seen it
        await _free(connection, _held_by(found, matter_id, 0), "expire", actor="worker")
    await _place(connection, found.item_id, track)
    queue_id = await connection.fetchval("SELECT queue_id FROM work_item WHERE id = $1", found.item_id)
    if queue_id != found.queue_id:
        await _note(connection, [found.item_id], "reroute", actor, {"from": found.queue_id, "to": queue_id})
    await _settle(connection, [found.unit_id])
    return True


async def holder(connection: Connection, matter_id: uuid.UUID) -> str | None:
    """Who works on it now."""
    found: str | None = await connection.fetchval(
        "SELECT l.holder FROM work_item w JOIN lease l ON l.unit_id = w.unit_id "
        "WHERE w.matter_id = $1 AND w.finished_at IS NULL AND l.until > clock_timestamp()",
        matter_id,
    )
    return found


async def flag(connection: Connection, matter_id: uuid.UUID, flag: str, actor: str, detail: Mapping[str, Any]) -> bool:
    """Tells whoever has the item. False where it is flagged so already, or nobody's any more."""
    item_id = await connection.fetchval(
        "UPDATE work_item SET flags = flags || $2::text WHERE matter_id = $1 AND finished_at IS NULL AND NOT $2 = ANY(flags) RETURNING id",
        matter_id, flag,
    )  # fmt: skip
    if item_id is not None:
        await _note(connection, [item_id], "flag", actor, {"flag": flag, **detail})
    return item_id is not None


async def hurry(connection: Connection, matter_id: uuid.UUID) -> None:
    """A superior wants it done: a step forward, as far as steps go. The matter must be held."""
    found = await _stand(connection, matter_id)
    if found is not None and not found.finished:
        await connection.execute(
            "UPDATE work_item SET priority = priority + 1, urgent_at = urgent_at - $2::interval WHERE id = $1 AND priority < $3",
            found.item_id, PRIORITY_STEP, MAX_PRIORITY,
        )  # fmt: skip
        if found.lease is None:
            await _settle(connection, [found.unit_id])


async def redate(connection: Connection, matter_ids: Sequence[uuid.UUID]) -> None:
    """Items follow their matters' clocks: due by the first that runs, nobody's hurry while all are paused, their place in the queue
    by the first of all, in a joint matter by the first of all its members'. A live lease keeps its holder; only its dates are others. What
    rests comes back to its holder before a term that runs again ends."""
    # Else a lease that ends now, or another member's new dates, would write the unit's row by the old ones.
    held = await connection.fetchrow(_HOLD_UNITS, list(matter_ids))
    await connection.execute(_REDATE, list(matter_ids), _NO_TERM, PRIORITY_STEP)
    if held["resting"]:
        await connection.execute(_WAKE, held["resting"], KEPT)


_HOLD_UNITS = """
WITH unit AS MATERIALIZED (SELECT DISTINCT unit_id FROM work_item WHERE matter_id = ANY($1) AND finished_at IS NULL),
ready AS MATERIALIZED (SELECT r.unit_id FROM ready r WHERE r.unit_id IN (SELECT unit_id FROM unit) ORDER BY r.unit_id FOR UPDATE),
leased AS MATERIALIZED (SELECT l.unit_id, l.held_for FROM lease l WHERE l.unit_id IN (SELECT unit_id FROM unit) ORDER BY l.unit_id FOR UPDATE)
SELECT array_agg(unit_id) FILTER (WHERE held_for IS NOT NULL) AS resting
FROM (SELECT unit_id, NULL AS held_for FROM ready UNION ALL SELECT unit_id, held_for FROM leased) held
"""
_WAKE = """
UPDATE lease l SET held_for = CASE WHEN d.due_at > clock_timestamp() THEN held_for END,
  until = CASE WHEN d.due_at > clock_timestamp() THEN d.due_at ELSE clock_timestamp() + $2::interval END
FROM (SELECT unit_id, min(due_at) AS due_at FROM work_item WHERE unit_id = ANY($1) AND finished_at IS NULL GROUP BY 1) d
WHERE l.unit_id = d.unit_id AND l.until > d.due_at AND l.until > clock_timestamp()
"""
_REDATE = """
WITH moved AS (
  UPDATE work_item w SET due_at = c.due_at, urgent_at = coalesce(least(c.any_at, j.any_at), m.received_at + $2::interval) - w.priority * $3::interval
  FROM matter m, LATERAL (
    SELECT min(due_at) FILTER (WHERE paused_at IS NULL) AS due_at, min(due_at) AS any_at FROM clock
    WHERE matter_id = m.id AND stopped_at IS NULL
  ) c, LATERAL (
    SELECT min(k.due_at) AS any_at FROM joint_member own JOIN joint_matter jm ON jm.id = own.joint_matter_id AND jm.state = 'joined'
    JOIN joint_member o ON o.joint_matter_id = jm.id AND o.left_at IS NULL JOIN clock k ON k.matter_id = o.matter_id AND k.stopped_at IS NULL
    WHERE own.matter_id = m.id AND own.left_at IS NULL
  ) j WHERE m.id = ANY($1) AND w.matter_id = m.id AND w.finished_at IS NULL RETURNING w.id, w.unit_id, w.urgent_at
)
UPDATE ready r SET urgent_at = u.urgent_at FROM (
  SELECT n.unit_id, least(min(n.urgent_at), (
    SELECT min(o.urgent_at) FROM work_item o WHERE o.unit_id = n.unit_id AND o.finished_at IS NULL AND NOT o.id IN (SELECT id FROM moved)
  )) AS urgent_at FROM moved n GROUP BY n.unit_id
) u WHERE r.unit_id = u.unit_id AND r.urgent_at <> u.urgent_at
"""


async def exclude(connection: Connection, matter_id: uuid.UUID, subject: str, actor: str, reason: str) -> bool:
    """Whoever was recused is given the matter no more; his lease on it ends. Gives whether it did. The matter must be held."""
    found = await _stand(connection, matter_id)
    if found is None or found.finished:
        return False
    if found.lease is not None and found.lease["holder"] == subject:
        await _free(connection, _held_by(found, matter_id, 0), "recuse", {"reason": reason}, actor=actor)
        return True
    await _settle(connection, [found.unit_id])
    return False


# -- work that is given


async def assign(
    connection: Connection,
    item_id: uuid.UUID,
    to: str,
    actor: str,
    reason: str,
    *,
    act: str = "assign",
    had: tuple[str | None] | None = None,
) -> uuid.UUID:
    """The unit becomes that person's, whoever had it, for a day (KEPT): he finds it among his own and renews it. Conflict, Forbidden where
    he may not have it. Gives the matter's id, which must be held. had: only from this person, (None,): only if it is nobody's; else Conflict."""
    matter_id = await matter_of(connection, item_id)
    found = await _stand(connection, matter_id)
    if found is None or found.finished:
        raise Conflict("its work is finished")
    if had is not None and had[0] != (found.lease["holder"] if found.live else None):
        raise Conflict("somebody else has it by now" if found.live else "nobody has it any more")
    await require_may_have(connection, found.unit_id, to)
    if found.live and found.lease["holder"] == to:  # said again, or his already: he goes on by the token he has
        await connection.execute(
            "UPDATE lease SET until = greatest(until, clock_timestamp() + $2::interval) WHERE unit_id = $1", found.unit_id, KEPT
        )
        return matter_id
    held = _held_by(found, matter_id, 0) if found.lease is not None else None
    items = await _open_items(connection, found.unit_id)
    await connection.execute("DELETE FROM ready WHERE unit_id = $1", found.unit_id)
    await connection.execute(
        "INSERT INTO lease (unit_id, token, holder, until) VALUES ($1, gen_random_uuid(), $2, clock_timestamp() + $3::interval) "
        "ON CONFLICT (unit_id) DO UPDATE SET token = excluded.token, holder = excluded.holder, until = CASE WHEN lease.held_for IS NULL "
        "THEN excluded.until ELSE lease.until END, claimed_at = clock_timestamp(), request_key = NULL",
        found.unit_id, to, KEPT,
    )  # fmt: skip
    await _note(connection, items, act, actor, {"to": to, "reason": reason}, held)
    return matter_id


async def recall(connection: Connection, item_id: uuid.UUID, actor: str, reason: str) -> uuid.UUID:
    """Back to the queue from whoever has it. The matter must be held."""
    matter_id = await matter_of(connection, item_id)
    found = await _stand(connection, matter_id)
    if found is None or found.lease is None:
        raise Conflict("nobody has it")
    await _free(connection, _held_by(found, matter_id, 0), "recall", {"reason": reason}, actor=actor)
    return matter_id


async def require_may_have(connection: Connection, unit_id: uuid.UUID, subject: str) -> None:
    """Whether a person could pull the unit himself. Invalid, field `to`, or Conflict where not."""
    person = await identity.find_person(connection, subject)
    if person is None:
        raise Invalid.field("to", "no such person with a token that works")
    items = await connection.fetch(
        "SELECT w.matter_id, w.queue_id, w.district, m.lane FROM work_item w JOIN matter m ON m.id = w.matter_id "
        "WHERE w.unit_id = $1 AND w.finished_at IS NULL",
        unit_id,
    )
    if not all(person.covers(i["district"]) for i in items):
        raise Invalid.field("to", "the place of the matter is outside that person's jurisdiction")
    if not all(i["lane"] in person.lanes for i in items):
        raise Invalid.field("to", f"{subject} is not cleared for reports (Art. 37)")
    # Of who works elsewhere it is not told that he is away.
    if (absence := await staff.away(connection, subject)) is not None:
        stands_in = f"; {absence['deputy']} stands in" if absence["deputy"] else ""
        raise Conflict(f"{subject} is away until {staff.told(absence['until_at'])}{stands_in}")
    for queue_id in {i["queue_id"] for i in items}:
        try:
            await queues.require(connection, queue_id, person)
        except (NotFound, Forbidden) as error:
            raise Invalid.field("to", f"{subject}: {error.detail}") from None
    if await staff.recused(connection, [i["matter_id"] for i in items], subject):
        raise Conflict(f"{subject} is recused from it (Art. 21)")


# -- by the worker

# By the statement's own time, which bounds the scan; else every live lease is read at each round.
_EXPIRED = """
SELECT unit_id, token, holder, claimed_at, held_for FROM lease WHERE until <= statement_timestamp() ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED
"""


async def sweep(connection: Connection, limit: int = 500) -> int:
    """Expired leases: what rested comes back to its holder for a day, the rest to its place in the queue. Inside a transaction."""
    rows = await connection.fetch(_EXPIRED, limit)
    rested = [r["unit_id"] for r in rows if r["held_for"] is not None]
    ended = [r["unit_id"] for r in rows if r["held_for"] is None]
    if rested:
        await connection.execute(
            "UPDATE lease SET held_for = NULL, until = clock_timestamp() + $2::interval WHERE unit_id = ANY($1)", rested, KEPT
        )
    if ended:
        await connection.execute("DELETE FROM lease WHERE unit_id = ANY($1)", ended)
    if rows:
        await connection.execute(_NOTE_SWEPT, [r["unit_id"] for r in rows], [r["token"] for r in rows], [r["holder"] for r in rows],
            [r["claimed_at"] for r in rows], ["rested" if r["held_for"] else "expire" for r in rows])  # fmt: skip
    if ended:
        await connection.execute(_FOLLOW, ended)
        await _settle(connection, ended)
    return len(rows)


_NOTE_SWEPT = """
INSERT INTO work_event (work_item_id, act, actor, token, detail)
SELECT w.id, l.act, 'worker', l.token, jsonb_build_object('holder', l.holder, 'claimed_at', l.claimed_at, 'from', w.queue_id, 'place', w.district)
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[]) AS l(unit_id, token, holder, claimed_at, act)
JOIN work_item w ON w.unit_id = l.unit_id AND w.finished_at IS NULL
"""
_ABSENT = f"""
SELECT w.id, w.matter_id, a.subject, a.deputy FROM absence a JOIN lease l ON l.holder = a.subject JOIN work_item w ON w.unit_id = l.unit_id AND w.finished_at IS NULL
WHERE {staff.RUNS} ORDER BY w.id LIMIT $1
"""


async def absent(connection: Connection, limit: int = 50) -> list[Any]:
    """What people who are away have: {id, matter_id, subject, deputy}."""
    return list(await connection.fetch(_ABSENT, limit))


async def stand_in(connection: Connection, item_id: uuid.UUID, matter_id: uuid.UUID, subject: str, deputy: str | None) -> None:
    """From a person who is away to his deputy, where he may have it; else back to the queue. The matter must be held."""
    found = await _stand(connection, matter_id)
    if found is None or found.lease is None or found.lease["holder"] != subject:
        return  # somebody was quicker
    reason = "持有人请假"
    if deputy is not None:
        try:
            await assign(connection, item_id, deputy, "worker", reason, act="deputise")
            return
        except (Conflict, Invalid):
            pass  # he may not have it: whoever may, pulls it
    await _free(connection, _held_by(found, matter_id, 0), "absent", {"reason": reason}, actor="worker")


# -- joint matters are worked on whole

_MEMBERS = """
SELECT w.id, w.matter_id, w.unit_id, w.district, (j.state = 'joined' AND m.left_at IS NULL AND q.track IS DISTINCT FROM 'intake') AS kept
FROM joint_member m JOIN joint_matter j ON j.id = m.joint_matter_id JOIN work_item w ON w.matter_id = m.matter_id JOIN queue q ON q.id = w.queue_id
WHERE m.joint_matter_id = $1 AND w.finished_at IS NULL ORDER BY w.matter_id
"""


async def regroup(connection: Connection, joint_id: uuid.UUID) -> None:
    """A joint matter's open items of one district, the one with most of them, are one unit; whoever left it stands alone. What somebody
    works on is taken in when his lease ends; what joins a unit somebody works on is his to do as well, unless he is recused from it: then
    it stands alone as long as he has the unit. The matters must be held."""
    rows = await connection.fetch(_MEMBERS, joint_id)
    kept = [r for r in rows if r["kept"]]
    districts = [r["district"] for r in kept]
    place = min(districts, key=lambda d: (-districts.count(d), d)) if len(districts) > 1 else None
    inside = [r for r in kept if r["district"] == place]
    for row in rows:
        if row["unit_id"] == joint_id and (row not in inside or len(inside) < 2):
            await _out(connection, row)
    if len(inside) < 2:
        return
    alone = []
    for row in inside:
        if row["unit_id"] != joint_id:
            found = await _stand(connection, row["matter_id"])
            if found is not None and found.lease is None and not found.finished:
                alone.append(row)
    if not alone:
        return
    # Somebody may have claimed the unit, or give it back in this moment: then he writes its row without these, or finds them in it.
    whose = await _hold_joint(connection, joint_id)
    barred = await staff.recused(connection, [r["matter_id"] for r in alone], whose) if whose is not None else set()
    joined = [r["id"] for r in alone if r["matter_id"] not in barred]
    await connection.execute("DELETE FROM ready WHERE unit_id = ANY($1)", [r["unit_id"] for r in alone if r["id"] in joined])
    await connection.execute("UPDATE work_item SET unit_id = $2 WHERE id = ANY($1)", joined, joint_id)
    await _note(connection, joined, "join", "worker", {"joint_matter_id": str(joint_id)})
    await _settle(connection, [joint_id])


async def _hold_joint(connection: Connection, joint_id: uuid.UUID) -> str | None:
    """Locks a joint matter's unit. Gives whose it is; None: it is ready, or has no open item yet. The matters must be held."""
    for _ in range(20):
        if await connection.fetchval("SELECT true FROM ready WHERE unit_id = $1 FOR UPDATE", joint_id):
            return None
        whose: str | None = await connection.fetchval("SELECT holder FROM lease WHERE unit_id = $1 FOR UPDATE", joint_id)
        if whose is not None or not await _open_items(connection, joint_id):
            return whose
    raise Conflict("the work of the joint matter changes hands all the time; try again")


async def _out(connection: Connection, row: Any) -> None:
    """An item that left its joint matter; whoever works on the unit keeps it under the same token."""
    found = await _stand(connection, row["matter_id"])
    if found is None or found.finished:
        return
    await connection.execute("UPDATE work_item SET unit_id = id WHERE id = $1", row["id"])
    if found.lease is not None:
        await connection.execute(
            "INSERT INTO lease (unit_id, token, holder, claimed_at, until, held_for, request_key) "
            "SELECT $2, token, holder, claimed_at, until, held_for, request_key FROM lease WHERE unit_id = $1",
            found.unit_id, row["id"],
        )  # fmt: skip
        if not await _open_items(connection, found.unit_id):
            await connection.execute("DELETE FROM lease WHERE unit_id = $1", found.unit_id)
    await _settle(connection, [row["id"], found.unit_id])


# What `regroup` would change, and nothing else: a worker asks again until there is none.
_UNGROUPED = """
WITH kept AS (
  SELECT j.id AS joint_id, w.unit_id, w.matter_id, w.district, count(*) OVER (PARTITION BY j.id, w.district) AS together
  FROM joint_matter j JOIN joint_member m ON m.joint_matter_id = j.id AND m.left_at IS NULL
  JOIN work_item w ON w.matter_id = m.matter_id AND w.finished_at IS NULL JOIN queue q ON q.id = w.queue_id
  WHERE j.state = 'joined' AND q.track IS DISTINCT FROM 'intake'
), place AS (
  SELECT DISTINCT ON (joint_id) joint_id, district FROM kept WHERE together > 1 ORDER BY joint_id, together DESC, district
)
SELECT joint_id AS id FROM kept k JOIN place USING (joint_id, district) WHERE unit_id <> joint_id AND EXISTS (SELECT 1 FROM ready r WHERE r.unit_id = k.unit_id)
  AND NOT EXISTS (SELECT 1 FROM lease l JOIN recusal s ON s.subject = l.holder WHERE l.unit_id = k.joint_id AND s.matter_id = k.matter_id)
UNION SELECT j.id FROM joint_matter j JOIN joint_member m ON m.joint_matter_id = j.id
  JOIN work_item w ON w.matter_id = m.matter_id AND w.finished_at IS NULL AND w.unit_id = j.id WHERE j.state <> 'joined' OR m.left_at IS NOT NULL
LIMIT $1
"""


async def ungrouped(connection: Connection, limit: int = 20) -> list[uuid.UUID]:
    """Joint matters whose items may not stand together as they should."""
    return [r["id"] for r in await connection.fetch(_UNGROUPED, limit)]


# -- what people read


async def items_of(connection: Connection, matter_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """matter -> its work item: what every verb is said of. History has none."""
    rows = await connection.fetch("SELECT matter_id, id FROM work_item WHERE matter_id = ANY($1)", list(matter_ids))
    return {r["matter_id"]: r["id"] for r in rows}


async def matter_of(connection: Connection, item_id: uuid.UUID) -> uuid.UUID:
    found = await connection.fetchval("SELECT matter_id FROM work_item WHERE id = $1", item_id)
    if found is None:
        raise NotFound("no such work item")
    return uuid.UUID(str(found))


# Counted before the places are looked at, for there are a million rows and a few hundred districts; what is ready, along its index.
_WAITING = """
WITH unit AS (
  SELECT q AS queue_id, r.district, r.ready, 0 AS leased FROM unnest($1::text[]) q CROSS JOIN unnest($2::text[]) j CROSS JOIN LATERAL (
    SELECT district, count(*) AS ready FROM ready WHERE queue_id = q AND district >= j AND district <= j || '999999' GROUP BY 1) r
  UNION ALL SELECT w.queue_id, w.district, 0, count(*) FROM lease l CROSS JOIN LATERAL (
    SELECT queue_id, district FROM work_item w WHERE w.unit_id = l.unit_id AND w.finished_at IS NULL LIMIT 1) w
  WHERE l.until > clock_timestamp() GROUP BY 1, 2
)
SELECT queue_id, district, sum(ready)::bigint AS ready, sum(leased)::bigint AS leased FROM unit
WHERE queue_id = ANY($1) AND district ^@ ANY($2::text[]) GROUP BY 1, 2 ORDER BY 1, 2
"""
_OVERDUE = """
WITH open AS MATERIALIZED (
  SELECT queue_id, district, count(*) FILTER (WHERE due_at < statement_timestamp()) AS overdue, min(due_at) AS next_due_at
  FROM work_item WHERE finished_at IS NULL GROUP BY 1, 2
)
SELECT queue_id, sum(overdue)::bigint AS overdue, min(next_due_at) AS next_due_at FROM open
WHERE queue_id = ANY($1) AND district ^@ ANY($2::text[]) GROUP BY 1
"""


async def waiting(connection: Connection, principal: Principal) -> list[dict[str, Any]]:
    """The queues the caller may pull from, with what waits there in his places, also per district. ready, leased: units; overdue: items."""
    known = await queues.of(connection, principal)
    ids, places = [q["id"] for q in known], list(queues.within(principal, None))
    counts = await connection.fetch(_WAITING, ids, places)
    terms = {r["queue_id"]: r for r in await connection.fetch(_OVERDUE, ids, places)}
    found = []
    for queue in known:
        own = [c for c in counts if c["queue_id"] == queue["id"]]
        term = terms.get(queue["id"])
        found.append(
            {
                **{k: queue[k] for k in ("id", "name", "lane", "track", "district", "desk", "skill", "active")},
                "ready": sum(c["ready"] for c in own), "leased": sum(c["leased"] for c in own),
                "overdue": term["overdue"] if term else 0, "next_due_at": term["next_due_at"] if term else None,
                "districts": [
                    {"id": f"{c['district']}.{queue['id']}", "ready": c["ready"], "leased": c["leased"]} for c in own if len(c["district"]) > 2
                ],
            }
        )  # fmt: skip
    return found


async def history(connection: Connection, matter_id: uuid.UUID, limit: int) -> list[Any]:
    """What happened to the matter's work, the newest first: {act, actor, at, detail}. A claim is known by what ended it (detail.claimed_at)."""
    return list(
        await connection.fetch(
            "SELECT e.act, e.actor, e.at, e.detail FROM work_event e JOIN work_item w ON w.id = e.work_item_id WHERE w.matter_id = $1 "
            "ORDER BY e.id DESC LIMIT $2",
            matter_id, limit,
        )
    )  # fmt: skip


_ITEM = """
SELECT w.id, w.matter_id, w.unit_id, w.queue_id, w.district, w.priority, w.due_at, w.flags,
       CASE WHEN w.finished_at IS NOT NULL THEN 'finished' WHEN l.unit_id IS NULL THEN 'ready' WHEN l.held_for IS NOT NULL THEN 'held' ELSE 'leased' END AS state,
       w.enqueued_at, w.finished_at, m.letter_id, m.lane, l.holder, l.token AS lease_token, l.until AS lease_until, l.claimed_at, l.held_for
FROM work_item w JOIN matter m ON m.id = w.matter_id
LEFT JOIN lease l ON l.unit_id = w.unit_id AND l.until > clock_timestamp() AND w.finished_at IS NULL
"""


async def mine(connection: Connection, principal: Principal) -> list[Any]:
    """What the caller has, worked on or resting: what a crashed client finds again."""
    return list(
        await connection.fetch(_ITEM + "WHERE l.holder = $1 ORDER BY w.urgent_at, w.unit_id, w.id LIMIT 500", principal.subject)
    )


async def read_item(connection: Connection, item_id: uuid.UUID) -> Any:
    row = await connection.fetchrow(_ITEM + "WHERE w.id = $1", item_id)
    if row is None:
        raise NotFound("no such work item")
    return row
