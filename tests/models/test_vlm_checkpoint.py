"""Checkpoints' folders: what is read of a whole one, and what is said of each that is not."""

import json
import struct
import sys
from pathlib import Path

import pytest
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatImage, ChatMessage
from maia.models.vlm.checkpoint import read_checkpoint
from tiny_vlm import own_checkpoint, tiny_checkpoint
from tokenizers import Tokenizer, processors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return own_checkpoint(tmp_path)


def edit(file: Path, **changes) -> None:
    """Changes entries of a JSON file; None removes one."""
    data = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def refusal(folder: Path, name: str | None = "mine") -> str:
    with pytest.raises(UserError) as caught:
        read_checkpoint(folder, name)
    message = str(caught.value)
    # One sentence that ends with what to do.
    assert message.endswith(".") and ":" in message and "\n" not in message
    return message


def test_a_whole_checkpoint() -> None:
    path = tiny_checkpoint()
    checkpoint = read_checkpoint(path, "mine")
    assert (checkpoint.name, checkpoint.path, checkpoint.family.name) == ("mine", path, "llava-next")
    assert checkpoint.architecture == "LlavaNextForConditionalGeneration"
    assert (checkpoint.context, checkpoint.dtype, checkpoint.quantization) == (16384, "float32", None)
    assert checkpoint.text_config["hidden_size"] == 128
    assert checkpoint.vision_config["patch_size"] == 14
    assert checkpoint.weights == (path / "model.safetensors",)
    assert checkpoint.weight_bytes == (path / "model.safetensors").stat().st_size
    assert read_checkpoint(path).name == path.name


def test_neither_torch_nor_transformers_is_loaded() -> None:
    import subprocess

    code = (
        "import sys, pathlib; from maia.models.vlm.checkpoint import read_checkpoint; "
        "from maia.models.vlm.tokens import counter_of; "
        f"c = counter_of(read_checkpoint(pathlib.Path({str(tiny_checkpoint())!r}))); "
        "c.text('a'), c.image(30, 40); "
        "print(sorted({'torch', 'transformers', 'vllm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_settings_at_the_top_level_of_an_older_config_count(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(folder / "config.json", text_config=None, torch_dtype="bfloat16", dtype=None, max_position_embeddings=4096)
    assert read_checkpoint(folder).context == 4096
    assert read_checkpoint(folder).dtype == "bfloat16"
    edit(folder / "config.json", max_position_embeddings=None, text_config={"model_type": "mistral"})
    assert read_checkpoint(folder).context == 32768  # the family's
    edit(folder / "config.json", **config, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert read_checkpoint(folder).quantization == "bitsandbytes"


def test_no_folder_and_no_config(tmp_path: Path, folder: Path) -> None:
    assert "there is no folder" in refusal(tmp_path / "nothing")
    assert "has no config.json" in refusal(tmp_path)
    (folder / "config.json").write_text('{"architectures": [')
    assert "config.json cannot be read" in refusal(folder)
    (folder / "config.json").write_text("[]")
    assert "holds no JSON object" in refusal(folder)
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architectures": ["MistralForCausalLM"], "vision_config": None}, "is a text-only model (MistralForCausalLM)"),
        ({"architectures": None, "vision_config": None}, "is a text-only model (no architecture named"),
        ({"architectures": ["NewVLForConditionalGeneration"]}, "is of no known family (NewVLForConditionalGeneration)"),
        ({"architectures": "LlavaNext"}, "is of no known family (no architecture named"),
        ({"architectures": [3]}, "is of no known family (no architecture named"),
    ],
)
def test_models_that_cannot_be_used(folder: Path, changes, said: str) -> None:
    edit(folder / "config.json", **changes)
    message = refusal(folder)
    assert said in message
    assert "llava-next (LlavaNextForConditionalGeneration)" in message and "gemma-3" in message


def test_no_processor_and_no_tokenizer(folder: Path) -> None:
    processor = (folder / "processor_config.json").read_text()
    (folder / "processor_config.json").unlink()
    assert "has no processor" in refusal(folder)
    # The older name alone will do.
    (folder / "preprocessor_config.json").write_text(json.dumps(json.loads(processor)["image_processor"]))
    assert read_checkpoint(folder).processor["crop_size"] == {"height": 56, "width": 56}
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    assert "tokenizer.json cannot be read" in refusal(folder)
    (folder / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in refusal(folder)


def test_chat_templates_are_found_where_libraries_look(folder: Path) -> None:
    source = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    assert "has no chat template" in refusal(folder)
    edit(folder / "tokenizer_config.json", chat_template=[{"name": "tools", "template": "x"}])
    assert "has no chat template" in refusal(folder)
    edit(
        folder / "tokenizer_config.json",
        chat_template=[{"name": "tools", "template": "x"}, {"name": "default", "template": source}],
    )
    assert read_checkpoint(folder).template.source == source
    edit(folder / "tokenizer_config.json", chat_template=source + "{# tokenizer's #}")
    assert read_checkpoint(folder).template.source.endswith("{# tokenizer's #}")
    (folder / "chat_template.jinja").write_text(source + "{# file #}")
    assert read_checkpoint(folder).template.source.endswith("{# file #}")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": source + "{# older file #}"}))
    assert read_checkpoint(folder).template.source.endswith("{# older file #}")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% for m in messages %}", "chat template cannot be used"),
        ("{{ raise_exception('only tools') }}", "only tools"),
        ("hello", "messages do not arrive"),
        ("{% for m in messages %}{{ m['content'] }}{{ m.nothing.more }}{% endfor %}", "chat template cannot be used"),
        ("{% for m in messages %}{% for p in m['content'] %}{{ p['text'] }}{% endfor %}{% endfor %}", "no placeholder"),
        ("{% for m in messages %}{{ m['content'] + '' }}{% endfor %}", "no placeholder"),
    ],
)
def test_unusable_templates(folder: Path, source: str, said: str) -> None:
    (folder / "chat_template.jinja").write_text(source)
    assert said in refusal(folder)


def test_the_checkpoints_own_template_overrides_the_familys_facts(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for p in m['content'] %}{% if p['type'] == 'image' %}<image>{% else %}"
        "{% generation %}{{ p['text'] }}{% endgeneration %}{% endif %}{% endfor %}{% endfor %}"
    )
    row = read_checkpoint(folder).family
    assert (row.system_role, row.images_first, row.images_per_turn) == (False, False, 1)


def test_templates_that_take_replies_as_plain_texts_only(folder: Path) -> None:
    source = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ m['content'] + '</s>' }}{% else %}"
        "{% for p in m['content'] if p['type'] == 'image' %}<image>{% endfor %}"
        "{{ m['content'] if m['content'] is string else m['content'][-1]['text'] }}{% endif %}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(source)
    template = read_checkpoint(folder).template
    picture = ChatImage(b"", 1, 1)
    roles = {"user": (picture, "what?"), "assistant": ("dogs",)}
    dialogue = [*(ChatMessage(role, parts) for role, parts in roles.items()), ChatMessage("user", ("x",))]
    assert template.render(dialogue) == "<image>what?dogs</s>x"


def test_special_tokens_that_only_the_tokenizer_writes(folder: Path) -> None:
    assert not read_checkpoint(folder).adds_special_tokens
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    assert not read_checkpoint(folder).adds_special_tokens  # the template writes it too
    source = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(source.replace("{{- bos_token }}", ""))
    assert read_checkpoint(folder).adds_special_tokens


class TestWeights:
    def test_none(self, folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
        assert "has no weights" in refusal(folder)

    def test_a_git_lfs_pointer(self, folder: Path) -> None:
        (folder / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4943162336\n"
        )
        assert "git lfs pull" in refusal(folder)

    @pytest.mark.parametrize("left", [0, 4, 9, 2000, -1])
    def test_cut_short(self, folder: Path, left: int) -> None:
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:left])
        assert "is damaged or cut short" in refusal(folder)

    @pytest.mark.parametrize(
        "data", [struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 9) + b'{"a": {}}']
    )
    def test_a_header_of_something_else(self, folder: Path, data: bytes) -> None:
        (folder / "model.safetensors").write_bytes(data)
        assert "is damaged or cut short" in refusal(folder)

    def test_shards(self, folder: Path) -> None:
        first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
        (folder / "model.safetensors").rename(folder / first)
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"a": first, "b": second, "c": second}}))
        assert f"lacks 1 of 2 weight files ({second})" in refusal(folder)
        (folder / second).write_bytes((folder / first).read_bytes())
        assert read_checkpoint(folder).weights == (folder / first, folder / second)
        (folder / second).write_bytes((folder / first).read_bytes()[:-100])
        assert f"{second} is damaged or cut short" in refusal(folder)
        for broken in ("{", "{}", '{"weight_map": [1]}', '{"weight_map": {}}'):
            index.write_text(broken)
            assert refusal(folder)

    def test_pickled_weights_must_be_whole_too(self, folder: Path) -> None:
        import zipfile

        (folder / "model.safetensors").unlink()
        with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
            archive.writestr("data.pkl", b"x" * 1000)
        assert read_checkpoint(folder).weights == (folder / "pytorch_model.bin",)
        (folder / "pytorch_model.bin").write_bytes((folder / "pytorch_model.bin").read_bytes()[:-30])
        assert "is damaged or cut short" in refusal(folder)
