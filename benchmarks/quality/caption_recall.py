"""What a caption filter costs and saves: recall of the prefiltered pass against the full pass, on the testbed.

Truth is the renderer's: what a detector would see is known exactly, so that only the filter can lose anything. The
testbed's own captions name every object, colour, pattern and background, but not by every name ("a boat" is a vehicle;
"in a city at night" is a night city), and also what is hidden in the picture. People's captions leave things out,
which is what costs a filter its recall; so the same is measured with captions from which a share of things is left
out. A figure for photographs needs a full pass over some of their shards: `compare` takes its scores.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ...engine.captions import THRESHOLD, CaptionFilter, Embed, caption_filter
from ...engine.readers.entries import CAPTION_BATCH, Dataset
from ...engine.readers.testbed import TestbedDataset
from ...models.errors import UserError
from ...models.groundtruth_neuron import GroundTruthNeuron, confidence
from ...models.groundtruth_suite import neuron_suite
from ...models.testbed.dataset import dataset_scene
from ...models.testbed.language import caption
from ...models.testbed.scene import Concept, Scene, concept_areas
from ...models.testbed.vocabulary import BACKGROUNDS, GROUPS

TOP = 15
"""Exemplars of a neuron (the paper, section 4.2)."""
LEFT_OUT = (0.0, 0.25, 0.5)
"""Shares of things that captions leave out; 0: the testbed's own captions."""


class Neuron(Protocol):
    """What `compare` needs of a neuron. kind: "or", "conditional", or another word for one of a single concept.

    concepts: by the names that a filter is asked for them with `str`; of a condition, what fires comes first."""

    @property
    def kind(self) -> str: ...
    @property
    def concepts(self) -> Sequence[object]: ...


def measure(
    dataset: Dataset,
    neurons: Sequence[GroundTruthNeuron] | None = None,
    k: int = TOP,
    *,
    left_out: Sequence[float] = LEFT_OUT,
    synonyms: Mapping[str, Sequence[str]] | None = None,
    embed: Embed | None = None,
    model: str = "",
    thresholds: Sequence[float] = (THRESHOLD,),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Recall and cost of every mode, as plain data for JSON.

    dataset: of the testbed. neurons: None: the suite. left_out: see `LEFT_OUT`. synonyms: None: `testbed_synonyms`.
    embed, model: the sentence embeddings and their name; without them that mode is not measured: the result says so.
    thresholds: of the embeddings' cosine, each a mode of its own. progress: (scenes looked at, all).
    The result: "images", "k", "neurons", "silent" (neurons that no image makes fire, left out of all means),
    "present_share" (pairs of image and concept that hold the concept: no filter without loss asks less), "passes": for
    each share that is left out {"left_out", "modes": {mode: what `compare` returns, with "filter": its facts}},
    "not_measured": {mode: why}. Raises UserError for a dataset that is not of the testbed.
    """
    if dataset.kind != "testbed":
        raise UserError(
            f"{dataset.name} has no exact truth: give testbed or testbed:NUMBER (what a filter loses on photographs "
            "takes a full pass over some of them)."
        )
    chosen = [neuron for neurons_ in neuron_suite().values() for neuron in neurons_] if neurons is None else neurons
    concepts = sorted({concept for neuron in chosen for concept in neuron.concepts})
    names = [str(concept) for concept in concepts]
    scores = concept_scores(len(dataset), concepts, progress)
    options: dict[str, dict[str, Any]] = {
        "off": {"mode": "off"},
        "keyword": {"mode": "keyword"},
        "keyword with synonyms": {"mode": "keyword", "synonyms": testbed_synonyms() if synonyms is None else synonyms},
    }
    if embed is not None:
        for threshold in thresholds:
            name = f"embedding from {threshold:g}"
            options[name] = {"mode": "embedding", "embed": embed, "model": model, "threshold": threshold}
    passes = []
    for share in left_out:
        told = ThinnedTestbed(len(dataset), share)
        modes = {}
        for name, given in options.items():
            chosen_filter = caption_filter(dataset=told, concepts=names, **given)
            found = compare(scores, _asked(chosen_filter, len(told), names), names, chosen, k)
            modes[name] = {**found, "filter": chosen_filter.describe()}
        passes.append({"left_out": share, "modes": modes})
    return {
        "dataset": dataset.name,
        "images": len(dataset),
        "k": k,
        "neurons": len(chosen),
        "silent": int((~(values(scores, names, chosen) > 0).any(0)).sum()),
        "concepts": len(names),
        "present_share": float((scores > 0).mean()),
        "passes": passes,
        "not_measured": {} if embed is not None else {"embedding": "no model of sentence embeddings was given"},
    }


def compare(
    scores: np.ndarray, asked: np.ndarray, concepts: Sequence[str], neurons: Sequence[Neuron], k: int = TOP
) -> dict[str, Any]:
    """What is left of a full pass's exemplars where only some pairs are asked.

    scores: float [n, concepts], the detector's for every pair, 0 where it finds nothing. asked: bool, as large.
    Means over the neurons that fire anywhere (None if none does):
    - "recall": share of the full pass's k strongest images (ties to the lower number) among those of the filtered pass;
    - "rank_recall": share of these places at which the filtered pass shows an image as strong: another one of the
      same strength is as good an exemplar;
    - "firing_recall": share of all images in which the neuron fires that still do.
    "recall_by_kind": of each kind of neuron. "asked_share": pairs asked; "combined_share": pairs left when the concepts
    of a condition are asked only where the filter asks for both. "per_concept": {concept: recall of the neuron that is
    this concept alone (None: it never fires), asked_share, present_share}.
    """
    kept = np.where(asked, scores, 0)
    full, filtered = values(scores, concepts, neurons), values(kept, concepts, neurons)
    measured = [(neuron.kind, *_recalls(full[:, u], filtered[:, u], k)) for u, neuron in enumerate(neurons)]
    firing = [entry for entry in measured if entry[1] is not None]
    kinds = dict.fromkeys(neuron.kind for neuron in neurons)
    return {
        "recall": _mean([entry[1] for entry in firing]),
        "rank_recall": _mean([entry[2] for entry in firing]),
        "firing_recall": _mean([entry[3] for entry in firing]),
        "recall_by_kind": {kind: _mean([entry[1] for entry in firing if entry[0] == kind]) for kind in kinds},
        "asked_share": float(asked.mean()),
        "combined_share": float(combined(asked, concepts, neurons).mean()),
        "per_concept": {
            concept: {
                "recall": _recalls(scores[:, column], kept[:, column], k)[0],
                "asked_share": float(asked[:, column].mean()),
                "present_share": float((scores[:, column] > 0).mean()),
            }
            for column, concept in enumerate(concepts)
        },
    }


def values(scores: np.ndarray, concepts: Sequence[str], neurons: Sequence[Neuron]) -> np.ndarray:
    """float64 [n, neurons]: activations by the paper's rules (appendix C4). scores: [n, concepts]."""
    result = np.zeros((len(scores), len(neurons)))
    for unit, neuron in enumerate(neurons):
        first, *others = (scores[:, concepts.index(str(concept))] for concept in neuron.concepts)
        if neuron.kind == "conditional":
            result[:, unit] = np.where(others[0] > 0, first, 0)
        elif neuron.kind == "or":
            both = (first > 0) & (others[0] > 0)
            result[:, unit] = np.where(both, (first + others[0]) / 2, np.maximum(first, others[0]))
        else:
            result[:, unit] = first
    return result


def combined(asked: np.ndarray, concepts: Sequence[str], neurons: Sequence[Neuron]) -> np.ndarray:
    """bool [n, concepts]: the asked pairs that some neuron needs; a condition needs pairs where both are asked."""
    result = np.zeros_like(asked)
    for neuron in neurons:
        columns = [concepts.index(str(concept)) for concept in neuron.concepts]
        own = asked[:, columns]
        result[:, columns] |= own.all(1, keepdims=True) if neuron.kind == "conditional" else own
    return result


def _recalls(full: np.ndarray, filtered: np.ndarray, k: int) -> tuple[float | None, float | None, float | None]:
    """(recall, rank recall, firing recall) of one neuron, as in `compare`; None where it never fires."""
    wanted, found = _strongest(full, k), _strongest(filtered, k)
    if not len(wanted):
        return None, None, None
    there = np.zeros(len(wanted))
    there[: len(found)] = filtered[found]
    fires = full > 0
    return (
        len(np.intersect1d(wanted, found)) / len(wanted),
        float((there >= full[wanted]).mean()),
        float((filtered[fires] > 0).mean()),
    )


def _strongest(activations: np.ndarray, k: int) -> np.ndarray:
    """Numbers of the k largest activations above 0, ties to the lower number."""
    order = np.argsort(-activations, kind="stable")[:k]
    return order[activations[order] > 0]


def _mean(numbers: Sequence[float | None]) -> float | None:
    there = [number for number in numbers if number is not None]
    return float(np.mean(there)) if there else None


def _asked(chosen: CaptionFilter, count: int, names: Sequence[str]) -> np.ndarray:
    parts = [range(start, min(start + CAPTION_BATCH, count)) for start in range(0, count, CAPTION_BATCH)]
    return np.concatenate([chosen.asked(part, names) for part in parts])


def concept_scores(
    count: int, concepts: Sequence[Concept], progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """float64 [count, concepts]: `confidence` of what is visible in each of the first scenes."""
    from ...models.testbed.renderer import render_segments  # here, so that only those who draw need skia

    scores = np.zeros((count, len(concepts)))
    for number in range(count):
        scene = dataset_scene(number)
        area_of = concept_areas(scene, render_segments(scene))
        scores[number] = [confidence(area_of(concept)) for concept in concepts]
        if progress is not None:
            progress(number + 1, count)
    return scores


def testbed_synonyms() -> dict[str, list[str]]:
    """What a user would add for the testbed's captions: members of groups, and how captions say backgrounds."""
    members = {name: list(words) for name, (_, words) in GROUPS.items()}
    return members | {name: [background.phrase] for name, background in BACKGROUNDS.items()}


class ThinnedTestbed(TestbedDataset):
    """The testbed with captions from which things are left out, as people leave them out."""

    def __init__(self, count: int, left_out: float) -> None:
        """left_out: 0..1, the chance of each object, each colour, each pattern and each background to be left out."""
        if not 0 <= left_out <= 1:
            raise UserError(f"{left_out} is no share of things that captions leave out: give a number from 0 to 1.")
        super().__init__(f"testbed:{count}", count)
        self.left_out = left_out

    def caption(self, i: int) -> str | None:
        scene = dataset_scene(i)
        return caption(scene) if self.left_out == 0 else thinned_caption(scene, self.left_out)


def thinned_caption(scene: Scene, left_out: float) -> str:
    """A caption that names what is not left out; what a share leaves out, every larger share leaves out too.

    Whatever is left out, a caption remains: "a picture".
    """

    def told(what: str, words: str) -> list[str]:
        return [words] if random.Random(f"captions/{scene.seed}/{what}").random() >= left_out else []

    if scene.surface is not None:
        colour, pattern = scene.surface
        return " ".join(["a close-up of", *told("pattern", pattern), *told("colour", colour), "fabric"])
    things = []
    for place, entry in enumerate(scene.objects):
        if told(f"{place}/noun", entry.noun):
            looks = [*told(f"{place}/pattern", entry.pattern), *told(f"{place}/colour", entry.colour)]
            things.append(" ".join(["a", *looks, entry.noun]))
    where = told("background", BACKGROUNDS[scene.background or ""].phrase)
    return " ".join([" and ".join(things) or "a picture", *where])


def rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The result of `measure` as a table's rows, its head first."""
    head = ("left out", "filter", "recall", "as strong", "fires still", "pairs asked", "conditions combined")
    keys = ("recall", "rank_recall", "firing_recall", "asked_share", "combined_share")

    def share(number: float | None) -> str:
        return "–" if number is None else f"{number:.1%}"

    body = [
        (f"{entry['left_out']:.0%}", mode, *(share(found[key]) for key in keys))
        for entry in result["passes"]
        for mode, found in entry["modes"].items()
    ]
    return [head, *body]
