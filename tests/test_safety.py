"""What must not happen: personal data in the clear, rights too wide, decisions changed, letters lost."""

import asyncio
import json
import subprocess
import sys
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.config import Config

from app import audit, intake, triage
from app.errors import Unavailable
from app.intake import Complaint
from app.privacy import Keys, Vault, mask_person
from app.triage import House, receive, receive_and_triage, triage_waiting
from tests.conftest import KEYS, Client, Server, complaint

PERSONAL = {
    "name": "欧阳致远",
    "phone": "13987650123",
    "id_no": "420106199003077213",
    "wechat": "ouyang_zy88",
    "email": "zy@example.cn",
    "address": "东湖路159号7栋1203室",
}
BODY = complaint(
    "secret-1", "我叫欧阳致远，电话13987650123，在江城味火锅吃出蟑螂，要求退款。", complainant=PERSONAL, agent={"name": "司马相如", "phone": "13912120000"},
    order_no="ORD-777888999", respondents=[{"name": "江城味火锅", "phone": "02787654321"}],
)  # fmt: skip
CLEAR = [*PERSONAL.values(), "司马相如", "13912120000", "ORD-777888999", "02787654321"]


async def test_no_personal_value_stands_in_the_database(house: House) -> None:
    await receive_and_triage(house, "p1", Complaint.model_validate(BODY))
    async with house.database.connection() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for table in tables:
            if table["tablename"] in ("api_token", "alembic_version"):
                continue
            rows = await connection.fetch(f"SELECT t::text AS row FROM {table['tablename']} t")
            dump = "\n".join(r["row"] for r in rows)
            assert not [v for v in CLEAR if v in dump or v.encode().hex() in dump], table["tablename"]
        assert await connection.fetchval("SELECT count(*) FROM complainant_record") == 2


async def test_ciphertext_is_bound_to_its_row_and_key() -> None:
    vault = Vault(KEYS)
    cipher = vault.encrypt("内容", "row-1")
    assert vault.decrypt(cipher, "row-1") == "内容"
    assert vault.encrypt("内容", "row-1") != cipher
    for other, context in ((vault, "row-2"), (Vault(Keys(1, KEYS.token_key, b"another-16-bytes")), "row-1")):
        with pytest.raises(Unavailable):
            other.decrypt(cipher, context)


def test_masks() -> None:
    assert mask_person({"name": "王小明", "phone": "13812345678", "email": "abc@x.cn", "address": "珞喻路82号", "district": "洪山区", "wechat": None}) == {
        "name": "王**", "phone": "138****5678", "email": "a***@x.cn", "address": "珞喻路*号", "district": "洪山区",
    }  # fmt: skip


async def test_the_app_role_can_neither_change_nor_delete_what_was_decided(house: House) -> None:
    await receive_and_triage(house, "p1", Complaint.model_validate(BODY))
    async with house.database.connection() as connection:
        for statement in (
            "UPDATE decision SET track = 't1'", "DELETE FROM decision", "DELETE FROM letter", "DELETE FROM matter", "UPDATE state_change SET state = 'x'",
            "DELETE FROM audit_entry", "UPDATE audit_entry SET actor = 'x'", "UPDATE policy SET name = 'x'", "TRUNCATE letter", "CREATE TABLE x ()",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_reports_can_not_write(house: House) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    async with house.database.reading() as connection:
        with pytest.raises((DBAPIError, asyncpg.PostgresError)):
            await connection.execute(text("INSERT INTO queue (id, name, lane) VALUES ('x', 'x', 'any')"))


async def test_the_audit_chain_shows_a_change(house: House, server: Server, url: str) -> None:
    from sqlalchemy.engine import make_url

    async with house.database.connection() as connection:
        for n in range(5):
            await audit.record(connection, "someone", "read", "letter", [n])
        async with connection.transaction():
            assert await audit.seal(connection) == 5
        await audit.record(connection, "someone", "reveal", "letter", ["later"], purpose="handling")
        async with connection.transaction():
            assert await audit.seal(connection) == 1
        assert await audit.verify(connection) is None
    owner = await asyncpg.connect(
        make_url(server.of(make_url(url).database or "", owner=True)).set(drivername="postgresql").render_as_string(False)
    )
    await owner.execute("UPDATE audit_entry SET actor = 'nobody' WHERE object_id = '3'")
    await owner.close()
    async with house.database.connection() as connection:
        assert await audit.verify(connection) == 1


async def test_what_can_not_be_triaged_goes_to_a_person(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = await receive(house, "p1", Complaint.model_validate(complaint("stuck")))

    def broken(*_: Any) -> Any:
        raise RuntimeError("personal data 13987650123")

    monkeypatch.setattr(house.reader, "read", broken)
    for attempt in range(triage.MAX_ATTEMPTS):
        async with house.database.connection() as connection:
            await connection.execute("UPDATE letter SET next_attempt_at = now()")
        assert await triage_waiting(house) == 1, attempt
    async with house.database.connection() as connection:
        row = await connection.fetchrow("SELECT state, attempts, last_error FROM letter WHERE id = $1", receipt.letter_id)
        item = await connection.fetchrow("SELECT queue_id, due_at FROM work_item")
        assert (row["state"], row["attempts"], row["last_error"]) == ("human", triage.MAX_ATTEMPTS, "RuntimeError")
        assert item["queue_id"] == "intake"
        assert item["due_at"] is not None
        assert await connection.fetchval("SELECT rule FROM decision") == "triage_failed"
    assert await triage_waiting(house) == 0


async def test_a_failure_in_triage_costs_the_caller_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    real = client.house.reader.read

    def broken(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(client.house.reader, "read", broken)
    answer = await client.post("portal", "/v1/complaints", BODY)
    assert (answer.status_code, answer.json()["state"]) == (202, "received")
    monkeypatch.setattr(client.house.reader, "read", real)
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE letter SET next_attempt_at = now()")
    assert await triage_waiting(client.house) == 1
    assert (await client.get("portal", f"/v1/complaints/{answer.json()['id']}")).json()["state"] == "pending_acceptance"


async def test_nobody_triages_twice(house: House) -> None:
    letter = intake.Letter.make("p1", Complaint.model_validate(BODY), now=triage.datetime.now(triage.UTC), history=False)
    async with house.database.connection() as connection:
        await intake.receive(connection, house.vault, [letter])
    assert await triage.triage(house, letter) is not None
    assert await triage.triage(house, letter) is None
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM decision") == 1


async def test_unexpected_errors_say_nothing_personal(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("value 13987650123")

    monkeypatch.setattr("app.api.complaints.receive_and_triage", broken)
    answer = await client.post("portal", "/v1/complaints", BODY)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "13987650123" not in answer.text
    assert "13987650123" not in caplog.text


def test_migrations_and_models_agree(server: Server) -> None:
    config = Config()
    config.set_main_option("script_location", "migrations")
    config.attributes["url"] = server.owner
    command.check(config)


def test_the_command_line_says_clocks_and_refuses_clearly() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "app.cli", *arguments], capture_output=True, text=True, check=False)

    told = run("clock", "complaint.accept", "2026-02-12").stdout.splitlines()
    assert told[0] == "2026-02-28"
    assert "7个工作日" in told[1]
    wrong = run("clock", "complaint.forever", "2026-02-12")
    assert wrong.returncode == 1
    assert "unknown term" in wrong.stderr
    assert "Traceback" not in wrong.stderr


async def test_stored_evidence_is_readable_json(client: Client) -> None:
    posted = (await client.post("portal", "/v1/complaints", BODY)).json()
    matter = (await client.get("analyst", f"/v1/complaints/{posted['id']}")).json()["matters"][0]
    assert matter["decision"]["policy_hash"]
    assert matter["decision"]["law"] == "order-121"
    assert set(matter["decision"]["parameters"]) == {
        "linkage", "incidents", "merchants", "lexicon", "classifier", "dangers", "tagger", "signals",
    }  # fmt: skip
    assert json.dumps(matter)


async def test_other_keys_are_refused(house: House) -> None:
    from app.privacy import check_keys

    async with house.database.connection() as connection:
        await check_keys(connection, house.vault)
        with pytest.raises(Unavailable, match="not those this database was filled with"):
            await check_keys(connection, Vault(Keys(1, KEYS.token_key, b"another-16-bytes")))


async def test_connections_that_the_server_ended_are_replaced(client: Client, server: Server, url: str) -> None:
    from sqlalchemy.engine import make_url

    await asyncio.gather(*(client.get("analyst", "/v1/complaints") for _ in range(8)))
    owner = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    await owner.close()
    await asyncio.sleep(0.2)
    answers = await asyncio.gather(*(client.get("analyst", "/v1/complaints") for _ in range(8)))
    assert [a.status_code for a in answers] == [200] * 8


async def test_masks_also_hold_for_what_the_text_repeats(client: Client) -> None:
    body = complaint("mask", "本人欧阳致远，电话１３９８７６５０１２３，住东湖路159号7栋1203室，要求退款", complainant=PERSONAL)
    posted = (await client.post("portal", "/v1/complaints", body)).json()
    seen = (await client.get("mediator", f"/v1/complaints/{posted['id']}")).text
    assert not [v for v in PERSONAL.values() if v in seen]


async def test_a_live_letter_never_waits_for_history(house: House, tmp_path: Any) -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    body = Complaint.model_validate({**BODY, "external_id": "h1", "received_at": (now - timedelta(days=35)).isoformat()})
    old = intake.Letter.make("p1", body, now=now, history=True)
    async with house.database.connection() as connection:
        await intake.receive(connection, house.vault, [old])
    await triage.triage(house, old)
    _, outcome = await receive_and_triage(house, "p1", Complaint.model_validate(BODY))
    assert outcome is not None
    assert (outcome.matters[0].state, outcome.matters[0].due_at is None) == ("pending_acceptance", False)


async def test_two_records_of_one_person_at_once_lose_no_token(house: House) -> None:
    await receive_and_triage(
        house,
        "p1",
        Complaint.model_validate(
            complaint("u0", complainant={"name": "慕容复兴", "phone": "13933330000", "wechat": "mrfx_0000", "district": "洪山区"})
        ),
    )
    people = [
        {"name": "慕容复兴", "phone": "13933330000", "email": "m@x.cn"},
        {"name": "慕容复兴", "wechat": "mrfx_0000", "address": "东湖路15号3栋202室"},
    ]
    await asyncio.gather(
        *(
            receive_and_triage(house, "p1", Complaint.model_validate(complaint(f"u{n + 1}", complainant=p)))
            for n, p in enumerate(people)
        )
    )
    async with house.database.connection() as connection:
        profiles = await connection.fetch("SELECT tokens FROM complainant")
        records = await connection.fetch("SELECT tokens FROM complainant_record")
    assert len(profiles) == 1
    assert set(profiles[0]["tokens"]) == {t for r in records for t in r["tokens"]}
