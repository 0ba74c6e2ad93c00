"""Pictures: PNG and JPEG to arrays, and arrays to pictures (through Pillow, the extra `images`).

Read as uint8 [h, w, 3], or [h, w] where the picture is grey (16-bit grey as i32). Written from uint8, or floats in 0..1, of [h, w],
[h, w, 1|3|4] or [c, h, w] with c of 1 or 3; what was assumed is returned in words. Only the header is read before the size is
checked, so a picture that would unpack to more than the limits is refused unread.

>>> write_image("grey.png", np.linspace(0, 1, 12).reshape(3, 4))
'grey [h, w] = [3, 4], floats 0..1 times 255'
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from dfg.data.atomic import atomic_write
from dfg.data.common import Array, check_size, refusal, shown, sniff
from dfg.data.convert import dtype_name
from dfg.data.npz import bad_format
from dfg.diagnostics import UserError

if TYPE_CHECKING:
    from types import ModuleType

MAX_PIXELS = 178_956_970  # Pillow's own bound
IMAGE_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise refusal("missing-extra", "reading and writing images needs Pillow, which is not installed",
                      help="install it with `pip install 'dfg[images]'`") from None
    return Image


def read_image(stream: BinaryIO, size: int, what: str) -> Array:
    """The picture as an array."""
    check_size(size, what)
    image_module = _pillow()
    head = stream.read(16)
    if sniff(head) != "image":
        raise bad_format(what, "image", head)
    if head[12:16] == b"IHDR" and (depth := stream.read(10))[8:9] == b"\x10" and depth[9:10] in (b"\x02", b"\x04", b"\x06"):
        raise refusal("bad-file", f"{what} has 16 bits a channel, of which 8 would be lost", help="save it with 8 bits a channel")
    stream.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the limit below decides
            with image_module.open(stream, formats=("PNG", "JPEG")) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise refusal("too-large", f"{what} unpacks to {width} x {height} pixels; the most is {MAX_PIXELS} in all")
                check_size(width * height * 4, what)
                image.load()
                return _pixels(image, what)
    except image_module.DecompressionBombError:
        raise refusal("too-large", f"{what} unpacks to more than {MAX_PIXELS} pixels") from None
    except UserError:
        raise
    except MemoryError:
        raise refusal("too-large", f"{what} does not fit into memory") from None
    except Exception as err:  # Pillow's decoders have no exception of their own for damaged files: struct.error, SyntaxError, ...
        raise refusal("bad-file", f"{what} is damaged: {shown(err) or type(err).__name__}") from None


def _pixels(image: Any, what: str) -> Array:
    mode = image.mode
    if mode in ("L", "RGB"):
        return np.array(image)
    if mode == "1":
        return np.array(image.convert("L"))
    if mode in ("I;16", "I;16B", "I;16L", "I"):
        return np.array(image).astype(np.int32)
    if mode in ("LA", "RGBA", "P", "PA", "La", "RGBa"):
        full: npt.NDArray[np.uint8] = np.array(image.convert("RGBA"))
        if int(full[..., 3].min(initial=255)) < 255:
            raise refusal("bad-file", f"{what} has transparent pixels, which have no one colour",
                          help="put it on a background: save it without transparency")
        return np.ascontiguousarray(full[..., 0] if mode in ("LA", "La") else full[..., :3])
    raise refusal("bad-file", f"{what} is in the colour mode {shown(mode)}; grey and RGB pictures are read", help="save it as RGB")


def _layout(array: Array) -> tuple[Array, str]:
    shape = list(array.shape)
    if array.ndim == 2:
        return array, f"grey [h, w] = {shape}"
    if array.ndim == 3 and shape[2] in (1, 3, 4):
        word = {1: "grey", 3: "RGB", 4: "RGB with opacity"}[shape[2]]
        return (array[..., 0] if shape[2] == 1 else array), f"{word} [h, w, {shape[2]}] = {shape}"
    if array.ndim == 3 and shape[0] in (1, 3):
        moved = np.moveaxis(array, 0, -1)
        return (moved[..., 0] if shape[0] == 1 else moved), f"{'grey' if shape[0] == 1 else 'RGB'} [{shape[0]}, h, w] = {shape}"
    raise refusal("bad-image", f"an array of shape {shape} is no picture",
                  help="a picture is [h, w], [h, w, c] with c of 1, 3 or 4, or [c, h, w] with c of 1 or 3"
                  + ("; write one element of the first axis" if array.ndim == 4 else ""))


def write_image(path: str | os.PathLike[str], array: Array) -> str:
    """Write a picture; returns in words how the array was understood."""
    where = Path(path)
    form = IMAGE_SUFFIXES.get(where.suffix.lower())
    if form is None:
        raise refusal("unknown-format", f"`{shown(where)}` is no picture's name", help="give it the suffix .png, .jpg or .jpeg")
    given = np.asarray(array)
    pixels, words = _layout(given)
    if not pixels.size:
        raise refusal("bad-image", f"an array of shape {list(given.shape)} has no pixels")
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise refusal("too-large", f"{pixels.shape[1]} x {pixels.shape[0]} pixels; the most is {MAX_PIXELS} in all")
    if given.dtype == np.bool_:
        pixels, words = pixels.astype(np.uint8) * np.uint8(255), f"{words}, false black and true white"
    elif given.dtype.kind == "f":
        low, high = float(np.min(pixels)), float(np.max(pixels))
        if not (low >= 0 and high <= 1):
            said = "holds NaN" if np.isnan(low) or np.isnan(high) else f"holds {low:.6g} to {high:.6g}"
            raise refusal("bad-image", f"a picture of floats must lie in 0..1, but this one {said}",
                          help="scale it, `(x - min(x)) / (max(x) - min(x))`, or cut it, `clip(x, 0, 1)`")
        pixels, words = np.rint(pixels.astype(np.float64) * 255).astype(np.uint8), f"{words}, floats 0..1 times 255"
    elif given.dtype == np.uint8:
        words = f"{words}, u8 as it is"
    else:
        raise refusal("bad-image", f"a picture is u8 or floats in 0..1, not {dtype_name(given)}",
                      help="convert it: `u8(x)` for values 0 to 255, or divide by the largest")
    if form == "JPEG" and pixels.ndim == 3 and pixels.shape[2] == 4:
        raise refusal("bad-image", "a JPEG picture has no opacity", help=f"write `{shown(where.with_suffix('.png'))}`")
    image_module = _pillow()
    if form == "JPEG" and max(pixels.shape[:2]) > 65_500:
        raise refusal("bad-image", "a JPEG picture is at most 65500 pixels wide and high",
                      help=f"write `{shown(where.with_suffix('.png'))}`")
    image = image_module.fromarray(np.ascontiguousarray(pixels))
    with atomic_write(where) as stream:
        image.save(stream, format=form, **({"quality": 95} if form == "JPEG" else {}))
    return words
