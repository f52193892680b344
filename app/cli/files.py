"""Files in and out of the store."""

import csv
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from app import (
    codes,
    correcting,
    directories,
    importers,
    importing,
    reports,
    sheets,
)
from app.calendar import SHANGHAI
from app.cli.base import Bars, Out, console, in_house, write_csv
from app.triage import House

commands = typer.Typer()
export_app = typer.Typer(no_args_is_help=True, help="Reports as CSV.")
commands.add_typer(export_app, name="export")


@commands.command("import-merchants")
def import_merchants(
    file: Annotated[
        Path, typer.Argument(help="CSV, XLSX or JSONL: 统一社会信用代码, 名称, 别名, 曾用名, 门店, 连锁, 行业, 城市, ODR状态")
    ],
    source: Annotated[str, typer.Option(help="Where the register comes from")],
    problems: Annotated[Path | None, typer.Option(help="Write what could not be taken to this CSV: line, field, message")] = None,
) -> None:
    """Loads a register of merchants with their names and shops; loading it again updates. Complaints find them by any name."""
    from app import registering

    async def run(house: House) -> None:
        with Bars() as bars:
            done = await registering.load_register(house, file, source=source, actor=f"import:{source}", progress=bars)
        console.print(
            f"{done.rows} rows: {done.opened} opened, {done.taken_over} taken over from complaints, {done.updated} updated, "
            f"{done.unchanged} as they were, {done.rejected} rejected",
            soft_wrap=True,
        )
        for one in done.problems[:20]:
            console.print(f"  line {one.line} {one.field}: {one.message}", soft_wrap=True)
        for line, merchant_id in done.doubles[:20]:
            console.print(
                f"  line {line}: merchant {merchant_id}, opened by complaints, looks the same; merge it if it is", soft_wrap=True
            )
        if problems is not None:
            rows = [[p.line, p.field, p.message] for p in done.problems]
            write_csv(problems, ["line", "field", "message"], rows)

    in_house(run)


Kind = Annotated[str, typer.Argument(help=f"One of {', '.join(directories.DIRECTORIES)}")]


@commands.command("import-directory")
def import_directory(
    kind: Kind,
    file: Annotated[Path, typer.Argument(help="CSV, XLSX or JSONL with Chinese or English headers, e.g. 名称, 区划, 地址, 电话, 有效期起")],
    source: Annotated[str, typer.Option(help="Where the directory comes from")],
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day from which a change is true where a row does not say; default: today")
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="What this source told before and the file lacks has ended")] = False,
    problems: Annotated[Path | None, typer.Option(help="Write what could not be taken to this CSV: line, field, message")] = None,
) -> None:  # fmt: skip
    """Loads a directory of ODR enterprises, mediation bodies, service stations, departments, bureaux or platforms. Twice is once; what differs ends the
    day before and begins anew."""

    async def run(house: House) -> None:
        directories.get_directory(kind)
        day = on.date() if on else datetime.now(SHANGHAI).date()
        async with house.database.transaction() as connection:
            done = await directories.load(
                connection, kind, file, source=source, actor=f"import:{source}", on=day, complete=complete
            )
        console.print(
            f"{done.rows} rows: {done.opened} opened, {done.changed} changed, {done.ended} ended, {done.unchanged} as they were, "
            f"{done.rejected} rejected",
            soft_wrap=True,
        )
        for one in done.problems[:20]:
            console.print(f"  line {one.line} {one.field}: {one.message}", soft_wrap=True)
        if problems is not None:
            write_csv(problems, ["line", "field", "message"], [[p.line, p.field, p.message] for p in done.problems])

    in_house(run)


@commands.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="XLSX or CSV")],
    source: Annotated[str | None, typer.Option(help="Name of the sending system; default: the mapping's name")] = None,
    mapping: Annotated[Path | None, typer.Option(help="A mapping file of one's own (see app/data/mappings)")] = None,
    columns: Annotated[str | None, typer.Option(help="ours=theirs,... instead of a mapping file")] = None,
    as_: Annotated[str | None, typer.Option("--as", help="history or live; default: by age, row by row")] = None,
    received_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="For rows that carry no time of receipt")
    ] = None,
    as_of: Annotated[
        datetime | None, typer.Option(help="When the export was made, in Asia/Shanghai; default: when the file was written")
    ] = None,
    rejected: Annotated[Path | None, typer.Option(help="Write rejected rows' numbers and reasons to this CSV")] = None,
) -> None:
    """Imports an export: 12315 headers as they are, a 12345 sheet, or any table with a mapping. Twice is once; what the status columns of
    a row received before say is reconciled."""
    if as_ not in (None, "history", "live"):
        raise typer.BadParameter("--as takes history or live")
    chosen: importers.ColumnMapping | None = None
    if mapping is not None:
        chosen = importers.load_mapping(json.loads(mapping.read_text("utf-8")))
    elif columns is not None:
        pairs = dict(pair.split("=", 1) for pair in columns.split(",") if "=" in pair)
        chosen = importers.load_mapping({"name": "columns", "fields": pairs})

    async def run(house: House) -> None:
        name = source
        if name is None:
            headers = [str(h).strip() for h in next(sheets.read_table(file), []) if h is not None]
            name = (chosen or importers.choose(headers, importers.shipped_mappings())).name
        with Bars() as bars:
            done = await importing.import_file(
                house, file, source=name, mapping=chosen, as_history=None if as_ is None else as_ == "history",
                received_on=received_on.date() if received_on else None, actor=f"import:{name}", progress=bars,
                as_of=as_of and (as_of if as_of.tzinfo else as_of.replace(tzinfo=SHANGHAI)),
            )  # fmt: skip
        console.print(
            f"{done.rows} rows: {done.received} received, {done.known} known already, {done.triaged} triaged, "
            f"{len(done.rejected)} rejected, {len(done.conflicts)} in conflict with what was received before"
        )
        if done.as_of and (done.told or done.unknown):
            console.print(
                f"  states as of {done.as_of.astimezone(SHANGHAI):%Y-%m-%d %H:%M}: {done.told} told anew, {done.reconciled} reconciled, {done.confirmed} confirmed, "
                f"{done.contradictions} contradictions (GET /v1/reconciliations), {done.unplaced} of a procedure the letter has none of, "
                f"{sum(done.unknown.values())} with unknown values",
                soft_wrap=True,
            )
        for (column, value), count in done.unknown.most_common(20):
            console.print(f"  unknown {column}: {value[:20]!r} ({count})", soft_wrap=True)
        problems = [(n, "rejected", r) for n, r in done.rejected] + [(n, "conflict", r) for n, r in done.conflicts]
        for number, kind, reason in sorted(problems)[:20]:
            console.print(f"  row {number} {kind}: {reason}", soft_wrap=True)
        if rejected is not None:
            with rejected.open("w", encoding="utf-8", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(["row", "kind", "reason"])
                writer.writerows(sorted(problems))

    in_house(run)


@commands.command()
def read(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX, JSONL, or TXT with a text a line")],
    out: Annotated[Path, typer.Argument(help="JSONL to write: one object per text")],
    received_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of receipt for rows that carry none; default: today")
    ] = None,
) -> None:
    """Reads texts: kind, goods, problem, demands, facts, dangers, what is missing. No database, no network."""
    from app import learning

    today = (received_on or datetime.now(SHANGHAI)).date()
    with Bars() as bars:
        count = learning.read_file(file, out, today=today, progress=bars)
    console.print(f"{count} texts read into {out}")


@commands.command("codes")
def load_codes(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX: list,code,name,parent or from_list,from_code,to_list,to_code")],
    source: Annotated[str, typer.Option(help="Where the list comes from")],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The list's date")],
) -> None:
    """Loads code lists and cross-walks of one's own, e.g. 12345.problem codes for ours."""

    async def run(house: House) -> None:
        async with house.database.transaction() as connection:
            loaded = await codes.load_file(connection, sheets.read_table(file), source=source, as_of=as_of.date())
        console.print(f"{loaded[0]} codes, {loaded[1]} mappings loaded")

    in_house(run)


@export_app.command("labels")
def export_labels(out: Annotated[Path, typer.Option(help="JSONL to write")]) -> None:
    """Corrected readings as labelled texts, personal data masked: {text, kind, goods, problem, demands, dangers}. Logged."""

    async def run(house: House) -> None:
        found = await correcting.labels(house, actor="cli:export")
        out.write_text("".join(json.dumps(o, ensure_ascii=False) + "\n" for o in found), "utf-8")
        console.print(f"{len(found)} labelled texts written to {out}")

    in_house(run)


@export_app.command("directory")
def export_directory(
    kind: Kind, out: Out = None, on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None
) -> None:
    """A directory as it is valid on a day, as the sheet it can be loaded from again."""

    async def run(house: House) -> None:
        day = on.date() if on else datetime.now(SHANGHAI).date()
        async with house.database.connection() as connection:
            found = await directories.entries(connection, kind, on=day, limit=1_000_000)
        write_csv(out, *directories.sheet(kind, found))

    in_house(run)


Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


def _everything(source: str | None, first: datetime | None, last: datetime | None) -> reports.Scope:
    period = reports.Period(
        first.date() if first else date(2000, 1, 1), last.date() if last else datetime.now(UTC).astimezone(SHANGHAI).date()
    )
    return reports.Scope(period, ("complaint", "report", "other"), [str(d) for d in range(10)], None, source)


@export_app.command("incidents")
def export_incidents(
    out: Out = None, source: str | None = None, from_: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"])] = None,
    to: Day = None, min_people: int = 3, limit: int = reports.MAX_ROWS,
    members: Annotated[bool, typer.Option(help="One line per complaint: record_id,cluster_id, every incident included")] = False,
) -> None:  # fmt: skip
    """Incidents by distinct people, all lanes, with the members' external ids."""

    async def run(house: House) -> None:
        scope = _everything(source, from_, to)
        if members:
            async with house.database.connection() as connection:
                found = await connection.fetch(_MEMBERS, source)
            write_csv(out, ["record_id", "cluster_id"], [[r["external_id"], r["incident_id"]] for r in found])
            return
        async with house.database.reading(600) as connection:
            rows = await reports.incidents(connection, scope, minimum=min_people, limit=limit)
        async with house.database.connection() as connection:
            found = await connection.fetch(_MEMBERS, source)
        of: dict[Any, list[str]] = {}
        for r in found:
            of.setdefault(r["incident_id"], []).append(r["external_id"])
        write_csv(
            out,
            ["incident_id", "title", "state", "people", "complaints", "unidentified", "first_at", "last_at", "members"],
            [
                [
                    r["id"],
                    r["title"],
                    r["state"],
                    r["people"],
                    r["complaints"],
                    r["unidentified"],
                    r["first_at"],
                    r["last_at"],
                    " ".join(of[r["id"]]),
                ]
                for r in rows
            ],
        )

    in_house(run)


_MEMBERS = """
SELECT l.external_id, im.incident_id FROM incident_membership im JOIN matter m ON m.id = im.matter_id JOIN letter l ON l.id = m.letter_id
WHERE im.valid_to IS NULL AND im.is_primary AND m.sequence = 1 AND ($1::text IS NULL OR l.source = $1) ORDER BY m.event_at, m.id
"""


@export_app.command("repeat-complainants")
def export_repeat(
    out: Out = None, source: str | None = None, from_: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"])] = None,
    to: Day = None, min_complaints: int = 2, limit: int = reports.MAX_ROWS,
) -> None:  # fmt: skip
    """People with several complaints, all lanes. Ids and counts: no personal values."""

    async def run(house: House) -> None:
        async with house.database.reading(600) as connection:
            rows = await reports.repeat_complainants(
                connection, _everything(source, from_, to), minimum=min_complaints, limit=limit
            )
        names = ["id", "complaints", "copies", "incidents", "merchants", "open", "withdrawn", "problem", "first_at", "last_at"]
        write_csv(out, ["complainant_id", *names[1:]], [[r[n] for n in names] for r in rows])

    in_house(run)
