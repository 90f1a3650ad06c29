"""The catalogue's numbers against configurations: parameters counted on the meta device, workspaces traced."""

import pytest
import torch
from maia.engine.calibration import no_memory, peak_bytes
from maia.engine.catalogue import FOUR_BITS, catalogue
from maia.models.diffusion.architectures import ARCHITECTURES, build_part, component_sizes
from maia.models.errors import UserError
from maia.models.vlm.families import families
from maia.models.vlm.images import RULES

# config.json of the published checkpoints, what counts for parameters.
CLIP_336 = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "image_size": 336,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
    "projection_dim": 768,
}


def llava(kind, heads, vocabulary, entry):
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration

    text = {
        "model_type": kind,
        "hidden_size": entry.hidden,
        "intermediate_size": entry.intermediate,
        "num_hidden_layers": entry.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": entry.kv_heads,
        "vocab_size": vocabulary,
    }
    return LlavaNextForConditionalGeneration(LlavaNextConfig(vision_config=CLIP_336, text_config=text))


def qwen(heads, vision, vocabulary, tied, entry):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": entry.hidden,
            "intermediate_size": entry.intermediate,
            "num_hidden_layers": entry.layers,
            "num_attention_heads": heads,
            "num_key_value_heads": entry.kv_heads,
            "vocab_size": vocabulary,
            "tie_word_embeddings": tied,
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": vision,
            "num_heads": 16,
            "patch_size": 14,
            "out_hidden_size": entry.hidden,
            "spatial_merge_size": 2,
        },
    )
    config.tie_word_embeddings = tied
    return Qwen2_5_VLForConditionalGeneration(config)


def qwen3(mixture, entry):
    from transformers import (
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLMoeConfig,
        Qwen3VLMoeForConditionalGeneration,
    )

    text = {
        "hidden_size": entry.hidden,
        "intermediate_size": entry.intermediate,
        "num_hidden_layers": entry.layers,
        "num_attention_heads": 32,
        "num_key_value_heads": entry.kv_heads,
        "head_dim": entry.head_dim,
        "vocab_size": 151936,
        "max_position_embeddings": entry.context,
        **({"tie_word_embeddings": False, **mixture} if mixture else {}),
    }
    vision = {
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_heads": 16,
        "patch_size": 16,
        "out_hidden_size": entry.hidden,
        "spatial_merge_size": 2,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [8, 16, 24],
    }
    config, model = (
        (Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration)
        if mixture
        else (Qwen3VLConfig, Qwen3VLForConditionalGeneration)
    )
    return model(config(text_config=text, vision_config=vision, tie_word_embeddings=False))


MIXTURE = {"moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8}


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_generators_have_the_parameters_of_their_configurations(name):
    entry = catalogue().generators[name]
    assert {part: of.parameters for part, of in entry.parts.items()} == component_sizes(name)


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("llava-v1.6-mistral-7b", lambda entry: llava("mistral", 32, 32064, entry)),
        ("llava-v1.6-34b", lambda entry: llava("llama", 56, 64064, entry)),
        ("qwen2.5-vl-3b", lambda entry: qwen(16, 3420, 151936, True, entry)),
        ("qwen2.5-vl-7b", lambda entry: qwen(28, 3420, 152064, False, entry)),
        ("qwen2.5-vl-32b", lambda entry: qwen(40, 3456, 152064, False, entry)),
        ("qwen3-vl-8b", lambda entry: qwen3(None, entry)),
        ("qwen3-vl-30b-a3b", lambda entry: qwen3(MIXTURE, entry)),
    ],
)
def test_vlms_have_the_parameters_of_their_configurations(name, build):
    entry = catalogue().vlms[name]
    with torch.device("meta"):
        model = build(entry)
    counts = {"linear": 0, "embeddings": 0, "vision": 0}
    experts = 0
    for key, parameter in model.named_parameters():
        text = ".language_model." in key
        embedding = "embed_tokens" in key or "lm_head" in key
        counts["embeddings" if embedding else "linear" if text else "vision"] += parameter.numel()
        experts += parameter.numel() if ".experts." in key else 0
    assert counts == {"linear": entry.linear, "embeddings": entry.embeddings, "vision": entry.vision}
    assert experts == entry.experts
    attention = model.model.language_model.layers[0].self_attn
    # Keys and values of a token, as the projections make them.
    each = attention.k_proj.out_features + attention.v_proj.out_features
    assert entry.cache_bytes("bf16") == 2 * each * len(model.model.language_model.layers)


def test_a_mixture_holds_all_its_experts_and_uses_few_of_them():
    entry = catalogue().vlms["qwen3-vl-30b-a3b"]
    assert entry.chosen == MIXTURE["num_experts_per_tok"] / MIXTURE["num_experts"]
    assert entry.intermediate == MIXTURE["num_experts_per_tok"] * MIXTURE["moe_intermediate_size"]
    # Its name: 30 billion parameters, 3 of which a token passes (vision tower and embeddings beside).
    assert 30e9 < entry.parameters < 32e9 and 3e9 < entry.active < 4e9
    assert entry.weight_bytes("bf16", False) == 2 * entry.parameters
    packed = entry.weight_bytes("bf16", True, experts_packed=False)
    assert packed - entry.weight_bytes("bf16", True) == pytest.approx((2 - FOUR_BITS) * entry.experts, rel=1e-6)
    dense = catalogue().vlms["qwen3-vl-8b"]
    assert dense.active == dense.parameters and dense.experts == 0


def test_pictures_have_the_tokens_of_their_family():
    for name, entry in catalogue().vlms.items():
        row = families()[entry.family]
        side = row.sheet_side if row.image_rule == "anyres" else 512
        assert RULES[row.image_rule](side, side, row.image_values) == entry.image_tokens, name


def test_networks_have_the_parameters_of_their_architectures():
    from maia.models.networks.architectures import build_architecture

    for name in ("resnet18", "resnet152", "dino-vits8"):
        with torch.device("meta"):
            module = build_architecture(name).module
        assert catalogue().networks[name].parameters == sum(parameter.numel() for parameter in module.parameters())


def half(part):
    torch.set_default_dtype(torch.float16)
    try:
        return build_part(part).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def test_workspaces_are_the_traced_ones():
    # At a smaller size: the catalogue scales with pixels, which this checks as well.
    parts = ARCHITECTURES["stable-diffusion-v1-5"].parts
    entry = catalogue().generators["stable-diffusion-v1-5"]
    with no_memory():
        unet, vae = half(parts["unet"]), half(parts["vae"])

        def denoise():
            text = torch.empty(1, 77, 768, dtype=torch.float16)
            return unet(torch.empty(1, 4, 32, 32, dtype=torch.float16), torch.empty(1), encoder_hidden_states=text)

        denoising = peak_bytes(denoise)
        decoding = peak_bytes(lambda: vae.decode(torch.empty(1, 4, 32, 32, dtype=torch.float16)))
    assert denoising == pytest.approx(entry.denoiser_bytes / 4, rel=0.02)
    assert decoding == pytest.approx(entry.decoder_bytes / 4, rel=0.02)


def test_shared_components_have_one_size_and_four_bits_leave_embeddings_alone():
    sizes = {}
    for entry in catalogue().generators.values():
        for part in entry.parts.values():
            assert sizes.setdefault(part.key, part.parameters) == part.parameters
    entry = catalogue().vlms["qwen2.5-vl-7b"]
    assert entry.weight_bytes("bf16", False) == 2 * entry.parameters
    assert entry.weight_bytes("bf16", True) == int(entry.linear * FOUR_BITS) + 2 * (entry.embeddings + entry.vision)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"choose from qwen2\.5-vl-7b"):
        catalogue().vlm("qwen-vl-7b")
    with pytest.raises(UserError, match="no edit model 'sdxl-turbo': choose from instruct-pix2pix"):
        catalogue().generator("sdxl-turbo", "edit")
