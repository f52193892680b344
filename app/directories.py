"""Who can take a complaint besides the desk: ODR enterprises, mediation bodies, service stations, other departments, the bureaux; and
the platforms, whose domicile says which bureau is competent.

A directory is a sheet that somebody keeps elsewhere and sends now and then. Each of its entries is kept as it was from a day to a day: what
changed ends the day before and begins anew, so an old matter is read with the directory of its time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ahocorasick_rs import AhoCorasick, MatchKind

from app import audit, sheets
from app.codes import find_district, find_elsewhere, region_name, shipped
from app.database import Connection
from app.errors import NotFound
from app.sheets import Problem, Row

MAX_ENTRIES = 5000
_DAY = timedelta(days=1)
_NAME = ("name", "名称", "企业名称", "机构名称", "单位名称", "部门名称", "站点名称", "维权服务站名称")
_PLACE = ("district", "区划", "所在区", "所在区县", "所属区划", "行政区划", "辖区", "地区")
_VALIDITY = {
    "valid_from": ("valid_from", "有效期起", "生效日期", "起始日期", "加入日期", "设立日期"),
    "valid_to": ("valid_to", "有效期止", "失效日期", "终止日期", "撤销日期"),
}
_END = ("valid_to", "exit_on", "exit_reason")
_ORGANISATION = {
    "code": ("code", "编号", "统一社会信用代码", "社会信用代码", "信用代码"),
    "name": _NAME,
    "district": _PLACE,
    "address": ("address", "地址", "联系地址", "通信地址", "详细地址"),
    "phone": ("phone", "电话", "联系电话", "值班电话"),
    "category": ("category", "类型", "类别", "机构类型", "性质"),
}


@dataclass(frozen=True, slots=True)
class Directory:
    """label: in Chinese; columns: field -> its headers, the Chinese one that is written second; needs: fields an entry is nothing without."""

    label: str
    table: str
    columns: Mapping[str, Sequence[str]]
    needs: tuple[str, ...]

    @property
    def content(self) -> tuple[str, ...]:
        """What is true of an entry while it is valid, as stored."""
        return tuple(f for f in self.columns if f not in ("valid_from", *_END))


DIRECTORIES: Mapping[str, Directory] = {
    "odr": Directory(
        "在线消费纠纷解决（ODR）企业", "odr_enterprise",
        {
            "uscc": ("uscc", "统一社会信用代码", "社会信用代码", "信用代码"),
            "name": _NAME,
            "district": _PLACE,
            "reply_rate": ("reply_rate", "答复率", "回复率", "按时答复率"),
            "success_rate": ("success_rate", "和解成功率", "和解率", "成功率"),
            "exit_on": ("exit_on", "退出日期", "退出时间"),
            "exit_reason": ("exit_reason", "退出原因"),
            **_VALIDITY,
        },
        ("uscc", "name"),
    ),
    "mediation": Directory(
        "调解组织", "organisation",
        {**_ORGANISATION, "matters": ("matters", "受理范围", "业务范围", "调解范围", "事项"), **_VALIDITY}, ("name",),
    ),
    "station": Directory(
        "消费维权服务站", "organisation",
        {**_ORGANISATION, "host": ("host", "依托单位", "所在场所", "设立单位"), **_VALIDITY}, ("name", "district"),
    ),
    "department": Directory(
        "其他部门", "organisation", {**_ORGANISATION, "matters": ("matters", "职责", "事项", "职责范围", "受理范围"), **_VALIDITY},
        ("name", "matters"),
    ),
    "bureau": Directory(
        "市场监督管理部门", "organisation", {**_ORGANISATION, "word": ("word", "机关代字", "文号代字", "代字"), **_VALIDITY},
        ("name", "district"),
    ),
    # Whose domicile is competent where an in-platform seller publishes no address (Art. 13(2)): all over the country.
    "platform": Directory(
        "电子商务平台", "organisation",
        {
            "code": ("code", "统一社会信用代码", "社会信用代码", "信用代码", "uscc"),
            "name": ("name", "平台名称", "名称"),
            "aliases": ("aliases", "别名", "其他名称", "简称"),
            "operator": ("operator", "经营者名称", "平台经营者", "运营企业", "企业名称"),
            "district": ("district", "住所地", "住所地区划", "区划", "行政区划"),
            "address": ("address", "住所", "地址", "注册地址"),
            "phone": ("phone", "电话", "联系电话"),
            **_VALIDITY,
        },
        ("name", "district"),
    ),
}  # fmt: skip


def get_directory(kind: str) -> Directory:
    if kind not in DIRECTORIES:
        raise NotFound(f"no directory {kind}; there are {', '.join(DIRECTORIES)}")
    return DIRECTORIES[kind]


# -- looked up


@dataclass(frozen=True, slots=True)
class OdrStatus:
    """live: None when the merchant's code is unknown or no roster is loaded, so nobody can say. Rates are shares of one, None where the
    roster does not say. exit_on: an exit was announced; live until the day before."""

    live: bool | None
    reply_rate: float | None = None
    success_rate: float | None = None
    exit_on: date | None = None


_ODR = """
SELECT EXISTS (SELECT FROM odr_enterprise) AS loaded, e.* FROM (SELECT) one LEFT JOIN LATERAL (
  SELECT uscc, reply_rate, success_rate, exit_on,
         valid_from <= $2 AND (valid_to IS NULL OR valid_to >= $2) AND (exit_on IS NULL OR exit_on > $2) AS live
  FROM odr_enterprise WHERE uscc = ANY($1) AND valid_from <= $2
  ORDER BY live DESC, reply_rate DESC NULLS FIRST, valid_from DESC LIMIT 1
) e ON true
"""


async def odr_status(connection: Connection, usccs: Sequence[str], on: date) -> OdrStatus:
    """Of the merchant's codes the one that answers best."""
    if not usccs:
        return OdrStatus(None)
    row = await connection.fetchrow(_ODR, list(usccs), on)
    if not row["loaded"]:
        return OdrStatus(None)
    if not row["live"]:
        return OdrStatus(False, exit_on=row["exit_on"])
    return OdrStatus(True, row["reply_rate"], row["success_rate"], row["exit_on"])


async def entries(
    connection: Connection, kind: str, *, on: date, district: str | None = None, limit: int = MAX_ENTRIES, offset: int = 0
) -> list[dict[str, Any]]:
    """Valid on the day. district: those in it and those that serve it from above, the nearest first."""
    directory = get_directory(kind)
    columns = ", ".join((*directory.columns, "source"))
    rows = await connection.fetch(
        f"SELECT {columns} FROM {directory.table} WHERE valid_from <= $1 AND (valid_to IS NULL OR valid_to >= $1) "
        + ("" if kind == "odr" else "AND kind = $5 ")
        + "AND ($2::text IS NULL OR district IS NULL OR starts_with(district, $2) OR starts_with($2, district)) "
        f"ORDER BY CASE WHEN $2::text IS NOT NULL THEN length(district) END DESC NULLS LAST, district, name, {'uscc' if kind == 'odr' else 'key'} LIMIT $3 OFFSET $4",
        on, district and _trimmed(district), limit, offset, *([] if kind == "odr" else [kind]),
    )  # fmt: skip
    return [dict(r) for r in rows]


async def find_bureau(connection: Connection, district: str, on: date) -> dict[str, Any] | None:
    """The nearest that serves the place: {name, district, address, phone, word}."""
    row = await connection.fetchrow(
        "SELECT name, district, address, phone, word FROM organisation WHERE kind = 'bureau' AND valid_from <= $2 "
        "AND (valid_to IS NULL OR valid_to >= $2) AND starts_with($1, district) ORDER BY length(district) DESC, name LIMIT 1",
        district, on,
    )  # fmt: skip
    return dict(row) if row else None


@dataclass(frozen=True, slots=True)
class Platform:
    """district: of its operator's domicile, without trailing zeros."""

    name: str
    operator: str | None
    district: str
    first: date
    last: date | None
    names: tuple[str, ...]

    def holds(self, on: date) -> bool:
        return self.first <= on and (self.last is None or self.last >= on)


class Platforms:
    """The directory of platforms in memory: small, and asked for every letter."""

    def __init__(self, entries: Sequence[Mapping[str, Any]] = ()) -> None:
        self._by_name: dict[str, list[Platform]] = {}
        self._by_code: dict[str, list[Platform]] = {}
        for e in entries:
            names = tuple(dict.fromkeys(_plain(n) for n in (e["name"], *(e["aliases"] or ()), e["operator"] or "") if n))
            one = Platform(e["name"], e["operator"], e["district"], e["valid_from"], e["valid_to"], names)
            for name in names:
                self._by_name.setdefault(name, []).append(one)
            if e["code"]:
                self._by_code.setdefault(e["code"], []).append(one)
        self._names = [n for n in self._by_name if len(n) >= 2]
        self._automaton = AhoCorasick(self._names, matchkind=MatchKind.LeftmostLongest)

    def find(self, on: date, *names: str | None, code: str | None = None) -> Platform | None:
        """The platform of that code or one of these names, as it is on the day."""
        found = [p for p in self._by_code.get(code or "", ()) if p.holds(on)]
        found += [p for n in names if n for p in self._by_name.get(_plain(n), ()) if p.holds(on)]
        return found[0] if found else None

    def named_in(self, text: str, on: date) -> Platform | None:
        """The platform a text speaks of, by the longest of its names."""
        if not self._names:
            return None
        found = {self._names[i] for i, _, _ in self._automaton.find_matches_as_indexes(_plain(text))}
        known = [(len(n), p) for n in sorted(found) for p in self._by_name[n] if p.holds(on)]
        return max(known, key=lambda f: f[0], default=(0, None))[1]


def _plain(name: str) -> str:
    return "".join(name.split()).lower().removesuffix("平台").removesuffix("app")


async def load_platforms(connection: Connection) -> Platforms:
    return Platforms(
        await connection.fetch(
            "SELECT code, name, aliases, operator, district, valid_from, valid_to FROM organisation WHERE kind = 'platform' "
            "ORDER BY valid_from DESC, key"
        )
    )


def sheet(kind: str, rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Entries as the sheet they can be loaded from again: (headers, rows)."""
    columns = get_directory(kind).columns
    headers = [written[1] for written in columns.values()]
    return headers, [["；".join(v) if isinstance(v := row[name], list) else v for name in columns] for row in rows]


def _trimmed(code: str) -> str:
    """420100 -> 4201: a city's code is the beginning of its districts'."""
    while len(code) > 2 and code.endswith("00"):
        code = code[:-2]
    return code


# -- loaded


@dataclass
class Loaded:
    """opened: not known before, or back again; changed: another content from a day on; ended: not valid any more."""

    rows: int = 0
    opened: int = 0
    changed: int = 0
    ended: int = 0
    unchanged: int = 0
    rejected: int = 0
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Entry:
    """end: what the sheet says of when and why it ends (valid_to, exit_on, exit_reason), by the columns it has. unread: fields whose words
    could not be taken; what is known of them stays."""

    line: int
    content: dict[str, Any]
    first: date | None
    end: dict[str, Any]
    unread: frozenset[str]


@dataclass(slots=True)
class _Spell:
    """An entry as it was from a day to a day, the last included: a row of the table."""

    key: str
    content: dict[str, Any]
    first: date
    end: dict[str, Any]
    source: str
    touched: bool = False

    @property
    def last(self) -> date | None:
        day: date | None = self.end["valid_to"]
        return day

    def over(self, on: date) -> bool:
        return self.last is not None and self.last < on


async def load(
    connection: Connection, kind: str, path: Path, *, source: str, actor: str, on: date, complete: bool = False
) -> Loaded:
    """Loads a sheet (CSV, XLSX, JSONL); loading it twice changes nothing. on: the day from which what it says is true, where a row does
    not say. complete: what this source told before and the sheet lacks has ended; a sheet with rows that can't be read ends nothing.

    Call inside a transaction. Raises Invalid when the file is none that can be read.
    """
    directory = get_directory(kind)
    # Two loads at once would each open what the other opens; readers go on.
    await connection.execute(f"LOCK TABLE {directory.table} IN SHARE ROW EXCLUSIVE MODE")
    book = _Book(kind, await _stored(connection, kind, directory))
    done = Loaded()
    seen: set[str] = set()
    lines: dict[str, int] = {}
    for entry in _entries(directory, path, done):
        key = book.key_of(entry.content)
        if key in seen:
            done.problems.append(Problem(entry.line, "name", f"is the same as line {lines[key]}"))
            done.rejected += 1
            continue
        seen.add(key)
        lines[key] = entry.line
        what, problem = book.tell(key, entry, source, on)
        setattr(done, what, getattr(done, what) + 1)
        if problem:
            done.problems.append(problem)
    if complete:
        if done.rejected or not seen:
            done.problems.append(Problem(0, "complete", "some rows could not be taken, so nothing that is missing was ended"))
        else:
            done.ended += book.end_missing(seen, source, on)
    keys = await _write(connection, kind, directory, book)
    await audit.record(connection, actor, "load", f"directory.{kind}", keys, purpose=source)
    done.problems.sort(key=lambda p: p.line)
    return done


def _entries(directory: Directory, path: Path, done: Loaded) -> Iterator[_Entry]:
    for row in sheets.read_rows(path, directory.columns, required="name"):
        done.rows += 1
        entry = _entry(directory, row)
        done.problems += row.problems
        if entry is None:
            done.rejected += 1
        else:
            yield entry


def _entry(directory: Directory, row: Row) -> _Entry | None:
    """None where the row can't be taken at all."""
    content: dict[str, Any] = {}
    for name in directory.content:
        match name:
            case "uscc":
                content[name] = row.uscc(name)
            case "district":
                content[name] = _place(row)
            case "reply_rate" | "success_rate":
                content[name] = row.share(name)
            case "matters" | "aliases":
                content[name] = list(row.parts(name))
            case _:
                content[name] = row.text(name) or None
    for name in directory.needs:
        if not content[name] and not any(p.field == name for p in row.problems):
            row.problem(name, "is missing")
    first = row.day("valid_from")
    end: dict[str, Any] = {
        name: row.text(name) or None if name == "exit_reason" else row.day(name) for name in _END if name in row.columns
    }
    last = end.get("valid_to") or end.get("exit_on")
    if first and last and last < first:
        row.problem("valid_to" if end.get("valid_to") else "exit_on", "is before valid_from")
    elif any(p.field in ("valid_from", *_END) for p in row.problems):
        pass
    elif all(content[name] for name in directory.needs):
        return _Entry(row.line, content, first, end, frozenset(p.field for p in row.problems))
    return None


def _place(row: Row) -> str | None:
    text = row.text("district")
    if not text:
        return None
    code = _trimmed(text) if text.isascii() and text.isdigit() else find_elsewhere(text) or find_district(text)
    province = shipped("regions")["province"]
    if code is None and text in (province["name"], "全省"):
        code = province["code"]
    if code is None or (region_name(code) or region_name(code.ljust(6, "0"))) is None:
        row.problem("district", f"{text!r} is no place that is known; a district that two cities have needs its city")
        return None
    return _trimmed(code)


class _Book:
    """A directory in memory: the spells of each entry, oldest first."""

    def __init__(self, kind: str, spells: Sequence[_Spell]) -> None:
        self._code = "uscc" if kind == "odr" else "code"
        self.spells: dict[str, list[_Spell]] = {}
        for spell in spells:
            self.spells.setdefault(spell.key, []).append(spell)
        self._by_code = {s[-1].content[self._code]: k for k, s in self.spells.items() if s[-1].content[self._code]}
        self._by_name = {self._name(s[-1].content): k for k, s in self.spells.items()}

    @staticmethod
    def _name(content: Mapping[str, Any]) -> str:
        return f"{content['name']}|{content['district'] or ''}"

    def key_of(self, content: Mapping[str, Any]) -> str:
        """By code, else by name and place where neither has another code."""
        code, name = content[self._code], self._name(content)
        if code and code in self._by_code:
            return self._by_code[code]
        known = self._by_name.get(name)
        if known and (not code or not self.spells[known][-1].content[self._code]):
            return known
        return code or name

    def tell(self, key: str, entry: _Entry, source: str, on: date) -> tuple[str, Problem | None]:
        """(the counter of Loaded, what can't be taken)."""
        spells = self.spells.setdefault(key, [])
        if not spells:
            end = _end(entry, {})
            last = end["valid_to"]
            first = entry.first or (min(on, last) if last else on)
            if last and last < first:
                return "rejected", Problem(entry.line, "exit_on", "leaves it no day on which it was valid")
            spells.append(_Spell(key, entry.content, first, end, source, touched=True))
            return "opened", None
        current = spells[-1]
        content = {**entry.content, **{name: current.content[name] for name in entry.unread if name in current.content}}
        same = current.content == content
        first = on
        if entry.first and entry.first > (current.last if same and current.last else current.first):
            first = entry.first
        elif entry.first == current.first:
            first = max(on, current.first)
        fresh = _end(entry, {})
        over = fresh["valid_to"] is not None and fresh["valid_to"] < first
        if over or (same and not current.over(on)):
            # Nothing but its end is new: what changed after it was over never came to be.
            end = _end(entry, current.end)
            if end == current.end:
                return "unchanged", None
            if end["valid_to"] and end["valid_to"] < current.first:
                return "rejected", Problem(entry.line, "valid_to", f"is before {current.first}, from which the entry is known")
            current.end, current.source, current.touched = end, source, True
            return ("ended" if end["valid_to"] else "changed"), None
        if first < current.first:
            return "rejected", Problem(entry.line, "valid_from", f"is known as it was from {current.first} on; this is older")
        if first == current.first:
            current.content, current.end, current.source, current.touched = content, _end(entry, current.end), source, True
            return "changed", None
        was_over = current.over(first)
        end = fresh if was_over else _end(entry, current.end)
        if not was_over:
            current.end, current.touched = {**current.end, "valid_to": first - _DAY}, True
        spells.append(_Spell(key, content, first, end, source, touched=True))
        return ("opened" if was_over else "changed"), None

    def end_missing(self, seen: set[str], source: str, on: date) -> int:
        ended = 0
        for key, spells in self.spells.items():
            current = spells[-1]
            if key in seen or current.source != source or current.first > on or current.over(on):
                continue
            current.end, current.touched = {**current.end, "valid_to": max(on - _DAY, current.first)}, True
            ended += 1
        return ended


def _end(entry: _Entry, known: Mapping[str, Any]) -> dict[str, Any]:
    """How it ends by what the sheet says, else as it is known. An exit ends it the day before, whatever else is said."""
    end = {name: entry.end.get(name, known.get(name)) for name in _END}
    if known.get("exit_on") and not end["exit_on"] and "valid_to" not in entry.end:
        end["valid_to"] = None  # the exit was taken back
    if end["exit_on"] and (end["valid_to"] is None or end["valid_to"] >= end["exit_on"]):
        end["valid_to"] = end["exit_on"] - _DAY
    return end


async def _stored(connection: Connection, kind: str, directory: Directory) -> list[_Spell]:
    rows = await connection.fetch(
        f"SELECT * FROM {directory.table} {'' if kind == 'odr' else 'WHERE kind = $1'} ORDER BY valid_from",
        *([] if kind == "odr" else [kind]),
    )
    return [
        _Spell(
            r["uscc"] if kind == "odr" else r["key"], {name: r[name] for name in directory.content}, r["valid_from"],
            {name: r.get(name) for name in _END}, r["source"],
        )
        for r in rows
    ]  # fmt: skip


async def _write(connection: Connection, kind: str, directory: Directory, book: _Book) -> list[str]:
    """Gives the keys of what was touched."""
    touched = [s for spells in book.spells.values() for s in spells if s.touched]
    keys = ("uscc", "valid_from") if kind == "odr" else ("kind", "key", "valid_from")
    written = [n for n in (*directory.content, *(n for n in _END if n in directory.columns), "source") if n not in keys]
    columns = [*keys, *written]
    await connection.executemany(
        f"INSERT INTO {directory.table} ({', '.join(columns)}) VALUES ({', '.join(f'${n}' for n in range(1, len(columns) + 1))}) "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in written)}",
        [
            [{**s.content, **s.end, "kind": kind, "key": s.key, "valid_from": s.first, "source": s.source}[c] for c in columns]
            for s in touched
        ],
    )
    return sorted({s.key for s in touched})
