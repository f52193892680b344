"""Complaints: receive one or many, read, list, supplement, withdraw, consent."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from app import audit, cases, contacts, intake, joining, joint, settling, work
from app.acts import STATE_LABELS
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.dossier import MISSING_LABELS, known_reasons
from app.errors import DifferentContent, Forbidden, Invalid, NotFound
from app.identity import Principal
from app.intake import MAX_TEXT, Clean, Complaint, Letter, Receipt
from app.policy import TRACK_LABELS
from app.privacy import mask_person, mask_text
from app.triage import House, Outcome, dry_run, read_outcome, receive, receive_and_triage, triage

router = APIRouter(prefix="/v1/complaints", tags=["complaints"], responses=PROBLEMS)

MAX_BATCH = 1000
_AT_ONCE = 4
_EXAMPLE: dict[str, Any] = {
    "id": "019aa0c0-0000-7000-8000-000000000001",
    "state": "pending_acceptance",
    "kind": "complaint",
    "matters": [
        {
            "id": "019aa0c0-0000-7000-8000-000000000002", "lane": "complaint", "state": "pending_acceptance", "state_label": "待受理",
            "track": "t3", "track_label": "行政联处", "due_at": "2026-12-02T23:59:59+08:00", "provisional": False,
        }
    ],
    "track_label": "行政联处",
    "due_at": "2026-12-02T23:59:59+08:00",
    "missing": ["complainant.address"],
    "handled_jointly": False,
    "next_steps": ["请补充：联系地址", "市场监管部门将在2026-12-02前决定是否受理并告知您"],
}  # fmt: skip


class MatterAnswer(BaseModel):
    id: uuid.UUID
    lane: str
    state: str
    state_label: str
    track: str
    track_label: str
    due_at: datetime | None
    provisional: bool


class ComplaintAnswer(BaseModel):
    """What a portal is told: nothing about other people, incidents or suspicions."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: uuid.UUID
    state: str
    kind: str | None
    matters: list[MatterAnswer]
    track_label: str | None
    due_at: datetime | None
    missing: list[str]
    next_steps: list[str]
    # As a joint complaint (Art. 12), which he agreed to; of whom else it consists he is not told.
    handled_jointly: bool


def portal_view(letter_id: uuid.UUID | None, outcome: Outcome | None, *, state: str = "received") -> dict[str, Any]:
    if outcome is None:
        return {
            "id": letter_id, "state": state, "kind": None, "matters": [], "track_label": None, "due_at": None, "missing": [],
            "next_steps": ["已收到，正在处理；请稍后查询"], "handled_jointly": False,
        }  # fmt: skip
    matters = [
        {
            "id": m.id, "lane": m.lane, "state": m.state, "state_label": STATE_LABELS[m.state], "track": m.track,
            "track_label": TRACK_LABELS[m.track], "due_at": m.due_at, "provisional": m.provisional,
        }
        for m in outcome.matters
    ]  # fmt: skip
    first = matters[0]
    return {
        "id": letter_id, "state": first["state"], "kind": outcome.kind, "matters": matters, "track_label": first["track_label"],
        "due_at": first["due_at"], "missing": list(outcome.missing), "next_steps": _next_steps(outcome),
        "handled_jointly": outcome.jointly,
    }  # fmt: skip


def _next_steps(outcome: Outcome) -> list[str]:
    first = outcome.matters[0]
    steps = ["经您同意，您的投诉按共同投诉处理；您的编号、期限和文书不变"] if outcome.jointly else []
    missing = [MISSING_LABELS[m] for m in outcome.missing if m in MISSING_LABELS]
    if missing and first.state == "pending_acceptance":
        steps.append("可补充：" + "、".join(missing))
    if first.state == "pending_acceptance" and first.due_at:
        steps.append(f"市场监管部门将在{first.due_at.date().isoformat()}前决定是否受理并告知您")
    if first.track == "t1":
        steps.append("建议先与经营者在线和解；不影响市场监管部门的受理期限")
    if first.track == "t2":
        steps.append("建议委托消费者协会等调解组织调解，需双方同意")
    if first.state == "merged":
        steps.append("与您此前反映的是同一事项，合并办理，请以先前的编号查询")
    if outcome.kind == "emergency":
        steps.append("如有生命危险，请立即拨打110或120")
    if first.lane == "other" and outcome.kind != "emergency":
        steps.append("该事项不属于投诉或者举报，工作人员将告知办理途径")
    return steps


def _source(principal: Principal, wanted: str | None) -> str:
    """From the token. A token of several sources names the one it means."""
    if not principal.sources:
        raise Forbidden("this token is bound to no source, so it can't send complaints")
    if wanted is None:
        return principal.sources[0]
    if wanted not in principal.sources:
        raise Forbidden(f"this token is not bound to the source {wanted}")
    return wanted


@router.post(
    "",
    status_code=201,
    response_model=ComplaintAnswer,
    responses={
        200: {"model": ComplaintAnswer, "description": "The same body again"},
        202: {"model": ComplaintAnswer, "description": "Received; triage follows"},
    },
)
async def post_complaint(
    house: InHouse,
    principal: Caller,
    body: Complaint,
    prefer: Annotated[str | None, Header(description="respond-async: answer 202 at once")] = None,
    source: Annotated[str | None, Query(description="Only for a token of several sources")] = None,
    dry_run_: Annotated[bool, Query(alias="dry_run", description="What would be answered; nothing is kept")] = False,
) -> Response:
    """Receives and triages one complaint. Idempotent by (source, external_id)."""
    principal.require("portal", "intake")
    name = _source(principal, source)
    if dry_run_:
        outcome = await dry_run(house, name, body)
        return answer({**portal_view(outcome.letter_id if outcome else None, outcome), "dry_run": True})
    if prefer and "respond-async" in prefer.lower():
        receipt = await receive(house, name, body)
        found = None if receipt.created else await read_outcome(house, receipt.letter_id)
    else:
        receipt, found = await receive_and_triage(house, name, body)
    if found is None:
        return answer(portal_view(receipt.letter_id, None), 202, {"Location": f"/v1/complaints/{receipt.letter_id}"})
    status = 201 if receipt.created else 200
    return answer(portal_view(receipt.letter_id, found), status, {"Location": f"/v1/complaints/{receipt.letter_id}"})


class Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH, description="Bodies of POST /v1/complaints")]


@router.post("/batch", status_code=200)
async def post_batch(
    house: InHouse,
    principal: Caller,
    body: Batch | list[Any],
    prefer: Annotated[str | None, Header(description="respond-async: receive only, triage follows")] = None,
    source: Annotated[str | None, Query()] = None,
) -> Response:
    """Up to 1,000 complaints, answered item by item in their order; one bad item never spoils the rest."""
    principal.require("portal", "intake")
    name = _source(principal, source)
    items = body.items if isinstance(body, Batch) else body
    if not 1 <= len(items) <= MAX_BATCH:
        raise Invalid.field("items", f"must hold from 1 to {MAX_BATCH} complaints")
    results: list[dict[str, Any]] = [{} for _ in items]
    good: list[tuple[int, Letter]] = []
    now = datetime.now(UTC)
    for index, item in enumerate(items):
        try:
            good.append((index, Letter.make(name, Complaint.model_validate(item), now=now, history=False)))
        except ValidationError as error:
            results[index] = {"status": 422, "errors": field_errors(error)}
    asynchronous = bool(prefer and "respond-async" in prefer.lower())
    if good:
        async with house.database.transaction() as connection:
            receipts = await intake.receive(
                connection, house.vault, [x for _, x in good], triage_after_seconds=0 if asynchronous else 60
            )
        outcomes = await _triage_all(
            house,
            [x for (_, x), r in zip(good, receipts, strict=True) if isinstance(r, Receipt) and r.created and not asynchronous],
        )
        for (index, letter), receipt in zip(good, receipts, strict=True):
            if isinstance(receipt, DifferentContent):
                results[index] = {"status": 409, "detail": receipt.detail, "errors": receipt.errors}
                continue
            outcome = outcomes.get(letter.id) if receipt.created else await read_outcome(house, receipt.letter_id)
            status = 202 if outcome is None else 201 if receipt.created else 200
            results[index] = {"status": status, **portal_view(receipt.letter_id, outcome)}
    for item, result in zip(items, results, strict=True):
        external = item.get("external_id") if isinstance(item, dict) else None
        result["external_id"] = external if isinstance(external, str) and external.isprintable() else None
    return answer(
        {
            "results": results,
            "received": sum(r["status"] in (200, 201, 202) for r in results),
            "rejected": sum(r["status"] >= 400 for r in results),
        }
    )


async def _triage_all(house: House, letters: list[Letter]) -> dict[uuid.UUID, Outcome | None]:
    """A few at a time: while the database works on one, the next is read."""
    outcomes: dict[uuid.UUID, Outcome | None] = {}
    waiting = iter(letters)

    async def some() -> None:
        for letter in waiting:
            try:
                outcomes[letter.id] = await triage(house, letter)
            except Exception:  # the letter is received; a worker finishes what failed here
                outcomes[letter.id] = None

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return outcomes


def field_errors(error: ValidationError, *, prefix: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """[{field, message}] without the values: they may be personal."""
    return [
        {"field": ".".join(str(p) for p in (*prefix, *e["loc"])) or "body", "message": e["msg"].removeprefix("Value error, ")}
        for e in error.errors(include_url=False, include_input=False, include_context=False)
    ]


_LIST = """
SELECT l.id, l.external_id, l.source, l.channel, l.received_at, l.state AS letter_state
FROM letter l
WHERE ($1::text[] IS NULL OR l.source = ANY($1))
  AND ($2::timestamptz IS NULL OR (l.received_at, l.id) < ($2, $3))
  AND ($4::text[] IS NULL OR EXISTS (
    SELECT 1 FROM matter m WHERE m.letter_id = l.id AND m.lane = ANY($7)
    AND EXISTS (SELECT 1 FROM unnest($4) j WHERE starts_with(m.district, j))))
  AND ($5::text IS NULL OR EXISTS (SELECT 1 FROM matter m WHERE m.letter_id = l.id AND m.state = $5 AND m.lane = ANY($7) AND ($1 IS NULL OR m.source = l.source)))
  AND ($8::text IS NULL OR EXISTS (SELECT 1 FROM matter m WHERE m.letter_id = l.id AND m.track = $8 AND m.lane = ANY($7) AND ($1 IS NULL OR m.source = l.source)))
  AND ($9::text IS NULL OR l.external_id = $9)
ORDER BY l.received_at DESC, l.id DESC LIMIT $6
"""
_LISTED_MATTERS = """
SELECT m.letter_id, m.id, m.lane, m.kind, m.state, m.track, m.district, m.goods, m.problem, m.copy_of
FROM matter m WHERE m.letter_id = ANY($1) AND m.lane = ANY($2) AND ($3::text[] IS NULL OR m.source = ANY($3)) ORDER BY m.letter_id, m.sequence
"""


@router.get("")
async def list_complaints(
    house: InHouse,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(alias="cursor")] = None,
    state: str | None = None,
    track: str | None = None,
    external_id: str | None = None,
) -> Response:
    """Newest first, page by cursor. A portal sees its own sources; others their jurisdictions."""
    principal.require("portal", "intake", "mediator", "supervisor", "analyst", "auditor")
    only_portal = _is_portal(principal)
    position = read_cursor(after)
    visible = ("complaint", "report", "other") if only_portal else lanes(principal)
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            _LIST, list(principal.sources) if only_portal else None, position[0] if position else None, position[1] if position else None,
            None if only_portal else list(principal.jurisdictions), state, limit + 1, list(visible), track, external_id,
        )  # fmt: skip
        matters = await connection.fetch(
            _LISTED_MATTERS, [r["id"] for r in rows[:limit]], list(visible), list(principal.sources) if only_portal else None
        )
    items = []
    for row in rows[:limit]:
        own = [
            {
                "id": m["id"], "lane": m["lane"], "kind": shown_kind(m, visible), "state": m["state"], "state_label": STATE_LABELS[m["state"]],
                "track": m["track"], "track_label": TRACK_LABELS[m["track"]],
                **({} if only_portal else {"district": m["district"], "goods": m["goods"], "problem": m["problem"], "copy_of": m["copy_of"]}),
            }
            for m in matters if m["letter_id"] == row["id"]
        ]  # fmt: skip
        items.append(
            {
                "id": row["id"], "external_id": row["external_id"], "source": row["source"], "channel": row["channel"],
                "received_at": row["received_at"], "state": own[0]["state"] if own else row["letter_state"], "matters": own,
            }
        )  # fmt: skip
    more = len(rows) > limit
    return answer({"items": items, "next_cursor": cursor(items[-1]["received_at"], items[-1]["id"]) if more else None})


def _is_portal(principal: Principal) -> bool:
    return not principal.has("intake", "mediator", "supervisor", "analyst", "auditor", "admin")


async def _visible(house: House, letter_id: uuid.UUID, principal: Principal) -> Any:
    async with house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT id, external_id, source, channel, received_at, event_at, state, history FROM letter WHERE id = $1", letter_id
        )
        if row is None:
            raise NotFound("no such complaint")
        if _is_portal(principal):
            if row["source"] not in principal.sources:
                raise NotFound("no such complaint")
            return row
        districts = await connection.fetch("SELECT district, lane FROM matter WHERE letter_id = $1", letter_id)
    if not districts and principal.has("intake", "supervisor", "admin"):
        return row  # not triaged yet: nobody knows its place, nor whether it is a report
    if not any(d["lane"] in lanes(principal) and principal.covers(d["district"]) for d in districts):
        raise NotFound("no such complaint")
    return row


def shown_kind(matter: Any, visible: Sequence[str]) -> str:
    """'both' would tell whoever may not know of reports that there is one (Art. 37)."""
    return str(matter["kind"] if "report" in visible else matter["lane"] if matter["kind"] == "both" else matter["kind"])


@router.get("/{complaint_id}")
async def get_complaint(house: InHouse, principal: Caller, complaint_id: uuid.UUID) -> Response:
    """The portal's view for portals; for everybody else of the jurisdiction the whole: decision, evidence, gates,
    clocks, history, the text with personal data masked."""
    principal.require("portal", "intake", "mediator", "supervisor", "analyst", "auditor")
    row = await _visible(house, complaint_id, principal)
    if _is_portal(principal):
        outcome = await read_outcome(house, complaint_id)
        return answer({**portal_view(complaint_id, outcome, state=row["state"]), "external_id": row["external_id"]})
    return answer(await full_view(house, row, principal))


async def full_view(house: House, row: Any, principal: Principal, *, reveal: bool = False) -> dict[str, Any]:
    """reveal: contacts unmasked, for whoever holds the lease; the act is in the audit either way."""
    now = datetime.now(UTC)
    async with house.database.connection() as connection:
        letter = await intake.open_letter(connection, house.vault, row["id"])
        matters = await cases.read_matters(connection, row["id"], now=now, lights=house.calendar)
        joined = await joint.of_matters(connection, [m["id"] for m in matters])
        items = await work.items_of(connection, [m["id"] for m in matters])
        for matter in matters:
            matter["work_item_id"] = items.get(matter["id"])
            matter.update(await contacts.of_matter(connection, matter["id"]))
        await audit.record(
            connection,
            principal.subject,
            "reveal" if reveal else "read",
            "letter",
            [row["id"]],
            purpose="handling" if reveal else "",
        )
    seen = [m for m in matters if m["lane"] in lanes(principal)]
    for matter in seen:
        matter["track_label"] = TRACK_LABELS[matter["track"]]
        matter.update(joined.get(matter["id"]) or {"joint_matter_id": None, "joint_state": None, "joint_consent": None})
        matter["kind"] = shown_kind(matter, lanes(principal))
        if "report" not in lanes(principal):
            _hide_reports(matter)
    body = letter.body
    text = body.text if reveal else mask_text(body.text, *body.personal_values())
    for matter in seen:
        matter["reading"] = _with_words(matter["reading"], text)
        if matter["decision"]:
            matter["decision"]["reasons"] = [_with_its_words(r, text) for r in matter["decision"]["reasons"]]
    people = {"complainant": body.complainant.__dict__, "agent": body.agent.__dict__}
    shown = {k: {f: x for f, x in v.items() if x} if reveal else mask_person(v) for k, v in people.items()}
    merchants = [{f: x for f, x in r.__dict__.items() if x} for r in body.respondents]
    return {
        "id": row["id"], "external_id": row["external_id"], "source": row["source"], "channel": row["channel"],
        "received_at": row["received_at"], "event_at": row["event_at"], "history": row["history"],
        "state": seen[0]["state"] if seen else row["state"], "kind": seen[0]["kind"] if seen else None,
        "text": text, "product": body.product, "amount_fen": body.amount_fen,
        "lot_no": body.lot_no, "order_no": body.order_no if reveal else None, **shown, "respondents": merchants,
        "missing": seen[0]["reading"].get("missing", []) if seen else [], "matters": seen,
    }  # fmt: skip


def _hide_reports(matter: dict[str, Any]) -> None:
    """What would tell whoever may not know of reports that there is one (Art. 37)."""
    reading = matter["reading"]
    matter["reading"] = {
        **reading,
        "answers": {k: v for k, v in reading.get("answers", {}).items() if k != "kind"},
        "words": {k: v for k, v in reading.get("words", {}).items() if not k.startswith("kinds:")},
        "disagreements": [d for d in reading.get("disagreements", []) if d["field"] != "kind"],
    }
    matter["findings"] = [f for f in matter["findings"] if f["code"] != "category" or f["evidence"].get("field") != "kind"]
    if decision := matter["decision"]:
        decision["reasons"] = known_reasons(decision["reasons"], matter["lane"], ("complaint",))
        (decision["facts"] or {}).pop("kind", None)
        (decision["evidence"] or {}).pop("corrected", None)


def _with_words(reading: dict[str, Any], text: str) -> dict[str, Any]:
    """The words behind the spans: stored are the spans alone, the words only stand in the letter."""

    def shown(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**f, "word": text[f["span"][0] : f["span"][1]] if f.get("span") else None} for f in found]

    return {**reading, **{name: shown(reading.get(name, [])) for name in ("dangers", "signals", "facts", "flags")}}


def _with_its_words(reason: dict[str, Any], text: str) -> dict[str, Any]:
    """The words of the letter that a reason rests on."""
    if not reason.get("spans"):
        return reason
    return {**reason, "spans": [{**s, "word": text[s["span"][0] : s["span"][1]]} for s in reason["spans"]]}


class Withdrawal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Clean, Field(max_length=1000)] | None = None


class Supplement(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[Clean, Field(min_length=1, max_length=MAX_TEXT)]


class Consent(BaseModel):
    model_config = ConfigDict(extra="forbid")

    party: Literal["consumer", "merchant"]
    agrees: StrictBool
    to: Literal["settlement", "delegation", "mediation", "joint"] | None = None


@router.post("/{complaint_id}/withdraw")
async def post_withdrawal(house: InHouse, principal: Caller, complaint_id: uuid.UUID, body: Withdrawal | None = None) -> Response:
    """The complainant withdraws (Art. 23(1)(1)); a report in the same letter stays."""
    principal.require("portal", "intake")
    await _visible(house, complaint_id, principal)
    await settling.withdraw(house, complaint_id, principal, reason=mask_text(body.reason) if body and body.reason else None)
    return answer(portal_view(complaint_id, await read_outcome(house, complaint_id)))


@router.post("/{complaint_id}/supplement", status_code=201)
async def post_supplement(house: InHouse, principal: Caller, complaint_id: uuid.UUID, body: Supplement) -> Response:
    """Added to the letter, which never changes itself."""
    principal.require("portal", "intake")
    await _visible(house, complaint_id, principal)
    async with house.database.transaction() as connection:
        found = await intake.supplement(
            connection, house.vault, complaint_id, "supplement", {"text": body.text}, principal.subject
        )
        await audit.record(connection, principal.subject, "supplement", "letter", [complaint_id])
    return answer({"id": found, "complaint_id": complaint_id}, 201)


@router.post("/{complaint_id}/consent")
async def post_consent(house: InHouse, principal: Caller, complaint_id: uuid.UUID, body: Consent) -> Response:
    """A side agrees or refuses: settlement online, delegation to a mediation body (Art. 19), mediation by the bureau (Art. 18), being
    handled jointly with others (Art. 12); without `to` whatever the track proposes. A word to one is none to another. The merchant's consent is recorded by the intake desk."""
    principal.require(*(("portal", "intake") if body.party == "consumer" else ("intake",)))
    await _visible(house, complaint_id, principal)
    if body.to == "joint":
        if body.party != "consumer":
            raise Invalid.field("party", "that a complaint is handled jointly is the consumer's to agree to")
        await joining.consent_of_letter(house, complaint_id, principal, agrees=body.agrees)
        return answer({"complaint_id": complaint_id, "gates": [], "state": "given" if body.agrees else "refused"})
    gates = await settling.consent(house, complaint_id, principal, party=body.party, agrees=body.agrees, to=body.to)
    return answer({"complaint_id": complaint_id, "gates": gates, "state": "passed" if body.agrees else "failed"})
