"""What identifies a picture."""

import hashlib

from PIL import Image


def pixel_hash(image: Image.Image) -> str:
    """32 hex digits of the SHA-256 of size and RGB pixels: the same picture has the same hash, however it is stored."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()[:32]
