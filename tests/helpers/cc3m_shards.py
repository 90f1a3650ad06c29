"""A tar shard as CC3M has them, with faults."""

import io
import tarfile
from pathlib import Path

from tiny_detector import pictures

CAPTIONS = ("a dog on a leash", "a train and an instrument", "snow on a car", "nothing at all", None, "two dogs")


def write_shard(folder: Path) -> Path:
    """12 pictures of 64 x 64 with the CAPTIONS in turn; the last but one is a thumbnail of 8 x 8, the last none."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "00000.tar", "w") as tar:
        for place, image in enumerate(pictures(*[(64, 64)] * 10, (8, 8), (64, 64), seed=9)):
            data = io.BytesIO()
            image.save(data, "PNG")
            parts = {"png": data.getvalue() if place != 11 else b"no picture"}
            caption = CAPTIONS[place % len(CAPTIONS)]
            if caption is not None:
                parts["txt"] = caption.encode()
            for ending, content in parts.items():
                entry = tarfile.TarInfo(f"{place:05}.{ending}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return folder
