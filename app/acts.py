"""The machine of a matter's legal life, as a table: its states, and for each act from which of them it may start, what it makes, who
may do it, by which article, and how many natural persons sign it (data/signatures.json). Pure: who carries an act out is app.settling.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from app import law
from app.errors import Conflict, Invalid

STATE_LABELS = {
    "pending_acceptance": "待受理", "pending_material": "待补正", "pending_dispatch": "待分派", "accepted": "已受理", "settling": "和解中", "delegated": "委托调解中",
    "mediating": "调解中", "appraising": "鉴定检测中", "suspended": "中止调解", "agreed": "达成协议", "terminated": "终止调解",
    "not_accepted": "不予受理", "withdrawn": "已撤回", "verifying": "核查中", "verified": "已核查", "case_opened": "已立案",
    "case_decided": "案件已处理", "case_not_opened": "不予立案", "transferred": "已移送", "not_handled_again": "不再另行处理", "registered": "已登记", "answered": "已答复",
    "merged": "与此前投诉合并办理", "history": "历史记录", "archived": "已归档", "ended": "平台已办结", "received": "已收到", "human": "人工登记中",
}  # fmt: skip
CLOSED = frozenset({
    "agreed", "terminated", "not_accepted", "withdrawn", "verified", "case_decided", "case_not_opened", "transferred", "not_handled_again",
    "answered", "merged", "history", "archived", "ended",
})  # fmt: skip

# The source of a matter that the bureau itself found: no portal's, so none is shown it, and nobody reported it.
FOUND = "bureau:found"

# -- the machine

REFUSAL_GROUNDS = tuple(f"16({n})" for n in range(1, 8))
TERMINATION_GROUNDS = tuple(f"23(1)({n})" for n in range(1, 9))
# What a termination under 23(1)(6) rests on.
SITUATIONS = (*REFUSAL_GROUNDS, "42")
FACTORS = tuple(f"17({n})" for n in range(1, 6))
# R2: when a closed dispute may be opened again; otherwise it is one that was handled, 16(2).
REOPENING_GROUNDS = ("own_error", "agreement_not_performed", "handled_by_merchant_or_odr_only")
WAITING = frozenset({"pending_acceptance", "pending_material", "pending_dispatch"})
# Of a matter that has just come to whoever is to handle it.
FIRST_STATES = {"complaint": "pending_acceptance", "report": "verifying", "other": "registered"}
FIRST_CLOCKS = {"complaint": "complaint.accept", "report": "clue.verify"}
MEDIATION = frozenset({"accepted", "settling", "delegated", "mediating", "appraising", "suspended"})
_DESK = ("intake", "mediator", "supervisor")


@dataclass(frozen=True, slots=True)
class Act:
    """sources: states it may start from; target: the state it makes, None: none (where it depends on more, see target()). grounds: of
    which one must be named. consents: gates (track, name) that must have passed: a word given to one way is
    none to another. person: a natural person's alone. basis: (law, article, paragraph
    or None) of each article it stands on. reasoned: must say why. takes: what else may be said (see DETAILS), needs: what must be.
    stops: the clock it ends, which must run."""

    label: str
    lanes: tuple[str, ...]
    sources: frozenset[str]
    target: str | None
    roles: tuple[str, ...]
    basis: tuple[tuple[str, int, int | None], ...]
    grounds: tuple[str, ...] = ()
    consents: tuple[tuple[str, str], ...] = ()
    person: bool = True
    reasoned: bool = False
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    stops: str | None = None

    @property
    def cited(self) -> str:
        return "、".join(law.cite(name, article, paragraph) for name, article, paragraph in self.basis)


def cite_ground(ground: str) -> str:
    """16(3) -> 《市场监督管理投诉举报处理办法》第十六条第三项; 23(1)(5) with its paragraph. A ground that is no article's is itself."""
    match ground.replace(")", "").split("("):
        case ["42"]:
            return law.cite(law.ORDER_121, 42)
        case ["16", item]:
            return law.cite(law.ORDER_121, 16, item=int(item))
        case ["23", paragraph, item]:
            return law.cite(law.ORDER_121, 23, int(paragraph), int(item))
        case _:
            return GROUND_LABELS.get(ground, ground)


def sentence_of(ground: str) -> str:
    """The words of 16(3), or of 42."""
    article, _, item = ground.rstrip(")").partition("(")
    return law.sentence(law.ORDER_121, int(article), int(item) if item else None)


GROUND_LABELS = {
    "own_error": "原办理有误", "agreement_not_performed": "协议未履行", "handled_by_merchant_or_odr_only": "此前仅由经营者或在线和解处理",
    "agreed": "协商一致", "sent_up": "报请共同的上一级市场监督管理部门指定", "penalised": "给予行政处罚", "not_penalised": "不予行政处罚",
    "moved_on": "移送其他机关处理", "reported": "经营者已报告缺陷", "not_a_defect": "不属于消费品缺陷", "applied": "双方已申请司法确认",
    "waived": "不申请司法确认",
}  # fmt: skip

# What an act may be told beside its ground and reason: field -> the values it may have, None: free or looked at by the act itself.
# to: whom it goes to: for quarrel, settle_quarrel and dispatch a district's code; for delegate the kind of body; for transfer and
# transfer_police the organ's name. into: the earlier report's id. partner_id: whom it is handed to. again: the
# letter of the same dispute (R2) that is joined to what is reopened.
BODIES = {
    "consumer_council": "消费者协会", "people_mediation": "人民调解委员会", "industry_association": "行业协会", "station": "消费维权服务站",
}  # fmt: skip
DETAILS: dict[str, tuple[str, ...] | None] = {
    "factors": FACTORS, "rests_on": SITUATIONS, "clock": ("clue.verify", "case.decide"), "kind": ("appraisal", "inspection"),
    "through": tuple(BODIES), "to": None, "into": None, "partner_id": None, "sheet": None, "again": None,
}  # fmt: skip


def _o121(*articles: int) -> tuple[tuple[str, int, int | None], ...]:
    return tuple((law.ORDER_121, a, None) for a in articles)


def _both_sides(track: str) -> tuple[tuple[str, str], ...]:
    return (track, "consumer_consent"), (track, "merchant_consent")


_ALL = ("complaint", "report", "other")
_DISPUTE, _CLUE = ("complaint",), ("report",)
# Reached a unit that has done nothing final about it yet.
_ARRIVED = WAITING | {"verifying", "registered"}
_OPEN = frozenset(STATE_LABELS) - CLOSED - {"received", "human"}
_LASTING = frozenset(STATE_LABELS) - {"merged", "history", "received", "human"}
ACTS: dict[str, Act] = {
    "ask_material": Act(
        "要求补正材料", _DISPUTE, frozenset({"pending_acceptance"}), "pending_material", _DESK, _o121(10), reasoned=True
    ),
    "accept": Act("受理", _DISPUTE, WAITING, "accepted", _DESK, _o121(15)),
    "refuse": Act("不予受理", _DISPUTE, WAITING, "not_accepted", _DESK, _o121(16), REFUSAL_GROUNDS, reasoned=True),
    "settle": Act(
        "线上和解", _DISPUTE, WAITING | {"accepted"}, "settling", _DESK, _o121(6, 18), consents=(("t1", "consumer_choice"), ("t1", "odr_enterprise")), takes=("partner_id",),
    ),
    "delegate": Act(
        "委托调解", _DISPUTE, frozenset({"accepted", "mediating"}), "delegated", _DESK, _o121(19), consents=_both_sides("t2"), takes=("to", "partner_id")
    ),
    "mediate": Act(
        "组织调解", _DISPUTE, frozenset({"accepted", "settling", "delegated"}), "mediating", _DESK, _o121(18), consents=_both_sides("t3")
    ),
    # Of a report it is the verification or the case whose days are not counted.
    "appraise": Act(
        "鉴定、检测", ("complaint", "report"), frozenset({"accepted", "mediating", "delegated", "verifying", "case_opened"}), "appraising", _DESK,
        _o121(22), reasoned=True, takes=("kind",),
    ),
    "suspend": Act("中止调解（回避）", _DISPUTE, frozenset({"mediating"}), "suspended", _DESK, _o121(21), reasoned=True),
    "resume": Act("恢复办理", ("complaint", "report"), frozenset({"appraising", "suspended"}), "mediating", _DESK, _o121(21, 22)),
    "agree": Act("达成协议", _DISPUTE, WAITING | MEDIATION, "agreed", _DESK, _o121(24), takes=("through",)),
    "terminate": Act(
        "终止调解", _DISPUTE, MEDIATION, "terminated", _DESK, _o121(23), TERMINATION_GROUNDS, reasoned=True, takes=("rests_on",)
    ),
    # The complainant's own act, through his portal or at the desk.
    "withdraw": Act("撤回投诉", _DISPUTE, WAITING | MEDIATION, "withdrawn", ("portal", *_DESK), ((law.ORDER_121, 23, 1),), person=False),
    "reopen": Act(
        "重新办理", _DISPUTE, frozenset({"agreed", "terminated", "not_accepted", "withdrawn", "ended"}), "accepted", ("intake", "supervisor"),
        _o121(26), REOPENING_GROUNDS, reasoned=True, takes=("again",),
    ),
    "transfer_police": Act(
        "移送公安机关", ("complaint", "report"), WAITING | MEDIATION | {"verifying"}, "transferred", _DESK, _o121(42), reasoned=True,
        takes=("to",),
    ),
    "find_factors": Act("认定第十七条因素", _DISPUTE, WAITING | MEDIATION, None, _DESK, _o121(17), reasoned=True, needs=("factors",), takes=("sheet",)),
    # A clue found in mediation is verified beside it; whoever only mediates does not learn what becomes of it (Art. 37).
    "find_clue": Act(
        "发现违法线索", _DISPUTE, MEDIATION, None, _DESK, ((law.ORDER_121, 27, 1), (law.ORDER_121, 27, 2)), reasoned=True
    ),
    # Who is competent (Art. 33), and the intake desk's power to send (Art. 41).
    "quarrel": Act("处理权限争议", ("complaint", "report"), WAITING | {"verifying"}, None, _DESK, _o121(33), needs=("to",)),
    "settle_quarrel": Act(
        "处理权限争议解决", ("complaint", "report"), WAITING | {"verifying"}, None, _DESK, _o121(33), ("agreed", "sent_up"), takes=("to",),
        stops="jurisdiction.quarrel",
    ),
    "return": Act(
        "退回统一接收机构", _ALL, _ARRIVED - {"pending_dispatch"}, "pending_dispatch", ("mediator", "supervisor"), ((law.ORDER_121, 41, 2),),
        reasoned=True,
    ),
    "dispatch": Act("分送", _ALL, _ARRIVED, "pending_acceptance", ("intake",), ((law.ORDER_121, 41, 1),), needs=("to",)),
    "extend": Act(
        "延长期限", _CLUE, frozenset({"verifying", "case_opened"}), None, _DESK, ((law.ORDER_121, 27, 1),), reasoned=True, takes=("clock",)
    ),
    "verify": Act("核查完毕", _CLUE, frozenset({"verifying"}), "verified", _DESK, _o121(27)),
    "open_case": Act(
        "立案", _CLUE, frozenset({"verifying", "verified"}), "case_opened", _DESK,
        ((law.PENALTY_PROCEDURE, 18, None), (law.PENALTY_PROCEDURE, 19, None)),
    ),
    "not_open_case": Act(
        "不予立案", _CLUE, frozenset({"verifying", "verified"}), "case_not_opened", _DESK, ((law.PENALTY_PROCEDURE, 20, None),), reasoned=True
    ),
    "decide_case": Act(
        "作出处理决定", _CLUE, frozenset({"case_opened"}), "case_decided", _DESK, ((law.PENALTY_PROCEDURE, 64, 1),),
        ("penalised", "not_penalised", "moved_on"), reasoned=True,
    ),
    "transfer": Act("移送其他机关", _CLUE, frozenset({"verifying"}), "transferred", _DESK, _o121(34), reasoned=True, takes=("to", "partner_id")),
    # Registered is a report of facts that were reported before (R5), until a person says whether it is handled anew.
    "take_up": Act("按新的举报核查", _CLUE, frozenset({"registered"}), "verifying", _DESK, ((law.ORDER_121, 35, 2),)),
    "not_again": Act("不再另行处理", _CLUE, frozenset({"verifying", "registered"}), "not_handled_again", _DESK, _o121(35), reasoned=True),
    "merge_report": Act(
        "合并举报", _CLUE, frozenset({"verifying", "registered", "pending_dispatch"}), "merged", _DESK, ((law.ORDER_121, 35, 2),), needs=("into",)
    ),
    "answer": Act("告知途径", ("other",), frozenset({"registered", "pending_dispatch"}), "answered", _DESK, _o121(44)),
    # What is still owed to somebody, and ends its clock.
    "tell_both": Act(
        "告知双方终止调解", _DISPUTE, frozenset({"terminated", "withdrawn", "transferred", "archived"}), None, _DESK,
        ((law.ORDER_121, 23, 2),), stops="complaint.terminate_notice",
    ),
    "end_confirmation": Act(
        "司法确认", _DISPUTE, frozenset({"agreed", "archived"}), None, _DESK, ((law.MEDIATION_LAW, 33, 1),), ("applied", "waived"),
        stops="judicial_confirm",
    ),
    "end_defect": Act(
        "缺陷报告", ("complaint", "report"), _LASTING, None, _DESK, ((law.RECALL_RULES, 8, 1),), ("reported", "not_a_defect"), reasoned=True,
        stops="defect.report",
    ),
    "reply_hotline": Act("答复12345热线", _ALL, _OPEN, None, _DESK, (), stops="hotline12345.reply"),
    "archive": Act("归档", _ALL, CLOSED - {"archived", "merged", "history"}, "archived", ("intake", "supervisor"), ()),
}  # fmt: skip


def target(act: str, matter: Any, *, came_from: str | None = None, elsewhere: bool | None = None) -> str:
    """The state the act makes. came_from: whence an appraisal or a suspension interrupted the mediation. elsewhere: of what goes to
    another bureau, whether that is outside this deployment; None: it stays."""
    if elsewhere is not None:
        return "transferred" if elsewhere else FIRST_STATES[matter["lane"]]
    if act == "resume":
        return came_from or ("mediating" if matter["lane"] == "complaint" else "verifying")
    if act == "transfer_police" and matter["lane"] == "complaint" and matter["state"] in MEDIATION:
        return "terminated"  # Art. 42 is a situation that ends a mediation: 23(1)(6)
    return ACTS[act].target or str(matter["state"])


@dataclass(frozen=True, slots=True)
class Signing:
    """How many natural persons sign, which share of those signed by one is looked at by a second afterwards, and which role the last
    who signs must have, None: any that may do the act."""

    persons: int
    sampled: float = 0.0
    last: str | None = None


@lru_cache(maxsize=1)
def _signatures() -> dict[str, Any]:
    return dict(json.loads((files("app") / "data" / "signatures.json").read_text("utf-8")))


def signing(act: str, ground: str | None = None) -> Signing:
    given = _signatures()["acts"].get(act, {})
    raw = given.get(ground) or given.get("*") or _signatures()["default"]
    return Signing(raw["persons"], raw.get("sampled", 0.0), raw.get("last"))


def require_detail(act: str, ground: str | None, detail: Mapping[str, Any]) -> None:
    """Raises Invalid, naming the field, for what the act does not take, lacks, or has another value than it may."""
    wanted = ACTS[act]
    needs = (
        *wanted.needs,
        *({("terminate", "23(1)(6)"): ("rests_on",), ("settle_quarrel", "agreed"): ("to",)}.get((act, ground or ""), ())),
    )
    for field, value in detail.items():
        if field not in (*wanted.takes, *wanted.needs):
            raise Invalid.field(field, f"{act} takes no {field}")
        allowed = tuple(BODIES) if (act, field) == ("delegate", "to") else DETAILS[field]
        given = value if field == "factors" else [value]
        if not given or (allowed is not None and not set(given) <= set(allowed)):
            raise Invalid.field(field, f"must name some of {', '.join(allowed or ())}")
    for field in needs:
        if field not in detail:
            allowed = DETAILS[field]
            raise Invalid.field(field, f"must be one of {', '.join(allowed)}" if allowed else f"{act} needs it")
    if "rests_on" in detail and ground != "23(1)(6)":
        raise Invalid.field("rests_on", "only 23(1)(6) rests on a situation of Art. 16 or 42")


def require(act: str, matter: Any, ground: str | None = None) -> Act:
    """The act, where it may start from the matter as it stands. Raises Invalid for an unknown act or ground, Conflict otherwise."""
    if act not in ACTS:
        raise Invalid.field("act", f"must be one of {', '.join(ACTS)}")
    wanted = ACTS[act]
    if wanted.grounds and ground not in wanted.grounds:
        raise Invalid.field("ground", f"must be one of {', '.join(wanted.grounds)}")
    if ground is not None and not wanted.grounds:
        raise Invalid.field("ground", f"{act} has no grounds")
    if matter["lane"] not in wanted.lanes:
        raise Conflict(f"{wanted.label}: only for {', '.join(wanted.lanes)}; this matter is {matter['lane']}")
    if matter["state"] not in wanted.sources:
        raise Conflict(f"{wanted.label}: not from {STATE_LABELS[matter['state']]}")
    return wanted
