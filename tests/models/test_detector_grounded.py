"""The detector of two models: agreement with transformers, bits, what runs how often, thresholds, precision."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from maia.models.detectors.base import BadPicture, Detection, boxes_in_pixels, dilation_radius
from maia.models.detectors.grounded import GroundedDetector
from maia.models.detectors.substitution import RowwiseFusion, exchanged
from maia.models.errors import UserError
from maia.models.threads import one_thread
from PIL import Image
from scipy.ndimage import binary_dilation
from tiny_detector import NOTHING_FOUND, pictures, tiny_detector
from torch import nn

CONCEPTS = ["dog", "car window", "snowboard", "zebra crossing", "train"]
SIZES = ((64, 64), (90, 64), (64, 64), (48, 100), (90, 64))


def same(one: Detection, other: Detection) -> bool:
    """Bit by bit."""
    masks = (one.mask is None) == (other.mask is None) and (one.mask is None or np.array_equal(one.mask, other.mask))
    boxes = np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)
    return masks and boxes and one.score == other.score


def plain_candidates(detector: GroundedDetector, image: Image.Image, concept: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities by token and boxes of one picture and concept, by the model's own forward without any of ours."""
    inputs = detector.grounding.processor(images=image, text=f"{concept}.", return_tensors="pt")
    with torch.inference_mode():
        output = detector.grounding.model(**inputs)
    length = inputs["input_ids"].shape[1]
    return output.logits[0, :, :length].sigmoid().numpy(), output.pred_boxes[0].numpy()


def plain_segments(detector: GroundedDetector, image: Image.Image, boxes: np.ndarray) -> np.ndarray:
    """bool [n, h, w] by SamModel's own forward and its processor's post-processing."""
    processor = detector.segmenter.processor
    inputs = processor(image, input_boxes=[boxes.tolist()], return_tensors="pt")
    sizes = [inputs.pop("original_sizes")]
    if "reshaped_input_sizes" in inputs:
        sizes.append(inputs.pop("reshaped_input_sizes"))
    with torch.inference_mode():
        output = detector.segmenter.model(**inputs, multimask_output=False)
    return processor.post_process_masks(output.pred_masks, *sizes)[0][:, 0].numpy()


@contextmanager
def calls(module: nn.Module) -> Iterator[list[int]]:
    """Rows of each forward of the module meanwhile."""
    seen: list[int] = []
    handle = module.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    try:
        yield seen
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    return pictures(*SIZES)


@pytest.fixture(scope="module")
def found(images: list[Image.Image]) -> list[dict[str, Detection]]:
    return tiny_detector().detect(images, CONCEPTS)


def test_some_are_found_and_some_are_not(found: list[dict[str, Detection]]) -> None:
    """Without this the other tests would say little."""
    there = [detection for one in found for detection in one.values() if detection.found]
    assert 0.2 < len(there) / (len(SIZES) * len(CONCEPTS)) < 1
    assert any(len(detection.boxes) > 1 for detection in there)
    assert any(0 < detection.mask.mean() < 1 for detection in there)
    assert len({detection.score for detection in there}) == len(there)


def test_answers_are_as_promised(images: list[Image.Image], found: list[dict[str, Detection]]) -> None:
    for image, one in zip(images, found, strict=True):
        assert list(one) == CONCEPTS
        for detection in one.values():
            assert (detection.boxes.dtype, detection.scores.dtype) == (np.float32, np.float32)
            assert detection.boxes.shape == (len(detection.scores), 4)
            if not detection.found:
                assert (detection.score, detection.mask) == (0.0, None)
                continue
            assert detection.score == detection.scores[0] == detection.scores.max() > tiny_detector().box_threshold
            assert (detection.boxes >= 0).all() and (detection.boxes <= [*image.size, *image.size]).all()
            assert detection.mask.dtype == bool
            assert detection.mask.shape == (image.height, image.width)


@pytest.mark.parametrize("rows", [1, 4])
def test_candidates_are_those_of_transformers(images: list[Image.Image], rows: int) -> None:
    grounding = tiny_detector(batch=rows).grounding
    for image in (images[0], images[3]):
        features = grounding.encode([grounding.pixels(image)])[0]
        for concept in CONCEPTS[1:4]:
            phrase = grounding.phrase(concept)
            (ours,) = grounding.candidates([(features, phrase)])
            probabilities, boxes = plain_candidates(tiny_detector(batch=rows), image, concept)
            assert np.abs(ours.probabilities[:, : len(phrase.ids)] - probabilities).max() < 1e-4
            assert (ours.probabilities[:, len(phrase.ids) :] == 0).all()
            assert np.abs(ours.boxes - boxes).max() < 1e-4


@pytest.mark.parametrize("segmenter", ["sam", "sam2"])
def test_detections_are_those_of_transformers(images: list[Image.Image], segmenter: str) -> None:
    detector = tiny_detector(segmenter)
    image = images[3]
    answers = detector.detect([image], CONCEPTS)[0]
    assert any(detection.found for detection in answers.values())
    for concept, detection in answers.items():
        probabilities, boxes = plain_candidates(detector, image, concept)
        scores = probabilities[:, 1:-2].max(axis=1)
        kept = scores > detector.box_threshold
        assert np.sort(detection.scores) == pytest.approx(np.sort(scores[kept]), abs=1e-4)
        if not kept.any():
            continue
        expected = boxes_in_pixels(boxes[kept][np.argsort(-scores[kept])], *image.size)
        assert np.abs(detection.boxes - expected).max() < 1e-4 * max(image.size)
        radius = dilation_radius(*image.size, detector.dilation)
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        union = plain_segments(detector, image, detection.boxes).any(axis=0)
        dilated = binary_dilation(union, x * x + y * y <= radius * radius)
        assert (detection.mask != dilated).mean() < 1e-3


@pytest.mark.parametrize("rows", [1, 4, 8])
def test_bits_depend_on_picture_and_concept_alone(images: list[Image.Image], rows: int) -> None:
    detector = tiny_detector(batch=rows)
    together = detector.detect(images, CONCEPTS)
    draw = random.Random(rows)
    for _ in range(3):
        places = draw.sample(range(len(images)), draw.randint(1, len(images)))
        concepts = draw.sample(CONCEPTS, draw.randint(1, len(CONCEPTS)))
        answers = detector.detect([images[place] for place in places], concepts)
        for place, one in zip(places, answers, strict=True):
            assert list(one) == concepts
            assert all(same(one[concept], together[place][concept]) for concept in concepts)
    without = detector.detect(images, CONCEPTS, masks=False)
    for one, other in zip(together, without, strict=True):
        for concept in CONCEPTS:
            assert np.array_equal(one[concept].boxes, other[concept].boxes)
            assert other[concept].mask is None


@pytest.mark.parametrize("rows", [1, 8])
def test_each_picture_may_be_asked_its_own(images: list[Image.Image], rows: int) -> None:
    detector = tiny_detector(batch=rows)
    together = detector.detect(images, CONCEPTS)
    asked = [["train", "dog"], [], ["zebra crossing"], CONCEPTS[::-1], ["dog", "dog"]]
    answers = detector.detect_each(images, asked)
    for one, row, whole in zip(answers, asked, together, strict=True):
        assert list(one) == list(dict.fromkeys(row))
        assert all(same(one[concept], whole[concept]) for concept in row)


def test_numbers_that_overflow_are_told(images: list[Image.Image]) -> None:
    """Else a detector whose numbers are none would find nothing, which is an answer."""
    detector = tiny_detector()

    def overflow(_: nn.Module, __: tuple, output: torch.Tensor) -> torch.Tensor:
        return output * float("nan")

    handle = detector.grounding.model.bbox_embed[-1].register_forward_hook(overflow)
    try:
        with pytest.raises(UserError, match=r"overflow in torch.float32"):
            detector.detect(images[:1], ["dog"])
    finally:
        handle.remove()


def test_larger_batches_answer_alike(images: list[Image.Image], found: list[dict[str, Detection]]) -> None:
    for one, other in zip(found, tiny_detector(batch=8).detect(images, CONCEPTS), strict=True):
        for concept in CONCEPTS:
            assert other[concept].scores == pytest.approx(one[concept].scores, abs=1e-4)


def test_encoders_run_once_a_picture(images: list[Image.Image], found: list[dict[str, Detection]]) -> None:
    detector = tiny_detector()
    inner = detector.grounding.model.model
    with calls(inner.backbone.conv_encoder) as backbone, calls(detector.segmenter.model.vision_encoder) as encoder:
        detector.detect(images, CONCEPTS)
    assert backbone == [1] * len(images)
    assert encoder == [1] * sum(any(d.found for d in one.values()) for one in found)


def test_texts_are_encoded_once(images: list[Image.Image]) -> None:
    detector = tiny_detector(threads=2)  # no other test has asked this one anything
    with calls(detector.grounding.model.model.text_backbone) as texts:
        detector.detect(images[:2], ["dog", "train", "dog"])
        detector.detect(images[2:3], ["train", "dog"])
    assert texts == [1, 1]


def test_forwards_are_filled_and_shared(images: list[Image.Image]) -> None:
    """Of 4 rows: 2 pictures of one shape and 3 concepts are 6 pairs, whose encoder sees 1 picture at a time."""
    detector = tiny_detector(batch=4)
    with calls(detector.grounding.model.model.decoder.layers[0].fc1) as decoder:
        detector.detect([images[0], images[2]], CONCEPTS[:3], masks=False)
    assert decoder == [4, 4]


def test_the_segmenter_does_not_run_without_need(images: list[Image.Image]) -> None:
    for detector, masks in ((tiny_detector(), False), (tiny_detector(**NOTHING_FOUND), True)):
        with calls(detector.segmenter.model.vision_encoder) as encoder:
            answers = detector.detect(images[:2], CONCEPTS, masks=masks)
        assert encoder == []
        assert all(detection.mask is None for one in answers for detection in one.values())
    assert all(detection.score == 0 and not detection.found for one in answers for detection in one.values())


def test_higher_thresholds_find_a_part_of_the_same_boxes(
    images: list[Image.Image], found: list[dict[str, Detection]]
) -> None:
    higher = tiny_detector(box_threshold=0.93).detect(images, CONCEPTS, masks=False)
    for one, other in zip(found, higher, strict=True):
        for concept in CONCEPTS:
            count = int((one[concept].scores > np.float32(0.93)).sum())
            assert np.array_equal(other[concept].boxes, one[concept].boxes[:count])
            assert np.array_equal(other[concept].scores, one[concept].scores[:count])


def test_dilation_only_adds(images: list[Image.Image], found: list[dict[str, Detection]]) -> None:
    bare = tiny_detector(dilation=0.0).detect(images[:1], CONCEPTS)[0]
    grown = [found[0][c].mask.sum() - bare[c].mask.sum() for c in CONCEPTS if bare[c].found]
    assert all((bare[c].mask <= found[0][c].mask).all() for c in CONCEPTS if bare[c].found)
    assert max(grown) > 0


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.01), ("bfloat16", 0.03)])
def test_half_precision_is_close(
    images: list[Image.Image], found: list[dict[str, Detection]], dtype: str, tolerance: float
) -> None:
    detector = tiny_detector(dtype=dtype)
    assert detector.grounding.dtype == detector.segmenter.dtype == getattr(torch, dtype)
    for image, one in zip(images[:2], found, strict=False):
        for concept, other in detector.detect([image], CONCEPTS)[0].items():
            if one[concept].score > detector.box_threshold + tolerance:
                assert other.score == pytest.approx(one[concept].score, abs=tolerance)
                assert other.mask.shape == one[concept].mask.shape
    assert detector.fingerprint != tiny_detector().fingerprint


def test_the_fingerprint_tells_what_changes_answers() -> None:
    others: list[dict[str, Any]] = [
        {"box_threshold": 0.5},
        {"text_threshold": 0.5},
        {"dilation": 0.0},
        {"resolution": 96},
    ]
    prints = [tiny_detector(**options).fingerprint for options in [{}, *others]]
    assert len({*prints, tiny_detector("sam2").fingerprint}) == len(others) + 2
    assert tiny_detector(batch=4).fingerprint == tiny_detector(threads=2).fingerprint == prints[0]


def test_a_resolution_of_one_s_own(images: list[Image.Image]) -> None:
    assert tiny_detector(resolution=96).grounding.pixels(images[3]).shape == (160, 77)
    assert tiny_detector().grounding.pixels(images[3]).shape == (128, 61)


def test_bad_pictures_are_named_before_anything_runs(images: list[Image.Image]) -> None:
    detector = tiny_detector()
    with calls(detector.grounding.model.model.backbone.conv_encoder) as backbone:
        with pytest.raises(BadPicture, match="too small") as caught:
            detector.detect([*images[:2], Image.new("RGB", (8, 90))], ["dog"])
        assert caught.value.place == 2
        # 16 pixels leave this model 2 x 2 positions and 3 more, fewer than it has candidates.
        with pytest.raises(BadPicture, match=r"leave 7 places .* needs 20") as caught:
            tiny_detector(resolution=16).detect(images[:1], ["dog"])
        assert caught.value.place == 0
    assert backbone == []


def test_pictures_of_any_mode(images: list[Image.Image]) -> None:
    detector = tiny_detector()
    grey = images[0].convert("L")
    answers = detector.detect([grey, grey.convert("RGB"), grey.convert("RGBA")], ["dog", "train"])
    assert all(same(one[c], answers[0][c]) for one in answers for c in one)


def test_nothing_asked_is_nothing_answered(images: list[Image.Image]) -> None:
    assert tiny_detector().detect([], CONCEPTS) == []
    assert tiny_detector().detect(images[:2], []) == [{}, {}]


def test_concepts_that_cannot_be_asked(images: list[Image.Image]) -> None:
    for ask in (tiny_detector().check, lambda concepts: tiny_detector().detect(images[:1], concepts)):
        with pytest.raises(UserError, match=r"'car\. dog'"):
            ask(["dog", "car. dog"])
        with pytest.raises(UserError, match="32 at most"):
            ask(["dog " * 40])
    tiny_detector().check(CONCEPTS)


def test_fusion_by_rows_is_that_of_transformers() -> None:
    own = tiny_detector().grounding.model.model.encoder.layers[0].fusion_layer.attn
    generator = torch.Generator().manual_seed(0)
    picture, text = (5 * torch.randn(3, count, 64, generator=generator) for count in (30, 8))
    picture_mask, text_mask = torch.zeros(3, 30, dtype=torch.bool), torch.zeros(3, 8, dtype=torch.bool)
    picture_mask[1, 20:], text_mask[:, 5:] = True, True
    exact = copy.deepcopy(own).double()
    with torch.inference_mode(), one_thread():
        expected = exact(picture.double(), text.double(), picture_mask, text_mask)
        for one, other in zip(
            RowwiseFusion(exact)(picture.double(), text.double(), picture_mask, text_mask), expected, strict=True
        ):
            assert torch.allclose(one[0], other[0], atol=1e-10, rtol=1e-10)
            assert one[0].std() > 0.01
        found = RowwiseFusion(own)(picture, text, picture_mask, text_mask)
        # The others' rows are a thousand times larger: the first row's bits stay.
        picture[1:] *= 1000
        again = RowwiseFusion(own)(picture, text, picture_mask, text_mask)
    assert all(torch.equal(one[0][0], other[0][0]) for one, other in zip(found, again, strict=True))


def test_exchanged_parts_leave_the_network_as_it_is() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    other = exchanged(network, {"1.0": nn.Identity()})
    given = torch.tensor([[1.0, -2.0]])
    assert torch.equal(other(given), network[0](given).relu())
    assert isinstance(network[1][0], nn.Linear)
    network[0].weight.data = torch.eye(2)
    network[0].bias.data = torch.zeros(2)
    assert other(given).tolist() == [[1.0, 0.0]]  # the weights are shared, also those that are moved later
    with pytest.raises(KeyError):
        exchanged(network, {"1.7": nn.Identity()})
