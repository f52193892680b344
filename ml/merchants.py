"""Merchants behind the names people write: a name taken apart, names found in a text, and who is one with whom.

A name is region, brand, trade, legal form and shop, each of which may be missing, misheard (荣木 for 荣沐) or changed. What is known
of a merchant is counted over its mentions; a new mention is weighed against that, field by field, in bits.
"""

import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from ml.linkage import UNIT, Evidence
from ml.scorecards import Orders, Scorecard
from ml.text import common_rate, is_known
from ml.tokens import sound

# -- names taken apart

# Trade words by group, longest first when matched; two groups on two names speak against one merchant.
_TRADES: dict[str, str] = {
    "catering": "餐饮管理 餐饮服务 餐饮文化 餐饮 火锅店 火锅 烧烤店 烧烤 烤肉 烤鱼 串串 麻辣烫 饭店 餐厅 餐馆 酒楼 酒家 大排档 快餐 小吃店 小吃 面馆 米粉 奶茶店 奶茶 茶饮 饮品 咖啡 甜品 蛋糕店 蛋糕 面包 烘焙 食府 食堂 川菜 湘菜 私房菜 酸菜鱼 家常菜 龙虾馆",
    "lodging": "酒店管理 大酒店 酒店 宾馆 民宿 旅馆 客栈",
    "retail": "电子商务 商贸 贸易 百货 超市管理 超市 便利店 便利 购物广场 购物中心 商场 生活超市 生活馆 零售 商城 专卖店 旗舰店 专营店 网店 优选 严选 直播间 服饰 鞋服 鞋业 鞋店 珠宝 眼镜 母婴 孕婴童 孕婴 烟酒 文具 日用品",
    "food": "食品 乳业 粮油 酒业 茶业 水果店 水果 生鲜食品 生鲜",
    "drug": "大药房连锁 大药房 药房 药店 医药 医疗器械 生物科技 健康科技 保健品 化妆品",
    "car": "汽车销售服务 汽车销售 汽车维修 汽车服务 汽车贸易 汽修 二手车 4S店 汽车 车行 车业 新能源汽车 新能源 电动车",
    "beauty": "美容美发 医疗美容 美容服务 美容 美发 养生 皮肤管理 健康管理 护肤 医美 美甲 造型 美容院 理发店 理发 养生馆 美业",
    "fitness": "健身服务 健身俱乐部 健身房 健身 体育文化 体育 瑜伽馆 瑜伽 游泳馆 游泳 拳击馆 舞蹈",
    "education": "教育咨询 教育科技 教育培训 教育 培训学校 培训中心 培训 驾校 艺术培训 艺术中心 早教 托育 托管 幼儿园 英语",
    "property": "房地产开发 房地产 置业 地产 物业管理 物业服务 物业",
    "home": "装饰工程 装饰设计 装饰 装修 建筑工程 家居 家具 建材 家装 整装 橱柜 门窗",
    "travel": "国际旅行社 旅行社 旅游服务 文化旅游 旅游 票务 出行科技 出行服务 出行 航空 客运",
    "technology": "信息技术 网络科技 信息科技 智能科技 数字科技 互动娱乐 科技 网络 软件 数码 通讯 通信 电器 家电 营业厅 宽带",
    "logistics": "物流 快递服务 快递 速递 驿站 速运 快运 货运 供应链管理 供应链 搬家",
    "utility": "热力 供热 供暖 供水 自来水 燃气 水务 电力 供电",
    "pet": "宠物医院 宠物服务 宠物用品 宠物店 宠物",
    "finance": "消费金融 金融 投资 信息咨询 咨询 资产管理 小额贷款 融资担保",
    "other": "文化传媒 文化传播 停车管理 停车服务 停车场 管理 服务 实业 发展 连锁 企业 商务 维修 洗衣 干洗 影视 摄影 传媒 文化 体验店 总店 店",
}  # fmt: skip
_TRADE_OF = {word: group for group, words in _TRADES.items() for word in words.split()}
_LEGAL_WORDS = "股份有限公司 有限责任公司 集团有限公司 有限公司 总公司 分公司 公司 集团 经营部 经营店 个体工商户 合作社 工作室 事务所 中心 商行 厂 部"


def _any_of(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


_TRADE_HERE = re.compile(_any_of(w for w in _TRADE_OF if w != "店"))
_LEGAL_HERE = re.compile(_any_of(_LEGAL_WORDS.split()[:-2]))
_TAIL_HERE = re.compile(_any_of([*_TRADE_OF, *_LEGAL_WORDS.split()]))
_BRACKETS = re.compile(r"[（(\[【]([^）)\]】]{1,20})[）)\]】]")
_DASH = re.compile(r"[-—·]([\u4e00-\u9fa5A-Za-z0-9]{2,10})$")
_PROVINCES = "河北 山西 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南 广东 海南 四川 贵州 云南 陕西 甘肃 青海 内蒙古 广西 西藏 宁夏 新疆"
_PROVINCE = re.compile(
    rf"^(?:中国)?(?:[\u4e00-\u9fa5]{{2,3}}省|[\u4e00-\u9fa5]{{2,6}}自治区|(?:{_PROVINCES.replace(' ', '|')})(?=[\u4e00-\u9fa5]{{4}}))"
)
_DISTRICT = re.compile(r"^[\u4e00-\u9fa5]{1,7}?(?:自治县|新区|开发区|(?<![小社景])区|(?<!州)县)(?=[\u4e00-\u9fa5]{2})")
# What shops are called by: a road, an estate, a quarter.
_PLACE_KIND = "大道|[东南西北中一二三四五]?路|大街|[东南西北]街|街|巷|广场|新城|新村|花园|家园|小区|华庭|公馆|雅居|雅苑|名邸|华府|苑|府|里|庭|居|湾|城|村|镇|站|园|区|桥|门|口|道|汇|谷|湖|天地|东|西|南|北|中心"
_SHOP_TAIL = re.compile(rf"(?:[\u4e00-\u9fa5]{{2}}|[A-Za-z0-9]+)(?:{_PLACE_KIND})店$")
_HAN = re.compile(r"[\u4e00-\u9fa5]+")


_CITY_KIND = re.compile(
    r"(?:市|地区|盟|(?:(?:蒙古|回|藏|维吾尔|苗|彝|壮|布依|朝鲜|满|侗|瑶|白|土家|哈尼|哈萨克|傣|黎|傈僳|佤|羌|景颇|柯尔克孜|土|仡佬)族|蒙古|哈萨克|柯尔克孜)*自治州)$"
)


def bare_city(name: str) -> str:
    """阿坝藏族羌族自治州 -> 阿坝, 宜春市 -> 宜春: as cities are compared."""
    bare = _CITY_KIND.sub("", name)
    return bare if len(bare) >= 2 else name


@lru_cache(maxsize=1)
def _cities() -> dict[str, str]:
    """Cities of the country, in full and bare -> bare. From the code list of python-stdnum (GB/T 2260)."""
    found = {f"{n}{kind}": n for n in ("北京", "上海", "天津", "重庆") for kind in ("", "市")}
    with (files("stdnum.cn") / "loc.dat").open(encoding="utf-8") as lines:
        for line in lines:
            entry = re.match(r'^ +\d\d00 county="([^"]+)"', line)
            for part in entry[1].split(",") if entry else ():
                name = re.sub(r"^\[[^\]]*\]", "", part)
                if len(name) > 2 and name.endswith(("市", "地区", "盟", "自治州")):
                    found[name] = found[name.removesuffix("自治州")] = found[bare_city(name)] = bare_city(name)
    return found


_LONGEST_CITY = 11


def city_at_start(name: str) -> tuple[str, int]:
    """(bare city, characters it takes): ("", 0) where the name begins with none."""
    cities = _cities()
    for length in range(min(_LONGEST_CITY, len(name)), 1, -1):
        if city := cities.get(name[:length]):
            return city, length
    return "", 0


def city_at_end(text: str) -> str:
    cities = _cities()
    return next((c for n in range(min(_LONGEST_CITY, len(text)), 1, -1) if (c := cities.get(text[-n:]))), "")


@dataclass(frozen=True, slots=True)
class MerchantName:
    """cores: what the brand may be, most likely first: where brand and shop run together (星福工业北路店) known merchants decide.
    city: '' if the name does not say. trade: a group of trades or ''; words: what stands for the trade. form: the registered ending
    (文化旅游有限公司) where the name has one. shop: the branch. '' for each that is not said."""

    written: str
    cores: tuple[str, ...]
    city: str = ""
    trade: str = ""
    words: str = ""
    form: str = ""
    shop: str = ""

    @property
    def core(self) -> str:
        return self.cores[0]


@lru_cache(maxsize=100_000)
def parse_name(written: str) -> MerchantName:
    """Never without a core: what can't be taken apart is its own."""
    name = re.sub(r"\s+", "", unicodedata.normalize("NFKC", written))[:80]
    shop, city = "", ""
    for inside in _BRACKETS.findall(name):
        if inside.endswith(("店", "路", "广场", "城")):
            shop = inside
        elif not city:
            city = city_at_start(inside)[0]
    name = _BRACKETS.sub("", name) or name
    if (dash := _DASH.search(name)) and dash.start() >= 2:
        name, shop = name[: dash.start()], shop or dash[1]
    head = _PROVINCE.match(name)
    rest = name[head.end() :] if head and len(name) - head.end() >= 2 else name
    named, length = city_at_start(rest)
    if length and len(rest) - length >= 2:
        city, rest = named, rest[length:]
        if (district := _DISTRICT.match(rest)) and len(rest) - district.end() >= 2:
            rest = rest[district.end() :]
    cores, ending, tail = _brand(rest)
    trade, words, form = _ending(ending)
    return MerchantName(written, cores, city, trade, words, form, shop or tail)


def _ending(ending: str) -> tuple[str, str, str]:
    """(trade, its words, the registered form) of what follows a brand."""
    trade, place, legal = "", 0, 0
    while word := _TAIL_HERE.match(ending, place):
        group = _TRADE_OF.get(word[0])
        trade = group if group and group != "other" else trade
        legal = legal or (place if group is None else 0)
        place = word.end()
    registered = ending.endswith(_REGISTERED)
    return trade, ending[:legal] if legal else ending.removesuffix("店") or ending, ending if registered else ""


_REGISTERED = ("有限公司", "有限责任公司", "合作社", "工作室", "事务所", "中心", "商行", "经营部")


def _brand(name: str) -> tuple[tuple[str, ...], str, str]:
    """(cores, ending, shop) of a name without its region."""
    for start in range(2, len(name)):
        if _TRADE_HERE.match(name, start) or _LEGAL_HERE.match(name, start):
            place = start
            while word := _TAIL_HERE.match(name, place):
                place = word.end()
            tail = name[place:]
            return _guesses(name[:start]), name[start:place], tail if tail.endswith("店") and len(tail) > 2 else ""
    if not name.endswith("店") or len(name) < 4:
        return _guesses(name.removesuffix("店") if len(name) > 2 else name), "", ""
    if (tail_ := _SHOP_TAIL.search(name)) and tail_.start() >= 2:
        core = name[: tail_.start()]
        return tuple(dict.fromkeys((core, *(name[:n] for n in (2, 3, 4) if len(name) - n >= 3)))), "", name[tail_.start() :]
    return _guesses(name[:-1], least=3), "", ""


def _guesses(core: str, *, least: int = 4) -> tuple[str, ...]:
    """A long core may end in a word that this list of trades does not know."""
    han = _HAN.match(core)
    length = han.end() if han else 0
    return tuple(dict.fromkeys((core, *(core[:n] for n in (4, 3, 2) if len(core) >= least and n <= length and n < len(core)))))


# -- names in a text

_EVERYDAY = 2e-4  # share of texts that hold a word: 小区 is no brand to look for, whoever is called so


def is_telling(brand: str) -> bool:
    """Whether a brand can be looked for in texts: two syllables at least, and no everyday word."""
    return " " in sound(brand) and (not is_known(brand) or common_rate(brand) < _EVERYDAY)


_COMPANY = re.compile(r"[\u4e00-\u9fa5A-Za-z0-9（）()]{2,28}?(?:股份有限公司|有限责任公司|有限公司|经营部|旗舰店|专卖店)")
_LEAD = re.compile(r".*(?:在|到|去|向|于|从|由|被|给|对|是|找|称|反映|投诉|举报|购买了|的|了|和|与|，|：|:)")
_QUOTED = re.compile(r"[“\"「『《]([\u4e00-\u9fa5A-Za-z0-9]{2,16})[”\"」』》](?=.{0,4}(?:店|公司|商家|餐|馆|超市|平台))")
_NOBODY = re.compile(r"一家|某|这家|那家|该|网上|一个|商家|本地|附近|[你我他]们?")
_SHOP_AFTER = re.compile(r"[\u4e00-\u9fa5]{0,12}?[（(]([\u4e00-\u9fa5A-Za-z0-9]{2,10}店)[）)]")
_LOOKED_AT = 600  # whoever is complained about is named before that
_LONGEST_BRAND = 6


def names_in_text(text: str) -> list[str]:
    """Merchant names a text writes out by their form: registered names and quoted brands, at most three."""
    found = [_LEAD.sub("", m.group()) or m.group() for m in _COMPANY.finditer(text)] + _QUOTED.findall(text)
    return list(dict.fromkeys(n for n in found if 3 <= len(n) <= 40 and not _NOBODY.search(n)))[:3]


@dataclass(frozen=True, slots=True)
class Mention:
    """A merchant as one complaint names it. where: form, written (a name of its own in the text), or for a known brand that a text
    holds: suffix, city (what stands around it), bare, word (looks like an ordinary word). home: the complainant's city or ''."""

    name: MerchantName
    where: str = "form"
    home: str = ""
    product: Hashable | None = None
    uscc: str = ""
    phone: Hashable | None = None


@lru_cache(maxsize=30_000)
def _syllable(character: str) -> str:
    return sound(character)


class Brands:
    """Known brands by their sound, at least two syllables each. A text is looked through for how they begin."""

    __slots__ = ("_longest", "_sounds")

    def __init__(self, sounds: Iterable[str] = ()) -> None:
        self._sounds: set[str] = set()
        self._longest: dict[str, int] = {}  # the first two syllables -> syllables of the longest that begins so
        self.update(sounds)

    def update(self, sounds: Iterable[str]) -> None:
        for heard in sounds:
            syllables = heard.split(" ")
            head = " ".join(syllables[:2])
            self._sounds.add(heard)
            self._longest[head] = max(len(syllables), self._longest.get(head, 0))

    def __contains__(self, heard: str) -> bool:
        return heard in self._sounds

    def longest(self, head: str) -> int:
        """Syllables of the longest brand that begins with these two; 0: none does."""
        return self._longest.get(head, 0)


def brands_in_text(text: str, brands: Brands, *, most: int = 4) -> list[Mention]:
    """Known brands that a text speaks of, most telling first."""
    text = text[:_LOOKED_AT]
    found: list[tuple[int, int, int, Mention]] = []
    for run in _HAN.finditer(text):
        syllables = [_syllable(c) for c in run[0]]
        for start, head in enumerate(map(" ".join, pairwise(syllables))):
            if not (longest := brands.longest(head)):
                continue
            for end in range(start + 1, min(start + longest, start + _LONGEST_BRAND, len(syllables))):
                if " ".join(syllables[start : end + 1]) in brands:
                    at = run.start() + start
                    rank, mention = _spoken(text, at, at + end - start + 1)
                    found.append((-rank, -(end - start), at, mention))
    found.sort(key=lambda f: f[:3])
    kept: list[Mention] = []
    taken: list[tuple[int, int]] = []
    for _, length, at, mention in found:
        end_ = at - length + 1
        if not any(at < e and s < end_ for s, e in taken) and len(kept) < most:
            kept.append(mention)
            taken.append((at, end_))
    return kept


def _spoken(text: str, start: int, end: int) -> tuple[int, Mention]:
    brand = text[start:end]
    city = city_at_end(text[max(0, start - _LONGEST_CITY) : start])
    place = end
    while word := _TAIL_HERE.match(text, place):
        place = word.end()
    trade, words, form = _ending(text[end:place])
    shop = _SHOP_AFTER.match(text, end)
    suffix = place > end or text[end : end + 1] in ("（", "(", "店")
    where = "suffix" if suffix else "city" if city else "word" if is_known(brand) else "bare"
    rank = ("word", "bare", "city", "suffix").index(where) * 2 + min(len(brand), 4)
    return rank, Mention(MerchantName(brand, (brand,), city, trade, words, form, shop[1] if shop else ""), where)


def mentions(stated: Sequence[Mention], said: str, brands: Brands, *, home: str, product: Hashable | None) -> list[Mention]:
    """How a complaint names whom it is about: as stated, with what the text says besides (a city, a shop); where nothing is stated,
    the known brands in its text. home: the complainant's city."""
    spoken = brands_in_text(said, brands)
    return [replace(complete(one, spoken), home=home, product=product) for one in stated] or [
        replace(one, home=home, product=product) for one in spoken
    ]


def complete(stated: Mention, spoken: Sequence[Mention]) -> Mention:
    """A stated name with what the text says of the same brand: a city, a trade, a shop."""
    name = stated.name
    sounds = {sound(c) for c in name.cores}
    for other in spoken:
        if sound(other.name.core) in sounds:
            said = other.name
            name = replace(
                name, city=name.city or said.city, trade=name.trade or said.trade, words=name.words or said.words,
                form=name.form or said.form, shop=name.shop or said.shop,
            )  # fmt: skip
    return replace(stated, name=name)


# -- who is one with whom

_MOST_KEPT = 24  # of each kind of thing counted about a merchant
_VARIANT = 5  # a spelling that every fifth of the commonest's users writes is the brand's own
_SPREAD = 3  # cities of complainants from which on a merchant is at home nowhere


@dataclass(slots=True)
class Known:
    """What is known of a merchant, counted over its mentions. cores: as written; guesses: what its brand may be besides."""

    size: int = 0
    cores: dict[str, int] = field(default_factory=dict)
    guesses: set[str] = field(default_factory=set)
    sounds: set[str] = field(default_factory=set)
    cities: dict[str, int] = field(default_factory=dict)
    homes: dict[str, int] = field(default_factory=dict)
    trades: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=dict)
    shops: dict[str, int] = field(default_factory=dict)
    products: dict[Hashable, int] = field(default_factory=dict)
    phones: set[Hashable] = field(default_factory=set)
    uscc: str = ""
    chain: bool = False

    def learn(self, mention: Mention, core: str | None = None) -> bool:
        """Counts a mention (core: by which of its brands it was recognised). True if it said anything new."""
        name = mention.name
        core = core or name.core
        new = bool((mention.uscc and not self.uscc) or (mention.phone is not None and mention.phone not in self.phones))
        self.size += 1
        heard: tuple[tuple[dict[Any, int], Any], ...] = (
            (self.cores, core), (self.cities, name.city), (self.homes, mention.home), (self.trades, name.trade),
            (self.words, name.words), (self.forms, name.form), (self.shops, name.shop), (self.products, mention.product),
        )  # fmt: skip
        for counts, value in heard:
            if value and (value in counts or len(counts) < _MOST_KEPT):
                new = new or value not in counts
                counts[value] = counts.get(value, 0) + 1
        self.guesses.update(c for c in name.cores if c != core and len(self.guesses) < _MOST_KEPT)
        self.sounds |= {sound(c) for c in (core, *name.cores)}
        if mention.phone is not None and len(self.phones) < _MOST_KEPT:
            self.phones.add(mention.phone)
        self.uscc = self.uscc or mention.uscc
        return new

    def absorb(self, other: "Known") -> None:
        self.size += other.size
        both: tuple[tuple[dict[Any, int], dict[Any, int]], ...] = (
            (self.cores, other.cores), (self.cities, other.cities), (self.homes, other.homes), (self.trades, other.trades),
            (self.words, other.words), (self.forms, other.forms), (self.shops, other.shops), (self.products, other.products),
        )  # fmt: skip
        for mine, theirs in both:
            for value, count in theirs.items():
                mine[value] = mine.get(value, 0) + count
        self.guesses |= other.guesses
        self.sounds |= other.sounds
        self.phones |= other.phones
        self.uscc = self.uscc or other.uscc
        self.chain = self.chain or other.chain

    def as_json(self) -> dict[str, Any]:
        """For storing; values of products and phones are keyed integers by then."""
        return {
            "size": self.size, "cores": self.cores, "guesses": sorted(self.guesses), "sounds": sorted(self.sounds), "cities": self.cities,
            "homes": self.homes, "trades": self.trades, "words": self.words, "forms": self.forms, "shops": self.shops,
            "products": [[t, n] for t, n in self.products.items()], "phones": list(self.phones),
        }  # fmt: skip

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], *, uscc: str = "", chain: bool = False) -> "Known":
        return cls(
            raw["size"], raw["cores"], set(raw["guesses"]), set(raw["sounds"]), raw["cities"], raw["homes"], raw["trades"], raw["words"],
            raw["forms"], raw["shops"], dict(raw["products"]), set(raw["phones"]), uscc, chain,
        )  # fmt: skip

    @property
    def standing(self) -> int:
        """How well known it is, in steps of two: 1, 2-3, 4-7, ..."""
        return self.size.bit_length()

    @property
    def main(self) -> str:
        """Its brand as most write it."""
        return max(self.cores, key=lambda c: (self.cores[c], c)) if self.cores else ""


ORDERS: Orders = {
    "brand": tuple(
        tuple(f"{kind}/{n}" for n in (2, 3, 4)) for kind in ("exact", "variant", "guess", "sound1", "sound2", "sound3", "half")
    ),
    "rivals": (("16", "8", "4", "2", "1"),),
}
# Brands that only sound alike are put together on more: two shops of a street may well be 众蓝 and 中兰.
_MARGIN = {"sound1": 1 * UNIT, "variant": 1 * UNIT, "half": 2 * UNIT, "sound2": 12 * UNIT, "sound3": 12 * UNIT}
# Not learned: made-up streams hold no codes or phones of merchants.
USCC_WEIGHT = 24 * UNIT
PHONE_WEIGHT = 8 * UNIT


def keys(mention: Mention) -> list[str]:
    """What to look a mention up by: the sound of what its brand may be, alone and with its cities."""
    sounds = dict.fromkeys(sound(c) for c in mention.name.cores)
    cities = dict.fromkeys(c for c in (mention.name.city, mention.home) if c)
    found = [f"p:{s}" for s in sounds] + [f"p:{s}|{c}" for s in sounds for c in cities]
    if mention.uscc:
        found.append(f"u:{mention.uscc}")
    if mention.phone is not None:
        found.append(f"t:{mention.phone}")
    return found


def levels(mention: Mention, known: Known, rivals: int) -> tuple[dict[str, str], str | None]:
    """(levels, the core by which it was recognised). rivals: merchants whose brand sounds so."""
    brand, core = _brand_level(mention.name, known)
    bucket = next(n for n in (16, 8, 4, 2, 1, 0) if rivals >= n)
    found = {
        "brand": brand, "rivals": str(bucket or 1), "where": mention.where, "city": _city_level(mention, known),
        "trade": _trade_level(mention.name, known), "form": _agreement(mention.name.form, known.forms), "shop": _agreement(mention.name.shop, known.shops),
        "product": _agreement(mention.product, known.products),
        "size": str(min(known.size.bit_length(), 6)),
    }  # fmt: skip
    return found, core


def _brand_level(name: MerchantName, known: Known) -> tuple[str, str | None]:
    def at(kind: str, core: str) -> tuple[str, str]:
        return f"{kind}/{max(2, min(len(core), 4))}", core

    main = known.main
    if (times := known.cores.get(name.core, 0)) * _VARIANT >= known.cores.get(main, 0) > 0:
        return at("exact", name.core)
    if times and len(name.core) == len(main):
        # Written so before, but seldom: a slip of the pen that came back, or another merchant of that sound.
        return at("variant", name.core)
    # By what it may be: the longest of them.
    for core in sorted(name.cores[1:], key=len, reverse=True):
        if core in known.cores:
            return at("guess", core)
    if name.core in known.guesses:
        return at("guess", name.core)
    heard = sound(name.core)
    if heard == sound(main):
        return at(f"sound{min(sum(a != b for a, b in zip(name.core, main, strict=False)), 3)}", name.core)
    sounds = {sound(c) for c in known.cores}
    for core in sorted(name.cores, key=len, reverse=True):
        if sound(core) in sounds:
            return at("half", core)
    if heard in known.sounds:
        return at("half", name.core)
    return "disagree", None


def _often(counts: Mapping[Any, int], value: Hashable) -> bool:
    """Not just once by mistake: one complaint in the wrong place must not open the door to its like."""
    return counts.get(value, 0) * _VARIANT >= max(counts.values(), default=0) > 0


def _city_level(mention: Mention, known: Known) -> str:
    named, home = mention.name.city, mention.home
    spread = "many" if len(known.homes) >= _SPREAD or known.chain else "one"
    if named:
        if known.cities:
            if _often(known.cities, named):
                return "named/named"
            return "named/far/many" if known.chain else "named/other"
        if known.homes:
            return "named/home" if _often(known.homes, named) else f"named/far/{spread}"
        return "named/unknown"
    if home:
        if _often(known.cities, home):
            return "home/named"
        if home in known.homes:
            return f"home/home/{spread}"
        if known.homes or known.cities:
            return f"home/far/{spread}"
        return "home/unknown"
    return "unknown"


def _trade_level(name: MerchantName, known: Known) -> str:
    if name.words and name.words in known.words:
        return "words"
    return _agreement(name.trade if name.trade != "other" else "", known.trades)


def _agreement(value: Hashable, counts: Mapping[Any, int]) -> str:
    if not value or not counts:
        return "unknown"
    return "same" if _often(counts, value) else "rare" if value in counts else "differ"


def compare(mention: Mention, known: Known, scorecard: Scorecard, *, rivals: int = 1) -> tuple[Evidence, str | None]:
    """(weight that the mention is of this merchant, the core by which it was recognised)."""
    found, core = levels(mention, known, rivals)
    fields, total = scorecard.weigh(found)
    forbidden = None
    if mention.uscc and known.uscc:
        same = mention.uscc == known.uscc
        fields["uscc"] = ("same", USCC_WEIGHT) if same else ("differ", -USCC_WEIGHT)
        total += fields["uscc"][1]
        forbidden = None if same else "different_uscc"
    if mention.phone is not None and mention.phone in known.phones:
        fields["phone"] = ("same", PHONE_WEIGHT)
        total += PHONE_WEIGHT
    if core is None and fields.get("uscc", ("", 0))[0] != "same" and "phone" not in fields:
        forbidden = forbidden or "other_name"
    threshold = scorecard.threshold + _MARGIN.get(found["brand"].partition("/")[0], 0)
    return Evidence(total, fields, forbidden, forbidden is None and total >= threshold), core


def rivals(mention: Mention, known: Mapping[Any, Known]) -> int:
    """Merchants that the mention could be of as far as sound, city and trade go."""
    sounds = {sound(c) for c in mention.name.cores}
    return sum(
        1
        for about in known.values()
        if not sounds.isdisjoint(about.sounds)
        and _city_level(mention, about) not in _ELSEWHERE
        and _trade_level(mention.name, about) != "differ"
    )


_ELSEWHERE = ("named/other", "named/far/one", "home/far/one")


def opens(found: Sequence[Mention]) -> Mention | None:
    """The mention that a merchant nobody knew is opened for: one that stands as a name, not a word that sounds like one."""
    return next((m for m in found if m.where == "form" or (m.where == "written" and is_telling(m.name.core))), None)


def as_mention(known: Known) -> Mention:
    """A merchant as one mention of itself: what most say of it."""

    def most(counts: Mapping[Any, int]) -> Any:
        return max(counts, key=lambda v: (counts[v], str(v))) if counts else None

    main = known.main
    name = MerchantName(
        main, (main,), most(known.cities) or "", most(known.trades) or "", most(known.words) or "", most(known.forms) or "",
        most(known.shops) or "",
    )  # fmt: skip
    return Mention(name, "form", most(known.homes) or "", most(known.products), known.uscc, next(iter(known.phones), None))


@dataclass(frozen=True, slots=True)
class Choice:
    """merchant None: nobody known. core: the brand by which it was recognised. others: who else came close."""

    merchant: Any
    evidence: Evidence | None
    core: str | None
    mention: Mention | None
    others: tuple[tuple[Hashable, Evidence], ...] = ()


def choose(mentions: Sequence[Mention], known: Mapping[Any, Known], scorecard: Scorecard) -> Choice:
    """The merchant that a complaint's mentions are of. All are one complaint's names of the one it is about."""
    scored: list[tuple[int, str, Any, Evidence, str | None, Mention]] = []
    for mention in mentions:
        alike = rivals(mention, known)
        for merchant, about in known.items():
            evidence, core = compare(mention, about, scorecard, rivals=alike)
            scored.append(
                (
                    evidence.weight if evidence.joins else evidence.weight - (1 << 30),
                    str(merchant),
                    merchant,
                    evidence,
                    core,
                    mention,
                )
            )
    if not scored:
        return Choice(None, None, None, None)
    scored.sort(key=lambda s: (-s[0], s[1]))
    others = tuple({s[2]: s[3] for s in scored[1:4] if s[2] != scored[0][2]}.items())
    _, _, merchant, evidence, core, mention = scored[0]
    if not evidence.joins:
        return Choice(None, None, None, None, ((merchant, evidence), *others)[:3])
    return Choice(merchant, evidence, core, mention, others)


@lru_cache(maxsize=1)
def shipped_scorecard() -> Scorecard:
    return Scorecard.from_json((files("ml") / "artifacts" / "merchants.json").read_text("utf-8"))
