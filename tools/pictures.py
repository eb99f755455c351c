"""The README's pictures: the page of the demo, and σ of every layer under four normalizers, light and dark.

    make demo && .venv/bin/python tools/pictures.py

wants Chromium, and writes docs/pictures/{page,sigma}-{light,dark}.png from runs/demo.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from snlab.core.text import use_text_anywhere
from snlab.results.reading import collect
from snlab.results.report import report

COLOURS = 256  # of a picture
READY = "document.documentElement.dataset.ready === 'true'"
# By picture: the section that it shows, and its size in CSS pixels.
PICTURES = {"page": ("samples", (1180, 826)), "sigma": ("sigma", (1500, 545))}


def main() -> int:
    """Write the four pictures; returns the exit code."""
    use_text_anywhere()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/demo"))
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    chromium = next(filter(None, found), None)
    if chromium is None:
        print("pictures: no chromium here (Debian: chromium)", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "report.html"
        report(collect(options.runs).runs, page)
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for theme in ("light", "dark"):
            for name, (section, (width, height)) in PICTURES.items():
                size = {"width": width, "height": height}
                tab = browser.new_page(viewport=size, color_scheme=theme)
                tab.goto(page.as_uri())
                while not tab.evaluate(READY):  # its policy lets nothing wait inside of it
                    tab.wait_for_timeout(50)
                path = options.out / f"{name}-{theme}.png"
                path.write_bytes(reduced(taken(tab, section)))
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
                tab.close()
        browser.close()
    return 0


def taken(tab: Any, section: str) -> bytes:
    """What is in sight of the page, from the top of a section on, once it is drawn."""
    tab.evaluate("id => document.getElementById(id).scrollIntoView()", section)
    tab.wait_for_timeout(1000)
    across = tab.locator("main").bounding_box()
    size = tab.viewport_size
    part = {"x": across["x"], "y": 0, "width": across["width"], "height": size["height"]}
    return bytes(tab.screenshot(clip=part))


def reduced(picture: bytes) -> bytes:
    """A PNG with fewer colours."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    file = io.BytesIO()
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        file, "PNG", optimize=True
    )
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
