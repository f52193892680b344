"""Is this record one of this complainant's? Fellegi-Sunter in integer bits, with rules that forbid.

Two sets of tokens are compared: records, or what complainants have said so far. Each comparison gives the weight of its best
agreeing level, its disagreement where both sides speak and nothing agrees, and nothing where one side is silent. A value's
weight falls with the number of people known to hold it, so a phone of an agent or a common name says little.

Who has said many things agrees more easily by chance: a comparison's weight also falls with the number of values either side has
given, which keeps a large profile from drawing everybody in.

Two sums are kept. *weight* is against a stranger: log2 P(agreement | same) / P(agreement | another). *kin_weight* is against
somebody who shares the contact, a housemate or another client of the same agent: where a contact agrees and neither the full
name nor the identity number does, both sums must be high enough. Weights are integers in 1/1024 bit, so every engine that adds
them gets the same sum.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.tokens import Field

UNIT = 1024
SMALLEST = 12  # log2 of the smallest store that rates are taken from: fewer people say nothing about how rare a name is
MAX_OTHERS = 4095  # beyond it a value is as common as it gets


def mask_of(fields: Iterable[int]) -> int:
    """One bit per field: what a record speaks of, or what two agree in."""
    mask = 0
    for field in fields:
        mask |= 1 << field
    return mask


@dataclass(frozen=True, slots=True)
class Comparison:
    """levels: strongest first. speaks: both sides must hold one of these to disagree. given: counts only where one of these
    agrees. needs: counts only where both sides hold one of these; unless: only where they don't. shared: housemates and an agent's clients agree in it
    too, so it does not tell them apart. free: its values are counted; otherwise chance agreement is a trained number."""

    name: str
    levels: tuple[Field, ...]
    speaks: tuple[Field, ...]
    given: tuple[Field, ...] = ()
    needs: tuple[Field, ...] = ()
    unless: tuple[Field, ...] = ()
    shared: bool = False

    @property
    def free(self) -> bool:
        return not self.given


F = Field
COMPARISONS = (
    Comparison("id", (F.ID, F.ID_HEAD, F.ID_TAIL, F.ID_MASKED), (F.ID_HEAD,), needs=(F.ID_HEAD,)),
    Comparison("masked_id", (F.ID_MASKED,), (F.ID_MASKED,), unless=(F.ID_HEAD,)),
    Comparison("passport", (F.PASSPORT,), (F.PASSPORT,)),
    Comparison("phone", (F.PHONE, F.PHONE_MASKED), (F.PHONE,), needs=(F.PHONE,), shared=True),
    Comparison("masked_phone", (F.PHONE_MASKED,), (F.PHONE_MASKED,), unless=(F.PHONE,), shared=True),
    Comparison("name", (F.NAME, F.NAME_PINYIN, F.NAME_LESS_ONE), (F.NAME,), needs=(F.NAME,)),
    Comparison("masked_name", (F.NAME_MASKED, F.NAME_LESS_ONE), (F.NAME_MASKED,), unless=(F.NAME,)),
    Comparison("place", (F.PINYIN_DISTRICT, F.PINYIN_CITY), (F.PINYIN_DISTRICT,), given=(F.NAME, F.NAME_PINYIN), shared=True),
    Comparison("surname", (F.PHONE_SURNAME,), (F.PHONE_SURNAME,), given=(F.PHONE,), unless=(F.NAME,)),
    Comparison("masked_surname", (F.MASKED_PHONE_SURNAME,), (F.MASKED_PHONE_SURNAME,), given=(F.PHONE_MASKED,), unless=(F.PHONE,)),
    Comparison("openid", (F.OPENID,), (F.OPENID,)),
    Comparison("account", (F.ACCOUNT,), (F.ACCOUNT,)),
    Comparison("wechat", (F.WECHAT,), (F.WECHAT,)),
    Comparison("email", (F.EMAIL,), (F.EMAIL,)),
    Comparison("device", (F.DEVICE,), (F.DEVICE,), shared=True),
    Comparison("address", (F.ADDRESS,), (F.ADDRESS,), shared=True),
    Comparison("street", (F.STREET,), (F.STREET,), unless=(F.ADDRESS,), shared=True),
    # Files about people with names in letters.
    Comparison("forename", (F.FORENAME, F.FORENAME_NEAR), (F.FORENAME,)),
    Comparison("family_name", (F.SURNAME, F.SURNAME_NEAR), (F.SURNAME,)),
    Comparison("birth", (F.BIRTH, F.BIRTH_LESS_ONE), (F.BIRTH,)),
    Comparison("birth_place", (F.BIRTH_PLACE,), (F.BIRTH_PLACE,), unless=(F.POSTCODE,)),
    Comparison("postcode", (F.POSTCODE, F.POSTCODE_AREA), (F.POSTCODE,)),
    Comparison("occupation", (F.OCCUPATION,), (F.OCCUPATION,)),
    Comparison("gender", (F.GENDER,), (F.GENDER,)),
)  # fmt: skip
NUMBER = {c.name: number for number, c in enumerate(COMPARISONS)}

# What a household, an agent or a counter shares (Art. 17(4) speaks of phone and address).
CONTACT_FIELDS = (F.PHONE, F.PHONE_MASKED, F.ADDRESS, F.STREET, F.DEVICE, F.WECHAT, F.EMAIL, F.OPENID)
CONTACTS = mask_of(CONTACT_FIELDS)
IDENTITY = mask_of((F.NAME, F.ID, F.PASSPORT, F.ACCOUNT))
_SHARED = (F.PHONE, F.ADDRESS, F.DEVICE, F.WECHAT, F.EMAIL, F.OPENID)
_ID, _NAME, _PHONE, _PHONE_SURNAME = (1 << f for f in (F.ID, F.NAME, F.PHONE, F.PHONE_SURNAME))
NAME_ALIKE = mask_of((F.NAME, F.NAME_PINYIN, F.NAME_LESS_ONE))

# Who says this is told from others. Only such people count where a value's holders are counted: what a person has filed without
# a name would otherwise make his own phone look shared.
NAMED = mask_of((F.NAME, F.ID, F.PASSPORT, F.FORENAME))

# The fields whose values many hold: how many people hold one is kept count of. What is looked up by key is counted there.
COUNTED = frozenset({F.NAME, F.NAME_PINYIN, F.NAME_LESS_ONE, F.NAME_MASKED, F.PHONE_MASKED, F.STREET})


@dataclass(frozen=True, slots=True)
class Level:
    """pairs: how many pairs of one person's records trained it (0: none, m is the prior's). m: P(level | same person, both
    speak). kin: P(level | others who share a contact). chance: P(agreement | another person), of given comparisons only.
    unseen: what a value that nobody else holds counts as having held it."""

    m: float
    kin: float
    pairs: float
    chance: float | None = None
    unseen: float = 1.0


@dataclass(frozen=True, slots=True)
class Parameters:
    """What was trained, and the integers that follow from it.

    levels: (comparison, field or None for disagreement) -> Level. people: the size of the store they speak of. join_bits,
    kin_bits: what the two sums must reach. contacts: of the pairs that share such a contact, one person's. stale_days: longest silence over which a contact alone still joins.
    """

    version: str
    source: str
    people: int
    join_bits: float
    kin_bits: float
    stale_days: int
    contacts: Mapping[Field, float]
    levels: Mapping[tuple[str, Field | None], Level]

    def at(self, people: int) -> "Parameters":
        """For a store of that many people. In steps of a doubling, so that bits don't creep from day to day."""
        size = 1 << max(round(log2(max(people, 1))), SMALLEST)
        return replace(self, people=size, join_bits=self.join_bits + log2(size / self.people))


@dataclass(frozen=True, slots=True)
class _Weigher:
    """A field's part in one comparison. weight: of agreement, before rarity. rarity: by the number of other people who hold the
    value; None where chance agreement doesn't depend on the value."""

    comparison: int
    given: int
    needs: int
    unless: int
    weight: int
    kin: int
    rarity: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class _Silent:
    """What it costs when both speak and nothing agrees."""

    comparison: int
    speaks: int
    given: int
    unless: int
    weight: int
    kin: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """Parameters as integers. contacts: field number -> odds that who shares such a contact is one person, None for other fields.
    by_field: field number -> its parts."""

    version: str
    join: int
    kin: int
    stale_days: int
    contacts: tuple[int | None, ...]
    by_field: tuple[tuple[_Weigher, ...], ...]
    disagreements: tuple[_Silent, ...]


_STRONGEST, _WEAKEST = 10.0, -5.0  # a rare disagreement is also a slip, a borrowed phone, a form filled for somebody


@lru_cache(maxsize=128)
def _rarity(unseen: float) -> tuple[int, ...]:
    """1/1024 bit by which a value's weight falls, for 0, 1, ... others who hold it."""
    bits: npt.NDArray[np.float64] = np.log2(np.arange(MAX_OTHERS + 1) + unseen)
    return tuple(np.rint(bits * UNIT).astype(int).tolist())


LOG2 = _rarity(1.0)  # of 1, 2, ... in 1/1024 bit


def compiled(parameters: Parameters) -> Compiled:
    by_field: list[list[_Weigher]] = [[] for _ in range(64)]
    silent = []
    size = log2(parameters.people)
    for number, c in enumerate(COMPARISONS):
        given, needs, unless = mask_of(c.given), mask_of(c.needs), mask_of(c.unless)

        def kin(level: Level, shared: bool = c.shared) -> int:
            return 0 if shared else round(min(max(log2(level.m / level.kin), _WEAKEST), _STRONGEST) * UNIT)

        for field in c.levels:
            level = parameters.levels[c.name, field]
            against = size if level.chance is None else -log2(level.chance)
            rarity = _rarity(level.unseen) if c.free else None
            by_field[field].append(
                _Weigher(number, given, needs, unless, round((log2(level.m) + against) * UNIT), kin(level), rarity)
            )
        level = parameters.levels[c.name, None]
        silent.append(_Silent(number, mask_of(c.speaks), given, unless, round(max(log2(level.m), _WEAKEST) * UNIT), kin(level)))
    odds = {int(f): round(log2(share / (1 - share)) * UNIT) for f, share in parameters.contacts.items()}
    return Compiled(
        parameters.version, round(parameters.join_bits * UNIT), round(parameters.kin_bits * UNIT), parameters.stale_days,
        tuple(odds.get(f) for f in range(64)),
        tuple(tuple(w) for w in by_field), tuple(silent),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evidence:
    """weight: in 1/1024 bit. fields: comparison -> (level that agreed or 'disagree', weight). forbidden_by: the rule. kin_weight:
    against somebody who shares the contact, of people only. shared: fields of contacts that agree."""

    weight: int
    fields: dict[str, tuple[str, int]]
    forbidden_by: str | None
    joins: bool
    kin_weight: int | None = None
    shared: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "bits": round(self.weight / UNIT, 2),
            "fields": {k: {"level": lv, "bits": round(w / UNIT, 2)} for k, (lv, w) in self.fields.items()},
            "forbidden_by": self.forbidden_by,
            "joins": self.joins,
        }
        return told if self.kin_weight is None else told | {"kin_bits": round(self.kin_weight / UNIT, 2)}


NOBODY: Mapping[int, int] = {}


class Profile:
    """What a record or a complainant says. counts: field -> how many values of it. first_day, last_day: when, in days."""

    __slots__ = ("counts", "fields", "first_day", "id", "last_day", "tokens")

    def __init__(self, tokens: Iterable[int], *, key: Any = None, first_day: int = 0, last_day: int = 0) -> None:
        self.id = key
        self.tokens = frozenset(tokens)
        self.counts = Counter([t & 0x3F for t in self.tokens])
        self.fields = mask_of(self.counts)
        self.first_day, self.last_day = first_day, last_day

    @property
    def named(self) -> bool:
        return bool(self.fields & NAMED)

    def gap(self, other: "Profile") -> int:
        """Days of silence between the two; 0 where their times overlap."""
        return max(self.first_day - other.last_day, other.first_day - self.last_day, 0)


def compare(a: Profile, b: Profile, parameters: Compiled, people: Mapping[int, int] = NOBODY, *, counted: int = 0) -> Evidence:
    """Symmetric. people: token -> how many named people hold it; absent is none. counted: how many of these two are among them."""
    common = a.tokens & b.tokens
    both = a.fields & b.fields
    agreed = mask_of({t & 0x3F for t in common})
    best: dict[int, tuple[int, int, int]] = {}  # comparison -> (weight, kin, field)
    odds: int | None = None  # of the contact that says most: whose is it, known how many people have it?
    for token in common:
        field = token & 0x3F
        count = min(max(people.get(token, 0) - counted, 0), MAX_OTHERS)
        if (prior := parameters.contacts[field]) is not None and (odds is None or prior - LOG2[count] > odds):
            odds = prior - LOG2[count]
        for part in parameters.by_field[field]:
            if (part.given and not part.given & agreed) or (part.needs and not part.needs & both) or part.unless & both:
                continue
            weight = part.weight - part.rarity[count] if part.rarity is not None else part.weight
            held = best.get(part.comparison)
            # Tokens come in no order, so the tie must not depend on it.
            if held is None or (weight, part.kin, -field) > (held[0], held[1], -held[2]):
                best[part.comparison] = weight, part.kin, field
    total, kin_total = 0, odds or 0
    fields: dict[str, tuple[str, int]] = {}
    for number, (weight, kin, field) in sorted(best.items()):
        said = COMPARISONS[number].speaks[0]
        many = LOG2[min(max(a.counts[said], 1) - 1, MAX_OTHERS)] + LOG2[min(max(b.counts[said], 1) - 1, MAX_OTHERS)]
        total, kin_total = total + weight - many, kin_total + kin
        fields[COMPARISONS[number].name] = (Field(field).name.lower(), weight - many)
    for s in parameters.disagreements:
        if s.comparison in best or not s.speaks & both or (s.given and not s.given & agreed) or s.unless & both:
            continue
        total, kin_total = total + s.weight, kin_total + s.kin
        fields[COMPARISONS[s.comparison].name] = ("disagree", s.weight)
    forbidden = forbids(agreed, both, kin_total, parameters, a.gap(b)) if common else None
    shared = tuple(f.name.lower() for f in _SHARED if agreed >> f & 1)
    return Evidence(total, fields, forbidden, forbidden is None and total >= parameters.join, kin_total, shared)


def conflicts(agreed: int, both: int) -> str | None:
    """Contradictions that no sum outweighs. Chains through shared phones are most of the error without them."""
    if both & _ID and not agreed & _ID:
        return "different_id"
    if both & _NAME and not agreed & (NAME_ALIKE | _ID):
        return "different_name"
    if agreed & _PHONE and both & _PHONE_SURNAME and not agreed & (_PHONE_SURNAME | NAME_ALIKE | _ID):
        return "different_surname"  # 王先生 and 李女士 on one phone: neither is a full name, still two people
    return None


def forbids(agreed: int, both: int, kin_weight: int, parameters: Compiled, gap_days: int) -> str | None:
    """The rule that forbids the join, or None."""
    if found := conflicts(agreed, both):
        return found
    if agreed & CONTACTS and not agreed & IDENTITY:
        if kin_weight < parameters.kin:
            return "housemate"
        if gap_days > parameters.stale_days and not agreed & NAME_ALIKE:
            return "stale_contact"  # numbers are given to somebody else
    return None


def decide(
    record: Profile, profiles: Sequence[Profile], parameters: Compiled, people: Mapping[int, int]
) -> list[tuple[Profile, Evidence]]:
    """Every profile with its evidence: those that may be joined first, then the strongest first; of equals the smaller id, so
    equal input gives equal output. people: token -> how many named complainants of the store hold it."""
    scored = [(profile, compare(record, profile, parameters, people, counted=profile.named)) for profile in profiles]
    scored.sort(key=lambda item: (not item[1].joins, -item[1].weight, str(item[0].id)))
    return scored


def is_one(a: Profile, b: Profile, parameters: Compiled, people: Mapping[int, int]) -> Evidence:
    """Two complainants compared as wholes: a record that fits both may have shown that they are one."""
    return compare(a, b, parameters, people, counted=a.named + b.named)


# -- parameters as readable JSON


def to_json(parameters: Parameters) -> dict[str, Any]:
    """With the bits each level comes to where nobody else holds the value."""
    comparisons: dict[str, Any] = {}
    for c in COMPARISONS:
        rows = {}
        for field in (*c.levels, None):
            level = parameters.levels[c.name, field]
            row: dict[str, Any] = {"m": round(level.m, 6), "kin": round(level.kin, 6), "pairs": round(level.pairs, 1)}
            if field is not None:
                against = level.unseen / parameters.people if level.chance is None else level.chance
                row |= {"chance": round(level.chance, 6)} if level.chance is not None else {"unseen": round(level.unseen, 4)}
                row["bits"] = round(log2(level.m / against), 2)
            rows[field.name if field is not None else "disagree"] = row
        comparisons[c.name] = rows
    return {
        "version": parameters.version, "source": parameters.source, "people": parameters.people, "join_bits": round(parameters.join_bits, 3),
        "kin_bits": parameters.kin_bits, "stale_days": parameters.stale_days, "contacts": {f.name: round(p, 4) for f, p in parameters.contacts.items()}, "comparisons": comparisons,
    }  # fmt: skip


def from_json(raw: Mapping[str, Any]) -> Parameters:
    """Raises KeyError for a comparison or level that is missing: nothing is defaulted in silence."""
    levels = {}
    for c in COMPARISONS:
        rows = raw["comparisons"][c.name]
        for field in (*c.levels, None):
            row = rows[field.name if field is not None else "disagree"]
            levels[c.name, field] = Level(row["m"], row["kin"], row["pairs"], row.get("chance"), row.get("unseen", 1.0))
    return Parameters(
        raw["version"], raw["source"], raw["people"], raw["join_bits"], raw["kin_bits"], raw["stale_days"],
        {Field[name]: share for name, share in raw["contacts"].items()}, levels,
    )  # fmt: skip


def load(path: Path) -> Parameters:
    return from_json(json.loads(path.read_text("utf-8")))


@lru_cache(maxsize=1)
def shipped_parameters() -> Parameters:
    return from_json(json.loads((files("ml") / "artifacts" / "linkage.json").read_text("utf-8")))
