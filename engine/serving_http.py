"""What the supervisor asks of a server over HTTP: whether it is well, and whether it gets anything done."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

PROGRESS = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:prefix_cache_queries_total")
"""Counters of vLLM's that move as long as requests are worked on."""


class ServerHttp:
    """url: as clients use it, ending in /v1. Answers that do not come in time, or at all, are None or False."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self._url, self._root = url, url.removesuffix("/v1")
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        # A proxy of the environment is for addresses elsewhere.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def healthy(self, timeout: float) -> bool:
        """Whether it says that it is well."""
        return self._ask(f"{self._root}/health", None, timeout) is not None

    def models(self, timeout: float) -> list[str]:
        """Names that it serves; none if it does not say."""
        answer = self._ask(f"{self._url}/models", None, timeout)
        try:
            return [entry["id"] for entry in json.loads(answer or b"")["data"]]
        except (ValueError, KeyError, TypeError):
            return []

    def post(self, path: str, body: Mapping[str, Any] | None, timeout: float) -> bool:
        """Whether the server does it. path: below its root."""
        return self._ask(f"{self._root}{path}", json.dumps(body or {}).encode(), timeout) is not None

    def begin_probe(self, model: str, timeout: float) -> threading.Event:
        """Ask for one token. The event is set when it is there."""
        body = {"model": model, "messages": [{"role": "user", "content": "1"}], "max_tokens": 1, "temperature": 0}
        answered = threading.Event()

        def ask() -> None:
            if self.post("/v1/chat/completions", body, timeout):
                answered.set()

        threading.Thread(target=ask, name="server-probe", daemon=True).start()
        return answered

    def tokens(self, timeout: float) -> tuple[float, ...] | None:
        """Counts that change as long as requests are worked on; None if it does not say."""
        answer = self._ask(f"{self._root}/metrics", None, timeout)
        return None if answer is None else metric_sums(answer.decode("utf-8", "replace"), PROGRESS)

    def _ask(self, url: str, body: bytes | None, timeout: float) -> bytes | None:
        try:
            request = urllib.request.Request(url, body, self._headers)
            with self._opener.open(request, timeout=timeout) as answer:
                return bytes(answer.read())
        except (OSError, ValueError, urllib.error.URLError):
            return None
        except Exception:  # http.client has errors of its own for answers that are cut short
            return None


def metric_sums(text: str, names: tuple[str, ...]) -> tuple[float, ...]:
    """Values of counters in Prometheus' text format, summed over their labels; 0 for those that are not there."""
    sums = dict.fromkeys(names, 0.0)
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in sums:
            try:
                sums[name] += float(line.rsplit(" ", 1)[1])
            except (ValueError, IndexError):
                continue
    return tuple(sums.values())
