"""Files of one folder, on any file system: written whole, read whole, moved and deleted.

On a local disk a file is written under a draft name, then renamed; on an object store it appears when its
upload ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyarrow import fs

from stream_infer.batch.locations import Location
from stream_infer.common.durable import replace_file
from stream_infer.flow.errors import Fatal


class FolderFiles:
    """The files below `place`. Every method raises `Fatal`, naming the file, when the file system refuses."""

    def __init__(self, place: Location) -> None:
        self.place = place

    def write(self, name: str, data: bytes) -> None:
        """Make the file `name` hold `data`, durably."""
        place = self.place.child(name)
        with _told(place):
            if place.local is None:
                with place.filesystem.open_output_stream(place.path) as stream:
                    stream.write(data)
                return
            place.local.parent.mkdir(parents=True, exist_ok=True)
            replace_file(place.local, data)

    def read(self, name: str) -> bytes | None:
        """Return what the file `name` holds; None where there is none."""
        place = self.place.child(name)
        with _told(place):
            if place.filesystem.get_file_info(place.path).type is not fs.FileType.File:
                return None
            with place.filesystem.open_input_stream(place.path) as stream:
                return bytes(stream.read())

    def sizes(self, folder: str = "") -> Mapping[str, int]:
        """Return the size of each file in `folder` of this one, by name; drafts are left out."""
        place = self.place.child(folder) if folder else self.place
        with _told(place):
            found = place.filesystem.get_file_info(fs.FileSelector(place.path, allow_not_found=True))
        files = sorted((info.base_name, info.size) for info in found if info.type is fs.FileType.File)
        return {name: size for name, size in files if not name.startswith(".")}

    def move(self, name: str, other: FolderFiles, final: str) -> None:
        """Move the file `name` to the name `final` of the folder `other`, on the same file system."""
        was, now = self.place.child(name), other.place.child(final)
        with _told(now):
            if now.local is not None:
                now.local.parent.mkdir(parents=True, exist_ok=True)
            was.filesystem.move(was.path, now.path)

    def delete(self, name: str) -> None:
        """Delete the file or folder `name`, where there is one."""
        place = self.place.child(name)
        with _told(place):
            kind = place.filesystem.get_file_info(place.path).type
            if kind is fs.FileType.Directory:
                place.filesystem.delete_dir(place.path)
            elif kind is fs.FileType.File:
                place.filesystem.delete_file(place.path)


@contextmanager
def _told(place: Location) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Fatal(
            f"{place.shown} cannot be written or read: {error.strerror or error}. "
            "What is written stays; mend that, and run the same command again"
        ) from error
