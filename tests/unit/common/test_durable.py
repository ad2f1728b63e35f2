"""One writer gets a name, and a reader never sees half of what is behind it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream_infer.common.durable import claim_folder, draft_of, replace_file, write_synced


def test_of_many_that_claim_one_gets_it_whatever_they_write(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: claim_folder(tmp_path / "7", "entry", b"same"), range(40)))

    assert claimed.count(True) == 1
    assert (tmp_path / "7" / "entry").read_bytes() == b"same"
    assert [path.name for path in tmp_path.iterdir()] == ["7"]


def test_a_claim_that_was_made_although_it_failed_is_a_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def loses_the_answer(self: Path, target: Path) -> Path:
        rename(self, target)
        raise FileNotFoundError(2, "No such file or directory", str(self))

    monkeypatch.setattr(Path, "rename", loses_the_answer)

    assert claim_folder(tmp_path / "7", "entry", b"mine")
    assert (tmp_path / "7" / "entry").read_bytes() == b"mine"


def test_a_claim_that_cannot_be_made_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Path, _target: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "rename", fails)

    with pytest.raises(PermissionError):
        claim_folder(tmp_path / "7", "entry", b"mine")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_replaced_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").mkdir()

    with pytest.raises(OSError, match="CURRENT"):
        replace_file(tmp_path / "CURRENT", b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["CURRENT"]


def test_a_draft_is_hidden_beside_its_path_and_keeps_its_suffix(tmp_path: Path) -> None:
    with draft_of(tmp_path / "model.zip") as draft, draft_of(tmp_path / "model.zip") as other:
        assert draft.parent == tmp_path
        assert draft.name.startswith(".")
        assert draft.suffix == ".zip"
        assert draft != other


@pytest.mark.parametrize("folder", [True, False])
def test_a_draft_that_was_not_renamed_is_removed(tmp_path: Path, *, folder: bool) -> None:
    with draft_of(tmp_path / "model") as draft:
        if folder:
            draft.mkdir()
        write_synced(draft / "file" if folder else draft, [b"half"])

    assert list(tmp_path.iterdir()) == []


def test_a_draft_that_was_renamed_stays(tmp_path: Path) -> None:
    with draft_of(tmp_path / "model") as draft:
        write_synced(draft, [b"one ", b"two"])
        draft.rename(tmp_path / "model")

    assert (tmp_path / "model").read_bytes() == b"one two"


def test_a_file_that_exists_is_not_written_in_place(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"old")

    with pytest.raises(FileExistsError):
        write_synced(tmp_path / "model", [b"new"])

    assert (tmp_path / "model").read_bytes() == b"old"
