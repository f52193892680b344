"""The texts of the laws as shipped, and citations of them."""

import re
from datetime import date, timedelta
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.law import (
    CIVIL_PROCEDURE_LAW,
    CONSUMER_LAW,
    CONSUMER_REGULATION,
    FOOD_SAFETY_LAW,
    MEDIATION_LAW,
    ORDER_20,
    ORDER_121,
    PENALTY_LAW,
    PENALTY_PROCEDURE,
    PIPL,
    RECALL_RULES,
    article,
    chinese,
    cite,
    in_force,
    laws,
    load,
    sentence,
)

# As the official forms 6 and 8 print them, which were read apart from the order itself.
NON_ACCEPTANCE = [
    "投诉事项不属于市场监督管理部门职责，或者本行政机关不具有处理权限的",
    "法院、仲裁机构、市场监督管理部门或者其他行政机关、消费者协会已经受理或者处理过同一消费者权益争议的",
    "不是为生活消费需要购买、使用商品或者接受服务，或者不能证明与被投诉人之间存在消费者权益争议的",
    "除法律另有规定外，投诉人知道或者应当知道自己的权益受到被投诉人侵害之日起超过三年的",
    "未提供本办法第十条第一款、第十一条规定的材料，或者提供虚假材料的",
    "冒用他人名义或者拒不配合市场监督管理部门核验真实身份信息的",
    "法律、法规、规章规定不予受理的其他情形",
]
TERMINATION = [
    "投诉人撤回投诉或者双方自行和解的",
    "投诉人、被投诉人无正当理由不参加调解，或者明确拒绝调解的",
    "经组织调解，投诉人或者被投诉人明确表示无法达成调解协议的",
    "投诉人与被投诉人对鉴定、检测费用承担无法协商一致的",
    "自投诉受理之日起六十日内投诉人和被投诉人未能达成调解协议的",
    "市场监督管理部门受理投诉后，发现存在本办法第十六条、第四十二条规定情形的",
    "投诉人、被投诉人死亡或者主体资格灭失的",
    "法律、法规、规章规定的应当终止调解的其他情形",
]
FACTORS = [
    "购买商品的数量、次数、频率等与商品保质期或者消费者的通常消费习惯明显不符的",
    "同一投诉人对同一经营者、同一类商品或者服务、同一类问题短期内大量投诉，或者不同投诉人恶意串通，对同一经营者、同一类商品或者服务、同一类问题短期内集中投诉的",
    "不能证明存在已实际购买商品或者接受服务、自身合法权益已实际受到侵害等真实消费关系或者消费者权益争议的",
    "多人使用同一手机号码、通讯地址等联系方式投诉的",
    "其他根据实际需要可以考虑的因素",
]


@pytest.mark.parametrize(("number", "words"), [(16, NON_ACCEPTANCE), (23, TERMINATION), (17, FACTORS)])
def test_grounds_and_factors_word_for_word(number: int, words: list[str]) -> None:
    assert list(article(ORDER_121, number).paragraphs[0].items) == words
    assert [sentence(ORDER_121, number, item=n) for n in range(1, len(words) + 1)] == words


def test_the_orders_are_whole_and_every_law_says_where_it_comes_from() -> None:
    assert list(load(ORDER_121).articles) == list(range(1, 47))
    assert list(load(ORDER_20).articles) == list(range(1, 41))
    for law in map(load, laws()):
        assert law.short == f"《{law.title.removeprefix('中华人民共和国')}》"
        assert law.source.startswith("https://")
        assert law.verified in {"one source", "two sources"}
        assert law.in_force_from < law.checked
    assert load(ORDER_121).verified == "two sources"


@pytest.mark.parametrize(("law", "number"), [(law, number) for law in laws() for number in load(law).articles])
def test_no_text_is_empty_or_broken(law: str, number: int) -> None:
    found = article(law, number)
    assert found.text == sentence(law, number)
    for part in found.paragraphs:
        assert part.text.endswith("。")
        assert not re.search(r"[\s�a-z<>:;,.]", part.text.replace("\n", ""))
        assert all(words and words[-1] not in "；。" for words in part.items)
        # a list of items is announced, and an announced list is there
        assert bool(part.items) == part.text.split("\n")[0].endswith("：")


def test_every_file_of_the_folder_is_a_law_and_is_named_after_it() -> None:
    assert sorted(f.name for f in (files("app") / "data" / "law").iterdir()) == [f"{law}.json" for law in laws()]


def test_articles_named_inside_the_orders_exist() -> None:
    for order in (ORDER_121, ORDER_20):
        numbers = {chinese(n) for n in load(order).articles}
        named = {n for a in load(order).articles.values() for n in re.findall(r"本办法第([一二三四五六七八九十]+)条", a.text)}
        assert named
        assert named <= numbers


def test_what_the_neighbours_say_on_terms() -> None:
    assert "自收到投诉之日起七个工作日内" in sentence(ORDER_121, 15)
    assert "自收到投诉之日起七个工作日内" in sentence(ORDER_20, 14)
    assert sentence(ORDER_20, 21, item=5) == "自投诉受理之日起四十五个工作日内投诉人和被投诉人未能达成调解协议的"
    assert "五个工作日内告知举报人" in sentence(ORDER_20, 31, paragraph=2)
    assert "受理之日起60日内调解完毕" in sentence(CONSUMER_REGULATION, 46, paragraph=3)
    assert "十五个工作日内予以核查" in sentence(PENALTY_PROCEDURE, 18)
    assert "九十日内作出处理决定" in sentence(PENALTY_PROCEDURE, 64)
    assert "二年内未被发现" in sentence(PENALTY_LAW, 36, paragraph=1)
    assert "二个工作日内向所在地省级市场监督管理部门报告" in sentence(RECALL_RULES, 8)
    assert "三十日内共同向人民法院申请司法确认" in sentence(MEDIATION_LAW, 33)
    assert "三十日内，共同向下列人民法院提出" in sentence(CIVIL_PROCEDURE_LAW, 205)
    assert "移交有权处理的部门并书面通知" in sentence(FOOD_SAFETY_LAW, 115)
    assert "拒绝个人信息处理者仅通过自动化决策的方式作出决定" in sentence(PIPL, 24, paragraph=3)
    assert len(article(CONSUMER_LAW, 39).paragraphs[0].items) == 5


@pytest.mark.parametrize(
    ("citation", "law", "number", "paragraph", "item"),
    [
        ("《市场监督管理投诉举报处理办法》第十六条第三项", ORDER_121, 16, None, 3),
        ("《市场监督管理投诉举报处理办法》第十六条第三项", ORDER_121, 16, 1, 3),
        ("《市场监督管理投诉举报处理办法》第二十三条第一款第五项", ORDER_121, 23, None, 5),
        ("《市场监督管理投诉举报处理办法》第二十三条第一款", ORDER_121, 23, 1, None),
        ("《市场监督管理投诉举报处理办法》第二十三条第二款", ORDER_121, 23, 2, None),
        ("《市场监督管理投诉举报处理办法》第二十三条", ORDER_121, 23, None, None),
        ("《市场监督管理投诉举报处理办法》第十七条第一款第二项", ORDER_121, 17, None, 2),
        ("《市场监督管理投诉举报处理办法》第十条第三款", ORDER_121, 10, 3, None),
        ("《市场监督管理投诉举报处理办法》第四十五条", ORDER_121, 45, 1, None),
        ("《市场监督管理投诉举报处理办法》第三十五条", ORDER_121, 35, 2, None),  # inferred paragraphs are not named
        ("《市场监督管理投诉举报处理暂行办法》第二十一条第一款第五项", ORDER_20, 21, None, 5),
        ("《消费者权益保护法》第三十九条", CONSUMER_LAW, 39, None, None),
        ("《消费者权益保护法实施条例》第四十六条第三款", CONSUMER_REGULATION, 46, 3, None),
        ("《食品安全法》第一百一十五条第一款", FOOD_SAFETY_LAW, 115, 1, None),
        ("《民事诉讼法》第二百零五条第二项", CIVIL_PROCEDURE_LAW, 205, None, 2),
    ],
)
def test_citations(citation: str, law: str, number: int, paragraph: int | None, item: int | None) -> None:
    assert cite(law, number, paragraph=paragraph, item=item) == citation


@pytest.mark.parametrize(
    ("field", "law", "number", "paragraph", "item"),
    [
        ("law", "order-19", 16, None, None),
        ("article", ORDER_121, 47, None, None),
        ("article", ORDER_121, 0, None, None),
        ("article", CONSUMER_LAW, 40, None, None),  # exists, but its words are not held
        ("paragraph", ORDER_121, 16, 2, None),
        ("paragraph", ORDER_121, 16, 0, None),
        ("item", ORDER_121, 16, None, 8),
        ("item", ORDER_121, 16, None, 0),
        ("item", ORDER_121, 14, None, 1),
        ("item", ORDER_121, 23, 2, 1),
    ],
)
def test_a_bad_reference_is_refused_with_its_field(
    field: str, law: str, number: int, paragraph: int | None, item: int | None
) -> None:
    for call in (cite, sentence):
        with pytest.raises(Invalid) as refused:
            call(law, number, paragraph=paragraph, item=item)
        assert [e["field"] for e in refused.value.errors] == [field]


def test_a_paragraph_in_words() -> None:
    assert sentence(ORDER_121, 23, paragraph=2).startswith("市场监督管理部门终止调解的，应当自作出终止调解决定之日起七个工作日内")
    assert sentence(ORDER_121, 35, paragraph=2).startswith("市场监督管理部门对于同一举报人就同一涉嫌违法事实重复举报")


def test_the_order_in_force_by_day() -> None:
    last = load(ORDER_20).in_force_to
    assert last is not None
    assert last + timedelta(days=1) == load(ORDER_121).in_force_from == date(2026, 4, 15)
    assert (in_force(last), in_force(date(2026, 4, 15)), in_force(date(2019, 1, 1))) == (ORDER_20, ORDER_121, ORDER_20)


@pytest.mark.parametrize(
    ("number", "numeral"),
    [(1, "一"), (10, "十"), (15, "十五"), (20, "二十"), (46, "四十六"), (100, "一百"), (103, "一百零三"), (110, "一百一十"),
     (115, "一百一十五"), (200, "二百"), (205, "二百零五"), (999, "九百九十九")],
)  # fmt: skip
def test_numerals(number: int, numeral: str) -> None:
    assert chinese(number) == numeral


@given(st.integers(1, 999))
def test_numerals_read_back(number: int) -> None:
    value = digit = 0
    for sign in chinese(number):
        if sign in "百十":
            value, digit = value + (digit or 1) * (100 if sign == "百" else 10), 0
        else:
            digit = "零一二三四五六七八九".index(sign)
    assert value + digit == number


@pytest.mark.parametrize("number", [0, -1, 1000])
def test_numerals_end_at_999(number: int) -> None:
    with pytest.raises(Invalid):
        chinese(number)
