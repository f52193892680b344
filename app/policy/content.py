"""Content in, policy out: every cell that can't be read is named with its place. What a policy that can be read must not say
is looked for by proving."""

import hashlib
import json
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from app import law
from app.codes import shipped
from app.errors import Invalid
from app.policy.language import (
    CAUSES,
    DRAFT,
    FACT_NAMES,
    FIELDS,
    LADDER,
    LAWS,
    OPERATORS,
    ROW_TRACKS,
    SIGNS,
    STATUSES,
    TERMINATE,
    TRACK_LABELS,
    Cell,
    Deadline,
    Facts,
    Fallback,
    Field,
    Gate,
    GateRule,
    Policy,
    Row,
    Tests,
    cite,
    looks_like_reference,
)

Path = tuple[str | int, ...]
_FORMAT = 2
_RESERVED_IDS = ("R1", "triage_failed")  # rules of decisions that no row makes
_MOST = {
    "rows": 200,
    "when": 12,
    "thresholds": 200,
    "gates": 60,
    "exclusions": 60,
    "fallbacks": 60,
    "notes": 60,
    "references": 20,
}
_LARGEST = 10**15
_LARGEST_FRACTION = 10**6
_LARGEST_TEXT = 500
_PLACE_OF_FIELD = {name: n for n, name in enumerate(FIELDS)}
_ORDERED = ("gt", "gte", "lt", "lte")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    # The cell's value comes first: `gt` asks whether it is less than the fact's.
    "ne": operator.ne, "gt": operator.lt, "gte": operator.le, "lt": operator.gt, "lte": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What can't be taken, and in which cell: path into the content, label: the id of the row meant. sheets: the fact sheets
    that prove it."""

    path: Path
    label: str
    message: str
    sheets: tuple[Mapping[str, Any], ...] = ()

    @property
    def place(self) -> str:
        """rows[2] (R02).when[0]"""
        text = ""
        for n, part in enumerate(self.path):
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
            if n == 1 and isinstance(part, int) and self.label:
                text += f" ({self.label})"
        return text or "content"


def parse(content: Any, *, valid_from: date | None = None, version: str | None = None) -> Policy:
    """Raises Invalid naming each bad cell. valid_from: of the publication; else the content's, else a draft's. version: the
    name a stored version has."""
    found, faults = read(content)
    if found is None:
        raise refused(faults)
    proposed = date.fromisoformat(content["valid_from"]) if content.get("valid_from") else DRAFT
    name = version or found.hash
    return replace(found, valid_from=valid_from or proposed, hash=name, versions=(name,))


def refused(faults: Iterable[Fault], cells: Callable[[Fault], str | None] = lambda _: None) -> Invalid:
    """cells: the address of a fault in the file it came from."""
    errors = []
    for fault in faults:
        cell = cells(fault)
        message = fault.message + "".join(f"；例：{json.dumps(s, ensure_ascii=False)}" for s in fault.sheets)
        errors.append(
            {"field": f"{cell} {fault.place}" if cell else fault.place, "message": message} | ({"cell": cell} if cell else {})
        )
    return Invalid(f"政策不能使用：{len(errors)}处", errors=errors)


def content_hash(content: Mapping[str, Any]) -> str:
    """Of the canonical form: the order of cells and keys, and the day it is meant for, change nothing."""
    return parse(content).hash


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]


# -- reading content


def read(content: Any) -> tuple[Policy | None, list[Fault]]:
    """A policy, or what can't be read of it, cell by cell."""
    if not isinstance(content, dict):
        return None, [Fault((), "", "须为对象")]
    rows = content.get("rows")
    if "format" not in content and isinstance(rows, list) and rows and isinstance(rows[0], dict) and "legal_basis" in rows[0]:
        version = _hash(content)
        found, faults = read(_from_format_1(content))
        return (replace(found, hash=version, versions=(version,)) if found else None), faults
    reading = _Reading()
    found = reading.policy(content)
    return (None if reading.faults else found), reading.faults


class _Reading:
    """Reads content and gathers faults; what it gives is only of use when there are none."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.thresholds: dict[str, float] = {}
        self.ids: set[str] = set()

    def fault(self, path: Path, message: str, label: str = "") -> None:
        self.faults.append(Fault(path, label, message))

    def policy(self, content: dict[str, Any]) -> Policy | None:
        whole = "rows" in content
        known = ("format", "name", "jurisdiction", "source", "valid_from", "thresholds")
        self._only((), content, (*known, "rows", "gates", "exclusions", "fallbacks", "notes") if whole else known)
        if content.get("format", _FORMAT) != _FORMAT or isinstance(content.get("format"), bool):
            self.fault(("format",), f"须为{_FORMAT}")
        canonical: dict[str, Any] = {"format": _FORMAT}
        self._text((), content, "name", canonical)
        self._text((), content, "source", canonical, required=False)
        jurisdiction = content.get("jurisdiction")
        if not isinstance(jurisdiction, str) or not re.fullmatch(r"\d{2}|\d{4}|\d{6}", jurisdiction, re.ASCII):
            self.fault(("jurisdiction",), "须为2位（省）、4位（市）或6位（区县）行政区划代码")
            jurisdiction = ""
        elif len(jurisdiction) > 2 and jurisdiction.endswith("00"):
            self.fault(("jurisdiction",), f"请用{re.sub('(00)+$', '', jurisdiction)}表示整个地区")
        elif len(jurisdiction) == 6 and whole:
            self.fault(("rows",), "区县政策只能调整阈值，规则行由设区的市以上制定")
        elif len(jurisdiction) == 2 and not whole:
            self.fault(("rows",), "省级政策须有规则行")
        canonical["jurisdiction"] = jurisdiction
        self._day(content)
        canonical["thresholds"] = self._thresholds(content.get("thresholds"))
        rows: list[Row] = []
        gates: dict[str, list[GateRule]] = {}
        exclusions: dict[str, list[Row]] = {}
        fallbacks: dict[tuple[str, str], Fallback] = {}
        notes: list[Row] = []
        if whole:
            canonical |= {"rows": [], "gates": [], "exclusions": [], "fallbacks": [], "notes": []}
            for path, raw in self._items(content, "rows"):
                rows.append(self._row(path, raw, canonical["rows"], track=True, reason=True, sign=True))
            if not rows or rows[-1].cells:
                self.fault(("rows",), "最后一行须为没有条件的默认行")
            for path, raw in self._items(content, "gates", required=False):
                track, gate = self._gate(path, raw, canonical["gates"])
                if any(g.name == gate.name for g in gates.get(track, ())):
                    self.fault((*path, "name"), "同一轨道的前提重名", gate.name)
                gates.setdefault(track, []).append(gate)
            for path, raw in self._items(content, "exclusions", required=False):
                row = self._row(path, raw, canonical["exclusions"], track=True, gates=gates)
                if not row.cells:
                    self.fault((*path, "when"), "排除须有条件", row.id)
                exclusions.setdefault(row.track, []).append(row)
            for path, raw in self._items(content, "fallbacks", required=False):
                one = self._fallback(path, raw, canonical["fallbacks"])
                if (one.track, one.cause) in fallbacks:
                    self.fault(path, "同一轨道的同一情形重复", f"{one.track}.{one.cause}")
                fallbacks[one.track, one.cause] = one
            for path, raw in self._items(content, "notes", required=False):
                notes.append(self._row(path, raw, canonical["notes"], reason=True))
            # What is excluded must go somewhere; where a gate decides, it must be said what its failure leads to.
            for track in dict.fromkeys([*exclusions, *(t for t, held in gates.items() if any(g.fact for g in held))]):
                down = fallbacks.get((track, "gate_failed"))
                if down is None or (track in exclusions and down.to == TERMINATE):
                    self.fault(("fallbacks",), f"{TRACK_LABELS.get(track, track)}须规定前提未满足或者被排除时转向哪里")
        if self.faults:
            return None
        version = _hash(canonical)
        return Policy(
            version, canonical["name"], jurisdiction, DRAFT, MappingProxyType(self.thresholds), tuple(rows),
            MappingProxyType({t: tuple(g) for t, g in gates.items()}), MappingProxyType({t: tuple(x) for t, x in exclusions.items()}),
            MappingProxyType(fallbacks), tuple(notes), (version,), MappingProxyType(canonical), MappingProxyType(_tables(rows)),
        )  # fmt: skip

    # Each of the readers below takes a raw value from the content and adds its canonical form to what was made so far.

    def _only(self, path: Path, raw: Mapping[Any, Any], known: Sequence[str], label: str = "") -> None:
        for name in raw:
            if name not in known:
                self.fault((*path, _cut(str(name))), f"未知的列；可用：{'、'.join(known)}", label)

    def _items(self, content: Mapping[str, Any], key: str, *, required: bool = True) -> Iterator[tuple[Path, dict[str, Any]]]:
        raw = content.get(key)
        if raw is None and not required:
            return
        if not isinstance(raw, list) or len(raw) > _MOST[key]:
            self.fault((key,), f"须为列表，至多{_MOST[key]}行")
            return
        for number, one in enumerate(raw):
            if isinstance(one, dict):
                yield (key, number), one
            else:
                self.fault((key, number), "须为对象")

    def _text(
        self, path: Path, raw: Mapping[str, Any], key: str, into: dict[str, Any], *, label: str = "", required: bool = True
    ) -> str:  # fmt: skip
        value = raw.get(key)
        if value is None or value == "":
            if required:
                self.fault((*path, key), "必填", label)
            return ""
        if not isinstance(value, str) or len(value) > _LARGEST_TEXT:
            self.fault((*path, key), f"须为文字，至多{_LARGEST_TEXT}字", label)
        elif any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or ord(c) & 0xFFFE == 0xFFFE for c in value):
            self.fault((*path, key), "不得含换行或控制字符", label)
        elif not value.strip():
            self.fault((*path, key), "必填", label)
        else:
            into[key] = value.strip()
            return into[key]  # type: ignore[no-any-return]
        return ""

    def _one_of(
        self, path: Path, raw: Mapping[str, Any], key: str, known: Iterable[str], into: dict[str, Any], label: str = ""
    ) -> str:  # fmt: skip
        value = raw.get(key)
        names = tuple(known)
        if not isinstance(value, str) or value not in names:
            self.fault((*path, key), f"{_shown(value)}不是可用的值；可用：{'、'.join(names)}", label)
            return ""
        into[key] = value
        return value

    def _day(self, content: Mapping[str, Any]) -> None:
        value = content.get("valid_from")
        if value is None:
            return
        try:
            if not isinstance(value, str) or len(value) != 10:
                raise ValueError
            date.fromisoformat(value)
        except ValueError:
            self.fault(("valid_from",), f"{_shown(value)}不是日期（YYYY-MM-DD）")

    def _thresholds(self, raw: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not isinstance(raw, dict) or len(raw) > _MOST["thresholds"]:
            self.fault(("thresholds",), f"须为对象，至多{_MOST['thresholds']}项")
            return found
        for key, given in raw.items():
            path = ("thresholds", key)
            if not isinstance(key, str) or not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*", key, re.ASCII) or len(key) > 60:
                self.fault(("thresholds",), f"{_shown(key)}不是阈值的键")
                continue
            one = given if isinstance(given, dict) else {"value": given}
            self._only(path, one, ("value", "name", "unit", "source", "status"), key)
            value = _number(one.get("value"))
            if value is None:
                self.fault((*path, "value"), f"{_shown(one.get('value'))}须为0以上的数", key)
                continue
            into: dict[str, Any] = {"value": value}
            for name in ("name", "unit", "source"):
                self._text(path, one, name, into, label=key, required=False)
            if one.get("status"):
                self._one_of(path, one, "status", STATUSES, into, key)
            self.thresholds[key] = value
            found[key] = into
        return dict(sorted(found.items()))

    def _provenance(self, path: Path, raw: Mapping[str, Any], into: dict[str, Any], label: str) -> list[dict[str, Any]]:
        """The references, read; source and status on the way."""
        self._text(path, raw, "source", into, label=label)
        self._one_of(path, raw, "status", STATUSES, into, label)
        given = raw.get("references")
        if not isinstance(given, list) or not given or len(given) > _MOST["references"]:
            self.fault((*path, "references"), "须有依据", label)
            return []
        found: list[dict[str, Any]] = []
        for number, one in enumerate(given):
            where = (*path, "references", number)
            reference: dict[str, Any] = {}
            if not isinstance(one, dict):
                self.fault(where, "须为对象", label)
                continue
            if "text" in one:
                self._only(where, one, ("text",), label)
                text = self._text(where, one, "text", reference, label=label)
                if "；" in text or looks_like_reference(text):
                    self.fault(where, "文字依据不得含分号，条文请写作条文", label)
            else:
                self._only(where, one, ("law", "article", "paragraph", "item"), label)
                self._one_of(where, one, "law", LAWS, reference, label)
                for name in ("article", "paragraph", "item"):
                    value = one.get(name)
                    if value is None and name != "article":
                        continue
                    if type(value) is not int or not 1 <= value <= 999:
                        self.fault((*where, name), f"{_shown(value)}不是条款项的序号", label)
                    else:
                        reference[name] = value
                if not ({"law", "article"} <= reference.keys() and reference["law"] in LAWS):
                    continue  # told already
                try:
                    law.cite(reference["law"], reference["article"], reference.get("paragraph"), reference.get("item"))
                except Invalid as error:
                    self.fault(where, f"所引条文不存在或者未收录：{error.detail}", label)
                    continue
            found.append(reference)
        into["references"] = found
        return found

    def _row(
        self, path: Path, raw: dict[str, Any], rows: list[dict[str, Any]], *, track: bool = False, reason: bool = False,
        sign: bool = False, gates: Mapping[str, Sequence[GateRule]] | None = None,
    ) -> Row:  # fmt: skip
        """A row of the table, an exclusion or a note: they differ in which columns they have. gates: those an exclusion may fail."""
        into: dict[str, Any] = {}
        name = raw.get("id")
        label = _cut(name) if isinstance(name, str) and len(name) <= 20 else ""
        columns = (
            "id",
            "name",
            "when",
            *(["track"] * track),
            *(["reason"] * reason),
            *(["sign"] * sign),
            *(["gate"] * (gates is not None)),
            "references",
            "source",
            "status",
        )
        self._only(path, raw, columns, label)
        if not label or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", label, re.ASCII) or label in _RESERVED_IDS:
            self.fault((*path, "id"), f"{_shown(name)}不是可用的编号（字母开头，至多20个字母数字）")
        elif label in self.ids:
            self.fault((*path, "id"), "编号重复", label)
        self.ids.add(label)
        into["id"] = label
        self._text(path, raw, "name", into, label=label)
        cells = self._cells(path, raw.get("when"), into, label)
        if track:
            self._one_of(path, raw, "track", ROW_TRACKS, into, label)
        if reason:
            self._text(path, raw, "reason", into, label=label)
        if sign:
            self._one_of(path, raw, "sign", SIGNS, into, label)
        if gates is not None and raw.get("gate"):
            self._one_of(path, raw, "gate", [g.name for g in gates.get(into.get("track", ""), ())], into, label)
        references = self._provenance(path, raw, into, label)
        rows.append(into)
        # An exclusion has no reason of its own: its name says what is excluded.
        text, legal = into.get("reason") or into.get("name", ""), cite(references)
        said = {"text": text, "legal_basis": legal, "references": references, "facts": _asked(cells)}
        tests = tuple((attrgetter(c.field), c.test) for c in cells)
        fails = Gate(into["gate"], "failed", f"{text}（{legal}）" if legal else text) if into.get("gate") else None
        return Row(label, into.get("name", ""), cells, into.get("track", ""), said, into.get("sign", ""), tests, fails)

    def _cells(self, path: Path, raw: Any, into: dict[str, Any], label: str) -> tuple[Cell, ...]:
        into["when"] = []
        if not isinstance(raw, list) or len(raw) > _MOST["when"]:
            self.fault((*path, "when"), f"须为条件的列表，至多{_MOST['when']}个", label)
            return ()
        found = []
        for number, one in enumerate(raw):
            where = (*path, "when", number)
            if not isinstance(one, dict):
                self.fault(where, "须为对象", label)
                continue
            self._only(where, one, ("field", "op", "value"), label)
            asked = FIELDS.get(one["field"]) if isinstance(one.get("field"), str) else None
            if asked is None:
                self.fault(where, f"未知的事实：{_shown(one.get('field'))}", label)
                continue
            if one.get("op") not in OPERATORS:
                self.fault(where, f"{asked.label}：未知的运算{_shown(one.get('op'))}；可用：{'、'.join(OPERATORS)}", label)
                continue
            cell = self._cell(where, asked, one["op"], one.get("value"), label)
            if cell is not None:
                found.append(cell)
        found.sort(key=_cell_order)
        into["when"] = [{"field": c.field, "op": c.operator, "value": c.value} for c in found]
        return tuple(found)

    def _cell(self, where: Path, asked: Field, op: str, given: Any, label: str) -> Cell | None:
        if op in _ORDERED and asked.type not in ("scale", "count", "rate"):
            self.fault(where, f"{asked.label}没有大小之分，不能用{op}", label)
            return None
        if op == "in":
            if not isinstance(given, list) or not 1 <= len(given) <= 50:
                self.fault(where, f"{asked.label}：in 须给出列表", label)
                return None
            values = [self._value(where, asked, v, label) for v in given]
            if any(v is _BAD for v in values):
                return None
            order = list(asked.choices)
            values.sort(key=lambda v: (v is None, order.index(v) if order else v))
            values = list(dict.fromkeys(values))
            if len(values) == 1:
                return Cell(asked.name, "eq", values[0], (values[0],), frozenset(values).__contains__)
            return Cell(asked.name, "in", values, tuple(values), frozenset(values).__contains__)
        if isinstance(given, str) and given.startswith("@"):
            if asked.type not in ("count", "rate"):
                self.fault(where, f"{asked.label}不能与阈值比较", label)
                return None
            limit = self.thresholds.get(given[1:])
            if limit is None:
                self.fault(where, f"{asked.label}：未知的阈值{_shown(given)}", label)
                return None
            value = self._value(where, asked, limit, label)
        else:
            value = self._value(where, asked, given, label)
        if value is _BAD:
            return None
        written = given if isinstance(given, str) and given.startswith("@") else value
        return Cell(asked.name, op, written, (value,), _test(asked, op, value))

    def _value(self, where: Path, asked: Field, given: Any, label: str) -> Any:
        if asked.type == "flag" and type(given) is bool:
            return given
        if asked.type == "maybe" and (given is None or type(given) is bool):
            return given
        if asked.choices and isinstance(given, str) and given in asked.choices:
            return given
        if asked.type == "count" and type(given) is int and 0 <= given <= _LARGEST:
            return given
        number = _number(given)
        if asked.type == "rate" and number is not None and number <= 1:
            return number
        wanted = {
            "flag": "是或否（true、false）",
            "maybe": "是、否或未知（true、false、null）",
            "count": "0以上的整数",
            "rate": "0到1之间的数",
        }
        self.fault(
            where,
            f"{asked.label}须为{wanted.get(asked.type) or '、'.join(f'{label}（{code}）' for code, label in asked.choices.items())}，不能是{_shown(given)}",
            label,
        )
        return _BAD

    def _gate(self, path: Path, raw: dict[str, Any], gates: list[dict[str, Any]]) -> tuple[str, GateRule]:
        into: dict[str, Any] = {}
        name = raw.get("name")
        label = _cut(name) if isinstance(name, str) else ""
        self._only(path, raw, ("track", "name", "basis", "fact", "references", "source", "status"), label)
        track = self._one_of(path, raw, "track", ROW_TRACKS, into, label)
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", label, re.ASCII):
            self.fault((*path, "name"), f"{_shown(name)}不是可用的名称（小写字母、数字、下划线）")
        into["name"] = label
        basis = self._text(path, raw, "basis", into, label=label)
        fact = raw.get("fact")
        if fact is not None:
            self._one_of(path, raw, "fact", [f.name for f in FIELDS.values() if f.type == "maybe"], into, label)
        references = self._provenance(path, raw, into, label)
        gates.append(into)
        legal = cite(references)
        shown = f"{basis}（{legal}）" if legal else basis
        states = {value: Gate(label, state, shown) for value, state in ((None, "open"), (True, "passed"), (False, "failed"))}
        said = {"text": basis, "legal_basis": legal, "references": references, "facts": [into["fact"]] if "fact" in into else []}
        return track, GateRule(label, basis, into.get("fact"), said, states)

    def _fallback(self, path: Path, raw: dict[str, Any], fallbacks: list[dict[str, Any]]) -> Fallback:
        into: dict[str, Any] = {}
        label = _cut(f"{raw.get('track')}.{raw.get('cause')}")
        self._only(path, raw, ("track", "cause", "to", "reason", "ground", "by", "references", "source", "status"), label)
        track = self._one_of(path, raw, "track", ROW_TRACKS, into, label)
        cause = self._one_of(path, raw, "cause", CAUSES, into, label)
        to = self._one_of(path, raw, "to", (*ROW_TRACKS, TERMINATE), into, label)
        if track and to and to != TERMINATE and LADDER[to] <= LADDER[track]:
            self.fault((*path, "to"), "只能转向更重的轨道", label)
        reason = self._text(path, raw, "reason", into, label=label)
        ground = raw.get("ground")
        if to == TERMINATE and (type(ground) is not int or not 1 <= ground <= 8):
            self.fault((*path, "ground"), "终止调解须写明第二十三条第一款第几项（1至8）", label)
        elif to != TERMINATE and ground is not None:
            self.fault((*path, "ground"), "只有终止调解才有事由", label)
        elif ground is not None:
            into["ground"] = ground
        by: list[Deadline] = []
        given = raw.get("by")
        if cause == "time" and to != TERMINATE and not given:
            self.fault((*path, "by"), "期限届满须写明期限", label)
        if given is not None:
            if cause != "time" or not isinstance(given, list) or not 1 <= len(given) <= 5:
                self.fault((*path, "by"), "只有期限届满才有期限，须为1至5项的列表", label)
            else:
                into["by"] = []
                by = [d for n, one in enumerate(given) if (d := self._deadline((*path, "by", n), one, into["by"], label))]
        references = self._provenance(path, raw, into, label)
        fallbacks.append(into)
        return Fallback(track, cause, to, reason, cite(references), into.get("ground"), tuple(by))

    def _deadline(self, where: Path, raw: Any, by: list[dict[str, Any]], label: str) -> Deadline | None:
        clock = raw.get("clock") if isinstance(raw, dict) else None
        if not isinstance(clock, str) or not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", clock, re.ASCII) or len(clock) > 60:
            self.fault(where, "须写明期限的键，如 complaint.accept", label)
            return None
        self._only(where, raw, ("clock", "before", "day"), label)
        into: dict[str, Any] = {"clock": clock}
        days: dict[str, int] = {}
        for name in ("before", "day"):
            given = raw.get(name)
            if given is None:
                continue
            value = self.thresholds.get(given[1:]) if isinstance(given, str) and given.startswith("@") else given
            if type(value) is not int or not 0 <= value <= 1000:
                self.fault((*where, name), f"{_shown(given)}须为天数或已有的阈值", label)
                continue
            into[name], days[name] = given, value
        if len(days) == 2:
            self.fault(where, "到期前几日（before）与第几日（day）只能写一个", label)
        by.append(into)
        return Deadline(clock, days.get("before", 0), days.get("day"))


_BAD = object()


def _shown(value: Any) -> str:
    return f"“{_cut(value if isinstance(value, str) else json.dumps(value, default=str))}”"


def _cut(text: str) -> str:
    """Short, and without what UTF-8 has no form for."""
    return text[:40].encode("utf-8", "replace").decode()


def _number(value: Any) -> float | int | None:
    """0 or more; whole numbers as int, so that 3 and 3.0 are one version; nine decimals, which a spreadsheet keeps."""
    if type(value) not in (int, float) or not 0 <= value <= _LARGEST:
        return None
    if value == int(value):
        return int(value)
    rounded = round(value, 9)
    return None if value > _LARGEST_FRACTION else int(rounded) if rounded == int(rounded) else rounded


def _asked(cells: Iterable[Cell]) -> list[str]:
    """The facts a row rests on, besides whose row it is."""
    return list(dict.fromkeys(c.field for c in cells if c.field != "lane"))


def _cell_order(cell: Cell) -> tuple[int, int, str]:
    return _PLACE_OF_FIELD[cell.field], OPERATORS.index(cell.operator), json.dumps(cell.value, ensure_ascii=False)


def _test(asked: Field, op: str, value: Any) -> Callable[[Any], bool]:
    if op == "eq":
        return frozenset((value,)).__contains__
    if asked.type == "scale" and op != "ne":
        order = list(asked.choices)
        return frozenset(c for c in order if _COMPARE[op](order.index(value), order.index(c))).__contains__
    test = partial(_COMPARE[op], value)
    if asked.type == "rate" and op != "ne":
        return lambda given: given is not None and test(given)
    return test


def _tables(rows: Sequence[Row]) -> dict[str, tuple[tuple[Tests, Row], ...]]:
    tables: dict[str, tuple[tuple[Tests, Row], ...]] = {}
    for lane in FIELDS["lane"].choices:
        fitting = [r for r in rows if all(c.test(lane) for c in r.cells if c.field == "lane")]
        tables[lane] = tuple((tuple((attrgetter(c.field), c.test) for c in r.cells if c.field != "lane"), r) for r in fitting)
    return tables


def _from_format_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Versions of before had rows and plain thresholds; gates and fall-backs were the program's, as those shipped now."""
    now = shipped("policy")

    def row(raw: Mapping[str, Any]) -> dict[str, Any]:
        basis = [{"text": part} for part in str(raw.get("legal_basis", "")).split("；") if part]
        kept = {k: v for k, v in raw.items() if k != "legal_basis"}
        return {**kept, "references": basis, "source": str(content.get("source") or "-"), "status": "design_choice"}

    upgraded = {k: content[k] for k in ("name", "jurisdiction", "valid_from") if k in content}
    upgraded["thresholds"] = (
        {**now["thresholds"], **content["thresholds"]} if isinstance(content.get("thresholds"), dict) else None
    )
    upgraded["rows"] = [row(r) if isinstance(r, dict) else r for r in content["rows"]]
    upgraded |= {"gates": now["gates"], "fallbacks": now["fallbacks"], "format": _FORMAT}
    upgraded["exclusions"] = [x for x in now["exclusions"] if x["when"][0]["field"] == "odr_reply_rate"]
    return upgraded


def read_facts(raw: Any) -> Facts:
    """Facts as somebody wrote them. Raises Invalid naming each that can't be taken."""
    if not isinstance(raw, dict):
        raise Invalid.field("facts", "must be an object")
    errors = []
    for name, value in raw.items():
        asked = FIELDS.get(name)
        if asked is None or name not in FACT_NAMES:
            errors.append({"field": f"facts.{name}"[:60], "message": "未知的事实"})
            continue
        reading = _Reading()
        if not (value is None and asked.type == "rate") and reading._value(("facts", name), asked, value, "") is _BAD:
            errors += [{"field": f.place, "message": f.message} for f in reading.faults]
    errors += [{"field": f"facts.{n}", "message": "必填"} for n in ("lane", "kind") if n not in raw]
    if errors:
        raise Invalid("事实不能使用", errors=errors)
    return Facts(**raw)
