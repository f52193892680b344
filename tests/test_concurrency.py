"""Many at once: through real transactions on several pools, as several processes would."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from app import worker
from app.database import Database
from app.intake import Complaint
from app.privacy import Vault
from app.triage import House, receive_and_triage
from tests.conftest import KEYS, complaint, settings


@pytest_asyncio.fixture
async def houses(url: str, tmp_path: Path) -> AsyncIterator[list[House]]:
    databases = [Database(url, pool_size=8) for _ in range(2)]
    yield [await House.open(settings(TRIAGE_DATA=tmp_path, TRIAGE_SECONDS=120), d, Vault(KEYS)) for d in databases]
    for database in databases:
        await database.close()


async def post_all(houses: Sequence[House], bodies: Sequence[dict[str, Any]], *, clients: int = 16) -> None:
    waiting = iter([Complaint.model_validate(b) for b in bodies])

    async def client(house: House) -> None:
        for body in waiting:
            _, outcome = await receive_and_triage(house, "load", body)
            assert outcome is not None

    await asyncio.gather(*(client(houses[n % len(houses)]) for n in range(clients)))


async def test_200_first_complaints_of_50_people_are_50_complainants(houses: list[House]) -> None:
    bodies = [
        complaint(
            f"c{p}-{n}", f"第{n}件：在{'天地玄黄'[n]}字号商店买的{'手机空调冰箱衣服'[2 * n : 2 * n + 2]}有质量问题，要求退货",
            complainant={"name": f"赵{chr(0x4E00 + 37 * p)}{chr(0x5100 + 41 * p)}", "phone": f"138{p + 1:04d}{(p * 7919) % 10000:04d}", "district": "洪山区"},
        )
        for n in range(4) for p in range(50)
    ]  # fmt: skip
    await post_all(houses, bodies, clients=32)
    async with houses[0].database.connection() as connection:
        sizes = await connection.fetch(
            "SELECT count(*) AS n FROM complainant_membership WHERE valid_to IS NULL GROUP BY complainant_id"
        )
    assert Counter(r["n"] for r in sizes) == {4: 50}


@pytest.mark.parametrize("count", [250, pytest.param(1000, marks=pytest.mark.slow)])
async def test_two_matters_of_one_merchant_are_two_incidents(houses: list[House], count: int) -> None:
    def person(n: int) -> dict[str, str]:
        return {"name": f"{'赵钱孙李周吴郑王'[n % 8]}{chr(0x4E00 + n)}{chr(0x5A00 + n)}", "phone": f"139{n:08d}"}

    merchant = [{"name": "武汉市武昌区悦禾轩餐饮管理有限公司"}]
    poisoned = [
        "昨晚在悦禾轩吃完火锅后上吐下泻，去医院检查是急性肠胃炎",
        "一家三口吃了悦禾轩的自助餐，全都呕吐腹泻",
        "悦禾轩聚餐后食物中毒住院两天",
    ]
    prepaid = [
        "悦禾轩的储值卡里还有800元，店家不予退卡",
        "办了悦禾轩会员卡，要求退费被拒，说要扣手续费",
        "悦禾轩充值卡余额不退，要求全额退费",
    ]
    bodies = []
    for n in range(count):
        bodies.append(
            complaint(f"a{n}", poisoned[n % 3] + f"，花了{100 + n}元，要求赔偿。", respondents=merchant, complainant=person(n))
        )
        bodies.append(
            complaint(f"b{n}", prepaid[n % 3] + f"，当时充了{500 + n}元。", respondents=merchant, complainant=person(2000 + n))
        )
    await post_all(houses, bodies)
    while await worker.fold(houses[0]):
        pass
    async with houses[0].database.connection() as connection:
        counted = await connection.fetch(
            "SELECT incident_id, count(*) AS members, count(DISTINCT left(l.external_id, 1)) AS kinds FROM incident_membership im "
            "JOIN matter m ON m.id = im.matter_id JOIN letter l ON l.id = m.letter_id WHERE im.valid_to IS NULL GROUP BY 1"
        )
        folded = await connection.fetch("SELECT complaints, people_complaints, state FROM incident ORDER BY id")
        merchants = await connection.fetchval("SELECT count(*) FROM merchant")
    assert sorted((r["members"], r["kinds"]) for r in counted) == [(count, 1)] * 2
    assert [(r["complaints"], r["people_complaints"], r["state"]) for r in folded] == [(count, count, "open")] * 2
    assert merchants == 1


async def test_the_same_complaint_100_times_at_once_is_one_row(houses: list[House]) -> None:
    body = Complaint.model_validate(complaint("once", complainant={"name": "吴一凡", "phone": "13800001234"}))
    answers = await asyncio.gather(*(receive_and_triage(houses[n % 2], "load", body) for n in range(100)))
    assert len({receipt.letter_id for receipt, _ in answers}) == 1
    assert sum(receipt.created for receipt, _ in answers) == 1
    async with houses[0].database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM letter") == 1
        assert await connection.fetchval("SELECT count(*) FROM decision WHERE kind = 'initial'") == 1


async def test_whoever_is_cancelled_leaves_no_open_transaction_to_the_next(url: str) -> None:
    """While it begins, writes or commits; also where the deadline stands inside the connection's block, as at a letter's triage."""
    database = Database(url, pool_size=1)

    async def transaction() -> None:
        async with database.transaction() as connection:
            await connection.execute("SELECT 1")

    async def inside(seconds: float) -> None:
        async with database.connection() as connection:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds), connection.transaction():
                    await connection.execute("SELECT 1")

    async def report() -> None:
        async with database.reading() as connection:
            await connection.execute(text("SELECT 1"))

    try:
        for n in range(80):
            seconds = n * 25e-6
            for one in (transaction(), inside(seconds), report()):
                await transaction()  # else it would be connecting that is cancelled
                task = asyncio.create_task(one)
                await asyncio.sleep(seconds)
                task.cancel()
                with suppress(
                    asyncio.CancelledError, asyncpg.InterfaceError
                ):  # SQLAlchemy itself ends what is cancelled in its hands
                    await task
                async with database.connection() as connection:
                    assert await connection.fetchval("SELECT 1") == 1
                    assert not connection.is_in_transaction()
    finally:
        await database.close()
