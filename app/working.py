"""The journey of a person at the queue: gives back, passes on, lets rest, escalates, is recused, is given work, does many at once. What ends
a matter is app.settling's.

Every verb is said with the lease's token, and said again with it gives the same answer.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app import acts, audit, cases, deliveries, effects, identity, law, queues, rerouting, settling, staff, team, work
from app.database import Connection
from app.effects import Signed
from app.errors import Conflict, Forbidden, Invalid, LeaseLost, NotFound, TriageError
from app.identity import Principal
from app.team import Movable, View
from app.triage import House

MAX_BULK = 200
MAX_COLLEAGUES = 50


async def release(house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal) -> uuid.UUID:
    async with house.database.transaction() as connection:
        try:
            return await work.release(connection, item_id, token, principal)
        except LeaseLost:
            if await settling.was_said(connection, item_id, token, principal, "release", {}):
                return await work.matter_of(connection, item_id)
            raise


async def transfer(
    house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, queue: str | None, to: str | None, reason: str
) -> uuid.UUID:  # fmt: skip
    """To another desk's queue of the same bureau and track, or to a colleague who may have it: it is kept for him for a day."""
    if (queue is None) == (to is None):
        raise Invalid.field("queue", "name the queue or the person it goes to")
    async with house.database.transaction() as connection:
        if queue is not None:
            await work.hold_unit(connection, item_id)
        matter = await cases.hold(connection, await work.matter_of(connection, item_id))
        told = {"queue": queue, "reason": reason} if queue else {"to": to, "reason": reason}
        try:
            held = await work.grasp(connection, item_id, token, principal)
        except LeaseLost:
            if await settling.was_said(connection, item_id, token, principal, "transfer", told):
                return uuid.UUID(str(matter["id"]))
            raise
        if queue is not None:
            await queues.require_fit(connection, queue, await _of_unit(connection, held.unit_id))
            await work.transfer_to_queue(connection, held, queue, reason)
        elif to == principal.subject:
            raise Invalid.field("to", "you have it already")
        else:
            await work.assign(connection, item_id, str(to), principal.subject, reason, act="transfer")
        await audit.record(connection, principal.subject, "transfer", "matter", [matter["id"]], lane=matter["lane"])
    return held.matter_id


async def _of_unit(connection: Connection, unit_id: uuid.UUID) -> list[Any]:
    return list(
        await connection.fetch(
            "SELECT m.lane, w.district, q.track FROM work_item w JOIN matter m ON m.id = w.matter_id JOIN queue q ON q.id = w.queue_id "
            "WHERE w.unit_id = $1 AND w.finished_at IS NULL",
            unit_id,
        )
    )  # fmt: skip


async def hold(
    house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, held_for: str, until: datetime | None, reason: str | None,
    at: datetime | None = None,
) -> datetime:  # fmt: skip
    """Lets it rest (work.hold). For an appraisal the matter's own act comes first, unless it was done: its term does not run meanwhile."""
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await cases.hold(connection, await work.matter_of(connection, item_id))
        if held_for == "appraisal" and matter["state"] != "appraising":
            principal.require_person()
            await work.grasp(connection, item_id, token, principal)
            settling.require_cleared(matter, principal)
            if not reason:
                raise Invalid.field("reason", f"{acts.ACTS['appraise'].label} needs a reason")
            acts.require("appraise", matter)
            await effects.carry_out(house, connection, matter, Signed("appraise", None, reason, {}, [principal.subject], moment))
        return await work.hold(connection, item_id, token, principal, held_for=held_for, until=until, now=moment)


async def escalate(
    house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, reason: str, at: datetime | None = None
) -> str:
    """A person finds it too hard for its track: the next one is proposed by the policy, as after a failure, and the work goes there. Where
    there is none, a supervisor sees it. Gives the matter's track now."""
    principal.require_person()
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await cases.hold(connection, await work.matter_of(connection, item_id))
        try:
            await work.release(connection, item_id, token, principal, act="escalate", detail={"reason": reason})
        except LeaseLost:
            if await settling.was_said(connection, item_id, token, principal, "escalate", {"reason": reason}):
                return str(matter["track"])
            raise
        cases.require_open(matter)
        moved = await rerouting.decide_anew(
            house, connection, matter, {"failed_track": matter["track"]}, cause="escalated", evidence={"track": matter["track"]}, now=moment,
            actor=principal.subject,
        )  # fmt: skip
        await cases.remark(connection, matter["id"], "escalate", actor=principal.subject, at=moment, note=reason)
        if not moved and await work.flag(connection, matter["id"], "escalated", principal.subject, {}):
            await deliveries.announce(connection, [(matter["id"], "matter.flagged", {"cause": "escalated"})])
        await audit.record(connection, principal.subject, "escalate", "matter", [matter["id"]], lane=matter["lane"])
        return str((await cases.hold(connection, matter["id"]))["track"])


async def recuse(
    house: House, item_id: uuid.UUID, principal: Principal, *, token: uuid.UUID | None, subject: str, reason: str, at: datetime | None = None
) -> uuid.UUID:  # fmt: skip
    """回避: the person works on it no more: himself by his lease, another by a supervisor's word. A mediation he led is suspended until
    another takes it on (Art. 21)."""
    principal.require_person()
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await _his(connection, await work.matter_of(connection, item_id), principal)
        if subject != principal.subject:
            if not principal.has("supervisor", "admin"):
                raise Forbidden("only a supervisor excludes another person")
            await staff.require_free(connection, matter["id"], principal.subject)
            await staff.require_known(connection, subject)
        elif token is not None and not await staff.recused(connection, [matter["id"]], subject):
            await work.grasp(connection, item_id, token, principal)
        cases.require_open(matter)
        if not await staff.recuse(connection, matter["id"], subject, reason=reason, actor=principal.subject):
            return uuid.UUID(str(matter["id"]))
        led = await work.exclude(connection, matter["id"], subject, principal.subject, reason)
        told = f"{law.cite(law.ORDER_121, 21)}：{reason}"
        if led and matter["state"] in acts.ACTS["suspend"].sources:
            await effects.carry_out(house, connection, matter, Signed("suspend", None, reason, {}, [principal.subject], moment))
        await cases.remark(connection, matter["id"], "recuse", actor=principal.subject, at=moment, note=told)
        await audit.record(
            connection, principal.subject, "recuse", "matter", [matter["id"]], purpose=subject, lane=matter["lane"]
        )
    return uuid.UUID(str(matter["id"]))


async def assign(
    house: House, item_id: uuid.UUID, principal: Principal, *, to: str | None, reason: str, had: tuple[str | None] | None = None
) -> uuid.UUID:  # fmt: skip
    """A supervisor gives the work to a person, or (to None) takes it back to the queue. had: as work.assign."""
    principal.require("supervisor")
    principal.require_person()
    async with house.database.transaction() as connection:
        matter = await _his(connection, await work.matter_of(connection, item_id), principal)
        await staff.require_free(connection, matter["id"], principal.subject)
        if to is None:
            await work.recall(connection, item_id, principal.subject, reason)
        else:
            await work.assign(connection, item_id, to, principal.subject, reason, had=had)
        act = "recall" if to is None else "assign"
        await audit.record(connection, principal.subject, act, "matter", [matter["id"]], purpose=to or "", lane=matter["lane"])
    return uuid.UUID(str(matter["id"]))


async def rebalance(
    house: House,
    principal: Principal,
    seen: View,
    *,
    holder: str | None,
    to: Sequence[str],
    limit: int,
    reason: str,
    dry_run: bool,
) -> dict[str, Any]:
    """Spreads the units of a person (None: those nobody has) over colleagues, each to whoever of those who may have it has fewest items by
    then; a holder who is named among them keeps his part. Each in a transaction of its own; what another was quicker with is refused.

    Gives {items: [{id, items, from, to, status, ...}], colleagues: [{subject, before, after, why}]}; why: he gets nothing.
    """
    principal.require("supervisor")
    principal.require_person()
    if len(set(to)) != len(to):
        raise Invalid.field("to", "names a person twice")
    async with house.database.connection() as connection:
        units = await team.movable(connection, seen, holder, MAX_BULK)
        absent = {subject: why for subject in to if (why := await _gets_nothing(connection, principal, subject)) is not None}
        before = dict.fromkeys(to, 0) | dict(
            await team.loads(connection, [s for s in to if s == holder or absent.get(s) != _STRANGER])
        )
        after = dict(before)
        mine = holder if holder in after else None
        if mine:
            after[mine] -= sum(len(u.items) for u in units)
        plan: list[tuple[Movable, str | None]] = []
        for unit in units:
            if len(plan) == limit:
                receiver = mine
            else:
                receiver = await _receiver(connection, unit, [s for s in to if s not in absent], after)
                if receiver is None or receiver != unit.holder:
                    plan.append((unit, receiver))
            if (stays := receiver or mine) is not None:
                after[stays] += len(unit.items)
    told: list[dict[str, Any]] = []
    for unit, receiver in plan:
        shown: dict[str, Any] = {"id": unit.item_id, "items": unit.items, "from": unit.holder, "to": receiver}
        if receiver is None:
            told.append({**shown, "status": 409, "detail": "被指定的人都不能办理本件（权限、辖区、回避或者请假）"})
        elif dry_run:
            told.append({**shown, "status": 200})
        else:
            try:
                await assign(house, unit.item_id, principal, to=receiver, reason=reason, had=(unit.holder,))
                told.append({**shown, "status": 200})
            except TriageError as error:
                after[receiver] -= len(unit.items)
                told.append({**shown, "status": error.status, "detail": error.detail})
    return {
        "items": told,
        "colleagues": [{"subject": s, "before": before[s], "after": after[s], "why": absent.get(s)} for s in to],
        "done": sum(t["status"] < 400 for t in told), "refused": sum(t["status"] >= 400 for t in told),
    }  # fmt: skip


_STRANGER = "没有这个人，或者其令牌已失效，或者不在您的辖区工作"


async def _gets_nothing(connection: Connection, principal: Principal, subject: str) -> str | None:
    """Why a person is given no work at all now. Of who works elsewhere a supervisor is told no more than of who does not exist."""
    person = await identity.find_person(connection, subject)
    if person is None or not any(
        principal.covers(there) or person.covers(here) for there in person.jurisdictions for here in principal.jurisdictions
    ):
        return _STRANGER
    return "正在请假" if await staff.away(connection, subject) is not None else None


async def _receiver(connection: Connection, unit: Movable, colleagues: Sequence[str], loads: Mapping[str, int]) -> str | None:
    """Whoever has fewest items of those who may have the unit."""
    for subject in sorted(colleagues, key=lambda s: (loads[s], s != unit.holder, s)):
        if subject == unit.holder:
            return subject
        try:
            await work.require_may_have(connection, unit.unit_id, subject)
            return subject
        except (Conflict, Invalid):
            continue
    return None


async def _his(connection: Connection, matter_id: uuid.UUID, principal: Principal) -> Any:
    matter = await cases.hold(connection, matter_id)
    if not principal.covers(matter["district"]) or matter["lane"] not in principal.lanes:
        raise NotFound("no such work item")
    return matter


# -- many at once


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one item: status as of HTTP."""

    item_id: uuid.UUID
    status: int
    answer: Mapping[str, Any]


Verb = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


async def bulk(items: Sequence[Mapping[str, Any]], verb: Verb) -> list[Told]:
    """One verb on chosen items, each in a transaction of its own with a result of its own: what is refused for one holds up no other.
    items: {id, ...} as the verb wants them."""
    if not 1 <= len(items) <= MAX_BULK:
        raise Invalid.field("items", f"must be from 1 to {MAX_BULK}")
    if len({i["id"] for i in items}) != len(items):
        raise Invalid.field("items", "names an item twice")
    found = []
    for item in items:
        try:
            found.append(Told(item["id"], 200, await verb(item)))
        except TriageError as error:
            found.append(Told(item["id"], error.status, {"title": error.title, "detail": error.detail, "errors": error.errors}))
    return found


_LOOK = """
SELECT w.id, w.matter_id, w.queue_id, w.district, w.due_at, w.finished_at, m.lane, m.kind, m.goods, m.problem, m.state, m.track, l.holder, l.held_for
FROM work_item w JOIN matter m ON m.id = w.matter_id LEFT JOIN lease l ON l.unit_id = w.unit_id AND l.until > clock_timestamp()
WHERE w.id = ANY($1)
"""


async def selectable(
    connection: Connection, item_ids: Sequence[uuid.UUID], principal: Principal, verb: str = "claim"
) -> list[dict[str, Any]]:
    """Of each item whether the person may choose it for handling together by a verb, and why not. Those of another class of problem than
    most are told apart: what is settled alike must be alike. But what a supervisor assigns may be anybody's and of any class."""
    rows = {r["id"]: r for r in await connection.fetch(_LOOK, list(item_ids)) if _may_know(principal, r)}
    may = {q["id"] for q in await queues.of(connection, principal)}
    excluded = await staff.recused(connection, [r["matter_id"] for r in rows.values()], principal.subject)
    classes = [(r["lane"], r["problem"]) for r in rows.values()]
    usual = max(classes, key=classes.count, default=None)
    found = []
    for item_id in item_ids:
        row = rows.get(item_id)
        if row is None:
            found.append({"id": item_id, "selectable": False, "why": "没有该工作项，或者不在您的辖区"})
            continue
        why = None
        if row["finished_at"] is not None:
            why = f"已办结（{acts.STATE_LABELS[row['state']]}）"
        elif verb == "assign":
            why = None if principal.has("supervisor", "admin") else "只有主管可以指派"
        elif row["holder"] not in (None, principal.subject):
            why = "正由他人办理"
        elif row["matter_id"] in excluded:
            why = "您已回避本件"
        elif row["holder"] is None and row["queue_id"] not in may:
            why = "您没有该队列的办理权限"
        elif row["holder"] is None and verb != "claim":
            why = "尚未领取"
        elif (row["lane"], row["problem"]) != usual:
            why = f"业务类型不同（{row['problem'] or '未分类'}）"
        shown = {k: row[k] for k in ("queue_id", "district", "due_at", "lane", "goods", "problem", "state", "track")}
        found.append({"id": item_id, "selectable": why is None, "why": why, "mine": row["holder"] == principal.subject, **shown})
    return found


def _may_know(principal: Principal, row: Any) -> bool:
    return (row["lane"] in principal.lanes and principal.covers(row["district"])) or row["holder"] == principal.subject


# -- by the worker


async def stand_in(house: House, *, limit: int = 50) -> int:
    """What people hold who are away goes to their deputies, or back."""
    async with house.database.connection() as connection:
        found = await work.absent(connection, limit)
    for row in found:
        async with house.database.transaction() as connection:
            await cases.hold(connection, row["matter_id"])
            await work.stand_in(connection, row["id"], row["matter_id"], row["subject"], row["deputy"])
    return len(found)


async def regroup(house: House) -> int:
    """Joint matters whose items were somebody's when it was joined, or have left it since."""
    async with house.database.connection() as connection:
        found = await work.ungrouped(connection)
    for joint_id in found:
        async with house.database.transaction() as connection:
            await connection.execute(
                "SELECT 1 FROM matter WHERE id IN (SELECT matter_id FROM joint_member WHERE joint_matter_id = $1) ORDER BY id FOR NO KEY UPDATE",
                joint_id,
            )
            await work.regroup(connection, joint_id)
    return len(found)
