"""One image in every kind of file and mode, against PIL and numpy."""

from __future__ import annotations

import io
import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from snlab.data import decoding
from snlab.data.decoding import UndecodableError, decode, decode_all

GREY = np.random.default_rng(0).integers(0, 256, (40, 56), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def means(image: np.ndarray, factor: int) -> np.ndarray:
    """The mean of each factor x factor block of the middle square, (size, size, ...)."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side].astype(float)
    size = side // factor
    return square.reshape(size, factor, size, factor, *image.shape[2:]).mean((1, 3))


def test_it_is_the_middle_square_and_each_pixel_the_mean_of_an_area():
    got = decode(file(Image.fromarray(COLOUR)), 10)
    assert got.dtype == torch.uint8
    assert got.shape == (3, 10, 10)
    assert got.is_contiguous()
    assert np.abs(got.permute(1, 2, 0).numpy() - means(COLOUR, 4)).max() <= 1  # PIL rounds twice


def test_red_green_and_blue_stay_in_their_order_and_up_stays_up():
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[0, 0], image[0, 3], image[3, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    got = decode(file(Image.fromarray(image)), 4)
    assert got[:, 0, 0].tolist() == [255, 0, 0]
    assert got[:, 0, 3].tolist() == [0, 255, 0]
    assert got[:, 3, 0].tolist() == [0, 0, 255]
    assert int(got.long().sum()) == 3 * 255


@pytest.mark.parametrize("size", [40, 64])
def test_the_same_size_is_untouched_and_a_larger_one_bicubic(size):
    square = COLOUR[:, 8:48]
    expected = np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))
    assert size != 40 or np.array_equal(expected, square)
    assert np.array_equal(decode(file(Image.fromarray(COLOUR)), size).permute(1, 2, 0).numpy(), expected)


COPIES = {
    "grey": file(Image.fromarray(GREY)),
    "RGB": file(Image.fromarray(GREY).convert("RGB")),
    "RGBA": file(Image.fromarray(GREY).convert("RGBA")),
    "LA": file(Image.fromarray(GREY).convert("LA")),
    "palette": file(Image.fromarray(GREY).convert("P")),
    "palette, one colour transparent and unused": file(
        Image.fromarray(np.minimum(GREY, 254)).convert("P"), transparency=255
    ),
    "16 bits": file(Image.fromarray(GREY.astype(np.uint16) * 257)),
    "16 bits, TIFF": file(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"),
    "TIFF": file(Image.fromarray(GREY), "TIFF"),
    "BMP": file(Image.fromarray(GREY), "BMP"),
    "GIF": file(Image.fromarray(GREY), "GIF"),
    "WebP": file(Image.fromarray(GREY).convert("RGB"), "WEBP", lossless=True),
    "CMYK": file(Image.merge("CMYK", [Image.fromarray(255 - GREY)] * 3 + [Image.new("L", (56, 40))]), "TIFF"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("copy", COPIES)
def test_every_copy_of_one_image_is_one_tensor(copy, channels):
    values = np.minimum(GREY, 254) if "unused" in copy else GREY
    expected = np.asarray(Image.fromarray(values).crop((8, 0, 48, 40)).resize((10, 10), Image.Resampling.BOX))
    assert np.abs(expected - means(values, 4)).max() <= 1
    got = decode(COPIES[copy], 10, channels)
    assert torch.equal(got, torch.from_numpy(expected.copy()).expand(channels, 10, 10))


def test_one_bit_is_black_and_white():
    got = decode(file(Image.fromarray(GREY > 127)), 40, 1)
    assert np.array_equal(got[0].numpy(), np.where(GREY[:, 8:48] > 127, 255, 0))


def test_a_jpeg_is_what_pil_reads_in_colour_and_in_grey():
    data = file(Image.fromarray(COLOUR), "JPEG")
    read = Image.open(io.BytesIO(data)).crop((8, 0, 48, 40))
    assert np.array_equal(decode(data, 40).permute(1, 2, 0).numpy(), np.asarray(read))
    r, g, b = np.asarray(read).astype(float).transpose(2, 0, 1)
    luma = 0.299 * r + 0.587 * g + 0.114 * b  # ITU-R BT.601
    assert np.abs(decode(data, 40, 1)[0].numpy() - luma).max() <= 0.51


def test_what_is_transparent_lies_on_white():
    alpha = np.random.default_rng(2).integers(0, 256, (40, 56), dtype=np.uint8)
    image = Image.fromarray(np.dstack([COLOUR, alpha]))
    opacity = alpha[:, 8:48, None] / 255
    expected = COLOUR[:, 8:48] * opacity + 255 * (1 - opacity)
    got = decode(file(image), 40).permute(1, 2, 0).numpy()
    assert np.abs(got - expected).max() <= 1
    palette = Image.fromarray(GREY).convert("P")
    got = decode(file(palette, transparency=int(GREY[0, 10])), 40)
    expected = np.where(GREY[:, 8:48] == GREY[0, 10], 255, GREY[:, 8:48])
    assert np.array_equal(got[0].numpy(), expected)
    wide = Image.fromarray(GREY.astype(np.uint16) * 257)
    got = decode(file(wide, transparency=int(GREY[0, 10]) * 257), 40, 1)
    assert np.array_equal(got[0].numpy(), expected)


# What the EXIF orientation says of the stored pixels, as numpy makes the picture upright.
UPRIGHT = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize(("turn", "kind"), list(itertools.product(UPRIGHT, ["PNG", "TIFF", "WEBP", "JPEG"])))
def test_it_is_turned_upright(turn, kind):
    exif = Image.Exif()
    exif[0x0112] = turn
    blocks = np.array([[0, 80, 120], [160, 200, 255]], dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = file(Image.fromarray(blocks).convert("RGB"), kind, exif=exif, **options)
    upright = Image.fromarray(np.ascontiguousarray(UPRIGHT[turn](blocks)))
    side, (w, h) = 16, upright.size
    square = upright.crop(((w - side) // 2, (h - side) // 2, (w + side) // 2, (h + side) // 2))
    assert np.abs(decode(data, side, 1)[0].numpy().astype(int) - np.asarray(square)).max() <= 1


def test_damaged_exif_counts_as_none():
    info = PngInfo()
    info.add(b"eXIf", b"II*\0" + b"\xff" * 9)
    got = decode(file(Image.fromarray(COLOUR), pnginfo=info), 40)
    assert np.array_equal(got.permute(1, 2, 0).numpy(), COLOUR[:, 8:48])


def test_the_first_of_several_frames_counts():
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    got = decode(file(first, "GIF", save_all=True, append_images=[second]), 40, 1)
    assert np.array_equal(got[0].numpy(), GREY[:, 8:48])


WHOLE = file(Image.fromarray(COLOUR))
BROKEN = {
    "empty": (b"", "not an image"),
    "text": (b"<html>404</html>", "not an image"),
    "cut PNG": (WHOLE[:-900], "truncated"),
    "cut JPEG": (file(Image.fromarray(COLOUR), "JPEG")[:-700], "truncated"),
    "altered PNG": (WHOLE[:400] + b"\0\0\0\0" + WHOLE[404:], ""),
    "a kind that PIL hands to Ghostscript": (file(Image.fromarray(GREY), "EPS"), "not an image"),
    "floats": (file(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "mode F"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_with_the_reason(kind, tmp_path):
    data, reason = BROKEN[kind]
    path = tmp_path / "it.png"
    path.write_bytes(data)
    with pytest.raises(UndecodableError, match=rf"^{path}: .*{reason}"):
        decode(path, 8)
    with pytest.raises(UndecodableError, match=rf"^the image: .*{reason}"):
        decode(data, 8)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UndecodableError, match=r"gone\.png: No such file"):
        decode(tmp_path / "gone.png", 8)


def test_more_pixels_than_pil_takes_are_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 56 // 2 - 1)
    with pytest.raises(UndecodableError, match="exceeds limit"):
        decode(WHOLE, 8)


@pytest.mark.parametrize(("size", "channels"), [(0, 3), (8, 2), (8, True), (8.0, 3)])
def test_another_size_or_number_of_channels_is_refused(size, channels):
    with pytest.raises(ValueError, match="wants"):
        decode(WHOLE, size, channels)


# ---- many -----------------------------------------------------------------------------------------------


def test_many_come_in_order_with_the_broken_ones_in_their_place(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(60)]
    for i, path in enumerate(paths):
        path.write_bytes(file(Image.new("L", (4, 4), 4 * i)) if i % 7 else b"no")
    got = list(decode_all(paths, 4, 1))
    assert [isinstance(one, UndecodableError) for one in got] == [i % 7 == 0 for i in range(60)]
    assert all(int(one[0, 0, 0]) == 4 * i for i, one in enumerate(got) if i % 7)


def test_few_are_read_ahead_and_no_thread_is_left(tmp_path, monkeypatch):
    asked: list[int] = []

    def numbered() -> object:
        for i in range(10_000):
            asked.append(i)
            yield Path(tmp_path / "gone.png")

    monkeypatch.setattr(decoding.os, "sched_getaffinity", lambda _: {0, 1})
    images = decode_all(numbered(), 4)
    for _ in range(5):
        next(images)
    assert len(asked) <= 5 + 2 * decoding.AHEAD
    images.close()
    assert not any(thread.name.startswith("snlab-decode") for thread in threading.enumerate())
