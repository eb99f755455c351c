"""Files that ship with the package, wherever one works: experiments, sweeps, papers' numbers, definitions."""

from __future__ import annotations

from pathlib import Path

from snlab.core.errors import UserError, nearest


def experiments() -> dict[str, Path]:
    """Every experiment file by its name without suffix."""
    return _files("experiments")


def experiment(name: str) -> Path:
    """The file that ``name`` stands for: a path as it is, else an experiment by name.

    ``experiments/NAME.yaml`` is understood from anywhere, too.
    """
    return _file("experiments", name)


def sweeps() -> dict[str, Path]:
    """Every sweep file by its name without suffix."""
    return _files("sweeps")


def sweep_file(name: str) -> Path:
    """As `experiment`, of a sweep."""
    return _file("sweeps", name)


def papers() -> dict[str, Path]:
    """Every file of a paper's reference numbers, by its name without suffix."""
    return _files("experiments/papers")


def definitions() -> str:
    """The page that says what a run logs, docs/metrics.md, as it is written."""
    package = Path(__file__).parent.parent
    inside = package / "docs/metrics.md"
    path = inside if inside.is_file() else package.parent / "docs/metrics.md"
    return path.read_text(encoding="utf-8")


def headline(path: Path) -> str:
    """What a file opens with: its first comment line, the claim."""
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.removeprefix("#").strip()


def _files(kind: str) -> dict[str, Path]:
    """Files of a kind: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = sorted((package / kind).glob("*.yaml"))
    return {path.stem: path for path in inside or sorted((package.parent / kind).glob("*.yaml"))}


def _file(kind: str, name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    known = _files(kind)
    stem = path.stem if path.suffix in (".yaml", ".yml") else path.name
    if path.parent.name in ("", kind) and stem in known:
        return known[stem]
    raise UserError(f"no {kind.removesuffix('s')} file {name}; {nearest(stem, known)}")
