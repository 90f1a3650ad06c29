"""The scripted experimenter against simulated units of known truth: no pictures, only what a log would say."""

import asyncio
import random
import re
from collections.abc import Sequence

import pytest
from maia.agent.api import api_text
from maia.agent.backbones.base import Message
from maia.agent.backbones.scripted.backbone import ScriptedBackbone
from maia.agent.backbones.scripted.evidence import concepts_in, family_of, members_of, read
from maia.agent.backbones.scripted.hypotheses import Hypothesis
from maia.agent.replies import parse_reply
from maia.models.testbed.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS


def _scene(rng: random.Random) -> tuple[list[set[str]], str]:
    things = [
        {rng.choice(list(NOUNS)), rng.choice(list(COLOURS)), rng.choice(PATTERNS)}
        for _ in range(rng.choice([1, 1, 2, 3]))
    ]
    return things, rng.choice(list(BACKGROUNDS))


def _exemplars(truth: Hypothesis, rng: random.Random, wrong: float) -> str:
    """Fifteen exemplars as the log shows them; a share `wrong` of the observer's words are wrong."""
    lines = []
    sides = [truth.a, truth.b] if truth.kind == "or" else [truth.a]
    while len(lines) < 30:
        things, background = _scene(rng)
        if not truth.holds(frozenset().union(*things) | {background}):
            continue
        region = set().union(*[t for t in things if any(members_of(s) & t for s in sides)])
        region |= {background} & set().union(*[members_of(s) for s in sides])
        rest = set().union(*things, {background}) - region

        def seen(words: set[str]) -> str:
            return " ".join(rng.choice(_FAMILIES[family_of(w)]) if rng.random() < wrong else w for w in sorted(words))

        number = len(lines) // 2 + 1
        lines.append(f"({number}) exemplar {number}, activation {rng.uniform(0.8, 1):.4g}")
        lines.append(f"exemplar {number}: {seen(region)}; darkened: {seen(rest)}")
    return "\n".join(lines)


_FAMILIES = {"noun": list(NOUNS), "colour": list(COLOURS), "pattern": list(PATTERNS), "background": list(BACKGROUNDS)}


class _System:
    def __init__(self, truth: Hypothesis, rng: random.Random, silent: bool) -> None:
        self.truth, self.rng, self.silent = truth, rng, silent

    def neuron(self, images: list[str]) -> tuple[list[float], list[str]]:
        holds = [self.truth.holds(concepts_in(image)) and not self.silent for image in images]
        return [self.rng.uniform(0.6, 1.0) if hold else 0.0 for hold in holds], images


class _Tools:
    """Images are their own descriptions."""

    def __init__(self, code: str) -> None:
        self.code, self.text = code, ""

    def text2image(self, prompts: list[str]) -> list[str]:
        return prompts

    def edit_images(self, prompts: list[str], edits: list[str]) -> tuple[list[str], list[str]]:
        rows = re.findall(r"^        \('(.*?)', '(.*?)', '(.*?)'\),$", self.code, re.MULTILINE)
        assert [row[0] for row in rows] == prompts and [row[1] for row in rows] == edits
        images = [image for row in rows for image in (row[0], row[2])]
        return images, images

    def log_experiment(self, activations: list[float], images: list[str], titles: list[str], text: str) -> None:
        assert len(activations) == len(images) == len(titles)
        self.text = text


def _interpret(
    truth: Hypothesis, seed: int, wrong: float = 0.1, fail_at: int | None = None, removed: Sequence[str] = ()
) -> tuple[str, int]:
    """The label that the experimenter gives, and the number of replies. removed: tools that it does not have."""
    rng = random.Random(seed)
    backbone = ScriptedBackbone()
    dialogue = [Message("system", (api_text(removed),)), Message("user", ("task",))]
    for turn in range(1, 20):
        reply = asyncio.run(backbone.reply(dialogue, rng.randrange(1 << 30)))
        parsed = parse_reply(reply)
        if parsed.code is None:
            return " OR ".join(parsed.labels), turn
        assert not any(f".{tool}(" in parsed.code for tool in removed)
        if "step: exemplars" in parsed.code:
            result = _exemplars(truth, rng, wrong)
        elif turn == fail_at:
            result = "[RESULT OF EXPERIMENT]\nYour code ran out of time:\nover 120 s\nMend it in your next reply."
        else:
            scope: dict = {}
            exec(parsed.code, scope)
            tools = _Tools(parsed.code)
            scope["run_experiment"](_System(truth, rng, silent=False), tools)
            result = tools.text
        dialogue += [Message("assistant", (reply,)), Message("user", (f"[RESULT OF EXPERIMENT {turn}]\n{result}",))]
    raise AssertionError("no conclusion in 20 turns")


@pytest.mark.parametrize(
    "truth",
    [
        Hypothesis("single", "dog"),
        Hypothesis("single", "striped"),
        Hypothesis("single", "night city"),
        Hypothesis("or", "star", "red"),
        Hypothesis("or", "clock", "beach"),
        Hypothesis("given", "dog", "snow"),
        Hypothesis("given", "blue", "tree"),
        Hypothesis("given", "dotted", "beach"),
    ],
    ids=lambda truth: truth.label,
)
def test_finds_the_truth(truth: Hypothesis) -> None:
    label, _ = _interpret(truth, seed=3)
    assert set(label.split(" OR ")) == set(truth.label.split(" OR "))


def test_exemplars_that_mislead_are_overruled_by_experiments() -> None:
    # Half of the observer's words are wrong: experiments have to carry the conclusion.
    assert _interpret(Hypothesis("single", "lamp"), seed=5, wrong=0.5)[0] == "lamp"


@pytest.mark.parametrize(
    "removed", [("edit_images",), ("dataset_exemplars",), ("dataset_exemplars", "edit_images")], ids=", ".join
)
def test_without_some_tools_it_finds_the_truth_with_the_others(removed: tuple[str, ...]) -> None:
    for truth in (Hypothesis("single", "boat"), Hypothesis("single", "red")):
        assert _interpret(truth, seed=4, removed=removed)[0] == truth.label


def test_without_pictures_of_its_own_it_concludes_from_the_exemplars() -> None:
    label, turns = _interpret(Hypothesis("single", "boat"), seed=4, removed=("text2image", "edit_images"))
    assert (label, turns) == ("boat", 2)


def test_an_experiment_that_failed_is_followed_by_a_smaller_one() -> None:
    label, _ = _interpret(Hypothesis("single", "boat"), seed=2, fail_at=3)
    assert label == "boat"


def test_a_unit_that_nothing_activates_is_said_to_have_no_concept() -> None:
    dialogue = [
        Message("system", ("api",)),
        Message("user", ("task",)),
        Message("assistant", ("# step: exemplars",)),
        Message("user", ("Your code raised an error:\nExperimentError: No image of the dataset activates this unit",)),
        Message("assistant", ("# step: screen",)),
        Message("user", ("0 | a red dog in the snow\n0 | a blue plain cup on the grass",)),
    ]
    parsed = parse_reply(asyncio.run(ScriptedBackbone().reply(dialogue, 0)))
    assert parsed.labels == ["no visual concept found"]


def test_a_reply_is_a_function_of_the_messages_and_the_seed() -> None:
    dialogue = [Message("system", ("api",)), Message("user", ("task",))]
    first = asyncio.run(ScriptedBackbone().reply(dialogue, 7))
    assert first == asyncio.run(ScriptedBackbone().reply(list(dialogue), 7))
    assert "dataset_exemplars" in first


def test_the_last_turn_gets_a_label() -> None:
    dialogue = [
        Message("system", ("api",)),
        Message("user", ("task",)),
        Message("assistant", ("[CODE]:\n```python\n# step: exemplars\n```",)),
        Message("user", ("(1) exemplar 1, activation 0.9\nexemplar 1: a red dog\nThis was the last experiment.",)),
    ]
    assert parse_reply(asyncio.run(ScriptedBackbone().reply(dialogue, 0))).labels


def test_evidence_is_read_from_the_text_of_the_log_only() -> None:
    evidence = read(
        [
            Message("assistant", ("```python\n    # step: screen\n```\n0.9 | a red dog in the snow",)),
            Message(
                "user",
                ("All results:\n0.25 | a red dotted dog in front of a brick wall\n-1e-05 | two cups",),
            ),
        ]
    )
    assert evidence.steps == ["screen"]
    assert [(o.activation, o.concepts) for o in evidence.observations] == [
        (0.25, {"red", "dotted", "dog", "brick wall"}),
        (-1e-05, {"cup"}),
    ]
