"""Which track, and why: versions, drafts, publication, back-tests."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from app import (
    calendar,
    drafting,
    policy,
)
from app.cli.base import Out, Token, console, in_house, who, write_csv
from app.errors import Invalid
from app.policy import proving
from app.policy import sheets as policy_sheets
from app.triage import House

commands = typer.Typer()
policy_app = typer.Typer(no_args_is_help=True, help="Which track, and why: versions, drafts, publication, what stands open.")
commands.add_typer(policy_app, name="policy")


VersionOrFile = Annotated[str, typer.Argument(help="Hash of a version, `in-force`, or a file (XLSX, CSV, JSON)")]


async def _chosen(house: House, chosen: str) -> policy.Policy:
    """A kept version, the one in force, or a file's content, which must prove."""
    if chosen == "in-force":
        return policy.in_force(house.policies, calendar.local_day(datetime.now(UTC)), house.settings.jurisdiction)
    if Path(chosen).suffix:
        tabled, report = await _proved(house, Path(chosen))
        if report.policy is None or report.errors:
            raise policy.refused(report.errors, tabled.cell)
        return report.policy
    async with house.database.connection() as connection:
        return await drafting.load_version(connection, chosen)


async def _proved(house: House, file: Path) -> "tuple[policy_sheets.Tabled, proving.Report]":
    tabled = policy_sheets.read_file(file)
    report = await drafting.prove(house, tabled.content)
    report.errors = [*tabled.faults, *report.errors]
    return tabled, report


@policy_app.command("list")
def policy_list() -> None:
    """All versions, newest first: state, place, author, from when."""

    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            found = await drafting.versions(connection, limit=1000)
        for one in found:
            days = ",".join(a["valid_from"] for a in one["acts"] if a["act"] == "published") or "-"
            print(one["hash"], one["state"], one["jurisdiction"], one["author"], days, one["name"])  # noqa: T201

    in_house(run)


@policy_app.command("export")
def policy_export(
    version: VersionOrFile, out: Annotated[Path, typer.Argument(help="File to write: .xlsx, .csv or .json")]
) -> None:  # fmt: skip
    """Writes a version as tables to edit: a sheet (in CSV a section) for rows, thresholds, gates, exclusions, fall-backs, notes."""
    writers = {".xlsx": policy_sheets.to_xlsx, ".csv": policy_sheets.to_csv, ".json": _policy_json}
    if out.suffix not in writers:
        raise typer.BadParameter("OUT ends in .xlsx, .csv or .json")

    async def run(house: House) -> None:
        chosen = await _chosen(house, version)
        out.write_bytes(writers[out.suffix](chosen.content))
        console.print(f"{chosen.hash} written to {out}")

    in_house(run)


def _policy_json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(content), ensure_ascii=False, indent=1).encode()


@policy_app.command("validate")
def policy_validate(
    file: Path, warnings: Annotated[bool, typer.Option(help="Show overlaps too, each with a fact sheet")] = True
) -> None:  # fmt: skip
    """Reads and proves a file: each fault with its cell, its reason and the fact sheets that prove it. Exit status 1 on faults."""

    async def run(house: House) -> None:
        tabled, report = await _proved(house, file)
        for one in report.warnings if warnings else ():
            proof = "".join(f"；例：{json.dumps(s, ensure_ascii=False)}" for s in one.sheets)
            print(f"warning: {tabled.cell(one) or ''} {one.place}: {one.message}{proof}")  # noqa: T201
        if report.errors or report.policy is None:
            raise policy.refused(report.errors, tabled.cell)
        print(f"{report.policy.hash}: valid, {len(report.warnings)} warnings")  # noqa: T201

    in_house(run)


@policy_app.command("draft")
def policy_draft(file: Path, token: Token, note: str | None = None) -> None:
    """Keeps a file as a version and proposes it. Another person publishes it."""

    async def run(house: House) -> None:
        principal = await who(house, token)
        tabled, report = await _proved(house, file)
        if report.errors:
            raise policy.refused(report.errors, tabled.cell)
        made = await drafting.draft(house, principal, tabled.content, note=note)
        print(f"{made['hash']} {made['state']}, {len(made['warnings'])} warnings")  # noqa: T201

    in_house(run)


@policy_app.command("propose")
def policy_propose(version: str, token: Token, note: str | None = None) -> None:
    """Proposes a version that is kept already: the first half of a roll-back."""

    async def run(house: House) -> None:
        shown = await drafting.propose(house, await who(house, token), version, note=note)
        print(shown["hash"], shown["state"])  # noqa: T201

    in_house(run)


@policy_app.command("publish")
def policy_publish(
    version: str, token: Token, note: str | None = None,
    from_: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day it holds; default: today in Shanghai")] = None,
) -> None:  # fmt: skip
    """Publishes a version that another person proposed and that was back-tested."""

    async def run(house: House) -> None:
        day = from_.date() if from_ else calendar.local_day(datetime.now(UTC))
        shown = await drafting.publish(house, await who(house, token), version, day, note=note)
        print(shown["hash"], shown["state"], day)  # noqa: T201

    in_house(run)


@policy_app.command("open-questions")
def policy_open_questions(version: VersionOrFile = "in-force", out: Out = None) -> None:
    """What of a version is a design choice or unverified, with its source: for the legal officer to confirm. CSV."""

    async def run(house: House) -> None:
        found = proving.open_questions(await _chosen(house, version))
        names = ["part", "id", "text", "value", "status", "status_label", "source"]
        write_csv(out, names, [[q[n] if q[n] is not None else "" for n in names] for q in found])

    in_house(run)


@policy_app.command("decide")
def policy_decide(
    facts: Annotated[Path, typer.Argument(help="JSON: facts as in a decision, e.g. {lane, kind, harm}")],
    version: Annotated[str | None, typer.Option(help="Must be in force on that day and place")] = None,
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of decision; default: today")] = None,
    jurisdiction: Annotated[str | None, typer.Option(help="Region code; default: the deployment's")] = None,
) -> None:
    """What a fact sheet would get, and why. Nothing is kept."""

    async def run(house: House) -> None:
        try:
            read = json.loads(facts.read_text("utf-8-sig"))
        except ValueError:
            raise Invalid.field("facts", f"{facts} is not JSON") from None
        found = drafting.decide(house, read, on=on.date() if on else None, jurisdiction=jurisdiction, version=version)
        print(json.dumps(found, ensure_ascii=False, indent=1))  # noqa: T201

    in_house(run)


@commands.command()
def backtest(
    version: VersionOrFile,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many stored facts")] = drafting.MOST_FACTS,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON")] = False,
) -> None:
    """Decides stored facts anew by a version (or a file) and by what is in force: what changes, by track, district, merchant, with
    samples. Of a kept version the result is kept, and lets it be published."""

    async def run(house: House) -> None:
        chosen = await _chosen(house, version)
        if Path(version).suffix or version == "in-force":
            report = await drafting.backtest(house, chosen, limit=limit)
        else:
            report = await drafting.backtest_version(house, version, actor="cli:backtest", limit=limit)
        print(json.dumps(report, ensure_ascii=False, indent=1) if as_json else drafting.readable(report))  # noqa: T201

    in_house(run)
