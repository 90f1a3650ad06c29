"""What a vision-language model has been asked, counted."""

from dataclasses import dataclass


@dataclass
class ChatCounts:
    """requests: answered or failed. prompt_tokens, answer_tokens: of those answered. cached_tokens: of the prompts',
    those that were not computed again, as far as that is told. retries: attempts beyond a request's first. failed:
    requests without an answer."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0
    retries: int = 0
    failed: int = 0
