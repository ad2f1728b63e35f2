"""The user's own modules in `code/`, imported from the bytes of their package and private to it.

A pickle names the module of each function and class, and `pickle` looks that name up in `sys.modules`. Two
packages may both have a module `features`, and so may the machine. So the modules of a package are in
`sys.modules` only while they are needed there: during the load of its model, and during each import that its
own code does later. The modules that were there before come back afterwards, and no disk is read.

Later imports (inside a function, during predict) are intercepted: the package's modules get an `__import__`
of their own in their builtins. `importlib.import_module` is not intercepted: use an import statement.
"""

from __future__ import annotations

import builtins
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

# Held while sys.modules, which the process shares, is changed. Re-entrant, for imports during a load.
_SYS_MODULES = threading.RLock()
# A package's own module under one of these names would replace it for everybody while a model loads.
_TAKEN = sys.stdlib_module_names | {
    "joblib", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "stream_infer", "threadpoolctl",
}  # fmt: skip


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
        self._installed = False
        taken = sorted(self._roots & _TAKEN)
        if taken:
            raise Refused(
                RefusalCode.CODE,
                f"code/{taken[0]}: the worker itself uses a module of that name",
            )

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Put the modules of this package, and no others of their names, into `sys.modules` for a while."""
        with _SYS_MODULES:
            if self._installed or not self._roots:
                yield
                return
            others = self._take()
            sys.modules.update(self._modules)
            sys.meta_path.insert(0, self)
            self._installed = True
            try:
                yield
            finally:
                self._installed = False
                sys.meta_path.remove(self)
                self._modules = self._take()
                sys.modules.update(others)

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


def _module_name(path: str) -> str:
    stem = path[len(_FOLDER) : -len(_SUFFIX)].replace("/", ".")
    return stem.removesuffix(".__init__")
