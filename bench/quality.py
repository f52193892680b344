"""`make bench-quality`: planted corpora of three seeds through the whole journey, scored against what was planted.

`make bench-petitions FILE=...`: the petitions set imported as history; of three incidents that were read by hand
(bench/petitions.json) members found, missed, wrong.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import track

from app import importing
from app.database import Connection
from app.embedded import EmbeddedPostgres
from app.intake import Complaint
from app.triage import receive_and_triage
from bench import corpus
from ml.evaluation import b_cubed
from ml.synthetic import generate

COUNT, SEEDS = 3000, (11, 12, 13)

_FOUND = """
SELECT l.external_id, l.source, cm.complainant_id, im.incident_id, m.merchant_id FROM letter l
JOIN matter m ON m.letter_id = l.id AND m.sequence = 1
LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal')
LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL
LEFT JOIN incident_membership im ON im.matter_id = m.id AND im.valid_to IS NULL
WHERE l.source = $1
"""


async def found_of(connection: Connection, source: str) -> dict[str, Any]:
    return {r["external_id"]: r for r in await connection.fetch(_FOUND, source)}


async def planted(database: EmbeddedPostgres, seed: int) -> None:
    async with corpus.house(database) as house:
        truth = generate(COUNT, 60, seed, datetime(2026, 10, 31, 18, tzinfo=UTC))
        for p in track(truth, f"seed {seed}"):
            await receive_and_triage(house, "planted", Complaint.model_validate(p.body))
        async with house.database.connection() as connection:
            found = await found_of(connection, "planted")
    of = {id(p): found[str(p.body["external_id"])] for p in truth}
    told = {
        "people": [(of[id(p)]["complainant_id"], p.person) for p in truth if of[id(p)]["complainant_id"]],
        "incidents": [
            (of[id(p)]["incident_id"], p.incident if p.incident is not None else (p.person, p.merchant, p.issue)) for p in truth
        ],
        "merchants": [
            (of[id(p)]["merchant_id"], p.merchant) for p in truth if p.body.get("respondents") and of[id(p)]["merchant_id"]
        ],
    }
    for name, pairs in told.items():
        precision, recall = b_cubed(*zip(*pairs, strict=True))
        f1 = 2 * precision * recall / (precision + recall)
        print(f"seed {seed} {name}: B-cubed precision {precision:.3f} recall {recall:.3f} F1 {f1:.3f} ({len(pairs)})")


async def petitions(database: EmbeddedPostgres, file: Path) -> None:
    labels = json.loads((Path(__file__).parent / "petitions.json").read_text("utf-8"))["incidents"]
    async with corpus.house(database) as house:
        done = await importing.import_file(
            house,
            file,
            source="petitions",
            mapping=None,
            as_history=True,
            received_on=None,
            actor="bench",
            progress=lambda *_: None,
        )
        async with house.database.connection() as connection:
            found = await found_of(connection, "petitions")
    print(f"{done.triaged} messages triaged")
    for name, members in labels.items():
        clusters = [found[str(m)]["incident_id"] for m in members]
        main = max(set(clusters), key=clusters.count)
        hits, size = clusters.count(main), sum(r["incident_id"] == main for r in found.values())
        print(f"{name}: members {len(members)}, found {hits}, missed {len(members) - hits}, wrong {size - hits}")


def main() -> None:
    work = [partial(petitions, file=Path(sys.argv[1]))] if len(sys.argv) > 1 else [partial(planted, seed=s) for s in SEEDS]
    for one in work:
        database = corpus.start()
        try:
            asyncio.run(one(database))
        finally:
            database.stop()


if __name__ == "__main__":
    main()
