"""What a policy is made of: facts, cells, rows, gates, fall-backs, references to the law."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from app import law

TRACK_LABELS = {
    "t1": "线上和解", "t2": "社会联调", "t3": "行政联处", "intake": "人工分派", "clue": "线索核查", "emergency": "紧急处置",
    "none": "已登记",
}  # fmt: skip
# "none" is kept for copies and confident enquiries: a row that sends a complaint there would bury it.
ROW_TRACKS = tuple(t for t in TRACK_LABELS if t != "none")
# How much authority a track brings; "more harm is never lighter" is said in this order.
LADDER = {"none": 0, "intake": 1, "clue": 2, "t1": 2, "t2": 3, "t3": 4, "emergency": 5}
SIGNS = {"one_person": "一人签署", "one_person_sampled": "一人签署并抽查", "two_persons": "两人签署"}
STATUSES = {"law": "法定", "design_choice": "设计选择", "unverified": "待核实"}
TERMINATE = "terminate"
CAUSES = {
    "gate_failed": "前提未满足或者被排除", "no_agreement": "未达成协议", "time": "期限届满", "delegation_refused": "不同意委托调解",
    "mediation_refused": "拒绝调解", "unreachable": "联系不到被投诉人",
}  # fmt: skip
DRAFT = date.max  # valid_from of what was not published: never in force


# -- facts


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision may know. None: nobody said. Facts stored before a field existed have its default.

    harm, incident_harm: none, low (feared, denied or heard), medium, high; of this matter, and the gravest of its incident.
    incident_people: distinct, over complaints. incident_excess: the incident exceeds its merchant's own base rate (True
    where no base rate is known: a threshold then counts as it stands). failed_track: what was tried before, none, t1, t2.
    collusion_signal: several people, one wording; extortion_signal: the writer threatens and demands more than any law gives. A
    person looks at them, nothing is refused for them. mediation_wanted: by consumer council, people's mediation or the like.
    """

    lane: str
    kind: str
    harm: str = "none"
    safety_goods: bool = False
    safety_signal: bool = False
    merchant_vanished: bool = False
    prepaid: bool = False
    vulnerable: bool = False
    punitive: bool = False
    amount_fen: int = 0
    incident_people: int = 0
    person_complaints: int = 0
    odr_live: bool | None = None
    odr_reply_rate: float | None = None
    chose_odr: bool | None = None
    delegate_consent: bool | None = None
    incident_districts: int = 1
    incident_excess: bool = True
    incident_harm: str = "none"
    media: bool = False
    group_action: bool = False
    minors_harm: bool = False
    suspected_fraud: bool = False
    merchant_unreachable: bool = False
    multi_department: bool = False
    failed_track: str = "none"
    collusion_signal: bool = False
    odr_exit: bool = False
    new_economy: bool = False
    extortion_signal: bool = False
    mediation_wanted: bool = False

    @property
    def incident_significant(self) -> bool:
        """A number of people routes only where this is true: big merchants are always above three."""
        return self.incident_excess or self.incident_harm in ("medium", "high")

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FACT_NAMES}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> "Facts":
        """From a decision's facts, of this or an earlier version of the program."""
        try:
            return cls(**stored)
        except TypeError:
            return cls(**{k: v for k, v in stored.items() if k in FACT_NAMES})


FACT_NAMES = tuple(f.name for f in fields(Facts))


@dataclass(frozen=True, slots=True)
class Field:
    """What a cell may ask of a fact. type: flag (yes or no), maybe (or unknown), choice, scale (choices in order), count
    (whole, from 0), rate (0 to 1, or unknown). choices: value -> what bureau users read."""

    name: str
    label: str
    type: str
    choices: Mapping[str, str] = dataclasses.field(default_factory=dict)


_HARMS = {"none": "无", "low": "疑似或否认", "medium": "有", "high": "严重或死亡"}
# In the order of the columns of a sheet, which is also the order of a row's cells in its canonical form.
FIELDS = {
    f.name: f
    for f in (
        Field("lane", "事项类别", "choice", {"complaint": "投诉", "report": "举报", "other": "其他"}),
        Field(
            "kind", "来件性质", "choice",
            {
                "complaint": "投诉", "report": "举报", "both": "投诉并举报", "enquiry": "咨询", "enforcement_conduct": "反映执法行为",
                "other_department": "其他部门事项", "petition": "信访", "information_request": "政府信息公开", "emergency": "紧急情况",
            },
        ),
        Field("harm", "人身伤害", "scale", _HARMS),
        Field("safety_goods", "属三品一特", "flag"),
        Field("safety_signal", "安全风险信号", "flag"),
        Field("minors_harm", "未成年人受到伤害", "flag"),
        Field("incident_harm", "同一事件的人身伤害", "scale", _HARMS),
        Field("incident_people", "同一事件的投诉人数", "count"),
        Field("incident_districts", "同一事件涉及的区县数", "count"),
        Field("incident_excess", "超出该经营者常态", "flag"),
        Field("incident_significant", "超出常态或有人受伤", "flag"),
        Field("merchant_vanished", "经营者关门失联", "flag"),
        Field("merchant_unreachable", "联系不到被投诉人", "flag"),
        Field("suspected_fraud", "涉嫌欺诈", "flag"),
        Field("multi_department", "涉及多个部门", "flag"),
        Field("media", "媒体或公众关注", "flag"),
        Field("group_action", "群体性聚集", "flag"),
        Field("collusion_signal", "疑似串联信号", "flag"),
        Field("extortion_signal", "疑似敲诈信号", "flag"),
        Field("failed_track", "此前未成功的轨道", "choice", {"none": "无", "t1": "线上和解", "t2": "社会联调"}),
        Field("mediation_wanted", "请求社会组织调解", "flag"),
        Field("prepaid", "预付式消费", "flag"),
        Field("vulnerable", "老年人未成年人孕产妇", "flag"),
        Field("amount_fen", "争议金额（分）", "count"),
        Field("punitive", "要求惩罚性赔偿", "flag"),
        Field("person_complaints", "同一投诉人的投诉件数", "count"),
        Field("odr_live", "在册ODR企业", "maybe"),
        Field("odr_exit", "ODR企业退出中", "flag"),
        Field("odr_reply_rate", "ODR企业答复率", "rate"),
        Field("chose_odr", "消费者选择线上和解", "maybe"),
        Field("delegate_consent", "消费者同意委托调解", "maybe"),
        Field("new_economy", "四新经济", "flag"),
    )
}  # fmt: skip
OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in")


# -- a policy


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    state: str
    basis: str


@dataclass(frozen=True, slots=True)
class Decided:
    """reasons: [{text, legal_basis, references, facts}] in Chinese: the row's, then one per fall-back, then the notes.
    alternative: the track a failed gate or term would lead to. left: (track, gate) of the failed gates of tracks it fell from."""

    track: str
    rule: str
    reasons: Sequence[Mapping[str, Any]]
    gates: list[Gate]
    alternative: str | None
    sign: str
    left: Sequence[tuple[str, Gate]] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """value: as written, '@key' for a threshold; limits: the constants that a fact is compared with; test: whether it passes."""

    field: str
    operator: str
    value: Any
    limits: tuple[Any, ...]
    test: Callable[[Any], bool] = dataclasses.field(compare=False)

    def matches(self, facts: Facts) -> bool:
        return self.test(getattr(facts, self.field))


Tests = tuple[tuple[Callable[[Any], Any], Callable[[Any], bool]], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """said: {text, legal_basis, references, facts}, its reason as a decision keeps it; facts: what it rests on. fails: of an exclusion
    that is one of the track's gates failing, that gate."""

    id: str
    name: str
    cells: tuple[Cell, ...]
    track: str
    said: Mapping[str, Any]
    sign: str
    tests: Tests = dataclasses.field(repr=False)
    fails: Gate | None = None


@dataclass(frozen=True, slots=True)
class GateRule:
    """fact: which fact of the arrival decides it; None: only a later act can (the merchant's consent never can at arrival)."""

    name: str
    basis: str
    fact: str | None
    said: Mapping[str, Any]
    states: Mapping[bool | None, Gate]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A day that ends a track: `before` working days ahead of a clock's due day, or day `day` since that clock's start."""

    clock: str
    before: int = 0
    day: int | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """to: a track, or TERMINATE with the ground's number in Art. 23(1): a person's act then. by: the earliest counts."""

    track: str
    cause: str
    to: str
    reason: str
    legal_basis: str
    ground: int | None
    by: tuple[Deadline, ...]


@dataclass(frozen=True, eq=False)
class Policy:
    """hash: of the canonical content; names the version for ever. versions: the hashes this is made of, the narrowest
    first (several where a place only changes thresholds). rows: empty where it is thresholds only."""

    hash: str
    name: str
    jurisdiction: str
    valid_from: date
    thresholds: Mapping[str, float]
    rows: tuple[Row, ...]
    gates: Mapping[str, tuple[GateRule, ...]]
    exclusions: Mapping[str, tuple[Row, ...]]
    fallbacks: Mapping[tuple[str, str], Fallback]
    notes: tuple[Row, ...]
    versions: tuple[str, ...]
    content: Mapping[str, Any] = dataclasses.field(repr=False)
    # lane -> rows that may match there, without the cells the lane already answers
    table: Mapping[str, tuple[tuple[Tests, Row], ...]] = dataclasses.field(repr=False)

    @property
    def whole(self) -> bool:
        return bool(self.rows)


# -- legal bases

LAWS = {name: law.load(name).short for name in law.laws()}
_REFERENCE = re.compile(r"([a-z][a-z0-9-]*):(\d{1,3})(?:\.(\d{1,3}))?(?:\((\d{1,3})\))?", re.ASCII)


def cite(references: Iterable[Mapping[str, Any]]) -> str:
    """《甲》第十二条、第十九条；《乙》第四十七条第二款；… The one place where a reference becomes words."""
    parts: list[tuple[str, list[str]]] = []
    for one in references:
        name = LAWS.get(one.get("law", ""), "")
        words = one.get("text") or law.cite(one["law"], one["article"], one.get("paragraph"), one.get("item")).removeprefix(name)
        if parts and name and parts[-1][0] == name:
            parts[-1][1].append(words)
        else:
            parts.append((name, [words]))
    return "；".join(name + "、".join(words) for name, words in parts)


def looks_like_reference(text: str) -> bool:
    return bool(_REFERENCE.fullmatch(text))


def read_reference(text: str) -> dict[str, Any]:
    """order-121:16.1(2) is Art. 16, paragraph 1, item 2; anything else is a basis in words."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return {"text": text}
    numbers = {k: int(v) for k, v in zip(("article", "paragraph", "item"), found.groups()[1:], strict=True) if v}
    return {"law": found[1], **numbers}


def write_reference(reference: Mapping[str, Any]) -> str:
    if "text" in reference:
        return str(reference["text"])
    paragraph = f".{reference['paragraph']}" if "paragraph" in reference else ""
    item = f"({reference['item']})" if "item" in reference else ""
    return f"{reference['law']}:{reference['article']}{paragraph}{item}"
