"""Sheets that people send: rows of XLSX, CSV and JSONL files, their columns by Chinese and English headers, and what of a row can't be
taken, told by line and field.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any

from stdnum.cn import uscc as uscc_number
from stdnum.exceptions import ValidationError

from app.errors import Invalid

csv.field_size_limit(10**7)

LONGEST = 200
_TIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y/%m/%d",
    "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日%H时%M分", "%Y年%m月%d日", "%Y%m%d",
)  # fmt: skip
BLANK = frozenset({"", "-", "--", "—", "/", "无", "n/a", "null"})
YES_NO = {
    **dict.fromkeys(("是", "yes", "y", "true", "1"), True),
    **dict.fromkeys(("否", "不是", "no", "n", "false", "0"), False),
}
_SEPARATORS = re.compile(r"[;；、|｜\n]")


def read_table(path: Path) -> Iterator[list[Any]]:
    """Rows of an XLSX (first sheet), CSV (UTF-8, with or without mark, else GB18030) or JSONL file, header first."""
    if not path.exists():
        raise Invalid.field("file", f"{path} does not exist")
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        yield from _workbook(path)
    elif path.suffix.lower() in (".csv", ".txt"):
        raw = path.read_bytes()
        try:
            content = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            content = raw.decode("gb18030", "replace")
        reader = csv.reader(io.StringIO(content, newline=""), strict=True)
        try:
            yield from reader
        except csv.Error as error:
            raise Invalid.field("file", f"line {reader.line_num}: {error}") from None
    elif path.suffix.lower() in (".jsonl", ".ndjson"):
        yield from _objects(path)
    else:
        raise Invalid.field("file", f"{path.suffix or 'no suffix'} is not supported; XLSX, CSV and JSONL are")


def _workbook(path: Path) -> Iterator[list[Any]]:
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError):
        raise Invalid.field("file", "is not an XLSX workbook that can be read") from None
    try:
        for row in book.worksheets[0].iter_rows(values_only=True):
            yield list(row)
    finally:
        book.close()


def _objects(path: Path) -> Iterator[list[Any]]:
    """One JSON object a line; the columns are the keys of all of them, in order of first appearance."""
    found: list[dict[str, Any]] = []
    try:
        content = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid.field("file", "is not UTF-8") from None
    # Not splitlines(): a JSON string may hold U+2028 and its kin.
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                found.append(dict(json.loads(line)))
            except (ValueError, TypeError):
                raise Invalid.field("file", f"line {number}: is not a JSON object") from None
    columns = list(dict.fromkeys(k for o in found for k in o))
    yield list(columns)
    yield from ([o.get(c) for c in columns] for o in found)


def parse_time(value: str, zone: tzinfo) -> datetime | None:
    """zone: where the text names none."""
    cleaned = value.strip()
    for pattern in _TIME_FORMATS:
        try:
            return datetime.strptime(cleaned, pattern).replace(tzinfo=zone)
        except ValueError:
            continue
    try:
        moment = datetime.fromisoformat(cleaned)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


# -- rows whose columns are known by their headers


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of a line that could not be taken, by the field's English name. line: of the file, the header being 1."""

    line: int
    field: str
    message: str


@dataclass
class Row:
    """What a line says, by field; reading a field notes what can't be taken of it in problems. columns: fields the sheet has."""

    line: int
    values: dict[str, list[str]]
    columns: frozenset[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)

    def problem(self, name: str, message: str) -> None:
        self.problems.append(Problem(self.line, name, message))

    def text(self, name: str, longest: int = LONGEST) -> str:
        """'' where it says nothing."""
        found = " ".join(self.values.get(name, ()))
        if reason := unfit(found, longest):
            self.problem(name, reason)
            return ""
        return found

    def parts(self, name: str) -> tuple[str, ...]:
        """甲；乙、丙 as three, each once."""
        split = (p.strip() for text in self.values.get(name, ()) for p in _SEPARATORS.split(text))
        kept = [p for p in dict.fromkeys(split) if p.lower() not in BLANK]
        for one in kept:
            if reason := unfit(one):
                self.problem(name, reason)
        return tuple(p for p in kept if not unfit(p))

    def day(self, name: str) -> date | None:
        text = self.text(name)
        moment = parse_time(text, UTC) if text else None
        if text and moment is None:
            self.problem(name, f"{text!r} is not a date")
        return moment.date() if moment else None

    def yes_no(self, name: str) -> bool | None:
        text = self.text(name)
        if text and text.lower() not in YES_NO:
            self.problem(name, f"{text!r} is neither 是 nor 否")
        return YES_NO.get(text.lower())

    def uscc(self, name: str) -> str:
        """A unified social credit code whose check digit is right."""
        text = self.text(name)
        try:
            return str(uscc_number.validate(text)) if text else ""
        except ValidationError:
            self.problem(name, f"{text!r} is not a valid code")
            return ""

    def share(self, name: str) -> float | None:
        """0.853 or 85.3 % as 0.853."""
        text = self.text(name).replace("％", "%")
        if not text:
            return None
        try:
            value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.problem(name, f"{text!r} is not a share; write 0.85 or 85%")
            return None
        if not 0 <= value <= 1:
            self.problem(name, f"{text!r} is not between 0 and 1; write 0.85 or 85%")
            return None
        return round(value, 6)


def read_rows(path: Path, columns: Mapping[str, Sequence[str]], *, required: str) -> Iterator[Row]:
    """Every row that says anything, in file order. columns: field -> its headers; others are passed over.

    Raises Invalid when the file is none that can be read or no column is the required one.
    """
    field_of = {header: name for name, headers in columns.items() for header in headers}
    table = read_table(path)
    headers = [field_of.get(re.sub(r"\s+", "", str(h or "")).lower()) for h in next(table, [])]
    if required not in headers:
        known = ", ".join("/".join(h[:2]) for h in columns.values())
        raise Invalid.field("columns", f"none holds {required}s; known are {known}")
    present = frozenset(h for h in headers if h)
    # The header of JSON lines is made of their keys and stands on no line.
    for line, cells in enumerate(table, 1 if path.suffix.lower() in (".jsonl", ".ndjson") else 2):
        values: dict[str, list[str]] = {}
        for name, cell in zip(headers, cells, strict=False):
            if name and name not in values and (texts := _texts(cell)):
                values[name] = texts
        if values:
            yield Row(line, values, present)


def _texts(cell: Any) -> list[str]:
    """What a cell says, in its parts where JSON gives a list."""
    if isinstance(cell, datetime):
        cell = cell.date()
    elif isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    found = (
        re.sub(r"[ \t\r\u3000]+", " ", str(v)).strip() for v in (cell if isinstance(cell, list) else [cell]) if v is not None
    )
    return [text for text in found if text.lower() not in BLANK]


def unfit(text: str, longest: int = LONGEST) -> str | None:
    """Why a text can't be stored."""
    if len(text) > longest:
        return f"is longer than {longest} characters"
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        return "holds what is no character"
    return None
