"""The team view on a real database: figures by hand on planted work, the items behind them, re-balancing, alarms of starving queues."""

import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from app import alarms, staff, work
from app.calendar import SHANGHAI, limits, shipped_calendar, start_of_day
from app.database import Connection
from app.identity import issue
from tests.conftest import Client
from tests.test_queue import enqueue, items_of, join, matters, person

WUHAN, YICHANG = "420106", "420502"


async def planted(client: Client, count: int, **values: Any) -> list[uuid.UUID]:
    """Items' ids."""
    async with client.house.database.transaction() as connection:
        found = await enqueue(connection, count, priority=0, **{"district": WUHAN, "due": timedelta(days=40), **values})
        return await items_of(connection, found)


async def joined(client: Client, count: int, **values: Any) -> list[uuid.UUID]:
    async with client.house.database.transaction() as connection:
        found = await enqueue(connection, count, priority=0, **{"district": WUHAN, "due": timedelta(days=40), **values})
        await work.regroup(connection, await join(connection, found))
        return await items_of(connection, found)


async def alter(client: Client, statement: str, *values: Any) -> None:
    async with client.house.database.connection() as connection:
        await connection.execute(statement, *values)


async def leader(client: Client, name: str, *places: str) -> None:
    async with client.house.database.connection() as connection:
        client.tokens[name] = await issue(connection, name, ["supervisor"], natural_person=True, jurisdictions=places or ("42",))


async def take(client: Client, role: str, item: uuid.UUID) -> str:
    answer = await client.post(role, "/v1/work-items/bulk", {"verb": "claim", "items": [{"id": str(item)}]})
    (told,) = answer.json()["results"]
    assert told["status"] == 200, told
    return str(told["items"][0]["lease_token"])


async def do(client: Client, role: str, item: uuid.UUID, verb: str, **body: Any) -> None:
    answer = await client.post(role, f"/v1/work-items/{item}/{verb}", body)
    assert answer.status_code == 200, answer.text


async def seen(client: Client, role: str = "supervisor", **query: Any) -> dict[str, Any]:
    answer = await client.get(role, "/v1/team", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def desk(body: dict[str, Any], queue: str, district: str = WUHAN) -> dict[str, Any]:
    (found,) = [d for d in body["desks"] if (d["queue"], d["district"]) == (queue, district)]
    return dict(found)


def one(body: dict[str, Any], subject: str) -> dict[str, Any]:
    (found,) = [p for p in body["people"] if p["subject"] == subject]
    return dict(found)


async def test_every_figure_is_that_of_the_planted_work(client: Client) -> None:
    items = await planted(client, 8)
    await joined(client, 3)
    (late,) = await planted(client, 1, due=timedelta(days=-2))
    async with client.house.database.transaction() as connection:
        ends_today = datetime.combine(datetime.now(SHANGHAI), time(23, 59, 59), SHANGHAI)
        (today,) = await matters(connection, 1, district=WUHAN)
        await work.enqueue(
            connection,
            [
                {
                    "matter_id": today, "track": "t1", "district": WUHAN, "priority": 0, "due_at": ends_today,
                    "received_at": datetime.now(UTC),
                }
            ],
        )  # fmt: skip
    finished, returned, transferred, expired, resting, kept, urged, _ = items
    tokens = {i: await take(client, "mediator", i) for i in items[:6]}
    await do(client, "mediator", finished, "finish", lease_token=tokens[finished], outcome="withdrawn", recovered_fen=500)
    await do(client, "mediator", returned, "return", lease_token=tokens[returned], reason="不属于本单位")
    await do(client, "mediator", transferred, "transfer", lease_token=tokens[transferred], to="second", reason="另案由其办理")
    await do(client, "mediator", resting, "hold", lease_token=tokens[resting], held_for="reply")
    await alter(
        client,
        "UPDATE lease SET until = clock_timestamp() - interval '1 second' WHERE unit_id = (SELECT unit_id FROM work_item WHERE id = $1)",
        expired,
    )
    assert desk(await seen(client), "t1")["leased"] == 2  # nobody holds what has expired, before the sweep as after it
    async with client.house.database.transaction() as connection:
        assert await work.sweep(connection) == 1
    await alter(
        client, "UPDATE matter SET urged = 2, supervised = 1 WHERE id = (SELECT matter_id FROM work_item WHERE id = $1)", urged
    )
    await alter(client, "UPDATE work_item SET flags = '{escalated}' WHERE id = $1", urged)
    await alter(client, "UPDATE work_item SET due_at = NULL WHERE id = $1", kept)
    await take(client, "second", late)

    body = await seen(client)
    now = desk(body, "t1")
    # Eight and one late and one today and three joint; one finished, one returned.
    assert {k: now[k] for k in ("open", "ready", "leased", "held", "overdue", "due_today")} == {
        "open": 11, "ready": 7, "leased": 3, "held": 1, "overdue": 1, "due_today": 1,
    }  # fmt: skip
    assert now["lights"] == {"green": 8, "yellow": 0, "red": 2, "grey": 1}
    assert {k: now[k] for k in ("flagged_escalated", "urged", "supervised")} == {
        "flagged_escalated": 1,
        "urged": 1,
        "supervised": 1,
    }
    # Six claims, a gift by the transfer, and the late one.
    done = {"claimed": 8, "finished": 1, "returned": 1, "transferred": 1, "expired": 1, "escalated": 0}
    assert now["today"] == now["days_7"] == done
    assert now["name"] == "线上和解"
    assert now["oldest_waiting_at"] is not None
    back = desk(body, "intake")
    assert (back["open"], back["today"]["returned"]) == (1, 0)  # the return is t1's, the work is the intake desk's
    mediator, second = one(body, "mediator"), one(body, "second")
    assert {k: mediator[k] for k in ("leased", "resting", "overdue")} == {"leased": 1, "resting": 1, "overdue": 0}
    assert mediator["days_7"] == {"finished": 1, "returned": 1, "expired": 1, "outcomes": {"withdrawn": 1}, "recovered_fen": 500}
    assert mediator["days_30"] == mediator["days_7"]
    assert {k: second[k] for k in ("leased", "resting", "overdue")} == {"leased": 2, "resting": 0, "overdue": 1}
    assert one(body, "yichang")["oldest_claim_at"] is None
    assert set(body["definitions"]) >= {*done, "ready", "overdue", "lights", "resting", "oldest_waiting_at"}
    assert body["as_of"]


async def test_periods_and_absences(client: Client) -> None:
    (item, *_) = await planted(client, 2)
    async with client.house.database.connection() as connection:
        for days, outcome, fen in ((3, "agreement", 100), (20, "agreement", 40), (20, "withdrawn", None), (50, "agreement", 7)):
            await connection.execute(
                "INSERT INTO work_event (work_item_id, act, actor, token, detail, at) VALUES ($1, 'finish', 'second', gen_random_uuid(), "
                "jsonb_build_object('holder', 'second', 'claimed_at', $2::timestamptz, 'outcome', $3::text, 'recovered_fen', $4::bigint), $2)",
                item, datetime.now(UTC) - timedelta(days=days), outcome, fen,
            )  # fmt: skip
        now = datetime.now(UTC)
        await staff.leave(
            connection,
            person("second"),
            subject="second",
            from_at=now,
            until_at=now + timedelta(days=2),
            deputy="mediator",
            now=now,
        )
    body = await seen(client, district=WUHAN, queue="t1")
    who = one(body, "second")
    assert who["days_7"] == {"finished": 1, "returned": 0, "expired": 0, "outcomes": {"agreement": 1}, "recovered_fen": 100}
    assert who["days_30"]["outcomes"] == {"agreement": 2, "withdrawn": 1}
    assert (who["days_30"]["finished"], who["days_30"]["recovered_fen"]) == (3, 140)
    assert who["absence"]["deputy"] == "mediator"
    now_ = desk(body, "t1")
    assert (now_["today"]["finished"], now_["days_7"]["finished"], now_["days_7"]["claimed"]) == (0, 1, 1)


async def test_the_lights_are_those_of_the_clocks(client: Client) -> None:
    now = datetime.now(UTC)
    async with client.house.database.transaction() as connection:
        found = await enqueue(connection, 60, priority=0, district=WUHAN, due=timedelta(days=-3))
        rows = await connection.fetch("SELECT matter_id, due_at FROM work_item WHERE matter_id = ANY($1) ORDER BY due_at", found)
        for n, row in enumerate(rows):
            await connection.execute(
                "INSERT INTO clock (id, matter_id, key, law, received_on, mode, started_at, due_on, due_at, provisional, reason, other_modes, "
                "paused_days) VALUES (gen_random_uuid(), $1, 'complaint.mediate', '', $2, 'statutory', $3, $4, $5, false, '', '{}', $6)",
                row["matter_id"], now.date(), now - timedelta(days=n * 7 % 60), row["due_at"].date(), row["due_at"], n % 5,
            )  # fmt: skip
    counted = desk(await seen(client), "t1")["lights"]
    for light in ("green", "yellow", "red"):
        listed = (await client.get("supervisor", "/v1/team/items", params={"light": light})).json()["items"]
        assert {i["light"] for i in listed} == {light}  # the list asks in SQL, the light is said by app.calendar
        assert len(listed) == counted[light]
    assert sum(counted.values()) == 60


@pytest.mark.parametrize("day", [date(2026, 2, 12), date(2026, 9, 29), date(2026, 11, 28), date(2026, 12, 31)])
def test_the_limits_are_the_rule_of_the_light(day: date) -> None:
    from app.calendar import end_of_day, light

    calendar = shipped_calendar()
    now = start_of_day(day) + timedelta(hours=10)
    red, yellow = limits(now, calendar)
    for n in range(-3, 25):
        due_at = end_of_day(day + timedelta(days=n))
        told = "red" if due_at < red else "yellow" if due_at < yellow else "green"
        assert light(now, due_at, due_at, calendar) == told


async def test_pages_hold_each_item_once(client: Client) -> None:
    items = await planted(client, 7)
    await alter(client, "UPDATE work_item SET due_at = NULL WHERE id = ANY($1)", items[:3])
    await take(client, "mediator", items[6])
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await client.get("supervisor", "/v1/team/items", params=query)).json()
        found += [i["id"] for i in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [str(i) for i in (*items[3:], *items[:3])]

    async def listed(**query: Any) -> list[str]:
        answer = await client.get("supervisor", "/v1/team/items", params=query)
        assert "lease_token" not in answer.text
        return [i["id"] for i in answer.json()["items"]]

    assert await listed(holder="mediator") == await listed(state="leased") == [str(items[6])]
    assert await listed(light="grey") == [str(i) for i in items[:3]]
    assert await listed(overdue=True) == await listed(flag="escalated") == await listed(queue="t2") == []
    assert len(await listed(overdue=False, state="ready", district="4201")) == 6
    assigned = await client.post(
        "supervisor", "/v1/work-items/bulk",
        {"verb": "assign", "items": [{"id": i} for i in found[:2]], "with": {"to": "second", "reason": "分派"}},
    )  # fmt: skip
    assert assigned.json()["done"] == 2
    assert len(await listed(holder="second")) == 2


async def test_who_may_look(client: Client) -> None:
    await leader(client, "east", "4201")
    (item,) = await planted(client, 1)
    (far,) = await planted(client, 1, district=YICHANG)
    for path in ("", "/items", "/alarms"):
        assert (await client.get("mediator", f"/v1/team{path}")).status_code == 403
        assert (await client.get("analyst", f"/v1/team{path}")).status_code == 403
    assert {d["district"] for d in (await seen(client, "east"))["desks"]} == {WUHAN}
    assert {d["district"] for d in (await seen(client))["desks"]} == {WUHAN, YICHANG}
    assert "yichang" not in {p["subject"] for p in (await seen(client, "east"))["people"]}
    assert [i["id"] for i in (await client.get("east", "/v1/team/items")).json()["items"]] == [str(item)]
    assert (await client.get("east", "/v1/team", params={"district": "4205"})).status_code == 403
    assert (await client.get("supervisor", "/v1/team", params={"queue": "nowhere"})).status_code == 404
    assert (await client.get("supervisor", "/v1/team/items", params={"cursor": "x"})).status_code == 422
    body = {"queue": "t1", "to": ["second"], "reason": "均衡"}
    assert (await client.post("mediator", "/v1/team/rebalance", body)).status_code == 403
    told = (await client.post("east", "/v1/team/rebalance", body)).json()
    assert [i["id"] for i in told["items"]] == [str(item)]
    assert str(far) not in str(told)


# -- re-balancing


async def spread(client: Client, role: str = "supervisor", **body: Any) -> dict[str, Any]:
    answer = await client.post(role, "/v1/team/rebalance", {"queue": "t1", "reason": "均衡工作量", **body})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def holders(client: Client) -> dict[str, int]:
    async with client.house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT l.holder, count(*) AS n FROM lease l JOIN work_item w ON w.unit_id = l.unit_id AND w.finished_at IS NULL GROUP BY 1"
        )
    return {r["holder"]: r["n"] for r in rows}


async def test_what_waits_is_spread_evenly(client: Client) -> None:
    first, *_ = await planted(client, 7)
    await take(client, "mediator", first)
    plan = await spread(client, to=["mediator", "second"], dry_run=True)
    assert (plan["done"], await holders(client)) == (6, {"mediator": 1})
    assert [(c["before"], c["after"]) for c in plan["colleagues"]] == [(1, 4), (0, 3)]
    few = await spread(client, to=["mediator", "second"], limit=2)
    assert (few["done"], await holders(client)) == (2, {"mediator": 2, "second": 1})
    await spread(client, to=["mediator", "second"])
    assert await holders(client) == {"mediator": 4, "second": 3}


async def test_what_one_has_is_spread_and_a_joint_matter_goes_whole(client: Client) -> None:
    items = await planted(client, 5)
    together = await joined(client, 3)
    for item in (*items, together[0]):
        await take(client, "mediator", item)
    assert await holders(client) == {"mediator": 8}
    told = await spread(client, **{"from": "mediator", "to": ["mediator", "second"]})
    assert await holders(client) == {"mediator": 4, "second": 4}
    assert {c["subject"]: c["after"] for c in told["colleagues"]} == {"mediator": 4, "second": 4}
    async with client.house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT DISTINCT l.holder FROM work_item w JOIN lease l ON l.unit_id = w.unit_id WHERE w.id = ANY($1)", together
        )
    assert len(rows) == 1
    await spread(client, **{"from": "mediator", "to": ["second"]})
    assert await holders(client) == {"second": 8}


async def test_of_who_works_elsewhere_nothing_is_told(client: Client) -> None:
    await leader(client, "boss", "4205")
    (item,) = await planted(client, 1)
    async with client.house.database.connection() as connection:
        await issue(connection, "wuhan", ["mediator"], natural_person=True, jurisdictions=["4201"])
        await work.claim_these(connection, [item], person("wuhan", "4201"), lease_seconds=600)
    told = await spread(client, "boss", to=["wuhan", "nobody", "yichang"])
    ours, unknown, near = told["colleagues"]
    assert (ours["before"], ours["why"]) == (0, unknown["why"])
    assert near["why"] is None


async def test_whoever_may_not_have_it_gets_nothing(client: Client) -> None:
    items = await planted(client, 4)
    await planted(client, 1, district="42")
    async with client.house.database.connection() as connection:
        now = datetime.now(UTC)
        await issue(connection, "ill", ["mediator"], natural_person=True, jurisdictions=["42"])
        await staff.leave(
            connection, person("ill"), subject="ill", from_at=now, until_at=now + timedelta(days=2), deputy=None, now=now
        )
        matter = await work.matter_of(connection, items[0])
        await staff.recuse(connection, matter, "second", reason="当事人亲属", actor="second")
    told = await spread(client, district=WUHAN, to=["second", "ill", "yichang", "robot"])
    refused = [i for i in told["items"] if i["status"] != 200]
    assert [(i["id"], i["to"]) for i in refused] == [(str(items[0]), None)]
    assert await holders(client) == {"second": 3}  # not the one he is recused from; nobody who is away, elsewhere or a machine
    why = {c["subject"]: c["why"] for c in told["colleagues"]}
    assert (why["second"], why["yichang"]) == (None, None)
    assert why["ill"]
    assert why["robot"]


async def test_what_another_took_meanwhile_stays_his(client: Client) -> None:
    (item,) = await planted(client, 1)
    await take(client, "mediator", item)
    async with client.house.database.transaction() as connection:
        matter = await work.matter_of(connection, item)
        await connection.execute("SELECT 1 FROM matter WHERE id = $1 FOR NO KEY UPDATE", matter)
        for had in ((None,), ("second",)):
            with pytest.raises(Exception, match="somebody else has it"):
                await work.assign(connection, item, "second", "supervisor", "均衡", had=had)
    assert await holders(client) == {"mediator": 1}


# -- alarms


def test_only_working_hours_count() -> None:
    calendar, rule = shipped_calendar(), alarms.rules()

    def before(hours: float, *now: int) -> str:
        moment = datetime(*now, tzinfo=SHANGHAI)  # type: ignore[misc,arg-type]
        found = alarms.working_time_before(moment, timedelta(hours=hours), calendar, rule.hours)
        return found.astimezone(SHANGHAI).strftime("%m-%d %H:%M")

    assert before(2, 2026, 11, 25, 16, 30) == "11-25 14:30"
    assert before(2, 2026, 11, 25, 14, 30) == "11-25 10:30"
    assert before(2, 2026, 11, 25, 9, 30) == "11-24 15:30"
    assert before(2, 2026, 11, 28, 17, 0) == "11-27 15:00"  # a Saturday
    assert before(7, 2026, 11, 30, 3, 0) == "11-26 16:00"


async def watch(client: Client) -> tuple[int, int]:
    async with client.house.database.transaction() as connection:
        return await alarms.watch(connection, client.house.calendar, datetime.now(UTC))


async def starved(client: Client, connection: Connection, item: uuid.UUID) -> None:
    """Came thirty days ago, and its term ended twenty days ago."""
    await connection.execute(
        "UPDATE work_item SET enqueued_at = clock_timestamp() - interval '30 days', due_at = clock_timestamp() - interval '20 days' WHERE id = $1",
        item,
    )


async def test_an_alarm_is_opened_once_acknowledged_and_closed(client: Client) -> None:
    await leader(client, "west", "4205")
    await leader(client, "deputy")
    item, _, other = await planted(client, 3)
    assert await watch(client) == (0, 0)
    async with client.house.database.connection() as connection:
        await starved(client, connection, item)
        await starved(client, connection, other)
    assert await watch(client) == (2, 0)
    assert await watch(client) == (0, 0)

    async def listed(role: str = "supervisor", **query: Any) -> dict[str, Any]:
        answer = (await client.get(role, "/v1/team/alarms", params=query)).json()
        return {a["kind"]: a for a in answer["items"]}

    found = await listed()
    assert set(found) == {"unclaimed", "waiting"}
    assert (found["unclaimed"]["queue_id"], found["unclaimed"]["district"]) == ("t1", WUHAN)
    assert (found["unclaimed"]["figures"]["items"], found["unclaimed"]["figures"]["overdue"]) == (2, 2)
    assert {found["waiting"]["figures"][k][-6:] for k in ("due_at", "enqueued_at")} == {"+08:00"}
    assert await listed("west") == {}
    metrics = (await client.http.get("/metrics")).text
    assert 'triage_queue_alarms{queue="t1"} 2.0' in metrics
    assert 'triage_oldest_red_seconds{queue="t1"}' in metrics

    path = f"/v1/team/alarms/{found['unclaimed']['id']}/acknowledge"
    assert (await client.post("mediator", path)).status_code == 403
    assert (await client.post("west", path)).status_code == 404
    first = await client.post("supervisor", path, {"note": "已安排，电话13912345678"})
    assert (first.status_code, first.json()["acknowledged_by"]) == (200, "supervisor")
    assert "13912345678" not in first.text
    assert first.json()["figures"] == found["unclaimed"]["figures"]
    assert {k: a["label"] for k, a in found.items()} == {
        "unclaimed": "今天到期或者已超期，上班时间2小时内无人领取", "waiting": "等待时间已过其期限的50%，仍从未被领取",
    }  # fmt: skip
    assert (await client.post("supervisor", path)).json()["acknowledged_at"] == first.json()["acknowledged_at"]
    assert (await client.post("deputy", path)).status_code == 409

    token = await take(client, "mediator", item)
    assert await watch(client) == (0, 1)  # somebody pulls again; the other one waits as before
    await do(client, "mediator", item, "release", lease_token=token)
    assert await watch(client) == (0, 0)
    assert set(await listed()) == {"waiting"}
    await take(client, "second", other)
    assert await watch(client) == (0, 1)
    assert await listed() == {}
    over = await listed(open=False)
    assert set(over) == {"unclaimed", "waiting"}
    late = await client.post("supervisor", f"/v1/team/alarms/{over['waiting']['id']}/acknowledge")
    assert late.status_code == 409
    pages = await client.get("supervisor", "/v1/team/alarms", params={"open": False, "limit": 1})
    again = await client.get(
        "supervisor", "/v1/team/alarms", params={"open": False, "limit": 1, "cursor": pages.json()["next_cursor"]}
    )
    assert {pages.json()["items"][0]["kind"], again.json()["items"][0]["kind"]} == {"unclaimed", "waiting"}
    assert "triage_queue_alarms{" not in (await client.http.get("/metrics")).text
