"""The journey of matters whose circumstances changed: their incident grew or somebody was hurt, a side refused, a term ran out, people with
one wording turned out to have more in common. The track is
proposed anew, with history and notice. What somebody works on, what was delegated or is with an ODR enterprise is flagged, never moved."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app import acts, audit, baselines, calendar, cases, clocks, deliveries, handovers, jurisdiction, law, policy, work
from app.calendar import local_day
from app.codes import common_region
from app.database import Connection
from app.identity import new_id
from app.policy import Decided, Facts, Policy
from app.reading import with_spans
from app.triage import House, priority

# Handed to others already: they are told, and decide.
_ELSEWHERE = frozenset({"settling", "delegated"})


def outgrew(incident: Mapping[str, Any], thresholds: Mapping[str, float]) -> bool:
    """Whether its matters are to be looked at again under a place's thresholds: a number was reached since they were last routed, another
    district joined, somebody was hurt; or it is larger by a tenth and was no more than usual then."""
    people, before = incident["people_complaints"], incident["routed_people"]
    if incident["harm"] and not incident["routed_harm"]:
        return True
    if people < thresholds["cluster.watch"]:
        return False
    if any(before < thresholds[name] <= people for name in ("cluster.watch", "cluster.group", "cluster.major")):
        return True
    if incident["routed_districts"] < thresholds["cluster.major_districts"] <= incident["districts"]:
        return True
    return incident["excess"] is False and people >= 1.1 * before


_GROWN = "SELECT id FROM incident WHERE grown AND merged_into IS NULL AND state <> 'closed' ORDER BY id LIMIT $1"
_MEMBERS = """
SELECT m.* FROM incident_membership im JOIN matter m ON m.id = im.matter_id
WHERE im.incident_id = $1 AND im.valid_to IS NULL AND im.is_primary AND m.lane = 'complaint' AND NOT m.history AND m.copy_of IS NULL
  AND NOT m.state = ANY($2) ORDER BY m.id
"""


_HOLD_MEMBERS = """
SELECT 1 FROM matter WHERE id IN (
  SELECT matter_id FROM incident_membership WHERE incident_id = $1 AND valid_to IS NULL AND is_primary
) ORDER BY id FOR NO KEY UPDATE
"""


async def follow_growth(house: House, now: datetime, *, limit: int = 20) -> int:
    """Incidents that grew since their matters were last routed; gives how many matters got another track or a flag."""
    async with house.database.connection() as connection:
        grown = [r["id"] for r in await connection.fetch(_GROWN, limit)]
    touched = 0
    for incident_id in grown:
        async with house.database.transaction() as connection:
            touched += await _follow(house, connection, incident_id, now)
    return touched


async def _follow(house: House, connection: Connection, incident_id: uuid.UUID, now: datetime) -> int:
    # Matters before their incident, as a person who corrects one locks them.
    await connection.execute(_HOLD_MEMBERS, incident_id)
    incident = await connection.fetchrow("SELECT * FROM incident WHERE id = $1 FOR NO KEY UPDATE", incident_id)
    if not incident["grown"]:
        return 0  # somebody else was quicker
    members = await connection.fetch(_MEMBERS, incident_id, sorted(acts.CLOSED))
    places = {m["district"] for m in members}
    if not any(outgrew(incident, house.policy_at(place, now).thresholds) for place in places):
        await connection.execute("UPDATE incident SET grown = false WHERE id = $1", incident_id)
        return 0
    thresholds = house.policy_at(common_region(places), now).thresholds
    people, harm = incident["people_complaints"], incident["harm"]
    excess, figures = await baselines.exceeds(connection, incident_id, people, probability=baselines.probability(thresholds))
    await connection.execute(
        "UPDATE incident SET grown = false, routed_people = people_complaints, routed_districts = districts, routed_harm = harm, excess = $2 "
        "WHERE id = $1",
        incident_id, excess,
    )  # fmt: skip
    changed = {
        "incident_people": people, "incident_excess": excess, "incident_harm": "high" if harm else "none", "incident_districts": incident["districts"],
    }  # fmt: skip
    evidence = {"incident_id": str(incident_id), **changed, "base_rate": figures}
    touched = 0
    for matter in members:
        touched += await decide_anew(house, connection, matter, changed, cause="incident_grew", evidence=evidence, now=now)
    if touched:
        await audit.record(connection, "worker", "incident_grew", "incident", [incident_id])
    return touched


async def decide_anew(
    house: House, connection: Connection, matter: Any, changed: Mapping[str, Any], *, cause: str, evidence: Mapping[str, Any], now: datetime,
    actor: str = "worker",
) -> bool:  # fmt: skip
    """One open matter under changed facts. Gives whether its track or its flags changed.

    A track never gets lighter this way: what is grave already stays with whoever was to have it. The matter must be held or its
    incident locked by the caller.
    """
    last = await last_decision(connection, matter)
    if last is None:
        return False
    facts = replace(last.facts, **changed)
    current = house.policy_at(matter["district"], now)
    decided = policy.decide(current, facts)
    if policy.LADDER[decided.track] <= policy.LADDER[matter["track"]]:
        return False
    # Another bureau's is told at the desk, which alone may send it there.
    elsewhere = (
        matter["state"] in _ELSEWHERE and cause in ("incident_grew", "collusion_signal")
    ) or last.rule == jurisdiction.OUTSIDE
    if elsewhere or await work.holder(connection, matter["id"]):
        flagged = await work.flag(connection, matter["id"], f"{cause}:{decided.track}", actor, dict(evidence))
        if flagged:
            told = {"cause": _TOLD.get(cause, cause), "proposed": decided.track}
            await deliveries.announce(connection, [(matter["id"], "matter.flagged", told)])
        return flagged
    reason = {"text": REASONS[cause], "legal_basis": decided.reasons[0]["legal_basis"]}
    await record(
        connection, matter, current, facts, decided, kind="reroute", reason=reason, evidence={"cause": cause, **evidence}, rules=last.law,
        parameters=last.parameters, actor=actor, now=now,
    )  # fmt: skip
    await cases.remark(connection, matter["id"], cause, actor=actor, at=now, note=reason["text"])
    await place(connection, matter, decided.track, facts, actor)
    await deliveries.announce(
        connection, [(matter["id"], "matter.rerouted", {"track": decided.track, "cause": _TOLD.get(cause, cause)})]
    )
    return True


@dataclass(frozen=True, slots=True)
class Last:
    """What stands of a matter's last decision when it is decided again. law: the rule set, which the date of receipt picked."""

    rule: str
    facts: Facts
    law: str
    parameters: Mapping[str, Any]


async def last_decision(connection: Connection, matter: Any) -> Last | None:
    row = await connection.fetchrow(
        "SELECT rule, facts, law, parameters FROM decision WHERE matter_id = $1 ORDER BY decided_at DESC, id DESC LIMIT 1",
        matter["id"],
    )
    if row is None:
        return None
    facts = Facts.from_stored({"lane": matter["lane"], "kind": matter["kind"], **row["facts"]})
    return Last(row["rule"], facts, row["law"], row["parameters"])


async def record(
    connection: Connection, matter: Any, current: Policy, facts: Facts, decided: Decided, *, kind: str, reason: Mapping[str, Any],
    evidence: Mapping[str, Any], rules: str, parameters: Mapping[str, Any], actor: str, now: datetime, reading: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """A decision after the first, with its gates and those it left. reason: why the matter was decided again, before the policy's own.
    reading: of the letter; None: as the matter has it."""
    said = matter["reading"] if reading is None else reading
    track = decided.track
    await cases.decide_again(
        connection,
        {
            "id": new_id(), "matter_id": matter["id"], "kind": kind, "decided_at": now, "actor": actor, "track": track, "rule": decided.rule,
            "reasons": [reason, *(with_spans(r, said) for r in decided.reasons)], "facts": facts.as_json(), "evidence": evidence, "alternative": decided.alternative,
            "sign": decided.sign, "policy_hash": current.hash, "law": rules, "parameters": parameters,
        },
        gates=decided.gates if track != "none" else [],
        left=decided.left if track != "none" else [],
    )  # fmt: skip


async def place(connection: Connection, matter: Any, track: str, facts: Facts, actor: str) -> bool:
    """The matter's work where its track, its facts and its clocks put it now. False: it never had any."""
    rank, due_at = priority(facts, track), await cases.next_due(connection, matter["id"])
    urgent_at = work.urgent_at(due_at, matter["received_at"], rank)
    # What a unit returned stays with the intake desk, which alone may send it (Art. 41).
    queue = "intake" if matter["state"] == "pending_dispatch" else track
    return await work.reroute(connection, matter["id"], queue, actor, priority=rank, due_at=due_at, urgent_at=urgent_at)


REASONS = {
    "incident_grew": "同一事件的投诉人数或危害达到门槛，重新建议分流",
    "gate_failed": "前提条件未满足，重新建议分流",
    "term_ran_out": "限期内未能解决，重新建议分流",
    "partner_failed": "承办单位未能解决，重新建议分流",
    "partner_returned": "承办单位退回",
    "partner_recalled": "撤回移送",
    "escalated": "承办人认为本级难以解决，提请升级办理",
    "dispatched": "分送后由接收机关按其分流政策办理",
    "collusion_signal": "多人文字雷同，且共用电话、设备或者订单号，由工作人员逐件核查；不得仅凭该信号不予受理或者终止调解",
}  # fmt: skip
_TOLD = {"collusion_signal": "review"}  # a suspicion leaves the house with no webhook


_TOGETHER = """
SELECT f.id, f.matter_id, f.evidence FROM finding f
WHERE f.evidence ? 'together' AND f.created_at > $1 AND NOT EXISTS (
  SELECT 1 FROM state_change s WHERE s.matter_id = f.matter_id AND s.act = 'collusion_signal'
) ORDER BY f.created_at, f.id LIMIT $2
"""
_HOLD = "SELECT * FROM matter WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
_TOGETHER_DAYS = 30  # what no worker has seen by then, a person has


async def follow_wording(house: House, now: datetime, *, limit: int = 20) -> int:
    """Near-identical letters of people whom more than their words ties together (R8, serial_wording): a signal for the policy, which
    proposes a graver track at most, and refuses nothing. Text alone never does. Gives how many matters got another track or a flag."""
    async with house.database.connection() as connection:
        found = await connection.fetch(_TOGETHER, datetime.now(UTC) - timedelta(days=_TOGETHER_DAYS), limit)
    touched = 0
    for finding in found:
        together = finding["evidence"]["together"]
        tied = {uuid.UUID(i) for i in together["matters"]}
        evidence = {"finding": str(finding["id"]), "people": together["people"], "by": together["by"]}
        async with house.database.transaction() as connection:
            matters = await connection.fetch(_HOLD, [*tied, finding["matter_id"]])
            for matter in matters:
                moved = False
                live = matter["lane"] == "complaint" and not matter["history"] and matter["copy_of"] is None
                if matter["id"] in tied and live and matter["state"] not in acts.CLOSED:
                    moved = await decide_anew(
                        house, connection, matter, {"collusion_signal": True}, cause="collusion_signal", evidence=evidence, now=now
                    )  # fmt: skip
                touched += moved
                if matter["id"] == finding["matter_id"]:
                    await _note_signal(connection, matter, now)
    return touched


async def _note_signal(connection: Connection, matter: Any, now: datetime) -> None:
    """That a worker has looked at it, once."""
    noted = "SELECT 1 FROM state_change WHERE matter_id = $1 AND act = 'collusion_signal' LIMIT 1"
    if not await connection.fetchval(noted, matter["id"]):
        await cases.remark(
            connection, matter["id"], "collusion_signal", actor="worker", at=now, note=REASONS["collusion_signal"]
        )  # fmt: skip


async def follow_dispatch(house: House, connection: Connection, matter_id: uuid.UUID, *, actor: str, now: datetime) -> None:
    """What the intake desk sent to a bureau of this deployment is decided by that place's policy. The matter must be held."""
    matter = await cases.hold(connection, matter_id)
    last = await last_decision(connection, matter)
    if last is None or matter["state"] in acts.CLOSED or matter["track"] == "none":
        return
    current = house.policy_at(matter["district"], now)
    decided = policy.decide(current, last.facts)
    if (decided.track, decided.rule) == (matter["track"], last.rule):
        return
    reason = {"text": REASONS["dispatched"], "legal_basis": law.cite(law.ORDER_121, 41, 1)}
    await record(
        connection, matter, current, last.facts, decided, kind="reroute", reason=reason, evidence={"cause": "dispatched"}, rules=last.law,
        parameters=last.parameters, actor=actor, now=now,
    )  # fmt: skip
    await place(connection, matter, decided.track, last.facts, actor)


_REFUSED = {"consumer_choice": "chose_odr", "odr_enterprise": "odr_live", "consumer_consent": "delegate_consent"}


async def follow_refusal(
    house: House, connection: Connection, matter: Any, gate: str, *, now: datetime, actor: str
) -> bool:  # fmt: skip
    """A gate of the matter's own track failed: the next track is proposed. The matter must be held by the caller."""
    changed = {"failed_track": matter["track"]} | ({_REFUSED[gate]: False} if gate in _REFUSED else {})
    return await decide_anew(
        house, connection, matter, changed, cause="gate_failed", evidence={"gate": gate}, now=now, actor=actor
    )


_RUN_OUT = """
SELECT m.id, m.track, m.district, c.key, c.started_at, c.due_on FROM clock c JOIN matter m ON m.id = c.matter_id
WHERE c.stopped_at IS NULL AND NOT m.history AND NOT m.state = ANY($1) AND (
  (m.track = 't1' AND c.key = 'complaint.accept' AND c.due_on <= $2) OR (m.track = 't1' AND c.key = 'odr.settle' AND c.due_on < $3)
  OR (m.track = 't2' AND c.key = 'complaint.mediate' AND c.started_at < $4)
) AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.matter_id = m.id AND d.evidence ->> 'cause' = 'term_ran_out' AND d.evidence ->> 'track' = m.track)
ORDER BY c.due_on, m.id LIMIT $5
"""


async def follow_terms(house: House, now: datetime, *, limit: int = 200) -> int:
    """Settlement online that has not come about in its time, and delegated mediation late in its sixty days, are proposed the next track:
    the first ten working days after receipt or two before acceptance must be decided, the second on the day the policy names."""
    today = local_day(now)
    # The earliest day any place names; each matter waits for its own place's.
    earliest = min(house.policy_at(p.jurisdiction, now).thresholds.get("mediate.fallback", 45) for p in house.policies)
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            _RUN_OUT, sorted(acts.CLOSED), today + timedelta(days=14), today, now - timedelta(days=earliest), limit
        )
    touched = 0
    for row in rows:
        fallback = house.policy_at(row["district"], now).thresholds.get("mediate.fallback", 45)
        if row["key"] == "complaint.mediate" and now - row["started_at"] <= timedelta(days=fallback):
            continue
        if row["key"] == "complaint.accept" and today < _settled_by(house, local_day(row["started_at"]), row["due_on"]):
            continue
        async with house.database.transaction() as connection:
            matter = await cases.hold(connection, row["id"])
            if matter["track"] != row["track"] or matter["state"] in acts.CLOSED:
                continue
            if matter["state"] == "settling":
                matter = await end_settling(house, connection, matter, now)
            evidence = {"track": row["track"], "term": row["key"], "due_on": row["due_on"].isoformat()}
            touched += await decide_anew(
                house, connection, matter, {"failed_track": row["track"]}, cause="term_ran_out", evidence=evidence, now=now
            )
    return touched


async def end_settling(
    house: House, connection: Connection, matter: Any, now: datetime, *, cause: str = "term_ran_out", actor: str = "worker",
    authority: str = "bureau",
) -> Any:  # fmt: skip
    """What was with an ODR enterprise is the bureau's again: to be accepted, or accepted as it was."""
    state = "accepted" if await cases.was_accepted(connection, matter["id"]) else "pending_acceptance"
    await cases.move(connection, matter["id"], state, actor=actor, at=now, note=REASONS[cause], authority=authority)
    await clocks.stop_clocks(connection, matter["id"], at=now, by=cause, key="odr.settle", actor=actor)
    await handovers.follow(connection, house.vault, matter["id"], state, act=cause, actor=actor, at=now)
    return await cases.hold(connection, matter["id"])


def _settled_by(house: House, received_on: date, accept_due: date) -> date:
    """The day on which settlement online must have come about, so that the bureau can still decide on acceptance."""
    return calendar.due(house.calendar, "odr.settle", received_on, mode=house.settings.due_mode, before=accept_due).due_on
