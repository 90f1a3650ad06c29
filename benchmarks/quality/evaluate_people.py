"""Who writes, picks and labels in an evaluation, by what a person asked for. Models are loaded when they are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...models.errors import UserError

if TYPE_CHECKING:
    from ...engine.scheduler import Scheduler
    from ...engine.vlm import Vlm
    from .evaluate_methods import Baseline
    from .pool import Selector, Writer

WRITERS = ("scene", "model")
SELECTORS = ("scene", "embeddings", "model")
DISSECT, CAPTION, MILAN = "clip-dissect", "exemplar-caption", "milan"


@dataclass(frozen=True)
class Asked:
    """writer, selector: of WRITERS and SELECTORS. clip: folder of the CLIP of clip-dissect, None: the describer's words
    in its place. concepts: file of its concepts, None: the offline world's vocabulary. milan: MILAN's checkpoint, or a
    folder with it. device: torch's, of MILAN."""

    writer: str
    selector: str
    clip: Path | None = None
    concepts: Path | None = None
    milan: Path | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class People:
    """baselines: all that can be had here, by name."""

    writer: "Writer"
    selector: "Selector"
    baselines: "Mapping[str, Baseline]"


def people_of(asked: Asked, scheduler: "Scheduler", vlm: "Vlm | None") -> People:
    """vlm: the model behind the scheduler's VLM, None if there is none. Raises UserError for what needs a model where
    there is none, and for folders and files that cannot be read."""
    from ..baselines.captioner import Captioner
    from ..baselines.clip_dissect import Dissector
    from ..baselines.concept_lists import read_concepts, vocabulary_concepts
    from ..baselines.image_text import ClipSimilarity
    from .agreement_judges import through
    from .evaluate_methods import BASELINES, captioning, describing, dissecting
    from .writers import EmbeddingSelector, ModelSelector, ModelWriter, SceneSelector, SceneWriter

    if vlm is None and "model" in (asked.writer, asked.selector):
        raise UserError("a writer or selector that is a model needs one: give --vlm (a folder, a name, small).")
    complete = through(scheduler)
    selector: Selector = ModelSelector(complete) if asked.selector == "model" else SceneSelector()
    if asked.selector == "embeddings":
        from ...models.text_embeddings import load_embedder

        selector = EmbeddingSelector(load_embedder())
    baselines = dict(BASELINES)
    if asked.clip is not None:
        listed = read_concepts(asked.concepts) if asked.concepts is not None else vocabulary_concepts()
        baselines[DISSECT] = dissecting(Dissector(ClipSimilarity.load(asked.clip), listed))
    if asked.milan is not None:
        from ..baselines.milan_folder import load_milan

        baselines[MILAN] = describing(load_milan(asked.milan, asked.device))
    if vlm is not None:
        baselines[CAPTION] = captioning(Captioner(vlm, complete))
    return People(ModelWriter(complete) if asked.writer == "model" else SceneWriter(), selector, baselines)
