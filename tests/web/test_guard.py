"""Who gets through to the pages. The app behind the guard is a bell."""

import asyncio

import pytest

from selfplay.errors import UsageError
from selfplay.web.guard import LOOPBACK_NAMES, Access, Guard
from selfplay.web.server import Address

TOKEN = "0123456789abcdef"


class Bell:
    """Counts who came through."""

    def __init__(self):
        self.rung = 0

    async def __call__(self, scope, receive, send):
        self.rung += 1
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
            await send({"type": "http.response.body", "body": b"hello"})


def ask(access, *, path="/", query="", kind="http", **headers):
    """Status, headers and body of the answer, and whether the request came through."""
    bell, sent = Bell(), []

    async def send(message):
        sent.append(message)

    headers = {"host": "127.0.0.1:8765"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value is not None],
    }
    asyncio.run(Guard(bell, access)(scope, None, send))
    if kind == "websocket":
        return sent[0]["code"] if sent else None, {}, b"", bell.rung == 1
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], head, sent[1]["body"], bell.rung == 1


def test_this_machine_gets_through_and_the_browser_is_held_to_this_host():
    status, headers, body, came_through = ask(Access())
    assert (status, body, came_through) == (200, b"hello", True)
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-own"] == "1"


@pytest.mark.parametrize("host", ["localhost:8765", "LOCALHOST", "[::1]:8765", "127.0.0.1"])
def test_names_of_this_machine_are_answered(host):
    assert ask(Access(), host=host)[3]


@pytest.mark.parametrize("host", ["evil.example:8765", "localhost.evil.example", "10.0.0.1", "", "[::1", None, "a b"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_foreign_host_names_are_refused(host, kind):
    status, _, _, came_through = ask(Access(), host=host, kind=kind)
    assert not came_through
    assert status == (421 if kind == "http" else 1008)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:9999",
        "null",
        "http://127.0.0.1:8765.evil.example",
        "http://localhost:8765",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_pages_of_other_sites_are_refused(origin, kind):
    status, _, _, came_through = ask(Access(), origin=origin, kind=kind)
    assert not came_through
    assert status == (403 if kind == "http" else 1008)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_own_pages_get_through(kind):
    assert ask(Access(), origin="http://127.0.0.1:8765", kind=kind)[3]


def test_addresses_are_answered_off_loopback_and_foreign_names_are_not():
    access = Address(host="0.0.0.0", token=TOKEN, names=("proxy.example",)).access()
    bearer = f"Bearer {TOKEN}"
    assert ask(access, host="192.168.1.7:8765", authorization=bearer)[3]
    assert ask(access, host="proxy.example", origin="https://proxy.example", authorization=bearer)[3]
    assert ask(access, host="evil.example", authorization=bearer)[0] == 421


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_without_the_token_nothing_gets_through(kind):
    access = Access(token=TOKEN)
    for headers in (
        {},
        {"cookie": "selfplay_token=wrong"},
        {"authorization": "Bearer wrong"},
        {"cookie": "a=b; \x00="},
        {"authorization": "Bearer \xe9"},
        {"cookie": f"other={TOKEN}"},
    ):
        status, _, body, came_through = ask(access, kind=kind, **headers)
        assert not came_through
        assert status == (401 if kind == "http" else 1008)
        assert TOKEN.encode() not in body


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("header", [{"cookie": f"a=b; selfplay_token={TOKEN}"}, {"authorization": f"Bearer {TOKEN}"}])
def test_with_the_token_all_gets_through(kind, header):
    assert ask(Access(token=TOKEN), kind=kind, **header)[3]


def test_a_link_with_the_token_becomes_a_cookie_and_leaves_the_address():
    status, headers, _, came_through = ask(Access(token=TOKEN), path="/games", query=f"round=3&token={TOKEN}&ply=2")
    assert (status, headers["location"], came_through) == (303, "/games?round=3&ply=2", False)
    assert headers["set-cookie"] == f"selfplay_token={TOKEN}; HttpOnly; SameSite=Strict; Path=/"


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "\\\\evil.example"])
def test_a_link_with_the_token_leads_nowhere_else(path):
    location = ask(Access(token=TOKEN), path=path, query=f"token={TOKEN}")[1]["location"]
    assert location.startswith("/e")


def test_a_wrong_token_is_said_to_be_wrong_and_opens_no_websocket():
    status, headers, body, _ = ask(Access(token=TOKEN), query="token=wrong")
    assert (status, headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert b"That is not the token." in body
    assert ask(Access(token=TOKEN), query=f"token={TOKEN}", kind="websocket")[0] == 1008


def test_a_token_is_made_up_off_this_machine_and_only_there():
    assert Address().access() == Access(names=LOOPBACK_NAMES, any_address=False, token=None)
    first, second = (Address(host="0.0.0.0").access().token for _ in range(2))
    assert len(first) == 32
    assert len(Address(names=("proxy.example",)).access().token) == 32, "who comes through a proxy comes from elsewhere"
    assert first != second
    assert TOKEN not in repr(Address(token=TOKEN))
    assert TOKEN not in repr(Access(token=TOKEN))


@pytest.mark.parametrize("token", ["short", "with blanks and so on", "ümläut-ümläut"])
def test_tokens_that_are_guessed_or_make_no_cookie_are_refused(token):
    with pytest.raises(UsageError, match="12 or more letters and digits"):
        Address(token=token).access()
