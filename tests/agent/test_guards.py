"""Guards: cases of each from both sides, who is refused how often, and that the scripted experimenter trips none."""

import contextlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.backbones.scripted.backbone import ScriptedBackbone
from maia.agent.backbones.scripted.hypotheses import Hypothesis
from maia.agent.guard_code import read_code
from maia.agent.guards import (
    GUARDS,
    LET_PASS,
    REFUSALS,
    REFUSED,
    REMARKED,
    Verdict,
    example_prompts,
    find_in_conclusion,
    find_in_experiment,
    guard_counts,
    guards_named,
    on_conclusion,
    on_experiment,
    refused_conclusion,
)
from maia.agent.replies import ParsedReply, parse_reply
from maia.agent.transcript import Conclusion, Experiment, LogEntry, Notice, Record, Remark, Reply
from maia.benchmarks.quality.flawed import MODES, FlawedBackbone
from maia.models.errors import ExperimentError, UserError
from simulated_units import play, start

INVENTED, COPIED, THIN, REPEATED, PICTURE = GUARDS


def code(body: str) -> str:
    return "def run_experiment(system, tools):\n" + "\n".join(f"    {line}" for line in body.splitlines()) + "\n"


def reply(body: str, turn: int = 3, hypotheses: str = "Hypothesis_1: buses") -> Reply:
    return Reply(turn, f"[HYPOTHESIS LIST]:\n{hypotheses}\n[CODE]:\n```python\n{code(body)}```\n")


def ending(turn: int = 3, label: str = "bus", description: str = "The unit responds to buses.") -> Reply:
    return Reply(turn, f"[DESCRIPTION]: {description}\n[LABEL]: {label}\n")


EXEMPLARS = """\
activations, images = tools.dataset_exemplars(system)
titles = [f"exemplar {i + 1}" for i in range(len(images))]
tools.log_experiment(activations, images, titles, tools.describe_images(images, titles))"""
MADE = """\
prompts = ["a red bus in a street", "a red tram in a street"]
activations, masked = system.neuron(tools.text2image(prompts))
tools.log_experiment(activations, masked, prompts, "")"""


def experiment(turn: int, body: str, *entries: LogEntry, **more: object) -> Experiment:
    return Experiment(turn, code(body), **{"outcome": "ok", "log": list(entries), **more})  # type: ignore[arg-type]


def entry(text: str = "", **results: float) -> LogEntry:
    """Titles (with _ for spaces) and activations; the image's id is its title."""
    titles = [title.replace("_", " ") for title in results]
    return LogEntry(list(results.values()), titles, titles, text)


SEEN: list[Record] = [
    start(),
    experiment(
        1,
        EXEMPLARS,
        LogEntry(
            [12.4, 9.03],
            ["e1", "e2"],
            ["exemplar 1", "exemplar 2"],
            "exemplar 1: a red bus\nexemplar 2: a bus on the grass; darkened: a cat",
        ),
        activation_threshold=10.715,
    ),
    experiment(2, MADE, entry(a_red_bus_in_a_street=11.37, a_yellow_bus_in_a_field=9.5, a_red_tram_in_a_street=0.8123)),
]


def found(records: list[Record], last: Reply) -> set[str]:
    parsed = parse_reply(last.text)
    find = find_in_conclusion if parsed.code is None else find_in_experiment
    return {finding.guard for finding in find([*records, last], parsed)}


NEW = 'tools.log_experiment(*system.neuron(tools.text2image(["a blue kite in the sky"])), ["kite"], "")'


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


COPIES = [
    'tools.text2image(["a dog on the grass", "a cat on the grass"])',
    'tools.text2image(["A dog standing on the grass."])',
    'tools.text2image(["a red ball on a sandy beach", "a red ball in snow", "a tree"])',
    'tools.text2image(prompts=["a red ball on the beach"])',
    'prompts = ["a dog on the grass"]\nprompts.append("a cat on the grass")\ntools.text2image(prompts)',
    'for prompt in ("a dog on the grass",):\n    tools.text2image([prompt])',
    'tools.edit_images(["a dog on the grass"], ["replace the dog with a cat"])',
    'draw = tools.text2image\nprompts = ["a dog on the grass"]\nimages = tools.text2image(prompts)',
]


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


SAME = [
    MADE,
    "# again\n" + MADE.replace("prompts", "texts").replace("masked", "m"),
    MADE.replace(
        '"a red bus in a street", "a red tram in a street"', '"a red tram in a street", "the red bus in a street"'
    ),
    MADE.replace('prompts, "")', 'prompts, "second time")'),
    'a = tools.text2image(["a red tram in the street", "a red bus in the street"])\nv, m = system.neuron(a)\n'
    "tools.log_experiment(v, m, ['x', 'y'])",
]


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
    biased = [start("bias-identification"), *SEEN[1:]]
    sentence = (
        "[DESCRIPTION]: means of the output\n[BIAS]: The output is lower for buses that are standing in the snow\n"
    )
    assert PICTURE not in found(biased, Reply(3, sentence))


def verdict_on(
    records: list[Record], last: Reply, left: int = 5, answers: int = 7, enabled: tuple[str, ...] = GUARDS
) -> Verdict:
    parsed = parse_reply(last.text)
    if parsed.code is None:
        return on_conclusion([*records, last], parsed, enabled, experiments_left=left, answers_left=answers)
    return on_experiment([*records, last], parsed, enabled)


def test_who_refuses_and_who_remarks() -> None:
    bad = "Hypothesis_1: The image shows a cat, 14.21"
    copied = verdict_on(SEEN[:1], reply(COPIES[0], 1, bad))
    assert [f.guard for f in copied.refusals] == [COPIED] and not copied.recorded
    assert "was not run" in copied.refusals[0].text
    assert copied.notices(1) == [Notice(1, "guard/copied-example", copied.refusals[0].text)]
    remarked = verdict_on(SEEN, reply(NEW, 3, bad))
    assert not remarked.refusals
    assert [remark.kind for remark in remarked.recorded] == [f"guard/{INVENTED}", f"guard/{PICTURE}"]
    concluded = verdict_on(SEEN[:2], ending(label="a photo of a bus", description="It reached 14.21."))
    assert {f.guard for f in concluded.refusals} == {INVENTED, THIN, PICTURE}


@pytest.mark.parametrize("guard", GUARDS)
def test_each_guard_can_be_switched_off(guard: str) -> None:
    others = tuple(name for name in GUARDS if name != guard)
    last = reply(MADE, 3, "Hypothesis_1: The image shows a cat, 14.21")
    copied = reply(COPIES[0], 1)
    ends = ending(label="a photo of a bus", description="It reached 14.21.")
    for records, given_reply in ((SEEN, last), (SEEN[:1], copied), (SEEN[:2], ends)):
        every, some = (verdict_on(records, given_reply, enabled=names) for names in (GUARDS, others))
        kept = [f.guard for f in every.refusals if f.guard != guard]
        assert [f.guard for f in some.refusals] == kept
        assert guard not in {f.guard for f in (*some.remarks, *some.let_pass)}
    assert verdict_on(SEEN, last, enabled=()) == verdict_on(SEEN, reply(NEW))


def test_guards_by_name() -> None:
    assert guards_named("all") == GUARDS and guards_named("none") == ()
    assert set(guards_named(f"{THIN},{INVENTED}")) == {INVENTED, THIN}
    with pytest.raises(UserError, match="thin-evidence"):
        guards_named("thin")


def test_after_two_refusals_a_guard_lets_pass_and_says_so() -> None:
    records = list(SEEN[:2])
    for turn in range(3, 3 + REFUSALS):
        records.append(ending(turn))
        refused = verdict_on(records[:-1], records[-1])
        assert [f.guard for f in refused.refusals] == [THIN]
        records += refused.notices(turn)
    last = ending(3 + REFUSALS)
    passed = verdict_on(records, last)
    assert not passed.refusals and passed.recorded == [Remark(f"let-pass/{THIN}", passed.let_pass[0].text)]
    whole = [*records, last, Conclusion(5, "x", ["bus"], False, passed.recorded)]
    assert guard_counts(whole) == Counter({(THIN, REFUSED): 2, (THIN, LET_PASS): 1})
    remarked = experiment(6, NEW, remarks=[Remark(f"guard/{INVENTED}", "x")])
    assert guard_counts([remarked]) == Counter({(INVENTED, REMARKED): 1})
    assert refused_conclusion(records) == (4, parse_reply(records[-2].text))  # type: ignore[union-attr]
    assert refused_conclusion(SEEN) is None


def test_final_answers_are_refused_once_in_all_and_never_the_last_one() -> None:
    asked: list[Record] = [*SEEN, Notice(12, "last-turn", "This was the last experiment.")]
    invented = ending(13, description="It reached 14.21.")
    first = verdict_on(asked, invented, left=0, answers=1)
    assert [f.guard for f in first.refusals] == [INVENTED]
    assert not verdict_on(asked, invented, left=0, answers=0).refusals
    again = [*asked, invented, *first.notices(13)]
    other = verdict_on(again, ending(14, label="a photo of a bus"), left=0, answers=1)
    assert not other.refusals and [f.guard for f in other.let_pass] == [PICTURE]


def test_thin_evidence_is_let_pass_where_no_experiment_is_left() -> None:
    verdict = verdict_on(SEEN[:2], ending(12), left=0, answers=2)
    assert not verdict.refusals and [f.guard for f in verdict.let_pass] == [THIN]


@pytest.mark.parametrize(
    "truth",
    [Hypothesis("single", "dog"), Hypothesis("or", "ball", "beach"), Hypothesis("given", "cat", "grass")],
    ids=lambda truth: truth.label,
)
def test_the_scripted_experimenter_trips_no_guard(truth: Hypothesis) -> None:
    records = play(ScriptedBackbone(), truth, seed=len(truth.label))
    assert isinstance(records[-1], Conclusion) and len(records[-1].labels) >= 1
    assert guard_counts(records) == Counter()


@pytest.mark.parametrize("mode", MODES)
def test_a_backbone_that_always_fails_and_never_listens_still_finishes(mode: str) -> None:
    records = play(FlawedBackbone({mode: 1.0}, deaf=True), Hypothesis("single", "bus"), turns=6)
    lost = {"empty-reply", "endless-reply", "unreadable-reply", "several-blocks", "code-after-last-turn"}
    assert isinstance(records[-1], Conclusion) or mode in lost
    counts = guard_counts(records)
    assert all(counts[guard, REFUSED] <= REFUSALS for guard in GUARDS)
    if mode in GUARDS:
        assert counts[mode, REFUSED] + counts[mode, REMARKED] > 0


WORDS = st.sampled_from(
    [
        "The image shows",
        "activation",
        "14.21",
        "-3",
        "exemplar 17",
        "bus",
        "[LABEL]: x",
        "mean",
        "%",
        "\n",
        "1e999",
        "٣.٤",
        "\ud800",
    ]
)
TEXT = st.lists(WORDS | st.text(max_size=12), max_size=12).map(" ".join)
CODE = st.one_of(TEXT, st.sampled_from([code(body) for body in (*COPIES, *SAME, EXEMPLARS)]), st.text(max_size=60))
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
ENTRIES = st.builds(
    LogEntry, st.lists(NUMBERS, max_size=3), st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=3), TEXT
)
RECORDS: st.SearchStrategy[list[Record]] = st.lists(
    st.one_of(
        st.just(start()),
        st.builds(Reply, st.integers(0, 15), TEXT),
        st.builds(
            Experiment,
            st.integers(0, 15),
            CODE,
            st.sampled_from(["ok", "error"]),
            TEXT,
            TEXT,
            st.lists(ENTRIES, max_size=2),
        ),
        st.builds(
            Notice, st.integers(0, 15), st.sampled_from(["last-turn", *(f"guard/{name}" for name in GUARDS)]), TEXT
        ),
    ),
    max_size=6,
)


@settings(max_examples=150)
@given(RECORDS, TEXT, CODE, TEXT, st.lists(TEXT, max_size=3), st.integers(0, 3), st.integers(0, 3))
def test_nothing_that_a_reply_or_a_record_holds_makes_a_guard_raise(
    records: list[Record], hypotheses: str, source: str, description: str, labels: list[str], left: int, answers: int
) -> None:
    asked = on_experiment(records, ParsedReply(hypotheses, source))
    parsed = ParsedReply(hypotheses, None, description, labels)
    ended = on_conclusion(records, parsed, experiments_left=left, answers_left=answers)
    assert ended == on_conclusion(list(records), parsed, experiments_left=left, answers_left=answers)
    for verdict in (asked, ended):
        assert not (verdict.refusals and verdict.recorded)
        assert all(finding.guard in GUARDS and finding.text for finding in verdict.refusals)
    if answers == 0:
        assert not ended.refusals
    guard_counts(records)
    refused_conclusion(records)


@settings(max_examples=60)
@given(st.text(max_size=200))
def test_any_text_is_code_that_can_be_read(source: str) -> None:
    read_code(source)
    with contextlib.suppress(ExperimentError):
        parse_reply(source)


def test_endless_text_takes_no_endless_time() -> None:
    text = "activating " * 20_000 + "activation 3.21 exemplar 99 " * 5_000 + "(" * 5_000
    parsed = ParsedReply(text, code(NEW) + "#" * 100_000)
    assert on_experiment([*SEEN, Reply(3, text)], parsed).remarks
