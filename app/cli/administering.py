"""Statutory terms, the calendar, access tokens."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from app import (
    calendar,
    identity,
    redating,
    sheets,
    terms,
)
from app.calendar import SHANGHAI
from app.cli.base import console, in_house, write_csv
from app.errors import Invalid
from app.settings import Settings
from app.triage import House

commands = typer.Typer()
token_app = typer.Typer(no_args_is_help=True, help="Access tokens: opaque, stored as hashes, shown once.")
commands.add_typer(token_app, name="token")


@commands.command()
def clock(
    key: Annotated[str, typer.Argument(help="A statutory term, e.g. complaint.accept")],
    start: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"], help="The day it starts")],
    received: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of receipt, which picks the rules")] = None,
    mode: Annotated[str, typer.Option(help="statutory, notice or any")] = "statutory",
    pause: Annotated[list[str] | None, typer.Option(help="FROM..TO, days of an appraisal; once for each pause")] = None,
    extended: Annotated[int, typer.Option(min=0, help="Extensions approved")] = 0,
    before: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="odr.settle: when complaint.accept is due")
    ] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="With the calendar years loaded into this deployment's database")
    ] = False,
) -> None:
    """The due date of a statutory term and why."""
    if mode not in calendar.DUE_MODES:
        raise typer.BadParameter("--mode takes statutory, notice or any")
    day = start.date() if start.tzinfo is None else calendar.local_day(start)
    try:
        spans = [p.split("..") for p in pause or ()]
        pauses = [calendar.Pause(date.fromisoformat(first), date.fromisoformat(last)) for first, last in spans]
    except ValueError:
        raise typer.BadParameter("--pause takes FROM..TO, two days YYYY-MM-DD") from None

    def tell(days: calendar.Calendar) -> None:
        received_on = received.date() if received else None
        if received_on is None and days.terms.term(key).limitation:
            received_on = datetime.now(SHANGHAI).date()  # what is barred is asked of something received now
        due = calendar.due(
            days, key, day, received_on=received_on, mode=mode, pauses=pauses, extended=extended,
            before=before.date() if before else None,
        )  # fmt: skip
        print(f"{due.due_on.isoformat()}\n{due.reason}")  # noqa: T201

    async def run(house: House) -> None:
        tell(house.calendar)

    if stored:
        in_house(run)
    else:
        tell(calendar.shipped_calendar(terms.load(Settings().terms)))


@commands.command("load-calendar")
def load_calendar(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX day,working,statutory,name; or JSON as holiday-cn publishes it")],
    source: Annotated[str | None, typer.Option(help="The notice: its number or address; JSON may name it itself")] = None,
    year: Annotated[int | None, typer.Option(help="Default: the file's")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="In place of what is loaded for that year")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the changed dates to this CSV; standard output otherwise")] = None,
) -> None:
    """Loads the holiday notice of a year and reckons every running clock anew; prints matter, term, old and new date."""
    if file.suffix.lower() == ".json":
        if not file.exists():
            raise Invalid.field("file", f"{file} does not exist")
        told = calendar.read_holiday_cn(file.read_text("utf-8-sig"), source=source, year=year)
    else:
        told = calendar.read_table(sheets.read_table(file), source=source, year=year)

    async def run(house: House) -> None:
        done = await redating.load_year(house, told, replace=replace, actor="cli:load-calendar")
        for warning in told.warnings:
            console.print(f"[yellow]look at this[/]: {warning}", soft_wrap=True)
        console.print(
            f"{told.year}: {len(told.days)} days {'loaded' if done.stored else 'as they were'}, {len(done.changed)} dates changed"
        )
        write_csv(out, ["matter_id", "key", "old", "new"], [[c.matter_id, c.key, c.old, c.new] for c in done.changed])

    in_house(run)


@token_app.command("issue")
def token_issue(
    subject: str,
    role: Annotated[list[str], typer.Option(help=f"Any of {', '.join(identity.ROLES)}; may be given again")],
    jurisdiction: Annotated[list[str], typer.Option(help="Region code prefix; may be given again")] = ["42"],  # noqa: B006 - typer reads it
    source: Annotated[list[str] | None, typer.Option()] = None,
    skill: Annotated[list[str] | None, typer.Option()] = None,
    machine: Annotated[bool, typer.Option("--machine", help="Not a natural person: may not accept, finish or sign")] = False,
    days: int = 365,
) -> None:
    """Prints a new token, once."""

    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            token = await identity.issue(
                connection, subject, role, natural_person=not machine, jurisdictions=jurisdiction, sources=source or [],
                skills=skill or [], days=days,
            )  # fmt: skip
        print(token)  # noqa: T201

    in_house(run)


@token_app.command("list")
def token_list() -> None:
    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT subject, roles, jurisdictions, sources, expires_at, revoked_at FROM api_token ORDER BY subject, created_at"
            )
        for r in rows:
            state = "revoked" if r["revoked_at"] else f"until {r['expires_at']:%Y-%m-%d}"
            print(r["subject"], ",".join(r["roles"]), ",".join(r["jurisdictions"]), ",".join(r["sources"]) or "-", state)  # noqa: T201

    in_house(run)


@token_app.command("revoke")
def token_revoke(subject: str) -> None:
    """All tokens of a subject; they stop within seconds."""

    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            console.print(f"{await identity.revoke(connection, subject)} revoked")

    in_house(run)
