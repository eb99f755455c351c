"""The options of ``snlab sweep``, and of all that runs in slots. Imports nothing heavy."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """Those of ``snlab sweep``, beside --import."""
    parser.add_argument("file", help="a sweep file, or one of snlab list sweeps by its name")
    parser.add_argument(
        "--dry-run", action="store_true", help="print every run and the cost, and run nothing"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="where to (default: %(default)s/SWEEP)"
    )
    add_slots(parser)
    parser.add_argument("--storage", help="the study's database, for many machines: postgresql+psycopg://...")
    parser.add_argument(
        "--lease", type=int, default=60, help="seconds after which a dead executor's runs are taken over"
    )
    parser.add_argument(
        "--attempts", type=int, default=3, help="how often a run is tried (default: %(default)s)"
    )
    parser.add_argument("--retry-failed", action="store_true", help="open again whatever run failed before")
    parser.add_argument(
        "--sampler", default="tpe", help="of a bayes search: tpe or gp (default: %(default)s)"
    )

    parser.add_argument(
        "--wandb", metavar="ENTITY/PROJECT", help="create the sweep on W&B instead of running it"
    )


def add_slots(parser: ArgumentParser) -> None:
    """How many runs at a time, and on what."""
    parser.add_argument("--workers", type=int, help="runs at a time on the CPU (default: one a core)")
    parser.add_argument("--gpus", help="all, or numbers as in 0,1 (default: all that there are)")
    parser.add_argument("--gpus-per-run", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--runs-per-gpu", type=int, default=1, help="(default: %(default)s)")
