"""Events reach who listens, signed and again until taken; an emergency calls until a named person answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app import deliveries
from app.worker import deliver
from tests.conftest import Client, complaint

EMERGENCY = "他说再不退钱就要跳楼，人已经站在楼顶，不想活了，联系人张小明13812345678"


@dataclass
class Receiver:
    """A real HTTP server that keeps what it was sent and answers as told."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        lowered = {k.lower(): v for k, v in headers.items()}
        self.got.append((lowered, await reader.readexactly(int(lowered["content-length"]))))
        status = self.answers.pop(0) if self.answers else 204
        writer.write(
            f"HTTP/1.1 {status} x\r\nlocation: {self.url}/elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield made


async def rounds(client: Client, times: int = 2) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        for _ in range(times):
            await deliver(client.house, http)


async def make_due(client: Client, table: str, column: str) -> None:
    async with client.house.database.connection() as connection:
        await connection.execute(f"UPDATE {table} SET {column} = clock_timestamp() - interval '1 second'")


async def test_an_emergency_calls_until_a_named_person_answers(client: Client) -> None:
    async with receiver() as there:
        made = await client.post("admin", "/v1/webhooks", {"url": there.url, "kinds": ["emergency.raised", "emergency.waiting"]})
        assert made.status_code == 201
        answer = (await client.post("portal", "/v1/complaints", complaint("e1", EMERGENCY))).json()
        assert answer["kind"] == "emergency"
        matter = answer["matters"][0]["id"]
        await rounds(client)
        headers, body = there.got[0]
        event = Webhook(made.json()["secret"]).verify(body, headers)
        assert (event["type"], event["data"]["matter_id"], event["data"]["complaint_id"]) == (
            "emergency.raised",
            matter,
            answer["id"],
        )
        assert not any(word in body.decode() for word in ("张小明", "13812345678", "楼顶", "退钱"))

        await make_due(client, "page", "next_call_at")
        await rounds(client)
        assert [e["type"] for e in there.events()] == ["emergency.raised", "emergency.waiting"]

        waiting = (await client.get("mediator", "/v1/emergencies")).json()["items"]
        assert [(w["matter_id"], w["calls"]) for w in waiting] == [(matter, 2)]
        assert (await client.get("yichang", "/v1/emergencies")).json()["items"] == []
        assert (await client.post("robot", f"/v1/matters/{matter}/acknowledge")).status_code == 403
        assert (await client.post("yichang", f"/v1/matters/{matter}/acknowledge")).status_code == 404
        taken = await client.post("mediator", f"/v1/matters/{matter}/acknowledge")
        assert (taken.status_code, taken.json()["acknowledged_by"]) == (200, "mediator")
        assert (await client.post("mediator", f"/v1/matters/{matter}/acknowledge")).status_code == 200
        late = await client.post("second", f"/v1/matters/{matter}/acknowledge")
        assert late.status_code == 409
        assert "mediator" in late.json()["detail"]

        await make_due(client, "page", "next_call_at")
        await rounds(client)
        assert len(there.got) == 2
        assert (await client.get("mediator", "/v1/emergencies")).json()["items"] == []


async def test_two_people_who_acknowledge_at_once_are_one(client: Client) -> None:
    matter = (await client.post("portal", "/v1/complaints", complaint("e1", EMERGENCY))).json()["matters"][0]["id"]
    answers = await asyncio.gather(*(client.post(who, f"/v1/matters/{matter}/acknowledge") for who in ("mediator", "second") * 4))
    winners = {a.json()["acknowledged_by"] for a in answers if a.status_code == 200}
    assert len(winners) == 1
    assert sorted(a.status_code for a in answers) == [200] * 4 + [409] * 4


async def test_what_is_not_taken_is_sent_again_later_and_in_the_end_a_persons(client: Client) -> None:
    async with receiver() as there:
        await client.post("admin", "/v1/webhooks", {"url": there.url, "kinds": ["matter.triaged"]})
        await client.post("portal", "/v1/complaints", complaint("c1"))
        there.answers = [500, 302]
        await rounds(client)
        item = (await client.get("admin", "/v1/deliveries")).json()["items"][0]
        assert (item["state"], item["attempts"], item["last_status"]) == ("waiting", 1, 500)
        gap = datetime.fromisoformat(item["next_attempt_at"]) - datetime.now(UTC)
        assert timedelta(seconds=2) < gap < timedelta(seconds=8)
        await make_due(client, "delivery", "next_attempt_at")
        await rounds(client)  # a redirect is no acceptance, and is not followed
        await make_due(client, "delivery", "next_attempt_at")
        await rounds(client)
        done = (await client.get("admin", "/v1/deliveries", params={"state": "delivered"})).json()["items"]
        assert [(d["attempts"], d["last_status"]) for d in done] == [(3, 204)]
        assert len({h["webhook-id"] for h, _ in there.got}) == 1  # what a receiver tells doubles by
        assert len(there.got) == 3

        there.answers = [503] * 100
        await client.post("portal", "/v1/complaints", complaint("c2"))
        for _ in range(len(deliveries.BACKOFF_SECONDS) + 3):
            await rounds(client, 1)
            await make_due(client, "delivery", "next_attempt_at")
        failed = (await client.get("admin", "/v1/deliveries", params={"state": "failed"})).json()["items"]
        assert [d["attempts"] for d in failed] == [len(deliveries.BACKOFF_SECONDS) + 1]
        there.answers = []
        assert (await client.post("admin", f"/v1/deliveries/{failed[0]['id']}/retry")).status_code == 200
        await rounds(client)
        assert (await client.get("admin", "/v1/deliveries", params={"state": "failed"})).json()["items"] == []
        assert (await client.post("admin", f"/v1/deliveries/{failed[0]['id']}/retry")).status_code == 409


async def test_a_receiver_that_is_not_there_costs_nobody_else(client: Client) -> None:
    async with receiver() as there:
        for url in ("http://127.0.0.1:9/hook", there.url):
            await client.post("admin", "/v1/webhooks", {"url": url, "kinds": ["matter.triaged"]})
        await client.post("portal", "/v1/complaints", complaint("c1"))
        await rounds(client)
        assert len(there.got) == 1
        items = (await client.get("admin", "/v1/deliveries")).json()["items"]
        assert {i["state"]: i["last_error"] for i in items} == {"delivered": None, "waiting": "ConnectError"}


async def test_a_sender_that_died_loses_nothing(client: Client) -> None:
    async with receiver() as there:
        await client.post("admin", "/v1/webhooks", {"url": there.url, "kinds": ["matter.triaged"]})
        await client.post("portal", "/v1/complaints", complaint("c1"))
        async with client.house.database.transaction() as connection:
            await deliveries.dispatch(connection)
        async with client.house.database.connection() as connection:
            assert await connection.fetch(deliveries._CLAIM, 40, 30.0)  # claimed, then killed
        await rounds(client)
        assert there.got == []
        await make_due(client, "delivery", "next_attempt_at")
        await rounds(client)
        assert len(there.got) == 1


async def test_many_senders_send_each_once(client: Client) -> None:
    async with receiver() as there:
        await client.post("admin", "/v1/webhooks", {"url": there.url, "kinds": ["matter.triaged"]})
        for n in range(12):
            await client.post("portal", "/v1/complaints", complaint(f"c{n}"))
        await asyncio.gather(*(rounds(client, 2) for _ in range(4)))
        sent = [h["webhook-id"] for h, _ in there.got]
        assert len(sent) == len(set(sent)) == 12


async def test_reports_and_other_places_are_told_only_to_who_may_know(client: Client) -> None:
    report = "举报武昌区某小作坊无照经营，请依法查处"
    async with receiver() as plain, receiver() as cleared, receiver() as elsewhere:
        await client.post("admin", "/v1/webhooks", {"url": plain.url})
        await client.post("admin", "/v1/webhooks", {"url": cleared.url, "lanes": ["report"]})
        await client.post("admin", "/v1/webhooks", {"url": elsewhere.url, "lanes": ["report"], "jurisdictions": ["4205"]})
        answer = (await client.post("portal", "/v1/complaints", complaint("r1", report))).json()
        assert answer["matters"][0]["lane"] == "report"
        await rounds(client)
        assert (len(plain.got), len(cleared.got), len(elsewhere.got)) == (0, 1, 0)


async def test_nothing_more_is_sent_to_a_webhook_that_was_taken_back(client: Client) -> None:
    async with receiver() as there:
        made = (await client.post("admin", "/v1/webhooks", {"url": there.url})).json()
        await client.post("portal", "/v1/complaints", complaint("c1"))
        assert (await client.call("admin", "DELETE", f"/v1/webhooks/{made['id']}")).status_code == 204
        await rounds(client)
        assert there.got == []
        listed = (await client.get("admin", "/v1/webhooks")).json()["items"]
        assert listed[0]["disabled_at"] is not None
        assert "secret" not in listed[0]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"url": "http://example.org/hook"}, "url"),
        ({"url": "https://user:secret@example.org/hook"}, "url"),
        ({"url": "https://[::bad/hook"}, "url"),
        ({"url": "ftp://example.org/hook"}, "url"),
        ({"url": "https://example.org/hook", "kinds": ["no.such"]}, "kinds"),
        ({"url": "https://example.org/hook", "lanes": ["all"]}, "lanes"),
        ({"url": "https://example.org/hook", "jurisdictions": ["11"]}, "jurisdictions"),
    ],
)
async def test_what_can_not_be_delivered_to_is_named(client: Client, body: dict[str, Any], named: str) -> None:
    answer = await client.post("admin", "/v1/webhooks", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == named


async def test_webhooks_are_for_administrators(client: Client) -> None:
    for call in (("GET", "/v1/webhooks"), ("POST", "/v1/webhooks"), ("GET", "/v1/deliveries")):
        for who in ("portal", "mediator", "supervisor", "analyst"):
            answer = await client.call(who, *call, json={"url": "https://example.org"} if call[0] == "POST" else None)
            assert answer.status_code == 403


def test_signatures_hold_in_any_zone() -> None:
    shanghai = datetime.now(timezone(timedelta(hours=8)))
    signed = deliveries.sign("whsec_" + "a" * 43 + "=", uuid4(), b'{"a":1}', shanghai)
    assert Webhook("whsec_" + "a" * 43 + "=").verify(signed["content"], signed["headers"]) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "b" * 43 + "=").verify(signed["content"], signed["headers"])
