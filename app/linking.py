"""Files in, files out: who is one person in a table of records. Offline: the command line alone uses it.

The engine is the one of the service, the place is not: nothing of a file ever enters the store.
"""

import asyncio
import csv
import gc
import hashlib
import multiprocessing
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from app import complainants, sheets
from app.database import Database, migrate
from app.embedded import EmbeddedPostgres
from app.errors import Invalid
from ml import batch, estimation
from ml.batch import Records
from ml.linkage import Parameters
from ml.progress import Progress, quiet
from ml.tokens import PERSON_FIELDS, Tokeniser, Tokens, keys_among

_IDS = ("record_id", "id", "rec_id", "cid", "unique_id", "external_id", "登记编号", "工单编号", "留言编号", "编号")
_TIMES = ("filed_at", "received_at", "登记时间", "来电时间", "受理时间", "留言时间")
_CHUNK = 20_000
_PERSON = {name: (name,) for name in PERSON_FIELDS}


@dataclass(frozen=True, slots=True)
class Table:
    """A file as Parquet with our column names: record_id, day, second (since 1970, NULL where the file says no time), and those of the
    wanted fields that it has. known: their names."""

    path: Path
    known: tuple[str, ...]
    ids: list[str]


def parse_columns(given: str | None, fields: Sequence[str] = PERSON_FIELDS) -> dict[str, tuple[str, ...]]:
    """`name=first_name+surname,phone=tel`: ours -> theirs, joined by a space where several."""
    found = {}
    for pair in (given or "").split(","):
        if not pair.strip():
            continue
        ours, equals, theirs = pair.partition("=")
        name = {"id": "record_id"}.get(ours.strip(), ours.strip())
        if not equals or name not in ("record_id", "filed_at", *fields):
            known = ", ".join(("record_id", "filed_at", *fields))
            raise Invalid.field("columns", f"{pair!r} is not ours=theirs with ours one of {known}")
        found[name] = tuple(t.strip() for t in theirs.split("+"))
    return found


def prepare(
    file: Path, columns: Mapping[str, tuple[str, ...]], folder: Path, fields: Mapping[str, Sequence[str]] = _PERSON
) -> Table:  # fmt: skip
    """Raises Invalid for a file that can't be read, columns it lacks, no column that says anything, ids that are missing or
    come twice."""
    con = duckdb.connect()
    con.execute("SET enable_progress_bar = false")
    con.execute(f"CREATE VIEW given AS SELECT * FROM {_source(con, file, folder)}")
    headers = {str(row[0]): str(row[1]) for row in con.execute("DESCRIBE given").fetchall()}
    if missing := sorted({c for theirs in columns.values() for c in theirs} - set(headers)):
        raise Invalid.field("columns", f"{', '.join(missing)} not in the file; it has {', '.join(headers)}")
    chosen = {ours: (t,) for ours, names in fields.items() for t in names if t in headers} | dict(columns)
    identifier = chosen.pop("record_id", None) or next(((n,) for n in _IDS if n in headers), None)
    filed = chosen.pop("filed_at", None) or next(((n,) for n in _TIMES if n in headers), None)
    if not chosen:
        raise Invalid.field("columns", f"none of {', '.join(fields)} among {', '.join(headers)}; name them with --columns")
    said = {ours: " || ' ' || ".join(f"coalesce({_text(t)}, '')" for t in theirs) for ours, theirs in chosen.items()}
    moment = _moment(filed[0]) if filed else "NULL::TIMESTAMP"
    day = f"coalesce(datediff('day', DATE '1970-01-01', {moment}), 0)"
    number = _text(identifier[0]) if identifier else "(row_number() OVER ())::VARCHAR"
    path = folder / "records.parquet"
    con.execute(
        f"COPY (SELECT {number} AS record_id, {day} AS day, epoch({moment})::BIGINT AS second, {', '.join(f'{sql} AS {ours}' for ours, sql in said.items())} FROM given) "
        f"TO '{_escaped(path)}' (FORMAT parquet)"
    )
    ids = [r[0] for r in con.execute(f"SELECT record_id FROM '{_escaped(path)}'").fetchall()]
    con.close()
    seen: set[str] = set()
    for number_, one in enumerate(ids, 2):
        if one is None or one in seen:
            raise Invalid.field("record_id", f"row {number_}: {'is empty' if one is None else f'{one} comes twice'}")
        seen.add(one)
    return Table(path, tuple(chosen), ids)


def _source(con: duckdb.DuckDBPyConnection, file: Path, folder: Path) -> str:
    """The file as something DuckDB selects from."""
    if not file.exists():
        raise Invalid.field("file", f"{file} does not exist")
    try:
        if file.suffix.lower() == ".parquet":
            con.execute(f"SELECT 1 FROM read_parquet('{_escaped(file)}') LIMIT 1")
            return f"read_parquet('{_escaped(file)}')"
        if file.suffix.lower() == ".csv":
            source = f"read_csv('{_escaped(file)}', all_varchar = true, header = true, strict_mode = true)"
            con.execute(f"SELECT count(*) FROM {source}")
            return source
    except duckdb.Error as error:
        if file.suffix.lower() == ".parquet":
            raise Invalid.field("file", str(error).splitlines()[0]) from None
    # Other encodings and formats: by the importers, which name the line that is wrong.
    plain = folder / "given.csv"
    with plain.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(sheets.read_table(file))
    return f"read_csv('{_escaped(plain)}', all_varchar = true, header = true)"


def _moment(column: str) -> str:
    formats = "['%Y/%m/%d %H:%M:%S', '%Y/%m/%d %H:%M', '%Y/%m/%d', '%Y年%m月%d日']"
    return f"coalesce(try_cast({_quoted(column)} AS TIMESTAMP), try_strptime({_quoted(column)}::VARCHAR, {formats}))"


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(column: str) -> str:
    return f"nullif(trim({_quoted(column)}::VARCHAR), '')"


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")


_KEYED = hashlib.blake2b(key=b"tokens of a file, never stored", digest_size=8)


def file_mac(message: bytes) -> bytes:
    made = _KEYED.copy()
    made.update(message)
    return made.digest()


# Tokens of files live as long as the command: a fixed key, so the same file gives the same clusters in the same order.
SCRATCH = Tokeniser(file_mac, use_devices=True)


def tokenise(table: Table, folder: Path, *, progress: Progress = quiet) -> Records:
    """Reads the table and makes its tokens, on all cores."""
    count = len(table.ids)
    workers = max(min(os.cpu_count() or 1, count // _CHUNK), 1)
    bounds = [count * n // workers for n in range(workers + 1)]
    tasks = [(table, bounds[n], bounds[n + 1], folder / f"tokens{n}") for n in range(workers)]
    if workers == 1:
        _tokenise_part(tasks[0])
        gc.enable()
    else:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for done, _ in enumerate(pool.imap(_tokenise_part, tasks)):
                progress("tokens", done, workers)
    progress("tokens", workers, workers)
    parts = [[np.load(f"{task[3]}.{n}.npy") for n in ("numbers", "tokens", "days")] for task in tasks]
    numbers, tokens, days = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Records.of(numbers, tokens, count, days)


def _tokenise_part(task: tuple[Table, int, int, Path]) -> None:
    table, first, end, out = task
    gc.disable()  # nothing here makes a cycle
    con = duckdb.connect(config={"threads": 1})
    rows = con.execute(
        f"SELECT day, {', '.join(table.known)} FROM read_parquet('{_escaped(table.path)}', file_row_number = true) "
        f"WHERE file_row_number >= {first} AND file_row_number < {end}"
    )
    numbers, tokens, days = [], [], []
    while chunk := rows.fetchmany(_CHUNK):
        number, token = SCRATCH.people(dict(zip(table.known, row[1:], strict=True)) for row in chunk)
        numbers.append(number + first)
        tokens.append(token)
        days.append(np.array([row[0] for row in chunk], dtype=np.int64))
        first += len(chunk)
    for name, arrays in (("numbers", numbers), ("tokens", tokens), ("days", days)):
        np.save(f"{out}.{name}.npy", np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64))


def learn(records: Records, *, source: str, progress: Progress = quiet) -> tuple[Parameters, estimation.Report]:
    """Trained on the records themselves, without labels. Twice where that is cheap: how many people hold a value is known better
    once most records have found their person."""
    made, report = estimation.train(
        records.numbers, records.tokens, source=source, seed_labels=batch.seed(records), progress=progress
    )
    if records.count > _TWICE:
        return made, report
    labels = batch.link(records, made, progress=progress)
    return estimation.train(records.numbers, records.tokens, source=source, seed_labels=labels, progress=progress)


_TWICE = 300_000


def read_records(
    file: Path, *, columns: Mapping[str, tuple[str, ...]], progress: Progress = quiet
) -> tuple[list[str], Records]:  # fmt: skip
    """(ids, tokens) of a file's records, in its order."""
    with tempfile.TemporaryDirectory() as name:
        table = prepare(file, columns, Path(name))
        return table.ids, tokenise(table, Path(name), progress=progress)


def train_on_file(
    file: Path, *, columns: Mapping[str, tuple[str, ...]], progress: Progress = quiet
) -> tuple[Parameters, estimation.Report]:  # fmt: skip
    _, records = read_records(file, columns=columns, progress=progress)
    return learn(records, source=file.name, progress=progress)


def link_file(
    file: Path, out: Path, *, columns: Mapping[str, tuple[str, ...]], parameters: Parameters | None, online: bool = False,
    progress: Progress = quiet,
) -> tuple[int, int]:  # fmt: skip
    """Writes record_id,cluster_id in the file's order; gives (records, clusters). parameters None: trained on the file. online: each
    record is decided when only those before it are known, by the service's own statements."""
    ids, records = read_records(file, columns=columns, progress=progress)
    if parameters is None:
        parameters, _ = learn(records, source=file.name, progress=progress)
    labels: Sequence[Any]
    if online:
        labels = asyncio.run(feed_all(records, parameters, order=np.arange(records.count), progress=progress))
    else:
        labels = batch.link(records, parameters, progress=progress).tolist()
    number = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    write_clusters(out, ids, [number[label] for label in labels])
    return len(ids), len(number)


async def feed_all(
    records: Records, parameters: Parameters, *, order: Sequence[int] | npt.NDArray[np.int64], progress: Progress = quiet
) -> list[uuid.UUID]:  # fmt: skip
    """`feed` into a scratch database."""
    with tempfile.TemporaryDirectory() as name:
        async with scratch_database(Path(name)) as database:
            return await feed(database, records, parameters, order=order, progress=progress)


@asynccontextmanager
async def scratch_database(folder: Path) -> AsyncIterator[Database]:
    """An empty database of our schema on a bundled PostgreSQL of its own, gone with the folder. Records need no letter in it, members no matter."""
    bundled = EmbeddedPostgres(folder / "scratch")
    bundled.start()
    owner = Database(bundled.url("owner"), pool_size=1)
    try:
        await asyncio.to_thread(migrate, bundled.url("owner"))
        async with owner.connection() as connection:
            await connection.execute("ALTER TABLE complainant_record DROP CONSTRAINT fk_complainant_record_letter_id")
            await connection.execute("ALTER TABLE incident_membership DROP CONSTRAINT fk_incident_membership_matter_id")
            await connection.execute("ALTER DATABASE triage SET synchronous_commit = off")
        database = Database(bundled.url("app"), pool_size=2)
        try:
            yield database
        finally:
            await database.close()
    finally:
        await owner.close()
        bundled.stop()
        bundled.remove()


async def feed(
    database: Database, records: Records, parameters: Parameters, *, order: Sequence[int] | npt.NDArray[np.int64], progress: Progress = quiet
) -> list[uuid.UUID]:  # fmt: skip
    """Record -> complainant in the end, the records fed one by one in that order. Counts of tokens are folded now and then, as the
    worker does."""
    starts = np.searchsorted(records.numbers, np.arange(records.count + 1))
    made: list[uuid.UUID | None] = [None] * records.count
    async with database.connection() as connection:
        for first in range(0, len(order), _BATCH):
            scale = complainants.Scale.of(parameters, first)
            async with connection.transaction():
                for number in order[first : first + _BATCH]:
                    comparison = tuple(records.tokens[starts[number] : starts[number + 1]].tolist())
                    tokens = Tokens(keys_among(comparison), comparison)
                    at = datetime.fromtimestamp(int(records.days[number]) * 86_400, UTC)
                    linked = await complainants.link(connection, scale, _NO_LETTER, "filer", tokens, at=at, key_id=0)
                    made[number] = linked.record_id
                while await complainants.count_tokens(connection):
                    pass
            progress("link", first, len(order))
        homes = await complainants.places(connection, [m for m in made if m is not None])
    progress("link", len(order), len(order))
    return [homes[m] for m in made if m is not None]


_BATCH = 250
_NO_LETTER = uuid.UUID(int=0)


def write_clusters(out: Path, ids: Sequence[str], clusters: Sequence[Any]) -> None:
    with out.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["record_id", "cluster_id"])
        writer.writerows(zip(ids, clusters, strict=True))


def read_clusters(file: Path, columns: Sequence[str]) -> dict[str, str]:
    """record -> cluster of a CSV, XLSX, JSONL or Parquet file. columns: names of the cluster's column, the first found."""
    table = _rows(file)
    headers = next(table, [])
    identifier = next((n for n in _IDS if n in headers), None)
    cluster = next((n for n in columns if n in headers), None)
    if identifier is None or cluster is None:
        wanted = f"one of {', '.join(_IDS)} and one of {', '.join(columns)}"
        raise Invalid.field("columns", f"{file}: needs {wanted}; it has {', '.join(headers)}")
    at, of = headers.index(identifier), headers.index(cluster)
    return {str(row[at]): str(row[of]) for row in table}


def _rows(file: Path) -> Iterator[list[Any]]:
    if file.suffix.lower() != ".parquet":
        yield from sheets.read_table(file)
        return
    con = duckdb.connect()
    found = con.execute(f"SELECT * FROM {_source(con, file, file.parent)}")
    yield [d[0] for d in found.description or []]
    yield from (list(r) for r in found.fetchall())
