"""One person, many complaints: in the store, under corrections, relinks, new tokens and many at once."""

import asyncio
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app import complainants, relinking, runs, worker
from app.database import Database
from app.errors import Conflict
from app.intake import Complaint
from app.privacy import Keys, Vault
from app.triage import House, receive_and_triage
from ml.synthetic.people import people
from ml.tokens import PERSON_FIELDS, Tokeniser, features, field_of
from tests.conftest import KEYS, Client, complaint, settings

TEXTS = [f"{day}日在{shop}买的{thing}坏了，要求退货" for day, shop, thing in (
    (1, "天一商行", "手机"), (2, "地利商行", "空调"), (3, "人和商行", "冰箱"), (4, "永兴商行", "手表"), (5, "顺达商行", "沙发"), (6, "万福商行", "自行车"))]  # fmt: skip
ZHANG = {"name": "张小明", "phone": "13987650123", "city": "武汉市", "district": "洪山区"}
LI = {"name": "李国华", "phone": "15987654321", "city": "武汉市", "district": "江岸区"}


async def file(house: House, number: int, who: dict[str, Any], **values: Any) -> uuid.UUID:
    """The complainant that a complaint of that person was linked to."""
    body = complaint(f"x{number}", TEXTS[number % len(TEXTS)], complainant=who, **values)
    receipt, outcome = await receive_and_triage(house, "t", Complaint.model_validate(body))
    assert outcome is not None
    return await home(house, receipt.letter_id)


async def home(house: House, letter_id: uuid.UUID, role: str = "filer") -> uuid.UUID:
    async with house.database.connection() as connection:
        found: uuid.UUID = await connection.fetchval(
            "SELECT m.complainant_id FROM complainant_record r JOIN complainant_membership m ON m.record_id = r.id AND m.valid_to IS NULL "
            "WHERE r.letter_id = $1 AND r.role = $2",
            letter_id, role,
        )  # fmt: skip
    return found


async def homes(house: House) -> dict[uuid.UUID, uuid.UUID]:
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT record_id, complainant_id FROM complainant_membership WHERE valid_to IS NULL")
    return {r["record_id"]: r["complainant_id"] for r in rows}


async def whole(house: House) -> None:
    """What must hold whatever was moved: every record has one home, profiles and keys are those of its records, nobody is sent
    to an id that is gone."""
    async with house.database.connection() as connection:
        assert await connection.fetchval(
            "SELECT count(*) FROM complainant_record r WHERE (SELECT count(*) FROM complainant_membership m WHERE m.record_id = r.id "
            "AND m.valid_to IS NULL) <> 1"
        ) == 0  # fmt: skip
        wrong = await connection.fetchval(
            "SELECT count(*) FROM complainant c WHERE records <> (SELECT count(*) FROM complainant_membership m WHERE m.complainant_id = c.id "
            "AND m.valid_to IS NULL) OR (records = 0) <> (merged_into IS NOT NULL) OR (SELECT count(DISTINCT t) FROM unnest(tokens) t) <> "
            "(SELECT count(DISTINCT t) FROM complainant_membership m JOIN complainant_record r ON r.id = m.record_id, unnest(r.tokens) t "
            "WHERE m.complainant_id = c.id AND m.valid_to IS NULL)"
        )
        assert wrong == 0
        assert await connection.fetchval(
            "SELECT count(*) FROM complainant_key k JOIN complainant c ON c.id = k.complainant_id WHERE NOT k.token = ANY(c.tokens)"
        ) == 0  # fmt: skip
        assert await connection.fetchval(
            "SELECT count(*) FROM complainant a JOIN complainant b ON b.id = a.merged_into WHERE b.merged_into IS NOT NULL"
        ) == 0  # fmt: skip


# -- joining


async def test_a_link_explains_itself_field_by_field_and_in_chinese(client: Client) -> None:
    await file(client.house, 0, ZHANG)
    one = await file(client.house, 1, {**ZHANG, "name": "张晓明", "phone": "+86 139-8765-0123"})
    found = (await client.get("analyst", f"/v1/complainants/{one}")).json()
    assert found["complaints"] == 2
    joined = next(r for r in found["records"] if r["evidence"]["joined"])
    assert joined["evidence"]["joined"]["fields"]["phone"]["level"] == "phone"
    assert joined["evidence"]["joined"]["fields"]["name"]["level"] == "name_pinyin"
    assert sum(f["bits"] for f in joined["evidence"]["joined"]["fields"].values()) == pytest.approx(
        joined["evidence"]["joined"]["bits"], abs=0.1
    )
    text = "；".join(joined["explanation"])
    assert "电话号码一致" in text
    assert "姓名同音" in text
    assert "证据充分，且无冲突规则" in text


async def test_what_forbade_a_join_is_told(house: House) -> None:
    await file(house, 0, ZHANG)
    await file(house, 1, {**LI, "phone": ZHANG["phone"]})
    async with house.database.connection() as connection:
        evidence = await connection.fetchval("SELECT evidence FROM complainant_membership ORDER BY valid_from DESC LIMIT 1")
        finding = await connection.fetchrow("SELECT evidence FROM finding WHERE code = 'R7'")
    other = evidence["others"][0]
    assert other["forbidden_by"] == "different_name"
    assert "姓名不同，不予合并" in complainants.explain(other, evidence["join_bits"])[-1]
    assert finding["evidence"]["shared"][0]["fields"] == ["phone"]


async def test_a_number_that_found_another_owner_is_no_shared_identity(house: House) -> None:
    first = await file(house, 0, ZHANG, received_at="2024-01-10T09:00:00+08:00")
    second = await file(house, 1, {**LI, "phone": ZHANG["phone"]}, received_at="2026-11-10T09:00:00+08:00")
    assert first != second
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM finding WHERE code = 'R7'") == 0


async def test_an_agent_is_told_from_whom_he_files_for(client: Client) -> None:
    agent = {"name": "司马相如", "phone": "13612120001"}
    ids = []
    for number, who in enumerate((ZHANG, LI, {"name": "王桂芳", "phone": "13712340002", "district": "武昌区"})):
        body = complaint(f"a{number}", TEXTS[number], complainant=who, agent=agent)
        receipt, _ = await receive_and_triage(client.house, "t", Complaint.model_validate(body))
        ids.append(
            (await home(client.house, receipt.letter_id, "principal"), await home(client.house, receipt.letter_id, "agent"))
        )
    assert len({principal for principal, _ in ids}) == 3
    (acting,) = {a for _, a in ids}
    found = (await client.get("analyst", f"/v1/complainants/{acting}")).json()
    assert {(f["role"], f["complainant_id"], f["clients"]) for f in found["filed"]} == {("agent", str(p), 3) for p, _ in ids}
    client_view = (await client.get("analyst", f"/v1/complainants/{ids[0][0]}")).json()
    assert [(f["role"], f["complainant_id"], f["clients"]) for f in client_view["filed"]] == [("principal", str(acting), 3)]
    async with client.house.database.connection() as connection:
        findings = await connection.fetch("SELECT evidence FROM finding WHERE code = 'agent'")
    assert {f["evidence"]["filed_by"] for f in findings} == {str(acting)}
    assert {f["evidence"]["on_behalf_of"][0] for f in findings} == {str(p) for p, _ in ids}


async def test_a_record_that_fits_two_shows_that_they_are_one(client: Client) -> None:
    house = client.house
    by_phone = await file(house, 0, {"name": "张小明", "phone": "13987650123"})
    by_number = await file(house, 1, {"name": "张小明", "id_no": "420106199003077213", "wechat": "zhang_xm"})
    assert by_phone != by_number
    both = await file(house, 2, {"name": "张小明", "phone": "13987650123", "id_no": "420106199003077213"})
    assert both == min(by_phone, by_number, key=str)
    assert len(set((await homes(house)).values())) == 1
    gone = ({by_phone, by_number} - {both}).pop()
    assert (await client.get("analyst", f"/v1/complainants/{gone}")).json() == {"id": str(gone), "merged_into": str(both)}
    await whole(house)
    # It is a run of its own: taken back, the elder two are apart again and the record stays where it joined.
    (run,) = (await client.get("analyst", "/v1/link-runs?kind=bridge")).json()["items"]
    undone = await client.post("analyst", f"/v1/link-runs/{run['id']}/undo", {"reason": "两个人"})
    assert undone.status_code == 200, undone.text
    assert len(set((await homes(house)).values())) == 2
    await whole(house)
    again = await client.post("analyst", f"/v1/link-runs/{run['id']}/undo", {"reason": "两个人"})
    assert again.status_code == 409


async def test_common_values_are_counted_over_named_people(house: House) -> None:
    for number in range(3):
        await file(house, number, {"name": "王伟", "phone": f"1398765{number:04d}", "district": "洪山区", "id_no": None})
    await file(house, 3, {"phone": "13987659999", "district": "洪山区"})
    while await worker.step(house):
        pass
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT token, people FROM token_frequency")
        counted = {r["token"]: r["people"] for r in rows}
        before = dict(counted)
        async with connection.transaction():
            await complainants.recount_tokens(connection)
        after = {r["token"]: r["people"] for r in await connection.fetch("SELECT token, people FROM token_frequency")}
    assert counted[house.reader.tokeniser.token(linkage_field("NAME"), "王伟")] == len({*(await homes(house)).values()}) - 1
    assert before == after
    assert max(counted.values()) <= 3


def linkage_field(name: str) -> Any:
    from ml.tokens import Field

    return Field[name]


# -- corrections


async def merged(client: Client) -> tuple[uuid.UUID, uuid.UUID, dict[str, Any]]:
    house = client.house
    one, other = await file(house, 0, ZHANG), await file(house, 1, LI)
    await file(house, 2, LI)
    assert one != other
    answer = await client.post("analyst", f"/v1/complainants/{one}/merge", {"others": [str(other)], "reason": "改名，已核实户口"})
    assert answer.status_code == 200, answer.text
    return one, other, answer.json()


async def test_a_merge_binds_and_a_wrong_one_is_taken_apart(client: Client) -> None:
    house = client.house
    one, other, answer = await merged(client)
    assert answer["records"] == 2
    assert set((await homes(house)).values()) == {one}
    assert (await client.get("analyst", f"/v1/complainants/{other}")).json()["merged_into"] == str(one)
    await whole(house)
    await relinking.relink(house, actor="test")
    assert set((await homes(house)).values()) == {one}  # no later run undoes it
    before = await homes(house)
    undone = await client.post("supervisor", f"/v1/link-runs/{answer['run_id']}/undo", {"reason": "弄错了"})
    assert undone.status_code == 200
    assert (undone.json()["records"], undone.json()["left"]) == (2, 0)
    after = await homes(house)
    assert sorted(Counter(after.values()).values()) == [1, 2]
    assert {r for r, h in after.items() if h == other} == {r for r in before if after[r] == other}
    assert (await client.get("analyst", f"/v1/complainants/{other}")).json()["complaints"] == 2
    await whole(house)
    await relinking.relink(house, actor="test")
    assert await homes(house) == after


async def test_a_split_binds_every_later_run(client: Client) -> None:
    house = client.house
    one = await file(house, 0, ZHANG)
    for number in (1, 2, 3):
        assert await file(house, number, ZHANG) == one
    records = [r["record_id"] for r in (await client.get("analyst", f"/v1/complainants/{one}")).json()["records"]]
    answer = await client.post("analyst", f"/v1/complainants/{one}/split", {"records": records[2:], "reason": "父子同名同号"})
    assert answer.status_code == 200, answer.text
    opened = uuid.UUID(answer.json()["complainant_id"])
    assert sorted(Counter((await homes(house)).values()).items(), key=str) == sorted([(one, 2), (opened, 2)], key=str)
    await whole(house)
    await relinking.relink(house, actor="test")
    assert Counter((await homes(house)).values()) == {one: 2, opened: 2}
    assert await file(house, 4, ZHANG) in (one, opened)  # a new complaint joins one of the two and does not merge them
    assert len(set((await homes(house)).values())) == 2
    # The later word counts: joined again by a person, they stay joined.
    again = await client.post("analyst", f"/v1/complainants/{one}/merge", {"others": [str(opened)], "reason": "确为一人"})
    assert again.status_code == 200
    await relinking.relink(house, actor="test")
    assert set((await homes(house)).values()) == {one}
    await whole(house)


async def test_a_pinned_complainant_is_not_merged_away(client: Client) -> None:
    house = client.house
    one = await file(house, 0, {"name": "张小明", "phone": "13987650123"})
    other = await file(house, 1, {"name": "张小明", "id_no": "420106199003077213"})
    for path, status in (("pin", 200), ("pin", 409)):
        answer = await client.post("analyst", f"/v1/complainants/{other}/{path}", {"reason": "已核实"})
        assert answer.status_code == status
    await file(house, 2, {"name": "张小明", "phone": "13987650123", "id_no": "420106199003077213"})
    await relinking.relink(house, actor="test")
    assert set((await homes(house)).values()) == {one, other} or other in set((await homes(house)).values())
    assert (await client.get("analyst", f"/v1/complainants/{other}")).json()["pinned_by"] == "analyst"
    assert (await client.post("analyst", f"/v1/complainants/{other}/unpin", {"reason": "不必"})).status_code == 200
    await whole(house)


async def test_who_may_correct_and_what_is_refused(client: Client) -> None:
    one, other = await file(client.house, 0, ZHANG), await file(client.house, 1, LI)
    path, body = f"/v1/complainants/{one}/merge", {"others": [str(other)], "reason": "同一人"}
    for who, status in (("portal", 403), ("mediator", 403), ("robot", 403), ("analyst", 200)):
        assert (await client.post(who, path, body)).status_code == status
    assert (await client.post("analyst", path, body)).status_code == 409  # merged already
    split = f"/v1/complainants/{one}/split"
    for wrong in ({"others": [str(one)]}, {"others": []}, {"others": [str(uuid.uuid4())], "reason": ""}):
        assert (await client.post("analyst", path, {"reason": "同一人", **wrong})).status_code == 422
    assert (await client.post("analyst", path, {"others": [str(uuid.uuid4())], "reason": "同一人"})).status_code == 404
    answer = await client.post("analyst", split, {"records": [str(uuid.uuid4())], "reason": "不同"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "records")
    assert (await client.post("analyst", f"/v1/link-runs/{uuid.uuid4()}/undo", {"reason": "试"})).status_code == 404
    async with client.house.database.connection() as connection:
        acts = await connection.fetch("SELECT actor, act FROM audit_entry WHERE act = 'merge'")
    assert {(a["actor"], a["act"]) for a in acts} == {("analyst", "merge")}


# -- relink


async def planted(house: House, count: int = 150) -> None:
    columns = people(count, 3)
    names = [n for n in PERSON_FIELDS if n in columns and n not in ("device", "openid")]
    for number, row in enumerate(zip(*(columns[n] for n in names), strict=True)):
        who = {n: v for n, v in zip(names, row, strict=True) if v}
        await file(house, number, {**who, **({"phone": who["phone"][:60]} if "phone" in who else {})})


async def test_a_relink_moves_what_it_must_keeps_ids_and_is_undone_as_a_whole(house: House) -> None:
    await planted(house)
    before = await homes(house)
    steady = await relinking.relink(house, actor="test")
    assert sum(before[r] == h for r, h in (await homes(house)).items()) >= 0.98 * len(before)
    await whole(house)
    # Two clusters torn apart by hand, as a fault would: the relink heals them under the old ids.
    right = await homes(house)
    biggest = [h for h, n in Counter(right.values()).most_common(2) if n > 1]
    async with house.database.transaction() as connection:
        run = await runs.open_run(connection, "relink", "fault")
        torn = {r: uuid.uuid4() for r, h in right.items() if h in biggest}
        await complainants.regroup(connection, run, torn, origin="auto", actor="fault", evidence={})
    healed = await relinking.relink(house, actor="test")
    now = await homes(house)
    assert len(set(now.values())) == len(set(right.values()))
    assert all(now[r] == h for r, h in right.items() if h not in biggest)
    async with house.database.connection() as connection:
        known = {r["id"] for r in await connection.fetch("SELECT id FROM complainant")}
        lost = await connection.fetchval("SELECT count(*) FROM complainant WHERE records = 0 AND merged_into IS NULL")
    assert set(right.values()) <= known
    assert lost == 0
    await whole(house)
    async with house.database.transaction() as connection:
        undone = await complainants.undo(connection, healed["run_id"], actor="test")
    assert undone["left"] == 0
    assert {r: h for r, h in (await homes(house)).items() if r in torn} == torn
    await whole(house)
    async with house.database.transaction() as connection:
        with pytest.raises(Conflict):
            await complainants.undo(connection, healed["run_id"], actor="test")
    assert steady["run_id"] != healed["run_id"]


async def test_records_moved_meanwhile_are_left_to_the_next_relink(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = await file(house, 0, ZHANG), await file(house, 1, LI)
    records = await homes(house)
    snapshot = await relinking.read_store(house)

    async def stale(_house: House) -> relinking.Snapshot:
        return snapshot

    async with house.database.transaction() as connection:
        run = await runs.open_run(connection, "merge", "person")
        await complainants.regroup(connection, run, dict.fromkeys(records, one), origin="person", actor="person", evidence={})
    monkeypatch.setattr(relinking, "read_store", stale)
    monkeypatch.setattr(relinking.batch, "link", lambda *_a, **_k: __import__("numpy").zeros(2, dtype=int))
    done = await relinking.relink(house, actor="test")
    assert (done["moved"], done["skipped"]) == (0, 1)
    assert set((await homes(house)).values()) == {one} != {other}


# -- new tokens


async def test_tokens_are_made_anew_beside_the_old_and_a_killed_run_goes_on(
    house: House, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [await file(house, n, who) for n, who in enumerate((ZHANG, LI, ZHANG, {"name": "王桂芳", "phone": "13712340002"}))]
    database = Database(url, pool_size=4)
    try:
        turned = await House.open(
            settings(TRIAGE_DATA=tmp_path), database, Vault(Keys(2, b"another-token-key-of-32-bytes...", KEYS.encryption_key))
        )
        stranger = await file(turned, 4, ZHANG)
        assert stranger != known[0]  # under the new key nobody knows him yet
        monkeypatch.setattr(relinking, "_LETTERS", 2)

        class Killed(Exception):
            pass

        def kill(_stage: str, _done: int, _total: int) -> None:
            raise Killed

        with pytest.raises(Killed):
            await relinking.retokenise(turned, progress=kill)
        assert await relinking.retokenise(turned) == 2
        assert await relinking.retokenise(turned) == 0
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM complainant_record WHERE key_id <> 2") == 0
        await whole(turned)  # nothing of the old tokens is left
        assert await file(turned, 5, ZHANG) == known[0]  # and the two were seen to be one
        assert {*(await homes(turned)).values()} >= {known[1], known[3]}
        await relinking.relink(turned, actor="test")
        assert len(set((await homes(turned)).values())) == 3
        assert known[0] in (await homes(turned)).values()
    finally:
        await database.close()


# -- many at once


async def test_bridges_under_load_lose_no_record(house: House) -> None:
    """Each person is filed by phone, by number and by both at once, many times over and all at the same time."""
    bodies = []
    for person in range(12):
        name = f"赵{chr(0x4E00 + 37 * person)}{chr(0x5100 + 41 * person)}"
        phone, wechat = f"139{person + 11:04d}{(person * 7919) % 10000:04d}", f"zhao_{person:03d}xx"
        for n, who in enumerate(
            ({"phone": phone}, {"wechat": wechat}, {"phone": phone, "wechat": wechat}, {"phone": phone}, {"wechat": wechat})
        ):
            bodies.append(complaint(f"b{person}-{n}", TEXTS[n], complainant={"name": name, **who}))
    await asyncio.gather(*(receive_and_triage(house, "t", Complaint.model_validate(b)) for b in bodies))
    while await worker.step(house):
        pass
    await whole(house)
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM complainant_record") == len(bodies)
        found = await connection.fetch(
            "SELECT split_part(l.external_id, '-', 1) AS person, count(DISTINCT m.complainant_id) AS n FROM complainant_membership m "
            "JOIN complainant_record r ON r.id = m.record_id JOIN letter l ON l.id = r.letter_id WHERE m.valid_to IS NULL GROUP BY 1"
        )
    assert [r["n"] for r in found] == [1] * 12


# -- what a thief of the database learns


def test_ranking_stored_tokens_against_public_frequencies_reveals_nothing() -> None:
    """Tokens of a dump ranked by frequency, guessed to be the public's values in the order of theirs: at most one point better than
    always guessing the commonest value, field by field; also within one district."""
    tokeniser = Tokeniser(Vault(KEYS).mac)
    names = [
        n
        for n in PERSON_FIELDS
        if n not in ("account", "device", "openid", "birth_date", "birth_place", "postcode", "occupation", "gender")
    ]

    def rows(seed: int) -> list[dict[str, Any]]:
        columns = people(25_000, seed)
        return [dict(zip(names, r, strict=True)) for r in zip(*(columns[n] for n in names), strict=True)]

    dump, public = rows(41), rows(42)
    common = Counter(r["district"] for r in dump if r["district"]).most_common(1)[0][0]
    for chosen in (lambda _r: True, lambda r: r["district"] == common):
        stored: dict[Any, Counter[int]] = {}
        known: dict[Any, Counter[str]] = {}
        meaning: dict[int, str] = {}
        for r in filter(chosen, dump):
            for field, value in set(features(r)):
                token = tokeniser.token(field, value)
                stored.setdefault(field, Counter())[token] += 1
                meaning[token] = value
        for r in filter(chosen, public):
            for field, value in set(features(r)):
                known.setdefault(field, Counter())[value] += 1
        assert len(stored) > 10
        for field, tokens in stored.items():
            assert all(field_of(t) == field for t in tokens)
            ranked = zip(
                (t for t, _ in tokens.most_common()), (v for v, _ in known.get(field, Counter()).most_common()), strict=False
            )
            guessed = sum(tokens[t] for t, v in ranked if meaning[t] == v)
            commonest = max(tokens.values())
            assert (guessed - commonest) / sum(tokens.values()) <= 0.01, field
