"""Comparable features of a complainant as keyed 64-bit integers.

A token is the first 58 bits of a keyed hash of (field | value) followed by 6 bits that name the field, so one integer array
carries a whole record, comparison is equality and nothing can be read back without the key. A value that many people share
(a surname, a district) never stands alone: its frequency would betray it. It is joined with another value first.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import phonenumbers
from opencc import OpenCC
from pypinyin import lazy_pinyin
from stdnum.cn import ric
from stdnum.exceptions import ValidationError

TOKEN_VERSION = 2
MAX_KEYS = 12

Mac = Callable[[bytes], bytes]


class Field(IntEnum):
    """What a token compares. The number is stored in every token: never renumber, never use again."""

    NAME = 1
    NAME_PINYIN = 2
    NAME_LESS_ONE = 3  # one character or part left out
    NAME_MASKED = 4  # 王*明 with the district
    PHONE = 5
    PHONE_MASKED = 6  # first three and last four digits
    ID = 7  # a resident identity number with a right check digit
    ID_HEAD = 8  # region and birth
    ID_TAIL = 9  # birth and sequence
    ID_MASKED = 10  # region and last four
    WECHAT = 11
    EMAIL = 12
    ADDRESS = 13  # house or estate, building and room
    ACCOUNT = 14
    DEVICE = 15
    OPENID = 16
    # 17 was surname and district in version 1: ranking its tokens within a district gave surnames away.
    PHONE_SURNAME = 18
    PASSPORT = 21  # passports, permits: numbers without a check digit, which never contradict an identity number
    STREET = 22  # street and house number
    # A date of birth, and with one part of it left out.
    BIRTH = 25
    BIRTH_LESS_ONE = 26
    BIRTH_PLACE = 27
    POSTCODE = 28
    POSTCODE_AREA = 29
    OCCUPATION = 30
    GENDER = 31
    # Names in letters: by word.
    FORENAME = 32
    FORENAME_NEAR = 33
    SURNAME = 34
    SURNAME_NEAR = 35
    WORDS = 36  # any two words of the name
    BIRTH_POSTCODE = 38
    # 40, 41: the name itself with district or city, in version 1.
    MASKED_PHONE_SURNAME = 42
    PINYIN_DISTRICT = 43
    # Only looked up, never compared: two weak values that are selective together.
    PAIR = 44
    PINYIN_CITY = 45


# The fields candidates are looked up by, the most telling first: beyond MAX_KEYS the rest is left out.
KEY_FIELDS = (
    Field.ID, Field.PHONE, Field.OPENID, Field.ACCOUNT, Field.PASSPORT, Field.WECHAT, Field.EMAIL, Field.DEVICE, Field.PINYIN_DISTRICT,
    Field.ADDRESS, Field.MASKED_PHONE_SURNAME, Field.ID_MASKED, Field.ID_HEAD, Field.ID_TAIL, Field.PINYIN_CITY,
    Field.WORDS, Field.BIRTH_POSTCODE, Field.PAIR,
)  # fmt: skip
_PREFIX = [b"%d|%d|" % (TOKEN_VERSION, number) for number in range(64)]
_KEY_RANK = {field: rank for rank, field in enumerate(KEY_FIELDS)}

# What of a person is compared, by the name the fields have in a complaint and in files.
PERSON_FIELDS = (
    "name", "id_no", "phone", "openid", "wechat", "email", "account", "device", "province", "city", "district", "address", "birth_date",
    "birth_place", "postcode", "occupation", "gender",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one record. keys: at most MAX_KEYS, indexed, also in comparison. comparison: ascending, not indexed."""

    keys: tuple[int, ...] = ()
    comparison: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.comparison)


def field_of(token: int) -> Field:
    return Field(token & 0x3F)


def keys_among(comparison: Iterable[int]) -> tuple[int, ...]:
    """The keys of a record, found again from its comparison tokens."""
    ranked = sorted((rank, t) for t in comparison if (rank := _KEY_RANK.get(t & 0x3F)) is not None)  # type: ignore[call-overload]
    return tuple(t for _, t in ranked[:MAX_KEYS])


class Tokeniser:
    """Makes tokens with one key. mac: a keyed hash of a byte string (HMAC-SM3 under the deployment's token key)."""

    def __init__(self, mac: Mac, *, use_devices: bool = False) -> None:
        self._mac = mac
        # Device and openid identify people who never gave them for this: only where the impact assessment allows.
        self._use_devices = use_devices

    def token(self, field: Field, value: str) -> int:
        digest = self._mac(_PREFIX[field] + value.encode("utf-8", "replace"))
        return (int.from_bytes(digest[:8], "big", signed=True) & ~0x3F) | field

    def opaque(self, kind: str, value: str) -> int:
        """A keyed integer of any other text (an incident's term or place), apart from people's tokens."""
        digest = self._mac(f"{kind}|{value}".encode("utf-8", "replace"))
        return int.from_bytes(digest[:8], "big", signed=True)

    def person(self, person: Mapping[str, str | None]) -> Tokens:
        """Tokens of what PERSON_FIELDS name; absent, empty and meaningless values give none."""
        comparison = {self.token(field, value) for field, value in features(person, use_devices=self._use_devices)}
        return Tokens(keys_among(comparison), tuple(sorted(comparison)))

    def people(self, records: Iterable[Mapping[str, str | None]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(record number, token) of many records' comparison tokens, ascending and without doubles."""
        mac, devices, prefix = self._mac, self._use_devices, _PREFIX
        digests: list[bytes] = []
        fields: list[int] = []
        counts: list[int] = []
        for person in records:
            found = features(person, use_devices=devices)
            for field, value in found:
                digests.append(mac(prefix[field] + value.encode("utf-8", "replace")))
                fields.append(field)
            counts.append(len(found))
        numbers = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        tokens = (_leading(digests) & ~0x3F) | np.array(fields, dtype=np.int64)
        order = np.lexsort((tokens, numbers))
        numbers, tokens = numbers[order], tokens[order]
        fresh = np.ones(len(tokens), dtype=bool)
        fresh[1:] = (numbers[1:] != numbers[:-1]) | (tokens[1:] != tokens[:-1])
        return numbers[fresh], tokens[fresh]


def _leading(digests: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """The first eight bytes of each, as a signed number."""
    width = len(digests[0]) // 8 if digests else 1
    found: npt.NDArray[np.int64] = np.frombuffer(b"".join(digests), ">i8").reshape(-1, width)[:, 0].astype(np.int64)
    return found


def features(person: Mapping[str, str | None], *, use_devices: bool = False) -> list[tuple[Field, str]]:
    """(field, normalised value) of everything of a record that can be compared. The only place that says what is."""
    get = person.get
    found: list[tuple[Field, str]] = []
    put = found.append
    address = read_address(get("address"), get("city"), get("district"))
    city = _place(get("city"))
    place = _place(get("district")) or address.district or city
    name = read_name(get("name"))
    if name.words:
        _put_words(name, put)
    else:
        _put_name(name, place, city, put)
    surname = sound(name.surname)
    for phone in read_phones(get("phone")):
        _put_phone(phone, surname, put)
    _put_id(get("id_no"), put)
    if wechat := _identifier(get("wechat")):
        put((Field.WECHAT, wechat))
    if (email := _identifier(get("email"))) and "@" in email:
        put((Field.EMAIL, email))
    if account := _plain(get("account")):
        put((Field.ACCOUNT, account))
    if use_devices:
        if device := _identifier(get("device")):
            put((Field.DEVICE, device))
        if openid := _plain(get("openid")):
            put((Field.OPENID, openid))
    for room in address.rooms:
        put((Field.ADDRESS, room))
    if address.street:
        put((Field.STREET, address.street))
    if get("birth_date") or get("postcode") or get("birth_place") or get("occupation") or get("gender"):
        _put_biography(person, name, put)
    return found


def _put_name(name: "Name", place: str, city: str, put: Callable[[tuple[Field, str]], None]) -> None:
    if name.full:
        put((Field.NAME, name.full))
        put((Field.NAME_PINYIN, name.sound))
        if place:
            put((Field.PINYIN_DISTRICT, f"{name.sound}|{place}"))
        if city:
            put((Field.PINYIN_CITY, f"{name.sound}|{city}"))
    for rest in name.less_one:
        put((Field.NAME_LESS_ONE, rest))
    if name.masked and place:
        put((Field.NAME_MASKED, f"{name.masked}|{place}"))


def _put_phone(phone: "Phone", surname: str, put: Callable[[tuple[Field, str]], None]) -> None:
    if phone.number:
        put((Field.PHONE, phone.number))
        if surname:
            put((Field.PHONE_SURNAME, f"{surname}|{phone.number}"))
    if phone.masked:
        put((Field.PHONE_MASKED, phone.masked))
        if surname:
            put((Field.MASKED_PHONE_SURNAME, f"{phone.masked}|{surname}"))


def _put_id(value: str | None, put: Callable[[tuple[Field, str]], None]) -> None:
    number = read_id(value)
    if number.other:
        put((Field.PASSPORT, number.other))
    if number.whole:
        put((Field.ID, number.whole))
    if number.head:
        put((Field.ID_HEAD, number.head))
        put((Field.ID_TAIL, number.tail))
    if number.masked:
        put((Field.ID_MASKED, number.masked))


def _put_words(name: "Name", put: Callable[[tuple[Field, str]], None]) -> None:
    """A name in letters, word by word."""
    first, last = name.words[0], name.words[-1]
    put((Field.FORENAME, first))
    for near in _near(first):
        put((Field.FORENAME_NEAR, near))
    if last != first:
        put((Field.SURNAME, last))
        for near in _near(last):
            put((Field.SURNAME_NEAR, near))
    for a, b in combinations(sorted(set(name.words))[:5], 2):
        put((Field.WORDS, f"{a}|{b}"))


def _put_biography(person: Mapping[str, str | None], name: "Name", put: Callable[[tuple[Field, str]], None]) -> None:
    """What files about people hold beside contacts. Single values are weak: candidates are looked up by two together."""
    birth = "-".join(_DIGITS.findall(person.get("birth_date") or ""))[:10]
    postcode = _identifier(person.get("postcode"))
    birth_place = _identifier((person.get("birth_place") or "").partition(",")[0])
    occupation, gender = _identifier(person.get("occupation")), _plain(person.get("gender")).lower()
    if birth:
        put((Field.BIRTH, birth))
        for parts in combinations(birth.split("-"), 2):
            put((Field.BIRTH_LESS_ONE, "-".join(parts)))
    for field, value in (
        (Field.POSTCODE, postcode), (Field.POSTCODE_AREA, postcode[: len(postcode) // 2]), (Field.BIRTH_PLACE, birth_place),
        (Field.OCCUPATION, occupation), (Field.GENDER, gender),
    ):  # fmt: skip
        if value:
            put((field, value))
    names = [("f", name.words[0]), ("s", name.words[-1])] if name.words else [("n", name.full)] if name.full else []
    for a, b in combinations([*names, ("b", birth), ("p", postcode), ("l", birth_place)], 2):
        if a[1] and b[1]:
            put((Field.BIRTH_POSTCODE if a[0] + b[0] == "bp" else Field.PAIR, f"{a}{b}"))


# -- values that every reader below takes as nothing

_DIGITS = re.compile(r"\d+")
_NOTHING = frozenset({
    "匿名", "匿名用户", "不愿透露", "无", "没有", "不详", "未知", "未提供", "测试", "保密", "某某", "某人", "市民", "群众", "消费者", "投诉人", "举报人",
    "热心市民", "先生", "女士", "null", "none", "n/a", "na", "nan", "unknown", "-", "--", "/", "0", "test",
})  # fmt: skip
_LONGEST_NOTHING = max(map(len, _NOTHING))


def _plain(value: str | None) -> str:
    """Without white space, full-width signs as plain ones; fillers are empty."""
    if not value:
        return ""
    if value.isalnum() and value.isascii():  # most numbers and identifiers
        return value[:200] if len(value) > _LONGEST_NOTHING or value.lower() not in _NOTHING else ""
    if not value.isascii() and not unicodedata.is_normalized("NFKC", value):
        value = unicodedata.normalize("NFKC", value)
    text = "".join(value.split())[:200]
    return "" if len(text) <= _LONGEST_NOTHING and text.lower() in _NOTHING else text


def _identifier(value: str | None) -> str:
    text = _plain(value).lower()
    return text if len(text) > 2 else ""


# -- names


class Name(NamedTuple):
    """full: simplified characters without dots, or empty where the name isn't whole. less_one: full, and full with one
    character or part left out. masked: 王*明 of a whole name or as written. words: of a name in letters."""

    full: str = ""
    surname: str = ""
    sound: str = ""
    less_one: tuple[str, ...] = ()
    masked: str = ""
    words: tuple[str, ...] = ()


_TITLE = re.compile(r"(?:先生|女士|小姐|老师|大姐|大哥|大爷|大妈|阿姨|叔叔|同志|师傅|太太|经理|医生|老板)$")
_DOT = re.compile(r"[·•・‧∙⋅。.．●]")
_MASK = re.compile(r"[*xX某×○□?]")
_HANZI = re.compile(r"[\u3400-\u9fff]+")
_MASKED_NAME = re.compile(r"[\u3400-\u9fff*]*[\u3400-\u9fff][\u3400-\u9fff*]*")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_PARTICLES = frozenset(
    {"of", "the", "and", "de", "la", "von", "van", "der", "den", "sir", "dr", "mr", "mrs", "ms", "st", "nd", "rd", "th"}
)
_COMPOUND = frozenset(
    [
        "欧阳",
        "上官",
        "司马",
        "诸葛",
        "夏侯",
        "司徒",
        "皇甫",
        "尉迟",
        "公孙",
        "慕容",
        "长孙",
        "宇文",
        "令狐",
        "东方",
        "独孤",
        "南宫",
        "轩辕",
        "钟离",
        "闻人",
        "申屠",
        "太史",
        "端木",
        "百里",
        "呼延",
        "东郭",
        "西门",
        "濮阳",
        "淳于",
        "单于",
        "公冶",
        "宗政",
        "赫连",
        "澹台",
        "鲜于",
        "闾丘",
        "司空",
        "仲孙",
        "万俟",
        "拓跋",
        "完颜",
        "纳兰",
    ]
)
_MAX_NAME = 40
_NO_NAME = Name()


@lru_cache(maxsize=1)
def _simplified() -> dict[int, str]:
    """Traditional character -> simplified one."""
    every = "".join(map(chr, range(0x3400, 0xA000)))
    return {ord(a): b for a, b in zip(every, OpenCC("t2s").convert(every), strict=True) if a != b}


@lru_cache(maxsize=50_000)
def pinyin(text: str) -> str:
    """Toneless syllables, with the pairs that southern speakers don't tell apart folded (zh-z, ng-n, l-n)."""
    folded = (re.sub(r"^([zcs])h", r"\1", s).replace("ng", "n") for s in lazy_pinyin(text))
    return " ".join("n" + s[1:] if s.startswith("l") else s for s in folded)


@lru_cache(maxsize=200_000)
def sound(name: str) -> str:
    """Character by character: in a name no word tells how a character is read."""
    return " ".join(map(pinyin, name))


@lru_cache(maxsize=200_000)
def read_name(value: str | None) -> Name:
    """王先生 -> a surname only; 王*明 -> masked; 張偉 -> 张伟; 阿依古丽·买买提 -> without the dot, its parts as less_one.
    Fillers, and anything without a letter or a character, give an empty Name."""
    written = _plain(value).translate(_simplified())[:_MAX_NAME]
    if not written:
        return _NO_NAME
    if not _HANZI.search(written):
        return _read_words(value or "")
    parts = [p for p in _DOT.split(written) if p]
    name = "".join(parts)
    untitled = _MASK.sub("*", _TITLE.sub("", name))
    if _HANZI.fullmatch(untitled):
        if len(untitled) == 1 or untitled in _COMPOUND:
            return Name(surname=untitled)
        surname = untitled[:2] if len(untitled) > 2 and untitled[:2] in _COMPOUND else untitled[0]
        if len(parts) > 1:
            rests = ["".join(parts[:i] + parts[i + 1 :]) for i in range(len(parts))]
        elif len(untitled) > 2:
            rests = [untitled[:i] + untitled[i + 1 :] for i in range(min(len(untitled), 8))]
        else:
            rests = []
        rests.append(untitled)  # so that the name itself meets one that has a character more
        return Name(untitled, surname, sound(untitled), tuple(dict.fromkeys(rests)), _masked(untitled, surname))
    if not _MASKED_NAME.fullmatch(untitled):
        return _NO_NAME
    surname = untitled[:2] if untitled[:2] in _COMPOUND else untitled[0]
    if surname == "*":  # *小明: what is left is the name less its first character
        rest = untitled.strip("*")
        return Name(less_one=(rest,)) if len(rest) > 1 and untitled.count("*") == 1 else _NO_NAME
    return Name(surname=surname, masked=_masked(untitled, surname))


def _masked(name: str, surname: str) -> str:
    """王小明 and 王*明 -> 王*明; empty where nothing but the surname would be left: 王*, 张伟."""
    return f"{surname}*{name[-1]}" if len(name) > len(surname) + 1 and name[-1] != "*" else ""


def _read_words(value: str) -> Name:
    words = tuple(
        w for w in _WORD.findall(unicodedata.normalize("NFKC", value)[:200].casefold()) if len(w) > 1 and w not in _PARTICLES
    )
    return Name(full=" ".join(words), words=words) if words and words[0] not in _NOTHING else _NO_NAME


def _near(word: str) -> list[str]:
    """The word and all with one letter left out: two words that share one are a slip apart."""
    return [word, *(word[:i] + word[i + 1 :] for i in range(min(len(word), 10)))] if len(word) > 3 else []


# -- phones


class Phone(NamedTuple):
    """number: digits, mobile or landline with area code. masked: first three and last four of a mobile number."""

    number: str = ""
    masked: str = ""


_MOBILE = re.compile(r"(?:\+?(?:0{0,2}86)?)?(1[3-9]\d{9})")
_MASKED_PHONE = re.compile(r"(?:\+?86)?(1[3-9]\d)[*xX×]{3,6}(\d{4})")
_LANDLINE = re.compile(r"(0[1-9]\d{1,2})(\d{7,8})")
_EXTENSION = re.compile(r"(?:转|分机|ext\.?|[-#])(?:\d{1,6})$", re.IGNORECASE)
_ANY_MOBILE = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
_SEVERAL = re.compile(r"[/,、，;；]|或")
_NOT_DIGITS = re.compile(r"[\s\-()（）.·_]")
_LETTERS_FOR_DIGITS = str.maketrans("OoIl", "0011")
# Numbers that forms show as examples or that people type to get past a field.
_NOBODYS = frozenset({"13800138000", "13800138001", "13912345678", "13123456789", "15912345678", "18812345678"})
_MAX_PHONE = 60


@lru_cache(maxsize=200_000)
def read_phones(value: str | None) -> tuple[Phone, ...]:
    """Formats, full-width digits, +86, extensions, masks, two numbers in one field. Hotlines, service lines and placeholders
    are nobody's and give nothing."""
    if not value or len(value) > _MAX_PHONE:
        return ()
    text = value if value.isascii() else unicodedata.normalize("NFKC", value)
    found = [p for part in _SEVERAL.split(text)[:3] if (p := _read_phone(part)) is not None]
    if not found and (embedded := _ANY_MOBILE.search(text)):
        found = [p for p in [_read_phone(embedded.group())] if p]
    return tuple(dict.fromkeys(found))


def _read_phone(text: str) -> Phone | None:
    digits = _NOT_DIGITS.sub("", text)
    if mobile := _MOBILE.fullmatch(digits):
        return _mobile(mobile.group(1))
    if masked := _MASKED_PHONE.fullmatch(digits):
        return Phone(masked=masked.group(1) + masked.group(2))
    if mobile := _MOBILE.fullmatch(digits.translate(_LETTERS_FOR_DIGITS)):
        return _mobile(mobile.group(1))
    whole = _NOT_DIGITS.sub("", _EXTENSION.sub("", text.strip())) if not _LANDLINE.fullmatch(digits) else digits
    for prefix in ("+86", "0086", "86"):
        if whole.startswith(prefix + "0"):
            whole = whole[len(prefix) :]
    if line := _LANDLINE.fullmatch(whole):
        return None if len(set(line.group(2))) == 1 else Phone(line.group(1) + line.group(2))
    if whole.startswith(("+", "00")):
        return _foreign(whole)
    return None


def _mobile(number: str) -> Phone | None:
    if number in _NOBODYS or len(set(number[3:])) == 1:
        return None
    return Phone(number, number[:3] + number[-4:])


def _foreign(text: str) -> Phone | None:
    try:
        number = phonenumbers.parse("+" + text.lstrip("+0"), None)
    except phonenumbers.NumberParseException:
        return None
    return Phone(f"{number.country_code}-{number.national_number}") if phonenumbers.is_valid_number(number) else None


# -- identity numbers


class IdNumber(NamedTuple):
    """whole: 18 digits whose check digit is right. head, tail, masked: parts that a single wrong digit can't spoil all of.
    other: a passport or permit."""

    whole: str = ""
    head: str = ""
    tail: str = ""
    masked: str = ""
    other: str = ""


_NO_ID = IdNumber()
_ID_18 = re.compile(r"\d{17}[\dX]")
_ID_15 = re.compile(r"\d{15}")
_ID_SLIPPED = re.compile(r"\d{16}[\dX]|\d{18}[\dX]")
_ID_MASKED = re.compile(r"(\d{6})\d*\*{2,12}\d*([\dX]{4})")
_OTHER_ID = re.compile(r"[A-Z]{1,2}\d{7,10}|[A-Z]{3}\d{12}|\d{8}")


@lru_cache(maxsize=200_000)
def read_id(value: str | None) -> IdNumber:
    """One wrong digit: the whole can't contradict anybody, its parts still agree. 15 digits are written as 18."""
    raw = _plain(value).upper().replace("-", "").replace("×", "X")
    if not raw or len(raw) > 24:
        return _NO_ID
    if _ID_15.fullmatch(raw):
        raw = raw[:6] + "19" + raw[6:]
        raw += ric.calc_check_digit(raw + "0")
    if _ID_18.fullmatch(raw):
        return IdNumber(raw if _is_valid(raw) else "", raw[:14], raw[6:], raw[:6] + raw[-4:])
    if masked := _ID_MASKED.fullmatch(raw):
        return IdNumber(masked=masked.group(1) + masked.group(2))
    if _ID_SLIPPED.fullmatch(raw):  # a digit lost or doubled
        return IdNumber(head=raw[:14], tail=raw[-12:], masked=raw[:6] + raw[-4:])
    return IdNumber(other=raw) if _OTHER_ID.fullmatch(raw) else _NO_ID


def _is_valid(raw: str) -> bool:
    try:  # not ric.validate: its list of birth places is older than many people's numbers
        ric.get_birth_date(raw)
    except ValidationError:
        return False
    return bool(raw[-1] == ric.calc_check_digit(raw))


# -- places and addresses


class Address(NamedTuple):
    """street: with house number. rooms: the door, by street and by estate. district: where the address names it."""

    street: str = ""
    rooms: tuple[str, ...] = ()
    district: str = ""


_NO_ADDRESS = Address()
_DIGIT = str.maketrans("零〇一二三四五六七八九", "00123456789")
_UNIT = "号楼|号|栋|幢|座|单元|室|楼|层|弄|组|户|房"
_NUMERAL = re.compile(rf"[零〇一二三四五六七八九十百]+(?={_UNIT})")
_PROVINCE = re.compile(r"^.{2,8}?(?:省|自治区)|^(?:北京|上海|天津|重庆)市(?=.)")
_CITY = re.compile(r"^.{2,12}?(?:市|自治州|地区|盟)(?=.)")
_DISTRICT = re.compile(r"^[^\d路街道]{1,14}?(?:自治县|自治旗|新区|开发区|区|县|旗|市)(?=.)")
_STREET = re.compile(r"([\u4e00-\u9fff]{1,12}?(?:大道|大街|路|街|巷|弄|胡同|里|道|村|屯|镇))(\d+)(?:号(?!楼)|弄)?")
_BUILDING = re.compile(
    r"([\u4e00-\u9fffA-Za-z]{2,12}?)([A-Za-z]?\d+|[A-Za-z])(?:号楼|栋|幢|座|-|#)(?:[A-Za-z]?\d+(?:单元|-))?(?:\d+[层楼])?(\d{1,4})?"
)
_SUFFIX = re.compile(r"(?<=..)(?:市|区|县|旗|盟)$")


@lru_cache(maxsize=10_000)
def _place(value: str | None) -> str:
    """洪山区 and 洪山 are one."""
    return _SUFFIX.sub("", _plain(value)) if value else ""


def _number(numeral: re.Match[str]) -> str:
    """二十六 -> 26, 八二 -> 82, 一百零三 -> 103"""
    text = numeral.group()
    if not set(text) & {"十", "百"}:
        return text.translate(_DIGIT)
    hundreds, _, rest = text.rpartition("百")
    tens, ten, ones = rest.rpartition("十")
    return str(
        100 * int(hundreds.translate(_DIGIT) or 0)
        + (10 * int(tens.translate(_DIGIT) or 1) if ten else 0)
        + int(ones.translate(_DIGIT) or 0)
    )


@lru_cache(maxsize=100_000)
def read_address(value: str | None, city: str | None = None, district: str | None = None) -> Address:
    """From the street down, numerals in digits, unit words dropped: 珞喻路八十二号3栋2单元501室 -> street 珞喻路82, room 珞喻路82|3|501.
    A bare street is thousands of people and gives nothing. The unit is left out: half the addresses do."""
    text = _plain(value)[:120]
    if not text:
        return _NO_ADDRESS
    text = _PROVINCE.sub("", text, count=1)
    text = text.removeprefix(city) if city and text.startswith(city) else _CITY.sub("", text, count=1)
    named = ""
    if district and text.startswith(district):
        text = text[len(district) :]
    elif found := _DISTRICT.match(text):
        named, text = found.group(), text[found.end() :]
    text = _NUMERAL.sub(_number, text)
    street = _STREET.match(text) or _STREET.search(text)
    rooms: list[str] = []
    where = ""
    rest = text
    if street:
        where = street.group(1) + street.group(2)
        rest = text[street.end() :]
    building = _BUILDING.search(rest)
    if building and building.group(3):
        rooms.append(f"{building.group(1)}|{building.group(2)}|{building.group(3)}")
    elif where and (numbers := _DIGITS.findall(rest)):
        numbers = numbers[:3] if len(numbers) < 3 else [numbers[0], numbers[-1]]
        rooms.append("|".join([where, *numbers]))
    return Address(where, tuple(rooms), _place(named))
