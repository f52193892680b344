"""The journeys of a person who corrects the machine: what was read, and who is one person.

A corrected reading binds: the matter carries it from then on, the track is decided anew on it, and text and correction together
are tomorrow's training labels. A merge or a split binds as facts about records, because clusters die; it is a run of its own and
can be undone as a whole."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app import (
    acts,
    audit,
    calendar,
    cases,
    clocks,
    codes,
    complainants,
    deliveries,
    effects,
    incidents,
    intake,
    joint,
    jurisdiction,
    law,
    merchants,
    policy,
    rerouting,
    runs,
    staff,
    work,
)
from app.calendar import local_day
from app.codes import region_name
from app.database import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal, new_id
from app.policy import Facts
from app.privacy import mask_text
from app.reading import LANES, facts_of, may_be_defect, signals
from app.triage import House, priority
from ml.reading import DANGERS, DEPARTMENTS, KINDS, SEVERITIES
from ml.signals import TYPES as SIGNALS

# Before these a matter has seen no legal act: its lane may still be read otherwise.
_UNTOUCHED = frozenset({*acts.FIRST_STATES.values(), "pending_dispatch"})


@dataclass(frozen=True, slots=True)
class Correction:
    """None: as it was read. dangers: (type, severity), signals: types; the whole list of each as a person reads it."""

    kind: str | None = None
    goods: str | None = None
    problem: str | None = None
    demands: Sequence[str] | None = None
    department: str | None = None
    dangers: Sequence[tuple[str, str]] | None = None
    signals: Sequence[str] | None = None
    note: str | None = None


async def correct_reading(
    house: House, matter_id: uuid.UUID, principal: Principal, wanted: Correction, *, lanes: Sequence[str]
) -> dict[str, Any]:
    """Writes the correction, decides anew, moves the work. lanes: those the caller may know of.

    Raises Invalid for a value of no list, Conflict where the kind is past correcting.
    """
    principal.require_person("correct")
    now = datetime.now(UTC)
    async with house.database.transaction() as connection:
        await _check(connection, wanted)
        matter = await cases.hold(connection, matter_id)
        if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
            raise NotFound("no such matter")
        await staff.require_free(connection, matter_id, principal.subject)
        if wanted.kind == "both" and "report" not in lanes:
            raise Forbidden("whether there is a report is the intake desk's to say (Art. 37)")
        if matter["kind"] == "both" and wanted.kind == matter["lane"] and "report" not in lanes:
            wanted = replace(wanted, kind=None)  # as he was shown it
        before, after = _as_read(matter), _as_corrected(matter, wanted)
        if before == after:
            raise Invalid.field("body", "nothing differs from what was read")
        kind = after["kind"]
        lane = LANES.get(kind, ("other",))[0] if kind != before["kind"] else matter["lane"]
        if kind != before["kind"]:
            await _require_untouched(connection, matter, kind)
        reading = {
            **matter["reading"],
            "department": after["department"],
            "dangers": after["dangers"],
            "signals": after["signals"],
            "corrected_by": principal.subject,
        }
        reading["by"] = {**reading.get("by", {}), **{f: "person" for f in ("kind", "goods", "problem") if after[f] != before[f]}}
        await cases.rewrite_reading(
            connection, matter_id, kind=kind, lane=lane, goods=after["goods"], problem=after["problem"], demands=after["demands"], reading=reading
        )  # fmt: skip
        await cases.note_correction(
            connection, new_id(), matter_id, principal.subject, before, after, matter["reading"].get("versions", {}), wanted.note
        )
        if lane != matter["lane"]:
            await _change_lane(house, connection, matter, lane, principal, now)
        if lane != "other" and not matter["history"] and _may_be_defect(after) and not _may_be_defect(before):
            await effects.start_clock(house, connection, matter_id, "defect.report", now, received_at=matter["received_at"])
        twin = await _split(house, connection, matter, principal, now) if kind == "both" and before["kind"] != "both" else None
        track = await _decide_again(house, connection, matter_id, matter, lane, kind, after, reading, principal, now)
        if kind == "emergency" and before["kind"] != "emergency" and not matter["history"]:
            await deliveries.raise_page(
                connection, matter_id,
                {"complaint_id": str(matter["letter_id"]), "district": region_name(matter["district"]),
                 "received_at": matter["received_at"].isoformat(), "dangers": sorted({d["type"] for d in after["dangers"]})},
            )  # fmt: skip
        if not matter["history"]:
            await deliveries.announce(connection, [(matter_id, "matter.reading_corrected", {"track": track})])
        await audit.record(connection, principal.subject, "correct_reading", "matter", [matter_id], lane=lane)
    if kind == "both" and "report" not in lanes:  # Art. 37
        kind = lane
        before, after = {**before, "kind": lane}, {**after, "kind": lane}
    return {"id": matter_id, "kind": kind, "lane": lane, "track": track, "before": before, "after": after, "second_matter": twin}


def _may_be_defect(read: Mapping[str, Any]) -> bool:
    return may_be_defect(read["goods"], [(d["type"], d["severity"]) for d in read["dangers"]])


async def _check(connection: Connection, wanted: Correction) -> None:
    errors = []
    if wanted.kind is not None and wanted.kind not in KINDS:
        errors.append({"field": "kind", "message": f"must be one of {', '.join(KINDS)}"})
    for field, given in (("goods", [wanted.goods]), ("problem", [wanted.problem]), ("demand", wanted.demands or [])):
        said = [g for g in given if g is not None]
        known = {e["code"] for e in await codes.entries(connection, field)} if said else set()
        if unknown := [g for g in said if g not in known]:
            name = "demands" if field == "demand" else field
            errors.append({"field": name, "message": f"not in the code list {field}: {', '.join(unknown)}"})
    if wanted.department is not None and wanted.department not in DEPARTMENTS:
        errors.append({"field": "department", "message": f"must be one of {', '.join(DEPARTMENTS)}"})
    for number, (danger, severity) in enumerate(wanted.dangers or ()):
        if danger not in DANGERS:
            errors.append({"field": f"dangers.{number}.type", "message": f"must be one of {', '.join(DANGERS)}"})
        if severity not in SEVERITIES:
            errors.append({"field": f"dangers.{number}.severity", "message": f"must be one of {', '.join(SEVERITIES)}"})
    for number, signal in enumerate(wanted.signals or ()):
        if signal not in SIGNALS:
            errors.append({"field": f"signals.{number}", "message": f"must be one of {', '.join(SIGNALS)}"})
    if errors:
        raise Invalid("; ".join(f"{e['field']}: {e['message']}" for e in errors), errors=errors)


def _as_read(matter: Any) -> dict[str, Any]:
    reading = matter["reading"]
    return {
        "kind": matter["kind"], "goods": matter["goods"], "problem": matter["problem"], "demands": list(matter["demands"]),
        "department": reading.get("department"), "dangers": list(reading.get("dangers", ())),
        "signals": list(reading.get("signals", ())),
    }  # fmt: skip


def _as_corrected(matter: Any, wanted: Correction) -> dict[str, Any]:
    read = _as_read(matter)
    for field in ("kind", "goods", "problem", "department"):
        if (value := getattr(wanted, field)) is not None:
            read[field] = value
    if wanted.demands is not None:
        read["demands"] = list(wanted.demands)
    if wanted.dangers is not None:
        # What the machine saw keeps its words; what only a person saw has none.
        seen: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for danger in read["dangers"]:
            seen.setdefault((danger["type"], danger["severity"]), []).append(danger)
        read["dangers"] = [
            found.pop(0) if (found := seen.get((t, s), [])) else {"type": t, "severity": s, "span": None}
            for t, s in wanted.dangers
        ]
    if wanted.signals is not None:
        kept = [s for s in read["signals"] if s["type"] in wanted.signals]
        known = {s["type"] for s in kept}
        read["signals"] = [*kept, *({"type": s, "span": None} for s in dict.fromkeys(wanted.signals) if s not in known)]
    return read


async def _require_untouched(connection: Connection, matter: Any, kind: str) -> None:
    if not matter["history"] and matter["state"] not in _UNTOUCHED:
        raise Conflict(f"kind: the matter is {acts.STATE_LABELS[matter['state']]}; a legal act on it can't be read away")
    if await connection.fetchval("SELECT count(*) FROM matter WHERE letter_id = $1", matter["letter_id"]) > 1:
        raise Conflict("kind: the letter was split in two matters; finish the one that is none")


async def _change_lane(
    house: House, connection: Connection, matter: Any, lane: str, principal: Principal, now: datetime
) -> None:  # fmt: skip
    """Another procedure from the same receipt: its term counts from the day the letter came, not from the correction."""
    if matter["history"]:
        return
    await clocks.stop_clocks(connection, matter["id"], at=now, by="reading_corrected", actor=principal.subject)
    state = matter["state"] if matter["state"] == "pending_dispatch" else acts.FIRST_STATES[lane]
    await cases.move(connection, matter["id"], state, actor=principal.subject, at=now, note="reading_corrected")
    left = await joint.follow_matter(connection, matter["id"], "not_a_complaint", actor=principal.subject, at=now)
    await cases.write(connection, left, actor=principal.subject, at=now)
    await _start_clock(house, connection, matter["id"], lane, matter["reached_at"] or matter["received_at"])
    await connection.execute(
        "UPDATE incident SET version = version + 1 WHERE id IN "
        "(SELECT incident_id FROM incident_membership WHERE matter_id = $1 AND valid_to IS NULL)",
        matter["id"],
    )


async def _start_clock(house: House, connection: Connection, matter_id: uuid.UUID, lane: str, received_at: datetime) -> None:
    if key := acts.FIRST_CLOCKS.get(lane):
        await effects.start_clock(house, connection, matter_id, key, received_at, received_at=received_at)


async def _split(house: House, connection: Connection, matter: Any, principal: Principal, now: datetime) -> uuid.UUID:
    """Article 9: the report of the letter becomes a matter of its own, with its own term and its own work."""
    twin = new_id()
    await cases.copy_as_report(connection, matter["id"], twin, principal.subject, now)
    if not matter["history"]:
        await _start_clock(house, connection, twin, "report", matter["received_at"])
        await _enqueue(connection, twin, "clue", matter, 0)
        told = {"letter_id": str(matter["letter_id"]), "lane": "report", "track": "clue"}
        await deliveries.announce(connection, [(twin, "matter.triaged", told)])
    incident_id = await connection.fetchval(
        "SELECT incident_id FROM incident_membership WHERE matter_id = $1 AND valid_to IS NULL AND is_primary", matter["id"]
    )
    if incident_id is not None:
        await incidents.follow(connection, incident_id, twin, {"same_letter_as": str(matter["id"])})
    return twin


async def _decide_again(
    house: House, connection: Connection, matter_id: uuid.UUID, matter: Any, lane: str, kind: str, after: Mapping[str, Any],
    reading: Mapping[str, Any], principal: Principal, now: datetime,
) -> str:  # fmt: skip
    last = await rerouting.last_decision(connection, matter)
    dangers = [(d["type"], d["severity"]) for d in after["dangers"]]
    facts = replace(
        last.facts if last else Facts.from_stored({}), lane=lane, kind=kind,
        **signals(dangers, goods=after["goods"], issues=matter["issues"]), **_resaid(matter["reading"], after),
    )  # fmt: skip
    current = house.policy_at(matter["district"], now)
    decided = policy.decide(current, facts)
    if last and last.rule == jurisdiction.OUTSIDE and lane == matter["lane"] and decided.track != "emergency":
        # However it is read, it is another bureau's: the desk's to send there.
        decided = replace(decided, track="intake", rule=jurisdiction.OUTSIDE, gates=[], left=[], alternative=decided.track)
    if matter["history"] or matter["copy_of"] is not None:
        decided = replace(decided, track="none")
    track = decided.track
    corrected = {"text": "工作人员更正了来件的识别结果，据此重新分流", "legal_basis": law.cite(law.PIPL, 24)}
    await rerouting.record(
        connection, matter, current, facts, decided, kind="correction", reason=corrected,
        evidence={
            "dangers": after["dangers"], "signals": after["signals"],
            "corrected": {"kind": kind, "goods": after["goods"], "problem": after["problem"]},
        },
        rules=last.law if last else calendar.law_of(local_day(matter["received_at"])), parameters=reading.get("versions", {}),
        actor=principal.subject, now=now, reading=reading,
    )  # fmt: skip
    if (
        track != "none"
        and matter["state"] not in acts.CLOSED
        and not await rerouting.place(connection, matter, track, facts, principal.subject)
    ):
        await _enqueue(connection, matter_id, track, matter, priority(facts, track))
    return track


def _resaid(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of the signals that a person reads otherwise; what was learned since in another way (a track that failed) stays."""
    was, now = (facts_of(s["type"] for s in reading.get("signals", ())) for reading in (before, after))
    return {fact: value for fact, value in now.items() if value != was[fact]}


async def _enqueue(connection: Connection, matter_id: uuid.UUID, queue: str, matter: Any, rank: int) -> None:
    item = {
        "matter_id": matter_id, "track": queue, "district": matter["district"], "priority": rank,
        "due_at": await cases.next_due(connection, matter_id), "received_at": matter["received_at"],
    }  # fmt: skip
    await work.enqueue(connection, [item])


_LABELS = """
SELECT c.matter_id, c.after, c.at, m.letter_id FROM reading_correction c JOIN matter m ON m.id = c.matter_id
WHERE c.id = (SELECT id FROM reading_correction d WHERE d.matter_id = c.matter_id ORDER BY d.at DESC, d.id DESC LIMIT 1) ORDER BY c.at, c.id
"""


async def labels(house: House, *, actor: str) -> list[dict[str, Any]]:
    """The last correction of each matter with its text, personal data masked: what a training takes."""
    async with house.database.transaction() as connection:
        rows = await connection.fetch(_LABELS)
        found = []
        for row in rows:
            letter = await intake.open_letter(connection, house.vault, row["letter_id"])
            found.append({"text": mask_text(letter.body.text, *letter.body.personal_values()), **row["after"]})
        await audit.record(connection, actor, "export_labels", "matter", [r["matter_id"] for r in rows], purpose="training")
    return found


# -- who is one person


async def merge_people(
    house: House, complainant_id: uuid.UUID, others: Sequence[uuid.UUID], principal: Principal, *, reason: str, lanes: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """Joins the others' records to the complainant, now and in every later run. Gives {run_id, complainant_id, records}."""
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        ids = [complainant_id, *dict.fromkeys(others)]
        if len(ids) < 2 or complainant_id in others:
            raise Invalid.field("others", "must name other complainants than this one")
        records = {one: await _records(connection, one, principal, lanes) for one in ids}
        run_id = await runs.open_run(connection, "merge", principal.subject, reason=reason)
        mine = records[complainant_id]
        moving = {r: complainant_id for other in ids[1:] for r in records[other]}
        # One of each to one of this: from then on they are one group whatever else joins it.
        pairs = [(mine[0], records[other][0]) for other in ids[1:]]
        every = {r for rs in records.values() for r in rs}
        await runs.revoke_between(connection, every, every, "cannot", principal.subject)
        await runs.constrain(connection, run_id, "must", pairs, principal.subject, reason)
        await complainants.regroup(
            connection, run_id, moving, origin="person", actor=principal.subject, evidence={"reason": reason},
            expected={r: other for other in ids[1:] for r in records[other]},
        )  # fmt: skip
        # Nobody is joined with himself (Art. 12): of one person's matters the first stays in a joint matter.
        now = datetime.now(UTC)
        left = await joint.follow_person(connection, complainant_id, actor=principal.subject, at=now)
        await cases.write(connection, left, actor=principal.subject, at=now)
        await _told(connection, run_id, principal, "merge", ids, {"complainant_id": str(complainant_id), "records": len(moving)})
    return {"run_id": run_id, "complainant_id": complainant_id, "records": len(moving)}


async def split_people(
    house: House, complainant_id: uuid.UUID, parted: Sequence[uuid.UUID], principal: Principal, *, reason: str, lanes: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """Takes records out into a complainant of their own, apart from the rest in every later run. Gives {run_id, complainant_id (the
    new one), records}."""
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        records = await _records(connection, complainant_id, principal, lanes)
        leaving = list(dict.fromkeys(parted))
        if unknown := [str(r) for r in leaving if r not in records]:
            raise Invalid.field("records", f"not of this complainant: {', '.join(unknown)}")
        staying = [r for r in records if r not in leaving]
        if not leaving or not staying:
            raise Invalid.field("records", "some must leave and some must stay")
        run_id = await runs.open_run(connection, "split", principal.subject, reason=reason)
        opened = new_id()
        await runs.revoke_between(connection, leaving, staying, "must", principal.subject)
        # Those who leave belong together, and one of them is apart from each who stays: so all of them are.
        await runs.constrain(connection, run_id, "must", [(leaving[0], r) for r in leaving[1:]], principal.subject, reason)
        await runs.constrain(connection, run_id, "cannot", [(leaving[0], r) for r in staying], principal.subject, reason)
        await complainants.regroup(
            connection, run_id, dict.fromkeys(leaving, opened), origin="person", actor=principal.subject, evidence={"reason": reason},
            expected=dict.fromkeys(leaving, complainant_id),
        )  # fmt: skip
        await _told(
            connection,
            run_id,
            principal,
            "split",
            [complainant_id, opened],
            {"complainant_id": str(opened), "records": len(leaving)},
        )
    return {"run_id": run_id, "complainant_id": opened, "records": len(leaving)}


async def pin_person(
    house: House, complainant_id: uuid.UUID, principal: Principal, *, pinned: bool, reason: str, lanes: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """Nothing automatic moves a pinned complainant's records or merges it away; new records may still join it."""
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        await _records(connection, complainant_id, principal, lanes)
        if not await complainants.pin(connection, complainant_id, principal.subject if pinned else None):
            raise Conflict(f"the complainant is {'pinned already' if pinned else 'not pinned'}")
        kind = "pin" if pinned else "unpin"
        run_id = await runs.open_run(
            connection, kind, principal.subject, reason=reason, parameters={"complainant_id": str(complainant_id)}
        )
        await _told(connection, run_id, principal, kind, [complainant_id], {"complainant_id": str(complainant_id)})
    return {"run_id": run_id, "complainant_id": complainant_id, "pinned": pinned}


async def undo_run(
    house: House, run_id: uuid.UUID, principal: Principal, *, reason: str, lanes: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """Takes a merge, a split, a move, a bridge or a whole relink or regrouping back. Who may not see all that it moved may not undo it."""
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        of = await connection.fetchval("SELECT object FROM link_run WHERE id = $1", run_id)
        seen_from = {"incident": incidents.outside, "merchant": merchants.outside}.get(of, complainants.outside)
        outside = await seen_from(connection, run_id, lanes, principal.jurisdictions)
        if outside is None:
            raise NotFound("no such run")
        if outside:
            raise Forbidden(f"the run moved records of {outside} matters outside your jurisdiction")
        if of == "incident":
            found = await incidents.undo(connection, house.reader.tokeniser, run_id, actor=principal.subject, reason=reason)
        elif of == "merchant":
            found = await merchants.undo(connection, run_id, actor=principal.subject, reason=reason)
        else:
            found = await complainants.undo(connection, run_id, actor=principal.subject, reason=reason)
        await audit.record(connection, principal.subject, "undo", "link_run", [run_id], purpose=reason)
    return found


async def _records(
    connection: Connection, complainant_id: uuid.UUID, principal: Principal, lanes: Sequence[str]
) -> list[uuid.UUID]:  # fmt: skip
    """The complainant's records, held. Raises NotFound for one the caller may not know of, Conflict for one that was merged away,
    Forbidden where part of it lies outside his jurisdiction."""
    held = await complainants.hold(connection, complainant_id)
    if held is None:
        raise NotFound(f"no such complainant: {complainant_id}")
    if held.merged_into is not None:
        raise Conflict(f"{complainant_id} was merged into {held.merged_into}")
    seen = [m for m in held.matters if m[1] in lanes]
    if not seen or not any(principal.covers(district) for district, _ in seen):
        raise NotFound(f"no such complainant: {complainant_id}")
    if not all(principal.covers(district) for district, _ in held.matters):
        raise Forbidden(f"{complainant_id} has complaints outside your jurisdiction: a supervisor of the whole must decide")
    return held.records


async def _told(
    connection: Connection, run_id: uuid.UUID, principal: Principal, act: str, ids: Sequence[uuid.UUID], summary: Mapping[str, Any],
    *, of: str = "complainant",
) -> None:  # fmt: skip
    await runs.close_run(connection, run_id, summary)
    await audit.record(connection, principal.subject, act, of, ids, purpose=str(run_id))


# -- what is one incident


async def merge_incidents(
    house: House, incident_id: uuid.UUID, others: Sequence[uuid.UUID], principal: Principal, *, reason: str, lanes: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """The others' complaints belong here, now and in every later pass. Gives {run_id, incident_id, matters}."""
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        ids = [incident_id, *dict.fromkeys(others)]
        if len(ids) < 2 or incident_id in others:
            raise Invalid.field("others", "must name other incidents than this one")
        members = {one: await _members(connection, one, principal, lanes) for one in sorted(ids, key=str)}
        mine = members[incident_id]
        moving = {m: incident_id for other in ids[1:] for m in members[other]}
        every = {m for ms in members.values() for m in ms}
        run_id = await _begin(connection, "merge", principal, reason, [incident_id])
        await runs.revoke_between(connection, every, every, "cannot", principal.subject, of="incident")
        pairs = [(mine[0], members[other][0]) for other in ids[1:]]
        await runs.constrain(connection, run_id, "must", pairs, principal.subject, reason, of="incident")
        moved = await _move(house, connection, run_id, moving, principal, reason)
        await _told(
            connection, run_id, principal, "merge", ids, {"incident_id": str(incident_id), "matters": moved}, of="incident"
        )
    return {"run_id": run_id, "incident_id": incident_id, "matters": moved}


async def split_incident(
    house: House, incident_id: uuid.UUID, chosen: incidents.Filter, principal: Principal, *, into: uuid.UUID | None, reason: str,
    lanes: Sequence[str], expect: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Takes the members that a filter picks out: into an incident of their own, or into another known one. They stay apart from those
    who remain, in every later pass.

    expect: the token of a preview. Without it nothing is done, and the answer says what would be touched: {matters, sample, token}. With
    it the act touches exactly those members; Conflict where the filter picks others by now.
    """
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        members = await _members(connection, incident_id, principal, lanes)
        picked = await incidents.choose_members(connection, incident_id, chosen)
        if chosen.matters is not None and (unknown := sorted({str(m) for m in chosen.matters} - {str(m) for m, _, _ in picked})):
            raise Invalid.field("matters", f"not of this incident, or left out by the filter: {', '.join(unknown[:10])}")
        leaving = [m for m, _, _ in picked]
        token = hashlib.sha256("|".join(map(str, leaving)).encode()).hexdigest()[:32]
        if expect is None:
            return {"matters": len(leaving), "of": len(members), "sample": leaving[:20], "token": token}
        if expect != token:
            raise Conflict(f"the filter picks {len(leaving)} members by now, not those that were shown; look again")
        staying = [m for m in members if m not in set(leaving)]
        if not leaving:
            raise Invalid.field("filter", "picks no member")
        if into is None and not staying:
            raise Invalid.field("filter", "picks every member: some must stay")
        target, theirs = into or new_id(), []
        if into is not None:
            if into == incident_id:
                raise Invalid.field("into", "must be another incident")
            theirs = await _members(connection, into, principal, lanes)
        kind = "move" if into else "split"
        run_id = await _begin(connection, kind, principal, reason, [incident_id, *([into] if into else [])])
        await runs.revoke_between(connection, leaving, staying, "must", principal.subject, of="incident")
        await runs.revoke_between(connection, leaving, theirs, "cannot", principal.subject, of="incident")
        together = [(leaving[0], m) for m in [*leaving[1:], *theirs[:1]]]
        await runs.constrain(connection, run_id, "must", together, principal.subject, reason, of="incident")
        await runs.constrain(
            connection, run_id, "cannot", [(leaving[0], m) for m in staying], principal.subject, reason, of="incident"
        )  # fmt: skip
        moved = await _move(house, connection, run_id, dict.fromkeys(leaving, target), principal, reason)
        if into is None:
            await incidents.pin(connection, [target], principal.subject)
        summary = {"incident_id": str(target), "matters": moved}
        await _told(connection, run_id, principal, kind, [incident_id, target], summary, of="incident")
    return {"run_id": run_id, "incident_id": target, "matters": moved}


async def close_incident(
    house: House, incident_id: uuid.UUID, principal: Principal, *, closed: bool, reason: str, lanes: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """Closes: what comes from now on is a recurrence of it. Or reopens: it takes new complaints again."""
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        await _members(connection, incident_id, principal, lanes)
        state = await connection.fetchval("SELECT state FROM incident WHERE id = $1", incident_id)
        if (state == "closed") == closed:
            raise Conflict(f"the incident is {'closed already' if closed else 'not closed'}")
        kind = "close" if closed else "reopen"
        run_id = await runs.open_run(
            connection, kind, principal.subject, of="incident", reason=reason, parameters={"incident_id": str(incident_id)}
        )
        await incidents.set_closed(connection, incident_id, principal.subject if closed else None)
        await _told(connection, run_id, principal, kind, [incident_id], {"incident_id": str(incident_id)}, of="incident")
    return {"run_id": run_id, "incident_id": incident_id, "closed": closed}


async def _begin(
    connection: Connection, kind: str, principal: Principal, reason: str, pinning: Sequence[uuid.UUID]
) -> uuid.UUID:  # fmt: skip
    """A run that pins the incidents it is about; its undoing unpins those that were not pinned before."""
    pinned = [str(i) for i in await incidents.pin(connection, pinning, principal.subject)]
    return await runs.open_run(
        connection, kind, principal.subject, of="incident", reason=reason, parameters={"pinned": pinned}
    )  # fmt: skip


async def _move(
    house: House, connection: Connection, run_id: uuid.UUID, target: Mapping[uuid.UUID, uuid.UUID], principal: Principal, reason: str
) -> int:  # fmt: skip
    return await incidents.regroup(
        connection, house.reader.tokeniser, run_id, target, origin="person", actor=principal.subject, evidence={"reason": reason}
    )


async def _members(
    connection: Connection, incident_id: uuid.UUID, principal: Principal, lanes: Sequence[str]
) -> list[uuid.UUID]:  # fmt: skip
    """The incident's matters, held. Raises NotFound for one the caller may not know of, Conflict for one that was merged away, Forbidden
    where part of it lies outside his jurisdiction or what he may know."""
    held = await incidents.hold(connection, incident_id)
    if held is None:
        raise NotFound(f"no such incident: {incident_id}")
    if held.merged_into is not None:
        raise Conflict(f"{incident_id} was merged into {held.merged_into}")
    seen = [m for m in held.matters if m[2] in lanes]
    if not any(principal.covers(district) for _, district, _ in seen):
        raise NotFound(f"no such incident: {incident_id}")
    # Whoever may not know of reports moves them along unseen (Art. 37); another place's complaints are not his to move.
    if not all(principal.covers(district) for _, district, _ in held.matters):
        raise Forbidden(f"{incident_id} has complaints outside your jurisdiction: a supervisor of the whole must decide")
    return [m for m, _, _ in held.matters]


# -- which merchant is meant


async def merge_merchants(
    house: House, merchant_id: uuid.UUID, others: Sequence[uuid.UUID], principal: Principal, *, reason: str
) -> dict[str, Any]:  # fmt: skip
    """The others' mentions, names and keys are this merchant's. Gives {run_id, merchant_id, mentions}."""
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        ids = [merchant_id, *dict.fromkeys(others)]
        if len(ids) < 2 or merchant_id in others:
            raise Invalid.field("others", "must name other merchants than this one")
        mentions = {one: await _mentions(connection, one, principal) for one in sorted(ids, key=str)}
        codes_ = await connection.fetch("SELECT DISTINCT uscc FROM merchant WHERE id = ANY($1) AND uscc IS NOT NULL", ids)
        if len(codes_) > 1:
            raise Conflict("others: registered under different credit codes: " + ", ".join(r["uscc"] for r in codes_))
        run_id = await runs.open_run(
            connection, "merge", principal.subject, of="merchant", reason=reason,
            parameters={"merchant_id": str(merchant_id), "merged": [str(i) for i in ids[1:]]},
        )  # fmt: skip
        for other in ids[1:]:
            await merchants.merge_into(connection, other, merchant_id)
        moving = {m: merchant_id for other in ids[1:] for m, _, _, _ in mentions[other]}
        await _resay(house, connection, run_id, moving, [m for ms in mentions.values() for m in ms])
        for other in ids[1:]:
            await merchants.rebuild(connection, other)
        await merchants.rebuild(connection, merchant_id)
        summary = {"merchant_id": str(merchant_id), "mentions": len(moving)}
        await _told(connection, run_id, principal, "merge", ids, summary, of="merchant")
    return {"run_id": run_id, "merchant_id": merchant_id, "mentions": len(moving)}


async def split_merchant(
    house: House, merchant_id: uuid.UUID, parted: Sequence[uuid.UUID], principal: Principal, *, into: uuid.UUID | None, reason: str
) -> dict[str, Any]:  # fmt: skip
    """Mentions that mean somebody else: another known merchant, or one of their own. Gives {run_id, merchant_id, mentions}."""
    principal.require_person("correct")
    async with house.database.transaction() as connection:
        if into == merchant_id:
            raise Invalid.field("into", "must be another merchant")
        known = {m: (m, *rest) for m, *rest in await _mentions(connection, merchant_id, principal)}
        leaving = list(dict.fromkeys(parted))
        if unknown := [str(r) for r in leaving if r not in known]:
            raise Invalid.field("respondents", f"not of this merchant: {', '.join(unknown)}")
        if into is not None:
            await _mentions(connection, into, principal)
        target = into or await merchants.open_like(connection, leaving[0])
        run_id = await runs.open_run(
            connection, "split", principal.subject, of="merchant", reason=reason, parameters={"merchant_id": str(target)}
        )
        await _resay(house, connection, run_id, dict.fromkeys(leaving, target), [known[r] for r in leaving])
        summary = {"merchant_id": str(target), "mentions": len(leaving)}
        await _told(connection, run_id, principal, "split", [merchant_id, target], summary, of="merchant")
    return {"run_id": run_id, "merchant_id": target, "mentions": len(leaving)}


async def _resay(
    house: House, connection: Connection, run_id: uuid.UUID, target: Mapping[uuid.UUID, uuid.UUID], mentions: Sequence[Any]
) -> None:  # fmt: skip
    """Incidents that the complaints are in learn whom they mean now."""
    await merchants.resay(connection, run_id, target, origin="person")
    matters = [matter for one, matter, _, main in mentions if main and one in target]
    for incident_id in sorted(set((await incidents.homes(connection, matters)).values()), key=str):
        await incidents.rebuild(connection, house.reader.tokeniser, incident_id)


async def _mentions(
    connection: Connection, merchant_id: uuid.UUID, principal: Principal
) -> list[tuple[uuid.UUID, uuid.UUID, str, bool]]:  # fmt: skip
    held = await merchants.hold(connection, merchant_id)
    if held is None or (held.mentions and not any(principal.covers(d) for _, _, d, _ in held.mentions)):
        raise NotFound(f"no such merchant: {merchant_id}")
    if held.merged_into is not None:
        raise Conflict(f"{merchant_id} was merged into {held.merged_into}")
    if not all(principal.covers(d) for _, _, d, _ in held.mentions):
        raise Forbidden(f"{merchant_id} has complaints outside your jurisdiction: a supervisor of the whole must decide")
    return held.mentions
