"""Tests run on a real PostgreSQL: migrated once, kept as a template, a copy for whoever commits, as the role `app`."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from app import calendar, codes, identity, policy
from app.database import Database, migrate
from app.embedded import EmbeddedPostgres
from app.main import create_app
from app.privacy import Keys, Vault
from app.settings import Settings
from app.triage import House

KEYS = Keys(1, b"test-token-key-of-32-bytes-......", b"test-key-16bytes")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """url, owner: of the template database, as role app and as owner."""

    url: str
    owner: str

    def of(self, name: str, *, owner: bool = False) -> str:
        return make_url(self.owner if owner else self.url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = in_memory() or tmp_path_factory.mktemp("pg")
    bundled = EmbeddedPostgres(folder)
    bundled.start()
    try:
        # No autovacuum: its worker, which only a superuser may end, would hold a copy that is to be dropped.
        for statement in (
            "ALTER ROLE triage_owner CREATEDB",
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET max_wal_size = '256MB'",
            "ALTER SYSTEM SET autovacuum = off",
            "SELECT pg_reload_conf()",
        ):
            bundled._psql("postgres", statement)
        server = Server(bundled.url("app"), bundled.url("owner"))
        migrate(server.owner)
        asyncio.run(_seed(server.owner))
        yield server
    finally:
        bundled.stop()
        bundled.remove()
        shutil.rmtree(folder, ignore_errors=True)


def in_memory() -> Path | None:
    """A folder in memory where the machine has one: a copied database is a thousand files, which some disks take most of a second for."""
    memory = Path("/dev/shm")  # a folder of our own is made in it
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 4 << 30:
        return None
    return Path(tempfile.mkdtemp(prefix="triage-", dir=memory))


async def _seed(owner: str) -> None:
    database = Database(owner, pool_size=1)
    async with database.transaction() as connection:
        for seed in (codes.seed, calendar.seed, policy.seed):
            await seed(connection)
    await database.close()


@asynccontextmanager
async def copy_of(server: Server) -> AsyncIterator[str]:
    """A fresh copy of the migrated database."""
    name = f"t{os.getpid()}_{next(_numbers)}"
    admin = Database(server.of("postgres", owner=True), pool_size=1)
    async with admin.connection() as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE triage STRATEGY file_copy")
    try:
        yield name
    finally:
        try:
            async with admin.connection() as connection:
                await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await admin.close()


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest_asyncio.fixture
async def url(server: Server) -> AsyncIterator[str]:
    async with copy_of(server) as name:
        yield server.of(name)


@pytest_asyncio.fixture
async def house(url: str, tmp_path: Path) -> AsyncIterator[House]:
    database = Database(url, pool_size=8)
    yield await House.open(settings(TRIAGE_DATA=tmp_path), database, Vault(KEYS))
    await database.close()


@dataclass
class Client:
    """The API as different callers see it."""

    http: httpx.AsyncClient
    house: House
    tokens: dict[str, str]

    async def call(self, role: str, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return await self.http.request(
            method, path, headers={"Authorization": f"Bearer {self.tokens[role]}", **kwargs.pop("headers", {})}, **kwargs
        )

    async def post(self, role: str, path: str, body: Any = None, **kwargs: Any) -> httpx.Response:
        return await self.call(role, "POST", path, json=body, **kwargs)

    async def get(self, role: str, path: str, **kwargs: Any) -> httpx.Response:
        return await self.call(role, "GET", path, **kwargs)


CALLERS: dict[str, dict[str, Any]] = {
    "portal": {"roles": ["portal"], "natural_person": False, "sources": ["p1"]},
    "other_portal": {"roles": ["portal"], "natural_person": False, "sources": ["p2"]},
    "intake": {"roles": ["intake"], "sources": ["desk"]},
    "mediator": {"roles": ["mediator"]},
    "second": {"roles": ["mediator"]},
    "robot": {"roles": ["mediator"], "natural_person": False},
    "yichang": {"roles": ["mediator"], "jurisdictions": ["4205"]},
    "supervisor": {"roles": ["supervisor"]},
    "analyst": {"roles": ["analyst"]},
    "admin": {"roles": ["admin"]},
}


@pytest_asyncio.fixture
async def client(url: str, tmp_path: Path) -> AsyncIterator[Client]:
    values = {
        "TRIAGE_DATA": tmp_path,
        "DATABASE_URL": url,
        "TRIAGE_TOKEN_KEY": KEYS.token_key.hex(),
        "TRIAGE_ENCRYPTION_KEY": KEYS.encryption_key.hex(),
    }
    app = create_app(settings(**values, TRIAGE_SECONDS=20), url)
    async with app.router.lifespan_context(app):
        house: House = app.state.house
        tokens = {}
        async with house.database.connection() as connection:
            for name, rights in CALLERS.items():
                tokens[name] = await identity.issue(
                    connection, name, **{"natural_person": True, "jurisdictions": ["42"], **rights}
                )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test"
        ) as http:
            yield Client(http, house, tokens)


def complaint(external_id: str, text: str = "在江城味火锅就餐吃出蟑螂，要求退款368元。", **values: Any) -> dict[str, Any]:
    return {"external_id": external_id, "text": text, **values}
