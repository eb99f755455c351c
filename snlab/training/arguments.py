"""The command line of ``snlab fit``: LightningCLI over names, told what is wrong in one line."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import yaml
from jsonargparse.typing import PositiveInt
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_only

from snlab.core.environment import DEVICES
from snlab.core.errors import UserError, nearest
from snlab.core.resources import experiment
from snlab.gan import check_precision
from snlab.tracking.wandb_mirror import WandbOptions
from snlab.training.build import build_data, build_gan
from snlab.training.measurements import MeasureOptions
from snlab.training.parallel import SyncBatchNorm, cluster, strategy


class Parser(LightningArgumentParser):
    """Says what is wrong with the command line or a configuration file in one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = " ".join(message.split())
        unknown = re.search(r"unrecognized arguments: --([\w.]+)", line, re.IGNORECASE)
        if unknown:
            options = [action.dest for action in self._actions]
            raise UserError(f"unknown option --{unknown[1]}; {nearest(unknown[1], options)}") from ex
        raise UserError(re.sub(r'^Parser key "([\w.]+)":', r"option --\1:", line)) from ex


_PARSERS: dict[str, LightningArgumentParser] = {}


class FitCLI(LightningCLI):
    """LightningCLI over names: everything is set from YAML or the command line.

    Parses at once and builds later: in between, the run's folder is claimed.
    """

    model: Any
    datamodule: Any

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(
            build_gan,
            build_data,
            run=False,
            args=_with_experiments(arguments),
            seed_everything_default=0,
            save_config_callback=None,  # RunWriter writes it, into the run's folder
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            parser_class=Parser,
            parser_kwargs={"prog": "snlab fit", "description": "Train one GAN."},
            trainer_defaults={
                "max_epochs": -1,  # one endless epoch: the run's length is generator_steps
                "devices": int(os.environ.get(DEVICES) or 1),
                "sync_batchnorm": True,  # several devices train as one would
                "enable_progress_bar": False,  # trainer_with() is given ours
                "enable_checkpointing": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
            },
        )

    def setup_parser(self, *arguments: Any, **kwargs: Any) -> None:
        """One parser serves all command lines of a process: a sweep has many."""
        devices = os.environ.get(DEVICES, "")  # its default
        if devices not in _PARSERS:
            super().setup_parser(*arguments, **kwargs)
            _PARSERS[devices] = self.parser
        self.parser = _PARSERS[devices]

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--generator_steps", type=PositiveInt, default=100_000, help="Generator updates.")
        parser.add_argument("--runs", type=str, default="runs", help="Folder of run folders.")
        parser.add_argument("--run_folder", type=str | None, default=None, help="This run's folder.")
        parser.add_argument("--resume", action="store_true", help="Go on from the newest good checkpoint.")
        parser.add_argument(
            "--checkpoint_every",
            type=float,
            default=0.1,
            help="Generator steps, or below 1 a share of the run.",
        )
        parser.add_class_arguments(MeasureOptions, "measure")
        parser.add_class_arguments(WandbOptions, "wandb")
        parser.link_arguments("generator_steps", "trainer.max_steps")
        parser.link_arguments("seed_everything", "model.seed")
        parser.link_arguments(
            "data", "model.sample_shape", lambda data: list(data.sample_shape), "instantiate"
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)
        self.settings: dict[str, Any] = yaml.safe_load(
            parser.dump(self.config, skip_unset=False, format="yaml")
        )

    def instantiate_classes(self) -> None:
        """Nothing yet: build() does it."""

    def build(self) -> None:
        """Make ``datamodule`` and ``model``; UserError where a name or a value is not to be had."""
        check_precision(self.settings["trainer"]["precision"])
        self.config_init = self.parser.instantiate(self.config)
        self.datamodule, self.model = self.config_init["data"], self.config_init["model"]

    def trainer_with(self, callbacks: list[Callback], plugins: list[Any], **kwargs: Any) -> Trainer:
        """The trainer that the configuration describes, with ``callbacks`` after the user's own.

        UserError where it asks for devices that are not there.
        """
        options = self.config_init["trainer"]
        configured = options["callbacks"] or []
        if options["sync_batchnorm"]:
            plugins = [*plugins, SyncBatchNorm()]
        try:
            if options["strategy"] == "auto":
                kwargs["strategy"] = strategy(
                    **{k: options[k] for k in ("accelerator", "devices", "num_nodes")}
                )
                plugins = [*plugins, *cluster(kwargs["strategy"])]
            trainer = self.instantiate_trainer(callbacks=[*configured, *callbacks], plugins=plugins, **kwargs)
        except MisconfigurationException as error:
            raise UserError(f"trainer: {' '.join(str(error).split())}") from error
        # Lightning takes it from a job's environment, whose other tasks may be runs of their own.
        rank_zero_only.rank = trainer.global_rank  # type: ignore[attr-defined]
        return trainer


def _with_experiments(arguments: Sequence[str]) -> list[str]:
    """The arguments with every --config told as a file, wherever the experiment it names is."""
    result = list(arguments)
    for i, argument in enumerate(result):
        if argument in ("-c", "--config") and i + 1 < len(result):
            result[i + 1] = _config(result[i + 1])
        elif argument.startswith("--config="):
            result[i] = f"--config={_config(argument.removeprefix('--config='))}"
    return result


def _config(value: str) -> str:
    """The experiment's file; a mapping, which is how a sweep's value carries several settings, as JSON."""
    if not value.startswith("{"):
        return str(experiment(value))
    try:
        return json.dumps(ast.literal_eval(value))  # W&B's agent writes Python, where null is None
    except (SyntaxError, ValueError, TypeError):
        return value
