"""Near-identical letters: what signatures promise, and the 2x2 of text and target on the real database."""

import base64
import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from app import crowds, wording, worker
from app.identity import new_id
from app.intake import Complaint
from app.privacy import Keys, Vault
from app.triage import House, receive_and_triage
from app.wording import Said, judge
from ml.text import Signer, bands, shared_wording
from tests.conftest import KEYS, Client, complaint

LETTER = (
    "本人于近日在该店购买了标注为纯手工制作的糕点礼盒，收到后发现外包装没有生产日期、保质期和配料表，内有异味且个别已经发霉，"
    "与宣传页面严重不符。联系店员，对方先说属于正常现象，后来干脆不再回复。该行为侵害了消费者的知情权，要求退还货款并向我道歉。"
)
OTHER = (
    "小区门口的健身房上个月突然贴出停业告示，年卡还剩十个月没有用完，前台说要等总部通知，打了几次热线都没人接。"
    "教练也都走了，私教课一节都没有上。希望能帮忙要回剩下的钱，或者转到附近别的分店继续使用。"
)
OWN_WORDS = [
    "昨天中午订的礼盒打开就有一股霉味，糕点底下长了绿毛，包装上哪天做的也没写，店里的人推来推去不肯退钱。",
    "给老人过寿买的手工糕点，外盒翻遍了找不到保质期，老人吃了两块说味道不对，拿去店里换，店员说已经拆封不给换。",
    "广告上写纯手工，拿到手一看是工厂货，没有配料表，我对坚果过敏根本不敢给小孩吃，商家电话打不通。",
    "朋友送的点心拆开三盒有一盒是坏的，找到店里理论，老板说天气热很正常，爱去哪告去哪告，太气人了。",
]
MERCHANTS = ["武汉市武昌区香满楼食品有限公司", "武汉市江岸区玉兰斋糕点店", "武汉市洪山区福临门贸易有限公司"]
SIGNER = Signer(Vault(KEYS).mac)


def share(one: str, other: str) -> float:
    return shared_wording(SIGNER.sign(one), SIGNER.sign(other))


# -- signatures


def test_a_signature_is_the_keys_own() -> None:
    assert SIGNER.sign(LETTER) == Signer(Vault(KEYS).mac).sign(LETTER)
    others = Signer(Vault(Keys(1, b"another-token-key-of-32-bytes...", KEYS.encryption_key)).mac).sign(LETTER)
    assert not set(SIGNER.sign(LETTER)) & set(others)
    assert shared_wording(SIGNER.sign(LETTER), others) == 0
    assert not set(bands(SIGNER.sign(LETTER))) & set(bands(others))


@pytest.mark.parametrize(
    "edited",
    [
        LETTER,
        LETTER.replace("糕点", "点心"),
        "领导您好，" + LETTER + "盼复。",
        LETTER.replace("近日", "2026年11月3日") + "共计花费1280元。",
        LETTER.replace("，", " ").replace("。", "\n"),
        LETTER.replace("后来干脆", "之后就"),
    ],
)
def test_a_small_edit_is_the_same_letter(edited: str) -> None:
    assert share(LETTER, edited) >= wording.ALIKE
    assert set(bands(SIGNER.sign(LETTER))) & set(bands(SIGNER.sign(edited)))


def test_other_words_are_another_letter() -> None:
    texts = [LETTER, OTHER, *OWN_WORDS]
    assert max(share(a, b) for n, a in enumerate(texts) for b in texts[n + 1 :]) < 0.3


def test_the_share_follows_the_pieces_that_both_have() -> None:
    chosen = random.Random(4)
    whole = "".join(chr(chosen.randrange(0x4E00, 0x9FA5)) for _ in range(2000))
    found = [share(whole[: 2000 - cut], whole[cut:]) for cut in (0, 100, 400, 1000, 1990)]
    assert found[0] == 1
    assert found[1] >= 0.7
    assert found[-1] == 0


@pytest.mark.parametrize(
    "text", ["", "退钱！", "😀" * 500, "？！…" * 300, "1234567890" * 90, "好" * 5000, "\ud800\x00\u202e" * 90, "要求退款" * 400]
)
def test_what_says_too_little_has_no_signature(text: str) -> None:
    assert SIGNER.sign(text) == ()
    assert bands(()) == []
    assert share(text, text) == 0


def test_any_text_has_a_signature_that_fits_its_columns() -> None:
    chosen = random.Random(7)
    long = "".join(chr(chosen.randrange(0x4E00, 0x9FA5)) for _ in range(100_000))
    encoded = base64.b64encode(chosen.randbytes(50_000)).decode()
    started = time.perf_counter()
    for text in (long, encoded, LETTER * 500, "𠮷" * 40 + LETTER, LETTER + "\ud800"):
        signature = SIGNER.sign(text)
        assert len(signature) == 15
        assert len(bands(signature)) == 5
        assert all(-(1 << 63) <= n < 1 << 63 for n in (*signature, *bands(signature)))
    assert time.perf_counter() - started < 2


# -- the judgement


def said(number: int, *, merchant: int | None = None, incident: int | None = None, **more: Any) -> Said:
    def uid(kind: int, n: int | None) -> uuid.UUID | None:
        return uuid.UUID(int=kind * 1000 + n) if n is not None else None

    values: dict[str, Any] = {
        "people": frozenset([uuid.UUID(int=9000 + number)]), "order": None, "amount_fen": None, "phones": frozenset(), "devices": frozenset(),
        "shares_identity": False,
    }  # fmt: skip
    return Said(uuid.UUID(int=number), merchant_id=uid(1, merchant), incident_id=uid(2, incident), **{**values, **more})


def code(own: Said, *others: Said) -> str | None:
    found = judge(own, [(o, 0.9) for o in others])
    return found[0] if found else None


def test_the_quadrant_is_the_targets() -> None:
    assert code(said(1, merchant=1), said(2, merchant=1), said(3, merchant=1)) == "R8"
    assert code(said(1, merchant=1, incident=5), said(2, incident=5), said(3, merchant=2, incident=5)) == "R8"
    assert code(said(1, merchant=1), said(2, merchant=2)) is None  # two may share a template
    assert code(said(1, merchant=1), said(2, merchant=2), said(3, merchant=3)) == "serial_wording"
    assert code(said(1, merchant=1), said(2, merchant=1), said(3, merchant=2)) == "serial_wording"
    assert code(said(1, merchant=1), said(2, merchant=1)) is None
    # Nobody knows whether who names no merchant means another.
    assert code(said(1, incident=1), said(2, incident=2), said(3, incident=3)) is None
    assert code(said(1, merchant=1), said(2, incident=2), said(3, incident=3)) is None


def test_a_persons_own_copies_and_letters_without_a_name_are_nobody_else() -> None:
    me = frozenset([uuid.UUID(int=1)])
    assert code(said(1, merchant=1, people=me), *(said(n, merchant=n % 3, people=me) for n in range(2, 9))) is None
    assert code(said(1, merchant=1, people=frozenset()), said(2, merchant=1), said(3, merchant=1)) is None
    assert code(said(1, merchant=1), *(said(n, merchant=1, people=frozenset()) for n in range(2, 9))) is None


def test_the_evidence_says_what_tips_it() -> None:
    others = [said(n, merchant=1, incident=1, order=n, amount_fen=100, phones=frozenset([n % 5])) for n in range(2, 20)]
    found = judge(
        said(1, merchant=1, incident=1, order=2, shares_identity=True), [*((o, 0.8) for o in others), (said(30, merchant=4), 0.9)]
    )
    assert found is not None
    evidence = found[1]
    assert evidence["alike"] == [str(o.matter_id) for o in others[:10]]
    assert (evidence["people"], evidence["shared"], evidence["more"]) == (19, 0.8, False)
    assert evidence["incident_id"] == str(uuid.UUID(int=2001))
    assert evidence["distinguishing"] == {
        "matters": 19, "orders": 19, "distinct_orders": 18, "amounts": 18, "distinct_amounts": 1, "phones": 5, "devices": 0,
        "shared_identity": 1,
    }  # fmt: skip
    assert evidence["elsewhere"] == {"people": 1, "merchants": 1}


# -- on the database


def person(number: int) -> dict[str, str]:
    return {"name": f"{'赵钱孙李周吴郑王'[number % 8]}{chr(0x4E00 + 97 * number)}{chr(0x5A00 + 89 * number)}", "phone": f"139{number:04d}{7919 * number % 10000:04d}"}  # fmt: skip


async def file(house: House, text: str, who: int, merchant: int, **more: Any) -> uuid.UUID:
    """Gives the matter."""
    body = complaint(str(uuid.uuid4()), text, complainant=person(who), respondents=[{"name": MERCHANTS[merchant]}], **more)
    _, outcome = await receive_and_triage(house, "test", Complaint.model_validate(body))
    assert outcome is not None
    return outcome.matters[0].id


async def compare(house: House) -> int:
    async with house.database.transaction() as connection:
        return await wording.compare_waiting(connection)


async def findings(house: House) -> list[dict[str, Any]]:
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM finding WHERE code IN ('R8', 'serial_wording') ORDER BY matter_id")
    return [{**dict(r), "evidence": r["evidence"]} for r in rows]


async def test_one_letter_of_four_people_about_one_merchant_is_undetermined(house: House) -> None:
    matters = [
        await file(
            house, LETTER.replace("糕点", "点心") if n % 2 else LETTER, n, 0, order_no=f"D2026{n:06d}", amount_fen=12800 + n
        )
        for n in range(1, 5)
    ]
    assert await compare(house) == 4
    assert await compare(house) == 0
    found = await findings(house)
    assert [(f["matter_id"], f["code"]) for f in found] == [(matters[2], "R8"), (matters[3], "R8")]
    first, last = (f["evidence"] for f in found)
    assert first["alike"] == [str(matters[1]), str(matters[0])]
    assert (first["quadrant"], first["people"], last["people"]) == ("undetermined", 3, 4)
    assert last["shared"] >= wording.ALIKE
    assert last["distinguishing"] == {
        "matters": 4, "orders": 4, "distinct_orders": 4, "amounts": 4, "distinct_amounts": 4, "phones": 4, "devices": 0,
        "shared_identity": 0,
    }  # fmt: skip
    # The finding takes nobody out of the incident.
    await worker.fold(house)
    async with house.database.connection() as connection:
        incident = uuid.UUID(last["incident_id"])
        assert (await crowds.situation(connection, incident)).people == 4
        assert await connection.fetchval("SELECT people_complaints FROM incident WHERE id = $1", incident) == 4
        assert await connection.fetchval("SELECT count(*) FROM incident_membership WHERE valid_to IS NULL") == 4
        assert await connection.fetchval("SELECT count(*) FROM matter WHERE NOT compared") == 0


async def test_one_letter_of_three_people_about_three_merchants_is_serial(house: House) -> None:
    matters = []
    for n in range(3):
        matters.append(await file(house, LETTER, n + 1, n))
        await worker.step(house)  # one at a time: earlier letters are in the store
    found = await findings(house)
    assert [(f["matter_id"], f["code"]) for f in found] == [(matters[2], "serial_wording")]
    assert found[0]["evidence"] == {
        "quadrant": "serial", "alike": [str(matters[1]), str(matters[0])], "people": 3, "shared": 1.0, "more": False, "merchants": 3,
    }  # fmt: skip


async def test_own_words_and_own_copies_are_no_finding(house: House) -> None:
    for n, text in enumerate(OWN_WORDS, 1):
        await file(house, text, n, 0)
    for n in range(4):
        await file(house, LETTER, 50, n % 3)
    assert await compare(house) >= 4 + 3
    assert await findings(house) == []


async def test_merged_merchants_are_one_target(house: House) -> None:
    matters = [await file(house, LETTER, n + 1, n) for n in range(3)]
    async with house.database.transaction() as connection:
        ids = [await connection.fetchval("SELECT merchant_id FROM matter WHERE id = $1", m) for m in matters]
        assert len(set(ids)) == 3
        await connection.execute("UPDATE merchant SET merged_into = $2 WHERE id = $1", ids[0], ids[1])
        await connection.execute("UPDATE merchant SET merged_into = $2 WHERE id = $1", ids[1], ids[2])
    await compare(house)
    assert [f["code"] for f in await findings(house)] == ["R8"]


async def test_a_complaint_tells_of_no_report(house: House) -> None:
    """Each half of a letter that is both is compared with its own kind."""
    for n in range(1, 4):
        await file(house, LETTER + "另举报该店生产销售不符合食品安全标准的食品，请依法查处。", n, 0)
    assert await compare(house) == 6
    async with house.database.connection() as connection:
        lanes = dict(await connection.fetch("SELECT id::text, lane FROM matter"))
    found = await findings(house)
    assert sorted(lanes[str(f["matter_id"])] for f in found) == ["complaint", "report"]
    for f in found:
        assert {lanes[m] for m in f["evidence"]["alike"]} == {lanes[str(f["matter_id"])]}
        assert f["evidence"]["people"] == f["evidence"]["distinguishing"]["matters"] == 3


async def test_what_a_person_read_as_a_report_is_no_complaint(house: House) -> None:
    matters = [await file(house, LETTER, n, 0) for n in range(1, 4)]
    async with house.database.transaction() as connection:
        assert await wording.compare_waiting(connection, limit=2) == 2
        await connection.execute("UPDATE matter SET lane = 'report' WHERE id = $1", matters[0])
    await compare(house)
    assert await findings(house) == []


async def test_the_portal_never_sees_it(client: Client) -> None:
    for n in range(1, 5):
        body = complaint(f"w{n}", LETTER, complainant=person(n), respondents=[{"name": MERCHANTS[0]}])
        answer = await client.post("portal", "/v1/complaints", body)
        assert answer.status_code == 201
    letter = answer.json()["id"]
    before = (await client.get("portal", f"/v1/complaints/{letter}")).json()
    await compare(client.house)
    assert len(await findings(client.house)) == 2
    (matter,) = (await client.get("mediator", f"/v1/complaints/{letter}")).json()["matters"]
    assert [f["evidence"]["people"] for f in matter["findings"] if f["code"] == "R8"] == [4]
    shown = [await client.get("portal", path) for path in (f"/v1/complaints/{letter}", "/v1/complaints")]
    shown.append(await client.post("portal", "/v1/complaints", body))
    assert shown[0].json() == before
    for answer in shown:
        assert answer.status_code == 200
        assert not any(word in answer.text for word in ("R8", "finding", "undetermined", "alike", "wording", "people", "shared"))


_FILL = """
WITH given AS (
  SELECT letter, matter, record, person, signature, now() - n * interval '1 minute' AS at
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) WITH ORDINALITY AS g(letter, matter, record, person, signature, n)
), l AS (
  INSERT INTO letter (id, source, external_id, body_sha256, body_cipher, key_id, channel, received_at, event_at, history, state)
  SELECT letter, 'q', letter::text, '', '', 1, 'app', at, at, false, 'triaged' FROM given
), m AS (
  INSERT INTO matter (id, letter_id, sequence, lane, kind, kind_probability, source, channel, issues, demands, reading, terms, term_weights,
    place_tokens, district, received_at, event_at, history, state, authority, as_of, track, merchant_id, signature, compared)
  SELECT matter, letter, 1, 'complaint', 'complaint', 1, 'q', 'app', '{}', '{}', '{}', '{}', '{}', '{}', '42', at, at, false,
    'pending_acceptance', 'bureau', at, 't2', $6, signature::bigint[], false FROM given
), c AS (
  INSERT INTO complainant (id, tokens, records) SELECT person, '{}'::bigint[], 1 FROM given
), r AS (
  INSERT INTO complainant_record (id, letter_id, role, tokens, token_version, key_id) SELECT record, letter, 'filer', '{}', 1, 1 FROM given
), h AS (
  INSERT INTO complainant_membership (id, record_id, complainant_id, origin, actor, evidence)
  SELECT gen_random_uuid(), record, person, 'auto', 'test', '{}' FROM given
)
INSERT INTO party (matter_id, record_id, role) SELECT matter, record, 'filer' FROM given
"""


async def fill(house: House, signatures: Sequence[tuple[int, ...]]) -> None:
    """Complaints about one merchant as triage leaves them, as far as wording goes, each of another person."""
    ids = [[new_id() for _ in signatures] for _ in range(4)]
    merchant = new_id()
    async with house.database.transaction() as connection:
        await connection.execute("INSERT INTO merchant (id, name, core, registered) VALUES ($1, '商行', '商行', 0)", merchant)
        literals = ["{" + ",".join(map(str, s)) + "}" for s in signatures]
        await connection.execute(_FILL, *ids, literals, merchant)


async def test_3000_copies_among_1000_strangers_stay_cheap(house: House) -> None:
    chosen = random.Random(11)
    strangers = [SIGNER.sign("".join(chr(chosen.randrange(0x4E00, 0x9FA5)) for _ in range(200))) for _ in range(1000)]
    await fill(house, [SIGNER.sign(LETTER)] * 3000)
    await fill(house, strangers)
    started = time.perf_counter()
    taken = 0
    while (batch := await compare(house)) > 0:
        taken += batch
    seconds = time.perf_counter() - started
    assert taken == 4000
    assert taken / seconds >= 300, f"{taken / seconds:.0f} matters/s"
    found = await findings(house)
    assert Counter(f["code"] for f in found) == {"R8": 2998}
    assert found[-1]["evidence"]["more"]
    assert found[-1]["evidence"]["people"] == 21
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM signature_key") == 4000 * 5


async def test_two_workers_never_miss_a_pair(house: House) -> None:
    await fill(house, [SIGNER.sign(LETTER)] * 3)
    async with house.database.transaction() as one:
        assert await wording.compare_waiting(one, limit=2) == 2
        async with house.database.transaction() as other:
            assert await wording.compare_waiting(other) == 0
    assert await compare(house) == 1
    assert len(await findings(house)) == 1
