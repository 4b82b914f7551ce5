"""Hostile and odd image files, and what should come of each.

Every kind of file that people have, or could make, in a folder of photos: damaged, mislabelled,
oversized, unusual and oddly named. What can be read shows a face that the tiny model finds.
"""

import io
import os
import struct
import sys
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from support.tiny_model import draw_photo

NOT_AN_IMAGE = "not an image"
TOO_MANY_PIXELS = "million pixels"
WHOLE = (0, 0, 64, 64)  # a face as large as the photo, which is found on whatever is left of it


def build(folder: Path) -> dict[str, str | None]:
    """Make the files.

    Beside those returned there are files that are no images by their ending, a hidden one, and an
    empty folder, of all of which nothing should be said.

    Args:
        folder: where they go; it exists and is empty.

    Returns:
        for each file, by its path from the folder, with `/`, None where it should be predicted,
        else a part of the reason why not.
    """
    expected: dict[str, str | None] = {}
    for name, data in _readable().items():
        (folder / name).write_bytes(data)
        expected[name] = None
    for name, (data, reason) in _unreadable().items():
        (folder / name).write_bytes(data)
        expected[name] = reason
    expected |= _places(folder)
    if os.name == "posix":
        expected |= _odd_names(folder) | _no_files(folder)
    return expected


def encode(image: Image.Image, format_: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    # Copies, since saving leaves its settings in an image, which the next format stumbles over.
    if "append_images" in options:
        options["append_images"] = [other.copy() for other in options["append_images"]]
    image.copy().save(stream, format_, **options)
    return stream.getvalue()


def _photo(blue: int = 200) -> Image.Image:
    return draw_photo(box_xywh=WHOLE, blue=blue)


def _readable() -> dict[str, bytes]:
    photo, frames = _photo(), [_photo(150), _photo(160)]
    jpeg, png = encode(photo, "JPEG"), encode(photo, "PNG")
    moving = {"save_all": True, "append_images": frames, "duration": 100}
    files = {
        "plain.jpg": jpeg,
        "plain.PNG": png,
        "png called.jpg": png,
        "gif called.png": encode(photo, "GIF"),
        "dib called.bmp": encode(photo, "DIB"),
        "plain.webp": encode(photo, "WEBP"),
        "plain.tif": encode(photo, "TIFF"),
        "plain.avif": encode(photo, "AVIF"),
        "trailing garbage.jpg": jpeg + b"garbage" * 1000,
        "progressive.jpg": encode(photo, "JPEG", progressive=True),
        "grey.jpg": encode(photo.convert("L"), "JPEG"),
        "phone.jpg": encode(photo, "MPO", save_all=True, append_images=frames),
        "moving.gif": encode(photo, "GIF", **moving),
        "moving.png": encode(photo, "PNG", **moving),
        "moving.webp": encode(photo, "WEBP", **moving),
        "moving.avif": encode(photo, "AVIF", **moving),
        "pages.tiff": encode(photo, "TIFF", save_all=True, append_images=frames),
        "deflated.tiff": encode(photo, "TIFF", compression="tiff_adobe_deflate"),
        "1 bit.png": encode(photo.convert("1"), "PNG"),
        "1 bit fax.tif": encode(photo.convert("1"), "TIFF", compression="group4"),
        "16 bit.png": encode(_grey(np.uint16, 257), "PNG"),
        "16 bit.tif": encode(_grey(np.uint16, 257), "TIFF"),
        "32 bit.tif": encode(_grey(np.int32, 257), "TIFF"),
        "32 bit of 8.tif": encode(_grey(np.int32, 1), "TIFF"),
        "palette.png": encode(photo.quantize(4), "PNG", transparency=0),
        "grey and alpha.png": encode(photo.convert("LA"), "PNG"),
        "alpha.png": encode(photo.convert("RGBA"), "PNG"),
        "nothing but alpha.png": encode(Image.new("RGBA", (64, 64)), "PNG"),
        "cmyk.jpg": encode(photo.convert("CMYK"), "JPEG"),
        "cmyk.tif": encode(photo.convert("CMYK"), "TIFF"),
        "cmyk unmarked.jpg": _without_adobe_marker(encode(photo.convert("CMYK"), "JPEG")),
        "ycck.jpg": _ycck(photo),
        "profile.jpg": encode(photo, "JPEG", icc_profile=_srgb()),
        "junk profile.jpg": encode(photo, "JPEG", icc_profile=b"junk" * 99),
        "junk exif.jpg": encode(photo, "JPEG", exif=b"Exif\0\0junk" * 99),
        "one pixel.png": encode(draw_photo((1, 1), (0, 0, 1, 1)), "PNG"),
        "thin.jpg": encode(draw_photo((20_000, 10), (0, 0, 20_000, 10)), "JPEG"),
        "flipped bits.jpg": flip_bits(encode(photo, "JPEG", quality=95), seed=1, count=3),
    }
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = draw_photo((128, 64), (16, 8, 48, 24))
        files[f"orientation {orientation}.jpg"] = encode(turned, "JPEG", exif=exif)
    return files


def _unreadable() -> dict[str, tuple[bytes, str]]:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    photo = Image.fromarray(noise)
    jpeg, png = encode(photo, "JPEG"), encode(photo, "PNG")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photo.jpg", jpeg)
    return {
        "half.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "half.png": (png[: len(png) // 2], "truncated"),
        "start.jpg": (jpeg[:3], NOT_AN_IMAGE),
        "nothing.jpg": (b"", NOT_AN_IMAGE),
        "zeros.png": (bytes(5000), NOT_AN_IMAGE),
        "text.jpg": ("ßomé words\n".encode() * 50, NOT_AN_IMAGE),
        "page.jpg": (b"<!doctype html><html><body>404 not found</body></html>", NOT_AN_IMAGE),
        "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', NOT_AN_IMAGE),
        "postscript.jpg": (encode(photo, "EPS"), NOT_AN_IMAGE),
        "document.jpg": (encode(photo, "PDF"), NOT_AN_IMAGE),
        "icon.png": (encode(photo, "ICO"), NOT_AN_IMAGE),
        "photoshop.tif": (_psd(), NOT_AN_IMAGE),
        "archive.jpg": (archive.getvalue(), NOT_AN_IMAGE),
        "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", NOT_AN_IMAGE),
        "flipped bits.png": (flip_bits(png, seed=1, count=3), "broken"),
        "float.tif": (encode(Image.new("F", (8, 8), 0.5), "TIFF"), "floating-point"),
        "bomb.png": (_png_bomb(), TOO_MANY_PIXELS),
        "bomb.gif": (_gif_bomb(), TOO_MANY_PIXELS),
        "bomb.bmp": (_bmp_bomb(), TOO_MANY_PIXELS),
        "bomb.tif": (_tiff_bomb(), TOO_MANY_PIXELS),
        "bomb.webp": (_webp_bomb(), TOO_MANY_PIXELS),
        "bomb.jpg": (_jpeg_bomb(), TOO_MANY_PIXELS),
        "text bomb.png": (_text_bomb(), "too large"),
    }


def _places(folder: Path) -> dict[str, str | None]:
    data = encode(_photo(), "PNG")
    for path in ("folder.jpg/inside.png", "deep/er/down.png"):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(data)
    (folder / "empty").mkdir()
    for name in ("words.txt", "no ending", "labels.csv", ".hidden.png"):
        (folder / name).write_bytes(data)
    return {"folder.jpg/inside.png": None, "deep/er/down.png": None}


def _odd_names(folder: Path) -> dict[str, str | None]:
    data = encode(_photo(), "PNG")
    names = [
        "new\nline.png",
        "carriage\rreturn.png",
        "tab\t.png",
        "escape \x1b[31m.png",
        "'single' \"double\".png",
        "comma, comma.png",
        "=1+1.png",
        "-rf.png",
        "@at.png",
        "space .png",
        " before.png",
        "back\\slash.png",
        "percent %s {}.png",
        "$(touch pwned).png",
        "[1, 2, 3, 4]__True.png",
        "right \u202egnp.png",
        unicodedata.normalize("NFD", "é 顔 ü.png"),
        "😷" * 60 + "long.png",  # 248 bytes, of at most 255
    ]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"not \xff\xfe utf-8.png"))
    for name in names:
        (folder / name).write_bytes(data)
    return dict.fromkeys(names)


def _no_files(folder: Path) -> dict[str, str | None]:
    (folder / "itself.jpg").symlink_to("itself.jpg")
    (folder / "nowhere.jpg").symlink_to("gone.jpg")
    (folder / "y.jpg").symlink_to("folder.jpg", target_is_directory=True)
    (folder / "link.jpg").symlink_to("plain.jpg")
    (folder / "device.jpg").symlink_to(os.devnull)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "locked.png").write_bytes(encode(_photo(), "PNG"))
    (folder / "locked.png").chmod(0)
    return {
        "itself.jpg": "symbolic links",
        "nowhere.jpg": "No such file",
        "y.jpg": "Is a directory",
        "link.jpg": None,
        "device.jpg": "not a regular file",
        "pipe.jpg": "not a regular file",
        "locked.png": None if os.geteuid() == 0 else "Permission denied",
    }


def flip_bits(data: bytes, seed: int, count: int) -> bytes:
    """Flip bits in the second half of a file, where its pixels are."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(data)
    for place in rng.integers(len(data) // 2, len(data) - 16, count):
        damaged[place] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _grey(kind: type, scale: int) -> Image.Image:
    grey = np.asarray(_photo().convert("L")).astype(kind) * scale
    return Image.fromarray(grey.astype(kind))


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _without_adobe_marker(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xee\0\x0eAdobe")
    return jpeg[:start] + jpeg[start + 16 :]


def _ycck(photo: Image.Image) -> bytes:
    """A JPEG as Photoshop writes it: CMYK, inverted, its first three channels as luminance."""
    inverted = Image.eval(photo, lambda value: 255 - value)
    channels = Image.eval(inverted.convert("YCbCr"), lambda value: 255 - value).split()
    jpeg = encode(Image.merge("CMYK", [*channels, Image.new("L", photo.size)]), "JPEG")
    transform = jpeg.index(b"Adobe") + 11
    return jpeg[:transform] + b"\2" + jpeg[transform + 1 :]


def _psd() -> bytes:
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 4, 4, 8, 3)
    return header + bytes(12) + b"\0\0" + bytes(48)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file, with its checksum."""
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _png_bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels)


def _text_bomb() -> bytes:
    png = encode(_photo(), "PNG")
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10**7), 9))
    return png[:33] + text + png[33:]


def _gif_bomb() -> bytes:
    gif = encode(_photo(), "GIF")
    return gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:]


def _bmp_bomb() -> bytes:
    bmp = encode(_photo(), "BMP")
    return bmp[:18] + struct.pack("<ii", 60_000, 60_000) + bmp[26:]


def _jpeg_bomb() -> bytes:
    jpeg = encode(_photo(), "JPEG")
    size = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:size] + struct.pack(">HH", 60_000, 60_000) + jpeg[size + 4 :]


def _tiff_bomb() -> bytes:
    tags = [(256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (279, 9)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


def _webp_bomb() -> bytes:
    webp = encode(_photo(), "WEBP", lossless=True)
    size = webp.index(b"VP8L") + 9  # 14 bits of width - 1, 14 of height - 1
    (bits,) = struct.unpack_from("<I", webp, size)
    return webp[:size] + struct.pack("<I", bits | 0x0FFF_FFFF) + webp[size + 4 :]
