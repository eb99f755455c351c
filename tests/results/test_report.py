"""The offline page as a file: everything is inside, and its data is that of the runs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.results.findings import findings
from snlab.results.page.document import document, safe_json
from snlab.results.page.samples import MIXTURE_STD, density
from snlab.results.reading import collect
from snlab.results.report import page, report, runs_of
from snlab.results.tables import make
from snlab.tracking.run_folder import UNFINISHED, Run
from tests.results.conftest import EXTRACTOR, ring_modes

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects scripts, the data and the tags, and holds that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[str] = []
        self.policy = ""
        self.feed(text)
        assert self.open == []
        self.data: dict[str, Any] = json.loads(
            next(text for attrs, text in self.scripts if attrs.get("id") == "data")
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "meta" and dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)


@pytest.fixture(scope="module")
def parsed(demo: list[Run]) -> Page:
    return Page(page(demo))


def numbers(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_everything_is_inside_the_file(parsed: Page, demo: list[Run]) -> None:
    assert parsed.tags.count("script") == 2
    assert all("src" not in attrs for attrs, _ in parsed.scripts)
    assert not {*parsed.tags} & {"link", "iframe", "img", "object", "base"}
    text = page(demo)
    assert "@import" not in text
    assert "url(http" not in text


def test_only_the_pages_own_script_may_run(parsed: Page) -> None:
    (script,) = [text for attrs, text in parsed.scripts if "type" not in attrs]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in parsed.policy
    assert "default-src 'none'" in parsed.policy


def test_findings_runs_and_versions_are_there(parsed: Page, demo: list[Run]) -> None:
    assert parsed.data["findings"] == findings(demo)
    assert [run["name"] for run in parsed.data["runs"]] == [run.folder.name for run in demo]
    diverged = [run for run in parsed.data["runs"] if run["outcome"] == "diverged"]
    assert [run["reason"] for run in diverged] == ["the loss is not finite"]
    assert {"name": "torch", "values": ["2.11.0"]} in parsed.data["environment"]


def test_curves_are_what_was_logged(parsed: Page, demo: list[Run]) -> None:
    for run, shown in zip(demo, parsed.data["runs"], strict=True):
        assert {*shown["curves"]} == {n for n in run.names() if not n.startswith("spectrum/")}
        for name, curve in shown["curves"].items():
            steps, values = run.series(name)
            assert parsed.data["grids"][curve["grid"]] == steps
            assert numbers(curve["last"]) == pytest.approx(values, rel=1e-6)


def test_tables_have_the_numbers_behind_their_cells(parsed: Page, demo: list[Run]) -> None:
    for shown, table in zip(parsed.data["tables"], make("normalizers", demo), strict=True):
        assert shown["notes"] == table.footnotes
        for cells, row in zip(shown["rows"], table.rows, strict=True):
            for cell, own in zip(cells, row, strict=True):
                assert cell["text"] == own.text
                assert cell.get("spread", "") == own.spread
                if own.numbers and own.numbers.n:
                    assert cell["mean"] == own.numbers.mean


def test_json_holds_nothing_that_html_reads() -> None:
    evil = "</script><!--<script>alert(1)</script> & \u2028\u2029 \U0001f600 \u202e"
    text = safe_json({"a": evil, evil: [1.5, None]})
    assert text.isascii()
    assert not {"<", ">", "&"} & {*text}
    assert json.loads(text) == {"a": evil, evil: [1.5, None]}
    assert Page(document({"a": evil})).data == {"a": evil}


def test_numbers_that_are_not_finite_are_null() -> None:
    assert Page(document({"a": [float("nan"), 1.0, float("inf")]})).data == {"a": [None, 1.0, None]}


def test_scores_of_two_extractors_of_one_name_stand_apart(lab: Any) -> None:
    for normalizer, digest in (("none", "a" * 40), ("spectral_norm", "b" * 40)):
        lab.write(normalizer, digest=digest)
    data = Page(page(collect(lab.root).runs)).data
    panels = [p for p in data["datasets"][0]["panels"] if p["name"] == f"fid/{EXTRACTOR}"]
    assert [(p["title"], p["runs"]) for p in panels] == [
        (f"FID ({EXTRACTOR} @aaaaaaa)", [0]), (f"FID ({EXTRACTOR} @bbbbbbb)", [1]),
    ]  # fmt: skip


def test_what_configurations_differ_in(lab: Any) -> None:
    lab.write("none", 0, name="a", loss="hinge")
    lab.write("none", 1, name="b", loss="hinge", n_dis=5)
    data = Page(page(collect(lab.root).runs)).data
    assert data["differences"]["keys"] == ["model.n_dis"]
    assert sorted(data["differences"]["values"]) == [["1"], ["5"]]


def test_a_mixtures_density_is_that_of_the_package(tmp_path: Path) -> None:
    import torch

    from snlab.data import GaussianMixture
    from snlab.distributions.mixture import KINDS

    assert {kind: defaults.std for kind, defaults in KINDS.items()} == MIXTURE_STD
    modes = 2 * ring_modes()
    np.save(tmp_path / "modes.npy", modes)
    reach = 3.0
    found = density("mixture(kind=ring, std=0.3)", tmp_path / "modes.npy", reach)
    assert found is not None
    shares = np.frombuffer(base64.b64decode(found), np.uint8)
    side = round(len(shares) ** 0.5)
    at = torch.linspace(-reach, reach, 2 * side + 1)[1::2].double()  # the cells' middles
    y, x = torch.meshgrid(at.flip(0), at, indexing="ij")
    true = (
        GaussianMixture(torch.from_numpy(modes), 0.3).log_prob(torch.stack([x, y], -1).reshape(-1, 2)).exp()
    )
    assert shares == pytest.approx((255 * true / true.max()).numpy(), abs=1.001)
    assert density("digits", tmp_path / "modes.npy", reach) is None


# ---- where it goes ---------------------------------------------------------------------------------------


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


def test_an_empty_folder_has_a_page_that_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    assert main(["report", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "a.html")]) == 0
    assert Page((tmp_path / "a.html").read_text("utf-8")).data["lead"] == "No run is there yet."
    assert main(["report", "--runs", str(tmp_path / "away"), "--out", str(tmp_path / "b.html")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert not (tmp_path / "b.html").exists()


def test_a_folder_of_broken_runs_has_a_page_that_names_them(lab: Any, tmp_path: Path) -> None:
    (lab.write("none", name="bad", outcome=UNFINISHED) / "config.yaml").write_text("a: [")
    assert main(["report", "--runs", str(lab.root), "--out", str(tmp_path / "a.html")]) == 0
    data = Page((tmp_path / "a.html").read_text("utf-8")).data
    (skip,) = data["skipped"]
    assert "no run in" in skip["reason"]
    assert "bad: " in skip["reason"]


def test_what_is_skipped_is_named_in_the_terminal_too(
    lab: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.write("none")
    broken = lab.write("none", name="bad", outcome=UNFINISHED)
    (broken / "config.yaml").write_text("a: [")
    assert main(["report", "--runs", str(lab.root), "--out", str(tmp_path / "a.html")]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'a.html'}\n"
    assert printed.err.startswith(f"skipped {broken}: while parsing")
    assert printed.err.count("\n") == 1


def test_while_the_page_is_made_a_terminal_is_told(
    demo: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    @contextmanager
    def noted(what: str) -> Iterator[None]:
        told.append(what)
        yield
        told.append("made")

    monkeypatch.setattr("snlab.results.report.waiting", noted)
    monkeypatch.setattr("snlab.results.report.page", lambda runs, skipped: told.append("page") or "")
    report(demo, tmp_path / "a.html")
    assert told == [f"making the page of {len(demo)} runs", "page", "made"]


def test_of_several_folders_an_empty_one_is_named_and_the_others_are_shown(lab: Any, tmp_path: Path) -> None:
    lab.write("none")
    (tmp_path / "empty").mkdir()
    found = runs_of(lab.root, tmp_path / "empty", lab.root)
    assert len(found.runs) == 1
    assert [skip.folder.name for skip in found.skipped] == ["empty"]


def test_the_library_is_the_one_that_its_script_fetches() -> None:
    """The digests of the files in the archive of uPlot 1.6.32 on npm."""
    vendor = Path(main.__code__.co_filename).parent / "results/page/vendor"
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.iterdir()}
    assert found == {
        "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    }
