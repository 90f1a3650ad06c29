"""The trained part of the tower: what the slots say, from the features of a picture and from what of it is bright."""

import torch
from torch import nn
from torch.nn import functional

from .features import COARSE, FINE, MIDDLE, Features

WIDTH, MIXERS, GRID_WIDTH, LAYERS, HEADS, HIDDEN = 128, 3, 128, 2, 4, 320
GRID = 14
"""Cells a side of what the queries attend to: 16 pixels each."""
CHANNELS = {"fine": FINE, "middle": MIDDLE, "coarse": COARSE}
AREA_SCALE = 5.0
"""Factor on shares of the picture, which are small beside standardised features."""
_CLAMP = 6.0


class _Mixer(nn.Module):
    """Residual block over cells [B, 196, WIDTH]: looks around, then mixes channels."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # A view of what lies in memory: channels last.
        seen = self.look(x.transpose(1, 2).unflatten(2, (GRID, GRID))).flatten(2).transpose(1, 2)
        return x + functional.relu(self.mix(self.norm(seen)))


class SlotHead(nn.Module):
    """Two queries look for the two objects that are told, a third for the rest: each gathers features where it attends.

    words: number of words of every slot, the nine of SLOTS in their order.
    """

    def __init__(self, words: tuple[int, ...]) -> None:
        super().__init__()
        self.words = words
        for name, channels in CHANNELS.items():
            self.register_buffer(f"{name}_mean", torch.zeros(channels))
            self.register_buffer(f"{name}_scale", torch.ones(channels))
            self.add_module(name, nn.Linear(channels, WIDTH))
        self.bright = nn.Linear(4, WIDTH)
        self.mixers = nn.Sequential(nn.ReLU(), *[_Mixer() for _ in range(MIXERS)])
        self.cells = nn.Linear(WIDTH, words[0] + words[1] + words[2] + words[6])
        self.grid = nn.Linear(WIDTH, GRID_WIDTH)
        self.places = nn.Parameter(torch.randn(1, GRID**2, GRID_WIDTH) * 0.02)
        self.queries = nn.Parameter(torch.randn(1, 3, GRID_WIDTH) * 0.5)
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(GRID_WIDTH, HEADS, 2 * GRID_WIDTH, 0.0, batch_first=True, norm_first=True),
            LAYERS,
        )
        self.key = nn.Linear(WIDTH, GRID_WIDTH)
        self.asks = nn.Linear(GRID_WIDTH, GRID_WIDTH)
        self.body = nn.Linear(FINE, 1)
        gathered = GRID_WIDTH + WIDTH + FINE + sum(CHANNELS.values()) + 1
        branches = {"noun": words[0], "colour": words[1], "pattern": words[2]}
        self.branches = nn.ModuleDict({name: _branch(gathered, count) for name, count in branches.items()})
        rest = 3 * GRID_WIDTH + WIDTH + sum(CHANNELS.values()) + 8
        self.rest = nn.ModuleDict({str(slot): _branch(rest, words[slot]) for slot in (6, 7, 8)})

    def forward(
        self, features: Features, region: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """features, region: see `Eye`. Returns the slots' logits, [B, words] each; where the two object queries attend,
        log of shares [B, 2, 196]; and the cells' logits, [B, 196, noun + colour + pattern + background words]."""
        scaled = [
            ((values - getattr(self, f"{name}_mean")) * getattr(self, f"{name}_scale")).clamp(-_CLAMP, _CLAMP)
            for name, values in zip(CHANNELS, features, strict=True)
        ]
        cells = [_shrunk(scaled[0]), scaled[1], _stretched(scaled[2])]
        x = self.bright(functional.pixel_unshuffle(region, region.shape[-1] // GRID).flatten(2).transpose(1, 2))
        for name, values in zip(CHANNELS, cells, strict=True):
            x = x + getattr(self, name)(values)
        x = self.mixers(x)
        asked = self.decoder(self.queries.expand(len(x), -1, -1), self.grid(x) + self.places)
        attended = torch.log_softmax(self.asks(asked[:, :2]) @ self.key(x).transpose(1, 2) * GRID_WIDTH**-0.5, -1)
        gathered = self._gathered(x, scaled, region, attended.exp(), asked)
        slots = [branch(gathered[:, which]) for which in (0, 1) for branch in self.branches.values()]
        whole = [values.mean(1) for values in (x, *cells)]
        labels = self.cells(x)
        # The last noun is none: nothing but background.
        empty = torch.softmax(labels[..., : self.words[0]], -1)[..., -1:]
        bright = _bright(region)
        areas = torch.cat([empty * bright, empty * (1 - bright), (1 - empty) * bright, (1 - empty) * (1 - bright)], -1)
        shares = [region.mean((2, 3)), gathered[:, 0, -1:], gathered[:, 1, -1:], (region > 0.99).float().mean((2, 3))]
        rest = torch.cat([asked.flatten(1), *whole, *shares, areas.mean(1) * AREA_SCALE], 1)
        return [*slots, *(branch(rest) for branch in self.rest.values())], attended, labels

    def _gathered(
        self,
        x: torch.Tensor,
        scaled: list[torch.Tensor],
        region: torch.Tensor,
        weights: torch.Tensor,
        asked: torch.Tensor,
    ) -> torch.Tensor:
        """[B, 2, …]: what each object query has seen: over the object, and, finely, over its body."""
        grid = weights.unflatten(2, (GRID, GRID))
        values = scaled[0]
        fine = grid.repeat_interleave(2, 2).repeat_interleave(2, 3).flatten(2)
        fine = fine * torch.sigmoid(self.body(values)).transpose(1, 2)
        fine = fine / fine.sum(-1, keepdim=True).clamp(min=1e-6)
        mean = fine @ values
        coarse = functional.avg_pool2d(grid, 2, divisor_override=1).flatten(2)
        parts = [asked[:, :2], weights @ x, mean, (fine @ (values * values) - mean * mean).clamp(min=0)]
        parts += [weights @ scaled[1], coarse @ scaled[2]]
        return torch.cat([*parts, weights @ _bright(region)], -1)


def _bright(region: torch.Tensor) -> torch.Tensor:
    """[B, 196, 1]: the bright share of every cell."""
    return functional.avg_pool2d(region, region.shape[-1] // GRID).flatten(2).transpose(1, 2)


def _shrunk(values: torch.Tensor) -> torch.Tensor:
    """[B, 784, C] to [B, 196, C]: means of four cells."""
    return values.unflatten(1, (GRID, 2, GRID, 2)).mean((2, 4)).flatten(1, 2)


def _stretched(values: torch.Tensor) -> torch.Tensor:
    """[B, 49, C] to [B, 196, C], bilinear."""
    half = values.transpose(1, 2).unflatten(2, (GRID // 2, GRID // 2))
    return functional.interpolate(half, size=(GRID, GRID), mode="bilinear").flatten(2).transpose(1, 2)


def _branch(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(inputs),
        nn.Dropout(0.1),
        nn.Linear(inputs, HIDDEN),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(HIDDEN, outputs),
    )
