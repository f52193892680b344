"""The journey of what the platform says became of a letter: told by an export, held against what we hold, followed where it is ahead.

Complaints are handled through the national platform (Art. 40); what this service holds beside it is a shadow. Each state an export tells is
kept as it was told, and the letter's story is read from all of them in the order of their times, not of their imports: so importing a file
twice, or two files the other way round, ends the same. The newest state is followed where we did nothing of our own, or where the platform
went on after we did. Never by a machine alone: a refusal, and whatever contradicts an act of ours. That waits for a person, who says whose
word holds. A partner's states (a hotline's ticket) are no legal states: they are only compared.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app import acts, audit, callbacks, cases, clocks, deliveries, effects, handovers, intake, law, work
from app.calendar import local_day
from app.database import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal, new_id
from app.importers import Status
from app.privacy import Vault
from app.triage import House

log = logging.getLogger(__name__)

# What another's word must not do here without a person (no non-acceptance unconfirmed).
ADVERSE = frozenset({"not_accepted", "case_not_opened"})
CAUSES = {
    "adverse": "平台记录为不予受理或者不予立案，须由工作人员确认", "older": "平台数据的时点早于本部门的决定",
    "platform_behind": "本部门已作出决定，平台仍为之前的状态", "other_end": "平台与本部门的办理结果不同",
    "partner_ended": "热线工单已办结，本部门尚未办结",
}  # fmt: skip
LABELS = {"waiting": "待受理", "ended": "已办结"}
_BY_LANE = {
    "accepted": "complaint", "agreed": "complaint", "terminated": "complaint", "withdrawn": "complaint", "not_accepted": "complaint",
    "case_opened": "report", "case_not_opened": "report",
}  # fmt: skip
_OUTCOMES = {"agreed": "agreement", "terminated": "terminated", "withdrawn": "withdrawn", "not_accepted": "not_accepted"}
_OPEN_STATE = {"complaint": "pending_acceptance", "report": "verifying", "other": "registered"}
_RANK = {"waiting": 0, "accepted": 1, "case_opened": 2}
_ENDED = 3
_BASIS = law.cite(law.ORDER_121, 40)


@dataclass(frozen=True, slots=True)
class Run:
    """One state for as long as it was told. since, as_of: when it was told first and last. accepted_at, ended_at: what it says of these
    days itself."""

    state: str
    since: datetime
    as_of: datetime
    outcome: str | None = None
    accepted_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def at(self) -> datetime:
        """When it came about, as well as is known."""
        if self.state == "accepted":
            return min(self.since, self.accepted_at or self.since)
        return min(self.since, self.ended_at or self.since) if self.state != "waiting" else self.since


@dataclass(frozen=True, slots=True)
class Story:
    """runs: oldest first; empty where nothing that was told is known. recovered_fen: as told last."""

    runs: tuple[Run, ...]
    recovered_fen: int | None


@dataclass(frozen=True, slots=True)
class Base:
    """The last legal act of our own, or a person's word on a contradiction."""

    state: str
    at: datetime
    act: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """run: the one to follow, None: nothing changes. back: the state of our own that holds again."""

    verdict: str
    cause: str | None = None
    run: Run | None = None
    back: str | None = None


# -- told


_NOTE = """
INSERT INTO platform_state (id, letter_id, authority, as_of, state, outcome, accepted_at, ended_at, recovered_fen, fine_fen, confiscated_fen,
                            handler, columns_sha256, columns_cipher, key_id, import_id)
SELECT i, l, a, t, s, o, aa, ea, r, f, c, h, d, x, CASE WHEN x IS NULL THEN NULL ELSE $15::smallint END, $16
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::bigint[],
            $10::bigint[], $11::bigint[], $12::text[], $13::bytea[], $14::bytea[]) AS u(i, l, a, t, s, o, aa, ea, r, f, c, h, d, x)
ON CONFLICT (letter_id, as_of, columns_sha256) DO NOTHING RETURNING letter_id
"""
_COUNT = """
INSERT INTO reconciliation (letter_id, told) SELECT * FROM unnest($1::uuid[], $2::int[]) ON CONFLICT (letter_id) DO UPDATE SET told = reconciliation.told + excluded.told
"""


async def note(
    connection: Connection, vault: Vault, told: Sequence[tuple[uuid.UUID, Status]], *, as_of: datetime, import_id: uuid.UUID
) -> int:  # fmt: skip
    """Keeps what rows say of their letters; as_of: for those without a time of their own. In the transaction that received the letters.
    Gives how many were not told before."""
    if not told:
        return 0
    digests = [intake.body_hash(dict(status.columns)) for _, status in told]
    kept = {
        (r["letter_id"], bytes(r["columns_sha256"]))
        for r in await connection.fetch(
            "SELECT DISTINCT letter_id, columns_sha256 FROM platform_state WHERE letter_id = ANY($1)",
            [letter_id for letter_id, _ in told],
        )
    }
    ids = [new_id() for _ in told]
    ciphers = [
        None if (letter_id, digest) in kept else vault.encrypt(dict(status.columns), str(row_id))
        for row_id, digest, (letter_id, status) in zip(ids, digests, told, strict=True)
    ]
    statuses = [status for _, status in told]
    fresh = await connection.fetch(
        _NOTE, ids, [letter_id for letter_id, _ in told], [s.authority for s in statuses], [s.as_of or as_of for s in statuses],
        [s.state for s in statuses], [s.outcome for s in statuses], [s.accepted_at for s in statuses], [s.ended_at for s in statuses],
        [s.sums["recovered"] for s in statuses], [s.sums["fine"] for s in statuses], [s.sums["confiscated"] for s in statuses],
        [s.handler for s in statuses], digests, ciphers, vault.key_id, import_id,
    )  # fmt: skip
    counts = Counter(r["letter_id"] for r in fresh)
    if counts:
        # In one order, so that two imports never wait for each other.
        ordered = sorted(counts.items())
        await connection.execute(_COUNT, [letter_id for letter_id, _ in ordered], [n for _, n in ordered])
    return len(fresh)


def tell(rows: Iterable[Any]) -> Story:
    """The story of a letter from all that was told of it, whatever the order in which it came."""
    runs: list[Run] = []
    recovered: int | None = None
    for row in sorted(rows, key=lambda r: (r["as_of"], _rank(r["state"]), bytes(r["columns_sha256"]))):
        if row["recovered_fen"] is not None:
            recovered = row["recovered_fen"]
        if row["state"] is None:
            continue
        last = runs[-1] if runs else None
        # 已办结 after 不予受理 says nothing new: how it ended is known.
        if last and (row["state"] == last.state or (row["state"] == "ended" and _rank(last.state) == _ENDED)):
            runs[-1] = replace(
                last, as_of=row["as_of"], outcome=row["outcome"] or last.outcome, accepted_at=_earlier(last.accepted_at, row["accepted_at"]),
                ended_at=_earlier(last.ended_at, row["ended_at"]),
            )  # fmt: skip
        else:
            runs.append(Run(row["state"], row["as_of"], row["as_of"], row["outcome"], row["accepted_at"], row["ended_at"]))
    return Story(tuple(runs), recovered)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((t for t in (one, other) if t), default=None)


def _rank(state: str | None) -> int:
    return -1 if state is None else _RANK.get(state, _ENDED)


# -- compared


def _our_rank(state: str) -> int:
    if state in acts.MEDIATION or state == "verified":
        return 1
    return 2 if state == "case_opened" else _ENDED if state in acts.CLOSED else 0


def _same(ours: str, run: Run) -> bool:
    if ours == "settling" and run.state in _RANK:
        return True  # settlement online goes on before acceptance and after it
    if _our_rank(ours) != _rank(run.state):
        return False
    return _rank(run.state) < _ENDED or run.state == "ended" or ours in (run.state, "archived")


def judge(story: Story, current: str, base: Base | None, *, followed: bool, moved: bool) -> Judgement:
    """How the platform's newest word stands to ours. current: the matter's state; base: the last act of our own. followed: the authority's
    word is the law's. moved: current is of the platform's making."""
    top = story.runs[-1]
    if not followed:
        if _rank(top.state) == _ENDED and _our_rank(current) < _ENDED:
            return Judgement("contradiction", "partner_ended")
        return Judgement("confirmed" if _rank(top.state) == _our_rank(current) else "behind")
    lawful = next((r for r in reversed(story.runs) if r.state not in ADVERSE), None)
    if base is None:
        if top.state in ADVERSE:
            return Judgement("contradiction", "adverse", lawful)
        return Judgement("confirmed" if _same(current, top) else "followed", run=top)
    back = base.state if moved and current != base.state else None
    if _same(base.state, top):
        return Judgement("confirmed", back=None if _same(current, top) else back)
    ahead = _rank(top.state) - _our_rank(base.state)
    if ahead > 0 and top.as_of >= base.at:
        if top.state in ADVERSE:
            return Judgement("contradiction", "adverse", back=back)
        return Judgement("confirmed" if _same(current, top) else "followed", run=top)
    if ahead > 0:
        return Judgement("contradiction", "older", back=back)
    if ahead < 0 and top.as_of < base.at:
        return Judgement("behind", back=back)
    return Judgement("contradiction", "platform_behind" if ahead < 0 else "other_end", back=back)


# -- followed


async def follow_waiting(house: House, *, actor: str, limit: int = 500) -> Counter[str]:
    """Takes account of what was told of letters that are triaged; gives verdicts and how often. What an import that was killed left is
    found by the next, or by the worker."""
    done: Counter[str] = Counter()
    after = uuid.UUID(int=0)
    while True:
        async with house.database.connection() as connection:
            waiting = await connection.fetch(
                "SELECT r.letter_id FROM reconciliation r JOIN letter l ON l.id = r.letter_id WHERE r.seen < r.told AND l.state <> 'received' "
                "AND r.letter_id > $1 ORDER BY r.letter_id LIMIT $2",
                after, limit,
            )  # fmt: skip
        for row in waiting:
            after = row["letter_id"]
            try:
                async with house.database.transaction() as connection:
                    if verdict := await _follow(house, connection, row["letter_id"], actor):
                        done[verdict] += 1
            except Exception as error:  # one letter's trouble must not stop the others; its turn comes again
                log.warning("reconciling %s failed: %s", row["letter_id"], type(error).__name__)
                done["failed"] += 1
        if len(waiting) < limit:
            return done


async def _follow(house: House, connection: Connection, letter_id: uuid.UUID, actor: str) -> str | None:
    matters = await connection.fetch("SELECT * FROM matter WHERE letter_id = $1 ORDER BY id FOR NO KEY UPDATE", letter_id)
    row = await connection.fetchrow("SELECT * FROM reconciliation WHERE letter_id = $1 FOR UPDATE", letter_id)
    if not matters or row["seen"] >= row["told"]:
        return None
    states = await connection.fetch("SELECT * FROM platform_state WHERE letter_id = $1", letter_id)
    story = tell(states)
    if not story.runs:
        return await _write(connection, row, Judgement("unknown"), len(states))
    authority = max(states, key=lambda s: s["as_of"])["authority"]
    matter = _meant(matters, story)
    if matter is None:
        return await _write(connection, row, Judgement("unplaced"), len(states), authority=authority, theirs=story.runs[-1])
    if matter["history"] or matter["copy_of"] is not None:
        if matter["copy_of"] is None and authority == "platform":
            await _fill(connection, matter["id"], story.runs[-1], story.recovered_fen)
            # History was closed when it came in: here as of its own end.
            ended = story.runs[-1].at if _rank(story.runs[-1].state) == _ENDED else None
            await connection.execute(
                "UPDATE matter SET as_of = $2, closed_at = coalesce($3, closed_at) WHERE id = $1",
                matter["id"],
                story.runs[-1].as_of,
                ended,
            )
        return await _write(connection, row, Judgement("recorded"), len(states), matter, authority, story.runs[-1])
    base = await _base(connection, matter["id"])
    found = judge(story, matter["state"], base, followed=authority == "platform", moved=matter["authority"] == "platform")
    await _apply(house, connection, matter, base, found, actor)
    if authority == "platform":
        agreed = found.run or (story.runs[-1] if found.verdict == "confirmed" else None)
        await _fill(connection, matter["id"], agreed, story.recovered_fen)
    ours = base.state if base else await connection.fetchval("SELECT state FROM matter WHERE id = $1", matter["id"])
    verdict = await _write(connection, row, found, len(states), matter, authority, story.runs[-1], ours=ours)
    if found.cause:
        await work.flag(connection, matter["id"], f"platform:{found.cause}", actor, {"theirs": story.runs[-1].state})
    await audit.record(connection, actor, f"reconcile_{found.verdict}", "matter", [matter["id"]], lane=matter["lane"])
    return verdict


def _meant(matters: Sequence[Any], story: Story) -> Any:
    """The matter the newest state speaks of. None: it speaks of a procedure that this letter has none of."""
    lane = next((_BY_LANE[r.state] for r in reversed(story.runs) if r.state in _BY_LANE), None)
    fitting = [m for m in matters if lane is None or m["lane"] == lane]
    return next((m for m in fitting if m["lane"] == "complaint"), fitting[0] if fitting else None)


async def _base(connection: Connection, matter_id: uuid.UUID) -> Base | None:
    ours = [name for name, act in acts.ACTS.items() if act.target is not None]
    row = await connection.fetchrow(
        "SELECT state, at, act FROM state_change WHERE matter_id = $1 AND ((authority = 'bureau' AND act = ANY($2)) OR act = 'reconcile') "
        "ORDER BY id DESC LIMIT 1",
        matter_id, [*ours, "finish"],
    )  # fmt: skip
    return Base(row["state"], row["at"], row["act"]) if row else None


def _state_of(run: Run, lane: str) -> str:
    return _OPEN_STATE[lane] if run.state == "waiting" else run.state


async def _apply(
    house: House, connection: Connection, matter: Any, base: Base | None, found: Judgement, actor: str, *, act: str = "follow", signed_by: Sequence[str] = (),
) -> None:  # fmt: skip
    matter_id, run = matter["id"], found.run
    if run is None:
        if found.back is not None:
            assert base is not None
            await _move(house, connection, matter, found.back, base.at, "bureau", actor, "本部门的决定仍然有效", act, signed_by)
            await connection.execute("UPDATE matter SET as_of = $2 WHERE id = $1", matter_id, base.at)
            await _run_clocks(house, connection, matter, found.back, base.at, actor, ours=True)
        return
    state = _state_of(run, matter["lane"])
    if not _same(matter["state"], run):
        text = f"平台记录：{acts.STATE_LABELS[state]}（截至{local_day(run.as_of)}）；{_BASIS}"
        await _move(house, connection, matter, state, run.at, "platform", actor, text, act, signed_by)
    else:
        state = matter["state"]
    await connection.execute(
        "UPDATE matter SET authority = 'platform', as_of = $2, closed_at = CASE WHEN $3 THEN $4::timestamptz END WHERE id = $1",
        matter_id, run.as_of, state in acts.CLOSED, run.at,
    )  # fmt: skip
    await _run_clocks(house, connection, matter, state, run.at, actor, ours=base is not None and base.act != "reconcile")


async def _move(
    house: House, connection: Connection, matter: Any, state: str, at: datetime, authority: str, actor: str, note: str, act: str,
    signed_by: Sequence[str],
) -> None:  # fmt: skip
    matter_id = matter["id"]
    await cases.move(
        connection, matter_id, state, actor=actor, at=at, note=note, authority=authority, act=act, signed_by=signed_by
    )
    await handovers.follow(connection, house.vault, matter_id, state, act=act, actor=actor, at=at)
    # The platform's end may lie back; who is asked is asked from now on.
    holder = await work.holder(connection, matter_id)
    await callbacks.follow(connection, house.calendar, matter, state, at=max(at, datetime.now(UTC)), holder=holder)
    if state in acts.CLOSED:
        await cases.lapse_approvals(connection, matter_id, by=actor, at=at)
        await work.close_item(connection, matter_id, "platform_ended", actor)
    elif matter["state"] in acts.CLOSED:
        await work.reopen(connection, matter_id, actor)
    await deliveries.announce(connection, [(matter_id, "matter.reconciled", {"state": state, "authority": authority})], held=True)


async def _run_clocks(
    house: House, connection: Connection, matter: Any, state: str, at: datetime, actor: str, *, ours: bool
) -> None:  # fmt: skip
    """The clocks that run in this state: before acceptance from receipt, after it from the day of acceptance. ours: a mediation that our
    own act began keeps the day it has."""
    matter_id = matter["id"]
    first = acts.FIRST_CLOCKS.get(matter["lane"])
    rank = _our_rank(state)
    running = {
        r["key"]: r["started_at"]
        for r in await connection.fetch(
            "SELECT key, started_at FROM clock WHERE matter_id = $1 AND stopped_at IS NULL", matter_id
        )
    }
    if rank == 0 and first is not None:
        if "complaint.mediate" in running:
            await clocks.stop_clocks(connection, matter_id, at=at, by="reconciled", key="complaint.mediate", actor=actor)
        if first not in running:
            await effects.start_clock(
                house, connection, matter_id, first, matter["received_at"], received_at=matter["received_at"]
            )
    elif state == "case_opened":
        await clocks.stop_clocks(connection, matter_id, at=at, by="case_opened", key="clue.verify", actor=actor)
        if "case.decide" not in running:
            await effects.start_clock(house, connection, matter_id, "case.decide", at, received_at=matter["received_at"])
    elif rank == 1 and matter["lane"] == "complaint":
        if "complaint.accept" in running:
            await clocks.stop_clocks(connection, matter_id, at=at, by="accepted", key="complaint.accept", actor=actor)
        await cases.set_gate(connection, matter_id, "accepted", "passed", actor=actor, at=at)
        if (since := running.get("complaint.mediate")) is not None and since != at and not ours:
            await clocks.stop_clocks(
                connection, matter_id, at=max(at, since), by="reconciled", key="complaint.mediate", actor=actor
            )
            since = None
        if since is None:
            if ours:  # it ran before, from its own day
                at = await connection.fetchval(
                    "SELECT started_at FROM clock WHERE matter_id = $1 AND key = 'complaint.mediate' ORDER BY started_at LIMIT 1", matter_id
                ) or at  # fmt: skip
            await effects.start_clock(house, connection, matter_id, "complaint.mediate", at, received_at=matter["received_at"])
    await work.redate(connection, [matter_id])


async def _fill(connection: Connection, matter_id: uuid.UUID, run: Run | None, recovered_fen: int | None) -> None:
    """Outcome and money for the reports. What a person wrote when he ended it stays. run None: what the platform says does not hold."""
    await connection.execute(
        "UPDATE matter SET outcome = CASE WHEN own.ended THEN outcome ELSE $2 END, "
        "recovered_fen = CASE WHEN own.finished THEN recovered_fen ELSE $3 END FROM ("
        "SELECT count(*) > 0 AS ended, count(*) FILTER (WHERE act = 'finish') > 0 AS finished FROM state_change "
        "WHERE matter_id = $1 AND authority = 'bureau' AND act = ANY($4)) own WHERE id = $1",
        matter_id, run and (run.outcome or _OUTCOMES.get(run.state)), recovered_fen if run else None, ["finish", "agree", "terminate", "refuse", "withdraw"],
    )  # fmt: skip


_WRITE = """
UPDATE reconciliation SET seen = $2, matter_id = $3, verdict = $4, cause = $5, ours = $6, theirs = $7, authority = $8, as_of = $9,
  opened_at = CASE WHEN $4 <> 'contradiction' THEN NULL WHEN $10 THEN opened_at ELSE clock_timestamp() END,
  held = CASE WHEN $10 THEN held END, held_at = CASE WHEN $10 THEN held_at END, reason = CASE WHEN $10 THEN reason END,
  signed_by = CASE WHEN $10 THEN signed_by ELSE '{}' END
WHERE letter_id = $1
"""


async def _write(
    connection: Connection, row: Any, found: Judgement, seen: int, matter: Any = None, authority: str | None = None, theirs: Run | None = None,
    *, ours: str | None = None,
) -> str:  # fmt: skip
    """A contradiction that a person settled, or that waits already, is none anew while both sides say the same. Once followed, both agree;
    given is what was found."""
    told = theirs.state if theirs else None
    again = found.verdict == "contradiction" == row["verdict"] and (row["cause"], row["ours"], row["theirs"]) == (
        found.cause,
        ours,
        told,
    )
    await connection.execute(
        _WRITE, row["letter_id"], seen, matter["id"] if matter else None, "confirmed" if found.verdict == "followed" else found.verdict,
        found.cause, ours, told, authority,
        theirs.as_of if theirs else None, again,
    )  # fmt: skip
    return "confirmed" if again and row["held_at"] else found.verdict


# -- a person's word


_OPEN = """
SELECT r.letter_id AS id, r.letter_id AS complaint_id, r.matter_id, r.cause, r.ours, r.theirs, r.authority, r.as_of, r.opened_at, r.held, r.signed_by,
       m.lane, m.district, m.state
FROM reconciliation r JOIN matter m ON m.id = r.matter_id
WHERE r.verdict = 'contradiction' AND r.held_at IS NULL AND m.lane = ANY($1) AND EXISTS (SELECT 1 FROM unnest($2::text[]) j WHERE starts_with(m.district, j))
  AND ($3::timestamptz IS NULL OR (r.opened_at, r.letter_id) > ($3, $4)) ORDER BY r.opened_at, r.letter_id LIMIT $5
"""


async def contradictions(
    connection: Connection, principal: Principal, lanes: Sequence[str], after: tuple[datetime, uuid.UUID] | None, limit: int
) -> list[dict[str, Any]]:  # fmt: skip
    """What waits for a person's word, oldest first."""
    rows = await connection.fetch(_OPEN, list(lanes), list(principal.jurisdictions), *(after or (None, None)), limit)
    return [
        {
            **dict(r), "ours_label": _label(r["ours"]), "theirs_label": _label(r["theirs"]), "cause_label": CAUSES[r["cause"]],
            "missing": max(_persons(r["theirs"]) - len(r["signed_by"]), 0) if r["held"] else None,
        }
        for r in rows
    ]  # fmt: skip


def _label(state: str) -> str:
    return LABELS.get(state) or acts.STATE_LABELS[state]


def _persons(theirs: str) -> int:
    """How many natural persons let another's word hold against anyone. An export names no ground: what any of them needs, it needs."""
    if theirs == "not_accepted":
        return max(acts.signing("refuse", ground).persons for ground in acts.REFUSAL_GROUNDS)
    if theirs == "terminated":
        return acts.signing("terminate", "23(1)(3)").persons
    return acts.signing("not_open_case").persons if theirs == "case_not_opened" else 1


async def resolve(
    house: House, letter_id: uuid.UUID, principal: Principal, *, holds: str, reason: str, lanes: Sequence[str], at: datetime | None = None
) -> dict[str, Any]:  # fmt: skip
    """ours: what we hold stands. platform: its state is taken over, signed by as many as that needs."""
    if holds not in ("ours", "platform"):
        raise Invalid.field("holds", "must be ours or platform")
    principal.require_person("say whose word holds")
    now = at or datetime.now(UTC)
    async with house.database.transaction() as connection:
        matter_id = await connection.fetchval("SELECT matter_id FROM reconciliation WHERE letter_id = $1", letter_id)
        if matter_id is None:
            raise NotFound("no such reconciliation")
        matter = await cases.hold(connection, matter_id)
        if not principal.covers(matter["district"]) or matter["lane"] not in lanes:
            raise NotFound("no such reconciliation")
        row = await connection.fetchrow("SELECT * FROM reconciliation WHERE letter_id = $1 FOR UPDATE", letter_id)
        if row["verdict"] != "contradiction" or row["held_at"] is not None:
            raise Conflict("nothing waits here for a person's word")
        if holds == "platform" and row["authority"] != "platform":
            raise Conflict("a hotline's ticket ends no complaint (Art. 40); end it by an act of your own, or let ours hold")
        signers = [*row["signed_by"], principal.subject] if holds == row["held"] else [principal.subject]
        if len(set(signers)) < len(signers):
            raise Forbidden("a second person must sign; you signed already")
        missing = max(_persons(row["theirs"]) - len(signers), 0) if holds == "platform" else 0
        await connection.execute(
            "UPDATE reconciliation SET held = $2, signed_by = $3, reason = $4, held_at = CASE WHEN $5 THEN $6::timestamptz END WHERE letter_id = $1",
            letter_id, holds, signers, reason, missing == 0, now,
        )  # fmt: skip
        if holds == "platform" and missing == 0:
            story = tell(await connection.fetch("SELECT * FROM platform_state WHERE letter_id = $1", letter_id))
            taken = Judgement("followed", run=story.runs[-1])
            await _apply(house, connection, matter, None, taken, principal.subject, act="reconcile", signed_by=signers)
            await _fill(connection, matter_id, story.runs[-1], story.recovered_fen)
        await audit.record(connection, principal.subject, f"reconcile_{holds}", "matter", [matter_id], lane=matter["lane"])
        state = await connection.fetchval("SELECT state FROM matter WHERE id = $1", matter_id)
    return {
        "id": letter_id,
        "matter_id": matter_id,
        "holds": holds,
        "state": state,
        "state_label": acts.STATE_LABELS[state],
        "missing": missing,
    }
