"""Guards: cases of each from both sides."""

import pytest
from guard_cases import (
    COPIED,
    COPIES,
    EXEMPLARS,
    INVENTED,
    MADE,
    NEW,
    PICTURE,
    REPEATED,
    SAME,
    SEEN,
    THIN,
    code,
    ending,
    entry,
    experiment,
    found,
    reply,
)
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.guards import (
    GUARDS,
    example_prompts,
    on_experiment,
)
from maia.agent.replies import parse_reply
from maia.agent.tasks import load_task
from maia.agent.transcript import LogEntry, Notice, Record, Reply
from simulated_units import start


@pytest.mark.parametrize(
    "claim",
    [
        "a cat laying on the grass, activation: 14.21",
        "buses (12.5)",
        "buses reach 11.36 and trams 0.8123",
        "buses, activation: 14",
        "the activation was 3",
        "buses, mean 13.1",
        "the difference is 12.5",
        "exemplar 17 is a tram",
        "exemplars 1 and 3 are trams",
        "image 23 is the best",
        "experiment 9 confirmed it",
        "trams stay at -0.8123",
        "buses (1.137e3)",
    ],
)
def test_what_no_result_has_is_invented(claim: str) -> None:
    assert INVENTED in found(SEEN, reply(NEW, hypotheses=f"Hypothesis_1: {claim}"))
    assert INVENTED in found(SEEN, ending(description=f"The unit responds to buses. {claim}"))


@pytest.mark.parametrize(
    "claim",
    [
        "buses (12.4)",
        "buses (11.37, rounded 11.4, cut off 11.3)",
        "trams only 0.81",
        "buses, activation: 11",
        "activation 12.4 in exemplar 1",
        "exemplars 1 and 2, image 5",
        "mean 10.9 over 3 images",
        "the mean activation was 10.2 in these images and 0.81 elsewhere",
        "buses are 10.56 higher than trams",
        "14.0 times what trams reach",
        "a share of 66.7 % of the buses",
        "above 9.2",
        "Hypothesis_2 of 15 exemplars, in 2024, 224x224 pixels, image 224x224",
        "bottles of 2.5 litres",
        "over 3 images",
        "experiment 2 and experiment 3",
        "efficientnet-lite0.blocks.10.47",
        "1e1 buses",
    ],
)
def test_results_of_the_log_and_what_follows_from_them_may_be_cited(claim: str) -> None:
    assert INVENTED not in found(SEEN, reply(NEW, hypotheses=f"Hypothesis_1: {claim}"))
    assert INVENTED not in found(SEEN, ending(description=f"The unit responds to buses. {claim}"))


def test_a_result_told_outside_of_the_sections_is_invented_and_the_guards_own_words_hold_nothing() -> None:
    told = Reply(3, "I ran it: activation 14.21.\n" + reply(NEW).text)
    assert INVENTED in found(SEEN, told)
    notice = Notice(2, "guard/invented-result", "You cite 14.21, but no result of this unit has it.")
    assert INVENTED in found([*SEEN, notice], told)
    assert INVENTED not in found(SEEN, Reply(3, reply("limit = 14.21\n" + NEW).text + "\nThe limit is 14.21."))


@given(st.floats(-1e4, 1e4).filter(lambda x: abs(x) > 1e-3), st.integers(1, 4))
def test_a_cited_number_is_held_exactly_when_the_log_rounds_to_it(value: float, places: int) -> None:
    logged = float(f"{value:.4g}")
    records = [start(), experiment(1, MADE, entry(bus=logged))]
    unit = 10.0**-places
    for shift in (0, 3):  # one unit in the last place could be a number that was cut off
        text = f"{logged + shift * unit:.{places}f}"
        wrong = INVENTED in found(records, reply(NEW, 2, f"Hypothesis_1: buses ({text})"))
        near = abs(float(text) - logged) < unit
        prompts = start().system_prompt + start().task_prompt + code(NEW) + code(MADE)
        assert wrong == (not near) or text in prompts or float(text) == int(float(text))


@pytest.mark.parametrize("body", COPIES)
def test_prompts_of_the_examples_are_copied(body: str) -> None:
    assert COPIED in found(SEEN[:1], reply(body, 1))


@pytest.mark.parametrize(
    "body",
    [
        MADE,
        EXEMPLARS,
        'tools.text2image(["a dog on a sofa", "a bus in the snow"])',
        'tools.text2image(["a red bus on a sandy beach", "a dog on the grass"])',
        'tools.text2image([f"a {colour} ball on a sandy beach" for colour in ("red", "blue")])',
        'images, titles = tools.edit_images(["a bus in a street"], ["replace the bus with a tram"])',
        'titles = ["a dog on the grass"]\ntools.display(titles)',
        "tools.text2image(prompts",
        'tools.text2image(["a brown dog on the grass"])',
    ],
)
def test_prompts_of_ones_own_are_not(body: str) -> None:
    assert COPIED not in found(SEEN[:1], reply(body, 1))


def test_an_example_may_be_used_where_the_evidence_speaks_of_it() -> None:
    dogs = "exemplar 1: a dog on a sofa\nexemplar 2: two dogs"
    log = LogEntry([1.0, 0.9], ["e1", "e2"], ["exemplar 1", "exemplar 2"], dogs)
    asked = reply('tools.text2image(["a dog on the grass"])', 2)
    assert COPIED not in found([start(), experiment(1, EXEMPLARS, log)], asked)
    own = entry("a dog on the grass: dark\na dog on the grass, again", a_dog_on_the_grass=0.1)
    copied = experiment(1, 'tools.text2image(["a dog on the grass"])', own)
    assert COPIED in found([start(), copied], asked), "one's own titles are no evidence"


def test_the_examples_are_those_of_the_prompts() -> None:
    assert {"a dog on the grass", "a red ball in the snow", "make the ball green"} <= set(example_prompts(start()))
    assert "a red ball in the snow" not in example_prompts(start(removed=["text2image"]))
    body = 'tools.text2image(["a spotted owl at dusk"])'
    last = reply(body, 1)
    given_examples = ["a spotted owl at dusk"]
    verdict = on_experiment([start(), last], parse_reply(last.text), GUARDS, given_examples)
    assert [finding.guard for finding in verdict.refusals] == [COPIED]


@pytest.mark.parametrize(
    ("records", "label"),
    [
        (SEEN[:1], "bus"),
        (SEEN[:2], "bus"),
        ([start(), experiment(1, MADE, entry(a_bus_in_a_street=11.0))], "bus"),
        ([start(), experiment(1, MADE, entry(an_underwater_scene=11.0, a_bus=0.5, a_tree=0.4))], "underwater scenes"),
        ([start(), experiment(1, 'tools.text2image(["a bus", "two buses"])', entry(a_bus=9.0, two_buses=9.5))], "bus"),
        ([start(), experiment(1, "tools.text2image(p)", entry(image_1=9.0, image_2=9.5))], "bus"),
        ([start(), experiment(1, MADE, entry(), outcome="error"), SEEN[1]], "bus"),
    ],
)
def test_conclusions_from_thin_evidence(records: list[Record], label: str) -> None:
    assert THIN in found(records, ending(label=label))


@pytest.mark.parametrize(
    ("records", "label"),
    [
        (SEEN, "bus"),
        (SEEN, "public transport"),
        ([start(), experiment(1, "tools.text2image(p)", entry(image_1=9.0, image_2=0.1))], "bus"),
        (
            [
                start(),
                experiment(
                    1,
                    'tools.edit_images(["a bus"], ["make it red"])',
                    LogEntry([9, 8], ["a", "b"], ["a bus", "a bus -> r"]),
                ),
            ],
            "bus",
        ),
        (
            [
                start(),
                experiment(
                    1, "a, m = system.neuron(tools.text2image(p))", LogEntry(text="9.1 | bus\n8.0 | bus\n0.1 | cat")
                ),
            ],
            "bus",
        ),
        ([start(removed=["text2image", "edit_images"]), *SEEN[1:2]], "bus"),
    ],
)
def test_conclusions_from_enough_evidence(records: list[Record], label: str) -> None:
    assert THIN not in found(records, ending(label=label))


@pytest.mark.parametrize("body", SAME)
def test_the_same_experiment_is_found_again(body: str) -> None:
    assert REPEATED in found(SEEN, reply(body))


@pytest.mark.parametrize(
    "body",
    [
        NEW,
        MADE.replace("tram", "car"),
        MADE.replace("text2image(prompts)", 'edit_images(prompts, ["make it blue"])[0]'),
        MADE.replace("tools.text2image(prompts)", "tools.text2image(prompts)[:1]"),
        MADE + "\ntools.display(tools.describe_images(masked, prompts))",
        'a = tools.text2image([f"{x} {y}" for x in ("red", "blue") for y in ("bus", "tram")])\nsystem.neuron(a)',
        "this is no code",
    ],
)
def test_a_changed_experiment_is_not(body: str) -> None:
    assert REPEATED not in found(SEEN, reply(body))


def test_an_experiment_that_failed_may_be_tried_again() -> None:
    assert REPEATED not in found([start(), experiment(1, MADE, outcome="timeout")], reply(MADE, 2))


@pytest.mark.parametrize(
    "statement",
    [
        "The image shows a dog on the left and a tree on the right.",
        "This picture depicts a busy street",
        "In this image, a man rides a horse.",
        "a photo of a dog",
        "The first masked image contains two buses",
        "Image 3 shows a bus",
        "There is a cat in the foreground.",
        "A dog is sitting on the left side of the picture",
        "I can see a bus.",
        "**The image features a cat.**",
    ],
)
def test_descriptions_of_a_picture(statement: str) -> None:
    assert PICTURE in found(SEEN, reply(NEW, hypotheses=f"Hypothesis_1: buses\nHypothesis_2: {statement}"))
    assert PICTURE in found(SEEN, ending(description=statement))


@pytest.mark.parametrize(
    "statement",
    [
        "buses",
        "dogs on the left of other dogs",
        "images of dogs",
        "The unit activates when the image shows a dog on the left.",
        "bus, but only when snow is also in the image. The next best is 'tram'.",
        "The image with the bus has the highest activation",
        "things in the foreground",
        "pictures in frames",
        "The exemplars show bus; no experiment confirmed it.",
        "photographs",
    ],
)
def test_hypotheses_on_the_unit_are_no_descriptions_of_a_picture(statement: str) -> None:
    assert PICTURE not in found(SEEN, reply(NEW, hypotheses=f"Hypothesis_1: {statement}"))
    assert PICTURE not in found(SEEN, ending(description=f"{statement} The unit responds to buses."))


def test_labels_that_are_pictures_or_sentences() -> None:
    for label in (
        "The image shows a bus",
        "a photo of a bus",
        "A red bus is standing in the street in front of a house",
        "the unit responds to all kinds of red buses in streets",
    ):
        assert PICTURE in found(SEEN, ending(label=label)), label
    for label in ("bus", "vertically striped OR bus given snow", "animal given night city", "objects with wheels"):
        assert PICTURE not in found(SEEN, ending(label=label)), label
    biased = [start(load_task("bias-identification", {"class_name": "dog"})), *SEEN[1:]]
    sentence = (
        "[DESCRIPTION]: means of the output\n[BIAS]: The output is lower for buses that are standing in the snow\n"
    )
    assert PICTURE not in found(biased, Reply(3, sentence))
