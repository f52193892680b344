"""What the quality benches share: a service of its own in bench/.work."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app import calendar, codes, policy
from app.database import Database, migrate
from app.embedded import EmbeddedPostgres
from app.privacy import Vault, load_keys
from app.settings import Settings
from app.triage import House

WORK = Path(__file__).parent / ".work"


def start() -> EmbeddedPostgres:
    """A fresh, migrated bundled database; the caller stops it."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    os.environ["TRIAGE_DATA"] = str(WORK)
    database = EmbeddedPostgres(WORK)
    database.start(exclusive=True)
    migrate(database.url("owner"))
    return database


async def seed(database: EmbeddedPostgres) -> None:
    owner = Database(database.url("owner"), pool_size=1)
    async with owner.connection() as connection:
        for part in (codes.seed, calendar.seed, policy.seed):
            await part(connection)
    await owner.close()


@asynccontextmanager
async def house(database: EmbeddedPostgres) -> AsyncIterator[House]:
    await seed(database)
    settings = Settings()
    app = Database(database.url("app"))
    yield await House.open(settings, app, Vault(load_keys(settings)))
    await app.close()
