"""`make bench`: the service against its floors, alternately in one run, medians of five, ratios and server CPU.

POST against a bare endpoint with one INSERT, at 1 and 8 clients; batch against a multi-row INSERT; claims against the
bare SKIP LOCKED statement; claims' p99 while 8 clients POST. Needs wrk. Starts its own bundled database in bench/.work.
"""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
from rich.progress import track

from app import calendar as calendars
from app import codes, identity, intake, policy, supervisor, work
from app.api.complaints import _triage_all
from app.database import Database
from app.embedded import EmbeddedPostgres
from app.identity import Principal
from app.intake import Complaint, Letter
from app.privacy import Vault, load_keys
from app.settings import Settings
from app.triage import House, triage
from bench import corpus
from bench.floor import BARE_CLAIM, driver_url
from ml.synthetic import generate

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
STORED = int(os.environ.get("BENCH_STORED", "10000"))


class Serving:
    """Web processes (and nothing else) on one socket; CPU of exactly those."""

    def __init__(self, command: list[str], environment: dict[str, str], path: str) -> None:
        self.listener = supervisor.listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}{path}"
        fd = str(self.listener.fileno())
        self.processes = [
            subprocess.Popen([*command, *(["--fd", fd] if "app.cli" in command else [fd])], env=environment, pass_fds=[int(fd)])
            for _ in range(os.cpu_count() or 1)
        ]

    def cpu(self) -> float:
        times = [psutil.Process(p.pid).cpu_times() for p in self.processes]
        return sum(t.user + t.system for t in times)

    def wait(self, path: str) -> None:
        """Until a process answers there."""
        base = self.url.removesuffix(urlsplit(self.url).path)
        for _ in range(300):
            try:
                with urllib.request.urlopen(base + path, timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("no process answers")

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: object) -> None:
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            p.wait()
        self.listener.close()


def wrk(serving: Serving, clients: int, bodies: Path, name: str, token: str, seconds: int = SECONDS) -> dict[str, float]:
    before = serving.cpu()
    out = subprocess.run(
        ["wrk", "-t", str(min(clients, 2)), "-c", str(clients), "-d", f"{seconds}s", "-s", str(Path(__file__).parent / "load.lua"),
         "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json", serving.url, "--", str(bodies), name],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    line = next(x for x in out.splitlines() if x.startswith("RESULT"))
    requests, duration, p50, p99, bad = map(float, line.split()[1:])
    assert not bad, f"{bad} failed requests in {name}"
    return {"rps": requests / duration, "cpu_ms": (serving.cpu() - before) / max(requests, 1) * 1e3, "p50": p50, "p99": p99}


def alternate(first: Callable[[int], dict[str, float]], second: Callable[[int], dict[str, float]], label: str) -> tuple[Any, Any]:
    a, b = [], []
    for n in track(range(ROUNDS), label):
        a.append(first(n))
        b.append(second(n))
    return median(a), median(b)


def median(results: list[dict[str, float]]) -> dict[str, float]:
    return {k: statistics.median(r[k] for r in results) for k in results[0]}


async def fill(house: House, count: int) -> None:
    planted = generate(count, 90, 77, datetime.now(UTC))
    for start in track(range(0, count, 500), f"storing {count}"):
        letters = [
            Letter.make("fill", Complaint.model_validate(p.body), now=datetime.now(UTC), history=False)
            for p in planted[start : start + 500]
        ]
        async with house.database.transaction() as connection:
            await intake.receive(connection, house.vault, letters, triage_after_seconds=3600)
        for letter in letters:
            await triage(house, letter)
    async with house.database.connection() as connection:
        await connection.execute("UPDATE incident_membership SET folded = true WHERE NOT folded")


async def bench_batch(house: House) -> dict[str, float]:
    """Through the API's own functions: receive, then triage; against one multi-row INSERT of the same rows."""
    planted = generate(1000, 30, 4711, datetime.now(UTC))
    received, triaged, floor = [], [], []
    for n in track(range(ROUNDS), "batch"):
        letters = [
            Letter.make(
                "batch", Complaint.model_validate({**p.body, "external_id": f"b{n}-{i}"}), now=datetime.now(UTC), history=False
            )
            for i, p in enumerate(planted)
        ]
        async with house.database.transaction() as connection:
            rows = [(x.id, x.body.external_id, json.dumps(x.body.content()).encode(), x.channel, x.received_at) for x in letters]
            t = time.perf_counter()
            await connection.execute(
                "INSERT INTO bench_floor (id, source, external_id, body, channel, received_at, event_at, history, state) "
                "SELECT i, 'batch', e, b, c, r, r, false, 'received' FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], "
                "$5::timestamptz[]) AS t(i, e, b, c, r)",
                *[list(c) for c in zip(*rows, strict=True)],
            )
            floor.append(1000 / (time.perf_counter() - t))
        t = time.perf_counter()
        bodies = [Complaint.model_validate(x.body.content()) for x in letters]
        async with house.database.transaction() as connection:
            made = [Letter.make("batch", b, now=datetime.now(UTC), history=False) for b in bodies]
            await intake.receive(connection, house.vault, made, triage_after_seconds=3600)
        received.append(1000 / (time.perf_counter() - t))
        t = time.perf_counter()
        await _triage_all(house, made[:300])
        triaged.append(300 / (time.perf_counter() - t))
    return {"received": statistics.median(received), "triaged": statistics.median(triaged), "floor": statistics.median(floor)}


async def bench_claim(house: House, url: str) -> dict[str, float]:
    person = Principal("bench", True, frozenset({"mediator"}), ("42",), (), ())
    pool = await asyncpg.create_pool(driver_url(url), min_size=8, max_size=8)
    async with pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO bench_queue SELECT gen_random_uuid(), 'ready', clock_timestamp() + n * interval '1 s' FROM generate_series(1, 20000) n"
        )

    async def many(one: Callable[[], Any], count: int) -> float:
        async def puller() -> None:
            for _ in range(count // 8):
                await one()

        t = time.perf_counter()
        await asyncio.gather(*(puller() for _ in range(8)))
        return count / (time.perf_counter() - t)

    async def bare() -> None:
        async with pool.acquire() as connection:
            await connection.fetch(BARE_CLAIM, 1)

    queues = {"t1": 0, "t2": 0, "t3": 0}

    async def ours() -> None:
        async with house.database.connection() as connection:
            for queue in queues:
                if await work.claim(connection, queue, person, limit=1, lease_seconds=600):
                    return

    bares, claims = [], []
    for _ in track(range(ROUNDS), "claims"):
        bares.append(await many(bare, 400))
        claims.append(await many(ours, 400))
    await pool.close()
    return {"bare": statistics.median(bares), "claim": statistics.median(claims)}


def claims_under_load(serving: Serving, bodies: Path, portal: str, mediator: str) -> tuple[float, float, float]:
    """p50 and p99 of claims through HTTP in ms while 8 clients POST without pause; and the posts' rate."""
    base = serving.url.rsplit("/v1/", 1)[0]
    load = subprocess.Popen(
        [sys.executable, "-c", f"from bench.service import *; print(json.dumps(wrk_url({serving.url!r}, 8, {str(bodies)!r}, 'under{time.time_ns()}', {portal!r}, 12)))"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(1)
    waits = []
    end = time.monotonic() + 9
    while time.monotonic() < end:
        for queue in ("t1", "t2", "t3"):
            request = urllib.request.Request(
                f"{base}/v1/queues/{queue}/claim",
                b'{"limit": 1}',
                {"Authorization": f"Bearer {mediator}", "Content-Type": "application/json"},
            )
            t = time.perf_counter()
            urllib.request.urlopen(request).read()
            waits.append((time.perf_counter() - t) * 1e3)
        time.sleep(0.02)
    out, _ = load.communicate()
    waits.sort()
    return statistics.median(waits), waits[int(len(waits) * 0.99)], json.loads(out)["rps"]


def wrk_url(url: str, clients: int, bodies: str, name: str, token: str, seconds: int) -> dict[str, float]:
    class Bare(Serving):
        def __init__(self) -> None:
            self.url, self.processes = url, []

    return wrk(Bare(), clients, Path(bodies), name, token, seconds)


async def prepare(settings: Settings, database: EmbeddedPostgres) -> dict[str, str]:
    owner = Database(database.url("owner"), pool_size=1)
    async with owner.connection() as connection:
        for seed in (codes.seed, calendars.seed, policy.seed):
            await seed(connection)
        await connection.execute("DROP TABLE IF EXISTS bench_floor; DROP TABLE IF EXISTS bench_queue")
        await connection.execute(
            "CREATE TABLE bench_floor (id uuid PRIMARY KEY, source text NOT NULL, external_id text NOT NULL, body bytea, channel text, "
            "received_at timestamptz, event_at timestamptz, history boolean, state text, UNIQUE (source, external_id));"
            "CREATE TABLE bench_queue (id uuid PRIMARY KEY, state text, urgent_at timestamptz, token uuid);"
            "CREATE INDEX ON bench_queue (urgent_at, id) WHERE state = 'ready';"
            "GRANT ALL ON bench_floor, bench_queue TO triage_app"
        )
    await owner.close()
    app = Database(database.url("app"))
    async with app.connection() as connection:
        tokens = {
            role: await identity.issue(
                connection, f"bench-{role}", [role], natural_person=True, jurisdictions=["42"], sources=["bench"]
            )
            for role in ("portal", "mediator")
        }
    house = await House.open(settings, app, Vault(load_keys(settings)))
    await fill(house, STORED)
    await app.close()
    return tokens


async def direct(settings: Settings, url: str) -> tuple[dict[str, float], dict[str, float]]:
    app = Database(url)
    house = await House.open(settings, app, Vault(load_keys(settings)))
    found = await bench_batch(house), await bench_claim(house, url)
    await app.close()
    return found


def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed: apt-get install wrk")
    database = corpus.start()
    settings = Settings()
    serving = ExitStack()
    try:
        tokens = asyncio.run(prepare(settings, database))
        bodies = corpus.WORK / "bodies.jsonl"
        planted = generate(5000, 60, 99, datetime.now(UTC))
        bodies.write_text("\n".join(json.dumps({**p.body, "external_id": "@ID@"}, ensure_ascii=False) for p in planted))
        keys = load_keys(settings)
        environment = {
            **os.environ, "DATABASE_URL": database.url("app"), "TRIAGE_TOKEN_KEY": keys.token_key.hex(),
            "TRIAGE_ENCRYPTION_KEY": keys.encryption_key.hex(),
        }  # fmt: skip
        # What was stored is on the disk and known to the planner, as in a store that has stood for a while.
        for statement in ("CHECKPOINT", "VACUUM ANALYZE"):
            database._psql("triage", statement)
        service = serving.enter_context(Serving([sys.executable, "-m", "app.cli", "web"], environment, "/v1/complaints"))
        floor = serving.enter_context(Serving([sys.executable, "-m", "bench.floor"], environment, "/floor"))
        service.wait("/healthz")
        time.sleep(3)
        print(
            f"\n{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {STORED} complaints stored, medians of {ROUNDS} rounds of {SECONDS} s"
        )
        for clients in (1, 8):
            wrk(service, clients, bodies, f"warm{clients}", tokens["portal"], 3)
            wrk(floor, clients, bodies, f"warm{clients}", tokens["portal"], 2)
            f, s = alternate(
                lambda n, c=clients: wrk(floor, c, bodies, f"f{c}-{n}", tokens["portal"]),
                lambda n, c=clients: wrk(service, c, bodies, f"s{c}-{n}", tokens["portal"]),
                f"POST, {clients} clients",
            )
            print(
                f"POST, {clients} client(s): service {s['rps']:.0f}/s, floor {f['rps']:.0f}/s, ratio {s['rps'] / f['rps']:.3f}; "
                f"server CPU {s['cpu_ms']:.2f} ms, floor {f['cpu_ms']:.2f} ms; p50 {s['p50']:.1f} ms, p99 {s['p99']:.1f} ms"
            )
        p50, p99, rps = claims_under_load(service, bodies, tokens["portal"], tokens["mediator"])
        print(f"claims through HTTP while 8 clients POST ({rps:.0f}/s): p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        serving.close()
        batch, claim = asyncio.run(direct(settings, database.url("app")))
        print(
            f"batch: {batch['received']:.0f} received/s (multi-row INSERT {batch['floor']:.0f}/s, ratio {batch['received'] / batch['floor']:.3f}), "
            f"{batch['triaged']:.0f} triaged/s in one process"
        )
        print(
            f"claims, 8 pullers: {claim['claim']:.0f}/s against {claim['bare']:.0f}/s of the bare statement, ratio {claim['claim'] / claim['bare']:.2f}"
        )
    finally:
        serving.close()
        database.stop()


if __name__ == "__main__":
    main()
