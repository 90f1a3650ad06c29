"""Bytes as people write and read them."""

import re

from ..models.errors import UserError

_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", start=1):
    _UNITS[f"{_letter}B"] = 1000**_power
    _UNITS[f"{_letter}IB"] = 1024**_power


def parse_bytes(text: str | int) -> int:
    """Bytes of "24GiB" (binary), "24GB" (decimal), "24 GiB", "1.5GiB" or a whole number of bytes.

    Raises UserError for anything else, and for less than one byte.
    """
    known = isinstance(text, str | int) and not isinstance(text, bool)
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", str(text).strip()) if known else None
    if found is None or found[2].upper() not in _UNITS:
        raise UserError(f"{text!r} is no amount of memory: write 24GiB (binary), 24GB (decimal) or a number of bytes.")
    nbytes = int(float(found[1]) * _UNITS[found[2].upper()])
    if nbytes < 1:
        raise UserError(f"{text!r} is no amount of memory: it is less than a byte.")
    return nbytes


def format_bytes(nbytes: int) -> str:
    """Binary units with two decimals of GiB, whole MiB below one: "23.40 GiB", "116 MiB"."""
    if abs(nbytes) >= 2**30:
        return f"{nbytes / 2**30:.2f} GiB"
    if abs(nbytes) >= 2**20:
        return f"{nbytes / 2**20:.0f} MiB"
    return f"{nbytes:,} B"
