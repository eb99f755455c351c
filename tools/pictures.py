"""The README's pictures, light and dark: the demo's page, and on it σ of every layer under four normalizers.

    make demo && .venv/bin/python tools/pictures.py

That of the page has its head, the first curves and the first table; what stands between them is left out. It
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
from typing import Any, NamedTuple

from PIL import Image

from snlab.core.text import use_text_anywhere
from snlab.results.reading import collect
from snlab.results.report import report

COLOURS = 256  # of a picture
READY = "document.documentElement.dataset.ready === 'true'"
MOST = 300_000  # bytes of all pictures together: they are the README's first screen
MARGIN = 24  # CSS pixels below


class Picture(NamedTuple):
    """What of the page is in a picture: its first parts, one below the other, at a width in CSS pixels.

    ``head`` says whether the page's title, what it is about and its contents are there, too.
    """

    width: int
    head: bool
    parts: tuple[str, ...]  # of each section the selector of what is shown first


PICTURES = {
    "page": Picture(1300, True, ("#scores .row", "#comparison .comparison .wide")),
    "sigma": Picture(1500, False, ("#sigma .row",)),
}
# Hides all but the parts, each with its section's heading; returns where what is left begins and ends.
LEAVE = """([head, parts]) => {
    const kept = parts.map((part) => document.querySelector(part));
    const hide = (element) => { element.style.display = "none"; };
    const main = document.querySelector("main");
    for (const part of main.children) {
        const ofHead = part.matches("header, nav");
        if (ofHead ? !head : part.matches("section") && !kept.some((one) => part.contains(one))) hide(part);
    }
    for (let one of kept)
        for (; !one.matches("section"); one = one.parentElement)
            for (let next = one.nextElementSibling; next; next = next.nextElementSibling) hide(next);
    const top = head ? 0 : document.querySelector(".bar").getBoundingClientRect().top;
    return [top, Math.max(...kept.map((one) => one.getBoundingClientRect().bottom))];
}"""


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
    sizes: dict[Path, int] = {}
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "report.html"
        report(collect(options.runs).runs, page)
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for theme in ("light", "dark"):
            for name, picture in PICTURES.items():
                size = {"width": picture.width, "height": 1600}
                tab = browser.new_page(viewport=size, color_scheme=theme)
                tab.goto(page.as_uri())
                while not tab.evaluate(READY):  # its policy lets nothing wait inside of it
                    tab.wait_for_timeout(50)
                path = options.out / f"{name}-{theme}.png"
                path.write_bytes(reduced(taken(tab, picture)))
                sizes[path] = path.stat().st_size
                print(f"{path}: {sizes[path] / 1000:.0f} kB")
                tab.close()
        browser.close()
    if sum(sizes.values()) > MOST:
        print(f"pictures: {sum(sizes.values()) / 1000:.0f} kB, more than {MOST / 1000:.0f}", file=sys.stderr)
        return 1
    return 0


def taken(tab: Any, picture: Picture) -> bytes:
    """A picture of the page, once what it shows is drawn."""
    tab.evaluate(LEAVE, [picture.head, picture.parts])
    tab.wait_for_timeout(1000)
    top, bottom = tab.evaluate(LEAVE, [picture.head, picture.parts])
    across = tab.locator("main").bounding_box()
    part = {"x": across["x"], "y": top, "width": across["width"], "height": bottom + MARGIN - top}
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
