"""Task prompts: what the backbone is asked to find out, and how it has to answer. Keys are the task names."""

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

NEURON_DESCRIPTION = """\
Find out which visual concepts activate the unit most, and say it so that someone else can predict the unit's
response to new images.

How to work
- Begin with what the dataset shows, then look for the cause: make images that contain the concept and images that
  do not.
- Change one thing at a time. An edit of an activating image ("replace the dog with a cat", "make the ball green")
  says more than a new image. Ask for what should be there, not for what should be gone.
- A unit may respond to one concept, to any of several (A OR B), or to one concept only when another is in the image
  (A given B). Test general and narrow versions of each idea, and test what your favourite idea predicts should
  fail.
- Low activations are evidence too. Compare with the exemplars' activations before you call a response high.
- Cite only numbers that the log contains. Do not conclude from one image.

{reply_format}
When repeated experiments support one explanation and you have looked for counter-examples, finish with:

[DESCRIPTION]: <two or three sentences: what activates the unit, what does not, under which condition>
[LABEL]: <a few words that name the concept>

If the unit responds to several distinct concepts, give [LABEL 1]: ..., [LABEL 2]: ... instead, one concept each. If
it responds to A only together with B, write the label as "A given B".
"""

SPURIOUS_FEATURE = """\
The unit is an input of a classifier of {classes}. Decide whether it is selective for one of these classes or
responds to something spurious, such as the surroundings in which the class was photographed.

- Selective means: it responds to one class only, and keeps responding when the surroundings change. The outline
  counts as part of the class.
- Spurious means: it responds to the surroundings, or to several classes alike. When in doubt, call it spurious.

Test every class in several surroundings, and every surrounding with several classes.

{reply_format}
To finish:

[REASONING]: <the evidence, with activations>
[LABEL]: SELECTIVE or SPURIOUS
"""

BIAS_IDENTIFICATION = """\
The unit is a classifier's output for the class "{class_name}". Find kinds of images of this class to which the
output is unexpectedly low, or other images to which it is unexpectedly high: contexts, colours, sizes, poses,
accompanying objects. Compare matched sets, several images each.

{reply_format}
To finish:

[DESCRIPTION]: <the comparisons made and their mean activations>
[BIAS]: <the bias in one sentence, or "no bias found in what was tested">
"""

_LAST_TURN = """\
This was the last experiment. Do not write code. From what the log shows, give your final answer now, in this form:

"""
LAST_TURN: dict[str, str] = {
    "neuron-description": f"""\
{_LAST_TURN}[DESCRIPTION]: <two or three sentences>
[LABEL]: <a few words>   (or [LABEL 1]: ..., [LABEL 2]: ... for distinct concepts)
""",
    "spurious-feature": f"""\
{_LAST_TURN}[REASONING]: <two or three sentences>
[LABEL]: SELECTIVE or SPURIOUS
""",
    "bias-identification": f"""\
{_LAST_TURN}[DESCRIPTION]: <two or three sentences>
[BIAS]: <one sentence>
""",
}
"""What is said when a final answer is asked for, by task."""

TASKS: dict[str, str] = {
    "neuron-description": NEURON_DESCRIPTION.replace("{reply_format}", REPLY_FORMAT),
    "spurious-feature": SPURIOUS_FEATURE.replace("{reply_format}", REPLY_FORMAT),
    "bias-identification": BIAS_IDENTIFICATION.replace("{reply_format}", REPLY_FORMAT),
}
