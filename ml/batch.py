"""The same linkage over a whole store at once, in DuckDB.

Records are grouped by what can't be chance (the same full name with the same phone, identity number, account, address, ...),
then groups are compared as wholes by the weights of `ml.linkage`, joined from the strongest pair down under its rules, and
compared again, until nothing more joins. Every figure is an integer and every tie is broken by tokens, so the result does not
depend on the order of the records.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ml import linkage
from ml.linkage import CONTACTS, LOG2, MAX_OTHERS, Compiled, Parameters, compiled, conflicts, mask_of
from ml.tokens import KEY_FIELDS, Field

F = Field
Integers = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]

MAX_BLOCK = 60  # people who share a key: beyond it the key says nothing that another doesn't say better
_ROUNDS = 4
_SURE = (F.ID, F.PHONE, F.OPENID, F.WECHAT, F.EMAIL, F.ACCOUNT, F.PASSPORT, F.DEVICE, F.ADDRESS)
_NAMES = (F.NAME, F.NAME_PINYIN, F.NAME_LESS_ONE)
# In one number: the best weight first, of equal weights the higher kin weight, then the stronger level.
_WEIGHT_AT, _KIN_AT, _OFFSET = 40, 8, 1 << 20


def quiet(_stage: str, _done: int, _total: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Records:
    """numbers, tokens: comparison tokens of records 0 .. count - 1, ascending, as `Tokeniser.people` gives them. days: when
    each was filed, in days; empty where unknown."""

    count: int
    numbers: Integers
    tokens: Integers
    days: Integers

    @classmethod
    def of(cls, numbers: Integers, tokens: Integers, count: int, days: Integers | None = None) -> "Records":
        return cls(count, numbers, tokens, days if days is not None else np.zeros(count, dtype=np.int64))


def link(
    records: Records, parameters: Parameters, *, start: Integers | None = None, must: Iterable[tuple[int, int]] = (),
    cannot: Iterable[tuple[int, int]] = (), threads: int = 2, progress: Progress = quiet,
) -> Integers:  # fmt: skip
    """Record -> cluster, numbered from 0 in the order of each cluster's first record.

    start: a grouping to go on from. must, cannot: pairs of records a person has joined or parted; a person's word stands above
    every rule.
    """
    apart = sorted({(min(p), max(p)) for p in cannot})
    labels = start if start is not None else seed(records, apart)
    labels = _join_by_hand(labels, must)
    with _Engine(records, threads) as engine:
        for round_ in range(_ROUNDS):
            progress("link", round_, _ROUNDS)
            use = compiled(parameters.at(int(labels.max(initial=-1)) + 1))
            pairs = engine.score(labels, use)
            joined = _merge(records, labels, pairs, apart)
            if (joined == labels).all():
                break
            labels = joined
    progress("link", _ROUNDS, _ROUNDS)
    return _numbered(labels)


def seed(records: Records, apart: Sequence[tuple[int, int]] = ()) -> Integers:
    """Records of one full name that share a contact, a number or an address. A group that holds two identity numbers is parted
    by them, what has none stays alone."""
    numbers, tokens = records.numbers, records.tokens
    fields = tokens & 0x3F
    name = np.zeros(records.count, dtype=np.int64)
    named = fields == F.NAME
    name[numbers[named]] = tokens[named]
    sure = np.isin(fields, _SURE) & (name[numbers] != 0)
    record = numbers[sure]
    # A product of two keyed numbers: who shares it shares both, but for a chance of 1 in 2**58.
    both = (name[record] * np.int64(-7046029254386353131)) ^ tokens[sure]
    shared, place = np.unique(both, return_inverse=True)
    size = records.count + len(shared)
    graph = sparse.coo_matrix((np.ones(len(record), dtype=np.int8), (record, place + records.count)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][: records.count].astype(np.int64)
    number = np.zeros(records.count, dtype=np.int64)
    identified = fields == F.ID
    number[numbers[identified]] = tokens[identified]
    known = number != 0
    pairs = np.unique(np.stack([labels[known], number[known]]), axis=1)
    several = np.bincount(pairs[0], minlength=size)[labels] > 1
    for first, second in apart:
        several |= (labels == labels[first]) & (labels[first] == labels[second])
    # Distinct labels for (group, identity number), and for each record of the rest.
    labels = np.unique(
        np.stack([labels, np.where(several, number, 0), np.where(several & ~known, np.arange(records.count) + 1, 0)]),
        axis=1, return_inverse=True,
    )[1].ravel()  # fmt: skip
    for first, second in apart:
        if labels[first] == labels[second]:
            labels[labels == labels[first]] = labels.max() + 1 + np.arange((labels == labels[first]).sum())
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _join_by_hand(labels: Integers, must: Iterable[tuple[int, int]]) -> Integers:
    pairs = np.array(list(must), dtype=np.int64).reshape(-1, 2)
    if not len(pairs):
        return labels
    size = int(labels.max()) + 1
    graph = sparse.coo_matrix(
        (np.ones(len(pairs), dtype=np.int8), (labels[pairs[:, 0]], labels[pairs[:, 1]])), shape=(size, size)
    )
    joined: Integers = connected_components(graph, directed=False)[1].astype(np.int64)[labels]
    return joined


def _numbered(labels: Integers) -> Integers:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Groups a < b that may be joined, the strongest first."""

    a: Integers
    b: Integers
    weight: Integers


class _Engine:
    """DuckDB over one set of records."""

    def __init__(self, records: Records, threads: int) -> None:
        self._records = records
        self._con = duckdb.connect(config={"threads": threads})

    def __enter__(self) -> "_Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    def _load(self, labels: Integers) -> None:
        """held (g, token) of groups, people (token, others), spoken (g, m, said, first, last). said: what tells equal groups from others,
        whatever their numbers."""
        con, records = self._con, self._records
        con.register("given", {"g": labels[records.numbers].astype(np.int32), "token": records.tokens})
        con.register("filed", {"g": labels.astype(np.int32), "day": records.days})
        con.execute("CREATE OR REPLACE TEMP TABLE held AS SELECT DISTINCT g, token FROM given")
        con.execute(
            "CREATE OR REPLACE TEMP TABLE people AS SELECT token, count(*) - 2 AS others FROM held GROUP BY token HAVING count(*) > 1"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE spoken AS SELECT m.g, m, said, first, last FROM "
            "(SELECT g, bit_or(1::BIGINT << (token & 63)::INT) AS m, bit_xor(token) AS said FROM held GROUP BY g) m "
            "JOIN (SELECT g, min(day) AS first, max(day) AS last FROM filed GROUP BY g) d ON d.g = m.g"
        )
        con.unregister("given")
        con.unregister("filed")

    def score(self, labels: Integers, parameters: Compiled) -> Pairs:
        """Pairs of groups that share a key and may be joined."""
        self._load(labels)
        keys = ", ".join(str(int(f)) for f in KEY_FIELDS)
        self._con.execute(
            f"CREATE OR REPLACE TEMP TABLE key AS SELECT g, token FROM held JOIN people USING (token) "
            f"WHERE token & 63 IN ({keys}) AND others + 2 <= {MAX_BLOCK}"
        )
        self._con.execute(
            "CREATE OR REPLACE TEMP TABLE pair AS SELECT DISTINCT a.g AS a, b.g AS b FROM key a JOIN key b ON a.token = b.token AND a.g < b.g"
        )
        self._weigh(parameters)
        found = self._con.execute(
            f"SELECT a, b, weight FROM scored WHERE weight >= {parameters.join} AND NOT ({_forbidden(parameters)}) "
            "ORDER BY weight DESC, one, other, a, b"
        ).fetchnumpy()
        return Pairs(found["a"].astype(np.int64), found["b"].astype(np.int64), found["weight"].astype(np.int64))

    def weights(self, pairs: Integers, parameters: Compiled) -> dict[str, Integers]:
        """{a, b, weight, kin, agreed, spoken} of given pairs of records, n x 2, each record a group of its own."""
        self._load(np.arange(self._records.count, dtype=np.int64))
        self._con.register("asked", {"a": pairs[:, 0].astype(np.int32), "b": pairs[:, 1].astype(np.int32)})
        self._con.execute("CREATE OR REPLACE TEMP TABLE pair AS SELECT DISTINCT a, b FROM asked")
        self._weigh(parameters)
        found: dict[str, Any] = self._con.execute(
            "SELECT a, b, weight, kin, agreed, spoken FROM scored ORDER BY a, b"
        ).fetchnumpy()
        return found

    def _weigh(self, parameters: Compiled) -> None:
        """scored: what `linkage.compare` says of every pair that shares a token."""
        con = self._con
        tokens = con.execute("SELECT token, others FROM people").fetchnumpy()
        con.register("weighed", _weights(tokens["token"], tokens["others"], parameters))
        con.execute("CREATE OR REPLACE TEMP TABLE weight AS SELECT * FROM weighed")
        con.unregister("weighed")
        con.execute(
            "CREATE OR REPLACE TEMP TABLE common AS SELECT p.a, p.b, x.token, people.others FROM pair p JOIN held x ON x.g = p.a "
            "JOIN held y ON y.g = p.b AND y.token = x.token JOIN people ON people.token = x.token"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE met AS SELECT c.*, sa.m & sb.m AS spoken, "
            "least(sa.said, sb.said) AS one, greatest(sa.said, sb.said) AS other, "
            "greatest(sa.first - sb.last, sb.first - sa.last, 0) AS gap FROM (SELECT a, b, "
            "bit_or(1::BIGINT << (token & 63)::INT) AS agreed, "
            f"min(others) FILTER ({CONTACTS} >> (token & 63)::INT & 1 = 1) AS hub FROM common GROUP BY a, b) c "
            "JOIN spoken sa ON sa.g = c.a JOIN spoken sb ON sb.g = c.b"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE agreed AS SELECT c.a, c.b, w.comparison, max(w.rank) AS rank, any_value(w.said) AS said "
            "FROM common c JOIN met m ON m.a = c.a AND m.b = c.b JOIN weight w ON w.token = c.token "
            "WHERE (w.given = 0 OR w.given & m.agreed <> 0) AND w.unless & m.spoken = 0 GROUP BY c.a, c.b, w.comparison"
        )
        con.register("log2", {"others": np.arange(MAX_OTHERS + 1, dtype=np.int64), "bits": np.array(LOG2, dtype=np.int64)})
        # Values a group has given of a field, where it has given several.
        con.execute(
            "CREATE OR REPLACE TEMP TABLE many AS SELECT g, field, bits FROM (SELECT g, token & 63 AS field, count(*) AS n FROM held "
            f"GROUP BY ALL HAVING count(*) > 1) JOIN log2 ON log2.others = least(n - 1, {MAX_OTHERS})"
        )
        silent_weight, silent_kin = [], []
        for s in parameters.disagreements:
            case = f"compared >> {s.comparison} & 1 = 0 AND spoken & {s.speaks} <> 0 AND spoken & {s.unless} = 0"
            if s.given:
                case += f" AND agreed & {s.given} <> 0"
            silent_weight.append(f"CASE WHEN {case} THEN {s.weight} ELSE 0 END")
            silent_kin.append(f"CASE WHEN {case} THEN {s.kin} ELSE 0 END")
        con.execute(
            "CREATE OR REPLACE TEMP TABLE scored AS SELECT a, b, agreed, spoken, gap, one, other, "
            f"(weight + {' + '.join(silent_weight)})::BIGINT AS weight, (kin - coalesce(log2.bits, 0) + {' + '.join(silent_kin)})::BIGINT AS kin "
            "FROM (SELECT m.*, coalesce(s.weight, 0) AS weight, coalesce(s.kin, 0) AS kin, coalesce(s.compared, 0) AS compared FROM met m LEFT JOIN "
            f"(SELECT a, b, sum((rank >> {_WEIGHT_AT}) - {_OFFSET} - coalesce(na.bits, 0) - coalesce(nb.bits, 0)) AS weight, "
            f"sum((rank >> {_KIN_AT} & {(1 << (_WEIGHT_AT - _KIN_AT)) - 1}) - {_OFFSET}) AS kin, "
            "bit_or(1::BIGINT << comparison::INT) AS compared FROM agreed LEFT JOIN many na ON na.g = a AND na.field = said "
            "LEFT JOIN many nb ON nb.g = b AND nb.field = said GROUP BY a, b) s ON s.a = m.a AND s.b = m.b) "
            f"LEFT JOIN log2 ON hub IS NOT NULL AND log2.others = least(hub, {MAX_OTHERS})"
        )
        con.unregister("log2")


def _weights(tokens: Integers, others: Integers, parameters: Compiled) -> dict[str, Integers]:
    """{token, comparison, said, given, unless, rank} of every part a token plays. said: the field whose values are many or few.
    rank: weight, kin weight and level in one."""
    parts: dict[str, list[Integers]] = {n: [] for n in ("token", "comparison", "said", "given", "unless", "rank")}
    fields = tokens & 0x3F
    counts = np.minimum(others, MAX_OTHERS)
    for field in np.unique(fields).tolist():
        own = fields == field
        for part in parameters.by_field[field]:
            weight = np.full(int(own.sum()), part.weight, dtype=np.int64)
            if part.rarity is not None:
                weight -= np.array(part.rarity, dtype=np.int64)[counts[own]]
            rank = ((weight + _OFFSET) << _WEIGHT_AT) | ((part.kin + _OFFSET) << _KIN_AT) | (63 - field)
            for name, value in (("token", tokens[own]), ("rank", rank)):
                parts[name].append(value)
            said = int(linkage.COMPARISONS[part.comparison].speaks[0])
            for name, number in (("comparison", part.comparison), ("said", said), ("given", part.given), ("unless", part.unless)):
                parts[name].append(np.full(len(weight), number, dtype=np.int64))
    empty = np.zeros(0, dtype=np.int64)
    return {name: np.concatenate(values) if values else empty for name, values in parts.items()}


def _forbidden(parameters: Compiled) -> str:
    """`linkage.forbids` as a condition of SQL on scored."""
    identity, alike = linkage.IDENTITY, linkage.NAME_ALIKE
    id_, name, phone, surname = (1 << f for f in (F.ID, F.NAME, F.PHONE, F.PHONE_SURNAME))
    return (
        f"spoken & {id_} <> 0 AND agreed & {id_} = 0 OR spoken & {name} <> 0 AND agreed & {alike | id_} = 0 "
        f"OR agreed & {phone} <> 0 AND spoken & {surname} <> 0 AND agreed & {surname | alike | id_} = 0 "
        f"OR agreed & {CONTACTS} <> 0 AND agreed & {identity} = 0 AND (kin < {parameters.kin} "
        f"OR gap > {parameters.stale_days} AND agreed & {alike} = 0)"
    )


def _merge(records: Records, labels: Integers, pairs: Pairs, apart: Sequence[tuple[int, int]]) -> Integers:
    """Joins from the strongest pair down, unless what has been joined so far contradicts."""
    size = int(labels.max(initial=-1)) + 1
    involved = np.zeros(size, dtype=bool)
    involved[pairs.a] = involved[pairs.b] = True
    of = labels[records.numbers]
    telling = involved[of] & np.isin(records.tokens & 0x3F, (F.ID, *_NAMES))
    held: dict[int, set[int]] = {}
    for group, token in zip(of[telling].tolist(), records.tokens[telling].tolist(), strict=True):
        held.setdefault(group, set()).add(token)
    kept_from: dict[int, set[int]] = {}
    for first, second in apart:
        a, b = int(labels[first]), int(labels[second])
        kept_from.setdefault(a, set()).add(b)
        kept_from.setdefault(b, set()).add(a)
    parent = list(range(size))

    def root(group: int) -> int:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for first, second in zip(pairs.a.tolist(), pairs.b.tolist(), strict=True):
        a, b = root(first), root(second)
        if a == b or any(root(g) == b for g in kept_from.get(a, ())):
            continue
        mine, theirs = held.get(a, set()), held.get(b, set())
        fields_a, fields_b = mask_of({t & 0x3F for t in mine}), mask_of({t & 0x3F for t in theirs})
        if conflicts(mask_of({t & 0x3F for t in mine & theirs}), fields_a & fields_b):
            continue
        parent[b] = a
        held[a] = mine | theirs
        if b in kept_from:
            kept_from.setdefault(a, set()).update(kept_from[b])
    return np.unique(np.array([root(g) for g in range(size)], dtype=np.int64)[labels], return_inverse=True)[1].astype(np.int64)


def pair_weights(records: Records, pairs: Integers, parameters: Compiled, *, threads: int = 2) -> dict[str, Integers]:
    """What the batch engine makes of pairs of records (n x 2): {a, b, weight, kin, agreed, spoken}, those that share a token."""
    with _Engine(records, threads) as engine:
        return engine.weights(pairs, parameters)
