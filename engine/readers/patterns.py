"""Several files by one name: {0000..0331}, {train,val}, and the shell's * ? [..]."""

import glob
import re
from pathlib import Path

from ...models.errors import UserError

_MOST = 1_000_000
"""Names that braces may stand for: more is a slip of the pen."""


def matching_files(pattern: str) -> list[Path]:
    """Files that the pattern names, sorted, each once; none if nothing matches.

    Raises UserError if braces name a file that is not there, while others of them are.
    """
    names = expand_braces(pattern)
    found: set[Path] = set()
    missing = []
    for name in names:
        paths = glob.glob(name) if glob.has_magic(name) else [name]
        files = [Path(path) for path in paths if Path(path).is_file()]
        found.update(files)
        if not files:
            missing.append(name)
    if found and missing:
        raise UserError(
            f"{len(missing)} of the {len(names)} files that {pattern} names are missing, the first is {missing[0]}: "
            "give the names of those that are there, for example with *."
        )
    return sorted(found)


def expand_braces(pattern: str) -> list[str]:
    """All names that {a,b} and {007..012} in a pattern stand for, in order; numbers keep their leading zeros.

    Raises UserError for a pattern that stands for more than a million.
    """
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    before, inside, after = pattern[: match.start()], match[1], pattern[match.end() :]
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", inside)
    if numbers is not None:
        first, last = int(numbers[1]), int(numbers[2])
        width = len(numbers[1]) if numbers[1].startswith("0") else 0
        choices = [f"{number:0{width}d}" for number in range(first, min(last, first + _MOST) + 1)]
    elif "," in inside:
        choices = inside.split(",")
    else:  # no braces in the shell's sense: they stay, out of the way of the search
        return [name.replace("\0", f"{{{inside}}}") for name in expand_braces(f"{before}\0{after}")]
    names = [name for choice in choices for name in expand_braces(f"{before}{choice}{after}")]
    if len(names) > _MOST:
        raise UserError(f"{pattern} stands for more than {_MOST} names: give fewer.")
    return names
