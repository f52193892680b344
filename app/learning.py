"""Labelled files in, artifacts with their cards and figures out. Offline: the command line alone uses it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import ml.reading
from app import importers, sheets
from app.codes import own_code
from app.errors import Invalid
from app.reading import missing_in_text
from ml import apprenticeship, classification, corpus, training
from ml.progress import Progress
from ml.reading import Reading
from ml.text import blank_personal, find_personal, normalise


@dataclass(frozen=True, slots=True)
class Labelled:
    """texts: normalised, personal data blanked. labels: field -> a label per text, None where the file has none."""

    texts: list[training.Text]
    labels: dict[str, list[str | None]]
    duplicates: int
    empty: int


def read_labelled(
    files: Sequence[Path], *, text: Sequence[str], labels: Sequence[str], header: bool = True, keep_duplicates: bool = False
) -> Labelled:  # fmt: skip
    """text: columns, joined; labels: columns, each a field. Without a header columns are named 1, 2, ... A text that
    comes again is left out: it would be asked about in one fold and told in another."""
    texts: list[training.Text] = []
    found: dict[str, list[str | None]] = {name: [] for name in labels}
    seen: set[str] = set()
    duplicates = empty = 0
    for row in (r for file in files for r in _rows(file, header)):
        if missing := [c for c in (*text, *labels) if c not in row]:
            raise Invalid.field("columns", f"{', '.join(missing)} not in the file; it has {', '.join(row)}")
        said = normalise(" ".join(row[c] for c in text if row[c]))
        given = [row[c].strip() or None for c in labels]
        if not said or not any(given):
            empty += 1
            continue
        said = blank_personal(said, find_personal(said))
        if said in seen and not keep_duplicates:
            duplicates += 1
            continue
        seen.add(said)
        texts.append(training.Text(said))
        for name, value in zip(labels, given, strict=True):
            found[name].append(value)
    for name, values in found.items():
        counts = Counter(v for v in values if v is not None)
        if len(counts) < 2:
            raise Invalid.field(name, f"needs at least two labels, has {', '.join(counts) or 'none'}")
        if rare := sorted(c for c, n in counts.items() if n < 2):
            raise Invalid.field(name, f"labels with a single text can't be learned: {', '.join(rare)}")
    return Labelled(texts, found, duplicates, empty)


def _rows(file: Path, header: bool) -> Iterator[dict[str, str]]:
    table = sheets.read_table(file)
    names: list[str] | None = None
    for cells in table:
        values = ["" if c is None else str(c) for c in cells]
        if names is None:
            names = [v.strip() for v in values] if header else [str(n) for n in range(1, len(values) + 1)]
            if header:
                continue
        yield dict(zip(names, values, strict=False))


def train(data: Labelled, out: Path, *, name: str, source: str, on: date, progress: Progress) -> list[training.Examined]:
    """Writes out/<name>.npz and .json with its card <name>.md, which says what cross-validation found."""
    examined = training.cross_validate(data.texts, data.labels, progress=progress)
    made = training.train(data.texts, data.labels, version=f"{name}-{on.isoformat()}", progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    classification.save(made, out / name)
    (out / f"{name}.md").write_text(card(made, data, examined, source=source, on=on), "utf-8")
    return examined


def card(
    made: classification.Classifier, data: Labelled, examined: Sequence[training.Examined], *, source: str, on: date
) -> str:  # fmt: skip
    """The model card: what it is for, what it was made of, how good it is and where it fails."""
    lines = [
        f"# {made.version}", "",
        "A linear classifier of complaint texts (`ml/classification.py`). It proposes; people decide.", "",
        f"- Made on {on.isoformat()} from {len(data.texts)} texts: {source}",
        f"- Left out: {data.duplicates} repeated, {data.empty} without text or label",
        f"- {len(made.vocabulary)} features; personal data blanked before any was made",
        "- Not for: texts of other kinds than its training texts, decisions without a person, languages other than Chinese", "",
    ]  # fmt: skip
    for one in examined:
        lines += [
            f"## {one.field}", "",
            f"{one.texts} texts, 5 folds split by text: macro-F1 {one.macro_f1:.3f}, accuracy {one.accuracy:.3f}, expected calibration "
            f"error {one.ece:.3f}; answers {one.coverage:.1%} of the texts, {one.accuracy_answered:.3f} of the answers right.", "",
            "| class | texts | F1 |", "|---|---|---|",
            *(f"| {c} | {sum(one.confusion[i])} | {one.f1[c]:.3f} |" for i, c in enumerate(one.classes)), "",
            "Most frequent confusions (truth → answer): "
            + "; ".join(f"{t} → {a} {n}" for n, t, a in _confusions(one)[:5]) + ".", "",
        ]  # fmt: skip
    return "\n".join(lines)


def _confusions(one: training.Examined) -> list[tuple[int, str, str]]:
    return sorted(
        ((n, one.classes[i], one.classes[j]) for i, row in enumerate(one.confusion) for j, n in enumerate(row) if i != j and n),
        reverse=True,
    )


def report(one: training.Examined, texts: Sequence[training.Text], *, mistakes: int) -> dict[str, Any]:
    """As JSON: figures, confusion and the costliest mistakes with the beginning of their texts."""
    return {
        "field": one.field, "texts": one.texts, "macro_f1": round(one.macro_f1, 4), "accuracy": round(one.accuracy, 4),
        "expected_calibration_error": round(one.ece, 4), "coverage": round(one.coverage, 4),
        "accuracy_answered": round(one.accuracy_answered, 4), "classes": list(one.classes),
        "f1": {k: round(v, 4) for k, v in one.f1.items()}, "confusion": [list(r) for r in one.confusion],
        "costliest": [
            {"truth": m.truth, "answer": m.answer, "probability": round(m.probability, 3), "cost": round(m.cost, 2), "text": texts[m.row].said[:80]}
            for m in one.mistakes[:mistakes]
        ],
    }  # fmt: skip


def train_engine(
    files: Sequence[Path], out: Path, *, version: str, examine_on: Path | None, on: date, progress: Progress
) -> dict[str, Any]:  # fmt: skip
    """The engine of reading from marked texts: classifier, danger judge, tagger, and the card that says how good they are
    on texts they have not seen."""
    marked = corpus.load(files)
    made = apprenticeship.train_engine(marked, out, version=version, progress=progress)
    examined = corpus.load([examine_on]) if examine_on else []
    found = apprenticeship.score(examined, apprenticeship.read_all(examined, made)) if examined else None
    (out / "reading.md").write_text(engine_card(version, files, marked, examined, found, on=on), "utf-8")
    return scores_of(found) if found else {}


def scores_of(found: apprenticeship.Score) -> dict[str, Any]:
    def table(counts: Mapping[str, apprenticeship.Counted]) -> dict[str, Any]:
        return {
            k: {"marks": c.right + c.missed, "precision": round(c.precision, 3), "recall": round(c.recall, 3)}
            for k, c in counts.items()
        }

    return {
        "macro_f1": {k: round(v, 3) for k, v in found.macro_f1.items()},
        "expected_calibration_error": {k: round(v, 3) for k, v in found.ece.items()},
        "demands": table(found.demands), "facts": table(found.facts), "dangers": table(found.dangers),
    }  # fmt: skip


def engine_card(
    version: str, files: Sequence[Path], marked: Sequence[corpus.Marked], examined: Sequence[corpus.Marked], found: apprenticeship.Score | None,
    *, on: date,
) -> str:  # fmt: skip
    spans = sum(m.spans for m in marked)
    lines = [
        f"# The engine of reading, {version}", "",
        "What it is: a linear classifier (kind, goods, problem, department, demands), a logistic judge of danger candidates and a "
        "conditional random field for names, money, days and people. It proposes; people decide, and their corrections bind.", "",
        f"- Made on {on.isoformat()} from {len(marked)} made-up texts ({', '.join(f.name for f in files)}); {spans} of them with facts and dangers marked",
        "- Written for this project in the style of real complaints: no real person's words, names or numbers are in it",
        "- Personal data is blanked before any feature is made, so no parameter can hold it",
        "- Not for: decisions without a person, languages other than Chinese, texts that are no complaints, reports or enquiries", "",
    ]  # fmt: skip
    if found is not None:
        scores = scores_of(found)
        lines += [
            f"## On {len(examined)} texts it was not made of",
            "",
            "| field | macro-F1 | calibration error |",
            "|---|---|---|",
        ]
        lines += [f"| {k} | {v:.3f} | {found.ece[k]:.3f} |" for k, v in scores["macro_f1"].items()]
        for name in ("demands", "facts", "dangers"):
            lines += ["", f"| {name} | marks | precision | recall |", "|---|---|---|---|"]
            lines += [f"| {k} | {v['marks']} | {v['precision']:.3f} | {v['recall']:.3f} |" for k, v in scores[name].items()]
    return "\n".join(lines) + "\n"


# -- reading files

_TEXT = (("text",), ("诉求内容",), ("留言主题", "留言详情"), ("工单标题", "工单内容"), ("内容",), ("content",), ("具体问题",))
_ID = ("id", "external_id", "登记编号", "留言编号", "工单编号", "record_id", "编号")
_DAY = ("day", "received_on", "received_at", "filed_at", "登记时间", "留言时间", "受理时间", "来电时间", "date")
_PRODUCT = ("product", "商品名称", "商品/服务名称")
_CATEGORY = {"goods": ("客体类别全称", "客体类别"), "problem": ("问题类别全称", "问题类别")}


def texts_of(file: Path, today: date) -> Iterator[dict[str, Any]]:
    """{id, text, day, product, categories} of every row: known columns are found by name; a plain text file holds a text
    a line."""
    if file.suffix.lower() == ".txt":
        for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
            yield {"id": str(number), "text": line, "day": today, "product": "", "categories": {}}
        return
    for number, row in enumerate(_rows(file, True), 1):
        columns = next((c for c in _TEXT if c[-1] in row), None)
        if columns is None:
            raise Invalid.field("columns", f"no column of text among {', '.join(row)}; name it text")
        moment = importers.parse_time(_first(row, _DAY)) if _first(row, _DAY) else None
        yield {
            "id": _first(row, _ID) or str(number), "text": "。".join(row[c] for c in columns if row.get(c)),
            "day": moment.date() if moment else today, "product": _first(row, _PRODUCT),
            "categories": {k: v for k, names in _CATEGORY.items() if (v := _first(row, names))},
        }  # fmt: skip


def _first(row: Mapping[str, str], names: Sequence[str]) -> str:
    return next((row[n].strip() for n in names if row.get(n)), "")


def read_file(file: Path, out: Path, *, today: date, progress: Progress) -> int:
    """One JSON object per text of the file; gives how many."""
    rows = list(texts_of(file, today))
    with out.open("w", encoding="utf-8") as handle:
        for done, row in enumerate(rows):
            filed = {n: c for n, v in row["categories"].items() if (c := own_code(n, v, {}))}
            found = ml.reading.read(row["text"], on=row["day"], product=row["product"], categories=filed)
            handle.write(
                json.dumps({"id": row["id"], **told(row["text"], found)}, ensure_ascii=False).encode("utf-8", "replace").decode()
                + "\n"
            )
            if done % 50 == 0:
                progress("read", done, len(rows))
    progress("read", len(rows), len(rows))
    return len(rows)


# What a fact is called where only one counts, and what its list is called.
_ONE = {
    "date": "event_date", "order_no": "order_no", "lot_no": "lot_no", "approval_no": "approval_no", "licence_no": "licence_no", "uscc": "uscc",
    "ticket": "earlier_ticket", "platform": "platform", "merchant": "merchant", "shop": "shop", "place": "place", "product": "product",
    "brand": "brand", "people": "people",
}  # fmt: skip
_MANY = {
    "amount": "amounts_fen",
    "claim": "claims_fen",
    "date": "dates",
    "ticket": "earlier_tickets",
    "order_no": "order_nos",
} | {n: f"{n}s" for n in ("merchant", "place", "product", "platform")}


def told(text: str, found: Reading) -> dict[str, Any]:
    """A reading as plain JSON; spans are code points of the text."""
    facts: dict[str, Any] = {}
    if found.amount_fen is not None:
        facts["amount_fen"] = found.amount_fen
    for kind, name in _ONE.items():
        value = found.event_date.isoformat() if kind == "date" and found.event_date else found.fact(kind)
        if value is not None:
            facts[name] = value
    for kind, name in _MANY.items():
        if values := found.values(kind):
            facts[name] = values
    return {
        "kind": found.kind, "probability": found.probability, "department": found.department, "goods": found.goods, "problem": found.problem,
        "issues": list(found.issues), "demands": list(found.demands), "punitive": found.punitive, "facts": facts,
        "fact_spans": [{"type": f.type, "value": f.value, "span": [f.start, f.end]} for f in found.facts],
        "dangers": [
            {"type": d.type, "severity": d.severity, "span": [d.start, d.end], "word": text[d.start : d.end], "probability": d.probability}
            for d in found.dangers
        ],
        "signals": [{"type": s.type, "span": [s.start, s.end], "word": text[s.start : s.end]} for s in found.signals],
        "missing": list(missing_in_text(found)), "evidence": list(found.evidence), "tags": list(found.tags),
        "flags": [{"type": f.name, "span": [f.start, f.end]} for f in found.flags],
        "by": {name: a.by for name, a in found.answers.items()},
        "reasons": {name: list(a.words) for name, a in found.answers.items() if a.words},
        "disagreements": [{"field": f, "operator": o, "read": r} for f, o, r in found.disagreements],
        "versions": dict(found.versions),
    }  # fmt: skip
