"""The bias experimenter against simulated classes of known bias: no pictures, only what a log would say."""

import asyncio
import random
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.api import api_text
from maia.agent.backbones.base import Message
from maia.agent.backbones.scripted.bias import NONE_FOUND, BiasExperimenter
from maia.agent.backbones.scripted.bias_design import FACTORS, FRESH, SCREEN_BASE, SCREENED, contexts
from maia.agent.backbones.scripted.bias_rule import (
    ALPHA,
    Effect,
    confirm,
    read_table,
    screen,
    sign_flip,
    table_line,
)

Picture = dict[str, str]
"""A context of every factor, and a number of its own."""


def shown(prompt: str) -> Picture:
    """What a base picture's prompt asks for."""
    match = re.fullmatch(r"a (\w+) (\w+) (\w+) (.+?) ((?:on|in) .+)", prompt)
    assert match is not None, prompt
    places = {"on a plain background": "studio", "in a room": "room", "on the grass": "grass"}
    places |= {"in front of a brick wall": "brick wall", "on a sandy beach": "beach"}
    return {
        "size": match[1],
        "colour": match[2],
        "pattern": match[3],
        "company": "nothing",
        "background": places[match[5]],
    }


class World:
    """system and tools of an experiment whose pictures are dictionaries. Refuses what the offline world refuses."""

    def __init__(self, value: Callable[[Picture, random.Random], float], seed: int, fails: str = "") -> None:
        self.value, self.rng, self.fails, self.text = value, random.Random(seed), fails, ""

    def neuron(self, images: list[Picture]) -> tuple[list[float], list[Picture]]:
        return [self.value(image, self.rng) for image in images], images

    def dataset_exemplars(self, system: object) -> tuple[list[float], list[Picture]]:
        return [1.0], [shown("a medium red plain dog on the grass")]

    def describe_images(self, images: list[Picture], titles: list[str]) -> str:
        return "\n".join(f"{title}: dog" for title in titles)

    def summarize_images(self, images: list[Picture]) -> str:
        return "dogs"

    def text2image(self, prompts: list[str]) -> list[Picture]:
        if self.fails == "draw":
            raise RuntimeError("Prompt 1: unknown word 'flagpole'")
        return [shown(prompt) | {"number": str(self.rng.random())} for prompt in prompts]

    def edit_images(self, images: list[Picture], edits: list[str]) -> tuple[list[Picture], list[str]]:
        (edit,) = edits
        pairs = []
        for image in images:
            after = image | changed(edit)
            if after == image or (self.fails and self.fails in edit):
                raise RuntimeError(f"The edit {edit!r} cannot be made.")
            pairs += [image, after]
        return pairs, [edit] * len(pairs)

    def log_experiment(self, activations: list[float], images: list[Picture], titles: list[str], text: object) -> None:
        assert len(activations) == len(images) == len(titles)
        self.text = text if isinstance(text, str) else "\n".join(map(str, text))  # type: ignore[call-overload]


def changed(edit: str) -> Picture:
    """The factor and context that an edit names."""
    if match := re.fullmatch(r"change the background to (.+)", edit):
        return {"background": match[1]}
    if match := re.fullmatch(r"add a (\w+)", edit):
        return {"company": match[1]}
    match = re.fullmatch(r"make the dog (.+)", edit)
    assert match is not None, edit
    return {next(factor for factor, names in FACTORS.items() if match[1] in names and factor != "company"): match[1]}


def interpret(
    value: Callable[[Picture, random.Random], float],
    seed: int = 0,
    fails: str = "",
    turns: int = 12,
    removed: tuple[str, ...] = (),
) -> tuple[str, str, int]:
    """[BIAS], [DESCRIPTION] and the number of replies."""
    backbone, world = BiasExperimenter("dog"), World(value, seed, fails)
    dialogue = [Message("system", (api_text(removed),)), Message("user", ("task",))]
    for turn in range(1, 20):
        reply = asyncio.run(backbone.reply(dialogue, seed))
        if "[BIAS]: " in reply:
            description = reply.partition("[DESCRIPTION]: ")[2].partition("\n[BIAS]")[0]
            return reply.partition("[BIAS]: ")[2].strip(), description, turn
        scope: dict = {}
        exec(reply.partition("```python\n")[2].rpartition("```")[0], scope)
        try:
            world.text = ""
            scope["run_experiment"](world, world)
            result = world.text
        except RuntimeError as error:
            result = f"Your code raised an error:\n{error}\nMend it in your next reply."
        if turn == turns:
            result += "\nThis was the last experiment."
        answer = Message("user", (f"[RESULT OF EXPERIMENT {turn}]\n{result}",))
        dialogue += [Message("assistant", (reply,)), answer]
    raise AssertionError("no conclusion in 20 turns")


def biased(
    factor: str, context: str, strength: float, noise: float = 0.08
) -> Callable[[Picture, random.Random], float]:
    def value(picture: Picture, rng: random.Random) -> float:
        own = random.Random(picture["number"]).gauss(0, noise) if "number" in picture else 0.0
        return 1 + strength * (picture.get(factor) == context) + own + rng.gauss(0, noise)

    return value


@pytest.mark.parametrize(
    ("factor", "context", "strength", "sentence"),
    [
        ("background", "snow", -0.3, "activations for 'dog' are lower in the snow"),
        ("background", "studio", -0.3, "activations for 'dog' are lower on a plain background"),
        ("colour", "gray", 0.35, "activations for 'dog' are higher when the dog is gray"),
        ("colour", "red", -0.3, "activations for 'dog' are lower when the dog is red"),
        ("size", "small", -0.3, "activations for 'dog' are lower when the dog is small"),
        ("size", "small", 0.3, "activations for 'dog' are higher when the dog is small"),
        ("company", "tree", -0.3, "activations for 'dog' are lower when there is a tree beside the dog"),
        ("pattern", "dotted", 0.3, "activations for 'dog' are higher when the dog is dotted"),
    ],
)
def test_names_the_planted_bias_and_no_other(factor: str, context: str, strength: float, sentence: str) -> None:
    bias, description, _ = interpret(biased(factor, context, strength))
    assert bias == sentence
    assert "confirmed" in description and "95 % interval" in description


def test_two_biases_are_one_sentence() -> None:
    def value(picture: Picture, rng: random.Random) -> float:
        noise = rng.gauss(0, 0.05)
        return 1 - 0.35 * (picture["background"] == "snow") + 0.25 * (picture["colour"] == "red") + noise

    bias, _, _ = interpret(value)
    assert bias == "activations for 'dog' are lower in the snow and higher when the dog is red"


def test_a_clean_class_has_no_bias() -> None:
    claims = [interpret(biased("none", "", 0.0), seed)[0] for seed in range(6)]
    assert claims.count(NONE_FOUND) >= 5, claims


def test_what_is_too_small_to_matter_is_no_bias() -> None:
    bias, _, _ = interpret(biased("background", "snow", -0.03, noise=0.001))
    assert bias == NONE_FOUND


def test_a_context_that_cannot_be_made_costs_itself() -> None:
    bias, _, _ = interpret(biased("background", "snow", -0.3), fails="forest")
    assert bias == "activations for 'dog' are lower in the snow"


def test_a_class_that_cannot_be_drawn_is_told() -> None:
    bias, description, turns = interpret(biased("background", "snow", -0.3), fails="draw")
    assert bias.startswith(NONE_FOUND) and "could not be made" in bias and "could not be made" in description
    assert turns <= 3


def test_without_a_confirmation_nothing_is_claimed() -> None:
    bias, _, turns = interpret(biased("background", "snow", -0.4), turns=4)
    assert bias == NONE_FOUND and turns == 5


def test_without_its_tools_it_concludes() -> None:
    bias, _, turns = interpret(biased("background", "snow", -0.4), removed=("edit_images",))
    assert bias.startswith(NONE_FOUND) and turns == 1


def test_a_refused_reply_is_written_again() -> None:
    backbone = BiasExperimenter("dog")
    dialogue = [Message("system", (api_text(()),)), Message("user", ("task",))]
    first = asyncio.run(backbone.reply(dialogue, 0))
    dialogue += [Message("assistant", (first,)), Message("user", ("Your code was not run. Do something else.",))]
    assert asyncio.run(backbone.reply(dialogue, 0)) == first


# --- the rule


def simulated(rng: np.random.Generator, shape: str) -> dict[str, dict[str, tuple[float, ...]]]:
    """Tables of a unit without bias. shape: of the noise of a picture's contexts."""
    tables = {}
    for factor in FACTORS:
        names = contexts(factor, "dog", SCREEN_BASE)
        draw = {"normal": rng.standard_normal, "heavy": lambda size: rng.standard_t(2, size)}[shape]
        values = 5 + rng.standard_normal(SCREENED) + draw((len(names), SCREENED))
        tables[factor] = {name: tuple(row) for name, row in zip(names, values.tolist(), strict=True)}
    return tables


@pytest.mark.parametrize("shape", ["normal", "heavy"])
def test_false_alarms_are_bounded(shape: str) -> None:
    rng, units, claims, singled = np.random.default_rng(1), 50, 0, 0
    for unit in range(units):
        candidates = screen(simulated(rng, shape), unit)
        singled += bool(candidates)
        claimed = False
        for effect in candidates:
            noise = rng.standard_normal((4, FRESH)) if shape == "normal" else rng.standard_t(2, (4, FRESH))
            values = 5 + rng.standard_normal(FRESH) + noise
            names = [effect.context, "a", "b", "c"]
            result = confirm(effect, dict(zip(names, values.tolist(), strict=True)), len(candidates))
            claimed |= result is not None and result.claimed
        claims += claimed
    assert singled / units < 0.35, "the screening lets through more than its level says"
    assert claims <= 5, "over fifty clean units, ALPHA is 2.5"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=3, max_size=10))
def test_the_sign_test_is_exact(differences: list[float]) -> None:
    p = sign_flip(np.array(differences))
    opposite = sign_flip(-np.array(differences))
    assert 2.0 ** -len(differences) <= p <= 1 and p + opposite >= 1
    # Of three that are all positive, one choice of eight is as high.
    assert sign_flip(np.array([1.0, 2.0, 4.0])) == 1 / 8 and sign_flip(np.array([-1.0, 2.0, 4.0])) == 2 / 8


def test_confirming_needs_the_same_direction() -> None:
    rng = np.random.default_rng(0)
    low = {"snow": (0.7 + 0.05 * rng.standard_normal(FRESH)), "a": 1 + 0.05 * rng.standard_normal(FRESH)}
    drop = confirm(Effect("background", "snow", -0.3, 0.001), low, 1)
    assert drop is not None and drop.claimed and drop.interval[0] < -0.3 + 0.03 < drop.interval[1] + 0.06
    assert drop.relative == pytest.approx(float(low["snow"].mean() / low["a"].mean() - 1))
    rise = confirm(Effect("background", "snow", 0.3, 0.001), low, 1)
    assert rise is not None and not rise.claimed


def test_alpha_is_shared_by_the_candidates() -> None:
    # One choice of 2^5 is as high: 0.031, enough alone, too little for one of two candidates.
    table = {"snow": (1.2, 1.3, 1.4, 1.5, 1.6), "a": (1.0,) * 5}
    effect = Effect("background", "snow", 0.4, 0.01)
    one, two = confirm(effect, table, 1), confirm(effect, table, 2)
    assert one is not None and two is not None
    assert one.p == 1 / 32 < ALPHA and one.claimed and not two.claimed


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12))
def test_a_table_is_read_as_it_is_written(values: list[float]) -> None:
    text = "matched pictures\n" + table_line("night city", values) + "\nnot made: sea (no)\nfoo: mean x, sd"
    read = read_table(text)
    assert list(read) == ["night city"]
    assert read["night city"] == pytest.approx(values, rel=1e-3, abs=1e-3)


def test_a_line_with_too_few_values_is_none() -> None:
    assert read_table("snow: mean 1, sd 0, 3 pictures (1 1)") == {}
