"""Chinese working days from a table, and the ends of statutory terms.

Order 121 Art. 45: the first day is not counted; a last day on a statutory holiday moves to the first day after it.
Statutory days are days in Asia/Shanghai. A year whose notice is not out yet is computed from weekdays and fixed
holidays, and every date that touches it is provisional.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

from app.database import Connection
from app.errors import Invalid

SHANGHAI = ZoneInfo("Asia/Shanghai")
DUE_MODES = {"statutory": "仅法定节假日顺延", "notice": "按放假通知整段顺延", "any": "任何休息日顺延"}


@dataclass(frozen=True, slots=True)
class Day:
    working: bool
    statutory: bool
    name: str


@dataclass(frozen=True)
class Calendar:
    """exceptions: only days that differ from their weekday; fixed: 'MM-DD' holidays of years without a notice."""

    years: frozenset[int]
    exceptions: Mapping[date, Day]
    fixed: frozenset[str] = field(default_factory=frozenset)

    def is_working(self, day: date) -> bool:
        known = self.exceptions.get(day)
        if known is not None:
            return known.working
        if day.year not in self.years and day.strftime("%m-%d") in self.fixed:
            return False
        return day.weekday() < 5

    def is_statutory(self, day: date) -> bool:
        known = self.exceptions.get(day)
        if known is not None:
            return known.statutory
        return day.year not in self.years and day.strftime("%m-%d") in self.fixed

    def _moves(self, day: date, mode: str) -> bool:
        if mode == "statutory":
            return self.is_statutory(day)
        if mode == "notice":
            known = self.exceptions.get(day)
            return (known is not None and not known.working) or self.is_statutory(day)
        return not self.is_working(day)

    def add_working_days(self, start: date, count: int) -> date:
        day = start
        while count:
            day += timedelta(days=1)
            count -= self.is_working(day)
        return day

    def add_natural_days(self, start: date, count: int, mode: str = "statutory") -> date:
        day = start + timedelta(days=count)
        while self._moves(day, mode):
            day += timedelta(days=1)
        return day

    def working_days_between(self, start: date, end: date) -> int:
        """Working days after start up to and including end; negative when end lies before start."""
        if end < start:
            return -self.working_days_between(end, start)
        return sum(self.is_working(start + timedelta(days=n)) for n in range(1, (end - start).days + 1))


@dataclass(frozen=True, slots=True)
class Term:
    """count in working days or natural days by unit."""

    key: str
    count: int
    unit: str
    basis: str
    basis_zh: str


@dataclass(frozen=True, slots=True)
class Due:
    """due_at: 23:59:59 of the due day in Asia/Shanghai. other_modes: what the other readings of Art. 45 would give."""

    term: Term
    law: str
    start: date
    due_on: date
    provisional: bool
    reason: str
    other_modes: dict[str, str]

    @property
    def due_at(self) -> datetime:
        return end_of_day(self.due_on)


ORDER_20, ORDER_121 = "order-20", "order-121"
ORDER_121_FROM = date(2026, 4, 15)
_CAP_FROM = date(2024, 7, 1)
CLOCKS_FROM = date(2020, 1, 1)

_O121 = "《市场监督管理投诉举报处理办法》"
TERMS = {
    "complaint.accept": Term("complaint.accept", 7, "working", "Order 121 Art. 15", _O121 + "第十五条"),
    "complaint.mediate": Term("complaint.mediate", 60, "natural", "Order 121 Art. 22, 23(1)(5)", _O121 + "第二十三条第一款第五项"),
    "complaint.terminate_notice": Term("complaint.terminate_notice", 7, "working", "Order 121 Art. 23(2)", _O121 + "第二十三条第二款"),
    "clue.verify": Term("clue.verify", 15, "working", "Order 121 Art. 27", _O121 + "第二十七条"),
    "case.decide": Term("case.decide", 90, "natural", "行政处罚程序规定 Art. 64", "《市场监督管理行政处罚程序规定》第六十四条"),
    "jurisdiction.quarrel": Term("jurisdiction.quarrel", 7, "working", "Order 121 Art. 33", _O121 + "第三十三条"),
    "odr.settle": Term("odr.settle", 10, "working", "ODR rules", "在线消费纠纷解决企业管理规则（待核实）"),
    "judicial_confirm": Term("judicial_confirm", 30, "natural", "人民调解法 Art. 33", "《人民调解法》第三十三条"),
    "defect.report": Term("defect.report", 2, "working", "召回 Art. 8", "《消费品召回管理暂行规定》第八条"),
    "hotline12345.reply": Term("hotline12345.reply", 5, "working", "local", "12345热线地方时限（可配置）"),
}  # fmt: skip


def law_of(received_on: date) -> str:
    """The rules in force on the day of receipt govern (design choice; docs/decisions/0007)."""
    return ORDER_121 if received_on >= ORDER_121_FROM else ORDER_20


def due(calendar: Calendar, key: str, start: date, *, received_on: date | None = None, mode: str = "statutory") -> Due:
    """The end of a statutory term that starts on `start`. received_on chooses the rules, start by default."""
    if key not in TERMS:
        raise Invalid.field("key", f"unknown term; known: {', '.join(sorted(TERMS))}")
    received = received_on or start
    if received < CLOCKS_FROM:
        raise Invalid.field("received_on", "no clock runs for receipts before 2020-01-01")
    term, law = TERMS[key], law_of(received)
    other: dict[str, str] = {}
    if key == "complaint.mediate" and law == ORDER_20:
        # 45 working days then; from 2024-07-01 the 60 days of the higher norm cap them.
        by_working = calendar.add_working_days(start, 45)
        by_natural = calendar.add_natural_days(start, 60, mode)
        capped = received >= _CAP_FROM and by_natural < by_working
        day = by_natural if capped else by_working
        basis = "《消费者权益保护法实施条例》第四十六条" if capped else "原《市场监督管理投诉举报处理暂行办法》第二十一条"
        reason = f"自{start}起{'60日' if capped else '45个工作日'}（{basis}）"
    elif term.unit == "working":
        day = calendar.add_working_days(start, term.count)
        reason = f"自{start}的次日起算{term.count}个工作日（{term.basis_zh}），法定节假日及调休已计入"
    else:
        day = calendar.add_natural_days(start, term.count, mode)
        raw = start + timedelta(days=term.count)
        reason = f"自{start}的次日起算{term.count}日（{term.basis_zh}）"
        if day != raw:
            reason += f"，期满日{raw}为{'法定节假日' if mode == 'statutory' else '休息日'}，顺延至{day}"
        for name in DUE_MODES:
            alternative = calendar.add_natural_days(start, term.count, name)
            if name != mode and alternative != day:
                other[name] = alternative.isoformat()
    years = {(start + timedelta(days=n)).year for n in range(1, (day - start).days + 1)} | {day.year}
    provisional = not years <= calendar.years
    if provisional:
        missing = "、".join(str(y) for y in sorted(years - calendar.years))
        reason += f"；{missing}年放假安排尚未公布，日期为暂定"
    if other:
        reason += "；" + "，".join(f"{DUE_MODES[k]}为{v}" for k, v in other.items())
    return Due(term, law, start, day, provisional, reason, other)


def light(now: datetime, due_at: datetime, started_at: datetime, calendar: Calendar) -> str:
    """red: due today or overdue; yellow: at most 2 working days or 30 % of the term left (design choice); else green."""
    today, last = local_day(now), local_day(due_at)
    if today >= last:
        return "red"
    left = (due_at - now).total_seconds() / max((due_at - started_at).total_seconds(), 1)
    return "yellow" if left <= 0.3 or calendar.working_days_between(today, last) <= 2 else "green"


def local_day(moment: datetime) -> date:
    """00:30 in Wuhan is yesterday in UTC."""
    return moment.astimezone(SHANGHAI).date()


def end_of_day(day: date) -> datetime:
    return datetime.combine(day, time(23, 59, 59), SHANGHAI).astimezone(UTC)


def shipped() -> tuple[dict[int, str], dict[date, Day], frozenset[str]]:
    """(year -> source, exceptions, fixed holidays) as shipped: notices up to the last one known to chinesecalendar."""
    import chinese_calendar

    raw = json.loads((files("app") / "data" / "calendar.json").read_text("utf-8"))
    statutory = {date.fromisoformat(f"{y}-{d}") for y, days in raw["statutory"].items() for d in days}
    years = {int(y): raw["source"] for y in raw["statutory"]}
    exceptions: dict[date, Day] = {}
    for year in years:
        day = date(year, 1, 1)
        while day.year == year:
            rests, name = chinese_calendar.get_holiday_detail(day)
            if rests == (day.weekday() < 5) or day in statutory:
                exceptions[day] = Day(not rests, day in statutory, name or ("调休上班" if not rests else "周末"))
            elif rests and name:
                exceptions[day] = Day(False, False, name)
            day += timedelta(days=1)
    return years, exceptions, frozenset(raw["fixed"])


def shipped_calendar() -> Calendar:
    years, exceptions, fixed = shipped()
    return Calendar(frozenset(years), exceptions, fixed)


async def seed(connection: Connection) -> None:
    """Loads the shipped years that the table does not have; a year loaded by hand stays."""
    years, exceptions, _ = shipped()
    for year, source in years.items():
        fresh = await connection.fetchval(
            "INSERT INTO calendar_year (year, source) VALUES ($1, $2) ON CONFLICT (year) DO NOTHING RETURNING year", year, source
        )
        if fresh:
            await connection.executemany(
                "INSERT INTO calendar_day (day, working, statutory, name) VALUES ($1, $2, $3, $4) ON CONFLICT (day) DO NOTHING",
                [(d, x.working, x.statutory, x.name) for d, x in exceptions.items() if d.year == year],
            )


async def load(connection: Connection) -> Calendar:
    years = await connection.fetch("SELECT year FROM calendar_year")
    days = await connection.fetch("SELECT * FROM calendar_day")
    fixed = frozenset(json.loads((files("app") / "data" / "calendar.json").read_text("utf-8"))["fixed"])
    return Calendar(
        frozenset(r["year"] for r in years),
        {r["day"]: Day(r["working"], r["statutory"], r["name"]) for r in days},
        fixed,
    )
