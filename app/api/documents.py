"""Official documents of matters, and the templates they are drawn with."""

import uuid
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from app import audit, cases, documents, drawing, templates
from app.api.common import PROBLEMS, Caller, InHouse, answer, lanes
from app.calendar import local_day
from app.database import Connection
from app.drawing import AUDIENCE_LABELS, FORMS
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.identity import Principal
from app.intake import Clean

router = APIRouter(prefix="/v1", tags=["documents"], responses=PROBLEMS)

_STAFF = ("intake", "mediator", "supervisor")
# A document is read and printed: it runs nothing, loads nothing, sends nothing, stands in no frame and in no cache.
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HTML: dict[int | str, dict[str, Any]] = {
    200: {"description": "A4, to be printed", "content": {"text/html": {}, "application/json": {}}}
}


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewDocument(_Shape):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"form": 6, "values": {"ground": "16.5"}}, {"form": 9, "values": {"agreement": "…"}}]}
    )  # fmt: skip

    form: Annotated[StrictInt, Field(ge=1, le=10, description="Number of the official form (文书式样)")]
    values: Annotated[dict[str, Any], Field(max_length=60, description="By field; what the file says need not be given")] = {}
    replaces: Annotated[uuid.UUID | None, Field(description="A signed document that this one takes the place of")] = None


class Voiding(_Shape):
    reason: Annotated[Clean, Field(min_length=1, max_length=500)]


class NewTemplate(_Shape):
    form: Annotated[StrictInt, Field(ge=1, le=10)]
    jurisdiction: Annotated[Clean, Field(pattern=r"^\d{2,6}$", description="Region code or its beginning")]
    content: Annotated[Clean, Field(min_length=1, max_length=drawing.MAX_TEMPLATE)]
    valid_from: Annotated[date | None, Field(description="Default: today")] = None


_ACCESS = """
SELECT m.id, m.lane, m.district, m.source,
       EXISTS (SELECT FROM work_item w JOIN lease le ON le.unit_id = w.unit_id
               WHERE w.matter_id = m.id AND w.finished_at IS NULL AND le.holder = $2 AND le.until > clock_timestamp()) AS holds
FROM matter m WHERE m.id = $1
"""


def _is_portal(principal: Principal) -> bool:
    return not principal.has(*_STAFF, "auditor", "admin")


async def _matter(connection: Connection, matter_id: uuid.UUID, principal: Principal) -> Any:
    """The matter, for whoever may know of it."""
    row = await connection.fetchrow(_ACCESS, matter_id, principal.subject)
    if row is not None:
        if _is_portal(principal) and row["source"] in principal.sources:
            return row
        if not _is_portal(principal) and row["lane"] in lanes(principal) and principal.covers(row["district"]):
            return row
    raise NotFound("no such matter")


def _works_on(matter: Any, principal: Principal) -> bool:
    """Documents hold names and contacts: a mediator opens those of what he has in hand."""
    return matter["holds"] or principal.has("intake", "supervisor", "admin")


@router.get("/matters/{matter_id}/documents")
async def list_documents(house: InHouse, principal: Caller, matter_id: uuid.UUID) -> Response:
    """Newest first. A portal sees what was signed for its complainant."""
    principal.require("portal", *_STAFF, "auditor")
    async with house.database.connection() as connection:
        await _matter(connection, matter_id, principal)
        found = await documents.listed(connection, matter_id)
    if _is_portal(principal):
        found = [
            {name: d[name] for name in ("id", "form", "title", "state", "state_label", "number", "signed_at")}
            for d in found
            if d["state"] == "signed" and _own_copy([a["code"] for a in d["audiences"]])
        ]
    return answer({"items": found})


def _own_copy(audiences: list[str]) -> str | None:
    """The copy of whoever filed."""
    return next((a for a in ("complainant", "reporter", "parties") if a in audiences), None)


@router.post(
    "/matters/{matter_id}/documents",
    status_code=201,
    responses={200: {"description": "The preview", "content": {"text/html": {}}}},
)
async def post_document(
    house: InHouse, principal: Caller, matter_id: uuid.UUID, body: NewDocument,
    preview: Annotated[bool, Query(description="What it would look like; nothing is kept")] = False,
    audience: Annotated[str | None, Query(description="Whose copy the preview shows")] = None,
) -> Response:  # fmt: skip
    """Draws a draft: from the file what it says, the rest from `values`, what nobody says as lines to write on. An earlier draft of the form
    is void then."""
    principal.require(*_STAFF)
    async with house.database.transaction() as connection:
        matter = await _matter(connection, matter_id, principal)
        if not _works_on(matter, principal):
            raise Forbidden("a mediator draws documents of what he has in hand; claim its work item first")
        choice = await templates.load(connection)
        if preview:
            copies = await documents.preview(connection, house.vault, choice, matter_id, body.form, body.values)
            shown = _chosen(copies, audience)
            await audit.record(
                connection,
                principal.subject,
                "reveal",
                "matter",
                [matter_id],
                purpose=FORMS[body.form].title,
                lane=matter["lane"],
            )
            return Response(shown, headers=_SAFE, media_type="text/html; charset=utf-8")
        document_id = await documents.draft(
            connection, house.vault, choice, matter_id, body.form, body.values, principal.subject, replaces=body.replaces
        )
        made = next(d for d in await documents.listed(connection, matter_id) if d["id"] == document_id)
    return answer(made, 201, {"Location": f"/v1/documents/{document_id}"})


@router.get("/documents/{document_id}", responses=_HTML, response_class=Response)
async def get_document(
    house: InHouse, principal: Caller, document_id: uuid.UUID,
    audience: Annotated[str | None, Query(description="Whose copy; default: the first")] = None,
    accept: Annotated[str | None, Header(description="application/json: its values instead of the page")] = None,
) -> Response:  # fmt: skip
    """The document as it is printed, or its values. Names and contacts are unmasked, and that is logged."""
    principal.require("portal", *_STAFF)
    async with house.database.transaction() as connection:
        found = await _open(house, connection, document_id, principal)
        copies = found.html
        if _is_portal(principal):
            own = _own_copy(list(copies))
            if found.state != "signed" or own is None:
                raise NotFound("no such document")
            copies = {own: copies[own]}
        shown = _chosen(copies, audience)
    if accept and "application/json" in accept and "text/html" not in accept:
        return answer(
            _told(found, with_values=not _is_portal(principal)), headers={"Cache-Control": "no-store", "Vary": "Accept"}
        )
    return Response(shown, headers={**_SAFE, "Vary": "Accept"}, media_type="text/html; charset=utf-8")


async def _open(house: InHouse, connection: Connection, document_id: uuid.UUID, principal: Principal) -> documents.Document:
    matter_id = await connection.fetchval("SELECT matter_id FROM document WHERE id = $1", document_id)
    if matter_id is None:
        raise NotFound("no such document")
    try:
        matter = await _matter(connection, matter_id, principal)
    except NotFound:
        raise NotFound("no such document") from None
    found = await documents.read(connection, house.vault, document_id)
    mine = principal.subject in (found.created_by, *found.signed_by)
    if not (_is_portal(principal) or mine or _works_on(matter, principal)):
        raise Forbidden("a mediator opens documents of what he has in hand, and his own")
    await audit.record(
        connection, principal.subject, "reveal", "document", [document_id], purpose=found.form.title, lane=matter["lane"]
    )
    return found


def _told(found: documents.Document, *, with_values: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": found.id, "matter_id": found.matter_id, "form": found.form.number, "title": found.form.title, "state": found.state,
        "state_label": documents.STATE_LABELS[found.state], "number": found.number, "signed_at": found.signed_at,
    }  # fmt: skip
    if with_values:
        told |= {
            "audiences": [{"code": a, "label": AUDIENCE_LABELS[a]} for a in found.html], "missing": found.missing, "values": found.values,
            "template_hash": found.template_hash, "created_by": found.created_by, "created_at": found.created_at,
            "signed_by": found.signed_by, "replaces": found.replaces,
        }  # fmt: skip
    return told


def _chosen(copies: dict[str, str], audience: str | None) -> str:
    if audience is None:
        return next(iter(copies.values()))
    if audience not in copies:
        raise Invalid.field("audience", f"must be one of {', '.join(copies)}")
    return copies[audience]


@router.post("/documents/{document_id}/sign")
async def sign_document(house: InHouse, principal: Caller, document_id: uuid.UUID) -> Response:
    """Signs a notice, a registration or a mediation document. Acceptance, non-acceptance and termination carry the names of those who did
    the act; one that lacked something then is filled in and issued here."""
    principal.require(*_STAFF)
    principal.require_person()
    async with house.database.transaction() as connection:
        found = await _open(house, connection, document_id, principal)
        persons = [principal.subject]
        if found.form.number in documents.DECISIONS:
            persons = await cases.signers(connection, found.matter_id, documents.DECISIONS[found.form.number])
            if not persons:
                raise Conflict(f"{found.form.title} is signed by the act it tells of, which was not done yet")
        number = await documents.sign(connection, document_id, persons, datetime.now(UTC))
    return answer({"id": document_id, "state": "signed", "number": number})


@router.post("/documents/{document_id}/void")
async def void_document(house: InHouse, principal: Caller, document_id: uuid.UUID, body: Voiding) -> Response:
    """Takes a draft back. A signed one only a supervisor can declare void; it stays readable and keeps its number."""
    principal.require(*_STAFF)
    async with house.database.transaction() as connection:
        found = await _open(house, connection, document_id, principal)
        if found.state == "signed" and not (principal.natural_person and principal.has("supervisor", "admin")):
            raise Forbidden("a signed document is declared void by a supervisor, in person")
        await documents.void(connection, document_id, principal.subject, body.reason)
    return answer({"id": document_id, "state": "void"})


@router.get("/templates", tags=["templates"])
async def list_templates(house: InHouse, principal: Caller, form: Annotated[int | None, Query(ge=1, le=10)] = None) -> Response:
    """All there are, shipped ones included. Of a matter's form the narrowest jurisdiction's is used, of those the latest that is valid."""
    principal.require("admin", "policy", "auditor")
    async with house.database.connection() as connection:
        found = (await templates.load(connection)).all
    return answer({"items": [_listed(t) for t in found if form is None or t.form == form]})


def _listed(template: templates.Template) -> dict[str, Any]:
    return {
        "form": template.form, "title": FORMS[template.form].title, "jurisdiction": template.jurisdiction, "valid_from": template.valid_from,
        "published_by": template.by, "created_at": template.created_at, "hash": template.hash,
    }  # fmt: skip


@router.get("/templates/{hash}", tags=["templates"])
async def get_template(house: InHouse, principal: Caller, hash: str) -> Response:
    """One with its content."""
    principal.require("admin", "policy", "auditor")
    async with house.database.connection() as connection:
        found = (await templates.load(connection)).by_hash(hash)
    return answer({**_listed(found), "content": found.content})


@router.post("/templates", status_code=201, tags=["templates"])
async def post_template(house: InHouse, principal: Caller, body: NewTemplate) -> Response:
    """Puts a bureau's own template in the shipped one's place, from a day on. It is tried on made-up values first: what can't be drawn, what
    runs or loads anything and what would let a name become markup is refused with its line."""
    principal.require("admin")
    if not principal.covers(body.jurisdiction):
        raise Forbidden(f"{body.jurisdiction} is outside your jurisdiction")
    async with house.database.transaction() as connection:
        made = await templates.publish(
            connection, body.form, body.content, jurisdiction=body.jurisdiction, by=principal.subject,
            valid_from=body.valid_from or local_day(datetime.now(UTC)),
        )  # fmt: skip
    return answer(_listed(made), 201, {"Location": f"/v1/templates/{made.hash}"})
