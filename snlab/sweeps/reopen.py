"""What a start of a sweep opens again of what ended before, and what it says of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snlab.core.errors import UserError
from snlab.sweeps.attempts import Task
from snlab.sweeps.document import in_words
from snlab.sweeps.study import Study
from snlab.sweeps.trial import result
from snlab.tracking.run_folder import OVER


@dataclass(frozen=True)
class Before:
    """What ended before: how many tasks are done, which failed and stay so, which are tried again."""

    done: int
    failed: Sequence[Task]
    again: Sequence[Task]

    def lines(self) -> list[str]:
        """A line for each failure, and one that says how it is opened again."""
        lines = [f"tried again: {_described(task)}" for task in self.again]
        lines += [f"failed before: {_described(task)}" for task in self.failed]
        if self.failed:
            lines.append(
                f"{len(self.failed)} failed before and stay so; --retry-failed tries them again, "
                "and so does deleting a run's folder, or granting more --attempts"
            )
        return lines


def reopen(study: Study, folder: Path, retry_failed: bool = False) -> Before:
    """Open what a start of a sweep, whose runs are in ``folder``, is to try again.

    That is a task whose run is gone, or failed for the environment's sake; with ``retry_failed``, in any way.
    """
    tasks = study.tasks()
    ended = [task for task in tasks if task.state in ("done", "failed")]
    gone = [task for task in ended if _is_gone(task, folder)]
    failed = [task for task in ended if task.state == "failed" and task not in gone]
    # One that was tried but has attempts left gets them all back.
    tried = [task for task in tasks if task.state == "waiting" and task.failure is not None]
    hit = [task for task in (*tried, *failed) if task.failure is not None and task.failure.environment]
    again = [task for task in tasks if task in hit or (task in failed and retry_failed)]
    study.reopen(task.number for task in (*gone, *again))
    done = sum(task.state == "done" and task not in gone for task in ended)
    return Before(done, [task for task in failed if task not in again], again)


def _is_gone(task: Task, folder: Path) -> bool:
    """Whether the run of a task that ended is no longer there, no longer over, or damaged since."""
    if task.folder is None:
        return False  # it failed before it had one
    if task.outcome not in OVER:
        return not (folder / task.folder).is_dir()
    try:
        return result(folder / task.folder) is None
    except UserError:
        return True


def _described(task: Task) -> str:
    return f"{task.folder or f'task {task.number}'}: {task.failure}; {in_words(task.configuration or {})}"
