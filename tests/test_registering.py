"""A register of merchants: loaded, loaded again, and found by the complaints."""

import asyncio
import csv
import itertools
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from stdnum.cn import uscc

from app.database import Connection
from app.errors import Invalid
from app.intake import Complaint
from app.registering import Loaded, load_register
from app.triage import House, receive_and_triage
from tests.conftest import Client, complaint

_numbers = itertools.count(1)


def code(number: int) -> str:
    body = f"91420106MA{number:07d}"
    return body + uscc.calc_check_digit(body)


HEADERS = [
    "统一社会信用代码",
    "名称",
    "别名",
    "曾用名",
    "门店",
    "连锁",
    "行业",
    "城市",
    "ODR状态",
    "odr_valid_from",
    "odr_valid_to",
    "备注",
]
RONGMU = [
    code(1), "武汉荣沐轩餐饮管理有限公司", "荣沐轩；荣沐轩火锅", "武汉金辉煌餐饮有限公司", "光谷店@洪山区、荣沐轩火锅（街道口店）|汉阳店@汉阳区",
    "是", "餐饮业", "武汉市", "是", "2025-01-01", "2099-12-31", "重点企业",
]  # fmt: skip
DINGXIAN = [code(2), "湖北鼎鲜坊商贸有限公司", "", "", "", "否", "零售业", "湖北省宜昌市", "否"]
BARE = ["", "襄阳市百惠康大药房", "百惠康", "", "", "", "", ""]


async def load(house: House, path: Path, rows: list[list[Any]], headers: list[str] = HEADERS, source: str = "register") -> Loaded:
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([headers, *rows])
    bars: list[tuple[str, int, int | None]] = []
    done = await load_register(house, path, source=source, actor="test", progress=lambda *a: bars.append(a))
    assert bars[-1] == ("register", done.rows, done.rows)
    return done


async def post(house: House, text: str, **values: Any) -> tuple[uuid.UUID | None, dict[str, Any]]:
    """(merchant, evidence) of a complaint."""
    body = Complaint.model_validate(complaint(f"c{next(_numbers)}", text, **values))
    _, outcome = await receive_and_triage(house, "p1", body)
    assert outcome is not None
    async with house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT merchant_id, evidence FROM respondent WHERE matter_id = $1 AND sequence = 1 AND valid_to IS NULL",
            outcome.matters[0].id,
        )
    return (row["merchant_id"], row["evidence"]) if row else (None, {})


def at(name: str, **more: Any) -> dict[str, Any]:
    return {"respondents": [{"name": name, **more}]}


async def registered(connection: Connection, number: int = 1) -> Any:
    return await connection.fetchrow("SELECT * FROM merchant WHERE uscc = $1", code(number))


async def everything(house: House) -> dict[str, list[dict[str, Any]]]:
    async with house.database.connection() as connection:
        return {
            table: [dict(r) for r in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in ("merchant", "merchant_name", "merchant_shop", "merchant_key", "merchant_brand", "odr_enterprise")
        }


async def test_a_register_is_loaded_and_loading_it_again_changes_nothing(house: House, tmp_path: Path) -> None:
    done = await load(house, tmp_path / "r.csv", [RONGMU, DINGXIAN, BARE])
    assert (done.rows, done.opened, done.rejected, done.problems) == (3, 3, 0, [])
    async with house.database.connection() as connection:
        row = await registered(connection)
        assert (row["name"], row["core"], row["city"], row["trade"], row["registered"], row["industry"], row["chain"]) == (
            "武汉荣沐轩餐饮管理有限公司", "荣沐轩", "武汉", "catering", 1, "餐饮业", True,
        )  # fmt: skip
        names = await connection.fetch("SELECT name, kind, source FROM merchant_name WHERE merchant_id = $1", row["id"])
        assert {tuple(n) for n in names} == {
            ("武汉荣沐轩餐饮管理有限公司", "registered", "register"), ("荣沐轩", "alias", "register"), ("荣沐轩火锅", "alias", "register"),
            ("武汉金辉煌餐饮有限公司", "former", "register"),
        }  # fmt: skip
        shops = await connection.fetch("SELECT name, district FROM merchant_shop WHERE merchant_id = $1", row["id"])
        assert {s["name"]: s["district"] for s in shops} == {
            "光谷店": "420111", "荣沐轩火锅（街道口店）": shops[1]["district"], "汉阳店": "420105",
        }  # fmt: skip
        odr = await connection.fetch("SELECT uscc, valid_from::text AS first, valid_to::text AS last FROM odr_enterprise")
        assert [tuple(o) for o in odr] == [(code(1), "2025-01-01", "2099-12-31")]
        assert set(row["profile"]["shops"]) == {"光谷店", "街道口店", "汉阳店"}
        assert await connection.fetchval("SELECT count(*) FROM audit_entry WHERE act = 'register'") == 3
    before = await everything(house)
    again = await load(house, tmp_path / "r.csv", [RONGMU, DINGXIAN, BARE])
    assert (again.unchanged, again.opened, again.updated) == (3, 0, 0)
    assert await everything(house) == before


async def test_loading_again_updates_by_code_else_by_name_and_city(house: House, tmp_path: Path) -> None:
    await load(house, tmp_path / "r.csv", [RONGMU, DINGXIAN, BARE])
    more = [*RONGMU[:2], "荣小锅", "", "武昌店@武昌区", "", "", "", "否"]
    coded = [code(3), *BARE[1:]]
    elsewhere = ["", "襄阳市百惠康大药房", "", "", "", "", "", "荆州"]
    done = await load(house, tmp_path / "r.csv", [more, coded, elsewhere])
    assert (done.updated, done.opened) == (2, 1)
    async with house.database.connection() as connection:
        row = await registered(connection)
        assert (row["city"], row["industry"], row["chain"]) == ("武汉", "餐饮业", True)  # what is not said stays
        assert await connection.fetchval("SELECT count(*) FROM merchant_name WHERE merchant_id = $1", row["id"]) == 5
        assert await connection.fetchval("SELECT count(*) FROM merchant_shop WHERE merchant_id = $1", row["id"]) == 4
        assert await connection.fetchval(
            "SELECT valid_to < (now() AT TIME ZONE 'Asia/Shanghai')::date FROM odr_enterprise WHERE uscc = $1", code(1)
        )
        assert (await registered(connection, 3))["name"] == "襄阳市百惠康大药房"
        assert await connection.fetchval("SELECT count(*) FROM merchant") == 4


async def test_an_entry_of_a_merged_merchant_adds_to_the_one_it_went_to(house: House, tmp_path: Path) -> None:
    rows = [RONGMU, [code(9), "武汉荣沐轩光谷餐饮有限公司", "荣沐轩光谷小馆"]]
    await load(house, tmp_path / "r.csv", rows)
    async with house.database.connection() as connection:
        kept, gone = (await registered(connection))["id"], (await registered(connection, 9))["id"]
        await connection.execute("UPDATE merchant SET merged_into = $2 WHERE id = $1", gone, kept)
    assert (await load(house, tmp_path / "r.csv", rows)).updated == 1
    before = await everything(house)
    assert (await load(house, tmp_path / "r.csv", rows)).unchanged == 2
    assert await everything(house) == before
    async with house.database.connection() as connection:
        assert tuple(await connection.fetchrow("SELECT name, industry FROM merchant WHERE id = $1", kept)) == (
            RONGMU[1],
            "餐饮业",
        )
        kind = "SELECT kind FROM merchant_name WHERE merchant_id = $1 AND name = '武汉荣沐轩光谷餐饮有限公司'"
        assert await connection.fetchval(kind, kept) == "alias"


async def test_two_loads_at_once_open_each_merchant_once(house: House, tmp_path: Path) -> None:
    rows = [[code(n), f"武汉{chr(0x5609 + n)}味轩餐饮有限公司"] for n in range(1, 60)]
    loads = (load(house, tmp_path / f"r{n}.csv", rows if n % 2 else rows[::-1]) for n in range(3))
    done = await asyncio.gather(*loads)
    assert (sum(d.opened for d in done), [p for d in done for p in d.problems]) == (59, [])


async def test_errors_name_line_and_field_and_spoil_nothing_else(house: House, tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        RONGMU,
        [code(4)[:-1] + "!", "武汉某商行"],
        ["", "  "],
        [code(5)],
        [],
        [code(6), "武汉大吉利超市", "", "", "", "", "", "", "也许", "2026-13-01"],
        [code(6), "武汉小吉利超市"],
        ["", "武汉无码小店", "", "", "", "", "", "", "是"],
        [code(7), "武汉" + "长" * 200],
        [code(8), "武汉\0空超市"],
        DINGXIAN,
    ]
    done = await load(house, tmp_path / "r.csv", rows)
    assert [(p.line, p.field) for p in done.problems] == [
        (3, "uscc"), (5, "name"), (7, "odr"), (7, "odr_valid_from"), (8, "uscc"), (9, "odr"), (10, "name"), (11, "name"),
    ]  # fmt: skip
    assert (done.rows, done.rejected, done.opened) == (9, 5, 4)
    with pytest.raises(Invalid, match="none holds names"):
        await load(house, tmp_path / "r.csv", [["x"]], headers=["colour"])


async def test_a_row_that_the_database_refuses_is_lost_alone(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app import sheets

    monkeypatch.setattr(sheets, "unfit", lambda text, longest=0: None)
    done = await load(house, tmp_path / "r.csv", [RONGMU, [code(8), "武汉\0空超市"], DINGXIAN])
    assert ([(p.line, p.field) for p in done.problems], done.opened, done.rejected) == ([(3, "row")], 2, 1)


async def test_json_lines_and_english_headers(house: House, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    rows = [
        {"uscc": code(1), "name": RONGMU[1], "aliases": ["荣沐轩", "荣小锅"], "former_names": None, "shops": "光谷店@洪山区", "chain": False},
        {"uscc": code(2), "name": DINGXIAN[1], "chain": "鼎鲜坊生鲜", "city": "宜昌", "odr": True},
        {"uscc": 5, "name": "某某商行"},
    ]  # fmt: skip
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    done = await load_register(house, path, source="api", actor="test", progress=lambda *_: None)
    assert (done.opened, [(p.line, p.field) for p in done.problems]) == (2, [(3, "uscc")])
    async with house.database.connection() as connection:
        assert (await registered(connection))["chain"] is False
        assert (await registered(connection, 2))["chain"] is True
        assert await connection.fetchval("SELECT kind FROM merchant_name WHERE name = '鼎鲜坊生鲜'") == "alias"
        assert await connection.fetchval(
            "SELECT valid_from = (now() AT TIME ZONE 'Asia/Shanghai')::date FROM odr_enterprise WHERE uscc = $1", code(2)
        )


SPOILT = "11月20日在该店就餐吃出蟑螂，要求退款368元。"
FROM_WUHAN = {"complainant": {"name": "张小明", "phone": "13812345678", "city": "武汉市"}}
BY: list[tuple[str, str, dict[str, Any]]] = [
    ("a name that sounds so", SPOILT, at("荣木轩", address="武汉市洪山区珞喻路1号")),
    ("the same in a text alone", "我在荣木轩火锅吃饭，锅底里吃出蟑螂，要求退款368元。", FROM_WUHAN),
    ("registered name", SPOILT, at("武汉荣沐轩餐饮管理有限公司")),
    ("alias", SPOILT, at("荣沐轩火锅")),
    ("shop", SPOILT, at("荣沐轩（光谷店）")),
    ("shop of another form", SPOILT, at("荣沐轩火锅街道口店", address="武汉市洪山区珞喻路1号")),
    ("former name", SPOILT, at("武汉金辉煌餐饮有限公司")),
    ("former brand", SPOILT, at("金辉煌", address="武汉市洪山区珞喻路1号")),
    ("name in a text", "11月20日在武汉荣沐轩火锅光谷店就餐，锅底里吃出蟑螂，要求退款368元。", {}),
    ("brand in a text", "我在荣沐轩吃饭，锅底里吃出蟑螂，要求退款368元。", FROM_WUHAN),
    ("code", SPOILT, {"respondents": [{"uscc": code(1)}]}),
]


async def test_a_complaint_finds_the_registered_merchant(house: House, tmp_path: Path) -> None:
    await load(house, tmp_path / "r.csv", [RONGMU, DINGXIAN, BARE])
    async with house.database.connection() as connection:
        merchant = (await registered(connection))["id"]
    for by, text, values in BY:
        found, evidence = await post(house, text, **values)
        assert found == merchant, by
        assert evidence["fields"], by
        assert evidence.get("joins", True), by


async def test_a_province_in_the_name_is_no_part_of_the_brand(house: House, tmp_path: Path) -> None:
    await load(house, tmp_path / "r.csv", [DINGXIAN])
    async with house.database.connection() as connection:
        row = await registered(connection, 2)
    merchant = row["id"]
    assert row["core"] == "鼎鲜坊"
    assert not {"p:hu bei", "p:hu bei|宜昌"} & {k["key"] for k in (await everything(house))["merchant_key"]}
    for name in ("鼎鲜坊", "湖北鼎鲜坊商贸有限公司", "宜昌鼎鲜坊超市"):
        assert (await post(house, "买到过期牛奶，要求退款20元。", **at(name)))[0] == merchant


async def test_another_of_the_trade_is_not_the_registered_one(house: House, tmp_path: Path) -> None:
    await load(house, tmp_path / "r.csv", [RONGMU])
    async with house.database.connection() as connection:
        merchant = (await registered(connection))["id"]
    for name in ("武汉江城味餐饮管理有限公司", "襄阳荣沐轩装饰工程有限公司"):
        found, _ = await post(house, "消费后要求退款368元。", **at(name))
        assert found not in (None, merchant)


async def test_a_renamed_merchant_stays_one(house: House, tmp_path: Path) -> None:
    """Complaints of before the register, of between, and of after its new name."""
    before, _ = await post(house, "吃出蟑螂，要求退款368元。", **at("武汉金辉煌餐饮有限公司"))
    done = await load(house, tmp_path / "r.csv", [[code(1), "武汉金辉煌餐饮有限公司", "", "", "", "", "餐饮业", "武汉市"]])
    assert (done.taken_over, done.opened) == (1, 0)
    between, _ = await post(house, "吃出头发，要求退款68元。", **at("武汉金辉煌餐饮有限公司"))
    assert (await load(house, tmp_path / "r.csv", [RONGMU])).updated == 1
    after, evidence = await post(house, "吃出苍蝇，要求退款98元。", **at("武汉荣沐轩餐饮管理有限公司"))
    old, _ = await post(house, "吃出铁丝，要求退款198元。", **at("金辉煌", address="武汉市洪山区珞喻路1号"))
    assert before == between == after == old
    assert evidence["brand"] == "荣沐轩"
    async with house.database.connection() as connection:
        row = await registered(connection)
        assert (row["id"], row["name"]) == (before, "武汉荣沐轩餐饮管理有限公司")
        kind = "SELECT kind FROM merchant_name WHERE merchant_id = $1 AND name = '武汉金辉煌餐饮有限公司'"
        assert await connection.fetchval(kind, before) == "former"


async def test_a_renaming_that_the_register_does_not_tell_makes_the_old_name_a_former_one(house: House, tmp_path: Path) -> None:
    await load(house, tmp_path / "r.csv", [[code(1), "武汉金辉煌餐饮有限公司"]])
    await load(house, tmp_path / "r.csv", [[code(1), "武汉荣沐轩餐饮管理有限公司"]])
    async with house.database.connection() as connection:
        names = await connection.fetch("SELECT name, kind FROM merchant_name")
        merchant = (await registered(connection))["id"]
    assert {n["name"]: n["kind"] for n in names} == {
        "武汉金辉煌餐饮有限公司": "former",
        "武汉荣沐轩餐饮管理有限公司": "registered",
    }
    assert (await post(house, "吃出蟑螂，要求退款368元。", **at("武汉金辉煌餐饮有限公司")))[0] == merchant


async def test_a_merchant_opened_by_complaints_is_taken_over_in_its_city_only(house: House, tmp_path: Path) -> None:
    named, _ = await post(house, "吃出蟑螂，要求退款368元。", **at("荣沐轩火锅", address="武汉市洪山区珞喻路1号"))
    elsewhere, _ = await post(house, "吃出蟑螂，要求退款368元。", **at("荣沐轩火锅", address="襄阳市樊城区长虹路1号"))
    coded, _ = await post(house, "买到过期牛奶，要求退款20元。", respondents=[{"name": "鼎鲜生活", "uscc": code(2)}])
    assert len({named, elsewhere, coded}) == 3
    done = await load(house, tmp_path / "r.csv", [RONGMU, DINGXIAN, [code(9), "荆州荣沐轩餐饮有限公司"]])
    assert (done.taken_over, done.opened, done.doubles) == (2, 1, [])
    async with house.database.connection() as connection:
        row = await registered(connection)
        assert (row["id"], row["registered"], row["name"]) == (named, 1, RONGMU[1])
        assert (await registered(connection, 2))["id"] == coded
        assert (await registered(connection, 9))["id"] not in (named, elsewhere)
        other = await connection.fetchrow("SELECT registered, uscc FROM merchant WHERE id = $1", elsewhere)
        assert tuple(other) == (0, None)
    found, _ = await post(house, "吃出头发，要求退款68元。", **at("武汉荣沐轩餐饮管理有限公司"))
    assert found == named


async def test_what_a_register_told_is_not_written_over_by_a_complaint_read_before(house: House, tmp_path: Path) -> None:
    """A triage that looked the merchant up before the load and counts its mention after it."""
    from app import merchants

    merchant, _ = await post(house, "吃出蟑螂，要求退款368元。", **at("荣沐轩火锅", address="武汉市洪山区珞喻路1号"))
    async with house.database.connection() as connection:
        stale = (await merchants.candidates(connection, ["p:" + merchants.sound("荣沐轩")]))[merchant]
        await load(house, tmp_path / "r.csv", [RONGMU])
        profile = (await registered(connection))["profile"]
        known = merchants.known_of(stale)
        letter = house.reader.read(letter_of("荣沐轩火锅"))
        choice = merchants.merchants.choose(letter.merchants[0].mentions, {merchant: known}, house.merchant_scorecard)
        await merchants._learn(connection, stale, known, choice, letter.merchants[0])
        assert (await registered(connection))["profile"] == profile


def letter_of(name: str) -> Any:
    from datetime import UTC, datetime

    from app.intake import Letter

    body = Complaint.model_validate(complaint("x", "吃出头发", respondents=[{"name": name, "address": "武汉市洪山区珞喻路1号"}]))
    return Letter.make("p1", body, now=datetime.now(UTC), history=False)


async def test_what_is_told_of_a_registered_merchant(client: Client, tmp_path: Path) -> None:
    await load(client.house, tmp_path / "r.csv", [RONGMU, DINGXIAN])
    found, _ = await post(client.house, "武汉市洪山区门店，吃出蟑螂，要求退款368元。", **at("荣沐轩（光谷店）"))
    told = (await client.get("analyst", f"/v1/merchants/{found}")).json()
    assert (told["registered"], told["industry"], told["chain"], told["odr"], told["complaints"]) == (
        True,
        "餐饮业",
        True,
        True,
        1,
    )
    assert told["aliases"][0] == {"name": RONGMU[1], "kind": "registered"}
    assert {"name": "荣沐轩", "kind": "alias"} in told["aliases"]
    assert {"name": "汉阳店", "district": "420105"} in told["shops"]
    async with client.house.database.connection() as connection:
        other = (await registered(connection, 2))["id"]
    told = (await client.get("analyst", f"/v1/merchants/{other}")).json()
    assert (told["complaints"], told["odr"], told["shops"]) == (0, False, [])
