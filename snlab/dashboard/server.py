"""W&B's server, as far as a dashboard needs it: what runs hold, views and charts. Nobody else asks it."""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from snlab.core.errors import UserError, nearest
from snlab.dashboard.charts import Custom
from snlab.dashboard.project import Project, project
from snlab.dashboard.views import WORKSPACE, Target, View

RUNS_READ = 500  # the newest, for what they logged and how their configurations are spelled
SECONDS = 20  # for an answer
CONFLICT = 409  # HTTP's status for what is there already

FIND = """
query SnlabView($entity: String, $project: String, $kind: String, $name: String) {
  project(name: $project, entityName: $entity) {
    allViews(viewType: $kind, viewName: $name) { edges { node { id name } } }
  }
}
"""
SAVE = """
mutation SnlabSaveView(
  $id: ID, $entity: String, $project: String, $kind: String, $name: String, $title: String,
  $description: String, $spec: String!
) {
  upsertView(input: {
    id: $id, entityName: $entity, projectName: $project, type: $kind, name: $name, displayName: $title,
    description: $description, spec: $spec, createdUsing: WANDB_SDK
  }) { view { id name } inserted }
}
"""


class Server:
    """A W&B server, by somebody whom it knows.

    Raises:
        UserError: here and in every method: nobody is logged in, or the server says no or nothing.
    """

    def __init__(self, target: Target) -> None:
        import wandb

        self.target = target
        try:
            with _told("W&B does not answer"):
                # A client whose question nobody answers may wait for its own service without end as it exits.
                _reach(wandb.setup().settings.base_url)
                self.api = wandb.Api(timeout=SECONDS)
        except UserError as error:
            if isinstance(error.__cause__, wandb.errors.UsageError):
                raise UserError(
                    "nobody is logged in to W&B; wandb login does it, and --dry-run FILE needs nobody"
                ) from error
            raise

    @property
    def path(self) -> str:
        return f"{self.target.entity}/{self.target.project}"

    def look(self) -> Project:
        """What the runs of the target hold; UserError for a project or a sweep that W&B does not show."""
        sweep = self.target.sweep
        filters = {"sweep": sweep} if sweep else {}
        with _told(f"W&B does not list the runs of {self.path}"):
            found = self.api.runs(self.path, filters, order="-created_at", per_page=100, lazy=False)
            try:
                runs = list(itertools.islice(found, RUNS_READ))
            except ValueError as error:  # the client's word for what the server does not show
                raise self._unknown_project() from error
        metric = self._metric_of_sweep() if sweep else None
        return project([(run.config, run.summary_metrics or {}) for run in runs], metric)

    def save(self, view: View) -> str:
        """Create the view, or make it anew where it is there already; returns its URL."""
        about = {"entity": self.target.entity, "project": self.target.project}
        about |= {"kind": view.kind, "name": view.name}
        with _told(f"W&B does not take the dashboard of {self.path}"):
            held = (self._ask(FIND, about).get("project") or {}).get("allViews") or {}
            ids = [e["node"]["id"] for e in held.get("edges", ()) if e["node"]["name"] == view.name]
            rest = {"title": view.title, "description": view.description, "spec": json.dumps(view.spec)}
            known = {"id": ids[0]} if ids else {}
            saved = self._ask(SAVE, {**about, **rest, **known})["upsertView"]["view"]
            return self._url(view, str(saved["id"]))

    def keep(self, chart: Custom) -> str:
        """Have W&B keep a chart, which it does once; returns what it calls it."""
        name = f"{self.target.entity}/{chart.name}"
        with _told(f"W&B does not take the chart {chart.name}"):
            try:
                self.api.create_custom_chart(
                    entity=self.target.entity,
                    name=chart.name,
                    display_name=chart.title,
                    spec_type="vega2",
                    access="private",
                    spec=chart.spec,
                )
            except Exception as error:
                if not _is_conflict(error):
                    raise
        return name

    def _unknown_project(self) -> UserError:
        with _told(f"W&B shows no project {self.path} to you"):
            known = [found.name for found in self.api.projects(self.target.entity)]
        hint = nearest(self.target.project, known) if known else f"nor any other of {self.target.entity}'s"
        return UserError(f"W&B shows no project {self.path} to you; {hint}")

    def _metric_of_sweep(self) -> str | None:
        """What the sweep is after, if anything."""
        path = f"{self.path}/{self.target.sweep}"
        with _told(f"W&B shows no sweep {path} to you"):
            config = self.api.sweep(path).config
        metric = config.get("metric") if isinstance(config, Mapping) else None
        return metric.get("name") if isinstance(metric, Mapping) else None

    def _url(self, view: View, id: str) -> str:
        from wandb_workspaces._graphql import get_app_url

        base = f"{get_app_url(self.api).rstrip('/')}/{self.path}"
        if view.kind == WORKSPACE:
            return f"{base}?nw={view.name.removeprefix('nw-').removesuffix('-v')}"
        return f"{base}/reports/{view.title.replace(' ', '-').replace(':', '')}--{id.rstrip('=')}"

    def _ask(self, query: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """An answer, by wandb-workspaces' way to the server: the client has no public one."""
        from wandb_workspaces._graphql import execute_graphql

        return execute_graphql(self.api, query, values)


def _reach(url: str) -> None:
    """Return if anything answers there, be it with an error; OSError if nothing does."""
    try:
        urlopen(url, timeout=SECONDS).close()
    except HTTPError:
        return
    except OSError as error:
        reason = error.reason if isinstance(error, URLError) else error
        if not isinstance(reason, ssl.SSLError):  # the client may know other certificates
            raise OSError(f"{url}: {reason}") from error


def _is_conflict(error: Exception) -> bool:
    """Whether the server has it already. Earlier clients have the status in their words alone."""
    status = getattr(getattr(error, "response", None), "http_status", None)
    return status == CONFLICT or f"HTTP {CONFLICT}" in str(error)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Inside, whatever the client raises becomes one line: ``what``, and why."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{what}: {why}") from error
