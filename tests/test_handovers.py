"""Matters in others' hands, end to end with a partner's real server: out by signed webhooks, status in by its token; what a word does to a
matter, what it never does, and what nobody learns by it."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from app import audit, deliveries, handing, handovers, rerouting
from app.calendar import local_day
from app.errors import Conflict
from app.handovers import Status, judge
from app.identity import Principal, new_id
from app.triage import House
from app.worker import deliver
from tests.conftest import Client, complaint
from tests.partner_server import PartnerServer, Works
from tests.test_acts import ANNA, LANES, matter, put
from tests.test_directories import code

PERSON = {
    "name": "欧阳致远",
    "phone": "13987650123",
    "id_no": "420106199003077213",
    "wechat": "ouyang_zy88",
    "address": "东湖路159号7栋1203室",
}
SAID = "身份证420106199003077213，在荣沐轩餐饮买的储值卡不能使用，电话13987650123，商家拒绝，要求退款300元"
BOTH = "在荣沐轩餐饮就餐，多收了300元，要求退款；另举报该店使用过期食材，请依法查处。"
REPORT = "举报武昌区某小作坊无照经营，老板让我们用工业盐，我是店里的欧阳致远，请依法查处"
TODAY = local_day(datetime.now(UTC))


@dataclass
class Town:
    """The service on a port of its own, as partners reach it."""

    client: Client
    address: str
    servers: list[PartnerServer]

    async def partner(self, kind: str, works: Works | None = None, **more: Any) -> tuple[PartnerServer, str]:
        server = PartnerServer(self.address, works)
        self.servers.append(server)
        body = {"kind": kind, "name": f"某{kind}", "url": server.url, **more}
        made = await self.client.post("admin", "/v1/partners", body)
        assert made.status_code == 201, made.text
        server.token, server.secret = made.json()["token"], made.json()["secret"]
        return server, made.json()["id"]

    async def told(self, *servers: PartnerServer, rounds: int = 3) -> None:
        """The outbox emptied, and each partner done with what it was sent."""
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(rounds):
                await deliver(self.client.house, http)
        for server in servers:
            await asyncio.to_thread(server.wait)

    async def post(self, number: int, text: str = SAID, **more: Any) -> dict[str, Any]:
        body = complaint(f"h{number}", text, complainant={**PERSON, "phone": f"1398765{number:04d}"}, **more)
        answer = await self.client.post("portal", "/v1/complaints", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def act(self, matter_id: str, act: str, body: Any = None, who: str = "mediator", status: int = 200) -> dict[str, Any]:
        answer = await self.client.post(who, f"/v1/matters/{matter_id}/{act}", body)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    async def row(self, statement: str, *arguments: Any) -> Any:
        async with self.client.house.database.connection() as connection:
            return await connection.fetchrow(statement, *arguments)

    async def matter(self, matter_id: str) -> Any:
        return await self.row("SELECT * FROM matter WHERE id = $1", matter_id)

    async def list(self, who: str = "supervisor", **params: Any) -> list[dict[str, Any]]:
        answer = await self.client.get(who, "/v1/handovers", params=params)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])


@pytest_asyncio.fixture
async def town(client: Client) -> AsyncIterator[Town]:
    app = client.http._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="critical", ws="none"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - the server offers no event
        await asyncio.sleep(0.01)
    made = Town(client, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", [])
    try:
        yield made
    finally:
        for partner in made.servers:
            await asyncio.to_thread(partner.close)
        server.should_exit = True
        await running


async def roster(town: Town, number: int = 1, *, name: str = "武汉荣沐轩餐饮管理有限公司") -> str:
    """An ODR enterprise: its code."""
    async with town.client.house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO odr_enterprise (uscc, valid_from, name, reply_rate, source) VALUES ($1, '2025-01-01', $2, 0.95, 'test')", code(number), name
        )  # fmt: skip
    return code(number)


async def settled(
    town: Town, works: Works | None = None, *, accepted: bool = False, text: str = SAID
) -> tuple[PartnerServer, str, str]:
    """A matter with its ODR enterprise: (its server, matter, hand-over)."""
    key = await roster(town)
    server, partner_id = await town.partner("odr", works, directory_key=key)
    posted = await town.post(1, text, chose_odr=True, respondents=[{"name": "武汉荣沐轩餐饮管理有限公司", "uscc": key}])
    one = posted["matters"][0]["id"]
    if text == BOTH:
        await put(town.client.house, UUID(one), "pending_acceptance")  # as if it were one for settlement
    if accepted:
        await town.act(one, "accept")
    done = await town.act(one, "settle", {"partner_id": partner_id, "message": "请于十个工作日内答复消费者"})
    assert done["state"] == "settling"
    (item,) = await town.list(matter_id=one)
    return server, one, item["id"]


async def delegated(town: Town, kind: str = "people_mediation", works: Works | None = None) -> tuple[PartnerServer, str, str]:
    server, partner_id = await town.partner(kind, works)
    posted = await town.post(2)
    one = posted["matters"][0]["id"]
    await town.act(one, "accept")
    refused = await town.act(one, "delegate", {"partner_id": partner_id}, status=409)
    assert "尚未取得" in refused["detail"]
    assert await town.list(matter_id=one) == []
    await put(town.client.house, UUID(one), "accepted")  # both sides having consented
    await town.act(one, "delegate", {"partner_id": partner_id})
    (item,) = await town.list(matter_id=one)
    return server, one, item["id"]


def succeeds(server: PartnerServer, data: dict[str, Any]) -> None:
    """Reads, works, reports, and as a real client does after a lost answer reports again."""
    found = server.get(data["handover_id"])
    server.say(found["id"], "r-1", "received")
    server.say(found["id"], "w-1", "working", external_ref="ODR-2026-17")
    end = {
        "result": "agreement",
        "agreement_on": TODAY.isoformat(),
        "recovered_fen": 30000,
        "as_of": datetime.now(UTC).isoformat(),
    }
    first = server.say(found["id"], "d-1", "done", **end)
    assert server.say(found["id"], "d-1", "done", **end) == first


# -- ODR


async def test_an_enterprise_settles_and_a_person_signs_the_end(town: Town) -> None:
    server, one, handover = await settled(town, succeeds)
    await town.told(server)
    (event,) = server.taken
    assert event["type"] == "handover.sent"
    assert event["data"]["handover_id"] == handover
    assert set(event["data"]) == {"handover_id", "kind", "state", "due_on", "matter_id", "sequence"}
    assert server.read[0]["case"]["complainant"] == {"name": PERSON["name"], "phone": "13987650001"}
    assert server.read[0]["case"]["text"] == SAID.replace(PERSON["id_no"], "*" * 18)
    assert server.read[0]["case"]["message"] == "请于十个工作日内答复消费者"
    assert [(status, a["state"], a["applied"]) for status, a in server.said] == [
        (200, "received", True), (200, "working", True), (200, "done", True), (200, "done", True),
    ]  # fmt: skip
    assert server.said[2][1]["effect"] == "drafted_agree"
    assert (await town.matter(one))["state"] == "settling"  # its word ends nothing
    (item,) = (await town.client.get("mediator", "/v1/approvals")).json()["items"]
    assert (item["kind"], item["act"], item["missing"]) == ("partner", "agree", 1)
    assert (await town.client.post("robot", f"/v1/approvals/{item['id']}/approve")).status_code == 403
    signed = await town.client.post("mediator", f"/v1/approvals/{item['id']}/approve")
    assert (signed.status_code, signed.json()["state"]) == (200, "agreed")
    row = await town.matter(one)
    assert (row["outcome"], row["recovered_fen"]) == ("agreement", 30000)
    (listed,) = await town.list(matter_id=one)
    assert (listed["state"], listed["result"], listed["external_ref"], listed["alarm"]) == (
        "done",
        "agreement",
        "ODR-2026-17",
        None,
    )
    # Over: it reads its own words, and no more of the person.
    again = await asyncio.to_thread(server.get, handover)
    assert again["case"] is None
    history = (
        await town.row(
            "SELECT array_agg(authority || '|' || coalesce(note, '')) AS said FROM state_change WHERE matter_id = $1", one
        )
    )["said"]
    assert any(h.startswith("partner|") and "已办结（达成协议）" in h for h in history)
    reveals = await town.row(
        "SELECT count(*) AS n FROM audit_entry WHERE act = 'reveal' AND purpose = 'handover:odr' AND actor LIKE 'partner:%'"
    )
    assert reveals["n"] == 1


async def test_two_who_settle_after_acceptance_end_the_mediation(town: Town) -> None:
    server, one, _ = await settled(town, succeeds, accepted=True)
    await town.told(server)
    (item,) = (await town.client.get("mediator", "/v1/approvals")).json()["items"]
    assert (item["act"], item["ground"]) == ("terminate", "23(1)(1)")
    signed = await town.client.post("mediator", f"/v1/approvals/{item['id']}/approve")
    assert (signed.json()["state"], signed.json()["clock"]) == ("terminated", "complaint.terminate_notice")
    row = await town.matter(one)
    assert (row["outcome"], row["recovered_fen"]) == ("agreement", 30000)


async def test_what_an_enterprise_does_not_settle_is_the_bureaus_at_once(town: Town) -> None:
    def fails(server: PartnerServer, data: dict[str, Any]) -> None:
        server.say(data["handover_id"], "x", "failed", result="no_agreement", reason="消费者欧阳致远13987650123不同意换货方案")

    server, one, handover = await settled(town, fails)
    await town.told(server)
    assert server.said == [(200, server.said[0][1])]
    assert server.said[0][1]["effect"] == "rerouted"
    row = await town.row(
        "SELECT m.state, m.track, m.authority, w.queue_id, (SELECT stopped_by FROM clock WHERE matter_id = m.id AND key = 'odr.settle') AS stopped, "
        "(SELECT count(*) FROM clock WHERE matter_id = m.id AND key = 'complaint.accept' AND stopped_at IS NULL) AS accept "
        "FROM matter m JOIN work_item w ON w.matter_id = m.id WHERE m.id = $1",
        one,
    )  # fmt: skip
    assert tuple(row) == ("pending_acceptance", "t2", "partner", "t2", "partner_failed", 1)
    status, late = await asyncio.to_thread(server.say, handover, "y", "done", result="agreement", agreement_on=TODAY.isoformat())
    assert (status, late["status"]) == (409, 409)
    assert (await town.client.get("mediator", "/v1/approvals")).json()["items"] == []
    # Its reason is a secret at rest and masked for the desk.
    seen = (await town.client.get("supervisor", f"/v1/handovers/{handover}")).json()["statuses"][-1]
    assert "13987650123" not in seen["reason"]
    assert "不同意换货方案" in seen["reason"]
    dump = await town.row("SELECT string_agg(s::text, '') AS s FROM handover_status s")
    assert "不同意" not in dump["s"]


async def test_what_an_enterprise_returns_is_the_intake_desks(town: Town) -> None:
    server, one, handover = await settled(town)
    await town.told(server)
    _, answer = await asyncio.to_thread(server.say, handover, "b", "returned", result="not_ours", reason="不是我司门店")
    assert answer["effect"] == "called_desk"
    row = await town.row(
        "SELECT m.state, m.track, w.queue_id, w.flags FROM matter m JOIN work_item w ON w.matter_id = m.id WHERE m.id = $1", one
    )
    assert (row["state"], row["track"], row["queue_id"], list(row["flags"])) == (
        "pending_acceptance",
        "t1",
        "intake",
        ["returned:odr"],
    )
    (listed,) = await town.list(alarm=True)
    assert (listed["id"], listed["alarm"]) == (handover, "returned")
    assert (await town.client.post("supervisor", f"/v1/handovers/{handover}/acknowledge")).json()["alarm"] is None
    assert await town.list(alarm=True) == []


async def test_what_the_desk_takes_back_it_can_hand_to_another(town: Town) -> None:
    server, one, handover = await delegated(town)
    assert (await town.client.post("mediator", f"/v1/handovers/{handover}/recall", {"reason": "回避"})).json()[
        "state"
    ] == "recalled"
    assert (await town.matter(one))["state"] == "accepted"
    assert (await town.client.post("mediator", f"/v1/handovers/{handover}/recall")).status_code == 409
    second, second_id = await town.partner("consumer_council")
    await town.act(one, "delegate", {"partner_id": second_id})
    await town.told(server, second)
    assert server.heard == ["handover.sent", "handover.recalled"]
    assert second.heard == ["handover.sent"]
    open_one, past = await town.list(matter_id=one)
    assert (open_one["kind"], open_one["state"], past["state"]) == ("consumer_council", "sent", "recalled")
    due = open_one["due_on"]
    await town.act(one, "appraise", {"reason": "送检"})
    async with town.client.house.database.connection() as connection:  # as if it had taken ten days
        await connection.execute(
            "UPDATE clock SET due_on = due_on + 10 WHERE matter_id = $1 AND key = 'complaint.mediate'", UUID(one)
        )
    (open_one,) = await town.list(matter_id=one, open=True)
    assert open_one["due_on"] > due


async def test_only_the_merchant_itself_is_its_enterprise(town: Town) -> None:
    await roster(town)
    await roster(town, 2, name="湖北鼎鲜坊商贸有限公司")
    _, other = await town.partner("odr", directory_key=code(2))
    posted = await town.post(1, chose_odr=True, respondents=[{"name": "武汉荣沐轩餐饮管理有限公司", "uscc": code(1)}])
    one = posted["matters"][0]["id"]
    assert "不是本件的被投诉人" in (await town.act(one, "settle", {"partner_id": other}, status=409))["detail"]
    _, mediation = await town.partner("people_mediation")
    wrong = await town.act(one, "settle", {"partner_id": mediation}, status=422)
    assert wrong["errors"][0]["field"] == "partner_id"
    assert (await town.act(one, "accept", {"partner_id": other}, status=422))["errors"][0]["field"] == "partner_id"
    assert (await town.matter(one))["state"] == "pending_acceptance"  # nothing was done by halves
    _, mine = await town.partner("odr", directory_key=code(1))
    async with town.client.house.database.connection() as connection:
        await connection.execute(
            "UPDATE odr_enterprise SET exit_on = current_date, exit_reason = '退出' WHERE uscc = $1", code(1)
        )
    assert "已不在名录" in (await town.act(one, "settle", {"partner_id": mine}, status=409))["detail"]
    again = await town.client.post("admin", "/v1/partners", {"kind": "odr", "name": "又一个", "directory_key": code(2)})
    assert again.status_code == 409
    # Without a partner the act is as it was: on paper.
    assert (await town.act(one, "settle"))["state"] == "settling"
    assert await town.list(matter_id=one) == []


# -- what gets lost on the way does not stay lost


async def test_a_partner_that_fails_and_dies_gets_it_once_it_is_back(town: Town) -> None:
    server, one, handover = await settled(town, succeeds)
    server.answers = [500]
    await town.told(server)
    assert (server.taken, (await town.matter(one))["state"]) == ([], "settling")
    await asyncio.to_thread(server.stop)
    await _due(town)
    await town.told(server)
    (item,) = (await town.client.get("admin", "/v1/deliveries", params={"state": "waiting"})).json()["items"]
    assert (item["attempts"], item["last_error"]) == (2, "ConnectError")
    await asyncio.to_thread(server.start)
    await _due(town)
    await town.told(server)
    assert (await town.list(matter_id=one))[0]["state"] == "done"
    # Told once more, as after an answer that got lost: it knows.
    async with town.client.house.database.connection() as connection:
        await connection.execute("UPDATE delivery SET state = 'waiting', next_attempt_at = now()")
    await town.told(server)
    assert (server.doubles, len(server.taken), server.forged) == (1, 1, 0)
    assert (await town.list(matter_id=one))[0]["id"] == handover


async def test_an_address_that_fails_for_good_is_seen_and_the_next_gets_all(town: Town) -> None:
    server, one, handover = await settled(town)
    server.answers = [503] * 50
    for _ in range(len(deliveries.BACKOFF_SECONDS) + 2):
        await town.told(rounds=1)
        await _due(town)
    (listed,) = await town.list(alarm=True)
    assert (listed["id"], listed["alarm"], listed["undelivered"]) == (handover, "undeliverable", True)
    partner_id = listed["partner_id"]
    (known,) = (await town.client.get("supervisor", "/v1/partners")).json()["items"]
    assert (known["open"], known["undelivered"]) == (1, 1)
    second = PartnerServer(town.address, succeeds)
    town.servers.append(second)
    moved = await town.client.call("admin", "PUT", f"/v1/partners/{partner_id}/address", json={"url": second.url})
    second.token, second.secret = server.token, moved.json()["secret"]
    assert second.secret != server.secret
    await town.told(second)
    assert [e["data"]["handover_id"] for e in second.taken] == [handover]
    (listed,) = await town.list(matter_id=one)
    assert (listed["state"], listed["alarm"]) == ("done", None)
    # It also finds what it has by asking, should no call ever reach it.
    asked = await asyncio.to_thread(server._call, "GET", "/v1/handovers")
    assert [h["id"] for h in asked.json()["items"]] == [handover]


async def _due(town: Town) -> None:
    async with town.client.house.database.connection() as connection:
        await connection.execute(
            "UPDATE delivery SET next_attempt_at = clock_timestamp() - interval '1 second' WHERE state = 'waiting'"
        )


# -- mediation and its confirmation


async def test_a_mediated_agreement_is_signed_and_confirmed_by_the_court(town: Town) -> None:
    agreed_on = TODAY - timedelta(days=2)

    def mediates(server: PartnerServer, data: dict[str, Any]) -> None:
        server.get(data["handover_id"])
        server.say(data["handover_id"], "1", "working", external_ref="武洪调〔2026〕12")
        server.say(data["handover_id"], "2", "done", result="agreement", agreement_on=agreed_on.isoformat(), recovered_fen=20000)

    server, one, _ = await delegated(town, works=mediates)
    court, court_id = await town.partner("judicial_confirmation", lambda s, d: None)
    early = await town.client.post("mediator", f"/v1/matters/{one}/handovers", {"partner_id": court_id, "both_parties": True})
    assert (early.status_code, "依法设立的调解组织" in early.json()["detail"]) == (409, True)
    await town.told(server)
    assert server.read[0]["case"]["complainant"]["address"] == PERSON["address"]
    (item,) = (await town.client.get("mediator", "/v1/approvals")).json()["items"]
    assert (item["kind"], item["act"], item["detail"]["agreement_on"]) == ("partner", "agree", agreed_on.isoformat())
    assert (await town.client.post("mediator", f"/v1/approvals/{item['id']}/approve")).json()["state"] == "agreed"

    alone = await town.client.post("mediator", f"/v1/matters/{one}/handovers", {"partner_id": court_id})
    assert (alone.status_code, alone.json()["errors"][0]["field"]) == (422, "both_parties")
    made = await town.client.post("mediator", f"/v1/matters/{one}/handovers", {"partner_id": court_id, "both_parties": True})
    assert (made.status_code, made.json()["agreement_on"]) == (201, agreed_on.isoformat())
    assert made.json()["due_on"] >= (agreed_on + timedelta(days=30)).isoformat()
    assert "第三十三条" in made.json()["basis"]
    twice = await town.client.post("mediator", f"/v1/matters/{one}/handovers", {"partner_id": court_id, "both_parties": True})
    assert twice.status_code == 409
    await town.told(court)
    read = await asyncio.to_thread(court.get, made.json()["id"])
    assert set(read["case"]) == {"message", "facts", "agreement_on", "respondents", "complainant"}
    status, _ = await asyncio.to_thread(
        court.say, made.json()["id"], "c", "done", result="confirmed", external_ref="（2026）鄂0111民特9号"
    )
    assert status == 200
    finding = (await town.row("SELECT evidence FROM finding WHERE matter_id = $1 AND code = 'handover'", one))["evidence"]
    assert (finding["kind"], finding["result"], finding["external_ref"]) == (
        "judicial_confirmation",
        "confirmed",
        "（2026）鄂0111民特9号",
    )
    assert (await town.matter(one))["state"] == "agreed"


async def test_thirty_days_after_the_agreement_nothing_is_confirmed(town: Town) -> None:
    posted = await town.post(1)
    one = posted["matters"][0]["id"]
    await put(town.client.house, UUID(one), "accepted")
    await town.act(one, "delegate")  # on paper
    await town.act(one, "agree")
    _, court = await town.partner("judicial_confirmation")
    body = {"partner_id": court, "both_parties": True}
    path = f"/v1/matters/{one}/handovers"
    assert (await town.client.post("mediator", path, body)).json()["errors"][0]["field"] == "agreement_on"
    late = await town.client.post("mediator", path, {**body, "agreement_on": (TODAY - timedelta(days=45)).isoformat()})
    assert (late.status_code, "三十日" in late.json()["detail"]) == (409, True)
    assert (await town.client.post("mediator", path, {**body, "agreement_on": TODAY.isoformat()})).status_code == 201


async def test_a_mediation_that_fails_is_the_bureaus_to_handle(town: Town) -> None:
    server, one, handover = await delegated(town)
    await town.told(server)
    await asyncio.to_thread(server.say, handover, "w", "working")
    _, answer = await asyncio.to_thread(server.say, handover, "f", "failed", result="no_agreement")
    assert answer["effect"] == "rerouted"
    row = await town.row(
        "SELECT m.state, m.track, w.queue_id, m.closed_at FROM matter m JOIN work_item w ON w.matter_id = m.id WHERE m.id = $1",
        one,
    )
    assert tuple(row) == ("accepted", "t3", "t3", None)


async def test_a_bureau_that_mediates_itself_has_taken_it_back(town: Town) -> None:
    server, one, handover = await delegated(town)
    await town.act(one, "appraise", {"reason": "双方同意送检"})
    await town.act(one, "resume")
    assert (await town.list(matter_id=one))[0]["state"] == "sent"  # an appraisal takes nothing back
    await put(town.client.house, UUID(one), "delegated")
    await town.act(one, "mediate")
    await town.told(server)
    assert server.heard == ["handover.sent", "handover.recalled"]
    _, answer = await asyncio.to_thread(server.say, handover, "d", "done", result="agreement", agreement_on=TODAY.isoformat())
    assert (answer["applied"], answer["effect"], answer["state"]) == (False, "recalled", "recalled")
    assert (await town.client.get("mediator", "/v1/approvals")).json()["items"] == []


async def test_a_late_word_on_a_matter_that_ended_is_kept_and_does_nothing(town: Town) -> None:
    server, one, handover = await settled(town)
    letter = (await town.matter(one))["letter_id"]
    assert (await town.client.post("portal", f"/v1/complaints/{letter}/withdraw")).status_code == 200
    await town.told(server)
    assert server.heard[-1] == "handover.recalled"
    for state, more in (("working", {}), ("failed", {"result": "refused"})):
        status, answer = await asyncio.to_thread(server.say, handover, state, state, **more)
        assert (status, answer["applied"], answer["effect"]) == (200, False, "matter_ended")
    assert (await town.matter(one))["state"] == "withdrawn"
    shown = (await town.client.get("supervisor", f"/v1/handovers/{handover}")).json()
    assert [(s["authority"], s["state"], s["applied"]) for s in shown["statuses"]] == [
        ("bureau", "sent", True), ("bureau", "recalled", True), ("partner", "working", False), ("partner", "failed", False),
    ]  # fmt: skip


# -- the council, the hotline, enforcement, other departments


async def test_the_council_is_asked_before_anything_is_accepted(town: Town) -> None:
    server, partner_id = await town.partner("consumer_council")
    posted = await town.post(1, respondents=[{"name": "武汉荣沐轩餐饮管理有限公司"}])
    one = posted["matters"][0]["id"]
    made = await town.client.post("mediator", f"/v1/matters/{one}/handovers", {"partner_id": partner_id})
    assert (made.status_code, "第十六条第二项" in made.json()["basis"]) == (201, True)
    read = await asyncio.to_thread(server.get, made.json()["id"])
    assert read["case"]["complainant"] == {"name": "欧**", "phone": "139****0001"}
    assert "text" not in read["case"]
    _, answer = await asyncio.to_thread(
        server.say, made.json()["id"], "1", "returned", result="already_handled", external_ref="XW-77"
    )
    assert answer["applied"]
    full = (await town.client.get("mediator", f"/v1/complaints/{posted['id']}")).json()["matters"][0]
    (finding,) = [f for f in full["findings"] if f["code"] == "handled_by_council"]
    assert (finding["evidence"]["external_ref"], "第十六条第二项" in finding["legal_basis"]) == ("XW-77", True)
    assert full["state"] == "pending_acceptance"  # a person decides


async def test_the_hotline_gets_its_answer(town: Town) -> None:
    def takes(server: PartnerServer, data: dict[str, Any]) -> None:
        found = server.get(data["handover_id"])
        assert set(found["case"]) == {"message", "external_id", "received_at"}
        server.say(found["id"], "1", "received", external_ref="GD20261128001")

    server, partner_id = await town.partner("hotline_12345", takes)
    posted = await town.post(1, channel="hotline12345")
    one = posted["matters"][0]["id"]
    path = f"/v1/matters/{one}/handovers"
    bare = await town.client.post("mediator", path, {"partner_id": partner_id})
    assert (bare.status_code, bare.json()["errors"][0]["field"]) == (422, "message")
    made = await town.client.post("mediator", path, {"partner_id": partner_id, "message": "已受理，正在组织调解"})
    due = await town.row("SELECT due_on FROM clock WHERE matter_id = $1 AND key = 'hotline12345.reply'", one)
    assert (made.status_code, made.json()["due_on"]) == (201, due["due_on"].isoformat())
    await town.told(server)
    assert server.read[0]["case"]["external_id"] == "h1"
    assert server.read[0]["case"]["message"] == "已受理，正在组织调解"
    clock = await town.row("SELECT stopped_by FROM clock WHERE matter_id = $1 AND key = 'hotline12345.reply'", one)
    assert clock["stopped_by"] == "answered"
    _, answer = await asyncio.to_thread(server.say, made.json()["id"], "2", "failed", result="rejected", reason="请补充处理依据")
    assert answer["effect"] == "called_desk"
    row = await town.row("SELECT w.flags, m.state FROM work_item w JOIN matter m ON m.id = w.matter_id WHERE m.id = $1", one)
    assert (list(row["flags"]), row["state"]) == (["answer_rejected:hotline_12345"], "pending_acceptance")
    again = await town.client.post("mediator", path, {"partner_id": partner_id, "message": "已受理，依据第十五条"})
    assert again.status_code == 201
    _, answer = await asyncio.to_thread(server.say, again.json()["id"], "3", "done", result="accepted")
    assert answer["applied"]
    other = (await town.post(2))["matters"][0]["id"]
    assert (
        await town.client.post("mediator", f"/v1/matters/{other}/handovers", {"partner_id": partner_id, "message": "答复"})
    ).status_code == 409


async def test_a_department_gets_a_clue_without_who_told_it_and_may_give_it_back(town: Town) -> None:
    def looks(server: PartnerServer, data: dict[str, Any]) -> None:
        server.get(data["handover_id"])

    server, partner_id = await town.partner("department", looks)
    one = (await town.post(3, REPORT))["matters"][0]["id"]
    await town.act(one, "transfer", {"partner_id": partner_id, "reason": "属农业农村部门职责"}, who="intake")
    assert (await town.matter(one))["state"] == "transferred"
    await town.told(server)
    case = server.read[0]["case"]
    assert "complainant" not in case
    assert not any(v in str(case) for v in (*PERSON.values(), "13987650003"))
    assert "工业盐" in case["text"]
    _, answer = await asyncio.to_thread(
        server.say, server.read[0]["id"], "1", "returned", result="not_ours", reason="属市场监管部门职责"
    )
    assert answer["effect"] == "called_desk"
    row = await town.row(
        "SELECT m.state, m.closed_at, CASE WHEN w.finished_at IS NULL THEN 'ready' ELSE 'finished' END AS work, w.queue_id, w.flags, (SELECT count(*) FROM clock WHERE matter_id = m.id AND key = 'clue.verify' "
        "AND stopped_at IS NULL) AS clocks FROM matter m JOIN work_item w ON w.matter_id = m.id WHERE m.id = $1",
        one,
    )  # fmt: skip
    assert (row["state"], row["closed_at"], row["work"], row["queue_id"], row["clocks"]) == (
        "verifying",
        None,
        "ready",
        "intake",
        1,
    )
    assert list(row["flags"]) == ["returned:department"]
    again = await town.act(one, "transfer", {"partner_id": partner_id, "reason": "经核实仍属其职责"}, who="intake")
    assert again["state"] == "transferred"
    second = (await town.list(matter_id=one, open=True))[0]["id"]
    _, answer = await asyncio.to_thread(server.say, second, "2", "done", result="handled", external_ref="NY-5")
    assert (await town.row("SELECT count(*) AS n FROM finding WHERE matter_id = $1 AND code = 'handover'", one))["n"] == 2
    assert await town.list("mediator", matter_id=one) == []  # that there is a report is not for everybody
    assert (await town.client.get("mediator", f"/v1/handovers/{second}")).status_code == 404


async def test_enforcement_gets_the_whole_clue_and_says_its_case(town: Town) -> None:
    server, partner_id = await town.partner("enforcement")
    both = await town.post(4, BOTH)
    ids = {m["lane"]: m["id"] for m in both["matters"]}
    assert set(ids) == {"complaint", "report"}
    wrong = await town.client.post("intake", f"/v1/matters/{ids['complaint']}/handovers", {"partner_id": partner_id})
    assert wrong.status_code == 409
    made = await town.client.post("intake", f"/v1/matters/{ids['report']}/handovers", {"partner_id": partner_id})
    assert (made.status_code, "第十八条" in made.json()["basis"]) == (201, True)
    read = await asyncio.to_thread(server.get, made.json()["id"])
    assert read["case"]["text"] == BOTH
    assert read["case"]["complainant"]["name"] == PERSON["name"]
    _, answer = await asyncio.to_thread(
        server.say, made.json()["id"], "1", "done", result="case_opened", external_ref="武市监立〔2026〕8"
    )
    assert answer["effect"] == "noted"
    assert (await town.matter(ids["report"]))["state"] == "verifying"  # to open a case is a person's act


# -- who may know what


async def test_nobody_who_settles_or_mediates_learns_of_a_report(town: Town) -> None:
    server, one, handover = await settled(town, text=BOTH)
    assert (await town.matter(one))["lane"] == "complaint"
    await town.told(server)
    read = await asyncio.to_thread(server.get, handover)
    assert [w for w in ("举报", "过期", "查处", "both", "report") if w in str(read["case"])] == []
    assert "退" in read["case"]["text"]
    for word in ("message",):
        told = await town.act(one, "settle", {"partner_id": read["partner_id"], word: "消费者同时举报了你单位"}, status=409)
        assert told["status"] == 409
    posted = await town.post(7, BOTH)
    two = next(m["id"] for m in posted["matters"] if m["lane"] == "complaint")
    _, body = await town.partner("people_mediation")
    await put(town.client.house, UUID(two), "accepted")
    refused = await town.act(two, "delegate", {"partner_id": body, "message": "消费者同时举报了该店"}, status=422)
    assert refused["errors"][0]["field"] == "message"
    council, council_id = await town.partner("consumer_council")
    await town.act(two, "delegate", {"partner_id": council_id})
    (item,) = await town.list(matter_id=two)
    case = (await asyncio.to_thread(council.get, item["id"]))["case"]
    assert [w for w in ("举报", "过期", "查处", "both", "report") if w in str(case)] == []


async def test_a_partner_sees_its_own_and_nothing_else(town: Town) -> None:
    server, one, handover = await settled(town)
    stranger, stranger_id = await town.partner("people_mediation")
    for path in (f"/v1/handovers/{handover}", f"/v1/handovers/{new_id()}"):
        assert (await asyncio.to_thread(stranger._call, "GET", path)).status_code == 404
    status, _ = await asyncio.to_thread(stranger.say, handover, "1", "received")
    assert status == 404
    assert (await asyncio.to_thread(stranger._call, "GET", "/v1/handovers")).json()["items"] == []
    mine = (await asyncio.to_thread(server._call, "GET", "/v1/handovers")).json()["items"]
    assert [h["id"] for h in mine] == [handover]
    assert not {"created_by", "alarm", "lane", "matter_state", "district"} & set(mine[0])
    # Every other call there is.
    town.client.tokens["partner"] = server.token
    document = (await town.client.get("admin", "/openapi.json")).json()
    allowed = {"/v1/handovers", "/v1/handovers/{handover_id}", "/v1/handovers/{handover_id}/status"}
    open_to_all = {
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/codes",
        "/v1/codes/{name}",
        "/v1/directories",
        "/v1/directories/{kind}",
        "/v1/calendar/{year}",
    }
    for path, methods in document["paths"].items():
        for method in methods:
            if path in allowed | open_to_all:
                continue
            known = {
                "complaint_id": str((await town.matter(one))["letter_id"]),
                "matter_id": one,
                "handover_id": handover,
                "act": "accept",
            }
            known |= {"version": "0123456789abcdef", "kind": "urge", "year": "2026", "form": "5"}
            real = re.sub(r"\{(\w+)\}", lambda m: known.get(m[1], stranger_id), path)  # noqa: B023
            answer = await town.client.call("partner", method.upper(), real)
            # A body that is not there is told of before anything else; without one to give, the right is asked first.
            expected = (403, 404) if method in ("get", "delete") else (403, 404, 422)
            assert answer.status_code in expected, (method, path, answer.status_code)
    for who in ("portal", "analyst", "mediator"):
        assert (
            await town.client.post(
                who, f"/v1/handovers/{handover}/status", {"status_id": "1", "state": "received", "as_of": "2026-01-01T00:00:00"}
            )
        ).status_code == 403
        assert (await town.client.post(who, "/v1/partners", {"kind": "department", "name": "x"})).status_code == 403
    assert (await town.client.get("portal", "/v1/handovers")).status_code == 403
    assert (await town.client.get("yichang", f"/v1/handovers/{handover}")).status_code == 404
    assert (await town.client.post("yichang", f"/v1/handovers/{handover}/recall")).status_code == 404
    assert (await town.client.post("robot", f"/v1/handovers/{handover}/recall")).status_code == 403
    # A word of the desk about it says nothing of the person.
    told = (await town.client.get("supervisor", f"/v1/handovers/{handover}")).text
    assert not any(v in told for v in (*PERSON.values(), "储值卡"))


async def test_a_disabled_partner_says_and_reads_nothing(town: Town) -> None:
    server, _, handover = await settled(town)
    partner_id = (await town.list())[0]["partner_id"]
    fresh = await town.client.post("admin", f"/v1/partners/{partner_id}/token")
    old, server.token = server.token, fresh.json()["token"]
    await asyncio.to_thread(server.get, handover)
    assert (await town.client.call("admin", "DELETE", f"/v1/partners/{partner_id}")).status_code == 204
    for method, path in (("DELETE", ""), ("POST", "/token")):
        assert (await town.client.call("admin", method, f"/v1/partners/{partner_id}{path}")).status_code == 404
    status, _ = await asyncio.to_thread(server.say, handover, "1", "received")
    assert status in (401, 404)  # its token may be remembered for some seconds; it is of nobody all the same
    assert (await town.list(alarm=True))[0]["alarm"] == "partner_disabled"
    assert (await town.row("SELECT count(*) AS n FROM api_token WHERE partner_id = $1 AND revoked_at IS NULL", UUID(partner_id)))[
        "n"
    ] == 0
    assert old != server.token
    assert (await town.client.post("supervisor", f"/v1/handovers/{handover}/recall", {"reason": "承办单位停用"})).json()[
        "state"
    ] == "recalled"


async def test_events_go_to_the_partner_alone_and_others_learn_the_state_only(town: Town) -> None:
    everything = PartnerServer(town.address)
    town.servers.append(everything)
    made = await town.client.post("admin", "/v1/webhooks", {"url": everything.url, "lanes": ["complaint", "report", "other"]})
    everything.secret = made.json()["secret"]
    other, _ = await town.partner("people_mediation")
    server, one, handover = await settled(town)
    await asyncio.to_thread(server.say, handover, "1", "received")
    await town.told(server)
    assert server.heard == ["handover.sent"]
    assert other.taken == []
    seen = [
        e
        for e in sorted(everything.taken, key=lambda e: e["data"]["sequence"])
        if e["type"].startswith(("handover.", "matter.hand"))
    ]
    assert [(e["type"], e["data"]["state"]) for e in seen] == [
        ("matter.handed_over", "sent"),
        ("matter.handover_changed", "received"),
    ]
    assert all(e["data"]["matter_id"] == one for e in seen)
    assert server.forged == everything.forged == 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"kind": "police"}, "kind"),
        ({"kind": "odr"}, "directory_key"),
        ({"kind": "odr", "directory_key": "91420106MA0000009X"}, "directory_key"),
        ({"kind": "people_mediation", "directory_key": "无此组织"}, "directory_key"),
        ({"kind": "enforcement", "directory_key": "x"}, "directory_key"),
        ({"kind": "department", "url": "http://example.org/hook"}, "url"),
        ({"kind": "department", "url": "https://user:secret@example.org/hook"}, "url"),
        ({"kind": "department", "jurisdictions": ["11"]}, "jurisdictions"),
    ],
)
async def test_what_can_not_be_a_partner_is_named(client: Client, body: dict[str, Any], named: str) -> None:
    answer = await client.post("admin", "/v1/partners", {"name": "某单位", **body})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, named)


# -- candidates of a public-interest suit


async def test_incidents_that_harm_many_are_candidates_by_numbers_alone(town: Town) -> None:
    for n in range(6):
        await town.post(
            20 + n,
            f"在桂禾坊购买的电饭煲爆炸烫伤住院{'。' * n}",
            respondents=[{"name": "桂禾坊家电商行", "address": "武汉市武昌区"}],
        )
    async with town.client.house.database.connection() as connection:
        incident = await connection.fetchval(
            "UPDATE incident SET people_complaints = 6, harm = true WHERE id = (SELECT incident_id FROM incident_membership LIMIT 1) RETURNING id"
        )
    found = (await town.client.get("analyst", "/v1/handovers/candidates")).json()["items"]
    assert [(c["incident_id"], c["people"], c["reached"], c["handover"]) for c in found] == [(str(incident), 6, ["harm"], None)]
    assert not any(v in str(found) for v in PERSON.values())
    assert (await town.client.get("mediator", "/v1/handovers/candidates")).status_code == 403
    server, partner_id = await town.partner("public_interest")
    path = f"/v1/incidents/{incident}/handovers"
    made = await town.client.post("analyst", path, {"partner_id": partner_id})
    assert (made.status_code, made.json()["incident_id"]) == (201, str(incident))
    assert (await town.client.post("analyst", path, {"partner_id": partner_id})).status_code == 409
    assert (await town.client.post("yichang", path, {"partner_id": partner_id})).status_code == 403
    before = await town.row("SELECT array_agg(state) AS states FROM matter")
    read = await asyncio.to_thread(server.get, made.json()["id"])
    assert read["case"]["incident"]["people"] == 6
    assert not any(v in str(read) for v in PERSON.values())
    _, answer = await asyncio.to_thread(server.say, made.json()["id"], "1", "done", result="suit_filed")
    assert answer["effect"] == "noted"
    assert (await town.row("SELECT array_agg(state) AS states FROM matter"))["states"] == before["states"]
    (found,) = (await town.client.get("analyst", "/v1/handovers/candidates")).json()["items"]
    assert found["handover"] == "done"


# -- what a word is worth


def _at(minutes: int) -> datetime:
    return datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=minutes)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_partners_own_order_decides_whatever_order_it_arrives_in(data: st.DataObject) -> None:
    chain = data.draw(st.lists(st.sampled_from(("received", "working")), max_size=4).map(sorted))
    chain += data.draw(st.sampled_from(([], ["done"], ["failed"], ["returned"])))
    times = sorted(data.draw(st.lists(st.integers(0, 20), min_size=len(chain), max_size=len(chain))))
    said = list(zip(chain, map(_at, times), strict=True))
    arriving = data.draw(st.permutations(said))
    state, as_of = "sent", None
    for name, at in arriving:
        if judge(state, as_of, name, at):
            state, as_of = name, at
    assert state == (chain[-1] if chain else "sent")


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("received", "working", "done", "failed", "returned")), st.integers(0, 6)), max_size=8))
def test_no_word_leads_back_or_out_of_an_end(said: list[tuple[str, int]]) -> None:
    state, as_of = "sent", None
    for name, minutes in said:
        try:
            stands = judge(state, as_of, name, _at(minutes))
        except Conflict:
            assert as_of is not None
            assert _at(minutes) >= as_of  # an older one is never refused
            continue
        if not stands:
            assert as_of is not None
            assert _at(minutes) <= as_of
            continue
        assert state not in handovers.ENDS
        assert handovers._RANK[name] >= handovers._RANK[state]
        assert as_of is None or _at(minutes) >= as_of
        state, as_of = name, _at(minutes)


ENDS: dict[str, dict[str, Any]] = {
    "done": {"result": "handled"}, "returned": {"result": "not_ours"}, "received": {}, "working": {}, "failed": {"reason": "未能查实"},
}  # fmt: skip


async def test_sequences_of_words_in_the_store(house: House) -> None:
    """Each status twice, in all orders: one row and one answer a status, one final state an order of as_of."""
    now = datetime.now(UTC) - timedelta(hours=1)
    partner_id = new_id()
    async with house.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO partner (id, kind, name, jurisdictions, created_by) VALUES ($1, 'department', '某局', '{42}', 'test')",
            partner_id,
        )
    partner = Principal(f"partner:{partner_id}", False, frozenset({"partner"}), (), (), (), partner_id)
    matter_id = await matter(house, 1)
    for order in itertools.permutations(("received", "working", "done")):
        handover_id = await handing.hand_over(house, matter_id, ANNA, partner_id, lanes=LANES)
        known: dict[str, dict[str, Any]] = {}
        for name in (*order, *reversed(order)):
            minutes = ("received", "working", "done").index(name)
            said = Status(name, name, now + timedelta(minutes=minutes), **ENDS[name])
            answer = await handing.report(house, handover_id, partner, said)
            assert known.setdefault(name, answer) == answer
        async with house.database.connection() as connection:
            row = await connection.fetchrow("SELECT state, as_of FROM handover WHERE id = $1", handover_id)
            count = await connection.fetchval(
                "SELECT count(*) FROM handover_status WHERE handover_id = $1 AND authority = 'partner'", handover_id
            )
        assert (row["state"], row["as_of"], count) == ("done", now + timedelta(minutes=2), 3)
    async with house.database.connection() as connection:
        findings = await connection.fetchval("SELECT count(*) FROM finding WHERE code = 'handover' AND matter_id = $1", matter_id)
    assert findings == 6  # one an end, however often it was said


async def test_the_same_word_at_once_is_one_and_another_under_its_name_is_named(town: Town) -> None:
    server, _, handover = await settled(town)
    body = {
        "status_id": "s",
        "state": "working",
        "as_of": datetime.now(UTC).isoformat(),
        "external_ref": "A1",
        "reason": "已联系消费者",
    }

    async def say(**more: Any) -> httpx.Response:
        return await asyncio.to_thread(server._call, "POST", f"/v1/handovers/{handover}/status", json={**body, **more})

    answers = await asyncio.gather(*(say() for _ in range(8)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.text for a in answers}) == 1
    other = await say(external_ref="A2", reason="已办")
    assert (other.status_code, sorted(e["field"] for e in other.json()["errors"])) == (409, ["external_ref", "reason"])
    older = await say(status_id="o", state="received", as_of=(datetime.now(UTC) - timedelta(days=1)).isoformat())
    assert (older.status_code, older.json()["applied"], older.json()["effect"], older.json()["state"]) == (
        200,
        False,
        "older",
        "working",
    )
    back = await say(status_id="b", state="received", as_of=datetime.now(UTC).isoformat())
    assert back.status_code == 409
    for named, wrong in (
        ("as_of", {"as_of": (datetime.now(UTC) + timedelta(days=1)).isoformat()}), ("result", {"state": "done"}), ("result", {"result": "agreement"}),
        ("agreement_on", {"state": "done", "result": "agreement"}), ("state", {"state": "recalled"}), ("reason", {"state": "failed", "reason": None}),
        ("recovered_fen", {"recovered_fen": 5}), ("status_id", {"status_id": "has space"}), ("external_ref", {"external_ref": "张三 139"}),
    ):  # fmt: skip
        answer = await say(**{"status_id": "w", **wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, named), answer.text


async def test_two_ends_that_differ_are_a_persons_to_ask_about(house: House) -> None:
    partner_id = new_id()
    async with house.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO partner (id, kind, name, jurisdictions, created_by) VALUES ($1, 'department', '某局', '{42}', 'test')",
            partner_id,
        )
    partner = Principal(f"partner:{partner_id}", False, frozenset({"partner"}), (), (), (), partner_id)
    handover_id = await handing.hand_over(house, await matter(house, 1), ANNA, partner_id, lanes=LANES)
    now = datetime.now(UTC)
    await handing.report(house, handover_id, partner, Status("1", "done", now, result="handled"))
    answer = await handing.report(
        house, handover_id, partner, Status("2", "returned", now - timedelta(hours=1), result="not_ours")
    )
    assert (answer["applied"], answer["effect"], answer["state"]) == (False, "older", "done")
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT attention FROM handover") == "contradiction"
        assert await audit.verify(connection) is None
    with pytest.raises(Conflict):
        await handing.report(house, handover_id, partner, Status("3", "failed", now, reason="更正"))


async def test_a_term_that_runs_out_takes_it_back_from_the_enterprise(town: Town) -> None:
    server, one, _ = await settled(town)
    await rerouting.follow_terms(town.client.house, datetime.now(UTC) + timedelta(days=30))
    await town.told(server)
    assert (await town.matter(one))["track"] == "t2"
    assert (await town.list(matter_id=one))[0]["state"] == "recalled"
    assert server.heard[-1] == "handover.recalled"
