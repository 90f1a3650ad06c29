"""Which of the kept trajectories are taken: no duplicates, not too many of a neuron, kinds in turn; and which of them
validate."""

import hashlib
import itertools
import math
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from .trajectories_judge import Kept
from .transcript import Reply

DUPLICATE, NEAR, CAPPED = "duplicate", "near-duplicate", "over the number of a neuron"
"""Why a kept trajectory is not taken."""

SHINGLE = 5
"""Words of which near-duplicates are told."""
NEAR_THRESHOLD = 0.9
"""Share of their shingles (of both together) that two trajectories of one neuron have in common at most. Dialogues of
different neurons are never near-duplicates: they share the form, and differ in what they are about."""
_PERMUTATIONS = 128  # MinHash (Broder 1997): the estimate of a share of 0.9 is within 0.05, two standard deviations
_PRIME = (1 << 61) - 1

_T = TypeVar("_T")


def reply_words(kept: Kept) -> list[str]:
    """The words of all replies, in lower case: punctuation, numbers' signs and layout do not count."""
    text = "\n".join(record.text for record in kept.trajectory.records if isinstance(record, Reply))
    return re.findall(r"\w+", text.lower())


def without_duplicates(kept: Sequence[Kept]) -> tuple[list[Kept], list[tuple[str, str, str]]]:
    """Those that stay, in their order, and (name, reason, name of the one that it repeats) of the others.

    Identical replies are duplicates anywhere; near-duplicates are looked for among those of one neuron.
    """
    stay: list[Kept] = []
    gone: list[tuple[str, str, str]] = []
    seen: dict[str, str] = {}
    signatures: dict[str, list[tuple[str, np.ndarray]]] = {}
    for entry in kept:
        name, words = entry.trajectory.name, reply_words(entry)
        key = hashlib.sha256(" ".join(words).encode("utf-8", "replace")).hexdigest()
        if key in seen:
            gone.append((name, DUPLICATE, seen[key]))
            continue
        own = _signature(words)
        others = signatures.setdefault(entry.neuron, [])
        near = next((other for other, theirs in others if np.mean(theirs == own) >= NEAR_THRESHOLD), None)
        if near is not None:
            gone.append((name, NEAR, near))
            continue
        seen[key] = name
        others.append((name, own))
        stay.append(entry)
    return stay, gone


def shingles(words: Sequence[str], size: int = SHINGLE) -> set[str]:
    """All runs of `size` words."""
    return {" ".join(words[place : place + size]) for place in range(max(1, len(words) - size + 1))}


def _signature(words: Sequence[str]) -> np.ndarray:
    """MinHash: uint64 [128], the least value of each permutation over the shingles."""
    digests = [hashlib.blake2b(s.encode("utf-8", "replace"), digest_size=4).digest() for s in shingles(words)]
    hashed = np.frombuffer(b"".join(digests), "<u4").astype(np.uint64)
    rng = np.random.default_rng(0)
    # Products of 32 and 29 bits stay below the prime.
    factors = rng.integers(1, 1 << 29, _PERMUTATIONS, dtype=np.uint64)
    terms = rng.integers(0, 1 << 61, _PERMUTATIONS, dtype=np.uint64)
    least: np.ndarray = ((hashed[:, None] * factors + terms) % np.uint64(_PRIME)).min(0)
    return least


def capped(kept: Sequence[Kept], per_neuron: int | None, seed: int) -> tuple[list[Kept], list[str]]:
    """At most `per_neuron` trajectories of each neuron, drawn by the seed, and the names of the others."""
    if per_neuron is None:
        return list(kept), []
    order = _shuffled(kept, f"cap/{seed}")
    taken = {id(entry) for group in _groups(order, lambda entry: entry.neuron) for entry in group[:per_neuron]}
    return [e for e in kept if id(e) in taken], [e.trajectory.name for e in kept if id(e) not in taken]


def in_turn(kept: Sequence[Kept], seed: int) -> list[Kept]:
    """All of them in an order of which every beginning is balanced: kinds in turn, of a kind its neurons in turn."""
    kinds = _groups(_shuffled(kept, f"order/{seed}"), lambda entry: entry.kind)
    kinds.sort(key=lambda group: _KINDS.index(group[0].kind))
    return list(_turns([list(_turns(_groups(group, lambda entry: entry.neuron))) for group in kinds]))


_KINDS = ("single", "or", "conditional", "other")


def validation_neurons(kept: Sequence[Kept], share: float, seed: int) -> frozenset[str]:
    """The neurons that validate: this share of each kind's, at least one where there are two or more and the share is
    not 0. Which ones depends on their names and the seed."""
    chosen: set[str] = set()
    for group in _groups(kept, lambda entry: entry.kind):
        neurons = sorted({entry.neuron for entry in group}, key=lambda name: _rank(f"validation/{seed}/{name}"))
        if share > 0 and len(neurons) > 1:
            chosen.update(neurons[: min(len(neurons) - 1, max(1, math.floor(share * len(neurons) + 0.5)))])
    return frozenset(chosen)


def _shuffled(kept: Iterable[Kept], key: str) -> list[Kept]:
    ordered = sorted(kept, key=lambda entry: entry.trajectory.name)
    random.Random(key).shuffle(ordered)
    return ordered


def _rank(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _groups(kept: Iterable[Kept], key: Callable[[Kept], str]) -> list[list[Kept]]:
    groups: dict[str, list[Kept]] = {}
    for entry in kept:
        groups.setdefault(key(entry), []).append(entry)
    return list(groups.values())


def _turns(lists: Sequence[Sequence[_T]]) -> Iterator[_T]:
    """One of each in turn until all are used up."""
    for row in itertools.zip_longest(*lists):
        yield from (entry for entry in row if entry is not None)
