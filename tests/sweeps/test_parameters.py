"""Parameters against scipy's distributions and W&B's definitions."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from snlab.core.errors import UserError
from snlab.sweeps.document import read_sweep
from snlab.sweeps.parameters import OPTIONS, read_parameters

QUANTILES = (np.arange(2000) + 0.5) / 2000


def one(**options):
    (parameter,) = read_parameters({"x": options})
    return parameter


def draws(**options):
    parameter = one(**options)
    return np.array([parameter.draw(float(u)) for u in QUANTILES])


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({"distribution": "uniform", "min": -1, "max": 3}, stats.uniform(-1, 4)),
        ({"distribution": "log_uniform", "min": -2, "max": 1}, stats.loguniform(math.exp(-2), math.e)),
        ({"distribution": "log_uniform_values", "min": 0.01, "max": 10}, stats.loguniform(0.01, 10)),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 4}, stats.loguniform(math.exp(-4), 1)),
        ({"distribution": "inv_log_uniform_values", "min": 0.1, "max": 2}, stats.loguniform(0.1, 2)),
        ({"distribution": "normal", "mu": 2, "sigma": 0.5}, stats.norm(2, 0.5)),
        ({"distribution": "log_normal", "mu": -1, "sigma": 0.3}, stats.lognorm(0.3, scale=math.exp(-1))),
        ({"distribution": "beta", "a": 2, "b": 5}, stats.beta(2, 5)),
        ({"min": 0.0, "max": 1.5}, stats.uniform(0, 1.5)),
    ],
)  # fmt: skip
def test_a_draw_has_its_distribution(options, reference):
    assert stats.kstest(draws(**options), reference.cdf).statistic < 1e-3


@pytest.mark.parametrize("distribution", [d for d in OPTIONS if d.startswith("q_")])
def test_q_rounds_to_multiples(distribution):
    takes = sum(OPTIONS[distribution], ())
    base = {key: value for key, value in {"min": 1, "max": 3, "mu": 1, "sigma": 2}.items() if key in takes}
    rounded = draws(**base, distribution=distribution, q=0.25)
    assert np.allclose(rounded / 0.25, np.round(rounded / 0.25))
    exact = draws(**base, distribution=distribution.removeprefix("q_"))
    assert np.all(np.abs(rounded - exact) <= 0.125 + 1e-9)


WANDB = json.loads((Path(__file__).parent / "files" / "wandb_search.json").read_text())


@pytest.mark.parametrize("case", WANDB["draws"], ids=lambda case: case["parameter"]["distribution"])
def test_a_draw_is_that_of_wandbs_own_search(case):
    drawn = [one(**case["parameter"]).draw(u) for u in WANDB["quantiles"]]
    if isinstance(drawn[0], str):
        assert drawn == case["values"]
    else:
        assert drawn == pytest.approx(case["values"], rel=1e-12)


@pytest.mark.parametrize("case", WANDB["grids"], ids=lambda case: "-".join(case["parameters"]))
def test_a_grid_is_that_of_wandbs_own_search(case, tmp_path):
    """Its values, their order, and how nested parameters reach a run; cut by run_cap, it is its beginning."""
    document = {"method": "grid", "parameters": case["parameters"], "command": ["snlab", "fit", "${args}"]}
    for cap in (None, 2):
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.safe_dump(document if cap is None else document | {"run_cap": cap}))
        sweep = read_sweep(path)
        found = [as_handed_to_a_run(sweep, point) for point in sweep.configurations()]
        assert [as_json(point) for point in found] == [as_json(run) for run in case["runs"][:cap]]
        assert sweep.count == len(found)


def as_json(value) -> str:
    """As W&B's server writes it: a whole number has no point."""
    return re.sub(r"\b(\d+)\.0\b", r"\1", json.dumps(value, sort_keys=True))


def as_handed_to_a_run(sweep, point) -> dict:
    """Each parameter's value from the words that W&B's agent would write."""
    words = [word.removeprefix("--").partition("=") for word in sweep.arguments(point)]
    return {name: python(value) for name, _, value in words}


def python(text: str):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def test_whole_numbers_are_equally_likely_with_both_ends():
    values, counts = np.unique(draws(min=1, max=5), return_counts=True)
    assert values.tolist() == [1, 2, 3, 4, 5]
    assert counts.tolist() == [400] * 5
    assert all(type(one(min=1, max=5).draw(float(u))) is int for u in (0.0, 0.5, 1 - 1e-12))


def test_values_by_their_probabilities():
    drawn = draws(values=["a", "b", "c"], probabilities=[0.5, 0.2, 0.3]).tolist()
    assert [drawn.count(v) / len(drawn) for v in "abc"] == pytest.approx([0.5, 0.2, 0.3])


def test_the_values_that_a_grid_takes():
    assert values_of(values=[{"a": 1}, None]) == [{"a": 1}, None]
    assert values_of(values=[1, 1.0, True, "1", 1]) == [1, True, "1"]
    assert values_of(value=3) == [3]
    assert values_of(min=2, max=4) == [2, 3, 4]
    assert one(min=0.0, max=1.0).count is None


def values_of(**options) -> list:
    return [one(**options).value(index) for index in range(one(**options).count)]


@pytest.mark.parametrize(
    ("options", "count", "last"),
    [
        ({"min": 0, "max": 10**12 - 1}, 10**12, 10**12 - 1),
        ({"min": -(2**62), "max": 2**62}, 2**63 + 1, 2**62),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, 4, 0.75),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 2**-40}, 2**40, 1 - 2**-40),
    ],
)
def test_values_are_counted_and_never_written_out(options, count, last):
    axis = one(**options)
    assert axis.count == count
    assert axis.value(axis.count - 1) == last


def test_whole_numbers_of_any_size_are_exact():
    low, high = 2**53 + 1, 2**53 + 3
    assert {one(min=low, max=high).draw(u) for u in (0.0, 0.4, 1 - 1e-9)} == {low, low + 1, high}


def test_nested_parameters_have_dotted_names():
    nested = {"model": {"parameters": {"n_dis": {"value": 1}, "adam": {"parameters": {"lr": {"value": 2}}}}}}
    assert [p.name for p in read_parameters(nested)] == ["model.adam.lr", "model.n_dis"]


@pytest.mark.parametrize(
    "name", ["--model", "model n_dis", "model.n_dis=3", "", "1", ".model", "mödel", "a+"]
)
def test_a_name_is_one_that_wandb_takes(name):
    with pytest.raises(UserError, match="a name is made of letters"):
        read_parameters({name: {"value": 1}})


@pytest.mark.parametrize(
    "both",
    [
        {"model.n_dis": {"values": [1, 2]}, "model": {"parameters": {"n_dis": {"values": [3, 4]}}}},
        {"a.b": {"parameters": {"c": {"value": 1}}}, "a": {"parameters": {"b.c": {"value": 1}}}},
    ],
)
def test_one_name_nested_and_dotted_is_there_twice(both):
    with pytest.raises(UserError, match=r"parameter [\w.]+ is there twice"):
        read_parameters(both)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (3, "wants a mapping"),
        ({"valeus": [1]}, "has no key 'valeus'; did you mean 'values'?"),
        ({"values": []}, "a list of at least one"),
        ({"values": 3}, "a list of at least one"),
        ({}, "wants value, values, min and max, or a distribution"),
        ({"min": 1}, "wants value, values, min and max, or a distribution"),
        ({"min": 2, "max": 1}, "min must be below max"),
        ({"min": "a", "max": 1}, "min wants a number, got 'a'"),
        ({"distribution": "unifrom", "min": 0, "max": 1}, "did you mean 'uniform'?"),
        ({"distribution": "uniform", "min": 0}, "wants max"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "whole numbers"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "a min above 0"),
        ({"distribution": "normal", "sigma": 0}, "sigma is 0"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q is 0"),
        ({"distribution": "constant"}, "wants value"),
        ({"values": [1, 2], "probabilities": [1]}, "one for each of its 2 values"),
        ({"values": [1, 2], "probabilities": 5}, "wants a list, one for each of its 2 values"),
        ({"values": [1, 2], "probabilities": [-1, 2]}, "a probability is at least 0, got -1"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "add up to 1.1"),
        ({"value": 1, "values": [1, 2]}, "constant takes value, and no values"),
        ({"values": [1], "min": 0, "max": 1}, "categorical takes values, and no"),
        ({"min": 0, "max": 1, "q": 0.1}, "int_uniform takes min and max, and no q"),
        ({"distribution": "beta", "min": 1}, "beta takes a and b, and no min"),
        ({"distribution": "beta", "a": 0}, "a is 0; it must be above 0"),
        ({"distribution": ["normal"]}, "unknown distribution ['normal']"),
        ({"distribution": "log_normal", "mu": 1000}, "log_normal of these options has no finite draws"),
        ({"distribution": "normal", "mu": 1e308, "sigma": 1e308}, "no finite draws"),
        (
            {"distribution": "log_uniform", "min": 1, "max": 1000},
            "and those of log_uniform_values the values",
        ),
        ({"distribution": "uniform", "min": -1e308, "max": 1e308}, "no finite draws"),
        ({"distribution": "q_normal", "q": 1e-320}, "no finite draws"),
        ({"min": 0, "max": 2**70}, "at most 63 bits"),
        ({"min": True, "max": 2}, "min wants a number, got True"),
        ({"min": "1e-5", "max": 1}, "which is text to YAML; write 1.0e-05"),
        ({"parameters": {}}, "wants a mapping of some"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_parameter(options, words):
    with pytest.raises(UserError, match="parameter x") as caught:
        read_parameters({"x": options})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
