"""What can be swapped, by the kinds that ``snlab list`` knows: names alone, without what trains them."""

from __future__ import annotations

from typing import Any

from snlab.core.registry import Registry
from snlab.data import DATASETS
from snlab.distributions import DISTRIBUTIONS
from snlab.losses import LOSSES
from snlab.networks import NETWORKS
from snlab.normalizers import NORMALIZERS
from snlab.normalizers.normalizer import GROUPS

REGISTRIES: dict[str, Registry[Any]] = {
    "normalizers": NORMALIZERS,
    "losses": LOSSES,
    "networks": NETWORKS,
    "datasets": DATASETS,
    "distributions": DISTRIBUTIONS,
}


def listed(kind: str) -> list[str]:
    """The lines of ``snlab list``: each name with its options, what it does and where it comes from."""
    registry = REGISTRIES[kind]
    if kind != "normalizers":
        return [registry.describe(name) for name in registry.names()]
    groups = {name: NORMALIZERS.build(name).group for name in NORMALIZERS.names()}
    lines = []
    for group, what in GROUPS.items():
        members = [registry.describe(name) for name, its in groups.items() if its == group]
        if group and members:
            members = [f"{group}: {what}", *(f"  {line}" for line in members)]
        lines += members
    return lines
