"""Random streams by name."""

import hashlib


def derive_seed(stream: str) -> int:
    """A 31-bit seed from the name of a random stream."""
    return int.from_bytes(hashlib.sha256(stream.encode()).digest()[:4], "big") >> 1
