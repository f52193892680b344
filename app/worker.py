"""The worker: untriaged letters, incident profiles, expired leases, like wording, deliveries, idle incidents, bursts, audit
seals. Claim, do, repeat."""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx

from app import (
    alarms,
    audit,
    bursts,
    complainants,
    crowds,
    deliveries,
    factors,
    incidents,
    portraits,
    reconciling,
    redating,
    regrouping,
    rerouting,
    settling,
    wording,
    work,
    working,
)  # fmt: skip
from app.calendar import SHANGHAI
from app.triage import House, triage_waiting

_IDLE_SECONDS = 0.5
_HOURLY_SECONDS = 3600.0
_NIGHT = range(2, 5)  # hours in Shanghai in which whatever takes minutes may run
_AGAIN_SECONDS = 60.0
log = logging.getLogger(__name__)


async def run(house: House, *, stop: asyncio.Event) -> None:
    """Until stop is set. Any number may run; each step claims what it does, so a killed worker loses nothing."""
    tasks = (asyncio.create_task(house.keep_fresh()), asyncio.create_task(_deliver(house)))
    hourly_at = watched_at = 0.0
    while not stop.is_set():
        try:
            busy = await step(house)
            if time.monotonic() >= watched_at:
                watched_at = time.monotonic() + _AGAIN_SECONDS
                await watch(house)
            if time.monotonic() >= hourly_at:
                hourly_at = time.monotonic() + _AGAIN_SECONDS  # should it fail: it is too much work to try at every round
                await hourly(house)
                hourly_at = time.monotonic() + _HOURLY_SECONDS
        except Exception as error:  # whatever it is, the next round may do better than no worker
            log.warning("worker step failed: %s", type(error).__name__)
            busy = False
        if not busy:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _IDLE_SECONDS)
    for task in tasks:
        task.cancel()


async def _deliver(house: House) -> None:
    """Beside everything else: a receiver that answers slowly must not keep a letter waiting."""
    async with httpx.AsyncClient() as client:
        while True:
            try:
                busy = await deliver(house, client)
            except Exception as error:
                log.warning("deliveries failed: %s", type(error).__name__)
                busy = 0
            if not busy:
                await asyncio.sleep(_IDLE_SECONDS)


async def deliver(house: House, client: httpx.AsyncClient) -> int:
    """One round: pages that nobody answered, new events, what is due. Gives how much there was."""
    async with house.database.transaction() as connection:
        called = await deliveries.page_again(connection)
    async with house.database.transaction() as connection:
        dispatched = await deliveries.dispatch(connection)
    return called + dispatched + await deliveries.send_due(house.database, house.vault, client)


async def step(house: House) -> bool:
    """One round; True when there may be more to do at once."""
    triaged = await triage_waiting(house, limit=20)
    folded = await fold(house)
    rerouted = await rerouting.follow_growth(house, datetime.now(UTC))
    async with house.database.transaction() as connection:
        swept = await work.sweep(connection)
    swept += await working.stand_in(house) + await working.regroup(house)
    async with house.database.transaction() as connection:
        counted = await complainants.count_tokens(connection)
    async with house.database.transaction() as connection:
        compared = await wording.compare_waiting(connection)
    rerouted += await rerouting.follow_wording(house, datetime.now(UTC))
    async with house.database.transaction() as connection:
        # Only one worker counts terms and seals at a time; the others have other things to do.
        if await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('worker'))"):
            await incidents.count_terms(connection)
            await audit.seal(connection)
    return bool(triaged or folded or rerouted or swept or counted or compared)


async def fold(house: House, *, limit: int = 50) -> int:
    """Waiting members into profiles, people counted anew."""
    now = datetime.now(UTC)
    async with house.database.connection() as connection:
        waiting = await incidents.unfolded(connection, limit)
    for incident_id in waiting:
        async with house.database.transaction() as connection:
            await incidents.fold(connection, incident_id)
    async with house.database.transaction() as connection:
        grown = await crowds.uncounted(connection, limit)
        before = await portraits.sizes(connection, grown, titled=True)
        if grown:
            await crowds.recount(connection, grown, lambda place: house.policy_at(place, now).thresholds)
        watched = house.policy_at(None, now).thresholds["cluster.watch"]
        for incident_id in portraits.outgrown(before, await portraits.sizes(connection, grown), watched):
            try:
                async with connection.transaction():
                    await portraits.tell(connection, house.vault, house.reader, incident_id)
            except Exception as error:  # a letter that can't be read must not hold up the counts of all the others
                log.warning("incident %s could not be told: %s", incident_id, type(error).__name__)
    return len(waiting) + len(grown)


async def watch(house: House) -> None:
    """Every minute: queues that starve."""
    async with house.database.transaction() as connection:
        if await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('alarms'))"):
            await alarms.watch(connection, house.calendar, datetime.now(UTC))


async def hourly(house: House) -> None:
    async with house.database.transaction() as connection:
        await incidents.close_idle(connection, datetime.now(UTC))
    async with house.database.transaction() as connection:
        await bursts.watch(connection, datetime.now(UTC), unplaced=house.settings.jurisdiction)
    async with house.database.transaction() as connection:
        since = datetime.now(UTC) - timedelta(seconds=2 * _HOURLY_SECONDS)
        await factors.review_moved(connection, house.policies, since, datetime.now(UTC))
    await rerouting.follow_terms(house, datetime.now(UTC))
    await settling.draft_ends(house, datetime.now(UTC))
    await redating.catch_up(house, datetime.now(UTC))
    await reconciling.follow_waiting(house, actor="worker")
    await nightly(house, datetime.now(UTC))


async def nightly(house: House, now: datetime) -> bool:
    """Once a night: incidents that turned out to be one, members that fit elsewhere. False where it is day, or done already."""
    if now.astimezone(SHANGHAI).hour not in _NIGHT:
        return False
    async with house.database.connection() as connection:
        if await connection.fetchval(
            "SELECT 1 FROM link_run WHERE kind = 'regroup' AND started_at > $1 LIMIT 1", now - timedelta(hours=12)
        ):
            return False
    await regrouping.regroup(house, actor="worker", now=now)
    async with house.database.transaction() as connection:
        await wording.forget(connection, now)
    return True
