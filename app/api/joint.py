"""Joint complaints (共同投诉, Order 121 Art. 12): proposed, consented to, represented, handled in one step."""

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from app import audit, contacts, joining, joint
from app.acts import STATE_LABELS
from app.api.common import PROBLEMS, Caller, InHouse, answer, cursor, lanes, read_cursor
from app.errors import Invalid
from app.identity import Principal
from app.intake import Clean
from app.privacy import mask_text
from app.triage import House

router = APIRouter(prefix="/v1/joint-matters", tags=["joint matters"], responses=PROBLEMS)

_Reference = Annotated[
    Clean, Field(min_length=1, max_length=200, description="How or where it was given: a document, a call. No personal data")
]
_Reason = Annotated[Clean, Field(min_length=1, max_length=1000)]
_Matters = Annotated[list[uuid.UUID], Field(min_length=1, max_length=joint.MAX_MEMBERS)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Given(_Shape):
    """A person's consent that is at hand."""

    matter_id: uuid.UUID
    reference: _Reference | None = None


class _Joining(_Shape):
    consents: Annotated[list[Given], Field(max_length=joint.MAX_MEMBERS)] = []
    reason: Annotated[
        _Reason | None, Field(description="Why it is one dispute; needed where the matters are of several incidents")
    ] = None

    def given(self) -> dict[uuid.UUID, str | None]:
        return {one.matter_id: _masked(one.reference) for one in self.consents}


class NewJoint(_Joining):
    matters: Annotated[_Matters | None, Field(description="Complaints (matter ids) of different persons")] = None
    incident_id: Annotated[uuid.UUID | None, Field(description="Instead: all open complaints of an incident")] = None
    join: Annotated[StrictBool, Field(description="Only if everybody has consented; otherwise those who have not are asked")] = (
        False
    )


class More(_Joining):
    matters: _Matters


class Answer(_Shape):
    """agrees to being joined; with proposal_id to terms that were put to the represented."""

    matter_id: uuid.UUID
    agrees: StrictBool
    reference: _Reference | None = None
    proposal_id: uuid.UUID | None = None


class Election(_Shape):
    representatives: Annotated[list[uuid.UUID], Field(min_length=2, max_length=2)]
    electors: Annotated[_Matters | None, Field(description="Members who signed the election; absent: all")] = None
    reference: _Reference | None = None
    attachment_id: Annotated[uuid.UUID | None, Field(description="The election among the attachments of a member's letter")] = (
        None
    )


class Proposal(_Shape):
    kind: Literal["settlement", "change", "waiver"]
    reference: _Reference


class Leaving(_Shape):
    matter_id: uuid.UUID
    reason: _Reason


class Ending(_Shape):
    reason: _Reason


class JointAct(_Shape):
    """party, agrees and to: for consent alone, as for one complaint. The others as for the act on one matter."""

    party: Literal["consumer", "merchant"] | None = None
    agrees: StrictBool | None = None
    ground: Annotated[Clean, Field(max_length=60)] | None = None
    reason: Annotated[Clean, Field(min_length=1, max_length=2000)] | None = None
    to: Annotated[Clean, Field(min_length=1, max_length=100)] | None = None
    rests_on: Annotated[Clean, Field(max_length=60)] | None = None
    kind: Annotated[Clean, Field(max_length=60)] | None = None
    through: Annotated[Clean, Field(max_length=60)] | None = None
    matters: Annotated[_Matters | None, Field(description="Some of the members; absent: all")] = None


def _consent_to(given: str | None) -> str | None:
    if given is not None and given not in contacts.CONSENTS_TO:
        raise Invalid.field("to", f"must be one of {', '.join(contacts.CONSENTS_TO)}")
    return given


def _masked(text: str | None) -> str | None:
    return mask_text(text) if text else None


async def _view(house: House, joint_id: uuid.UUID, principal: Principal, status: int = 200) -> Response:
    async with house.database.connection() as connection:
        found = await joint.read(connection, joint_id, principal.jurisdictions)
        await audit.record(connection, principal.subject, "read", "joint_matter", [joint_id])
    for member in found["members"]:
        member["state_label"] = STATE_LABELS[member["state"]]
    headers = {"Location": f"/v1/joint-matters/{joint_id}"} if status == 201 else {}
    return answer(found, status, headers)


@router.post("", status_code=201)
async def propose_joint_matter(house: InHouse, principal: Caller, body: NewJoint) -> Response:
    """Proposes that complaints of at least two persons, of one dispute with one operator, be handled jointly. Nothing is moved: each keeps his
    matter, terms and documents. 409 names each matter that stands in the way; with `join` each whose person has not consented."""
    principal.require(*joining.ROLES)
    joint_id = await joining.propose(
        house, principal, lanes=lanes(principal), matters=body.matters or (), incident_id=body.incident_id, consents=body.given(),
        join=body.join, reason=_masked(body.reason),
    )  # fmt: skip
    return await _view(house, joint_id, principal, 201)


@router.get("")
async def list_joint_matters(
    house: InHouse, principal: Caller, state: Literal["proposed", "joined", "ended"] | None = None, incident_id: uuid.UUID | None = None,
    after: Annotated[str | None, Query(alias="cursor")] = None, limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:  # fmt: skip
    """Those of the caller's jurisdictions, newest first. due_at: the first of their members' terms."""
    principal.require(*joining.ROLES)
    async with house.database.connection() as connection:
        found = await joint.listed(
            connection, principal.jurisdictions, state=state, incident_id=incident_id, after=read_cursor(after), limit=limit + 1
        )
    items = found[:limit]
    more = cursor(items[-1]["created_at"], items[-1]["id"]) if len(found) > limit else None
    return answer({"items": items, "next_cursor": more})


@router.get("/{joint_id}")
async def get_joint_matter(house: InHouse, principal: Caller, joint_id: uuid.UUID) -> Response:
    """Members with consents, roles, states and terms; what was put to the represented; history."""
    principal.require(*joining.ROLES)
    return await _view(house, joint_id, principal)


@router.post("/{joint_id}/members")
async def add_members(house: InHouse, principal: Caller, joint_id: uuid.UUID, body: More) -> Response:
    """Further complaints of the same dispute; to one that is joined only with their persons' consent at hand."""
    principal.require(*joining.ROLES)
    await joining.add(
        house,
        joint_id,
        principal,
        lanes=lanes(principal),
        matters=body.matters,
        consents=body.given(),
        reason=_masked(body.reason),
    )
    return await _view(house, joint_id, principal)


@router.post("/{joint_id}/consent")
async def record_consent(house: InHouse, principal: Caller, joint_id: uuid.UUID, body: Answer) -> Response:
    """A member's word: to being joined (a no ends his part, the last yes joins), or with `proposal_id` to a settlement, a change or waiver of
    claims his representatives want."""
    principal.require(*joining.ROLES)
    reference = _masked(body.reference)
    if body.proposal_id is None:
        await joining.consent(house, joint_id, principal, body.matter_id, agrees=body.agrees, reference=reference)
    else:
        await joining.assent(
            house, joint_id, principal, body.proposal_id, body.matter_id, agrees=body.agrees, reference=reference
        )
    return await _view(house, joint_id, principal)


@router.post("/{joint_id}/representatives")
async def elect_representatives(house: InHouse, principal: Caller, joint_id: uuid.UUID, body: Election) -> Response:
    """Two members, elected in writing. What they do binds those who elected them, but for settling and changing or giving up a claim."""
    principal.require(*joining.ROLES)
    await joining.elect(
        house, joint_id, principal, body.representatives, electors=body.electors, reference=_masked(body.reference),
        attachment_id=body.attachment_id,
    )  # fmt: skip
    return await _view(house, joint_id, principal)


@router.post("/{joint_id}/proposals", status_code=201)
async def put_proposal(house: InHouse, principal: Caller, joint_id: uuid.UUID, body: Proposal) -> Response:
    """Terms the representatives would settle on, or a claim they would change or give up. Only who agrees to the latest can be settled for."""
    principal.require(*joining.ROLES)
    proposal_id = await joining.put(house, joint_id, principal, kind=body.kind, reference=mask_text(body.reference))
    return answer({"id": proposal_id, "joint_matter_id": joint_id, "kind": body.kind}, 201)


@router.post("/{joint_id}/leave")
async def leave_joint_matter(house: InHouse, principal: Caller, joint_id: uuid.UUID, body: Leaving) -> Response:
    """A member goes on alone; his matter stays as it is. With fewer than two left it ends."""
    principal.require(*joining.ROLES)
    await joining.leave(house, joint_id, principal, body.matter_id, reason=mask_text(body.reason))
    return await _view(house, joint_id, principal)


@router.post("/{joint_id}/end")
async def end_joint_matter(house: InHouse, principal: Caller, joint_id: uuid.UUID, body: Ending) -> Response:
    """Everybody goes on alone, each as he stands."""
    principal.require(*joining.ROLES)
    await joining.end(house, joint_id, principal, reason=mask_text(body.reason))
    return await _view(house, joint_id, principal)


@router.post("/{joint_id}/acts/{act}")
async def act_jointly(house: InHouse, principal: Caller, joint_id: uuid.UUID, act: str, body: JointAct | None = None) -> Response:
    """A legal act on every member (or on some), each on its own: `results` has a status for each (200 done, 202 waits for a further signature,
    409 why not), by what is due first. One that fails leaves the others done. `consent` is a side's word on what the tracks propose: the
    merchant's for all, the representatives' for those they represent."""
    principal.require(*joining.ROLES)
    given = body or JointAct()
    if act == "consent":
        if given.party is None or given.agrees is None:
            raise Invalid.field("party" if given.party is None else "agrees", "is needed")
        results = await joining.consent_to_handling(
            house, joint_id, principal, party=given.party, agrees=given.agrees, to=_consent_to(given.to), matters=given.matters
        )
    else:
        results = await joining.act(
            house,
            joint_id,
            principal,
            act,
            lanes=lanes(principal),
            matters=given.matters,
            ground=given.ground,
            reason=_masked(given.reason),
            detail=given.model_dump(include={"to", "rests_on", "kind", "through"}, exclude_none=True),
        )
    told: list[dict[str, Any]] = [
        {
            "matter_id": r.matter_id, "status": r.status, "state": r.state, "state_label": STATE_LABELS.get(r.state or ""),
            "approval_id": r.approval_id, "missing": r.missing, "detail": r.detail, "errors": r.errors,
        }
        for r in results
    ]  # fmt: skip
    done = sum(r.status < 300 for r in results)
    return answer({"joint_matter_id": joint_id, "act": act, "results": told, "done": done, "failed": len(results) - done})
