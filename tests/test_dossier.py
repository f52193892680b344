"""What a claimed item brings, over HTTP: each section, who may know what (Art. 37, jurisdictions), and that every act it offers may start."""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app import acts, codes, crowds, dossier, identity, law
from app.database import Connection
from app.drawing import FORMS
from app.policy import TRACK_LABELS
from tests.conftest import Client, complaint

SHOP = [{"name": "江城味火锅", "address": "武汉市武昌区中南路12号"}]
TEXT = "7月3日在武汉市武昌区江城味火锅就餐吃出蟑螂，花费368元，要求退款并赔偿损失。"
REPORT = "举报武汉市武昌区江城味火锅使用过期食材加工火锅，请依法查处。"
PERSON = {"name": "李建国", "phone": "13800000001", "address": "武汉市武昌区中山路1号"}


async def post(client: Client, number: str, text: str = TEXT, who: dict[str, str] | None = None, **values: Any) -> Any:
    body = complaint(number, text, **{"complainant": who or PERSON, "respondents": SHOP, **values})
    found = await client.post("portal", "/v1/complaints", body)
    assert found.status_code == 201, found.text
    return found.json()


def other(n: int) -> dict[str, str]:
    return {"name": f"{'赵钱孙李周吴'[n]}秀英", "phone": f"1390000000{n}", "address": f"武汉市武昌区民主路{n + 1}号"}


async def item_of(client: Client, letter: Any, lane: str = "complaint") -> uuid.UUID:
    matter = next(m["id"] for m in letter["matters"] if m["lane"] == lane)
    async with client.house.database.connection() as connection:
        return uuid.UUID(str(await connection.fetchval("SELECT id FROM work_item WHERE matter_id = $1", uuid.UUID(matter))))


async def read(client: Client, letter: Any, role: str = "mediator", lane: str = "complaint") -> Any:
    found = await client.get(role, f"/v1/work-items/{await item_of(client, letter, lane)}")
    assert found.status_code == 200, found.text
    return found.json()


async def set_(client: Client, letter: Any, **values: Any) -> uuid.UUID:
    """As if its life had brought it there."""
    matter = uuid.UUID(letter["matters"][0]["id"])
    async with client.house.database.connection() as connection:
        for column, value in values.items():
            await connection.execute(f"UPDATE matter SET {column} = $2 WHERE id = $1", matter, value)
    return matter


async def put(client: Client, letter: Any, state: str, outcome: str | None = None) -> None:
    await set_(client, letter, state=state, outcome=outcome, closed_at=datetime.now(UTC) if state in acts.CLOSED else None)


async def test_what_is_missing_is_asked_for_with_a_ready_text(client: Client) -> None:
    found = await read(
        client, await post(client, "a1", "江城味火锅的菜里有蟑螂", {"name": "李建国"}, respondents=[{"name": "江城味火锅"}])
    )
    missing = found["missing"]
    assert {"complainant.phone", "complainant.address", "respondents.address", "demand"} <= {i["code"] for i in missing["items"]}
    assert all(i["who"] == "投诉人" and "第十条第一款" in i["legal_basis"] and i["sentence"] for i in missing["items"])
    request = missing["request"]
    assert "联系电话" in request["text"]
    assert "年" in request["text"]
    asked = await client.post("mediator", request["act"]["path"], request["act"]["body"])
    assert asked.status_code == 200, asked.text
    await client.post("mediator", "/v1/queues/t3/claim", {"limit": 50})
    drawn = await client.post("supervisor", request["document"]["path"], request["document"]["body"])
    assert drawn.status_code == 201, drawn.text


async def test_clocks_have_lights_and_the_next_is_named(client: Client) -> None:
    found = await read(client, await post(client, "b1"))
    clocks = found["clocks"]
    assert clocks["next"]["key"] == "complaint.accept"
    assert (clocks["next"]["light"], clocks["next"]["light_label"], clocks["next"]["paused"]) == ("green", "正常", False)
    assert clocks["next"]["working_days_left"] == 7
    assert "工作日" in clocks["next"]["reason"]


async def test_why_tells_reasons_gates_what_would_change_it_and_flags(client: Client) -> None:
    letter = await post(client, "c1", "7月3日在武汉市武昌区江城味火锅聚餐后上吐下泻，住院治疗，要求赔偿损失。")
    item = await item_of(client, letter)
    async with client.house.database.connection() as connection:
        await connection.execute(
            "UPDATE work_item SET flags = $2 WHERE id = $1", item,
            ["rerouted:t2", "incident_grew:t3", "partner_failed:odr", "platform:ours_behind", "earlier_receipt", "joint"],
        )  # fmt: skip
    why = (await read(client, letter))["why"]
    assert why["label"] == TRACK_LABELS[why["track"]] == "行政联处"
    assert any("住院" in "".join(r["words"]) for r in why["reasons"])
    assert {g["name"] for g in why["gates"] if g["current"]} == {"accepted", "consumer_consent", "merchant_consent"}
    assert all(g["state_label"] and g["text"].startswith("行政联处的前提") for g in why["gates"])
    assert any("拒绝调解" in c["text"] and "第二十三条第一款第二项" in c["legal_basis"] for c in why["changes"])
    assert any("达到" in c["text"] for c in why["changes"] if c["cause"] == "incident_grew")
    assert len(why["flags"]) == 6
    assert all(re.search(r"[\u4e00-\u9fff]{4}", f["text"]) for f in why["flags"])
    assert why["flags"][1]["text"].endswith("建议行政联处")


async def test_the_persons_history_is_facts_by_state_outcome_and_merchant(client: Client) -> None:
    await post(client, "d0", "在武汉市江汉区好再来超市买到短少的大米，要求补足数量。", respondents=[{"name": "好再来超市"}])
    ended = await post(client, "d1", "6月1日在武汉市武昌区江城味火锅预订的包间被取消，要求退还定金200元。")
    away = await post(client, "d2", "在宜昌市西陵区三峡土产店买到变质腊肉，要求退货。", respondents=[{"name": "三峡土产店"}])
    await put(client, ended, "agreed", "agreement")
    await set_(client, away, district="420502")
    letter = await post(client, "d3")
    async with client.house.database.connection() as connection:
        client.tokens["wuhan"] = await identity.issue(
            connection, "wuhan", ["mediator"], natural_person=True, jurisdictions=["4201"]
        )
    found = await read(client, letter, "wuhan")
    person = found["complainant"]["people"][0]
    assert (person["label"], person["complaints"], person["elsewhere"], person["same_merchant"]) == ("投诉人", 2, 1, 1)
    assert person["by_outcome"] == [{"outcome": "agreement", "label": "达成调解协议", "count": 1}]
    assert len(person["open"]) == 1
    assert [m["merchant"] for m in person["newest"]] == ["江城味火锅", "好再来超市"]
    assert away["matters"][0]["id"] not in json.dumps(found)  # outside: a number and no more
    assert all(f["code"] in {f"R{n}" for n in range(1, 9)} for f in found["complainant"]["findings"])
    assert not {"score", "risk", "mark"} & set(_keys(found["complainant"]))
    merchant = found["merchant"]
    assert merchant["complaints"] == 2
    assert merchant["settlement"] == {
        "agreed": 1, "ended": 1, "rate": 1.0, "definition": merchant["settlement"]["definition"]
    }  # fmt: skip
    assert merchant["odr"]["label"] == "是否ODR企业不明"
    assert sum(m["complaints"] for m in merchant["trend"]["months"]) == 2
    whole = (await read(client, letter, "supervisor"))["complainant"]["people"][0]
    assert (whole["complaints"], whole["elsewhere"]) == (3, 0)


async def test_an_agent_stands_apart_from_whom_he_speaks_for(client: Client) -> None:
    agent = {"name": "周律师", "phone": "13711112222"}
    await post(client, "e1", who=other(1), agent=agent)
    found = await read(client, await post(client, "e2", who=other(2), agent=agent))
    people = {tuple(p["roles"]): p for p in found["complainant"]["people"]}
    assert people["agent",]["as_agent"] == 1
    assert people["agent",]["complaints"] == 0
    assert next(p for r, p in people.items() if "agent" not in r)["complaints"] == 0
    assert "agent.authority" in {i["code"] for i in found["missing"]["items"]}


async def test_the_incident_with_people_growth_joint_matter_and_alerts(client: Client) -> None:
    letters = [await post(client, f"f{n}", who=other(n)) for n in range(3)]
    made = await client.post(
        "mediator", "/v1/joint-matters", {"matters": [x["matters"][0]["id"] for x in letters], "reason": "同一批食材"}
    )
    assert made.status_code == 201, made.text
    merchant = (await read(client, letters[0]))["merchant"]["id"]
    async with client.house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO burst (id, kind, key, first_on, found_on, window_days, people, expected, log10_tail, log10_threshold, base_per_day, factor, "
            "shape, new_series, false_alarms_per_month) VALUES ($1, 'merchant', $2, current_date, current_date, 1, 3, 0.05, -6, -5, 0.05, 1, 1, true, 1)",
            identity.new_id(), merchant,
        )  # fmt: skip
    await _recount(client)
    found = await read(client, letters[2])
    incident = found["incident"]
    assert (incident["people"], incident["complaints"], incident["elsewhere"]) == (3, 3, 0)
    assert incident["growth"]["last_7_days"] == 3
    assert incident["districts"] == [{"code": "420106", "name": "武汉市武昌区", "complaints": 3}]
    assert (incident["joint"]["label"], incident["joint"]["members"], incident["joint"]["consented"]) == ("征求同意中", 3, 0)
    assert incident["alerts"][0]["text"].startswith("当日3人投诉")
    assert found["merchant"]["joint_matters"][0]["id"] == incident["joint"]["id"]
    assert [i["id"] for i in found["merchant"]["incidents"]] == [incident["id"]]
    assert "reports" not in incident
    assert "reports" in (await read(client, letters[2], "supervisor"))["incident"]


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENTS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+08:00")


def _plain(found: Any) -> str:
    """What is read, with ids numbered by their first place and moments left out."""
    text = _MOMENTS.sub("T", json.dumps(found, ensure_ascii=False, sort_keys=True))
    numbers: dict[str, str] = {}
    return _IDS.sub(lambda m: numbers.setdefault(m[0], f"id{len(numbers)}"), text)


async def _recount(client: Client) -> None:
    async with client.house.database.connection() as connection:
        await crowds.recount(
            connection, [r["id"] for r in await connection.fetch("SELECT id FROM incident")],
            lambda place: client.house.policy_at(place, datetime.now(UTC)).thresholds,
        )  # fmt: skip


async def _seen(client: Client, role: str, path: str) -> str:
    """All of it but the moment at which like cases were looked for."""
    text = (await client.get(role, path)).text
    return text.replace(json.loads(text)["similar"]["as_of"], "T")


async def test_a_mediator_without_clue_never_learns_of_a_report(client: Client) -> None:
    """The whole answer, before and after its author, strangers and its incident's people reported."""
    letter = await post(client, "g1")
    await _recount(client)
    path = f"/v1/work-items/{await item_of(client, letter)}"
    before = {role: await _seen(client, role, path) for role in ("mediator", "second")}
    assert not json.loads(before["mediator"])["incident"]["recurrence_of"]
    await post(client, "g2", REPORT.replace("过期", "发霉变质"), PERSON)
    await post(client, "g3", REPORT, other(1))
    await post(client, "g4", REPORT.replace("查处", "核查"), other(2))
    await _recount(client)
    async with client.house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM matter WHERE lane = 'report'") == 3
    for role, seen in before.items():
        assert await _seen(client, role, path) == seen
    knows = await read(client, letter, "supervisor")
    assert knows["complainant"]["people"][0]["reports"]["total"] == 1
    assert knows["merchant"]["reports"] == 3


async def test_nor_does_he_where_the_reports_came_first(client: Client) -> None:
    """The same complaint of two people at two shops, one of which was reported before."""
    quiet_shop = [{"name": "楚天阁火锅", "address": "武汉市武昌区中南路12号"}]
    quiet_who, loud_who = PERSON, {"name": "王建国", "phone": "13800000002", "address": "武汉市武昌区中山路2号"}
    quiet = await post(client, "h1", TEXT.replace("江城味火锅", "楚天阁火锅"), quiet_who, respondents=quiet_shop)
    await post(client, "h2", REPORT, other(1))
    await post(client, "h3", REPORT.replace("过期", "发霉变质"), loud_who)
    loud = await post(client, "h4", TEXT, loud_who)
    await _recount(client)
    seen = [await read(client, letter) for letter in (quiet, loud)]
    for one in seen:
        one.pop("complaint")
    first, second = (_plain(one).replace("楚天阁", "江城味") for one in seen)
    assert first == second
    assert (await read(client, loud, "supervisor"))["merchant"]["reports"] == 2


async def test_nor_by_what_the_incident_is_called_where_it_and_the_merchant_are_read(client: Client) -> None:
    shop = {"respondents": [{"name": "江城味火锅（光谷店）"}], "product": "火锅"}
    await post(client, "k1", "举报江城味火锅（光谷店）后厨无照经营，锅底里吃出蟑螂，请依法查处违法行为", other(1), **shop)
    letter = await post(client, "k2", TEXT.replace("江城味火锅", "江城味火锅（光谷店）"), **shop)
    matter = (await client.get("supervisor", f"/v1/complaints/{letter['id']}")).json()["matters"][0]
    async with client.house.database.connection() as connection:
        await connection.execute(
            "UPDATE incident SET title = '江城味（光谷店） · 无照经营' WHERE id = $1", uuid.UUID(matter["incident_id"])
        )
    titles = {}
    for role in ("supervisor", "mediator"):
        incident = (await client.get(role, f"/v1/incidents/{matter['incident_id']}")).json()
        merchant = (await client.get(role, f"/v1/merchants/{matter['merchant_id']}")).json()
        titles[role] = [incident["title"], *(i["title"] for i in merchant["incidents"])]
    assert ["无照经营" in t for t in titles["supervisor"]] == [True, True]
    assert ["无照经营" in t for t in titles["mediator"]] == [False, False]
    assert all(t.startswith("江城味") for t in titles["mediator"])


async def test_a_letter_that_also_reports_tells_its_mediator_nothing_of_it(client: Client) -> None:
    both = await post(client, "i1", TEXT + "同时举报该店使用过期食材，请立案查处。")
    assert {m["lane"] for m in both["matters"]} == {"complaint", "report"}
    found = await read(client, both)
    told = {k: v for k, v in found.items() if k != "complaint"}
    assert "第九条" not in json.dumps(told["why"], ensure_ascii=False)
    decision = next(m for m in found["complaint"]["matters"])["decision"]
    assert "第九条" not in json.dumps(decision, ensure_ascii=False)
    assert len(found["complaint"]["matters"]) == 1
    async with client.house.database.connection() as connection:
        matters = [uuid.UUID(m["id"]) for m in both["matters"]]
        mediators = await in_short(client, connection, matters, ("complaint", "other"))
        everything = await in_short(client, connection, matters, ("complaint", "report", "other"))
    assert [m["lane"] for m in mediators if m is not None] == ["complaint"]
    assert "第九条" not in str(mediators)
    assert None not in everything
    assert "第九条" in str(everything)


async def test_every_state_offers_acts_that_may_start(client: Client) -> None:
    letters = {"complaint": await post(client, "j1"), "report": await post(client, "j2", REPORT, other(3))}
    async with client.house.database.connection() as connection:
        everything = await identity.issue(
            connection, "all", ["intake", "mediator", "supervisor"], natural_person=True, jurisdictions=["42"]
        )
        client.tokens["all"] = everything
    seen = set()
    for lane, letter in letters.items():
        for state in acts.STATE_LABELS:
            if state == "received":  # of letters
                continue
            await put(client, letter, state)
            offered = (await read(client, letter, "all", lane))["acts"]
            for one in offered:
                seen.add(one["act"])
                matter = {"lane": lane, "state": state}
                for ground in [g["ground"] for g in one["grounds"]] or [None]:
                    acts.require(one["act"], matter, ground)
                assert one["label"] == acts.ACTS[one["act"]].label
                assert one["call"]["path"].endswith(one["act"])
                assert one["persons"] == max(
                    acts.signing(one["act"], g["ground"]).persons for g in one["grounds"] or [{"ground": None}]
                )
                assert all(g["legal_basis"] and g["label"] for g in one["grounds"])
                assert one["ready"] or one["stopped"] or all(g["stopped"] for g in one["grounds"])
            names = {n for n, a in acts.ACTS.items() if lane in a.lanes and state in a.sources and not a.stops}
            assert names <= {o["act"] for o in offered}
            for form in (await read(client, letter, "all", lane))["documents"]:
                assert lane in FORMS[form["form"]].lanes
    assert {n for n, a in acts.ACTS.items() if not a.stops and set(a.lanes) & set(letters)} <= seen


async def test_what_stops_an_act_is_said_and_true(client: Client) -> None:
    letter = await post(client, "k1")
    await put(client, letter, "accepted")
    offered = {a["act"]: a for a in (await read(client, letter))["acts"]}
    assert offered["mediate"]["stopped"] == ["投诉人同意调解尚未取得", "被投诉人同意调解尚未取得"]
    assert not offered["mediate"]["ready"]
    matter = letter["matters"][0]["id"]
    assert (await client.post("mediator", f"/v1/matters/{matter}/mediate")).status_code == 409
    assert "reopen" not in offered
    robot = {a["act"]: a for a in (await read(client, letter, "robot"))["acts"]}
    assert "须由自然人办理，系统令牌不能办理" in robot["agree"]["stopped"]
    two = next(g for g in offered["terminate"]["grounds"] if g["ground"] == "23(1)(6)")
    assert two["persons"] == 2
    assert two["legal_basis"] == "《市场监督管理投诉举报处理办法》第二十三条第一款第六项"
    for party in ("consumer", "merchant"):
        said = await client.post(
            "intake", f"/v1/complaints/{letter['id']}/consent", {"party": party, "agrees": True, "to": "mediation"}
        )
        assert said.status_code == 200, said.text
    assert {a["act"]: a for a in (await read(client, letter))["acts"]}["mediate"]["ready"]
    asked = await client.post("mediator", f"/v1/matters/{matter}/find_factors", {"reason": "依据案卷", "factors": ["17(1)"]})
    assert asked.status_code == 202, asked.text
    waits = {a["act"]: a for a in (await read(client, letter))["acts"]}["find_factors"]
    assert waits["stopped"] == ["同一行为已提出，待另一人签署"]


async def test_who_takes_it_on_reads_who_had_it_and_why_he_gave_it_away(client: Client) -> None:
    letter = await post(client, "h1")
    item = await item_of(client, letter)
    assert (await read(client, letter))["handling"] == []
    for verb, more in (("release", {}), ("hold", {"held_for": "reply"}), ("return", {"reason": "不属本局管辖，电话13800001234"})):
        (claimed,) = (
            await client.post("mediator", f"/v1/queues/{(await read(client, letter))['queue_id']}/claim", {"limit": 1})
        ).json()["items"]
        done = await client.post("mediator", f"/v1/work-items/{item}/{verb}", {"lease_token": claimed["lease_token"], **more})
        assert done.status_code == 200, done.text
        if verb == "hold":
            await client.post("mediator", f"/v1/work-items/{item}/release", {"lease_token": claimed["lease_token"]})
    told = (await read(client, letter, "supervisor"))["handling"]
    assert [t["act"] for t in told] == ["return", "release", "hold", "release"]
    assert told[0]["label"] == "退回统一接收机构"
    assert told[0]["reason"].startswith("不属本局管辖")
    assert "13800001234" not in told[0]["reason"]
    assert told[0]["holder"] == told[0]["actor"]
    assert told[0]["claimed_at"] < told[0]["at"]
    assert told[2]["for"] == "reply"
    assert {told[0]["claimed_at"][-6:], told[2]["until"][-6:]} == {"+08:00"}


async def test_nobody_settles_for_the_represented_without_their_word(client: Client) -> None:
    letters = [await post(client, f"r{n}", who=other(n)) for n in range(2)]
    matters = [x["matters"][0]["id"] for x in letters]
    made = await client.post("mediator", "/v1/joint-matters", {"matters": matters})
    assert made.status_code == 201, made.text
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE joint_matter SET state = 'joined', joined_at = now()")
        await connection.execute("UPDATE joint_member SET consent = 'given', role = 'represented'")
    agree = next(a for a in (await read(client, letters[0]))["acts"] if a["act"] == "agree")
    assert agree["stopped"] == [
        "《市场监督管理投诉举报处理办法》第十二条第二款：代表人与被投诉人达成调解协议，应当经被代表的投诉人同意，尚未征求"
    ]
    assert (await client.post("mediator", f"/v1/matters/{matters[0]}/agree")).status_code == 409


async def test_sixty_days_are_waited_for(client: Client) -> None:
    letter = await post(client, "l1")
    matter = letter["matters"][0]["id"]
    assert (await client.post("mediator", f"/v1/matters/{matter}/accept")).status_code == 200
    found = await read(client, letter)
    terminate = next(a for a in found["acts"] if a["act"] == "terminate")
    by = {g["ground"]: g for g in terminate["grounds"]}
    assert "届满" in by["23(1)(5)"]["stopped"][0]
    assert by["23(1)(3)"]["stopped"] == []
    assert terminate["ready"]


async def test_documents_name_what_the_file_fills_and_can_be_drawn_as_said(client: Client) -> None:
    letter = await post(client, "m1")
    found = await read(client, letter, "supervisor")
    forms = {d["form"]: d for d in found["documents"]}
    assert set(forms) == {1, 3, 4, 5, 6}
    assert {"field": "complainant.phone", "label": "投诉人电话"} in forms[1]["filled"]
    assert forms[6]["must"] == [{"field": "ground", "label": "适用情形"}]
    assert forms[5]["must"] == []
    assert PERSON["phone"] not in json.dumps(found["documents"])
    for form in forms.values():
        drawn = await client.post("supervisor", form["call"]["path"], form["call"]["body"])
        assert drawn.status_code == 201, drawn.text
        assert set(drawn.json()["missing"]) == {m["field"] for m in form["must"]}
    again = (await read(client, letter, "supervisor"))["documents"]
    assert all(d["drawn"]["state_label"] == "草稿" for d in again)


async def test_law_is_quoted_by_problem_goods_issue_and_facts(client: Client) -> None:
    found = (await read(client, await post(client, "n1")))["law"]
    assert "《食品安全法》第一百四十八条第二款" in {x["cite"] for x in found}
    assert all(x["sentence"] and x["use"] and x["because"] for x in found)
    prepaid = "在武汉市武昌区美丽人生美容院办了预付卡，店铺突然关门跑路，要求退还余额3000元。"
    found = (await read(client, await post(client, "n2", prepaid, respondents=[{"name": "美丽人生美容院"}])))["law"]
    assert "《消费者权益保护法实施条例》第二十二条第三款" in {x["cite"] for x in found}


def test_every_citation_resolves_and_every_problem_has_one() -> None:
    table = dossier.problem_law()
    lists = codes.shipped("codes")["lists"]
    assert set(table["problems"]) == set(lists["problem"])
    assert set(table["goods"]) <= {g[0] for g in lists["goods"]}
    assert set(table["issues"]) <= {i[0] for i in lists["issue"]}
    entries = [e for part in ("problems", "issues", "goods", "facts") for es in table[part].values() for e in es] + table["every"]
    assert all(table["problems"].values())
    for one in entries:
        assert law.article(one["law"], one["article"])
        assert law.load(one["law"]).in_force_to is None
        assert law.sentence(one["law"], one["article"], one.get("item"), one.get("paragraph"))
        assert law.cite(one["law"], one["article"], one.get("paragraph"), one.get("item"))
        assert 5 <= len(one["use"]) <= 60
        assert set(one.get("problems", ())) <= set(lists["problem"])


async def in_short(
    client: Client, connection: Connection, matters: Sequence[uuid.UUID], lanes: tuple[str, ...]
) -> list[dict[str, Any] | None]:
    rows = await connection.fetch(
        f"SELECT {dossier.brief_sql('asked.id', lanes)} AS short FROM unnest($1::uuid[]) asked(id)", list(matters)
    )
    return [dossier.brief(client.house.calendar, row["short"], lanes, now=datetime.now(UTC)) for row in rows]


async def test_in_short_it_says_the_same(client: Client) -> None:
    await post(client, "o0", "6月1日在武汉市武昌区江城味火锅预订的包间被取消，要求退还定金200元。")
    letter = await post(client, "o1")
    matter = uuid.UUID(letter["matters"][0]["id"])
    async with client.house.database.connection() as connection:
        (one,) = await in_short(client, connection, [matter], ("complaint", "other"))
    assert one is not None
    whole = await read(client, letter)
    assert one["merchant"] == whole["merchant"]["name"] == "江城味火锅"
    assert one["earlier_complaints"] == whole["complainant"]["people"][0]["complaints"] == 1
    assert one["clocks"][0]["light"] == whole["clocks"]["next"]["light"]
    assert one["reasons"][0]["text"] == whole["why"]["reasons"][0]["text"]
    assert [m["code"] for m in one["missing"]] == [m["code"] for m in whole["missing"]["items"]]
    assert one["incident_people"] == 1


async def test_reading_it_is_recorded_with_whose_matters_were_listed(client: Client) -> None:
    first = await post(client, "p0", "6月1日在武汉市武昌区江城味火锅预订的包间被取消，要求退还定金200元。")
    letter = await post(client, "p1")
    await read(client, letter)
    async with client.house.database.connection() as connection:
        rows = await connection.fetch("SELECT object_id FROM audit_entry WHERE act = 'read_dossier' AND actor = 'mediator'")
    assert {r["object_id"] for r in rows} == {letter["matters"][0]["id"], first["matters"][0]["id"]}


async def test_elsewhere_nothing_is_read_but_numbers(client: Client) -> None:
    letter = await post(client, "q1")
    assert (await client.get("yichang", f"/v1/work-items/{await item_of(client, letter)}")).status_code == 404
    old = await post(client, "q2", "6月1日在武汉市武昌区江城味火锅预订的包间被取消，要求退还定金200元。")
    await set_(client, letter, district="420502", received_at=datetime.now(UTC) - timedelta(days=1))
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE work_item SET district = '420502' WHERE id = $1", await item_of(client, letter))
    found = await read(client, letter, "yichang")
    assert old["id"] not in json.dumps(found)
    person = found["complainant"]["people"][0]
    assert (person["complaints"], person["elsewhere"], person["newest"]) == (0, 1, [])
    assert (found["merchant"]["complaints"], found["merchant"]["elsewhere"]) == (1, 1)
