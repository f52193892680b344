"""Call-backs after a complaint ended, reopening on what was answered, and what a person makes of a dispute that comes again (R2)."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app import callbacks, cases, handing, identity, incidents, reconciling, reviewing, runs, settling, staff
from app.calendar import local_day
from app.errors import Conflict, Forbidden
from app.identity import drawn, new_id
from app.reviewing import Answer
from app.triage import House
from tests.conftest import Client, complaint
from tests.test_acts import ANNA, BORIS, LANES, act, matter, person, state

NOW = datetime(2026, 9, 7, 4, tzinfo=UTC)  # a Monday
WEEK = timedelta(days=7)
TEXT = "在桂禾坊家电商行购买的电饭煲不能加热，商家拒绝退货，要求退款300元"
SHOP = [{"name": "桂禾坊家电商行", "address": "武汉市武昌区中南路18号"}]


@pytest.fixture
def all_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "drawn", lambda _id, share: share > 0)


async def rows(house: House, matter_id: Any) -> list[Any]:
    async with house.database.connection() as connection:
        return list(await connection.fetch("SELECT * FROM callback WHERE matter_id = $1 ORDER BY id", uuid.UUID(str(matter_id))))


async def only(house: House, matter_id: Any) -> Any:
    (row,) = await rows(house, matter_id)
    return row


async def bring_forward(house: House) -> None:
    """As if the days since the end had passed."""
    async with house.database.connection() as connection:
        await connection.execute("UPDATE callback SET due_from = current_date - 1")


async def value(house: House, sql: str, *arguments: Any) -> Any:
    async with house.database.connection() as connection:
        return await connection.fetchval(sql, *arguments)


async def file(client: Client, number: int, name: str = "1", text: str = TEXT, **more: Any) -> dict[str, Any]:
    """A complaint of a person by the portal: {complaint, matter}. name: another one is another letter of his."""
    body = complaint(
        f"c{number}.{name}", text, product="电饭煲", event_date="2026-11-01", respondents=SHOP,
        complainant={"name": "李建国", "phone": f"138{number:08d}"}, **more,
    )  # fmt: skip
    answer = (await client.post("portal", "/v1/complaints", body)).json()
    return {"complaint": answer["id"], **answer["matters"][0]}


async def do(client: Client, who: str, matter_id: str, name: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await client.post(who, f"/v1/matters/{matter_id}/{name}", {"reason": "依据案卷材料", **body})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def agreed(client: Client, number: int) -> str:
    """A matter that the mediator accepted and brought to an agreement, its call-back due."""
    one = str((await file(client, number))["id"])
    await do(client, "mediator", one, "accept")
    await do(client, "mediator", one, "agree")
    await bring_forward(client.house)
    return one


async def answered(client: Client, who: str, callback_id: Any, body: Mapping[str, Any], status: int = 200) -> dict[str, Any]:
    answer = await client.post(who, f"/v1/callbacks/{callback_id}/result", dict(body))
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


# -- who is asked, and when


async def test_each_way_to_end_opens_the_call_back_of_its_rule(house: House, all_drawn: None) -> None:
    ends: dict[str, tuple[str, dict[str, Any]]] = {
        "agreed": ("agree", {}), "settled": ("terminate", {"ground": "23(1)(1)"}), "terminated": ("terminate", {"ground": "23(1)(3)"}),
    }  # fmt: skip
    for number, (ending, (name, more)) in enumerate(ends.items()):
        one = await matter(house, number)
        await act(house, one, "accept", at=NOW)
        await act(house, one, name, at=NOW, **more)
        row, rule = await only(house, one), callbacks.rules().endings[ending]
        assert (row["ending"], row["cause"], row["state"], row["settled_by"]) == (ending, "ended", "open", ["anna"])
        assert row["due_from"] == date(2026, 9, 7) + timedelta(days=rule.after_days)
    # Ten working days after Monday the 14th, the 20th being one and the 25th a holiday: by the calendar, to the day's last second.
    row = await only(house, await value(house, "SELECT matter_id FROM callback WHERE ending = 'agreed'"))
    assert row["due_at"].date() == house.calendar.add_working_days(date(2026, 9, 14), 10)
    withdrawn, refused = await matter(house, 8), await matter(house, 9)
    letter = await value(house, "SELECT letter_id FROM matter WHERE id = $1", withdrawn)
    await settling.withdraw(house, letter, person("portal", "portal", natural=False), reason=None)
    assert (await only(house, withdrawn))["ending"] == "withdrawn"
    await act(house, refused, "refuse", ground="16(1)")
    assert await rows(house, refused) == []
    clue = await matter(house, 10, "举报江城味火锅使用过期食材加工，请依法查处。")
    await act(house, clue, "verify")
    assert await rows(house, clue) == []


async def test_what_an_odr_enterprise_settled_is_asked_as_settled(house: House) -> None:
    """T1: from settlement online; a partner's word that a person signs ends alike."""
    one, other = await matter(house, 1), await matter(house, 2)
    async with house.database.connection() as connection:
        await connection.execute("UPDATE matter SET state = 'settling' WHERE id = $1", one)
        await connection.execute(
            "INSERT INTO state_change (matter_id, state, actor, authority, at, act) VALUES ($1, 'settling', 'anna', 'bureau', now(), 'settle')",
            one,
        )
    await act(house, one, "agree")
    assert (await only(house, one))["ending"] == "settled"
    async with house.database.transaction() as connection:
        held = await cases.hold(connection, other)
        status = handing.Status("s1", "done", NOW, "agreement")
        drafted = {"id": new_id(), "kind": "odr"}
        assert await handing._draft_end(connection, held, drafted, status, "partner:x", NOW) == "drafted_agree"
    waiting = await value(house, "SELECT id FROM approval WHERE matter_id = $1", other)
    await settling.approve(house, waiting, BORIS, lanes=LANES)
    row = await only(house, other)
    assert (row["ending"], row["settled_by"]) == ("settled", ["boris"])


async def test_history_and_copies_are_not_asked(client: Client) -> None:
    first = await file(client, 1)
    copy = await file(client, 1, "copy")
    assert copy["state"] == "merged"
    await do(client, "intake", first["id"], "agree")
    assert await rows(client.house, copy["id"]) == []
    assert len(await rows(client.house, first["id"])) == 1
    house, old = client.house, await matter(client.house, 3)
    async with house.database.transaction() as connection:
        await connection.execute("UPDATE matter SET history = true WHERE id = $1", old)
    await act(house, old, "agree")
    assert await rows(house, old) == []


def test_a_share_is_drawn_by_the_random_part_of_ids() -> None:
    ids = [new_id() for _ in range(20_000)]
    for share in (0.0, 0.2, 1.0):
        assert sum(drawn(i, share) for i in ids) / len(ids) == pytest.approx(share, abs=0.02)
    assert {name: rule.share for name, rule in callbacks.rules().endings.items() if rule.agreement} == {"agreed": 1, "settled": 1}


async def test_of_what_is_sampled_only_the_share_is_asked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([uuid.UUID(int=0x3332), uuid.UUID(int=0x3334)])  # a fifth of 0x10000 is 0x3333
    monkeypatch.setattr(callbacks, "new_id", lambda: next(made))
    asked, passed = await matter(house, 1), await matter(house, 2)
    for one in (asked, passed):
        await act(house, one, "accept")
        await act(house, one, "terminate", ground="23(1)(3)")
    assert (len(await rows(house, asked)), len(await rows(house, passed))) == (1, 0)


async def test_what_the_platform_ended_is_asked_too_and_what_it_opens_again_no_more(house: House, all_drawn: None) -> None:
    one = await matter(house, 1)
    async with house.database.transaction() as connection:
        held = await cases.hold(connection, one)
        await reconciling._move(house, connection, held, "ended", NOW, "platform", "worker", "平台记录", "follow", [])
    row = await only(house, one)
    # Its days count from when it was known.
    assert (row["ending"], row["settled_by"], row["due_from"] > local_day(datetime.now(UTC))) == ("ended", [], True)
    async with house.database.transaction() as connection:
        held = await cases.hold(connection, one)
        await reconciling._move(house, connection, held, "accepted", NOW, "platform", "worker", "平台记录", "follow", [])
    assert (await only(house, one))["state"] == "lapsed"


async def test_a_matter_that_goes_on_is_not_asked_for_its_former_end(house: House) -> None:
    one = await matter(house, 1)
    await act(house, one, "accept", at=NOW)
    await act(house, one, "agree", at=NOW)
    await act(house, one, "reopen", BORIS, ground="own_error", at=NOW)
    await act(house, one, "agree", BORIS, at=NOW + WEEK)
    first, second = await rows(house, one)
    assert (first["state"], second["state"]) == ("lapsed", "open")
    assert second["settled_by"] == ["anna", "boris"]  # whoever handled it before does not ask either
    with pytest.raises(Conflict):
        await reviewing.record(house, first["id"], person("carl"), Answer("yes", "yes"), lanes=LANES, at=NOW + 2 * WEEK)


# -- asking


async def test_who_handled_it_does_not_ask_and_sees_no_contacts(client: Client) -> None:
    one = await agreed(client, 1)
    row = await only(client.house, one)
    for path, body in (("attempt", None), ("result", {"satisfied": "yes", "performed": "yes"})):
        answer = await client.post("mediator", f"/v1/callbacks/{row['id']}/{path}", body)
        assert (answer.status_code, "承办人员以外" in answer.json()["detail"]) == (403, True)
        assert (await client.post("robot", f"/v1/callbacks/{row['id']}/{path}", body)).status_code == 403
        assert (await client.post("yichang", f"/v1/callbacks/{row['id']}/{path}", body)).status_code == 404
        assert (await client.post("analyst", f"/v1/callbacks/{row['id']}/{path}", body)).status_code == 403
    for who, may, phone in (("mediator", False, "138****0001"), ("second", True, "13800000001"), ("robot", False, "138****0001")):
        seen = (await client.get(who, f"/v1/callbacks/{row['id']}")).json()
        assert (seen["may_ask"], seen["complaint"]["complainant"]["phone"]) == (may, phone)
    assert await value(client.house, "SELECT count(*) FROM audit_entry WHERE act = 'reveal' AND actor = 'second'") == 1
    assert (await client.get("yichang", f"/v1/callbacks/{row['id']}")).status_code == 404


async def test_whoever_is_recused_does_not_ask_and_sees_no_contacts(client: Client) -> None:
    one = await agreed(client, 1)
    row = await only(client.house, one)
    async with client.house.database.connection() as connection:
        await staff.recuse(connection, uuid.UUID(one), "second", reason="亲属", actor="boss")
    assert (await client.post("second", "/v1/callbacks/take", {"limit": 5})).json()["items"] == []
    seen = (await client.get("second", f"/v1/callbacks/{row['id']}")).json()
    assert (seen["may_ask"], seen["complaint"]["complainant"]["phone"]) == (False, "138****0001")
    assert "recused" not in seen
    assert (await client.post("second", f"/v1/callbacks/{row['id']}/attempt")).status_code == 403
    await answered(client, "second", row["id"], {"satisfied": "very", "performed": "yes"}, status=403)
    assert (await only(client.house, one))["state"] == "open"


async def test_the_holder_of_the_lease_when_the_complainant_withdrew_does_not_ask(client: Client, all_drawn: None) -> None:
    one = await file(client, 1)
    queue = await value(client.house, "SELECT queue_id FROM work_item WHERE matter_id = $1", uuid.UUID(one["id"]))
    (item,) = (await client.post("mediator", f"/v1/queues/{queue}/claim", {"limit": 1})).json()["items"]
    assert item["matter_id"] == one["id"]
    assert (await client.post("portal", f"/v1/complaints/{one['complaint']}/withdraw", {})).status_code == 200
    assert (await only(client.house, one["id"]))["settled_by"] == ["mediator", "portal"]


async def test_nobody_is_asked_before_the_day_and_archived_before_he_is_asked(house: House) -> None:
    one = await matter(house, 1)
    await act(house, one, "agree", at=NOW)
    row = await only(house, one)
    for early in (NOW, NOW + timedelta(days=6)):
        with pytest.raises(Conflict, match="2026-09-14"):
            await reviewing.record(house, row["id"], BORIS, Answer("yes", "yes"), lanes=LANES, at=early)
    with pytest.raises(Conflict, match="回访"):
        await act(house, one, "archive", at=NOW + WEEK)
    await reviewing.record(house, row["id"], BORIS, Answer("yes", "yes"), lanes=LANES, at=NOW + WEEK)
    await act(house, one, "archive", at=NOW + WEEK)
    assert await state(house, one) == "archived"


async def test_after_three_calls_that_nobody_answered_it_ends(house: House) -> None:
    one = await matter(house, 1)
    await act(house, one, "agree", at=NOW)
    row, at = await only(house, one), NOW + WEEK
    told = [
        await reviewing.attempt(house, row["id"], BORIS, lanes=LANES, at=at + timedelta(hours=h)) for h in (0, 1, 3.9, 4, 30)
    ]  # fmt: skip
    assert [(t["counted"], t["attempts"], t["state"]) for t in told] == [
        (True, 1, "open"), (False, 1, "open"), (False, 1, "open"), (True, 2, "open"), (True, 3, "unreachable"),
    ]  # fmt: skip
    for again in (
        reviewing.attempt(house, row["id"], BORIS, lanes=LANES, at=at + 2 * WEEK),
        reviewing.record(house, row["id"], BORIS, Answer("no", "no"), lanes=LANES, at=at + 2 * WEEK),
    ):
        with pytest.raises(Conflict, match="多次联系未果"):
            await again
    async with house.database.connection() as connection:
        notes = await connection.fetch("SELECT note, actor FROM state_change WHERE matter_id = $1 AND act = 'callback'", one)
    assert [("第3次" in n["note"], n["actor"]) for n in notes] == [(False, "boris"), (False, "boris"), (True, "boris")]
    assert await value(house, "SELECT satisfied FROM matter WHERE id = $1", one) is None


async def test_the_list_is_due_first_with_a_cursor_and_of_the_callers_places(client: Client) -> None:
    made = [await agreed(client, n) for n in range(1, 4)]
    async with client.house.database.connection() as connection:
        for days, one in enumerate(reversed(made), 1):
            await connection.execute(
                "UPDATE callback SET due_at = now() + make_interval(days => 2 * $2 - 3) WHERE matter_id = $1",
                uuid.UUID(one),
                days,
            )
        await connection.execute("UPDATE callback SET due_from = current_date + 3 WHERE matter_id = $1", uuid.UUID(made[0]))
    seen: list[dict[str, Any]] = []
    after = ""
    while after is not None:
        page = (await client.get("second", f"/v1/callbacks?limit=2&cursor={after}")).json()
        seen += page["items"]
        after = page["next_cursor"]
    assert [i["matter_id"] for i in seen] == list(reversed(made))
    assert [(i["overdue"], i["may_ask"]) for i in seen] == [(True, True), (False, True), (False, False)]
    assert seen[0]["ending_label"] == "达成协议"
    assert [i["may_ask"] for i in (await client.get("mediator", "/v1/callbacks")).json()["items"]] == [False] * 3
    assert len((await client.get("second", "/v1/callbacks?due=true")).json()["items"]) == 2
    assert (await client.get("second", "/v1/callbacks?district=4205")).json()["items"] == []
    assert (await client.get("yichang", "/v1/callbacks")).json()["items"] == []
    assert (await client.get("second", "/v1/callbacks?state=done")).json()["items"] == []
    assert (await client.get("analyst", "/v1/callbacks")).status_code == 403
    assert (await client.get("second", "/v1/callbacks?cursor=x")).status_code == 422


async def taken(client: Client, who: str, **body: Any) -> list[str]:
    found = await client.post(who, "/v1/callbacks/take", body)
    assert found.status_code == 200, found.text
    return [i["id"] for i in found.json()["items"]]


async def test_a_call_back_is_given_to_one_person_at_a_time(client: Client) -> None:
    made = [await agreed(client, n) for n in range(1, 5)]
    ids = {str((await only(client.house, one))["id"]) for one in made}
    assert await taken(client, "mediator", limit=5) == []  # who handled them
    assert await taken(client, "yichang", limit=5) == []
    assert await taken(client, "second", limit=5, district="4205") == []
    callers = ("second", "supervisor", "intake")
    given = dict(zip(callers, await asyncio.gather(*(taken(client, who) for who in callers)), strict=True))
    assert len({one for mine in given.values() for one in mine}) == 3
    (mine,) = given["second"]
    assert await taken(client, "second") == [mine]  # said again
    assert set(await taken(client, "second", limit=5)) == {mine} | ids - {one for g in given.values() for one in g}
    shown = {i["id"]: i for i in (await client.get("intake", "/v1/callbacks")).json()["items"]}
    assert not shown[mine]["may_ask"]
    assert shown[given["intake"][0]]["may_ask"]
    assert shown[mine]["taken_by"] == "second"
    # Given back; called in vain; kept too long.
    assert (await client.post("intake", f"/v1/callbacks/{mine}/release")).status_code == 409
    assert (await client.post("second", f"/v1/callbacks/{mine}/release")).status_code == 200
    assert mine in await taken(client, "intake", limit=2)
    (his,) = given["supervisor"]
    assert (await client.post("supervisor", f"/v1/callbacks/{his}/attempt")).json()["counted"]
    assert his not in await taken(client, "intake", limit=5)
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE callback SET taken_until = now() - interval '1 s' WHERE taken_by = 'intake'")
        await connection.execute("UPDATE callback SET attempted_at = attempted_at - interval '5 hours'")
    assert {mine, his} <= set(await taken(client, "supervisor", limit=5))
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    assert (await client.post("supervisor", "/v1/absences", {"until_at": until})).status_code == 201
    assert await taken(client, "supervisor", limit=5) == []  # who is away gets no work, what he had included


async def test_wrong_takings_name_the_field(client: Client) -> None:
    for body, field in (
        ({"limit": 0}, "limit"),
        ({"minutes": 1}, "minutes"),
        ({"district": "4x"}, "district"),
        ({"who": "a"}, "who"),
    ):
        found = await client.post("second", "/v1/callbacks/take", body)
        assert found.status_code == 422
        assert found.json()["errors"][0]["field"] == field
    assert (await client.post("analyst", "/v1/callbacks/take", {})).status_code == 403


# -- what was answered


async def test_a_content_complainant_is_noted_and_nothing_else_happens(client: Client) -> None:
    one = await agreed(client, 1)
    row = await only(client.house, one)
    body = {"satisfied": "very", "performed": "yes", "note": "商家已退款，电话13912345678可核实"}
    first = await answered(client, "second", row["id"], body)
    assert (first["state"], first["findings"], first["approval_id"]) == ("done", [], None)
    assert "13912345678" not in first["note"]
    assert await answered(client, "second", row["id"], body) == first  # the same again
    await answered(client, "second", row["id"], {**body, "satisfied": "no"}, 409)
    await answered(client, "supervisor", row["id"], body, 409)  # another person's is another
    assert await value(client.house, "SELECT satisfied FROM matter WHERE id = $1", uuid.UUID(one)) is True
    assert await value(client.house, "SELECT count(*) FROM approval") == 0
    assert await value(client.house, "SELECT count(*) FROM finding WHERE code LIKE 'callback%' OR code LIKE 'agreement%'") == 0
    assert await state(client.house, uuid.UUID(one)) == "agreed"


@pytest.mark.parametrize(
    ("said", "satisfied", "findings", "ground"),
    [
        ({"satisfied": "no", "performed": "yes"}, False, ["callback_dissatisfied"], "own_error"),
        ({"satisfied": "yes", "performed": "no"}, True, ["agreement_not_performed"], "agreement_not_performed"),
        ({"satisfied": "no", "performed": "partly"}, False, ["callback_dissatisfied", "agreement_not_performed"], "agreement_not_performed"),
        ({"satisfied": "neutral", "performed": "not_due"}, None, [], None),
        ({"satisfied": "neutral", "performed": "not_due", "wants_reopening": True}, None, [], "own_error"),
        ({"satisfied": "no", "performed": "no", "wants_reopening": False}, False, ["callback_dissatisfied", "agreement_not_performed"], None),
    ],
)  # fmt: skip
async def test_what_an_answer_finds_and_proposes(
    client: Client, said: dict[str, Any], satisfied: bool | None, findings: list[str], ground: str | None
) -> None:
    one = await agreed(client, 1)
    row = await only(client.house, one)
    told = await answered(client, "second", row["id"], said)
    assert told["findings"] == findings
    async with client.house.database.connection() as connection:
        found = await connection.fetch("SELECT code, evidence FROM finding WHERE matter_id = $1 ORDER BY id", uuid.UUID(one))
        assert await connection.fetchval("SELECT satisfied FROM matter WHERE id = $1", uuid.UUID(one)) is satisfied
    assert [f["code"] for f in found if f["code"] in findings] == findings
    assert all(f["evidence"]["callback_id"] == str(row["id"]) for f in found if f["code"] in findings)
    items = (await client.get("supervisor", "/v1/approvals")).json()["items"]
    assert [(i["id"], i["kind"], i["act"], i["ground"], i["last_by"]) for i in items] == (
        [(told["approval_id"], "review", "reopen", ground, "supervisor")] if ground else []
    )
    assert await state(client.house, uuid.UUID(one)) == "agreed"  # no machine reopens


async def test_settlement_by_the_merchant_alone_is_its_own_ground(house: House) -> None:
    one = await matter(house, 1)
    await act(house, one, "accept", at=NOW)
    await act(house, one, "terminate", ground="23(1)(1)", at=NOW)
    row = await only(house, one)
    await reviewing.record(house, row["id"], BORIS, Answer("no", "yes"), lanes=LANES, at=NOW + WEEK)
    assert await value(house, "SELECT ground FROM approval") == "handled_by_merchant_or_odr_only"


async def test_performance_is_asked_of_agreements_and_of_nothing_else(client: Client, all_drawn: None) -> None:
    one = await agreed(client, 1)
    await answered(client, "second", (await only(client.house, one))["id"], {"satisfied": "yes"}, 422)
    other = (await file(client, 2))["id"]
    await do(client, "mediator", other, "accept")
    await do(client, "mediator", other, "terminate", ground="23(1)(3)")
    await bring_forward(client.house)
    row = await only(client.house, other)
    await answered(client, "second", row["id"], {"satisfied": "yes", "performed": "yes"}, 422)
    await answered(client, "second", row["id"], {"satisfied": "great"}, 422)
    assert (await answered(client, "second", row["id"], {"satisfied": "yes"}))["performed"] is None


async def test_a_supervisor_who_did_not_handle_it_reopens(client: Client) -> None:
    house, one = client.house, await agreed(client, 1)
    async with house.database.transaction() as connection:  # the mediator is a supervisor as well
        client.tokens["boss"] = await identity.issue(
            connection, "mediator", ["supervisor", "mediator"], natural_person=True, jurisdictions=["42"]
        )
    row = await only(house, one)
    told = await answered(client, "second", row["id"], {"satisfied": "no", "performed": "no"})
    path = f"/v1/approvals/{told['approval_id']}"
    for who in ("second", "intake", "boss", "robot"):
        for what, body in (("approve", None), ("reject", {"reason": "无理由"})):
            assert (await client.post(who, f"{path}/{what}", body)).status_code == 403, (who, what)
    answer = await client.post("supervisor", f"{path}/approve")
    assert (answer.status_code, answer.json()["state"]) == (200, "accepted")
    async with house.database.connection() as connection:
        clocks = await connection.fetch("SELECT key FROM clock WHERE matter_id = $1 AND stopped_at IS NULL", uuid.UUID(one))
        history = await connection.fetch(
            "SELECT act, signed_by, ground FROM state_change WHERE matter_id = $1 ORDER BY id", uuid.UUID(one)
        )
        item = await connection.fetchrow("SELECT finished_at FROM work_item WHERE matter_id = $1", uuid.UUID(one))
    assert [c["key"] for c in clocks] == ["complaint.mediate"]
    assert item["finished_at"] is None  # work again
    assert [h["act"] for h in history] == [None, "accept", "agree", "callback", "reopen"]
    assert (list(history[-1]["signed_by"]), history[-1]["ground"]) == (["supervisor"], "agreement_not_performed")
    # It ends again, and is asked again.
    await do(client, "second", one, "agree")
    states = [r["state"] for r in await rows(house, one)]
    assert states == ["done", "open"]


async def test_a_supervisor_may_say_that_it_stays_closed(client: Client) -> None:
    one = await agreed(client, 1)
    row = await only(client.house, one)
    told = await answered(client, "second", row["id"], {"satisfied": "no", "performed": "yes"})
    answer = await client.post("supervisor", f"/v1/approvals/{told['approval_id']}/reject", {"reason": "办理并无不当"})
    assert (answer.status_code, answer.json()["state"]) == (200, "agreed")


async def test_of_two_who_call_at_once_one_is_heard(client: Client) -> None:
    one = await agreed(client, 1)
    row = await only(client.house, one)
    path = f"/v1/callbacks/{row['id']}"
    tried = await asyncio.gather(*(client.post(who, f"{path}/attempt") for who in ("second", "supervisor", "intake")))
    assert sorted(t.json()["counted"] for t in tried) == [False, False, True]
    said = [("second", "no"), ("supervisor", "yes"), ("intake", "neutral")]
    answers = await asyncio.gather(
        *(client.post(who, f"{path}/result", {"satisfied": word, "performed": "yes"}) for who, word in said)
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409]
    won = next(a.json() for a in answers if a.status_code == 200)
    kept = await only(client.house, one)
    assert (kept["satisfied"], kept["attempts"]) == (won["satisfied"], 1)
    assert await value(client.house, "SELECT count(*) FROM approval WHERE act = 'reopen'") == (won["satisfied"] == "no")


# -- the same dispute again


async def again(client: Client, number: int = 1) -> tuple[str, str, str]:
    """(the closed matter, the one that came again, its letter)"""
    one = await agreed(client, number)
    later = await file(client, number, "again", TEXT + "，协议没有履行")
    track = await value(client.house, "SELECT track FROM matter WHERE id = $1", uuid.UUID(one))
    assert (later["state"], later["track"]) == ("pending_acceptance", track)
    return one, str(later["id"]), str(later["complaint"])


async def test_who_comes_again_is_called_back_and_a_supervisor_looks(client: Client) -> None:
    one, _, _ = await again(client)
    row = await only(client.house, one)
    assert (row["cause"], row["due_from"] <= local_day(datetime.now(UTC))) == (
        "ended",
        True,
    )  # the one that waited is brought forward
    await answered(client, "second", row["id"], {"satisfied": "no", "performed": "no"})
    (look,) = [i for i in (await client.get("supervisor", "/v1/approvals")).json()["items"] if i["kind"] == "sample"]
    assert (look["missing"], look["last_by"], look["signed_by"]) == (1, "supervisor", ["mediator"])
    for what, body in (("approve", None), ("reject", {"reason": "原办理有误"})):
        assert (await client.post("second", f"/v1/approvals/{look['id']}/{what}", body)).status_code == 403
    answer = await client.post("supervisor", f"/v1/approvals/{look['id']}/reject", {"reason": "原办理有误"})
    assert answer.status_code == 200
    assert await value(client.house, "SELECT supervised FROM matter WHERE id = $1", uuid.UUID(one)) == 1
    # Once it was asked, one who comes again is asked anew.
    await file(client, 1, "third", TEXT + "，到现在协议还是没有履行，请处理", amount_fen=30100)
    assert [(r["cause"], r["state"]) for r in await rows(client.house, one)] == [("ended", "done"), ("repeat", "open")]


async def test_a_sample_that_waits_already_becomes_the_supervisors(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "drawn", lambda _id, _share: True)
    first = (await file(client, 1))["id"]
    await do(client, "mediator", first, "refuse", ground="16(7)")
    await file(client, 1, "again", TEXT + "，请重新处理")
    (look,) = (await client.get("supervisor", "/v1/approvals")).json()["items"]
    assert (look["matter_id"], look["act"], look["ground"], look["detail"]["repeat"], look["last_by"]) == (
        first, "refuse", "16(7)", "R2", "supervisor",
    )  # fmt: skip
    assert (await client.post("second", f"/v1/approvals/{look['id']}/approve")).status_code == 403
    row = await only(client.house, first)  # a refusal is asked about only when its complainant comes again
    assert (row["cause"], row["ending"], row["settled_by"]) == ("repeat", "not_accepted", ["mediator"])
    assert (await answered(client, "second", row["id"], {"satisfied": "no"}))["approval_id"] is not None


@pytest.mark.parametrize("ground", ["own_error", "agreement_not_performed", "handled_by_merchant_or_odr_only"])
@pytest.mark.parametrize("who", ["intake", "supervisor"])
async def test_the_earlier_one_is_reopened_and_the_letter_stands_for_it(client: Client, ground: str, who: str) -> None:
    house = client.house
    one, later, letter = await again(client)
    answer = await client.post(
        who, f"/v1/matters/{later}/repeat", {"choice": "reopen", "ground": ground, "reason": "同一争议，协议未履行"}
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["matter_id"], answer.json()["state"]) == (one, "accepted")
    async with house.database.connection() as connection:
        new = await connection.fetchrow("SELECT * FROM matter WHERE id = $1", uuid.UUID(later))
        running = await connection.fetch(
            "SELECT matter_id, key FROM clock WHERE matter_id = ANY($1) AND stopped_at IS NULL",
            [uuid.UUID(one), uuid.UUID(later)],
        )
        items = await connection.fetch(
            "SELECT matter_id, finished_at IS NULL AS open FROM work_item WHERE matter_id = ANY($1)",
            [uuid.UUID(one), uuid.UUID(later)],
        )
        homes = await connection.fetch(
            "SELECT DISTINCT incident_id FROM incident_membership WHERE matter_id = ANY($1) AND valid_to IS NULL AND is_primary",
            [uuid.UUID(one), uuid.UUID(later)],
        )
        act_of = await connection.fetchrow(
            "SELECT ground, detail, signed_by FROM state_change WHERE matter_id = $1 AND act = 'reopen'", uuid.UUID(one)
        )
    assert (new["state"], new["copy_of"], new["track"]) == ("merged", uuid.UUID(one), "none")
    assert [(str(c["matter_id"]), c["key"]) for c in running] == [(one, "complaint.mediate")]  # no second clock
    assert {str(i["matter_id"]): i["open"] for i in items} == {one: True, later: False}
    assert len(homes) == 1
    assert (act_of["ground"], act_of["detail"]["again"], list(act_of["signed_by"])) == (ground, later, [who])
    seen = (await client.get("portal", f"/v1/complaints/{letter}")).json()
    assert (seen["state"], seen["due_at"]) == ("merged", None)
    assert [r["state"] for r in await rows(house, one)] == ["lapsed"]
    for choice in ({"choice": "reopen", "ground": ground}, {"choice": "refuse"}, {"choice": "new"}):
        assert (await client.post(who, f"/v1/matters/{later}/repeat", {**choice, "reason": "再选"})).status_code == 409


async def test_a_letter_told_in_another_incident_goes_where_its_original_is(client: Client) -> None:
    house = client.house
    one, later, _ = await again(client)
    copy = (await file(client, 1, "copy of it", TEXT + "，协议没有履行"))["id"]
    elsewhere = new_id()
    async with house.database.transaction() as connection:
        assert await connection.fetchval("SELECT copy_of FROM matter WHERE id = $1", uuid.UUID(copy)) == uuid.UUID(later)
        run = await runs.open_run(connection, "split", "anna", of="incident")
        await incidents.regroup(
            connection, house.reader.tokeniser, run, {uuid.UUID(later): elsewhere}, origin="person", actor="anna", evidence={}
        )
    body = {"choice": "reopen", "ground": "agreement_not_performed", "reason": "协议未履行"}
    assert (await client.post("intake", f"/v1/matters/{later}/repeat", body)).status_code == 200
    async with house.database.connection() as connection:
        found = await incidents.homes(connection, [uuid.UUID(i) for i in (one, later, copy)])
        originals = await connection.fetch("SELECT copy_of FROM matter WHERE id = ANY($1)", [uuid.UUID(later), uuid.UUID(copy)])
    assert len(set(found.values())) == 1
    assert elsewhere not in found.values()
    assert {str(o["copy_of"]) for o in originals} == {one}  # its own copy with it


async def test_a_repeat_is_refused_with_the_other_ways_by_another_than_handled_it(client: Client) -> None:
    one, later, _ = await again(client)
    body = {"choice": "refuse", "reason": "同一争议已经处理，协议已履行"}
    own = await client.post("mediator", f"/v1/matters/{later}/repeat", body)
    assert (own.status_code, "办理过" in own.json()["detail"]) == (403, True)
    answer = await client.post("intake", f"/v1/matters/{later}/repeat", body)
    assert (answer.status_code, answer.json()["state"]) == (200, "not_accepted")
    async with client.house.database.connection() as connection:
        done = await connection.fetchrow(
            "SELECT ground, note FROM state_change WHERE matter_id = $1 AND act = 'refuse'", uuid.UUID(later)
        )
        document = await connection.fetchval("SELECT id FROM document WHERE matter_id = $1 AND form = 6", uuid.UUID(later))
    assert (done["ground"], "第十六条第二项" in done["note"]) == ("16(2)", True)
    page = await client.get("intake", f"/v1/documents/{document}?format=html")
    assert "第三十九条规定的其他途径" in page.text
    assert await state(client.house, uuid.UUID(one)) == "agreed"


async def test_a_dispute_that_is_another_after_all_goes_on_by_itself(client: Client) -> None:
    one, later, _ = await again(client)
    async with client.house.database.connection() as connection:
        await staff.recuse(connection, uuid.UUID(one), "intake", reason="亲属", actor="boss")
        await staff.recuse(connection, uuid.UUID(later), "supervisor", reason="亲属", actor="boss")
    for who in ("intake", "supervisor"):
        assert (await client.post(who, f"/v1/matters/{later}/repeat", {"choice": "new", "reason": "另一台"})).status_code == 403
    answer = await client.post("second", f"/v1/matters/{later}/repeat", {"choice": "new", "reason": "买的是另一台"})
    assert (answer.status_code, answer.json()["state"]) == (200, "pending_acceptance")
    said = await value(
        client.house, "SELECT note FROM state_change WHERE matter_id = $1 AND act = 'repeat_new'", uuid.UUID(later)
    )
    assert said.endswith("买的是另一台")
    for body in ({"choice": "new"}, {"choice": "refuse"}):
        assert (await client.post("second", f"/v1/matters/{later}/repeat", {**body, "reason": "再选"})).status_code == 409
    await do(client, "second", later, "accept")
    assert await state(client.house, uuid.UUID(one)) == "agreed"


@pytest.mark.parametrize(("choice", "ends"), [("reopen", ("accepted", "merged")), ("refuse", ("agreed", "not_accepted"))])
async def test_a_mediators_choice_waits_for_a_supervisor(client: Client, choice: str, ends: tuple[str, str]) -> None:
    one, later, _ = await again(client)
    body = {"choice": choice, "reason": "同一争议", **({"ground": "own_error"} if choice == "reopen" else {})}
    answer = await client.post("second", f"/v1/matters/{later}/repeat", body)
    assert (answer.status_code, answer.json()["missing"]) == (202, 1)
    assert (await client.post("second", f"/v1/matters/{later}/repeat", body)).status_code == 409
    assert [await state(client.house, uuid.UUID(i)) for i in (one, later)] == ["agreed", "pending_acceptance"]
    path = f"/v1/approvals/{answer.json()['approval_id']}/approve"
    for who in ("second", "intake", "mediator"):
        assert (await client.post(who, path)).status_code == 403
    assert (await client.post("supervisor", path)).status_code == 200
    assert tuple([await state(client.house, uuid.UUID(i)) for i in (one, later)]) == ends
    signed = "SELECT signed_by FROM state_change WHERE matter_id = $1 AND act = $2"
    assert list(await value(client.house, signed, uuid.UUID(later), choice)) == ["second", "supervisor"]


async def test_what_is_no_repeat_or_was_taken_up_is_no_choice(client: Client) -> None:
    house = client.house
    plain = (await file(client, 5))["id"]
    reopen = {"choice": "reopen", "ground": "own_error", "reason": "同一争议"}
    assert (await client.post("intake", f"/v1/matters/{plain}/repeat", reopen)).status_code == 409
    one, later, _ = await again(client)
    wrong: list[dict[str, Any]] = [
        {"choice": "reopen", "reason": "x"}, {"choice": "reopen", "ground": "16(2)", "reason": "x"}, {"choice": "refuse", "ground": "own_error", "reason": "x"},
        {"choice": "other", "reason": "x"}, {"choice": "new"},
    ]  # fmt: skip
    for body in wrong:
        assert (await client.post("intake", f"/v1/matters/{later}/repeat", body)).status_code == 422, body
    for who, status in (("yichang", 404), ("robot", 403), ("analyst", 403), ("portal", 403)):
        assert (await client.post(who, f"/v1/matters/{later}/repeat", reopen)).status_code == status, who
    await do(client, "second", later, "accept")
    answer = await client.post("intake", f"/v1/matters/{later}/repeat", reopen)
    assert (answer.status_code, "不能再并入" in answer.json()["detail"]) == (409, True)
    assert await state(house, uuid.UUID(one)) == "agreed"  # all or nothing


async def test_of_two_choices_at_once_one_is_made(client: Client) -> None:
    one, later, _ = await again(client)
    reopen = {"choice": "reopen", "ground": "own_error", "reason": "同一争议"}
    refuse = {"choice": "refuse", "reason": "同一争议已经处理"}
    said = [("intake", reopen), ("supervisor", refuse), ("supervisor", reopen)]
    answers = await asyncio.gather(*(client.post(who, f"/v1/matters/{later}/repeat", body) for who, body in said))
    assert Counter(a.status_code for a in answers) == {200: 1, 409: 2}
    found = (await state(client.house, uuid.UUID(one)), await state(client.house, uuid.UUID(later)))
    assert found in {("accepted", "merged"), ("agreed", "not_accepted")}


async def test_reopening_ends_what_was_owed_on_the_end(house: House, all_drawn: None) -> None:
    one = await matter(house, 1)
    await act(house, one, "accept", at=NOW)
    await act(house, one, "terminate", ground="23(1)(3)", at=NOW)
    running = "SELECT key FROM clock WHERE matter_id = $1 AND stopped_at IS NULL"
    assert await value(house, running, one) == "complaint.terminate_notice"
    with pytest.raises(Forbidden):
        await act(house, one, "reopen", person("carl", "mediator"), ground="own_error", at=NOW)
    await act(house, one, "reopen", ANNA, ground="own_error", at=NOW)
    assert await value(house, running, one) == "complaint.mediate"


# -- figures


async def test_figures_by_hand(client: Client, all_drawn: None) -> None:
    """Of seven that ended: one lapsed, one waits, one is unreachable, four were reached, of whom two were satisfied; of three
    agreements whose day had come one was performed."""
    house = client.house
    ones = [await agreed(client, n) for n in range(1, 7)]
    seventh = (await file(client, 7))["id"]
    await do(client, "mediator", seventh, "accept")
    await do(client, "mediator", seventh, "terminate", ground="23(1)(3)")
    await bring_forward(house)
    calls = [(await only(house, one))["id"] for one in (*ones, seventh)]
    await do(client, "intake", ones[0], "reopen", ground="own_error")
    for hours in (0, 5, 10):
        at = datetime.now(UTC) + timedelta(hours=hours)
        await reviewing.attempt(house, calls[1], BORIS, lanes=LANES, at=at)
    said: list[dict[str, Any]] = [
        {"satisfied": "very", "performed": "yes"}, {"satisfied": "no", "performed": "no"}, {"satisfied": "neutral", "performed": "partly"},
    ]  # fmt: skip
    for call, body in zip(calls[2:5], said, strict=True):
        await answered(client, "second", call, body)
    await answered(client, "second", calls[6], {"satisfied": "yes"})
    (whole,) = (await client.get("analyst", "/v1/reports/satisfaction?by=none")).json()["items"]
    figures = ("due", "waiting", "asked", "reached", "satisfied", "neutral", "dissatisfied", "performed", "performance_due")
    assert [whole[f] for f in figures] == [6, 1, 5, 4, 2, 1, 1, 1, 3]
    assert (whole["reach_rate"], whole["satisfaction_rate"], whole["performance_rate"]) == (0.8, 0.5, 0.3333)
    assert (whole["previous_satisfaction_rate"], whole["year_before_satisfaction_rate"]) == (None, None)
    body = (await client.get("analyst", "/v1/reports/satisfaction?by=ending")).json()
    assert [(i["name"], i["reached"], i["satisfied"]) for i in body["items"]] == [("agreed", 3, 1), ("terminated", 1, 1)]
    assert "satisfied÷reached" in body["definition"]
    (place,) = (await client.get("analyst", "/v1/reports/satisfaction")).json()["items"]
    assert (place["name"], place["label"], place["satisfaction_rate"]) == ("420106", "武汉市武昌区", 0.5)
    async with house.database.connection() as connection:  # half of a year ago
        await connection.execute("UPDATE callback SET opened_at = opened_at - interval '1 year' WHERE id = ANY($1)", calls[2:4])
    (now,) = (await client.get("analyst", "/v1/reports/satisfaction?by=none")).json()["items"]
    assert (now["reached"], now["satisfaction_rate"], now["year_before_satisfaction_rate"]) == (2, 0.5, 0.5)
    assert (await client.get("analyst", "/v1/reports/satisfaction?district=4205")).json()["items"] == []
    sheet = await client.get("supervisor", "/v1/reports/satisfaction?format=csv")
    assert sheet.text.splitlines()[0].startswith("\ufeffname,due")
    assert (await client.get("mediator", "/v1/reports/satisfaction")).status_code == 403
