"""A real browser for tests: which one, and how it is started. Chromium or Chrome must be installed already."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from urllib.parse import urlsplit

from processes import seen_until

_ON_MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", _ON_MACOS)
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# What Chromium says of a page whose server has gone: to a new connection, and to one that was open.
SERVER_HAS_ENDED = ("net::ERR_CONNECTION_REFUSED", "WebSocket is already in CLOSING or CLOSED state")
MISSING = f"NO BROWSER: the pages are NOT tested; install one of {', '.join(NAMES)} (Debian: apt install chromium)"


def path():
    """Of the browser, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def serving(*command, cwd):
    """A command that serves pages while the block runs; gives the address it prints."""
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd
    ) as process:
        try:
            shown = seen_until(process.stdout.fileno(), rb"Ctrl-C ends\)", seconds=60)
            yield re.search(r"open (\S+)", shown.decode()).group(1)
        finally:
            process.terminate()
            rest, _ = process.communicate(timeout=30)
        assert b"Traceback" not in shown + rest, (shown + rest).decode()


class Watched:
    """Notes what a page complains of and whom it talks to."""

    def __init__(self, page):
        self.complaints = []
        page.on("console", lambda message: self._console(message))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self._request(page, request.url))

    def _console(self, message):
        if any(each in message.text for each in SERVER_HAS_ENDED):
            return  # before the page has: tests that need the server look at what the page shows
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, page, url):
        place = urlsplit(url)
        if place.scheme in ("http", "https", "ws", "wss") and place.hostname != "127.0.0.1":
            self.complaints.append(f"foreign request: {url}")
