"""How an incident is told: titles, words and figures a person can use, no personal data, and nothing of what the caller may not know."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from app import portraits, worker
from app.portraits import level_words, outgrown, reason
from app.triage import House
from ml import incidents as engine
from tests.conftest import Client, complaint

NAMES = ["王秀英", "张小明", "李建国", "刘芳", "陈志强", "赵一鸣"]
WUHAN, YICHANG = {"city": "武汉市", "district": "洪山区"}, {"city": "宜昌市", "district": "西陵区"}
TELLS = [
    "火锅锅底里吃出蟑螂，服务员不承认，要求退款赔偿。",
    "锅底里吃出蟑螂，恶心呕吐，店长拒绝赔偿，要求退款。",
    "昨晚聚餐火锅锅底捞出蟑螂，经理只肯打折，要求赔偿。",
    "带同事吃火锅，锅底吃出蟑螂，要求退款并赔偿。",
    "牛油锅底里有蟑螂，当场拍照，商家拒绝赔偿，要求退款。",
    "孩子在火锅锅底里捞到蟑螂，吓哭了，要求赔偿。",
]


def letter(n: int, text: str, **values: Any) -> dict[str, Any]:
    """The complainant's name and number stand in the text as well as in the form."""
    phone = f"1361234567{n}"
    where = values.pop("where", WUHAN)
    return complaint(
        values.pop("id", f"k{n}"), f"{NAMES[n]}反映：{text}电话{phone}，{NAMES[n]}。",
        complainant={"name": NAMES[n], "phone": phone, "address": f"珞喻路8{n}号3栋501室", **where}, **values,
    )  # fmt: skip


async def posted(client: Client, bodies: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """The incident of the last complaint, and all complaints' ids. The worker has been."""
    ids = []
    for body in bodies:
        answer = await client.post("portal", "/v1/complaints", body)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    while await worker.fold(client.house):
        pass
    full = (await client.get("analyst", f"/v1/complaints/{ids[-1]}")).json()
    return full["matters"][0]["incident_id"], ids


async def told(client: Client, incident: str, role: str = "analyst", query: str = "") -> dict[str, Any]:
    answer = await client.get(role, f"/v1/incidents/{incident}{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def hotpot(n: int, shop: str = "光谷店", **values: Any) -> dict[str, Any]:
    given = {"respondents": [{"name": f"江城味火锅（{shop}）"}], "product": "火锅", **values}
    return letter(n, values.pop("text", TELLS[n]), **{k: v for k, v in given.items() if k != "text"})


def nobody(content: Any) -> None:
    text = json.dumps(content, ensure_ascii=False)
    assert not [name for name in NAMES if name in text or name[1:] in text]
    assert not re.search(r"\d{11}|珞喻路8\d号|501", text)


async def test_an_incident_of_one_shop_is_told(client: Client) -> None:
    incident, ids = await posted(client, [hotpot(n, amount_fen=10_000 * (n + 1)) for n in range(4)])
    found = await told(client, incident)
    assert (found["scope"], found["people"], found["complaints"]) == ("shop", 4, 4)
    assert found["title"] == "江城味（光谷店） · 食品异物"
    assert 1 <= len(found["key_phrases"]) <= 8
    assert any("蟑螂" in p for p in found["key_phrases"])
    for phrase in found["key_phrases"]:
        assert sum(phrase in letter(n, TELLS[n])["text"] for n in range(4)) >= 3, phrase
    one = found["representative"]
    assert one["complaint_id"] in ids
    assert "蟑螂" in one["text"]
    assert len(one["text"]) <= 200
    nobody([found["title"], found["key_phrases"], one["text"]])
    assert found["money"] == {"named": 4, "total_fen": 100_000, "median_fen": 25_000, "recovered_fen": 0}
    assert found["shops"] == [{"name": "光谷店", "complaints": 4, "people": 4}]
    assert found["districts"] == [{"code": "420111", "name": "武汉市洪山区", "complaints": 4, "people": 4, "matters": 4}]
    assert {d["label"] for d in found["demands"]} >= {"退赔费用"}
    assert sum(d["complaints"] for d in found["over_time"]) == 4
    assert found["over_time"][-1]["people_so_far"] == 4
    reasons = [m["reason"] for m in found["members"]]
    assert reasons[0] == "本事件首件"
    assert all(r.startswith("同一商家；同一门店") and "问题类别相同" in r for r in reasons[1:])
    assert (found["related"], found["history"]) == ([], [])
    page = await told(client, incident, "mediator", "?limit=1&offset=3")
    assert (len(page["members"]), page["complaints"]) == (1, 4)
    assert page["members"][0]["reason"] != "本事件首件"
    async with client.house.database.connection() as connection:
        rows = await connection.fetch("SELECT object, object_id FROM audit_entry WHERE actor = 'mediator' AND act = 'read'")
    assert {(r["object"], r["object_id"]) for r in rows} == {("incident", incident), ("letter", one["complaint_id"])}


async def test_titles_follow_the_scope(client: Client) -> None:
    chain, _ = await posted(client, [hotpot(n, shop) for n, shop in enumerate(["光谷店", "汉口店", "江汉路店", "街道口店"])])
    merchant, _ = await posted(
        client,
        [
            letter(n, f"办的健身卡{'年卡季卡月卡次卡'[2 * n : 2 * n + 2]}，门店关门跑路，要求退款。", id=f"m{n}", respondents=[{"name": "武汉力健健身有限公司"}])
            for n in range(4)
        ],
    )  # fmt: skip
    lot, _ = await posted(
        client,
        [
            letter(n, f"牛奶喝了{'拉肚子呕吐头晕发热'[2 * n : 2 * n + 2]}，已经变质，要求退货赔偿。", id=f"l{n}", lot_no="20260401A", product="纯牛奶",
                   respondents=[{"name": ["好又多超市", "中百仓储超市", "家乐福超市", "沃尔玛超市"][n]}])
            for n in range(4)
        ],
    )  # fmt: skip
    area, _ = await posted(
        client,
        [
            letter(n, f"丽景新城小区旁的混凝土搅拌站{'白天夜里清晨凌晨'[2 * n : 2 * n + 2]}轰鸣，粉尘漫天，业主无法开窗，要求关停搅拌站。", id=f"a{n}", where={"city": "武汉市", "district": "江汉区"})
            for n in range(4)
        ],
    )  # fmt: skip
    titles = {}
    for incident in (chain, merchant, lot, area):
        found = await told(client, incident)
        titles[found["scope"]] = found["title"]
        nobody([found["title"], found["key_phrases"], found["representative"]["text"]])
    assert set(titles) == {"chain", "merchant", "lot", "area"}, titles
    assert titles["chain"] == "江城味（多家门店） · 食品异物"
    assert titles["merchant"].startswith("力健")
    assert titles["lot"].startswith("产品批次（")
    assert "丽景新城" in titles["area"]
    assert "搅拌站" in titles["area"]


async def test_what_two_people_say_is_not_told(client: Client) -> None:
    """A word of two letters, however often, and a name in everybody's letter."""
    bodies = [hotpot(n, text=TELLS[n] + "店长孙桂香态度恶劣。" + ("天花板漏雨滴水。" * 3 if n < 2 else "")) for n in range(4)]
    incident, _ = await posted(client, bodies)
    found = await told(client, incident)
    assert found["key_phrases"]
    assert not any("漏雨" in p or "天花板" in p or "桂香" in p for p in [*found["key_phrases"], found["title"]])


async def test_a_title_of_a_person_stays(client: Client) -> None:
    incident, _ = await posted(client, [hotpot(n) for n in range(3)])
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE incident SET title = '光谷火锅店', titled_by = 'analyst', key_phrases = '{}' WHERE id = $1", uuid.UUID(incident))  # fmt: skip
    await posted(client, [hotpot(n) for n in range(3, 6)])
    found = await told(client, incident)
    assert (found["title"], found["titled_by"], found["people"]) == ("光谷火锅店", "analyst", 6)
    assert found["key_phrases"]


def test_incidents_are_told_anew_as_they_grow() -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    sizes = [n for n in range(2, 40) if outgrown({one: (n - 1, n - 1)}, {one: (n, n)}, 3)]
    assert sizes[:6] == [3, 4, 5, 6, 8, 10]
    assert len(sizes) < 16
    assert outgrown({one: (9, 9), two: (6, 6)}, {one: (9, 9), two: (7, 7)}, 3) == []
    assert outgrown({one: (6, 6)}, {one: (7, 7)}, 7) == [one]
    assert outgrown({one: (0, 1)}, {one: (1, 2)}, 3) == [one]
    assert outgrown({}, {one: (1, 1)}, 3) == [one]


async def test_the_worker_reads_letters_only_as_an_incident_grows(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    tell = portraits.tell

    async def counted(*arguments: Any) -> None:
        calls.append(arguments[-1])
        await tell(*arguments)

    monkeypatch.setattr(portraits, "tell", counted)
    for n in range(4):
        await posted(client, [hotpot(n)])
    assert len(calls) == 2
    incident, _ = await posted(client, [hotpot(0, id="again", order_no="B7", amount_fen=77_700)])
    assert len(calls) == 2
    assert (await told(client, incident))["complaints"] == 5


async def test_a_letter_that_cannot_be_read_holds_nobody_up(client: Client) -> None:
    async with client.house.database.connection() as connection:
        for n in range(3):
            answer = (await client.post("portal", "/v1/complaints", hotpot(n))).json()
            await connection.execute("UPDATE letter SET body_cipher = '\\x00' WHERE id = $1", uuid.UUID(answer["id"]))
    while await worker.fold(client.house):
        pass
    async with client.house.database.connection() as connection:
        assert await connection.fetchval("SELECT max(people_complaints) FROM incident") == 3


async def test_over_time_adds_up(client: Client) -> None:
    now = datetime.now(UTC)
    bodies = [hotpot(n, received_at=(now - timedelta(days=9 - 3 * n)).isoformat()) for n in range(4)]
    bodies.append(hotpot(0, id="again", order_no="Z9", received_at=(now - timedelta(days=1)).isoformat()))
    incident, _ = await posted(client, bodies)
    found = await told(client, incident)
    days = found["over_time"]
    assert [d["day"] for d in days] == sorted({d["day"] for d in days})
    assert (sum(d["complaints"] for d in days), days[-1]["people_so_far"]) == (5, 4) == (found["complaints"], found["people"])
    assert [d["people_so_far"] for d in days] == [1, 2, 3, 3, 4]
    assert any("间隔2至3天" in m["reason"] for m in found["members"])


async def test_who_may_not_know_of_reports_sees_no_trace(client: Client) -> None:
    bodies = [hotpot(n, amount_fen=5000) for n in range(3)]
    incident, _ = await posted(client, bodies)
    before = await told(client, incident, "mediator")
    report = complaint(
        "rep", "举报江城味火锅（光谷店）锅底里吃出蟑螂，后厨无证经营，请依法查处违法行为", respondents=[{"name": "江城味火锅（光谷店）"}],
        complainant={"name": "郑成功", "phone": "13500009999"}, amount_fen=99,
    )  # fmt: skip
    where, _ = await posted(client, [report])
    assert where == incident
    assert await told(client, incident, "mediator") == before
    full = await told(client, incident)
    assert (full["complaints"], full["matters"], full["people"], full["people_all"]) == (3, 4, 3, 4)
    assert (before["matters"], before["over_time"][0]["matters"]) == (3, 3)
    assert not {"gap", "pace", "size", "text"} & set(before["members"][1]["evidence"]["joined"]["fields"])


async def test_reports_first_and_complaints_after(client: Client) -> None:
    report = complaint(
        "rep", "举报江城味火锅（光谷店）后厨无照经营，锅底里吃出蟑螂，请依法查处违法行为", respondents=[{"name": "江城味火锅（光谷店）"}], product="火锅",
        complainant={"name": "郑成功", "phone": "13500009999"},
    )  # fmt: skip
    first, _ = await posted(client, [report])
    incident, _ = await posted(client, [hotpot(0)])
    assert incident == first
    found = await told(client, incident, "mediator")
    (member,) = found["members"]
    assert (member["reason"], member["evidence"]["joined"]) == ("本事件首件", None)
    assert found["title"] == "江城味（光谷店） · 食品异物"
    assert found["first_at"] == found["last_at"]


async def test_places_see_their_own_part(client: Client) -> None:
    respondent = {"respondents": [{"name": "味道好火锅连锁有限公司"}]}
    bodies = [hotpot(n, where=WUHAN if n < 3 else YICHANG, **respondent) for n in range(5)]
    incident, ids = await posted(client, bodies)
    whole = await told(client, incident)
    part = await told(client, incident, "yichang")
    assert (whole["complaints"], part["complaints"], part["people"]) == (5, 2, 2)
    assert {d["code"] for d in part["districts"]} == {"420502"}
    assert len(part["members"]) == 2
    assert part["representative"]["complaint_id"] in ids[3:]
    assert sum(d["complaints"] for d in part["over_time"]) == 2


async def test_withdrawn_letters_and_copies_stand_for_nothing(client: Client) -> None:
    incident, ids = await posted(client, [hotpot(0), {**hotpot(0), "external_id": "copy", "channel": "web"}, hotpot(1)])
    assert (await client.post("portal", f"/v1/complaints/{ids[0]}/withdraw")).status_code == 200
    found = await told(client, incident)
    assert found["representative"]["complaint_id"] == ids[2]
    assert any(m["reason"] == "与此前来件为同一事项" for m in found["members"])


async def test_what_comes_out_of_a_split_gets_a_title(client: Client) -> None:
    incident, _ = await posted(client, [hotpot(n) for n in range(3)])
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE incident SET title = '', version = version + 1, people_complaints = 0, people_all = 0 WHERE id = $1", uuid.UUID(incident))  # fmt: skip
    while await worker.fold(client.house):
        pass
    assert (await told(client, incident))["title"] == "江城味（光谷店） · 食品异物"


def test_moved_members_have_reasons() -> None:
    moved = {"moved_from": str(uuid.uuid4())}
    assert reason(moved, origin="person") == "人工归入"
    assert {reason(moved), reason({**moved, "undone": "x"})} == {"重新归并时归入", "撤销更正后归回"}


async def test_related_incidents_and_what_people_did(client: Client) -> None:
    incident, _ = await posted(client, [hotpot(n) for n in range(3)])
    others = [(await posted(client, [letter(n, text, id=f"o{n}", respondents=[{"name": name}])]))[0] for n, (name, text) in enumerate([("武汉力健健身有限公司", "健身卡不退，要求退款。"), ("汉阳造船二手车行", "二手车是事故车，要求退车。")])]  # fmt: skip
    hidden, _ = await posted(client, [complaint("rep", "举报好又多商行销售过期食品，请依法查处违法行为", respondents=[{"name": "武汉市好又多商行"}])])  # fmt: skip
    one, two, three, secret = (uuid.UUID(i) for i in (incident, *others, hidden))
    async with client.house.database.transaction() as connection:
        await connection.execute("UPDATE incident SET recurrence_of = $2 WHERE id = $1", one, two)
        await connection.execute("UPDATE incident SET recurrence_of = $1 WHERE id = $2", one, secret)
        await connection.execute(
            "INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted) "
            "SELECT gen_random_uuid(), $1, im.matter_id, false, 'person', 'analyst', '{}', true, true FROM incident_membership im WHERE im.incident_id = $2",
            one, three,
        )  # fmt: skip
        await connection.execute("UPDATE incident SET closed_by = 'supervisor', closed_at = clock_timestamp() WHERE id = $1", one)
        for other, act in ((two, "split"), (secret, "merge")):
            await connection.execute(
                "INSERT INTO identifier_history (object, old_id, new_id, act, actor) VALUES ('incident', $1, $2, $3, 'analyst')", other, one, act
            )  # fmt: skip
    found = await told(client, incident)
    assert {(r["relation"], r["id"]) for r in found["related"]} == {
        ("recurs_from", others[0]), ("shares_members", others[1]), ("recurs_as", hidden),
    }  # fmt: skip
    assert found["recurrence_of"] == others[0]
    assert [h["act"] for h in found["history"]] == ["merge", "split", "close", "move"]
    assert (found["history"][-1]["direction"], found["history"][-1]["matters"], found["history"][-1]["actor"]) == (
        "in",
        1,
        "analyst",
    )
    assert {m["reason"] for m in found["members"]} >= {"人工归入"}
    unknowing = await told(client, incident, "mediator")
    assert hidden not in json.dumps(unknowing)
    assert [h["act"] for h in unknowing["history"]] == ["split", "close", "move"]
    assert ("shares_members", incident) in {(r["relation"], r["id"]) for r in (await told(client, others[1]))["related"]}


# Every level that ml.incidents.levels can give.
_WHO = ("same", "unnamed", "other")
LEVELS: dict[str, list[str]] = {
    "lot": ["same", "other"], "merchant": ["same", "unnamed", "other", "unnamed/mentioned", "other/mentioned"],
    "shop": ["unknown", "same/only", "same/one of many", "other/of many", "other/sure", "other/once"],
    "issue": [f"{w}/{x}" for w, x in product(_WHO, ("main", "minor", "none"))],
    "product": [f"{w}/{x}" for w, x in product(_WHO, ("main", "some", "none"))],
    "place": [f"{w}/{x}" for w, x in product(_WHO, ("same", "other"))],
    "city": [f"{w}/{x}/{y}" for w, x, y in product(_WHO, ("same", "other"), ("one", "many"))],
    "size": [str(n) for n in range(7)],
    **{name: [level for chain in chains for level in chain] for name, chains in engine.ORDERS.items()},
}  # fmt: skip
LEVELS["district"] = LEVELS["city"]
LEVELS["rivals"] = [f"{w}/{n}" for w, n in product(_WHO, "123")]


def test_every_level_has_words() -> None:
    shipped = engine.shipped_scorecard().weights
    assert set(shipped) <= set(LEVELS)
    for name, levels in LEVELS.items():
        for level in {*levels, *shipped.get(name, ())}:
            words = level_words(name, level)
            assert words, (name, level)
            assert re.search("[\u4e00-\u9fa5]", words)
            assert reason({"joined": {"fields": {name: {"level": level, "bits": 1.0}}}})


def test_levels_as_the_engine_gives_them_have_words() -> None:
    at = datetime(2026, 4, 1, tzinfo=UTC)
    values: list[dict[str, Any]] = [
        {"merchant": m, "merchant_stated": s, "shop": shop, "lot": lot, "places": p, "issues": i, "city": c, "district": c, "product": x, "terms": {1: 3.0}}
        for m, s, shop, lot, p, i, c, x in product((None, 1, 2), (True, False), (None, 5), (None, 7), ((), (9,)), ((), ("a",), ("b",)), ("", "w"), (None, 3))
    ]  # fmt: skip
    for n, one in enumerate(values):
        profile = engine.open_profile(engine.Features(at, **values[(n * 37 + 11) % len(values)]))
        profile.absorb(engine.Features(at, **values[(n * 53 + 5) % len(values)]))
        profile.absorb(engine.Features(at, **values[(n * 71 + 3) % len(values)]))
        found, _ = engine.levels(
            engine.Features(at + timedelta(days=n % 90), **one),
            profile,
            {"same": n % 9 + 1, "unnamed": n % 5 + 1, "other": n % 3 + 1},
        )
        for name, level in found.items():
            assert level_words(name, level), (name, level)


def test_gaps_are_told_as_the_engine_cuts_them() -> None:
    said = [level_words("gap", str(n)) or "" for n in range(len(engine._GAP_FLOORS) + 1)]
    for floor, words in zip(engine._GAP_FLOORS, said[1:], strict=True):
        assert re.findall(r"\d+", words)[0] == str(floor)


async def test_an_imported_incident_has_a_complaint_to_stand_for_it(house: House) -> None:
    """History only: better than nothing."""
    from app.intake import Complaint, Letter, receive
    from app.triage import triage

    now = datetime.now(UTC)
    letters = [Letter.make("board", Complaint(**hotpot(n)), now=now, history=True) for n in range(3)]
    async with house.database.transaction() as connection:
        await receive(connection, house.vault, letters)
    for one in letters:
        await triage(house, one)
    while await worker.fold(house):
        pass
    async with house.database.connection() as connection:
        incident = await connection.fetchval("SELECT id FROM incident")
        found = await portraits.read(connection, house.vault, incident, lanes=("complaint",), jurisdictions=("42",))
    assert found["representative"]["complaint_id"] in {x.id for x in letters}
