"""Bursts in the service: found by the worker from the store, once, shown to those whose places they touch, and nothing of reports."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from app import bursts, identity, worker
from app.calendar import SHANGHAI, local_day
from app.database import Connection
from app.identity import new_id
from app.incidents import NO_WORDS
from app.triage import House
from tests.conftest import Client

DAYS = 90
MERCHANTS = [uuid.UUID(int=n + 1) for n in range(300)]
QUIET = MERCHANTS[-1]
WUCHANG, YICHANG = "420106", "420502"
Row = tuple[
    int, uuid.UUID, uuid.UUID | None, str, dict[str, Any]
]  # days ago, merchant, person (None: a letter without), district, more

_FILL = """
WITH given AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::bigint[])
    AS g(letter, matter, record, at, merchant, person, district, lane, lot)
), l AS (
  INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, history, state)
  SELECT letter, 'q', letter::text, '', '', 1, 'app', at, at, true, 'triaged' FROM given
), m AS (
  INSERT INTO matter (id, letter_id, sequence, lane, kind, kind_probability, source, channel, issues, demands, reading, terms, term_weights,
    place_tokens, district, received_at, event_at, history, state, authority, as_of, track, merchant_id, lot_token, problem)
  SELECT matter, letter, 1, lane, lane, 1, 'q', 'app', '{}', '{}', '{}', '{}', '{}', '{}', district, at, at, true, 'history', 'bureau', at, 'none',
    merchant, lot, '质量问题' FROM given
), c AS (
  INSERT INTO complainant (id, tokens, records) SELECT DISTINCT person, '{}'::bigint[], 1 FROM given WHERE person IS NOT NULL
), r AS (
  INSERT INTO complainant_record (id, letter_id, role, tokens, token_version, key_id)
  SELECT record, letter, 'filer', '{}', 1, 1 FROM given WHERE person IS NOT NULL
), h AS (
  INSERT INTO complainant_membership (id, record_id, complainant_id, origin, actor, evidence)
  SELECT gen_random_uuid(), record, person, 'auto', 'test', '{}' FROM given WHERE person IS NOT NULL
)
INSERT INTO party (matter_id, record_id, role) SELECT matter, record, 'filer' FROM given WHERE person IS NOT NULL
"""


async def fill(connection: Connection, rows: Sequence[Row]) -> list[uuid.UUID]:
    """Matters as triage leaves them, as far as anybody counts them. Their ids."""
    day, matters = local_day(datetime.now(UTC)), [new_id() for _ in rows]
    midnight = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    await connection.execute(
        _FILL, [new_id() for _ in rows], matters, [new_id() for _ in rows], [midnight - timedelta(days=r[0]) for r in rows],
        [r[1] for r in rows], [r[2] for r in rows], [r[3] for r in rows], [r[4].get("lane", "complaint") for r in rows],
        [r[4].get("lot") for r in rows],
    )  # fmt: skip
    return matters


@pytest.fixture
async def usual(client: Client) -> House:
    """Three months in which nothing happens: 40 people a day over 300 merchants and two cities."""
    rng = np.random.default_rng(5)
    weight = 1 / np.arange(10, len(MERCHANTS) + 10)
    rows: list[Row] = []
    for days_ago in range(1, DAYS):
        for merchant in rng.choice(len(MERCHANTS), rng.poisson(40), p=weight / weight.sum()):
            if MERCHANTS[merchant] == QUIET and days_ago < 10:
                continue
            more = {"lot": int(rng.integers(100, 200))} if rng.random() < 0.1 else {}
            rows.append((days_ago, MERCHANTS[merchant], new_id(), WUCHANG if rng.random() < 0.7 else YICHANG, more))
    async with client.house.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO merchant (id, name, core, registered) SELECT id, '商行' || n, '商行' || n, 0 "
            "FROM unnest($1::uuid[]) WITH ORDINALITY AS t(id, n)",
            MERCHANTS,
        )
        await fill(connection, rows)
    return client.house


async def plant(house: House, people: Sequence[uuid.UUID | None], *, merchant: uuid.UUID = QUIET, district: str = WUCHANG, **more: Any) -> list[uuid.UUID]:  # fmt: skip
    """As many complaints, today and yesterday."""
    async with house.database.transaction() as connection:
        return await fill(connection, [(n % 2, merchant, person, district, more) for n, person in enumerate(people)])


async def stored(house: House) -> list[dict[str, Any]]:
    async with house.database.connection() as connection:
        return [dict(r) for r in await connection.fetch("SELECT * FROM burst ORDER BY kind, key")]


def strangers(count: int) -> list[uuid.UUID | None]:
    return [new_id() for _ in range(count)]


async def test_a_burst_is_found_by_the_worker_once_and_told(client: Client, usual: House) -> None:
    await worker.hourly(usual)
    assert await stored(usual) == []
    assert (await client.get("analyst", "/v1/alerts")).json() == {"items": [], "next_cursor": None}
    matters = await plant(usual, strangers(9))
    incident = new_id()
    async with usual.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO incident (id, state, scope, title, merchant_id, first_at, last_at, complaints, people_complaints, people_all, unidentified, "
            "profile, version, words) VALUES ($1, 'open', 'merchant', '商行300：食品质量', $2, now(), now(), 7, 7, 7, 0, '{}', 0, $3)",
            incident, QUIET, NO_WORDS,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO incident_membership (id, incident_id, matter_id, is_primary, origin, actor, evidence, folded, counted) "
            "SELECT gen_random_uuid(), $1, m, true, 'auto', 'test', '{}', true, true FROM unnest($2::uuid[]) AS m",
            incident, matters[:7],
        )  # fmt: skip
    await worker.hourly(usual)
    await worker.hourly(usual)
    (row,) = await stored(usual)
    assert (row["kind"], row["key"], row["last_on"], row["false_alarms_per_month"]) == ("merchant", str(QUIET), None, 1.0)
    (alert,) = (await client.get("analyst", "/v1/alerts?kind=merchant&open=true")).json()["items"]
    today = local_day(datetime.now(UTC))
    assert (alert["name"], alert["merchant_id"]) == ("商行300", str(QUIET))
    assert (alert["found_on"], alert["complaints"]) == (today.isoformat(), 9)
    assert alert["people"] >= 6 > alert["expected"]
    assert alert["log10_tail"] <= alert["log10_threshold"] < -3
    assert alert["incidents"] == [{"id": str(incident), "title": "商行300：食品质量", "state": "open", "complaints": 7}]
    assert f"{alert['people']}人投诉" in alert["sentence"]
    assert alert["sentence"].endswith("此类误报全库每月不超过1次")
    for nothing in ("kind=lot", f"to={today - timedelta(days=1)}", f"from={today + timedelta(days=1)}"):
        assert (await client.get("analyst", f"/v1/alerts?{nothing}")).json()["items"] == []


async def test_only_one_worker_looks_at_a_time(usual: House) -> None:
    await plant(usual, strangers(9))
    async with usual.database.transaction() as first, usual.database.transaction() as second:
        assert await bursts.watch(first, datetime.now(UTC), unplaced="42") == 1
        assert await bursts.watch(second, datetime.now(UTC), unplaced="42") is None


async def test_one_person_is_no_burst_however_often_he_writes(usual: House) -> None:
    await plant(usual, [new_id()] * 30)
    await plant(usual, [new_id()] * 30, lot=77)
    await worker.hourly(usual)
    assert await stored(usual) == []


async def test_letters_without_identity_are_one_each_and_copies_none(usual: House) -> None:
    matters = await plant(usual, [None] * 10, lot=77)
    async with usual.database.transaction() as connection:
        await connection.execute("UPDATE matter SET copy_of = $1 WHERE id = ANY($2)", matters[0], matters[1:])
    await worker.hourly(usual)
    assert await stored(usual) == []
    async with usual.database.transaction() as connection:
        await connection.execute("UPDATE matter SET copy_of = NULL WHERE id = ANY($1)", matters)
    await worker.hourly(usual)
    assert {r["kind"] for r in await stored(usual)} == {"merchant", "lot"}


async def test_nobody_learns_of_reports(client: Client, usual: House) -> None:
    await plant(usual, strangers(30), lane="report", lot=77)
    await worker.hourly(usual)
    assert await stored(usual) == []
    # Nor by their number, where complaints burst beside them.
    await plant(usual, strangers(9))
    await worker.hourly(usual)
    (alert,) = (await client.get("analyst", "/v1/alerts")).json()["items"]
    assert (alert["complaints"], alert["people"] <= 10) == (9, True)


async def test_only_bursts_of_the_callers_places_are_shown(client: Client, usual: House) -> None:
    async with usual.database.connection() as connection:
        client.tokens["city"] = await identity.issue(connection, "c", ["analyst"], natural_person=True, jurisdictions=["4201"])
        client.tokens["other"] = await identity.issue(connection, "o", ["analyst"], natural_person=True, jurisdictions=["4202"])
    await plant(usual, [*strangers(8)], merchant=QUIET, district=WUCHANG)
    await plant(usual, [*strangers(12)], merchant=MERCHANTS[-2], district=YICHANG)
    await worker.hourly(usual)
    keys = {r["key"] for r in await stored(usual) if r["kind"] == "merchant"}
    assert keys == {str(QUIET), str(MERCHANTS[-2])}

    async def seen_by(role: str) -> set[str]:
        alerts = (await client.get(role, "/v1/alerts?kind=merchant")).json()["items"]
        return {a["key"] for a in alerts}

    assert await seen_by("supervisor") == keys
    assert str(QUIET) in await seen_by("city")
    assert await seen_by("other") == set()
    assert (await client.get("mediator", "/v1/alerts")).status_code == 403
    first = (await client.get("analyst", "/v1/alerts?kind=merchant&limit=1")).json()
    second = (await client.get("analyst", f"/v1/alerts?kind=merchant&limit=1&cursor={first['next_cursor']}")).json()
    assert {first["items"][0]["key"], second["items"][0]["key"]} == keys
    assert second["next_cursor"] is None
    (mine,) = [r for r in await stored(usual) if r["key"] == str(QUIET)]
    assert (await client.post("other", f"/v1/alerts/{mine['id']}/seen")).status_code == 404


async def test_who_has_looked_is_kept_the_first_one_and_every_note(client: Client, usual: House) -> None:
    await plant(usual, strangers(9))
    await worker.hourly(usual)
    (row,) = await stored(usual)
    path = f"/v1/alerts/{row['id']}/seen"
    assert (await client.post("mediator", path)).status_code == 403
    assert (await client.post("analyst", path, {"note": "已转食品科"})).json()["seen_by"] == "analyst"
    assert (await client.post("supervisor", path)).json()["seen_by"] == "analyst"
    assert (await client.post("supervisor", f"/v1/alerts/{new_id()}/seen")).status_code == 404
    assert (await client.post("supervisor", path, {"noted": "x"})).status_code == 422
    async with usual.database.connection() as connection:
        notes = await connection.fetch("SELECT actor, purpose FROM audit_entry WHERE object = 'burst' ORDER BY id")
    assert [tuple(n) for n in notes] == [("analyst", "已转食品科"), ("supervisor", "")]
    (alert,) = (await client.get("analyst", "/v1/alerts")).json()["items"]
    assert alert["seen_by"] == "analyst"


async def test_a_merged_merchants_people_are_one_series_and_its_burst_ends_with_it(usual: House) -> None:
    await plant(usual, strangers(5), merchant=MERCHANTS[-2])
    await plant(usual, strangers(5))
    async with usual.database.transaction() as connection:
        await connection.execute("UPDATE merchant SET merged_into = $1 WHERE id = $2", QUIET, MERCHANTS[-2])
    await worker.hourly(usual)
    (row,) = [r for r in await stored(usual) if r["kind"] == "merchant"]
    assert row["key"] == str(QUIET)
    assert row["people"] >= 9
    async with usual.database.transaction() as connection:
        await connection.execute("UPDATE merchant SET merged_into = $1 WHERE id = $2", MERCHANTS[0], QUIET)
        later = datetime.now(UTC) + timedelta(days=30)
        assert await bursts.watch(connection, later, unplaced="42") == 0
    (row,) = [r for r in await stored(usual) if r["kind"] == "merchant"]
    assert row["key"] == str(QUIET)
    assert row["last_on"] == local_day(datetime.now(UTC))


async def test_bursts_of_two_merchants_that_turn_out_one_go_on_and_end_as_one(usual: House) -> None:
    await plant(usual, strangers(9), merchant=MERCHANTS[-2])
    await plant(usual, strangers(9))
    await worker.hourly(usual)
    assert {r["key"] for r in await stored(usual) if r["kind"] == "merchant"} == {str(QUIET), str(MERCHANTS[-2])}
    async with usual.database.transaction() as connection:
        await connection.execute("UPDATE merchant SET merged_into = $1 WHERE id = $2", QUIET, MERCHANTS[-2])
        assert await bursts.watch(connection, datetime.now(UTC), unplaced="42") == 0
        assert await bursts.watch(connection, datetime.now(UTC) + timedelta(days=30), unplaced="42") == 0
    assert {r["last_on"] for r in await stored(usual) if r["kind"] == "merchant"} == {local_day(datetime.now(UTC))}
