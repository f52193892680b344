"""What a signed act brings about, in one transaction: the state with its history, clocks, work, the decision's document, the word to
those who listen. Who may do it and who must sign is asked before, by app.settling."""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from app import (
    acts,
    audit,
    calendar,
    callbacks,
    cases,
    clocks,
    deliveries,
    directories,
    documents,
    factors,
    handovers,
    incidents,
    law,
    partners,
    runs,
    similar,
    templates,
    work,
)
from app.calendar import local_day
from app.codes import region_name
from app.database import Connection, to_json
from app.errors import Conflict, Invalid
from app.identity import new_id
from app.triage import House


@dataclass(frozen=True, slots=True)
class Signed:
    """One act with all who sign it. detail: by the names of acts.DETAILS, and what a partner reported. message: to the partner it hands
    the matter to."""

    act: str
    ground: str | None
    reason: str | None
    detail: Mapping[str, Any]
    signers: Sequence[str]
    at: datetime
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How work on a matter ended, where the act ends it: outcome is the mediator's own word for it."""

    outcome: str
    recovered_fen: int | None = None
    satisfied: bool | None = None


@dataclass(slots=True)
class _Doing:
    """One act on its way. matter: as it stood. state: after it. receiver: the other bureau. partner: whom it is handed
    to."""

    house: House
    connection: Connection
    matter: Any
    signed: Signed
    state: str = ""
    receiver: "Receiver | None" = None
    partner: Any = None

    @property
    def actor(self) -> str:
        return self.signed.signers[-1]

    @property
    def id(self) -> uuid.UUID:
        return uuid.UUID(str(self.matter["id"]))

    @property
    def received_at(self) -> datetime:
        """By the bureau that has it now: what picks the rules."""
        return datetime.fromisoformat((self.matter["reached_at"] or self.matter["received_at"]).isoformat())

    async def start(
        self, key: str, at: datetime, *, matter_id: uuid.UUID | None = None, received_at: datetime | None = None
    ) -> None:
        await start_clock(self.house, self.connection, matter_id or self.id, key, at, received_at=received_at or self.received_at)


async def carry_out(house: House, connection: Connection, matter: Any, signed: Signed, ending: Ending | None = None) -> str:
    """The act itself, all who must sign having signed; the matter is held. Gives the state it made. Raises Conflict where what it would
    end does not run, or another matter it needs stands otherwise."""
    wanted = acts.ACTS[signed.act]
    doing = _Doing(house, connection, matter, signed)
    doing.receiver = await _receiver(house, connection, matter, signed)
    if (partner_id := signed.detail.get("partner_id")) is not None:
        kinds = partners.BY_ACT[signed.act]
        doing.partner = await partners.find_partner(connection, uuid.UUID(str(partner_id)), kinds, matter, local_day(signed.at))
    moves = doing.receiver is not None and signed.act != "quarrel" and doing.receiver.moves
    came_from = await _interrupted(connection, doing.id) if signed.act == "resume" else None
    doing.state = state = acts.target(
        signed.act, matter, came_from=came_from, elsewhere=doing.receiver.elsewhere if moves and doing.receiver else None
    )
    if wanted.stops and not await clocks.stop_each(
        connection, doing.id, [wanted.stops], at=signed.at, by=signed.act, actor=doing.actor
    ):
        raise Conflict(f"{wanted.label}: no clock {wanted.stops} runs")
    changes = wanted.target is not None or moves
    await _record(doing, changes, ending)
    if effect := _EFFECTS.get(signed.act):
        await effect(doing)
    await handovers.follow(connection, house.vault, doing.id, state, act=signed.act, actor=doing.actor, at=signed.at)
    if doing.partner is not None:
        await handovers.send(
            connection,
            house.vault,
            matter,
            doing.partner,
            act=signed.act,
            actor=doing.actor,
            at=signed.at,
            message=signed.message,
        )
    if changes:
        holder = await work.holder(connection, doing.id) if state in acts.CLOSED else None
        await callbacks.follow(connection, house.calendar, matter, state, at=signed.at, holder=holder)
    if changes and state in acts.CLOSED:
        await cases.lapse_approvals(connection, doing.id, by=doing.actor, at=signed.at)
        await work.close_item(connection, doing.id, signed.act, doing.actor)
        if matter["state"] not in acts.CLOSED:
            await similar.note_unusual(connection, doing.id)
        if signed.act in _ENDS_MEDIATION and matter["state"] in acts.MEDIATION:
            await doing.start("complaint.terminate_notice", signed.at)
    if form := _FORMS.get("terminate" if state == "terminated" and changes else signed.act):
        await _draw(doing, form)
    await work.redate(connection, [doing.id])
    name = "finish" if ending else signed.act
    if signed.act != "find_clue":  # nobody who listens to the complaint is told of a report (Art. 37)
        told = (
            {"outcome": ending.outcome, "state": state}
            if ending
            else {"act": signed.act, "state": state, "ground": signed.ground}
        )
        event = "finished" if ending else _EVENTS.get(signed.act, "changed")
        await deliveries.announce(connection, [(doing.id, f"matter.{event}", told)])
    lane = "report" if signed.act == "find_clue" else matter["lane"]
    await audit.record(connection, doing.actor, name, "matter", [doing.id], lane=lane)
    return state


_ENDS_MEDIATION = frozenset({"terminate", "withdraw", "transfer_police"})
_FORMS = {"accept": 5, "refuse": 6, "terminate": 8}
_OUTCOME = {"refuse": "not_accepted", "agree": "agreement", "withdraw": "withdrawn"}
_EVENTS = {
    "accept": "accepted", "refuse": "not_accepted", "terminate": "terminated", "agree": "agreed", "withdraw": "withdrawn",
    "reopen": "reopened",
}  # fmt: skip


async def _record(doing: _Doing, changes: bool, ending: Ending | None) -> None:
    """The state, and the history's row."""
    matter, signed, connection = doing.matter, doing.signed, doing.connection
    detail: dict[str, Any] = {k: str(v) if isinstance(v, uuid.UUID) else v for k, v in signed.detail.items()}
    if sheet := detail.get("sheet"):
        detail["sheet"] = sheet["hash"]  # the approval keeps it whole
    if signed.act in ("appraise", "suspend"):
        detail["from"] = matter["state"]
    if doing.partner is not None and doing.partner["kind"] in acts.BODIES:
        detail["to"] = doing.partner["kind"]
    if doing.receiver is not None:
        detail |= {"from": matter["district"], "to": doing.receiver.code, "received_at": doing.received_at.isoformat()}
    if changes:
        await cases.move(
            connection, doing.id, doing.state, actor=doing.actor, at=signed.at, note=_note(doing),
            outcome=ending.outcome if ending else detail.get("outcome") or ("terminated" if doing.state == "terminated" else _OUTCOME.get(signed.act)),
            recovered_fen=ending.recovered_fen if ending else detail.get("recovered_fen"),
            satisfied=ending.satisfied if ending else None, act="finish" if ending else signed.act, ground=signed.ground,
            signed_by=signed.signers, authority=_authority(doing), detail=detail or None,
        )  # fmt: skip
    elif signed.act != "find_clue":
        await cases.remark(
            connection, doing.id, signed.act, actor=doing.actor, at=signed.at, note=_note(doing), ground=signed.ground,
            signed_by=signed.signers, detail=detail or None,
        )  # fmt: skip


def _authority(doing: _Doing) -> str:
    """Whose the matter is after the act: this bureau's, or the one it went to."""
    if doing.state == "archived":
        return str(doing.matter["authority"])
    if doing.receiver is not None and doing.receiver.elsewhere:
        return doing.receiver.authority
    if doing.signed.act == "transfer_police":
        return "police"
    return str(doing.signed.detail.get("to") or "bureau") if doing.signed.act == "transfer" else "bureau"


def _note(doing: _Doing) -> str:
    """What its history says: the article, what it rests on, to whom, why."""
    signed, wanted = doing.signed, acts.ACTS[doing.signed.act]
    ground, detail = signed.ground, signed.detail
    said: list[str | None] = [acts.cite_ground(ground) if ground and ground not in acts.GROUND_LABELS else wanted.cited]
    if signed.act == "withdraw":  # before acceptance there is no mediation that ends
        said = [acts.cite_ground("23(1)(1)") if doing.matter["state"] in acts.MEDIATION else None]
    elif signed.act == "extend" and (detail.get("clock") or extended_clock(doing.matter)) == "case.decide":
        said = [law.cite(law.PENALTY_PROCEDURE, 64, 1)]
    elif doing.matter["lane"] == "report" and signed.act in ("appraise", "resume"):
        named = doing.matter["state"] if signed.act == "appraise" else doing.state
        said = [law.cite(*_UNCOUNTED.get(named, _UNCOUNTED["verifying"])[1])]
    elif signed.act == "transfer_police" and doing.state == "terminated":
        said.append(f"终止调解：{acts.cite_ground('23(1)(6)')}")
    if ground in acts.GROUND_LABELS:
        said.append(acts.GROUND_LABELS[ground])
    if rests_on := detail.get("rests_on"):
        said.append(f"所依情形：{acts.cite_ground(rests_on)}“{acts.sentence_of(rests_on)}”")
    if proof := detail.get("proof"):
        said.append(f"依据：{'；'.join(one['text'] for one in proof)}")
    if (signed.act in _ENDS_MEDIATION and doing.state == "terminated") or (signed.act, ground) == ("refuse", "16(1)"):
        label, *where = ("处理权限", 13, 1) if signed.act == "refuse" else ("不服的救济途径", 25)
        said.append(f"{label}：{law.cite(law.ORDER_121, *where)}")
    if doing.receiver is not None:
        said.append(f"{'争议对方' if signed.act == 'quarrel' else '处理机关'}：{doing.receiver.name}")
    elif doing.partner is not None:
        said.append(f"去向：{doing.partner['name']}")
    elif to := detail.get("to"):
        said.append(f"去向：{acts.BODIES.get(to, to)}")
    return "；".join(part for part in (*said, signed.reason) if part)


async def _draw(doing: _Doing, form: int) -> None:
    """The decision's document, signed by those who did the act. What lacks something stays a draft until it is filled in."""
    signed, connection = doing.signed, doing.connection
    ground = "23(1)(6)" if signed.act == "transfer_police" else signed.ground
    values = {"ground": int(ground.rstrip(")").rsplit("(", 1)[-1])} if ground else {}
    document_id = await documents.draft(
        connection, doing.house.vault, await templates.load(connection), doing.id, form, values, signed.signers[0], at=signed.at
    )
    if not await connection.fetchval("SELECT missing FROM document WHERE id = $1", document_id):
        await documents.sign(connection, document_id, signed.signers, signed.at)


# -- clocks


async def start_clock(
    house: House, connection: Connection, matter_id: uuid.UUID, key: str, at: datetime, *, received_at: datetime
) -> None:  # fmt: skip
    """received_at: picks the rules; before the first order no clock runs."""
    received_on = local_day(received_at)
    if received_on < calendar.CLOCKS_FROM:
        return
    before = None
    if key == "odr.settle":
        # The bureau's own term goes on meanwhile: settlement must leave it the days to decide.
        before = await connection.fetchval(
            "SELECT due_on FROM clock WHERE matter_id = $1 AND key = 'complaint.accept' AND stopped_at IS NULL", matter_id
        )
    due = calendar.due(house.calendar, key, local_day(at), received_on=received_on, mode=house.settings.due_mode, before=before)
    await clocks.start_clock(connection, new_id(), matter_id, due, at)


async def _accepted(doing: _Doing) -> None:
    """From acceptance the 60 days run, no longer the 7 working days."""
    connection, at = doing.connection, doing.signed.at
    await clocks.stop_clocks(connection, doing.id, at=at, by="accepted", key="complaint.accept", actor=doing.actor)
    await cases.set_gate(connection, doing.id, "accepted", "passed", actor=doing.actor, at=at)
    await doing.start("complaint.mediate", at)


async def _reopened(doing: _Doing) -> None:
    """What was owed on the end that stands no more is owed no more; a letter of the same dispute that came since stands for this one."""
    ended = ("complaint.terminate_notice", "judicial_confirm")
    await clocks.stop_each(doing.connection, doing.id, ended, at=doing.signed.at, by="reopened", actor=doing.actor)
    await _accepted(doing)
    await work.reopen(doing.connection, doing.id, doing.actor)
    if again := doing.signed.detail.get("again"):
        await _joined(doing, uuid.UUID(str(again)))


async def _joined(doing: _Doing, later_id: uuid.UUID) -> None:
    """R2: as a copy, from here on. No second clock runs, and no second work is done."""
    connection, signed, house = doing.connection, doing.signed, doing.house
    later, label = await cases.hold(connection, later_id), acts.ACTS[signed.act].label
    if later["state"] not in acts.WAITING:
        raise Conflict(f"{label}: 再次投诉的来件已{acts.STATE_LABELS[later['state']].removeprefix('已')}，不能再并入此前的投诉")
    if doing.id != await cases.repeated(connection, later_id):
        raise Conflict(f"{label}: 来件不是对该投诉的再次投诉（R2）")
    note = f"{law.cite(law.ORDER_121, 14)}：同一争议，重新办理此前的投诉，本件并入办理，不另行起算期限"
    await cases.move(
        connection, later_id, "merged", actor=doing.actor, at=signed.at, note=note, act=signed.act, ground=signed.ground,
        signed_by=signed.signers, detail={"into": str(doing.id)},
    )  # fmt: skip
    copies = await cases.stand_for(connection, later_id, doing.id)
    homes = await incidents.homes(connection, [doing.id, *copies])
    if (home := homes.get(doing.id)) is not None and set(homes.values()) != {home}:
        run_id = await runs.open_run(connection, "move", doing.actor, of="incident", parameters={"copy_of": str(doing.id)})
        moved = await incidents.regroup(
            connection, house.reader.tokeniser, run_id, dict.fromkeys(copies, home), origin="person", actor=doing.actor,
            evidence={"copy_of": str(doing.id)},
        )  # fmt: skip
        await runs.close_run(connection, run_id, {"matters": moved})
    await handovers.follow(connection, house.vault, later_id, "merged", act=signed.act, actor=doing.actor, at=signed.at)
    await cases.lapse_approvals(connection, later_id, by=doing.actor, at=signed.at)
    await work.close_item(connection, later_id, "merged", doing.actor)
    await deliveries.announce(connection, [(later_id, "matter.changed", {"act": signed.act, "state": "merged"})])
    await audit.record(connection, doing.actor, "merge", "matter", [later_id], lane=later["lane"])


async def _archiving(doing: _Doing) -> None:
    """First whoever is to be asked is asked: 待回访、办结、归档."""
    await callbacks.require_none(doing.connection, doing.id)


async def _settling(doing: _Doing) -> None:
    await doing.start("odr.settle", doing.signed.at)


# In which state of a report which of its terms is what an appraisal keeps from counting, and by which article.
_UNCOUNTED = {
    "verifying": ("clue.verify", (law.PENALTY_PROCEDURE, 18, 2)),
    "case_opened": ("case.decide", (law.PENALTY_PROCEDURE, 64, 2)),
}


def _appraised_clock(matter: Any, state: str) -> str:
    return "complaint.mediate" if matter["lane"] == "complaint" else _UNCOUNTED.get(state, _UNCOUNTED["verifying"])[0]


async def _running(doing: _Doing, key: str) -> Any:
    return await doing.connection.fetchrow(
        "SELECT paused_at FROM clock WHERE matter_id = $1 AND key = $2 AND stopped_at IS NULL", doing.id, key
    )


async def _appraising(doing: _Doing) -> None:
    """The days of an appraisal are not counted (Art. 22; Penalty Procedure Art. 18, 64)."""
    key = _appraised_clock(doing.matter, doing.matter["state"])
    running = await _running(doing, key)
    if running is not None and running["paused_at"] is None:
        await clocks.pause(
            doing.connection, doing.house.calendar, doing.id, key, actor=doing.actor, reason=doing.signed.detail.get("kind", "appraisal"),
            at=doing.signed.at,
        )  # fmt: skip


async def _resumed(doing: _Doing) -> None:
    """A mediation that was suspended for a recusal counted on."""
    key = _appraised_clock(doing.matter, doing.state)
    running = await _running(doing, key)
    if running is not None and running["paused_at"] is not None:
        await clocks.resume(doing.connection, doing.house.calendar, doing.id, key, actor=doing.actor, at=doing.signed.at)


async def _interrupted(connection: Connection, matter_id: uuid.UUID) -> str | None:
    """The state in which an appraisal or a suspension found the mediation."""
    found: str | None = await connection.fetchval(
        "SELECT detail ->> 'from' FROM state_change WHERE matter_id = $1 AND act IN ('appraise', 'suspend') ORDER BY id DESC LIMIT 1",
        matter_id,
    )
    return found


def extended_clock(matter: Any) -> str:
    """Which term an extension means where it does not say."""
    return "case.decide" if matter["state"] == "case_opened" else "clue.verify"


async def _extending(doing: _Doing) -> None:
    """Once, with the head's approval (Art. 27; Penalty Procedure Art. 64)."""
    signed = doing.signed
    await clocks.extend(
        doing.connection, doing.house.calendar, doing.id, signed.detail.get("clock") or extended_clock(doing.matter), actor=signed.signers[0],
        approver=doing.actor, reason=signed.reason or "", at=signed.at,
    )  # fmt: skip


async def _agreed(doing: _Doing) -> None:
    """An agreement before a people's mediation committee may be confirmed by the court within thirty days."""
    detail = doing.signed.detail
    through = detail.get("through") or detail.get("partner")
    if through is None and doing.matter["state"] == "delegated":
        through = await doing.connection.fetchval(
            "SELECT detail ->> 'to' FROM state_change WHERE matter_id = $1 AND act = 'delegate' ORDER BY id DESC LIMIT 1",
            doing.id,
        )
    if through == "people_mediation":
        on = detail.get("agreement_on")
        at = datetime.combine(date.fromisoformat(str(on)), time(12), calendar.SHANGHAI) if on else doing.signed.at
        await doing.start("judicial_confirm", at)


async def _case_opened(doing: _Doing) -> None:
    """The clue is verified; the case has ninety days. What was put away as verified is work again."""
    await clocks.stop_clocks(
        doing.connection, doing.id, at=doing.signed.at, by="case_opened", key="clue.verify", actor=doing.actor
    )
    await doing.start("case.decide", doing.signed.at)
    await work.reopen(doing.connection, doing.id, doing.actor)


async def _taken_up(doing: _Doing) -> None:
    """Its own term, from its own receipt."""
    await doing.start("clue.verify", doing.received_at)


async def _withdrawn(doing: _Doing) -> None:
    await factors.review_people_of(doing.connection, doing.house.policies, [doing.id], doing.signed.at)


async def _factors_found(doing: _Doing) -> None:
    signed = doing.signed
    seen = None
    if sheet := signed.detail.get("sheet"):
        # In the same scope: whether something came to be known between the first signature and the last.
        now = await factors.snapshot(doing.connection, doing.house.vault, doing.id, sheet["scope"]["jurisdictions"], signed.at)
        seen = {"hash": sheet["hash"], "as_of": sheet["as_of"], "hash_when_signed": now["hash"]}
    evidence = {
        "factors": list(signed.detail["factors"]), "reason": signed.reason, "signed_by": list(signed.signers), "sheet": seen,
    }  # fmt: skip
    await doing.connection.execute(
        "INSERT INTO finding (id, matter_id, code, evidence) VALUES ($1, $2, 'ART17', $3)", new_id(), doing.id, to_json(evidence)
    )


# -- a clue found in mediation


async def _clue_found(doing: _Doing) -> None:
    """Art. 27: verified beside the mediation, from the day of the finding. A report of the letter that is open takes the clue in; else one is
    opened, the bureau's own: the complainant is no reporter by it."""
    connection, signed, matter = doing.connection, doing.signed, doing.matter
    known = await connection.fetchval(
        "SELECT id FROM matter WHERE letter_id = $1 AND lane = 'report' AND NOT state = ANY($2) ORDER BY sequence LIMIT 1 FOR NO KEY UPDATE",
        matter["letter_id"], sorted(acts.CLOSED),
    )  # fmt: skip
    if known is not None:
        await cases.remark(
            connection, known, signed.act, actor=doing.actor, at=signed.at, note=_note(doing), signed_by=signed.signers
        )
        await work.flag(connection, known, "clue_found", doing.actor, {})
        return
    report = new_id()
    await cases.copy_as_report(connection, doing.id, report, doing.actor, signed.at, found=_note(doing))
    await doing.start("clue.verify", signed.at, matter_id=report, received_at=signed.at)
    item = {
        "matter_id": report, "track": "clue", "district": matter["district"], "priority": 0,
        "due_at": await cases.next_due(connection, report), "received_at": signed.at,
    }  # fmt: skip
    await work.enqueue(connection, [item])
    incident_id = await connection.fetchval(
        "SELECT incident_id FROM incident_membership WHERE matter_id = $1 AND valid_to IS NULL AND is_primary", doing.id
    )
    if incident_id is not None:
        await incidents.follow(connection, incident_id, report, {"found_in": str(doing.id)})
    told = {"letter_id": str(matter["letter_id"]), "lane": "report", "track": "clue"}
    await deliveries.announce(connection, [(report, "matter.triaged", told)], held=True)


# -- another bureau


@dataclass(frozen=True, slots=True)
class Receiver:
    """name: for people; authority: what the matter says of whose it is now. elsewhere: outside this deployment. moves: the matter goes
    there, where the act decides that."""

    code: str
    name: str
    authority: str
    elsewhere: bool
    moves: bool


def check_receiver(house: House, matter: Any, act: str, ground: str | None, detail: Mapping[str, Any]) -> None:
    """Raises Invalid, field `to`, for what is no district that the act could mean."""
    if act not in _TO_BUREAU or "to" not in detail:
        return
    code = str(detail["to"])
    if re.fullmatch(r"\d{6}", code) is None or (code.startswith(house.settings.jurisdiction) and region_name(code) is None):
        raise Invalid.field("to", f"{code} is no district's code")
    if code == matter["district"] and (act == "quarrel" or (act == "dispatch" and matter["state"] != "pending_dispatch")):
        raise Invalid.field("to", "is the bureau that has it already")


_TO_BUREAU = frozenset({"quarrel", "settle_quarrel", "dispatch"})


async def _receiver(house: House, connection: Connection, matter: Any, signed: Signed) -> Receiver | None:
    if signed.act not in _TO_BUREAU or "to" not in signed.detail:
        return None
    code = str(signed.detail["to"])
    listed = await directories.find_bureau(connection, code, local_day(signed.at))
    own = listed["name"] if listed and listed["district"] == code else None
    elsewhere = not code.startswith(house.settings.jurisdiction)
    moves = signed.act == "dispatch" or (signed.ground == "agreed" and code != matter["district"])
    return Receiver(code, f"{own or region_name(code) or ''}（{code}）", own or code, elsewhere, moves)


async def _quarrelling(doing: _Doing) -> None:
    """Seven working days to agree (Art. 33); the term to accept goes on meanwhile."""
    if await doing.connection.fetchval(
        "SELECT true FROM clock WHERE matter_id = $1 AND key = 'jurisdiction.quarrel' AND stopped_at IS NULL", doing.id
    ):
        raise Conflict("处理权限争议: one is open already")
    await doing.start("jurisdiction.quarrel", doing.signed.at)


async def _sent(doing: _Doing) -> None:
    """Received there at once: the terms of whoever is competent count from this hop, by the law of its day; the first receipt and the
    clocks until now stay as they were (Art. 15, 41)."""
    receiver, connection, at = doing.receiver, doing.connection, doing.signed.at
    if receiver is None or not receiver.moves:
        return
    ended = ("complaint.accept", "clue.verify", "jurisdiction.quarrel")
    await clocks.stop_each(connection, doing.id, ended, at=at, by=doing.signed.act, actor=doing.actor)
    if receiver.elsewhere:
        return
    await connection.execute("UPDATE matter SET district = $2, reached_at = $3 WHERE id = $1", doing.id, receiver.code, at)
    if key := acts.FIRST_CLOCKS.get(doing.matter["lane"]):
        await doing.start(key, at, received_at=at)
    queue = "intake" if doing.matter["track"] == "none" else doing.matter["track"]
    await work.send(connection, doing.id, queue, doing.signed.act, doing.actor, district=receiver.code)


async def _returned(doing: _Doing) -> None:
    """What was counted and not cased has no work yet: somebody must send it now."""
    item = {
        "matter_id": doing.id, "track": "intake", "district": doing.matter["district"], "priority": 0,
        "due_at": await cases.next_due(doing.connection, doing.id), "received_at": doing.received_at,
    }  # fmt: skip
    await work.enqueue(doing.connection, [item])
    await work.send(doing.connection, doing.id, "intake", "return", doing.actor)


# -- reports of one reporter about one thing


_SAME_REPORTER = """
SELECT true FROM party p JOIN complainant_membership a ON a.record_id = p.record_id AND a.valid_to IS NULL
JOIN complainant_membership b ON b.complainant_id = a.complainant_id AND b.valid_to IS NULL
JOIN party q ON q.record_id = b.record_id
WHERE p.matter_id = $1 AND q.matter_id = $2 AND p.role IN ('filer', 'principal') AND q.role IN ('filer', 'principal') LIMIT 1
"""


async def _merged(doing: _Doing) -> None:
    """Art. 35(2): new facts of the same reporter about the same reported party are handled with the earlier report, whose term counts anew
    from the last receipt."""
    connection, signed, matter = doing.connection, doing.signed, doing.matter
    earlier = await cases.hold(connection, uuid.UUID(str(signed.detail["into"])))
    label = acts.ACTS[signed.act].label
    if earlier["lane"] != "report" or earlier["id"] == matter["id"] or earlier["received_at"] > matter["received_at"]:
        raise Invalid.field("into", "must be an earlier report")
    if earlier["state"] in acts.CLOSED:
        raise Conflict(
            f"{label}: the earlier report is closed ({acts.STATE_LABELS[earlier['state']]}); verify this one by itself"
        )
    if matter["merchant_id"] is None or matter["merchant_id"] != earlier["merchant_id"]:
        raise Conflict(f"{label}: not the same reported party")
    if not await connection.fetchval(_SAME_REPORTER, doing.id, earlier["id"]):
        raise Conflict(f"{label}: not the same reporter")
    if not await connection.fetchval("SELECT true FROM finding WHERE matter_id = $1 AND code = 'R6'", doing.id):
        await connection.execute(
            "INSERT INTO finding (id, matter_id, code, evidence) VALUES ($1, $2, 'R6', $3)", new_id(), doing.id,
            to_json({"earlier": str(earlier["id"])}),
        )  # fmt: skip
    if earlier["state"] != "case_opened":
        await clocks.stop_clocks(connection, earlier["id"], at=signed.at, by=signed.act, key="clue.verify", actor=doing.actor)
        await doing.start("clue.verify", doing.received_at, matter_id=earlier["id"])
        await work.redate(connection, [earlier["id"]])
    await cases.remark(
        connection, earlier["id"], signed.act, actor=doing.actor, at=signed.at, note=_note(doing), signed_by=signed.signers,
        detail={"joined": str(doing.id)},
    )  # fmt: skip
    await work.flag(connection, earlier["id"], "report_merged", doing.actor, {"joined": str(doing.id)})
    await deliveries.announce(connection, [(earlier["id"], "matter.changed", {"act": signed.act, "state": earlier["state"]})])


_EFFECTS: dict[str, Callable[[_Doing], Awaitable[None]]] = {
    "accept": _accepted, "reopen": _reopened, "settle": _settling, "appraise": _appraising, "resume": _resumed, "extend": _extending,
    "agree": _agreed, "withdraw": _withdrawn, "take_up": _taken_up, "open_case": _case_opened, "find_factors": _factors_found, "find_clue": _clue_found, "quarrel": _quarrelling,
    "settle_quarrel": _sent, "dispatch": _sent, "return": _returned, "merge_report": _merged, "archive": _archiving,
}  # fmt: skip
