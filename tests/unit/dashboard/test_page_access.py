from __future__ import annotations

from pathlib import Path

import pytest

from stream_infer.dashboard.page_access import PageAccess, is_loopback, page_access
from stream_infer.flow.errors import Misconfigured

TOKEN = "0123456789abcdef"  # noqa: S105 - of these tests alone


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_addresses_of_this_machine_alone_need_no_token(host: str) -> None:
    assert is_loopback(host)
    assert page_access(host, None) == PageAccess(None, is_local=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example.org", ""])  # noqa: S104 - it is not listened on
def test_an_address_that_others_reach_needs_a_token_from_a_file(host: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        page_access(host, None)

    [problem] = refused.value.problems
    assert problem.key == "--host"
    assert "--token-file" in problem.fix


def test_the_token_is_the_content_of_its_file_and_is_never_printed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")

    access = page_access("0.0.0.0", file)  # noqa: S104 - it is not listened on

    assert access.token == TOKEN
    assert TOKEN not in repr(access)


@pytest.mark.parametrize(
    "content", ["", "short", "with a space in the middle", "é" * 20, "two\nlines-of-a-token"]
)
def test_a_file_without_a_good_token_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(Misconfigured) as refused:
        page_access("127.0.0.1", file)

    [problem] = refused.value.problems
    assert problem.key == "--token-file"
    assert not content or content not in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")

    for name in ("missing", "bytes"):
        with pytest.raises(Misconfigured, match="token"):
            page_access("127.0.0.1", tmp_path / name)
