"""The same linkage over a whole store at once, in DuckDB.

Records are grouped by what can't be chance (the same full name with the same phone, identity number, account, address, ...),
then groups are compared as wholes by the weights of `ml.linkage`, joined from the strongest pair down under its rules, and
compared again, until nothing more joins. Every figure is an integer and every tie is broken by tokens, so the result does not
depend on the order of the records.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ml import linkage
from ml.linkage import CONTACTS, LOG2, MAX_OTHERS, NAMED, Compiled, Parameters, compiled
from ml.progress import Progress, quiet
from ml.tokens import KEY_FIELDS, Field

F = Field
Integers = npt.NDArray[np.int64]

MAX_BLOCK = 60  # people who share a key: beyond it the key says nothing that another doesn't say better
_ROUNDS = 4
_SURE = (F.ID, F.PHONE, F.OPENID, F.WECHAT, F.EMAIL, F.ACCOUNT, F.PASSPORT, F.DEVICE, F.ADDRESS)
_NAMES = (F.NAME, F.NAME_PINYIN, F.NAME_LESS_ONE)
# In one number: the best weight first, of equal weights the higher kin weight, then the stronger level.
_WEIGHT_AT, _KIN_AT, _OFFSET = 40, 8, 1 << 20


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
    records: Records, parameters: Parameters, *, must: Iterable[tuple[int, int]] = (),
    cannot: Iterable[tuple[int, int]] = (), threads: int = 2, progress: Progress = quiet,
) -> Integers:  # fmt: skip
    """Record -> cluster, numbered from 0 in the order of each cluster's first record.

    must, cannot: pairs of records a person has joined or parted; a person's word stands above
    every rule.
    """
    apart = sorted({(min(p), max(p)) for p in cannot})
    labels = _join_by_hand(seed(records, apart), must)
    people = int(labels.max(initial=-1)) + 1
    use = compiled(parameters.at(people))
    with _Engine(records, labels, threads) as engine:
        for round_ in range(_ROUNDS):
            progress("link", round_, _ROUNDS)
            home = _merge(records, labels, engine.score(use), apart)
            if not engine.join(home):
                break
            labels = home[labels]
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
    """DuckDB over one set of records and their groups.

    Tables: held (g, token), spoken (g, m: mask of fields, said: what tells equal groups from others whatever their numbers, first,
    last: days), many (g, field, bits: of the number of values, where several), people (token, holders, named), fresh (g): groups
    that the last round made.
    """

    def __init__(self, records: Records, labels: Integers, threads: int) -> None:
        self._con = con = duckdb.connect(config={"threads": threads})
        con.register("log2", {"others": np.arange(MAX_OTHERS + 1, dtype=np.int64), "bits": np.array(LOG2, dtype=np.int64)})
        con.register("given", {"g": labels[records.numbers].astype(np.int32), "token": records.tokens})
        con.register("filed", {"g": labels.astype(np.int32), "day": records.days})
        con.execute("CREATE TEMP TABLE held AS SELECT DISTINCT g, token FROM given")
        con.execute(f"CREATE TEMP TABLE spoken AS {_spoken('held', 'filed', 'day', 'day')}")
        con.execute(f"CREATE TEMP TABLE many AS {_many('held')}")
        con.execute(
            f"CREATE TEMP TABLE people AS SELECT token, count(*) AS holders, count(*) FILTER (m & {NAMED} <> 0) AS named "
            "FROM held JOIN spoken USING (g) GROUP BY token HAVING count(*) > 1"
        )
        con.execute("CREATE TEMP TABLE fresh AS SELECT g FROM spoken")
        con.unregister("given")
        con.unregister("filed")

    def __enter__(self) -> "_Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    def score(self, parameters: Compiled) -> Pairs:
        """Pairs of groups, one of them fresh, that share a key and may be joined."""
        keys = ", ".join(str(int(f)) for f in KEY_FIELDS)
        self._con.execute(
            "CREATE OR REPLACE TEMP TABLE key AS SELECT g, token FROM held JOIN people USING (token) "
            f"WHERE token & 63 IN ({keys}) AND holders <= {MAX_BLOCK}"
        )
        self._con.execute(
            "CREATE OR REPLACE TEMP TABLE pair AS SELECT DISTINCT least(a.g, b.g) AS a, greatest(a.g, b.g) AS b "
            "FROM key a SEMI JOIN fresh USING (g) JOIN key b ON a.token = b.token AND a.g <> b.g"
        )
        self._weigh(parameters)
        found = self._con.execute(
            f"SELECT a, b, weight FROM scored WHERE weight >= {parameters.join} AND NOT ({_forbidden(parameters)}) "
            "ORDER BY weight DESC, one, other, a, b"
        ).fetchnumpy()
        return Pairs(found["a"].astype(np.int64), found["b"].astype(np.int64), found["weight"].astype(np.int64))

    def weights(self, pairs: Integers, parameters: Compiled) -> dict[str, Integers]:
        """{a, b, weight, kin, agreed, spoken} of given pairs of groups, n x 2."""
        self._con.register("asked", {"a": pairs[:, 0].astype(np.int32), "b": pairs[:, 1].astype(np.int32)})
        self._con.execute("CREATE OR REPLACE TEMP TABLE pair AS SELECT DISTINCT a, b FROM asked")
        self._weigh(parameters)
        found: dict[str, Any] = self._con.execute(
            "SELECT a, b, weight, kin, agreed, spoken FROM scored ORDER BY a, b"
        ).fetchnumpy()
        return found

    def join(self, home: Integers) -> bool:
        """home: group -> the group it now belongs to. Only what changes is made anew. False where nothing does."""
        gone = np.flatnonzero(home != np.arange(len(home)))
        if not len(gone):
            return False
        con = self._con
        into = home[gone]
        con.register("moved", {"g": np.concatenate([gone, np.unique(into)]), "new": np.concatenate([into, np.unique(into)])})
        con.execute("CREATE OR REPLACE TEMP TABLE move AS SELECT g::INT AS g, new::INT AS new FROM moved")
        con.unregister("moved")
        con.execute("CREATE OR REPLACE TEMP TABLE old AS SELECT g, new, token FROM held JOIN move USING (g)")
        con.execute("CREATE OR REPLACE TEMP TABLE joined AS SELECT DISTINCT new AS g, token FROM old")
        con.execute("CREATE OR REPLACE TEMP TABLE days AS SELECT new AS g, first, last FROM spoken JOIN move USING (g)")
        con.execute(f"CREATE OR REPLACE TEMP TABLE says AS {_spoken('joined', 'days', 'first', 'last')}")
        con.execute(
            "CREATE OR REPLACE TEMP TABLE people AS SELECT token, holders, named FROM (SELECT p.token, p.holders - coalesce(o.n, 0) + coalesce(j.n, 0) "
            "AS holders, p.named - coalesce(o.named, 0) + coalesce(j.named, 0) AS named FROM people p "
            f"LEFT JOIN (SELECT token, count(*) AS n, count(*) FILTER (m & {NAMED} <> 0) AS named FROM old JOIN spoken USING (g) GROUP BY token) o USING (token) "
            f"LEFT JOIN (SELECT token, count(*) AS n, count(*) FILTER (m & {NAMED} <> 0) AS named FROM joined JOIN says USING (g) GROUP BY token) j USING (token)) "
            "WHERE holders > 1"
        )
        for table, made in (("held", "SELECT g, token FROM joined"), ("spoken", "SELECT * FROM says"), ("many", _many("joined"))):
            con.execute(f"DELETE FROM {table} WHERE g IN (SELECT g FROM move)")
            con.execute(f"INSERT INTO {table} {made}")
        con.execute("CREATE OR REPLACE TEMP TABLE fresh AS SELECT DISTINCT new AS g FROM move")
        return True

    def _weigh(self, parameters: Compiled) -> None:
        """scored: what `linkage.compare` says of every pair that shares a token."""
        con = self._con
        tokens = con.execute("SELECT token, named FROM people").fetchnumpy()
        con.register("weighed", _weights(tokens["token"], tokens["named"], parameters))
        con.execute("CREATE OR REPLACE TEMP TABLE weight AS SELECT * FROM weighed")
        con.unregister("weighed")
        # Step by step: joined at once, every two holders of a token may meet before the pairs choose among them.
        con.execute(
            "CREATE OR REPLACE TEMP TABLE sharing AS SELECT g, token, named FROM held JOIN people USING (token) "
            "SEMI JOIN (SELECT a AS g FROM pair UNION SELECT b FROM pair) p USING (g)"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE half AS SELECT p.a, p.b, x.token, x.named FROM pair p JOIN sharing x ON x.g = p.a"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE common AS SELECT h.a, h.b, h.token, h.named FROM half h SEMI JOIN sharing y ON y.g = h.b AND y.token = h.token"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE met AS SELECT c.*, sa.m & sb.m AS spoken, "
            f"(sa.m & {NAMED} <> 0)::INT + (sb.m & {NAMED} <> 0)::INT AS counted, "
            "least(sa.said, sb.said) AS one, greatest(sa.said, sb.said) AS other, "
            "greatest(sa.first - sb.last, sb.first - sa.last, 0) AS gap FROM (SELECT a, b, "
            "bit_or(1::BIGINT << (token & 63)::INT) AS agreed "
            "FROM common GROUP BY a, b) c "
            "JOIN spoken sa ON sa.g = c.a JOIN spoken sb ON sb.g = c.b"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE agreed AS SELECT c.a, c.b, w.comparison, "
            "max(CASE counted WHEN 0 THEN w.rank0 WHEN 1 THEN w.rank1 ELSE w.rank2 END) AS rank, any_value(w.said) AS said "
            "FROM common c JOIN met m ON m.a = c.a AND m.b = c.b JOIN weight w ON w.token = c.token "
            "WHERE (w.given = 0 OR w.given & m.agreed <> 0) AND (w.needs = 0 OR w.needs & m.spoken <> 0) AND w.unless & m.spoken = 0 "
            "GROUP BY c.a, c.b, w.comparison"
        )
        contact = " ".join(f"WHEN {f} THEN {p}" for f, p in enumerate(parameters.contacts) if p is not None)
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE odds AS SELECT c.a, c.b, max((CASE c.token & 63 {contact} END) - bits) AS odds FROM common c "
            f"JOIN met m ON m.a = c.a AND m.b = c.b JOIN log2 ON log2.others = least(greatest(c.named - m.counted, 0), {MAX_OTHERS}) "
            "GROUP BY c.a, c.b"
        )
        silent_weight, silent_kin = [], []
        for s in parameters.disagreements:
            case = f"compared >> {s.comparison} & 1 = 0 AND spoken & {s.speaks} <> 0 AND spoken & {s.unless} = 0"
            if s.given:
                case += f" AND agreed & {s.given} <> 0"
            silent_weight.append(f"CASE WHEN {case} THEN {s.weight} ELSE 0 END")
            silent_kin.append(f"CASE WHEN {case} THEN {s.kin} ELSE 0 END")
        con.execute(
            "CREATE OR REPLACE TEMP TABLE scored AS SELECT w.a, w.b, agreed, spoken, gap, one, other, "
            f"(weight + {' + '.join(silent_weight)})::BIGINT AS weight, (kin + coalesce(odds, 0) + {' + '.join(silent_kin)})::BIGINT AS kin "
            "FROM (SELECT m.*, coalesce(s.weight, 0) AS weight, coalesce(s.kin, 0) AS kin, coalesce(s.compared, 0) AS compared FROM met m LEFT JOIN "
            f"(SELECT a, b, sum((rank >> {_WEIGHT_AT}) - {_OFFSET} - coalesce(na.bits, 0) - coalesce(nb.bits, 0)) AS weight, "
            f"sum((rank >> {_KIN_AT} & {(1 << (_WEIGHT_AT - _KIN_AT)) - 1}) - {_OFFSET}) AS kin, "
            "bit_or(1::BIGINT << comparison::INT) AS compared FROM agreed LEFT JOIN many na ON na.g = a AND na.field = said "
            "LEFT JOIN many nb ON nb.g = b AND nb.field = said GROUP BY a, b) s ON s.a = m.a AND s.b = m.b) w "
            "LEFT JOIN odds ON odds.a = w.a AND odds.b = w.b"
        )


def _spoken(held: str, filed: str, first: str, last: str) -> str:
    return (
        "SELECT m.g, m, said, first, last FROM (SELECT g, bit_or(1::BIGINT << (token & 63)::INT) AS m, bit_xor(token) AS said "
        f"FROM {held} GROUP BY g) m JOIN (SELECT g, min({first}) AS first, max({last}) AS last FROM {filed} GROUP BY g) d ON d.g = m.g"
    )


def _many(held: str) -> str:
    return (
        f"SELECT g, field, bits FROM (SELECT g, token & 63 AS field, count(*) AS n FROM {held} GROUP BY ALL HAVING count(*) > 1) "
        f"JOIN log2 ON log2.others = least(n - 1, {MAX_OTHERS})"
    )


def _weights(tokens: Integers, named: Integers, parameters: Compiled) -> dict[str, Integers]:
    """{token, comparison, said, given, needs, unless, rank0, rank1, rank2} of every part a token plays. said: the field whose values are many
    or few. rank: weight, kin weight and level in one, where none, one or both of the two compared are among the named."""
    parts: dict[str, list[Integers]] = {
        n: [] for n in ("token", "comparison", "said", "given", "needs", "unless", "rank0", "rank1", "rank2")
    }
    fields = tokens & 0x3F
    counts = [np.clip(named - inside, 0, MAX_OTHERS) for inside in range(3)]
    for field in np.unique(fields).tolist():
        own = fields == field
        for part in parameters.by_field[field]:
            rarity = np.array(part.rarity or (0,) * (MAX_OTHERS + 1), dtype=np.int64)
            parts["token"].append(tokens[own])
            for inside, others in enumerate(counts):
                weight = part.weight - rarity[others[own]]
                rank = ((weight + _OFFSET) << _WEIGHT_AT) | ((part.kin + _OFFSET) << _KIN_AT) | (63 - field)
                parts[f"rank{inside}"].append(rank)
            said = int(linkage.COMPARISONS[part.comparison].speaks[0])
            for name, number in (
                ("comparison", part.comparison),
                ("said", said),
                ("given", part.given),
                ("needs", part.needs),
                ("unless", part.unless),
            ):
                parts[name].append(np.full(int(own.sum()), number, dtype=np.int64))
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
    """group -> the group it joins, from the strongest pair down, unless what has been joined so far contradicts: `linkage.conflicts`
    of names and identity numbers, for whole groups."""
    size = int(labels.max(initial=-1)) + 1
    involved = np.zeros(size, dtype=bool)
    involved[pairs.a] = involved[pairs.b] = True
    of = labels[records.numbers]
    fields = records.tokens & 0x3F
    ids: dict[int, set[int]] = {}
    names: dict[int, set[int]] = {}
    for held, wanted in ((ids, (F.ID,)), (names, _NAMES)):
        telling = involved[of] & np.isin(fields, wanted)
        for group, token in zip(of[telling].tolist(), records.tokens[telling].tolist(), strict=True):
            held.setdefault(group, set()).add(token)
    named = set(of[involved[of] & (fields == F.NAME)].tolist())
    kept_from: dict[int, set[int]] = {}
    for first, second in apart:
        a, b = int(labels[first]), int(labels[second])
        kept_from.setdefault(a, set()).add(b)
        kept_from.setdefault(b, set()).add(a)
    parent = list(range(size))

    def root(group: int) -> int:
        while parent[group] != group:
            parent[group] = group = parent[parent[group]]
        return group

    nothing: set[int] = set()
    for first, second in zip(pairs.a.tolist(), pairs.b.tolist(), strict=True):
        a, b = root(first), root(second)
        if a == b or (kept_from and any(root(g) == b for g in kept_from.get(a, ()))):
            continue
        ids_a, ids_b = ids.get(a, nothing), ids.get(b, nothing)
        names_a, names_b = names.get(a, nothing), names.get(b, nothing)
        if ids_a and ids_b:
            if ids_a.isdisjoint(ids_b):
                continue
        elif a in named and b in named and names_a.isdisjoint(names_b):
            continue
        parent[b] = a
        if ids_b:
            ids[a] = ids_a | ids_b
        if names_b:
            names[a] = names_a | names_b
        if b in named:
            named.add(a)
        if b in kept_from:
            kept_from.setdefault(a, set()).update(kept_from[b])
    return np.array([root(g) for g in range(size)], dtype=np.int64)


def pair_weights(records: Records, pairs: Integers, parameters: Compiled, *, threads: int = 2) -> dict[str, Integers]:
    """What the batch engine makes of pairs of records (n x 2): {a, b, weight, kin, agreed, spoken}, those that share a token."""
    with _Engine(records, np.arange(records.count, dtype=np.int64), threads) as engine:
        return engine.weights(pairs, parameters)
