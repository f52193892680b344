"""Pullers, web processes, worker and database are killed while work is claimed, renewed and finished: each item is finished exactly once."""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from app import identity
from app.database import Database
from app.embedded import EmbeddedPostgres
from tests import puller
from tests.test_queue import enqueue
from tests.test_serving import Service, data, wait_for  # noqa: F401 - a fixture


async def fill(url: str, count: int, people: int) -> list[str]:
    """Items whose finish is one short act. Gives the people's tokens."""
    database = Database(url, pool_size=1)
    async with database.transaction() as connection:
        for start in range(0, count, 1000):
            await enqueue(connection, min(1000, count - start), lane="other")
        await connection.execute("UPDATE matter SET state = 'registered'")
        tokens = [
            await identity.issue(connection, f"m{n}", ["mediator"], natural_person=True, jurisdictions=["42"])
            for n in range(people)
        ]
    await database.close()
    return tokens


@dataclass
class Pullers:
    address: str
    tokens: list[str]
    folder: Path
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, who: int, looks: bool) -> None:
        self.running[who] = subprocess.Popen(
            [sys.executable, "-S", puller.__file__, self.address, self.tokens[who], self.folder / f"done{who}", "looks" if looks else "forgets"]
        )  # fmt: skip

    def kill(self, who: int) -> None:
        self.running[who].kill()
        self.running[who].wait()

    def acknowledged(self) -> list[str]:
        return [line for file in self.folder.glob("done*") for line in file.read_text().split("\n")[:-1]]


def left(database: EmbeddedPostgres) -> int | None:
    """Open items; None while the database is down."""
    with contextlib.suppress(Exception):
        return int(database._psql("triage", "SELECT count(*) FROM work_item WHERE finished_at IS NULL"))
    return None


def kill_one(service: Service, kind: str, chance: random.Random) -> None:
    with contextlib.suppress(psutil.Error, IndexError):
        if kind in ("web", "worker"):
            chance.choice(service.children(kind)).kill()
            return
        (postmaster,) = [p for p in psutil.Process(service.process.pid).children() if p.name() == "postgres"]
        # One of its processes: it ends all the others, and recovers.
        victims = [
            p for p in postmaster.children() if "triage_app" in " ".join(p.cmdline()) or "triage triage" in " ".join(p.cmdline())
        ]
        (chance.choice(victims) if kind == "backend" else postmaster).kill()


def under_fire(
    folder: Path, *, count: int, people: int, kills: list[str], every: float, forgetful: float, seconds: float
) -> None:
    """kills: what is killed, each `every` seconds, and a puller several times between two. forgetful: the share of pullers that, started
    anew, don't look for what they had."""
    service = Service(folder)
    database = EmbeddedPostgres(folder)
    chance = random.Random(7)
    pullers = Pullers(service.address, asyncio.run(fill(database.url("app"), count, people)), folder)
    try:
        for who in range(people):
            pullers.start(who, chance.random() >= forgetful)
        waiting, next_kill, deadline = list(kills), time.monotonic() + every, time.monotonic() + seconds
        while True:
            time.sleep(every / 5)
            who = chance.randrange(people)
            pullers.kill(who)
            pullers.start(who, chance.random() >= forgetful)
            if waiting and time.monotonic() >= next_kill:
                kill_one(service, waiting.pop(0), chance)
                next_kill = time.monotonic() + every
            if not waiting and left(database) == 0:
                break
            assert time.monotonic() < deadline, f"{left(database)} items are not finished"
    finally:
        for who in pullers.running:
            pullers.kill(who)
    try:
        # What the last ones were killed over is nobody's any more.
        counted = database._psql(
            "triage",
            "SELECT (SELECT count(*) FROM work_item), (SELECT count(*) FROM work_item WHERE finished_at IS NOT NULL), (SELECT count(*) FROM ready), "
            "(SELECT count(*) FROM lease), (SELECT count(*) FROM matter WHERE state = 'answered'), "
            "(SELECT count(*) FROM work_event WHERE act = 'finish'), (SELECT count(DISTINCT work_item_id) FROM work_event WHERE act = 'finish')",
        )
        assert counted.strip() == f"{count}|{count}|0|0|{count}|{count}|{count}"
        said = pullers.acknowledged()
        assert len(set(said)) == len(said) <= count
    finally:
        service.stop()
    assert service.process.returncode == 0


@pytest.mark.slow
def test_killed_pullers_and_servers_finish_each_item_once(data: Path) -> None:  # noqa: F811
    under_fire(data, count=300, people=5, kills=["web", "backend"], every=1.5, forgetful=0, seconds=90)


@pytest.mark.slow
def test_20000_items_under_fire(data: Path) -> None:  # noqa: F811
    kills = ["web", "backend", "worker", "web", "database"] * 4
    under_fire(data, count=20_000, people=50, kills=kills, every=5, forgetful=0.5, seconds=1200)
