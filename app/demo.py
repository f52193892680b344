"""The demo: some 5,000 made-up complaints over 90 days in Hubei, triaged as live at their own dates, most settled."""

import json
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app import contacts, identity, importing, incidents, intake, proofs, settling, work, worker, working
from app.calendar import local_day
from app.embedded import read_secret, write_secret
from app.identity import Principal
from app.importing import Progress
from app.intake import Complaint, Letter
from app.reading import load_frequencies
from app.triage import House
from ml.synthetic import generate

SOURCE = "demo"
_BATCH = 500
_SETTLED_SHARE = 0.85
ROLES = ("portal", "intake", "mediator", "supervisor", "analyst", "policy", "auditor", "admin")


async def load(house: House, *, count: int, days: int, seed: int, progress: Progress) -> None:
    """Resumable: what is there already is passed over."""
    end = datetime.now(UTC) - timedelta(hours=1)
    planted = generate(count, days, seed, end)
    for start in range(0, len(planted), _BATCH):
        part = planted[start : start + _BATCH]
        letters = [
            Letter.make(
                SOURCE, Complaint.model_validate({**p.body, "external_id": str(p.body["external_id"])}), now=end, history=False
            )
            for p in part
        ]
        async with house.database.transaction() as connection:
            # A demo begun yesterday is finished with today's dates: a conflict then is no fault.
            await intake.receive(connection, house.vault, letters, triage_after_seconds=24 * 3600)
        progress("receive", start + len(part), len(planted))

    async def meanwhile(at: datetime) -> None:
        async with house.database.transaction() as connection:
            await incidents.count_terms(connection)
            await incidents.close_idle(connection, at)
        async with house.database.connection() as connection:
            house.reader.frequencies = await load_frequencies(connection)

    await importing.triage_source(house, SOURCE, progress=progress, at_event=True, meanwhile=meanwhile)
    await _settle(house, seed, progress)
    while await worker.step(house):
        pass


async def _settle(house: House, seed: int, progress: Progress) -> None:
    """Mediators' work of the past weeks, through the same acts as theirs."""
    chance = random.Random(seed)  # noqa: S311 - a demo's outcomes, not a secret
    mediator = Principal("demo-mediator", True, frozenset({"mediator", "intake", "supervisor"}), ("42",), (), ())
    now = datetime.now(UTC)
    async with house.database.connection() as connection:
        ready = await connection.fetch("SELECT queue_id, count(*) AS items FROM ready GROUP BY 1 ORDER BY 1")
    total = round(sum(r["items"] for r in ready) * _SETTLED_SHARE)
    done = 0
    for queue in ready:
        left = round(queue["items"] * _SETTLED_SHARE)
        while left > 0:
            async with house.database.connection() as connection:
                items = await work.claim(
                    connection, queue["queue_id"], mediator, limit=min(left, work.MAX_CLAIM), lease_seconds=3600
                )
            if not items:
                break
            for item in items:
                async with house.database.connection() as connection:
                    row = await connection.fetchrow(
                        "SELECT lane, state, received_at, amount_fen, track FROM matter WHERE id = $1", item["matter_id"]
                    )
                if (row["lane"], row["state"]) == (
                    "report",
                    "registered",
                ):  # reported before: whether it is handled anew is asked first
                    await working.release(house, item["id"], item["lease_token"], mediator)
                    continue
                outcome = _outcome(chance, row["lane"], row["track"])
                at = min(row["received_at"] + timedelta(days=chance.uniform(0.5, 6.5)), now)
                if outcome == "refused":
                    await _contact(house, item["id"], mediator, "refused_mediation", at)
                elif outcome == "unreachable":
                    at = await _try(house, item["id"], mediator, row["received_at"], now)
                    outcome = outcome if at < now else "no_agreement"
                await settling.finish(
                    house, item["id"], item["lease_token"], mediator, outcome=outcome, at=at,
                    recovered_fen=round((row["amount_fen"] or 0) * chance.uniform(0.3, 1)) if outcome == "agreement" else None,
                    satisfied=chance.random() < 0.8 if outcome == "agreement" else None,
                )  # fmt: skip
                done += 1
            left -= len(items)
            progress("settle", done, total)


async def _contact(house: House, item_id: uuid.UUID, mediator: Principal, result: str, at: datetime) -> None:
    said = contacts.Said(identity.new_id(), "merchant", "call", result, at)
    await contacts.log(house, item_id, mediator, said, lanes=("complaint",), at=at)


async def _try(house: House, item_id: uuid.UUID, mediator: Principal, since: datetime, now: datetime) -> datetime:
    """A call a day until the merchant counts as out of reach. Gives when, or now."""
    known, calls, days, at = proofs.vocabulary(), 0, 0, since + timedelta(hours=2)
    while at < now:
        await _contact(house, item_id, mediator, "no_answer", at)
        calls, days = calls + 1, days + house.calendar.is_working(local_day(at))
        if calls >= known.attempts and days >= known.days:
            return at
        at += timedelta(days=1)
    return now


def _outcome(chance: random.Random, lane: str, track: str) -> str:
    if lane != "complaint":
        return "verified" if lane == "report" else "answered"
    agreed = {"t1": 0.72, "t2": 0.6, "t3": 0.5}.get(track, 0.5)
    return chance.choices(
        ["agreement", "no_agreement", "withdrawn", "refused", "unreachable"],
        [agreed, (1 - agreed) * 0.5, 0.08, (1 - agreed) * 0.3, 0.03],
    )[0]


async def tokens(house: House, path: Path) -> Sequence[tuple[str, str]]:
    """One token per role, made once and kept in the data folder (0600)."""
    if (kept := read_secret(path)) is not None:
        return list(json.loads(kept).items())
    found: dict[str, str] = {}
    async with house.database.connection() as connection:
        for role in ROLES:
            found[role] = await identity.issue(
                connection, f"demo-{role}", [role], natural_person=role != "portal", jurisdictions=["42"],
                sources=[SOURCE] if role in ("portal", "intake") else [],
            )  # fmt: skip
    write_secret(path, json.dumps(found))
    return list(found.items())
