"""The journey of a register: merchants that are known before anybody complains, with their names, shops and places.

What the register says of a merchant is told to its profile as mentions that came often, so complaints find it by any of its names. A
merchant that complaints had opened keeps its id where the register's entry is clearly the same one.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from app import audit, merchants, sheets
from app.calendar import local_day
from app.codes import find_district, region_name
from app.database import STAGE_MERCHANT, Connection, lock, to_json
from app.identity import new_id
from app.reading import load_brands
from app.sheets import YES_NO, Problem, Row
from app.triage import House
from ml import merchants as engine
from ml.merchants import Known, Mention, MerchantName
from ml.scorecards import Scorecard
from ml.tokens import sound

# How many mentions a name of the register counts for: some thirty people who write a name otherwise must not make it rare.
_REGISTERED_WEIGHT = 20
_NAME_WEIGHT = 16
_SHOPS_MOST = 200  # in a profile; the register's own table holds all
_LOCKS_MOST = 48
_ROWS_MOST = 50
_RETRIES = 3
Progress = Callable[[str, int, int | None], None]

_COLUMNS: dict[str, tuple[str, ...]] = {
    "uscc": ("uscc", "统一社会信用代码", "社会信用代码", "信用代码"),
    "name": ("name", "名称", "企业名称", "经营者名称", "主体名称"),
    "aliases": ("aliases", "alias", "别名", "简称", "品牌"),
    "former_names": ("former_names", "former_name", "曾用名"),
    "shops": ("shops", "shop", "门店", "门店名称"),
    "chain": ("chain", "连锁"),
    "industry": ("industry", "行业"),
    "city": ("city", "城市", "所在城市"),
    "odr": ("odr", "odr状态", "odr企业"),
    "odr_valid_from": ("odr_valid_from", "odr有效期起"),
    "odr_valid_to": ("odr_valid_to", "odr有效期止"),
}
_PROVINCE = re.compile(
    r"^(?:中国)?(?:河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆)"
    r"(?!省|自治区|壮族|回族|维吾尔)(?=.{3})"
)


@dataclass
class Loaded:
    """rejected: rows that were not taken at all; the other problems cost a row no more than that field. doubles: merchants that complaints
    opened and that look like an entry's besides the one it took over: (line, merchant), for a person to merge."""

    rows: int = 0
    opened: int = 0
    taken_over: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    problems: list[Problem] = field(default_factory=list)
    doubles: list[tuple[int, uuid.UUID]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Shop:
    name: str
    district: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the register. None and '' where it does not say."""

    line: int
    name: str
    uscc: str
    aliases: tuple[str, ...]
    former_names: tuple[str, ...]
    shops: tuple[Shop, ...]
    chain: bool | None
    industry: str
    city: str
    odr: bool | None
    odr_valid_from: date | None
    odr_valid_to: date | None

    @property
    def names(self) -> dict[str, str]:
        """Each of its names -> what it is."""
        return {
            **dict.fromkeys(self.aliases, "alias"),
            **dict.fromkeys(self.former_names, "former"),
            self.name: "registered",
        }


@dataclass(frozen=True, slots=True)
class _Told:
    """An entry as a merchant: made before any lock."""

    entry: Entry
    mentions: list[Mention]
    known: Known
    keys: list[str]

    @property
    def locks(self) -> set[str]:
        return {key for key in self.keys if "|" not in key}


async def load_register(house: House, path: Path, *, source: str, actor: str, progress: Progress) -> Loaded:
    """Loads a register of merchants (CSV, XLSX, JSONL). Loading it again updates: by code, else by name and city.

    Raises Invalid when the file is none that can be read or has no column of names.
    """
    done = Loaded()
    batch: list[_Told] = []
    locks: set[str] = set()
    for entry in _entries(path, done):
        told = _tell(entry)
        if batch and (len(locks | told.locks) > _LOCKS_MOST or len(batch) >= _ROWS_MOST):
            await _load(house, batch, done, source, actor)
            progress("register", done.rows - 1, None)
            batch, locks = [], set()
        batch.append(told)
        locks |= told.locks
    if batch:
        await _load(house, batch, done, source, actor)
    progress("register", done.rows, done.rows)
    done.problems.sort(key=lambda p: p.line)
    async with house.database.connection() as connection:
        house.brands_from = await load_brands(connection, house.reader.brands, house.brands_from)
    return done


# -- rows of the file


def _entries(path: Path, done: Loaded) -> Iterator[Entry]:
    given: dict[str, Entry] = {}
    for row in sheets.read_rows(path, _COLUMNS, required="name"):
        done.rows += 1
        entry = _entry(row)
        if entry and entry.uscc and (other := given.setdefault(entry.uscc, entry)).name != entry.name:
            row.problem("uscc", f"is that of another name on line {other.line}")
            entry = None
        done.problems += row.problems
        if entry is None:
            done.rejected += 1
        else:
            yield entry


def _entry(row: Row) -> Entry | None:
    """None where it can't be told whose it is."""
    name = row.text("name")
    if not name and not row.problems:
        row.problem("name", "is missing")
    elif name and len(name) < 2:
        row.problem("name", "is too short for one")
    code = row.uscc("uscc")
    if row.problems:
        return None

    city = _city(row.text("city")) or engine.parse_name(name).city
    aliases, former = row.parts("aliases"), row.parts("former_names")
    called = row.text("chain")
    chain = YES_NO.get(called.lower(), True) if called else None
    if called and called.lower() not in YES_NO:
        aliases = (*aliases, called)
    odr, first, last = row.yes_no("odr"), row.day("odr_valid_from"), row.day("odr_valid_to")
    if first and last and last < first:
        row.problem("odr_valid_to", "is before odr_valid_from")
        odr = first = last = None
    if odr is None and (first or last) and "odr" not in row.values:
        odr = True
    shops = tuple(_shop(text, city) for text in row.parts("shops"))
    return Entry(row.line, name, code, aliases, former, shops, chain, row.text("industry"), city, odr, first, last)


def _city(text: str) -> str:
    """湖北省武汉市 -> 武汉."""
    return engine.city_at_start(text)[0] or engine.city_at_end(text) or engine.bare_city(text)


def _shop(text: str, city: str) -> Shop:
    name, _, place = (part.strip() for part in text.partition("@"))
    if place:
        # A district that two cities have needs its city beside it.
        return Shop(name or place, find_district(place, city + place))
    code = find_district(city + name)
    return Shop(name, code if code and not code.endswith("00") else None)


# -- an entry as a merchant


def _tell(entry: Entry) -> _Told:
    mentions: list[Mention] = []
    known = Known(chain=bool(entry.chain))
    kinds = sorted(entry.names.items(), key=lambda n: n[1] != "registered")
    for written, kind in kinds:
        weight = _REGISTERED_WEIGHT if kind == "registered" else _NAME_WEIGHT
        for place, name in enumerate(_forms(written)):
            mention = Mention(replace(name, city=entry.city or name.city, shop=""), "form", uscc=entry.uscc)
            mentions.append(mention)
            for _ in range(weight - place):
                known.learn(mention)
            # Whoever writes the name in full says the city that it bears, wherever the merchant sits.
            if name.city and name.city != mention.name.city:
                known.cities[name.city] = known.cities.get(name.city, 0) + weight
    if entry.industry and (trade := engine.parse_name(f"甲乙{entry.industry}").trade):
        known.trades[trade] = known.trades.get(trade, 0) + _NAME_WEIGHT
    for shop in entry.shops:
        if len(known.shops) < _SHOPS_MOST:
            known.shops[_branch(shop.name, known)] = _NAME_WEIGHT
        if shop.district:
            city = engine.bare_city(region_name(shop.district[:4] + "00") or "")
            # The province's own county-level cities have no city above them.
            if city and city != "省直辖县级行政区划":
                known.cities[city] = max(known.cities.get(city, 0), _NAME_WEIGHT)
    keys = dict.fromkeys([*(key for mention in mentions for key in engine.keys(mention)), *merchants.names_of(known)])
    return _Told(entry, mentions, known, list(keys))


def _forms(written: str) -> list[MerchantName]:
    """A name as it is called: 湖北鼎鲜坊商贸有限公司 is 鼎鲜坊, though whoever copies it from a receipt writes 湖北鼎鲜坊; that the brand
    may be 湖北 it shares with thousands."""
    name = engine.parse_name(written)
    if province := _PROVINCE.match(written):
        return [engine.parse_name(written[province.end() :]), replace(name, cores=(name.core,))]
    return [name]


def _branch(shop: str, known: Known) -> str:
    """江城味火锅（光谷店） and 江城味光谷店 -> 光谷店: as a written name's shop is told from its brand."""
    parsed = engine.parse_name(shop)
    if parsed.shop and parsed.core in known.cores:
        return parsed.shop
    brand = max((c for c in known.cores if shop.startswith(c) and len(shop) - len(c) >= 2), key=len, default="")
    return shop.removeprefix(brand).strip("-—· ") or shop


def _merge(known: Known, told: Known) -> None:
    """At least what the register says, and never rare, however much else was counted since. Twice is once."""
    both: tuple[tuple[dict[Any, int], dict[Any, int]], ...] = (
        (known.cores, told.cores), (known.cities, told.cities), (known.trades, told.trades), (known.words, told.words),
        (known.forms, told.forms), (known.shops, told.shops),
    )  # fmt: skip
    for mine, theirs in both:
        common = max(mine.values(), default=0) // 4
        for value, count in theirs.items():
            mine[value] = max(mine.get(value, 0), count, common)
    known.guesses |= told.guesses
    known.sounds |= told.sounds
    known.size = max(known.size, told.size)
    known.uscc = known.uscc or told.uscc
    known.chain = known.chain or told.chain


# -- into the store


async def _load(house: House, batch: Sequence[_Told], done: Loaded, source: str, actor: str) -> None:
    """A batch in one transaction; one that fails is loaded row by row, so that only the row that can't be loaded is lost."""
    for attempt in range(_RETRIES):
        try:
            found = await _load_at_once(house, batch, source, actor)
            break
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.TransactionRollbackError) as error:
            if attempt < _RETRIES - 1:
                continue
            if len(batch) == 1:
                done.rejected += 1
                done.problems.append(Problem(batch[0].entry.line, "row", f"the database refused it: {type(error).__name__}"))
                return
            for told in batch:
                await _load(house, [told], done, source, actor)
            return
    for one in found:
        setattr(done, one.what, getattr(done, one.what) + 1)
        done.problems += one.problems
        done.doubles += one.doubles


@dataclass(slots=True)
class _Outcome:
    """what: the counter of Loaded."""

    merchant_id: uuid.UUID
    what: str = "unchanged"
    problems: list[Problem] = field(default_factory=list)
    doubles: list[tuple[int, uuid.UUID]] = field(default_factory=list)


async def _load_at_once(house: House, batch: Sequence[_Told], source: str, actor: str) -> list[_Outcome]:
    today = local_day(datetime.now(UTC))
    async with house.database.transaction() as connection:
        # One ordered lock over the whole batch: taken row by row, two loads would wait for each other.
        await lock(connection, STAGE_MERCHANT, {key for told in batch for key in told.locks})
        found = [await _register(connection, told, house.merchant_scorecard, source, today) for told in batch]
        await audit.record(
            connection, actor, "register", "merchant", [o.merchant_id for o in found if o.what != "unchanged"], purpose=source
        )
    return found


async def _register(connection: Connection, told: _Told, scorecard: Scorecard, source: str, today: date) -> _Outcome:
    entry = told.entry
    outcome = _Outcome(uuid.UUID(int=0), "updated")
    merchant_id = await _stored(connection, told)
    if merchant_id is None:
        merchant_id = await _opened_before(connection, told, scorecard, outcome)
        outcome.what = "taken_over" if merchant_id else "opened"
    if merchant_id is None:
        outcome.merchant_id = new_id()
        uscc = await _open(connection, outcome.merchant_id, told)
        known = told.known
        changed = True
    else:
        outcome.merchant_id = merchant_id
        row = await connection.fetchrow("SELECT * FROM merchant WHERE id = $1 FOR NO KEY UPDATE", merchant_id)
        if outcome.what == "updated" and row["registered"] == 0:
            outcome.what = "taken_over"
        if entry.uscc and row["uscc"] and row["uscc"] != entry.uscc:
            # A person merged the code's holder into this one: the entry adds to it and does not rename it.
            aliases = (*entry.aliases, entry.name)
            told = replace(told, entry=replace(entry, name=row["name"], aliases=aliases, city="", industry="", chain=None))
        known = merchants.known_of(row)
        uscc, changed = await _update(connection, row, known, told)
    changed |= await _name(connection, outcome.merchant_id, told.entry, source)
    changed |= await _keep_shops(connection, outcome.merchant_id, entry, source)
    changed |= await _keep_odr(connection, entry.uscc or uscc, entry, source, today, outcome)
    if changed:
        keys = [*told.keys, *merchants.names_of(known)]
        await merchants.remember(connection, outcome.merchant_id, known.standing, keys, known.cores)
    elif outcome.what == "updated":
        outcome.what = "unchanged"
    return outcome


_BY_CODE = """
WITH RECURSIVE home AS (
  SELECT id, merged_into FROM merchant WHERE uscc = $1
  UNION SELECT m.id, m.merged_into FROM home JOIN merchant m ON m.id = home.merged_into
)
SELECT id FROM home WHERE merged_into IS NULL
"""
# By the sound of the name, for names have no index of their own.
_BY_NAME = """
SELECT m.id FROM merchant_key k JOIN merchant m ON m.id = k.merchant_id
WHERE k.key = $1 AND m.registered = 1 AND m.merged_into IS NULL AND m.name = $2 AND m.city IS NOT DISTINCT FROM $3
  AND (m.uscc IS NULL OR $4::text IS NULL)
ORDER BY m.id LIMIT 1
"""


async def _stored(connection: Connection, told: _Told) -> uuid.UUID | None:
    """The merchant that holds the entry's code, else the registered one of its name, now or formerly, in its city."""
    entry = told.entry
    found: uuid.UUID | None = await connection.fetchval(_BY_CODE, entry.uscc) if entry.uscc else None
    for name in () if found else (entry.name, *entry.former_names):
        key = f"p:{sound(engine.parse_name(name).core)}" + (f"|{entry.city}" if entry.city else "")
        found = found or await connection.fetchval(_BY_NAME, key, name, entry.city or None, entry.uscc or None)
    return found


async def _opened_before(connection: Connection, told: _Told, scorecard: Scorecard, outcome: _Outcome) -> uuid.UUID | None:
    """The merchant that complaints opened and the entry is of: by the evidence a complaint needs, and in its city. Registered ones are
    looked at too: who is closer to one of those is not taken over."""
    rows: dict[Any, Any] = await merchants.candidates(connection, told.keys)
    if not rows:
        return None
    known = {i: merchants.known_of(r) for i, r in rows.items()}
    choice = engine.choose(told.mentions, known, scorecard)
    if choice.evidence is None or rows[choice.merchant]["registered"] or not _same_city(told, known[choice.merchant]):
        return None
    outcome.doubles = [
        (told.entry.line, rows[other]["id"])
        for other, evidence in choice.others
        if evidence.joins and not rows[other]["registered"] and _same_city(told, known[rows[other]["id"]])
    ]
    found: uuid.UUID = choice.merchant
    return found


def _same_city(told: _Told, about: Known) -> bool:
    """Its complaints name the entry's city, or come from there where they name none."""
    return bool(told.entry.city) and told.entry.city in (about.cities or about.homes)


async def _open(connection: Connection, merchant_id: uuid.UUID, told: _Told) -> str | None:
    entry = told.entry
    await connection.execute(
        "INSERT INTO merchant (id, name, core, city, trade, uscc, registered, industry, chain, profile) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9)",
        merchant_id, entry.name, told.known.main, entry.city or None, _trade(told.known), entry.uscc or None, entry.industry or None,
        bool(entry.chain), to_json(told.known.as_json()),
    )  # fmt: skip
    return entry.uscc or None


def _trade(known: Known) -> str | None:
    return max(known.trades, key=lambda t: (known.trades[t], t), default=None)


async def _update(connection: Connection, row: Any, known: Known, told: _Told) -> tuple[str | None, bool]:
    """(the code it has now, whether anything changed). What the entry does not say stays."""
    entry = told.entry
    before = known.as_json()
    standing = known.standing
    _merge(known, told.known)
    chain = row["chain"] if entry.chain is None else entry.chain
    uscc: str | None = row["uscc"]
    # A merchant that was merged into this one keeps its code; it is found by it all the same.
    if not uscc and entry.uscc and not await connection.fetchval("SELECT true FROM merchant WHERE uscc = $1", entry.uscc):
        uscc = entry.uscc
    now = {
        "name": entry.name, "core": known.main, "city": entry.city or row["city"], "trade": _trade(told.known) or row["trade"], "uscc": uscc,
        "industry": entry.industry or row["industry"], "chain": chain, "registered": 1,
    }  # fmt: skip
    if row["profile"] is not None and known.as_json() == before and all(row[name] == value for name, value in now.items()):
        return uscc, False
    await connection.execute(
        "UPDATE merchant SET name = $2, core = $3, city = $4, trade = $5, uscc = $6, industry = $7, chain = $8, registered = $9, profile = $10 "
        "WHERE id = $1",
        row["id"], *now.values(), to_json(known.as_json()),
    )  # fmt: skip
    if known.standing > standing:
        await connection.execute("UPDATE merchant_key SET standing = $2 WHERE merchant_id = $1", row["id"], known.standing)
    return uscc, True


async def _name(connection: Connection, merchant_id: uuid.UUID, entry: Entry, source: str) -> bool:
    """Its names. The one it had before it was renamed is a former one."""
    renamed = await connection.execute(
        "UPDATE merchant_name SET kind = 'former' WHERE merchant_id = $1 AND kind = 'registered' AND name <> $2",
        merchant_id,
        entry.name,
    )
    names = entry.names
    named = await connection.execute(
        "INSERT INTO merchant_name (merchant_id, name, kind, source) SELECT $1, n, k, $4 FROM unnest($2::text[], $3::text[]) AS t(n, k) "
        "ON CONFLICT (merchant_id, name) DO UPDATE SET kind = excluded.kind, source = excluded.source WHERE merchant_name.kind <> excluded.kind",
        merchant_id, list(names), list(names.values()), source,
    )  # fmt: skip
    return _touched(renamed) or _touched(named)


async def _keep_shops(connection: Connection, merchant_id: uuid.UUID, entry: Entry, source: str) -> bool:
    if not entry.shops:
        return False
    rows = await connection.fetch("SELECT id, name, district FROM merchant_shop WHERE merchant_id = $1", merchant_id)
    known = {r["name"]: r for r in rows}
    shops = {s.name: s for s in entry.shops}.values()
    fresh = [(new_id(), merchant_id, s.name, s.district, source) for s in shops if s.name not in known]
    moved = [
        (known[s.name]["id"], s.district)
        for s in shops
        if s.name in known and s.district and s.district != known[s.name]["district"]
    ]
    if fresh:
        await connection.executemany(
            "INSERT INTO merchant_shop (id, merchant_id, name, district, source) VALUES ($1, $2, $3, $4, $5)", fresh
        )
    if moved:
        await connection.executemany("UPDATE merchant_shop SET district = $2 WHERE id = $1", moved)
    return bool(fresh or moved)


async def _keep_odr(
    connection: Connection, uscc: str | None, entry: Entry, source: str, today: date, outcome: _Outcome
) -> bool:  # fmt: skip
    """是: on the roster, from the day the register says, else from today unless it is there already. 否: what this register had put
    there ends yesterday."""
    if entry.odr is None:
        return False
    if uscc is None:
        if entry.odr:
            outcome.problems.append(Problem(entry.line, "odr", "needs the merchant's code"))
        return False
    if not entry.odr:
        return _touched(
            await connection.execute(
                "UPDATE odr_enterprise SET valid_to = $2 WHERE uscc = $1 AND source = $3 AND (valid_to IS NULL OR valid_to > $2)",
                uscc, today - timedelta(days=1), source,
            )
        )  # fmt: skip
    first = entry.odr_valid_from or await connection.fetchval(
        "SELECT max(valid_from) FROM odr_enterprise WHERE uscc = $1 AND valid_from <= $2 AND (valid_to IS NULL OR valid_to >= $2)",
        uscc, today,
    )  # fmt: skip
    return _touched(
        await connection.execute(
            "INSERT INTO odr_enterprise (uscc, valid_from, valid_to, name, source) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT (uscc, valid_from) DO UPDATE SET valid_to = excluded.valid_to, name = excluded.name, source = excluded.source "
            "WHERE (odr_enterprise.valid_to, odr_enterprise.name) IS DISTINCT FROM (excluded.valid_to, excluded.name)",
            uscc, first or min(today, entry.odr_valid_to or today), entry.odr_valid_to, entry.name, source,
        )
    )  # fmt: skip


def _touched(tag: str) -> bool:
    """Whether a statement wrote a row, by its command tag: UPDATE 0."""
    return not tag.endswith(" 0")
