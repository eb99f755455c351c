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
    """What ``snlab reproduce`` can make, by data set from how many runs, at what cost; then missing data."""
    from snlab.data.command import how_to_get
    from snlab.results.papers import paper, papers
    from snlab.sweeps.document import read_sweep

    items = [item for name in papers() for item in paper(name).items.values()]
    missing = {name: how_to_get(name) for item in items for name in item.data}
    for item in items:
        made = ", ".join(dict.fromkeys((*item.tables, *item.figures)))
        yield f"{item.name}: {item.title} ({made})."
        for dataset, source in item.data.items():
            sweeps = [read_sweep(sweep) for sweep in source.sweeps]
            count = sum(sweep.count or 0 for sweep in sweeps)
            shared = "up to " if len(sweeps) > 1 else ""  # two sweeps may have runs in common
            cost = source.cost or "not measured: --estimate"
            here = " (not here)" if missing[dataset] else ""
            yield (
                f"    --dataset {dataset}{here}: {shared}{count} runs ({', '.join(source.sweeps)}); {cost}"
            )
    for name, how in missing.items():
        if how:
            yield f"{name} is not here: {how}"
