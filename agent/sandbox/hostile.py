"""All hostile programs: what `maia sandbox check` runs."""

from .hostile_output import OUTPUT, SOURCE
from .hostile_program import Program
from .hostile_protocol import PROTOCOL
from .hostile_resources import MEMORY, PROCESSES, TIME
from .hostile_system import FILES, KERNEL, NETWORK

PROGRAMS: tuple[Program, ...] = (
    *FILES,
    *NETWORK,
    *KERNEL,
    *PROCESSES,
    *MEMORY,
    *TIME,
    *OUTPUT,
    *SOURCE,
    *PROTOCOL,
)
