"""What a complaint says: kind, goods, problem, issue, demands, facts, dangers, each with the words that say so.

This version is rules over one dictionary (artifacts/reading.json) matched in a single pass; every finding names its
words and where they stand, so a person can see why. Issue Reading adds learning behind the same shape.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ahocorasick_rs import AhoCorasick, MatchKind

KINDS = (
    "complaint", "report", "both", "enquiry", "enforcement_conduct", "other_department", "petition",
    "information_request", "emergency",
)  # fmt: skip
CATCH_ALL = "其他投诉问题"


@dataclass(frozen=True, slots=True)
class Finding:
    """A word that says something. start, end: code points of the text that was read, [start, end)."""

    type: str
    severity: str
    start: int
    end: int
    word: str


@dataclass(frozen=True, slots=True)
class Reading:
    """probability: how sure the kind is, 0..1. issues: finer than problem, most telling first."""

    kind: str
    probability: float
    goods: str | None = None
    problem: str | None = None
    issues: tuple[str, ...] = ()
    demands: tuple[str, ...] = ()
    punitive: str | None = None
    department: str | None = None
    dangers: tuple[Finding, ...] = ()
    evidence: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)

    def has_danger(self, *types: str, at_least: str = "low") -> bool:
        order = ("low", "medium", "high")
        return any(d.type in types and order.index(d.severity) >= order.index(at_least) for d in self.dangers)


@dataclass(frozen=True, slots=True)
class _Lexicon:
    version: str
    automaton: AhoCorasick
    # pattern index -> [(category, name, severity)]
    meanings: list[list[tuple[str, str, str]]]
    words: list[str]
    problem_of: dict[str, str]
    negation: re.Pattern[str]
    hearsay: re.Pattern[str]


@lru_cache(maxsize=1)
def lexicon() -> _Lexicon:
    raw = json.loads((files("ml") / "artifacts" / "reading.json").read_text("utf-8"))
    meanings: dict[str, list[tuple[str, str, str]]] = {}

    def teach(category: str, name: str, words: list[str], severity: str = "") -> None:
        for word in words:
            meanings.setdefault(word, []).append((category, name, severity))

    for category in ("goods", "demands", "punitive", "kinds", "departments"):
        for name, words in raw[category].items():
            teach(category, name, words)
    for issue, spec in raw["issues"].items():
        teach("issues", issue, spec["words"])
    for danger, by_severity in raw["dangers"].items():
        for severity, words in by_severity.items():
            teach("dangers", danger, words, severity)
    teach("tags", "new_economy", raw["new_economy"])
    teach("evidence", "evidence", raw["evidence"])
    words = sorted(meanings)
    return _Lexicon(
        version=raw["version"],
        automaton=AhoCorasick(words, matchkind=MatchKind.Standard),
        meanings=[meanings[w] for w in words],
        words=words,
        problem_of={issue: spec["problem"] for issue, spec in raw["issues"].items()},
        negation=re.compile("(?:" + "|".join(raw["negations"]) + r")[\u4e00-\u9fa5]{0,2}$"),
        hearsay=re.compile("(?:" + "|".join(raw["hearsay"]) + r")[\u4e00-\u9fa5]{0,5}$"),
    )


def read(text: str, *, product: str = "", category: str = "") -> Reading:
    """Of a normalised text. product and category (the operator's own) are hints: they decide only where the text
    is silent."""
    known = lexicon()
    hits: dict[str, Counter[str]] = {}
    words: dict[str, list[str]] = {}
    dangers: dict[tuple[str, int], Finding] = {}
    first_at: dict[tuple[str, str], int] = {}
    for index, start, end in known.automaton.find_matches_as_indexes(text, overlapping=True):
        before = text[max(0, start - 8) : start]
        # 没有退款 is a demand, 没有受伤 is not an injury: only dangers can be denied or feared.
        denied = fearful = None
        word = known.words[index]
        for kind, name, severity in known.meanings[index]:
            if kind == "dangers":
                if denied is None:
                    denied = bool(known.negation.search(before))
                    fearful = bool(known.hearsay.search(before))
                if denied:
                    continue
                key = (name, start)
                kept = dangers.get(key)
                if kept is None or kept.end < end:
                    dangers[key] = Finding(name, "low" if fearful else severity, start, end, word)
                continue
            hits.setdefault(kind, Counter())[name] += len(word)
            first_at.setdefault((kind, name), start)
            said = words.setdefault(f"{kind}:{name}", [])
            if len(said) < 4 and word not in said:
                said.append(word)

    def ranked(kind: str) -> list[str]:
        found = hits.get(kind, Counter())
        return sorted(found, key=lambda n: (-found[n], first_at[(kind, n)]))

    issues = tuple(ranked("issues")[:3])
    problem = next((known.problem_of[i] for i in issues if known.problem_of[i] != CATCH_ALL), None)
    if problem is None and issues:
        problem = known.problem_of[issues[0]]
    goods = next(iter(ranked("goods")), None)
    if product and goods is None:
        goods = _goods_of(product)
    found_dangers = tuple(sorted(dangers.values(), key=lambda d: (d.start, d.type)))
    facts = read_facts(text)
    kind, probability = _kind(hits, facts, found_dangers, text)
    return Reading(
        kind=kind,
        probability=probability,
        goods=goods,
        problem=problem,
        issues=issues,
        demands=tuple(d for d in ranked("demands") if d != "其他") or (("其他",) if hits.get("demands") else ()),
        punitive=next(iter(ranked("punitive")), None),
        department=next(iter(ranked("departments")), None),
        dangers=found_dangers,
        evidence=tuple(words.get("evidence:evidence", ())),
        tags=tuple(ranked("tags")),
        facts=facts,
        words=words,
    )


@lru_cache(maxsize=20_000)
def _goods_of(product: str) -> str | None:
    known = lexicon()
    for index, _, _ in known.automaton.find_matches_as_indexes(product, overlapping=True):
        for kind, name, _ in known.meanings[index]:
            if kind == "goods":
                return name
    return None


def _kind(hits: dict[str, Counter[str]], facts: dict[str, Any], dangers: tuple[Finding, ...], text: str) -> tuple[str, float]:
    """The kind and how sure. An own demand about an own purchase makes a complaint; a breach without one a report."""
    kinds = hits.get("kinds", Counter())
    demands = hits.get("demands", Counter())
    own_demand = any(d != "其他" for d in demands)
    if kinds["emergency"] and any(d.severity == "high" for d in dangers):
        return "emergency", 0.9
    if kinds["information_request"]:
        return "information_request", 0.9
    if kinds["enforcement_conduct"] and not own_demand:
        return "enforcement_conduct", 0.75
    if kinds["petition"] >= 4 or (kinds["petition"] and not own_demand):
        return "petition", 0.7
    report, complaint, enquiry = kinds["report"], kinds["complaint"], kinds["enquiry"]
    bought = "amount_fen" in facts or complaint > 0
    if enquiry and not own_demand and "amount_fen" not in facts and not hits.get("issues"):
        return "enquiry", 0.85 if not report else 0.6
    department = hits.get("departments", Counter())
    if department and not own_demand and not hits.get("goods") and sum(department.values()) > complaint:
        return "other_department", 0.65
    if report and own_demand and bought:
        return ("both", 0.7) if report >= 4 else ("complaint", 0.6)
    if report and not own_demand:
        return "report", 0.75
    if enquiry > complaint + sum(demands.values()) and not hits.get("issues"):
        return "enquiry", 0.6
    if own_demand or bought or hits.get("issues"):
        return "complaint", 0.9 if own_demand and bought else 0.7
    return "complaint", 0.4 if len(text) >= 10 else 0.2


_AMOUNT = re.compile(r"(\d{1,9}(?:,\d{3})*(?:\.\d{1,2})?)\s*(万)?\s*(?:元|块|人民币|RMB|¥)|[¥￥]\s*(\d{1,9}(?:\.\d{1,2})?)")
_ORDER = re.compile(r"(?:订单号?|单号|订单编号)[:：为是]?\s*([A-Za-z0-9-]{6,32})")
_LOT = re.compile(r"(?:批号|生产批次|批次号?|产品批号)[:：为是]?\s*([A-Za-z0-9-]{4,24})")
_USCC = re.compile(r"(?<![0-9A-Z])[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}(?![0-9A-Z])")
_PEOPLE = re.compile(
    r"(\d{1,4})\s*(?:多)?(?:名|位|个|户|人)(?:消费者|业主|学员|会员|顾客|家长|受害|同学|同事|人)?(?:都|均|也|被|受|中毒|住院|受伤|遇到)"
)
_PLACE = re.compile(
    r"[\u4e00-\u9fa5]{2,6}?(?:新城|小区|花园|家园|佳园|苑|公馆|雅居|华庭|广场|大厦|公寓|步行街|购物中心|商场|农贸市场|菜市场|火车站|高铁站|机场|大学|学院|景区|社区)"
)
_PLACE_LEAD = re.compile(
    r"^(?:.*?(?:在|到|去|于|位于|来自|住|是|我们|附近|投诉|反映|咨询|关于|建议|的|和|与|请|对|把|从)|[A-Z]\d?[市区县])"
)


def read_facts(text: str) -> dict[str, Any]:
    """Amounts in fen (the largest named), order and lot numbers, USCCs, places, people affected. Absent keys: unsaid."""
    facts: dict[str, Any] = {}
    amounts = []
    for match in _AMOUNT.finditer(text):
        number = float((match.group(1) or match.group(3)).replace(",", ""))
        amounts.append(round(number * (10_000 if match.group(2) else 1) * 100))
    if amounts:
        facts["amount_fen"] = max(amounts)
    if order := _ORDER.search(text):
        facts["order_no"] = order.group(1)
    if lot := _LOT.search(text):
        facts["lot_no"] = lot.group(1)
    if codes := _USCC.findall(text):
        facts["uscc"] = list(dict.fromkeys(codes))[:3]
    if people := _PEOPLE.search(text):
        facts["people"] = int(people.group(1))
    places = [_PLACE_LEAD.sub("", m) for m in _PLACE.findall(text[:3000])]
    if places := [p for p in dict.fromkeys(places) if len(p) >= 4]:
        facts["places"] = places[:5]
    return facts
