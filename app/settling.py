"""The journey of a person who does a legal act: accepts, refuses, settles, terminates, reopens, finishes, returns, withdraws. Every act
here names a natural person or the complainant himself; no machine closes a matter against anyone, and what needs two persons waits for
the second."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app import audit, calendar, cases, clocks, deliveries, documents, factors, law, rerouting, templates, work
from app.calendar import local_day
from app.database import Connection, to_json
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
_GROUNDS = {"refused": "23(1)(2)", "unreachable": "23(1)(2)", "no_agreement": "23(1)(3)", "other": "23(1)(8)"}
_BY_LANE = {
    "complaint": {"agreement", "withdrawn", "refused", "unreachable", "no_agreement", "other"},
    "report": {"verified"},
    "other": {"answered"},
}


@dataclass(frozen=True, slots=True)
class Done:
    """state: of the matter now. approval_id: where the act waits for further signatures, how many more."""

    matter_id: uuid.UUID
    act: str
    state: str
    approval_id: uuid.UUID | None = None
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Signed:
    """One act with all who sign it."""

    act: str
    ground: str | None
    reason: str | None
    detail: Mapping[str, Any]
    signers: Sequence[str]
    at: datetime


async def perform(
    house: House, matter_id: uuid.UUID, principal: Principal, act: str, *, lanes: Sequence[str], ground: str | None = None,
    reason: str | None = None, detail: Mapping[str, Any] | None = None, at: datetime | None = None,
) -> Done:  # fmt: skip
    """A legal act of cases.ACTS on a matter. Where the law or the bureau wants further signatures it waits as an approval instead."""
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await _held(connection, matter_id, principal, lanes)
        wanted = cases.require(act, matter, ground)
        principal.require(*wanted.roles)
        if wanted.person:
            _natural(principal)
        await _require_consents(connection, matter, wanted)
        if act in _REASONED and not reason:
            raise Invalid.field("reason", f"{wanted.label} needs a reason")
        signed = Signed(act, ground, reason, detail or {}, [principal.subject], moment)
        _check_detail(signed)
        if act == "find_factors":
            signed = replace(signed, detail=await _with_sheet(house, connection, matter_id, signed, principal))
        await _require_sixty_days(connection, matter_id, ground, moment)
        signing = cases.signing(act, ground)
        if signing.persons > 1:
            approval_id = new_id()
            fresh = await cases.propose(
                connection, approval_id, matter_id, kind="sign", act=act, ground=ground, reason=reason, detail=signed.detail,
                persons=signing.persons, signed_by=signed.signers, at=moment,
            )  # fmt: skip
            if not fresh:
                raise Conflict(f"{wanted.label} waits for a second signature already; see GET /v1/approvals")
            await audit.record(connection, principal.subject, f"propose_{act}", "matter", [matter_id], lane=matter["lane"])
            return Done(matter_id, act, matter["state"], approval_id, signing.persons - 1)
        state = await _carry_out(house, connection, matter, signed)
        if signing.sampled and _drawn(matter_id, signing.sampled):
            await cases.propose(
                connection, new_id(), matter_id, kind="sample", act=act, ground=ground, reason=reason, detail=signed.detail, persons=2,
                signed_by=signed.signers, at=moment,
            )  # fmt: skip
    return Done(matter_id, act, state)


async def approve(
    house: House, approval_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], at: datetime | None = None
) -> Done:  # fmt: skip
    """A further signature, by another natural person than those who signed; the last one carries the act out."""
    _natural(principal)
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        approval, matter = await _waiting(connection, approval_id, principal, lanes)
        if approval["kind"] == "sample":
            if approval["detail"].get("repeat"):  # the dispute came again: a supervisor's to look at
                principal.require("supervisor")
            await cases.end_approval(connection, approval_id, "done", by=principal.subject, at=moment)
            await audit.record(connection, principal.subject, "sample_checked", "matter", [matter["id"]], lane=matter["lane"])
            return Done(matter["id"], approval["act"], matter["state"])
        wanted = cases.require(approval["act"], matter, approval["ground"])
        principal.require(*wanted.roles)
        await _require_sixty_days(connection, matter["id"], approval["ground"], moment)
        signers = [*approval["signed_by"], principal.subject]
        missing = approval["persons"] - len(signers)
        if missing > 0:
            await connection.execute("UPDATE approval SET signed_by = $2 WHERE id = $1", approval_id, signers)
            await audit.record(
                connection, principal.subject, f"sign_{approval['act']}", "matter", [matter["id"]], lane=matter["lane"]
            )
            return Done(matter["id"], approval["act"], matter["state"], approval_id, missing)
        await cases.end_approval(connection, approval_id, "done", by=principal.subject, at=moment)
        signed = Signed(approval["act"], approval["ground"], approval["reason"], approval["detail"], signers, moment)
        state = await _carry_out(house, connection, matter, signed)
    return Done(matter["id"], approval["act"], state)


async def reject(
    house: House, approval_id: uuid.UUID, principal: Principal, *, reason: str, lanes: Sequence[str], at: datetime | None = None
) -> Done:  # fmt: skip
    """The act is not done; a sample that was rejected is the supervisor's to put right."""
    _natural(principal)
    moment = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        approval, matter = await _waiting(connection, approval_id, principal, lanes, own=True)
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
        await deliveries.announce(connection, [(matter_id, f"matter.{act}d", {})])
        await audit.record(connection, principal.subject, act, "matter", [matter_id], lane=matter["lane"])


async def draft_ends(house: House, now: datetime, *, limit: int = 500) -> int:
    """Drafts the end of mediations whose sixty days are over within a week (Art. 23(1)(5)): a person signs it, or it is overdue and seen."""
    async with house.database.transaction() as connection:
        ending = await cases.ending(connection, local_day(now), now, limit)
        for matter_id in ending:
            await cases.propose(
                connection, new_id(), matter_id, kind="clock", act="terminate", ground="23(1)(5)", reason="自受理之日起六十日内未能达成调解协议",
                detail={}, persons=cases.signing("terminate", "23(1)(5)").persons, signed_by=[], at=now,
            )  # fmt: skip
    return len(ending)


_REASONED = frozenset({"refuse", "terminate", "reopen", "transfer_police", "find_factors", "extend", "suspend", "transfer", "not_again", "not_open_case", "ask_material", "appraise"})  # fmt: skip


def _check_detail(signed: Signed) -> None:
    """What else an act needs to be said."""
    if signed.act == "find_factors":
        given = signed.detail.get("factors") or []
        if not given or not set(given) <= set(cases.FACTORS):
            raise Invalid.field("factors", f"must name some of {', '.join(cases.FACTORS)}")


async def _with_sheet(
    house: House, connection: Connection, matter_id: uuid.UUID, signed: Signed, principal: Principal
) -> dict[str, Any]:  # fmt: skip
    """The factors with the sheet as it stands: what both who sign see. Conflict where it is no longer the one that was read."""
    sheet = await factors.snapshot(connection, house.vault, matter_id, principal.jurisdictions, signed.at)
    if signed.detail.get("sheet") not in (None, sheet["hash"]):
        raise Conflict("the sheet of the factors has changed since it was read; read it again")
    return {**signed.detail, "sheet": sheet}


async def _held(connection: Connection, matter_id: uuid.UUID, principal: Principal, lanes: Sequence[str]) -> Any:
    matter = await cases.hold(connection, matter_id)
    if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
        raise NotFound("no such matter")
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
        raise Conflict(f"{cases.cite_ground(ground)}: the term runs until {due_on}; before that another ground is needed")


async def _require_consents(connection: Connection, matter: Any, wanted: cases.Act) -> None:
    if not wanted.consents:
        return
    gates = await cases.gates_of(connection, matter["id"])
    if absent := [name for name in wanted.consents if gates.get(name) != "passed"]:
        told = "、".join(f"{_CONSENTS[name]}{'已被拒绝' if gates.get(name) == 'failed' else '尚未取得'}" for name in absent)
        raise Conflict(f"{wanted.label}: {told} ({', '.join(absent)})")


_CONSENTS = {
    "consumer_consent": "投诉人同意", "merchant_consent": "被投诉人同意", "consumer_choice": "消费者选择线上和解",
    "odr_enterprise": "被投诉人为在册ODR企业",
}  # fmt: skip


def _drawn(matter_id: uuid.UUID, share: float) -> bool:
    """The random part of a time-ordered id draws: nobody can choose who is looked at."""
    return (matter_id.int & 0xFFFF) < share * 0x10000


async def _carry_out(house: House, connection: Connection, matter: Any, signed: Signed) -> str:
    """The act itself, all who must sign having signed. Gives the state it made."""
    act, actor, matter_id = cases.ACTS[signed.act], signed.signers[-1], matter["id"]
    state = act.target or matter["state"]
    basis = cases.cite_ground(signed.ground) if signed.ground else act.cited
    more = _ALSO.get((signed.act, signed.ground)) or _ALSO.get((signed.act, None))
    note = "；".join(part for part in (basis, more and f"{more[0]}：{law.cite(law.ORDER_121, *more[1])}", signed.reason) if part)
    if act.target is not None:
        await cases.move(
            connection, matter_id, state, actor=actor, at=signed.at, note=note, outcome=_OUTCOME.get(signed.act), act=signed.act,
            ground=signed.ground, signed_by=signed.signers,
        )  # fmt: skip
    if signed.act == "accept":
        await _start_mediation(house, connection, matter, actor, signed.at)
    elif signed.act == "reopen":
        await _start_mediation(house, connection, matter, actor, signed.at)
        await work.reopen(connection, matter_id, actor)
    elif signed.act == "settle":
        await _start(house, connection, matter, "odr.settle", signed.at)
    elif signed.act == "take_up":  # its own term, from its own receipt
        await _start(house, connection, matter, "clue.verify", matter["received_at"])
    elif signed.act in _CLOCK_ACTS:
        await _change_clock(house, connection, matter, signed)
    elif signed.act == "find_factors":
        seen = None
        if sheet := signed.detail.get("sheet"):
            # In the same scope: whether something came to be known between the first signature and the last.
            now = await factors.snapshot(connection, house.vault, matter_id, sheet["scope"]["jurisdictions"], signed.at)
            seen = {"hash": sheet["hash"], "as_of": sheet["as_of"], "hash_when_signed": now["hash"]}
        await connection.execute(
            "INSERT INTO finding (id, matter_id, code, evidence) VALUES ($1, $2, 'ART17', $3)", new_id(), matter_id,
            to_json({"factors": list(signed.detail["factors"]), "reason": signed.reason, "signed_by": list(signed.signers), "sheet": seen}),
        )  # fmt: skip
    if state in cases.CLOSED:
        await cases.lapse_approvals(connection, matter_id, by=actor, at=signed.at)
        await work.close_item(connection, matter_id, signed.act, actor)
        if signed.act in ("terminate", "transfer_police") and matter["state"] in cases.MEDIATION:
            await _start(house, connection, matter, "complaint.terminate_notice", signed.at)
    if signed.act in _FORMS:
        await _draw(house, connection, matter_id, _FORMS[signed.act], signed)
    await work.redate(connection, [matter_id])
    told = {"act": signed.act, "state": state, "ground": signed.ground}
    await deliveries.announce(connection, [(matter_id, f"matter.{_EVENTS.get(signed.act, 'changed')}", told)])
    await audit.record(connection, actor, signed.act, "matter", [matter_id], lane=matter["lane"])
    return state


# What is said beside the ground: the power that is lacking, the way that is left.
_ALSO: dict[tuple[str, str | None], tuple[str, tuple[int, ...]]] = {
    ("refuse", "16(1)"): ("处理权限", (13, 1)), ("terminate", None): ("不服的救济途径", (25,)),
}  # fmt: skip
_FORMS = {"accept": 5, "refuse": 6, "terminate": 8}


async def _draw(house: House, connection: Connection, matter_id: uuid.UUID, form: int, signed: Signed) -> None:
    """The decision's document, signed by those who did the act. What lacks something stays a draft until it is filled in."""
    values = {"ground": int(signed.ground.rstrip(")").rsplit("(", 1)[-1])} if signed.ground else {}
    document_id = await documents.draft(
        connection, house.vault, await templates.load(connection), matter_id, form, values, signed.signers[0], at=signed.at
    )
    if not await connection.fetchval("SELECT missing FROM document WHERE id = $1", document_id):
        await documents.sign(connection, document_id, signed.signers, signed.at)


_CLOCK_ACTS = frozenset({"appraise", "resume", "extend"})


async def _change_clock(house: House, connection: Connection, matter: Any, signed: Signed) -> None:
    """The days of an appraisal are not counted (Art. 22); verification is extended once, with the head's approval (Art. 27). A mediation
    that was suspended for a recusal counts on."""
    actor, matter_id = signed.signers[-1], matter["id"]
    if signed.act == "extend":
        await clocks.extend(
            connection, house.calendar, matter_id, "clue.verify", actor=signed.signers[0], approver=actor, reason=signed.reason or "", at=signed.at
        )  # fmt: skip
        return
    running = await connection.fetchrow(
        "SELECT paused_at FROM clock WHERE matter_id = $1 AND key = 'complaint.mediate' AND stopped_at IS NULL", matter_id
    )
    if running is None:
        return
    if signed.act == "appraise":
        await clocks.pause(
            connection, house.calendar, matter_id, "complaint.mediate", actor=actor, reason=signed.detail.get("kind", "appraisal"), at=signed.at
        )  # fmt: skip
    elif running["paused_at"] is not None:
        await clocks.resume(connection, house.calendar, matter_id, "complaint.mediate", actor=actor, at=signed.at)


_OUTCOME = {"refuse": "not_accepted", "terminate": "terminated", "agree": "agreement", "withdraw": "withdrawn"}
_EVENTS = {
    "accept": "accepted",
    "refuse": "not_accepted",
    "terminate": "terminated",
    "agree": "agreed",
    "withdraw": "withdrawn",
    "reopen": "reopened",
}


async def _start_mediation(house: House, connection: Connection, matter: Any, actor: str, at: datetime) -> None:
    """From acceptance the 60 days run, no longer the 7 working days."""
    await clocks.stop_clocks(connection, matter["id"], at=at, by="accepted", key="complaint.accept", actor=actor)
    await cases.set_gate(connection, matter["id"], "accepted", "passed", actor=actor, at=at)
    await _start(house, connection, matter, "complaint.mediate", at)


async def _start(house: House, connection: Connection, matter: Any, key: str, at: datetime) -> None:
    received_on = local_day(matter["received_at"])
    if received_on >= calendar.CLOCKS_FROM:
        before = None
        if key == "odr.settle":
            # The bureau's own term goes on meanwhile: settlement must leave it the days to decide.
            before = await connection.fetchval(
                "SELECT due_on FROM clock WHERE matter_id = $1 AND key = 'complaint.accept' AND stopped_at IS NULL", matter["id"]
            )
        due = calendar.due(
            house.calendar, key, local_day(at), received_on=received_on, mode=house.settings.due_mode, before=before
        )
        await clocks.start_clock(connection, new_id(), matter["id"], due, at)


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
        if state == "terminated" and matter["state"] in cases.WAITING:
            await _carry_out(house, connection, matter, Signed("accept", None, None, {}, [principal.subject], moment))
        await cases.move(
            connection, matter_id, state, actor=principal.subject, at=moment, note=f"{ground}{'；' + note if note else ''}",
            outcome=outcome, recovered_fen=recovered_fen, satisfied=satisfied, act="finish", signed_by=[principal.subject],
        )  # fmt: skip
        await cases.lapse_approvals(connection, matter_id, by=principal.subject, at=moment)
        if state == "terminated":
            ended = Signed("terminate", _GROUNDS[outcome], note, {}, [principal.subject], moment)
            await _draw(house, connection, matter_id, _FORMS["terminate"], ended)
        if state == "terminated" or (state == "withdrawn" and matter["state"] in cases.MEDIATION):
            await _start(house, connection, matter, "complaint.terminate_notice", moment)
        if state == "withdrawn":
            await factors.review_people_of(connection, house.policies, [matter_id], moment)
        await deliveries.announce(connection, [(matter_id, "matter.finished", {"outcome": outcome, "state": state})])
        await audit.record(connection, principal.subject, "finish", "matter", [matter_id], lane=matter["lane"])
    return matter_id


async def return_to_intake(house: House, item_id: uuid.UUID, token: uuid.UUID, principal: Principal, reason: str) -> uuid.UUID:
    async with house.database.transaction() as connection:
        matter_id = await work.return_to_intake(connection, item_id, token, principal, reason)
        await audit.record(connection, principal.subject, "return", "matter", [matter_id])
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
        open_ones = [r for r in rows if r["state"] not in cases.CLOSED]
        if not open_ones:
            raise Conflict("there is no open complaint to withdraw in this letter")
        for row in open_ones:
            matter = await cases.hold(connection, row["id"])
            cases.require_open(matter)
            # What was accepted already is a mediation that ends (Art. 23(1)(1)).
            ended = cases.cite_ground("23(1)(1)") if matter["state"] in cases.MEDIATION else None
            note = "；".join(part for part in (ended, reason) if part) or None
            await cases.move(
                connection, row["id"], "withdrawn", actor=principal.subject, at=now, outcome="withdrawn", note=note, act="withdraw",
                signed_by=[principal.subject],
            )  # fmt: skip
            await cases.lapse_approvals(connection, row["id"], by=principal.subject, at=now)
            if matter["state"] in cases.MEDIATION:  # what was accepted is ended, and both sides are told
                await _start(house, connection, matter, "complaint.terminate_notice", now)
            await work.close_item(connection, row["id"], "withdrawn", principal.subject)
            await deliveries.announce(connection, [(row["id"], "matter.withdrawn", {})])
        await factors.review_people_of(connection, house.policies, [r["id"] for r in open_ones], now)
        await audit.record(connection, principal.subject, "withdraw", "letter", [letter_id], lane="complaint")


async def consent(
    house: House, letter_id: uuid.UUID, principal: Principal, *, party: str, agrees: bool, at: datetime | None = None
) -> list[str]:  # fmt: skip
    """A side's yes or no to what its matter proposes, as a fact with who and when. Gives the gates it decided."""
    gates = {"consumer": ("consumer_consent", "consumer_choice"), "merchant": ("merchant_consent",)}[party]
    now = at or datetime.now(UTC)
    decided = []
    async with house.database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT id, state FROM matter WHERE letter_id = $1 AND lane = 'complaint' ORDER BY id", letter_id
        )
        for row in rows:
            if row["state"] in cases.CLOSED:
                continue
            matter = await cases.hold(connection, row["id"])
            for gate in gates:
                if await cases.set_gate(
                    connection, row["id"], gate, "passed" if agrees else "failed", actor=principal.subject, at=now
                ):
                    decided.append(gate)
                    if not agrees:
                        await rerouting.follow_refusal(house, connection, matter, gate, now=now, actor=principal.subject)
            # A side may say so before its track asks: what the matter becomes later finds the word given.
            if not decided and party == "merchant" and await cases.ask_gate(
                connection, row["id"], "merchant_consent", "passed" if agrees else "failed", actor=principal.subject, at=now,
                basis=f"被投诉人是否同意调解（{law.cite(law.ORDER_121, 18)}、{law.cite(law.ORDER_121, 19)}）",
            ):  # fmt: skip
                decided.append("merchant_consent")
        if not decided:
            raise Conflict("nothing in this letter waits for that consent")
        await audit.record(connection, principal.subject, "consent", "letter", [letter_id], lane="complaint")
    return decided


def _natural(principal: Principal) -> None:
    if not principal.natural_person:
        raise Forbidden("a person must do this; a machine's token can't")
