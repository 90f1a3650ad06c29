"""Units of known truth without pictures, sandbox and scheduler: a backbone's whole experiment in milliseconds.

An image is its own prompt; a describer tells its words. The records are those that the loop would write.
"""

import asyncio
import random
import re
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Any

from maia.agent.api import api_text
from maia.agent.backbones.base import Backbone
from maia.agent.backbones.scripted.design import Designer
from maia.agent.backbones.scripted.evidence import concepts_in, members_of
from maia.agent.backbones.scripted.hypotheses import Hypothesis
from maia.agent.dialogue import messages
from maia.agent.guards import GUARDS, on_conclusion, on_experiment
from maia.agent.replies import parse_reply
from maia.agent.tasks import DESCRIPTION, Task, load_task, record_of_task, task_of
from maia.agent.transcript import Conclusion, Experiment, Failure, ImageStore, LogEntry, Notice, Record, Reply, Start
from maia.models.errors import ExperimentError
from maia.prompts.system import SYSTEM_PROMPT

FINAL_ATTEMPTS = 2


def start(task: Task | str = DESCRIPTION, turns: int = 12, removed: Collection[str] = ()) -> Start:
    """First record of a unit, with the prompts of real runs."""
    prompt = SYSTEM_PROMPT.format(api=api_text(removed), wall_s=120, calls=60)
    asked = task_of(task)
    settings = {"removed_tools": list(removed), **record_of_task(asked)}
    return Start("fake.layer.0", "fake", "layer", 0, "canned", asked.name, 0, turns, prompt, asked.prompt, settings)


class World:
    """system and tools of one experiment, with images that are texts."""

    def __init__(self, truth: Hypothesis, seed: str) -> None:
        self.truth, self.rng, self.seed = truth, random.Random(f"{seed}/values"), seed
        self.log: list[LogEntry] = []
        self.threshold: float | None = None
        self._made = 0

    def _image(self, text: str) -> str:
        self._made += 1
        return f"{text} #{self.seed}/{self._made}"

    def neuron(self, images: list[str]) -> tuple[list[float], list[str]]:
        holds = [self.truth.holds(concepts_in(image.partition(" #")[0])) for image in images]
        return [self.rng.uniform(0.6, 1.0) if hold else self.rng.uniform(0.0, 0.1) for hold in holds], images

    def dataset_exemplars(self, system: object) -> tuple[list[float], list[str]]:
        designer = Designer(self.rng.randrange(1 << 30))
        prompts = [designer.positive(self.truth).text() for _ in range(15)]
        activations = sorted((self.rng.uniform(0.7, 1.0) for _ in prompts), reverse=True)
        self.threshold = sum(activations) / len(activations)
        return activations, [self._image(prompt) for prompt in prompts]

    def text2image(self, prompts: list[str]) -> list[str]:
        return [self._image(prompt) for prompt in prompts]

    def edit_images(self, prompts: list[str], edits: list[str]) -> tuple[list[str], list[str]]:
        pairs = [(a, f"{a} -> {e}", _edited(a, e)) for a, e in zip(prompts, edits, strict=True)]
        return [self._image(t) for a, _, after in pairs for t in (a, after)], [t for a, b, _ in pairs for t in (a, b)]

    def describe_images(self, images: list[str], titles: list[str]) -> str:
        return "\n".join(f"{t}: {i.partition(' #')[0]}" for t, i in zip(titles, images, strict=True))

    def summarize_images(self, images: list[str]) -> str:
        return " ".join(sorted(members_of(self.truth.a)))

    def log_experiment(self, activations: list[float], images: list[str], titles: list[str], text: Any = "") -> None:
        note = text if isinstance(text, str) else "\n".join(text)
        if self.threshold is not None and activations and max(activations) < self.threshold:
            note += f"\nThe highest activation here ({max(activations):.4g}) is below the exemplars' mean (0.9)."
        ids = [f"id of {image}" for image in images]
        self.log.append(LogEntry([float(f"{a:.4g}") for a in activations], ids, list(titles), note))


def _edited(text: str, edit: str) -> str:
    change = re.match(r"replace the (.+) with an? (.+)|make the (.+) (\S+)|change the background to (.+)", edit)
    if change and change.group(1):
        return text.replace(change.group(1), change.group(2), 1)
    return f"{text} {edit}"


def run_code(code: str, turn: int, world: World) -> Experiment:
    """The experiment's record. The code runs in this process: only for code of the tests' own."""
    scope: dict[str, Any] = {}
    outcome, error = "ok", ""
    try:
        exec(code, scope)
        scope["run_experiment"](world, world)
    except Exception:
        outcome, error = "error", traceback.format_exc(limit=0)
    return Experiment(turn, code, outcome, error, "", world.log, world.threshold)


def play(
    backbone: Backbone, truth: Hypothesis, enabled: Collection[str] = GUARDS, turns: int = 12, seed: int = 0
) -> list[Record]:
    """The records of a whole experiment, as the loop writes them, ending with a Conclusion or a Failure."""
    records: list[Record] = [start(turns=turns)]
    threshold = None
    store = ImageStore(Path("nowhere"))
    for turn in range(1, turns + FINAL_ATTEMPTS + 1):
        if turn == turns + 1:
            records.append(Notice(turns, "last-turn", load_task(DESCRIPTION).last_turn))
        stream = random.Random(f"{seed}/{turn}").randrange(1 << 31)
        reply = asyncio.run(backbone.reply(messages(records, store), stream))
        records.append(Reply(turn, reply))
        try:
            parsed = parse_reply(reply)
        except ExperimentError as error:
            records.append(Notice(turn, "unreadable-reply", str(error)))
            continue
        if parsed.code is None:
            left = {"experiments_left": max(0, turns - turn), "answers_left": turns + FINAL_ATTEMPTS - turn}
            verdict = on_conclusion(records, parsed, enabled, **left)
            if not verdict.refusals:
                end = Conclusion(turn, parsed.description, parsed.labels, turn > turns, verdict.recorded)
                return [*records, end]
            records += verdict.notices(turn)
        elif turn > turns:
            records.append(
                Notice(turn, "code-after-last-turn", "There are no experiments left; your code was not run.")
            )
        else:
            verdict = on_experiment(records, parsed, enabled)
            records += verdict.notices(turn)
            if not verdict.refusals:
                world = World(truth, f"{seed}/{turn}")
                world.threshold = threshold
                done = run_code(parsed.code, turn, world)
                threshold = done.activation_threshold
                records.append(Experiment(**{**vars(done), "remarks": verdict.recorded}))
    return [*records, Failure(turns + FINAL_ATTEMPTS, "no final answer was given when it was asked for")]
