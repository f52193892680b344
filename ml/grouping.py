"""Whole files at once, in memory: which merchant each complaint means, which complaints are one incident.

The same comparison as one by one in the service. Then it goes over everything again: what came first was decided before the rest
was known.
"""

import bisect
import heapq
import itertools
from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ml import incidents, merchants
from ml.incidents import Features, Key, Profile
from ml.linkage import UNIT
from ml.merchants import Brands, Choice, Known, Mention
from ml.progress import Progress, quiet
from ml.scorecards import Levels, Scorecard
from ml.tokens import sound

_PER_KEY = 20
_MERCHANTS_MOST = 12
_INCIDENTS_MOST = 20  # more than the service reads for one complaint: nobody waits here


# -- merchants


@dataclass(frozen=True, slots=True)
class Named:
    """What one complaint gives to find its merchant by. stated: names of its form, or written out in its text."""

    stated: tuple[Mention, ...]
    said: str
    home: str = ""
    product: Hashable | None = None


@dataclass
class Directory:
    """Merchants by the sound of their brands."""

    known: dict[int, Known] = field(default_factory=dict)
    index: dict[str, dict[int, None]] = field(default_factory=lambda: defaultdict(dict))
    keys: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    brands: Brands = field(default_factory=Brands)

    def find(self, named: Named) -> list[Mention]:
        return merchants.mentions(named.stated, named.said, self.brands, home=named.home, product=named.product)

    def candidates(self, found: Sequence[Mention]) -> dict[int, Known]:
        hits: dict[int, int] = defaultdict(int)
        for mention in found:
            for key in merchants.keys(mention):
                # The best known: a sound that everybody uses must not make every look-up long. Those of the same city have a key of their own.
                holders = self.index.get(key, ())
                for merchant in holders if len(holders) <= _PER_KEY else heapq.nlargest(_PER_KEY, holders, key=self.standing):
                    hits[merchant] += 1
        return {
            m: self.known[m] for m in sorted(hits, key=lambda m: (hits[m], *self.standing(m)), reverse=True)[:_MERCHANTS_MOST]
        }

    def standing(self, merchant: int) -> tuple[int, int]:
        """How well known it is, in steps: as the service's index keeps it."""
        return self.known[merchant].standing, merchant

    def learn(self, merchant: int, mention: Mention, core: str | None) -> None:
        known = self.known.setdefault(merchant, Known())
        if known.learn(mention, core):
            for key in merchants.keys(mention):
                self.point(key, merchant)
            if merchants.is_telling(core or mention.name.core):
                self.brands.update((sound(core or mention.name.core),))

    def point(self, key: str, merchant: int) -> None:
        self.index[key][merchant] = None
        self.keys[merchant].add(key)


def resolve(records: Sequence[Named], scorecard: Scorecard, *, progress: Progress = quiet) -> list[int | None]:
    """Merchant of each complaint, None where it names nobody that could be told from others. First in order, then merchants that
    turn out to be one are joined, then complaints that only speak of one are read again with all brands known."""
    directory = Directory()
    labels: list[int | None] = []
    for row, one in enumerate(records):
        found = directory.find(one)
        choice = merchants.choose(found, directory.candidates(found), scorecard)
        label = choice.merchant
        if label is None and (opening := merchants.opens(found)) is not None:
            label, choice = row, Choice(row, None, None, opening)
        if label is not None and choice.mention is not None:
            directory.learn(label, choice.mention, choice.core)
        labels.append(label)
        if row % 1000 == 0:
            progress("merchants", row, 2 * len(records))
    into = join(directory, scorecard)
    for row, one in enumerate(records):
        label = labels[row]
        if label is not None and one.stated:
            labels[row] = into.get(label, label)
        else:
            found = directory.find(one)
            labels[row] = merchants.choose(found, directory.candidates(found), scorecard).merchant
        if row % 1000 == 0:
            progress("merchants", len(records) + row, 2 * len(records))
    progress("merchants", 1, 1)
    return labels


def join(directory: Directory, scorecard: Scorecard) -> dict[int, int]:
    """Merchants that turn out to be one, the smaller into the larger: merchant -> the one it is now. The directory follows."""
    into: dict[int, int] = {}
    for merchant in sorted(directory.known, key=lambda m: (directory.known[m].size, -m)):
        about = directory.known[merchant]
        found = [merchants.as_mention(about)]
        known = {m: k for m, k in directory.candidates(found).items() if m != merchant and k.size >= about.size}
        choice = merchants.choose(found, known, scorecard)
        if choice.merchant is None:
            continue
        home = into[merchant] = choice.merchant
        directory.known[home].absorb(directory.known.pop(merchant))
        for key in directory.keys.pop(merchant):
            directory.index[key].pop(merchant, None)
            directory.point(key, home)
    return {m: _end(into, m) for m in into}


def _end(into: Mapping[int, int], merchant: int) -> int:
    while merchant in into:
        merchant = into[merchant]
    return merchant


def teach_merchants(
    records: Sequence[Named], truth: Sequence[int], *, progress: Progress = quiet
) -> list[tuple[Levels, bool]]:  # fmt: skip
    """Each complaint beside every merchant it could mean, known by those before it: what a scorecard is learned from."""
    directory = Directory()
    samples: list[tuple[Levels, bool]] = []
    for row, (one, merchant) in enumerate(zip(records, truth, strict=True)):
        found = directory.find(one)
        known = directory.candidates(found)
        best: Mention | None = None
        for mention in found:
            rivals = merchants.rivals(mention, known)
            for candidate, about in known.items():
                levels, core = merchants.levels(mention, about, rivals)
                if core is None:
                    continue
                samples.append((levels, candidate == merchant))
                if candidate == merchant:
                    best = mention
        if best is None:
            best = merchants.opens(found)
        if best is not None:
            directory.learn(merchant, best, None)
        if row % 1000 == 0:
            progress("samples", row, len(records))
    progress("samples", 1, 1)
    return samples


# -- incidents

_SURER = UNIT // 2
_SAMPLE = 6  # members that speak for their incident when two are weighed against each other
_LONGEST_GAP = max(incidents.IDLE_GAP_DAYS.values())


@dataclass(frozen=True, slots=True)
class Bindings:
    """What people have said. must, cannot: pairs of rows that belong together or apart. fixed: row -> the incident it stays in."""

    must: Sequence[tuple[int, int]] = ()
    cannot: Sequence[tuple[int, int]] = ()
    fixed: Mapping[int, int] = field(default_factory=dict)


@dataclass
class Board:
    """Incidents by key, with their members in order of time."""

    features: Sequence[Features]
    profiles: dict[int, Profile] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    home: dict[int, int] = field(default_factory=dict)
    index: dict[Key, dict[int, None]] = field(default_factory=lambda: defaultdict(dict))

    def candidates(self, row: int, *, apart_from: Container[int] = ()) -> dict[int, Profile]:
        """By the keys they share, the latest of each."""
        matter = self.features[row]
        hits: dict[int, list[str]] = defaultdict(list)
        for key in incidents.keys(matter):
            for incident in itertools.islice(reversed(self.index.get(key, {})), _PER_KEY):
                profile = self.profiles.get(incident)  # None: gone, and not yet forgotten by every key
                if profile is None or incident in apart_from or incidents.silence_days(matter, profile) > _LONGEST_GAP:
                    continue
                hits[incident].append(str(key[0]))
        return {i: self.profiles[i] for i in incidents.rank(hits, _INCIDENTS_MOST)}

    def put(self, row: int, incident: int) -> None:
        matter = self.features[row]
        if incident in self.profiles:
            self.profiles[incident].absorb(matter)
        else:
            self.profiles[incident] = incidents.open_profile(matter)
        bisect.insort(self.members.setdefault(incident, []), row, key=self.at)
        self.home[row] = incident
        for key in incidents.keys(matter):
            latest = self.index[key]
            latest.pop(incident, None)
            latest[incident] = None

    def lift(self, row: int) -> int:
        """Takes a row out of its incident, whose number it gives; an incident of nobody is gone."""
        incident = self.home.pop(row)
        members, profile = self.members[incident], self.profiles[incident]
        members.remove(row)
        if members:
            profile.release(self.features[row])
            profile.first_at, profile.last_at = self.features[members[0]].at, self.features[members[-1]].at
        else:
            self.drop(incident, self.features[row])
        return incident

    def drop(self, incident: int, *matters: Features) -> None:
        del self.members[incident], self.profiles[incident]
        for matter in matters:
            for key in incidents.keys(matter):
                self.index[key].pop(incident, None)

    def at(self, row: int) -> tuple[datetime, int]:
        return self.features[row].at, row


def group(
    features: Sequence[Features], scorecard: Scorecard, *, sweeps: int = 1, bindings: Bindings | None = None,
    start: Sequence[int] | None = None, progress: Progress = quiet,
) -> list[int]:  # fmt: skip
    """Incident of each matter, a number. start: where they are now (numbers below len(features)), to go on from. Without it: in order of time
    first, as the service decides. Then incidents that turn out to be one are joined, and every matter is decided again with all others known. Equal sets give equal results whatever order their rows have."""
    board = Board(features)
    order = sorted(range(len(features)), key=board.at)
    bound = _Bound(bindings or Bindings())
    total = len(order) * (1 + sweeps)
    for done, row in enumerate(order):
        board.put(row, bound.decide(board, row, scorecard, done) if start is None else start[row])
        if done % 500 == 0:
            progress("incidents", done, total)
    fresh = itertools.count(len(features))
    # With everything known nobody needs the benefit of the doubt that a first matter has.
    sure = replace(scorecard, threshold=scorecard.threshold + _SURER)
    for sweep in range(sweeps):
        _join_incidents(board, bound, sure)
        for done, row in enumerate(order):
            left = board.lift(row)
            alone = next(fresh) if left in board.profiles else left
            board.put(row, bound.decide(board, row, sure, alone, own=left))
            if done % 500 == 0:
                progress("incidents", len(order) * (1 + sweep) + done, total)
    progress("incidents", total, total)
    return [board.home[row] for row in range(len(features))]


class _Bound:
    """People's words by row."""

    def __init__(self, bindings: Bindings) -> None:
        self.fixed = bindings.fixed
        self.must: dict[int, set[int]] = defaultdict(set)
        self.cannot: dict[int, set[int]] = defaultdict(set)
        for pairs, by_row in ((bindings.must, self.must), (bindings.cannot, self.cannot)):
            for a, b in pairs:
                by_row[a].add(b)
                by_row[b].add(a)

    def decide(self, board: Board, row: int, scorecard: Scorecard, alone: int, *, own: int | None = None) -> int:
        """The incident a row joins; `alone` where it opens its own."""
        if row in self.fixed:
            return self.fixed[row]
        if together := [board.home[r] for r in sorted(self.must.get(row, ())) if r in board.home]:
            return together[0]
        apart = {board.home[r] for r in self.cannot.get(row, ()) if r in board.home}
        known = board.candidates(row, apart_from=apart)
        if own is not None and own in board.profiles and own not in apart:
            known[own] = board.profiles[own]
        winner, _ = incidents.assign(board.features[row], known, scorecard)
        return alone if winner is None else winner

    def apart(self, board: Board, members: Iterable[int]) -> set[int]:
        return {board.home[r] for row in members for r in self.cannot.get(row, ()) if r in board.home}

    def holds(self, members: Iterable[int]) -> bool:
        return any(row in self.fixed for row in members)


def _join_incidents(board: Board, bound: _Bound, scorecard: Scorecard) -> None:
    """The smaller into the larger where its members, as if they came now, would join it: all that are asked, and with the weight of
    one that joins on average."""
    for incident in sorted(board.members, key=lambda i: (len(board.members[i]), i)):
        members = board.members[incident]
        if bound.holds(members):
            continue
        asked = members[:: max(1, len(members) // _SAMPLE)][:_SAMPLE]
        apart = bound.apart(board, members) | {incident}
        weights: dict[int, list[int]] = defaultdict(list)
        for row in asked:
            known = board.candidates(row, apart_from=apart)
            among = incidents.rivals(board.features[row], known.values())
            for other, profile in known.items():
                evidence = incidents.compare(board.features[row], profile, scorecard, among)
                if evidence.forbidden_by is None and len(board.members[other]) >= len(members):
                    weights[other].append(evidence.weight)
        fitting = {o: sum(w) for o, w in weights.items() if len(w) == len(asked) and sum(w) >= scorecard.threshold * len(w)}
        if not fitting:
            continue
        into = max(fitting, key=lambda o: (fitting[o], -o))
        moving = list(members)
        board.drop(incident, *(board.features[row] for row in moving))
        for row in moving:
            board.put(row, into)


def teach_incidents(
    features: Sequence[Features], truth: Sequence[int], *, progress: Progress = quiet
) -> list[tuple[Levels, bool]]:  # fmt: skip
    """Each matter beside every incident it could belong to, as it stood then: what a scorecard is learned from. Pairs that a rule
    forbids teach nothing."""
    board = Board(features)
    samples: list[tuple[Levels, bool]] = []
    order = sorted(range(len(features)), key=board.at)
    for done, row in enumerate(order):
        known = board.candidates(row)
        among = incidents.rivals(features[row], known.values())
        for incident, profile in known.items():
            found, forbidden = incidents.levels(features[row], profile, among)
            if forbidden is None:
                samples.append((found, incident == truth[row]))
        board.put(row, truth[row])
        if done % 500 == 0:
            progress("samples", done, len(order))
    progress("samples", 1, 1)
    return samples
