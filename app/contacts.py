"""Speaking with the sides of a dispute: the log of every attempt, what was agreed or refused in it, and the appointments of a mediation
(Art. 20). What here proves that a side refused or stayed away is weighed in app.proofs.

Everything is written by whoever has the matter in hand: the holder of its lease, a supervisor of the place, the intake desk for what lies
with it. The log is append-only: a wrong entry is struck by a second one that names it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from app import acts, audit, cases, documents, law, proofs, rerouting, staff, templates, work
from app.calendar import SHANGHAI, local_day
from app.database import Connection, to_json
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal, new_id
from app.proofs import SIDES, chinese_time, is_late, vocabulary
from app.triage import House

CONSENTS = {
    ("t1", "consumer_choice"): "消费者选择线上和解", ("t1", "odr_enterprise"): "被投诉人为在册ODR企业",
    ("t2", "consumer_consent"): "投诉人同意委托调解", ("t2", "merchant_consent"): "被投诉人同意委托调解",
    ("t3", "consumer_consent"): "投诉人同意调解", ("t3", "merchant_consent"): "被投诉人同意调解",
}  # fmt: skip
# What a side says its word to, and the track whose gate it is.
CONSENTS_TO = {"settlement": "t1", "delegation": "t2", "mediation": "t3"}
_ASKED_BEFORE = {"t2": 19, "t3": 18}
# The states that stand on a word given to each track.
_STANDS_ON = {"t1": {"settling"}, "t2": {"delegated"}, "t3": {"mediating", "appraising", "suspended"}}
STATE_LABELS = {
    "planned": "已约定",
    "held": "已进行",
    "missed": "未到场",
    "cancelled": "已取消",
    "moved": "已改期",
    "lapsed": "已办结，不再进行",
}
NOTICE_FORM = 7
MOST_DAYS = 92
_MOST_LISTED = 1000
# Of what is not said otherwise.
_NOTICE_RESULTS = {"call": "reached", "visit": "reached", "window": "reached"}


@dataclass(frozen=True, slots=True)
class Said:
    """One contact. key: the client's own name of it. at: None: now. consent_to, agrees: what the side agreed to or refused in it, one of
    CONSENTS_TO. appointment_id: the one it told of."""

    key: uuid.UUID
    party: str
    way: str
    result: str
    at: datetime | None = None
    note: str | None = None
    consent_to: str | None = None
    agrees: bool | None = None
    appointment_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One appointment. form: on_site or a remote means; place: where, or how it is joined. mediator: None: whoever makes it."""

    key: uuid.UUID
    at: datetime
    form: str
    place: str | None = None
    minutes: int = 60
    mediator: str | None = None
    participants: tuple[str, ...] = ("consumer", "merchant")


# -- whose it is


async def _item(
    connection: Connection, item_id: uuid.UUID, principal: Principal, lanes: Sequence[str]
) -> Any:  # fmt: skip
    """The item, for whoever may see it."""
    item = await work.read_item(connection, item_id)
    seen = principal.covers(item["district"]) and item["lane"] in lanes
    if not seen and await work.holder(connection, item["matter_id"]) != principal.subject:
        raise NotFound("no such work item")
    return item


async def _matter(connection: Connection, item_id: uuid.UUID, principal: Principal, lanes: Sequence[str]) -> Any:
    """The item's matter, held, for whoever has it in hand."""
    principal.require_person("write what was said and agreed")
    item = await _item(connection, item_id, principal, lanes)
    matter = await cases.hold(connection, item["matter_id"])
    await staff.require_free(connection, matter["id"], principal.subject)
    if await work.holder(connection, matter["id"]) != principal.subject:
        desk = principal.has("intake") and item["queue_id"] == "intake"
        if not (desk or principal.has("supervisor", "admin")):
            raise Forbidden("claim its work item first: contacts are written by whoever has the matter in hand")
    return matter


async def _known(
    connection: Connection, table: str, matter_id: uuid.UUID, given: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> Any:  # fmt: skip
    """The row of that key, if there is one. Raises Conflict, naming the fields, where it says something else. names: of columns that callers
    know by another name."""
    row = await connection.fetchrow(f"SELECT * FROM {table} WHERE matter_id = $1 AND key = $2", matter_id, given["key"])
    if row is None:
        return None
    if wrong := [(names or {}).get(column, column) for column, value in given.items() if row[column] != value]:
        raise Conflict(
            f"another entry has this key: {', '.join(wrong)} differ",
            errors=[{"field": name, "message": "differs from the entry that has this key"} for name in wrong],
        )
    return row


_CONTACT_NAMES = {"consent_to": "consents.to", "agrees": "consents.agrees"}
_STRIKE_NAMES = {"note": "reason", "strikes": "contact_id"}


# -- contacts


async def log(
    house: House, item_id: uuid.UUID, principal: Principal, said: Said, *, lanes: Sequence[str], at: datetime | None = None
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """Writes down one contact and gives (it, whether it is new): the same key again is the same entry. A word given in it decides the gates
    it is about, with the contact as their proof. at: now.

    Raises Invalid, naming the field, for what can't be so; Conflict for another content under the same key, and where nothing waits for
    the word."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await _matter(connection, item_id, principal, lanes)
        given = {**asdict(said), "actor": principal.subject, "strikes": None}
        if said.at is None:
            del given["at"]
        if row := await _known(connection, "contact", matter["id"], given, _CONTACT_NAMES):
            return _contact(row), False
        said = replace(said, at=said.at or now)
        await _check(connection, matter, said, now)
        contact_id, gates = new_id(), []
        if said.consent_to is not None:
            gates = await _decide(house, connection, matter, said, contact_id, principal.subject, now)
        row = await _insert(
            connection, contact_id, matter["id"], {**asdict(said), "actor": principal.subject, "gates": gates}, now
        )
        await audit.record(connection, principal.subject, "contact", "matter", [matter["id"]], lane=matter["lane"])
    return _contact(row), True


async def _check(connection: Connection, matter: Any, said: Said, now: datetime) -> None:
    known = vocabulary()
    for field, value, allowed in (
        ("party", said.party, known.parties), ("way", said.way, known.ways), ("result", said.result, known.results),
    ):  # fmt: skip
        if value not in allowed:
            raise Invalid.field(field, f"must be one of {', '.join(allowed)}")
    result, at = known.results[said.result], said.at or now
    if result.ways and said.way not in result.ways:
        raise Invalid.field("result", f"{said.result} can't come of {said.way}, only of {', '.join(result.ways)}")
    if at > now:
        raise Invalid.field("at", "lies ahead; what is agreed for later is an appointment")
    if at < matter["received_at"]:
        raise Invalid.field("at", "lies before the matter was received")
    if said.consent_to is not None:
        _check_consent(matter, said, result)
    if said.appointment_id is not None:
        row = await _held(connection, matter["id"], said.appointment_id)
        if row["state"] not in ("planned", "missed"):
            raise Conflict(f"the appointment is {row['state']}: nothing is to be told of it")
        if said.party not in [speaker for side in row["participants"] for speaker in SIDES[side]]:
            raise Invalid.field("party", "takes no part in this appointment")
        if at >= row["at"]:
            raise Invalid.field("at", "must lie before the appointment: notice is given in advance (Art. 20)")


def _check_consent(matter: Any, said: Said, result: proofs.Result) -> None:
    if said.consent_to not in CONSENTS_TO:
        raise Invalid.field("consents.to", f"must be one of {', '.join(CONSENTS_TO)}")
    if said.party == "other":
        raise Invalid.field("party", "only a side of the dispute, or its agent, agrees or refuses")
    if not result.spoke:
        raise Invalid.field("result", f"{said.result}: nobody answered, so nobody agreed or refused")
    if said.consent_to == "mediation" and result.word and (result.word == "agrees") is not said.agrees:
        raise Invalid.field("consents.agrees", f"contradicts the result {said.result}")
    if matter["lane"] != "complaint":
        raise Conflict("only a complaint is settled or mediated")
    cases.require_open(matter)


async def _decide(
    house: House, connection: Connection, matter: Any, said: Said, contact_id: uuid.UUID, actor: str, now: datetime
) -> list[str]:  # fmt: skip
    """The gates that the word decided, as track.name."""
    side = next(side for side, speakers in SIDES.items() if said.party in speakers)
    decided = await say(house, connection, matter, party=side, agrees=bool(said.agrees), to=said.consent_to, actor=actor, at=now)
    if not decided:
        raise Conflict("nothing in this matter waits for that consent")
    gates = [f"{track}.{name}" for track, name in decided]
    known = vocabulary()
    told = "、".join(CONSENTS[gate] for gate in decided)
    note = f"{known.parties[said.party]}在{known.ways[said.way]}联系中表示：{told}——{'是' if said.agrees else '否'}"
    await cases.remark(
        connection, matter["id"], "consent", actor=actor, at=now, note=note, signed_by=[actor],
        detail={"contact_id": str(contact_id), "gates": gates, "agrees": said.agrees},
    )  # fmt: skip
    return gates


async def _insert(
    connection: Connection, contact_id: uuid.UUID, matter_id: uuid.UUID, values: Mapping[str, Any], now: datetime
) -> Any:
    row = {"id": contact_id, "matter_id": matter_id, "noted_at": now, **values}
    return await connection.fetchrow(
        f"INSERT INTO contact ({', '.join(row)}) VALUES ({', '.join(f'${n}' for n in range(1, len(row) + 1))}) RETURNING *",
        *row.values(),
    )


async def strike(
    house: House, item_id: uuid.UUID, contact_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], key: uuid.UUID, reason: str,
    at: datetime | None = None,
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """A wrong entry: it stays readable and counts no more; the gates it decided are open again. Raises Conflict where the matter stands on
    it: it was mediated on the consent, or ended on the proof."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await _matter(connection, item_id, principal, lanes)
        given = {"key": key, "strikes": contact_id, "note": reason, "actor": principal.subject}
        if row := await _known(connection, "contact", matter["id"], given, _STRIKE_NAMES):
            return _contact(row), False
        wrong = await connection.fetchrow(
            "SELECT c.*, EXISTS (SELECT FROM contact s WHERE s.strikes = c.id) AS struck FROM contact c WHERE id = $1 AND matter_id = $2 AND strikes IS NULL",
            contact_id, matter["id"],
        )  # fmt: skip
        if wrong is None:
            raise NotFound("no such contact")
        if wrong["struck"]:
            raise Conflict("the entry was struck already")
        if await connection.fetchval(_ENDED_ON, matter["id"], to_json([{"ids": [str(contact_id)]}]), sorted(acts.CLOSED)):
            raise Conflict("终止调解以该记录为依据，不能划去；确有错误的，先按“原办理有误”重新办理")
        await _reopen_gates(connection, matter, wrong, principal.subject, now)
        row = await _insert(connection, new_id(), matter["id"], {**given, "at": now}, now)
        await audit.record(connection, principal.subject, "strike_contact", "matter", [matter["id"]], lane=matter["lane"])
    return _contact(row), True


# Also an end of one that it was joined with: of the merchant's word all make use.
_ENDED_ON = """
SELECT true FROM state_change sc JOIN matter m ON m.id = sc.matter_id WHERE sc.detail -> 'proof' @> $2::jsonb AND m.state = ANY($3)
  AND sc.matter_id IN (SELECT $1::uuid UNION SELECT o.matter_id FROM joint_member me JOIN joint_member o USING (joint_matter_id) WHERE me.matter_id = $1)
LIMIT 1
"""


async def _reopen_gates(connection: Connection, matter: Any, wrong: Any, actor: str, now: datetime) -> None:
    gates = [(track, name) for track, _, name in (gate.partition(".") for gate in wrong["gates"])]
    if not gates:
        return
    if wrong["agrees"] and any(matter["state"] in _STANDS_ON[track] for track, _ in gates):
        raise Conflict(f"已据此同意办理（{acts.STATE_LABELS[matter['state']]}），不能划去；当事人改变意愿的，另行记录")
    for track, name in gates:
        await connection.execute(
            "UPDATE gate SET state = 'open', actor = NULL, at = NULL WHERE matter_id = $1 AND track = $2 AND name = $3 AND actor = $4 AND at = $5",
            matter["id"], track, name, wrong["actor"], wrong["noted_at"],
        )  # fmt: skip
    note = f"划去误记的联系记录，恢复待答复：{'、'.join(CONSENTS[gate] for gate in gates)}"
    await cases.remark(
        connection, matter["id"], "consent_struck", actor=actor, at=now, note=note, signed_by=[actor],
        detail={"contact_id": str(wrong["id"]), "gates": wrong["gates"]},
    )  # fmt: skip


async def say(
    house: House, connection: Connection, matter: Any, *, party: str, agrees: bool, to: str | None, actor: str, at: datetime
) -> list[tuple[str, str]]:  # fmt: skip
    """A side's yes or no to what its matter proposes, as a fact with who and when. Gives the gates it decided, (track, name). party: consumer
    or merchant. to: one of CONSENTS_TO, which may be said before the track asks; None: whatever the matter's track asks. The matter must
    be held and open."""
    track = CONSENTS_TO[to] if to else None
    state = "passed" if agrees else "failed"
    decided = []
    for name in {"consumer": ("consumer_consent", "consumer_choice"), "merchant": ("merchant_consent",)}[party]:
        tracks = await cases.set_gate(connection, matter["id"], name, state, actor=actor, at=at, track=track)
        decided += [(t, name) for t in tracks]
        if not agrees and matter["track"] in tracks:
            await rerouting.follow_refusal(house, connection, matter, name, now=at, actor=actor)
    # A side may say so before its track asks: what the matter becomes later finds the word given.
    if not decided and (track in _ASKED_BEFORE or (track is None and party == "merchant")):
        asked, name = track or "t3", f"{party}_consent"
        basis = f"{CONSENTS[asked, name]}（{law.cite(law.ORDER_121, _ASKED_BEFORE[asked])}）"
        if await cases.ask_gate(connection, matter["id"], asked, name, state, actor=actor, at=at, basis=basis):
            decided.append((asked, name))
    return decided


# -- appointments


async def book(
    house: House, item_id: uuid.UUID, principal: Principal, plan: Plan, *, lanes: Sequence[str], at: datetime | None = None
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """Makes an appointment and gives (it, whether it is new). warnings: what a person should think of. Raises Conflict where the mediator has
    another one then, naming it."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await _matter(connection, item_id, principal, lanes)
        plan = replace(plan, mediator=plan.mediator or principal.subject)
        if row := await _known(connection, "appointment", matter["id"], {**_planned(plan), "created_by": principal.subject}):
            return await _shown(house, connection, row), False
        row = await _book(house, connection, matter, plan, principal, now)
        await _remark(connection, matter, "appointment", row, principal.subject, now)
        return await _shown(house, connection, row), True


def _planned(plan: Plan) -> dict[str, Any]:
    return {**asdict(plan), "participants": sorted(set(plan.participants))}


async def _book(
    house: House, connection: Connection, matter: Any, plan: Plan, principal: Principal, now: datetime, moved_from: uuid.UUID | None = None
) -> Any:  # fmt: skip
    if matter["lane"] != "complaint":
        raise Conflict("only a complaint is mediated")
    cases.require_open(matter)
    if matter["state"] == "suspended":
        raise Conflict(f"{acts.STATE_LABELS['suspended']}：{law.cite(law.ORDER_121, 21)}；作出是否回避的决定后再约定")
    if plan.form not in vocabulary().forms:
        raise Invalid.field("form", f"must be one of {', '.join(vocabulary().forms)}")
    if plan.form == "on_site" and not plan.place:
        raise Invalid.field("place", "where do they meet? (Art. 20)")
    if not plan.participants or not set(plan.participants) <= set(SIDES):
        raise Invalid.field("participants", f"must name some of {', '.join(SIDES)}")
    if plan.at < now:
        raise Invalid.field("at", "lies in the past")
    if plan.mediator != principal.subject and not await connection.fetchval(_IS_MEDIATOR, plan.mediator, matter["district"]):
        raise Invalid.field("mediator", "is nobody who mediates in this place")
    if plan.mediator is not None and await staff.recused(connection, [matter["id"]], plan.mediator):
        raise Conflict(f"{law.cite(law.ORDER_121, 21)}：{plan.mediator}已回避本件")
    # One mediator's days are written by one at a time.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('appointment:' || $1, 0))", plan.mediator)
    if other := await connection.fetchrow(
        _OVERLAPS, plan.mediator, plan.at, plan.at + timedelta(minutes=plan.minutes), sorted(acts.CLOSED)
    ):  # fmt: skip
        told = f"{plan.mediator} has another appointment then: {chinese_time(other['at'])}, {other['minutes']} minutes"
        raise Conflict(told, errors=[{"field": "at", "message": told}])
    row = {
        **_planned(plan),
        "id": new_id(),
        "matter_id": matter["id"],
        "created_by": principal.subject,
        "created_at": now,
        "moved_from": moved_from,
    }
    made = await connection.fetchrow(
        f"INSERT INTO appointment ({', '.join(row)}) VALUES ({', '.join(f'${n}' for n in range(1, len(row) + 1))}) RETURNING *",
        *row.values(),
    )
    await audit.record(connection, principal.subject, "appointment", "matter", [matter["id"]], lane=matter["lane"])
    return made


_IS_MEDIATOR = """
SELECT true FROM api_token WHERE subject = $1 AND natural_person AND revoked_at IS NULL AND expires_at > clock_timestamp()
  AND roles && ARRAY['mediator', 'supervisor', 'intake'] AND EXISTS (SELECT 1 FROM unnest(jurisdictions) j WHERE starts_with($2, j)) LIMIT 1
"""
_OVERLAPS = """
SELECT a.at, a.minutes FROM appointment a JOIN matter m ON m.id = a.matter_id
WHERE a.mediator = $1 AND a.state = 'planned' AND a.at < $3 AND a.at > $2::timestamptz - interval '600 minutes'
  AND a.at + make_interval(mins => a.minutes) > $2 AND NOT m.state = ANY($4) ORDER BY a.at LIMIT 1
"""


async def notify(
    house: House, item_id: uuid.UUID, appointment_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], key: uuid.UUID, party: str,
    way: str, result: str | None = None, told_at: datetime | None = None, note: str | None = None, at: datetime | None = None,
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """A side is told of time, place and mediator (Art. 20): a contact that names the appointment. result: as of a contact; None: what
    the way comes to when nothing went wrong."""
    said = Said(key, party, way, result or _NOTICE_RESULTS.get(way, "sent"), told_at, note, appointment_id=appointment_id)
    return await log(house, item_id, principal, said, lanes=lanes, at=at)


async def hold(
    house: House, item_id: uuid.UUID, appointment_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], reason: str | None = None,
    at: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """It took place. reason: needed where it was recorded as missed before."""
    return await _end(house, item_id, appointment_id, principal, lanes, "held", at, reason=reason)


async def miss(
    house: House, item_id: uuid.UUID, appointment_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], by: Sequence[str],
    excused: Sequence[str] = (), reason: str | None = None, at: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """by: who did not come; excused: those of them who had a good reason, which is no absence of Art. 23(1)(2)."""
    if not by:
        raise Invalid.field("by", "who did not come?")
    if not set(excused) <= set(by):
        raise Invalid.field("excused", "must be among those who did not come")
    if excused and not reason:
        raise Invalid.field("reason", "what was the good reason?")
    return await _end(
        house, item_id, appointment_id, principal, lanes, "missed", at, reason=reason, missed_by=sorted(set(by)), excused=sorted(set(excused))
    )  # fmt: skip


async def cancel(
    house: House, item_id: uuid.UUID, appointment_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str], reason: str,
    at: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    return await _end(house, item_id, appointment_id, principal, lanes, "cancelled", at, reason=reason)


async def move(
    house: House, item_id: uuid.UUID, appointment_id: uuid.UUID, principal: Principal, plan: Plan, *, lanes: Sequence[str], reason: str,
    at: datetime | None = None,
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """To another time, place or mediator: a new appointment, of which both are to be told anew; gives (it, whether it is new)."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await _matter(connection, item_id, principal, lanes)
        old = await _held(connection, matter["id"], appointment_id)
        plan = replace(plan, mediator=plan.mediator or old["mediator"])
        given = {**_planned(plan), "created_by": principal.subject, "moved_from": appointment_id}
        if row := await _known(connection, "appointment", matter["id"], given):
            return await _shown(house, connection, row), False
        if old["state"] != "planned":
            raise Conflict(f"the appointment is {old['state']}: only a planned one is moved")
        # First, so that its own time does not stand in its way.
        await _write_end(connection, old, "moved", principal.subject, now, reason=reason)
        row = await _book(house, connection, matter, plan, principal, now, moved_from=appointment_id)
        await _remark(connection, matter, "appointment_moved", row, principal.subject, now, reason)
        return await _shown(house, connection, row), True


async def _end(
    house: House, item_id: uuid.UUID, appointment_id: uuid.UUID, principal: Principal, lanes: Sequence[str], state: str, at: datetime | None,
    *, reason: str | None, missed_by: list[str] | None = None, excused: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What became of it. The same again changes nothing; that one was held and not missed, or the other way round, may be put right with
    a reason while the matter is open."""
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter = await _matter(connection, item_id, principal, lanes)
        row = await _held(connection, matter["id"], appointment_id)
        if (row["state"], row["reason"], row["missed_by"], row["excused"]) == (state, reason, missed_by, excused):
            return await _shown(house, connection, row)
        took_place = ("held", "missed")
        if row["state"] != "planned" and not (row["state"] in took_place and state in took_place):
            raise Conflict(f"the appointment is {row['state']} already")
        cases.require_open(matter)
        if row["state"] != "planned" and not reason:
            raise Invalid.field("reason", f"it was recorded as {row['state']}; why is that wrong?")
        if state in took_place and now < row["at"]:
            raise Conflict(f"the appointment lies ahead: {chinese_time(row['at'])}")
        if stranger := sorted(set(missed_by or ()) - set(row["participants"])):
            raise Invalid.field("by", f"{', '.join(stranger)} takes no part in it")
        row = await _write_end(
            connection, row, state, principal.subject, now, reason=reason, missed_by=missed_by, excused=excused
        )
        await _remark(connection, matter, f"appointment_{state}", row, principal.subject, now, reason)
        await audit.record(connection, principal.subject, f"appointment_{state}", "matter", [matter["id"]], lane=matter["lane"])
        return await _shown(house, connection, row)


async def _write_end(
    connection: Connection, row: Any, state: str, actor: str, now: datetime, *, reason: str | None, missed_by: list[str] | None = None,
    excused: list[str] | None = None,
) -> Any:  # fmt: skip
    return await connection.fetchrow(
        "UPDATE appointment SET state = $2, decided_by = $3, decided_at = $4, reason = $5, missed_by = $6, excused = $7 WHERE id = $1 RETURNING *",
        row["id"], state, actor, now, reason, missed_by, excused,
    )  # fmt: skip


async def _held(connection: Connection, matter_id: uuid.UUID, appointment_id: uuid.UUID) -> Any:
    """Of a matter that is held: nobody else changes it meanwhile."""
    row = await connection.fetchrow("SELECT * FROM appointment WHERE id = $1 AND matter_id = $2", appointment_id, matter_id)
    if row is None:
        raise NotFound("no such appointment")
    return row


async def _remark(
    connection: Connection, matter: Any, act: str, row: Any, actor: str, now: datetime, reason: str | None = None
) -> None:  # fmt: skip
    known = vocabulary()
    told = [f"{chinese_time(row['at'])}{known.forms[row['form']]}：{STATE_LABELS[row['state']]}"]
    if row["missed_by"]:
        told.append(
            "、".join(f"{known.parties[s]}{'（有正当理由）' if s in row['excused'] else ''}" for s in row["missed_by"]) + "未到场"
        )
    if reason:
        told.append(reason)
    detail = {"appointment_id": str(row["id"])} | ({"moved_from": str(row["moved_from"])} if act == "appointment_moved" else {})
    await cases.remark(connection, matter["id"], act, actor=actor, at=now, note="；".join(told), signed_by=[actor], detail=detail)


async def draw_notice(
    house: House, item_id: uuid.UUID, appointment_id: uuid.UUID, principal: Principal, values: Mapping[str, Any], *, lanes: Sequence[str],
    at: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The official notice of an on-site mediation (form 7), filled with the appointment's time, place and mediator; values: what else it
    says, and the mediator's name as it should stand there."""
    async with house.database.transaction() as connection:
        matter = await _matter(connection, item_id, principal, lanes)
        row = await _held(connection, matter["id"], appointment_id)
        if row["form"] != "on_site":
            raise Conflict("投诉调解通知书只适用于现场调解；非现场调解的时间和方式另行告知并记录")
        if row["state"] != "planned":
            raise Conflict(f"the appointment is {row['state']}: nothing is to be told of it")
        cases.require_open(matter)
        filled = {"mediator": row["mediator"], **values, "mediation_at": row["at"].isoformat(), "place": row["place"]}
        document_id = await documents.draft(
            connection, house.vault, await templates.load(connection), matter["id"], NOTICE_FORM, filled, principal.subject, at=at
        )
        return next(d for d in await documents.listed(connection, matter["id"]) if d["id"] == document_id)


# -- read


_STRUCK = "SELECT c.*, s.actor AS struck_by, s.noted_at AS struck_at, s.note AS struck_reason FROM contact c LEFT JOIN contact s ON s.strikes = c.id "


def _contact(row: Any) -> dict[str, Any]:
    """late: written down on a later day than it was."""
    known = vocabulary()
    found = {name: row[name] for name in ("id", "matter_id", "key", "at", "noted_at", "actor", "note")}
    if row["strikes"] is not None:
        return {**found, "strikes": row["strikes"]}
    struck = row.get("struck_at")
    return {
        **found, "party": row["party"], "party_label": known.parties[row["party"]], "way": row["way"], "way_label": known.ways[row["way"]],
        "result": row["result"], "result_label": known.results[row["result"]].label, "late": is_late(row),
        "consents": None if row["consent_to"] is None else {"to": row["consent_to"], "agrees": row["agrees"]}, "gates": row["gates"],
        "appointment_id": row["appointment_id"],
        "struck": {"by": row["struck_by"], "at": struck, "reason": row["struck_reason"]} if struck else None,
    }  # fmt: skip


_APPOINTMENTS = """
SELECT a.*, m.letter_id, m.district, m.state AS matter_state, m.closed_at, (SELECT id FROM work_item WHERE matter_id = m.id) AS work_item_id
FROM appointment a JOIN matter m ON m.id = a.matter_id
"""
_NOTICES = "WHERE c.appointment_id = ANY($1) ORDER BY c.at, c.noted_at, c.id"


def _appointment(row: Any, notices: Sequence[Any]) -> dict[str, Any]:
    """state lapsed: planned in a matter that is over. notices: of both sides, as contacts; told: the sides that were told in advance."""
    own = [n for n in notices if n["appointment_id"] == row["id"]]
    standing = [n for n in own if not n["struck_at"]]
    state = "lapsed" if row["state"] == "planned" and row["matter_state"] in acts.CLOSED else row["state"]
    known = vocabulary()
    return {
        **{n: row[n] for n in ("id", "matter_id", "key", "at", "minutes", "form", "place", "mediator", "participants", "created_by", "created_at")},
        "work_item_id": row["work_item_id"], "complaint_id": row["letter_id"], "district": row["district"], "form_label": known.forms[row["form"]], "state": state,
        "state_label": STATE_LABELS[state], "decided_by": row["decided_by"], "decided_at": row["decided_at"], "missed_by": row["missed_by"],
        "excused": row["excused"], "reason": row["reason"], "moved_from": row["moved_from"], "notices": [_contact(n) for n in own],
        "told": [s for s in row["participants"] if any(n["party"] in SIDES[s] and proofs.arrived(n, standing) for n in standing)],
    }  # fmt: skip


async def _shown(house: House, connection: Connection, row: Any) -> dict[str, Any]:
    """With what a person should think of."""
    full = await connection.fetchrow(_APPOINTMENTS + "WHERE a.id = $1", row["id"])
    notices = await connection.fetch(_STRUCK + _NOTICES, [row["id"]])
    return {**_appointment(full, notices), "warnings": await _warnings(house, connection, full)}


async def _warnings(house: House, connection: Connection, row: Any) -> list[dict[str, str]]:
    if row["state"] != "planned":
        return []
    day, found = local_day(row["at"]), []
    due_on: date | None = await connection.fetchval(
        "SELECT due_on FROM clock WHERE matter_id = $1 AND key = 'complaint.mediate' AND stopped_at IS NULL AND paused_at IS NULL",
        row["matter_id"],
    )
    if due_on is not None and day > due_on:
        told = f"在调解期限届满（{proofs.chinese_day(due_on)}）之后：{acts.cite_ground('23(1)(5)')}"
        found.append({"code": "after_due", "message": told})
    if not house.calendar.is_working(day):
        found.append({"code": "not_working_day", "message": "不是工作日"})
    return found


async def of_matter(connection: Connection, matter_id: uuid.UUID) -> dict[str, Any]:
    """{contacts, appointments}: the whole log, oldest first, what was struck with it; and when the sides met or will."""
    contacts = await connection.fetch(
        _STRUCK + "WHERE c.matter_id = $1 AND c.strikes IS NULL ORDER BY c.at, c.noted_at, c.id", matter_id
    )
    rows = await connection.fetch(_APPOINTMENTS + "WHERE a.matter_id = $1 ORDER BY a.at, a.id", matter_id)
    notices = [c for c in contacts if c["appointment_id"] is not None]
    return {"contacts": [_contact(c) for c in contacts], "appointments": [_appointment(r, notices) for r in rows]}


async def of_item(house: House, item_id: uuid.UUID, principal: Principal, *, lanes: Sequence[str]) -> dict[str, Any]:
    """As of_matter, with what the file proves: proof: {refusal, absence, short, needed}."""
    async with house.database.transaction() as connection:
        item = await _item(connection, item_id, principal, lanes)
        found = await of_matter(connection, item["matter_id"])
        standing = await proofs.standing(connection, house.calendar, item["matter_id"])
        await audit.record(connection, principal.subject, "read_contacts", "matter", [item["matter_id"]], lane=item["lane"])
    return {**found, "matter_id": item["matter_id"], "proof": {**asdict(standing), "needed": proofs.needed()}}


async def next_of(connection: Connection, matter_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    """matter -> its next appointment: the first planned one, also one whose time has come and of which nobody said yet what became
    of it (past)."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (a.matter_id) a.matter_id, a.id, a.at, a.minutes, a.form, a.place, a.mediator, a.at < clock_timestamp() AS past "
        "FROM appointment a JOIN matter m ON m.id = a.matter_id WHERE a.matter_id = ANY($1) AND a.state = 'planned' AND NOT m.state = ANY($2) "
        "ORDER BY a.matter_id, a.at",
        list(matter_ids), sorted(acts.CLOSED),
    )  # fmt: skip
    return {r["matter_id"]: {k: v for k, v in dict(r).items() if k != "matter_id"} for r in rows}


async def days(
    house: House, principal: Principal, *, lanes: Sequence[str], first: date, last: date, mine: bool = True
) -> list[dict[str, Any]]:  # fmt: skip
    """Appointments by day, days without any left out: the caller's own, or all of his places (a supervisor)."""
    if not 0 <= (last - first).days < MOST_DAYS:
        raise Invalid.field("to", f"must lie on or after `from`, at most {MOST_DAYS} days in all")
    where, who = "a.mediator = $3", principal.subject
    given: list[Any] = [
        datetime.combine(first, time(), SHANGHAI),
        datetime.combine(last + timedelta(days=1), time(), SHANGHAI),
        who,
    ]
    if not mine:
        principal.require("supervisor")
        where = "m.lane = ANY($3) AND EXISTS (SELECT 1 FROM unnest($4::text[]) j WHERE starts_with(m.district, j))"
        given[2:] = [list(lanes), list(principal.jurisdictions)]
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            f"{_APPOINTMENTS} WHERE a.at >= $1 AND a.at < $2 AND a.state <> 'moved' AND {where} ORDER BY a.at, a.id LIMIT {_MOST_LISTED}",
            *given,
        )
        notices = await connection.fetch(_STRUCK + _NOTICES, [r["id"] for r in rows])
    found: dict[date, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(local_day(row["at"]), []).append(_appointment(row, notices))
    return [{"day": day, "working": house.calendar.is_working(day), "appointments": them} for day, them in found.items()]
