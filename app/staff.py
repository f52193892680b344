"""Who is away and who stands in for him; who may not work on a matter (回避, Order 121 Art. 21)."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from app import identity, law
from app.calendar import SHANGHAI
from app.database import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal, new_id

_LONGEST = timedelta(days=400)
# Whether an absence a runs now; and whether a person is away, for `format`, which is given the SQL of the subject.
RUNS = "a.ended_at IS NULL AND clock_timestamp() BETWEEN a.from_at AND a.until_at"
AWAY = f"SELECT 1 FROM absence a WHERE a.subject = {{subject}} AND {RUNS}"


async def leave(
    connection: Connection, principal: Principal, *, subject: str, from_at: datetime, until_at: datetime, deputy: str | None, now: datetime
) -> Any:  # fmt: skip
    """Enters an absence: one's own, or by a supervisor of his places another's. While it lasts the person is given no work; what he holds goes to his
    deputy, or back to its queue. A deputy stands in for the work, he gains no rights by it."""
    if subject != principal.subject and not principal.has("supervisor", "admin"):
        raise Forbidden("only a supervisor enters another person's absence")
    principal.require_person("enter an absence")
    if not await _leads(connection, principal, subject):
        raise Invalid.field("subject", "is nobody with a token that works whose places are all yours")
    if not from_at < until_at or until_at <= now or until_at - from_at > _LONGEST:
        raise Invalid.field("until_at", f"must be after from_at and now, the absence at most {_LONGEST.days} days long")
    if deputy is not None:
        if deputy == subject:
            raise Invalid.field("deputy", "must be another person")
        if await identity.find_person(connection, deputy) is None:
            raise Invalid.field("deputy", "no such person with a token that works")
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('absence'), hashtext($1))", subject)
    if await connection.fetchval(
        "SELECT 1 FROM absence WHERE subject = $1 AND ended_at IS NULL AND from_at < $3 AND until_at > $2",
        subject,
        from_at,
        until_at,
    ):
        raise Conflict("this person is entered as away in a part of that time already")
    return await connection.fetchrow(
        "INSERT INTO absence (id, subject, from_at, until_at, deputy, actor) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
        new_id(), subject, from_at, until_at, deputy, principal.subject,
    )  # fmt: skip


async def _leads(connection: Connection, principal: Principal, subject: str) -> bool:
    """Whether the person's work is his to move: his own, or that of somebody who works for no other places."""
    if subject == principal.subject:
        return True
    person = await identity.find_person(connection, subject)
    return person is not None and (principal.has("admin") or all(principal.covers(place) for place in person.jurisdictions))


async def come_back(connection: Connection, principal: Principal, absence_id: uuid.UUID, now: datetime) -> Any:
    """Ends it now, before its time or before it began."""
    principal.require_person("end an absence")
    row = await connection.fetchrow("SELECT * FROM absence WHERE id = $1 FOR UPDATE", absence_id)
    may = row is not None and (row["subject"] == principal.subject or principal.has("supervisor", "admin"))
    if not may or not await _leads(connection, principal, row["subject"]):
        raise NotFound("no such absence")
    if row["ended_at"] is not None or row["until_at"] <= now:
        raise Conflict("it is over already")
    return await connection.fetchrow(
        "UPDATE absence SET ended_at = $2, ended_by = $3 WHERE id = $1 RETURNING *", absence_id, now, principal.subject
    )


async def absences(connection: Connection, principal: Principal) -> list[Any]:
    """Those that run or are to come: a supervisor's view of all who work for his places, anybody's of his own and of those he stands in
    for."""
    every = "EXISTS (SELECT 1 FROM api_token t, unnest(t.jurisdictions) p, unnest($3::text[]) j WHERE t.subject = absence.subject AND (starts_with(p, j) OR starts_with(j, p)))"
    return list(
        await connection.fetch(
            "SELECT id, subject, from_at, until_at, deputy, actor, created_at FROM absence WHERE ended_at IS NULL AND until_at > clock_timestamp() "
            f"AND (subject = $2 OR deputy = $2 OR ($1 AND {every})) ORDER BY from_at, id LIMIT 500",
            principal.has("supervisor", "admin"), principal.subject, [""] if principal.has("admin") else list(principal.jurisdictions),
        )
    )  # fmt: skip


async def away(connection: Connection, subject: str) -> Any:
    """The absence that runs now, or None."""
    return await connection.fetchrow(
        f"SELECT * FROM absence a WHERE a.subject = $1 AND {RUNS} ORDER BY a.until_at DESC LIMIT 1",
        subject,
    )


async def require_known(connection: Connection, subject: str) -> None:
    """Invalid where nobody of that name ever had a token: whoever mistypes a name would think somebody else is excluded."""
    if not await identity.is_known(connection, subject):
        raise Invalid.field("subject", "no such person")


def told(moment: datetime) -> str:
    """A time as a message tells it, in Asia/Shanghai."""
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


async def recuse(connection: Connection, matter_id: uuid.UUID, subject: str, *, reason: str, actor: str) -> bool:
    """False where the person was recused from it before: a recusal is not taken back."""
    return bool(
        await connection.fetchval(
            "INSERT INTO recusal (matter_id, subject, reason, actor) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true",
            matter_id, subject, reason, actor,
        )
    )  # fmt: skip


async def require_free(connection: Connection, matter_id: uuid.UUID, subject: str) -> None:
    """Forbidden for whoever is recused from the matter, also where he needs no lease for what he wants to do."""
    if await recused(connection, [matter_id], subject):
        raise Forbidden(f"{law.cite(law.ORDER_121, 21)}：您已回避本件，不得办理")


async def recused(connection: Connection, matter_ids: Sequence[uuid.UUID], subject: str) -> set[uuid.UUID]:
    """Those of them the person may not work on."""
    rows = await connection.fetch(
        "SELECT matter_id FROM recusal WHERE matter_id = ANY($1) AND subject = $2", list(matter_ids), subject
    )
    return {r["matter_id"] for r in rows}
