"""``snlab dashboard``: its options, and what it does."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snlab.core.errors import UserError

if TYPE_CHECKING:
    from snlab.dashboard.charts import Custom
    from snlab.dashboard.views import Target, View


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options, as ``dashboard`` reads them."""
    parser.add_argument("target", metavar="ENTITY/PROJECT", help="the W&B project whose runs are compared")
    parser.add_argument("--sweep", metavar="ID", help="of this sweep's runs alone, as a view of its own")
    parser.add_argument(
        "--dry-run", type=Path, metavar="FILE", help="write the JSON that would be sent, and send nothing"
    )
    parser.add_argument(
        "--docs",
        metavar="URL",
        help="where docs/metrics.md is read, to which panels then link: the page, or the repository "
        "(default: the package's own URL; without one, the definitions are on the dashboard)",
    )


def dashboard(options: argparse.Namespace) -> int:
    """Create or update the workspace and the report of a W&B project, and print their URLs.

    UserError, with nothing written, for a target that is none, an extra that is not installed, nobody logged
    in, and what the server refuses.
    """
    if find_spec("wandb_workspaces") is None:
        raise UserError("snlab dashboard needs wandb-workspaces: pip install 'snlab[dashboard]'")
    from snlab.dashboard.charts import customs
    from snlab.dashboard.definitions import Definitions, page_of, published
    from snlab.dashboard.project import Project
    from snlab.dashboard.server import Server
    from snlab.dashboard.views import report, workspace

    target = _target(options)
    definitions = Definitions(page_of(options.docs) or published())
    server = None
    try:
        server = Server(target)
        project = server.look()
    except UserError as error:
        if options.dry_run is None:
            raise
        why = str(error).partition(";")[0]
        print(f"no run was looked at ({why}): what is logged by layer has one panel", file=sys.stderr)
        project = Project()
    charts = customs(project.normalizers)

    def named(name: str) -> str:
        return f"{target.entity}/{charts[name].name}"

    views = [make(target, project, named, definitions) for make in (workspace, report)]
    if options.dry_run is not None:
        _write(options.dry_run, target, charts, views)
        print(options.dry_run)
    else:
        assert server is not None
        for chart in charts.values():
            server.keep(chart)
        for view in views:
            print(server.save(view))
    if definitions.url is None:
        print("panels have their definitions in words; --docs URL makes links of them", file=sys.stderr)
    return 0


def _target(options: argparse.Namespace) -> Target:
    from snlab.dashboard.views import Target

    entity, _, project = options.target.partition("/")
    if not entity or not project or "/" in project:
        raise UserError(f"{options.target}: ENTITY/PROJECT is wanted, as in snlab dashboard my-team/snlab")
    if options.sweep is not None and not re.fullmatch(r"[\w-]+", options.sweep):
        raise UserError(f"--sweep {options.sweep}: the last part of ENTITY/PROJECT/ID is wanted")
    return Target(entity, project, options.sweep)


def _write(path: Path, target: Target, charts: dict[str, Custom], views: list[View]) -> None:
    """What would be sent, in one file."""
    from snlab.results.output import write

    content: dict[str, Any] = {
        "target": asdict(target),
        "charts": [asdict(chart) for chart in charts.values()],
        "views": [asdict(view) for view in views],
    }
    write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
