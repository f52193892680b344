"""The life of a policy: one drafts, the past is decided anew, another publishes, the day of decision picks; over REST and the command line."""

import asyncio
import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from alembic import command
from alembic.config import Config
from typer.testing import CliRunner

from app import codes, drafting, identity, policy
from app.calendar import local_day
from app.cli import app as command_line
from app.database import Database
from app.policy import Facts
from app.triage import House
from tests.conftest import KEYS, Client, Server, complaint

SHIPPED: dict[str, Any] = {k: v for k, v in codes.shipped("policy").items() if k != "valid_from"}
SHIPPED_HASH = policy.content_hash(SHIPPED)
TODAY = local_day(datetime.now(UTC))
PEOPLE: dict[str, dict[str, Any]] = {
    "li": {"roles": ["policy"]},
    "wang": {"roles": ["policy"]},
    "machine": {"roles": ["policy"], "natural_person": False},
    "boss": {"roles": ["admin"]},
    "of_yichang": {"roles": ["policy"], "jurisdictions": ["4205"]},
    "of_wuchang": {"roles": ["policy"], "jurisdictions": ["420106"]},
}


def stricter(name: str = "小额上限五百元", **thresholds: Any) -> dict[str, Any]:
    content = copy.deepcopy(SHIPPED)
    content["name"] = name
    for key, value in (thresholds or {"amount.small_fen": 50_000}).items():
        content["thresholds"][key]["value"] = value
    return content


async def issue(house: House) -> dict[str, str]:
    async with house.database.connection() as connection:
        return {
            name: await identity.issue(connection, name, **{"natural_person": True, "jurisdictions": ["42"], **rights})
            for name, rights in PEOPLE.items()
        }


@pytest_asyncio.fixture
async def officers(client: Client) -> Client:
    client.tokens |= await issue(client.house)
    return client


async def draft(officers: Client, content: dict[str, Any], by: str = "li") -> str:
    answer = await officers.post(by, "/v1/policies", content)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["hash"])


async def state(officers: Client, version: str) -> str:
    return str((await officers.get("li", f"/v1/policies/{version}")).json()["state"])


async def published(
    officers: Client, content: dict[str, Any], valid_from: Any = TODAY, *, by: str = "li", second: str = "wang"
) -> str:
    version = await draft(officers, content, by)
    assert (await officers.post(by, f"/v1/policies/{version}/backtest")).status_code == 200
    answer = await officers.post(second, f"/v1/policies/{version}/publish", {"valid_from": str(valid_from)})
    assert answer.status_code == 200, answer.text
    return version


async def rule_of(officers: Client, number: int, amount_fen: int, **more: Any) -> tuple[str, str, dict[str, Any]]:
    """(rule, policy_hash, parameters) of a new complaint."""
    body = complaint(f"p{number}", f"在第{number}家商店买的手机屏幕有划痕，要求退货", amount_fen=amount_fen, **more)
    posted = await officers.post("portal", "/v1/complaints", body)
    assert posted.status_code == 201, posted.text
    matter = (await officers.get("analyst", f"/v1/complaints/{posted.json()['id']}")).json()["matters"][0]
    return matter["decision"]["rule"], matter["decision"]["policy_hash"], matter["decision"]["parameters"]


async def test_one_drafts_and_another_publishes(officers: Client) -> None:
    assert (await rule_of(officers, 1, 60_000))[:2] == ("R99", SHIPPED_HASH)
    made = await officers.post("li", "/v1/policies", stricter())
    assert made.status_code == 201
    version = made.json()["hash"]
    assert (made.json()["state"], made.json()["author"], made.json()["whole"]) == ("draft", "li", True)
    assert made.json()["warnings"]
    path, body = f"/v1/policies/{version}", {"valid_from": str(TODAY)}

    untested = await officers.post("wang", f"{path}/publish", body)
    assert (untested.status_code, "回测" in untested.json()["detail"]) == (409, True)
    tested = await officers.post("machine", f"{path}/backtest")
    assert tested.status_code == 200
    assert await state(officers, version) == "backtested"
    for who in ("li", "machine", "mediator", "analyst", "of_yichang"):
        refused = await officers.post(who, f"{path}/publish", body)
        assert refused.status_code == 403, who
        assert refused.headers["content-type"] == "application/problem+json"
    assert (await rule_of(officers, 2, 60_000))[:2] == ("R99", SHIPPED_HASH)

    answer = await officers.post("wang", f"{path}/publish", {**body, "note": "局务会决定"})
    assert (answer.status_code, answer.json()["state"]) == (200, "in_force")
    assert (await rule_of(officers, 3, 60_000))[:2] == ("R11", version)
    assert await state(officers, SHIPPED_HASH) == "superseded"
    again = await officers.post("wang", f"{path}/publish", body)
    assert (again.status_code, "提议" in again.json()["detail"]) == (409, True)

    listed = (await officers.get("auditor" if "auditor" in officers.tokens else "analyst", "/v1/policies")).json()["items"]
    assert [i["hash"] for i in listed] == [version, SHIPPED_HASH]
    assert [(a["act"], a["actor"]) for a in listed[0]["acts"]] == [
        ("proposed", "li"),
        ("backtested", "machine"),
        ("published", "wang"),
    ]
    async with officers.house.database.connection() as connection:
        acts = await connection.fetch(
            "SELECT actor, act, purpose FROM audit_entry WHERE object = 'policy' AND object_id = $1 ORDER BY id", version
        )
    assert [tuple(a) for a in acts] == [("li", "propose", ""), ("machine", "backtest", ""), ("wang", "publish", "局务会决定")]


async def test_the_administrator_may_be_the_second_person_and_names_are_people(officers: Client) -> None:
    async with officers.house.database.connection() as connection:
        officers.tokens["Li"] = await identity.issue(connection, "LI ", ["admin"], natural_person=True, jurisdictions=["42"])
    version = await draft(officers, stricter())
    await officers.post("li", f"/v1/policies/{version}/backtest")
    assert (await officers.post("Li", f"/v1/policies/{version}/publish", {"valid_from": str(TODAY)})).status_code == 403
    assert (await officers.post("boss", f"/v1/policies/{version}/publish", {"valid_from": str(TODAY)})).status_code == 200


async def test_days_that_are_past_are_refused_and_later_days_wait(officers: Client) -> None:
    version = await draft(officers, stricter())
    await officers.post("li", f"/v1/policies/{version}/backtest")
    past = await officers.post("wang", f"/v1/policies/{version}/publish", {"valid_from": str(TODAY - timedelta(days=1))})
    assert (past.status_code, past.json()["errors"][0]["field"]) == (422, "valid_from")
    refused = await officers.post("li", "/v1/policies", {**stricter(), "valid_from": "2026-01-01"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "valid_from")

    later = TODAY + timedelta(days=3)
    answer = await officers.post("wang", f"/v1/policies/{version}/publish", {"valid_from": str(later)})
    assert (answer.status_code, answer.json()["state"]) == (200, "scheduled")
    assert (await rule_of(officers, 1, 60_000))[:2] == ("R99", SHIPPED_HASH)
    policies = officers.house.policies
    assert policy.in_force(policies, later, "420106").hash == version
    assert policy.in_force(policies, later - timedelta(days=1), "420106").hash == SHIPPED_HASH
    facts = {"lane": "complaint", "kind": "complaint", "amount_fen": 60_000}
    early = await officers.post("li", "/v1/policies/decide", {"facts": facts, "version": version})
    assert (early.status_code, early.json()["errors"][0]["field"], "尚未施行" in early.text) == (422, "version", True)
    then = await officers.post("li", "/v1/policies/decide", {"facts": facts, "version": version, "on": str(later)})
    assert (then.json()["rule"], then.json()["versions"]) == ("R11", [version])


async def test_rolling_back_takes_two_people_again(officers: Client) -> None:
    version = await published(officers, stricter())
    path, body = f"/v1/policies/{SHIPPED_HASH}", {"valid_from": str(TODAY)}
    assert (await officers.post("wang", f"{path}/publish", body)).status_code == 409  # nobody proposed it
    proposed = await officers.post("wang", f"{path}/propose", {"note": "新阈值过严"})
    assert (proposed.status_code, proposed.json()["state"]) == (200, "superseded")
    assert (await officers.post("machine", f"{path}/propose")).status_code == 403
    assert (await officers.post("li", f"{path}/backtest")).status_code == 200
    assert (await officers.post("wang", f"{path}/publish", body)).status_code == 403
    assert (await officers.post("li", f"{path}/publish", body)).json()["state"] == "in_force"
    assert (await rule_of(officers, 1, 60_000))[:2] == ("R99", SHIPPED_HASH)
    assert await state(officers, version) == "superseded"
    # The version rolled back from comes again the same way: its old back-test was against another policy.
    await officers.post("li", f"/v1/policies/{version}/propose")
    assert (await officers.post("wang", f"/v1/policies/{version}/publish", body)).status_code == 200
    assert await state(officers, version) == "in_force"


async def test_the_same_content_is_the_same_version(officers: Client) -> None:
    first = await officers.post("li", "/v1/policies", stricter())
    again = await officers.post("wang", "/v1/policies", dict(reversed(list(stricter().items()))))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["hash"] == first.json()["hash"]
    assert again.json()["author"] == "li"
    version = first.json()["hash"]
    await officers.post("li", f"/v1/policies/{version}/backtest")
    for proposer in ("li", "wang"):  # both had a hand in it
        assert (await officers.post(proposer, f"/v1/policies/{version}/publish", {"valid_from": str(TODAY)})).status_code == 403


async def test_who_may_draft_what(officers: Client) -> None:
    for who, status in (("machine", 403), ("mediator", 403), ("portal", 403), ("of_yichang", 403)):
        assert (await officers.post(who, "/v1/policies", stricter())).status_code == status
    place = {"format": 2, "name": "宜昌", "jurisdiction": "4205", "thresholds": {"cluster.watch": 2}}
    assert (await officers.post("of_yichang", "/v1/policies", place)).status_code == 201
    assert (await officers.post("of_wuchang", "/v1/policies", place)).status_code == 403
    assert (await officers.get("portal", "/v1/policies")).status_code == 403
    assert (await officers.get("li", "/v1/policies/0000000000000000")).status_code == 404


async def test_a_district_changes_thresholds_alone(officers: Client) -> None:
    place = {
        "format": 2,
        "name": "武昌区阈值",
        "jurisdiction": "420106",
        "thresholds": {"amount.small_fen": {"value": 50_000, "status": "design_choice", "source": "区局会议"}},
    }
    async with officers.house.database.connection() as connection:
        officers.tokens["second"] = await identity.issue(
            connection, "second-w", ["policy"], natural_person=True, jurisdictions=["420106"]
        )
    version = await published(officers, place, by="of_wuchang", second="second")
    rule, named, parameters = await rule_of(
        officers, 1, 60_000, respondents=[{"name": "某某手机店", "address": "武汉市武昌区中南路9号"}]
    )
    assert (rule, named, parameters["policies"]) == ("R11", version, [version, SHIPPED_HASH])
    rule, named, parameters = await rule_of(
        officers, 2, 60_000, respondents=[{"name": "另一家电器城", "address": "宜昌市西陵区东山大道1号"}]
    )
    assert (rule, named, "policies" in parameters) == ("R99", SHIPPED_HASH, False)
    with_rows = {**stricter(), "jurisdiction": "420106"}
    refused = await officers.post("li", "/v1/policies", with_rows)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "rows")

    # A wider version under which the district's figures make no sense is not published over its head.
    wider = stricter("大额下限三百元", **{"amount.large_fen": 30_000, "amount.small_fen": 20_000})
    clash = await draft(officers, wider)
    await officers.post("li", f"/v1/policies/{clash}/backtest")
    answer = await officers.post("wang", f"/v1/policies/{clash}/publish", {"valid_from": str(TODAY)})
    assert answer.status_code == 422
    assert f"420106的版本{version}" in answer.json()["errors"][0]["message"]


async def test_validation_tells_cells_and_proofs(officers: Client) -> None:
    bad = stricter()
    bad["rows"][5]["when"][1]["field"] = "minor_harm"
    bad["rows"].insert(1, {**SHIPPED["rows"][-2], "id": "Z1", "when": [*SHIPPED["rows"][2]["when"]], "track": "t1"})
    answer = await officers.post("li", "/v1/policies/validate", bad)
    assert answer.status_code == 200
    assert (answer.json()["valid"], [e["field"] for e in answer.json()["errors"]]) == (False, ["rows[6] (R14).when[1]"])
    bad["rows"][6]["when"][1]["field"] = "minors_harm"
    found = (await officers.post("li", "/v1/policies/validate", bad)).json()
    assert {e["field"] for e in found["errors"]} == {"rows[1] (Z1).track", "rows[3] (R02).when"}
    proof = next(e for e in found["errors"] if e["field"].startswith("rows[1]"))["sheets"]
    assert [s.get("harm") for s in proof] == ["medium", "high"]
    refused = await officers.post("li", "/v1/policies", bad)
    assert (refused.status_code, len(refused.json()["errors"])) == (422, len(found["errors"]))
    assert (await officers.post("li", "/v1/policies/validate", stricter())).json()["valid"] is True
    for body in ({}, {"rows": 1}, {"jurisdiction": 5}, {"jurisdiction": "42", "thresholds": {}}):
        assert (await officers.post("li", "/v1/policies/validate", body)).json()["valid"] is False
        assert (await officers.post("li", "/v1/policies", body)).status_code == 422


async def test_a_version_is_shown_and_taken_along(officers: Client) -> None:
    shown = (await officers.get("li", f"/v1/policies/{SHIPPED_HASH}")).json()
    assert (shown["state"], policy.content_hash(shown["content"])) == ("in_force", SHIPPED_HASH)
    table = await officers.get("li", f"/v1/policies/{SHIPPED_HASH}?format=csv")
    assert policy.content_hash(policy_of(table.content, "csv")) == SHIPPED_HASH
    book = await officers.get("li", f"/v1/policies/{SHIPPED_HASH}?format=xlsx")
    assert policy.content_hash(policy_of(book.content, "xlsx")) == SHIPPED_HASH
    questions = (await officers.get("li", f"/v1/policies/{SHIPPED_HASH}/open-questions")).json()["items"]
    assert {q["id"] for q in questions} >= {"cluster.watch", "t1.odr_enterprise"}
    facts = {"lane": "complaint", "kind": "complaint", "harm": "wide"}
    assert (await officers.post("li", "/v1/policies/decide", {"facts": facts})).json()["errors"][0]["field"] == "facts.harm"
    assert (await officers.post("li", "/v1/policies/decide", {"facts": {**facts, "harm": "high"}})).json()["rule"] == "R02"


def policy_of(raw: bytes, kind: str) -> Any:
    from app.policy import sheets

    return (sheets.from_csv(raw) if kind == "csv" else sheets.from_xlsx(raw)).content


# -- back-test


async def _stored(officers: Client) -> None:
    for number, (amount, place) in enumerate(
        [(10_000, "武汉市武昌区中南路9号"), (60_000, "武汉市武昌区中南路9号"), (70_000, "武汉市洪山区珞喻路1号"), (600_000, "武汉市洪山区珞喻路1号"), (40_000, "宜昌市西陵区东山大道1号")]
    ):  # fmt: skip
        await rule_of(officers, number, amount, respondents=[{"name": f"第{number}家手机店", "address": place}])
    report = complaint(
        "rep", "举报：该超市销售过期食品，请查处。", respondents=[{"name": "佳惠超市", "address": "武汉市武昌区中南路9号"}]
    )
    assert (await officers.post("portal", "/v1/complaints", report)).status_code == 201


async def test_a_back_test_says_what_would_change(officers: Client) -> None:
    await _stored(officers)
    version = await draft(officers, stricter())
    found = (await officers.post("li", f"/v1/policies/{version}/backtest")).json()
    new, old = policy.parse(stricter()), policy.parse(SHIPPED)
    async with officers.house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT m.id, m.district, m.merchant_id, d.facts FROM decision d JOIN matter m ON m.id = d.matter_id WHERE m.lane <> 'report'"
        )
    told = [(r, policy.decide(old, Facts(**r["facts"])).track, policy.decide(new, Facts(**r["facts"])).track) for r in rows]
    moved = [r for r, before, after in told if before != after]
    assert len(moved) == 2
    assert (found["facts"], found["changed"], found["heavier"], found["lighter"]) == (5, 2, 2, 0)
    assert found["against"] == [SHIPPED_HASH]
    (pair,) = found["pairs"]
    assert (pair["from"], pair["to"], pair["rules"]) == ("t1", "t2", [{"from": "R99", "to": "R11", "facts": 2}])
    assert set(pair["samples"]) == {str(r["id"]) for r in moved}
    assert {d["district"]: (d["facts"], d["changed"]) for d in found["districts"]} == {
        "420106": (2, 1),
        "420111": (2, 1),
        "420502": (1, 0),
    }
    assert {m["merchant_id"] for m in found["merchants"]} == {str(r["merchant_id"]) for r in moved}
    assert all(m["name"] for m in found["merchants"])
    text = drafting.readable(found)
    assert "线上和解 → 社会联调：2 份" in text
    assert "R99 → R11：2" in text
    assert "武汉市武昌区：1/2" in text


async def test_a_back_test_keeps_to_its_place_and_lays_districts_over(officers: Client) -> None:
    await _stored(officers)
    place = {"format": 2, "name": "武昌区阈值", "jurisdiction": "420106", "thresholds": {"amount.small_fen": 50_000}}
    version = await published(officers, place)
    async with officers.house.database.connection() as connection:
        (kept,) = await connection.fetch("SELECT report FROM policy_act WHERE policy_hash = $1 AND act = 'backtested'", version)
    assert (kept["report"]["facts"], kept["report"]["changed"]) == (2, 1)
    # The province's new figure changes nothing where the district has one of its own.
    province = await draft(officers, stricter("小额上限三百元", **{"amount.small_fen": 30_000}))
    found = (await officers.post("li", f"/v1/policies/{province}/backtest")).json()
    assert {d["district"]: d["changed"] for d in found["districts"]} == {"420106": 0, "420111": 1, "420502": 1}
    assert (await officers.post("of_wuchang", f"/v1/policies/{province}/backtest")).status_code == 403


async def test_that_a_report_exists_is_kept_from_those_who_may_not_know(officers: Client) -> None:
    await _stored(officers)
    version = await draft(officers, stricter())
    house = officers.house
    whole = await drafting.backtest_version(house, version, actor="cli:backtest")
    assert whole["facts"] == 6
    assert whole["pairs"][0]["samples"]
    shown = (await officers.get("li", f"/v1/policies/{version}")).json()["backtests"][0]["report"]
    assert (shown["facts"], shown["merchants"], shown["pairs"][0]["samples"]) == (6, [], [])


async def test_facts_without_the_newer_fields_are_back_tested(officers: Client) -> None:
    await _stored(officers)
    async with officers.house.database.connection() as connection:
        (row,) = await connection.fetch("SELECT * FROM decision WHERE rule = 'R11' LIMIT 1")
        old = {"lane": "complaint", "kind": "complaint", "harm": "medium", "safety_goods": False, "amount_fen": 10}
        await connection.execute(
            "INSERT INTO decision (id, matter_id, kind, decided_at, actor, track, rule, reasons, facts, evidence, sign, policy_hash, law, parameters) "
            "VALUES (gen_random_uuid(), $1, 'reroute', now(), 'test', 't1', 'R99', '[]', $2::text::jsonb, '{}', 'one_person', $3, 'order-121', '{}')",
            row["matter_id"], json.dumps(old), row["policy_hash"],
        )  # fmt: skip
    content = stricter("伤害不再归入行政联处")
    content["rows"] = [r for r in content["rows"] if r["id"] != "R13"]
    found = await drafting.backtest(officers.house, policy.parse(content), lanes=("complaint",))
    assert (found["facts"], found["lighter"]) == (6, 1)
    assert [(p["from"], p["to"]) for p in found["pairs"] if p["to"] == "t1"] == [("t3", "t1")]
    newest = await drafting.backtest(officers.house, policy.parse(content), limit=2)
    assert (newest["facts"], newest["limited"]) == (2, True)


async def test_one_back_test_at_a_time(officers: Client) -> None:
    version = await draft(officers, stricter())
    async with officers.house.database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('backtest'))")
        assert (await officers.post("li", f"/v1/policies/{version}/backtest")).status_code == 409


# -- the store


async def test_versions_and_acts_are_only_added(house: House) -> None:
    async with house.database.connection() as connection:
        for statement in (
            "UPDATE policy SET content = '{}'",
            "DELETE FROM policy",
            "UPDATE policy_act SET actor = 'x'",
            "DELETE FROM policy_act",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_what_is_shipped_holds_until_somebody_publishes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def seeded(name: str) -> list[policy.Policy]:
        newer = {**codes.shipped("policy"), "name": name}
        monkeypatch.setattr("app.policy.versions.shipped", lambda _: newer)
        async with house.database.transaction() as connection:
            await policy.seed(connection)
            await policy.seed(connection)
            return await policy.load(connection)

    first = await seeded("第二版")
    assert [(p.name, p.valid_from == TODAY) for p in first] == [("第二版", True), ("湖北省默认分流政策", False)]
    async with house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO policy_act (policy_hash, act, actor, valid_from) VALUES ($1, 'published', 'wang', $2)",
            SHIPPED_HASH,
            TODAY,
        )
    assert [p.name for p in await seeded("第三版")] == ["湖北省默认分流政策", "第二版", "湖北省默认分流政策"]
    async with house.database.connection() as connection:
        again = await policy.load(connection, first)
    assert {id(p) for p in first} <= {id(p) for p in again}


def test_versions_of_a_store_of_before_stay_in_force(server: Server) -> None:
    old = {
        "name": "旧版", "jurisdiction": "42", "valid_from": "2020-01-01", "source": "x", "thresholds": {"cluster.watch": 3, "odr.reply_rate": 0.8},
        "rows": [{"id": "D01", "name": "默认", "when": [], "track": "t1", "reason": "其他", "legal_basis": "第十八条", "sign": "one_person"}],
    }  # fmt: skip
    version = policy.content_hash(old)
    admin, url = server.of("postgres", owner=True), server.of("old_policies", owner=True)

    async def run(where: str, statement: str, *values: Any) -> list[Any]:
        database = Database(where, pool_size=1)
        try:
            async with database.connection() as connection:
                return list(await connection.fetch(statement, *values))
        finally:
            await database.close()

    async def loaded() -> list[policy.Policy]:
        database = Database(url, pool_size=1)
        try:
            async with database.connection() as connection:
                return await policy.load(connection)
        finally:
            await database.close()

    config = Config()
    config.set_main_option("script_location", "migrations")
    config.attributes["url"] = url
    asyncio.run(run(admin, "CREATE DATABASE old_policies"))
    try:
        command.upgrade(config, "0005")
        asyncio.run(
            run(
                url, "INSERT INTO policy (hash, name, jurisdiction, valid_from, content, published_by) VALUES ($1, '旧版', '42', '2020-01-01', $2::text::jsonb, 'shipped')",
                version, json.dumps(old),
            )
        )  # fmt: skip
        command.upgrade(config, "head")
        (found,) = asyncio.run(loaded())
        assert (found.hash, str(found.valid_from), found.rows[0].id) == (version, "2020-01-01", "D01")
        command.downgrade(config, "0005")
        (row,) = asyncio.run(run(url, "SELECT * FROM policy"))
        assert (row["hash"], str(row["valid_from"]), row["published_by"]) == (version, "2020-01-01", "shipped")
    finally:
        asyncio.run(run(admin, "DROP DATABASE old_policies WITH (FORCE)"))


# -- the command line


@pytest.fixture
def at_the_house(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {
        "DATABASE_URL": url, "TRIAGE_DATA": str(tmp_path), "TRIAGE_TOKEN_KEY": KEYS.token_key.hex(), "TRIAGE_ENCRYPTION_KEY": KEYS.encryption_key.hex(),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return tmp_path


async def invoke(*arguments: str, token: str = "", code: int = 0) -> str:
    """What a command prints; on an error, what it says."""
    environment = {"TRIAGE_TOKEN": token} if token else {}
    done = await asyncio.to_thread(CliRunner().invoke, command_line, arguments, env=environment)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output if code == 0 else f"{done.exception} {getattr(done.exception, 'errors', '')}"


async def test_the_legal_officer_at_the_command_line(house: House, at_the_house: Path) -> None:
    tokens = await issue(house)
    book = at_the_house / "p.xlsx"
    await invoke("policy", "export", "in-force", str(book))
    from openpyxl import load_workbook

    edited = load_workbook(book)
    page = edited["阈值"]
    row = next(r for r in page.iter_rows(min_row=2) if r[0].value == "amount.small_fen")
    row[2].value = 50000
    edited["政策"]["B2"].value = "小额上限五百元"
    edited.save(book)
    assert "valid" in await invoke("policy", "validate", str(book), "--no-warnings")
    assert "分流改变" in await invoke("backtest", str(book))
    made = await invoke("policy", "draft", str(book), token=tokens["li"])
    version = made.split()[0]
    assert version == policy.content_hash(stricter())
    assert "回测" in await invoke("policy", "publish", version, token=tokens["wang"], code=1)
    assert json.loads(await invoke("backtest", version, "--json"))["version"] == version
    assert "另一人" in await invoke("policy", "publish", version, token=tokens["li"], code=1)
    assert "in_force" in await invoke("policy", "publish", version, "--from", str(TODAY), token=tokens["wang"])
    listed = (await invoke("policy", "list")).splitlines()
    assert [line.split()[:4] for line in listed] == [
        [version, "in_force", "42", "li"],
        [SHIPPED_HASH, "superseded", "42", "shipped"],
    ]
    assert SHIPPED_HASH in await invoke("policy", "propose", SHIPPED_HASH, "--note", "过严", token=tokens["wang"])
    facts = at_the_house / "facts.json"
    facts.write_text('{"lane": "complaint", "kind": "complaint", "amount_fen": 60000}', "utf-8")
    assert json.loads(await invoke("policy", "decide", str(facts)))["rule"] == "R11"
    assert "已不再施行" in await invoke("policy", "decide", str(facts), "--version", SHIPPED_HASH, code=1)
    assert "amount.small_fen" in await invoke("policy", "open-questions")

    row[2].value = "五百"
    edited.save(book)
    told = await invoke("policy", "validate", str(book), code=1)
    assert f"阈值!C{row[2].row}" in told
