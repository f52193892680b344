"""How an incident is told to people: title, key phrases, a complaint that stands for it, figures, reasons, history.

Stored terms can't be read back: words come from some members' letters, and only those that at least three people use leave them. The title
and the phrases are made of complaints, where there are any, so that nobody learns from them what only a report says (Art. 37).
"""

import math
import re
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import ml.reading
from app.calendar import local_day
from app.codes import region_name
from app.database import Connection
from app.errors import NotFound
from app.intake import Letter, open_letter
from app.privacy import INCIDENT_TITLE, Vault, mask_text
from app.reading import Reader, ReadLetter
from ml import text
from ml.facts import named_places
from ml.lexicon import lexicon
from ml.tokens import Field

_LEAST_PEOPLE = 3
_MOST_PHRASES = 8
_MOST_CANDIDATES = 60
_MEMBERS_READ = 200  # the latest ones speak for all
_LETTERS_OPENED = 8
_EXCERPT_CHARACTERS = 200
_STEP = 1.25

# -- titles


def title(read: ReadLetter, merchant_name: str | None) -> str:
    """Of an incident that this letter opens. Who or where, and what: from the form, the dictionary and place names only."""
    reading = read.reading
    private = _Private([read.letter])
    name = merchant_name if merchant_name and not private.names(merchant_name) else None
    shop = next((m.name.shop for w in read.merchants[:1] for m in w.mentions if m.name.shop), None)
    place = next((p for p in read.places if not private.holds(p)), None) or region_name(read.district)
    what = (reading.issues or (reading.problem or reading.goods or "其他",))[0]
    if read.lot_token is not None:
        return _joined(_lot([name] if name else []), what)
    return _joined(_with_shop(name, shop) if name else place, what)


def _joined(*parts: str | None) -> str:
    return " · ".join(dict.fromkeys(p for p in parts if p))


def _with_shop(name: str, shop: str | None) -> str:
    return f"{name}（{shop}）" if shop else name


def _lot(names: Sequence[str]) -> str:
    return f"产品批次（{'、'.join(names[:2])}{'等' if len(names) > 2 else ''}）" if names else "产品批次"


_SIZES = "SELECT id, people_complaints, people_all FROM incident WHERE id = ANY($1) AND (title <> '' OR NOT $2)"
Sizes = Mapping[uuid.UUID, tuple[int, int]]


async def sizes(connection: Connection, incident_ids: Sequence[uuid.UUID], *, titled: bool = False) -> Sizes:
    """(people who complain, people in all) as they were last counted. titled: only of those that are called something."""
    rows = await connection.fetch(_SIZES, list(incident_ids), titled)
    return {r["id"]: (r["people_complaints"], r["people_all"]) for r in rows}


def outgrown(before: Sizes, after: Sizes, least: float) -> list[uuid.UUID]:
    """Those to be told anew: big enough and grown (or shrunk) by about a quarter, with a first complaint after reports, or new."""

    def steps(size: tuple[int, int]) -> tuple[int, ...]:
        return tuple(int(math.log(n, _STEP)) if n else -1 for n in size)

    due = []
    for incident_id, size in after.items():
        earlier = before.get(incident_id)
        if earlier is None:
            due.append(incident_id)
            continue
        big = size[1] >= least and (earlier[1] < least or steps(earlier) != steps(size))
        if big or (size[0] and not earlier[0] and earlier[1]):
            due.append(incident_id)
    return due


_TOLD = """
SELECT m.letter_id, m.issues, m.problem, m.goods, m.city, m.quarter, m.terms, m.term_weights, m.name_tokens, r.shop, r.core, c.complainant_id
FROM incident_membership im JOIN matter m ON m.id = im.matter_id
LEFT JOIN LATERAL (
  SELECT r.shop, mc.core FROM respondent r LEFT JOIN merchant mc ON mc.id = r.merchant_id
  WHERE r.matter_id = m.id AND r.sequence = 1 AND r.stated AND r.valid_to IS NULL LIMIT 1
) AS r ON true
LEFT JOIN LATERAL (
  SELECT cm.complainant_id FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  WHERE p.matter_id = m.id AND p.role IN ('filer', 'principal') LIMIT 1
) AS c ON true
WHERE im.incident_id = $1 AND im.valid_to IS NULL AND m.copy_of IS NULL AND m.lane = $3
ORDER BY m.event_at DESC, m.id LIMIT $2
"""
_NAMES = f"""
SELECT DISTINCT t FROM incident_membership im JOIN party p ON p.matter_id = im.matter_id JOIN complainant_record r ON r.id = p.record_id,
  unnest(r.tokens) AS t WHERE im.incident_id = $1 AND im.valid_to IS NULL AND t & 63 = {int(Field.NAME)}
"""


async def tell(connection: Connection, vault: Vault, reader: Reader, incident_id: uuid.UUID) -> None:
    """Title and key phrases from what members share. A title that a person gave stays."""
    row = await connection.fetchrow(
        "SELECT i.scope, i.titled_by, m.core AS merchant FROM incident i LEFT JOIN merchant m ON m.id = i.merchant_id WHERE i.id = $1",
        incident_id,
    )
    members: Sequence[Any] = ()
    for lane in ("complaint", "other", "report"):
        members = members or await connection.fetch(_TOLD, incident_id, _MEMBERS_READ, lane)
    if not members:
        return
    shared = _shared(members)
    likely = sorted(shared, key=lambda t: (-shared[t][0] * shared[t][1], t))[:_MOST_CANDIDATES]
    letters = [
        await open_letter(connection, vault, m["letter_id"])
        for m in (members[n] for n in _telling([m["complainant_id"] for m in members], [m["terms"] for m in members], likely))
    ]
    names = {r["t"] for r in await connection.fetch(_NAMES, incident_id)}
    private = _Private(letters, lambda word: not names.isdisjoint(reader.tokeniser.person({"name": word}).comparison))
    read = {t: w for letter in letters for t, w in reader.words(letter, likely).items()}
    given = {w[1:] for w in read.values() if _like_a_person(w) and text.common_rate(w[1:]) < _COMMON}
    words = {t: w for t, w in read.items() if not (_is_dull(w) or private.holds(w) or w in given)}

    place = _place(letters, private)
    merchant = row["merchant"] or _usual([m["core"] for m in members])
    if merchant and private.names(merchant):
        merchant = None
    # Said by most, telling, and long enough to mean something.
    ranked = sorted(words, key=lambda t: (-(shared[t][0] ** 2) * shared[t][1] * len(words[t]), t))
    name = _name(row["scope"], merchant, place, _apart(ranked, words, place or ""), members, private)
    phrases = _apart([t for t in likely if t in words], words, name or merchant or "")[:_MOST_PHRASES]
    await connection.execute(
        "UPDATE incident SET title = CASE WHEN titled_by IS NULL THEN coalesce($2, nullif(title, ''), $4) ELSE title END, key_phrases = $3 WHERE id = $1",
        incident_id, name, phrases, _joined(place, _matter(members) or "其他"),
    )  # fmt: skip


def _shared(members: Sequence[Any]) -> dict[int, tuple[int, float]]:
    """Term -> (people who use it, mean weight) of what at least three people use. Names no dictionary knows are left out."""
    users: dict[int, set[uuid.UUID]] = {}
    weights: dict[int, list[float]] = {}
    for member in members:
        if member["complainant_id"] is None:
            continue  # who gives no identity may be one of the others
        names = set(member["name_tokens"])
        for term, weight in zip(member["terms"], member["term_weights"], strict=True):
            if term not in names:
                users.setdefault(term, set()).add(member["complainant_id"])
                weights.setdefault(term, []).append(weight)
    return {t: (len(u), sum(weights[t]) / len(weights[t])) for t, u in users.items() if len(u) >= _LEAST_PEOPLE}


def _telling(people: Sequence[uuid.UUID | None], terms: Sequence[Collection[int]], wanted: Iterable[int]) -> list[int]:
    """Positions of a few members of different people whose letters hold as many of the wanted terms as possible."""
    unread = set(wanted)
    places = {n: unread.intersection(t) for n, t in enumerate(terms)}
    chosen: list[int] = []
    while places and len(chosen) < _LETTERS_OPENED:
        best = max(places, key=lambda n: (len(places[n] & unread), len(places[n]), -n))
        chosen.append(best)
        unread -= places[best]
        who = people[best]
        places = {n: held for n, held in places.items() if n != best and (who is None or people[n] != who)}
    return chosen


def _place(letters: Sequence[Letter], private: "_Private") -> str | None:
    """An estate, a market, a station that the letters of at least three people name."""
    written: dict[str, Counter[str]] = {}
    for letter in letters:
        said = ml.reading.prepare(letter.body.text, local_day(letter.received_at)).blank
        for place in {p[-4:]: p for p in named_places(said)}.values():
            written.setdefault(place[-4:], Counter())[place] += 1
    fitting = {end: n for end, n in written.items() if n.total() >= _LEAST_PEOPLE}
    for end in sorted(fitting, key=lambda e: (-fitting[e].total(), e)):
        # Of several ways to write it the shortest: it has the least of the sentence around.
        place = min(fitting[end], key=lambda p: (len(p), p))
        if not private.holds(place):
            return place
    return None


def _apart(tokens: Iterable[int], words: Mapping[int, str], said: str) -> list[str]:
    """Words that neither hold one another nor repeat two characters of what is said already."""
    pairs = {said[n : n + 2] for n in range(len(said) - 1)}
    found: list[str] = []
    for token in tokens:
        word = words[token]
        if not any(word in f or f in word for f in found) and not any(word[n : n + 2] in pairs for n in range(len(word) - 1)):
            found.append(word)
    return found


def _name(
    scope: str, merchant: str | None, place: str | None, best: Sequence[str], members: Sequence[Any], private: "_Private"
) -> str | None:  # fmt: skip
    """None: nothing better than the title it has."""
    what = _matter(members)
    if scope == "lot":
        named = Counter(m["core"] for m in members if m["core"] and not private.names(m["core"]))
        return _joined(_lot(sorted(named, key=lambda n: (-named[n], n)) or ([merchant] if merchant else [])), what)
    if scope == "area" and place:
        return _joined(place, *best[:1], what)
    if merchant and scope == "chain":
        return _joined(f"{merchant}（多家门店）", what)
    if merchant:
        return _joined(_with_shop(merchant, _most(m["shop"] for m in members) if scope == "shop" else None), what)
    if best:
        return _joined(*([place] if place else []), *best[: 1 if place else 2], what)
    where = place or _usual([m["quarter"] for m in members]) or _usual([m["city"] for m in members])
    return _joined(region_name(where) or where, what) if where and what else None


def _matter(members: Sequence[Any]) -> str | None:
    issue = _most(i for m in members for i in m["issues"])
    return issue or _most(m["problem"] for m in members) or _most(m["goods"] for m in members)


def _usual(values: Sequence[str | None]) -> str | None:
    """What more than half say."""
    most = _most(values)
    return most if values.count(most) * 2 > len(values) else None


def _most(values: Iterable[str | None]) -> str | None:
    counts = Counter(v for v in values if v)
    return min(counts, key=lambda v: (-counts[v], v)) if counts else None


# -- what must not be said

_HOUSE_NUMBER = re.compile(r"\d{3}|[\d一二三四五六七八九十]+[号栋幢座室层楼弄]")
_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_COMMON = 0.001  # share of texts: 质量 of 高质量 is no given name
_WELL_KNOWN = 200  # of a dictionary word that may be a name: from here on it is the word that people mean


class _Private:
    """What of some letters is personal. known_name: whether a word is the name of any other complainant there."""

    def __init__(self, letters: Iterable[Letter], known_name: Callable[[str], bool] = lambda _: False) -> None:
        self._known_name = known_name
        self._own: set[str] = set()
        self._homes: set[str] = set()
        for letter in letters:
            home = letter.body.complainant.__dict__.get("address")
            for value in letter.body.personal_values():
                if value and len(written := text.normalise(value)) >= 2:
                    (self._homes if value == home else self._own).add(written)

    def holds(self, word: str) -> bool:
        """Of a word that anybody may have used."""
        return bool(_HOUSE_NUMBER.search(word)) or _like_a_person(word) or self.names(word)

    def names(self, word: str) -> bool:
        """A part of a name is personal as the whole is; a part of an address may be a place that all live in."""
        if self._known_name(word) or any(h in word for h in self._homes):
            return True
        return any(v in word or (len(v) <= 4 and word in v) for v in self._own)


def _like_a_person(word: str) -> bool:
    """王秀英, or 秀英 alone. Of a text a few good words are lost by it, a name of a clerk is not told."""
    if word in _kinds()[0]:
        return True
    rest = word[1:]
    return word[0] in _SURNAMES and (rest in _STYLES or (len(word) == 3 and (rest in _kinds()[0] or not text.is_known(word))))


_STYLES = frozenset({"某", "某某", "总", "姐", "哥", "工"})


@lru_cache(maxsize=1)
def _kinds() -> tuple[frozenset[str], frozenset[str]]:
    """From the tokenizer's dictionary: names of people that are hardly used for anything else, and words that say nothing alone."""
    import jieba  # half a second: only in the worker

    names, dull = [], []
    with jieba.get_module_res("dict.txt") as lines:
        for line in lines:
            word, frequency, kind = line.decode("utf-8").split()
            if kind.startswith("nr"):
                if int(frequency) < _WELL_KNOWN and 2 <= len(word) <= 4:
                    names.append(word)
            elif kind[0] in _DULL and (len(word) > 1 or kind[0] in _DULL_ALONE):
                dull.append(word)
    return frozenset(names), frozenset(dull)


# Times, numbers, measures, pronouns, adverbs, conjunctions, prepositions, particles. As a single character only some: 家, 间, 口 are more.
_TELLING = frozenset({"issues", "goods", "dangers"})
_DULL, _DULL_ALONE = "tmqrdcpufyeo", "rdcpu"


def _is_dull(word: str) -> bool:
    """天天, 半小时, 我要, 不回: what any complaint may say. Of a pair that no dictionary has, either half."""
    if any(hit.category in _TELLING for hit in lexicon().find(word)):
        return False
    dull = _kinds()[1]
    if text.is_known(word):
        return word in dull or (not _plain(word) and not dull.isdisjoint(word))
    return not dull.isdisjoint(word) or any(word[:n] in dull or word[n:] in dull for n in range(1, len(word)))


def _plain(word: str) -> bool:
    """A word of the dictionary, not two of them."""
    return text.common_rate(word) > _ONCE or word.isascii()


_ONCE = 1.5 * 80 / 60_101_967


# -- reasons

_BUCKETS = ("用词不同", "用词不同", "用词略近", "用词略近", "用词相近", "用词相近", "用词很相近", "用词很相近", "用词几乎相同")
_GAPS = (
    "间隔不到1天", "间隔1天", "间隔2至3天", "间隔4至6天", "间隔7至11天", "间隔12至19天", "间隔20至34天", "间隔35至59天", "间隔60天以上",
)  # fmt: skip
_PACES = (
    "来件间隔短于平时", "来件间隔与平时相当", "来件间隔与平时相当", "来件间隔为平时的2倍以上", "来件间隔为平时的4倍以上", "来件间隔为平时的8倍以上",
    "来件间隔为平时的16倍以上", "来件间隔为平时的32倍以上",
)  # fmt: skip
_HELD = ("事件为空", "事件已有1件", "事件已有2至3件", "事件已有4至7件", "事件已有8至15件", "事件已有16至31件", "事件已有32件以上")
# The part of a level that says it, and how; what comes first in a level (who) is said by the merchant.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "lot": {"same": "同一批次", "other": "批次不同"},
    "merchant": {
        "same": "同一商家", "unnamed": "商家未写明", "other": "商家不同",
        "unnamed/mentioned": "商家未写明", "other/mentioned": "文中提到另一商家",
    },
    "shop": {
        "same/only": "同一门店", "same/one of many": "同为其中一家门店", "unknown": "门店未写明", "other/of many": "连锁的另一家门店",
        "other/once": "门店写法不同", "other/sure": "门店不同",
    },
    "place": {"same": "同一地点", "other": "地点不同"},
    "product": {"main": "商品相同", "some": "商品有提及", "none": "商品不同"},
    "issue": {"main": "问题类别相同", "minor": "问题类别有提及", "none": "问题类别不同"},
    "name": {"0": "无共同的专名", "1": "提到同一专名", "2": "提到多个相同专名"},
    "text": {str(n): words for n, words in enumerate(_BUCKETS)},
    "district": {"same": "同一区县", "other": "区县不同"},
    "city": {"same": "同一城市", "other": "城市不同"},
    "gap": {str(n): words for n, words in enumerate(_GAPS)},
    "pace": {str(n): words for n, words in enumerate(_PACES)},
    "size": {str(n): words for n, words in enumerate(_HELD)},
    "rivals": {"1": "这样的事件仅此一个", "2": "这样的事件有2至3个", "3": "这样的事件有4个以上"},
}  # fmt: skip
_PART = {"place": 1, "product": 1, "issue": 1, "district": 1, "city": 1, "rivals": 1, "text": 2}
_SILENT = frozenset({"商家未写明", "门店未写明", "无共同的专名"})
_ASIDE = frozenset({"pace", "size", "rivals"})
# Levels that speak of all members there were, so also of reports.
_OF_ALL = frozenset({"gap", "pace", "size", "rivals", "text"})


def level_words(name: str, level: str) -> str | None:
    """A level of ml.incidents in words."""
    part = _PART.get(name)
    return _WORDS.get(name, {}).get(level if part is None else "/".join(level.split("/")[part : part + 1]))


def reason(evidence: Mapping[str, Any], *, origin: str = "auto", first: bool = False, without: Container[str] = ()) -> str:
    """Why a matter is a member, in one line: 同一商家；同一门店；问题类别相同；用词相近；间隔2至3天."""
    if origin == "person":
        return "人工归入"
    if "moved_from" in evidence:
        return "撤销更正后归回" if "undone" in evidence else "重新归并时归入"
    if "copy_of" in evidence:
        return "与此前来件为同一事项"
    if "same_letter_as" in evidence:
        return "与同一来信的投诉为同一事件"
    joined = evidence.get("joined")
    if first or not joined:
        return "本事件首件"
    fields = joined.get("fields", {})
    said = []
    for name in _WORDS:
        if name not in fields or name in _ASIDE or name in without or (name == "city" and "district" in fields):
            continue
        words = level_words(name, fields[name]["level"])
        if words and words not in _SILENT:
            said.append(words)
    return "；".join(said) or "综合各项比对"


# -- reading

_VISIBLE = "m.lane = ANY($2) AND EXISTS (SELECT 1 FROM unnest($3::text[]) j WHERE starts_with(m.district, j))"
_PERSON = """
LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
"""
_FIGURES = f"""
WITH seen AS MATERIALIZED (
  SELECT DISTINCT ON (m.id) m.id, m.lane = 'complaint' AS complaint, m.copy_of IS NOT NULL AS copy, m.event_at, m.district, m.issues, m.demands,
    (m.event_at AT TIME ZONE 'Asia/Shanghai')::date AS day, m.amount_fen, m.recovered_fen, r.shop, cm.complainant_id AS person
  FROM incident_membership im JOIN matter m ON m.id = im.matter_id {_PERSON}
  LEFT JOIN respondent r ON r.matter_id = m.id AND r.sequence = 1 AND r.valid_to IS NULL
  WHERE im.incident_id = $1 AND im.valid_to IS NULL AND {_VISIBLE} ORDER BY m.id, cm.complainant_id
), dated AS (
  SELECT day, complaint, person, complaint AND person IS NOT NULL
    AND row_number() OVER (PARTITION BY complaint, person ORDER BY day) = 1 AS fresh FROM seen
), days AS (
  SELECT day, count(*) FILTER (WHERE complaint) AS complaints, count(DISTINCT person) FILTER (WHERE complaint) AS people,
    sum(count(*) FILTER (WHERE fresh)) OVER (ORDER BY day)::int AS people_so_far, count(*) AS matters FROM dated GROUP BY day
), places AS (
  SELECT district AS code, count(*) FILTER (WHERE complaint) AS complaints, count(DISTINCT person) FILTER (WHERE complaint) AS people,
    count(*) AS matters FROM seen GROUP BY 1 ORDER BY 2 DESC, 4 DESC, 1 LIMIT 100
), issue AS (
  SELECT label, count(*) AS count FROM seen, unnest(issues) AS label GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
), demand AS (
  SELECT label, count(*) AS count FROM seen, unnest(demands) AS label WHERE complaint GROUP BY 1 ORDER BY 2 DESC, 1
), shops AS (
  SELECT shop AS name, count(*) AS complaints, count(DISTINCT person) AS people FROM seen WHERE complaint AND shop IS NOT NULL
  GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50
), money AS (
  SELECT count(amount_fen) AS named, coalesce(sum(amount_fen), 0)::bigint AS total_fen,
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY amount_fen))::bigint AS median_fen, coalesce(sum(recovered_fen), 0)::bigint AS recovered_fen
  FROM seen WHERE complaint AND NOT copy
)
SELECT count(*) AS matters, count(*) FILTER (WHERE complaint) AS complaints, count(DISTINCT person) FILTER (WHERE complaint) AS people,
  count(DISTINCT person) AS people_all, count(*) FILTER (WHERE complaint AND person IS NULL) AS unidentified,
  min(event_at) AS first_at, max(event_at) AS last_at,
  (SELECT jsonb_agg(to_jsonb(days) ORDER BY day) FROM days) AS over_time,
  (SELECT jsonb_agg(to_jsonb(places)) FROM places) AS districts, (SELECT jsonb_agg(to_jsonb(issue)) FROM issue) AS issues,
  (SELECT jsonb_agg(to_jsonb(demand)) FROM demand) AS demands, (SELECT jsonb_agg(to_jsonb(shops)) FROM shops) AS shops,
  (SELECT to_jsonb(money) FROM money) AS money
FROM seen
"""
_MEMBERS = f"""
SELECT page.*, c.complainant_id FROM (
  SELECT im.matter_id, m.letter_id, m.lane, m.kind, m.state, m.track, m.district, m.received_at, m.event_at, m.copy_of,
    im.is_primary, im.origin, im.actor, im.evidence, row_number() OVER (ORDER BY im.id) = 1 AS first
  FROM incident_membership im JOIN matter m ON m.id = im.matter_id
  WHERE im.incident_id = $1 AND im.valid_to IS NULL AND {_VISIBLE} ORDER BY m.event_at, m.id LIMIT $4 OFFSET $5
) AS page
LEFT JOIN LATERAL (
  SELECT cm.complainant_id FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
  WHERE p.matter_id = page.matter_id AND p.role IN ('filer', 'principal') LIMIT 1
) AS c ON true ORDER BY page.event_at, page.matter_id
"""


async def read(
    connection: Connection,
    vault: Vault,
    incident_id: uuid.UUID,
    *,
    lanes: Sequence[str],
    jurisdictions: Sequence[str],
    limit: int = 100,
    offset: int = 0,
) -> dict[str, Any]:
    """All figures are of the lanes and places the caller may see; an incident without any of those is not there for him, or it would tell that a
    report exists (Art. 37). representative opens a letter: the caller records that."""
    row = await connection.fetchrow("SELECT * FROM incident WHERE id = $1", incident_id)
    if row is None:
        raise NotFound("no such incident")
    if row["merged_into"]:
        return {"id": row["id"], "merged_into": row["merged_into"]}
    scope = (list(lanes), list(jurisdictions))
    counted = await connection.fetchrow(_FIGURES, incident_id, *scope)
    if not counted["matters"]:
        raise NotFound("no such incident")
    called = await connection.fetchrow(
        f"SELECT {INCIDENT_TITLE}, (SELECT core FROM merchant WHERE id = i.merchant_id) AS brand FROM incident i WHERE i.id = $1", incident_id, scope[0]
    )  # fmt: skip
    title = called["title"] or _plain_title(row["scope"], called["brand"], counted)
    related = await _related(connection, incident_id, *scope)
    before = next((r["id"] for r in related if r["relation"] == "recurs_from"), None)
    return {
        "id": row["id"], "merged_into": None, "state": row["state"], "scope": row["scope"], "title": title,
        "titled_by": row["titled_by"], "pinned_by": row["pinned_by"], "key_phrases": row["key_phrases"], "harm": row["harm"],
        "merchant_id": row["merchant_id"], "first_at": counted["first_at"], "last_at": counted["last_at"],
        "closed_at": row["closed_at"], "closed_by": row["closed_by"], "recurrence_of": before,
        **{k: counted[k] for k in ("matters", "complaints", "people", "unidentified", *(("people_all",) if "report" in lanes else ()))},
        "over_time": counted["over_time"], "districts": [{"name": region_name(d["code"]), **d} for d in counted["districts"]],
        "issues": counted["issues"] or [], "demands": counted["demands"] or [], "money": counted["money"], "shops": counted["shops"] or [],
        "representative": await _representative(connection, vault, incident_id, *scope),
        "related": related,
        "history": await _history(connection, row, *scope),
        "members": await _members(connection, incident_id, *scope, limit, offset),
    }  # fmt: skip


def _plain_title(scope: str, brand: str | None, seen: Mapping[str, Any]) -> str:
    """Of what the reader sees himself."""
    shop = f"（{seen['shops'][0]['name']}）" if scope == "shop" and seen["shops"] else ""
    where = f"{brand}{shop}" if brand else region_name(seen["districts"][0]["code"])
    return " · ".join([str(where), *(issue["label"] for issue in (seen["issues"] or ())[:1])])


async def _members(
    connection: Connection, incident_id: uuid.UUID, lanes: list[str], jurisdictions: list[str], limit: int, offset: int
) -> list[dict[str, Any]]:
    rows = await connection.fetch(_MEMBERS, incident_id, lanes, jurisdictions, limit, offset)
    others = {uuid.UUID(o["incident_id"]) for r in rows for o in r["evidence"].get("others", ())}
    visible = await _seen(connection, others, lanes, jurisdictions, ever=False) if others else set()
    members = []
    knows = "report" in lanes
    for row in rows:
        evidence = row["evidence"]
        if "others" in evidence:
            evidence = {**evidence, "others": [o for o in evidence["others"] if uuid.UUID(o["incident_id"]) in visible]}
        first = bool(row["first"]) and not knows
        why = reason(evidence, origin=row["origin"], first=first, without=() if knows else ("gap",))
        if not knows:
            evidence = _of_complaints(evidence, first)
        members.append(
            {k: v for k, v in row.items() if k != "first"}
            | {"evidence": evidence, "reason": why}
            | ({} if knows else {"kind": row["lane"]})
        )
    return members


def _of_complaints(evidence: Mapping[str, Any], first: bool) -> dict[str, Any]:
    """Without what would show that there are more members than the caller sees."""

    def shown(one: Any) -> Any:
        if not one or first:
            return None
        return {"fields": {k: v for k, v in one.get("fields", {}).items() if k not in _OF_ALL}}

    kept = {k: v for k, v in evidence.items() if k not in ("joined", "others")}
    return kept | ({"joined": shown(evidence["joined"])} if "joined" in evidence else {})


_CANDIDATES = f"""
SELECT m.id, m.letter_id, m.lane, m.history, m.state, m.terms, m.term_weights, m.name_tokens FROM incident_membership im JOIN matter m ON m.id = im.matter_id
WHERE im.incident_id = $1 AND im.valid_to IS NULL AND m.lane <> 'report' AND m.copy_of IS NULL AND {_VISIBLE}
ORDER BY m.lane, m.event_at DESC, m.id LIMIT {_MEMBERS_READ}
"""


async def _representative(
    connection: Connection, vault: Vault, incident_id: uuid.UUID, lanes: list[str], jurisdictions: list[str]
) -> dict[str, Any] | None:
    """The complaint whose words are nearest to all those the caller sees; where there is none, what is neither complaint nor report. Of
    live ones, where there are any; not a withdrawn one."""
    rows = await connection.fetch(_CANDIDATES, incident_id, lanes, jurisdictions)
    rows = [r for r in rows if r["lane"] == rows[0]["lane"]]
    said = []
    middle: dict[int, float] = {}
    for row in rows:
        names = set(row["name_tokens"])
        terms = {t: w for t, w in zip(row["terms"], row["term_weights"], strict=True) if t not in names}
        said.append(terms)
        for term, weight in terms.items():
            middle[term] = middle.get(term, 0.0) + weight
    fitting = [n for n, r in enumerate(rows) if r["state"] != "withdrawn"]
    fitting = [n for n in fitting if not rows[n]["history"]] or fitting
    if not fitting:
        return None
    chosen = rows[max(fitting, key=lambda n: (_cosine(said[n], middle), n))]
    letter = await open_letter(connection, vault, chosen["letter_id"])
    masked = mask_text(letter.body.text, *letter.body.personal_values())
    excerpt = masked if len(masked) <= _EXCERPT_CHARACTERS else masked[: _EXCERPT_CHARACTERS - 1] + "…"
    return {"matter_id": chosen["id"], "complaint_id": chosen["letter_id"], "text": excerpt}


def _cosine(terms: Mapping[int, float], middle: Mapping[int, float]) -> float:
    """Up to the length of middle, the same for all."""
    length = math.sqrt(sum(w * w for w in terms.values()))
    return round(sum(w * middle.get(t, 0.0) for t, w in terms.items()) / length, 6) if length else 0.0


_RELATED = f"""
WITH secondary AS (SELECT matter_id, incident_id FROM incident_membership WHERE NOT is_primary AND valid_to IS NULL), found AS (
  SELECT recurrence_of AS id, 'recurs_from' AS relation FROM incident WHERE id = $1 AND recurrence_of IS NOT NULL
  UNION SELECT id, 'recurs_as' FROM incident WHERE recurrence_of = $1
  UNION SELECT s.incident_id, 'shares_members' FROM secondary s JOIN incident_membership im ON im.matter_id = s.matter_id
    JOIN matter m ON m.id = s.matter_id WHERE im.incident_id = $1 AND im.valid_to IS NULL AND {_VISIBLE}
  UNION SELECT im.incident_id, 'shares_members' FROM secondary s JOIN incident_membership im ON im.matter_id = s.matter_id
    JOIN matter m ON m.id = s.matter_id WHERE s.incident_id = $1 AND im.is_primary AND im.valid_to IS NULL AND {_VISIBLE}
)
SELECT DISTINCT ON (found.relation, i.id) found.relation, i.id, {INCIDENT_TITLE}, i.state FROM found JOIN incident was ON was.id = found.id
JOIN incident i ON i.id = coalesce(was.merged_into, was.id) WHERE i.id <> $1 ORDER BY found.relation, i.id LIMIT 100
"""


async def _related(
    connection: Connection, incident_id: uuid.UUID, lanes: list[str], jurisdictions: list[str]
) -> list[dict[str, Any]]:
    """What it repeats, what repeats it, what it shares members with."""
    rows = await connection.fetch(_RELATED, incident_id, lanes, jurisdictions)
    visible = await _seen(connection, {r["id"] for r in rows}, lanes, jurisdictions, ever=False) if rows else set()
    return [dict(r) for r in rows if r["id"] in visible]


async def _seen(
    connection: Connection, incident_ids: Collection[uuid.UUID], lanes: list[str], jurisdictions: list[str], *, ever: bool
) -> set[uuid.UUID]:  # fmt: skip
    """Those that have, or ever had, a member the caller may see."""
    rows = await connection.fetch(
        "SELECT i AS incident_id FROM unnest($1::uuid[]) AS i WHERE EXISTS (SELECT 1 FROM incident_membership im "
        f"JOIN matter m ON m.id = im.matter_id WHERE im.incident_id = i AND {_VISIBLE}{'' if ever else ' AND im.valid_to IS NULL'})",
        list(incident_ids), lanes, jurisdictions,
    )  # fmt: skip
    return {r["incident_id"] for r in rows}


_MOST_ACTS = 50
_MOVES = f"""
WITH moved AS (
  SELECT im.run_id, im.actor, im.valid_from AS at, 'in' AS direction, (im.evidence ->> 'moved_from')::uuid AS other
  FROM incident_membership im JOIN matter m ON m.id = im.matter_id
  WHERE im.incident_id = $1 AND (im.origin = 'person' OR im.run_id IS NOT NULL) AND {_VISIBLE}
  UNION ALL
  SELECT im.run_id, im.actor, im.valid_from, 'out', im.incident_id
  FROM incident_membership old JOIN incident_membership im ON im.matter_id = old.matter_id AND im.valid_from = old.valid_to
  JOIN matter m ON m.id = im.matter_id
  WHERE old.incident_id = $1 AND im.incident_id <> $1 AND (im.origin = 'person' OR im.run_id IS NOT NULL) AND {_VISIBLE}
)
SELECT coalesce(r.kind, 'move') AS act, moved.actor, moved.at, moved.direction, moved.other AS incident_id, count(*) AS matters, moved.run_id
FROM moved LEFT JOIN link_run r ON r.id = moved.run_id GROUP BY 1, 2, 3, 4, 5, 7 ORDER BY 3 DESC, 4, 5 LIMIT {_MOST_ACTS}
"""
_ACTS = f"""
SELECT kind AS act, actor, started_at AS at, id AS run_id FROM link_run
WHERE object = 'incident' AND kind IN ('close', 'reopen', 'pin', 'unpin') AND parameters ->> 'incident_id' = $1::uuid::text
ORDER BY started_at DESC LIMIT {_MOST_ACTS}
"""
_IDENTITY = f"""
SELECT act, actor, at, CASE WHEN old_id = $1 THEN new_id ELSE old_id END AS incident_id, run_id FROM identifier_history
WHERE object = 'incident' AND (old_id = $1 OR new_id = $1) ORDER BY at DESC, id DESC LIMIT {_MOST_ACTS}
"""
_NOTHING = {"direction": None, "incident_id": None, "matters": None, "run_id": None}


async def _history(connection: Connection, row: Any, lanes: list[str], jurisdictions: list[str]) -> list[dict[str, Any]]:
    """Who merged, split, moved, closed, newest first. matters: those the caller may see."""
    acts = [dict(r) for r in await connection.fetch(_MOVES, row["id"], lanes, jurisdictions)]
    runs = {a["run_id"] for a in acts if a["run_id"]}
    changes = [r for r in await connection.fetch(_IDENTITY, row["id"]) if r["run_id"] not in runs]
    others = {c["incident_id"] for c in changes if c["incident_id"]}
    visible = await _seen(connection, others, lanes, jurisdictions, ever=True) if others else set()
    acts += [_NOTHING | dict(c) for c in changes if c["incident_id"] is None or c["incident_id"] in visible]
    acts += [_NOTHING | dict(r) for r in await connection.fetch(_ACTS, row["id"])]
    if row["closed_by"] and row["closed_at"] and not any(a["act"] == "close" for a in acts):
        acts.append(_NOTHING | {"act": "close", "actor": row["closed_by"], "at": row["closed_at"]})
    return sorted(acts, key=lambda a: a["at"], reverse=True)[:_MOST_ACTS]
