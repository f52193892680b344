"""Settled cases like a matter: the order of planted ones, filters, figures against a count by hand, who may see what, and ends far outside."""

import itertools
import math
import statistics
import struct
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import acts, importing, intake, settling, similar, work
from app.errors import Invalid, NotFound
from app.identity import Principal, new_id
from app.intake import Complaint, Letter
from app.similar import Case, Probe, Wanted
from app.triage import House
from tests.conftest import Client
from tests.test_reconciling import day, export

LANES = ("complaint", "other")
ME = Principal("李明", True, frozenset({"mediator"}), ("42",), (), ())
NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
FOOD = {
    "goods": "食品",
    "problem": "食品安全",
    "issues": ["异物"],
    "demands": ["退赔费用", "赔偿损失"],
    "terms": [1, 2, 3],
    "term_weights": [4, 2, 1],
}
CARD = {
    "goods": "健身",
    "problem": "合同",
    "issues": ["预付卡跑路"],
    "demands": ["退赔费用"],
    "terms": [7, 8],
    "term_weights": [1, 1],
}
_numbers = itertools.count(1)


async def merchant(house: House, name: str = "江城味火锅") -> uuid.UUID:
    async with house.database.connection() as connection:
        made: uuid.UUID = await connection.fetchval(
            "INSERT INTO merchant (id, name, core, registered) VALUES ($1, $2, $2, 0) RETURNING id", new_id(), name
        )
    return made


async def put(house: House, **values: Any) -> uuid.UUID:
    """A settled matter, closed a minute after the one before; values: its columns, `outcome` None for an open one."""
    number = next(_numbers)
    closed_at = values.pop("closed_at", NOW + timedelta(minutes=number))
    letter = Letter.make("p1", Complaint(external_id=f"s{number}", text="吃出蟑螂，要求退款。"), now=closed_at, history=False)
    row = {
        "id": new_id(), "sequence": 1, "lane": "complaint", "kind": "complaint", "kind_probability": 1, "source": "p1", "channel": "app",
        "district": "420106", **FOOD, "amount_fen": 10_000, "reading": {}, "place_tokens": [], "name_tokens": [], "signature": [], "city": "", "quarter": "",
        "compared": True, "urged": 0, "supervised": 0, "received_at": closed_at - timedelta(days=5), "event_at": closed_at, "history": False, "state": "agreed",
        "authority": "bureau", "as_of": closed_at, "track": "t1", "outcome": "agreement", "recovered_fen": 5_000, "satisfied": True, "closed_at": closed_at, **values,
    }  # fmt: skip
    row["letter_id"] = letter.id
    if row["outcome"] is None:
        row |= {"state": "accepted", "closed_at": None, "recovered_fen": None, "satisfied": None, **values}
    async with house.database.transaction() as connection:
        await intake.receive(connection, house.vault, [letter], triage_after_seconds=3600)
        await connection.execute(
            "INSERT INTO matter SELECT * FROM jsonb_populate_record(NULL::matter, $1::jsonb)", similar.to_json(row)
        )
    return uuid.UUID(str(row["id"]))


async def ask(
    house: House, matter_id: uuid.UUID, who: Principal = ME, *, limit: int = 50, same: bool = False, **wanted: Any
) -> dict[str, Any]:
    async with house.database.connection() as connection:
        return await similar.of_matter(connection, matter_id, Wanted(**wanted), who, lanes=LANES, same_merchant=same, limit=limit)


def ids(found: Mapping[str, Any]) -> list[uuid.UUID]:
    return [i["matter_id"] for i in found["items"]]


async def test_the_nearer_the_dispute_the_higher(house: House) -> None:
    mine, other = await merchant(house), await merchant(house, "老地方烧烤")
    asked = await put(house, merchant_id=mine, product_token=5, outcome=None)
    elsewhere_unlike_words = await put(house, merchant_id=other, issues=["变质"], demands=["道歉"], terms=[9], term_weights=[1])
    elsewhere = await put(house, merchant_id=other)
    same_product = await put(house, merchant_id=other, product_token=5)
    here_other_problem = await put(house, merchant_id=mine, **{**CARD, "goods": "食品"})
    here = await put(house, merchant_id=mine)
    here_older = await put(house, merchant_id=mine, closed_at=NOW - timedelta(days=300))
    everything = await put(house, merchant_id=mine, product_token=5)
    await put(house, merchant_id=other, **CARD)  # unlike
    await put(house, merchant_id=mine, outcome=None)  # not settled
    await put(house, merchant_id=mine, copy_of=here)
    await put(house, merchant_id=mine, lane="report", outcome="verified")
    found = await ask(house, asked)
    got = ids(found)
    assert got[:3] == [everything, here, here_older]
    assert got.index(same_product) < got.index(elsewhere) < got.index(elsewhere_unlike_words)
    assert set(got[3:]) == {same_product, elsewhere, elsewhere_unlike_words, here_other_problem}
    best = {e["field"]: e for e in found["items"][0]["evidence"]}
    assert set(best) == set(similar.BITS)
    assert best["terms"]["cosine"] == 1
    assert best["issues"]["shared"] == ["异物"]
    assert found["items"][0]["score"] == pytest.approx(sum(similar.BITS.values()))
    assert (found["items"][0]["days"], found["items"][0]["ratio"], found["items"][0]["outcome_label"]) == (5, 0.5, "达成调解协议")


async def test_filters_bind_items_and_spread_alike(house: House) -> None:
    mine, other = await merchant(house), await merchant(house, "老地方烧烤")
    asked = await put(house, merchant_id=mine, outcome=None)
    here = await put(house, merchant_id=mine)
    there = await put(house, merchant_id=other)
    refused = await put(
        house, merchant_id=other, outcome="refused", recovered_fen=None, demands=["道歉"], closed_at=NOW - timedelta(days=400)
    )
    card = await put(house, merchant_id=mine, **CARD)
    for wanted, expected in (
        ({"same": True}, {here, card}), ({"same": True, "problem": "食品安全"}, {here}), ({"problem": "合同"}, {card}), ({"goods": "健身"}, {card}),
        ({"demand": "道歉"}, {refused}), ({"outcome": "refused"}, {refused}), ({"outcome": "withdrawn"}, set()),
        ({"closed_after": (NOW - timedelta(days=9)).date()}, {here, there, card}), ({}, {here, there, refused, card}),
    ):  # fmt: skip
        found = await ask(house, asked, **wanted)  # type: ignore[arg-type]
        assert (set(ids(found)), found["spread"]["n"]) == (expected, len(expected)), wanted
    assert len((await ask(house, asked, limit=1))["items"]) == 1
    unnamed = await put(house, outcome=None)
    assert ids(await ask(house, unnamed, same=True)) == []
    assert set(ids(await ask(house, unnamed))) == {here, there, refused}
    async with house.database.connection() as connection:
        for wanted, expected in (
            (Wanted(merchant_id=mine), [card, here]), (Wanted(problem="食品安全"), [refused, there, here]), (Wanted(goods="食品", outcome="refused"), [refused]),
            (Wanted(merchant_id=other, demand="道歉"), [refused]), (Wanted(merchant_id=new_id()), []),
        ):  # fmt: skip
            found = await similar.of_search(connection, wanted, ME, lane="complaint", lanes=LANES, limit=50)
            assert sorted(ids(found)) == sorted(expected), wanted
        with pytest.raises(Invalid):
            await similar.of_search(connection, Wanted(outcome="refused"), ME, lane="complaint", lanes=LANES, limit=50)
        await connection.execute("UPDATE merchant SET merged_into = $1 WHERE id = $2", mine, other)
        await connection.execute("UPDATE matter SET merchant_id = $1 WHERE merchant_id = $2", mine, other)
        found = await similar.of_search(connection, Wanted(merchant_id=other), ME, lane="complaint", lanes=LANES, limit=50)
        assert len(found["items"]) == 4


async def test_a_rare_end_is_found_behind_many_others(house: House) -> None:
    mine = await merchant(house)
    asked = await put(house, merchant_id=mine, outcome=None)
    rare = await put(house, merchant_id=mine, outcome="unreachable", closed_at=NOW - timedelta(days=900))
    async with house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO matter SELECT (jsonb_populate_record(NULL::matter, to_jsonb(m) || jsonb_build_object('id', gen_random_uuid(), 'sequence', 1 + n, "
            "'outcome', 'agreement', 'closed_at', now() - n * interval '1 min'))).* FROM matter m, generate_series(1, 400) n WHERE m.id = $1",
            rare,
        )  # fmt: skip
    assert ids(await ask(house, asked, outcome="unreachable")) == [rare]
    assert (await ask(house, asked))["spread"]["n"] == similar.MOST


async def test_the_spread_is_as_counted_by_hand(house: House) -> None:
    mine = await merchant(house)
    asked = await put(house, merchant_id=mine, outcome=None)
    ends: list[tuple[str, int | None, int | None, bool | None, int]] = [
        ("agreement", 10_000, 10_000, True, 2), ("agreement", 10_000, 5_000, True, 4), ("agreement", 20_000, 5_000, False, 10), ("agreement", None, 700, None, 6),
        ("agreement", 10_000, 8_000, True, 8), ("agreement", 10_000, 4_000, None, 20), ("agreement", 10_000, None, None, 30), ("no_agreement", 10_000, None, None, 60),
        ("refused", 10_000, None, None, 12), ("withdrawn", 10_000, None, None, 1),
    ]  # fmt: skip
    for outcome, amount, got, satisfied, days in ends:
        closed = NOW - timedelta(days=days)
        await put(
            house, merchant_id=mine, outcome=outcome, amount_fen=amount, recovered_fen=got, satisfied=satisfied, closed_at=closed,
            received_at=closed - timedelta(days=days),
        )  # fmt: skip
    spread = (await ask(house, asked))["spread"]
    assert [(o["outcome"], o["count"], o["share"]) for o in spread["outcomes"]] == [
        ("agreement", 7, 0.7), ("no_agreement", 1, 0.1), ("refused", 1, 0.1), ("withdrawn", 1, 0.1),
    ]  # fmt: skip
    assert spread["recovered"] == {"n": 8, "count": 6, "share": 0.75}
    # 0.25 0.4 0.5 0.8 1; 700 4000 5000 5000 8000 10000; 1 2 4 6 8 10 12 20 30 60
    assert spread["ratio"] == {"n": 5, "q1": 0.4, "median": 0.5, "q3": 0.8}
    assert spread["recovered_fen"] == {"n": 6, "q1": 4250, "median": 5000, "q3": 7250}
    assert spread["days"] == {"n": 10, "q1": 4.5, "median": 9, "q3": 18}
    assert spread["satisfied"] == {"n": 4, "count": 3, "share": None}
    few = (await ask(house, asked, outcome="refused"))["spread"]
    assert few["outcomes"] == [{"outcome": "refused", "label": "一方拒绝调解", "count": 1, "share": None}]
    assert few["days"] == {"n": 1, "q1": None, "median": None, "q3": None}


async def test_of_another_place_no_id_and_of_reports_nothing(client: Client) -> None:
    mine = await merchant(client.house)
    asked = await put(client.house, merchant_id=mine, district="420502", outcome=None)
    own = await put(client.house, merchant_id=mine, district="420503")
    wuhan = await put(client.house, merchant_id=mine, district="420106")
    clue = await put(client.house, merchant_id=mine, lane="report", outcome="verified", recovered_fen=None)
    report = await put(client.house, merchant_id=mine, district="420502", lane="report", outcome=None)
    seen = (await client.get("yichang", f"/v1/matters/{asked}/similar")).json()
    assert [(i["matter_id"], i["district"]) for i in seen["items"]] == [(None, None), (str(own), "420503")]
    assert seen["items"][0]["complaint_id"] is None
    assert seen["items"][0]["outcome"] == "agreement"
    assert str(wuhan) not in str(seen)
    assert str(wuhan) in str((await client.get("mediator", f"/v1/matters/{asked}/similar?merchant=same&limit=5")).json())
    # What the caller may not know of is not there (Art. 37).
    assert (await client.get("yichang", f"/v1/matters/{report}/similar")).status_code == 404
    assert (await client.get("yichang", f"/v1/matters/{wuhan}/similar")).status_code == 404
    assert (await client.get("portal", f"/v1/matters/{asked}/similar")).status_code == 403
    assert [i["matter_id"] for i in (await client.get("analyst", f"/v1/matters/{report}/similar")).json()["items"]] == [str(clue)]
    path = f"/v1/settled-cases?merchant_id={mine}"
    assert len((await client.get("mediator", path)).json()["items"]) == 2
    hidden = (await client.get("mediator", path + "&lane=report")).json()
    assert (hidden["items"], hidden["spread"]["n"]) == ([], 0)
    assert (await client.get("supervisor", path + "&lane=report")).json()["spread"]["n"] == 1
    assert (await client.get("mediator", "/v1/settled-cases?outcome=refused")).status_code == 422
    assert (await client.get("mediator", path + "&closed_after=0001-01-01")).status_code == 422


async def test_through_whom_it_was_settled(house: House) -> None:
    mine = await merchant(house)
    asked = await put(house, merchant_id=mine, outcome=None)
    said: list[tuple[str, list[tuple[str, dict[str, str] | None]]]] = [
        ("bureau", [("accept", None), ("finish", None)]), ("people_mediation", [("accept", None), ("agree", {"through": "people_mediation"})]),
        ("consumer_council", [("delegate", {"to": "consumer_council"}), ("finish", None)]), ("bureau", [("delegate", {"to": "station"}), ("mediate", None), ("finish", None)]),
        ("odr", [("settle", None), ("agree", {"partner": "odr"})]),
    ]  # fmt: skip
    expected = {}
    for through, history in said:
        matter = await put(house, merchant_id=mine)
        expected[matter] = through
        async with house.database.connection() as connection:
            for act, detail in history:
                await connection.execute(
                    "INSERT INTO state_change (matter_id, state, actor, authority, at, act, detail) VALUES ($1, 'agreed', 'x', 'bureau', now(), $2, $3)",
                    matter, act, detail and similar.to_json(detail),
                )  # fmt: skip
    expected[await put(house, merchant_id=mine, authority="platform")] = "platform"
    found = await ask(house, asked)
    assert {i["matter_id"]: i["through"] for i in found["items"]} == expected
    assert {i["through_label"] for i in found["items"]} >= {"人民调解委员会", "市场监督管理部门", "全国12315平台"}


async def test_history_counts_with_its_own_end(house: House, tmp_path: Any) -> None:
    """Days only where the platform says when it ended; without an outcome it is not settled."""
    rows = (
        {"登记编号": "H1", "办理情况状态": "已办结", "调解结果": "达成调解协议", "挽回经济损失(单位:元)": "88", "办结时间": "2026-07-09 10:00:00"},
        {"登记编号": "H2", "办理情况状态": "已办结"},
    )  # fmt: skip
    await importing.import_file(
        house, export(tmp_path / "old.csv", *rows), source="12315", mapping=None, as_history=True, received_on=None, actor="import",
        progress=lambda *_: None, as_of=day(20),
    )  # fmt: skip
    async with house.database.connection() as connection:
        kept = await connection.fetchrow(
            "SELECT m.* FROM matter m JOIN letter l ON l.id = m.letter_id WHERE l.external_id = 'H1'"
        )
        merchant_id = kept["merchant_id"]
        found = await similar.of_search(
            connection, Wanted(merchant_id=merchant_id), ME, lane=kept["lane"], lanes=("complaint", "report"), limit=9
        )
    assert [(i["recovered_fen"], i["days"], i["closed_on"].isoformat()) for i in found["items"]] == [(8800, 8, "2026-07-09")]


# -- an end far outside


async def settled(house: House, mine: uuid.UUID, ratios: Sequence[float | None]) -> None:
    """None: no agreement."""
    for ratio in ratios:
        ended = {"outcome": "no_agreement", "recovered_fen": None} if ratio is None else {"recovered_fen": round(10_000 * ratio)}
        await put(house, merchant_id=mine, **ended)


async def finish(
    house: House, mine: uuid.UUID, outcome: str, recovered_fen: int | None = None, **values: Any
) -> list[dict[str, Any]]:
    """Claims a new matter of the merchant and ends it; gives what was found."""
    matter = await put(house, merchant_id=mine, **{"outcome": None, "state": "accepted", **values})
    async with house.database.connection() as connection:
        item = {
            "matter_id": matter, "track": "t1", "district": "420106", "priority": 0, "due_at": None, "received_at": NOW,
        }  # fmt: skip
        await work.enqueue(connection, [item])
        (claimed,) = await work.claim(connection, "t1", ME, limit=1, lease_seconds=600)
    await settling.finish(
        house, claimed["id"], claimed["lease_token"], ME, outcome=outcome, note="双方意见不一致", recovered_fen=recovered_fen
    )
    async with house.database.connection() as connection:
        return await similar.unusual_end(connection, matter)


async def test_an_end_far_outside_is_found_in_both_directions_and_few_cases_say_nothing(house: House) -> None:
    generous = await merchant(house, "甲")
    await settled(house, generous, [0.4, 0.5, 0.5, 0.6, 0.6, 0.7, 0.5, 0.6, 0.5])
    assert await finish(house, generous, "no_agreement") == []  # nine are few
    await settled(house, generous, [0.6, 0.5, 0.5])
    (found,) = await finish(house, generous, "no_agreement")
    evidence = found["evidence"]
    assert (found["code"], evidence["kind"], evidence["recovered"]) == (
        "outcome_unusual",
        "nothing_recovered",
        {"n": 13, "count": 12, "share": 0.9231},
    )
    assert (
        evidence["text"]
        == "与本件相似的已结案件中，有挽回金额记录的13件里12件挽回了损失（92%），本件未挽回损失。仅供核对，不影响办理结果。"
    )
    assert len(evidence["matters"]) == 10
    assert await finish(house, generous, "agreement", 5_500) == []
    (low,) = await finish(house, generous, "agreement", 500)
    (high,) = await finish(house, generous, "agreement", 100_000)
    assert (low["evidence"]["kind"], high["evidence"]["kind"]) == ("ratio_low", "ratio_high")
    assert low["evidence"]["ratio"] == 0.05
    assert await finish(house, generous, "agreement") == []  # how much nobody said
    miser = await merchant(house, "乙")
    await settled(house, miser, [None] * 10)
    async with house.database.connection() as connection:  # others of the class say something else
        await connection.execute(
            "UPDATE matter SET goods = '其他商品', problem = '其他', issues = '{}', demands = '{}' WHERE merchant_id = $1", miser
        )
    (rare,) = await finish(house, miser, "agreement", 9_000, goods="其他商品", problem="其他", issues=[], demands=[])
    assert rare["evidence"]["kind"] == "recovered_where_few"
    assert await finish(house, miser, "no_agreement", goods="其他商品", problem="其他", issues=[], demands=[]) == []


async def test_the_mediator_is_told_and_the_matter_keeps_it(client: Client) -> None:
    mine = await merchant(client.house)
    await settled(client.house, mine, [0.5] * 10)
    elsewhere = await put(client.house, merchant_id=mine, district="420502")
    matter = await put(client.house, merchant_id=mine, outcome=None)
    async with client.house.database.connection() as connection:
        item = {
            "matter_id": matter,
            "track": "t1",
            "district": "420106",
            "priority": 0,
            "due_at": None,
            "received_at": NOW,
        }
        await work.enqueue(connection, [item])
    (claimed,) = (await client.post("mediator", "/v1/queues/t1/claim")).json()["items"]
    ended = await client.post(
        "mediator",
        f"/v1/work-items/{claimed['id']}/finish",
        {"lease_token": claimed["lease_token"], "outcome": "no_agreement", "note": "双方各执一词"},
    )
    assert ended.status_code == 200
    (told,) = ended.json()["findings"]
    assert "11件挽回了损失" in told["evidence"]["text"]
    assert str(elsewhere) not in str(told)
    async with client.house.database.connection() as connection:
        kept = await connection.fetch("SELECT code FROM finding WHERE matter_id = $1", matter)
        assert [r["code"] for r in kept] == ["outcome_unusual"]
        # Opened again, the old end's finding is history; the new end is told by itself.
        await connection.execute("UPDATE matter SET closed_at = now() WHERE id = $1", matter)
        assert await similar.unusual_end(connection, matter) == []


# -- bits


_some = st.lists(st.sampled_from("甲乙丙丁"), max_size=3, unique=True)
_row = st.fixed_dictionaries({
    "merchant_id": st.none() | st.integers(0, 1), "goods": st.none() | st.sampled_from("甲乙"), "product_token": st.none() | st.integers(0, 1),
    "problem": st.none() | st.sampled_from("甲乙"), "issues": _some, "demands": _some,
})  # fmt: skip
_terms = st.dictionaries(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9), st.floats(0.125, 16, width=32), max_size=8)


def sent(values: Sequence[float], kind: str) -> bytes:
    """As the database sends an array."""
    if not values:
        return bytes(12)
    return bytes(20) + b"".join(struct.pack(">i" + kind, struct.calcsize(kind), v) for v in values)


@settings(max_examples=200, deadline=None)
@given(_row, _row, _terms, _terms)
def test_the_bits_of_the_evidence_are_the_score(
    row: dict[str, Any], asked: dict[str, Any], mine: dict[int, float], theirs: dict[int, float]
) -> None:
    probe = Probe(
        "complaint", asked["merchant_id"], asked["product_token"], asked["goods"], asked["problem"], tuple(asked["issues"]), tuple(asked["demands"]), mine
    )  # fmt: skip
    read = [{"terms": sent(list(t), "q"), "weights": sent(list(t.values()), "f")} for t in (theirs, mine, {})]
    words = similar._words(mine, read)
    case = Case.of(row, similar._agreed(probe, row) + words[0])
    assert case.score == pytest.approx(sum(e["bits"] for e in case.evidence), abs=1e-9)
    assert all(0 < e["bits"] <= similar.BITS[e["field"]] for e in case.evidence)
    assert len({e["field"] for e in case.evidence}) == len(case.evidence)
    for name, column in (("merchant", "merchant_id"), ("goods", "goods"), ("product", "product_token"), ("problem", "problem")):
        assert any(e["field"] == name for e in case.evidence) == (asked[column] is not None and asked[column] == row[column])
    norms = math.sqrt(sum(w * w for w in mine.values()) * sum(w * w for w in theirs.values()))
    cosine = sum(w * theirs.get(t, 0) for t, w in mine.items()) / norms if norms else 0
    assert (words[0][0]["cosine"] if words[0] else 0) == pytest.approx(cosine, abs=2e-3)
    assert words[2] == []
    assert bool(words[1]) == bool(mine)
    assert not mine or words[1][0]["cosine"] == 1


def test_quartiles_agree_with_the_library_and_few_have_none() -> None:
    assert similar._quartiles([1, 2, 3, 4], 1) == {"n": 4, "q1": None, "median": None, "q3": None}
    values = [3.5, 1, 9, 4, 4, 8]
    assert list(similar._quartiles(values, 4).values())[1:] == statistics.quantiles(values, n=4, method="inclusive")


def test_every_end_has_a_name() -> None:
    for outcome in (*settling.OUTCOMES, "terminated", "not_accepted"):
        assert similar.outcome_label(outcome) != outcome
    assert set(acts.BODIES) <= {c for c in acts.BODIES if similar._through_label(c) != c}


async def test_a_matter_that_is_nobodys(house: House) -> None:
    with pytest.raises(NotFound):
        await ask(house, new_id())
