"""What can be chosen of a training set, with its defaults."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from ..engine.profile import load_profile, vlm_options
from ..engine.vlm import Vlm, checkpoint_path, resolve_vlm, with_model
from ..engine.vlm_options import VlmOptions
from ..models.errors import UserError
from ..models.groundtruth_split import Split, split_concepts
from ..models.vlm.checkpoint import read_checkpoint
from .guards import GUARDS

MIN_SCORE = 0.5
"""Of a label whose truth is not known: the difference of means over p95 - p50 (`benchmarks.quality.predictive`)."""
VALIDATION = 0.05
PAIRS = ("none", "faults", "all")


@dataclass(frozen=True)
class CollectOptions:
    """model: the folder of the checkpoint to be trained, or a name of the catalogue whose folder is in $MAIA_WEIGHTS:
    its family and its tokenizer decide what dialogues look like. context: tokens that it reads; None: those of a run
    (16,384), or all it can if that is less. images: pictures a message may hold; None: the family's number. max_tokens:
    of a reply, longer ones are not imitated; None: as in a run.

    min_score: of labels whose truth is not known; None: all such are kept. guards: those that replies have to pass.
    split: held-out concepts; None: nothing is held out. per_neuron: trajectories of one neuron at most. max_samples,
    token_budget: of training and validation together. validation: share of the neurons. pairs: preferences that are
    made; "all": those by outcome too (see `trajectories_pairs`). descriptions: pictures at most that a model with brief
    prompts learns to describe, where runs tell what they show. overwrite: an older training set in the same place is
    replaced. command: what the card says that it was made by.
    """

    model: str
    context: int | None = None
    images: int | None = None
    max_tokens: int | None = None
    min_score: float | None = MIN_SCORE
    guards: tuple[str, ...] = GUARDS
    split: Split | None = field(default_factory=split_concepts)
    per_neuron: int | None = None
    max_samples: int | None = None
    token_budget: int | None = None
    validation: float = VALIDATION
    pairs: Literal["none", "faults", "all"] = "faults"
    descriptions: int = 3600
    seed: int = 0
    overwrite: bool = False
    command: str = ""

    def check(self) -> None:
        """Raises UserError that names the first option that is wrong."""
        for name in ("per_neuron", "max_samples", "token_budget"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, not {value}.")
        if not 0 <= self.validation < 1:
            raise UserError(f"validation must be a share from 0 to less than 1, not {self.validation:g}.")
        if self.pairs not in PAIRS:
            raise UserError(f"pairs cannot be {self.pairs!r}: choose from {', '.join(PAIRS)}.")
        for guard in self.guards:
            if guard not in GUARDS:
                raise UserError(f"there is no guard {guard!r}: choose from {', '.join(GUARDS)}.")

    @property
    def facts(self) -> dict[str, Any]:
        """For the card: all that decides what is in the set, beside the model."""
        left_out = ("model", "context", "images", "max_tokens", "split", "overwrite", "command")
        chosen = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in left_out}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}


def vlm_of(options: CollectOptions) -> Vlm:
    """The model as a run would use it. Raises UserError where its folder is missing or damaged."""
    profile = with_model(load_profile("testbed"), options.model)
    entries = dict(profile.vlm or {})
    chosen = {"context": options.context, "images": options.images, "max_tokens": options.max_tokens}
    entries |= {name: value for name, value in chosen.items() if value is not None}
    if "context" not in entries:
        own = vlm_options(profile)
        assert own is not None
        entries["context"] = min(VlmOptions.context, read_checkpoint(checkpoint_path(own), own.model).context)
    return resolve_vlm(replace(profile, vlm=entries))
