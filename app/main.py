"""The web application: lifespan, routers, error handler, health, metrics."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import asyncpg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import alarms
from app.api import (
    analysis,
    calendars,
    callbacks,
    codes,
    complaints,
    contacts,
    corrections,
    deliveries,
    directories,
    documents,
    handovers,
    joint,
    matters,
    policies,
    queues,
    reconciliations,
    similar,
    team,
)  # fmt: skip
from app.api.common import answer, problem
from app.database import ENDED, Database
from app.errors import TriageError, Unavailable
from app.identity import Identity
from app.privacy import Vault, load_keys
from app.settings import Settings
from app.triage import House

VERSION = "0.1.0"
MAX_BODY_BYTES = 8 * 1024 * 1024
log = logging.getLogger(__name__)


def create_app(settings: Settings, database_url: str, *, when_ready: Callable[[], None] = lambda: None) -> FastAPI:
    """Explicit construction: nothing is built at import. when_ready: called once everything is loaded."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(database_url, pool_size=settings.pool_size)
        app.state.database = database
        app.state.identity = Identity(database)
        app.state.house = await House.open(settings, database, Vault(load_keys(settings)))
        fresh = asyncio.create_task(app.state.house.keep_fresh())
        when_ready()
        try:
            yield
        finally:
            fresh.cancel()
            await database.close()

    app = FastAPI(
        title="Complaint Triage",
        version=VERSION,
        description="Links, clusters and routes consumer complaints for a market regulator.",
        lifespan=lifespan,
        # Exception texts may carry personal data: no native telemetry.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.include_router(complaints.router)
    app.include_router(queues.router)
    app.include_router(contacts.router)
    app.include_router(team.router)
    app.include_router(analysis.router)
    app.include_router(codes.router)
    app.include_router(corrections.router)
    app.include_router(deliveries.router)
    app.include_router(calendars.router)
    app.include_router(policies.router)
    app.include_router(directories.router)
    app.include_router(documents.router)
    app.include_router(joint.router)
    app.include_router(handovers.router)
    app.include_router(reconciliations.router)
    app.include_router(similar.router)
    app.include_router(callbacks.router)
    # Last: its acts are any word after a matter's id.
    app.include_router(matters.router)
    registry = CollectorRegistry()
    requests = Counter("triage_requests", "Answers by route and status", ["route", "status"], registry=registry)
    waiting = Gauge("triage_untriaged_letters", "Letters that wait for triage", registry=registry)
    unanswered = Gauge("triage_unacknowledged_emergencies", "Emergencies nobody took over yet", registry=registry)
    undelivered = Gauge("triage_deliveries", "Deliveries that wait or failed", ["state"], registry=registry)
    ready_items = Gauge("triage_ready_work_items", "Work items to be claimed", ["queue"], registry=registry)
    starving = Gauge("triage_queue_alarms", "Open alarms of starving queues", ["queue"], registry=registry)
    oldest_red = Gauge(
        "triage_oldest_red_seconds", "Since the first open item that is due today or overdue was due; below 0: until it is", ["queue"],
        registry=registry,
    )  # fmt: skip

    @app.exception_handler(TriageError)
    async def known(request: Request, error: TriageError) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [_field(e) for e in error.errors()]
        undecodable = any(e.get("type") == "json_invalid" for e in error.errors())
        found = TriageError("; ".join(f"{e['field']}: {e['message']}" for e in errors[:5]), errors=errors)
        found.status, found.title = (400, "The body can't be decoded") if undecodable else (422, "Invalid value")
        return problem(found)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        found = TriageError(
            str(error.detail), errors=[{"field": "body", "message": str(error.detail)}] if error.status_code in (400, 413) else []
        )
        found.status, found.title = error.status_code, str(error.detail)
        return problem(found)

    app.add_middleware(_Limited)
    app.add_middleware(_Counted, counter=requests)

    @app.get("/healthz", tags=["operation"])
    async def healthz() -> Response:
        """The process lives."""
        return answer({"status": "ok", "version": VERSION})

    @app.get("/readyz", tags=["operation"])
    async def readyz() -> Response:
        """The process can work: the database answers and is migrated."""
        if not await app.state.database.ready():
            return problem(Unavailable("the database does not answer"))
        return answer({"status": "ready"})

    @app.get("/metrics", tags=["operation"])
    async def metrics() -> Response:
        """Prometheus: answers, what waits, alarms. No personal data."""
        async with app.state.database.connection() as connection:
            waiting.set(await connection.fetchval("SELECT count(*) FROM letter WHERE state = 'received'"))
            unanswered.set(await connection.fetchval("SELECT count(*) FROM page WHERE acknowledged_at IS NULL"))
            for state in ("waiting", "failed"):
                undelivered.labels(state).set(await connection.fetchval("SELECT count(*) FROM delivery WHERE state = $1", state))
            for row in await connection.fetch("SELECT queue_id, count(*) AS n FROM ready GROUP BY 1"):
                ready_items.labels(row["queue_id"]).set(row["n"])
            open_alarms, ages = await alarms.gauges(connection, app.state.house.calendar, datetime.now(UTC))
        for gauge, by_queue in ((starving, open_alarms), (oldest_red, ages)):
            gauge.clear()  # a queue that is well again is not told any more
            for queue, value in by_queue.items():
                gauge.labels(queue).set(value)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


class _Counted:
    """Counts answers, and answers for errors that nobody expected. Plain ASGI: the convenient kind of middleware costs
    more than a claim. Outermost, so that no server logs such an error's text: database errors quote values."""

    def __init__(self, app: ASGIApp, counter: Counter) -> None:
        self._app, self._counter = app, counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                route = scope.get("route")
                self._counter.labels(route.path if route else "none", message["status"]).inc()
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception as error:
            log.error("%s failed: %s", scope["method"], type(error).__name__)
            if not started:
                await problem(_unexpected(error))(scope, receive, counted)


def _unexpected(error: Exception) -> TriageError:
    if isinstance(error, (PoolTimeout, DisconnectionError, asyncpg.CannotConnectNowError, asyncpg.DeadlockDetectedError, *ENDED)):
        return Unavailable("the database does not answer; try again")
    return TriageError("an unexpected error; the complaint, if one was sent and acknowledged, is safe")


class _Limited:
    """Refuses NUL in the address, and bodies over MAX_BODY_BYTES, told or untold length alike."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope.get("query_string", b""):
            found = TriageError("path or query: must not hold NUL", errors=[{"field": "query", "message": "must not hold NUL"}])
            found.status, found.title = 422, "Invalid value"
            await problem(found)(scope, receive, send)
            return
        told = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        if told.isdigit() and int(told) > MAX_BODY_BYTES:
            await _too_large()(scope, receive, send)
            return
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, limited, send)


_TOO_LARGE = f"must not be larger than {MAX_BODY_BYTES} bytes"


def _too_large() -> Response:
    found = TriageError(f"body: {_TOO_LARGE}", errors=[{"field": "body", "message": _TOO_LARGE}])
    found.status, found.title = 413, "Body too large"
    return problem(found)


def _field(error: dict[str, object]) -> dict[str, str]:
    location = [str(p) for p in error.get("loc", ()) if p not in ("body", "query", "path", "header")]  # type: ignore[attr-defined]
    if error.get("type") == "json_invalid":
        return {"field": "body", "message": f"is not JSON (near character {location[0] if location else '?'})"}
    return {"field": ".".join(location) or "body", "message": str(error.get("msg", "invalid")).removeprefix("Value error, ")}
