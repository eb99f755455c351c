"""Samples and spectra on the page: as they were saved where there is room, and less where there is not."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snlab.results.groups import by_setting, group
from snlab.results.page import samples, spectra
from snlab.results.reading import collect
from snlab.tracking.run_folder import Run
from tests.results.conftest import grid, points, ring_modes


def shown(runs: list[Run]) -> dict[str, Any]:
    number = {id(run): i for i, run in enumerate(runs)}
    return samples.through_training([*by_setting(group(runs)).values()], number)


def content(address: str) -> bytes:
    return base64.b64decode(address.partition(",")[2])


@pytest.fixture
def pictured(lab: Any) -> list[Run]:
    """Two normalizers, with samples at updates 10, 20, ... 100 and at the last, 200; real ones beside."""
    for place, normalizer in enumerate(("none", "spectral_norm")):
        folder = lab.write(normalizer) / "samples"
        for step in range(10, 101, 10):
            grid(folder, step, step + place)
        (folder / "000200.png").rename(folder / "real.png")
        grid(folder, 200, 5)
    return list(collect(lab.root).runs)


def test_images_are_those_of_the_run_folders(pictured: list[Run]) -> None:
    found = shown(pictured)
    (comparison,) = found["comparisons"]
    assert found["notes"] == []
    assert content(comparison["real"]["image"]) == (pictured[0].folder / "samples/real.png").read_bytes()
    for entry in comparison["runs"]:
        assert entry["steps"] == [*range(10, 101, 10), 200]
        folder = pictured[entry["run"]].folder / "samples"
        for step, sample in zip(entry["steps"], entry["samples"], strict=True):
            assert content(sample["image"]) == (folder / f"{step:06d}.png").read_bytes()


def test_without_room_images_are_compressed_then_fewer_and_that_is_said(
    pictured: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "IMAGES", 8_000)
    found = shown(pictured)
    (comparison,) = found["comparisons"]
    addresses = [sample["image"] for entry in comparison["runs"] for sample in entry["samples"]]
    assert all(address.startswith("data:image/webp;base64,") for address in addresses)
    assert sum(map(len, addresses)) < 12_000
    assert all(entry["steps"][-1] == 200 for entry in comparison["runs"])
    assert all(1 <= len(entry["steps"]) < 11 for entry in comparison["runs"])
    assert any("WebP" in note for note in found["notes"])
    assert any("of the updates at which they were left" in note for note in found["notes"])
    saved = np.asarray(Image.open(pictured[0].folder / "samples/000200.png").convert("L"), dtype=float)
    close = np.asarray(Image.open(io.BytesIO(content(addresses[-1]))).convert("L"), dtype=float)
    assert np.abs(saved - close).mean() < 12


def test_a_damaged_image_is_left_out(pictured: list[Run]) -> None:
    (pictured[0].folder / "samples/000050.png").write_bytes(b"\x89PNG, and no more")
    (comparison,) = shown(pictured)["comparisons"]
    steps = {entry["run"]: entry["steps"] for entry in comparison["runs"]}
    assert 50 not in steps[0]
    assert 50 in steps[1]


def test_points_within_the_square_and_how_many_lie_outside(lab: Any) -> None:
    folder: Path = lab.write("none", dataset="mixture(kind=ring)") / "samples"
    points(folder, 100, 3)
    cloud = np.load(folder / "000200.npy")
    cloud[:7] = 99.0
    cloud[7] = np.nan
    np.save(folder / "000200.npy", cloud)
    np.save(folder / "real.npy", np.load(folder / "000100.npy"))
    np.save(folder / "modes.npy", ring_modes())
    (comparison,) = shown(list(collect(lab.root).runs))["comparisons"]
    (entry,) = comparison["runs"]
    last = entry["samples"][-1]
    assert (last["count"], last["outside"]) == (400, 8)
    drawn = np.frombuffer(base64.b64decode(last["points"]), "<f4").reshape(-1, 2)
    assert drawn == pytest.approx(cloud[8:])
    reach = 1.1 * np.abs(np.load(folder / "real.npy")).max()
    assert comparison["reach"] == pytest.approx(reach)
    modes = np.frombuffer(base64.b64decode(comparison["modes"]["points"]), "<f4").reshape(-1, 2)
    assert modes == pytest.approx(ring_modes())


def long_spectrum(normalizer: str, seed: int, step: int, progress: float) -> dict[str, Any]:
    return {"spectrum/conv1": np.exp(-np.arange(500) / (10 + seed + step)).tolist(), "spectrum/dense": [1.0]}


def test_spectra_at_chosen_places_are_those_logged(lab: Any) -> None:
    lab.write("none", 0, metrics=long_spectrum)
    lab.write("none", 1, metrics=long_spectrum)
    runs = list(collect(lab.root).runs)
    found = spectra.spectra([group(runs)], {id(run): i for i, run in enumerate(runs)})
    (layers,) = found["comparisons"]
    assert {*layers} == {"conv1"}, "a single value is no spectrum"
    for entry in layers["conv1"]:
        values = np.frombuffer(base64.b64decode(entry["values"]), "<f4").reshape(len(entry["steps"]), -1)
        assert (entry["places"][0], entry["places"][-1], len(entry["places"])) == (1, 500, spectra.VALUES)
        steps, logged = runs[entry["run"]].series("spectrum/conv1")
        assert entry["steps"] == steps
        assert values == pytest.approx(np.array(logged)[:, np.array(entry["places"]) - 1], rel=1e-6)


def test_without_room_spectra_are_of_one_seed_at_fewer_updates_and_that_is_said(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write("none", 0, metrics=long_spectrum)
    lab.write("none", 1, metrics=long_spectrum)
    monkeypatch.setattr(spectra, "BUDGET", 4 * 65)
    runs = list(collect(lab.root).runs)
    found = spectra.spectra([group(runs)], {id(run): i for i, run in enumerate(runs)})
    (entry,) = found["comparisons"][0]["conv1"]
    assert runs[entry["run"]].seed == 0
    assert (entry["steps"][0], entry["steps"][-1], len(entry["steps"])) == (0, 200, 4)
    assert found["notes"] == [
        "spectra are of the first seed of each normalizer, for want of room", "spectra at 4 of 6 updates",
    ]  # fmt: skip
