"""Clocks of matters: pauses, extensions, what stops them, and a calendar that changes under them."""

import asyncio
import csv
import uuid
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from app import calendar, clocks, redating, work
from app.calendar import SHANGHAI, due
from app.cli import app as command_line
from app.clocks import Changed, penalty_limit, time_bar
from app.database import Connection
from app.errors import Conflict, Invalid, NotFound
from app.identity import new_id
from app.intake import Complaint
from app.triage import House, receive_and_triage
from tests.conftest import KEYS, Client, complaint
from tests.test_calendar import CALENDAR, HEADER, NOTICE_2027, as_holiday_cn

D = date.fromisoformat


def at(day: str, hour: int = 10) -> datetime:
    return datetime.combine(D(day), time(hour), SHANGHAI)


async def a_matter(house: House, name: str = "c1") -> uuid.UUID:
    _, outcome = await receive_and_triage(house, "p1", Complaint.model_validate(complaint(name)))
    assert outcome is not None
    return outcome.matters[0].id


async def start(connection: Connection, matter_id: uuid.UUID, key: str, day: str, **values: Any) -> None:
    """A clock that began on that day, whenever the matter came."""
    await clocks.start_clock(connection, new_id(), matter_id, due(CALENDAR, key, D(day), **values), at(day))


async def one(connection: Connection, matter_id: uuid.UUID, key: str, now: datetime) -> dict[str, Any]:
    told = await clocks.read(connection, CALENDAR, [matter_id], now=now)
    (found,) = [c for c in told if c["key"] == key and c["stopped_by"] != "test"]
    return found


async def test_a_clock_pauses_goes_on_and_is_extended_with_who_and_when(house: House) -> None:
    matter_id = await a_matter(house)
    async with house.database.transaction() as connection:
        await start(connection, matter_id, "clue.verify", "2026-04-15")
        args = (connection, CALENDAR, matter_id, "clue.verify")
        await clocks.pause(*args, actor="li", reason="appraisal", at=at("2026-04-20"))
        paused = await one(connection, matter_id, "clue.verify", at("2026-06-30"))
        assert (paused["light"], paused["working_days_left"], paused["due_on"]) == ("grey", None, D("2026-05-09"))
        assert paused["reason"].endswith("自2026-04-20起因鉴定暂停计算，恢复后顺延")
        changed = await clocks.resume(*args, actor="wang", at=at("2026-04-24"))
        assert changed == Changed(matter_id, "clue.verify", D("2026-05-09"), D("2026-05-14"))
        # The same day once more costs nothing and tells nobody.
        await clocks.pause(*args, actor="li", reason="inspection", at=at("2026-04-27", 9))
        assert await clocks.resume(*args, actor="li", at=at("2026-04-27", 16)) is None
        changed = await clocks.extend(*args, actor="li", approver="zhou", reason="案情复杂", at=at("2026-05-14"))
        assert changed == Changed(matter_id, "clue.verify", D("2026-05-14"), D("2026-06-04"))
        now = await one(connection, matter_id, "clue.verify", at("2026-05-15"))
        assert (now["light"], now["paused_at"], now["paused_days"], now["extended"]) == ("green", None, 4, 1)
        assert [(e["act"], e["actor"], e["reason"]) for e in now["events"]] == [
            ("pause", "li", "appraisal"), ("resume", "wang", None), ("pause", "li", "inspection"), ("resume", "li", None), ("extend", "li", "案情复杂"),
        ]  # fmt: skip
        assert now["events"][-1]["detail"] == {"approver": "zhou", "count": 15, "old": "2026-05-14", "new": "2026-06-04"}
        told = await connection.fetch("SELECT payload FROM outbox WHERE kind = 'matter.due_changed' ORDER BY id")
        assert [(t["payload"]["old"], t["payload"]["new"], t["payload"]["cause"]) for t in told] == [
            ("2026-05-09", "2026-05-14", "resume"), ("2026-05-14", "2026-06-04", "extend"),
        ]  # fmt: skip


async def test_what_neither_pauses_nor_extends_is_refused(house: House) -> None:
    matter_id = await a_matter(house)
    async with house.database.transaction() as connection:
        await start(connection, matter_id, "clue.verify", "2026-04-15")
        args = (connection, CALENDAR, matter_id)
        # Asking for missing material does not pause acceptance, nor does anything else.
        with pytest.raises(Invalid, match="nothing"):
            await clocks.pause(*args, "complaint.accept", actor="li", reason="appraisal", at=datetime.now(UTC))
        with pytest.raises(Invalid, match="holiday does not stop it"):
            await clocks.pause(*args, "clue.verify", actor="li", reason="holiday", at=at("2026-04-20"))
        with pytest.raises(NotFound):
            await clocks.pause(*args, "complaint.mediate", actor="li", reason="appraisal", at=at("2026-04-20"))
        with pytest.raises(Invalid, match="unknown term"):
            await clocks.pause(*args, "complaint.forever", actor="li", reason="appraisal", at=at("2026-04-20"))
        with pytest.raises(Conflict, match="is not paused"):
            await clocks.resume(*args, "clue.verify", actor="li", at=at("2026-04-20"))
        with pytest.raises(Invalid, match="before the clock's start"):
            await clocks.pause(*args, "clue.verify", actor="li", reason="appraisal", at=at("2026-04-14"))
        # What has run out is not rescued afterwards.
        with pytest.raises(Conflict, match="ended on 2026-05-09"):
            await clocks.pause(*args, "clue.verify", actor="li", reason="appraisal", at=at("2026-05-10"))
        with pytest.raises(Conflict, match="ended on 2026-05-09"):
            await clocks.extend(*args, "clue.verify", actor="li", approver="zhou", reason="x", at=at("2026-05-10"))
        with pytest.raises(Conflict, match="can't be extended"):
            await clocks.extend(*args, "complaint.accept", actor="li", approver="zhou", reason="x", at=datetime.now(UTC))
        with pytest.raises(Invalid, match="approver"):
            await clocks.extend(*args, "clue.verify", actor="li", approver=" ", reason="x", at=at("2026-05-08"))
        await clocks.pause(*args, "clue.verify", actor="li", reason="appraisal", at=at("2026-04-20"))
        with pytest.raises(Conflict, match="paused already"):
            await clocks.pause(*args, "clue.verify", actor="li", reason="appraisal", at=at("2026-04-21"))
        with pytest.raises(Invalid, match="its last pause"):
            await clocks.resume(*args, "clue.verify", actor="li", at=at("2026-04-19"))
        await clocks.extend(*args, "clue.verify", actor="li", approver="zhou", reason="x", at=at("2026-07-01"))
        assert (await one(connection, matter_id, "clue.verify", at("2026-07-02")))["light"] == "grey"
        with pytest.raises(Conflict, match="extended already"):
            await clocks.extend(*args, "clue.verify", actor="li", approver="zhou", reason="x", at=at("2026-07-01"))
        # Until Thu 07-02, 49 working days that did not count beside 15 + 15.
        await clocks.resume(*args, "clue.verify", actor="li", at=at("2026-07-02"))
        lost = CALENDAR.working_days_between(D("2026-04-20"), D("2026-07-02"))
        ends = (await one(connection, matter_id, "clue.verify", at("2026-07-03")))["due_on"]
        assert CALENDAR.working_days_between(D("2026-04-15"), ends) == 30 + lost


async def test_a_clock_that_stops_while_paused_ends_its_pause_and_was_not_late(client: Client) -> None:
    house = client.house
    matter_id, late = await a_matter(house), await a_matter(house, "c2")
    async with house.database.transaction() as connection:
        for matter in (matter_id, late):
            await start(connection, matter, "complaint.mediate", "2026-05-11")
        await clocks.pause(
            connection, CALENDAR, matter_id, "complaint.mediate", actor="li", reason="inspection", at=at("2026-06-01")
        )

    async def overdue() -> int:
        rows = (await client.get("analyst", "/v1/reports/tracks")).json()["items"]
        return sum(r["overdue"] for r in rows)

    assert await overdue() == 1
    async with house.database.transaction() as connection:
        await clocks.stop_clocks(connection, matter_id, at=at("2026-08-20"), by="agreed", actor="wang")
        stopped = await one(connection, matter_id, "complaint.mediate", at("2026-08-21"))
    assert (stopped["light"], stopped["working_days_left"], stopped["stopped_by"]) == (None, None, "agreed")
    assert stopped["paused_days"] == (D("2026-08-20") - D("2026-06-01")).days
    last = stopped["events"][-1]
    assert (last["act"], last["actor"], last["reason"], last["at"]) == ("resume", "wang", "stopped", at("2026-08-20"))
    assert await overdue() == 1


async def test_work_follows_the_clocks(house: House) -> None:
    matter_id = await a_matter(house)

    async def item(connection: Connection) -> Any:
        return await connection.fetchrow(
            "SELECT due_at, urgent_at + priority * $2::interval AS by FROM work_item WHERE matter_id = $1",
            matter_id,
            work.PRIORITY_STEP,
        )

    async with house.database.transaction() as connection:
        await clocks.stop_clocks(connection, matter_id, at=datetime.now(UTC), by="accepted")
        await start(connection, matter_id, "complaint.mediate", "2026-05-11")
        await work.redate(connection, [matter_id])
        ends = calendar.end_of_day(D("2026-07-10"))
        assert tuple(await item(connection)) == (ends, ends)
        args = (connection, CALENDAR, matter_id, "complaint.mediate")
        await clocks.pause(*args, actor="li", reason="appraisal", at=at("2026-06-01"))
        await work.redate(connection, [matter_id])
        assert tuple(await item(connection)) == (None, ends)
        await clocks.resume(*args, actor="li", at=at("2026-06-11"))
        await work.redate(connection, [matter_id])
        assert (await item(connection))["due_at"] == calendar.end_of_day(D("2026-07-20"))


async def test_what_happened_to_a_clock_can_not_be_rewritten(house: House) -> None:
    async with house.database.connection() as connection:
        for statement in ("UPDATE clock_event SET actor = 'x'", "DELETE FROM clock_event", "DELETE FROM clock"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


# -- calendars


async def _clocks_over_the_year(house: House) -> dict[str, uuid.UUID]:
    """Received 12-28: 29 30 31, 4 5 6 7 January as weekdays have it. By the made-up notice 4 January rests: 5 6 7 8."""
    matters = {name: await a_matter(house, name) for name in ("moved", "confirmed", "untouched", "paused", "stopped")}
    async with house.database.transaction() as connection:
        for matter_id in matters.values():
            await clocks.stop_clocks(connection, matter_id, at=datetime.now(UTC), by="test")
        await start(connection, matters["moved"], "complaint.accept", "2026-12-28")
        await start(connection, matters["confirmed"], "complaint.mediate", "2026-12-09")  # raw 02-07: until 02-09 either way
        await start(connection, matters["untouched"], "complaint.accept", "2026-11-02")
        await start(connection, matters["paused"], "clue.verify", "2026-12-14")
        await clocks.pause(
            connection, CALENDAR, matters["paused"], "clue.verify", actor="li", reason="appraisal", at=at("2026-12-16")
        )
        await start(connection, matters["stopped"], "complaint.accept", "2026-12-28")
        await clocks.stop_clocks(connection, matters["stopped"], at=at("2026-12-29"), by="accepted")
    return matters


async def test_loading_a_year_reckons_running_clocks_anew_and_tells(house: House) -> None:
    matters = await _clocks_over_the_year(house)
    told = calendar.read_table([HEADER, *NOTICE_2027], source="示例通知")
    done = await redating.load_year(house, told, replace=False, actor="legal")
    assert done.stored
    # 14 working days after 12-14 by weekdays: 15-18, 21-25, 28-31 are 13, so the 15th was 01-05; 01-04 rests now.
    assert sorted((c.key, c.old, c.new) for c in done.changed) == [
        ("clue.verify", D("2027-01-05"), D("2027-01-06")),
        ("complaint.accept", D("2027-01-07"), D("2027-01-08")),
    ]
    assert {c.matter_id for c in done.changed} == {matters["moved"], matters["paused"]}
    async with house.database.connection() as connection:
        now = at("2026-12-29")
        moved = await one(connection, matters["moved"], "complaint.accept", now)
        assert not moved["provisional"]
        assert [(e["act"], e["actor"], e["reason"], e["detail"]) for e in moved["events"]] == [
            ("recompute", "legal", "2027：示例通知", {"old": "2027-01-07", "new": "2027-01-08", "provisional": False})
        ]
        confirmed = await one(connection, matters["confirmed"], "complaint.mediate", now)
        assert (confirmed["due_on"], confirmed["provisional"], len(confirmed["events"])) == (D("2027-02-09"), False, 1)
        assert "暂定" not in confirmed["reason"]
        payloads = await connection.fetch("SELECT matter_id, payload FROM outbox WHERE kind = 'matter.due_changed'")
        assert {(p["matter_id"], p["payload"]["new"]) for p in payloads} == {
            (c.matter_id, c.new.isoformat()) for c in done.changed
        }
        items = {r["matter_id"]: r["due_at"] for r in await connection.fetch("SELECT matter_id, due_at FROM work_item")}
        assert items[matters["moved"]] == calendar.end_of_day(D("2027-01-08"))
        assert await connection.fetchval("SELECT count(*) FROM clock WHERE stopped_by = 'accepted' AND provisional") == 1
    # Once more is nothing: not a date, not an event, not a word.
    once_more = await redating.load_year(house, told, replace=False, actor="legal")
    assert (once_more.stored, once_more.changed) == (False, [])
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM clock_event WHERE act = 'recompute'") == 3
        assert await connection.fetchval("SELECT count(*) FROM outbox WHERE kind = 'matter.due_changed'") == 2


async def test_a_loaded_year_is_corrected_only_on_purpose(house: House) -> None:
    matters = await _clocks_over_the_year(house)
    await redating.load_year(house, calendar.read_table([HEADER, *NOTICE_2027], source="示例"), replace=False, actor="legal")
    fewer = [r for r in NOTICE_2027 if r[0] not in ("2027-01-04", "2027-01-09")]
    told = calendar.read_table([HEADER, *fewer], source="更正")
    with pytest.raises(Conflict, match="2027 is loaded already"):
        await redating.load_year(house, told, replace=False, actor="legal")
    done = await redating.load_year(house, told, replace=True, actor="legal")
    assert sorted((c.key, c.old, c.new) for c in done.changed) == [
        ("clue.verify", D("2027-01-06"), D("2027-01-05")),
        ("complaint.accept", D("2027-01-08"), D("2027-01-07")),
    ]
    assert matters["moved"] in {c.matter_id for c in done.changed}
    async with house.database.connection() as connection:
        stored = await calendar.read_year(connection, 2027)
        assert stored is not None
        assert (stored["source"], len(stored["days"])) == ("更正", len(fewer))
    # What a process holds is the new calendar at its next look.
    await house.refresh()
    assert not due(house.calendar, "complaint.accept", D("2026-12-28")).provisional


async def test_a_december_day_of_the_next_notice_outlives_its_own_years_correction(house: House) -> None:
    rows = [*NOTICE_2027, ["2026-12-26", "1", "0", "元旦"]]  # a Saturday
    told = calendar.read_holiday_cn(as_holiday_cn(rows), source=None)
    matter_id = await a_matter(house)
    async with house.database.transaction() as connection:
        await clocks.stop_clocks(connection, matter_id, at=datetime.now(UTC), by="test")
        await start(connection, matter_id, "jurisdiction.quarrel", "2026-12-18")
    done = await redating.load_year(house, told, replace=False, actor="legal")
    # 21-25 are five, Sat 26 the sixth: the seventh is Mon 28 instead of Tue 29.
    assert done.changed == [Changed(matter_id, "jurisdiction.quarrel", D("2026-12-29"), D("2026-12-28"))]
    async with house.database.transaction() as connection:
        known = await connection.fetch("SELECT day, working, statutory, name FROM calendar_day WHERE notice = 2026")
        own = calendar.YearFile(
            2026, "再载入", {r["day"]: calendar.Day(*list(r.values())[1:]) for r in known if r["day"] != D("2026-06-19")}
        )
        assert await calendar.store(connection, own, replace=True)
    async with house.database.connection() as connection:
        assert (await calendar.load(connection)).is_working(D("2026-12-26"))


async def test_clocks_that_others_start_meanwhile_are_caught_up_with(house: House) -> None:
    """Another process holds the old calendar for some seconds more; a run was killed between the notice and its clocks."""
    async with house.database.transaction() as connection:
        await calendar.store(connection, calendar.read_table([HEADER, *NOTICE_2027], source="示例"), replace=False)
    matter_id = await a_matter(house)
    async with house.database.transaction() as connection:
        await clocks.stop_clocks(connection, matter_id, at=datetime.now(UTC), by="test")
        await start(connection, matter_id, "clue.verify", "2026-12-14")
    now = datetime.now(UTC)
    assert await redating.catch_up(house, now + timedelta(days=30)) == []
    assert await redating.catch_up(house, now) == [Changed(matter_id, "clue.verify", D("2027-01-05"), D("2027-01-06"))]
    assert await redating.catch_up(house, now) == []


async def test_many_clocks_are_reckoned_in_batches_beside_other_acts(house: House) -> None:
    """Batches go on where the last ended; a clock that is paused or stopped meanwhile is neither lost nor brought back."""
    matters = [await a_matter(house, f"n{n}") for n in range(7)]
    async with house.database.transaction() as connection:
        for matter_id in matters:
            await clocks.stop_clocks(connection, matter_id, at=datetime.now(UTC), by="test")
            await start(connection, matter_id, "clue.verify", "2026-12-14")
        await calendar.store(connection, calendar.read_table([HEADER, *NOTICE_2027], source="示例"), replace=False)
        new = await calendar.load(connection)

    async def batches() -> list[Changed]:
        changed: list[Changed] = []
        after = None
        while True:
            async with house.database.transaction() as connection:
                found, after = await clocks.recompute(
                    connection, new, D("2027-01-01"), actor="legal", cause="2027", after=after, limit=2
                )
            changed += found
            if after is None:
                return changed

    async def act(number: int) -> None:
        async with house.database.transaction() as connection:
            if number % 2:
                await clocks.stop_clocks(connection, matters[number], at=at("2026-12-20"), by="verified")
            else:
                await clocks.pause(
                    connection, new, matters[number], "clue.verify", actor="li", reason="appraisal", at=at("2026-12-15")
                )

    changed, again, *_ = await asyncio.gather(batches(), batches(), *(act(n) for n in range(4)))
    assert len({c.matter_id for c in (*changed, *again)}) == len(changed) + len(again)
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM clock WHERE key = 'clue.verify' AND stopped_at IS NULL")
        assert len(rows) == 5
        assert {(r["due_on"], r["provisional"]) for r in rows} == {(D("2027-01-06"), False)}
        assert sum(r["paused_at"] is not None for r in rows) == 2


async def test_a_bounded_settlement_moves_with_the_acceptance_it_falls_back_before(house: House) -> None:
    matter_id = await a_matter(house)
    async with house.database.transaction() as connection:
        await clocks.stop_clocks(connection, matter_id, at=datetime.now(UTC), by="test")
        await start(connection, matter_id, "complaint.accept", "2026-12-28")
        await start(connection, matter_id, "odr.settle", "2026-12-28", before=D("2027-01-07"))
        assert (await one(connection, matter_id, "odr.settle", at("2026-12-29")))["due_on"] == D("2027-01-05")
    done = await redating.load_year(
        house, calendar.read_table([HEADER, *NOTICE_2027], source="示例"), replace=False, actor="legal"
    )
    assert sorted((c.key, c.new) for c in done.changed) == [
        ("complaint.accept", D("2027-01-08")),
        ("odr.settle", D("2027-01-06")),
    ]


async def test_people_see_clocks_and_the_calendar(client: Client) -> None:
    posted = (await client.post("portal", "/v1/complaints", complaint("seen"))).json()
    matter = (await client.get("mediator", f"/v1/complaints/{posted['id']}")).json()["matters"][0]
    (clock,) = matter["clocks"]
    assert (clock["key"], clock["name"], clock["law"], clock["events"]) == ("complaint.accept", "投诉受理决定", "order-121", [])
    assert clock["light"] in ("green", "yellow")
    year = (await client.get("portal", "/v1/calendar/2026")).json()
    assert year["year"] == 2026
    days = {d["day"]: d for d in year["days"]}
    assert days["2026-02-28"]["working"]
    assert days["2026-10-01"]["statutory"]
    missing = await client.get("portal", "/v1/calendar/2031")
    assert (missing.status_code, "provisional" in missing.json()["detail"]) == (404, True)


async def test_the_command_loads_a_year_and_prints_what_changed(
    house: House, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matters = await _clocks_over_the_year(house)
    file = tmp_path / "2027.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([HEADER, *NOTICE_2027])
    for name, value in {
        "DATABASE_URL": url, "TRIAGE_TOKEN_KEY": KEYS.token_key.hex(), "TRIAGE_ENCRYPTION_KEY": KEYS.encryption_key.hex(),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(command_line, list(arguments))

    refused = await asyncio.to_thread(run, "load-calendar", str(file))
    assert isinstance(refused.exception, Invalid)
    assert refused.exception.errors[0]["field"] == "source"
    loaded = await asyncio.to_thread(run, "load-calendar", str(file), "--source", "示例通知")
    assert loaded.exit_code == 0, loaded.output
    rows = list(csv.reader(loaded.stdout.splitlines()))
    assert rows[0] == ["matter_id", "key", "old", "new"]
    assert [str(matters["moved"]), "complaint.accept", "2027-01-07", "2027-01-08"] in rows
    assert "2 dates changed" in loaded.stderr
    told = await asyncio.to_thread(run, "clock", "complaint.accept", "2026-12-28", "--stored")
    assert told.stdout.splitlines()[0] == "2027-01-08"
    assert "暂定" not in told.stdout


def test_the_command_line_counts_pauses_and_extensions() -> None:
    def run(*arguments: str) -> list[str]:
        done = CliRunner().invoke(command_line, ["clock", *arguments])
        return done.stdout.splitlines() or [done.stderr or str(done.exception)]

    assert run("complaint.mediate", "2026-05-11", "--pause", "2026-06-01..2026-06-11")[0] == "2026-07-20"
    assert run("clue.verify", "2026-04-15", "--extended", "1")[0] == "2026-05-29"
    assert run("odr.settle", "2026-09-18", "--before", "2026-09-29")[0] == "2026-09-24"
    assert run("complaint.mediate", "2025-09-22", "--received", "2025-09-15")[0] == "2025-11-21"
    assert "--pause" in run("clue.verify", "2026-04-15", "--pause", "2026-06-01")[0]


# -- limitation


@pytest.mark.parametrize(
    ("received", "known", "event", "expires", "expired"),
    [
        ("2026-05-11", "2023-05-11", None, "2026-05-11", "no"),  # the last day of three years
        ("2026-05-12", "2023-05-11", None, "2026-05-11", "yes"),
        ("2026-10-04", "2023-10-01", None, "2026-10-04", "no"),  # ends on a statutory holiday: the first day after
        ("2027-03-01", "2024-02-29", None, "2027-02-28", "yes"),  # no 29 February: the month's last day
        ("2026-05-12", None, "2023-05-11", "2026-05-11", "yes"),
        ("2026-05-12", "2024-03-01", "2023-01-01", "2027-03-01", "no"),  # what is known goes before what happened
        ("2026-05-12", None, None, None, "unknown"),
        ("2026-05-12", None, "2026-06-01", None, "unknown"),  # a slip of the pen
    ],
)
def test_time_bar(received: str, known: str | None, event: str | None, expires: str | None, expired: str) -> None:
    found = time_bar(CALENDAR, D(received), known_on=known and D(known), event_on=event and D(event))
    told = found.as_json()
    assert (told["expires_on"], told["expired"]) == (expires and D(expires), expired)
    assert found.basis == "《市场监督管理投诉举报处理办法》第十六条第四项"
    assert ("推定" in found.reason) == (expires is not None and known is None)


@pytest.mark.parametrize(
    ("facts", "expires", "expired"),
    [
        ({"act_on": "2024-05-11"}, "2026-05-11", "no"),
        ({"act_on": "2024-05-10"}, "2029-05-10", "unknown"),  # two years are over, whether five count nobody has said
        ({"act_on": "2024-05-10", "harm": False}, "2026-05-10", "yes"),
        ({"act_on": "2024-05-10", "harm": True, "life_or_finance": True}, "2029-05-10", "no"),
        ({"act_on": "2024-05-10", "harm": True, "life_or_finance": False}, "2026-05-10", "yes"),
        ({"act_on": "2024-05-10", "harm": True}, "2029-05-10", "unknown"),
        ({"act_on": "2021-05-10"}, "2026-05-10", "yes"),  # over even by five
        ({"act_on": "2021-05-10", "continuing": True}, None, "no"),
        ({"act_on": "2021-05-10", "continuing": True, "ended_on": "2025-01-01"}, "2027-01-01", "no"),
        ({}, None, "unknown"),
        ({"act_on": "2026-06-01"}, None, "unknown"),
    ],
)
def test_penalty_limit(facts: dict[str, Any], expires: str | None, expired: str) -> None:
    given = {k: D(v) if isinstance(v, str) else v for k, v in facts.items()}
    found = penalty_limit(CALENDAR, D("2026-05-11"), **given)
    assert (found.expires_on, found.expired) == (expires and D(expires), expired)
    assert found.reason
    assert found.basis == "《行政处罚法》第三十六条"
