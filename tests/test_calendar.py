"""Working days and statutory terms against vectors computed from the official notices."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calendar import ORDER_20, ORDER_121, due, end_of_day, light, local_day, shipped_calendar
from app.errors import Invalid

CALENDAR = shipped_calendar()
DAYS = st.dates(date(2024, 1, 1), date(2026, 9, 30))


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
    assert due(CALENDAR, key, date.fromisoformat(start)).due_on.isoformat() == expected


def test_other_readings_of_article_45_are_shown_beside() -> None:
    found = due(CALENDAR, "complaint.mediate", date(2026, 8, 3))
    assert found.other_modes == {"notice": "2026-10-08", "any": "2026-10-08"}
    assert due(CALENDAR, "complaint.mediate", date(2026, 8, 3), mode="notice").due_on == date(2026, 10, 8)
    assert due(CALENDAR, "complaint.mediate", date(2026, 7, 1), mode="any").due_on == date(2026, 8, 31)


def test_a_year_without_a_notice_makes_the_date_provisional() -> None:
    found = due(CALENDAR, "complaint.mediate", date(2026, 11, 23))
    assert found.provisional
    assert "2027年放假安排尚未公布" in found.reason
    assert not due(CALENDAR, "complaint.accept", date(2026, 11, 23)).provisional


def test_the_day_of_receipt_picks_the_rules() -> None:
    # Order 20 gave 45 working days; from 2024-07-01 the 60 days of the higher norm cap them.
    before = due(CALENDAR, "complaint.mediate", date(2024, 3, 1), received_on=date(2024, 3, 1))
    assert (before.law, before.due_on) == (ORDER_20, CALENDAR.add_working_days(date(2024, 3, 1), 45))
    capped = due(CALENDAR, "complaint.mediate", date(2025, 9, 20), received_on=date(2025, 9, 15))
    assert (capped.law, capped.due_on) == (ORDER_20, date(2025, 11, 19))
    assert due(CALENDAR, "complaint.mediate", date(2026, 4, 20), received_on=date(2026, 4, 15)).law == ORDER_121


def test_receipts_before_2020_start_no_clock() -> None:
    with pytest.raises(Invalid):
        due(CALENDAR, "complaint.accept", date(2019, 12, 31))


@given(DAYS, st.integers(1, 60))
def test_working_days_never_end_on_a_closed_day_and_never_count_the_first(start: date, count: int) -> None:
    end = CALENDAR.add_working_days(start, count)
    assert CALENDAR.is_working(end)
    assert CALENDAR.working_days_between(start, end) == count
    assert end > start


@given(DAYS, st.integers(0, 30), st.integers(1, 60))
def test_a_later_start_never_ends_earlier(start: date, later: int, count: int) -> None:
    other = start + timedelta(days=later)
    assert CALENDAR.add_working_days(start, count) <= CALENDAR.add_working_days(other, count)
    for mode in ("statutory", "notice", "any"):
        assert CALENDAR.add_natural_days(start, count, mode) <= CALENDAR.add_natural_days(other, count, mode)


@given(DAYS)
def test_earlier_readings_never_end_later(start: date) -> None:
    ends = [CALENDAR.add_natural_days(start, 60, mode) for mode in ("statutory", "notice", "any")]
    assert ends == sorted(ends)


def test_days_are_days_in_shanghai() -> None:
    half_past_midnight = datetime(2026, 4, 15, 16, 30, tzinfo=UTC)  # 00:30 on the 16th in Wuhan
    assert local_day(half_past_midnight) == date(2026, 4, 16)
    assert end_of_day(date(2026, 4, 24)).isoformat() == "2026-04-24T15:59:59+00:00"


def test_lights() -> None:
    start, end = datetime(2026, 4, 15, 2, tzinfo=UTC), end_of_day(date(2026, 4, 24))
    lights = [light(datetime(2026, 4, d, 2, tzinfo=UTC), end, start, CALENDAR) for d in (16, 22, 24, 27)]
    assert lights == ["green", "yellow", "red", "red"]
