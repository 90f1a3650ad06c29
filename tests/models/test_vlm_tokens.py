"""Counts of tokens, against the processors of transformers and real tokenizers."""

import math
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maia.models.vlm.chat import ChatImage, ChatMessage
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.families import families
from maia.models.vlm.images import RULES, best_grid, image_values
from maia.models.vlm.random_families import RANDOM_FAMILIES
from maia.models.vlm.sample_texts import SAMPLE_TEXTS
from maia.models.vlm.tokens import counter_of, estimate, estimated_tokens
from PIL import Image
from tiny_vlm import own_checkpoint, tiny_checkpoint

FAMILIES = sorted(RANDOM_FAMILIES)
ROOT = Path(__file__).resolve().parents[2]
SIDES = st.integers(4, 700)
# The image processor's settings of the published checkpoints, by transformers' names.
PUBLISHED = {
    "llava-next": {
        "size": {"shortest_edge": 336},
        "crop_size": {"height": 336, "width": 336},
        "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    },
    "llava": {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}},
    "qwen2.5-vl": {"size": {"shortest_edge": 3136, "longest_edge": 12845056}},
    "qwen3-vl": {"size": {"shortest_edge": 65536, "longest_edge": 16777216}},
    "gemma-3": {"size": {"height": 896, "width": 896}},
    "mistral-small-3": {"size": {"longest_edge": 1540}},
    "maia-small": {},
}


@cache
def checkpoint(name: str):
    return read_checkpoint(tiny_checkpoint(name))


@cache
def counter(name: str):
    return counter_of(checkpoint(name))


@cache
def processor(name: str):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny_checkpoint(name))


@cache
def published_processor(name: str):
    """The family's processor as it is published, with a tiny tokenizer."""
    import transformers

    row = RANDOM_FAMILIES[name]
    cls, arguments = row.image_processor
    image_processor = getattr(transformers, cls)(**{**arguments, **PUBLISHED[name]})
    parts = {"image_processor": image_processor, "tokenizer": processor(name).tokenizer}
    if row.video_processor:
        parts["video_processor"] = processor(name).video_processor
    cls, arguments = row.processor
    own = {"image_seq_length": 256} if "image_seq_length" in arguments else {}
    return getattr(transformers, cls)(**parts, **{**arguments, **own})


def content(message: ChatMessage) -> list[dict]:
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image", "image": Image.new("RGB", (part.width, part.height))}
        for part in message.parts
    ]


def true_length(name: str, dialogue: list[ChatMessage]) -> int:
    """Tokens of the prompt that transformers makes."""
    inputs = processor(name).apply_chat_template(
        [{"role": message.role, "content": content(message)} for message in dialogue],
        tokenize=True,
        return_dict=True,
        add_generation_prompt=True,
    )
    return len(inputs["input_ids"][0])


def reckoned(count, dialogue: list[ChatMessage]) -> int:
    parts = [part for message in dialogue for part in message.parts]
    return count.message * len(dialogue) + sum(
        count.text(part) if isinstance(part, str) else count.image(part.width, part.height) for part in parts
    )


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=25)
@given(width=SIDES, height=SIDES)
@example(width=700, height=4)
@example(width=4, height=700)
@example(width=56, height=56)
@example(width=112, height=56)
@example(width=57, height=55)
def test_a_picture_counts_what_the_processor_makes_of_it(name: str, width: int, height: int) -> None:
    picture = ChatImage(b"", width, height)
    # Two pictures and one, so that the text begins behind a picture in both.
    if checkpoint(name).family.images_first:
        dialogues = [[ChatMessage("user", (*[picture] * pictures, "a"))] for pictures in (2, 1)]
        between = 0
    else:
        dialogues = [[ChatMessage("user", (picture, "a") * pictures)] for pictures in (2, 1)]
        between = counter(name).text("a")
    assert (
        counter(name).image(width, height)
        == true_length(name, dialogues[0]) - true_length(name, dialogues[1]) - between
    )


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=150)
@given(width=st.integers(16, 3000), height=st.integers(16, 3000))
def test_the_familys_values_are_those_of_the_published_processor(name: str, width: int, height: int) -> None:
    row = families()[name]
    told = published_processor(name)._get_num_multimodal_tokens(image_sizes=[(height, width)])
    assert RULES[row.image_rule](width, height, row.image_values) == int(told.num_image_tokens[0])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_checkpoints_files_are_read_for_its_pictures(name: str) -> None:
    own = checkpoint(name)
    values = image_values(own.family, own.config, own.processor)
    assert values != own.family.image_values
    # A checkpoint that says nothing leaves the family's.
    assert {**image_values(own.family, {}, {}), "extra": 0} == {**own.family.image_values, "extra": 0}


def test_the_class_token_counts_where_it_is_kept(tmp_path: Path) -> None:
    import json

    folder = own_checkpoint(tmp_path)
    before = counter_of(read_checkpoint(folder)).image(50, 50)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vision_feature_select_strategy": "full"}))
    assert counter_of(read_checkpoint(folder)).image(50, 50) == before + 1


def test_the_older_names_of_qwens_limits_count() -> None:
    row = families()["qwen2.5-vl"]
    older = image_values(row, {}, {"min_pixels": 784, "max_pixels": 7840})
    assert (older["least"], older["most"]) == (784, 7840)


def test_figures_that_the_families_name() -> None:
    tokens = {
        name: (
            RULES[row.image_rule](row.image_side, row.image_side, row.image_values),
            RULES[row.image_rule](row.sheet_side, row.sheet_side, row.image_values),
        )
        for name, row in families().items()
    }
    assert tokens == {
        "llava-next": (1176, 2928),
        "llava": (576, 576),
        "qwen2.5-vl": (256, 1024),
        "qwen3-vl": (196, 784),
        "gemma-3": (256, 256),
        "mistral-small-3": (272, 1056),
        "maia-small": (9, 9),
    }


def test_a_grid_keeps_most_and_wastes_least() -> None:
    grids = families()["llava-next"].image_values["pinpoints"]
    assert best_grid(224, 224, grids) == (336, 672)
    assert best_grid(672, 672, grids) == (672, 672)
    assert best_grid(1000, 300, grids) == (336, 1008)


def test_a_picture_that_qwen_refuses() -> None:
    with pytest.raises(ValueError, match="too narrow"):
        counter("qwen2.5-vl").image(2001, 10)


# Parts as experiments have them, and as nobody would write them.
TEXTS = st.one_of(
    st.sampled_from(SAMPLE_TEXTS),
    st.sampled_from([line for text in SAMPLE_TEXTS for line in text.splitlines(keepends=True)]),
    st.text(st.characters(codec="utf-8", exclude_characters="<>[]|"), max_size=60),
)
PARTS = st.lists(st.one_of(TEXTS, st.builds(ChatImage, st.just(b""), SIDES, SIDES)), max_size=5)


@st.composite
def dialogues(draw) -> list[ChatMessage]:
    """The system, which all our templates take, then users and assistants in turn, a user at last."""
    messages = [ChatMessage("system", (draw(TEXTS),))]
    for _ in range(draw(st.integers(0, 3))):
        messages += [ChatMessage("user", tuple(draw(PARTS))), ChatMessage("assistant", (draw(TEXTS),))]
    return [*messages, ChatMessage("user", (*draw(PARTS), draw(TEXTS)))]


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=40)
@given(dialogue=dialogues())
def test_a_dialogue_is_never_longer_than_reckoned(name: str, dialogue: list[ChatMessage]) -> None:
    count = counter(name)
    true, sum_of_parts = true_length(name, dialogue), reckoned(count, dialogue)
    assert true <= sum_of_parts
    # Nor much shorter: messages are reckoned at their mean, rounded up, and a template may trim texts and let
    # neighbouring letters grow together.
    parts = [part for message in dialogue for part in message.parts]
    trimmed = sum(count.text(part) - count.text(part.strip()) for part in parts if isinstance(part, str))
    assert sum_of_parts - true <= count.message * len(dialogue) // 2 + 2 * len(parts) + max(0, trimmed)


@pytest.mark.parametrize("name", FAMILIES)
@given(text=st.text(max_size=200))
def test_a_text_counts_what_the_tokenizer_makes_of_it(name: str, text: str) -> None:
    tokenizer = processor(name).tokenizer
    assert counter(name).text(text) == len(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_what_the_tokenizer_writes_itself_is_reckoned(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, processors

    folder = own_checkpoint(tmp_path)
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("{{- bos_token }}", ""))
    without = counter_of(read_checkpoint(folder))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = [("<s>", tokenizer.token_to_id("<s>"))]
    tokenizer.post_processor = processors.TemplateProcessing(single=" ".join(["<s>"] * 40) + " $A", special_tokens=ids)
    tokenizer.save(str(folder / "tokenizer.json"))
    own = counter_of(read_checkpoint(folder))
    assert own.text("a dog") == without.text("a dog")
    assert own.message >= without.message + 10


class TestEstimate:
    PASSAGES = tuple(
        paragraph
        for file in ("agent/tools.py", "agent/system.py", "prompts/tasks.py", "docs/design.md", "README.md")
        for paragraph in (ROOT / file).read_text(encoding="utf-8").split("\n\n")
        if len(paragraph) > 200
    )

    def real_tokenizers(self) -> dict:
        """Published ones that are in packages: CLIP's (49,408 entries), and Mistral's where vLLM is installed."""
        from maia.models.diffusion.tokenizers import clip_tokenizer

        clip = clip_tokenizer()
        found = {"clip": lambda text: len(clip(text, add_special_tokens=False, verbose=False)["input_ids"])}
        try:
            import mistral_common
            from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer
        except ImportError:
            return found
        mistral = SentencePieceTokenizer(Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1")
        return {**found, "mistral": lambda text: len(mistral.encode(text, bos=False, eos=False))}

    def test_it_is_not_below_the_truth_for_english_and_code(self) -> None:
        assert len(self.PASSAGES) > 50
        for name, count in self.real_tokenizers().items():
            true = [count(text) for text in self.PASSAGES]
            ratios = [estimated_tokens(text) / tokens for text, tokens in zip(self.PASSAGES, true, strict=True)]
            assert min(ratios) >= 0.97, (name, min(ratios))
            assert 1.05 <= sum(map(estimated_tokens, self.PASSAGES)) / sum(true) <= 2.0, name

    @given(text=st.text())
    def test_it_takes_any_text(self, text: str) -> None:
        count = estimate(families()["gemma-3"])
        assert 0 <= count.text(text) <= 4 * len(text) + 1
        assert (count.text(text) == 0) == (not text)
        assert estimated_tokens(text + " dog") > estimated_tokens(text) - 1

    @pytest.mark.parametrize("name", FAMILIES)
    def test_it_says_that_it_is_one_and_reckons_more_than_the_checkpoint(self, name: str) -> None:
        about, exact = estimate(families()[name]), counter(name)
        assert not about.exact and exact.exact
        for side in (64, 336, 900):
            true = published_processor(name)._get_num_multimodal_tokens(image_sizes=[(side, side)]).num_image_tokens[0]
            assert true < about.image(side, side) <= int(true) + 16
        assert math.isfinite(about.image(1, 1))
