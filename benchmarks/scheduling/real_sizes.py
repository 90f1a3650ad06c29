"""Sizes of the published models as facts for placement, and the sets of them that scenarios run.

Bytes: parameters of the published checkpoints times the bytes of their usual precision. Workspaces and durations are
rough figures for one data-centre GPU, stated so that they can be doubted: Stable Diffusion v1.5 makes 31 UNet steps a
second there in plain diffusers (published for one A100), so 25 steps of one picture take 0.8 s; a batch is about a
third cheaper by the picture; InstructPix2Pix computes three branches where the other computes two.
"""

from dataclasses import dataclass

from ...engine.plan import Component, Duration, ModelFacts, Workspace
from .traces import Roles

GIB = 1 << 30
_MILLION = 1_000_000


def _half(key: str, millions: float) -> Component:
    return Component(key, int(millions * _MILLION) * 2)


def _single(key: str, millions: float) -> Component:
    return Component(key, int(millions * _MILLION) * 4)


def _workspace(fixed: float, per_item: float) -> Workspace:
    return Workspace(int(fixed * GIB), int(per_item * GIB))


_CLIP_TEXT = _half("clip-vit-l/14 text", 123.1)
_SD_VAE = _half("sd vae", 83.7)
_T5 = _half("t5-xxl encoder", 4762.3)
_FLUX_VAE = _half("flux vae", 83.8)

MODELS = {
    facts.name: facts
    for facts in (
        ModelFacts(
            "sd-1.5",
            (_half("sd-1.5 unet", 859.5), _SD_VAE, _CLIP_TEXT),
            _workspace(0.3, 0.35),
            Duration(0.25, 0.55),
            max_batch=16,
        ),
        ModelFacts(
            "instruct-pix2pix",
            (_half("instruct-pix2pix unet", 859.5), _SD_VAE, _CLIP_TEXT),
            _workspace(0.3, 0.5),
            Duration(0.35, 0.8),
            max_batch=16,
        ),
        ModelFacts(
            "sdxl-turbo",
            (
                _half("sdxl unet", 2567.5),
                _half("sdxl vae", 83.7),
                _CLIP_TEXT,
                _half("open-clip bigG text", 694.7),
            ),
            _workspace(0.5, 0.8),
            Duration(0.2, 0.3),
            max_batch=16,
        ),
        ModelFacts(
            "flux-schnell",
            (_half("flux-schnell transformer", 11901.4), _T5, _CLIP_TEXT, _FLUX_VAE),
            _workspace(0.8, 1.2),
            Duration(0.4, 1.2),
            max_batch=8,
        ),
        ModelFacts(
            "flux-kontext",
            (_half("flux-kontext transformer", 11901.4), _T5, _CLIP_TEXT, _FLUX_VAE),
            _workspace(0.8, 1.8),
            Duration(0.5, 6.0),
            max_batch=8,
        ),
        ModelFacts(
            "resnet-152", (_single("resnet-152", 60.2),), _workspace(0.1, 0.02), Duration(0.02, 0.004), max_batch=64
        ),
        ModelFacts(
            "clip-rn50", (_half("clip-rn50 visual", 38.3),), _workspace(0.1, 0.01), Duration(0.01, 0.003), max_batch=64
        ),
        ModelFacts(
            "dino-vit-b/8", (_single("dino-vit-b/8", 85.8),), _workspace(0.1, 0.06), Duration(0.02, 0.01), max_batch=64
        ),
        ModelFacts(
            "grounded-sam",
            (_single("grounding-dino-t", 172.3), _single("sam-vit-h", 641.1)),
            _workspace(0.5, 1.2),
            Duration(0.1, 0.6),
            max_batch=8,
        ),
        ModelFacts(
            "llava-next-7b",
            (_half("llava-next-7b", 7566.7),),
            _workspace(0.5, 0.4),
            Duration(7.0, 0.12),
            max_batch=64,
            kind="server",
            can_sleep=True,
        ),
        ModelFacts(
            "llava-next-7b-4bit",
            (Component("llava-next-7b 4bit", 5_200_000_000),),
            _workspace(0.5, 0.15),
            Duration(9.0, 0.2),
            max_batch=64,
            kind="server",
            can_sleep=True,
        ),
        ModelFacts(
            "qwen2.5-vl-32b",
            (_half("qwen2.5-vl-32b", 33452.7),),
            _workspace(1.0, 0.5),
            Duration(14.0, 0.25),
            max_batch=64,
            kind="server",
            can_sleep=True,
        ),
    )
}


@dataclass(frozen=True)
class ModelSet:
    """Models that are run together, and what each is for."""

    name: str
    roles: Roles

    @property
    def models(self) -> tuple[ModelFacts, ...]:
        """Facts of all of them, the backbone first."""
        names = [self.roles.backbone, *self.roles.draws, *self.roles.edits, *self.roles.measures]
        return tuple(MODELS[name] for name in dict.fromkeys(names))


_NETWORKS = ("resnet-152", "clip-rn50", "dino-vit-b/8")
_ALL_TARGETS = (*_NETWORKS, "grounded-sam")

SETS = {
    chosen.name: chosen
    for chosen in (
        ModelSet("paper-4bit", Roles("llava-next-7b-4bit", ["sd-1.5"], ["instruct-pix2pix"], _ALL_TARGETS)),
        ModelSet("paper", Roles("llava-next-7b", ["sd-1.5"], ["instruct-pix2pix"], _ALL_TARGETS)),
        ModelSet("generators", Roles("llava-next-7b", ["sd-1.5", "sdxl-turbo"], ["instruct-pix2pix"], _ALL_TARGETS)),
        ModelSet("flux", Roles("llava-next-7b", ["flux-schnell"], ["flux-kontext"], _ALL_TARGETS)),
        ModelSet("flux-32b", Roles("qwen2.5-vl-32b", ["flux-schnell", "sdxl-turbo"], ["flux-kontext"], _ALL_TARGETS)),
    )
}
"""paper: the paper's tools with an open backbone. generators, flux: its ablation's exchange of generators."""
