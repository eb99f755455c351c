"""A folder of images as a data set: what is found, how it is split, and when it is converted anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snlab.core.errors import UserError
from snlab.data import DATASETS, DataSet, folder
from snlab.data.stored import Stored


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


def picture(number: int, size: int = 8) -> Image.Image:
    """A picture of its own for each number: noise, with the number in the corner."""
    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
    pixels[0, 0] = number
    return Image.fromarray(pixels)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """``pictures("a/1.png", ...)``: a folder of these, each with the number of its place in the corner."""

    def make(*names: str) -> Path:
        root = tmp_path / "pictures"
        for number, name in enumerate(names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            picture(number).save(root / name, "PNG")
        return root

    return make


def many(n: int, where: str = "{}.png") -> list[str]:
    return [where.format(i) for i in range(n)]


def numbers(images: torch.Tensor) -> list[int]:
    """The numbers in the corners, in order."""
    return images[:, 0, 0, 0].tolist()


def load(root: Path, **options: object) -> DataSet:
    return folder(str(root), **{"size": 8, **options}).loaded()  # type: ignore[arg-type]


# ---- what is found --------------------------------------------------------------------------------------


def test_images_of_every_kind_at_any_depth_are_as_pil_reads_them(tmp_path):
    root = tmp_path / "mix"
    (root / "deep" / "er").mkdir(parents=True)
    kinds = {"a.JPG": "JPEG", "b.jpeg": "JPEG", "c.png": "PNG", "d.bmp": "BMP", "e.gif": "GIF"}
    kinds |= {"deep/f.webp": "WEBP", "deep/er/g.tif": "TIFF", "deep/er/h.TIFF": "TIFF"}
    expected = {}
    for number, (name, kind) in enumerate(kinds.items()):
        picture(number, 16).save(root / name, kind)
        read = Image.open(root / name).convert("RGB").resize((8, 8), Image.Resampling.BOX)
        expected[np.asarray(read).tobytes()] = name
    (root / "notes.txt").write_text("not one of them")
    data = load(root, heldout=0.3)
    got = [x.permute(1, 2, 0).numpy().tobytes() for x in torch.cat([data.train, data.heldout])]
    assert sorted(expected[x] for x in got) == sorted(kinds)
    assert data.train_labels is data.heldout_labels is None
    assert data.classes == 0


def test_the_shapes_are_known_before_a_file_is_opened(pictures, monkeypatch, cache):
    root = pictures(*many(30, "{}.png"))
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was opened"))
        blank = folder(str(root), size=16, channels=1)
    assert not cache.exists()
    data = blank.loaded()
    assert blank.train.shape == data.train.shape == (len(data.train), 1, 16, 16)
    assert blank.heldout.shape == data.heldout.shape == (30 - len(data.train), 1, 16, 16)


def test_hidden_files_are_passed_over_and_links_followed(pictures, tmp_path):
    root = pictures("1.png", "2.png", ".3.png", ".thumbnails/4.png", "sub/5.png")
    (root / "linked.png").symlink_to(root / ".3.png")
    (root / "sub" / "round").symlink_to(root)  # a circle
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    picture(50).save(elsewhere / "6.png")
    (root / "other").symlink_to(elsewhere)
    os.mkfifo(root / "pipe.png")
    data = load(root)
    assert sorted(numbers(torch.cat([data.train, data.heldout]))) == [0, 1, 2, 4, 50]


def test_names_of_any_bytes(pictures):
    root = pictures(*many(6))
    odd = os.fsencode(root) + b"/caf\xe9 \n two.png"
    (root / "0.png").rename(os.fsdecode(odd))
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.png")).write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 of 7 files are broken, and left out: \\xff\.png \(not an image"):
        data = load(root, heldout=0.5)
    assert sorted(numbers(torch.cat([data.train, data.heldout]))) == [0, 1, 2, 3, 4, 5]


# ---- labels and split -----------------------------------------------------------------------------------


def test_sub_folders_are_the_classes_in_the_order_of_their_names(pictures):
    root = pictures(*many(20, "dog/{}.png"), *many(20, "cat/x/{}.png"), *many(20, "ant/{}.png"))
    data = load(root)
    assert data.classes == 3
    for images, labels in ((data.train, data.train_labels), (data.heldout, data.heldout_labels)):
        assert labels.tolist() == [2 - number // 20 for number in numbers(images)]


@pytest.mark.parametrize("names", [many(20, "all/{}.png"), [*many(10, "a/{}.png"), *many(10, "b{}.png")]])
def test_one_folder_around_all_is_no_class_and_neither_are_some(pictures, names):
    data = load(pictures(*names))
    assert (data.classes, data.train_labels) == (0, None)


@pytest.mark.parametrize("heldout", ["test", "val", "heldout", "Test"])
@pytest.mark.parametrize("around", ["", "set/"])
def test_a_split_that_is_there_is_kept(pictures, heldout, around):
    root = pictures(
        *(f"{around}{name}" for name in [*many(9, "train/{}.png"), *many(3, heldout + "/{}.png")])
    )
    data = load(root, heldout=0.9)
    assert numbers(data.train) == list(range(9))
    assert numbers(data.heldout) == [9, 10, 11]
    assert data.classes == 0


def test_a_split_with_classes_and_with_something_beside_it(pictures):
    names = [*many(4, "train/cat/{}.png"), *many(4, "train/dog/{}.png"), "test/dog/1.png", "val/cat/1.png"]
    root = pictures(*names, "extra/1.png", "readme.png")
    with pytest.warns(UserWarning, match="2 images are neither in train nor in test, val, heldout"):
        data = load(root)
    assert numbers(data.train) == list(range(8))
    assert data.train_labels.tolist() == [0] * 4 + [1] * 4
    assert (numbers(data.heldout), data.heldout_labels.tolist()) == ([8, 9], [1, 0])


def test_about_the_share_is_held_out_by_name_and_adding_images_moves_none(pictures):
    root = pictures(*many(200))
    data = load(root, heldout=0.2)
    assert abs(len(data.heldout) - 40) < 4 * (200 * 0.2 * 0.8) ** 0.5  # 4 standard deviations
    before = set(numbers(data.train)), set(numbers(data.heldout))
    assert before[0] | before[1] == set(range(200))
    again = load(root, heldout=0.2)
    assert torch.equal(again.train, data.train)
    for number in range(200, 250):
        picture(number).save(root / f"{number - 300}.png")
    more = load(root, heldout=0.2)
    assert len(more.train) + len(more.heldout) == 250
    assert before[0] <= set(numbers(more.train))
    assert before[1] <= set(numbers(more.heldout))


@pytest.mark.parametrize("share", [0.0001, 0.9999])
def test_both_sides_have_one_at_least(pictures, share):
    data = load(pictures(*many(20)), heldout=share)
    assert min(len(data.train), len(data.heldout)) == 1


def test_an_image_that_is_on_both_sides_is_held_out_no_more(pictures):
    root = pictures(*many(4, "train/{}.png"), *many(3, "test/{}.png"))
    Image.open(root / "train/2.png").convert("RGBA").save(root / "test/copy.png")
    picture(1).save(root / "train/again.bmp")  # twice in training: that is the user's weight
    with pytest.warns(UserWarning, match=r"1 held-out images are training images too.*: test/copy\.png"):
        data = load(root)
    assert sorted(numbers(data.train)) == [0, 1, 1, 2, 3]
    assert numbers(data.heldout) == [4, 5, 6]


# ---- broken files ---------------------------------------------------------------------------------------


def test_broken_files_are_named_and_counted_at_every_start(pictures):
    root = pictures(*many(12, "train/a/{}.png"), *many(12, "train/b/{}.png"), *many(6, "test/a/{}.png"))
    (root / "train/a/0.png").write_bytes(b"")
    whole = (root / "train/a/1.png").read_bytes()
    (root / "train/a/1.png").write_bytes(whole[: len(whole) // 2])
    (root / "train/b/0.png").write_text("text")
    (root / "test/a/5.png").unlink()
    (root / "test/a/5.png").symlink_to("nowhere")
    line = (
        r"^folder: 4 of 30 files are broken, and left out: train/a/0\.png \(empty\), train/a/1\.png \(.*"
        r"truncated.*\), train/b/0\.png \(not an image.*\) and 1 more$"
    )
    for _ in range(2):
        with pytest.warns(UserWarning, match=line):
            data = load(root)
    assert numbers(data.train) == [10, 11, *range(2, 10), 13, 22, 23, *range(14, 22)]
    assert data.train_labels.tolist() == [0] * 10 + [1] * 11
    assert numbers(data.heldout) == [24, 25, 26, 27, 28]


def test_all_broken_is_an_error(pictures):
    root = pictures(*many(4, "train/{}.png"), *many(2, "test/{}.png"))
    for path in (root / "test").iterdir():
        path.write_text("no")
    with pytest.raises(UserError, match=r"no held-out image is left, .*: 2 of 6 files are.*test/0\.png"):
        load(root)
    for path in (root / "train").iterdir():
        path.write_text("no")
    with pytest.raises(UserError, match=r"none of the 4 training images can be read: train/0\.png \(not an"):
        load(root)


def test_a_folder_without_images(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.txt").write_text("no")
    with pytest.raises(UserError, match=r"images has no images; they end in \.jpg"):
        load(tmp_path / "images")
    with pytest.raises(UserError, match=r"image is not there; did you mean '.*/images'\?"):
        load(tmp_path / "image")
    with pytest.raises(UserError, match=r"a\.txt is no folder"):
        load(tmp_path / "images" / "a.txt")
    picture(0).save(tmp_path / "images" / "a.png")
    with pytest.raises(UserError, match="has one image"):
        load(tmp_path / "images")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("path=7", "path wants the name of a folder, in quotes, got 7"),
        ("path=x, size=3", "size wants a whole number of at least 4"),
        ("path=x, channels=4", "channels wants 3 for colour, or 1 for grey, got 4"),
        ("path=x, heldout=1", "heldout wants a share between 0 and 1, got 1"),
        ("path=x, heldout=true", "heldout wants a share"),
        ("path=x, sizes=8", "no option 'sizes'; did you mean 'size'"),
        ("", "path"),
    ],
)
def test_options_that_are_none_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        DATASETS.build(f"folder({options})")


# ---- converting -----------------------------------------------------------------------------------------


def test_it_is_converted_once_and_anew_where_a_file_changed(pictures, monkeypatch):
    root = pictures(*many(10))
    converted: list[Path] = []
    original = Stored._write

    def write(self: Stored, folder: Path) -> dict[str, object]:
        converted.append(folder)
        return original(self, folder)

    monkeypatch.setattr(Stored, "_write", write)
    first = load(root)
    load(root)
    assert len(converted) == 1
    picture(100).save(root / "3.png")  # changed
    assert 100 in numbers(torch.cat([(data := load(root)).train, data.heldout]))
    (root / "4.png").unlink()  # removed
    assert len(torch.cat([(data := load(root)).train, data.heldout])) == 9
    picture(4).save(root / "4.png")  # added
    load(root)
    load(root, channels=1)
    load(root, size=4)
    assert len(converted) == 6
    assert numbers(torch.cat([first.train, first.heldout])).count(3) == 1  # what a run has mapped stays


def test_a_relative_path_is_of_the_working_directory(pictures, monkeypatch):
    root = pictures(*many(10))
    monkeypatch.chdir(root.parent)
    here = DATASETS.build("folder(path=pictures, size=8)").loaded()
    assert torch.equal(here.train, load(root).train)
    monkeypatch.chdir(root)
    assert torch.equal(DATASETS.build("folder(path='.', size=8)").loaded().train, here.train)


def test_its_name_tells_the_path_as_written():
    expected = "folder(channels=3, heldout=0.1, path='my/pictures', size=64)"
    assert DATASETS.canonical("folder(path='my/pictures')") == expected
