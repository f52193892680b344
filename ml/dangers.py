"""Danger signals: candidates by word and by pattern, each judged where it stands.

Words and patterns are broad (artifacts/lexicon.json): they propose. A small linear model, learned from texts in which
people marked the dangers, decides from the words around whether a proposal is meant (住在医院对面, 跳楼价, 我妈陪我去).
What is denied or only feared is none; what is only heard is low.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from pathlib import Path

from ml.lexicon import Hit, stance

TYPES = (
    "injury", "death", "food_poisoning", "food_safety", "drug_safety", "product_safety", "special_equipment", "minor", "elderly",
    "pregnant", "self_harm", "poison", "explosion", "group_action", "media", "merchant_vanished", "prepaid_run",
)  # fmt: skip
SEVERITIES = ("low", "medium", "high")
MAX_OF_TYPE = 40  # who says a word six thousand times must not make everybody wait


@dataclass(frozen=True, slots=True)
class Danger:
    """A danger said at [start, end). probability: that it is meant. stance: '' or 'heard'."""

    type: str
    severity: str
    start: int
    end: int
    word: str
    probability: float
    stance: str


@dataclass(frozen=True, slots=True)
class Candidate:
    type: str
    severity: str
    start: int
    end: int
    cue: str


@dataclass(frozen=True, slots=True)
class _Pattern:
    """trigger: one of these must stand in the text before the expression is tried at all."""

    type: str
    severity: str
    triggers: frozenset[str]
    expression: re.Pattern[str]


@lru_cache(maxsize=1)
def _patterns() -> list[_Pattern]:
    raw = json.loads((files("ml") / "artifacts" / "lexicon.json").read_text("utf-8"))["danger_patterns"]
    return [_Pattern(p["type"], p["severity"], frozenset(p["triggers"]), re.compile(p["expression"])) for p in raw]


def candidates(text: str, hits: Sequence[Hit]) -> list[Candidate]:
    """Everything that may be a danger, the first MAX_OF_TYPE of each type; of one type the longest where spans overlap,
    the graver where they are equal."""
    by_type: dict[str, list[Candidate]] = {}
    for hit in hits:
        if hit.category == "dangers":
            by_type.setdefault(hit.name, []).append(Candidate(hit.name, hit.severity, hit.start, hit.end, hit.word))
    characters = set(text)
    for number, pattern in enumerate(_patterns()):
        if not pattern.triggers.isdisjoint(characters):
            by_type.setdefault(pattern.type, []).extend(
                Candidate(pattern.type, pattern.severity, m.start(), m.end(), f"#{number}")
                for m in islice(pattern.expression.finditer(text), MAX_OF_TYPE)
            )
    harmless = bytearray(len(text))
    for hit in hits:
        if hit.category == "harmless":
            harmless[hit.start : hit.end] = b"\x01" * (hit.end - hit.start)
    kept: list[Candidate] = []
    for found in by_type.values():
        own: list[Candidate] = []
        first = sorted(found, key=lambda c: c.start)[:MAX_OF_TYPE]
        for one in sorted(first, key=lambda c: (c.start - c.end, -SEVERITIES.index(c.severity), c.start)):
            if not all(harmless[one.start : one.end]) and not any(k.start < one.end and one.start < k.end for k in own):
                own.append(one)
        kept += own
    return sorted(kept, key=lambda c: (c.start, c.type))


def features(text: str, candidate: Candidate, stood: str, context: Sequence[str], same: int) -> list[str]:
    """What the judge sees of a candidate: its cue, the characters and the clause around it, what the whole text speaks
    of (context) and how many candidates of the type stand in it (same)."""
    kind, start, end = candidate.type, candidate.start, candidate.end
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    found = [
        kind,
        f"{kind}={candidate.cue}",
        f"{kind}!{candidate.severity}",
        f"?{stood}",
        f"{kind}?{stood}",
        f"{kind}n{min(same, 3)}",
    ]
    for size in (1, 2, 3, 4):
        if len(before) >= size:
            found += (f"{kind}<|{before[-size:]}", f"<|{before[-size:]}")
        if len(after) >= size:
            found += (f"{kind}>|{after[:size]}", f">|{after[:size]}")
    clause = (_CLAUSE.split(text[max(0, start - _FAR) : start])[-1], _CLAUSE.split(text[end : end + _FAR], 1)[0])
    for side, part in zip("[]i", (*clause, text[start:end]), strict=True):
        found += [f"{kind}{side}{c}" for c in part]
        for place in range(len(part) - 1):
            pair = part[place : place + 2]
            found += (f"{kind}{side}{pair}", f"{side}{pair}")
    return found + [f"{kind}@{c}" for c in context if c.startswith(_TELLING)]


_NEAR, _FAR = 8, 20
_CERTAIN = 0.85
_CLAUSE = re.compile(r"[,。;!?\n:、]")
_TELLING = ("danger:", "kinds:", "hints:")


@dataclass(frozen=True, slots=True)
class Judge:
    """A logistic regression as a plain table: feature -> weight. threshold: below it a candidate is dropped."""

    version: str
    weights: Mapping[str, float]
    intercept: float
    threshold: float

    def probability(self, seen: Sequence[str]) -> float:
        known = [w for f in set(seen) if (w := self.weights.get(f)) is not None]
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, self.intercept + sum(known)))))


def load_judge(path: Path) -> Judge:
    raw = json.loads(path.read_text("utf-8"))
    return Judge(raw["version"], raw["weights"], raw["intercept"], raw["threshold"])


def save_judge(judge: Judge, path: Path) -> None:
    raw = {"version": judge.version, "intercept": judge.intercept, "threshold": judge.threshold, "weights": dict(judge.weights)}
    path.write_text(json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


def find_dangers(text: str, proposed: Sequence[Candidate], judge: Judge, context: Sequence[str]) -> list[Danger]:
    """Of the candidates of a text those that are meant, in order: of each type the clearest, and others only where they
    are nearly certain."""
    found: list[Danger] = []
    same = Counter(c.type for c in proposed)
    for one in proposed:
        stood = stance(text, one.start, one.end)
        if stood in ("denied", "feared"):
            continue
        probability = judge.probability(features(text, one, stood, context, same[one.type]))
        if probability >= judge.threshold:
            severity = "low" if stood == "heard" else one.severity
            found.append(Danger(one.type, severity, one.start, one.end, text[one.start : one.end], round(probability, 3), stood))
    clearest: dict[str, Danger] = {}
    for danger in found:
        if danger.type not in clearest or danger.probability > clearest[danger.type].probability:
            clearest[danger.type] = danger
    return [d for d in found if d is clearest[d.type] or d.probability >= _CERTAIN]
