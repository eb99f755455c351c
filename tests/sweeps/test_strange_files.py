"""Sweep files that nobody should write: each is a plan or one line, soon, and never anything else."""

from __future__ import annotations

import random
import time

import pytest
import yaml

from snlab.core.errors import UserError
from snlab.sweeps.check import check, plan
from snlab.sweeps.document import MOST_RUNS, read_sweep

HEAD = 'method: grid\ncommand: [snlab, fit, --config=demo_ring, "${args}"]\nparameters:\n  '
TAIL = 'parameters: {model.n_dis: {values: [1, 2]}}\ncommand: [snlab, fit, --config=demo_ring, "${args}"]\n'
METRIC = "method: grid\nmetric: {name: loss/generator}\n"
HYPERBAND = f"{METRIC}early_terminate: "


def outcome(text: str, folder) -> int | str:
    """How many runs are planned, or the one line, which names the file."""
    path = folder / "strange.yaml"
    path.write_text(text, encoding="utf-8")
    line = planned(path)
    assert isinstance(line, int) or ("\n" not in line and str(path) in line)
    return line


def planned(path) -> int | str:
    try:
        sweep = read_sweep(path)
        check(sweep)
        return len(plan(sweep, path.parent / "runs"))
    except UserError as error:
        return str(error)


PARAMETERS = {
    # an axis, and how many runs or which words
    "model.n_dis: {values: [1, 1, 1]}": 1,
    "model.n_dis: {values: ['2', 2]}": 1,
    "model.n_dis: {values: [1, five]}": "value 'five'",
    "model.n_dis: {values: [true]}": "Expected a <class 'int'>",
    "model.n_dis: {values: [[1, 2]]}": "value [1, 2]",
    "model.n_dis: {values: [{a: 1}]}": "value {'a': 1}",
    "model.n_dis: {values: [null]}": "value None",
    "model.n_dis: {values: {a: 1}}": "values wants a list",
    "model.n_dis: {values: null}": "values wants a list",
    "model.n_dis: {min: null, max: 2}": "min wants a number, got None",
    "model.n_dis: {min: 1, max: 999999999}": "999,999,999 runs, and a sweep has at most 1,000; run_cap: N",
    "model.n_dis: {distribution: q_uniform, min: 0, max: 1, q: 1.0e-300}": "about 10^300 runs",
    "model.n_dis: 5": "wants a mapping such as",
    "model.n_dis:": "wants a mapping such as",
    "model.adam.lr: {values: [1e-3, 0.001]}": 1,
    "model.adam.lr: {values: [-1]}": "it must be above 0",
    "model.adam.lr: {values: ['']}": "value ''",
    "model.normalizer: {values: [null, spectral_norm]}": 2,
    "model.normalizer: {values: [no]}": "value False",
    "model.normalizer: {values: ['']}": "does not read as name(option=value, ...)",
    f"model.normalizer: {{values: ['{'(' * 500}']}}": "does not read as name(option=value, ...)",
    f"model.normalizer: {{values: ['{'x' * 5000}']}}": "unknown normalizer",
    "model.normalizer: {values: [{class_path: os.system}]}": "value {'class_path': 'os.system'}",
    "model.loss: {values: ['standard --model.n_dis=3']}": "does not read as",
    "model.loss: {values: [--help]}": "value '--help'",
    "model.network: {values: ['mlp(width=x)']}": "width wants a whole number",
    "seed_everything: {values: [-1]}": "value -1",
    "seed_everything: {values: [99999999999]}": "value 99999999999",
    "seed_everything: {values: [1.5]}": "value 1.5",
    "generator_steps: {values: [0]}": "value 0",
    "checkpoint_every: {values: [x]}": "value 'x'",
    "measure.fidelity: {values: [bogus]}": "value 'bogus'",
    "model.seed: {values: [1]}": "seed_everything",
    "trainer.max_steps: {values: [1]}": "generator_steps",
    "trainer.accelerator.help: {values: [1]}": "it trains nothing",
    "help: {values: [1]}": "it trains nothing",
    "print_config: {values: [skip_null]}": "it trains nothing",
    "resume: {values: [true]}": "resume is not for a sweep's file",
    "model.: {values: [1]}": "unknown parameter 'model.'; did you mean",
    "model.n_di: {values: [3]}": "did you mean 'model.n_dis'?",
    "Model.n_dis: {values: [3]}": "did you mean 'model.n_dis'?",
    "model: {values: [null]}": "value None",
    "model: {parameters: {adam.lr: {values: [0.1, 0.2]}}}": 2,
    "model: {parameters: {parameters: {values: [1]}}}": "unknown parameter 'model.parameters'",
    "config: {values: [nope]}": "no experiment file nope",
    "config: {values: ['']}": "no experiment file",
    "config: {values: [5, null]}": "no experiment file 5",
    "config: {values: ['{broken']}": "{broken",
    'config: {values: [\'{"model": {"n_dis": 7}}\', {model: {n_dis: 7}}]}': 1,
    "config: {values: [{}]}": 1,
    "config: {values: [{nope: 1}]}": "nope",
    "config: {values: [{model: null}]}": "value {'model': None}",
    "config: {values: [{model: {n_dis: null}}]}": "value {'model': {'n_dis': None}}",
    "config: {values: [{model: {nope: 1}}]}": "nope",
    "config: {values: [{model: {n_dis: 2}}, {model.n_dis: 3}]}": 2,
    "wandb.group: {values: ['[/red] :smile:']}": 1,
    "wandb.project: {values: [2024-01-01]}": "is a date to YAML; quote it",
    "wandb.project: {values: ['2024-01-01']}": 1,
    " ".join(["x: {values: [1, 2]}\n "] * 2): "'x' stands here and in line 4",
    "\n  ".join(f"x{i}: {{values: [1, 2]}}" for i in range(500)): "about 10^151 runs",
}


@pytest.mark.slow
@pytest.mark.parametrize("axis", PARAMETERS, ids=lambda axis: axis[:50])
def test_a_strange_parameter(axis, tmp_path):
    assert_outcome(f"{HEAD}{axis}\n", PARAMETERS[axis], tmp_path)


def assert_outcome(text: str, expected: int | str, folder) -> None:
    found = outcome(text, folder)
    if isinstance(expected, str):
        assert expected in str(found)
    else:
        assert found == expected


TOPS = {
    "method: [grid]": "unknown method ['grid']",
    "method: null": "unknown method None",
    "method: custom": "unknown method 'custom'",
    "method: grid\nrun_cap: '3'": "run_cap wants a whole number",
    "method: grid\nrun_cap: true": "run_cap wants a whole number",
    "method: grid\nrun_cap: 1": 1,
    "method: random\nrun_cap: 100000000000": "100,000,000,000 runs, and a sweep has at most 1,000; lower",
    "method: bayes\nmetric: {name: loss/generator}\nrun_cap: 5000": "5,000 runs",
    "method: bayes\nmetric: loss/generator": "metric wants a name and a goal",
    "method: grid\nmetric: {name: [a]}": "metric wants a name",
    "method: grid\nmetric: {name: ''}": "metric '' is never logged",
    "method: grid\nmetric: {name: loss/generator, goal: [a]}": "unknown goal ['a']",
    "method: grid\nmetric: {name: loss/generator, target: true}": "target wants a number, got True",
    "method: grid\nmetric: {name: loss/generator, target: .nan}": "no finite number",
    f"{HYPERBAND}hyperband": "wants type: hyperband",
    f"{HYPERBAND}{{type: [a]}}": "wants type: hyperband",
    f"{HYPERBAND}{{type: hyperband, min_iter: true}}": "min_iter wants a whole number",
    f"{HYPERBAND}{{type: hyperband, max_iter: 9, s: 1000000000}}": "s wants a whole number from 1 to 100",
    f"{HYPERBAND}{{type: hyperband, max_iter: 9, s: 2, eta: 1.0e+50}}": "eta wants a whole number",
    f"{HYPERBAND}{{type: hyperband, min_iter: 3, s: 2}}": "s goes with max_iter",
    f"{HYPERBAND}{{type: hyperband, min_iter: 3, strict: 5}}": "strict wants true or false",
    f"{HYPERBAND}{{type: hyperband, max_iter: 9, s: 2}}": 2,
    "method: grid\nname: [a]": "name wants text, got ['a']",
    "method: grid\nname: ''": "cannot name a folder",
    "method: grid\nname: ..": "cannot name a folder",
    'method: grid\nname: "a\\nb"': "cannot name a folder",
    f"method: grid\nname: {'x' * 300}": "cannot name a folder",
    "method: grid\nname: '[red]'": 2,
    "method: grid\nprogram: {a: 1}": "program wants text",
    "method: grid\ndescription: 2024-01-01": "is a date to YAML",
    "method: grid\ncontroller: 5": "controller wants a mapping",
    "method: grid\nsettings: {}": "unknown key 'settings'",
    "method: grid\nmetrics: []": "unknown key 'metrics'; did you mean 'metric'?",
    "method: grid\nproject: mine\nkind: sweep": 2,
}  # fmt: skip


@pytest.mark.parametrize("top", TOPS)
def test_a_strange_key(top, tmp_path):
    assert_outcome(f"{top}\n{TAIL}", TOPS[top], tmp_path)


# ---- many more, made by chance --------------------------------------------------------------------------

VALUES = [
    None, True, False, 0, -1, 1, 3, 2**31, 2**62, 2**70, 10**90, 0.5, -0.0, 1e-300, 1e300, "", " ", "x",
    "1e-4", "None", "null", "${args}", "${x}", "[", "{", "{}", "--help", "a=b", "ü", "[/b]", "demo_ring",
    "none", [], [1], [[]], [None], [1, "x", None], ["snlab", "fit", "${args}"], {}, {"value": 1},
    {"values": [1, 2]}, {"values": []}, {"min": 0, "max": 1}, {"min": 0, "max": 10**12}, {"parameters": {}},
    {"a": {"b": {"c": []}}}, {"distribution": "normal"}, {"model": {"n_dis": 2}},
]  # fmt: skip
NAMES = [
    "model.n_dis", "model.adam.lr", "model.normalizer", "model.ema_decay", "model", "config", "",
    "seed_everything", "wandb.mode", "trainer.devices", "model.generator_adam.lr", "data.dataset", "runs",
    "nope", "a.b.c",
]  # fmt: skip
OPTIONS = [
    "value", "values", "min", "max", "q", "mu", "sigma", "a", "b", "distribution", "probabilities",
    "parameters",
]  # fmt: skip
DISTRIBUTIONS = ["constant", "categorical", "q_uniform", "log_normal", "log_uniform", "beta", "int_uniform"]
KEYS = ["name", "method", "metric", "run_cap", "early_terminate", "command", "program", "description", "x"]


def strange(chance: random.Random) -> dict:
    """A sweep file of which a few things are wrong, perhaps."""

    def parameter(level: int = 0) -> object:
        kind = chance.randrange(8)
        if kind == 0:
            return chance.choice(VALUES)
        if kind == 1 and level < 3:
            return {"parameters": {chance.choice(NAMES): parameter(level + 1) for _ in range(2)}}
        if kind <= 4:
            return {"values": chance.choices(VALUES, k=chance.randint(1, 3))}
        options = {name: chance.choice(VALUES) for name in chance.sample(OPTIONS, chance.randint(1, 4))}
        return options | ({"distribution": chance.choice(DISTRIBUTIONS)} if kind == 7 else {})

    document: dict = {
        "method": chance.choice(["grid", "grid", "random", "bayes"]),
        "run_cap": chance.randint(1, 3),
        "metric": {"name": "loss/generator"},
        "parameters": {name: parameter() for name in chance.sample(NAMES, chance.randint(1, 3))},
        "command": ["snlab", "fit", "--config=demo_ring", "${args}"],
    }
    for _ in range(chance.choice([0, 0, 1, 2])):
        document[chance.choice(KEYS)] = chance.choice(VALUES)
    return document


def test_whatever_a_file_says_it_is_read_or_refused_in_a_line(tmp_path):
    chance = random.Random(0)
    lines = []
    for _ in range(600):
        path = tmp_path / "strange.yaml"
        path.write_text(yaml.safe_dump(strange(chance)))
        started = time.process_time()
        try:
            count = read_sweep(path).count
        except UserError as error:
            lines.append(str(error))
        else:
            assert count is None or 1 <= count <= MOST_RUNS
        assert time.process_time() - started < 1
    assert 100 < len(lines) < 600  # some of both
    assert not any("\n" in line for line in lines)


def test_whatever_is_read_is_planned_or_refused_in_a_line(tmp_path):
    """A few that read well: what they ask of snlab fit is tried out."""
    chance = random.Random(1)
    found: list[int | str] = []
    while len(found) < 10:
        text = yaml.safe_dump(strange(chance))
        path = tmp_path / "strange.yaml"
        path.write_text(text)
        try:
            read_sweep(path)
        except UserError:
            continue
        found.append(outcome(text, tmp_path))
    assert any(isinstance(line, str) for line in found)
