"""`make bench-similar`: the search for similar cases among a million settled ones in the bundled database.

Texts are the generator's, read by the service; each stands for some two hundred cases, of merchants whose shares fall as 1/rank and who
keep to their trade. Cold: the database just started (what the machine itself keeps of its files stays). Also printed: how often two
complaints agree in a field, which the bits of app.similar come from, and how near the cases found come to the best of all.
"""

import asyncio
import collections
import math
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import psutil
from rich.progress import track

from app import similar
from app.database import Connection, Database, to_array, to_json
from app.embedded import EmbeddedPostgres
from app.identity import Principal
from app.intake import Complaint, Letter
from app.reading import Reader, ReadLetter
from app.similar import Wanted
from app.triage import House
from bench import corpus
from ml.synthetic import generate

CASES, TEXTS, MERCHANTS, BATCH, ASKED, ROUNDS = 1_000_000, 5_000, 40_000, 100_000, 100, 5
TERMS = 60  # of a real letter: the generator's have half as many
BAR_MS = 20
READER = Principal("bench", True, frozenset({"mediator"}), ("42",), (), ())
DISTRICTS = (
    "420102",
    "420103",
    "420104",
    "420105",
    "420106",
    "420107",
    "420111",
    "420502",
    "420503",
    "420602",
    "421002",
    "422801",
)


def texts(reader: Reader, count: int, seed: int = 12315) -> list[tuple[ReadLetter, int | None]]:
    """Complaints as they are read, with the generator's merchant, ordered by class."""
    made = []
    for planted in track(generate(count, 365, seed), "reading"):
        letter = Letter.make("bench", Complaint.model_validate(planted.body), now=datetime.now(UTC), history=False)
        read = reader.read(letter)
        if read.lanes[0] == "complaint":
            reader.frequencies.add(read.words)
            made.append((read, planted.merchant))
    return sorted(made, key=lambda one: (one[0].reading.goods or "", one[0].reading.problem or ""))


def rates(reader: Reader, made: Sequence[tuple[ReadLetter, int | None]], pairs: int = 30_000) -> None:
    """-log2 of how often a random pair agrees."""
    chance = random.Random(1)
    weighed = [reader.frequencies.weigh(read.words) for read, _ in made]

    def drawn(key: Callable[[ReadLetter], Any]) -> list[list[int]]:
        cells = collections.defaultdict(list)
        for at, (read, _) in enumerate(made):
            if (value := key(read)) is not None:
                cells[value].append(at)
        many = [c for c in cells.values() if len(c) > 1]
        return [chance.sample(c, 2) for c in chance.choices(many, [len(c) * (len(c) - 1) for c in many], k=pairs)]

    def bits(of: list[list[int]], same: Callable[[int, int], bool]) -> float:
        return -math.log2(max(sum(same(a, b) for a, b in of), 1) / len(of))

    def field(name: str) -> Callable[[int, int], bool]:
        """Lists in any order."""

        def same(a: int, b: int) -> bool:
            one, other = (getattr(made[at][0].reading, name) for at in (a, b))
            return bool(one) and (one == other if isinstance(one, str) else set(one) == set(other))

        return same

    def cosine(a: int, b: int) -> float:
        one, other = weighed[a], weighed[b]
        norm = math.sqrt(sum(w * w for w in one.values()) * sum(w * w for w in other.values()))
        return sum(w * other.get(t, 0.0) for t, w in one.items()) / norm if norm else 0.0

    every = drawn(lambda read: 0)
    goods = drawn(lambda read: read.reading.goods)
    both = drawn(lambda read: (read.reading.goods, read.reading.problem) if read.reading.goods and read.reading.problem else None)

    def product(a: int, b: int) -> bool:
        return made[a][0].product_token is not None and made[a][0].product_token == made[b][0].product_token

    said = {
        "merchant": bits(every, lambda a, b: made[a][1] is not None and made[a][1] == made[b][1]),
        "goods": bits(every, field("goods")), "problem, of one class of goods": bits(goods, field("problem")),
        "product, of one class of goods and problem": bits(both, product), "issues all, of these": bits(both, field("issues")),
        "demands all, of these": bits(both, field("demands")),
    }  # fmt: skip
    reached = sorted(cosine(a, b) for a, b in both)
    for bar in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        share = sum(c >= bar for c in reached) / len(reached)
        said[f"cosine {bar}, of these (6√: {6 * math.sqrt(bar):.1f})"] = -math.log2(share)
    print("bits of agreement: " + "; ".join(f"{name} {value:.1f}" for name, value in said.items()))


_TEXT = "CREATE UNLOGGED TABLE bench_text (n int PRIMARY KEY, row jsonb)"
_MATTERS = """
WITH drawn AS (
  SELECT uuidv7() AS letter, uuidv7() AS matter, i, floor(exp(random() * ln($3::float)))::int AS rank, random() AS r, random() AS s, random() AS q,
         now() - interval '5 years' * pow(random(), 1.3) AS closed_at
  FROM generate_series($1::int, $2::int) i
), cases AS MATERIALIZED (  -- a merchant keeps to its place in the order of classes
  SELECT d.*, m.id AS merchant_id, (mod(d.rank * 7919, $4) + floor(r * r * $4 / 25)::int) % $4 AS n
  FROM drawn d JOIN bench_merchant m ON m.rank = d.rank
), letters AS (
  INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, history, state)
  SELECT letter, 'bench', i::text, '\\x00', '\\x00', 1, 'web', closed_at - interval '40 days' * q, closed_at - interval '40 days' * q, false, 'triaged' FROM cases
), ended AS MATERIALIZED (
  SELECT c.*, t.row, CASE WHEN s < .55 THEN 'agreement' WHEN s < .75 THEN 'no_agreement' WHEN s < .85 THEN 'withdrawn' WHEN s < .93 THEN 'refused'
         WHEN s < .96 THEN 'unreachable' ELSE 'not_accepted' END AS outcome
  FROM cases c JOIN bench_text t USING (n)
), matters AS (
  INSERT INTO matter (id, letter_id, sequence, lane, kind, kind_probability, source, channel, district, goods, problem, issues, demands, amount_fen, reading,
                      terms, term_weights, product_token, place_tokens, name_tokens, signature, city, quarter, received_at, event_at, history, merchant_id,
                      state, authority, as_of, track, outcome, recovered_fen, satisfied, closed_at)
  SELECT e.matter, e.letter, 1, 'complaint', 'complaint', 1, 'bench', 'web', ($5::text[])[1 + i % cardinality($5::text[])], t.goods, t.problem, t.issues,
         t.demands, t.amount_fen, t.reading, t.terms, t.term_weights, t.product_token, t.place_tokens, t.name_tokens, t.signature, t.city, t.quarter,
         e.closed_at - interval '40 days' * q, e.closed_at - interval '40 days' * q, false, e.merchant_id, CASE e.outcome WHEN 'agreement' THEN 'agreed'
         WHEN 'withdrawn' THEN 'withdrawn' WHEN 'not_accepted' THEN 'not_accepted' ELSE 'terminated' END, 'bureau', e.closed_at, 't1', e.outcome,
         CASE WHEN e.outcome = 'agreement' THEN t.amount_fen * (.3 + .7 * q) END, CASE WHEN e.outcome = 'agreement' THEN r < .8 END, e.closed_at
  FROM ended e, jsonb_populate_record(NULL::matter, e.row) t
)
INSERT INTO state_change (matter_id, state, actor, authority, at, act, detail)
SELECT matter, 'agreed', 'bench', 'bureau', closed_at, 'finish', CASE WHEN r < .2 THEN '{"through": "consumer_council"}'::jsonb END FROM ended
"""


def stored(made: Sequence[tuple[ReadLetter, int | None]], reader: Reader) -> list[str]:
    """Each text's part of a matter's row, with as many terms as a real letter has: of its neighbours in the order of classes."""
    rows = []
    for at, (read, _) in enumerate(made):
        terms: dict[int, float] = {}
        for near in range(at, at + 8):
            for term, weight in reader.frequencies.weigh(made[near % len(made)][0].words).items():
                if len(terms) < TERMS:
                    terms.setdefault(term, weight)
        reading = read.reading
        rows.append(
            to_json(
                {
                    "goods": reading.goods, "problem": reading.problem, "issues": reading.issues, "demands": reading.demands,
                    "amount_fen": read.amount_fen, "reading": read.as_json(), "terms": to_array(terms), "term_weights": to_array(terms.values()),
                    "product_token": read.product_token, "place_tokens": to_array(read.place_tokens), "name_tokens": to_array(sorted(read.names)),
                    "signature": to_array(read.signature), "city": read.city, "quarter": read.quarter,
                }
            )
        )  # fmt: skip
    return rows


async def fill(connection: Connection, rows: Sequence[str], count: int) -> None:
    await connection.execute(_TEXT)
    await connection.executemany("INSERT INTO bench_text VALUES ($1, $2)", list(enumerate(rows)))
    await connection.execute(
        "CREATE UNLOGGED TABLE bench_merchant AS SELECT rank, gen_random_uuid() AS id FROM generate_series(1, $1::int) rank".replace(
            "$1", str(MERCHANTS)
        )
    )
    await connection.execute(
        "INSERT INTO merchant (id, name, core, registered) SELECT id, '商户' || rank, '商户' || rank, 0 FROM bench_merchant"
    )
    await connection.execute("ANALYZE bench_merchant")
    built = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'matter' AND indexname LIKE 'ix_%'"
    )
    for index in built:
        await connection.execute(f"DROP INDEX {index['indexname']}")
    for start in track(range(0, count, BATCH), f"storing {count}"):
        await connection.execute(_MATTERS, start + 1, min(start + BATCH, count), MERCHANTS + 1, len(rows), list(DISTRICTS))
    settled = 0.0
    for index in track(built, "indexes"):
        began = time.perf_counter()
        await connection.execute(index["indexdef"])
        settled += (time.perf_counter() - began) if "_settled_" in index["indexname"] else 0
    await connection.execute("VACUUM ANALYZE matter")
    await connection.execute("ANALYZE")
    sizes = await connection.fetchrow(
        "SELECT pg_table_size('matter') / 1e6 AS rows, (SELECT sum(pg_relation_size(indexname::regclass)) FROM pg_indexes "
        "WHERE indexname LIKE 'ix_matter_settled_%') / 1e6 AS indexes"
    )
    print(f"rows {sizes['rows']:.0f} MB; the four indexes {sizes['indexes']:.0f} MB, built in {settled:.0f} s")


async def ask(database: Database, matters: Sequence[Any]) -> list[float]:
    """Milliseconds of each."""
    took = []
    for matter in matters:
        async with database.connection() as connection:
            began = time.perf_counter()
            await similar.of_matter(connection, matter, Wanted(), READER, lanes=("complaint",), same_merchant=False, limit=10)
            took.append((time.perf_counter() - began) * 1e3)
    return took


def told(took: Sequence[float]) -> str:
    ordered = sorted(took)
    return f"p50 {statistics.median(ordered):.1f} ms, p99 {ordered[int(len(ordered) * 0.99) - 1]:.1f} ms"


_BEST = """
SELECT sum(score) FROM (
  SELECT CASE WHEN m.merchant_id = q.merchant_id THEN $2::float ELSE 0 END + CASE WHEN m.goods = q.goods THEN $3::float ELSE 0 END
    + CASE WHEN m.product_token = q.product_token THEN $4::float ELSE 0 END + CASE WHEN m.problem = q.problem THEN $5::float ELSE 0 END AS score
  FROM matter m, matter q WHERE q.id = $1 AND m.id <> q.id ORDER BY 1 DESC LIMIT 10
) best
"""


async def near_best(connection: Connection, matters: Sequence[Any]) -> float:
    """Bits by class of the ten best found, as a share of those of the ten best there are."""
    fields = ("merchant", "goods", "product", "problem")
    got = best = 0.0
    for matter in matters:
        row = await connection.fetchrow(similar._MATTER, matter)
        cases = await similar.search(connection, similar._probe(row), Wanted())
        scores = sorted((sum(e["bits"] for e in c.evidence if e["field"] in fields) for c in cases), reverse=True)
        got += sum(scores[:10])
        best += await connection.fetchval(_BEST, matter, *(similar.BITS[f] for f in fields))
    return got / best


async def run(database: EmbeddedPostgres, count: int) -> None:
    async with corpus.house(database) as house:
        made = texts(house.reader, TEXTS)
        rates(house.reader, made)
        rows = stored(made, house.reader)
    owner = Database(database.url("owner"), pool_size=1)
    async with owner.connection() as connection:
        await fill(connection, rows, count)
    await owner.close()
    database.stop()
    database.start(exclusive=True)
    async with corpus.house(database) as house:
        await measure(house)


async def measure(house: House) -> None:
    async with house.database.connection() as connection:
        drawn = await connection.fetch(
            "SELECT id FROM matter TABLESAMPLE SYSTEM (0.5) REPEATABLE (7) ORDER BY random() LIMIT $1", ASKED
        )
    matters = [r["id"] for r in drawn]
    print(f"cold, {len(matters)} matters, each once: {told(await ask(house.database, matters))}; bar p50 {BAR_MS} ms")
    async with house.database.connection() as connection:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
    before, here = sum(backend.cpu_times()[:2]), time.process_time()
    rounds = [await ask(house.database, matters) for _ in range(ROUNDS)]
    each = 1e3 / ROUNDS / len(matters)
    print(
        f"warm, {ROUNDS} rounds: {'; '.join(told(r) for r in rounds)}; CPU {(time.process_time() - here) * each:.1f} ms here and "
        f"{(sum(backend.cpu_times()[:2]) - before) * each:.1f} ms in the database each, load of the machine {os.getloadavg()[0]:.1f}"
    )
    async with house.database.connection() as connection:
        found = [
            len(await similar.search(connection, similar._probe(await connection.fetchrow(similar._MATTER, m)), Wanted()))
            for m in matters
        ]
        share = await near_best(connection, matters[:10])
    print(
        f"like cases found: median {statistics.median(found):.0f} (at most {similar.MOST}); the ten best reach {share:.1%} of the bits by class"
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CASES
    print(f"{datetime.now(UTC):%Y-%m-%d}, {len(os.sched_getaffinity(0))} cores, {count} settled cases")
    database = corpus.start()
    try:
        # Filling only: nothing here has to outlive a crash.
        for setting in ("fsync = off", "synchronous_commit = off", "max_wal_size = '16GB'", "maintenance_work_mem = '512MB'"):
            database._psql("postgres", f"ALTER SYSTEM SET {setting}")
        database._psql("postgres", "SELECT pg_reload_conf()")
        asyncio.run(run(database, count))
    finally:
        database.stop()
        database.remove()


if __name__ == "__main__":
    main()
