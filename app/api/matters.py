"""Legal acts on matters, and what waits for a second signature."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app import acts, cases, factors, settling
from app.api.common import PROBLEMS, WAITS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.errors import NotFound
from app.intake import Clean
from app.privacy import mask_text
from app.settling import Done
from app.triage import House

router = APIRouter(prefix="/v1", tags=["matters"], responses=PROBLEMS)


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


_Word = Annotated[Clean, Field(min_length=1, max_length=60)]


class ActBody(_Shape):
    """ground: for refuse 16(1) to 16(7); for terminate 23(1)(1) to 23(1)(8); for reopen own_error, agreement_not_performed or
    handled_by_merchant_or_odr_only; for settle_quarrel agreed or sent_up; for decide_case penalised, not_penalised or moved_on; for
    end_defect reported or not_a_defect; for end_confirmation applied or waived. What one act or another takes besides, and no other:"""

    ground: _Word | None = None
    reason: Annotated[Clean, Field(min_length=1, max_length=2000)] | None = None
    factors: Annotated[list[_Word], Field(max_length=5, description="find_factors: 17(1) to 17(5)")] | None = None
    sheet: (
        Annotated[
            Clean, Field(max_length=64, description="find_factors: hash of the sheet that was read; 409 once it has changed")
        ]
        | None
    ) = None
    rests_on: Annotated[_Word, Field(description="terminate under 23(1)(6): 16(1) to 16(7), or 42")] | None = None
    to: (
        Annotated[
            Clean,
            Field(
                min_length=1, max_length=100,
                description="quarrel: the other district's code; settle_quarrel: the one agreed on, or the superior; dispatch: the district; "
                "delegate: consumer_council, people_mediation, industry_association or station; transfer, transfer_police: the organ's name",
            ),
        ]
        | None
    ) = None  # fmt: skip
    clock: Annotated[_Word, Field(description="extend: clue.verify or case.decide; default: the one that runs")] | None = None
    kind: Annotated[_Word, Field(description="appraise: appraisal (default) or inspection")] | None = None
    through: Annotated[_Word, Field(description="agree: the body before which it was agreed, as delegate's `to`")] | None = None
    into: Annotated[uuid.UUID, Field(description="merge_report: the earlier report")] | None = None
    partner_id: (
        Annotated[
            uuid.UUID,
            Field(description="settle, delegate, transfer: whom the matter is handed to; without it the act is on paper"),
        ]
        | None
    ) = None
    message: Annotated[Clean, Field(min_length=1, max_length=4000, description="what that partner is told")] | None = None


class Note(_Shape):
    note: Annotated[Clean, Field(min_length=1, max_length=2000)] | None = None


class Rejection(_Shape):
    reason: Annotated[Clean, Field(min_length=1, max_length=2000)]


@router.get("/approvals")
async def list_approvals(
    house: InHouse, principal: Caller, after: Annotated[str | None, Query(alias="cursor")] = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Response:  # fmt: skip
    """What waits for a signature, oldest first. kind: sign (a second person's), sample (one person's act, looked at afterwards),
    clock (drafted because a term ends), partner (drafted because one it was handed to ended it), review (on what a complainant said
    afterwards: a supervisor's who did not handle it). last_by: the role whoever signs last must have."""
    principal.require("intake", "mediator", "supervisor")
    async with house.database.connection() as connection:
        rows = await cases.approvals(connection, lanes(principal), principal.jurisdictions, read_cursor(after), limit + 1)
    items = [_approval(dict(r)) for r in rows[:limit]]
    more = cursor(items[-1]["created_at"], items[-1]["id"]) if len(rows) > limit else None
    return answer({"items": items, "next_cursor": more})


def _approval(row: dict[str, Any]) -> dict[str, Any]:
    looked_at = row["kind"] == "review" or row["detail"].get("repeat")
    last = "supervisor" if looked_at else acts.signing(row["act"], row["ground"]).last
    return {
        **row,
        "label": acts.ACTS[row["act"]].label,
        "missing": max(row["persons"] - len(row["signed_by"]), 0),
        "last_by": last,
    }


@router.post("/approvals/{approval_id}/approve", responses=WAITS)
async def approve(house: InHouse, principal: Caller, approval_id: uuid.UUID) -> Response:
    """Signs; the last signature that is needed carries the act out. 403 for whoever signed it already, and for machines."""
    principal.require("intake", "mediator", "supervisor")
    done = await settling.approve(house, approval_id, principal, lanes=lanes(principal))
    return await _answer(house, done)


@router.post("/approvals/{approval_id}/reject")
async def reject(house: InHouse, principal: Caller, approval_id: uuid.UUID, body: Rejection) -> Response:
    """The act is not done."""
    principal.require("intake", "mediator", "supervisor")
    done = await settling.reject(house, approval_id, principal, reason=mask_text(body.reason), lanes=lanes(principal))
    return await _answer(house, done)


@router.get("/matters/{matter_id}/factors")
async def read_factors(house: InHouse, principal: Caller, matter_id: uuid.UUID) -> Response:
    """The sheet of the factors of Art. 17 of a complaint: figures by item with definition, period and the matters behind them, and what speaks
    against each. No score and no verdict: a factor is found by the act find_factors, which two natural persons sign."""
    principal.require("intake", "mediator", "supervisor")
    async with house.database.transaction() as connection:
        found = await factors.read(
            connection, house.vault, matter_id, reader=principal.subject, lanes=lanes(principal), jurisdictions=principal.jurisdictions,
            at=datetime.now(UTC),
        )  # fmt: skip
    return answer(found)


@router.post("/matters/{matter_id}/{act}", responses=WAITS)
async def act(house: InHouse, principal: Caller, matter_id: uuid.UUID, act: str, body: ActBody | None = None) -> Response:
    """A legal act by a natural person. For complaints: ask_material, accept, refuse, settle, delegate, mediate, appraise, suspend, resume,
    agree, terminate, reopen, find_factors, find_clue, tell_both, end_confirmation. For reports: extend, verify, open_case, not_open_case,
    decide_case, transfer, take_up, not_again, merge_report. For both: transfer_police, quarrel, settle_quarrel, end_defect. For what is neither:
    answer. For all: return (to the intake desk), dispatch (by it), reply_hotline, archive. 202 where it waits for a further signature; 409
    where it can't start from the matter's state, a side's consent is missing, nothing on file proves an end under 23(1)(2) (GET
    /v1/work-items/{id}/contacts says what lacks) or the clock it would end does not run; 403 where a unit would forward by itself
    (Art. 41)."""
    if (act not in acts.ACTS and act != "forward") or act == "withdraw":
        raise NotFound(f"no act {act}")
    given = body or ActBody()
    said = given.model_dump(exclude={"ground", "reason", "message"}, exclude_none=True)
    done = await settling.perform(
        house, matter_id, principal, act, lanes=lanes(principal), ground=given.ground, message=given.message,
        reason=mask_text(given.reason) if given.reason else None, detail={k: str(v) if isinstance(v, uuid.UUID) else v for k, v in said.items()},
    )  # fmt: skip
    return await _answer(house, done)


@router.post("/matters/{matter_id}/press/{kind}")
async def press(house: InHouse, principal: Caller, matter_id: uuid.UUID, kind: str, body: Note | None = None) -> Response:
    """urge: the complainant asks where it stands (催办); supervise: a superior does (督办). Counted and in the history."""
    principal.require(*{"urge": ("intake", "mediator", "supervisor"), "supervise": ("supervisor",)}.get(kind, ("admin",)))
    if kind not in ("urge", "supervise"):
        raise NotFound(f"no such pressing: {kind}")
    await settling.press(
        house, matter_id, principal, kind, lanes=lanes(principal), note=mask_text(body.note) if body and body.note else None
    )
    return answer(await _state(house, matter_id))


async def _answer(house: House, done: Done) -> Response:
    waits = {"approval_id": done.approval_id, "missing": done.missing} if done.approval_id else {}
    return answer({**await _state(house, done.matter_id), "act": done.act, **waits}, 202 if done.approval_id else 200)


async def _state(house: House, matter_id: uuid.UUID) -> dict[str, Any]:
    async with house.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT m.id, m.state, m.district, m.authority, m.urged, m.supervised, c.key AS clock, c.due_at, c.provisional, c.reason FROM matter m "
            "LEFT JOIN clock c ON c.matter_id = m.id AND c.stopped_at IS NULL WHERE m.id = $1 ORDER BY c.due_at LIMIT 1",
            matter_id,
        )
    found = dict(row)
    return {**found, "state_label": acts.STATE_LABELS[found["state"]]}
