"""How the scripted experimenter writes: hypotheses, code, conclusions."""

from collections.abc import Sequence

from .design import EditPair, Setting
from .hypotheses import SPACE, Fit, Hypothesis

SHOWN = 8
"""Images that an experiment logs as pictures (the most and the least activating); all results are logged as text."""

_EXEMPLARS = """\
def run_experiment(system, tools):
    # step: exemplars
    activations, images = tools.dataset_exemplars(system)
    titles = [f"exemplar {i + 1}" for i in range(len(images))]
    descriptions = tools.describe_images(images, titles)
    summary = tools.summarize_images(images)
    tools.log_experiment(activations, images, titles, [descriptions, summary])
"""

_LOG = f"""\
    order = sorted(range(len(names)), key=lambda i: -activations[i])
    shown = order[:{SHOWN - 2}] + order[-2:] if len(order) > {SHOWN} else order
    results = "\\n".join(f"{{activations[i]:.4g}} | {{names[i]}}" for i in range(len(names)))
    tools.log_experiment(
        [activations[i] for i in shown],
        [masked[i] for i in shown],
        [titles[i] for i in shown],
        "All results (activation | image):\\n" + results,
    )
"""


def exemplar_code() -> str:
    """Look at what the dataset shows."""
    return _EXEMPLARS


def image_code(step: str, settings: Sequence[Setting]) -> str:
    """Make an image of each setting and measure it."""
    prompts = "\n".join(f"        {setting.text()!r}," for setting in settings)
    return (
        f"def run_experiment(system, tools):\n    # step: {step}\n    names = [\n{prompts}\n    ]\n"
        "    titles = names\n"
        "    activations, masked = system.neuron(tools.text2image(names))\n" + _LOG
    )


def edit_code(step: str, pairs: Sequence[EditPair]) -> str:
    """Make each original and its edit, and measure both."""
    rows = "\n".join(f"        ({p.before.text()!r}, {p.instruction!r}, {p.after.text()!r})," for p in pairs)
    return (
        f"def run_experiment(system, tools):\n    # step: {step}\n    # original, edit, what the edited image shows\n"
        f"    edits = [\n{rows}\n    ]\n"
        "    images, titles = tools.edit_images([row[0] for row in edits], [row[1] for row in edits])\n"
        "    names = [name for row in edits for name in (row[0], row[2])]\n"
        "    activations, masked = system.neuron(images)\n" + _LOG
    )


def hypothesis_list(fit: Fit | None, count: int = 5) -> str:
    """The best explanations so far with their evidence."""
    if fit is None:
        return "Hypothesis_1: nothing is known yet; the dataset's exemplars come first."
    lines = []
    for number, i in enumerate(fit.best(count), start=1):
        where = f"{SPACE[i].label}"
        if fit.count[i] > 0:
            where += f" (mean {fit.high[i]:.3g} over {int(fit.count[i])} images, {fit.low[i]:.3g} elsewhere)"
        lines.append(f"Hypothesis_{number}: {where}")
    return "\n".join(lines)


def experiment_reply(hypotheses: str, remark: str, code: str) -> str:
    """A reply that runs an experiment."""
    return f"{remark}\n\n[HYPOTHESIS LIST]:\n{hypotheses}\n\n[CODE]:\n```python\n{code}```\n"


def conclusion_reply(hypotheses: str, description: str, hypothesis: Hypothesis) -> str:
    """A reply that ends the unit's experiments."""
    if hypothesis.kind == "or":
        labels = f"[LABEL 1]: {hypothesis.a}\n[LABEL 2]: {hypothesis.b}"
    else:
        labels = f"[LABEL]: {hypothesis.label}"
    return f"[HYPOTHESIS LIST]:\n{hypotheses}\n\n[DESCRIPTION]: {description}\n{labels}\n"
