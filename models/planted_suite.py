"""Classes with planted biases: what their value is, and the fixed suite.

A class's value is the evidence for its noun, times a factor where the planted condition holds, plus noise. So the truth
is known exactly: which context, colour or size the class is biased by, in which direction, and how much.
"""

import hashlib
import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal, get_args

from .groundtruth_neuron import MIN_AREA
from .testbed.scene import Concept, Scene, SceneObject
from .testbed.vocabulary import BACKGROUNDS, COLOURS, NOUNS

BiasKind = Literal["context", "colour", "size", "clean"]
KINDS: tuple[BiasKind, ...] = get_args(BiasKind)

EVIDENCE_AREA = 400
"""Visible pixels from which the evidence is full: 20x20. Far fewer than `groundtruth_neuron.REFERENCE_AREA`, so that a
class without a bias answers a small thing as it answers a large one."""
SMALL_SCALE = 43.0
"""Half-side in pixels, before the noun's own factor, below which a thing is small. `layout.ALONE` draws "a small dog"
with 28 to 40, "a dog" and "a medium dog" with 46 and more; the edit "make the dog small" brings a medium one to 32 to
42."""
WEAKEST, STRONGEST = 0.15, 0.4
"""Planted changes of the value, as shares of it: the weakest is 1.5 times the noise of one picture (one picture shows
nothing, ten matched ones do), the strongest still leaves the class visible."""
DROPS = 2 / 3
"""Share of planted biases that lower the value; the others raise it."""
PICTURE_NOISE, CONTENT_NOISE = 0.08, 0.06
"""Standard deviations of the noise's two parts. The first belongs to a scene's seed, so that an edited picture shares
it with its original, and matched pictures are worth more than others. The second belongs to all that is in the scene:
a change that should do nothing still changes the value a little, as it does in a network."""
PLANTED_EACH, CLEAN = 8, 24
"""Classes of each planted kind, and without a bias."""
SUITE_SEED = 0


def evidence(area: int) -> float:
    """The value of a class without bias and noise, for a noun with `area` visible pixels: 0 below MIN_AREA, then from
    0.69 rising to 1 at EVIDENCE_AREA: 0.5 + 0.5 * sqrt(area / EVIDENCE_AREA), at most 1."""
    return 0.0 if area < MIN_AREA else 0.5 + 0.5 * min(1.0, math.sqrt(area / EVIDENCE_AREA))


@dataclass(frozen=True)
class PlantedClass:
    """A class of a classifier with known bias.

    value: the background ("context"), the colour of the thing ("colour"), "small" ("size"), or "" ("clean"). strength:
    change of the class's value where that holds, as a share of it (-0.3: 30 % lower); 0 for "clean" only.
    """

    noun: str
    kind: BiasKind
    value: str = ""
    strength: float = 0.0

    def __post_init__(self) -> None:
        choices = {"context": tuple(BACKGROUNDS), "colour": tuple(COLOURS), "size": ("small",), "clean": ("",)}
        if (
            self.noun not in NOUNS
            or self.value not in choices[self.kind]
            or (self.kind == "clean") != (not self.strength)
        ):
            raise ValueError(f"{self} is no class of this testbed")

    @property
    def concept(self) -> Concept:
        """The noun that is evidence for the class."""
        return Concept("noun", self.noun)

    @property
    def truth(self) -> str:
        """In the words of a [BIAS] sentence."""
        if self.kind == "clean":
            return f"no bias of '{self.noun}'"
        where = {
            "context": BACKGROUNDS[self.value].phrase if self.kind == "context" else "",
            "colour": f"when the {self.noun} is {self.value}",
            "size": f"when the {self.noun} is small",
        }[self.kind]
        return f"activations for '{self.noun}' are {'lower' if self.strength < 0 else 'higher'} {where}"

    def holds(self, scene: Scene) -> bool:
        """Whether the planted condition holds. Of several things of the class's noun the largest counts."""
        things = [entry for entry in scene.objects if entry.noun == self.noun]
        if self.kind == "clean" or not things:
            return False
        if self.kind == "context":
            return scene.background == self.value
        largest = max(things, key=lambda entry: entry.scale)
        return is_small(largest) if self.kind == "size" else largest.colour == self.value

    def expected(self, scene: Scene, area: int) -> float:
        """The value without noise. area: visible pixels of the noun."""
        return evidence(area) * (1.0 + self.strength * self.holds(scene))

    def answer(self, scene: Scene, area: int) -> float:
        """The value, at least 0: 0 where the noun is not visible, else `expected` plus noise that follows from the
        class's noun and the scene."""
        expected = self.expected(scene, area)
        return max(0.0, expected + noise(self.noun, scene)) if expected else 0.0

    def respond(self, area_of: Callable[[Concept], int], scene: Scene) -> float:
        """`answer`, given each concept's visible pixels."""
        return self.answer(scene, area_of(self.concept))


def is_small(entry: SceneObject) -> bool:
    """Whether a thing is small for its kind: see SMALL_SCALE."""
    return entry.scale < SMALL_SCALE * NOUNS[entry.noun].size


def noise(noun: str, scene: Scene) -> float:
    """Of the two parts of the noise the sum; the same for the same noun and scene, whatever the class's bias is."""
    content = hashlib.sha256(json.dumps(scene.to_json(), sort_keys=True).encode()).hexdigest()
    picture = random.Random(f"planted/{noun}/{scene.seed}").gauss(0.0, PICTURE_NOISE)
    return picture + random.Random(f"planted/{noun}/{content}").gauss(0.0, CONTENT_NOISE)


@cache
def planted_suite() -> dict[BiasKind, tuple[PlantedClass, ...]]:
    """PLANTED_EACH classes of each planted kind, on nouns of their own, and CLEAN without a bias; always the same."""
    rng = random.Random(f"planted/suite/{SUITE_SEED}")
    nouns = rng.sample(list(NOUNS), len(NOUNS))
    values: dict[BiasKind, list[str]] = {
        "context": rng.sample(list(BACKGROUNDS), PLANTED_EACH),
        "colour": rng.sample(list(COLOURS), PLANTED_EACH),
        "size": ["small"] * PLANTED_EACH,
    }
    suite: dict[BiasKind, tuple[PlantedClass, ...]] = {}
    for place, (kind, chosen) in enumerate(values.items()):
        own = nouns[place * PLANTED_EACH : (place + 1) * PLANTED_EACH]
        suite[kind] = tuple(
            PlantedClass(noun, kind, value, _strength(rng)) for noun, value in zip(own, chosen, strict=True)
        )
    # Those that no bias was planted in come first; a noun may have a biased and an unbiased class.
    suite["clean"] = tuple(PlantedClass(noun, "clean") for noun in nouns[::-1][:CLEAN])
    return suite


def _strength(rng: random.Random) -> float:
    size = round(rng.uniform(WEAKEST, STRONGEST), 2)
    return -size if rng.random() < DROPS else size


def definition() -> list[object]:
    """All that values depend on, as JSON."""
    constants = [MIN_AREA, EVIDENCE_AREA, SMALL_SCALE, PICTURE_NOISE, CONTENT_NOISE]
    return [1, constants, {kind: [asdict(one) for one in classes] for kind, classes in planted_suite().items()}]
