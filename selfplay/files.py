"""Files that are whole or not there: written beside, synced, renamed. Knows nothing of what they hold."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
from pathlib import Path

from selfplay.errors import DiskFullError, RunError, SelfplayError

TEMPORARY_SUFFIX = ".tmp"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` so that every reader meets the whole old file or the whole new one, also after a power cut.

    Raises `RunError` where the folder is missing or cannot be written, `DiskFullError` where there is no room; the old
    file then stands untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        _write(temporary, content)
        _sync(temporary)
        _rename(temporary, path)
        _sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if is_disk_full(error):
            raise DiskFullError(f"cannot write {path} ({len(content):,} bytes): {error.strerror}") from error
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; check that the folder exists, "
            "may be written to, and has room"
        ) from error


def is_disk_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, has no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def has_room(folder: Path, num_bytes: int) -> bool:
    """Whether so much can be written there; found out by trying, since quotas do not show in a disk's free space."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(0, num_bytes, 1 << 20):
                file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if is_disk_full(error):
            return False
        raise RunError(f"cannot write to the folder {folder}: {error.strerror or error}") from error
    return True


def sweep_leftovers(folder: Path, *, of: str) -> None:
    """Remove what dead writers left of the files they were writing; only who owns these files may.

    Args:
        folder: need not exist.
        of: names of the files that were being written, as a pattern.
    """
    for leftover in folder.glob(f".{of}.*{TEMPORARY_SUFFIX}"):
        if re.search(rf"\.\d+{re.escape(TEMPORARY_SUFFIX)}$", leftover.name):
            leftover.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _sync(path: Path) -> None:
    """Make a file durable, or a folder: a rename in an unsynced folder can vanish in a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(source: Path, target: Path) -> None:
    os.replace(source, target)


def same_content(a: Path, b: Path) -> bool:
    """Whether both files are there and equal, byte for byte."""
    try:
        return a.stat().st_size == b.stat().st_size and a.read_bytes() == b.read_bytes()
    except FileNotFoundError:
        return False


def ensure_directory(path: Path) -> Path:
    """Make the folder if need be and prove that it can be written to; raises `RunError` otherwise."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make the folder {path}: {error.strerror or error}; choose a folder that you may write to"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to the folder {path}; choose another or change its permissions")
    return path


def read_file(path: Path, *, what: str, error: type[SelfplayError], most_bytes: int) -> bytes:
    """The bytes of `path`; raises `error` with `what` it should have been where that fails, or where it is larger."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise error(f"{path}: not a file but a device, a pipe or the like, expected a {what}")
            if status.st_size > most_bytes:
                raise error(f"{path}: {status.st_size:,} bytes are too large for a {what}, {most_bytes:,} at most")
            return file.read(status.st_size)
    except FileNotFoundError:
        raise error(f"{path}: no such {what}; check the path") from None
    except OSError as failure:
        raise error(f"{path}: cannot read this {what}: {failure.strerror or failure}") from failure


def _open_without_waiting(path: str, flags: int) -> int:
    """A pipe that nobody writes to would hold its reader for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
