"""Joint matters (Art. 12): everybody's consent, representatives who settle for nobody without his word, acts for all with a result for each."""

import asyncio
import random
import uuid
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from app import acts, intake, joining, joint, settling, triage
from app.errors import Conflict, Forbidden, Invalid, NotFound, TriageError
from app.identity import Principal
from app.intake import Complaint, Letter
from app.triage import House
from tests.conftest import Client, complaint

LANES = ("complaint", "report", "other")
TEXT = "在江城味火锅就餐吃出蟑螂，要求退款368元。"
AGAIN = "在江城味火锅办的储值卡余额1000元，店家说系统升级不让用，要求退卡。"
SHOP = [{"name": "江城味火锅", "address": "武汉市洪山区珞喻路1号"}]
PEOPLE = ["欧阳致远", "司马相如", "诸葛瑾瑜", "上官婉清", "慕容复兴", "夏侯云帆"]


def person(subject: str, *roles: str, natural: bool = True, jurisdictions: tuple[str, ...] = ("42",)) -> Principal:
    return Principal(
        subject, natural, frozenset(roles or ("intake", "mediator", "supervisor")), jurisdictions, frozenset(), frozenset()
    )  # type: ignore[arg-type]


ANNA, BORIS, ROBOT = person("anna"), person("boris"), person("robot", natural=False)


def body(number: int, text: str = TEXT, *, who: int | None = None, shop: Any = SHOP, **values: Any) -> dict[str, Any]:
    n = number if who is None else who
    given = {"name": PEOPLE[n % len(PEOPLE)], "phone": f"1380000{n:04d}", "city": "武汉市", "district": "洪山区"}
    return complaint(f"j{number}", text, complainant=given, respondents=shop, **values)


async def received(house: House, posted: dict[str, Any]) -> uuid.UUID:
    """Without the seconds a web request has."""
    letter = Letter.make("p1", Complaint.model_validate(posted), now=datetime.now(UTC), history=False)
    async with house.database.connection() as connection:
        await intake.receive(connection, house.vault, [letter])
    outcome = await triage.triage(house, letter)
    assert outcome is not None
    return outcome.matters[0].id


async def matter(house: House, number: int, text: str = TEXT, **values: Any) -> uuid.UUID:
    return await received(house, body(number, text, **values))


async def some(house: House, count: int) -> list[uuid.UUID]:
    return [await matter(house, n) for n in range(count)]


async def propose(house: House, ids: list[uuid.UUID], consents: list[uuid.UUID] | None = None, **more: Any) -> uuid.UUID:
    return await joining.propose(
        house,
        more.pop("who", ANNA),
        lanes=LANES,
        matters=ids,
        consents=dict.fromkeys(ids if consents is None else consents),
        **more,
    )


async def seen(house: House, joint_id: uuid.UUID) -> dict[str, Any]:
    async with house.database.connection() as connection:
        return await joint.read(connection, joint_id, ("42",))


async def kept(house: House, joint_id: uuid.UUID) -> list[uuid.UUID]:
    return sorted((m["matter_id"] for m in (await seen(house, joint_id))["members"] if m["left_at"] is None), key=str)


async def state(house: House, matter_id: uuid.UUID) -> str:
    async with house.database.connection() as connection:
        return str(await connection.fetchval("SELECT state FROM matter WHERE id = $1", matter_id))


async def acts_in(house: House, matter_id: uuid.UUID) -> list[str]:
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT act FROM state_change WHERE matter_id = $1 AND act LIKE 'joint%' ORDER BY id", matter_id
        )
    return [r["act"] for r in rows]


async def records(house: House, ids: list[uuid.UUID]) -> Any:
    """What a joint matter must leave as it is: each one's own matter, gates, clocks, documents."""
    async with house.database.connection() as connection:
        return [
            [dict(r) for r in await connection.fetch(query, ids)]
            for query in (
                "SELECT * FROM matter WHERE id = ANY($1) ORDER BY id", "SELECT * FROM gate WHERE matter_id = ANY($1) ORDER BY 1, 2, 3",
                "SELECT * FROM clock WHERE matter_id = ANY($1) ORDER BY id", "SELECT * FROM document WHERE matter_id = ANY($1) ORDER BY id",
                "SELECT * FROM incident_membership WHERE matter_id = ANY($1) ORDER BY id", "SELECT * FROM respondent WHERE matter_id = ANY($1) ORDER BY id",
            )
        ]  # fmt: skip


async def elect(house: House, joint_id: uuid.UUID, two: list[uuid.UUID], electors: list[uuid.UUID] | None = None) -> None:
    await joining.elect(house, joint_id, ANNA, two, electors=electors, reference="推选书，案卷第12页", attachment_id=None)


# -- who can be joined


async def test_four_consents_of_five_join_nobody_and_all_five_do(house: House) -> None:
    ids = await some(house, 5)
    before = await records(house, ids)
    with pytest.raises(Conflict) as refused:
        await propose(house, ids, ids[:3] + ids[4:], join=True)
    assert [e["field"] for e in refused.value.errors] == [str(ids[3])]
    assert "第十二条第一款" in refused.value.detail
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM joint_matter") == 0
    joint_id = await propose(house, ids, join=True)
    found = await seen(house, joint_id)
    assert (found["state"], len(found["members"])) == ("joined", 5)
    assert {(m["consent"], m["consent_by"]) for m in found["members"]} == {("given", "anna")}
    assert found["due_at"] == min(m["due_at"] for m in found["members"])
    assert await records(house, ids) == before
    assert await acts_in(house, ids[0]) == ["joint_proposed", "joint_consent", "joint_joined"]
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM audit_entry WHERE act = 'joint_propose'") == 6
        told = await connection.fetch("SELECT kind, payload FROM outbox WHERE matter_id = $1 AND kind LIKE '%joint%'", ids[0])
    assert [(t["kind"], t["payload"]) for t in told] == [("matter.joint_proposed", {}), ("matter.joint_joined", {})]


async def test_what_stands_in_the_way_is_named(house: House) -> None:
    one, two = await some(house, 2)
    twice = await matter(house, 10, AGAIN, who=0)
    elsewhere = await matter(
        house, 3, "在光明眼镜店配的眼镜度数不对，要求退款。", shop=[{"name": "光明眼镜店", "address": "武汉市汉阳区鹦鹉大道9号"}]
    )
    report = await matter(house, 4, "举报江城味火锅使用过期食材加工，请依法查处。")
    nobody = await received(house, complaint("anon", TEXT, respondents=SHOP))
    closed = await matter(house, 5)
    await settling.perform(house, closed, ANNA, "agree", lanes=LANES)
    for wrong, why in (
        (twice, "同一投诉人"), (elsewhere, "同一经营者"), (report, "不是投诉"), (closed, "已办结"), (nobody, "身份不明"),
    ):  # fmt: skip
        with pytest.raises(Conflict) as refused:
            await propose(house, [one, two, wrong], [], reason="同一批火锅底料")
        assert [e["field"] for e in refused.value.errors] == [str(wrong)], why
        assert why in refused.value.detail
    with pytest.raises(Conflict):
        await propose(house, [one], [])
    with pytest.raises(NotFound):  # whoever may not know of reports learns nothing (Art. 37)
        await joining.propose(house, ANNA, lanes=("complaint", "other"), matters=[one, two, report])
    with pytest.raises(NotFound):
        await propose(house, [one, two], [], who=person("yichang", jurisdictions=("4205",)))
    for who in (ROBOT, person("analyst", "analyst")):
        with pytest.raises(Forbidden):
            await propose(house, [one, two], [], who=who)
    await propose(house, [one, two], [])
    three = await matter(house, 6)
    with pytest.raises(Conflict, match="已在另一共同投诉中"):
        await propose(house, [one, three], [])


async def test_two_incidents_of_one_merchant_need_a_reason(house: House) -> None:
    one, two = await some(house, 2)
    async with house.database.transaction() as connection:  # as if the words had been too different
        await connection.execute("UPDATE incident_membership SET valid_to = now() WHERE matter_id = $1 AND valid_to IS NULL", two)
    with pytest.raises(Invalid):
        await propose(house, [one, two], [])
    joint_id = await propose(house, [one, two], [], reason="同一天同一门店的同一锅底")
    assert (await seen(house, joint_id))["basis"] == "同一天同一门店的同一锅底"


async def test_an_incident_gives_each_persons_first_open_complaint_and_no_report(house: House) -> None:
    ids = await some(house, 3)
    again = await matter(house, 20, AGAIN, who=1)
    report = await matter(house, 4, "举报江城味火锅使用过期食材，吃出蟑螂，请依法查处。")
    await settling.perform(house, ids[2], ANNA, "agree", lanes=LANES)
    async with house.database.transaction() as connection:
        incident_id = await connection.fetchval(
            "SELECT incident_id FROM incident_membership WHERE matter_id = $1 AND is_primary", ids[0]
        )
        for other in (*ids[1:], again, report):
            await connection.execute(
                "UPDATE incident_membership SET incident_id = $2 WHERE matter_id = $1 AND is_primary AND valid_to IS NULL",
                other, incident_id,
            )  # fmt: skip
    joint_id = await joining.propose(house, ANNA, lanes=LANES, incident_id=incident_id)
    assert await kept(house, joint_id) == sorted(ids[:2], key=str)
    assert (await seen(house, joint_id))["incident_id"] == incident_id


# -- its life


async def test_the_last_word_joins_and_a_no_ends_ones_own_part_alone(house: House) -> None:
    ids = await some(house, 4)
    before = await records(house, ids)
    joint_id = await propose(house, ids, [ids[0]])
    assert (await seen(house, joint_id))["state"] == "proposed"
    await joining.consent(house, joint_id, ANNA, ids[1], agrees=True, reference="电话录音3号")
    await joining.consent(house, joint_id, BORIS, ids[2], agrees=False, reference=None)
    assert (await seen(house, joint_id))["state"] == "proposed"
    await joining.consent(house, joint_id, ANNA, ids[3], agrees=True, reference=None)
    found = await seen(house, joint_id)
    assert found["state"] == "joined"
    refused = next(m for m in found["members"] if m["matter_id"] == ids[2])
    assert (refused["consent"], refused["consent_by"], refused["left_reason"]) == ("refused", "boris", "refused")
    assert await records(house, ids) == before
    assert await acts_in(house, ids[2]) == ["joint_proposed", "joint_consent", "joint_left"]
    await joining.consent(house, joint_id, ANNA, ids[3], agrees=True, reference=None)  # said before: nothing
    await joining.consent(house, joint_id, ANNA, ids[3], agrees=False, reference=None)  # taken back
    assert (await seen(house, joint_id))["state"] == "joined"
    await joining.leave(house, joint_id, ANNA, ids[1], reason="自行起诉")
    found = await seen(house, joint_id)
    assert (found["state"], found["end_reason"], await kept(house, joint_id)) == ("ended", "few", [])
    assert {m["left_reason"] for m in found["members"]} == {"few", "refused", "withdrawn", "left"}
    assert await records(house, ids) == before
    with pytest.raises(Conflict):
        await joining.consent(house, joint_id, ANNA, ids[0], agrees=True, reference=None)


async def test_whoever_closes_is_a_member_no_more_and_the_last_ones_go_on_alone(house: House) -> None:
    ids = await some(house, 3)
    joint_id = await propose(house, ids)
    async with house.database.connection() as connection:
        letters = {m: await connection.fetchval("SELECT letter_id FROM matter WHERE id = $1", m) for m in ids}
    await settling.withdraw(house, letters[ids[0]], person("p1", "portal", natural=False), reason=None)
    assert await kept(house, joint_id) == sorted(ids[1:], key=str)
    assert (await seen(house, joint_id))["state"] == "joined"
    await settling.perform(house, ids[1], ANNA, "agree", lanes=LANES)
    found = await seen(house, joint_id)
    assert (found["state"], found["end_reason"]) == ("ended", "few")
    assert await state(house, ids[2]) == "pending_acceptance"
    assert (await acts_in(house, ids[2]))[-1] == "joint_ended"
    # He may be joined again, with others.
    assert (await seen(house, await propose(house, [ids[2], await matter(house, 7)])))["state"] == "joined"


async def test_new_members_only_with_their_consent_once_it_is_joined(house: House) -> None:
    ids = await some(house, 4)
    joint_id = await propose(house, ids[:2])
    with pytest.raises(Conflict):
        await joining.add(house, joint_id, ANNA, lanes=LANES, matters=[ids[2]])
    await joining.add(house, joint_id, ANNA, lanes=LANES, matters=[ids[2]], consents={ids[2]: "电话"})
    assert await kept(house, joint_id) == sorted(ids[:3], key=str)
    assert (await seen(house, joint_id))["state"] == "joined"
    await joining.leave(house, joint_id, ANNA, ids[2], reason="不愿等待")
    await joining.add(house, joint_id, ANNA, lanes=LANES, matters=[ids[2]], consents={ids[2]: None})  # and comes back
    with pytest.raises(Conflict, match="同一投诉人"):
        await joining.add(house, joint_id, ANNA, lanes=LANES, matters=[await matter(house, 30, AGAIN, who=1)], consents={})
    await joining.end(house, joint_id, ANNA, reason="争议不同，分别办理")
    found = await seen(house, joint_id)
    assert (found["state"], found["end_reason"], await kept(house, joint_id)) == ("ended", "ended", [])


# -- representatives


async def test_nobody_is_settled_for_without_his_word(house: House) -> None:
    ids = await some(house, 5)
    joint_id = await propose(house, ids)
    with pytest.raises(Invalid):
        await joining.elect(house, joint_id, ANNA, ids[:2], electors=None, reference=None, attachment_id=None)
    for two in (ids[:1], [ids[0], ids[0]], [ids[0], uuid.uuid4()]):
        with pytest.raises(Invalid):
            await elect(house, joint_id, two)
    with pytest.raises(Conflict):  # nobody is represented yet
        await joining.put(house, joint_id, ANNA, kind="settlement", reference="调解协议稿一")
    await elect(house, joint_id, ids[:2], ids[:4])  # the fifth did not elect
    found = await seen(house, joint_id)
    assert set(found["representatives"]) == set(ids[:2])
    assert (found["election"]["reference"], found["election"]["recorded_by"]) == ("推选书，案卷第12页", "anna")
    none = await joining.act(house, joint_id, ANNA, "agree", lanes=LANES, matters=[ids[2]])
    assert (none[0].status, [e["field"] for e in none[0].errors]) == (409, [str(ids[2])])
    first = await joining.put(house, joint_id, ANNA, kind="settlement", reference="调解协议稿一")
    await joining.assent(house, joint_id, ANNA, first, ids[2], agrees=True, reference=None)
    second = await joining.put(house, joint_id, ANNA, kind="settlement", reference="调解协议稿二")
    with pytest.raises(Conflict):  # a word on other terms is none
        await settling.perform(house, ids[2], ANNA, "agree", lanes=LANES)
    with pytest.raises(Conflict):
        await joining.assent(house, joint_id, ANNA, first, ids[3], agrees=True, reference=None)
    with pytest.raises(Conflict):  # the fifth speaks for himself
        await joining.assent(house, joint_id, ANNA, second, ids[4], agrees=True, reference=None)
    await joining.assent(house, joint_id, ANNA, second, ids[2], agrees=True, reference="面谈笔录")
    await joining.assent(house, joint_id, BORIS, second, ids[3], agrees=False, reference=None)
    done = {r.matter_id: r for r in await joining.act(house, joint_id, ANNA, "agree", lanes=LANES)}
    assert {m: r.status for m, r in done.items()} == {ids[0]: 200, ids[1]: 200, ids[2]: 200, ids[3]: 409, ids[4]: 200}
    assert "第十二条第二款" in (done[ids[3]].detail or "")
    assert await state(house, ids[3]) == "pending_acceptance"
    # Alone now, and asked still, until he says that nobody speaks for him.
    assert (await seen(house, joint_id))["state"] == "ended"
    with pytest.raises(Conflict):
        await settling.perform(house, ids[3], ANNA, "agree", lanes=LANES)
    await joining.leave(house, joint_id, ANNA, ids[3], reason="本人另行协商")
    assert (await settling.perform(house, ids[3], ANNA, "agree", lanes=LANES)).state == "agreed"


async def test_a_representatives_withdrawal_of_others_claims_binds_nobody(house: House) -> None:
    ids = await some(house, 3)
    joint_id = await propose(house, ids)
    await elect(house, joint_id, ids[:2])
    assert {r.status for r in await joining.act(house, joint_id, ANNA, "accept", lanes=LANES)} == {200}  # binds all
    ended = await joining.act(house, joint_id, ANNA, "terminate", lanes=LANES, ground="23(1)(1)", reason="代表人来电撤回")
    assert {r.matter_id: r.status for r in ended} == {ids[0]: 200, ids[1]: 200, ids[2]: 409}


async def test_an_election_ends_when_a_representative_leaves_but_not_when_his_matter_closes(house: House) -> None:
    ids = await some(house, 4)
    joint_id = await propose(house, ids)
    await elect(house, joint_id, ids[:2])
    await settling.perform(house, ids[0], ANNA, "agree", lanes=LANES)
    with pytest.raises(Conflict):
        await settling.perform(house, ids[3], ANNA, "agree", lanes=LANES)
    await joining.leave(house, joint_id, ANNA, ids[1], reason="不再担任")
    found = await seen(house, joint_id)
    assert (found["election"], found["representatives"], found["state"]) == (None, [], "joined")
    assert (await settling.perform(house, ids[3], ANNA, "agree", lanes=LANES)).state == "agreed"


async def test_a_mediator_who_finishes_needs_the_represented_ones_word_too(client: Client) -> None:
    posted = [(await client.post("portal", "/v1/complaints", body(n))).json() for n in range(3)]
    ids = [p["matters"][0]["id"] for p in posted]
    made = await client.post("intake", "/v1/joint-matters", {"matters": ids, "consents": [{"matter_id": m} for m in ids]})
    path = f"/v1/joint-matters/{made.json()['id']}"
    await client.post("intake", f"{path}/representatives", {"representatives": ids[:2], "reference": "推选书"})
    async with client.house.database.connection() as connection:
        queue = await connection.fetchval("SELECT queue_id FROM work_item WHERE matter_id = $1", uuid.UUID(ids[2]))
    claimed = (await client.post("mediator", f"/v1/queues/{queue}/claim", {"limit": 10})).json()["items"]
    item = next(i for i in claimed if i["matter"]["id"] == ids[2])
    finish = {"lease_token": item["lease_token"], "outcome": "agreement"}
    refused = await client.post("mediator", f"/v1/work-items/{item['id']}/finish", finish)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, ids[2])
    proposal = (await client.post("mediator", f"{path}/proposals", {"kind": "settlement", "reference": "协议稿"})).json()["id"]
    assent = {"matter_id": ids[2], "agrees": True, "proposal_id": proposal}
    assert (await client.post("mediator", f"{path}/consent", assent)).json()["proposals"][0]["words"][0]["agrees"] is True
    assert (await client.post("mediator", f"/v1/work-items/{item['id']}/finish", finish)).status_code == 200


# -- acts for all


async def test_one_members_failure_loses_nobody_elses_act(house: House) -> None:
    ids = await some(house, 4)
    joint_id = await propose(house, ids, ids[:3])
    with pytest.raises(Conflict):
        await joining.act(house, joint_id, ANNA, "accept", lanes=LANES)
    await joining.consent(house, joint_id, ANNA, ids[3], agrees=True, reference=None)
    await settling.perform(house, ids[1], BORIS, "accept", lanes=LANES)
    results = await joining.act(house, joint_id, ANNA, "accept", lanes=LANES)
    assert {r.matter_id: r.status for r in results} == {ids[0]: 200, ids[1]: 409, ids[2]: 200, ids[3]: 200}
    assert {await state(house, m) for m in ids} == {"accepted"}
    async with house.database.connection() as connection:
        clocks = await connection.fetch(
            "SELECT matter_id FROM clock WHERE key = 'complaint.mediate' AND stopped_at IS NULL AND matter_id = ANY($1)", ids
        )
        papers = await connection.fetchval("SELECT count(DISTINCT matter_id) FROM document WHERE form = 5")
    assert (len(clocks), papers) == (4, 4)  # each his own
    two = await joining.act(
        house,
        joint_id,
        ANNA,
        "terminate",
        lanes=LANES,
        ground="23(1)(6)",
        reason="发现已起诉",
        detail={"rests_on": "16(2)"},
        matters=ids[:2],
    )
    assert [(r.status, r.missing) for r in two] == [(202, 1)] * 2
    for name in ("withdraw", "find_factors", "fly"):
        with pytest.raises(NotFound):
            await joining.act(house, joint_id, ANNA, name, lanes=LANES)
    with pytest.raises(Invalid):
        await joining.act(house, joint_id, ANNA, "mediate", lanes=LANES, matters=[uuid.uuid4()])
    machine = await joining.act(house, joint_id, ROBOT, "agree", lanes=LANES)
    assert {r.status for r in machine} == {403}


async def test_the_representatives_word_on_mediation_binds_whom_they_represent_alone(client: Client) -> None:
    posted = [(await client.post("portal", "/v1/complaints", body(n))).json() for n in range(4)]
    ids = [p["matters"][0]["id"] for p in posted]
    made = await client.post("intake", "/v1/joint-matters", {"matters": ids, "consents": [{"matter_id": m} for m in ids]})
    path = f"/v1/joint-matters/{made.json()['id']}"
    word = {"party": "consumer", "agrees": True}
    assert (await client.post("intake", f"{path}/acts/consent", word)).status_code == 422  # nobody is represented
    assert (await client.post("intake", f"{path}/acts/consent", {})).status_code == 422
    elected = {"representatives": ids[:2], "electors": ids[:3], "reference": "推选书"}
    assert (await client.post("intake", f"{path}/representatives", elected)).status_code == 200
    assert (await client.post("mediator", f"{path}/acts/consent", word)).status_code == 403
    said = (await client.post("intake", f"{path}/acts/consent", word)).json()
    assert {r["matter_id"]: r["status"] for r in said["results"]} == dict.fromkeys(ids[:3], 200)
    assert (await client.post("intake", f"{path}/acts/consent", {"party": "merchant", "agrees": True})).json()["done"] == 4
    assert (await client.post("mediator", f"{path}/acts/accept")).json()["done"] == 4
    mediated = (await client.post("mediator", f"{path}/acts/mediate")).json()
    assert {r["matter_id"]: r["status"] for r in mediated["results"]} == {**dict.fromkeys(ids[:3], 200), ids[3]: 409}
    assert (await acts_in(client.house, uuid.UUID(ids[2])))[-1] == "joint_bound"
    own = await client.post("intake", f"{path}/acts/consent", {**word, "matters": [ids[3]]})
    assert own.json()["done"] == 1
    assert (await client.post("mediator", f"{path}/acts/mediate", {"matters": [ids[3]]})).json()["done"] == 1


async def test_work_is_ordered_by_the_first_of_all_their_terms(house: House) -> None:
    one, two = await some(house, 2)
    async with house.database.transaction() as connection:
        await connection.execute("UPDATE clock SET due_at = due_at - interval '3 days' WHERE matter_id = $1", one)
    joint_id = await propose(house, [one, two])
    async with house.database.connection() as connection:
        places = await connection.fetch(
            "SELECT w.due_at, w.urgent_at + w.priority * interval '12 hours' AS place FROM work_item w WHERE matter_id = ANY($1) ORDER BY 1",
            [one, two],
        )
    assert places[0]["place"] == places[1]["place"] == places[0]["due_at"]
    assert places[0]["due_at"] < places[1]["due_at"]  # each keeps his own term
    await joining.end(house, joint_id, ANNA, reason="分别办理")
    async with house.database.connection() as connection:
        alone = await connection.fetchval(
            "SELECT w.urgent_at + w.priority * interval '12 hours' FROM work_item w WHERE matter_id = $1", two
        )
    assert alone == places[1]["due_at"]


# -- what follows from corrections


async def test_nobody_is_joined_with_himself_once_a_person_says_who_is_one(client: Client) -> None:
    posted = [(await client.post("portal", "/v1/complaints", body(n))).json() for n in range(3)]
    ids = [uuid.UUID(p["matters"][0]["id"]) for p in posted]
    joint_id = await propose(client.house, ids)

    async def people() -> list[str]:
        async with client.house.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT cm.complainant_id FROM party p JOIN complainant_membership cm ON cm.record_id = p.record_id AND cm.valid_to IS NULL "
                "JOIN unnest($1::uuid[]) WITH ORDINALITY AS m(id, n) ON m.id = p.matter_id WHERE p.role = 'filer' ORDER BY m.n",
                ids,
            )
        return [str(r["complainant_id"]) for r in rows]

    one, two, three = await people()
    merged = await client.post("analyst", f"/v1/complainants/{one}/merge", {"others": [two], "reason": "同一人两个号码"})
    assert merged.status_code == 200, merged.text
    assert await kept(client.house, joint_id) == sorted([ids[0], ids[2]], key=str)
    found = await seen(client.house, joint_id)
    assert next(m["left_reason"] for m in found["members"] if m["matter_id"] == ids[1]) == "same_person"
    await client.post("analyst", f"/v1/complainants/{one}/merge", {"others": [three], "reason": "同一人三个号码"})
    assert ((await seen(client.house, joint_id))["state"], await kept(client.house, joint_id)) == ("ended", [])
    assert {await state(client.house, m) for m in ids} == {"pending_acceptance"}


async def test_a_complaint_that_was_none_leaves_unseen(client: Client) -> None:
    posted = [(await client.post("portal", "/v1/complaints", body(n))).json() for n in range(3)]
    ids = [p["matters"][0]["id"] for p in posted]
    joint_id = await propose(client.house, [uuid.UUID(m) for m in ids])
    changed = await client.post("intake", f"/v1/matters/{ids[2]}/correct-reading", {"kind": "report"})
    assert changed.status_code == 200, changed.text
    for who in ("mediator", "supervisor"):
        shown = await client.get(who, f"/v1/joint-matters/{joint_id}")
        assert (shown.json()["state"], len(shown.json()["members"])) == ("joined", 2)
        assert ids[2] not in shown.text


# -- over REST


async def test_a_portal_learns_of_its_own_part_alone_and_only_after_its_consent(client: Client) -> None:
    posted = [(await client.post("portal", "/v1/complaints", body(n))).json() for n in range(3)]
    ids = [p["matters"][0]["id"] for p in posted]
    made = await client.post(
        "intake", "/v1/joint-matters", {"matters": ids, "consents": [{"matter_id": ids[2], "reference": "面谈"}]}
    )
    assert made.status_code == 201
    path = made.headers["location"]
    own = f"/v1/complaints/{posted[0]['id']}"
    before = await client.get("portal", own)
    assert before.json()["handled_jointly"] is False
    assert "共同" not in before.text
    desk = (await client.get("mediator", own)).json()["matters"][0]
    assert (desk["joint_matter_id"], desk["joint_state"], desk["joint_consent"]) == (made.json()["id"], "proposed", "open")
    yes = {"party": "consumer", "agrees": True, "to": "joint"}
    assert (await client.post("other_portal", f"{own}/consent", yes)).status_code == 404
    assert (await client.post("intake", f"{own}/consent", {**yes, "party": "merchant"})).status_code == 422
    assert (await client.post("portal", f"{own}/consent", yes)).json()["state"] == "given"
    assert (await client.get("portal", own)).json()["handled_jointly"] is False  # not joined yet
    await client.post("portal", f"/v1/complaints/{posted[1]['id']}/consent", yes)
    after = await client.get("portal", own)
    assert after.json()["handled_jointly"] is True
    for other in (*ids[1:], made.json()["id"], posted[1]["id"], posted[2]["id"], *PEOPLE[1:]):
        assert other not in after.text
    again = await client.post("portal", "/v1/complaints", body(0))
    assert (again.status_code, again.json()["handled_jointly"]) == (200, True)
    await client.post("portal", f"{own}/consent", {**yes, "agrees": False})
    assert (await client.get("portal", own)).json()["handled_jointly"] is False
    found = (await client.get("mediator", path)).json()
    assert [m["left_reason"] for m in found["members"] if m["matter_id"] == ids[0]] == ["withdrawn"]
    assert (await client.post("portal", f"{own}/consent", yes)).status_code == 409


async def test_rights_pages_and_places(client: Client) -> None:
    posted = [(await client.post("portal", "/v1/complaints", body(n))).json() for n in range(6)]
    ids = [p["matters"][0]["id"] for p in posted]
    made = []
    for pair in (ids[:2], ids[2:4], ids[4:]):
        answer = await client.post(
            "mediator", "/v1/joint-matters", {"matters": pair, "consents": [{"matter_id": m} for m in pair]}
        )
        assert (answer.status_code, answer.json()["state"]) == (201, "joined"), answer.text
        made.append(answer.json()["id"])
    for role, status in (("portal", 403), ("analyst", 403), ("yichang", 404), ("intake", 200)):
        assert (await client.get(role, f"/v1/joint-matters/{made[0]}")).status_code == status
    assert (await client.post("robot", f"/v1/joint-matters/{made[0]}/end", {"reason": "x"})).status_code == 403
    assert (await client.post("yichang", f"/v1/joint-matters/{made[0]}/acts/accept")).status_code == 404
    assert (await client.get("yichang", "/v1/joint-matters")).json()["items"] == []
    first = (await client.get("mediator", "/v1/joint-matters?limit=2")).json()
    rest = (await client.get("mediator", f"/v1/joint-matters?limit=2&cursor={first['next_cursor']}")).json()
    assert [i["id"] for i in (*first["items"], *rest["items"])] == made[::-1]
    assert rest["next_cursor"] is None
    accepted = (await client.post("mediator", f"/v1/joint-matters/{made[0]}/acts/accept")).json()
    assert (accepted["done"], accepted["failed"], {r["state_label"] for r in accepted["results"]}) == (2, 0, {"已受理"})
    async with client.house.database.connection() as connection:  # one member's place is found to be another
        await connection.execute("UPDATE matter SET district = '420502' WHERE id = $1", uuid.UUID(ids[0]))
    shared = (await client.get("yichang", f"/v1/joint-matters/{made[0]}")).json()
    assert ([m["matter_id"] for m in shared["members"]], shared["elsewhere"]) == ([ids[0]], 1)
    assert ids[1] not in (await client.get("yichang", f"/v1/joint-matters/{made[0]}")).text
    assert (await client.post("yichang", f"/v1/joint-matters/{made[0]}/acts/agree")).status_code == 403
    assert (await client.post("yichang", f"/v1/joint-matters/{made[0]}/end", {"reason": "x"})).status_code == 403
    left = await client.post(
        "yichang", f"/v1/joint-matters/{made[0]}/leave", {"matter_id": ids[0], "reason": "电话13812345678要求"}
    )
    assert left.json()["state"] == "ended"
    assert "13812345678" not in left.text
    ended = (await client.get("mediator", "/v1/joint-matters?state=ended")).json()["items"]
    assert [i["id"] for i in ended] == [made[0]]


async def test_the_election_may_be_an_attachment_of_a_members_letter(client: Client) -> None:
    paper = {"name": "推选书.pdf", "size": 12, "sha256": "a" * 64, "media_type": "application/pdf"}
    one = (await client.post("portal", "/v1/complaints", body(0, attachments=[paper]))).json()
    two = (await client.post("portal", "/v1/complaints", body(1))).json()
    foreign = (await client.post("portal", "/v1/complaints", body(2, attachments=[paper]))).json()
    ids = [p["matters"][0]["id"] for p in (one, two)]
    made = (
        await client.post("intake", "/v1/joint-matters", {"matters": ids, "consents": [{"matter_id": m} for m in ids]})
    ).json()["id"]
    async with client.house.database.connection() as connection:
        mine, theirs = [
            str(await connection.fetchval("SELECT id FROM attachment WHERE letter_id = $1", uuid.UUID(p["id"])))
            for p in (one, foreign)
        ]
    path = f"/v1/joint-matters/{made}/representatives"
    assert (await client.post("intake", path, {"representatives": ids, "attachment_id": theirs})).status_code == 422
    assert (await client.post("intake", path, {"representatives": ids})).status_code == 422
    done = await client.post("intake", path, {"representatives": ids, "attachment_id": mine})
    assert done.json()["election"]["attachment_id"] == mine


async def test_the_database_keeps_no_member_without_consent_and_no_two_joint_matters(house: House) -> None:
    ids = await some(house, 3)
    joint_id = await propose(house, ids[:2])
    async with house.database.connection() as connection:
        for statement in (
            "UPDATE joint_member SET consent = 'refused'", "UPDATE joint_member SET left_at = now()", "UPDATE joint_matter SET state = 'ended'",
        ):  # fmt: skip
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM joint_event")
        other = uuid.uuid4()
        await connection.execute("INSERT INTO joint_matter (id, created_by) VALUES ($1, 'x')", other)
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO joint_member (joint_matter_id, matter_id) VALUES ($1, $2)", other, ids[0])
    assert (await seen(house, joint_id))["state"] == "joined"


# -- whatever is done in whatever order

_BROKEN = """
SELECT j.id FROM joint_matter j LEFT JOIN joint_member jm ON jm.joint_matter_id = j.id AND jm.left_at IS NULL
LEFT JOIN matter m ON m.id = jm.matter_id GROUP BY j.id, j.state
HAVING (j.state = 'joined' AND (count(jm.matter_id) < 2 OR bool_or(jm.consent <> 'given')))
    OR (j.state <> 'ended' AND (count(jm.matter_id) < 2 OR bool_or(m.closed_at IS NOT NULL) OR bool_or(m.lane <> 'complaint')))
    OR (j.state = 'ended' AND count(jm.matter_id) > 0)
"""


@pytest.mark.parametrize("seed", range(6))
async def test_never_joined_without_everybodys_consent_nor_fewer_than_two(house: House, seed: int) -> None:
    """Random lives. After each step no joint matter that lives has a closed member or fewer than two, none that is joined one without consent;
    nobody who is represented was settled for without his word on the latest terms."""
    dice = random.Random(seed)
    ids = await some(house, 6)
    made: list[uuid.UUID] = []
    done = refused = 0

    async def step() -> None:
        one, joint_id = dice.choice(ids), dice.choice(made[-2:]) if made else None
        if joint_id and dice.random() < 0.7:
            one = dice.choice(await kept(house, joint_id) or ids)
        several = dice.sample(ids, dice.randint(2, 5))
        match dice.choices(range(11), (3, 2, 4, 1, 2, 2, 3, 0.5, 2, 3, 3))[0]:
            case 0:
                made.append(
                    await propose(house, several, dice.sample(several, dice.randint(0, len(several))), join=dice.random() < 0.2)
                )
            case _ if joint_id is None:
                return
            case 1:
                for member in await kept(house, joint_id):
                    await joining.consent(house, joint_id, ANNA, member, agrees=True, reference=None)
            case 2:
                await joining.consent(house, joint_id, ANNA, one, agrees=dice.random() < 0.8, reference=None)
            case 3:
                await joining.leave(house, joint_id, ANNA, one, reason="退出")
            case 4:
                await joining.add(
                    house, joint_id, ANNA, lanes=LANES, matters=[one], consents={one: None} if dice.random() < 0.5 else {}
                )
            case 5:
                await elect(house, joint_id, dice.sample(await kept(house, joint_id) or ids, 2))
            case 6:
                proposal = await joining.put(house, joint_id, ANNA, kind="settlement", reference="协议稿")
                await joining.assent(house, joint_id, ANNA, proposal, one, agrees=dice.random() < 0.5, reference=None)
            case 7:
                await joining.end(house, joint_id, ANNA, reason="分别办理")
            case 8:
                await _agree(house, one)
            case _:
                closed = [m for m in ids if await state(house, m) == "agreed"]
                one = dice.choice(closed or ids)
                await settling.perform(house, one, ANNA, "reopen", lanes=LANES, ground="own_error", reason="原办理有误")

    for _ in range(100):
        try:
            await step()
            done += 1
        except (TriageError, ValueError):
            refused += 1
        async with house.database.connection() as connection:
            assert await connection.fetch(_BROKEN) == []
    assert done > 15
    assert refused > 5


async def _agree(house: House, matter_id: uuid.UUID) -> None:
    async with house.database.connection() as connection:
        represented = await connection.fetch(
            "SELECT a.agrees FROM joint_member jm JOIN joint_matter j ON j.id = jm.joint_matter_id LEFT JOIN LATERAL ("
            "SELECT id FROM joint_proposal WHERE joint_matter_id = j.id AND kind = 'settlement' ORDER BY put_at DESC, id DESC LIMIT 1) p ON true "
            "LEFT JOIN joint_assent a ON a.proposal_id = p.id AND a.matter_id = jm.matter_id "
            "WHERE jm.matter_id = $1 AND jm.role = 'represented' AND (jm.left_at IS NULL OR jm.left_reason = 'few')",
            matter_id,
        )
    await settling.perform(house, matter_id, ANNA, "agree", lanes=LANES)
    assert not represented or any(r["agrees"] for r in represented)


async def test_two_desks_at_once_make_one_joint_matter(house: House) -> None:
    ids = await some(house, 4)
    made = await asyncio.gather(*(propose(house, wanted) for wanted in (ids, ids[::-1], ids[1:])), return_exceptions=True)
    assert sorted(type(m).__name__ for m in made) == ["Conflict", "Conflict", "UUID"]


async def test_two_who_close_at_once_leave_no_half_joint_matter(house: House) -> None:
    ids = await some(house, 4)
    joint_id = await propose(house, ids)
    await asyncio.gather(
        *(settling.perform(house, m, ANNA, "agree", lanes=LANES) for m in ids[:3]),
        joining.consent(house, joint_id, BORIS, ids[3], agrees=True, reference=None),
        return_exceptions=True,
    )
    assert {await state(house, m) for m in ids[:3]} == {"agreed"}
    found = await seen(house, joint_id)
    assert (found["state"], await kept(house, joint_id)) == ("ended", [])
    assert acts.STATE_LABELS[await state(house, ids[3])] == "待受理"
