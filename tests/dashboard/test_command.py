"""``snlab dashboard`` with the real client, against the tests' W&B server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from snlab.cli import main
from snlab.core import names
from tests.dashboard.view_server import ViewServer

ROOT = Path(__file__).parents[2]
FREE = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}


@pytest.fixture(scope="module")
def server() -> Iterator[ViewServer]:
    with ViewServer("snlab", "theirs", read_only="theirs") as server:
        for seed in (0, 1):
            summary = {names.GENERATOR_STEP: 3, "sigma/exact/conv1": 1.0, "fid/embedded-digits": 9.0 + seed}
            server.add_run(f"a{seed}", {"model": {"normalizer": "spectral_norm"}}, summary)
        server.add_run("b", {"model.normalizer": "none"}, {"sigma/exact/fc": "NaN"}, sweep="sweep0")
        made = {"entityName": "tester", "projectName": "snlab"}
        document = {"metric": {"name": "kid/embedded-digits"}, "parameters": {"a": {"values": [1]}}}
        server.answer("mutation UpsertSweep", made | {"config": json.dumps(document)})
        yield server
    assert not server.unknown, f"the client asked what the server does not know: {server.unknown}"


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


# Several commands in one process, one after the other; tests have less patience than the client.
CODE = """
import contextlib, io, json, sys
import snlab.dashboard.server
from snlab.cli import main
snlab.dashboard.server.SECONDS = float(sys.argv[1])
ended = []
for words in json.loads(sys.argv[2]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(["dashboard", *words])
    ended.append((code, out.getvalue(), err.getvalue()))
json.dump(ended, sys.stdout)
"""


def commands(*words: str, folder: Path, environment: dict[str, str], seconds: float = 20) -> list[Done]:
    """How each command ended, its words in one string, below ``folder``."""
    split = json.dumps([line.split() for line in words])
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(seconds), split],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [Done(*ended) for ended in json.loads(done.stdout)]


@pytest.fixture
def snlab(server: ViewServer, tmp_path: Path) -> Callable[..., list[Done]]:
    """``snlab(*commands)``: how each ended, of somebody who is logged in to the server."""
    return lambda *words: commands(*words, folder=tmp_path, environment=server.environment(os.environ))


def told(done: Done) -> str:
    """The one line that a mistake is told in."""
    assert done.code == 2, done
    (line,) = done.err.splitlines()
    assert not done.out
    return line


def metrics(view: dict[str, Any]) -> set[str]:
    return {name for config in configs(view["spec"]) for name in config.get("metrics", ())}


def configs(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if isinstance(tree.get("config"), dict):
            yield tree["config"]
        for value in tree.values():
            yield from configs(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from configs(value)


@pytest.mark.slow
def test_a_second_call_updates_its_own_views_and_leaves_others_alone(snlab, server, tmp_path):
    theirs = {"id": "mine", "kind": "project-view", "project": "snlab", "name": "nw-abc-v", "spec": {"my": 1}}
    server.views["mine"] = theirs | {"title": "snlab: normalizers"}
    (first,) = snlab("tester/snlab")
    assert first.code == 0, first.err
    workspace, report = server.sent
    assert first.out.splitlines() == [
        f"{server.url}/tester/snlab?nw={workspace['name'][3:-2]}",
        f"{server.url}/tester/snlab/reports/snlab-normalizers--{report['id'].rstrip('=')}",
    ]
    assert (workspace["kind"], report["kind"]) == ("project-view", "runs")
    assert {"sigma/exact/conv1", "sigma/exact/fc", "fid/embedded-digits"} <= metrics(workspace)
    assert metrics(workspace) == metrics(report)
    charts = {config["panelDefId"] for config in configs(workspace["spec"]) if "panelDefId" in config}
    assert charts == set(server.charts)

    server.views[workspace["id"]] |= {"title": "renamed", "spec": {"changed": "by hand"}}
    server.add_run("c", {"model": {"normalizer": "layer_norm"}}, {"sigma/exact/new": 1.0})
    second, dry, linked = snlab(
        "tester/snlab",
        "tester/snlab --dry-run out/dry.json",
        "tester/snlab --docs https://a.org/docs --dry-run out/linked.json",
    )
    assert second == first
    assert len(server.views) == 3
    assert server.views["mine"] == theirs | {"title": "snlab: normalizers"}
    assert metrics(server.views[workspace["id"]]) == metrics(workspace) | {"sigma/exact/new"}
    assert server.views[workspace["id"]]["title"] == "snlab: normalizers"
    assert server.asked["CreateCustomChart"] == 6
    assert len(server.charts) == 5  # two in more colours; that of outcomes was there

    assert (dry.code, dry.out) == (0, "out/dry.json\n"), dry.err
    assert dry.err == "panels have their definitions in words; --docs URL makes links of them\n"
    assert linked.err == ""
    assert "](https://a.org/docs/metrics.md#sigma-exact)" in (tmp_path / "out/linked.json").read_text("utf-8")
    written = json.loads((tmp_path / "out/dry.json").read_text(encoding="utf-8"))
    assert [view["spec"] for view in written["views"]] == [view["spec"] for view in server.sent[2:]]
    assert [chart["spec"] for chart in written["charts"]] == [
        server.charts[f"tester/{chart['name']}"]["spec"] for chart in written["charts"]
    ]


@pytest.mark.slow
def test_a_sweep_has_its_runs_its_metric_and_views_of_its_own(snlab, server):
    before = set(server.views)
    (done,) = snlab("tester/snlab --sweep sweep0")
    assert done.code == 0, done.err
    workspace, report = server.sent[-2:]
    assert not {workspace["id"], report["id"]} & before
    assert metrics(workspace) >= {"sigma/exact/fc"}
    assert not metrics(workspace) & {"sigma/exact/conv1"}
    targets = {config["targetKey"] for config in configs(workspace["spec"]) if "targetKey" in config}
    assert targets == {"kid/embedded-digits"}


@pytest.mark.slow
def test_what_the_server_refuses_is_one_line_and_changes_nothing(snlab, server, tmp_path):
    before = dict(server.views)
    near, nobody, theirs, sweep = map(
        told, snlab("tester/snlap", "nobody/snlab", "tester/theirs", "tester/snlab --sweep nope")
    )
    assert near == "snlab: W&B shows no project tester/snlap to you; did you mean 'snlab'?"
    assert nobody == "snlab: W&B shows no project nobody/snlab to you; nor any other of nobody's"
    assert theirs.startswith("snlab: W&B does not take the dashboard of tester/theirs: ")
    assert "permission denied: tester/theirs is read-only to you" in theirs
    assert sweep.startswith("snlab: W&B shows no sweep tester/snlab/nope to you")
    assert server.views == before
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_without_a_key_there_is_a_line_and_a_dry_run_goes_on(server, tmp_path):
    home = {"HOME": str(tmp_path / "home"), "NETRC": str(tmp_path / "none"), "WANDB_BASE_URL": server.url}
    asked, dry = commands(
        "team/snlab", "team/snlab --dry-run dry.json", folder=tmp_path, environment=FREE | home
    )
    assert told(asked) == (
        "snlab: nobody is logged in to W&B; wandb login does it, and --dry-run FILE needs nobody"
    )
    assert (dry.code, dry.out) == (0, "dry.json\n"), dry.err
    assert dry.err.splitlines() == [
        "no run was looked at (nobody is logged in to W&B): what is logged by layer has one panel",
        "panels have their definitions in words; --docs URL makes links of them",
    ]
    written = json.loads((tmp_path / "dry.json").read_text(encoding="utf-8"))
    assert [view["kind"] for view in written["views"]] == ["project-view", "runs"]
    assert all(metrics(view) for view in written["views"])


@pytest.mark.slow
def test_without_an_answer_there_is_a_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, and says nothing
        for port, why in ((9, "Connection refused"), (silent.getsockname()[1], "timed out")):
            nowhere = {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": "0" * 40}
            (done,) = commands("team/snlab", folder=tmp_path, environment=FREE | nowhere, seconds=1)
            line = told(done)
            assert line.startswith(f"snlab: W&B does not answer: http://127.0.0.1:{port}: ")
            assert line.endswith(why)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["snlab"], "snlab: ENTITY/PROJECT is wanted, as in snlab dashboard my-team/snlab"),
        (["a/b/c"], "a/b/c: ENTITY/PROJECT is wanted, as in snlab dashboard my-team/snlab"),
        (["a/b", "--sweep", "a/b/c"], "--sweep a/b/c: the last part of ENTITY/PROJECT/ID is wanted"),
        (["a/b", "--docs", "here"], "--docs here: a URL is wanted, as in https://github.com/me/snlab"),
    ],
)
def test_a_target_that_is_none_is_told(words, line, capsys):
    assert main(["dashboard", *words]) == 2
    assert capsys.readouterr().err == f"snlab: {line}\n"


def test_without_the_extra_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(
        "snlab.dashboard.command.find_spec",
        lambda name: None if name == "wandb_workspaces" else find_spec(name),
    )
    assert main(["dashboard", "a/b"]) == 2
    assert "pip install 'snlab[dashboard]'" in capsys.readouterr().err
