"""The exam of the law is well-formed and frozen: tests/exam/cases.md says what each key means. Whether the service passes is not asked here."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parent / "exam" / "cases.jsonl"
SHA256 = "a9b3b8b18d3a6e897f17338d8470381421893d8c8ac3154e0a42af6e30e1db09"

TRACKS = {"t1", "t2", "t3", "clue", "intake", "emergency", "none"}
_MEDIATION = {"accepted", "consumer_consent", "merchant_consent"}
GATES = {"t1": {"odr_enterprise", "consumer_choice"}, "t2": _MEDIATION, "t3": _MEDIATION}
STATES = {
    "pending_acceptance", "accepted", "settling", "mediating", "agreed", "terminated", "not_accepted", "withdrawn", "verifying",
    "registered", "merged", "history",
}  # fmt: skip
KINDS = {
    "complaint", "report", "both", "enquiry", "enforcement_conduct", "other_department", "petition", "information_request", "emergency",
}  # fmt: skip
CLOCKS = {
    "complaint.accept", "complaint.mediate", "complaint.terminate_notice", "clue.verify", "case.decide", "jurisdiction.quarrel",
    "odr.settle", "judicial_confirm", "defect.report", "hotline12345.reply",
}  # fmt: skip
FINDINGS = {f"R{n}" for n in range(1, 9)} | {"serial_wording", "time_bar", "penalty_limit", "factor17_review"}
PERSONS = {"one_person": 1, "one_person_sampled": 1, "two_persons": 2}
ACTORS = {"intake1", "intake1:second_key", "mediator1", "mediator2", "supervisor1", "portal", "machine"}
ACTS = {
    "accept", "refuse", "terminate", "approve", "withdraw", "consent", "hand_over", "finish", "pause", "resume", "clue_found", "extend",
    "open_case", "quarrel", "forward", "dispatch", "return", "transfer_police", "record_factor17", "merge_report", "join",
    "ask_material", "time_passes",
}  # fmt: skip
GROUND = re.compile(r"16\([1-7]\)|23\(1\)\([1-8]\)|17\([1-5]\)|42")
_DAYS = {"event_date", "valid_from", "valid_to", "start", "due"}
_MOMENTS = {"received_at", "at"}


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]


def any_of(value: str | list[str]) -> set[str]:
    """A list where the law and the brief leave the answer open."""
    return {value} if isinstance(value, str) else set(value)


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def test_the_exam_is_frozen() -> None:
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == SHA256


def test_sixty_cases_or_more_each_told_apart(cases: list[dict[str, Any]]) -> None:
    assert len(cases) >= 60
    assert len({c["id"] for c in cases}) == len(cases)
    letters = [letter["post"] for c in cases for letter in (*c.get("before", []), c)]
    assert len({p["external_id"] for p in letters}) == len(letters)
    assert all(c["title"] and c["why"] and p["text"] for c in cases for p in [c["post"]])


def test_every_date_is_iso(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        for key, value in walk(case):
            if key in _DAYS and value is not None:
                date.fromisoformat(value)
            elif key in _MOMENTS:
                assert datetime.fromisoformat(value).tzinfo is not None, case["id"]
            elif key == "clocks":
                assert set(value) <= CLOCKS, case["id"]
                for day in value.values():
                    date.fromisoformat(day)
            elif key == "other_modes":
                for modes in value.values():
                    assert set(modes) == {"notice", "any"}, case["id"]
                    for day in modes.values():
                        date.fromisoformat(day)


def test_every_name_is_known(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        assert case["expect"]["kind"] in KINDS, case["id"]
        assert case["expect"]["matters"], case["id"]
        for matter in case["expect"]["matters"]:
            assert matter.get("lane") in {"complaint", "report", "other", None}, case["id"]
            assert any_of(matter.get("track", [])) <= TRACKS, case["id"]
            assert any_of(matter.get("state", [])) <= STATES, case["id"]
            for gate, state in matter.get("gates", {}).items():
                assert gate in GATES[matter["track"]], case["id"]
                assert state in {"open", "passed", "failed"}, case["id"]
            for left in matter.get("failed", []):
                track, gate = left.split(".")
                assert gate in GATES[track], case["id"]
            assert set(matter.get("no_clocks", [])) <= CLOCKS | {"*"}, case["id"]
            assert not set(matter.get("no_clocks", [])) & set(matter.get("clocks", {})), case["id"]
            assert set(matter.get("findings", [])) <= FINDINGS, case["id"]
        for earlier in case["expect"].get("earlier", []):
            assert earlier["before"] < len(case["before"]), case["id"]
            assert any_of(earlier.get("track", [])) <= TRACKS, case["id"]
            assert any_of(earlier.get("state", [])) <= STATES, case["id"]


def test_acts_and_signatures_fit_together(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        acts = case.get("acts", [])
        for act in [*acts, *(a for b in case.get("before", []) for a in b.get("acts", []))]:
            assert act["act"] in ACTS, case["id"]
            assert act["by"] in ACTORS, case["id"]
            assert "ground" not in act or GROUND.fullmatch(act["ground"]), case["id"]
        assert [a["at"] for a in acts] == sorted(a["at"] for a in acts), case["id"]
        if "refused" in case["expect"]:
            assert case["expect"]["refused"]["because"], case["id"]
            assert case["expect"]["refused"]["act"] < len(acts), case["id"]
        for matter in case["expect"]["matters"]:
            for sign in matter.get("sign", []):
                assert sign["persons"] == PERSONS[sign["sign"]], case["id"]
                assert sign["act"] < len(acts), case["id"]
                assert sign["machine"] == (acts[sign["act"]]["by"] == "portal"), case["id"]


def test_every_case_quotes_the_law(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        for matter in case["expect"]["matters"]:
            assert matter["articles"], case["id"]
            for article in matter["articles"]:
                assert article["law"] == "order-121", case["id"]
                assert 1 <= article["article"] <= 46, case["id"]
                assert article["sentence"].strip(), case["id"]


def test_what_the_law_distinguishes_is_asked(cases: list[dict[str, Any]]) -> None:
    """Each ground, each clock, each track, each gate in its three states, each repeat."""
    acts = [a for c in cases for a in c.get("acts", [])]
    matters = [m for c in cases for m in c["expect"]["matters"]]
    grounds = {a.get("ground") for a in acts}
    assert {f"16({n})" for n in range(1, 8)} | {f"23(1)({n})" for n in range(1, 9)} | {"42"} <= grounds
    assert {k for m in matters for k in m.get("clocks", {})} == CLOCKS
    assert {t for m in matters for t in any_of(m.get("track", []))} == TRACKS
    assert {s for m in matters for s in m.get("gates", {}).values()} == {"open", "passed", "failed"}
    assert {f for m in matters for f in m.get("findings", [])} == FINDINGS
    assert {c["expect"]["kind"] for c in cases} == KINDS
