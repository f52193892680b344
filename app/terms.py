"""The terms the law sets, as data (app/data/terms.json): how long, in what, from which receipt on, on which sentence.

A term has one rule per legal version; the day of receipt picks it (docs/decisions/0007). What is the law's own is fixed; what the
data marks as configurable a bureau may replace with a file of its own (TRIAGE_TERMS).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from app import law
from app.errors import Invalid

UNITS = {"working": "个工作日", "natural": "日", "years": "年"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A sentence of the law: law is an id, article, paragraph 款 and item 项 are numbers where they are given."""

    law: str
    article: int | None = None
    paragraph: int | None = None
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Length:
    """A number in a unit of UNITS, with the sentence that says it."""

    count: int
    unit: str
    basis: str


@dataclass(frozen=True, slots=True)
class Extension:
    """More of the term's own unit. times: how often; approval: whose, in Chinese."""

    count: int
    times: int
    approval: str
    basis: str


@dataclass(frozen=True, slots=True)
class FallBack:
    """Ends that many working days before another term of the same matter does, where that comes first."""

    before: str
    working_days: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One legal version of a term. basis: Chinese. pause: the reasons that stop the counting. cap: ends no later than this.
    longer: another length under conditions that a person judges. rolls: a last day on a holiday moves."""

    received_from: date
    count: int
    unit: str
    references: tuple[Reference, ...]
    basis: str
    pause: frozenset[str] = frozenset()
    pause_basis: str = ""
    extension: Extension | None = None
    cap: Length | None = None
    fall_back: FallBack | None = None
    longer: Length | None = None
    rolls: bool = True


@dataclass(frozen=True, slots=True)
class Term:
    """starts: the event it counts from. status: law, design_choice or unverified. rules: oldest first. outlives: goes on when its matter
    is closed, until an act ends it."""

    key: str
    name: str
    starts: str
    starts_zh: str
    status: str
    configurable: bool
    note: str
    rules: tuple[Rule, ...]
    outlives: bool = False

    @property
    def limitation(self) -> bool:
        """Counted in years back from what was received: no clock of a case."""
        return self.rules[0].unit == "years"

    def rule(self, received_on: date) -> Rule:
        """The rule for what was received that day; for what is older the first."""
        chosen = self.rules[0]
        for rule in self.rules[1:]:
            if rule.received_from > received_on:
                break
            chosen = rule
        return chosen


@dataclass(frozen=True)
class Terms:
    """regimes: (received from, law id), oldest first. modes: how the last day of a term in natural days moves."""

    version: str
    laws: Mapping[str, str]
    regimes: tuple[tuple[date, str], ...]
    modes: Mapping[str, str]
    pause_reasons: Mapping[str, str]
    yellow_share: float
    yellow_working_days: int
    terms: Mapping[str, Term]

    @property
    def clocks_from(self) -> date:
        """Receipts before this day start no clock."""
        return self.regimes[0][0]

    def term(self, key: str) -> Term:
        if key not in self.terms:
            raise Invalid.field("key", f"unknown term; known: {', '.join(sorted(self.terms))}")
        return self.terms[key]

    def law_of(self, received_on: date) -> str:
        """The rules in force on the day of receipt govern (design choice; docs/decisions/0007)."""
        return next((law for since, law in reversed(self.regimes) if since <= received_on), self.regimes[0][1])

    def counted_by(self, received_on: date, rule: Rule) -> str:
        """What is said of an order's own terms: the article they are counted by; of receipts under Order 20, why it still governs."""
        held = {r.law for r in rule.references}
        if law.ORDER_121 in held:
            return f"，期间按{law.cite(law.ORDER_121, 45)}计算"
        if law.ORDER_20 in held and self.law_of(received_on) == law.ORDER_20:
            return f"，收到时新办法尚未施行（{law.cite(law.ORDER_121, 46)}），适用《{self.laws[law.ORDER_20]}》"
        return ""

    def with_own(self, raw: Mapping[str, Any]) -> "Terms":
        """With a bureau's own rules for what is configurable: {"terms": {key: {"rules": [...]}}, "lights": {...}}."""
        changed = dict(self.terms)
        for key, own in raw.get("terms", {}).items():
            term = self.term(key)
            if not term.configurable:
                raise Invalid.field(
                    f"terms.{key}", "is set by law; only these can be changed: " + ", ".join(self._configurable())
                )
            changed[key] = replace(term, rules=_rules(f"terms.{key}", own, self.laws, term.status))
        share, days = _lights(raw["lights"]) if "lights" in raw else (self.yellow_share, self.yellow_working_days)
        return replace(self, terms=changed, yellow_share=share, yellow_working_days=days)

    def _configurable(self) -> list[str]:
        return [k for k, t in self.terms.items() if t.configurable]


def cite(reference: Reference, laws: Mapping[str, str]) -> str:
    """《…》第二十三条第一款第五项. The one place where a reference becomes words: by the law's own text where it is held."""
    if reference.law in law.laws() and reference.article is not None:
        return law.cite(reference.law, reference.article, reference.paragraph, reference.item)
    parts = ((reference.article, "条"), (reference.paragraph, "款"), (reference.item, "项"))
    return f"《{laws[reference.law]}》" + "".join(f"第{law.chinese(n)}{unit}" for n, unit in parts if n is not None)


@lru_cache
def shipped() -> Terms:
    raw = json.loads((files("app") / "data" / "terms.json").read_text("utf-8"))
    laws = raw["laws"]
    share, days = _lights(raw["lights"])
    return Terms(
        raw["version"], laws, tuple((date.fromisoformat(r["received_from"]), r["law"]) for r in raw["regimes"]), raw["rolling"]["modes"],
        raw["pause_reasons"], share, days,
        {
            key: Term(
                key, t["name"], t["starts"], t["starts_zh"], t["status"], t.get("configurable", False), t.get("note", ""),
                _rules(f"terms.{key}", t, laws, t["status"]), t.get("outlives", False),
            )
            for key, t in raw["terms"].items()
        },
    )  # fmt: skip


def load(path: Path | None) -> Terms:
    """The shipped terms, with a bureau's own file laid over them. Raises Invalid with the place of what can't be taken."""
    if path is None:
        return shipped()
    try:
        raw = json.loads(path.read_text("utf-8-sig"))
    except OSError:
        raise Invalid.field("TRIAGE_TERMS", f"{path} can't be read") from None
    except ValueError as error:
        raise Invalid.field("TRIAGE_TERMS", f"{path} is no JSON: {error}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("terms", {}), dict) or set(raw) - {"terms", "lights"}:
        raise Invalid.field("TRIAGE_TERMS", 'must be {"terms": {KEY: {"rules": [...]}}, "lights": {...}}')
    return shipped().with_own(raw)


def _rules(place: str, raw: Any, laws: Mapping[str, str], status: str) -> tuple[Rule, ...]:
    if not isinstance(raw, dict) or not isinstance(raw.get("rules"), list) or not raw["rules"]:
        raise Invalid.field(place, "needs rules: a list of {received_from, count, unit}")
    rules = []
    for number, one in enumerate(raw["rules"]):
        try:
            rules.append(_rule(one, laws, status))
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid.field(f"{place}.rules[{number}]", f"can't be taken: {error}") from None
    return tuple(sorted(rules, key=lambda r: r.received_from))


def _rule(raw: Mapping[str, Any], laws: Mapping[str, str], status: str) -> Rule:
    def cited(references: Sequence[Mapping[str, Any]]) -> str:
        return "、".join(cite(Reference(**r), laws) for r in references)

    def length(one: Mapping[str, Any] | None, unit: str) -> Length | None:
        return None if one is None else Length(_positive(one["count"]), one.get("unit", unit), cited(one.get("basis", ())))

    unit, pause, more, back = raw["unit"], raw.get("pause", {}), raw.get("extension"), raw.get("fall_back")
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}")
    basis = raw.get("basis_zh") or cited(raw.get("basis", ()))
    return Rule(
        date.fromisoformat(raw["received_from"]), _positive(raw["count"]), unit,
        tuple(Reference(**r) for r in raw.get("basis", ())), f"{basis}，待核实" if status == "unverified" else basis or "本单位规定",
        frozenset(pause.get("reasons", ())), cited(pause.get("basis", ())),
        Extension(_positive(more["count"]), _positive(more["times"]), more["approval"], cited(more["basis"])) if more else None,
        length(raw.get("cap"), unit), FallBack(back["before"], _positive(back["working_days"])) if back else None,
        length(raw.get("longer"), unit), raw.get("rolls", True),
    )  # fmt: skip


def _positive(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000:
        raise ValueError("counts are whole numbers from 1 to 1000")
    return value


def _lights(raw: Any) -> tuple[float, int]:
    try:
        share, days = float(raw["yellow_share"]), int(raw["yellow_working_days"])
    except (KeyError, TypeError, ValueError):
        raise Invalid.field("lights", "needs yellow_share and yellow_working_days") from None
    if not 0 <= share <= 1 or not 0 <= days <= 100:
        raise Invalid.field("lights", "yellow_share is from 0 to 1, yellow_working_days from 0 to 100")
    return share, days
