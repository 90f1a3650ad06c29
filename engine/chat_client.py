"""The client of a server that speaks OpenAI's protocol: vLLM's of our own, or any on the lab's network."""

import asyncio
import base64
import json
import random
import re
import ssl
import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.errors import UserError, first_line
from ..models.vlm.chat import ChatImage, ChatMessage, ChatReply, ChatRequest, ContextOverflow, RequestFailed, Sampling
from ..models.vlm.conversation import harmless
from .serving_http import metric_sums

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ATTEMPTS = 4
"""Of one request, the first among them."""
PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before the second attempt at most; then twice as long each time, up to the longest."""
CONNECT_S = 10.0

_CACHED = ("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total")


class Unreachable(Exception):
    """The server does not answer, or broke off: it may be gone, or hang, or be starting again."""


class TimedOut(Unreachable):
    """It took the request, and no answer came in time."""


class ChatClient:
    """Asks a server. Use it in one event loop, where it was made; close it there.

    retries: attempts beyond the requests' first, until now.
    """

    def __init__(
        self,
        url: str,
        model: str,
        api_key: str | None = None,
        timeout: float = 600.0,
        concurrent: int = 16,
        *,
        seeded: bool = False,
        images_first: bool = False,
        system_role: bool = True,
        adds_special_tokens: bool = False,
        specials: Collection[str] = (),
        patience: float = LONGEST_PAUSE_S,
    ) -> None:
        """url: ends in /v1. model: a name that the server knows. timeout: seconds that an attempt may take.
        concurrent: requests in flight at most.

        seeded: requests carry their seeds (a vLLM on the CPU dies of them). images_first, system_role: see Family.
        adds_special_tokens: see Checkpoint. specials: tokens that texts must not hold, see
        `harmless`. patience: seconds between two attempts at most, whatever the server wants.
        """
        self.url, self.model = url.rstrip("/"), model
        self.retries = 0
        self._key, self._timeout, self._patience = api_key, timeout, patience
        self._slots = asyncio.Semaphore(concurrent)
        self._concurrent = concurrent
        self._seeded, self._adds_special_tokens = seeded, adds_special_tokens
        self._images_first, self._system_role, self._specials = images_first, system_role, tuple(specials)
        self._openai: AsyncOpenAI | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._openai is not None:
            await self._openai.close()
            self._openai = None

    async def complete(self, request: ChatRequest, reconnect: bool = True) -> ChatReply:
        """The model's answer; an empty one is an answer. reconnect: a connection that is refused or breaks off is tried
        again; else that is the caller's to do.

        Raises ContextOverflow; RequestFailed where this request cannot be answered; Unreachable where the server is
        not there, or does not answer in time; UserError where nothing will be answered before a person has changed
        something (key, model's name).
        """
        async with self._slots:
            answer = await self._persistently(self._body(request), reconnect)
        return _reply(answer)

    async def preflight(self, vision: bool) -> None:
        """Ask what can be known before the first request: is it there, does it know the model, does it see pictures
        (vision)? Raises UserError with the remedy, or Unreachable."""
        await self._known()
        parts: tuple[str | ChatImage, ...] = (_dot(), "1") if vision else ("1",)
        request = ChatRequest([ChatMessage("user", parts)], 0, Sampling(0.0, 1.0, 1))
        try:
            await self.complete(request)
        except RequestFailed as problem:
            if vision:
                raise UserError(
                    f"the model {self.model} at {self.url} takes no pictures ({problem}): choose a vision-language "
                    "model, or set vlm: images: 0 to send none."
                ) from None
            raise UserError(f"the model {self.model} at {self.url} refuses the simplest request: {problem}") from None

    async def reach(self) -> None:
        """See whether the server knows the model. Raises Unreachable or UserError."""
        await self._known()

    async def prefix_counts(self) -> tuple[int, int] | None:
        """(cached, all) tokens of the prompts since the server started; None where it does not tell (not a vLLM)."""
        import httpx2

        try:
            answer = (
                await self._client()
                .with_options(timeout=CONNECT_S)
                .get(f"{self.url.removesuffix('/v1')}/metrics", cast_to=httpx2.Response)
            )
        except Exception:
            return None
        cached, all_tokens = metric_sums(answer.text, _CACHED)
        return (int(cached), int(all_tokens)) if all_tokens else None

    # Requests

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages_for(request.messages, self._images_first, self._system_role, self._specials),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        extra: dict[str, Any] = {}
        if self._seeded:
            body["seed"] = request.seed
        if request.grammar is not None:
            extra["structured_outputs"] = {"grammar": request.grammar}
        if self._adds_special_tokens:
            extra["add_special_tokens"] = True
        if extra:
            body["extra_body"] = extra
        return body

    async def _persistently(self, body: Mapping[str, Any], reconnect: bool) -> Any:
        """The answer, with further attempts where they may help."""
        import openai

        client = self._client()
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                return await client.chat.completions.create(**body)
            except openai.APITimeoutError:
                # Not asked again here: a server that hangs would hold the request for hours.
                raise TimedOut(f"{self.url} did not answer within {self._timeout:g} seconds") from None
            except openai.APIConnectionError as problem:
                if last or not reconnect:
                    raise Unreachable(f"{self.url} cannot be reached ({_cause(problem)})") from None
                pause = _pause(attempt, None)
            except openai.APIStatusError as problem:
                if problem.status_code not in (408, 409, 425, 429) and problem.status_code < 500:
                    raise await self._meaning(problem) from None
                if last and problem.status_code >= 500:
                    raise Unreachable(f"{self.url} fails with {problem.status_code}: {_text(problem)}") from None
                if last:
                    raise RequestFailed(
                        f"{self.url} took no request in {ATTEMPTS} attempts ({problem.status_code}: {_text(problem)})"
                    ) from None
                pause = _pause(attempt, problem.response.headers.get("retry-after"))
            except (openai.APIResponseValidationError, ValueError) as problem:
                raise RequestFailed(f"{self.url} answers what cannot be read: {first_line(problem)}") from None
            self.retries += 1
            await asyncio.sleep(min(pause, self._patience))
        raise AssertionError("unreachable")

    async def _meaning(self, problem: Any) -> Exception:
        """What a refusal means."""
        text = _text(problem)
        if problem.status_code in (401, 403):
            return UserError(
                f"{self.url} refuses the API key ({problem.status_code}): put the right one into the file named under "
                "vlm: api_key_file, or into $MAIA_API_KEY."
            )
        if problem.status_code == 404:
            try:
                await self._known()
            except (UserError, Unreachable) as known:
                return known
            return RequestFailed(f"{self.url} answers 404: {text}")
        if overflow := overflow_of(text):
            return overflow
        if found := re.search(r"[Aa]t most (\d+) image", text):
            return RequestFailed(f"the server takes {found.group(1)} pictures in a dialogue at most.")
        return RequestFailed(f"the server refuses the request ({problem.status_code}): {text}")

    async def _known(self) -> None:
        """Raises UserError unless the server knows the model, and Unreachable where it does not answer."""
        import openai

        try:
            listed = await self._client().with_options(timeout=max(CONNECT_S, self._timeout / 10)).models.list()
            names = [entry.id for entry in listed.data]
        except openai.APIStatusError as problem:
            if problem.status_code in (401, 403):
                raise await self._meaning(problem) from None
            if problem.status_code >= 500 or problem.status_code == 429:
                raise Unreachable(f"{self.url} fails with {problem.status_code}: {_text(problem)}") from None
            raise UserError(
                f"{self.url} is no server of OpenAI's protocol ({problem.status_code} for /models): vlm: url must end "
                "in /v1."
            ) from None
        except openai.APIConnectionError as problem:
            raise Unreachable(f"{self.url} cannot be reached ({_cause(problem)})") from None
        except (openai.OpenAIError, ValueError, TypeError, AttributeError):
            raise UserError(f"{self.url} is no server of OpenAI's protocol: vlm: url must end in /v1.") from None
        if self.model not in names:
            raise UserError(
                f"{self.url} serves no model {self.model!r}: set vlm: model to one of {', '.join(names) or '(none)'}."
            )

    def _client(self) -> "AsyncOpenAI":
        if self._openai is None:
            import httpx2
            import openai

            secure = ssl.create_default_context() if self.url.startswith("https") else False
            limits = httpx2.Limits(max_connections=self._concurrent + 4, max_keepalive_connections=self._concurrent)
            timeout = httpx2.Timeout(self._timeout, connect=min(CONNECT_S, self._timeout))
            # Not by the environment's proxy: what is asked stays on the lab's network.
            transport = httpx2.AsyncClient(
                verify=secure, trust_env=False, limits=limits, timeout=timeout, follow_redirects=True
            )
            self._openai = openai.AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self.url,
                max_retries=0,
                timeout=timeout,
                http_client=transport,
            )
        return self._openai


def messages_for(
    messages: Sequence[ChatMessage], images_first: bool, system_role: bool, specials: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Messages as the protocol has them: pictures as data URLs, texts beside each other as one. See `ChatClient`."""
    written: list[dict[str, Any]] = []
    waiting: list[str | ChatImage] = []
    for message in messages:
        parts = [part if isinstance(part, ChatImage) else harmless(part, specials) for part in message.parts]
        if message.role == "system" and not system_role:
            waiting += [*parts, "\n\n"]
            continue
        if message.role == "user":
            parts, waiting = [*waiting, *parts], []
        if images_first:
            parts.sort(key=lambda part: isinstance(part, str))
        written.append({"role": message.role, "content": _content(parts)})
    if waiting:
        written.append({"role": "user", "content": _content(waiting[:-1])})
    return written


def _content(parts: Sequence[str | ChatImage]) -> str | list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for is_text, group in groupby(parts, key=lambda part: isinstance(part, str)):
        if is_text:
            told.append({"type": "text", "text": "".join(part for part in group if isinstance(part, str))})
        else:
            told += [
                {"type": "image_url", "image_url": {"url": data_url(part)}}
                for part in group
                if isinstance(part, ChatImage)
            ]
    if not told or (len(told) == 1 and told[0]["type"] == "text"):
        return str(told[0]["text"]) if told else ""
    return told


def special_tokens(tokenizer: Path) -> tuple[str, ...]:
    """Texts that a checkpoint's tokenizer.json reads as special tokens: for `ChatClient`'s specials. None where
    there is no such file."""
    try:
        added = json.loads(tokenizer.read_text(encoding="utf-8")).get("added_tokens") or []
        return tuple(token["content"] for token in added if token.get("special"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def data_url(image: ChatImage) -> str:
    """The picture as a URL that holds it. Raises RequestFailed for bytes that are neither PNG nor JPEG."""
    if image.data.startswith(b"\x89PNG\r\n\x1a\n"):
        kind = "png"
    elif image.data.startswith(b"\xff\xd8\xff"):
        kind = "jpeg"
    else:
        raise RequestFailed("a picture is neither PNG nor JPEG")
    return f"data:image/{kind};base64,{base64.b64encode(image.data).decode('ascii')}"


def overflow_of(text: str) -> ContextOverflow | None:
    """What a server says when a request is too long for it: vLLM's and OpenAI's words."""
    found = re.search(
        r"maximum context length (?:is|of) (\d+)|max_model_len=(\d+)|maximum model length of (\d+)|"
        r"exceeds (?:the )?(?:available )?context (?:size|length|window)(?: \(?(\d+))?|context_length_exceeded|"
        r"longer than the maximum model length",
        text,
    )
    if found is None:
        return None
    limit = next((int(group) for group in found.groups() if group), None)
    return ContextOverflow(f"the request is longer than the model reads ({limit or 'unknown'} tokens)", limit)


def _reply(answer: Any) -> ChatReply:
    try:
        choice = answer.choices[0] if answer.choices else None
        text = (choice.message.content if choice is not None else None) or ""
        usage = answer.usage
        details = getattr(usage, "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None)
        return ChatReply(
            text,
            "length" if choice is not None and choice.finish_reason == "length" else "stop",
            int(getattr(usage, "prompt_tokens", 0) or 0),
            int(getattr(usage, "completion_tokens", 0) or 0),
            cached,
        )
    except (AttributeError, TypeError, ValueError, IndexError) as problem:
        raise RequestFailed(f"the server's answer cannot be read: {first_line(problem)}") from None


def _pause(attempt: int, wanted: str | None) -> float:
    """Seconds before the next attempt: what the server wants (Retry-After), else ever longer, at random: so that those
    who were refused together do not come back together."""
    try:
        return max(0.0, float(wanted)) if wanted is not None else PAUSE_S * 2**attempt * random.uniform(0.5, 1.0)
    except ValueError:  # a date
        return PAUSE_S * 2**attempt


def _text(problem: Any) -> str:
    """What the server said, in one line."""
    body = problem.body
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        body = inner.get("message", inner) if isinstance(inner, Mapping) else inner
    return " ".join(str(body if body else problem.message).split())[:300]


def _cause(problem: BaseException) -> str:
    return first_line(problem.__cause__ or problem)


def _dot() -> ChatImage:
    """A grey picture of 32 x 32."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * 32) * 32)
    header = struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)
    return ChatImage(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""), 32, 32)
