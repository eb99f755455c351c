from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from snlab.data.dataset import DataSet
from snlab.data.digits import digits
from snlab.metrics.embedded import embedded_extractor
from snlab.metrics.extractors import Extractor


@pytest.fixture(scope="session")
def data() -> DataSet:
    return digits()


@pytest.fixture(scope="session")
def train(data: DataSet) -> Callable[..., Extractor]:
    """The embedded extractor of ``data``, or of another set, with its cache in the given folder."""

    def train(cache: Path | None, data: DataSet = data, name: str = "digits") -> Extractor:
        assert data.train_labels is not None
        assert data.heldout_labels is not None
        found = embedded_extractor(
            name, data.train, data.train_labels, data.classes, data.heldout, data.heldout_labels, cache
        )
        assert found.digest  # it is trained now
        return found

    return train


@pytest.fixture(scope="session")
def extractor(train: Callable[..., Extractor], tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    """Trained for real, once for all tests: some 3 s on one core."""
    return train(tmp_path_factory.mktemp("cache"))
