"""The other end: plays games for a run elsewhere, in as many processes as wished, until told to stop.

Rules of a game that is installed here are those that are installed, if their hash is the run's. Rules that come with
the run are a stranger's Python code: they are taken only where the user says that they are trusted. Files live in a
folder that goes with the process.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import tenacity

from selfplay import __version__
from selfplay.contributions.protocol import (
    PROTOCOL,
    Alive,
    Job,
    Joined,
    Joining,
    Newest,
    Receipt,
    Refused,
    RunCard,
    Wish,
)
from selfplay.engines.engine import Answer, Ended, Message
from selfplay.engines.local import LocalEngine
from selfplay.errors import ProcessError, RunError, UsageError
from selfplay.files import write_atomically
from selfplay.games.registry import load_rules
from selfplay.settings import WorkerSettings
from selfplay.worker.process import WorkerSetup, WorkerTask, load_network
from selfplay.worker.replay import arithmetic_digest

SERVICE = "selfplay.worker.process:make_worker"
ALIVE_SECONDS = 10.0  # between two signs of life
POLL_SECONDS = 0.2
UNREACHABLE_SECONDS = 600.0  # that a host may be away before the contributor gives up
TIMEOUT_SECONDS = 30.0
MOST_DEATHS = 5  # of one process, in a row
Body = TypeVar("Body", bound=msgspec.Struct)


@dataclass(frozen=True)
class Offer:
    """What a user offers.

    Attributes:
        url: of the host, with its token perhaps: http://HOST:PORT/?token=TOKEN
        name: how the host calls this contributor.
        workers: processes.
        trusts_rules: whether rules may be taken from the host.
    """

    url: str
    name: str = field(default_factory=platform.node)
    workers: int = 1
    trusts_rules: bool = False


class Connection:
    """Requests to a host, which are sent again where it is away for a while."""

    def __init__(self, url: str, *, say: Callable[[str], None]) -> None:
        parts = httpx.URL(url)
        if parts.scheme not in ("http", "https") or not parts.host:
            raise UsageError(f"{url} is no address of a host; expected http://HOST:PORT/?token=TOKEN")
        token = parts.params.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = parts.copy_with(query=None, fragment=None)
        self._say = say
        self._client = httpx.Client(base_url=base, headers=headers, timeout=TIMEOUT_SECONDS)
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_passing),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=20.0),
            stop=tenacity.stop_after_delay(UNREACHABLE_SECONDS),
            before_sleep=lambda state: self._note_attempt(state.attempt_number),
            reraise=True,
        )

    def get(self, path: str, kind: type[Body]) -> Body:
        """Ask for a message. Raises `Refused`, or `RunError` where the host is gone."""
        return msgspec.json.decode(self._send("GET", path), type=kind)

    def fetch(self, path: str) -> bytes:
        """Ask for a file; raises as `get`."""
        return self._send("GET", path)

    def post(self, path: str, body: msgspec.Struct | bytes, kind: type[Body]) -> Body:
        """Send a message or a file; raises as `get`."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return msgspec.json.decode(self._send("POST", path, content), type=kind)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _note_attempt(self, number: int) -> None:
        if number == 3:  # one is no news
            self._say(f"{self._client.base_url} does not answer; trying again")

    def _send(self, method: str, path: str, content: bytes | None = None) -> bytes:
        def once() -> bytes:
            response = self._client.request(method, path, content=content)
            if response.is_success:
                return response.content
            raise Refused(response.status_code, _reason(response))

        try:
            return self._retrying(once)
        except httpx.TransportError as error:
            raise RunError(
                f"{self._client.base_url} does not answer ({error}); is `selfplay serve` running there?"
            ) from None


class Contribution:
    """Plays for one host.

    Args:
        offer: for whom, and how much.
        say: gets a line when something happened that people want to read.
    """

    def __init__(self, offer: Offer, *, say: Callable[[str], None]) -> None:
        self.games = 0  # that the host took
        self._offer, self._say = offer, say
        self._host = Connection(offer.url, say=say)
        self._scratch = tempfile.TemporaryDirectory(prefix="selfplay_")
        self._folder = Path(self._scratch.name)
        self._engine = LocalEngine(self._folder)
        self._id = ""
        self._setup: Message = {}
        self._tasks: dict[str, WorkerTask | None] = {}  # by child; None = free
        self._deaths: dict[str, int] = {}
        self._model: tuple[str, Path] | None = None  # fingerprint and place of the newest one
        self._asked = self._spoke = float("-inf")

    def work(self, *, is_over: Callable[[], bool] = lambda: False) -> None:
        """Play until `is_over` says so, or the host wants nothing more.

        Raises `UsageError`, `RunError` or `GameError` where this machine cannot take part.
        """
        try:
            self._join()
            for number in range(self._offer.workers):
                self._start(f"worker_{number}")
            while not is_over():
                self._turn()
        except Refused as refused:
            raise RunError(f"the host takes nothing more from this machine: {refused.reason}") from None
        finally:
            self._engine.stop_all()
            self._host.close()
            self._scratch.cleanup()

    # --- joining ---------------------------------------------------------------------------------------------

    def _join(self) -> None:
        card = self._host.get("/v1/run", RunCard)
        if card.protocol != PROTOCOL or card.version != __version__:
            raise UsageError(
                f"the host has selfplay {card.version} (protocol {card.protocol}), this machine {__version__} "
                f"(protocol {PROTOCOL}): install its version"
            )
        game = game_of(card, self._folder, trusts_rules=self._offer.trusts_rules)
        rules = load_rules(game)
        if rules.info.rules_hash != card.rules:
            raise UsageError(
                f"the rules of {card.game} here ({rules.info.rules_hash}) are not the host's ({card.rules})"
            )
        setup = WorkerSetup(
            game=game, out="", seed=card.seed, device="cpu", search=card.search, worker=WorkerSettings()
        )
        self._setup = msgspec.to_builtins(setup)
        while not self._id:
            newest = self._wait_for_model()
            network, _ = load_network(self._place_of(newest.fingerprint), device="cpu")
            digest = arithmetic_digest(rules, network, card.search)
            joining = Joining(
                name=self._offer.name or "somebody", version=__version__, fingerprint=newest.fingerprint, digest=digest
            )
            try:
                self._id = self._host.post("/v1/join", joining, Joined).contributor
            except Refused as refused:
                if refused.status == 409 and self._host.get("/v1/newest", Newest) == newest:
                    raise
        self._say(f"playing {card.game} for {self._offer.url.partition('?')[0]}")

    def _wait_for_model(self) -> Newest:
        while not (newest := self._host.get("/v1/newest", Newest)).round:
            time.sleep(POLL_SECONDS)
        return newest

    def _place_of(self, fingerprint: str) -> Path:
        """Where a model lies here; it is fetched if it is not the last one."""
        if self._model is None or self._model[0] != fingerprint:
            path = self._folder / f"{fingerprint[:16]}.onnx"
            write_atomically(path, self._host.fetch(f"/v1/models/{fingerprint}"))
            if self._model is not None:
                self._model[1].unlink()
            self._model = fingerprint, path
        return self._model[1]

    # --- playing ---------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        self._engine.start(name, SERVICE, {**self._setup, "out": str(self._folder / name)})
        self._tasks.setdefault(name, None)
        self._deaths.setdefault(name, 0)

    def _turn(self) -> None:
        """Hear what the processes say, keep them at work, and be heard."""
        for item in self._engine.poll(POLL_SECONDS):
            if isinstance(item, Ended):
                self._begin_again(item)
            else:
                self._hear(item)
        now = time.monotonic()
        free = next((name for name, task in self._tasks.items() if task is None), None)
        if free is not None and now >= self._asked:
            self._ask_for_games(free)
        if now - self._spoke >= ALIVE_SECONDS:
            self._spoke = now
            self._host.post("/v1/alive", Alive(contributor=self._id), Alive)

    def _ask_for_games(self, name: str) -> None:
        wish = Wish(contributor=self._id, games=WorkerSettings().games_side_by_side("cpu"))
        job = self._host.post("/v1/job", wish, Job)
        self._asked = time.monotonic() + job.wait_seconds
        if job.num_games:
            try:
                model = self._place_of(job.fingerprint)
            except Refused:  # the round is over by now
                return
            task = WorkerTask(
                model=str(model),
                fingerprint=job.fingerprint,
                round=job.round,
                first_game=job.first_game,
                num_games=job.num_games,
            )
            self._tasks[name] = task
            self._engine.send(name, msgspec.to_builtins(task))

    def _hear(self, answer: Answer) -> None:
        event, name = answer.message["event"], answer.child
        if event == "batch":
            self._deaths[name] = 0
            path = self._folder / name / answer.message["file"]
            self._deliver(path.read_bytes())
            path.unlink()
        elif event == "done":
            self._tasks[name] = None
        elif event == "failed":
            raise ProcessError(f"{name}: {answer.message['reason']}")

    def _deliver(self, batch: bytes) -> None:
        """Send a batch file; the host may not want it any more."""
        try:
            self.games += self._host.post(f"/v1/batch?contributor={self._id}", batch, Receipt).games
        except Refused as refused:
            if refused.status != 409:
                raise
            self._say(refused.reason)

    def _begin_again(self, ended: Ended) -> None:
        """A process died: it is started anew; its games come back to somebody else in time."""
        name = ended.child
        self._deaths[name] += 1
        if self._deaths[name] >= MOST_DEATHS:
            raise ProcessError(f"{name} died {MOST_DEATHS} times in a row, the last time with code {ended.code}")
        self._say(f"{name} ended unexpectedly; starting it again")
        self._engine.stop(name)
        self._start(name)
        if (task := self._tasks[name]) is not None:
            self._engine.send(name, msgspec.to_builtins(task))


def game_of(card: RunCard, folder: Path, *, trusts_rules: bool) -> str:
    """The spec of a run's game on this machine; rules that come with the run are put into the folder.

    Raises `UsageError` where they are not trusted.
    """
    if not card.source:
        return card.game
    if not trusts_rules:
        raise UsageError(
            f"the rules of {card.game} come with the run: Python code of whoever runs the host, which would run here. "
            "Add --trust-rules if you trust them"
        )
    name, _, rest = card.game.partition(":")
    path = folder / Path(name).name
    path.write_text(card.source)
    return f"{path}:{rest}"


def _is_passing(error: BaseException) -> bool:
    """Whether trying again may help."""
    if isinstance(error, Refused):
        return error.status == 429 or error.status >= 500
    return isinstance(error, httpx.TransportError)


def _reason(response: httpx.Response) -> str:
    try:
        found: Any = response.json()
        return str(found["reason"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.reason_phrase}"
