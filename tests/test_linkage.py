"""Tokens and the arithmetic of linking: what must hold for any record, online as in batch."""

import hashlib
import hmac
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import batch, linkage, tokens
from ml.batch import Records
from ml.linkage import Evidence, Profile
from ml.synthetic.people import people
from ml.tokens import MAX_KEYS, PERSON_FIELDS, Field, Tokeniser, field_of, keys_among

TOKENISER = Tokeniser(lambda m: hmac.digest(b"k" * 32, m, hashlib.sha256))
PARAMETERS = linkage.shipped_parameters()
COMPILED = linkage.compiled(PARAMETERS)
PERSON = {
    "name": "张小明",
    "phone": "13812345678",
    "city": "武汉市",
    "district": "洪山区",
    "address": "湖北省武汉市洪山区珞喻路82号3栋2单元501室",
}

NAMES = st.sampled_from(
    [
        "张小明",
        "张晓明",
        "张明",
        "李国华",
        "王先生",
        "王*明",
        "欧阳娜娜",
        "阿依古丽·买买提",
        "*小明",
        "John Smith",
        "",
        None,
        "匿名",
    ]
)
PHONES = st.sampled_from(
    ["13812345678", "+86 138 1234 5678", "138****5678", "13812345679", "027-87654321", "12315", "abc", "", None]
)
RECORDS = st.fixed_dictionaries(
    {"name": NAMES, "phone": PHONES, "id_no": st.sampled_from([None, "11010519491231002X", "110105********002X", "110105194912310028", "123"]),
     "wechat": st.none() | st.text(max_size=8), "district": st.sampled_from([None, "洪山区", "江岸区"]), "address": st.none() | st.text(max_size=30)}
)  # fmt: skip


def profile(record: dict[str, Any], day: int = 0) -> Profile:
    return Profile(TOKENISER.person(record).comparison, first_day=day, last_day=day)


def compare(a: dict[str, Any], b: dict[str, Any], days: int = 0) -> Evidence:
    return linkage.compare(profile(a), profile(b, days), COMPILED)


@given(RECORDS, RECORDS)
def test_comparison_is_symmetric(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert compare(a, b) == compare(b, a)


@given(RECORDS)
def test_a_missing_field_adds_nothing(a: dict[str, Any]) -> None:
    assert compare(a, {}).weight == 0
    without = {k: v for k, v in a.items() if k != "wechat"}
    assert "wechat" not in compare(without, a).fields


@given(RECORDS, st.integers(0, 5000), st.integers(0, 5000))
def test_the_more_people_hold_a_value_the_less_it_says(a: dict[str, Any], few: int, more: int) -> None:
    few, more = sorted((few, more))
    mine = profile(a)
    weights = [linkage.compare(mine, mine, COMPILED, dict.fromkeys(mine.tokens, n)) for n in (few, more)]
    assert weights[0].weight >= weights[1].weight
    assert (weights[0].kin_weight or 0) >= (weights[1].kin_weight or 0)


@given(RECORDS)
def test_keys_are_few_and_tokens_say_their_field(a: dict[str, Any]) -> None:
    made = TOKENISER.person(a)
    assert len(made.keys) <= MAX_KEYS
    assert keys_among(made.comparison) == made.keys
    assert set(made.keys) <= set(made.comparison)
    assert all(-(2**63) <= t < 2**63 and field_of(t) in Field for t in made.comparison)


@given(st.lists(RECORDS, max_size=8))
def test_many_records_give_the_tokens_of_each(records: list[dict[str, Any]]) -> None:
    numbers, made = TOKENISER.people(records)
    for number, record in enumerate(records):
        assert tuple(made[numbers == number].tolist()) == TOKENISER.person(record).comparison


def test_another_key_gives_other_tokens() -> None:
    other = Tokeniser(lambda m: hmac.digest(b"o" * 32, m, hashlib.sha256))
    assert not set(TOKENISER.person(PERSON).comparison) & set(other.person(PERSON).comparison)


def test_no_surname_or_district_stands_alone() -> None:
    assert not TOKENISER.person({"name": "王先生", "district": "洪山区", "city": "武汉市"})
    assert not TOKENISER.person({"name": "王", "gender": None})


@pytest.mark.parametrize(
    ("change", "joins"),
    [
        ({}, True),
        ({"name": "张晓明"}, True),  # homophone, same phone
        ({"name": "張小明"}, True),  # traditional
        ({"name": "张先生"}, True),
        ({"name": "张*明"}, True),
        ({"phone": "+86 138-1234-5678"}, True),
        ({"phone": "138****5678"}, True),
        ({"phone": "１３８１２３４５６７８"}, True),
        ({"phone": None}, True),  # name, district and address
        ({"name": "李国华"}, False),  # a household: same phone, same address, another full name
        ({"name": "李女士", "address": None}, False),  # one phone, another surname
        ({"name": "张先生", "phone": "12315", "address": None}, False),  # a hotline is nobody's phone
    ],
)
def test_who_is_one_person(change: dict[str, Any], joins: bool) -> None:
    assert compare(PERSON, {**PERSON, **change}).joins is joins


def test_contradicting_identity_numbers_never_join() -> None:
    a, b = {**PERSON, "id_no": "11010519491231002X"}, {**PERSON, "id_no": "440524188001010014"}
    found = compare(a, b)
    assert found.weight > COMPILED.join
    assert (found.joins, found.forbidden_by) == (False, "different_id")


def test_one_wrong_digit_does_not_contradict() -> None:
    assert tokens.read_id("11010519491231002X").whole == "11010519491231002X"
    assert tokens.read_id("110105194912310028").whole == ""
    assert compare({**PERSON, "id_no": "11010519491231002X"}, {**PERSON, "id_no": "110105194912310028"}).joins


def test_a_recycled_number_does_not_join() -> None:
    first = {"name": "张小明", "phone": "13812345678", "district": "洪山区"}
    assert not compare(first, {"name": "李国华", "phone": "13812345678", "district": "江岸区"}, days=900).joins
    nameless = {"phone": "13812345678"}
    assert compare(first, nameless, days=30).joins
    assert compare(first, nameless, days=1200).forbidden_by == "stale_contact"
    # The number and the name are still one person's after years.
    assert compare(first, {"name": "张小明", "phone": "13812345678"}, days=2000).joins


def test_a_shared_contact_alone_is_a_housemate() -> None:
    """Where many share a phone, a record without a name is nobody's in particular."""
    mine, other = profile(PERSON), profile({"phone": "13812345678"})
    shared = dict.fromkeys(other.tokens, 40)
    assert linkage.compare(mine, other, COMPILED, shared).forbidden_by == "housemate"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("張偉", "张伟"), ("王 毓秀", "王毓秀"), ("王小明先生", "王小明"), ("阿依古丽·买买提", "阿依古丽买买提"), ("阿依古丽•买买提", "阿依古丽买买提"),
        ("阿依古丽.买买提", "阿依古丽买买提"), ("王先生", ""), ("欧阳女士", ""), ("王*明", ""), ("王某某", ""), ("不愿透露", ""), ("１２３", ""), ("", ""),
    ],
)  # fmt: skip
def test_names(written: str, name: str) -> None:
    assert tokens.read_name(written).full == name


def test_masks_and_slips_of_names_meet_the_name() -> None:
    def agree(a: str, b: str) -> set[str]:
        mine, theirs = ({*TOKENISER.person({"name": n, "district": "洪山区"}).comparison} for n in (a, b))
        return {field_of(t).name for t in mine & theirs}

    assert "NAME_MASKED" in agree("王小明", "王*明")
    assert "NAME_MASKED" in agree("王小明", "王某明")
    assert "NAME_LESS_ONE" in agree("王小明", "*小明")
    assert "NAME_LESS_ONE" in agree("王小明", "王大明")
    assert "NAME_LESS_ONE" in agree("阿依古丽·买买提", "阿依古丽·买提")
    assert {"NAME_PINYIN", "PINYIN_DISTRICT"} <= agree("王小明", "汪晓明")
    assert not agree("王小明", "李国华")


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("138 1234 5678", ["13812345678"]), ("0086-13812345678", ["13812345678"]), ("１３８１２３４５６７８", ["13812345678"]),
        ("1381234567O", ["13812345670"]), ("13812345678/13912345670", ["13812345678", "13912345670"]), ("手机13812345678（张）", ["13812345678"]),
        ("027-87654321转801", ["02787654321"]), ("(027)87654321", ["02787654321"]), ("86-027-87654321", ["02787654321"]),
        ("+852 2345 6789", ["852-23456789"]), ("12315", []), ("400-800-1234", []), ("13800138000", []), ("11111111111", []), ("请打我手机", []),
        ("1" * 500, []), ("", []),
    ],
)  # fmt: skip
def test_phones(written: str, numbers: list[str]) -> None:
    assert [p.number for p in tokens.read_phones(written) if p.number] == numbers


@pytest.mark.parametrize(
    ("written", "whole", "masked", "other"),
    [
        ("11010519491231002x", "11010519491231002X", "110105002X", ""), ("110105491231002", "11010519491231002X", "110105002X", ""),
        ("110105********002X", "", "110105002X", ""), ("110105194912310028", "", "1101050028", ""), ("E12345678", "", "", "E12345678"),
        ("H1234567890", "", "", "H1234567890"), ("身份证丢了", "", "", ""), ("1" * 60, "", "", ""),
    ],
)  # fmt: skip
def test_identity_numbers(written: str, whole: str, masked: str, other: str) -> None:
    found = tokens.read_id(written)
    assert (found.whole, found.masked, found.other) == (whole, masked, other)


def test_any_one_wrong_digit_leaves_a_part_that_agrees() -> None:
    right = "420106198503154212"
    kept = tokens.read_id(right)
    for place in range(18):
        wrong = right[:place] + ("1" if right[place] != "1" else "2") + right[place + 1 :]
        found = tokens.read_id(wrong)
        assert found.head == kept.head or found.tail == kept.tail or found.masked == kept.masked


@pytest.mark.parametrize(
    "written",
    [
        "湖北省武汉市江岸区解放大道1号香榭苑12号楼4单元1703室", "武汉市江岸区解放大道1号香榭苑十二号楼1703室", "江岸区解放大道1号香榭苑12-4-1703",
        "解放大道一号香榭苑12栋4单元1703", "江岸区香榭苑12栋4单元1703",
    ],
)  # fmt: skip
def test_addresses_compare_from_the_street_down(written: str) -> None:
    found = tokens.read_address(written)
    assert found.rooms == ("香榭苑|12|1703",)
    assert found.street in ("解放大道1", "")


def test_a_street_without_a_door_is_no_address() -> None:
    assert tokens.read_address("武汉市洪山区珞喻路") == tokens.Address(district="洪山")


@given(st.text(max_size=300))
def test_no_value_breaks_the_readers(value: str) -> None:
    TOKENISER.person(dict.fromkeys(PERSON_FIELDS, value))


def test_parameters_are_readable_and_complete() -> None:
    told = linkage.to_json(PARAMETERS)
    again = linkage.from_json(json.loads(json.dumps(told)))
    assert linkage.compiled(again) == COMPILED
    del told["comparisons"]["phone"]["PHONE"]
    with pytest.raises(KeyError):  # nothing is defaulted in silence
        linkage.from_json(told)


# -- batch


def table(count: int, seed: int = 1) -> tuple[Records, list[int]]:
    columns = people(count, seed)
    names = [n for n in PERSON_FIELDS if n in columns]
    numbers, made = TOKENISER.people(dict(zip(names, row, strict=True)) for row in zip(*(columns[n] for n in names), strict=True))
    return Records.of(numbers, made, count), columns["person_id"]


def shuffled(records: Records, order: np.ndarray) -> Records:
    """Record order[i] becomes record i."""
    place = np.empty(records.count, dtype=np.int64)
    place[order] = np.arange(records.count)
    numbers = place[records.numbers]
    by = np.lexsort((records.tokens, numbers))
    return Records(records.count, numbers[by], records.tokens[by], records.days[order])


def test_online_and_batch_give_equal_integers_on_equal_pairs() -> None:
    records, _ = table(3000)
    starts = np.searchsorted(records.numbers, np.arange(records.count + 1))
    profiles = [Profile(records.tokens[starts[n] : starts[n + 1]].tolist()) for n in range(records.count)]
    people_with = Counter(t for p in profiles if p.named for t in p.tokens)
    by_token = np.lexsort((records.numbers, records.tokens))
    same = records.tokens[by_token][1:] == records.tokens[by_token][:-1]
    pairs = np.unique(np.stack([records.numbers[by_token][:-1][same], records.numbers[by_token][1:][same]], axis=1), axis=0)
    found = batch.pair_weights(records, pairs, COMPILED)
    assert len(found["a"]) == len(pairs) > 1000
    for a, b, weight, kin in zip(*(found[n].tolist() for n in ("a", "b", "weight", "kin")), strict=True):
        online = linkage.is_one(profiles[a], profiles[b], COMPILED, people_with)
        assert (online.weight, online.kin_weight) == (weight, kin)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_batch_result_does_not_depend_on_row_order(seed: int) -> None:
    records, _ = table(3000, seed=5)
    order = np.random.default_rng(seed).permutation(records.count)
    straight, mixed = batch.link(records, PARAMETERS), batch.link(shuffled(records, order), PARAMETERS)
    assert (
        len(set(zip(straight[order].tolist(), mixed.tolist(), strict=True)))
        == len(set(straight.tolist()))
        == len(set(mixed.tolist()))
    )


def test_a_persons_word_stands_above_every_rule() -> None:
    one, two, other = (
        PERSON,
        {**PERSON, "phone": "+8613812345678"},
        {"name": "李国华", "phone": "15987654321", "district": "江岸区"},
    )
    numbers, made = TOKENISER.people([one, two, other])
    records = Records.of(numbers, made, 3)
    assert batch.link(records, PARAMETERS).tolist() == [0, 0, 1]
    assert batch.link(records, PARAMETERS, cannot=[(0, 1)]).tolist() == [0, 1, 2]
    assert batch.link(records, PARAMETERS, must=[(0, 2)]).tolist() == [0, 0, 0]
    assert batch.link(records, PARAMETERS, must=[(0, 2)], cannot=[(0, 1)]).tolist() == [0, 1, 0]


def test_one_value_that_everybody_shares_joins_nobody() -> None:
    rows = [
        {"name": f"张{chr(0x4E00 + n)}{chr(0x6000 + n)}", "phone": "13812345670", "address": "解放大道1号香榭苑1栋1单元101"}
        for n in range(2000)
    ]
    numbers, made = TOKENISER.people(rows)
    assert len(set(batch.link(Records.of(numbers, made, len(rows)), PARAMETERS).tolist())) == len(rows)


def test_empty_records_and_an_empty_table() -> None:
    numbers, made = TOKENISER.people([{}, {"name": "匿名"}, {"phone": "abc"}])
    assert batch.link(Records.of(numbers, made, 3), PARAMETERS).tolist() == [0, 1, 2]
    assert batch.link(Records.of(*TOKENISER.people([]), 0), PARAMETERS).tolist() == []
