"""Does this matter belong to that incident? The same arithmetic as for people: integer bits, rules that forbid.

An incident is a merchant or place x a matter x a span of time. Its profile counts what its members say: issues,
districts, products, places, lots and weighed terms.
"""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ml.linkage import UNIT, Evidence

PARAMETERS_VERSION = "incidents-1"
PROFILE_TERMS = 80
KEY_TERMS = 8
KEY_WEIGHT_CAP = 16.0
NAME_BONUS = 4.0

# Longest silence after which a matter no longer belongs, by scope; places and frauds go on longer than shops.
IDLE_GAP_DAYS = {"merchant": 45, "lot": 120, "place": 100}

_THRESHOLD = 8
_TEXT_LEVELS = ((0.55, 11), (0.40, 10), (0.30, 9), (0.22, 8), (0.16, 6), (0.10, 3), (0.05, 0), (0.0, -4))


@dataclass(frozen=True, slots=True)
class Features:
    """Of one matter. terms: keyed term -> weight in bits. issues: from the reading, most telling first."""

    at: datetime
    merchant: Hashable | None = None
    # False: only read from the text, where a company may be named in passing.
    merchant_stated: bool = True
    issues: tuple[str, ...] = ()
    district: str | None = None
    product: int | None = None
    lot: int | None = None
    places: tuple[int, ...] = ()
    terms: Mapping[int, float] = field(default_factory=dict)
    # Those of the terms that no dictionary knows: brands and places.
    names: frozenset[int] = frozenset()


@dataclass(slots=True)
class Profile:
    """Of one incident: counts over its members. Plain dictionaries: profiles are decoded by the dozen for every matter.
    weights: the latest weight of each term; norm: length of the term vector, kept up by trim()."""

    first_at: datetime
    last_at: datetime
    size: int = 0
    merchants: dict[Hashable, int] = field(default_factory=dict)
    mentioned: dict[Hashable, int] = field(default_factory=dict)
    issues: dict[str, int] = field(default_factory=dict)
    districts: dict[str, int] = field(default_factory=dict)
    products: dict[int, int] = field(default_factory=dict)
    lots: set[int] = field(default_factory=set)
    places: dict[int, int] = field(default_factory=dict)
    terms: dict[int, int] = field(default_factory=dict)
    weights: dict[int, float] = field(default_factory=dict)
    norm: float = 0.0

    @property
    def scope(self) -> str:
        return "lot" if self.lots else "merchant" if self.merchants else "place"

    def absorb(self, member: Features) -> None:
        self.size += 1
        self.first_at, self.last_at = min(self.first_at, member.at), max(self.last_at, member.at)
        if member.merchant is not None:
            _count(self.merchants if member.merchant_stated else self.mentioned, (member.merchant,))
        _count(self.issues, member.issues)
        if member.district:
            _count(self.districts, (member.district,))
        if member.product is not None:
            _count(self.products, (member.product,))
        if member.lot is not None:
            self.lots.add(member.lot)
        _count(self.places, member.places)
        _count(self.terms, member.terms)
        self.weights.update(member.terms)
        self.trim()

    def trim(self) -> None:
        """Keeps the terms that tell most (count x weight): the wording of a long incident may drift."""
        if len(self.terms) > PROFILE_TERMS:
            order = sorted(self.terms, key=lambda t: -self.terms[t] * self.weights[t])
            for term in order[PROFILE_TERMS:]:
                del self.terms[term], self.weights[term]
        self.norm = math.sqrt(sum((self.weights[t] * n) ** 2 for t, n in self.terms.items()))


def _count(counts: dict[Any, int], keys: Iterable[Any]) -> None:
    for key in keys:
        counts[key] = counts.get(key, 0) + 1


def open_profile(member: Features) -> Profile:
    profile = Profile(first_at=member.at, last_at=member.at)
    profile.absorb(member)
    return profile


def similarity(member: Mapping[int, float], profile: Profile) -> float:
    """Cosine of a matter's weighed terms with the members' mean, in 0..1."""
    if not member or not profile.norm:
        return 0.0
    counts, weights = profile.terms, profile.weights
    dot = sum(w * weights[t] * counts[t] for t, w in member.items() if t in counts)
    return dot / (math.sqrt(sum(w * w for w in member.values())) * profile.norm) if dot else 0.0


def compare(matter: Features, profile: Profile) -> Evidence:
    fields: dict[str, tuple[str, int]] = {}

    def give(name: str, level: str, bits: float) -> None:
        fields[name] = (level, round(bits * UNIT))

    forbidden: str | None = None
    same_lot = matter.lot is not None and matter.lot in profile.lots
    if same_lot:
        give("lot", "lot", 12)
    elif matter.lot is not None and profile.lots:
        forbidden = "different_lot"

    same_merchant = matter.merchant is not None and (matter.merchant in profile.merchants or matter.merchant in profile.mentioned)
    if same_merchant:
        give("merchant", "merchant", 9)
    elif matter.merchant is not None and profile.merchants:
        give("merchant", "disagree", -9 if matter.merchant_stated else -2)
        if matter.merchant_stated and not same_lot:
            forbidden = forbidden or "different_merchant"

    if matter.issues and profile.issues:
        main = max(profile.issues.values())
        shared = [i for i in matter.issues if profile.issues.get(i, 0) * 3 >= main]
        give("issue", "issue", 4) if shared else give("issue", "disagree", -7)

    cosine = similarity(matter.terms, profile)
    level, bits = next((f"{floor:.2f}", bits) for floor, bits in _TEXT_LEVELS if cosine >= floor)
    if same_merchant:  # its name is in every text about it: likeness says less, and an issue that agrees says more
        bits = min(bits, 4)
        if shared_issue(matter, profile):
            bits = max(bits, 0)
    give("text", level, bits)

    same_place = bool(set(matter.places) & set(profile.places))
    if not same_merchant:
        named = _shared_names(matter, profile)
        if named:
            give("name", f"{named} terms", min(2 * named, 4))
        elif not (same_place or same_lot):
            # Complaints about one kind of thing sound alike everywhere: wording alone is no identity.
            forbidden = forbidden or "nothing_named"
    if matter.product is not None and profile.products:
        give("product", "product", 2) if matter.product in profile.products else give("product", "disagree", -1)
    if same_place:
        give("place", "place", 4 if shared_issue(matter, profile) else 3)
    if matter.district and profile.districts:
        if matter.district in profile.districts:
            give("district", "district", 1)
        else:  # a chain's customers live anywhere; without the merchant's name the place is the identity
            give("district", "disagree", -1 if same_merchant else -5)

    gap_days = max((matter.at - profile.last_at).total_seconds(), (profile.first_at - matter.at).total_seconds(), 0) / 86400
    idle = IDLE_GAP_DAYS[profile.scope]
    if gap_days > idle:
        forbidden = forbidden or "idle_too_long"
    give("gap", f"{int(gap_days)}d", -4.0 * gap_days / idle)

    total = sum(w for _, w in fields.values())
    return Evidence(total, fields, forbidden, forbidden is None and total >= _THRESHOLD * UNIT)


def _shared_names(matter: Features, profile: Profile) -> int:
    """Names that a third of the members use, and this matter too: what the incident goes by (丽发新城, 58车贷)."""
    return sum(1 for t in matter.names if profile.terms.get(t, 0) * 3 >= profile.size)


def shared_issue(matter: Features, profile: Profile) -> bool:
    return any(i in profile.issues for i in matter.issues)


def assign(matter: Features, profiles: Mapping[Any, Profile]) -> tuple[Any | None, list[tuple[Any, Evidence]]]:
    """The incident to join (None: open a new one) and every candidate with its evidence, strongest first."""
    scored = [(key, compare(matter, profile)) for key, profile in profiles.items()]
    scored.sort(key=lambda item: (not item[1].joins, -item[1].weight, str(item[0])))
    return (scored[0][0] if scored and scored[0][1].joins else None), scored


def key_terms(terms: Mapping[int, float], names: frozenset[int] = frozenset()) -> list[int]:
    """The terms worth looking others up by: names, and what is rare and emphasised. Weight is capped, or misspellings
    that nobody shares would take every place. Ties go to what is said first, whatever the key makes of it."""
    return sorted(terms, key=lambda t: -(min(terms[t], KEY_WEIGHT_CAP) + (NAME_BONUS if t in names else 0)))[:KEY_TERMS]
