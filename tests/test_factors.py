"""What repeats, who counts once, and the sheet of the factors of Art. 17: findings and figures for people, never a mark."""

import json
import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from app import acts, correcting, crowds, factors, policy, repeats, rerouting, settling, wording, worker
from app.crowds import counted_twice
from app.database import Database
from app.errors import Conflict, Forbidden
from app.identity import Principal
from app.intake import Complaint
from app.privacy import Vault
from app.repeats import Complained, bought, quantities, review
from app.triage import House, MatterView, receive_and_triage
from ml.tokens import Field
from tests.conftest import KEYS, Client, complaint, settings
from tests.test_wording import LETTER

LANES = ("complaint", "report", "other")
ANNA = Principal("anna", True, frozenset({"intake", "mediator", "supervisor", "analyst"}), ("42",), (), ())
BORIS = Principal("boris", True, frozenset({"mediator"}), ("42",), (), ())
THRESHOLDS = {
    "person.repeat": 3, "person.repeat_days": 90, "person.factor17_review": 10, "person.factor17_days": 90, "person.factor17_class": 5,
    "person.factor17_withdrawal_rate": 0.6, "person.factor17_withdrawal_least": 5, "identity.shared": 2, "quantity.pieces": 20,
    "quantity.cases": 4, "quantity.per_day": 3,
}  # fmt: skip
FAMILY = "武汉市武昌区中南路9号3栋2单元501室"


def person(number: int, **more: Any) -> dict[str, Any]:
    chosen = random.Random(number)
    name = "赵钱孙李周吴郑王冯陈"[number % 10] + "".join(chr(chosen.randrange(0x4E00, 0x8000)) for _ in range(2))
    return {"name": name, "phone": f"139{number:04d}{chosen.randrange(10_000):04d}", **more}


@pytest_asyncio.fixture
async def house(url: str, tmp_path: Path) -> AsyncIterator[House]:
    """With time enough for a letter on a busy machine."""
    database = Database(url, pool_size=8)
    yield await House.open(settings(TRIAGE_DATA=tmp_path, TRIAGE_SECONDS=20), database, Vault(KEYS))
    await database.close()


async def file(house: House, text: str, who: dict[str, Any], merchant: str = "桂禾坊家电商行", **more: Any) -> MatterView:
    body = complaint(
        str(uuid.uuid4()), text, complainant=who, respondents=[{"name": merchant, "address": "武汉市武昌区中南路9号"}], **more
    )
    _, outcome = await receive_and_triage(house, "p1", Complaint.model_validate(body))
    assert outcome is not None
    return outcome.matters[0]


async def found(house: House, matter: MatterView | uuid.UUID) -> dict[str, Any]:
    """code -> evidence"""
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT code, evidence FROM finding WHERE matter_id = $1", getattr(matter, "id", matter))
    return {r["code"]: r["evidence"] for r in rows}


async def turn(house: House) -> None:
    while await worker.fold(house) or await rerouting.follow_growth(house, datetime.now(UTC)):
        pass


async def people(house: House, matter: MatterView) -> int:
    """As its incident counts them, once the worker has."""
    await turn(house)
    async with house.database.connection() as connection:
        return int(
            await connection.fetchval(
                "SELECT people_complaints FROM incident i JOIN incident_membership im ON im.incident_id = i.id "
                "WHERE im.matter_id = $1 AND im.valid_to IS NULL AND im.is_primary",
                matter.id,
            )
        )


# -- who counts once

_HELD = st.lists(
    st.tuples(
        st.sampled_from([Field.PHONE.value, Field.ID.value, Field.ADDRESS.value, Field.DEVICE.value, Field.WECHAT.value]),
        st.frozensets(st.integers(0, 12), min_size=1, max_size=6),
    ),
    max_size=10,
)


@given(_HELD, st.integers(2, 4), st.randoms())
def test_whoever_shares_an_identity_counts_once_in_any_order(
    held: list[tuple[int, frozenset[int]]], names: int, chance: random.Random
) -> None:
    everybody = set().union(*(p for _, p in held))
    twice = counted_twice(held, names)
    assert 0 <= twice <= max(len(everybody) - 1, 0)
    shuffled = chance.sample(held, len(held))
    assert counted_twice(shuffled, names) == twice
    assert counted_twice([*held, *held], names) == twice
    # Of a household's address, or a contact that is no identity, alone: nobody.
    assert counted_twice([(f, p) for f, p in held if f in (Field.ADDRESS, Field.WECHAT)], names) == 0
    # More in common never makes more people, and one telephone of all makes one.
    assert counted_twice([*held, (Field.ID.value, frozenset({0, 1, 2, 3}))], names) >= twice
    if len(everybody) >= names:
        assert counted_twice([*held, (Field.PHONE.value, frozenset(everybody))], names) == len(everybody) - 1
    assert counted_twice(held, names + 1) <= twice


def test_an_address_counts_once_only_with_a_device() -> None:
    address, device = (Field.ADDRESS.value, frozenset({1, 2, 3})), (Field.DEVICE.value, frozenset({2, 3, 4}))
    assert counted_twice([address]) == counted_twice([device]) == 0
    assert counted_twice([address, device]) == 1


BROKEN = [
    "在桂禾坊家电商行购买的电饭煲不能加热，商家拒绝退货，要求退款300元", "桂禾坊家电商行卖的电饭煲通电不加热，要求退款300元",
    "电饭煲不加热，桂禾坊家电商行不给退货，请求退款300元", "桂禾坊家电商行买的电饭煲不能加热，拒绝退货，退款300元",
]  # fmt: skip


async def test_four_names_on_one_telephone_are_one_person_to_a_threshold(house: House) -> None:
    matters = [await file(house, BROKEN[n], person(n, phone="13900088888")) for n in range(4)]
    assert [m.track for m in matters] == ["t1"] * 4
    assert await people(house, matters[0]) == 1
    shared = (await found(house, matters[3]))["R7"]
    assert shared["counted_once"] is True
    assert len(shared["shared"]) == 3
    assert "13900088888" not in json.dumps(shared)
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(DISTINCT track) FROM matter") == 1


async def test_a_family_at_one_address_is_as_many_as_it_is(house: House) -> None:
    matters = [await file(house, BROKEN[n], person(n, address=FAMILY)) for n in range(3)]
    assert await people(house, matters[0]) == 3
    assert (await found(house, matters[2]))["R7"]["counted_once"] is False


async def test_an_agents_telephone_makes_his_clients_no_one_person(house: House) -> None:
    agent = person(77)
    matters = [await file(house, BROKEN[n], person(n, phone=agent["phone"]), agent=agent) for n in range(3)]
    assert await people(house, matters[0]) == 3
    assert matters[2].track == "t2"


async def test_counting_once_follows_merges_and_splits(house: House) -> None:
    """Two on one telephone and two of their own; the second turns out to be a third, and then not."""
    one, two = person(1, phone="13900088888"), person(2, phone="13900088888")
    three = person(3)
    matters = [await file(house, BROKEN[n], who) for n, who in enumerate((one, two, three, person(4)))]
    assert await people(house, matters[0]) == 3
    async with house.database.connection() as connection:
        ids = [
            await connection.fetchval(
                "SELECT cm.complainant_id FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL "
                "WHERE p.matter_id = $1",
                m.id,
            )
            for m in matters
        ]
    run = (await correcting.merge_people(house, ids[1], [ids[2]], ANNA, reason="同一人", lanes=LANES))["run_id"]
    assert await people(house, matters[0]) == 2
    await correcting.undo_run(house, run, ANNA, reason="误并", lanes=LANES)
    assert await people(house, matters[0]) == 3


# -- repeats

DATES = [
    ("优果炒货", "6月28日在优果炒货买的瓜子，32元，包装没有标注生产日期。要求退款。"), ("味满源食品店", "7月4日在味满源食品店买的牛肉干，45元，标签上没有生产日期。要求退款。"),
    ("满仓零食店", "7月19日在满仓零食店买的话梅，29元，外包装没有标注生产日期。要求退款。"),
]  # fmt: skip


async def test_one_problem_at_many_merchants_is_r4(house: House) -> None:
    matters = [await file(house, text, person(5), merchant) for merchant, text in DATES]
    assert "R4" not in await found(house, matters[1])
    evidence = (await found(house, matters[2]))["R4"]
    assert (evidence["merchants"], evidence["count"]) == (3, 3)
    assert set(evidence["earlier"]) == {str(m.id) for m in matters[:2]}
    assert {m.track for m in matters} == {"t1"}


async def test_different_troubles_of_one_person_are_no_r4(house: House) -> None:
    texts = [
        ("桂禾坊家电商行", "在桂禾坊家电商行买的电饭煲不能加热，要求退货退款300元。"), ("优果炒货", "在优果炒货买的瓜子发霉了，要求退款32元。"),
        ("清风健身", "清风健身合同约定可以退卡，现在拒绝退卡，要求退还2000元。"), ("原野烧烤武展店", "原野烧烤结账多收我18元，要求退还。"),
    ]  # fmt: skip
    matters = [await file(house, text, person(6), merchant) for merchant, text in texts]
    for matter in matters:
        assert not {"R3", "R4", "factor17_review"} & (await found(house, matter)).keys()


def test_what_is_left_over_is_no_class() -> None:
    class Reading:
        goods, problem, issues = "其他商品", "其他投诉问题", ()

    assert not repeats.is_alike(Reading, {"goods": "其他商品", "problem": "其他投诉问题", "issues": []})
    Reading.goods = "食品"
    assert not repeats.is_alike(Reading, {"goods": "食品", "problem": "其他投诉问题", "issues": []})
    Reading.problem = "食品安全"
    assert repeats.is_alike(Reading, {"goods": "食品", "problem": "违反产品质量法", "issues": []})
    assert not repeats.is_alike(Reading, {"goods": "食品", "problem": "价格", "issues": []})
    # False advertising is one class whatever is advertised; bad quality is only of one class of goods.
    Reading.problem = "广告"
    assert repeats.is_alike(Reading, {"goods": "药械妆", "problem": "广告", "issues": []})
    Reading.problem = "质量"
    assert not repeats.is_alike(Reading, {"goods": "药械妆", "problem": "质量", "issues": []})


async def test_a_dispute_that_comes_again_is_looked_at_by_a_supervisor_and_keeps_its_track(client: Client) -> None:
    house, who = client.house, person(7)
    text = "在桂禾坊家电商行购买的电饭煲不能加热，商家拒绝退货，要求退款300元"
    first = await file(house, text, who, product="电饭煲", event_date="2026-11-01")
    await settling.perform(house, first.id, ANNA, "accept", lanes=LANES)
    await settling.perform(house, first.id, ANNA, "agree", lanes=LANES)
    again = await file(house, text + "，协议没有履行", who, product="电饭煲", event_date="2026-11-01")
    assert (await found(house, again))["R2"]["earlier"] == str(first.id)
    assert (again.track, again.state) == (first.track, "pending_acceptance")
    (waiting,) = (await client.get("supervisor", "/v1/approvals")).json()["items"]
    assert (waiting["matter_id"], waiting["kind"], waiting["act"]) == (str(first.id), "sample", "agree")
    assert "第二十六条" in waiting["reason"]
    assert (await client.post("mediator", f"/v1/approvals/{waiting['id']}/approve")).status_code == 403
    assert (await client.post("supervisor", f"/v1/approvals/{waiting['id']}/approve")).status_code == 200
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT state FROM matter WHERE id = $1", first.id) == "agreed"


REPORTED = "举报环湖路2号的顺通驾培服务部，没有办理营业执照就收费招生，已经干了三个月，请市场监管局查处。"


@pytest.mark.parametrize(
    ("again", "code", "waits"),
    [
        ("再次举报顺通驾培服务部没有办理营业执照就收费招生，地点在环湖路2号，情况和我上次举报的一样，请查处。", "R5", True),
        ("顺通驾培服务部没办营业执照就在环湖路招学员、收学费，干了快三个月了，希望市场监管局查处。", "R5", True),
        ("再次举报顺通驾培服务部没有办理营业执照就收费招生。补充新的事实：昨天我拍到他们在收现金不开票，请查处。", "R6", False),
        ("举报顺通驾培服务部没有办理营业执照就收费招生，还发现它用别的驾校的牌子做广告，请查处。", "R6", False),
        ("举报顺通驾培服务部：教练车没有年检就上路，学员的保险也没有买，请查处。", "R6", False),
    ],
)
async def test_a_report_made_again_waits_for_a_person_unless_it_says_more(
    house: House, again: str, code: str, waits: bool
) -> None:
    first = await file(house, REPORTED, person(8), "顺通驾培服务部", event_date="2026-11-01")
    second = await file(house, again, person(8), "顺通驾培服务部", event_date="2026-11-01")
    evidence = (await found(house, second))[code]
    assert evidence["original"] == str(first.id)
    assert evidence["to_confirm"] is waits
    assert (second.lane, second.state, second.due_at is None) == ("report", "registered" if waits else "verifying", waits)
    async with house.database.connection() as connection:
        item = await connection.fetchrow("SELECT queue_id, due_at FROM work_item WHERE matter_id = $1", second.id)
        assert item["queue_id"] == "clue"
        assert item["due_at"] is not None  # it waits, and nobody forgets it
        assert await connection.fetchval("SELECT state FROM matter WHERE id = $1", first.id) == "verifying"


async def test_whether_it_is_handled_anew_is_a_persons_act(house: House) -> None:
    await file(house, REPORTED, person(8), "顺通驾培服务部")
    texts = [
        f"再次举报顺通驾培服务部没有办理营业执照就收费招生，地点在环湖路2号，情况和我上次举报的一样，请{w}。"
        for w in ("查处", "从严查处该店")
    ]
    left, taken = [await file(house, text, person(8), "顺通驾培服务部") for text in texts]
    assert (left.state, taken.state in ("registered", "merged")) == ("registered", True)
    robot = Principal("robot", False, ANNA.roles, ("42",), (), ())
    for name in ("not_again", "take_up"):
        with pytest.raises(Forbidden):
            await settling.perform(house, left.id, robot, name, lanes=LANES, reason="同一事实")
    await settling.perform(house, left.id, ANNA, "take_up", lanes=LANES, reason="有必要另行核查")
    async with house.database.connection() as connection:
        row = await connection.fetchrow("SELECT state, received_at FROM matter WHERE id = $1", left.id)
        clock = await connection.fetchrow(
            "SELECT key, started_at FROM clock WHERE matter_id = $1 AND stopped_at IS NULL", left.id
        )
    assert (row["state"], clock["key"], clock["started_at"]) == ("verifying", "clue.verify", row["received_at"])
    await settling.perform(house, left.id, ANNA, "not_again", lanes=LANES, reason="与前一举报属同一事实")


async def test_a_complaint_tells_of_no_report_of_its_person(house: House) -> None:
    """Art. 37: what repeats is found within a lane."""
    for n in range(5):
        await file(house, f"举报桂禾坊家电商行销售无证产品{'，请查处' * (n + 1)}。", person(9))
    matter = await file(house, BROKEN[0], person(9))
    assert not {"R3", "R4", "factor17_review"} & (await found(house, matter)).keys()


# -- quantities


@pytest.mark.parametrize(
    ("text", "beyond"),
    [
        ("买了200盒临期酸奶", ["pieces"]), ("一次买了80袋饼干，保质期只剩7天", ["pieces", "shelf_life"]), ("两次共买了四箱火腿肠", ["cases"]),
        ("我下单了二十五瓶红酒，都没有中文标签", ["pieces"]), ("买了9瓶酸奶，保质期还剩2天", ["shelf_life"]),
    ],
)  # fmt: skip
def test_quantities_are_told_as_read(text: str, beyond: list[str]) -> None:
    seen = quantities(text, THRESHOLDS)
    assert seen is not None
    assert seen["beyond"] == beyond
    (first, *_) = seen["quantities"]
    start, end = first["span"]
    assert text[start:end] in ("200", "80", "四", "二十五", "9")


@pytest.mark.parametrize(
    "text",
    [
        "买的垃圾袋写50只，数了只有45只", "买了一箱苹果，里面50个烂了20个", "买了2盒酸奶发霉了", "没买200盒", "店里有200盒过期酸奶", "买了30袋水泥结块",
        "购买3件衣服褪色", "花了200元", "买的抽纸标称24包实际20包", "",
    ],
)  # fmt: skip
def test_what_is_no_purchase_is_no_quantity(text: str) -> None:
    assert quantities(text, THRESHOLDS) is None


def test_times_and_what_may_explain_them_are_told_too() -> None:
    seen = bought("上周单位团购买了30盒，今天又买了10盒，一共两次购买，和上周买的一样没有标签")
    assert (seen.times, seen.again, seen.explained) == (2, True, True)


# -- when a sheet is opened


def complained(number: int, *, ended: bool = False, withdrawn: bool = False, **more: Any) -> Complained:
    at = datetime(2026, 7, 1, tzinfo=UTC) + timedelta(days=number)
    values: dict[str, Any] = {"goods": None, "problem": None, "merchant_id": None, **more}
    return Complained(number, at, ended=ended or withdrawn, withdrawn=withdrawn, **values)


@pytest.mark.parametrize(
    ("every", "triggers"),
    [
        ([complained(n) for n in range(9)], None),
        ([complained(n) for n in range(10)], ["count"]),
        ([complained(n, goods="食品") for n in range(4)], None),
        ([complained(n, goods="食品") for n in range(5)], ["class"]),
        ([complained(n, problem="其他投诉问题", goods="其他商品") for n in range(8)], None),
        ([complained(n, withdrawn=n < 3, ended=n < 5) for n in range(5)], ["withdrawals"]),
        ([complained(n, withdrawn=n < 2, ended=n < 3) for n in range(5)], None),
        ([complained(n, withdrawn=n < 1, ended=n < 1) for n in range(6)], None),
        ([complained(-95 * (n < 5), goods="食品") for n in range(9)], None),
    ],
)
def test_a_sheet_opens_at_the_thresholds(every: list[Complained], triggers: list[str] | None) -> None:
    opened = review(every, every[-1], THRESHOLDS)
    assert (opened and opened["triggers"]) == triggers


async def test_a_later_withdrawal_opens_the_sheet(house: House) -> None:
    who = person(11)
    texts = [
        ("桂禾坊家电商行", "电饭煲不能加热，要求退货退款300元。"), ("优果炒货", "买的瓜子发霉了，要求退款32元。"), ("清风健身", "合同约定可以退卡，现在拒绝退卡，要求退还2000元。"),
        ("原野烧烤武展店", "结账多收我18元，要求退还。"), ("顺达手机维修", "屏幕修了两天又黑了，要求退还维修费。"),
    ]  # fmt: skip
    matters = [await file(house, text, who, merchant) for merchant, text in texts]
    portal = Principal("portal", False, frozenset({"portal"}), (), ("p1",), ())
    for number, matter in enumerate(matters[:3]):
        async with house.database.connection() as connection:
            letter = await connection.fetchval("SELECT letter_id FROM matter WHERE id = $1", matter.id)
        await settling.withdraw(house, letter, portal, reason=None)
        assert ("factor17_review" in await found(house, matters[4])) is (number == 2)
    evidence = (await found(house, matters[4]))["factor17_review"]
    assert (evidence["triggers"], evidence["withdrawn"], evidence["complaints"]) == (["withdrawals"], 3, 5)
    assert "factor17_review" not in await found(house, matters[3])
    async with house.database.transaction() as connection:
        again = await factors.review_people_of(connection, house.policies, [matters[4].id], datetime.now(UTC))
        assert again == 0  # once
        assert await connection.fetchval("SELECT count(*) FROM matter WHERE state = 'pending_acceptance'") == 2


# -- the sheet


async def test_the_sheet_shows_figures_with_what_is_behind_them_and_what_speaks_against(client: Client) -> None:
    house, who = client.house, person(12)
    report = await file(house, "举报桂禾坊家电商行销售无证产品，请依法查处。", who)
    matters = [
        await file(
            house, f"7月{n + 1}日在桂禾坊家电商行买了{30 + n}盒月饼，包装没有标注生产日期，要求退款{n + 10}元。", who, product="月饼",
            order_no=f"D2026-{n}", attachments=[{"name": "小票.jpg", "size": 100, "sha256": "0" * 64, "media_type": "image/jpeg"}],
        )
        for n in range(3)
    ]  # fmt: skip
    await file(house, BROKEN[0], person(13, phone=who["phone"]))
    answer = await client.get("mediator", f"/v1/matters/{matters[2].id}/factors")
    assert answer.status_code == 200, answer.text
    sheet = answer.json()
    assert [i["factor"] for i in sheet["items"]] == list(acts.FACTORS)
    assert "购买商品的数量" in sheet["items"][0]["sentence"]
    assert sheet["items"][0]["cite"] == "《市场监督管理投诉举报处理办法》第十七条第一款第一项"
    assert "可以考虑以下因素" in sheet["chapeau"]["sentence"]
    figures = {f["name"]: f for i in sheet["items"] for f in i["figures"]}
    assert figures["merchant_goods_problem_365"]["value"] == 3
    assert set(figures["merchant_goods_problem_365"]["matters"]) == {str(m.id) for m in matters}
    assert figures["phone"]["value"] == 1
    assert figures["attachments"]["value"] == 1
    assert all(f["definition"] and f["label"] for f in figures.values())
    assert [s["quantities"][0]["count"] for s in sheet["items"][0]["stated"]] == [32, 31, 30]
    assert any("订单号" in a for a in sheet["items"][2]["against"])
    # No contact, no name, no report, no verdict.
    told = json.dumps(sheet, ensure_ascii=False)
    assert who["phone"] not in told
    assert who["name"] not in told
    assert str(report.id) not in told
    assert "reports" not in sheet
    assert not {"score", "verdict", "met"} & sheet.keys()
    seen = (await client.get("supervisor", f"/v1/matters/{matters[2].id}/factors")).json()
    assert seen["reports"]["value"] == 1
    assert seen["hash"] == sheet["hash"]
    async with house.database.connection() as connection:
        readers = await connection.fetch(
            "SELECT actor FROM audit_entry WHERE act = 'read_factors' AND object_id = $1", str(matters[2].id)
        )
    assert [r["actor"] for r in readers] == ["mediator", "supervisor"]


async def test_a_sheet_is_for_who_may_see_its_matter(client: Client) -> None:
    matter = await file(client.house, BROKEN[0], person(14))
    report = await file(client.house, "举报桂禾坊家电商行销售无证产品，请依法查处。", person(14))
    assert (await client.get("portal", f"/v1/matters/{matter.id}/factors")).status_code == 403
    assert (await client.get("analyst", f"/v1/matters/{matter.id}/factors")).status_code == 403
    assert (await client.get("yichang", f"/v1/matters/{matter.id}/factors")).status_code == 404
    for who in ("mediator", "supervisor"):
        assert (await client.get(who, f"/v1/matters/{report.id}/factors")).status_code == 404
        assert (await client.get(who, f"/v1/matters/{uuid.uuid4()}/factors")).status_code == 404


async def test_an_anonymous_complaint_has_a_sheet_of_itself(client: Client) -> None:
    matter = await file(client.house, BROKEN[0], {})
    sheet = (await client.get("intake", f"/v1/matters/{matter.id}/factors")).json()
    assert sheet["filers"] == []
    figures = {f["name"]: f["value"] for i in sheet["items"] for f in i["figures"]}
    assert figures["complaints_365"] == 1


async def test_what_two_people_signed_is_what_they_saw(client: Client) -> None:
    house = client.house
    who = person(15)
    matter = await file(house, "买了40盒月饼没有标注生产日期，要求退款并赔偿。", who, product="月饼")
    path = f"/v1/matters/{matter.id}"
    sheet = (await client.get("mediator", f"{path}/factors")).json()
    body = {"reason": "数量明显超出", "factors": ["17(1)"], "sheet": sheet["hash"]}
    assert (await client.post("robot", f"{path}/find_factors", body)).status_code == 403
    await file(house, "又买了30盒月饼没有标注生产日期，要求退款。", who, product="月饼")
    assert (await client.post("mediator", f"{path}/find_factors", body)).status_code == 409  # it is another by now
    sheet = (await client.get("mediator", f"{path}/factors")).json()
    proposed = await client.post("mediator", f"{path}/find_factors", {**body, "sheet": sheet["hash"]})
    assert proposed.status_code == 202, proposed.text
    (waiting,) = (await client.get("second", "/v1/approvals")).json()["items"]
    assert waiting["detail"]["sheet"]["hash"] == sheet["hash"]
    assert waiting["detail"]["sheet"]["items"] == sheet["items"]
    assert "ART17" not in await found(house, matter)
    assert (await client.post("second", f"/v1/approvals/{waiting['id']}/approve")).status_code == 200
    evidence = (await found(house, matter))["ART17"]
    assert (evidence["factors"], evidence["signed_by"]) == (["17(1)"], ["mediator", "second"])
    assert evidence["sheet"]["hash"] == evidence["sheet"]["hash_when_signed"] == sheet["hash"]
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT state FROM matter WHERE id = $1", matter.id) == "pending_acceptance"


async def test_only_finding_factors_names_a_sheet(house: House) -> None:
    matter = await file(house, BROKEN[0], person(16))
    with pytest.raises(Conflict):
        await settling.perform(
            house, matter.id, ANNA, "find_factors", lanes=LANES, reason="数量", detail={"factors": ["17(1)"], "sheet": "another"}
        )


# -- people of one wording


async def compare(house: House) -> int:
    async with house.database.transaction() as connection:
        await wording.compare_waiting(connection)
    return await rerouting.follow_wording(house, datetime.now(UTC))


async def test_one_wording_alone_is_no_signal_and_a_shared_telephone_is(house: House) -> None:
    own = [await file(house, LETTER, person(20 + n), "香满楼糕点店") for n in range(3)]
    assert await compare(house) == 0
    assert "together" not in (await found(house, own[2]))["R8"]
    tied = [
        await file(house, LETTER.replace("糕点", "茶叶"), person(30 + n, phone="13900099999"), "玉兰斋茶庄") for n in range(3)
    ]
    assert await compare(house) == 3
    assert await compare(house) == 0
    evidence = (await found(house, tied[2]))["R8"]
    assert evidence["together"] == {"people": 3, "by": ["phone"], "matters": [str(m.id) for m in (tied[2], tied[1], tied[0])]}
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT DISTINCT ON (matter_id) matter_id, track, rule, sign, reasons FROM decision WHERE matter_id = ANY($1) ORDER BY matter_id, decided_at DESC",
            [m.id for m in tied],
        )
        assert {(r["track"], r["rule"], r["sign"]) for r in rows} == {("t3", "R23", "two_persons")}
        assert all("不得仅凭" in r["reasons"][0]["text"] for r in rows)
        states = await connection.fetch("SELECT DISTINCT state FROM matter")
        assert [r["state"] for r in states] == ["pending_acceptance"]  # nothing was refused
        told = await connection.fetch(
            "SELECT payload FROM outbox WHERE kind = 'matter.rerouted' AND matter_id = ANY($1)", [m.id for m in tied]
        )
        assert told
        assert not any("collusion" in json.dumps(t["payload"]) for t in told)
    sheet = await sheet_of(house, tied[2])
    assert sheet["items"][1]["wording"]["same_target"]["near_identical"]["people"] == 2
    assert sheet["items"][1]["tipping"]["together"]["people"] == 3
    honest = await sheet_of(house, own[2])
    assert any("不同的电话号码" in a for a in honest["items"][1]["against"])


async def sheet_of(house: House, matter: MatterView) -> dict[str, Any]:
    async with house.database.connection() as connection:
        return await factors.snapshot(connection, house.vault, matter.id, ("42",), datetime.now(UTC))


async def test_thresholds_are_the_places_own(house: House) -> None:
    """Of a place that asks for three names, two on one telephone are two."""
    matters = [await file(house, BROKEN[n], person(n, phone="13900088888")) for n in range(2)]
    async with house.database.connection() as connection:
        incident = await connection.fetchval("SELECT incident_id FROM incident_membership WHERE matter_id = $1", matters[0].id)
        assert (await crowds.situation(connection, incident)).people == 1
        assert (await crowds.situation(connection, incident, names=3)).people == 2
    shipped = policy.in_force(house.policies, date(2026, 11, 28), "42").thresholds
    assert {"quantity.pieces", "quantity.cases", "quantity.per_day"} <= shipped.keys()


def test_the_same_thing_by_name_is_of_one_class() -> None:
    """However each letter was read: five cases for a telephone, five readings."""
    every = [
        complained(n, goods=goods, product_token=7)
        for n, goods in enumerate(("通讯产品", "其他商品", None, "家居用品", "文化娱乐体育"))
    ]
    found = review(every, every[-1], THRESHOLDS)
    assert found is not None
    assert (found["triggers"], found["classes"]) == (["class"], {"goods": 5})
    others = [complained(n, goods="其他商品", product_token=n) for n in range(5)]
    assert review(others, others[-1], THRESHOLDS) is None
