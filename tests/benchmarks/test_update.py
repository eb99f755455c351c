"""The contenders of the benchmark are the same algorithm, so that their times can be compared."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

import benchmarks.__main__ as benchmark
from benchmarks import overhead
from benchmarks.__main__ import main, result_file
from benchmarks.update import harness, plain
from snlab.data import DATASETS
from snlab.nn.layers import raw_weight, weight_layers
from snlab.nn.resampling import ResampledConv2d

pytestmark = pytest.mark.slow

NETWORK = "standard_cnn(width=0.03125)"


def test_spectral_norm_of_both_is_about_one_after_a_while():
    """torch's own iterates at every forward pass and ours once an update: near, and not the same."""
    dataset = DATASETS.build("digits")
    sides = [make("spectral_norm", dataset, NETWORK, 2, 16) for make in (plain, harness)]
    for thing, update in sides:
        for _ in range(20):
            update()
        thing.discriminator.eval()
        for layer in weight_layers(thing.discriminator).values():
            assert 0.99 < torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() < 1.2


@pytest.mark.parametrize("network", [NETWORK, "resnet(width=0.03125)"])
@pytest.mark.parametrize("normalizer", ["none", "weight_norm", "gradient_penalty"])
def test_both_sides_reach_the_same_weights(normalizer, network, monkeypatch):
    dataset = DATASETS.build("digits")
    (loop, theirs), (gan, ours) = (make(normalizer, dataset, network, 2, 8) for make in (plain, harness))
    # Both draw float32 from equal streams; from there on in float64, so that the sums' order is no matter.
    for thing in (loop, gan):
        monkeypatch.setattr(type(thing), "latents", doubled(type(thing).latents))
        thing.generator.double()
        thing.discriminator.double()
    sample = type(dataset).sample
    monkeypatch.setattr(type(dataset), "sample", lambda *args: (sample(*args)[0].double(), None))
    monkeypatch.setattr(torch, "rand", single_then_double(torch.rand))
    for _ in range(2):
        theirs()
        ours()
    pairs = [(raw_weight(a), raw_weight(b)) for a, b in zip(layers(loop), layers(gan), strict=True)]
    pairs += list(zip(loop.generator.parameters(), gan.generator.parameters(), strict=True))
    for wanted, got in pairs:
        torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-10)


def test_the_plain_loops_resnet_resamples_and_convolves_one_after_the_other():
    dataset = DATASETS.build("digits")
    for make, fused in ((plain, False), (harness, True)):
        thing, _ = make("none", dataset, "resnet(width=0.03125)", 1, 4)
        for network in (thing.generator, thing.discriminator):
            resampled = [m for m in network.modules() if isinstance(m, ResampledConv2d)]
            assert {m.fused for m in resampled if m.kernel_size == (3, 3)} == {fused}


def test_what_is_not_timed_is_said(capsys):
    with pytest.raises(SystemExit):
        main(["--network", "mlp"])
    assert "mlp is not timed; known: resnet, standard_cnn" in capsys.readouterr().err


def layers(thing):
    return weight_layers(thing.discriminator).values()


def doubled(draw):
    return lambda *args: draw(*args).double()


def single_then_double(rand):
    return lambda *size, dtype=None, **kwargs: rand(*size, dtype=torch.float32, **kwargs).double()


def test_a_quick_benchmark_keeps_the_whole_ones_file():
    assert result_file("2026-11-25", quick=False).name == "update-2026-11-25.json"
    assert result_file("2026-11-25", quick=True).name == "update-2026-11-25-quick.json"
    assert result_file("2026-11-25", True, "resnet").name == "update-resnet-2026-11-25-quick.json"
    on_gpu = result_file("2026-11-25", quick=True, device=torch.device("cuda"))
    assert on_gpu.name == "update-2026-11-25-cuda-quick.json"
    assert result_file("2026-11-25", quick=True).parent == result_file("2026-11-25", quick=False).parent


def test_the_command_writes_what_it_measured(tmp_path, capsys, monkeypatch):
    """With fewer steps to time, and digits, whose extractor other tests have trained."""
    monkeypatch.setattr(overhead, "lightning", partial(overhead.lightning, count=40))
    monkeypatch.setattr(benchmark, "DATASET", "digits")
    out = tmp_path / "speed.json"
    assert main(["--quick", "--rounds", "1", "--network", NETWORK, "--n-dis", "1", "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["machine"]["cores"] >= 1
    assert all(len(timings) == 1 and timings[0] > 0 for timings in result["seconds"].values())
    assert len(result["seconds"]) == 8
    said = capsys.readouterr().out
    assert said.count("wanted") == 6
    for name in ("spectral norm over none", "Lightning", "Fidelity", "together"):
        assert name in said
