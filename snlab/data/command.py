"""``snlab data``: which data sets are here, and getting one that is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from snlab.core.folders import cache_folder
from snlab.data.dataset import DATASETS, DataSet
from snlab.data.stored import META, Stored, read_meta

HEADER = ("name", "train", "held out", "shape", "classes", "sha256 of the training images", "where")
# Of what scikit-learn brings, which takes a second to import: train, held out, shape, classes.
EMBEDDED = {
    "digits": (1_437, 360, (1, 16, 16), 10),
    "digits_mixture": (20_000, 5_000, (64,), 10),
    "photos": (11_616, 1_056, (3, 32, 32), 32),
}


class Row(NamedTuple):
    """One line of ``snlab data list``; what is not known is empty."""

    name: str
    train: str
    heldout: str
    shape: str
    classes: str
    digest: str
    where: str


def listed() -> list[str]:
    """The lines of ``snlab data list``: every data set with its defaults, and what else was converted."""
    rows, shown = [], set()
    for name in DATASETS.names():
        if name in EMBEDDED:
            rows.append(_row(name, *EMBEDDED[name], "in the package"))
            continue
        required = DATASETS.required(name)
        if required:
            rows.append(Row(name, "", "", "", "", f"wants {', '.join(required)}", ""))
            continue
        try:
            data = DATASETS.build(name)
        except Exception as error:  # of a user's own
            rows.append(Row(name, "", "", "", "", " ".join(str(error).split()), ""))
            continue
        rows.append(_of(name, data))
        if data.stored is not None:
            shown.add(data.stored.folder)
    for folder in sorted(path.parent for path in (cache_folder() / "data").glob(f"[!.]*/{META}")):
        meta = read_meta(folder) if folder not in shown else None
        if meta is not None:
            rows.append(_converted(folder.name, meta, str(folder)))
    return _columns([HEADER, *rows])


def how_to_get(name: str) -> str:
    """In a few words, of a data set by its name; empty where it is here, converted or not, or is drawn."""
    if name in EMBEDDED or name not in DATASETS.names() or DATASETS.required(name):
        return ""
    stored = DATASETS.build(name).stored
    source = None if stored is None or stored.meta() is not None else stored.source
    if source is None or not source.lacking():
        return ""
    if source.by_hand:
        return f"put {', '.join(source.lacking())} into {source.folder}"
    return f"snlab data fetch {name}" + (f", or apt-get install {source.package}" if source.package else "")


def fetch(text: str) -> str:
    """Get a data set by name, with options, as in ``stl10(size=96)``: downloaded, verified, converted once.

    Returns:
        What there is now, in a line.

    Raises:
        UserError: for an unknown name, a file that is not what was published, or what cannot be downloaded:
            with the files that are to be put where.
    """
    data = DATASETS.build(text)
    if data.stored is None:
        return f"{data.name} is made anew at each start: nothing to fetch"
    if data.stored.whole() is None and data.stored.source is not None:
        data.stored.source.get()
    data = data.stored.load()
    row = _of(data.name, data)
    labels = f"{row.classes} classes" if data.classes else "no labels"
    return (
        f"{row.name}: {row.train} images of {row.shape}, {row.heldout} held out, {labels}, "
        f"sha256 {row.digest}, in {row.where}"
    )


def _of(name: str, data: DataSet) -> Row:
    if data.stored is None:
        return _row(name, len(data.train), len(data.heldout), data.sample_shape, data.classes, "in memory")
    meta = data.stored.meta()
    if meta is not None:
        return _converted(name, meta, str(data.stored.folder))
    state, where = _state(data.stored)
    return _row(name, len(data.train), len(data.heldout), data.sample_shape, data.classes, state, where)


def _state(stored: Stored) -> tuple[str, str]:
    """Of what is not converted: what to say for its digest, and where its files are or how to get them."""
    source = stored.source
    if source is None:
        return "not converted yet", ""
    lacking = source.lacking()
    if not lacking:
        return "not converted yet", str(source.where())
    if source.by_hand:
        return "not here", f"put {', '.join(lacking)} into {source.folder}"
    return "not here", f"snlab data fetch {source.name}"


def _converted(name: str, meta: dict[str, Any], where: str) -> Row:
    train, heldout = meta["shapes"]["train"], meta["shapes"]["heldout"]
    digest = meta["files"]["train.bin"][1]
    return _row(name, train[0], heldout[0], train[1:], meta["classes"], digest, where)


def _row(
    name: str, train: int, heldout: int, shape: Sequence[int], classes: int, digest: str, where: str = ""
) -> Row:
    shown = " x ".join(map(str, shape))
    return Row(name, f"{train:,}", f"{heldout:,}", shown, str(classes or "-"), digest, where)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
