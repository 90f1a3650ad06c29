"""A small server of OpenAI's protocol that misbehaves as it is told: in vLLM's place, quickly.

`python fake_openai.py --port P --model NAME [--state DIR]`. What it does with a request stands in files of the state
directory, which outlive it, so that a restart can be told from the start:

    starts      a line for each start; the first word of `refuse` (a number) starts fail with the rest as an error
    behave      how the next requests are answered: one word a line, the last one stays:
                ok, 429, 429-after, 500, 401, 400 TEXT, drop, hang, garbage, no-choice, empty, length, slow
    poison      whoever asks for this text takes the server down; endless: it is never answered
    seen.jsonl  the bodies of the requests
"""

import argparse
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOCK = threading.Lock()


def behaviour(state: Path) -> str:
    """The next word of `behave`."""
    file = state / "behave"
    with LOCK:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) > 1:
            file.write_text("\n".join(lines[1:]))
        return lines[0] if lines else "ok"


def answer(model: str, body: dict[str, Any], how: str) -> dict[str, Any]:
    """A completion that repeats the last text of the last message."""
    last = body["messages"][-1]["content"]
    texts = [last] if isinstance(last, str) else [part["text"] for part in last if part["type"] == "text"]
    text = "" if how == "empty" else f"echo {texts[-1] if texts else ''}"
    finish = "length" if how == "length" else "stop"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [] if how == "no-choice" else [choice],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 3,
            "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 8},
        },
    }


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    state: Path
    model: str
    key: str | None
    blind: bool
    asleep = False
    tokens = 0

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _send(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _error(self, code: int, text: str, headers: dict[str, str] | None = None) -> None:
        self._send(code, {"error": {"message": text, "type": "Error", "code": code}}, headers)

    def _allowed(self) -> bool:
        if self.key and self.path.startswith("/v1") and self.headers.get("authorization") != f"Bearer {self.key}":
            self._error(401, "Unauthorized")
            return False
        return True

    def do_GET(self) -> None:
        """Health, models, metrics."""
        if not self._allowed():
            return
        if self.path == "/health":
            self._send(503 if (self.state / "ill").exists() else 200, "")
        elif self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [{"id": self.model, "object": "model"}]})
        elif self.path == "/metrics":
            if (self.state / "busy").exists():
                type(self).tokens += 1
            self._send(
                200,
                f'vllm:prefix_cache_hits_total{{engine="0"}} 90.0\n'
                f'vllm:prefix_cache_queries_total{{engine="0"}} 100.0\n'
                f"vllm:generation_tokens_total {float(self.tokens)}\n",
            )
        else:
            self._error(404, "Not Found")

    def do_POST(self) -> None:
        """Completions, sleep, waking."""
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self._allowed():
            return
        if self.path.startswith(("/sleep", "/wake_up")):
            type(self).asleep = self.path.startswith("/sleep")
            with (self.state / "slept").open("a") as file:
                file.write(self.path + "\n")
            self._send(200, {"status": "ok"})
            return
        body = json.loads(data)
        if body.get("model") != self.model:
            self._error(404, f"The model `{body.get('model')}` does not exist.")
            return
        with LOCK, (self.state / "seen.jsonl").open("a") as file:
            file.write(json.dumps(body) + "\n")
        self._complete(body)

    def _complete(self, body: dict[str, Any]) -> None:
        pictures = [part for m in body["messages"] if isinstance(m["content"], list) for part in m["content"]]
        if self.blind and any(part["type"] == "image_url" for part in pictures):
            self._error(400, "At most 0 image(s) may be provided in one prompt.")
            return
        last = str(body["messages"][-1]["content"])
        if (self.state / "poison").exists() and (self.state / "poison").read_text() in last:
            os._exit(9)
        if (self.state / "endless").exists() and (self.state / "endless").read_text() in last:
            time.sleep(3600)
        how, _, text = behaviour(self.state).partition(" ")
        if how == "429":
            self._error(429, "too many")
        elif how == "429-after":
            self._error(429, "too many", {"retry-after": text or "0"})
        elif how in ("500", "503", "400", "401", "403"):
            self._error(int(how), text or "as told")
        elif how == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif how == "hang":
            time.sleep(3600)
        elif how == "garbage":
            self._send(200, "<html>this is no JSON</html>", {"content-type": "text/html"})
        else:
            if how == "slow":
                time.sleep(float(text or 1))
            type(self).tokens += 3
            self._send(200, answer(self.model, body, how))


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", "--served-model-name", default="fake")
    parser.add_argument("--state", type=Path, default=Path("."))
    parser.add_argument("--blind", action="store_true")
    chosen, _ = parser.parse_known_args()  # vLLM has many more
    Handler.state, Handler.model, Handler.blind = chosen.state, chosen.model, chosen.blind
    Handler.key = os.environ.get("VLLM_API_KEY")
    with (chosen.state / "starts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    refuse = chosen.state / "refuse"
    if refuse.exists():
        count, _, text = refuse.read_text().partition(" ")
        starts = len((chosen.state / "starts").read_text().splitlines())
        if starts <= int(count.lstrip("+")) and not count.startswith("+"):
            sys.exit(text)
        if count.startswith("+") and starts > int(count[1:]):  # "+1": from the second start on
            sys.exit(text)
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", chosen.port), Handler)
    server.daemon_threads = True
    if (chosen.state / "children").exists():
        _leave_children(chosen.state)
    print(f"Application startup complete on {server.server_port}", flush=True)
    (chosen.state / "port").write_text(str(server.server_port))
    server.serve_forever()


def _leave_children(state: Path) -> None:
    """A child in a session of its own, its child, and shared memory that nobody will give back."""
    from multiprocessing import shared_memory

    memory = shared_memory.SharedMemory(create=True, size=4096, name=f"maia_test_{os.getpid()}")
    pids = []
    child = os.fork()
    if child == 0:
        os.setsid()
        os.fork()
        while True:
            time.sleep(3600)
    pids.append(child)
    (state / "left").write_text(json.dumps({"pids": pids, "shared": memory.name}))


if __name__ == "__main__":
    main()
