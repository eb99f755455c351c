from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from snlab.core.errors import UserError
from snlab.results.findings import findings
from snlab.results.reading import collect
from snlab.results.report import page, report
from snlab.tracking.run_folder import UNFINISHED, Run

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects images, resources and text, and holds that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def text(demo: list[Run]) -> str:
    return page(demo)


def test_everything_is_inside_the_file(text: str) -> None:
    parsed = Page(text)
    assert len(parsed.images) == 5 + 8  # the figures, and the grid of each run on digits
    for image in parsed.images:
        assert image["alt"]
        source = str(image["src"])
        assert source.startswith("data:image/png;base64,")
        assert base64.b64decode(source.split(",")[1]).startswith(b"\x89PNG")
    assert "http://" not in text
    assert "https://" not in text
    assert not parsed.tags & {"script", "link", "iframe"}
    assert "url(" not in text


def test_findings_tables_runs_and_versions_are_there(text: str, demo: list[Run]) -> None:
    shown = Page(text).text.replace("\xa0", " ")
    for sentence in findings(demo):
        assert sentence in shown
    for run in demo:
        assert run.folder.name in shown
    assert "diverged: the loss is not finite" in shown
    assert "1 unfinished" in shown
    assert "2.11.0" in shown
    assert "31.0 ± 1.4" in shown


def test_images_are_as_wide_as_the_page_can_show(text: str) -> None:
    from matplotlib.image import imread

    source = str(Page(text).images[0]["src"])
    assert imread(io.BytesIO(base64.b64decode(source.split(",")[1]))).shape[1] == 1620


def test_what_comes_from_a_configuration_is_escaped(lab: Any) -> None:
    evil = "<script>alert('x')</script>"
    lab.write(evil, 0, name="<img src=x>", network=evil, loss="&<b>", until=20)
    text = page(collect(lab.root).runs)
    assert "<script" not in text
    assert "<img src=x>" not in text
    assert "<b>" not in text
    assert "script" not in Page(text).tags


def test_what_is_missing_is_said_in_place_of_a_figure(lab: Any) -> None:
    lab.write("none", 0, outcome=UNFINISHED, metrics=lambda *_: {"loss/discriminator": 1.0})
    shown = Page(page(collect(lab.root).runs)).text
    assert "no run logged sigma/exact/LAYER" in shown


def test_written_in_one_piece(demo: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "snlab.results.report.page", lambda runs, skipped: f"σ of {len(runs)} runs, {skipped}"
    )
    out = tmp_path / "new" / "report.html"
    report(demo, out)
    assert out.read_text(encoding="utf-8") == "σ of 12 runs, ()"
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_an_unwritable_place_is_a_users_mistake(
    demo: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snlab.results.report.page", lambda runs, skipped: "")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        report(demo[:1], tmp_path / "file" / "report.html")
