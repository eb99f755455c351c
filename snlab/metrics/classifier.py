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


class Classifier(nn.Module):
    """Three 3x3 convolutions with batch norm, halving in between, the mean over space, and a dense layer.

    64 features and 24,000 parameters for grey images; takes any size from 4x4.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for c_in, c_out in itertools.pairwise((channels, *RECIPE.widths)):
            blocks += [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
            blocks += [nn.MaxPool2d(2)]
        self.body = nn.Sequential(*blocks[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(RECIPE.widths[-1], classes)
        self.to(memory_format=torch.channels_last)  # twice as fast on CPU

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 images (n, C, H, W) to features (n, 64) and logits (n, K), float32."""
        x = images.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1  # (n, C, H, W)
        features = self.body(x)  # (n, 64)
        return features, self.head(features)


def train_classifier(images: Tensor, labels: Tensor, classes: int) -> Classifier:
    """The classifier of ``images`` (N, C, H, W) uint8 and ``labels`` (N,) int64, on CPU, in evaluation mode.

    Takes seconds on one core. The global random state and the number of threads are left as they were.
    """
    with on_one_cpu_thread():
        torch.default_generator.manual_seed(RECIPE.seed)  # torch.manual_seed would seed the GPUs as well
        classifier = Classifier(images.shape[1], classes)
        optimizer = torch.optim.AdamW(classifier.parameters(), lr=RECIPE.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, RECIPE.learning_rate, total_steps=RECIPE.steps
        )
        for _ in range(RECIPE.steps):
            batch = torch.randint(len(images), (RECIPE.batch_size,))  # (B,)
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
