"""Merchant names as written, taken apart: region, brand, trade, legal form, shop."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ml.linkage import UNIT, Evidence
from ml.tokens import pinyin

PARAMETERS_VERSION = "merchants-1"
THRESHOLD = 8 * UNIT

_LEGAL = re.compile(
    r"(?:股份有限公司|有限责任公司|集团有限公司|有限公司|总公司|分公司|公司|集团|经营部|经营店|个体工商户|合作社|工作室|事务所|中心|商行|厂|部)$"
)
_BRACKETS = re.compile(r"[（(\[【]([^）)\]】]{1,20})[）)\]】]")
_REGION = re.compile(
    r"^(?:中国)?(?:[\u4e00-\u9fa5]{2,3}省|[\u4e00-\u9fa5]{2,6}自治区)?"
    r"(?:[\u4e00-\u9fa5]{2,11}?(?:自治州|地区|(?<![超门城夜])市(?!场)))?"
    r"(?:[\u4e00-\u9fa5]{1,9}?(?:自治县|新区|开发区|(?<![小社景])区|(?<!州)县))?"
)
_HUBEI = re.compile(
    r"^(?:湖北|武汉|宜昌|襄阳|黄石|十堰|荆州|荆门|鄂州|孝感|黄冈|咸宁|随州|恩施|仙桃|潜江|天门)(?=[\u4e00-\u9fa5]{2})"
)

# Trade words by group, longest first when matched; two groups on two names speak against one merchant.
_TRADES: dict[str, Sequence[str]] = {
    "catering": ("餐饮管理", "餐饮服务", "餐饮", "火锅店", "火锅", "烧烤店", "烧烤", "饭店", "餐厅", "餐馆", "酒楼", "小吃店", "小吃", "面馆", "奶茶店", "奶茶", "蛋糕店", "烘焙", "食府", "酸菜鱼", "家常菜"),
    "lodging": ("酒店管理", "大酒店", "酒店", "宾馆", "民宿", "旅馆"),
    "retail": ("电子商务", "商贸", "贸易", "百货", "超市", "便利店", "购物广场", "购物中心", "商场", "生活超市", "零售", "商城", "专卖店", "旗舰店", "专营店", "网店"),
    "food": ("食品", "乳业", "粮油", "酒业", "茶业", "水果店", "水果", "生鲜"),
    "drug": ("大药房连锁", "大药房", "药房", "药店", "医药", "医疗器械", "生物科技", "健康管理", "化妆品"),
    "car": ("汽车销售服务", "汽车销售", "汽车维修", "汽车贸易", "汽修", "汽车", "车行", "新能源汽车"),
    "beauty": ("美容美发", "医疗美容", "美容", "美发", "养生", "皮肤管理", "美容院", "理发店", "养生馆", "美业"),
    "fitness": ("健身服务", "健身俱乐部", "健身房", "健身", "体育", "瑜伽馆", "瑜伽", "游泳馆", "体育文化"),
    "education": ("教育咨询", "教育科技", "教育培训", "教育", "培训学校", "培训", "驾校", "艺术培训", "早教"),
    "property": ("房地产开发", "房地产", "置业", "地产", "物业管理", "物业服务", "物业"),
    "home": ("装饰工程", "装饰设计", "装饰", "装修", "家居", "家具", "建材", "家装"),
    "travel": ("国际旅行社", "旅行社", "旅游", "出行", "航空", "客运"),
    "technology": ("信息技术", "网络科技", "信息科技", "智能科技", "科技", "网络", "软件", "数码", "通讯", "电器", "家电"),
    "logistics": ("物流", "快递", "速运", "供应链"),
    "utility": ("热力", "供水", "燃气", "水务", "电力"),
    "pet": ("宠物医院", "宠物店", "宠物"),
    "finance": ("金融", "投资", "信息咨询", "咨询", "资产管理", "小额贷款"),
    "other": ("文化传媒", "文化传播", "管理", "服务", "实业", "发展", "连锁", "企业", "商务", "维修", "洗衣", "干洗", "影视", "摄影", "传媒", "文化", "店"),
}  # fmt: skip
_TRADE_OF = {word: group for group, words in _TRADES.items() for word in words}
_TRADE = re.compile("(?:" + "|".join(sorted(_TRADE_OF, key=len, reverse=True)) + ")$")
_LEGAL_SHOP = re.compile(r"^(.{4,}?(?:公司|集团))(.{2,12}店)$")
_PLACE_SHOP = re.compile(
    r"^(?P<brand>.{2,8}?)(?P<shop>[\u4e00-\u9fa5A-Za-z0-9]{1,5}(?:路|街|道|广场|城|村|苑|站|园|湾|里|区|桥|门|口|镇|巷|府|庭|居|汇|谷|东|西|南|北|中心)店)$"
)
_NOT_A_SHOP = re.compile(r"(?:" + "|".join(w for w in _TRADE_OF if w.endswith("店") and len(w) > 1) + r")$")


@dataclass(frozen=True, slots=True)
class MerchantName:
    """core: the brand. shop: the branch ('' if none). city: '' if the name does not say. prefixes: what the brand may
    be where name and branch run together."""

    written: str
    core: str
    pinyin: str
    city: str
    trade: str
    shop: str
    prefixes: tuple[str, ...] = ()


@lru_cache(maxsize=100_000)
def parse_name(written: str) -> MerchantName:
    """Never empty: what can't be taken apart is its own core."""
    name = re.sub(r"\s+", "", unicodedata.normalize("NFKC", written))[:80]
    shop = ""
    for inside in _BRACKETS.findall(name):
        if inside.endswith(("店", "分店", "路", "广场", "城")):
            shop = inside
    name = _BRACKETS.sub("", name)
    region = _REGION.match(name)
    city = ""
    if region and len(name) - region.end() >= 2:
        found = re.match(r"(?:.*?(?:省|自治区))?(.{2,11}?(?:市|自治州|地区))", region.group())
        city = found.group(1) if found else ""
        name = name[region.end() :]
    hubei = _HUBEI.match(name)
    if hubei and len(name) > hubei.end() + 1:
        city = city or ("" if hubei.group() == "湖北" else hubei.group() + "市")
        name = name[hubei.end() :]
    if not shop and (branch := _LEGAL_SHOP.match(name)):
        name, shop = branch.group(1), branch.group(2)
    core = _LEGAL.sub("", name) or name
    prefixes: tuple[str, ...] = ()
    if not shop and not _NOT_A_SHOP.search(core) and (branch := _PLACE_SHOP.match(core)):
        # 星福工业北路店: where the brand ends is anybody's guess; known merchants decide.
        prefixes = tuple(core[:n] for n in (2, 3, 4) if len(core) - n >= 3)
        shop = core
    trade = ""
    while match := _TRADE.search(core):
        if match.start() < 2:
            break
        group = _TRADE_OF[match.group()]
        trade = group if group != "other" or not trade else trade
        core = _LEGAL.sub("", core[: match.start()]) or core[: match.start()]
    return MerchantName(
        written, core, pinyin(core) if re.search(r"[\u4e00-\u9fa5]", core) else core.lower(), city, trade, shop, prefixes
    )


def compare(a: MerchantName, a_city: str, b: MerchantName, b_city: str, *, same_uscc: bool | None, same_phone: bool) -> Evidence:
    """Weight that two written names are one merchant. same_uscc: None when either is unknown. *_city: the merchant's
    place, or where the complaint came from when the name does not say."""
    fields: dict[str, tuple[str, int]] = {}
    if same_uscc is not None:
        fields["uscc"] = ("uscc", 24 * UNIT) if same_uscc else ("disagree", -24 * UNIT)
    if a.core == b.core:
        fields["brand"] = ("core", (5 + 2 * min(len(a.core), 4)) * UNIT)
    elif a.core in b.prefixes or b.core in a.prefixes:
        fields["brand"] = ("prefix", (3 + 2 * min(len(a.core), len(b.core), 4)) * UNIT)
    elif a.pinyin == b.pinyin:
        fields["brand"] = ("pinyin", (2 + 2 * min(len(a.core), 4)) * UNIT)
    else:
        fields["brand"] = ("disagree", -8 * UNIT)
    if a.trade and b.trade and "other" not in (a.trade, b.trade):
        fields["trade"] = ("trade", UNIT) if a.trade == b.trade else ("disagree", -5 * UNIT)
    if a_city and b_city:
        fields["city"] = ("city", 2 * UNIT) if a_city == b_city else ("disagree", -4 * UNIT)
    if same_phone:
        fields["phone"] = ("phone", 10 * UNIT)
    total = sum(w for _, w in fields.values())
    forbidden = "different_uscc" if same_uscc is False else None
    return Evidence(total, fields, forbidden, forbidden is None and total >= THRESHOLD)


def keys(name: MerchantName) -> list[str]:
    """What to look a written name up by: brand, its sound, and what the brand may be."""
    return list(dict.fromkeys((f"c:{name.core}", f"p:{name.pinyin}", *(f"c:{p}" for p in name.prefixes))))


_COMPANY = re.compile(r"[\u4e00-\u9fa5A-Za-z0-9（）()]{2,28}?(?:股份有限公司|有限责任公司|有限公司|经营部|旗舰店|专卖店)")
_LEAD = re.compile(r".*(?:在|到|去|向|于|从|由|被|给|对|是|找|称|反映|投诉|举报|购买了|的|了|和|与|，|：|:)")
_QUOTED = re.compile(r"[“\"「『《]([\u4e00-\u9fa5A-Za-z0-9]{2,16})[”\"」』》](?=.{0,4}(?:店|公司|商家|餐|馆|超市|平台))")


_NOBODY = re.compile(r"一家|某|这家|那家|该|网上|一个|商家|本地|附近|[你我他]们?")


def names_in_text(text: str) -> list[str]:
    """Merchant names a text writes out: registered names and quoted brands, at most three."""
    found = [_LEAD.sub("", m.group()) or m.group() for m in _COMPANY.finditer(text)] + _QUOTED.findall(text)
    return list(dict.fromkeys(n for n in found if 3 <= len(n) <= 40 and not _NOBODY.search(n)))[:3]
