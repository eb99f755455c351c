"""Every published data set, from a few images in its true format: what is read is what torchvision reads."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets as published
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from snlab.core.errors import UserError
from snlab.data import DATASETS, DataSet
from tests.data.published_files import CORNERS, WRITERS, mnist


def loaded(text: str) -> DataSet:
    return DATASETS.build(text).loaded()


def tensors(dataset: object, change: Callable[[Image.Image], Image.Image] = lambda image: image) -> Tensor:
    """Every image of a data set of torchvision's, by its own ``__getitem__``."""
    return torch.stack([pil_to_tensor(change(dataset[i][0])) for i in range(len(dataset))])  # type: ignore


def labels(dataset: object) -> list[int]:
    return [int(dataset[i][1]) for i in range(len(dataset))]  # type: ignore


def square(size: int) -> Callable[[Image.Image], Image.Image]:
    """The square in the middle, by numpy, resized by PIL's box filter."""

    def of(image: Image.Image) -> Image.Image:
        pixels, side = np.asarray(image), min(image.size)
        top, left = (image.height - side) // 2, (image.width - side) // 2
        middle = pixels[top : top + side, left : left + side]
        return Image.fromarray(middle).resize((size, size), Image.Resampling.BOX)

    return of


def halved(images: Tensor) -> Tensor:
    """The mean of 2 x 2, by numpy."""
    n, channels, height, width = images.shape
    blocks = images.numpy().reshape(n, channels, height // 2, 2, width // 2, 2)
    return torch.from_numpy(blocks.mean((3, 5)).round().astype(np.uint8))


# ---- the same images and labels as torchvision's --------------------------------------------------------


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_torchvisions(name, place, monkeypatch):
    WRITERS[name](place, monkeypatch.setattr)
    read, data = getattr(published, name.upper()), loaded(name)
    train, test = read(place, train=True), read(place, train=False)
    assert torch.equal(data.train, tensors(train))
    assert torch.equal(data.heldout, tensors(test))
    assert data.train_labels.tolist() == labels(train)
    assert data.heldout_labels.tolist() == labels(test)


@pytest.mark.parametrize("extra", [False, True])
def test_svhn_is_torchvisions(extra, place, monkeypatch):
    WRITERS["svhn"](place, monkeypatch.setattr)
    data = loaded(f"svhn(extra={extra})")
    parts = [published.SVHN(place / "svhn", split) for split in ("train", "extra")[: 1 + extra]]
    test = published.SVHN(place / "svhn", "test")
    assert torch.equal(data.train, torch.cat([tensors(part) for part in parts]))
    assert data.train_labels.tolist() == [label for part in parts for label in labels(part)]
    assert torch.equal(data.heldout, tensors(test))
    assert data.heldout_labels.tolist() == labels(test) == [1, 0, 9, 0, 2]


def test_stl10_is_torchvisions_halved(place, monkeypatch):
    WRITERS["stl10"](place, monkeypatch.setattr)
    whole, data = loaded("stl10(size=96)"), loaded("stl10")
    for part, split in (("train", "unlabeled"), ("heldout", "test")):
        expected = tensors(published.STL10(place, split))
        assert torch.equal(getattr(whole, part), expected)
        assert torch.equal(getattr(data, part), halved(expected))
    assert data.sample_shape == (3, 48, 48)
    assert data.train_labels is None
    assert data.heldout_labels is None


@pytest.mark.parametrize(("size", "attribute"), [(64, "Smiling"), (178, "'5_o_Clock_Shadow'"), (30, "none")])
def test_celeba_is_torchvisions_in_a_square(size, attribute, place, monkeypatch):
    WRITERS["celeba"](place, monkeypatch.setattr)
    data = loaded(f"celeba(size={size}, attribute={attribute})")
    for part, split in (("train", "train"), ("heldout", "test")):
        expected = published.CelebA(place, split)
        assert torch.equal(getattr(data, part), tensors(expected, square(size)))
        known = getattr(data, f"{part}_labels")
        if attribute == "none":
            assert known is None
        else:
            column = expected.attr_names.index(attribute.strip("'"))
            assert known.tolist() == [int(expected[i][1][column]) for i in range(len(expected))]
    assert data.classes == (0 if attribute == "none" else 2)


@pytest.mark.parametrize("size", [128, 32])
def test_imagenet_is_torchvisions_in_a_square(size, place, monkeypatch):
    WRITERS["imagenet"](place, monkeypatch.setattr)
    data = loaded(f"imagenet(size={size})")
    for part, split in (("train", "train"), ("heldout", "val")):
        expected = published.ImageNet(place / "imagenet", split)
        assert torch.equal(getattr(data, part), tensors(expected, square(size)))
        assert getattr(data, f"{part}_labels").tolist() == labels(expected)
    assert data.heldout_labels.tolist() == [0, 0, 1]  # the first and the third photograph are tenches


@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_torchvisions_between_margins(name, kind, packed, place, monkeypatch):
    WRITERS[name](place, monkeypatch.setattr)
    for path in (place / kind / "raw").glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))  # torchvision reads these
    if not packed:
        for path in (place / kind / "raw").glob("*.gz"):
            path.unlink()
    data, small = loaded(name), loaded(f"{name}(size=16)")
    for part, train in (("train", True), ("heldout", False)):
        expected = getattr(published, kind)(place, train=train)
        padded = np.pad(tensors(expected).numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)))
        assert torch.equal(getattr(data, part), torch.from_numpy(padded))
        assert torch.equal(getattr(small, part), halved(torch.from_numpy(padded)))
        assert getattr(data, f"{part}_labels").tolist() == labels(expected)


@pytest.mark.parametrize("text", ["cifar10", "cifar100", "svhn", "stl10", "celeba", "imagenet"])
def test_the_first_image_is_the_right_way_up_and_in_red_green_blue(text, place, monkeypatch):
    WRITERS[text](place, monkeypatch.setattr)
    data = loaded(text)
    for part in (data.train, data.heldout)[
        : 1 if text == "celeba" else 2
    ]:  # the face of quarters is in train
        corners = [part[0, :, y, x] for y in (0, -1) for x in (0, -1)]
        loss = 3 if text in ("celeba", "imagenet") else 0  # JPEG's
        difference = torch.stack(corners).int() - torch.tensor(CORNERS)
        assert difference.abs().max() <= loss


# ---- as blank as it is full -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*WRITERS, "svhn(extra=true)", "celeba(attribute=Young)", "stl10(size=32)"])
def test_what_is_known_before_is_what_is_read(text, place, monkeypatch):
    WRITERS[text.split("(")[0]](place, monkeypatch.setattr)
    blank = DATASETS.build(text)
    data = blank.loaded()
    for part in ("train", "heldout"):
        before, after = (getattr(found, part) for found in (blank, data))
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
        known, found = (getattr(which, f"{part}_labels") for which in (blank, data))
        assert (known is None) == (found is None)
    assert (blank.name, blank.classes) == (data.name, data.classes)


COUNTS = {  # (train, held out, shape, classes) as the papers and torchvision's documentation have them
    "celeba": (162_770, 19_962, (3, 64, 64), 0),
    "cifar10": (50_000, 10_000, (3, 32, 32), 10),
    "cifar100": (50_000, 10_000, (3, 32, 32), 100),
    "fashion_mnist": (60_000, 10_000, (1, 32, 32), 10),
    "imagenet": (1_281_167, 50_000, (3, 128, 128), 1000),
    "mnist": (60_000, 10_000, (1, 32, 32), 10),
    "stl10": (100_000, 8_000, (3, 48, 48), 0),
    "svhn": (73_257, 26_032, (3, 32, 32), 10),
    "svhn(extra=true)": (604_388, 26_032, (3, 32, 32), 10),
}


@pytest.mark.parametrize("text", COUNTS)
def test_the_counts_are_the_published_ones(text):
    data = DATASETS.build(text)
    assert (len(data.train), len(data.heldout), data.sample_shape, data.classes) == COUNTS[text]


def test_options_of_labels_are_left_out_of_a_name_at_their_defaults():
    """So that the identity of a run over the plain data set does not hang on them."""
    assert DATASETS.canonical("svhn(extra=false)") == "svhn"
    assert DATASETS.canonical("celeba(attribute=none)") == "celeba(size=64)"
    assert DATASETS.canonical("celeba(attribute=Bald)") == "celeba(attribute=Bald, size=64)"


@pytest.mark.parametrize("name", WRITERS)
def test_files_and_digests_are_torchvisions(name):
    """Names that are written down here, so that a list need not import torchvision, are those it has."""
    source = DATASETS.build(name).stored.source
    files = source.published()
    assert {item.published for item in source.items} <= set(files)
    for item in source.items:
        assert len(files[item.published].md5) == 32
        assert all(url.startswith("http") for url in files[item.published].urls)
    kinds = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "stl10": "STL10"}
    if name in kinds:
        assert source.items[0].read == getattr(published, kinds[name]).base_folder
    if name == "celeba":
        listed = {file for _, _, file in published.CelebA.file_list}
        assert {item.published for item in source.items} == listed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stl10(size=50)", "size wants one of 8, 12, 16, 24, 32, 48, 96, got 50"),
        ("stl10(size=true)", "size wants one of"),
        ("celeba(size=179)", "size wants a whole number from 8 to 178"),
        ("celeba(attribute=smiling)", "unknown attribute 'smiling'; did you mean 'Smiling'?"),
        ("imagenet(size=4)", "size wants a whole number from 8 to 512"),
        ("svhn(extra=1)", "extra wants true or false, got 1"),
        ("mnist(size=28)", "size wants 32, or 16 for half of it, got 28"),
        ("cifar10(size=32)", "data set 'cifar10' has no option 'size'"),
    ],
)
def test_an_option_that_is_none_is_refused(text, message):
    with pytest.raises(UserError) as error:
        DATASETS.build(text)
    assert message in str(error.value)


# ---- files that are not as published --------------------------------------------------------------------

READ = {
    "cifar10": ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"],
    "cifar100": ["train", "test", "meta"],
    "svhn": ["train_32x32.mat", "test_32x32.mat"],
    "stl10": ["unlabeled_X.bin", "test_X.bin"],
    "celeba": ["list_attr_celeba.txt", "list_eval_partition.txt", "000002.jpg"],
    "imagenet": ["meta.bin", "n01443537_1.JPEG", "ILSVRC2012_val_00000002.JPEG"],
    "mnist": ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"],
    "fashion_mnist": ["train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"],
}
# Of single photographs no digests are published, and meta.bin is torchvision's own.
WITHOUT_DIGEST = (".jpg", ".JPEG", "meta.bin")
CASES = [
    (name, file, how)
    for name, files in READ.items()
    for file in files
    for how in ("truncated", "altered", "missing")
    if not (how == "altered" and file.endswith(WITHOUT_DIGEST))
    and not (how == "missing" and (name == "imagenet" or file.endswith((".txt", ".mat", ".gz"))))
]


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "missing":
        path.unlink()
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])


@pytest.mark.parametrize(("name", "file", "how"), CASES)
def test_a_file_that_is_not_the_published_one_is_refused_by_its_name(name, file, how, place, monkeypatch):
    WRITERS[name](place, monkeypatch.setattr)
    if name == "imagenet":
        DATASETS.build(name).stored.source.ready()
    (path,) = place.rglob(file)
    damaged(path, how)
    with pytest.raises(UserError) as error:
        loaded(name)
    fault = "missing" if how == "missing" else "not the published file, or only a part of it"
    assert f"{name}: {path} is {fault}; delete " in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((place.parent / "cache").rglob("meta.json"))


PACKED = {
    "cifar10": ("cifar-10-python.tar.gz", "cifar-10-batches-py"),
    "cifar100": ("cifar-100-python.tar.gz", "cifar-100-python"),
    "stl10": ("stl10_binary.tar.gz", "stl10_binary"),
    "celeba": ("celeba/img_align_celeba.zip", "celeba/img_align_celeba"),
    "imagenet": ("imagenet/ILSVRC2012_img_train.tar", "imagenet/train"),
}


@pytest.mark.parametrize("name", PACKED)
def test_an_archive_is_unpacked_and_then_not_needed(name, place, monkeypatch):
    WRITERS[name](place, monkeypatch.setattr)
    archive, unpacked = (place / path for path in PACKED[name])
    if name != "imagenet":
        from_folder = loaded(name)
        shutil.rmtree(place.parent / "cache")
        shutil.rmtree(unpacked)
    data = loaded(name)
    assert unpacked.is_dir()
    if name != "imagenet":
        assert torch.equal(data.train, from_folder.train)
    assert not [path for path in unpacked.parent.iterdir() if path.name.endswith(".partial")]
    archive.unlink()
    shutil.rmtree(place.parent / "cache")
    assert torch.equal(loaded(name).train, data.train)


@pytest.mark.parametrize("how", ["truncated", "altered"])
@pytest.mark.parametrize("name", PACKED)
def test_an_archive_that_is_not_the_published_one_is_refused_by_its_name(name, how, place, monkeypatch):
    WRITERS[name](place, monkeypatch.setattr)
    archive, unpacked = (place / path for path in PACKED[name])
    shutil.rmtree(unpacked, ignore_errors=True)
    damaged(archive, how)
    with pytest.raises(UserError) as error:
        loaded(name)
    assert f"{name}: {archive} is not the published file, or only a part of it; delete it" in str(error.value)
    assert not unpacked.exists()


def test_what_a_killed_process_has_unpacked_is_not_taken_for_whole(place, monkeypatch):
    WRITERS["cifar10"](place, monkeypatch.setattr)
    (place / "cifar-10-batches-py").rename(place / ".cifar-10-batches-py.partial")
    (place / ".cifar-10-batches-py.partial/data_batch_3").unlink()
    assert len(loaded("cifar10").train) == 20
    assert not (place / ".cifar-10-batches-py.partial").exists()


def test_a_folder_of_imagenet_with_an_image_too_few_is_refused(place, monkeypatch):
    WRITERS["imagenet"](place, monkeypatch.setattr)
    DATASETS.build("imagenet").stored.source.ready()
    (place / "imagenet/train/n01440764/n01440764_2.JPEG").unlink()
    with pytest.raises(UserError, match=r"imagenet: .*/train has 5 images of 6; delete it, and"):
        loaded("imagenet")
    shutil.rmtree(place / "imagenet/val/n01443537")
    (place / "imagenet/train/n0").mkdir()
    with pytest.raises(UserError, match=r"imagenet: .*/train is not as torchvision unpacks it: .*n0"):
        loaded("imagenet")


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_not_here_says_how_to_get_it(name, place, monkeypatch):
    monkeypatch.setattr(mnist, "DEBIAN", place / "nowhere")
    with pytest.raises(UserError) as error:
        loaded(name)
    assert "is not here: " in str(error.value)
    assert "\n" not in str(error.value)
    assert str(place) in str(error.value)
    assert not place.exists()
    assert not (place.parent / "cache").exists()
