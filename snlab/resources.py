"""Files that ship with the package: experiments and reference numbers, found from any working directory."""

from __future__ import annotations

from pathlib import Path

from snlab.errors import UserError, nearest


def experiments_folder() -> Path:
    """Where the experiment files are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "experiments"
    return inside if inside.is_dir() else package.parent / "experiments"


def experiments() -> dict[str, Path]:
    """Every experiment file by its name without suffix."""
    return {path.stem: path for path in sorted(experiments_folder().glob("*.yaml"))}


def experiment(name: str) -> Path:
    """The file that ``name`` stands for: a path as it is, else an experiment by name.

    ``experiments/NAME.yaml`` is understood from anywhere, too.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = experiments()
    stem = path.stem if path.suffix in (".yaml", ".yml") else path.name
    if path.parent.name in ("", "experiments") and stem in known:
        return known[stem]
    raise UserError(f"no experiment file {name}; {nearest(stem, known)}")


def headline(path: Path) -> str:
    """What an experiment file opens with: its first comment line, the claim."""
    first = path.read_text().split("\n", 1)[0]
    return first.removeprefix("#").strip()
