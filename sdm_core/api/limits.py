"""What a request may bring and how often a client may come, checked before anything is read into memory."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sdm_core.api.refusals import refusal
from sdm_core.api.settings import ApiSettings

_MAX_CLIENTS = 20_000
#: Of a body that is refused for its size, what is still taken and dropped: so many times the limit, so long.
_DROPPED_TIMES, _DROPPED_S = 4, 5.0
_POINTS_OF_TILE, _POINTS_OF_READING, _POINTS_OF_WRITING = 1.0, 2.0, 10.0


class TokenBuckets:
    """Points of every client: they grow by `rate` a second up to `burst`, and each request spends some."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic):
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, points: float) -> float:
        """Spend points; 0 where the client had them, else the seconds until it will have."""
        if self.rate <= 0:
            return 0.0
        now = self._clock()
        saved, since = self._buckets.pop(client, (self.burst, now))
        saved = min(self.burst, saved + (now - since) * self.rate)
        missing = min(points, self.burst) - saved
        self._buckets[client] = (saved if missing > 0 else saved - points, now)
        while len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return max(0.0, missing / self.rate)


def client_of(scope: Scope, trusted_proxies: int) -> str:
    """Who asks: the address of the connection, or what the nearest trusted proxy says; IPv6 by network."""
    peer = scope.get("client")
    address = str(peer[0]) if peer else "unknown"
    if trusted_proxies:
        told = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
        hops = [hop.strip() for hop in told.split(",") if hop.strip()]
        if hops:
            address = hops[-min(trusted_proxies, len(hops))]
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if known.version == 6:
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)


class _TooLargeError(Exception):
    """More bytes came than are taken."""


class _TooSlowError(Exception):
    """The body took too long to arrive."""


class Gate:
    """Middleware in front of everything: rate, size and time of what comes in, HEAD as GET without a body.

    The body is counted while it streams in, so that what is too large is refused before it is in memory.
    Answers to GET may be read by pages of any origin; nothing that changes state can be sent from there,
    because a POST must be JSON, and browsers ask first (and are refused) before they send that elsewhere.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings):
        self.app = app
        self.settings = settings
        self.buckets = TokenBuckets(settings.rate, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        settings, method = self.settings, scope["method"]
        is_reading = method in ("GET", "HEAD")
        sender = _Sender(send, without_body=method == "HEAD", open_to_all=is_reading)
        if method == "HEAD":
            scope = {**scope, "method": "GET"}
        points = _POINTS_OF_WRITING if not is_reading else _POINTS_OF_READING
        if is_reading and "/tiles/" in scope["path"]:
            points = _POINTS_OF_TILE
        wait = self.buckets.wait_s(client_of(scope, settings.trusted_proxies), points)
        if wait > 0:
            seconds = max(1, math.ceil(wait))
            answer = refusal(
                429,
                f"Too many requests came from your address; try again in {seconds} s.",
                {"Retry-After": str(seconds)},
            )
            await answer(scope, receive, sender)
            return
        headers = Headers(scope=scope)
        too_large = refusal(
            413,
            f"The request is larger than {settings.max_body_bytes / 1e6:g} MB; simplify the region or send "
            "it in parts.",
            {"Connection": "close"},
        )
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > settings.max_body_bytes:
            await self._let_it_pass(receive)
            await too_large(scope, receive, sender)
            return
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not is_reading and method != "DELETE" and not _is_json(content_type):
            await refusal(
                415, f"The body is {content_type[:40] or 'of no stated type'}; send JSON (application/json)."
            )(scope, receive, sender)
            return
        try:
            await self.app(scope, self._counted(receive), sender)
        except _TooLargeError:
            if not sender.started:
                await self._let_it_pass(receive)
                await too_large(scope, receive, sender)
        except _TooSlowError:
            if not sender.started:
                await refusal(
                    408, "The request took too long to arrive; send it again.", {"Connection": "close"}
                )(scope, receive, sender)

    async def _let_it_pass(self, receive: Receive) -> None:
        """Drop what a client still sends, up to a limit: most read an answer only once they have sent all."""
        n_left = _DROPPED_TIMES * self.settings.max_body_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DROPPED_S):
                while n_left > 0:
                    message = await receive()
                    n_left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return

    def _counted(self, receive: Receive) -> Receive:
        n_bytes = 0
        end = time.monotonic() + self.settings.max_seconds
        is_complete = False

        async def counted() -> Message:
            nonlocal n_bytes, is_complete
            if is_complete:  # what comes now is the client leaving
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.01, end - time.monotonic()))
            except TimeoutError as error:
                raise _TooSlowError from error
            n_bytes += len(message.get("body", b""))
            if n_bytes > self.settings.max_body_bytes:
                raise _TooLargeError
            is_complete = not message.get("more_body", False)
            return message

        return counted


class _Sender:
    """Sends an answer on, without its body for HEAD, and knows whether it has begun."""

    def __init__(self, send: Send, without_body: bool, open_to_all: bool):
        self.started = False
        self._send = send
        self._without_body = without_body
        self._open_to_all = open_to_all
        self._ended = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]
            if self._open_to_all:
                headers.append((b"access-control-allow-origin", b"*"))
            message = {**message, "headers": headers}
        elif self._without_body:
            if self._ended:
                return
            self._ended = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")
