"""MILAN with random weights: encoder and masks, the decoder's step, PMI decoding, and checkpoints that are wrong."""

import asyncio
import itertools
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from maia.benchmarks.baselines import milan as architecture
from maia.benchmarks.baselines.milan import LanguageModel, Milan, MilanShape, PyramidEncoder, describe, wording
from maia.benchmarks.baselines.milan_folder import SIDE, load_milan, milan_description, milan_label
from maia.benchmarks.quality.evaluate_people import Asked, people_of
from maia.benchmarks.quality.pool import Unusable
from maia.engine.exemplars import Exemplar
from maia.models.errors import UserError
from maia.models.targets import Response, Unit
from PIL import Image
from torch import nn

WORDS = ("dog", "red", "-")
SHAPE = MilanShape(WORDS, "tiny", 4, 8, None, 4, 6, 2)
UNIT = Unit("network", "layer", 0)


class TinyClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 2, 1)
        self.layer1 = nn.Conv2d(4, 8, 3, 2, 1)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer1(self.conv1(x)).mean((2, 3)))


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """A classifier of some hundred weights among torchvision's."""
    from torchvision import models

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "tiny", lambda weights: TinyClassifier(), raising=False)
        patch.setitem(architecture.ENCODERS, "tiny", (("conv1", "layer1"), 12))
        yield


def random_milan(seed: int, shape: MilanShape = SHAPE, spread: float = 3.0) -> Milan:
    """spread: of the outputs' weights, so that words differ in probability."""
    torch.manual_seed(seed)
    milan = Milan(shape)
    with torch.no_grad():
        milan.output[1].weight.mul_(spread)
        if milan.lm is not None:
            milan.lm.output[0].weight.mul_(spread)
    return milan


def exemplars(seed: int, count: int = 3) -> torch.Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))


def test_the_encoder_pools_what_the_mask_shows() -> None:
    torch.manual_seed(0)
    encoder = PyramidEncoder("tiny").eval()
    images = torch.rand(2, 3, 32, 32)
    left = torch.zeros(2, 1, 32, 32)
    left[..., :16] = 1
    with torch.no_grad():
        whole, half = encoder(images, torch.ones(2, 1, 32, 32)), encoder(images, left)
        assert whole.shape == (2, 12)
        inputs = (images - encoder.mean) / encoder.std
        maps = encoder.encoder.model.conv1(inputs)
        torch.testing.assert_close(whole[:, :4], maps.mean((2, 3)))
        torch.testing.assert_close(half[:, :4], maps[..., :8].mean((2, 3)))
        torch.testing.assert_close(half[:, 4:], encoder.encoder.model.layer1(maps)[..., :4].mean((2, 3)))
        assert (whole - half).abs().max() > 1e-3
        # What lies far outside the mask changes nothing; what lies inside does.
        outside, inside = images.clone(), images.clone()
        outside[..., 24:] = 0
        inside[..., :8] = 0
        torch.testing.assert_close(encoder(outside, left), half)
        assert (encoder(inside, left) - half).abs().max() > 1e-3
        assert not encoder(images, torch.zeros(2, 1, 32, 32)).any()
        torch.testing.assert_close(encoder(images, 0.5 * left), half)


def test_a_real_encoder_has_the_published_names_and_sizes() -> None:
    milan = Milan(MilanShape(WORDS, "resnet18"))
    names = set(milan.state_dict())
    assert {
        "encoder.mean", "encoder.encoder.model.conv1.weight", "encoder.encoder.model.layer4.1.bn2.running_var",
        "encoder.encoder.model.fc.bias", "init_h.0.weight", "init_c.0.bias", "embedding.weight",
        "attend.query_to_hidden.weight", "attend.key_to_hidden.bias", "attend.output.0.weight",
        "feature_gate.0.weight", "lstm.weight_ih", "lstm.bias_hh", "output.1.weight", "lm.embedding.weight",
        "lm.lstm.weight_ih_l0", "lm.lstm.bias_hh_l1", "lm.output.0.bias",
    } <= names  # fmt: skip
    with torch.no_grad():
        assert milan.encode(torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape == (1, 1024)
    state = milan.state_dict()
    assert state["lstm.weight_ih"].shape == (2048, 128 + 1024) and state["embedding.weight"].shape == (7, 128)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_a_step_is_the_equations_of_attention_gate_and_cell() -> None:
    milan = random_milan(1)
    w = {name: value.double().numpy() for name, value in milan.state_dict().items()}
    features = exemplars(1)
    x = features.double().numpy()
    with torch.no_grad():
        state = milan.begin(features[None])
        got, following = milan.step(features[None], torch.tensor([1]), state)
    pooled = x.mean(0)
    h = np.tanh(w["init_h.0.weight"] @ pooled + w["init_h.0.bias"])
    c = np.tanh(w["init_c.0.weight"] @ pooled + w["init_c.0.bias"])
    query = w["attend.query_to_hidden.weight"] @ h + w["attend.query_to_hidden.bias"]
    keys = x @ w["attend.key_to_hidden.weight"].T + w["attend.key_to_hidden.bias"]
    energy = np.tanh(query + keys) @ w["attend.output.0.weight"][0] + w["attend.output.0.bias"]
    context = (np.exp(log_softmax(energy)) @ x) * sigmoid(w["feature_gate.0.weight"] @ h + w["feature_gate.0.bias"])
    both = np.concatenate([w["embedding.weight"][1], context])
    gates = w["lstm.weight_ih"] @ both + w["lstm.bias_ih"] + w["lstm.weight_hh"] @ h + w["lstm.bias_hh"]
    into, forget, new, out = np.split(gates, 4)
    c = sigmoid(forget) * c + sigmoid(into) * np.tanh(new)
    h = sigmoid(out) * np.tanh(c)
    np.testing.assert_allclose(following[0][0].numpy(), h, atol=1e-5)
    np.testing.assert_allclose(got[0].numpy(), log_softmax(w["output.1.weight"] @ h + w["output.1.bias"]), atol=1e-5)


def every_description(shape: MilanShape, length: int) -> list[tuple[int, ...]]:
    """All that end within `length` tokens, and all of that length that do not."""
    others = [token for token in range(shape.size) if token != shape.stop]
    found: list[tuple[int, ...]] = []
    for size in range(length + 1):
        for words in itertools.product(others, repeat=size):
            found += [(*words, shape.stop)] if size < length else [words]
    return found


def forced(milan: Milan, features: torch.Tensor, tokens: tuple[int, ...]) -> tuple[float, float]:
    """log p(d | E) and log p(d), a token at a time."""
    likelihood = prior = 0.0
    state, last = milan.begin(features[None]), milan.shape.start
    for place, token in enumerate(tokens):
        log_p, state = milan.step(features[None], torch.tensor([last]), state)
        likelihood += float(log_p[0, token])
        if milan.lm is not None:
            prior += float(milan.lm(torch.tensor([[milan.shape.start, *tokens[:place]]]))[0, -1, token])
        last = token
    return likelihood, prior


@pytest.mark.parametrize("strategy", ["rerank", "stepwise", "likelihood"])
@torch.no_grad()
def test_a_wide_beam_finds_what_an_exhaustive_search_finds(strategy: Any) -> None:
    changed = 0
    for seed in range(3):
        milan, features, weight = random_milan(seed), exemplars(seed), 0.7
        all_of_them = every_description(SHAPE, 2)
        assert len(all_of_them) == 1 + 6 + 36
        scored = {}
        for tokens in all_of_them:
            likelihood, prior = forced(milan, features, tokens)
            scored[tokens] = likelihood - (weight if strategy != "likelihood" else 0.0) * prior
            assert float(milan.prior([tokens])[0]) == pytest.approx(prior, abs=1e-4)
        found = describe(milan, features, 50, 2, weight, strategy)
        assert {one.tokens for one in found} == set(scored)
        for one in found:
            assert one.score == pytest.approx(scored[one.tokens], abs=1e-4)
        assert found[0].tokens == max(scored, key=lambda tokens: scored[tokens])
        plain = describe(milan, features, 50, 2, weight, "likelihood")[0]
        changed += plain.tokens != found[0].tokens
    assert (changed > 0) == (strategy != "likelihood")  # the language model has a say


@torch.no_grad()
def test_the_beams_width_is_kept_and_a_narrow_one_is_greedy() -> None:
    better = 0
    for seed in range(4):
        milan, features = random_milan(seed), exemplars(seed)
        tokens, state = [SHAPE.start], milan.begin(features[None])
        while len(tokens) <= 4 and tokens[-1] != SHAPE.stop:
            log_p, state = milan.step(features[None], torch.tensor(tokens[-1:]), state)
            tokens.append(int(log_p.argmax()))
        (greedy,) = describe(milan, features, 1, 4, strategy="likelihood")
        assert list(greedy.tokens) == tokens[1:]
        wide = describe(milan, features, 30, 4, strategy="likelihood")
        assert len(wide) == 30 == len({one.tokens for one in wide})
        assert wide[0].score >= greedy.score - 1e-6
        assert [one.score for one in wide] == sorted((one.score for one in wide), reverse=True)
        better += wide[0].tokens != greedy.tokens
    assert better
    assert describe(milan, features, 30, 4) == describe(milan, features, 30, 4)
    for wrong in ({"beam": 0}, {"length": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            describe(milan, features, **wrong)
    with pytest.raises(ValueError, match="no language model"):
        describe(random_milan(0, MilanShape(WORDS, "tiny", 4, 8, lm_layers=0)), features)


def test_the_prior_of_several_is_that_of_each() -> None:
    milan = random_milan(5)
    assert isinstance(milan.lm, LanguageModel)
    several = [(0, 1, SHAPE.stop), (SHAPE.stop,), (2, 2, 2)]
    with torch.no_grad():
        together = milan.prior(several)
        np.testing.assert_allclose(together, [float(milan.prior([one])[0]) for one in several], atol=1e-5)


def test_wording() -> None:
    shape = MilanShape(("a", "close", "-", "up", ",", "dog", "'s"))
    assert wording([0, 1, 2, 3, 4, 5, 6, shape.stop, 5], shape) == "a close-up, dog's"
    assert wording([shape.start, 5, shape.stop + 1, shape.stop + 2], shape) == "dog"
    assert wording([shape.stop], shape) == ""


def payload(milan: Milan, **change: Any) -> dict[str, Any]:
    """A checkpoint as the authors' code writes it."""
    shape = milan.shape
    sizes = {"embedding_size": shape.lm_embedding, "hidden_size": shape.lm_hidden, "layers": shape.lm_layers}
    properties = {
        "indexer": {
            "properties": {"vocab": {"properties": {"tokens": shape.tokens}, "children": {}}, "start": True},
            "children": {},
        },
        "encoder": {"properties": {"config": shape.encoder, "pretrained": True}, "children": {}},
        "lm": {"properties": {**sizes, "dropout": 0.5}, "children": {}} if milan.lm is not None else None,
        "embedding_size": shape.embedding,
        "hidden_size": shape.hidden,
        "attention_hidden_size": shape.attention,
        "dropout": 0.5,
        "length": 4,
        "strategy": None,
        "temperature": 0.3,
        "beam_size": 6,
    }
    children = {"encoder": "PyramidConvEncoder"}
    return {"properties": properties | change, "children": children, "state_dict": milan.state_dict()}


def test_a_checkpoint_is_read_with_its_settings_of_spacy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    milan = random_milan(2)
    for module in ("thinc.config", "confection"):

        class Config(dict):  # type: ignore[type-arg]
            """As spaCy has its settings."""

        Config.__module__, Config.__qualname__ = module, "Config"
        monkeypatch.setitem(sys.modules, module.split(".")[0], types.ModuleType(module.split(".")[0]))
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
        sys.modules[module].Config = Config  # type: ignore[attr-defined]
        settings = Config(nlp={"lang": "en"})
        settings.is_interpolated = True
        content = payload(milan)
        content["properties"]["indexer"]["properties"]["tokenize"] = {"properties": {"nlp": (settings, b"bytes")}}
        content["state_dict"] = content["state_dict"] | {"reranker.weight": torch.zeros(1)}
        torch.save(content, tmp_path / "milan-base.pth")
        monkeypatch.delitem(sys.modules, module)
        read = load_milan(tmp_path)
        assert (read.beam, read.length, read.weight, read.ignored) == (6, 4, 0.3, ("reranker.weight",))
        assert read.milan.shape == SHAPE and not read.milan.training
        for name, value in milan.state_dict().items():
            assert torch.equal(read.milan.state_dict()[name], value), name


def saved(folder: Path, content: Any) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / "milan.pth")
    return folder


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("code that a checkpoint would run",))


def test_each_wrong_checkpoint_has_its_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    milan = random_milan(3)

    def refused(place: Path, words: str) -> None:
        with pytest.raises(UserError, match=words) as error:
            load_milan(place)
        assert "\n" not in str(error.value)

    refused(tmp_path / "nowhere", "holds no checkpoint of MILAN: name one .pth file")
    refused(tmp_path, "holds no checkpoint")
    (tmp_path / "two").mkdir()
    for name in ("a.pth", "b.pth"):
        (tmp_path / "two" / name).write_bytes(b"nothing")
    refused(tmp_path / "two", "holds a.pth, b.pth")
    refused(tmp_path / "two" / "a.pth", "cannot be read")
    refused(saved(tmp_path / "evil", payload(milan, evil=Evil())), "cannot be read")
    assert "code" not in capsys.readouterr().out
    refused(saved(tmp_path / "other", {"model": 1}), "no checkpoint of MILAN .no 'properties'")
    refused(saved(tmp_path / "list", [1]), "no checkpoint of MILAN")
    encoder = {"properties": {"config": "vgg"}}
    refused(saved(tmp_path / "vgg", payload(milan, encoder=encoder)), "encoder 'vgg': MILAN is read with resnet18")
    lacking = payload(milan)
    lacking["state_dict"] = {k: v for k, v in milan.state_dict().items() if not k.startswith("init_")}
    refused(saved(tmp_path / "lacking", lacking), "lacks the weight init_h.0.weight and 3 more")
    refused(
        saved(tmp_path / "misshapen", payload(milan, embedding_size=5)),
        r"weight embedding.weight .* is \[7, 4\], not \[7, 5\]",
    )


class Network:
    """Services of one unit with three exemplars."""

    def __init__(self, maps: bool, count: int = 3) -> None:
        self.asked = 0
        grids = [np.eye(4, dtype=np.float32) * (k + 1) for k in range(count)]
        self.pictures = [Image.effect_noise((40, 30), 60 + k).convert("RGB") for k in range(count)]
        found = [Exemplar(k, str(k), 1.0, None, grids[k] if maps else None) for k in range(count)]
        self.grids = grids
        self.index = SimpleNamespace(
            has_pictures=True,
            entries=lambda unit: found,
            picture=lambda k: self.pictures[k],
            threshold=lambda unit: 0.5,
        )
        self.target = SimpleNamespace(view=lambda image: image.resize((30, 30)))

    async def respond(self, images: list[Image.Image], unit: Unit) -> list[Response]:
        self.asked += 1
        return [Response(1.0, grid) for grid in self.grids]


def test_an_evaluation_has_it_as_a_baseline(tmp_path: Path) -> None:
    milan = random_milan(4)
    with torch.no_grad():
        milan.output[1].bias[0] += 9.0  # it says "dog", whatever it sees
    folder = saved(tmp_path / "good", payload(milan))
    people = people_of(Asked("scene", "scene", milan=folder), SimpleNamespace(), None)  # type: ignore[arg-type]
    kept = Network(True)
    label = asyncio.run(milan_label(kept, UNIT, load_milan(folder)))  # type: ignore[arg-type]
    assert label and "dog" in label and asyncio.run(people.baselines["milan"](kept, UNIT, 0)) == label  # type: ignore[arg-type]
    with pytest.raises(Unusable, match="says nothing"):
        asyncio.run(people.baselines["milan"](Network(True, 0), UNIT, 0))  # type: ignore[arg-type]
    assert "milan" not in people_of(Asked("scene", "scene"), SimpleNamespace(), None).baselines  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no checkpoint of MILAN"):
        people_of(Asked("scene", "scene", milan=tmp_path), SimpleNamespace(), None)  # type: ignore[arg-type]


def test_a_unit_is_described_from_what_its_masks_show(tmp_path: Path) -> None:
    model = load_milan(saved(tmp_path / "good", payload(random_milan(4, spread=6.0))))
    kept, without = Network(True), Network(False)
    without.pictures = kept.pictures
    label = asyncio.run(milan_label(kept, UNIT, model))
    assert label == asyncio.run(milan_label(without, UNIT, model))
    assert (kept.asked, without.asked) == (0, 1)
    assert label is None or set(label.replace("-", " ").split()) <= {"dog", "red"}
    assert asyncio.run(milan_label(Network(True, 0), UNIT, model)) is None
    everything = [np.ones((SIDE, SIDE), bool)] * 3
    assert isinstance(milan_description(model, kept.pictures, everything), str)
    plain = load_milan(
        saved(tmp_path / "plain", payload(random_milan(4, MilanShape(WORDS, "tiny", 4, 8, lm_layers=0))))
    )
    assert isinstance(milan_description(plain, kept.pictures, everything), str)
