"""Holds the server of the fixture `served` as long as a process lives: `python served_holder.py PID`."""

import json
import os
import select
import signal
import sys
import threading
from pathlib import Path

from maia.engine.serving import VllmServer
from maia.engine.serving_command import server_command
from maia.engine.vlm_options import VlmOptions
from maia.models.errors import UserError
from maia.models.files import write_whole
from maia.models.vlm.checkpoint import read_checkpoint
from tiny_vlm import tiny_adapter, tiny_checkpoint

MODEL, ADAPTER, CONTEXT, CONCURRENT, DTYPE, CACHE_BYTES = "tiny", "tuned", 16384, 16, "fp32", 2**30


def main() -> None:
    """See the module's text."""
    run = os.pidfd_open(int(sys.argv[1]))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    cache, path, adapter = Path(os.environ["MAIA_TEST_CACHE"]), tiny_checkpoint(), tiny_adapter()
    options = VlmOptions(
        MODEL, path=path, dtype=DTYPE, context=CONTEXT, concurrent=CONCURRENT, adapters={ADAPTER: adapter}
    )
    checkpoint = read_checkpoint(path)
    server = VllmServer(
        lambda port: server_command(options, checkpoint, port, kv_bytes=CACHE_BYTES), cache / "served.log"
    )
    # While it starts, too, the run may end.
    watch = threading.Thread(target=lambda: (select.select([run], [], []), ended.set(), server.stop()), daemon=True)
    watch.start()
    try:
        server.start()
        paths = {"path": str(path), "adapter": ADAPTER, "adapter_path": str(adapter)}
        state = {"url": server.url, "model": MODEL, **paths, "context": CONTEXT, "dtype": DTYPE}
    except UserError as problem:
        state = {"problem": str(problem)}
    if not ended.is_set():
        write_whole(cache / "served.json", json.dumps({**state, "holder": os.getpid()}).encode())
    if "url" in state:
        ended.wait()
    server.stop()


if __name__ == "__main__":
    main()
