"""The engine, and the only place that commits.

One pool serves both faces: asyncpg itself on hot paths (`transaction()`), SQLAlchemy Core for lists and reports
(`reading()`). The engine runs in autocommit, so SQLAlchemy opens no transaction of its own; `transaction()` opens one
on the driver's connection.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

import asyncpg
import orjson
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from models import metadata

Connection: TypeAlias = asyncpg.Connection

# Advisory locks are taken before candidates are looked for, in the order (stage, bucket) everywhere.
STAGE_PERSON, STAGE_MERCHANT, STAGE_INCIDENT = 1, 2, 3
LOCK_BUCKETS = 1 << 20


class Database:
    def __init__(self, url: str | URL, *, pool_size: int = 8) -> None:
        parsed = make_url(url).set(drivername="postgresql+asyncpg")
        self.user = parsed.username or ""
        self.engine: AsyncEngine = create_async_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            json_deserializer=orjson.loads,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=False,
            pool_recycle=1800,
            connect_args={
                "prepared_statement_cache_size": 0,
                "statement_cache_size": 500,
                "server_settings": {"application_name": "triage", "timezone": "UTC", "jit": "off"},
            },
        )

    async def close(self) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A driver connection in autocommit: for one statement that needs no transaction of its own. Straight from the pool, without
        SQLAlchemy's own connection around it, which costs as much as a small statement. The pool does not see what happens on it, so a
        connection that the server ended is thrown away here."""
        pooled = await self.engine.raw_connection()
        while (driver := cast(Connection, pooled.driver_connection)).is_closed():  # ended while nobody used it
            pooled.invalidate()
            pooled = await self.engine.raw_connection()
        try:
            yield driver
        except ENDED:
            driver.terminate()
            raise
        finally:
            _spare(driver)
            # No transaction of SQLAlchemy's is open on it, so giving it back waits for nothing.
            pooled.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commits at the end, rolls back on any exception."""
        async with self.connection() as driver, driver.transaction():
            yield driver

    @asynccontextmanager
    async def reading(self, timeout_seconds: float = 15) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction with a statement timeout: reports can neither write nor run on."""
        async with self.engine.connect() as connection:
            driver = await _driver(connection)
            try:
                async with driver.transaction(readonly=True):
                    await driver.execute(f"SET LOCAL statement_timeout = {int(timeout_seconds * 1000)}")
                    yield connection
            finally:
                _spare(driver)

    @asynccontextmanager
    async def snapshot(self, timeout_seconds: float = 15) -> AsyncIterator[Connection]:
        """As `reading`, on the driver's connection; all its statements see one moment."""
        async with self.connection() as driver, driver.transaction(isolation="repeatable_read", readonly=True):
            # What it counts is sorted and joined in memory.
            await driver.execute(f"SET LOCAL statement_timeout = {int(timeout_seconds * 1000)}; SET LOCAL work_mem = '64MB'")
            yield driver

    async def ready(self) -> bool:
        try:
            async with asyncio.timeout(2), self.connection() as driver:
                return bool(await driver.fetchval("SELECT to_regclass('letter') IS NOT NULL"))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False


# After these the server has ended the connection, or the driver lost its way on it.
ENDED = (
    asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, OSError,
)  # fmt: skip


def _spare(driver: Connection) -> None:
    """Ends a connection that can't be given to the next one, who then gets a new one. Whoever is cancelled while a transaction begins or
    ends leaves it open or half open; what came after would fail on it, or be said done and never committed. Asked as the driver's own
    pool does."""
    if not driver.is_closed() and (driver.is_in_transaction() or driver._top_xact is not None):
        driver.terminate()


async def _driver(connection: AsyncConnection) -> Connection:
    """The driver's connection; one that ended while nobody used it is replaced."""
    while True:
        driver = cast(Connection, (await connection.get_raw_connection()).driver_connection)
        if not driver.is_closed():
            return driver
        await connection.invalidate()


async def lock(connection: Connection, stage: int, values: Iterable[int | str]) -> None:
    """Holds a stage's buckets until the transaction ends. Ordered, so two transactions never wait for each other;
    at most some 50 a transaction."""
    buckets = sorted({_bucket(v) for v in values})
    if buckets:
        await connection.execute("SELECT pg_advisory_xact_lock($1, b) FROM unnest($2::int[]) AS b", stage, buckets)


def _bucket(value: int | str) -> int:
    if isinstance(value, int):
        return (value >> 6) % LOCK_BUCKETS
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=4).digest(), "big") % LOCK_BUCKETS


def to_json(value: Any) -> str:
    """For jsonb parameters: the driver takes text. Times become RFC 3339, ids text, binary the form of a bytea."""
    return orjson.dumps(value, _jsonable, orjson.OPT_NON_STR_KEYS).decode()


def _jsonable(value: Any) -> str:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value)


def to_array(values: Iterable[int | float]) -> str:
    """A long array of numbers as its literal, for `$n::text::bigint[]`: the driver's own way looks at each element."""
    return "{" + ",".join(map(str, values)) + "}"


def migrate(url: str, *, app_role: str | None = None) -> None:
    """Brings the schema to head as the owner and grants the other roles what models say."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).resolve().parent.parent / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, "head")
    asyncio.run(_grant(url, app_role))


async def _grant(url: str, app_role: str | None) -> None:
    database = Database(url, pool_size=1)
    try:
        async with database.engine.connect() as connection:
            known = set((await connection.execute(text("SELECT rolname FROM pg_roles"))).scalars())
            roles = {"app": app_role or "triage_app", "reader": "triage_reader", "auditor": "triage_auditor"}
            for kind, role in roles.items():
                if role not in known or role == database.user:
                    continue
                name = '"' + role.replace('"', '""') + '"'
                for table in metadata.sorted_tables:
                    rights = {
                        "app": table.info.get("app", ""),
                        "reader": "" if _holds_ciphertext(table.name) else "SELECT",
                        "auditor": "SELECT" if table.name in _AUDITED else "",
                    }[kind]
                    await connection.execute(text(f"REVOKE ALL ON TABLE {table.name} FROM {name}"))
                    if rights:
                        await connection.execute(text(f"GRANT {rights} ON TABLE {table.name} TO {name}"))
                if kind == "app":
                    await connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"))
    finally:
        await database.close()


_AUDITED = {"audit_entry", "audit_seal", "decision", "state_change", "work_event", "policy", "policy_act", "identifier_history"}


def _holds_ciphertext(table: str) -> bool:
    columns = metadata.tables[table].columns
    return any(c.name.endswith("_cipher") or c.name in ("tokens", "token", "token_sha256") for c in columns)
