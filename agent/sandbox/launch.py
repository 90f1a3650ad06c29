"""The command lines that start a worker: under bubblewrap, or bare.

Inside bubblewrap the code sees /python (the interpreter, its standard library, numpy, PIL), the system's shared
libraries, /sandbox (worker and protocol), four harmless devices and an empty /tmp of limited size; everything but
/tmp is read-only. There is no /proc, no /sys, no /etc, no home. Every namespace is new.

The user id inside must not be root's, because the kernel exempts root from RLIMIT_NPROC, also when a user
namespace shows it under another id. So a privileged launcher makes no user namespace: the worker takes a user id
that nobody uses, drawn anew for each run (the count of processes is by id), and keeps no capability. An ordinary
user gets a user namespace, which counts its processes by itself.
"""

import os
import random
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from ...models.errors import UserError
from .limits import Limits

HERE = Path(__file__).resolve().parent
FLAGS = ("-s", "-S", "-B", "-X", "utf8")  # no user or site packages, no bytecode written
ENVIRONMENT = {"PYTHONHASHSEED": "0"}  # the interpreter's: the same code prints its sets in the same order
PACKAGES = ("numpy", "PIL")
LIBRARY_COMPANIONS = {"numpy": "numpy.libs", "PIL": "pillow.libs"}  # shared libraries that wheels put beside them
DEVICES = ("/dev/null", "/dev/random", "/dev/urandom", "/dev/full")  # not /dev/zero: mapped shared, it hides memory
CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN = 6, 7, 21
NOBODY = 65534
REMEDY = (
    "install bubblewrap (for example `apt install bubblewrap`) and allow unprivileged user namespaces (`sysctl "
    "kernel.unprivileged_userns_clone=1`, on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`), "
    "or pass --sandbox none, which protects nothing"
)


@dataclass(frozen=True)
class Launch:
    """How to start one worker. environment: of the command. user: the id it takes inside, None to stay.

    packages: its additions to sys.path.
    """

    command: list[str]
    environment: dict[str, str]
    user: int | None
    packages: list[str]


def find_bubblewrap() -> str:
    """Path of the bwrap program. Raises UserError."""
    path = shutil.which("bwrap")
    if path is None:
        raise UserError(f"The sandbox needs the program bwrap, which is not installed: {REMEDY}.")
    return path


def is_privileged() -> bool:
    """Whether this process may make namespaces and change user ids by itself, as root outside a container can."""
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return all(held >> bit & 1 for bit in (CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN))
    return False


def draw_user() -> int | None:
    """An id that nobody uses: from the upper half of the largest range this process can take. None: there is none."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    first, count = max(((int(inner), int(length)) for inner, _, length in ranges), key=lambda item: item[1])
    if count < 2:
        return None
    # 2**31 and above have meanings of their own (-1 is "no change").
    last = min(first + count, 2**31) - 1
    return random.SystemRandom().randint(first + (last - first) // 2 + 1, last)


def package_directories() -> list[Path]:
    """Directories of numpy and PIL and of the shared libraries beside them. Imports neither. Raises UserError."""
    directories = []
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(f"The sandbox needs {name}: install it with `pip install {name.lower()}`.")
        directory = Path(next(iter(spec.submodule_search_locations))).resolve()
        directories += [directory, directory.parent / LIBRARY_COMPANIONS[name]]
    return [directory for directory in directories if directory.is_dir()]


def bare(arguments: list[str]) -> Launch:
    """A plain process: the worker may import whatever lies beside numpy and PIL."""
    packages = sorted({str(directory.parent) for directory in package_directories()})
    return Launch([_interpreter(), *FLAGS, str(HERE / "worker.py"), *arguments], ENVIRONMENT, None, packages)


def bubblewrapped(arguments: list[str], limits: Limits, info_fd: int, seccomp_fd: int) -> Launch:
    """The worker under bubblewrap. arguments: of the worker. Raises UserError.

    The environment is empty, and must be: bwrap itself is a process inside and keeps the one that it was given.
    """
    user = draw_user() if is_privileged() else None
    command = [find_bubblewrap(), *_isolation(user), *_file_system(limits.disk_bytes)]
    command += ["--info-fd", str(info_fd), "--seccomp", str(seccomp_fd), "--"]
    command += ["/python/bin/python", *FLAGS, "/sandbox/worker.py", *arguments]
    return Launch(command, {}, user, ["/python/packages"])


def check_bubblewrap() -> None:
    """Start and stop one empty sandbox. Raises UserError, which says what failed and the remedy."""
    user = draw_user() if is_privileged() else None
    command = [find_bubblewrap(), *_isolation(user), *_file_system(1 << 20)]
    command += ["--", "/python/bin/python", *FLAGS, "-c", "import os, json, resource"]
    done = subprocess.run(command, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise UserError(f"The sandbox does not start ({start_failure(done.stderr)}): {REMEDY}.")


def start_failure(output: bytes) -> str:
    """The reason in what bwrap or the worker wrote before any model-written code could run."""
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else "it ended without a word"


def _interpreter() -> str:
    return os.path.realpath(sys.executable)


def _isolation(user: int | None) -> list[str]:
    options = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    for name, value in ENVIRONMENT.items():
        options += ["--setenv", name, value]
    if user is None:
        return [*options, "--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    return [*options, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]  # until the worker has changed its id


def _file_system(disk_bytes: int) -> list[str]:
    options = [*_base_file_system()]
    for device in DEVICES:
        options += ["--dev-bind", device, device]
    options += ["--perms", "1777", "--size", str(disk_bytes), "--tmpfs", "/tmp"]
    return [*options, "--remount-ro", "/", "--chdir", "/tmp"]


@lru_cache(maxsize=1)
def _base_file_system() -> tuple[str, ...]:
    """The read-only part, found once: interpreter, standard library, packages, shared libraries, worker."""
    options: list[str] = []
    for directory in ("/python", "/python/bin", "/python/packages", "/sandbox", "/dev", "/usr"):
        options += ["--perms", "0755", "--dir", directory]
    for directory in ("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64"):
        if os.path.islink(directory):
            options += ["--symlink", os.readlink(directory), directory]
        elif os.path.isdir(directory):
            options += ["--ro-bind", directory, directory]
    options += _interpreter_files()
    for package in package_directories():
        options += ["--ro-bind", str(package), f"/python/packages/{package.name}"]
    for name in ("worker.py", "protocol.py"):
        options += ["--ro-bind", str(HERE / name), f"/sandbox/{name}"]
    return tuple(options)


def _interpreter_files() -> list[str]:
    """Binds of the interpreter at /python, wherever it lies, with the packages installed beside it hidden."""
    prefix, library = Path(sys.base_prefix).resolve(), f"/python/{sys.platlibdir}"
    standard = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(prefix)})).resolve()
    options = ["--ro-bind", _interpreter(), "/python/bin/python"]
    if prefix == Path("/usr"):
        options += ["--perms", "0755", "--dir", library]
        options += ["--ro-bind", str(standard), f"{library}/{standard.name}"]
    else:
        # Libraries of the interpreter (libpython, those of a conda environment) lie beside its standard library.
        options += ["--ro-bind", str(standard.parent), library, "--setenv", "LD_LIBRARY_PATH", library]
    for name in ("site-packages", "dist-packages"):
        if (standard / name).is_dir():
            options += ["--perms", "0555", "--size", "4096", "--tmpfs", f"{library}/{standard.name}/{name}"]
            options += ["--remount-ro", f"{library}/{standard.name}/{name}"]
    return options
