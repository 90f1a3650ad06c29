"""The dialogue within a token budget: what is left out of it as it grows, so that a server's prefix cache still hits.

What is left out is decided turn by turn, by a fold over the dialogue from its beginning: when the prompt of a turn is
over the budget, so much is left out at once that it falls to a low-water mark; the prompts of the next turns then only
append to it. What was left out stays left out. So a prompt depends on nothing but the messages, and a resumed run sends
those of an uninterrupted one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..models.vlm.chat import ChatMessage, ContextOverflow
from ..models.vlm.families import Family
from ..models.vlm.tokens import TokenCounter
from .backbones.base import Message, Passage, Picture
from .rendering import Cut, Sent, rendered

LOW_WATER = 0.6
"""Of the budget, and of the images that a prompt may hold: down to there pictures are left out of a prompt that is over
it. In simulated runs (tests/agent/test_prefix_share.py) a cache so finds 90 to 100 % of the tokens that were ever sent
before; at 0.8 it is 85 %, and less than 0.6 forgets more for a gain of a hundredth or two."""
LOW_DETAILS = 0.75
"""Of the budget: down to there texts are shortened, where no pictures are left to go. A text says more than an old
picture does: against 0.6, a third to two thirds of the passages stay in full where several pictures are sent a turn or
small ones, for at most 1.3 hundredths of the share; at 0.8 LLaVA-NeXT loses six."""


@dataclass(frozen=True)
class Prompt:
    """What is asked of the model, and what had to be left out. tokens: as counted, with the beginning of the answer.
    images_dropped: pictures of the dialogue that were sent once and are no longer. passages_shortened,
    replies_shortened: texts that are not sent in full."""

    messages: list[ChatMessage]
    tokens: int
    images_dropped: int
    passages_shortened: int
    replies_shortened: int = 0


def fit(
    messages: Sequence[Message], family: Family, images_per_turn: int, counter: TokenCounter, budget: int
) -> Prompt:
    """The dialogue as a prompt of at most `budget` tokens, which ends with the last user's message.

    images_per_turn: pictures that one message may hold (see `rendered`); family.images_per_prompt bounds those of the
    whole prompt. Left out first are pictures of old messages, then the details of old passages, then the code of old
    replies, each from the oldest on; then the pictures of the best evidence. Never: the system message, the task, the
    last message, and the text of the best evidence, which is the first message with pictures (the dataset's exemplars)
    and the one with the highest activation so far.

    Raises ContextOverflow if what must stay is over the budget, OSError for a picture that cannot be read.
    """
    fold = _Fold(_with_system_role(messages, family), family, images_per_turn, counter, budget)
    ends = [i for i, message in enumerate(fold.messages) if message.role == "user" and fold.answered(i)]
    for end in ends:
        fold.turn(end)
    total = fold.tokens(len(fold.messages) - 1)
    if total > budget:
        raise ContextOverflow(
            f"the dialogue needs {total} tokens even with all old pictures and details left out, and the model's "
            f"context allows {budget} beside the answer.",
            budget,
        )
    return fold.prompt(total)


def _with_system_role(messages: Sequence[Message], family: Family) -> list[Message]:
    """The same, with the system message at the head of the first user's where the family's template takes none."""
    if family.system_role or len(messages) < 2 or messages[0].role != "system":
        return list(messages)
    task = messages[1]
    return [replace(task, parts=messages[0].parts + task.parts), *messages[2:]]


class _Fold:
    """The state after some turns: what is left out of each message."""

    def __init__(
        self, messages: list[Message], family: Family, images_per_turn: int, counter: TokenCounter, budget: int
    ) -> None:
        self.messages = messages
        self._family = family
        self._images_per_turn = min(images_per_turn, family.images_per_prompt)
        self._counter = counter
        self._budget = budget
        self._cuts = [Cut()] * len(messages)
        self._pictures = [[part for part in message.parts if isinstance(part, Picture)] for message in messages]
        self._first_numbers = [1]
        for pictures in self._pictures:
            self._first_numbers.append(self._first_numbers[-1] + len(pictures))
        self._sent: dict[tuple[int, Cut], tuple[list[Sent], int, int]] = {}

    def answered(self, i: int) -> bool:
        """Whether a prompt ended with message i: an answer follows, or nothing does."""
        return i + 1 == len(self.messages) or self.messages[i + 1].role == "assistant"

    def tokens(self, end: int) -> int:
        """Of the prompt that ends with message `end`, with the beginning of the answer."""
        return sum(self._render(i, self._cuts[i])[1] for i in range(end + 1)) + self._counter.message

    def _images(self, end: int) -> int:
        return sum(self._render(i, self._cuts[i])[2] for i in range(end + 1))

    def _render(self, i: int, cut: Cut) -> tuple[list[Sent], int, int]:
        """What is sent of message i, its tokens and its images."""
        found = self._sent.get((i, cut))
        if found is None:
            sent = rendered(self.messages[i], self._first_numbers[i], self._family, self._images_per_turn, cut)
            images = [part for part in sent if not isinstance(part, str)]
            tokens = self._counter.message + sum(self._counter.image(*image.size) for image in images)
            tokens += sum(self._counter.text(part) for part in sent if isinstance(part, str))
            found = self._sent[i, cut] = (sent, tokens, len(images))
        return found

    def turn(self, end: int) -> None:
        """Leave out what the prompt that ends with message `end` has no room for."""
        evidence = self._evidence(end)
        task = next((i for i in range(end + 1) if self.messages[i].role == "user"), end)
        old = [i for i in range(end) if self.messages[i].role != "system" and i != task]
        ordinary = [i for i in old if self.messages[i].role == "user" and i not in evidence]
        # The last reply says what the last message answers to.
        replies = [i for i in old if self.messages[i].role == "assistant"][:-1]
        best = [i for i in evidence if i in old]

        limit = self._family.images_per_prompt
        if self._images(end) > limit:
            self._cut(ordinary, _no_pictures, lambda: self._images(end) <= LOW_WATER * limit)
            self._cut(best, _no_pictures, lambda: self._images(end) <= limit)
        if self.tokens(end) > self._budget:
            self._cut(ordinary, _no_pictures, lambda: self.tokens(end) <= LOW_WATER * self._budget, saving=True)
            for group in (ordinary, replies):
                self._cut(group, _neither, lambda: self.tokens(end) <= LOW_DETAILS * self._budget, saving=True)
            # These are worth more than appending for a few turns: no more of them than there must.
            self._cut(best, _no_pictures, lambda: self.tokens(end) <= self._budget, saving=True)

    def _evidence(self, end: int) -> list[int]:
        """The dataset's exemplars, then the message with the highest activation so far."""
        shown = [i for i in range(end + 1) if self._pictures[i]]
        values = {i: [p.activation for p in self._pictures[i] if p.activation is not None] for i in shown}
        highest = max((i for i in shown if values[i]), key=lambda i: max(values[i]), default=None)
        return list(dict.fromkeys(shown[:1] + ([] if highest is None else [highest])))

    def _cut(
        self, group: Iterable[int], cut: Callable[[Cut], Cut], enough: Callable[[], bool], saving: bool = False
    ) -> None:
        """Cut messages from the oldest on until it is enough. saving: only where tokens are won by it."""
        for i in group:
            if enough():
                return
            after = cut(self._cuts[i])
            if not saving or self._render(i, after)[1] < self._render(i, self._cuts[i])[1]:
                self._cuts[i] = after

    def prompt(self, tokens: int) -> Prompt:
        """The messages as they are sent."""
        sent = [self._render(i, self._cuts[i])[0] for i in range(len(self.messages))]
        counts = [0, 0, 0]
        for message, pictures, cut in zip(self.messages, self._pictures, self._cuts, strict=True):
            counts[0] += len(pictures) if cut.pictures else 0
            if cut.details:
                passages = sum(1 for part in message.parts if isinstance(part, Passage))
                counts[1 if message.role == "user" else 2] += passages if message.role == "user" else 1
        chat = [
            ChatMessage(message.role, tuple(part if isinstance(part, str) else part.image() for part in parts))
            for message, parts in zip(self.messages, sent, strict=True)
        ]
        return Prompt(chat, tokens, *counts)


def _no_pictures(cut: Cut) -> Cut:
    return replace(cut, pictures=True)


def _neither(cut: Cut) -> Cut:
    return Cut(pictures=True, details=True)
