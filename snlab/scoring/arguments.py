"""The command line of ``snlab evaluate``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

from snlab.core.errors import UserError, nearest
from snlab.metrics.protocols import PROTOCOLS, Protocol

WEIGHTS = ("ema", "raw")
CHECKPOINTS = ("last", "best")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Options:
    """How a checkpoint is scored.

    Args:
        protocol: which scores, from how many images.
        repeats: how often, each time on other latents.
        weights: the generator's moving average (``ema``) or itself (``raw``); None: what the run scored.
        checkpoint: of a run, the ``last`` (None as well) or the ``best``.
        inception_weights: their file; None: the run's, else torch-fidelity's own cache.
        device: where images are generated and looked at; ``auto`` is a GPU where there is one.

    Raises:
        UserError: a value is none of these.
    """

    protocol: str = "miyato2018"
    repeats: int = 1
    weights: str | None = None
    checkpoint: str | None = None
    inception_weights: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        _check_name("protocol", self.protocol, tuple(PROTOCOLS))
        _check_name("weights", self.weights, WEIGHTS)
        _check_name("checkpoint", self.checkpoint, CHECKPOINTS)
        _check_name("device", self.device, DEVICES)
        if self.repeats < 1:
            raise UserError(f"--repeats is {self.repeats}; at least 1 is needed")

    @property
    def chosen(self) -> Protocol:
        """The protocol itself."""
        return PROTOCOLS[self.protocol]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options, as `from_arguments` reads them."""
    parser.add_argument(
        "places", type=Path, nargs="+", metavar="RUN|CKPT", help="a run's folder, or a checkpoint in one"
    )
    protocols = "; ".join(f"{name}: {protocol.description}" for name, protocol in PROTOCOLS.items())
    parser.add_argument("--protocol", default="miyato2018", help=f"(default: %(default)s). {protocols}")
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        metavar="N",
        help="score on N draws of latents: the metric's noise",
    )
    parser.add_argument("--weights", help="ema or raw (default: what the run itself scored)")
    parser.add_argument(
        "--checkpoint", help="of a run: last, or best, by snlab fit --keep_best (default: last)"
    )
    parser.add_argument("--inception-weights", metavar="FILE", help="torch-fidelity's Inception weights")
    parser.add_argument("--device", default="auto", help="cpu or cuda (default: a GPU where there is one)")


def from_arguments(arguments: argparse.Namespace) -> Options:
    """The options among parsed arguments."""
    return Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)})


def _check_name(option: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise UserError(f"unknown {option} {value!r}; {nearest(value, known)}")
