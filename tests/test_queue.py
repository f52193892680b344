"""The queue's promises on a real database: at most one live lease, a stale token never succeeds, finished never returns, nothing is lost;
joint matters whole, most urgent first, nobody starves, whoever may not have it does not get it."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from app import queues, staff, work, working
from app.database import Connection, Database
from app.errors import Conflict, Forbidden, Invalid, LeaseLost, NotFound
from app.identity import Principal, issue, new_id
from app.triage import House
from tests.conftest import Server, copy_of


def person(subject: str, *places: str, skills: Sequence[str] = (), roles: Sequence[str] = ("mediator",)) -> Principal:
    return Principal(subject, True, frozenset(roles), places or ("42",), (), tuple(skills))


PEOPLE = [person(f"m{n}") for n in range(3)]


async def matters(
    connection: Connection, count: int, *, district: str = "42", goods: str | None = None, lane: str = "complaint"
) -> list[uuid.UUID]:
    """The least that the schema lets be a matter."""
    letters, ids = [new_id() for _ in range(count)], [new_id() for _ in range(count)]
    await connection.execute(
        "INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, history, state) "
        "SELECT i, 'q', i::text, '', '', 1, 'app', now(), now(), false, 'triaged' FROM unnest($1::uuid[]) i",
        letters,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO matter (id, letter_id, sequence, lane, kind, kind_probability, source, channel, issues, demands, reading, terms, "
        "term_weights, place_tokens, district, goods, received_at, event_at, history, state, authority, as_of, track) "
        "SELECT m, l, 1, $5, $5, 1, 'q', 'app', '{}', '{}', '{}', '{}', '{}', '{}', $3, $4, now(), now(), false, 'pending_acceptance', 'bureau', now(), 't1' "
        "FROM unnest($1::uuid[], $2::uuid[]) AS t(m, l)",
        ids, letters, district, goods, lane,
    )  # fmt: skip
    return ids


async def enqueue(
    connection: Connection, count: int, *, district: str = "42", goods: str | None = None, track: str = "t1", priority: int | None = None,
    due: timedelta = timedelta(), lane: str = "complaint",
) -> list[uuid.UUID]:  # fmt: skip
    """Matters with their items, each due a day after the one before."""
    ids = await matters(connection, count, district=district, goods=goods, lane=lane)
    now = datetime.now(UTC)
    await work.enqueue(
        connection,
        [
            {
                "matter_id": m, "track": track, "district": district, "priority": n % 3 if priority is None else priority,
                "due_at": now + due + timedelta(days=n), "received_at": now,
            }
            for n, m in enumerate(ids)
        ],
    )  # fmt: skip
    return ids


async def join(connection: Connection, members: Sequence[uuid.UUID]) -> uuid.UUID:
    joint = new_id()
    await connection.execute(
        "INSERT INTO joint_matter (id, created_by, state, joined_at) VALUES ($1, 'x', 'joined', now())", joint
    )
    await connection.execute(
        "INSERT INTO joint_member (joint_matter_id, matter_id, consent) SELECT $1, m, 'given' FROM unnest($2::uuid[]) m",
        joint,
        list(members),
    )
    return joint


async def items_of(connection: Connection, matter_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    rows = await connection.fetch("SELECT id, matter_id FROM work_item WHERE matter_id = ANY($1)", list(matter_ids))
    by = {r["matter_id"]: r["id"] for r in rows}
    return [by[m] for m in matter_ids]


async def lost(verb: Any) -> None:
    with pytest.raises(LeaseLost):
        await verb


# -- the state machine

ACTS = (
    "claim", "renew", "release", "finish", "expire", "sweep", "steal", "hold", "crash", "join", "part", "close", "reopen", "assign", "recuse", "reroute", "return",
)  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=25)


class Crash(Exception):
    """The process dies before it commits."""


@dataclass
class Story:
    """What the test knows by itself. held: item -> (token, who)."""

    connection: Connection
    matters: list[uuid.UUID]
    items: list[uuid.UUID]
    joint: uuid.UUID | None = None
    held: dict[uuid.UUID, tuple[uuid.UUID, int]] = field(default_factory=dict)
    resting: set[uuid.UUID] = field(default_factory=set)
    stale: list[tuple[uuid.UUID, uuid.UUID, int]] = field(default_factory=list)
    finished: set[uuid.UUID] = field(default_factory=set)
    recused: set[tuple[uuid.UUID, int]] = field(default_factory=set)

    def drop(self, *items: uuid.UUID) -> None:
        """The lease over these ended. Not that of its token: who left a joint matter stands alone under the same token."""
        for item in items:
            self.stale.append((item, *self.held.pop(item)))
            self.resting.discard(item)

    async def step(self, act: str, who: int, which: int) -> None:
        connection = self.connection
        async with connection.transaction():
            match act:
                case "claim":
                    for row in await work.claim(
                        connection, ("t1", "any")[which % 2], PEOPLE[who], limit=1 + which % 2, lease_seconds=600
                    ):
                        assert row["id"] not in self.held
                        assert row["id"] not in self.finished
                        assert (row["id"], who) not in self.recused
                        self.held[row["id"]] = (row["lease_token"], who)
                case "sweep":
                    await work.sweep(connection)
                    if self.joint:
                        await work.regroup(connection, self.joint)
                        await self.learn()
                case "join" if self.joint is None:
                    self.joint = await join(connection, self.matters[:3])
                    await work.regroup(connection, self.joint)
                    await self.learn()
                case "part" if self.joint is not None:
                    await connection.execute(
                        "UPDATE joint_member SET left_at = now(), left_reason = 'left' WHERE matter_id = $1",
                        self.matters[which % 3],
                    )
                    await work.regroup(connection, self.joint)
                    await self.learn()
                case "close":
                    item = self.items[which % 4]
                    await work.close_item(connection, self.matters[which % 4], "withdraw", "portal")
                    if item in self.held:
                        self.drop(item)
                    self.finished.add(item)
                case "reopen":
                    await work.reopen(connection, self.matters[which % 4], "boss")
                    self.finished.discard(self.items[which % 4])
                case "reroute":
                    now = datetime.now(UTC)
                    await work.reroute(
                        connection,
                        self.matters[which % 4],
                        ("t1", "t3")[who % 2],
                        "policy",
                        priority=who,
                        due_at=now,
                        urgent_at=now,
                    )
                case "assign" if self.items[which % 4] not in self.finished:
                    item = self.items[which % 4]
                    if not any((i, who) in self.recused for i in await self.unit(item)):
                        await work.assign(connection, item, PEOPLE[who].subject, "boss", "再平衡")
                        self.drop(*await self.together(item))
                        await self.learn()
                case "recuse":
                    item = self.items[which % 4]
                    await staff.recuse(connection, self.matters[which % 4], PEOPLE[who].subject, reason="亲属", actor="boss")
                    self.recused.add((item, who))
                    await work.exclude(connection, self.matters[which % 4], PEOPLE[who].subject, "boss", "亲属")
                    if item in self.held and self.held[item][1] == who:
                        self.drop(*await self.together(item))
                case _ if self.held:
                    await self.hold_step(act, which)

    async def hold_step(self, act: str, which: int) -> None:
        connection = self.connection
        item = sorted(self.held)[which % len(self.held)]
        token, who = self.held[item]
        owner, together = PEOPLE[who], await self.together(item)
        match act:
            case "renew":
                await work.renew(connection, item, token, owner, lease_seconds=60)
                self.resting -= set(together)
            case "steal":
                await lost(work.release(connection, item, token, PEOPLE[(who + 1) % 3]))
                await lost(work.release(connection, item, new_id(), owner))
            case "expire":
                await connection.execute(
                    "UPDATE lease SET until = now() - interval '1 s' WHERE unit_id = (SELECT unit_id FROM work_item WHERE id = $1)",
                    item,
                )
                if item in self.resting:
                    await work.sweep(connection)  # what rested is its holder's again, by the same token
                    self.resting -= set(together)
                else:
                    self.drop(*together)
            case "hold":
                await connection.execute("UPDATE work_item SET due_at = NULL WHERE id = ANY($1)", await self.unit(item))
                await work.hold(connection, item, token, owner, held_for="reply", until=None, now=datetime.now(UTC))
                self.resting |= set(together)
            case "crash":
                with suppress(Crash):
                    async with connection.transaction():
                        await work.finish(connection, item, token, owner, {})
                        raise Crash
            case "return":
                await work.return_to_intake(connection, item, token, owner, "无权")
                self.drop(item)
            case "release":
                await work.release(connection, item, token, owner)
                self.drop(*together)
            case "finish":
                await work.finish(connection, item, token, owner, {})
                self.drop(item)
                self.finished.add(item)

    async def unit(self, item: uuid.UUID) -> list[uuid.UUID]:
        rows = await self.connection.fetch(
            "SELECT id FROM work_item WHERE unit_id = (SELECT unit_id FROM work_item WHERE id = $1) AND finished_at IS NULL", item
        )
        return [r["id"] for r in rows]

    async def together(self, item: uuid.UUID) -> list[uuid.UUID]:
        return [i for i in await self.unit(item) if i in self.held]

    async def learn(self) -> None:
        """What was given or taken in is told by the database, and is somebody's once."""
        rows = await self.connection.fetch(
            "SELECT w.id, l.token, l.holder, l.held_for FROM lease l JOIN work_item w ON w.unit_id = l.unit_id WHERE l.until > clock_timestamp() "
            "AND w.finished_at IS NULL AND w.id = ANY($1)",
            self.items,
        )  # fmt: skip
        for row in rows:
            self.held[row["id"]] = (row["token"], int(row["holder"][1:]))
            if row["held_for"]:
                self.resting.add(row["id"])

    async def check(self) -> None:
        connection = self.connection
        for item, token, who in self.stale:
            if self.held.get(item, (None,))[0] != token:
                await lost(work.renew(connection, item, token, PEOPLE[who], lease_seconds=60))
                async with connection.transaction():
                    await lost(work.finish(connection, item, token, PEOPLE[who], {}))
        live = await connection.fetch(
            "SELECT w.id, l.token, l.holder FROM lease l JOIN work_item w ON w.unit_id = l.unit_id WHERE l.until > clock_timestamp() AND w.finished_at IS NULL"
        )
        assert {r["id"]: (r["token"], int(r["holder"][1:])) for r in live} == self.held
        await check_places(connection)
        done = {
            r["id"]
            for r in await connection.fetch("SELECT id FROM work_item WHERE finished_at IS NOT NULL AND id = ANY($1)", self.items)
        }
        assert done == self.finished


async def check_places(connection: Connection) -> None:
    """A unit with open items has one row, in `ready` or in `lease`; one without has none."""
    places = await connection.fetch(
        "SELECT u.unit_id, u.open, (SELECT count(*) FROM ready r WHERE r.unit_id = u.unit_id) + (SELECT count(*) FROM lease l WHERE l.unit_id = u.unit_id) AS rows "
        "FROM (SELECT unit_id, bool_or(finished_at IS NULL) AS open FROM work_item GROUP BY 1) u"
    )
    assert not [p for p in places if p["rows"] != int(p["open"])]
    assert not await connection.fetchval(
        "SELECT count(*) FROM (SELECT unit_id FROM ready UNION ALL SELECT unit_id FROM lease) x WHERE NOT EXISTS (SELECT 1 FROM work_item w WHERE w.unit_id = x.unit_id)"
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
@example([("join", 0, 0), ("claim", 0, 0), ("part", 0, 0), ("recuse", 0, 0)])
async def test_whatever_happens_a_unit_is_somebodys_once_and_finished_once(
    house: House, steps: list[tuple[str, int, int]]
) -> None:
    async with house.database.connection() as connection:
        await connection.execute("DELETE FROM lease")
        await connection.execute("DELETE FROM ready")
        await connection.execute("UPDATE work_item SET finished_at = now(), unit_id = id WHERE finished_at IS NULL")
        if not await connection.fetchval("SELECT true FROM api_token LIMIT 1"):
            for one in PEOPLE:
                await issue(connection, one.subject, ["mediator", "intake"], natural_person=True, jurisdictions=["42"])
        ids = await enqueue(connection, 4)
        story = Story(connection, ids, await items_of(connection, ids))
        note(str(steps))
        for act, who, which in steps:
            await story.step(act, who, which)
            await story.check()


async def test_pullers_never_get_the_same_item(house: House) -> None:
    async with house.database.connection() as connection:
        for district in ("420106", "420111", "420102"):
            await enqueue(connection, 40, district=district)
    asked = [
        ("t1", person("a")),
        ("any", person("b", "4201")),
        ("t1", person("c", "420106", "420111")),
        ("420102.t1", person("d")),
    ]

    async def pull(who: int) -> list[uuid.UUID]:
        queue, puller = asked[who % 4]
        got: list[uuid.UUID] = []
        while True:
            async with house.database.connection() as connection:
                rows = await work.claim(connection, queue, puller, limit=3, lease_seconds=600)
            if not rows:
                return got
            got += [r["id"] for r in rows]

    pulled = [item for part in await asyncio.gather(*(pull(n) for n in range(8))) for item in part]
    assert len(pulled) == len(set(pulled)) == 120


async def test_whoever_asks_beside_others_gets_as_much_as_he_asked_for(house: House) -> None:
    async with house.database.connection() as connection:
        for district, due in (("420106", 1), ("420111", 30), ("420506", 90)):
            await enqueue(connection, 60, district=district, due=timedelta(days=due))
    asked = [
        ("any", person("a")),
        ("t1", person("b", "4201", "4205")),
        ("t1", person("c", "420111", "420106")),
        ("t1", person("d", "4201")),
    ]

    async def pull(who: int) -> int:
        async with house.database.connection() as connection:
            return len(await work.claim(connection, *asked[who % 4], limit=5, lease_seconds=600))

    for _ in range(3):
        assert await asyncio.gather(*(pull(n) for n in range(8))) == [5] * 8


async def test_what_waits_is_counted_once_whatever_places_overlap(house: House) -> None:
    async with house.database.connection() as connection:
        for district in ("420106", "420111", "420506"):
            await enqueue(connection, 3, district=district, due=timedelta(days=-2))
        (leased,) = await work.claim(connection, "420106.t1", person("a"), limit=1, lease_seconds=600)
        for one, ready, taken in (
            (person("a"), 8, 1), (person("b", "42", "4201", "42"), 8, 1), (person("c", "4201", "420106"), 5, 1), (person("d", "420506"), 3, 0),
            (person("e", "4203"), 0, 0),
        ):  # fmt: skip
            (found,) = [q for q in await work.waiting(connection, one) if q["id"] == "t1"]
            assert (found["ready"], found["leased"]) == (ready, taken)
            assert {d["id"]: (d["ready"], d["leased"]) for d in found["districts"]}.get("420106.t1") == (
                (2, 1) if one.covers("420106") else None
            )
            assert found["overdue"] > 0 or not ready
            assert (found["next_due_at"] is None) == (not ready)
        rows = await work.claim(connection, "t1", person("b", "42", "4201", "42"), limit=8, lease_seconds=600)
        assert len({r["id"] for r in rows} | {leased["id"]}) == 9


async def test_the_most_urgent_comes_first_and_waiting_makes_urgent(house: House) -> None:
    now = datetime.now(UTC)
    soon, later = work.urgent_at(now + timedelta(days=1), now, 0), work.urgent_at(now + timedelta(days=7), now, 6)
    assert soon < later  # no priority outruns a due date that is six days nearer
    assert work.urgent_at(now + timedelta(days=2), now, 3) < work.urgent_at(now + timedelta(days=2), now, 0)
    async with house.database.connection() as connection:
        for district, due in (("420106", 30), ("420111", 20), ("420102", 10)):
            await enqueue(connection, 3, district=district, due=timedelta(days=due), priority=1)
        every = [
            person("a"), person("b", "4201"), person("c", "420106", "420111", "420102"), person("d", "4201"),
            person("e", "420106", "42011", "420102", "4205", "43"), person("f", ""),
        ]  # fmt: skip
        for one, queue in zip(every, ("t1", "any", "t1", "t1", "any", "t1"), strict=True):
            rows = await work.claim(connection, queue, one, limit=9, lease_seconds=60)
            assert [r["district"] for r in rows] == ["420102"] * 3 + ["420111"] * 3 + ["420106"] * 3
            assert [r["due_at"] for r in rows] == sorted(r["due_at"] for r in rows)
            for row in rows:
                await work.release(connection, row["id"], row["lease_token"], one)


async def test_a_share_is_kept_for_the_least_urgent_whose_term_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.database.connection() as connection:
        urgent = await enqueue(connection, 20, priority=6, due=timedelta(days=-10))
        (plain,) = await enqueue(connection, 1, priority=0, due=timedelta(days=2))
        (calm,) = await enqueue(connection, 1, priority=0, due=timedelta(days=9))
        monkeypatch.setattr(random, "random", lambda: 0.9)
        (first,) = await work.claim(connection, "t1", PEOPLE[0], limit=1, lease_seconds=60)
        assert first["matter_id"] == urgent.pop(0)
        monkeypatch.setattr(random, "random", lambda: 0.1)
        rows = await work.claim(connection, "t1", PEOPLE[0], limit=4, lease_seconds=60)
        got = [r["matter_id"] for r in rows]
        assert plain in got
        assert calm not in got
        assert set(got) - {plain} == set(urgent[:3])


async def test_expired_leases_come_back_by_themselves(house: House) -> None:
    async with house.database.connection() as connection:
        await enqueue(connection, 1)
        first = (await work.claim(connection, "t1", PEOPLE[0], limit=1, lease_seconds=30))[0]
        await connection.execute("UPDATE lease SET until = now() - interval '1 s'")
        assert await work.sweep(connection) == 1
        second = (await work.claim(connection, "t1", PEOPLE[1], limit=1, lease_seconds=30))[0]
        assert second["id"] == first["id"]
        await lost(work.finish(connection, first["id"], first["lease_token"], PEOPLE[0], {}))
        told = await work.ended_by(connection, first["id"], first["lease_token"], PEOPLE[0].subject)
        assert (told["act"], told["actor"]) == ("expire", "worker")


# -- rights


async def test_a_queue_is_data_and_takes_what_is_nearest_to_it(house: House) -> None:
    boss = person("boss", roles=("supervisor",))
    async with house.database.connection() as connection:
        goods = await connection.fetchval("SELECT code FROM code WHERE list = 'goods' ORDER BY position LIMIT 1")
        await queues.define(
            connection, boss, "wuchang-t1", {"name": "武昌和解", "track": "t1", "district": "420106", "desk": "武昌局"}
        )
        await queues.define(
            connection,
            boss,
            "wuchang-food",
            {"name": "武昌食品", "track": "t1", "district": "420106", "goods": [goods], "skill": "food"},
        )
        await queues.define(
            connection, boss, "city-food", {"name": "全市食品", "track": "t1", "district": "4201", "goods": [goods]}
        )
        placed = {}
        for district, cls in (("420106", goods), ("420106", None), ("420111", goods), ("420500", goods)):
            (matter,) = await enqueue(connection, 1, district=district, goods=cls)
            placed[district, cls] = await connection.fetchval("SELECT queue_id FROM work_item WHERE matter_id = $1", matter)
        assert list(placed.values()) == ["wuchang-food", "wuchang-t1", "city-food", "t1"]
        plain, skilled = person("a", "420106"), person("b", "420106", skills=("food",))
        assert [r["queue_id"] for r in await work.claim(connection, "any", plain, limit=9, lease_seconds=60)] == ["wuchang-t1"]
        with pytest.raises(Forbidden, match="skill food"):
            await work.claim(connection, "wuchang-food", plain, limit=1, lease_seconds=60)
        assert [r["queue_id"] for r in await work.claim(connection, "any", skilled, limit=9, lease_seconds=60)] == [
            "wuchang-food"
        ]
        for queue_id, values, name in (
            ("4201.x", {"name": "x"}, "id"), ("x", {}, "name"), ("x", {"name": "x", "track": "t9"}, "track"), ("x", {"name": "x", "roles": ["king"]}, "roles"),
            ("x", {"name": "x", "goods": ["没有"]}, "goods"), ("t1", {"active": False}, "id"), ("x", {"name": "x", "track": "clue"}, "lane"),
        ):  # fmt: skip
            with pytest.raises(Invalid) as refused:
                await queues.define(connection, person("admin", roles=("admin",)), queue_id, values)
            assert refused.value.errors[0]["field"] == name
        with pytest.raises(Forbidden):
            await queues.define(connection, person("y", "4205", roles=("supervisor",)), "wuchang-t1", {"name": "别处"})


async def test_nobody_pulls_what_is_not_his(house: House) -> None:
    async with house.database.connection() as connection:
        await enqueue(connection, 2, district="420106")
        (report,) = await enqueue(connection, 1, district="420106", track="clue", lane="report")
        elsewhere = person("y", "4205")
        nowhere = Principal("z", True, frozenset({"mediator"}), (), (), ())
        for one in (elsewhere, nowhere, person("x", "420107", "420"), person("w", "43", "4202")):
            for queue in ("t1", "any"):
                got = await work.claim(connection, queue, one, limit=5, lease_seconds=60)
                assert len(got) == (2 if one.covers("420106") else 0)
                for row in got:
                    await work.release(connection, row["id"], row["lease_token"], one)
        for queue, error in (("nope", NotFound), ("420106.t1", Forbidden), ("42059.t1", NotFound), ("t1", None)):
            if error:
                with pytest.raises(error):
                    await work.claim(connection, queue, elsewhere, limit=1, lease_seconds=60)
        with pytest.raises(Forbidden):
            await work.claim(connection, "intake", person("a"), limit=1, lease_seconds=60)
        with pytest.raises(Forbidden):
            await work.claim(connection, "clue", person("a"), limit=1, lease_seconds=60)
        cleared = person("c", skills=("clue",))
        assert [r["matter_id"] for r in await work.claim(connection, "clue", cleared, limit=1, lease_seconds=60)] == [report]
        items = await items_of(connection, [report])
        assert await work.claim_these(connection, items, elsewhere, lease_seconds=60) == []


async def test_a_joint_matter_is_claimed_whole_and_comes_apart_item_by_item(house: House) -> None:
    one, two = PEOPLE[:2]
    async with house.database.transaction() as connection:
        ids = await enqueue(connection, 4, priority=0)
        items = await items_of(connection, ids)
        early = (await work.claim_these(connection, [items[2]], two, lease_seconds=60))[0]
        joint = await join(connection, ids[:3])
        await work.regroup(connection, joint)
        rows = await work.claim(connection, "t1", one, limit=1, lease_seconds=60, key="k")
        assert [r["id"] for r in rows] == items[:2]
        assert len({r["lease_token"] for r in rows}) == 1
        token = rows[0]["lease_token"]
        # What another works on is taken in when he gives it back: it is then whose the rest is.
        await work.release(connection, early["id"], early["lease_token"], two)
        assert joint in await work.ungrouped(connection)
        await work.regroup(connection, joint)
        assert {r["id"] for r in await work.mine(connection, one)} == set(items[:3])
        await work.finish(connection, items[0], token, one, {})
        await lost(work.finish(connection, items[0], token, one, {}))
        await work.renew(connection, items[1], token, one, lease_seconds=60)
        # One that leaves is its holder's still, by the same token.
        await connection.execute("UPDATE joint_member SET left_at = now(), left_reason = 'left' WHERE matter_id = $1", ids[1])
        await work.regroup(connection, joint)
        again = await work.claim(connection, "t1", one, limit=1, lease_seconds=60, key="k")
        assert {r["id"] for r in again} == set(items[1:3])  # what that key has, as it stands now
        await work.finish(connection, items[1], token, one, {})
        assert {r["id"] for r in await work.mine(connection, one)} == {items[2]}
        await work.release(connection, items[2], token, one)
        await check_places(connection)


async def test_whoever_has_a_joint_matter_gets_none_that_joins_it_and_excludes_him(house: House) -> None:
    async with house.database.transaction() as connection:
        ids = await enqueue(connection, 3)
        joint = await join(connection, ids[:2])
        await work.regroup(connection, joint)
        taken = await work.claim(connection, "t1", PEOPLE[0], limit=1, lease_seconds=600)
        await staff.recuse(connection, ids[2], PEOPLE[0].subject, reason="亲属", actor="boss")
        await connection.execute(
            "INSERT INTO joint_member (joint_matter_id, matter_id, consent) VALUES ($1, $2, 'given')", joint, ids[2]
        )
    assert await working.regroup(house) == 0
    async with house.database.transaction() as connection:
        assert await work.holder(connection, ids[2]) is None
        await work.release(connection, taken[0]["id"], taken[0]["lease_token"], PEOPLE[0])
    assert await working.regroup(house) == 1
    async with house.database.transaction() as connection:
        assert await work.claim(connection, "t1", PEOPLE[0], limit=9, lease_seconds=600) == []
        assert len(await work.claim(connection, "t1", PEOPLE[1], limit=1, lease_seconds=600)) == 3
        await check_places(connection)


async def test_a_joint_matter_that_stands_as_it_should_is_left_alone(house: House) -> None:
    """The member in another district stays alone: the worker must not come back to it for ever."""
    async with house.database.transaction() as connection:
        ids = [*await enqueue(connection, 2), *await enqueue(connection, 1, district="4205")]
        await join(connection, ids)
        await join(connection, [*await enqueue(connection, 1), *await enqueue(connection, 1, district="4205")])
    assert await working.regroup(house) == 1
    assert await working.regroup(house) == 0


async def test_whoever_is_recused_or_away_gets_nothing(house: House) -> None:
    one, two, three = PEOPLE
    async with house.database.transaction() as connection:
        for p in PEOPLE:
            await issue(connection, p.subject, ["mediator"], natural_person=True, jurisdictions=["42"])
        (matter,) = await enqueue(connection, 1)
        await staff.recuse(connection, matter, one.subject, reason="亲属", actor="boss")
        await work.exclude(connection, matter, one.subject, "boss", "亲属")
        assert await work.claim(connection, "t1", one, limit=1, lease_seconds=60) == []
        (row,) = await work.claim(connection, "t1", two, limit=1, lease_seconds=60)
        with pytest.raises(Conflict, match="recused"):
            await work.assign(connection, row["id"], one.subject, "boss", "再平衡")
        now = datetime.now(UTC)
        absence = await staff.leave(
            connection,
            two,
            subject=two.subject,
            from_at=now - timedelta(minutes=1),
            until_at=now + timedelta(days=3),
            deputy=three.subject,
            now=now,
        )
        with pytest.raises(Conflict, match="away"):
            await work.claim(connection, "t1", two, limit=1, lease_seconds=60)
    assert await working.stand_in(house) == 1
    async with house.database.connection() as connection:
        (given,) = await work.mine(connection, three)
        assert given["id"] == row["id"]
        await lost(work.renew(connection, row["id"], row["lease_token"], two, lease_seconds=60))
        await staff.come_back(connection, two, absence["id"], datetime.now(UTC))
        assert await work.claim(connection, "t1", two, limit=1, lease_seconds=60) == []


async def test_one_key_claims_once(house: House) -> None:
    async with house.database.connection() as connection:
        await enqueue(connection, 6)

    async def ask(key: str) -> list[uuid.UUID]:
        async with house.database.transaction() as connection:
            return [r["lease_token"] for r in await work.claim(connection, "t1", PEOPLE[0], limit=2, lease_seconds=60, key=key)]

    first, again, other = await asyncio.gather(ask("a"), ask("a"), ask("b"))
    assert first == again
    assert not set(first) & set(other)


async def test_a_killed_connection_loses_nothing(house: House, url: str) -> None:
    """A claim is there whole or not at all; what was leased comes back by its time."""
    async with house.database.connection() as connection:
        await enqueue(connection, 30)
    for n in range(6):
        dying = Database(url, pool_size=1)
        async with dying.connection() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            task = asyncio.create_task(_claim_and_finish(connection))
            await asyncio.sleep(0.002 * n)
            async with house.database.connection() as other:
                await other.execute("SELECT pg_terminate_backend($1)", pid)
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
                await task
        await dying.close()
    async with house.database.connection() as connection:
        await check_places(connection)
        await connection.execute("UPDATE lease SET until = now() - interval '1 s'")
        async with connection.transaction():
            await work.sweep(connection)
        rows = await work.claim(connection, "t1", PEOPLE[1], limit=50, lease_seconds=60)
        done = await connection.fetchval("SELECT count(*) FROM work_item WHERE finished_at IS NOT NULL")
    assert len(rows) + done == 30


async def _claim_and_finish(connection: Connection) -> None:
    while rows := await work.claim(connection, "t1", PEOPLE[0], limit=2, lease_seconds=60):
        for row in rows:
            async with connection.transaction():
                await work.finish(connection, row["id"], row["lease_token"], PEOPLE[0], {})


# -- what others do in the same moment


async def as_they_stand(connection: Connection) -> None:
    """Each row in `ready` says what its items say."""
    await check_places(connection)
    wrong = await connection.fetch(
        "SELECT r.unit_id FROM ready r JOIN work_item w ON w.unit_id = r.unit_id AND w.finished_at IS NULL LEFT JOIN recusal c ON c.matter_id = w.matter_id "
        "GROUP BY r.unit_id HAVING min(w.urgent_at) <> r.urgent_at OR max(w.priority) <> r.priority OR NOT r.queue_id = ANY(array_agg(w.queue_id)) "
        "OR NOT r.excluded @> coalesce(array_agg(c.subject) FILTER (WHERE c.subject IS NOT NULL), '{}')"
    )
    assert not wrong


async def waits(house: House, task: asyncio.Task[Any]) -> bool:
    """Whether it waits for a lock of another's; False when it came to its end."""
    while not task.done():
        async with house.database.connection() as connection:
            if await connection.fetchval(
                "SELECT true FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1"
            ):
                return True
        await asyncio.sleep(0.005)
    return False


async def test_the_worker_regroups_what_it_can_and_nothing_again_and_again(house: House) -> None:
    async with house.database.transaction() as connection:
        for n in range(21):  # more than one round looks at
            near, far = await enqueue(connection, 2, district="420106"), await enqueue(connection, 1, district="420111")
            joint = await join(connection, near + far)
            await work.regroup(connection, joint)
            if n % 2:
                await work.close_item(connection, near[0], "withdraw", "portal")
    assert await working.regroup(house) == 0
    async with house.database.transaction() as connection:
        later = await join(connection, await enqueue(connection, 2, district="420106"))
    assert await working.regroup(house) == 1
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM work_item WHERE unit_id = $1", later) == 2
        await check_places(connection)
    assert await working.regroup(house) == 0


async def test_whoever_is_recused_does_not_get_it_by_its_joining_what_he_has(house: House) -> None:
    one, two, three = PEOPLE
    async with house.database.transaction() as connection:
        ids = await enqueue(connection, 3)
        items = await items_of(connection, ids)
        (apart,) = await work.claim_these(connection, items[2:], two, lease_seconds=60)
        await staff.recuse(connection, ids[2], one.subject, reason="亲属", actor="boss")
        await work.exclude(connection, ids[2], one.subject, "boss", "亲属")
        joint = await join(connection, ids)
        await work.regroup(connection, joint)
        rows = await work.claim(connection, "t1", one, limit=1, lease_seconds=60)
        assert len(rows) == 2
        await work.release(connection, apart["id"], apart["lease_token"], two)
    assert await working.regroup(house) == 0
    async with house.database.transaction() as connection:
        assert len(await work.mine(connection, one)) == 2
        await work.release(connection, rows[0]["id"], rows[0]["lease_token"], one)
    assert await working.regroup(house) == 1
    async with house.database.connection() as connection:
        await as_they_stand(connection)
        assert await work.claim(connection, "t1", one, limit=1, lease_seconds=60) == []
        assert len(await work.claim(connection, "t1", three, limit=1, lease_seconds=60)) == 3


async def test_what_joins_while_its_unit_is_given_back_is_in_its_row(house: House) -> None:
    one = PEOPLE[0]
    async with house.database.transaction() as connection:
        ids = await enqueue(connection, 3)
        items = await items_of(connection, ids)
        joint = await join(connection, ids[1:])
        await work.regroup(connection, joint)
        rows = await work.claim_these(connection, items[1:], one, lease_seconds=60)
        await staff.recuse(connection, ids[0], PEOPLE[1].subject, reason="亲属", actor="boss")
        await work.exclude(connection, ids[0], PEOPLE[1].subject, "boss", "亲属")
    async with house.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM matter WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", ids)
        await connection.execute(
            "INSERT INTO joint_member (joint_matter_id, matter_id, consent) VALUES ($1, $2, 'given')", joint, ids[0]
        )
        await work.regroup(connection, joint)
        releasing = asyncio.create_task(working.release(house, rows[0]["id"], rows[0]["lease_token"], one))
        await waits(house, releasing)
    await releasing
    async with house.database.connection() as connection:
        await as_they_stand(connection)
        assert await work.claim(connection, "t1", PEOPLE[1], limit=1, lease_seconds=60) == []


async def test_an_item_that_leaves_its_unit_takes_the_token_with_it_in_every_moment(house: House) -> None:
    one = PEOPLE[0]
    async with house.database.transaction() as connection:
        ids = await enqueue(connection, 3)
        joint = await join(connection, ids)
        await work.regroup(connection, joint)
        rows = await work.claim(connection, "t1", one, limit=1, lease_seconds=60)
    left = next(r for r in rows if r["matter_id"] == ids[0])
    async with house.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM matter WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", ids)
        await connection.execute("UPDATE joint_member SET left_at = now(), left_reason = 'left' WHERE matter_id = $1", ids[0])
        await work.regroup(connection, joint)
        releasing = asyncio.create_task(working.release(house, left["id"], left["lease_token"], one))
        assert await waits(house, releasing)
    await releasing
    async with house.database.connection() as connection:
        assert {r["id"] for r in await work.mine(connection, one)} == {r["id"] for r in rows} - {left["id"]}
        await as_they_stand(connection)


async def test_new_dates_are_not_lost_when_the_lease_ends_in_the_same_moment(house: House) -> None:
    one = PEOPLE[0]
    async with house.database.transaction() as connection:
        (matter,) = await enqueue(connection, 1, due=timedelta(days=30))
        (row,) = await work.claim(connection, "t1", one, limit=1, lease_seconds=60)
    async with house.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM matter WHERE id = $1 FOR NO KEY UPDATE", matter)
        await work.redate(connection, [matter])  # no clock runs: ten days from receipt
        releasing = asyncio.create_task(working.release(house, row["id"], row["lease_token"], one))
        await waits(house, releasing)
    await releasing
    async with house.database.connection() as connection:
        await as_they_stand(connection)


async def test_two_members_of_a_joint_matter_get_new_dates_at_once(house: House) -> None:
    clock = (
        "INSERT INTO clock (id, matter_id, key, law, received_on, mode, started_at, due_on, due_at, provisional, reason, other_modes) "
        "VALUES (gen_random_uuid(), $1, 'complaint.accept', '', current_date, '', now(), current_date, now() - $2::interval, false, '', '{}')"
    )
    async with house.database.transaction() as connection:
        ids = await enqueue(connection, 2, due=timedelta(days=30))
        await work.regroup(connection, await join(connection, ids))

    async def redate(connection: Connection, matter: uuid.UUID, earlier: timedelta) -> None:
        await connection.execute("SELECT 1 FROM matter WHERE id = $1 FOR NO KEY UPDATE", matter)
        await connection.execute(clock, matter, earlier)
        await work.redate(connection, [matter])

    async def beside() -> None:
        async with house.database.transaction() as connection:
            await redate(connection, ids[1], timedelta(days=1))

    async with house.database.transaction() as connection:
        await redate(connection, ids[0], timedelta(days=5))
        other = asyncio.create_task(beside())
        assert await waits(house, other)
    await other
    async with house.database.connection() as connection:
        await as_they_stand(connection)


async def test_a_unit_goes_to_another_desk_while_one_of_its_matters_is_pressed(house: House) -> None:
    one, boss = PEOPLE[0], person("boss", roles=("supervisor",))
    async with house.database.transaction() as connection:
        await queues.define(connection, boss, "desk-t1", {"name": "调解二组", "track": None, "district": "42"})
        ids = await enqueue(connection, 2)
        await work.regroup(connection, await join(connection, ids))
        rows = await work.claim(connection, "t1", one, limit=1, lease_seconds=60)
    mine = next(r for r in rows if r["matter_id"] == ids[0])
    async with house.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM matter WHERE id = $1 FOR NO KEY UPDATE", ids[1])
        await work.flag(connection, ids[1], "supervise", "boss", {})
        sent = asyncio.create_task(
            working.transfer(house, mine["id"], mine["lease_token"], one, queue="desk-t1", to=None, reason="专业")
        )
        assert await waits(house, sent)
        await work.hurry(connection, ids[1])
    await sent
    async with house.database.connection() as connection:
        assert {r["queue_id"] for r in await connection.fetch("SELECT queue_id FROM work_item")} == {"desk-t1"}
        await as_they_stand(connection)


@pytest.mark.parametrize("ends", ["release", "expire", "unseen", "rested", "return", "transfer"])
async def test_what_was_rerouted_while_somebody_had_it_goes_there_when_he_gives_it_back(house: House, ends: str) -> None:
    one, now = PEOPLE[0], datetime.now(UTC)
    over = "UPDATE lease SET until = now() - interval '1 s'"
    async with house.database.transaction() as connection:
        (matter,) = await enqueue(connection, 1, priority=0)
        (row,) = await work.claim(connection, "t1", one, limit=1, lease_seconds=60)
        item, token = row["id"], row["lease_token"]
        if ends == "rested":
            await connection.execute("UPDATE lease SET held_for = 'reply'")
        if ends in ("unseen", "rested"):
            await connection.execute(over)
        for track in ("t2", "t1", "t3"):
            await work.reroute(connection, matter, track, "policy", priority=3, due_at=now, urgent_at=now)
        if ends == "release":
            await work.release(connection, item, token, one)
        elif ends == "return":
            await work.return_to_intake(connection, item, token, one, "无权")
        elif ends == "transfer":
            await work.transfer_to_queue(connection, await work.grasp(connection, item, token, one), "t2", "专业")
        else:
            if ends == "expire":
                await connection.execute(over)
            await work.sweep(connection)
        found = await work.read_item(connection, item)
        lies = {"return": "intake", "transfer": "t2", "rested": "t1"}.get(ends, "t3")
        flags = ["rerouted:t3"] if ends in ("rested", "transfer") else []
        assert (found["queue_id"], found["priority"], list(found["flags"])) == (lies, 3, flags)
        assert (found["holder"] == one.subject) == (ends == "rested")
        await as_they_stand(connection)


async def test_no_flag_holds_up_a_sweep(house: House) -> None:
    async with house.database.transaction() as connection:
        ids = await enqueue(connection, 2)
        await work.claim(connection, "t1", PEOPLE[0], limit=2, lease_seconds=60)
        for matter, flags in zip(ids, (["rerouted:none"], ["rerouted:t2", "supervise", "rerouted:t3"]), strict=True):
            await connection.execute("UPDATE work_item SET flags = $2 WHERE matter_id = $1", matter, flags)
        await connection.execute("UPDATE lease SET until = now() - interval '1 s'")
        assert await work.sweep(connection) == 2
        rows = [await connection.fetchrow("SELECT queue_id, flags FROM work_item WHERE matter_id = $1", m) for m in ids]
        assert [(r["queue_id"], list(r["flags"])) for r in rows] == [("t1", []), ("t3", ["supervise"])]
        await as_they_stand(connection)


async def test_a_sweep_reads_what_has_ended_and_no_more(house: House) -> None:
    async with house.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO lease (unit_id, token, holder, until) SELECT gen_random_uuid(), gen_random_uuid(), 'm', now() + interval '1 h' "
            "FROM generate_series(1, 5000)"
        )
        await connection.execute("ANALYZE lease")
        plan = await connection.fetch("EXPLAIN (ANALYZE, BUFFERS) " + work._EXPIRED.replace("$1", "500"))
        text = "\n".join(r[0] for r in plan)
        assert "Rows Removed" not in text
        assert "Index Cond: (until <=" in text


async def test_work_survives_the_way_back_to_one_lease_an_item_and_forth(server: Server) -> None:
    """A joint matter's lease is of a unit that is no item: it goes on as its first item."""

    async def filled(url: str) -> None:
        database = Database(url, pool_size=1)
        async with database.transaction() as connection:
            ids = await enqueue(connection, 5)
            await work.regroup(connection, await join(connection, ids[:3]))
            await work.regroup(connection, await join(connection, ids[3:]))
            items = await items_of(connection, ids)
            (one, *_) = await work.claim_these(connection, items[:1], PEOPLE[0], lease_seconds=600)
            await work.finish(connection, one["id"], one["lease_token"], PEOPLE[0], {})
        await database.close()

    async def after(url: str, sql: str) -> list[Any]:
        database = Database(url, pool_size=1)
        async with database.connection() as connection:
            rows = [tuple(r) for r in await connection.fetch(sql)]
            if "ready" in sql:
                await check_places(connection)
        await database.close()
        return rows

    async with copy_of(server) as name:
        url = server.of(name, owner=True)
        await filled(url)
        config = Config()
        config.set_main_option("script_location", "migrations")
        config.attributes["url"] = url
        await asyncio.to_thread(command.downgrade, config, "0016")
        states = "SELECT state, count(*), count(l.work_item_id) FROM work_item w LEFT JOIN lease l ON l.work_item_id = w.id GROUP BY 1 ORDER BY 1"
        assert await after(url, states) == [("finished", 1, 0), ("leased", 1, 1), ("ready", 3, 0)]
        await asyncio.to_thread(command.upgrade, config, "head")
        assert await after(url, "SELECT (SELECT count(*) FROM ready), (SELECT count(*) FROM lease)") == [(3, 1)]
