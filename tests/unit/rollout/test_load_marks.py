"""A load that began and did not end is known to the next process of the slot."""

from __future__ import annotations

from pathlib import Path

from stream_infer.rollout.load_marks import LoadMarks, load_marks_in_store
from tests.support.special_files import needs_pipes, put_pipe

ONE, TWO = "sha256:1", "sha256:2"


def test_the_next_process_of_the_slot_finds_what_did_not_end(tmp_path: Path) -> None:
    load_marks_in_store(tmp_path, "w-0").begin(3, ONE)
    load_marks_in_store(tmp_path, "w-0").begin(3, ONE)
    after = load_marks_in_store(tmp_path, "w-0")

    assert after.unfinished(3, ONE) == 2
    assert after.unfinished(4, ONE) == 0  # asked for again: tried again
    assert load_marks_in_store(tmp_path, "w-1").unfinished(3, ONE) == 0


def test_what_ended_leaves_nothing_and_other_marks_stay(tmp_path: Path) -> None:
    marks = load_marks_in_store(tmp_path, "w-0")
    marks.begin(3, ONE)

    marks.begin(3, TWO)
    marks.end(3, TWO)

    after = load_marks_in_store(tmp_path, "w-0")
    assert (after.unfinished(3, ONE), after.unfinished(3, TWO)) == (1, 0)


def test_marks_of_earlier_generations_are_forgotten_and_those_of_later_ones_are_not(tmp_path: Path) -> None:
    marks = LoadMarks(tmp_path / "marks")
    for generation in (2, 5, 4):
        marks.begin(generation, ONE)

    after = LoadMarks(tmp_path / "marks")
    assert [after.unfinished(generation, ONE) for generation in (2, 4, 5)] == [0, 1, 1]


@needs_pipes
def test_a_file_that_cannot_be_read_or_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file in the way")
    put_pipe(tmp_path / "pipe")
    (tmp_path / "half").write_text("[[1")
    unwritable = LoadMarks(tmp_path / "folder" / "marks")

    unwritable.begin(1, ONE)

    assert unwritable.unfinished(1, ONE) == 1
    for name in ("folder/marks", "pipe", "half", "missing"):
        assert LoadMarks(tmp_path / name).unfinished(1, ONE) == 0
