"""What a data set, a network, a loss and a normalizer promise, tried out on those that are the user's own.

Each check is told as one line that names the class or function. None draws a random number of the run's, and
none changes what it looks at: copies are looked at, and a network's modules are made anew.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab.core.errors import UserError
from snlab.core.random_streams import seeded
from snlab.data import DataSet
from snlab.losses import Loss
from snlab.networks import Network
from snlab.nn.conditional import given, judge
from snlab.nn.evaluation import evaluating
from snlab.normalizers import Batch, Normalizer

T = TypeVar("T")
BATCH = 4  # samples that a network, a loss or a normalizer is tried on
CHUNK = 4096  # samples of a data set that are looked at together


# ---- the four -------------------------------------------------------------------------------------------


def check_dataset(data: DataSet, who: str) -> None:
    """UserError unless ``data`` holds what training reads; ``who`` names it, as in ``data set blobs``.

    Images (N, C, H, W), uint8 or float32 in [-1, 1], or vectors (N, d), float32; train and held out of one
    shape and dtype, at least one sample of each, all finite. What is not loaded yet has only its shape.
    """
    parts = {"train": data.train, "heldout": data.heldout}
    for name, samples in parts.items():
        if not isinstance(samples, Tensor):
            raise UserError(f"{who}: {name} is a {type(samples).__name__}; a tensor is wanted")
        if samples.ndim not in (2, 4):
            raise UserError(
                f"{who}: {name} has shape {_shape(samples)}; images (N, C, H, W) or vectors (N, d) are wanted"
            )
        kinds = (torch.uint8, torch.float32) if samples.ndim == 4 else (torch.float32,)
        if samples.dtype not in kinds:
            raise UserError(
                f"{who}: {name} is {_name(samples.dtype)}; {' or '.join(map(_name, kinds))} is wanted"
            )
        if not len(samples):
            raise UserError(f"{who}: {name} has no samples")
    train, heldout = parts.values()
    if train.shape[1:] != heldout.shape[1:] or train.dtype != heldout.dtype:
        raise UserError(
            f"{who}: train is {_name(train.dtype)} {_shape(train)} and heldout {_name(heldout.dtype)} "
            f"{_shape(heldout)}; samples of one shape and dtype are wanted"
        )
    for name, samples in parts.items():
        for chunk in samples.split(CHUNK):
            _check_values(chunk, f"{who}: {name}", images=samples.ndim == 4)


def check_network(network: Network, who: str, sample_shape: tuple[int, ...], classes: int = 0) -> None:
    """UserError unless ``network`` makes a generator and a discriminator for ``sample_shape``.

    The generator's samples are float32 (B, *sample_shape), finite, images in [-1, 1]; the discriminator's
    logits float32 (B,), finite. With labels, of ``classes`` classes, where it is conditional.
    """
    with _aside():
        network = _copied(network)
        generator = _module(who, "generator", network.generator, sample_shape)
        latent_dim = getattr(network, "latent_dim", None)  # known from now on, if not before
        if isinstance(latent_dim, bool) or not isinstance(latent_dim, int) or latent_dim < 1:
            raise UserError(f"{who}: latent_dim is {latent_dim!r}; a whole number of at least 1 is wanted")
        discriminator = _module(who, "discriminator", network.discriminator, sample_shape)
        latents, real = torch.randn(BATCH, latent_dim), _samples(sample_shape)
        labels = torch.arange(BATCH) % classes if network.conditional else None
        with evaluating(generator, discriminator), torch.no_grad():
            fake = _called(
                who, f"its generator, on latents {_shape(latents)},", given, generator, latents, labels
            )
            _check_tensor(fake, f"{who}: what its generator gives", (BATCH, *sample_shape))
            _check_values(fake, f"{who}: what its generator gives", images=len(sample_shape) == 3)
            call = f"its discriminator, on samples {_shape(real)},"
            said = _called(who, call, given, discriminator, real, labels)
        if isinstance(said, tuple) and labels is not None and len(said) == 2:
            said, class_logits = said
            _check_tensor(class_logits, f"{who}: the class logits of its discriminator", (BATCH, classes))
        _check_tensor(said, f"{who}: what its discriminator gives", (BATCH,))
        _check_values(said, f"{who}: what its discriminator gives")


def check_loss(loss: Loss, who: str) -> None:
    """UserError unless both sides of ``loss`` give a finite scalar that depends on the logits."""
    with _aside():
        loss = _copied(loss)
        real, fake = (torch.randn(BATCH, requires_grad=True) for _ in range(2))
        with torch.enable_grad():
            sides = {
                "discriminator(real_logits, fake_logits)": (loss.discriminator, real, fake),
                "generator(fake_logits, real_logits)": (
                    loss.generator,
                    fake,
                    real if loss.relativistic else None,
                ),
            }
            for call, (side, *logits) in sides.items():
                value = _called(who, call, side, *logits)
                _check_tensor(value, f"{who}: {call}", ())
                _check_values(value, f"{who}: {call}")
                gradient = None
                if value.requires_grad:
                    (gradient,) = torch.autograd.grad(value, fake, allow_unused=True)
                if gradient is None:
                    raise UserError(
                        f"{who}: {call} has no gradient with respect to the generated samples' logits"
                    )
                _check_values(gradient, f"{who}: the gradient of {call}")


def check_normalizer(
    parts: Sequence[tuple[Normalizer, str | None]],
    network: Network,
    sample_shape: tuple[int, ...],
    classes: int = 0,
) -> None:
    """UserError unless every named one of ``parts``, attached in turn, works in a discriminator update.

    ``attach`` gives a module, ``penalty`` a finite scalar, and neither part of an update fails.

    Args:
        parts: the parts of a composition, each with what names it where it is to be checked.
        network: makes the discriminator.
        sample_shape: of that.
        classes: of the labels that a conditional one is given.
    """
    with _aside(), torch.enable_grad():
        copied = [(_copied(part), who) for part, who in parts]
        discriminator = _copied(network).discriminator(sample_shape)
        for part, who in copied:
            if who is None:
                discriminator = part.attach(discriminator)
            else:
                discriminator = _module(who, "attach", part.attach, discriminator)
        labels = torch.arange(BATCH) % classes if network.conditional else None
        real, fake = _samples(sample_shape), _samples(sample_shape)
        for part, who in copied:
            _called(who, "before_update", part.before_update, discriminator)
        with parametrize.cached():
            of_real, of_fake = (judge(discriminator, samples, labels)[0] for samples in (real, fake))
            batch = Batch(real, fake, labels, of_real, of_fake, torch.Generator().manual_seed(0))
            for part, who in copied:
                if who is not None:
                    penalty = _called(who, "penalty", part.penalty, discriminator, batch)
                    _check_tensor(penalty, f"{who}: penalty", ())
                    _check_values(penalty.detach(), f"{who}: penalty")
        for part, who in copied:
            _called(who, "after_update", part.after_update, discriminator)


# ---- trying out -----------------------------------------------------------------------------------------


@contextmanager
def _aside() -> Iterator[None]:
    """Whatever is drawn inside, the global random numbers of torch, numpy and Python go on as before."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the user's code may draw from it
    try:
        with seeded(0, "contract"):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _copied(thing: T) -> T:
    try:
        return copy.deepcopy(thing)
    except Exception:  # what holds a lock, or a file, is looked at itself
        return thing


def _samples(sample_shape: tuple[int, ...]) -> Tensor:
    return torch.rand(BATCH, *sample_shape) * 2 - 1


def _called(who: str | None, call: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)``, whose failure is told as one line where it is the user's own."""
    try:
        return function(*arguments)
    except UserError:
        raise
    except Exception as error:
        if who is None:
            raise
        text = " ".join(str(error).split())
        raise UserError(f"{who}: {call} fails: {type(error).__name__}: {text}") from error


def _module(who: str, call: str, function: Callable[..., Any], argument: Any) -> nn.Module:
    made = _called(who, call, function, argument)
    if not isinstance(made, nn.Module):
        raise UserError(f"{who}: {call} returns a {type(made).__name__}; a torch.nn.Module is wanted")
    return made


def _check_tensor(x: Any, what: str, shape: tuple[int, ...]) -> None:
    if not isinstance(x, Tensor):
        raise UserError(f"{what} is a {type(x).__name__}; a tensor is wanted")
    if x.dtype != torch.float32:
        raise UserError(f"{what} is {_name(x.dtype)}; float32 is wanted")
    if x.shape != shape:
        raise UserError(f"{what} has shape {_shape(x)}; {shape} is wanted")


def _check_values(x: Tensor, what: str, images: bool = False) -> None:
    if x.is_meta or not x.is_floating_point():
        return
    if not x.isfinite().all():
        kind = "NaN" if x.isnan().any() else "infinite"
        raise UserError(f"{what} has values that are {kind}")
    if images and x.abs().max() > 1:
        low, high = x.min().item(), x.max().item()
        raise UserError(f"{what} has values from {low:.4g} to {high:.4g}; images are within [-1, 1]")


def _shape(x: Tensor) -> str:
    return str(tuple(x.shape))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
