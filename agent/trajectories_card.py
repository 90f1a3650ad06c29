"""The data card of a training set: what it holds, what was left out, and checks for contamination, which are made from
the written files alone."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..models.errors import ExperimentError
from ..models.groundtruth_split import Split, contaminates
from ..models.testbed.scene import Concept
from .replies import parse_reply
from .trajectories_judge import label_concepts, named_concepts
from .trajectories_samples import Row
from .trajectories_select import shingles

TRAIN, VALIDATION, PREFERENCES = FILES = ("train.jsonl", "validation.jsonl", "preferences.jsonl")
OVERLAP = 13
"""Words of which overlaps between validation and training are told (as in Brown et al. 2020, appendix C)."""
SHOWN = 5
"""Names of rejected trajectories that card.md lists of each reason; card.json has all."""


def read_rows(file: Path) -> Iterator[Row]:
    """The lines of a file of samples or pairs."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


class Tally:
    """Counts of the samples of one file, as they are written."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.neurons: set[str] = set()
        self.lengths: list[int] = []
        self.turns = self.learned = self.pictures = self.learned_tokens = 0

    def add(self, row: Row, neuron: str, learned_tokens: int) -> None:
        """A sample. learned_tokens: of its messages that are imitated."""
        assistant = [message for message in row["messages"] if message["role"] == "assistant"]
        self.kinds[row["kind"]] += 1
        self.sources[row["source"]] += 1
        self.neurons.add(neuron)
        self.lengths.append(row["tokens"])
        self.turns += len(assistant)
        self.learned += sum(message["learn"] for message in assistant)
        self.pictures += len(row["images"])
        self.learned_tokens += learned_tokens

    @property
    def facts(self) -> dict[str, Any]:
        """For the card. learn_share: of all tokens, those that the loss counts."""
        total = sum(self.lengths)
        return {
            "samples": len(self.lengths),
            "neurons": len(self.neurons),
            "kinds": dict(sorted(self.kinds.items())),
            "sources": dict(sorted(self.sources.items())),
            "turns": self.turns,
            "turns_imitated": self.learned,
            "pictures": self.pictures,
            "tokens": lengths(self.lengths),
            "learn_share": round(self.learned_tokens / total, 4) if total else 0.0,
        }


def lengths(values: Sequence[int]) -> dict[str, int]:
    """Least, median, 95th percentile (nearest rank), most and sum; {} of none."""
    if not values:
        return {}
    ordered = sorted(values)
    rank = [ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100) - 1))] for percent in (50, 95)]
    return {"min": ordered[0], "median": rank[0], "p95": rank[1], "max": ordered[-1], "total": sum(ordered)}


def contamination(folder: Path, split: Split | None) -> dict[str, Any]:
    """What of the test, and of validation, is in the files of `folder`.

    held_out_answers: truths and labels with a held-out concept, which must be none; mentions: dialogues in which a
    held-out word stands somewhere, and in a reply that is imitated (allowed: such a thing may be in a picture);
    shared_truths: that both train and validate; overlap: of the 13-word runs of validation's imitated replies, the
    share that training's have too (they share the form, and the text of code).
    """
    held = split.test if split is not None else frozenset()
    answers: list[str] = []
    mentions, replies = Counter[str](), Counter[str]()
    truths: dict[str, set[str]] = {}
    runs: dict[str, set[str]] = {TRAIN: set(), VALIDATION: set()}
    for name in FILES:
        truths[name] = set()
        for row in read_rows(folder / name):
            truths[name].add(row["truth"] or row["unit"])
            answers += [f"{row['id']}: {concept}" for concept in _answers(row) if touches(concept, held)]
            imitated = _imitated(row)
            told = [part["text"] or "" for message in row["messages"] for part in message["content"]]
            mentions[name] += _mentions(" ".join([*told, *imitated]), held)
            replies[name] += _mentions(" ".join(imitated), held)
            if name in runs:
                for text in imitated:
                    runs[name] |= {run for run in shingles(text.lower().split(), OVERLAP) if run.count(" ") > 1}
    shared = truths[VALIDATION] & (truths[TRAIN] | truths[PREFERENCES])
    common = len(runs[VALIDATION] & runs[TRAIN])
    return {
        "held_out": sorted(map(str, held)),
        "held_out_answers": answers,
        "mentions": dict(mentions),
        "mentions_imitated": dict(replies),
        "shared_truths": sorted(shared),
        "overlap": round(common / len(runs[VALIDATION]), 4) if runs[VALIDATION] else None,
    }


def _answers(row: Row) -> list[Concept]:
    """Concepts of the truth and of every label that is imitated, or given for better or worse."""
    found = label_concepts(row["truth"]) if row["truth"] else []
    for text in [*_imitated(row), *([row["rejected"]] if "rejected" in row else [])]:
        found += reply_answer(text)
    return found


def reply_answer(text: str) -> list[Concept]:
    """The concepts of a reply's labels; none where it is no conclusion."""
    try:
        parsed = parse_reply(text)
    except ExperimentError:
        return []
    return label_concepts(" OR ".join(parsed.labels)) if parsed.code is None else []


def _imitated(row: Row) -> list[str]:
    learned = [part["text"] for m in row["messages"] if m.get("learn") for part in m["content"]]
    return [*learned, *([row["chosen"]] if "chosen" in row else [])]


def touches(concept: Concept, held: frozenset[Concept]) -> bool:
    """Whether the concept shares a word with one that is held out."""
    return any(contaminates(concept, other) for other in held)


def _mentions(text: str, held: frozenset[Concept]) -> bool:
    return any(concept in held for concept in named_concepts(text))


def card_text(card: Mapping[str, Any]) -> str:
    """card.md."""
    model, check = card["model"], card["contamination"]
    lines = [
        "# Training set",
        "",
        f"Made for {model['model']} (family {model['family']}, {model['context']} tokens of context, {model['images']} "
        "pictures a message), by",
        "",
        f"    {card['command']}",
        "",
        f"Versions: {', '.join(f'{name} {version}' for name, version in card['versions'].items())}.",
        "",
        "| | " + " | ".join(card["files"]) + " |",
        "|---|" + "---|" * len(card["files"]),
    ]
    rows = ("samples", "neurons", "kinds", "sources", "turns", "turns_imitated", "pictures", "tokens", "learn_share")
    lines += [
        f"| {row} | " + " | ".join(_cell(facts.get(row)) for facts in card["files"].values()) + " |" for row in rows
    ]
    lines += [
        "",
        f"{card['stored_pictures']} pictures are stored. Tokens are counted {card['counted']}, with the pictures'.",
        "",
        "## Left out",
        "",
    ]
    for reason, items in card["rejected"].items():
        named = [item["name"] + (f" ({item['detail']})" if item["detail"] else "") for item in items[:SHOWN]]
        more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
        lines.append(f"- {reason}: {len(items)}: {'; '.join(named)}{more}")
    lines += ["" if card["rejected"] else "Nothing.", "## Contamination", ""]
    if check["held_out"]:
        lines.append(f"Held out for the test: {', '.join(check['held_out'])}.")
    lines += [
        f"- truths and labels with a held-out concept: {len(check['held_out_answers'])}",
        f"- dialogues that mention one somewhere: {_cell(check['mentions'])}",
        f"- dialogues with an imitated reply that mentions one: {_cell(check['mentions_imitated'])}",
        f"- truths that both train and validate: {len(check['shared_truths'])}",
        f"- of the {OVERLAP}-word runs of validation's replies, those in training's too: {check['overlap']}",
        "",
    ]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return "" if value is None else str(value)
