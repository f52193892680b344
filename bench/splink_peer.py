"""The peer: Splink 5 on the same people files, with our readers' normalisation and equality-only levels for Chinese.
Records are known by their position in the file, from 0; clusters are lists in that order."""

import argparse
import logging
import math
import multiprocessing
import re
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.clustering import cluster_pairwise_predictions_at_threshold

from ml.evaluation import b_cubed
from ml.tokens import read_address, read_id, read_name, read_phones, sound

logging.getLogger("splink").setLevel(logging.ERROR)

RAW = ("name", "id_no", "phone", "openid", "wechat", "email", "device", "city", "district", "address")
STRINGS = (
    "name", "name_pinyin", "surname", "name_masked", "phone", "phone_masked", "phone_head", "phone_tail", "id_no", "id_masked", "id_head",
    "id_tail", "wechat", "email", "device", "openid", "city", "district", "room", "street",
)  # fmt: skip
SCHEMA = pa.schema([("unique_id", pa.int64()), *((c, pa.string()) for c in STRINGS), ("name_rests", pa.list_(pa.string()))])
FILLERS = ("", "-", "--", "/", "0", "无", "没有", "不详", "未知", "未提供", "匿名", "null", "none", "n/a", "na", "nan", "unknown")
CHUNK = 20_000
# A value held by more records than this does not block alone, only with a name: nothing in 100,000 records reaches it.
MAX_BLOCK = 3_000
KEYS = ("phone", "id_no", "wechat", "email", "device", "openid", "room")
NAMES = ("name", "name_pinyin", "name_masked", "surname", "district", "city")
WEIGHTS = (-2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 9.0, 10.0, 11.0, 12.0, 15.0, 20.0)
DEMO_WEIGHT = math.log2(0.95 / 0.05)  # the historical demo clusters at a probability of 0.95
SECONDS: dict[str, float] = {}  # of each step, the last time it was taken


@contextmanager
def timed(step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    SECONDS[step] = time.perf_counter() - started


def _read(path: Path, columns: str) -> pa.Table:
    with duckdb.connect() as connection:
        file = f"read_csv('{path}', all_varchar = true)" if path.suffix == ".csv" else f"read_parquet('{path}')"
        return connection.sql(f"FROM {file} SELECT {columns}").to_arrow_table()


@timed("standardise")
def standardise(source: Path, out: Path) -> None:
    """Raw complainant records (Parquet or CSV) to a Parquet file of SCHEMA, by two processes."""
    there = _read(source, "* LIMIT 0").column_names
    raw = _read(source, ", ".join(["row_number() OVER () - 1", *(f"{c if c in there else 'NULL'}::VARCHAR" for c in RAW)]))
    chunks = (raw.slice(start, CHUNK) for start in range(0, len(raw), CHUNK))
    with multiprocessing.get_context("spawn").Pool(2) as pool, pq.ParquetWriter(out, SCHEMA) as writer:
        for batch in pool.imap(_standardise, chunks):
            writer.write_batch(batch)


def _standardise(raw: pa.Table) -> pa.RecordBatch:
    columns = zip(*map(_record, *(c.to_pylist() for c in raw.columns)), strict=True)
    return pa.record_batch([pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def _record(number: int, *raw: str | None) -> tuple[Any, ...]:
    written, id_, phones, openid, wechat, email, device, city, district, where = raw
    name, id_no, address = read_name(written), read_id(id_), read_address(where, city, district)
    phone = next(iter(read_phones(phones)), None)
    strings = (
        name.full, name.sound, sound(name.surname), name.masked,
        *((phone.number, phone.masked, phone.number[:7], phone.number[-8:]) if phone and phone.masked else (phone.number if phone else "", "", "", "")),
        id_no.whole or id_no.other, id_no.masked, id_no.head, id_no.tail,
        _clean(wechat).lower(), _clean(email).lower(), _clean(device).lower(), _clean(openid),
        _place(city), _place(district) or address.district, address.rooms[0] if address.rooms else "", address.street,
    )  # fmt: skip
    return (number, *(s or None for s in strings), list(name.less_one) or None)


def _clean(value: str | None) -> str:
    text = "".join((value or "").split())
    return "" if text.lower() in FILLERS else text


def _place(value: str | None) -> str:
    return re.sub("(?<=..)[市区县旗盟]$", "", _clean(value))


def _level(sql: str, *, tf: str | None = None) -> Any:
    level = cll.CustomLevel(sql, label_for_charts=sql)
    return level.configure(tf_adjustment_column=tf, disable_tf_exact_match_detection=True) if tf else level


def _same(column: str, condition: str = "true") -> Any:
    return _level(f"{column}_l = {column}_r AND {condition}", tf=column)


def _comparison(subject: str, null: str, *levels: Any, otherwise: Any = None) -> Any:
    every = [cll.CustomLevel(null, "unknown").configure(is_null_level=True), *levels, otherwise or cll.ElseLevel()]
    return cl.CustomComparison(every, output_column_name=f"{subject}_compared")


def _settings() -> SettingsCreator:
    part_name, part_id, part_phone = (f"({c}_l IS NULL OR {c}_r IS NULL)" for c in ("name", "id_no", "phone"))
    city = "coalesce(city_l = city_r, true)"
    return SettingsCreator(
        "dedupe_only",
        retain_matching_columns=False,
        blocking_rules_to_generate_predictions=[
            *(block_on(c) for c in (*(f"key_{k}" for k in KEYS), "phone_tail", "id_masked", "id_head", "id_tail")),
            *(block_on(c, "name_pinyin") for c in ("phone", "room", "device", "openid", "district", "city", "phone_head")),
            block_on("phone_masked", "surname"),
        ],
        comparisons=[
            _comparison(
                "name", "surname_l IS NULL OR surname_r IS NULL", _same("name"), _same("name_pinyin"),
                _level("list_has_any(name_rests_l, name_rests_r)"),  # one character left out
                _same("name_masked", part_name), _same("surname", part_name), _level("surname_l = surname_r"),
                # Hardly an id occurs under two unlike names, so EM has nothing to learn this from.
                otherwise=cll.ElseLevel().configure(m_probability=0.001, fix_m_probability=True),
            ),
            _comparison(
                "id", "(id_masked_l IS NULL OR id_masked_r IS NULL) AND coalesce(id_no_l <> id_no_r, true)",
                _same("id_no"), _same("id_masked", part_id),
                _level("id_head_l = id_head_r OR id_tail_l = id_tail_r").configure(u_probability=5e-7, fix_u_probability=True),
                _level(part_id),
            ),
            _comparison(
                "phone", "coalesce(phone_l, phone_masked_l) IS NULL OR coalesce(phone_r, phone_masked_r) IS NULL",
                _same("phone"), _same("phone_masked", part_phone),
                _level("phone_head_l = phone_head_r OR phone_tail_l = phone_tail_r"),
            ),
            *(_comparison(c, f"{c}_l IS NULL OR {c}_r IS NULL", _same(c)) for c in ("wechat", "email", "device", "openid")),
            _comparison(
                "address", "coalesce(district_l, city_l) IS NULL OR coalesce(district_r, city_r) IS NULL",
                _same("room", city), _same("street", city), _same("district", city), _same("city"),
            ),
        ],
    )  # fmt: skip


def link(standardised: Path, *, train: bool, trained: Path | None = None) -> pa.Table:
    """unique_id_l, unique_id_r, match_weight, match_probability of all pairs at WEIGHTS[0] and above. train: estimates the model
    and saves it as trained, if given; otherwise trained is loaded and only how many pairs match is estimated, as files grow."""
    with timed("train" if train else "load"):
        api = DuckDBAPI()
        keys = ", ".join(f"CASE WHEN count(*) OVER (PARTITION BY {c}) <= {MAX_BLOCK} THEN {c} END AS key_{c}" for c in KEYS)
        api.duckdb_con.execute(f"CREATE TABLE records AS SELECT *, {keys} FROM read_parquet('{standardised}')")
        linker = Linker(api.register("records"), _settings() if train else str(trained), log_level=None)
        # Term frequencies over people, not records: names that used a contact, phones that came with a name or place.
        for value in (*NAMES, *KEYS, "phone_masked", "id_masked", "street"):
            by = "phone" if value in NAMES else "name_pinyin"
            counts = f"SELECT {value}, greatest(count(DISTINCT {by}), 1) AS n FROM records WHERE {value} IS NOT NULL GROUP BY 1"
            api.duckdb_con.execute(f"CREATE TABLE of_{value} AS SELECT {value}, n / sum(n) OVER () AS tf_{value} FROM ({counts})")
            linker.table_management.register_term_frequency_lookup(api.register(f"of_{value}"), value)
        named = (block_on(c, "name_pinyin") for c in ("phone", "openid", "device", "wechat", "email"))
        linker.training.estimate_probability_two_random_records_match([block_on("id_no", "surname"), *named], recall=0.7)
        if train:
            linker.training.estimate_u_using_random_sampling(max_pairs=1e7, seed=1)
            # Not on a contact alone: pairs of an agent's clients would teach that matches differ by name and id.
            for rule in (block_on("id_no"), block_on("name_pinyin", "district"), block_on("name_pinyin", "phone")):
                linker.training.estimate_parameters_using_expectation_maximisation(rule, max_pairs=2e6)
        if train and trained:
            linker.misc.save_model_to_json(str(trained), overwrite=True)
    return _predict(linker, WEIGHTS[0])


@timed("predict")
def _predict(linker: Linker, weight: float) -> pa.Table:
    edges = linker.inference.predict(threshold_match_weight=weight).as_duckdbpyrelation()
    return edges.select("unique_id_l, unique_id_r, match_weight, match_probability").to_arrow_table()


@timed("connected components")
def connected(edges: pa.Table, count: int, threshold: float) -> list[int]:
    """Splink's own connected components at a match weight."""
    nodes = pa.table({"unique_id": pa.array(range(count), pa.int64())})
    found = cluster_pairwise_predictions_at_threshold(nodes, edges, DuckDBAPI(), "unique_id", threshold_match_weight=threshold)
    return found.as_duckdbpyrelation().order("unique_id").select("cluster_id").to_arrow_table()["cluster_id"].to_pylist()


@timed("cluster with rules")
def cluster_with_rules(edges: pa.Table, standardised: Path, thresholds: Sequence[float] = WEIGHTS) -> dict[float, list[int]]:
    """Threshold -> clusters. Edges merge by falling weight unless both sides hold whole ids and share none, or whole names of
    which none agree (sound, or one character left out) and they share no id."""
    columns = (
        "CASE WHEN id_head IS NOT NULL THEN [id_no] END",
        "[name_pinyin]",
        "CASE WHEN name IS NOT NULL THEN name_rests END",
    )
    held = [[frozenset(v or ()) - {None} for v in c.to_pylist()] for c in _read(standardised, ", ".join(columns)).columns]
    ids, sounds, rests = held  # passports have no head: they contradict nobody
    root, size = list(range(len(ids))), [1] * len(ids)

    def top(n: int) -> int:
        while root[n] != n:
            root[n] = n = root[root[n]]
        return n

    def apart(held: list[frozenset[str]]) -> bool:
        return bool(held[a] and held[b] and held[a].isdisjoint(held[b]))

    edges = edges.sort_by([("match_weight", "descending"), ("unique_id_l", "ascending"), ("unique_id_r", "ascending")])
    left, right, weights = (edges[c].to_pylist() for c in ("unique_id_l", "unique_id_r", "match_weight"))
    done, found = 0, {}
    for threshold in sorted(thresholds, reverse=True):
        while done < len(weights) and weights[done] >= threshold:
            a, b = top(left[done]), top(right[done])
            done += 1
            if a == b or apart(ids) or (apart(sounds) and rests[a].isdisjoint(rests[b]) and ids[a].isdisjoint(ids[b])):
                continue
            if size[a] < size[b]:
                a, b = b, a
            root[b], size[a] = a, size[a] + size[b]
            for values in held:
                values[a] |= values[b]
        found[threshold] = [top(n) for n in range(len(root))]
    return found


def historical(file: Path, thresholds: Sequence[float] = (DEMO_WEIGHT,)) -> dict[float, list[int]]:
    """Threshold -> clusters of historical_50k by the settings of Splink's demo "Deduplicate 50k rows historical persons":
    moj-analytical-services.github.io/splink/demos/examples/duckdb/deduplicate_50k_synthetic.html, its .nb.py for Splink 5."""
    post3, post2, first2 = "substr(postcode_fake,1,3)", "substr(postcode_fake,1,2)", "substr(first_name,1,2)"
    rules = (
        ("substr(first_name,1,3)", "substr(surname,1,4)"), ("surname", "dob"), ("first_name", "dob"), ("postcode_fake", "first_name"),
        ("postcode_fake", "surname"), ("dob", "birth_place"), (post3, "dob"), (post3, "first_name"), (post3, "surname"),
        (first2, "substr(surname,1,2)", "substr(dob,1,4)"),
    )  # fmt: skip
    comparisons = [
        cl.ForenameSurnameComparison("first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"),
        cl.DateOfBirthComparison("dob", input_is_string=True), cl.PostcodeComparison("postcode_fake"),
        *(cl.ExactMatch(c).configure(term_frequency_adjustments=True) for c in ("birth_place", "occupation")),
    ]  # fmt: skip
    settings = SettingsCreator("dedupe_only", comparisons, [block_on(*rule) for rule in rules])
    sure = [block_on("first_name", "surname", "dob"), block_on(first2, "surname", post2), block_on("dob", "postcode_fake")]
    with timed("train"):
        numbered = "* REPLACE (row_number() OVER () - 1 AS unique_id), first_name || ' ' || surname AS first_name_surname_concat"
        linker = Linker(DuckDBAPI().register(people := _read(file, numbered)), settings, log_level=None)
        linker.training.estimate_probability_two_random_records_match(sure, recall=0.6)
        linker.training.estimate_u_using_random_sampling(max_pairs=1e7, seed=1)
        for rule in (block_on("first_name", "surname"), block_on("dob")):
            linker.training.estimate_parameters_using_expectation_maximisation(rule, estimate_without_term_frequencies=True)
    edges = _predict(linker, min(thresholds))
    return {threshold: connected(edges, len(people), threshold) for threshold in thresholds}


def scores(found: Sequence[object], truth: Sequence[object]) -> dict[str, float]:
    """B-cubed and pair precision, recall, F1, and the largest cluster."""
    sizes = [Counter(c) for c in (zip(found, truth, strict=True), found, truth)]
    agreed, joined, true = (sum(n * (n - 1) // 2 for n in s.values()) for s in sizes)
    values: dict[str, float] = {}
    for kind, (p, r) in {"b3": b_cubed(found, truth), "pair": (agreed / max(joined, 1), agreed / max(true, 1))}.items():
        values |= {f"{kind}_p": p, f"{kind}_r": r, f"{kind}_f": 2 * p * r / (p + r) if p + r else 0.0}
    return {**values, "largest": max(sizes[1].values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="people with person_id, Parquet or CSV")
    parser.add_argument("--historical", action="store_true", help="the file is historical_50k")
    parser.add_argument("--model", type=Path, help="a trained model: loaded if there, otherwise written")
    arguments = parser.parse_args()
    file, model, thresholds = arguments.file, arguments.model, (*WEIGHTS, DEMO_WEIGHT)
    truth = _read(file, "cluster" if arguments.historical else "person_id").column(0).to_pylist()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.historical:
            found = {"connected components": historical(file, thresholds)}
        else:
            standardise(file, standardised := Path(scratch) / "people.parquet")
            edges = link(standardised, train=not (model and model.exists()), trained=model)
            found = {"connected components": {w: connected(edges, len(truth), w) for w in thresholds}}
            print(f"{len(edges)} edges, peak memory before conflict rules {_peak()} MB")
            found["with conflict rules"] = cluster_with_rules(edges, standardised, thresholds)
    print(f"{len(truth)} records, peak memory {_peak()} MB, of a child {_peak(resource.RUSAGE_CHILDREN)} MB")
    print("seconds: " + ", ".join(f"{step} {s:.1f}" for step, s in SECONDS.items()))
    for label, clusterings in found.items():
        figures = {w: scores(clusters, truth) for w, clusters in clusterings.items()}
        for w in (DEMO_WEIGHT, max(figures, key=lambda w: figures[w]["b3_f"])):  # the demo's and the best
            print(f"{label} at weight {w:.2f}: " + " ".join(f"{k} {round(v, 4)}" for k, v in figures[w].items()))


def _peak(who: int = resource.RUSAGE_SELF) -> int:
    return resource.getrusage(who).ru_maxrss // 1024


if __name__ == "__main__":
    main()
