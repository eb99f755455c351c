"""An image file of whatever kind, size and mode as one square of bytes."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from snlab.core.checks import check_whole

# What a file may be, whatever its name says: PIL knows more, some of which it hands to other programs.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
AHEAD = 8  # images a thread, read and not yet taken
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


class UndecodableError(Exception):
    """A file that is no image, or a broken one: says which, and why."""


def decode(source: Path | bytes, size: int, channels: int = 3) -> Tensor:
    """The image in a file, or in a file's bytes, as uint8 (channels, size, size).

    Turned upright as its EXIF orientation says (one that cannot be read counts as none), cropped to the
    square in its middle, and resized: with PIL's ``BOX`` filter where it shrinks, which is the mean over the
    area of each new pixel, and with its ``BICUBIC`` where it grows.

    Grey is the same value in three channels, colour becomes grey by ITU-R 601's luma. What is transparent
    lies on white. Of 16 bits a channel the upper 8 count; of several frames, the first. Colour profiles are
    left aside. So the grey, the colour and the opaque RGBA copy of one image are one tensor.

    Args:
        source: JPEG, PNG, BMP, GIF, WebP or TIFF.
        size: height and width, in pixels.
        channels: 3 for colour, 1 for grey.

    Raises:
        UndecodableError: for a file that cannot be read, is no image, breaks off, has more pixels than PIL
            takes (``2 * Image.MAX_IMAGE_PIXELS``, 179 million), or values of unknown range (32 bits).
        ValueError: for another size or number of channels.
    """
    check_whole("size", size, least=1)
    check_channels(channels)
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file, formats=FORMATS) as image:
            image.load()
            square = _in_bytes(_square(_upright(image)))
            pixels = _resized(square.convert("L" if channels == 1 else "RGB"), size)
    except MemoryError:
        raise
    except Exception as error:  # PIL raises of every kind: OSError, SyntaxError, struct.error, IndexError...
        name = "the image" if isinstance(source, bytes) else str(source)
        raise UndecodableError(f"{name}: {_reason(error)}") from error
    array = np.array(pixels).reshape(size, size, channels)
    return torch.from_numpy(array).movedim(2, 0).contiguous()


def decode_all(paths: Iterable[Path], size: int, channels: int = 3) -> Iterator[Tensor | UndecodableError]:
    """What `decode` gives for each path, or raises, in their order.

    As many threads as there are cores read them. No more than a few images a thread are held at a
    time, however many there are.
    """
    Image.init()  # PIL's kinds of files, before threads look for them at once

    def one(path: Path) -> Tensor | UndecodableError:
        try:
            return decode(path, size, channels)
        except UndecodableError as error:
            return error

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[Tensor | UndecodableError]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="snlab-decode")
    try:
        for path in paths:
            waiting.append(pool.submit(one, path))
            if len(waiting) >= AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def check_channels(channels: object) -> None:
    """ValueError unless ``channels`` is 1 or 3."""
    if channels not in (1, 3) or isinstance(channels, bool | float):
        raise ValueError(f"channels wants 3 for colour, or 1 for grey, got {channels!r}")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of EXIF data that are damaged, in an image that is not
        return image


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _in_bytes(image: Image.Image) -> Image.Image:
    """The same picture with 8 bits a channel, opaque."""
    if image.mode in _SIXTEEN_BITS:
        values = np.asarray(image)
        grey = (values >> 8).astype(np.uint8)
        transparent = image.info.get("transparency")  # the one value that is, in PNG
        return Image.fromarray(grey if transparent is None else np.where(values == transparent, 255, grey))
    if image.mode in ("I", "F"):
        raise ValueError(f"32 bits a pixel (mode {image.mode}), of which white is not known")
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), pixels).convert("RGB")
    return image


def _resized(image: Image.Image, size: int) -> Image.Image:
    grows = size > image.width
    return image.resize((size, size), Image.Resampling.BICUBIC if grows else Image.Resampling.BOX)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or not one of a known kind"
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
