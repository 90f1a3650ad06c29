"""The scripted experimenter of spurious features, against units whose answers to every class and place are known."""

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.api import api_text
from maia.agent.backbones.scripted.spurious import (
    SELECTIVE,
    SPURIOUS,
    Cell,
    SpuriousExperimenter,
    prompt_of,
    read_grid,
    variance_components,
)
from maia.agent.dialogue import messages
from maia.agent.replies import parse_reply
from maia.agent.transcript import Experiment, ImageStore, LogEntry, Notice, Record, Reply, Start
from maia.prompts.system import SYSTEM_PROMPT
from PIL import Image

CLASSES = ("clock", "umbrella", "car", "boat")
PLACES = ("in the snow", "on a sandy beach", "in a forest", "on the grass")
THRESHOLD = 3.0

Answer = Callable[[str, str], float]
"""The unit's activation for a class in a place."""


class Unit:
    """system and tools of one experiment. A picture is small and remembers its prompt; it is bright if a region is
    highlighted."""

    def __init__(self, answer: Answer, seed: int, threshold: float = THRESHOLD, drawable: bool = True) -> None:
        self.answer, self.rng, self.threshold, self.drawable = answer, random.Random(seed), threshold, drawable
        self.log: list[LogEntry] = []

    def value(self, prompt: str) -> float:
        name = next(name for name in CLASSES if name in prompt)
        place = next(place for place in PLACES if place in prompt)
        return max(0.0, self.answer(name, place) + self.rng.gauss(0, 0.15))

    def text2image(self, prompts: list[str]) -> list[Image.Image]:
        if not self.drawable:
            raise ValueError("This world cannot draw that.")
        images = []
        for prompt in prompts:
            image = Image.new("RGB", (8, 8), (200, 180, 160))
            image.info["prompt"] = prompt
            images.append(image)
        return images

    def neuron(self, images: list[Image.Image]) -> tuple[list[float], list[Image.Image]]:
        values = [self.value(image.info["prompt"]) for image in images]
        return values, [self.mask(image, value) for image, value in zip(images, values, strict=True)]

    def mask(self, image: Image.Image, value: float) -> Image.Image:
        masked = image.point(lambda p: round(p * 0.25))
        if value > self.threshold:
            masked.putpixel((3, 3), (255, 214, 0))
        return masked

    def dataset_exemplars(self, system: object) -> tuple[list[float], list[Image.Image]]:
        best = max(((self.answer(name, place), name, place) for name, place in zip(CLASSES, PLACES, strict=True)))
        images = self.text2image([f"a {best[1]} {best[2]}"] * 15) if self.drawable else [Image.new("RGB", (8, 8))] * 15
        return [best[0] + 1.0 - i / 15 for i in range(15)], images

    def describe_images(self, images: list[Image.Image], titles: list[str]) -> str:
        return "\n".join(f"{title}: a clock in the snow" for title in titles)

    def summarize_images(self, images: list[Image.Image]) -> str:
        return "a clock"

    def log_experiment(
        self, activations: list[float], images: list[Image.Image], titles: list[str], text: object = ""
    ) -> None:
        note = text if isinstance(text, str) else "\n".join(text)  # type: ignore[arg-type]
        self.log.append(LogEntry([float(f"{a:.4g}") for a in activations], ["0" * 8] * len(images), list(titles), note))


def play(answer: Answer, turns: int = 12, **options: object) -> tuple[list[Record], str, str]:
    """(records, label, reasoning) of a whole experiment."""
    backbone = SpuriousExperimenter(CLASSES, PLACES)
    prompt = SYSTEM_PROMPT.format(api=api_text(()), wall_s=120, calls=60)
    records: list[Record] = [Start("f.l.0", "f", "l", 0, "scripted", "spurious-feature", 0, turns, prompt, "task", {})]
    for turn in range(1, turns + 2):
        if turn == turns + 1:
            records.append(Notice(turns, "last-turn", "This was the last experiment. Answer now."))
        text = asyncio.run(backbone.reply(messages(records, ImageStore(Path("nowhere"))), 0))
        records.append(Reply(turn, text))
        parsed = parse_reply(text)
        if parsed.code is None:
            return records, parsed.labels[0], parsed.description
        unit = Unit(answer, turn, **options)  # type: ignore[arg-type]
        scope: dict[str, object] = {}
        outcome, error = "ok", ""
        try:
            exec(parsed.code, scope)
            scope["run_experiment"](unit, unit)  # type: ignore[operator]
        except Exception as problem:
            outcome, error = "error", f"{type(problem).__name__}: {problem}"
        records.append(Experiment(turn, parsed.code, outcome, error, "", unit.log, 4.0))
    raise AssertionError("no conclusion")


def table(high: Mapping[str, float], low: float = 0.5) -> Answer:
    """A unit's answers: high for classes, places, or "class place"; low elsewhere."""

    def answer(name: str, place: str) -> float:
        return max(high.get(key, low) for key in (name, place, f"{name} {place}"))

    return answer


def test_a_selective_unit_is_kept_and_its_class_named() -> None:
    records, label, reasoning = play(table({"car": 5.0}))
    assert label == SELECTIVE
    assert "selective for car" in reasoning
    done = [record for record in records if isinstance(record, Experiment)]
    assert len(done) == 3 and all(record.outcome == "ok" for record in done)


@pytest.mark.parametrize(
    ("high", "named"),
    [
        pytest.param({"in a forest": 5.0}, "in a forest", id="surroundings alone"),
        pytest.param({"car": 5.0, "boat": 5.0}, "boat", id="two classes"),
        pytest.param({"car": 4.0, "in a forest": 5.0}, "ratio", id="a class and, as much, surroundings"),
        pytest.param({"car in the snow": 5.0}, "car", id="one class in one place only"),
        pytest.param({"car in the snow": 5.0, "car in a forest": 5.0}, "car", id="one class in two places of four"),
        pytest.param({}, "", id="nothing in particular"),
    ],
)
def test_a_spurious_unit_is_dropped(high: dict[str, float], named: str) -> None:
    _, label, reasoning = play(table(high))
    assert label == SPURIOUS
    assert named in reasoning


def test_what_has_no_highlighted_region_is_not_active() -> None:
    """The same activations with a threshold that nothing reaches: no outline, so that no picture counts."""
    assert play(table({"car": 5.0}), threshold=99.0)[1] == SPURIOUS


def test_a_weak_outline_does_not_count_as_active() -> None:
    """Every picture has a region, but only one class comes near the exemplars."""
    assert play(table({"car": 5.0}), threshold=0.0)[1] == SELECTIVE


def test_units_that_cannot_be_tested_are_spurious_and_the_reason_is_told() -> None:
    records, label, reasoning = play(table({"car": 5.0}), drawable=False)
    assert label == SPURIOUS
    assert "cannot draw" in reasoning or "could not be tested" in reasoning
    assert sum(isinstance(record, Experiment) for record in records) <= 4


@pytest.mark.parametrize("turns", [1, 2])
def test_with_few_turns_it_answers_when_asked(turns: int) -> None:
    _, label, _ = play(table({"car": 5.0}), turns=turns)
    assert label == (SPURIOUS if turns == 1 else SELECTIVE)


def test_it_is_told_lists_and_no_pairing() -> None:
    """Every class is tried in every place, as often."""
    records, _, _ = play(table({"car": 5.0}))
    grid = next(record for record in records if isinstance(record, Experiment) and "# step: grid" in record.code)
    cells = read_grid(grid.log[0].text)
    assert set(cells) == {(name, place) for name in CLASSES for place in PLACES}
    assert len({cell.count for cell in cells.values()}) == 1


def test_prompts() -> None:
    assert prompt_of("umbrella", "in the snow") == "an umbrella in the snow"
    assert prompt_of("Labrador", "snow") == "a Labrador with snow in the background"


def test_less_than_two_of_each_is_refused() -> None:
    with pytest.raises(ValueError, match="two"):
        SpuriousExperimenter(["car"], PLACES)
    with pytest.raises(ValueError, match="two"):
        SpuriousExperimenter(CLASSES, ["in the snow", "in the snow"])


@given(
    st.lists(st.floats(0, 10), min_size=9, max_size=9),
    st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda noise: max(noise) - min(noise) > 0.01),
    st.floats(0.1, 10),
    st.floats(-5, 5),
)
@settings(max_examples=100)
def test_components_are_those_of_the_layout(means: list[float], noise: list[float], scale: float, shift: float) -> None:
    """Against a reference by numpy; and they grow with the square of the activations' scale."""
    keys = [(name, place) for name in "abc" for place in "xyz"]
    centred = np.array(noise) - np.mean(noise)

    def grid(factor: float, offset: float) -> dict[tuple[str, str], Cell]:
        rows = (tuple(float(v) for v in factor * (m + centred) + offset) for m in means)
        return {key: Cell(values, 1) for key, values in zip(keys, rows, strict=True)}

    cells = np.array(means).reshape(3, 3)
    chance = centred.var(ddof=1) / 4 / 3
    expected = [cells.mean(1).var(ddof=1) - chance, cells.mean(0).var(ddof=1) - chance]
    assert list(variance_components(grid(1, 0))) == pytest.approx(expected, abs=1e-9)
    scaled = list(variance_components(grid(scale, shift)))
    assert scaled == pytest.approx([scale**2 * e for e in expected], rel=1e-6, abs=1e-6 * scale**2)


def test_a_grid_that_is_too_small_is_an_error() -> None:
    with pytest.raises(ValueError, match="two pictures"):
        variance_components({("a", "x"): Cell((1.0,), 0)})
    with pytest.raises(ValueError, match="two classes"):
        variance_components({("a", "x"): Cell((1.0, 2.0), 0), ("a", "y"): Cell((1.0, 2.0), 0)})


@given(st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), st.integers(0, 2), min_size=1))
def test_a_log_says_what_the_grid_was(counts: dict[tuple[str, str], int]) -> None:
    text = "\n".join(f"cell | {n} | {p} | active {c} of 2 | {c + 0.5:.4g} 1e-05" for (n, p), c in counts.items())
    assert read_grid(f"before\n{text}\nafter") == {key: Cell((c + 0.5, 1e-05), c) for key, c in counts.items()}
    twice = read_grid(f"{text}\n{text}")
    assert all(cell.count == 4 and cell.active == 2 * counts[key] for key, cell in twice.items())
