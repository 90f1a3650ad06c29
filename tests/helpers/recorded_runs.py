"""Run directories with real transcripts of a vision-language model whose answers a test writes."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes import services
from maia.agent.backbones.vlm import VlmBackbone
from maia.agent.experiment import Settings, run_units
from maia.models.targets import Unit
from maia.models.vlm.chat import ChatRequest
from talking import talking, tiny_vlm

SHOWN = """
activations, images = tools.dataset_exemplars(system)
titles = [f"exemplar {i + 1}" for i in range(len(images))]
tools.log_experiment(activations, images, titles, "as measured")
"""


def measured(*values: int) -> str:
    """Code that logs flat pictures of these reds."""
    return f"""
prompts = {[f"red {value}" for value in values]}
images = tools.text2image(prompts)
activations, masked = system.neuron(images)
tools.log_experiment(activations, masked, prompts, "measured")
"""


def record_run(
    run: Path, replies: dict[str, Sequence[str]], truth: str | None = "red", turns: int = 6, **vlm: Any
) -> list[ChatRequest]:
    """A run of units of the flat world ("0", "1"), each with its replies in turn; all requests that were made.

    truth: of all units, into truths.json; None: it is not known. vlm: options of the model. Neither guards nor the
    check of code watch.
    """
    asked: dict[str, list[ChatRequest]] = {}
    for index, answers in replies.items():

        def answer(request: ChatRequest, answers: Sequence[str] = answers) -> str:
            return answers[sum(message.role == "assistant" for message in request.messages)]

        scheduler, runner = talking(answer)
        backbone = VlmBackbone("served tiny", tiny_vlm(**vlm), scheduler)
        settings = Settings(turns=turns, guards=(), check_code=False, sandbox="none")

        async def work(unit: Unit, scheduler: Any = scheduler, backbone: Any = backbone, s: Any = settings) -> None:
            async with scheduler:
                await run_units([unit], backbone, {"fake": services(run)}, s, run, jobs=1)

        asyncio.run(work(Unit("fake", "layer", int(index))))
        asked[index] = runner.asked
    if truth is not None:
        (run / "truths.json").write_text(json.dumps({f"fake.layer.{index}": truth for index in replies}))
    return [request for requests in asked.values() for request in requests]
