"""Bursts on made-up days without and with planted bursts: false alarms a month, people until found, seconds a pass.

The null holds what real days hold: Zipf-like merchants, lots that come and fade, weekday, holidays, a slow trend, promotion days
that not all series follow alike, shares that drift, days that are noisier than Poisson, people who come in company.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ml.bursts import Burst, Counts, Parameters, find

Floats = npt.NDArray[np.float64]
HISTORY, SERIES = 400, {"merchant": 22_000, "lot": 12_000, "product": 500, "district": 100, "problem": 60}
FIRST = 700_000  # number of the first day


@dataclass(frozen=True, slots=True)
class Days:
    """rates: series x days; counts likewise."""

    rates: dict[str, Floats]
    counts: dict[str, npt.NDArray[np.int32]]
    total: npt.NDArray[np.int64]

    def until(self, last: int, planted: dict[str, npt.NDArray[np.int32]] | None = None, share: float = 1.0) -> dict[str, Counts]:
        """The last day only to that share of it. planted: more people of that day and those before, by series."""
        told = {}
        for kind, counts in self.counts.items():
            seen = counts[:, last - HISTORY : last + 1].copy()
            seen[:, -1] = (seen[:, -1] * share).astype(np.int32)
            if planted is not None and kind in planted:
                seen[:, -planted[kind].shape[1] :] += planted[kind]
            series, column = np.nonzero(seen)
            keys = np.unique(series)  # a service knows no series before it has seen it
            told[kind] = Counts(
                keys.tolist(),
                np.searchsorted(keys, series),
                column + FIRST + last - HISTORY,
                seen[series, column].astype(np.int64),
            )
        return told

    def totals(self, last: int, share: float = 1.0) -> dict[int, int]:
        told = {FIRST + day: int(self.total[day]) for day in range(max(last - HISTORY, 0), last + 1)}
        return told | {FIRST + last: int(self.total[last] * share)}


def usual_days(seed: int, days: int, *, a_day: float = 1000, peaks: tuple[int, ...] = ()) -> Days:
    """peaks: promotion days beside those of the calendar (two a year)."""
    rng = np.random.default_rng(seed)
    day = np.arange(days)
    level = (
        np.array([1.1, 1.05, 1.0, 1.0, 1.05, 0.95, 0.85])[day % 7]
        * (1 + 0.25 * np.sin(day / 230))
        * np.exp(rng.normal(0, 0.05, days))
    )
    peak = np.ones(days)
    for begins in (*np.arange(int(rng.integers(20, 180)), days, 170), *peaks):
        for after, by in enumerate((2.8, 2.2, 1.6, 1.3)):
            peak[min(begins + after, days - 1)] = by
    for begins in np.arange(int(rng.integers(20, 120)), days, 120):
        level[begins : begins + 5] *= 0.4
    rates, counts = {}, {}
    for kind, number in SERIES.items():
        base = _base(rng, kind, number)
        drift = _drift(rng, number, days)
        exponent = np.maximum(rng.normal(1, 0.35, number), 0)[:, None]
        rate = base[:, None] * drift * level * peak**exponent
        if kind in ("merchant", "lot"):
            born = (
                rng.integers(-days, days, number)
                if kind == "lot"
                else np.where((rng.random(number) < 0.2) & (base * a_day / base.sum() < 0.5), rng.integers(0, days, number), 0)
            )  # a merchant that is soon large is no false alarm
            rate[day < born[:, None]] = 0
            if kind == "lot":
                rate *= np.exp(-np.maximum(day - born[:, None], 0) / 150)
        speaks = {"merchant": 0.95, "lot": 0.1, "product": 0.8, "district": 1.0, "problem": 1.0}[kind]
        rate *= a_day * speaks * level.mean() / rate[:, peak == 1].sum(axis=0).mean()
        noisy = rate * rng.gamma(20, 1 / 20, rate.shape)
        seen = rng.poisson(noisy * 0.97)
        series, column = np.nonzero(seen)
        company = rng.binomial(seen[series, column], 0.01)  # they bring one or two
        seen[series, column] += company + rng.binomial(company, 0.5)
        rates[kind], counts[kind] = rate, seen.astype(np.int32)
    return Days(rates, counts, counts["district"].sum(axis=0))


def _base(rng: np.random.Generator, kind: str, number: int) -> Floats:
    ranks = np.arange(1, number + 1, dtype=float)
    if kind == "merchant":
        return 1 / (ranks + 10)
    if kind == "lot":
        return np.minimum(rng.gamma(0.6, 1, number), 6)
    base: Floats = 1 / (ranks + 3)
    return base


def _drift(rng: np.random.Generator, number: int, days: int) -> Floats:
    """Shares wander: standard deviation 0.25 of the logarithm, a memory of 60 days."""
    keep = np.exp(-1 / 60)
    state = rng.normal(0, 0.25, number)
    drift = np.empty((number, days))
    for day in range(days):
        state = keep * state + rng.normal(0, 0.25 * np.sqrt(1 - keep**2), number)
        drift[:, day] = np.exp(state)
    return drift


def false_alarms(seed: int, months: int, parameters: Parameters) -> tuple[int, list[Burst]]:
    """(days passed, bursts found where there are none): four looks a day would find no more, see the docstring of ml.bursts."""
    watched = months * 30
    days = usual_days(seed, HISTORY + 1 + watched)
    known: dict[tuple[str, object, int], Burst] = {}
    for last in range(HISTORY, HISTORY + watched):
        for burst in find(days.until(last), days.totals(last), FIRST + last, parameters, known.values()):
            known[burst.kind, burst.key, burst.first_day] = burst
    return watched, list(known.values())


def planted(
    seed: int, parameters: Parameters, *, peak: bool, each: int = 100, people: int = 30, over: int = 5
) -> dict[str, list[int | None]]:
    """Kind -> people of each planted burst when an hourly look found it, or None. Each is alone: the total is left as it was."""
    days = usual_days(seed, HISTORY + 12, peaks=(HISTORY + 1,) if peak else ())
    rng = np.random.default_rng(seed)
    begins, chosen, hours = HISTORY + 1, {}, {}
    for kind in ("merchant", "lot"):
        # A tenth has never been seen; the others by their number of people, so that the bases up to 0.2 are all there.
        base = days.counts[kind][:, begins - 180 : begins].mean(axis=1)
        usual = days.rates[kind][:, begins - 60 : begins].mean(axis=1)
        fits = np.flatnonzero((usual <= 0.2) & (base <= 0.2) & (base > 0))
        never = np.flatnonzero(days.counts[kind][:, begins - HISTORY : begins].sum(axis=1) == 0)
        weight = base[fits] / base[fits].sum()
        chosen[kind] = np.concatenate(
            [rng.choice(never, each // 10, replace=False), rng.choice(fits, each - each // 10, replace=False, p=weight)]
        )
        hours[kind] = np.sort(rng.integers(0, 24, each)[:, None] + rng.uniform(0, over * 24, (each, people)), axis=1)
    found: dict[str, list[int | None]] = {kind: [None] * each for kind in chosen}
    for hour in range(1, 24 * 4):
        last = begins + hour // 24
        more = {}
        for kind, series in chosen.items():
            more[kind] = np.zeros((len(days.counts[kind]), last - begins + 1), dtype=np.int32)
            for number, at in zip(series, hours[kind], strict=True):
                np.add.at(more[kind][number], (at[at < hour] // 24).astype(int), 1)
        share = hour % 24 / 24
        for burst in find(days.until(last, more, share), days.totals(last, share), FIRST + last, parameters):
            if (
                burst.kind in chosen
                and (at := np.flatnonzero(chosen[burst.kind] == burst.key)).size
                and found[burst.kind][int(at[0])] is None
            ):
                found[burst.kind][int(at[0])] = int((hours[burst.kind][int(at[0])] < hour).sum())
        if all(people is not None for of in found.values() for people in of):
            break
    return found


def pass_seconds(parameters: Parameters) -> tuple[int, float]:
    """(series, median seconds of a pass)"""
    days = usual_days(1, HISTORY + 1)
    counts, totals = days.until(HISTORY), days.totals(HISTORY)
    took = []
    for _ in range(7):
        began = perf_counter()
        find(counts, totals, FIRST + HISTORY, parameters)
        took.append(perf_counter() - began)
    return sum(len(of.keys) for of in counts.values()), median(took)


def main(seeds: int = 4, months: int = 3) -> None:
    parameters, console = Parameters(), Console()
    found: dict[tuple[str, bool], list[int | None]] = {}
    alarms: list[Burst] = []
    watched = 0
    with Progress(console=console) as progress, ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        silent = [pool.submit(false_alarms, 100 + seed, months, parameters) for seed in range(seeds)]
        rising = {pool.submit(planted, 200 + n, parameters, peak=n % 2 == 1): n % 2 == 1 for n in range(4)}
        for usual in progress.track(as_completed(silent), len(silent), description="usual days"):
            days, told = usual.result()
            watched, alarms = watched + days, alarms + told
        for risen in progress.track(as_completed(rising), len(rising), description="planted bursts"):
            for kind, people in risen.result().items():
                found.setdefault((kind, rising[risen]), []).extend(people)
    console.print(
        f"False alarms: {len(alarms)} in {watched} days over all series at 1,000 a day: {len(alarms) * 30.44 / watched:.2f} a month "
        f"(stated: {parameters.false_alarms_per_month})"
    )
    for burst in alarms:
        console.print(
            f"  {burst.kind} {burst.key}: {burst.seen} in {burst.window_days} days, {burst.expected:.2f} expected, "
            f"10^{burst.log10_tail:.1f} against 10^{burst.log10_threshold:.1f}"
        )
    table = Table("30 people in 5 days, base <= 0.2 a day", "bursts", "within the first 8", "median until found", "never")
    for (kind, peak), of in sorted(found.items()):
        until = [people if people is not None else 999 for people in of]
        share = sum(people <= 8 for people in until) / len(until)
        table.add_row(
            kind + (", promotion day" if peak else ""), str(len(of)), f"{share:.1%}", f"{median(until):g}", str(until.count(999))
        )
    console.print(table)
    series, seconds = pass_seconds(parameters)
    console.print(f"A pass over {series:,} series: {seconds:.2f} s")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
