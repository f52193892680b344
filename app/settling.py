"""The journey of a person who does a legal act: accepts, refuses, settles, terminates, reopens, finishes, returns, withdraws. Every act
here names a natural person or the complainant himself; no machine closes a matter against anyone, and what needs two persons waits for
the second."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app import acts, audit, cases, contacts, deliveries, effects, factors, joint, law, proofs, rerouting, staff, work
from app.calendar import local_day
from app.database import Connection
from app.effects import Ending, Signed
from app.errors import Conflict, Forbidden, Invalid, LeaseLost, NotFound
from app.identity import Principal, drawn, new_id
from app.triage import House

# What a mediator may write as the end: the act that ends the matter, and its ground.
OUTCOMES: dict[str, tuple[str, str | None]] = {
    "agreement": ("agree", None),
    "withdrawn": ("withdraw", None),
    "refused": ("terminate", "23(1)(2)"),
    "unreachable": ("terminate", "23(1)(2)"),
    "no_agreement": ("terminate", "23(1)(3)"),
    "answered": ("answer", None),
    "verified": ("verify", None),
    "other": ("terminate", "23(1)(8)"),
}


@dataclass(frozen=True, slots=True)
class Done:
    """state: of the matter now. approval_id: where the act waits for further signatures, how many more."""

    matter_id: uuid.UUID
    act: str
    state: str
    approval_id: uuid.UUID | None = None
    missing: int = 0


async def perform(
    house: House, matter_id: uuid.UUID, principal: Principal, act: str, *, lanes: Sequence[str], ground: str | None = None,
    reason: str | None = None, detail: Mapping[str, Any] | None = None, message: str | None = None, at: datetime | None = None,
) -> Done:  # fmt: skip
    """A legal act of acts.ACTS on a matter. Where the law or the bureau wants further signatures it waits as an approval instead.
    message: to the partner that detail names, if it does."""
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        said = dict(detail or {})
        if act == "merge_report" or "again" in said:
            await _hold_both(connection, matter_id, said.get("again") or said.get("into"), principal, lanes)
        matter = await _held(connection, matter_id, principal, lanes)
        if act == "forward":
            raise Forbidden(_NOT_FORWARDED)
        wanted = acts.require(act, matter, ground)
        if act == "dispatch" and not principal.has("intake", "admin"):
            raise Forbidden(_NOT_FORWARDED)
        principal.require(*wanted.roles)
        if wanted.person:
            principal.require_person()
        await _require_consents(connection, matter, wanted)
        if wanted.reasoned and not reason:
            raise Invalid.field("reason", f"{wanted.label} needs a reason")
        acts.require_detail(act, ground, said)
        effects.check_receiver(house, matter, act, ground, said)
        if act == "extend":  # the one that runs now, whatever becomes of the matter until the head has signed
            said.setdefault("clock", effects.extended_clock(matter))
        if message and "partner_id" not in said:
            raise Invalid.field("message", "goes to a partner; name it as partner_id")
        if act == "find_factors":
            said["sheet"] = await _sheet(house, connection, matter_id, said.get("sheet"), principal, moment)
        said |= await _proof(house, connection, matter_id, act, ground)
        signed = Signed(act, ground, reason, said, [principal.subject], moment, message)
        await _require_sixty_days(connection, matter_id, ground, moment)
        await _require_assent(connection, matter_id, act, ground)
        signing = acts.signing(act, ground)
        if signing.persons > 1 and message:
            raise Invalid.field("message", "what waits for a further signature takes none: it would be kept in the clear")
        if signing.persons > 1:
            approval_id = new_id()
            fresh = await cases.propose(
                connection, approval_id, matter_id, kind="sign", act=act, ground=ground, reason=reason, detail=signed.detail,
                persons=signing.persons, signed_by=signed.signers, at=moment,
            )  # fmt: skip
            if not fresh:
                # Said again by the same person it has the same answer: the first may have been lost on its way.
                same = await cases.proposed(
                    connection, matter_id, act, ground=ground, reason=reason, detail=signed.detail, by=principal.subject
                )
                if same is not None:
                    return Done(matter_id, act, matter["state"], same["id"], same["persons"] - len(same["signed_by"]))
                raise Conflict(f"{wanted.label} waits for a second signature already; see GET /v1/approvals")
            await audit.record(connection, principal.subject, f"propose_{act}", "matter", [matter_id], lane=matter["lane"])
            return Done(matter_id, act, matter["state"], approval_id, signing.persons - 1)
        _require_last(principal, signing)
        state = await _done(house, connection, matter, signed)
        if signing.sampled and drawn(matter_id, signing.sampled):
            await cases.propose(
                connection, new_id(), matter_id, kind="sample", act=act, ground=ground, reason=reason, detail=signed.detail, persons=2,
                signed_by=signed.signers, at=moment,
            )  # fmt: skip
    return Done(matter_id, act, state)


async def approve(
    house: House, approval_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], at: datetime | None = None
) -> Done:  # fmt: skip
    """A further signature, by another natural person than those who signed; the last one carries the act out."""
    principal.require_person()
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        approval, matter = await _waiting(connection, approval_id, principal, lanes)
        _require_reviewer(principal, approval)
        if approval["kind"] == "sample":
            await cases.end_approval(connection, approval_id, "done", by=principal.subject, at=moment)
            await audit.record(connection, principal.subject, "sample_checked", "matter", [matter["id"]], lane=matter["lane"])
            return Done(matter["id"], approval["act"], matter["state"])
        wanted = acts.require(approval["act"], matter, approval["ground"])
        if approval["kind"] != "review":
            principal.require(*wanted.roles)
        await _require_sixty_days(connection, matter["id"], approval["ground"], moment)
        await _require_assent(connection, matter["id"], approval["act"], approval["ground"])
        signers = [*approval["signed_by"], principal.subject]
        missing = approval["persons"] - len(signers)
        if missing > 0:
            await connection.execute("UPDATE approval SET signed_by = $2 WHERE id = $1", approval_id, signers)
            await audit.record(
                connection, principal.subject, f"sign_{approval['act']}", "matter", [matter["id"]], lane=matter["lane"]
            )
            return Done(matter["id"], approval["act"], matter["state"], approval_id, missing)
        _require_last(principal, acts.signing(approval["act"], approval["ground"]))
        await cases.end_approval(connection, approval_id, "done", by=principal.subject, at=moment)
        detail = approval["detail"] | await _proof(house, connection, matter["id"], approval["act"], approval["ground"])
        signed = Signed(approval["act"], approval["ground"], approval["reason"], detail, signers, moment)
        state = await _done(house, connection, matter, signed)
    return Done(matter["id"], approval["act"], state)


async def _done(house: House, connection: Connection, matter: Any, signed: Signed) -> str:
    """The act carried out, and what follows for the matter's track. Gives the state it made."""
    state = await effects.carry_out(house, connection, matter, signed)
    if signed.act in ("dispatch", "settle_quarrel"):
        await rerouting.follow_dispatch(house, connection, matter["id"], actor=signed.signers[-1], now=signed.at)
    return state


async def reject(
    house: House, approval_id: uuid.UUID, principal: Principal, *, reason: str, lanes: Sequence[str], at: datetime | None = None
) -> Done:  # fmt: skip
    """The act is not done; a sample that was rejected is the supervisor's to put right."""
    principal.require_person()
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        approval, matter = await _waiting(connection, approval_id, principal, lanes, own=True)
        _require_reviewer(principal, approval)
        await cases.end_approval(connection, approval_id, "rejected", by=principal.subject, at=moment, reason=reason)
        if approval["kind"] == "sample":
            await cases.press(connection, matter["id"], "supervise", actor=principal.subject, at=moment, note=reason)
        await audit.record(
            connection, principal.subject, f"reject_{approval['act']}", "matter", [matter["id"]], lane=matter["lane"]
        )
    return Done(matter["id"], approval["act"], matter["state"])


async def press(
    house: House, matter_id: uuid.UUID, principal: Principal, act: str, *, lanes: Sequence[str], note: str | None, at: datetime | None = None
) -> None:  # fmt: skip
    """Urges 催办 or supervises 督办 an open matter: counted, told, in its history."""
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await _held(connection, matter_id, principal, lanes)
        cases.require_open(matter)
        await cases.press(connection, matter_id, act, actor=principal.subject, at=moment, note=note)
        await work.flag(connection, matter_id, act, principal.subject, {})
        if act == "supervise":
            await work.hurry(connection, matter_id)
        await deliveries.announce(connection, [(matter_id, f"matter.{act}d", {})])
        await audit.record(connection, principal.subject, act, "matter", [matter_id], lane=matter["lane"])


async def draft_ends(house: House, now: datetime, *, limit: int = 500) -> int:
    """Drafts the end of mediations whose sixty days are over within a week (Art. 23(1)(5)): a person signs it, or it is overdue and seen."""
    async with house.database.transaction() as connection:
        ending = await cases.ending(connection, local_day(now), now, limit)
        for matter_id in ending:
            await cases.propose(
                connection, new_id(), matter_id, kind="clock", act="terminate", ground="23(1)(5)", reason="自受理之日起六十日内未能达成调解协议",
                detail={}, persons=acts.signing("terminate", "23(1)(5)").persons, signed_by=[], at=now,
            )  # fmt: skip
    return len(ending)


_NOT_FORWARDED = f"{law.cite(law.ORDER_121, 41, 2)}：不具备处理权限的，应当及时反馈统一接收投诉举报的工作机构，不得自行移送。请退回（return），由统一接收机构分送（dispatch）"


async def _sheet(
    house: House, connection: Connection, matter_id: uuid.UUID, read: str | None, principal: Principal, at: datetime
) -> dict[str, Any]:  # fmt: skip
    """The sheet of the factors as it stands: what both who sign see. read: hash of the one that was read; Conflict where it is another."""
    sheet = await factors.snapshot(connection, house.vault, matter_id, principal.jurisdictions, at)
    if read not in (None, sheet["hash"]):
        raise Conflict("the sheet of the factors has changed since it was read; read it again")
    return sheet


def _require_last(principal: Principal, signing: acts.Signing) -> None:
    """The head approves what others propose: who signs last must be one."""
    if signing.last and not principal.has(signing.last):
        raise Forbidden(f"the last signature must be that of a {signing.last}")


def _require_reviewer(principal: Principal, approval: Any) -> None:
    """Whether a dispute was handled well, asked because its complainant was not content or came again (R2), is a supervisor's to decide,
    and not that of whoever handled it."""
    if approval["kind"] != "review" and not approval["detail"].get("repeat"):
        return
    principal.require("supervisor")
    handled_by = approval["detail"].get("handled_by") or approval["signed_by"]
    if principal.subject in handled_by:
        raise Forbidden("原办理人员不得审核自己的办理情况，请由其他负责人决定")


async def _hold_both(
    connection: Connection, matter_id: uuid.UUID, into: Any, principal: Principal, lanes: Sequence[str]
) -> None:  # fmt: skip
    """Two matters in the order everybody locks them; the other one must be the caller's to see as well."""
    try:
        other = uuid.UUID(str(into))
    except ValueError:
        raise Invalid.field("into", "must be the id of the earlier report") from None
    rows = await connection.fetch("SELECT id FROM matter WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", [matter_id, other])
    if other not in [r["id"] for r in rows]:
        raise Invalid.field("into", "no such matter")
    try:
        await _held(connection, other, principal, lanes)
    except NotFound:
        raise Invalid.field("into", "no such matter") from None


async def _held(connection: Connection, matter_id: uuid.UUID, principal: Principal, lanes: Sequence[str]) -> Any:
    matter = await cases.hold(connection, matter_id)
    if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
        raise NotFound("no such matter")
    await staff.require_free(connection, matter_id, principal.subject)
    return matter


async def _waiting(
    connection: Connection, approval_id: uuid.UUID, principal: Principal, lanes: Sequence[str], *, own: bool = False
) -> tuple[Any, Any]:  # fmt: skip
    """(approval, matter), the matter locked first as everywhere."""
    matter_id = await connection.fetchval("SELECT matter_id FROM approval WHERE id = $1", approval_id)
    if matter_id is None:
        raise NotFound("no such approval")
    matter = await _held(connection, matter_id, principal, lanes)
    approval = await cases.hold_approval(connection, approval_id)
    if approval["state"] != "open":
        raise Conflict(f"it was decided already ({approval['state']})")
    if not own and principal.subject in approval["signed_by"]:
        raise Forbidden("a second person must sign; you signed already")
    return approval, matter


async def _require_sixty_days(connection: Connection, matter_id: uuid.UUID, ground: str | None, at: datetime) -> None:
    """Art. 23(1)(5) ends a mediation when its sixty days have passed, not before: a draft may wait, a signature may not come early."""
    if ground != "23(1)(5)":
        return
    due_on = await connection.fetchval(
        "SELECT due_on FROM clock WHERE matter_id = $1 AND key = 'complaint.mediate' AND stopped_at IS NULL", matter_id
    )
    if due_on is not None and local_day(at) <= due_on:
        raise Conflict(f"{acts.cite_ground(ground)}: the term runs until {due_on}; before that another ground is needed")


# What nobody settles or gives up for another (Art. 12(2)).
ASSENTS: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("agree", None): ("settlement",), ("terminate", "23(1)(1)"): ("settlement", "waiver"), ("finish", "agreement"): ("settlement",),
    ("finish", "withdrawn"): ("waiver",),
}  # fmt: skip


async def _require_assent(connection: Connection, matter_id: uuid.UUID, act: str, ground: str | None) -> None:
    if kinds := ASSENTS.get((act, ground)):
        await joint.require_assent(connection, matter_id, kinds)


async def _require_consents(connection: Connection, matter: Any, wanted: acts.Act) -> None:
    if not wanted.consents:
        return
    gates = await cases.gates_of(connection, matter["id"])
    if absent := absent_consents(gates, wanted):
        names = ", ".join(name for track, name in wanted.consents if gates.get((track, name)) != "passed")
        raise Conflict(f"{wanted.label}: {'、'.join(absent)} ({names})")


def absent_consents(gates: Mapping[tuple[str, str], str], wanted: acts.Act) -> list[str]:
    """In Chinese, what an act still needs of both sides. gates: as cases.gates_of gives them."""
    return [
        f"{contacts.CONSENTS[gate]}{'已被拒绝' if gates.get(gate) == 'failed' else '尚未取得'}"
        for gate in wanted.consents if gates.get(gate) != "passed"
    ]  # fmt: skip


async def _proof(
    house: House, connection: Connection, matter_id: uuid.UUID, act: str, ground: str | None, outcome: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """What an end under 23(1)(2) rests on; Conflict where nothing on file proves it."""
    if (act, ground) != ("terminate", proofs.GROUND):
        return {}
    return {"proof": await proofs.require(connection, house.calendar, matter_id, outcome)}


async def finish(
    house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, *, outcome: str, note: str | None = None,
    recovered_fen: int | None = None, satisfied: bool | None = None, through: str | None = None, at: datetime | None = None,
) -> uuid.UUID:  # fmt: skip
    """Ends the work and the matter together. A mediation's failure needs an acceptance before it: where none is
    recorded, the same person's is. through: of an agreement, the body before which it was made (acts.BODIES)."""
    if outcome not in OUTCOMES:
        raise Invalid.field("outcome", f"must be one of {', '.join(OUTCOMES)}")
    principal.require_person()
    moment = at or datetime.now(UTC)
    act, ground = OUTCOMES[outcome]
    said = {"through": through} if through else {}
    acts.require_detail(act, ground, said)
    async with house.database.transaction() as connection:
        # The matter first, everywhere: a withdrawal goes the same way.
        matter = await cases.hold(connection, await work.matter_of(connection, item_id))
        told = {"outcome": outcome, "recovered_fen": recovered_fen, "satisfied": satisfied}
        try:
            matter_id = await work.finish(connection, item_id, token, principal, told)
        except LeaseLost:
            if await was_said(connection, item_id, token, principal, "finish", told):
                return uuid.UUID(str(matter["id"]))
            raise
        cases.require_open(matter)
        require_cleared(matter, principal)
        if matter["lane"] not in acts.ACTS[act].lanes:
            fitting = sorted(o for o, (a, _) in OUTCOMES.items() if matter["lane"] in acts.ACTS[a].lanes)
            raise Invalid.field("outcome", f"for this matter it must be one of {', '.join(fitting)}")
        await _require_assent(connection, matter_id, "finish", outcome)
        if act == "terminate" and matter["state"] in acts.WAITING:
            await effects.carry_out(house, connection, matter, Signed("accept", None, None, {}, [principal.subject], moment))
            matter = await cases.hold(connection, matter_id)
        wanted, signing = acts.require(act, matter, ground), acts.signing(act, ground)
        if signing.persons > 1:
            raise Conflict(f"{wanted.label} needs {signing.persons} signatures here: POST /v1/matters/{matter_id}/{act}")
        _require_last(principal, signing)
        said |= await _proof(house, connection, matter_id, act, ground, outcome)
        signed = Signed(act, ground, note, said, [principal.subject], moment)
        await effects.carry_out(house, connection, matter, signed, Ending(outcome, recovered_fen, satisfied))
    return matter_id


def require_cleared(matter: Any, principal: Principal) -> None:
    """Whoever holds what was found to be a report since, and is not cleared for reports (Art. 37), can only give it back."""
    if matter["lane"] not in principal.lanes:
        raise Forbidden("本件已改按举报办理，须由有权办理举报的人员办理；请放回队列（release）")


async def was_said(
    connection: Connection, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, act: str, told: Mapping[str, Any]
) -> bool:  # fmt: skip
    """Whether it was the caller's same verb that ended this lease: said again, it has its answer again."""
    ended = await work.ended_by(connection, item_id, token, principal.subject)
    return ended is not None and ended["act"] == act and all(ended["detail"].get(k) == v for k, v in told.items())


async def return_to_intake(house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, reason: str) -> uuid.UUID:
    """By whoever holds the lease. What nobody has decided on yet is the intake desk's to send (Art. 41); of what was accepted only the
    work goes back."""
    async with house.database.transaction() as connection:
        matter = await cases.hold(connection, await work.matter_of(connection, item_id))
        try:
            matter_id = await work.return_to_intake(connection, item_id, token, principal, reason)
        except LeaseLost:
            if await was_said(connection, item_id, token, principal, "return", {"reason": reason}):
                return uuid.UUID(str(matter["id"]))
            raise
        if matter["state"] in acts.ACTS["return"].sources:
            principal.require_person()
            signed = Signed("return", None, reason, {}, [principal.subject], datetime.now(UTC))
            await effects.carry_out(house, connection, matter, signed)
        else:
            await audit.record(connection, principal.subject, "return", "matter", [matter_id], lane=matter["lane"])
    return matter_id


async def withdraw(
    house: House, letter_id: uuid.UUID, principal: Principal, *, reason: str | None, at: datetime | None = None
) -> None:  # fmt: skip
    """The complainant's own act through his portal, or at the desk: works with one person (Art. 23(1)(1)). A report
    can't be withdrawn: a clue stays a clue."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT id, lane, state FROM matter WHERE letter_id = $1 AND lane = 'complaint' ORDER BY id", letter_id
        )
        open_ones = [r for r in rows if r["state"] not in acts.CLOSED]
        if not open_ones:
            raise Conflict("there is no open complaint to withdraw in this letter")
        for row in open_ones:
            matter = await cases.hold(connection, row["id"])
            cases.require_open(matter)
            signed = Signed("withdraw", None, reason, {}, [principal.subject], now)
            await effects.carry_out(house, connection, matter, signed)
        await audit.record(connection, principal.subject, "withdraw", "letter", [letter_id], lane="complaint")


async def consent(
    house: House, letter_id: uuid.UUID, principal: Principal, *, party: str, agrees: bool, to: str | None = None, at: datetime | None = None
) -> list[str]:  # fmt: skip
    """A side's yes or no to what its matter proposes, as a fact with who and when. Gives the gates it decided. to: settlement online,
    delegation (Art. 19) or mediation by the bureau (Art. 18), which may be said before the track asks; None: whatever the matter's track asks."""
    now = at or datetime.now(UTC)
    decided: list[tuple[str, str]] = []
    async with house.database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT id, state FROM matter WHERE letter_id = $1 AND lane = 'complaint' ORDER BY id", letter_id
        )
        for row in rows:
            if row["state"] in acts.CLOSED:
                continue
            matter = await cases.hold(connection, row["id"])
            await staff.require_free(connection, row["id"], principal.subject)
            decided += await contacts.say(
                house, connection, matter, party=party, agrees=agrees, to=to, actor=principal.subject, at=now
            )
        if not decided:
            raise Conflict("nothing in this letter waits for that consent")
        await audit.record(connection, principal.subject, "consent", "letter", [letter_id], lane="complaint")
    return list(dict.fromkeys(name for _, name in decided))
