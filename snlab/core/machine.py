"""On what machine, and with which commit of the code, numbers were computed."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

GIT_SECONDS = 5.0  # that git may take to answer


def machine(device: torch.device, threads: int | None = None) -> str:
    """The GPU's name, or the kind of CPU and the threads: where these are the same, sums round alike.

    Args:
        device: any of this machine's.
        threads: of a CPU; None for this process's own.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {threads or torch.get_num_threads()} thread(s)"


def processor() -> str:
    """The CPU's model, as it calls itself."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def commit(folder: Path = Path(__file__).parent) -> str | None:
    """The commit that ``folder`` is checked out at, "-dirty" where tracked files differ from it.

    None where git does not track it, as where the package was installed from a wheel.
    """
    try:
        for question in (
            ["ls-files", "--error-unmatch", "."],
            ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        ):
            answer = subprocess.run(
                ["git", "-C", str(folder), *question],
                capture_output=True,
                text=True,
                timeout=GIT_SECONDS,
                check=True,
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
