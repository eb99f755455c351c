from __future__ import annotations

import numpy as np
import torch
from matplotlib.image import imread

from snlab.tracking.run_folder import RunWriter
from snlab.tracking.run_folder_logger import RunFolderLogger


def test_real_samples_and_modes_lie_beside_the_generated(tmp_path):
    logger = RunFolderLogger(RunWriter(tmp_path))
    points, modes = torch.randn(5, 2), torch.eye(2)
    logger.log_samples(points, 7)
    logger.log_real(2 * points, modes)
    found = {path.name: np.load(path) for path in (tmp_path / "samples").iterdir()}
    assert found.keys() == {"000007.npy", "real.npy", "modes.npy"}
    np.testing.assert_array_equal(found["real.npy"], 2 * points.numpy())
    np.testing.assert_array_equal(found["modes.npy"], modes.numpy())


def test_real_images_are_a_grid_as_the_generated_are(tmp_path):
    logger = RunFolderLogger(RunWriter(tmp_path))
    images = torch.rand(4, 1, 8, 8) * 2 - 1
    logger.log_samples(images, 1)
    logger.log_real(images)
    folder = tmp_path / "samples"
    assert {path.name for path in folder.iterdir()} == {"000001.png", "real.png"}
    np.testing.assert_array_equal(imread(folder / "real.png"), imread(folder / "000001.png"))


def test_a_grid_has_as_many_columns_as_it_is_told(tmp_path):
    logger = RunFolderLogger(RunWriter(tmp_path))
    images = torch.linspace(-1, 1, 6).view(6, 1, 1, 1).repeat(1, 1, 8, 8)
    logger.log_samples(images, 1, 2)
    picture = imread(tmp_path / "samples/000001.png")[..., 0]
    assert picture.shape == (3 * 10 + 2, 2 * 10 + 2)  # two pixels between them and around
    np.testing.assert_allclose(picture[6::10, 6::10].flatten(), np.linspace(0, 1, 6), atol=0.01)
