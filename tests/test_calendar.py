"""Working days and statutory terms against vectors computed from the official notices, and by hand."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import terms
from app.calendar import (
    DUE_MODES,
    Pause,
    due,
    end_of_day,
    light,
    local_day,
    read_holiday_cn,
    read_table,
    shipped_calendar,
)
from app.errors import Invalid
from app.terms import Reference, cite

CALENDAR = shipped_calendar()
TERMS = terms.shipped()
RUNNING = sorted(k for k, t in TERMS.terms.items() if not t.limitation)
DAYS = st.dates(date(2024, 1, 1), date(2026, 9, 30))
D = date.fromisoformat


def pauses_of(*spans: str) -> list[Pause]:
    """'08-10/08-20' of 2026, or whole days."""
    days = [[d if len(d) > 5 else f"2026-{d}" for d in span.split("/")] for span in spans]
    return [Pause(D(since), D(until)) for since, until in days]


@pytest.mark.parametrize(
    ("start", "key", "expected"),
    [
        ("2026-04-15", "complaint.accept", "2026-04-24"),
        ("2026-02-12", "complaint.accept", "2026-02-28"),  # a Saturday made up for
        ("2025-12-30", "complaint.accept", "2026-01-09"),
        ("2026-04-29", "complaint.accept", "2026-05-12"),
        ("2026-09-24", "complaint.accept", "2026-10-12"),
        ("2026-09-18", "odr.settle", "2026-10-09"),
        ("2026-09-28", "clue.verify", "2026-10-23"),
        ("2026-08-03", "complaint.mediate", "2026-10-04"),
        ("2026-07-01", "complaint.mediate", "2026-08-30"),
    ],
)
def test_terms_end_on_the_days_of_the_official_vectors(start: str, key: str, expected: str) -> None:
    assert due(CALENDAR, key, D(start)).due_on == D(expected)


@pytest.mark.parametrize(
    ("start", "key", "expected"),
    [
        # Received on a day of rest: the next working day is the first. Sat 2026-02-14 itself was worked.
        ("2026-02-15", "complaint.accept", "2026-03-03"),  # 24 25 26 27 28(Sat) 2 3
        ("2026-02-14", "complaint.accept", "2026-03-03"),
        # Year's end: 29 30 31, then 4 5 6 7 of a January whose notice is not out.
        ("2026-12-28", "complaint.accept", "2027-01-07"),
        ("2026-05-06", "defect.report", "2026-05-08"),
        ("2026-05-07", "defect.report", "2026-05-09"),  # a Saturday made up for
        ("2026-09-30", "jurisdiction.quarrel", "2026-10-15"),  # 8 9 10(Sat) 12 13 14 15
        ("2026-09-30", "complaint.terminate_notice", "2026-10-15"),
        ("2026-09-30", "hotline12345.reply", "2026-10-13"),
        ("2026-09-01", "judicial_confirm", "2026-10-04"),  # raw 10-01
        ("2026-07-03", "case.decide", "2026-10-04"),  # raw 10-01
    ],
)
def test_terms_at_the_edges_of_holidays_and_years(start: str, key: str, expected: str) -> None:
    assert due(CALENDAR, key, D(start)).due_on == D(expected)


# Each by hand. 60 days from 2026-05-11: 20 to 05-31, 50 to 06-30, so 07-10. 15 working days from Wed 2026-04-15: 16 17 | 20-24 |
# 27-30 | (1 to 5 May free) 6 7 8 and Sat 9 = 05-09.
PAUSED: list[tuple[str, str, list[str], int, str, str]] = [
    ("complaint.mediate", "2026-05-11", ["06-01/06-11"], 0, "statutory", "2026-07-20"),  # 10 days
    ("complaint.mediate", "2026-05-11", ["06-01/06-11", "06-20/06-25"], 0, "statutory", "2026-07-25"),  # 10 + 5: a Saturday
    ("complaint.mediate", "2026-05-11", ["06-01/06-11", "06-20/06-25"], 0, "any", "2026-07-27"),
    ("complaint.mediate", "2026-05-11", ["06-01/06-01"], 0, "statutory", "2026-07-10"),  # the same day: nothing lost
    ("complaint.mediate", "2026-08-03", ["08-10/08-11"], 0, "statutory", "2026-10-04"),  # raw 10-02 + 1 = 10-03, statutory
    (
        "complaint.mediate",
        "2026-08-03",
        ["08-10/08-12"],
        0,
        "statutory",
        "2026-10-04",
    ),  # raw 10-04: added before it moves, not after
    ("complaint.mediate", "2026-08-03", ["08-10/08-13"], 0, "statutory", "2026-10-05"),
    ("complaint.mediate", "2026-08-03", ["08-10/08-13"], 0, "notice", "2026-10-08"),  # the rest block goes on to the 7th
    ("complaint.mediate", "2026-07-30", ["08-31/09-03"], 0, "statutory", "2026-10-04"),  # raw 09-28 + 3 = 10-01
    ("complaint.mediate", "2026-08-03", ["10-03/10-13"], 0, "statutory", "2026-10-13"),  # paused while its last day was moved
    ("clue.verify", "2026-04-15", ["04-20/04-24"], 0, "statutory", "2026-05-14"),  # 21 22 23 24: 4 of them; 11 12 13 14 May
    ("clue.verify", "2026-04-15", ["04-30/05-06"], 0, "statutory", "2026-05-11"),  # only the 6th would have counted
    ("clue.verify", "2026-04-15", ["04-24/04-26"], 0, "statutory", "2026-05-09"),  # a weekend costs nothing
    ("clue.verify", "2026-02-09", ["02-13/02-28"], 0, "statutory", "2026-03-16"),  # 14(Sat) 24 25 26 27 28(Sat): 03-06 + 6
    ("clue.verify", "2026-04-15", ["05-09/05-17"], 0, "statutory", "2026-05-18"),  # paused on its last day to a Sunday
    ("clue.verify", "2026-04-15", [], 1, "statutory", "2026-05-29"),  # 30: 11-15, 18-22, 25-29 May after the 9th
    ("clue.verify", "2026-04-15", ["04-20/04-24"], 1, "statutory", "2026-06-04"),
    ("case.decide", "2026-05-11", [], 0, "statutory", "2026-08-09"),  # 81 to 07-31
    ("case.decide", "2026-05-11", ["06-01/06-11"], 1, "statutory", "2026-09-18"),  # 90 + 30 + 10
    ("case.decide", "2026-05-11", ["06-01/06-18"], 1, "statutory", "2026-09-26"),  # 17: raw 09-25, mid-autumn
    # 45 working days of Order 20 from Fri 2024-03-01: 20 to 03-29, 23 to 04-03, Sun 7 is the 24th, 39 to 04-26, Sun 28 the 40th,
    # 29 30, 6 7 8 May. The pause costs 7(Sun) 8 9.
    ("complaint.mediate", "2024-03-01", [], 0, "statutory", "2024-05-08"),
    ("complaint.mediate", "2024-03-01", ["2024-04-03/2024-04-09"], 0, "statutory", "2024-05-11"),  # 9 10 and Sat 11, made up for
    # Capped by 60 days: 2025-09-22 + 60 = 11-21, the 45th working day is 11-28. A pause of 11 days, 8 of them worked:
    # 12-02 against 12-10.
    ("complaint.mediate", "2025-09-22", [], 0, "statutory", "2025-11-21"),
    ("complaint.mediate", "2025-09-22", ["2025-10-09/2025-10-20"], 0, "statutory", "2025-12-02"),
]


@pytest.mark.parametrize(("key", "start", "spans", "extended", "mode", "expected"), PAUSED)
def test_pauses_and_extensions(key: str, start: str, spans: list[str], extended: int, mode: str, expected: str) -> None:
    found = due(CALENDAR, key, D(start), mode=mode, pauses=pauses_of(*spans), extended=extended)
    assert found.due_on == D(expected)


def test_a_pause_that_goes_on_adds_nothing_yet_and_says_so() -> None:
    found = due(CALENDAR, "complaint.mediate", D("2026-05-11"), pauses=[Pause(D("2026-06-01"), None, "鉴定")])
    assert found.due_on == D("2026-07-10")
    assert found.reason.endswith("自2026-06-01起因鉴定暂停计算，恢复后顺延")


def test_a_settlement_falls_back_before_acceptance_is_due() -> None:
    # Received Fri 2026-09-18: acceptance is due on Tue 09-29 (Sun 20 counts: 20 21 22 23 24 28 29), two working days before: Thu 24.
    accept = due(CALENDAR, "complaint.accept", D("2026-09-18")).due_on
    assert accept == D("2026-09-29")
    found = due(CALENDAR, "odr.settle", D("2026-09-18"), before=accept)
    assert (found.due_on, found.bounded) == (D("2026-09-24"), True)
    assert "最迟于投诉受理决定期限（2026-09-29）届满前2个工作日转回" in found.reason
    # Nothing to fall back before: the consumer chose it before the bureau received anything.
    assert due(CALENDAR, "odr.settle", D("2026-09-18")).due_on == D("2026-10-09")
    # Acceptance is due later than ten working days: the ten stand.
    assert due(CALENDAR, "odr.settle", D("2026-09-18"), before=D("2026-11-30")).due_on == D("2026-10-09")
    # Too late for both: the day itself, or the first that is worked.
    assert due(CALENDAR, "odr.settle", D("2026-09-26"), before=D("2026-09-29")).due_on == D("2026-09-28")


def test_other_readings_of_article_45_are_shown_beside() -> None:
    found = due(CALENDAR, "complaint.mediate", D("2026-08-03"))
    assert found.other_modes == {"notice": "2026-10-08", "any": "2026-10-08"}
    assert "期满日2026-10-02为法定节假日，顺延至2026-10-04；按放假通知整段顺延为2026-10-08" in found.reason
    assert due(CALENDAR, "complaint.mediate", D("2026-08-03"), mode="notice").due_on == D("2026-10-08")
    sunday = due(CALENDAR, "complaint.mediate", D("2026-07-01"), mode="any")
    assert (sunday.due_on, sunday.other_modes) == (D("2026-08-31"), {"statutory": "2026-08-30", "notice": "2026-08-30"})


def test_a_year_without_a_notice_makes_the_date_provisional() -> None:
    found = due(CALENDAR, "complaint.mediate", D("2026-11-23"))
    assert found.provisional
    assert "2027年放假安排尚未公布" in found.reason
    assert not due(CALENDAR, "complaint.accept", D("2026-11-23")).provisional
    assert not due(CALENDAR, "complaint.mediate", D("2026-11-01")).provisional  # ends on 12-31
    assert due(CALENDAR, "complaint.mediate", D("2026-11-02")).due_on == D("2027-01-02")  # raw on New Year's Day
    # Spring Festival is statutory whatever its notice will say: 5 to 8 February 2027, New Year's Eve first.
    assert due(CALENDAR, "complaint.mediate", D("2026-12-07")).due_on == D("2027-02-09")  # raw 02-05
    assert due(CALENDAR, "complaint.accept", D("2027-01-29")).due_on == D("2027-02-11")  # 1 2 3 4 | 9 10 11


def test_the_day_of_receipt_picks_the_rules() -> None:
    # Order 20 gave 45 working days; from 2024-07-01 the 60 days of the higher norm cap them.
    before = due(CALENDAR, "complaint.mediate", D("2024-03-01"), received_on=D("2024-03-01"))
    assert (before.law, before.due_on) == ("order-20", CALENDAR.add_working_days(D("2024-03-01"), 45))
    assert "第二十一条第一款第五项" in before.reason
    last = due(CALENDAR, "complaint.mediate", D("2024-07-05"), received_on=D("2024-06-30"))
    assert "60日" not in last.reason
    capped = due(CALENDAR, "complaint.mediate", D("2025-09-20"), received_on=D("2025-09-15"))
    assert (capped.law, capped.due_on) == ("order-20", D("2025-11-19"))
    assert "以60日为限（《消费者权益保护法实施条例》第四十六条第三款）" in capped.reason
    assert due(CALENDAR, "complaint.mediate", D("2026-04-20"), received_on=D("2026-04-15")).law == "order-121"
    assert due(CALENDAR, "complaint.mediate", D("2026-04-20"), received_on=D("2026-04-14")).law == "order-20"
    assert "第十四条" in due(CALENDAR, "complaint.accept", D("2026-04-14")).reason
    assert "第十五条" in due(CALENDAR, "complaint.accept", D("2026-04-15")).reason


@pytest.mark.parametrize(
    ("key", "changes", "field"),
    [
        ("complaint.accept", {"start": D("2019-12-31")}, "received_on"),
        ("complaint.forever", {}, "key"),
        ("complaint.accept", {"mode": "someday"}, "mode"),
        ("complaint.accept", {"extended": 1}, "extended"),
        ("clue.verify", {"extended": 2}, "extended"),
        ("complaint.accept", {"start": D("9999-12-30")}, "start"),
    ],
)
def test_what_has_no_due_date_is_refused(key: str, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        due(CALENDAR, key, **{"start": D("2026-05-11"), **changes})
    assert refused.value.errors[0]["field"] == field


# -- properties


@st.composite
def histories(draw: st.DrawFn) -> tuple[date, list[Pause]]:
    """A start and up to three pauses, each within the term as it stands."""
    start = draw(DAYS)
    steps = draw(st.lists(st.integers(0, 9), min_size=0, max_size=6))
    turns = [start]
    for step in steps:
        turns.append(turns[-1] + timedelta(days=step))
    return start, [Pause(a, b) for a, b in list(pairwise(turns[1:]))[::2]]


def counted_day_by_day(key: str, start: date, pauses: list[Pause], mode: str) -> date:
    """The same by walking: a paused day does not count, and nothing ends before the last pause does."""
    rule = TERMS.term(key).rule(start)

    def nth(unit: str, count: int) -> date:
        day = start
        while count:
            day += timedelta(days=1)
            paused = any(p.until is not None and p.since < day <= p.until for p in pauses)
            count -= not paused and (unit == "natural" or CALENDAR.is_working(day))
        last = max([day, *(p.until for p in pauses if p.until is not None)])
        return CALENDAR.roll(last, mode if unit == "natural" else "any")

    ends = [nth(rule.unit, rule.count)]
    if rule.cap:
        ends.append(nth(rule.cap.unit, rule.cap.count))
    return min(ends)


@given(histories(), st.sampled_from(RUNNING), st.sampled_from(sorted(DUE_MODES)))
def test_a_term_is_its_days_counted_one_by_one(history: tuple[date, list[Pause]], key: str, mode: str) -> None:
    start, pauses = history
    # A pause begins while the term runs.
    fitting: list[Pause] = []
    for pause in pauses:
        if pause.since > due(CALENDAR, key, start, mode="statutory", pauses=fitting).due_on:
            break
        fitting.append(pause)
    if TERMS.term(key).rule(start).cap:
        fitting = fitting[:0]  # two counts run side by side: by hand above
    assert due(CALENDAR, key, start, mode=mode, pauses=fitting).due_on == counted_day_by_day(key, start, fitting, mode)


@given(histories(), st.sampled_from(RUNNING), st.sampled_from(sorted(DUE_MODES)))
def test_no_term_ends_on_a_closed_day_nor_counts_its_first(history: tuple[date, list[Pause]], key: str, mode: str) -> None:
    start, pauses = history
    rule = TERMS.term(key).rule(start)
    found = due(CALENDAR, key, start, mode=mode, pauses=pauses)
    if rule.unit == "working" and rule.cap is None:
        assert CALENDAR.is_working(found.due_on)
        if not pauses:
            assert CALENDAR.working_days_between(start, found.due_on) == rule.count
    elif rule.unit == "natural":
        assert CALENDAR.roll(found.due_on, mode) == found.due_on
        assert pauses or found.due_on >= start + timedelta(days=rule.count)
    assert found.due_on > start
    assert local_day(found.due_at) == found.due_on


@given(DAYS, st.integers(0, 30), st.sampled_from(RUNNING), st.sampled_from(sorted(DUE_MODES)), DAYS)
def test_a_later_start_never_ends_earlier(start: date, later: int, key: str, mode: str, received_on: date) -> None:
    ends = [due(CALENDAR, key, day, received_on=received_on, mode=mode).due_on for day in (start, start + timedelta(days=later))]
    assert ends == sorted(ends)


@given(histories(), st.sampled_from(RUNNING), st.sampled_from(sorted(DUE_MODES)), st.integers(0, 40))
def test_a_pause_never_shortens(history: tuple[date, list[Pause]], key: str, mode: str, more: int) -> None:
    start, pauses = history
    ends = [due(CALENDAR, key, start, mode=mode, pauses=pauses[:n]).due_on for n in range(len(pauses) + 1)]
    if pauses:
        *before, last = pauses
        assert last.until is not None
        longer = last._replace(until=last.until + timedelta(days=more))
        ends.append(due(CALENDAR, key, start, mode=mode, pauses=[*before, longer]).due_on)
    assert ends == sorted(ends)


@given(DAYS, st.sampled_from(RUNNING), st.sampled_from(sorted(DUE_MODES)), st.data())
def test_a_pause_of_no_days_changes_nothing_and_two_in_a_row_are_one(
    start: date, key: str, mode: str, data: st.DataObject
) -> None:
    plain = due(CALENDAR, key, start, mode=mode).due_on
    on = start + timedelta(days=data.draw(st.integers(0, (plain - start).days - 1)))
    assert due(CALENDAR, key, start, mode=mode, pauses=[Pause(on, on)]).due_on == plain
    first, second = (on + timedelta(days=d) for d in sorted(data.draw(st.tuples(st.integers(0, 30), st.integers(0, 30)))))
    whole = due(CALENDAR, key, start, mode=mode, pauses=[Pause(on, second)]).due_on
    assert due(CALENDAR, key, start, mode=mode, pauses=[Pause(on, first), Pause(first, second)]).due_on == whole


@given(DAYS)
def test_earlier_readings_never_end_later(start: date) -> None:
    ends = [CALENDAR.add_natural_days(start, 60, mode) for mode in ("statutory", "notice", "any")]
    assert ends == sorted(ends)


@given(DAYS, st.integers(0, 20))
def test_working_days_back_and_forth(day: date, count: int) -> None:
    back = CALENDAR.working_days_before(day, count)
    assert CALENDAR.is_working(back)
    assert CALENDAR.working_days_between(back, day) == count


# -- days, lights, terms


def test_days_are_days_in_shanghai() -> None:
    half_past_midnight = datetime(2026, 4, 15, 16, 30, tzinfo=UTC)  # 00:30 on the 16th in Wuhan
    assert local_day(half_past_midnight) == D("2026-04-16")
    assert end_of_day(D("2026-04-24")).isoformat() == "2026-04-24T15:59:59+00:00"


def test_lights() -> None:
    start, end = datetime(2026, 4, 15, 2, tzinfo=UTC), end_of_day(D("2026-04-24"))
    lights = [light(datetime(2026, 4, d, 2, tzinfo=UTC), end, start, CALENDAR) for d in (16, 22, 24, 27)]
    assert lights == ["green", "yellow", "red", "red"]
    assert light(datetime(2026, 4, 27, tzinfo=UTC), end, start, CALENDAR, paused=True) == "grey"
    # Sixty days: yellow from 18 left. With 30 days of pause in them still from 18, not from 27.
    start, end = datetime(2026, 5, 10, 16, tzinfo=UTC), end_of_day(D("2026-08-09"))
    assert light(datetime(2026, 7, 20, tzinfo=UTC), end, start, CALENDAR, paused_days=30) == "green"
    assert light(datetime(2026, 7, 20, tzinfo=UTC), end, start, CALENDAR) == "yellow"


def test_references_become_words() -> None:
    assert cite(Reference("order-121", 23, 1, 5), TERMS.laws) == "《市场监督管理投诉举报处理办法》第二十三条第一款第五项"
    assert cite(Reference("order-121", 16, item=4), TERMS.laws) == "《市场监督管理投诉举报处理办法》第十六条第四项"


def test_the_terms_are_whole() -> None:
    assert {
        "complaint.accept", "complaint.mediate", "complaint.terminate_notice", "clue.verify", "case.decide", "jurisdiction.quarrel",
        "odr.settle", "judicial_confirm", "defect.report", "complaint.time_bar", "penalty.limit", "hotline12345.reply",
    } == set(TERMS.terms)  # fmt: skip
    for term in TERMS.terms.values():
        assert term.status in ("law", "design_choice", "unverified")
        assert term.rules[0].received_from == TERMS.clocks_from
        assert [r.received_from for r in term.rules] == sorted({r.received_from for r in term.rules})
        for rule in term.rules:
            assert rule.pause <= set(TERMS.pause_reasons)
            assert rule.basis
            assert rule.fall_back is None or rule.fall_back.before in TERMS.terms
            assert bool(rule.references) != term.configurable
            assert not rule.pause or rule.pause_basis
    assert {k for k, t in TERMS.terms.items() if t.rules[-1].pause} == {"complaint.mediate", "clue.verify", "case.decide"}
    assert {k for k, t in TERMS.terms.items() if t.rules[-1].extension} == {"clue.verify", "case.decide"}


def test_a_bureau_sets_its_own_hotline_term_and_nothing_of_the_law(tmp_path: Path) -> None:
    own = tmp_path / "terms.json"
    own.write_text(
        json.dumps(
            {
                "terms": {
                    "hotline12345.reply": {
                        "rules": [
                            {"received_from": "2020-01-01", "count": 5, "unit": "working", "basis_zh": "旧规定"},
                            {"received_from": "2026-06-01", "count": 3, "unit": "working", "basis_zh": "某市12345工单规定"},
                        ]
                    }
                },
                "lights": {"yellow_share": 0.5, "yellow_working_days": 3},
            }
        )
    )
    calendar = shipped_calendar(terms.load(own))
    assert due(calendar, "hotline12345.reply", D("2026-05-11")).due_on == D("2026-05-18")
    told = due(calendar, "hotline12345.reply", D("2026-06-01"))
    assert (told.due_on, "某市12345工单规定" in told.reason) == (D("2026-06-04"), True)
    start, end = datetime(2026, 4, 15, 2, tzinfo=UTC), end_of_day(D("2026-04-24"))
    assert light(datetime(2026, 4, 21, 2, tzinfo=UTC), end, start, calendar) == "yellow"
    for wrong, field in (
        ({"terms": {"complaint.accept": {"rules": [{"received_from": "2020-01-01", "count": 30, "unit": "working"}]}}}, "terms.complaint.accept"),
        ({"terms": {"hotline12345.reply": {"rules": []}}}, "terms.hotline12345.reply"),
        ({"terms": {"hotline12345.reply": {"rules": [{"received_from": "2026-06-01", "count": 0, "unit": "working"}]}}}, "terms.hotline12345.reply.rules[0]"),
        ({"terms": {"hotline12345.reply": {"rules": [{"received_from": "2026-06-01", "count": 3, "unit": "weeks"}]}}}, "terms.hotline12345.reply.rules[0]"),
        ({"lights": {"yellow_share": 3, "yellow_working_days": 2}}, "lights"),
        ({"term": {}}, "TRIAGE_TERMS"),
    ):  # fmt: skip
        own.write_text(json.dumps(wrong))
        with pytest.raises(Invalid) as refused:
            terms.load(own)
        assert refused.value.errors[0]["field"] == field


# -- files of years. The notice of 2027 is made up: the real one is not out.

HEADER = ["day", "working", "statutory", "name"]
NOTICE_2027: list[list[str]] = [
    *([f"2027-01-0{d}", "0", str(int(d == 1)), "元旦"] for d in (1, 2, 3, 4)),
    ["2027-01-09", "1", "0", "调休上班"],
    *([f"2027-02-{d:02}", "0", str(int(d < 9)), "春节"] for d in range(5, 12)),
    ["2027-02-14", "1", "0", "调休上班"],
    *([f"2027-04-0{d}", "0", str(int(d == 5)), "清明节"] for d in (3, 4, 5)),
    *([f"2027-05-0{d}", "0", str(int(d < 3)), "劳动节"] for d in (1, 2, 3)),
    ["2027-06-09", "0", "1", "端午节"],
    ["2027-09-15", "0", "1", "中秋节"],
    *([f"2027-10-0{d}", "0", str(int(d < 4)), "国庆节"] for d in range(1, 8)),
    ["2027-10-09", "1", "0", ""],
]


def as_holiday_cn(rows: list[list[str]], **extra: Any) -> str:
    days = [{"name": r[3] or "调休", "date": r[0], "isOffDay": r[1] == "0"} for r in rows]
    return json.dumps({"year": 2027, "papers": ["https://www.gov.cn/made-up.htm"], "days": days, **extra})


def test_a_year_is_read_from_a_table_and_from_json_alike() -> None:
    told = read_table([HEADER, *NOTICE_2027], source="示例")
    assert (told.year, len(told.days), told.warnings) == (2027, len(NOTICE_2027), ())
    assert sum(d.statutory for d in told.days.values()) == 13
    assert told.days[D("2027-10-09")].name == "调休上班"
    same = read_holiday_cn(as_holiday_cn(NOTICE_2027), source=None)
    assert same.source == "https://www.gov.cn/made-up.htm"
    assert {d: (x.working, x.statutory) for d, x in same.days.items()} == {
        d: (x.working, x.statutory) for d, x in told.days.items()
    }
    # A December that the next notice moves belongs to that notice.
    december = [*NOTICE_2027, ["2026-12-26", "1", "0", "元旦"]]
    assert read_holiday_cn(as_holiday_cn(december), source=None).days[D("2026-12-26")].working
    # Every day of the year: what is plain carries no name and stays out.
    known = {r[0]: r for r in NOTICE_2027}
    whole = [
        known.get(str(day), [str(day), str(int(day.weekday() < 5)), "0", ""])
        for day in (D("2027-01-01") + timedelta(days=n) for n in range(365))
    ]
    assert read_table([HEADER, *whole], source="示例").days == told.days


def _with(*rows: list[str], without: str = "") -> list[list[str]]:
    return [HEADER, *(r for r in NOTICE_2027 if r[0] != without), *rows]


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([["day", "working", "name"]], "file"),
        ([HEADER], "year"),
        (_with(["2028-01-01", "0", "1", "元旦"]), "2028-01-01"),
        (_with(["2026-12-31", "0", "0", "元旦"]), "2026-12-31"),
        (_with(["2027-03-03", "1", "0", "调休上班"]), "2027-03-03"),  # a Wednesday is worked anyway
        (_with(["2027-03-03", "1", "0", ""]), "2027-03-03"),
        (_with(["2027-03-03", "0", "0", ""]), "2027-03-03"),  # rests without a name
        (_with(["2027-03-06", "1", "1", "节日"]), "2027-03-06"),
        (_with(["2027-01-01", "0", "1", "元旦"]), "line 31"),  # twice
        (_with(["2027-13-01", "0", "1", "元旦"]), "line 31"),
        (_with(["2027-03-06", "maybe", "0", "节日"]), "line 31"),
        (_with(without="2027-10-02"), "2027-10-02"),
        (_with(*([f"2027-07-{d:02}", "0", "1", "节日"] for d in range(1, 9))), "file"),  # 21 statutory days
        (_with(*([str(D("2027-06-05") + timedelta(weeks=w)), "1", "0", "上班"] for w in range(16))), "file"),
    ],
)
def test_a_year_that_can_not_be_is_refused(rows: list[list[str]], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_table(rows, source="示例", year=2027 if len(rows) > 1 else None)
    assert field in {e["field"] for e in refused.value.errors}


def test_a_year_without_a_source_or_in_another_layout_is_refused() -> None:
    for read in (
        lambda: read_table([HEADER, *NOTICE_2027], source=" "),
        lambda: read_holiday_cn(as_holiday_cn(NOTICE_2027, papers=[]), source=None),
        lambda: read_holiday_cn(as_holiday_cn(NOTICE_2027), source="示例", year=2026),
        lambda: read_holiday_cn(as_holiday_cn(NOTICE_2027, year=2031), source="示例"),  # nobody says what is statutory then
        lambda: read_holiday_cn("[]", source="示例"),
        lambda: read_holiday_cn("{", source="示例"),
        lambda: read_holiday_cn(as_holiday_cn(NOTICE_2027[:3]), source="示例"),
    ):
        with pytest.raises(Invalid):
            read()


def test_statutory_days_other_than_the_lunar_calendar_says_are_told() -> None:
    odd = read_table(_with(["2027-06-10", "0", "1", "端午节"], without="2027-06-09"), source="示例")
    assert odd.warnings == ("statutory days other than expected: 2027-06-09, 2027-06-10",)
