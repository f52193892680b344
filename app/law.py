"""The law itself: the words of the articles this service acts on, and how they are cited.

The texts are data, one file a law in app/data/law: an article is one string, a line a paragraph (款) or an item （一） of
the paragraph above it. Whole are order-121 and order-20; of the other laws only the articles something here rests on.
`verified` says whether one copy of the text was read or two that agree; `paragraphs_inferred` names the articles of
which every copy read runs the paragraphs together: where they part was inferred from the older order and the higher
law, so their text can be quoted by paragraph, but a citation of them names the article alone.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from app.errors import Invalid

ORDER_121 = "order-121"
ORDER_20 = "order-20"
CONSUMER_LAW = "consumer-law"
CONSUMER_REGULATION = "consumer-regulation"
PENALTY_PROCEDURE = "penalty-procedure"
PENALTY_LAW = "penalty-law"
FOOD_SAFETY_LAW = "food-safety-law"
MEDIATION_LAW = "mediation-law"
CIVIL_PROCEDURE_LAW = "civil-procedure-law"
RECALL_RULES = "recall-rules"
PIPL = "pipl"

_DIGITS = "零一二三四五六七八九"
_ITEM = re.compile(r"（([一二三四五六七八九十百]+)）(.+)")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """text: the paragraph with its items, a line each. items: the words of each, without its number and closing mark."""

    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Article:
    """counted: whether its paragraphs may be named in a citation (see the module)."""

    law: str
    number: int
    paragraphs: tuple[Paragraph, ...]
    counted: bool = True

    @property
    def text(self) -> str:
        return "\n".join(p.text for p in self.paragraphs)


@dataclass(frozen=True)
class Law:
    """short: the name used in citations, in its brackets. in_force_to: the last day, None while in force. amended: the
    last amendment the copies name. source: the official page or database the copies were taken from."""

    id: str
    title: str
    short: str
    number: str | None
    in_force_from: date
    in_force_to: date | None
    amended: date | None
    source: str
    checked: date
    verified: str
    articles: Mapping[int, Article]


def chinese(number: int) -> str:
    """一 to 九百九十九, as articles, paragraphs and items are numbered."""
    if not 1 <= number <= 999:
        raise Invalid.field("number", f"{number} is not between 1 and 999")
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    text = f"{_DIGITS[hundreds]}百" if hundreds else ""
    if tens:
        text += "十" if number < 20 else f"{_DIGITS[tens]}十"
    elif hundreds and ones:
        text += "零"
    return text + (_DIGITS[ones] if ones else "")


def laws() -> tuple[str, ...]:
    """The ids of all laws held."""
    return tuple(sorted(_shipped()))


def load(law: str) -> Law:
    held = _shipped().get(law)
    if held is None:
        raise Invalid.field("law", f"{law!r} is not held; held: {', '.join(laws())}")
    return held


def article(law: str, number: int) -> Article:
    """Invalid for a law or an article that isn't held: no number is ever cited whose words we don't have."""
    held = load(law)
    found = held.articles.get(number)
    if found is None:
        raise Invalid.field("article", f"{held.short} Art. {number} is not held; held: {', '.join(map(str, held.articles))}")
    return found


def sentence(law: str, number: int, item: int | None = None, paragraph: int | None = None) -> str:
    """The words of an article, of one of its paragraphs, or of an item (without its number and closing mark).

    An item without a paragraph is looked for in the only paragraph that has items.
    """
    found = article(law, number)
    where = _paragraph(found, paragraph, item)
    if where is None:
        return found.text
    part = found.paragraphs[where - 1]
    return part.text if item is None else part.items[item - 1]


def cite(law: str, number: int, paragraph: int | None = None, item: int | None = None) -> str:
    """《市场监督管理投诉举报处理办法》第二十三条第一款第五项.

    The paragraph is left out where the article has only one, or where its paragraphs are inferred; an item of an article
    with several brings its paragraph along.
    """
    found = article(law, number)
    where = _paragraph(found, paragraph, item)
    text = f"{load(law).short}第{chinese(number)}条"
    if where is not None and found.counted and len(found.paragraphs) > 1:
        text += f"第{chinese(where)}款"
    return text if item is None else f"{text}第{chinese(item)}项"


def in_force(on: date) -> str:
    """The order on complaints and reports in force on a day: ORDER_121 from 2026-04-15, ORDER_20 before, also before its
    own first day, 2020-01-01: nothing older is held and no clock runs for such receipts."""
    return ORDER_121 if on >= load(ORDER_121).in_force_from else ORDER_20


def _paragraph(found: Article, paragraph: int | None, item: int | None) -> int | None:
    """The number of the paragraph meant, None for the article as a whole."""
    name = f"{load(found.law).short} Art. {found.number}"
    if paragraph is not None and not 1 <= paragraph <= len(found.paragraphs):
        raise Invalid.field("paragraph", f"{name} has {len(found.paragraphs)} paragraph(s), not a paragraph {paragraph}")
    if item is None:
        return paragraph
    if paragraph is None:
        listed = [n for n, part in enumerate(found.paragraphs, 1) if part.items]
        if len(listed) != 1:
            raise Invalid.field("item", f"{name} has {len(listed)} paragraphs with items; name one")
        paragraph = listed[0]
    items = found.paragraphs[paragraph - 1].items
    if not 1 <= item <= len(items):
        raise Invalid.field("item", f"{name}, paragraph {paragraph} has {len(items)} item(s), not an item {item}")
    return paragraph


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, Law]:
    folder = files("app") / "data" / "law"
    read = [_read(json.loads(file.read_text("utf-8"))) for file in folder.iterdir() if file.name.endswith(".json")]
    return MappingProxyType({law.id: law for law in read})


def _read(raw: dict[str, Any]) -> Law:
    def day(name: str) -> date | None:
        return date.fromisoformat(raw[name]) if raw.get(name) else None

    inferred = raw.get("paragraphs_inferred", [])
    articles = {int(n): Article(raw["law"], int(n), _parts(text), int(n) not in inferred) for n, text in raw["articles"].items()}
    return Law(
        id=raw["law"],
        title=raw["title"],
        short=raw["short"],
        number=raw["number"],
        in_force_from=date.fromisoformat(raw["in_force_from"]),
        in_force_to=day("in_force_to"),
        amended=day("amended"),
        source=raw["source"],
        checked=date.fromisoformat(raw["checked"]),
        verified=raw["verified"],
        articles=MappingProxyType(articles),
    )


def _parts(text: str) -> tuple[Paragraph, ...]:
    """An item must carry the number that is its turn, so a line lost in a file is found when it is read."""
    parts: list[Paragraph] = []
    for line in text.split("\n"):
        item = _ITEM.fullmatch(line)
        if item is None:
            parts.append(Paragraph(line))
            continue
        above = parts[-1]
        if item[1] != chinese(len(above.items) + 1):
            raise ValueError(f"item out of turn: {line}")
        parts[-1] = Paragraph(f"{above.text}\n{line}", (*above.items, item[2].rstrip("；。")))
    return tuple(parts)
