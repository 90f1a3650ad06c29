"""SD-1.x in one file, as it was published: read without any download, and wholly."""

import pytest
import torch
from maia.models.diffusion.architectures import architecture, build_part
from maia.models.errors import UserError
from maia.models.generators import GeneratorOptions, load_editor, load_text_to_image
from safetensors.torch import save_file
from tiny_diffusion import STEPS, drawer, edit_weights, editor, ldm_state, noise_image, tiny_folder, write_single_file

SD, EDIT = "stable-diffusion-v1-5", "instruct-pix2pix"


def load(file, **options):
    return load_text_to_image(GeneratorOptions(path=file, config=tiny_folder(SD), steps=STEPS, **options))


def test_a_file_draws_the_pictures_of_its_folder(tmp_path):
    loaded = load(write_single_file(drawer(), tmp_path / "sd.safetensors"))
    assert [part.key for part in loaded.components] == [part.key for part in drawer().components]
    job = drawer().job("two dogs", 5)
    assert torch.equal(loaded.floats([job])[0], drawer().floats([job])[0])


def test_a_file_for_editing_edits_as_its_folder(tmp_path):
    file = write_single_file(editor(), tmp_path / "edit.safetensors")
    options = GeneratorOptions(path=file, config=tiny_folder(EDIT), steps=STEPS)
    loaded = load_editor(options)
    job = editor().job(noise_image(0), "make it red", 5)
    assert torch.equal(loaded.floats([job])[0], editor().floats([job])[0])
    with pytest.raises(UserError, match="edits"):
        load_text_to_image(options)


def test_the_published_layout_is_what_the_full_size_reads():
    """Names and shapes of the published files, made here from the full-size parts without memory for them."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    parts = architecture(SD).parts
    with torch.device("meta"):
        unet, vae, text = (build_part(parts[name]) for name in ("unet", "vae", "text_encoder"))
    state = ldm_state(unet, vae, text)
    # A few entries as they are in the published file, so that the layout made here is that one.
    for name, shape in {
        "model.diffusion_model.input_blocks.0.0.weight": [320, 4, 3, 3],
        "model.diffusion_model.input_blocks.9.0.op.weight": [1280, 1280, 3, 3],
        "model.diffusion_model.input_blocks.4.0.skip_connection.weight": [640, 320, 1, 1],
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight": [1280, 768],
        "model.diffusion_model.output_blocks.2.1.conv.weight": [1280, 1280, 3, 3],
        "model.diffusion_model.output_blocks.8.2.conv.weight": [640, 640, 3, 3],
        "model.diffusion_model.output_blocks.11.1.proj_out.weight": [320, 320, 1, 1],
        "model.diffusion_model.out.2.weight": [4, 320, 3, 3],
        "first_stage_model.encoder.mid.attn_1.q.weight": [512, 512, 1, 1],
        "first_stage_model.decoder.up.1.block.0.nin_shortcut.weight": [256, 512, 1, 1],
        "first_stage_model.decoder.up.3.upsample.conv.weight": [512, 512, 3, 3],
        "first_stage_model.post_quant_conv.weight": [4, 4, 1, 1],
        "cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc2.weight": [768, 3072],
    }.items():
        assert list(state[name].shape) == shape, name
    for convert, prefix, module in (
        (convert_ldm_unet_checkpoint, "model.diffusion_model.", unet),
        (convert_ldm_vae_checkpoint, "first_stage_model.", vae),
    ):
        entries = {name: tensor for name, tensor in state.items() if name.startswith(prefix)}
        read = convert(entries, dict(module.config))
        assert {name: tensor.shape for name, tensor in read.items()} == {
            name: tensor.shape for name, tensor in module.state_dict().items()
        }


@pytest.mark.parametrize(
    "name",
    [
        "model.diffusion_model.time_embed.0.weight",
        "model.diffusion_model.middle_block.0.in_layers.2.weight",
        "model.diffusion_model.output_blocks.1.0.out_layers.3.bias",
        "first_stage_model.decoder.mid.attn_1.q.weight",
        "first_stage_model.quant_conv.bias",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ],
)
def test_weights_that_are_missing_or_of_another_shape_are_told(tmp_path, name):
    file = write_single_file(drawer(), tmp_path / "sd.safetensors")
    edit_weights(file, lambda state: state.update({name: state[name][:-1].contiguous()}))
    with pytest.raises(UserError, match=r"sd\.safetensors.*other shapes.*instead of"):
        load(file)
    edit_weights(file, lambda state: state.pop(name))
    with pytest.raises(UserError, match=r"sd\.safetensors.*lack"):
        load(file)


def test_files_of_other_kinds_are_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="not laid out as SD"):
        load(tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(
        write_single_file(drawer(), tmp_path / "sd.safetensors").read_bytes()[:-9]
    )
    with pytest.raises(UserError, match=r"cut\.safetensors is damaged"):
        load(tmp_path / "cut.safetensors")
    # Of the size of a test, and read as SD-1.5 is published: the shapes tell.
    with pytest.raises(UserError, match=r"other shapes|lack"):
        load_text_to_image(GeneratorOptions(path=tmp_path / "sd.safetensors"))
    with pytest.raises(UserError, match="model_index"):
        load_text_to_image(GeneratorOptions(path=tmp_path / "sd.safetensors", config=tmp_path))
