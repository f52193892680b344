"""Documents of matters: filled from the file, each audience its own, signed once under the next number, read under rights and logged."""

import asyncio
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app import directories, documents, templates
from app.calendar import local_day
from app.database import Connection, Database
from app.drawing import FORMS
from app.errors import Conflict, Invalid, NotFound
from app.intake import Complaint
from app.triage import House, receive_and_triage
from tests.conftest import Client, complaint

NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
MERCHANT = "江城味火锅（光谷店）"
PERSON = {
    "name": "张小明", "phone": "13812345678", "id_no": "420106199003077213", "city": "武汉市", "district": "洪山区", "address": "珞喻路82号3栋501室",
}  # fmt: skip
TEXT = "在江城味火锅（光谷店）就餐，锅底里吃出蟑螂，店家拒绝退款。要求退款368元并赔偿。"
BODY = complaint(
    "doc-1", TEXT, product="火锅", amount_fen=36800, complainant=PERSON, consents={"delegate": True, "publish": False},
    agent={"name": "李代理", "phone": "13700001111"},
    respondents=[{"name": MERCHANT, "address": "武汉市洪山区珞喻路1号", "phone": "027-87654321"}],
)  # fmt: skip
REPORT = complaint(
    "rep-1", "举报武汉市洪山区好再来超市销售过期牛奶，请依法查处违法行为。", declared_kind="report",
    complainant={"name": "赵举报", "phone": "13911112222"}, respondents=[{"name": "好再来超市", "address": "武汉市洪山区民族大道2号"}],
)  # fmt: skip
HANDED = {
    "place": "洪山区市场监督管理局二楼调解室",
    "mediation_at": "2026-11-10T09:30:00+08:00",
    "mediator": "王调解",
    "contact_phone": "027-87000000",
}


async def matter(house: House, body: dict[str, Any] = BODY, **values: Any) -> uuid.UUID:
    _, outcome = await receive_and_triage(house, "p1", Complaint.model_validate({**body, **values}))
    assert outcome is not None
    return outcome.matters[0].id


async def drafted(house: House, matter_id: uuid.UUID, form: int, values: dict[str, Any] | None = None, **more: Any) -> uuid.UUID:
    async with house.database.transaction() as connection:
        choice = await templates.load(connection)
        return await documents.draft(connection, house.vault, choice, matter_id, form, values or {}, "desk", **more)


async def signed(house: House, document_id: uuid.UUID, *persons: str, at: datetime = NOW) -> str:
    async with house.database.transaction() as connection:
        return await documents.sign(connection, document_id, persons or ("王签发",), at)


async def read(house: House, document_id: uuid.UUID) -> documents.Document:
    async with house.database.connection() as connection:
        return await documents.read(connection, house.vault, document_id)


async def bureau(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "bureau.csv"
    path.write_text(
        "单位名称,辖区,机关代字,地址,电话\n武汉市洪山区市场监督管理局,武汉市洪山区,鄂洪,珞狮路300号,027-87600000\n", "utf-8"
    )
    await directories.load(connection, "bureau", path, source="test", actor="test", on=date(2026, 1, 1))


def words(html: str) -> str:
    return re.sub(r"<style>.*?</style>|<[^>]+>", "", html, flags=re.DOTALL)


async def test_the_file_fills_what_it_knows(house: House, tmp_path: Path) -> None:
    async with house.database.transaction() as connection:
        await bureau(connection, tmp_path)
    matter_id = await matter(house)
    register = (await read(house, await drafted(house, matter_id, 1))).html["bureau"]
    for value in (
        *PERSON.values(),
        "居民身份证",
        MERCHANT,
        "武汉市洪山区珞喻路1号",
        "027-87654321",
        TEXT,
        "退赔费用",
        "doc-1",
        "武汉市洪山区市场监督管理局",
    ):
        assert value in words(register), value
    assert "武汉市洪山区珞喻路82号3栋501室" in words(register)
    assert "□是　☑否" in register
    assert "☑是　□否" in register
    acceptance = await read(house, await drafted(house, matter_id, 5, {"contact": "王受理", "contact_phone": "027-87600001"}))
    told = words(acceptance.html["complainant"])
    assert "张小明：" in told
    assert re.search(rf"收到你关于{re.escape(MERCHANT)}火锅食品异物问题的投诉。经审查，符合", told)
    assert "联系人：王受理；联系电话：027-87600001。" in told
    assert "鄂洪市监投受〔〕第号" in told
    assert "武汉市洪山区市场监督管理局（印章）" in told
    assert "草　稿" in told
    assert (acceptance.state, acceptance.missing, acceptance.number) == ("draft", [], None)
    mediated = words(
        (await read(house, await drafted(house, matter_id, 9, {"agreement": "三日内退款368元。\n双方再无争议。"}))).html[
            "parties"
        ]
    )
    for value in ("李代理", "13700001111", PERSON["phone"], "三日内退款368元。\n双方再无争议。", "投诉请求：退赔费用、赔偿损失"):
        assert value in mediated, value


@pytest.mark.parametrize("form", range(1, 11))
async def test_every_form_is_drawn_for_a_bare_file(house: House, form: int) -> None:
    """A letter of three words: lines to write on, nothing made up."""
    lane = "report" if form in (2, 10) else "complaint"
    bare = complaint("bare", "举报某店无证经营" if lane == "report" else "东西坏了要求退款", declared_kind=lane)
    found = await read(house, await drafted(house, await matter(house, bare), form))
    for html in found.html.values():
        assert "None" not in words(html)
        assert 'class="blank' in html
    # What can't be signed says what is missing.
    assert set(found.missing) <= set(FORMS[form].required)
    if found.missing:
        with pytest.raises(Conflict, match="missing"):
            await signed(house, found.id)


async def test_a_hostile_name_stays_a_name(house: House) -> None:
    name = "<b onmouseover=x>张</b>"
    hostile = {**BODY, "complainant": {**PERSON, "name": name}, "respondents": [{"name": "<script>alert(1)</script>店"}]}
    matter_id = await matter(house, hostile)
    for form in (1, 5, 8, 9):
        for html in (await read(house, await drafted(house, matter_id, form))).html.values():
            assert "<b " not in html
            assert "<script" not in html
            assert "&lt;b onmouseover=x&gt;张&lt;/b&gt;" in html


async def test_what_an_official_gives_is_checked_field_by_field(house: House) -> None:
    matter_id = await matter(house)
    given: dict[str, Any] = {
        "ground": 9, "colour": "red", "subject": "长" * 201, "received_on": "gestern",
    }  # fmt: skip
    with pytest.raises(Invalid) as refused:
        await drafted(house, matter_id, 6, given)
    assert [e["field"] for e in refused.value.errors] == ["ground", "colour", "subject", "received_on"]
    bad: list[tuple[int, str, Any]] = [
        (6, "ground", True), (6, "ground", "23.1"), (6, "ground", 0), (6, "subject", 5), (6, "subject", "有\0空"), (7, "mediation_at", "9点"),
        (7, "recusal_days", -1), (7, "recusal_days", True), (1, "publish", "是"), (9, "complainant", {"name": "别人"}), (9, "respondent", {"uscc": "x"}),
        (5, "received_on", "1026-01-01"), (5, "received_on", 20260101), (9, "agreement", "长" * 4001),
    ]  # fmt: skip
    for form, name, value in bad:
        with pytest.raises(Invalid) as refused:
            await drafted(house, matter_id, form, {name: value})
        assert refused.value.errors[0]["field"].split(".")[0] == name
    for value in (2, "16.2"):
        assert (await read(house, await drafted(house, matter_id, 6, {"ground": value}))).values["ground"] == 2
    fine = {
        "respondent": {"legal_person": "陈老板"},
        "complainant": {"name": "张小明"},
        "respondent_agent.name": "周代理",
        "content": "  ",
    }
    assert "陈老板" in (await read(house, await drafted(house, matter_id, 9, fine))).html["parties"]
    with pytest.raises(Invalid):
        await drafted(house, matter_id, 11)
    with pytest.raises(Conflict, match="not for this matter"):
        await drafted(house, matter_id, 10)
    with pytest.raises(NotFound):
        await drafted(house, uuid.uuid4(), 5)


async def test_the_merchant_learns_the_name_and_nothing_more(house: House) -> None:
    matter_id = await matter(house)
    for form, values in ((7, HANDED), (8, {"ground": 2})):
        found = await read(house, await drafted(house, matter_id, form, values))
        assert list(found.html) == ["complainant", "merchant"]
        copy = found.html["merchant"]
        for value in (PERSON["phone"], PERSON["id_no"], "珞喻路82号", "李代理", "13700001111"):
            assert value not in copy, value
        assert f"{MERCHANT}：" in words(copy)
        assert "张小明反映的火锅食品异物问题" in words(copy)
        assert "张小明：" in words(found.html["complainant"])
        assert "举报" not in words(copy).replace("《市场监督管理投诉举报处理办法》", "")
    own = await read(house, await drafted(house, matter_id, 8, {"ground": 2, "subject": "火锅异物"}))
    assert all("关于火锅异物投诉的调解" in words(copy) for copy in own.html.values())


async def test_nothing_tells_the_merchant_of_a_report(house: House) -> None:
    both = await matter(
        house, {**BODY, "text": "在江城味火锅吃出蟑螂，要求退款368元。同时举报该店无证经营，请依法查处违法行为。"}
    )
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT id, lane FROM matter ORDER BY sequence")
    assert [r["lane"] for r in rows] == ["complaint", "report"]
    for form, values in ((7, HANDED), (8, {"ground": 3})):
        for copy in (await read(house, await drafted(house, both, form, values))).html.values():
            assert "举报" not in words(copy).replace("《市场监督管理投诉举报处理办法》", "")
    for form, name in ((8, "subject"), (7, "materials"), (9, "agreement"), (9, "content")):
        with pytest.raises(Invalid, match="第三十七条") as refused:
            await drafted(house, both, form, {name: "投诉人同时举报你店，望撤回"})
        assert refused.value.errors[0]["field"] == name
    fine = {"agreement": "依据《市场监督管理投诉举报处理办法》达成协议，登记于12315投诉举报平台。"}
    await drafted(house, both, 9, fine)
    # A report has no document for the merchant at all.
    report = rows[1]["id"]
    for form in (5, 6, 7, 8, 9):
        with pytest.raises(Conflict):
            await drafted(house, report, form)


async def test_a_copy_names_no_other_complainant_and_no_incident(house: House) -> None:
    for n, name in enumerate(("欧阳致远", "司马相如", "诸葛孔明")):
        await matter(
            house, {**BODY, "external_id": f"o{n}", "complainant": {"name": name, "phone": f"1391234567{n}"}, "agent": {}}
        )
    matter_id = await matter(house)
    async with house.database.connection() as connection:
        incident = await connection.fetchrow(
            "SELECT i.id, i.title FROM incident i JOIN incident_membership im ON im.incident_id = i.id WHERE im.matter_id = $1",
            matter_id,
        )
        assert await connection.fetchval("SELECT count(*) FROM incident_membership WHERE incident_id = $1", incident["id"]) == 4
    for text in ("与欧阳致远同批处理", "见１３９１２３４５６７１来电", incident["title"], f"事件{incident['id']}"):
        for form, name in ((6, "subject"), (9, "agreement"), (4, "materials")):
            with pytest.raises(Invalid, match="其他投诉人") as refused:
                await drafted(house, matter_id, form, {name: text})
            assert refused.value.errors[0]["field"] == name
    # His own name, the merchant's and his own phone he may read.
    await drafted(house, matter_id, 9, {"agreement": f"{MERCHANT}向张小明（13812345678）退款368元。"})
    for form in range(1, 10):
        if form != 2:
            for copy in (await read(house, await drafted(house, matter_id, form))).html.values():
                assert not [
                    n
                    for n in ("欧阳致远", "司马相如", "诸葛孔明", "1391234567", str(incident["id"]), incident["title"])
                    if n in copy
                ]
    # What stays in the house may name others.
    await drafted(house, matter_id, 1, {"demands": "与欧阳致远同批处理"})


async def test_the_reporter_is_told_of_his_report(house: House) -> None:
    matter_id = await matter(house, REPORT)
    register = await read(house, await drafted(house, matter_id, 2))
    assert "赵举报" in register.html["bureau"]
    result = {"law": "中华人民共和国食品安全法", "article": "一百一十五", "result": "已立案。"}
    told = words((await read(house, await drafted(house, matter_id, 10, result))).html["reporter"])
    assert "赵举报：" in told
    assert "根据《中华人民共和国食品安全法》第一百一十五条规定" in told
    sent = words(
        (
            await read(house, await drafted(house, matter_id, 3, {"receiver": "洪山区市场监督管理局", "copies": 1, "pages": 2}))
        ).html["authority"]
    )
    assert "的举报。请你局按照" in sent
    assert "相关材料1份，共2页" in sent


def unfilled(html: str) -> str:
    """The words without what signing fills in."""
    return re.sub(r"\s|\d|草　稿", "", words(html))


async def test_signing_fills_number_day_and_nothing_else(house: House, tmp_path: Path) -> None:
    async with house.database.transaction() as connection:
        await bureau(connection, tmp_path)
    matter_id = await matter(house)
    draft_id = await drafted(house, matter_id, 8, {"ground": 3})
    before = await read(house, draft_id)
    late = datetime(2026, 12, 31, 16, 30, tzinfo=UTC)  # New Year's Day in Shanghai
    number = await signed(house, draft_id, "王签发", "李复核", at=late)
    assert number == "鄂洪市监投终〔2027〕第1号"
    after = await read(house, draft_id)
    assert (after.state, after.number, after.signed_by, after.signed_at) == ("signed", number, ["王签发", "李复核"], late)
    for audience, copy in after.html.items():
        assert "鄂洪市监投终〔2027〕第1号" in words(copy)
        assert "2027年1月1日" in words(copy)
        assert "草　稿" not in copy
        assert unfilled(copy) == unfilled(before.html[audience])
    assert "<!--fill" not in str(after.html)
    with pytest.raises(Conflict, match="已签发"):
        await signed(house, draft_id)
    with pytest.raises(NotFound):
        await signed(house, uuid.uuid4())
    for persons in ((), ("",), ("  ", "李")):
        with pytest.raises(Invalid):
            async with house.database.transaction() as connection:
                await documents.sign(connection, draft_id, persons, NOW)


async def test_what_was_signed_can_not_be_changed(house: House) -> None:
    matter_id = await matter(house)
    document_id = await drafted(house, matter_id, 8, {"ground": 1})
    await signed(house, document_id)
    before = await read(house, document_id)
    async with house.database.connection() as connection:
        for statement in (
            "UPDATE signed_document SET content_cipher = ''", "UPDATE signed_document SET signed_by = '{x}'", "UPDATE signed_document SET number = 'x'",
            "DELETE FROM signed_document", "DELETE FROM document", "TRUNCATE signed_document", "UPDATE document_template SET content = 'x'",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        # Even put back to a draft by hand it can neither be read otherwise nor signed again.
        cipher = house.vault.encrypt({"values": {}, "html": {"complainant": "anders"}}, str(document_id))
        await connection.execute("UPDATE document SET state = 'draft', content_cipher = $2 WHERE id = $1", document_id, cipher)
        assert (await read(house, document_id)).html.keys() == before.html.keys()
        assert "anders" not in str((await read(house, document_id)).html)
        with pytest.raises(asyncpg.UniqueViolationError):
            await signed(house, document_id)


async def test_a_draft_is_drawn_anew_and_a_signed_one_replaced(house: House) -> None:
    matter_id = await matter(house)
    first = await drafted(house, matter_id, 6, {"ground": 1})
    second = await drafted(house, matter_id, 6, {"ground": 2})
    other_form = await drafted(house, matter_id, 5)
    states = {d: (await read(house, d)).state for d in (first, second, other_form)}
    assert states == {first: "void", second: "draft", other_form: "draft"}
    assert "作　废" in (await read(house, first)).html["complainant"]
    with pytest.raises(Conflict):
        await signed(house, first)
    await signed(house, second)
    third = await drafted(house, matter_id, 6, {"ground": 3}, replaces=second)
    assert (await read(house, second)).state == "signed"
    fourth = await drafted(house, matter_id, 6, {"ground": 4})  # drawn anew, still in place of the signed one
    assert (await read(house, fourth)).replaces == second
    assert await signed(house, fourth) == "市监投不受〔2026〕第2号"
    assert (await read(house, second)).state == "void"
    assert (await read(house, second)).number == "市监投不受〔2026〕第1号"
    for wrong in (third, other_form, uuid.uuid4()):
        with pytest.raises(Invalid, match="replaces"):
            await drafted(house, matter_id, 6, {"ground": 3}, replaces=wrong)
    async with house.database.transaction() as connection:
        await documents.void(connection, fourth, "主管", "送达前发现差错")
        with pytest.raises(Conflict):
            await documents.void(connection, fourth, "主管", "再次")
        with pytest.raises(NotFound):
            await documents.void(connection, uuid.uuid4(), "主管", "x")
        acts = await connection.fetch(
            "SELECT act, count(*) AS n FROM audit_entry WHERE object = 'document' GROUP BY 1 ORDER BY 1"
        )
    assert {a["act"]: a["n"] for a in acts} == {"draft": 5, "sign": 2, "void": 1}


async def test_numbers_have_no_gap_and_no_double_under_20_signers(house: House, url: str) -> None:
    """Each signs twice, every third transaction fails after its number was given."""
    matters = [await matter(house, {**BODY, "external_id": f"n{n}"}) for n in range(20)]
    crowd = Database(url, pool_size=20)
    begun = asyncio.Barrier(20)

    class Dropped(Exception):
        pass

    async def signer(turn: int) -> list[str]:
        given = []
        for n in range(2):
            document_id = await drafted(house, matters[turn], 8, {"ground": 1 + turn % 8})
            await begun.wait()
            try:
                async with crowd.transaction() as connection:
                    number = await documents.sign(connection, document_id, ["甲", "乙"], NOW)
                    await asyncio.sleep(0.002)
                    if (turn + n) % 3 == 0:
                        raise Dropped
                    given.append(number)
            except Dropped:
                assert (await read(house, document_id)).state == "draft"
        return given

    try:
        given = [number for found in await asyncio.gather(*(signer(n) for n in range(20))) for number in found]
    finally:
        await crowd.close()
    running = [int(number.split("第")[1].removesuffix("号")) for number in given]
    assert 20 < len(running) < 40
    assert sorted(running) == list(range(1, len(running) + 1))
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT last FROM document_series WHERE form = 8") == len(running)


async def test_series_are_of_a_bureau_a_form_and_a_year(house: House, tmp_path: Path) -> None:
    async with house.database.transaction() as connection:
        await bureau(connection, tmp_path)
    here = await matter(house)
    elsewhere = await matter(
        house,
        {
            **BODY,
            "external_id": "yc",
            "respondents": [{"name": "宜昌某店", "address": "宜昌市西陵区沿江大道1号"}],
            "complainant": {},
        },
    )
    year = timedelta(days=366)
    assert await signed(house, await drafted(house, here, 8, {"ground": 1})) == "鄂洪市监投终〔2026〕第1号"
    assert await signed(house, await drafted(house, here, 6, {"ground": 1})) == "鄂洪市监投不受〔2026〕第1号"
    assert await signed(house, await drafted(house, here, 8, {"ground": 1})) == "鄂洪市监投终〔2026〕第2号"
    assert await signed(house, await drafted(house, here, 8, {"ground": 1}), at=NOW + year) == "鄂洪市监投终〔2027〕第1号"
    assert await signed(house, await drafted(house, elsewhere, 8, {"ground": 1, "subject": "退款"})) == "市监投终〔2026〕第1号"


async def test_a_bureaus_own_template_draws_its_documents(house: House) -> None:
    own = templates.shipped_templates()[4].content.replace("特此告知。", "特此告知，洪山区专用。")
    async with house.database.transaction() as connection:
        made = await templates.publish(
            connection, 5, own, jurisdiction="420111", valid_from=local_day(datetime.now(UTC)), by="legal"
        )
    found = await read(house, await drafted(house, await matter(house), 5))
    assert "洪山区专用" in found.html["complainant"]
    assert found.template_hash == made.hash


async def test_no_personal_value_of_a_document_stands_in_the_database(house: House) -> None:
    matter_id = await matter(house)
    document_id = await drafted(house, matter_id, 9, {"agreement": "向张小明退款到建行账户"})
    await signed(house, document_id)
    await drafted(house, matter_id, 1)
    async with house.database.connection() as connection:
        for table in ("document", "signed_document", "document_series"):
            dump = "\n".join(r["row"] for r in await connection.fetch(f"SELECT t::text AS row FROM {table} t"))
            assert not [v for v in (*PERSON.values(), "李代理", "建行账户") if v in dump or v.encode().hex() in dump]


# -- through the API


async def posted(client: Client, body: dict[str, Any] = BODY) -> str:
    answer = await client.post("portal", "/v1/complaints", body)
    assert answer.status_code == 201
    return str(answer.json()["matters"][0]["id"])


async def test_drawn_read_and_listed(client: Client) -> None:
    matter_id = await posted(client)
    made = await client.post("intake", f"/v1/matters/{matter_id}/documents", {"form": 6, "values": {"ground": "16.5"}})
    assert made.status_code == 201
    assert (made.json()["state"], made.json()["title"], made.json()["missing"]) == ("draft", "投诉不予受理决定书", [])
    path = made.headers["location"]
    page = await client.get("intake", path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "sandbox" in policy
    assert (page.headers["cache-control"], page.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert "☑（五）" in page.text
    told = await client.get("supervisor", path, headers={"Accept": "application/json"})
    assert told.json()["values"]["ground"] == 5
    assert (
        (await client.get("intake", path, headers={"Accept": "text/html,application/json;q=0.9"}))
        .headers["content-type"]
        .startswith("text/html")
    )
    listed = (await client.get("mediator", f"/v1/matters/{matter_id}/documents")).json()["items"]
    assert [d["form"] for d in listed] == [6]
    assert "张小明" not in str(listed)
    async with client.house.database.connection() as connection:
        acts = await connection.fetch("SELECT actor, act, purpose FROM audit_entry WHERE object = 'document' ORDER BY id")
    assert [tuple(a) for a in acts] == [
        ("intake", "draft", "投诉不予受理决定书"), ("intake", "reveal", "投诉不予受理决定书"), ("supervisor", "reveal", "投诉不予受理决定书"),
        ("intake", "reveal", "投诉不予受理决定书"),
    ]  # fmt: skip


async def test_a_preview_keeps_nothing(client: Client) -> None:
    matter_id = await posted(client)
    path = f"/v1/matters/{matter_id}/documents"
    for audience, value in (("", "张小明："), ("&audience=merchant", f"{MERCHANT}：")):
        page = await client.post("supervisor", f"{path}?preview=true{audience}", {"form": 8, "values": {"ground": 5}})
        assert page.status_code == 200
        assert value in page.text
        assert "草　稿" in page.text
        assert page.headers["content-security-policy"]
    assert (await client.post("supervisor", f"{path}?preview=true&audience=public", {"form": 8})).status_code == 422
    assert (await client.get("supervisor", path)).json()["items"] == []


async def test_rights_by_role_place_and_hand(client: Client) -> None:
    matter_id = await posted(client)
    path = f"/v1/matters/{matter_id}/documents"
    new = {"form": 8, "values": {"ground": 2}}
    for role, status in (("portal", 403), ("analyst", 403), ("yichang", 404), ("mediator", 403), ("supervisor", 201)):
        assert (await client.post(role, path, new)).status_code == status, role
    claimed = (await client.post("mediator", "/v1/queues/t3/claim", {"lease_seconds": 600})).json()["items"]
    assert [c["matter_id"] for c in claimed] == [matter_id]
    made = await client.post("mediator", path, new)
    assert made.status_code == 201
    document = made.headers["location"]
    for role, status in (
        ("mediator", 200),
        ("second", 403),
        ("yichang", 404),
        ("analyst", 403),
        ("intake", 200),
        ("admin", 200),
        ("portal", 404),
        ("other_portal", 404),
    ):
        assert (await client.get(role, document)).status_code == status, role
    item = claimed[0]
    await client.post("mediator", f"/v1/work-items/{item['id']}/release", {"lease_token": item["lease_token"]})
    assert (await client.get("mediator", document)).status_code == 200  # his own
    assert (await client.post("mediator", path, new)).status_code == 403
    assert (await client.get("yichang", path)).status_code == 404
    assert (await client.get("mediator", f"/v1/documents/{uuid.uuid4()}")).status_code == 404
    assert (await client.post("intake", f"/v1/matters/{uuid.uuid4()}/documents", new)).status_code == 404


async def test_a_mediator_does_not_learn_of_a_report_by_its_documents(client: Client) -> None:
    matter_id = await posted(client, REPORT)
    made = await client.post("intake", f"/v1/matters/{matter_id}/documents", {"form": 2})
    assert made.status_code == 201
    assert (await client.get("mediator", f"/v1/matters/{matter_id}/documents")).status_code == 404
    assert (await client.get("mediator", made.headers["location"])).status_code == 404


async def test_signing_and_voiding_through_the_api(client: Client) -> None:
    matter_id = await posted(client)
    path = f"/v1/matters/{matter_id}/documents"
    notice = (
        await client.post("intake", path, {"form": 4, "values": {"provide_by": "2026-11-20", "materials": "身份证复印件"}})
    ).headers["location"]
    refusal = (await client.post("intake", path, {"form": 6, "values": {"ground": 5}})).headers["location"]
    unready = (await client.post("intake", path, {"form": 7})).headers["location"]
    assert (await client.post("intake", f"{refusal}/sign")).status_code == 409  # by the act
    lacking = await client.post("intake", f"{unready}/sign")
    assert (lacking.status_code, {e["field"] for e in lacking.json()["errors"]}) == (409, {"mediation_at", "place", "mediator"})
    assert (await client.post("robot", f"{notice}/sign")).status_code == 403
    number = (await client.post("intake", f"{notice}/sign")).json()["number"]
    assert re.fullmatch(r"市监限提〔\d{4}〕第1号", number)
    # The portal hands the complainant what was signed for him, and nothing else.
    seen = (await client.get("portal", path)).json()["items"]
    assert [(d["form"], d["number"]) for d in seen] == [(4, number)]
    assert number[2:4] in (await client.get("portal", notice)).text
    assert (await client.get("portal", refusal)).status_code == 404
    assert (await client.get("other_portal", path)).status_code == 404
    assert set((await client.get("portal", notice, headers={"Accept": "application/json"})).json()) == {
        "id", "matter_id", "form", "title", "state", "state_label", "number", "signed_at",
    }  # fmt: skip
    assert (await client.post("intake", f"{notice}/void", {"reason": "日期有误"})).status_code == 403
    assert (await client.post("intake", f"{refusal}/void", {"reason": "另行处理"})).status_code == 200
    assert (await client.post("supervisor", f"{notice}/void", {"reason": "日期有误"})).status_code == 200
    assert (await client.get("portal", path)).json()["items"] == []
    assert (await client.get("portal", notice)).status_code == 404


async def test_the_portal_never_gets_the_merchants_copy(client: Client) -> None:
    matter_id = await posted(client)
    made = await client.post("supervisor", f"/v1/matters/{matter_id}/documents", {"form": 7, "values": HANDED})
    await client.post("supervisor", f"{made.headers['location']}/sign")
    assert (await client.get("portal", made.headers["location"])).status_code == 200
    assert (await client.get("portal", made.headers["location"] + "?audience=merchant")).status_code == 422
    assert "张小明反映的" in (await client.get("supervisor", made.headers["location"] + "?audience=merchant")).text


@pytest.mark.parametrize("body", [
    {}, {"form": 0}, {"form": 11}, {"form": "6"}, {"form": 6, "values": []}, {"form": 6, "values": {"ground": [5]}}, {"form": 6, "x": 1},
    {"form": 6, "values": {"ground": {"a": {"b": 1}}}}, {"form": 6, "replaces": "x"}, {"form": 5, "values": {"subject": {"deep": {"x": 1}}}},
])  # fmt: skip
async def test_bad_bodies_are_refused(client: Client, body: dict[str, Any]) -> None:
    matter_id = await posted(client)
    assert (await client.post("intake", f"/v1/matters/{matter_id}/documents", body)).status_code == 422
