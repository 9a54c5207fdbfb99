"""Who may talk to the server: an ASGI layer around everything, HTTP and WebSocket alike. Knows nothing of its pages.

Three checks, against a web page elsewhere that would use the browser as its arm:
    Host    must be a name this server answers to, so that no foreign name can be pointed at it (DNS rebinding)
    Origin  where a browser sends it, must be this server, so that no other site can open a connection (WebSockets are
            not held back by the same-origin policy)
    token   off this machine, everybody needs it: once as `?token=…`, then as a cookie, or as `Authorization: Bearer …`
Answers carry a policy under which the browser loads nothing from any other host.
"""

from __future__ import annotations

import hmac
import html
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_CLOSE_POLICY_VIOLATION = 1008
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",  # an address may carry the token
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>selfplay</title>
<meta name="viewport" content="width=device-width"><style>:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto; padding: 0 1rem }}</style>
<h1>selfplay</h1><p>{reason}</p><form><label>Token <input name="token" type="password" autofocus></label>
<button>Enter</button></form><p>It was printed where the server was started.</p></html>"""


@dataclass(frozen=True)
class Refused:
    """Why a request goes no further."""

    status: int
    reason: str


@dataclass(frozen=True)
class Access:
    """Who is let in.

    Attributes:
        names: hosts that the server answers to, in small letters, without port.
        any_address: whether it answers to any IP address in `Host` too; a number cannot be pointed elsewhere.
        token: what everybody needs, None = nothing.
    """

    names: frozenset[str] = LOOPBACK_NAMES
    any_address: bool = False
    token: str | None = field(default=None, repr=False)

    def refusal(self, headers: list[tuple[bytes, bytes]]) -> Refused | None:
        """What speaks against a request with these headers, the token aside; None = nothing."""
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or not self._is_mine(hosts[0]):
            found = ", ".join(hosts) or "none"
            return Refused(421, f"this server does not answer to the host name {found!r}; start it with --allow-host")
        origins = _values(headers, b"origin")
        if any(urlsplit(origin).netloc != hosts[0] for origin in origins):
            return Refused(403, f"the request comes from a page of {', '.join(origins)}, not of this server")
        return None

    def _is_mine(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.names or (self.any_address and _is_address(name))

    def is_token(self, text: str | None) -> bool:
        """Whether this is the token, in a time that tells nothing of it."""
        return self.token is None or (text is not None and hmac.compare_digest(text.encode(), self.token.encode()))


class Guard:
    """Lets through to `app` what `access` allows."""

    def __init__(self, app: App, access: Access, *, cookie: str = "selfplay_token") -> None:
        self.app = app
        self._access = access
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._access.refusal(scope["headers"])
        if refused is None and not self._has_token(scope):
            offered = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")
            if scope["type"] == "http" and offered is not None and self._access.is_token(offered):
                await self._let_in(scope, send)
                return
            refused = Refused(401, "This server needs a token." if offered is None else "That is not the token.")
        if refused is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _CLOSE_POLICY_VIOLATION, "reason": refused.reason})
        else:
            await _answer(send, refused)

    def _has_token(self, scope: Scope) -> bool:
        if self._access.token is None:
            return True
        headers = scope["headers"]
        offered = [value.removeprefix("Bearer ") for value in _values(headers, b"authorization")]
        for value in _values(headers, b"cookie"):
            try:
                morsel = SimpleCookie(value).get(self._cookie)
            except CookieError:
                continue
            offered += [morsel.value] if morsel else []
        return any(self._access.is_token(text) for text in offered)

    async def _let_in(self, scope: Scope, send: Send) -> None:
        """Keep the token in a cookie, and take it out of the address."""
        rest = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != "token"]
        path = "/" + scope["path"].lstrip("/\\")  # `//elsewhere` would be another host
        place = path + (f"?{urlencode(rest)}" if rest else "")
        cookie = f"{self._cookie}={self._access.token}; HttpOnly; SameSite=Strict; Path=/"
        headers = [(b"location", place.encode("latin-1", "ignore")), (b"set-cookie", cookie.encode())]
        await _with_headers(send)({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in headers if key.lower() == name]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *more]
        await send(message)

    return send_more


async def _answer(send: Send, refused: Refused) -> None:
    is_login = refused.status == 401
    body = (_LOGIN.format(reason=html.escape(refused.reason)) if is_login else f"{refused.reason}\n").encode()
    kind = b"text/html; charset=utf-8" if is_login else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await _with_headers(send)({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
