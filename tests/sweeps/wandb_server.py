"""A W&B server on loopback, as far as wandb's client needs one to create a grid sweep and to run its agents.

It hands out the grid's configurations in order, keeps what reaches it of every run, and gives a run again
that was marked as preempting and then ended non-zero or fell silent, as W&B does. Any key will do.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.sweeps.loopback import Loopback

ENTITY = "tester"
TIME = "2026-01-01T00:00:00Z"
# What can be asked of a run by a client that opens it, where the run is there already.
RESUME = {"eventsTail": "[]", "eventsLineCount": 0, "logLineCount": 0, "tags": [], "notes": None}


@dataclass
class SweepRun:
    """What the server knows of a run: what was ``given`` out, the ``config`` and history ``rows`` sent."""

    id: str
    sweep: str | None = None
    given: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    display_name: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    agents: list[str] = field(default_factory=list)
    state: str = "pending"
    exit_code: int | None = None
    preempting: bool = False
    heard: float = field(default_factory=time.monotonic)
    entity: str = ENTITY
    project: str = "uncategorized"
    group: str | None = None


@dataclass
class Sweep:
    """``to_give`` are the configurations of the grid that no agent has had, in order."""

    id: str
    entity: str
    project: str
    config: dict[str, Any]
    to_give: list[dict[str, Any]]
    again: list[str] = field(default_factory=list)


def grid(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Every configuration of a grid of plain values: parameters by name, the last one fastest."""
    axes = {
        name: parameter.get("values", [parameter.get("value")])
        for name, parameter in sorted(config["parameters"].items())
    }
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


class WandbServer:
    """Started by ``with``. Its attributes may be read at any time; ``asked`` counts the operations.

    Args:
        silent_seconds: how long an agent may say nothing before it, and what it runs, counts as dead.
    """

    def __init__(self, silent_seconds: float = 60.0) -> None:
        self.silent_seconds = silent_seconds
        self.sweeps: dict[str, Sweep] = {}
        self.runs: dict[str, SweepRun] = {}
        self.agents: dict[str, str] = {}  # the sweep of each
        self.given: list[tuple[str, str]] = []  # (agent, run) in the order of handing out
        self.asked: Counter[str] = Counter()
        self.artifacts: list[tuple[str, str]] = []  # (run, type) of each
        self.unknown: list[str] = []  # queries that it had no answer to
        self.stopped: set[str] = set()  # runs that the server wants stopped
        self.refuse: str | None = None  # what to refuse the next sweep with
        self._lock = threading.RLock()
        self._http = Loopback(self)

    def __enter__(self) -> WandbServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def environment(self, base: dict[str, str]) -> dict[str, str]:
        """``base`` for a process that is logged in here, and knows no other W&B."""
        kept = {key: value for key, value in base.items() if not key.startswith("WANDB_")}
        return kept | {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "0123456789" * 4}

    def runs_of(self, sweep: str) -> list[SweepRun]:
        """The runs of a sweep, named by its id or its whole path."""
        return [run for run in self.runs.values() if run.sweep == sweep.rsplit("/", 1)[-1]]

    def handed_out(self, run: str) -> int:
        return sum(name == run for _, name in self.given)

    # ---- GraphQL --------------------------------------------------------------------------------------

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The ``data`` of a GraphQL answer; ValueError where the server says no."""
        words = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = words[1] if words else ""
        with self._lock:
            self.asked[name] += 1
            self._give_up_the_silent()
            operation = getattr(self, f"_{name}", None)
            if operation is None:
                self.unknown.append(query)
                return {}
            return operation(given)

    def _Viewer(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802  the operation's own name
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        viewer = {"id": "viewer", "entity": ENTITY, "username": ENTITY, "email": None, "flags": "{}"}
        return {"viewer": viewer | {"teams": teams}}

    _GetDefaultEntity = _Viewer

    def _ServerFeaturesQuery(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def _OrganizationCoreWeaveOrganizationID(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"entity": None}

    def _UpsertSweep(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if self.refuse is not None:
            raise ValueError(self.refuse)
        config = yaml.safe_load(given["config"])
        name = f"sweep{len(self.sweeps)}"
        entity, project = given["entityName"] or ENTITY, given["projectName"] or "uncategorized"
        self.sweeps[name] = Sweep(name, entity, project, config, grid(config))
        return {
            "upsertSweep": {
                "sweep": {"name": name, "project": _project(entity, project)},
                "configValidationWarnings": [],
            }
        }

    def _sweep(self, given: dict[str, Any]) -> dict[str, Any]:
        sweep = self.sweeps.get(given.get("sweep") or given.get("name") or "")
        if sweep is None:
            return {"project": {"sweep": None}}
        about = {
            "id": sweep.id,
            "name": sweep.id,
            "state": "RUNNING",
            "config": yaml.safe_dump(sweep.config),
            "runs": {"edges": []},
        }
        return {"project": {**_project(sweep.entity, sweep.project), "sweep": about}}

    _SweepWithRuns = _GetSweep = _sweep

    def _CreateAgent(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        agent = f"agent{len(self.agents)}"
        self.agents[agent] = given["sweep"]
        return {"createAgent": {"agent": {"id": agent}}}

    def _Heartbeat(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        agent, running = given["id"], json.loads(given["runState"])
        for run in running:
            self.runs[run].heard = time.monotonic()
        stops = [{"type": "stop", "run_id": run} for run in running if run in self.stopped]
        commands = stops if running else [self._next(agent)]
        return {"agentHeartbeat": {"agent": {"id": agent}, "commands": json.dumps(commands)}}

    def _next(self, agent: str) -> dict[str, Any]:
        sweep = self.sweeps[self.agents[agent]]
        if sweep.again:
            run = self.runs[sweep.again.pop(0)]
        elif sweep.to_give:
            given = sweep.to_give.pop(0)
            run = SweepRun(f"{sweep.id}run{len(self.runs)}", sweep.id, given, config=given)
            self.runs[run.id] = run
        else:
            return {"type": "exit"}
        run.agents.append(agent)
        run.state, run.preempting, run.heard = "pending", False, time.monotonic()
        self.given.append((agent, run.id))
        return {
            "type": "run",
            "run_id": run.id,
            "program": sweep.config.get("program"),
            "args": _valued(run.given),
        }

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        run = self.runs.get(given["name"])
        project = _project(given["entity"] or ENTITY, given["project"])
        bucket = None
        if run is not None:
            bucket = RESUME | {
                "id": run.id,
                "name": run.id,
                "displayName": run.display_name,
                "summaryMetrics": json.dumps(run.summary),
                "config": json.dumps(_valued(run.config)),
                "historyLineCount": len(run.rows),
                "historyTail": json.dumps([json.dumps(row) for row in run.rows[-1:]]),
                "wandbConfig": json.dumps({"t": 1}) if run.rows else None,
            }
        return {"model": {**project, "bucket": bucket}}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = given.get("name") or given["id"]
        inserted = name not in self.runs
        run = self.runs.setdefault(name, SweepRun(name))
        run.sweep = given.get("sweep") or run.sweep
        run.entity, run.project = given.get("entity") or run.entity, given.get("project") or run.project
        run.group = given.get("groupName") or run.group
        run.display_name = given.get("displayName") or run.display_name
        run.state, run.exit_code, run.heard = "running", None, time.monotonic()
        if given.get("config"):
            run.config = {name: item["value"] for name, item in json.loads(given["config"]).items()}
        bucket = {
            "id": run.id,
            "name": run.id,
            "displayName": run.display_name,
            "description": None,
            "config": json.dumps(_valued(run.config)),
            "sweepName": run.sweep,
            "project": _project(given.get("entity") or ENTITY, given.get("project") or "uncategorized"),
            "historyLineCount": len(run.rows),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _Runs(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """The runs of a project, a page at a time: a cursor is the number of those before."""
        found = [
            run for run in self.runs.values()
            if (run.entity, run.project) == (given["entity"], given["project"])
            and _passes(run, json.loads(given.get("filters") or "{}"))
        ]  # fmt: skip
        if not any((r.entity, r.project) == (given["entity"], given["project"]) for r in self.runs.values()):
            return {"project": None}
        start = int(given.get("cursor") or 0)
        end = start + given["perPage"]
        edges = [{"node": _shown(run), "cursor": str(end)} for run in found[start:end]]
        page = {"endCursor": str(end), "hasNextPage": end < len(found)}
        about = {"internalId": "1", "runCount": len(found), "readOnly": False}
        return {"project": about | {"runs": {"edges": edges, "pageInfo": page}}}

    def _RunHistoryKeys(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"project": {"run": {"historyKeys": _shown(self.runs[given["name"]])["historyKeys"]}}}

    def _RunParquetHistory(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}

    def _HistoryPage(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        wanted = range(int(given["minStep"]), int(given["maxStep"]))
        rows = [row for row in self.runs[given["run"]].rows if row["_step"] in wanted]
        return {"project": {"run": {"history": [_json(row) for row in rows[: given["pageSize"]]]}}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _ArtifactType(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"project": {"artifact": None}}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        wanted = given["input"]
        self.artifacts.append((wanted["runName"], wanted["artifactTypeName"]))
        about = {"id": f"artifact{len(self.artifacts)}", "state": "PENDING"}
        return {"createArtifact": {"artifact": about | {"artifactSequence": {"latestArtifact": None}}}}

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        file = {"id": "file", "name": given["name"], "displayName": given["name"]}
        file |= {"uploadUrl": f"{self.url}/upload/manifest", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "manifest", "file": file}}}

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        nodes = [
            {
                "id": one["name"],
                "name": one["name"],
                "displayName": one["name"],
                "storagePath": one["name"],
                "uploadUrl": f"{self.url}/upload/{one['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": one["artifactID"]},
            }
            for one in given["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "digest"}}}

    # ---- the file stream ------------------------------------------------------------------------------

    def take(self, name: str, sent: dict[str, Any]) -> dict[str, Any]:
        """What a run sends while it goes: rows of its history, its summary, and how it ended."""
        with self._lock:
            run = self.runs[name]
            run.heard = time.monotonic()
            files = sent.get("files") or {}
            history = files.get("wandb-history.jsonl")
            if history:
                run.rows[history["offset"] :] = [json.loads(line) for line in history["content"]]
            for line in files.get("wandb-summary.json", {}).get("content", []):
                run.summary |= json.loads(line)
            run.preempting = run.preempting or bool(sent.get("preempting"))
            if sent.get("complete"):
                self._ended(run, int(sent["exitcode"]))
            return {"stopped": name in self.stopped}

    def _ended(self, run: SweepRun, code: int | None) -> None:
        run.exit_code = code
        run.state = "finished" if code == 0 else "failed" if code is not None else "crashed"
        if run.preempting and code != 0 and run.sweep in self.sweeps and run.id not in self.stopped:
            run.state = "preempted"
            self.sweeps[run.sweep].again.append(run.id)

    def _give_up_the_silent(self) -> None:
        for run in self.runs.values():
            silent = time.monotonic() - run.heard > self.silent_seconds
            if silent and run.state in ("pending", "running"):
                self._ended(run, None)


def _valued(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration as W&B spells it."""
    return {name: {"value": value} for name, value in config.items()}


def _json(value: Any) -> str:
    """As W&B writes it: what is not finite in words."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(v) for key, v in value.items()}
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return value

    return json.dumps(finite(value))


def _shown(run: SweepRun) -> dict[str, Any]:
    """A run as a client is told of it."""
    last = max((row["_step"] for row in run.rows), default=-1)
    return {
        "id": run.id, "projectId": "1", "name": run.id, "displayName": run.display_name, "tags": [],
        "sweepName": run.sweep, "state": run.state, "config": json.dumps(_valued(run.config)),
        "group": run.group, "jobType": None, "commit": None, "readOnly": False, "createdAt": TIME,
        "heartbeatAt": TIME, "description": None, "notes": None, "systemMetrics": "{}",
        "summaryMetrics": _json(run.summary), "historyLineCount": len(run.rows),
        "user": {"name": ENTITY, "username": ENTITY}, "historyKeys": {"lastStep": last, "keys": {}},
    }  # fmt: skip


def _passes(run: SweepRun, filters: dict[str, Any]) -> bool:
    """Whether a run is one of those that a client asks for, by its sweep, group or name."""
    told = {"sweep": run.sweep, "group": run.group, "name": run.id}
    return all(told[key] == value for key, value in filters.items())


def _project(entity: str, project: str) -> dict[str, Any]:
    return {"id": project, "name": project, "entity": {"id": entity, "name": entity}}
