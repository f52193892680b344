"""Every code that the service speaks in, with what it is called in Chinese and where that comes from."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Response

from app import acts, calendar, codes, complainants, directories, documents, drawing, handovers, partners, policy
from app.api.common import PROBLEMS, Caller, InHouse, answer
from app.database import Connection
from app.errors import NotFound

router = APIRouter(prefix="/v1/codes", tags=["codes"], responses=PROBLEMS)

_ORDER_121 = "《市场监督管理投诉举报处理办法》（总局令第121号）"
_OURS = "本系统"
# Lists that modules own, besides those that are loaded: list -> (source, code -> label). A loaded row of the same code goes before.
_OWNED: dict[str, tuple[str, Mapping[str, str]]] = {
    "state": (_OURS, acts.STATE_LABELS),
    "track": (_OURS, policy.TRACK_LABELS),
    "document": (_ORDER_121, {str(number): form.title for number, form in drawing.FORMS.items()}),
    "document_state": (_OURS, documents.STATE_LABELS),
    "audience": (_OURS, drawing.AUDIENCE_LABELS),
    "directory": (_OURS, {kind: one.label for kind, one in directories.DIRECTORIES.items()}),
    "partner": (_OURS, {kind: one.label for kind, one in partners.KINDS.items()}),
    "handover_state": (_OURS, handovers.STATE_LABELS),
    "handover_result": (_OURS, partners.RESULT_LABELS),
    "due_mode": (_OURS, calendar.DUE_MODES),
    "link_level": (_OURS, complainants.LEVEL_LABELS),
    "link_comparison": (_OURS, complainants.COMPARISON_LABELS),
    "link_rule": (_OURS, complainants.RULE_LABELS),
}
Known = Annotated[
    str | None, Header(alias="If-None-Match", description="The ETag of what the caller has: 304 while it still holds")
]
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Still as the caller has it"}}


@router.get("", responses=_UNCHANGED)
async def list_codes(house: InHouse, principal: Caller, known: Known = None) -> Response:
    """The code lists, each with how many codes it has, its source and date."""
    async with house.database.connection() as connection:
        found = {one["list"]: one for one in await codes.lists(connection)}
        queues = await _queues(connection)
    for name, (source, labels) in (*_OWNED.items(), ("queue", (_OURS, queues))):
        if name not in found:
            found[name] = {"list": name, "codes": len(labels), "as_of": None, "source": source}
    return _tagged({"items": [found[name] for name in sorted(found)]}, known)


@router.get("/{name}", responses=_UNCHANGED)
async def get_codes(house: InHouse, principal: Caller, name: str, known: Known = None) -> Response:
    """One list: code, name, parent, source, as_of; of grounds (non_acceptance, termination) the whole sentence and its article too."""
    async with house.database.connection() as connection:
        try:
            found = await codes.entries(connection, name)
        except NotFound:
            if name not in _OWNED and name != "queue":
                raise
            found = []
        owned = {**_OWNED, "queue": (_OURS, await _queues(connection))} if name == "queue" else _OWNED
    source, labels = owned.get(name, ("", {}))
    have = {one["code"] for one in found}
    found += [
        {"code": code, "name": label, "parent": None, "source": source, "as_of": None}
        for code, label in labels.items()
        if code not in have
    ]
    return _tagged({"list": name, "items": list(_with_sentences(name, found))}, known)


async def _queues(connection: Connection) -> dict[str, str]:
    return {r["id"]: r["name"] for r in await connection.fetch("SELECT id, name FROM queue ORDER BY id")}


def _with_sentences(name: str, found: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    shipped = codes.shipped("grounds")
    article = next((a for a, one in shipped["articles"].items() if one["list"] == name), None)
    if article is None:
        return found
    texts = {one["code"]: one["text"] for one in drawing.grounds(article)}
    basis = shipped["articles"][article]["basis"]
    return [{**one, "text": texts.get(one["code"]), "basis": basis, "text_source": shipped["source"]} for one in found]


def _tagged(content: dict[str, Any], known: str | None) -> Response:
    """304 where the caller has it already: lists change a few times a year and are asked for all day."""
    tag = '"' + hashlib.sha256(orjson.dumps(content, str)).hexdigest()[:24] + '"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    have = {one.strip().removeprefix("W/") for one in (known or "").split(",")}
    if tag in have or "*" in have:
        return Response(status_code=304, headers=headers)
    return answer(content, headers=headers)
