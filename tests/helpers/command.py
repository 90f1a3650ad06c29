"""The command line called within the test's process."""

import contextlib
import io
import sys
from dataclasses import dataclass

import pytest
from maia.__main__ import main


@dataclass
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    def sentence(self) -> str:
        """The one sentence of a person's mistake; fails if there is more, or a traceback."""
        assert self.code == 2, self
        lines = self.err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("maia: "), self.err
        assert "Traceback" not in self.out
        return lines[0]


def call(*arguments: object) -> Said:
    """`maia …` in this process."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["maia", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ending:
            main()
    finally:
        sys.argv = argv
    code = ending.value.code
    return Said(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
