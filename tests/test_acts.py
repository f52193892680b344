"""The legal life of a matter: who may do what from where, who must sign, and what no path may do with fewer than two persons."""

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import acts, cases, contacts, effects, identity, reviewing, settling
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal
from app.intake import Complaint
from app.settling import Done
from app.triage import House, receive_and_triage
from tests.conftest import Client, complaint

LANES = ("complaint", "report", "other")
TEXT = "在江城味火锅就餐吃出蟑螂，要求退款368元。"
REPORT = "举报江城味火锅使用过期食材加工，请依法查处。"
AGAIN = "再次反映江城味火锅：7月8日晚上拍到该店把隔夜肉片重新换标签改日期的视频，上次没有说，请一并查处。"
SHOP = [{"name": "江城味火锅", "address": "武汉市武昌区中南路12号"}]
TWO = {
    ("refuse", "16(3)"), ("refuse", "16(5)"), ("refuse", "16(6)"), ("terminate", "23(1)(6)"), ("transfer_police", None), ("find_factors", None),
    ("extend", None),
}  # fmt: skip


# What acts need besides their ground and reason; `into` is filled in by whoever has an earlier report.
DETAIL: dict[Any, dict[str, Any]] = {
    "find_factors": {"factors": ["17(2)"]}, ("terminate", "23(1)(6)"): {"rests_on": "16(3)"}, "quarrel": {"to": "420111"},
    "dispatch": {"to": "420111"}, ("settle_quarrel", "agreed"): {"to": "420106"},
}  # fmt: skip


def person(subject: str, *roles: str, natural: bool = True) -> Principal:
    return Principal(
        subject, natural, frozenset(roles or ("intake", "mediator", "supervisor")), ("42",), frozenset(), frozenset()
    )  # type: ignore[arg-type]


ANNA, BORIS, ROBOT = person("anna"), person("boris"), person("robot", natural=False)


async def matter(house: House, number: int, text: str = TEXT, **values: Any) -> uuid.UUID:
    """number: the person's; another text is another letter of theirs."""
    body = complaint(f"a{number}.{len(text)}", text, complainant={"name": "李建国", "phone": f"138{number:08d}"}, **values)
    _, outcome = await receive_and_triage(house, "p1", Complaint.model_validate(body))
    assert outcome is not None
    return outcome.matters[0].id


async def put(
    house: House, matter_id: uuid.UUID, state: str, *, lane: str | None = None, clocks: Sequence[str | None] = ()
) -> None:  # fmt: skip
    """As if its life had brought it here, both sides having consented. clocks: those that run."""
    async with house.database.transaction() as connection:
        await connection.execute(
            "UPDATE matter SET state = $2, lane = coalesce($3, lane), closed_at = CASE WHEN $4 THEN now() END WHERE id = $1",
            matter_id, state, lane, state in acts.CLOSED,
        )  # fmt: skip
        await connection.execute(
            "UPDATE clock SET stopped_at = now() WHERE matter_id = $1 AND key = 'jurisdiction.quarrel' AND stopped_at IS NULL",
            matter_id,
        )
        # A dispatched matter is somebody else's; here it is back.
        await connection.execute("UPDATE matter SET district = '420106', authority = 'bureau' WHERE id = $1", matter_id)
    async with house.database.transaction() as connection:
        now = datetime.now(UTC)
        for key in (
            *clocks,
            *{"verifying": ["clue.verify"], "case_opened": ["case.decide"]}.get(state, ()),
        ):
            if key:
                await effects.start_clock(house, connection, matter_id, key, now, received_at=now)
        await connection.execute("UPDATE approval SET state = 'lapsed' WHERE matter_id = $1 AND state = 'open'", matter_id)
        await connection.execute(
            "UPDATE callback SET state = 'lapsed', closed_at = now() WHERE matter_id = $1 AND state = 'open'", matter_id
        )
        for track, gate in {gate for act in acts.ACTS.values() for gate in act.consents}:
            await connection.execute(
                "INSERT INTO gate (matter_id, track, name, state, basis) VALUES ($1, $2, $3, 'passed', '') "
                "ON CONFLICT (matter_id, track, name) DO UPDATE SET state = 'passed'",
                matter_id, track, gate,
            )  # fmt: skip


async def state(house: House, matter_id: uuid.UUID) -> str:
    async with house.database.connection() as connection:
        return str(await connection.fetchval("SELECT state FROM matter WHERE id = $1", matter_id))


async def refuse_mediation(house: House, matter_id: uuid.UUID) -> None:
    """The merchant says so on the telephone: what an end under 23(1)(2) rests on."""
    async with house.database.connection() as connection:
        item = await connection.fetchval("SELECT id FROM work_item WHERE matter_id = $1", matter_id)
    await contacts.log(house, item, ANNA, contacts.Said(uuid.uuid4(), "merchant", "call", "refused_mediation"), lanes=LANES)


async def act(house: House, matter_id: uuid.UUID, name: str, who: Principal = ANNA, **more: Any) -> Done:
    if said := DETAIL.get(name) or DETAIL.get((name, more.get("ground"))):
        more.setdefault("detail", said)
    return await settling.perform(house, matter_id, who, name, lanes=LANES, **{"reason": "依据案卷材料", **more})


# What an appraisal or a suspension interrupted last, in the order of the walk.
CAME_FROM = {"complaint": "mediating", "report": "verifying"}


async def test_every_transition_there_is_and_none_besides(house: House) -> None:
    """All acts from all states of all lanes with all grounds: allowed exactly where the machine says, and never with too few persons."""
    earlier = await matter(house, 2, REPORT, respondents=SHOP)
    ids = {
        lane: await matter(house, n, **({"text": AGAIN, "respondents": SHOP} if lane == "report" else {}))
        for n, lane in enumerate(LANES, 1)
    }
    for lane in LANES:
        await put(house, ids[lane], "registered", lane=lane)
    states = sorted(set(acts.STATE_LABELS) - {"received", "human"})
    done = refused = 0
    for name, lane, before in itertools.product(acts.ACTS, LANES, states):
        wanted = acts.ACTS[name]
        for ground in wanted.grounds or (None,):
            allowed = lane in wanted.lanes and before in wanted.sources
            if not allowed:
                with pytest.raises(Conflict):
                    acts.require(name, {"lane": lane, "state": before}, ground)
                refused += 1
                continue
            await put(house, ids[lane], before, clocks=[wanted.stops])
            more = {"detail": {"into": str(earlier)}} if name == "merge_report" else {}
            if ground == "23(1)(2)":
                await refuse_mediation(house, ids[lane])
            if wanted.person:
                with pytest.raises(Forbidden):
                    await act(house, ids[lane], name, ROBOT, ground=ground, **more)
                assert await state(house, ids[lane]) == before
            first = await act(house, ids[lane], name, ground=ground, **more)
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
            made = acts.target(
                name,
                {"lane": lane, "state": before},
                elsewhere=False if name == "dispatch" else None,
                came_from=CAME_FROM.get(lane),
            )
            assert await state(house, ids[lane]) == made == first.state
            done += 1
    assert done > 180
    assert refused > 2000
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
    # Said before the bureau: a gate that failed proves it, without an entry in the log of contacts.
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
            "SELECT m.state, m.closed_at, CASE WHEN w.finished_at IS NULL THEN 'ready' ELSE 'finished' END AS work, (SELECT array_agg(key) FROM clock WHERE matter_id = m.id AND stopped_at IS NULL "
            "AND key = 'complaint.mediate') AS clocks FROM matter m JOIN work_item w ON w.matter_id = m.id WHERE m.id = $1",
            one,
        )
    assert (row["state"], row["closed_at"], row["work"], row["clocks"]) == ("accepted", None, "ready", ["complaint.mediate"])


async def test_appraisal_stops_the_sixty_days_and_verification_is_extended_once(house: House) -> None:
    one, clue = await matter(house, 1), await matter(house, 2, REPORT)
    now = datetime.now(UTC)
    await act(house, one, "accept", at=now)
    await act(house, one, "appraise", at=now + timedelta(days=3))
    assert (await act(house, one, "resume", at=now + timedelta(days=13))).state == "accepted"
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
    for name, wanted in acts.ACTS.items():
        assert wanted.cited or name in ("archive", "reply_hotline")  # that term is a local rule
        assert all(acts.cite_ground(ground) != ground for ground in wanted.grounds)
        assert wanted.target is None or wanted.target in acts.STATE_LABELS
        assert wanted.sources <= set(acts.STATE_LABELS)


async def test_a_word_to_delegation_is_none_to_mediation(client: Client) -> None:
    """Art. 19 and Art. 18 are two consents: each refusal is a fact of its own, and neither stands for the other."""
    posted = (await client.post("portal", "/v1/complaints", complaint("w1"))).json()
    one, consent = posted["matters"][0]["id"], f"/v1/complaints/{posted['id']}/consent"
    await client.post("intake", f"/v1/matters/{one}/accept")
    for party, who in (("consumer", "portal"), ("merchant", "intake")):
        said = await client.post(who, consent, {"party": party, "agrees": True, "to": "delegation"})
        assert (said.status_code, said.json()["gates"]) == (200, [f"{party}_consent"])
    assert (await client.post("mediator", f"/v1/matters/{one}/mediate")).status_code == 409
    assert (await client.post("mediator", f"/v1/matters/{one}/delegate")).json()["state"] == "delegated"
    await client.post("portal", consent, {"party": "consumer", "agrees": True, "to": "mediation"})
    no = await client.post("intake", consent, {"party": "merchant", "agrees": False, "to": "mediation"})
    assert no.json()["state"] == "failed"
    again = await client.post("intake", consent, {"party": "merchant", "agrees": True, "to": "mediation"})
    assert again.status_code == 409
    refused = await client.post("mediator", f"/v1/matters/{one}/mediate")
    assert "被投诉人同意调解已被拒绝" in refused.json()["detail"]


async def clerk(client: Client) -> str:
    """A mediator who works on reports."""
    async with client.house.database.connection() as connection:
        token = await identity.issue(
            connection, "clerk", ["mediator"], natural_person=True, jurisdictions=["42"], skills=["clue"]
        )
    client.tokens["clerk"] = token
    return "clerk"


async def posted(client: Client, external_id: str, text: str = TEXT, **values: Any) -> tuple[str, str]:
    """(letter, its first matter)."""
    body = complaint(external_id, text, complainant={"name": "周敏", "phone": "13900002222"}, **values)
    found = (await client.post("portal", "/v1/complaints", body)).json()
    return found["id"], found["matters"][0]["id"]


async def history(client: Client, letter: str, who: str = "supervisor") -> list[dict[str, Any]]:
    matters: list[dict[str, Any]] = (await client.get(who, f"/v1/complaints/{letter}")).json()["matters"]
    return matters


def clocks_of(matter: dict[str, Any]) -> dict[str, str]:
    return {c["key"]: c["due_on"] for c in matter["clocks"] if c["stopped_at"] is None}


async def test_a_clue_found_in_mediation_is_verified_beside_it_and_nobody_else_learns_of_it(client: Client) -> None:
    letter, one = await posted(client, "f1")
    body = {"reason": "现场检查发现主板铅封被破坏"}
    path = f"/v1/matters/{one}/find_clue"
    assert (await client.post("mediator", path, body)).status_code == 409  # nothing is mediated yet
    await client.post("mediator", f"/v1/matters/{one}/accept")
    assert (await client.post("robot", path, body)).status_code == 403
    assert (await client.post("mediator", path)).json()["errors"][0]["field"] == "reason"
    before = {who: (await client.get(who, f"/v1/complaints/{letter}")).json() for who in ("mediator", "portal")}
    listed = (await client.get("portal", "/v1/complaints")).json()
    found = await client.post("mediator", path, body)
    assert (found.status_code, found.json()["state"]) == (200, "accepted")
    after = {who: (await client.get(who, f"/v1/complaints/{letter}")).json() for who in ("mediator", "portal")}
    for view in (*before.values(), *after.values()):
        for m in view["matters"]:
            m.pop("incident_evidence", None)
            for c in m.get("clocks", ()):
                c.pop("working_days_left")
    assert after == before
    assert (await client.get("portal", "/v1/complaints")).json() == listed
    assert (await client.get("portal", "/v1/complaints?state=verifying")).json()["items"] == []
    complaint_, report = await history(client, letter)
    assert (complaint_["state"], report["lane"], report["state"], report["track"]) == (
        "accepted", "report", "verifying", "clue",
    )  # fmt: skip
    assert "clue.verify" in clocks_of(report)
    assert report["parties"] == []  # the complainant reported nothing
    assert "第二十七条第一款" in report["history"][0]["note"]
    assert report["history"][0]["signed_by"] == ["mediator"]
    assert (await client.get("mediator", f"/v1/matters/{report['id']}/documents")).status_code == 404
    assert (await client.get("portal", f"/v1/matters/{report['id']}/documents")).status_code == 404
    told = await client.post("intake", f"/v1/matters/{report['id']}/documents", {"form": 10, "values": {}})
    assert told.status_code == 409
    # Found again: the open report takes it in.
    await client.post("second", path, {"reason": "又发现铅封编号与检定证书不符"})
    _, report = await history(client, letter)
    assert [h["act"] for h in report["history"]] == ["find_clue", "find_clue"]
    events = await _events(client, one)
    assert all(e["payload"].get("act") != "find_clue" for e in events)


async def _events(client: Client, matter_id: str) -> list[dict[str, Any]]:
    async with client.house.database.connection() as connection:
        return [dict(r) for r in await connection.fetch("SELECT kind, payload FROM outbox WHERE matter_id = $1", matter_id)]


async def test_who_works_on_reports_pulls_and_decides_them(client: Client) -> None:
    who = await clerk(client)
    _, one = await posted(client, "w1", REPORT)
    assert (await client.post("mediator", "/v1/queues/clue/claim")).status_code == 403
    assert "clue" not in {q["id"] for q in (await client.get("mediator", "/v1/queues")).json()["items"]}
    assert "clue" in {q["id"] for q in (await client.get(who, "/v1/queues")).json()["items"]}
    (item,) = (await client.post(who, "/v1/queues/clue/claim")).json()["items"]
    assert item["matter_id"] == one
    assert (await client.post("mediator", f"/v1/matters/{one}/open_case")).status_code == 404
    opened = await client.post(who, f"/v1/matters/{one}/open_case")
    assert (opened.json()["state"], opened.json()["clock"]) == ("case_opened", "case.decide")
    late = await client.post(who, f"/v1/matters/{one}/extend", {"clock": "clue.later", "reason": "案情复杂"})
    assert (late.status_code, late.json()["errors"][0]["field"]) == (422, "clock")
    waits = await client.post(who, f"/v1/matters/{one}/extend", {"reason": "案情复杂"})
    (approval,) = (await client.get("supervisor", "/v1/approvals")).json()["items"]
    assert (waits.status_code, approval["detail"], approval["last_by"]) == (202, {"clock": "case.decide"}, "supervisor")
    by_item = {"lease_token": item["lease_token"], "reason": "案情复杂"}
    again = await client.post(who, f"/v1/work-items/{item['id']}/extend", by_item)
    assert (again.status_code, again.json()["approval_id"]) == (202, approval["id"])  # the first answer may have been lost
    assert (await client.post(who, f"/v1/work-items/{item['id']}/extend", {**by_item, "reason": "别的"})).status_code == 409
    assert (await client.post("supervisor", f"/v1/matters/{one}/extend", {"reason": "案情复杂"})).status_code == 409
    sign = f"/v1/approvals/{approval['id']}/approve"
    refused = await client.post("intake", sign)
    assert (refused.status_code, "supervisor" in refused.json()["detail"]) == (403, True)
    assert (await client.post("supervisor", sign)).status_code == 200
    assert (await client.post(who, f"/v1/matters/{one}/verify")).status_code == 409
    bad = await client.post(who, f"/v1/matters/{one}/decide_case", {"ground": "guilty", "reason": "x"})
    assert bad.json()["errors"][0]["field"] == "ground"
    done = await client.post(who, f"/v1/matters/{one}/decide_case", {"ground": "penalised", "reason": "罚款五千元"})
    assert (done.json()["state"], done.json()["clock"]) == ("case_decided", None)
    assert (await client.get(who, "/v1/work-items")).json()["items"] == []


async def test_a_verified_clue_that_becomes_a_case_is_work_again(house: House) -> None:
    one = await matter(house, 1, REPORT)
    await act(house, one, "verify")
    await act(house, one, "open_case")
    async with house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT CASE WHEN w.finished_at IS NULL THEN 'ready' ELSE 'finished' END AS state, m.closed_at, c.due_at = w.due_at AS same FROM matter m JOIN work_item w ON w.matter_id = m.id "
            "JOIN clock c ON c.matter_id = m.id AND c.stopped_at IS NULL WHERE m.id = $1 AND c.key = 'case.decide'",
            one,
        )
    assert tuple(row) == ("ready", None, True)


async def test_a_quarrel_runs_seven_days_and_ends_agreed_or_above(client: Client) -> None:
    letter, one = await posted(client, "q1", respondents=SHOP)
    path = f"/v1/matters/{one}/quarrel"
    for bad in ({}, {"to": "429999"}, {"to": "洪山"}, {"to": "420106"}):
        answer = await client.post("intake", path, bad)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "to"), bad
    assert (await client.post("intake", f"/v1/matters/{one}/settle_quarrel", {"ground": "sent_up"})).status_code == 409
    assert (await client.post("intake", path, {"to": "420111"})).status_code == 200
    assert (await client.post("intake", path, {"to": "420111"})).status_code == 409
    (seen,) = await history(client, letter)
    assert {"complaint.accept", "jurisdiction.quarrel"} == set(clocks_of(seen))
    assert "第三十三条" in seen["history"][-1]["note"]
    assert (await client.post("intake", f"/v1/matters/{one}/settle_quarrel", {"ground": "agreed"})).json()["errors"][0][
        "field"
    ] == "to"
    kept = await client.post("intake", f"/v1/matters/{one}/settle_quarrel", {"ground": "agreed", "to": "420106"})
    assert kept.json()["state"] == "pending_acceptance"
    await client.post("intake", path, {"to": "420111"})
    await client.post("intake", f"/v1/matters/{one}/settle_quarrel", {"ground": "agreed", "to": "420111"})
    (seen,) = await history(client, letter)
    assert (seen["district"], set(clocks_of(seen))) == ("420111", {"complaint.accept"})
    assert [c["stopped_by"] for c in seen["clocks"] if c["key"] == "complaint.accept"] == ["settle_quarrel", None]
    await client.post("intake", path, {"to": "420106"})
    await client.post("intake", f"/v1/matters/{one}/settle_quarrel", {"ground": "sent_up", "to": "420100"})
    (seen,) = await history(client, letter)
    assert (seen["district"], set(clocks_of(seen))) == ("420111", {"complaint.accept"})


async def test_a_unit_returns_and_the_intake_desk_alone_sends(client: Client) -> None:
    letter, one = await posted(client, "d1", respondents=SHOP)
    for act_, who in (("forward", "mediator"), ("dispatch", "mediator"), ("forward", "supervisor")):
        own = await client.post(who, f"/v1/matters/{one}/{act_}", {"to": "420111"})
        assert (own.status_code, "第四十一条" in own.json()["detail"]) == (403, True)
    queue = (await history(client, letter))[0]["track"]
    (item,) = (await client.post("second", f"/v1/queues/{queue}/claim")).json()["items"]
    held = await client.post("mediator", f"/v1/matters/{one}/return", {"reason": "不在本所权限内"})
    assert held.status_code == 409  # somebody works on it
    back = f"/v1/work-items/{item['id']}/return"
    await client.post("second", back, {"lease_token": item["lease_token"], "reason": "不在本所权限内"})
    (seen,) = await history(client, letter)
    assert (seen["state"], seen["state_label"]) == ("pending_dispatch", "待分派")
    assert "complaint.accept" in clocks_of(seen)  # the bureau has it still
    (item,) = (await client.post("intake", "/v1/queues/intake/claim")).json()["items"]
    lost = await client.post("intake", f"/v1/matters/{one}/dispatch", {"to": "429999"})
    assert (lost.status_code, lost.json()["errors"][0]["field"]) == (422, "to")
    sent = await client.post("intake", f"/v1/matters/{one}/dispatch", {"to": "420111"})
    assert (sent.status_code, sent.json()["state"]) == (200, "pending_acceptance")
    (seen,) = await history(client, letter)
    assert (seen["district"], seen["authority"]) == ("420111", "bureau")
    old, new = [c for c in seen["clocks"] if c["key"] == "complaint.accept"]
    assert (old["stopped_by"], new["started_at"], seen["reached_at"] is not None) == ("dispatch", seen["reached_at"], True)
    last = seen["history"][-1]
    assert (last["act"], last["detail"]["from"], last["detail"]["to"]) == ("dispatch", "420106", "420111")
    async with client.house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT r.queue_id, r.district FROM ready r JOIN work_item w ON w.unit_id = r.unit_id WHERE w.matter_id = $1", one
        )
    assert tuple(row) == (seen["track"], "420111")
    again = await client.post("intake", f"/v1/matters/{one}/dispatch", {"to": "420111"})
    assert again.json()["errors"][0]["message"] == "is the bureau that has it already"


async def test_what_goes_to_a_bureau_outside_is_closed_here_and_kept(client: Client) -> None:
    letter, one = await posted(client, "o1")
    gone = await client.post("intake", f"/v1/matters/{one}/dispatch", {"to": "330106"})
    assert (gone.status_code, gone.json()["state"], gone.json()["clock"]) == (200, "transferred", None)
    (seen,) = await history(client, letter)
    assert (seen["authority"], seen["history"][-1]["detail"]["to"]) == ("330106", "330106")
    await client.post("intake", f"/v1/matters/{one}/archive")
    (seen,) = await history(client, letter)
    assert (seen["state"], seen["authority"]) == ("archived", "330106")


async def test_reports_are_merged_by_a_person_into_an_open_one_of_the_same_reporter(house: House) -> None:
    since = datetime(2026, 9, 1, 9, tzinfo=UTC)
    first = await matter(house, 1, REPORT, respondents=SHOP, received_at=since)
    later = await matter(house, 1, AGAIN, respondents=SHOP, received_at=since + timedelta(days=8))
    other = await matter(house, 2, AGAIN + "我是另一个人。", respondents=SHOP, received_at=since + timedelta(days=8))
    with pytest.raises(Conflict, match="same reporter"):
        await act(house, other, "merge_report", detail={"into": str(first)})
    for wrong in (later, uuid.uuid4(), "x"):
        with pytest.raises(Invalid) as error:
            await act(house, later, "merge_report", detail={"into": str(wrong)})
        assert error.value.errors[0]["field"] == "into"
    with pytest.raises(Invalid):  # the earlier one joins nothing that came after it
        await act(house, first, "merge_report", detail={"into": str(later)})
    assert (await act(house, later, "merge_report", detail={"into": str(first)})).state == "merged"
    async with house.database.connection() as connection:
        clocks = await connection.fetch(
            "SELECT started_at, stopped_by FROM clock WHERE matter_id = $1 ORDER BY started_at", first
        )
        codes = await connection.fetch("SELECT code FROM finding WHERE matter_id = $1", later)
        flags = await connection.fetchval("SELECT flags FROM work_item WHERE matter_id = $1", first)
    assert [tuple(c) for c in clocks] == [(since, "merge_report"), (since + timedelta(days=8), None)]
    assert "R6" in {c["code"] for c in codes}
    assert flags == ["report_merged"]
    await act(house, first, "not_open_case")
    last = await matter(
        house,
        1,
        "举报江城味火锅：后厨员工没有健康证，冷柜里的肉品都没有标签。",
        respondents=SHOP,
        received_at=since + timedelta(days=20),
    )
    with pytest.raises(Conflict, match="closed"):
        await act(house, last, "merge_report", detail={"into": str(first)})
    assert await state(house, last) == "verifying"


async def test_a_termination_that_rests_on_a_situation_names_it(client: Client) -> None:
    letter, one = await posted(client, "t1")
    await client.post("mediator", f"/v1/matters/{one}/accept")
    path = f"/v1/matters/{one}/terminate"
    for bad in ({}, {"rests_on": "16(9)"}):
        told = await client.post("mediator", path, {"ground": "23(1)(6)", "reason": "查明", **bad})
        assert (told.status_code, told.json()["errors"][0]["field"]) == (422, "rests_on")
    odd = await client.post("mediator", path, {"ground": "23(1)(3)", "reason": "谈不拢", "rests_on": "16(3)"})
    assert odd.json()["errors"][0]["field"] == "rests_on"
    wrong = await client.post("mediator", path, {"ground": "23(1)(3)", "reason": "谈不拢", "to": "别处"})
    assert wrong.json()["errors"][0]["field"] == "to"
    await client.post("mediator", path, {"ground": "23(1)(6)", "reason": "不是为生活消费", "rests_on": "16(3)"})
    (item,) = (await client.get("supervisor", "/v1/approvals")).json()["items"]
    assert item["detail"] == {"rests_on": "16(3)"}
    await client.post("supervisor", f"/v1/approvals/{item['id']}/approve")
    last = (await history(client, letter))[0]["history"][-1]
    assert last["detail"] == {"rests_on": "16(3)"}
    for words in ("第二十三条第一款第六项", "第十六条第三项", "不是为生活消费需要购买"):
        assert words in last["note"]
    # Both sides are told within seven working days; saying so ends the term, once.
    told = await client.post("mediator", f"/v1/matters/{one}/tell_both")
    assert (told.status_code, told.json()["clock"]) == (200, None)
    assert (await client.post("mediator", f"/v1/matters/{one}/tell_both")).status_code == 409


async def test_a_transfer_to_the_police_ends_the_mediation_and_says_whose_it_is(client: Client) -> None:
    letter, one = await posted(client, "p1", respondents=SHOP)
    await client.post("mediator", f"/v1/matters/{one}/accept")
    body = {"reason": "查实涉嫌敲诈勒索", "to": "武汉市公安局武昌区分局"}
    assert (await client.post("mediator", f"/v1/matters/{one}/transfer_police", body)).status_code == 202
    (item,) = (await client.get("supervisor", "/v1/approvals")).json()["items"]
    done = await client.post("supervisor", f"/v1/approvals/{item['id']}/approve")
    assert done.json()["clock"] == "complaint.terminate_notice"
    (seen,) = await history(client, letter)
    assert (seen["state"], seen["authority"], seen["outcome"]) == ("terminated", "police", "terminated")
    for words in ("第四十二条", "第二十三条第一款第六项", "武昌区分局"):
        assert words in seen["history"][-1]["note"]
    forms = (await client.get("intake", f"/v1/matters/{one}/documents")).json()["items"]
    assert 8 in {f["form"] for f in forms}


async def test_an_agreement_of_the_peoples_mediation_may_be_confirmed_after_the_matter_is_closed(house: House) -> None:
    now = datetime(2026, 7, 15, 8, tzinfo=UTC)
    delegated, said, own = [await matter(house, n, received_at=now - timedelta(days=20)) for n in (1, 2, 3)]
    for one in (delegated, said, own):
        await act(house, one, "accept", at=now)
        await put(house, one, "accepted")
    await act(house, delegated, "delegate", detail={"to": "people_mediation"}, at=now)
    with pytest.raises(Invalid):
        await act(house, said, "delegate", detail={"to": "police"}, at=now)
    await act(house, delegated, "agree", at=now)
    await act(house, said, "agree", detail={"through": "people_mediation"}, at=now)
    await act(house, own, "agree", at=now)
    running = "SELECT due_on::text FROM clock WHERE matter_id = $1 AND stopped_at IS NULL AND key = 'judicial_confirm'"
    async with house.database.connection() as connection:
        for one, due in ((delegated, "2026-08-14"), (said, "2026-08-14"), (own, None)):
            assert await connection.fetchval(running, one) == due
    with pytest.raises(Conflict):  # its complainant is asked first whether it was performed
        await act(house, delegated, "archive", at=now)
    async with house.database.connection() as connection:
        asked = await connection.fetchval("SELECT id FROM callback WHERE matter_id = $1", delegated)
    said_so = reviewing.Answer("yes", "yes")
    await reviewing.record(house, asked, BORIS, said_so, lanes=LANES, at=now + timedelta(days=7))
    await act(house, delegated, "archive", at=now + timedelta(days=7))
    async with house.database.connection() as connection:
        assert await connection.fetchval(running, delegated) == "2026-08-14"
    await act(house, delegated, "end_confirmation", ground="applied", at=now)
    with pytest.raises(Conflict):
        await act(house, own, "end_confirmation", ground="waived", at=now)


async def test_a_grave_injury_by_a_product_starts_the_producers_two_days(client: Client) -> None:
    text = "6月28日我父亲在家洗澡时，去年买的燃气热水器废气倒灌，一氧化碳中毒，经抢救无效死亡。要求商家和厂家赔偿。"
    letter, one = await posted(client, "g1", text, product="燃气热水器")
    (seen,) = await history(client, letter)
    assert "defect.report" in clocks_of(seen)
    plain, other = await posted(client, "g2")
    assert "defect.report" not in clocks_of((await history(client, plain))[0])
    marked = {"goods": "家用电器", "dangers": [{"type": "injury", "severity": "high"}]}  # a person reads what the machine did not
    assert (await client.post("intake", f"/v1/matters/{other}/correct-reading", marked)).status_code == 200
    assert "defect.report" in clocks_of((await history(client, plain))[0])
    await client.post("intake", f"/v1/matters/{one}/accept")
    await client.post("portal", f"/v1/complaints/{letter}/withdraw")
    assert "defect.report" in clocks_of((await history(client, letter))[0])  # the duty is nobody's to withdraw
    ended = await client.post("intake", f"/v1/matters/{one}/end_defect", {"ground": "reported", "reason": "企业已向省局报告"})
    assert ended.status_code == 200
    assert "defect.report" not in clocks_of((await history(client, letter))[0])


async def test_the_hotline_is_answered_apart_from_the_law(client: Client) -> None:
    letter, one = await posted(client, "h1", channel="hotline12345")
    assert "hotline12345.reply" in clocks_of((await history(client, letter))[0])
    assert (await client.post("intake", f"/v1/matters/{one}/reply_hotline")).status_code == 200
    (seen,) = await history(client, letter)
    assert (set(clocks_of(seen)), seen["state"]) == ({"complaint.accept"}, "pending_acceptance")


async def test_an_appraisal_goes_back_whence_it_came(house: House) -> None:
    one = await matter(house, 1)
    await act(house, one, "accept")
    await put(house, one, "delegated")
    await act(house, one, "appraise", detail={"kind": "inspection"})
    assert (await act(house, one, "resume")).state == "delegated"
    await put(house, one, "mediating")
    await act(house, one, "suspend")
    assert (await act(house, one, "resume")).state == "mediating"
    with pytest.raises(Invalid):
        await act(house, one, "appraise", detail={"kind": "tasting"})


async def test_a_test_of_a_report_stops_its_own_term(house: House) -> None:
    one = await matter(house, 1, REPORT)
    now = datetime.now(UTC)
    paused = "SELECT paused_at IS NOT NULL FROM clock WHERE matter_id = $1 AND key = $2"
    for state_, key in (("verifying", "clue.verify"), ("case_opened", "case.decide")):
        if state_ == "case_opened":
            await act(house, one, "open_case", at=now)
        for name, stands in (("appraise", True), ("resume", False)):
            done = await act(house, one, name, at=now)
            async with house.database.connection() as connection:
                assert await connection.fetchval(paused, one, key) is stands
        assert done.state == state_


async def test_a_term_is_extended_as_it_was_asked_whatever_the_matter_became(house: House) -> None:
    one = await matter(house, 1, REPORT)
    asked = await act(house, one, "extend")
    await act(house, one, "open_case")
    assert asked.approval_id is not None
    with pytest.raises(NotFound):  # the term that was meant is over
        await settling.approve(house, asked.approval_id, BORIS, lanes=LANES)
