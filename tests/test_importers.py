"""Exports of other systems: their headers as they are, every row in or reported, twice is once, history is no work."""

import csv
from datetime import date
from pathlib import Path

import pytest
from openpyxl import Workbook

from app import importers, importing, reports, sheets
from app.errors import Invalid
from app.triage import House

HEADERS_12315 = [
    "登记编号",
    "类型",
    "接收方式",
    "企业名称",
    "企业地址",
    "诉求内容",
    "问题类别",
    "问题类别全称",
    "客体类别全称",
    "销售方式",
    "事发地",
    "具体问题",
    "消费金额(单位:元)",
    "初查受理状态",
    "办理情况状态",
    "处理机构",
    "处理部门",
    "反馈内容",
    "挽回经济损失(单位:元)",
    "罚款金额(单位:元)",
    "没收金额(单位:元)",
    "登记时间",
    "姓名",
    "联系电话",
]


def row_12315(number: str, **values: str) -> list[str]:
    known = {
        "登记编号": number, "类型": "投诉", "接收方式": "电话", "企业名称": "武汉市江汉区桂禾坊餐饮管理有限公司", "企业地址": "*****",
        "诉求内容": "在桂禾坊就餐吃出异物，要求退款", "消费金额(单位:元)": "128.50", "办理情况状态": "已办结", "登记时间": "2025/3/5 10:20:30",
        "姓名": "陈一一", "联系电话": "13612340000",
    }  # fmt: skip
    return [{**known, **values}.get(h, "") for h in HEADERS_12315]


def xlsx(path: Path, rows: list[list[object]]) -> Path:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


async def load(
    house: House, path: Path, *, source: str = "imported", received_on: date | None = None, as_history: bool | None = None
) -> importing.Imported:
    return await importing.import_file(
        house,
        path,
        source=source,
        mapping=None,
        as_history=as_history,
        received_on=received_on,
        actor="test",
        progress=lambda *_: None,
    )


async def test_a_12315_export_goes_in_as_it_is(house: House, tmp_path: Path) -> None:
    path = xlsx(
        tmp_path / "export.xlsx",
        [HEADERS_12315, row_12315("A1"), row_12315("A2", 类型="举报", 诉求内容="举报该店无证经营"), row_12315("A3", 登记时间=""), row_12315("A4", 登记时间="明天"),
         row_12315("A5", 诉求内容=""), row_12315("A6", 姓名="", 联系电话="")],
    )  # fmt: skip
    done = await load(house, path)
    assert (done.rows, done.received, done.triaged) == (6, 3, 3)
    assert {n: r.split(":")[0] for n, r in done.rejected} == {
        4: "no time of receipt; give --received-on for the whole file",
        5: "登记时间",
        6: "text",
    }
    async with house.database.connection() as connection:
        matters = await connection.fetch(
            "SELECT l.external_id, m.lane, m.amount_fen, m.history, m.state FROM matter m JOIN letter l ON l.id = m.letter_id ORDER BY 1"
        )
        assert [(m["external_id"], m["lane"], m["amount_fen"]) for m in matters] == [
            ("A1", "complaint", 12850),
            ("A2", "report", 12850),
            ("A6", "complaint", 12850),
        ]
        assert all(m["history"] and m["state"] == "history" for m in matters)
        for table in ("clock", "work_item", "outbox", "gate"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        assert await connection.fetchval("SELECT count(*) FROM supplement WHERE kind = 'import'") == 3  # 办理情况状态 is kept
        assert (
            await connection.fetchval(
                "SELECT count(*) FROM party p JOIN matter m ON m.id = p.matter_id JOIN letter l ON l.id = m.letter_id WHERE l.external_id = 'A6'"
            )
            == 0
        )
    again = await load(house, path, received_on=date(2025, 3, 6))
    assert (again.received, again.known, again.triaged) == (1, 3, 1)


async def test_recent_rows_are_live_work(house: House, tmp_path: Path) -> None:
    path = tmp_path / "live.csv"
    with path.open("w", encoding="gb18030", newline="") as out:
        csv.writer(out).writerows([HEADERS_12315, row_12315("L1")])
    assert (await load(house, path, as_history=False)).received == 1
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM work_item") == 1
        assert await connection.fetchval("SELECT count(*) FROM clock") == 1


async def test_a_12345_sheet_and_a_table_of_ones_own(house: House, tmp_path: Path) -> None:
    sheet = xlsx(
        tmp_path / "12345.xlsx",
        [["工单编号", "工单标题", "工单内容", "来电号码", "来电人", "受理时间", "事发地址", "诉求类型"],
         ["G1", "健身房退费", "来电人反映洪山区某健身房关门，要求退费", "13500002222", "刘先生", "2025-05-01 08:00", "武汉市洪山区", "投诉"]],
    )  # fmt: skip
    assert (await load(house, sheet)).received == 1
    with pytest.raises(Invalid, match="no mapping fits"):
        await load(house, xlsx(tmp_path / "odd.xlsx", [["a", "b"], [1, 2]]))
    with pytest.raises(Invalid, match="unknown"):
        importers.load_mapping({"name": "x", "fields": {"nonsense": "a"}})
    own = importers.load_mapping({"name": "x", "fields": {"text": "b", "received_at": "a"}})
    rows = list(importers.rows(iter([["2025-01-02", "东西坏了"]]), own, ["a", "b"], received_on=None))
    assert rows[0].body is not None
    assert (
        rows[0].body.external_id
        == next(iter(importers.rows(iter([["2025-01-02", "东西坏了"]]), own, ["a", "b"], received_on=None))).body.external_id
    )  # type: ignore[union-attr]


async def test_history_is_linked_and_clustered_by_event_time(house: House, tmp_path: Path) -> None:
    story = "丽景新城小区旁的混凝土搅拌站日夜轰鸣，粉尘漫天，丽景新城业主无法开窗，请求关停搅拌站"
    rows: list[list[object]] = [["留言编号", "留言用户", "留言主题", "留言时间", "留言详情", "反对数", "点赞数"]]
    for n in range(6):
        rows.append(
            [
                9 - n,
                f"U{n % 4}",
                "丽景新城搅拌站污染",
                f"2019-01-{10 + 3 * n} 10:00:00",
                f"{story}。这是第{n}次反映，{'噪音' * (n % 3)}扰民",
                0,
                0,
            ]
        )
    rows.append([100, "U9", "建议增加公交线路", "2019/2/1 9:00:00", "从火车站到大学城的公交班次太少，建议增加", 0, 0])
    done = await load(house, xlsx(tmp_path / "board.xlsx", rows), source="board")
    assert done.triaged == 7
    async with house.database.reading() as connection:
        period = reports.Period(date(2019, 1, 1), date(2019, 12, 31))
        scope = reports.Scope(period, ("complaint", "report", "other"), ["4"], None, "board")
        found = await reports.incidents(connection, scope, minimum=2)
        people = await reports.repeat_complainants(connection, scope, minimum=2)
    assert len(found) == 1
    assert "搅拌站" in found[0]["title"]
    assert found[0]["people"] == 4
    assert {p["complaints"] + p["copies"] for p in people} <= {2}


def test_csv_rows_end_where_csv_says(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text('编号,内容,时间\n1,前半句\u2028后半句,2026-01-01\n2,"两\n行",2026-01-02\n', encoding="utf-8")
    assert [len(r) for r in sheets.read_table(path)] == [3, 3, 3]
    path.write_text('a,b\n"never closed', encoding="utf-8")
    with pytest.raises(Invalid, match="line"):
        list(sheets.read_table(path))
