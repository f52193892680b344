"""The policy is total and deterministic, only a failed gate falls back, and a bad table is refused cell by cell."""

import copy
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import codes, policy
from app.errors import Invalid, Unavailable
from app.policy import TRACK_LABELS, Facts

CONTENT: dict[str, Any] = codes.shipped("policy")
POLICY = policy.parse(CONTENT)
ORDER = {"t1": 1, "t2": 2, "t3": 3}

FACTS = st.builds(
    Facts,
    lane=st.sampled_from(["complaint", "report", "other"]),
    kind=st.sampled_from(["complaint", "report", "both", "enquiry", "emergency"]),
    harm=st.sampled_from(["none", "low", "medium", "high"]),
    safety_goods=st.booleans(), safety_signal=st.booleans(), merchant_vanished=st.booleans(), prepaid=st.booleans(),
    vulnerable=st.booleans(), punitive=st.booleans(), amount_fen=st.integers(0, 10**9), incident_people=st.integers(0, 200),
    odr_live=st.none() | st.booleans(), chose_odr=st.none() | st.booleans(), delegate_consent=st.none() | st.booleans(),
)  # fmt: skip


@given(FACTS)
def test_every_fact_sheet_gets_one_track_and_always_the_same(facts: Facts) -> None:
    first = policy.decide(POLICY, facts)
    assert first == policy.decide(POLICY, facts)
    assert first.track in TRACK_LABELS
    assert all(g.state in ("open", "passed", "failed") for g in first.gates)
    assert all(r["text"] and r["legal_basis"] for r in first.reasons)


@given(FACTS)
def test_a_failed_gate_is_never_kept_where_there_is_a_way_down(facts: Facts) -> None:
    found = policy.decide(POLICY, facts)
    if found.track in ("t1", "t2"):
        assert not any(g.state == "failed" for g in found.gates)


@given(FACTS, st.sampled_from(["harm", "safety_signal", "incident_people"]))
def test_more_harm_is_never_lighter(facts: Facts, worse: str) -> None:
    values = facts.as_json()
    if facts.lane != "complaint" or facts.kind == "emergency":
        return
    more = {"harm": "high", "safety_signal": True, "incident_people": values["incident_people"] + 50}[worse]
    before, after = policy.decide(POLICY, facts), policy.decide(POLICY, Facts(**{**values, worse: more}))
    assert ORDER[after.track] >= ORDER[before.track]


@pytest.mark.parametrize(
    ("facts", "track", "rule"),
    [
        (Facts("complaint", "complaint", amount_fen=10_000), "t1", "R99"),
        (Facts("complaint", "complaint", harm="high"), "t3", "R02"),
        (Facts("complaint", "complaint", harm="medium", safety_goods=True), "t3", "R01"),
        (Facts("complaint", "complaint", safety_signal=True), "t3", "R03"),
        (Facts("complaint", "complaint", incident_people=3), "t2", "R07"),
        (Facts("complaint", "complaint", incident_people=5), "t2", "R06"),
        (Facts("complaint", "complaint", incident_people=30), "t3", "R04"),
        (Facts("complaint", "complaint", prepaid=True), "t2", "R08"),
        (Facts("complaint", "complaint", vulnerable=True), "t2", "R09"),
        (Facts("complaint", "complaint", amount_fen=5_000_000), "t3", "R10"),
        (Facts("complaint", "complaint", amount_fen=500_001), "t2", "R11"),
        (Facts("complaint", "complaint", amount_fen=500_000), "t1", "R99"),
        (Facts("complaint", "complaint", merchant_vanished=True), "t3", "R05"),
        (Facts("complaint", "complaint", punitive=True), "t2", "R12"),
        (Facts("report", "report"), "clue", "C01"),
        (Facts("other", "petition"), "intake", "D01"),
        (Facts("other", "emergency"), "emergency", "E01"),
    ],
)
def test_shipped_rows(facts: Facts, track: str, rule: str) -> None:
    found = policy.decide(POLICY, facts)
    assert (found.track, found.rule) == (track, rule)


def test_each_shipped_row_is_reached() -> None:
    reached = {r.id for r in POLICY.rows}
    tested = {"R99", "R02", "R01", "R03", "R07", "R06", "R04", "R08", "R09", "R10", "R11", "R05", "R12", "C01", "D01", "E01"}
    assert reached == tested


def test_an_open_gate_keeps_the_track_and_a_failed_one_falls_back() -> None:
    small = {"lane": "complaint", "kind": "complaint", "amount_fen": 100}
    assert policy.decide(POLICY, Facts(**small)).track == "t1"
    refused = policy.decide(POLICY, Facts(**small, chose_odr=False))
    assert (refused.track, refused.rule) == ("t2", "R99")
    assert "转为建议社会联调" in refused.reasons[1]["text"]
    assert policy.decide(POLICY, Facts(**small, odr_live=False, delegate_consent=False)).track == "t3"
    assert policy.decide(POLICY, Facts(**small, odr_live=True, odr_reply_rate=0.5, chose_odr=True)).track == "t2"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda c: c["rows"][2]["when"][0].update(field="harmm"), "rows[2]"),
        (lambda c: c["rows"][2]["when"][0].update(op="like"), "rows[2]"),
        (lambda c: c["rows"][2]["when"][0].update(value=3), "rows[2]"),
        (lambda c: c["rows"][5]["when"][1].update(value="@cluster.huge"), "rows[5]"),
        (lambda c: c["rows"][3].update(track="t4"), "rows[3]"),
        (lambda c: c["rows"][3].update(sign="nobody"), "rows[3]"),
        (lambda c: c["rows"][3].update(when=[]), "rows[3]"),
        (lambda c: c["rows"].pop(), "rows"),
    ],
)
def test_a_bad_table_is_refused_with_the_cell(change: Any, place: str) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(Invalid) as error:
        policy.parse(content)
    assert any(e["field"].startswith(place) for e in error.value.errors)


def test_a_version_is_named_by_its_content() -> None:
    other = copy.deepcopy(CONTENT)
    other["thresholds"]["cluster.watch"] = 4
    assert policy.content_hash(other) != policy.content_hash(CONTENT)
    assert policy.content_hash(copy.deepcopy(CONTENT)) == POLICY.hash


def test_no_policy_in_force_is_said() -> None:
    with pytest.raises(Unavailable):
        policy.in_force([POLICY], date(2019, 1, 1), "42")
    with pytest.raises(Unavailable):
        policy.in_force([POLICY], date(2026, 1, 1), "11")
