"""Who may import whom: downwards only, and never a sibling of the bottom row."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import snlab

ROOT = Path(snlab.__file__).parent

# From the bottom up. A module imports from rows below its own; of its own row, only what is in the same part.
ROWS = [
    {"core", "nn"},
    {"distributions"},
    {"normalizers", "networks", "losses", "data", "diagnostics", "metrics", "tracking"},
    {"gan", "results"},
    {"callbacks", "dashboard"},
    {"training"},
    {"scoring"},
    {"sweeps"},
    {"papers"},
    {"demo", "doctor", "testing", "lists"},
    {"commands"},
    {"cli"},
]
# Within core: what knows nothing, and what builds on it.
CORE = [
    {"errors", "names", "environment", "failures", "files", "text", "imports", "nesting", "machine"},
    {"modules", "progress"},
    {"registry", "checks", "distributed", "random_streams", "resources", "messages", "folders", "cached"},
]

FORBIDDEN = {
    "normalizers": {"pytorch_lightning", "wandb", "torch_fidelity"},
    "losses": {"pytorch_lightning", "wandb"},
    "diagnostics": {"pytorch_lightning", "wandb"},
    "results": {"torch", "torchvision", "pytorch_lightning", "torchmetrics", "wandb"},
    "dashboard": {"torch", "torchvision", "pytorch_lightning", "torchmetrics"},
    "nn": {"pytorch_lightning", "wandb", "numpy"},
    "networks": {"pytorch_lightning", "wandb"},
    "distributions": {"pytorch_lightning", "wandb"},
    "core": {"pytorch_lightning", "wandb", "torch_fidelity"},
}


def row(part: str) -> int:
    return next(i for i, parts in enumerate(ROWS) if part in parts)


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every dotted name that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


FILES = sorted(p for p in ROOT.rglob("*.py") if p.name not in ("__main__.py",) and p != ROOT / "__init__.py")


def test_every_part_has_its_row():
    assert {part_of(path) for path in FILES} == set().union(*ROWS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path):
    own = part_of(path)
    for name in imported(path):
        words = name.split(".")
        if words[0] == "snlab" and len(words) > 1 and words[1] in set().union(*ROWS) and words[1] != own:
            assert row(words[1]) < row(own), f"{path.relative_to(ROOT)} imports {name}"
        assert words[0] not in FORBIDDEN.get(own, set()), f"{path.relative_to(ROOT)} imports {name}"


def test_the_bottom_has_an_order_too():
    for path in (ROOT / "core").glob("*.py"):
        if path.stem == "__init__":
            continue
        (level,) = (i for i, modules in enumerate(CORE) if path.stem in modules)
        words = [name.split(".") for name in imported(path) if name.startswith("snlab.core.")]
        assert all(word[2] in set().union(*CORE[:level]) for word in words), path


def test_results_leave_torch_alone_when_they_run():
    code = (
        "import sys; import snlab.results.tables, snlab.results.figures, snlab.results.report\n"
        "import snlab.tracking.run_folder\n"
        "print(sorted(m for m in ('torch', 'pytorch_lightning', 'wandb') if m in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_normalizer_brings_nothing_of_the_harness():
    code = "import sys; from snlab import SpectralNorm; print([m for m in sys.modules if 'snlab.' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    brought = {name.split(".")[1] for name in ast.literal_eval(out)}
    assert brought <= {"normalizers", "nn", "core"}
