"""The exam of the law, run on the service: each case of tests/exam/cases.jsonl by the journeys themselves, at the moments it names.

What a case expects is judged as tests/exam/cases.md says; a key that is absent is not judged. An article counts as shown where a reason,
gate, clock, finding or act cites it: the article and the item must be the ones named; a citation of a whole article covers its paragraphs.
PENDING names what the service does not meet yet; whoever builds it takes the line out (strict).
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from app import (
    acts,
    calendar,
    cases,
    complainants,
    directories,
    incidents,
    intake,
    joining,
    law,
    rerouting,
    settling,
    triage,
    wording,
    work,
    worker,
)
from app.api.common import lanes
from app.errors import Forbidden, TriageError
from app.identity import ROLES, Principal
from app.intake import Complaint, Letter
from app.triage import House

CASES: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "exam" / "cases.jsonl").read_text("utf-8").splitlines()
]
# id -> what is missing in one line.
PENDING = {
    "c35": "disputed: pending_material is the state 待补正 of DOMAIN 7.4, the case wants pending_acceptance; the clock runs on as it should",
}

SOURCE = "exam"
# What `findings: []` excludes.
REPEATS = {f"R{n}" for n in range(1, 9)} | {"serial_wording"}
SIGNING = {"one_person": (1, False), "one_person_sampled": (1, True), "two_persons": (2, False)}
_NATURAL = {"intake1": "intake", "mediator1": "mediator", "mediator2": "mediator", "supervisor1": "supervisor"}


def principal(by: str, lane: str = "complaint") -> Principal:
    """A second key is another token of the same person; the machine's has every role, and is nobody's. Whoever acts on a report is one
    who works on them."""
    subject = by.partition(":")[0]
    roles = {_NATURAL[subject]} if subject in _NATURAL else {"portal"} if subject == "portal" else set(ROLES)
    return Principal(subject, subject in _NATURAL, frozenset(roles), ("42",), (SOURCE,), ("clue",) if lane == "report" else ())


def any_of(value: Any) -> set[Any]:
    return set(value) if isinstance(value, list) else {value}


def situation(note: str) -> str:
    """The situation of Art. 16 or 42 that a note tells of: what 23(1)(6) must name, and the case says in words."""

    def pairs(text: str) -> set[str]:
        return {text[i : i + 2] for i in range(len(text) - 1)}

    return max(acts.SITUATIONS, key=lambda s: len(pairs(note) & pairs(acts.sentence_of(s))))


class Absent(AssertionError):
    """The service has no such act."""


# -- citations

_CITED = re.compile(
    r"《([^》]+)》|第([零一二三四五六七八九十百]+)条(?:第([一二三四五六七八九十]+)款)?(?:第([一二三四五六七八九十]+)项)?|、第([一二三四五六七八九十]+)项"
)
_NUMBERS = {law.chinese(n): n for n in range(1, 400)}


def citations(text: str) -> Iterator[tuple[str, int, int | None, int | None]]:
    """(law as written, article, paragraph, item) of each citation; an article without a law's name is of the law named last."""
    named, article, paragraph = "", 0, None
    for found in _CITED.finditer(text):
        if found[1]:
            named = found[1]
        elif found[5] and article:
            yield named, article, paragraph, _NUMBERS[found[5]]
        elif found[2]:
            article, paragraph = _NUMBERS[found[2]], _NUMBERS[found[3]] if found[3] else None
            yield named, article, paragraph, _NUMBERS[found[4]] if found[4] else None


def words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from words(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from words(inner)


def cites(shown: set[tuple[str, int, int | None, int | None]], wanted: Mapping[str, Any]) -> bool:
    text = law.cite(wanted["law"], wanted["article"], wanted.get("paragraph"), wanted.get("item"))
    ((name, article, paragraph, item),) = citations(text)
    return any(
        (n, a, i) == (name, article, item) and (p == paragraph or p is None or paragraph is None) for n, a, p, i in shown
    )  # fmt: skip


# -- one case on one database


class Run:
    """letters: of `before` in order, then the case's own. approvals: of the act with that index."""

    def __init__(self, house: House, tmp_path: Path) -> None:
        self.house = house
        self.tmp_path = tmp_path
        self.letters: list[Letter] = []
        self.approvals: dict[int, uuid.UUID] = {}
        self.wrong: list[str] = []

    def check(self, ok: bool, said: str) -> None:
        if not ok:
            self.wrong.append(said)

    def equal(self, what: str, found: Any, wanted: Any) -> None:
        self.check(found == wanted, f"{what}: {found!r}, not {wanted!r}")

    def among(self, what: str, found: Any, wanted: Any) -> None:
        self.check(found in any_of(wanted), f"{what}: {found!r}, not {wanted!r}")

    async def load(self, roster: Sequence[Mapping[str, Any]]) -> None:
        path = self.tmp_path / "roster.jsonl"
        path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in roster), "utf-8")
        async with self.house.database.transaction() as connection:
            done = await directories.load(connection, "odr", path, source="exam", actor="exam", on=date(2025, 1, 1))
        assert not done.problems, done.problems

    async def receive(self, post: Mapping[str, Any], *, history: bool) -> None:
        body = Complaint.model_validate(post)
        assert body.received_at is not None
        letter = Letter.make(SOURCE, body, now=body.received_at, history=history)
        async with self.house.database.connection() as connection:
            (receipt,) = await intake.receive(connection, self.house.vault, [letter], imported=history)
        assert isinstance(receipt, intake.Receipt)
        assert receipt.created
        self.letters.append(letter)
        assert await triage.triage(self.house, letter, now=body.received_at) is not None
        await self.work(body.received_at)

    async def work(self, now: datetime) -> None:
        """What the worker does by then, but the night's passes."""
        while await worker.fold(self.house):
            pass
        await rerouting.follow_growth(self.house, now)
        database = self.house.database
        async with database.transaction() as connection:
            await complainants.count_tokens(connection)
        async with database.transaction() as connection:
            await wording.compare_waiting(connection)
        await rerouting.follow_wording(self.house, now)
        async with database.transaction() as connection:
            await incidents.count_terms(connection)
        await rerouting.follow_terms(self.house, now)
        await settling.draft_ends(self.house, now)

    async def matters(self, letter: int, now: datetime) -> list[dict[str, Any]]:
        async with self.house.database.connection() as connection:
            found = await cases.read_matters(connection, self.letters[letter].id, now=now, lights=self.house.calendar)
            for one in found:
                rows = await connection.fetch(
                    "SELECT reasons FROM decision WHERE matter_id = $1 ORDER BY decided_at, id", one["id"]
                )
                one["reasons"] = [r["reasons"] for r in rows]
                waiting = await connection.fetch(
                    "SELECT act, ground FROM approval WHERE matter_id = $1 AND state = 'open'", one["id"]
                )
                one["waiting"] = [acts.cite_ground(a["ground"]) if a["ground"] else acts.ACTS[a["act"]].cited for a in waiting]
        return found

    async def snapshot(self) -> Any:
        """What a refused act must leave as it was."""
        ids = [x.id for x in self.letters]
        async with self.house.database.connection() as connection:
            return [
                [dict(r) for r in await connection.fetch(query, ids)]
                for query in (
                    "SELECT id, state, track, district, authority FROM matter WHERE letter_id = ANY($1) ORDER BY id",
                    "SELECT g.matter_id, g.track, g.name, g.state FROM gate g JOIN matter m ON m.id = g.matter_id WHERE m.letter_id = ANY($1) ORDER BY 1, 2, 3",
                    "SELECT c.matter_id, c.key, c.due_on, c.stopped_at FROM clock c JOIN matter m ON m.id = c.matter_id WHERE m.letter_id = ANY($1) ORDER BY 1, 2, 3",
                    "SELECT a.id, a.state, a.signed_by FROM approval a JOIN matter m ON m.id = a.matter_id WHERE m.letter_id = ANY($1) ORDER BY 1",
                    "SELECT f.matter_id, f.code FROM finding f JOIN matter m ON m.id = f.matter_id WHERE m.letter_id = ANY($1) ORDER BY f.id",
                )
            ]

    # -- acts

    async def acts(
        self, acts: Sequence[Mapping[str, Any]], signs: Sequence[Mapping[str, Any]], refused: Mapping[str, Any] | None
    ) -> None:
        signed = {s["act"]: s for s in signs}
        for index, act in enumerate(acts):
            at = datetime.fromisoformat(act["at"])
            await self.work(at)
            sign = signed.get(index)
            if sign and not sign["machine"] and act["by"] != "machine":
                await self._refuses(index, {**act, "by": "machine"}, at, "by a machine")
            if refused and refused["act"] == index:
                await self._refuses(index, act, at, refused["because"])
            else:
                try:
                    done = await self._act(index, act, at)
                except TriageError as error:
                    raise AssertionError(f"act {index} {act['act']} refused: {error.detail}") from error
                if sign and isinstance(done, settling.Done):
                    self.equal(f"act {index}, signatures missing", done.missing, sign["persons"] - 1)
            if sign:
                self._signing(index, act, sign)
            await self.work(at)

    async def _refuses(self, index: int, act: Mapping[str, Any], at: datetime, because: str) -> None:
        before = await self.snapshot()
        kept = dict(self.approvals)
        try:
            await self._act(index, act, at)
        except TriageError as error:
            if act["by"] == "machine":
                self.check(isinstance(error, Forbidden), f"act {index} refused for another reason: {error.detail}")
        else:
            raise AssertionError(f"act {index} {act['act']} was not refused ({because})")
        self.approvals = kept
        self.check(await self.snapshot() == before, f"act {index}, refused, changed something")

    def _signing(self, index: int, act: Mapping[str, Any], sign: Mapping[str, Any]) -> None:
        """The rule itself; how many really signed is judged at the end."""
        name = {"record_factor17": "find_factors"}.get(act["act"], act["act"])
        rule = acts.signing(name, act.get("ground"))
        self.equal(f"act {index}, signing", (rule.persons, rule.sampled > 0), SIGNING[sign["sign"]])

    async def _matter(self, act: Mapping[str, Any], at: datetime) -> dict[str, Any]:
        lane = act.get("lane", "complaint")
        for one in await self.matters(-1, at):
            if one["lane"] == lane:
                return one
        raise AssertionError(f"no matter of the lane {lane}")

    async def _act(self, index: int, act: Mapping[str, Any], at: datetime) -> Any:
        who, house, letter_id = principal(act["by"], act.get("lane", "complaint")), self.house, self.letters[-1].id
        kind, reason = act["act"], act.get("note") or "依据案卷材料"

        async def perform(name: str, **more: Any) -> settling.Done:
            matter = await self._matter(act, at)
            done = await settling.perform(house, matter["id"], who, name, lanes=lanes(who), at=at, reason=reason, **more)
            if done.approval_id:
                self.approvals[index] = done.approval_id
            return done

        match kind:
            case "time_passes":
                return None
            case "accept" | "ask_material" | "open_case" | "transfer_police" | "return":
                return await perform(kind)
            case "clue_found":
                return await perform("find_clue")
            case "extend":
                return await perform(kind, detail={"clock": act.get("key", "clue.verify")})
            case "quarrel" | "forward" | "dispatch":
                return await perform(kind, detail={"to": act["with" if kind == "quarrel" else "to"]})
            case "merge_report":
                into = int(act["into"].removeprefix("before:"))
                (earlier,) = [m for m in await self.matters(into, at) if m["lane"] == "report"]
                return await perform(kind, detail={"into": str(earlier["id"])})
            case "refuse" | "terminate":
                told = {"rests_on": act.get("rests_on") or situation(reason)} if act["ground"] == "23(1)(6)" else {}
                return await perform(kind, ground=act["ground"], detail=told)
            case "record_factor17":
                return await perform("find_factors", detail={"factors": [act["ground"]]})
            case "pause":
                return await perform("appraise", detail={"kind": {"检测": "inspection", "鉴定": "appraisal"}[act["reason"]]})
            case "resume":
                return await perform("resume")
            case "hand_over":
                return await (perform("settle") if act["to"] == "odr" else perform("delegate", detail={"to": act["to"]}))
            case "approve":
                if act["of"] not in self.approvals:
                    raise AssertionError(f"act {act['of']} waits for nobody")
                return await settling.approve(house, self.approvals[act["of"]], who, lanes=lanes(who), at=at)
            case "withdraw":
                return await settling.withdraw(house, letter_id, who, reason=act.get("note"), at=at)
            case "consent":
                return await settling.consent(
                    house, letter_id, who, party=act["party"], agrees=act["agrees"], to=act.get("to"), at=at
                )
            case "finish":
                return await self._finish(act, who, at)
            case "join":
                return await self._join(act, who, at, reason)
            case _:
                raise Absent(f"no act {kind}")

    async def _join(self, act: Mapping[str, Any], who: Principal, at: datetime, reason: str) -> uuid.UUID:
        """`before:0` is the complaint of that letter, `post` the case's own."""
        named = {}
        for name in act["matters"]:
            letter = -1 if name == "post" else int(name.removeprefix("before:"))
            named[name] = next(m["id"] for m in await self.matters(letter, at) if m["lane"] == act.get("lane", "complaint"))
        return await joining.propose(
            self.house, who, lanes=lanes(who), matters=list(named.values()), consents={named[n]: None for n in act["consents"]}, join=True,
            reason=reason, at=at,
        )  # fmt: skip

    async def _finish(self, act: Mapping[str, Any], who: Principal, at: datetime) -> None:
        matter = await self._matter(act, at)
        async with self.house.database.transaction() as connection:
            queue = await connection.fetchval("SELECT queue_id FROM work_item WHERE matter_id = $1", matter["id"])
            claimed = await work.claim(connection, queue, who, limit=work.MAX_CLAIM, lease_seconds=600)
        (item,) = [c for c in claimed if c["matter_id"] == matter["id"]]
        await settling.finish(
            self.house, item["id"], item["lease_token"], who, outcome=act["outcome"], note=act.get("note"), through=act.get("through"), at=at
        )  # fmt: skip

    # -- judging

    async def judge(self, case: Mapping[str, Any], now: datetime) -> None:
        expect = case["expect"]
        matters = await self.matters(-1, now)
        if "kind" in expect:
            self.equal("kind", matters[0]["kind"], expect["kind"])
        wanted = expect["matters"]
        if all("lane" in w for w in wanted):
            self.equal("lanes", sorted(m["lane"] for m in matters), sorted(w["lane"] for w in wanted))
        for one in wanted:
            for matter in [m for m in matters if "lane" not in one or m["lane"] == one["lane"]][:1]:
                self._judge(matter, one, case.get("acts", []))
        first = matters[0]
        async with self.house.database.connection() as connection:
            if "incident" in expect:
                row = await connection.fetchrow(
                    "SELECT people_complaints + least(unidentified, 1) AS people, state FROM incident WHERE id = $1", first["incident_id"]
                )  # fmt: skip
                for key, value in expect["incident"].items():
                    self.equal(f"incident.{key}", row[key] if row else None, value)
            if "queued" in expect:
                items = await connection.fetchval(
                    "SELECT count(*) FROM work_item WHERE matter_id = ANY($1)", [m["id"] for m in matters]
                )
                self.equal("queued", bool(items), expect["queued"])
        if "district" in expect:
            self.among("district", first["district"], expect["district"])
        if "missing" in expect:
            absent = set(expect["missing"]) - set(first["reading"]["missing"])
            self.check(not absent, f"missing[] lacks {sorted(absent)}; it holds {first['reading']['missing']}")
        for one in expect.get("earlier", ()):
            lane = one.get("lane", "complaint")
            for matter in [m for m in await self.matters(one["before"], now) if m["lane"] == lane]:
                self._judge(matter, {k: v for k, v in one.items() if k != "before"}, (), f"before {one['before']}: ")

    def _judge(
        self, matter: Mapping[str, Any], wanted: Mapping[str, Any], acts: Sequence[Mapping[str, Any]], name: str = ""
    ) -> None:
        name = name or f"{matter['lane']}: "
        running = {c["key"]: c for c in matter["clocks"] if c["stopped_at"] is None}
        gates = {(g["track"], g["name"]): g["state"] for g in matter["gates"]}
        codes = {f["code"] for f in matter["findings"]}
        for key in ("track", "state"):
            if key in wanted:
                self.among(name + key, matter[key], wanted[key])
        if "law" in wanted:
            self.equal(name + "law", matter["decision"]["law"], wanted["law"])
        for gate, state in wanted.get("gates", {}).items():
            self.equal(f"{name}gate {gate}", gates.get((matter["track"], gate)), state)
        for one in wanted.get("failed", ()):
            track, _, gate = one.partition(".")
            self.equal(f"{name}gate {one}", gates.get((track, gate)), "failed")
        for key, due in wanted.get("clocks", {}).items():
            self.equal(f"{name}{key}", str(running[key]["due_on"]) if key in running else None, due)
        for key in wanted.get("no_clocks", ()):
            self.check(not running if key == "*" else key not in running, f"{name}runs: {sorted(running)}, but should not {key}")
        for key, modes in wanted.get("other_modes", {}).items():
            self.equal(f"{name}{key} otherwise", key in running and running[key]["other_modes"], modes)
        for key in wanted.get("provisional", ()):
            self.check(key in running and running[key]["provisional"], f"{name}{key} is not provisional")
        if "findings" in wanted:
            if wanted["findings"]:
                absent = set(wanted["findings"]) - codes
                self.check(not absent, f"{name}findings lack {sorted(absent)}; there are {sorted(codes)}")
            else:
                self.check(not codes & REPEATS, f"{name}findings {sorted(codes & REPEATS)}")
        if "transferred" in wanted:
            self.equal(f"{name}transferred", matter["authority"], wanted["transferred"])
        changes = [h for h in matter["history"] if h["act"]]
        for sign in wanted.get("sign", ()):
            act = acts[sign["act"]]
            done = [h for h in changes if h["act"] == act["act"]]
            for change in done:
                self.equal(f"{name}persons who signed {act['act']}", len(set(change["signed_by"])), sign["persons"])
                if "ground" in act and act["act"] in ("refuse", "terminate"):
                    self.equal(f"{name}ground of {act['act']}", change["ground"], act["ground"])
        shown = {
            citation
            for text in words([matter["reasons"], matter["waiting"], *({k: v for k, v in x.items() if k != "track"} for x in (*matter["gates"], *matter["clocks"], *matter["findings"], *matter["history"]))])
            for citation in citations(text)
        }  # fmt: skip
        for one in wanted.get("articles", ()):
            self.check(
                cites(shown, one),
                f"{name}not cited: {law.cite(one['law'], one['article'], one.get('paragraph'), one.get('item'))}",
            )


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            c,
            id=c["id"],
            marks=[pytest.mark.xfail(reason=PENDING[c["id"]], strict=True, raises=AssertionError)] if c["id"] in PENDING else [],
        )
        for c in CASES
    ],
)
async def test_case(case: dict[str, Any], house: House, tmp_path: Path) -> None:
    run = Run(house, tmp_path)
    for one in case.get("terms", ()):
        start = date.fromisoformat(one["start"])
        due = calendar.due(house.calendar, one["key"], start, received_on=start, mode=house.settings.due_mode)
        run.equal(f"{one['key']} from {start}", due.due_on.isoformat(), one["due"])
    if "roster" in case:
        await run.load(case["roster"])
    for one in case.get("before", ()):
        await run.receive(one["post"], history=one.get("import_as") == "history")
        await run.acts(one.get("acts", ()), (), None)
    await run.receive(case["post"], history=case.get("import_as") == "history")
    acts = case.get("acts", [])
    signs = [s for m in case["expect"]["matters"] for s in m.get("sign", ())]
    await run.acts(acts, signs, case["expect"].get("refused"))
    now = datetime.fromisoformat(acts[-1]["at"] if acts else case["post"]["received_at"])
    await run.judge(case, now)
    assert not run.wrong, "\n".join(run.wrong)


def test_the_articles_say_the_sentences() -> None:
    """What a citation leads to is the sentence the case quotes."""
    for case in CASES:
        for matter in case["expect"]["matters"]:
            for one in matter.get("articles", ()):
                text = law.sentence(one["law"], one["article"], one.get("item"), one.get("paragraph"))
                assert one["sentence"].rstrip("。；") in text, (case["id"], one)


def test_pending_cases_are_cases() -> None:
    assert PENDING.keys() <= {c["id"] for c in CASES}
