"""`make bench-incidents [FILE=complaints_20k.parquet]`: merchants and incidents, their quality and what one complaint costs.

1. The file: merchants with their ceiling, incidents in batch and one by one.
2. Our own streams of 20,000 and 200,000 under one set of parameters (other seeds than the shipped one's): incidents, and merchants that
   sound alike.
3. CPU of one complaint, merchant and incident, with 20,000 and a million stored.
4. A thousand complaints on one incident and a thousand on another of the same merchant at once, against a thousand different ones.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.progress import Progress

from app import linking, matching, worker
from app.database import Database
from app.embedded import EmbeddedPostgres
from app.intake import Complaint
from app.matching import Filed
from app.triage import receive_and_triage
from bench import corpus
from ml import grouping, incidents, merchants
from ml.evaluation import b_cubed, f1
from ml.synthetic import streams
from ml.tokens import sound


def scored(found: Sequence[object], truth: Sequence[object]) -> str:
    p, r = b_cubed(found, truth)
    return f"B-cubed precision {p:.3f} recall {r:.3f} F1 {f1(p, r):.3f} ({len(found)})"


class Bars:
    def __init__(self, progress: Progress) -> None:
        self.progress, self.tasks = progress, dict[str, Any]()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self.tasks:
            self.tasks[stage] = self.progress.add_task(stage, total=total)
        self.progress.update(self.tasks[stage], completed=done, total=total)


def ceiling(filed: Sequence[Filed], truth: Sequence[object]) -> str:
    """Merchants as well as names and places could tell them: each set of complaints that say the same goes to whom most of it means."""
    said = [
        (
            tuple(sorted({(sound(m.name.core), m.name.city or one.home, m.name.trade) for m in one.named.stated})),
            one.features.product if not one.named.stated else None,
        )
        for one in filed
    ]
    meant: dict[object, Counter[object]] = defaultdict(Counter)
    for s, t in zip(said, truth, strict=True):
        meant[s][t] += 1
    return scored([meant[s].most_common(1)[0][0] for s in said], truth)


def of_merchants(name: str, filed: Sequence[Filed], truth: Sequence[object], bars: Bars) -> list[int | None]:
    started = time.process_time()
    found = grouping.resolve([f.named for f in filed], merchants.shipped_scorecard(), progress=bars)
    spent = 1000 * (time.process_time() - started) / len(filed)
    stated = [n for n, f in enumerate(filed) if f.named.stated]
    told = [n for n, m in enumerate(found) if m is not None]
    print(
        f"{name}: merchants, name stated: {scored([found[n] for n in stated], [truth[n] for n in stated])}; {spent:.2f} ms CPU each"
    )
    print(f"{name}: merchants, all that were found: {scored([found[n] for n in told], [truth[n] for n in told])}")
    print(f"{name}: ceiling of stated names: {ceiling([filed[n] for n in stated], [truth[n] for n in stated])}")
    groups: dict[Any, Counter[tuple[str, object]]] = defaultdict(Counter)
    for n in stated:
        groups[found[n]][filed[n].named.stated[0].name.core, truth[n]] += 1
    right = wrong = 0
    for said in groups.values():
        kinds = list(said.items())
        for i, ((core, meant), times) in enumerate(kinds):
            for (other, also), more in kinds[i + 1 :]:
                if core != other and sound(core) == sound(other):
                    right, wrong = right + times * more * (meant == also), wrong + times * more * (meant != also)
    print(
        f"{name}: pairs put together of brands written differently and sounding alike: {right / max(1, right + wrong):.3f} right"
    )
    return found


def of_incidents(
    name: str, filed: Sequence[Filed], found: Sequence[int | None], truth: Sequence[object], bars: Bars, *, ways: Sequence[str]
) -> None:  # fmt: skip
    features = matching.place(filed, found, matching.weigh(filed))
    for way in ways:
        started = time.process_time()
        labels = grouping.group(features, incidents.shipped_scorecard(), sweeps=int(way == "batch"), progress=bars)
        spent = 1000 * (time.process_time() - started) / len(filed)
        print(
            f"{name}: incidents, {way}: {scored(labels, truth)}; largest {max(Counter(labels).values())}; {spent:.2f} ms CPU each"
        )


def made_up(count: int, seed: int, folder: Path, bars: Bars) -> tuple[list[Filed], list[streams.Filed]]:
    rows = streams.stream(count, seed).rows
    file = folder / f"{count}-{seed}.parquet"
    streams.write(file, rows)
    return matching.read_file(file, columns={}, progress=bars)[1], rows


# -- one complaint in a store


async def cost(filed: Sequence[Filed], stored: int, bars: Bars) -> float:
    """Milliseconds of CPU of this process for a complaint's merchant and incident, reading not counted, in a store of so many."""
    measured = filed[-2000:]
    with tempfile.TemporaryDirectory() as name:
        async with linking.scratch_database(Path(name)) as database:
            await matching.feed(
                database,
                filed[: len(filed) - len(measured)],
                merchants.shipped_scorecard(),
                incidents.shipped_scorecard(),
                progress=bars,
            )
            if stored > len(filed):
                await multiply(database, stored // len(filed) - 1)
            started = time.process_time()
            await matching.feed(database, measured, merchants.shipped_scorecard(), incidents.shipped_scorecard())
            return 1000 * (time.process_time() - started) / len(measured)


_MULTIPLY = (
    "CREATE TEMP TABLE m AS SELECT * FROM merchant; CREATE TEMP TABLE mk AS SELECT * FROM merchant_key; CREATE TEMP TABLE i AS SELECT * FROM "
    "incident; CREATE TEMP TABLE ik AS SELECT * FROM incident_key",
    # The profiles go along; a copy's keys sound like nobody else's, but for every fifth.
    "INSERT INTO merchant (id, name, core, city, trade, registered, profile) SELECT md5(m.id::text || n)::uuid, name, core, city, trade, 0, profile "
    "FROM m, generate_series(1, $1::int) AS n",
    "INSERT INTO merchant_key (key, merchant_id, standing) SELECT CASE WHEN n % 5 = 0 THEN key ELSE key || '#' || n END, "
    "md5(merchant_id::text || n)::uuid, standing FROM mk, generate_series(1, $1::int) AS n",
    "INSERT INTO incident (id, state, scope, title, merchant_id, first_at, last_at, complaints, people_complaints, people_all, unidentified, profile, "
    "version, counted_version, words) SELECT md5(i.id::text || n)::uuid, state, scope, title, "
    "md5(merchant_id::text || n)::uuid, first_at, last_at, complaints, people_complaints, people_all, unidentified, profile, 0, 0, words "
    "FROM i, generate_series(1, $1::int) AS n",
    # Half of an incident's keys are its merchant's own, half are places and words that all share.
    "INSERT INTO incident_key (token, incident_id, last_at) SELECT CASE WHEN token % 2 = 0 THEN token ELSE token # (n::bigint << 20) END, "
    "md5(incident_id::text || n)::uuid, last_at FROM ik, generate_series(1, $1::int) AS n ON CONFLICT DO NOTHING",
    "ANALYZE merchant, merchant_key, incident, incident_key",
)


async def multiply(database: Database, copies: int) -> None:
    """The store so many times more: other merchants, every fifth of which sounds like the first, and their incidents."""
    async with database.connection() as connection:
        await connection.execute(_MULTIPLY[0])
        for statement in _MULTIPLY[1:-1]:
            await connection.execute(statement, copies)
        print("stored:", await connection.fetchval("SELECT sum(complaints) FROM incident"), "complaints")


# -- many at once


async def crowd(database: EmbeddedPostgres) -> None:
    """Both counts exact, and the throughput against complaints that share nothing."""
    async with corpus.house(database) as house:

        async def post(external: str, text: str, merchant: str, phone: int) -> None:
            body = {
                "external_id": external, "text": text, "complainant": {"name": f"陈{external[-4:]}", "phone": f"137{phone:08d}"},
                "respondents": [{"name": merchant, "address": "武汉市武昌区中南路9号"}],
            }  # fmt: skip
            await receive_and_triage(house, "crowd", Complaint.model_validate(body))

        async def rate(bodies: list[tuple[str, str, str, int]]) -> float:
            started = time.perf_counter()
            waiting = iter(bodies)

            async def one() -> None:
                for body in waiting:
                    await post(*body)

            await asyncio.gather(*(one() for _ in range(8)))
            return len(bodies) / (time.perf_counter() - started)

        different = [
            (f"d{n}", f"在第{n}家店买的{chr(0x4E00 + n)}{chr(0x5E00 + n)}牌商品有质量问题，要求退款", f"{chr(0x4E10 + n)}{chr(0x6E10 + n)}记商行", n)
            for n in range(1000)
        ]  # fmt: skip
        food, card = "在桂禾坊火锅店吃出蟑螂，店家拒绝退款", "桂禾坊火锅店关门停业，储值卡余额不退，老板失联"
        hot = [
            body
            for n in range(1000)
            for body in (
                (f"f{n}", f"{food}，第{n}桌", "桂禾坊火锅店", 10_000 + n),
                (f"c{n}", f"{card}，卡号尾数{n}", "桂禾坊火锅店", 20_000 + n),
            )
        ]
        alone = await rate(different)
        together = await rate(hot)
        while await worker.step(house):
            pass
        async with house.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT left(l.external_id, 1) AS kind, im.incident_id, count(*) AS n, max(i.people_complaints) AS people FROM letter l "
                "JOIN matter m ON m.letter_id = l.id JOIN incident_membership im ON im.matter_id = m.id AND im.valid_to IS NULL AND im.is_primary "
                "JOIN incident i ON i.id = im.incident_id WHERE left(l.external_id, 1) IN ('f', 'c') GROUP BY 1, 2"
            )
        print("crowd:", [(r["kind"], r["n"], r["people"]) for r in rows])
        print(
            f"crowd: {together:.0f}/s on two incidents of one merchant, {alone:.0f}/s on different ones: {together / alone:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--file", type=Path)
    parser.add_argument("--parts", default="file,streams,cost,crowd")
    parser.add_argument("--large", type=int, default=200_000)
    given = parser.parse_args()
    parts = given.parts.split(",")
    print(
        datetime.now(UTC).date(),
        "shipped scorecards:",
        merchants.shipped_scorecard().version,
        incidents.shipped_scorecard().version,
    )
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory() as name:
        bars = Bars(progress)
        folder = Path(name)
        if "file" in parts and given.file is None:
            print("no --file: the shared file's figures are left out")
        elif "file" in parts:
            ids, filed = matching.read_file(given.file, columns={}, progress=bars)
            truth = {c: linking.read_clusters(given.file, [c]) for c in ("merchant_id", "incident_id")}
            found = of_merchants("file", filed, [truth["merchant_id"][i] for i in ids], bars)
            meant = [truth["incident_id"][i] for i in ids]
            of_incidents("file", filed, found, meant, bars, ways=("one pass", "batch"))
            with tempfile.TemporaryDirectory() as scratch:
                labels = asyncio.run(online(filed, Path(scratch), bars))
            print(f"file: incidents, one by one through PostgreSQL: {scored(labels, meant)}")
        if "streams" in parts:
            for count, seed in ((20_000, 8), (given.large, 9)):
                filed, rows = made_up(count, seed, folder, bars)
                found = of_merchants(f"stream {count}", filed, [r.merchant_id for r in rows], bars)
                of_incidents(f"stream {count}", filed, found, [r.incident_id for r in rows], bars, ways=("one pass", "batch"))
        if "cost" in parts:
            filed, _ = made_up(20_000, 8, folder, bars)
            # On the loop that the service runs on.
            small = uvloop.run(cost(filed, 0, bars))
            large = uvloop.run(cost(filed, 1_000_000, bars))
            print(
                f"CPU of one complaint's merchant and incident: {small:.2f} ms at 20,000, {large:.2f} ms at a million: {large / small:.2f}"
            )
    if "crowd" in parts:
        database = corpus.start()
        try:
            asyncio.run(crowd(database))
        finally:
            database.stop()


async def online(filed: Sequence[Filed], folder: Path, bars: Bars) -> list[Any]:
    async with linking.scratch_database(folder) as database:
        fed = await matching.feed(database, filed, merchants.shipped_scorecard(), incidents.shipped_scorecard(), progress=bars)
    return [i for _, i in fed]


if __name__ == "__main__":
    main()
