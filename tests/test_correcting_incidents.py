"""People correct what is one incident and which merchant is meant: it binds, shows first what it touches, and can be undone."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from app import correcting, incidents, regrouping, worker
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal
from app.incidents import Filter
from app.intake import Complaint
from app.triage import House, receive_and_triage

LANES = ("complaint", "report", "other")


def person(*jurisdictions: str, natural: bool = True) -> Principal:
    return Principal("analyst", natural, frozenset({"analyst"}), tuple(jurisdictions or ("42",)), frozenset(), frozenset())


async def post(
    house: House, number: int, text: str, *, name: str, merchant: str | None = "桂禾坊火锅店", **more: Any
) -> uuid.UUID:
    """The matter that a complaint of somebody new became."""
    body = {
        "external_id": f"c{number}", "text": text, "complainant": {"name": name, "phone": f"1390000{number:04d}"},
        "respondents": [{"name": merchant, "address": "武汉市武昌区中南路9号"}] if merchant else [], **more,
    }  # fmt: skip
    _, outcome = await receive_and_triage(house, "portal", Complaint.model_validate(body))
    assert outcome is not None
    return outcome.matters[0].id


FOOD = "在桂禾坊火锅店吃火锅，锅底里吃出一只蟑螂，店家拒绝退款，要求赔偿"
CARD = "桂禾坊火锅店关门停业，储值卡里的余额不退，老板失联，要求退还余额"


async def planted(house: House) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    names = ["郑甲光", "周乙明", "孙丙亮", "何丁强"]
    food = [await post(house, n, FOOD + "。" * n, name=names[n]) for n in range(3)]
    card = [await post(house, 10 + n, CARD + "。" * n, name="王" + names[n]) for n in range(3)]
    while await worker.fold(house):
        pass
    return food, card


async def homes(house: House, matters: list[uuid.UUID]) -> list[uuid.UUID]:
    async with house.database.connection() as connection:
        found = await incidents.homes(connection, matters)
    return [found[m] for m in matters]


async def test_a_merge_binds_and_is_undone(house: House) -> None:
    food, card = await planted(house)
    a, b = (await homes(house, food))[0], (await homes(house, card))[0]
    assert a != b
    done = await correcting.merge_incidents(house, a, [b], person(), reason="同一起事件", lanes=LANES)
    assert done["matters"] == 3
    assert set(await homes(house, food + card)) == {a}
    await regrouping.regroup(house, actor="test")
    assert set(await homes(house, food + card)) == {a}  # no later pass takes it apart
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT merged_into FROM incident WHERE id = $1", b) == a
    while await worker.fold(house):
        pass
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT people_complaints FROM incident WHERE id = $1", a) == 6
    with pytest.raises(Conflict):
        await correcting.merge_incidents(house, b, [a], person(), reason="又一次", lanes=LANES)
    await correcting.undo_run(house, done["run_id"], person(), reason="看错了", lanes=LANES)
    assert set(await homes(house, food)) == {a}
    assert set(await homes(house, card)) == {b}
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT merged_into FROM incident WHERE id = $1", b) is None
    with pytest.raises(Conflict):
        await correcting.undo_run(house, done["run_id"], person(), reason="再来", lanes=LANES)


async def test_a_split_shows_first_what_it_touches_and_binds(house: House) -> None:
    food, _ = await planted(house)
    a = (await homes(house, food))[0]
    chosen = Filter(matters=food[:1])
    shown = await correcting.split_incident(house, a, chosen, person(), into=None, reason="另一件事", lanes=LANES, expect=None)
    assert (shown["matters"], shown["of"], shown["sample"]) == (1, 3, food[:1])
    assert set(await homes(house, food)) == {a}  # nothing is done yet
    with pytest.raises(Conflict):
        await correcting.split_incident(house, a, chosen, person(), into=None, reason="另一件事", lanes=LANES, expect="0" * 32)
    done = await correcting.split_incident(
        house, a, chosen, person(), into=None, reason="另一件事", lanes=LANES, expect=shown["token"]
    )
    assert (await homes(house, food)) == [done["incident_id"], a, a]
    await regrouping.regroup(house, actor="test")
    assert (await homes(house, food)) == [done["incident_id"], a, a]
    await correcting.undo_run(house, done["run_id"], person(), reason="看错了", lanes=LANES)
    assert set(await homes(house, food)) == {a}


async def test_members_move_to_another_incident(house: House) -> None:
    food, card = await planted(house)
    a, b = (await homes(house, food))[0], (await homes(house, card))[0]
    chosen = Filter(issue=None, matters=food[2:])
    shown = await correcting.split_incident(house, a, chosen, person(), into=b, reason="写错了", lanes=LANES, expect=None)
    await correcting.split_incident(house, a, chosen, person(), into=b, reason="写错了", lanes=LANES, expect=shown["token"])
    assert await homes(house, food) == [a, a, b]
    with pytest.raises(Invalid):
        await correcting.split_incident(
            house, a, Filter(matters=card[:1]), person(), into=None, reason="不在其中", lanes=LANES, expect=None
        )


async def test_a_closed_incident_takes_no_new_complaint_until_it_is_reopened(house: House) -> None:
    food, _ = await planted(house)
    a = (await homes(house, food))[0]
    await correcting.close_incident(house, a, person(), closed=True, reason="已处理完毕", lanes=LANES)
    with pytest.raises(Conflict):
        await correcting.close_incident(house, a, person(), closed=True, reason="再关", lanes=LANES)
    later = await post(house, 50, FOOD + "！", name="冯戊新")
    (again,) = await homes(house, [later])
    assert again != a
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT recurrence_of FROM incident WHERE id = $1", again) == a
    done = await correcting.close_incident(house, a, person(), closed=False, reason="又起", lanes=LANES)
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT state FROM incident WHERE id = $1", a) != "closed"
        assert await incidents.close_idle(connection, datetime.now(UTC)) == 0
    await correcting.undo_run(house, done["run_id"], person(), reason="不必", lanes=LANES)
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT state FROM incident WHERE id = $1", a) == "closed"


async def test_who_may_not_correct(house: House) -> None:
    food, card = await planted(house)
    a, b = (await homes(house, food))[0], (await homes(house, card))[0]
    with pytest.raises(Forbidden):
        await correcting.merge_incidents(house, a, [b], person(natural=False), reason="机器", lanes=LANES)
    with pytest.raises(NotFound):
        await correcting.merge_incidents(house, a, [b], person("11"), reason="外地", lanes=LANES)
    with pytest.raises(NotFound):
        await correcting.close_incident(house, uuid.uuid4(), person(), closed=True, reason="没有", lanes=LANES)
    with pytest.raises(Invalid):
        await correcting.merge_incidents(house, a, [a], person(), reason="自己", lanes=LANES)


async def test_a_run_of_the_night_merges_and_is_undone(house: House) -> None:
    """Two halves of one matter that somebody's mistake tore apart find each other again, unless a person said so."""
    food, _ = await planted(house)
    a = (await homes(house, food))[0]
    async with house.database.transaction() as connection:
        from app import runs

        run = await runs.open_run(connection, "regroup", "fault", of="incident")
        other = uuid.uuid4()
        await incidents.regroup(
            connection, house.reader.tokeniser, run, {food[2]: other}, origin="auto", actor="fault", evidence={}
        )
    assert await homes(house, food) == [a, a, other]
    done = await regrouping.regroup(house, actor="test")
    assert done["moved"] == 1
    assert await homes(house, food) == [a, a, a]
    async with house.database.transaction() as connection:
        await incidents.undo(connection, house.reader.tokeniser, done["run_id"], actor="test")
    assert await homes(house, food) == [a, a, other]


async def test_merchants_are_merged_and_told_apart(house: House) -> None:
    food, _ = await planted(house)
    stranger = await post(house, 70, "在金麦香蛋糕店买的蛋糕发霉，要求退款", name="蒋己", merchant="金麦香蛋糕店")
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT id, merchant_id FROM matter WHERE id = ANY($1)", [food[0], stranger])
        of = {r["id"]: r["merchant_id"] for r in rows}
        mention = await connection.fetchval("SELECT id FROM respondent WHERE matter_id = $1", food[0])
    assert of[food[0]] != of[stranger]
    done = await correcting.merge_merchants(house, of[food[0]], [of[stranger]], person(), reason="改名")
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT merchant_id FROM matter WHERE id = $1", stranger) == of[food[0]]
    renamed = await post(house, 71, "金麦香蛋糕店的面包有异味，要求退款", name="韩庚", merchant="金麦香蛋糕店")
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT merchant_id FROM matter WHERE id = $1", renamed) == of[food[0]]
    await correcting.undo_run(house, done["run_id"], person(), reason="不是", lanes=LANES)
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT merchant_id FROM matter WHERE id = $1", stranger) == of[stranger]
    parted = await correcting.split_merchant(house, of[food[0]], [mention], person(), into=None, reason="另一家")
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT merchant_id FROM matter WHERE id = $1", food[0]) == parted["merchant_id"]
        assert await connection.fetchval("SELECT merchant_id FROM matter WHERE id = $1", food[1]) == of[food[0]]
