"""Lightning logger of a run folder: metrics and samples."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import numpy as np
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torchvision.utils import save_image

from snlab.tracking.run_folder import MODES, REAL, SAMPLES, RunWriter
from snlab.tracking.sample_pictures import image_grid


class RunFolderLogger(Logger):
    """Records metrics and samples in the run folder. Values are numbers, or lists of numbers."""

    def __init__(self, writer: RunWriter) -> None:
        super().__init__()
        self.writer = writer

    @property
    def name(self) -> str:
        return self.writer.folder.name

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """config.yaml holds them, complete, before training starts."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.writer.append_metrics(step or 0, metrics)

    @rank_zero_only
    def log_samples(self, samples: Tensor, step: int, columns: int | None = None) -> None:
        """Images (n, C, H, W) in [-1, 1] as a PNG grid; vectors (n, d) as a NumPy array."""
        self._save(samples, f"{step:06d}", columns)

    @rank_zero_only
    def log_real(self, samples: Tensor, modes: Tensor | None = None) -> None:
        """Real samples, likewise, to stand beside the generated ones; ``modes`` (K, d) of a mixture."""
        self._save(samples, REAL)
        if modes is not None:
            self._save(modes, MODES)

    def _save(self, samples: Tensor, name: str, columns: int | None = None) -> None:
        folder = self.writer.folder / SAMPLES
        folder.mkdir(parents=True, exist_ok=True)
        if samples.ndim == 4:
            save_image(image_grid(samples, columns), folder / f"{name}.png")
        else:
            np.save(folder / f"{name}.npy", samples.float().cpu().numpy())
