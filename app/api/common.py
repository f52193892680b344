"""What every route shares: the house, the caller, problem details, cursors."""

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, BeforeValidator

from app.calendar import SHANGHAI
from app.errors import Invalid, TriageError, Unauthorised
from app.identity import Identity, Principal
from app.triage import House

_bearer = HTTPBearer(auto_error=False, description="An opaque token of `triage token issue`")


# Asynchronous, though they await nothing: a plain function would be sent to a thread for every request.
async def get_house(request: Request) -> House:
    house: House = request.app.state.house
    return house


async def get_principal(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    if credentials is None:
        raise Unauthorised
    identity: Identity = request.app.state.identity
    return await identity.authenticate(credentials.credentials)


InHouse = Annotated[House, Depends(get_house)]
Caller = Annotated[Principal, Depends(get_principal)]


def _only_text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _zoned(value: datetime) -> datetime:
    """Input without a zone is Asia/Shanghai."""
    if not 2000 <= value.year <= 2100:
        raise ValueError("must lie between 2000 and 2100")
    return (value if value.tzinfo else value.replace(tzinfo=SHANGHAI)).astimezone(UTC)


# A time that may lie ahead; intake.Instant is one that may not.
Moment = Annotated[datetime, BeforeValidator(_only_text), AfterValidator(_zoned)]


def plain(value: Any) -> Any:
    """What JSON has no form for. Times are told in Asia/Shanghai."""
    if isinstance(value, uuid.UUID):  # most of them
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(SHANGHAI).isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return str(value)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = orjson.dumps(content, plain, orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS)
    return Response(body, status, dict(headers or {}), media_type="application/json")


def problem(error: TriageError) -> Response:
    content = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "errors": error.errors,
    }
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(body, error.status, headers, media_type="application/problem+json")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "errors": {
                            "type": "array",
                            "items": {"type": "object", "properties": {"field": {"type": "string"}, "message": {"type": "string"}}},
                        },
                    },
                }
            }
        },
    }
    for status, text in {
        400: "The body can't be decoded", 401: "Token missing, unknown, expired or revoked", 403: "Not allowed", 404: "Not found",
        409: "Conflict", 413: "Body too large", 422: "Invalid value, with the field's name", 503: "Not available now",
    }.items()
}  # fmt: skip


# Of an act that may need a further signature.
WAITS: dict[int | str, dict[str, Any]] = {202: {"description": "It waits for a further signature: approval_id"}}


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, default=plain).encode()).decode().rstrip("=")


def read_cursor(value: str | None) -> tuple[datetime, uuid.UUID] | None:
    """The (time, id) after which a page begins."""
    if not value:
        return None
    try:
        if len(value) > 200:
            raise ValueError
        moment, key = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None or not 1990 <= at.year <= 2200:
            raise ValueError
        return at, uuid.UUID(key)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, binascii.Error):
        raise Invalid.field("cursor", "is not one of ours") from None


def lanes(principal: Principal) -> tuple[str, ...]:
    """Which lanes the caller may know of."""
    return principal.lanes
