"""Labelled files in, artifacts and figures out; files read from the command line."""

import json
import random
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from openpyxl import Workbook
from typer.testing import CliRunner

from app import learning
from app.cli import app
from app.errors import Invalid
from ml import classification, training
from ml.progress import quiet
from ml.training import Text

WORDS = {
    "食品": "面包 牛奶 发霉 过期 水果 饼干 酸奶 香肠", "交通": "公交 红绿灯 堵车 地铁 班车 道路 站台 出租车",
    "教育": "学校 老师 学费 补课 课程 学生 校车 食堂",
}  # fmt: skip


def labelled(count: int = 90, seed: int = 1) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    rows = []
    for n in range(count):
        label = list(WORDS)[n % len(WORDS)]
        rows.append((f"第{n}件：" + "，".join(draw.choices(WORDS[label].split(), k=5)) + "，请处理", label))
    return rows


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text,label\n" + "".join(f"{said},{label}\n" for said, label in rows), "utf-8")
    return path


def test_a_classifier_is_trained_saved_and_loaded_the_same(tmp_path: Path) -> None:
    data = learning.read_labelled([write(tmp_path / "a.csv", labelled())], text=["text"], labels=["label"])
    examined = learning.train(data, tmp_path / "out", name="mine", source="test", on=date(2026, 11, 1), progress=quiet)
    assert examined[0].macro_f1 > 0.9
    made = classification.load(tmp_path / "out" / "mine")
    opinion = made.classify("老师让交补课的学费", reasons=3)["label"]
    assert opinion.best == "教育"
    assert opinion.words
    assert all(w in "老师让交补课的学费" for w, _ in opinion.words)
    assert abs(sum(opinion.probabilities.values()) - 1) < 1e-6
    card = (tmp_path / "out" / "mine.md").read_text("utf-8")
    assert "macro-F1" in card
    assert "教育" in card


def test_runtime_counts_what_training_counts() -> None:
    rows = labelled()
    made = training.train([Text(t) for t, _ in rows], {"label": [x for _, x in rows]}, version="t")
    said = "公交站台堵车，Bus 12路"
    looked_up = sorted(made.index[f] for f in classification.features(said) if f in made.index)
    assert sorted(made._rows(said, ())) == looked_up


def test_artifacts_hold_arrays_only(tmp_path: Path) -> None:
    rows = labelled()
    made = training.train([Text(t) for t, _ in rows], {"label": [x for _, x in rows]}, version="t")
    classification.save(made, tmp_path / "c")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_a_classifier_that_knows_nothing_abstains() -> None:
    rows = labelled()
    made = training.train([Text(t) for t, _ in rows], {"label": [x for _, x in rows]}, version="t")
    assert made.classify("")["label"].label is None
    assert made.classify("qqq zzz")["label"].label is None


def test_repeated_texts_never_stand_in_two_folds(tmp_path: Path) -> None:
    rows = labelled()
    twice = write(tmp_path / "a.csv", rows + rows)
    assert learning.read_labelled([twice], text=["text"], labels=["label"]).duplicates == len(rows)
    kept = learning.read_labelled([twice], text=["text"], labels=["label"], keep_duplicates=True)
    truth = np.array([sorted(WORDS).index(str(x)) for x in kept.labels["label"]])
    groups = training._same(kept.texts)
    for inside, outside in training._folds(5, truth, groups):
        assert not {groups[i] for i in inside} & {groups[i] for i in outside}


def test_calibration_error_of_known_cases() -> None:
    sure, right = np.array([0.95] * 10), np.array([True] * 10)
    assert training.expected_calibration_error(sure, right) == pytest.approx(0.05)
    assert training.expected_calibration_error(sure, ~right) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("rows", "field"),
    [([("甲", "x"), ("乙", "x")], "label"), ([("甲", "x"), ("乙", "x"), ("丙", "y")], "label")],
)
def test_labels_that_can_not_be_learned_are_named(tmp_path: Path, rows: list[tuple[str, str]], field: str) -> None:
    with pytest.raises(Invalid) as error:
        learning.read_labelled([write(tmp_path / "a.csv", rows)], text=["text"], labels=["label"])
    assert error.value.errors[0]["field"] == field


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="nosuch"):
        learning.read_labelled([write(tmp_path / "a.csv", labelled())], text=["nosuch"], labels=["label"])


def test_the_command_line_trains_and_evaluates(tmp_path: Path) -> None:
    book = Workbook()
    for said, label in labelled(60):
        book.active.append([said, label])
    book.save(tmp_path / "a.xlsx")
    columns = ["--no-header", "--text", "1", "--label", "2"]
    run = CliRunner().invoke(app, ["evaluate", "classifier", str(tmp_path / "a.xlsx"), *columns, "--folds", "3"])
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)["fields"][0]
    assert report["macro_f1"] > 0.9
    assert {"expected_calibration_error", "confusion", "costliest"} <= set(report)
    out = tmp_path / "out"
    assert CliRunner().invoke(app, ["train", "classifier", str(tmp_path / "a.xlsx"), *columns, "--out", str(out)]).exit_code == 0
    assert {f.name for f in out.iterdir()} == {"classifier.npz", "classifier.json", "classifier.md"}


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx", "txt"])
def test_files_of_every_form_are_read(tmp_path: Path, form: str) -> None:
    said = "11月20日在星福超市买的酸奶发霉了，花了36元，要求退款并道歉"
    source, out = tmp_path / f"in.{form}", tmp_path / "out.jsonl"
    if form == "csv":
        source.write_text(f"id,received_at,text\nA1,2026-11-22 10:00:00,{said}\nA2,,\n", "utf-8")
    elif form == "jsonl":
        source.write_text(
            json.dumps({"id": "A1", "received_at": "2026-11-22", "text": said}) + "\n" + '{"id": "A2", "text": ""}\n', "utf-8"
        )
    elif form == "xlsx":
        book = Workbook()
        for row in (
            ["登记编号", "登记时间", "诉求内容", "客体类别全称"],
            ["A1", "2026-11-22", said, "商品（产品）->食品"],
            ["A2", None, None, None],
        ):
            book.active.append(row)
        book.save(source)
    else:
        source.write_text(said + "\n\n", "utf-8")
    run = CliRunner().invoke(app, ["read", str(source), str(out), "--received-on", "2026-11-22"])
    assert run.exit_code == 0, run.output
    first, second = (json.loads(line) for line in out.read_text("utf-8").splitlines())
    assert first["id"] == ("1" if form == "txt" else "A1")
    assert {"kind", "goods", "problem", "demands", "facts", "dangers", "missing"} <= set(first)
    assert (first["kind"], first["goods"], first["problem"]) == ("complaint", "食品", "食品安全")
    assert (first["facts"]["amount_fen"], first["facts"]["event_date"]) == (3600, "2026-11-20")
    assert {"退赔费用", "道歉"} <= set(first["demands"])
    assert all(said[d["span"][0] : d["span"][1]] == d["word"] for d in first["dangers"])
    assert second["probability"] <= 0.3
