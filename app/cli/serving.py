"""The service itself: serve, worker, migrate, demo."""

import asyncio
import gc
import os
import signal
import sys
from typing import Annotated

import typer

from app import demo as demonstration
from app import (
    supervisor,
)
from app.cli.base import Bars, console, database, in_house, migrate_store, open_house
from app.privacy import load_keys
from app.settings import Settings
from app.triage import House

commands = typer.Typer()


@commands.command()
def serve(
    with_demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Load the demo into an empty bundled database")] = True,
) -> None:
    """Starts everything: the bundled database (unless DATABASE_URL is set), web processes and a worker."""
    settings = Settings()
    listener = supervisor.listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    with database(settings, exclusive=True) as (url, owner, bundled):
        if bundled is not None or settings.migration_database_url is not None:
            migrate_store(settings, url, owner)
        tokens: list[tuple[str, str]] = []
        if bundled is not None and with_demo:
            tokens = asyncio.run(_demo(settings, url))
        address = f"http://{settings.host}:{port}"
        print(f"address: {address}\ndocs: {address}/docs", flush=True)  # noqa: T201
        for role, token in tokens:
            print(f"{role}: {token}", flush=True)  # noqa: T201
        environment = {**os.environ, "DATABASE_URL": url}
        if bundled is not None:
            # Children attach by URL; the keys stay in the data folder, and are handed over like the URL.
            keys = load_keys(settings)
            environment |= {"TRIAGE_TOKEN_KEY": keys.token_key.hex(), "TRIAGE_ENCRYPTION_KEY": keys.encryption_key.hex()}
        processes = settings.web_processes or min(os.cpu_count() or 1, 8)
        boss = supervisor.Supervisor(environment)
        for _ in range(processes):
            boss.add([sys.executable, "-m", "app.cli", "web"])
        boss.add([sys.executable, "-m", "app.cli", "worker"])
        boss.run(listener, look_after=bundled.revive if bundled is not None else lambda: None)
        listener.close()


async def _demo(settings: Settings, url: str) -> list[tuple[str, str]]:
    marker = settings.data / "loaded"
    async with open_house(settings, url) as house:
        if not marker.exists():
            console.print("Loading the demo: 5,000 made-up complaints of 90 days in Hubei (once, a few minutes)")
            with Bars() as bars:
                await demonstration.load(house, count=5000, days=90, seed=12315, progress=bars)
            marker.touch()
        return list(await demonstration.tokens(house, settings.data / "demo-tokens.json"))


@commands.command(hidden=True)
def web(fd: Annotated[int, typer.Option()]) -> None:
    """One web process on an inherited socket."""
    import uvicorn

    from app.main import create_app

    if supervisor.orphaned():
        return
    settings = Settings()
    assert settings.database_url is not None
    # A request makes thousands of short-lived objects without a cycle among them, so collections may be rarer than
    # their default; and what is loaded once everything is ready stays, so they need not walk it again.
    gc.set_threshold(20_000, 20, 50)
    application = create_app(settings, settings.database_url.get_secret_value(), when_ready=gc.freeze)
    config = uvicorn.Config(application, fd=fd, access_log=False, log_level="warning", timeout_graceful_shutdown=10)
    uvicorn.Server(config).run()


@commands.command()
def worker(
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Triages what waits, folds incidents, returns expired leases. Any number may run."""
    import uvloop

    from app import worker as work

    if supervisor.orphaned():
        return
    if fd is not None:
        os.close(fd)
    settings = Settings()
    with database(settings) as (url, _, _):

        async def run() -> None:
            stop = asyncio.Event()
            for sent in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(sent, stop.set)
            async with open_house(settings, url) as house:
                await work.run(house, stop=stop)

        uvloop.run(run())


@commands.command()
def migrate() -> None:
    """Brings the schema to head as the owner, grants rights, loads shipped codes, calendar and policy."""
    settings = Settings()
    with database(settings) as (url, owner, _):
        migrate_store(settings, url, owner)
    console.print("migrated")


@commands.command("demo")
def load_demo(
    count: int = 5000,
    days: int = 90,
    seed: int = 12315,
) -> None:
    """Loads made-up complaints and prints a token per role."""

    async def run(house: House) -> None:
        with Bars() as bars:
            await demonstration.load(house, count=count, days=days, seed=seed, progress=bars)
        house.settings.data.mkdir(parents=True, exist_ok=True)
        for role, token in await demonstration.tokens(house, house.settings.data / "demo-tokens.json"):
            print(f"{role}: {token}")  # noqa: T201

    in_house(run)
