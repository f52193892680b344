"""What others must be told: the outbox, signed deliveries with retries, pages that call until a person answers.

An event is written in the transaction that made it true (`announce`). A worker makes one delivery of it for everybody
who listens (`dispatch`) and sends what is due (`send_due`): at least once, so receivers compare the header webhook-id.
Payloads carry ids and states, never personal values.
"""

import asyncio
import base64
import logging
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from standardwebhooks import Webhook

from app import audit
from app.calendar import SHANGHAI
from app.database import Connection, Database, to_json
from app.errors import Conflict, Invalid, NotFound
from app.identity import Principal, new_id
from app.privacy import Vault

KINDS = (
    "emergency.raised", "emergency.waiting", "emergency.acknowledged", "matter.triaged", "matter.accepted", "matter.finished", "matter.withdrawn",
    "matter.reading_corrected", "matter.due_changed", "matter.joint_proposed", "matter.joint_joined", "matter.joint_left", "matter.joint_ended",
    "matter.handed_over", "matter.handover_changed", "matter.reconciled",
)  # fmt: skip
LANES = ("complaint", "report", "other")
# Seconds until the next attempt; after the last one a person re-drives the delivery or not.
BACKOFF_SECONDS = (5, 15, 60, 300, 1800, 7200, 21_600, 43_200, 86_400)
PAGE_AGAIN_SECONDS = 300
_SEND_SECONDS = 10.0
_AT_ONCE = 8
log = logging.getLogger(__name__)


async def announce(
    connection: Connection, events: Sequence[tuple[uuid.UUID, str, Mapping[str, Any]]], *, held: bool = False,
    handover_id: uuid.UUID | None = None,
) -> None:  # fmt: skip
    """(matter, kind, payload), numbered per matter. In the transaction that made it true. Holds the matters, so that two
    events of one matter never take the same number. held: nobody else can (they were made in this transaction).
    handover_id: told to the partner of that hand-over and to nobody else."""
    if events and not held:
        await connection.execute(
            "SELECT id FROM matter WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", [m for m, _, _ in events]
        )
    # One at a time in one go: of arrays the planner would think anew at every letter.
    if events:
        await connection.executemany(
            "INSERT INTO outbox (matter_id, sequence, kind, payload, handover_id) "
            "SELECT $1::uuid, coalesce((SELECT max(sequence) FROM outbox WHERE matter_id = $1), 0) + 1, $2, $3::jsonb, $4",
            [(matter_id, kind, to_json(payload), handover_id) for matter_id, kind, payload in events],
        )


# -- pages


async def raise_page(connection: Connection, matter_id: uuid.UUID, payload: Mapping[str, Any]) -> None:
    """Calls everybody who listens for emergencies, now and again until somebody acknowledges. Once per matter."""
    raised = await connection.fetchval(
        "INSERT INTO page (matter_id, raised_at, next_call_at) "
        "VALUES ($1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2)) "
        "ON CONFLICT (matter_id) DO NOTHING RETURNING matter_id",
        matter_id, PAGE_AGAIN_SECONDS,
    )  # fmt: skip
    if raised:
        await announce(connection, [(matter_id, "emergency.raised", payload)])


async def page_again(connection: Connection, *, limit: int = 20) -> int:
    """Calls once more for each page nobody answered in time. In a transaction."""
    rows = await connection.fetch(
        "UPDATE page SET calls = least(calls + 1, 32000), next_call_at = clock_timestamp() + make_interval(secs => $1) "
        "WHERE matter_id IN (SELECT p.matter_id FROM page p JOIN matter m ON m.id = p.matter_id WHERE p.acknowledged_at IS NULL "
        "AND p.next_call_at <= clock_timestamp() AND m.closed_at IS NULL "
        "ORDER BY p.next_call_at LIMIT $2 FOR UPDATE OF m, p SKIP LOCKED) RETURNING matter_id, calls, raised_at",
        PAGE_AGAIN_SECONDS, limit,
    )  # fmt: skip
    await announce(
        connection,
        [(r["matter_id"], "emergency.waiting", {"calls": r["calls"], "raised_at": _told(r["raised_at"])}) for r in rows],
    )
    return len(rows)


async def acknowledge(
    database: Database, matter_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """A named person takes the emergency over; the calls stop. A second person learns who was first. lanes: those the
    caller may know of."""
    principal.require_person("acknowledge")
    async with database.transaction() as connection:
        row = await connection.fetchrow(
            # The matter before its page, as everybody who announces.
            "SELECT p.*, m.district, m.lane FROM page p JOIN matter m ON m.id = p.matter_id WHERE p.matter_id = $1 FOR UPDATE OF m, p",
            matter_id,
        )
        if row is None or not principal.covers(row["district"]) or row["lane"] not in lanes:
            raise NotFound("no such emergency")
        if row["acknowledged_at"] is not None:
            if row["acknowledged_by"] == principal.subject:
                return _page(row)
            raise Conflict(f"already acknowledged by {row['acknowledged_by']} at {_told(row['acknowledged_at'])}")
        done = await connection.fetchrow(
            "UPDATE page SET acknowledged_at = clock_timestamp(), acknowledged_by = $2 WHERE matter_id = $1 RETURNING *",
            matter_id,
            principal.subject,
        )
        await announce(connection, [(matter_id, "emergency.acknowledged", {"by": principal.subject})])
        await audit.record(connection, principal.subject, "acknowledge", "matter", [matter_id], lane="other")
    return _page(done)


async def pages(
    connection: Connection, principal: Principal, *, waiting: bool, lanes: Sequence[str]
) -> list[dict[str, Any]]:  # fmt: skip
    """Emergencies of the caller's places, the oldest unanswered first."""
    rows = await connection.fetch(
        "SELECT p.*, m.letter_id AS complaint_id, m.district FROM page p JOIN matter m ON m.id = p.matter_id "
        "WHERE (NOT $1 OR p.acknowledged_at IS NULL) AND EXISTS (SELECT 1 FROM unnest($2::text[]) j WHERE starts_with(m.district, j)) "
        "AND m.lane = ANY($3) ORDER BY p.acknowledged_at DESC NULLS FIRST, p.raised_at LIMIT 200",
        waiting, list(principal.jurisdictions), list(lanes),
    )  # fmt: skip
    return [{**_page(r), "complaint_id": r["complaint_id"], "district": r["district"]} for r in rows]


def _page(row: Any) -> dict[str, Any]:
    return {k: row[k] for k in ("matter_id", "raised_at", "calls", "acknowledged_at", "acknowledged_by")}


# -- who listens


async def listen(
    connection: Connection, vault: Vault, principal: Principal, *, url: str, kinds: Sequence[str], jurisdictions: Sequence[str],
    lanes: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """Registers a receiver; its secret is shown once. Raises Invalid for what can't be delivered to."""
    _check_url(url)
    for field, given, known in (("kinds", kinds, KINDS), ("lanes", lanes, LANES)):
        if unknown := sorted(set(given) - set(known)):
            raise Invalid.field(field, f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    if beyond := [j for j in jurisdictions if not principal.covers(j)]:
        raise Invalid.field("jurisdictions", f"not yours: {', '.join(beyond)}")
    webhook_id, secret = await _open(
        connection, vault, principal, url, kinds, jurisdictions or principal.jurisdictions, lanes, None
    )
    return {"id": webhook_id, "url": url, "kinds": list(kinds), "secret": secret}


async def listen_as_partner(
    connection: Connection, vault: Vault, principal: Principal, partner_id: uuid.UUID, url: str
) -> str:  # fmt: skip
    """Where a partner is told of its hand-overs, instead of any place before; what did not arrive there is sent here. Gives the secret."""
    _check_url(url)
    await connection.execute(
        "UPDATE webhook SET disabled_at = clock_timestamp() WHERE partner_id = $1 AND disabled_at IS NULL", partner_id
    )
    # Of no kind, place or lane: even were it taken for an ordinary one, nothing would be sent to it.
    webhook_id, secret = await _open(connection, vault, principal, url, (), (), (), partner_id)
    await connection.execute(
        "UPDATE delivery SET webhook_id = $2, state = 'waiting', attempts = 0, next_attempt_at = clock_timestamp() "
        "WHERE webhook_id IN (SELECT id FROM webhook WHERE partner_id = $1) AND state <> 'delivered'",
        partner_id, webhook_id,
    )  # fmt: skip
    return secret


async def _open(
    connection: Connection, vault: Vault, principal: Principal, url: str, kinds: Sequence[str], jurisdictions: Sequence[str],
    lanes: Sequence[str], partner_id: uuid.UUID | None,
) -> tuple[uuid.UUID, str]:  # fmt: skip
    webhook_id, secret = new_id(), "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    await connection.execute(
        "INSERT INTO webhook (id, url, kinds, jurisdictions, lanes, secret_cipher, key_id, created_by, partner_id) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        webhook_id, url, list(kinds), list(jurisdictions), list(lanes), vault.encrypt(secret, str(webhook_id)), vault.key_id,
        principal.subject, partner_id,
    )  # fmt: skip
    await audit.record(connection, principal.subject, "listen", "webhook", [webhook_id])
    return webhook_id, secret


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        good = bool(parts.hostname) and parts.port != 0 and not parts.username and not parts.password
    except ValueError:
        good = local = False
    # A payload names matters: in clear only to a relay on the same machine. Where it goes is an administrator's say.
    if not good or parts.scheme not in ("https", "http") or (parts.scheme == "http" and not local):
        raise Invalid.field("url", "must be https://host/path without credentials (http only to this machine)")


async def webhooks(connection: Connection) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        "SELECT id, url, kinds, jurisdictions, lanes, partner_id, created_by, created_at, disabled_at FROM webhook ORDER BY id"
    )
    return [dict(r) for r in rows]


async def disable(connection: Connection, webhook_id: uuid.UUID, principal: Principal) -> None:
    """Nothing more is sent there; what waits is given up."""
    done = await connection.fetchval(
        "UPDATE webhook SET disabled_at = coalesce(disabled_at, clock_timestamp()) WHERE id = $1 RETURNING id", webhook_id
    )
    if done is None:
        raise NotFound("no such webhook")
    await connection.execute(
        "UPDATE delivery SET state = 'failed', last_error = 'webhook disabled' WHERE webhook_id = $1 AND state = 'waiting'",
        webhook_id,
    )
    await audit.record(connection, principal.subject, "disable", "webhook", [webhook_id])


# -- sending

_DISPATCH = """
WITH events AS (
  SELECT o.id, o.kind, m.district, m.lane, o.handover_id, h.partner_id
  FROM outbox o JOIN matter m ON m.id = o.matter_id LEFT JOIN handover h ON h.id = o.handover_id
  WHERE o.dispatched_at IS NULL ORDER BY o.id LIMIT $1 FOR UPDATE OF o SKIP LOCKED
), made AS (
  INSERT INTO delivery (id, webhook_id, outbox_id, state, next_attempt_at)
  SELECT gen_random_uuid(), w.id, e.id, 'waiting', clock_timestamp()
  FROM events e JOIN webhook w ON w.disabled_at IS NULL AND CASE WHEN e.handover_id IS NULL THEN
    w.partner_id IS NULL AND (w.kinds = '{}' OR e.kind = ANY(w.kinds)) AND e.lane = ANY(w.lanes)
    AND EXISTS (SELECT 1 FROM unnest(w.jurisdictions) j WHERE starts_with(e.district, j))
   ELSE w.partner_id = e.partner_id END
  ON CONFLICT DO NOTHING
)
UPDATE outbox SET dispatched_at = clock_timestamp() WHERE id IN (SELECT id FROM events) RETURNING id, kind
"""
# The claim is the step forward in time: a sender that dies in between costs one attempt, never the delivery.
_CLAIM = """
UPDATE delivery d SET attempts = d.attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => $2)
FROM (SELECT id FROM delivery WHERE state = 'waiting' AND next_attempt_at <= clock_timestamp()
      ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED) due, webhook w, outbox o
WHERE d.id = due.id AND w.id = d.webhook_id AND o.id = d.outbox_id AND w.disabled_at IS NULL
RETURNING d.id, d.attempts, w.id AS webhook_id, w.url, w.secret_cipher, o.matter_id, o.sequence, o.kind, o.payload, o.created_at
"""
_DELIVERED = (
    "UPDATE delivery SET state = 'delivered', delivered_at = clock_timestamp(), last_status = $2, last_error = NULL "
    "WHERE id = $1 AND state = 'waiting'"
)
_MISSED = """
UPDATE delivery SET state = CASE WHEN attempts > $4 THEN 'failed' ELSE 'waiting' END, last_status = $2, last_error = $3,
  next_attempt_at = clock_timestamp() + make_interval(secs => $5 * (0.9 + 0.2 * random()))
WHERE id = $1 AND state = 'waiting'
"""


async def dispatch(connection: Connection, *, limit: int = 200) -> int:
    rows = await connection.fetch(_DISPATCH, limit)
    return len(rows)


async def send_due(database: Database, vault: Vault, client: httpx.AsyncClient, *, limit: int = 40) -> int:
    """Sends what is due, some at once. Gives how many were tried."""
    async with database.connection() as connection:
        # While one is on its way nobody else takes it: twice the time a receiver has.
        claimed = await connection.fetch(_CLAIM, limit, 2 * _SEND_SECONDS + limit / _AT_ONCE * _SEND_SECONDS)
    waiting = iter(claimed)

    async def some() -> None:
        for row in waiting:
            await _send(database, vault, client, row)

    await asyncio.gather(*(some() for _ in range(min(_AT_ONCE, len(claimed)))))
    return len(claimed)


async def _send(database: Database, vault: Vault, client: httpx.AsyncClient, row: Any) -> None:
    started = time.monotonic()
    status, error = None, None
    try:
        request = sign(vault.decrypt(row["secret_cipher"], str(row["webhook_id"])), row["id"], event_body(row), datetime.now(UTC))
        # The library's timeout is one of each step: a receiver that drips its answer would hold everybody.
        async with (
            asyncio.timeout(_SEND_SECONDS),
            client.stream("POST", row["url"], timeout=_SEND_SECONDS, follow_redirects=False, **request) as answer,
        ):
            status = answer.status_code  # the body is nobody's concern, however long it is
        if not 200 <= status < 300:
            error = f"HTTP {status}"
    except Exception as failure:  # a receiver's fault, whatever it is, must not stop the others
        error = type(failure).__name__
    milliseconds = round((time.monotonic() - started) * 1000)
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO delivery_attempt (delivery_id, status, error, milliseconds) VALUES ($1, $2, $3, $4)",
            row["id"], status, error, milliseconds,
        )  # fmt: skip
        if error is None:
            await connection.execute(_DELIVERED, row["id"], status)
        else:
            wait = BACKOFF_SECONDS[min(row["attempts"], len(BACKOFF_SECONDS)) - 1]
            await connection.execute(_MISSED, row["id"], status, error, len(BACKOFF_SECONDS), float(wait))
    if error is not None:
        log.warning("delivery %s: attempt %d: %s", row["id"], row["attempts"], error)


def event_body(row: Mapping[str, Any]) -> bytes:
    """{type, timestamp, data: {matter_id, sequence, ...}}"""
    data = {"matter_id": str(row["matter_id"]), "sequence": row["sequence"], **row["payload"]}
    return orjson.dumps({"type": row["kind"], "timestamp": _told(row["created_at"]), "data": data})


def sign(secret: str, message_id: uuid.UUID, body: bytes, at: datetime) -> dict[str, Any]:
    """Content and headers after Standard Webhooks. at: UTC; the library takes any other zone's digits for UTC."""
    moment = at.astimezone(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(message_id), moment, body.decode()),
    }
    return {"content": body, "headers": headers}


# -- what operators look at

_LIST = """
SELECT d.id, d.webhook_id, w.url, o.matter_id, o.sequence, o.kind, d.state, d.attempts, d.next_attempt_at, d.last_status, d.last_error,
       d.created_at, d.delivered_at
FROM delivery d JOIN webhook w ON w.id = d.webhook_id JOIN outbox o ON o.id = d.outbox_id
WHERE ($1::text IS NULL OR d.state = $1) AND ($2::timestamptz IS NULL OR (d.created_at, d.id) < ($2, $3))
ORDER BY d.created_at DESC, d.id DESC LIMIT $4
"""


async def list_deliveries(
    connection: Connection, *, state: str | None, after: tuple[datetime, uuid.UUID] | None, limit: int
) -> list[dict[str, Any]]:
    at, key = after or (None, None)
    return [dict(r) for r in await connection.fetch(_LIST, state, at, key, limit)]


async def redrive(connection: Connection, delivery_id: uuid.UUID, principal: Principal) -> None:
    """A delivery that failed for good starts again, with all its attempts."""
    state = await connection.fetchval(
        "SELECT CASE WHEN w.disabled_at IS NULL THEN d.state ELSE 'disabled' END FROM delivery d "
        "JOIN webhook w ON w.id = d.webhook_id WHERE d.id = $1",
        delivery_id,
    )
    if state is None:
        raise NotFound("no such delivery")
    if state in ("disabled", "delivered"):
        raise Conflict("its webhook is disabled" if state == "disabled" else "it was delivered")
    await connection.execute(
        "UPDATE delivery SET state = 'waiting', attempts = 0, next_attempt_at = clock_timestamp() "
        "WHERE id = $1 AND state <> 'delivered'",
        delivery_id,
    )
    await audit.record(connection, principal.subject, "redrive", "delivery", [delivery_id])


def _told(at: datetime) -> str:
    return at.astimezone(SHANGHAI).isoformat()
