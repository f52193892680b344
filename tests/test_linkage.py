"""Tokens and the arithmetic of linking: what must hold for any record."""

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import linkage, tokens
from ml.tokens import MAX_KEYS, Field, Tokeniser, field_of

TOKENISER = Tokeniser(lambda m: hmac.digest(b"k" * 32, m, hashlib.sha256))
PARAMETERS = linkage.shipped_parameters()
PERSON = {
    "name": "张小明",
    "phone": "13812345678",
    "city": "武汉市",
    "district": "洪山区",
    "address": "湖北省武汉市洪山区珞喻路82号3栋2单元501室",
}

NAMES = st.sampled_from(["张小明", "张晓明", "李国华", "王先生", "王*明", "欧阳娜娜", "阿依古丽·买买提", "", None, "匿名"])
PHONES = st.sampled_from(["13812345678", "+86 138 1234 5678", "138****5678", "027-87654321", "12315", "abc", "", None])
RECORDS = st.fixed_dictionaries(
    {"name": NAMES, "phone": PHONES, "id_no": st.sampled_from([None, "11010519491231002X", "110105********002X", "123"]),
     "wechat": st.none() | st.text(max_size=8), "district": st.sampled_from([None, "洪山区", "江岸区"]), "address": st.none() | st.text(max_size=30)}
)  # fmt: skip


def compare(a: dict[str, Any], b: dict[str, Any]) -> linkage.Evidence:
    return linkage.compare(TOKENISER.person(a).comparison, TOKENISER.person(b).comparison, PARAMETERS)


@given(RECORDS, RECORDS)
def test_comparison_is_symmetric(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert compare(a, b) == compare(b, a)


@given(RECORDS)
def test_a_missing_field_adds_nothing(a: dict[str, Any]) -> None:
    assert compare(a, {}).weight == 0
    without = {k: v for k, v in a.items() if k != "wechat"}
    assert "wechat" not in compare(without, a).fields


@given(RECORDS)
def test_keys_are_few_and_tokens_say_their_field(a: dict[str, Any]) -> None:
    made = TOKENISER.person(a)
    assert len(made.keys) <= MAX_KEYS
    assert all(-(2**63) <= t < 2**63 and field_of(t) in Field for t in (*made.keys, *made.comparison))


def test_another_key_gives_other_tokens() -> None:
    other = Tokeniser(lambda m: hmac.digest(b"o" * 32, m, hashlib.sha256))
    assert not set(TOKENISER.person(PERSON).comparison) & set(other.person(PERSON).comparison)


def test_no_surname_stands_alone() -> None:
    assert not TOKENISER.person({"name": "王先生"})
    assert not TOKENISER.person({"name": "王"})


@pytest.mark.parametrize(
    ("change", "joins"),
    [
        ({}, True),
        ({"name": "张晓明"}, True),  # homophone, same phone
        ({"name": "张先生"}, True),
        ({"name": "张*明"}, True),
        ({"phone": "+86 138-1234-5678"}, True),
        ({"phone": "138****5678"}, True),
        ({"phone": "１３８１２３４５６７８"}, True),
        ({"phone": None}, True),  # name, district and address
        ({"name": "李国华"}, False),  # a household: same phone, same address, another full name
        ({"name": "李女士", "address": None}, False),  # one phone, another surname
        ({"phone": "13987654321", "address": None}, False),  # a namesake in the district
        ({"phone": "12315", "address": None}, False),  # a hotline is nobody's phone
    ],
)
def test_who_is_one_person(change: dict[str, Any], joins: bool) -> None:
    assert compare(PERSON, {**PERSON, **change}).joins is joins


def test_contradicting_identity_numbers_never_join() -> None:
    a, b = {**PERSON, "id_no": "11010519491231002X"}, {**PERSON, "id_no": "440524188001010014"}
    found = compare(a, b)
    assert found.weight > PARAMETERS.threshold
    assert (found.joins, found.forbidden_by) == (False, "different_id")


def test_one_wrong_digit_does_not_contradict() -> None:
    assert tokens.normalise_id("11010519491231002X")[0] == "11010519491231002X"
    assert tokens.normalise_id("110105194912310028")[0] == ""
    assert compare({**PERSON, "id_no": "11010519491231002X"}, {**PERSON, "id_no": "110105194912310028"}).joins


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("湖北省武汉市洪山区珞喻路82号3栋2单元501室", "洪山区珞喻路八十二号三栋二单元501"),
        ("武汉市江岸区解放大道1号香榭苑十二号楼4单元1703室", "江岸区解放大道1号香榭苑12-4-1703"),
    ],
)
def test_addresses_compare_from_the_street_down(written: str, same: str) -> None:
    assert tokens.normalise_address(written) == tokens.normalise_address(same) != ""


def test_a_street_without_a_door_is_no_address() -> None:
    assert tokens.normalise_address("武汉市洪山区珞喻路") == ""


@given(st.text(max_size=300))
def test_no_value_breaks_the_normalisers(value: str) -> None:
    TOKENISER.person(dict.fromkeys(("name", "phone", "id_no", "wechat", "email", "city", "district", "address"), value))
