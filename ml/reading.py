"""What a complaint says: kind, goods, problem, issues, demands, facts, dangers, each with the words that say so.

Rules and learning answer in one shape. The rules are a dictionary and patterns (`ml.lexicon`, `ml.facts`, `ml.dangers`);
learned are a classifier (kind, goods, problem, department, demands), a tagger of names and numbers, and a judge of
danger candidates. Where the classifier abstains the rules answer; every field says who spoke.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ml import classification, dangers, facts, tagging
from ml.classification import Classifier, Opinion, Scored
from ml.dangers import SEVERITIES, Danger, Judge
from ml.dangers import TYPES as DANGERS
from ml.facts import Fact
from ml.lexicon import Hit, Lexicon, lexicon
from ml.tagging import Cue, Tagger
from ml.text import Normal, Personal, align, blank_personal, find_personal

__all__ = [
    "CATCH_ALL",
    "DANGERS",
    "DEMANDS",
    "DEPARTMENTS",
    "KINDS",
    "SEVERITIES",
    "Answer",
    "Danger",
    "Engine",
    "Fact",
    "Reading",
    "engine",
    "read",
]

KINDS = (
    "complaint", "report", "both", "enquiry", "enforcement_conduct", "other_department", "petition",
    "information_request", "emergency",
)  # fmt: skip
DEPARTMENTS = (
    "住建物业", "人社", "公安", "城管", "教育", "医保卫健", "交通", "水电气", "生态环境", "烟草", "农业农村", "金融", "民政", "文旅",
)  # fmt: skip
DEMANDS = ("退货", "更换", "修理", "重作", "补足数量", "退赔费用", "赔偿损失", "道歉", "其他")
CATCH_ALL = "其他投诉问题"
MAX_CHARACTERS = 6000  # what a letter is about stands before that
# How often an operator's own category is right; a weak witness (in one city "other" was the largest class).
OPERATOR_ACCURACY = 0.7
# Life in danger is worth false alarms: less than an even chance is enough.
EMERGENCY_PROBABILITY = 0.3
_DEMAND, _DEMAND_HEARD = 0.35, 0.1
_REASONS = 3
# With fewer different Chinese characters a text says nothing to be sure of.
_LEAST_CHARACTERS, _LOOKED_AT = 8, 400
_HAN = re.compile(r"[\u4e00-\u9fa5]")


@dataclass(frozen=True, slots=True)
class Answer:
    """by: rule, model, both (they agree), operator (its category decided), person, or none. rule, model: what each of
    them said."""

    value: str | None
    probability: float
    by: str
    words: tuple[str, ...] = ()
    rule: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Spans are code points of the text as given. probability: how sure the kind is, 0..1. issues: finer than problem,
    most telling first. facts: with their spans; `fact()` gives the one that counts. disagreements: fields in which the
    operator's category says otherwise: (field, the operator's, ours)."""

    kind: str
    probability: float
    goods: str | None = None
    problem: str | None = None
    issues: tuple[str, ...] = ()
    demands: tuple[str, ...] = ()
    punitive: str | None = None
    department: str | None = None
    dangers: tuple[Danger, ...] = ()
    facts: tuple[Fact, ...] = ()
    evidence: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    flags: tuple[Hit, ...] = ()
    personal: tuple[Personal, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    disagreements: tuple[tuple[str, str, str], ...] = ()
    # What was read: normalised, personal data blanked. Features are made of it.
    said: str = field(default="", repr=False)
    words: Mapping[str, list[str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def has_danger(self, *types: str, at_least: str = "low") -> bool:
        return any(d.type in types and SEVERITIES.index(d.severity) >= SEVERITIES.index(at_least) for d in self.dangers)

    def values(self, kind: str) -> list[int | str]:
        """Distinct values of a type of fact, in order."""
        return list(dict.fromkeys(f.value for f in self.facts if f.type == kind))

    def fact(self, kind: str) -> int | str | None:
        return next(iter(self.values(kind)), None)

    @property
    def amount_fen(self) -> int | None:
        """What is at stake: the largest sum paid or charged; what is claimed only where no other is named."""
        paid = [v for v in self.values("amount") if isinstance(v, int)]
        claimed = [v for v in self.values("claim") if isinstance(v, int)]
        return max(paid or claimed, default=None)

    @property
    def event_date(self) -> date | None:
        """The first full day named."""
        days = [v for v in self.values("date") if isinstance(v, str) and len(v) == 10]
        return date.fromisoformat(days[0]) if days else None


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that was written or learned, loaded once."""

    lexicon: Lexicon
    classifier: Classifier
    judge: Judge
    tagger: Tagger

    @property
    def versions(self) -> dict[str, str]:
        return {"lexicon": self.lexicon.version, "classifier": self.classifier.version, "dangers": self.judge.version, "tagger": self.tagger.version}  # fmt: skip


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The shipped one."""
    return load_engine(Path(str(files("ml") / "artifacts")))


def load_engine(folder: Path) -> Engine:
    return Engine(
        lexicon(), classification.load(folder / "reading"), dangers.load_judge(folder / "dangers.json"), Tagger(folder / "facts.crfsuite")
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text as both rules and learning look at it."""

    normal: Normal
    blank: str
    personal: list[Personal]
    hits: list[Hit]
    candidates: list[dangers.Candidate]
    facts: list[Fact]

    @property
    def context(self) -> list[str]:
        """What the whole text speaks of, for judges and classifiers: one name per dictionary category and fact."""
        found = {f"{h.category}:{h.name}" for h in self.hits if h.category not in _NO_CONTEXT}
        found |= {f"danger:{c.type}" for c in self.candidates}
        found |= {f"fact:{f.type}" for f in self.facts}
        return sorted(found)

    @property
    def cues(self) -> tuple[list[Cue], list[Cue]]:
        formed = [(f.type, f.start, f.end) for f in self.facts]
        named = [
            ("g" if h.category == "goods" else "p", h.start, h.end) for h in self.hits if h.category in ("goods", "platforms")
        ]
        return formed, named


_NO_CONTEXT = frozenset({"platforms", "harmless", "evidence", "flags", "tags"})


def prepare(text: str, on: date) -> Prepared:
    normal = align(text[: 2 * MAX_CHARACTERS])
    said = normal.text[:MAX_CHARACTERS]
    personal = [p for p in find_personal(said) if p.end <= len(said)]
    blank = blank_personal(said, personal)
    hits = lexicon().find(blank)
    found = [f for f in facts.find_facts(said, on) if not any(p.start < f.end and f.start < p.end for p in personal)]
    return Prepared(normal, blank, personal, hits, dangers.candidates(blank, hits), found)


def read(
    text: str, *, on: date, product: str = "", categories: Mapping[str, str] | None = None, using: Engine | None = None
) -> Reading:  # fmt: skip
    """on: the day the letter was received. product: the form's; it decides the goods only where the text is silent.
    categories: goods and problem as the operator filed them, in our codes."""
    known = using or engine()
    seen = prepare(text, on)
    hits = seen.hits
    ranked = _Ranked(hits)
    context = seen.context
    scored = known.classifier.score(seen.blank, context)
    found_dangers = dangers.find_dangers(seen.blank, seen.candidates, known.judge, context)
    found_facts = _facts(seen, known.tagger)
    answers: dict[str, Answer] = {}
    disagreements = []
    issues = tuple(ranked.names("issues")[:3])
    demands = _demands(ranked, scored)
    rules = {
        "kind": (_kind(ranked, bool(found_facts), found_dangers, seen.blank)),
        "goods": (ranked.first("goods") or _goods_of(product), 0.6),
        "problem": (_problem(issues, known.lexicon), 0.6),
    }
    opinions = {name: scored.opinion(name, reasons=_REASONS) for name in rules}
    for name, (value, probability) in rules.items():
        opinion = opinions[name]
        if name == "kind" and not _own(demands):
            opinion = opinion.without("both")  # who wants nothing for himself does not complain
        if name != "kind" and answers["kind"].value in _ABOUT_TRADE:
            opinion = opinion.without(NO_VALUE)  # a dispute or a breach is always about something
        answer, says = _combine(name, value, probability, opinion, (categories or {}).get(name))
        answers[name] = answer
        if says:
            disagreements.append(says)
    if answers["kind"].value == "other_department":
        answers["department"], _ = _combine("department", ranked.first("departments"), 0.5, scored.opinion("department"), None)
    answers["kind"] = kind = _emergency(answers["kind"], opinions["kind"])
    if len(set(_HAN.findall(seen.blank[:_LOOKED_AT]))) < _LEAST_CHARACTERS:
        answers = {name: replace(a, probability=min(a.probability, 0.2)) for name, a in answers.items()}
        kind = answers["kind"]
    about_trade = kind.value not in ("other_department", "petition", "information_request", "enforcement_conduct")
    return Reading(
        kind=kind.value or "complaint",
        probability=round(kind.probability, 3),
        goods=_none(answers["goods"].value) if about_trade or categories else None,
        problem=_none(answers["problem"].value) if about_trade or categories else None,
        issues=issues,
        demands=demands,
        punitive=ranked.first("punitive"),
        department=answers["department"].value if "department" in answers else None,
        dangers=tuple(_placed(d, seen.normal) for d in found_dangers),
        facts=tuple(_placed(f, seen.normal) for f in found_facts),
        evidence=tuple(ranked.words.get("evidence:evidence", ())),
        tags=(*ranked.names("tags"), *_campaigns(known.lexicon, issues, answers["problem"].value, seen.blank)),
        flags=tuple(_placed(h, seen.normal) for h in hits if h.category == "flags"),
        personal=tuple(_placed(p, seen.normal) for p in seen.personal),
        answers=answers,
        disagreements=tuple(disagreements),
        said=seen.blank,
        words=ranked.words,
        versions=known.versions,
    )


def _placed(found: Any, normal: Normal) -> Any:
    """The same at its place in the text as given."""
    if normal.offsets is None:
        return found
    start, end = normal.original(found.start, found.end)
    return type(found)(**{**{f: getattr(found, f) for f in found.__slots__}, "start": start, "end": end})


# Categories whose words are hints for what is learned, and name nothing themselves.
_CUES_ONLY = frozenset({"dangers", "hints", "issue_hints", "harmless", "platforms", "flags"})


class _Ranked:
    """Dictionary hits by category, the name with the most characters first."""

    def __init__(self, hits: Sequence[Hit]) -> None:
        self._weights: dict[str, Counter[str]] = {}
        self._first: dict[tuple[str, str], int] = {}
        self.words: dict[str, list[str]] = {}
        for hit in hits:
            if hit.category in _CUES_ONLY:
                continue
            self._weights.setdefault(hit.category, Counter())[hit.name] += len(hit.word)
            self._first.setdefault((hit.category, hit.name), hit.start)
            said = self.words.setdefault(f"{hit.category}:{hit.name}", [])
            if len(said) < 4 and hit.word not in said:
                said.append(hit.word)

    def weight(self, category: str, name: str) -> int:
        return self._weights.get(category, Counter())[name]

    def total(self, category: str) -> int:
        return sum(self._weights.get(category, Counter()).values())

    def names(self, category: str) -> list[str]:
        found = self._weights.get(category, Counter())
        return sorted(found, key=lambda n: (-found[n], self._first[(category, n)]))

    def first(self, category: str) -> str | None:
        return next(iter(self.names(category)), None)


def _combine(
    name: str, rule: str | None, rule_probability: float, opinion: Opinion, operator: str | None
) -> tuple[Answer, tuple[str, str, str] | None]:  # fmt: skip
    """One answer of two voices, and of a third where an operator filed a category."""
    model = opinion.best
    words = tuple(w for w, _ in opinion.words)
    if operator and operator != CATCH_ALL and operator in opinion.probabilities:
        # The operator's category as one more witness: Bayes with its accuracy, errors spread evenly.
        others = max(len(opinion.probabilities) - 1, 1)
        weighed = {
            c: p * (OPERATOR_ACCURACY if c == operator else (1 - OPERATOR_ACCURACY) / others)
            for c, p in opinion.probabilities.items()
        }
        total = sum(weighed.values())
        best = max(weighed, key=lambda c: weighed[c])
        by = "operator" if best == operator and best != model else "model"
        answer = Answer(best, weighed[best] / total, "both" if by == "model" and best == rule else by, words, rule, model)
    elif opinion.label is not None:
        answer = Answer(opinion.label, opinion.probability, "both" if opinion.label == rule else "model", words, rule, model)
    elif rule is not None:
        answer = Answer(rule, min(rule_probability, 0.5), "rule", (), rule, model)
    else:
        answer = Answer(None, opinion.probability, "none", (), rule, model)
    said = _none(answer.value)
    differs = operator is not None and operator != CATCH_ALL and said is not None and said != operator
    return answer, (name, str(operator), str(said)) if differs else None


_ABOUT_TRADE = frozenset({"complaint", "report", "both"})
NO_VALUE = "-"  # the classifier's label for a text that is about no goods, or no problem


def _none(value: str | None) -> str | None:
    return None if value == NO_VALUE else value


def _emergency(answer: Answer, opinion: Opinion) -> Answer:
    """It wins over all other kinds."""
    if answer.value == "emergency":
        return answer
    chance = opinion.probabilities.get("emergency", 0.0)
    if chance < EMERGENCY_PROBABILITY and answer.rule != "emergency":
        return answer
    by = "model" if chance >= EMERGENCY_PROBABILITY else "rule"
    return Answer("emergency", max(chance, EMERGENCY_PROBABILITY), by, answer.words, answer.rule, answer.model)


def _problem(issues: Sequence[str], known: Lexicon) -> str | None:
    problems = [known.problem_of[i] for i in issues]
    return next((p for p in problems if p != CATCH_ALL), problems[0] if problems else None)


def _demands(ranked: _Ranked, scored: Scored) -> tuple[str, ...]:
    """Learned; where the dictionary heard one too, less certainty is enough."""
    order = {n: i for i, n in enumerate(ranked.names("demands"))}
    found = [d for d in DEMANDS if scored.chance(f"demand.{d}") >= (_DEMAND_HEARD if d in order else _DEMAND)]
    return tuple(sorted(found, key=lambda d: order.get(d, len(order))))


def _own(demands: Sequence[str]) -> bool:
    return any(d != "其他" for d in demands)


def _campaigns(known: Lexicon, issues: Sequence[str], problem: str | None, text: str) -> list[str]:
    return [
        name for name, one in known.campaigns.items()
        if problem in one["problems"] or set(issues) & set(one["issues"]) or any(w in text for w in one["words"])
    ]  # fmt: skip


@lru_cache(maxsize=20_000)
def _goods_of(product: str) -> str | None:
    return _Ranked(lexicon().find(product)).first("goods") if product else None


def _kind(ranked: _Ranked, states_facts: bool, found: Sequence[Danger], text: str) -> tuple[str, float]:
    """The rules' kind and how sure. An own demand about an own purchase makes a complaint; a breach without one a
    report."""
    own_demand = _own(ranked.names("demands"))
    if ranked.weight("kinds", "emergency") and any(d.severity == "high" for d in found):
        return "emergency", 0.6
    if ranked.weight("kinds", "information_request"):
        return "information_request", 0.6
    if ranked.weight("kinds", "enforcement_conduct") and not own_demand:
        return "enforcement_conduct", 0.5
    if ranked.weight("kinds", "petition") >= 4 or (ranked.weight("kinds", "petition") and not own_demand):
        return "petition", 0.5
    report, complaint, enquiry = (ranked.weight("kinds", k) for k in ("report", "complaint", "enquiry"))
    bought = states_facts or complaint > 0
    if enquiry and not own_demand and not ranked.total("issues"):
        return "enquiry", 0.6
    if ranked.total("departments") > complaint and not own_demand and not ranked.total("goods"):
        return "other_department", 0.5
    if report and own_demand and bought:
        return ("both", 0.5) if report >= 4 else ("complaint", 0.5)
    if report and not own_demand:
        return "report", 0.5
    return "complaint", 0.5 if own_demand and bought else 0.4 if len(text) >= 10 else 0.2


_NAMES = frozenset({"merchant", "shop", "place", "product", "brand", "platform"})
FORMED = frozenset({"order_no", "lot_no", "approval_no", "licence_no", "uscc", "ticket"})


def _facts(seen: Prepared, tagger: Tagger) -> list[Fact]:
    """Numbers of things by their form alone; money, days, people and names where the tagger says so. Values are the
    rules', read from what was tagged."""
    said = seen.normal.text
    found = [f for f in seen.facts if f.type in FORMED]
    formed = {(f.start, f.end): f for f in seen.facts}
    for span in tagger.tag(tagging.lattice(seen.blank, *seen.cues)):
        if any(span.start < f.end and f.start < span.end for f in found):
            continue
        if span.label in _NAMES:
            named = seen.blank[span.start : span.end]
            if "*" not in named:  # personal data is no name of a thing, whatever the tagger says
                found.append(Fact(span.label, span.start, span.end, named))
        elif span.label not in FORMED:
            near = formed.get((span.start, span.end)) or next(
                (f for f in seen.facts if f.start < span.end and span.start < f.end and _alike(f.type, span.label)), None
            )
            if near is not None:
                found.append(Fact(span.label, near.start, near.end, near.value))
            elif (value := facts.parse(span.label, said[span.start : span.end])) is not None:
                found.append(Fact(span.label, span.start, span.end, value))
    return sorted(_first_mentions(found), key=lambda f: (f.start, f.end))


def _alike(one: str, other: str) -> bool:
    return one == other or {one, other} <= {"amount", "claim", "number"}


def _first_mentions(found: Sequence[Fact]) -> list[Fact]:
    kept: dict[tuple[str, int | str], Fact] = {}
    for one in sorted(found, key=lambda f: f.start):
        kept.setdefault((one.type, one.value), one)
    return list(kept.values())
