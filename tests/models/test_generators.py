"""Pictures of real (tiny) diffusers pipelines: the same in any company, and never broken silently."""

import weakref

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.models.errors import ExperimentError, UserError
from maia.models.generators import GeneratorOptions, Picture, load_editor, load_text_to_image
from PIL import Image
from tiny_diffusion import STEPS, drawer, edit_json, editor, noise_image, own_folder, tiny_folder

SD, EDIT = "stable-diffusion-v1-5", "instruct-pix2pix"
SAMPLERS = ("dpm-solver++", "ddim", "as-saved")
PROMPTS = ("a red dog", "two cats on the moon", "a house", "an old photo of a very long train in the hills")
SIDE = 32
CLOSE = {"rtol": 0, "atol": 1e-5}


def requests(kind, **options):
    """A generator and jobs for it: other prompts with one seed, and one prompt with other seeds."""
    generator = (drawer if kind == SD else editor)(size=SIDE, **options)
    asked = [(PROMPTS[0], 1), (PROMPTS[1], 1), (PROMPTS[1], 2), (PROMPTS[3], 3)]
    if kind == SD:
        return generator, [generator.job(*one) for one in asked]
    return generator, [generator.job(noise_image(k % 2), *one) for k, one in enumerate(asked)]


ALONE = {}


def alone(kind, sampler):
    """Each job drawn by itself."""
    if (kind, sampler) not in ALONE:
        generator, jobs = requests(kind, sampler=sampler)
        ALONE[kind, sampler] = torch.cat([generator.floats([job])[0] for job in jobs])
    return ALONE[kind, sampler]


@pytest.mark.parametrize("kind", [SD, EDIT])
@pytest.mark.parametrize("sampler", SAMPLERS)
@settings(max_examples=3)
@given(order=st.permutations(range(4)), size=st.integers(2, 4))
def test_a_prompt_and_seed_give_one_picture_in_any_company(kind, sampler, order, size):
    generator, jobs = requests(kind, sampler=sampler)
    chosen = order[:size]
    drawn, _ = generator.floats([jobs[k] for k in chosen])
    assert drawn.shape == (size, 3, SIDE, SIDE) and drawn.dtype == torch.float32
    torch.testing.assert_close(drawn, alone(kind, sampler)[chosen], **CLOSE)


# The samplers as they were published for SD, written out.
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
REFERENCES = {
    "dpm-solver++": ("DPMSolverMultistepScheduler", NOISE),
    "ddim": ("DDIMScheduler", {**NOISE, "clip_sample": False, "set_alpha_to_one": False}),
}


@pytest.mark.parametrize("kind", [SD, EDIT])
@pytest.mark.parametrize("sampler", REFERENCES)
def test_pictures_are_those_of_plain_diffusers(kind, sampler):
    name, settings = REFERENCES[sampler]
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        tiny_folder(kind), scheduler=getattr(diffusers, name)(**settings), local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    _, jobs = requests(kind)
    arguments = {
        "prompt": jobs[3].prompt,
        "num_inference_steps": STEPS,
        "guidance_scale": 7.5,
        "generator": torch.Generator().manual_seed(jobs[3].seed),
        "output_type": "pt",
        **({"height": SIDE, "width": SIDE} if kind == SD else {"image": jobs[3].image, "image_guidance_scale": 1.5}),
    }
    torch.testing.assert_close(pipeline(**arguments).images[0].float(), alone(kind, sampler)[3], **CLOSE)


@pytest.mark.parametrize("kind", [SD, EDIT])
def test_pictures_depend_on_all_that_is_asked(kind):
    pictures = alone(kind, "dpm-solver++")
    assert pictures.min() >= 0 and pictures.max() <= 1 and pictures.std() > 0.05
    for one in range(4):
        for other in range(one):
            assert (pictures[one] - pictures[other]).abs().max() > 1e-2
    # The prompt alone, the seed and the sampler alone, and of an edit the picture alone.
    generator, jobs = requests(kind)
    words, _ = generator.floats([generator._fitted(PROMPTS[2], 1, "prompt", jobs[0].image)])
    assert (words - pictures[0]).abs().max() > 1e-2
    assert (alone(kind, "ddim") - pictures).abs().max() > 1e-2
    if kind == EDIT:
        other, _ = generator.floats([generator.job(noise_image(7), PROMPTS[0], 1)])
        assert (other - pictures[0]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", [SD, EDIT])
def test_filled_batches_give_the_same_bits_in_any_company(kind):
    generator, jobs = requests(kind, fixed_batch=True, max_batch=3)
    together, _ = generator.floats(jobs[:3])
    for company in ([0], [0, 3], [3, 1], [2, 0, 1], [1, 1, 0]):
        drawn, _ = generator.floats([jobs[k] for k in company])
        for place, k in enumerate(company):
            if k < 3:
                assert torch.equal(drawn[place], together[k]), (company, k)


def test_bad_items_fail_alone_and_the_others_are_drawn():
    generator = drawer()
    prompts = ["a red dog", "  ", "word " * 100, "a house"]
    results = generator.generate(prompts, [1, 2, 3, 4])
    assert [type(result) for result in results] == [Picture, ExperimentError, Picture, Picture]
    assert [result.note for result in results if isinstance(result, Picture)][::2] == ["", ""]
    assert "not read" in results[2].note
    cut, _ = generator.floats([generator.job(" ".join(["word"] * 18), 3)])
    assert np.abs(np.asarray(results[2].image, int) - (cut[0].permute(1, 2, 0) * 255).round().numpy()).max() <= 1
    edits = editor().edit([noise_image(1), Image.new("RGB", (90, 3)), noise_image(1, (50, 70))], ["x"] * 3, [1, 2, 3])
    assert [type(result) for result in edits] == [Picture, ExperimentError, Picture]
    assert edits[2].image.size == (64, 64)


def test_lists_of_unequal_lengths_are_a_fault_of_the_program():
    with pytest.raises(ValueError):
        drawer().generate(["a dog"], [1, 2])
    with pytest.raises(ValueError):
        drawer().floats([])


class SmallMemory:
    """Stands for a device whose memory holds so many pictures of a batch; the pipeline itself is real.

    kept: what a batch that did not fit had allocated before it failed.
    """

    def __init__(self, pipeline, rows):
        self.pipeline, self.rows, self.tried, self.kept = pipeline, rows, [], []

    def __getattr__(self, name):
        return getattr(self.pipeline, name)

    def __call__(self, **arguments):
        self.tried.append(len(arguments["prompt"]))
        # Memory of the batch before must be free when the next one is tried.
        assert not [one for one in self.kept if one() is not None]
        if len(arguments["prompt"]) > self.rows:
            latents = torch.zeros(1000)
            self.kept.append(weakref.ref(latents))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.pipeline(**arguments)


@pytest.mark.parametrize("fixed", [False, True])
def test_batches_are_halved_where_memory_runs_out_and_it_is_told(fixed):
    generator = load_text_to_image(
        GeneratorOptions(path=tiny_folder(SD), steps=1, max_batch=4, fixed_batch=fixed, size=32)
    )
    whole = generator.generate(PROMPTS, [1, 2, 3, 4])
    generator.pipeline = SmallMemory(generator.pipeline, 1)
    results = generator.generate(PROMPTS, [1, 2, 3, 4])
    assert generator.pipeline.tried == [4, 2, 1, 1, 1, 1]
    assert (generator.memory_halvings, generator.batch) == (2, 1)
    for one, other in zip(whole, results, strict=True):
        assert np.abs(np.asarray(one.image, int) - np.asarray(other.image, int)).max() <= 1
    generator.pipeline.rows = 0
    with pytest.raises(UserError, match="does not hold one picture"):
        generator.generate(PROMPTS, [1, 2, 3, 4])


def test_numbers_that_overflow_are_an_error_of_the_item_and_no_black_picture(tmp_path):
    # As in fp16: the decoder's numbers leave their range.
    folder = own_folder(SD, tmp_path)
    generator = load_text_to_image(GeneratorOptions(path=folder, steps=1, size=32))
    good = generator.generate(["a dog"], [1])
    with torch.no_grad():
        generator.pipeline.vae.decoder.conv_in.weight *= 1e38
    bad = generator.generate(["a dog", "a cat"], [1, 2])
    assert isinstance(good[0], Picture)
    assert all(isinstance(result, ExperimentError) and "fp32" in str(result) for result in bad)
    with torch.no_grad():
        generator.pipeline.vae.decoder.conv_in.weight.zero_()
        generator.pipeline.vae.decoder.conv_out.weight.zero_()
        generator.pipeline.vae.decoder.conv_out.bias.fill_(-5.0)
    black = generator.generate(["a dog"], [1])
    assert isinstance(black[0], ExperimentError) and "every pixel" in str(black[0])


def test_a_safety_checker_withholds_and_is_told(tmp_path):
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        vision_config={**tower, "image_size": 32, "patch_size": 16}, text_config=tower, projection_dim=8
    )
    torch.manual_seed(0)
    checker = StableDiffusionSafetyChecker(config)
    results = {}
    # Thresholds that no picture reaches, and that every picture does: cosines lie between -1 and 1.
    for name, threshold in (("none", 2.0), ("all", -2.0)):
        folder = own_folder(SD, tmp_path / name)
        checker.concept_embeds_weights.data.fill_(threshold)
        checker.special_care_embeds_weights.data.fill_(2.0)
        checker.save_pretrained(folder / "safety_checker")
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder / "feature_extractor")
        edit_json(
            folder / "model_index.json",
            safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
            feature_extractor=["transformers", "CLIPImageProcessor"],
        )
        generator = load_text_to_image(GeneratorOptions(path=folder, steps=1, size=32, safety_checker=True))
        assert generator.safety_checker and "safety checker on" in generator.description
        results[name] = generator.generate(["a dog", "a cat"], [1, 2])
        off = load_text_to_image(GeneratorOptions(path=folder, steps=1, size=32))
        assert not off.safety_checker and "safety checker off" in off.description
        assert "safety_checker" not in {part.name for part in off.components}
        assert isinstance(off.generate(["a dog"], [1])[0], Picture)
    assert all(isinstance(result, Picture) for result in results["none"])
    assert all(isinstance(result, ExperimentError) and "withheld" in str(result) for result in results["all"])


def test_parts_of_the_same_weights_are_held_once():
    first = load_text_to_image(GeneratorOptions(path=tiny_folder(SD), steps=STEPS))
    second = load_editor(GeneratorOptions(path=tiny_folder(EDIT), steps=STEPS), share_with=[first])
    places = [
        {part.name: next(part.module.parameters()).data_ptr() for part in generator.components}
        for generator in (first, second)
    ]
    assert {name for name in places[0] if places[0][name] == places[1][name]} == {"text_encoder", "vae"}
    keys = [{part.name: part.key for part in generator.components} for generator in (first, second)]
    assert {name for name in keys[0] if keys[0][name] == keys[1][name]} == {"text_encoder", "vae"}
    job = second.job(noise_image(0), "make it red", 5)
    assert torch.equal(second.floats([job])[0], editor().floats([job])[0])


@pytest.mark.parametrize(("name", "parts"), [("sdxl-turbo", 4), ("flux-schnell", 4)])
def test_other_pipelines_draw_by_name(name, parts):
    generator = load_text_to_image(
        GeneratorOptions(path=tiny_folder(name), steps=2, guidance=0.0, sampler="as-saved", size=32)
    )
    assert len(generator.components) == parts
    jobs = [generator.job(prompt, seed) for seed, prompt in enumerate(PROMPTS[:3])]
    together, _ = generator.floats(jobs)
    alone = torch.cat([generator.floats([job])[0] for job in jobs])
    assert together.shape == (3, 3, 32, 32)
    assert (together[0] - together[1]).abs().max() > 1e-2
    torch.testing.assert_close(together, alone, **CLOSE)


def test_noise_is_that_of_the_seed_whatever_the_number_format():
    # bf16 keeps 8 bits: pictures are alike, not the same.
    full, half = (drawer(steps=1, dtype=dtype) for dtype in ("fp32", "bf16"))
    a, b, c = (g.floats([g.job("a red dog", seed)])[0] for g, seed in ((full, 1), (half, 1), (full, 2)))
    assert half.pipeline.unet.dtype == torch.bfloat16
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(half._arguments([half.job("a red dog", 1)])["latents"], noise.bfloat16())
    assert (a - b).abs().mean() < 0.1 * (a - c).abs().mean()


def test_slicing_and_layout_change_nothing_but_rounding():
    job = drawer().job("a red dog", 1)
    plain, _ = drawer().floats([job, job])
    for options in ({"vae_slicing": True}, {"channels_last": True}):
        generator = load_text_to_image(GeneratorOptions(path=tiny_folder(SD), steps=STEPS, **options))
        torch.testing.assert_close(generator.floats([job, job])[0], plain, **CLOSE)
    assert generator.pipeline.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


def test_nothing_is_printed(capsys, caplog):
    generator = load_text_to_image(GeneratorOptions(path=tiny_folder(SD), steps=1, size=32))
    generator.generate(["word " * 200], [1])
    shown = capsys.readouterr()
    assert (shown.out, shown.err, caplog.text) == ("", "", "")
