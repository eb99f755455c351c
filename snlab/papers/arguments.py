"""The command line of ``snlab reproduce``."""

from __future__ import annotations

import argparse
import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from snlab.core.errors import UserError, nearest

if TYPE_CHECKING:
    from snlab.results.papers import Item, Source


@dataclass(frozen=True)
class Options:
    """What is reproduced, how large, where.

    Args:
        item: PAPER/ITEM, of ``snlab list papers``.
        dataset: on which data set; None: the paper's own.
        out: the folder; None: ``runs/PAPER-DATASET``.
        generator_steps: generator updates of a run; None: the sweeps' own.
        width: of the networks; None: the sweeps' own.
        seeds: how many, from 0; None: the sweeps' own.
        estimate: only say what it would cost.
        workers, gpus, gpus_per_run, runs_per_gpu, lease: as of ``snlab sweep``.
        imports: modules of the user's.

    Raises:
        UserError: a value is out of range, or there is no such item or data set.
    """

    item: str
    dataset: str | None = None
    out: Path | None = None
    generator_steps: int | None = None
    width: float | None = None
    seeds: int | None = None
    estimate: bool = False
    workers: int | None = None
    gpus: str | None = None
    gpus_per_run: int = 1
    runs_per_gpu: int = 1
    lease: int = 60
    imports: Sequence[str] = ()

    def __post_init__(self) -> None:
        what = self.what
        for option, value in (("--generator_steps", self.generator_steps), ("--seeds", self.seeds)):
            if value is not None and value < 1:
                raise UserError(f"{option} is {value}; at least 1 is needed")
        if self.width is not None and not (self.width > 0 and math.isfinite(self.width)):
            raise UserError(f"--width is {self.width:g}; a positive number is needed")
        if self.dataset is not None and self.dataset not in what.data:
            raise UserError(f"{self.item} on {self.dataset!r}: {nearest(self.dataset, what.data)}")
        for folder in (self.runs, self.results):
            _check_folder(folder, writable=not self.estimate)

    @property
    def what(self) -> Item:
        """The item itself."""
        from snlab.results.papers import paper_item  # reads files: only where something is reproduced

        return paper_item(self.item)

    @property
    def chosen(self) -> str:
        """The data set's name among the item's."""
        return self.dataset or next(iter(self.what.data))

    @property
    def source(self) -> Source:
        """Where the runs come from."""
        return self.what.data[self.chosen]

    @property
    def folder(self) -> Path:
        """Of everything: RUNS of all of a paper's items, shared, and a folder for each item."""
        return self.out or Path("runs") / f"{self.item.partition('/')[0]}-{self.chosen}"

    @property
    def runs(self) -> Path:
        """The sweeps' runs."""
        return self.folder / "runs"

    @property
    def results(self) -> Path:
        """The item's page, tables and figures."""
        return self.folder / self.item.partition("/")[2]

    @property
    def command(self) -> str:
        """As one types it again; a place that only this machine has is left out."""
        words = ["snlab", "reproduce", self.item]
        for field in fields(self):
            value = getattr(self, field.name)
            hidden = field.name == "out" and value is not None and value.is_absolute()
            if field.name in ("item", "estimate", "imports") or hidden or value == field.default:
                continue
            dashed = "_" in field.name and field.name != "generator_steps"
            name = field.name.replace("_", "-") if dashed else field.name
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
        return shlex.join([*words, *(f"--import={module}" for module in self.imports)])


def _check_folder(folder: Path, writable: bool) -> None:
    """UserError where it is not to be had: before the minutes in which nothing is written to it yet."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
    except OSError as error:
        raise UserError(f"--out: {folder} cannot be a folder: {error.strerror}") from error
    if not there.is_dir():
        raise UserError(f"--out: {there} is no folder")
    if writable and not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"--out: {there} cannot be written")


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; a folder is needed")
    return Path(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options, as `from_arguments` reads them; those of slots are of every executor."""
    parser.add_argument("item", metavar="PAPER/ITEM", help="a table or figure: snlab list papers")
    parser.add_argument("--dataset", help="on which data set (default: the paper's own)")
    parser.add_argument("--out", type=_folder, metavar="DIR", help="where to (default: runs/PAPER-DATASET)")
    parser.add_argument("--generator_steps", type=int, metavar="N", help="generator updates of a run")
    parser.add_argument("--width", type=float, metavar="W", help="of the networks, of 1 as in the paper")
    parser.add_argument("--seeds", type=int, metavar="K", help="how many, from 0")
    parser.add_argument(
        "--lease", type=int, default=60, help="seconds after which a dead executor's runs are taken over"
    )
    parser.add_argument("--estimate", action="store_true", help="say what it would cost, and stop")


def from_arguments(arguments: argparse.Namespace) -> Options:
    """The options among parsed arguments."""
    return Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)})
