"""The host over HTTP: requests in, one at a time to the host, answers out. Knows nothing of games.

Who may ask at all is the token's affair (`web/guard.py`). Beyond that each address may ask only so often, and no body
is read further than it may be long.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from selfplay.contributions.host import Host
from selfplay.contributions.protocol import (
    MOST_BATCH_BYTES,
    MOST_MESSAGE_BYTES,
    Alive,
    Joining,
    Refused,
    Wish,
)
from selfplay.errors import SelfplayError

REQUESTS_PER_MINUTE = 600  # from one address
JOINS_PER_MINUTE = 60
TURN_SECONDS = 0.1  # between two looks of the host at what happens meanwhile
_JSON = "application/json"
Body = TypeVar("Body")


def contribution_app(host: Host) -> FastAPI:
    """The application that answers for a host."""
    limiter, per_minute = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerMinute(REQUESTS_PER_MINUTE)
    joins = RateLimitItemPerMinute(JOINS_PER_MINUTE)
    app = FastAPI(openapi_url=None, lifespan=lambda app: _looking(host))

    def must_be_patient(request: Request, limit: RateLimitItemPerMinute, what: str) -> None:
        address = request.client.host if request.client else "?"
        if not limiter.hit(limit, what, address):
            raise Refused(429, f"{address} asks too often: {limit}")

    @app.exception_handler(Refused)
    async def refuse(request: Request, refused: Refused) -> Response:
        headers = {"Retry-After": "1"} if refused.status == 429 else {}
        content = msgspec.json.encode({"reason": refused.reason})
        return Response(content, refused.status, headers, _JSON)

    @app.get("/v1/run")
    async def run(request: Request) -> Response:
        must_be_patient(request, per_minute, "requests")
        return _answer(host.card())

    @app.get("/v1/newest")
    async def newest(request: Request) -> Response:
        must_be_patient(request, per_minute, "requests")
        return _answer(host.newest())

    @app.get("/v1/models/{fingerprint}")
    async def model(request: Request, fingerprint: str) -> Response:
        must_be_patient(request, per_minute, "requests")
        return Response(host.model(fingerprint), media_type="application/octet-stream")

    @app.post("/v1/join")
    async def join(request: Request) -> Response:
        must_be_patient(request, joins, "joins")
        return await _ask(request, Joining, host.join)

    @app.post("/v1/job")
    async def job(request: Request) -> Response:
        must_be_patient(request, per_minute, "requests")
        return await _ask(request, Wish, host.job)

    @app.post("/v1/alive")
    async def alive(request: Request) -> Response:
        must_be_patient(request, per_minute, "requests")
        return await _ask(request, Alive, host.alive)

    @app.post("/v1/batch")
    async def batch(request: Request, contributor: str) -> Response:
        must_be_patient(request, per_minute, "requests")
        return _answer(host.take(contributor, await _read(request, MOST_BATCH_BYTES)))

    return app


@asynccontextmanager
async def _looking(host: Host) -> AsyncIterator[None]:
    """While the application runs, the host looks around between requests."""

    async def look() -> None:
        try:
            while True:
                host.look()
                await asyncio.sleep(TURN_SECONDS)
        except SelfplayError as error:  # nobody could be answered rightly any more
            host.failure = error
            signal.raise_signal(signal.SIGINT)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        host.stop()


async def _ask(request: Request, kind: type[Body], ask: Callable[[Body], msgspec.Struct]) -> Response:
    """Read a message, put it to the host, answer."""
    content = await _read(request, MOST_MESSAGE_BYTES)
    try:
        message = msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"not as the protocol says: {error}") from None
    return _answer(ask(message))


async def _read(request: Request, most_bytes: int) -> bytes:
    content = b""
    async for block in request.stream():
        content += block
        if len(content) > most_bytes:
            raise Refused(413, f"more than {most_bytes:,} bytes")
    return content


def _answer(message: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(message), media_type=_JSON)
