"""Comparable features of a complainant as keyed 64-bit integers.

A token is the first 58 bits of HMAC-SM3(key, field | value) followed by 6 bits that name the field, so one integer
array carries a whole record, comparison is equality and nothing can be read back without the key. A value that few
people share may stand alone; one that many share (a surname) is always joined with another.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import phonenumbers
from pypinyin import lazy_pinyin
from stdnum.cn import ric
from stdnum.exceptions import ValidationError

TOKEN_VERSION = 1
MAX_KEYS = 12

Mac = Callable[[bytes], bytes]


class Field(IntEnum):
    """What a token compares. The number is stored in every token: never renumber."""

    NAME = 1
    NAME_PINYIN = 2
    NAME_LESS_ONE = 3
    NAME_MASKED = 4
    PHONE = 5
    PHONE_MASKED = 6
    ID = 7
    ID_HEAD = 8
    ID_TAIL = 9
    ID_MASKED = 10
    WECHAT = 11
    EMAIL = 12
    ADDRESS = 13
    ACCOUNT = 14
    DEVICE = 15
    OPENID = 16
    DISTRICT_SURNAME = 17
    PHONE_SURNAME = 18
    # Blocking keys only: joined values that make a frequent name selective.
    KEY_NAME_DISTRICT = 40
    KEY_NAME_CITY = 41
    KEY_MASKED_PHONE_SURNAME = 42
    KEY_PINYIN_DISTRICT = 43


KEY_FIELDS = frozenset(
    {
        Field.PHONE, Field.ID, Field.ID_HEAD, Field.ID_TAIL, Field.WECHAT, Field.EMAIL, Field.ADDRESS, Field.ACCOUNT,
        Field.DEVICE, Field.OPENID, Field.KEY_NAME_DISTRICT, Field.KEY_NAME_CITY, Field.KEY_MASKED_PHONE_SURNAME,
        Field.KEY_PINYIN_DISTRICT,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one record. keys: at most MAX_KEYS, indexed. comparison: not indexed. full_name: a name that can contradict."""

    keys: tuple[int, ...] = ()
    comparison: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.comparison)


def field_of(token: int) -> Field:
    return Field(token & 0x3F)


class Tokeniser:
    """Makes tokens with one key. mac: HMAC-SM3 of a byte string under the deployment's token key."""

    def __init__(self, mac: Mac, *, use_devices: bool = False) -> None:
        self._mac = mac
        # Device and openid identify people who never gave them for this: only where the impact assessment allows.
        self._use_devices = use_devices

    def token(self, field: Field, value: str) -> int:
        digest = self._mac(b"%d|%d|" % (TOKEN_VERSION, field) + value.encode("utf-8", "replace"))
        return (int.from_bytes(digest[:8], "big", signed=True) & ~0x3F) | field

    def opaque(self, kind: str, value: str) -> int:
        """A keyed integer of any other text (an incident's term or place), apart from people's tokens."""
        digest = self._mac(f"{kind}|{value}".encode("utf-8", "replace"))
        return int.from_bytes(digest[:8], "big", signed=True)

    def person(self, person: Mapping[str, str | None]) -> Tokens:
        """Tokens of {name, phone, id_no, wechat, email, account, device, openid, city, district, address}."""
        values: dict[Field, set[str]] = {}

        def put(field: Field, *found: str) -> None:
            values.setdefault(field, set()).update(v for v in found if v)

        name = normalise_name(person.get("name"))
        phone, phone_masked = normalise_phone(person.get("phone"))
        id_no, id_masked = normalise_id(person.get("id_no"))
        place = _plain(person.get("district")) or _plain(person.get("city"))
        address = normalise_address(person.get("address"))
        surname = name[:1] if name else ""

        if is_full_name(name):
            put(Field.NAME, name)
            put(Field.NAME_PINYIN, pinyin(name))
            if len(name) >= 3:
                put(Field.NAME_LESS_ONE, *(name[:i] + name[i + 1 :] for i in range(len(name))))
        if len(name) >= 2 and place and (name[-1] not in "*某生士"):
            put(Field.NAME_MASKED, f"{surname}*{name[-1]}|{place}")
        if surname and place:
            put(Field.DISTRICT_SURNAME, f"{surname}|{place}")
        if phone:
            put(Field.PHONE, phone)
            if surname:
                put(Field.PHONE_SURNAME, f"{pinyin(surname)}|{phone}")
        if phone_masked:
            put(Field.PHONE_MASKED, phone_masked)
        if id_no:
            put(Field.ID, id_no)
            put(Field.ID_HEAD, id_no[:14])
            put(Field.ID_TAIL, id_no[6:])
        if id_masked:
            put(Field.ID_MASKED, id_masked)
        put(Field.WECHAT, _plain(person.get("wechat")).lower())
        put(Field.EMAIL, _plain(person.get("email")).lower())
        put(Field.ACCOUNT, _plain(person.get("account")))
        put(Field.ADDRESS, address)
        if self._use_devices:
            put(Field.DEVICE, _plain(person.get("device")))
            put(Field.OPENID, _plain(person.get("openid")))
        comparison = {self.token(field, value) for field, found in values.items() for value in found}

        city = _plain(person.get("city"))
        if is_full_name(name):
            if place:
                put(Field.KEY_NAME_DISTRICT, f"{name}|{place}")
                put(Field.KEY_PINYIN_DISTRICT, f"{pinyin(name)}|{place}")
            if city:
                put(Field.KEY_NAME_CITY, f"{name}|{city}")
        if phone_masked and surname:
            put(Field.KEY_MASKED_PHONE_SURNAME, f"{phone_masked}|{surname}")
        keys = [
            self.token(field, value) for field, found in sorted(values.items()) if field in KEY_FIELDS for value in sorted(found)
        ]
        return Tokens(tuple(keys[:MAX_KEYS]), tuple(sorted(comparison)))


_TITLE = re.compile(r"(?:先生|女士|小姐|老师|大姐|阿姨|同志|师傅)$")
_HANZI_NAME = re.compile(r"[\u4e00-\u9fa5·]+")
_FILLER = frozenset({"匿名", "无", "不详", "未知", "测试", "保密", "某某", "null", "none", "-", "先生", "女士"})


def _plain(value: str | None) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", value)) if value else ""


def normalise_name(value: str | None) -> str:
    """王先生 -> 王 (a surname is not a name), 王*明 -> 王*明, fillers -> empty."""
    name = _plain(value).replace("•", "·").replace("・", "·").replace(".", "·")[:40]
    if name.lower() in _FILLER:
        return ""
    return _TITLE.sub("", name).replace("x", "*").replace("X", "*").replace("某", "*")


def is_full_name(name: str) -> bool:
    """Two characters and more, none masked: the kind of name that can contradict another."""
    return len(name) >= 2 and bool(_HANZI_NAME.fullmatch(name))


@lru_cache(maxsize=50_000)
def pinyin(name: str) -> str:
    """Toneless syllables, with the pairs that southern speakers don't tell apart folded."""
    syllables = lazy_pinyin(name)
    folded = (re.sub(r"^(z|c|s)h", r"\1", s).replace("ng", "n") for s in syllables)
    return " ".join(re.sub(r"^l", "n", s) if s.startswith("l") else s for s in folded)


_PLACEHOLDER_PHONES = frozenset({"12315", "12345", "13800138000", "10086", "10010", "10000", "95"})


def normalise_phone(value: str | None) -> tuple[str, str]:
    """(E.164 digits or empty, first three and last four digits or empty). Hotlines and placeholders are nobody's."""
    raw = re.sub(r"[\s\-()（）]", "", unicodedata.normalize("NFKC", value or ""))
    if not raw or raw in _PLACEHOLDER_PHONES or len(raw) > 24:
        return "", ""
    masked = re.fullmatch(r"(?:\+?86)?(1[3-9]\d)[\*xX]{3,6}(\d{4})", raw)
    if masked:
        return "", masked.group(1) + masked.group(2)
    mobile = re.fullmatch(r"(?:\+?0{0,2}86)?(1[3-9]\d{9})", raw)
    if mobile:
        digits = mobile.group(1)
        if len(set(digits[3:])) == 1:
            return "", ""
        return digits, digits[:3] + digits[-4:]
    try:
        number = phonenumbers.parse(raw, "CN")
    except phonenumbers.NumberParseException:
        return "", ""
    if not phonenumbers.is_valid_number(number):
        return "", ""
    national = str(number.national_number)
    return ("" if national in _PLACEHOLDER_PHONES else f"{number.country_code}-{national}"), ""


def normalise_id(value: str | None) -> tuple[str, str]:
    """(18 digits with a right check digit or empty, first six and last four or empty)."""
    raw = _plain(value).upper()
    if not raw or len(raw) > 24:
        return "", ""
    masked = re.fullmatch(r"(\d{6})\*{4,10}([\dX]{4})", raw)
    if masked:
        return "", masked.group(1) + masked.group(2)
    if not re.fullmatch(r"\d{17}[\dX]", raw):
        return "", ""
    masked_form = raw[:6] + raw[-4:]
    try:  # not ric.validate: its list of birth places is older than many people's numbers
        ric.get_birth_date(raw)
        whole = raw[-1] == ric.calc_check_digit(raw)
    except ValidationError:
        whole = False
    return (raw if whole else ""), masked_form  # one wrong digit: the whole may not contradict, the ends still agree


_DIGIT = str.maketrans("零〇一二三四五六七八九", "00123456789")
_TENS = re.compile(r"([一二三四五六七八九]?)十([一二三四五六七八九]?)(?=号|栋|幢|单元|室|楼|层|弄|组|座)")
_STREET = re.compile(r"[\u4e00-\u9fa5]{1,10}(?:大道|街道|路|街|巷|弄|镇|乡|村|小区|花园|苑|城)")


def normalise_address(value: str | None) -> str:
    """From the street down, numbers in digits, unit words dropped: 珞喻路82号3栋2单元501室 -> 珞喻路82-3-2-501.
    Empty when no door number is left: a bare street is thousands of people."""
    text = _plain(value)[:120]
    if not text:
        return ""
    text = re.sub(r"^.*?(?:省|自治区)", "", text)
    text = re.sub(r"^.*?(?:市|自治州|地区|盟)", "", text)
    text = re.sub(r"^.{1,12}?(?:自治县|区|县|旗|市)", "", text)
    text = _TENS.sub(lambda m: str(int(m.group(1).translate(_DIGIT) or 1) * 10 + int(m.group(2).translate(_DIGIT) or 0)), text)
    text = re.sub(r"[零〇一二三四五六七八九]+(?=号|栋|幢|单元|室|楼|层)", lambda m: m.group().translate(_DIGIT), text)
    numbers = re.findall(r"\d+", text)
    street = _STREET.search(text)
    if not numbers or not street:
        return ""
    return street.group() + "-".join(numbers[:5])
