"""How a run is repeated: the command, from what its folder holds."""

from __future__ import annotations

import re
import shlex

from snlab.results.reading import DAMAGED
from snlab.tracking.run_folder import CONFIG, MODULE, OVER, Run

_THREADS = re.compile(r"CPU, (\d+) thread")  # of a machine, as summaries tell of it


def command(run: Run) -> str | None:
    """The line, for a shell, that trains a run again or, where it is not over, goes on with it.

    Trained again, it takes its folder's place, and what was there is kept beside it. Sums round alike with as
    many threads as the run had, so where it says how many they are part of the line. None for a run of the
    user's own loop.
    """
    if MODULE in run.config:
        return None
    threads = _THREADS.search(str(run.summary.get("machine", "")))
    how = "--again" if run.outcome in (*OVER, DAMAGED) else "--resume"
    words = ["snlab", "fit", "--config", str(run.folder / CONFIG), "--run_folder", str(run.folder), how]
    return " ".join(filter(None, [f"OMP_NUM_THREADS={threads[1]}" if threads else "", shlex.join(words)]))
