"""Serves pages that were added before, on one address, until Ctrl-C. Knows nothing of what the pages show.

The library is NiceGUI: pages are written in Python, and it brings all front-end parts itself (components, charts), so
that nothing of others is copied here and nothing is fetched from elsewhere.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources

from selfplay.errors import UsageError
from selfplay.web.guard import LOOPBACK_NAMES, Access, App, Guard

DEFAULT_PORT = 8765
_LEAST_TOKEN = 12  # characters
_MOST_MESSAGE_BYTES = 1 << 20  # from a browser
_MOST_CONNECTIONS = 256
_STOP_SECONDS = 2


@dataclass(frozen=True)
class Address:
    """Where to serve, and for whom.

    Attributes:
        host: the interface to bind to.
        port: 0 = any free one.
        token: None = none where only this machine answers, a new one elsewhere.
        names: further host names to answer to, such as that of a proxy in front.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK_NAMES

    def access(self) -> Access:
        """Who is let in; raises `UsageError` for a token that is easily guessed or makes no cookie."""
        token = self.token
        if token is not None and (len(token) < _LEAST_TOKEN or not token.isascii() or not token.isalnum()):
            raise UsageError(
                f"the token must be {_LEAST_TOKEN} or more letters and digits; without one, one is made up"
            )
        if token is None and (not self.is_loopback or self.names):  # other names are those of a proxy, open to others
            token = secrets.token_hex(16)
        own = {self.host.lower(), *(name.lower() for name in self.names)}
        if not self.is_loopback:
            own |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        return Access(names=LOOPBACK_NAMES | own, any_address=not self.is_loopback, token=token)


def require() -> None:
    """Raise `UsageError` where the packages for pages are not installed."""
    try:
        import nicegui  # noqa: F401
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise UsageError(f"pages need the extra `web` ({error}): pip install 'selfplay[web]'") from None


def serve(address: Address, *, say: Callable[[str], None], begin: str = "/") -> None:
    """Serve until Ctrl-C; `say` gets the line with the link to the page `begin`, a path with perhaps a query.

    Raises `UsageError` where the address cannot be had.
    """
    from fastapi import FastAPI
    from nicegui import ui

    outer = FastAPI(openapi_url=None)
    ui.add_css((resources.files("selfplay") / "web" / "style.css").read_text("utf-8"), shared=True)
    ui.run_with(outer, title="selfplay", favicon="♟️", dark=None, tailwind=False, show_welcome_message=False)
    serve_app(outer, address, say=lambda port, token: say(_welcome(address, port, token, begin)))


def serve_app(app: App, address: Address, *, say: Callable[[int, str | None], None]) -> None:
    """Serve an ASGI application to whom the address lets in, until Ctrl-C; `say` gets port and token once it listens.

    Raises `UsageError` where the address cannot be had.
    """
    import uvicorn

    access = address.access()
    listening = _bind(address)
    port = listening.getsockname()[1]
    guarded: App = Guard(app, access, cookie=f"selfplay_{port}")  # cookies are shared by all ports of a host
    config = uvicorn.Config(
        guarded,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=_MOST_MESSAGE_BYTES,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    say(port, access.token)
    uvicorn.Server(config).run(sockets=[listening])


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"cannot serve on {address.host} port {address.port} ({error}); choose another with --port, 0 = any"
        ) from None


def _welcome(address: Address, port: int, token: str | None, begin: str) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    if address.host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    mark = "&" if "?" in begin else "?"
    line = f"open http://{host}:{port}{begin}" + (f"{mark}token={token}" if token else "") + "   (Ctrl-C ends)"
    if address.is_loopback:
        return line
    return (
        f"{line}\nwho has this link may watch and play; it travels unencrypted: "
        "across networks, use ssh -L or a proxy with TLS"
    )
