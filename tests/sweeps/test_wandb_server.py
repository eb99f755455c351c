"""The tests' own server does what W&B does with runs that end before they are over."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.sweeps.wandb_server import WandbServer


def started() -> tuple[WandbServer, str]:
    """A server whose one agent has been given the one run of its sweep."""
    server = WandbServer()
    config = yaml.safe_dump({"parameters": {"a": {"values": [1]}}})
    server.answer("mutation UpsertSweep", {"config": config, "entityName": "e", "projectName": "p"})
    return server, next_command(server)["run_id"]


def next_command(server: WandbServer) -> dict:
    agent = server.answer("mutation CreateAgent", {"sweep": "sweep0"})["createAgent"]["agent"]["id"]
    answer = server.answer("mutation Heartbeat", {"id": agent, "runState": "{}"})
    (command,) = json.loads(answer["agentHeartbeat"]["commands"])
    return command


@pytest.mark.parametrize(("marked", "code"), [(True, 1), (False, 1), (True, 0)])
def test_a_run_is_given_again_that_is_preempting_and_ends_non_zero(marked, code):
    server, run = started()
    server.take(run, {"preempting": marked})
    server.take(run, {"complete": True, "exitcode": code})
    again = marked and code != 0
    assert server.runs[run].state == ("preempted" if again else "finished" if code == 0 else "failed")
    command = next_command(server)
    assert command == (
        {"type": "run", "run_id": run, "program": None, "args": {"a": {"value": 1}}}
        if again
        else {"type": "exit"}
    )


@pytest.mark.parametrize(("marked", "state"), [(True, "preempted"), (False, "crashed")])
def test_a_silent_run_is_given_again_where_it_is_preempting(marked, state):
    server, run = started()
    server.take(run, {"preempting": marked})
    server.silent_seconds = 0.0
    server.answer("query Viewer", {})
    assert server.runs[run].state == state
    server.silent_seconds = 60.0
    assert next_command(server).get("run_id") == (run if marked else None)
