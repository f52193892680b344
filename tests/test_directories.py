"""Directories: loaded, loaded again, ended, and read as of a day; bad sheets say where and spoil nothing else."""

import asyncio
import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from stdnum.cn import uscc

from app import directories
from app.database import Connection
from app.directories import Loaded, OdrStatus, odr_status
from app.errors import Invalid, NotFound
from app.intake import Complaint
from app.triage import House, receive_and_triage
from tests.conftest import Client, complaint

DAY = date(2026, 6, 1)


def code(number: int) -> str:
    body = f"91420106MA{number:07d}"
    return body + uscc.calc_check_digit(body)


ODR = ["统一社会信用代码", "企业名称", "所在区", "答复率", "和解成功率", "加入日期", "退出日期", "退出原因", "备注"]
RONGMU = [code(1), "武汉荣沐轩餐饮管理有限公司", "洪山区", "96%", "0.81", "2025-01-01", "", "", "重点"]
DINGXIAN = [code(2), "湖北鼎鲜坊商贸有限公司", "宜昌市", "0.7", "", "2025/3/1", "", "", ""]
STATIONS = ["站点名称", "区划", "详细地址", "联系电话", "依托单位"]
GUANGGU = ["光谷步行街消费维权服务站", "武汉市洪山区", "珞喻路726号", "027-87000000", "光谷步行街管委会"]


def write(path: Path, rows: list[list[Any]], headers: list[str] = ODR) -> Path:
    if path.suffix == ".xlsx":
        book = Workbook()
        assert book.active is not None
        for row in (headers, *rows):
            book.active.append(row)
        book.save(path)
    else:
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([headers, *rows])
    return path


async def load(house: House, kind: str, path: Path, on: date = DAY, *, complete: bool = False, source: str = "省局") -> Loaded:
    async with house.database.transaction() as connection:
        return await directories.load(connection, kind, path, source=source, actor="test", on=on, complete=complete)


def counts(done: Loaded) -> tuple[int, ...]:
    return done.rows, done.opened, done.changed, done.ended, done.unchanged, done.rejected


async def spells(connection: Connection, number: int = 1) -> list[tuple[Any, ...]]:
    rows = await connection.fetch(
        "SELECT valid_from::text, valid_to::text, reply_rate FROM odr_enterprise WHERE uscc = $1 ORDER BY valid_from",
        code(number),
    )
    return [tuple(r) for r in rows]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
async def test_a_roster_is_loaded_and_loading_it_twice_changes_nothing(house: House, tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"odr{suffix}", [RONGMU, DINGXIAN])
    done = await load(house, "odr", path)
    assert (counts(done), done.problems) == ((2, 2, 0, 0, 0, 0), [])
    async with house.database.connection() as connection:
        assert await odr_status(connection, [code(1)], DAY) == OdrStatus(True, 0.96, 0.81)
        assert await odr_status(connection, [code(2)], DAY) == OdrStatus(True, 0.7)
        assert await odr_status(connection, [code(2), code(1)], DAY) == OdrStatus(True, 0.96, 0.81)
        assert await odr_status(connection, [code(1)], date(2024, 12, 31)) == OdrStatus(False)
        assert await odr_status(connection, [code(9)], DAY) == OdrStatus(False)
        assert await odr_status(connection, [], DAY) == OdrStatus(None)
        before = await connection.fetch("SELECT * FROM odr_enterprise ORDER BY 1, 2")
        assert {r["district"] for r in before} == {"420111", "4205"}
        # A year later too: what it says is what is known.
        for on in (DAY, date(2027, 6, 1)):
            assert counts(await load(house, "odr", path, on)) == (2, 0, 0, 0, 2, 0)
        assert await connection.fetch("SELECT * FROM odr_enterprise ORDER BY 1, 2") == before
        assert await connection.fetchval("SELECT count(*) FROM audit_entry WHERE object = 'directory.odr'") == 2


async def test_without_a_roster_nobody_can_say(house: House) -> None:
    async with house.database.connection() as connection:
        assert await odr_status(connection, [code(1)], DAY) == OdrStatus(None)


async def test_what_differs_ends_the_day_before_and_begins_anew(house: House, tmp_path: Path) -> None:
    await load(house, "odr", write(tmp_path / "a.csv", [RONGMU]))
    slower = [*RONGMU[:3], "75%", *RONGMU[4:]]
    july = date(2026, 7, 1)
    assert counts(await load(house, "odr", write(tmp_path / "b.csv", [slower]), july)) == (1, 0, 1, 0, 0, 0)
    async with house.database.connection() as connection:
        assert await spells(connection) == [("2025-01-01", "2026-06-30", 0.96), ("2026-07-01", None, 0.75)]
        assert (await odr_status(connection, [code(1)], date(2026, 6, 30))).reply_rate == 0.96
        assert (await odr_status(connection, [code(1)], july)).reply_rate == 0.75
        assert counts(await load(house, "odr", tmp_path / "b.csv", july)) == (1, 0, 0, 0, 1, 0)
        # Put right on the same day: no spell of no days.
        better = [*RONGMU[:3], "76%", *RONGMU[4:]]
        assert (await load(house, "odr", write(tmp_path / "c.csv", [better]), july)).changed == 1
        assert await spells(connection) == [("2025-01-01", "2026-06-30", 0.96), ("2026-07-01", None, 0.76)]
        # A sheet of before what is known is not taken for news.
        late = await load(house, "odr", tmp_path / "a.csv", DAY)
        assert [(p.line, p.field) for p in late.problems] == [(2, "valid_from")]
        assert len(await spells(connection)) == 2
        # A row may say itself from when on.
        dated = [*RONGMU[:3], "80%", RONGMU[4], "2026-08-15"]
        assert (await load(house, "odr", write(tmp_path / "d.csv", [dated]), date(2026, 9, 1))).changed == 1
        assert (await spells(connection))[1:] == [("2026-07-01", "2026-08-14", 0.76), ("2026-08-15", None, 0.8)]


async def test_an_exit_is_known_before_and_ends_it(house: House, tmp_path: Path) -> None:
    await load(house, "odr", write(tmp_path / "a.csv", [RONGMU]))
    leaving = [*RONGMU[:6], "2026-09-01", "答复率过低"]
    path = write(tmp_path / "b.csv", [leaving])
    assert counts(await load(house, "odr", path, date(2026, 8, 1))) == (1, 0, 0, 1, 0, 0)
    assert counts(await load(house, "odr", path, date(2026, 8, 1))) == (1, 0, 0, 0, 1, 0)
    assert counts(await load(house, "odr", path, date(2026, 10, 1))) == (1, 0, 0, 0, 1, 0)
    async with house.database.connection() as connection:
        gone = date(2026, 9, 1)
        assert await odr_status(connection, [code(1)], date(2026, 8, 31)) == OdrStatus(True, 0.96, 0.81, gone)
        assert await odr_status(connection, [code(1)], gone) == OdrStatus(False, exit_on=gone)
        assert await directories.entries(connection, "odr", on=gone) == []
        # Listed again without an exit: it is back, and its first time stays what it was.
        assert (await load(house, "odr", tmp_path / "a.csv", date(2026, 12, 1))).opened == 1
        assert [s[:2] for s in await spells(connection)] == [("2025-01-01", "2026-08-31"), ("2026-12-01", None)]
        # The old sheet again: its exit was before it came back.
        assert counts(await load(house, "odr", path, date(2026, 12, 2))) == (1, 0, 0, 0, 0, 1)


async def test_an_exit_taken_back_before_it_comes(house: House, tmp_path: Path) -> None:
    await load(house, "odr", write(tmp_path / "a.csv", [[*RONGMU[:6], "2026-09-01", "申请退出"]]))
    assert (await load(house, "odr", write(tmp_path / "b.csv", [RONGMU]), date(2026, 7, 1))).changed == 1
    async with house.database.connection() as connection:
        assert await odr_status(connection, [code(1)], date(2027, 1, 1)) == OdrStatus(True, 0.96, 0.81)
        assert [s[:2] for s in await spells(connection)] == [("2025-01-01", None)]


async def test_what_is_missing_stays_unless_the_sheet_is_complete(house: House, tmp_path: Path) -> None:
    await load(house, "odr", write(tmp_path / "both.csv", [RONGMU, DINGXIAN]))
    await load(house, "odr", write(tmp_path / "other.csv", [[code(3), "荆州某某公司"]]), source="市局")
    one = write(tmp_path / "one.csv", [RONGMU])
    july = date(2026, 7, 1)
    assert counts(await load(house, "odr", one, july)) == (1, 0, 0, 0, 1, 0)
    # Rows that can't be read might be those that are missing: nothing is ended then.
    torn = await load(
        house, "odr", write(tmp_path / "torn.csv", [RONGMU, [code(2)[:-1] + "!", DINGXIAN[1]]]), july, complete=True
    )
    assert (torn.ended, torn.rejected, {p.field for p in torn.problems}) == (0, 1, {"uscc", "complete"})
    assert (await load(house, "odr", write(tmp_path / "none.csv", []), july, complete=True)).ended == 0
    assert counts(await load(house, "odr", one, july, complete=True)) == (1, 0, 0, 1, 1, 0)
    assert counts(await load(house, "odr", one, july, complete=True)) == (1, 0, 0, 0, 1, 0)
    async with house.database.connection() as connection:
        assert [s[:2] for s in await spells(connection, 2)] == [("2025-03-01", "2026-06-30")]
        assert [s[:2] for s in await spells(connection, 3)] == [("2026-06-01", None)]  # another source's


async def test_bad_rows_say_line_and_field_and_spoil_nothing_else(house: House, tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        RONGMU,
        [code(4)[:-1] + "!", "武汉某商行"],
        ["", "武汉无码商行"],
        [code(5), ""],
        [],
        [code(6), "武汉大吉利超市", "火星区", "170%", "多", "去年"],
        [code(7), "武汉小吉利超市", "武汉市", "快", "0.5"],
        [code(8), "武汉早退商行", "", "", "", "2026-05-01", "2026-04-01"],
        [code(8), "长" * 201],
        RONGMU,
        [code(9), "武汉\0空超市"],
        DINGXIAN,
    ]
    done = await load(house, "odr", write(tmp_path / "odr.csv", rows))
    assert [(p.line, p.field) for p in done.problems] == [
        (3, "uscc"), (4, "uscc"), (5, "name"), (7, "district"), (7, "reply_rate"), (7, "success_rate"), (7, "valid_from"), (8, "reply_rate"),
        (9, "exit_on"), (10, "name"), (11, "name"), (12, "name"),
    ]  # fmt: skip
    assert counts(done) == (11, 3, 0, 0, 0, 8)
    for name, content in {
        "no.csv": "颜色,形状\n红,圆\n",
        "empty.csv": "",
        "no.xlsx": "no workbook",
        "no.pdf": "x",
        "no.jsonl": "[1]",
    }.items():
        (tmp_path / name).write_text(content, "utf-8")
        with pytest.raises(Invalid):
            await load(house, "odr", tmp_path / name)
    with pytest.raises(Invalid, match="does not exist"):
        await load(house, "odr", tmp_path / "absent.csv")
    with pytest.raises(NotFound):
        await load(house, "shops", tmp_path / "odr.csv")


async def test_a_word_that_could_not_be_taken_leaves_what_is_known(house: House, tmp_path: Path) -> None:
    await load(house, "odr", write(tmp_path / "a.csv", [RONGMU]))
    done = await load(house, "odr", write(tmp_path / "b.csv", [[*RONGMU[:3], "快", *RONGMU[4:]]]), date(2026, 7, 1))
    assert (counts(done), [p.field for p in done.problems]) == ((1, 0, 0, 0, 1, 0), ["reply_rate"])


async def test_other_encodings_and_json_lines(house: House, tmp_path: Path) -> None:
    path = tmp_path / "gb.csv"
    path.write_bytes(
        "企业名称,信用代码,答复率\n".encode("gb18030") + f"武汉荣沐轩餐饮管理有限公司,{code(1)},９６％\n".encode("gb18030")
    )
    assert (await load(house, "odr", path)).opened == 1
    lines = tmp_path / "d.jsonl"
    rows = [
        {"name": "宜昌市农业农村局", "matters": ["农资", "种子；化肥"], "district": "宜昌市"},
        {"name": "湖北省烟草专卖局", "职责": "烟草", "区划": "湖北省"},
    ]
    lines.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    done = await load(house, "department", lines)
    assert (done.problems, done.opened) == ([], 2)
    async with house.database.connection() as connection:
        found = await directories.entries(connection, "department", on=DAY)
        assert [(r["name"], r["district"], r["matters"]) for r in found] == [
            ("湖北省烟草专卖局", "42", ["烟草"]),
            ("宜昌市农业农村局", "4205", ["农资", "种子", "化肥"]),
        ]
        assert (await odr_status(connection, [code(1)], DAY)).reply_rate == 0.96


async def test_organisations_are_told_apart_by_code_else_by_name_and_place(house: House, tmp_path: Path) -> None:
    headers = ["机构名称", "编号", "地区", "类型", "受理范围"]
    first = [["消费者协会", "", "武汉市洪山区", "消协", "消费纠纷"], ["消费者协会", "", "武汉市武昌区", "消协", "消费纠纷"]]
    assert (await load(house, "mediation", write(tmp_path / "a.csv", first, headers))).opened == 2
    coded = [
        ["消费者协会", "XX1", "武汉市洪山区", "消协", "消费纠纷、物业"],
        ["消费者权益保护委员会", "XX1", "武汉市洪山区", "消协", ""],
    ]
    done = await load(house, "mediation", write(tmp_path / "b.csv", coded[:1], headers), date(2026, 7, 1))
    assert (done.changed, done.opened) == (1, 0)
    renamed = await load(house, "mediation", write(tmp_path / "c.csv", coded[1:], headers), date(2026, 8, 1))
    assert (renamed.changed, renamed.opened) == (1, 0)
    async with house.database.connection() as connection:
        for on, names in ((date(2026, 7, 31), "消费者协会"), (date(2026, 8, 1), "消费者权益保护委员会")):
            found = await directories.entries(connection, "mediation", on=on, district="420111")
            assert [r["name"] for r in found] == [names]


async def test_two_loads_at_once_open_each_entry_once(house: House, tmp_path: Path) -> None:
    path = write(tmp_path / "odr.csv", [[code(n), f"武汉第{n}商行"] for n in range(1, 200)])
    done = await asyncio.gather(*(load(house, "odr", path) for _ in range(3)))
    assert (sum(d.opened for d in done), sum(d.unchanged for d in done)) == (199, 398)


async def test_a_directory_written_out_is_loaded_again_without_a_change(house: House, tmp_path: Path) -> None:
    await load(house, "odr", write(tmp_path / "odr.csv", [RONGMU, DINGXIAN]))
    await load(
        house, "station", write(tmp_path / "s.csv", [GUANGGU, ["宜昌国贸维权站", "宜昌市西陵区", "", "", "国贸大厦"]], STATIONS)
    )
    for kind in ("odr", "station"):
        async with house.database.connection() as connection:
            headers, rows = directories.sheet(kind, await directories.entries(connection, kind, on=DAY))
        assert counts(await load(house, kind, write(tmp_path / "back.csv", rows, headers), date(2026, 7, 1)))[1:] == (
            0,
            0,
            0,
            2,
            0,
        )


async def test_what_serves_a_place_and_what_lies_in_it(client: Client, tmp_path: Path) -> None:
    await load(
        client.house,
        "station",
        write(tmp_path / "s.csv", [GUANGGU, ["宜昌国贸维权站", "宜昌市西陵区"], ["全市总站", "武汉市"]], STATIONS),
    )

    async def names(query: str) -> list[str]:
        answer = await client.get("portal", f"/v1/directories/station?on=2026-06-01{query}")
        assert answer.status_code == 200
        return [i["name"] for i in answer.json()["items"]]

    assert await names("&district=420111") == [GUANGGU[0], "全市总站"]
    assert await names("&district=420106") == ["全市总站"]
    assert set(await names("&district=420100")) == {GUANGGU[0], "全市总站"}
    assert len(await names("")) == 3
    assert await names("&limit=1&offset=1") == (await names(""))[1:2]
    told = (await client.get("mediator", "/v1/directories/station?on=2026-06-01&district=420111")).json()["items"][0]
    assert (told["address"], told["phone"], told["host"], told["source"], told["valid_from"], told["valid_to"]) == (
        *GUANGGU[2:], "省局", "2026-06-01", None,
    )  # fmt: skip
    assert (await client.get("mediator", "/v1/directories/station?on=2026-05-31")).json()["items"] == []
    for path in ("/v1/directories/shops", "/v1/directories/odr?on=gestern", "/v1/directories/odr?district=x"):
        assert (await client.get("mediator", path)).status_code == 422
    kinds = (await client.get("mediator", "/v1/directories")).json()["items"]
    assert [k["kind"] for k in kinds] == ["odr", "mediation", "station", "department", "bureau", "platform"]
    assert (await client.http.get("/v1/directories")).status_code == 401


async def test_the_roster_opens_the_gate_of_online_settlement(house: House, tmp_path: Path) -> None:
    await load(house, "odr", write(tmp_path / "odr.csv", [RONGMU]))
    body = complaint(
        "odr-1",
        "在荣沐轩火锅就餐，多收了服务费，要求退款30元。",
        amount_fen=3000,
        chose_odr=True,
        respondents=[{"name": RONGMU[1], "uscc": code(1)}],
    )
    _, outcome = await receive_and_triage(house, "p1", Complaint.model_validate(body))
    assert outcome is not None
    async with house.database.connection() as connection:
        facts = await connection.fetchval("SELECT facts FROM decision WHERE matter_id = $1", outcome.matters[0].id)
    assert (facts["odr_live"], facts["odr_reply_rate"]) == (True, 0.96)


async def test_the_nearest_bureau(house: House, tmp_path: Path) -> None:
    rows = [["湖北省市场监督管理局", "湖北省", "鄂"], ["武汉市洪山区市场监督管理局", "武汉市洪山区", "洪"]]
    await load(house, "bureau", write(tmp_path / "b.csv", rows, ["单位名称", "辖区", "机关代字"]))
    async with house.database.connection() as connection:
        assert [
            (await directories.find_bureau(connection, d, DAY) or {}).get("word") for d in ("420111", "420106", "42", "43")
        ] == ["洪", "鄂", "鄂", None]
