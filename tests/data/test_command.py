"""``snlab data``, and the commands that want a data set which is not here, as a user types them."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision.datasets as published
import yaml

from snlab.cli import main
from snlab.data import DATASETS, DataSet
from snlab.data.command import EMBEDDED, HEADER
from tests.data.published_files import WRITERS, mnist


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No network; what was asked of it."""
    asked: list[str] = []

    def fail(request: urllib.request.Request, *_: object, **__: object) -> None:
        asked.append(request.full_url)
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    return asked


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which its files can be downloaded."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # of a client that hangs up early, as torchvision does when it follows redirections

    folder = tmp_path / "served"
    folder.mkdir()
    with Server(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as served:
        thread = threading.Thread(target=served.serve_forever, args=[0.01])
        thread.start()
        yield folder, f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()
        thread.join()


def rows(text: str) -> dict[str, dict[str, str]]:
    """The table that was printed, by names; columns are where the header's words begin."""
    header, *lines = text.splitlines()
    starts = [header.index(word) for word in HEADER]
    ends = [*starts[1:], None]
    cells = [[line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in lines]
    return {row[0]: dict(zip(HEADER, row, strict=True)) for row in cells}


DIGEST = "sha256 of the training images"


# ---- snlab data list ------------------------------------------------------------------------------------


def test_the_list_has_every_data_set_and_says_what_is_not_here(place, monkeypatch, capsys):
    monkeypatch.setattr(mnist, "DEBIAN", place / "nowhere")
    assert main(["data", "list"]) == 0
    found = rows(capsys.readouterr().out)
    assert set(found) == set(DATASETS.names())
    expected = ("50,000", "10,000", "3 x 32 x 32", "100", "not here", "snlab data fetch cifar100")
    assert tuple(found["cifar100"].values())[1:] == expected
    assert found["fashion_mnist"][DIGEST] == "not here"
    assert found["folder"][DIGEST] == "wants path"
    assert found["digits"][DIGEST] == "in the package"
    assert found["mixture"][DIGEST] == "in memory"
    archives = "ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar"
    assert found["imagenet"]["where"] == f"put {archives} into {place / 'imagenet'}"
    assert not place.exists()


@pytest.mark.parametrize("name", EMBEDDED)
def test_what_is_listed_of_embedded_ones_is_so(name):
    data = DATASETS.build(name)
    assert EMBEDDED[name] == (len(data.train), len(data.heldout), data.sample_shape, data.classes)


def test_the_list_follows_a_data_set_from_its_archive_to_its_digest(place, monkeypatch, capsys):
    WRITERS["cifar10"](place, monkeypatch.setattr)
    shutil.rmtree(place / "cifar-10-batches-py")
    main(["data", "list"])
    row = rows(capsys.readouterr().out)["cifar10"]
    assert (row[DIGEST], row["where"]) == ("not converted yet", str(place))
    assert not (place / "cifar-10-batches-py").exists()
    images = DATASETS.build("cifar10").loaded().train
    capsys.readouterr()
    main(["data", "list"])
    row = rows(capsys.readouterr().out)["cifar10"]
    assert row[DIGEST] == hashlib.sha256(images.numpy().tobytes()).hexdigest()
    assert row["where"] == str(place.parent / "cache/data/cifar10-32")
    assert (row["train"], row["held out"]) == ("20", "4")


def test_the_list_has_what_was_converted_with_other_options_too(place, monkeypatch, capsys):
    WRITERS["stl10"](place, monkeypatch.setattr)
    DATASETS.build("stl10(size=96)").loaded()
    broken = place.parent / "cache/data/stl10-24/meta.json"
    broken.parent.mkdir()
    broken.write_text(json.dumps(["of something else"]), encoding="utf-8")
    capsys.readouterr()
    main(["data", "list"])
    found = rows(capsys.readouterr().out)
    assert (found["stl10"]["shape"], found["stl10"][DIGEST]) == ("3 x 48 x 48", "not converted yet")
    assert (found["stl10-96"]["shape"], found["stl10-96"]["classes"]) == ("3 x 96 x 96", "-")
    assert len(found["stl10-96"][DIGEST]) == 64
    assert "stl10-24" not in found


def test_the_list_has_a_users_own_too(place, monkeypatch, capsys):
    def mine(n: int = 3) -> DataSet:
        return DataSet("mine", torch.zeros(n, 2), torch.zeros(1, 2))

    def broken() -> DataSet:
        raise FileNotFoundError("no such\n file")

    monkeypatch.setitem(DATASETS._factories, "mine", mine)
    monkeypatch.setitem(DATASETS._factories, "broken", broken)
    assert main(["data", "list"]) == 0
    found = rows(capsys.readouterr().out)
    assert tuple(found["mine"].values()) == ("mine", "3", "1", "2", "-", "in memory", "")
    assert found["broken"][DIGEST] == "no such file"


def test_the_list_imports_what_it_is_told(place, tmp_path, monkeypatch, capsys):
    (tmp_path / "own_points.py").write_text(
        "import torch\nfrom snlab.data import DATASETS, DataSet\n\n@DATASETS.register('own_points')\n"
        "def own_points() -> DataSet:\n    return DataSet('own', torch.zeros(5, 2), torch.zeros(1, 2))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(DATASETS, "_factories", dict(DATASETS._factories))
    assert main(["data", "list", "--import", "own_points"]) == 0
    assert rows(capsys.readouterr().out)["own_points"]["train"] == "5"
    assert main(["data", "list", "--import", "own_point"]) == 2
    assert "No module named 'own_point'" in capsys.readouterr().err


# ---- snlab data fetch -----------------------------------------------------------------------------------


def test_fetching_downloads_verifies_and_converts_once(place, server, monkeypatch, capsys):
    folder, address = server
    WRITERS["cifar10"](place, monkeypatch.setattr)
    (place / "cifar-10-python.tar.gz").rename(folder / "cifar-10-python.tar.gz")
    shutil.rmtree(place)
    monkeypatch.setattr(published.CIFAR10, "url", f"{address}/cifar-10-python.tar.gz")
    assert main(["data", "fetch", "cifar10"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("cifar10: 20 images of 3 x 32 x 32, 4 held out, 10 classes, sha256 ")
    assert [line.partition(" in ")[0] for line in err.splitlines()] == [
        f"cifar10: downloading {address}/cifar-10-python.tar.gz",
        f"cifar10: downloading {address}/cifar-10-python.tar.gz: done",
        "cifar10: unpacking cifar-10-python.tar.gz",
        "cifar10: unpacking cifar-10-python.tar.gz: done",
        "cifar10: converting 24 images, once",
        "cifar10: converting 24 images, once: done",
    ]
    shutil.rmtree(place)
    shutil.rmtree(folder)
    assert main(["data", "fetch", "cifar10"]) == 0
    assert capsys.readouterr() == (out, "")


def test_of_several_addresses_the_first_that_has_the_file_will_do(place, server, monkeypatch, capsys):
    folder, address = server
    WRITERS["mnist"](place, monkeypatch.setattr)
    for path in (place / "MNIST/raw").iterdir():
        path.rename(folder / path.name)
    monkeypatch.setattr(published.MNIST, "mirrors", [f"{address}/nothing/", f"{address}/"])
    assert main(["data", "fetch", "mnist(size=16)"]) == 0
    assert "mnist: 7 images of 1 x 16 x 16, 7 held out" in capsys.readouterr().out
    assert len(list((place / "MNIST/raw").glob("[!.]*"))) == 4


@pytest.mark.parametrize("served", ["altered", "truncated"])
def test_what_is_downloaded_wrong_is_not_kept(served, place, server, monkeypatch, capsys):
    folder, address = server
    WRITERS["svhn"](place, monkeypatch.setattr)
    for path in (place / "svhn").iterdir():
        content = path.read_bytes()
        (folder / path.name).write_bytes(content[:-1] if served == "truncated" else content[:-1] + b"!")
        path.unlink()
    splits = {
        split: [f"{address}/{file}", file, md5] for split, (_, file, md5) in published.SVHN.split_list.items()
    }
    monkeypatch.setattr(published.SVHN, "split_list", splits)
    assert main(["data", "fetch", "svhn"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith(
        "snlab: svhn could not be downloaded (File not found or corrupted.); put train_"
    )
    assert not list((place / "svhn").glob("[!.]*"))
    assert not list((place / "svhn").glob("*.partial"))


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "stl10", "mnist", "fashion_mnist"])
def test_without_a_network_a_line_says_which_files_to_put_where(name, place, offline, monkeypatch, capsys):
    monkeypatch.setattr(mnist, "DEBIAN", place / "nowhere")
    source = DATASETS.build(name).stored.source
    assert main(["data", "fetch", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"snlab: {name} could not be downloaded (no network here); put ")
    for item in source.items:
        assert f"{item.published} ({source.published()[item.published].urls[0]})" in line
    assert f"into {source.folder}, then the same command again" in line
    assert offline
    assert not (place.parent / "cache").exists()


def test_celeba_without_gdown_says_what_to_install(place, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "gdown", None)
    assert main(["data", "fetch", "celeba"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "snlab: celeba could not be downloaded (To download files from GDrive, 'gdown' is required" in line
    assert "img_align_celeba.zip (https://drive.google.com/file/d/" in line


def test_imagenet_is_not_downloaded_and_says_so(place, offline, capsys):
    assert main(["data", "fetch", "imagenet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "imagenet is not here: it cannot be downloaded without an account at https://image-net.org/" in line
    )
    assert "ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar into" in line
    assert not offline


@pytest.mark.parametrize("name", ["cifar100", "stl10", "celeba", "imagenet", "svhn", "mnist"])
def test_what_was_put_by_hand_is_used_and_nothing_downloaded(name, place, offline, monkeypatch, capsys):
    WRITERS[name](place, monkeypatch.setattr)
    for unpacked in ("cifar-100-python", "stl10_binary", "celeba/img_align_celeba"):
        shutil.rmtree(place / unpacked, ignore_errors=True)
    assert main(["data", "fetch", name]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")
    assert not offline


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cifr10", "unknown data set 'cifr10'; did you mean 'cifar10'?"),
        ("stl10(sise=96)", "data set 'stl10' has no option 'sise'; did you mean 'size'?"),
        ("stl10(size=97)", "size wants one of"),
        ("stl10(", "does not read as name(option=value, ...)"),
    ],
)
def test_a_name_that_is_none_is_told_in_a_line(text, message, place, capsys):
    assert main(["data", "fetch", text]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_what_is_in_the_package_needs_no_fetching(place, capsys):
    assert main(["data", "fetch", "digits(size=8)"]) == 0
    assert capsys.readouterr().out == "digits is made anew at each start: nothing to fetch\n"


@pytest.mark.parametrize("arguments", [["data"], ["data", "lits"], ["data", "fetch"]])
def test_a_command_that_is_none_is_refused(arguments, capsys):
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("snlab: data")
    assert arguments != ["data", "lits"] or "did you mean 'list'?" in line


# ---- runs and sweeps over it ----------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [False, True])
def test_a_run_over_what_is_not_here_or_damaged_begins_nothing(
    damage, place, monkeypatch, tmp_path: Path, arguments: Callable[..., list[str]], capsys
):
    WRITERS["cifar10"](place, monkeypatch.setattr)
    if damage:
        path = place / "cifar-10-batches-py/data_batch_2"
        path.write_bytes(path.read_bytes()[:-1])
    else:
        shutil.rmtree(place)
    words = arguments("--data.dataset=cifar10", "--generator_steps=1", "--measure.fidelity=none")
    assert main(["fit", *words]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    expected = f"cifar10: {path} is not the published" if damage else "cifar10 is not here: snlab data fetch"
    assert line.startswith(f"snlab: {expected}")
    assert not (tmp_path / "runs").exists()


def test_a_run_converts_by_itself_says_so_and_trains(
    place, monkeypatch, arguments: Callable[..., list[str]], capsys
):
    WRITERS["cifar10"](place, monkeypatch.setattr)
    words = arguments("--data.dataset=cifar10", "--generator_steps=1", "--measure.fidelity=none")
    assert main(["fit", *words, "--measure.probe_size=4"]) == 0
    out, err = capsys.readouterr()
    assert "cifar10: converting 24 images, once" in err
    assert "finished at generator step 1" in out


def sweep(path: Path, values: list[str], *words: str) -> list[str]:
    """The words after ``snlab`` that run a sweep over data sets, written to ``path``/sweep.yaml."""
    document = {
        "method": "grid",
        "metric": {"name": "loss/discriminator", "goal": "minimize"},
        "parameters": {"data.dataset": {"values": values}},
        "command": [
            *("snlab", "fit", "--model.network=standard_cnn(width=0.125)", "--model.batch_size=4"),
            *("--generator_steps=9", "--measure.fidelity=none", "--measure.probe_size=8", *words, "${args}"),
        ],
    }
    (path / "sweep.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return ["sweep", str(path / "sweep.yaml"), "--workers=1", f"--runs={path / 'runs'}"]


@pytest.mark.slow
def test_a_sweep_is_checked_without_the_files(place, tmp_path: Path, capsys):
    assert main([*sweep(tmp_path, ["cifar10", "svhn"]), "--dry-run"]) == 0
    assert "2 runs, 2 to do" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    assert not place.exists()
    assert not (place.parent / "cache").exists()


@pytest.mark.slow
def test_a_sweep_begins_only_with_the_files_that_its_runs_want(place, tmp_path: Path, capsys):
    assert main(sweep(tmp_path, ["digits", "cifar10"])) == 2
    assert "cifar10 is not here: snlab data fetch cifar10" in capsys.readouterr().err
    weights = ("--measure.fidelity=inception", "--measure.inception_weights=none.pth")
    assert main(sweep(tmp_path, ["photos(size=16)"], *weights)) == 2
    assert "no Inception weights at none.pth" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
