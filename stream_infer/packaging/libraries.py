"""The distributions that a model needs: those of every module that its pickle names.

The pickle is made again and thrown away: what it names are the classes and functions that a worker has to
import. Own modules in `code/` are followed through their import statements.
"""

from __future__ import annotations

import ast
import pickle
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from packaging.utils import canonicalize_name

from stream_infer.common.foreign_code import error_text, raise_interrupt
from stream_infer.flow.errors import Misconfigured, Problem

ALWAYS = ("joblib", "numpy", "scikit-learn", "scipy")
"""What the worker itself scores with, whatever the model is."""

_BY_NAME = (type, FunctionType, BuiltinFunctionType)
# The product's own modules are in every worker; `__main__` is refused where the model is read.
_OURS = frozenset({"stream_infer", "__main__"}) | sys.stdlib_module_names
_FOLDER, _SUFFIX, _INIT = "code/", ".py", "/__init__.py"


@dataclass(frozen=True, slots=True)
class Libraries:
    """What a model needs: distribution -> installed version, and modules that no distribution has."""

    versions: Mapping[str, str]
    loose: Sequence[str]

    def notes(self) -> tuple[str, ...]:
        """Return what the maker has to know."""
        return tuple(
            f"the model needs module {name}, which no distribution here has: give its folder with --code,"
            " or a worker needs it on its path"
            for name in self.loose
        )


def libraries_of(model: object, code: Mapping[str, bytes], more: Iterable[str] = ()) -> Libraries:
    """Return the distributions that `model` and its modules in `code` need, with those named in `more`.

    Raises `Misconfigured` when the model cannot be pickled again.
    """
    own = {_module_name(path): path for path in code if path.endswith(_SUFFIX)}
    modules = _with_imports(_named_modules(model), own, code)
    roots = {name.partition(".")[0] for name in own}
    owners = module_owners()
    names: set[str] = {*ALWAYS, *more}
    loose = []
    for module in sorted(modules):
        if module.partition(".")[0] in roots | _OURS:
            continue
        found = owners.get(_top_level(module, owners))
        if found is not None:
            names.update(found)
        elif getattr(sys.modules.get(module), "__file__", None) is not None:
            loose.append(module)
    return Libraries({name: version(name) for name in sorted(names)}, loose)


class _Names(pickle.Pickler):
    """Collects the modules of every object that it is given; writes nothing that anybody reads."""

    def __init__(self) -> None:
        super().__init__(_Nowhere(), protocol=5, buffer_callback=lambda _: None)
        self.modules: set[str] = set()

    def persistent_id(self, obj: Any) -> str | None:  # noqa: ANN401 - any object of a model
        """Note the module of `obj`. Classes, functions and modules go by their name."""
        if isinstance(obj, ModuleType):
            self.modules.add(obj.__name__)
            return obj.__name__
        if isinstance(obj, _BY_NAME):
            self.modules.add(getattr(obj, "__module__", None) or "builtins")
            return obj.__qualname__
        self.modules.add(type(obj).__module__)
        return None


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: bytes) -> int:
        """Take `data`."""
        return len(data)


def _named_modules(model: object) -> set[str]:
    names = _Names()
    try:
        names.dump(model)
    except BaseException as error:
        raise_interrupt(error)
        what = f"cannot be pickled again ({error_text(error)}), so its libraries are not known"
        raise Misconfigured([Problem("MODEL", "", what, "check that joblib.dump writes it")]) from error
    return names.modules


def _with_imports(modules: Iterable[str], own: Mapping[str, str], code: Mapping[str, bytes]) -> set[str]:
    """Return `modules` and all that those of them in `own` (name -> file) import, through each other too."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name in own:
            waiting += _imports(own[name], code[own[name]])
            waiting.append(name.rpartition(".")[0] or name)
    return found


def _imports(path: str, source: bytes) -> Iterator[str]:
    """Yield every module that the file at `path` imports, and every name that may be one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        what = f"is not Python: {error}"
        raise Misconfigured([Problem("--code", path, what, "correct the file")]) from error
    folders = path.removeprefix(_FOLDER).removesuffix(_SUFFIX).split("/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = folders[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def module_owners() -> Mapping[str, Sequence[str]]:
    """Return top-level module -> names of distributions; it takes half a second to find out."""
    return {
        module: [canonicalize_name(name) for name in names]
        for module, names in packages_distributions().items()
    }


def _top_level(module: str, owners: Mapping[str, object]) -> str:
    """Return the name by which the module's distribution is known: mostly the first part of its name.

    A compiled module may call itself otherwise than the folder that it lies in: `_catboost`.
    """
    first = module.partition(".")[0]
    file = getattr(sys.modules.get(module) or sys.modules.get(first), "__file__", None)
    if first in owners or file is None:
        return first
    folders = [Path(place).resolve() for place in sys.path if place.endswith("-packages")]
    path = Path(file).resolve()
    inside = next((path.relative_to(one) for one in folders if path.is_relative_to(one)), None)
    return first if inside is None else inside.parts[0].partition(".")[0]


def _module_name(path: str) -> str:
    return path.removeprefix(_FOLDER).removesuffix(_INIT).removesuffix(_SUFFIX).replace("/", ".")
