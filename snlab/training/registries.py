"""What can be swapped, by the kinds that ``snlab list`` knows: names alone, without what trains them."""

from __future__ import annotations

from typing import Any

from snlab.core.registry import Registry
from snlab.data import DATASETS
from snlab.losses import LOSSES
from snlab.networks import NETWORKS
from snlab.normalizers import NORMALIZERS

REGISTRIES: dict[str, Registry[Any]] = {
    "normalizers": NORMALIZERS,
    "losses": LOSSES,
    "networks": NETWORKS,
    "datasets": DATASETS,
}
