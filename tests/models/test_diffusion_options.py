"""Options of generators from a profile's mapping."""

from pathlib import Path

import pytest
from maia.models.diffusion.options import GeneratorOptions
from maia.models.errors import UserError


def test_nothing_given_is_the_defaults():
    assert GeneratorOptions.from_mapping({}, "lab.yaml: text2image") == GeneratorOptions()


def test_values_are_taken():
    read = GeneratorOptions.from_mapping(
        {"path": "/models/sd", "dtype": "bf16", "steps": 10, "guidance": 3, "size": None, "fixed_batch": True}, "x"
    )
    assert read == GeneratorOptions(path=Path("/models/sd"), dtype="bf16", steps=10, guidance=3, fixed_batch=True)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"stepz": 3}, ("stepz", "steps")),
        ({"steps": 0}, ("steps", "from 1")),
        ({"steps": 2.5}, ("steps", "whole")),
        ({"steps": True}, ("steps", "True")),
        ({"steps": None}, ("steps", "default")),
        ({"guidance": "high"}, ("guidance", "'high'")),
        ({"guidance": float("nan")}, ("guidance", "nan")),
        ({"image_guidance": 0.5}, ("image_guidance", "from 1")),
        ({"dtype": "float16"}, ("dtype", "fp16, bf16, fp32")),
        ({"dtype": ["fp16"]}, ("dtype", "fp16, bf16, fp32")),
        ({"sampler": "euler"}, ("sampler", "dpm-solver++, ddim, as-saved")),
        ({"attention": "flash"}, ("attention", "sdpa, xformers")),
        ({"compile": "yes"}, ("compile", "true or false")),
        ({"path": 3}, ("path", "3")),
        ({"max_batch": 0}, ("max_batch", "from 1")),
        ([1], ("mapping",)),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(entries, words):
    with pytest.raises(UserError) as problem:
        GeneratorOptions.from_mapping(entries, "lab.yaml: text2image")
    assert str(problem.value).startswith("lab.yaml: text2image")
    assert all(word in str(problem.value) for word in words)
