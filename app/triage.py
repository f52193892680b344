"""The journey of a complaint that arrives: receive, then once down the list, in one transaction.

read -> split (Art. 9) -> complainant -> merchant -> copy (R1)? -> incident -> findings -> facts -> decide -> case,
gates, clocks -> work item -> outbox. Reading, tokens and vectors are made before the transaction opens.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from app import (
    acts,
    baselines,
    calendar,
    callbacks,
    cases,
    clocks,
    codes,
    complainants,
    crowds,
    deliveries,
    directories,
    incidents,
    intake,
    jurisdiction,
    law,
    merchants,
    policy,
    portraits,
    privacy,
    repeats,
    terms,
    work,
)
from app.calendar import Calendar, local_day
from app.codes import region_name
from app.complainants import Linked
from app.database import Connection, Database, to_array, to_json
from app.identity import new_id
from app.incidents import Assigned
from app.intake import Complaint, Letter, Receipt
from app.jurisdiction import Jurisdiction
from app.merchants import Resolved
from app.policy import Decided, Facts, Policy
from app.privacy import Vault
from app.reading import Reader, ReadLetter, facts_of, load_brands, load_frequencies, may_be_defect, signals, with_spans
from app.settings import Settings
from ml import incidents as incident_engine
from ml import linkage
from ml import merchants as merchant_engine
from ml.scorecards import Scorecard

MAX_ATTEMPTS = 8
# What the 12345 hotline hands over is answered to it in its own term besides the law's.
HOTLINE = "hotline12345"
WEB_HEAD_START_SECONDS = 15.0
_RETRIES = 3

log = logging.getLogger(__name__)


@dataclass(repr=False)
class House:
    """What every journey stands on; made once a process. calendar and policies are refreshed by refresh()."""

    settings: Settings
    database: Database
    vault: Vault
    reader: Reader
    calendar: Calendar
    policies: list[Policy]
    scale: complainants.Scale
    merchant_scorecard: Scorecard
    incident_scorecard: Scorecard
    brands_from: datetime | None = None
    platforms: directories.Platforms = field(default_factory=directories.Platforms)

    @classmethod
    async def open(cls, settings: Settings, database: Database, vault: Vault) -> "House":
        reader = Reader(vault.mac, use_devices=settings.use_devices)
        parameters = linkage.load(settings.linkage) if settings.linkage else linkage.shipped_parameters()
        scale = complainants.Scale.of(parameters, 0)
        house = cls(
            settings, database, vault, reader, calendar.shipped_calendar(terms.load(settings.terms)), [], scale,
            Scorecard.load(settings.merchants) if settings.merchants else merchant_engine.shipped_scorecard(),
            Scorecard.load(settings.incidents) if settings.incidents else incident_engine.shipped_scorecard(),
        )  # fmt: skip
        async with database.connection() as connection:
            await privacy.check_keys(connection, vault)
        await house.refresh()
        # Dictionaries are loaded at the first text: here, not in the first citizen's request.
        codes.find_elsewhere("北京市")
        reader.read(
            Letter.make(
                "warm-up",
                Complaint(external_id="0", text="在武汉市武昌区购买手机，要求退款"),
                now=datetime.now(UTC),
                history=False,
            )
        )
        return house

    async def refresh(self) -> None:
        async with self.database.connection() as connection:
            self.calendar = await calendar.load(connection, self.calendar.terms)
            self.policies = await policy.load(connection, self.policies)
            self.reader.frequencies = await load_frequencies(connection)
            self.reader.code_map = await codes.load_map(connection)
            self.platforms = await directories.load_platforms(connection)
            self.brands_from = await load_brands(connection, self.reader.brands, self.brands_from)
            self.scale = await complainants.load_scale(connection, self.scale.parameters)

    def policy_at(self, place: str | None, now: datetime) -> Policy:
        """The policy in force on that day at a place: a district, the common beginning of several, or None. What lies outside the
        deployment's jurisdiction, or nowhere, is decided by the deployment's own."""
        home = self.settings.jurisdiction
        return policy.in_force(self.policies, local_day(now), place if place and place.startswith(home) else home)

    async def keep_fresh(self, every_seconds: float = 30) -> None:
        """Runs until cancelled. A refresh that fails leaves the last state in force."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                await self.refresh()
            except Exception as error:
                log.warning("refresh failed: %s", type(error).__name__)


@dataclass(frozen=True, slots=True)
class MatterView:
    """What the portal may know of a matter: nothing about other people, incidents or suspicions."""

    id: uuid.UUID
    lane: str
    kind: str
    state: str
    track: str
    due_at: datetime | None
    provisional: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    letter_id: uuid.UUID
    kind: str
    matters: tuple[MatterView, ...]
    missing: tuple[str, ...]
    jointly: bool = False


async def receive(house: House, source: str, body: Complaint) -> Receipt:
    """The first transaction alone: the worker does the rest. Raises DifferentContent."""
    letter = Letter.make(source, body, now=datetime.now(UTC), history=False)
    async with house.database.connection() as connection:
        return await _receive(house, connection, letter, triage_after_seconds=0)


async def _receive(house: House, connection: Connection, letter: Letter, *, triage_after_seconds: float) -> Receipt:
    # Attachments make it two tables and so a transaction; otherwise the one INSERT commits itself.
    async with connection.transaction() if letter.body.attachments else nullcontext():
        answer = (await intake.receive(connection, house.vault, [letter], triage_after_seconds=triage_after_seconds))[0]
    if isinstance(answer, Exception):
        raise answer
    return answer


async def receive_and_triage(house: House, source: str, body: Complaint) -> tuple[Receipt, Outcome | None]:
    """Both transactions with the 2 s limit; outcome None: a worker finishes it. A letter received before is answered
    as it stands now."""
    letter = Letter.make(source, body, now=datetime.now(UTC), history=False)
    async with house.database.connection() as connection:
        receipt = await _receive(house, connection, letter, triage_after_seconds=WEB_HEAD_START_SECONDS)
        if receipt.created:
            try:
                async with asyncio.timeout(house.settings.triage_seconds):
                    return receipt, await triage(house, letter, connection=connection)
            except Exception as error:
                # The letter is safe; whatever is wrong here must not cost the caller an answer. A worker tries again.
                log.warning("triage of %s postponed: %s", letter.id, type(error).__name__)
                return receipt, None
    return receipt, await read_outcome(house, receipt.letter_id)


async def triage(
    house: House, letter: Letter, *, now: datetime | None = None, connection: Connection | None = None
) -> Outcome | None:
    """The second transaction, on the given connection or one of its own. None: somebody else triaged the letter.
    Retried on deadlock, serialisation failure and a unique key that another took first."""
    if connection is None:
        async with house.database.connection() as own:
            return await triage(house, letter, now=now, connection=own)
    read = house.reader.read(letter)
    at = now or datetime.now(UTC)
    for attempt in range(_RETRIES):
        try:
            async with connection.transaction():
                return await _triage(house, connection, read, at)
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.UniqueViolationError):
            if attempt == _RETRIES - 1:
                raise
            await asyncio.sleep(0.01 * (attempt + 1))
    return None


class _DryRun(Exception):
    """Carries the outcome out of a transaction that must roll back."""

    def __init__(self, outcome: Outcome | None) -> None:
        super().__init__()
        self.outcome = outcome


async def dry_run(house: House, source: str, body: Complaint) -> Outcome | None:
    """What triage would answer now; nothing is kept."""
    letter = Letter.make(source, body, now=datetime.now(UTC), history=False)
    read = house.reader.read(letter)
    try:
        async with house.database.transaction() as connection:
            receipt = await _receive(house, connection, letter, triage_after_seconds=0)
            if receipt.created:
                raise _DryRun(await _triage(house, connection, read, datetime.now(UTC)))
    except _DryRun as done:
        return done.outcome
    return await read_outcome(house, receipt.letter_id)


@dataclass(slots=True)
class _Matter:
    """One matter on its way down the list."""

    id: uuid.UUID
    sequence: int
    lane: str
    # Who is competent; None for what is neither complaint nor report. district: the matter's, the deployment's own where nobody said.
    place: Jurisdiction | None
    district: str
    original: Any = None
    incident: Assigned | None = None
    around: crowds.Situation = field(default_factory=crowds.Situation)
    findings: list[dict[str, Any]] | None = None
    # R5, and a person must say whether it is handled anew: no second term until then (Art. 35(2)).
    told_before: bool = False
    decided: Decided | None = None
    facts: Facts | None = None


async def _triage(house: House, connection: Connection, read: ReadLetter, now: datetime) -> Outcome | None:
    letter = read.letter
    if not await intake.take(connection, letter.id):
        return None
    linked: list[Linked] = []
    if read.people:
        await complainants.lock_people(connection, read.people)
        for role, tokens in read.people:
            linked.append(
                await complainants.link(
                    connection, house.scale, letter.id, role, tokens, at=letter.event_at, key_id=house.vault.key_id
                )
            )
        if len(linked) > 1:  # the agent's record may have shown that the principal was known under two ids
            now_at = await complainants.places(connection, [p.record_id for p in linked])
            linked = [replace(p, complainant_id=now_at[p.record_id]) for p in linked]
    filer = next((x for x in linked if x.role in ("filer", "principal")), None)
    resolved = await merchants.resolve(connection, read.merchants, house.merchant_scorecard) if read.merchants else []
    merchant_id = resolved[0].merchant_id if resolved else None
    features = incidents.features(read, merchant_id)
    matters = [_Matter(new_id(), n, lane, *_placed(house, read, lane, resolved)) for n, lane in enumerate(read.lanes, 1)]
    first: _Matter = matters[0]
    current = house.policy_at(first.district, now)
    earlier = await _earlier(connection, filer, letter, current.thresholds, now)
    odr = await directories.odr_status(connection, resolved[0].usccs, local_day(now)) if resolved else directories.OdrStatus(None)
    for matter in matters:
        matter.original = repeats.copied(read, merchant_id, earlier, matter.lane)
        if matter.original is not None:
            if matter.original["incident_id"]:
                await incidents.follow(
                    connection, matter.original["incident_id"], matter.id, {"copy_of": str(matter.original["id"])}
                )
        elif matter is not first and first.incident is not None:
            # Complaint and report of one letter are about one thing.
            await incidents.follow(connection, first.incident.incident_id, matter.id, {"same_letter_as": str(first.id)})
            matter.incident = first.incident
        else:
            written = resolved[0].written if resolved else None
            name = written.name.core if written and written.name and written.stated else None
            title = portraits.title(read, name)
            matter.incident = await incidents.assign(
                connection, matter.id, features, house.reader.tokeniser, house.incident_scorecard, title, counted=letter.history
            )
        incident_id = matter.incident.incident_id if matter.incident else matter.original and matter.original["incident_id"]
        if incident_id and matter.lane == "complaint":
            matter.around = await _around(connection, matter, incident_id, read, filer, earlier, current.thresholds)
        matter.facts = _facts(matter, read, odr, earlier, current.thresholds)
        matter.findings = repeats.findings(
            matter.lane, read, earlier, linked, merchant_id, matter.original, current.thresholds, matter.district
        ) + _limits(house, matter, letter)
        matter.told_before = any(f["evidence"].get("to_confirm") for f in matter.findings)
        matter.decided = _at_the_desk(matter, policy.decide(current, matter.facts), read)

    rows = _rows(house, read, matters, linked, resolved, current, now)
    await cases.open_matters(connection, rows)
    for matter in matters:
        if matter.original is not None and matter.lane == "complaint" and repeats.received_first(letter, matter.original):
            await _tell_later_one(connection, matter, letter)
    live = [m for m in matters if not letter.history and m.original is None and m.decided and m.decided.track != "none"]
    # The first to end of each.
    running = {c["matter_id"]: c for c in sorted(rows["clock"], key=lambda c: c["due_at"], reverse=True)}
    await work.enqueue(
        connection,
        [_work_item(m, read, running.get(m.id) or _by_then(house, m, letter)) for m in live if _needs_person(m, read)],
    )  # fmt: skip
    if not letter.history:
        for matter in matters:
            for said in matter.findings or ():
                if said["code"] == "R2":
                    await _look_again(house, connection, uuid.UUID(said["evidence"]["earlier"]), matter.id, now)
        await deliveries.announce(
            connection,
            [(m.id, "matter.triaged", {"letter_id": str(letter.id), "lane": m.lane, "track": m.decided.track}) for m in matters if m.decided],
            held=True,
        )  # fmt: skip
    for matter in live:
        if read.reading.kind == "emergency":
            await deliveries.raise_page(connection, matter.id, page_payload(read))
    views = {r["id"]: r for r in rows["matter"]}
    return Outcome(
        letter.id, read.reading.kind,
        tuple(
            MatterView(
                m.id, m.lane, read.reading.kind, views[m.id]["state"], views[m.id]["track"],
                running[m.id]["due_at"] if m.id in running else None, bool(m.id in running and running[m.id]["provisional"]),
            )
            for m in matters
        ),
        read.missing,
    )  # fmt: skip


_ENDED_BY = {"agreed": "agree", "terminated": "terminate", "not_accepted": "refuse", "withdrawn": "withdraw"}


async def _look_again(
    house: House, connection: Connection, earlier_id: uuid.UUID, matter_id: uuid.UUID, now: datetime
) -> None:  # fmt: skip
    """R2: its complainant is called back, and a supervisor looks at how the dispute was ended before (Art. 26); the new matter's track is
    not touched. What is done with it is a person's choice (reviewing.choose)."""
    row = await connection.fetchrow(
        "SELECT state FROM matter WHERE id = $1 AND NOT history AND closed_at IS NOT NULL", earlier_id
    )
    if row is None:
        return
    handled_by = await callbacks.handlers(connection, earlier_id)
    reason = f"同一争议办结后再次投诉，请回访核查原办理情况（{law.cite(law.ORDER_121, 26)}）"
    act, detail = _ENDED_BY.get(row["state"], "archive"), {"repeat": "R2", "matter_id": str(matter_id)}
    if not await cases.propose(
        connection, new_id(), earlier_id, kind="sample", act=act, ground=None, reason=reason, detail=detail, persons=len(handled_by) + 1,
        signed_by=handled_by, at=now,
    ):  # fmt: skip
        await cases.add_to_sample(connection, earlier_id, act, detail)
    await callbacks.ask_again(connection, house.calendar, earlier_id, row["state"], at=now)


def _placed(house: House, read: ReadLetter, lane: str, resolved: Sequence[Resolved]) -> tuple[Jurisdiction | None, str]:
    """(who is competent, the matter's district)."""
    home = house.settings.jurisdiction
    known = resolved[0].districts if resolved else ()
    place = jurisdiction.find(read, lane, house.platforms, home, local_day(read.letter.received_at), registered=known)
    return place, (place.district if place else read.district) or home


def _at_the_desk(matter: _Matter, decided: Decided, read: ReadLetter) -> Decided:
    """What another bureau is competent for stays with the intake desk, whose track the policy's proposal is told beside. An emergency
    waits for nobody."""
    if (
        matter.place is None
        or matter.place.outside is None
        or decided.track not in ("t1", "t2", "t3", "clue")
        or read.letter.history
    ):
        return decided
    return replace(decided, track="intake", rule=jurisdiction.OUTSIDE, gates=[], left=[], alternative=decided.track)


async def _tell_later_one(connection: Connection, matter: _Matter, letter: Letter) -> None:
    """Whoever works on the original sees that another receipt was before it (Art. 14): a person says who handles it, and from when the
    term counts."""
    told = {"copy": str(matter.id), **repeats.receipts(letter, matter.district, matter.original)}
    await connection.execute(
        "INSERT INTO finding (id, matter_id, code, evidence) VALUES ($1, $2, 'earlier_receipt', $3)", new_id(), matter.original["id"], to_json(told)
    )  # fmt: skip
    await work.flag(connection, matter.original["id"], "earlier_receipt", "triage", told)


async def _earlier(
    connection: Connection, filer: Linked | None, letter: Letter, thresholds: Mapping[str, float], now: datetime
) -> list[Any]:  # fmt: skip
    """The person's other matters: also those received after this letter, where it came late."""
    until = letter.event_at if letter.history else now
    if filer is None or not filer.known:
        return []
    days = max(repeats.window_days(thresholds), repeats.COPY_DAYS)
    return await cases.earlier(
        connection, filer.complainant_id, letter.event_at - timedelta(days=days), max(letter.event_at + timedelta(days=1), until),
        repeats.most_counted(thresholds),
    )  # fmt: skip


async def _around(
    connection: Connection, matter: _Matter, incident_id: uuid.UUID, read: ReadLetter, filer: Linked | None, earlier: Sequence[Any],
    thresholds: Mapping[str, float],
) -> crowds.Situation:  # fmt: skip
    """The matter's incident with the matter itself, whose row is not written yet: its person is counted here unless already in. Whether
    so many are more than usual is asked when they are enough to matter, and only where the worker has not found out yet."""
    opened = bool(matter.incident and matter.incident.opened)
    known = crowds.Situation(1 if opened else 0)
    if not opened:
        people = dict(read.people)
        own = people.get("filer") or people.get("principal")
        # What an agent gave as well is not the person's own.
        contacts = set(own.comparison if own else ()) - set(people["agent"].comparison if "agent" in people else ())
        known = await crowds.situation(
            connection, incident_id, person=filer.complainant_id if filer else None, contacts=contacts,
            counted=_already_counted(earlier, incident_id), names=thresholds.get("identity.shared", crowds.SHARED_NAMES),
        )  # fmt: skip
        if filer is None:
            known = replace(known, people=known.people + 1)
    excess = known.excess
    if excess is None and known.people >= thresholds["cluster.watch"]:
        excess, _ = await baselines.exceeds(connection, incident_id, known.people, probability=baselines.probability(thresholds))
    return replace(
        known, districts=known.districts | ({matter.district} if codes.is_district(matter.district) else set()), excess=excess
    )


def _already_counted(earlier: Sequence[Any], incident_id: uuid.UUID) -> bool:
    return any(e["incident_id"] == incident_id and e["lane"] == "complaint" for e in earlier)


def _limits(house: House, matter: _Matter, letter: Letter) -> list[dict[str, Any]]:
    """Limitation that may have run out, for a person to judge: three years to complain (Art. 16(4)), the penalty law's two or five."""
    on, event_on = local_day(letter.received_at), letter.body.event_date
    if letter.history or event_on is None or matter.facts is None or on < calendar.CLOCKS_FROM:
        return []
    if matter.lane == "complaint":
        limit = clocks.time_bar(house.calendar, on, event_on=event_on, mode=house.settings.due_mode)
        doubtful = False
    elif matter.lane == "report":
        # That nobody was hurt is not known from silence: then it is said to be open.
        harm = True if matter.facts.harm in ("medium", "high") else None
        limit = clocks.penalty_limit(house.calendar, on, act_on=event_on, harm=harm)
        doubtful = limit.expired == "unknown" and limit.expires_on is not None
    else:
        return []
    if limit.expired != "yes" and not doubtful:
        return []
    return [{"code": "time_bar" if matter.lane == "complaint" else "penalty_limit", "evidence": limit.as_json()}]


def _facts(
    matter: _Matter, read: ReadLetter, odr: directories.OdrStatus, earlier: Sequence[Any], thresholds: Mapping[str, float]
) -> Facts:  # fmt: skip
    reading, body = read.reading, read.letter.body
    recent = repeats.within(earlier, read.letter.event_at, thresholds.get("person.repeat_days", 90))
    dangers = [(d.type, d.severity) for d in reading.dangers]
    return Facts(
        lane=matter.lane,
        kind=reading.kind,
        **signals(dangers, goods=reading.goods, issues=reading.issues),
        **facts_of(s.type for s in reading.signals),
        punitive=reading.punitive is not None,
        amount_fen=read.amount_fen or 0,
        incident_people=matter.around.people,
        incident_districts=max(len(matter.around.districts), 1),
        incident_excess=matter.around.excess is not False,
        incident_harm="high" if matter.around.harm else "none",
        person_complaints=1 + sum(e["lane"] == "complaint" for e in recent),
        odr_live=odr.live,
        odr_reply_rate=odr.reply_rate,
        odr_exit=odr.exit_on is not None,
        chose_odr=body.chose_odr,
        delegate_consent=body.consents.delegate,
    )


def page_payload(read: ReadLetter) -> dict[str, Any]:
    """What a pager shows: where, and which dangers. No words of the letter."""
    return {
        "complaint_id": str(read.letter.id), "district": region_name(read.district), "received_at": read.letter.received_at.isoformat(),
        "dangers": sorted({d.type for d in read.reading.dangers if d.severity == "high"}),
    }  # fmt: skip


def _needs_person(matter: _Matter, read: ReadLetter) -> bool:
    """Enquiries read with confidence are counted, not cased. Whatever is in doubt goes to a person."""
    return not (read.reading.kind == "enquiry" and read.reading.probability >= 0.8)


def priority(facts: Facts, track: str) -> int:
    """0 to 6, the steps an item is moved forward by."""
    return min(
        4 * (track == "emergency") + 2 * (facts.harm in ("medium", "high")) + facts.safety_signal + facts.vulnerable,
        work.MAX_PRIORITY,
    )


def _by_then(house: House, matter: _Matter, letter: Letter) -> Mapping[str, Any] | None:
    """By when a person should have said whether a report is handled anew: its own term, should it run after all."""
    received_on = local_day(letter.received_at)
    if not matter.told_before or received_on < calendar.CLOCKS_FROM:
        return None
    return {"due_at": calendar.due(house.calendar, "clue.verify", received_on, mode=house.settings.due_mode).due_at}


def _work_item(matter: _Matter, read: ReadLetter, clock: Mapping[str, Any] | None) -> dict[str, Any]:
    facts, decided = matter.facts, matter.decided
    assert facts is not None
    assert decided is not None
    return {
        "matter_id": matter.id, "track": decided.track, "district": matter.district,
        "priority": priority(facts, decided.track),
        "due_at": clock["due_at"] if clock else None, "received_at": read.letter.received_at,
    }  # fmt: skip


def _rows(
    house: House, read: ReadLetter, matters: Sequence[_Matter], linked: Sequence[Linked], resolved: Sequence[Resolved], current: Policy,
    now: datetime,
) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    letter, reading = read.letter, read.reading
    rows: dict[str, list[dict[str, Any]]] = {
        t: [] for t in ("matter", "party", "respondent", "decision", "gate", "clock", "state_change", "finding")
    }
    stored_reading = read.as_json()
    received_on = local_day(letter.received_at)
    for matter in matters:
        decided, facts = matter.decided, matter.facts
        assert decided is not None
        assert facts is not None
        copy = matter.original is not None
        track = "none" if copy or not _needs_person(matter, read) else decided.track
        state = _first_state(matter, letter)
        rows["matter"].append(
            {
                "id": matter.id, "letter_id": letter.id, "sequence": matter.sequence, "lane": matter.lane, "kind": reading.kind,
                "kind_probability": reading.probability, "source": letter.source, "channel": letter.channel, "district": matter.district,
                "goods": reading.goods, "problem": reading.problem, "issues": list(reading.issues), "demands": list(reading.demands),
                "amount_fen": read.amount_fen, "reading": stored_reading, "terms": to_array(read.terms),
                "term_weights": to_array(read.terms.values()), "order_token": read.order_token,
                "product_token": read.product_token, "lot_token": read.lot_token, "place_tokens": to_array(read.place_tokens),
                "shop_token": read.shop_token, "name_tokens": to_array(sorted(read.names)), "city": read.city, "quarter": read.quarter,
                "signature": to_array(read.signature), "compared": letter.history or copy or not read.signature,
                "event_on": letter.body.event_date, "received_at": letter.received_at,
                "event_at": letter.event_at, "history": letter.history, "merchant_id": resolved[0].merchant_id if resolved else None,
                "copy_of": matter.original["id"] if copy else None, "state": state, "authority": "platform" if letter.history else "bureau",
                "as_of": now, "track": track, "closed_at": now if state in acts.CLOSED else None,
            }
        )  # fmt: skip
        rows["party"] += [{"matter_id": matter.id, "record_id": p.record_id, "role": p.role} for p in linked]
        for number, one in enumerate(resolved, 1):
            respondent_id = new_id()
            written = one.written
            contact = house.vault.encrypt(written.contact, str(respondent_id)) if written.contact else None
            rows["respondent"].append(
                {
                    "id": respondent_id, "matter_id": matter.id, "sequence": number, "merchant_id": one.merchant_id,
                    "written_name": written.name.written if written.name else None, "shop": written.name.shop or None if written.name else None,
                    "platform": written.platform, "stated": written.stated, "contact_cipher": contact,
                    "key_id": house.vault.key_id if contact else None, "origin": "auto", "evidence": one.evidence,
                }
            )  # fmt: skip
        if copy:
            copied = [
                jurisdiction.copied(
                    matter.lane, matter.district, matter.original, accepted=matter.original["state"] not in acts.WAITING,
                    earlier=repeats.received_first(letter, matter.original),
                )
            ]  # fmt: skip
            decided = Decided("none", "R1", copied, [], None, "one_person")
        reasons = [*(with_spans(r, stored_reading) for r in decided.reasons), *_asides(letter, matter)]
        if decided.rule == jurisdiction.OUTSIDE:  # that it stays is told first
            reasons = [*_asides(letter, matter), *decided.reasons]
        if matter.told_before:
            text = "同一举报人此前已就同一事实举报同一被举报人，由工作人员确认是否不再另行处理；确认前不另行起算期限"
            reasons.append({"text": text, "legal_basis": law.cite(law.ORDER_121, 35, 2)})
        rows["decision"].append(
            {
                "id": new_id(), "matter_id": matter.id, "kind": "initial", "decided_at": now, "actor": "triage", "track": track,
                "rule": decided.rule, "reasons": reasons, "facts": facts.as_json(),
                "evidence": {
                    "people": [{"role": p.role, "complainant_id": p.complainant_id, "joined": p.evidence["joined"]} for p in linked],
                    "incident": {"incident_id": matter.incident.incident_id, "joined": matter.incident.evidence["joined"]}
                    if matter.incident and "joined" in matter.incident.evidence else None,
                    "dangers": stored_reading["dangers"], "signals": stored_reading["signals"],
                    **({"jurisdiction": matter.place.as_json()} if matter.place else {}),
                },
                "alternative": decided.alternative, "sign": decided.sign, "policy_hash": current.hash,
                "law": calendar.law_of(received_on),
                "parameters": {
                    "linkage": house.scale.compiled.version, "incidents": house.incident_scorecard.version,
                    "merchants": house.merchant_scorecard.version, **stored_reading["versions"],
                    # policy_hash names the narrowest: what its thresholds were laid over belongs to the record too.
                    **({"policies": list(current.versions)} if len(current.versions) > 1 else {}),
                },
            }
        )  # fmt: skip
        live = not letter.history and not copy
        rows["state_change"].append(
            {"matter_id": matter.id, "state": state, "actor": "triage", "authority": "platform" if letter.history else "bureau",
             "at": now, "note": decided.rule}
        )  # fmt: skip
        if live:
            rows["gate"] += [
                {"matter_id": matter.id, "track": track_of, "name": g.name, "state": g.state, "actor": "portal" if g.state != "open" else None,
                 "at": now if g.state != "open" else None, "basis": g.basis}
                for track_of, g in (*((decided.track, g) for g in decided.gates), *decided.left)
            ]  # fmt: skip
            key = acts.FIRST_CLOCKS.get(matter.lane)
            if key and received_on >= calendar.CLOCKS_FROM and not matter.told_before:
                due = calendar.due(house.calendar, key, received_on, mode=house.settings.due_mode)
                rows["clock"].append(clocks.clock_row(new_id(), matter.id, due, letter.received_at))
            if (
                key
                and matter is matters[0]
                and received_on >= calendar.CLOCKS_FROM
                and may_be_defect(reading.goods, [(d.type, d.severity) for d in reading.dangers])
            ):
                # The producer's duty, watched here from the day the bureau learns of it; a person ends it.
                due = calendar.due(house.calendar, "defect.report", received_on, mode=house.settings.due_mode)
                rows["clock"].append(clocks.clock_row(new_id(), matter.id, due, letter.received_at))
            if letter.channel == HOTLINE and matter is matters[0] and received_on >= calendar.CLOCKS_FROM:
                due = calendar.due(house.calendar, "hotline12345.reply", received_on, mode=house.settings.due_mode)
                rows["clock"].append(clocks.clock_row(new_id(), matter.id, due, letter.received_at))
        for found in matter.findings or ():
            rows["finding"].append({"id": new_id(), "matter_id": matter.id, **found})
    return rows


def _asides(letter: Letter, matter: _Matter) -> list[Mapping[str, Any]]:
    """What bears on the matter whatever its track."""
    said: list[Mapping[str, Any]] = []
    if letter.history:
        text = "历史记录，只用于统计分析和关联，不起算期限、不派件"
        said.append({"text": text, "legal_basis": law.cite(law.ORDER_121, 38)})
    if matter.place is not None:
        said += matter.place.said(matter.lane)
    return said


def _first_state(matter: _Matter, letter: Letter) -> str:
    if matter.original is not None:
        return "merged"
    if letter.history:
        return "history"
    if matter.told_before:
        return "registered"
    return {"complaint": "pending_acceptance", "report": "verifying"}.get(matter.lane, "registered")


# -- the second way in: the worker


async def triage_waiting(house: House, *, limit: int = 20) -> int:
    """Claims letters that nobody triaged and finishes them. After MAX_ATTEMPTS a letter goes to the human desk."""
    async with house.database.connection() as connection:
        claimed = await intake.claim_untriaged(connection, limit)
    for letter_id, attempts in claimed:
        error = "Unfinished"  # a letter that ended its process often enough, without an exception of ours
        if attempts <= MAX_ATTEMPTS:
            try:
                async with house.database.connection() as connection:
                    letter = await intake.open_letter(connection, house.vault, letter_id)
                    await triage(house, letter, connection=connection)
                continue
            except Exception as failure:
                # One letter's fault must not stop the others; its turn comes again, and in the end a person's.
                error = type(failure).__name__
                log.warning("triage of %s failed (attempt %d): %s", letter_id, attempts, error)
        try:
            await _give_up(house, letter_id, error, attempts)
        except Exception as failure:
            log.error("%s could not be handed to a person: %s", letter_id, type(failure).__name__)
    return len(claimed)


async def _give_up(house: House, letter_id: uuid.UUID, error: str, attempts: int) -> None:
    async with house.database.transaction() as connection:
        if attempts < MAX_ATTEMPTS:
            await intake.note_failure(connection, letter_id, error)
            return
        if not await intake.take(connection, letter_id, "human", error=error):
            return
        await open_for_human(house, connection, letter_id, error)


async def open_for_human(house: House, connection: Connection, letter_id: uuid.UUID, error: str) -> None:
    """A matter with nothing read: the intake desk reads it. Its statutory clock runs all the same; history is only kept."""
    row = await connection.fetchrow("SELECT source, channel, received_at, event_at, history FROM letter WHERE id = $1", letter_id)
    now = datetime.now(UTC)
    received_on = local_day(row["received_at"])
    matter_id = new_id()
    history = row["history"]
    current = house.policy_at(None, now)
    due = None
    if not history and received_on >= calendar.CLOCKS_FROM:
        due = calendar.due(house.calendar, "complaint.accept", received_on, mode=house.settings.due_mode)
    state, authority = ("history", "platform") if history else ("pending_acceptance", "bureau")
    reason = {"text": "自动分析多次失败，转人工登记", "legal_basis": "《市场监督管理投诉举报处理办法》第十五条"}
    await cases.open_matters(
        connection,
        {
            "matter": [
                {
                    "id": matter_id, "letter_id": letter_id, "sequence": 1, "lane": "complaint", "kind": "complaint", "kind_probability": 0,
                    "source": row["source"], "channel": row["channel"], "district": house.settings.jurisdiction, "issues": [], "demands": [],
                    "reading": {"missing": [], "dangers": []}, "terms": "{}", "term_weights": "{}", "place_tokens": "{}",
                    "name_tokens": "{}", "city": "", "quarter": "", "signature": "{}", "compared": True,
                    "received_at": row["received_at"], "event_at": row["event_at"], "history": history, "state": state,
                    "authority": authority, "as_of": now, "track": "intake", "closed_at": now if history else None,
                }
            ],
            "decision": [
                {
                    "id": new_id(), "matter_id": matter_id, "kind": "initial", "decided_at": now, "actor": "worker", "track": "intake",
                    "rule": "triage_failed", "reasons": [reason], "facts": {}, "evidence": {"error": error}, "alternative": None,
                    "sign": "one_person", "policy_hash": current.hash, "law": calendar.law_of(received_on), "parameters": {},
                }
            ],
            "clock": [clocks.clock_row(new_id(), matter_id, due, row["received_at"])] if due else [],
            "state_change": [
                {"matter_id": matter_id, "state": state, "actor": "worker", "authority": authority, "at": now, "note": "triage_failed"}
            ],
        },
    )  # fmt: skip
    if not history:
        item = {
            "matter_id": matter_id, "track": "intake", "district": house.settings.jurisdiction, "priority": 3,
            "due_at": due.due_at if due else None, "received_at": row["received_at"],
        }  # fmt: skip
        await work.enqueue(connection, [item])


_OUTCOME = """
SELECT m.id, m.lane, m.kind, m.state, m.track, m.reading -> 'missing' AS missing, c.due_at, c.provisional, EXISTS (
  SELECT 1 FROM joint_member jm JOIN joint_matter j ON j.id = jm.joint_matter_id AND j.state = 'joined'
  WHERE jm.matter_id = m.id AND jm.left_at IS NULL) AS jointly
FROM matter m JOIN letter l ON l.id = m.letter_id AND l.source = m.source LEFT JOIN LATERAL (
  SELECT due_at, provisional FROM clock WHERE matter_id = m.id AND stopped_at IS NULL AND paused_at IS NULL ORDER BY due_at LIMIT 1
) c ON true WHERE m.letter_id = $1 ORDER BY m.sequence
"""


async def read_outcome(house: House, letter_id: uuid.UUID) -> Outcome | None:
    """What the portal may know of a letter now; None while it waits for triage. A clue that the bureau itself found is nothing the
    complainant filed (Art. 37)."""
    async with house.database.connection() as connection:
        rows = await connection.fetch(_OUTCOME, letter_id)
    if not rows:
        return None
    return Outcome(
        letter_id, rows[0]["kind"],
        tuple(MatterView(r["id"], r["lane"], r["kind"], r["state"], r["track"], r["due_at"], bool(r["provisional"])) for r in rows),
        tuple(rows[0]["missing"]), any(r["jointly"] for r in rows),
    )  # fmt: skip
