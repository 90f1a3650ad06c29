"""Freed memory stays with the process during a pass and not after it."""

import resource
import subprocess
import sys

CODE = """
import resource, torch
from maia.engine.memory import freed_blocks_kept
torch.set_num_threads(1)

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.empty(64 * 2**20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

without = faults(40)
start = resident()
with freed_blocks_kept():
    faults(10)
    within = faults(40)
    kept = resident() - start
print(without, within, kept, resident() - start)
"""


def test_blocks_are_kept_and_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True)
    without, within, kept, left = map(int, done.stdout.split())
    pages = 64 * 2**20 // resource.getpagesize()
    if without > pages:  # huge pages, where the system has them, fault seldom in any case
        assert within < without / 10
    assert kept > 60 * 2**20 and left < 20 * 2**20
