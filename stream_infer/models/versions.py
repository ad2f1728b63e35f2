"""The versions of the libraries of a package, against those that are installed.

What each library promises about its pickles decides: scikit-learn promises nothing across its minor releases,
the others that a later release reads what an earlier one of the same or an earlier major wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

VersionOf = Callable[[str], str | None]
"""The installed version of a distribution by its name; None when it is missing."""

INSTALL = "`stream-infer package install` makes an environment of it"
_SAME_MINOR = frozenset({"scikit-learn"})
# Distributions with the same modules: the maker may have had one, and a worker the other.
_VARIANTS = (
    frozenset({"xgboost", "xgboost-cpu"}),
    frozenset({"onnxruntime", "onnxruntime-gpu"}),
    frozenset({"tensorflow", "tensorflow-cpu"}),
)


class LibraryDifference(NamedTuple):
    """A library that differs: a sentence, and whether its maker promises that the package works."""

    reason: str
    promised: bool


def installed_version(name: str) -> str | None:
    """Return the installed version of a distribution, or of one with the same modules."""
    variants = next((group for group in _VARIANTS if name in group), frozenset({name}))
    for one in (name, *sorted(variants - {name})):
        try:
            return metadata.version(one)
        except metadata.PackageNotFoundError:
            continue
    return None


def library_differences(
    libraries: Mapping[str, str], version_of: VersionOf, *, estimators: bool = True
) -> Iterator[LibraryDifference]:
    """Yield each of `libraries` (name -> version of the maker) that is missing here or of another version.

    `estimators`: objects of scikit-learn are stored, as in a pickle. Its minor release matters to no others.
    """
    for name, made_with in sorted(libraries.items()):
        found = version_of(name)
        if found is None:
            reason = f"made with {name} {made_with}, which is not installed: pip install {name}=={made_with}"
            yield LibraryDifference(reason, promised=False)
        elif found != made_with:
            promised = _is_promised(name, made_with, found, estimators=estimators)
            reason = f"made with {name} {made_with}, this is {found}"
            yield LibraryDifference(reason if promised else f"{reason}: {INSTALL}", promised)


def _is_promised(name: str, made_with: str, found: str, *, estimators: bool) -> bool:
    try:
        maker, here = Version(made_with), Version(found)
    except InvalidVersion:
        return False
    if name in _SAME_MINOR and estimators:
        return maker.release[:2] == here.release[:2]
    return here.major >= maker.major
