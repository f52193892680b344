"""Files in, files out: which merchant each complaint of a table means, and which complaints are one incident. Offline: the command line
alone uses it, and the training of both scorecards.

The engine and the reading are the service's, the place is not: nothing of a file ever enters the store.
"""

import asyncio
import gc
import multiprocessing
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from app import incidents, linking, merchants
from app.database import Database
from app.errors import Invalid
from app.identity import new_id
from app.incidents import features
from app.intake import MAX_TEXT, Complainant, Complaint, Letter, Respondent
from app.linking import Table
from app.reading import Reader, TermFrequencies, WrittenMerchant, load_brands
from ml import grouping
from ml import incidents as incident_engine
from ml import merchants as merchant_engine
from ml.grouping import Named
from ml.incidents import Features
from ml.progress import Progress, quiet
from ml.scorecards import Levels, Scorecard, learn
from ml.text import Term

# Our columns, and what they are called in files that are known without --columns.
FIELDS: Mapping[str, Sequence[str]] = {
    "text": ("text", "content", "投诉内容", "诉求内容", "内容"),
    "merchant": ("merchant", "被投诉企业", "被投诉单位", "被诉主体"),
    "product": ("product", "商品名称"),
    "city": ("city", "市"),
    "district": ("district", "区县"),
    "lot_no": ("lot_no", "批号"),
    "uscc": ("uscc", "统一社会信用代码"),
    "event_date": ("event_date",),
}
_CHUNK = 2_000
_BATCH = 250
_START = datetime(2000, 1, 1, tzinfo=UTC)
_OFFSET = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Filed:
    """A complaint of a file, read. features: without its merchant, words not weighed. written: how its form or its text names one."""

    features: Features
    words: Mapping[int, Term]
    written: WrittenMerchant | None
    said: str
    home: str

    @property
    def named(self) -> Named:
        stated = (
            self.written.mentions
            if self.written and self.written.mentions[:1] and self.written.mentions[0].where in _NAMES
            else ()
        )
        return Named(stated, self.said, self.home, self.features.product)


_NAMES = ("form", "written")


def read_file(
    file: Path, *, columns: Mapping[str, tuple[str, ...]], progress: Progress = quiet
) -> tuple[list[str], list[Filed]]:  # fmt: skip
    """(ids, complaints) in the file's order. Raises Invalid for a file that can't be read, names no text, or repeats an id."""
    with tempfile.TemporaryDirectory() as name:
        table = linking.prepare(file, columns, Path(name), FIELDS)
        count = len(table.ids)
        workers = max(min(os.cpu_count() or 1, count // _CHUNK), 1)
        bounds = list(range(0, count, _CHUNK)) or [0]
        tasks = [(table, first) for first in bounds]
        found: list[Filed] = []
        if workers == 1:
            parts: Iterator[list[Filed]] = map(_read_part, tasks)
            found = _gather(parts, count, progress)
        else:
            with multiprocessing.get_context("spawn").Pool(workers) as pool:
                found = _gather(pool.imap(_read_part, tasks), count, progress)
        return table.ids, found


def _gather(parts: Iterator[list[Filed]], count: int, progress: Progress) -> list[Filed]:
    found: list[Filed] = []
    for part in parts:
        found += part
        progress("read", len(found), count)
    return found


_reader: Reader | None = None


def _read_part(task: tuple[Table, int]) -> list[Filed]:
    global _reader  # noqa: PLW0603 - dictionaries are loaded once a process
    table, first = task
    if _reader is None:
        _reader = Reader(linking.file_mac)
        gc.freeze()
    con = duckdb.connect(config={"threads": 1})
    rows = con.execute(
        f"SELECT second, {', '.join(table.known)} FROM read_parquet('{table.path}', file_row_number = true) "
        f"WHERE file_row_number >= {first} AND file_row_number < {first + _CHUNK} ORDER BY file_row_number"
    ).fetchall()
    return [_read_one(_reader, dict(zip(table.known, row[1:], strict=True)), row[0], first + n) for n, row in enumerate(rows)]


def _read_one(reader: Reader, row: Mapping[str, str | None], second: int | None, number: int) -> Filed:
    read = reader.read(_letter(row, second, number))
    bare = replace(features(read, None), terms={}, names={})
    written = read.merchants[0] if read.merchants else None
    return Filed(bare, read.words, written, read.reading.said, merchant_engine.bare_city(read.city))


def _letter(row: Mapping[str, str | None], second: int | None, number: int) -> Letter:
    """As the portal would have posted it. A file is not refused for what a form would be: nothing of it is kept."""
    at = datetime.fromtimestamp(second, UTC) - _OFFSET if second is not None else _START + timedelta(seconds=number)
    name, uscc = row.get("merchant"), row.get("uscc")
    respondents = [Respondent.model_construct(name=name, uscc=uscc)] if name or uscc else []
    body = Complaint.model_construct(
        external_id=str(number), text=(row.get("text") or "")[:MAX_TEXT], product=row.get("product"), lot_no=row.get("lot_no"),
        event_date=_day(row.get("event_date")), complainant=Complainant.model_construct(city=row.get("city"), district=row.get("district")),
        respondents=respondents,
    )  # fmt: skip
    return Letter(_NOBODY, "file", "other", at, at, True, body)


_NOBODY = uuid.UUID(int=0)


def _day(written: str | None) -> date | None:
    try:
        return date.fromisoformat((written or "")[:10])
    except ValueError:
        return None


def weigh(filed: Sequence[Filed]) -> list[Features]:
    """Features with words weighed by how many of the file's texts hold them."""
    counted = TermFrequencies()
    for one in filed:
        counted.add(one.words)
    return [_weighed(one, counted) for one in filed]


def _weighed(one: Filed, counted: TermFrequencies) -> Features:
    said = counted.weigh(one.words)
    return replace(
        one.features, terms={t: w for t, w in said.items() if not one.words[t].name},
        names={t: w for t, w in said.items() if one.words[t].name},
    )  # fmt: skip


def place(
    filed: Sequence[Filed], merchants_of: Sequence[int | None], weighed: Sequence[Features]
) -> list[Features]:  # fmt: skip
    return [
        replace(f, merchant=m, merchant_stated=bool(one.written and one.written.stated))
        for one, m, f in zip(filed, merchants_of, weighed, strict=True)
    ]


# -- the commands


def link_merchants(
    file: Path, out: Path, *, columns: Mapping[str, tuple[str, ...]], scorecard: Scorecard, online: bool = False, progress: Progress = quiet
) -> tuple[int, int]:  # fmt: skip
    """Writes record_id,cluster_id in the file's order, cluster_id empty where a complaint names nobody that can be told; gives
    (complaints, merchants)."""
    ids, filed = read_file(file, columns=columns, progress=progress)
    labels: Sequence[Any]
    if online:
        labels = [m for m, _ in asyncio.run(_feed_all(filed, scorecard, None, progress=progress))]
    else:
        labels = grouping.resolve([f.named for f in filed], scorecard, progress=progress)
    number = {label: n for n, label in enumerate(dict.fromkeys(m for m in labels if m is not None))}
    linking.write_clusters(out, ids, ["" if m is None else number[m] for m in labels])
    return len(ids), len(number)


def link_incidents(
    file: Path, out: Path, *, columns: Mapping[str, tuple[str, ...]], merchant_scorecard: Scorecard, scorecard: Scorecard,
    online: bool = False, progress: Progress = quiet,
) -> tuple[int, int]:  # fmt: skip
    """Writes record_id,cluster_id in the file's order; gives (complaints, incidents). online: each is decided when only those before it
    are known, by the service's own statements."""
    ids, filed = read_file(file, columns=columns, progress=progress)
    labels: Sequence[Any]
    if online:
        labels = [i for _, i in asyncio.run(_feed_all(filed, merchant_scorecard, scorecard, progress=progress))]
    else:
        meant = grouping.resolve([f.named for f in filed], merchant_scorecard, progress=progress)
        labels = grouping.group(place(filed, meant, weigh(filed)), scorecard, progress=progress)
    number = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    linking.write_clusters(out, ids, [number[label] for label in labels])
    return len(ids), len(number)


async def _feed_all(
    filed: Sequence[Filed], merchant_scorecard: Scorecard, scorecard: Scorecard | None, *, progress: Progress
) -> list[tuple[uuid.UUID | None, uuid.UUID | None]]:  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        async with linking.scratch_database(Path(name)) as database:
            return await feed(database, filed, merchant_scorecard, scorecard, progress=progress)


async def feed(
    database: Database, filed: Sequence[Filed], merchant_scorecard: Scorecard, scorecard: Scorecard | None, *, progress: Progress = quiet
) -> list[tuple[uuid.UUID | None, uuid.UUID | None]]:  # fmt: skip
    """(merchant, incident) of each complaint, fed one by one. Known brands and counts of words are read now and then, as a process of
    the service does. scorecard None: merchants only."""
    found: list[tuple[uuid.UUID | None, uuid.UUID | None]] = []
    brands = merchant_engine.Brands()
    since: datetime | None = None
    counted = TermFrequencies()
    async with database.connection() as connection:
        for first in range(0, len(filed), _BATCH):
            since = await load_brands(connection, brands, since)
            batch = filed[first : first + _BATCH]
            async with connection.transaction():
                for one in batch:
                    found.append(await _decide(connection, one, brands, counted, merchant_scorecard, scorecard))
            for one in batch:
                counted.add(one.words)
            progress("link", first + len(batch), len(filed))
    return found


async def _decide(
    connection: Any, one: Filed, brands: merchant_engine.Brands, counted: TermFrequencies, merchant_scorecard: Scorecard, scorecard: Scorecard | None
) -> tuple[uuid.UUID | None, uuid.UUID | None]:  # fmt: skip
    named = one.named
    mentions = merchant_engine.mentions(named.stated, named.said, brands, home=named.home, product=named.product)
    stated = bool(one.written and one.written.stated)
    written = [WrittenMerchant(tuple(mentions), one.written.uscc if one.written else "", None, stated, {})] if mentions else []
    resolved = await merchants.resolve(connection, written, merchant_scorecard)
    merchant = resolved[0].merchant_id if resolved else None
    if scorecard is None:
        return merchant, None
    matter = replace(_weighed(one, counted), merchant=str(merchant) if merchant else None, merchant_stated=stated)
    assigned = await incidents.assign(connection, new_id(), matter, linking.SCRATCH, scorecard, "", counted=True)
    return merchant, assigned.incident_id


# -- training, on files whose truth is known


def train_merchants(files: Sequence[Path], *, progress: Progress = quiet) -> Scorecard:
    """From files with a column merchant_id."""
    samples: list[tuple[Levels, bool]] = []
    for file in files:
        ids, filed = read_file(file, columns={}, progress=progress)
        truth = _truth(file, ids, "merchant_id")
        samples += grouping.teach_merchants([f.named for f in filed], truth, progress=progress)
    _enough(samples)
    source = ", ".join(f.name for f in files)
    return learn(samples, merchant_engine.ORDERS, version="merchants-2", source=source, threshold_bits=0.0)


def train_incidents(files: Sequence[Path], merchant_scorecard: Scorecard, *, progress: Progress = quiet) -> Scorecard:
    """From files with a column incident_id; merchants as the service would find them, mistakes included."""
    samples: list[tuple[Levels, bool]] = []
    for file in files:
        ids, filed = read_file(file, columns={}, progress=progress)
        meant = grouping.resolve([f.named for f in filed], merchant_scorecard, progress=progress)
        truth = _truth(file, ids, "incident_id")
        samples += grouping.teach_incidents(place(filed, meant, weigh(filed)), truth, progress=progress)
    _enough(samples)
    source = ", ".join(f.name for f in files)
    return learn(
        samples, incident_engine.ORDERS, version="incidents-4", source=source, threshold_bits=incident_engine.THRESHOLD_BITS
    )


_LEAST_SAMPLES = 50  # of each kind: from fewer a scorecard learns to join everything, or nothing


def _enough(samples: Sequence[tuple[Levels, bool]]) -> None:
    same = sum(1 for _, one in samples if one)
    if min(same, len(samples) - same) < _LEAST_SAMPLES:
        raise Invalid.field(
            "file",
            f"too few to learn from: {same} comparisons of one and the same, {len(samples) - same} of two; {_LEAST_SAMPLES} of each are needed",
        )


def _truth(file: Path, ids: Sequence[str], column: str) -> list[int]:
    told = linking.read_clusters(file, [column])
    number: dict[str, int] = {}
    return [number.setdefault(told[i], len(number)) for i in ids]
