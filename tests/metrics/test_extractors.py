from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_fidelity import feature_extractor_inceptionv3
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
from torch_fidelity.utils import create_feature_extractor

from snlab.core.errors import UserError
from snlab.data.dataset import DataSet
from snlab.metrics.extractors import Extractor, inception_extractor, inception_weights_path


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's folder, empty; nothing may be downloaded."""

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a test tried to download weights")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torch-fidelity publishes it, but with random weights: 95 MB."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        patch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight
            )  # the default would leave next to nothing at the last layer
    torch.save(network.state_dict(), path)
    return path


# ---- any extractor ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_features_in_batches_are_those_of_one_batch(extractor: Extractor, data: DataSet) -> None:
    images = data.train[:600]
    found = extractor.features(images)
    with torch.no_grad():
        features, logits = extractor.module(images)
    assert len(found) == 600
    assert found.extractor == "embedded-digits"
    assert torch.allclose(found.features, features, atol=1e-5)
    assert torch.allclose(found.logits, logits, atol=1e-4)
    assert not found.features.requires_grad


def test_measuring_changes_nothing_in_the_network(extractor: Extractor, data: DataSet) -> None:
    before = {name: tensor.clone() for name, tensor in extractor.module.state_dict().items()}
    extractor.features(data.train[:100])
    after = extractor.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("images", [torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 8, dtype=torch.uint8)])
def test_other_than_uint8_images_are_refused(extractor: Extractor, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8 images \(n, C, H, W\) wanted"):
        extractor.features(images)


# ---- Inception --------------------------------------------------------------------------------------------


def test_missing_weights_say_how_to_get_them(torch_home: Path) -> None:
    place = torch_home / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    assert inception_weights_path() == place
    with pytest.raises(UserError) as caught:
        inception_extractor().check()
    line = str(caught.value)
    assert "\n" not in line
    assert URL_INCEPTION_V3 in line
    assert str(place) in line
    assert "inception_weights" in line


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_text("<html>not found</html>")
    with pytest.raises(UserError, match="does not hold torch-fidelity's Inception weights") as caught:
        inception_extractor(path).check()
    assert "\n" not in str(caught.value)
    torch.save({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="does not hold torch-fidelity's Inception weights") as caught:
        inception_extractor(path).check()
    assert "\n" not in str(caught.value)


class Malice:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran code from the file')",)


def test_code_in_a_weights_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"conv.weight": Malice()}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="does not hold"):
        inception_extractor(tmp_path / "weights.pth").check()


def test_a_given_file_is_loaded_as_torch_fidelity_loads_it(
    weights: Path, data: DataSet, caplog: pytest.LogCaptureFixture
) -> None:
    state = torch.get_rng_state()
    with caplog.at_level(logging.WARNING):
        extractor = inception_extractor(weights)
    assert torch.equal(torch.get_rng_state(), state)
    assert extractor.name == "inception-v3-compat"
    assert extractor.digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "not the published Inception weights" in caplog.text

    grey = data.train[:3]
    theirs = create_feature_extractor(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        cuda=False,
        feature_extractor_weights_path=str(weights),
        verbose=False,
    )
    with torch.no_grad():
        features, logits = theirs(grey.repeat(1, 3, 1, 1))
    found = extractor.features(grey)
    assert found.features.shape == (3, 2048)
    assert found.logits.shape == (3, 1008)
    assert float(features.std()) > 1e-3
    assert torch.equal(found.features, features)
    assert torch.equal(found.logits, logits)


def test_torch_fidelity_s_own_cache_is_found(weights: Path) -> None:
    place = inception_weights_path()
    place.parent.mkdir(parents=True)
    place.symlink_to(weights)
    assert inception_extractor().digest == inception_extractor(weights).digest
