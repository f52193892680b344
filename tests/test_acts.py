"""The legal life of a matter: who may do what from where, who must sign, and what no path may do with fewer than two persons."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import cases, settling
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal
from app.intake import Complaint
from app.settling import Done
from app.triage import House, receive_and_triage
from tests.conftest import Client, complaint

LANES = ("complaint", "report", "other")
TEXT = "在江城味火锅就餐吃出蟑螂，要求退款368元。"
REPORT = "举报江城味火锅使用过期食材加工，请依法查处。"
TWO = {
    ("refuse", "16(3)"), ("refuse", "16(5)"), ("refuse", "16(6)"), ("terminate", "23(1)(6)"), ("transfer_police", None), ("find_factors", None),
    ("extend", None),
}  # fmt: skip


def person(subject: str, *roles: str, natural: bool = True) -> Principal:
    return Principal(
        subject, natural, frozenset(roles or ("intake", "mediator", "supervisor")), ("42",), frozenset(), frozenset()
    )  # type: ignore[arg-type]


ANNA, BORIS, ROBOT = person("anna"), person("boris"), person("robot", natural=False)


async def matter(house: House, number: int, text: str = TEXT) -> uuid.UUID:
    body = complaint(f"a{number}", text, complainant={"name": "李建国", "phone": f"138{number:08d}"})
    _, outcome = await receive_and_triage(house, "p1", Complaint.model_validate(body))
    assert outcome is not None
    return outcome.matters[0].id


async def put(house: House, matter_id: uuid.UUID, state: str, *, lane: str | None = None) -> None:
    """As if its life had brought it here, both sides having consented."""
    async with house.database.transaction() as connection:
        await connection.execute(
            "UPDATE matter SET state = $2, lane = coalesce($3, lane), closed_at = CASE WHEN $4 THEN now() END WHERE id = $1",
            matter_id, state, lane, state in cases.CLOSED,
        )  # fmt: skip
        if state == "verifying":
            await connection.execute(
                "UPDATE clock SET stopped_at = NULL WHERE id = (SELECT id FROM clock WHERE matter_id = $1 AND key = 'clue.verify' "
                "ORDER BY stopped_at DESC NULLS FIRST LIMIT 1)",
                matter_id,
            )
        await connection.execute("UPDATE approval SET state = 'lapsed' WHERE matter_id = $1 AND state = 'open'", matter_id)
        for gate in ("consumer_choice", "odr_enterprise", "consumer_consent", "merchant_consent"):
            await connection.execute(
                "INSERT INTO gate (matter_id, track, name, state, basis) VALUES ($1, 't1', $2, 'passed', '') "
                "ON CONFLICT (matter_id, track, name) DO UPDATE SET state = 'passed'",
                matter_id, gate,
            )  # fmt: skip


async def state(house: House, matter_id: uuid.UUID) -> str:
    async with house.database.connection() as connection:
        return str(await connection.fetchval("SELECT state FROM matter WHERE id = $1", matter_id))


async def act(house: House, matter_id: uuid.UUID, name: str, who: Principal = ANNA, **more: Any) -> Done:
    if name == "find_factors":
        more.setdefault("detail", {"factors": ["17(2)"]})
    return await settling.perform(house, matter_id, who, name, lanes=LANES, **{"reason": "依据案卷材料", **more})


async def test_every_transition_there_is_and_none_besides(house: House) -> None:
    """All acts from all states of all lanes with all grounds: allowed exactly where the machine says, and never with too few persons."""
    ids = {lane: await matter(house, n, REPORT if lane == "report" else TEXT) for n, lane in enumerate(LANES, 1)}
    for lane in LANES:
        await put(house, ids[lane], "registered", lane=lane)
    states = sorted(set(cases.STATE_LABELS) - {"received", "human"})
    done = refused = 0
    for name, lane, before in itertools.product(cases.ACTS, LANES, states):
        wanted = cases.ACTS[name]
        for ground in wanted.grounds or (None,):
            allowed = lane in wanted.lanes and before in wanted.sources
            if not allowed:
                with pytest.raises(Conflict):
                    cases.require(name, {"lane": lane, "state": before}, ground)
                refused += 1
                continue
            await put(house, ids[lane], before)
            if wanted.person:
                with pytest.raises(Forbidden):
                    await act(house, ids[lane], name, ROBOT, ground=ground)
                assert await state(house, ids[lane]) == before
            first = await act(house, ids[lane], name, ground=ground)
            if (name, ground) in TWO:
                assert (first.missing, await state(house, ids[lane])) == (1, before)
                assert first.approval_id is not None
                for nobody in (ANNA, ROBOT):
                    with pytest.raises(Forbidden):
                        await settling.approve(house, first.approval_id, nobody, lanes=LANES)
                with pytest.raises(Conflict):
                    await act(house, ids[lane], name, BORIS, ground=ground)  # it waits already
                assert await state(house, ids[lane]) == before
                first = await settling.approve(house, first.approval_id, BORIS, lanes=LANES)
            assert first.missing == 0
            assert await state(house, ids[lane]) == (wanted.target or before) == first.state
            done += 1
    assert done > 90
    assert refused > 1000
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT act, ground, signed_by FROM state_change WHERE act IS NOT NULL")
        factors = await connection.fetch("SELECT evidence FROM finding WHERE code = 'ART17'")
    for row in rows:
        assert len(set(row["signed_by"])) == (2 if (row["act"], row["ground"]) in TWO else 1)
    assert factors
    assert all(f["evidence"]["signed_by"] == ["anna", "boris"] for f in factors)


async def test_one_person_is_enough_for_withdrawal_settlement_and_day_sixty(house: House) -> None:
    withdrawn, settled, ended = [await matter(house, n) for n in range(3)]
    async with house.database.connection() as connection:
        letter = await connection.fetchval("SELECT letter_id FROM matter WHERE id = $1", withdrawn)
    await settling.withdraw(house, letter, person("portal", "portal", natural=False), reason=None)
    assert await state(house, withdrawn) == "withdrawn"
    await act(house, settled, "agree")
    assert await state(house, settled) == "agreed"
    await act(house, ended, "accept")
    assert await settling.draft_ends(house, datetime.now(UTC) + timedelta(days=52)) == 0
    later = datetime.now(UTC) + timedelta(days=54)
    assert await settling.draft_ends(house, later) == 1
    assert await settling.draft_ends(house, later) == 0  # drafted once
    async with house.database.connection() as connection:
        (waiting,) = await cases.approvals(connection, LANES, ("42",), None, 10)
    assert (waiting["kind"], waiting["ground"], waiting["signed_by"], waiting["persons"]) == ("clock", "23(1)(5)", [], 1)
    assert await state(house, ended) == "accepted"  # nothing ends by itself
    with pytest.raises(Forbidden):
        await settling.approve(house, waiting["id"], ROBOT, lanes=LANES)
    with pytest.raises(Conflict):  # the sixty days are not over
        await settling.approve(house, waiting["id"], ANNA, lanes=LANES, at=later)
    with pytest.raises(Conflict):
        await act(house, ended, "terminate", ground="23(1)(5)", at=later)
    await settling.approve(house, waiting["id"], ANNA, lanes=LANES, at=later + timedelta(days=12))
    assert await state(house, ended) == "terminated"


async def test_a_drafted_end_that_a_person_puts_off_comes_back_later(house: House) -> None:
    one = await matter(house, 1)
    await act(house, one, "accept")
    later = datetime.now(UTC) + timedelta(days=54)
    await settling.draft_ends(house, later)
    async with house.database.connection() as connection:
        (waiting,) = await cases.approvals(connection, LANES, ("42",), None, 10)
    await settling.reject(house, waiting["id"], ANNA, reason="双方即将达成协议", lanes=LANES, at=later)
    assert await settling.draft_ends(house, later + timedelta(days=1)) == 0
    assert await settling.draft_ends(house, later + timedelta(days=3)) == 1


async def test_a_rejected_act_is_not_done_and_may_be_proposed_again(house: House) -> None:
    one = await matter(house, 1)
    first = await act(house, one, "refuse", ground="16(3)")
    assert first.approval_id is not None
    await settling.reject(house, first.approval_id, BORIS, reason="有真实消费凭证", lanes=LANES)
    assert await state(house, one) == "pending_acceptance"
    with pytest.raises(Conflict):
        await settling.approve(house, first.approval_id, BORIS, lanes=LANES)
    again = await act(house, one, "refuse", ground="16(3)")
    assert again.approval_id != first.approval_id


async def test_what_waited_lapses_when_the_matter_goes_another_way(house: House) -> None:
    one = await matter(house, 1)
    waiting = await act(house, one, "refuse", ground="16(5)")
    assert waiting.approval_id is not None
    await act(house, one, "agree")
    with pytest.raises(Conflict):
        await settling.approve(house, waiting.approval_id, BORIS, lanes=LANES)
    assert await state(house, one) == "agreed"


async def test_mediation_needs_both_sides_word_and_a_refusal_is_final(client: Client) -> None:
    posted = (
        await client.post("portal", "/v1/complaints", complaint("m1", complainant={"name": "赵一鸣", "phone": "13700001111"}))
    ).json()
    one = posted["matters"][0]["id"]
    assert (await client.post("mediator", f"/v1/matters/{one}/accept")).json()["state"] == "accepted"
    early = await client.post("mediator", f"/v1/matters/{one}/mediate")
    assert early.status_code == 409
    assert "尚未取得" in early.json()["detail"]
    consent = f"/v1/complaints/{posted['id']}/consent"
    await client.post("portal", consent, {"party": "consumer", "agrees": True})
    await client.post("intake", consent, {"party": "merchant", "agrees": False})
    refused = await client.post("mediator", f"/v1/matters/{one}/mediate")
    assert "已被拒绝" in refused.json()["detail"]
    ended = await client.post(
        "mediator", f"/v1/matters/{one}/terminate", {"ground": "23(1)(2)", "reason": "被投诉人明确拒绝调解"}
    )
    assert (ended.status_code, ended.json()["state"], ended.json()["clock"]) == (200, "terminated", "complaint.terminate_notice")


async def test_two_signatures_over_rest(client: Client) -> None:
    posted = (await client.post("portal", "/v1/complaints", complaint("r1"))).json()
    one = posted["matters"][0]["id"]
    bad = await client.post("intake", f"/v1/matters/{one}/refuse", {"ground": "16(9)", "reason": "不属于"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "ground")
    silent = await client.post("intake", f"/v1/matters/{one}/refuse", {"ground": "16(3)"})
    assert (silent.status_code, silent.json()["errors"][0]["field"]) == (422, "reason")
    first = await client.post(
        "intake", f"/v1/matters/{one}/refuse", {"ground": "16(3)", "reason": "不能证明存在消费者权益争议，电话13987650123"}
    )
    assert (first.status_code, first.json()["state"], first.json()["missing"]) == (202, "pending_acceptance", 1)
    (item,) = (await client.get("supervisor", "/v1/approvals")).json()["items"]
    assert (item["label"], item["ground"], item["missing"]) == ("不予受理", "16(3)", 1)
    assert "13987650123" not in item["reason"]
    path = f"/v1/approvals/{item['id']}/approve"
    assert (await client.post("intake", path)).status_code == 403
    assert (await client.post("robot", path)).status_code == 403
    assert (await client.post("yichang", path)).status_code == 404
    assert (await client.post("portal", path)).status_code == 403
    done = await client.post("supervisor", path)
    assert (done.status_code, done.json()["state"]) == (200, "not_accepted")
    assert (await client.get("supervisor", "/v1/approvals")).json()["items"] == []
    seen = (await client.get("analyst", f"/v1/complaints/{posted['id']}")).json()["matters"][0]["history"][-1]
    assert (seen["act"], seen["ground"], seen["signed_by"]) == ("refuse", "16(3)", ["intake", "supervisor"])
    assert "第十六条第三项" in seen["note"]


async def test_a_reopened_dispute_is_work_again(house: House) -> None:
    one = await matter(house, 1)
    await act(house, one, "accept")
    await act(house, one, "terminate", ground="23(1)(3)")
    with pytest.raises(Invalid):
        await act(house, one, "reopen", ground="not content")
    await act(house, one, "reopen", ground="own_error")
    async with house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT m.state, m.closed_at, w.state AS work, (SELECT array_agg(key) FROM clock WHERE matter_id = m.id AND stopped_at IS NULL "
            "AND key = 'complaint.mediate') AS clocks FROM matter m JOIN work_item w ON w.matter_id = m.id WHERE m.id = $1",
            one,
        )
    assert (row["state"], row["closed_at"], row["work"], row["clocks"]) == ("accepted", None, "ready", ["complaint.mediate"])


async def test_appraisal_stops_the_sixty_days_and_verification_is_extended_once(house: House) -> None:
    one, clue = await matter(house, 1), await matter(house, 2, REPORT)
    now = datetime.now(UTC)
    await act(house, one, "accept", at=now)
    await put(house, one, "mediating")
    await act(house, one, "appraise", at=now + timedelta(days=3))
    await act(house, one, "resume", at=now + timedelta(days=13))
    first = await act(house, clue, "extend")
    assert first.approval_id is not None
    await settling.approve(house, first.approval_id, BORIS, lanes=LANES)
    async with house.database.connection() as connection:
        paused = await connection.fetchrow(
            "SELECT paused_days, paused_at FROM clock WHERE matter_id = $1 AND key = 'complaint.mediate'", one
        )
        extended = await connection.fetchval("SELECT extended FROM clock WHERE matter_id = $1", clue)
        due, item = await connection.fetchrow(
            "SELECT c.due_at, w.due_at FROM clock c JOIN work_item w ON w.matter_id = c.matter_id WHERE c.matter_id = $1 AND c.stopped_at IS NULL",
            one,
        )
    assert (paused["paused_days"], paused["paused_at"], extended) == (10, None, 1)
    assert due == item  # whoever pulls it sees the new day
    again = await act(house, clue, "extend")
    assert again.approval_id is not None
    with pytest.raises(Conflict):
        await settling.approve(house, again.approval_id, BORIS, lanes=LANES)


async def test_urging_and_supervising_are_counted(client: Client) -> None:
    posted = (await client.post("portal", "/v1/complaints", complaint("u1"))).json()
    one = posted["matters"][0]["id"]
    assert (await client.post("intake", f"/v1/matters/{one}/press/urge", {"note": "消费者来电催办"})).json()["urged"] == 1
    assert (await client.post("mediator", f"/v1/matters/{one}/press/supervise")).status_code == 403
    assert (await client.post("supervisor", f"/v1/matters/{one}/press/supervise")).json()["supervised"] == 1
    assert (await client.post("supervisor", f"/v1/matters/{one}/press/other")).status_code in (403, 404)
    assert (await client.post("supervisor", f"/v1/matters/{one}/explode")).status_code == 404


async def test_a_report_is_not_seen_by_a_mediator(house: House) -> None:
    one = await matter(house, 1, REPORT)
    with pytest.raises(NotFound):
        await settling.perform(house, one, ANNA, "verify", lanes=("complaint", "other"))
    assert (await act(house, one, "verify")).state == "verified"


def test_every_act_says_by_which_law() -> None:
    for name, wanted in cases.ACTS.items():
        assert wanted.cited or name == "archive"
        assert all(cases.cite_ground(ground) != ground for ground in wanted.grounds)
        assert wanted.target is None or wanted.target in cases.STATE_LABELS
        assert wanted.sources <= set(cases.STATE_LABELS)
