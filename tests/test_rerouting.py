"""Tracks proposed anew: an incident grew, a side refused, a term ran out. What somebody works on is flagged, never moved."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from app import baselines, calendar, codes, policy, rerouting, settling, work, worker
from app.calendar import local_day
from app.database import Connection, to_json
from app.identity import Principal, new_id
from app.intake import Complaint
from app.triage import House, receive_and_triage

ANNA = Principal("anna", True, frozenset({"mediator", "intake", "supervisor"}), ("42",), (), ())
SURNAMES = "赵钱孙李周吴郑王冯陈"


async def post(house: House, number: int, text: str, **more: Any) -> uuid.UUID:
    body = {
        "external_id": f"r{number}", "text": text,
        "complainant": {"name": f"{SURNAMES[number % 10]}{chr(0x660E + number)}", "phone": f"1390001{number:04d}"},
        "respondents": [{"name": "桂禾坊家电商行", "address": "武汉市武昌区中南路9号"}], **more,
    }  # fmt: skip
    _, outcome = await receive_and_triage(house, "portal", Complaint.model_validate(body))
    assert outcome is not None
    return outcome.matters[0].id


BROKEN = "在桂禾坊家电商行购买的电饭煲不能加热，商家拒绝退货，要求退款300元"


async def turn(house: House) -> None:
    while await worker.fold(house) or await rerouting.follow_growth(house, datetime.now(UTC)):
        pass


async def told(connection: Connection, matter: uuid.UUID) -> Any:
    return await connection.fetchrow(
        "SELECT m.track, w.queue_id, w.flags, (SELECT array_agg(d.kind ORDER BY d.decided_at) FROM decision d WHERE d.matter_id = m.id) AS decisions, "
        "(SELECT array_agg(o.kind) FROM outbox o WHERE o.matter_id = m.id) AS events FROM matter m JOIN work_item w ON w.matter_id = m.id WHERE m.id = $1",
        matter,
    )


async def test_the_first_complaints_follow_when_their_incident_grows(house: House) -> None:
    first = [await post(house, n, BROKEN + "。" * n) for n in range(2)]
    await turn(house)
    async with house.database.connection() as connection:
        assert [(await told(connection, m))["track"] for m in first] == ["t1", "t1"]
        claimed = await work.claim(connection, "t1", ANNA, limit=1, lease_seconds=600)
    held = claimed[0]["matter_id"]
    free = next(m for m in first if m != held)
    await post(house, 2, BROKEN + "。。")
    await turn(house)
    async with house.database.connection() as connection:
        moved, flagged = await told(connection, free), await told(connection, held)
        incident = await connection.fetchrow("SELECT routed_people, excess, grown FROM incident")
        note = await connection.fetchval("SELECT note FROM state_change WHERE matter_id = $1 AND act = 'incident_grew'", free)
    assert (moved["track"], moved["queue_id"], moved["decisions"], list(moved["flags"])) == (
        "t2",
        "t2",
        ["initial", "reroute"],
        [],
    )
    assert "matter.rerouted" in moved["events"]
    assert "门槛" in note
    assert (flagged["track"], flagged["queue_id"], list(flagged["flags"])) == ("t1", "t1", ["incident_grew:t2"])
    assert "matter.flagged" in flagged["events"]
    assert tuple(incident) == (3, True, False)
    await turn(house)  # once is enough
    async with house.database.connection() as connection:
        assert (await told(connection, free))["decisions"] == ["initial", "reroute"]
        assert list((await told(connection, held))["flags"]) == ["incident_grew:t2"]


async def test_each_place_has_thresholds_of_its_own(house: House) -> None:
    """Two complaints are few in the province, enough for the district that watches from two on; its incident's state says so too."""
    place = {
        "format": 2,
        "name": "武昌",
        "jurisdiction": "420106",
        "valid_from": "2026-01-01",
        "thresholds": {"cluster.watch": 2},
    }
    narrow = policy.parse(place)
    async with house.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO policy (hash, name, jurisdiction, content, author) VALUES ($1, $2, $3, $4, 'test')", narrow.hash, narrow.name,
            narrow.jurisdiction, to_json(narrow.content),
        )  # fmt: skip
    house.policies = [narrow, *house.policies]
    matters = [await post(house, n, BROKEN + "。" * n) for n in range(2)]
    await turn(house)
    async with house.database.connection() as connection:
        assert [(await told(connection, m))["track"] for m in matters] == ["t2", "t2"]
        assert await connection.fetchval("SELECT state FROM incident") == "watch"


async def test_another_district_is_growth_too(house: House) -> None:
    """Four of one district at watch; that the fourth lives elsewhere makes no difference, that he bought elsewhere does."""
    here = [await post(house, n, BROKEN + "。" * n) for n in range(3)]
    await turn(house)
    async with house.database.connection() as connection:
        assert [(await told(connection, m))["track"] for m in here] == ["t2", "t2", "t2"]
        # The same shop's second counter, in another district: as a person would have corrected it.
        await connection.execute("UPDATE incident SET version = version + 1")
        await connection.execute("UPDATE matter SET district = '420111' WHERE id = $1", here[2])
    await turn(house)
    async with house.database.connection() as connection:
        assert [(await told(connection, m))["track"] for m in here] == ["t3", "t3", "t3"]
        assert tuple(await connection.fetchrow("SELECT routed_people, routed_districts, districts, grown FROM incident")) == (
            3,
            2,
            2,
            False,
        )


def test_growth_is_what_crosses_a_number_or_passes_the_usual() -> None:
    at = policy.parse(codes.shipped("policy")).thresholds
    quiet = {
        "people_complaints": 4,
        "routed_people": 3,
        "districts": 1,
        "routed_districts": 1,
        "harm": False,
        "routed_harm": False,
        "excess": True,
    }
    assert not rerouting.outgrew(quiet, at)
    assert rerouting.outgrew({**quiet, "people_complaints": 5}, at)
    assert rerouting.outgrew({**quiet, "harm": True}, at)
    assert rerouting.outgrew({**quiet, "districts": 2}, at)
    assert rerouting.outgrew({**quiet, "excess": False}, at)
    assert not rerouting.outgrew({**quiet, "excess": False, "people_complaints": 21, "routed_people": 20}, at)
    assert not rerouting.outgrew({**quiet, "people_complaints": 2, "routed_people": 0, "districts": 2}, at)


async def test_a_number_that_is_usual_for_a_merchant_is_no_excess(house: House) -> None:
    """The same three people at a merchant with ten a day, and at one that nobody complained about."""
    matters = [await post(house, n, BROKEN + "。" * n) for n in range(3)]
    await turn(house)
    async with house.database.transaction() as connection:
        incident = await connection.fetchval("SELECT incident_id FROM incident_membership WHERE matter_id = $1", matters[0])
        assert (await baselines.exceeds(connection, incident, 3, probability=0.01))[0]
        await _usual(connection, matters[0], 600)
        usual, figures = await baselines.exceeds(connection, incident, 3, probability=0.01)
        assert not usual
        assert figures["expected"] > 5
        assert (await baselines.exceeds(connection, incident, 400, probability=0.01))[0]


async def _usual(connection: Connection, like: uuid.UUID, count: int) -> None:
    """So many earlier complaints of different people at the same merchant, within sixty days."""
    columns = [
        r["column_name"]
        for r in await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'matter' ORDER BY ordinal_position"
        )
    ]
    letters = [
        r["column_name"]
        for r in await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'letter' ORDER BY ordinal_position"
        )
    ]
    for n in range(count):
        letter, matter, at = new_id(), new_id(), datetime.now(UTC) - timedelta(days=1 + n % 60)
        await connection.execute(
            f"INSERT INTO letter SELECT {', '.join({'id': '$1', 'external_id': '$2', 'received_at': '$3'}.get(c, c) for c in letters)} "
            "FROM letter WHERE id = (SELECT letter_id FROM matter WHERE id = $4)",
            letter, f"old{n}", at, like,
        )  # fmt: skip
        await connection.execute(
            f"INSERT INTO matter SELECT {', '.join({'id': '$1', 'letter_id': '$2', 'received_at': '$3'}.get(c, c) for c in columns)} FROM matter WHERE id = $4",
            matter, letter, at, like,
        )  # fmt: skip


async def test_a_refusal_is_followed_at_once(house: House) -> None:
    one = await post(house, 1, BROKEN)
    async with house.database.connection() as connection:
        letter = await connection.fetchval("SELECT letter_id FROM matter WHERE id = $1", one)
    await settling.consent(house, letter, ANNA, party="consumer", agrees=False)
    async with house.database.connection() as connection:
        row = await told(connection, one)
    assert (row["track"], row["decisions"]) == ("t2", ["initial", "reroute"])


async def test_settlement_online_gives_way_in_time(house: House) -> None:
    """Proposed T1, two working days before acceptance must be decided it is T2; and a day before it still is T1."""
    one = await post(house, 1, BROKEN)
    async with house.database.connection() as connection:
        due_on = await connection.fetchval("SELECT due_on FROM clock WHERE matter_id = $1 AND key = 'complaint.accept'", one)
    limit = rerouting._settled_by(house, local_day(datetime.now(UTC)), due_on)
    assert house.calendar.working_days_between(limit, due_on) == 2
    day_before = calendar.end_of_day(limit) - timedelta(days=1, hours=12)
    await rerouting.follow_terms(house, day_before)
    async with house.database.connection() as connection:
        assert (await told(connection, one))["track"] == "t1"
    await rerouting.follow_terms(house, day_before + timedelta(days=1))
    async with house.database.connection() as connection:
        row = await told(connection, one)
    assert (row["track"], row["decisions"][-1]) == ("t2", "reroute")
