"""The command line of ``snlab fit``: LightningCLI over names, told what is wrong in one line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn

from snlab.core.environment import DEVICES
from snlab.core.errors import UserError, nearest
from snlab.core.modules import find_from_working_directory, import_plugins
from snlab.core.resources import experiment, sweeps
from snlab.tracking.wandb_mirror import WandbOptions
from snlab.training.build import build_data, build_gan
from snlab.training.measurements import MeasureOptions
from snlab.training.own import (
    IMPORT,
    check_class_paths,
    check_refused,
    gathered,
    import_named,
    own_sources,
    why,
)
from snlab.training.parallel import SyncBatchNorm, cluster, strategy
from snlab.training.sources import named
from snlab.training.spelling import as_json, from_python, takes_null
from snlab.training.trainer_options import (
    DEFAULTS,
    PROFILERS,
    check_callback,
    check_trainer,
    listed,
)

# Options that another one sets.
LINKED = {"trainer.max_steps": "generator_steps", "model.seed": "seed_everything"}
GROUPS = ("data", "model", "model.adam", "measure", "wandb", "trainer")  # of options; none may be null
LARGEST_SEED = 2**32 - 1  # that numpy takes


class Parser(LightningArgumentParser):
    """Says what is wrong with the command line or a configuration file in one line.

    Takes values as W&B's agent writes them, which is as Python does.
    """

    def parse_args(self, args: Sequence[str], **kwargs: Any) -> Any:  # type: ignore[override]
        return super().parse_args(from_python(args, takes_null(self)), **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = " ".join(message.split())
        unknown = re.search(r"unrecognized arguments: --([\w.]+)", line, re.IGNORECASE)
        for target, source in LINKED.items():  # which the user has not said
            line = line.replace(f'Parser key "{target}":', f'Parser key "{source}":')
        check_refused(line)
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
        find_from_working_directory()
        import_plugins()
        super().__init__(
            build_gan,
            build_data,
            run=False,
            args=_with_experiments(gathered(arguments)),
            seed_everything_default=0,
            save_config_callback=None,  # RunWriter writes it, into the run's folder
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            parser_class=Parser,
            parser_kwargs={"prog": "snlab fit", "description": "Train one GAN.", "allow_abbrev": False},
            trainer_defaults={**DEFAULTS, "devices": int(os.environ.get(DEVICES) or DEFAULTS["devices"])},
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
            "--again",
            action="store_true",
            help="Train from the start what was trained before; the old folder is kept as FOLDER.before-1.",
        )
        parser.add_argument(
            f"--{IMPORT}",
            type=list[str] | str,
            default=[],
            help="A module of yours, imported for the names that it registers; may be said several times.",
        )
        parser.add_argument(
            "--sources",
            type=dict[str, str],
            default={},
            help="Digests of your own code; filled in by itself.",
        )
        parser.add_argument(
            "--checkpoint_every",
            type=float,
            default=0.1,
            help="Generator steps, or below 1 a share of the run.",
        )
        parser.add_argument(
            "--keep_best",
            type=bool,
            default=False,
            help="Also keep the checkpoint of the lowest Fréchet distance that was logged.",
        )
        parser.add_class_arguments(MeasureOptions, "measure")
        parser.add_class_arguments(WandbOptions, "wandb")
        for target, source in LINKED.items():
            parser.link_arguments(source, target)
        parser.link_arguments(
            "data", "model.sample_shape", lambda data: list(data.sample_shape), "instantiate"
        )
        parser.link_arguments("data", "model.classes", lambda data: data.classes, "instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Read ``config`` and ``settings``; UserError for what does not go together, or is not honoured."""
        self.config = parser.parse_args(args)
        _check_groups(self.config)
        _check_seed(self.config["seed_everything"])
        for callback in listed(self.config["trainer"]["callbacks"]):
            check_callback(named(callback["class_path"]), callback.get("init_args") or {})
        try:
            dumped = parser.dump(self.config, skip_unset=False, format="yaml")
        except ValueError as error:  # an object of a user's class that cannot be written down
            raise UserError(f"the configuration cannot be kept: {' '.join(str(error).split())}") from error
        self.settings: dict[str, Any] = yaml.safe_load(dumped)
        self.settings[IMPORT] = import_named(self.settings[IMPORT])
        check_class_paths(self.settings)
        check_trainer(self.settings["trainer"])
        _check_decay(self.settings)
        self.settings["sources"] = _sources(self.settings)

    def instantiate_classes(self) -> None:
        """Nothing yet: build() does it."""

    def build(self, load: bool = True) -> None:
        """Make ``datamodule``, ``model`` and the user's ``callbacks``.

        UserError where a name or a value is not to be had.

        Args:
            load: read the data, too, where it is in files; without, a data set is known by its shapes alone.
        """
        try:
            self.config_init = self.parser.instantiate(self.config)
        except (MisconfigurationException, ValueError) as error:
            # Of a class that class_path names; of a ValueError of that class, the parser tells as the cause.
            if not isinstance(error, MisconfigurationException) and error.__cause__ is None:
                raise
            raise UserError(why(error)) from error
        self.datamodule, self.model = self.config_init["data"], self.config_init["model"]
        self.callbacks: list[Callback] = listed(self.config_init["trainer"]["callbacks"])
        if load:
            self.datamodule.load()

    def trainer_with(
        self, callbacks: Sequence[Callback], plugins: Sequence[Any], folder: Path | None = None, **kwargs: Any
    ) -> Trainer:
        """The trainer that the configuration describes, with ``callbacks`` after the user's own.

        It profiles only where there is a ``folder`` to write to. UserError where it asks for what is missing.
        """
        options = self.config_init["trainer"]
        plugins = [*plugins, *([SyncBatchNorm()] if options["sync_batchnorm"] else [])]
        if folder is None:
            kwargs["profiler"] = None
        elif options["profiler"] in PROFILERS:
            kwargs["profiler"] = PROFILERS[options["profiler"]](dirpath=folder, filename="profile")
        try:
            found = strategy(options["accelerator"], options["devices"], options["num_nodes"])
            trainer = self.instantiate_trainer(
                callbacks=[*self.callbacks, *callbacks],
                plugins=[*plugins, *cluster(found)],
                strategy=found,
                max_time=None,  # StopOnSignal's to keep: Lightning would end the run without saving it
                # Numbers come between updates, not after an epoch: so EarlyStopping expects them.
                val_check_interval=1,
                check_val_every_n_epoch=None,
                **kwargs,
            )
        except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
            raise UserError(f"trainer: {' '.join(str(error).split())}") from error
        # Lightning takes it from a job's environment, whose other tasks may be runs of their own.
        rank_zero_only.rank = trainer.global_rank  # type: ignore[attr-defined]
        return trainer


# ---- what is checked of the values ----------------------------------------------------------------------


def _check_groups(config: Namespace) -> None:
    for group in GROUPS:
        # What is linked to an option elsewhere is there in any case.
        if not {name for name in vars(config.get(group) or Namespace()) if f"{group}.{name}" not in LINKED}:
            raise UserError(f"{group} is null; a mapping of its options is wanted, or nothing")


def _check_seed(seed: Any) -> None:
    if isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"seed_everything is {seed}; a whole number from 0 to {LARGEST_SEED} is needed")


def _check_decay(settings: dict[str, Any]) -> None:
    decay_from, last = settings["model"]["decay_from"], settings["generator_steps"]
    if decay_from is not None and decay_from > last:
        raise UserError(f"model.decay_from is {decay_from}, beyond the run's end: generator_steps is {last}")


def _sources(settings: dict[str, Any]) -> dict[str, str]:
    """The digests of the code that ``settings`` name; said where they come from a run of other code."""
    found = own_sources(settings)
    for name, digest in settings["sources"].items():
        if found.get(name, digest) != digest:
            rank_zero_warn(f"{name} has changed since this configuration was written: this is another trial")
    return found


# ---- --config -------------------------------------------------------------------------------------------


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
    """The experiment's file; a mapping, which is how a sweep's value carries several settings, as JSON.

    UserError for a sweep's file, and where it sets what another option sets.
    """
    if value.startswith("{"):
        mapping = as_json(value)  # W&B's agent writes Python, where null is None
        with suppress(ValueError):  # the parser says what is wrong with it
            _check_config("--config", json.loads(mapping))
        return mapping
    if not Path(value).is_file() and Path(value).stem in sweeps():
        raise UserError(f"{value} is a sweep; snlab sweep {value}")
    path = experiment(value)
    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return str(path)  # the parser says what is wrong with it
    _check_config(value, mapping)
    return str(path)


def _check_config(name: str, mapping: Any) -> None:
    if not isinstance(mapping, dict):
        return
    if "parameters" in mapping and mapping.keys() & {"method", "program", "command", "metric"}:
        raise UserError(f"{name} is a sweep file; snlab sweep {name}")
    for target, source in LINKED.items():
        group, option = target.split(".")
        if isinstance(mapping.get(group), dict) and option in mapping[group]:
            raise UserError(f"{name} sets {target}; say --{source}, which sets it")
