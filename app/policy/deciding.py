"""One fact sheet, one track."""

from collections.abc import Mapping
from typing import Any

from app.errors import Invalid
from app.policy.language import CAUSES, TERMINATE, TRACK_LABELS, Decided, Facts, Gate, Policy, Row


def decide(policy: Policy, facts: Facts) -> Decided:
    """Total and deterministic: every fact sheet gets exactly one track."""
    row = match(policy, facts)
    reasons = [row.said]
    left: list[tuple[str, Gate]] = []
    track = row.track
    while (
        (why := _stopped(policy, track, facts))
        and (down := policy.fallbacks.get((track, "gate_failed")))
        and down.to != TERMINATE
    ):
        text = f"{TRACK_LABELS[track]}的前提未满足（{why['text']}），转为建议{TRACK_LABELS[down.to]}"
        reasons.append({**why, "text": text})
        left += [(track, gate) for gate in _gates(policy, track, facts) if gate.state == "failed"]
        track = down.to
    reasons += [note.said for note in policy.notes if _holds(note, facts)]
    down = policy.fallbacks.get((track, "gate_failed"))
    after = down.to if down and down.to != TERMINATE else None
    return Decided(track, row.id, reasons, _gates(policy, track, facts), after, row.sign, left)


def _gates(policy: Policy, track: str, facts: Facts) -> list[Gate]:
    """As the facts decide them; an exclusion that names a gate fails it, with its own reason."""
    failed = {x.fails.name: x.fails for x in policy.exclusions.get(track, ()) if x.fails is not None and _holds(x, facts)}
    return [
        failed.get(g.name) or g.states[None if g.fact is None else getattr(facts, g.fact)] for g in policy.gates.get(track, ())
    ]


def track_of(policy: Policy, facts: Facts) -> tuple[str, str]:
    """(track, rule) of `decide`, without its words: for the many of a back-test."""
    row = match(policy, facts)
    track = row.track
    while _stopped(policy, track, facts) and (down := policy.fallbacks.get((track, "gate_failed"))) and down.to != TERMINATE:
        track = down.to
    return track, row.id


def match(policy: Policy, facts: Facts) -> Row:
    for tests, row in policy.table.get(facts.lane) or policy.table["other"]:
        for value, test in tests:
            if not test(value(facts)):
                break
        else:
            return row
    raise AssertionError("the last row has no conditions")


def _holds(row: Row, facts: Facts) -> bool:
    for value, test in row.tests:  # noqa: SIM110 - a generator costs more than the tests
        if not test(value(facts)):
            return False
    return True


def _stopped(policy: Policy, track: str, facts: Facts) -> Mapping[str, Any] | None:
    """Why a track can't be proposed; None where it can."""
    for rule in policy.exclusions.get(track, ()):
        if _holds(rule, facts):
            return rule.said
    for gate in policy.gates.get(track, ()):
        if gate.fact is not None and getattr(facts, gate.fact) is False:
            return gate.said
    return None


def fallback(policy: Policy, track: str, cause: str) -> str | None:
    """The track a failure or the end of a term leads to. None: none is said, or only a person's termination is left
    (`policy.fallbacks` has its ground). Raises Invalid for a cause nobody knows."""
    if cause not in CAUSES:
        raise Invalid.field("cause", f"must be one of {', '.join(CAUSES)}")
    found = policy.fallbacks.get((track, cause))
    return found.to if found is not None and found.to != TERMINATE else None
