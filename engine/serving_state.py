"""Which servers `maia serve` runs on this machine, so that other commands find them: a small file for each."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ..models.caches import cache_directory
from ..models.errors import UserError
from ..models.files import write_whole
from .serving_http import ServerHttp

HEALTH_S = 5.0


@dataclass(frozen=True)
class ServerState:
    """url: ends in /v1. model: the names that it serves, the model itself first. pid: of the process that supervises
    it. key_file: holds the API key that it wants; None: none."""

    url: str
    model: tuple[str, ...]
    pid: int
    key_file: str | None = None

    @property
    def api_key(self) -> str | None:
        """The key. Raises UserError if its file cannot be read."""
        if self.key_file is None:
            return None
        try:
            return Path(self.key_file).read_text(encoding="utf-8").strip()
        except OSError as problem:
            raise UserError(
                f"the API key of the server at {self.url} cannot be read ({self.key_file}: {problem.strerror})."
            ) from None


def servers_directory() -> Path:
    """Where the files are, and the servers' logs; only for its owner. Created if it is missing."""
    place = cache_directory() / "servers"
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o700)
    return place


def write_state(state: ServerState) -> Path:
    """Make a server known. `remove_state` undoes it."""
    path = servers_directory() / f"{state.pid}.json"
    previous = os.umask(0o077)
    try:
        write_whole(path, (json.dumps(asdict(state), indent=1) + "\n").encode())
    finally:
        os.umask(previous)
    return path


def remove_state(pid: int) -> None:
    """Forget the server that this process supervised."""
    for kind in ("json", "key"):
        (servers_directory() / f"{pid}.{kind}").unlink(missing_ok=True)


def running_servers() -> list[ServerState]:
    """Those whose process lives, by age; files of others are removed."""
    found = []
    for path in sorted(servers_directory().glob("*.json"), key=lambda path: path.stat().st_mtime):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            state = ServerState(**{**data, "model": tuple(data["model"])})
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if _lives(state.pid):
            found.append(state)
        else:
            remove_state(state.pid)
    return found


def find_server(model: str) -> ServerState | None:
    """The latest server of this name, or of the adapter of this name, that answers; None: there is none."""
    for state in reversed(running_servers()):
        # Asked for its names too: after a crash another server may have its port.
        if model in state.model and model in ServerHttp(state.url, state.api_key).models(HEALTH_S):
            return state
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's: the number was given again
        return False
    return True
