"""Only a regular file is read; nothing else makes the reader wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_infer.common.regular_files import UnusableFile, open_regular, read_regular
from tests.support.special_files import SPECIAL, needs_pipes


def test_a_regular_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    assert read_regular(tmp_path / "file", most_bytes=5) == b"12345"
    with pytest.raises(UnusableFile, match="has more than 4 bytes"):
        read_regular(tmp_path / "file", most_bytes=4)


@needs_pipes
@pytest.mark.parametrize("kind", SPECIAL)
def test_anything_else_is_an_error_at_once(tmp_path: Path, kind: str) -> None:
    SPECIAL[kind](tmp_path / "file")

    with pytest.raises(UnusableFile, match="is not a regular file") as failed:
        read_regular(tmp_path / "file", most_bytes=10)

    assert failed.value.filename == str(tmp_path / "file")


def test_a_file_that_is_missing_stays_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "file", most_bytes=10)


def test_a_link_is_followed_where_its_reader_allows_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("file")

    assert read_regular(tmp_path / "link", most_bytes=10) == b"data"
    with pytest.raises(OSError, match="link"):
        open_regular(tmp_path / "link", follow_links=False)
