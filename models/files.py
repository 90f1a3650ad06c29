"""Writing files so that no crash and no full disk leaves a part of one."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part.

    The file's directory must exist. Raises OSError, with the file's name, when the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)  # on a full disk it would take what is left of it
        name_file(error, path)
        raise


def name_file(error: BaseException, path: Path) -> None:
    """Put the file's name into an error of a write, which leaves it out: a person asks which disk is full."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = str(path)
