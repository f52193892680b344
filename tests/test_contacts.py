"""Who was spoken with, when the sides meet, and that no mediation ends under Art. 23(1)(2) on a mere assertion."""

import asyncio
import itertools
import random
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from app import contacts, identity, joining, proofs, settling
from app.calendar import SHANGHAI, local_day
from app.contacts import Plan, Said
from app.errors import Conflict
from app.identity import new_id
from app.triage import House
from tests.conftest import Client, complaint
from tests.test_acts import ANNA, LANES, matter, put, refuse_mediation, state
from tests.test_joint import propose, some

NOW = datetime.now(UTC)
SINCE = NOW - timedelta(days=25)
WHO = itertools.count(1)
AT_NOON = NOW.astimezone(SHANGHAI).replace(hour=12, minute=0, second=0, microsecond=0)


def key() -> str:
    return str(uuid.uuid4())


async def leased(client: Client, who: str = "mediator", **more: Any) -> dict[str, Any]:
    """A complaint of 25 days ago in somebody's hands: its work item with lease_token, matter_id, complaint_id."""
    number = next(WHO)
    body = complaint(
        f"c{number}", received_at=SINCE.isoformat(), complainant={"name": "赵一鸣", "phone": f"137{number:08d}"}, **more
    )
    posted = (await client.post("portal", "/v1/complaints", body)).json()
    found = (await client.post(who, "/v1/queues/t3/claim", {"limit": 50})).json()["items"]
    (item,) = [i for i in found if i["matter"]["complaint_id"] == posted["id"]]
    return {**item, "complaint_id": posted["id"], "matter_id": posted["matters"][0]["id"]}


async def log(client: Client, item: dict[str, Any], who: str = "mediator", **more: Any) -> httpx.Response:
    body = {"key": key(), "party": "merchant", "way": "call", "result": "no_answer", **more}
    return await client.post(who, f"/v1/work-items/{item['id']}/contacts", body)


async def book(client: Client, item: dict[str, Any], who: str = "mediator", **more: Any) -> httpx.Response:
    body = {"key": key(), "at": (AT_NOON + timedelta(days=3)).isoformat(), "form": "on_site", "place": "所内调解室302", **more}
    return await client.post(who, f"/v1/work-items/{item['id']}/appointments", body)


async def view(client: Client, item: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = (await client.get("analyst", f"/v1/complaints/{item['complaint_id']}")).json()["matters"][0]
    return seen


def working_days(house: House, count: int) -> list[datetime]:
    """Noon of the last working days that are over, oldest first."""
    day, found = AT_NOON - timedelta(days=1), []
    while len(found) < count:
        if house.calendar.is_working(local_day(day)):
            found.insert(0, day)
        day -= timedelta(days=1)
    return found


# -- the log


async def test_who_has_the_matter_in_hand_writes_its_contacts(client: Client) -> None:
    item = await leased(client)
    assert (await log(client, item)).status_code == 201
    assert (await log(client, item, "supervisor")).status_code == 201
    for other, status in (("second", 403), ("intake", 403), ("robot", 403), ("portal", 403), ("analyst", 403), ("yichang", 404)):
        assert (await log(client, item, other)).status_code == status, other
    assert (await log(client, {"id": key()})).status_code == 404
    async with client.house.database.connection() as connection:
        await connection.execute("DELETE FROM lease")
        await connection.execute("UPDATE work_item SET queue_id = 'intake'")
    assert (await log(client, item)).status_code == 403  # the lease is gone
    assert (await log(client, item, "intake")).status_code == 201  # and it lies with the intake desk
    for reader, status in (("second", 200), ("intake", 200), ("yichang", 404), ("portal", 403)):
        assert (await client.get(reader, f"/v1/work-items/{item['id']}/contacts")).status_code == status, reader
    found = (await client.get("mediator", f"/v1/work-items/{item['id']}/contacts")).json()
    assert [c["actor"] for c in found["items"]] == ["mediator", "supervisor", "intake"]


async def test_a_contact_is_what_was_said_and_the_same_key_the_same_entry(client: Client) -> None:
    item = await leased(client)
    body = {
        "key": key(), "party": "merchant", "way": "call", "result": "promised_reply", "note": "店长说明日回电，手机13987650123",
        "at": (NOW - timedelta(days=2)).isoformat(),
    }  # fmt: skip
    path = f"/v1/work-items/{item['id']}/contacts"
    made = await client.post("mediator", path, body)
    one = made.json()
    assert (made.status_code, one["party_label"], one["way_label"], one["result_label"]) == (201, "被投诉人", "电话", "答应回复")
    assert (one["late"], one["note"]) == (True, "店长说明日回电，手机139****0123")
    again = await client.post("mediator", path, body)
    assert (again.status_code, again.json()) == (200, one)
    bare = {k: v for k, v in body.items() if k != "key"}
    header = {"Idempotency-Key": body["key"]}
    assert (await client.post("mediator", path, bare, headers=header)).json() == one
    other = await client.post("mediator", path, {**body, "result": "reached", "way": "visit"})
    assert (other.status_code, [e["field"] for e in other.json()["errors"]]) == (409, ["way", "result"])
    assert (await client.post("mediator", path, bare)).json()["errors"][0]["field"] == "key"
    crossed = await client.post("mediator", path, body, headers={"Idempotency-Key": key()})
    assert (crossed.status_code, crossed.json()["errors"][0]["field"]) == (422, "key")
    for field, bad in {
        "at": (NOW + timedelta(hours=2)).isoformat(), "party": "bystander", "way": "pigeon", "result": "magic",
    }.items():  # fmt: skip
        told = await client.post("mediator", path, {**body, "key": key(), field: bad})
        assert (told.status_code, told.json()["errors"][0]["field"].split(".")[-1]) == (422, field), field
    early = await log(client, item, at=(SINCE - timedelta(days=1)).isoformat())
    assert (early.status_code, early.json()["errors"][0]["field"]) == (422, "at")
    assert (await log(client, item, way="call", result="sent")).json()["errors"][0]["field"] == "result"
    now = (await log(client, item, result="reached")).json()
    assert not now["late"]
    seen = await view(client, item)
    assert [c["id"] for c in seen["contacts"]] == [one["id"], now["id"]]
    assert [h["act"] for h in seen["history"]] == [None]  # calmly: a call changes nothing
    async with client.house.database.connection() as connection:
        for statement in ("DELETE FROM contact", "UPDATE contact SET result = 'reached'", "DELETE FROM appointment"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_two_of_one_key_at_once_are_one(client: Client) -> None:
    item = await leased(client)
    body = {"key": key(), "party": "consumer", "way": "sms", "result": "sent"}
    path = f"/v1/work-items/{item['id']}/contacts"
    answers = await asyncio.gather(*(client.post("mediator", path, body) for _ in range(8)))
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert len({a.json()["id"] for a in answers}) == 1
    plan = {"key": key(), "at": (NOW + timedelta(days=2)).isoformat(), "form": "call"}
    path = f"/v1/work-items/{item['id']}/appointments"
    answers = await asyncio.gather(*(client.post("mediator", path, plan) for _ in range(8)))
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert len({a.json()["id"] for a in answers}) == 1


async def test_a_wrong_entry_is_struck_by_one_that_names_it(client: Client) -> None:
    item = await leased(client)
    wrong = (await log(client, item, result="refused_mediation")).json()
    path = f"/v1/work-items/{item['id']}/contacts/{wrong['id']}/strike"
    body = {"key": key(), "reason": "记在了别的投诉名下"}
    assert (await client.post("second", path, body)).status_code == 403
    assert (await client.post("mediator", path, {"key": key()})).status_code == 422
    struck = await client.post("mediator", path, body)
    assert (struck.status_code, struck.json()["strikes"]) == (201, wrong["id"])
    assert (await client.post("mediator", path, body)).json() == struck.json()
    assert (await client.post("mediator", path, {**body, "key": key()})).status_code == 409
    assert (await client.post("mediator", path, {**body, "reason": "别的"})).json()["errors"][0]["field"] == "reason"
    nowhere = f"/v1/work-items/{item['id']}/contacts/{struck.json()['id']}/strike"
    assert (await client.post("mediator", nowhere, {**body, "key": key()})).status_code == 404
    (kept,) = (await view(client, item))["contacts"]
    assert (kept["result"], kept["struck"]["by"], kept["struck"]["reason"]) == ("refused_mediation", "mediator", body["reason"])
    proof = (await client.get("mediator", f"/v1/work-items/{item['id']}/contacts")).json()["proof"]
    assert (proof["refusal"], proof["absence"]) == ([], [])


# -- what was agreed


async def test_a_word_on_the_telephone_decides_the_gate_as_the_other_way_does(client: Client) -> None:
    called, posted = await leased(client), await leased(client)
    words = (
        ("merchant", "delegation", False), ("merchant", "mediation", True), ("consumer", "mediation", True), ("consumer", "delegation", False)
    )  # fmt: skip
    for party, to, agrees in words:
        said = await log(
            client,
            called,
            party="agent" if party == "consumer" else party,
            result="reached",
            consents={"to": to, "agrees": agrees},
        )
        assert said.status_code == 201
        assert said.json()["gates"] == [f"{contacts.CONSENTS_TO[to]}.{party}_consent"]
        told = await client.post(
            "intake", f"/v1/complaints/{posted['complaint_id']}/consent", {"party": party, "to": to, "agrees": agrees}
        )
        assert told.status_code == 200
    one, other = await view(client, called), await view(client, posted)
    assert [(g["track"], g["name"], g["state"], g["basis"]) for g in one["gates"]] == [
        (g["track"], g["name"], g["state"], g["basis"]) for g in other["gates"]
    ]
    assert (one["track"], one["state"]) == (other["track"], other["state"])
    noted = [h for h in one["history"] if h["act"] == "consent"]
    assert [h["detail"]["contact_id"] for h in noted] == [c["id"] for c in one["contacts"]]
    assert "电话联系中表示：被投诉人同意委托调解——否" in noted[0]["note"]
    again = await log(client, called, result="reached", consents={"to": "mediation", "agrees": False})
    assert again.status_code == 409  # said before, and a gate is decided once
    assert len((await view(client, called))["contacts"]) == 4
    await client.post("mediator", f"/v1/matters/{called['matter_id']}/accept")
    assert (await client.post("mediator", f"/v1/matters/{called['matter_id']}/mediate")).json()["state"] == "mediating"


async def test_nobody_agrees_who_was_not_spoken_with(client: Client) -> None:
    item = await leased(client)
    yes = {"to": "mediation", "agrees": True}
    for more, field in (
        ({"result": "no_answer"}, "result"), ({"result": "reached", "party": "other"}, "party"),
        ({"result": "refused_mediation"}, "consents.agrees"), ({"result": "reached", "consents": {"to": "joint", "agrees": True}}, "to"),
    ):  # fmt: skip
        told = await log(client, item, **{"consents": yes, **more})
        assert (told.status_code, told.json()["errors"][0]["field"].removeprefix("body.").endswith(field)) == (422, True), more
    assert (await view(client, item))["contacts"] == []


async def test_a_consent_that_was_written_wrongly_is_open_again_unless_it_was_acted_on(client: Client) -> None:
    item = await leased(client)
    matter_id = item["matter_id"]
    wrong = (await log(client, item, result="refused_mediation", consents={"to": "mediation", "agrees": False})).json()
    end = {"ground": "23(1)(2)", "reason": "拒绝调解"}
    strike = f"/v1/work-items/{item['id']}/contacts/{{}}/strike"
    body = {"key": key(), "reason": "听错了"}
    assert (await client.post("mediator", strike.format(wrong["id"]), body)).status_code == 201
    gates = {(g["track"], g["name"]): g["state"] for g in (await view(client, item))["gates"]}
    assert gates["t3", "merchant_consent"] == "open"
    await client.post("mediator", f"/v1/matters/{matter_id}/accept")
    assert (await client.post("mediator", f"/v1/matters/{matter_id}/terminate", end)).status_code == 409
    for party in ("merchant", "consumer"):
        right = (
            await log(client, item, party=party, result="agreed_to_mediation", consents={"to": "mediation", "agrees": True})
        ).json()
        assert right["gates"] == [f"t3.{party}_consent"]
    assert (await client.post("mediator", f"/v1/matters/{matter_id}/mediate")).status_code == 200
    stuck = await client.post("mediator", strike.format(right["id"]), {"key": key(), "reason": "听错了"})
    assert (stuck.status_code, "已据此同意办理" in stuck.json()["detail"]) == (409, True)


# -- what proves an end under 23(1)(2)


async def test_an_end_without_proof_says_what_is_there_and_what_lacks(client: Client) -> None:
    item = await leased(client)
    matter_id, finish = item["matter_id"], f"/v1/work-items/{item['id']}/finish"
    token = {"lease_token": item["lease_token"]}
    await client.post("mediator", f"/v1/matters/{matter_id}/accept")
    end = {"ground": "23(1)(2)", "reason": "联系不上"}
    bare = await client.post("mediator", f"/v1/matters/{matter_id}/terminate", end)
    assert (bare.status_code, bare.json()["errors"][0]["field"]) == (409, "proof")
    assert "已有：无。尚缺：一方明确拒绝调解的联系记录" in bare.json()["detail"]
    assert "第二十三条第一款第二项" in bare.json()["detail"]
    days = working_days(client.house, 2)
    for at in (days[0], days[0] + timedelta(minutes=30)):
        await log(client, item, at=at.isoformat())
    await log(client, item, result="wrong_number", at=days[1].isoformat())  # nobody of that side was called
    for outcome in ("refused", "unreachable"):
        short = await client.post("mediator", finish, {**token, "outcome": outcome})
        assert (short.status_code, "对被投诉人联系未果2次、1个工作日" in short.json()["detail"]) == (409, True)
    last = (await log(client, item, at=days[1].isoformat())).json()
    proof = (await client.get("mediator", f"/v1/work-items/{item['id']}/contacts")).json()["proof"]
    assert [(p["kind"], len(p["ids"]), p["party"]) for p in proof["absence"]] == [("attempts", 3, "merchant")]
    assert (await client.post("mediator", finish, {**token, "outcome": "refused"})).status_code == 409  # silence is no refusal
    done = await client.post("mediator", finish, {**token, "outcome": "unreachable"})
    (owed,) = done.json()["owed"]
    assert (owed["key"], owed["act"]["act"]) == ("complaint.terminate_notice", "tell_both")
    assert done.status_code == 200
    ended = (await view(client, item))["history"][-1]
    assert ended["detail"]["proof"][0]["ids"] == proof["absence"][0]["ids"]
    assert "依据：对被投诉人联系未果3次" in ended["note"]
    assert "3次为事后补记" in ended["note"]
    stuck = await client.post(
        "supervisor", f"/v1/work-items/{item['id']}/contacts/{last['id']}/strike", {"key": key(), "reason": "误记"}
    )
    assert (stuck.status_code, "终止调解以该记录为依据" in stuck.json()["detail"]) == (409, True)


async def test_the_lease_stays_where_the_proof_lacks(client: Client) -> None:
    item = await leased(client)
    finish = {"lease_token": item["lease_token"], "outcome": "refused"}
    assert (await client.post("mediator", f"/v1/work-items/{item['id']}/finish", finish)).status_code == 409
    assert (await view(client, item))["state"] == "pending_acceptance"  # nothing was accepted on the way
    await log(client, item, result="refused_mediation")
    assert (await client.post("mediator", f"/v1/work-items/{item['id']}/finish", finish)).status_code == 200
    assert (await view(client, item))["outcome"] == "refused"


async def test_a_side_that_agreed_later_did_not_refuse(house: House) -> None:
    one = await matter(house, 1)
    await put(house, one, "accepted")
    item = await item_of(house, one)
    await refuse_mediation(house, one)
    await contacts.log(house, item, ANNA, Said(uuid.uuid4(), "merchant", "visit", "agreed_to_mediation"), lanes=LANES)
    with pytest.raises(Conflict, match="已有：无"):
        await terminate(house, one)
    await contacts.log(house, item, ANNA, Said(uuid.uuid4(), "agent", "call", "refused_mediation"), lanes=LANES)
    assert (await terminate(house, one)).state == "terminated"


async def item_of(house: House, matter_id: uuid.UUID) -> uuid.UUID:
    async with house.database.connection() as connection:
        return uuid.UUID(str(await connection.fetchval("SELECT id FROM work_item WHERE matter_id = $1", matter_id)))


async def terminate(house: House, matter_id: uuid.UUID, at: datetime | None = None) -> settling.Done:
    return await settling.perform(
        house, matter_id, ANNA, "terminate", lanes=LANES, ground="23(1)(2)", reason="依据案卷材料", at=at
    )


async def test_the_word_of_a_delegate_and_of_the_platform_is_proof(house: House) -> None:
    ones = [await matter(house, n) for n in range(1, 5)]
    for one in ones:
        await put(house, one, "accepted")
    async with house.database.connection() as connection:
        partner = new_id()
        await connection.execute(
            "INSERT INTO partner (id, kind, name, jurisdictions, created_by) VALUES ($1, 'consumer_council', '消委会', '{42}', 'a')",
            partner,
        )
        for one, act in ((ones[0], "delegate"), (ones[1], "settle")):
            await connection.execute(
                "INSERT INTO handover (id, matter_id, kind, partner_id, act, basis, state, as_of, result, created_by, closed_at) "
                "VALUES ($1, $2, 'consumer_council', $3, $4, '', 'failed', now(), 'refused', 'a', now())",
                new_id(), one, partner, act,
            )  # fmt: skip
        for one, outcome in ((ones[2], "unreachable"), (ones[3], "no_agreement")):
            await connection.execute(
                "INSERT INTO platform_state (id, letter_id, authority, as_of, state, outcome, columns_sha256, import_id) "
                "SELECT $1, letter_id, 'platform', now(), 'terminated', $3, '\\x00', $1 FROM matter WHERE id = $2",
                new_id(), one, outcome,
            )  # fmt: skip
    assert (await terminate(house, ones[0])).state == "terminated"
    assert (await terminate(house, ones[2])).state == "terminated"
    for one in (ones[1], ones[3]):  # an enterprise that will not settle refuses no mediation; and no agreement is another ground
        with pytest.raises(Conflict, match="尚缺"):
            await terminate(house, one)


async def test_in_a_joint_matter_the_merchants_word_is_one_for_all(house: House) -> None:
    ids = await some(house, 5)
    for one in ids:
        await put(house, one, "mediating")
    joint_id = await propose(house, ids[:4], join=True)
    carrier = await item_of(house, ids[0])
    await contacts.log(house, carrier, ANNA, Said(uuid.uuid4(), "consumer", "call", "refused_mediation"), lanes=LANES)
    with pytest.raises(Conflict):  # a complainant speaks for himself
        await terminate(house, ids[1])
    await joining.leave(house, joint_id, ANNA, ids[3], reason="自行处理")
    said, _ = await contacts.log(house, carrier, ANNA, Said(uuid.uuid4(), "merchant", "call", "refused_mediation"), lanes=LANES)
    for one in ids[:3]:  # the last is alone by then, and the first, with whose file the word lies, closed
        await terminate(house, one)
    for one in ids[3:]:
        with pytest.raises(Conflict):
            await terminate(house, one)
    async with house.database.connection() as connection:
        await connection.execute("UPDATE matter SET state = 'accepted' WHERE id = $1", ids[0])
    with pytest.raises(Conflict, match="终止调解以该记录为依据"):
        await contacts.strike(house, carrier, said["id"], ANNA, lanes=LANES, key=uuid.uuid4(), reason="误记")


# -- appointments


async def test_an_appointment_from_its_notice_to_its_end(client: Client) -> None:
    item = await leased(client)
    await client.post("mediator", f"/v1/matters/{item['matter_id']}/accept")
    path = f"/v1/work-items/{item['id']}/appointments"
    made = await book(client, item)
    one = made.json()
    assert (made.status_code, one["state"], one["state_label"], one["mediator"]) == (201, "planned", "已约定", "mediator")
    assert (one["participants"], one["told"], one["notices"]) == (["consumer", "merchant"], [], [])
    known = {"key": one["key"], "at": one["at"], "form": "on_site", "place": one["place"]}
    assert (await client.post("mediator", path, known)).json() == one
    other = await client.post("mediator", path, {**known, "minutes": 30})
    assert (other.status_code, other.json()["errors"][0]["field"]) == (409, "minutes")
    notify = f"{path}/{one['id']}/notify"
    for party, way, status in (("consumer", "call", 201), ("merchant", "sms", 201), ("agent", "online", 201)):
        body = {"key": key(), "party": party, "way": way}
        told = await client.post("mediator", notify, body)
        assert (told.status_code, told.json()["appointment_id"]) == (status, one["id"])
        assert (await client.post("mediator", notify, body)).json() == told.json()
    (seen,) = (await client.get("second", path)).json()["items"]
    assert (seen["told"], [n["result"] for n in seen["notices"]]) == (["consumer", "merchant"], ["reached", "sent", "sent"])
    await client.post("mediator", notify, {"key": key(), "party": "merchant", "way": "sms", "result": "returned"})
    assert (await client.get("second", path)).json()["items"][0]["told"] == ["consumer"]
    for verb, more in (("hold", None), ("miss", {"by": ["merchant"]})):
        early = await client.post("mediator", f"{path}/{one['id']}/{verb}", more)
        assert (early.status_code, "lies ahead" in early.json()["detail"]) == (409, True)
    moved = await client.post(
        "mediator", f"{path}/{one['id']}/move",
        {"key": key(), "at": (AT_NOON + timedelta(days=3, minutes=10)).isoformat(), "form": "video", "place": "腾讯会议", "reason": "场地被占用"},
    )  # fmt: skip
    two = moved.json()
    assert (moved.status_code, two["moved_from"], two["told"], two["form_label"]) == (201, one["id"], [], "视频调解")
    assert (await client.post("mediator", f"{path}/{one['id']}/hold")).status_code == 409
    assert (await client.post("mediator", notify, {"key": key(), "party": "consumer", "way": "call"})).status_code == 409
    off = await client.post("mediator", f"{path}/{two['id']}/cancel", {"reason": "双方自行协商"})
    assert (off.json()["state"], off.json()["decided_by"]) == ("cancelled", "mediator")
    assert (await client.post("mediator", f"{path}/{two['id']}/cancel", {"reason": "双方自行协商"})).json() == off.json()
    assert (await client.post("mediator", f"{path}/{two['id']}/cancel", {"reason": "别的"})).status_code == 409
    assert (await client.post("second", f"{path}/{two['id']}/cancel", {"reason": "别的"})).status_code == 403
    history = (await view(client, item))["history"]
    assert [h["act"] for h in history][-3:] == ["appointment", "appointment_moved", "appointment_cancelled"]
    assert [a["state"] for a in (await view(client, item))["appointments"]] == ["moved", "cancelled"]


async def test_what_an_appointment_can_not_be(client: Client) -> None:
    item, suspended = await leased(client), await leased(client)
    for more, field in (
        ({"at": (NOW - timedelta(hours=1)).isoformat()}, "at"), ({"place": None}, "place"), ({"form": "dream"}, "form"),
        ({"participants": []}, "participants"), ({"mediator": "nobody"}, "mediator"), ({"mediator": "yichang"}, "mediator"),
        ({"mediator": "robot"}, "mediator"), ({"minutes": 2}, "minutes"), ({"key": None}, "key"), ({"at": 5}, "at"),
    ):  # fmt: skip
        told = await book(client, item, **more)
        assert (told.status_code, told.json()["errors"][0]["field"].removeprefix("body.").split(".")[0]) == (422, field), more
    await put(client.house, uuid.UUID(suspended["matter_id"]), "suspended")
    told = await book(client, suspended)
    assert (told.status_code, "第二十一条" in told.json()["detail"]) == (409, True)
    await put(client.house, uuid.UUID(suspended["matter_id"]), "agreed")
    assert (await book(client, suspended)).status_code == 409
    assert (await book(client, item, "second")).status_code == 403
    one = (await book(client, item, at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat(), participants=["merchant"])).json()
    notify = f"/v1/work-items/{item['id']}/appointments/{one['id']}/notify"
    await asyncio.sleep(1.1)
    late = await client.post("mediator", notify, {"key": key(), "party": "merchant", "way": "call"})
    assert (late.status_code, late.json()["errors"][0]["field"]) == (422, "at")
    stranger = await client.post("mediator", notify, {"key": key(), "party": "consumer", "way": "call", "at": NOW.isoformat()})
    assert (stranger.status_code, stranger.json()["errors"][0]["field"]) == (422, "party")
    absent = await client.post("mediator", notify.replace("notify", "miss"), {"by": ["consumer"]})
    assert (absent.status_code, absent.json()["errors"][0]["field"]) == (422, "by")
    excused = await client.post("mediator", notify.replace("notify", "miss"), {"by": ["merchant"], "excused": ["merchant"]})
    assert (excused.status_code, excused.json()["errors"][0]["field"]) == (422, "reason")
    missed = {"by": ["merchant"], "excused": ["merchant"], "reason": "突发疾病"}
    assert (await client.post("mediator", notify.replace("notify", "miss"), missed)).json()["state"] == "missed"
    assert (await client.post("mediator", notify.replace("notify", "hold"))).status_code == 422  # why was that wrong?
    held = await client.post("mediator", notify.replace("notify", "hold"), {"reason": "其代理人在场"})
    assert (held.json()["state"], held.json()["missed_by"]) == ("held", None)


async def test_a_mediator_is_in_one_place_at_a_time(client: Client) -> None:
    items = [await leased(client) for _ in range(4)]
    at = AT_NOON + timedelta(days=4)
    answers = await asyncio.gather(*(book(client, i, at=at.isoformat()) for i in items))
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]
    refused = next(a for a in answers if a.status_code == 409).json()
    assert (refused["errors"][0]["field"], "another appointment then" in refused["detail"]) == ("at", True)
    free = items[[a.status_code for a in answers].index(409)]
    for start, minutes, status in ((-30, 31, 409), (59, 30, 409), (-30, 30, 201), (60, 30, 201)):
        told = await book(client, free, at=(at + timedelta(minutes=start)).isoformat(), minutes=minutes)
        assert told.status_code == status, start
    assert (await book(client, free, at=at.isoformat(), mediator="second")).status_code == 201
    taken = items[[a.status_code for a in answers].index(201)]
    await client.post("portal", f"/v1/complaints/{taken['complaint_id']}/withdraw")
    assert [a["state"] for a in (await view(client, taken))["appointments"]] == ["lapsed"]
    assert (await book(client, free, at=at.isoformat())).status_code == 201  # what is over takes nobody's time


async def test_warnings_and_the_mediators_days(client: Client) -> None:
    item = await leased(client)
    await client.post("mediator", f"/v1/matters/{item['matter_id']}/accept")
    day = AT_NOON + timedelta(days=70)
    while client.house.calendar.is_working(local_day(day)):
        day += timedelta(days=1)
    late = (await book(client, item, at=day.isoformat())).json()
    assert [w["code"] for w in late["warnings"]] == ["after_due", "not_working_day"]
    assert "第二十三条第一款第五项" in late["warnings"][0]["message"]
    soon = AT_NOON + timedelta(days=1)
    while not client.house.calendar.is_working(local_day(soon)):
        soon += timedelta(days=1)
    near = (await book(client, item, at=soon.isoformat(), form="call", place=None)).json()
    assert near["warnings"] == []
    found = (await client.get("mediator", "/v1/appointments?mine=true")).json()["days"]
    assert [(d["day"], d["working"], [a["id"] for a in d["appointments"]]) for d in found] == [
        (local_day(soon).isoformat(), True, [near["id"]])
    ]
    # From a day of the calendar, and from a complaint somebody rings about, one comes to the work item that every verb is said of.
    assert {found[0]["appointments"][0]["work_item_id"], (await view(client, item))["work_item_id"]} == {item["id"]}
    span = f"from={local_day(soon)}&to={local_day(day)}"
    assert len((await client.get("mediator", f"/v1/appointments?{span}")).json()["days"]) == 2
    assert (await client.get("second", "/v1/appointments")).json()["days"] == []
    assert (await client.get("second", "/v1/appointments?mine=false")).status_code == 403
    assert len((await client.get("supervisor", f"/v1/appointments?mine=false&{span}")).json()["days"]) == 2
    assert (await client.get("mediator", "/v1/appointments?from=2026-01-01&to=2026-12-31")).status_code == 422
    assert (await client.get("mediator", "/v1/appointments?from=9999-12-31")).status_code == 422
    assert (await client.get("portal", "/v1/appointments")).status_code == 403
    async with client.house.database.connection() as connection:
        wanted = [uuid.UUID(item["matter_id"]), uuid.uuid4()]
        soonest = await contacts.next_of(connection, wanted)
    assert {str(k): (str(v["id"]), v["past"]) for k, v in soonest.items()} == {item["matter_id"]: (near["id"], False)}


async def test_the_official_notice_says_when_where_and_who(client: Client) -> None:
    item = await leased(client)
    await client.post("mediator", f"/v1/matters/{item['matter_id']}/accept")
    one = (await book(client, item)).json()
    path = f"/v1/work-items/{item['id']}/appointments/{one['id']}/document"
    drawn = await client.post("mediator", path, {"mediator": "王调解", "contact_phone": "027-12345", "recusal_days": 3})
    assert (drawn.status_code, drawn.json()["title"], drawn.json()["missing"]) == (201, "投诉调解通知书", [])
    page = (await client.get("mediator", drawn.headers["Location"])).text
    for words in ("王调解", "所内调解室302", "12时", proofs.chinese_day(local_day(AT_NOON + timedelta(days=3)))):
        assert words in page
    assert (await client.post("second", path)).status_code == 403
    remote = (await book(client, item, form="call", at=(AT_NOON + timedelta(days=5)).isoformat())).json()
    told = await client.post("mediator", f"/v1/work-items/{item['id']}/appointments/{remote['id']}/document")
    assert (told.status_code, "现场调解" in told.json()["detail"]) == (409, True)


async def test_not_coming_after_due_notice_is_proof_and_without_it_none(client: Client) -> None:
    item = await leased(client)
    matter_id = item["matter_id"]
    await client.post("mediator", f"/v1/matters/{matter_id}/accept")
    end = {"ground": "23(1)(2)", "reason": "无正当理由不参加调解"}
    told_before = []
    for told in (False, True):
        at = datetime.now(UTC) + timedelta(seconds=1.2)
        one = (await book(client, item, at=at.isoformat(), minutes=5, form="call", mediator=None if told else "second")).json()
        path = f"/v1/work-items/{item['id']}/appointments/{one['id']}"
        if told:
            made = await client.post("mediator", f"{path}/notify", {"key": key(), "party": "merchant", "way": "sms"})
            told_before.append(made.json()["id"])
        await asyncio.sleep(max((at - datetime.now(UTC)).total_seconds(), 0) + 0.1)
        missed = await client.post("mediator", f"{path}/miss", {"by": ["merchant"]})
        assert (missed.status_code, missed.json()["missed_by"]) == (200, ["merchant"])
        ended = await client.post("mediator", f"/v1/matters/{matter_id}/terminate", end)
        if not told:
            assert (ended.status_code, "没有事先告知该方的记录" in ended.json()["detail"]) == (409, True)
    assert ended.status_code == 200
    (proof,) = (await view(client, item))["history"][-1]["detail"]["proof"]
    assert (proof["kind"], proof["ids"], proof["party"]) == ("appointment", [one["id"], *told_before], "merchant")


async def test_who_may_not_know_of_a_report_learns_of_none(client: Client) -> None:
    both = "在江城味火锅就餐吃出蟑螂，要求退款368元。另举报该店使用过期食材，请依法查处。"
    posted = (await client.post("portal", "/v1/complaints", complaint("r1", both))).json()
    report = next(m["id"] for m in posted["matters"] if m["lane"] == "report")
    item = {"id": str(await item_of(client.house, uuid.UUID(report)))}
    assert (await log(client, item)).status_code == 404
    assert (await client.get("mediator", f"/v1/work-items/{item['id']}/contacts")).status_code == 404
    assert (await log(client, item, "supervisor", party="consumer", result="reached")).status_code == 201
    assert (await book(client, item, "supervisor")).status_code == 409  # nobody mediates a report
    token = {"to": "mediation", "agrees": True}
    assert (await log(client, item, "supervisor", result="reached", consents=token)).status_code == 409
    async with client.house.database.connection() as connection:
        client.tokens["clerk"] = await identity.issue(
            connection, "clerk", ["mediator"], natural_person=True, jurisdictions=["42"], skills=["clue"]
        )
    assert len((await client.get("clerk", f"/v1/work-items/{item['id']}/contacts")).json()["items"]) == 1


# -- never without proof, never refused with it


class Life:
    """One matter's file as a test keeps it beside the service: what happened, in the order of the test's clock."""

    def __init__(self, house: House, matter_id: uuid.UUID, item_id: uuid.UUID, dice: random.Random) -> None:
        self.house, self.matter_id, self.item_id, self.dice = house, matter_id, item_id, dice
        self.now = SINCE
        self.calls: list[dict[str, Any]] = []
        self.meetings: list[dict[str, Any]] = []
        self.refused_gates: dict[str, uuid.UUID] = {}  # side -> by which contact
        self.decided_gates: dict[str, uuid.UUID] = {}

    async def step(self) -> None:
        self.now += timedelta(hours=self.dice.uniform(1, 40))
        await self.dice.choices([self.call, self.say, self.strike, self.plan, self.notify, self.end], [6, 2, 2, 3, 5, 5])[0]()

    async def _log(self, said: Said) -> None:
        found, fresh = await contacts.log(self.house, self.item_id, ANNA, said, lanes=LANES, at=self.now)
        assert fresh
        self.calls.append({"id": found["id"], "said": said, "at": self.now, "struck": False})

    async def call(self) -> None:
        result = self.dice.choices(
            ["no_answer", "refused_to_talk", "unreachable_number", "wrong_number", "reached", "refused_mediation", "agreed_to_mediation"],
            [10, 3, 3, 3, 1, 1, 1],
        )[0]  # fmt: skip
        await self._log(
            Said(new_id(), self.dice.choice(["consumer", "merchant", "merchant", "agent", "other"]), "call", result, self.now)
        )

    async def say(self) -> None:
        side, agrees = self.dice.choice(["consumer", "merchant"]), self.dice.random() < 0.8
        said = Said(
            new_id(), side, "call", "reached", self.now, consent_to=self.dice.choice(["mediation", "delegation"]), agrees=agrees
        )
        try:
            await self._log(said)
        except Conflict:
            return
        if said.consent_to == "mediation" and not agrees:
            self.refused_gates[side] = self.calls[-1]["id"]

    async def strike(self) -> None:
        standing = [c for c in self.calls if not c["struck"]]
        if not standing:
            return
        one = self.dice.choice(standing)
        await contacts.strike(
            self.house, self.item_id, one["id"], ANNA, lanes=LANES, key=uuid.uuid4(), reason="误记", at=self.now
        )
        one["struck"] = True
        self.refused_gates = {side: by for side, by in self.refused_gates.items() if by != one["id"]}

    async def plan(self) -> None:
        at = self.now + timedelta(hours=self.dice.uniform(1, 60))
        try:
            made, _ = await contacts.book(
                self.house, self.item_id, ANNA, Plan(uuid.uuid4(), at, "call"), lanes=LANES, at=self.now
            )
        except Conflict:
            return
        self.meetings.append({"id": made["id"], "at": at, "state": "planned", "by": (), "excused": ()})
        if self.dice.random() < 0.6:
            await self.notify()

    async def notify(self) -> None:
        ahead = [m for m in self.meetings if m["state"] == "planned" and m["at"] > self.now]
        if ahead:
            result = self.dice.choices(["sent", "returned"], [5, 1])[0]
            side = self.dice.choice(["consumer", "merchant", "agent"])
            await self._log(Said(new_id(), side, "sms", result, self.now, appointment_id=self.dice.choice(ahead)["id"]))

    async def end(self) -> None:
        over = [m for m in self.meetings if m["state"] == "planned" and m["at"] <= self.now]
        if not over:
            return
        one = self.dice.choice(over)
        if self.dice.random() < 0.25:
            await contacts.hold(self.house, self.item_id, one["id"], ANNA, lanes=LANES, at=self.now)
            one["state"] = "held"
            return
        by = self.dice.sample(["consumer", "merchant"], self.dice.randint(1, 2))
        excused = [s for s in by if self.dice.random() < 0.3]
        await contacts.miss(
            self.house,
            self.item_id,
            one["id"],
            ANNA,
            lanes=LANES,
            by=by,
            excused=excused,
            reason="生病" if excused else None,
            at=self.now,
        )
        one.update(state="missed", by=by, excused=excused)

    def proven(self) -> tuple[bool, bool]:
        """(a refusal, an absence), found by looking backwards from now."""
        refusal, absence = bool(self.refused_gates), False
        for side in ("consumer", "merchant"):
            own = ("consumer", "agent") if side == "consumer" else ("merchant",)
            mine = [c for c in reversed(self.calls) if not c["struck"] and c["said"].party in own]
            words = [c["said"].result for c in mine if c["said"].result in ("refused_mediation", "agreed_to_mediation")]
            refusal |= words[:1] == ["refused_mediation"]
            since = list(
                itertools.takewhile(
                    lambda c: c["said"].result not in ("reached", "refused_mediation", "agreed_to_mediation"), mine
                )
            )
            failed = [c for c in since if c["said"].result in ("no_answer", "refused_to_talk", "unreachable_number", "returned")]
            days: set[date] = {local_day(c["at"]) for c in failed if self.house.calendar.is_working(local_day(c["at"]))}
            absence |= len(failed) >= 3 and len(days) >= 2
            for m in self.meetings:
                if m["state"] != "missed" or side not in m["by"] or side in m["excused"]:
                    continue
                came = any(o["state"] == "held" and o["at"] > m["at"] for o in self.meetings)
                told = [c for c in mine if c["said"].appointment_id == m["id"] and c["said"].result == "sent"]
                back = max((c["at"] for c in mine if c["said"].result == "returned"), default=SINCE)
                absence |= not came and any(c["at"] > back for c in told)
        return refusal, absence


@pytest.mark.parametrize("seed", range(6))
async def test_never_without_proof_and_never_refused_with_it(house: House, seed: int) -> None:
    """Random files. At every moment an end under 23(1)(2) is refused where nothing proves it, and done where something does."""
    dice = random.Random(seed)
    one = await matter(house, seed + 1, received_at=SINCE.isoformat())
    async with house.database.connection() as connection:
        await connection.execute("UPDATE matter SET state = 'accepted' WHERE id = $1", one)
    life = Life(house, one, await item_of(house, one), dice)
    for _ in range(40):
        await life.step()
        refusal, absence = life.proven()
        async with house.database.connection() as connection:
            found = await proofs.standing(connection, house.calendar, one)
        assert (bool(found.refusal), bool(found.absence)) == (refusal, absence), (life.calls, life.meetings, found)
        if refusal or absence:
            if dice.random() < 0.2:
                break
        else:
            with pytest.raises(Conflict, match="尚缺"):
                await terminate(house, one, life.now)
            assert await state(house, one) == "accepted"
    if refusal or absence:
        await terminate(house, one, life.now)
        assert await state(house, one) == "terminated"
        async with house.database.connection() as connection:
            kept = await connection.fetchval(
                "SELECT detail -> 'proof' FROM state_change WHERE matter_id = $1 AND act = 'terminate'", one
            )
        struck = {str(c["id"]) for c in life.calls if c["struck"]}
        named = {i for p in kept for i in p["ids"]}
        assert kept
        assert not named & struck
        assert {i for i in named if "." not in i} <= {str(c["id"]) for c in life.calls} | {str(m["id"]) for m in life.meetings}
