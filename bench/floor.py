"""The floors: bare FastAPI endpoints with one asyncpg statement, an INSERT of the same row or a SKIP LOCKED claim. Served exactly as the
service is."""

import json
import os
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, Request
from sqlalchemy import make_url

from app.identity import new_id

INSERT = (
    "INSERT INTO bench_floor (id, source, external_id, body, channel, received_at, event_at, history, state) "
    "VALUES ($1, 'bench', $2, $3, $4, $5, $5, false, 'received')"
)
BARE_CLAIM = (
    "UPDATE bench_queue SET state = 'leased', token = gen_random_uuid() WHERE id IN (SELECT id FROM bench_queue WHERE state = 'ready' "
    "ORDER BY urgent_at, id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, token"
)


def driver_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def create_app(url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        app.state.pool = await asyncpg.create_pool(driver_url(url), min_size=8, max_size=8)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan, telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.post("/floor", status_code=201)
    async def floor(request: Request) -> dict[str, str]:
        raw = await request.body()
        body = json.loads(raw)
        key = new_id()
        async with app.state.pool.acquire() as connection:
            await connection.execute(INSERT, key, body["external_id"], raw, body.get("channel"), datetime.now(UTC))
        return {"id": str(key)}

    @app.post("/claim")
    async def claim(request: Request) -> dict[str, Any]:
        body = json.loads(await request.body())
        async with app.state.pool.acquire() as connection:
            rows = await connection.fetch(BARE_CLAIM, body["limit"])
        return {"items": [{"id": str(r["id"]), "lease_token": str(r["token"])} for r in rows]}

    return app


if __name__ == "__main__":
    config = uvicorn.Config(create_app(os.environ["DATABASE_URL"]), fd=int(sys.argv[1]), access_log=False, log_level="warning")
    uvicorn.Server(config).run()
