"""Vehicles and balloons, noun by noun; the last drawing of each noun is for evaluation only."""

from ..drawing import Drawing
from . import airplanes, balloons, bicycles, boats, buses, cars

DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    **boats.DRAWINGS,
    **cars.DRAWINGS,
    **buses.DRAWINGS,
    **airplanes.DRAWINGS,
    **bicycles.DRAWINGS,
    **balloons.DRAWINGS,
}
