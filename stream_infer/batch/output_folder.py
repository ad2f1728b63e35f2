"""The folder of an output: its work folder, and the exclusive right to both.

Until a run is complete, all of it is in the folder `_stream_infer`, which readers of data sets leave out. The
lock is the operating system's, so a process that is killed leaves none behind. An object store has no lock,
and there two runs on one output are not kept apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stream_infer.batch.folder_files import FolderFiles
from stream_infer.batch.locations import Location
from stream_infer.flow.errors import Misconfigured, Problem

SUCCESS = "_SUCCESS"
REJECTED = "_rejected"
PARTS = "parts"
JOURNAL = "journal"
RUN = "run.json"
PUBLISHING = "publishing"
"""Says that the parts of the work folder are being given their final names."""

_WORK = "_stream_infer"
_LOCK = "lock"


class OutputFolder:
    """The output at `place`: `final` are the files that readers see, `work` those of an unfinished run."""

    def __init__(self, place: Location) -> None:
        self.final = FolderFiles(place)
        self.work = FolderFiles(place.child(_WORK))

    @property
    def shown(self) -> str:
        """The folder as the user writes it."""
        return self.final.place.shown

    @property
    def work_shown(self) -> str:
        """The work folder as the user would write it."""
        return self.work.place.shown

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the output alone while the block runs. Raises `Misconfigured` where another run holds it."""
        folder = self.work.place.local
        if folder is None or os.name == "nt":
            yield
            return
        import fcntl  # noqa: PLC0415 - Windows does not have it

        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._refused(
                f"cannot be written: {error.strerror}", "give a folder to write to"
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                fix = "wait until it has ended, or give another folder"
                raise self._refused("another run writes it now", fix) from error
            yield
        finally:
            os.close(descriptor)

    def clear_work(self) -> None:
        """Delete the journal and what is left of parts; the lock stays."""
        for name in (JOURNAL, PARTS, REJECTED, RUN, PUBLISHING):
            self.work.delete(name)

    def _refused(self, what: str, fix: str) -> Misconfigured:
        return Misconfigured([Problem("-o", self.shown, what, fix)])
