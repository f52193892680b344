"""Is this record one of this complainant's? Fellegi-Sunter in integer bits, with rules that forbid.

A record is compared with a complainant's accumulated tokens. Each field gives the weight of its best agreeing level,
its disagreement weight when both sides hold a value and none agrees, and nothing when one side is silent. Weights
are integers in 1/1024 bit, so every engine that adds them gets the same sum.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ml.tokens import Field, field_of

UNIT = 1024


@dataclass(frozen=True, slots=True)
class Parameters:
    """levels: field group -> its levels, strongest first. disagree: weight when both sides speak and none agrees.
    All weights in 1/1024 bit."""

    version: str
    threshold: int
    levels: dict[str, tuple[tuple[Field, int], ...]]
    disagree: dict[str, int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """weight in 1/1024 bit; fields: group -> (level that agreed or 'disagree', weight); forbidden_by: conflict rule."""

    weight: int
    fields: dict[str, tuple[str, int]]
    forbidden_by: str | None
    joins: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "bits": round(self.weight / UNIT, 2),
            "fields": {k: {"level": lv, "bits": round(w / UNIT, 2)} for k, (lv, w) in self.fields.items()},
            "forbidden_by": self.forbidden_by,
            "joins": self.joins,
        }


@lru_cache(maxsize=1)
def shipped_parameters() -> Parameters:
    raw = json.loads((files("ml") / "artifacts" / "linkage.json").read_text("utf-8"))
    return Parameters(
        version=raw["version"],
        threshold=round(raw["threshold_bits"] * UNIT),
        levels={
            group: tuple((Field[level], round(bits * UNIT)) for level, bits in spec["levels"].items())
            for group, spec in raw["fields"].items()
        },
        disagree={group: round(spec["disagree"] * UNIT) for group, spec in raw["fields"].items()},
    )


def compare(record: Iterable[int], profile: Iterable[int], parameters: Parameters) -> Evidence:
    """Symmetric in its two token sets; a field absent on either side adds 0."""
    a, b = set(record), set(profile)
    agreeing = {field_of(t) for t in a & b}
    spoken_a, spoken_b = {field_of(t) for t in a}, {field_of(t) for t in b}
    total = 0
    fields: dict[str, tuple[str, int]] = {}
    for group, levels in parameters.levels.items():
        members = {field for field, _ in levels}
        for field, bits in levels:
            if field in agreeing:
                fields[group] = (field.name.lower(), bits)
                total += bits
                break
        else:
            # A level speaks against only where both sides hold it: a masked phone can't contradict a mail address.
            if members & spoken_a & spoken_b:
                fields[group] = ("disagree", parameters.disagree[group])
                total += parameters.disagree[group]
    forbidden = _conflict(agreeing, spoken_a, spoken_b)
    return Evidence(total, fields, forbidden, forbidden is None and total >= parameters.threshold)


def _conflict(agreeing: set[Field], a: set[Field], b: set[Field]) -> str | None:
    """Contradictions that no sum outweighs. Chains through shared phones are most of the error without them."""
    if Field.ID in a and Field.ID in b and Field.ID not in agreeing:
        return "different_id"
    if Field.NAME in a and Field.NAME in b and not agreeing & {Field.NAME, Field.NAME_PINYIN, Field.NAME_LESS_ONE, Field.ID}:
        return "different_name"
    shared_phone = Field.PHONE in agreeing and not agreeing & {Field.NAME, Field.NAME_PINYIN, Field.NAME_LESS_ONE}
    if shared_phone and Field.PHONE_SURNAME in a and Field.PHONE_SURNAME in b and Field.PHONE_SURNAME not in agreeing:
        return "different_surname"  # 王先生 and 李女士 on one phone: neither is a full name, still two people
    return None


def best(
    record: Sequence[int], profiles: dict[Any, Sequence[int]], parameters: Parameters
) -> tuple[Any | None, list[tuple[Any, Evidence]]]:
    """The profile to join (None: nobody) and every candidate with its evidence, strongest first. Ties go to the
    smaller id, so equal input gives equal output."""
    scored = [(key, compare(record, tokens, parameters)) for key, tokens in profiles.items()]
    scored.sort(key=lambda item: (not item[1].joins, -item[1].weight, str(item[0])))
    winner = scored[0][0] if scored and scored[0][1].joins else None
    return winner, scored
