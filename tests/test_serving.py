"""The whole service as its users start it: up in seconds, killed at any moment, nothing left behind, nothing lost."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.embedded import EmbeddedPostgres
from tests.conftest import complaint, in_memory


class Service:
    """`triage serve` on a data folder, as another process."""

    def __init__(self, data: Path) -> None:
        self.environment = {**os.environ, "TRIAGE_DATA": str(data), "PORT": "0", "WEB_PROCESSES": "2"}
        self.environment.pop("DATABASE_URL", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--no-demo"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = next(line.split(": ")[1].strip() for line in self.process.stdout if line.startswith("address: "))
        wait_for(lambda: httpx.get(f"{self.address}/readyz").status_code == 200, 30)

    def cli(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments], env=self.environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def children(self, kind: str) -> list[psutil.Process]:
        return [p for p in self.descendants() if kind in p.cmdline()]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(40)
        assert self.process.stdout is not None
        self.process.stdout.close()


def wait_for(condition: object, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, psutil.Error):
            if condition():  # type: ignore[operator]
                return
        time.sleep(0.1)
    raise AssertionError("waited in vain")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = in_memory() or tmp_path
    yield folder / "data"
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()):
                process.kill()
    EmbeddedPostgres(folder / "data").remove()
    shutil.rmtree(folder, ignore_errors=True)


async def post_under_fire(service: Service, token: str, count: int, kills: int) -> list[str]:
    """Posts with eight clients that try again, while processes are killed. Gives the acknowledged external ids."""
    waiting = iter(range(count))
    acknowledged: list[str] = []

    async def client() -> None:
        async with httpx.AsyncClient(base_url=service.address, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            for n in waiting:
                body = complaint(
                    f"k{n}",
                    f"在第{n}号店买的手机坏了，要求退货退款{n + 1}元",
                    complainant={"name": "孙行者", "phone": f"137{n + 1:08d}"},
                )
                for _ in range(60):
                    try:
                        answer = await http.post("/v1/complaints", json=body)
                    except httpx.HTTPError:
                        await asyncio.sleep(0.2)
                        continue
                    if answer.status_code in (200, 201, 202):
                        acknowledged.append(f"k{n}")
                        break
                    await asyncio.sleep(0.2)

    async def killer() -> None:
        chance = random.Random(4)
        for _ in range(kills):
            await asyncio.sleep(1.0)
            victims = service.children("web") + service.children("worker")
            if victims:
                with contextlib.suppress(psutil.Error):
                    chance.choice(victims).kill()

    await asyncio.gather(killer(), *(client() for _ in range(8)))
    return acknowledged


def everything_is_triaged_once(service: Service, portal: str, count: int) -> bool:
    seen: dict[str, str] = {}
    cursor: str | None = None
    while True:
        page = httpx.get(
            f"{service.address}/v1/complaints",
            params={"limit": 200, **({"cursor": cursor} if cursor else {})},
            headers={"Authorization": f"Bearer {portal}"},
        ).json()
        for item in page["items"]:
            assert item["external_id"] not in seen
            seen[item["external_id"]] = item["state"]
            assert len(item["matters"]) <= 1
        cursor = page["next_cursor"]
        if cursor is None:
            return len(seen) == count and "received" not in seen.values()


def under_fire(data: Path, count: int, kills: int) -> None:
    service = Service(data)
    portal = service.cli("token", "issue", "p", "--role", "portal", "--source", "s", "--machine")
    acknowledged = asyncio.run(post_under_fire(service, portal, count, kills))
    assert len(set(acknowledged)) == count
    # The hardest death: everything at once, the database included.
    family = [psutil.Process(service.process.pid), *service.descendants()]
    service.process.kill()
    wait_for(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family), 30)
    service.process.wait()
    service.stop()
    again = Service(data)
    try:
        wait_for(lambda: everything_is_triaged_once(again, portal, count), 60)
    finally:
        again.stop()
    assert again.process.returncode == 0


def test_killed_at_any_moment_it_loses_nothing_and_leaves_nothing(data: Path) -> None:
    under_fire(data, count=150, kills=3)


@pytest.mark.slow
def test_2000_posts_under_fire(data: Path) -> None:
    under_fire(data, count=2000, kills=25)


def test_keys_are_private_and_two_services_do_not_share_a_folder(data: Path) -> None:
    service = Service(data)
    try:
        for name in ("keys.json", "database.json"):
            assert (data / name).stat().st_mode & 0o077 == 0
        assert psutil.Process(service.process.pid).children()
    finally:
        service.stop()
    assert not any(str(data) in " ".join(p.cmdline()) for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"])
