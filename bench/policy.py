"""`make bench-policy`: a back-test over 100,000 made-up fact sheets in the bundled database, one decision, one proof.

Everything runs on one core, the database too. The figures are times against the bars; there is no peer to measure beside.
"""

import asyncio
import copy
import os
import random
import statistics
import sys
import time
from datetime import UTC, date, datetime
from typing import Any

from rich.progress import track

from app import drafting, policy
from app.database import Connection, to_json
from app.policy import Facts, proving
from app.triage import House
from bench import corpus

FACTS, ROUNDS, BATCH = 100_000, 3, 5_000
DISTRICTS = ("420102", "420103", "420104", "420105", "420106", "420107", "420111", "420502", "420503", "420602", "421002", "4228")


def sheets(count: int, seed: int = 12315) -> list[dict[str, Any]]:
    """Fact sheets in about the shares of a city's months."""
    chance = random.Random(seed)

    def often(share: float) -> bool:
        return chance.random() < share

    made = []
    for _ in range(count):
        report = often(0.2)
        made.append(
            Facts(
                lane="report" if report else "complaint" if often(0.9) else "other",
                kind="report" if report else "complaint",
                harm=chance.choices(["none", "low", "medium", "high"], [90, 5, 4, 1])[0],
                safety_goods=often(0.3), safety_signal=often(0.05), merchant_vanished=often(0.03), prepaid=often(0.12), vulnerable=often(0.06),
                punitive=often(0.1), amount_fen=round(10 ** chance.uniform(2, 7.5)), incident_people=min(int(chance.paretovariate(1.1)), 500),
                person_complaints=min(int(chance.paretovariate(1.5)), 200), incident_districts=1 + often(0.05),
                odr_live=chance.choice([None, None, True, False]), odr_reply_rate=chance.choice([None, round(chance.random(), 3)]),
                chose_odr=chance.choice([None, True, False]), delegate_consent=chance.choice([None, True, False]),
                incident_excess=often(0.7), incident_harm="medium" if often(0.02) else "none", suspected_fraud=often(0.04), media=often(0.01),
                merchant_unreachable=often(0.02), collusion_signal=often(0.01), new_economy=often(0.05),
            ).as_json()
        )  # fmt: skip
    return made


async def fill(connection: Connection, made: list[dict[str, Any]], version: str) -> None:
    """Matters as wide as real ones, so that reading past them costs what it costs."""
    await connection.execute(
        "INSERT INTO merchant (id, name, core, registered) SELECT gen_random_uuid(), '商户' || n, '商户' || n, 0 FROM generate_series(1, 5000) n"
    )
    for start in track(range(0, len(made), BATCH), "storing"):
        part = made[start : start + BATCH]
        numbers = list(range(start, start + len(part)))
        await connection.execute(
            """
            WITH given AS (SELECT n, f::jsonb AS facts, gen_random_uuid() AS letter, gen_random_uuid() AS matter, gen_random_uuid() AS decision
                           FROM unnest($1::int[], $2::text[]) AS g (n, f)),
            shops AS (SELECT array_agg(id) AS ids FROM merchant),
            letters AS (INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, history, state)
                        SELECT letter, 'bench', n::text, '\\x00', '\\x00', 1, 'web', now(), now(), false, 'triaged' FROM given),
            matters AS (
              INSERT INTO matter (id, letter_id, sequence, lane, kind, kind_probability, source, channel, district, issues, demands, reading, terms, term_weights,
                                  place_tokens, name_tokens, signature, received_at, event_at, history, merchant_id, state, authority, as_of, track)
              SELECT matter, letter, 1, facts ->> 'lane', facts ->> 'kind', 1, 'bench', 'web', ($3::text[])[1 + n % $4], '{质量}', '{退货}', '{"dangers": []}',
                     array(SELECT (n * 1000 + i)::bigint FROM generate_series(1, 60) i), array(SELECT i::real FROM generate_series(1, 60) i), '{}', '{}',
                     array(SELECT (n * 7 + i)::bigint FROM generate_series(1, 15) i), now(), now(), false, shops.ids[1 + n % 5000], 'pending_acceptance', 'bureau', now(), 't1'
              FROM given, shops)
            INSERT INTO decision (id, matter_id, kind, decided_at, actor, track, rule, reasons, facts, evidence, sign, policy_hash, law, parameters)
            SELECT decision, matter, 'initial', now(), 'bench', 't1', 'R99', '[{"text": "一般争议", "legal_basis": "第十八条"}]', facts, '{"people": [], "dangers": []}',
                   'one_person', $5, 'order-121', '{"linkage": "bench"}' FROM given
            """,
            numbers, [to_json(f) for f in part], list(DISTRICTS), len(DISTRICTS), version,
        )  # fmt: skip


def one_decision(made: list[dict[str, Any]], current: policy.Policy) -> tuple[float, float]:
    """(µs of decide, µs of track_of): the median round of the mean over the sheets."""
    facts = [Facts.from_stored(f) for f in made[:5_000]]
    told = []
    for act in (policy.decide, policy.track_of):
        rounds = []
        for _ in range(7):
            started = time.process_time()
            for one in facts:
                act(current, one)
            rounds.append((time.process_time() - started) / len(facts) * 1e6)
        told.append(statistics.median(rounds))
    return told[0], told[1]


async def run(house: House, count: int) -> None:
    made = sheets(count)
    (current,) = house.policies
    await fill_all(house, made, current.hash)
    draft = copy.deepcopy(dict(current.content))
    draft["name"] = "bench"
    draft["thresholds"] = {**draft["thresholds"], "amount.small_fen": {"value": 300_000}, "cluster.watch": {"value": 4}}
    new = policy.parse(draft)
    seconds, cpu = [], []
    for _ in range(ROUNDS):
        wall, used = time.perf_counter(), time.process_time()
        report = await drafting.backtest(house, new, limit=count)
        seconds.append(time.perf_counter() - wall)
        cpu.append(time.process_time() - used)
    print(
        f"back-test of {report['facts']} stored facts: {statistics.median(seconds):.1f} s ({min(seconds):.1f}-{max(seconds):.1f}), of which "
        f"{statistics.median(cpu):.1f} s in this process; {report['changed']} change, {len(report['pairs'])} pairs of tracks; bar 10 s"
    )
    decide, track_only = one_decision(made, current)
    print(f"one decision: {decide:.1f} µs with reasons and gates, {track_only:.1f} µs track and row alone; bar 20 µs")
    started = time.perf_counter()
    proof = proving.prove(draft, today=date(2026, 1, 1))
    print(
        f"proving the shipped table: {(time.perf_counter() - started) * 1000:.0f} ms, {len(proof.errors)} errors, {len(proof.warnings)} warnings"
    )


async def fill_all(house: House, made: list[dict[str, Any]], version: str) -> None:
    async with house.database.connection() as connection:
        await fill(connection, made, version)


def main() -> None:
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # inherited by the database
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FACTS
    database = corpus.start()
    try:

        async def work() -> None:
            async with corpus.house(database) as house:
                await run(house, count)

        print(f"{datetime.now(UTC):%Y-%m-%d}, one core ({core}) for the service and the database")
        asyncio.run(work())
    finally:
        database.stop()


if __name__ == "__main__":
    main()
