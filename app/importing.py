"""The journey of an imported file: receive all rows, triage them in the order of their events, reconcile what the file says became of
them with what is held here.

History (rows received long ago) is linked, clustered and reported, but starts no clocks, fills no queue, sends nothing.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from app import audit, importers, intake, reconciling, sheets, worker
from app.errors import Invalid
from app.identity import new_id
from app.importers import ColumnMapping, Row, Status
from app.intake import Letter, Receipt
from app.reading import count_terms, load_frequencies
from app.triage import House, triage

_BATCH = 500
_HOLD_SECONDS = 6 * 3600.0
log = logging.getLogger(__name__)
Progress = Callable[[str, int, int | None], None]


@dataclass
class Imported:
    """conflicts: rows whose number was received before with other content; they change nothing. told: states not told before; reconciled,
    confirmed, contradictions: how they stand to what is held. unknown: (column, value) that the mapping does not know, and how often."""

    rows: int = 0
    received: int = 0
    known: int = 0
    triaged: int = 0
    told: int = 0
    reconciled: int = 0
    confirmed: int = 0
    contradictions: int = 0
    unplaced: int = 0
    as_of: datetime | None = None
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    conflicts: list[tuple[int, str]] = field(default_factory=list)


async def import_file(
    house: House, path: Path, *, source: str, mapping: ColumnMapping | None, as_history: bool | None, received_on: date | None, actor: str,
    progress: Progress, as_of: datetime | None = None,
) -> Imported:  # fmt: skip
    """Idempotent and resumable: a row received before is passed over, an untriaged one is triaged; what its row says became of it is
    reconciled. as_history None: by age, row by row. as_of: when the export was made, where its rows carry no time of their own; None: when
    the file was written."""
    now = datetime.now(UTC)
    if as_of is not None and as_of > now:
        raise Invalid.field("as_of", "must not lie in the future")
    done = Imported()
    import_id = new_id()
    table = sheets.read_table(path)
    headers = [str(h).strip() if h is not None else "" for h in next(table, [])]
    chosen = mapping or importers.choose([h for h in headers if h], importers.shipped_mappings())
    done.as_of = as_of or min(_written_at(path), now)
    batch: list[tuple[Row, Letter]] = []
    for row in importers.rows(table, chosen, headers, received_on=received_on):
        done.rows += 1
        if row.body is None:
            done.rejected.append((row.number, "; ".join(row.reasons)))
            continue
        received = row.body.received_at or now
        history = as_history if as_history is not None else now - received > timedelta(days=house.settings.history_days)
        batch.append((row, Letter.make(source, row.body, now=now, history=history)))
        if len(batch) >= _BATCH:
            await _receive(house, batch, done, actor, import_id)
            batch = []
            progress("receive", done.rows, None)
    if batch:
        await _receive(house, batch, done, actor, import_id)
    progress("receive", done.rows, done.rows)
    async with house.database.connection() as connection:
        house.reader.frequencies = await load_frequencies(connection)
    done.triaged = await triage_source(house, source, progress=progress)
    if done.told:
        found = await reconciling.follow_waiting(house, actor=actor)
        done.reconciled, done.confirmed, done.contradictions = found["followed"], found["confirmed"], found["contradiction"]
        done.unplaced = found["unplaced"]
    return done


def _written_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


async def _receive(house: House, batch: Sequence[tuple[Row, Letter]], done: Imported, actor: str, import_id: uuid.UUID) -> None:
    """Letters and their terms' counts in one transaction: when history is triaged, weights are right from the first
    letter on, and an import that was killed counts nothing twice or never."""
    terms: Counter[int] = Counter()
    created: list[uuid.UUID] = []
    counted = 0
    told: list[tuple[uuid.UUID, Status]] = []
    async with house.database.transaction() as connection:
        answers = await intake.receive(
            connection, house.vault, [letter for _, letter in batch], imported=True, triage_after_seconds=_HOLD_SECONDS
        )
        for (row, letter), answer in zip(batch, answers, strict=True):
            if not isinstance(answer, Receipt):
                done.conflicts.append((row.number, "; ".join(e["field"] for e in answer.errors)))
                continue
            if row.status is not None:
                told.append((answer.letter_id, row.status))
                done.unknown.update(row.status.unknown)
            if not answer.created:
                done.known += 1
                continue
            done.received += 1
            created.append(letter.id)
            if row.rest:
                await intake.supplement(connection, house.vault, letter.id, "import", dict(row.rest), actor)
            if letter.history:
                counted += 1
                terms.update(house.reader.read(letter).terms.keys())
        if counted:
            await count_terms(connection, terms, counted)
        assert done.as_of is not None
        done.told += await reconciling.note(connection, house.vault, told, as_of=done.as_of, import_id=import_id)
        await audit.record(connection, actor, "import", "letter", created, purpose=str(import_id))


async def triage_source(
    house: House, source: str, *, progress: Progress, at_event: bool = False,
    meanwhile: Callable[[datetime], object] | None = None,
) -> int:  # fmt: skip
    """Triages a source's waiting letters, oldest event first. at_event: decide as of the event's own time (the demo)."""
    async with house.database.connection() as connection:
        waiting = await connection.fetch(
            "SELECT id, event_at FROM letter WHERE source = $1 AND state = 'received' ORDER BY event_at, id", source
        )
    triaged = 0
    for number, row in enumerate(waiting, 1):
        triaged += await _triage_one(house, row["id"], row["event_at"] if at_event else None)
        if number % 100 == 0 or number == len(waiting):
            progress("triage", number, len(waiting))
            while await worker.fold(house):
                pass
        if meanwhile is not None and number % 250 == 0:
            found = meanwhile(row["event_at"])
            if hasattr(found, "__await__"):
                await found
    return triaged


async def _triage_one(house: House, letter_id: uuid.UUID, at: datetime | None) -> bool:
    """False: left to a worker. One row's trouble must not stop the other thousands."""
    try:
        async with house.database.connection() as connection:
            letter = await intake.open_letter(connection, house.vault, letter_id)
        await triage(house, letter, now=at)
    except Exception as error:
        log.warning("triage of %s left to a worker: %s", letter_id, type(error).__name__)
        async with house.database.connection() as connection:
            await intake.note_failure(connection, letter_id, type(error).__name__, retry_now=True)
        return False
    return True
