"""Replies and records on which guards are tried."""

from maia.agent.guards import (
    GUARDS,
    find_in_conclusion,
    find_in_experiment,
)
from maia.agent.replies import parse_reply
from maia.agent.tasks import endings_of
from maia.agent.transcript import Experiment, LogEntry, Record, Reply, Start
from simulated_units import start

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
    parsed = parse_reply(last.text, endings_of(records[0] if isinstance(records[0], Start) else None))
    find = find_in_conclusion if parsed.code is None else find_in_experiment
    return {finding.guard for finding in find([*records, last], parsed)}


NEW = 'tools.log_experiment(*system.neuron(tools.text2image(["a blue kite in the sky"])), ["kite"], "")'


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
