"""The form on which people judge: one HTML page that needs no network, and the key that un-blinds its answers.

The page is a function of which texts stand together, whichever procedure wrote which: nothing in it can tell. Order and
sides are drawn again for every judge, from the name that the judge gives.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ...agent.report_parts import policy_hash
from ...models.errors import UserError
from ...models.files import write_whole
from .agreement_data import Pair, Pairing, Truth

FORMAT = 1
"""Of keys and answers; the page's script has the same."""
JUDGES = 10
"""People for each comparison: the paper's appendix C4."""
REPEATS = 0.1
"""Share of the pairs that each judge is asked a second time, with the sides swapped; the paper has none."""
LONGEST_NAME = 60
"""Characters of a judge's name."""


@dataclass(frozen=True)
class Trial:
    """A pair as it stands in the page. texts: in the page's order; a: which of them is procedure A's, 0 or 1."""

    id: str
    pair: Pair
    a: int

    @property
    def texts(self) -> list[str]:
        return [self.pair.b, self.pair.a] if self.a else [self.pair.a, self.pair.b]

    @property
    def shown(self) -> dict[str, Any]:
        """All that the page has of it."""
        return {"id": self.id, "truth": self.pair.truth.phrase, "texts": self.texts}


@dataclass(frozen=True)
class Key:
    """What un-blinds a form. form: its hash, which answers cite. pairing: with the pairs in the form's order. repeats:
    pairs that a judge is asked twice. judges: how many are wanted."""

    form: str
    pairing: Pairing
    trials: tuple[Trial, ...]
    repeats: int
    judges: int


def make_key(pairing: Pairing, seed: int = 0, repeats: float = REPEATS, judges: int = JUDGES) -> Key:
    """Blind and shuffle the pairs. The same pairs give the same form, whichever procedure is called A.

    repeats: 0..0.5, a share of the pairs. Raises UserError where there is no pair, or the share is out of range.
    """
    if not pairing.pairs:
        raise UserError(f"{pairing.a} and {pairing.b} say the same of every unit: there is nothing to ask people.")
    if not 0 <= repeats <= 0.5:
        raise UserError(f"{repeats:g} is no share of trials to repeat: give a number from 0 to 0.5.")
    ordered = sorted(pairing.pairs, key=lambda pair: (pair.truth.phrase, *sorted((pair.a, pair.b)), pair.unit))
    content = json.dumps([[pair.truth.phrase, *sorted((pair.a, pair.b))] for pair in ordered])
    draw = random.Random(f"{seed}/agreement form/{content}")
    draw.shuffle(ordered)
    trials = []
    for number, pair in enumerate(ordered, 1):
        first = draw.choice(sorted((pair.a, pair.b)))
        trials.append(Trial(f"t{number}", pair, 0 if first == pair.a else 1))
    count = min(round(repeats * len(trials)), (len(trials) + 1) // 2)
    pairing = replace(pairing, pairs=tuple(ordered))
    return Key(_form_hash(trials, count), pairing, tuple(trials), count, judges)


def write_form(
    pairing: Pairing, out: Path, seed: int = 0, repeats: float = REPEATS, judges: int = JUDGES
) -> tuple[Path, Path]:
    """Write the page to `out` (a name in .html) and the key beside it; returns both paths. Judges get the page alone.

    Raises UserError where the key of another form stands there: answers to that one would be lost.
    """
    key = make_key(pairing, seed, repeats, judges)
    if out.suffix != ".html":
        raise UserError(f"{out} is no name of a page: give one that ends in .html.")
    beside = out.with_suffix(".key.json")
    if beside.exists() and read_key(beside).form != key.form:
        raise UserError(f"{beside} un-blinds another form: give another --out, or delete it if nobody has answered.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(beside, (json.dumps(_key_data(key), indent=1) + "\n").encode())
        write_whole(out, form_page(key).encode())
    except OSError as problem:
        raise UserError(f"{out} cannot be written ({problem.strerror}): give another --out.") from None
    return out, beside


def read_parts(*names: str) -> str:
    """Files of this folder, one after another."""
    return "".join(Path(__file__).parent.joinpath(name).read_text(encoding="utf-8") for name in names)


def form_page(key: Key) -> str:
    """The page's HTML. Texts stand in it as JSON whose "<" are escaped, and get into the document as text only."""
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined
    )
    style, script = read_parts("agreement_form.css"), read_parts("blind_form.js", "agreement_form.js")
    policy = f"default-src 'none'; style-src {policy_hash(style)}; script-src {policy_hash(script)}; base-uri 'none'"
    data = json.dumps({"form": key.form, "repeats": key.repeats, "trials": [trial.shown for trial in key.trials]})
    return environment.get_template("agreement_form.html.j2").render(
        policy=Markup(policy + "; form-action 'none'"),
        style=Markup(style),
        script=Markup(script),
        data=Markup(data.replace("<", "\\u003c")),
        trials=len(key.trials),
        longest=LONGEST_NAME,
    )


def read_key(file: Path) -> Key:
    """The key that `write_form` wrote. Raises UserError where it is missing, damaged, or was changed."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError("it is of another version")
        trials = tuple(_trial(entry) for entry in data["trials"])
        pairing = Pairing(
            str(data["a"]),
            str(data["b"]),
            data["text"],
            tuple(trial.pair for trial in trials),
            {unit: Truth(kind, tuple(concepts)) for unit, (kind, *concepts) in data["identical"].items()},
            dict(data["left_out"]),
        )
        key = Key(data["form"], pairing, trials, int(data["repeats"]), int(data["judges"]))
    except FileNotFoundError:
        raise UserError(f"{file} is missing: give the .key.json file that was written beside the form.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise UserError(f"{file} is damaged ({problem}): take the .key.json file as it was written.") from None
    if key.form != _form_hash(trials, key.repeats):
        raise UserError(f"{file} was changed after its form was made: take the .key.json file as it was written.")
    return key


def _trial(entry: dict[str, Any]) -> Trial:
    kind, *concepts = entry["truth"]
    a = entry["a"]
    if a not in (0, 1):
        raise ValueError("a trial has no procedure A")
    texts = [str(text) for text in entry["texts"]]
    return Trial(str(entry["id"]), Pair(str(entry["unit"]), Truth(kind, tuple(concepts)), texts[a], texts[1 - a]), a)


def _key_data(key: Key) -> dict[str, Any]:
    def truth(of: Truth) -> list[str]:
        return [of.kind, *of.concepts]

    return {
        "format": FORMAT,
        "form": key.form,
        "a": key.pairing.a,
        "b": key.pairing.b,
        "text": key.pairing.text,
        "judges": key.judges,
        "repeats": key.repeats,
        "trials": [
            {"id": t.id, "unit": t.pair.unit, "truth": truth(t.pair.truth), "texts": t.texts, "a": t.a}
            for t in key.trials
        ],
        "identical": {unit: truth(of) for unit, of in key.pairing.identical.items()},
        "left_out": key.pairing.left_out,
    }


def _form_hash(trials: Sequence[Trial], repeats: int) -> str:
    """Hex sha256 of all that the page shows: answers to another page are told by it."""
    return hashlib.sha256(json.dumps([FORMAT, repeats, [trial.shown for trial in trials]]).encode()).hexdigest()
