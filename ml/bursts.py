"""What rises faster than chance: for a merchant, product, lot, district or problem, against its own usual share of everything.

Base: a series' share of all people of a day, not its count, so weekday, holiday, trend and promotion day cancel. Its posterior is
gamma: own history, half-life 60 days, without the window looked at and without earlier bursts, over the prior of its kind. A series
exists from its first person on, and that person is not counted, for without him nobody would look; the prior is what series of the
kind did in the month after their first person. So a new merchant is expected to do what new merchants do.

Test: the negative-binomial tail of the people of the last 1, 2, 3, 5, 7 and 14 days. Its spread is the posterior's, plus what the
kind's past forecasts of that many days missed by, plus people who come in company (same-day pairs beyond next-day pairs), plus what
a peak of the total leaves open: a promotion doesn't move all alike.

Threshold: what is stated is divided over days, kinds (merchants and lots have the larger part) and windows. Each such test of many
series gets the largest tail probability at which the false alarms expected, summed over its series, keep within that part; a series
that can hardly reach `least_people` costs its own chance of that and no more (Tarone), so 20,000 sleeping merchants cost little.
An e-process would hold at any look by itself; here whole days give that for nothing, as follows.

Looks: the day is expected whole from its first hour, and counts only grow, so a look at noon crosses only if the day's last would.
Only while a promotion day outgrows the usual total does its expectation grow along, and looks are many tests of one day.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, gammaln

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parameters:
    """false_alarms_per_month: over all series together. settling_days: history below which nothing is said. ends_above: tail
    probability at which a week is usual again. unlearned_days: of a burst that stays; what follows is the new usual.
    peak_spread: how differently series follow a peak, as the standard deviation of their exponents."""

    false_alarms_per_month: float = 1.0
    half_life_days: float = 60.0
    history_days: int = 400
    settling_days: int = 42
    windows_days: tuple[int, ...] = (1, 2, 3, 5, 7, 14)
    least_people: int = 6
    ends_above: float = 0.05
    quiet_days: int = 7
    unlearned_days: int = 28
    peak_spread: float = 0.35
    kinds: Mapping[str, float] = field(default_factory=lambda: {"merchant": 3.0, "lot": 3.0})


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one kind: distinct people by series and day, where there are any. series: index into keys. days: any numbering."""

    keys: Sequence[Hashable]
    series: Integers
    days: Integers
    people: Integers


@dataclass(frozen=True, slots=True)
class Burst:
    """An episode. What was seen stays as it was when found; only last_day is written later, when the excess is over.

    first_day: first day of the window that was above its expectation. seen, expected: people of the window. new: the first
    person ever is among them and was not tested. shape: of the negative binomial. factor: total of the window's days over their usual.
    """

    kind: str
    key: Hashable
    first_day: int
    found_day: int
    last_day: int | None
    window_days: int
    seen: int
    expected: float
    log10_tail: float
    log10_threshold: float
    base_per_day: float
    factor: float
    shape: float
    new: bool


def gather(rows: Iterable[tuple[str, Hashable, int, int]]) -> dict[str, Counts]:
    """From (kind, key, day, people), as the database gives them."""
    numbers: dict[str, dict[Hashable, int]] = {}
    found: dict[str, list[tuple[int, int, int]]] = {}
    for kind, key, day, people in rows:
        number = numbers.setdefault(kind, {})
        found.setdefault(kind, []).append((number.setdefault(key, len(number)), day, people))
    table = {kind: np.array(of, dtype=np.int64) for kind, of in found.items()}
    return {kind: Counts(list(numbers[kind]), *(table[kind][:, column] for column in range(3))) for kind in table}


def tail(seen: npt.ArrayLike, expected: npt.ArrayLike, shape: npt.ArrayLike) -> Floats:
    """P(at least `seen`), negative binomial: scipy.stats.nbinom.sf(seen - 1, shape, shape / (shape + expected))."""
    x, mean, r = np.asarray(seen, float), np.asarray(expected, float), np.asarray(shape, float)
    return np.where(x > 0, betainc(np.maximum(x, 1e-9), r, mean / (mean + r)), 1.0)


def threshold(expected: Floats, shape: Floats, least: Integers, alarms: float) -> float:
    """Largest t, up to `alarms`, at which the false alarms expected of a day's tests are no more than `alarms`. least: smallest
    count that may alarm. Where few are expected, a test alarms at the first count whose tail is t or less, which may be far less;
    where many are, it is taken to be t."""
    first = tail(least, expected, shape)
    matters = first > alarms / len(first) / 20
    alarms *= 0.95  # the rest is for those that hardly matter
    few = np.flatnonzero(matters & (expected < 4))
    many = int((matters & (expected >= 4)).sum())
    x, r, q = least[few].astype(float), shape[few], expected[few] / (expected[few] + shape[few])
    point = np.exp(gammaln(x + r) - gammaln(r) - gammaln(x + 1) + r * np.log1p(-q) + x * np.log(q))
    steps = np.zeros((25, len(few)))
    steps[0] = first[few]
    for more in range(1, 24):  # the tail from each count on is the one before without that count
        steps[more] = np.maximum(steps[more - 1] - point, 0)
        point = point * q * (x + r) / (x + 1)
        x = x + 1
    chance, spends = steps[:-1].ravel(), (steps[:-1] - steps[1:]).ravel()
    chance, spends = chance[chance <= alarms], spends[chance <= alarms]
    order = np.argsort(chance)
    chance, spent = chance[order], np.cumsum(spends[order])
    fits = int(np.searchsorted(spent + many * chance, alarms))  # all below it fit
    if fits == len(chance):
        return float(alarms - spent[-1] if len(chance) else alarms) / max(many, 1)
    left = alarms - (spent[fits - 1] if fits else 0.0)
    return float(min(left / many, chance[fits]) if many else chance[fits - 1] if fits else 0.0)


def find(
    counts: Mapping[str, Counts], totals: Mapping[int, int], today: int, parameters: Parameters, known: Iterable[Burst] = ()
) -> list[Burst]:
    """Bursts that go on, have just ended (last_day) or are new (found_day is today, and not in known).

    Args:
        totals: day -> distinct people, over all complaints. Today's is what there is so far, as in counts.
        known: bursts of the last `history_days`, ended or not.
    """
    calendar = _Calendar(totals, today, parameters)
    known = list(known)
    if calendar.size - 1 - calendar.start < parameters.settling_days:
        return [b for b in known if b.last_day is None]
    tables = [_Table(kind, of, calendar, [b for b in known if b.kind == kind]) for kind, of in counts.items() if len(of.series)]
    if not tables:
        return [b for b in known if b.last_day is None]
    weight = {t.kind: parameters.kinds.get(t.kind, 1.0) for t in tables}
    a_day = parameters.false_alarms_per_month * 12 / 365.25 / sum(weight.values())
    told = [burst for table in tables for burst in table.told(a_day * weight[table.kind])]
    return told + [b for b in known if b.last_day is None and b.kind not in {t.kind for t in tables}]


class _Calendar:
    """Days as columns, today last, and what the total says of each. decay: weight of a column in histories."""

    def __init__(self, totals: Mapping[int, int], today: int, parameters: Parameters) -> None:
        self.parameters, self.today = parameters, today
        self.size = size = parameters.history_days + 1
        self.origin = today - size + 1
        total = np.array([totals.get(self.origin + column, 0) for column in range(size)], dtype=float)
        self.start = int(np.argmax(total[:-1] > 0)) if total[:-1].any() else size - 1
        weeks = np.full((8, size), np.nan)
        for back in range(1, 9):
            weeks[back - 1, 7 * back :] = total[: -7 * back]
        weeks[weeks == 0] = np.nan
        seen = ~np.isnan(weeks).all(axis=0)
        usual = np.ones(size)
        usual[seen] = np.nanmedian(weeks[:, seen], axis=0)
        total[-1] = max(total[-1], usual[-1])
        self.level = float(total[min(max(self.start, size - 57), size - 2) : -1].mean())
        self.total, self.usual = total, usual
        self.decay = 0.5 ** (np.arange(size)[::-1] / parameters.half_life_days)
        self.plain: Floats = np.concatenate([[0.0], np.cumsum(total)])
        self.decayed: Floats = np.concatenate([[0.0], np.cumsum(total * self.decay)])

    def peak(self, days: int) -> float:
        """Relative variance that a peak or dip of the total leaves to every series."""
        total = self.total[-days:]
        off = np.abs(np.log(np.maximum(total, 1) / np.maximum(self.usual[-days:], 1)))
        off = np.where(off > 0.2, off, 0.0)  # noise of the total is no peak
        return float(self.parameters.peak_spread * (total * off).sum() / max(total.sum(), 1)) ** 2


@dataclass(frozen=True, slots=True)
class _Window:
    days: int
    people: Floats  # without the first person ever
    share: Floats
    expected: Floats
    shape: Floats
    new: npt.NDArray[np.bool_]


class _Table:
    """One kind: series x columns, sparse, in order of series and day."""

    def __init__(self, kind: str, counts: Counts, calendar: _Calendar, known: Sequence[Burst]) -> None:
        self.kind, self.keys, self.calendar, self.count = kind, counts.keys, calendar, len(counts.keys)
        size = calendar.size
        column = counts.days - calendar.origin
        inside = (column >= calendar.start) & (column < size)
        code = counts.series[inside] * size + column[inside]
        order = np.argsort(code, kind="stable")
        self.code = code[order]
        self.series, self.column = self.code // size, self.code % size
        self.people = counts.people[inside][order].astype(float)
        self.first = np.full(self.count, size - 1)
        self.first[self.series[::-1]] = self.column[::-1]
        self.further = self.people - (self.column == self.first[self.series])
        self._mask(known)
        self.company = self._company()
        self.prior = self._prior()
        big, (general, own) = self._missed()
        self.windows = [
            self._window(days, general[place], own[place], big) for place, days in enumerate(calendar.parameters.windows_days)
        ]

    def _mask(self, known: Sequence[Burst]) -> None:
        """fresh: further people outside bursts. past: decayed, outside what is not to be learned of bursts. gone_plain,
        gone_decayed: (series, first column, last + 1) that exposure lacks likewise."""
        number = {key: n for n, key in enumerate(self.keys)} if known else {}
        size, origin = self.calendar.size, self.calendar.origin
        self.fresh = self.further.copy()
        self.past = self.further * self.calendar.decay[self.column]
        self.gone: list[tuple[int, int, int, int]] = []
        self.open: dict[int, Burst] = {}
        self.absent = [b for b in known if b.last_day is None and b.key not in number]
        for burst in known:
            if (series := number.get(burst.key)) is None:
                continue
            if burst.last_day is None:
                self.open[series] = burst
            begins = max(burst.first_day - origin, int(self.first[series]))
            ends = size if burst.last_day is None else burst.last_day - origin + 1
            learned = min(ends, burst.first_day - origin + self.calendar.parameters.unlearned_days)
            if ends > begins:
                low, high, mid = np.searchsorted(self.code, series * size + np.array([begins, ends, max(learned, begins)]))
                self.fresh[low:high] = 0
                self.past[low:mid] = 0
                self.gone.append((series, begins, ends, max(learned, begins)))

    def _sum(self, weights: Floats, where: npt.NDArray[np.bool_]) -> Floats:
        return np.bincount(self.series[where], weights[where], self.count).astype(float)

    def _exposure(self, low: int) -> tuple[Floats, Floats]:
        """(people of all series in the window from column low; decayed, before it), while each series existed."""
        plain, decayed = self.calendar.plain, self.calendar.decayed
        window = plain[-1] - plain[np.maximum(self.first, low)]
        history = decayed[low] - decayed[np.minimum(self.first, low)]
        for series, begins, ends, learned in self.gone:
            window[series] -= plain[max(ends, low)] - plain[max(begins, low)]
            history[series] -= decayed[min(learned, low)] - decayed[min(begins, low)]
        return np.maximum(window, 1e-9), np.maximum(history, 0.0)

    def _company(self) -> float:
        """People who come along with each: same-day pairs beyond next-day pairs, which share the rate but not the company."""
        calendar = self.calendar
        rare = np.bincount(self.series, self.further, self.count) < 0.5 * np.maximum(calendar.size - self.first, 14)
        at = (self.fresh > 0) & rare[self.series] & (self.column < calendar.size - 15) & (self.column > self.first[self.series])
        x = self.people
        follows = np.zeros(len(x), dtype=bool)
        follows[:-1] = (np.diff(self.code) == 1) & (self.column[:-1] < calendar.size - 1)
        following = np.where(follows, np.roll(x, -1), 0.0)
        return float(max((x * (x - 1) - x * following)[at].sum() / max(x[at].sum(), 50.0), 0.0))

    def _prior(self) -> tuple[float, float]:
        """(shape, rate) of the gamma of shares: by moments of the month after the first person, or of all where few are new."""
        calendar, month = self.calendar, 30
        new = (self.first >= calendar.start + month) & (self.first < calendar.size - 1 - month)
        if new.sum() >= 30:
            people = self._sum(self.fresh, self.column < self.first[self.series] + month)[new]
            exposure = (calendar.plain[np.minimum(self.first + month, calendar.size)] - calendar.plain[self.first])[new]
        else:
            low = calendar.size - 1
            people, exposure = self._sum(self.past, self.column < low), self._exposure(low)[1]
        mean = (people.sum() + 0.5) / (exposure.sum() + 1)
        excess = ((people - mean * exposure) ** 2 - people * (1 + self.company)).sum() / max((exposure**2).sum(), 1e-9)
        shape = float(np.clip(mean**2 / max(excess, 1e-300), 0.02, 5.0))
        return shape, shape / float(mean)

    def _missed(self) -> tuple[Integers, tuple[list[float], list[Floats]]]:
        """(series with enough people to tell; per window: relative variance of what forecasts of the last half year missed by,
        of the kind and of those series)."""
        calendar, windows = self.calendar, self.calendar.parameters.windows_days
        size, decay = calendar.size, calendar.decay
        big = np.flatnonzero(self._sum(self.past, self.column < size - 1) >= 40)
        kind, own = [], []
        place = np.full(self.count, -1)
        place[big] = np.arange(len(big))
        dense = np.zeros((len(big), size))
        at = place[self.series] >= 0
        dense[place[self.series[at]], self.column[at]] = self.people[at]
        for series, begins, ends, _ in self.gone:
            if (row := place[series]) >= 0:
                share = (dense[row, :begins].sum() + 1) / max(calendar.plain[begins], 1)
                dense[row, begins:ends] = share * calendar.total[begins:ends]
        since = np.zeros((len(big), size + 1))
        np.cumsum(dense, axis=1, out=since[:, 1:])
        history = np.zeros((len(big), size + 1))
        np.cumsum(dense * decay, axis=1, out=history[:, 1:])
        for days in windows:
            low = np.arange(max(calendar.start + 42, size - 182 - days), size - 1 - days)
            existed = calendar.decayed[low] - calendar.decayed[np.minimum(self.first[big][:, None], low)]
            mean = history[:, low] / np.maximum(existed, 1e-9) * (calendar.plain[low + days] - calendar.plain[low])
            held = history[:, low] / decay[low]
            use = held > 20
            off = (since[:, low + days] - since[:, low] - mean) ** 2 - mean - mean**2 / np.maximum(held, 1e-9)
            miss, square = (off * use).sum(axis=1), (mean**2 * use).sum(axis=1)
            general = max(float(miss.sum() / max(square.sum(), 1e-9)), 0.0) if square.sum() > 0 else 0.05
            independent = use.sum(axis=1) / days
            mixed = (independent * miss / np.maximum(square, 1e-9) + 20 * general) / (independent + 20)
            kind.append(general)
            own.append(np.maximum(mixed, general))
        return big, (kind, own)

    def _window(self, days: int, general: float, own: Floats, big: Integers) -> _Window:
        low = self.calendar.size - days
        inside, history = self._exposure(low)
        people = self._sum(self.past, self.column < low)
        shape = self.prior[0] + people
        share = shape / (self.prior[1] + history)
        # The prior is of small ones: what has shown that it is large is not pulled down to them.
        share = np.where(people >= 10, np.maximum(share, people / np.maximum(history, 1e-9)), share)
        expected = share * inside
        missed = np.full(self.count, general)
        missed[big] = own
        variance = 1 / shape + missed + self.calendar.peak(days)
        spread = expected / (self.company + expected * variance)
        return _Window(days, self._sum(self.fresh, self.column >= low), share, expected, spread, self.first >= low)

    def told(self, alarms: float) -> list[Burst]:
        """alarms: to be expected of the kind today, all windows together."""
        least = self.calendar.parameters.least_people
        best: dict[int, tuple[float, float, _Window]] = {}
        for window in self.windows:
            limit = max(threshold(window.expected, window.shape, least - window.new, alarms / len(self.windows)), 1e-300)
            at = np.flatnonzero(window.people + window.new >= least)
            found = tail(window.people[at], window.expected[at], window.shape[at])
            for series, chance in zip(at[found <= limit].tolist(), found[found <= limit].tolist(), strict=True):
                if series not in self.open and (series not in best or chance / limit < best[series][0] / best[series][1]):
                    best[series] = chance, limit, window
        new = [self._burst(series, *why) for series, why in best.items()]
        return self.absent + [self._continued(series, burst) for series, burst in self.open.items()] + new

    def _days(self, series: int, people: Floats) -> Floats:
        size = self.calendar.size
        low, high = np.searchsorted(self.code, [series * size, series * size + size])
        days = np.zeros(size)
        days[self.column[low:high]] = people[low:high]
        return days

    def _burst(self, series: int, chance: float, limit: float, window: _Window) -> Burst:
        calendar, low = self.calendar, self.calendar.size - window.days
        expected, total = float(window.expected[series]), calendar.total[low:]
        share = float(window.share[series])
        above = np.flatnonzero(self._days(series, self.fresh)[low:] > share * total)
        new = bool(window.new[series])
        return Burst(
            self.kind, self.keys[series], calendar.origin + low + int(above[0]), calendar.today, None, window.days,
            int(window.people[series]) + new, expected, _log10(chance), _log10(limit), share * calendar.level,
            float(total.sum() / calendar.usual[low:].sum()), float(window.shape[series]), new,
        )  # fmt: skip

    def _continued(self, series: int, burst: Burst) -> Burst:
        """Ended, if the last whole days, all after it was found, are usual again."""
        calendar, quiet = self.calendar, self.calendar.parameters.quiet_days
        low = calendar.size - 1 - quiet
        if low < burst.found_day - calendar.origin:
            return burst
        days, window = self._days(series, self.people), self.windows[-1]
        share = float(window.share[series])
        expected = share * calendar.total[low:-1].sum()
        if tail(days[low:-1].sum(), expected, max(expected, 1.0)) < calendar.parameters.ends_above:
            return burst
        above = np.flatnonzero(days[:low] > share * calendar.total[:low])
        return replace(burst, last_day=max(burst.first_day, calendar.origin + int(above[-1]) if len(above) else 0))


def _log10(probability: float) -> float:
    return float(np.log10(max(probability, 1e-300)))
