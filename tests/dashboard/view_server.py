"""The tests' W&B server, as far as the client needs one to list runs, and to keep views and charts."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.sweeps.loopback import ConflictError
from tests.sweeps.wandb_server import ENTITY, SweepRun, WandbServer


class ViewServer(WandbServer):
    """Keeps ``views`` by id and ``charts`` by ENTITY/NAME.

    A view is found by its name or not at all; one that is sent with an id takes the place of that one. W&B
    answers to a second chart of one name with a conflict. ``read_only`` is a project that nobody writes to.
    """

    def __init__(self, *projects: str, read_only: str | None = None) -> None:
        super().__init__()
        self.projects = [*projects]
        self.read_only = read_only
        self.views: dict[str, dict[str, Any]] = {}
        self.charts: dict[str, dict[str, Any]] = {}
        self.sent: list[dict[str, Any]] = []  # every view, in the order of sending

    def add_run(
        self, name: str, config: dict[str, Any], summary: dict[str, Any], sweep: str | None = None
    ) -> None:
        """A run that is over, as if a client had sent it."""
        self.runs[name] = SweepRun(name, sweep, config=config, summary=summary, state="finished")

    # ---- what runs hold -------------------------------------------------------------------------------

    def _GetProjects(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802  the operation's own name
        about = {"__typename": "Project", "entityName": ENTITY, "createdAt": WHEN, "isBenchmark": False}
        nodes = [about | {"id": name, "name": name, "user": None} for name in self.projects]
        shown = nodes if given["entity"] == ENTITY else []
        return {"models": {"pageInfo": LAST_PAGE, "edges": [{"node": node} for node in shown]}}

    def _Runs(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if given["entity"] != ENTITY or given["project"] not in self.projects:
            return {"project": None}
        wanted = json.loads(given["filters"]).get("sweep")
        found = [run for run in self.runs.values() if wanted in (None, run.sweep)]
        edges = [{"node": _node(run), "cursor": run.id} for run in found]
        about = {"internalId": "1", "runCount": len(found), "readOnly": False}
        return {"project": about | {"runs": {"edges": edges, "pageInfo": LAST_PAGE}}}

    # ---- views and charts -----------------------------------------------------------------------------

    def _SnlabView(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        wanted = (given["kind"], given["project"], given["name"])
        found = [
            {"id": view["id"], "name": view["name"]}
            for view in self.views.values()
            if (view["kind"], view["project"], view["name"]) == wanted
        ]
        return {"project": {"allViews": {"edges": [{"node": node} for node in found]}}}

    def _SnlabSaveView(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if given["project"] == self.read_only:
            raise ValueError(f"permission denied: {given['entity']}/{given['project']} is read-only to you")
        inserted = not given.get("id")
        number = base64.b64encode(f"View:{len(self.views)}".encode()).decode()
        view = {**given, "id": number if inserted else given["id"], "spec": json.loads(given["spec"])}
        self.views[view["id"]] = view
        self.sent.append(dict(view))
        return {"upsertView": {"view": {"id": view["id"], "name": view["name"]}, "inserted": inserted}}

    def _CreateCustomChart(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = f"{given['entity']}/{given['chartName']}"
        if name in self.charts:
            raise ConflictError("a chart of that name is there")
        self.charts[name] = {**given, "spec": json.loads(given["spec"])}
        return {"createCustomChart": {"chart": {"id": name}}}


LAST_PAGE = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
WHEN = "2026-01-01T00:00:00Z"


def _node(run: SweepRun) -> dict[str, Any]:
    """A run as the server lists it."""
    config = {name: {"value": value} for name, value in run.config.items()}
    return {
        **dict.fromkeys(("group", "jobType", "commit", "description", "notes", "heartbeatAt")),
        "id": run.id,
        "name": run.id,
        "displayName": run.id,
        "projectId": "1",
        "tags": [],
        "sweepName": run.sweep,
        "state": run.state,
        "config": json.dumps(config),
        "readOnly": False,
        "createdAt": WHEN,
        "systemMetrics": "{}",
        "summaryMetrics": json.dumps(run.summary),
        "historyLineCount": len(run.rows),
        "user": {"name": ENTITY, "username": ENTITY},
        "historyKeys": None,
    }
