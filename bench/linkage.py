"""`make bench-linkage [FILE=complainants.parquet] [HISTORICAL=historical.parquet]`: one person, many complaints, against Splink.

Parts, all or those named: file (the given file: batch, one by one in file order, shuffled, and Splink's edges under the same
rules), seeds (the project's own generator under three other noises), million (a million records from the raw file, time and
memory, with and without training), decide (one new record against 100,000 and a million stored, beside the bare look-up),
relink (1 % new records: who keeps his id), historical (another schema). Splink: bench/splink_peer.py. Speeds are ratios in one run.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from app import complainants, linking, relinking
from app.complainants import Scale
from ml import batch, evaluation, linkage
from ml.batch import Records
from ml.linkage import COUNTED, NAMED, Profile
from ml.synthetic.people import NOISES, people, write
from ml.tokens import KEY_FIELDS, Tokens, keys_among

SHUFFLES = int(os.environ.get("BENCH_SHUFFLES", "10"))
SHUFFLED = int(os.environ.get("BENCH_SHUFFLED", "100000"))
MILLION = int(os.environ.get("BENCH_MILLION", "1000000"))
ASKED = 3000


def told(name: str, found: Any, truth: Any) -> None:
    s = evaluation.score(list(found), list(truth))
    print(
        f"{name}: B-cubed P {s.b_cubed[0]:.4f} R {s.b_cubed[1]:.4f} F1 {s.b_cubed[2]:.4f}, pairs P {s.pairs[0]:.4f} R {s.pairs[1]:.4f} "
        f"F1 {s.pairs[2]:.4f}, largest {s.largest}",
        flush=True,
    )


def together(a: Any, b: Any) -> float:
    return evaluation.f1(*evaluation.pairs(list(a), list(b)))


def load(file: Path, columns: str | None = None) -> tuple[Records, list[str]]:
    ids, records = linking.read_records(file, columns=linking.parse_columns(columns))
    return records, ids


def truth_of(file: Path, ids: list[str], column: str) -> list[str]:
    true = linking.read_clusters(file, [column])
    return [true[i] for i in ids]


def splink(file: Path, truth: list[str], model: Path) -> None:
    from bench import splink_peer

    with tempfile.TemporaryDirectory() as name:
        standardised = Path(name) / "s.parquet"
        splink_peer.standardise(file, standardised)
        edges = splink_peer.link(standardised, train=not model.exists(), trained=model)
        thresholds = (splink_peer.DEMO_WEIGHT, -2.0, 0.0, 1.0, 2.0, 6.0, 9.0)
        told("Splink, connected components, p .95", splink_peer.connected(edges, len(truth), splink_peer.DEMO_WEIGHT), truth)
        found = splink_peer.cluster_with_rules(edges, standardised, thresholds)
    told("Splink's edges, our conflict rules, p .95", found[splink_peer.DEMO_WEIGHT], truth)
    best = max(thresholds, key=lambda t: sum(evaluation.b_cubed(found[t], truth)))
    told(f"the same at the threshold that is best on the truth ({best})", found[best], truth)


def part_file(file: Path, folder: Path) -> None:
    records, ids = load(file)
    truth = truth_of(file, ids, "person_id")
    parameters, _ = linking.learn(records, source=file.name)
    batched = batch.link(records, parameters).tolist()
    told("batch", batched, truth)
    splink(file, truth, folder / "file.json")

    straight = asyncio.run(linking.feed_all(records, parameters, order=np.arange(records.count)))
    told("online, in file order", straight, truth)
    print(f"online against batch, co-clustered-pair F1 {together(straight, batched):.4f}", flush=True)
    count = min(SHUFFLED, records.count)
    some = Records(count, records.numbers[records.numbers < count], records.tokens[records.numbers < count], records.days[:count])
    found = []
    for seed in range(SHUFFLES):
        found.append(asyncio.run(linking.feed_all(some, parameters, order=np.random.default_rng(seed).permutation(count))))
        told(f"online, shuffle {seed} of {count}", found[-1], truth[:count])
    between = [together(a, b) for n, a in enumerate(found) for b in found[n + 1 :]]
    if between:
        print(
            f"between {SHUFFLES} shuffles, co-clustered-pair F1: median {statistics.median(between):.4f}, least {min(between):.4f}"
        )


def part_seeds(folder: Path) -> None:
    for seed, noise in enumerate((n for n in NOISES if n != "default"), 21):
        file = folder / f"{noise}.parquet"
        write(people(100_000, seed, NOISES[noise]), file)
        records, ids = load(file)
        truth = truth_of(file, ids, "person_id")
        print(f"-- {noise}, seed {seed}")
        parameters, _ = linking.learn(records, source=noise)
        told("batch", batch.link(records, parameters).tolist(), truth)
        splink(file, truth, folder / f"{noise}.json")


# -- a million


def measured(arguments: list[str]) -> tuple[float, float]:
    """(seconds, GiB of the whole process tree at its highest) of this module run with those arguments."""
    started = time.perf_counter()
    process = psutil.Popen([sys.executable, "-m", "bench.linkage", *arguments], stdout=subprocess.DEVNULL)
    highest = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            highest = max(highest, sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]))
        time.sleep(0.1)
    assert process.returncode == 0, arguments
    return time.perf_counter() - started, highest / 2**30


def part_million(folder: Path) -> None:
    file, own, theirs = folder / "million.parquet", folder / "own.json", folder / "theirs.json"
    if not file.exists():
        write(people(MILLION, 31), file)
    figures = {}
    for name, arguments in {
        "ours, training": ["--run-own", str(file), "--model", str(own)],
        "Splink, training": ["--run-splink", str(file), "--model", str(theirs)],
        "ours, trained": ["--run-own", str(file), "--model", str(own)],
        "Splink, trained": ["--run-splink", str(file), "--model", str(theirs)],
    }.items():
        figures[name] = measured(arguments)
        print(f"{name}: {figures[name][0]:.1f} s, {figures[name][1]:.2f} GiB", flush=True)
    for kind in ("training", "trained"):
        print(f"ratio, {kind}: {figures[f'ours, {kind}'][0] / figures[f'Splink, {kind}'][0]:.2f}", flush=True)


def run_own(file: Path, model: Path) -> None:
    given = linkage.load(model) if model.exists() else None
    if given is None:
        records, _ = load(file)
        given, _ = linking.learn(records, source=file.name)
        model.write_text(json.dumps(linkage.to_json(given)), "utf-8")
        batch.link(records, given)
    else:
        linking.link_file(file, file.with_suffix(".clusters.csv"), columns={}, parameters=given)


def run_splink(file: Path, model: Path) -> None:
    from bench import splink_peer

    with tempfile.TemporaryDirectory() as name:
        standardised = Path(name) / "s.parquet"
        splink_peer.standardise(file, standardised)
        edges = splink_peer.link(standardised, train=not model.exists(), trained=model)
        splink_peer.connected(edges, MILLION, splink_peer.DEMO_WEIGHT)


# -- one new record


def part_decide() -> None:
    for stored in (MILLION // 10, MILLION):
        asyncio.run(_decide(stored))


async def _decide(stored: int) -> None:
    columns = people(stored + ASKED, 51)
    names = [n for n in linking.PERSON_FIELDS if n in columns]
    numbers, tokens = linking.SCRATCH.people(
        dict(zip(names, r, strict=True)) for r in zip(*(columns[n] for n in names), strict=True)
    )
    starts = np.searchsorted(numbers, np.arange(stored + ASKED + 1))
    persons = np.unique(np.array(columns["person_id"][:stored]), return_inverse=True)[1]
    kept = numbers < stored
    pairs = np.unique(np.stack([persons[numbers[kept]], tokens[kept]]), axis=1)
    bounds = np.searchsorted(pairs[0], np.arange(persons.max() + 2))
    ids = [uuid.UUID(int=(1 << 100) + n) for n in range(len(bounds) - 1)]
    with tempfile.TemporaryDirectory() as name:
        async with linking.scratch_database(Path(name)) as database, database.connection() as connection:
            await _fill(connection, ids, pairs[1], bounds)
            scale = Scale.of(linkage.shipped_parameters(), len(ids))
            asked = []
            for n in range(stored, stored + ASKED):
                comparison = tuple(tokens[starts[n] : starts[n + 1]].tolist())
                asked.append(Tokens(keys_among(comparison), comparison))
            asked = [a for a in asked if a.keys]
            bare: list[float] = []
            ours: list[float] = []
            spent = 0.0
            for round_ in range(2):  # the first warms
                for made in asked:
                    began = time.perf_counter()
                    await connection.fetch(_BARE, list(made.keys))
                    middle, cpu = time.perf_counter(), time.process_time()
                    found = await complainants.look_up(connection, made)
                    linkage.decide(Profile(made.comparison), found.profiles, scale.compiled, found.people)
                    ended = time.perf_counter()
                    if round_:
                        bare.append(middle - began)
                        ours.append(ended - middle)
                        spent += time.process_time() - cpu
    p = {n: np.percentile(np.array(v) * 1000, (50, 99)) for n, v in (("bare", bare), ("ours", ours))}
    print(
        f"{stored} stored: bare look-up p50 {p['bare'][0]:.3f} ms p99 {p['bare'][1]:.3f}; decided p50 {p['ours'][0]:.3f} ms p99 {p['ours'][1]:.3f}, "
        f"ratio {p['ours'][0] / p['bare'][0]:.2f}, p99/p50 {p['ours'][1] / p['ours'][0]:.1f}, CPU {spent / len(ours) * 1000:.3f} ms",
        flush=True,
    )


_BARE = "SELECT id, tokens FROM complainant WHERE id IN (SELECT complainant_id FROM complainant_key WHERE token = ANY($1))"


async def _fill(connection: Any, ids: list[uuid.UUID], tokens: Any, bounds: Any) -> None:
    keys = {int(f) for f in KEY_FIELDS}
    frequency: Counter[int] = Counter()
    for first in range(0, len(ids), 20_000):
        profiles, found = [], []
        for n in range(first, min(first + 20_000, len(ids))):
            held = tokens[bounds[n] : bounds[n + 1]].tolist()
            profiles.append((ids[n], held, 1))
            found += [(t, ids[n], 2) for t in held if t & 0x3F in keys]
            if any(NAMED >> (t & 0x3F) & 1 for t in held):
                frequency.update(t for t in held if t & 0x3F in COUNTED)
        await connection.copy_records_to_table("complainant", records=profiles, columns=["id", "tokens", "records"])
        await connection.copy_records_to_table(
            "complainant_key", records=found, columns=["token", "complainant_id", "token_version"]
        )
    await connection.copy_records_to_table("token_frequency", records=list(frequency.items()), columns=["token", "people"])
    await connection.execute("VACUUM ANALYZE complainant_key")


def part_relink() -> None:
    columns = people(100_000, 61)
    names = [n for n in linking.PERSON_FIELDS if n in columns]
    numbers, tokens = linking.SCRATCH.people(
        dict(zip(names, r, strict=True)) for r in zip(*(columns[n] for n in names), strict=True)
    )
    first = numbers < 99_000
    parameters = linkage.shipped_parameters()
    before = batch.link(Records.of(numbers[first], tokens[first], 99_000), parameters).tolist()
    homes = [uuid.UUID(int=label) for label in before]
    after = batch.link(Records.of(numbers, tokens, 100_000), parameters).tolist()[:99_000]
    kept = relinking.keep_ids(homes, after, frozenset())
    same = sum(kept.get(label) == home for label, home in zip(after, homes, strict=True))
    print(f"relink after 1 % new records: {same / len(homes):.5f} of the unchanged keep their id", flush=True)


HISTORICAL = "record_id=unique_id,name=full_name,birth_date=dob,birth_place=birth_place,postcode=postcode_fake,occupation=occupation,gender=gender"


def part_historical(file: Path) -> None:
    from bench import splink_peer

    records, ids = load(file, HISTORICAL)
    truth = truth_of(file, ids, "cluster")
    parameters, _ = linking.learn(records, source=file.name)
    told("ours", batch.link(records, parameters).tolist(), truth)
    for threshold, found in splink_peer.historical(file, (splink_peer.DEMO_WEIGHT, 1.0)).items():
        told(f"Splink, its published demo's settings, match weight {threshold:.2f}", found, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[])
    parser.add_argument("--file", type=Path)
    parser.add_argument("--historical", type=Path)
    parser.add_argument("--folder", type=Path, help="keeps made files and models between runs")
    parser.add_argument("--run-own", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--run-splink", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run_own:
        return run_own(given.run_own, given.model)
    if given.run_splink:
        return run_splink(given.run_splink, given.model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = given.parts or ["million", "decide", "seeds", "relink", "historical", "file"]
        for part in wanted:
            print(f"== {part}", flush=True)
            if part in ("file", "historical") and getattr(given, part) is None:
                print(f"left out: needs --{part}")
                continue
            {
                "file": lambda: part_file(given.file, folder), "seeds": lambda: part_seeds(folder), "million": lambda: part_million(folder),
                "decide": part_decide, "relink": part_relink, "historical": lambda: part_historical(given.historical),
            }[part]()  # fmt: skip
    return None


if __name__ == "__main__":
    main()
