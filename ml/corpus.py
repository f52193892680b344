"""Marked texts: complaints in which people marked what a reader should find. Offline: training, tests, benches.

One JSON object a line: {id, day, style, text, kind, goods, problem, demands, punitive, department, facts: [{type, value,
span}], dangers: [{type, severity, span}]}; spans are [start, end) in code points of the text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml.facts import Fact


@dataclass(frozen=True, slots=True)
class MarkedDanger:
    type: str
    severity: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Marked:
    id: str
    day: date
    style: str
    text: str
    kind: str
    goods: str | None
    problem: str | None
    demands: tuple[str, ...]
    punitive: str | None
    department: str | None
    facts: tuple[Fact, ...]
    dangers: tuple[MarkedDanger, ...]
    # False: only the classes are marked; such a text teaches the classifier alone.
    spans: bool = True


def load(files: Sequence[Path]) -> list[Marked]:
    return [_marked(json.loads(line)) for file in files for line in file.read_text("utf-8").splitlines() if line]


def _marked(raw: Mapping[str, Any]) -> Marked:
    return Marked(
        raw["id"], date.fromisoformat(raw["day"]), raw["style"], raw["text"], raw["kind"], raw["goods"], raw["problem"],
        tuple(raw["demands"]), raw["punitive"], raw["department"],
        tuple(Fact(f["type"], f["span"][0], f["span"][1], f["value"]) for f in raw["facts"]),
        tuple(MarkedDanger(d["type"], d["severity"], *d["span"]) for d in raw["dangers"]), raw.get("spans", True),
    )  # fmt: skip
