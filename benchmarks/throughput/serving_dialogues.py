"""Dialogues as a run makes them, without its experiments: the prompts that agents send, growing turn by turn.

System prompt, task and results are those of a real run, with pictures of the offline world; what was measured is made
up. Replies are what the model says, so that prompts hold its own tokens, as in a run.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ...agent.api import api_text
from ...agent.context import fit
from ...agent.dialogue import messages
from ...agent.sandbox.supervisor import Limits
from ...agent.tasks import load_task
from ...agent.transcript import Experiment, ImageStore, LogEntry, Record, Reply, Start
from ...models.testbed.dataset import dataset_scene
from ...models.testbed.language import caption
from ...models.testbed.renderer import render
from ...models.vlm.chat import ChatReply, ChatRequest, Sampling
from ...models.vlm.checkpoint import Checkpoint
from ...models.vlm.tokens import counter_of
from ...prompts.system import SYSTEM_PROMPT

EXEMPLARS = 15
"""Pictures of the first result, as `tools.dataset_exemplars` shows them."""
PICTURES = 8
"""Of every further result."""
DRAWN = 40
"""Pictures in all; every result shows some of them."""
TASK = "neuron-description"
SPARE = 64

Ask = Callable[[ChatRequest], Awaitable[ChatReply]]


@dataclass
class PromptTokens:
    """Tokens of prompts, and those of them that the server did not compute again. pictures_dropped: by the budget."""

    prompt: int = 0
    cached: int = 0
    answer: int = 0
    requests: int = 0
    pictures_dropped: int = 0


class DialogueMaker:
    """Makes the dialogues of one run."""

    def __init__(self, checkpoint: Checkpoint, context: int, answer: int, folder: Path) -> None:
        """answer: tokens of every reply. folder: gets the pictures."""
        self._family = checkpoint.family
        self._counter = counter_of(checkpoint)
        self._sampling = Sampling(0.7, 0.95, answer)
        self._budget = context - answer - SPARE
        self._images = ImageStore(folder)
        scenes = [dataset_scene(k) for k in range(DRAWN)]
        self._shown = [(self._images.put(Image.fromarray(render(scene).image)), caption(scene)) for scene in scenes]

    async def unit(self, number: int, turns: int, ask: Ask, tokens: PromptTokens) -> None:
        """One agent's requests, one after the other; adds to tokens."""
        rng = random.Random(f"serving-bench/{number}")
        limits = Limits()
        system = SYSTEM_PROMPT.format(api=api_text(()), wall_s=limits.wall_s, calls=limits.calls)
        records: list[Record] = [
            Start(f"unit.{number}", "unit", "layer", number, "served", TASK, 0, turns, system, load_task(TASK).prompt)
        ]
        for turn in range(1, turns + 1):
            prompt = fit(
                messages(records, self._images), self._family, self._family.images_per_turn, self._counter, self._budget
            )
            reply = await ask(ChatRequest(prompt.messages, number, self._sampling))
            tokens.prompt += reply.prompt_tokens
            tokens.cached += reply.cached_tokens or 0
            tokens.answer += reply.answer_tokens
            tokens.requests += 1
            tokens.pictures_dropped += prompt.images_dropped
            records += [Reply(turn, reply.text), self._experiment(turn, rng)]

    def _experiment(self, turn: int, rng: random.Random) -> Experiment:
        shown = rng.sample(self._shown, EXEMPLARS if turn == 1 else PICTURES)
        entry = LogEntry(
            activations=[round(rng.uniform(0, 10), 3) for _ in shown],
            images=[image for image, _ in shown],
            titles=[title for _, title in shown],
        )
        return Experiment(turn, "tools.log_experiment(...)", "ok", log=[entry])
