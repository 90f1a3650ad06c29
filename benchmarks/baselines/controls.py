"""Labels to compare the agent with: what the exemplars alone say, and a random word."""

import random

import numpy as np

from ...agent.backbones.scripted.evidence import Evidence, seen
from ...agent.backbones.scripted.hypotheses import CONCEPTS, SPACE, fit
from ...agent.exemplars import exemplar_images, masked_exemplars
from ...agent.services import Services
from ...models.targets import Unit


async def exemplar_only_label(services: Services, unit: Unit) -> str:
    """The label that the descriptions of the unit's 15 masked exemplars support best, without any experiment.

    It reads the exemplars exactly as the scripted experimenter does (same describer, same hypotheses, same prices),
    so that a difference to the agent is what experiments add.
    """
    found = services.index.entries(unit)
    shown = await masked_exemplars(services, unit, found, await exemplar_images(services, found))
    evidence = Evidence()
    for exemplar, line in zip(found, await services.describe(shown), strict=True):
        evidence.exemplars.append(seen(line, exemplar.value))
    if not evidence.exemplars:
        return "no visual concept found"
    return SPACE[int(np.argmax(fit(evidence).score))].label


def random_label(unit: Unit, seed: int) -> str:
    """A concept drawn without looking at the unit."""
    return random.Random(f"{seed}/{unit}/random-label").choice(CONCEPTS)
