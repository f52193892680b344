"""Facts that have a form: money, days, numbers of things, platforms. Each with its span and its value.

Names (of merchants, shops, places, products, brands) have none and are learned: `ml.tagging`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

TYPES = (
    "amount", "claim", "date", "order_no", "lot_no", "approval_no", "licence_no", "uscc", "ticket", "platform", "people",
    "merchant", "shop", "place", "product", "brand",
)  # fmt: skip
NUMBER = "number"  # a number whose meaning its form does not tell: two thousand of what, is the tagger's to say


@dataclass(frozen=True, slots=True)
class Fact:
    """start, end: code points of the text that was read, [start, end). value: fen for amount and claim, an ISO day or
    month for date, a number for people, the words otherwise."""

    type: str
    start: int
    end: int
    value: int | str


def find_facts(text: str, on: date) -> list[Fact]:
    """Of a normalised text in order. on: the day the letter was received; relative days count from it."""
    found = [*_numbers(text), *_dates(text, on)]
    taken = [(f.start, f.end) for f in found]

    def free(fact: Fact) -> bool:
        return not any(fact.start < end and start < fact.end for start, end in taken)

    for family in (_people(text), _amounts(text), _bare_numbers(text)):
        new = [f for f in family if free(f)]
        found += new
        taken += [(f.start, f.end) for f in new]
    return sorted(found, key=lambda f: (f.start, f.end))


# -- numbers as people write them

_DIGITS = {
    c: n
    for n, cs in enumerate(("零〇", "一壹", "二两贰俩", "三叁仨", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"))
    for c in cs
}
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000, "万": 10_000}
_HAN_NUMBER = "[零〇一二两三四五六七八九十百千万半]"


def parse_han(written: str) -> float | None:
    """两万八 -> 28000, 一千二 -> 1200, 三百五 -> 350, 一百零五 -> 105, 二〇二六 -> 2026; None for what is no number."""
    if not written:
        return None
    if written == "半":
        return 0.5
    if written.endswith("半") and written[-2:-1] in _UNITS:
        rest = parse_han(written[:-1])
        return None if rest is None else rest + _UNITS[written[-2]] / 2
    if all(c in _DIGITS for c in written):
        return float("".join(str(_DIGITS[c]) for c in written))
    total = section = 0.0
    digit: int | None = None
    last = 1
    zero = False
    for character in written:
        if character in _DIGITS:
            if digit:
                return None
            digit = _DIGITS[character]
            zero = zero or digit == 0
            continue
        unit = _UNITS.get(character)
        if unit is None:
            return None
        if unit == 10_000:
            total = (total + section + (digit or 0)) * unit
            section = 0.0
        else:
            section += (1 if digit is None or digit == 0 else digit) * unit
        digit, last, zero = None, unit, False
    if digit:
        # 两万八 is 28,000, 两万零八 is 20,008.
        section += digit * (last / 10 if last >= 100 and not zero else 1)
    return total + section


_ARABIC = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,3})?"
_SCALE = {"百": 100, "千": 1000, "k": 1000, "万": 10_000, "w": 10_000, "亿": 100_000_000}
_MONEY = r"(?:元|块钱|块|圆|人民币|rmb|软妹币|大洋|米(?=[,。!?;\s]|$)|快(?=[,。!?;\s的]|钱|$))"
_NUMBER = rf"(?:(?P<arabic>{_ARABIC})(?P<scale>[万千百kw](?P<tail>\d)?)?(?P<more>多|余|来)?|(?P<han>{_HAN_NUMBER}{{1,9}})(?P<hanmore>多|余|来|几)?)"
_WITH_UNIT = re.compile(
    rf"(?P<sign>[¥￥]\s?)?{_NUMBER}\s?(?P<unit>{_MONEY})(?P<jiao>(?:[二三四五六七八九\d]|一(?=[毛角,。;!?\s]|$))(?![\d.二三四五六七八九十百千万个天年月日次张件人折]|一(?![斤个份瓶度张次包盒公升平本支])))?(?:[毛角](?P<fen>[一二三四五六七八九\d])?分?)?|(?P<sign2>[¥￥]\s?)(?P<plain>{_ARABIC})(?P<scale2>[万千kw])?",
    re.IGNORECASE,
)
# 花了五千, 扣了我1280, 押金两千: money without its unit, where the words before it leave no other reading.
_BARE = re.compile(
    r"(?:花了?|付了?|交了?|充了?|扣了?|扣费|收了?|收费|罚了?|转了?|打了?|卖|标价|标的|要价|报价|原价|现价|单价|售价|价格|价钱|金额|总价|房费|车费|运费|邮费|手续费|押金|定金|订金|预付款|余额|只剩|还剩|剩|尾款|首付|学费|会费|月租|租金|工钱|工费|医药费|医疗费|误工费|费用|退了?|赔了?|补偿|补|涨到|涨成|降到|变成|由|退还|退回|一共|总共|共计|合计|总计|消费|贷款|贷了?|借了?|给了?|欠)"
    r"(?:他们?|它|我们?|你们?|她|咱|店里|商家|老板|了|是|为|要|才|也|就|到|的|共|又|:|￥|¥|\s){0,3}"
    rf"(?P<number>(?P<arabic>\d{{2,7}}(?:\.\d{{1,2}})?)(?P<scale>[万千kw](?P<tail>\d)?)?|(?P<han>{_HAN_NUMBER}{{2,8}}))"
    r"(?!\d|\.\d|[年月日号天个人名次斤克公里点分秒岁%平方米页集期台件份瓶箱盒包只条双套张部辆间层栋倍度小时节课户元块多余来几成折家种级类桶袋根颗粒把桌顿位升度吨两起批场届周回遍趟ABCXabcx零〇一二三四五六七八九十百千万半:/-])",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"(?:约|大概|大约|差不多|将近|接近|近|至少|起码|上|好几|几|不到|超过|最少|最多)$")
_CLAIM = re.compile(
    r"(?:赔偿|赔付|索赔|赔我|赔给我|赔个|赔他|要求赔|赔(?!了)|补偿|精神损失费?|精神损害|误工费|惩罚性|封口费|奖励|违约金|营养费|十倍|三倍|损失费)[^,。;!?\n]{0,8}$"
)
_PAID_BACK = re.compile(r"(?:只赔|赔了|已赔|愿赔|同意赔|愿意赔|答应赔|说赔|才赔)[^,。;]{0,6}$")


def _value(match: re.Match[str]) -> float | None:
    groups = match.groupdict()
    written = groups.get("arabic") or groups.get("plain")
    if written:
        number = float(written.replace(",", ""))
        scale = (groups.get("scale") or groups.get("scale2") or "").lower()
        if scale:
            factor = _SCALE[scale[0]]
            number = number * factor + (int(scale[1]) * factor / 10 if len(scale) > 1 else 0)
    else:
        parsed = parse_han(groups.get("han") or "")
        if parsed is None:
            return None
        number = parsed
    if jiao := groups.get("jiao"):
        number += _digit(jiao) / 10 + (_digit(groups["fen"]) / 100 if groups.get("fen") else 0)
    return number


def _digit(written: str) -> int:
    return int(written) if written in "0123456789" else _DIGITS.get(written, 0)


def _amounts(text: str) -> Iterator[Fact]:
    seen: list[tuple[int, int]] = []
    for pattern in (_WITH_UNIT, _BARE):
        for match in pattern.finditer(text):
            start, end = match.span("number") if pattern is _BARE else match.span()
            if any(start < e and s < end for s, e in seen):
                continue
            groups = match.groupdict()
            before = text[max(0, start - 16) : start]
            if groups.get("more") or groups.get("hanmore") or _ABOUT.search(before[-3:]):
                seen.append((start, end))
                continue
            if before.endswith("第") or (text[end : end + 1] in ("多", "左", "上") and text[end : end + 2] != "上了"):
                continue
            value = _value(match)
            if value is None or not 0 < value < 1e10:
                continue
            claimed = _CLAIM.search(before) and not _PAID_BACK.search(before)
            seen.append((start, end))
            yield Fact("claim" if claimed else "amount", start, end, round(value * 100))


_ANY_NUMBER = re.compile(rf"(?<![\d.A-Za-z-])(?:{_ARABIC})[万千kw]?(?![\d.:%A-Za-z-])|{_HAN_NUMBER}{{2,9}}", re.IGNORECASE)


def _bare_numbers(text: str) -> Iterator[Fact]:
    for match in _ANY_NUMBER.finditer(text):
        value = parse("amount", match.group())
        if isinstance(value, int) and value > 0:
            yield Fact(NUMBER, match.start(), match.end(), value)


_WRITTEN = re.compile(
    rf"[¥￥]?\s?(?P<arabic>{_ARABIC})(?P<scale>[万千百kw](?P<tail>\d)?)?|(?P<han>{_HAN_NUMBER}+)", re.IGNORECASE
)


def parse(kind: str, written: str) -> int | None:
    """What a learned tag holds: fen for amount and claim, a count for people; None when no number stands in it."""
    match = _WRITTEN.search(written)
    value = _value(match) if match else None
    if value is None or not 0 < value < 1e10:
        return None
    if kind == "people":
        return int(value) if value == int(value) else None
    return round(value * 100) if kind in ("amount", "claim") else None


# -- people

_PERSONS = r"(?:名|位|个|户|家)?(?:人|消费者|业主|学员|会员|顾客|家长|受害者|受害人|同学|同事|学生|孩子|老人|村民|住户|客户|家庭|车主|租户|乘客|游客|病人|工友|室友|邻居|买家|员工|小孩|娃|朋友|伢|居民|街坊|宝妈|老师|旅客|团员|商户)|[名位户](?=[^,。]{0,2}[,。都均也一被受])"
_PEOPLE = re.compile(
    rf"(?:(?P<arabic>\d{{1,5}})|(?P<han>[一二两三四五六七八九十百]{{1,5}}))(?P<more>多|余|来|几)?\s?(?:{_PERSONS})"
)
_HOUSEHOLD = re.compile(
    r"(?:一家|全家|我们家|一行|我们|咱们|屋里)(?P<han>[两二三四五六七八九十]{1,2}|\d{1,2})(?:口|个人|口人|人|个)"
)
_PAIR = re.compile(r"(?:我|我们|俺)?(?P<pair>(?:俩|夫妻俩|母子俩|母女俩|父子俩|两口子|老两口|夫妻二人))")
_NOT_AFFECTED = re.compile(
    r"(?:每|第|满|够|前|限|只要|凑|店里|店员|里有|同行|派了?|来了?|对方|老板|另外|旁边|其他|有|换了?|问了?|叫了?|请了?|招了?)$"
)


def _people(text: str) -> Iterator[Fact]:
    for match in _HOUSEHOLD.finditer(text):
        number = parse_han(match["han"]) if not match["han"].isdigit() else float(match["han"])
        if number and number >= 2:
            yield Fact("people", match.start(), match.end(), int(number))
    for match in _PEOPLE.finditer(text):
        number = float(match["arabic"]) if match["arabic"] else parse_han(match["han"])
        before = text[max(0, match.start() - 4) : match.start()]
        if match["more"] or not number or not 2 <= number < 100_000 or _NOT_AFFECTED.search(before) or _ABOUT.search(before):
            continue
        if match["han"] and text[max(0, match.start() - 1) : match.start()] in ("几", "数", "第"):
            continue
        yield Fact("people", match.start(), match.end(), int(number))


# -- days

_DAY_WORDS = {"今天": 0, "今日": 0, "今早": 0, "今晚": 0, "昨天": -1, "昨日": -1, "昨晚": -1, "昨儿": -1, "昨夜": -1, "前天": -2, "前日": -2, "前晚": -2, "大前天": -3,
    "今儿": 0, "前儿": -2, "当天凌晨": 0, "今晨": 0, "昨个": -1, "今个": 0}  # fmt: skip
_FESTIVALS = {"双十一": (11, 11), "双11": (11, 11), "双十二": (12, 12), "六一": (6, 1), "618": (6, 18), "元旦": (1, 1), "情人节": (2, 14), "五一": (5, 1), "国庆节": (10, 1),
    "315": (3, 15), "平安夜": (12, 24), "圣诞节": (12, 25), "教师节": (9, 10), "三八": (3, 8), "五四": (5, 4), "520": (5, 20)}  # fmt: skip
_FESTIVAL = re.compile(
    rf"(?P<year>今年|去年)?(?<![\d块元毛点])(?P<word>{'|'.join(_FESTIVALS)})(?!\d|长假|假期|期间|黄金周|大促|活动|小长假|劳动|快乐|路|广场)"
)
_AS_A_DAY = re.compile(r"(?:年|在|的|天猫|京东|,|^)$")  # 618 in 在618买的 is a day, in 售价618 it is none
_WEEKDAY = {
    "一": 0,
    "二": 1,
    "三": 2,
    "四": 3,
    "五": 4,
    "六": 5,
    "日": 6,
    "天": 6,
    "1": 0,
    "2": 1,
    "3": 2,
    "4": 3,
    "5": 4,
    "6": 5,
    "7": 6,
}
_HAN_DAY = "[一二三四五六七八九十廿卅]{1,3}"
_SOON = timedelta(days=31)
_FULL = re.compile(
    r"(?<!\d)(?P<year>20\d{2}|\d{2}(?=年))\s?[年./-]\s?(?P<month>1[0-2]|0?[1-9])\s?[月./-]\s?(?P<day>3[01]|[12]\d|0?[1-9])(?!\d)\s?[日号]?"
)
_COMPACT = re.compile(r"(?<![\dA-Za-z])(?P<year>202\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])(?![\dA-Za-z])")
_MONTH_DAY = re.compile(
    r"(?P<year>今年|去年|前年)?(?<![\d.])(?P<month>1[0-2]|0?[1-9])\s?月\s?(?:份)?(?P<day>3[01]|[12]\d|0?[1-9])(?![\d月个])\s?[日号]?(?!个)"
)
_DOTTED = re.compile(
    r"(?<![\d.:a-zA-Z/])(?P<month>1[0-2]|0?[1-9])[./](?P<day>3[01]|[12]\d|0?[1-9])(?![\d.:%元块/万折级版斤kw米]|\s?(?:元|块|万|斤|kg|米|寸))(?:[日号](?!线))?"
)
_HAN_MONTH_DAY = re.compile(
    rf"(?:(?P<year>二[〇零]二[三四五六]年|今年|去年|前年))?(?P<month>十[一二]?|[一二三四五六七八九])月(?:份)?(?P<day>{_HAN_DAY})[号日]?(?!个)"
)
_MONTH = re.compile(
    r"(?:(?P<year>20\d{2})\s?年\s?|(?P<rel>今年|去年|前年))?(?<![\d.])(?P<month>1[0-2]|0?[1-9]|十[一二]?|[一二三四五六七八九])月(?P<part>份|初|底|中旬|上旬|下旬|末)?(?![\d一二三四五六七八九十]|\s?\d)"
)
_RELATIVE_MONTH = re.compile(
    r"(?P<which>上上个?月|上个?月|本月|这个?月|当月|前个月)(?P<day>\d{1,2}|"
    + _HAN_DAY
    + r")(?:[号日])|(?P<only>上上个月|上个?月|本月|这个月)(?![\d一二三四五六七八九十])"
)
_WEEK = re.compile(
    r"(?P<which>上上个?|上个?|这个?|本|大上|下个?)?(?:周|星期|礼拜)(?P<day>[一二三四五六日天1-7])(?![\d个次点年月卡边])"
)
_DAY_WORD = re.compile("大前天|" + "|".join(w for w in _DAY_WORDS if w != "大前天"))
_AGO = re.compile(
    r"(?<![\d第])(?P<count>\d{1,3}|[一二两三四五六七八九十]{1,2})(?P<unit>天|个?星期|周|个?礼拜)(?:之前|以前|前)(?![天])"
)
_DAY_ONLY = re.compile(r"(?<![\d月第.\-/A-Za-z])(?P<day>3[01]|[12]\d|[1-9])(?:号|日)(?![线楼店柜门窗机车院馆厅台桌房线仓库馆])")


def _dates(text: str, on: date) -> Iterator[Fact]:
    seen: list[tuple[int, int]] = []

    def take(match: re.Match[str], day: str | None) -> Iterator[Fact]:
        start, end = match.span()
        while end > start and text[end - 1] == " ":
            end -= 1
        if day is None or any(start < e and s < end for s, e in seen):
            return
        seen.append((start, end))
        yield Fact("date", start, end, day)

    characters = set(text)
    for match in _FULL.finditer(text) if "0" in characters or "年" in characters else ():
        year = int(match["year"])
        yield from take(match, _day(year if year > 100 else 2000 + year, int(match["month"]), int(match["day"])))
    for match in _COMPACT.finditer(text) if "202" in text else ():
        if not re.search(r"[号码单A-Za-z:]\s?$", text[max(0, match.start() - 2) : match.start()]):
            yield from take(match, _day(int(match["year"]), int(match["month"]), int(match["day"])))
    for match in _MONTH_DAY.finditer(text) if "月" in characters else ():
        yield from take(match, _past(match["year"], int(match["month"]), int(match["day"]), on))
    for match in _HAN_MONTH_DAY.finditer(text) if "月" in characters else ():
        day = _han_day(match["day"])
        month = parse_han(match["month"])
        if day and month:
            yield from take(match, _past(match["year"], int(month), day, on))
    for match in _RELATIVE_MONTH.finditer(text) if "月" in characters else ():
        which = match["which"] or match["only"]
        back = 2 if which.startswith(("上上", "前")) else 1 if which.startswith("上") else 0
        year, month = _months_back(on, back)
        if match["day"]:
            day = int(match["day"]) if match["day"].isdigit() else _han_day(match["day"])
            yield from take(match, _day(year, month, day) if day else None)
        else:
            yield from take(match, f"{year:04d}-{month:02d}")
    for match in _WEEK.finditer(text) if not characters.isdisjoint("周期拜") else ():
        yield from take(match, _weekday(match["which"] or "", _WEEKDAY[match["day"]], on))
    for match in _DAY_WORD.finditer(text) if not characters.isdisjoint("昨今前") else ():
        yield from take(match, (on + timedelta(days=_DAY_WORDS[match.group()])).isoformat())
    for match in _AGO.finditer(text) if "前" in characters else ():
        count = int(match["count"]) if match["count"].isdigit() else int(parse_han(match["count"]) or 0)
        days = count if match["unit"] == "天" else 7 * count
        if 0 < days < on.toordinal():
            yield from take(match, (on - timedelta(days=days)).isoformat())
    for match in _FESTIVAL.finditer(text):
        word = match["word"]
        if word.isdigit() and not _AS_A_DAY.search(text[max(0, match.start() - 2) : match.start()]):
            continue
        yield from take(match, _past(match["year"], *_FESTIVALS[word], on))
    for match in _DOTTED.finditer(text) if not characters.isdisjoint("./") else ():
        yield from take(match, _past(None, int(match["month"]), int(match["day"]), on))
    for match in _MONTH.finditer(text) if "月" in characters else ():
        if (
            match["part"] is None
            and not (match["year"] or match["rel"])
            and text[match.end() : match.end() + 1] in ("饼", "租", "费", "卡", "供", "销", "嫂", "子", "结", "薪", "付")
        ):
            continue
        month = int(match["month"]) if match["month"].isdigit() else int(parse_han(match["month"]) or 0)
        if not 1 <= month <= 12:
            continue
        if text[max(0, match.start() - 1) : match.start()] in ("个", "几", "每", "满"):
            continue
        if match["year"]:
            yield from take(match, f"{match['year']}-{month:02d}")
        else:
            year = on.year - {"去年": 1, "前年": 2}.get(match["rel"] or "", 0)
            if match["rel"] is None and month > on.month + 1:
                year -= 1
            yield from take(match, f"{year:04d}-{month:02d}")
    for match in _DAY_ONLY.finditer(text) if not characters.isdisjoint("号日") else ():
        day = int(match["day"])
        year, month = (on.year, on.month) if day <= on.day else _months_back(on, 1)
        yield from take(match, _day(year, month, day))


def _day(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _past(year: str | None, month: int, day: int, on: date) -> str | None:
    """A day without its year is the last such day before the letter, or one of the next weeks (a trip, a date agreed)."""
    number = on.year - {"去年": 1, "前年": 2}.get(year or "", 0)
    if year and year.startswith("二"):
        number = int(parse_han(year[:-1]) or on.year)
    made = _day(number, month, day)
    if made is not None and year is None and date.fromisoformat(made) > on + _SOON:
        return _day(number - 1, month, day)
    return made


def _han_day(written: str) -> int | None:
    value = parse_han(written.replace("廿", "二十").replace("卅", "三十"))
    return int(value) if value and 1 <= value <= 31 else None


def _months_back(on: date, count: int) -> tuple[int, int]:
    place = on.year * 12 + on.month - 1 - count
    return place // 12, place % 12 + 1


def _weekday(which: str, weekday: int, on: date) -> str:
    """上周三 is Wednesday of the calendar week before; 周三 alone the last one up to the letter."""
    monday = on - timedelta(days=on.weekday())
    if which.startswith(("上上", "大上")):
        return (monday + timedelta(days=weekday - 14)).isoformat()
    if which.startswith("上"):
        return (monday + timedelta(days=weekday - 7)).isoformat()
    if which.startswith("下"):
        return (monday + timedelta(days=weekday + 7)).isoformat()
    found = monday + timedelta(days=weekday)
    return (found if found <= on or which.startswith(("本", "这")) else found - timedelta(days=7)).isoformat()


# -- named places: what an incident is found again by, exact in its suffix

_ESTATE = re.compile(
    r"[\u4e00-\u9fa5]{2,6}?(?:新城|小区|花园|家园|佳园|苑|公馆|雅居|华庭|广场|大厦|公寓|步行街|购物中心|商场|农贸市场|菜市场|火车站|高铁站|机场|大学|学院|景区|社区)"
)
_ESTATE_LEAD = re.compile(
    r"^(?:.*?(?:在|到|去|于|位于|来自|住|是|我们|附近|投诉|反映|咨询|关于|建议|的|和|与|请|对|把|从)|[A-Z]\d?[市区县])"
)


def named_places(text: str, *, most: int = 5) -> list[str]:
    """Estates, venues, markets and stations a text names, in order."""
    places = [_ESTATE_LEAD.sub("", m) for m in _ESTATE.findall(text[:3000])]
    return [p for p in dict.fromkeys(places) if len(p) >= 4][:most]


# -- numbers of things

_USCC = re.compile(r"(?<![0-9A-Za-z])[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}(?![0-9A-Za-z])")
_LABEL = r"(?:号码|号|编号|编码|码|是|为|:|#|No\.?|NO\.?|\s|\(|【|\[|就是|分别){0,4}"
_APPROVAL = re.compile(
    r"(?:国药准字|国妆特[进字]?字?|国妆备[进字]?字?|国妆网备[进字]?字?|国食健[字注][GJ]?|食健备[GJ]?|卫妆[准特]字|卫食健字|兽药字|[国京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]?[\u4e00-\u9fa5]?械[注备][准进许]?|[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]G?妆网备[字进]*|农药登记证号?|PD(?=\d{8})|[\u4e00-\u9fa5]卫消证字)\(?\s?(?:\(?\d{4}\)?)?第?\s?[A-Z]{0,3}\d{4,14}(?:号)?"
)
_LICENCE = re.compile(
    r"(?<![0-9A-Za-z])(?:SC\s?\d{14}|JY\s?\d{14}|XK\d{2}-\d{3}-?\d{4,5}|QS\d{12})(?![0-9])|(?:许可证|生产许可|备案证?|执照)"
    + _LABEL
    + r"(?P<number>(?=[A-Z]*\d)[A-Z0-9-]{6,24})"
)
_ORDER = re.compile(
    rf"(?:订单|(?<!工)单号|运单|快递单|订货单|交易单|流水|小票|团购券|券码|合同编?号|预订|预约单?|结账单|票号|收据){_LABEL}(?P<number>(?=[A-Za-z-]*\d)[A-Za-z0-9][A-Za-z0-9-]{{4,32}})(?![A-Za-z0-9])"
)
_LOT = re.compile(
    rf"(?:批号|批次|生产批|产品批|批){_LABEL}(?P<number>(?=[A-Za-z-]*\d)[A-Za-z0-9][A-Za-z0-9-]{{3,23}})(?![A-Za-z0-9])"
)
_TICKET = re.compile(
    rf"(?:工单|登记编?号?|受理编?号?|投诉编?号?|投诉单|举报编?号?|举报单|编号|查询码|回执|受理单|诉求编号|案件编?号?|件号|督办单|转办单|处理单){_LABEL}(?P<number>(?=[A-Za-z-]*\d)[A-Za-z0-9][A-Za-z0-9-]{{4,32}})(?![A-Za-z0-9])"
)


_MANY_DIGITS = re.compile(r"\d{3}")


def _numbers(text: str) -> Iterator[Fact]:
    seen: list[tuple[int, int]] = []
    if not _MANY_DIGITS.search(text):
        return
    for kind, pattern in (
        ("approval_no", _APPROVAL), ("licence_no", _LICENCE), ("lot_no", _LOT), ("order_no", _ORDER), ("ticket", _TICKET), ("uscc", _USCC),
    ):  # fmt: skip
        for match in pattern.finditer(text):
            start, end = match.span("number" if match.groupdict().get("number") else 0)
            if kind == "uscc" and text[start:end].isdigit() and "代码" not in text[max(0, start - 10) : start]:
                continue  # eighteen digits alone are anybody's number
            if not any(start < e and s < end for s, e in seen):
                seen.append((start, end))
                yield Fact(kind, start, end, text[start:end])
