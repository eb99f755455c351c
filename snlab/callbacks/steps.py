"""How many updates a module's generator has had: the step of everything that is measured."""

from __future__ import annotations

from functools import partial
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from snlab.core.errors import UserError
from snlab.gan import GAN


def checked(every: float, name: str = "every") -> float:
    """``every`` as it is; UserError where it tells no interval."""
    if not 0 < every < float("inf"):
        raise UserError(f"{name} is {every}; a number of steps, or a share of the run above 0, is needed")
    return every


def interval(every: float, total: int) -> int:
    """``every`` as a number of generator steps: below 1 it is a share of the ``total``.

    >>> interval(0.01, 100_000), interval(0.01, 20), interval(500, 100_000)
    (1000, 1, 500)
    """
    if every >= 1:
        return int(every)
    if total < 1:
        raise UserError(
            f"measuring every {every} of a run wants a run of known length; give a number of steps"
        )
    return max(1, round(every * total))


def due(step: int, every: float, total: int) -> bool:
    """Whether something done ``every`` so often is done after ``step``; it always is after the last one.

    >>> [step for step in range(1, 11) if due(step, 0.4, 10)]
    [4, 8, 10]
    """
    return step == total or step % interval(every, total) == 0


# ---- of a run in progress -------------------------------------------------------------------------------


class Steps:
    """The steps of snlab's own GAN: Lightning counts its generator's optimizer and no other."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    @property
    def now(self) -> int:
        """The generator's updates so far."""
        return self.trainer.global_step

    def due(self, every: float) -> bool:
        """Whether something done ``every`` so often is done after the batch that has just ended."""
        return due(self.trainer.global_step, every, self.trainer.max_steps)

    def left_over(self, last: int) -> bool:
        """Whether training has ended at an update that was not due, and not ``last``, which was measured."""
        return False


class GeneratorSteps(Callback, Steps):
    """Counts the updates of ``module.generator``, of a module that trains as it likes.

    It may step any number of optimizers, wrapped by Lightning or not, and train its critic by itself in some
    batches. An update is a step of an optimizer that holds parameters of the generator, one of which has a
    gradient. (Where several optimizers hold parts of the generator: of the one that steps most often.) The
    count is saved in checkpoints. ``steps_of`` adds it to the trainer.

    Raises UserError as training starts, where there is nothing to count.
    """

    def __init__(self, trainer: Trainer) -> None:
        super().__init__(trainer)
        self._module: LightningModule | None = None
        self._count = 0
        self._before = 0  # the batch in progress
        self._mark = (0, 0)  # Lightning's step and the count, after the last batch with an update
        self._restored = False
        self._hooks: list[RemovableHandle] = []

    @property
    def now(self) -> int:
        return self._count

    @property
    def total(self) -> int:
        """The updates of the whole run, by a logger or by ``max_steps``; -1 where none can tell.

        Of ``max_steps``, which counts the steps of every wrapped optimizer, each update is taken to use as
        many as the last one did.
        """
        for logger in self.trainer.loggers:
            told = getattr(logger, "generator_steps", None)
            if isinstance(told, int):
                return told
        step, count = self.trainer.global_step - self._mark[0], self._count - self._mark[1]
        if self.trainer.max_steps < 1 or step < 1 or count < 1:
            return -1
        return self._count + max(0, self.trainer.max_steps - self.trainer.global_step) * count // step

    def due(self, every: float) -> bool:
        if self._count == self._before:  # a batch of the critic alone
            return False
        each = interval(every, self.total)
        return self._count // each > self._before // each

    def left_over(self, last: int) -> bool:
        return self._count > max(last, self._began)

    # ---- counting -----------------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._module is not pl_module:
            self._module, self._count = pl_module, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is not None and not self._restored:
            rank_zero_warn(
                f"{trainer.ckpt_path} does not say how many updates its generator has had: "
                f"they are counted from {self._count}"
            )
        self._restored = False
        self._began = self._before = self._count
        self._mark = (trainer.global_step, self._count)
        held = _held(trainer.optimizers, pl_module)
        start, taken = self._count, [0] * len(held)

        def stepped(i: int, parameters: list[Tensor], *_: Any) -> None:
            if any(parameter.grad is not None for parameter in parameters):
                taken[i] += 1
                self._count = max(self._count, start + taken[i])

        self._hooks = [
            optimizer.register_step_post_hook(partial(stepped, i, parameters))
            for i, (optimizer, parameters) in enumerate(held)
        ]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._count > self._mark[1]:
            self._mark = (trainer.global_step, self._count)
        self._before = self._count

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._remove()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._remove()

    def _remove(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def state_dict(self) -> dict[str, Any]:
        return {"count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._count, self._restored = state_dict["count"], True


def steps_of(trainer: Trainer, module: LightningModule) -> Steps:
    """What counts the updates of ``module.generator`` in this run: the same for all who ask."""
    if isinstance(module, GAN):
        return Steps(trainer)
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    found = next((callback for callback in callbacks if isinstance(callback, GeneratorSteps)), None)
    if found is None:
        found = GeneratorSteps(trainer)
        callbacks.append(found)
        found.setup(trainer, module, "fit")
        # Of the checkpoint that Lightning is restoring, where it is past the callbacks.
        checkpoint = trainer._checkpoint_connector._loaded_checkpoint or {}
        if found.state_key in checkpoint.get("callbacks", {}):
            found.load_state_dict(checkpoint["callbacks"][found.state_key])
    return found


def _held(optimizers: list[Optimizer], module: LightningModule) -> list[tuple[Optimizer, list[Tensor]]]:
    """The optimizers that hold parameters of the generator, each with those; UserError for none."""
    name, generator = type(module).__name__, getattr(module, "generator", None)
    if not isinstance(generator, nn.Module):
        raise UserError(f"{name} has no generator: what counts its updates wants the module as its attribute")
    own = {id(parameter) for parameter in generator.parameters()}
    held = [
        (optimizer, [p for group in optimizer.param_groups for p in group["params"] if id(p) in own])
        for optimizer in optimizers
    ]
    held = [(optimizer, parameters) for optimizer, parameters in held if parameters]
    if not held:
        raise UserError(
            f"no optimizer of {name} holds a parameter of its generator, whose updates are counted: "
            "configure_optimizers must give one"
        )
    return held
