"""The files of a training set, written one dialogue at a time."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ..engine.vlm import Vlm
from ..models.vlm.chat import ContextOverflow
from .trajectories_card import FILES, PREFERENCES, TRAIN, VALIDATION, Tally, reply_answer, touches
from .trajectories_described import described_samples
from .trajectories_judge import Kept, Rejection, Rules, judge
from .trajectories_options import CollectOptions
from .trajectories_pairs import Pair, contrasts, repairs
from .trajectories_read import Trajectory
from .trajectories_samples import Pictures, Row, Sample, Sender
from .trajectories_select import CAPPED, capped, in_turn, validation_neurons, without_duplicates

PICTURE, LONG, BUDGET = "picture missing or damaged", "longer than the context", "over the budget"
PAIR_HELD_OUT, PAIR_LOST = "pair with a held-out concept", "pair whose prompt cannot be sent"
"""Why a kept trajectory, or a pair of one, is not in the set."""
_TOLD_EVERY = 200

Say = Callable[[str], None]


class Builder:
    """From trajectories to files in `folder`. rejected: (name, detail) by reason. tallies: by file."""

    def __init__(self, options: CollectOptions, vlm: Vlm, folder: Path, say: Say) -> None:
        self.rejected: dict[str, list[tuple[str, str]]] = {}
        self.tallies = {TRAIN: Tally(), VALIDATION: Tally()}
        self.pairs: dict[str, int] = {}
        self.pictures = Pictures(folder / "pictures")
        self._options, self._folder, self._say = options, folder, say
        self._sender = Sender(vlm)
        self._wrong: list[tuple[Trajectory, Rejection]] = []

    def reject(self, reason: str, name: str, detail: str = "") -> None:
        """Count and name what is left out."""
        self.rejected.setdefault(reason, []).append((name, detail))

    def judged(self, trajectories: Iterable[Trajectory]) -> list[Kept]:
        """Those worth imitating, without duplicates, and no more of a neuron than may be; balanced from the beginning
        on."""
        options = self._options
        rules = Rules(options.min_score, options.guards, options.split)
        kept: list[Kept] = []
        for number, trajectory in enumerate(trajectories, start=1):
            found = judge(trajectory, rules)
            if isinstance(found, Kept):
                kept.append(found)
            else:
                self.reject(found.reason, trajectory.name, found.detail)
                self._wrong.append((trajectory, found))
            if number % _TOLD_EVERY == 0:
                self._say(f"{number} trajectories read, {len(kept)} kept")
        stay, repeated = without_duplicates(kept)
        for name, reason, other in repeated:
            self.reject(reason, name, f"of {other}")
        stay, over = capped(stay, options.per_neuron, options.seed)
        for name in over:
            self.reject(CAPPED, name)
        return in_turn(stay, options.seed)

    def write(self, kept: Sequence[Kept], runs: Sequence[Path] = ()) -> None:
        """Samples, and pairs of the trajectories that are trained on, until the budget is used up; descriptions of the
        runs' pictures."""
        validating = validation_neurons(kept, self._options.validation, self._options.seed)
        files = {name: (self._folder / name).open("w", encoding="utf-8") for name in FILES}
        try:
            taken: list[Kept] = []
            for place, entry in enumerate(kept):
                samples = self._samples(entry)
                if samples is None:
                    continue
                if self._full(samples):
                    for other in kept[place:]:
                        self.reject(BUDGET, other.trajectory.name)
                    break
                name = VALIDATION if entry.neuron in validating else TRAIN
                if self._add(files[name], self.tallies[name], entry, samples) and name == TRAIN:
                    taken.append(entry)
                if (place + 1) % _TOLD_EVERY == 0:
                    self._say(f"{place + 1} of {len(kept)} dialogues written")
            self._write_pairs(files[PREFERENCES], taken)
            self._write_described(files, runs)
        finally:
            for file in files.values():
                file.close()

    def _samples(self, entry: Kept) -> list[Sample] | None:
        try:
            return self._sender.samples(entry)
        except ContextOverflow as error:
            self.reject(LONG, entry.trajectory.name, str(error))
        except OSError as error:
            self.reject(PICTURE, entry.trajectory.name, str(error))
        return None

    def _full(self, samples: Sequence[Sample]) -> bool:
        options, lengths = self._options, [n for tally in self.tallies.values() for n in tally.lengths]
        many = options.max_samples is not None and len(lengths) + len(samples) > options.max_samples
        tokens = sum(lengths) + sum(sample.tokens for sample in samples)
        return many or (options.token_budget is not None and tokens > options.token_budget)

    def _add(self, file: IO[str], tally: Tally, entry: Kept, samples: Sequence[Sample]) -> bool:
        """Write the samples of one trajectory that have something to imitate; none if a picture of one is damaged."""
        made: list[tuple[Row, int]] = []
        for number, sample in enumerate(samples):
            if any(sample.learn):
                try:
                    made.append((self._row(entry, sample, number), self._learned(sample)))
                except OSError as error:
                    self.reject(PICTURE, entry.trajectory.name, str(error))
                    return False
        for row, learned in made:
            file.write(json.dumps(row) + "\n")
            tally.add(row, entry.neuron, learned)
        return bool(made)

    def _learned(self, sample: Sample) -> int:
        count = self._sender.vlm.counter.text
        texts = [m.parts[0] for m, learn in zip(sample.messages, sample.learn, strict=True) if learn]
        return sum(count(text) for text in texts if isinstance(text, str))

    def _row(self, entry: Kept, sample: Sample, number: int) -> Row:
        messages, pictures = self._sender.rows(sample.messages, sample.learn)
        return {
            **_facts(entry, f"{entry.trajectory.name}/{number}"),
            "kind": entry.kind,
            "concepts": [str(concept) for concept in _concepts(entry)],
            "source": _source(entry),
            "tokens": sample.tokens,
            "messages": messages,
            "images": [self.pictures.put(picture) for picture in pictures],
        }

    def _write_described(self, files: Mapping[str, IO[str]], runs: Sequence[Path]) -> None:
        vlm, options = self._sender.vlm, self._options
        if vlm.prompts != "brief":
            return
        validating = 0.0
        for name, sample in described_samples(runs, vlm, options.descriptions, options.seed):
            validating += options.validation
            file = VALIDATION if validating >= 1 else TRAIN
            validating -= file == VALIDATION
            messages, pictures = self._sender.rows(sample.messages, sample.learn)
            row = {
                "id": name,
                "unit": name,
                "truth": None,
                "kind": "described",
                "concepts": [],
                "source": "observer",
                "tokens": sample.tokens,
                "messages": messages,
                "images": [self.pictures.put(picture) for picture in pictures],
            }
            files[file].write(json.dumps(row) + "\n")
            self.tallies[file].add(row, name, self._learned(sample))

    def _write_pairs(self, file: IO[str], taken: Sequence[Kept]) -> None:
        if self._options.pairs == "none":
            return
        found = [pair for entry in taken for pair in repairs(entry)]
        found += contrasts(taken, self._wrong, self._options.pairs == "all")
        seen: set[tuple[str, int, str, str]] = set()
        for number, pair in enumerate(found):
            key = (pair.kept.trajectory.name, pair.replies_before, pair.chosen, pair.rejected)
            if key not in seen:
                seen.add(key)
                self._write_pair(file, pair, f"{pair.kept.trajectory.name}/pair-{number}")

    def _write_pair(self, file: IO[str], pair: Pair, name: str) -> None:
        split = self._options.split
        concepts = [*reply_answer(pair.chosen), *reply_answer(pair.rejected)]
        if split is not None and any(touches(concept, split.test) for concept in concepts):
            self.reject(PAIR_HELD_OUT, name)
            return
        dialogue, _ = self._sender.dialogue(pair.kept.trajectory)
        ends = [place for place, message in enumerate(dialogue) if message.role == "assistant"]
        try:
            prompt = self._sender.prompt(dialogue[: ends[pair.replies_before]]).messages
            messages, pictures = self._sender.rows(prompt, [False] * len(prompt))
            images = [self.pictures.put(picture) for picture in pictures]
        except (ContextOverflow, OSError) as error:
            self.reject(PAIR_LOST, name, str(error))
            return
        row = {
            **_facts(pair.kept, name),
            "messages": messages,
            "images": images,
            "chosen": self._sender.text(pair.chosen),
            "rejected": self._sender.text(pair.rejected),
            "source": f"{pair.source}, {_source(pair.kept)}",
        }
        file.write(json.dumps(row) + "\n")
        self.pairs[pair.source] = self.pairs.get(pair.source, 0) + 1


def _facts(entry: Kept, name: str) -> dict[str, Any]:
    truth = entry.trajectory.truth
    return {"id": name, "unit": entry.trajectory.unit, "truth": truth.truth if truth is not None else None}


def _concepts(entry: Kept) -> Sequence[object]:
    """Of the truth, else of the label."""
    neuron = entry.trajectory.truth or entry.answer
    return neuron.concepts if neuron is not None else ()


def _source(entry: Kept) -> str:
    start = entry.trajectory.start
    assert start is not None
    return start.backbone
