"""The wire format between the supervisor and the worker: length-prefixed JSON plus raw pixels, never pickle.

A frame is 8 bytes (two big-endian uint32: length of the JSON, length of the pixels), the JSON object, the pixels.
The object's "images" lists mode and size of every picture; their pixels follow one another in that order. A value
is null, a bool, a number or a string as itself, a list as a JSON list, and everything else as an object with one
key: {"t": [...]} a tuple, {"d": [[key, value], ...]} a dict, {"i": n} picture n of the frame.

Both sides load this file (inside the sandbox it lies beside the worker), so it imports the standard library only;
PIL is imported when the first picture comes. What the supervisor reads was written by hostile code: `parse_lengths`,
`parse_frame` and `Decoder` raise `ProtocolError` on anything that is not exactly a frame, and nothing else.
"""

import json
import math
import struct
import sys
from typing import Any

HEADER = struct.Struct(">II")
MAX_JSON_BYTES = 4 << 20  # parsed JSON takes some 20 times its length in memory
MAX_DEPTH = 32
MAX_SIDE = 4096
MAX_IMAGES = 4096
MAX_INTEGER = 2**63
TOO_LONG = f"text and numbers passed at once may take at most {MAX_JSON_BYTES >> 20} MiB; pass pixels as PIL images"
CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


class ProtocolError(Exception):
    """Bytes from the other side that are not a frame, or a frame over the limits."""


class Encoder:
    """Turns values into JSON-able trees and collects their pictures. `blobs`: the pixels, in order.

    Raises TypeError or ValueError, in words for the author of the value, on what cannot be sent.
    """

    def __init__(self, limit: int, finite: bool) -> None:
        self.limit = limit
        self.finite = finite
        self.images: list[dict[str, Any]] = []
        self.blobs: list[bytes] = []
        self._bytes = 0
        self._text = 0
        self._known: dict[int, tuple[Any, int]] = {}

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The tree of one value."""
        if depth > MAX_DEPTH:
            raise ValueError(f"values may be nested at most {MAX_DEPTH} deep")
        self._count(len(value) if isinstance(value, str) else 1)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, float):
            return self._real(value)
        if isinstance(value, list):
            return [self.encode(item, depth + 1) for item in value]
        if isinstance(value, tuple):
            return {"t": [self.encode(item, depth + 1) for item in value]}
        if isinstance(value, dict):
            return {"d": [[self._key(key), self.encode(item, depth + 1)] for key, item in value.items()]}
        return self._object(value, depth)

    def _count(self, characters: int) -> None:
        # Counted on the way, so that a huge value is refused before it is copied; `build_frame` counts exactly.
        self._text += characters
        if self._text > MAX_JSON_BYTES:
            raise ValueError(TOO_LONG)

    def _integer(self, value: int) -> int:
        if not -MAX_INTEGER <= value < MAX_INTEGER:
            raise ValueError("integers must fit into 64 bits")
        return int.__index__(value)

    def _real(self, value: float) -> float:
        if self.finite and not math.isfinite(value):
            raise ValueError("numbers must be finite, not NaN or infinity")
        return float.__float__(value)

    def _key(self, key: Any) -> Any:
        if key is None or isinstance(key, bool | int | float | str):
            return self.encode(key)
        raise TypeError(f"keys of dicts must be strings or numbers, not {type(key).__name__}")

    def _object(self, value: Any, depth: int) -> Any:
        # A value of these libraries exists only where the library is loaded, so nothing is imported for the test.
        numpy, pil = sys.modules.get("numpy"), sys.modules.get("PIL.Image")
        if pil is not None and isinstance(value, pil.Image):
            return {"i": self._image(value)}
        if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
            return self.encode(value.tolist() if isinstance(value, numpy.ndarray) else value.item(), depth)
        raise TypeError(
            f"cannot pass a {type(value).__name__}: only None, bools, numbers, strings, PIL images, numpy arrays of "
            "numbers, and lists, tuples and dicts of these"
        )

    def _image(self, image: Any) -> int:
        if id(image) in self._known:
            return self._known[id(image)][1]
        width, height = image.size
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
            raise ValueError(f"images must be 1 to {MAX_SIDE} pixels a side, not {width} x {height}")
        if len(self.images) >= MAX_IMAGES:
            raise ValueError(f"at most {MAX_IMAGES} images may be passed at once")
        original = image
        if image.mode not in CHANNELS:
            has_alpha = "transparency" in image.info or image.mode in ("PA", "La", "RGBa")
            image = image.convert("RGBA" if has_alpha else "RGB")
        self._bytes += width * height * CHANNELS[image.mode]
        if self._bytes > self.limit:
            raise ValueError(f"the images passed at once may hold at most {self.limit >> 20} MiB of pixels")
        self.images.append({"mode": image.mode, "size": [width, height]})
        self.blobs.append(image.tobytes())
        # The original is kept alive with its number: an id is only unique among living objects.
        self._known[id(original)] = (original, len(self.images) - 1)
        return len(self.images) - 1


def build_frame(fields: dict[str, Any], values: dict[str, Any], limit: int, finite: bool = False) -> list[bytes]:
    """The chunks of one frame: `fields` are plain JSON, `values` may hold pictures. limit: bytes of pixels.

    finite: refuse NaN and infinity. Raises TypeError or ValueError on values that cannot be sent.
    """
    encoder = Encoder(limit, finite)
    tree = {**fields, **{name: encoder.encode(value) for name, value in values.items()}, "images": encoder.images}
    body = json.dumps(tree).encode("ascii")
    if len(body) > MAX_JSON_BYTES:
        raise ValueError(TOO_LONG)
    return [HEADER.pack(len(body), sum(map(len, encoder.blobs))), body, *encoder.blobs]


def parse_lengths(header: bytes, limit: int) -> tuple[int, int]:
    """Lengths of a frame's JSON and pixels, checked before anything is read or allocated for them."""
    json_length, blob_length = HEADER.unpack(header)
    if not 2 <= json_length <= MAX_JSON_BYTES:
        raise ProtocolError(f"a message with {json_length} bytes of JSON")
    if blob_length > limit:
        raise ProtocolError(f"a message with {blob_length} bytes of pixels")
    return json_length, blob_length


def parse_frame(body: bytes) -> tuple[dict[str, Any], list[tuple[str, int, int]], int]:
    """The JSON object of a frame, its pictures as (mode, width, height), and how many bytes of pixels follow."""
    try:
        message = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ProtocolError("a message that is not JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("images"), list):
        raise ProtocolError("a message without its fields")
    if len(message["images"]) > MAX_IMAGES:
        raise ProtocolError("a message with too many images")
    images = [_parse_image(entry) for entry in message["images"]]
    return message, images, sum(width * height * CHANNELS[mode] for mode, width, height in images)


def _parse_image(entry: Any) -> tuple[str, int, int]:
    if not isinstance(entry, dict) or set(entry) != {"mode", "size"}:
        raise ProtocolError("an image without mode and size")
    mode, size = entry["mode"], entry["size"]
    if not isinstance(mode, str) or mode not in CHANNELS:
        raise ProtocolError("an image of an unknown mode")
    if not isinstance(size, list) or len(size) != 2 or any(type(side) is not int for side in size):
        raise ProtocolError("an image without a size")
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise ProtocolError("an image of an impossible size")
    return mode, size[0], size[1]


def cut_pixels(blob: bytes, images: list[tuple[str, int, int]]) -> list[Any]:
    """The PIL images of a frame. blob: as long as `parse_frame` said."""
    if not images:
        return []
    from PIL import Image

    pictures, start, view = [], 0, memoryview(blob)
    for mode, width, height in images:
        end = start + width * height * CHANNELS[mode]
        pictures.append(Image.frombytes(mode, (width, height), bytes(view[start:end])))
        start = end
    return pictures


class Decoder:
    """Turns trees back into values. finite: refuse NaN and infinity, which JSON as Python reads it allows."""

    def __init__(self, pictures: list[Any], finite: bool = False) -> None:
        self.pictures = pictures
        self.finite = finite

    def decode(self, tree: Any, depth: int = 0) -> Any:
        """The value of one tree. Raises ProtocolError."""
        if depth > MAX_DEPTH:
            raise ProtocolError("a message nested too deep")
        if isinstance(tree, list):
            return [self.decode(item, depth + 1) for item in tree]
        if not isinstance(tree, dict):
            return self._scalar(tree)
        if len(tree) != 1:
            raise ProtocolError("a value with an unknown tag")
        [(tag, content)] = tree.items()
        if tag == "i":
            if type(content) is not int or not 0 <= content < len(self.pictures):
                raise ProtocolError("a reference to an image that was not sent")
            return self.pictures[content]
        if tag == "t" and isinstance(content, list):
            return tuple(self.decode(item, depth + 1) for item in content)
        if tag == "d" and isinstance(content, list):
            return dict(self._pair(pair, depth) for pair in content)
        raise ProtocolError("a value with an unknown tag")

    def _pair(self, pair: Any, depth: int) -> tuple[Any, Any]:
        if not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[0], list | dict):
            raise ProtocolError("a dict entry that is not a key and a value")
        return self._scalar(pair[0]), self.decode(pair[1], depth + 1)

    def _scalar(self, value: Any) -> Any:
        if isinstance(value, str):
            # Lone surrogates are legal in JSON and break whoever later writes the text as UTF-8.
            return value.encode("utf-8", "replace").decode("utf-8")
        if isinstance(value, int) and not isinstance(value, bool) and not -MAX_INTEGER <= value < MAX_INTEGER:
            raise ProtocolError("an integer of more than 64 bits")
        if self.finite and isinstance(value, float) and not math.isfinite(value):
            raise ProtocolError("a number that is not finite")
        return value
