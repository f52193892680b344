"""The mediators' queue: one statement per verb, database time.

A claim moves the row out of the pull index and writes a lease into its own table: leases kept inside the index are
stepped over by every later claim.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.database import Connection, to_json
from app.errors import Conflict, Forbidden, Invalid, LeaseLost, NotFound
from app.identity import Principal, new_id

MAX_CLAIM = 50
LEASE_SECONDS = (30, 8 * 3600)
# How far each step of priority moves an item forward. Bounded, so the least urgent item overtakes by waiting.
PRIORITY_STEP = timedelta(hours=12)
_NO_TERM = timedelta(days=10)


def urgent_at(due_at: datetime | None, received_at: datetime, priority: int) -> datetime:
    return (due_at or received_at + _NO_TERM) - priority * PRIORITY_STEP


async def enqueue(connection: Connection, items: Sequence[Mapping[str, Any]]) -> None:
    """items: {matter_id, queue_id, district, skill, priority, due_at, received_at}."""
    if items:
        await connection.execute(
            "INSERT INTO work_item (id, matter_id, queue_id, district, skill, priority, due_at, urgent_at, state) "
            "SELECT i, m, q, d, s, p, du, u, 'ready' FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], "
            "$6::smallint[], $7::timestamptz[], $8::timestamptz[]) AS t(i, m, q, d, s, p, du, u) ON CONFLICT (matter_id) DO NOTHING",
            [new_id() for _ in items], [i["matter_id"] for i in items], [i["queue_id"] for i in items],
            [i["district"] for i in items], [i["skill"] for i in items], [i["priority"] for i in items],
            [i["due_at"] for i in items], [urgent_at(i["due_at"], i["received_at"], i["priority"]) for i in items],
        )  # fmt: skip


_QUEUE_ID = re.compile(r"(?:(?P<district>\d{2,6})\.)?(?P<queue>[a-z0-9_]{1,40})")

# The bare statement and its rights: items of a district the caller covers, or of none yet; skills he has, or none asked.
CLAIM = """
WITH picked AS (
  SELECT id FROM work_item
  WHERE queue_id = $1 AND state = 'ready' {where}
  ORDER BY urgent_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
), moved AS (
  UPDATE work_item SET state = 'leased', claims = claims + 1 FROM picked WHERE work_item.id = picked.id
  RETURNING work_item.id, work_item.matter_id, work_item.queue_id, work_item.district, work_item.priority, work_item.due_at,
            work_item.flags, work_item.urgent_at
), leased AS (
  INSERT INTO lease (work_item_id, token, holder, until)
  SELECT id, gen_random_uuid(), $3, clock_timestamp() + make_interval(secs => $4) FROM moved
  RETURNING work_item_id, token, until
), noted AS (
  INSERT INTO work_event (work_item_id, act, actor, detail) SELECT id, 'claim', $3, '{{}}'::jsonb FROM moved
)
SELECT moved.*, leased.token AS lease_token, leased.until AS lease_until FROM moved JOIN leased ON leased.work_item_id = moved.id
ORDER BY moved.urgent_at, moved.id
"""


async def claim(connection: Connection, queue: str, principal: Principal, *, limit: int, lease_seconds: int) -> list[Any]:
    """Most urgent first. Empty when nothing is ready; NotFound for a queue that does not exist."""
    parts = _QUEUE_ID.fullmatch(queue)
    if parts is None:
        raise NotFound(f"no queue {queue}")
    if not 1 <= limit <= MAX_CLAIM:
        raise Invalid.field("limit", f"must be from 1 to {MAX_CLAIM}")
    if not LEASE_SECONDS[0] <= lease_seconds <= LEASE_SECONDS[1]:
        raise Invalid.field("lease_seconds", f"must be from {LEASE_SECONDS[0]} to {LEASE_SECONDS[1]}")
    where, arguments = _rights(principal, parts["district"])
    rows = await connection.fetch(
        CLAIM.format(where=where), parts["queue"], limit, principal.subject, float(lease_seconds), *arguments
    )
    if not rows and not await connection.fetchval("SELECT true FROM queue WHERE id = $1", parts["queue"]):
        raise NotFound(f"no queue {queue}")
    return list(rows)


def _rights(principal: Principal, district: str | None) -> tuple[str, list[Any]]:
    """Compared as text prefixes: '4201' covers every district of Wuhan."""
    arguments: list[Any] = []
    where = ""
    if district:
        if not any(district.startswith(j) or j.startswith(district) for j in principal.jurisdictions):
            raise Forbidden(f"the queue of {district} is outside your jurisdiction")
        arguments.append(district)
        where += (
            f" AND district LIKE ${4 + len(arguments)} || '%'" if len(district) < 6 else f" AND district = ${4 + len(arguments)}"
        )
    arguments.append(list(principal.jurisdictions))
    where += f" AND EXISTS (SELECT 1 FROM unnest(${4 + len(arguments)}::text[]) j WHERE starts_with(district, j))"
    arguments.append(list(principal.skills))
    where += f" AND (skill IS NULL OR skill = ANY(${4 + len(arguments)}))"
    return where, arguments


async def renew(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, lease_seconds: int
) -> datetime:
    if not LEASE_SECONDS[0] <= lease_seconds <= LEASE_SECONDS[1]:
        raise Invalid.field("lease_seconds", f"must be from {LEASE_SECONDS[0]} to {LEASE_SECONDS[1]}")
    until = await connection.fetchval(
        "UPDATE lease SET until = clock_timestamp() + make_interval(secs => $4) "
        "WHERE work_item_id = $1 AND token = $2 AND holder = $3 AND until > clock_timestamp() RETURNING until",
        item_id, token, principal.subject, float(lease_seconds),
    )  # fmt: skip
    if until is None:
        raise await _lost(connection, item_id)
    return datetime.fromisoformat(until.isoformat())


_END = """
WITH ended AS (
  DELETE FROM lease WHERE work_item_id = $1 AND token = $2 AND holder = $3 AND until > clock_timestamp() RETURNING work_item_id
), moved AS (
  UPDATE work_item SET state = $4, queue_id = coalesce($7, queue_id),
         finished_at = CASE WHEN $4 = 'finished' THEN clock_timestamp() END
  FROM ended WHERE work_item.id = ended.work_item_id AND work_item.state = 'leased' RETURNING work_item.id, matter_id
), noted AS (
  INSERT INTO work_event (work_item_id, act, actor, detail) SELECT id, $5, $3, $6::jsonb FROM moved
)
SELECT matter_id FROM moved
"""


async def _end(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, state: str, act: str, detail: Mapping[str, Any],
    queue: str | None = None,
) -> uuid.UUID:  # fmt: skip
    matter = await connection.fetchval(_END, item_id, token, principal.subject, state, act, to_json(detail), queue)
    if matter is None:
        raise await _lost(connection, item_id)
    return uuid.UUID(str(matter))


async def release(connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal) -> uuid.UUID:
    """Back to its place in the queue."""
    return await _end(connection, item_id, token, principal, "ready", "release", {})


async def finish(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, detail: Mapping[str, Any]
) -> uuid.UUID:
    return await _end(connection, item_id, token, principal, "finished", "finish", detail)


async def return_to_intake(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, reason: str
) -> uuid.UUID:
    """Art. 41: a unit without power returns to the intake desk; it may not pass on itself."""
    return await _end(connection, item_id, token, principal, "ready", "return", {"reason": reason}, queue="intake")


async def send(
    connection: Connection, matter_id: uuid.UUID, queue: str, act: str, actor: str, *, district: str | None = None
) -> None:
    """To another desk, another district's where one is named; the actor's own lease ends. Conflict while somebody else works on it. A
    matter without work has nothing to send. The matter must be held."""
    if await connection.fetchval(_SEND, matter_id, queue, district, act, actor):
        return
    # Asked anew, for a claim may have come between.
    if await connection.fetchval("SELECT state FROM work_item WHERE matter_id = $1", matter_id) == "leased":
        raise Conflict("somebody else works on it now")


# The lease before the item, as every other verb takes them; a claim that came first keeps the item.
_SEND = """
WITH gone AS (
  DELETE FROM lease USING work_item w WHERE w.matter_id = $1 AND lease.work_item_id = w.id
    AND (lease.holder = $5 OR lease.until <= clock_timestamp()) RETURNING lease.work_item_id
), moved AS (
  UPDATE work_item SET state = 'ready', queue_id = $2, district = coalesce($3, district)
  WHERE matter_id = $1 AND (SELECT count(*) FROM gone) >= 0 AND (state = 'ready' OR id IN (SELECT work_item_id FROM gone))
    AND (state <> 'ready' OR queue_id <> $2 OR district <> coalesce($3, district))
  RETURNING id
), noted AS (
  INSERT INTO work_event (work_item_id, act, actor, detail)
  SELECT id, $4, $5, jsonb_build_object('queue', $2::text, 'district', $3::text) FROM moved
)
SELECT id FROM moved
"""


async def _lost(connection: Connection, item_id: uuid.UUID) -> LeaseLost | NotFound:
    if not await connection.fetchval("SELECT true FROM work_item WHERE id = $1", item_id):
        return NotFound("no such work item")
    return LeaseLost("the lease has ended, was released, or is another's; claim again")


_SWEEP = """
WITH expired AS (
  SELECT work_item_id, holder FROM lease WHERE until <= clock_timestamp() ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED
), ended AS (
  DELETE FROM lease USING expired WHERE lease.work_item_id = expired.work_item_id RETURNING lease.work_item_id, lease.holder
), moved AS (
  UPDATE work_item SET state = 'ready' FROM ended WHERE work_item.id = ended.work_item_id AND state = 'leased'
  RETURNING work_item.id, ended.holder
)
INSERT INTO work_event (work_item_id, act, actor, detail)
SELECT id, 'expire', 'worker', jsonb_build_object('holder', holder) FROM moved
"""


async def sweep(connection: Connection, limit: int = 500) -> int:
    """Returns expired leases' items to their place."""
    status: str = await connection.execute(_SWEEP, limit)
    return int(status.rsplit(" ", 1)[-1])


async def close_item(connection: Connection, matter_id: uuid.UUID, act: str, actor: str) -> None:
    """The matter ended elsewhere (withdrawn): its item leaves the queue, a live lease with it."""
    await connection.execute(_CLOSE, matter_id, act, actor)


# The lease before the item, as every other verb takes them.
_CLOSE = """
WITH gone AS (
  DELETE FROM lease USING work_item w WHERE w.matter_id = $1 AND lease.work_item_id = w.id RETURNING lease.work_item_id
), item AS (
  UPDATE work_item SET state = 'finished', finished_at = clock_timestamp()
  WHERE matter_id = $1 AND state <> 'finished' AND (SELECT count(*) FROM gone) >= 0 RETURNING id
)
INSERT INTO work_event (work_item_id, act, actor, detail) SELECT id, $2, $3, '{}'::jsonb FROM item
"""


async def reopen(connection: Connection, matter_id: uuid.UUID, actor: str) -> None:
    """A closed matter that is taken up again is work again: the only way out of `finished`."""
    await connection.execute(
        "WITH item AS (UPDATE work_item SET state = 'ready', finished_at = NULL WHERE matter_id = $1 AND state = 'finished' RETURNING id) "
        "INSERT INTO work_event (work_item_id, act, actor, detail) SELECT id, 'reopen', $2, '{}'::jsonb FROM item",
        matter_id, actor,
    )  # fmt: skip


async def reroute(
    connection: Connection, matter_id: uuid.UUID, queue: str, actor: str, *, priority: int, due_at: datetime | None, urgent_at: datetime
) -> bool:  # fmt: skip
    """To another queue, or another place in its own. A live lease is never touched: it is flagged, and its holder decides.
    False: the matter never had an item; one that is finished stays so."""
    row = await connection.fetchrow(_REROUTE, matter_id, queue, actor, priority, due_at, urgent_at)
    return row is not None


_REROUTE = """
WITH item AS (SELECT id, queue_id, state FROM work_item WHERE matter_id = $1 FOR NO KEY UPDATE), moved AS (
  UPDATE work_item w SET queue_id = CASE WHEN w.state = 'ready' THEN $2 ELSE w.queue_id END,
    priority = CASE WHEN w.state = 'ready' THEN $4::smallint ELSE w.priority END,
    due_at = CASE WHEN w.state = 'ready' THEN $5::timestamptz ELSE w.due_at END,
    urgent_at = CASE WHEN w.state = 'ready' THEN $6::timestamptz ELSE w.urgent_at END,
    flags = CASE WHEN w.state = 'leased' AND w.queue_id <> $2 AND NOT w.flags @> ARRAY['rerouted:' || $2]
            THEN w.flags || ('rerouted:' || $2) ELSE w.flags END
  FROM item WHERE w.id = item.id AND item.state <> 'finished' RETURNING w.id, item.queue_id
), noted AS (
  INSERT INTO work_event (work_item_id, act, actor, detail)
  SELECT id, 'reroute', $3, jsonb_build_object('from', queue_id, 'to', $2::text) FROM moved WHERE queue_id <> $2
)
SELECT id FROM item
"""


async def leased(connection: Connection, matter_id: uuid.UUID) -> bool:
    """Whether somebody works on it now."""
    return bool(
        await connection.fetchval(
            "SELECT 1 FROM work_item w JOIN lease l ON l.work_item_id = w.id WHERE w.matter_id = $1 AND l.until > clock_timestamp()",
            matter_id,
        )
    )


async def holder(connection: Connection, matter_id: uuid.UUID) -> str | None:
    """Who works on it now."""
    found: str | None = await connection.fetchval(
        "SELECT l.holder FROM work_item w JOIN lease l ON l.work_item_id = w.id WHERE w.matter_id = $1 AND l.until > clock_timestamp()",
        matter_id,
    )
    return found


async def flag(connection: Connection, matter_id: uuid.UUID, flag: str, actor: str, detail: Mapping[str, Any]) -> bool:
    """Tells whoever has the item. False where it is flagged so already, or nobody's any more."""
    row = await connection.fetchrow(
        "WITH item AS (UPDATE work_item SET flags = flags || $2::text WHERE matter_id = $1 AND state <> 'finished' AND NOT $2 = ANY(flags) "
        "RETURNING id), noted AS (INSERT INTO work_event (work_item_id, act, actor, detail) SELECT id, 'flag', $3, $4::jsonb FROM item) "
        "SELECT id FROM item",
        matter_id, flag, actor, to_json({"flag": flag, **detail}),
    )  # fmt: skip
    return row is not None


async def redate(connection: Connection, matter_ids: Sequence[uuid.UUID]) -> None:
    """Items follow their matters' clocks: due by the first that runs, nobody's hurry while all are paused, their place in the queue
    by the first of all, in a joint matter by the first of all its members'. A live lease keeps its holder; only its dates are others."""
    await connection.execute(_REDATE, list(matter_ids), _NO_TERM, PRIORITY_STEP)


_REDATE = """
UPDATE work_item w SET due_at = c.due_at, urgent_at = coalesce(least(c.any_at, j.any_at), m.received_at + $2::interval) - w.priority * $3::interval
FROM matter m, LATERAL (
  SELECT min(due_at) FILTER (WHERE paused_at IS NULL) AS due_at, min(due_at) AS any_at FROM clock
  WHERE matter_id = m.id AND stopped_at IS NULL
) c, LATERAL (
  SELECT min(k.due_at) AS any_at FROM joint_member own JOIN joint_matter jm ON jm.id = own.joint_matter_id AND jm.state = 'joined'
  JOIN joint_member o ON o.joint_matter_id = jm.id AND o.left_at IS NULL JOIN clock k ON k.matter_id = o.matter_id AND k.stopped_at IS NULL
  WHERE own.matter_id = m.id AND own.left_at IS NULL
) j WHERE m.id = ANY($1) AND w.matter_id = m.id AND w.state <> 'finished'
"""


async def matter_of(connection: Connection, item_id: uuid.UUID) -> uuid.UUID:
    found = await connection.fetchval("SELECT matter_id FROM work_item WHERE id = $1", item_id)
    if found is None:
        raise NotFound("no such work item")
    return uuid.UUID(str(found))


async def queues(connection: Connection, principal: Principal) -> list[dict[str, Any]]:
    """What the caller may pull from, with what waits there, also per district."""
    rows = await connection.fetch(
        "SELECT q.id, q.name, w.district, count(*) FILTER (WHERE w.state = 'ready') AS ready, "
        "count(*) FILTER (WHERE w.state = 'leased') AS leased, min(w.due_at) FILTER (WHERE w.state = 'ready') AS next_due_at, "
        "count(*) FILTER (WHERE w.due_at < clock_timestamp()) AS overdue "
        "FROM queue q LEFT JOIN work_item w ON w.queue_id = q.id AND w.state IN ('ready', 'leased') "
        "AND EXISTS (SELECT 1 FROM unnest($1::text[]) j WHERE starts_with(w.district, j)) "
        "GROUP BY q.id, q.name, w.district ORDER BY q.id, w.district NULLS FIRST",
        list(principal.jurisdictions),
    )
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        whole = found.setdefault(
            row["id"], {"id": row["id"], "name": row["name"], "ready": 0, "leased": 0, "overdue": 0, "districts": []}
        )
        for figure in ("ready", "leased", "overdue"):
            whole[figure] += row[figure]
        if row["district"] and len(row["district"]) > 2:
            whole["districts"].append({"id": f"{row['district']}.{row['id']}", "ready": row["ready"], "leased": row["leased"]})
    return list(found.values())


_ITEM = """
SELECT w.id, w.matter_id, w.queue_id, w.district, w.priority, w.due_at, w.flags, w.state, w.claims, w.enqueued_at, w.finished_at,
       m.letter_id, m.lane, l.holder, l.token AS lease_token, l.until AS lease_until
FROM work_item w JOIN matter m ON m.id = w.matter_id LEFT JOIN lease l ON l.work_item_id = w.id AND l.until > clock_timestamp()
"""


async def mine(connection: Connection, principal: Principal) -> list[Any]:
    """The caller's live leases: what a crashed client finds again."""
    return list(await connection.fetch(_ITEM + "WHERE l.holder = $1 ORDER BY w.urgent_at, w.id LIMIT 200", principal.subject))


async def read_item(connection: Connection, item_id: uuid.UUID) -> Any:
    row = await connection.fetchrow(_ITEM + "WHERE w.id = $1", item_id)
    if row is None:
        raise NotFound("no such work item")
    return row
