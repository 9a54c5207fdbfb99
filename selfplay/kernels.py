"""Compiled loops that are cached on disk and never stale.

`@kernel` compiles a function with Numba and gives it an **identity**: a hash of its own source and of everything
it refers to (other functions, constants, tables), all the way down. The disk cache is keyed by that identity.
Numba by itself keys a function by its own code only, so that a kernel that calls a changed function runs the old
one; and a kernel that closes over a compiled function misses the cache in every new process, because compiled
functions carry a random id. Both end here.

Kernels hand each other a dozen arrays for every simulation. Where Numba counts references to them, and looks for
divisions by zero, that takes half of a search's time; so kernels make no arrays, and divide as NumPy does. Rules of a
game may do as they like.
Plain helper functions that a kernel calls are compiled with it: nobody has to mark them.
Knows nothing of games or trees.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import hashlib
import inspect
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.errors import GameError


@contextlib.contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Let imports of a package fail meanwhile, unless it is loaded already."""
    hide = package not in sys.modules
    if hide:
        sys.modules[package] = None  # type: ignore[assignment]  # documented: the import then fails
    try:
        yield
    finally:
        if hide:
            del sys.modules[package]


# Numba takes linear algebra from SciPy if it finds it. Rules need none; a worker would need 13 MB more and start
# later, and rules that use it would compile on some machines only.
with _hidden("scipy"):
    import numba
    import numba.np.arraymath  # asks for SciPy, at the first compilation if not here
    from numba.core.caching import FunctionCache
    from numba.core.dispatcher import Dispatcher
    from numba.core.types import Record

_IDENTITY_DIGITS = 16
_MISSING = object()


class Kernel:
    """A function that is compiled when it is first called or first referred to by another kernel.

    Not earlier, so that a module may define its kernels in reading order, callers before helpers.
    """

    def __init__(self, function: Callable[..., Any], *, makes_arrays: bool = False) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self._makes_arrays = makes_arrays
        self._compiled: Any = None

    @property
    def compiled(self) -> Any:
        """Numba's compiled function."""
        if self._compiled is None:
            self._compiled = compile_function(self.function, {}, makes_arrays=self._makes_arrays)
        return self._compiled

    @property
    def identity(self) -> str:
        """Hash of the function and all it refers to, as hexadecimal digits."""
        return str(self.compiled.selfplay_identity)

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled(*arguments)


def kernel(function: Callable[..., Any]) -> Kernel:
    """Compile `function` when it is needed, from the disk cache where its identity is known there.

    It makes no arrays, by itself or by helpers that are not kernels, and a division by zero is none of its errors.
    """
    return Kernel(function)


def array_kernel(function: Callable[..., Any]) -> Kernel:
    """A kernel that makes arrays of its own: slower to call."""
    return Kernel(function, makes_arrays=True)


def compile_function(function: Callable[..., Any], seen: dict[Any, Any], *, makes_arrays: bool) -> Any:
    """As `kernel`, or for functions that may make arrays and whose divisions by zero are errors, as rules have it.

    `seen` maps functions to their compiled twins, so that shared helpers are compiled once.
    """
    if isinstance(function, Dispatcher):
        known = hasattr(function, "selfplay_identity")
        return function if known else compile_function(function.py_func, seen, makes_arrays=makes_arrays)
    if function not in seen:
        seen[function] = _compile(function, seen, makes_arrays=makes_arrays)
    return seen[function]


def source_of(function: Callable[..., Any]) -> str:
    """The function's source without comments, docstrings and layout: what a change of meaning has to change."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError) as error:
        raise GameError(
            f"the source of {function.__qualname__} cannot be read ({error}); "
            "define it with `def` in a file, so that a change of it can be noticed"
        ) from error
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


class _IdentityCache(FunctionCache):
    """Numba's disk cache, keyed by signature, processor and the kernel's identity."""

    def __init__(self, function: Callable[..., Any], identity: str, options: dict[str, Any]) -> None:
        self._identity = f"{identity} {sorted(options.items())}"
        super().__init__(function)  # type: ignore[no-untyped-call]  # Numba carries no types

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self._identity, "records by their fields"


def _name_of_record(record: Any) -> tuple[str, tuple[str]]:
    """What symbols of compiled code call a record type: by its fields.

    Numba calls it by a number that each process counts for itself. A helper that is compiled for the records of two
    games in two processes would then have one symbol for both, and who loads both from the cache would run one for the
    other.
    """
    return "Record", (hashlib.sha256(record.name.encode()).hexdigest()[:_IDENTITY_DIGITS],)


setattr(Record, "mangling_args", property(_name_of_record))  # noqa: B010 (mypy)


def _compile(function: Callable[..., Any], seen: dict[Any, Any], *, makes_arrays: bool) -> Any:
    if not isinstance(function, types.FunctionType):
        raise GameError(f"{function!r} is not a plain function and cannot be compiled")
    seen[function] = _RECURSIVE  # replaced below; stands for a call of itself in its own identity
    references = {name: _resolve(value, seen, makes_arrays) for name, value in _references(function)}
    identity = _identity(function, references)
    twin = _with_references(function, references, identity)
    # All stated: Numba would otherwise compile a kernel as whoever happens to call it first was compiled.
    options: dict[str, Any] = {"_nrt": makes_arrays, "error_model": "python" if makes_arrays else "numpy"}
    compiled = numba.njit(twin, **options)
    compiled.selfplay_identity = identity
    # Numba raises RuntimeError where no cache folder can be written: then every process compiles for itself.
    with contextlib.suppress(RuntimeError):
        compiled._cache = _IdentityCache(twin, identity, options)
    return compiled


_RECURSIVE = object()


def _references(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Names that the function takes from around it, each with its value, in order of name."""
    found = {}
    for name in _names(function.__code__):
        value = function.__globals__.get(name, _MISSING)
        if value is not _MISSING and not hasattr(builtins, name):
            found[name] = value
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        found[name] = cell.cell_contents
    yield from sorted(found.items())


def _names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*(_names(nested) for nested in inner))


def _resolve(value: Any, seen: dict[Any, Any], makes_arrays: bool) -> Any:
    """Functions become compiled functions; all else stays."""
    if isinstance(value, Kernel):
        return value.compiled
    if isinstance(value, types.FunctionType) and seen.get(value) is not _RECURSIVE:
        return compile_function(value, seen, makes_arrays=makes_arrays)
    return value


def _identity(function: Callable[..., Any], references: dict[str, Any]) -> str:
    digest = hashlib.sha256(source_of(function).encode())
    for name, value in references.items():
        digest.update(f"\0{name}=".encode() + _content(value))
    return digest.hexdigest()[:_IDENTITY_DIGITS]


def _content(value: Any) -> bytes:
    """Bytes that change when what compiled code would see of `value` changes."""
    if hasattr(value, "selfplay_identity"):
        return str(value.selfplay_identity).encode()
    if isinstance(value, np.ndarray):
        return f"{value.dtype.descr}{value.shape}".encode() + value.tobytes()
    if isinstance(value, types.ModuleType):
        return _module_content(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}".encode()
    if isinstance(value, types.FunctionType):
        return value.__qualname__.encode()
    return repr(value).encode()


def _module_content(module: types.ModuleType) -> bytes:
    """Libraries count by name and version; a module lying beside the rules counts by its source."""
    file = getattr(module, "__file__", None)
    if file is None or "site-packages" in file or module.__name__ in ("math", "numpy", "numba"):
        return f"{module.__name__} {getattr(module, '__version__', '')}".encode()
    return Path(file).read_bytes()


def _with_references(function: types.FunctionType, references: dict[str, Any], identity: str) -> Any:
    """A copy of the function that sees `references`, under a name of its own.

    The name must differ between kernels that differ: compiled code from several processes' caches meets in one
    process, where equal names would silently run each other's code.
    """
    cells = tuple(types.CellType(references[name]) for name in function.__code__.co_freevars)
    names = {**function.__globals__, **references}
    twin = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    twin.__qualname__ = f"{function.__qualname__}_{identity}".replace("<locals>.", "")
    # Cached code names its module, and must load where a game's file lies at another path or under another name.
    twin.__module__ = __name__
    twin.__doc__ = function.__doc__
    return twin
