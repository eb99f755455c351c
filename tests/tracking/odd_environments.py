"""A script of ``test_wandb_mirror.py``: the mirror in each of several environments, a new process for each.

``odd_environments.py FOLDER CASES``, with CASES a JSON list of mappings of variables; what each is told is
written to FOLDER/N.said, its W&B run lies below FOLDER/N. W&B keeps what it read as long as a process lives.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from snlab.core.messages import plain_messages
from snlab.tracking.wandb_mirror import WandbMirror, WandbOptions


def mirror_once(folder: Path, variables: dict[str, str]) -> None:
    with Path(f"{folder}.said").open("w", encoding="utf-8") as said:
        os.dup2(said.fileno(), 2)
    os.environ.update(variables)
    with plain_messages():
        mirror = WandbMirror(WandbOptions(), folder, "abc", {"a": 1})
        mirror.log_metrics({"x": 1.0}, step=3)
        mirror.close("finished", failed=False)
    assert os.environ.items() >= variables.items()  # as the user's own code finds it


if __name__ == "__main__":
    children = []
    for number, case in enumerate(json.loads(sys.argv[2])):
        children.append(os.fork())
        if children[-1] == 0:
            mirror_once(Path(sys.argv[1]) / str(number), case)
            os._exit(0)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
