"""On what numbers were computed."""

from __future__ import annotations

import platform

import torch


def machine(device: torch.device) -> str:
    """The GPU's name, or the kind of CPU and the threads: where these are the same, sums round alike."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread(s)"
