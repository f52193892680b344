"""Files in, files out: what `triage link`, `train linkage` and `evaluate linkage` do with files good and bad."""

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from app import linking
from app.cli import app as command_line
from app.errors import TriageError
from ml import batch, evaluation, linkage
from ml.linkage import shipped_parameters
from ml.synthetic.people import NOISES, people, write

RUN = CliRunner()
ROWS = [
    {"record_id": "a", "name": "张小明", "phone": "13987650123", "district": "洪山区"},
    {"record_id": "b", "name": "李国华", "phone": "15987654321", "district": "江岸区"},
    {"record_id": "c", "name": "张晓明", "phone": "+86 139 8765 0123", "district": ""},
    {"record_id": "d", "name": "x" * 200, "phone": "没有电话", "district": ""},
    {"record_id": "e", "name": "", "phone": "", "district": ""},
]


def table(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def clusters(path: Path) -> dict[str, str]:
    return {r["record_id"]: r["cluster_id"] for r in csv.DictReader(path.read_text("utf-8").splitlines())}


def link(path: Path, out: Path, *arguments: str) -> dict[str, str]:
    done = RUN.invoke(command_line, ["link", "complainants", str(path), str(out), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert out.read_text("utf-8").startswith("record_id,cluster_id\n")
    return clusters(out)


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(linkage.to_json(shipped_parameters())), "utf-8")
    return path


@pytest.mark.parametrize("kind", ["csv", "gbk.csv", "jsonl", "xlsx", "parquet"])
def test_every_kind_of_file_gives_the_same_clusters_in_its_order(tmp_path: Path, parameters: Path, kind: str) -> None:
    path = tmp_path / f"in.{kind}"
    if kind == "csv":
        table(path, ROWS)
    elif kind == "gbk.csv":
        table(path, ROWS, "gb18030")
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS), "utf-8")
    elif kind == "xlsx":
        from openpyxl import Workbook

        book = Workbook()
        book.active.append(list(ROWS[0]))  # type: ignore[union-attr]
        for row in ROWS:
            book.active.append(list(row.values()))  # type: ignore[union-attr]
        book.save(path)
    else:
        duckdb.sql(
            f"COPY (SELECT * FROM read_csv('{table(tmp_path / 'in.csv', ROWS)}', all_varchar = true)) TO '{path}' (FORMAT parquet)"
        )
    found = link(path, tmp_path / "out.csv", "--parameters", str(parameters))
    assert list(found) == ["a", "b", "c", "d", "e"]
    assert found["a"] == found["c"]
    assert len(set(found.values())) == 4


def test_columns_of_another_name(tmp_path: Path, parameters: Path) -> None:
    rows = [
        {"key": n, "first": f, "last": s, "born": b, "code": c}
        for n, f, s, b, c in (
            ("1", "thomas", "chudleigh", "1630-08-01", "tq13 8df"), ("2", "thomas", "chudleigh", "1630-08-11", "tq13 8df"),
            ("3", "emlie", "clifford", "1861-01-01", "wr11 7qp"), ("4", "thomaz", "chudleigh", "1630-08-01", "tq13 8hu"),
        )
    ]  # fmt: skip
    path = table(tmp_path / "in.csv", rows)
    columns = "record_id=key,name=first+last,birth_date=born,postcode=code"
    found = link(path, tmp_path / "out.csv", "--columns", columns, "--parameters", str(parameters))
    assert found["1"] == found["2"] == found["4"] != found["3"]


def test_online_feeds_one_by_one_and_agrees(tmp_path: Path, parameters: Path) -> None:
    path = tmp_path / "in.parquet"
    write(people(600, 9), path)
    batched = link(path, tmp_path / "batch.csv", "--parameters", str(parameters))
    online = link(path, tmp_path / "online.csv", "--online", "--parameters", str(parameters))
    assert list(online) == list(batched)
    both = [(online[r], batched[r]) for r in online]
    assert evaluation.f1(*evaluation.pairs([o for o, _ in both], [b for _, b in both])) >= 0.97
    done = RUN.invoke(
        command_line,
        ["evaluate", "linkage", str(tmp_path / "online.csv"), "--truth", str(path), "--against", str(tmp_path / "batch.csv")],
    )
    told = json.loads(done.output)
    assert told["records"] == told["compared"] == 600
    assert 0.9 <= told["b_cubed"]["f1"] <= 1
    assert told["against"]["co_clustered_pair_f1"] >= 0.97
    assert set(told["pairs"]) == {"precision", "recall", "f1"}


def test_training_says_what_too_few_pairs_trained(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    write(people(4000, 12), path)
    out = tmp_path / "made.json"
    done = RUN.invoke(command_line, ["train", "linkage", str(out), "--file", str(path)], catch_exceptions=False)
    assert done.exit_code == 0
    made = json.loads(out.read_text("utf-8"))
    assert made["comparisons"]["phone"]["PHONE"]["pairs"] > 100
    assert made["comparisons"]["account"]["ACCOUNT"]["pairs"] == 0
    assert 0.5 < made["comparisons"]["name"]["NAME"]["m"] < 1
    assert linkage.compiled(linkage.load(out)).join > 0


@pytest.mark.parametrize(
    ("rows", "columns", "field"),
    [
        ([{"id": "1", "name": "张小明"}, {"id": "1", "name": "李国华"}], None, "record_id"),
        ([{"id": "1", "x": "张小明"}], None, "columns"),
        ([{"id": "1", "name": "张小明"}], "phone=tel", "columns"),
        ([{"id": "1", "name": "张小明"}], "colour=name", "columns"),
    ],
)
def test_a_file_that_can_not_be_linked_names_what_is_wrong(
    tmp_path: Path, rows: list[dict[str, str]], columns: str | None, field: str
) -> None:
    path = table(tmp_path / "in.csv", rows)
    with pytest.raises(TriageError) as refused:
        linking.link_file(path, tmp_path / "out.csv", columns=linking.parse_columns(columns), parameters=shipped_parameters())
    assert refused.value.errors[0]["field"] == field


@pytest.mark.parametrize(("noise", "floor"), [("default", 0.975), ("hotline", 0.945), ("masked_export", 0.91), ("typos", 0.965)])
def test_planted_people_are_found_under_every_noise(tmp_path: Path, noise: str, floor: float) -> None:
    """B-cubed F1 on 15,000 made-up records, trained on themselves without labels; the big file's figures are in docs/benchmarks.md."""
    columns = people(15_000, 77, NOISES[noise])
    path = tmp_path / "in.parquet"
    write(columns, path)
    records = linking.tokenise(linking.prepare(path, {}, tmp_path), tmp_path)
    parameters, _ = linking.learn(records, source="test")
    found = evaluation.score(batch.link(records, parameters).tolist(), columns["person_id"])
    assert found.b_cubed[2] >= floor
    assert found.b_cubed[0] >= 0.96
    assert found.largest <= 200
