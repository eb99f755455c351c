"""The custom charts, drawn by Vega-Lite itself: what stands in the picture is what stands in the tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import vl_convert

from snlab.dashboard.charts import customs
from snlab.results.looks import colour
from snlab.tracking.wandb_tables import SCORE_COLUMNS, SPECTRUM_COLUMNS

NORMALIZERS = ("none", "spectral_norm")
A, F = "0.0001/0.5/0.9/5", "0.001/0.9/0.999/5"


def marks(name: str, columns: Sequence[str], rows: list[list[Any]], **strings: str) -> list[dict]:
    """Every mark of a chart of these rows, each with its items, where a browser would draw them."""
    text = re.sub(r"\$\{field:(\w+)\}", r"\1", json.dumps(customs(NORMALIZERS)[name].spec))
    for key, value in strings.items():
        text = text.replace(f"${{string:{key}}}", value)
    assert "${" not in text
    spec = json.loads(text)
    spec["data"] = {"name": "wandb", "values": [dict(zip(columns, row, strict=True)) for row in rows]}
    return list(_marks(vl_convert.vegalite_to_scenegraph(spec, vl_version="5.20")))


def _marks(node: Any) -> Iterator[dict]:
    if isinstance(node, dict):
        if node.get("role") == "mark":
            yield node
        for value in node.values():
            yield from _marks(value)
    elif isinstance(node, list):
        for value in node:
            yield from _marks(value)


def items(found: list[dict], kind: str) -> list[dict]:
    return [item for mark in found if mark["marktype"] == kind for item in mark["items"]]


def score(run: str, normalizer: str, optimizer: str, outcome: str, name: str | None, value: float | None):
    row = {"run": run, "normalizer": normalizer, "optimizer": optimizer, "outcome": outcome, "score": name}
    same = {"dataset": "digits", "network": "standard_cnn", "updates": 100, "loss": "standard"}
    return [{**same, **row, "value": value}[column] for column in SCORE_COLUMNS]


ROWS = [
    score("n0", "none", A, "finished", "fid/embedded-digits", 10.0),
    score("n0", "none", A, "finished", "kid/embedded-digits", 0.5),
    score("n1", "none", A, "finished", "fid/embedded-digits", 20.0),
    score("n2", "none", F, "diverged", "fid/embedded-digits", 3.0),
    score("n3", "none", F, "diverged", None, None),
    score("s0", "spectral_norm", A, "finished", "fid/embedded-digits", 30.0),
    score("s1", "spectral_norm", "0.5/0.5/0.9/5", "finished", "fid/embedded-digits", 1000.0),
    score("s2", "spectral_norm", A, "finished", None, None),
]


def test_a_bar_is_the_mean_of_its_runs_and_a_diverged_run_has_a_cross_and_no_value():
    found = marks("settings", SCORE_COLUMNS, ROWS, title="FID", axis="FID", score="fid/")
    bars = {item["fill"]: item["height"] for item in items(found, "rect")}
    assert set(bars) == {colour("none"), colour("spectral_norm")}
    assert len(items(found, "rect")) == 2
    assert bars[colour("none")] / bars[colour("spectral_norm")] == (10 + 20) / 2 / 30
    assert len(items(found, "symbol")) == 3
    assert [item["text"] for item in items(found, "text")] == ["×", "×"]


def test_a_run_counts_once_among_outcomes():
    found = marks("outcomes", SCORE_COLUMNS, ROWS, title="ends")
    widths = Counter()
    for item in items(found, "rect"):
        widths[round(item["y"]), item["fill"]] += item["width"]
    (finished, diverged, spectral) = (widths[key] for key in sorted(widths, key=lambda key: (key[0], key[1])))
    assert finished == diverged  # of none: two each
    assert spectral == 1.5 * finished
    assert len(widths) == 3


def test_a_line_is_a_run_s_spectrum_of_a_layer():
    rows = [["n0", "none", "conv1", index, value] for index, value in ((1, 1.0), (2, 0.5), (3, 0.25))] + [
        ["s0", "spectral_norm", layer, index, 1.0] for layer in ("conv1", "conv2") for index in (1, 2)
    ]
    lines = [
        mark["items"] for mark in marks("spectra", SPECTRUM_COLUMNS, rows, title="spectra")
        if mark["marktype"] == "line"
    ]  # fmt: skip
    shown = Counter(points[0]["stroke"] for points in lines)
    assert shown == {colour("none"): 1, colour("spectral_norm"): 2}
    (falling,) = (points for points in lines if points[0]["stroke"] == colour("none"))
    height = 110
    assert [1 - point["y"] / height for point in falling] == [1.0, 0.5, 0.25]
