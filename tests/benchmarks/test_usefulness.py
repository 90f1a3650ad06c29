"""The four-way choice: sets of pictures, scores, and models that answer."""

import asyncio
import io
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import UNIT, services
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.services import Services, running
from maia.benchmarks.quality.agreement_data import Described, Procedure
from maia.benchmarks.quality.agreement_judges import through
from maia.benchmarks.quality.testbed_study import wilson
from maia.benchmarks.quality.usefulness import LONGEST_TEXT, PAPER, Answers, Choice, Task, gather, score, to_markdown
from maia.benchmarks.quality.usefulness_judges import choose_by_model, order_of, parse_answer, request_for
from maia.benchmarks.quality.usefulness_sets import (
    SET_SIZE,
    SETS,
    ImageSets,
    NoSets,
    dataset_of,
    draw_all,
    draw_sets,
    drawn_exemplars,
    drawn_others,
    strong_place,
)
from maia.engine.decoding import DAMAGED, BadImage
from maia.engine.exemplars import Exemplar
from maia.models.errors import ExperimentError, UserError
from maia.models.targets import Unit
from maia.models.vlm.chat import ChatImage, ChatReply, ChatRequest, ContextOverflow, RequestFailed
from PIL import Image
from talking import talking


def procedure(name: str, texts: dict[str, str]) -> Procedure:
    return Procedure(name, {unit: Described(None, text, f"{text} at length") for unit, text in texts.items()})


# Drawing sets


@settings(max_examples=60)
@given(st.sets(st.integers(0, 59), min_size=4, max_size=15), st.integers(20, 60), st.integers(0, 5))
def test_others_are_all_of_the_dataset_but_the_exemplars(found: set[int], size: int, seed: int) -> None:
    exemplars = sorted(number for number in found if number < size)
    others = list(drawn_others("u", exemplars, size, seed))
    assert sorted([*others, *exemplars]) == list(range(size))
    if len(exemplars) >= SET_SIZE:
        strong = drawn_exemplars("u", exemplars, seed)
        assert len(set(strong)) == SET_SIZE and set(strong) <= set(exemplars)


def test_draws_are_fair_and_follow_from_seed_and_unit() -> None:
    seeds = range(1200)
    places = np.bincount([strong_place("u", seed) for seed in seeds], minlength=SETS)
    assert places.min() > 240, "of 300 each: 4 standard deviations"
    first = np.bincount([next(drawn_others("u", [0, 1], 12, seed)) for seed in seeds], minlength=12)
    assert first[:2].sum() == 0 and first[2:].min() > 77, "of 120 each: 4 standard deviations"
    strong = np.bincount([n for seed in seeds for n in drawn_exemplars("u", range(15), seed)], minlength=15)
    assert strong.min() > 250, "of 320 each: any of the exemplars, not the highest alone"
    assert drawn_exemplars("u", range(15), 3) == drawn_exemplars("u", range(15), 3)
    assert drawn_exemplars("u", range(15), 3) != drawn_exemplars("v", range(15), 3)


class Index:
    """Exemplars 0 .. count - 1 of a dataset of `size` pictures. kept: whether they are in the index."""

    directory, manifest = Path("index"), SimpleNamespace(dataset="pictures")

    def __init__(self, count: int = 15, size: int = 200, kept: bool = False) -> None:
        self.count, self.has_pictures = count, kept
        self.facts = SimpleNamespace(dataset_size=size, dataset_fingerprint="f" * 64)

    def entries(self, unit: Unit, k: int = 15) -> list[Exemplar]:
        return [Exemplar(i, str(i), 255.0 - i, None, None) for i in range(self.count)]

    def picture(self, number: int) -> Image.Image:
        return Image.new("RGB", (16, 16), (255 - number, 0, 0))


def flat(run: Path, **of: Any) -> Services:
    """The flat world, whose picture k has the red 255 - k, with such an index."""
    found = services(run)
    found.index = Index(**of)  # type: ignore[assignment]
    return found


def drawn(of: Services, seed: int = 0, dataset: Any = None) -> ImageSets:
    async def work() -> ImageSets:
        async with running([of]), of.scheduler.agent("test"):
            return await draw_sets(of, UNIT, seed, dataset)

    return asyncio.run(work())


def test_sets_hold_four_exemplars_and_twelve_others(tmp_path: Path) -> None:
    of = flat(tmp_path)
    sets = drawn(of)
    assert len(sets.ids) == len(sets.pictures) == SETS and all(len(one) == SET_SIZE for one in sets.ids)
    assert len({number for one in sets.ids for number in one}) == SETS * SET_SIZE
    for place, (ids, pictures) in enumerate(zip(sets.ids, sets.pictures, strict=True)):
        assert all((number < 15) == (place == sets.strong) for number in ids)
        assert [picture.getpixel((0, 0))[0] for picture in pictures] == [255 - number for number in ids]
    assert sets.strong == strong_place(str(UNIT), 0)
    again = drawn(flat(tmp_path))
    assert (again.ids, again.strong) == (sets.ids, sets.strong) and drawn(flat(tmp_path), 1).ids != sets.ids


class Pictures:
    """A dataset on a disk: every third picture cannot be read, every fifth the target refuses, every seventh is that of
    exemplar 0."""

    fingerprint = "f" * 64

    def __len__(self) -> int:
        return 200

    def image(self, number: int) -> Image.Image:
        if number % 3 == 0:
            raise BadImage(DAMAGED, f"{number}")
        size = (7, 7) if number % 5 == 0 else (16, 16)
        return Image.new("RGB", size, (255 if number % 7 == 0 else 255 - number, 0, 0))


def test_pictures_that_cannot_be_shown_are_replaced_and_named(tmp_path: Path) -> None:
    of = flat(tmp_path, count=4, kept=True)

    def view(image: Image.Image) -> Image.Image:
        if image.width < 8:
            raise ExperimentError("too small")
        return image.resize((8, 8))

    of.target.view = view  # type: ignore[method-assign]
    sets = drawn(of, dataset=Pictures())
    others = [number for place, one in enumerate(sets.ids) for number in one if place != sets.strong]
    assert len(others) == 12 and not any(n % 3 == 0 or n % 5 == 0 or n % 7 == 0 for n in others)
    assert all(picture.size == (8, 8) for one in sets.pictures for picture in one), "all are seen as the target does"
    reasons = {why for _, why in sets.unreadable}
    assert "too small" in reasons and any(why.startswith(DAMAGED) for why in reasons)
    assert all(number % 3 == 0 or number % 5 == 0 for number, _ in sets.unreadable)
    with pytest.raises(ValueError, match="outside this program"):
        drawn(of)


@pytest.mark.parametrize(("of", "what"), [({"count": 3}, "3 exemplars"), ({"count": 15, "size": 26}, "11 other")])
def test_units_without_enough_pictures_are_left_out(tmp_path: Path, of: dict[str, int], what: str) -> None:
    with pytest.raises(NoSets, match=what):
        drawn(flat(tmp_path, **of))

    async def all_of(units: list[Unit]) -> Any:
        poor = flat(tmp_path, **of)
        async with running([poor]):
            return await draw_all({"fake": poor}, units)

    sets, left_out = asyncio.run(all_of([UNIT]))
    assert sets == {} and what in left_out[str(UNIT)]
    with pytest.raises(UserError, match="not loaded"):
        asyncio.run(all_of([Unit("other", "layer", 0)]))


def test_the_dataset_must_be_that_of_the_index(tmp_path: Path) -> None:
    assert dataset_of(Index()) is None
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="is not the dataset of the index"):
        dataset_of(Index(kept=True), str(tmp_path))
    with pytest.raises(UserError, match="cannot be opened"):
        dataset_of(Index(kept=True), str(tmp_path / "none"))


# What is asked


def test_units_that_all_methods_described_are_asked_about() -> None:
    one = procedure("one", {"a": "x", "b": "y", "c": "z", "d": " "})
    other = procedure("other", {"b": " Y ", "c": "w" * (LONGEST_TEXT + 1), "d": "v"})
    task = gather([one, other])
    assert task.methods == ("one", "other") and task.texts == {"b": ("y", "Y")}
    assert "no description" in task.left_out["a"] and "characters" in task.left_out["c"]
    assert task.left_out["d"] == "one has no label of it" and task.methods_with("b", "y") == ["one", "other"]
    assert gather([one], "description").texts["b"] == ("y at length",)
    with pytest.raises(UserError, match="names of their own"):
        gather([one, one])
    with pytest.raises(UserError, match="no unit has a label of every method"):
        gather([one, procedure("other", {"e": "x"})])
    with pytest.raises(UserError, match=r"no unit is left.*dead"):
        task.without({"b": "it is dead"})


def choices(method: str, right: list[list[int]]) -> list[Choice]:
    """right: by participant, 1 or 0 for each unit."""
    return [
        Choice(f"p{person}", f"u{unit}", method, float(value))
        for person, values in enumerate(right)
        for unit, value in enumerate(values)
    ]


def test_shares_by_method_and_participant() -> None:
    task = Task(("good", "bad"), "label", {f"u{k}": ("a", "b") for k in range(4)})
    found = [*choices("good", [[1, 1, 1, 0], [1, 1, 1, 1]]), *choices("bad", [[0, 1, 0, 0]])]
    strangers = [Choice("p0", "unknown", "good", 0.0), Choice("p0", "u0", "other", 0.0)]
    result = score(task, Answers("people", "people", [*found, *strangers], (3, 3, 3, 3)))
    good, bad = result["methods"]["good"], result["methods"]["bad"]
    assert (good["right"], good["answers"], good["rate"]) == (7, 8, 7 / 8)
    assert good["interval"] == list(wilson(7, 8)) and bad["interval"] == list(wilson(1, 4))
    assert good["by_participant"]["p0"]["rate"] == 0.75 and good["by_participant"]["p1"]["rate"] == 1.0
    assert good["by_participant"]["p1"]["interval_units"] is None and good["interval_units"][0] < 7 / 8
    difference = result["differences"]["good minus bad"]
    assert difference["mean"] == pytest.approx((1 + 0 + 1 + 0.5) / 4) and difference["units"] == 4
    assert (difference["wins"], difference["losses"], difference["p"]) == (3, 0, 0.25)
    assert result["chance"] == 0.25 and result["paper"] == {"participants a method": 10, "units a network": 25}
    table = to_markdown([result])
    assert "| people | good | 2 | 4 | 8 | 87.5 % |" in table and "25.0 %" in table and "3 : 3 : 3 : 3" in table


def test_nothing_answered_is_no_rate() -> None:
    task = Task(("one", "other"), "label", {"u0": ("a", "b")})
    result = score(task, Answers("people", "people", []))
    assert result["methods"]["one"]["rate"] is None and result["differences"]["one minus other"]["mean"] is None
    assert "| people | one | 0 | 0 | 0 | – | – | – |" in to_markdown([result])


def test_the_papers_values_are_those_of_its_table() -> None:
    assert PAPER["resnet152"]["MAIA"] == (0.785, 0.05) and PAPER["dino-vits8"]["MILAN"][0] == 0.48
    assert all(rows["MILAN"][0] < rows["MAIA"][0] < rows["Human"][0] for rows in PAPER.values())


# Models


def red_sets(unit: str, strong: int) -> ImageSets:
    """Four sets of flat pictures, of which one is red."""
    pictures = [
        [Image.new("RGB", (32, 24), (220 if k == strong else 30, 20, 5 * k)) for _ in range(4)] for k in range(4)
    ]
    ids = tuple(tuple(range(4 * k, 4 * k + 4)) for k in range(4))
    return ImageSets(unit, ids, tuple(map(tuple, pictures)), strong)


SHOWN = {f"u{k}": red_sets(f"u{k}", k % 4) for k in range(5)}


def redness(picture: ChatImage) -> float:
    return float(np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"), np.float64)[:, :, 0].mean())


def looks(request: ChatRequest) -> str:
    """Believes descriptions: the reddest set for "red", the least red for anything else."""
    parts = request.messages[0].parts
    means: list[list[float]] = []
    for part in parts:
        if isinstance(part, ChatImage):
            means[-1].append(redness(part))
        elif part.startswith("Set "):
            means.append([])
    values = [float(np.mean(one)) for one in means]
    assert len(values) == 4
    pick = max if "Description: red" in str(parts[0]) else min
    return str(1 + values.index(pick(values)))


def answered(task: Task, complete: Any, **options: Any) -> Answers:
    def asked(request: ChatRequest) -> ChatReply:
        return ChatReply(complete(request), "stop", 10, 1)

    return asyncio.run(choose_by_model(task, SHOWN, asked, **options))


TASK = Task(("good", "bad", "same"), "label", {unit: ("red", "green", "Red ") for unit in SHOWN})


@pytest.mark.parametrize("layout", ["sheets", "pictures"])
@pytest.mark.parametrize("rotations", [1, 4])
def test_a_model_that_looks_is_right_where_the_description_is(layout: Any, rotations: int) -> None:
    answers = answered(TASK, looks, layout=layout, rotations=rotations)
    result = score(TASK, answers)
    assert [result["methods"][name]["rate"] for name in TASK.methods] == [1.0, 0.0, 1.0]
    assert answers.facts["requests"] == 5 * 2 * rotations, "the text of two methods is asked about once"
    assert answers.problems == {} and sum(answers.places) == answers.facts["requests"]
    good = [choice.consistent for choice in answers.choices if choice.method == "good"]
    assert good == [True if rotations > 1 else None] * 5


def test_liking_a_place_is_chance_and_no_opinion() -> None:
    answers = answered(TASK, lambda request: "2")
    result = score(TASK, answers)
    assert all(result["methods"][name]["rate"] == 0.25 for name in TASK.methods)
    assert answers.places == [0, 40, 0, 0] and result["consistent"] == {"count": 0, "of": 15}


def test_each_set_stands_once_at_each_place() -> None:
    assert sorted(zip(*(order_of(k) for k in range(SETS)), strict=True)) == sorted(
        zip(*([(p + k) % 4 for p in range(4)] for k in range(4)), strict=True)
    )
    assert all(sorted(order_of(k)) == [0, 1, 2, 3] for k in range(SETS))
    assert {order_of(k)[place] for k in range(SETS) for place in [2]} == {0, 1, 2, 3}


def test_unreadable_and_failed_answers_are_counted_and_give_no_choice() -> None:
    replies = itertools.count()

    def complete(request: ChatRequest) -> str:
        number = next(replies)
        if number == 1:
            raise RequestFailed("refused")
        if number == 4:
            raise ContextOverflow("too long")
        return "I see none" if number == 9 else looks(request)

    task = Task(("good",), "label", {unit: ("red",) for unit in SHOWN})
    answers = answered(task, complete, at_once=1)
    assert answers.facts == answers.facts | {"unreadable": 1, "failed": 2, "unanswered": 3, "requests": 20}
    assert len(answers.choices) == 2 and len(answers.problems) == 3
    assert any("'I see none' is no number" in why for why in answers.problems.values())

    def broken(request: ChatRequest) -> str:
        raise RuntimeError("the server is gone")

    with pytest.raises(RuntimeError, match="gone"):
        answered(task, broken)
    with pytest.raises(ValueError, match="1 to 4"):
        answered(task, looks, rotations=5)


def test_requests_tell_nothing_but_text_and_pictures() -> None:
    shown = [[ChatImage(bytes([k]), 1, 1)] for k in range(4)]
    request = request_for("red", shown)
    assert request.grammar is not None and request.sampling.temperature == 0
    assert request.messages == request_for("red", shown).messages and request.seed == request_for("red", shown).seed
    assert [part for part in request.messages[0].parts if isinstance(part, ChatImage)] == [one for (one,) in shown]
    assert request_for("red", shown, structured=False).grammar is None


@pytest.mark.parametrize(
    ("text", "value"), [("1", 0), (" 4.\n", 3), ("**2**", 1), ("Set 3", 2), ("5", None), ("1 or 2", None), ("", None)]
)
def test_answers_are_read(text: str, value: int | None) -> None:
    assert parse_answer(text) == value


def test_through_a_scheduler() -> None:
    scheduler, runner = talking(looks)

    async def work() -> Answers:
        async with scheduler, scheduler.agent("judge"):
            return await choose_by_model(TASK, SHOWN, through(scheduler), rotations=1)

    assert score(TASK, asyncio.run(work()))["methods"]["good"]["rate"] == 1.0 and len(runner.asked) == 10
