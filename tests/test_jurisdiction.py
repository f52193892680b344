"""Who is competent, by which article (Arts. 13, 29-32), what is another bureau's, and copies across channels and districts (Arts. 14, 16)."""

import csv
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import cases, correcting, directories, intake, jurisdiction, rerouting, triage, work
from app.codes import find_elsewhere, region_name
from app.directories import Platforms
from app.identity import Principal
from app.intake import Complaint, Letter
from app.jurisdiction import Jurisdiction
from app.reading import Reader, ReadLetter
from app.triage import House
from tests.conftest import KEYS

NOW = datetime(2026, 7, 20, 1, 0, tzinfo=UTC)
DAY = date(2026, 7, 20)
WUCHANG, JIANGHAN, HONGSHAN, XIAONAN = "420106", "420103", "420111", "420902"
HANGZHOU = "330110"
ME = {"name": "曾嘉树", "phone": "19900000145", "city": "武汉市", "district": "武昌区", "address": "武汉市武昌区徐东大街245号"}


def platform(name: str = "楚购商城", district: str = JIANGHAN, **more: Any) -> dict[str, Any]:
    return {
        "code": None, "name": name, "aliases": [], "operator": f"{name}信息技术有限公司", "district": district, "valid_from": date(2025, 1, 1),
        "valid_to": None, **more,
    }  # fmt: skip


CHUGOU = Platforms([platform()])
FAR = Platforms([platform(district=HANGZHOU, aliases=["楚购"])])


@pytest.fixture(scope="module")
def reader() -> Reader:
    from app.privacy import Vault

    return Reader(Vault(KEYS).mac)


def read(reader: Reader, text: str, respondents: list[Mapping[str, Any]], **more: Any) -> ReadLetter:
    body = Complaint.model_validate({"external_id": "1", "text": text, "complainant": ME, "respondents": respondents, **more})
    return reader.read(Letter.make("p", body, now=NOW, history=False))


def find(
    reader: Reader, text: str, *respondents: Mapping[str, Any], platforms: Platforms | None = None, lane: str = "complaint", home: str = "42"
) -> Jurisdiction:  # fmt: skip
    found = jurisdiction.find(read(reader, text, list(respondents)), lane, platforms or Platforms(), home, DAY)
    assert found is not None
    return found


def said(found: Jurisdiction) -> tuple[str | None, str, bool]:
    return found.district, found.basis.replace("《市场监督管理投诉举报处理办法》", ""), found.uncertain


# -- complaints


def test_a_respondent_is_where_it_trades_or_is_registered(reader: Reader) -> None:
    shop = {"name": "云栖眼镜店", "address": "武汉市洪山区珞喻路726号"}
    found = find(reader, "配的眼镜度数错了，要求退款", shop)
    assert said(found) == (HONGSHAN, "第十三条第一款", False)
    assert "武汉市洪山区" in found.reason
    # The licence names another place: both are competent, and the first to receive handles it.
    both = find(reader, "配的眼镜度数错了，店的营业执照上写的是江汉区，要求退款", shop)
    assert said(both) == (HONGSHAN, "第十三条第一款", False)
    assert [a.district for a in both.alternatives] == [JIANGHAN]
    assert [r["legal_basis"].endswith("第十四条") for r in both.said("complaint")] == [False, True]
    # Only told in words, or by the name.
    assert said(find(reader, "在洪山区街道口的眼镜店配的眼镜度数错了，要求退款")) == (HONGSHAN, "第十三条第一款", True)
    assert said(find(reader, "配的眼镜度数错了", {"name": "江城眼镜（洪山店）"}))[0] in (HONGSHAN, WUCHANG)
    # Nobody said: the complainant's own place is a presumption.
    presumed = find(reader, "配的眼镜度数错了，要求退款", {"name": "云栖眼镜"})
    assert said(presumed) == (WUCHANG, "第十三条第一款", True)
    assert "没有写明被投诉人的地址" in presumed.reason


def test_the_register_knows_where_a_respondent_trades(reader: Reader) -> None:
    letter = read(reader, "配的眼镜度数错了，要求退款", [{"name": "云栖眼镜"}])
    found = jurisdiction.find(letter, "complaint", Platforms(), "42", DAY, registered=[HONGSHAN])
    assert found is not None
    assert said(found) == (HONGSHAN, "第十三条第一款", False)
    assert "登记的经营地点" in found.reason
    # A chain's shops are in several: which one is meant nobody said.
    several = jurisdiction.find(letter, "complaint", Platforms(), "42", DAY, registered=[HONGSHAN, JIANGHAN])
    assert several is not None
    assert several.uncertain
    stated = read(reader, "配的眼镜度数错了", [{"name": "云栖眼镜", "address": "武汉市江汉区云彩路1号"}])
    assert jurisdiction.find(stated, "complaint", Platforms(), "42", DAY, registered=[HONGSHAN]).district == JIANGHAN  # type: ignore[union-attr]


def test_a_seller_on_a_platform_by_its_published_address_or_the_platforms_domicile(reader: Reader) -> None:
    seller = {"name": "荆楚土货小铺", "platform": "楚购商城", "address": "武汉市武昌区紫阳路88号"}
    found = find(reader, "买的莲藕粉缺斤少两，要求退差价", seller, platforms=CHUGOU)
    assert said(found) == (WUCHANG, "第十三条第二款", False)
    assert [(a.district, a.basis[-7:]) for a in found.alternatives] == [(JIANGHAN, "第十三条第二款")]
    assert any(r["legal_basis"].endswith("第十四条") for r in found.said("complaint"))
    # Where it really sends from has no power over complaints.
    sends = "店铺在平台公示的地址是武汉市武昌区紫阳路88号，实际是从孝感市孝南区发的货"
    found = find(reader, sends, {**seller, "address": "孝感市孝南区城站路1号"}, platforms=CHUGOU)
    assert found.district == WUCHANG
    assert XIAONAN not in {a.district for a in found.alternatives}
    # Not published, or not to be reached by what is published: the platform's domicile.
    nowhere = {"name": "小满手作店", "platform": "楚购商城"}
    for text in ("店铺页面没有公示任何地址和电话，要求退款", "收到的蜡烛碎了，要求退款", "该店未在平台公示地址，要求退款"):
        found = find(reader, text, nowhere, platforms=CHUGOU)
        assert said(found) == (JIANGHAN, "第十三条第二款", False), text
        assert "未在平台依法公示地址" in found.reason
    gone = "收到的蜡烛碎了，按平台公示的地址找过去无法取得联系，要求退款"
    found = find(reader, gone, seller, platforms=CHUGOU)
    assert said(found) == (JIANGHAN, "第十三条第二款", True)
    assert "无法取得联系" in found.reason
    assert [a.district for a in found.alternatives] == [WUCHANG]
    # That a shop's service does not answer is no unreachable address.
    assert find(reader, "收到的蜡烛碎了，联系不上客服，要求退款", seller, platforms=CHUGOU).district == WUCHANG


def test_a_platforms_domicile_is_the_registers_or_what_the_letter_says(reader: Reader) -> None:
    nowhere = {"name": "小满手作店", "platform": "楚购商城"}
    company = {"name": "楚购商城信息技术有限公司", "address": "武汉市江汉区云彩路198号"}
    assert said(find(reader, "收到碎了，要求退款", nowhere, company)) == (JIANGHAN, "第十三条第二款", False)
    assert find(reader, "收到碎了，平台公司在武汉市江汉区，要求退款", nowhere).district == JIANGHAN
    # The register counts before the letter.
    assert find(reader, "收到碎了", nowhere, company, platforms=Platforms([platform(district="420102")])).district == "420102"
    # No domicile is invented where nobody knows it.
    unknown = find(reader, "收到碎了，要求退款", nowhere)
    assert said(unknown) == (WUCHANG, "第十三条第二款", True)
    assert "平台经营者住所地未知" in unknown.reason
    # An entry that has ended is none.
    over = Platforms([platform(valid_to=date(2026, 1, 1))])
    assert find(reader, "收到碎了，要求退款", nowhere, platforms=over).uncertain
    # Found by alias, by operator, by code.
    book = Platforms([platform(aliases=["楚购"], code="91420103MA4EXA0692")])
    for one in ({"name": "楚购"}, {"name": "楚购商城信息技术有限公司"}, {"name": "某公司", "uscc": "91420103MA4EXA0692"}):
        assert said(find(reader, "平台不处理售后，要求退款", one, platforms=book)) == (JIANGHAN, "第十三条第二款", False)


def test_own_sites_and_platforms_are_where_they_are_domiciled(reader: Reader) -> None:
    shop = {"name": "江城家电公司", "address": "武汉市江汉区云彩路1号"}
    assert said(find(reader, "在该公司官网下单的冰箱不制冷，要求退货", shop)) == (JIANGHAN, "第十三条第二款", False)
    self_run = {"name": "楚购商城", "platform": "楚购商城"}
    assert said(find(reader, "买的冰箱不制冷，要求退货", self_run, platforms=CHUGOU)) == (JIANGHAN, "第十三条第二款", False)
    # A platform that is only spoken of changes nothing where the shop's place is known.
    found = find(
        reader,
        "在楚购商城团购的套餐到店不让用，要求退款",
        {"name": "桂禾坊", "address": "武汉市洪山区珞喻路1号"},
        platforms=CHUGOU,
    )
    assert said(found) == (HONGSHAN, "第十三条第一款", False)
    assert [a.district for a in found.alternatives] == [JIANGHAN]


def test_what_is_anothers_stays_with_the_desk(reader: Reader) -> None:
    far = find(reader, "买的冰箱不制冷，要求退货", {"name": "西溪家电公司", "address": "浙江省杭州市余杭区文一西路969号"})
    assert far.district is None
    assert far.outside is not None
    assert far.outside.district == HANGZHOU
    assert "浙江省杭州市余杭区" in far.reason
    for article in ("第十三条第一款", "第十六条第一项", "第四十一条第一款"):
        assert article in far.basis
    assert far.as_json()["proposal"] == ["dispatch", "refuse:16(1)"]
    # A maker elsewhere and a shop of ours that the words name.
    bought = find(
        reader,
        "在洪山区街道口商场买的冰箱不制冷，要求退货",
        {"name": "西溪家电公司", "address": "浙江省杭州市余杭区文一西路969号"},
    )
    assert said(bought) == (HONGSHAN, "第十三条第一款", True)
    assert [a.district for a in bought.alternatives] == [HANGZHOU]
    # On a platform: its published address elsewhere, its platform's domicile ours.
    seller = {"name": "西溪小铺", "platform": "楚购商城", "address": "杭州市余杭区文一西路969号"}
    here = find(reader, "收到碎了，要求退款", seller, platforms=CHUGOU)
    assert said(here) == (JIANGHAN, "第十三条第二款", False)
    assert find(reader, "收到碎了，要求退款", seller, platforms=FAR).outside is not None
    # A platform that the words alone name moves nothing away.
    home = find(reader, "在楚购商城买的杯子收到碎了，要求退款", {"name": "小满手作店"}, platforms=FAR)
    assert said(home)[::2] == (WUCHANG, True)
    assert [a.district for a in home.alternatives] == [HANGZHOU]
    # A city's bureau: the next city is another's.
    assert (
        find(reader, "手机坏了，要求退款", {"name": "宜品", "address": "宜昌市西陵区东山大道1号"}, home="4201").outside
        is not None
    )
    assert find(reader, "手机坏了，要求退款", {"name": "宜品", "address": "武汉市"}, home="420106").district == "420100"


@pytest.mark.parametrize(
    ("address", "code", "name"),
    [
        ("浙江省杭州市余杭区文一西路", "330110", "浙江省杭州市余杭区"), ("广东深圳市南山区", "440305", "广东省深圳市南山区"),
        ("北京市朝阳区酒仙桥路", "110105", "北京市朝阳区"), ("中国江苏省南京市", "320100", "江苏省南京市"), ("香港特别行政区", "810000", "香港特别行政区"),
        ("武汉市武昌区", None, None), ("湖北省武汉市", None, None), ("北京路12号", None, None), ("南京东路1号", None, None), ("朝阳区", None, None),
        ("广州大酒店", None, None), ("", None, None),
    ],
)  # fmt: skip
def test_places_of_other_provinces_by_what_an_address_begins_with(address: str, code: str | None, name: str | None) -> None:
    assert find_elsewhere(address) == code
    if code:
        assert region_name(code) == name


# -- reports


def test_a_report_goes_where_the_act_was_done(reader: Reader) -> None:
    maker = {"name": "江汉某食品公司", "address": "武汉市江汉区云彩路1号"}
    found = find(reader, "举报该公司生产假冒酱油，请查处", maker, lane="report")
    assert said(found) == (JIANGHAN, "第二十九条", False)
    found = find(reader, "举报该公司生产假冒酱油，窝点在洪山区青菱街，请查处", maker, lane="report")
    assert found.district == HONGSHAN
    assert [a.district for a in found.alternatives] == [JIANGHAN]
    # Art. 14 is about complaints.
    assert not any("第十四条" in r["legal_basis"] for r in found.said("report"))
    far = find(reader, "举报该公司生产假冒酱油", {"name": "西溪食品", "address": "浙江省杭州市余杭区文一西路"}, lane="report")
    assert far.outside is not None
    assert "第三十四条" in far.basis
    assert "第十六条" not in far.basis


def test_a_report_on_a_seller_on_a_platform(reader: Reader) -> None:
    seller = {"name": "荆楚土货小铺", "platform": "楚购商城", "address": "武汉市武昌区紫阳路88号"}
    found = find(reader, "举报该店销售三无产品，实际是从孝感市孝南区发的货", seller, platforms=CHUGOU, lane="report")
    assert said(found) == (XIAONAN, "第三十一条第二款", False)
    assert [a.district for a in found.alternatives] == [WUCHANG, JIANGHAN]
    # Nobody knows where it trades: the platform's domicile, which received it first.
    found = find(reader, "举报该店销售三无产品", {"name": "小铺", "platform": "楚购商城"}, platforms=CHUGOU, lane="report")
    assert said(found) == (JIANGHAN, "第三十一条第二款", False)
    assert "先行收到" in found.reason
    found = find(reader, "举报该平台未核验入驻商家资质", {"name": "楚购商城"}, platforms=CHUGOU, lane="report")
    assert said(found)[:2] == (JIANGHAN, "第三十一条第一款")


def test_advertisements(reader: Reader) -> None:
    station = {"name": "江城电视台", "address": "武汉市江汉区建设大道1号"}
    seller = {"name": "康源保健品公司", "address": "武汉市洪山区珞喻路1号"}
    found = find(reader, "举报该公司在电视台发布虚假广告，宣称包治百病", seller, station, lane="report")
    assert said(found) == (JIANGHAN, "第三十二条第一款", False)
    found = find(reader, "举报该公司在自己的网站页面上发布虚假广告，使用国家级最佳用语", seller, lane="report")
    assert said(found) == (HONGSHAN, "第三十二条第三款", False)
    found = find(
        reader,
        "举报该公司在网络平台投放虚假广告，使用国家级最佳用语",
        {**seller, "platform": "楚购商城"},
        platforms=CHUGOU,
        lane="report",
    )
    assert said(found) == (JIANGHAN, "第三十二条第一款", False)
    assert [(a.district, a.basis[-8:]) for a in found.alternatives] == [(HONGSHAN, "第三十二条第二款")]


def test_neither_complaint_nor_report_has_a_competent_bureau(reader: Reader) -> None:
    assert jurisdiction.find(read(reader, "请问营业时间", []), "other", Platforms(), "42", DAY) is None


# -- in the service


async def matter(house: House, letter_id: Any, lane: str = "complaint") -> dict[str, Any]:
    async with house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT m.*, d.reasons, d.evidence, d.rule, d.alternative, w.queue_id, w.district AS item_district, w.flags FROM matter m "
            "JOIN decision d ON d.matter_id = m.id AND d.kind = 'initial' LEFT JOIN work_item w ON w.matter_id = m.id "
            "WHERE m.letter_id = $1 AND m.lane = $2",
            letter_id, lane,
        )  # fmt: skip
        codes = await connection.fetch("SELECT code, evidence FROM finding WHERE matter_id = $1 ORDER BY id", row["id"])
        running = await connection.fetch("SELECT key FROM clock WHERE matter_id = $1 AND stopped_at IS NULL", row["id"])
    return {**dict(row), "findings": {r["code"]: r["evidence"] for r in codes}, "clocks": {r["key"] for r in running}}


async def arrive(
    house: House, number: str, text: str, *, source: str = "p", at: datetime = NOW, now: datetime | None = None, history: bool = False,
    lane: str = "complaint", **body: Any,
) -> dict[str, Any]:  # fmt: skip
    letter = Letter.make(
        source,
        Complaint.model_validate({"external_id": number, "text": text, "received_at": at, "complainant": ME, **body}),
        now=at,
        history=history,
    )
    async with house.database.connection() as connection:
        await intake.receive(connection, house.vault, [letter], imported=history)
    assert await triage.triage(house, letter, now=now or at) is not None
    return await matter(house, letter.id, lane)


async def test_platforms_are_a_directory(house: House, tmp_path: Path) -> None:
    path = tmp_path / "platforms.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(
            [["平台名称", "别名", "统一社会信用代码", "经营者名称", "住所地", "有效期起"],
             ["楚购商城", "楚购；楚购优选", "91420103MA4EXA0692", "楚购商城信息技术有限公司", "武汉市江汉区", "2025-01-01"],
             ["西溪购", "", "", "西溪购网络有限公司", "浙江省杭州市余杭区", "2025-01-01"], ["无处购", "", "", "", "乌有市", ""], ["无地购", "", "", "", "", ""]]
        )  # fmt: skip
    for expected in ((2, 0), (0, 2)):
        async with house.database.transaction() as connection:
            done = await directories.load(connection, "platform", path, source="test", actor="test", on=DAY)
        assert (done.opened, done.unchanged) == expected
        assert [(p.line, p.field) for p in done.problems] == [(4, "district"), (5, "district")]
    await house.refresh()
    found = house.platforms.find(DAY, "楚购优选")
    assert found is not None
    assert (found.name, found.district) == ("楚购商城", JIANGHAN)
    far = house.platforms.find(DAY, "西溪购平台")
    assert far is not None
    assert far.district == HANGZHOU
    async with house.database.connection() as connection:
        headers, rows = directories.sheet("platform", await directories.entries(connection, "platform", on=DAY))
    assert "别名" in headers
    assert ["楚购；楚购优选" in row for row in rows].count(True) == 1
    one = await arrive(house, "1", "收到的蜡烛碎了，要求退款76元", respondents=[{"name": "小满手作店", "platform": "楚购"}])
    assert (one["district"], one["item_district"]) == (JIANGHAN, JIANGHAN)
    assert one["evidence"]["jurisdiction"]["district"] == JIANGHAN
    assert any(r["legal_basis"].endswith("第十三条第二款") for r in one["reasons"])
    # Another's: the desk's, whatever the track would be; the clock runs as ever.
    two = await arrive(house, "2", "收到的杯子裂了，要求退款76元", respondents=[{"name": "别家店", "platform": "西溪购"}])
    assert (two["district"], two["queue_id"], two["track"], two["rule"]) == ("42", "intake", "intake", "outside")
    assert two["alternative"] in ("t1", "t2", "t3")
    assert two["clocks"] == {"complaint.accept"}
    assert two["evidence"]["jurisdiction"]["outside"] == HANGZHOU
    assert "第十六条第一项" in two["reasons"][0]["legal_basis"]
    # However it is read later and however its incident grows: it is told, and stays where it can be dispatched.
    person = Principal("desk", True, frozenset({"intake"}), ("42",), (), ())
    lanes = ("complaint", "report", "other")
    again = await correcting.correct_reading(house, two["id"], person, correcting.Correction(problem="合同"), lanes=lanes)
    assert again["track"] == "intake"
    async with house.database.transaction() as connection:
        grown = {"incident_harm": "high", "incident_people": 40}
        row = await cases.hold(connection, two["id"])
        assert await rerouting.decide_anew(house, connection, row, grown, cause="incident_grew", evidence={}, now=NOW)
    after = await matter(house, two["letter_id"])
    assert (after["track"], after["queue_id"], after["flags"]) == ("intake", "intake", ["incident_grew:t3"])
    # History is filed, not sent anywhere.
    old = await arrive(
        house,
        "3",
        "收到的碗裂了，要求退款",
        respondents=[{"name": "又一家", "platform": "西溪购"}],
        history=True,
        at=NOW - timedelta(days=400),
    )
    assert (old["state"], old["queue_id"]) == ("history", None)


TEA = "7月14日在茶隐巷奶茶店下单三杯奶茶（单号WM20260714088），付款72元，实际送到两杯，商家不予补送，要求退还一杯的费用24元。"


async def test_a_copy_across_channel_and_district_goes_to_the_first(house: House) -> None:
    first = await arrive(
        house, "1", TEA, source="hotline", channel="hotline12345", order_no="WM20260714088",
        respondents=[{"name": "茶隐巷奶茶店", "address": "武汉市武昌区中北路31号"}],
    )  # fmt: skip
    second = await arrive(
        house, "2", TEA, source="platform", channel="app", at=NOW + timedelta(days=1), order_no="WM20260714088",
        respondents=[{"name": "茶隐巷奶茶店", "address": "武汉市江汉区云彩路198号"}],
    )  # fmt: skip
    assert (first["district"], second["district"]) == (WUCHANG, JIANGHAN)
    assert (second["copy_of"], second["state"], second["queue_id"], second["clocks"]) == (first["id"], "merged", None, set())
    assert {"R1"} == set(second["findings"])
    assert second["reasons"][0]["legal_basis"].endswith("第十四条")  # not accepted yet: 16(2) says nothing
    assert "武汉市武昌区" in second["reasons"][0]["text"]
    # Accepted meanwhile: what was accepted is Art. 16(2) too.
    async with house.database.transaction() as connection:
        await connection.execute("UPDATE matter SET state = 'accepted' WHERE id = $1", first["id"])
    third = await arrive(
        house, "3", TEA, source="platform", channel="app", at=NOW + timedelta(days=2), order_no="WM20260714088",
        respondents=[{"name": "茶隐巷奶茶店", "address": "武汉市江汉区云彩路198号"}],
    )  # fmt: skip
    assert third["reasons"][0]["legal_basis"].endswith("第十四条、《市场监督管理投诉举报处理办法》第十六条第二项")
    same = await arrive(
        house, "4", TEA, source="platform", channel="app", at=NOW + timedelta(days=2), order_no="WM20260714088",
        respondents=[{"name": "茶隐巷奶茶店", "address": "武汉市武昌区中北路31号"}],
    )  # fmt: skip
    assert same["copy_of"] == first["id"]
    assert same["reasons"][0]["legal_basis"].endswith("办法》第十六条第二项")
    assert "第十四条" not in same["reasons"][0]["legal_basis"]


@pytest.mark.parametrize("late", [timedelta(hours=5), timedelta(days=6)])
async def test_who_was_first_is_told_by_receipt_not_by_arrival(house: House, late: timedelta) -> None:
    here = await arrive(
        house,
        "1",
        TEA,
        source="platform",
        order_no="WM20260714088",
        respondents=[{"name": "茶隐巷奶茶店", "address": "武汉市武昌区中北路31号"}],
    )
    earlier = await arrive(
        house, "2", TEA, source="hotline", at=NOW - late, now=NOW + timedelta(hours=1), order_no="WM20260714088",
        respondents=[{"name": "茶隐巷奶茶店", "address": "武汉市江汉区云彩路198号"}],
    )  # fmt: skip
    # Linked, worked on once; a person says whose it is and from when its term counts.
    assert earlier["copy_of"] == here["id"]
    assert set(earlier["findings"]) == {"R1", "earlier_receipt"}
    assert earlier["findings"]["earlier_receipt"]["districts"] == [JIANGHAN, WUCHANG]
    assert "由谁处理" in earlier["reasons"][0]["text"]
    assert "武汉市江汉区的市场监督管理部门先收到" in earlier["reasons"][0]["text"]
    now = await matter(house, here["letter_id"])
    assert now["flags"] == ["earlier_receipt"]
    assert now["findings"]["earlier_receipt"]["copy"] == str(earlier["id"])
    async with house.database.transaction() as connection:
        person = Principal("m", True, frozenset({"mediator"}), ("42",), (), ())
        (claimed,) = await work.claim(connection, here["queue_id"], person, limit=1, lease_seconds=60)
    assert claimed["flags"] == ["earlier_receipt"]


@pytest.mark.parametrize("way", ["channel", "history"])
async def test_what_the_consumer_council_handled_is_a_persons_to_judge(house: House, way: str) -> None:
    shop = {"respondents": [{"name": "茶隐巷奶茶店", "address": "武汉市武昌区中北路31号"}], "order_no": "WM20260714088"}
    council = await arrive(
        house, "C1", TEA, source="consumer_council" if way == "history" else "desk", channel=None if way == "history" else "consumer_council",
        at=NOW - timedelta(days=40), history=way == "history", **shop,
    )  # fmt: skip
    ours = await arrive(house, "2", TEA, source="platform", channel="app", **shop)
    assert ours["copy_of"] is None
    assert ours["state"] == "pending_acceptance"
    assert ours["clocks"] == {"complaint.accept"}
    assert ours["findings"]["handled_by_council"]["earlier"] == str(council["id"])
    async with house.database.connection() as connection:
        (found,) = await cases.read_matters(connection, ours["letter_id"], now=NOW, lights=house.calendar)
    basis = {f["code"]: f["legal_basis"] for f in found["findings"]}["handled_by_council"]
    assert basis.endswith("第十六条第二项")
    # Another dispute with the same merchant is none of it.
    other = await arrive(
        house, "3", "7月18日在茶隐巷奶茶店办的储值卡余额不给退，要求退300元。", source="platform", channel="app",
        respondents=shop["respondents"],
    )  # fmt: skip
    assert "handled_by_council" not in other["findings"]


async def test_a_report_told_again_cites_its_own_article(house: House) -> None:
    text = "举报环湖路2号的顺通驾培服务部，没有办理营业执照就收费招生，已经干了三个月，请市场监管局查处。"
    shop = {"respondents": [{"name": "顺通驾培服务部", "address": "武汉市洪山区环湖路2号"}]}
    await arrive(house, "1", text, lane="report", **shop)
    again = await arrive(house, "2", text, lane="report", at=NOW + timedelta(days=2), **shop)
    assert again["state"] == "merged"
    assert again["reasons"][0]["legal_basis"].endswith("第三十五条")


async def test_a_clerk_retells_and_it_is_still_one_dispute(house: House) -> None:
    """The hotline's clerk has words of his own; thing, day and sum are the same. With another sum it is another purchase."""
    shop = {"name": "云阶装饰材料店", "address": "武汉市武昌区中北路17号"}
    told = {"product": "防潮垫", "event_date": "2026-07-10", "amount_fen": 29600, "respondents": [shop]}
    first = await arrive(
        house, "1", "两卷防潮垫单子写3mm，卡尺量只有2mm，云阶店说都一样。不一样啊！给我换。", channel="app", **told
    )
    retold = "市民来电反映在云阶装饰材料店购买防潮垫，厚度与所订不符，店家不换，要求更换。"
    second = await arrive(house, "2", retold, source="hotline", channel="hotline12345", at=NOW + timedelta(days=2), **told)
    assert (second["copy_of"], second["state"]) == (first["id"], "merged")
    other = await arrive(house, "3", retold, channel="app", at=NOW + timedelta(days=3), **{**told, "amount_fen": 14800})
    assert (other["copy_of"], other["state"]) == (None, "pending_acceptance")
