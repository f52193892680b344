"""Templates of official documents."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from app import (
    drawing,
    templates,
)
from app.calendar import SHANGHAI
from app.cli.base import (
    console,
    in_house,
)
from app.triage import House

commands = typer.Typer()
template_app = typer.Typer(
    no_args_is_help=True, help="Templates of official documents; a bureau's own take the shipped ones' place."
)
commands.add_typer(template_app, name="template")


Form = Annotated[int, typer.Argument(min=1, max=10, help="Number of the official form (文书式样)")]


@template_app.command("list")
def template_list() -> None:
    """Form, jurisdiction (- for the shipped ones), first day, hash, who put it there, title."""

    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            found = (await templates.load(connection)).all
        for t in sorted(found, key=lambda t: (t.form, t.jurisdiction, t.valid_from)):
            print(t.form, t.jurisdiction or "-", t.valid_from, t.hash, t.by, drawing.FORMS[t.form].title)  # noqa: T201

    in_house(run)


@template_app.command("export")
def template_export(
    form: Form,
    out: Annotated[Path | None, typer.Argument(help="File to write; standard output otherwise")] = None,
    jurisdiction: Annotated[str, typer.Option(help="Whose is in force there today; default: the shipped one")] = "",
) -> None:
    """Writes a template out, to be changed and imported."""

    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            found = (await templates.load(connection)).find(form, jurisdiction, datetime.now(SHANGHAI).date())
        if out is None:
            print(found.content, end="")  # noqa: T201
        else:
            out.write_text(found.content, "utf-8")
            console.print(f"template {found.hash} of form {form} written to {out}")

    in_house(run)


@template_app.command("import")
def template_import(
    form: Form,
    file: Annotated[Path, typer.Argument(help="HTML with the fields of the form in {{ braces }}")],
    jurisdiction: Annotated[str, typer.Option(help="Region code or its beginning, e.g. 4201")],
    valid_from: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day; default: today")] = None,
    actor: Annotated[str, typer.Option(help="Who puts it there, for the record")] = "cli:template",
) -> None:
    """Tries a template on made-up values and puts it in force; a broken one is refused with line and reason."""
    try:
        content = file.read_text("utf-8-sig")
    except (UnicodeDecodeError, FileNotFoundError) as error:
        raise typer.BadParameter(f"{file} can't be read as UTF-8: {type(error).__name__}") from None

    async def run(house: House) -> None:
        async with house.database.transaction() as connection:
            made = await templates.publish(
                connection, form, content, jurisdiction=jurisdiction, by=actor,
                valid_from=valid_from.date() if valid_from else datetime.now(SHANGHAI).date(),
            )  # fmt: skip
        console.print(f"template {made.hash} of form {form} in force for {jurisdiction} from {made.valid_from}")

    in_house(run)
