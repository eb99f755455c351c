"""The small classifier behind the embedded extractors, and its training, the same bit for bit every time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Recipe(NamedTuple):
    """What the weights depend on besides the data; it is part of a cached file's name.

    Raise the version with any change of architecture or training that the other numbers don't show.
    """

    version: int = 1
    widths: tuple[int, ...] = (16, 32, 64)
    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 5e-3
    seed: int = 0


RECIPE = Recipe()
LARGE = Recipe(version=2, widths=(24, 48, 64), steps=1400, batch_size=128, learning_rate=1e-2)

MANY = 40_000  # images from which LARGE is the recipe
MOST = 80_000  # images of a larger set that are looked at, evenly spaced: LARGE draws 179,200 times
GRID = 16  # rows and columns that LARGE's first convolution leaves, whatever the size: what training costs


def recipe_for(images: Tensor) -> Recipe:
    """How a classifier of ``images`` (N, C, H, W) is trained: many take more steps, and are worth them."""
    return LARGE if len(images) >= MANY else RECIPE


def every(n: int) -> int:
    """Of ``n`` images, every how many-th is trained on: a pass over all of a huge set would take minutes.

    >>> every(60_000), every(1_281_167)
    (1, 17)
    """
    return max(1, -(-n // MOST))


class Classifier(nn.Module):
    """Three 3x3 convolutions with batch norm, halving in between, the mean over space, and a dense layer.

    64 features; for grey images 24,000 parameters, or 39,000 of the large recipe; takes any size from 4x4.

    Args:
        channels: of the images.
        classes: how many logits.
        recipe: of the widths.
        stride: of the first convolution, whose kernel is then ``stride + 2``: it sees every pixel, and the
            others work on images that are smaller by ``stride``.
    """

    def __init__(self, channels: int, classes: int, recipe: Recipe = RECIPE, stride: int = 1) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for c_in, c_out in itertools.pairwise((channels, *recipe.widths)):
            blocks += [nn.Conv2d(c_in, c_out, stride + 2, stride, padding=1, bias=False)]
            blocks += [nn.BatchNorm2d(c_out), nn.ReLU(), nn.MaxPool2d(2)]
            stride = 1
        self.body = nn.Sequential(*blocks[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(recipe.widths[-1], classes)
        self.to(memory_format=torch.channels_last)  # twice as fast on CPU

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 images (n, C, H, W) to features (n, 64) and logits (n, K), float32."""
        x = images.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1  # (n, C, H, W)
        features = self.body(x)  # (n, 64)
        return features, self.head(features)


def classifier_for(images: Tensor, classes: int) -> Classifier:
    """The classifier of ``images`` (N, C, H, W) by their recipe, with initial weights."""
    recipe = recipe_for(images)
    stride = 1 if recipe is RECIPE else max(1, min(images.shape[2:]) // GRID)
    return Classifier(images.shape[1], classes, recipe, stride)


def train_classifier(images: Tensor, labels: Tensor, classes: int) -> Classifier:
    """The classifier of ``images`` (N, C, H, W) uint8 and ``labels`` (N,) int64, on CPU, in evaluation mode.

    Takes seconds on one core, of many images half a minute. No more of them than a batch is read at a time,
    and of a set beyond `MOST` not all. The global random state and the number of threads are left as they
    were.
    """
    recipe = recipe_for(images)
    with on_one_cpu_thread():
        torch.default_generator.manual_seed(recipe.seed)  # torch.manual_seed would seed the GPUs as well
        classifier = classifier_for(images, classes)
        step = every(len(images))
        images, labels = images[::step], labels[::step]
        optimizer = torch.optim.AdamW(classifier.parameters(), lr=recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=recipe.steps
        )
        for _ in range(recipe.steps):
            batch = torch.randint(len(images), (recipe.batch_size,))  # (B,)
            _, logits = classifier(images[batch])  # (B, K)
            loss = F.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


@torch.no_grad()
def accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    """The share of ``images`` (n, C, H, W), uint8, whose largest logit is that of ``labels`` (n,)."""
    pairs = zip(images.split(250), labels.split(250), strict=True)
    correct = sum(int((classifier(x)[1].argmax(dim=1) == y).sum()) for x, y in pairs)
    return correct / max(len(images), 1)


@contextmanager
def on_one_cpu_thread() -> Iterator[None]:
    """Inside, whatever the caller has set: one thread (their number changes the last bits), a copy of the
    random state, float32 on CPU, gradients on.
    """
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float32)
        with (
            torch.random.fork_rng(devices=[]),
            torch.device("cpu"),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
        ):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
