"""CLIP-Dissect: the formula against a slow reference and a case with a known answer; the testbed; a tiny CLIP."""

import asyncio
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.baselines.clip_dissect import (
    DissectOptions,
    Dissector,
    clip_dissect_label,
    mean_probabilities,
    soft_wpmi,
)
from maia.benchmarks.baselines.concept_lists import LONGEST, ConceptList, read_concepts, vocabulary_concepts
from maia.benchmarks.baselines.image_text import ClipSimilarity, DescriberWords, SceneWords
from maia.engine.exemplars import Exemplar
from maia.models.errors import ExperimentError, UserError
from maia.models.groundtruth import GroundTruthTarget
from maia.models.groundtruth_neuron import GroundTruthNeuron
from maia.models.targets import Response, Unit
from maia.models.testbed.scene import find_concept
from maia.models.testbed.world import World
from PIL import Image


def slow(similarities, activations, top_k, a, lam, p_start, p_end, others=None) -> list[float]:
    """The formula, a number at a time. others: activations of the units whose mean is the prior; None: unrelated."""
    images, concepts = len(similarities), len(similarities[0])

    def p(i: int, m: int) -> float:
        return math.exp(a * similarities[i][m]) / sum(math.exp(a * s) for s in similarities[i])

    def evidence(values, m: int) -> float:
        order = sorted(range(images), key=lambda i: (-values[i], i))[:top_k]
        members = [p_start - r / top_k * (p_start - p_end) for r in range(top_k)]
        return sum(math.log(1 + q * (p(i, m) - 1) + 1e-7) for q, i in zip(members, order, strict=True))

    scores = []
    for m in range(concepts):
        if others is None:
            mean = sum(p(i, m) for i in range(images)) / images
            members = [p_start - r / top_k * (p_start - p_end) for r in range(top_k)]
            prior = sum(math.log(1 + q * (mean - 1) + 1e-7) for q in members)
        else:
            prior = math.log(sum(math.exp(evidence(values, m)) for values in others) / len(others))
        scores.append(evidence(activations, m) - lam * prior)
    return scores


@settings(max_examples=40)
@given(data=st.data())
def test_it_is_the_formula(data: st.DataObject) -> None:
    images, concepts = data.draw(st.integers(2, 7)), data.draw(st.integers(2, 4))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    similarities = generator.uniform(-1, 1, (images, concepts)).astype(np.float32)
    activations = generator.integers(0, 4, (images, 3)).astype(np.float32)  # with ties
    top_k = data.draw(st.integers(1, images))
    numbers = (top_k, data.draw(st.floats(0.1, 12)), data.draw(st.floats(0, 2)), 0.99, 0.8)
    table = similarities.astype(float).tolist()
    got = soft_wpmi(similarities, activations, *numbers)
    together = soft_wpmi(similarities, activations, *numbers, prior="units")
    for unit, own in enumerate(activations.T.tolist()):
        np.testing.assert_allclose(got[unit], slow(table, own, *numbers), rtol=1e-9, atol=1e-9)
        others = activations.T.tolist()
        np.testing.assert_allclose(together[unit], slow(table, own, *numbers, others), rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(soft_wpmi(similarities, activations[:, unit], *numbers), got[unit])


def test_the_prior_is_the_expectation_over_random_units() -> None:
    """Units whose images are drawn independently have the evidence on average that "unrelated" reckons with."""
    generator = np.random.default_rng(0)
    similarities = generator.uniform(0, 0.4, (200, 5))
    activations = generator.random((200, 4000))
    # exp(E - prior) is 1 on average; three images of 200 are as good as independent.
    ratios = np.exp(soft_wpmi(similarities, activations, 3, 10.0, 1.0))
    np.testing.assert_allclose(ratios.mean(axis=0), 1.0, atol=0.1)


def test_a_case_with_a_known_answer() -> None:
    """Concept 2 alone marks the active images. Concept 0 is in every picture: evident, but so it is of any unit."""
    generator = np.random.default_rng(1)
    present = np.zeros((300, 6))
    present[:, 0] = 1
    present[:, 1:] = generator.random((300, 5)) < 0.1
    active = present[:, 2] > 0
    values = np.where(active, 1.0, 0.0) + 0.01 * generator.random(300)
    top = int(active.sum())
    scores = soft_wpmi(present, values, top_k=top)
    assert scores.argmax() == 2 and scores[2] > 0 and scores[2] - np.delete(scores, 2).max() > 50
    # What the prior is for: without it the concept that is everywhere is as good.
    assert soft_wpmi(present, values, top_k=top, lam=0.0).argmax() == 0
    # And who is active matters: the images without concept 2 have another answer.
    assert soft_wpmi(present, -values, top_k=top).argmax() != 2


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), shift=st.floats(-3, 3), factor=st.floats(0.1, 9))
def test_only_the_order_of_activations_matters(seed: int, shift: float, factor: float) -> None:
    generator = np.random.default_rng(seed)
    similarities, values = generator.random((30, 4)), generator.permutation(30).astype(float)
    plain = soft_wpmi(similarities, values, top_k=10)
    np.testing.assert_array_equal(soft_wpmi(similarities, factor * values + shift, top_k=10), plain)
    swapped = [2, 0, 3, 1]
    np.testing.assert_allclose(soft_wpmi(similarities[:, swapped], values, top_k=10), plain[swapped], rtol=1e-9)
    np.testing.assert_allclose(mean_probabilities(similarities).sum(), 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"top_k": 0}, "top_k"),
        ({"top_k": 11}, "top_k"),
        ({"p_start": 0.5, "p_end": 0.9}, "fall"),
        ({"prior": "units"}, "two"),
        ({"activations": np.zeros(9)}, "same images"),
        ({"activations": np.full(10, np.nan)}, "finite"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        soft_wpmi(**{"similarities": np.zeros((10, 3)), "activations": np.arange(10.0), "top_k": 5} | change)


WORDS = ("dog", "tree", "red", "snow", "animal", "striped")
UNITS = [Unit("ground-truth", "single", index) for index in range(len(WORDS))]
SCENES = 160


class Testbed:
    """Services of the offline world without a scheduler: neurons of WORDS, and how often each thing was asked for."""

    __test__ = False

    def __init__(self) -> None:
        self.world = World(renderings=2 * SCENES)
        neurons = [GroundTruthNeuron("single", find_concept(word)) for word in WORDS]
        self.target = GroundTruthTarget(self.world, {"single": neurons})
        self.scheduler = _Anything()
        self.drawn: list[int] = []
        self.measured = 0
        facts = SimpleNamespace(dataset_size=SCENES, dataset_fingerprint="testbed")
        self.index = SimpleNamespace(has_pictures=False, facts=facts, entries=self._entries)

    async def dataset_images(self, numbers):
        self.drawn += numbers
        return [self.world.dataset_image(k) for k in numbers]

    async def respond(self, images, unit) -> list[Response]:
        self.measured += len(images)
        return self.target.respond(images, unit)

    async def describe(self, images) -> list[str]:
        lines = []
        for image in images:
            scene = self.world.scene_of(image)
            if scene is None:
                raise ExperimentError("unknown")
            things = ", ".join(f"a {o.colour} {o.pattern} {o.noun}" for o in scene.objects)
            surface = " ".join(scene.surface or ())
            lines.append(f"{things} {surface}; background: {scene.background}")
        return lines

    def _entries(self, unit: Unit) -> list[Exemplar]:
        values = self.target.scene_maxima([self.world.dataset_scene(k) for k in range(SCENES)], ["single"])
        own = values["single"][:, unit.index]
        order = np.argsort(-own, kind="stable")[:15]
        return [Exemplar(int(k), str(k), float(own[k]), None, None) for k in order if own[k] > 0]


class _Anything:
    """What a label is kept for: hashable, and weakly referenced."""


@pytest.fixture(scope="module")
def testbed() -> Testbed:
    return Testbed()


def test_the_testbeds_neurons_are_named(testbed: Testbed) -> None:
    chosen = DissectOptions(images=SCENES, top_k=12)
    dissector = Dissector(SceneWords(testbed.world.scene_of), options=chosen)

    async def labels() -> list[str]:
        return await asyncio.gather(*(dissector.label(testbed, unit) for unit in UNITS))

    testbed.drawn.clear()
    found = asyncio.run(labels())
    assert found == list(WORDS)
    assert sorted(testbed.drawn) == list(range(SCENES))  # once for all units
    assert not dissector.problems
    asyncio.run(dissector.label(testbed, UNITS[0]))  # and in another event loop
    assert len(testbed.drawn) == SCENES


def test_exemplars_of_the_index_need_no_measurement(testbed: Testbed) -> None:
    testbed.measured = 0
    found = [asyncio.run(clip_dissect_label(testbed, unit)) for unit in UNITS]
    assert sum(label == word for label, word in zip(found, WORDS, strict=True)) >= 5
    assert testbed.measured == 0
    described = len(testbed.drawn)
    assert found == [asyncio.run(clip_dissect_label(testbed, unit)) for unit in UNITS]
    assert len(testbed.drawn) - described == sum(len(testbed.index.entries(unit)) for unit in UNITS)  # no probing again


def test_both_sources_agree_where_the_dataset_is_the_probing_set(testbed: Testbed) -> None:
    similarity = SceneWords(testbed.world.scene_of)
    measured = Dissector(similarity, options=DissectOptions(images=SCENES, top_k=15))
    indexed = Dissector(similarity, options=DissectOptions(images=SCENES, top_k=15, source="index"))
    full = [unit for unit in UNITS if len(testbed.index.entries(unit)) == 15]
    assert full
    for unit in full:
        one, other = (asyncio.run(own.scores(testbed, unit)) for own in (measured, indexed))
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_a_picture_that_cannot_be_used_costs_itself(testbed: Testbed) -> None:
    class Picky(DescriberWords):
        async def __call__(self, services, images, concepts):
            if any(image.info.get("bad") for image in images):
                raise ExperimentError("no eyes for it")
            return await super().__call__(services, images, concepts)

    original = testbed.dataset_images

    async def with_bad(numbers):
        drawn = await original(numbers)
        for number, image in zip(numbers, drawn, strict=True):
            image.info["bad"] = number % 20 == 7
        return drawn

    dissector = Dissector(Picky(), options=DissectOptions(images=80, top_k=5))
    testbed.dataset_images = with_bad
    try:
        scores = asyncio.run(dissector.scores(testbed, UNITS[0]))
    finally:
        testbed.dataset_images = original
    stream_bad = sum(number % 20 == 7 for number in dissector._numbers(testbed, UNITS[0]))
    assert len(dissector.problems) == stream_bad > 0
    assert set(dissector.problems.values()) == {"no eyes for it"}
    assert np.isfinite(scores).all()
    too_many = Dissector(DescriberWords(), options=DissectOptions(images=80, top_k=81))
    with pytest.raises(UserError, match="ranks 81 images of a unit and has 80: lower top_k to 80"):
        asyncio.run(too_many.label(testbed, UNITS[0]))


def test_words_that_the_world_lacks_are_told(testbed: Testbed) -> None:
    for similarity in (DescriberWords(), SceneWords(testbed.world.scene_of)):
        with pytest.raises(UserError, match=r"no word 'dogg'.*choose from dog"):
            asyncio.run(similarity(testbed, [testbed.world.dataset_image(0)], ("dogg", "cat")))
    changed = testbed.world.dataset_image(0).rotate(90)
    with pytest.raises(ExperimentError, match="no picture that the offline world drew"):
        asyncio.run(SceneWords(testbed.world.scene_of)(testbed, [changed], ("dog", "cat")))


def test_a_concept_list_is_read_and_what_was_left_out_is_told(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text(f"\ufeffdog\n\n  night   sky \nDog\n{'x' * (LONGEST + 1)}\ncat\r\n{'y' * LONGEST}\n", "utf-8")
    found = read_concepts(file)
    assert found.concepts == ("dog", "night sky", "cat", "y" * LONGEST)
    assert found.name == "words.txt"
    assert [note.split(" and left out")[0] for note in found.notes] == [
        "1 line is blank",
        "1 line is repeated",
        f"1 line is longer than {LONGEST} characters",
    ]
    assert "line 4 'Dog'" in found.notes[1]
    file.write_text("dog\ndog\n\n", "utf-8")
    with pytest.raises(UserError, match=r"holds 1 concepts .*line 2 'dog'"):
        read_concepts(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"is no UTF-8 text: give a text file"):
        read_concepts(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_concepts(tmp_path / "none.txt")
    assert {"dog", "red", "striped", "animal"} <= set(vocabulary_concepts().concepts)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of some thousand random weights."""
    import torch
    from maia.models.diffusion.tokenizers import tiny_clip_tokenizer
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    tokenizer = tiny_clip_tokenizer()
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 16,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = CLIPConfig(
        text_config=shape | text, vision_config=shape | {"image_size": 32, "patch_size": 8}, projection_dim=8
    )
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(folder)
    return folder


def test_a_real_clip_compares_pictures_with_concepts(clip_folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

    clip = ClipSimilarity.load(clip_folder)
    colours = np.random.default_rng(0).integers(0, 256, (35, 4, 4, 3), np.uint8)
    images = [Image.fromarray(own).resize((40 + k, 30)) for k, own in enumerate(colours)]
    concepts = ["dog", "a very long concept that the encoder cuts", "cat"]
    got = asyncio.run(clip(SimpleNamespace(), images, concepts))
    assert got.shape == (35, 3) and got.dtype == np.float32
    assert clip.truncated == 1
    clip.similarities(images[:1], concepts)
    assert clip.truncated == 1  # the concepts are embedded once

    # The model's own way to compare, without its temperature.
    model, tokenizer = CLIPModel.from_pretrained(clip_folder).eval(), AutoTokenizer.from_pretrained(clip_folder)
    pixels = CLIPImageProcessor.from_pretrained(clip_folder)(images[34], return_tensors="pt")
    with torch.no_grad():
        for place in (0, 2):
            whole = model(**tokenizer([concepts[place]], return_tensors="pt"), pixel_values=pixels["pixel_values"])
            expected = whole.logits_per_image / model.logit_scale.exp()
            assert got[34, place] == pytest.approx(expected.item(), abs=1e-5)
    assert np.abs(got[:, 0] - got[:, 2]).max() > 1e-3  # or the comparison above would prove little


def test_a_clip_that_cannot_be_used_is_named(clip_folder: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    with pytest.raises(UserError, match="holds no CLIP"):
        ClipSimilarity.load(tmp_path)
    damaged = Path(shutil.copytree(clip_folder, tmp_path / "damaged"))
    (damaged / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        ClipSimilarity.load(damaged)
    lacking = Path(shutil.copytree(clip_folder, tmp_path / "lacking"))
    state = load_file(lacking / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, lacking / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack visual_projection.weight: copy"):
        ClipSimilarity.load(lacking)


def test_a_dissector_with_clip_takes_any_concepts(testbed: Testbed, clip_folder: Path) -> None:
    concepts = ConceptList("three", ("fur", "stripes of paint", "sky"))
    dissector = Dissector(ClipSimilarity.load(clip_folder), concepts, DissectOptions(images=20, top_k=4))
    assert asyncio.run(dissector.label(testbed, UNITS[0])) in concepts.concepts
