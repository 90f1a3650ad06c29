"""A pipeline from a diffusers folder: every part is checked against its files before anything is drawn with it.

diffusers fills weights that a file lacks with random numbers and only warns; here that is an error.
"""

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

INDEX = "model_index.json"
CODE = (".bin", ".ckpt", ".pt", ".pth")
"""Files that may hold pickled code: never read."""

HARMLESS = ("position_ids",)
"""Entries of older files that no module has any more: numbers 0, 1, 2 …"""

SAFETY = ("safety_checker", "feature_extractor")
SHOWN = 5


def read_index(folder: Path) -> dict[str, Any]:
    """The folder's model_index.json. Raises UserError where there is none, or none of a pipeline."""
    file = folder / INDEX
    if not file.is_file():
        raise UserError(
            f"{folder} is not a diffusers model: it has no {INDEX}; name the folder that `save_pretrained` wrote or "
            "that was downloaded whole, or a single .safetensors file."
        )
    index = read_json(file)
    name = index.get("_class_name")
    if not isinstance(name, str):
        raise UserError(
            f"{file} names no pipeline of diffusers as _class_name but {name!r}: pipelines with code of their own are "
            "not run; use a folder of one of diffusers' own pipelines."
        )
    return index


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object in a file. Raises UserError for one that is damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UserError(f"{file} cannot be read as JSON ({problem}): get the file again from its source.") from problem
    if not isinstance(content, dict):
        raise UserError(f"{file} must hold a JSON object: get the file again from its source.")
    return content


def pipeline_class(index: dict[str, Any], folder: Path) -> Any:
    """The pipeline's class in diffusers. Raises UserError for a name that the installed one does not have."""
    import diffusers

    cls = getattr(diffusers, index["_class_name"], None)
    if not (isinstance(cls, type) and issubclass(cls, diffusers.DiffusionPipeline)):
        raise UserError(
            f"{folder / INDEX} asks for {index['_class_name']}, which diffusers {diffusers.__version__} does not have: "
            "install the version that the model's source names, or choose another model."
        )
    return cls


def load_folder(folder: Path, dtype: "torch.dtype", safety_checker: bool) -> Any:
    """The pipeline in a diffusers folder, on the CPU, with nothing fetched and no code of the folder run.

    safety_checker: False leaves the checkpoint's checker out; True needs one. Raises UserError that names the first
    file or folder that is missing, damaged or does not fit, and what to do.
    """
    index = read_index(folder)
    cls = pipeline_class(index, folder)
    entries = {name: tuple(entry) for name, entry in index.items() if isinstance(entry, list) and len(entry) == 2}
    given: dict[str, Any] = {}
    if "safety_checker" in index and not safety_checker:
        given = {name: None for name in SAFETY if name in index} | {"requires_safety_checker": False}
        entries = {name: entry for name, entry in entries.items() if name not in SAFETY}
    elif safety_checker and entries.get("safety_checker", (None, None))[1] is None:
        raise UserError(
            f"{folder} has no safety_checker: put the one of the model's source into {folder / 'safety_checker'} and "
            f"into {INDEX}, or set safety_checker to false."
        )
    for name, (library, class_name) in entries.items():
        if class_name is None:
            continue
        part = folder / name
        if not part.is_dir():
            raise UserError(f"{folder} lacks the folder {name} of its {class_name}: get the model whole.")
        part_class = _class_of(library, class_name, folder / INDEX)
        if _is_module(part_class):
            given[name] = load_part(part_class, part, dtype)
    try:
        return cls.from_pretrained(
            folder, **given, local_files_only=True, use_safetensors=True, dtype=dtype, trust_remote_code=False
        )
    except Exception as problem:  # whatever a configuration or tokenizer file that is damaged makes diffusers raise
        raise UserError(
            f"{folder} cannot be loaded as {cls.__name__} ({type(problem).__name__}: {first_line(problem)}): get its "
            "configuration and tokenizer files again from the model's source."
        ) from problem


def first_line(problem: BaseException) -> str:
    """The beginning of an error's text, for messages."""
    return (str(problem).strip().splitlines() or [""])[0][:200]


def _class_of(library: str | None, class_name: str, file: Path) -> Any:
    """The class behind an entry of model_index.json: of diffusers, of one of its pipelines, or of transformers."""
    if library in ("diffusers", "transformers"):
        module: Any = importlib.import_module(library)
    else:
        pipelines = importlib.import_module("diffusers.pipelines")
        module = getattr(pipelines, library, None) if isinstance(library, str) else None
    cls = getattr(module, class_name, None) if module is not None else None
    if cls is None:
        raise UserError(
            f"{file} asks for {library}.{class_name}, which neither diffusers nor transformers has: code that comes "
            "with a model is not run; use a folder of diffusers' own classes."
        )
    return cls


def _is_module(cls: Any) -> bool:
    from torch import nn

    return isinstance(cls, type) and issubclass(cls, nn.Module)


def _is_transformers(cls: type) -> bool:
    from transformers import PreTrainedModel

    return issubclass(cls, PreTrainedModel)


def weight_files(part: Path) -> tuple[list[Path], str | None]:
    """A part's safetensors files, and the variant that is read of them (None: the plain ones).

    Where there are only files of one variant ("fp16", as in model.fp16.safetensors), that one is read. Raises
    UserError where there are none, where only pickled ones are, or where several variants could be meant.
    """
    files = sorted(part.glob("*.safetensors"))
    variants: dict[str | None, list[Path]] = {}
    for file in files:
        # model.safetensors, model-00001-of-00002.safetensors; model.fp16.safetensors, model.fp16-00001-of-….safetensors
        middle = file.name.split(".")[1:-1]
        variants.setdefault(middle[0].split("-")[0] if middle else None, []).append(file)
    if None in variants:
        return variants[None], None
    if len(variants) == 1:
        (variant, chosen), *_ = variants.items()
        return chosen, variant
    if variants:
        raise UserError(f"{part} holds the variants {', '.join(map(str, variants))}: keep the files of one.")
    pickled = [file.name for file in sorted(part.iterdir()) if file.suffix in CODE]
    if pickled:
        raise UserError(
            f"{part} holds only {pickled[0]}, a pickle that could run code: get the model's .safetensors files, or "
            "convert it with its source's script on a machine that you do not mind."
        )
    raise UserError(f"{part} holds no weights: put the .safetensors file of the model's source there.")


def check_file(file: Path) -> None:
    """Raises UserError for a safetensors file that is cut off or damaged: the header tells how long it must be."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt"):
            pass
    except (SafetensorError, OSError) as problem:
        raise UserError(
            f"{file} is damaged or was not copied to its end ({first_line(problem)}): get it again from its source."
        ) from problem


def load_part(cls: Any, part: Path, dtype: "torch.dtype") -> "nn.Module":
    """A component from its folder, every weight of it from the file. Raises UserError that names what does not fit."""
    files, variant = weight_files(part)
    if not (part / "config.json").is_file():
        raise UserError(f"{part} lacks config.json: get the model whole from its source.")
    read_json(part / "config.json")
    for file in files:
        check_file(file)
    # transformers reports shapes only where told not to raise for them; diffusers names them as it raises.
    more = {"ignore_mismatched_sizes": True} if _is_transformers(cls) else {}
    try:
        module, report = cls.from_pretrained(
            part,
            local_files_only=True,
            use_safetensors=True,
            dtype=dtype,
            variant=variant,
            output_loading_info=True,
            **more,
        )
    except Exception as problem:  # the libraries raise what they like on weights of other shapes
        raise UserError(
            f"the weights in {part} do not fit its config.json ({type(problem).__name__}: {first_line(problem)}): get "
            "both from one source."
        ) from problem
    problems = []
    if missing := sorted(map(str, report["missing_keys"])):
        problems.append(f"lack {listed(missing)}")
    if other := sorted(str(entry[0] if isinstance(entry, tuple) else entry) for entry in report["mismatched_keys"]):
        problems.append(f"have other shapes in {listed(other)}")
    unknown = [name for name in map(str, report["unexpected_keys"]) if name.rpartition(".")[2] not in HARMLESS]
    if unknown:
        problems.append(f"hold {listed(sorted(unknown))}, which {cls.__name__} does not have")
    if problems:
        raise UserError(
            f"the weights in {part} ({', '.join(file.name for file in files)}) do not fit its config.json: they "
            f"{'; they '.join(problems)}: get both from one source."
        )
    return module.eval()


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
