"""The limit that the service is measured against: a bare Starlette application.

It has the service's server, its settings and its store client, and the driver's own pool with
nothing around it; it sends the same statements with the same arguments, and answers with bytes that
were captured from the service. What it lacks is what we pay for: routing, authentication,
validation, presentation, signing, middleware, logging, a pool that bounds waits and notices a dead
server.
"""

import argparse
import os
import pickle
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.plan import ALIVE_PATH, CONFIRM_PATH, STATEMENT_PATH, Answer, Confirmation, Plan
from photo_api import web_worker as worker
from photo_api.db.connect import session_options
from photo_api.http.connections import Connections
from photo_api.photos import upload_queries
from photo_api.photos.formats import SNIFF_LENGTH
from photo_api.settings.dependencies import DatabaseSettings
from photo_api.settings.loading import Settings, load
from photo_api.storage.opening import open_credentials
from photo_api.storage.s3 import S3Store

Endpoint = Callable[[Request], Awaitable[Response]]


def main() -> None:
    """Serve a plan on an inherited socket until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    plan: Plan = pickle.loads(options.plan.read_bytes())
    settings = load(os.environ)
    listening = socket.create_server(("127.0.0.1", options.port), backlog=worker.BACKLOG)
    config = worker.server_config(settings, limit_app(settings, plan), "limit", Connections())
    uvicorn.Server(config).run(sockets=[listening])


def limit_app(settings: Settings, plan: Plan) -> Starlette:
    """The application; its pool is opened by its lifespan, as the service's is."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        s3 = settings.s3
        async with (
            raw_pool(settings.database) as db,
            open_credentials(s3, settings.cloud) as credentials,
        ):
            yield {"db": db, "store": S3Store(s3.endpoint, s3.bucket, s3.region, credentials)}

    routes = [
        Route(f"{STATEMENT_PATH}/{{name}}", _one_statement(plan), methods=["GET", "POST"]),
        Route(CONFIRM_PATH, _confirmation(plan.confirmation), methods=["POST"]),
        Route(ALIVE_PATH, _alive),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def raw_pool(settings: DatabaseSettings) -> asyncpg.Pool:
    """The driver's pool with sessions like the service's. Without its reset, which is a round trip
    between two requests, and without timers."""
    return asyncpg.create_pool(
        settings.url,
        min_size=settings.pool_size,
        max_size=settings.pool_size,
        max_inactive_connection_lifetime=0,
        reset=_keep,
        **session_options(settings, "bench limit"),
    )


async def _keep(_: object) -> None:
    pass


def _one_statement(plan: Plan) -> Endpoint:
    """One route for all of them, which are found by their path: a bare application would not try
    hundreds of patterns in turn."""
    statements = plan.statements

    async def endpoint(request: Request) -> Response:
        item = statements[request.scope["path"]]
        await item.query(request.state.db, *item.args)
        return _response(item.answer)

    return endpoint


def _confirmation(item: Confirmation) -> Endpoint:
    """Three statements and three requests to the store, as `direct_upload.confirm` makes them."""

    async def endpoint(request: Request) -> Response:
        db, store, owner_id = request.state.db, request.state.store, item.owner_id
        photo_id = orjson.loads(await request.body())["photo_id"]
        photo = await upload_queries.staged(db, owner_id, photo_id)
        assert photo is not None
        await store.peek(photo["staging_key"], SNIFF_LENGTH)
        key = f"photos/{owner_id}/{photo_id}/{secrets.token_hex(16)}.jpg"
        await upload_queries.note_object(db, key, upload_queries.KEY_GRACE)
        await store.copy(photo["staging_key"], key, content_type=photo["content_type"])
        await store.peek(key, SNIFF_LENGTH)
        await upload_queries.make_ready(
            db, owner_id, photo_id, key, photo["content_type"], photo["sha256"]
        )
        return _response(item.answer)

    return endpoint


async def _alive(_: Request) -> Response:
    return Response()


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


if __name__ == "__main__":
    main()
