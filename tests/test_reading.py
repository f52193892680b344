"""What the reading finds in sentences, what it must not find, and that no text breaks it."""

import jieba
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import codes
from ml import classification, merchants, text
from ml.classification import read
from ml.synthetic import generate


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("我在楚天超市买的牛奶过期了，要求退款并赔偿1000元", "complaint"),
        ("来电人反映办了健身年卡2800元，现在门店关门，要求退还剩余费用", "complaint"),
        ("举报武昌区某小作坊无照经营，请依法查处", "report"),
        ("请问办理个体工商户营业执照需要哪些材料", "enquiry"),
        ("申请公开2025年食品抽检的政府信息公开材料", "information_request"),
        ("执法人员一个月来我店过度检查四次，态度粗暴", "enforcement_conduct"),
        ("他说再不退钱就要跳楼，人已经站在楼顶，不想活了", "emergency"),
    ],
)
def test_kinds(said: str, kind: str) -> None:
    assert read(said).kind == kind


@pytest.mark.parametrize(
    ("said", "danger"),
    [
        ("吃完火锅当晚上吐下泻，三个人送医", "food_poisoning"),
        ("电动车充电时自燃，幸好人没事", "product_safety"),
        ("电梯困人四十分钟，孩子吓哭", "special_equipment"),
        ("老板跑路了，门店人去楼空", "merchant_vanished"),
        ("给七十多岁的老人推销保健品", "elderly"),
    ],
)
def test_dangers_with_their_words(said: str, danger: str) -> None:
    found = [d for d in read(said).dangers if d.type == danger]
    assert found
    assert all(said[d.start : d.end] == d.word for d in found)


@pytest.mark.parametrize("said", ["还好没有受伤，只要求退款", "并未造成食物中毒，就是味道不对"])
def test_denied_dangers_are_none(said: str) -> None:
    assert not read(said).has_danger("injury", "food_poisoning")


def test_feared_dangers_are_low() -> None:
    found = [d for d in read("担心会爆炸，要求更换充电宝").dangers if d.type == "explosion"]
    assert [d.severity for d in found] == ["low"]


def test_facts() -> None:
    facts = read(
        "11月20日花1.2万元购买，订单号512114723，批号A20260311，在丽景花园附近，统一社会信用代码91420100MA4KL2XN0T"
    ).facts
    assert facts["amount_fen"] == 1_200_000
    assert facts["order_no"] == "512114723"
    assert facts["lot_no"] == "A20260311"
    assert any("丽景花园" in p for p in facts["places"])


@given(st.text(max_size=400))
def test_no_text_breaks_the_reading(said: str) -> None:
    found = read(text.mask_personal(text.normalise(said)))
    assert found.kind in classification.KINDS
    assert 0 <= found.probability <= 1


@pytest.mark.parametrize(
    "said",
    [
        "我叫张小明，电话13812345678",
        "身份证420106199001011234",
        "邮箱a.b@c.cn 微信号：wx_12345",
        "银行卡6222020200112233445",
        "车牌鄂A12345",
    ],
)
def test_personal_data_is_masked_before_features(said: str) -> None:
    masked = text.mask_personal(said)
    assert not any(
        part in masked
        for part in ("13812345678", "420106199001011234", "a.b@c.cn", "wx_12345", "6222020200112233445", "鄂A12345", "张小明")
    )
    assert not any(part in term for term in text.terms(masked) for part in ("138123", "420106", "622202"))


def test_the_fast_tokenizer_cuts_as_the_reference(tmp_path_factory: pytest.TempPathFactory) -> None:
    reference = jieba.Tokenizer()
    reference.tmp_dir = str(tmp_path_factory.mktemp("jieba"))
    texts = [str(p.body["text"]) for p in generate(300, 30, 1)]
    same = sum(text.tokenise(t) == reference.lcut(t) for t in texts)
    assert same >= len(texts) * 0.99


@pytest.mark.parametrize(
    ("written", "core", "city"),
    [
        ("武汉市江汉区桂禾坊餐饮管理有限公司", "桂禾坊", "武汉市"),
        ("桂禾坊（光谷店）", "桂禾坊", ""),
        ("桂禾坊火锅店", "桂禾坊", ""),
        ("宜昌桂禾坊商贸有限公司", "桂禾坊", "宜昌市"),
    ],
)
def test_merchant_names_are_taken_apart(written: str, core: str, city: str) -> None:
    found = merchants.parse_name(written)
    assert (found.core, found.city) == (core, city)


def test_shops_and_brands_that_run_together() -> None:
    whole, short = merchants.parse_name("星福工业北路店"), merchants.parse_name("星福商贸")
    assert merchants.compare(whole, "", short, "", same_uscc=None, same_phone=False).fields["brand"][0] == "prefix"


@given(st.text(max_size=100))
def test_no_name_breaks_the_parser(written: str) -> None:
    assert merchants.parse_name(written).core is not None


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("武汉市武昌区中南路", "420106"),
        ("光谷一家店", "420111"),
        ("宜昌市的酒店", "420500"),
        ("襄阳樊城区", "420606"),
        ("北京市", None),
    ],
)
def test_places(said: str, code: str | None) -> None:
    assert codes.find_district(said) == code
