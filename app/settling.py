"""The journey of a person who accepts, finishes, returns or withdraws. Every act here names a natural person or the
complainant himself; no machine closes a matter against anyone."""

import uuid
from datetime import UTC, datetime
from typing import Any

from app import audit, calendar, cases, clocks, deliveries, work
from app.calendar import local_day
from app.database import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal, new_id
from app.triage import House

# What a mediator may write as the end, and the state it makes. The article is the ground of Order 121 Art. 23(1).
OUTCOMES: dict[str, tuple[str, str]] = {
    "agreement": ("agreed", "达成协议"),
    "withdrawn": ("withdrawn", "第二十三条第一款第一项"),
    "refused": ("terminated", "第二十三条第一款第二项"),
    "unreachable": ("terminated", "第二十三条第一款第二项"),
    "no_agreement": ("terminated", "第二十三条第一款第三项"),
    "answered": ("answered", "告知途径"),
    "verified": ("verified", "第二十七条"),
    "other": ("terminated", "第二十三条第一款第八项"),
}
_BY_LANE = {
    "complaint": {"agreement", "withdrawn", "refused", "unreachable", "no_agreement", "other"},
    "report": {"verified"},
    "other": {"answered"},
}


async def accept(house: House, matter_id: uuid.UUID, principal: Principal, *, at: datetime | None = None) -> None:
    """Acceptance 受理 (Art. 15): stops the 7 working days and starts the 60 days."""
    async with house.database.transaction() as connection:
        matter = await cases.hold(connection, matter_id)
        if not principal.covers(matter["district"]):
            raise NotFound("no such matter")
        _natural(principal)
        await _accept(house, connection, matter, principal.subject, at or datetime.now(UTC))


async def _accept(house: House, connection: Connection, matter: Any, actor: str, at: datetime) -> None:
    if matter["lane"] != "complaint" or matter["state"] != "pending_acceptance":
        raise Conflict(
            f"only a complaint that waits for acceptance can be accepted; this one is {cases.STATE_LABELS[matter['state']]}"
        )
    await cases.move(connection, matter["id"], "accepted", actor=actor, at=at)
    await clocks.stop_clocks(connection, matter["id"], at=at, by="accepted", key="complaint.accept", actor=actor)
    await cases.set_gate(connection, matter["id"], "accepted", "passed", actor=actor, at=at)
    told: dict[str, str] = {}
    received_on = local_day(matter["received_at"])
    if received_on >= calendar.CLOCKS_FROM:
        due = calendar.due(
            house.calendar, "complaint.mediate", local_day(at), received_on=received_on, mode=house.settings.due_mode
        )
        await clocks.start_clock(connection, new_id(), matter["id"], due, at)
        told["due_at"] = due.due_at.isoformat()
    await deliveries.announce(connection, [(matter["id"], "matter.accepted", told)])
    await audit.record(connection, actor, "accept", "matter", [matter["id"]], lane=matter["lane"])


async def finish(
    house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, outcome: str, note: str | None = None,
    recovered_fen: int | None = None, satisfied: bool | None = None, at: datetime | None = None,
) -> uuid.UUID:  # fmt: skip
    """Ends the work and the matter together. A mediation's failure needs an acceptance before it: where none is
    recorded, the same person's is."""
    if outcome not in OUTCOMES:
        raise Invalid.field("outcome", f"must be one of {', '.join(OUTCOMES)}")
    _natural(principal)
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        # The matter first, everywhere: a withdrawal goes the same way.
        matter = await cases.hold(connection, await work.matter_of(connection, item_id))
        matter_id = await work.finish(connection, item_id, token, principal, {"outcome": outcome})
        cases.require_open(matter)
        if outcome not in _BY_LANE[matter["lane"]]:
            raise Invalid.field("outcome", f"for this matter it must be one of {', '.join(sorted(_BY_LANE[matter['lane']]))}")
        state, ground = OUTCOMES[outcome]
        if state == "terminated" and matter["state"] == "pending_acceptance":
            await _accept(house, connection, matter, principal.subject, moment)
        await cases.move(
            connection, matter_id, state, actor=principal.subject, at=moment, note=f"{ground}{'；' + note if note else ''}",
            outcome=outcome, recovered_fen=recovered_fen, satisfied=satisfied,
        )  # fmt: skip
        await deliveries.announce(connection, [(matter_id, "matter.finished", {"outcome": outcome, "state": state})])
        await audit.record(connection, principal.subject, "finish", "matter", [matter_id], lane=matter["lane"])
    return matter_id


async def return_to_intake(house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, reason: str) -> uuid.UUID:
    async with house.database.transaction() as connection:
        matter_id = await work.return_to_intake(connection, item_id, token, principal, reason)
        await audit.record(connection, principal.subject, "return", "matter", [matter_id])
    return matter_id


async def withdraw(house: House, letter_id: uuid.UUID, principal: Principal, *, reason: str | None) -> None:
    """The complainant's own act through his portal, or at the desk: works with one person (Art. 23(1)(1)). A report
    can't be withdrawn: a clue stays a clue."""
    now = datetime.now(UTC)
    async with house.database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT id, lane, state FROM matter WHERE letter_id = $1 AND lane = 'complaint' ORDER BY id", letter_id
        )
        open_ones = [r for r in rows if r["state"] not in cases.CLOSED]
        if not open_ones:
            raise Conflict("there is no open complaint to withdraw in this letter")
        for row in open_ones:
            matter = await cases.hold(connection, row["id"])
            cases.require_open(matter)
            await cases.move(
                connection, row["id"], "withdrawn", actor=principal.subject, at=now, outcome="withdrawn", note=reason
            )
            await work.close_item(connection, row["id"], "withdrawn", principal.subject)
            await deliveries.announce(connection, [(row["id"], "matter.withdrawn", {})])
        await audit.record(connection, principal.subject, "withdraw", "letter", [letter_id], lane="complaint")


async def consent(house: House, letter_id: uuid.UUID, principal: Principal, *, party: str, agrees: bool) -> list[str]:
    """A side's yes or no to what its matter proposes, as a fact with who and when. Gives the gates it decided."""
    gates = {"consumer": ("consumer_consent", "consumer_choice"), "merchant": ("merchant_consent",)}[party]
    now = datetime.now(UTC)
    decided = []
    async with house.database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT id, state FROM matter WHERE letter_id = $1 AND lane = 'complaint' ORDER BY id", letter_id
        )
        for row in rows:
            if row["state"] in cases.CLOSED:
                continue
            for gate in gates:
                if await cases.set_gate(
                    connection, row["id"], gate, "passed" if agrees else "failed", actor=principal.subject, at=now
                ):
                    decided.append(gate)
        if not decided:
            raise Conflict("nothing in this letter waits for that consent")
        await audit.record(connection, principal.subject, "consent", "letter", [letter_id], lane="complaint")
    return decided


def _natural(principal: Principal) -> None:
    if not principal.natural_person:
        raise Forbidden("a person must do this; a machine's token can't")
