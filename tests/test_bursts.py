"""Bursts: what chance does stays silent, what rises is found early, once, and with figures that anybody can work out again."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import nbinom

from ml.bursts import Burst, Counts, Parameters, find, gather, tail, threshold

TODAY, DAYS = 740_000, 220
PARAMETERS = Parameters()
Rows = dict[str, np.ndarray[tuple[int, int], np.dtype[np.int64]]]  # kind -> series x days, today last


def usual(seed: int, days: int = DAYS) -> Rows:
    rng = np.random.default_rng(seed)
    week = np.array([1.1, 1.1, 1.0, 1.0, 1.0, 0.9, 0.8])[np.arange(days) % 7]
    rates = {"merchant": 200 / np.arange(8, 2008), "district": np.linspace(5, 30, 40), "lot": np.full(300, 0.05)}
    return {kind: rng.poisson(rate[:, None] * week) for kind, rate in rates.items()}


def totals(rows: Rows, last: int = DAYS) -> dict[int, int]:
    people = rows["district"].sum(axis=0)
    return {TODAY - DAYS + 1 + day: int(people[day]) for day in range(last)}


def counts(rows: Rows, last: int = DAYS) -> dict[str, Counts]:
    """As they are at the end of that day."""
    told = {}
    for kind, table in rows.items():
        series, day = np.nonzero(table[:, :last])
        keys, number = np.unique(series, return_inverse=True)
        told[kind] = Counts([f"{kind}{key}" for key in keys], number, TODAY - DAYS + 1 + day, table[series, day])
    return told


def passes(rows: Rows, first: int, every: int = 1) -> list[Burst]:
    known: dict[object, Burst] = {}
    for last in range(first, DAYS + 1, every):
        for burst in find(counts(rows, last), totals(rows, last), TODAY - DAYS + last, PARAMETERS, known.values()):
            known[burst.kind, burst.key, burst.first_day] = burst
    return list(known.values())


def planted(seed: int, *people: int, kind: str = "merchant", series: int = 1500) -> Rows:
    """Those people on the last days."""
    rows = usual(seed)
    rows[kind][series, DAYS - len(people) :] += np.array(people)
    return rows


@pytest.mark.parametrize("seed", [1, 2])
def test_usual_days_do_not_alarm(seed: int) -> None:
    assert passes(usual(seed), DAYS - 3) == []


@pytest.mark.parametrize(("kind", "series"), [("merchant", 1500), ("merchant", 1999), ("lot", 7)])
def test_eight_people_in_two_days_are_a_burst(kind: str, series: int) -> None:
    rows = planted(3, 3, 5, kind=kind, series=series)
    (burst,) = find(counts(rows), totals(rows), TODAY, PARAMETERS)
    assert (burst.kind, burst.key) == (kind, f"{kind}{series}")
    assert burst.first_day in (TODAY - 1, TODAY)
    assert burst.seen >= 5
    assert burst.base_per_day < 0.3


def test_a_series_never_seen_before_can_burst() -> None:
    rows = usual(4)
    rows["lot"] = np.vstack([rows["lot"], np.zeros((1, DAYS), dtype=np.int64)])
    rows["lot"][300, -2:] = 3, 5
    (burst,) = find(counts(rows), totals(rows), TODAY, PARAMETERS)
    assert burst.key == "lot300"
    assert burst.new


def test_a_promotion_day_alone_does_not_alarm() -> None:
    rows = usual(5)
    rng = np.random.default_rng(5)
    for table in rows.values():
        table[:, -1] = rng.poisson(table[:, -60:-1].mean(axis=1) * 3)
    assert find(counts(rows), totals(rows), TODAY, PARAMETERS) == []


def test_one_burst_is_one_episode_and_ends() -> None:
    rows = usual(6)
    rows["merchant"][1500, -30:-25] += 6
    (burst,) = passes(rows, DAYS - 28, 4)
    assert burst.first_day == TODAY - 29
    assert burst.last_day is not None
    assert TODAY - 26 <= burst.last_day <= TODAY - 20


def test_a_second_look_says_the_same_and_nothing_new() -> None:
    rows = planted(7, 4, 8)
    first = find(counts(rows), totals(rows), TODAY, PARAMETERS)
    assert find(counts(rows), totals(rows), TODAY, PARAMETERS, first) == first


def test_an_earlier_burst_is_not_learned_as_usual() -> None:
    rows = usual(8)
    rows["merchant"][1500, -60:-50] += 10
    rows["merchant"][1500, -2:] += 4
    was = Burst("merchant", "merchant1500", TODAY - 59, TODAY - 59, TODAY - 50, 1, 10, 0.1, -9.0, -6.0, 0.1, 1.0, 1.0, False)
    assert find(counts(rows), totals(rows), TODAY, PARAMETERS) == []
    (again,) = find(counts(rows), totals(rows), TODAY, PARAMETERS, [was])
    assert again.first_day >= TODAY - 1


def test_evidence_is_what_scipy_says() -> None:
    rows = planted(9, 4, 8)
    (burst,) = find(counts(rows), totals(rows), TODAY, PARAMETERS)
    chance = nbinom.logsf(burst.seen - burst.new - 1, burst.shape, burst.shape / (burst.shape + burst.expected)) / np.log(10)
    assert burst.log10_tail == pytest.approx(chance, rel=1e-6)
    assert burst.log10_tail <= burst.log10_threshold
    assert burst.seen == rows["merchant"][1500, -burst.window_days :].sum()


def test_more_people_are_never_less_of_a_burst() -> None:
    told = [find(counts(rows), totals(usual(10)), TODAY, PARAMETERS) for rows in (planted(10, n) for n in range(2, 20, 6))]
    found = [burst[0].log10_tail if burst else 0.0 for burst in told]
    assert found == sorted(found, reverse=True)
    assert found[0] == 0.0
    assert found[-1] < -6


def test_an_early_look_finds_no_more_than_the_whole_day() -> None:
    rows = planted(11, 2, 7)
    whole = find(counts(rows), totals(rows), TODAY, PARAMETERS)
    early = {kind: table.copy() for kind, table in rows.items()}
    for table in early.values():
        table[:, -1] //= 2
    assert len(whole) == 1
    assert find(counts(early), totals(early), TODAY, PARAMETERS) == []


def test_threshold_spends_what_is_stated() -> None:
    rng = np.random.default_rng(12)
    expected, shape = rng.gamma(0.3, 1, 3000), np.full(3000, 2.0)
    least = np.full(3000, 4)
    level = threshold(expected, shape, least, 0.01)
    reached = np.stack([tail(least + more, expected, shape) for more in range(60)])
    spent = np.where(reached <= level, reached, 0).max(axis=0).sum()
    assert 0.003 < spent <= 0.01
    assert threshold(expected, shape, least, 0.001) < level


def test_little_history_says_nothing() -> None:
    rows = planted(13, 4, 8)
    short = {kind: table[:, -30:] for kind, table in rows.items()}
    assert find(counts(short), {TODAY - DAYS + 1 + day: 700 for day in range(30)}, TODAY - DAYS + 30, PARAMETERS) == []
    assert find({}, {}, TODAY, PARAMETERS) == []


def test_gather_keeps_every_row() -> None:
    table = gather([("lot", "a", 5, 2), ("lot", "b", 5, 1), ("merchant", 7, 6, 3), ("lot", "a", 6, 4)])
    assert table["lot"].keys == ["a", "b"]
    assert table["lot"].series.tolist() == [0, 1, 0]
    assert table["lot"].people.tolist() == [2, 1, 4]
    assert table["merchant"].days.tolist() == [6]


def test_a_stricter_promise_needs_more() -> None:
    rows = planted(3, 3, 5)
    assert find(counts(rows), totals(rows), TODAY, replace(PARAMETERS, false_alarms_per_month=1e-6)) == []
