"""Sizes of the vision-language model: from files as from the catalogue, served, in this program, elsewhere."""

import json
from dataclasses import replace

import pytest
import torch
from maia.engine import sizing
from maia.engine.calibration import Calibration, Measured
from maia.engine.catalogue import FOUR_BITS, catalogue
from maia.engine.explain import explain, plan_as_json, plan_command, plan_profile
from maia.engine.explain_vlm import server_share
from maia.engine.placement import DoesNotFit
from maia.engine.plan import Duration, Workspace
from maia.engine.profile import load_profile
from maia.engine.sizing import kept_bytes, memory_of, sized_models, vlm_facts
from maia.engine.vlm_options import VlmOptions
from maia.engine.vlm_shape import ADAPTER_FILE, vlm_shape
from maia.engine.vlm_sizing import ELSEWHERE, server_cache_bytes, sized_vlm
from maia.models.errors import UserError
from safetensors.torch import load_file, save_file
from tiny_vlm import own_checkpoint, tiny_checkpoint

GIB = 2**30
WEIGHTS = "model.safetensors"


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch, tmp_path):
    """No weights, no measurements, no GPU, whatever this machine has."""
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("MAIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sizing, "_gpus", list)


def with_vlm(backbone="served", base="lab", **entries):
    lab = load_profile(base)
    return replace(lab, backbone=backbone, vlm={"model": "qwen2.5-vl-7b", **entries})


def of_files(path, **entries):
    return vlm_shape(VlmOptions("mine", path=path, **{"context": 2048, **entries}), "vlm")


def planned(profile, memory):
    models, amounts = sized_models(profile), memory_of(profile, memory)
    plan = plan_profile(profile, models, amounts)
    return plan, amounts, explain(plan, models, amounts, profile)


@pytest.mark.parametrize("family", ["llava-next", "qwen2.5-vl", "qwen3-vl"])
def test_a_checkpoint_is_sized_as_the_model_that_transformers_loads(family):
    from transformers import AutoModelForImageTextToText

    path = tiny_checkpoint(family)
    model = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
    shape = of_files(path, dtype="fp32")
    tensors = {tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}
    assert shape.weights == pytest.approx(sum(tensors.values()), rel=1e-3) and shape.source == "files"
    assert of_files(path, dtype="bf16").weights == pytest.approx(shape.weights / 2, rel=1e-3)
    # The cache that the model itself makes of a text.
    model.eval()
    tokens = torch.arange(40, 57)[None]
    with torch.inference_mode():
        cache = model(input_ids=tokens, use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert held == shape.cache_bytes(4) * tokens.shape[1]
    assert shape.family.name == family


def test_four_bits_are_counted_for_the_matrices_that_they_apply_to():
    path = tiny_checkpoint()
    whole, packed = of_files(path, dtype="fp32"), of_files(path, dtype="fp32", quantization="4bit")
    matrices = [
        tensor.numel()
        for name, tensor in load_file(path / WEIGHTS).items()
        if ("q_proj" in name or "k_proj" in name or "v_proj" in name or "o_proj" in name or "mlp" in name)
        and "vision_tower" not in name
    ]
    assert len(matrices) == 7 * whole.layers
    assert whole.weights - packed.weights == pytest.approx(sum(matrices) * (4 - FOUR_BITS), abs=1)
    assert packed.key != whole.key


def test_weights_that_are_packed_in_their_files_are_counted_as_they_are(tmp_path):
    path = own_checkpoint(tmp_path)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = load_file(path / WEIGHTS)
    name = next(name for name in tensors if name.endswith("up_proj.weight"))
    tensors[name] = torch.zeros(tensors[name].numel() // 2, 1, dtype=torch.uint8)
    save_file(tensors, path / WEIGHTS, metadata={"format": "pt"})
    nbytes = sum(tensor.numel() * (2 if tensor.is_floating_point() else 1) for tensor in tensors.values())
    assert of_files(path, quantization="4bit").weights == of_files(path).weights == nbytes


def test_of_a_mixture_all_experts_are_held_and_few_are_read(tmp_path):
    from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

    path = own_checkpoint(tmp_path, "qwen3-vl")
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    text = {**config["text_config"], "model_type": "qwen3_vl_moe_text"}
    mixture = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
    made = Qwen3VLMoeConfig(text_config={**text, **mixture}, vision_config=config["vision_config"])
    model = Qwen3VLMoeForConditionalGeneration(made)
    model.save_pretrained(path)
    experts = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
    total = sum(p.numel() for p in model.parameters())
    shape = of_files(path, dtype="fp32")
    assert experts and shape.weights == pytest.approx(4 * total, rel=1e-3) and shape.intermediate == 2 * 64
    assert shape.active == pytest.approx(1 - experts * (1 - 2 / 8) / total, rel=1e-3)
    options = VlmOptions("mine", path=path, context=2048, quantization="4bit")
    served, here = (vlm_shape(options, "vlm", experts_packed=packed) for packed in (True, False))
    assert here.weights - served.weights == pytest.approx(experts * (2 - FOUR_BITS), abs=2)


def test_a_mixture_takes_less_time_than_its_size_and_more_for_more_requests():
    def seconds(model, requests):
        return vlm_facts(with_vlm(model=model)).duration.seconds(requests)

    mixture, dense = "qwen3-vl-30b-a3b", "qwen2.5-vl-32b"
    assert seconds(mixture, 1) < seconds(dense, 1) / 5
    assert seconds(dense, 16) / seconds(dense, 1) < 3 < seconds(mixture, 16) / seconds(mixture, 1)
    # The line goes through one request: its active weights read for every token, and its prompt.
    book, entry = catalogue(), catalogue().vlms[mixture]
    reading = book.server.answer_tokens * 2 * entry.active / book.hardware.bytes_per_second
    prompt = 2 * entry.active * book.server.prompt_tokens / book.hardware.flops
    assert seconds(mixture, 1) == pytest.approx(reading + prompt, rel=1e-6)


def test_a_folder_comes_before_the_catalogue_and_a_missing_one_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path))
    profile = with_vlm(context=2048)
    assert sized_vlm(profile, Calibration()).weights == "catalogue"
    own_checkpoint(tmp_path, "qwen2.5-vl").rename(tmp_path / "qwen2.5-vl-7b")
    sized = sized_vlm(profile, Calibration())
    assert sized.weights == "files" and sized.facts.nbytes < 2**24
    with pytest.raises(UserError, match=r"no checkpoint of 'mine' at .*none.*give its folder as path, or choose from"):
        vlm_facts(with_vlm(model="mine", path=str(tmp_path / "none")))
    with pytest.raises(UserError, match="reads 16384 tokens at most, not 99999"):
        vlm_facts(with_vlm(path=str(tmp_path / "qwen2.5-vl-7b"), context=99999))
    (tmp_path / "qwen2.5-vl-7b" / WEIGHTS).unlink()
    with pytest.raises(UserError, match="has no weights"):
        vlm_facts(profile)


def adapters(tmp_path):
    for name, count in (("a", 100), ("b", 1000)):
        (tmp_path / name).mkdir()
        save_file({"w": torch.zeros(count)}, tmp_path / name / ADAPTER_FILE)
    return {name: str(tmp_path / name) for name in ("a", "b")}


def test_adapters_take_what_their_files_take(tmp_path):
    given = adapters(tmp_path)
    sizes = [(tmp_path / name / ADAPTER_FILE).stat().st_size for name in given]
    bare = vlm_facts(with_vlm()).nbytes
    assert vlm_facts(with_vlm(adapters=given)).nbytes - bare == sum(sizes)
    # In this program only the one that answers is loaded.
    here = vlm_facts(with_vlm("in-process", adapters=given, adapter="b"))
    assert here.nbytes - bare == sizes[1]
    with pytest.raises(UserError, match=r"no LoRA adapter a at .*the folder that peft saved"):
        vlm_facts(with_vlm(adapters={"a": str(tmp_path / "c")}))
    text = planned(with_vlm(adapters=given), "48GiB")[2]
    assert "adapter a" in text and "adapter b" in text


def test_in_this_program_memory_is_taken_while_a_batch_runs_alone():
    served, here = vlm_facts(with_vlm()), vlm_facts(with_vlm("in-process"))
    assert (served.kind, here.kind) == ("server", "batch") and here.max_batch == 16 and not here.can_sleep
    assert here.held(16) == here.nbytes == served.nbytes < served.held(1)
    # A request brings its cache, and the activations of its whole prompt.
    assert here.workspace.per_item > served.workspace.per_item
    half = vlm_facts(with_vlm("in-process", context=8192))
    assert half.workspace.per_item < here.workspace.per_item / 2
    assert here.duration.seconds(1) > served.duration.seconds(1)
    assert vlm_facts(with_vlm("scripted")) == served, "a plan for a backbone that needs no model is one for a server"
    assert vlm_facts(replace(load_profile("lab"), vlm=None)) is None


def test_in_this_program_it_is_swapped_where_a_server_does_not_fit():
    entries = {"context": 4096, "concurrent": 4}
    with pytest.raises(DoesNotFit):
        planned(with_vlm(**entries), "19GiB")
    plan, amounts, text = planned(with_vlm("in-process", **entries), "19GiB")
    assert not all(plan.places[name].resident for name in ("vlm", "text2image", "edit"))
    assert "vlm runs in this program on cuda:0" in text and "--max-num-seqs" not in text
    data = plan_as_json(plan, 16, amounts)["models"]["vlm"]
    assert data["server_share"] is None and data["server_cache"] is None


def test_remedies_suit_where_the_model_runs():
    with pytest.raises(DoesNotFit) as caught:
        planned(with_vlm("in-process"), "14GiB")
    assert caught.value.remedies and not any("sleep" in remedy for remedy in caught.value.remedies)
    with pytest.raises(DoesNotFit) as caught:
        planned(with_vlm(dtype="fp32"), "30GiB")
    assert any("dtype: bf16" in remedy for remedy in caught.value.remedies)


def test_a_model_elsewhere_takes_nothing_of_this_machine():
    profile = with_vlm(model="anything", url="http://gpu-server:8000/v1", sleep=True)
    facts = vlm_facts(profile)
    assert (facts.nbytes, facts.workspace, facts.devices) == (0, Workspace(), (ELSEWHERE,))
    assert kept_bytes(profile, "cuda:0") == kept_bytes(replace(profile, vlm=None), "cuda:0")
    plan, amounts, text = planned(profile, "12GiB")
    assert plan.places["vlm"].device == ELSEWHERE and plan.places["vlm"].batch == 16
    assert [name for name, place in plan.places.items() if place.device == ELSEWHERE] == ["vlm"]
    assert "anything is served at http://gpu-server:8000/v1: it takes no memory here." in text
    assert plan_as_json(plan, 16, amounts)["models"]["vlm"]["server_share"] is None
    # What remains fits or not as if there were no such model, and remedies are found beside it.
    with pytest.raises(DoesNotFit) as caught:
        planned(profile, "2GiB")
    assert caught.value.smallest and not any("vlm" in remedy for remedy in caught.value.remedies)
    with pytest.raises(UserError, match="url names a server: take the backbone served"):
        vlm_facts(replace(profile, backbone="in-process"))


def test_a_model_elsewhere_needs_no_gpu_here():
    url = {"model": "anything", "url": "http://gpu-server:8000/v1"}
    profile = replace(load_profile("testbed"), backbone="served", target="ground-truth", vlm=url)
    plan, _, _ = planned(profile, None)
    assert {plan.places[facts.name].device for facts in plan.models} == {"cpu", ELSEWHERE}


def test_a_server_on_the_cpu_is_told_the_bytes_of_its_cache():
    profile = with_vlm(base="testbed", model="mine", path=str(tiny_checkpoint()), dtype="fp32", context=4096)
    profile = replace(profile, device="cpu", jobs=3)
    plan, amounts, text = planned(profile, None)
    shape = of_files(tiny_checkpoint(), dtype="fp32")
    assert server_cache_bytes(plan, "vlm") == 3 * 4096 * shape.cache_bytes(4)
    assert f"--kv-cache-memory-bytes {server_cache_bytes(plan, 'vlm')} --max-num-seqs 3 " in text
    assert "gpu-memory" not in text
    data = plan_as_json(plan, 3, amounts)["models"]["vlm"]
    assert data["server_share"] is None and data["server_cache"] == server_cache_bytes(plan, "vlm")
    held = plan.facts("vlm").held(3) - plan.facts("vlm").nbytes - server_cache_bytes(plan, "vlm")
    assert held >= catalogue().server.cpu_bytes


def test_the_cache_of_a_server_on_a_gpu_is_within_its_share():
    plan, amounts, text = planned(with_vlm(), "48GiB")
    share = server_share(plan, "vlm", amounts)
    assert f"--gpu-memory-utilization {share:.3f} --max-num-seqs 16 --max-model-len 16384" in text
    beside = plan.facts("vlm").nbytes + server_cache_bytes(plan, "vlm")
    assert beside < share * 48 * GIB < beside + 3 * GIB


def test_what_was_measured_is_kept_apart_by_where_it_runs():
    known = Calibration()
    here, served = (sized_vlm(with_vlm(name), Calibration()) for name in ("in-process", "served"))
    assert here.setting != served.setting
    known.add("qwen2.5-vl-7b", here.setting, Measured(Workspace(7, 5), Duration(1, 2)))
    measured = sized_vlm(with_vlm("in-process"), known)
    assert measured.facts.workspace == Workspace(7, 5) and measured.workspace == measured.duration == "measured"
    assert sized_vlm(with_vlm(), known).workspace == "estimate"


@pytest.mark.parametrize("name", sorted(catalogue().vlms))
def test_every_model_of_the_catalogue_can_be_planned(name, tmp_path):
    context = min(16384, catalogue().vlms[name].context)
    for backbone in ("served", "in-process"):
        _, _, text = planned(with_vlm(backbone, model=name, context=context), "141GiB")
        assert max(map(len, text.splitlines())) <= 80
        assert f"Family {catalogue().vlms[name].family}: " in text
    if name == "llava-v1.6-mistral-7b":
        assert "1 picture a message" in text and "takes 1176 tokens" in text and "2928." in text


def test_pictures_are_not_told_of_where_none_are_sent():
    assert "no pictures are sent" in planned(with_vlm(images=0), "48GiB")[2]
    assert "3 pictures a message" in planned(with_vlm(images=3), "48GiB")[2]


def test_the_command_takes_a_profile_of_files(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "world: testbed\ntarget: efficientnet-lite0\nbackbone: in-process\ndataset_images: null\njobs: 2\nturns: 3\n"
        f"device: cpu\nvlm: {{model: mine, path: {tiny_checkpoint()}, dtype: fp32, context: 2048}}\n",
        encoding="utf-8",
    )
    text = plan_command(str(file))
    assert "mine, fp32, in this program" in text and "files" in text
