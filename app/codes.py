"""Code lists and regions: loadable data with source and date; the shipped lists are in app/data."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ahocorasick_rs import AhoCorasick, MatchKind

from app.database import Connection
from app.errors import Invalid, NotFound


def shipped(name: str) -> Any:
    return json.loads((files("app") / "data" / f"{name}.json").read_text("utf-8"))


async def seed(connection: Connection) -> None:
    """Loads the shipped lists; rows changed by hand stay."""
    raw = shipped("codes")
    rows = []
    for name, entries in raw["lists"].items():
        for position, entry in enumerate(entries):
            code, label, parent = ([entry, entry] if isinstance(entry, str) else entry) + [None] * (
                1 if isinstance(entry, str) or len(entry) == 2 else 0
            )
            rows.append((name, code, label, parent, position, raw["source"], date.fromisoformat(raw["as_of"])))
    regions = shipped("regions")
    for city in regions["cities"]:
        as_of = date.fromisoformat(regions["as_of"])
        rows.append(("district", city["code"], city["name"], regions["province"]["code"], 0, regions["source"], as_of))
        rows += [
            ("district", d["code"], d["name"], city["code"], i, regions["source"], as_of) for i, d in enumerate(city["districts"])
        ]
    await connection.executemany(
        "INSERT INTO code (list, code, name, parent, position, source, as_of) VALUES ($1, $2, $3, $4, $5, $6, $7) "
        "ON CONFLICT (list, code) DO NOTHING",
        rows,
    )
    await connection.executemany(
        "INSERT INTO queue (id, name, lane, track, roles) VALUES ($1, $2, $3, $1, $4) ON CONFLICT (id) DO NOTHING",
        [(q["id"], q["name"], q["lane"], q["roles"]) for q in shipped("queues")],
    )


async def load_map(connection: Connection) -> dict[tuple[str, str], str]:
    """(list of another system, its code or name) -> our code."""
    rows = await connection.fetch("SELECT from_list, from_code, to_code FROM code_map")
    return {(r["from_list"], r["from_code"]): r["to_code"] for r in rows}


@lru_cache(maxsize=1)
def _own_names() -> dict[str, frozenset[str]]:
    raw = shipped("codes")["lists"]
    return {name: frozenset(e if isinstance(e, str) else e[0] for e in raw[name]) for name in ("goods", "problem")}


def own_code(name: str, filed: str, known: Mapping[tuple[str, str], str]) -> str | None:
    """Our code of list `name` for a category as another system filed it: a path (A->B->C) is looked up whole, then from
    its leaf upwards, in every list that maps to ours; a segment that is one of our own names stands for itself."""
    if not filed:
        return None
    own_names = _own_names()[name]
    segments = [part.strip() for part in re.split(r"->|→|/|>", filed) if part.strip()]
    systems = {system for system, _ in known}
    for written in (filed.strip(), *reversed(segments)):
        for system in sorted(systems):
            if system.endswith(f".{name}") and (code := known.get((system, written))):
                return code
        for own in (written, written.removesuffix("问题"), written.removesuffix("服务"), written.removesuffix("投诉")):
            if own in own_names:
                return str(own)
    return None


async def load_file(connection: Connection, table: Iterable[list[Any]], *, source: str, as_of: date) -> tuple[int, int]:
    """Code lists and cross-walks of one's own: rows of list, code, name, parent (a code), or of from_list, from_code,
    to_list, to_code (a mapping). Gives how many of each. What is there under the same key is replaced."""
    rows = iter(table)
    header = [str(c or "").strip() for c in next(rows, [])]
    found = [dict(zip(header, ("" if c is None else str(c).strip() for c in cells), strict=False)) for cells in rows]
    if {"list", "code", "name"} <= set(header):
        for position, row in enumerate(found):
            await connection.execute(
                "INSERT INTO code (list, code, name, parent, position, source, as_of) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                "ON CONFLICT (list, code) DO UPDATE SET name = excluded.name, parent = excluded.parent, position = excluded.position, "
                "source = excluded.source, as_of = excluded.as_of",
                row["list"], row["code"], row["name"], row.get("parent") or None, position, source, as_of,
            )  # fmt: skip
        return len(found), 0
    if {"from_list", "from_code", "to_list", "to_code"} <= set(header):
        for number, row in enumerate(found, 2):
            if not await connection.fetchval(
                "SELECT true FROM code WHERE list = $1 AND code = $2", row["to_list"], row["to_code"]
            ):
                raise Invalid.field(f"row {number}", f"{row['to_code']} is not in the code list {row['to_list']}")
            await connection.execute(
                "INSERT INTO code_map (from_list, from_code, to_list, to_code, source, as_of) VALUES ($1, $2, $3, $4, $5, $6) "
                "ON CONFLICT (from_list, from_code, to_list) DO UPDATE SET to_code = excluded.to_code, source = excluded.source, "
                "as_of = excluded.as_of",
                row["from_list"], row["from_code"], row["to_list"], row["to_code"], source, as_of,
            )  # fmt: skip
        return 0, len(found)
    raise Invalid.field("columns", "must be list, code, name, parent or from_list, from_code, to_list, to_code")


async def lists(connection: Connection) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        "SELECT list, count(*) AS codes, max(as_of) AS as_of, min(source) AS source FROM code GROUP BY list ORDER BY list"
    )
    return [dict(r) for r in rows]


async def entries(connection: Connection, name: str) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        "SELECT code, name, parent, source, as_of FROM code WHERE list = $1 ORDER BY position, code", name
    )
    if not rows:
        raise NotFound(f"no code list {name}")
    return [dict(r) for r in rows]


@dataclass(frozen=True, slots=True)
class _Gazetteer:
    automaton: AhoCorasick
    # pattern index -> (district codes that carry the name, is a city)
    meanings: list[tuple[frozenset[str], bool]]
    names: dict[str, str]


@lru_cache(maxsize=1)
def _gazetteer() -> _Gazetteer:
    names: dict[str, str] = {}
    found: dict[str, tuple[set[str], bool]] = {}
    regions = shipped("regions")
    names[regions["province"]["code"]] = regions["province"]["name"]
    for city in regions["cities"]:
        names[city["code"]] = city["name"]
        short = city["name"].removesuffix("市")
        for written in {city["name"], short} if len(short) >= 2 and short != city["name"] else {city["name"]}:
            found.setdefault(written, (set(), True))[0].add(city["code"])
        for district in city["districts"]:
            names[district["code"]] = district["name"]
            for written in (district["name"], *district["aliases"]):
                found.setdefault(written, (set(), False))[0].add(district["code"])
    words = sorted(found)
    return _Gazetteer(
        AhoCorasick(words, matchkind=MatchKind.LeftmostLongest), [(frozenset(found[w][0]), found[w][1]) for w in words], names
    )


def common_region(codes: Collection[str]) -> str:
    """The narrowest place that holds all of them: what the codes of a province, city or district begin with; "" where there is none."""
    if not codes:
        return ""
    first, last = min(codes), max(codes)
    return next((first[:n] for n in (6, 4, 2) if first[:n] == last[:n]), "")


def is_district(code: str) -> bool:
    """Whether it names a county or district, not a city, a province or a deployment."""
    return len(code) == 6 and not code.endswith("00")


def region_name(code: str | None) -> str | None:
    """武汉市武昌区 for 420106; with its province where it is another than ours: 浙江省杭州市余杭区."""
    if code is None:
        return None
    known = _gazetteer().names
    name = known.get(code)
    if name and len(code) == 6 and not code.endswith("00"):
        city = known.get(code[:4] + "00", "")
        return name if city == "省直辖县级行政区划" else city + name
    return name or elsewhere_name(code)


@lru_cache(maxsize=50_000)
def find_district(*texts: str) -> str | None:
    """The first text that names a place decides: a district's code, else its city's, else None. A district name that
    two cities share needs its city beside it."""
    gazetteer = _gazetteer()
    for text in texts:
        city: str | None = None
        district: str | None = None
        for index, _, _ in gazetteer.automaton.find_matches_as_indexes(text[:2000]):
            places, is_city = gazetteer.meanings[index]
            if is_city:
                city = city or min(places)
            elif district is None:
                near = {p for p in places if city is None or p.startswith(city[:4])}
                district = min(near) if len(near) == 1 else None
        if district or city:
            return district or city
    return None


# -- outside: the places of other provinces, only to see that they are no place of ours


@dataclass(frozen=True, slots=True)
class _Country:
    """Names as they are now. provinces: two digits -> name; shorts: the same without 省; cities: four digits -> name; counties: the city's
    four -> six -> name. openings: the first two characters of all that an address may begin with."""

    provinces: dict[str, str]
    shorts: dict[str, str]
    cities: dict[str, str]
    counties: dict[str, dict[str, str]]
    openings: frozenset[str]


_SPELL = re.compile(r"(?:\[(\d*)-(\d*)\])?([^\[]+)")
_RANK = re.compile(r"(?:维吾尔|壮族|回族|省|市|特别行政区|自治区)+$")
# As the table has them in the other script.
_SIMPLIFIED = {"81": "香港特别行政区", "82": "澳门特别行政区"}


@lru_cache(maxsize=1)
def _country() -> _Country:
    """GB/T 2260 as python-stdnum carries it; a name with a last year is one of the past. Our own province is in regions.json."""
    provinces: dict[str, str] = {}
    cities: dict[str, str] = {}
    counties: dict[str, dict[str, str]] = {}
    province = ""
    for line in (files("stdnum.cn") / "loc.dat").read_text("utf-8").splitlines():
        found = re.fullmatch(r'(\s*)(\d+) \w+="(.*)"', line)
        if found is None:
            continue
        names = [name.strip() for _, last, name in _SPELL.findall(found[3]) if not last]
        if not names:
            continue
        if not found[1]:
            province = found[2]
            provinces[province] = _SIMPLIFIED.get(province, names[-1])
        elif found[2].endswith("00") and found[2] != "0000" and names[-1].endswith(("市", "州", "盟", "地区")):
            cities[province + found[2][:2]] = names[-1]
        elif not found[2].endswith("00") and names[-1] not in ("市辖区", "县", "市区"):
            counties.setdefault(province + found[2][:2], {})[province + found[2]] = names[-1]
    own = str(shipped("regions")["province"]["code"])
    provinces.pop(own)
    cities = {c: n for c, n in cities.items() if not c.startswith(own)}
    counties = {c: n for c, n in counties.items() if not c.startswith(own)}
    openings = frozenset(
        n[:2] for n in (*provinces.values(), *cities.values(), *(n for held in counties.values() for n in held.values()))
    )
    return _Country(provinces, {c: _RANK.sub("", n) for c, n in provinces.items()}, cities, counties, openings)


def elsewhere_name(code: str) -> str | None:
    """浙江省杭州市余杭区 for 330110; None for a code that is none of another province."""
    country = _country()
    province = country.provinces.get(code[:2])
    digits = code.rstrip("0").ljust(2, "0") if len(code) == 6 else code
    if province is None or len(code) not in (2, 4, 6):
        return None
    if len(digits) <= 2:
        return province
    city = country.cities.get(code[:4], "")
    if len(digits) <= 4 and len(code) != 6:
        return province + city if city else None
    if code.endswith("00"):
        return province + city if city else None
    county = country.counties.get(code[:4], {}).get(code)
    return province + city + county if county else None


@lru_cache(maxsize=20_000)
def find_elsewhere(address: str) -> str | None:
    """The code of another province's place that an address begins with: 浙江省杭州市余杭区文一西路 is 330110. Only what stands at its
    beginning and in full counts: 北京路, 南京东路 and 广州大酒店 are names of ours."""
    country = _country()
    text = address.strip()[:80].removeprefix("中华人民共和国").removeprefix("中国").lstrip()
    if text[:2] not in country.openings:
        return None
    province = next((c for c, name in country.provinces.items() if text.startswith(name)), None)
    if province is not None:
        text = text[len(country.provinces[province]) :].lstrip()
    else:
        for code, short in country.shorts.items():
            rest = text.removeprefix(short).lstrip()
            if rest != text and _begins_with(rest, {c: n for c, n in country.cities.items() if c.startswith(code)}):
                province, text = code, rest
                break
    city = _begins_with(text, {c: n for c, n in country.cities.items() if province is None or c.startswith(province)})
    if city is not None:
        text = text[len(country.cities[city]) :]
    elif province is None:
        return None
    near = {c: n for four, held in country.counties.items() if four.startswith(city or province or "") for c, n in held.items()}
    county = _begins_with(text.lstrip(), near)
    return county or (city + "00" if city else f"{province}0000")


def _begins_with(text: str, names: Mapping[str, str]) -> str | None:
    """The code of the longest name the text begins with."""
    return max((c for c, n in names.items() if text.startswith(n)), key=lambda c: len(names[c]), default=None)
