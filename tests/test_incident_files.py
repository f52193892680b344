"""Merchants and incidents at the command line: files in, files out, what is learned from them, and what is refused."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app as command_line
from app.errors import Invalid
from ml.scorecards import Scorecard
from ml.synthetic import streams

RUN = CliRunner()
COUNT = 300


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "stream.parquet"
    streams.write(path, streams.stream(COUNT, 12).rows)
    return path


def run(*arguments: str) -> str:
    done = RUN.invoke(command_line, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def clusters(path: Path) -> list[str]:
    return [r["cluster_id"] for r in csv.DictReader(path.read_text("utf-8").splitlines())]


@pytest.mark.parametrize(("kind", "floor"), [("merchants", 0.90), ("incidents", 0.78)])
def test_linked_one_by_one_or_at_once_and_evaluated(file: Path, tmp_path: Path, kind: str, floor: float) -> None:
    run("link", kind, str(file), str(tmp_path / "batch.csv"))
    run("link", kind, str(file), str(tmp_path / "online.csv"), "--online")
    for name in ("batch", "online"):
        found = clusters(tmp_path / f"{name}.csv")
        assert len(found) == COUNT
        # Only who names nobody that can be told has no merchant; every complaint has an incident.
        assert ("" in found) == (kind == "merchants")
        assert 15 < len(set(found)) < COUNT
    told = json.loads(
        run("evaluate", kind, str(tmp_path / "online.csv"), "--truth", str(file), "--against", str(tmp_path / "batch.csv"))
    )
    assert told["b_cubed"]["f1"] >= floor
    assert told["compared"] == told["records"]
    # Later complaints teach what the first could not know: on a few hundred the two differ most.
    assert told["against"]["co_clustered_pair_f1"] >= (0.85 if kind == "merchants" else 0.7)


@pytest.mark.slow
def test_scorecards_are_learned_from_files_and_used(file: Path, tmp_path: Path) -> None:
    card = tmp_path / "merchants.json"
    refused = RUN.invoke(command_line, ["train", "merchants", str(card), "--file", str(file)])
    assert isinstance(refused.exception, Invalid)
    assert refused.exception.errors[0]["field"] == "file"
    assert not card.exists()
    larger = tmp_path / "larger.parquet"
    streams.write(larger, streams.stream(1500, 13).rows)
    run("train", "merchants", str(card), "--file", str(larger))
    learned = Scorecard.load(card)
    assert learned.weights["city"]["home/home/one"] > learned.weights["city"]["home/far/one"]
    assert larger.name in learned.source
    run("link", "merchants", str(file), str(tmp_path / "out.csv"), "--scorecard", str(card))
    told = json.loads(run("evaluate", "merchants", str(tmp_path / "out.csv"), "--truth", str(file)))
    assert told["b_cubed"]["f1"] >= 0.90
    card = tmp_path / "incidents.json"
    run("train", "incidents", str(card), "--file", str(file))
    learned = Scorecard.load(card)
    text = learned.weights["text"]
    assert text["same/one/8"] >= text["same/one/4"] >= text["same/one/0"]
    run("link", "incidents", str(file), str(tmp_path / "out.csv"), "--scorecard", str(card))
    told = json.loads(run("evaluate", "incidents", str(tmp_path / "out.csv"), "--truth", str(file)))
    assert told["b_cubed"]["f1"] >= 0.78


def test_columns_of_another_name_and_none_at_all(tmp_path: Path) -> None:
    said = "在桂禾坊火锅店吃火锅，锅底里吃出一只蟑螂，店家拒绝退款，要求赔偿"
    path = tmp_path / "in.csv"
    rows = [["1", said, "桂禾坊火锅店", "2026-03-01"], ["2", said + "。", "桂禾坊火锅店", "2026-03-02"], ["3", "", "", ""]]
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([["序号", "诉求", "商家", "日期"], *rows])
    columns = "record_id=序号,text=诉求,merchant=商家,filed_at=日期"
    run("link", "incidents", str(path), str(tmp_path / "out.csv"), "--columns", columns)
    one, other, empty = clusters(tmp_path / "out.csv")
    assert one == other != empty
    refused = RUN.invoke(command_line, ["link", "incidents", str(path), str(tmp_path / "no.csv"), "--columns", "text=没有"])
    assert refused.exit_code != 0
    assert not (tmp_path / "no.csv").exists()
