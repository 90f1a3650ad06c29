"""The rows of facts: whole, unambiguous, and about architectures that the libraries have."""

import importlib.util
from pathlib import Path

import pytest
from maia.models.errors import UserError
from maia.models.vlm.families import families, family, family_of
from maia.models.vlm.images import RULES
from maia.models.vlm.random_families import RANDOM_FAMILIES

ROWS = list(families().values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_consistent(row) -> None:
    assert 1 <= row.images_per_turn <= row.images_per_prompt
    assert 28 <= row.image_side <= row.sheet_side
    # Half the context at most goes to pictures that a prompt may hold as they are sent, and one of them is a sheet.
    count = RULES[row.image_rule]
    side, sheet = (count(pixels, pixels, row.image_values) for pixels in (row.image_side, row.sheet_side))
    assert (row.images_per_prompt - 1) * side + sheet <= min(row.context, 16384) * 3 // 4
    assert row.architectures and row.vision_modules
    assert all(isinstance(name, str) for name in (*row.server_args, *row.other_inputs, *row.architectures))


# The small backbone's architecture is our own: tests of models/vlm/small.
@pytest.mark.parametrize("row", [row for row in ROWS if row.name != "maia-small"], ids=lambda row: row.name)
def test_transformers_and_vllm_have_the_architectures(row) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    assert set(row.architectures) <= set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())
    found = importlib.util.find_spec("vllm")
    if found is not None:  # read, not imported: that takes half a minute
        registry = Path(found.origin).parent / "model_executor" / "models" / "registry.py"
        text = registry.read_text(encoding="utf-8")
        assert all(f'"{architecture}"' in text for architecture in row.architectures)


def test_every_architecture_leads_to_its_own_row() -> None:
    named = [architecture for row in ROWS for architecture in row.architectures]
    assert len(named) == len(set(named))
    for row in ROWS:
        for architecture in row.architectures:
            assert family_of(["Other", architecture]) is row
    assert family_of(["MistralForCausalLM"]) is None
    assert family_of([]) is None


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    assert family("llava-next").images_per_turn == 1
    with pytest.raises(UserError, match=r"vlm\.family cannot be 'llava-1\.6': choose from llava-next, llava,"):
        family("llava-1.6", where="vlm.family")


def test_every_family_can_be_built() -> None:
    assert set(RANDOM_FAMILIES) == set(families())
