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

from ml import classification, dangers, facts, signals, tagging
from ml.classification import Classifier, Opinion, Scored
from ml.dangers import SEVERITIES, Danger, Judge
from ml.dangers import TYPES as DANGERS
from ml.facts import Fact
from ml.lexicon import Hit, Lexicon, lexicon
from ml.signals import Signal
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
    most telling first. signals: what the writer says that bears on the track (`ml.signals`). facts: with their spans; `fact()` gives the one that counts. disagreements: fields in which the
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
    signals: tuple[Signal, ...] = ()
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
        return {"lexicon": self.lexicon.version, "classifier": self.classifier.version, "dangers": self.judge.version, "tagger": self.tagger.version, "signals": signals.VERSION}  # fmt: skip


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
    found_signals = signals.find_signals(
        seen.blank, _money(seen.facts), hurt=any(d.type in _HURT and d.severity != "low" for d in found_dangers)
    )
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
        elif name == "kind" and opinion.best == "both" and not _reports(seen.blank):
            opinion = opinion.read_as("both", "complaint")  # who asks for no inquiry, or only threatens with one, does not report
        if name != "kind" and answers["kind"].value in _ABOUT_TRADE:
            opinion = opinion.without(NO_VALUE)  # a dispute or a breach is always about something
        answer, says = _combine(name, value, probability, opinion, (categories or {}).get(name))
        answers[name] = answer
        if says:
            disagreements.append(says)
    answers["kind"] = _plain_dispute(answers["kind"], seen.blank, found_facts, found_signals, demands)
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
        signals=tuple(_placed(s, seen.normal) for s in found_signals),
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


_HURT = frozenset({"injury", "death", "food_poisoning", "self_harm"})


def _money(found: Sequence[Fact]) -> list[tuple[int, int, int]]:
    return [(f.start, f.end, f.value) for f in found if f.type in ("amount", "claim", facts.NUMBER) and isinstance(f.value, int)]


_REPORTED = re.compile(
    r"举报|检举|查处|处罚|立案|严查|依法查|查封|查风|取缔|吊销|严惩|惩处|惩罚|查办|彻查|罚|整顿|追究|去查|[把将][^,。;!?\n]{0,12}(?:查|端|抓|办)|查[一他它下清查]|核查|调查|关停|没收|停业|报请|违法|端了|抓起来"
)
_THREATENED = re.compile(
    r"(?:否则|不然|如果|若|如(?=不)|要是|再不|要么|除非|不(?:给|赔|退|解决|处理|答应|行|同意)[^,。;!?\n]{0,6}我?(?:就|便|将|则))[^,。;!?\n]{0,16}$|(?:别|不要|不会|不想|没有?|未|不)$"
)


def _reports(text: str) -> bool:
    """Whether an inquiry or a penalty is asked for, not only threatened with (不赔我就举报)."""
    return any(
        not _THREATENED.search(_CLAUSE.split(text[max(0, m.start() - 24) : m.start()])[-1]) for m in _REPORTED.finditer(text)
    )


# A demand made, not one asked about: 要求退款, 请帮我要回定金; 能否要求退款 is a question.
_DEMANDED = re.compile(
    r"(?:要求|请求|诉求|希望|恳请|申请|请(?!问|教)|帮我|想要|我要|要么|麻烦|督促|责令|协调)[^,。;!?\n]{0,16}?(?:退(?!休)|赔|换(?!句)|修(?!改)|送货|发货|补发|补足|补差|安装|交付|道歉|重[作做新]|返工|要回|追回|讨回|拿回|取消|送到|处理好|解决)"
    r"|(?:^|[,。;!?\n])(?:我要|全额|立即|全部)?(?:退(?:还|款|费|钱|货|卡|票|押金|定金|学费|差价|我)|赔(?:偿|我|付)|换货|换新)(?!政策|流程|规则)"
)
_ASKING = re.compile(r"(?:能否|可否|能不能|是否|可不可以|可以|怎么|如何|怎样|有没有|该不该|是不是|应该|什么)[^,。;!?\n]{0,8}$")
_BOUGHT = re.compile(r"(?:买|付|交|花|订|充|办|收)(?:了|的|到|过)|下单|购买|付款|订购|收了?我")
_OFFICERS = re.compile(
    r"执法|不作为|乱作为|推诿|敷衍|扣押|查封|罚款|处罚|粗暴|态度[^,。]{0,3}(?:恶劣|差|蛮横|不好|生硬)|上门检查|检查了?我|吃拿卡要|你们局|办案人员|不立案|不受理|不予受理|包庇|收钱|受贿|超期|拖着不办|不给办|稽查|所的?(?:人|办事员|干部)|[拟要]罚|罚了?我|裁量|复议|通知书"
)


def _plain_dispute(answer: Answer, text: str, found: Sequence[Fact], said: Sequence[Signal], demands: Sequence[str]) -> Answer:
    """Who paid, and demands his own of the trader, complains: however politely he asks (请问), whatever was tried before, and
    whoever else should act too. Asking the bureau for help is no complaint about it."""
    if answer.value not in ("enquiry", "enforcement_conduct", "other_department", "report"):
        return answer
    kinds = {s.type for s in said}
    if answer.value == "report" and _reports(text):
        return answer
    if answer.value == "other_department" and "multi_department" not in kinds:
        return answer
    if answer.value == "enforcement_conduct" and _OFFICERS.search(text) and not kinds & {"settlement_failed", "multi_department"}:
        return answer
    if not (_BOUGHT.search(text) or any(f.type == "amount" for f in found) or kinds & _ABOUT_THE_TRADER):
        return answer
    for match in _DEMANDED.finditer(text):
        clause = _CLAUSE.split(text[max(0, match.start() - 12) : match.start()])[-1]
        end = _SENTENCE_END.search(text, match.end())
        if not _ASKING.search(clause) and not (end and end.group() == "?"):
            break
    else:
        if not ("extortion" in kinds or (kinds & _ABOUT_THE_TRADER and _own(demands))):
            return answer
    return Answer("complaint", _TOLD, "rule", answer.words, "complaint", answer.model)


_CLAUSE, _SENTENCE_END = re.compile(r"[,。;!?\n]"), re.compile(r"[。;!?\n]")
_TOLD = 0.6
_ABOUT_THE_TRADER = frozenset({"settlement_failed", "multi_department", "extortion"})


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
