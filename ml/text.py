"""Text as the service compares it: normalised, masked, cut into words, weighed.

Personal data is masked here before any feature is made of a text, so no vector, key or title can carry it.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import rjieba

MAX_TERMS = 160
LEAD_CHARACTERS = 30
LEAD_EMPHASIS = 2.5
PAIR_EMPHASIS = 0.5
PAIR_RATE = 0.1

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff\ud800-\udfff]")
_SPACE = re.compile(r"\s+")
_FULL_WIDTH = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3000: 0x20}

# Longest first: an ID number contains what looks like a phone number. Numbers of orders, lots and files are no accounts.
_PERSONAL = (
    ("email", re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")),
    ("id_no", re.compile(r"(?<![0-9A-Za-z])\d{3}[ -]?\d{3}[ -]?(?:18|19|20)\d{2}[ -]?[\d*]{4}[ -]?[\d*]{0,3}[\dXx](?![0-9A-Za-z])")),
    ("id_no", re.compile(r"护照(?:号码?)?\s*[:：为是]?\s*([A-Za-z]{1,2}\d{7,8})(?![0-9A-Za-z])")),
    ("account", re.compile(r"(?<!\d)(?<![单批证编件][号码])(?<![单批证编件][号码][:：是为 ])(?<!编号[:：是为 ])(?<!编号)(?:\d{16,19}|\d{4}(?:[ -]\d{4}){3}(?:[ -]?\d{1,3})?)(?!\d)")),
    ("phone", re.compile(r"(?<![\dA-Za-z])(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?[\d*]{4}){2}(?!\d)")),
    ("phone", re.compile(r"(?<!\d)0\d{2,3}[- ]?\d{7,8}(?!\d)")),
    ("account", re.compile(r"(?i)(?:微信号?|vx|wx|QQ号?)\s*[:：为是]?\s*([A-Za-z0-9_-]{5,20})")),
    ("plate", re.compile(r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z][A-Z0-9]{5,6}(?![A-Z0-9])")),
    ("name", re.compile(r"(?:我叫|我是|本人|姓名[:：]?|联系人[:：]?)\s*([\u4e00-\u9fa5]{2,3})(?=[，,。；;、（(\s]|电话|身份)")),
)  # fmt: skip
# How much of each is shown: characters at the head and at the tail.
_SHOWN = {"email": (1, 0), "id_no": (3, 0), "account": (0, 4), "phone": (3, 4), "plate": (2, 0), "name": (1, 0)}
_MASK = "*"
# Nothing of _PERSONAL can match without one of these: most texts need no further look.
_HINT = re.compile(
    r"\d{5}|\d[\d* -]{6}|@|我叫|我是|本人|姓名|联系人|微信|(?i:vx|wx|qq)|[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣桂甘晋蒙陕吉闽贵粤青藏川宁琼鄂][A-Z]"
)

_NUMBERS = re.compile(r"\d{4}年\d{1,2}月\d{1,2}[日号]?|\d{1,2}月\d{1,2}[日号]|\d+(?:\.\d+)?[元块万]?")
_WORD = re.compile(r"[\u4e00-\u9fa5A-Za-z0-9]+")
_DIGITS = re.compile(r"\d{5,}|\d+\.\d+")

# Words of every complaint: they say that somebody complains, not about what.
STOPWORDS = frozenset(
    ["投诉", "举报", "反映", "来电", "来电人", "消费者", "消费", "市民", "诉求人", "诉求", "要求", "商家", "店家", "商户", "对方", "客服", "工作人员", "希望", "请求", "有关", "部门", "有关部门", "相关部门", "相关", "处理", "解决", "答复", "核实", "查处", "依法", "退款", "退还", "退货", "费用", "联系", "多次", "沟通", "协商", "反复", "一直", "至今", "没有", "我们", "他们", "你们", "本人", "自己", "这个", "那个", "什么", "怎么", "因为", "所以", "但是", "而且", "然后", "现在", "当时", "之后", "以后", "之前", "结果", "已经", "还是", "就是", "不是", "可以", "可能", "应该", "需要", "进行", "问题", "情况", "事情", "今天", "昨天", "昨晚", "近日", "最近", "前天", "上周", "下午", "上午", "晚上", "时候", "时间", "一个", "一次", "一些", "好多", "很多", "大家", "购买", "下单", "付款", "支付", "花了", "买了", "买的", "订单", "订单号", "店铺", "公司", "有限公司", "有限责任公司", "市场", "监管", "监督", "管理", "维权", "权益", "政府", "领导", "尊敬", "你好", "您好", "谢谢", "感谢", "敬请", "望予", "重视", "尽快", "帮助", "帮忙", "支持", "办理", "存在", "行为", "违法", "违规", "严重", "强烈", "非常", "特别", "服务", "态度", "恶劣", "互相", "推诿", "证据", "证明", "作证", "录音", "聊天记录", "小票", "发票", "孩子", "老人", "家里", "一家", "地方", "这里", "那里", "附近", "说法", "介入", "为什么", "是否", "不能", "不让", "不给", "只有", "还有", "如果", "这样", "这种", "那么", "以及", "或者", "并且", "关于", "对于", "根据", "按照", "通过", "由于", "为了", "作为", "其他", "目前", "先生", "女士", "电话", "姓名", "证件号", "账号", "邮箱", "车牌"]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Normal:
    """A normalised text and where its characters stood: offsets[i] in the original, None where nothing moved."""

    text: str
    offsets: tuple[int, ...] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """[start, end) of the normalised text as a span of the original."""
        if self.offsets is None or start >= end:
            return start, end
        return self.offsets[start], self.offsets[end - 1] + 1


def align(text: str) -> Normal:
    """NFKC, control characters out, white space folded; knows where everything came from."""
    plain = text.translate(_FULL_WIDTH)
    if unicodedata.is_normalized("NFKC", plain) and not _CONTROL.search(plain):
        folded = _SPACE.sub(" ", plain)
        if len(folded) == len(plain) and folded.strip() == folded:
            return Normal(folded, None)
    characters: list[str] = []
    offsets: list[int] = []
    for place, original in enumerate(text):
        for character in unicodedata.normalize("NFKC", _CONTROL.sub("", original)):
            spaced = character.isspace()
            if spaced and (not characters or characters[-1] == " "):
                continue
            characters.append(" " if spaced else character)
            offsets.append(place)
    if characters and characters[-1] == " ":
        characters.pop()
        offsets.pop()
    return Normal("".join(characters), tuple(offsets))


def lowered(text: str) -> str:
    """Lower case, character by character of the same length: some capitals have two small letters."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def normalise(text: str) -> str:
    """NFKC, control characters out, white space folded."""
    return align(text).text


@dataclass(frozen=True, slots=True)
class Personal:
    """Personal data in a text: its kind (email, id_no, account, phone, plate, name) and its span."""

    kind: str
    start: int
    end: int


def find_personal(text: str) -> list[Personal]:
    """Phones, identity numbers, cards, mail addresses, plates and self-introductions, in order, never overlapping."""
    found: list[Personal] = []
    if not _HINT.search(text):
        return found
    for kind, pattern in _PERSONAL:
        for match in pattern.finditer(text):
            start, end = match.span(match.lastindex or 0)
            if not any(start < f.end and f.start < end for f in found):
                found.append(Personal(kind, start, end))
    return sorted(found, key=lambda f: f.start)


def mask_personal(text: str) -> str:
    """As people read it: 138****1234. The length stays, so spans of the text as given keep their places."""
    normal = align(text)
    for found in find_personal(normal.text):
        start, end = normal.original(found.start, found.end)
        head, tail = _SHOWN[found.kind]
        head, tail = (head, tail) if end - start > head + tail else (0, 0)
        hidden = text[start : start + head] + _MASK * (end - start - head - tail) + text[end - tail : end]
        text = text[:start] + hidden + text[end:]
    return text


def mask_values(text: str, values: Iterable[str]) -> str:
    """Masks these values wherever the text repeats them, in full or half width. The length stays."""
    normal = align(text)
    for value in values:
        written = normalise(value)
        place = normal.text.find(written) if written else -1
        while place >= 0:
            start, end = normal.original(place, place + len(written))
            text = text[:start] + _MASK * (end - start) + text[end:]
            place = normal.text.find(written, place + len(written))
    return text


def blank_personal(text: str, personal: Sequence[Personal]) -> str:
    """As machines compare it: nothing of it is left. The length stays."""
    for found in personal:
        text = text[: found.start] + _MASK * (found.end - found.start) + text[found.end :]
    return text


def tokenise(text: str) -> list[str]:
    return list(rjieba.cut(text))


@dataclass(frozen=True, slots=True)
class Term:
    """emphasis: how much the text is about it, 1 and more. rate: share of texts expected to hold it, before any were
    counted. name: no dictionary word, so likely a brand, a place or a person's invention."""

    emphasis: float
    rate: float
    name: bool


def terms(text: str) -> dict[str, Term]:
    """Content terms of a masked text: words of two characters and more, and each pair of neighbouring words (names
    that no dictionary knows are cut in two: 丽发|新城). A term that returns, or that stands in the opening words, says
    what the text is about. At most MAX_TERMS, in order of first appearance."""
    emphases: dict[str, float] = {}
    rates: dict[str, float] = {}
    names: set[str] = set()
    position = 0
    for sentence in _WORD.findall(_NUMBERS.sub(_keep_short, text)):
        previous = ""
        for word in tokenise(sentence):
            position += len(word)
            content = word not in STOPWORDS and not _DIGITS.fullmatch(word)
            emphasis = LEAD_EMPHASIS if position <= LEAD_CHARACTERS else 1.0
            if content and len(word) >= 2:
                emphases[word] = emphases.get(word, 0.0) + emphasis
                rates[word] = common_rate(word)
                if not is_known(word):
                    names.add(word)
            if content and previous and 3 <= len(previous) + len(word) <= 10:
                pair = previous + word
                emphases[pair] = emphases.get(pair, 0.0) + emphasis * PAIR_EMPHASIS
                # Two words meet by more than chance: rarer than either, but no hapax.
                rates[pair] = min(common_rate(previous), common_rate(word)) * PAIR_RATE
                if not (is_known(previous) and is_known(word)) or pair[0].isdigit():
                    names.add(pair)
            previous = word if content else ""
        if len(emphases) >= MAX_TERMS:
            break
    return {t: Term(e**0.5, rates[t], t in names) for t, e in list(emphases.items())[:MAX_TERMS]}


def _keep_short(number: re.Match[str]) -> str:
    """58车贷 is a name, 12800元 is not."""
    return number.group() if len(number.group()) <= 3 else " "


@lru_cache(maxsize=100_000)
def common_rate(word: str) -> float:
    """Share of texts expected to hold a word, from the tokenizer's general dictionary; unknown words are rare."""
    return min(0.5, max(_dictionary().get(word, 0), 1) / 60_101_967 * 80)


# What the tokenizer makes of a phrase it can't cut (打了几次) is no name.
_FUNCTION = frozenset(
    "的了在是我你他她它有和就不都也很到说要去会着没好这那吗呢嘛啊呀次打几点做弄搬个只把被让给还再又才能可以么怎想请问"
)


def is_known(word: str) -> bool:
    """In the dictionary, or not a name by its looks."""
    return len(word) == 1 or word in _dictionary() or word.isascii() or not _FUNCTION.isdisjoint(word)


@lru_cache(maxsize=1)
def _dictionary() -> Mapping[str, int]:
    import jieba  # half a second: only when a weight is first asked for

    frequencies: dict[str, int] = {}
    with jieba.get_module_res("dict.txt") as lines:
        for line in lines:
            word, frequency, *_ = line.decode("utf-8").split(" ")
            frequencies[word] = int(frequency)
    return frequencies


def weight(rate: float) -> float:
    """Information of a term that appears in this share of texts, in bits, at most 14."""
    return min(14.0, -math.log2(max(rate, 1e-6)))


# -- wording as a whole: near-identical letters, whoever sends them and about whom

_SHINGLE = 4  # characters
_BANDS, _ROWS = 5, 3
_LEAST_SHINGLES = 24  # a sentence or two: shorter texts are alike by chance
_LETTERS = re.compile(r"[^\u4e00-\u9fa5A-Za-z]+")


class Signer:
    """Signatures of texts under one key: minima over their overlapping pieces of four characters, by fifteen keyed orders. Two texts share
    as large a part of their minima as of their pieces (MinHash, Broder 1997). Numbers are left out: amounts and days differ between
    copies of one letter."""

    def __init__(self, mac: Callable[[bytes], bytes]) -> None:
        drawn = np.array(
            [[int.from_bytes(mac(f"signature|{n}|{c}".encode())[:8], "big") for n in range(_BANDS * _ROWS)] for c in "ab"], dtype=np.uint64
        )  # fmt: skip
        self._factors, self._terms = drawn[0] | np.uint64(1), drawn[1]

    def sign(self, masked: str) -> tuple[int, ...]:
        """Fifteen integers; none for a text too short to be like another by more than chance."""
        letters = _LETTERS.sub("", masked)
        if len(letters) < _LEAST_SHINGLES + _SHINGLE - 1:
            return ()
        points = np.frombuffer(letters.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
        pieces = points[: len(points) - _SHINGLE + 1].copy()
        for place in range(1, _SHINGLE):
            pieces = pieces * np.uint64(0x110000) + points[place : len(points) - _SHINGLE + 1 + place]
        pieces = np.unique(pieces)
        if len(pieces) < _LEAST_SHINGLES:
            return ()
        mixed = pieces[:, None] * self._factors + self._terms
        mixed ^= mixed >> np.uint64(31)
        mixed *= self._factors
        return tuple(mixed.min(axis=0).view(np.int64).tolist())


def bands(signature: Sequence[int]) -> list[int]:
    """Keys by which texts as good as identical find each other: of a pair that shares four fifths of its pieces 97 in 100."""
    found = []
    for band in range(0, len(signature), _ROWS):
        mixed = band
        for minimum in signature[band : band + _ROWS]:
            mixed = (mixed * 0x9E3779B97F4A7C15 + minimum) & 0xFFFFFFFFFFFFFFFF
        found.append(mixed - (1 << 64) if mixed >> 63 else mixed)
    return found


def shared_wording(one: Sequence[int], other: Sequence[int]) -> float:
    """Share of two texts' pieces that both have, as their signatures estimate it, in 0..1."""
    if not one or len(one) != len(other):
        return 0.0
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
