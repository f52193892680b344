"""Which track, by which row, and why: pure, versioned, replayable.

A policy is a table of rows of typed cells; the first row that matches wins and the last one matches everything. The
track is a proposal with gates: open and passed gates keep it, only a failed gate falls back. No row here can refuse a
complaint or mark a person.
"""

import hashlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

from app.codes import shipped
from app.database import Connection
from app.errors import Invalid, Unavailable

TRACK_LABELS = {
    "t1": "线上和解", "t2": "社会联调", "t3": "行政联处", "intake": "人工分派", "clue": "线索核查", "emergency": "紧急处置",
    "none": "已登记",
}  # fmt: skip
_FALLBACK = {"t1": "t2", "t2": "t3"}
SIGNS = ("one_person", "one_person_sampled", "two_persons")

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
    "in": lambda value, allowed: value in allowed,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision may know. harm: none, low (feared or denied), medium, high. None: nobody said."""

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

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FACT_NAMES}


_FACT_NAMES = tuple(f.name for f in fields(Facts))
_FIELD_TYPES: dict[str, type] = {
    "lane": str, "kind": str, "harm": str, "safety_goods": bool, "safety_signal": bool, "merchant_vanished": bool,
    "prepaid": bool, "vulnerable": bool, "punitive": bool, "amount_fen": int, "incident_people": int, "person_complaints": int,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    state: str
    basis: str


@dataclass(frozen=True, slots=True)
class Decided:
    """reasons: [{text, legal_basis}] in Chinese; alternative: the track a failed gate or term would lead to."""

    track: str
    rule: str
    reasons: list[dict[str, str]]
    gates: list[Gate]
    alternative: str | None
    sign: str


@dataclass(frozen=True, slots=True)
class Cell:
    field: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    name: str
    cells: tuple[Cell, ...]
    track: str
    reason: str
    legal_basis: str
    sign: str


@dataclass(frozen=True, slots=True)
class Policy:
    """hash: of the canonical content; names the version for ever."""

    hash: str
    name: str
    jurisdiction: str
    valid_from: date
    thresholds: Mapping[str, float]
    rows: tuple[Row, ...]
    content: Mapping[str, Any] = field(repr=False, default_factory=dict)


def parse(content: Mapping[str, Any]) -> Policy:
    """Raises Invalid naming each bad cell."""
    errors: list[dict[str, str]] = []
    thresholds = dict(content["thresholds"])
    rows: list[Row] = []
    for number, raw in enumerate(content["rows"]):
        place = f"rows[{number}] ({raw.get('id', '?')})"
        cells = []
        for column, cell in enumerate(raw["when"]):
            where = f"{place}.when[{column}]"
            expected = _FIELD_TYPES.get(cell["field"])
            value = cell["value"]
            if isinstance(value, str) and value.startswith("@"):
                if value[1:] not in thresholds:
                    errors.append({"field": where, "message": f"unknown threshold {value}"})
                    continue
                value = thresholds[value[1:]]
            if expected is None:
                errors.append({"field": where, "message": f"unknown field {cell['field']}"})
            elif cell["op"] not in _OPERATORS:
                errors.append({"field": where, "message": f"unknown operator {cell['op']}"})
            elif any(type(v) is not expected for v in (value if cell["op"] == "in" else [value])):
                errors.append({"field": where, "message": f"{cell['field']} needs {expected.__name__}"})
            else:
                cells.append(Cell(cell["field"], cell["op"], frozenset(value) if cell["op"] == "in" else value))
        if raw["track"] not in TRACK_LABELS:
            errors.append({"field": f"{place}.track", "message": f"unknown track {raw['track']}"})
        if raw["sign"] not in SIGNS:
            errors.append({"field": f"{place}.sign", "message": f"unknown signature {raw['sign']}"})
        if not raw["when"] and number != len(content["rows"]) - 1:
            errors.append({"field": place, "message": "rows after a row without conditions can't be reached"})
        rows.append(Row(raw["id"], raw["name"], tuple(cells), raw["track"], raw["reason"], raw["legal_basis"], raw["sign"]))
    if not rows or rows[-1].cells:
        errors.append({"field": "rows", "message": "the last row must be a default without conditions"})
    if errors:
        raise Invalid("the policy can't be used", errors=errors)
    return Policy(
        content_hash(content), content["name"], content["jurisdiction"], date.fromisoformat(content["valid_from"]),
        thresholds, tuple(rows), content,
    )  # fmt: skip


def content_hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]


def decide(policy: Policy, facts: Facts) -> Decided:
    """Total and deterministic: every fact sheet gets exactly one track."""
    row = next(r for r in policy.rows if all(_OPERATORS[c.operator](getattr(facts, c.field), c.value) for c in r.cells))
    reasons = [{"text": row.reason, "legal_basis": row.legal_basis}]
    track = row.track
    gates = _gates(track, facts, policy)
    while any(g.state == "failed" for g in gates) and track in _FALLBACK:
        failed = next(g for g in gates if g.state == "failed")
        fallback = _FALLBACK[track]
        reasons.append(
            {
                "text": f"{TRACK_LABELS[track]}的前提未满足（{failed.basis}），转为建议{TRACK_LABELS[fallback]}",
                "legal_basis": row.legal_basis,
            }
        )
        track = fallback
        gates = _gates(track, facts, policy)
    return Decided(track, row.id, reasons, gates, _FALLBACK.get(track), row.sign)


def _gates(track: str, facts: Facts, policy: Policy) -> list[Gate]:
    def three(value: bool | None) -> str:
        return "open" if value is None else "passed" if value else "failed"

    if track == "t1":
        live = facts.odr_live
        basis = "被投诉人是否为在册ODR企业"
        if live and facts.odr_reply_rate is not None and facts.odr_reply_rate < policy.thresholds["odr.reply_rate"]:
            live, basis = False, "该ODR企业答复率低于要求"
        return [
            Gate("odr_enterprise", three(live), basis),
            Gate("consumer_choice", three(facts.chose_odr), "消费者是否选择线上和解"),
        ]
    if track == "t2":
        return [
            Gate("accepted", "open", "市场监管部门受理后方可委托调解（第十九条）"),
            Gate("consumer_consent", three(facts.delegate_consent), "投诉人是否同意委托调解（第十九条）"),
            Gate("merchant_consent", "open", "被投诉人是否同意委托调解（第十九条）"),
        ]
    if track == "t3":
        return [
            Gate("accepted", "open", "市场监管部门受理（第十五条）"),
            Gate("consumer_consent", "open", "投诉人是否同意调解（第十八条）"),
            Gate("merchant_consent", "open", "被投诉人是否同意调解（第十八条）"),
        ]
    return []


async def seed(connection: Connection) -> None:
    """Publishes the shipped default where no policy is in force."""
    if await connection.fetchval("SELECT count(*) FROM policy"):
        return
    content = shipped("policy")
    policy = parse(content)
    await connection.execute(
        "INSERT INTO policy (hash, name, jurisdiction, valid_from, content, published_by) VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (hash) DO NOTHING",
        policy.hash, policy.name, policy.jurisdiction, policy.valid_from, json.dumps(content, ensure_ascii=False), "shipped",
    )  # fmt: skip


async def load(connection: Connection) -> list[Policy]:
    """All versions, the latest valid first."""
    rows = await connection.fetch("SELECT content FROM policy ORDER BY valid_from DESC, published_at DESC")
    return [parse(r["content"]) for r in rows]


def in_force(policies: Sequence[Policy], on: date, jurisdiction: str) -> Policy:
    """The date of decision picks the policy: the latest of the narrowest jurisdiction."""
    valid = [p for p in policies if p.valid_from <= on and jurisdiction.startswith(p.jurisdiction)]
    if not valid:
        raise Unavailable(f"no policy is in force on {on} for {jurisdiction}")
    return max(valid, key=lambda p: len(p.jurisdiction))
