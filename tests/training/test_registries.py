"""What ``snlab list`` says: each name in a group, and where it comes from."""

from __future__ import annotations

import re

import pytest

from snlab.normalizers import NORMALIZERS, Normalizer
from snlab.normalizers.normalizer import GROUPS
from snlab.training.registries import REGISTRIES, listed

OURS = {"none", "mlp"}  # from nobody's paper


@pytest.mark.parametrize("kind", ["normalizers", "losses", "networks"])
def test_each_says_its_source(kind):
    for name in set(REGISTRIES[kind].names()) - OURS:
        summary = REGISTRIES[kind].describe(name)
        assert re.search(r"\([^()]*[A-Z][^()]* (19|20)\d\d[^()]*\)\.$", summary), summary


def test_each_normalizer_is_listed_once_in_its_group():
    lines = listed("normalizers")
    group, groups = "", {}
    for line in lines:
        name = re.match(r" *(\w+)", line)[1]
        if name in NORMALIZERS.names():
            assert name not in groups
            groups[name] = group
            assert line.startswith("  ") == bool(group)
        else:
            group = name
    assert {name: NORMALIZERS.build(name).group for name in NORMALIZERS.names()} == groups
    assert {name for name, group in groups.items() if not group} == {"none"}
    assert list(dict.fromkeys(groups.values())) == [g for g in GROUPS if g in groups.values()]


def test_one_that_names_no_group_is_listed_before_them_all(monkeypatch):
    monkeypatch.setattr(NORMALIZERS, "_factories", dict(NORMALIZERS._factories))

    @NORMALIZERS.register("mine")
    class Mine(Normalizer):
        """Mine."""

    assert "mine: Mine." in listed("normalizers")[:2]
