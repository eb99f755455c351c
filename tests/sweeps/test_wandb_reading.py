"""Runs read back from W&B, by its real client from the tests' server, give what their folders give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snlab.core.errors import UserError
from snlab.results.reading import collect
from snlab.results.tables import make, render
from snlab.results.tidy import frame
from snlab.tracking.run_folder import DIVERGED, UNFINISHED
from snlab.tracking.wandb_runs import place_of
from tests.results.conftest import Lab, digits_metrics

pytestmark = pytest.mark.slow
PLACE = "wandb:tester/back"

MIRROR = """
import json, sys
from pathlib import Path
from snlab.tracking.run_folder import METRICS, OVER, UNFINISHED, Run
from snlab.tracking.wandb_mirror import WandbMirror, WandbOptions

for number, folder in enumerate(map(Path, sys.argv[1:])):
    run = Run.read(folder)
    options = WandbOptions(mode="online", entity="tester", project="back", group=f"group{number % 2}")
    mirror = WandbMirror(options, folder, f"{run.summary.get('identity', 'going')}{number}", run.config)
    for line in (folder / METRICS).read_text().splitlines():
        row = {name: float("nan") if value is None else value for name, value in json.loads(line).items()}
        mirror.log_metrics(row, row.pop("generator_step"))
    if run.outcome == UNFINISHED:
        mirror.experiment.finish(exit_code=1)
    else:
        mirror.close(run.outcome, failed=run.outcome not in OVER)
"""
READ = """
import json, sys
from snlab.results.reading import collect
from snlab.results.tables import make, render
from snlab.results.tidy import frame

found = collect(*sys.argv[1:])
print(json.dumps({
    "tables": {name: render(make(name, found.runs, found.skipped), "csv") for name in ("normalizers",)},
    "frames": {per: frame(found.runs, per).to_csv() for per in ("run", "metric", "step")},
    "runs": [run.folder.name for run in found.runs],
    "configurations": [run.config for run in found.runs], "layers": found.runs[-1].names("sigma/"),
    "skipped": [(skip.folder.name, skip.reason) for skip in found.skipped],
}))
"""


def metrics(normalizer: str, seed: int, step: int, progress: float) -> dict:
    """As snlab logs them: some at every update, some not; integral floats, integers, and nothing for NaN."""
    row = digits_metrics(normalizer, seed, step, progress)
    row |= {"zz/first": 1.0, "modes/covered": 3, "loss/generator": float("nan") if step == 50 else 1 / 3}
    return row if step % 100 == 0 else {name: row[name] for name in row if "fid" not in name}


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Lab:
    """Finished, diverged and unfinished runs, of two settings whose numbers W&B writes otherwise."""
    lab = Lab(tmp_path_factory.mktemp("lab") / "runs")
    for beta1 in (0.0, 0.5):
        adam = {"lr": 1e-5, "beta1": beta1, "beta2": 0.999}
        lab.write("none", 0, name=f"none-{beta1}", metrics=metrics, adam=adam, weight=1.0, options={})
        lab.write("spectral_norm", 1, name=f"sn-{beta1}", metrics=metrics, adam=adam, weight=1.0, options={})
    lab.write("weight_norm", 0, name="wn-diverged", metrics=metrics, outcome=DIVERGED, until=100)
    lab.write("weight_norm", 1, name="wn-going", metrics=metrics, outcome=UNFINISHED, until=100)
    return lab


@pytest.fixture(scope="module")
def mirrored(lab, python) -> Lab:
    out, err = (process := python(MIRROR, *map(str, sorted(lab.root.iterdir())))).communicate(timeout=280)
    assert process.returncode == 0, out + err
    return lab


@pytest.fixture(scope="module")
def read(python, tmp_path_factory):
    """What a process that is logged in reads at some places; its standard error."""
    cache = str(tmp_path_factory.mktemp("cache"))

    def run(*places: str, code: str = READ, **more: str) -> tuple[dict, str]:
        process = python(code, *places, SNLAB_CACHE=cache, **more)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        return json.loads(out), err

    return run


def test_the_same_runs_give_the_same_tables(mirrored, read, wandb_server):
    found, said = read("wandb:tester/back")
    runs = collect(mirrored.root).runs
    assert found["tables"]["normalizers"] == render(make("normalizers", runs), "csv")
    assert "adam.beta1=0.0" in found["tables"]["normalizers"]
    assert found["configurations"] == [run.config for run in runs]
    assert found["layers"] == runs[-1].names("sigma/")
    assert found["frames"] == {per: frame(runs, per).to_csv() for per in ("run", "metric", "step")}
    assert said.splitlines() == [said.splitlines()[0], said.splitlines()[-1]]
    assert said.startswith("reading runs from W&B (6)")

    asked = wandb_server.asked["HistoryPage"]
    again, _ = read("wandb:tester/back")
    assert str(again) == str(found)
    assert wandb_server.asked["HistoryPage"] == asked  # what has ended is in the cache
    (going,) = [run for run in wandb_server.runs.values() if run.display_name == "wn-going"]
    going.state = "running"
    read("wandb:tester/back")
    assert wandb_server.asked["HistoryPage"] == asked + 1


def test_a_group_and_a_run_alone(mirrored, read):
    found, _ = read("wandb:tester/back/groups/group1")
    names = [folder.name for folder in sorted(mirrored.root.iterdir())]
    assert found["runs"] == names[1::2]
    found, _ = read("wandb:tester/back/runs/going5")
    assert found["runs"] == ["wn-going"]
    assert f",{UNFINISHED}," in found["frames"]["run"]


COMMANDS = """
import contextlib, io, json, sys
from snlab.cli import main

ended = []
for words in map(str.split, sys.argv[1:]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(words)
    ended.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(ended))
"""


@pytest.fixture
def snlab(mirrored, read, tmp_path):
    """``snlab(*commands)``: how each ended and what it printed; of the words OUT, W&B and HERE are places."""

    def run(*commands: str) -> list[list]:
        places = {"OUT": str(tmp_path), "W&B": PLACE, "HERE": str(mirrored.root)}
        for word, place in places.items():
            commands = tuple(command.replace(word, place) for command in commands)
        return read(*commands, code=COMMANDS)[0]

    return run


def test_figures_of_wandb_are_those_of_the_folders(snlab, tmp_path):
    *drawn, samples, spectrum = snlab(
        "figure sigma --out OUT/there.svg --runs W&B",
        "figure sigma --out OUT/here.svg --runs HERE",
        "figure samples --out OUT/a.png --runs W&B",
        "figure spectrum --out OUT/a.png --runs W&B",
    )
    assert [code for code, _, _ in drawn] == [0, 0]
    assert (tmp_path / "there.svg").read_bytes() == (tmp_path / "here.svg").read_bytes()
    for code, _, told in (samples, spectrum):
        assert code == 2
        assert told.splitlines()[-1].endswith("these are in the run folders alone")
    assert not (tmp_path / "a.png").exists()


def test_the_page_of_wandb_has_the_numbers_of_the_folders(snlab, tmp_path):
    made = snlab("report --out OUT/there.html --runs W&B", "report --out OUT/here.html --runs HERE")
    assert [out for _, out, _ in made] == [f"{tmp_path}/there.html\n", f"{tmp_path}/here.html\n"]
    pages = ((tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in ("there", "here"))
    there, here = (
        json.loads(text.split('<script id="data" type="application/json">')[1].split("</script>")[0])
        for text in pages
    )
    for same in ("lead", "findings", "normalizers", "groups", "differences", "environment", "grids"):
        assert there[same] == here[same], same
    assert [table["rows"] for table in there["tables"]] == [table["rows"] for table in here["tables"]]
    assert all(run["folder"].startswith(f"{PLACE}/") for run in there["runs"])
    assert [told(run) for run in there["runs"]] == [told(run) for run in here["runs"]]
    assert any(run.get("curves") for run in there["runs"])
    assert here["lastSamples"]
    assert not there["lastSamples"]  # which are in the folders alone


def told(run: dict) -> dict:
    """What the page says of a run, but for where that is from."""
    return {key: value for key, value in run.items() if key not in ("folder", "wandb", "command")}


def test_runs_of_wandb_are_listed_as_those_of_the_folders(snlab):
    listed = "runs --sort score --filter normalizer~weight --runs"
    lists = snlab("runs --json --runs W&B", "runs --json --runs HERE", f"{listed} W&B", f"{listed} HERE")
    assert [code for code, _, _ in lists] == [0] * 4
    there, here = (json.loads(out) for _, out, _ in lists[:2])
    assert [row.pop("folder") for row in here] != [row.pop("folder") for row in there]
    assert there == here
    assert {row["state"] for row in there} == {"finished", DIVERGED, UNFINISHED}
    assert lists[2][1] == lists[3][1]
    assert "4 runs left out by --filter" in lists[2][1]


TABLE = """
import sys
from snlab.cli import main

sys.exit(main(["table", "normalizers", "--runs", sys.argv[1]]))
"""
FOREIGN = """
import wandb
run = wandb.init(entity="tester", project="mixed", config={"lr": 1}, settings=wandb.Settings(silent=True))
run.log({"loss": 1.0})
run.finish()
"""


def test_what_snlab_did_not_log_is_named(python, read, lab):
    out, err = (process := python(FOREIGN)).communicate(timeout=120)
    assert process.returncode == 0, out + err
    found, _ = read("wandb:tester/mixed", str(lab.root))
    assert [reason for _, reason in found["skipped"]] == ["snlab did not log it"]
    assert len(found["runs"]) == 6


CALL = (
    "import sys; from snlab.cli import main; sys.exit(main(['table', 'normalizers', '--runs', sys.argv[1]]))"
)


@pytest.mark.parametrize(
    ("place", "environment", "said"),
    [
        (
            "wandb:tester/back",
            {"WANDB_API_KEY": "", "HOME": "/nowhere"},
            "wants a key of W&B's: log in once by",
        ),
        (
            "wandb:tester/back",
            {"WANDB_MODE": "offline"},
            "WANDB_MODE is offline, but wandb:tester/back is on",
        ),
        ("wandb:tester/nothing", {}, "wandb:tester/nothing cannot be read: Could not find project nothing"),
        ("wandb:tester/back/groups/none", {}, "no run at wandb:tester/back/groups/none"),
        ("wandb:tester", {}, "wandb:tester names no runs on W&B: wandb:ENTITY/PROJECT"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(place, environment, said, mirrored, python):
    out, err = (process := python(TABLE, place, **environment)).communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"snlab: {said}") or said in line


@pytest.mark.parametrize(
    "text", ["wandb:", "wandb:me", "wandb:me/", "wandb:me/p/sweeps/", "wandb:me/p/teams/x"]
)
def test_what_names_no_place(text):
    with pytest.raises(UserError, match="names no runs on W&B"):
        place_of(text)


def test_places():
    assert place_of("wandb:me/p/abc") == place_of("wandb:me/p/sweeps/abc")
    assert place_of("wandb:me/p/abc").filters == {"sweep": "abc"}
    assert place_of(str(Path("wandb:me/p/runs/x"))).filters == {"name": "x"}
