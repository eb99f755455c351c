"""The package as somebody installs it: a wheel, an empty environment, a folder that is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NORMALIZERS = ("none", "weight_norm", "gradient_penalty", "spectral_norm")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def snlab(tmp_path_factory: pytest.TempPathFactory, extractor_cache: Path):
    """``snlab(*arguments)``: the installed command, run outside the checkout.

    The environment holds the built wheel alone; what it depends on is read from this one's site-packages,
    whose own editable snlab is not seen, since a path added by a .pth file has its own .pth files ignored.
    """
    base = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", base, ROOT], check=True
    )
    (wheel,) = base.glob("snlab-*.whl")
    venv.create(base / "venv", with_pip=False)
    python = base / "venv/bin/python"
    (site,) = (base / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    subprocess.run(install, check=True)
    where = base / "elsewhere"
    where.mkdir()

    def run(*arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [base / "venv/bin/snlab", *arguments],
            capture_output=True,
            text=True,
            cwd=where,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            timeout=timeout,
        )

    run.where = where
    run.site = site
    return run


@pytest.fixture(scope="module")
def demo(snlab) -> subprocess.CompletedProcess[str]:
    """``snlab demo --fast``, once for all: eight short runs, half a minute on two cores."""
    whole = snlab.where / "runs/demo/report.html"
    whole.parent.mkdir(parents=True)
    whole.write_text("what a whole demo left")
    return snlab("demo", "--fast")


def test_the_installed_package_is_the_wheel(snlab):
    python = snlab.site.parents[2] / "bin/python"
    out = subprocess.run(
        [python, "-c", "import snlab; print(snlab.__file__)"], capture_output=True, text=True, cwd=snlab.where
    )
    assert Path(out.stdout.strip()).parent == snlab.site / "snlab"
    assert (snlab.site / "snlab/py.typed").exists()
    definitions = Path("docs/metrics.md")
    assert (snlab.site / "snlab" / definitions).read_bytes() == (ROOT / definitions).read_bytes()
    page = snlab.site / "snlab/results/page"
    assert {"page.html", "page.css", "main.js"} <= {path.name for path in (page / "web").iterdir()}
    assert {"uPlot.iife.min.js", "uPlot.LICENSE"} <= {path.name for path in (page / "vendor").iterdir()}


def test_lists_and_experiments_work_outside_a_checkout(snlab):
    assert "spectral_norm(" in snlab("list", "normalizers").stdout
    assert "digits_spectral_norm: " in snlab("list", "experiments").stdout
    done = snlab(
        "fit",
        "--config",
        "experiments/digits_spectral_norm.yaml",
        "--generator_steps",
        "1",
        "--model.network",
        "standard_cnn(width=0.125)",
        "--measure.fidelity",
        "none",
        "--wandb.mode",
        "disabled",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "finished at generator step 1: runs/digits-spectral_norm-seed0-"
    )


def test_the_demo_compares_four_normalizers(demo, snlab):
    assert demo.returncode == 0, demo.stdout + demo.stderr
    runs = snlab.where / "runs/demo-fast"
    summaries = [json.loads(path.read_text()) for path in runs.glob("*/summary.json")]
    assert len(summaries) == 2 * len(NORMALIZERS)
    assert {summary["outcome"] for summary in summaries} <= {"finished", "diverged"}
    for name in ("weight norm", "gradient penalty", "spectral norm", "FID", "embedded-digits"):
        assert name in demo.stdout
    last = demo.stdout.strip().splitlines()
    assert last[-1].endswith("runs/demo-fast/report.html")


def test_a_fast_demo_leaves_a_whole_ones_folder_alone(demo, snlab):
    assert [path.name for path in (snlab.where / "runs/demo").iterdir()] == ["report.html"]
    assert (snlab.where / "runs/demo/report.html").read_text() == "what a whole demo left"


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for key, value in attrs if key in ("src", "href") and value]


def test_the_report_needs_nothing_else(demo, snlab):
    text = (snlab.where / "runs/demo-fast/report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.sources == []
    assert text.count("data:image/png;base64,") >= 5


def test_a_second_demo_reuses_the_first(demo, snlab):
    stamps = {path: path.stat().st_mtime_ns for path in snlab.where.glob("runs/demo-fast/*/summary.json")}
    (gone,) = [path for path in stamps if "none-seed0" in str(path) and "digits" in str(path)]
    gone.unlink()  # as if that run had been killed
    again = snlab("demo", "--fast")
    assert again.returncode == 0, again.stderr
    assert "8 runs in runs/demo-fast, 2 at a time, 7 of them ended before" in again.stdout
    assert gone.exists()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items() if path != gone)
