"""What commands stand on: the database, the house, progress, who calls."""

import asyncio
import csv
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy.engine import make_url

from app import (
    calendar,
    codes,
    identity,
    merchants,
    policy,
    reports,
)
from app.database import Database
from app.database import migrate as migrate_schema
from app.embedded import EmbeddedPostgres
from app.privacy import Vault, load_keys
from app.settings import Settings
from app.triage import House

console = Console(stderr=True)


@contextmanager
def database(settings: Settings, *, exclusive: bool = False) -> Iterator[tuple[str, str, EmbeddedPostgres | None]]:
    """(URL of the app, URL of the owner, the bundled server or None)."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        owner = settings.migration_database_url.get_secret_value() if settings.migration_database_url else url
        yield url, owner, None
        return
    bundled = EmbeddedPostgres(settings.data)
    bundled.start(exclusive=exclusive)
    try:
        yield bundled.url("app"), bundled.url("owner"), bundled
    finally:
        bundled.stop()


def migrate_store(settings: Settings, url: str, owner: str) -> None:
    migrate_schema(owner, app_role=make_url(url).username)
    asyncio.run(_seed(owner))
    load_keys(settings)


async def _seed(owner: str) -> None:
    database = Database(owner, pool_size=1)
    try:
        async with database.transaction() as connection:
            await codes.seed(connection)
            await calendar.seed(connection)
            await policy.seed(connection)
        async with database.connection() as connection:
            await merchants.adopt(connection)
    finally:
        await database.close()


@asynccontextmanager
async def open_house(settings: Settings, url: str) -> AsyncIterator[House]:
    database = Database(url, pool_size=settings.pool_size)
    try:
        yield await House.open(settings, database, Vault(load_keys(settings)))
    finally:
        await database.close()


def in_house(work: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    settings = Settings()
    with database(settings) as (url, owner, bundled):
        if bundled is not None and bundled.owned:
            migrate_store(settings, url, owner)

        async def run() -> None:
            async with open_house(settings, url) as house:
                await work(house)

        asyncio.run(run())


class Bars:
    """Progress bars on standard error, one per stage."""

    _LABELS = {"receive": "receiving", "triage": "triaging", "settle": "settling"}  # noqa: RUF012 - never written

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(self._LABELS.get(stage, stage), total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


Columns = Annotated[str | None, typer.Option(help="ours=theirs,...; several joined: name=first_name+surname")]


def run_id_of(given: str) -> uuid.UUID:
    try:
        return uuid.UUID(given)
    except ValueError:
        raise typer.BadParameter("--undo takes a run's id") from None


Out = Annotated[Path | None, typer.Option(help="File to write; standard output otherwise")]


def write_csv(out: Path | None, header: list[str], rows: list[list[Any]]) -> None:
    if out is None:
        writer = csv.writer(sys.stdout)
        writer.writerow(header)
        writer.writerows([[reports.cell(v) for v in row] for row in rows])
        return
    with out.open("w", encoding="utf-8", newline="") as handle:
        file_writer = csv.writer(handle)
        file_writer.writerow(header)
        file_writer.writerows([[reports.cell(v) for v in row] for row in rows])
    console.print(f"{len(rows)} rows written to {out}")


Token = Annotated[
    str,
    typer.Option(
        envvar="TRIAGE_TOKEN", prompt=True, hide_input=True, help="Of a person with role policy; asked for where it is not set"
    ),
]


async def who(house: House, token: str) -> identity.Principal:
    return await identity.Identity(house.database).authenticate(token)
