"""The wheel of the running stream-infer-worker, for environments that have to have the same one."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.requirements import PRODUCT
from stream_infer.packaging.wheel_hashes import last_line

# Written by the installer, not by the wheel.
_INSTALLERS = frozenset({"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"})
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel of this installation into `folder`, from its installed files; no index is asked.

    An editable installation is built from its source folder instead. Raises `Misconfigured` when that fails.
    """
    distribution = metadata.distribution(PRODUCT)
    source = _editable(distribution)
    return _packed(distribution, folder) if source is None else _built(source, folder)


def _editable(distribution: metadata.Distribution) -> Path | None:
    text = distribution.read_text("direct_url.json")
    recorded = json.loads(text) if text else {}
    if not recorded.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(recorded["url"]).path))


def _built(source: Path, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    ran = subprocess.run(  # noqa: S603 - pip
        [*pip, "--wheel-dir", str(folder), str(source)], capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        what = f"its wheel was not built: {last_line(ran.stderr)}"
        raise Misconfigured([Problem(PRODUCT, str(source), what, f"run pip wheel {source} to see why")])
    [wheel] = folder.glob("*.whl")
    return wheel


def _packed(distribution: metadata.Distribution, folder: Path) -> Path:
    """Write the installed files of a pure wheel back into a wheel (PEP 427): same files, same bytes."""
    name = PRODUCT.replace("-", "_")
    wheel = folder / f"{name}-{distribution.version}-py3-none-any.whl"
    record = f"{name}-{distribution.version}.dist-info/RECORD"
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(distribution.files or ()):
            if ".." in file.parts or file.suffix == ".pyc" or file.name in _INSTALLERS:
                continue  # scripts are made of entry_points.txt
            data = Path(str(file.locate())).read_bytes()
            archive.writestr(zipfile.ZipInfo(file.as_posix(), _EPOCH), data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{file.as_posix()},sha256={digest},{len(data)}")
        archive.writestr(zipfile.ZipInfo(record, _EPOCH), "\n".join([*lines, f"{record},,", ""]))
    return wheel
