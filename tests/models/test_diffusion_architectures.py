"""Published pipelines as facts, and random ones of their shape."""

import pytest
import torch
from maia.models.diffusion.architectures import ARCHITECTURES, component_sizes, parameter_bytes, random_pipeline
from maia.models.diffusion.components import content_key
from maia.models.diffusion.tokenizers import clip_tokenizer
from maia.models.errors import UserError
from safetensors.torch import load_file
from tiny_diffusion import tiny_folder

# As counted from the published weight files.
CLIP_L, VAE = 123_060_480, 83_653_863
PUBLISHED = {
    "stable-diffusion-v1-5": {"text_encoder": CLIP_L, "unet": 859_520_964, "vae": VAE},
    # Four more input channels of a 3 x 3 convolution to 320.
    "instruct-pix2pix": {"text_encoder": CLIP_L, "unet": 859_520_964 + 4 * 9 * 320, "vae": VAE},
    "sdxl-turbo": {"text_encoder": CLIP_L, "text_encoder_2": 694_659_840, "unet": 2_567_463_684, "vae": VAE},
    "flux-schnell": {
        "text_encoder": CLIP_L,
        "text_encoder_2": 4_762_310_656,
        "transformer": 11_891_178_560,
        "vae": 83_819_683,
    },
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sizes_are_those_of_the_published_weights(name):
    assert component_sizes(name) == PUBLISHED[name]


def test_bytes_follow_the_number_format():
    half = parameter_bytes("stable-diffusion-v1-5", torch.float16, tiny=True)
    full = parameter_bytes("stable-diffusion-v1-5", torch.float32, tiny=True)
    sizes = component_sizes("stable-diffusion-v1-5", tiny=True)
    assert half == {name: 2 * count for name, count in sizes.items()}
    assert full == {name: 4 * count for name, count in sizes.items()}


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(UserError, match="stable-diffusion-v1-5"):
        component_sizes("stable-diffusion-v9")


def test_parts_in_common_have_the_same_weights_and_others_do_not(tmp_path):
    first, second = tiny_folder("stable-diffusion-v1-5"), tiny_folder("instruct-pix2pix")
    other = random_pipeline("stable-diffusion-v1-5", tmp_path / "other", tiny=True, seed=1)
    for part, file in (
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
        ("unet", "diffusion_pytorch_model"),
    ):
        states = [load_file(folder / part / f"{file}.safetensors") for folder in (first, second, other)]
        same = [all(torch.equal(states[0][name], state[name]) for name in states[0]) for state in states[1:]]
        assert same == ([False, False] if part == "unet" else [True, False]), part


def test_keys_follow_the_content_alone():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    key = content_key(module)
    twin = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    twin.load_state_dict(module.state_dict())
    assert content_key(twin) == key
    with torch.no_grad():
        twin[1].running_mean[2] += 1e-6
    assert content_key(twin) != key
    assert content_key(module.half()) != key


def test_the_clip_tokenizer_reads_as_open_clip_does():
    import open_clip

    texts = ["A photo of two dogs' 3 red balls, 50% off!", "naïve café – 世界 🙂", "it's we'll  spaces\tand\nlines"]
    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49408
    for text, tokens in zip(texts, open_clip.tokenize(texts), strict=True):
        ids = tokenizer(text).input_ids
        assert tokens[: len(ids)].tolist() == ids
        assert not tokens[len(ids) :].any()
