"""Artifacts from labelled or marked files, and figures by cross-validation."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.calendar import SHANGHAI
from app.cli.base import Bars, Columns, console, in_house
from app.triage import House

if TYPE_CHECKING:  # training and batch work load scikit-learn and DuckDB: only the commands that need them do
    from app import learning

commands = typer.Typer()
train_app = typer.Typer(no_args_is_help=True, help="Artifacts from labelled or marked texts.")
commands.add_typer(train_app, name="train")
evaluate_app = typer.Typer(no_args_is_help=True, help="Figures by cross-validation.")
commands.add_typer(evaluate_app, name="evaluate")


Labelled = Annotated[list[Path], typer.Option("--file", help="A file whose truth is known; may be given again")]


@train_app.command("merchants")
def train_merchants(out: Annotated[Path, typer.Argument(help="JSON to write: bits per level, readable")], file: Labelled) -> None:
    """Learns how to tell merchants from files with a column merchant_id. Use it with TRIAGE_MERCHANTS=OUT."""
    from app import matching

    with Bars() as bars:
        out.write_text(matching.train_merchants(file, progress=bars).to_json(), "utf-8")
    console.print(f"written to {out}")


@train_app.command("incidents")
def train_incidents(out: Annotated[Path, typer.Argument(help="JSON to write: bits per level, readable")], file: Labelled) -> None:
    """Learns how to tell incidents from files with a column incident_id. Use it with TRIAGE_INCIDENTS=OUT."""
    from app import matching
    from ml.merchants import shipped_scorecard

    with Bars() as bars:
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

    with Bars() as bars:
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

    in_house(run)
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
    with Bars() as bars:
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

    with Bars() as bars:
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
    with Bars() as bars:
        found = training.cross_validate(data.texts, data.labels, folds=folds, progress=bars)
    report = [learning.report(one, data.texts, mistakes=mistakes) for one in found]
    print(json.dumps({"duplicates_left_out": data.duplicates, "fields": report}, ensure_ascii=False, indent=1))  # noqa: T201


def _labelled(files: list[Path], text: str, label: str, header: bool, keep_duplicates: bool) -> "learning.Labelled":
    from app import learning

    return learning.read_labelled(
        files, text=text.split(","), labels=label.split(","), header=header, keep_duplicates=keep_duplicates
    )
