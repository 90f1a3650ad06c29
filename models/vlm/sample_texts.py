"""Some English and some Python, on which the tokenizers of checkpoints with random weights are trained."""

SAMPLE_TEXTS = (
    """[HYPOTHESIS LIST]:
Hypothesis_1: The neuron is selective for dogs, in whatever company they are seen.
Hypothesis_2: The neuron is selective for animals that stand on grass, and for nothing that is indoors.
Hypothesis_3: The neuron answers to stripes, whether they are on a zebra, a shirt or a flag.
""",
    """[CODE]:
```python
def run_experiment(system, tools):
    prompts = ["a dog on the grass", "a cat on the grass", "an empty meadow", "a red car in the street"]
    images = tools.text2image(prompts)
    activations, masked = system.neuron(images)
    for prompt, activation, image in zip(prompts, activations, masked):
        tools.display(prompt, f"activation: {activation:.2f}", image)
    return max(activations), min(activations)
```
""",
    """The first picture shows a brown dog that runs over a green meadow; its activation is 4.71, which is the highest
of all. In the second picture the dog was replaced with a white cat, and the activation falls to 0.52. The third picture
shows the meadow alone, without any animal: 0.03. So the background explains nothing, and the next experiment should
vary the kind of animal, its colour and its size while everything else stays as it is. What would speak against the
hypothesis is a picture with a high activation in which there is no dog at all.
""",
    """[DESCRIPTION]: This neuron is activated by dogs, mostly by their heads. Other animals such as horses, birds, cats
or elephants leave it silent. It does not matter whether the dog is black, white, brown, yellow, red, orange, purple,
pink or grey, nor where it stands: in the snow, on a table, under a tree, beside a house, at the beach, in a kitchen.
[LABEL]: dogs
""",
    """class Experiment:
    def __init__(self, unit, layer, threshold=0.5):
        self.unit, self.layer, self.threshold = unit, layer, threshold
        self.log = []

    def measure(self, images):
        values = [self.unit.activation(image) for image in images]
        self.log.extend(value for value in values if value is not None and value > self.threshold)
        return {"mean": sum(values) / len(values), "highest": max(values), "lowest": min(values)}

    def __repr__(self):
        return f"Experiment({self.unit!r}, {self.layer!r}, threshold={self.threshold})"
""",
    """import math
from collections import Counter

def describe(words, counts=None, *, least=1):
    counts = counts or Counter(word.lower().strip(".,;:!?") for word in words)
    total = sum(counts.values())
    try:
        return sorted(((count / total, word) for word, count in counts.items() if count >= least), reverse=True)
    except ZeroDivisionError as error:
        raise ValueError("there are no words") from error

while True:
    if not (line := input("> ")): break
    print(describe(line.split()), math.sqrt(len(line)), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, [10, 25, 50, 100], {"key": None})
""",
)
