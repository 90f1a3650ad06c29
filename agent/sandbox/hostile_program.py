"""What a hostile program is, and how the common kinds are written.

A program prints LEAK where it got what it must not get, and never prints the secret of the check. `refused` runs an
attempt and prints "refused" when the operating system says no, so that a program which fails for another reason,
such as a typing error in it, does not pass for contained. @NAMES@ are filled in by the check: SECRET_FILE (a file
that everybody may read and write), SECRET_NAME (an environment variable), TCP, UDP (ports on 127.0.0.1), ABSTRACT
(a socket's name), REPOSITORY, HOME, PID (ours).
"""

from dataclasses import dataclass
from textwrap import dedent

PRELUDE = """\
def refused(action):
    try:
        result = action()
    except OSError as error:
        print("refused:", type(error).__name__)
    else:
        print("LEAK", repr(result)[:300])

"""
LIBC = """\
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
"""
PIPES = """\
import fcntl, json, os, struct, time

def pipes(access):
    found = []
    for f in range(3, 64):
        try:
            if fcntl.fcntl(f, fcntl.F_GETFL) & 3 == access:
                found.append(f)
        except OSError:
            pass
    return found

READ, WRITE = pipes(os.O_RDONLY)[0], pipes(os.O_WRONLY)[0]

def frame(body, blob=b''):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    os.write(WRITE, struct.pack('>II', len(body), len(blob)) + body + blob)
    time.sleep(30)

def call(name='system.neuron', args=[], kwargs={'d': []}, images=[]):
    return {'type': 'call', 'name': name, 'args': args, 'kwargs': kwargs, 'images': images}

"""


@dataclass(frozen=True)
class Program:
    """One hostile program.

    outcomes: those allowed. says: must occur in its output or error. prelude: goes before the code.
    """

    name: str
    code: str
    outcomes: tuple[str, ...] = ("ok",)
    says: str = ""
    prelude: str = ""

    @property
    def source(self) -> str:
        """The whole program, with @NAMES@ to fill in."""
        return self.prelude + dedent(self.code)


def attempt(name: str, code: str) -> Program:
    """A program that must run to its end, having been refused."""
    return Program(name, code, ("ok",), "refused", prelude=PRELUDE)


def native(name: str, call: str) -> Program:
    """A program that calls the C library, which must answer -1."""
    code = f"print('LEAK' if {call} != -1 else 'refused: ' + os.strerror(ctypes.get_errno()))\n"
    return Program(name, code, ("ok",), "refused", prelude=LIBC)


def by_hand(name: str, code: str, outcomes: tuple[str, ...], says: str = "") -> Program:
    """A program that uses the pipe's descriptors itself."""
    return Program(name, code, outcomes, says, PIPES)


def forged(name: str, code: str) -> Program:
    """A program that writes something to the pipe that ends its run at once."""
    return by_hand(name, code, ("error",), "own pipe")
