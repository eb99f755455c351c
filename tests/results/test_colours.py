from __future__ import annotations

import subprocess
import sys

from snlab.results import colours


def test_the_main_comparison_has_fixed_distinct_colours() -> None:
    assert [colours.colour(spec) for spec in colours.ORDER] == ["#666666", "#E69F00", "#009E73", "#0072B2"]


def test_other_specs_keep_their_colour_in_every_process() -> None:
    specs = ["layer_norm", "gradient_penalty(weight=1)", "spectral_norm+gradient_penalty"]
    code = f"from snlab.results.colours import colour; print([colour(s) for s in {specs}])"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert seen == {str([colours.colour(spec) for spec in specs])}
    assert not set(colours.FIXED.values()) & {colours.colour(spec) for spec in specs}


def test_a_palette_tells_all_apart_whatever_the_order() -> None:
    specs = [*colours.ORDER, *(f"gradient_penalty(weight={w})" for w in range(8))]
    chosen = colours.palette(specs)
    assert len(set(chosen.values())) == len(specs)
    assert chosen == colours.palette(reversed(specs))
    assert chosen["spectral_norm"] == colours.colour("spectral_norm")


def test_labels() -> None:
    assert colours.label("spectral_norm") == "spectral norm"
    assert colours.label("gradient_penalty(weight=1)") == "gradient penalty (weight=1)"
    assert colours.label("spectral_norm+gradient_penalty") == "spectral norm + gradient penalty"
    assert colours.label("not <a> spec(") == "not <a> spec("


def test_order_puts_the_main_comparison_first() -> None:
    specs = ["weight_clipping", "spectral_norm", "layer_norm", "gradient_penalty", "none", "weight_norm"]
    assert sorted(specs, key=colours.order) == [*colours.ORDER, "layer_norm", "weight_clipping"]
