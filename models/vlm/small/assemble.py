"""The small backbone's checkpoint, put together on the user's machine from pip packages and what is shipped here.

SmolLM2-135M-Instruct and EfficientNet-Lite0 come from their packages; the vision part's head and the language adapter
lie beside this file.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ...caches import cache_directory
from ...efficientnet import WEIGHTS_SHA256, weights_path
from ...errors import UserError
from ...files import write_whole
from .config import MaiaLlavaConfig, MaiaVisionConfig
from .facts import IMAGE_TOKEN, PICTURES, PROCESSOR, VOCABULARY
from .judge import read_head
from .language import read_language_model, read_tokenizer, version, weights_file
from .merge import CONFIG_FILE, WEIGHTS_FILE, merge
from .slots import SLOTS

VISION = Path(__file__).with_name("vision.safetensors")
ADAPTER = Path(__file__).with_name("adapter")
NAME = "maia-small"
FORMAT = 1
"""To be raised when this file, or the model's code, makes another checkpoint of the same sources."""
_MARK = "assembled.json"
_SETTINGS = {"prompts": "brief"}
"""maia.json: what the agent reads of it."""


def small_checkpoint(adapted: bool = True, say: Callable[[str], None] | None = None) -> Path:
    """The folder of the small backbone's checkpoint in the cache; put together where it is missing or stale (half a
    minute). adapted: with the language adapter, which experiments; else as it is before fine-tuning.

    Raises UserError where a package is missing or a file is damaged.
    """
    if adapted and not (ADAPTER / CONFIG_FILE).is_file():
        raise UserError(
            "no adapter ships with this version yet: train one (docs/finetuning.md), or use small-base, the small "
            "backbone as it is before fine-tuning."
        )
    name = NAME if adapted else f"{NAME}-base"
    return assemble(cache_directory() / "models" / name, ADAPTER if adapted else None, say)


def assemble(path: Path, adapter: Path | None = None, say: Callable[[str], None] | None = None) -> Path:
    """Writes the whole checkpoint into the folder `path`, and returns it; what is there already and made of the same
    sources stays. adapter: folder of a LoRA adapter of the language model, which is merged into the weights.

    The folder appears whole or not at all. Raises UserError (see `small_checkpoint`).
    """
    fingerprint = _fingerprint(adapter)
    if _is_fresh(path, fingerprint):
        return path
    if say is not None:
        say(f"putting the small backbone together in {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        made, old = Path(temporary) / "new", Path(temporary) / "old"
        made.mkdir()
        _write(made, adapter)
        write_whole(made / _MARK, json.dumps({"fingerprint": fingerprint}).encode())
        # Another process may have been quicker.
        if not _is_fresh(path, fingerprint):
            if path.exists():
                path.rename(old)
            made.rename(path)
    return path


def _is_fresh(path: Path, fingerprint: str) -> bool:
    try:
        return json.loads((path / _MARK).read_text(encoding="utf-8"))["fingerprint"] == fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _fingerprint(adapter: Path | None) -> str:
    """Of all sources; the packages count by version and size, so that it is quick."""
    language, eyes = weights_file(), weights_path()
    told = [str(FORMAT), version(), str(language.stat().st_size), WEIGHTS_SHA256, str(eyes.stat().st_size)]
    files = [VISION, *([] if adapter is None else [adapter / CONFIG_FILE, adapter / WEIGHTS_FILE])]
    told += [hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "none" for file in files]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _write(folder: Path, adapter: Path | None) -> None:
    from .modeling import MaiaLlavaForConditionalGeneration

    file, head, eye = weights_file(), _head(), _eye()  # what may be damaged and is quickly read comes first
    tokenizer, language = read_tokenizer(file), read_language_model(file)
    config = small_config(language.config, tokenizer)
    with torch.device("meta"):
        model = MaiaLlavaForConditionalGeneration(config)
    weights = {f"model.language_model.{name}": values for name, values in language.model.state_dict().items()}
    if adapter is not None:
        merge(weights, adapter)
    embeddings = language.get_input_embeddings().weight
    tower = {"words": word_table(embeddings, tokenizer), **eye, **head}
    weights |= {f"model.vision_tower.tower.{name}": values for name, values in tower.items()}
    weights["lm_head.weight"] = embeddings
    model.load_state_dict(weights, strict=True, assign=True)
    model.tie_weights()
    model.generation_config = language.generation_config
    model.save_pretrained(folder)
    _tidy(folder / "config.json")
    small_processor(tokenizer).save_pretrained(folder)
    write_whole(folder / "maia.json", json.dumps(_SETTINGS).encode())


def _tidy(file: Path) -> None:
    """The library writes the tower's dtype as the whole model's, and where the language model was read from."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["dtype"] = config["text_config"]["dtype"]
    for name in ("_name_or_path", "_model_name_or_path"):
        config["text_config"].pop(name, None)
    write_whole(file, json.dumps(config, indent=2).encode())


def small_config(text: Any, tokenizer: Any) -> MaiaLlavaConfig:
    """The configuration around a Llama's. Its numbers are bfloat16 but for the tower's, which are float32."""
    from .modeling import register

    register()
    text = type(text)(**{**text.to_dict(), "vocab_size": VOCABULARY, "architectures": None})
    if hasattr(text, "quantization_config"):
        del text.quantization_config
    return MaiaLlavaConfig(
        text_config=text,
        vision_config=MaiaVisionConfig(
            hidden_size=text.hidden_size, slots=[[name, list(words)] for name, words in SLOTS.items()]
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=len(SLOTS),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
        dtype="bfloat16",
    )


def small_processor(tokenizer: Any) -> Any:
    """The stock LLaVA processor around that tokenizer."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    pictures = CLIPImageProcessor(**PICTURES)
    return LlavaProcessor(pictures, tokenizer, chat_template=tokenizer.chat_template, **PROCESSOR)


def word_table(embeddings: torch.Tensor, tokenizer: Any) -> torch.Tensor:
    """float32 [sum of the slots' words, hidden]: the mean over a word's tokens of their embeddings, brought to the mean
    length of all embeddings, in the order of SLOTS."""
    known = embeddings[: len(tokenizer)].float()
    length = known.norm(dim=1).mean()
    rows = []
    for words in SLOTS.values():
        for word in words:
            row = known[tokenizer(f" {word}", add_special_tokens=False)["input_ids"]].mean(0)
            rows.append(row * (length / row.norm()))
    return torch.stack(rows)


def _eye() -> dict[str, torch.Tensor]:
    from .cached import trained_eye

    return {f"eye.{name}": values for name, values in trained_eye().state_dict().items()}


def _head() -> dict[str, torch.Tensor]:
    return {f"head.{name}": values for name, values in read_head(VISION).state_dict().items()}
