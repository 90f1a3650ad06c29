"""Experiments as language models write them: those that work, and those that cannot."""

import contextlib
import io
import random
import types
from typing import Any

from PIL import Image

_SIZE = (8, 8)


def _images(count: int) -> list[Image.Image]:
    return [Image.new("RGB", _SIZE, (40 * i % 255, 3, 3)) for i in range(count)]


class _Api:
    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(key)


def _is_images(images: Any) -> list[Image.Image]:
    assert isinstance(images, list | tuple) and all(isinstance(image, Image.Image) for image in images)
    return list(images)


def _is_texts(texts: Any) -> list[str]:
    assert isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts)
    return list(texts)


class FakeSystem(_Api):
    """Answers like `system`, at once."""

    def neuron(self, images: list[Image.Image]) -> tuple[list[float], list[Image.Image]]:
        """Some activations."""
        return [0.1 * i for i in range(len(_is_images(images)))], list(images)


class FakeTools(_Api):
    """Answers like `tools`, and notes what was logged."""

    def __init__(self) -> None:
        object.__setattr__(self, "logged", [])

    def __getattribute__(self, key: str) -> Any:
        # The worker's object has methods only.
        if key == "logged":
            raise AttributeError(key)
        return object.__getattribute__(self, key)

    def dataset_exemplars(self, system: FakeSystem) -> tuple[list[float], list[Image.Image]]:
        """Fifteen."""
        assert isinstance(system, FakeSystem)
        return [1.0 - i / 20 for i in range(15)], _images(15)

    def text2image(self, prompts: list[str]) -> list[Image.Image]:
        """One each."""
        return _images(len(_is_texts(prompts)))

    def edit_images(self, prompts: list[Any], edits: list[str]) -> tuple[list[Image.Image], list[str]]:
        """Two each."""
        assert isinstance(prompts, list) and prompts
        count = 2 * max(len(prompts), len(_is_texts(edits)))
        return _images(count), [f"title {i}" for i in range(count)]

    def describe_images(self, images: list[Image.Image], titles: list[str]) -> str:
        """A line each."""
        assert len(_is_images(images)) == len(_is_texts(titles))
        return "\n".join(f"{title}: a dog" for title in titles)

    def summarize_images(self, images: list[Image.Image]) -> str:
        """A sentence."""
        return f"{len(_is_images(images))} dogs"

    def log_experiment(self, activations: Any, images: Any, titles: Any, text: Any = "") -> None:
        """Noted."""
        assert len(activations) == len(_is_images(images)) == len(_is_texts(titles))
        object.__getattribute__(self, "logged").append(text)

    def display(self, *items: Any) -> None:
        """Noted."""
        object.__getattribute__(self, "logged").append(items)


def run_like_the_sandbox(code: str) -> str | None:
    """Run code as the worker does, against the fakes: what could be seen of it, or None. Raises what it raises."""
    module = types.ModuleType("experiment")
    system, tools = FakeSystem(), FakeTools()
    error = type("ExperimentError", (Exception,), {})
    module.__dict__.update(system=system, tools=tools, ExperimentError=error)
    random.seed(0)
    tree = compile(code, "<experiment>", "exec", 0x400, dont_inherit=True)
    called = any(
        getattr(getattr(getattr(node, "value", None), "func", None), "id", None) == "run_experiment"
        for node in tree.body
    )
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        exec(compile(tree, "<experiment>", "exec", dont_inherit=True), module.__dict__)
        function = module.__dict__.get("run_experiment")
        if callable(function) and not called:
            function(system, tools)
    seen = shown.getvalue() + "".join(map(str, object.__getattribute__(tools, "logged")))
    logged = bool(object.__getattribute__(tools, "logged"))
    return seen or ("logged" if logged else None)


_DEF = "def run_experiment(system, tools):\n"
_MEASURE = "    images = tools.text2image(['a dog', 'a cat'])\n    activations, masked = system.neuron(images)\n"
_LOG = "    tools.log_experiment(activations, masked, ['a', 'b'], 'x')\n"

VALID: list[str] = [
    _DEF + _MEASURE + _LOG,
    _DEF + "    acts, ims = tools.dataset_exemplars(system)\n    print(max(acts), len(ims))\n",
    _DEF + "    acts, ims = tools.dataset_exemplars(system=system)\n    tools.display(acts, *ims[:2])\n",
    # Free-form code, with and without a function of another name.
    "images = tools.text2image(['a dog'])\nactivations, masked = system.neuron(images)\n"
    "tools.log_experiment(activations, masked, ['dog'])\n",
    "def experiment(system, tools):\n    a, m = system.neuron(tools.text2image(['x']))\n    print(a)\n"
    "experiment(system, tools)\n",
    _DEF + _MEASURE + _LOG + "\nrun_experiment(system, tools)\n",
    "def run_experiment(system=None, tools=None, n=2):\n    print(system.neuron(tools.text2image(['a'] * n))[0])\n",
    "def run_experiment(*args):\n    system, tools = args\n    print(tools.text2image(['a']))\n",
    "def run_experiment(vision, kit):\n    print(vision.neuron(kit.text2image(prompts=['a']))[0])\n",
    # Helpers: nested, outside, handed the objects in either order, lambdas, methods as values.
    _DEF
    + "    def measure(prompts):\n        images = tools.text2image(prompts)\n        return system.neuron(images)\n"
    "    for word in ['dog', 'cat']:\n        acts, masked = measure([word])\n"
    "        tools.log_experiment(acts, masked, [word], '')\n",
    "def measure(tools, system, prompts):\n    return system.neuron(tools.text2image(prompts))\n"
    + _DEF
    + "    acts, masked = measure(tools, system, ['a'])\n    tools.log_experiment(acts, masked, ['a'])\n",
    "def swap(system, tools):\n    return system.text2image(['a']), tools.neuron(system.text2image(['b']))\n"
    + _DEF
    + "    print(swap(tools, system))\n",
    _DEF + "    draw = tools.text2image\n    fire = lambda p: system.neuron(draw(p))[0]\n    print(fire(['a', 'b']))\n",
    _DEF + "    t, s = tools, system\n    print(s.neuron(t.text2image(['a'])))\n",
    # Names that mean something else.
    _DEF
    + "    images = tools.text2image(['a'])\n    tools = ['x', 'y']\n    print(tools.append('z'), tools)\n".replace(
        "images = tools.text2image(['a'])\n    ", ""
    ),
    "def longest(tools):\n    return tools.sort() or tools[0]\n" + _DEF + "    print(longest(['b', 'a']))\n",
    "class System:\n    def shout(self):\n        return 'ok'\n"
    + _DEF
    + "    for system in [System()]:\n        print(system.shout())\n",
    _DEF + "    print([tools.upper() for tools in ['a', 'b']], [system.x for system in []])\n",
    # Classes, dataclasses, decorators, generators.
    "class Study:\n    def __init__(self, system, tools):\n        self.system, self.tools = system, tools\n"
    "    def run(self, words):\n        images = self.tools.text2image([f'a {w}' for w in words])\n"
    "        acts, masked = self.system.neuron(images)\n        self.tools.log_experiment(acts, masked, words, '')\n"
    + _DEF
    + "    Study(system, tools).run(['dog', 'cat'])\n",
    "from dataclasses import dataclass\n\n@dataclass\nclass Row:\n    name: str\n    value: float = 0.0\n\n"
    + _DEF
    + "    rows = [Row('a'), Row('b')]\n    rows[0].value = 2\n    tools.display([r.name for r in rows])\n",
    "import functools\n\n@functools.lru_cache(None)\ndef square(x):\n    return x * x\n"
    + _DEF
    + "    print(square(3))\n",
    _DEF + "    def prompts():\n        yield 'a dog'\n        yield from ['a cat']\n"
    "    print(system.neuron(tools.text2image(list(prompts())))[0])\n",
    "class run_experiment:\n    def __init__(self, system, tools):\n"
    "        print(system.neuron(tools.text2image(['a'])))\n",
    # numpy, PIL, the standard library.
    "import numpy as np\nfrom PIL import Image, ImageFilter\nimport math, random, statistics\n"
    + _DEF
    + "    images = tools.text2image(['a'] * 3)\n    blurred = [i.filter(ImageFilter.BLUR) for i in images]\n"
    "    acts, _ = system.neuron(images + blurred)\n"
    "    print(np.mean(acts), math.sqrt(4), statistics.mean(acts), random.random(), Image.new('L', (2, 2)).size)\n",
    _DEF + "    import numpy as np\n    from collections import Counter, defaultdict\n"
    "    rows = defaultdict(list)\n    rows['a'].append(np.zeros(2).sum())\n    print(dict(rows), Counter('aab'))\n",
    # Exceptions that are caught, code that is not reached, guarded starts, unavailable modules that are expected.
    _DEF + "    try:\n        tools.segment(['a'])\n    except AttributeError as error:\n        print(error)\n",
    "try:\n    import torch_that_is_not_there as torch\nexcept ImportError:\n    torch = None\n"
    + _DEF
    + "    print(torch)\n",
    _DEF + "    def risky():\n        return tools.nothing_like_this()\n    try:\n        risky()\n"
    "    except Exception:\n        print('no')\n",
    _DEF + _MEASURE + _LOG + "    return activations\n    tools.upscale(masked)\n",
    _DEF + "    print('done')\n\nif __name__ == '__main__':\n    run_experiment(SYSTEM, TOOLS)\n",
    _DEF + "    print(1)\n\ndef unused(x):\n    return undefined_name + x\n",
    "import contextlib\n"
    + _DEF
    + "    with contextlib.suppress(AttributeError):\n        tools.nothing()\n    print(1)\n",
    _DEF + "    if hasattr(tools, 'zoom'):\n        tools.zoom()\n    print('no zoom')\n",
    # Other syntax.
    _DEF + "    match tools.text2image(['a']):\n        case [first, *rest]:\n            print(first.size, rest)\n"
    "        case _:\n            print('none')\n",
    _DEF
    + "    if (n := len(tools.text2image(['a', 'b']))) > 1:\n        print(f'{n=} {[x for x in range(n)]!r:>10}')\n",
    _DEF + "    args = (['a'],)\n    kwargs = {'prompts': ['a']}\n"
    "    print(tools.text2image(*args), tools.text2image(**kwargs))\n",
    "best = None\n"
    + _DEF
    + "    global best\n    best = max(system.neuron(tools.text2image(['a', 'b']))[0])\n    print(best)\n",
    "from __future__ import annotations\n"
    + _DEF.replace("system,", "system: System,")
    + "    x: Nothing = 1\n    print(x)\n",
    _DEF + "    text = '''\n[LABEL]: not a label\n'''\n    tools.display(text, 'é 日本 🎉')\n",
    _DEF
    + "    assert tools.text2image(['a']), 'no image'\n    raise RuntimeError(str(system.neuron([])))\n".replace(
        "    raise RuntimeError(str(system.neuron([])))\n", "    print('ok')\n"
    ),
    "import sys\n" + _DEF + "    sys.stdout.write(str(len(tools.text2image(['a']))))\n",
    "try:\n    raise ExperimentError('x')\nexcept ExperimentError as e:\n    print(e, __name__)\n",
]

WRONG: list[tuple[str, str]] = [
    ("", "nothing in it would run"),
    ("# nothing yet\n", "nothing in it would run"),
    (_DEF + "    print('a'\n", "SyntaxError"),
    (_DEF + "print(1)\n", "IndentationError"),
    (_DEF + "    images = tools.text2image(['a']\n    print(images)\n", "line 2"),
    ("def experiment(system, tools):\n    print(1)\n", "experiment would never be called"),
    ("def run_experiment():\n    print(1)\n", "write `def run_experiment(system, tools):`"),
    ("def run_experiment(tools):\n    print(1)\n", "write `def run_experiment(system, tools):`"),
    ("def run_experiment(system, tools, n):\n    print(1)\n", "write `def run_experiment(system, tools):`"),
    ("async def run_experiment(system, tools):\n    print(1)\n", "must not be async"),
    (_DEF + "    images = await tools.text2image(['a'])\n    print(images)\n", "leave out await"),
    (_DEF + "    print(1)\n    yield 2\n", "contains yield"),
    (_DEF + "    print(tools.generate_images(['a']))\n", "tools has no generate_images"),
    (_DEF + "    print(tools.neuron([]))\n", "it is system.neuron"),
    (_DEF + "    print(system.call_neuron([]))\n", "system has no call_neuron"),
    ("def run_experiment(tools, system):\n    print(tools.text2image(['a']))\n", "it is tools.text2image"),
    (_DEF + "    print(system(['a']))\n", "system cannot be called"),
    (_DEF + "    t = tools\n    print(t.text_to_image(['a']))\n", "did you mean text2image?"),
    (_DEF + "    def go():\n        return tools.textimage(['a'])\n    print(go())\n", "did you mean text2image?"),
    ("def go(kit):\n    return kit.draw(['a'])\n" + _DEF + "    print(go(tools))\n", "tools has no draw"),
    (_DEF + "    print(tools.text2image())\n", "missing a required argument: 'prompts'"),
    (_DEF + "    print(tools.text2image(['a'], 3))\n", "too many positional arguments"),
    (_DEF + "    print(tools.text2image(['a'], seed=3))\n", "unexpected keyword argument 'seed'"),
    (_DEF + "    print(tools.text2image('a dog'))\n", "prompts must be a list"),
    (_DEF + "    tools.log_experiment([1.0])\n", "missing a required argument: 'images'"),
    (_DEF + "    activations, masked = system.neuron\n    print(1)\n", "call it"),
    (_DEF + "    a, b, c = system.neuron([])\n    print(a)\n", "returns 2 values, not 3"),
    (_DEF + "    print(tools.text2image['a dog'])\n", "is a method: call it"),
    (_DEF + _MEASURE, "nothing is logged"),
    (_DEF + "    print(np.mean([1]))\n", "write `import numpy as np` first"),
    (_DEF + "    print(math.sqrt(2))\n", "write `import math` first"),
    (_DEF + "    images = tools.text2image(['a'])\n    print(imges)\n", "did you mean images?"),
    ("import torch_that_is_not_there as torch\n" + _DEF + "    print(torch)\n", "there is no module torch_that"),
    ("from tools import text2image\n" + _DEF + "    print(1)\n", "leave out this line"),
    ("from .api import System\n" + _DEF + "    print(1)\n", "there is no package"),
    ("def run_experiment(system: System, tools: Tools):\n    print(1)\n", "leave types out"),
    (_DEF + "    tools.results = []\n    print(1)\n", "cannot be set"),
    (_DEF + "    print(1)\nreturn\n", "'return' outside function"),
    (_DEF + "    print(1)\0\n", "null character"),
]
