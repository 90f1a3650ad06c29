"""Task prompts: what the backbone is asked to find out, and how it has to answer. Each is a file of `task_files`.

`agent.tasks` reads the files, the built-in ones and a user's own; docs/tasks.md tells their form.
"""

from pathlib import Path

TASK_FILES = Path(__file__).parent / "task_files"
"""Folder of the built-in tasks; a file's name is the task's."""

REPLY_FORMAT = """\
While you experiment, answer in exactly this form:

[HYPOTHESIS LIST]:
Hypothesis_1: <what may activate the unit>
Hypothesis_2: <another explanation>
[CODE]:
```python
def run_experiment(system, tools):
    ...
    tools.log_experiment(activations, images, titles, text)
```

One function and one code block in a reply, nothing after it. Log what you want to see: only logged results reach
you.
"""
"""What stands in the place of {reply_format} in a task's prompt."""


def task_files() -> dict[str, Path]:
    """The built-in tasks' files by name, in alphabetical order."""
    return {file.stem: file for file in sorted(TASK_FILES.glob("*.yaml"))}
