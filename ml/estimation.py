"""Trains the parameters of linkage by expectation maximisation, without labels. Offline.

Pairs of records that share a key are of two kinds: one person's, and others' who share it. What one person's records agree in
(m) is one distribution for all keys; what the others agree in is another for each key: on a phone they are housemates and an
agent's clients, and that is what `kin` is made of. How rare a value is, is counted, not trained.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from ml import linkage
from ml.linkage import COMPARISONS, Level, Parameters, mask_of
from ml.tokens import Field

F = Field
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Key -> the comparisons that can't be learned from pairs that share it, because it makes them agree.
_SESSIONS: Mapping[Field, tuple[str, ...]] = {
    F.ID: ("id", "masked_id"),
    F.PHONE: ("phone", "masked_phone"),
    F.MASKED_PHONE_SURNAME: ("phone", "masked_phone", "surname", "masked_surname"),
    F.OPENID: ("openid",),
    F.DEVICE: ("device",),
    F.WECHAT: ("wechat",),
    F.EMAIL: ("email",),
    F.ACCOUNT: ("account",),
    F.ADDRESS: ("address", "street"),
    F.PINYIN_DISTRICT: ("name", "place"),
    F.WORDS: ("forename", "family_name"),
    F.BIRTH_POSTCODE: ("birth", "postcode"),
}
_KIN_SESSIONS = (F.PHONE, F.DEVICE, F.ADDRESS)
_MAX_BLOCK = 20  # larger blocks are agents and professional claimants: their pairs would outvote everybody else's
_MAX_PAIRS = 200_000
_PRIOR_PAIRS = 20.0
_ITERATIONS = 60
_COMMON_NAME = (8, 400)  # a name of so many people: two who bear it are hardly ever one


def _prior(levels: int, first: float) -> Floats:
    """What is believed before any pair is seen: the strongest level, a few of the weaker ones, disagreement."""
    if levels == 2:
        return np.array([first, 1 - first])
    rest = (1 - first) * 0.6 / (levels - 2)
    return np.array([first, *[rest] * (levels - 2), (1 - first) * 0.4])


@dataclass(frozen=True, slots=True)
class Report:
    """pairs: by session. shares: of those, one person's. unseen: levels that fewer than _PRIOR_PAIRS pairs trained."""

    pairs: dict[str, int]
    shares: dict[str, float]
    rare: list[str]


def train(
    numbers: Integers, tokens: Integers, *, source: str, seed_labels: Integers, threads: int = 2, progress: Callable[[str, int, int], None] | None = None
) -> tuple[Parameters, Report]:  # fmt: skip
    """numbers, tokens: records' comparison tokens as `Tokeniser.people` gives them. seed_labels: record -> a first, cautious
    grouping into people, which frequencies are counted over."""
    tell = progress or (lambda _s, _d, _t: None)
    con = duckdb.connect(config={"threads": threads})
    sessions = {}
    given = {"g": numbers.astype(np.int32), "token": tokens}  # noqa: F841 - read by DuckDB
    con.execute("CREATE TABLE held AS SELECT * FROM given")
    con.execute("CREATE TABLE spoken AS SELECT g, bit_or(1::BIGINT << (token & 63)::INT) AS m FROM held GROUP BY g")
    keys = ", ".join(str(int(f)) for f in _SESSIONS)
    con.execute(
        f"CREATE TABLE keyed AS SELECT g, token, count(*) OVER (PARTITION BY token) AS n FROM held WHERE token & 63 IN ({keys})"
    )
    con.execute(f"DELETE FROM keyed WHERE n NOT BETWEEN 2 AND {_MAX_BLOCK}")
    for done, field in enumerate(_SESSIONS):
        tell("patterns", done, len(_SESSIONS))
        if found := _patterns(con, field):
            sessions[field] = found
    tell("patterns", len(_SESSIONS), len(_SESSIONS))
    m, kin, counts, shares = _maximise({f: (levels, weights) for f, (levels, weights, _) in sessions.items()})
    people, unseen, chance = _frequencies(con, seed_labels)
    con.close()
    levels: dict[tuple[str, Field | None], Level] = {}
    rare: list[str] = []
    for number, c in enumerate(COMPARISONS):
        every: tuple[Field | None, ...] = (*c.levels, None)
        for place, level in enumerate(every):
            pairs = float(counts[number][place])
            if pairs < _PRIOR_PAIRS:
                rare.append(f"{c.name}.{level.name if level is not None else 'disagree'}")
            levels[c.name, level] = Level(
                float(m[number][place]), float(kin[number][place]), round(pairs, 1),
                None if c.free or level is None else chance.get(level, _CHANCE[level]),
                unseen.get(level, 0.3) if c.free and level is not None else 1.0,
            )  # fmt: skip
    size = 1 << max(round(np.log2(max(people, 1))), linkage.SMALLEST)
    version = f"linkage-{np.log2(size):.0f}-{_hash_of(levels):012x}"
    # Joined where one person is as likely as two: log2 of everybody else he might be.
    parameters = Parameters(version, source, size, float(np.log2(size)), 0.5, 1095, _contacts(shares), levels)
    report = Report(
        {f.name.lower(): n for f, (_, _, n) in sessions.items()}, {f.name.lower(): round(s, 3) for f, s in shares.items()}, rare
    )
    return parameters, report


def _contacts(shares: Mapping[Field, float]) -> dict[Field, float]:
    """Contact -> of the pairs that share it, one person's. What was not seen is taken from its nearest kin."""
    nearest = {F.PHONE_MASKED: F.MASKED_PHONE_SURNAME, F.STREET: F.ADDRESS}
    return {f: round(shares.get(nearest.get(f, f), 0.8), 4) for f in linkage.CONTACT_FIELDS}


def _hash_of(levels: Mapping[Any, Level]) -> int:
    """Names a set of parameters by their content."""
    text = "|".join(f"{c}.{f}:{lv.m:.5f}/{lv.kin:.5f}/{lv.chance}/{lv.unseen:.4f}" for (c, f), lv in levels.items())
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big")


# Two people of one name who live in one district or city, and of one phone with one surname, before any are counted.
_CHANCE = {F.PINYIN_DISTRICT: 0.02, F.PINYIN_CITY: 0.1, F.PHONE_SURNAME: 0.04, F.MASKED_PHONE_SURNAME: 0.04}


def _patterns(con: duckdb.DuckDBPyConnection, field: Field) -> tuple[Integers, Floats, int] | None:
    """(levels per pattern and comparison: 0 silent, 1 the strongest, ..., the last disagreement; weight per pattern; pairs).
    A block of n records counts as n - 1 pairs' worth a record, so that heavy filers don't outvote."""
    row = con.execute(f"SELECT count(*), coalesce(sum((n - 1) / 2), 0) FROM keyed WHERE token & 63 = {int(field)}").fetchone()
    if row is None or not row[0]:
        return None
    keep = min(1.0, _MAX_PAIRS / float(row[1]))
    # By the token itself, so the same records always give the same sample.
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE block AS SELECT g, token, n FROM keyed WHERE token & 63 = {int(field)} "
        f"AND (token >> 6) % 1000 BETWEEN -999 AND {int(1999 * keep) - 1000}"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE pair AS SELECT a.g AS a, b.g AS b, max(1.0 / (a.n - 1)) AS w FROM block a JOIN block b "
        "ON a.token = b.token AND a.g < b.g GROUP BY a.g, b.g"
    )
    # Step by step, or every two holders of a token may meet before the pairs choose among them.
    con.execute("CREATE OR REPLACE TEMP TABLE half AS SELECT p.a, p.b, p.w, x.token FROM pair p JOIN held x ON x.g = p.a")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE theirs AS SELECT g, token FROM held SEMI JOIN (SELECT DISTINCT b AS g FROM pair) p USING (g)"
    )
    found = con.execute(
        "WITH agreed AS (SELECT a, b, any_value(w) AS w, bit_or(1::BIGINT << (h.token & 63)::INT) AS agreed FROM half h "
        "SEMI JOIN theirs y ON y.g = h.b AND y.token = h.token GROUP BY a, b) "
        "SELECT agreed, sa.m & sb.m AS spoken, sum(w) AS w, count(*) AS n FROM agreed JOIN spoken sa ON sa.g = a JOIN spoken sb ON sb.g = b "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchnumpy()
    return levels_of(found["agreed"], found["spoken"]), found["w"].astype(float), int(found["n"].sum())


def levels_of(agreed: Integers, spoken: Integers) -> Integers:
    """Patterns x comparisons: 0 silent, 1 the strongest level, ..., the last disagreement."""
    levels = np.zeros((len(agreed), len(COMPARISONS)), dtype=np.int64)
    for number, c in enumerate(COMPARISONS):
        active = np.ones(len(agreed), dtype=bool)
        if c.given:
            active &= (agreed & mask_of(c.given)) != 0
        if c.needs:
            active &= (spoken & mask_of(c.needs)) != 0
        if c.unless:
            active &= (spoken & mask_of(c.unless)) == 0
        column = np.where(active & ((spoken & mask_of(c.speaks)) != 0), len(c.levels) + 1, 0)
        for place in range(len(c.levels), 0, -1):
            column = np.where(active & ((agreed >> int(c.levels[place - 1])) & 1 == 1), place, column)
        levels[:, number] = column
    return levels


def _maximise(
    sessions: Mapping[Field, tuple[Integers, Floats]],
) -> tuple[list[Floats], list[Floats], list[Floats], dict[Field, float]]:
    """(m, kin, pairs that trained m, share of one person's pairs by session). m is one for all sessions, the other
    distribution is each session's own."""
    sizes = [len(c.levels) + 1 for c in COMPARISONS]
    before = [_prior(n, 0.85) for n in sizes]
    kin_before = [np.array([0.15, 0.85]) if n == 2 else np.array([0.1, *[0.1 / (n - 2)] * (n - 2), 0.8]) for n in sizes]
    m, share = [b.copy() for b in before], dict.fromkeys(sessions, 0.8)
    apart = {s: [k.copy() for k in kin_before] for s in sessions}
    learned = {s: [j for j, c in enumerate(COMPARISONS) if c.name not in _SESSIONS[s]] for s in sessions}
    for _ in range(_ITERATIONS):
        same = [np.zeros(n) for n in sizes]
        kin = [np.zeros(n) for n in sizes]
        for s, (levels, weights) in sessions.items():
            odds = np.full(len(weights), np.log(share[s] / (1 - share[s])))
            for j in learned[s]:
                ratio = np.concatenate([[0.0], np.log(m[j] / apart[s][j])])
                odds += ratio[levels[:, j]]
            probability = 1 / (1 + np.exp(-odds))
            share[s] = float(np.clip((weights * probability).sum() / weights.sum(), 0.001, 0.999))
            for j in learned[s]:
                same[j] += np.bincount(levels[:, j], weights * probability, sizes[j] + 1)[1:]
                other: Floats = np.bincount(levels[:, j], weights * (1 - probability), sizes[j] + 1)[1:].astype(float)
                apart[s][j] = _blend(other, kin_before[j])
                if s in _KIN_SESSIONS:
                    kin[j] += other
        m = [_blend(n, b) for n, b in zip(same, before, strict=True)]
    return m, [_blend(n, b) for n, b in zip(kin, kin_before, strict=True)], same, share


def _blend(counted: Floats, before: Floats) -> Floats:
    """Counts over what is believed before: a level that no pair shows keeps its prior's share of _PRIOR_PAIRS."""
    mixed = counted + _PRIOR_PAIRS * before * (1 if counted.sum() < _PRIOR_PAIRS else 0.05)
    share: Floats = mixed / mixed.sum()
    return share


def _frequencies(con: duckdb.DuckDBPyConnection, labels: Integers) -> tuple[int, dict[Field, float], dict[Field, float]]:
    """(people; field -> what a value held by nobody else counts as having been held; field -> chance that two people of one
    name share it). The middle one is Good-Turing's estimate for values seen once: twice those seen twice over those seen once."""
    of = {"g": np.arange(len(labels), dtype=np.int32), "p": labels.astype(np.int32)}  # noqa: F841 - read by DuckDB
    con.execute("CREATE OR REPLACE TABLE owned AS SELECT DISTINCT of.p, held.token FROM held JOIN of USING (g)")
    con.execute(
        "CREATE OR REPLACE TABLE people AS WITH named AS (SELECT p FROM owned GROUP BY p "
        f"HAVING bit_or(1::BIGINT << (token & 63)::INT) & {linkage.NAMED} <> 0) SELECT token, count(*) AS c FROM owned JOIN named USING (p) GROUP BY token"
    )
    rows = con.execute("SELECT token & 63, count(*) FILTER (c = 1), count(*) FILTER (c = 2) FROM people GROUP BY 1").fetchall()
    unseen = {F(f): round(min(max(2 * n2 / max(n1, 1), 0.03), 1.0), 4) for f, n1, n2 in rows if f in set(F)}
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE bearer AS SELECT owned.p, token AS name FROM owned JOIN people USING (token) "
        f"WHERE token & 63 = {int(F.NAME_PINYIN)} AND c BETWEEN {_COMMON_NAME[0]} AND {_COMMON_NAME[1]}"
    )
    chance = {}
    for field in (F.PINYIN_DISTRICT, F.PINYIN_CITY):
        row = con.execute(
            f"WITH lives AS (SELECT b.name, o.token FROM bearer b JOIN owned o USING (p) WHERE o.token & 63 = {int(field)}), "
            "there AS (SELECT name, token, count(*) AS n FROM lives GROUP BY ALL), everywhere AS (SELECT name, count(*) AS n FROM lives GROUP BY ALL) "
            "SELECT (SELECT sum(n * (n - 1) / 2) FROM there), (SELECT sum(n * (n - 1) / 2) FROM everywhere)"
        ).fetchone()
        together, pairs = (float(x or 0) for x in row or (0, 0))
        chance[field] = round((together + _CHANCE[field] * 50) / (pairs + 50), 6)
    return int(labels.max()) + 1 if len(labels) else 0, unseen, chance
