"""The machine of a matter's legal life, as a table: its states, and for each act from which of them it may start, what it makes, who
may do it, by which article, and how many natural persons sign it (data/signatures.json). Pure: who carries an act out is app.settling.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from app import law
from app.errors import Conflict, Invalid

STATE_LABELS = {
    "pending_acceptance": "待受理", "pending_material": "待补正", "accepted": "已受理", "settling": "和解中", "delegated": "委托调解中",
    "mediating": "调解中", "appraising": "鉴定检测中", "suspended": "中止调解", "agreed": "达成协议", "terminated": "终止调解",
    "not_accepted": "不予受理", "withdrawn": "已撤回", "verifying": "核查中", "verified": "已核查", "case_opened": "已立案",
    "case_not_opened": "不予立案", "transferred": "已移送", "not_handled_again": "不再另行处理", "registered": "已登记", "answered": "已答复",
    "merged": "与此前投诉合并办理", "history": "历史记录", "archived": "已归档", "received": "已收到", "human": "人工登记中",
}  # fmt: skip
CLOSED = frozenset({
    "agreed", "terminated", "not_accepted", "withdrawn", "verified", "case_opened", "case_not_opened", "transferred", "not_handled_again",
    "answered", "merged", "history", "archived",
})  # fmt: skip

# -- the machine

REFUSAL_GROUNDS = tuple(f"16({n})" for n in range(1, 8))
TERMINATION_GROUNDS = tuple(f"23(1)({n})" for n in range(1, 9))
# R2: when a closed dispute may be opened again; otherwise it is one that was handled, 16(2).
REOPENING_GROUNDS = ("own_error", "agreement_not_performed", "handled_by_merchant_or_odr_only")
WAITING = frozenset({"pending_acceptance", "pending_material"})
MEDIATION = frozenset({"accepted", "settling", "delegated", "mediating", "appraising", "suspended"})
_DESK = ("intake", "mediator", "supervisor")


@dataclass(frozen=True, slots=True)
class Act:
    """sources: states it may start from; target: the state it makes, None: none. grounds: of which one must be named. consents: gates
    that must have passed. person: a natural person's alone. basis: (law, article, paragraph or None) of each article it stands on."""

    label: str
    lanes: tuple[str, ...]
    sources: frozenset[str]
    target: str | None
    roles: tuple[str, ...]
    basis: tuple[tuple[str, int, int | None], ...]
    grounds: tuple[str, ...] = ()
    consents: tuple[str, ...] = ()
    person: bool = True

    @property
    def cited(self) -> str:
        return "、".join(law.cite(name, article, paragraph) for name, article, paragraph in self.basis)


def cite_ground(ground: str) -> str:
    """16(3) -> 《市场监督管理投诉举报处理办法》第十六条第三项; 23(1)(5) with its paragraph. A ground that is no article's is itself."""
    match ground.replace(")", "").split("("):
        case ["16", item]:
            return law.cite(law.ORDER_121, 16, item=int(item))
        case ["23", paragraph, item]:
            return law.cite(law.ORDER_121, 23, int(paragraph), int(item))
        case _:
            return _REOPENING_LABELS.get(ground, ground)


_REOPENING_LABELS = {
    "own_error": "原办理有误", "agreement_not_performed": "协议未履行", "handled_by_merchant_or_odr_only": "此前仅由经营者或在线和解处理",
}  # fmt: skip


def _o121(*articles: int) -> tuple[tuple[str, int, int | None], ...]:
    return tuple((law.ORDER_121, a, None) for a in articles)


_BOTH_SIDES = ("consumer_consent", "merchant_consent")
ACTS: dict[str, Act] = {
    "ask_material": Act("要求补正材料", ("complaint",), frozenset({"pending_acceptance"}), "pending_material", _DESK, _o121(10)),
    "accept": Act("受理", ("complaint",), WAITING, "accepted", _DESK, _o121(15)),
    "refuse": Act("不予受理", ("complaint",), WAITING, "not_accepted", _DESK, _o121(16), REFUSAL_GROUNDS),
    "settle": Act(
        "线上和解", ("complaint",), WAITING | {"accepted"}, "settling", _DESK, _o121(6, 18),
        consents=("consumer_choice", "odr_enterprise"),
    ),
    "delegate": Act("委托调解", ("complaint",), frozenset({"accepted", "mediating"}), "delegated", _DESK, _o121(19), consents=_BOTH_SIDES),
    "mediate": Act(
        "组织调解", ("complaint",), frozenset({"accepted", "settling", "delegated"}), "mediating", _DESK, _o121(18), consents=_BOTH_SIDES
    ),
    "appraise": Act("鉴定、检测", ("complaint",), frozenset({"mediating", "delegated"}), "appraising", _DESK, _o121(22)),
    "suspend": Act("中止调解（回避）", ("complaint",), frozenset({"mediating"}), "suspended", _DESK, _o121(21)),
    "resume": Act("恢复调解", ("complaint",), frozenset({"appraising", "suspended"}), "mediating", _DESK, _o121(21, 22)),
    "agree": Act("达成协议", ("complaint",), WAITING | MEDIATION, "agreed", _DESK, _o121(24)),
    "terminate": Act("终止调解", ("complaint",), MEDIATION, "terminated", _DESK, _o121(23), TERMINATION_GROUNDS),
    # The complainant's own act, through his portal or at the desk.
    "withdraw": Act("撤回投诉", ("complaint",), WAITING | MEDIATION, "withdrawn", ("portal", *_DESK), ((law.ORDER_121, 23, 1),), person=False),
    "reopen": Act(
        "重新办理", ("complaint",), frozenset({"agreed", "terminated", "not_accepted", "withdrawn"}), "accepted", ("intake", "supervisor"),
        _o121(26), REOPENING_GROUNDS,
    ),
    "transfer_police": Act(
        "移送公安机关", ("complaint", "report"), WAITING | MEDIATION | {"verifying"}, "transferred", ("intake", "mediator", "supervisor"), _o121(42)
    ),
    "find_factors": Act("认定第十七条因素", ("complaint",), WAITING | MEDIATION, None, _DESK, _o121(17)),
    "extend": Act("延长核查期限", ("report",), frozenset({"verifying"}), None, ("intake", "supervisor"), _o121(27)),
    "verify": Act("核查完毕", ("report",), frozenset({"verifying"}), "verified", _DESK, _o121(27)),
    "open_case": Act("立案", ("report",), frozenset({"verifying", "verified"}), "case_opened", ("intake", "supervisor"), ((law.PENALTY_PROCEDURE, 18, None), (law.PENALTY_PROCEDURE, 19, None))),
    "not_open_case": Act("不予立案", ("report",), frozenset({"verifying", "verified"}), "case_not_opened", ("intake", "supervisor"), ((law.PENALTY_PROCEDURE, 20, None),)),
    "transfer": Act("移送其他机关", ("report",), frozenset({"verifying"}), "transferred", ("intake", "supervisor"), _o121(34)),
    "not_again": Act("不再另行处理", ("report",), frozenset({"verifying"}), "not_handled_again", ("intake", "supervisor"), _o121(35)),
    "answer": Act("告知途径", ("other",), frozenset({"registered"}), "answered", _DESK, _o121(44)),
    "archive": Act("归档", ("complaint", "report", "other"), CLOSED - {"archived", "merged", "history"}, "archived", ("intake", "supervisor"), ()),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signing:
    """How many natural persons sign, and which share of those signed by one is looked at by a second afterwards."""

    persons: int
    sampled: float = 0.0


@lru_cache(maxsize=1)
def _signatures() -> dict[str, Any]:
    return dict(json.loads((files("app") / "data" / "signatures.json").read_text("utf-8")))


def signing(act: str, ground: str | None = None) -> Signing:
    given = _signatures()["acts"].get(act, {})
    raw = given.get(ground) or given.get("*") or _signatures()["default"]
    return Signing(raw["persons"], raw.get("sampled", 0.0))


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
