"""`triage`: serve, worker, migrate, demo, import, export, read, link, relink, retokenise, train, evaluate, codes, policy, backtest,
clock, load-calendar, token."""

import asyncio
import csv
import gc
import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from app import (
    calendar,
    codes,
    complainants,
    correcting,
    directories,
    drafting,
    drawing,
    identity,
    importers,
    importing,
    incidents,
    merchants,
    policy,
    redating,
    reports,
    sheets,
    supervisor,
    templates,
    terms,
)
from app import demo as demonstration
from app.calendar import SHANGHAI
from app.database import Database
from app.database import migrate as migrate_schema
from app.embedded import EmbeddedPostgres
from app.errors import Invalid, TriageError
from app.policy import proving
from app.policy import sheets as policy_sheets
from app.privacy import Vault, load_keys
from app.settings import Settings
from app.triage import House

if TYPE_CHECKING:  # training and batch work load scikit-learn and DuckDB: only the commands that need them do
    from app import learning

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
token_app = typer.Typer(no_args_is_help=True, help="Access tokens: opaque, stored as hashes, shown once.")
export_app = typer.Typer(no_args_is_help=True, help="Reports as CSV.")
train_app = typer.Typer(no_args_is_help=True, help="Artifacts from labelled or marked texts.")
evaluate_app = typer.Typer(no_args_is_help=True, help="Figures by cross-validation.")
template_app = typer.Typer(
    no_args_is_help=True, help="Templates of official documents; a bureau's own take the shipped ones' place."
)
link_app = typer.Typer(no_args_is_help=True, help="Files in, files out: who or what belongs together. Never touches the store.")
app.add_typer(token_app, name="token")
app.add_typer(link_app, name="link")
app.add_typer(train_app, name="train")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(export_app, name="export")
app.add_typer(template_app, name="template")
console = Console(stderr=True)


def main() -> None:
    """Facts are told in a line; only faults of ours show a trace."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        app()
    except TriageError as error:
        console.print(f"[red]{error.title}[/]: {error.detail}", soft_wrap=True)
        for one in error.errors:
            console.print(f"  {one['field']}: {one['message']}", soft_wrap=True)
        sys.exit(1)
    except (DBAPIError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        console.print(f"[red]The database can't be used[/]: {reason}", soft_wrap=True)
        sys.exit(1)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            console.print(f"[red]setting {'.'.join(str(p) for p in problem['loc'])}[/]: {problem['msg']}")
        sys.exit(1)


# -- what commands stand on


@contextmanager
def _database(settings: Settings, *, exclusive: bool = False) -> Iterator[tuple[str, str, EmbeddedPostgres | None]]:
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


def _migrate(settings: Settings, url: str, owner: str) -> None:
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
async def _house(settings: Settings, url: str) -> AsyncIterator[House]:
    database = Database(url, pool_size=settings.pool_size)
    try:
        yield await House.open(settings, database, Vault(load_keys(settings)))
    finally:
        await database.close()


def _in_house(work: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    settings = Settings()
    with _database(settings) as (url, owner, bundled):
        if bundled is not None and bundled.owned:
            _migrate(settings, url, owner)

        async def run() -> None:
            async with _house(settings, url) as house:
                await work(house)

        asyncio.run(run())


class _Bars:
    """Progress bars on standard error, one per stage."""

    _LABELS = {"receive": "receiving", "triage": "triaging", "settle": "settling"}  # noqa: RUF012 - never written

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(self._LABELS.get(stage, stage), total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


# -- running


@app.command()
def serve(
    with_demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Load the demo into an empty bundled database")] = True,
) -> None:
    """Starts everything: the bundled database (unless DATABASE_URL is set), web processes and a worker."""
    settings = Settings()
    listener = supervisor.listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    with _database(settings, exclusive=True) as (url, owner, bundled):
        if bundled is not None or settings.migration_database_url is not None:
            _migrate(settings, url, owner)
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
    async with _house(settings, url) as house:
        if not marker.exists():
            console.print("Loading the demo: 5,000 made-up complaints of 90 days in Hubei (once, about a minute)")
            with _Bars() as bars:
                await demonstration.load(house, count=5000, days=90, seed=12315, progress=bars)
            marker.touch()
        return list(await demonstration.tokens(house, settings.data / "demo-tokens.json"))


@app.command(hidden=True)
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


@app.command()
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
    with _database(settings) as (url, _, _):

        async def run() -> None:
            stop = asyncio.Event()
            for sent in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(sent, stop.set)
            async with _house(settings, url) as house:
                await work.run(house, stop=stop)

        uvloop.run(run())


@app.command()
def migrate() -> None:
    """Brings the schema to head as the owner, grants rights, loads shipped codes, calendar and policy."""
    settings = Settings()
    with _database(settings) as (url, owner, _):
        _migrate(settings, url, owner)
    console.print("migrated")


@app.command("demo")
def load_demo(
    count: int = 5000,
    days: int = 90,
    seed: int = 12315,
) -> None:
    """Loads made-up complaints and prints a token per role."""

    async def run(house: House) -> None:
        with _Bars() as bars:
            await demonstration.load(house, count=count, days=days, seed=seed, progress=bars)
        house.settings.data.mkdir(parents=True, exist_ok=True)
        for role, token in await demonstration.tokens(house, house.settings.data / "demo-tokens.json"):
            print(f"{role}: {token}")  # noqa: T201

    _in_house(run)


# -- linking


Columns = Annotated[str | None, typer.Option(help="ours=theirs,...; several joined: name=first_name+surname")]
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
    with _Bars() as bars:
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
    with _Bars() as bars:
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
    with _Bars() as bars:
        found = matching.link_incidents(
            file, out, columns=linking.parse_columns(columns, tuple(matching.FIELDS)), merchant_scorecard=merchant_scorecard(),
            scorecard=card, online=online, progress=bars,
        )  # fmt: skip
    console.print(f"{found[0]} complaints, {found[1]} incidents; written to {out}")


Labelled = Annotated[list[Path], typer.Option("--file", help="A file whose truth is known; may be given again")]


@train_app.command("merchants")
def train_merchants(out: Annotated[Path, typer.Argument(help="JSON to write: bits per level, readable")], file: Labelled) -> None:
    """Learns how to tell merchants from files with a column merchant_id. Use it with TRIAGE_MERCHANTS=OUT."""
    from app import matching

    with _Bars() as bars:
        out.write_text(matching.train_merchants(file, progress=bars).to_json(), "utf-8")
    console.print(f"written to {out}")


@train_app.command("incidents")
def train_incidents(out: Annotated[Path, typer.Argument(help="JSON to write: bits per level, readable")], file: Labelled) -> None:
    """Learns how to tell incidents from files with a column incident_id. Use it with TRIAGE_INCIDENTS=OUT."""
    from app import matching
    from ml.merchants import shipped_scorecard

    with _Bars() as bars:
        made = matching.train_incidents(file, shipped_scorecard(), progress=bars)
        out.write_text(made.to_json(), "utf-8")
    console.print(f"written to {out}")


@train_app.command("linkage")
def train_linkage(
    out: Annotated[Path, typer.Argument(help="JSON to write: m, chance and bits per level, readable")],
    file: Annotated[Path | None, typer.Option(help="Records to train on; default: the store's own")] = None,
    columns: Columns = None,
) -> None:
    """Trains the linkage's parameters by expectation maximisation, without labels. Use them with TRIAGE_LINKAGE=OUT."""
    from app import linking
    from ml import linkage as engine

    with _Bars() as bars:
        if file is not None:
            made, report = linking.train_on_file(file, columns=linking.parse_columns(columns), progress=bars)
        else:
            made, report = _trained_on_store(bars)
    out.write_text(json.dumps(engine.to_json(made), ensure_ascii=False, indent=1) + "\n", "utf-8")
    for session, pairs in report.pairs.items():
        console.print(f"{session}: {pairs} pairs, {report.shares[session]:.1%} of them one person's")
    if report.rare:
        console.print(
            f"[yellow]too few pairs to train, taken from what was believed before[/]: {', '.join(report.rare)}", soft_wrap=True
        )
    console.print(f"written to {out}: {made.version}, joins at {made.join_bits:.1f} bits")


def _trained_on_store(bars: Callable[[str, int, int], None]) -> Any:
    from app import linking, relinking

    found: list[Any] = []

    async def run(house: House) -> None:
        snapshot = await relinking.read_store(house)
        found.append(linking.learn(snapshot.records, source="the store's own records", progress=bars))

    _in_house(run)
    return found[0]


Found = Annotated[Path, typer.Argument(help="record_id,cluster_id, as `triage link` writes it")]
TruthFile = Annotated[Path | None, typer.Option("--truth", help="A file with the records' true cluster")]
Against = Annotated[
    Path | None, typer.Option(help="Another clustering of the same records: online against batch, before against after")
]


@evaluate_app.command("linkage")
def evaluate_linkage(
    found: Found, truth: TruthFile = None, truth_column: Annotated[str, typer.Option(help="Its column")] = "person_id", against: Against = None
) -> None:  # fmt: skip
    """Pair and B-cubed precision, recall and F1, the largest cluster; against another clustering co-clustered-pair F1 and the share of
    records that kept their cluster's id. JSON on standard output."""
    _evaluate(found, truth, [truth_column, "person_id", "cluster_id", "cluster"], against)


@evaluate_app.command("incidents")
def evaluate_incidents(
    found: Found, truth: TruthFile = None, truth_column: Annotated[str, typer.Option(help="Its column")] = "incident_id", against: Against = None
) -> None:  # fmt: skip
    """The same of incidents."""
    _evaluate(found, truth, [truth_column, "incident_id", "cluster_id", "cluster"], against)


@evaluate_app.command("merchants")
def evaluate_merchants(
    found: Found, truth: TruthFile = None, truth_column: Annotated[str, typer.Option(help="Its column")] = "merchant_id", against: Against = None
) -> None:  # fmt: skip
    """The same of merchants, over the complaints for which one was found."""
    _evaluate(found, truth, [truth_column, "merchant_id", "cluster_id", "cluster"], against)


def _evaluate(found: Path, truth: Path | None, columns: list[str], against: Path | None) -> None:
    from app import linking
    from ml import evaluation

    clusters = {r: c for r, c in linking.read_clusters(found, ["cluster_id"]).items() if c}
    report: dict[str, Any] = {"records": len(clusters)}
    if truth is not None:
        true = linking.read_clusters(truth, columns)
        both = [r for r in clusters if r in true]
        if not both:
            raise typer.BadParameter("no record id stands in both files")
        s = evaluation.score([clusters[r] for r in both], [true[r] for r in both])
        names = ("precision", "recall", "f1")
        report |= {
            "compared": len(both), "clusters": s.clusters, "largest": s.largest,
            "b_cubed": dict(zip(names, (round(v, 4) for v in s.b_cubed), strict=True)),
            "pairs": dict(zip(names, (round(v, 4) for v in s.pairs), strict=True)),
        }  # fmt: skip
    if against is not None:
        other = linking.read_clusters(against, ["cluster_id"])
        both = [r for r in clusters if r in other]
        agreed = evaluation.pairs([clusters[r] for r in both], [other[r] for r in both])
        report["against"] = {
            "compared": len(both), "co_clustered_pair_f1": round(evaluation.f1(*agreed), 4), "ids_kept": round(evaluation.kept(other, clusters), 4)
        }  # fmt: skip
    print(json.dumps(report, ensure_ascii=False, indent=1))  # noqa: T201


def _run_id(given: str) -> uuid.UUID:
    try:
        return uuid.UUID(given)
    except ValueError:
        raise typer.BadParameter("--undo takes a run's id") from None


@app.command()
def relink(
    undo: Annotated[str | None, typer.Option(help="Take a run back as a whole, by its id")] = None,
    actor: Annotated[str, typer.Option(help="Who runs it, for the record")] = "cli:relink",
) -> None:
    """Decides anew who is one person, over the whole store. Ids stay, corrections bind, the service goes on meanwhile."""
    from app import relinking

    async def run(house: House) -> None:
        if undo is not None:
            run_id = _run_id(undo)
            async with house.database.transaction() as connection:
                done = await complainants.undo(connection, run_id, actor=actor)
            console.print(
                f"{done['records']} records back where they were, {done['left']} moved since and left; run {done['undo_id']}"
            )
            return
        with _Bars() as bars:
            done = await relinking.relink(house, actor=actor, progress=bars)
        console.print(
            f"{done['records']} records: {done['moved']} moved, {done['merged']} complainants merged, {done['opened']} opened, "
            f"{done['skipped']} groups left to the next run; undo with --undo {done['run_id']}"
        )

    _in_house(run)


@app.command()
def regroup(
    undo: Annotated[str | None, typer.Option(help="Take a run back as a whole, by its id")] = None,
    actor: Annotated[str, typer.Option(help="Who runs it, for the record")] = "cli:regroup",
) -> None:
    """Decides anew what is one incident, over all that is open. Ids stay, corrections bind, the service goes on meanwhile."""
    from app import regrouping

    async def run(house: House) -> None:
        if undo is not None:
            run_id = _run_id(undo)
            async with house.database.transaction() as connection:
                done = await incidents.undo(connection, house.reader.tokeniser, run_id, actor=actor)
            console.print(
                f"{done['matters']} matters back where they were, {done['left']} moved since and left; run {done['undo_id']}"
            )
            return
        with _Bars() as bars:
            done = await regrouping.regroup(house, actor=actor, progress=bars)
        console.print(
            f"{done['matters']} matters: {done['moved']} moved, {done['merged']} incidents merged, {done['opened']} opened, "
            f"{done['skipped']} groups left to the next run; undo with --undo {done['run_id']}"
        )

    _in_house(run)


@app.command()
def retokenise() -> None:
    """Makes tokens of another version or key anew. Beside the service; a killed run goes on where it stopped."""
    from app import relinking

    async def run(house: House) -> None:
        with _Bars() as bars:
            done = await relinking.retokenise(house, progress=bars)
        console.print(f"{done} records have new tokens" + ("; `triage relink` joins what they show" if done else ""))

    _in_house(run)


# -- files in and out


@app.command("import-merchants")
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
        with _Bars() as bars:
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
            _write(problems, ["line", "field", "message"], rows)

    _in_house(run)


Kind = Annotated[str, typer.Argument(help=f"One of {', '.join(directories.DIRECTORIES)}")]


@app.command("import-directory")
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
            _write(problems, ["line", "field", "message"], [[p.line, p.field, p.message] for p in done.problems])

    _in_house(run)


@app.command("import")
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
        with _Bars() as bars:
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

    _in_house(run)


@app.command()
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
    with _Bars() as bars:
        count = learning.read_file(file, out, today=today, progress=bars)
    console.print(f"{count} texts read into {out}")


Files = Annotated[list[Path], typer.Argument(help="CSV, XLSX or JSONL; several are one set")]
TextColumns = Annotated[str, typer.Option("--text", help="Columns of the text, joined: a,b")]
LabelColumns = Annotated[str, typer.Option("--label", help="Columns of labels, each a field of its own: a,b")]
Header = Annotated[bool, typer.Option("--header/--no-header", help="Without a header columns are 1, 2, ...")]
KeepDuplicates = Annotated[bool, typer.Option(help="Repeated texts are left out unless this is given")]


@train_app.command("classifier")
def train_classifier(
    files: Files, text: TextColumns = "text", label: LabelColumns = "label", header: Header = True, keep_duplicates: KeepDuplicates = False,
    out: Annotated[Path, typer.Option(help="Folder for NAME.npz, NAME.json and the card NAME.md")] = Path(),
    name: Annotated[str, typer.Option(help="Name of the artifact")] = "classifier",
    source: Annotated[str, typer.Option(help="Where the labels come from, for the card")] = "labelled files of one's own",
) -> None:  # fmt: skip
    """Trains a classifier on labelled texts of one's own, examines it by cross-validation and writes its card."""
    from app import learning

    data = _labelled(files, text, label, header, keep_duplicates)
    with _Bars() as bars:
        examined = learning.train(data, out, name=name, source=source, on=datetime.now(SHANGHAI).date(), progress=bars)
    for one in examined:
        console.print(f"{one.field}: macro-F1 {one.macro_f1:.3f}, calibration error {one.ece:.3f}, {one.texts} texts")
    console.print(f"written to {out / name}.npz, .json and .md")


@train_app.command("reading")
def train_reading(
    files: Annotated[list[Path], typer.Argument(help="Marked texts (JSONL, see ml/texts)")],
    out: Annotated[Path, typer.Option(help="Folder for the artifacts")],
    examine_on: Annotated[Path | None, typer.Option(help="Marked texts to score on that are not trained on")] = None,
    version: Annotated[str, typer.Option()] = "reading-1",
) -> None:
    """Trains the engine of reading: classifier, judge of dangers, tagger."""
    from app import learning

    with _Bars() as bars:
        scores = learning.train_engine(
            files, out, version=version, examine_on=examine_on, on=datetime.now(SHANGHAI).date(), progress=bars
        )
    print(json.dumps(scores, ensure_ascii=False, indent=1))  # noqa: T201


@evaluate_app.command("classifier")
def evaluate_classifier(
    files: Files, text: TextColumns = "text", label: LabelColumns = "label", header: Header = True, keep_duplicates: KeepDuplicates = False,
    folds: Annotated[int, typer.Option(min=2, max=20)] = 5, mistakes: Annotated[int, typer.Option(min=0)] = 10,
) -> None:  # fmt: skip
    """Cross-validates on labelled texts: macro-F1, calibration, confusion, the costliest errors. JSON on standard output."""
    from app import learning
    from ml import training

    data = _labelled(files, text, label, header, keep_duplicates)
    with _Bars() as bars:
        found = training.cross_validate(data.texts, data.labels, folds=folds, progress=bars)
    report = [learning.report(one, data.texts, mistakes=mistakes) for one in found]
    print(json.dumps({"duplicates_left_out": data.duplicates, "fields": report}, ensure_ascii=False, indent=1))  # noqa: T201


def _labelled(files: list[Path], text: str, label: str, header: bool, keep_duplicates: bool) -> "learning.Labelled":
    from app import learning

    return learning.read_labelled(
        files, text=text.split(","), labels=label.split(","), header=header, keep_duplicates=keep_duplicates
    )


@app.command("codes")
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

    _in_house(run)


@export_app.command("labels")
def export_labels(out: Annotated[Path, typer.Option(help="JSONL to write")]) -> None:
    """Corrected readings as labelled texts, personal data masked: {text, kind, goods, problem, demands, dangers}. Logged."""

    async def run(house: House) -> None:
        found = await correcting.labels(house, actor="cli:export")
        out.write_text("".join(json.dumps(o, ensure_ascii=False) + "\n" for o in found), "utf-8")
        console.print(f"{len(found)} labelled texts written to {out}")

    _in_house(run)


Out = Annotated[Path | None, typer.Option(help="File to write; standard output otherwise")]


@export_app.command("directory")
def export_directory(
    kind: Kind, out: Out = None, on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None
) -> None:
    """A directory as it is valid on a day, as the sheet it can be loaded from again."""

    async def run(house: House) -> None:
        day = on.date() if on else datetime.now(SHANGHAI).date()
        async with house.database.connection() as connection:
            found = await directories.entries(connection, kind, on=day, limit=1_000_000)
        _write(out, *directories.sheet(kind, found))

    _in_house(run)


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
            _write(out, ["record_id", "cluster_id"], [[r["external_id"], r["incident_id"]] for r in found])
            return
        async with house.database.reading(600) as connection:
            rows = await reports.incidents(connection, scope, minimum=min_people, limit=limit)
        async with house.database.connection() as connection:
            found = await connection.fetch(_MEMBERS, source)
        of: dict[Any, list[str]] = {}
        for r in found:
            of.setdefault(r["incident_id"], []).append(r["external_id"])
        _write(
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

    _in_house(run)


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
        _write(out, ["complainant_id", *names[1:]], [[r[n] for n in names] for r in rows])

    _in_house(run)


def _write(out: Path | None, header: list[str], rows: list[list[Any]]) -> None:
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


# -- templates of documents

Form = Annotated[int, typer.Argument(min=1, max=10, help="Number of the official form (文书式样)")]


@template_app.command("list")
def template_list() -> None:
    """Form, jurisdiction (- for the shipped ones), first day, hash, who put it there, title."""

    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            found = (await templates.load(connection)).all
        for t in sorted(found, key=lambda t: (t.form, t.jurisdiction, t.valid_from)):
            print(t.form, t.jurisdiction or "-", t.valid_from, t.hash, t.by, drawing.FORMS[t.form].title)  # noqa: T201

    _in_house(run)


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

    _in_house(run)


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

    _in_house(run)


# -- policies

policy_app = typer.Typer(no_args_is_help=True, help="Which track, and why: versions, drafts, publication, what stands open.")
app.add_typer(policy_app, name="policy")
Token = Annotated[
    str,
    typer.Option(
        envvar="TRIAGE_TOKEN", prompt=True, hide_input=True, help="Of a person with role policy; asked for where it is not set"
    ),
]
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


async def _who(house: House, token: str) -> identity.Principal:
    return await identity.Identity(house.database).authenticate(token)


@policy_app.command("list")
def policy_list() -> None:
    """All versions, newest first: state, place, author, from when."""

    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            found = await drafting.versions(connection, limit=1000)
        for one in found:
            days = ",".join(a["valid_from"] for a in one["acts"] if a["act"] == "published") or "-"
            print(one["hash"], one["state"], one["jurisdiction"], one["author"], days, one["name"])  # noqa: T201

    _in_house(run)


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

    _in_house(run)


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

    _in_house(run)


@policy_app.command("draft")
def policy_draft(file: Path, token: Token, note: str | None = None) -> None:
    """Keeps a file as a version and proposes it. Another person publishes it."""

    async def run(house: House) -> None:
        principal = await _who(house, token)
        tabled, report = await _proved(house, file)
        if report.errors:
            raise policy.refused(report.errors, tabled.cell)
        made = await drafting.draft(house, principal, tabled.content, note=note)
        print(f"{made['hash']} {made['state']}, {len(made['warnings'])} warnings")  # noqa: T201

    _in_house(run)


@policy_app.command("propose")
def policy_propose(version: str, token: Token, note: str | None = None) -> None:
    """Proposes a version that is kept already: the first half of a roll-back."""

    async def run(house: House) -> None:
        shown = await drafting.propose(house, await _who(house, token), version, note=note)
        print(shown["hash"], shown["state"])  # noqa: T201

    _in_house(run)


@policy_app.command("publish")
def policy_publish(
    version: str, token: Token, note: str | None = None,
    from_: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day it holds; default: today in Shanghai")] = None,
) -> None:  # fmt: skip
    """Publishes a version that another person proposed and that was back-tested."""

    async def run(house: House) -> None:
        day = from_.date() if from_ else calendar.local_day(datetime.now(UTC))
        shown = await drafting.publish(house, await _who(house, token), version, day, note=note)
        print(shown["hash"], shown["state"], day)  # noqa: T201

    _in_house(run)


@policy_app.command("open-questions")
def policy_open_questions(version: VersionOrFile = "in-force", out: Out = None) -> None:
    """What of a version is a design choice or unverified, with its source: for the legal officer to confirm. CSV."""

    async def run(house: House) -> None:
        found = proving.open_questions(await _chosen(house, version))
        names = ["part", "id", "text", "value", "status", "status_label", "source"]
        _write(out, names, [[q[n] if q[n] is not None else "" for n in names] for q in found])

    _in_house(run)


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

    _in_house(run)


@app.command()
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

    _in_house(run)


# -- small things


@app.command()
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
        _in_house(run)
    else:
        tell(calendar.shipped_calendar(terms.load(Settings().terms)))


@app.command("load-calendar")
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
        _write(out, ["matter_id", "key", "old", "new"], [[c.matter_id, c.key, c.old, c.new] for c in done.changed])

    _in_house(run)


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

    _in_house(run)


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

    _in_house(run)


@token_app.command("revoke")
def token_revoke(subject: str) -> None:
    """All tokens of a subject; they stop within seconds."""

    async def run(house: House) -> None:
        async with house.database.connection() as connection:
            console.print(f"{await identity.revoke(connection, subject)} revoked")

    _in_house(run)


if __name__ == "__main__":
    main()
