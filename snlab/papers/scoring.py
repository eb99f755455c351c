"""Scoring what the runs have not scored themselves: best checkpoints, and a table's own protocol."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from snlab.core.names import GENERATOR_STEP
from snlab.results.papers import PaperTable
from snlab.results.scores import EMBEDDED, own_protocol
from snlab.sweeps.launch import end_with_parent
from snlab.sweeps.slots import Slot
from snlab.tracking.checkpoints import best_checkpoints
from snlab.tracking.run_folder import CHECKPOINTS, FINISHED, Run
from snlab.tracking.scores import BEST, LAST, read_scores


@dataclass(frozen=True)
class Wanted:
    """A score that is not there yet: of which checkpoint of a run, by which protocol."""

    run: Path
    checkpoint: str
    protocol: str


def missing(runs: Sequence[Run], tables: Sequence[PaperTable]) -> list[Wanted]:
    """What a paper's tables want of finished runs and no run folder has yet.

    A run with a data set's own extractor is scored by its protocol alone: no other has a meaning there.
    """
    found: dict[Wanted, None] = {}
    for run in runs:
        if run.outcome != FINISHED:
            continue
        for extractor in _extractors(run):
            own = own_protocol(run, extractor)
            for protocol in [own] if own == EMBEDDED else dict.fromkeys(table.protocol for table in tables):
                if best_checkpoints(run.folder / CHECKPOINTS) and not _has(run, BEST, protocol):
                    found[Wanted(run.folder, BEST, protocol)] = None
                if protocol != own and not _has(run, LAST, protocol):
                    found[Wanted(run.folder, LAST, protocol)] = None
    return list(found)


def score(
    wanted: Sequence[Wanted], slots: Sequence[Slot], log: Path, imports: Sequence[str]
) -> Iterator[str]:
    """Score, each slot its share in a process of its own; yields a line for each score as it comes.

    What a process says of those that fail is added to ``log``: nothing else is lost with one.
    """
    shares: list[list[list[Wanted]]] = [[] for _ in slots]
    for key in dict.fromkeys((each.checkpoint, each.protocol) for each in wanted):
        alike = [each for each in wanted if (each.checkpoint, each.protocol) == key]
        for i, share in enumerate(shares):
            if mine := alike[i :: len(shares)]:
                share.append(mine)
    lines: queue.Queue[str | None] = queue.Queue()
    processes = _Processes()
    threads = [
        threading.Thread(target=_work, args=(share, slot, log, imports, lines, processes), daemon=True)
        for share, slot in zip(shares, slots, strict=True)
        if share
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            yield from iter(lines.get, None)
    finally:  # also where the reader was interrupted
        processes.stop()


class _Processes:
    """The processes that score; once stopped, no further one is started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[str]] = []
        self._stopped = False

    def start(self, words: Sequence[str], slot: Slot, errors: BinaryIO) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                words,
                env=slot.environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                preexec_fn=end_with_parent(signal.SIGTERM),
            )
            self._running.append(process)
            return process

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


def _work(
    share: list[list[Wanted]],
    slot: Slot,
    log: Path,
    imports: Sequence[str],
    lines: queue.Queue[str | None],
    processes: _Processes,
) -> None:
    try:
        for alike in share:
            words = [f"--checkpoint={alike[0].checkpoint}", f"--protocol={alike[0].protocol}"]
            words += [f"--import={module}" for module in imports]
            command = [sys.executable, "-m", "snlab", "evaluate", *(str(each.run) for each in alike), *words]
            with log.open("ab") as file:
                process = processes.start(command, slot, file)
            if process is None:
                break
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line.rstrip("\n"))
            process.wait()
    finally:
        lines.put(None)


def _extractors(run: Run) -> list[str]:
    told = run.summary.get("extractors")
    return [*told] if isinstance(told, dict) else []


def _has(run: Run, kept_as: str, protocol: str) -> bool:
    """Whether the checkpoint that the run has now was scored."""
    best = best_checkpoints(run.folder / CHECKPOINTS)
    for entry in read_scores(run.folder):
        checkpoint = entry.get("checkpoint")
        if not isinstance(checkpoint, dict):
            continue
        told = (checkpoint.get("kept_as"), entry.get("protocol"))
        if told != (kept_as, protocol):
            continue
        if kept_as == BEST and checkpoint.get("file") == str(best[0].relative_to(run.folder)):
            return True
        if kept_as == LAST and entry.get(GENERATOR_STEP) == run.generator_steps:
            return True
    return False
