"""What ``snlab list`` prints: the names that there are, each with a line of what it is."""

from __future__ import annotations

from collections.abc import Iterator

from snlab.core.imports import importing

KINDS = (
    "normalizers", "losses", "networks", "datasets", "distributions", "experiments", "sweeps", "tables",
    "figures", "papers",
)  # fmt: skip


def described(kind: str) -> list[str]:
    """The lines of one of KINDS."""
    if kind in ("experiments", "sweeps"):
        from snlab.core.resources import experiments, headline, sweeps

        files = experiments() if kind == "experiments" else sweeps()
        return [f"{name}: {headline(path)}" for name, path in files.items()]
    if kind == "papers":
        return list(_papers())
    if kind in ("tables", "figures"):
        from snlab.results.figures import described as figures
        from snlab.results.tables import described as tables

        made = tables() if kind == "tables" else figures()
        return [f"{name}: {text}" for name, text in sorted(made.items())]
    with importing():
        from snlab.training.registries import listed

    return listed(kind)


def _papers() -> Iterator[str]:
    """What ``snlab reproduce`` can make, and by data set from how many runs, how long each, at what cost."""
    from snlab.results.papers import paper, papers
    from snlab.sweeps.document import read_sweep

    for name in papers():
        for item in paper(name).items.values():
            made = ", ".join([*item.tables, *item.figures])
            yield f"{item.name}: {item.title} ({made})."
            for dataset, source in item.data.items():
                sweeps = [read_sweep(sweep) for sweep in source.sweeps]
                count = sum(sweep.count or 0 for sweep in sweeps)
                shared = "up to " if len(sweeps) > 1 else ""  # two sweeps may have runs in common
                cost = source.cost or "not measured: --estimate"
                yield f"    --dataset {dataset}: {shared}{count} runs ({', '.join(source.sweeps)}); {cost}"
