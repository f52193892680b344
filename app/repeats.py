"""What repeats (R1 to R8) when a letter arrives, and where a factor of Art. 17 may be looked at: findings with evidence for a person.

A finding is never a mark on anybody and moves no track. Everything is told from what was read and from the person's earlier matters,
which the journey has fetched already; ids, counts and days only.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from app.calendar import local_day
from app.complainants import Linked
from app.crowds import is_one_identity
from app.intake import Letter
from app.jurisdiction import of_council
from app.reading import ReadLetter
from ml.facts import parse_han

COPY_DAYS = 60
_COPY_COSINE = 0.8
_RETOLD_COSINE = 0.1
_SAME_WORDS = 0.4
_LISTED = 10
# A class of what is left over says nothing of likeness, so it never forms a key.
CATCH_ALL = frozenset({"其他投诉问题", "其他商品", "其他服务", None})
# Every trade is complained about for these: without the goods they are no likeness.
_BROAD = frozenset({"质量", "售后服务", "合同", "安全", "违反产品质量法"})
# Of one product the same fault is filed, and read, now under one of these and now under another.
_QUALITY = frozenset({"质量", "食品安全", "违反产品质量法", "安全", "假冒"})


def cosine(terms: Mapping[int, float], other: Any) -> float:
    theirs = dict(zip(other["terms"], other["term_weights"], strict=True))
    if not terms or not theirs:
        return 0.0
    dot: float = sum(w * theirs[t] for t, w in terms.items() if t in theirs)
    return dot / math.sqrt(sum(w * w for w in terms.values()) * sum(w * w for w in theirs.values()))


def is_same_dispute(read: ReadLetter, other: Any) -> bool:
    """With the same merchant: the same problem in much the same words, or the same goods on the same day."""
    if set(other["issues"]) & set(read.reading.issues) and cosine(read.terms, other) >= _SAME_WORDS:
        return True
    day, product = read.letter.body.event_date, read.product_token
    return day is not None and other["event_on"] == day and product is not None and other["product_token"] == product


def copied(read: ReadLetter, merchant_id: Any, earlier: Iterable[Any], lane: str) -> Any:
    """R1 同件重报: what the matter is a copy of, or None: the same person, merchant and dispute in nearly the same words, or retold (a
    hotline's clerk writes his own) where thing, day and sum are all told and all the same. Another order, amount or merchant makes another
    dispute; after the original was closed it is R2 and a person's to decide."""
    letter = read.letter
    for e in earlier:
        if e["lane"] != lane or (e["state"] == "history") != letter.history:
            continue  # history is nobody's work: a live letter must never wait for it
        if of_council(e) and letter.channel != e["channel"]:
            continue  # what the consumer council handled is a person's to judge: 16(2)
        if abs(letter.event_at - e["received_at"]) > timedelta(days=COPY_DAYS):
            continue
        said = {
            "merchant_id": merchant_id, "order_token": read.order_token, "product_token": read.product_token,
            "lot_token": read.lot_token, "event_on": letter.body.event_date, "amount_fen": read.amount_fen,
        }  # fmt: skip
        if any(value and e[name] and e[name] != value for name, value in said.items()):
            continue
        retold = all(said[name] and e[name] == said[name] for name in ("merchant_id", "product_token", "event_on", "amount_fen"))
        if e["closed_at"] and not letter.history and e["closed_at"] < letter.event_at:
            continue
        least = _RETOLD_COSINE if retold else _SAME_WORDS if _same_order(read, e) else _COPY_COSINE
        if cosine(read.terms, e) >= least:
            return e
    return None


def _same_order(read: ReadLetter, other: Any) -> bool:
    return other["order_token"] is not None and other["order_token"] == read.order_token


def received_first(letter: Letter, original: Any) -> bool:
    """A letter that came here late: who was first is told by receipt, not by arrival."""
    return not letter.history and letter.received_at < original["received_at"]


def receipts(letter: Letter, district: str, original: Any) -> dict[str, Any]:
    """What a person needs to say who was first (Art. 14)."""
    return {
        "received_at": letter.received_at.isoformat(), "original_received_at": original["received_at"].isoformat(),
        "districts": [district, original["district"]],
    }  # fmt: skip


def _with_council(read: ReadLetter, merchant_id: Any, other: Any, lane: str) -> bool:
    """Whether an earlier matter is the same dispute with the consumer council."""
    if lane != "complaint" or other["lane"] != lane or not of_council(other) or read.letter.channel == other["channel"]:
        return False
    if merchant_id and other["merchant_id"] and other["merchant_id"] != merchant_id:
        return False
    alike = cosine(read.terms, other) >= (_SAME_WORDS if _same_order(read, other) else _COPY_COSINE)
    return alike or (merchant_id is not None and is_same_dispute(read, other))


def within(earlier: Iterable[Any], at: datetime, days: float) -> list[Any]:
    """Of a person's earlier matters those of so many days before."""
    return [e for e in earlier if e["event_at"] >= at - timedelta(days=days)]


def window_days(thresholds: Mapping[str, float]) -> float:
    """How far back a person's matters must be known for every rule here."""
    return max(thresholds.get("person.repeat_days", 90), thresholds.get("person.factor17_days", 90))


def most_counted(thresholds: Mapping[str, float]) -> int:
    """How many of them must be known: enough to reach the highest number that is asked for."""
    return int(max(40, thresholds.get("person.repeat", 3), thresholds.get("person.factor17_review", 10)))


def findings(
    lane: str, read: ReadLetter, earlier: Sequence[Any], linked: Sequence[Linked], merchant_id: Any, original: Any,
    thresholds: Mapping[str, float], district: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """Of one matter of a letter that arrives. original: what it is a copy of. district: the matter's. earlier: the person's other matters, newest first; of
    another lane they say nothing here, or a finding would tell that a report exists (Art. 37)."""
    found: list[dict[str, Any]] = []

    def say(code: str, **evidence: Any) -> None:
        found.append({"code": code, "evidence": evidence})

    recent = within(earlier, read.letter.event_at, thresholds.get("person.repeat_days", 90))
    same_lane = [e for e in recent if e["lane"] == lane]
    same = [e for e in same_lane if merchant_id is not None and e["merchant_id"] == merchant_id]
    if original is not None:
        say("R1" if lane != "report" else "R5", original=str(original["id"]), cosine=round(cosine(read.terms, original), 3))
        if lane == "complaint" and received_first(read.letter, original):
            say("earlier_receipt", original=str(original["id"]), **receipts(read.letter, district, original))
    elif lane == "report":
        if again := reported_before(read, merchant_id, earlier):
            say(again.code, original=str(again.matter["id"]), cosine=again.cosine, signs=list(again.signs), to_confirm=again.sure)
    elif closed := [e for e in same if e["closed_at"] is not None and is_same_dispute(read, e)]:
        say("R2", earlier=str(closed[0]["id"]), cosine=round(cosine(read.terms, closed[0]), 3))
    elif same:
        say("R3", **_at_one_merchant(read, same, thresholds))
    if original is None and (council := [e for e in earlier if _with_council(read, merchant_id, e, lane)]):
        say(
            "handled_by_council", earlier=str(council[0]["id"]), received_at=council[0]["received_at"].isoformat(),
            closed=council[0]["closed_at"] is not None, cosine=round(cosine(read.terms, council[0]), 3),
        )  # fmt: skip
    if original is None and (alike := _elsewhere(read, same_lane, merchant_id)):
        merchants = len({e["merchant_id"] for e in alike} | {merchant_id})
        if min(merchants, len(alike) + 1) >= thresholds.get("person.repeat", 3):
            say("R4", earlier=[str(e["id"]) for e in alike[:_LISTED]], merchants=merchants, count=len(alike) + 1)
    if lane != "report" or len(read.lanes) == 1:
        for name, operator, ours in read.reading.disagreements:
            say("category", field=name, operator=operator, read=ours)
    for person in linked:
        if person.shared_with and len(person.shared_with) + 1 >= thresholds.get("identity.shared", 2):
            say(
                "R7", role=person.role,
                shared=[{"complainant_id": str(o.complainant_id), "fields": o.fields, "kind": o.kind} for o in person.shared_with],
                counted_once=any(is_one_identity(o.fields) for o in person.shared_with),
            )  # fmt: skip
    agent = next((p for p in linked if p.role == "agent"), None)
    if agent is not None:
        say("agent", filed_by=str(agent.complainant_id), on_behalf_of=[str(p.complainant_id) for p in linked if p is not agent])
    if lane == "complaint" and original is None:
        if bought := quantities(read.letter.body.text, thresholds):
            say("unusual_quantity", **bought)
        own = Complained(
            None, read.letter.event_at, read.reading.goods, read.reading.problem, merchant_id, ended=False, withdrawn=False,
            product_token=read.product_token,
        )  # fmt: skip
        others = [complained(e) for e in earlier if e["lane"] == "complaint"]
        if sheet := review([own, *others], own, thresholds):
            say("factor17_review", **sheet)
    return found


def _at_one_merchant(read: ReadLetter, same: Sequence[Any], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """R3, and whether it is many in a short time: then it is what the first half of Art. 17(2) speaks of, for a person to judge."""
    goods, problem = read.reading.goods, read.reading.problem
    alike = [
        e
        for e in same
        if (goods not in CATCH_ALL and e["goods"] == goods)
        or (problem not in CATCH_ALL and e["problem"] == problem)
        or set(e["issues"]) & set(read.reading.issues)
    ]
    many = len(same) + 1 >= thresholds.get("person.factor17_class", 5)
    return {
        "earlier": [str(e["id"]) for e in same[:_LISTED]], "count": len(same) + 1, "alike": len(alike) + 1,
        "since": local_day(same[-1]["event_at"]).isoformat(), "in_bulk": many, "factors": ["17(2)"] if many else [],
    }  # fmt: skip


def _elsewhere(read: ReadLetter, others: Sequence[Any], merchant_id: Any) -> list[Any]:
    """The person's matters about other merchants with the same problem; of goods of one class also where only the kind of fault is one, of
    the same thing by name whatever it is."""
    if merchant_id is None:
        return []  # nobody knows that it is another

    def alike(other: Any) -> bool:
        same_thing = read.product_token is not None and read.product_token == other["product_token"]
        return same_thing or is_alike(read.reading, other)

    return [e for e in others if e["merchant_id"] not in (None, merchant_id) and alike(e)]


def is_alike(reading: Any, other: Any) -> bool:
    """Whether two matters are of one class of goods and problem. reading: goods, problem, issues; other: the same, by name."""
    if set(reading.issues) & set(other["issues"]):
        return True
    problem, its = reading.problem, other["problem"]
    if problem in CATCH_ALL or its in CATCH_ALL:
        return False
    if reading.goods in CATCH_ALL or reading.goods != other["goods"]:
        return bool(problem == its and problem not in _BROAD)
    return bool(problem == its or {problem, its} <= _QUALITY)


# -- reports made before (R5, R6)

# 没有新的情况 says that there are none.
_NEW = re.compile(
    r"(?<!没有)(?<!并无)(?<!无)(?<!未)(?:补充|新(?:的|发现的?)?(?:事实|证据|线索|情况|视频|照片|材料)|新发现|新增|又(?:发现|拍到|看到|查到|出现)"
    r"|(?:还|另(?:外)?|再次?|后来)(?:发现|拍到|查到)|(?:上次|之前|上回)(?:还)?没(?:有)?(?:说|提|写|讲|反映)(?:到|过|的)?)"
)
_AGAIN = re.compile(
    r"(?:情况|内容|事实|问题|事情)?(?:和|与|同|跟)[^。;；]{0,14}(?:举报|反映|投诉|上次|之前)[^。;；]{0,6}(?:一样|相同|一致|同一)|再次举报|重复举报"
    r"|(?:还是|仍然?是)(?:上次|之前|那)"
)
_FILED = re.compile(r"^[^。;；,，]{0,6}(?:举报|反映|投诉|打电话|来信|致电)")
_A_DAY = re.compile(r"[月年昨前今周/.\-]|星期|礼拜")
_RETOLD_AGAIN, _RETOLD_SAME_DAY, _RETOLD = 0.3, 0.25, 0.5


@dataclass(frozen=True, slots=True)
class Again:
    """code: R5 or R6. sure: the same facts beyond doubt: whether they are handled anew waits for a person, no second term runs until
    then. signs: of R6, what is new; of R5, what is the same."""

    code: str
    matter: Any
    cosine: float
    signs: tuple[str, ...]
    sure: bool


def reported_before(read: ReadLetter, merchant_id: Any, earlier: Sequence[Any]) -> Again | None:
    """The same person's earlier report of the same merchant that says most alike, and whether this one brings new facts (Art. 35(2)).
    What is in doubt is taken for new: its term runs."""
    same = [e for e in earlier if e["lane"] == "report" and merchant_id is not None and e["merchant_id"] == merchant_id]
    if not same:
        return None
    matter = max(same, key=lambda e: cosine(read.terms, e))
    share = cosine(read.terms, matter)
    if new := _new_facts(read, matter):
        return Again("R6", matter, round(share, 3), tuple(new), False)
    signs = []
    if _AGAIN.search(read.letter.body.text):
        signs.append("says_so")
    if matter["event_on"] is not None and matter["event_on"] == read.letter.body.event_date:
        signs.append("same_day")
    least = min(
        _RETOLD, _RETOLD_AGAIN if "says_so" in signs else 1.0, _RETOLD_SAME_DAY if "same_day" in signs else 1.0
    )  # fmt: skip
    if share < least:
        return Again("R6", matter, round(share, 3), ("other_words",), False)
    live = matter["state"] != "history" and not read.letter.history
    return Again("R5", matter, round(share, 3), (*signs, "same_words"), live)


def _new_facts(read: ReadLetter, matter: Any) -> list[str]:
    body, reading = read.letter.body, read.reading
    found = []
    if _NEW.search(body.text):
        found.append("says_so")
    known_until = max(filter(None, (matter["event_on"], local_day(matter["received_at"]))))
    if any(known_until < day <= local_day(read.letter.received_at) for day in _acts(read)):
        found.append("later_act")
    other = {"product_token": read.product_token, "lot_token": read.lot_token, "order_token": read.order_token}
    if any(value and matter[name] and matter[name] != value for name, value in other.items()):
        found.append("other_act")
    known = reading.problem not in CATCH_ALL and matter["problem"] not in CATCH_ALL
    issues, its = set(reading.issues), set(matter["issues"])
    if not issues & its and ((known and reading.problem != matter["problem"]) or (issues and its)):
        found.append("other_problem")
    return found


def _acts(read: ReadLetter) -> Iterable[date]:
    """Days on which something happened: the form's, and those of the text that are not days of filing, nor house numbers (2号)."""
    body = read.letter.body
    if body.event_date is not None:
        yield body.event_date
    for fact in read.reading.facts:
        if fact.type != "date" or len(str(fact.value)) != 10 or not _A_DAY.search(body.text[fact.start : fact.end]):
            continue
        if not _FILED.search(body.text[fact.end : fact.end + 12]):
            yield date.fromisoformat(str(fact.value))


# -- quantities (Art. 17(1)(1))

_COUNT = r"(?P<count>\d{1,5}|[一二两三四五六七八九十百千]{1,5})\s?(?P<unit>箱|提|袋|盒|瓶|包|罐|支|听|桶|只|个|份|条|根|件)"
# What lies between the buying and the number must not say what a pack holds or costs.
_BOUGHT = re.compile(
    rf"(?:(?<!没)(?<!未)买|购|下单|拍下|囤|进货)(?:[^。;；!?！？\n\d一二两三四五六七八九十百千写标称印含装每共合]|一次性?|一共|共|合计|总共|同一(?:批次?|款|种)?){{0,14}}{_COUNT}(?![装入])"
)
_TIMES = re.compile(
    r"(?P<times>\d{1,3}|[两三四五六七八九十]{1,3})次[^。;；,，\d]{0,4}(?:购买|买|下单)|(?:购买|买|下单)过?了?(?P<after>\d{1,3}|[两三四五六七八九十]{1,3})次"
)
_BOUGHT_AGAIN = re.compile(
    r"(?:又|再次|再去|接着|继续)[^。;；,，]{0,8}(?:买|购|下单)|(?:和|跟|与|同)(?:上|前)(?:周|次|回|个?月|几?天)[^。;；,，]{0,3}(?:买|购)[^。;；]{0,8}(?:一样|同样|相同)"
)
_SHELF = re.compile(
    r"保质期[^。;；]{0,6}?(?:只剩|还剩|还有|剩余?|不足|仅剩|仅有|只有)[^\d一二两三四五六七八九十。;；]{0,3}(?P<days>\d{1,4}|[一二两三四五六七八九十]{1,3})\s?天"
)
_LESS = re.compile(r"单位|公司|食堂|婚|宴|团购|班级|同事|员工|大家|亲戚|邻居|春节|过年|送礼|孩子们")
# Bought by the score by everybody, or by whoever builds or farms.
_BY_THE_SCORE = re.compile(r"[鸡鸭鹅]蛋|鹌鹑蛋|水泥|瓷砖|地砖|沙子|砂石|涂料|肥料|化肥|种子|饲料|螺丝|钉子|木板|管材|树苗|秧苗")
_CASES = frozenset({"箱", "提"})


@dataclass(frozen=True, slots=True)
class Bought:
    """counts: (number, unit, span). times: how often, as written. shelf_days_left: until the date on the pack. again: after the first
    time, whose fault is told too. explained: some word may explain it."""

    counts: tuple[tuple[int, str, tuple[int, int]], ...]
    times: int | None
    shelf_days_left: int | None
    again: bool
    explained: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "quantities": [{"count": count, "unit": unit, "span": list(span)} for count, unit, span in self.counts],
            "times": self.times, "shelf_days_left": self.shelf_days_left, "bought_again": self.again, "explained": self.explained,
        }  # fmt: skip


def bought(text: str) -> Bought:
    """What was bought, as a text says it: only numbers with a unit after a word of buying."""
    counts: list[tuple[int, str, tuple[int, int]]] = []
    for match in _BOUGHT.finditer(text):
        if count := _number(match["count"]):
            counts.append((count, match["unit"], match.span("count")))
    left, often = _SHELF.search(text), _TIMES.search(text)
    return Bought(
        tuple(counts[:_LISTED]), _number(often["times"] or often["after"]) if often else None, _number(left["days"]) if left else None,
        bool(_BOUGHT_AGAIN.search(text)), bool(_LESS.search(text)),
    )  # fmt: skip


def quantities(text: str, thresholds: Mapping[str, float]) -> dict[str, Any] | None:
    """None unless some number of what was bought is beyond the thresholds; whether it is beyond a consumer's habit is a person's to say."""
    seen = bought(text)
    if not seen.counts or _BY_THE_SCORE.search(text):
        return None
    beyond = []
    cases = max((count for count, unit, _ in seen.counts if unit in _CASES), default=0)
    pieces = max((count for count, unit, _ in seen.counts if unit not in _CASES), default=0)
    if cases >= thresholds.get("quantity.cases", 4):
        beyond.append("cases")
    if pieces >= thresholds.get("quantity.pieces", 20):
        beyond.append("pieces")
    if seen.shelf_days_left and pieces / seen.shelf_days_left > thresholds.get("quantity.per_day", 3):
        beyond.append("shelf_life")
    return {**seen.as_json(), "beyond": beyond} if beyond else None


def _number(written: str) -> int | None:
    value = float(written) if written.isdecimal() else parse_han(written)
    return int(value) if value and value == int(value) else None


# -- when a sheet of the factors is opened


@dataclass(frozen=True, slots=True)
class Complained:
    """One complaint of a person, copies apart. id: None of the one that arrives. ended: it is open no more."""

    id: Any
    at: datetime
    goods: str | None
    problem: str | None
    merchant_id: Any
    ended: bool
    withdrawn: bool
    product_token: int | None = None


def complained(row: Any) -> Complained:
    return Complained(
        row["id"], row["event_at"], row["goods"], row["problem"], row["merchant_id"], row["closed_at"] is not None,
        row["outcome"] == "withdrawn" or row["state"] == "withdrawn", row["product_token"],
    )  # fmt: skip


def review(every: Sequence[Complained], own: Complained, thresholds: Mapping[str, float]) -> dict[str, Any] | None:
    """Whether a person's complaints of the window open a sheet of the factors on one of them, and by which numbers. That is all: many
    complaints are no abuse. A class that is left over never counts as one; a withdrawal rate is of those that ended."""
    days = thresholds.get("person.factor17_days", 90)
    seen = [c for c in every if abs(own.at - c.at) <= timedelta(days=days + 1)]
    triggers: list[str] = []
    factors: set[str] = set()
    if len(seen) >= thresholds.get("person.factor17_review", 10):
        triggers.append("count")
        factors.add("17(1)")
    least = thresholds.get("person.factor17_class", 5)
    classes: dict[str, int] = {}
    # The same thing by name is of one class, however each text was read.
    alike = {
        "goods": [
            (own.goods not in CATCH_ALL and c.goods == own.goods)
            or (own.product_token is not None and c.product_token == own.product_token) for c in seen
        ],
        "problem": [own.problem not in CATCH_ALL and c.problem == own.problem for c in seen],
    }  # fmt: skip
    for name, ones in alike.items():
        if sum(ones) >= least:
            classes[name] = sum(ones)
            factors.add("17(5)")
    if classes:
        triggers.append("class")
    at_one = [c for c in seen if own.merchant_id is not None and c.merchant_id == own.merchant_id]
    if triggers and len(at_one) >= least:
        factors.add("17(2)")
    ended, withdrawn = sum(c.ended for c in seen), sum(c.withdrawn for c in seen)
    rate, fewest = thresholds.get("person.factor17_withdrawal_rate", 0.6), thresholds.get("person.factor17_withdrawal_least", 5)
    if len(seen) >= fewest and ended and withdrawn / ended >= rate and withdrawn >= rate * fewest:
        triggers.append("withdrawals")
        factors.add("17(5)")
    if not triggers:
        return None
    return {
        "triggers": triggers, "factors": sorted(factors), "days": int(days), "complaints": len(seen), "classes": classes,
        "same_merchant": len(at_one), "ended": ended, "withdrawn": withdrawn,
        "matters": [str(c.id) for c in seen if c.id is not None][:40],
    }  # fmt: skip
