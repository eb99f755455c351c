from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snlab.core.errors import UserError
from snlab.results.extractors import extractors
from snlab.results.groups import by_dataset, group
from snlab.results.notes import extractor_notes
from snlab.results.reading import collect, ratio_name, records, sigmas
from snlab.results.tables import make
from snlab.tracking.run_folder import DIVERGED, FINISHED, UNFINISHED, Run


def test_groups_hold_all_but_the_seed(demo: list[Run]) -> None:
    groups = group(demo)
    order = ["none", "weight_norm", "gradient_penalty", "spectral_norm"]
    assert [(g.dataset, g.normalizer) for g in groups[:4]] == [("digits", name) for name in order]
    assert all([run.seed for run in g.runs] == [0, 1] for g in groups[:4])
    assert {g.setting for g in groups} == {""}
    assert groups[0].failures == 0.5
    assert [len(groups[0].of(outcome)) for outcome in (FINISHED, DIVERGED)] == [1, 1]


def test_the_data_set_with_most_runs_comes_first(demo: list[Run]) -> None:
    assert list(by_dataset(demo)) == ["digits", "mixture(kind=ring)"]


def test_what_differs_besides_the_normalizer_names_the_group(lab: Any) -> None:
    lab.write("none", 0, name="a")
    lab.write("none", 0, name="b", loss="hinge", adam={"lr": 1e-3, "beta1": 0.5, "beta2": 0.999})
    first, second = sorted(group(collect(lab.root).runs), key=lambda g: g.runs[0].folder.name)
    assert first.setting == "adam.lr=0.0002, loss=standard"
    assert second.setting == "adam.lr=0.001, loss=hinge"
    assert second.label == "none [adam.lr=0.001, loss=hinge]"


def test_two_classes_of_one_name_are_two_rows_that_one_can_tell(lab: Any) -> None:
    for module in ("mine", "yours"):
        clip = {"class_path": f"{module}.Clip", "init_args": {"limit": 1}}
        for seed in (0, 1):
            lab.write(clip, seed, name=f"{module}{seed}")
    first, second = group(collect(lab.root).runs)
    assert len(first.runs) == len(second.runs) == 2
    assert first.label != second.label
    assert {g.label.split(" @")[0] for g in (first, second)} == {"Clip(limit=1)"}
    (table,) = make("normalizers", collect(lab.root).runs)
    assert [row[0].text for row in table.rows] == [first.label, second.label]  # and none as not run


def test_classes_in_a_setting_read_as_called(lab: Any) -> None:
    for limit in (1, 2):
        part = {"class_path": "a.Decay", "init_args": {"limit": limit}}
        lab.write("none", 0, name=str(limit), schedule=part, parts=[part])
    assert [g.setting for g in group(collect(lab.root).runs)] == [
        "parts=[Decay(limit=1)], schedule=Decay(limit=1)", "parts=[Decay(limit=2)], schedule=Decay(limit=2)",
    ]  # fmt: skip


def test_where_a_run_landed_and_ran_is_no_setting(lab: Any) -> None:
    import yaml

    for name, devices in (("a", 1), ("b", 2)):
        path = lab.write("none", int(name == "b"), name=name) / "config.yaml"
        config = yaml.safe_load(path.read_text()) | {
            "runs": name,
            "trainer": {"devices": devices},
            "wandb": {"x": name},
        }
        path.write_text(yaml.safe_dump(config))
    (only,) = group(collect(lab.root).runs)
    assert len(only.runs) == 2


def test_runs_from_before_an_option_was_there_are_in_one_group_with_those_at_its_default(lab: Any) -> None:
    for seed, later in enumerate([{}, {"noise": False}, {"noise": True}]):
        changed(lab.write("none", seed, name=str(seed)), "data", later)
    groups = {g.setting: len(g.runs) for g in group(collect(lab.root).runs)}
    assert groups == {"data.noise=False": 2, "data.noise=True": 1}


def test_how_often_a_run_was_measured_is_no_setting(lab: Any) -> None:
    rarely = {"every": 0.1, "fidelity_every": 0.5, "lipschitz_bounds": True, "fidelity": "none"}
    changed(lab.write("none", 1, name="b"), "measure", rarely)
    changed(lab.write("spectral_norm", 0, loss="hinge"), "measure", rarely)
    lab.write("none", 0, name="a")
    lab.write("spectral_norm", 0, name="c", loss="hinge")
    groups = {g.label: [run.seed for run in g.runs] for g in group(collect(lab.root).runs)}
    assert groups == {"none [loss=standard]": [0, 1], "spectral norm [loss=hinge]": [0]}


def test_a_protocol_of_scores_is_a_setting(lab: Any) -> None:
    changed(lab.write("none", 0), "measure", {"protocol": "50k"})
    lab.write("none", 1)
    assert sorted(g.setting for g in group(collect(lab.root).runs)) == [
        "measure.protocol=50k", "measure.protocol=None",
    ]  # fmt: skip


def changed(folder: Path, part: str, options: dict[str, Any]) -> None:
    """Another configuration of a run that was written."""
    import yaml

    config = yaml.safe_load((folder / "config.yaml").read_text())
    config[part] |= options
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_a_repeated_seed_counts_once_and_the_finished_one_is_kept(lab: Any) -> None:
    lab.write("none", 0, name="a", outcome=UNFINISHED)
    lab.write("none", 0, name="b")
    (only,) = group(collect(lab.root).runs)
    assert [run.folder.name for run in only.runs] == ["b"]
    assert only.repeats == 1


def test_extractors_with_other_weights_stand_apart(lab: Any) -> None:
    lab.write("none", 0, digest="a" * 64)
    lab.write("none", 1, digest="b" * 64)
    runs = collect(lab.root).runs
    first, second = extractors(runs)
    assert (first.label, second.label) == ("embedded-digits @aaaaaaa", "embedded-digits @bbbbbbb")
    assert [first.scored(run) for run in runs] == [True, False]
    (note,) = extractor_notes(runs)
    assert "embedded-digits" in note
    assert "not pooled" in note


def test_a_run_that_has_not_ended_belongs_to_the_only_extractor(lab: Any) -> None:
    lab.write("none", 0)
    lab.write("none", 1, outcome=UNFINISHED)
    runs = collect(lab.root).runs
    (only,) = extractors(runs)
    assert all(map(only.scored, runs))
    assert extractor_notes(runs) == []


def test_the_calibrated_ratio_is_read_where_logits_are_no_log_ratio(lab: Any) -> None:
    def metrics(*_: Any) -> dict[str, float]:
        return {"ratio/saturation": 0.5, "ratio/calibrated/saturation": 0.1, "ratio/drift": 1.0}

    lab.write("none", 0, metrics=metrics, name="s")
    lab.write("none", 0, metrics=metrics, name="h", loss="hinge(margin=1)")
    hinge, standard = collect(lab.root).runs
    assert ratio_name([standard], "saturation") == "ratio/saturation"
    assert ratio_name([hinge], "saturation") == "ratio/calibrated/saturation"
    assert ratio_name([hinge], "drift") == "ratio/drift"


def test_sigmas_leave_out_the_measurement_before_training(lab: Any) -> None:
    lab.write(
        "none",
        metrics=lambda n, s, step, p: {"sigma/exact/a": 9.0 if step == 0 else 1.0 + step, "sigma/raw/a": 5.0},
    )
    (run,) = collect(lab.root).runs
    assert sigmas(run).tolist() == [21.0, 51.0, 101.0, 151.0, 201.0]


def test_records_are_flat_and_hold_last_values(demo: list[Run]) -> None:
    rows = {(r["dataset"], r["normalizer"], r["seed"]): r for r in records(demo)}
    row = rows["digits", "spectral_norm", 1]
    assert row["fid/embedded-digits"] == 32.0
    assert row["generator_step"] == 200
    assert (row["loss"], row["network"]) == ("standard", "standard_cnn(width=0.25)")
    assert "spectrum/conv1" not in row
    assert rows["digits", "none", 1]["reason"] == "the loss is not finite"
    assert rows["mixture(kind=ring)", "weight_norm", 0]["generator_step"] == 100


def test_an_empty_folder_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in"):
        collect(tmp_path)


def test_results_import_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, snlab.results.report, snlab.results.tables, snlab.results.figures\n"
        "bad = {'torch', 'matplotlib', 'pandas', 'pytorch_lightning', 'wandb'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
