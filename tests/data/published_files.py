"""The published data sets in small: a few images in each true format.

What torchvision and snlab know of the published files, digests and counts, is set to that of the small ones.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torchvision.datasets as published
from PIL import Image

from snlab.data import cifar, pictures

# By name, because what snlab.data has under these names are the functions.
celeba, imagenet, mnist, stl10, svhn = (
    import_module(f"snlab.data.{name}") for name in ("celeba", "imagenet", "mnist", "stl10", "svhn")
)
CORNERS = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
)  # top left, top right, bottom left and right
Patch = Callable[[object, str, Any], None]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def images(n: int, height: int, width: int, seed: int) -> np.ndarray:
    """uint8 (n, 3, height, width), random but for the first image's corners: red, green, blue and white."""
    made = np.random.default_rng(seed).integers(0, 256, (n, 3, height, width), dtype=np.uint8)
    for place, colour in zip(((0, 0), (0, -1), (-1, 0), (-1, -1)), CORNERS, strict=True):
        made[(0, slice(None), *place)] = colour
    return made


def quarters(height: int, width: int) -> Image.Image:
    """An image whose quarters are red, green, blue and white."""
    small = np.array(CORNERS, np.uint8).reshape(2, 2, 3)
    return Image.fromarray(small.repeat(height // 2, 0).repeat(width // 2, 1))


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


def photograph(i: int, height: int, width: int, seed: int) -> bytes:
    """The first has four quarters, others are soft noise."""
    if i == 0:
        return jpeg(quarters(height, width))
    small = np.random.default_rng([seed, i]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return jpeg(Image.fromarray(small).resize((width, height)))


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


# ---- CIFAR ----------------------------------------------------------------------------------------------


def cifar_batches(root: Path, patch: Patch, kind: str = "CIFAR10") -> None:
    read = getattr(published, kind)
    folder = root / read.base_folder
    folder.mkdir(parents=True)
    labels, classes = ("labels", 10) if kind == "CIFAR10" else ("fine_labels", 100)
    for i, (name, _) in enumerate([*read.train_list, *read.test_list]):
        batch = {
            "data": images(4, 32, 32, seed=i).reshape(4, 3072),
            labels: [i % classes, classes - 1, 2 * i % classes, 0],
            "coarse_labels": [19, 19, 19, 19],
        }
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / read.meta["filename"]).write_bytes(pickle.dumps({read.meta["key"]: list("names")}))
    patch(cifar, "COUNTS", {"train": 4 * len(read.train_list), "heldout": 4})
    patch(read, "train_list", [[name, md5(folder / name)] for name, _ in read.train_list])
    patch(read, "test_list", [[name, md5(folder / name)] for name, _ in read.test_list])
    patch(read, "meta", {**read.meta, "md5": md5(folder / read.meta["filename"])})
    with tarfile.open(root / read.filename, "w:gz") as archive:
        archive.add(folder, read.base_folder)
    patch(read, "tgz_md5", md5(root / read.filename))


# ---- SVHN -----------------------------------------------------------------------------------------------


def svhn_mat(root: Path, patch: Patch) -> None:
    folder = root / "svhn"
    folder.mkdir(parents=True)
    splits = {}
    for seed, (split, (url, name, _)) in enumerate(published.SVHN.split_list.items()):
        digits = np.array([[1], [10], [9], [10], [2]], np.uint8)
        made = images(5, 32, 32, seed).transpose(2, 3, 1, 0)  # (row, column, channel, image)
        scipy.io.savemat(folder / name, {"X": made, "y": digits}, do_compression=True)
        splits[split] = [url, name, md5(folder / name)]
    patch(published.SVHN, "split_list", splits)
    patch(svhn, "COUNTS", dict.fromkeys(splits, 5))
    patch(svhn, "CHUNK", 2)


# ---- STL-10 ---------------------------------------------------------------------------------------------


def stl10_bin(root: Path, patch: Patch) -> None:
    read = published.STL10
    folder = root / read.base_folder
    folder.mkdir(parents=True)
    for seed, (name, _) in enumerate([*read.train_list, *read.test_list]):
        if name.endswith("_y.bin"):
            (folder / name).write_bytes(bytes([1, 10, 3, 4, 5]))
            continue
        made = images(5, 96, 96, seed)
        for top, left, colour in zip((0, 0, 94, 94), (0, 94, 0, 94), CORNERS, strict=True):
            made[0, :, top : top + 2, left : left + 2] = np.array(colour)[:, None, None]  # halved, the same
        (folder / name).write_bytes(made.transpose(0, 1, 3, 2).tobytes())  # column after column, as MATLAB
    for listed in ("train_list", "test_list"):
        patch(read, listed, [[name, md5(folder / name)] for name, _ in getattr(read, listed)])
    with tarfile.open(root / read.filename, "w:gz") as archive:
        archive.add(folder, read.base_folder)
    patch(read, "tgz_md5", md5(root / read.filename))
    patch(stl10, "COUNTS", {"train": 5, "heldout": 5})
    patch(stl10, "CHUNK", 2)


# ---- CelebA ---------------------------------------------------------------------------------------------


def celeba_tables(root: Path, patch: Patch) -> None:
    folder = root / "celeba"
    faces = folder / "img_align_celeba"
    faces.mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(1, 9)]
    for i, name in enumerate(names):
        (faces / name).write_bytes(photograph(i, 218, 178, seed=3))
    partition = dict(zip(names, (0, 0, 0, 1, 0, 2, 2, 1), strict=True))
    signs = np.where(np.random.default_rng(0).integers(0, 2, (8, 40)), 1, -1)
    tables = {
        "list_eval_partition.txt": [f"{name} {part}" for name, part in partition.items()],
        "identity_CelebA.txt": [f"{name} {i + 7}" for i, name in enumerate(names)],
        "list_bbox_celeba.txt": [
            "8",
            "image_id x_1 y_1 width height",
            *(f"{n}    95  71 226 313" for n in names),
        ],
        "list_landmarks_align_celeba.txt": [
            "8",
            " ".join(f"{part}_{axis}" for part in ("eye", "eye2", "nose", "left", "right") for axis in "xy"),
            *(f"{name} 69  109  106  113   77  142   73  152  108  154" for name in names),
        ],
        "list_attr_celeba.txt": [
            "8",
            f"{' '.join(celeba.ATTRIBUTES)} ",
            *(
                f"{name} {' '.join(f'{sign:2}' for sign in row)}"
                for name, row in zip(names, signs, strict=True)
            ),
        ],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="ascii")
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for name in names:
            archive.write(faces / name, f"img_align_celeba/{name}")
    listed = [(identifier, md5(folder / name), name) for identifier, _, name in published.CelebA.file_list]
    patch(published.CelebA, "file_list", listed)
    patch(celeba, "COUNTS", {"train": 4, "test": 2})
    patch(pictures, "CHUNK", 3)


# ---- ImageNet -------------------------------------------------------------------------------------------

WNIDS = ("n01440764", "n01443537")


def imagenet_archives(root: Path, patch: Patch) -> None:
    """The three archives; torchvision itself unpacks them."""
    folder = root / "imagenet"
    folder.mkdir(parents=True)
    fields = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "wordnet_height", "children")
    synsets = np.empty(3, [(name, object) for name in fields])
    synsets[0] = (1, WNIDS[1], "goldfish, Carassius auratus", "", 0, 0, [])
    synsets[1] = (2, WNIDS[0], "tench, Tinca tinca", "", 0, 0, [])
    synsets[2] = (3, "n00001740", "entity", "", 2, 1, [1, 2])  # of no class: it has children
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        add(archive, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        add(archive, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", b"2\n1\n2\n")
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as archive:
        for wnid in WNIDS:
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as photographs:
                for i in range(3):
                    add(photographs, f"{wnid}_{i}.JPEG", photograph(i, 150, 200 + i, seed=len(wnid)))
            add(archive, f"{wnid}.tar", inner.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as archive:
        for i in range(3):
            add(archive, f"ILSVRC2012_val_{i + 1:08}.JPEG", photograph(i, 140, 130, seed=9))
    archives = published.imagenet.ARCHIVE_META
    patch(
        published.imagenet,
        "ARCHIVE_META",
        {part: (name, md5(folder / name)) for part, (name, _) in archives.items()},
    )
    patch(imagenet, "COUNTS", {"train": 6, "val": 3})
    patch(pictures, "CHUNK", 4)


# ---- MNIST ----------------------------------------------------------------------------------------------


def idx(root: Path, patch: Patch, kind: str = "MNIST") -> None:
    folder = root / kind / "raw"
    folder.mkdir(parents=True)
    inside, resources = {}, []
    for seed, (name, _) in enumerate(getattr(published, kind).resources):
        if "images" in name:
            head, body = (2051, 7, 28, 28), images(7, 28, 28, seed)[:, 0].tobytes()
        else:
            head, body = (2049, 7), bytes([0, 9, 2, 3, 4, 5, 6])
        content = np.array(head, ">i4").tobytes() + body
        (folder / name).write_bytes(gzip.compress(content))
        inside[name.removesuffix(".gz")] = hashlib.md5(content).hexdigest()
        resources.append((name, md5(folder / name)))
    patch(mnist, "INSIDE", {**mnist.INSIDE, kind: inside})
    patch(mnist, "COUNTS", {"train": 7, "heldout": 7})
    patch(mnist, "DEBIAN", root / "nowhere")
    patch(getattr(published, kind), "resources", resources)


WRITERS: dict[str, Callable[[Path, Patch], None]] = {
    "cifar10": cifar_batches,
    "cifar100": lambda root, patch: cifar_batches(root, patch, "CIFAR100"),
    "svhn": svhn_mat,
    "stl10": stl10_bin,
    "celeba": celeba_tables,
    "imagenet": imagenet_archives,
    "mnist": idx,
    "fashion_mnist": lambda root, patch: idx(root, patch, "FashionMNIST"),
}
