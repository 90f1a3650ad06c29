"""Which concept detector synthetic neurons are made of, with its defaults; and the target that it makes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.detectors.base import BOX_THRESHOLD, DILATION, TEXT_THRESHOLD
from ..models.errors import UserError
from ..models.synthetic import ALL, LISTS, synthetic_neurons

if TYPE_CHECKING:
    import torch

    from ..models.groundtruth import SceneRegistry
    from ..models.synthetic_target import SyntheticTarget
    from .profile import Profile

DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}

GROUNDED, TESTBED = MODELS = ("grounded", "testbed")
"""Grounding DINO with a segmenter; and the offline world's, which looks scenes up."""


@dataclass(frozen=True)
class DetectorOptions:
    """model: one of MODELS. neurons: one of `synthetic.LISTS`, or a YAML file of one's own.

    Of "grounded": grounding, segmenter: checkpoint folders, or names of folders in $MAIA_WEIGHTS. box_threshold,
    text_threshold: the paper's .3 and .25 (appendix C4). dilation, resolution: see
    `load_detector`. dtype: "fp16" or "bf16" (GPU only), "fp32"; None: fp16 on a GPU, fp32 on the CPU.
    """

    model: str = GROUNDED
    neurons: str = ALL
    grounding: str = "grounding-dino-tiny"
    segmenter: str = "sam-vit-huge"
    box_threshold: float = BOX_THRESHOLD
    text_threshold: float = TEXT_THRESHOLD
    dilation: float = DILATION
    resolution: int | None = None
    dtype: str | None = None

    @classmethod
    def read(cls, value: Any, where: str = "detector") -> "DetectorOptions":
        """Options from what a person gives: one of MODELS, a YAML file, or a mapping of these options.

        Paths in a file are taken from its folder. where: what messages call it. Raises UserError that names the first
        option that is unknown, or of a wrong type or value.
        """
        if isinstance(value, str) and value in MODELS:
            return cls(model=value)
        folder = None
        if isinstance(value, str | Path):
            where, folder = str(value), Path(value).expanduser().parent
            value = _read(Path(value).expanduser())
        names = [entry.name for entry in fields(cls)]
        if not isinstance(value, Mapping):
            raise UserError(f"{where} must be {', '.join(MODELS)}, a YAML file, or a mapping of {', '.join(names)}.")
        unknown = [name for name in value if name not in names]
        if unknown:
            raise UserError(f"{where} has no option {unknown[0]!r}: choose from {', '.join(names)}.")
        chosen = cls(**value)
        chosen._check(where)
        return chosen if folder is None else chosen._from(folder)

    def _check(self, where: str) -> None:
        if self.model not in MODELS:
            raise UserError(f"{where}: there is no detector {self.model!r}: choose from {', '.join(MODELS)}.")
        for name in ("neurons", "grounding", "segmenter"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise UserError(f"{where}: {name} must be a name or a path, not {getattr(self, name)!r}.")
        for name in ("box_threshold", "text_threshold"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < 1:
                raise UserError(f"{where}: {name} must be a number between 0 and 1, not {number!r}.")
        if self.resolution is not None and (isinstance(self.resolution, bool) or not isinstance(self.resolution, int)):
            raise UserError(f"{where}: resolution must be a whole number of pixels, not {self.resolution!r}.")
        if self.dtype not in (None, *DTYPES):
            raise UserError(f"{where}: dtype cannot be {self.dtype!r}: choose from {', '.join(DTYPES)}, null.")

    def _from(self, folder: Path) -> "DetectorOptions":
        """With paths that stand beside the file they were read from."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name in ("neurons", "grounding", "segmenter"):
            if (folder / values[name]).exists() and not (name == "neurons" and values[name] in LISTS):
                values[name] = str(folder / values[name])
        return DetectorOptions(**values)


def detector_of(profile: "Profile") -> DetectorOptions:
    """What the profile's synthetic neurons are made of: as it says, else the offline world's detector in that world,
    else "grounded" with its defaults. Raises UserError for wrong options, and for "testbed" in another world."""
    if profile.detector is not None:
        chosen = DetectorOptions.read(profile.detector, "the profile's detector")
    else:
        chosen = DetectorOptions(model=TESTBED if profile.world == "testbed" else GROUNDED)
    if chosen.model == TESTBED and profile.world != "testbed":
        raise UserError(
            f"the detector testbed only knows what the world testbed draws, not what {profile.world} do: choose the "
            "detector grounded, or --profile testbed."
        )
    return chosen


def synthetic_target(
    options: DetectorOptions, registry: "SceneRegistry | None" = None, device: "torch.device | str" = "cpu"
) -> "SyntheticTarget":
    """The target of these options, on that device. registry: the world whose pictures "testbed" looks up.

    Raises UserError for neurons and weights that are missing or damaged.
    """
    neurons = synthetic_neurons(options.neurons)
    if options.model == TESTBED:
        from ..models.detectors.scenes import SceneSyntheticTarget

        if registry is None:
            raise ValueError("the detector testbed needs the world whose pictures it sees")
        return SceneSyntheticTarget(registry, neurons)
    from ..models.detectors.grounded import load_detector
    from ..models.synthetic_target import SyntheticTarget

    detector = load_detector(
        _folder(options.grounding),
        _folder(options.segmenter),
        box_threshold=options.box_threshold,
        text_threshold=options.text_threshold,
        dilation=options.dilation,
        resolution=options.resolution,
        device=device,
        dtype=None if options.dtype is None else DTYPES[options.dtype],
    )
    return SyntheticTarget(detector, neurons)


def _folder(name: str) -> Path:
    from ..models.networks.weights import weights_directory

    path = Path(name).expanduser()
    return path if path.is_dir() else weights_directory() / name


def _read(path: Path) -> Any:
    import yaml

    if not path.is_file():
        raise UserError(f"there is no detector {str(path)!r}: give {', '.join(MODELS)}, or a YAML file of its options.")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
