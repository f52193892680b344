"""Made-up complainants: equal arguments give equal records, with the shares and the shapes they promise."""

import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from stdnum.cn import ric

from ml.synthetic.people import HOUSES, NOISES, Noise, people, write

COUNT = 20_000
CLEAN = Noise(**{field.name: 0.0 for field in fields(Noise) if field.name != "address_form"})


@pytest.fixture(scope="module")
def records() -> dict[str, list[Any]]:
    return people(COUNT, seed=12315)


def values(column: list[Any]) -> list[Any]:
    return [value for value in column if value is not None]


def test_equal_arguments_give_equal_records_in_any_process() -> None:
    code = (
        "import hashlib; from ml.synthetic.people import people; print(hashlib.sha256(repr(people({}, {})).encode()).hexdigest())"
    )
    run = [subprocess.run([sys.executable, "-c", code.format(3000, seed)], capture_output=True, text=True, check=True).stdout
           for seed in (1, 1, 2)]  # fmt: skip
    assert run[0] == run[1] != run[2]


def test_columns_are_of_one_length_and_in_order(records: dict[str, list[Any]]) -> None:
    assert {len(column) for column in records.values()} == {COUNT}
    assert records["record_id"] == list(range(COUNT))
    assert records["filed_at"] == sorted(records["filed_at"])


@pytest.mark.parametrize("count", [1, 2, 19, 400])
def test_any_count_is_met(count: int) -> None:
    assert len(people(count, seed=3)["name"]) == count


def test_five_thousand_records_are_quick() -> None:
    start = time.process_time()
    people(5000, seed=4)
    assert time.process_time() - start < 5


def test_shares_are_as_promised(records: dict[str, list[Any]]) -> None:
    filed = Counter(records["person_id"])
    assert COUNT / len(filed) == pytest.approx(1.63, abs=0.05)
    assert sum(records["is_professional"]) / COUNT == pytest.approx(0.06, abs=0.002)
    assert sum(records["via_agent"]) / COUNT == pytest.approx(0.045, abs=0.006)
    piles = [filed[person] for person in {*filed} if filed[person] > 19]
    assert sum(piles) == sum(records["is_professional"])
    assert max(piles) <= 190
    lived = defaultdict(set)
    for person, household in zip(records["person_id"], records["household_id"], strict=True):
        lived[household].add(person)
    assert sum(len(home) for home in lived.values() if len(home) > 1) / len(filed) == pytest.approx(1 / 3, abs=0.04)


def test_without_noise_a_person_has_one_name_and_one_valid_id() -> None:
    records = people(COUNT, seed=5, noise=CLEAN)
    names, ids, owners = defaultdict(set), defaultdict(set), defaultdict(set)
    for person, name, number in zip(records["person_id"], records["name"], records["id_no"], strict=True):
        names[person].update(values([name]))
        ids[person].update(values([number]))
        owners[number].add(person)
    assert max(map(len, names.values())) == max(map(len, ids.values())) == 1
    owners.pop(None)
    assert max(map(len, owners.values())) == 1
    assert all(len(number) == 18 and ric.calc_check_digit(number) == number[-1] for number in owners)
    full = Counter(name for held in names.values() for name in held)
    assert full.most_common(1)[0][1] / len(names) < 0.0025


def test_phones_are_shared_at_home_and_handed_out_again() -> None:
    records = people(COUNT, seed=6, noise=CLEAN)
    holders = defaultdict(set)
    for row, phone in enumerate(records["phone"]):
        if phone and not records["via_agent"][row]:
            holders[phone].add((records["person_id"][row], records["household_id"][row]))
    strangers = [phone for phone, held in holders.items() if len({household for _, household in held}) > 1]
    kin = [phone for phone, held in holders.items() if len(held) > 1 and phone not in strangers]
    assert len(strangers) / len(holders) == pytest.approx(0.005, abs=0.002)
    assert 0.005 < len(kin) / len(holders) < 0.03


def test_noises_are_dominated_by_what_they_are_named_for(records: dict[str, list[Any]]) -> None:
    others = {name: people(COUNT, seed=12315, noise=noise) for name, noise in NOISES.items() if name != "default"}

    def share(columns: dict[str, list[Any]], field: str, sign: str) -> float:
        return sum(sign in value for value in values(columns[field])) / len(values(columns[field]))

    assert share(others["masked_export"], "phone", "*") > 0.6 > 10 * share(records, "phone", "*") / 2
    assert share(others["hotline"], "name", "先生") > 2 * share(records, "name", "先生")
    assert len(values(others["hotline"]["id_no"])) < len(values(records["id_no"])) / 2
    for name, columns in {**others, "default": records}.items():
        numbers = [number for number in values(columns["id_no"]) if len(number) == 18 and number[:17].isdigit()]
        right = sum(ric.calc_check_digit(number.upper()) == number[-1].upper() for number in numbers) / len(numbers)
        assert right == pytest.approx(1 - NOISES[name].id_digit, abs=0.02)


@pytest.mark.parametrize(
    ("form", "shape"),
    enumerate(
        [
            r"号.+号楼\d单元\d+室",
            r"号.+\d+-\d-\d+",
            r"号.+[一二三四五六七八九十]号楼.单元[零一二三四五六七八九]+室",
            r"\D\d+栋\d单元\d+室",
            r"\d号$",
        ]
    ),
)
def test_one_form_of_address_can_be_asked_for(form: int, shape: str) -> None:
    weights = tuple(int(place == form) for place in range(len(HOUSES)))
    addresses = [text for text in values(people(400, seed=8, noise=Noise(address_form=weights))["address"]) if "村" not in text]
    assert sum(bool(re.search(shape, text)) for text in addresses) > 0.95 * len(addresses)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_hold_what_was_made(records: dict[str, list[Any]], tmp_path: Path, suffix: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / f"people{suffix}"
    write(records, path)
    source = f"read_csv('{path}', all_varchar=true)" if suffix == ".csv" else f"'{path}'"
    read = duckdb.sql(f"SELECT name, phone, address, filed_at::TIMESTAMPTZ::VARCHAR FROM {source}").fetchall()
    assert [row[:3] for row in read] == list(zip(*(records[field] for field in ("name", "phone", "address")), strict=True))
    instant = duckdb.sql(f"SELECT epoch(max(filed_at::TIMESTAMPTZ)) FROM {source}").fetchall()
    assert instant == [(records["filed_at"][-1].timestamp(),)]
