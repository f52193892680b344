"""Made-up public grievances: equal arguments give equal ones, with the shares and the structure they promise."""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from statistics import median

import pytest

from ml.synthetic.complaints import CHINA
from ml.synthetic.grievances import APART, FILLERS, KINDS, LARGE, TEXTS, _Board, _Matter, _tell, grievances
from ml.synthetic.streams import Filed

pytestmark = pytest.mark.slow  # made-up data: its figures, not the service

COUNT, SEED, DAYS = 3000, 7, 900
DAY = timedelta(days=1)
Incidents = dict[int, list[Filed]]


@pytest.fixture(scope="module")
def rows() -> list[Filed]:
    return grievances(COUNT, SEED)


@pytest.fixture(scope="module")
def incidents(rows: list[Filed]) -> Incidents:
    groups: Incidents = defaultdict(list)
    for row in rows:
        groups[row.incident_id].append(row)
    return {number: group for number, group in groups.items() if len(group) > 1}


@pytest.fixture(scope="module")
def matters() -> list[_Matter]:
    return _Board(Random(SEED), COUNT, DAYS).plan()


def test_equal_arguments_give_equal_rows_in_any_process() -> None:
    code = "from ml.synthetic import grievances; print(repr(grievances(60, 1)))"
    salted = {**os.environ, "PYTHONHASHSEED": "1"}
    other = subprocess.run([sys.executable, "-c", code], env=salted, capture_output=True, text=True, check=True).stdout
    assert other.strip() == repr(grievances(60, 1)) != repr(grievances(60, 2))


@pytest.mark.parametrize("count", [0, 1, 2, 8, 19, 60])
def test_any_count_and_period_is_met(count: int) -> None:
    start = datetime(2021, 3, 1, tzinfo=CHINA)
    made = grievances(count, seed=3, start=start, days=120)
    assert len(made) == count
    assert all(start <= row.filed_at < start + 120 * DAY for row in made)


def test_too_short_a_period_is_refused() -> None:
    with pytest.raises(ValueError, match="60 days"):
        grievances(1, 1, days=30)


def test_there_is_enough_to_say() -> None:
    assert len(KINDS) >= 24
    assert all(len(texts) >= 10 for texts in TEXTS.values())
    assert len(FILLERS) >= 60


def test_rows_are_in_order_and_have_no_merchant(rows: list[Filed]) -> None:
    assert [row.cid for row in rows] == list(range(COUNT))
    assert all(one.filed_at <= other.filed_at for one, other in pairwise(rows))
    assert {(row.merchant, row.product, row.lot_no, row.event_date, row.merchant_id, row.shop_id) for row in rows} == {
        (None, None, None, None, -1, -1)
    }
    assert {row.issue for row in rows} == {kind.name for kind in KINDS}


def test_shares(rows: list[Filed], incidents: Incidents) -> None:
    alone = [row for row in rows if row.incident_id not in incidents]
    assert len(alone) / COUNT == pytest.approx(0.75, abs=0.01)
    assert all((row.scope == "area") == (row.incident_id in incidents) for row in rows)
    assert sum(row.city is None for row in rows) / COUNT == pytest.approx(0.7, abs=0.03)
    assert all((row.city is None) == (row.district is None) for row in rows)


def test_incidents_sizes_have_a_heavy_tail(incidents: Incidents) -> None:
    sizes = [len(group) for group in incidents.values()]
    assert median(sizes) == 3
    assert min(sizes) == 2
    assert 20 < max(sizes) <= 80
    assert all(len({row.issue for row in group}) == 1 for group in incidents.values())


def test_incidents_last_and_pause(incidents: Incidents) -> None:
    spans = [group[-1].filed_at - group[0].filed_at for group in incidents.values()]
    assert min(spans) > 5 * DAY
    assert 150 * DAY < max(spans) <= 250 * DAY
    longest = {
        number: max(other.filed_at - one.filed_at for one, other in pairwise(group)) for number, group in incidents.items()
    }
    assert max(longest.values()) <= 90 * DAY
    paused = [longest[number] >= 40 * DAY for number, group in incidents.items() if len(group) >= LARGE]
    assert len(paused) > 10
    assert sum(paused) / len(paused) == pytest.approx(0.25, abs=0.06)


def test_messages_have_their_length_and_are_whole(rows: list[Filed]) -> None:
    lengths = [len(row.text) for row in rows]
    assert min(lengths) >= 80
    assert 400 < max(lengths) <= 600
    assert not any(set(row.text) & set("[]{}|") for row in rows)


def test_names_occur_in_texts(rows: list[Filed], matters: list[_Matter]) -> None:
    short = {matter.subject.short for matter in matters}
    assert len(short) > 1500
    named = 0
    for kind in KINDS:
        those = [matter.subject for matter in matters if matter.kind is kind]
        names = re.compile("|".join(sorted({re.escape(subject.short) for subject in those}, key=len, reverse=True)))
        texts = [row.text for row in rows if row.issue == kind.name]
        named += sum(bool(names.search(text)) for text in texts)
    assert 0.75 < named / COUNT < 0.92


def test_incidents_have_distractors(matters: list[_Matter]) -> None:
    alone = [matter for matter in matters if len(matter.days) == 1]
    large = [matter for matter in matters if len(matter.days) > 1]
    found: Counter[str] = Counter()
    for one in large:
        start, end = one.days[0], one.days[-1]
        within = [other for other in alone if start <= other.days[0] <= end]
        found["place"] += any(other.kind is one.kind and other.subject is not one.subject for other in within)
        found["kind"] += any(other.kind is not one.kind and other.subject is one.subject for other in within)
        found["time"] += any(other.kind is one.kind and other.subject is one.subject for other in alone)
    assert found["place"] > 0.9 * len(large)
    assert found["kind"] > 0.6 * len(large)
    assert found["time"] > 0.7 * len(large)
    assert any(matter.told for matter in matters)


def test_like_matters_of_a_place_are_far_apart(matters: list[_Matter]) -> None:
    groups: dict[tuple[str, str], list[_Matter]] = defaultdict(list)
    for matter in matters:
        if not matter.told:
            groups[matter.subject.short, matter.kind.name].append(matter)
    for group in groups.values():
        group.sort(key=lambda matter: matter.days[0])
        assert all(other.days[0] - one.days[-1] > APART for one, other in pairwise(group))


def test_some_incidents_have_a_shared_letter(matters: list[_Matter]) -> None:
    letters = [matter for matter in matters if matter.letter]
    assert len(letters) > 2
    shares: list[float] = []
    rng = Random(1)
    for matter in letters:
        patterns = [re.compile(re.escape(text).replace(r"\{n\}", ".{1,25}")) for text in matter.letter[1:]]
        texts = [_tell(rng, matter) for _ in range(30)]
        shares.append(sum(sum(bool(p.search(text)) for p in patterns) >= len(patterns) - 1 for text in texts) / len(texts))
    assert sum(shares) / len(shares) == pytest.approx(0.3, abs=0.08)


def test_persons_mostly_write_once(rows: list[Filed]) -> None:
    wrote, matters = Counter(row.person_id for row in rows), defaultdict[int, set[int]](set)
    for row in rows:
        matters[row.person_id].add(row.incident_id)
    assert sum(times == 1 for times in wrote.values()) / len(wrote) > 0.95
    again = [wrote[person] for person, those in matters.items() if len(those) == 1 and wrote[person] > 1]
    assert len(again) > 10
    assert max(again) <= 4
    assert 1 <= sum(len(those) > 5 for those in matters.values()) < 10
