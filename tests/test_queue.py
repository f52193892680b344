"""The queue's promises as a state machine on a real database: at most one live lease, a stale token never succeeds,
finished never returns."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import work
from app.database import Connection
from app.errors import LeaseLost
from app.identity import Principal, new_id
from app.triage import House

PEOPLE = [Principal(f"m{n}", True, frozenset({"mediator"}), ("42",), (), ()) for n in range(3)]


async def enqueue(connection: Connection, count: int) -> list[uuid.UUID]:
    """Work items need matters: the least that the schema lets be one."""
    ids = []
    for n in range(count):
        letter, matter = new_id(), new_id()
        await connection.execute(
            "INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, history, state) "
            "VALUES ($1, 'q', $2, '', '', 1, 'app', now(), now(), false, 'triaged')",
            letter, str(letter),
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO matter (id, letter_id, sequence, lane, kind, kind_probability, source, channel, issues, demands, reading, terms, "
            "term_weights, place_tokens, district, received_at, event_at, history, state, authority, as_of, track) VALUES ($1, $2, 1, 'complaint', 'complaint', 1, "
            "'q', 'app', '{}', '{}', '{}', '{}', '{}', '{}', '42', now(), now(), false, 'pending_acceptance', 'bureau', now(), 't1')",
            matter, letter,
        )  # fmt: skip
        now = datetime.now(UTC)
        await work.enqueue(
            connection,
            [
                {
                    "matter_id": matter,
                    "queue_id": "t1",
                    "district": "42",
                    "skill": None,
                    "priority": n % 3,
                    "due_at": now + timedelta(days=n),
                    "received_at": now,
                }
            ],
        )
        ids.append(matter)
    return ids


STEPS = st.lists(
    st.tuples(st.sampled_from(["claim", "renew", "release", "finish", "expire", "sweep", "steal"]), st.integers(0, 2), st.integers(0, 5)),
    min_size=1, max_size=25,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_whatever_happens_an_item_is_held_once_and_finished_once(house: House, steps: list[tuple[str, int, int]]) -> None:
    async with house.database.connection() as connection:
        await connection.execute("DELETE FROM lease")
        await connection.execute("UPDATE work_item SET state = 'finished'")
        await enqueue(connection, 4)
        held: dict[uuid.UUID, tuple[uuid.UUID, int]] = {}  # live by our own account: item -> token, holder
        stale: list[tuple[uuid.UUID, uuid.UUID, int]] = []
        finished: set[uuid.UUID] = set()
        for act, who, which in steps:
            if act == "claim":
                for row in await work.claim(connection, "t1", PEOPLE[who], limit=1 + which % 2, lease_seconds=600):
                    assert row["id"] not in held
                    assert row["id"] not in finished
                    held[row["id"]] = (row["lease_token"], who)
            elif act == "sweep":
                await work.sweep(connection)
            elif held:
                item = sorted(held)[which % len(held)]
                token, holder = held[item]
                if act == "renew":
                    await work.renew(connection, item, token, PEOPLE[holder], lease_seconds=60)
                elif act == "steal":
                    for verb in (
                        work.release(connection, item, token, PEOPLE[(holder + 1) % 3]),
                        work.release(connection, item, new_id(), PEOPLE[holder]),
                    ):
                        await lost(verb)
                elif act == "expire":
                    await connection.execute("UPDATE lease SET until = now() - interval '1 s' WHERE work_item_id = $1", item)
                    stale.append((item, *held.pop(item)))
                else:
                    await (
                        work.release(connection, item, token, PEOPLE[holder])
                        if act == "release"
                        else work.finish(connection, item, token, PEOPLE[holder], {})
                    )
                    stale.append((item, *held.pop(item)))
                    if act == "finish":
                        finished.add(item)
            for item, token, holder in stale:
                await lost(work.renew(connection, item, token, PEOPLE[holder], lease_seconds=60))
                await lost(work.finish(connection, item, token, PEOPLE[holder], {}))
            live = await connection.fetch("SELECT work_item_id, count(*) AS n FROM lease WHERE until > now() GROUP BY 1")
            assert {r["work_item_id"] for r in live} == set(held)
            states = await connection.fetch("SELECT id, state FROM work_item WHERE id = ANY($1)", list(finished))
            assert all(r["state"] == "finished" for r in states)


async def lost(verb: object) -> None:
    try:
        await verb  # type: ignore[misc]
    except LeaseLost:
        return
    raise AssertionError("a stale token or a stranger succeeded")


async def test_pullers_never_get_the_same_item(house: House) -> None:
    async with house.database.connection() as connection:
        await enqueue(connection, 120)

    async def pull(who: int) -> list[uuid.UUID]:
        got = []
        while True:
            async with house.database.connection() as connection:
                rows = await work.claim(connection, "t1", PEOPLE[who % 3], limit=3, lease_seconds=600)
            if not rows:
                return got
            got += [r["id"] for r in rows]

    pulled = [item for part in await asyncio.gather(*(pull(n) for n in range(8))) for item in part]
    assert len(pulled) == len(set(pulled)) == 120


async def test_the_most_urgent_comes_first_and_waiting_makes_urgent() -> None:
    now = datetime.now(UTC)
    soon, later = work.urgent_at(now + timedelta(days=1), now, 0), work.urgent_at(now + timedelta(days=7), now, 6)
    assert soon < later  # no priority outruns a due date that is six days nearer
    assert work.urgent_at(now + timedelta(days=2), now, 3) < work.urgent_at(now + timedelta(days=2), now, 0)


async def test_expired_leases_come_back_by_themselves(house: House) -> None:
    async with house.database.connection() as connection:
        await enqueue(connection, 1)
        first = (await work.claim(connection, "t1", PEOPLE[0], limit=1, lease_seconds=30))[0]
        await connection.execute("UPDATE lease SET until = now() - interval '1 s'")
        assert await work.sweep(connection) == 1
        second = (await work.claim(connection, "t1", PEOPLE[1], limit=1, lease_seconds=30))[0]
        assert second["id"] == first["id"]
        await lost(work.finish(connection, first["id"], first["lease_token"], PEOPLE[0], {}))
