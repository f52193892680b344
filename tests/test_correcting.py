"""What a person reads instead binds: fields, lane, terms, track, work; and becomes a label."""

import json
import uuid
from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from app import codes, correcting
from tests.conftest import Client, complaint

DISPUTE = "11月20日在江城味火锅就餐368元，锅底里吃出蟑螂，店家拒绝退款。要求退款并赔偿。"
QUESTION = "请问个体户办理营业执照需要哪些材料，多久能办好？"


async def posted(client: Client, text: str, external_id: str = "c1", **values: Any) -> dict[str, Any]:
    answer = (await client.post("portal", "/v1/complaints", complaint(external_id, text, **values))).json()
    return {**answer["matters"][0], "complaint": answer["id"]}


async def seen(client: Client, complaint_id: str, who: str = "supervisor") -> list[dict[str, Any]]:
    return list((await client.get(who, f"/v1/complaints/{complaint_id}")).json()["matters"])


async def test_a_correction_binds_and_keeps_what_was_read(client: Client) -> None:
    matter = await posted(client, DISPUTE)
    answer = await client.post(
        "mediator", f"/v1/matters/{matter['id']}/correct-reading",
        {"problem": "质量", "demands": ["退赔费用"], "dangers": [{"type": "injury", "severity": "high"}], "note": "来电核实，电话13812345678"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    now = (await seen(client, matter["complaint"]))[0]
    assert (now["problem"], now["demands"]) == ("质量", ["退赔费用"])
    assert [(d["type"], d["severity"], d["span"]) for d in now["reading"]["dangers"]] == [("injury", "high", None)]
    assert now["reading"]["by"]["problem"] == "person"
    assert (now["decision"]["kind"], now["decision"]["actor"]) == ("correction", "mediator")
    assert now["decision"]["facts"]["harm"] == "high"
    async with client.house.database.connection() as connection:
        kept = await connection.fetchrow("SELECT * FROM reading_correction")
        initial = await connection.fetchval(
            "SELECT count(*) FROM decision WHERE matter_id = $1 AND kind = 'initial'", kept["matter_id"]
        )
        assert kept["before"]["problem"] == "食品安全"
        assert kept["after"]["problem"] == "质量"
        assert "13812345678" not in kept["note"]
        assert initial == 1
        assert await connection.fetchval("SELECT count(*) FROM audit_entry WHERE act = 'correct_reading'") == 1


async def test_a_reason_shows_the_words_it_rests_on_and_a_person_may_read_them_otherwise(client: Client) -> None:
    """What is stored is spans; the words are cut from the letter for whoever may read it."""
    said = "11月18日在江城云锦女装买的羊绒衫，专柜验过不是正品，店家以假充真，花了880元，要求退货退款。"
    matter = await posted(client, said)
    first = (await seen(client, matter["complaint"]))[0]
    assert (first["track"], first["decision"]["rule"]) == ("t3", "R19")
    spans = first["decision"]["reasons"][0]["spans"]
    assert [(s["fact"], s["type"]) for s in spans] == [("suspected_fraud", "suspected_fraud")] * 2
    assert [s["word"] for s in spans] == ["专柜验过不是正品", "以假充真"]
    assert [s["word"] for s in first["reading"]["signals"]] == ["专柜验过不是正品", "以假充真"]
    async with client.house.database.connection() as connection:
        stored = await connection.fetchrow("SELECT reasons, evidence FROM decision WHERE matter_id = $1", uuid.UUID(matter["id"]))
        assert "以假充真" not in json.dumps([stored["reasons"], stored["evidence"]], ensure_ascii=False)
    path = f"/v1/matters/{matter['id']}/correct-reading"
    assert (await client.post("mediator", path, {"signals": ["fraud"]})).status_code == 422
    answer = await client.post("mediator", path, {"signals": ["mediation_wanted"]})
    assert answer.status_code == 200, answer.text
    now = (await seen(client, matter["complaint"]))[0]
    assert (now["track"], now["decision"]["rule"]) == ("t2", "R26")
    assert (now["decision"]["facts"]["suspected_fraud"], now["decision"]["facts"]["mediation_wanted"]) == (False, True)
    assert [(s["type"], s["span"]) for s in now["reading"]["signals"]] == [("mediation_wanted", None)]


async def test_an_enquiry_that_is_a_dispute_gets_its_case_with_the_term_from_receipt(client: Client) -> None:
    matter = await posted(client, QUESTION, received_at="2026-11-16T09:00:00+08:00")
    assert matter["lane"] == "other"
    answer = await client.post("intake", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "complaint"})
    assert answer.json()["lane"] == "complaint"
    now = (await seen(client, matter["complaint"]))[0]
    assert (now["lane"], now["state"]) == ("complaint", "pending_acceptance")
    running = [c for c in now["clocks"] if c["stopped_at"] is None]
    assert [(c["key"], c["due_on"]) for c in running] == [("complaint.accept", "2026-11-25")]
    claimed = (await client.post("mediator", f"/v1/queues/{answer.json()['track']}/claim")).json()["items"]
    assert [i["matter"]["id"] for i in claimed] == [matter["id"]]


async def test_a_complaint_that_is_a_report_too_is_split(client: Client) -> None:
    matter = await posted(client, DISPUTE)
    body = {"kind": "both"}
    assert (await client.post("mediator", f"/v1/matters/{matter['id']}/correct-reading", body)).status_code == 403
    answer = await client.post("intake", f"/v1/matters/{matter['id']}/correct-reading", body)
    assert answer.status_code == 200, answer.text
    lanes = [(m["lane"], m["state"]) for m in await seen(client, matter["complaint"])]
    assert lanes == [("complaint", "pending_acceptance"), ("report", "verifying")]
    twin = (await seen(client, matter["complaint"]))[1]
    assert {c["key"] for c in twin["clocks"]} == {"clue.verify"}
    assert [m["lane"] for m in await seen(client, matter["complaint"], "mediator")] == ["complaint"]
    assert [i["matter"]["id"] for i in (await client.post("supervisor", "/v1/queues/clue/claim")).json()["items"]] == [twin["id"]]
    again = await client.post("intake", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "complaint"})
    assert again.status_code == 409


async def test_an_enquiry_that_is_both_gets_both_terms(client: Client) -> None:
    matter = await posted(client, QUESTION)
    answer = await client.post("intake", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "both"})
    assert answer.json()["lane"] == "complaint"
    both = await seen(client, matter["complaint"])
    assert [(m["lane"], [c["key"] for c in m["clocks"] if c["stopped_at"] is None]) for m in both] == [
        ("complaint", ["complaint.accept"]), ("report", ["clue.verify"]),
    ]  # fmt: skip


async def test_mediators_learn_nothing_of_the_report_from_a_correction(client: Client) -> None:
    matter = await posted(client, DISPUTE)
    await client.post("intake", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "both"})
    answer = await client.post(
        "mediator", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "complaint", "problem": "质量"}
    )
    assert answer.status_code == 200, answer.text
    shown = json.dumps([answer.json(), await seen(client, matter["complaint"], "mediator")], ensure_ascii=False)
    assert '"kind": "both"' not in shown
    assert '"model": "both"' not in shown
    assert "kinds:report" not in shown


async def test_a_correction_moves_the_item_to_its_new_urgency(client: Client) -> None:
    matter = await posted(client, DISPUTE)
    await client.post("intake", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "emergency"})
    async with client.house.database.connection() as connection:
        item = await connection.fetchrow("SELECT queue_id, priority, due_at FROM work_item")
    assert (item["queue_id"], item["priority"] >= 4, item["due_at"]) == ("emergency", True, None)


async def test_a_correction_to_emergency_calls(client: Client) -> None:
    matter = await posted(client, DISPUTE)
    await client.post("intake", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "emergency"})
    waiting = (await client.get("mediator", "/v1/emergencies")).json()["items"]
    assert [w["matter_id"] for w in waiting] == [matter["id"]]


async def test_a_live_lease_is_flagged_not_touched(client: Client) -> None:
    matter = await posted(client, DISPUTE)
    item = (await client.post("mediator", f"/v1/queues/{matter['track']}/claim")).json()["items"][0]
    answer = await client.post("second", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "emergency"})
    assert answer.status_code == 200
    held = (await client.get("mediator", f"/v1/work-items/{item['id']}")).json()
    assert (held["queue_id"], held["holder"], held["flags"]) == (matter["track"], "mediator", ["rerouted:emergency"])
    renewed = await client.post("mediator", f"/v1/work-items/{item['id']}/renew", {"lease_token": item["lease_token"]})
    assert renewed.status_code == 200


async def test_a_legal_act_can_not_be_read_away(client: Client) -> None:
    matter = await posted(client, DISPUTE)
    await client.post("mediator", f"/v1/matters/{matter['id']}/accept")
    answer = await client.post("mediator", f"/v1/matters/{matter['id']}/correct-reading", {"kind": "enquiry"})
    assert answer.status_code == 409
    assert "kind" in answer.json()["detail"]
    assert (await client.post("mediator", f"/v1/matters/{matter['id']}/correct-reading", {"problem": "质量"})).status_code == 200


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"kind": "nonsense"}, "kind"),
        ({"goods": "火箭"}, "goods"),
        ({"problem": "不存在"}, "problem"),
        ({"demands": ["退货", "月亮"]}, "demands"),
        ({"dangers": [{"type": "dragon"}]}, "dangers.0.type"),
        ({"dangers": [{"type": "injury", "severity": "huge"}]}, "dangers.0.severity"),
        ({}, "body"),
        ({"nosuch": 1}, "nosuch"),
        ({"department": "张三的电话"}, "department"),
    ],
)
async def test_what_is_of_no_list_is_named(client: Client, body: dict[str, Any], named: str) -> None:
    matter = await posted(client, DISPUTE)
    answer = await client.post("mediator", f"/v1/matters/{matter['id']}/correct-reading", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == named


async def test_who_may_correct(client: Client) -> None:
    matter = await posted(client, DISPUTE)
    body = {"problem": "质量"}
    path = f"/v1/matters/{matter['id']}/correct-reading"
    statuses = {who: (await client.post(who, path, body)).status_code for who in ("portal", "analyst", "robot", "yichang")}
    assert statuses == {"portal": 403, "analyst": 403, "robot": 403, "yichang": 404}
    report = await posted(client, "举报武昌区某小作坊无照经营，请依法查处", "r1")
    assert (await client.post("mediator", f"/v1/matters/{report['id']}/correct-reading", body)).status_code == 404


async def test_corrections_become_labels_without_personal_data(client: Client) -> None:
    matter = await posted(client, DISPUTE + "我叫张小明，电话13812345678")
    for problem in ("质量", "合同"):
        await client.post("mediator", f"/v1/matters/{matter['id']}/correct-reading", {"problem": problem})
    found = await correcting.labels(client.house, actor="test")
    assert [(x["problem"], x["kind"]) for x in found] == [("合同", "complaint")]
    assert "13812345678" not in found[0]["text"]
    assert "张小明" not in found[0]["text"]


async def test_the_operators_category_is_a_hint_and_its_disagreement_a_finding(client: Client) -> None:
    async with client.house.database.transaction() as connection:
        table = [["from_list", "from_code", "to_list", "to_code"], ["12345.goods", "A07", "goods", "服装鞋帽"]]
        assert await codes.load_file(connection, table, source="test", as_of=date(2026, 11, 1)) == (0, 1)
    await client.house.refresh()
    matter = await posted(client, DISPUTE, categories={"goods": "A07", "problem": "投诉问题->其他投诉问题"})
    now = (await seen(client, matter["complaint"]))[0]
    assert now["goods"] == "餐饮和住宿"
    evidence = [f["evidence"] for f in now["findings"] if f["code"] == "category"]
    assert evidence == [{"field": "goods", "operator": "服装鞋帽", "read": "餐饮和住宿"}]


@pytest.mark.parametrize(
    ("name", "filed", "code"),
    [
        ("goods", "商品（产品）->家用电器->空调", "家用电器"),
        ("goods", "服务->餐饮和住宿服务->餐饮服务", "餐饮和住宿"),
        ("problem", "投诉问题类别->质量->不合格", "质量"),
        ("problem", "价格投诉", "价格"),
        ("problem", "其他投诉问题", "其他投诉问题"),
        ("goods", "不知道", None),
        ("goods", "", None),
    ],
)
def test_categories_of_others_are_found_by_their_path(name: str, filed: str, code: str | None) -> None:
    assert codes.own_code(name, filed, {}) == code


async def test_code_lists_of_ones_own_carry_source_and_date(client: Client) -> None:
    async with client.house.database.transaction() as connection:
        table = [
            ["list", "code", "name", "parent"],
            ["12345.problem", "0101", "产品质量", ""],
            ["12345.problem", "010101", "开裂", "0101"],
        ]
        assert await codes.load_file(connection, table, source="某市12345", as_of=date(2026, 11, 1)) == (2, 0)
        entries = await codes.entries(connection, "12345.problem")
    assert [(e["code"], e["parent"], e["source"]) for e in entries] == [
        ("0101", None, "某市12345"),
        ("010101", "0101", "某市12345"),
    ]


def test_help_names_every_command() -> None:
    from app.cli import app

    told = CliRunner().invoke(app, ["--help"]).output
    assert all(name in told for name in ("read", "train", "evaluate", "codes"))
