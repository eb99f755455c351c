"""What the dashboard shows is what snlab logs, all of it, each with a definition that is there."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snlab.core import names
from snlab.dashboard.charts import customs, read
from snlab.dashboard.definitions import Definitions, anchor, page_of
from snlab.dashboard.project import Project, project
from snlab.dashboard.sections import sections
from snlab.dashboard.views import Target, View, report, workspace
from snlab.results.looks import palette
from snlab.results.settings import SETTINGS
from snlab.tracking.wandb_tables import SCORE_COLUMNS, SPECTRUM_COLUMNS

ROOT = Path(__file__).parents[2]
LAYERS = ("conv1", "conv2", "dense")
EXTRACTOR = "embedded-digits"
PER_LAYER = (
    *(names.SIGMA_EXACT, names.SIGMA_CONV, names.SIGMA_RAW, names.SIGMA_POWER_ITERATION),
    names.EFFECTIVE_RANK,
)
PER_EXTRACTOR = (
    *(names.FID, names.KID, names.INCEPTION_SCORE, names.INCEPTION_SCORE_STD, names.PRECISION, names.RECALL),
)
PREFIXES = {*PER_LAYER, *PER_EXTRACTOR, names.SPECTRUM, names.RATIO, names.CALIBRATED}
REGIONS = {names.BETWEEN, names.REAL_TAIL, names.FAKE_TAIL, names.CLIPPED, names.STANDARD_ERROR}
NOT_NUMBERS = {names.SAMPLES, names.OUTCOME, names.TABLE_SCORES, names.TABLE_SPECTRA}


def logged() -> set[str]:
    """Every number that a run of three layers and one extractor can log, from the constants alone.

    But for the standard errors, which have no panels of their own.
    """
    constants = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    calibrated = {*names.RATIOS, *names.TRUE_MEASURES}
    ratios = {*calibrated, *names.STABILITY, *names.GENERATOR_GRADIENTS}
    return {
        *(constants - PREFIXES - ratios - REGIONS - NOT_NUMBERS),
        *(f"{names.RATIO}/{name}" for name in ratios),
        *(f"{names.RATIO}/{names.CALIBRATED}/{name}" for name in calibrated),
        *(f"{prefix}/{layer}" for prefix in PER_LAYER for layer in LAYERS),
        *(f"{prefix}/{EXTRACTOR}" for prefix in PER_EXTRACTOR),
    }


KNOWN = Project(("none", "spectral_norm"), metrics=frozenset(logged()))


def views(of: Project, target: Target | None = None) -> list[View]:
    given = (
        target or Target("team", "snlab"),
        of,
        "team/{}".format,
        Definitions("https://example.org/metrics"),
    )
    return [make(*given) for make in (workspace, report)]


def found(tree: Any, key: str) -> Iterator[Any]:
    """Every value of that key, wherever in the tree."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from found(value, key)
    elif isinstance(tree, list):
        for item in tree:
            yield from found(item, key)


def curves(view: View) -> list[dict[str, Any]]:
    return [
        config for config in found(view.spec, "config") if isinstance(config, dict) and "metrics" in config
    ]


@pytest.mark.parametrize("which", [0, 1], ids=["workspace", "report"])
def test_every_name_is_logged_and_every_logged_number_is_shown(which):
    view = views(KNOWN)[which]
    metrics = {name for config in curves(view) for name in config["metrics"]}
    assert metrics == logged() - {names.GENERATOR_STEP}
    assert {config["xAxis"] for config in curves(view)} == {names.GENERATOR_STEP}
    assert {name for keys in found(view.spec, "mediaKeys") for name in keys} == {names.SAMPLES}
    assert set(found(view.spec, "targetKey")) == {f"{names.FID}/{EXTRACTOR}"}
    columns = [name for order in found(view.spec, "columnOrder") for name in order]
    shown = {name.removeprefix("summary:") for name in columns if name.startswith("summary:")}
    assert shown <= logged() | {names.OUTCOME}
    assert f"{names.FID}/{EXTRACTOR}" in shown
    tables = {arg["value"] for args in found(view.spec, "args") for arg in args if arg["name"] == "tableKey"}
    assert tables == {names.TABLE_SCORES, names.TABLE_SPECTRA}


def test_where_no_run_was_looked_at_one_panel_matches_what_runs_log_by_layer_and_extractor():
    for view in views(Project()):
        patterns = [config["metricRegex"] for config in curves(view) if config.get("useMetricRegex")]
        exact = {name for config in curves(view) for name in config["metrics"]}
        matched = {n: [p for p in patterns if re.search(p, n)] for n in logged() - {names.GENERATOR_STEP}}
        for name, matches in matched.items():
            assert (len(matches) == 1) != (name in exact), name


@pytest.mark.parametrize("experiment", ["digits_setting_c", "demo_ring"])
def test_the_measurements_of_a_run_declare_what_is_shown(experiment, tmp_path):
    from snlab.training.arguments import FitCLI
    from snlab.training.measurements import MeasureOptions, measurements

    cli = FitCLI(["--config", experiment, "--runs", str(tmp_path), "--generator_steps", "3"])
    cli.build()
    taken = measurements(MeasureOptions(**cli.settings["measure"]), cli.model, cli.datamodule.dataset, 0)
    declared = {name for one in taken for name in one.logs(cli.model)}
    unseen = (f"{names.SPECTRUM}/", f"_{names.STANDARD_ERROR}")
    numbers = {n for n in declared if not n.startswith(unseen[0]) and not n.endswith(unseen[1])}
    assert len(numbers) > 50
    view, _ = views(project([({}, dict.fromkeys(numbers, 1.0))]))
    shown = {name for config in curves(view) for name in config["metrics"]}
    assert numbers <= shown, numbers - shown


def test_lines_are_normalizers_with_bands_and_their_colours_are_those_of_every_figure():
    given = project(
        [({"model": {"normalizer": spec}}, {}) for spec in ("layer_norm", "spectral_norm", "r1(weight=5)")]
    )
    looks = palette(given.normalizers)
    shown, told = views(given)
    for view in (shown, told):
        for config in curves(view):
            assert (config["groupBy"], config["groupAgg"], config["groupArea"], config["aggregate"]) == (
                "model.value.normalizer", "mean", "minmax", True,
            )  # fmt: skip
    (runs,) = shown.spec["section"]["runSets"]
    assert runs["grouping"] == [{"section": "config", "name": "model.value.normalizer"}]
    colours = shown.spec["section"]["customRunColors"]
    assert sorted(colours.values()) == sorted(look.colour for look in looks.values())
    for spec, look in looks.items():
        (key,) = (key for key, value in colours.items() if value == look.colour)
        assert key.startswith(f"run-color-group:%22{runs['id']}%22:")
        assert spec.replace("=", "%3D") in key
    grids = [m for m in found(told.spec, "metadata") if m["customRunColors"]]
    for grid in grids:
        (only,) = grid["runSets"]
        assert grid["customRunColors"] == {
            f"{only['id']}-config:model.value.normalizer:{spec}": look.colour for spec, look in looks.items()
        }
    assert len(grids) == len(sections(given))


def test_the_form_of_the_configuration_is_that_of_the_runs():
    flat = project([({"model.normalizer": "none", "model": {"loss": "hinge"}}, {})])
    view, _ = views(flat)
    (runs,) = view.spec["section"]["runSets"]
    assert runs["grouping"] == [{"section": "config", "name": "model.normalizer.value"}]
    both = project([({"model.normalizer": "none"}, {}), ({"model": {"normalizer": "none"}}, {})])
    view, _ = views(both)
    (runs,) = view.spec["section"]["runSets"]
    assert {key["name"] for key in runs["grouping"]} == {"model.normalizer.value", "model.value.normalizer"}
    assert not any("groupBy" in config for config in curves(view))


def test_a_sweep_has_views_of_its_own_over_its_runs_and_its_metric():
    of_sweep = Target("team", "snlab", "abc123")
    plain, mine = views(KNOWN), views(project([], "loss/generator"), of_sweep)
    assert not {view.name for view in plain} & {view.name for view in mine}
    for view in mine:
        (filters, *_) = (f["filters"] for f in found(view.spec, "filters") if isinstance(f, dict))
        assert filters[0]["key"] == {"section": "run", "name": "sweep"}
        assert filters[0]["value"] == "abc123"
        assert set(found(view.spec, "targetKey")) == {"loss/generator"}
    assert not list(found(views(Project())[0].spec, "targetKey"))  # nothing is known to matter for


def test_the_same_dashboard_is_the_same_json():
    assert [json.dumps(view.spec) for view in views(KNOWN)] == [json.dumps(v.spec) for v in views(KNOWN)]


def test_every_panel_links_to_a_definition_that_is_there():
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    there = set(re.findall(r'<a id="([^"]+)"></a>', text)) | headings
    assert len(re.findall(r'<a id="([^"]+)"></a>', text)) == len(
        set(re.findall(r'<a id="([^"]+)"></a>', text))
    )
    for view in views(KNOWN):
        guides = [
            *found(view.spec, "content"),
            *(c["value"] for c in found(view.spec, "config") if "value" in c),
        ]
        for section, guide in zip(sections(KNOWN), guides, strict=False):
            links = dict(re.findall(r"\[([^\]]+)\]\(https://example\.org/metrics#([^)]+)\)", guide))
            assert set(links.values()) <= there, set(links.values()) - there
            for panel in section.panels:
                assert links[panel.definition] == anchor(panel.definition)
                assert panel.title.partition(": ")[0] in guide


def test_without_a_url_the_definitions_themselves_are_there():
    """In the words of docs/metrics.md, each once a section."""
    plain = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    view = workspace(Target("team", "snlab"), KNOWN, "team/{}".format, Definitions())
    guides = [config["value"] for config in found(view.spec, "config") if "value" in config]
    for section, guide in zip(sections(KNOWN), guides, strict=True):
        for panel in section.panels:
            assert panel.title.partition(": ")[0] in html.unescape(guide)
        lines = [line for line in guide.splitlines() if line.startswith("- ")]
        for line in lines:
            rests = [html.unescape(line)[match.end() :] for match in re.finditer(": ", line)]
            assert any(rest in plain and len(rest) > 15 for rest in rests), line
        assert len({line.rpartition(": ")[2] for line in lines}) == len(lines)
        assert "http" not in guide
    assert Definitions().lines(
        {"ratio/true_excess_loss": "a", "modes/dropped_mass": "modes/dropped_mass"}
    ) == [
        "ratio/true_excess_loss (a): the standard loss of f less that of t",
        "modes/dropped_mass: the data's mass where the generator puts less than a hundredth of it, "
        "q_data(log q - log p_G > log 100), where both densities are known; and its standard error",
    ]


def test_where_the_page_is():
    assert page_of(None) is None
    assert page_of("https://gitlab.com/a/b/") == "https://gitlab.com/a/b/blob/main/docs/metrics.md"
    assert page_of("https://a.org/x/metrics.html") == "https://a.org/x/metrics.html"


# ---- charts ----------------------------------------------------------------------------------------------

TABLES = {"spectra": SPECTRUM_COLUMNS, "settings": SCORE_COLUMNS, "outcomes": SCORE_COLUMNS}


def test_charts_read_columns_that_the_tables_have_and_strings_that_panels_give():
    for view in views(KNOWN):
        panels = [config for config in found(view.spec, "config") if "panelDefId" in config]
        assert len(panels) == 4
        for config in panels:
            name = config["panelDefId"].removeprefix("team/")
            text = json.dumps(read(name))
            fields = set(re.findall(r"\$\{field:(\w+)\}", text))
            assert fields <= set(TABLES[name])
            assert config["fieldSettings"] == {column: column for column in TABLES[name]}
            assert set(re.findall(r"\$\{string:(\w+)\}", text)) <= set(config["stringSettings"])


def test_the_chart_of_settings_has_the_letters_of_table_1():
    (letters,) = re.findall(r"calculate\": \"\{([^}]+)\}\[", json.dumps(read("settings")))
    shown = dict(re.findall(r"'([^']+)': '([A-F])'", letters))
    assert shown == {f"{s.lr:g}/{s.beta1:g}/{s.beta2:g}/{s.n_dis}": letter for letter, s in SETTINGS.items()}


def test_a_chart_in_other_colours_is_another_chart():
    one, other = customs(["none", "spectral_norm"]), customs(["none", "layer_norm"])
    assert one == customs(["spectral_norm", "none"])
    assert one["spectra"].name != other["spectra"].name
    assert one["outcomes"].name == other["outcomes"].name  # of which colours are outcomes


def test_the_documents_name_the_sections_in_their_order():
    text = (ROOT / "docs/dashboard.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)
    assert rows[2:] == [section.name for section in sections(KNOWN)]
