"""Plain ``wandb sweep`` and plain ``wandb agent`` run snlab, and W&B sees the sweep's runs as they are."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import yaml

from snlab.core.names import TABLE_SCORES, TABLE_SPECTRA
from snlab.tracking.run_folder import Run, find_runs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NORMALIZERS = ["none", "gradient_penalty(weight=1)"]


def created(wandb, wandb_server, path) -> str:
    """The id of the sweep that ``wandb sweep`` makes of a file."""
    out, err = (process := wandb("sweep", "-e", "tester", "-p", "snlab", str(path))).communicate(timeout=60)
    assert process.returncode == 0, out + err
    *_, last = wandb_server.sweeps
    assert f"wandb agent tester/snlab/{last}" in out + err
    return last


def worked_off(wandb, sweep: str) -> str:
    """What a ``wandb agent`` says that runs until the sweep has nothing more to give."""
    out, err = (process := wandb("agent", f"tester/snlab/{sweep}")).communicate(timeout=180)
    assert process.returncode == 0, out + err
    return out + err


@pytest.fixture(scope="module")
def sweep(wandb, wandb_server, sweep_file) -> tuple[str, str]:
    name = created(wandb, wandb_server, sweep_file({"model.normalizer": NORMALIZERS, "seed_everything": [7]}))
    return name, worked_off(wandb, name)


def test_the_file_of_the_four_normalizers_is_taken_as_it_is(wandb, wandb_server):
    path = ROOT / "sweeps" / "normalizers_digits.yaml"
    document = yaml.safe_load(path.read_text())
    name = created(wandb, wandb_server, path)
    assert wandb_server.sweeps[name].config == document
    axes = document["parameters"]
    wanted = list(itertools.product(axes["model.normalizer"]["values"], axes["seed_everything"]["values"]))
    given = wandb_server.sweeps[name].to_give
    assert [(each["model.normalizer"], each["seed_everything"]) for each in given] == wanted


def test_each_configuration_runs_once_with_the_right_arguments(sweep, wandb_server, folder):
    shown = wandb_server.runs_of(sweep[0])
    assert [(run.given["model.normalizer"], run.exit_code) for run in shown] == [(n, 0) for n in NORMALIZERS]
    here = {run.normalizer: run for run in find_runs(folder / "runs")}
    assert list(here) == sorted(NORMALIZERS, key=list(here).index)
    for run in shown:
        found = here[run.given["model.normalizer"]]
        assert (found.outcome, found.seed, found.generator_steps) == ("finished", 7, 3)
        assert run.display_name == found.folder.name
        assert run.summary["outcome"] == "finished"
        assert wandb_server.handed_out(run.id) == 1


def leaves(tree: dict, prefix: str = "") -> dict:
    """Every value by its dotted name; a mapping without any, which W&B drops, has none."""
    found = {}
    for name, value in tree.items():
        inner = leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else None
        found |= inner if inner is not None else {f"{prefix}{name}": value}
    return found


def test_the_configuration_at_wandb_is_the_sweeps_and_the_rest_each_once(sweep, wandb_server, folder):
    here = {run.normalizer: run for run in find_runs(folder / "runs")}
    for run in wandb_server.runs_of(sweep[0]):
        config = {name: value for name, value in run.config.items() if name != "_wandb"}
        assert {name: config[name] for name in run.given} == run.given
        assert "normalizer" not in config["model"]
        assert leaves(config) == leaves(here[run.given["model.normalizer"]].config)


def test_nothing_is_said_of_locked_or_ignored_options(sweep):
    assert "Agent received command: run" in sweep[1]
    for word in ("locked", "Ignoring", "warning", "WARNING", "Traceback"):
        assert word not in sweep[1]


def assert_shown(shown, run: Run) -> None:
    """Every number of a run folder is in the history at W&B, once."""
    logged: dict[int, dict] = {}
    for row in shown.rows:
        step = logged.setdefault(row["generator_step"], {})
        new = {name: value for name, value in row.items() if name[0] != "_" and name != "generator_step"}
        assert not step.keys() & new.keys()
        step |= new
    for step, row in run.rows.items():
        for name, value in row.items():
            if value is None:
                assert logged[step][name] == "NaN"
            elif isinstance(value, list):
                assert logged[step][name]["_type"] == "histogram"
            elif name != "generator_step":
                assert math.isclose(logged[step][name], value, rel_tol=1e-6), name


def test_each_folder_says_where_wandb_shows_its_run(sweep, wandb_server, folder):
    here = {run.normalizer: run for run in find_runs(folder / "runs")}
    for shown in wandb_server.runs_of(sweep[0]):
        url = here[shown.given["model.normalizer"]].wandb_url
        assert url is not None
        assert url.endswith(f"/tester/snlab/runs/{shown.id}")


def test_the_history_at_wandb_is_the_run_folders(sweep, wandb_server, folder):
    here = {run.normalizer: run for run in find_runs(folder / "runs")}
    for shown in wandb_server.runs_of(sweep[0]):
        assert_shown(shown, here[shown.given["model.normalizer"]])


READ = (
    "import sys; from snlab.results import frame; from snlab.results.reading import collect\n"
    "found = collect(sys.argv[1])\n"
    "print(frame(found.runs, 'step').to_csv(), [run.config for run in found.runs], found.skipped)"
)


def test_a_sweeps_runs_are_read_back_as_their_folders_are(sweep, python, folder):
    said = []
    for place in (f"wandb:tester/snlab/{sweep[0]}", "runs"):
        out, err = (process := python(READ, place)).communicate(timeout=60)
        assert process.returncode == 0, out + err
        said.append(out)
    assert said[0] == said[1]
    assert "loss/discriminator" in said[0]
    assert said[0].endswith(" []\n")


@pytest.fixture(scope="module")
def second_sweep(sweep, wandb, wandb_server, sweep_file) -> tuple[str, str]:
    """A sweep of a trial that is over already: what the other's parameters said is in its command."""
    path = sweep_file({"model.normalizer": NORMALIZERS[1:]}, "--seed_everything=7")
    name = created(wandb, wandb_server, path)
    return name, worked_off(wandb, name)


def test_a_trial_that_is_over_is_shown_and_not_run_again(second_sweep, wandb_server, folder):
    (shown,) = wandb_server.runs_of(second_sweep[0])
    assert "generator_step 1/3" not in second_sweep[1]
    assert (shown.state, shown.exit_code, shown.summary["outcome"]) == ("finished", 0, "finished")
    assert shown.config["model.normalizer"] == NORMALIZERS[1]
    assert shown.config["seed_everything"] == 7
    here = {run.normalizer: run for run in find_runs(folder / "runs")}
    assert len(here) == 2
    assert_shown(shown, here[NORMALIZERS[1]])


REPLAY = (
    "import sys; from snlab.tracking.run_folder import Run\n"
    "from snlab.tracking.wandb_mirror import WandbOptions, replay\n"
    "run = Run.read(sys.argv[1]); replay(run, WandbOptions(), run.config)"
)


def logged(shown) -> list[dict]:
    """The rows that are at W&B; of a table its size, as its file has another name each time."""
    return [
        {
            name: (value["nrows"], value["ncols"]) if name in (TABLE_SCORES, TABLE_SPECTRA) else value
            for name, value in row.items()
            if name[0] != "_"
        }
        for row in shown.rows
    ]


@pytest.mark.parametrize("lacking", [0, 1])
def test_only_what_wandb_lacks_is_shown(lacking, second_sweep, python, wandb_server, folder):
    """Handed out again, complete or cut short: the rows are there once, and no more."""
    (shown,) = wandb_server.runs_of(second_sweep[0])
    rows = logged(shown)
    if lacking:
        last = max(row["generator_step"] for row in rows)
        shown.rows[:] = [row for row in shown.rows if row["generator_step"] < last]
        shown.summary["generator_step"] = last - 1
    belongs = {"WANDB_SWEEP_ID": second_sweep[0], "WANDB_RUN_ID": shown.id}
    place = {"WANDB_ENTITY": "tester", "WANDB_PROJECT": "snlab"}
    path = str(folder / "runs" / shown.display_name)
    out, err = (process := python(REPLAY, path, **belongs, **place)).communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert logged(shown) == rows
    assert (shown.state, shown.summary["outcome"]) == ("finished", "finished")


def test_a_run_of_two_processes_is_one_run_with_the_sweeps_configuration(
    wandb, wandb_server, sweep_file, folder
):
    axes = {"model.ema_decay": [None], "model.normalizer": ["weight_norm"], "trainer.devices": [2]}
    name = created(wandb, wandb_server, sweep_file(axes, "--trainer.accelerator=cpu"))
    said = worked_off(wandb, name)
    (shown,) = wandb_server.runs_of(name)
    assert (shown.state, shown.exit_code, wandb_server.handed_out(shown.id)) == ("finished", 0, 1)
    assert shown.given == {"model.ema_decay": None, "model.normalizer": "weight_norm", "trainer.devices": 2}
    (run,) = [run for run in find_runs(folder / "runs") if run.normalizer == "weight_norm"]
    config = {key: value for key, value in shown.config.items() if key != "_wandb"}
    assert {key: config[key] for key in shown.given} == shown.given
    assert leaves(config) | {"trainer.devices": "2"} == leaves(run.config)  # in the words of its command line
    assert_shown(shown, run)
    assert "locked" not in said
    assert "Traceback" not in said


REGISTER = (
    "import sys, yaml; from snlab.sweeps.register import register; from snlab.core.errors import UserError\n"
    "try: print(register(yaml.safe_load(open(sys.argv[1])), sys.argv[2]))\n"
    "except UserError as error: sys.exit(f'snlab: {error}')"
)


def test_register_creates_the_sweep_of_a_document(python, wandb_server):
    path = ROOT / "sweeps" / "normalizers_digits.yaml"
    out, err = python(REGISTER, str(path), "somebody/something").communicate(timeout=60)
    *_, last = wandb_server.sweeps.values()
    assert out == f"somebody/something/{last.id}\n", err
    assert (last.entity, last.project) == ("somebody", "something")
    assert last.config == yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    ("target", "environment", "said"),
    [
        ("snlab", {}, "--wandb snlab: ENTITY/PROJECT is wanted"),
        ("me/snlab/abc", {}, "--wandb me/snlab/abc: ENTITY/PROJECT is wanted"),
        ("me/snlab", {"WANDB_API_KEY": "", "HOME": "/nowhere"}, "nobody is logged in to W&B"),
        ("me/snlab", {"WANDB_MODE": "offline"}, "WANDB_MODE is offline"),
    ],
)
def test_register_says_in_a_line_what_it_needs(target, environment, said, python, wandb_server):
    before = len(wandb_server.sweeps)
    path = str(ROOT / "sweeps" / "normalizers_digits.yaml")
    out, err = (process := python(REGISTER, path, target, **environment)).communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert [line for line in err.splitlines() if line.startswith("snlab:")] == [err.splitlines()[-1]]
    assert said in err.splitlines()[-1]
    assert len(wandb_server.sweeps) == before


def test_register_says_why_the_server_refuses(python, wandb_server, monkeypatch):
    monkeypatch.setattr(wandb_server, "refuse", "project is read-only")
    path = str(ROOT / "sweeps" / "normalizers_digits.yaml")
    _, err = (process := python(REGISTER, path, "me/snlab")).communicate(timeout=120)
    assert process.returncode == 1
    assert "W&B does not take the sweep" in err.splitlines()[-1]
    assert "project is read-only" in err.splitlines()[-1]
