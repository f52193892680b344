"""A mediator's day over HTTP: waiting for work, passing it on, letting it rest, escalating, being recused or away, many at once."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from app import identity, work, working
from app.calendar import SHANGHAI
from tests.conftest import Client
from tests.test_joint import body, matter, propose, some
from tests.test_queue import check_places

QUEUE = "/v1/queues/any/claim"
PLAIN = "11月20日在武昌区好又多超市买的电饭煲用了三天不通电，店家不给换，要求退货退款299元。"
OTHER_SHOP = [{"name": "好又多超市", "address": "武汉市武昌区中南路3号"}]


async def claimed(client: Client, role: str = "mediator", **more: Any) -> list[dict[str, Any]]:
    answer = await client.post(role, QUEUE, {"limit": 10, **more})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def one(client: Client, number: int = 0) -> dict[str, Any]:
    """An ordinary complaint, claimed by the mediator."""
    await matter(client.house, number, PLAIN, shop=OTHER_SHOP)
    (item,) = await claimed(client)
    return item


async def work_items(client: Client) -> dict[uuid.UUID, uuid.UUID]:
    async with client.house.database.connection() as connection:
        return {r["matter_id"]: r["id"] for r in await connection.fetch("SELECT id, matter_id FROM work_item")}


async def say(client: Client, item: dict[str, Any], verb: str, role: str = "mediator", **more: Any) -> Any:
    return await client.post(role, f"/v1/work-items/{item['id']}/{verb}", {"lease_token": item["lease_token"], **more})


async def test_a_claim_answers_with_the_matter_in_short(client: Client) -> None:
    item = await one(client)
    told = item["matter"]
    assert (told["lane"], told["district"], told["amount_fen"]) == ("complaint", "420106", 29900)
    assert told["reasons"][0]["text"]
    assert told["clocks"][0]["key"] == "complaint.accept"
    assert told["clocks"][0]["light"] == "green"
    assert told["earlier_complaints"] == 0
    whole = (await client.get("mediator", f"/v1/work-items/{item['id']}")).json()
    for section in (
        "missing",
        "clocks",
        "why",
        "complainant",
        "incident",
        "merchant",
        "law",
        "documents",
        "acts",
        "contacts",
        "appointments",
        "similar",
    ):
        assert section in whole, section


async def test_a_puller_waits_for_work_and_gets_it_when_it_comes(client: Client) -> None:
    began = time.monotonic()
    empty = await client.post("mediator", QUEUE, {}, headers={"Prefer": "wait=1"})
    assert empty.json()["items"] == []
    assert 0.9 < time.monotonic() - began < 3
    waiting = asyncio.create_task(client.post("mediator", QUEUE, {}, headers={"Prefer": "respond-async, wait=20"}))
    await asyncio.sleep(0.2)
    await matter(client.house, 1, PLAIN, shop=OTHER_SHOP)
    began = time.monotonic()
    assert len((await waiting).json()["items"]) == 1
    assert time.monotonic() - began < 5


async def test_the_same_key_is_the_same_claim_and_the_same_verb_has_the_same_answer(client: Client) -> None:
    for n in range(3):
        await matter(client.house, n, PLAIN, shop=OTHER_SHOP)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, again = [(await client.post("mediator", QUEUE, {}, headers=key)).json()["items"] for _ in range(2)]
    assert [i["lease_token"] for i in first] == [i["lease_token"] for i in again]
    (item,) = first
    done = [await say(client, item, "finish", outcome="agreement", recovered_fen=29900) for _ in range(2)]
    assert [d.status_code for d in done] == [200, 200]
    assert done[0].json() == done[1].json()
    other = await say(client, item, "finish", outcome="no_agreement")
    assert other.status_code == 409
    assert "finished at" in other.json()["detail"]
    (second,) = (await client.post("mediator", QUEUE, {})).json()["items"]
    assert [(await say(client, second, "release")).status_code for _ in range(2)] == [200, 200]
    assert (await say(client, second, "renew")).status_code == 409


async def test_an_empty_key_is_no_key(client: Client) -> None:
    for n in range(2):
        await matter(client.house, n, PLAIN, shop=OTHER_SHOP)
    refused = await client.post("mediator", QUEUE, {}, headers={"Idempotency-Key": ""})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "idempotency-key")


async def test_a_lease_that_was_lost_says_what_ended_it(client: Client) -> None:
    ids = [await matter(client.house, n, PLAIN, shop=OTHER_SHOP) for n in range(3)]
    held = {i["matter_id"]: i for i in await claimed(client)}
    withdrawn, agreed, released = (held[str(i)] for i in ids)
    await client.post("intake", f"/v1/complaints/{withdrawn['matter']['complaint_id']}/withdraw", {"reason": "已退款"})
    assert (await client.post("supervisor", f"/v1/matters/{agreed['matter_id']}/agree")).status_code == 200
    await say(client, released, "release")
    told = [(await say(client, item, "renew")).json()["detail"] for item in (withdrawn, agreed, released)]
    there = datetime.now(SHANGHAI)
    for detail, how, then in zip(
        told, ("withdrawn", "ended by agree", "released"), ("finished", "finished", "again"), strict=True
    ):
        assert how in detail
        assert f"{there:%Y-%m-%d}" in detail or there.hour == 0
        assert detail.endswith(then)
    assert "UTC" not in "".join(told)


async def test_work_goes_to_another_desk_or_a_colleague_and_nowhere_else(client: Client) -> None:
    item = await one(client)
    for queue, values in (
        ("desk-a", {"track": item["queue_id"], "district": "420106"}),
        ("desk-b", {"district": "420111"}),
        ("reports", {"lane": "report"}),
    ):
        made = await client.call("admin", "PUT", f"/v1/queues/{queue}", json={"name": queue, "desk": queue, **values})
        assert made.status_code == 200, made.text
    assert (await client.call("mediator", "PUT", "/v1/queues/desk-a", json={"name": "x"})).status_code == 403
    assert "return" in (await say(client, item, "transfer", queue="desk-b", reason="对口")).json()["detail"]
    assert (await say(client, item, "transfer", queue="reports", reason="对口")).status_code == 422
    harder = "t3" if item["queue_id"] != "t3" else "t2"
    assert "escalate" in (await say(client, item, "transfer", queue=harder, reason="难")).json()["detail"]
    assert (await say(client, item, "transfer", queue="intake", reason="难")).status_code == 422
    assert (await say(client, item, "transfer", reason="无去向")).json()["errors"][0]["field"] == "queue"
    assert (await say(client, item, "transfer", queue="desk-a", reason="对口")).status_code == 200
    (again,) = (await client.post("mediator", "/v1/queues/desk-a/claim", {})).json()["items"]
    assert again["id"] == item["id"]
    for who, status in (("nobody", 422), ("yichang", 422), ("mediator", 422), ("robot", 422), ("second", 200)):
        assert (await say(client, again, "transfer", to=who, reason="协作")).status_code == status, who
    assert (await say(client, again, "renew")).status_code == 409
    (theirs,) = (await client.get("second", "/v1/work-items?mine=true")).json()["items"]
    assert theirs["id"] == item["id"]
    assert (await say(client, theirs, "renew", role="second")).status_code == 200


async def test_what_waits_for_something_rests_with_its_holder(client: Client) -> None:
    item = await one(client)
    await client.post("mediator", f"/v1/matters/{item['matter_id']}/accept")
    late = await say(client, item, "hold", held_for="reply", until=(datetime.now(UTC) + timedelta(days=59, hours=30)).isoformat())
    assert late.status_code in (409, 422)
    assert (await say(client, item, "hold", held_for="nap")).json()["errors"][0]["field"] == "held_for"
    there = datetime.now(SHANGHAI).replace(tzinfo=None) + timedelta(hours=2)
    zoneless = (await say(client, item, "hold", held_for="reply", until=there.isoformat())).json()
    assert datetime.fromisoformat(zoneless["lease_until"]).replace(tzinfo=None) == there
    kept = await say(client, item, "hold", held_for="reply", until=(datetime.now(UTC) + timedelta(days=2)).isoformat())
    assert kept.json()["state"] == "held"
    assert await claimed(client, "second") == []
    (mine,) = (await client.get("mediator", "/v1/work-items?mine=true")).json()["items"]
    assert (mine["state"], mine["held_for"]) == ("held", "reply")
    async with client.house.database.transaction() as connection:
        await connection.execute("UPDATE lease SET until = now() - interval '1 s'")
        await work.sweep(connection)
    (mine,) = (await client.get("mediator", "/v1/work-items?mine=true")).json()["items"]
    assert (mine["state"], mine["held_for"]) == ("leased", None)
    assert (await say(client, item, "hold", held_for="appraisal")).json()["errors"][0]["field"] == "reason"
    assert (await say(client, item, "hold", held_for="appraisal", reason="送检")).status_code == 200
    told = (await client.get("mediator", f"/v1/work-items/{item['id']}")).json()
    assert told["complaint"]["matters"][0]["state"] == "appraising"
    assert told["clocks"]["running"][0]["paused"]
    assert (await client.post("mediator", f"/v1/matters/{item['matter_id']}/resume")).status_code == 200
    assert (await say(client, item, "renew")).status_code == 200
    assert (await client.get("mediator", f"/v1/work-items/{item['id']}")).json()["state"] == "leased"
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE work_item SET due_at = clock_timestamp() - interval '3 days'")
    for until in (None, (datetime.now(UTC) + timedelta(days=2)).isoformat()):
        assert "was over on" in (await say(client, item, "hold", held_for="reply", until=until)).json()["detail"]


async def test_what_rests_comes_back_before_a_term_that_runs_again_ends(client: Client) -> None:
    item = await one(client)
    path = f"/v1/matters/{item['matter_id']}"
    await client.post("mediator", f"{path}/accept")
    held = (await say(client, item, "hold", held_for="appraisal", reason="送检")).json()
    assert datetime.fromisoformat(held["lease_until"]) > datetime.now(UTC) + timedelta(days=59)
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE clock SET started_at = started_at - interval '57 days' WHERE stopped_at IS NULL")
    assert (await client.post("second", f"{path}/resume")).status_code == 200
    (mine,) = (await client.get("mediator", "/v1/work-items?mine=true")).json()["items"]
    assert (mine["state"], mine["lease_until"]) == ("held", mine["due_at"])
    async with client.house.database.transaction() as connection:
        await connection.execute(
            "UPDATE clock SET due_on = current_date - 1, due_at = now() - interval '1 day' WHERE stopped_at IS NULL"
        )
        await work.redate(connection, [uuid.UUID(item["matter_id"])])
    (mine,) = (await client.get("mediator", "/v1/work-items?mine=true")).json()["items"]
    assert (mine["state"], mine["lease_token"]) == ("leased", item["lease_token"])


async def test_only_who_works_at_a_desk_claims(client: Client) -> None:
    await matter(client.house, 0, PLAIN, shop=OTHER_SHOP)
    for who in ("portal", "analyst"):
        assert (await client.post(who, QUEUE, {})).status_code == 403
    opened = {"name": "x", "district": "42", "track": "t1", "roles": ["portal", "analyst"]}
    assert (await client.call("supervisor", "PUT", "/v1/queues/opened", json=opened)).status_code == 200
    await matter(client.house, 1, PLAIN, shop=OTHER_SHOP)
    assert (await client.post("portal", "/v1/queues/opened/claim", {})).status_code == 403


async def test_too_hard_goes_up_and_from_the_top_to_a_supervisor(client: Client) -> None:
    item = await one(client)
    tracks = [item["queue_id"]]
    while len(tracks) < 4:
        answer = await say(client, item, "escalate", reason="争议大")
        assert answer.status_code == 200, answer.text
        again = await say(client, item, "escalate", reason="争议大")
        assert again.json() == answer.json()
        tracks.append(answer.json()["track"])
        (item,) = await claimed(client)
        if tracks[-1] == tracks[-2]:
            break
    assert tracks[-1] == "t3"
    assert tracks == sorted(tracks)
    assert "escalated" in item["flags"]
    history = (await client.get("supervisor", f"/v1/complaints/{item['matter']['complaint_id']}")).json()["matters"][0]["history"]
    assert [h["note"] for h in history if h["act"] == "escalate"] == ["争议大"] * (len(tracks) - 1)
    pressed = await client.post("supervisor", f"/v1/matters/{item['matter_id']}/press/supervise", {"note": "尽快"})
    assert pressed.status_code == 200
    (mine,) = (await client.get("mediator", "/v1/work-items?mine=true")).json()["items"]
    assert (mine["priority"], "supervise" in mine["flags"]) == (item["priority"] + 1, True)


async def test_whoever_is_recused_has_no_more_to_do_with_it(client: Client) -> None:
    item = await one(client)
    path = f"/v1/matters/{item['matter_id']}"
    await client.post("mediator", f"{path}/accept")
    for party in ("consumer", "merchant"):
        given = {"party": party, "agrees": True, "to": "mediation"}
        await client.post("intake", f"/v1/complaints/{item['matter']['complaint_id']}/consent", given)
    assert (await client.post("mediator", f"{path}/mediate")).status_code == 200
    assert (await say(client, item, "recuse", role="second", subject="mediator", reason="亲属")).status_code == 403
    mistyped = await say(client, item, "recuse", role="supervisor", subject="mediater", reason="亲属")
    assert (mistyped.status_code, mistyped.json()["errors"][0]["field"]) == (422, "subject")
    assert (await say(client, item, "recuse", reason="与被投诉人有亲属关系")).status_code == 200
    assert (await say(client, item, "renew")).status_code == 409
    assert await claimed(client) == []
    assert (await client.post("mediator", f"{path}/resume")).status_code == 403
    (theirs,) = await claimed(client, "second")
    assert theirs["matter"]["state"] == "suspended"
    assert (await client.post("second", f"{path}/resume")).json()["state"] == "mediating"
    given = {"to": "mediator", "reason": "再平衡"}
    assert "recused" in (await client.post("supervisor", f"/v1/work-items/{item['id']}/assign", given)).json()["detail"]


async def test_who_is_away_gets_no_work_and_his_deputy_has_it(client: Client) -> None:
    item = await one(client)
    until = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    assert (await client.post("second", "/v1/absences", {"subject": "mediator", "until_at": until})).status_code == 403
    assert (await client.post("mediator", "/v1/absences", {"until_at": until, "deputy": "x"})).json()["errors"][0][
        "field"
    ] == "deputy"
    for wrong, field in (
        ({"subject": "mediater", "until_at": until}, "subject"),
        ({"until_at": "2020-01-01T08:00:00"}, "until_at"),
    ):
        assert (await client.post("supervisor", "/v1/absences", wrong)).json()["errors"][0]["field"] == field
    until = (datetime.now(SHANGHAI).replace(tzinfo=None) + timedelta(days=5)).replace(hour=6, minute=30).isoformat()
    entered = await client.post("supervisor", "/v1/absences", {"subject": "mediator", "until_at": until, "deputy": "second"})
    assert entered.status_code == 201
    assert entered.json()["until_at"] == f"{until}+08:00"
    assert (await client.post("mediator", "/v1/absences", {"until_at": until})).status_code == 409
    assert await working.stand_in(client.house) == 1
    (theirs,) = (await client.get("second", "/v1/work-items?mine=true")).json()["items"]
    assert theirs["id"] == item["id"]
    refused = await client.post("mediator", QUEUE, {})
    assert refused.status_code == 409
    assert f"away until {until[:10]} 06:30" in refused.json()["detail"]
    assert len((await client.get("second", "/v1/absences")).json()["items"]) == 1
    ended = await client.post("mediator", f"/v1/absences/{entered.json()['id']}/end")
    assert ended.status_code == 200
    assert await claimed(client) == []


async def test_a_supervisor_gives_and_takes_back(client: Client) -> None:
    item = await one(client)
    path = f"/v1/work-items/{item['id']}/assign"
    assert (await client.post("mediator", path, {"to": "second", "reason": "忙"})).status_code == 403
    assert (await client.post("supervisor", path, {"to": "second", "reason": "再平衡"})).status_code == 200
    (theirs,) = (await client.get("second", "/v1/work-items")).json()["items"]
    assert (await client.post("supervisor", path, {"to": "second", "reason": "再平衡"})).status_code == 200
    assert (
        await say(client, theirs, "renew", role="second")
    ).status_code == 200  # said twice, it took nothing from whom it was given
    assert (await say(client, item, "renew")).status_code == 409
    assert (await client.post("supervisor", path, {"reason": "收回"})).status_code == 200
    assert len(await claimed(client, "second")) == 1
    async with client.house.database.connection() as connection:
        events = await connection.fetch("SELECT act FROM work_event WHERE work_item_id = $1 ORDER BY id", uuid.UUID(item["id"]))
        assert [e["act"] for e in events] == ["assign", "recall"]


async def test_many_at_once_each_with_its_own_answer(client: Client) -> None:
    ids = [str(await matter(client.house, n)) for n in range(4)] + [str(await matter(client.house, 9, PLAIN, shop=OTHER_SHOP))]
    async with client.house.database.connection() as connection:
        rows = await connection.fetch("SELECT id, matter_id FROM work_item")
    item = {str(r["matter_id"]): str(r["id"]) for r in rows}
    chosen = [{"id": item[i]} for i in ids]
    assert (await client.post("second", "/v1/work-items/bulk", {"verb": "claim", "items": chosen[:1]})).json()["done"] == 1
    looked = (await client.post("mediator", "/v1/work-items/bulk", {"verb": "claim", "items": chosen, "dry_run": True})).json()
    assert [i["selectable"] for i in looked["items"]] == [False, True, True, True, False]
    assert looked["items"][0]["why"] == "正由他人办理"
    assert "业务类型不同" in looked["items"][4]["why"]
    got = (
        await client.post("mediator", "/v1/work-items/bulk", {"verb": "claim", "items": [*chosen[:4], {"id": str(uuid.uuid4())}]})
    ).json()
    assert (got["done"], [r["status"] for r in got["results"]]) == (3, [409, 200, 200, 200, 409])
    held = [{"id": r["id"], "lease_token": r["items"][0]["lease_token"]} for r in got["results"] if r["status"] == 200]
    held[0]["recovered_fen"] = 100
    finished = {
        "verb": "finish",
        "with": {"outcome": "agreement", "recovered_fen": 36800},
        "items": [*held[:2], {"id": held[2]["id"]}],
    }
    ended = (await client.post("mediator", "/v1/work-items/bulk", finished)).json()
    assert (ended["done"], ended["refused"]) == (2, 1)
    assert ended["results"][2]["errors"][0]["field"] == "lease_token"
    assert (await client.post("mediator", "/v1/work-items/bulk", {**finished, "items": held[:2]})).json()["done"] == 2
    async with client.house.database.connection() as connection:
        sums = await connection.fetch("SELECT recovered_fen FROM matter WHERE outcome = 'agreement' ORDER BY 1")
        assert [r["recovered_fen"] for r in sums] == [100, 36800]
    again = (await client.post("mediator", "/v1/work-items/bulk", {"verb": "claim", "items": [{"id": held[2]["id"]}]})).json()
    assert again["results"][0]["items"][0]["lease_token"] == held[2]["lease_token"]
    for role, verb, can in (
        ("supervisor", "assign", [True] * 3),
        ("mediator", "assign", [False] * 3),
        ("mediator", "finish", [False, True, False]),
    ):
        looked = {"verb": verb, "items": [chosen[0], {"id": held[2]["id"]}, chosen[4]], "dry_run": True}
        told = (await client.post(role, "/v1/work-items/bulk", looked)).json()
        assert [i["selectable"] for i in told["items"]] == can, (role, verb, told)
    for wrong in (
        {"verb": "dance", "items": chosen},
        {"verb": "claim", "items": []},
        {"verb": "claim", "items": [chosen[0], chosen[0]]},
    ):
        assert (await client.post("mediator", "/v1/work-items/bulk", wrong)).status_code == 422


async def test_a_joint_matter_is_one_piece_of_work(client: Client) -> None:
    ids = await some(client.house, 3)
    await propose(client.house, ids)
    chosen = {"verb": "claim", "items": [{"id": str(i)} for i in (await work_items(client)).values()]}
    told = (await client.post("mediator", "/v1/work-items/bulk", chosen)).json()
    assert (told["done"], told["refused"]) == (3, 0)
    (token,) = {i["lease_token"] for r in told["results"] for i in r["items"]}
    await say(client, {**told["results"][0], "lease_token": token}, "release")
    (first, *rest) = await claimed(client, limit=1)
    assert len(rest) == 2
    assert {i["lease_token"] for i in rest} == {first["lease_token"]}
    assert await claimed(client, "second") == []
    assert (await say(client, first, "finish", outcome="agreement")).status_code == 200
    assert (await say(client, rest[0], "release")).status_code == 200
    assert len(await claimed(client, "second")) == 2
    async with client.house.database.connection() as connection:
        await check_places(connection)


async def test_a_mediator_sees_what_waits_for_him(client: Client) -> None:
    await client.post("portal", "/v1/complaints", body(1, PLAIN, shop=OTHER_SHOP))
    seen = (await client.get("mediator", "/v1/queues")).json()["items"]
    assert {q["id"] for q in seen} == {"t1", "t2", "t3", "emergency"}
    assert sum(q["ready"] for q in seen) == 1
    assert [d["id"].split(".")[0] for q in seen for d in q["districts"]] == ["420106"]
    assert all(q["ready"] == 0 for q in (await client.get("yichang", "/v1/queues")).json()["items"])


async def with_token(client: Client, name: str, role: str, *places: str, **more: Any) -> None:
    async with client.house.database.connection() as connection:
        client.tokens[name] = await identity.issue(
            connection, name, [role], **{"natural_person": True, "jurisdictions": places or ("42",), **more}
        )


async def test_a_report_is_nobodys_who_is_not_cleared_in_whatever_queue_it_lies(client: Client) -> None:
    """Art. 37: also where it was found to be one while somebody had it, or was sent to a queue of any lane."""
    await with_token(client, "cleared", "mediator", skills=["clue"])
    item = await one(client)
    corrected = await client.post("intake", f"/v1/matters/{item['matter_id']}/correct-reading", {"kind": "report"})
    assert corrected.json()["lane"] == "report"
    for verb, more in (("finish", {"outcome": "verified"}), ("hold", {"held_for": "appraisal", "reason": "送检"})):
        assert (await say(client, item, verb, **more)).status_code == 403, verb
    assert (await say(client, item, "release")).status_code == 200
    assert await claimed(client, "second") == []
    (mine,) = await claimed(client, "cleared")
    assert (mine["id"], mine["queue_id"], mine["matter"]["lane"]) == (item["id"], "clue", "report")
    by_hand = {"name": "专班", "lane": "any", "district": "42"}
    assert (await client.call("admin", "PUT", "/v1/queues/by-hand", json=by_hand)).status_code == 200
    assert (await say(client, mine, "transfer", "cleared", queue="by-hand", reason="专班办理")).status_code == 200
    assert await claimed(client, "second") == []
    picked = {"verb": "claim", "items": [{"id": item["id"]}]}
    assert (await client.post("second", "/v1/work-items/bulk", picked)).json()["done"] == 0
    given = await client.post("supervisor", f"/v1/work-items/{item['id']}/assign", {"to": "second", "reason": "再平衡"})
    assert (given.status_code, given.json()["errors"][0]["field"]) == (422, "to")
    assert (await client.call("admin", "PUT", "/v1/queues/by-hand", json={"lane": "complaint"})).status_code == 200
    assert await claimed(client, "second") == []
    assert [i["id"] for i in await claimed(client, "cleared")] == [item["id"]]


async def test_of_an_item_that_is_not_his_to_know_a_verb_tells_nobody(client: Client) -> None:
    item = await one(client)
    for who, verb, more in (
        ("yichang", "renew", {}),
        ("yichang", "return", {"reason": "x"}),
        ("yichang", "escalate", {"reason": "x"}),
    ):
        assert (await say(client, item, verb, who, **more)).status_code == 404, verb
    stale = {"lease_token": str(uuid.uuid4())}
    assert (await client.post("second", f"/v1/work-items/{item['id']}/renew", stale)).status_code == 409
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE matter SET lane = 'report'")
    assert (await client.post("second", f"/v1/work-items/{item['id']}/renew", stale)).status_code == 404


async def test_only_a_supervisor_of_all_his_places_enters_anothers_absence(client: Client) -> None:
    await with_token(client, "boss", "supervisor", "4205")
    await with_token(client, "machine", "supervisor", natural_person=False)
    item = await one(client)
    until = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    for subject in ("mediator", "nobody"):
        refused = await client.post("boss", "/v1/absences", {"subject": subject, "until_at": until, "deputy": "second"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "subject")
    assert await working.stand_in(client.house) == 0
    entered = (await client.post("mediator", "/v1/absences", {"until_at": until})).json()["id"]
    theirs = (await client.post("boss", "/v1/absences", {"subject": "yichang", "until_at": until})).json()["id"]
    seen = {
        who: [a["id"] for a in (await client.get(who, "/v1/absences")).json()["items"]]
        for who in ("boss", "supervisor", "second")
    }
    assert seen == {
        "boss": [entered, theirs],
        "supervisor": [entered, theirs],
        "second": [],
    }  # who works for all of 42 works there too
    elsewhere = await say(client, item, "transfer", to="yichang", reason="协作")
    assert (elsewhere.status_code, "jurisdiction" in elsewhere.json()["detail"]) == (422, True)
    assert (await client.post("boss", f"/v1/absences/{entered}/end")).status_code == 404
    assert (await client.post("machine", f"/v1/absences/{entered}/end")).status_code == 403
    assert (await client.post("boss", f"/v1/absences/{theirs}/end")).status_code == 200
    short = await client.post("mediator", "/v1/absences", {"until_at": "2026-01-01T00:00:00Z"})
    assert short.json()["errors"][0]["field"] == "until_at"
    assert (await say(client, item, "hold", held_for="nap")).json()["errors"][0]["field"] == "held_for"


async def test_whoever_is_recused_has_no_other_way_to_it(client: Client) -> None:
    """Nor by his rank, where no lease is needed."""
    await with_token(client, "boss", "supervisor")
    item = await one(client)
    path, matter_path = f"/v1/work-items/{item['id']}", f"/v1/matters/{item['matter_id']}"
    for who in ("boss", "intake"):
        assert (await client.post("supervisor", f"{path}/recuse", {"subject": who, "reason": "亲属"})).status_code == 200
    unknown = await client.post("supervisor", f"{path}/recuse", {"subject": "bos", "reason": "亲属"})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "subject")
    called = {"key": str(uuid.uuid4()), "party": "merchant", "way": "call", "result": "refused_mediation"}
    consent = {"party": "merchant", "agrees": True, "to": "mediation"}
    for who, where, given in (
        ("boss", f"{path}/contacts", called), ("boss", f"{path}/assign", {"to": "second", "reason": "再平衡"}),
        ("boss", f"{path}/recuse", {"subject": "mediator", "reason": "亲属"}), ("boss", f"{matter_path}/correct-reading", {"problem": "售后服务"}),
        ("intake", f"/v1/complaints/{item['matter']['complaint_id']}/consent", consent),
    ):  # fmt: skip
        refused = await client.post(who, where, given)
        assert (refused.status_code, "第二十一条" in refused.json()["detail"]) == (403, True), where
    assert (await say(client, item, "renew")).status_code == 200


async def test_blanks_are_no_reason(client: Client) -> None:
    item = await one(client)
    own = {"lease_token": item["lease_token"], "reason": " \u3000\n"}
    for who, path, given in (
        ("mediator", "return", own), ("mediator", "escalate", own), ("mediator", "transfer", {**own, "to": "second"}), ("mediator", "recuse", own),
        ("mediator", "hold", {**own, "held_for": "appraisal"}), ("supervisor", "assign", {"to": "second", "reason": " "}),
    ):  # fmt: skip
        refused = await client.post(who, f"/v1/work-items/{item['id']}/{path}", given)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "reason"), path
    spread = {"queue": "t1", "to": ["second"], "reason": " "}
    assert (await client.post("supervisor", "/v1/team/rebalance", spread)).json()["errors"][0]["field"] == "reason"


async def test_what_no_database_takes_is_refused_by_its_field(client: Client) -> None:
    item = await one(client)
    for verb, more in (("return", ""), ("escalate", ""), ("transfer", '"to": "second",'), ("hold", '"held_for": "reply",')):
        half = f'{{"lease_token": "{item["lease_token"]}", {more} "reason": "\\ud800"}}'
        refused = await client.call(
            "mediator", "POST", f"/v1/work-items/{item['id']}/{verb}", content=half, headers={"Content-Type": "application/json"}
        )
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "reason"), verb
    for field in ("lane", "district", "goods", "problems", "roles", "active"):
        for who in ("admin", "supervisor"):
            wanted = {"name": "x", "district": "4201", field: None}
            refused = await client.call(who, "PUT", "/v1/queues/desk-x", json=wanted)
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field), field
