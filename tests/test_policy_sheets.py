"""Out and in again is the same version, and a fault names its cell."""

import csv
import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from app import codes, policy
from app.errors import Invalid
from app.policy import FIELDS, TRACK_LABELS, Fault, proving, sheets

CONTENT: dict[str, Any] = {k: v for k, v in codes.shipped("policy").items() if k != "valid_from"}
POLICY = policy.parse(CONTENT)
WRITERS = {"csv": (sheets.to_csv, sheets.from_csv), "xlsx": (sheets.to_xlsx, sheets.from_xlsx)}


@pytest.mark.parametrize("kind", WRITERS)
def test_the_shipped_policy_goes_out_and_comes_in(kind: str, tmp_path: Path) -> None:
    write, _ = WRITERS[kind]
    file = tmp_path / f"p.{kind}"
    file.write_bytes(write(POLICY.content, date(2027, 1, 1)))
    tabled = sheets.read_file(file)
    assert tabled.faults == []
    assert policy.content_hash(tabled.content) == POLICY.hash
    assert tabled.content["valid_from"] == "2027-01-01"


def _cell(draw: st.DrawFn, field: str) -> dict[str, Any]:
    asked = FIELDS[field]
    ordered = ["eq", "ne", "gt", "gte", "lt", "lte", "in"]
    if asked.type in ("flag", "maybe"):
        value = st.booleans() if asked.type == "flag" else st.none() | st.booleans()
        op = draw(st.sampled_from(["eq", "ne", "in"]))
    elif asked.choices:
        value, op = (
            st.sampled_from(list(asked.choices)),
            draw(st.sampled_from(ordered if asked.type == "scale" else ["eq", "ne", "in"])),
        )
    else:
        value = st.integers(0, 10**9) if asked.type == "count" else st.integers(0, 1000).map(lambda n: n / 1000)
        op = draw(st.sampled_from(ordered))
        if op != "in" and draw(st.booleans()):
            return {"field": field, "op": op, "value": "@odr.reply_rate" if asked.type == "rate" else "@cluster.major"}
    return {"field": field, "op": op, "value": draw(st.lists(value, min_size=1, max_size=3) if op == "in" else value)}


# What spreadsheets and CSV are touchy about, among it.
WORDS = st.text(st.sampled_from("甲乙丙 =+-@'\"，,；;：:#[]［］（）()<>≥≠1.0、|\u3000aZ"), min_size=1, max_size=12).filter(
    lambda t: bool(t.strip())
)
REFERENCES = st.lists(
    st.builds(lambda a, p, i: {"law": "order-121", "article": a} | ({"paragraph": p} if p else {}) | ({"item": i} if i else {}), st.integers(1, 46), st.none() | st.integers(1, 3), st.none() | st.integers(1, 9))
    | WORDS.map(lambda t: {"text": t.replace("；", "、")}),
    min_size=1, max_size=3,
)  # fmt: skip


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    def provenance() -> dict[str, Any]:
        status = draw(st.sampled_from(["law", "design_choice", "unverified"]))
        return {"references": draw(REFERENCES), "source": draw(WORDS), "status": status}

    def when(least: int) -> list[dict[str, Any]]:
        return [_cell(draw, f) for f in draw(st.lists(st.sampled_from(list(FIELDS)), min_size=least, max_size=5))]

    tracks = st.sampled_from([t for t in TRACK_LABELS if t != "none"])
    rows = [
        {"id": f"Z{n}", "name": draw(WORDS), "when": when(0), "track": draw(tracks), "reason": draw(WORDS), "sign": draw(st.sampled_from(["one_person", "two_persons"])), **provenance()}
        for n in range(draw(st.integers(0, 4)))
    ]  # fmt: skip
    exclusions = [
        {"id": f"Y{n}", "name": draw(WORDS), "when": when(1), "track": "t1", **provenance()}
        for n in range(draw(st.integers(0, 2)))
    ]
    notes = [
        {"id": f"N{n}", "name": draw(WORDS), "when": when(0), "reason": draw(WORDS), **provenance()}
        for n in range(draw(st.integers(0, 2)))
    ]
    thresholds = {
        **CONTENT["thresholds"],
        "mine.own": draw(st.integers(0, 10**6) | st.floats(0, 1)),
        "mine.named": {"value": 2.0, "name": draw(WORDS)},
    }
    return {
        **CONTENT,
        "name": draw(WORDS),
        "thresholds": thresholds,
        "rows": [*rows, CONTENT["rows"][-1]],
        "exclusions": exclusions,
        "notes": notes,
    }


@pytest.mark.parametrize("kind", WRITERS)
@given(given_content=contents())
@settings(max_examples=15, deadline=None)
def test_any_policy_goes_out_and_comes_in(kind: str, given_content: dict[str, Any]) -> None:
    found, faults = policy.read(given_content)
    if found is None:  # a free text that looks like an article
        assert all("references" in f.path for f in faults)
        return
    write, read = WRITERS[kind]
    tabled = read(write(found.content))
    assert tabled.faults == []
    again, faults = policy.read(tabled.content)
    assert again is not None, faults
    assert again.content == found.content
    assert again.hash == found.hash


def test_thresholds_alone_go_out_and_come_in() -> None:
    place = {
        "format": 2,
        "name": "武昌区",
        "jurisdiction": "420106",
        "thresholds": {"cluster.watch": 2, "odr.reply_rate": {"value": 0.85, "status": "design_choice"}},
    }
    found = policy.parse(place)
    for write, read in WRITERS.values():
        assert policy.content_hash(read(write(found.content)).content) == found.hash


def _edited(change: Any) -> tuple[sheets.Tabled, list[Fault]]:
    """A CSV with one cell changed: (tables, faults)."""
    rows = list(csv.reader(io.StringIO(sheets.to_csv(POLICY.content).decode("utf-8-sig"), newline="")))
    change(rows)
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    tabled = sheets.from_csv(out.getvalue().encode("gb18030"))  # as some spreadsheets still save
    return tabled, tabled.faults + proving.prove(tabled.content, today=date(2026, 11, 28)).errors


def _at(rows: list[list[str]], section: str) -> int:
    return rows.index([f"［{section}］"])


@pytest.mark.parametrize(
    ("section", "row", "header", "value", "why"),
    [
        ("规则", "R01", "人身伤害", "也许", "不能是“也许”"),
        ("规则", "R01", "属三品一特", "对", "是或否"),
        ("规则", "R04", "同一事件的投诉人数", "≥@cluster.mayor", "未知的阈值"),
        ("规则", "R04", "同一事件的投诉人数", "≥三十", "整数"),
        ("规则", "R01", "事项类别", "≥投诉", "没有大小之分"),
        ("规则", "R01", "轨道", "线上和谐", "线上和谐"),
        ("规则", "R01", "签署", "", "不是可用的值"),
        ("规则", "R01", "依据", "order-12:27", "order-12"),
        ("规则", "R01", "名称", "", "必填"),
        ("阈值", "cluster.major", "值", "许多", "须为0以上的数"),
        ("前提", "线上和解", "决定的事实", "人身伤害", "harm"),
        ("排除", "X01", "安全风险信号", "", "须有条件"),
        ("回退", "线上和解", "转向", "人工分派", "更重"),
    ],
)
def test_a_fault_names_its_cell(section: str, row: str, header: str, value: str, why: str) -> None:
    address = ""

    def change(rows: list[list[str]]) -> None:
        nonlocal address
        top = _at(rows, section) + 1
        column = rows[top].index(header)
        number = next(n for n in range(top + 1, len(rows)) if rows[n][0] == row)
        rows[number][column] = value
        address = f"{sheets._letter(column)}{number + 1}"

    tabled, faults = _edited(change)
    told = [(tabled.cell(f), f.message) for f in faults]
    wanted = address if header != "安全风险信号" else f"A{address[1:].lstrip('ABCDEFGHIJKLMNOPQRSTUVWXYZ')}"
    assert any(cell == wanted and why in message for cell, message in told), told
    error = policy.refused(faults, tabled.cell)
    assert any(e["cell"] == wanted and e["field"].startswith(wanted) for e in error.errors)


def test_faults_of_the_tables_themselves() -> None:
    def rename(rows: list[list[str]]) -> None:
        rows[_at(rows, "规则") + 1][2] = "事项类型"

    tabled, faults = _edited(rename)
    assert any(tabled.cell(f) == f"C{_row_of('规则') + 2}" and "未知的列事项类型" in f.message for f in faults)

    def section(rows: list[list[str]]) -> None:
        rows[_at(rows, "提示")] = ["［提醒］"]

    tabled, faults = _edited(section)
    assert any("未知的表提醒" in f.message for f in faults)

    def twice(rows: list[list[str]]) -> None:
        at = next(n for n, r in enumerate(rows) if r[:1] == ["cluster.major"])
        rows.insert(at, list(rows[at]))

    tabled, faults = _edited(twice)
    assert any("cluster.major重复" in f.message for f in faults)

    def no_default(rows: list[list[str]]) -> None:
        del rows[next(n for n, r in enumerate(rows) if r[:1] == ["D01"])]

    tabled, faults = _edited(no_default)
    assert any(tabled.cell(f) == f"A{_row_of('规则') + 2}" and "默认行" in f.message for f in faults)


def _row_of(section: str) -> int:
    rows = list(csv.reader(io.StringIO(sheets.to_csv(POLICY.content).decode("utf-8-sig"), newline="")))
    return _at(rows, section)


def test_a_planted_row_is_told_with_its_cell_in_xlsx(tmp_path: Path) -> None:
    file = tmp_path / "p.xlsx"
    file.write_bytes(sheets.to_xlsx(POLICY.content))
    book = load_workbook(file)
    page = book["规则"]
    headers = [c.value for c in page[1]]
    page.insert_rows(5)
    for header, value in {
        "编号": "Z1", "名称": "多余", "事项类别": "投诉", "人身伤害": "严重或死亡", "媒体或公众关注": True, "轨道": "线上和解", "理由": "多余", "签署": "一人签署",
        "依据": "order-121:18", "来源": "测试", "状态": "设计选择",
    }.items():  # fmt: skip
        page.cell(5, headers.index(header) + 1).value = value
    book.save(file)
    tabled = sheets.read_file(file)
    (fault,) = proving.prove(tabled.content, today=date(2026, 11, 28)).errors
    assert (fault.label, tabled.cell(fault)) == ("Z1", "规则!A5")
    assert "R02" in fault.message


def test_formulas_stay_words(tmp_path: Path) -> None:
    changed = {**CONTENT, "name": "=1+1", "rows": [{**CONTENT["rows"][0], "reason": "@SUM(A1)"}, *CONTENT["rows"][1:]]}
    found = policy.parse(changed)
    page = load_workbook(io.BytesIO(sheets.to_xlsx(found.content)))["政策"]
    assert page["B2"].data_type == "s"
    assert ",=1+1" not in sheets.to_csv(found.content).decode("utf-8-sig")


def test_files_that_are_no_policy(tmp_path: Path) -> None:
    for name, raw in (("a.xlsx", b"PK"), ("a.json", b"{"), ("a.txt", b""), ("a.csv", "规则\n".encode())):
        file = tmp_path / name
        file.write_bytes(raw)
        with pytest.raises(Invalid):
            sheets.read_file(file)
    with pytest.raises(Invalid):
        sheets.read_file(tmp_path / "none.csv")
