"""One HTML file that holds a whole comparison: opens from disk, and needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snlab.core.errors import UserError
from snlab.core.progress import waiting
from snlab.results.output import write
from snlab.results.page.content import content
from snlab.results.page.document import document
from snlab.results.reading import Collected, collect
from snlab.tracking.run_folder import Run, Skipped


def runs_of(*roots: str | Path) -> Collected:
    """What ``collect`` finds, for a page: of a folder that has no run to be read it says that, and goes on.

    UserError where a folder is missing.
    """
    try:
        return collect(*roots)
    except UserError:
        if not all(Path(root).is_dir() for root in roots):
            raise
    runs: dict[Path, Run] = {}
    skipped: dict[Path, Skipped] = {}
    for root in roots:
        try:
            found = collect(root)
        except UserError as error:
            found = Collected([], [Skipped(Path(root), str(error))])
        runs |= {run.folder.resolve(): run for run in found.runs}
        skipped |= {skip.folder.resolve(): skip for skip in found.skipped}
    return Collected([*runs.values()], sorted(skipped.values()))


def report(runs: Sequence[Run], out: str | Path, skipped: Sequence[Skipped] = ()) -> None:
    """Write the page of ``runs`` to ``out``, in one piece; UserError where that cannot be."""
    with waiting(f"making the page of {len(runs)} {'run' if len(runs) == 1 else 'runs'}"):
        made = page(runs, skipped)
    write(out, made)


def page(runs: Sequence[Run], skipped: Sequence[Skipped] = ()) -> str:
    """The page as HTML; it names what was ``skipped``, and says so where there is no run.

    What a reader chooses is kept in the address's fragment, so that it outlives a reload.
    """
    return document(content(runs, skipped))
