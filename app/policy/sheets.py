"""A policy as tables that a legal officer edits: XLSX with a sheet for each part, or one CSV with a section for each.

Every fact has a column of its own; what stands in a row's cell there is its condition: 是, 有, ≥3, ＞@amount.small_fen, 投诉、举报
(one of), several joined by ；. An empty cell asks nothing. Out and in again gives the same version, and a fault names its cell.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from app.errors import Invalid
from app.policy.content import Fault
from app.policy.language import (
    CAUSES,
    FIELDS,
    SIGNS,
    STATUSES,
    TERMINATE,
    TRACK_LABELS,
    Field,
    cite,
    read_reference,
    write_reference,
)

_SYMBOLS = {"ne": "≠", "gt": "＞", "gte": "≥", "lt": "＜", "lte": "≤"}
_OPERATORS = {
    **{s: o for o, s in _SYMBOLS.items()},
    ">=": "gte",
    "<=": "lte",
    "!=": "ne",
    "<>": "ne",
    ">": "gt",
    "<": "lt",
    "=": "eq",
    "＝": "eq",
}
_CONDITION = re.compile(f"({'|'.join(map(re.escape, sorted(_OPERATORS, key=len, reverse=True)))})?(.*)", re.DOTALL)
_MAYBE = {True: "是", False: "否", None: "未知"}
_DIRECTIONS = {**TRACK_LABELS, TERMINATE: "终止调解"}
# What a spreadsheet would take for a formula gets a quote in front; so does what begins with one.
_QUOTED = ("=", "+", "-", "@", "\t", "'")
_NOT_READ = "依据全文（不读入）"
_SOURCE = {"依据": "references", "来源": "source", "状态": "status"}
_FACTS = {f.label: f.name for f in FIELDS.values()}
_LABELS = {"track": TRACK_LABELS, "sign": SIGNS, "status": STATUSES, "cause": CAUSES, "to": _DIRECTIONS}
_META = {"名称": "name", "行政区划": "jurisdiction", "施行日期": "valid_from", "来源": "source", "格式": "format"}


@dataclass(frozen=True)
class _Sheet:
    """columns: header -> key; the columns of the facts stand after `facts_after` of them, where it is not 0."""

    name: str
    part: str
    columns: Mapping[str, str]
    facts_after: int = 0

    @property
    def headers(self) -> list[str]:
        own = list(self.columns)
        facts = list(_FACTS) if self.facts_after else []
        derived = [_NOT_READ] if "依据" in self.columns else []
        return [*own[: self.facts_after], *facts, *own[self.facts_after :], *derived]


_SHEETS = (
    _Sheet("政策", "meta", {"项目": "key", "内容": "value"}),
    _Sheet("规则", "rows", {"编号": "id", "名称": "name", "轨道": "track", "理由": "reason", "签署": "sign", **_SOURCE}, 2),
    _Sheet("阈值", "thresholds", {"键": "key", "名称": "name", "值": "value", "单位": "unit", "来源": "source", "状态": "status"}),
    _Sheet("前提", "gates", {"轨道": "track", "前提": "name", "说明": "basis", "决定的事实": "fact", **_SOURCE}),
    _Sheet("排除", "exclusions", {"编号": "id", "名称": "name", "轨道": "track", "不成立的前提": "gate", **_SOURCE}, 2),
    _Sheet(
        "回退", "fallbacks",
        {"轨道": "track", "情形": "cause", "转向": "to", "理由": "reason", "终止事由（第二十三条第一款第几项）": "ground", "期限": "by", **_SOURCE},
    ),
    _Sheet("提示", "notes", {"编号": "id", "名称": "name", "理由": "reason", **_SOURCE}, 2),
)  # fmt: skip


# -- out


def tables(content: Mapping[str, Any], valid_from: date | None = None) -> dict[str, list[list[Any]]]:
    """Name of a sheet -> its rows, the header first."""
    found = {}
    for sheet in _SHEETS:
        if sheet.part == "meta":
            meta = {**content, "valid_from": valid_from.isoformat() if valid_from else content.get("valid_from")}
            records: list[dict[str, Any]] = [{"key": label, "value": meta.get(key)} for label, key in _META.items()]
        elif sheet.part not in content:
            continue
        elif sheet.part == "thresholds":
            records = [{"key": k, **v} for k, v in content["thresholds"].items()]
        else:
            records = list(content[sheet.part])
        found[sheet.name] = [sheet.headers, *(_written(sheet, record) for record in records)]
    return found


def _written(sheet: _Sheet, record: Mapping[str, Any]) -> list[Any]:
    asked = {name: list(cells) for name, cells in groupby(record.get("when", ()), key=lambda c: c["field"])}
    row: list[Any] = []
    for header in sheet.headers:
        key = sheet.columns.get(header)
        if key is not None:
            row.append(_value_out(key, record.get(key)))
        elif header == _NOT_READ:
            row.append(cite(record.get("references", ())))
        else:
            asked_of = FIELDS[_FACTS[header]]
            row.append("；".join(_condition_out(asked_of, c["op"], c["value"]) for c in asked.get(asked_of.name, ())))
    return row


def _value_out(key: str, value: Any) -> Any:
    if value is None:
        return ""
    if key == "references":
        return "；".join(write_reference(r) for r in value)
    if key == "by":
        return "；".join(_deadline_out(d) for d in value)
    if key == "fact":
        return FIELDS[value].label
    return _LABELS[key].get(value, value) if key in _LABELS else value


def _deadline_out(deadline: Mapping[str, Any]) -> str:
    before = f"-{deadline['before']}" if "before" in deadline else ""
    day = f"#{deadline['day']}" if "day" in deadline else ""
    return f"{deadline['clock']}{before}{day}"


def _condition_out(asked: Field, op: str, value: Any) -> str:
    if op == "in":
        return "、".join(_constant_out(asked, v) for v in value)
    text = _constant_out(asked, value)
    if op == "eq":
        return text if asked.type in ("flag", "maybe") or asked.choices else f"＝{text}"
    return _SYMBOLS[op] + text


def _constant_out(asked: Field, value: Any) -> str:
    if asked.type in ("flag", "maybe"):
        return _MAYBE[value]
    return str(asked.choices.get(value, value))


def to_csv(content: Mapping[str, Any], valid_from: date | None = None) -> bytes:
    """UTF-8 with a mark, as spreadsheets want it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for name, rows in tables(content, valid_from).items():
        writer.writerow([f"［{name}］"])
        writer.writerows([["'" + v if isinstance(v, str) and v.startswith(_QUOTED) else v for v in row] for row in rows])
        writer.writerow([])
    return out.getvalue().encode("utf-8-sig")


def to_xlsx(content: Mapping[str, Any], valid_from: date | None = None) -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    book.remove(book.worksheets[0])
    wrapped, bold = Alignment(wrap_text=True, vertical="top"), Font(bold=True)
    for name, rows in tables(content, valid_from).items():
        page = book.create_sheet(name)
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                cell = page.cell(number, column)
                if value == "":
                    continue
                cell.value = value
                if isinstance(value, str):
                    cell.data_type = "s"  # never a formula
                cell.alignment = wrapped
                if number == 1:
                    cell.font = bold
        sheet = next(s for s in _SHEETS if s.name == name)
        page.freeze_panes = "C2" if sheet.facts_after else "A2"
        for column, header in enumerate(rows[0], 1):
            letter = get_column_letter(column)
            page.column_dimensions[letter].width = 40 if header in ("理由", "说明", "来源", _NOT_READ, "内容") else 14
            choices = _choices(sheet, header)
            if choices:
                allowed = DataValidation("list", formula1=f'"{",".join(choices)}"', allow_blank=True, showErrorMessage=False)
                allowed.add(f"{letter}2:{letter}300")
                page.add_data_validation(allowed)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _choices(sheet: _Sheet, header: str) -> list[str]:
    key = sheet.columns.get(header)
    if key in _LABELS:
        return [label for value, label in _LABELS[key].items() if value != "none"]
    asked = FIELDS.get(_FACTS.get(header, "")) if sheet.facts_after else None
    if asked is None:
        return []
    return ["是", "否"] if asked.type in ("flag", "maybe") else list(asked.choices.values())


# -- in


@dataclass
class Tabled:
    """content: as `read` takes it. faults: of the tables themselves."""

    content: Any
    faults: list[Fault] = field(default_factory=list)
    _cells: dict[tuple[str | int, ...], str] = field(default_factory=dict)

    def cell(self, fault: Fault) -> str | None:
        """规则!C7 (in a CSV C7) for a fault of the content, or of the nearest thing around it that has a cell."""
        for length in range(len(fault.path), 0, -1):
            if fault.path[:length] in self._cells:
                return self._cells[fault.path[:length]]
        return self._cells.get(("meta",))


def read_file(path: Path) -> Tabled:
    """XLSX, CSV in UTF-8 or GB18030, or the content itself as JSON."""
    if not path.exists():
        raise Invalid.field("file", f"{path} does not exist")
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        return from_xlsx(path.read_bytes())
    if path.suffix.lower() == ".csv":
        return from_csv(path.read_bytes())
    if path.suffix.lower() == ".json":
        try:
            return Tabled(json.loads(path.read_text("utf-8-sig")))
        except (ValueError, RecursionError):
            raise Invalid.field("file", "is not JSON") from None
    raise Invalid.field("file", f"{path.suffix or 'no suffix'} is not supported; XLSX, CSV and JSON are")


def from_xlsx(raw: bytes) -> Tabled:
    from zipfile import BadZipFile

    from openpyxl import load_workbook

    try:
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError):
        raise Invalid.field("file", "is not an XLSX file") from None
    try:
        pages = [(w.title, [(n, list(row)) for n, row in enumerate(w.iter_rows(values_only=True), 1)]) for w in book.worksheets]
    finally:
        book.close()
    return _gathered([(name, f"{name}!", rows) for name, rows in pages])


def from_csv(raw: bytes) -> Tabled:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", "replace")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    pages: list[tuple[str, str, list[tuple[int, list[Any]]]]] = []
    try:
        for number, row in enumerate(reader, 1):
            first = row[0].strip() if row else ""
            if first[:1] in ("［", "[") and first[-1:] in ("］", "]") and not any(row[1:]):
                pages.append((first[1:-1].strip(), "", []))
            elif pages:
                pages[-1][2].append((number, [v[1:] if v.startswith("'") else v for v in row]))
            elif any(v.strip() for v in row):
                raise Invalid.field(f"A{number}", "须先有一节的名称，如［规则］")
    except csv.Error as error:
        raise Invalid.field("file", f"line {reader.line_num}: {error}") from None
    return _gathered(pages)


def _gathered(pages: Sequence[tuple[str, str, list[tuple[int, list[Any]]]]]) -> Tabled:
    """pages: (name, what stands before a cell's address, (number, cells) of each row)."""
    found = Tabled({})
    seen: set[str] = set()
    for name, prefix, rows in pages:
        sheet = next((s for s in _SHEETS if s.name == name), None)
        held = [(n, cells) for n, cells in rows if any(_text(c) for c in cells)]
        if sheet is None:
            if held:
                found.faults.append(
                    _told(
                        found,
                        ("sheets", name),
                        f"{prefix}A{held[0][0]}",
                        f"未知的表{name}；可用：{'、'.join(s.name for s in _SHEETS)}",
                    )
                )
            continue
        if not held:
            continue
        if name in seen:
            found.faults.append(_told(found, ("sheets", name), f"{prefix}A{held[0][0]}", f"表{name}重复"))
            continue
        seen.add(name)
        (top, header), body = held[0], held[1:]
        keys = list(_keys(found, sheet, prefix, top, header))
        found._cells[(sheet.part,)] = f"{prefix}A{top}"
        if sheet.part not in ("meta", "thresholds"):
            found.content[sheet.part] = []
        for number, cells in body:
            values = {k: (cells[n] if n < len(cells) else None, f"{prefix}{_letter(n)}{number}") for n, k in keys}
            _take(found, sheet, values, f"{prefix}A{number}")
    found.content.setdefault("thresholds", {})
    return found


def _keys(found: Tabled, sheet: _Sheet, prefix: str, top: int, header: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """(column, key) of the headers that are known; `when:field` for a fact's. A fact may also be called by its own name."""
    known = dict(sheet.columns)
    if sheet.facts_after:
        known |= {h: f"when:{n}" for h, n in _FACTS.items()} | {n: f"when:{n}" for n in FIELDS}
    seen = set()
    for number, cell in enumerate(header):
        label = _text(cell)
        key = known.get(label)
        address = f"{prefix}{_letter(number)}{top}"
        if label in ("", _NOT_READ):
            continue
        if key is None or key in seen:
            why = "列名重复" if key else f"未知的列{label}；可用：{'、'.join(sheet.headers)}"
            found.faults.append(_told(found, (sheet.part, "header", number), address, why))
            continue
        seen.add(key)
        yield number, key


def _told(found: Tabled, path: tuple[str | int, ...], address: str, message: str) -> Fault:
    found._cells[path] = address
    return Fault(path, "", message)


def _take(found: Tabled, sheet: _Sheet, cells: Mapping[str, tuple[Any, str]], start: str) -> None:
    """One row of a sheet, into the content."""
    values = {k: (v, at) for k, (v, at) in cells.items() if _text(v)}
    if sheet.part == "meta":
        label = _text(values["key"][0]) if "key" in values else ""
        if label not in _META:
            if values:
                found.faults.append(_told(found, ("meta", start), start, f"未知的项目{label}；可用：{'、'.join(_META)}"))
            return
        if "value" in values:
            value, at = values["value"]
            found._cells[(_META[label],)] = at
            found.content[_META[label]] = _integer(_text(value)) if label == "格式" else _text(value)
        return
    if sheet.part == "thresholds":
        key = _text(values["key"][0]) if "key" in values else ""
        held = found.content.setdefault("thresholds", {})
        if not key or key in held:
            found.faults.append(_told(found, ("thresholds", key, start), start, f"阈值{key}重复" if key else "缺少键"))
            return
        held[key] = {k: _value_in(k, v) for k, (v, _) in values.items() if k != "key"}
        found._cells[("thresholds", key)] = start
        found._cells |= {("thresholds", key, k): at for k, (_, at) in cells.items()}
        return
    number = len(found.content[sheet.part])
    record: dict[str, Any] = {"when": []} if sheet.facts_after else {}
    path = (sheet.part, number)
    found._cells[path] = start
    found._cells |= {(*path, k): at for k, (_, at) in cells.items() if not k.startswith("when:")}
    for key, (value, at) in values.items():
        if key.startswith("when:"):
            for condition in _conditions_in(FIELDS[key.removeprefix("when:")], value):
                found._cells[(*path, "when", len(record["when"]))] = at
                record["when"].append(condition)
        else:
            record[key] = _value_in(key, value)
    found.content[sheet.part].append(record)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime | date):
        return (value.date() if isinstance(value, datetime) else value).isoformat()
    return str(value).strip()


def _integer(text: str) -> Any:
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else text


def _numeric(text: str) -> Any:
    try:
        return _integer(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


def _value_in(key: str, value: Any) -> Any:
    text = _text(value)
    if key == "references":
        return [read_reference(part.strip()) for part in re.split("；|\n", text) if part.strip()]
    if key == "by":
        return [_deadline_in(part.strip()) for part in re.split("；|\n", text) if part.strip()]
    if key == "fact":
        return _FACTS.get(text, text)
    if key == "ground":
        return _integer(text)
    if key == "value":
        return _numeric(text)
    if key in _LABELS:
        return next((code for code, label in _LABELS[key].items() if label == text), text)
    return text


def _deadline_in(text: str) -> dict[str, Any]:
    found = re.fullmatch(r"([^#-]+)(?:-([^#]+))?(?:#(.+))?", text)
    if found is None:
        return {"clock": text}
    clock, before, day = (part.strip() if part else None for part in found.groups())
    days = {k: _integer(v) for k, v in (("before", before), ("day", day)) if v}
    return {"clock": clock, **days}


def _conditions_in(asked: Field, value: Any) -> Iterator[dict[str, Any]]:
    for part in re.split("[；;\n]", _text(value)):
        found = _CONDITION.fullmatch(part.strip())
        if not part.strip() or found is None:
            continue
        op, rest = _OPERATORS.get(found[1] or "", "eq"), found[2].strip()
        several = [v.strip() for v in re.split("[、，,]", rest)] if not found[1] else [rest]
        if len(several) > 1:
            yield {"field": asked.name, "op": "in", "value": [_constant_in(asked, v) for v in several]}
        else:
            yield {"field": asked.name, "op": op, "value": _constant_in(asked, rest)}


def _constant_in(asked: Field, text: str) -> Any:
    """What can't be understood stays as written, for the reader of content to refuse."""
    if asked.type in ("flag", "maybe"):
        return next((v for v, label in _MAYBE.items() if label == text), text)
    if asked.choices:
        return next((v for v, label in asked.choices.items() if label == text), text)
    return text if text.startswith("@") else _numeric(text)


def _letter(column: int) -> str:
    """A, B, …, Z, AA for 0, 1, …"""
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(65 + rest) + text
    return text
