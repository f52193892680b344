"""Proofs: what is planted is found, with fact sheets that hold; what is found by search is what trying everything finds."""

import copy
import itertools
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import codes, policy
from app.policy import FIELDS, LADDER, Facts, Fault, Policy, proving
from app.policy.content import read

TODAY = date(2026, 11, 28)
CONTENT: dict[str, Any] = {k: v for k, v in codes.shipped("policy").items() if k != "valid_from"}
COMPLAINT = {"field": "lane", "op": "eq", "value": "complaint"}


def content(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(CONTENT), **changes}


def row(name: str, when: list[dict[str, Any]], track: str) -> dict[str, Any]:
    return {**copy.deepcopy(CONTENT["rows"][-2]), "id": name, "name": name, "when": when, "track": track}


def cell(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def sheet(values: Any) -> Facts:
    return Facts(**values)


def test_the_shipped_policy_proves() -> None:
    report = proving.prove(content(), today=TODAY)
    assert report.errors == []
    assert report.policy is not None
    assert report.policy.hash == policy.content_hash(CONTENT)


def test_every_overlap_comes_with_a_sheet_that_both_rows_match() -> None:
    report = proving.prove(content(), today=TODAY)
    assert report.policy is not None
    rows = {r.id: r for r in report.policy.rows}
    overlaps = [w for w in report.warnings if w.path[-1] == "when"]
    assert len(overlaps) > 100
    for found in overlaps:
        (facts,) = map(sheet, found.sheets)
        other = rows[found.message.split("（")[0].removeprefix("与")]
        assert policy.match(report.policy, facts).id == found.label
        assert all(c.matches(facts) for c in other.cells)
        assert other.track != rows[found.label].track
    assert any(w.label == "R99" and "X04" in w.message for w in report.warnings)


@given(st.integers(1, len(CONTENT["rows"]) - 1), st.data())
@settings(max_examples=30, deadline=None)
def test_an_unreachable_row_is_found_wherever_it_stands(at: int, data: st.DataObject) -> None:
    """A row that asks at least what an earlier one asks; or whose cases earlier rows take one by one."""
    bad = content()
    rows = bad["rows"]
    kind = data.draw(st.sampled_from(["narrower", "split", "contradicts"]))
    if kind == "narrower":
        over = data.draw(st.sampled_from([r for r in rows[:at] if r["when"]]))
        extra = data.draw(st.sampled_from([cell("media", "eq", True), cell("amount_fen", "gte", 7), cell("kind", "ne", "both")]))
        rows.insert(at, row("Z1", [*copy.deepcopy(over["when"]), extra], "t3"))
        lost = at
    elif kind == "split":
        wide = [COMPLAINT, cell("punitive", "eq", True), cell("multi_department", "eq", False)]
        rows[at:at] = [
            row("Z1", [*wide, cell("amount_fen", "lt", 100)], "t3"), row("Z2", [*wide, cell("amount_fen", "gte", 100)], "t3"), row("Z3", wide, "t3"),
        ]  # fmt: skip
        lost = at + 2
    else:
        rows.insert(at, row("Z1", [cell("amount_fen", "gt", 5), cell("amount_fen", "lt", 6)], "t3"))
        lost = at
    report = proving.prove(bad, today=TODAY)
    assert any(f.path == ("rows", lost, "when") for f in report.errors), report.errors


def test_an_unreachable_row_names_what_hides_it() -> None:
    bad = content()
    bad["rows"].insert(20, row("Z1", [COMPLAINT, cell("amount_fen", "gte", 6_000_000), cell("prepaid", "eq", True)], "t3"))
    (found,) = proving.prove(bad, today=TODAY).errors
    assert (found.place, found.label) == ("rows[20] (Z1).when", "Z1")
    assert "R10" in found.message


LIGHTER = [
    ("harm", [cell("harm", "eq", "high")]),
    ("harm", [cell("harm", "gte", "medium"), cell("prepaid", "eq", True)]),
    ("safety_signal", [cell("safety_signal", "eq", True), cell("amount_fen", "lt", 1000)]),
    ("incident_people", [cell("incident_people", "gte", "@cluster.major")]),
    ("incident_people", [cell("incident_people", "eq", 40)]),
    ("minors_harm", [cell("minors_harm", "eq", True), cell("new_economy", "eq", True)]),
    (
        "incident_people",
        [cell("incident_significant", "eq", True), cell("incident_people", "gte", 3), cell("incident_excess", "eq", False)],
    ),
    ("incident_districts", [cell("incident_districts", "gt", 2), cell("media", "eq", True)]),
]


@pytest.mark.parametrize(("worse", "when"), LIGHTER)
def test_a_lighter_row_for_more_harm_is_found_with_two_sheets(worse: str, when: list[dict[str, Any]]) -> None:
    bad = content(exclusions=[])
    bad["rows"].insert(1, row("Z1", [COMPLAINT, *when], "t1"))
    faults = [f for f in proving.prove(bad, today=TODAY).errors if f.path == ("rows", 1, "track")]
    assert faults
    _hold(bad, faults)
    differing = {k for f in faults for k in set(f.sheets[0]) | set(f.sheets[1]) if f.sheets[0].get(k) != f.sheets[1].get(k)}
    assert worse in differing


def _hold(raw: dict[str, Any], faults: list[Fault]) -> None:
    """The sheets prove what is said: one fact worse, the track lighter."""
    found = policy.parse(raw)
    for fault in faults:
        better, worse = map(sheet, fault.sheets)
        changed = {n: (v, worse.as_json()[n]) for n, v in better.as_json().items() if v != worse.as_json()[n]}
        assert len(changed) == 1
        ((name, (one, other)),) = changed.items()
        order = list(FIELDS[name].choices)
        assert (order.index(one) < order.index(other)) if order else one < other
        assert LADDER[policy.match(found, worse).track] < LADDER[policy.match(found, better).track]


def test_the_order_of_the_first_table_is_found_wanting() -> None:
    """Large sums went to t3, but only where few people complained: R06 and R07 stood before R10."""
    bad = content()
    ids = [r["id"] for r in bad["rows"]]
    bad["rows"].insert(ids.index("R08"), bad["rows"].pop(ids.index("R10")))
    faults = proving.prove(bad, today=TODAY).errors
    assert {f.label for f in faults} >= {"R07"}
    _hold(bad, faults)


def test_an_exclusion_that_ends_with_more_harm_is_refused() -> None:
    bad = content()
    bad["exclusions"].append({**bad["exclusions"][0], "id": "X9", "when": [cell("harm", "eq", "low")]})
    (found,) = proving.prove(bad, today=TODAY).errors
    assert (found.label, [s["harm"] for s in found.sheets]) == ("X9", ["low", "medium"])


def test_what_the_law_demands_can_not_be_edited_away() -> None:
    bad = content()
    bad["gates"] = [g for g in bad["gates"] if (g["track"], g["name"]) != ("t2", "merchant_consent")]
    assert any("merchant_consent" in f.message for f in proving.prove(bad, today=TODAY).errors)
    bad = content()
    next(g for g in bad["gates"] if (g["track"], g["name"]) == ("t2", "merchant_consent"))["fact"] = "delegate_consent"
    assert any("merchant_consent" in f.message for f in proving.prove(bad, today=TODAY).errors)


def test_days_that_are_past_and_thresholds_that_lack() -> None:
    bad = content(valid_from="2026-11-27")
    del bad["thresholds"]["person.repeat"]
    assert {f.place for f in proving.prove(bad, today=TODAY).errors} == {"valid_from", "thresholds"}
    assert proving.prove(content(valid_from="2026-11-28"), today=TODAY).errors == []


def test_thresholds_of_a_place_are_proved_over_the_wider_policy() -> None:
    base = policy.parse(content())

    def faults(thresholds: dict[str, Any], wider: list[Policy] | None = None) -> list[Fault]:
        raw = {"format": 2, "name": "武昌区", "jurisdiction": "420106", "thresholds": thresholds}
        return proving.prove(raw, today=TODAY, wider=[base] if wider is None else wider).errors

    assert faults({"cluster.watch": 2}) == []
    assert faults({}) == []
    assert [f.place for f in faults({"cluster.wach": 2})] == ["thresholds.cluster.wach"]
    assert "R17" in faults({"cluster.watch": 30.5})[0].message or "R07" in faults({"cluster.watch": 30.5})[0].message
    hidden = faults({"cluster.watch": 9})  # the group row then takes all that the watch row would
    assert any("R06" in f.message or "R07" in f.message for f in hidden)
    assert all(f.place == "thresholds" for f in hidden)
    assert [f.place for f in faults({"cluster.watch": 2}, [])] == ["jurisdiction"]


def test_what_stands_open_is_listed_in_one_place() -> None:
    found = proving.open_questions(policy.parse(content()))
    ids = {q["id"] for q in found}
    assert {"cluster.watch", "mediate.fallback", "R10", "t1.odr_enterprise", "t1.time", "N03", "X04"} <= ids
    assert not {"C01", "D01", "t2.merchant_consent", "t3.time"} & ids
    assert all(q["status"] in ("design_choice", "unverified") and q["source"] and q["text"] for q in found)


# -- search against trying everything

SMALL = {
    "harm": list(FIELDS["harm"].choices), "safety_signal": [False, True], "incident_people": list(range(5)), "incident_excess": [False, True],
    "incident_harm": list(FIELDS["incident_harm"].choices), "chose_odr": [None, False, True],
}  # fmt: skip
ALL = [Facts("complaint", "complaint", **dict(zip(SMALL, values, strict=True))) for values in itertools.product(*SMALL.values())]


@st.composite
def cells(draw: st.DrawFn) -> dict[str, Any]:
    field = draw(st.sampled_from([*SMALL, "incident_significant"]))
    if field == "incident_people":
        return cell(field, draw(st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"])), draw(st.integers(1, 3)))
    if FIELDS[field].choices:
        values = list(FIELDS[field].choices)
        if draw(st.booleans()):
            return cell(field, "in", draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)))
        return cell(field, draw(st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"])), draw(st.sampled_from(values)))
    return cell(field, draw(st.sampled_from(["eq", "ne"])), draw(st.sampled_from(SMALL.get(field, [False, True]))))


TABLES = st.lists(
    st.tuples(st.lists(cells(), min_size=1, max_size=3), st.sampled_from(["t1", "t2", "t3", "intake"])), min_size=1, max_size=7
)


@given(TABLES)
@settings(max_examples=40, deadline=None)
def test_the_search_finds_what_trying_everything_finds(table: list[tuple[list[dict[str, Any]], str]]) -> None:
    raw = content(exclusions=[], notes=[])
    raw["rows"] = [*(row(f"Z{n}", when, track) for n, (when, track) in enumerate(table)), raw["rows"][-1]]
    raw["rows"][-1] = {**raw["rows"][-1], "track": "t2"}
    found, faults = read(raw)
    assert found is not None, faults
    of = {facts: policy.match(found, facts) for facts in ALL}
    report = proving.prove(raw, today=TODAY)

    reached = {r.id for r in of.values()}
    assert {f.label for f in report.errors if f.path[2:] == ("when",)} == {r.id for r in found.rows} - reached

    lighter = [f for f in report.errors if f.path[2:] == ("track",)]
    _hold(raw, lighter)
    pairs = {(of[a].id, of[b].id) for a in ALL for b in _one_step_worse(a) if LADDER[of[b].track] < LADDER[of[a].track]}
    assert {(f.message.split("按")[1].split("为")[0], f.label) for f in lighter} == pairs

    overlaps = {
        (of[a].id, r.id) for a in ALL for r in found.rows[:-1]
        if of[a].track != r.track and r.id in reached and all(c.matches(a) for c in r.cells) and of[a] is not found.rows[-1]
    }  # fmt: skip
    assert {(w.label, w.message.split("（")[0].removeprefix("与")) for w in report.warnings} == {
        (a, b) for a, b in overlaps if a < b
    }


def _one_step_worse(facts: Facts) -> list[Facts]:
    values = facts.as_json()
    worse = []
    for name in ("harm", "safety_signal", "incident_people", "incident_excess", "incident_harm"):
        order = SMALL[name]
        n = order.index(values[name])
        if n + 1 < len(order):
            worse.append(Facts(**{**values, name: order[n + 1]}))
    return worse


def test_a_table_nobody_could_prove_is_refused_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_MOST_STEPS", 1000)
    (found,) = proving.prove(content(), today=TODAY).errors
    assert "过于复杂" in found.message
