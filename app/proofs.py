"""What proves that a side did not come to mediation without reason, or clearly refused it (Art. 23(1)(2)): weighed from what was written
down before, so that nobody's mediation is ended on a mere assertion.

The article names no number of attempts: how many count as out of reach is data (data/contacts.json).
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from app import law
from app.acts import cite_ground
from app.calendar import SHANGHAI, Calendar, local_day
from app.codes import shipped
from app.database import Connection
from app.errors import Conflict

GROUND = "23(1)(2)"
# Who speaks for a side of the dispute.
SIDES = {"consumer": ("consumer", "agent"), "merchant": ("merchant",)}
_BASIS = law.cite(law.ORDER_121, 18)


@dataclass(frozen=True, slots=True)
class Result:
    """What may come of a contact. spoke: the side answered, so earlier failures count no more; failed: an attempt in vain; told: serves as
    notice; word: agrees or refuses mediation; ways: only by these."""

    label: str
    spoke: bool = False
    failed: bool = False
    told: bool = False
    word: str | None = None
    ways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """attempts, days: in vain, and on how many working days, until a side counts as out of reach."""

    parties: Mapping[str, str]
    ways: Mapping[str, str]
    results: Mapping[str, Result]
    forms: Mapping[str, str]
    attempts: int
    days: int


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    raw = shipped("contacts")
    results = {name: Result(**{**one, "ways": tuple(one.get("ways", ()))}) for name, one in raw["results"].items()}
    return Vocabulary(
        raw["parties"], raw["ways"], MappingProxyType(results), raw["forms"], raw["unreachable"]["attempts"], raw["unreachable"]["days"]
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proof:
    """kind: contact, attempts, appointment, gate, handover, platform. ids: of the rows it rests on; of a gate track.name. party: the side
    that refused or did not come, None where only another's word says that one did. text: for people, of dates and codes alone."""

    kind: str
    ids: tuple[str, ...]
    party: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the file holds. short: what is in it and does not suffice, for people."""

    refusal: tuple[Proof, ...]
    absence: tuple[Proof, ...]
    short: tuple[str, ...]

    @property
    def every(self) -> tuple[Proof, ...]:
        return (*self.refusal, *self.absence)


def weigh(
    contacts: Iterable[Mapping[str, Any]], appointments: Iterable[Mapping[str, Any]], words: Standing, is_working: Callable[[date], bool]
) -> Standing:  # fmt: skip
    """contacts: none that was struck, by time. words: what gates, partners and the platform say. Pure."""
    refusal, absence, short = list(words.refusal), list(words.absence), list(words.short)
    contacts, appointments = list(contacts), list(appointments)
    known = vocabulary()
    for side, speakers in SIDES.items():
        name = known.parties[side]
        mine = [c for c in contacts if c["party"] in speakers]
        word, attempts = _so_far(mine)
        if word is not None:
            refusal.append(Proof("contact", (str(word["id"]),), side, _told(word)))
        days = {day for c in attempts if is_working(day := local_day(c["at"]))}
        if len(attempts) >= known.attempts and len(days) >= known.days:
            on = "、".join(dict.fromkeys(chinese_day(local_day(c["at"])) for c in attempts))
            late = sum(is_late(c) for c in attempts)
            said = f"对{name}联系未果{len(attempts)}次（{on}{f'，其中{late}次为事后补记' if late else ''}）"
            absence.append(Proof("attempts", tuple(str(c["id"]) for c in attempts), side, said))
        elif attempts:
            short.append(f"对{name}联系未果{len(attempts)}次、{len(days)}个工作日")
        for one in appointments:
            if side in (one["missed_by"] or ()) and (one["own"] or side == "merchant"):
                _weigh_missed(one, side, mine, appointments, absence, short)
    return Standing(tuple(refusal), tuple(absence), tuple(short))


def _so_far(contacts: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any] | None, list[Mapping[str, Any]]]:
    """(the contact in which the side refused mediation, unless it agreed to it later; attempts in vain since it last answered)."""
    word: Mapping[str, Any] | None = None
    attempts: list[Mapping[str, Any]] = []
    for one in contacts:
        result = vocabulary().results[one["result"]]
        if result.spoke:
            attempts = []
        if result.word:
            word = one if result.word == "refuses" else None
        if result.failed:
            attempts.append(one)
    return word, attempts


def _weigh_missed(
    one: Mapping[str, Any], side: str, contacts: Sequence[Mapping[str, Any]], appointments: Sequence[Mapping[str, Any]], absence: list[Proof],
    short: list[str],
) -> None:  # fmt: skip
    name = vocabulary().parties[side]
    said = f"{chinese_day(local_day(one['at']))}{vocabulary().forms[one['form']]}，{name}未到场"
    if side in one["excused"]:
        short.append(f"{said}，但有正当理由")
    elif any(
        o["state"] == "held" and o["at"] > one["at"] and side in o["participants"] and (o["own"] or side == "merchant")
        for o in appointments
    ):
        short.append(f"{said}，但此后参加了调解")
    elif notices := [c for c in contacts if c["appointment_id"] == one["id"] and c["at"] < one["at"] and arrived(c, contacts)]:
        ids = (str(one["id"]), *(str(c["id"]) for c in notices))
        on = "、".join(dict.fromkeys(f"{chinese_day(local_day(c['at']))}{vocabulary().ways[c['way']]}" for c in notices))
        absence.append(Proof("appointment", ids, side, f"{said}，事先已告知（{on}）"))
    else:
        short.append(f"{said}，但没有事先告知该方的记录")


def arrived(notice: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]]) -> bool:
    """What was sent and came back told nobody."""
    if not vocabulary().results[notice["result"]].told:
        return False
    back = (c for c in contacts if c["result"] == "returned" and c["way"] == notice["way"] and c["at"] >= notice["at"])
    return notice["result"] != "sent" or not any(back)


def _told(one: Mapping[str, Any]) -> str:
    known = vocabulary()
    said = f"{chinese_day(local_day(one['at']))}{known.ways[one['way']]}联系{known.parties[one['party']]}：{known.results[one['result']].label}"
    return f"{said}（{chinese_day(local_day(one['noted_at']))}补记）" if is_late(one) else said


def is_late(one: Mapping[str, Any]) -> bool:
    """Written down on a later day than it was."""
    return local_day(one["noted_at"]) > local_day(one["at"])


def chinese_day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def chinese_time(at: datetime) -> str:
    """2026年11月3日9时30分."""
    there = at.astimezone(SHANGHAI)
    return f"{chinese_day(there.date())}{there.hour}时" + (f"{there.minute:02}分" if there.minute else "")


# -- read


# In a joint matter (Art. 12) what the merchant says or misses is one for all, also once a member is closed and so has left it: it is one
# dispute with one operator. Who left to go on alone needs a word of his own.
_OWN = """
WITH own AS (
  SELECT $1::uuid AS matter_id UNION SELECT o.matter_id FROM joint_member me
  JOIN joint_matter j ON j.id = me.joint_matter_id AND j.joined_at IS NOT NULL
  JOIN joint_member o ON o.joint_matter_id = j.id AND coalesce(o.left_reason, 'few') IN ('few', 'closed')
  WHERE me.matter_id = $1 AND coalesce(me.left_reason, 'few') = 'few'
)
"""
_CONTACTS = (
    _OWN
    + """
SELECT c.id, c.party, c.way, c.result, c.at, c.noted_at, c.appointment_id FROM contact c JOIN own USING (matter_id)
WHERE c.strikes IS NULL AND (c.matter_id = $1 OR c.party = 'merchant') AND NOT EXISTS (SELECT 1 FROM contact s WHERE s.strikes = c.id)
ORDER BY c.at, c.noted_at, c.id
"""
)
_APPOINTMENTS = (
    _OWN
    + """
SELECT a.id, a.at, a.form, a.state, a.participants, a.missed_by, a.excused, a.matter_id = $1 AS own FROM appointment a JOIN own USING (matter_id)
WHERE a.state IN ('held', 'missed') ORDER BY a.at, a.id
"""
)
# Only a body that mediates in the bureau's stead (Art. 19) hears a refusal of mediation; an enterprise only one to settle with it.
_PARTNERS = """
SELECT id, result, coalesce(as_of, closed_at) AS at FROM handover
WHERE matter_id = $1 AND act = 'delegate' AND state = 'failed' AND result IN ('refused', 'unreachable') ORDER BY created_at, id
"""
_PLATFORM = """
SELECT p.id, p.outcome, p.as_of AS at FROM platform_state p JOIN matter m ON m.letter_id = p.letter_id
WHERE m.id = $1 AND p.authority = 'platform' AND p.state IS NOT NULL ORDER BY p.as_of DESC, p.id DESC LIMIT 1
"""


async def standing(connection: Connection, calendar: Calendar, matter_id: uuid.UUID) -> Standing:
    """What is on file for a matter."""
    refusal: list[Proof] = []
    absence: list[Proof] = []
    short: list[str] = []
    known = vocabulary()
    # Art. 19 and Art. 18 are two consents: no to a delegation is none to the bureau's own mediation.
    for gate in await connection.fetch(
        "SELECT track, name, at FROM gate WHERE matter_id = $1 AND track IN ('t2', 't3') AND name IN ('consumer_consent', 'merchant_consent') "
        "AND state = 'failed' ORDER BY track, name",
        matter_id,
    ):
        side = gate["name"].removesuffix("_consent")
        on = chinese_day(local_day(gate["at"])) if gate["at"] else ""
        if gate["track"] == "t3":
            said = f"{on}{known.parties[side]}不同意调解（{_BASIS}）"
            refusal.append(Proof("gate", (f"t3.{gate['name']}",), side, said))
        else:
            short.append(f"{on}{known.parties[side]}不同意的是委托调解")
    told = {"refused": ("一方拒绝", refusal), "unreachable": ("联系不到当事人", absence)}
    for kind, who, query in (("handover", "受委托组织", _PARTNERS), ("platform", "平台", _PLATFORM)):
        for row in await connection.fetch(query, matter_id):
            label, found = told.get(row["result" if kind == "handover" else "outcome"], ("", None))
            if found is not None:
                found.append(Proof(kind, (str(row["id"]),), None, f"{chinese_day(local_day(row['at']))}{who}告知：{label}"))
    return weigh(
        await connection.fetch(_CONTACTS, matter_id), await connection.fetch(_APPOINTMENTS, matter_id),
        Standing(tuple(refusal), tuple(absence), tuple(short)), calendar.is_working,
    )  # fmt: skip


def needed(outcome: str | None = None) -> str:
    """What would do, for people. outcome: refused, unreachable; None: either."""
    known = vocabulary()
    refusal = "一方明确拒绝调解的联系记录，或者其不同意调解的答复"
    absence = (
        f"事先告知后一方无正当理由未到场的调解，或者对同一方至少{known.attempts}次、分布在{known.days}个以上工作日的联系未果记录"
    )
    return {"refused": refusal, "unreachable": absence}.get(outcome or "", f"{refusal}；或者{absence}")


async def require(
    connection: Connection, calendar: Calendar, matter_id: uuid.UUID, outcome: str | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    """The proofs an end under 23(1)(2) rests on, as its history keeps them. outcome: refused, unreachable; None: either. Raises Conflict,
    in Chinese, with what there is and what lacks. The matter must be held."""
    found = await standing(connection, calendar, matter_id)
    proofs = {"refused": found.refusal, "unreachable": found.absence}.get(outcome or "", found.every)
    if proofs:
        return [{**asdict(p), "ids": list(p.ids)} for p in proofs]
    there = "；".join((*(p.text for p in found.every), *found.short)) or "无"
    lacks = needed(outcome)
    raise Conflict(
        f"{cite_ground(GROUND)}：须先有记录为证。已有：{there}。尚缺：{lacks}",
        errors=[{"field": "proof", "message": f"尚缺：{lacks}"}],
    )
