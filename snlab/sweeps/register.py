"""Making a sweep known to W&B."""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

from snlab.core.errors import UserError


def register(document: dict[str, Any], target: str) -> str:
    """Create the sweep that ``document``, a W&B sweep file as read, describes; returns ENTITY/PROJECT/ID.

    UserError where ``target`` is not ENTITY/PROJECT, nobody is logged in, or the server does not take it.
    """
    parts = target.split("/")
    if len(parts) != 2 or not all(parts):
        raise UserError(f"--wandb {target}: ENTITY/PROJECT is wanted, as in --wandb my-team/snlab")
    need_login()
    import wandb

    entity, project = parts
    with contextlib.redirect_stdout(io.StringIO()):  # what it prints is ours to say
        try:
            name = wandb.sweep(document, entity=entity, project=project)
        except Exception as error:
            raise UserError(f"W&B does not take the sweep: {reason(error)}") from error
    return f"{target}/{name}"


def need_login() -> None:
    """UserError unless W&B's server is to be asked, by somebody whom it knows."""
    import wandb

    mode = os.environ.get("WANDB_MODE", "online")
    if mode not in ("online", "shared"):
        raise UserError(f"WANDB_MODE is {mode}, but a W&B sweep lives on the server; unset it")
    try:
        known = wandb.login(prompt=False, verify=False)
    except Exception as error:
        raise UserError(f"W&B does not start: {reason(error)}") from error
    if not known:
        raise UserError("nobody is logged in to W&B; wandb login does it, or snlab sweep runs without W&B")


def reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
