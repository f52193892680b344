"""Scorecards: a weight in bits for each level of each field, learned from made-up pairs whose truth is known.

The sum of the weights and the prior is the log-odds that two belong together. Where levels have an order (a longer silence, more
alike words) the weights keep it whatever the sample says: a rule that a reader can't explain to a citizen is not learned.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.linkage import UNIT

Levels = Mapping[str, str]
# Orders of levels, weakest first, by field: "text": (("same:0", "same:1"), ("other:0", "other:1")).
Orders = Mapping[str, Sequence[Sequence[str]]]

RIDGE = 2.0


@dataclass(frozen=True, slots=True)
class Scorecard:
    """weights: field -> level -> weight in 1/1024 bit; a level that was never seen weighs nothing. prior: of two of which nothing is
    known. threshold: log-odds from which on two belong together, for each purpose."""

    version: str
    source: str
    prior: int
    threshold: int
    weights: Mapping[str, Mapping[str, int]]

    def weigh(self, levels: Levels) -> tuple[dict[str, tuple[str, int]], int]:
        """(level and weight of each field, the log-odds that they make)"""
        fields: dict[str, tuple[str, int]] = {}
        total = self.prior
        for name, level in levels.items():
            weight = self.weights[name].get(level, 0) if name in self.weights else 0
            fields[name] = level, weight
            total += weight
        return fields, total

    def to_json(self) -> str:
        bits = {name: {level: w / UNIT for level, w in sorted(levels.items())} for name, levels in sorted(self.weights.items())}
        raw = {
            "version": self.version, "source": self.source, "prior_bits": self.prior / UNIT,
            "threshold_bits": self.threshold / UNIT, "weights_bits": bits,
        }  # fmt: skip
        return json.dumps(raw, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Scorecard":
        raw = json.loads(text)
        weights = {
            name: {level: round(bits * UNIT) for level, bits in levels.items()} for name, levels in raw["weights_bits"].items()
        }
        return cls(raw["version"], raw["source"], round(raw["prior_bits"] * UNIT), round(raw["threshold_bits"] * UNIT), weights)

    @classmethod
    def load(cls, file: Path) -> "Scorecard":
        return cls.from_json(file.read_text("utf-8"))


def learn(
    samples: Sequence[tuple[Levels, bool]], orders: Orders, *, version: str, source: str, threshold_bits: float
) -> Scorecard:  # fmt: skip
    """Logistic regression on the levels, with a ridge that pulls what is rare towards nothing said. An ordered level is the one
    before it and a step that is never negative."""
    import numpy as np
    from scipy import sparse
    from scipy.optimize import minimize
    from scipy.special import expit

    columns: dict[tuple[str, str], list[int]] = {}
    bounds: list[tuple[float | None, float | None]] = [(None, None)]
    for name, chains in orders.items():
        for chain in chains:
            steps: list[int] = []
            for number, level in enumerate(chain):
                steps.append(len(bounds))
                bounds.append((0.0, None) if number else (None, None))
                columns[name, level] = list(steps)
    rows: list[int] = []
    cells: list[int] = []
    for row, (levels, _) in enumerate(samples):
        rows.append(row)
        cells.append(0)
        for key in levels.items():
            if key not in columns:
                columns[key] = [len(bounds)]
                bounds.append((None, None))
            rows += [row] * len(columns[key])
            cells += columns[key]
    x = sparse.csr_matrix((np.ones(len(rows)), (rows, cells)), shape=(len(samples), len(bounds)))
    y = np.array([same for _, same in samples], dtype=np.float64)
    ridge = np.full(len(bounds), RIDGE)
    ridge[0] = 0.0

    def loss(w: Any) -> tuple[float, Any]:
        z = x @ w
        value = float(np.sum(np.logaddexp(0, z) - y * z) + 0.5 * np.sum(ridge * w * w))
        return value, x.T @ (expit(z) - y) + ridge * w

    found = minimize(
        loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}
    ).x / math.log(2)
    weights: dict[str, dict[str, int]] = {}
    for (name, level), places in columns.items():
        weights.setdefault(name, {})[level] = round(float(sum(found[p] for p in places)) * UNIT)
    return Scorecard(version, source, round(float(found[0]) * UNIT), round(threshold_bits * UNIT), weights)
