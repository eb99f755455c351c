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
    {"errors", "names", "environment"},
    {
        "registry",
        "layers",
        "power_iteration",
        "evaluation",
        "options",
        "shares",
        "streams",
        "swept",
        "runs",
        "resources",
        "messages",
    },
    {"normalizers", "networks", "losses", "data", "diagnostics", "metrics", "checkpoints"},
    {"gan", "callbacks", "parallel", "results", "tracking"},
    {"build", "measure"},
    {"claim", "arguments"},
    {"fit", "doctor"},
    {"sweeps"},
    {"demo"},
    {"cli"},
]

FORBIDDEN = {
    "normalizers": {"pytorch_lightning", "wandb", "torch_fidelity"},
    "losses": {"pytorch_lightning", "wandb"},
    "diagnostics": {"pytorch_lightning", "wandb"},
    "results": {"torch", "torchvision", "pytorch_lightning", "torchmetrics", "wandb"},
    "runs": {"torch", "numpy", "pytorch_lightning", "wandb"},
    "networks": {"pytorch_lightning", "wandb"},
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


def test_results_leave_torch_alone_when_they_run():
    code = (
        "import sys; import snlab.results.tables, snlab.results.figures, snlab.results.report, snlab.runs\n"
        "print(sorted(m for m in ('torch', 'pytorch_lightning', 'wandb') if m in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_normalizer_brings_nothing_of_the_harness():
    code = "import sys; from snlab import SpectralNorm; print([m for m in sys.modules if 'snlab.' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    brought = {name.split(".")[1] for name in ast.literal_eval(out)}
    assert brought <= {"normalizers", *ROWS[0], *ROWS[1]}
