"""A process of a batch run: it scores every Nth split, and tells what it has committed.

Started anew (`spawn`), so that nothing of the parent's threads is in it. All processes write one journal.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from stream_infer.batch.input_files import InputFile
from stream_infer.batch.journal import Journal, Run
from stream_infer.batch.scoring import BatchRequest, folder_of, load_proved, prepare_batch, score_share
from stream_infer.flow.errors import Fatal, StreamInferError
from stream_infer.flow.events import BatchCommitted, Event
from stream_infer.flow.ports import Observer
from stream_infer.runtime.stop import Stop, on_signals

_ENDS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """The splits of one process: those whose number leaves `index` when divided by `of`."""

    request: BatchRequest
    run: Run
    files: Sequence[InputFile]
    first_split: int
    index: int
    of: int


def score_in_processes(shares: Sequence[Share], stop: Stop, observe: Observer) -> None:
    """Score `shares`, each in a process of its own. Raises `Fatal` with the first failure of one of them."""
    spawn = multiprocessing.get_context("spawn")
    running: dict[Connection, BaseProcess] = {}
    for share in shares:
        receiving, sending = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_score, args=(share, sending), name=f"score-{share.index}")
        process.start()
        sending.close()
        running[receiving] = process
    failed: str | None = None
    try:
        while running and not stop.requested and failed is None:
            for ready in wait(list(running), timeout=0.2):
                failed = _hear(ready, running, observe) or failed
    finally:
        _end(running)
    if failed is not None:
        raise Fatal(failed)


def _hear(ready: object, running: dict[Connection, BaseProcess], observe: Observer) -> str | None:
    """Take what a process says; return why it failed, if it did."""
    connection = next(one for one in running if one is ready)
    try:
        said = connection.recv()
    except EOFError:
        process = running.pop(connection)
        connection.close()
        process.join()
        return None if process.exitcode == 0 else f"a process of the run ended with {process.exitcode}"
    if isinstance(said, str):
        return said
    observe(said)
    return None


def _end(running: dict[Connection, BaseProcess]) -> None:
    for connection, process in running.items():
        process.terminate()
        process.join(_ENDS_WITHIN_S)
        if process.is_alive():
            process.kill()
            process.join()
        connection.close()


def _score(share: Share, sending: Connection) -> None:
    """Score a share, in a process of its own."""
    stop = Stop()
    tell: Callable[[object], None] = sending.send

    def observe(event: Event, /) -> None:
        if isinstance(event, BatchCommitted):
            tell(event)

    with on_signals(stop):
        try:
            request = share.request
            loaded = load_proved(request.package)
            if loaded.scorer.model.digest != share.run.package:
                raise Fatal("the package was replaced while the run began")
            prepared = prepare_batch(request, loaded, share.files, share.first_split)
            folder = folder_of(request)
            entries = Journal(folder).entries()
            mine = _mine(share)
            score_share(prepared, folder, share.run, entries, mine, stop, observe)
        except StreamInferError as error:
            tell(str(error))


def _mine(share: Share) -> Callable[..., bool]:
    return lambda split: split.number % share.of == share.index
