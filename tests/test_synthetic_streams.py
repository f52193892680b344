"""Made-up streams of complaints: equal arguments give equal streams, with the shares and the structure they promise."""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from pypinyin import lazy_pinyin
from stdnum.cn import uscc

from ml.synthetic.streams import ISSUES, KINDS, NOISES, STEMS, Filed, Stream, _open, stream, write

pytestmark = pytest.mark.slow  # made-up data: its figures, not the service

COUNT = 10_000
PLACE = re.compile(f"(?:{'|'.join(STEMS)})(?:{'|'.join(KINDS)})")
Incidents = dict[int, list[Filed]]


@pytest.fixture(scope="module")
def made() -> Stream:
    return stream(COUNT, seed=12315)


@pytest.fixture(scope="module")
def incidents(made: Stream) -> Incidents:
    return grouped(made)


def grouped(made: Stream) -> Incidents:
    groups: Incidents = defaultdict(list)
    for row in made.rows:
        groups[row.incident_id].append(row)
    return groups


def missing(made: Stream, field: str) -> float:
    return sum(getattr(row, field) is None for row in made.rows) / len(made.rows)


def test_equal_arguments_give_equal_streams_in_any_process() -> None:
    code = "from ml.synthetic.streams import stream; print(repr(stream(400, 1)))"
    salted = {**os.environ, "PYTHONHASHSEED": "1"}
    other = subprocess.run([sys.executable, "-c", code], env=salted, capture_output=True, text=True, check=True).stdout
    assert other.strip() == repr(stream(400, 1)) != repr(stream(400, 2))


@pytest.mark.parametrize("count", [0, 1, 2, 19, 400])
def test_any_count_is_met(count: int) -> None:
    assert len(stream(count, seed=3).rows) == count


def test_complaints_are_in_order(made: Stream) -> None:
    assert [row.cid for row in made.rows] == list(range(COUNT))
    assert all(one.filed_at <= other.filed_at for one, other in pairwise(made.rows))
    assert all(timedelta(0) <= row.filed_at.date() - row.event_date <= timedelta(7) for row in made.rows if row.event_date)


def test_shares_are_as_promised(made: Stream, incidents: Incidents) -> None:
    scopes = Counter(row.scope for row in made.rows)
    assert scopes["single"] / COUNT == pytest.approx(0.37, abs=0.01)
    assert scopes["shop"] / COUNT == pytest.approx(0.255, abs=0.02)
    assert scopes["chain"] / COUNT == pytest.approx(0.235, abs=0.02)
    assert scopes["area"] / COUNT == pytest.approx(0.105, abs=0.02)
    assert scopes["lot"] / COUNT == pytest.approx(0.035, abs=0.01)
    assert len({row.issue for row in made.rows}) == len(ISSUES) >= 35
    assert all(len({*issue.texts.split()}) >= 8 for issue in ISSUES)
    bought = Stream([row for row in made.rows if row.scope not in ("area", "single")], made.merchants)
    assert missing(bought, "merchant") == pytest.approx(0.22, abs=0.02)
    assert missing(made, "city") == pytest.approx(0.08, abs=0.01)
    assert missing(made, "product") == pytest.approx(0.24, abs=0.02)
    sizes = sorted(len(rows) for rows in incidents.values() if len(rows) > 1)
    assert sizes[len(sizes) // 2] <= 4
    assert sizes[-1] > 150
    spans = sorted((rows[-1].filed_at - rows[0].filed_at).days for rows in incidents.values() if len(rows) > 4)
    assert spans[len(spans) // 2] < 20
    assert 40 < spans[-1] <= 130


def test_people_file_once_but_for_a_few(made: Stream) -> None:
    filed = Counter(row.person_id for row in made.rows)
    seen = {(row.person_id, row.incident_id) for row in made.rows}
    assert 0.01 < (COUNT - len(seen)) / COUNT < 0.035
    serial = [person for person, number in filed.items() if number >= 8]
    assert 0 < len(serial) < 0.001 * COUNT
    assert all(len({row.merchant_id for row in made.rows if row.person_id == person}) > 4 for person in serial)


def test_merchants_are_registered_and_share_brands(made: Stream) -> None:
    assert [merchant.merchant_id for merchant in made.merchants] == list(range(685))
    codes = {merchant.uscc for merchant in made.merchants}
    assert len(codes) == 685
    assert all(uscc.is_valid(code) for code in codes)
    shops = [len(merchant.shops) for merchant in made.merchants if merchant.chain]
    assert min(shops) > 2
    assert 30 < max(shops) <= 40
    assert max(len(merchant.shops) for merchant in made.merchants if not merchant.chain) <= 3
    assert any(len(merchant.aliases) > 2 for merchant in made.merchants)


@pytest.mark.parametrize(("count", "merchants", "alike"), [(20_000, 1370, 1.3), (100_000, 6850, 5)])
def test_the_more_merchants_the_more_share_the_sound_of_a_brand(count: int, merchants: int, alike: float) -> None:
    opened = _open(Random(1), count)
    assert len(opened) == merchants
    assert merchants / len({"".join(lazy_pinyin(merchant.brand)) for merchant in opened}) == pytest.approx(alike, rel=0.12)


def test_an_incident_stays_with_its_merchant_shop_or_lot(made: Stream, incidents: Incidents) -> None:
    sellers = 0
    for rows in incidents.values():
        first, scope = rows[0], rows[0].scope
        merchant = made.merchants[first.merchant_id]
        assert (scope == "single") == (len(rows) == 1)
        assert len({(row.issue, row.scope, row.shop_id) for row in rows}) == 1
        assert -1 <= first.shop_id < len(merchant.shops)
        merchants = len({row.merchant_id for row in rows})
        assert merchants == 1 or scope == "lot"
        assert len({row.lot_no for row in rows if row.lot_no}) <= 1
        assert scope in ("lot", "single") or not any(row.lot_no for row in rows)
        sellers = max(sellers, merchants)
        if scope == "chain":
            assert merchant.chain
            assert first.shop_id == -1
        if scope == "shop":
            assert first.shop_id >= 0 or not merchant.shops
        if scope == "area":
            assert len({row.city for row in rows if row.city}) <= 1
            assert len({row.district for row in rows if row.district}) <= 1
    assert sellers > 4


def test_without_noise_nothing_is_missing_and_places_and_brands_are_told() -> None:
    made = stream(2000, seed=5, noise=NOISES["clean"])
    assert not any(missing(made, field) for field in ("merchant", "product", "city", "district", "event_date"))
    for row in made.rows:
        aliases = made.merchants[row.merchant_id].aliases
        assert any(alias in (row.merchant or "") for alias in aliases)
    areas = [rows for rows in grouped(made).values() if rows[0].scope == "area"]
    named = [[{*PLACE.findall(row.text)} for row in rows] for rows in areas]
    assert all(len({frozenset(places) for places in spots}) == 1 for spots in named)
    assert any(spots[0] for spots in named)


def test_noise_is_ordered() -> None:
    ordinary, hard = (stream(1200, seed=5, noise=NOISES[name]) for name in ("ordinary", "hard"))
    assert all(missing(hard, field) > missing(ordinary, field) + 0.05 for field in ("merchant", "product", "city", "event_date"))


def test_like_matters_are_apart_in_time(incidents: Incidents) -> None:
    spans = defaultdict(list)
    for rows in incidents.values():
        if rows[0].scope in ("shop", "chain"):
            spans[rows[0].merchant_id, rows[0].issue, rows[0].shop_id].append((rows[0].filed_at, rows[-1].filed_at))
    gaps = [later[0] - earlier[1] for those in spans.values() for earlier, later in pairwise(sorted(those))]
    assert len(gaps) > 50
    assert min(gaps) > timedelta(23)


def test_incidents_have_distractors(made: Stream, incidents: Incidents) -> None:
    days: dict[tuple[object, ...], list[tuple[date, Filed]]] = defaultdict(list)
    for row in made.rows:
        trade = made.merchants[row.merchant_id].trade
        for key in (("merchant", row.merchant_id), ("issue", trade, row.issue)):
            days[key].append((row.filed_at.date(), row))
    sounds = ["".join(lazy_pinyin(merchant.aliases[0])) for merchant in made.merchants]
    found = Counter[str]()
    large = [rows for rows in incidents.values() if len(rows) > 3 and rows[0].scope in ("shop", "chain")]
    for rows in large:
        first, low, high = rows[0], rows[0].filed_at.date() - timedelta(8), rows[-1].filed_at.date() + timedelta(8)
        same = [(day, row) for day, row in days["merchant", first.merchant_id] if row.incident_id != first.incident_id]
        near = [row for day, row in same if low <= day <= high]
        trade = made.merchants[first.merchant_id].trade
        rivals = [
            row for day, row in days["issue", trade, first.issue] if low <= day <= high and row.merchant_id != first.merchant_id
        ]
        found["other issue"] += any(row.issue != first.issue for row in near)
        found["other shop"] += any(row.issue == first.issue and -1 < row.shop_id != first.shop_id > -1 for row in near)
        found["months later"] += any(
            row.issue == first.issue and not low - timedelta(30) <= day <= high + timedelta(30) for day, row in same
        )
        found["other merchant"] += bool(rivals)
        found["alike"] += any(sounds[row.merchant_id] == sounds[first.merchant_id] for row in rivals)
        found["same city"] += any(
            made.merchants[row.merchant_id].city == made.merchants[first.merchant_id].city for row in rivals
        )
    assert found["other issue"] > 0.5 * len(large)
    assert found["other merchant"] > 0.8 * len(large)
    assert found["months later"] > 0.5 * len(large)
    assert found["other shop"] > 0.5 * sum(rows[0].shop_id >= 0 for rows in large)
    assert found["alike"] > 0.02 * len(large)
    assert found["same city"] > 0.2 * len(large)


def test_files_hold_what_was_made(made: Stream, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "stream.parquet"
    rows = made.rows[:500]
    write(path, rows)
    read = duckdb.sql(f"SELECT cid, filed_at, text, merchant, lot_no, event_date, incident_id, scope FROM '{path}'").fetchall()
    told = [
        (
            row.cid,
            row.filed_at.replace(tzinfo=None),
            row.text,
            row.merchant,
            row.lot_no,
            row.event_date,
            row.incident_id,
            row.scope,
        )
        for row in rows
    ]
    assert read == told
