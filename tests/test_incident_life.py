"""What happens to incidents by themselves: second memberships, harm, the night's pass; the same from the command line; stores of older versions."""

import asyncio
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url
from stdnum.cn import uscc
from typer.testing import CliRunner

from app import incidents, runs, worker
from app.calendar import SHANGHAI
from app.cli import app as command_line
from app.database import Database
from app.identity import new_id
from app.intake import Complaint
from app.triage import House, receive_and_triage
from tests.conftest import KEYS, Server

SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"


async def post(house: House, number: int, text: str, *, merchant: str | None = "桂禾坊火锅店", **more: Any) -> uuid.UUID:
    """The matter that a complaint of somebody new became."""
    body = {
        "external_id": f"c{number}", "text": text,
        "complainant": {"name": f"{SURNAMES[number % 16]}{chr(0x660E + number)}", "phone": f"1390000{number:04d}"},
        "respondents": [{"name": merchant, "address": "武汉市武昌区中南路9号"}] if merchant else [], **more,
    }  # fmt: skip
    _, outcome = await receive_and_triage(house, "portal", Complaint.model_validate(body))
    assert outcome is not None
    return outcome.matters[0].id


async def settled(house: House) -> None:
    while await worker.fold(house):
        pass


async def memberships(house: House, matter: uuid.UUID) -> dict[bool, uuid.UUID]:
    """is_primary -> incident"""
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT is_primary, incident_id FROM incident_membership WHERE matter_id = $1 AND valid_to IS NULL", matter
        )
    found = {r["is_primary"]: r["incident_id"] for r in rows}
    assert len(found) == len(rows)
    return found


async def test_a_lot_sold_in_a_shop_that_has_an_incident_of_its_own_belongs_to_both(house: House) -> None:
    """The lot's incident and the shop's: one is the matter's first, in the other it is counted and teaches nothing."""
    rancid = "在佳惠超市买的晨露牌酸奶变质胀包，喝了拉肚子，要求退款赔偿"
    elsewhere = "晨露牌酸奶变质胀包，喝了拉肚子，要求退款赔偿"
    shop = [await post(house, n, rancid + "。" * n, merchant="佳惠超市", product="晨露酸奶") for n in range(3)]
    lot = [
        await post(house, 10 + n, elsewhere + "。" * n, merchant=f"{name}便利店", product="晨露酸奶", lot_no="B20260301")
        for n, name in enumerate(("好邻居", "万家福", "百汇"))
    ]
    await settled(house)
    of_shop, of_lot = (await memberships(house, shop[0]))[True], (await memberships(house, lot[0]))[True]
    assert of_shop != of_lot
    async with house.database.connection() as connection:
        before = dict(await connection.fetch("SELECT id, people_complaints FROM incident WHERE id = ANY($1)", [of_shop, of_lot]))
        assert await connection.fetchval("SELECT scope FROM incident WHERE id = $1", of_lot) == "lot"
    both = await post(house, 20, rancid, merchant="佳惠超市", product="晨露酸奶", lot_no="B20260301")
    held = await memberships(house, both)
    assert set(held.values()) == {of_shop, of_lot}
    await settled(house)
    async with house.database.connection() as connection:
        after = dict(await connection.fetch("SELECT id, people_complaints FROM incident WHERE id = ANY($1)", [of_shop, of_lot]))
        profile = await connection.fetchval("SELECT profile FROM incident WHERE id = $1", held[False])
    assert {i: n - before[i] for i, n in after.items()} == {of_shop: 1, of_lot: 1}
    assert profile["size"] == 3  # nothing learned from the second membership


async def test_one_complaint_of_a_poisoning_opens_its_incident(house: House) -> None:
    harmless = await post(house, 1, "在桂禾坊火锅店吃饭，服务态度很差，要求道歉", merchant="桂禾坊火锅店")
    harmed = await post(house, 2, "上月购买的电热水器漏电，本人被烧伤住院治疗，要求赔偿医疗费", merchant="安居电器行")
    urgent = await post(
        house, 3, "在佳味轩饭店聚餐后多人食物中毒，上吐下泻，送医院抢救住进重症监护室，要求赔偿", merchant="佳味轩饭店"
    )
    await settled(house)
    async with house.database.connection() as connection:
        found = {
            r["matter_id"]: (r["state"], r["harm"])
            for r in await connection.fetch(
                "SELECT im.matter_id, i.state, i.harm FROM incident i JOIN incident_membership im ON im.incident_id = i.id "
                "WHERE im.valid_to IS NULL"
            )
        }
    assert found == {harmless: ("single", False), harmed: ("open", True), urgent: ("open", True)}


async def test_incidents_are_decided_anew_once_a_night(house: House) -> None:
    await post(house, 1, "在桂禾坊火锅店吃出蟑螂，要求退款")
    night = datetime.now(SHANGHAI).replace(hour=3, minute=10)
    if night > datetime.now(SHANGHAI):
        night -= timedelta(days=1)
    assert not await worker.nightly(house, night.replace(hour=12))
    assert await worker.nightly(house, night)
    # The run's own start is by the server's clock: from then on the night's work is done.
    assert not await worker.nightly(house, night)
    async with house.database.connection() as connection:
        runs = await connection.fetch("SELECT kind, summary FROM link_run WHERE object = 'incident'")
    assert [(r["kind"], r["summary"]["matters"], r["summary"]["moved"]) for r in runs] == [("regroup", 1, 0)]


@pytest.fixture
def at_the_house(server: Server, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line works on the test's store."""
    owner = server.of(str(make_url(url).database), owner=True)
    for name, value in {
        "DATABASE_URL": url, "MIGRATION_DATABASE_URL": owner, "TRIAGE_DATA": str(tmp_path), "TRIAGE_TOKEN_KEY": KEYS.token_key.hex(),
        "TRIAGE_ENCRYPTION_KEY": KEYS.encryption_key.hex(),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


async def invoke(*arguments: str) -> str:
    """Commands have a loop of their own, so they run beside the test's."""
    done = await asyncio.to_thread(CliRunner().invoke, command_line, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.usefixtures("at_the_house")
async def test_regroup_mends_and_is_undone_from_the_command_line(house: House) -> None:
    food = [await post(house, n, "在桂禾坊火锅店吃火锅，锅底里吃出一只蟑螂，店家拒绝退款，要求赔偿" + "。" * n) for n in range(4)]
    await settled(house)
    home = (await memberships(house, food[0]))[True]
    async with house.database.transaction() as connection:
        run = await runs.open_run(connection, "regroup", "fault", of="incident")
        torn = new_id()
        await incidents.regroup(
            connection, house.reader.tokeniser, run, {food[3]: torn}, origin="auto", actor="fault", evidence={}
        )
    assert (await memberships(house, food[3]))[True] == torn
    told = await invoke("regroup", "--actor", "cli:test")
    assert {(await memberships(house, m))[True] for m in food} == {home}
    run_id = told.split("--undo")[1].split()[0]
    undone = await invoke("regroup", "--undo", run_id)
    assert undone.startswith("1 matters back")
    assert (await memberships(house, food[3]))[True] == torn


@pytest.mark.usefixtures("at_the_house")
async def test_a_register_is_loaded_from_the_command_line(house: House, tmp_path: Path) -> None:
    register, problems = tmp_path / "register.csv", tmp_path / "problems.csv"
    code = "91420106MA0000001" + uscc.calc_check_digit("91420106MA0000001")
    register.write_text(
        f"统一社会信用代码,名称,别名,城市\n{code},武汉桂禾坊餐饮管理有限公司,桂禾坊火锅,武汉市\n123,坏代码餐厅,,武汉市\n", "utf-8"
    )
    told = await invoke("import-merchants", str(register), "--source", "test", "--problems", str(problems))
    assert "2 rows: " in told
    assert "1 rejected" in told
    assert problems.read_text("utf-8").splitlines()[1].startswith("3,")
    again = await invoke("import-merchants", str(register), "--source", "test")
    assert "1 as they were" in again
    await house.refresh()
    await post(house, 1, "在桂禾坊火锅吃出蟑螂，要求退款", merchant="桂禾坊火锅")
    async with house.database.connection() as connection:
        name = await connection.fetchval("SELECT m.name FROM matter JOIN merchant m ON m.id = matter.merchant_id")
    assert name == "武汉桂禾坊餐饮管理有限公司"


# -- stores of older versions


def migrated(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "migrations")
    config.attributes["url"] = url
    command.upgrade(config, revision)


async def run_on(url: str, statement: str, *values: Any) -> list[Any]:
    database = Database(url, pool_size=1)
    try:
        async with database.connection() as connection:
            return list(await connection.fetch(statement, *values))
    finally:
        await database.close()


def test_a_store_of_version_3_is_brought_to_the_newest(server: Server) -> None:
    """Its merchants answer without a profile, its incidents keep their words, names and lots."""
    asyncio.run(run_on(server.of("postgres", owner=True), "CREATE DATABASE old"))
    url = server.of("old", owner=True)
    try:
        migrated(url, "0003")
        asyncio.run(
            run_on(
                url,
                "INSERT INTO incident (id, state, scope, title, first_at, last_at, complaints, people_complaints, people_all, unidentified, "
                "profile, version, terms, term_counts, term_weights) VALUES ($1, 'open', 'place', '', now(), now(), 3, 3, 3, 0, "
                """'{"size": 3, "norm": 12.5, "merchants": {}, "mentioned": {}, "issues": {"质量": 3}, "districts": {}, "products": [], """
                """"lots": [77], "places": [-5], "names": {"-9": [2, 7.25]}}', 4, '{11,-12}', '{3,1}', '{8.5,2.25}')""",
                uuid.UUID(int=7),
            )
        )
        migrated(url, "head")
        (row,) = asyncio.run(run_on(url, "SELECT *, greatest(last_at, reopened_at) AS last FROM incident"))
        assert row["scope"] == "area"
        profile = incidents.profile_of(row)
        assert (profile.terms, profile.names) == ({11: 3, -12: 1}, {-9: 2})
        assert profile.weights == {11: 8.5, -12: 2.25, -9: 7.25}
        assert (profile.size, profile.lots, profile.places) == (3, {77: 1}, {-5: 1})
        config = Config()
        config.set_main_option("script_location", "migrations")
        config.attributes["url"] = url
        command.downgrade(config, "0004")
        (row,) = asyncio.run(run_on(url, "SELECT * FROM incident"))
        assert (row["terms"], row["term_counts"], row["term_weights"]) == ([11, -12], [3, 1], [8.5, 2.25])
        assert row["profile"]["names"] == {"-9": [2, 7.25]}
    finally:
        asyncio.run(run_on(server.of("postgres", owner=True), "DROP DATABASE old WITH (FORCE)"))


@pytest.mark.usefixtures("at_the_house")
async def test_merchants_of_version_3_are_found_and_learn(house: House) -> None:
    """A name and keys of another form, until `triage migrate` has run."""
    async with house.database.transaction() as connection:
        merchant = new_id()
        await connection.execute(
            "INSERT INTO merchant (id, name, core, registered) VALUES ($1, '桂禾坊火锅店', '桂禾坊', 0)", merchant
        )
        await connection.execute("INSERT INTO merchant_key (key, merchant_id) VALUES ('c:桂禾坊', $1)", merchant)
    await invoke("migrate")
    matter = await post(house, 1, "在桂禾坊火锅店吃出蟑螂，要求退款")
    async with house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT m.id, m.profile FROM matter JOIN merchant m ON m.id = matter.merchant_id WHERE matter.id = $1", matter
        )
    assert row["id"] == merchant
    assert row["profile"]["size"] == 2
