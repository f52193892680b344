"""Who and what belongs together: in files, and over the store."""

from pathlib import Path
from typing import Annotated

import typer

from app import (
    complainants,
    incidents,
)
from app.cli.base import Bars, Columns, console, in_house, run_id_of
from app.triage import House

commands = typer.Typer()
link_app = typer.Typer(no_args_is_help=True, help="Files in, files out: who or what belongs together. Never touches the store.")
commands.add_typer(link_app, name="link")


Online = Annotated[bool, typer.Option("--online", help="One by one, in file order, as the service does, in a scratch database")]


ParametersFile = Annotated[
    Path | None, typer.Option(help="Parameters of `triage train linkage`; default: trained on the file itself, without labels")
]


@link_app.command("complainants")
def link_complainants(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet, XLSX or JSONL")], out: Annotated[Path, typer.Argument(help="CSV: record_id,cluster_id")],
    columns: Columns = None, parameters: ParametersFile = None, online: Online = False,
) -> None:  # fmt: skip
    """Finds who is one person among the records of a file."""
    from app import linking
    from ml import linkage as engine

    given = engine.load(parameters) if parameters else None
    with Bars() as bars:
        found = linking.link_file(
            file, out, columns=linking.parse_columns(columns), parameters=given, online=online, progress=bars
        )
    console.print(f"{found[0]} records, {found[1]} complainants; written to {out}")


@link_app.command("merchants")
def link_merchants(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet, XLSX or JSONL")], out: Annotated[Path, typer.Argument(help="CSV: record_id,cluster_id")],
    columns: Columns = None, online: Online = False,
    scorecard: Annotated[Path | None, typer.Option(help="Of `triage train merchants`; default: the shipped one")] = None,
) -> None:  # fmt: skip
    """Finds which merchant each complaint of a file means. cluster_id is empty where it names nobody that can be told."""
    from app import linking, matching
    from ml import merchants as engine
    from ml.scorecards import Scorecard

    card = Scorecard.load(scorecard) if scorecard else engine.shipped_scorecard()
    with Bars() as bars:
        found = matching.link_merchants(
            file,
            out,
            columns=linking.parse_columns(columns, tuple(matching.FIELDS)),
            scorecard=card,
            online=online,
            progress=bars,
        )
    console.print(f"{found[0]} complaints, {found[1]} merchants; written to {out}")


@link_app.command("incidents")
def link_incidents(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet, XLSX or JSONL")], out: Annotated[Path, typer.Argument(help="CSV: record_id,cluster_id")],
    columns: Columns = None, online: Online = False,
    scorecard: Annotated[Path | None, typer.Option(help="Of `triage train incidents`; default: the shipped one")] = None,
) -> None:  # fmt: skip
    """Finds which complaints of a file are about one incident; a complaint that stands alone is one of its own."""
    from app import linking, matching
    from ml import incidents as engine
    from ml.merchants import shipped_scorecard as merchant_scorecard
    from ml.scorecards import Scorecard

    card = Scorecard.load(scorecard) if scorecard else engine.shipped_scorecard()
    with Bars() as bars:
        found = matching.link_incidents(
            file, out, columns=linking.parse_columns(columns, tuple(matching.FIELDS)), merchant_scorecard=merchant_scorecard(),
            scorecard=card, online=online, progress=bars,
        )  # fmt: skip
    console.print(f"{found[0]} complaints, {found[1]} incidents; written to {out}")


@commands.command()
def relink(
    undo: Annotated[str | None, typer.Option(help="Take a run back as a whole, by its id")] = None,
    actor: Annotated[str, typer.Option(help="Who runs it, for the record")] = "cli:relink",
) -> None:
    """Decides anew who is one person, over the whole store. Ids stay, corrections bind, the service goes on meanwhile."""
    from app import relinking

    async def run(house: House) -> None:
        if undo is not None:
            run_id = run_id_of(undo)
            async with house.database.transaction() as connection:
                done = await complainants.undo(connection, run_id, actor=actor)
            console.print(
                f"{done['records']} records back where they were, {done['left']} moved since and left; run {done['undo_id']}"
            )
            return
        with Bars() as bars:
            done = await relinking.relink(house, actor=actor, progress=bars)
        console.print(
            f"{done['records']} records: {done['moved']} moved, {done['merged']} complainants merged, {done['opened']} opened, "
            f"{done['skipped']} groups left to the next run; undo with --undo {done['run_id']}"
        )

    in_house(run)


@commands.command()
def regroup(
    undo: Annotated[str | None, typer.Option(help="Take a run back as a whole, by its id")] = None,
    actor: Annotated[str, typer.Option(help="Who runs it, for the record")] = "cli:regroup",
) -> None:
    """Decides anew what is one incident, over all that is open. Ids stay, corrections bind, the service goes on meanwhile."""
    from app import regrouping

    async def run(house: House) -> None:
        if undo is not None:
            run_id = run_id_of(undo)
            async with house.database.transaction() as connection:
                done = await incidents.undo(connection, house.reader.tokeniser, run_id, actor=actor)
            console.print(
                f"{done['matters']} matters back where they were, {done['left']} moved since and left; run {done['undo_id']}"
            )
            return
        with Bars() as bars:
            done = await regrouping.regroup(house, actor=actor, progress=bars)
        console.print(
            f"{done['matters']} matters: {done['moved']} moved, {done['merged']} incidents merged, {done['opened']} opened, "
            f"{done['skipped']} groups left to the next run; undo with --undo {done['run_id']}"
        )

    in_house(run)


@commands.command()
def retokenise() -> None:
    """Makes tokens of another version or key anew. Beside the service; a killed run goes on where it stopped."""
    from app import relinking

    async def run(house: House) -> None:
        with Bars() as bars:
            done = await relinking.retokenise(house, progress=bars)
        console.print(f"{done} records have new tokens" + ("; `triage relink` joins what they show" if done else ""))

    in_house(run)
