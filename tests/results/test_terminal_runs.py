"""``snlab runs`` as it is typed, held to what the run folders hold."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from snlab.cli import main
from snlab.tracking.run_folder import DIVERGED, UNFINISHED, RunWriter
from tests.results.printed import lines, named, printed

__all__ = ["printed"]

ESCAPE = "\x1b[2J<script>alert('ü')</script> [red]\u202e\U0001f600"


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
