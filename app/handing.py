"""The journey of matters in others' hands: a person hands one over beside the acts, a partner says how it stands, and what that means for
the matter. A partner's word ends nothing by itself: a success is drafted for a person to sign, a failure or a return gives the matter back."""

import uuid
from datetime import UTC, date, datetime
from typing import Any

from app import acts, audit, calendar, cases, clocks, effects, handovers, partners, rerouting, work
from app.calendar import local_day
from app.database import Connection, to_json
from app.errors import Conflict, Invalid, NotFound
from app.handovers import STATE_LABELS, Status
from app.identity import Principal, new_id
from app.partners import KINDS, RESULT_LABELS
from app.triage import HOTLINE, House

# The acts by which others work on a dispute in the bureau's stead.
_WORKS = ("settle", "delegate")

# -- out


async def hand_over(
    house: House, matter_id: uuid.UUID, principal: Principal, partner_id: uuid.UUID, *, lanes: tuple[str, ...], message: str | None = None,
    agreement_on: date | None = None, both_parties: bool = False, at: datetime | None = None,
) -> uuid.UUID:  # fmt: skip
    """By a person, to a partner of a kind that no act hands over to, or of one that may be asked beside it. agreement_on, both_parties: of a
    judicial confirmation 司法确认, which both apply for together within thirty days of their agreement."""
    now = at or datetime.now(UTC)
    principal.require_person()
    async with house.database.transaction() as connection:
        matter = await cases.hold(connection, matter_id)
        if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
            raise NotFound("no such matter")
        if matter["history"] or matter["copy_of"] is not None:
            raise Conflict("a record of the past and a copy are handed to nobody")
        kinds = [name for name, kind in KINDS.items() if kind.posted]
        partner = await partners.find_partner(connection, partner_id, kinds, matter, local_day(now))
        due_on = None
        match partner["kind"]:
            case "hotline_12345":
                if matter["channel"] != HOTLINE:
                    raise Conflict("不是12345热线转办的事项")
            case "judicial_confirmation":
                agreement_on, due_on = await _confirmable(house, connection, matter, agreement_on, both_parties, local_day(now))
            case "consumer_council" if matter["state"] in acts.CLOSED:
                raise Conflict(f"the matter is closed ({acts.STATE_LABELS[matter['state']]})")
        if agreement_on is not None and partner["kind"] != "judicial_confirmation":
            raise Invalid.field("agreement_on", "only of a judicial confirmation")
        return await handovers.send(
            connection, house.vault, matter, partner, act=None, actor=principal.subject, at=now, due_on=due_on, agreement_on=agreement_on,
            message=message,
        )  # fmt: skip


async def _confirmable(
    house: House, connection: Connection, matter: Any, agreement_on: date | None, both_parties: bool, today: date
) -> tuple[date, date]:
    """(day of the agreement, last day to apply). The agreement must be one that a mediation body brought about: the bureau's own is not
    confirmed by these articles."""
    found = await handovers.mediated_agreement(connection, matter["id"])
    delegated = found or await connection.fetchval(
        "SELECT 1 FROM state_change WHERE matter_id = $1 AND act = 'delegate' LIMIT 1", matter["id"]
    )
    if matter["state"] != "agreed" or not delegated:
        raise Conflict("司法确认：须经人民调解委员会或者其他依法设立的调解组织调解达成协议")
    if not both_parties:
        raise Invalid.field("both_parties", "司法确认由双方当事人共同申请")
    agreed_on = found["agreement_on"] if found else agreement_on
    if agreed_on is None or agreed_on > today:
        raise Invalid.field("agreement_on", "the day of the agreement is missing or lies ahead")
    due = calendar.due(
        house.calendar, "judicial_confirm", agreed_on, received_on=local_day(matter["received_at"]), mode=house.settings.due_mode
    )
    if today > due.due_on:
        raise Conflict(f"司法确认：自调解协议生效之日起三十日已于{due.due_on}届满")
    return agreed_on, due.due_on


async def hand_over_incident(
    house: House, incident_id: uuid.UUID, principal: Principal, partner_id: uuid.UUID, *, message: str | None = None, at: datetime | None = None
) -> uuid.UUID:  # fmt: skip
    """A candidate of a public-interest suit 公益诉讼: the incident's numbers, to whoever may sue. Its matters stay as they are."""
    now = at or datetime.now(UTC)
    principal.require_person()
    async with house.database.transaction() as connection:
        matters = await connection.fetch(
            "SELECT m.* FROM incident i JOIN incident_membership im ON im.incident_id = i.id AND im.valid_to IS NULL AND im.is_primary "
            "JOIN matter m ON m.id = im.matter_id AND m.lane = 'complaint' WHERE i.id = $1 AND i.merged_into IS NULL ORDER BY m.id",
            incident_id,
        )  # fmt: skip
        mine = [m for m in matters if principal.covers(m["district"])]
        if not mine:
            raise NotFound("no such incident")
        matter = await cases.hold(connection, mine[0]["id"])
        partner = await partners.find_partner(connection, partner_id, ("public_interest",), matter, local_day(now))
        return await handovers.send(
            connection,
            house.vault,
            matter,
            partner,
            act=None,
            actor=principal.subject,
            at=now,
            message=message,
            incident_id=incident_id,
        )


async def recall(
    house: House, handover_id: uuid.UUID, principal: Principal, *, lanes: tuple[str, ...], reason: str | None, at: datetime | None = None
) -> None:  # fmt: skip
    """Taken back by a person; what was with an enterprise or delegated is the bureau's again, as it was before."""
    now = at or datetime.now(UTC)
    principal.require_person()
    async with house.database.transaction() as connection:
        matter, handover = await _held(connection, handover_id, principal, lanes)
        if handover["closed_at"] is not None:
            raise Conflict(f"{STATE_LABELS[handover['state']]}: nothing to recall")
        theirs = handover["act"] in _WORKS and _still_theirs(handover, matter)
        await handovers.recall(connection, house.vault, handover, actor=principal.subject, at=now, reason=reason)
        if theirs:
            await _take_back(house, connection, matter, handover, "partner_recalled", principal.subject, "bureau", now)


async def acknowledge(house: House, handover_id: uuid.UUID, principal: Principal, *, lanes: tuple[str, ...]) -> None:
    """Somebody has seen what called for a person."""
    principal.require_person()
    async with house.database.transaction() as connection:
        await _held(connection, handover_id, principal, lanes)
        await handovers.attend(connection, handover_id, None)
        await audit.record(connection, principal.subject, "acknowledge", "handover", [handover_id])


async def _held(connection: Connection, handover_id: uuid.UUID, principal: Principal, lanes: tuple[str, ...]) -> tuple[Any, Any]:
    """(matter, hand-over), the matter locked first as everywhere."""
    matter_id = await connection.fetchval("SELECT matter_id FROM handover WHERE id = $1", handover_id)
    if matter_id is not None:
        matter = await cases.hold(connection, matter_id)
        if principal.covers(matter["district"]) and matter["lane"] in lanes:
            return matter, await handovers.hold(connection, handover_id)
    raise NotFound("no such hand-over")


# -- in


async def report(
    house: House, handover_id: uuid.UUID, principal: Principal, said: Status, *, at: datetime | None = None
) -> dict[str, Any]:  # fmt: skip
    """A partner's status on one of its hand-overs. The same again gives the same answer; one older than what stands, or on a hand-over
    that the desk took back, is kept and does nothing. Raises Conflict for one that may not follow."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        row = await connection.fetchrow(
            "SELECT h.matter_id FROM handover h JOIN partner p ON p.id = h.partner_id WHERE h.id = $1 AND h.partner_id = $2 AND p.disabled_at IS NULL",
            handover_id, principal.partner_id,
        )  # fmt: skip
        if row is None:
            raise NotFound("no such hand-over")
        matter = await cases.hold(connection, row["matter_id"])
        handover = await handovers.hold(connection, handover_id)
        before = await handovers.known(connection, house.vault, handover_id, said)
        if before is not None:
            return before
        handovers.check(said, handover["kind"], now)
        applied, effect = False, "older"
        if handover["state"] not in handovers.ENDS and not _still_theirs(handover, matter):
            effect = "matter_ended" if matter["state"] in acts.CLOSED else "recalled"
        elif handovers.judge(handover["state"], handover["as_of"], said.state, said.as_of):
            await handovers.stand(connection, handover, said, now)
            applied, effect = True, await _follow(house, connection, matter, handover, said, principal.subject, now)
        elif said.state in handovers.ENDS and said.state != handover["state"]:
            # It ended twice and differently: which is true a person asks.
            await handovers.attend(connection, handover_id, "contradiction")
        return await handovers.keep(
            connection, house.vault, handover, said, actor=principal.subject, at=now, applied=applied, effect=effect
        )


def _still_theirs(handover: Any, matter: Any) -> bool:
    """Whether nobody took it back and the matter is where the hand-over brought it: else nothing the partner says does anything any more."""
    states = KINDS[handover["kind"]].states
    if handover["state"] == "recalled":
        return False
    return handover["act"] is None or states is None or matter["state"] in states


async def _follow(
    house: House, connection: Connection, matter: Any, handover: Any, said: Status, actor: str, now: datetime
) -> str:  # fmt: skip
    """What a status that stands does. Every one is in the matter's history; gives a word for what it did besides."""
    kind = KINDS[handover["kind"]]
    told = "".join((kind.label, "：", STATE_LABELS[said.state], f"（{RESULT_LABELS[said.result]}）" if said.result else ""))
    note = f"{told}，承办编号{said.external_ref}" if said.external_ref else told
    if handover["incident_id"] is None:  # a candidate is the incident's, not the matter's
        await cases.remark(connection, matter["id"], "handover", actor=actor, at=now, note=note, authority="partner")
    if handover["kind"] == "hotline_12345" and said.state in ("received", "working", "done"):
        # The answer has arrived: that is what the term was for, whatever the hotline thinks of it.
        await clocks.stop_clocks(connection, matter["id"], at=now, by="answered", key="hotline12345.reply", actor=actor)
        await work.redate(connection, [matter["id"]])
    if handover["kind"] == "judicial_confirmation" and said.state in ("received", "working", "done"):
        await clocks.stop_clocks(connection, matter["id"], at=now, by="applied", key="judicial_confirm", actor=actor)
    if said.state not in handovers.ENDS:
        return "noted"
    if said.result == "already_handled" and handover["kind"] == "consumer_council":
        # A ground of Art. 16(2) is a person's to find; here is what for.
        await _find(connection, matter["id"], "handled_by_council", handover, said)
    if handover["act"] in _WORKS and said.state == "done":
        return await _draft_end(connection, matter, handover, said, actor, now)
    if handover["act"] in _WORKS:
        return await _give_back(house, connection, matter, handover, said, actor, now)
    if handover["incident_id"] is None and said.result != "already_handled":
        await _find(connection, matter["id"], "handover", handover, said)
    if said.state == "returned" or said.result == "rejected":
        return await _call_desk(house, connection, matter, handover, actor, now)
    return "noted"


async def _find(connection: Connection, matter_id: uuid.UUID, code: str, handover: Any, said: Status) -> None:
    evidence = {
        "handover_id": handover["id"], "kind": handover["kind"], "state": said.state, "result": said.result, "as_of": said.as_of,
        "external_ref": said.external_ref or handover["external_ref"],
    }  # fmt: skip
    await connection.execute(
        "INSERT INTO finding (id, matter_id, code, evidence) VALUES ($1, $2, $3, $4)",
        new_id(),
        matter_id,
        code,
        to_json(evidence),
    )


async def _draft_end(connection: Connection, matter: Any, handover: Any, said: Status, actor: str, now: datetime) -> str:
    """A success is an act that waits for a person: two who settled by themselves end a mediation under 23(1)(1); where nothing was accepted
    yet, and where a body mediated, they agreed."""
    act, ground = "agree", None
    if handover["kind"] == "odr" and await cases.was_accepted(connection, matter["id"]):
        act, ground = "terminate", "23(1)(1)"
    detail = {
        "handover_id": handover["id"], "partner": handover["kind"], "agreement_on": said.agreement_on, "recovered_fen": said.recovered_fen,
        "outcome": "agreement",
    }  # fmt: skip
    # A draft that the sixty days made says less than an agreement.
    await connection.execute(
        "UPDATE approval SET state = 'lapsed', decided_by = $3, decided_at = $4 WHERE matter_id = $1 AND act = $2 AND state = 'open' AND kind = 'clock'",
        matter["id"], act, actor, now,
    )  # fmt: skip
    fresh = await cases.propose(
        connection, new_id(), matter["id"], kind="partner", act=act, ground=ground, reason=f"{KINDS[handover['kind']].label}报告双方达成协议",
        detail=detail, persons=acts.signing(act, ground).persons, signed_by=[], at=now,
    )  # fmt: skip
    if fresh:
        return f"drafted_{act}"
    await handovers.attend(connection, handover["id"], "draft_waits")
    return "another_draft_waits"


async def _give_back(
    house: House, connection: Connection, matter: Any, handover: Any, said: Status, actor: str, now: datetime
) -> str:  # fmt: skip
    """It is the bureau's again at once: after a failure proposed anew, after a return at the intake desk."""
    cause = "partner_failed" if said.state == "failed" else "partner_returned"
    matter = await _take_back(house, connection, matter, handover, cause, actor, "partner", now)
    if said.state == "returned":
        return await _call_desk(house, connection, matter, handover, actor, now)
    failed = "t1" if handover["kind"] == "odr" else "t2"
    evidence = {"handover_id": str(handover["id"]), "kind": handover["kind"], "result": said.result}
    moved = await rerouting.decide_anew(
        house, connection, matter, {"failed_track": failed}, cause=cause, evidence=evidence, now=now, actor=actor
    )
    if not moved:
        await work.flag(connection, matter["id"], f"{cause}:{handover['kind']}", actor, evidence)
    return "rerouted" if moved else "flagged"


async def _take_back(
    house: House, connection: Connection, matter: Any, handover: Any, cause: str, actor: str, authority: str, now: datetime
) -> Any:  # fmt: skip
    """The matter in the bureau's hands: as it was before the act that handed it over."""
    if handover["kind"] == "odr":
        matter = await rerouting.end_settling(house, connection, matter, now, cause=cause, actor=actor, authority=authority)
    else:
        paused = await connection.fetchval(
            "SELECT paused_at FROM clock WHERE matter_id = $1 AND key = 'complaint.mediate' AND stopped_at IS NULL", matter["id"]
        )
        if paused is not None:
            await clocks.resume(connection, house.calendar, matter["id"], "complaint.mediate", actor=actor, at=now)
        note = f"{KINDS[handover['kind']].label}：{rerouting.REASONS[cause]}"
        await cases.move(connection, matter["id"], "accepted", actor=actor, at=now, note=note, authority=authority, act=cause)
        matter = await cases.hold(connection, matter["id"])
    await work.redate(connection, [matter["id"]])
    return matter


async def _call_desk(house: House, connection: Connection, matter: Any, handover: Any, actor: str, now: datetime) -> str:
    """What came back is work of the intake desk, which alone may send it elsewhere (Art. 41); of a matter that is over, a mark in the list."""
    word = "returned" if handover["act"] or handover["kind"] != "hotline_12345" else "answer_rejected"
    await handovers.attend(connection, handover["id"], word)
    if handover["act"] == "transfer" and matter["state"] == "transferred":
        # A clue that nobody took is one to verify again, its term counted from the day it came back.
        await cases.move(
            connection, matter["id"], "verifying", actor=actor, at=now, note=f"{KINDS[handover['kind']].label}退回", authority="partner",
            act="partner_returned",
        )  # fmt: skip
        await effects.start_clock(house, connection, matter["id"], "clue.verify", now, received_at=matter["received_at"])
        await work.reopen(connection, matter["id"], actor)
        matter = await cases.hold(connection, matter["id"])
    if matter["state"] in acts.CLOSED:
        return "called_desk"
    if handover["act"]:
        priority = await connection.fetchval("SELECT priority FROM work_item WHERE matter_id = $1", matter["id"])
        if priority is not None:
            due_at = await cases.next_due(connection, matter["id"])
            await work.reroute(
                connection, matter["id"], "intake", actor, priority=priority, due_at=due_at,
                urgent_at=work.urgent_at(due_at, matter["received_at"], priority),
            )  # fmt: skip
    await work.flag(connection, matter["id"], f"{word}:{handover['kind']}", actor, {"handover_id": str(handover["id"])})
    return "called_desk"


# -- read


async def read_own(house: House, handover_id: uuid.UUID, principal: Principal, *, at: datetime | None = None) -> dict[str, Any]:
    """A partner's hand-over with what it needs to work on it while it is open: a logged reveal."""
    async with house.database.transaction() as connection:
        found = await handovers.find(connection, principal, (), handover_id, local_day(at or datetime.now(UTC)))
        found["case"] = await handovers.case_file(connection, house.vault, handover_id, principal)
        found["statuses"] = await handovers.statuses(connection, house.vault, handover_id, to_partner=True)
    return found


async def candidates(house: House, principal: Principal, *, at: datetime | None = None) -> list[dict[str, Any]]:
    """Candidates of a public-interest suit in the caller's places, by the thresholds of each one's own."""
    now = at or datetime.now(UTC)
    keys = handovers.CANDIDATE_THRESHOLDS
    least = min(
        p.thresholds.get(key, keys[key])
        for p in house.policies
        for key in ("public_interest.people", "public_interest.harm_people")
    )
    async with house.database.connection() as connection:
        return await handovers.candidates(
            connection, principal, lambda place: house.policy_at(place, now).thresholds, least=least
        )
