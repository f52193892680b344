"""The journey of matters whose circumstances changed: their incident grew or somebody was hurt, a side refused, a term ran out. The track is
proposed anew, with history and notice. What somebody works on, what was delegated or is with an ODR enterprise is flagged, never moved."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from app import audit, baselines, calendar, cases, clocks, deliveries, jurisdiction, policy, work
from app.calendar import local_day
from app.database import Connection
from app.identity import new_id
from app.policy import Facts, Policy
from app.triage import House, priority

LEVELS = ("none", "watch", "group", "major", "harm")
# Handed to others already: they are told, and decide.
_ELSEWHERE = frozenset({"settling", "delegated"})


def level(people: int, harm: bool, thresholds: Mapping[str, float]) -> int:
    """How grave an incident is by number, an index of LEVELS. Harm is above all."""
    if harm:
        return 4
    return sum(people >= thresholds[name] for name in ("cluster.watch", "cluster.group", "cluster.major"))


_GROWN = """
SELECT id, people_complaints, harm, routed FROM incident
WHERE (people_complaints > 1 OR harm) AND routed < 4 AND merged_into IS NULL AND state <> 'closed'
  AND routed < CASE WHEN harm THEN 4 WHEN people_complaints >= $3 THEN 3 WHEN people_complaints >= $2 THEN 2 WHEN people_complaints >= $1 THEN 1 ELSE 0 END
ORDER BY id LIMIT $4
"""
_MEMBERS = """
SELECT m.*, w.state AS work, w.id AS item, i.districts FROM incident_membership im JOIN matter m ON m.id = im.matter_id
LEFT JOIN work_item w ON w.matter_id = m.id
CROSS JOIN LATERAL (
  SELECT count(DISTINCT o.district) AS districts FROM incident_membership om JOIN matter o ON o.id = om.matter_id
  WHERE om.incident_id = im.incident_id AND om.valid_to IS NULL AND o.lane = 'complaint'
) AS i
WHERE im.incident_id = $1 AND im.valid_to IS NULL AND im.is_primary AND m.lane = 'complaint' AND NOT m.history AND m.copy_of IS NULL
  AND NOT m.state = ANY($2) ORDER BY m.id
"""


_HOLD_MEMBERS = """
SELECT 1 FROM matter WHERE id IN (
  SELECT matter_id FROM incident_membership WHERE incident_id = $1 AND valid_to IS NULL AND is_primary
) ORDER BY id FOR NO KEY UPDATE
"""


async def follow_growth(house: House, now: datetime, *, limit: int = 20) -> int:
    """Incidents that crossed a threshold since their matters were last routed; gives how many matters got another track or a flag."""
    thresholds = policy.in_force(house.policies, local_day(now), house.settings.jurisdiction).thresholds
    async with house.database.connection() as connection:
        grown = await connection.fetch(
            _GROWN, *(int(thresholds[n]) for n in ("cluster.watch", "cluster.group", "cluster.major")), limit
        )
    touched = 0
    for row in grown:
        async with house.database.transaction() as connection:
            touched += await _follow(house, connection, row["id"], thresholds, now)
    return touched


async def _follow(
    house: House, connection: Connection, incident_id: uuid.UUID, thresholds: Mapping[str, float], now: datetime
) -> int:  # fmt: skip
    # Matters before their incident, as a person who corrects one locks them.
    await connection.execute(_HOLD_MEMBERS, incident_id)
    incident = await connection.fetchrow("SELECT * FROM incident WHERE id = $1 FOR NO KEY UPDATE", incident_id)
    reached = level(incident["people_complaints"], incident["harm"], thresholds)
    if reached <= incident["routed"]:
        return 0  # somebody else was quicker
    excess, figures = await baselines.exceeds(
        connection, incident_id, incident["people_complaints"], probability=baselines.probability(thresholds)
    )
    await connection.execute("UPDATE incident SET routed = $2, excess = $3 WHERE id = $1", incident_id, reached, excess)
    members = await connection.fetch(_MEMBERS, incident_id, sorted(cases.CLOSED))
    touched = 0
    for matter in members:
        changed = {
            "incident_people": incident["people_complaints"], "incident_excess": excess, "incident_harm": "high" if incident["harm"] else "none",
            "incident_districts": matter["districts"],
        }  # fmt: skip
        evidence = {"incident_id": str(incident_id), "level": LEVELS[reached], "base_rate": figures}
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
    last = await connection.fetchrow(
        "SELECT facts, law, parameters, track, rule FROM decision WHERE matter_id = $1 ORDER BY decided_at DESC, id DESC LIMIT 1",
        matter["id"],
    )
    if last is None:
        return False
    facts = replace(Facts.from_stored({"lane": matter["lane"], "kind": matter["kind"], **last["facts"]}), **changed)
    current: Policy = policy.in_force(house.policies, local_day(now), matter["district"])
    decided = policy.decide(current, facts)
    if policy.LADDER[decided.track] <= policy.LADDER[matter["track"]]:
        return False
    # Another bureau's is told at the desk, which alone may send it there.
    elsewhere = (matter["state"] in _ELSEWHERE and cause == "incident_grew") or last["rule"] == jurisdiction.OUTSIDE
    if elsewhere or await work.leased(connection, matter["id"]):
        flagged = await work.flag(connection, matter["id"], f"{cause}:{decided.track}", actor, dict(evidence))
        if flagged:
            await deliveries.announce(connection, [(matter["id"], "matter.flagged", {"cause": cause, "proposed": decided.track})])
        return flagged
    reason = {"text": _REASONS[cause], "legal_basis": decided.reasons[0]["legal_basis"]}
    await cases.decide_again(
        connection,
        {
            "id": new_id(), "matter_id": matter["id"], "kind": "reroute", "decided_at": now, "actor": actor, "track": decided.track,
            "rule": decided.rule, "reasons": [reason, *decided.reasons], "facts": facts.as_json(), "evidence": {"cause": cause, **evidence},
            "alternative": decided.alternative, "sign": decided.sign, "policy_hash": current.hash, "law": last["law"],
            "parameters": last["parameters"],
        },
        gates=decided.gates,
        left=decided.left,
    )  # fmt: skip
    await cases.remark(connection, matter["id"], cause, actor=actor, at=now, note=reason["text"])
    await place(connection, matter, decided.track, facts, actor)
    await deliveries.announce(connection, [(matter["id"], "matter.rerouted", {"track": decided.track, "cause": cause})])
    return True


async def place(connection: Connection, matter: Any, track: str, facts: Facts, actor: str) -> bool:
    """The matter's work where its track, its facts and its clocks put it now. False: it never had any."""
    rank, due_at = priority(facts, track), await cases.next_due(connection, matter["id"])
    urgent_at = work.urgent_at(due_at, matter["received_at"], rank)
    return await work.reroute(connection, matter["id"], track, actor, priority=rank, due_at=due_at, urgent_at=urgent_at)


_REASONS = {
    "incident_grew": "同一事件的投诉人数或危害达到门槛，重新建议分流",
    "gate_failed": "前提条件未满足，重新建议分流",
    "term_ran_out": "限期内未能解决，重新建议分流",
}  # fmt: skip


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
SELECT m.id, m.track, c.key, c.started_at, c.due_on FROM clock c JOIN matter m ON m.id = c.matter_id
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
    days = policy.in_force(house.policies, today, house.settings.jurisdiction).thresholds.get("mediate.fallback", 45)
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            _RUN_OUT, sorted(cases.CLOSED), today + timedelta(days=14), today, now - timedelta(days=days), limit
        )
    touched = 0
    for row in rows:
        if row["key"] == "complaint.accept" and today < _settled_by(house, local_day(row["started_at"]), row["due_on"]):
            continue
        async with house.database.transaction() as connection:
            matter = await cases.hold(connection, row["id"])
            if matter["track"] != row["track"] or matter["state"] in cases.CLOSED:
                continue
            if matter["state"] == "settling":
                matter = await _end_settling(connection, matter, now)
            evidence = {"track": row["track"], "term": row["key"], "due_on": row["due_on"].isoformat()}
            touched += await decide_anew(
                house, connection, matter, {"failed_track": row["track"]}, cause="term_ran_out", evidence=evidence, now=now
            )
    return touched


async def _end_settling(connection: Connection, matter: Any, now: datetime) -> Any:
    """What was with an ODR enterprise is the bureau's again: to be accepted, or accepted as it was."""
    accepted = (await cases.gates_of(connection, matter["id"])).get("accepted") == "passed"
    await cases.move(
        connection, matter["id"], "accepted" if accepted else "pending_acceptance", actor="worker", at=now, note=_REASONS["term_ran_out"]
    )  # fmt: skip
    await clocks.stop_clocks(connection, matter["id"], at=now, by="term_ran_out", key="odr.settle", actor="worker")
    return await cases.hold(connection, matter["id"])


def _settled_by(house: House, received_on: date, accept_due: date) -> date:
    """The day on which settlement online must have come about, so that the bureau can still decide on acceptance."""
    return calendar.due(house.calendar, "odr.settle", received_on, mode=house.settings.due_mode, before=accept_due).due_on
