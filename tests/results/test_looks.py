from __future__ import annotations

import subprocess
import sys

from snlab.normalizers import NORMALIZERS
from snlab.results import looks


def test_the_main_comparison_has_fixed_distinct_colours() -> None:
    assert [looks.colour(spec) for spec in looks.ORDER] == ["#666666", "#E69F00", "#009E73", "#0072B2"]


def test_other_specs_keep_their_colour_in_every_process() -> None:
    specs = ["mine", "gradient_penalty(weight=1)", "spectral_norm+gradient_penalty"]
    code = f"from snlab.results.looks import colour; print([colour(s) for s in {specs}])"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert seen == {str([looks.colour(spec) for spec in specs])}
    assert not set(looks.FIXED.values()) & {looks.colour(spec) for spec in specs}


def test_a_palette_tells_all_apart_whatever_the_order() -> None:
    specs = [*looks.ORDER, *(f"gradient_penalty(weight={w})" for w in range(8))]
    chosen = looks.palette(specs)
    assert len({look.colour for look in chosen.values()}) == len(specs) == 12
    assert chosen == looks.palette(reversed(specs))
    assert all(chosen[spec] == looks.Look(looks.colour(spec)) for spec in looks.ORDER)


def test_lines_and_markers_join_the_colours_where_those_are_hard_to_tell_or_used_up() -> None:
    specs = [*looks.ORDER, *(f"layer_norm(eps={n})" for n in range(48))]
    chosen = looks.palette(specs)
    assert len(set(chosen.values())) == 52
    assert (
        len({(look.colour, look.marker) for look in chosen.values()}) == 52
    )  # the dots differ as the lines do
    twelve = looks.palette([*looks.ORDER, *(f"layer_norm(eps={n})" for n in range(8))])
    assert len({look.line for look in twelve.values()}) >= 3


def test_a_normalizer_of_the_package_looks_the_same_in_every_figure() -> None:
    together = looks.palette([*looks.ORDER, *looks.NAMED])
    assert len(set(together.values())) == len(together) == 16
    assert len({(look.colour, look.marker) for look in together.values()}) == 16
    for name, look in together.items():
        assert (
            look == looks.palette([name])[name] == looks.palette([f"{name}(option=1)"])[f"{name}(option=1)"]
        )
        assert look == looks.palette([name, "mine", f"{name}(option=1)"])[name]
        assert look.colour == looks.colour(name)
    table_2 = [*looks.ORDER, *looks.NAMED[:5]]
    assert len({together[name].colour for name in table_2}) == 9


def test_every_registered_normalizer_and_its_variants_are_told_apart() -> None:
    specs = [spec for name in NORMALIZERS.names() for spec in (name, f"{name}(option=1)")]
    assert len(set(looks.palette(specs).values())) == len(specs)


def test_a_variant_has_its_normalizers_colour_where_the_plain_one_is_absent() -> None:
    chosen = looks.palette(["none", "gradient_penalty(weight=10)", "gradient_penalty(weight=2)"])
    assert chosen["gradient_penalty(weight=2)"].colour == looks.FIXED["gradient_penalty"]
    assert chosen["gradient_penalty(weight=10)"].colour != looks.FIXED["gradient_penalty"]


def test_labels() -> None:
    assert looks.label("spectral_norm") == "spectral norm"
    assert looks.label("gradient_penalty(weight=1)") == "gradient penalty (weight=1)"
    assert looks.label("spectral_norm+gradient_penalty") == "spectral norm + gradient penalty"
    assert looks.label("not <a> spec(") == "not <a> spec("
    assert looks.label("My_Clip(limit=0.05)") == "My_Clip(limit=0.05)"  # a class, as it is spelled


def test_numbers_sort_by_value() -> None:
    weights = [10, 2, 0.5, 1]
    specs = [f"gradient_penalty(weight={w})" for w in weights]
    assert sorted(specs, key=looks.order) == [f"gradient_penalty(weight={w})" for w in sorted(weights)]
    rates = ["lr=0.001", "lr=1e-05", "lr=0.0002", "lr=2e-05, n=1"]
    assert sorted(rates, key=looks.natural) == ["lr=1e-05", "lr=2e-05, n=1", "lr=0.0002", "lr=0.001"]


def test_order_puts_the_main_comparison_first() -> None:
    specs = ["weight_clipping", "spectral_norm", "layer_norm", "gradient_penalty", "none", "weight_norm"]
    assert sorted(specs, key=looks.order) == [*looks.ORDER, "layer_norm", "weight_clipping"]


def test_every_colour_has_a_twin_that_is_seen_on_a_dark_page() -> None:
    def luminance(colour: str) -> float:
        """WCAG 2.1's definition of relative luminance."""
        r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (r, g, b))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    colours = {*looks.FIXED.values(), *looks.OTHERS}
    twins = {colour: looks.on_dark(colour) for colour in colours}
    back = luminance("#16191c")
    assert all((luminance(twin) + 0.05) / (back + 0.05) >= 3 for twin in twins.values())
    assert len({*twins.values()}) == len(colours)
    bright = [colour for colour in colours if (luminance(colour) + 0.05) / (back + 0.05) >= 3]
    assert bright
    assert all(twins[colour] == colour for colour in bright)
