"""Only the canonical zip of a package is accepted; every other archive is refused."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_infer.flow.errors import Refused
from stream_infer.models import archive
from stream_infer.models.contents import PackageLimits
from stream_infer.models.package import verify, write_package
from tests.unit.models.builders import files, manifest

Forge = Callable[[zipfile.ZipFile], None]


def forged(path: Path, forge: Forge, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as target:
        forge(target)
    return path


def refusal(path: Path) -> Refused:
    with pytest.raises(Refused) as refused:
        verify(path)
    return refused.value


def test_an_archive_is_readable_by_other_zip_readers(tmp_path: Path) -> None:
    contents = files()
    write_package(tmp_path / "p.zip", manifest(), contents)

    with zipfile.ZipFile(tmp_path / "p.zip") as read:
        assert read.testzip() is None
        names = read.namelist()
        assert {name: read.read(name) for name in contents} == contents

    assert names == ["manifest.json", *sorted([*contents, "manifest.sha256"])]


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "C:/evil",
        "C:evil",
        "a\\..\\evil",
        "a/../evil",
        "./a",
        "a//b",
        "a/",
        "",
        "n\x00x",
        "é",
    ],
)
def test_a_path_outside_the_package_is_refused(tmp_path: Path, name: str) -> None:
    entry = b"x"
    whole = b"".join(archive.pack_archive({"manifest.json": entry}))
    raw = name.encode()
    # Written by hand: zipfile would normalise some of these names.
    head = bytearray(whole[:30])
    struct.pack_into("<H", head, 26, len(raw))
    (tmp_path / "p.zip").write_bytes(bytes(head) + raw + entry)

    refused = refusal(tmp_path / "p.zip")

    assert refused.code == "unsafe_archive"
    assert [p.name for p in tmp_path.rglob("*")] == ["p.zip"]
    assert not (tmp_path.parent / "evil").exists()


def link(target: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("manifest.json")
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    target.writestr(info, "/etc/passwd")


def duplicate(target: zipfile.ZipFile) -> None:
    for text in ("one", "two"):
        target.writestr(zipfile.ZipInfo("manifest.json"), text)


def other_case(target: zipfile.ZipFile) -> None:
    for name in ("manifest.json", "MANIFEST.json"):
        target.writestr(zipfile.ZipInfo(name), "{}")


def extra_field(target: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("manifest.json")
    info.extra = struct.pack("<HHI", 0x9999, 4, 7)
    target.writestr(info, "{}")


def comment(target: zipfile.ZipFile) -> None:
    target.writestr(zipfile.ZipInfo("manifest.json"), "{}")
    target.comment = b"hello"


def dated(target: zipfile.ZipFile) -> None:
    target.writestr(zipfile.ZipInfo("manifest.json", (2026, 1, 1, 0, 0, 0)), "{}")


def unsorted(target: zipfile.ZipFile) -> None:
    for name in ("b", "a"):
        target.writestr(zipfile.ZipInfo(name), "{}")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("forge", [link, duplicate, other_case, extra_field, comment, dated, unsorted])
def test_a_zip_that_is_not_canonical_is_refused(tmp_path: Path, forge: Forge) -> None:
    path = forged(tmp_path / "p.zip", forge)

    assert refusal(path).code == "unsafe_archive"


def test_a_zip_bomb_is_refused_before_decompression(tmp_path: Path) -> None:
    def bomb(target: zipfile.ZipFile) -> None:
        target.writestr("manifest.json", bytes(64 * 2**20))

    path = forged(tmp_path / "p.zip", bomb, zipfile.ZIP_DEFLATED)

    tracemalloc.start()
    try:
        refused = refusal(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert refused.code == "unsafe_archive"
    assert "compressed" in refused.reason
    assert peak < 2**20


def test_a_false_size_in_a_header_allocates_no_memory(tmp_path: Path) -> None:
    whole = bytearray(b"".join(archive.pack_archive({"manifest.json": b"{}"})))
    struct.pack_into("<II", whole, 18, 2**31 - 100, 2**31 - 100)
    (tmp_path / "p.zip").write_bytes(whole)

    tracemalloc.start()
    try:
        refused = refusal(tmp_path / "p.zip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert refused.code == "unsafe_archive"
    assert peak < 2**20


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    whole = bytearray(b"".join(archive.pack_archive({"manifest.json": b"{}"})))
    struct.pack_into("<H", whole, 6, 1)
    (tmp_path / "p.zip").write_bytes(whole)

    refused = refusal(tmp_path / "p.zip")

    assert refused.code == "unsafe_archive"
    assert "encrypted" in refused.reason


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    # Two entries of the central directory point to the same local header.
    whole = b"".join(archive.pack_archive({"manifest.json": b"{}"}))
    at = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    central = whole[at:end]
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, 2 * len(central), at, 0)
    (tmp_path / "p.zip").write_bytes(whole[:at] + central * 2 + tail)

    assert refusal(tmp_path / "p.zip").code == "unsafe_archive"


def test_bytes_before_or_after_the_archive_are_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "good.zip", manifest(), files())
    whole = (tmp_path / "good.zip").read_bytes()
    (tmp_path / "before.zip").write_bytes(b"#!/bin/sh\n" + whole)
    (tmp_path / "after.zip").write_bytes(whole + b"\n")

    assert refusal(tmp_path / "before.zip").code == "not_a_package"
    assert refusal(tmp_path / "after.zip").code == "unsafe_archive"


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    whole = b"".join(archive.pack_archive({"manifest.json": b"{}", "a": b"1"}))

    for length in range(4, len(whole)):
        (tmp_path / "p.zip").write_bytes(whole[:length])
        with pytest.raises(Refused):
            archive.read_archive(tmp_path / "p.zip", PackageLimits())
