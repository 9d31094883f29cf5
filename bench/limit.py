"""The limit that the service is measured against: a bare Starlette application.

It has the service's server, its settings, its connection pool and its store client; it sends the
same statements with the same arguments, and answers with bytes that were captured from the service.
What it lacks is what we pay for: routing, authentication, validation, presentation, signing,
middleware, logging.
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

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.plan import ALIVE_PATH, CONFIRM_PATH, Answer, Confirmation, OneStatement, Plan
from photo_api import web_worker as worker
from photo_api.db.pool import open_database
from photo_api.http.connections import Connections
from photo_api.photos import upload_queries
from photo_api.photos.formats import SNIFF_LENGTH
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
            open_database(settings.database, "bench limit") as db,
            open_credentials(s3, settings.cloud) as credentials,
        ):
            yield {"db": db, "store": S3Store(s3.endpoint, s3.bucket, s3.region, credentials)}

    routes = [
        Route(path, _one_statement(item), methods=[item.method])
        for path, item in plan.statements.items()
    ]
    routes.append(Route(ALIVE_PATH, _alive))
    routes.append(Route(CONFIRM_PATH, _confirmation(plan.confirmation), methods=["POST"]))
    return Starlette(routes=routes, lifespan=lifespan)


def _one_statement(item: OneStatement) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        await item.query(request.state.db, *item.args)
        return _response(item.answer)

    return endpoint


def _confirmation(item: Confirmation) -> Endpoint:
    """Three statements and two requests to the store, as `direct_upload.confirm` makes them."""

    async def endpoint(request: Request) -> Response:
        db, store, owner_id = request.state.db, request.state.store, item.owner_id
        photo_id = orjson.loads(await request.body())["photo_id"]
        photo = await upload_queries.staged(db, owner_id, photo_id)
        assert photo is not None
        key = f"photos/{owner_id}/{photo_id}/{secrets.token_hex(16)}.jpg"
        await upload_queries.note_object(db, key, upload_queries.KEY_GRACE)
        await store.copy(photo["staging_key"], key)
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
