"""Chinese working days from a table, and the ends of statutory terms.

Order 121 Art. 45: the first day is not counted; a last day on a statutory holiday moves to the first day after it.
Statutory days are days in Asia/Shanghai. A year whose notice is not out yet is computed from weekdays and the holidays
the law itself fixes, and every date that touches it is provisional. What is counted, and on which sentence: app.terms.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from app import terms as law
from app.database import Connection
from app.errors import Conflict, Invalid
from app.terms import UNITS, Rule, Terms

SHANGHAI = ZoneInfo("Asia/Shanghai")
DUE_MODES = law.shipped().modes
CLOCKS_FROM = law.shipped().clocks_from
law_of = law.shipped().law_of
_DAY = timedelta(days=1)
_STARTS = (date(1950, 1, 1), date(2199, 12, 31))
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Day:
    working: bool
    statutory: bool
    name: str


@dataclass(frozen=True)
class Calendar:
    """exceptions: only days that differ from their weekday, and statutory ones. For years without a notice: expected, the statutory
    days as far as they are known; beyond these fixed, (month, day). terms: what is counted in these days."""

    years: frozenset[int]
    exceptions: Mapping[date, Day]
    expected: Mapping[int, frozenset[date]] = field(default_factory=dict)
    fixed: frozenset[tuple[int, int]] = frozenset()
    terms: Terms = field(default_factory=law.shipped)
    _dues: dict[tuple[Any, ...], "Due"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def is_working(self, day: date) -> bool:
        known = self.exceptions.get(day)
        if known is not None:
            return known.working
        return day.weekday() < 5 and not self._assumed(day)

    def is_statutory(self, day: date) -> bool:
        known = self.exceptions.get(day)
        return known.statutory if known is not None else self._assumed(day)

    def _assumed(self, day: date) -> bool:
        """A statutory day of a year whose notice is not out."""
        if day.year in self.years:
            return False
        expected = self.expected.get(day.year)
        return day in expected if expected is not None else (day.month, day.day) in self.fixed

    def _moves(self, day: date, mode: str) -> bool:
        if mode == "statutory":
            return self.is_statutory(day)
        if mode == "notice":
            known = self.exceptions.get(day)
            return (known is not None and not known.working) or self.is_statutory(day)
        return not self.is_working(day)

    def roll(self, day: date, mode: str = "statutory") -> date:
        """The day itself, or the first after it that the mode does not move."""
        while self._moves(day, mode):
            day += _DAY
        return day

    def add_working_days(self, start: date, count: int) -> date:
        day = start
        while count:
            day += _DAY
            count -= self.is_working(day)
        return day

    def add_natural_days(self, start: date, count: int, mode: str = "statutory") -> date:
        return self.roll(start + timedelta(days=count), mode)

    def working_days_between(self, start: date, end: date) -> int:
        """Working days after start up to and including end; negative when end lies before start."""
        if end < start:
            return -self.working_days_between(end, start)
        return sum(self.is_working(start + timedelta(days=n)) for n in range(1, (end - start).days + 1))

    def working_days_before(self, day: date, count: int) -> date:
        """The last working day after which count working days are left, `day` included."""
        while count or not self.is_working(day):
            count -= self.is_working(day)
            day -= _DAY
        return day


class Pause(NamedTuple):
    """Days after `since` up to and including `until` are not counted; until None: it goes on. reason: Chinese."""

    since: date
    until: date | None
    reason: str = "鉴定、检测"


@dataclass(frozen=True, slots=True)
class Due:
    """The end of a term. due_at: 23:59:59 of the due day in Asia/Shanghai. other_modes: what the other readings of Art. 45 would
    give. bounded: another term of the matter was looked at (the end of an ODR settlement)."""

    key: str
    law: str
    start: date
    received_on: date
    mode: str
    due_on: date
    due_at: datetime
    provisional: bool
    reason: str
    other_modes: dict[str, str]
    bounded: bool = False


def due(
    calendar: Calendar, key: str, start: date, *, received_on: date | None = None, mode: str = "statutory",
    pauses: Sequence[Pause] = (), extended: int = 0, before: date | None = None,
) -> Due:  # fmt: skip
    """The end of a statutory term that starts on `start`.

    Args:
        received_on: chooses the rules; start by default.
        mode: which days move the end of a term in natural days, of DUE_MODES.
        pauses: in order, not overlapping. Their days are added to the raw end before it is moved.
        extended: how many extensions were approved.
        before: where the term falls back before another of the matter does (odr.settle before complaint.accept): its due day.
    """
    plain = not pauses and before is None
    known = (key, start, received_on, mode, extended)
    if plain and (found := calendar._dues.get(known)) is not None:
        return found
    term = calendar.terms.term(key)
    if not _STARTS[0] <= start <= _STARTS[1]:
        raise Invalid.field("start", f"must be from {_STARTS[0]} to {_STARTS[1]}")
    if mode not in DUE_MODES:
        raise Invalid.field("mode", f"must be one of {', '.join(DUE_MODES)}")
    received = received_on or start
    rule = term.rule(received)
    if received < calendar.terms.clocks_from and not term.limitation:
        raise Invalid.field("received_on", f"no clock runs for receipts before {calendar.terms.clocks_from}")
    if extended and (rule.extension is None or extended > rule.extension.times):
        raise Invalid.field("extended", f"{key} can be extended {rule.extension.times if rule.extension else 0} times")
    reckoned = _Reckoning(calendar, rule, start, pauses, extended, before)
    day, reason = reckoned.end(mode)
    reason = f"自{start}（{term.starts_zh}）的次日起算{rule.count}{UNITS[rule.unit]}（{rule.basis}）{calendar.terms.counted_by(received, rule)}{reason}"
    if rule.longer is not None:
        reason += f"；符合条件的为{rule.longer.count}{UNITS[rule.longer.unit]}，至{years_later(start, rule.longer.count)}"
    missing = sorted(set(range((start + _DAY).year, max(day, reckoned.latest).year + 1)) - calendar.years)
    provisional = bool(missing) and not term.limitation
    if provisional:
        reason += f"；{'、'.join(map(str, missing))}年放假安排尚未公布，日期为暂定"
    other = {name: end.isoformat() for name in DUE_MODES if name != mode and (end := reckoned.end(name)[0]) != day}
    if other:
        reason += "；" + "，".join(f"{DUE_MODES[k]}为{v}" for k, v in other.items())
    if pauses and pauses[-1].until is None:
        reason += f"；自{pauses[-1].since}起因{pauses[-1].reason}暂停计算，恢复后顺延"
    bounded = before is not None and rule.fall_back is not None
    law_id = calendar.terms.law_of(received)
    made = Due(key, law_id, start, received, mode, day, end_of_day(day), provisional, reason, other, bounded)
    if plain:
        if len(calendar._dues) >= _REMEMBERED:
            calendar._dues.clear()
        calendar._dues[known] = made
    return made


class _Reckoning:
    """One term from one start. latest: the last day that was looked at apart from moving."""

    def __init__(
        self, calendar: Calendar, rule: Rule, start: date, pauses: Sequence[Pause], extended: int, before: date | None
    ) -> None:  # fmt: skip
        self.calendar, self.rule, self.start, self.before = calendar, rule, start, before
        self.closed = [(p.since, p.until) for p in pauses if p.until is not None]
        self.more = extended * rule.extension.count if rule.extension else 0
        self.latest = max(start, before) if before is not None else start
        # Nothing but moving depends on the mode.
        self.raw = self._raw(rule.unit, rule.count + self.more)
        self.cap = self._raw(rule.cap.unit, rule.cap.count) if rule.cap else None

    def end(self, mode: str) -> tuple[date, str]:
        """The due day and what made it, in Chinese."""
        rule, reason = self.rule, ""
        if self.more and rule.extension:
            said = "" if rule.extension.basis == rule.basis else f"（{rule.extension.basis}）"
            reason += f"，经批准延长{self.more}{UNITS[rule.unit]}{said}"
        if self.closed:
            reason += f"，鉴定、检测所需的{self._paused(rule.unit)}{UNITS[rule.unit]}不计入"
        if rule.unit == "working":
            reason += "，法定节假日及调休已计入"
        day = self._moved(rule.unit, self.raw, mode)
        if rule.unit != "working" and day != self.raw:
            reason += f"，期满日{self.raw}{_moved_why(mode)}，顺延至{day}"
        if rule.cap and self.cap and (capped := self._moved(rule.cap.unit, self.cap, mode)) < day:
            day = capped
            reason += f"；以{rule.cap.count}{UNITS[rule.cap.unit]}为限（{rule.cap.basis}）"
            if capped != self.cap:
                reason += f"，期满日{self.cap}{_moved_why(mode)}，顺延至{capped}"
        if rule.fall_back and self.before is not None:
            bound = self.calendar.working_days_before(self.before, rule.fall_back.working_days)
            if bound < day:
                # Where that day is over already it is the first on which somebody can act.
                day = max(bound, self._open("working", self.start))
                name = self.calendar.terms.term(rule.fall_back.before).name
                reason += f"；最迟于{name}期限（{self.before}）届满前{rule.fall_back.working_days}个工作日转回"
        return day, reason

    def _paused(self, unit: str) -> int:
        if unit == "working":
            return sum(self.calendar.working_days_between(since, until) for since, until in self.closed)
        return sum((until - since).days for since, until in self.closed)

    def _raw(self, unit: str, count: int) -> date:
        if unit == "years":
            return years_later(self.start, count)
        count += self._paused(unit)
        raw = self.calendar.add_working_days(self.start, count) if unit == "working" else self.start + timedelta(days=count)
        self.latest = max(self.latest, raw)
        return raw

    def _moved(self, unit: str, raw: date, mode: str) -> date:
        day = raw if unit == "working" or not self.rule.rolls else self.calendar.roll(raw, mode)
        # Paused on its very last day, or while that was moved: it does not end before it goes on.
        if self.closed and day < self.closed[-1][1]:
            day = self._open(unit, self.closed[-1][1], mode)
        return day

    def _open(self, unit: str, day: date, mode: str = "any") -> date:
        return self.calendar.roll(day, "any" if unit == "working" else mode)


def _moved_why(mode: str) -> str:
    return {"statutory": "为法定节假日", "notice": "在放假通知的连休内"}.get(mode, "为休息日")


def years_later(day: date, years: int) -> date:
    """The same day; of 29 February the last day of the month."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


def light(
    now: datetime, due_at: datetime, started_at: datetime, calendar: Calendar, *, paused: bool = False, paused_days: int = 0
) -> str:  # fmt: skip
    """grey: paused; red: due today or overdue; yellow: little left, in working days or as a share of the term (thresholds are data);
    else green. paused_days: natural days that did not count."""
    if paused:
        return "grey"
    today, last = local_day(now), local_day(due_at)
    if today >= last:
        return "red"
    whole = due_at - started_at - timedelta(days=paused_days)
    if due_at - now <= calendar.terms.yellow_share * whole:
        return "yellow"
    return "yellow" if calendar.working_days_between(today, last) <= calendar.terms.yellow_working_days else "green"


# What `light` says of a running clock c, in SQL, for many at once: red where it is due before `limits`' first, yellow before its second or
# where little of its term is left. {now}, {share}: parameters (the terms' yellow_share).
LITTLE_LEFT = "c.due_at - {now} <= {share} * (c.due_at - c.started_at - make_interval(days => c.paused_days))"


def limits(now: datetime, calendar: Calendar) -> tuple[datetime, datetime]:
    """(red, yellow): what is due before the first is red; before the second, however long its term, yellow at least."""
    today = local_day(now)
    day, left = today, calendar.terms.yellow_working_days
    while left >= calendar.is_working(day + _DAY):
        day += _DAY
        left -= calendar.is_working(day)
    return start_of_day(today + _DAY), start_of_day(day + _DAY)


def local_day(moment: datetime) -> date:
    """00:30 in Wuhan is yesterday in UTC."""
    return moment.astimezone(SHANGHAI).date()


def start_of_day(day: date) -> datetime:
    return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)


def end_of_day(day: date) -> datetime:
    return datetime.combine(day, time(23, 59, 59), SHANGHAI).astimezone(UTC)


# -- where calendars come from


@dataclass(frozen=True)
class YearFile:
    """A year as a file told it. days: what differs from the weekday, statutory days, and rest blocks. warnings: to be looked at."""

    year: int
    source: str
    days: Mapping[date, Day]
    warnings: tuple[str, ...] = ()


_PLAIN_YEARS = (2004, 2100)
_YES, _NO = {"1", "true", "yes", "是"}, {"0", "false", "no", "否", ""}


def read_table(rows: Iterable[Sequence[Any]], *, source: str | None, year: int | None = None) -> YearFile:
    """A table day,working,statutory,name: the days that differ from their weekday, statutory days and rest blocks; or every day of
    the year, where what is plain carries no name. Raises Invalid with the line of what can't be taken."""
    table = iter(rows)
    header = [str(h or "").strip().lower() for h in next(table, [])]
    if missing := [c for c in ("day", "working", "statutory", "name") if c not in header]:
        raise Invalid.field("file", f"needs the columns day,working,statutory,name; missing: {', '.join(missing)}")
    days: dict[date, Day] = {}
    errors = []
    for line, row in enumerate(table, 2):
        cells = dict(zip(header, row, strict=False))
        if not any(str(v or "").strip() for v in cells.values()):
            continue
        try:
            day = _day(cells.get("day"))
            if day in days:
                raise ValueError(f"{day} stands here twice")
            days[day] = Day(_flag(cells.get("working")), _flag(cells.get("statutory")), str(cells.get("name") or "").strip())
        except ValueError as error:
            errors.append({"field": f"line {line}", "message": str(error)})
    if errors:
        raise Invalid("the calendar can't be taken", errors=errors)
    return _checked(year or (min(days).year if days else 0), days, source, earlier=False)


def read_holiday_cn(content: str, *, source: str | None, year: int | None = None) -> YearFile:
    """The layout of holiday-cn: {"year", "papers": [URL], "days": [{"name", "date", "isOffDay"}]}. It does not say which days are
    statutory: that is taken from the shipped data, so a year these don't know needs a table. Days of the December before are
    that notice's own and belong to it."""
    try:
        raw = json.loads(content)
        told = int(raw["year"])
        off = [(_day(d["date"]), d["isOffDay"] is True, str(d["name"]).strip()) for d in raw["days"]]
        papers = "、".join(str(p) for p in raw.get("papers") or ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid.field("file", f"is not in the layout of holiday-cn: {error}") from None
    if year is not None and year != told:
        raise Invalid.field("year", f"the file is of {told}")
    known = {d for y in (told - 1, told) for d in _statutory_days().get(y, ())}
    if told not in _statutory_days():
        raise Invalid.field("file", f"does not say which days of {told} are statutory; load a table day,working,statutory,name")
    days: dict[date, Day] = {}
    for day, rests, name in off:
        if day in days:
            raise Invalid.field("file", f"{day} stands in it twice")
        days[day] = Day(not rests, day in known, name)
    if unlisted := sorted(_statutory_days()[told] - days.keys()):
        raise Invalid.field("file", f"is not whole: {', '.join(map(str, unlisted))} do not stand in it")
    return _checked(told, days, source or papers, earlier=True)


def _checked(year: int, days: Mapping[date, Day], source: str | None, *, earlier: bool) -> YearFile:
    """earlier: days of the December before may stand in it."""
    errors: list[dict[str, str]] = []

    def wrong(field: str, message: str) -> None:
        errors.append({"field": field, "message": message})

    if not (source or "").strip():
        wrong("source", "say where the calendar comes from, e.g. the notice's number")
    if not _PLAIN_YEARS[0] <= year <= _PLAIN_YEARS[1]:
        wrong("year", f"must be from {_PLAIN_YEARS[0]} to {_PLAIN_YEARS[1]}")
    first, last = date(max(year, 1), 1, 1), date(max(year, 1), 12, 31)
    whole = {first + timedelta(days=n) for n in range((last - first).days + 1)} <= days.keys()
    kept: dict[date, Day] = {}
    for day, one in sorted(days.items()):
        weekday = "一二三四五六日"[day.weekday()]
        if day.year != year and not (earlier and day.year == year - 1 and day.month == 12):
            wrong(str(day), f"is not in {year}")
        elif one.statutory and one.working:
            wrong(str(day), "is statutory and a working day")
        elif one.working and day.weekday() < 5 and (one.name or not whole):
            wrong(str(day), f"is a working day anyway (星期{weekday}); made up for is a Saturday or Sunday")
        elif not one.working and day.weekday() < 5 and not one.name:
            wrong(str(day), f"rests on a weekday (星期{weekday}) without the holiday's name")
        elif one.statutory or one.name or one.working != (day.weekday() < 5):
            kept[day] = one if one.name or not one.working else Day(True, False, "调休上班")
    of_year = {d: x for d, x in kept.items() if d.year == year}
    statutory = {d for d, x in of_year.items() if x.statutory}
    made_up = [d for d, x in of_year.items() if x.working]
    freed = [d for d, x in of_year.items() if not x.working and not x.statutory and d.weekday() < 5]
    if not errors:
        for day in (date(year, 1, 1), date(year, 5, 1), date(year, 10, 1), date(year, 10, 2), date(year, 10, 3)):
            if day not in statutory:
                wrong(str(day), "is statutory every year, but not in this file")
        if not 10 <= len(statutory) <= 15:
            wrong("file", f"has {len(statutory)} statutory days; there are 13 a year (11 before 2025)")
        if len(made_up) > len(freed) + len([d for d in statutory if d.weekday() < 5]):
            wrong("file", f"has {len(made_up)} days made up for and {len(freed)} freed")
    if errors:
        raise Invalid("the calendar can't be taken", errors=errors)
    expected = _statutory_days().get(year)
    warnings: tuple[str, ...] = ()
    if expected is not None and (odd := sorted(statutory ^ expected)):
        warnings = (f"statutory days other than expected: {', '.join(map(str, odd))}",)
    return YearFile(year, (source or "").strip(), kept, warnings)


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        year, month, day = map(int, re.split("[-/]", str(value or "").strip()))
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"day: {value!r} is no YYYY-MM-DD") from None


def _flag(value: Any) -> bool:
    text = str(value if value is not None else "").strip().lower()
    if text not in _YES | _NO:
        raise ValueError(f"working and statutory are 1 or 0, not {value!r}")
    return text in _YES


@lru_cache
def _shipped_data() -> Mapping[str, Any]:
    raw: Mapping[str, Any] = json.loads((files("app") / "data" / "calendar.json").read_text("utf-8"))
    return raw


@lru_cache
def _statutory_days() -> Mapping[int, frozenset[date]]:
    """Of all years the shipped data know, with or without a notice."""
    raw = _shipped_data()
    return {
        int(y): frozenset(date.fromisoformat(f"{y}-{d}") for d in days)
        for part in ("expected", "statutory")
        for y, days in raw[part].items()
    }


@lru_cache(maxsize=1)
def shipped() -> tuple[Mapping[int, str], Mapping[date, Day]]:
    """(year -> source, exceptions) as shipped: notices up to the last one known to chinesecalendar."""
    import chinese_calendar

    raw = _shipped_data()
    years = {int(y): raw["source"] for y in raw["statutory"]}
    statutory = {d for y in years for d in _statutory_days()[y]}
    exceptions: dict[date, Day] = {}
    for year in years:
        day = date(year, 1, 1)
        while day.year == year:
            rests, name = chinese_calendar.get_holiday_detail(day)
            if rests == (day.weekday() < 5) or day in statutory:
                exceptions[day] = Day(not rests, day in statutory, name or ("调休上班" if not rests else "周末"))
            elif rests and name:
                exceptions[day] = Day(False, False, name)
            day += _DAY
    return years, exceptions


def _calendar(years: Iterable[int], exceptions: Mapping[date, Day], terms: Terms | None) -> Calendar:
    fixed = frozenset((int(d[:2]), int(d[3:])) for d in _shipped_data()["fixed"])
    return Calendar(frozenset(years), exceptions, _statutory_days(), fixed, terms or law.shipped())


def shipped_calendar(terms: Terms | None = None) -> Calendar:
    years, exceptions = shipped()
    return _calendar(years, exceptions, terms)


async def seed(connection: Connection) -> None:
    """Loads the shipped years that the table does not have; a year loaded by hand stays."""
    years, exceptions = shipped()
    for year, source in years.items():
        fresh = await connection.fetchval(
            "INSERT INTO calendar_year (year, source) VALUES ($1, $2) ON CONFLICT (year) DO NOTHING RETURNING year", year, source
        )
        if fresh:
            await _put(connection, year, {d: x for d, x in exceptions.items() if d.year == year})


async def _put(connection: Connection, year: int, days: Mapping[date, Day]) -> None:
    # A December day that the next year's notice moved is that notice's: the later word stands.
    await connection.executemany(
        "INSERT INTO calendar_day (day, working, statutory, name, notice) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (day) DO UPDATE SET working = excluded.working, statutory = excluded.statutory, name = excluded.name, "
        "notice = excluded.notice WHERE calendar_day.notice < excluded.notice",
        [(d, x.working, x.statutory, x.name, year) for d, x in days.items()],
    )


async def load(connection: Connection, terms: Terms | None = None) -> Calendar:
    years = await connection.fetch("SELECT year FROM calendar_year")
    days = await connection.fetch("SELECT day, working, statutory, name FROM calendar_day")
    return _calendar((r["year"] for r in years), {r["day"]: Day(r["working"], r["statutory"], r["name"]) for r in days}, terms)


async def store(connection: Connection, told: YearFile, *, replace: bool) -> bool:
    """A year's notice into the table. False: it stood there just so. Raises Conflict where the year is known and other, unless it
    is to be replaced. In a transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('calendar'))")
    known = await connection.fetchrow("SELECT source, loaded_at FROM calendar_year WHERE year = $1", told.year)
    if known is not None:
        rows = await connection.fetch("SELECT day, working, statutory, name FROM calendar_day WHERE notice = $1", told.year)
        if {r["day"]: Day(r["working"], r["statutory"], r["name"]) for r in rows} == dict(told.days):
            return False
        if not replace:
            raise Conflict(f"{told.year} is loaded already ({known['source']}); --replace puts this file in its place")
        await connection.execute("DELETE FROM calendar_day WHERE notice = $1", told.year)
    await connection.execute(
        "INSERT INTO calendar_year (year, source) VALUES ($1, $2) "
        "ON CONFLICT (year) DO UPDATE SET source = excluded.source, loaded_at = clock_timestamp()",
        told.year, told.source,
    )  # fmt: skip
    await _put(connection, told.year, told.days)
    return True


async def read_year(connection: Connection, year: int) -> dict[str, Any] | None:
    """A year as it is counted; None where its notice is not loaded."""
    known = await connection.fetchrow("SELECT year, source, loaded_at FROM calendar_year WHERE year = $1", year)
    if known is None:
        return None
    days = await connection.fetch(
        "SELECT day, working, statutory, name FROM calendar_day WHERE day BETWEEN $1 AND $2 ORDER BY day",
        date(year, 1, 1), date(year, 12, 31),
    )  # fmt: skip
    return {**known, "days": [dict(d) for d in days]}
