"""The check of code before it runs: finds what cannot work, and refuses nothing that would run."""

import inspect
import random
import re
import sys
import textwrap

import pytest
from code_samples import VALID, WRONG, run_like_the_sandbox
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maia.agent.api import api_methods, methods_of
from maia.agent.backbones.scripted import design, write
from maia.agent.backbones.scripted.evidence import Evidence
from maia.agent.backbones.scripted.hypotheses import Hypothesis, fit
from maia.agent.code_check import MAX_PROBLEMS, check_code
from maia.agent.system import System
from maia.agent.tools import Tools

METHODS = methods_of()


def test_signatures_are_those_that_an_experiment_calls() -> None:
    assert {name: list(entries) for name, entries in METHODS.items()} == api_methods()
    assert list(METHODS["tools"]["edit_images"].parameters) == ["prompts", "edits"]
    assert "describe_images" not in methods_of(["describe_images"])["tools"]


@pytest.mark.parametrize("code", VALID, ids=range(len(VALID)))
def test_valid_code_runs_and_passes(code: str) -> None:
    assert run_like_the_sandbox(code) is not None  # the sample is what it claims to be
    assert check_code(code, METHODS) is None


@pytest.mark.filterwarnings("ignore:coroutine 'run_experiment' was never awaited")
@pytest.mark.parametrize(("code", "told"), WRONG, ids=range(len(WRONG)))
def test_wrong_code_is_told(code: str, told: str) -> None:
    try:
        seen = run_like_the_sandbox(code)
    except Exception:
        seen = None
    assert not seen  # it fails, or shows nothing
    message = check_code(code, METHODS)
    assert message is not None and told in message


def test_all_problems_are_told_at_once_with_their_lines() -> None:
    code = (
        "def run_experiment(system, tools):\n    images = tools.text2img(['a dog'])\n"
        "    activations, masked = system.neuron(images, 3)\n    print(np.mean(activations))\n"
    )
    message = check_code(code, METHODS)
    assert message is not None
    assert [int(number) for number in re.findall(r"^- line (\d+): ", message, re.MULTILINE)] == [2, 3, 4]
    assert "did you mean text2image?" in message and "`images = tools.text2img(['a dog'])`" in message


def test_problems_are_few() -> None:
    calls = "".join(f"    tools.no_{i}()\n" for i in range(30))
    message = check_code(f"def run_experiment(system, tools):\n{calls}    print(1)\n", METHODS)
    assert message is not None and message.count("\n- ") == MAX_PROBLEMS and "(and 24 more)" in message


def test_a_removed_tool_is_unknown() -> None:
    code = "def run_experiment(system, tools):\n    print(tools.summarize_images([]))\n"
    assert check_code(code, METHODS) is None
    assert "has no summarize_images" in str(check_code(code, methods_of(["summarize_images"])))


def test_without_containment_other_modules_may_be_there() -> None:
    code = "import torch\nprint(torch.zeros(1))\n"
    assert "no module torch" in str(check_code(code, METHODS))
    assert check_code(code, METHODS, contained=False) is None


def _documented_examples() -> list[str]:
    examples = []
    for cls in (System, Tools):
        for function in vars(cls).values():
            doc = inspect.getdoc(function) if callable(function) else None
            if doc and "Example:" in doc:
                examples.append(textwrap.dedent(doc.partition("Example:\n")[2]) + "\n")
    return examples


def test_examples_of_the_api_pass() -> None:
    examples = _documented_examples()
    assert len(examples) >= 4
    for code in examples:
        body = textwrap.indent(code, "    ") + "    print('done')\n"
        assert check_code("def run_experiment(system, tools):\n" + body, METHODS) is None, code
        assert check_code(code + "print('done')\n", METHODS) is None, code


@pytest.mark.parametrize(
    "code",
    [
        "(" * 5000,
        "[" * 90 + "]" * 90,
        "-" * 50000 + "1",
        "x" + "+1" * 20000,
        "a" + ".b" * 20000,
        "f" + "()" * 20000,
        "\0",
        "'\ud800'",
        "print(1)\0",
        "lambda: " * 3000 + "1",
        "if 1:\n" + "".join(" " * i + "if 1:\n" for i in range(1, 120)) + " " * 120 + "pass",
        "f'" + "{x}" * 5000 + "'",
        "x = " + "9" * 20000,
        "match x:\n case " + "(" * 150 + ")" * 150 + ": pass",
        "{" * 120 + "0: " * 50,
        "\\" * 1000,
        "def run_experiment(" + ",".join(f"a{i}" for i in range(300)) + "): pass",
        "a = b = a\nb = a\na = b\nprint(a.x)",
        "tools = tools\ntools.x",
        "t = tools\nt = t\nprint(t.x())",
    ],
)
def test_hostile_code_raises_nothing(code: str) -> None:
    found = check_code(code, METHODS)
    assert found is None or found.startswith("Your code was not run")


@settings(max_examples=300)
@given(st.text(max_size=200))
@example("def run_experiment(system, tools):\n\treturn\n  x")
def test_any_text_is_judged(text: str) -> None:
    found = check_code(text, METHODS)
    assert found is None or found.startswith("Your code was not run")


_SPLICES = [
    "(",
    ")",
    "\n",
    "    ",
    ":",
    "tools",
    "system",
    ".",
    "await ",
    "yield ",
    "=",
    "\0",
    "'",
    '"""',
    "é",
    "global tools\n",
]


def _mutated(rng: random.Random) -> str:
    code = rng.choice(VALID)
    for _ in range(rng.randint(1, 4)):
        a, b = sorted(rng.randrange(len(code) + 1) for _ in range(2))
        kind = rng.randrange(4)
        if kind == 0:
            code = code[:a] + code[min(b, a + rng.randint(1, 12)) :]
        elif kind == 1:
            code = code[:a] + rng.choice(_SPLICES) + code[a:]
        elif kind == 2:
            lines = code.split("\n")
            rng.shuffle(lines)
            code = "\n".join(lines)
        else:
            other = rng.choice(VALID)
            code = code[:a] + other[rng.randrange(len(other)) :]
    return code


def test_mutations_are_judged_and_none_that_runs_is_refused() -> None:
    rng = random.Random(5)
    refused = 0
    for number in range(3000):
        code = _mutated(rng)
        found = check_code(code, METHODS)
        if found is None:
            continue
        refused += 1
        if number % 3 == 0 and "while" not in code:
            try:
                seen = run_like_the_sandbox(code)
            except BaseException:
                seen = None
            assert not seen, f"{code}\n{found}"
    assert refused > 1000


@pytest.mark.parametrize("seed", [0, 1])
def test_the_code_of_the_scripted_backbone_passes(seed: int) -> None:
    designer = design.Designer(seed)
    fitted = fit(Evidence())
    codes = [
        write.exemplar_code(),
        write.image_code("screen", design.screen(designer)),
        write.image_code("focus", design.focus(designer, ["dog", "red", "snow"])),
        write.image_code("discriminate-1", design.discriminate(designer, fitted)),
        write.edit_code("edit-1", design.edits(designer, Hypothesis("given", "dog", "snow"))),
    ]
    for code in codes:
        assert check_code(code, METHODS) is None, code


def test_nothing_is_left_behind() -> None:
    before = dict(sys.modules)
    check_code("import tkinter, turtle\nprint(1)", METHODS)
    assert set(sys.modules) == set(before)
