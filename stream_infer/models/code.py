"""The user's own modules in `code/`, imported from the bytes of their package and private to it.

A pickle names the module of each function and class, and `pickle` looks that name up in `sys.modules`. Two
packages may both have a module `features`, and so may the machine. So the modules of a package are in
`sys.modules` only while they are needed there: during the load of its model, and during each import that its
own code does later. The modules that were there before come back afterwards, and no disk is read.

A load that hangs in one of these modules would keep its turn at `sys.modules` for ever; `abandon_turn` takes
it away.

Later imports (inside a function, during predict) are intercepted: the package's modules get an `__import__`
of their own in their builtins. `importlib.import_module` is not intercepted: use an import statement.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused

_FOLDER = "code/"
_SUFFIX = ".py"
_INIT = "/__init__.py"

_LOOK_AGAIN_S = 0.1
# A package's own module under one of these names would replace it for everybody while a model loads.
_TAKEN = sys.stdlib_module_names | {
    "joblib", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "stream_infer", "threadpoolctl",
}  # fmt: skip


class _Turns:
    """The turns at `sys.modules`, which the process shares: one thread at a time has it.

    A thread may take its turn again, for imports during a load. One that hangs can lose it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._change = threading.Lock()
        self._holders: list[tuple[int, Code]] = []

    @contextmanager
    def turn(self, code: Code) -> Iterator[None]:
        """Let this thread have the modules of `code` in `sys.modules` while the block runs."""
        lock = self._acquired()
        holder = threading.get_ident(), code
        with self._change:
            code.enter()
            self._holders.append(holder)
        try:
            yield
        finally:
            with self._change:
                if self._holders and self._holders[-1] is holder:  # it was not taken away
                    self._holders.pop()
                    code.leave()
            lock.release()

    def abandon(self, thread: int) -> None:
        """Give the turn of `thread`, if it has one, to the others; it is never given back to that thread."""
        with self._change:
            if self._holders and self._holders[0][0] == thread:
                for _, code in reversed(self._holders):
                    code.leave()
                    code.forget_module_locks()
                self._holders = []
                self._lock = threading.RLock()

    def _acquired(self) -> threading.RLock:
        while True:
            lock = self._lock
            if lock.acquire(timeout=_LOOK_AGAIN_S):
                if lock is self._lock:
                    return lock
                lock.release()


class Code:
    """The importer of one package: a finder, a loader, and the modules that it has imported so far."""

    def __init__(self, files: Mapping[str, bytes], digest: str) -> None:
        self._sources = {
            _module_name(name): (name, data)
            for name, data in files.items()
            if name.startswith(_FOLDER) and name.endswith(_SUFFIX)
        }
        # A folder without __init__.py is a package too, as it is for Python.
        parents = {name.rpartition(".")[0] for name in self._sources} - self._sources.keys() - {""}
        self._packages = parents | {name for name, (path, _) in self._sources.items() if path.endswith(_INIT)}
        self._roots = frozenset(name.partition(".")[0] for name in self._sources)
        self._origin = f"<package {digest[:19]}>"
        self._modules: dict[str, ModuleType] = {}
        self._others: dict[str, ModuleType] = {}
        self._entered = 0
        taken = sorted(self._roots & _TAKEN)
        if taken:
            raise Refused(
                RefusalCode.CODE,
                f"code/{taken[0]}: the worker itself uses a module of that name",
            )

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Put the modules of this package, and no others of their names, into `sys.modules` for a while."""
        if not self._roots:  # nor wait for a load that hangs
            yield
            return
        with _TURNS.turn(self):
            yield

    def enter(self) -> None:
        """Put the modules into `sys.modules`, unless they are there."""
        self._entered += 1
        if self._entered == 1:
            self._others = self._take()
            sys.modules.update(self._modules)
            sys.meta_path.insert(0, self)

    def leave(self) -> None:
        """Take the modules out of `sys.modules` again, after as many calls as of `enter`."""
        self._entered -= 1
        if not self._entered:
            sys.meta_path.remove(self)
            self._modules = self._take()
            sys.modules.update(self._others)

    def forget_module_locks(self) -> None:
        """Let others import modules of these names, though one of them is still being imported.

        Python holds a lock for each name meanwhile, which nothing but its own table leads to.
        """
        locks: dict[str, object] = getattr(importlib._bootstrap, "_module_locks", {})  # noqa: SLF001 - see above
        for name in [name for name in list(locks) if name.partition(".")[0] in self._roots]:
            locks.pop(name, None)

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find `fullname` in the package (`importlib.abc.MetaPathFinder`)."""
        if fullname not in self._sources and fullname not in self._packages:
            return None
        spec = ModuleSpec(fullname, self, is_package=fullname in self._packages)  # type: ignore[arg-type] # duck-typed loader
        spec.origin = self._file(fullname)
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the creation of a module to Python (`importlib.abc.Loader`)."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's source, with this package's own `__import__` among its builtins."""
        name = module.__name__
        _, source = self._sources.get(name, ("", b""))
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        module.__dict__["__file__"] = self._file(name)
        exec(compile(source, self._file(name), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - an importer

    def _file(self, name: str) -> str:
        path, _ = self._sources.get(name, (name, b""))
        return f"{self._origin}/{path}"

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the signature of __import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002 - the same
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and name.partition(".")[0] not in self._roots:
            return builtins.__import__(name, globals, locals, fromlist, level)
        with self.importable():
            return builtins.__import__(name, globals, locals, fromlist, level)

    def _take(self) -> dict[str, ModuleType]:
        """Remove every module under the names of this package from `sys.modules` and return them."""
        # Another thread may import something meanwhile: names are taken from a copy, made in one step.
        names = [name for name in list(sys.modules) if name.partition(".")[0] in self._roots]
        return {name: sys.modules.pop(name) for name in names}


_TURNS = _Turns()


def abandon_turn(thread: int) -> None:
    """Take the turn at `sys.modules` away from the thread of this number, which hangs, if it has it."""
    _TURNS.abandon(thread)


def _module_name(path: str) -> str:
    stem = path[len(_FOLDER) : -len(_SUFFIX)].replace("/", ".")
    return stem.removesuffix(".__init__")
