"""``agents``: one W&B agent a slot, brought back when it dies, stopped with its runs, and what it returns."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snlab.tracking.run_folder import find_runs
from tests.sweeps.waiting import wait_for

pytestmark = pytest.mark.slow

FOUR = {
    "model.normalizer": ["none", "spectral_norm"],
    "model.adam.lr": [0.0002, 1e30],  # the second diverges, unless weights are normalised
}
AGENTS = (
    "import sys; from rich.console import Console; from snlab.core.errors import UserError\n"
    "from snlab.sweeps.agents import agents; from snlab.sweeps.slots import slots\n"
    "try: sys.exit(agents(sys.argv[1], slots(workers=int(sys.argv[2])), Console(width=40)))\n"
    "except UserError as error: print(f'snlab: {error}'); sys.exit(2)"
)


@pytest.fixture(scope="module")
def sweep(wandb, wandb_server, sweep_file) -> Callable[..., str]:
    """``sweep(parameters, *options)``: the path of a new sweep of tiny runs."""

    def of(parameters: dict[str, list], *options: str) -> str:
        path = sweep_file(parameters, *options)
        assert wandb("sweep", "-e", "tester", "-p", "snlab", str(path)).wait(timeout=60) == 0
        *_, last = wandb_server.sweeps
        return f"tester/snlab/{last}"

    return of


@pytest.fixture(scope="module", autouse=True)
def user(at_wandb) -> dict[str, str]:
    """Sets the processes of this module's user apart from all others; they are gone when it ends."""
    at_wandb["SNLAB_TEST_USER"] = str(os.getpid())
    yield at_wandb
    for process in living(at_wandb["SNLAB_TEST_USER"]):
        os.kill(process, signal.SIGKILL)


def living(user: str) -> dict[int, str]:
    """The processes of a user of these tests, by what they run."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"SNLAB_TEST_USER={user}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended, or is not ours
            continue
    return found


def agent_of(run: str, user: str) -> int:
    """The process id of the agent that started a run: the run is in its session."""
    for process, words in living(user).items():
        environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        if f"WANDB_RUN_ID={run}".encode() in environment and " fit " in words:
            return os.getsid(process)
    raise AssertionError(f"no process of run {run}")


def read_until(process: subprocess.Popen[str], what: str) -> str:
    said = ""
    for line in process.stdout:
        said += line
        if re.search(what, line):
            return said
    raise AssertionError(said + process.stderr.read())


def wait_for_training(process: subprocess.Popen[str]) -> str:
    """Until a run of one of its agents says how far it is; returns what was said till then."""
    said = read_until(process, "logs: ")
    folder = Path(f"/proc/{process.pid}/cwd").resolve() / re.search(r"logs: (.*)", said)[1]
    wait_for(lambda: any("\ngenerator_step" in path.read_text() for path in folder.glob("*.log")))
    return said


def end_of(process: subprocess.Popen[str], said: str = "") -> str:
    out, err = process.communicate(timeout=200)
    assert "Traceback" not in err, err
    return said + out


@pytest.fixture(scope="module")
def worked_off(sweep, python, wandb_server, user) -> tuple[str, subprocess.Popen[str], str]:
    """A sweep of four, one of which diverges; one agent was killed -9 as its first run had begun."""
    path = sweep(FOUR)
    process = python(AGENTS, path, "2")
    said = read_until(process, "run .* started")
    orphan = re.search("run (.*) started", said)[1]
    os.kill(agent_of(orphan, user["SNLAB_TEST_USER"]), signal.SIGKILL)
    said = end_of(process, said)
    return path, process, said + f"\nkilled the agent of {orphan}"


def test_an_agent_that_was_killed_is_brought_back(worked_off, wandb_server):
    _, process, said = worked_off
    assert process.returncode == 0, said
    assert said.count("its agent died (exit code -9") == 1
    assert said.count("its agent is started again (1 of 3)") == 1
    assert len(wandb_server.agents) == 3


def test_all_four_are_done_once(worked_off, wandb_server, folder):
    path, _, said = worked_off
    runs = wandb_server.runs_of(path)
    assert len(runs) == 4
    assert {(run.state, run.exit_code) for run in runs} == {("finished", 0)}
    given = [(run.given["model.normalizer"], run.given["model.adam.lr"]) for run in runs]
    assert sorted(given) == sorted(itertools.product(*FOUR.values()))
    again = [run.id for run in runs if wandb_server.handed_out(run.id) > 1]
    assert len(again) == 1
    assert f"killed the agent of {again[0]}" in said
    here = {run.folder.name: run for run in find_runs(folder / "runs")}
    assert len(here) == 4
    for run in runs:
        config = here[run.display_name].config
        assert config["model"]["normalizer"] == run.given["model.normalizer"]
        assert config["model"]["adam"]["lr"] == run.given["model.adam.lr"]


def test_a_diverged_run_is_done_and_no_failure(worked_off, wandb_server, folder):
    path, _, said = worked_off
    here = {run.folder.name: run for run in find_runs(folder / "runs")}
    outcomes = {tuple(run.given.values()): run.summary["outcome"] for run in wandb_server.runs_of(path)}
    assert outcomes[1e30, "none"] == "diverged"
    assert outcomes[0.0002, "none"] == "finished"
    assert list(outcomes.values()) == [here[run.display_name].outcome for run in wandb_server.runs_of(path)]
    assert "4 run(s) done, 0 failed" in said


def test_a_run_that_was_stopped_and_went_on_has_its_rows_once(worked_off, wandb_server):
    path, *_ = worked_off
    for run in wandb_server.runs_of(path):
        losses = [row["generator_step"] for row in run.rows if "loss/discriminator" in row]
        assert losses == sorted(set(losses))


def test_each_slot_has_a_log(worked_off, wandb_server, folder):
    path, *_ = worked_off
    (logs,) = (folder / "runs" / path.replace("/", "-")).iterdir()
    texts = [(logs / f"agent-{i}.log").read_text() for i in range(2)]
    for run in wandb_server.runs_of(path):
        assert any(f"Cleaning up finished run: {run.id}" in text for text in texts)


@pytest.fixture(scope="module")
def stopped(sweep, python, user) -> tuple[str, subprocess.Popen[str], str]:
    """Two agents that Ctrl-C ended, one of whose runs was training."""
    path = sweep({"model.normalizer": ["none", "weight_norm"]}, "--generator_steps=500")
    process = python(AGENTS, path, "2")
    said = wait_for_training(process)
    process.send_signal(signal.SIGINT)
    return path, process, end_of(process, said)


def test_ctrl_c_stops_everything_and_says_how_to_go_on(stopped, user):
    path, process, said = stopped
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == f"stopped; snlab agent {path} goes on"
    wait_for(lambda: not living(user["SNLAB_TEST_USER"]), 10)


def test_what_ctrl_c_stopped_was_saved_and_is_to_be_given_again(stopped, wandb_server, folder):
    path, *_ = stopped
    runs = wandb_server.runs_of(path)
    assert 1 <= len(runs) <= 2
    assert {(run.state, run.summary["outcome"]) for run in runs} == {("preempted", "killed")}
    here = {run.folder.name: run for run in find_runs(folder / "runs")}
    for run in runs:
        found = here[run.display_name]
        step = found.summary["generator_step"]
        assert found.summary["reason"] == "stopped by SIGUSR1"
        assert (found.folder / f"checkpoints/step-{step:08d}.ckpt").exists()
    assert sorted(wandb_server.sweeps[path.rsplit("/", 1)[-1]].again) == [run.id for run in runs]


def test_nothing_outlives_snlab_agent_and_its_runs_are_saved(sweep, python, wandb_server, user, folder):
    """Killed with -9: its agents end with it, and their runs notice."""
    path = sweep({"model.normalizer": ["none"]}, "--generator_steps=501")
    process = python(AGENTS, path, "1")
    wait_for_training(process)
    process.kill()
    process.communicate()
    wait_for(lambda: not living(user["SNLAB_TEST_USER"]), 60)
    (run,) = wandb_server.runs_of(path)
    assert (run.state, run.summary["outcome"]) == ("preempted", "killed")
    here = {run.folder.name: run for run in find_runs(folder / "runs")}
    assert here[run.display_name].summary["reason"] == "stopped by SIGUSR1"


def test_two_agents_with_one_trial_train_it_once_and_both_show_it(sweep, python, wandb_server, folder):
    """How often a run is saved makes no other trial of it."""
    path = sweep({"checkpoint_every": [0.4, 0.5]}, "--model.normalizer=weight_norm", "--generator_steps=200")
    process = python(AGENTS, path, "2")
    said = end_of(process)
    assert process.returncode == 0, said
    assert said.splitlines()[-1] == "2 run(s) done, 0 failed"
    one, other = wandb_server.runs_of(path)
    assert one.display_name == other.display_name
    assert {(run.state, run.summary["outcome"]) for run in (one, other)} == {("finished", "finished")}
    logged = [[row["loss/generator"] for row in run.rows if "loss/generator" in row] for run in (one, other)]
    assert logged[0] == logged[1] != []
    texts = [path.read_text() for path in folder.glob(f"runs/{path.replace('/', '-')}/*/*.log")]
    assert sum("another process trains this run; waiting for it" in text for text in texts) == 1
    assert sum("generator_step 1/200" in text for text in texts) == 1


def test_a_failed_run_makes_the_exit_code_1_and_one_stopped_by_the_sweep_does_not(
    sweep, python, wandb_server
):
    """Two runs: one whose normalizer is unknown, and one that the sweep wants stopped, as Hyperband does."""
    path = sweep({"model.normalizer": ["spectral_nrom", "none"]}, "--generator_steps=3000")
    process = python(AGENTS, path, "1")
    said = wait_for_training(process)
    bad, good = wandb_server.runs_of(path)
    wandb_server.stopped.add(good.id)
    said = end_of(process, said)
    assert process.returncode == 1, said
    assert f"run {bad.id} failed (exit code 2, " in said
    assert f"run {good.id} stopped" in said
    assert said.splitlines()[-1] == f"1 run(s) done, 1 failed: {bad.id}"
    assert (good.state, good.summary["outcome"]) == ("failed", "killed")
    assert wandb_server.handed_out(good.id) == 1


@pytest.mark.parametrize(
    ("path", "environment", "said"),
    [
        ("abc", {}, "abc: ENTITY/PROJECT/ID is wanted"),
        ("tester/snlab/nowhere", {}, "W&B does not know the sweep tester/snlab/nowhere"),
        ("tester/snlab/nowhere", {"WANDB_API_KEY": "", "HOME": "/nowhere"}, "nobody is logged in to W&B"),
    ],
)
def test_what_cannot_start_is_said_in_a_line(path, environment, said, python, wandb_server):
    agents = len(wandb_server.agents)
    out = end_of(process := python(AGENTS, path, "1", **environment))
    assert process.returncode == 2
    assert out.startswith(f"snlab: {said}")
    assert len(out.splitlines()) == 1
    assert len(wandb_server.agents) == agents


def test_a_command_that_is_not_here_is_said_before_an_agent_starts(sweep, python, wandb_server):
    path = sweep({"model.normalizer": ["none"]})
    wandb_server.sweeps[path.rsplit("/", 1)[-1]].config["command"][0] = "snlabb"
    agents = len(wandb_server.agents)
    out = end_of(process := python(AGENTS, path, "1"))
    assert process.returncode == 2
    assert "no program 'snlabb' on this machine" in out
    assert len(wandb_server.agents) == agents
