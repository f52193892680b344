"""Does this matter belong to that incident? Levels per field, weights in bits, rules that forbid.

An incident is a merchant, a shop of it, a product lot or a place x a matter x a span of time. Its profile counts what its members
say. A new member is weighed against the profile as a whole, so a group that shares nothing as a whole can't grow by a chain of
likenesses.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ml.linkage import Evidence
from ml.scorecards import Orders, Scorecard

# Log-odds from which a matter joins: a shade under even, for those who come after are weighed against a fuller profile.
THRESHOLD_BITS = -0.5
PROFILE_TERMS = 80
PROFILE_NAMES = 16
KEY_TERMS = 6
_MOST_KEPT = 24  # of each kind of thing counted about an incident
# Counts are halved from here on: what a long incident is about now weighs more than how it began.
MEMORY = 64

# Longest silence in days after which an incident closes and a like matter is a new one. Shops settle or shut within weeks; works,
# power and water drag on; lots come back with every buyer.
IDLE_GAP_DAYS = {"shop": 60, "merchant": 60, "chain": 75, "area": 100, "lot": 120}

Key = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Features:
    """Of one matter. terms: keyed dictionary word or pair of them -> its weight in bits; names: the same of words that no
    dictionary knows (brands, places). issues: from the reading, most telling first. city, district: where it happened, or the
    complainant's. merchant_stated False: only read from the text, where a company may be named in passing."""

    at: datetime
    merchant: Hashable | None = None
    merchant_stated: bool = True
    shop: int | None = None
    issues: tuple[str, ...] = ()
    city: str = ""
    district: str = ""
    product: int | None = None
    lot: int | None = None
    places: tuple[int, ...] = ()
    terms: Mapping[int, float] = field(default_factory=dict)
    names: Mapping[int, float] = field(default_factory=dict)
    # Length of the vector of terms.
    norm: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", math.sqrt(sum([w * w for w in self.terms.values()])))


@dataclass(slots=True)
class Profile:
    """Of one incident: counts over its members. memory: how many of them the counts of words speak for, less than size once old
    ones were halved away. weights: the latest of each word counted; norm: length of the vector of terms."""

    first_at: datetime
    last_at: datetime
    size: int = 0
    merchants: dict[Hashable, int] = field(default_factory=dict)
    mentioned: dict[Hashable, int] = field(default_factory=dict)
    shops: dict[int, int] = field(default_factory=dict)
    issues: dict[str, int] = field(default_factory=dict)
    cities: dict[str, int] = field(default_factory=dict)
    districts: dict[str, int] = field(default_factory=dict)
    products: dict[int, int] = field(default_factory=dict)
    lots: dict[int, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    terms: dict[int, int] = field(default_factory=dict)
    names: dict[int, int] = field(default_factory=dict)
    weights: dict[int, float] = field(default_factory=dict)
    memory: int = 0
    norm: float = 0.0

    @property
    def scope(self) -> str:
        """lot, area (a place, several merchants or none), shop, chain (several shops) or merchant."""
        if self.lots:
            return "lot"
        if not self.merchants:
            return "area" if not self.mentioned or self.places else "merchant"
        if self.places and max(self.merchants.values()) * 2 < sum(self.places.values()):
            return "area"
        return {0: "merchant", 1: "shop"}.get(len(self.shops), "chain")

    def absorb(self, member: Features) -> None:
        self.size += 1
        self.first_at, self.last_at = min(self.first_at, member.at), max(self.last_at, member.at)
        if member.merchant is not None:
            _count(self.merchants if member.merchant_stated else self.mentioned, (member.merchant,))
        _count(self.shops, () if member.shop is None else (member.shop,))
        _count(self.issues, member.issues)
        _count(self.cities, (member.city,) if member.city else ())
        _count(self.districts, (member.district,) if member.district else ())
        _count(self.products, () if member.product is None else (member.product,))
        _count(self.lots, () if member.lot is None else (member.lot,))
        _count(self.places, member.places)
        self.memory += 1
        for counts, said in ((self.terms, member.terms), (self.names, member.names)):
            for word in said:
                counts[word] = counts.get(word, 0) + 1
            self.weights.update(said)
        self.trim()

    def release(self, member: Features) -> None:
        """The profile without one of its members, whose day it keeps. Words that were halved away are not counted back."""
        self.size -= 1
        self.memory = max(self.memory - 1, 0)
        said: tuple[tuple[dict[Any, int], Iterable[Any]], ...] = (
            (self.merchants if member.merchant_stated else self.mentioned, (member.merchant,)), (self.shops, (member.shop,)),
            (self.issues, member.issues), (self.cities, (member.city,)), (self.districts, (member.district,)),
            (self.products, (member.product,)), (self.lots, (member.lot,)), (self.places, member.places), (self.terms, member.terms),
            (self.names, member.names),
        )  # fmt: skip
        for counts, values in said:
            for value in values:
                if value in counts:
                    counts[value] -= 1
                    if counts[value] <= 0:
                        del counts[value]
        self.trim()

    def trim(self) -> None:
        """Keeps the words that tell most (count x weight) and forgets how it began."""
        if self.memory > MEMORY:
            self.memory //= 2
            for counts in (self.terms, self.names):
                for word in list(counts):
                    counts[word] //= 2
                    if not counts[word]:
                        del counts[word]
        for counts, most in ((self.terms, PROFILE_TERMS), (self.names, PROFILE_NAMES)):
            if len(counts) > most:
                for word in sorted(counts, key=lambda w: -counts[w] * self.weights[w])[most:]:
                    del counts[word]
        if len(self.weights) > len(self.terms) + len(self.names):
            self.weights = {w: self.weights[w] for w in (*self.terms, *self.names)}
        weights = self.weights
        self.norm = math.sqrt(sum([(weights[t] * n) ** 2 for t, n in self.terms.items()]))


def _count(counts: dict[Any, int], values: Iterable[Any]) -> None:
    for value in values:
        if value in counts or len(counts) < _MOST_KEPT:
            counts[value] = counts.get(value, 0) + 1


def open_profile(member: Features) -> Profile:
    profile = Profile(first_at=member.at, last_at=member.at)
    profile.absorb(member)
    return profile


# -- levels

_TEXT_FLOORS = (0.03, 0.07, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7)
_OTHER_WORDS = 2
_GAP_FLOORS = (1, 2, 4, 7, 12, 20, 35, 60)
_RELATIVE_FLOORS = (0.5, 1, 2, 4, 8, 16, 32)
_IDENTITIES = ("same", "unnamed", "other")
_TEXT = tuple(str(n) for n in range(len(_TEXT_FLOORS) + 1))

ORDERS: Orders = {
    "text": tuple(tuple(f"{who}/{size}/{n}" for n in _TEXT) for who in _IDENTITIES for size in ("one", "more")),
    "gap": (tuple(str(n) for n in reversed(range(len(_GAP_FLOORS) + 1))),),
    "pace": (tuple(str(n) for n in reversed(range(len(_RELATIVE_FLOORS) + 1))),),
    "name": (("0", "1", "2"),),
}


def similarity(matter: Features, profile: Profile) -> float:
    """Cosine of a matter's weighed words with the members' mean, in 0..1. Names are left out: they say who, not what."""
    counts, weights = profile.terms, profile.weights
    dot = sum([w * weights[t] * counts[t] for t, w in matter.terms.items() if t in counts])
    return dot / (matter.norm * profile.norm) if dot and profile.norm else 0.0


def rivals(matter: Features, profiles: Iterable[Profile]) -> dict[str, int]:
    """How many of the candidates are of the matter's merchant, of another one, of nobody's: where one shop has a dozen incidents that it
    is the same shop says little, where it has a single one nearly all."""
    return Counter(_who(matter, profile) for profile in profiles)


def levels(matter: Features, profile: Profile, among: Mapping[str, int]) -> tuple[dict[str, str], str | None]:
    """(level of each field that both speak of, the rule that forbids). What another lot, another merchant or too long a silence
    forbids is not looked at further. among: the candidates there are (`rivals`)."""
    found: dict[str, str] = {}
    forbidden: str | None = None
    same_lot = matter.lot is not None and matter.lot in profile.lots
    # Every town has its 学府街: a place is one with another only where the city is.
    here = not (matter.city and profile.cities) or _held(matter.city, profile.cities)
    same_place = here and any(p in profile.places for p in matter.places)
    if matter.lot is not None and profile.lots:
        found["lot"] = "same" if same_lot else "other"
        if not same_lot:
            return found, "different_lot"

    who = _who(matter, profile)
    found["merchant"] = who if matter.merchant_stated or who == "same" else f"{who}/mentioned"
    found["rivals"] = f"{who}/{min(among.get(who, 1).bit_length(), 3)}"
    if who == "other" and matter.merchant_stated and profile.merchants and not (same_lot or same_place):
        return found, "different_merchant"
    gap = silence_days(matter, profile)
    found["gap"] = str(bisect_right(_GAP_FLOORS, gap))
    if gap > IDLE_GAP_DAYS[profile.scope]:
        return found, "idle_too_long"
    if who == "same" and matter.shop is not None:
        found["shop"] = _shop(matter.shop, profile)
        # One shop and nothing but this shop: another one of the chain has its own kitchen.
        if found["shop"] == "other/sure":
            forbidden = forbidden or "different_shop"

    if matter.issues and profile.issues:
        most = max(profile.issues.values())
        times = max(profile.issues.get(i, 0) for i in matter.issues)
        found["issue"] = f"{who}/{'main' if times * 2 >= most else 'minor' if times else 'none'}"
    alike = similarity(matter, profile)
    bucket = bisect_right(_TEXT_FLOORS, alike)
    if found.get("issue", "").endswith("none") and bucket <= _OTHER_WORDS:
        # The same shop on the same day, and nothing else in common: another matter.
        forbidden = forbidden or "different_matter"
    if who == "same" and not matter.merchant_stated and bucket <= _OTHER_WORDS - 1:
        # A name that a text mentions may be anybody's: without likeness it binds nothing.
        forbidden = forbidden or "nothing_alike"
    found["text"] = f"{who}/{'one' if profile.size == 1 else 'more'}/{bucket}"
    if who != "same":
        named = sum(1 for w in matter.names if profile.names.get(w, 0) * 3 >= profile.memory)
        found["name"] = str(min(named, 2))
        if not (named or same_place or same_lot) and not (matter.district and matter.district in profile.districts):
            # Complaints about one kind of thing sound alike everywhere: wording alone is no identity.
            forbidden = forbidden or "nothing_named"
    if matter.product is not None and profile.products:
        found["product"] = f"{who}/{_share(matter.product, profile.products)}"
    if matter.places and profile.places:
        # Where both say which city, a name is one of many towns'; where neither does, the writer thinks it tells enough.
        told = "" if matter.city and profile.cities else "/no city"
        found["place"] = f"{who}/{'same' if same_place else 'other'}{told}"
    if matter.city and profile.cities:
        found["city"] = f"{who}/{_where(matter.city, profile.cities)}"
    if matter.district and profile.districts:
        found["district"] = f"{who}/{_where(matter.district, profile.districts)}"

    if profile.size > 2:
        usual = (profile.last_at - profile.first_at).total_seconds() / 86400 / (profile.size - 1) + 0.25
        found["pace"] = str(bisect_right(_RELATIVE_FLOORS, gap / usual))
    found["size"] = str(min(profile.size.bit_length(), 6))
    return found, forbidden


def silence_days(matter: Features, profile: Profile) -> float:
    """Days between a matter and the incident, 0 inside it."""
    if matter.at > profile.last_at:
        return (matter.at - profile.last_at).total_seconds() / 86400
    return max((profile.first_at - matter.at).total_seconds() / 86400, 0.0)


def _who(matter: Features, profile: Profile) -> str:
    if matter.merchant is None or not (profile.merchants or profile.mentioned):
        return "unnamed"
    times = profile.merchants.get(matter.merchant, 0) + profile.mentioned.get(matter.merchant, 0)
    # Not by one member that went astray.
    return "same" if times * 4 >= max((*profile.merchants.values(), *profile.mentioned.values())) else "other"


def _shop(shop: int, profile: Profile) -> str:
    if not profile.shops:
        return "unknown"
    if shop in profile.shops:
        return "same/only" if len(profile.shops) == 1 else "same/one of many"
    told = sum(profile.shops.values())
    return "other/of many" if len(profile.shops) > 1 else "other/sure" if told >= _SURE else "other/once"


_SURE = 3  # members that name one shop and no other: it is about that shop


def _share(value: int, counts: Mapping[int, int]) -> str:
    times, most = counts.get(value, 0), max(counts.values())
    return "main" if times * 3 >= most else "some" if times else "none"


def _held(value: str, counts: Mapping[str, int]) -> bool:
    """By a third of what most say, not by one that went astray."""
    return counts.get(value, 0) * 3 >= max(counts.values())


def _where(value: str, counts: Mapping[str, int]) -> str:
    return ("same" if value in counts else "other") + ("/one" if len(counts) == 1 else "/many")


def compare(matter: Features, profile: Profile, scorecard: Scorecard, among: Mapping[str, int]) -> Evidence:
    found, forbidden = levels(matter, profile, among)
    fields, total = scorecard.weigh(found)
    return Evidence(total, fields, forbidden, forbidden is None and total >= scorecard.threshold)


def assign(
    matter: Features, profiles: Mapping[Any, Profile], scorecard: Scorecard, seen: Mapping[Any, Profile] | None = None
) -> tuple[Any | None, list[tuple[Any, Evidence]]]:  # fmt: skip
    """The incident to join (None: open a new one) and every candidate with its evidence, strongest first. seen: candidates of before,
    which are rivals too."""
    among = rivals(matter, ({**seen, **profiles} if seen else profiles).values())
    scored = [(key, compare(matter, profile, scorecard, among)) for key, profile in profiles.items()]
    scored.sort(key=lambda item: (not item[1].joins, -item[1].weight, str(item[0])))
    return (scored[0][0] if scored and scored[0][1].joins else None), scored


def recurrence(matter: Features, closed: Mapping[Any, Profile], scorecard: Scorecard) -> Any | None:
    """The closed incident that a matter repeats: it would belong to it, had it come in time."""
    timely = {k: replace(matter, at=p.last_at) for k, p in closed.items()}
    among = rivals(matter, closed.values())
    scored = [(compare(timely[k], p, scorecard, among), k) for k, p in closed.items()]
    fitting = [(e.weight, str(k), k) for e, k in scored if e.joins]
    return max(fitting)[2] if fitting else None


# -- keys

# How much sharing a key says: candidates are ranked by the sum.
KEY_WEIGHTS = {
    "lot": 8,
    "issue": 4,
    "shop": 4,
    "product": 4,
    "merchant": 3,
    "place": 6,
    "district issue": 2,
    "district": 1,
    "term": 2,
}


def keys(matter: Features) -> list[Key]:
    """What a matter is looked up by and its incident found again by: (kind, values...). At most some twenty."""
    found: list[Key] = []
    if matter.lot is not None:
        found.append(("lot", matter.lot))
    if matter.merchant is not None:
        found.append(("merchant", str(matter.merchant)))
        found += [("issue", str(matter.merchant), issue) for issue in matter.issues[:2]]
        if matter.shop is not None:
            found.append(("shop", str(matter.merchant), matter.shop))
        if matter.product is not None:
            found.append(("product", str(matter.merchant), matter.product))
    where = matter.district or matter.city
    found += [("place", place, where) for place in matter.places[:2]]
    if where:
        found.append(("district", where))
        found += [("district issue", where, issue) for issue in matter.issues[:2]]
    if matter.merchant is None or not matter.merchant_stated:
        found += [("term", term) for term in key_terms(matter)]
    return list(dict.fromkeys(found))


def key_terms(matter: Features) -> list[int]:
    """The words worth looking others up by: names first, then what tells most. Weight is capped, or misspellings that nobody shares
    would take every place. Ties go to what is said first, whatever the key makes of it."""
    said = {**matter.terms, **matter.names}
    return sorted(said, key=lambda w: -(min(said[w], _CAP) + (_NAME_BONUS if w in matter.names else 0)))[:KEY_TERMS]


_CAP = 12.0
_NAME_BONUS = 4.0


def rank(hits: Mapping[Any, Sequence[str]], most: int) -> list[Any]:
    """Candidates by the kinds of keys they share, the most telling first."""
    return sorted(hits, key=lambda c: (-sum(KEY_WEIGHTS[kind] for kind in hits[c]), str(c)))[:most]


@lru_cache(maxsize=1)
def shipped_scorecard() -> Scorecard:
    return Scorecard.from_json((files("ml") / "artifacts" / "incidents.json").read_text("utf-8"))
