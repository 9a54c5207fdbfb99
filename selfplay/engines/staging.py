"""Staging: what a service reads is brought to the machine where it runs, what it writes is brought back.

For engines that reach machines which do not see the run's folder. A service can run there if its settings name `out`,
the one folder that it writes to (`engine.py`); any other stays where the coordinator is. Files lie in a folder of this
user under the system's temporary one: rules under a name made of their content, so that what is compiled of them is
found again; all else in a folder that goes with the process. Knows no engine.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.engines.engine import Message
from selfplay.errors import RunError
from selfplay.files import write_atomically


def travels(settings: Message) -> bool:
    """Whether a service with these settings can run without the run's folder."""
    return "out" in settings


def reads(table: Message) -> list[str]:
    """Paths of the files that a service opens for these settings, or for this message."""
    found: list[str] = table.get("reads", [])
    return found


class Staging:
    """The files of one service on its machine.

    Args:
        base: where all users' files lie; the system's folder for temporary files by default.
    """

    def __init__(self, base: Path | None = None) -> None:
        self._base = _own_folder(base or Path(tempfile.gettempdir()))
        _sweep(self._base)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._base))
        self._models: dict[str, Path] = {}  # of the last message: path at home -> path here
        self._out = self._folder / "out"
        atexit.register(self.close)

    def settings(self, settings: Message, contents: Mapping[str, bytes]) -> Message:
        """The settings as they read here; `contents` are those of the files they name in `reads`."""
        lasting = self._base / "files"
        places = {path: _place(lasting, path, content) for path, content in contents.items()}
        return {**_moved(settings, places), "out": str(self._out)}

    def message(self, message: Message, contents: Mapping[str, bytes]) -> Message:
        """A message as it reads here; files of messages before it, models mostly, go unless it names them too."""
        places = {path: _place(self._folder / "files", path, content) for path, content in contents.items()}
        for old in set(self._models.values()) - set(places.values()):
            old.unlink(missing_ok=True)
        self._models = places
        here: Message = _moved(message, places)
        return here

    def failure(self, message: Message) -> Message:
        """What a service says that failed, with paths as they are at home."""
        home: Message = _moved(message, {str(place): Path(path) for path, place in self._models.items()})
        return home

    def bring_back(self, answer: Message) -> bytes | None:
        """The content of the file that an answer names, which is gone here then; None where it names none."""
        if "file" not in answer:
            return None
        path = self._out / str(answer["file"])
        content = path.read_bytes()
        path.unlink()
        return content

    def close(self) -> None:
        """Leave nothing behind but what may serve others."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _place(folder: Path, path: str, content: bytes) -> Path:
    """Where a file lies here; written unless it is there."""
    place = folder / hashlib.sha256(content).hexdigest()[:32] / Path(path).name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, content)
    return place


def _moved(value: Any, places: Mapping[str, Path]) -> Any:
    """A table of JSON with these paths replaced wherever they stand in a text."""
    match value:
        case dict():
            return {key: _moved(item, places) for key, item in value.items()}
        case list() | tuple():
            return [_moved(item, places) for item in value]
        case str():
            for path, place in places.items():
                value = value.replace(path, str(place))
    return value


def _own_folder(base: Path) -> Path:
    """This user's folder for such files, which nobody else may write to. Raises `RunError`."""
    folder = base / f"selfplay-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise RunError(f"{folder} is not this user's alone; remove it, or set TMPDIR to another folder")
    return folder


def _sweep(base: Path) -> None:
    """Remove folders of processes that are gone."""
    for folder in base.iterdir():
        pid = folder.name.partition("-")[0]
        if pid.isdecimal() and not _is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
