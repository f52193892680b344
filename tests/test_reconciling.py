"""What an export says became of a letter: followed, confirmed, contradicted; twice is once, and the order of two exports is nothing."""

import csv
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import importers, importing, reconciling, settling
from app.calendar import SHANGHAI
from app.errors import Conflict, Forbidden, Invalid
from app.identity import Principal
from app.importers import Status
from app.reconciling import Base, Judgement, Run, Story, judge, tell
from app.triage import House
from tests.conftest import Client
from tests.test_importers import HEADERS_12315, row_12315

HEADERS = [*HEADERS_12315, "受理时间", "办结时间", "调解结果"]
RECEIVED = "2026-07-01 10:00:00"
ME = Principal("李明", True, frozenset({"intake", "supervisor", "mediator"}), ("42",), (), ())
OTHER = Principal("王芳", True, frozenset({"supervisor"}), ("42",), (), ())
LANES = ("complaint", "report", "other")


def day(number: int, hour: int = 12) -> datetime:
    """Of July 2026, in Shanghai."""
    return datetime(2026, 7, number, hour, tzinfo=SHANGHAI)


def export(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(HEADERS)
        for row in rows:
            known = dict(zip(HEADERS_12315, row_12315(row["登记编号"]), strict=True))
            merged = {**known, "办理情况状态": "", "登记时间": RECEIVED, "姓名": "", "联系电话": "", **row}
            writer.writerow([merged.get(h, "") for h in HEADERS])
    return path


async def load(
    house: House, path: Path, as_of: datetime | None = None, *, source: str = "12315", as_history: bool | None = False
) -> importing.Imported:
    return await importing.import_file(
        house, path, source=source, mapping=None, as_history=as_history, received_on=None, actor="import:12315", progress=lambda *_: None,
        as_of=as_of,
    )  # fmt: skip


async def matter(house: House, number: str = "A1") -> dict[str, Any]:
    async with house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT m.*, CASE WHEN w.id IS NULL THEN NULL WHEN w.finished_at IS NULL THEN 'ready' ELSE 'finished' END AS work, w.flags, r.verdict, r.cause, r.held, r.held_at, r.signed_by AS reconciled_by FROM letter l "
            "JOIN matter m ON m.letter_id = l.id LEFT JOIN work_item w ON w.matter_id = m.id LEFT JOIN reconciliation r ON r.letter_id = l.id "
            "WHERE l.external_id = $1 ORDER BY m.sequence LIMIT 1",
            number,
        )  # fmt: skip
        running = await connection.fetch(
            "SELECT key, started_at, due_on FROM clock WHERE matter_id = $1 AND stopped_at IS NULL", row["id"]
        )
        changes = await connection.fetch("SELECT * FROM state_change WHERE matter_id = $1 ORDER BY id", row["id"])
        gates = await connection.fetch("SELECT name, state FROM gate WHERE matter_id = $1", row["id"])
    return {
        **dict(row), "clocks": {r["key"]: (r["started_at"], str(r["due_on"])) for r in running}, "history_rows": [dict(c) for c in changes],
        "gates": {g["name"]: g["state"] for g in gates},
    }  # fmt: skip


async def everything(house: House) -> list[Any]:
    async with house.database.connection() as connection:
        return [
            [tuple(r) for r in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in (
                "letter",
                "matter",
                "clock",
                "work_item",
                "state_change",
                "gate",
                "platform_state",
                "reconciliation",
                "outbox",
            )
        ]


WAITING = {"登记编号": "A1", "初查受理状态": "待受理"}
ACCEPTED = {**WAITING, "初查受理状态": "已受理", "受理时间": "2026-07-06 09:00:00", "处理机构": "武昌区市场监督管理局"}
ENDED = {
    **ACCEPTED, "办理情况状态": "已办结", "调解结果": "达成调解协议", "办结时间": "2026-07-20 16:00:00", "反馈内容": "双方达成协议，退款",
    "挽回经济损失(单位:元)": "128.50",
}  # fmt: skip
REFUSED = {**WAITING, "初查受理状态": "不予受理", "办理情况状态": "已办结"}


async def test_the_platform_is_followed_step_by_step(house: House, tmp_path: Path) -> None:
    done = await load(house, export(tmp_path / "a.csv", WAITING), day(2))
    assert (done.received, done.told, done.confirmed, done.reconciled) == (1, 1, 1, 0)
    first = await matter(house)
    assert (first["state"], first["authority"], first["as_of"], set(first["clocks"])) == (
        "pending_acceptance", "platform", day(2), {"complaint.accept"},
    )  # fmt: skip
    done = await load(house, export(tmp_path / "b.csv", ACCEPTED), day(8))
    assert (done.received, done.known, done.conflicts, done.told, done.reconciled) == (0, 1, [], 1, 1)
    now = await matter(house)
    assert (now["state"], now["authority"], now["as_of"], now["verdict"], now["work"]) == (
        "accepted", "platform", day(8), "confirmed", "ready",
    )  # fmt: skip
    # The sixty days count from the platform's day, not from the import's.
    assert now["clocks"] == {"complaint.mediate": (day(6, 9), "2026-09-04")}
    assert now["gates"].get("accepted", "passed") == "passed"
    last = now["history_rows"][-1]
    assert (last["authority"], last["actor"], last["at"]) == ("platform", "import:12315", day(6, 9))
    assert "第四十条" in last["note"]
    done = await load(house, export(tmp_path / "c.csv", ENDED), day(21))
    assert (done.reconciled, done.contradictions) == (1, 0)
    end = await matter(house)
    assert (end["state"], end["outcome"], end["recovered_fen"], end["closed_at"], end["work"], end["clocks"]) == (
        "agreed", "agreement", 12850, day(20, 16), "finished", {},
    )  # fmt: skip
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT handler, columns_cipher, columns_cipher IS NULL AS kept FROM platform_state ORDER BY as_of"
        )
        kinds = [r["kind"] for r in await connection.fetch("SELECT kind FROM outbox ORDER BY sequence")]
    assert [r["handler"] for r in rows] == [None, "武昌区市场监督管理局", "武昌区市场监督管理局"]
    assert kinds == ["matter.triaged", "matter.reconciled", "matter.reconciled"]
    # What the feedback says is nowhere in clear.
    assert "退款".encode() not in b"".join(r["columns_cipher"] for r in rows)


async def test_the_same_file_twice_changes_nothing(house: House, tmp_path: Path) -> None:
    rows = [{**r, "登记编号": f"{name}{n}"} for n, r in enumerate((WAITING, ACCEPTED, ENDED, REFUSED)) for name in "XY"]
    path = export(tmp_path / "all.csv", *rows)
    for as_of in (day(22), None):  # None: when the file was written
        await load(house, path, as_of)
        before = await everything(house)
        done = await load(house, path, as_of)
        assert (done.received, done.known, done.told, done.reconciled, done.contradictions) == (0, 8, 0, 0, 0)
        assert await everything(house) == before
    with pytest.raises(Invalid, match="future"):
        await load(house, path, datetime.now(UTC) + timedelta(days=1))


async def test_states_of_a_first_import_count_too(house: House, tmp_path: Path) -> None:
    done = await load(house, export(tmp_path / "a.csv", {**ENDED, "调解结果": ""}), day(21))
    assert (done.received, done.reconciled) == (1, 1)
    now = await matter(house)
    # How it ended is not said, so nothing is said of it here.
    assert (now["state"], now["outcome"], now["work"], now["clocks"]) == ("ended", None, "finished", {})
    await load(house, export(tmp_path / "b.csv", ENDED), day(23))
    assert ((await matter(house))["state"], (await matter(house))["outcome"]) == ("agreed", "agreement")
    # Less detail later takes nothing away.
    await load(house, export(tmp_path / "c.csv", {**ENDED, "调解结果": ""}), day(25))
    assert ((await matter(house))["state"], (await matter(house))["as_of"]) == ("agreed", day(25))


async def test_changed_content_stays_a_conflict_that_names_the_field(house: House, tmp_path: Path) -> None:
    await load(house, export(tmp_path / "a.csv", WAITING), day(2))
    done = await load(house, export(tmp_path / "b.csv", {**ACCEPTED, "诉求内容": "要求赔偿一千元"}), day(8))
    assert (done.known, done.conflicts, done.told) == (0, [(2, "text")], 0)
    assert (await matter(house))["state"] == "pending_acceptance"


async def act(house: House, name: str, at: datetime, **more: Any) -> None:
    found = await matter(house)
    await settling.perform(house, found["id"], ME, name, lanes=LANES, at=at, **more)


async def test_a_contradiction_waits_for_a_person(house: House, tmp_path: Path) -> None:
    await load(house, export(tmp_path / "a.csv", WAITING), day(2))
    await act(house, "accept", day(3))
    await act(house, "terminate", day(10), ground="23(1)(3)", reason="双方意见分歧过大")
    done = await load(house, export(tmp_path / "b.csv", ACCEPTED), day(12))
    assert (done.reconciled, done.contradictions) == (0, 1)
    now = await matter(house)
    assert (now["state"], now["authority"], now["verdict"], now["cause"]) == (
        "terminated",
        "bureau",
        "contradiction",
        "platform_behind",
    )
    async with house.database.connection() as connection:
        (item,) = await reconciling.contradictions(connection, ME, LANES, None, 10)
        assert (item["ours"], item["theirs"], item["ours_label"], item["theirs_label"]) == (
            "terminated",
            "accepted",
            "终止调解",
            "已受理",
        )
        assert (
            await reconciling.contradictions(
                connection, Principal("x", True, frozenset({"intake"}), ("4205",), (), ()), LANES, None, 10
            )
            == []
        )
    machine = Principal("m", False, frozenset({"intake"}), ("42",), (), ())
    with pytest.raises(Forbidden):
        await reconciling.resolve(house, now["letter_id"], machine, holds="ours", reason="x", lanes=LANES)
    await reconciling.resolve(house, now["letter_id"], ME, holds="ours", reason="平台尚未更新", lanes=LANES, at=day(13))
    assert ((await matter(house))["held"], (await matter(house))["state"]) == ("ours", "terminated")
    with pytest.raises(Conflict):
        await reconciling.resolve(house, now["letter_id"], ME, holds="ours", reason="x", lanes=LANES)
    # Said once is said: next week's export says the same again.
    done = await load(house, export(tmp_path / "c.csv", ACCEPTED), day(19))
    assert (done.told, done.contradictions, done.confirmed) == (1, 0, 1)
    # The platform ends otherwise: that is new.
    done = await load(house, export(tmp_path / "d.csv", ENDED), day(22))
    assert (done.contradictions, (await matter(house))["cause"]) == (1, "other_end")
    await reconciling.resolve(
        house, now["letter_id"], OTHER, holds="platform", reason="双方后来达成协议", lanes=LANES, at=day(23)
    )
    end = await matter(house)
    assert (end["state"], end["authority"], end["history_rows"][-1]["act"], end["history_rows"][-1]["signed_by"]) == (
        "agreed", "platform", "reconcile", ["王芳"],
    )  # fmt: skip
    done = await load(house, export(tmp_path / "e.csv", ENDED), day(29))
    assert (done.contradictions, done.confirmed) == (0, 1)


async def test_what_is_older_than_our_act_is_not_followed(house: House, tmp_path: Path) -> None:
    await load(house, export(tmp_path / "a.csv", WAITING), day(2))
    await act(house, "accept", day(7))
    # Not yet there: simply behind.
    await load(house, export(tmp_path / "b.csv", WAITING), day(5))
    assert ((await matter(house))["verdict"], (await matter(house))["state"]) == ("behind", "accepted")
    # Ended there before we accepted: somebody must look.
    await load(house, export(tmp_path / "c.csv", {**ENDED, "办结时间": ""}), day(6))
    now = await matter(house)
    assert (now["state"], now["verdict"], now["cause"], now["flags"]) == (
        "accepted",
        "contradiction",
        "older",
        ["platform:older"],
    )
    assert set(now["clocks"]) == {"complaint.mediate"}
    # The next export is newer than our act: it is followed, and nothing waits any more.
    await load(house, export(tmp_path / "d.csv", ENDED), day(21))
    now = await matter(house)
    assert (now["state"], now["verdict"], now["outcome"]) == ("agreed", "confirmed", "agreement")
    async with house.database.connection() as connection:
        assert await reconciling.contradictions(connection, ME, LANES, None, 10) == []


async def test_a_refusal_there_is_none_here_without_two_persons(house: House, tmp_path: Path) -> None:
    done = await load(house, export(tmp_path / "a.csv", REFUSED), day(9))
    assert (done.reconciled, done.contradictions) == (0, 1)
    now = await matter(house)
    assert (now["state"], now["cause"], now["work"], set(now["clocks"])) == (
        "pending_acceptance",
        "adverse",
        "ready",
        {"complaint.accept"},
    )
    done_once = await reconciling.resolve(
        house, now["letter_id"], ME, holds="platform", reason="平台已不予受理", lanes=LANES, at=day(10)
    )
    assert (done_once["missing"], (await matter(house))["state"]) == (1, "pending_acceptance")
    with pytest.raises(Forbidden, match="second"):
        await reconciling.resolve(house, now["letter_id"], ME, holds="platform", reason="x", lanes=LANES)
    # A later export of the same does not forget who signed.
    await load(house, export(tmp_path / "b.csv", REFUSED), day(11))
    assert (await matter(house))["reconciled_by"] == ["李明"]
    await reconciling.resolve(house, now["letter_id"], OTHER, holds="platform", reason="核对无误", lanes=LANES, at=day(12))
    end = await matter(house)
    assert (end["state"], end["history_rows"][-1]["signed_by"], end["work"]) == ("not_accepted", ["李明", "王芳"], "finished")


async def test_unknown_values_are_kept_and_have_no_effect(house: House, tmp_path: Path) -> None:
    odd = {**WAITING, "初查受理状态": "复核流转中", "办理情况状态": ""}
    both = {**REFUSED, "登记编号": "A2", "调解结果": "达成调解协议"}
    report = {**WAITING, "登记编号": "A3", "初查受理状态": "立案"}  # a complaint has no case to open
    done = await load(house, export(tmp_path / "a.csv", odd, both, report), day(3))
    assert done.unknown == {("初查受理状态", "复核流转中"): 1, ("初查受理状态", "不予受理"): 1, ("调解结果", "达成调解协议"): 1}
    assert (done.told, done.reconciled, done.contradictions, done.unplaced) == (3, 0, 0, 1)
    for number, verdict in (("A1", "unknown"), ("A2", "unknown"), ("A3", "unplaced")):
        now = await matter(house, number)
        assert (now["state"], now["authority"], now["verdict"]) == ("pending_acceptance", "bureau", verdict)


async def test_reports_are_verified_by_their_own_states(house: House, tmp_path: Path) -> None:
    one = {"登记编号": "R1", "类型": "举报", "诉求内容": "举报该店无证经营，请查处"}
    await load(house, export(tmp_path / "a.csv", {**one, "初查受理状态": "待受理"}), day(2))
    await load(house, export(tmp_path / "b.csv", {**one, "初查受理状态": "立案"}), day(9))
    now = await matter(house, "R1")
    assert (now["lane"], now["state"], now["authority"], list(now["clocks"])) == (
        "report",
        "case_opened",
        "platform",
        ["case.decide"],
    )
    await load(house, export(tmp_path / "d.csv", {**one, "初查受理状态": "立案", "办理情况状态": "已办结"}), day(20))
    now = await matter(house, "R1")
    assert (now["state"], now["authority"], now["clocks"]) == ("ended", "platform", {})
    await load(house, export(tmp_path / "c.csv", {**one, "登记编号": "R2", "初查受理状态": "不予立案"}), day(9))
    assert ((await matter(house, "R2"))["state"], (await matter(house, "R2"))["cause"]) == ("verifying", "adverse")


async def test_history_is_recorded_for_reports_and_is_no_work(house: House, tmp_path: Path) -> None:
    await load(house, export(tmp_path / "a.csv", WAITING), day(2), as_history=True)
    done = await load(house, export(tmp_path / "b.csv", ENDED), day(21), as_history=True)
    assert (done.told, done.reconciled, done.contradictions) == (1, 0, 0)
    now = await matter(house)
    assert (now["state"], now["outcome"], now["recovered_fen"], now["verdict"], now["work"], now["clocks"]) == (
        "history", "agreement", 12850, "recorded", None, {},
    )  # fmt: skip
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_hotlines_ticket_ends_no_complaint(house: House, tmp_path: Path) -> None:
    path = tmp_path / "12345.csv"
    headers = ["工单编号", "工单内容", "来电号码", "来电人", "受理时间", "事发地址", "诉求类型", "工单状态", "办理结果"]
    row = [
        "G1",
        "来电人反映在洪山区健身房办卡后关门，要求退费2000元",
        "13500002222",
        "刘先生",
        "2026-07-01 08:00",
        "武汉市洪山区",
        "投诉",
    ]

    async def send(state: str, as_of: datetime) -> importing.Imported:
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([headers, [*row, state, "已联系"]])
        return await load(house, path, as_of, source="12345")

    assert (await send("办理", day(2))).confirmed == 1
    done = await send("办结", day(9))
    assert (done.reconciled, done.contradictions) == (0, 1)
    now = await matter(house, "G1")
    assert (now["state"], now["authority"], now["cause"], now["work"]) == (
        "pending_acceptance",
        "bureau",
        "partner_ended",
        "ready",
    )
    with pytest.raises(Conflict, match="ticket"):
        await reconciling.resolve(house, now["letter_id"], ME, holds="platform", reason="x", lanes=LANES)
    await reconciling.resolve(house, now["letter_id"], ME, holds="ours", reason="本部门继续办理", lanes=LANES)


async def test_the_api_lists_and_settles(client: Client, tmp_path: Path) -> None:
    await load(
        client.house,
        export(tmp_path / "a.csv", REFUSED, {**REFUSED, "登记编号": "A2", "诉求内容": "买的手机坏了，要求退货"}),
        day(9),
    )
    assert (await client.get("mediator", "/v1/reconciliations")).status_code == 403
    page = (await client.get("intake", "/v1/reconciliations?limit=1")).json()
    rest = (await client.get("intake", f"/v1/reconciliations?limit=1&cursor={page['next_cursor']}")).json()
    assert len({page["items"][0]["id"], rest["items"][0]["id"]}) == 2
    assert rest["next_cursor"] is None
    url = f"/v1/reconciliations/{page['items'][0]['id']}/resolve"
    assert (await client.post("intake", url, {"holds": "nobody", "reason": "x"})).status_code == 422
    assert (await client.post("mediator", url, {"holds": "ours", "reason": "x"})).status_code == 403
    first = await client.post("intake", url, {"holds": "platform", "reason": "核对"})
    assert (first.status_code, first.json()["missing"]) == (202, 1)
    assert (await client.post("intake", url, {"holds": "platform", "reason": "核对"})).status_code == 403
    second = await client.post("supervisor", url, {"holds": "platform", "reason": "核对"})
    assert (second.status_code, second.json()["state"]) == (200, "not_accepted")
    assert (await client.post("supervisor", url, {"holds": "ours", "reason": "x"})).status_code == 409
    assert (
        await client.post("supervisor", f"/v1/reconciliations/{uuid.uuid4()}/resolve", {"holds": "ours", "reason": "x"})
    ).status_code == 404


# -- the order of two exports is nothing

STATES = ["waiting", "accepted", "agreed", "terminated", "ended", "not_accepted", None]


def told(state: str | None, at: datetime, money: int | None = None, **more: Any) -> Status:
    sums = {"recovered": money, "fine": None, "confiscated": None}
    return Status("platform", state, None, at, more.get("accepted_at"), None, sums, None, (), {"状态": f"{state} {money}"})


async def test_the_order_of_exports_does_not_matter(house: House, tmp_path: Path) -> None:
    """The same states told of two letters in two orders, with and without an act of our own in between: the same end."""
    dice = random.Random(7)
    cases = [
        ([(dice.choice(STATES), day(dice.randint(2, 20), dice.randint(1, 23)), dice.choice([None, 100, 200])) for _ in range(dice.randint(2, 5))],
         dice.choice([None, "accept", "terminate"]))
        for _ in range(24)
    ]  # fmt: skip
    texts = [
        f"在第{n}家店买的{thing}坏了，要求退款{n}00元"
        for n, thing in enumerate("锅碗瓢盆灯桌椅床柜门窗伞包鞋帽表笔本书尺刀叉勺杯" * 2)
    ]
    path = export(
        tmp_path / "a.csv",
        *({"登记编号": f"N{i}{side}", "诉求内容": texts[2 * i + k], "企业名称": f"第{i}{side}号店" } for i in range(len(cases)) for k, side in enumerate("LR")),
    )  # fmt: skip
    await load(house, path, day(1))
    for i, (states, own) in enumerate(cases):
        ends = []
        for side in "LR":
            found = await matter(house, f"N{i}{side}")
            if own:
                await settling.perform(house, found["id"], ME, "accept", lanes=LANES, at=day(6))
            if own == "terminate":
                await settling.perform(
                    house, found["id"], ME, "terminate", lanes=LANES, at=day(12), ground="23(1)(3)", reason="分歧过大"
                )
            order = states if side == "L" else dice.sample(states, len(states))
            for state, at, money in order:
                async with house.database.transaction() as connection:
                    await reconciling.note(
                        connection, house.vault, [(found["letter_id"], told(state, at, money))], as_of=at, import_id=uuid.uuid4()
                    )
                assert (await reconciling.follow_waiting(house, actor="import"))["failed"] == 0
            end = await matter(house, f"N{i}{side}")
            kept = ("state", "authority", "outcome", "recovered_fen", "closed_at", "verdict", "cause", "clocks", "work")
            # Of what the platform never said, as_of is when it was triaged here.
            ends.append({**{k: end[k] for k in kept}, "as_of": end["as_of"] if end["authority"] == "platform" or own else None})
        assert ends[0] == ends[1], (states, own, ends)


rows = st.lists(
    st.tuples(st.sampled_from(STATES), st.integers(1, 9), st.sampled_from([None, 5])), min_size=1, max_size=6
)  # fmt: skip


def as_rows(found: Sequence[tuple[str | None, int, int | None]]) -> list[dict[str, Any]]:
    return [
        {"state": s, "as_of": day(d), "outcome": None, "accepted_at": None, "ended_at": None, "recovered_fen": m, "columns_sha256": f"{s}{m}".encode()}
        for s, d, m in found
    ]  # fmt: skip


@given(rows, st.randoms())
@settings(max_examples=200, deadline=None)
def test_a_story_is_one_whatever_the_order(found: list[tuple[str | None, int, int | None]], dice: random.Random) -> None:
    shuffled = found[:]
    dice.shuffle(shuffled)
    story = tell(as_rows(found))
    assert tell(as_rows(shuffled)) == story
    assert tell(as_rows([*found, *found])) == story
    assert all(a.as_of <= b.since for a, b in zip(story.runs, story.runs[1:], strict=False))


@given(rows, st.sampled_from([None, "accepted", "terminated", "agreed", "pending_material", "not_accepted"]), st.integers(1, 9))
@settings(max_examples=300, deadline=None)
def test_no_refusal_is_ever_followed_and_ours_never_silently_overwritten(
    found: list[tuple[str | None, int, int | None]], own: str | None, at: int
) -> None:
    story = tell(as_rows(found))
    if not story.runs:
        return
    base = Base(own, day(at), "x") if own else None
    got = judge(story, own or "pending_acceptance", base, followed=True, moved=False)
    if got.run is not None:
        assert got.run.state not in reconciling.ADVERSE
    if base and got.run is not None:
        # Only what is further on than our act, and later.
        assert got.run.as_of >= base.at
        assert base.state not in ("terminated", "agreed", "not_accepted")
    if base and base.state == "terminated" and story.runs[-1].state == "accepted" and story.runs[-1].as_of >= base.at:
        assert got == Judgement("contradiction", "platform_behind")


def test_a_partner_is_only_compared() -> None:
    ended = Story((Run("ended", day(3), day(3)),), None)
    assert judge(ended, "pending_acceptance", None, followed=False, moved=False) == Judgement("contradiction", "partner_ended")
    assert judge(ended, "agreed", None, followed=False, moved=False).verdict == "confirmed"


def test_a_mapping_names_states_there_are() -> None:
    for mapping in importers.shipped_mappings():
        assert mapping.name == "petitions" or mapping.status is not None
    with pytest.raises(Invalid, match="authority"):
        importers.load_mapping({"name": "x", "fields": {}, "status": {"authority": "me"}})
    with pytest.raises(Invalid, match="waiting"):
        importers.load_mapping(
            {"name": "x", "fields": {}, "status": {"authority": "platform", "values": {"状态": {"好": {"state": "fine"}}}}}
        )
