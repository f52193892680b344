"""The REST contract: what portals, mediators and analysts rely on."""

import asyncio
import json
import time
import uuid
from typing import Any

import pytest

from app.triage import triage_waiting
from tests.conftest import Client, complaint

FULL = complaint(
    "full-1",
    "11月20日在江城味火锅（光谷店）就餐，锅底里吃出蟑螂，店家拒绝退款。要求退款368元并赔偿。",
    channel="app", event_date="2026-04-20", product="火锅", amount_fen=36800,
    complainant={"name": "张小明", "phone": "13812345678", "city": "武汉市", "district": "洪山区", "address": "珞喻路82号3栋501室"},
    respondents=[{"name": "江城味火锅（光谷店）", "address": "武汉市洪山区珞喻路1号"}], consents={"delegate": True},
)  # fmt: skip


async def test_a_complaint_gets_state_and_track_in_the_answer(client: Client) -> None:
    answer = await client.post("portal", "/v1/complaints", FULL)
    body = answer.json()
    assert answer.status_code == 201
    assert set(body) == {"id", "state", "kind", "matters", "track_label", "due_at", "missing", "next_steps", "handled_jointly"}
    assert (body["state"], body["kind"], body["track_label"]) == ("pending_acceptance", "complaint", "行政联处")
    assert body["due_at"].endswith("T23:59:59+08:00")
    assert answer.headers["location"] == f"/v1/complaints/{body['id']}"


async def test_the_portal_learns_nothing_about_others(client: Client) -> None:
    for n in range(6):
        body = {**FULL, "external_id": f"same-{n}", "complainant": {"name": f"李某{n}", "phone": f"1391234567{n}"}}
        answer = (await client.post("portal", "/v1/complaints", body)).json()
    read = (await client.get("portal", f"/v1/complaints/{answer['id']}")).json()
    listed = (await client.get("portal", "/v1/complaints")).json()
    for told in (answer, read, listed):
        text = json.dumps(told, ensure_ascii=False)
        assert not any(
            word in text for word in ("incident", "complainant_id", "merchant_id", "finding", "evidence_", "bits", "people")
        )


async def test_the_same_body_again_is_the_same_complaint(client: Client) -> None:
    first = await client.post("portal", "/v1/complaints", FULL)
    again = await client.post("portal", "/v1/complaints", FULL)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


async def test_other_content_under_the_same_id_is_a_conflict_that_names_the_fields(client: Client) -> None:
    await client.post("portal", "/v1/complaints", FULL)
    answer = await client.post("portal", "/v1/complaints", {**FULL, "amount_fen": 1, "text": "别的内容，要求退款"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert {e["field"] for e in answer.json()["errors"]} == {"amount_fen", "text"}
    other_source = await client.post("other_portal", "/v1/complaints", {**FULL, "amount_fen": 1})
    assert other_source.status_code == 201


async def test_asynchronous_receipt_is_finished_by_a_worker(client: Client) -> None:
    answer = await client.post("portal", "/v1/complaints", FULL, headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.json()["state"]) == (202, "received")
    assert await triage_waiting(client.house) == 1
    read = (await client.get("portal", f"/v1/complaints/{answer.json()['id']}")).json()
    assert read["state"] == "pending_acceptance"
    assert (await client.post("portal", "/v1/complaints", FULL)).status_code == 200


async def test_a_dry_run_keeps_nothing(client: Client) -> None:
    answer = await client.post("portal", "/v1/complaints?dry_run=true", FULL)
    assert (answer.status_code, answer.json()["track_label"]) == (200, "行政联处")
    assert (await client.get("portal", "/v1/complaints")).json()["items"] == []


async def test_only_number_and_text_are_required(client: Client) -> None:
    answer = (
        await client.post("portal", "/v1/complaints", {"external_id": "bare", "text": "东西坏了", "complainant": {"name": " "}})
    ).json()
    assert {"complainant.name", "complainant.phone", "complainant.address", "respondents.name", "demand"} <= set(
        answer["missing"]
    )


async def test_complaint_and_report_in_one_letter_are_two_matters(client: Client) -> None:
    body = complaint(
        "both",
        "在好再来超市买到过期牛奶，要求退款20元。同时举报该店无证经营，请依法查处违法行为。",
        complainant={"name": "王大伟", "phone": "13711112222"},
    )
    answer = (await client.post("portal", "/v1/complaints", body)).json()
    assert answer["kind"] == "both"
    assert [m["lane"] for m in answer["matters"]] == ["complaint", "report"]
    full = (await client.get("analyst", f"/v1/complaints/{answer['id']}")).json()
    assert len({m["incident_id"] for m in full["matters"]}) == 1
    assert {m["track"] for m in full["matters"]} >= {"clue"}
    # Who mediates does not learn that a report exists.
    mediated = (await client.get("mediator", f"/v1/complaints/{answer['id']}")).json()
    assert [m["lane"] for m in mediated["matters"]] == ["complaint"]


BAD: list[tuple[str, Any, str]] = [
    ("unknown field", {**FULL, "colour": "red"}, "colour"),
    ("nested unknown field", {**FULL, "complainant": {"nam": "x"}}, "complainant.nam"),
    ("wrong type", {**FULL, "amount_fen": "36800"}, "amount_fen"),
    ("float money", {**FULL, "amount_fen": 1.5}, "amount_fen"),
    ("boolean money", {**FULL, "amount_fen": True}, "amount_fen"),
    ("negative money", {**FULL, "amount_fen": -1}, "amount_fen"),
    ("huge money", {**FULL, "amount_fen": 10**30}, "amount_fen"),
    ("number as text", {**FULL, "text": 5}, "text"),
    ("empty id", {**FULL, "external_id": ""}, "external_id"),
    ("blank id", {**FULL, "external_id": "  "}, "external_id"),
    ("empty text", {**FULL, "text": "  \n"}, "text"),
    ("null text", {**FULL, "text": None}, "text"),
    ("long text", {**FULL, "text": "长" * 50_001}, "text"),
    ("NUL", {**FULL, "text": "有\u0000空"}, "text"),
    ("NUL inside", {**FULL, "complainant": {"name": "张\u0000"}}, "complainant.name"),
    ("future date", {**FULL, "event_date": "2999-01-01"}, "event_date"),
    ("old date", {**FULL, "event_date": "1999-12-31"}, "event_date"),
    ("no date", {**FULL, "event_date": "yesterday"}, "event_date"),
    ("date as number", {**FULL, "event_date": 20260101}, "event_date"),
    ("future receipt", {**FULL, "received_at": "2999-01-01T00:00:00+08:00"}, "received_at"),
    ("receipt before all", {**FULL, "received_at": "0001-01-01T00:00:00+14:00"}, "received_at"),
    ("receipt as number", {**FULL, "received_at": 1e300}, "received_at"),
    ("list for object", {**FULL, "complainant": []}, "complainant"),
    ("object for list", {**FULL, "respondents": {}}, "respondents"),
    ("too many respondents", {**FULL, "respondents": [{}] * 21}, "respondents"),
    ("consent as text", {**FULL, "consents": {"delegate": "yes"}}, "consents.delegate"),
    (
        "attachment hash",
        {**FULL, "attachments": [{"name": "a", "size": 1, "sha256": "x", "media_type": "image/png"}]},
        "attachments.0.sha256",
    ),
    ("array", [FULL], "body"),
    ("string", "text", "body"),
    ("missing text", {"external_id": "x"}, "text"),
]


@pytest.mark.parametrize(("body", "field"), [(b, f) for _, b, f in BAD], ids=[n for n, _, _ in BAD])
async def test_bad_input_names_the_field_and_loses_nothing(client: Client, body: Any, field: str) -> None:
    answer = await client.post("portal", "/v1/complaints", body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(e["field"] == field for e in answer.json()["errors"]), answer.text
    assert (await client.get("portal", "/v1/complaints")).json()["items"] == []


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400), (b'{"external_id": "\xff\xfe"}', 400), (b"", 422), (b"nonsense", 400), (b"[" * 100_000, 400),
        (b'{"external_id": "a", "text": "\\ud800"}', 422), (b'{"external_id": "\\udfff", "text": "a"}', 422),
        (b'{"external_id": "a", "text": "b", "amount_fen": NaN}', 422), (b'{"text": "' + b"a" * 10_000_000 + b'"}', 413),
    ],
    ids=["cut", "not UTF-8", "empty", "no JSON", "deep", "lone surrogate", "lone surrogate in id", "NaN", "10 MB"],
)  # fmt: skip
async def test_undecodable_bodies_are_the_callers_problem(client: Client, raw: bytes, status: int) -> None:
    answer = await client.call("portal", "POST", "/v1/complaints", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] or answer.json()["detail"]


async def test_a_batch_answers_item_by_item(client: Client) -> None:
    items = [complaint("b1"), {"external_id": "b2"}, complaint("b3", text="\u0000"), complaint("b1"), complaint("b4"), 7]
    answer = (await client.post("portal", "/v1/complaints/batch", {"items": items})).json()
    assert [r["status"] for r in answer["results"]] == [201, 422, 422, 200, 201, 422]
    assert answer["results"][1]["errors"][0]["field"] == "text"
    assert (answer["received"], answer["rejected"]) == (3, 3)
    later = (await client.post("portal", "/v1/complaints/batch", [complaint("b5")], headers={"Prefer": "respond-async"})).json()
    assert later["results"][0]["status"] == 202
    assert (
        await client.post("portal", "/v1/complaints/batch", {"items": [complaint(f"x{n}") for n in range(1001)]})
    ).status_code == 422


async def test_who_may_do_what(client: Client) -> None:
    answer = (await client.post("portal", "/v1/complaints", FULL)).json()
    path = f"/v1/complaints/{answer['id']}"
    assert (await client.http.get(path)).status_code == 401
    assert (await client.http.get(path, headers={"Authorization": "Bearer nonsense"})).status_code == 401
    assert (await client.get("other_portal", path)).status_code == 404
    assert (await client.get("yichang", path)).status_code == 404
    assert (await client.post("mediator", "/v1/complaints", FULL)).status_code == 403
    assert (await client.get("portal", "/v1/reports/incidents")).status_code == 403
    assert (await client.post("portal", "/v1/queues/t3/claim", {})).status_code == 403
    assert (await client.get("mediator", f"/v1/complaints/{uuid.uuid4()}")).status_code == 404
    assert (await client.get("mediator", "/v1/complaints/not-an-id")).status_code == 422


async def test_lists_page_by_cursor_without_gap_or_repeat(client: Client) -> None:
    await client.post("portal", "/v1/complaints/batch", [complaint(f"p{n}") for n in range(25)])
    seen: list[str] = []
    cursor = None
    while True:
        page = (
            await client.get("portal", "/v1/complaints", params={"limit": 10, **({"cursor": cursor} if cursor else {})})
        ).json()
        seen += [i["external_id"] for i in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 25
    assert (await client.get("portal", "/v1/complaints", params={"cursor": "garbage"})).status_code == 422
    one = (await client.get("analyst", "/v1/complaints", params={"external_id": "p7"})).json()["items"]
    assert [i["external_id"] for i in one] == ["p7"]


async def test_a_mediators_day(client: Client) -> None:
    posted = (await client.post("portal", "/v1/complaints", FULL)).json()
    queues = {q["id"]: q for q in (await client.get("mediator", "/v1/queues")).json()["items"]}
    assert queues["t3"]["ready"] == 1
    claimed = (await client.post("mediator", "/v1/queues/420111.t3/claim", {"limit": 5, "lease_seconds": 60})).json()["items"]
    item = claimed[0]
    assert item["matter"]["complaint_id"] == posted["id"]
    assert item["matter"]["reasons"][0]["text"]
    assert (await client.post("second", "/v1/queues/t3/claim", {})).json()["items"] == []
    token = {"lease_token": item["lease_token"]}
    path = f"/v1/work-items/{item['id']}"
    held = (await client.get("mediator", path)).json()
    assert held["complaint"]["complainant"]["phone"] == "13812345678"
    stranger = (await client.get("second", path)).json()
    assert stranger["complaint"]["complainant"]["phone"] == "138****5678"
    assert "lease_token" not in stranger
    assert [i["id"] for i in (await client.get("mediator", "/v1/work-items?mine=true")).json()["items"]] == [item["id"]]
    assert (await client.post("mediator", f"{path}/renew", {**token, "lease_seconds": 120})).status_code == 200
    assert (await client.post("second", f"{path}/renew", token)).status_code == 409
    assert (
        await client.post("mediator", f"{path}/finish", {"lease_token": str(uuid.uuid4()), "outcome": "agreement"})
    ).status_code == 409
    assert (await client.post("mediator", f"{path}/finish", {**token, "outcome": "magic"})).status_code == 422
    accepted = (await client.post("mediator", f"/v1/matters/{posted['matters'][0]['id']}/accept")).json()
    assert (accepted["state"], accepted["clock"]) == ("accepted", "complaint.mediate")
    done = await client.post(
        "mediator", f"{path}/finish", {**token, "outcome": "agreement", "recovered_fen": 36800, "satisfied": True}
    )
    assert done.status_code == 200
    assert (await client.post("mediator", f"{path}/finish", {**token, "outcome": "agreement"})).status_code == 409
    full = (await client.get("analyst", f"/v1/complaints/{posted['id']}")).json()["matters"][0]
    assert (full["state"], full["outcome"]) == ("agreed", "agreement")
    assert [h["state"] for h in full["history"]] == ["pending_acceptance", "accepted", "agreed"]
    assert all(c["stopped_at"] for c in full["clocks"])
    assert {g["name"]: g["state"] for g in full["gates"]}["accepted"] == "passed"


async def test_a_machine_may_not_finish_or_accept(client: Client) -> None:
    posted = (await client.post("portal", "/v1/complaints", FULL)).json()
    assert (await client.post("robot", f"/v1/matters/{posted['matters'][0]['id']}/accept")).status_code == 403
    item = (await client.post("robot", "/v1/queues/t3/claim", {})).json()["items"][0]
    answer = await client.post(
        "robot", f"/v1/work-items/{item['id']}/finish", {"lease_token": item["lease_token"], "outcome": "agreement"}
    )
    assert answer.status_code == 403
    released = await client.post("robot", f"/v1/work-items/{item['id']}/release", {"lease_token": item["lease_token"]})
    assert released.json()["state"] == "ready"


async def test_a_failed_mediation_records_the_acceptance_before_it(client: Client) -> None:
    await client.post("portal", "/v1/complaints", FULL)
    item = (await client.post("mediator", "/v1/queues/t3/claim", {})).json()["items"][0]
    await client.post(
        "mediator",
        f"/v1/work-items/{item['id']}/finish",
        {"lease_token": item["lease_token"], "outcome": "no_agreement", "note": "双方各执一词"},
    )
    matter = (await client.get("analyst", f"/v1/complaints/{item['matter']['complaint_id']}")).json()["matters"][0]
    assert [h["state"] for h in matter["history"]] == ["pending_acceptance", "accepted", "terminated"]
    assert "第二十三条第一款第三项" in matter["history"][-1]["note"]


async def test_return_goes_to_the_intake_desk_only(client: Client) -> None:
    await client.post("portal", "/v1/complaints", FULL)
    item = (await client.post("mediator", "/v1/queues/t3/claim", {})).json()["items"][0]
    answer = await client.post(
        "mediator", f"/v1/work-items/{item['id']}/return", {"lease_token": item["lease_token"], "reason": "不属本辖区"}
    )
    assert answer.json()["queue_id"] == "intake"
    assert (await client.post("mediator", "/v1/queues/intake/claim", {})).status_code == 403
    assert len((await client.post("intake", "/v1/queues/intake/claim", {})).json()["items"]) == 1


async def test_queues_that_are_not_there_and_districts_that_are_not_yours(client: Client) -> None:
    await client.post("portal", "/v1/complaints", FULL)
    assert (await client.post("mediator", "/v1/queues/t9/claim", {})).status_code == 404
    assert (await client.post("mediator", "/v1/queues/%00/claim", {})).status_code in (404, 422)
    assert (await client.post("yichang", "/v1/queues/420111.t3/claim", {})).status_code == 403
    assert (await client.post("yichang", "/v1/queues/t3/claim", {})).json()["items"] == []
    assert (await client.post("mediator", "/v1/queues/t3/claim", {"limit": 0})).status_code == 422


async def test_withdrawal_needs_nobody_else_and_takes_the_item_along(client: Client) -> None:
    posted = (await client.post("portal", "/v1/complaints", FULL)).json()
    item = (await client.post("mediator", "/v1/queues/t3/claim", {})).json()["items"][0]
    assert (await client.post("portal", f"/v1/complaints/{posted['id']}/withdraw")).json()["state"] == "withdrawn"
    lost = await client.post(
        "mediator", f"/v1/work-items/{item['id']}/finish", {"lease_token": item["lease_token"], "outcome": "agreement"}
    )
    assert lost.status_code == 409
    assert (await client.post("portal", f"/v1/complaints/{posted['id']}/withdraw")).status_code == 409


async def test_consent_decides_a_gate_once(client: Client) -> None:
    body = complaint(
        "c1", "定金2000元商家不退，要求退还定金。", complainant={"name": "赵一鸣", "phone": "13700001111"}, consents={}
    )
    posted = (await client.post("portal", "/v1/complaints", {**body, "amount_fen": 1_000_000})).json()
    assert posted["track_label"] == "社会联调"
    path = f"/v1/complaints/{posted['id']}/consent"
    assert (await client.post("portal", path, {"party": "merchant", "agrees": True})).status_code == 403
    assert (await client.post("portal", path, {"party": "consumer", "agrees": True})).json()["gates"] == ["consumer_consent"]
    assert (await client.post("portal", path, {"party": "consumer", "agrees": False})).status_code == 409
    assert (await client.post("intake", path, {"party": "merchant", "agrees": True})).json()["gates"] == ["merchant_consent"]
    gates = (await client.get("analyst", f"/v1/complaints/{posted['id']}")).json()["matters"][0]["gates"]
    assert {g["name"]: (g["state"], g["actor"]) for g in gates} == {
        "accepted": ("open", None), "consumer_consent": ("passed", "portal"), "merchant_consent": ("passed", "intake"),
    }  # fmt: skip


async def test_people_incidents_merchants_and_reports(client: Client) -> None:
    for n in range(4):
        body = {
            **FULL,
            "external_id": f"m{n}",
            "complainant": {"name": f"孙大{'东南西北'[n]}", "phone": f"1361234567{n}", "district": "洪山区"},
        }
        answer = (await client.post("portal", "/v1/complaints", body)).json()
    for n in range(3):
        await client.post(
            "portal",
            "/v1/complaints",
            complaint(
                f"r{n}", f"在{'甲乙丙'[n]}记商行买的手机坏了，要求退货", complainant={"name": "周正中", "phone": "13500001111"}
            ),
        )
    matter = (await client.get("analyst", f"/v1/complaints/{answer['id']}")).json()["matters"][0]
    incident = (await client.get("analyst", f"/v1/incidents/{matter['incident_id']}")).json()
    assert (incident["complaints"], incident["people"]) == (4, 4)
    assert all(m["evidence"] for m in incident["members"])
    assert "people_all" in incident
    assert "people_all" not in (await client.get("mediator", f"/v1/incidents/{matter['incident_id']}")).json()
    merchant = (await client.get("analyst", f"/v1/merchants/{matter['merchant_id']}")).json()
    assert merchant["complaints"] == 4
    person = (await client.get("analyst", f"/v1/complainants/{matter['parties'][0]['complainant_id']}")).json()
    assert person["complaints"] == 1
    assert "孙大" not in json.dumps(person, ensure_ascii=False)
    report = (await client.get("analyst", "/v1/reports/incidents?min_people=3")).json()
    assert [(i["id"], i["people"]) for i in report["items"]] == [(matter["incident_id"], 4)]
    repeat = (await client.get("analyst", "/v1/reports/repeat-complainants")).json()
    assert [i["complaints"] for i in repeat["items"]] == [3]
    trends = (await client.get("analyst", "/v1/reports/trends?by=problem&step=week")).json()
    assert sum(g["received"] for g in trends["groups"]) == 7
    tracks = (await client.get("analyst", "/v1/reports/tracks")).json()
    assert sum(t["received"] for t in tracks["items"]) == 7
    assert tracks["definition"]
    csv = await client.get("analyst", "/v1/reports/incidents?format=csv")
    assert csv.text.startswith("\ufeffid,title")
    xlsx = await client.get("analyst", "/v1/reports/tracks?format=xlsx")
    assert xlsx.content[:2] == b"PK"
    assert (await client.get("analyst", "/v1/reports/incidents?from=2026-05-01&to=2026-01-01")).status_code == 422
    assert (await client.get("analyst", "/v1/reports/trends?by=name")).status_code == 422
    for path in ("complainants", "incidents", "merchants"):
        assert (await client.get("analyst", f"/v1/{path}/{uuid.uuid4()}")).status_code == 404


async def test_codes_health_metrics_and_openapi(client: Client) -> None:
    lists = {i["list"] for i in (await client.get("portal", "/v1/codes")).json()["items"]}
    assert {"goods", "problem", "demand", "district", "track", "non_acceptance"} <= lists
    goods = (await client.get("portal", "/v1/codes/goods")).json()["items"]
    assert all(c["source"] and c["as_of"] for c in goods)
    assert (await client.get("portal", "/v1/codes/nothing")).status_code == 404
    assert (await client.http.get("/healthz")).json()["status"] == "ok"
    assert (await client.http.get("/readyz")).status_code == 200
    assert "triage_untriaged_letters 0.0" in (await client.http.get("/metrics")).text
    schema = (await client.http.get("/openapi.json")).json()
    posting = schema["paths"]["/v1/complaints"]["post"]
    assert {"200", "201", "202", "409", "413", "422"} <= set(posting["responses"])
    assert schema["components"]["schemas"]["Complaint"]["examples"]
    assert [
        f"{m} {path}" for path, routes in schema["paths"].items() for m, r in routes.items() if not r.get("description")
    ] == []
    waits = ("/v1/matters/{matter_id}/{act}", "/v1/matters/{matter_id}/repeat", "/v1/work-items/{item_id}/extend")
    assert all("202" in schema["paths"][path]["post"]["responses"] for path in waits)
    assert "201" in schema["paths"]["/v1/absences"]["post"]["responses"]


async def test_a_copy_through_another_channel_is_one_matter_with_one_clock(client: Client) -> None:
    first = (await client.post("portal", "/v1/complaints", FULL)).json()
    copy = {**FULL, "external_id": "copy", "channel": "hotline12345"}
    second = (await client.post("other_portal", "/v1/complaints", copy)).json()
    assert second["state"] == "merged"
    assert second["due_at"] is None
    full = (await client.get("analyst", f"/v1/complaints/{second['id']}")).json()["matters"][0]
    original = (await client.get("analyst", f"/v1/complaints/{first['id']}")).json()["matters"][0]
    assert (full["copy_of"], full["incident_id"]) == (original["id"], original["incident_id"])
    assert [f["code"] for f in full["findings"]] == ["R1"]
    other_order = {**FULL, "external_id": "new", "order_no": "B2", "amount_fen": 999}
    third = (await client.post("portal", "/v1/complaints", other_order)).json()
    assert third["state"] == "pending_acceptance"


async def test_concurrent_posts_of_one_complaint_are_one(client: Client) -> None:
    answers = await asyncio.gather(*(client.post("portal", "/v1/complaints", FULL) for _ in range(100)))
    assert {a.status_code for a in answers} <= {200, 201, 202}
    assert sum(a.status_code == 201 for a in answers) == 1
    assert len({a.json()["id"] for a in answers}) == 1


async def test_a_text_that_names_one_place_in_many_ways_joins_its_incident(client: Client) -> None:
    text = "我们丽景新城业主反映，丽景新城小区旁、丽景新城广场边的搅拌站粉尘污染丽景新城，要求赔偿"
    answers = [
        (
            await client.post(
                "portal",
                "/v1/complaints",
                complaint(f"place{n}", text + "。" * n, complainant={"name": f"郑{'甲乙丙'[n]}光", "phone": f"1370000111{n}"}),
            )
        )
        for n in range(3)
    ]
    assert [a.status_code for a in answers] == [201] * 3


@pytest.mark.parametrize(
    "path",
    [
        "/v1/complaints?state=%00", "/v1/complaints?external_id=%00", "/v1/codes/%00", "/v1/reports/incidents?source=%00",
        "/v1/reports/incidents?from=0001-01-01", "/v1/reports/trends?to=9999-12-31", "/v1/reports/incidents?min_people=99999999999999999999",
        "/v1/complaints?cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwgNV0", "/v1/complaints?cursor=" + "W" * 5000,
        "/v1/complaints?cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwgIjAxOWFhMGMwLTAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMSJd",
        "/v1/complaints?limit=0", "/v1/incidents/019aa0c0-0000-7000-8000-000000000001?limit=99999999999", "/v1/reports/tracks?district=x",
    ],
)  # fmt: skip
async def test_odd_addresses_are_the_callers_problem(client: Client, path: str) -> None:
    answer = await client.get("analyst", path)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


async def test_a_lone_surrogate_in_a_batch_spoils_nothing(client: Client) -> None:
    raw = b'[{"external_id": "\\ud800", "text": "a"}, {"external_id": "ok", "text": "\u8981\u6c42\u9000\u6b3e"}]'
    answer = await client.call(
        "portal", "POST", "/v1/complaints/batch", content=raw, headers={"Content-Type": "application/json"}
    )
    assert [r["status"] for r in answer.json()["results"]] == [422, 201]


async def test_longest_texts_cost_no_seconds(client: Client) -> None:
    for n, text in enumerate(("测" * 50_000, "1" * 50_000, "a@" * 25_000, "在" * 50_000)):
        begun = time.perf_counter()
        assert (await client.post("portal", "/v1/complaints", complaint(f"long{n}", text))).status_code in (201, 202)
        assert time.perf_counter() - begun < 2


async def test_what_mediators_of_another_place_see(client: Client) -> None:
    posted = (await client.post("portal", "/v1/complaints", FULL)).json()
    matter = (await client.get("analyst", f"/v1/complaints/{posted['id']}")).json()["matters"][0]
    for path in (
        f"complainants/{matter['parties'][0]['complainant_id']}",
        f"incidents/{matter['incident_id']}",
        f"merchants/{matter['merchant_id']}",
    ):
        assert (await client.get("mediator", f"/v1/{path}")).status_code == 200
        assert (await client.get("yichang", f"/v1/{path}")).status_code == 404
    nowhere = (await client.post("portal", "/v1/complaints", complaint("nowhere", "买的手机坏了，要求退货退款"))).json()
    assert (await client.get("yichang", f"/v1/complaints/{nowhere['id']}")).status_code == 404
    assert (await client.post("yichang", f"/v1/matters/{nowhere['matters'][0]['id']}/accept")).status_code == 404
    assert (await client.get("mediator", f"/v1/complaints/{nowhere['id']}")).status_code == 200
    waiting = (
        await client.post("portal", "/v1/complaints", complaint("wait", "举报某店无证经营"), headers={"Prefer": "respond-async"})
    ).json()
    assert (await client.get("mediator", f"/v1/complaints/{waiting['id']}")).status_code == 404
    assert (await client.get("intake", f"/v1/complaints/{waiting['id']}")).status_code == 200


async def test_mediators_do_not_learn_of_reports(client: Client) -> None:
    body = complaint("rep", "举报好又多商行销售过期食品，请依法查处违法行为", respondents=[{"name": "武汉市好又多商行"}])
    report = (await client.post("portal", "/v1/complaints", body)).json()
    assert report["kind"] == "report"
    matter = (await client.get("analyst", f"/v1/complaints/{report['id']}")).json()["matters"][0]
    assert (await client.get("mediator", f"/v1/incidents/{matter['incident_id']}")).status_code == 404
    assert (await client.get("mediator", f"/v1/merchants/{matter['merchant_id']}")).status_code == 404
    assert (await client.get("mediator", f"/v1/complaints/{report['id']}")).status_code == 404
    assert "clue" not in {q["id"] for q in (await client.get("mediator", "/v1/queues")).json()["items"]}


async def test_the_same_words_about_another_thing_are_no_copy(client: Client) -> None:
    one = {
        **complaint("t0", "购买的商品存在质量问题，与商家协商未果，要求退货退款"), "complainant": FULL["complainant"],
        "respondents": FULL["respondents"], "product": "电视机", "lot_no": "L1", "event_date": "2026-01-01",
    }  # fmt: skip
    await client.post("portal", "/v1/complaints", one)
    changes = ({"product": "洗衣机"}, {"lot_no": "L2"}, {"event_date": "2026-03-03"}, {"respondents": [{"name": "另一家商行"}]})
    for n, change in enumerate(changes):
        other = (await client.post("portal", "/v1/complaints", {**one, **change, "external_id": f"t{n + 1}"})).json()
        assert other["state"] == "pending_acceptance", change
    assert (await client.post("portal", "/v1/complaints", {**one, "external_id": "again"})).json()["state"] == "merged"


async def test_an_old_receipt_starts_no_clock_and_stops_no_worker(client: Client) -> None:
    answer = await client.post(
        "portal", "/v1/complaints", {**FULL, "event_date": None, "received_at": "2019-06-01T10:00:00+08:00"}
    )
    assert (answer.status_code, answer.json()["due_at"]) == (201, None)


async def test_finish_and_withdraw_at_once_end_the_matter_once(client: Client) -> None:
    for n in range(12):
        body = {**FULL, "external_id": f"race{n}", "order_no": f"R{n}"}
        posted = (await client.post("portal", "/v1/complaints", body)).json()
        item = (await client.post("mediator", "/v1/queues/t3/claim", {})).json()["items"][0]
        finish = client.post(
            "mediator", f"/v1/work-items/{item['id']}/finish", {"lease_token": item["lease_token"], "outcome": "agreement"}
        )
        answers = await asyncio.gather(finish, client.post("portal", f"/v1/complaints/{posted['id']}/withdraw"))
        assert sorted(a.status_code for a in answers) == [200, 409]


async def test_spreadsheets_get_no_formulas(client: Client) -> None:
    assert (await client.post("portal", "/v1/complaints", {**FULL, "channel": '=HYPERLINK("http://x")'})).status_code == 422
    for n in range(3):
        body = {
            **FULL,
            "external_id": f"f{n}",
            "respondents": [{"name": "=cmd\x0b味火锅有限公司"}],
            "complainant": {"name": f"周{'一二三'[n]}方", "phone": f"1360000111{n}"},
        }
        assert (await client.post("portal", "/v1/complaints", body)).status_code == 201
    for form in ("csv", "xlsx"):
        answer = await client.get("analyst", f"/v1/reports/incidents?format={form}")
        assert answer.status_code == 200
    assert ",=cmd" not in (await client.get("analyst", "/v1/reports/incidents?format=csv")).text
