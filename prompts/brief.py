"""The prompts in brief, for backbones that were fine-tuned on them: what those know by heart is not said again."""

BRIEF_SYSTEM = """\
You study one unit of a vision system. You write Python experiments with the objects system and tools, read their
results, and revise your hypotheses.
"""

BRIEF_TASKS: dict[str, str] = {
    "neuron-description": """\
Which visual concepts activate the unit? Answer with [HYPOTHESIS LIST] and [CODE], or when you know with [DESCRIPTION]
and [LABEL].
""",
}
"""By task, as in `prompts.tasks.TASKS`. The tasks that are missing here are asked in full."""

BRIEF_OBSERVER = """\
You say what pictures show.
"""

BRIEF_DESCRIBE = """\
Words of what is bright | words of what is around?
"""
"""In the place of `prompts.observer.DESCRIBE`."""
