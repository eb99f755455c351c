"""``snlab runs``, ``show`` and ``compare`` as they are typed, held to what the run folders hold."""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from snlab.cli import main
from snlab.results.defaults import DEFAULTS, not_default
from snlab.results.terminal.sparkline import BLOCKS, sparkline
from snlab.tracking.identity import identity
from snlab.tracking.run_folder import DIVERGED, FINISHED, UNFINISHED, Run, RunWriter

ESCAPE = "\x1b[2J<script>alert('ü')</script> [red]\u202e\U0001f600"


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a command prints; ``columns`` wide, without as into a pipe."""

    def run(*words: object, columns: int | None = None, code: int = 0) -> str:
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns is not None:
            monkeypatch.setenv("COLUMNS", str(columns))
        assert main([str(word) for word in words]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return run


def named(folder: Path, identity: str) -> Path:
    """A run's folder, moved to where its name ends in that identity, which its summary has too."""
    path = folder / "summary.json"
    if path.exists():
        path.write_text(json.dumps(json.loads(path.read_text()) | {"identity": identity}))
    return folder.rename(folder.parent / f"{folder.name}-{identity}")


def lines(text: str) -> list[list[str]]:
    """The cells of a table that is set apart by two blanks or more."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


# ---- snlab runs ------------------------------------------------------------------------------------------


def test_runs_lists_state_score_and_time(lab: Any, printed: Any) -> None:
    named(lab.write("none", 0), "aaaaaaa11111")
    named(lab.write("spectral_norm", 1, loss="hinge"), "aaaaaaa22222")
    named(lab.write("none", 2, outcome=DIVERGED, until=100), "bbbbbbb11111")
    named(lab.write("none", 0, "mixture(kind=ring)", outcome=UNFINISHED, until=50), "ccccccc11111")
    (lab.root / "broken").mkdir()
    (lab.root / "broken/config.yaml").write_text("[1, 2")
    head, *rows = lines(printed("runs", "--runs", lab.root))
    assert head == ["run", "state", "data set", "normalizer", "seed", "updates", "score", "time"]
    # By data set, normalizer, setting, seed.
    assert [row[0] for row in rows[:4]] == ["aaaaaaa1", "bbbbbbb", "aaaaaaa2", "ccccccc"]
    found = {row[0]: row[1:] for row in rows[:4]}
    # FID of digits_metrics at the end is 110 - 20 * rank + 2 * seed; the ring's share of good samples 0.22 p.
    assert found["aaaaaaa1"] == ["finished", "digits", "none [loss=standard]", "0", "200", "90", "12 s"]
    assert found["aaaaaaa2"] == ["finished", "digits", "spectral norm [loss=hinge]", "1", "200", "32", "12 s"]
    assert found["bbbbbbb"] == ["diverged", "digits", "none [loss=standard]", "2", "100/200", "–", "12 s"]
    assert found["ccccccc"] == ["unfinished", "mixture (kind=ring)", "none", "0", "50/200", "0.055", "–"]
    notes = "\n".join(" ".join(row) for row in rows[4:])
    assert "score of digits: fid/embedded-digits" in notes
    assert "score of mixture (kind=ring): modes/high_quality" in notes
    assert "1 run folder skipped: broken (" in notes


def test_a_run_in_progress_is_told_from_one_that_was_left(lab: Any, printed: Any) -> None:
    folder = lab.write("none", 0, outcome=UNFINISHED, until=50)
    assert "unfinished" in printed("runs", "--runs", lab.root)
    assert not (folder / ".lock").exists()  # looking leaves nothing
    with FileLock(folder / ".lock"):
        assert "running" in printed("runs", "--runs", lab.root)
        assert "running at update 50 of 200" in printed("show", folder)
    assert "unfinished" in printed("runs", "--runs", lab.root)


def test_filters_and_sorting(lab: Any, printed: Any) -> None:
    for seed, n_dis in enumerate((1, 5, 10)):
        named(lab.write("none", seed, n_dis=n_dis, name=str(seed)), f"{seed}" * 12)

    def shown(*words: str) -> str:
        made = json.loads(printed("runs", "--runs", lab.root, "--json", *words))
        return "".join(str(row["seed"]) for row in made)

    assert shown() == "012"
    assert shown("--filter", "n_dis>1") == shown("--filter", "model.n_dis>=5") == "12"
    assert (
        shown("--filter", "n_dis>1 and seed!=1") == shown("--filter", "n_dis>1", "--filter", "seed=2") == "2"
    )
    assert shown("--filter", "fid/embedded-digits<93") == "01"  # 90, 92, 94
    assert shown("--filter", "normalizer~on", "--reverse") == "210"
    assert shown("--filter", "state=diverged") == ""
    assert shown("--filter", "data.dataset=digits", "--sort", "score", "--reverse") == "210"
    assert shown("--sort", "model.n_dis", "--reverse") == "210"
    text = printed("runs", "--runs", lab.root, "--sort", "lipschitz/gradient_max", "--filter", "seed>0")
    assert [row[-2] for row in lines(text)[:3]] == ["value", "4", "5"]  # 3 + seed
    assert "value: lipschitz/gradient_max" in text
    assert "1 run left out by --filter" in text


def test_filters_know_what_is_printed(lab: Any, printed: Any) -> None:
    folders = [
        named(lab.write("spectral_norm", 0), "aaaaaaa11111"),
        named(lab.write("gradient_penalty(weight=2, kind=one_sided)", 1), "bbbbbbb22222"),
        named(lab.write("none", 2, "mixture(kind=ring)", outcome=DIVERGED, until=50), "ccccccc33333"),
    ]

    def shown(condition: str) -> list[int]:
        made = json.loads(printed("runs", "--runs", lab.root, "--json", "--filter", condition))
        return sorted(row["seed"] for row in made)

    assert shown("normalizer=spectral norm") == shown("normalizer=spectral_norm") == [0]
    assert shown("normalizer=gradient penalty (kind=one sided, weight=2)") == [1]
    assert shown("normalizer~one sided") == shown("normalizer~one_sided") == [1]
    assert shown("normalizer!=spectral norm") == shown("normalizer!=spectral_norm") == [1, 2]
    assert shown("data set=mixture (kind=ring)") == shown("dataset=mixture(kind=ring)") == [2]
    assert shown("network=standard cnn (width=0.25) and seed>0") == [1]
    assert shown("run=bbbbbbb") == shown("identity=bbbbbbb") == shown(f"run={folders[1].name}") == [1]
    assert shown("state=diverged") == [2]


def test_a_value_that_no_run_has_is_told_with_those_that_there_are(lab: Any, printed: Any) -> None:
    lab.write("spectral_norm", 0)
    lab.write("none", 3)
    for condition, nearest in (
        ("outcome=finishd", "did you mean 'finished'?"),
        ("normalizer=spectral nrm", "did you mean 'spectral norm'?"),
        ("normalizer=spectral_nrm", "did you mean 'spectral_norm'?"),
    ):  # a mistake
        told = printed("runs", "--runs", lab.root, "--filter", condition, code=2)
        assert told == f"snlab: --filter: no run has {condition}; {nearest}\n"
    for condition, there in (
        ("state=diverged", "there is: finished"),  # a state, though of no run: nothing is wrong
        ("normalizer=orthonormal", "there is: none; spectral norm"),
        ("normalizer~penalty", "there is: none; spectral norm"),
        ("seed=7", "the nearest is 3"),
    ):
        assert main(["runs", "--runs", str(lab.root), "--json", "--filter", condition]) == 0
        assert printed("runs", "--runs", lab.root, "--filter", condition).splitlines()[:-1] == [
            "[]",  # of the line above
            f"no run has {condition}; {there}",
        ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sort", "sead"], "--sort: no run has 'sead'; did you mean 'seed'?"),
        (["--filter", "stat=finished"], "--filter: no run has 'stat'; did you mean 'state'?"),
        (["--filter", "finished"], "--filter 'finished' does not read as a KEY, one of"),
        (["--filter", "seed<one"], "--filter 'seed<one': < wants a number, got 'one'"),
    ],
)
def test_a_mistake_in_an_expression_is_one_line(words: list[str], said: str, lab: Any, printed: Any) -> None:
    lab.write("none")
    told = printed("runs", "--runs", lab.root, *words, code=2)
    assert said in told
    assert told.count("\n") == 1


def test_json_has_what_the_folder_has(lab: Any, printed: Any) -> None:
    folder = lab.write("none", 0, outcome=DIVERGED, until=100)
    (lab.root / "broken").mkdir()
    (lab.root / "broken/summary.json").write_text("{}")
    row, broken = json.loads(printed("runs", "--runs", lab.root, "--json"))
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["metrics"] == {k: v for k, v in last.items() if isinstance(v, float)}
    assert (row["state"], row["reason"]) == (DIVERGED, "the loss is not finite")
    assert row["folder"] == str(folder)
    assert row["score"] == {"name": "fid/embedded-digits", "value": None}
    assert broken == {
        "run": "broken", "folder": str(lab.root / "broken"), "state": "broken",
        "reason": "its config.yaml is gone",
    }  # fmt: skip


def test_a_run_has_one_line_where_that_is_possible(lab: Any, printed: Any) -> None:
    """Long settings then stand by number beside the normalizer, and below."""
    settings: list[dict[str, Any]] = [
        {"loss": "hinge", "n_dis": 10, "batch_size": 128}, {"loss": "standard", "n_dis": 5},
    ]  # fmt: skip
    for seed in range(2):
        for i, of in enumerate(settings):
            for normalizer in ("spectral_norm", "gradient_penalty"):
                lab.write(normalizer, seed, "fashion_mnist(size=16)", name=f"{normalizer}{i}{seed}", **of)
    text = printed("runs", "--runs", lab.root, columns=100)
    numbers = [(row[3], row[4]) for row in lines(text)[1:9]]
    assert numbers == [
        (f"{normalizer} [{number}]", str(seed))
        for normalizer in ("gradient penalty", "spectral norm") for number in (1, 2) for seed in (0, 1)
    ]  # fmt: skip
    assert text.splitlines()[9:11] == [
        "[1]: batch_size=64, loss=standard, n_dis=5", "[2]: batch_size=128, loss=hinge, n_dis=10"
    ]  # fmt: skip
    wide = printed("runs", "--runs", lab.root, columns=140)
    assert "spectral norm [batch_size=64, loss=standard, n_dis=5]" in wide.splitlines()[5]
    assert "[1]" not in wide
    narrower = printed("runs", "--runs", lab.root, columns=75).splitlines()
    assert lines("\n".join(narrower))[0] == head_without("data set")
    assert len(narrower[:9]) == 9 == sum("finished" in line for line in narrower) + 1
    assert narrower[11] == "data set: fashion mnist (size=16)"


def head_without(column: str) -> list[str]:
    every = ["run", "state", "data set", "normalizer", "seed", "updates", "score", "time"]
    return [title for title in every if title != column]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminals_width_is_kept_and_nothing_is_lost(columns: int, lab: Any, printed: Any) -> None:
    lab.write("gradient_penalty(kind=one_sided, weight=2)", 0, "mixture(kind=ring)")
    lab.write("spectral_norm", 123)
    for words in (["runs"], ["show", "digits"], ["compare", "digits", "mixture"]):
        text = printed(*words, "--runs", lab.root, columns=columns)
        path = str(lab.root)
        wide = [line for line in text.splitlines() if len(line) > columns]
        assert all(path in line for line in wide), wide  # to be copied, so in one piece
    joined = re.sub(r"\s", "", printed("runs", "--runs", lab.root, columns=columns))
    for word in ("digits", "123", "32", "mixture", "spectral"):
        assert word in joined


def test_strange_names_are_shown_and_do_nothing(lab: Any, printed: Any) -> None:
    lab.write("none", 0, dataset=ESCAPE, loss=ESCAPE, name="plain")
    folder = lab.write("none", 1, dataset="x" * 10_000, name="long")
    RunWriter(folder).write_summary({"outcome": "failed", "reason": ESCAPE + "y" * 10_000})
    for words in (["runs"], ["show", "plain"], ["show", "long"], ["compare", "plain", "long"]):
        text = printed(*words, "--runs", lab.root, columns=100)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert text.count("x") < 3000
    assert "<script>alert('ü')</script> [red]" in printed("show", "plain", "--runs", lab.root)


def test_an_empty_folder_is_told_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from snlab.cli import main\n"
        f"assert main(['runs', '--runs', {str(tmp_path)!r}]) == 2\n"
        "print([m for m in ('torch', 'matplotlib', 'pytorch_lightning', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr.startswith(f"snlab: no run in {tmp_path}")


# ---- snlab show ------------------------------------------------------------------------------------------


def test_show_has_curves_settings_versions_and_the_command(lab: Any, printed: Any) -> None:
    folder = lab.write("none", 0, n_dis=5)
    (folder / "wandb").mkdir()
    (folder / "wandb/url").write_text("https://wandb.ai/we/ours/runs/abc\n")
    text = printed("show", folder)
    assert "finished at update 200 of 200, after 12 s" in text
    # The lab's FID is 90 + 200 (1 - p)^2 at p = 0, 0.1, 0.25, 0.5, 0.75, 1.
    (fid,) = [row for row in lines(text) if row[0] == "fid/embedded-digits"]
    assert fid[-1] == "290 → 90"
    assert fid[1][0] == "█"
    assert fid[1][-1] == "▁"
    settings = text.split("configuration that is not at its default\n")[1].split("\n\n")[0]
    assert sorted(lines(settings)) == [
        ["generator_steps", "200"], ["model.n_dis", "5"], ["model.network", "standard_cnn(width=0.25)"],
    ]  # fmt: skip
    assert "torch 2.11.0, snlab 0.1.0" in text
    assert "https://wandb.ai/we/ours/runs/abc" in text
    assert text.splitlines()[-1] == (
        f"OMP_NUM_THREADS=1 snlab fit --config {folder}/config.yaml --run_folder {folder} --again"
    )


def test_times_are_those_that_the_run_recorded(lab: Any, printed: Any) -> None:
    """And not its files', which are a copy's own."""
    folder = lab.write("none", 0)
    text = printed("show", folder)
    assert "after 12 s" in text
    assert {"begun", "ended", "last measured"}.isdisjoint(row[0] for row in lines(text))
    summary = json.loads((folder / "summary.json").read_text())
    then = datetime.now(UTC) - timedelta(hours=3)
    times = {"begun": then.isoformat(), "ended": f"{then + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"}
    RunWriter(folder).write_summary(summary | times)
    found = {row[0]: row[1] for row in lines(printed("show", folder)) if len(row) > 1}
    assert found["begun"] == f"{then.astimezone():%Y-%m-%d %H:%M:%S}, 3.0 h ago"
    assert found["ended"] == f"{(then + timedelta(hours=1)).astimezone():%Y-%m-%d %H:%M:%S}, 2.0 h ago"
    RunWriter(folder).write_summary(summary | {"begun": "yesterday", "ended": 5})
    assert {"begun", "ended"}.isdisjoint(row[0] for row in lines(printed("show", folder)))


def test_of_a_run_in_progress_it_says_when_it_last_measured(lab: Any, printed: Any) -> None:
    folder = lab.write("none", 0, outcome=UNFINISHED, until=50)
    assert "last measured" not in printed("show", folder)  # its file may be a copy
    with FileLock(folder / ".lock"):
        (row,) = [row for row in lines(printed("show", folder)) if row[0] == "last measured"]
        assert re.fullmatch(r"[\d-]+ [\d:]+, \d+ s ago", row[1])


def test_show_names_what_is_wrong(lab: Any, printed: Any) -> None:
    folder = lab.write("none", 0)
    (folder / "metrics.jsonl").unlink()
    assert "damaged at update 200 of 200, after 12 s: its metrics.jsonl is gone" in printed("show", folder)
    (folder / "config.yaml").write_text("seed_everything: 0\nmodel: []\n")
    told = printed("show", folder, code=2)
    assert "holds what no run writes: model and data want settings of their own" in told


def test_a_beginning_finds_a_run_and_several_are_refused(lab: Any, printed: Any) -> None:
    first = named(lab.write("none", 0, name="a"), "0123456789ab")
    second = named(lab.write("none", 1, name="b"), "0123ffffffff")
    root = ["--runs", lab.root]
    assert first.name in printed("show", "01234", *root)
    assert second.name in printed("show", second.name, *root)
    assert second.name in printed("show", "b-", *root)
    told = printed("show", "0123", *root, code=2)
    assert told == f"snlab: '0123' fits 2 runs: {first}; {second}\n"
    assert "no run '0123456789ba' in" in printed("show", "0123456789ba", *root, code=2)
    assert "did you mean '0123456789ab'?" in printed("show", "0123456789ba", *root, code=2)
    (lab.root / "broken").mkdir()
    (lab.root / "broken/config.yaml").write_text("{")
    assert "broken is not a readable run folder: " in printed("show", "brok", *root, code=2)


def test_a_run_without_a_summary_is_found_by_its_folders_name(lab: Any, printed: Any) -> None:
    """Its configuration's hash is another where options are spelt out for the identity."""
    folder = named(lab.write("none", 0, outcome=UNFINISHED, until=50), "0123456789ab")
    assert identity(Run.read(folder).config) != "0123456789ab"
    assert "unfinished" in printed("show", "012345", "--runs", lab.root)
    assert "--resume" in printed("show", "012345", "--runs", lab.root)


def test_sparklines() -> None:
    steps = list(range(0, 101, 10))
    line, log = sparkline(steps, [float(s) for s in steps], 11)
    assert [BLOCKS.index(c) for c in line] == [min(int(i / 10 * 8), 7) for i in range(11)]
    assert not log
    decades, log = sparkline([0, 1, 2], [1.0, 10.0, 100.0], 3)
    assert decades == "▁▅█"
    assert log
    assert sparkline(list(range(1000)), [0.0] * 1000, 20) == ("▁" * 20, False)
    assert sparkline([0, 1, 2], [1.0, math.nan, 2.0], 3) == ("▁ █", False)
    assert sparkline([5], [math.nan], 3) == (" ", False)


# ---- snlab compare ---------------------------------------------------------------------------------------


def test_compare_shows_values_and_differences(lab: Any, printed: Any) -> None:
    a = lab.write("none", 0, n_dis=5)
    b = lab.write("spectral_norm", 1, torch="2.14.0")
    text = printed("compare", a, b)
    rows = {row[0]: row[1:] for row in lines(text)}
    assert rows["model.normalizer"] == ["none", "spectral_norm"]
    assert rows["model.n_dis"] == ["5", "1"]
    assert rows["seed_everything"] == ["0", "1"]
    assert rows["fid/embedded-digits"] == ["90", "32 (-58)"]
    assert rows["lipschitz/product"] == ["12", "12 (=)"]
    assert "model.loss" not in rows
    assert "the runs come from different versions (torch 2.11.0 and 2.14.0)" in text
    assert "recall/embedded-digits" in rows
    assert "sigma/raw/conv1" not in rows
    assert "sigma/raw/conv1" in printed("compare", a, b, "--all")


def test_compare_says_that_nothing_differs_and_wants_two_runs(lab: Any, printed: Any) -> None:
    a, b = lab.write("none", 0), lab.write("none", 0, name="copy")
    text = printed("compare", a, b)
    assert "the same in all that can change a number" in text
    assert f"{identity(Run.read(a).config)[:7]} #2" in text
    assert "wants two runs or more" in printed("compare", a, code=2)
    assert "is named twice" in printed("compare", a, a, code=2)


def test_many_runs_are_compared_in_several_tables(lab: Any, printed: Any) -> None:
    folders = [lab.write("none", seed, name=str(seed)) for seed in range(7)]
    text = printed("compare", *folders, columns=60)
    found = re.findall(r"(\d+)(?: \(\+[\d.]+\))?", " ".join(re.findall(r"fid/embedded-digits(.*)", text)))
    assert [int(value) for value in found] == [90, 92, 94, 96, 98, 100, 102]


# ---- configuration ---------------------------------------------------------------------------------------


def test_what_is_not_at_its_default() -> None:
    config = {
        "model": {"n_dis": 5, "loss": "standard", "ema_decay": None, "adam": {"lr": 2e-4, "beta1": 0.0}},
        "trainer": {"devices": 1, "max_epochs": -1, "precision": "bf16-mixed", "callbacks": None},
        "runs": "elsewhere", "resume": True, "keep_best": True,
    }  # fmt: skip
    assert not_default(config) == {
        "model.n_dis": 5, "model.adam.beta1": 0.0, "trainer.precision": "bf16-mixed", "keep_best": True,
    }  # fmt: skip
    assert not_default({"module": "Mine", "model": {"n_dis": 1}}) == {"module": "Mine", "model.n_dis": 1}


@pytest.mark.slow
def test_the_defaults_are_those_of_snlab_fit() -> None:
    from snlab.results.groups import flattened
    from snlab.training.arguments import FitCLI

    settings = flattened(FitCLI([]).settings)
    unset = {key: value for key, value in settings.items() if value or key in DEFAULTS}
    assert unset == DEFAULTS


@pytest.mark.slow
def test_the_command_repeats_the_run(tmp_path: Path, printed: Any) -> None:
    """To the last digit, the old folder kept; and what shows it afterwards is the same run."""
    words = ["--generator_steps", "2", "--measure.fidelity", "none", "--wandb.mode", "disabled"]
    small = ["--model.network", "standard_cnn(width=0.125)", "--model.batch_size", "4"]
    assert main(["fit", *words, *small, "--runs", str(tmp_path / "it's here")]) == 0
    (folder,) = (tmp_path / "it's here").iterdir()
    before = [{k: v for k, v in row.items() if "time/" not in k} for row in Run.read(folder).rows.values()]
    line = printed("show", folder).splitlines()[-1]
    environment, program, *again = shlex.split(line)
    assert (environment, program) == ("OMP_NUM_THREADS=1", "snlab")
    assert main(again) == 0
    after = [{k: v for k, v in row.items() if "time/" not in k} for row in Run.read(folder).rows.values()]
    assert after == before
    assert Run.read(folder.with_name(f"{folder.name}.before-1")).outcome == FINISHED
    assert yaml.safe_load((folder / "config.yaml").read_text())["run_folder"] == str(folder)
