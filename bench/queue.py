"""`make bench-queue`: claims with their rights checks against the bare SKIP LOCKED statement, alternately in one run, medians, ratios.

A million open items over three tracks and the province's districts, a hundred thousand leased; eight pullers, one and ten at a time, through
the function and through HTTP (needs wrk); then a hundred thousand claims with autovacuum on. The bundled database in bench/.work.
"""

import asyncio
import os
import shutil
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime

import asyncpg
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app import identity, work
from app.codes import shipped
from app.database import Database
from app.embedded import EmbeddedPostgres
from app.identity import Principal
from app.privacy import load_keys
from app.settings import Settings
from bench import corpus
from bench.floor import BARE_CLAIM, driver_url
from bench.service import Serving, wrk

OPEN = int(os.environ.get("BENCH_OPEN", "1000000"))
LEASED = OPEN // 10
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
CALLS, PULLERS = 1000, 8
WEAR = int(os.environ.get("BENCH_WEAR", "100000"))
LEAST, MOST_SLOWER = 0.5, 1.3

# What a claim reads and writes, with as much beside it as real matters have; the bare table has the same rows and one index.
_FILL = """
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT setseed(0.12315);
CREATE UNLOGGED TABLE stage AS
SELECT n, uuidv7() AS id, uuidv7() AS matter_id, uuidv7() AS letter_id, (ARRAY['t1', 't2', 't3'])[1 + n % 3] AS queue_id,
       CASE WHEN random() < 0.1 THEN '420106' ELSE ({districts})[1 + floor(random() * {count})::int] END AS district, floor(random() * 5)::smallint AS priority,
       now() + random() * interval '60 days' AS due_at
FROM generate_series(1, {rows}) n;
INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, history, state)
SELECT letter_id, 'bench', n::text, '', '', 1, 'app', now(), now(), false, 'triaged' FROM stage;
INSERT INTO matter (id, letter_id, sequence, lane, kind, kind_probability, source, channel, issues, demands, reading, terms, term_weights, place_tokens,
  district, goods, problem, received_at, event_at, history, state, authority, as_of, track)
SELECT matter_id, letter_id, 1, 'complaint', 'complaint', 1, 'bench', 'app', '{{退款纠纷}}', '{{退款,退货}}', '{{}}', '{{}}', '{{}}', '{{}}',
  district, '0101', '0203', now(), now(), false, 'pending_acceptance', 'bureau', now(), queue_id FROM stage;
INSERT INTO decision (id, matter_id, kind, decided_at, actor, track, rule, reasons, facts, evidence, sign, policy_hash, law, parameters)
SELECT uuidv7(), matter_id, 'initial', now(), 'policy', queue_id, 'ordinary',
  '[{{"rule": "ordinary", "text": "普通消费争议，由市场监管部门调解", "legal_basis": "《市场监督管理投诉举报处理办法》第十八条", "facts": ["harm", "amount_fen", "incident_people"]}}, {{"rule": "amount", "text": "争议金额在一千元以下，可以在线和解", "facts": ["amount_fen", "odr_live"]}}]',
  '{{}}', '{{}}', 'approve', repeat('0', 64), '2026', '{{}}' FROM stage;
INSERT INTO work_item (id, matter_id, unit_id, queue_id, district, priority, due_at, urgent_at)
SELECT id, matter_id, id, queue_id, district, priority, due_at, due_at - priority * interval '12 hours' FROM stage;
INSERT INTO ready (unit_id, queue_id, district, priority, urgent_at)
SELECT id, queue_id, district, priority, due_at - priority * interval '12 hours' FROM stage WHERE n > {leased};
INSERT INTO lease (unit_id, token, holder, until)
SELECT id, gen_random_uuid(), 'm' || n % 500, now() + interval '8 hours' FROM stage WHERE n <= {leased};
CREATE TABLE bench_queue (id uuid PRIMARY KEY, state text NOT NULL, urgent_at timestamptz NOT NULL, token uuid);
INSERT INTO bench_queue
SELECT id, CASE WHEN n > {leased} THEN 'ready' ELSE 'leased' END, due_at - priority * interval '12 hours', NULL FROM stage;
CREATE INDEX ON bench_queue (urgent_at, id) WHERE state = 'ready';
GRANT ALL ON bench_queue TO triage_app;
DROP TABLE stage;
"""


def districts() -> list[str]:
    return [d["code"] for city in shipped("regions")["cities"] for d in city["districts"]]


def fill(database: EmbeddedPostgres) -> None:
    codes = districts()
    array = "ARRAY[" + ", ".join(f"'{c}'" for c in codes) + "]"
    database._psql("triage", _FILL.format(districts=array, count=len(codes), rows=OPEN + LEASED, leased=LEASED))
    # On the disk and known to the planner, as in a store that has stood for a while.
    for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
        database._psql("triage", statement)


def person(name: str, place: str) -> Principal:
    return Principal(name, True, frozenset({"mediator"}), (place,), (), ())


ASKED = {
    "t1, the province": ("t1", person("province", "42")), "t1, a district": ("t1", person("district", "420106")),
    "t1, a city": ("t1", person("city", "4201")), "any, the province": ("any", person("all", "42")),
}  # fmt: skip


async def rate(call: Callable[[], Awaitable[int]], calls: int) -> float:
    """Items a second, of PULLERS that ask without pause."""

    async def puller() -> int:
        return sum([await call() for _ in range(calls // PULLERS)])

    started = time.perf_counter()
    got = await asyncio.gather(*(puller() for _ in range(PULLERS)))
    return sum(got) / (time.perf_counter() - started)


def judge(value: float, bar: float, *, least: bool) -> str:
    met = value >= bar if least else value <= bar
    return f"{'>=' if least else '<='} {bar}: {'met' if met else 'MISSED'}"


def row(table: Table, *cells: str) -> None:
    """At once, too: a long run shows what it has."""
    Console(stderr=True).print(*cells)
    table.add_row(*cells)


class Direct:
    """Both sides in this process, each on a pool of eight connections."""

    def __init__(self, house: Database, pool: asyncpg.Pool) -> None:
        self.house, self.pool = house, pool

    async def bare(self, limit: int) -> int:
        async with self.pool.acquire() as connection:
            return len(await connection.fetch(BARE_CLAIM, limit))

    async def ours(self, queue: str, who: Principal, limit: int) -> int:
        async with self.house.connection() as connection:
            return len(await work.claim(connection, queue, who, limit=limit, lease_seconds=8 * 3600))

    async def compare(self, name: str, limit: int, calls: int = CALLS, rounds: int = ROUNDS) -> tuple[float, float, float]:
        """Medians of ours and of the bare one, and of the rounds' ratios."""
        queue, who = ASKED[name]
        ours, bares = [], []
        for _ in range(rounds):
            bares.append(await rate(lambda: self.bare(limit), calls))
            ours.append(await rate(lambda: self.ours(queue, who, limit), calls))
        return (
            statistics.median(ours),
            statistics.median(bares),
            statistics.median(o / b for o, b in zip(ours, bares, strict=True)),
        )


async def direct(url: str, table: Table) -> None:
    house, pool = Database(url), await asyncpg.create_pool(driver_url(url), min_size=PULLERS, max_size=PULLERS)
    side = Direct(house, pool)
    for name, (queue, who) in track(ASKED.items(), "through the function"):
        for limit in (1, 10):
            calls = CALLS if limit == 1 else CALLS // 4
            await rate(lambda q=queue, w=who, n=limit: side.ours(q, w, n), 80)
            await rate(lambda n=limit: side.bare(n), 80)
            ours, bare, ratio = await side.compare(name, limit, calls)
            row(table,
                f"function: {name}, {limit} at a time", f"{ours:.0f}/s", f"{bare:.0f}/s", f"{ratio:.2f}",
                judge(ratio, LEAST, least=True),
            )  # fmt: skip
    await pool.close()
    await house.close()


async def wear(url: str, table: Table) -> None:
    """WEAR claims of ten, with as many bare ones in turn, and what one at a time costs before and after."""
    house, pool = Database(url), await asyncpg.create_pool(driver_url(url), min_size=PULLERS, max_size=PULLERS)
    side = Direct(house, pool)
    name = "t1, the province"
    queue, who = ASKED[name]
    before = await side.compare(name, 1)
    part = WEAR // 10
    for _ in track(range(10), f"{WEAR} claims"):
        await rate(lambda: side.bare(10), part // 10)
        await rate(lambda: side.ours(queue, who, 10), part // 10)
    after = await side.compare(name, 1)
    for label, n, bar in (("function", 0, True), ("bare statement", 1, False)):
        slower = before[n] / after[n]
        row(table,
            f"{label}: {before[n]:.0f}/s before {WEAR} claims, after:", f"{after[n]:.0f}/s", "", f"{slower:.2f}",
            judge(slower, MOST_SLOWER, least=False) if bar else "",
        )  # fmt: skip
    await pool.close()
    await house.close()


def through_http(serving: ExitStack, database: EmbeddedPostgres, token: str, table: Table) -> None:
    keys = load_keys(Settings())
    environment = {
        **os.environ, "DATABASE_URL": database.url("app"), "TRIAGE_TOKEN_KEY": keys.token_key.hex(),
        "TRIAGE_ENCRYPTION_KEY": keys.encryption_key.hex(),
    }  # fmt: skip
    service = serving.enter_context(Serving([sys.executable, "-m", "app.cli", "web"], environment, "/v1/queues/t1/claim"))
    floor = serving.enter_context(Serving([sys.executable, "-m", "bench.floor"], environment, "/claim"))
    service.wait("/healthz")
    time.sleep(3)
    for limit in (1, 10):
        body = corpus.WORK / f"claim{limit}.json"
        body.write_text(f'{{"limit": {limit}, "lease_seconds": 28800}}')
        for side in (service, floor):
            wrk(side, PULLERS, body, "warm", token, 2)
        ours, bares = [], []
        for n in track(range(ROUNDS), f"through HTTP, {limit} at a time"):
            bares.append(wrk(floor, PULLERS, body, f"f{n}", token, SECONDS))
            ours.append(wrk(service, PULLERS, body, f"s{n}", token, SECONDS))
        middle = {k: [statistics.median(r[k] for r in side) for side in (ours, bares)] for k in ("rps", "cpu_ms", "p50", "p99")}
        ratio = statistics.median(o["rps"] / b["rps"] for o, b in zip(ours, bares, strict=True))
        row(table,
            f"HTTP: t1, the province, {limit} at a time; server CPU {middle['cpu_ms'][0]:.2f} and {middle['cpu_ms'][1]:.2f} ms, "
            f"p99 {middle['p99'][0]:.1f} and {middle['p99'][1]:.1f} ms",
            f"{middle['rps'][0] * limit:.0f}/s", f"{middle['rps'][1] * limit:.0f}/s", f"{ratio:.2f}", judge(ratio, LEAST, least=True),
        )  # fmt: skip


async def issue(url: str) -> str:
    database = Database(url, pool_size=1)
    async with database.connection() as connection:
        token = await identity.issue(connection, "bench", ["mediator"], natural_person=True, jurisdictions=["42"])
    await database.close()
    return token


def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed: apt-get install wrk")
    console = Console()
    database = corpus.start()
    table = Table(
        "", "claims", "bare", "ratio", "bar",
        title=f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {OPEN} open and {LEASED} leased items, {PULLERS} pullers, medians of {ROUNDS} rounds",
    )  # fmt: skip
    with ExitStack() as serving:
        serving.callback(database.stop)
        asyncio.run(corpus.seed(database))
        started = time.perf_counter()
        with console.status(f"storing {OPEN + LEASED} items"):
            fill(database)
        console.print(f"stored in {time.perf_counter() - started:.0f} s")
        url = database.url("app")
        asyncio.run(direct(url, table))
        with ExitStack() as web:
            through_http(web, database, asyncio.run(issue(url)), table)
        asyncio.run(wear(url, table))
        console.print(table)


if __name__ == "__main__":
    main()
