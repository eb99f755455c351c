"""A real browser for the offline page: Chromium, headless, with its network off."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from snlab.results.report import report
from snlab.tracking.run_folder import Run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="NOT TESTED: no chromium here (Debian: chromium)"
)
READY = "document.documentElement.dataset.ready === 'true'"
PATIENCE = 20  # seconds


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One Chromium for a module's tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def path(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a module's ``runs``."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    report(runs, out)
    return out


@contextmanager
def opened(browser: Any, path: Path, fragment: str = "", **options: Any) -> Iterator[Any]:
    """The page at ``path``, opened from disk; the test fails where it says a word, or asks for anything."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    context.set_offline(True)
    tab = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    tab.goto(f"{path.as_uri()}{fragment}")
    until(tab, READY)
    yield tab
    tab.wait_for_timeout(50)
    context.close()
    assert said == []
    assert set(asked) <= {"file", "data", "blob"}
    assert asked.count("file") == 1, "it is one file"


def until(tab: Any, condition: str) -> None:
    """Wait for an expression to hold: the page's policy lets nothing be evaluated inside of it."""
    from playwright.sync_api import Error

    end = time.monotonic() + PATIENCE
    holds = False
    while not holds:
        assert time.monotonic() < end, f"never: {condition}"
        with suppress(Error):  # a page that is just loading itself again
            holds = tab.evaluate(condition)
        time.sleep(0.02)


def opening_seconds(browser: Any, path: Path) -> float:
    """The processor's time of the page's own thread until it is ready, however busy the machine is."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    inspector = tab.context.new_cdp_session(tab)
    inspector.send("Performance.enable", {"timeDomain": "threadTicks"})
    tab.goto(path.as_uri())
    until(tab, READY)
    told = {entry["name"]: entry["value"] for entry in inspector.send("Performance.getMetrics")["metrics"]}
    tab.close()
    return float(told["TaskDuration"])


def pixels(tab: Any, panel: str, colour: str) -> int:
    """How many pixels of a panel's canvas have exactly that colour, #RRGGBB."""
    return int(
        tab.evaluate(
            """([panel, colour]) => {
                const canvas = document.querySelector(`[data-panel="${CSS.escape(panel)}"] canvas`);
                if (!canvas) return 0;
                const wanted = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                let found = 0;
                for (let i = 0; i < data.length; i += 4)
                    found += wanted.every((c, k) => data[i + k] === c) && data[i + 3] === 255;
                return found;
            }""",
            [panel, colour],
        )
    )


def shown(tab: Any, panel: str) -> None:
    """Scroll a panel into sight, and wait until it is drawn."""
    tab.locator(f'[data-panel="{panel}"]').scroll_into_view_if_needed()
    tab.wait_for_selector(f'[data-panel="{panel}"] canvas')
