"""The four-way choice for people (the paper's appendix E): one HTML page that needs no network, the key that un-blinds
its answers, and the answers read.

A participant sees each unit once, with one method's text: who saw a unit's pictures before would choose from memory.
Methods rotate over the units, so that each participant sees all of them about equally often (a Latin square); which
text of a unit that is, and the order of units and sets, follow from the participant's name. The page is a function of
which texts one method wrote, whatever the method is called: nothing in it can tell.
"""

import base64
import hashlib
import io
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jinja2
from markupsafe import Markup
from PIL import Image

from ...agent.report_parts import policy_hash
from ...models.errors import UserError
from ...models.files import write_whole
from .agreement_answers import PEOPLE, one_each, read_sheet
from .agreement_form import FORMAT, LONGEST_NAME, read_parts
from .usefulness import PARTICIPANTS, Answers, Choice, Task
from .usefulness_sets import SET_SIZE, SETS, ImageSets

SIDE = 176
"""Pixels of a picture's longer side in the page: 16 of them are some 100 kB."""
QUALITY = 85
"""Of the page's JPEG pictures."""


@dataclass(frozen=True)
class Question:
    """A unit as it stands in the page. texts: one a slot, as many as there are methods. methods: the method of each
    slot. pictures: sha256 of what is shown of each picture, by set. strong: the set that activates the unit, 0..3."""

    id: str
    unit: str
    texts: tuple[str, ...]
    methods: tuple[str, ...]
    pictures: tuple[tuple[str, ...], ...]
    ids: tuple[tuple[int, ...], ...]
    strong: int


@dataclass(frozen=True)
class ChoiceKey:
    """What un-blinds a form. form: its hash, which answers cite. participants: how many are wanted. left_out: units
    that nobody is asked about."""

    form: str
    text: str
    methods: tuple[str, ...]
    trials: tuple[Question, ...]
    participants: int
    left_out: dict[str, str]
    repeats: int = 0

    @property
    def task(self) -> Task:
        """What was asked, in the key's words."""
        texts = {
            question.unit: tuple(question.texts[question.methods.index(method)] for method in self.methods)
            for question in self.trials
        }
        return Task(self.methods, "description" if self.text == "description" else "label", texts, self.left_out)


def make_key(
    task: Task, sets: Mapping[str, ImageSets], seed: int = 0, participants: int | None = None
) -> tuple[ChoiceKey, dict[str, str]]:
    """Blind and shuffle: the key, and the page's pictures as data URIs by their sha256.

    sets: of every unit of the task (KeyError otherwise). participants: how many are wanted; None: PARTICIPANTS for each
    method.
    """
    encoded = {unit: [[_encoded(picture) for picture in one] for one in sets[unit].pictures] for unit in task.texts}
    # By what they wrote, so that names play no part.
    columns = {name: tuple(texts[k] for texts in task.texts.values()) for k, name in enumerate(task.methods)}
    ranked = sorted(task.methods, key=lambda name: columns[name])
    content = json.dumps([[unit, [columns[name][k] for name in ranked]] for k, unit in enumerate(task.texts)])
    draw = random.Random(f"{seed}/usefulness form/{content}")
    order = list(task.texts)
    draw.shuffle(order)
    draw.shuffle(ranked)
    count = len(ranked)
    turns = [place % count for place in range(len(order))]
    draw.shuffle(turns)
    questions = []
    for place, unit in enumerate(order):
        # The page shows slot (offset + place) % count: the method at (offset + turn) % count, for every participant's
        # offset, whom each turn reaches equally often.
        methods = tuple(ranked[(slot - place + turns[place]) % count] for slot in range(count))
        texts = tuple(task.texts[unit][task.methods.index(method)] for method in methods)
        digests = tuple(tuple(digest for digest, _ in one) for one in encoded[unit])
        of = sets[unit]
        questions.append(Question(f"t{place + 1}", unit, texts, methods, digests, of.ids, of.strong))
    pictures = {digest: uri for unit in order for one in encoded[unit] for digest, uri in one}
    wanted = PARTICIPANTS * count if participants is None else participants
    return ChoiceKey(_form_hash(questions), task.text, task.methods, tuple(questions), wanted, task.left_out), pictures


def write_form(
    task: Task, sets: Mapping[str, ImageSets], out: Path, seed: int = 0, participants: int | None = None
) -> tuple[Path, Path]:
    """Write the page to `out` (a name in .html) and the key beside it; returns both paths. Participants get the page
    alone. Raises UserError where the key of another form stands there: answers to that one would be lost."""
    if out.suffix != ".html":
        raise UserError(f"{out} is no name of a page: give one that ends in .html.")
    key, pictures = make_key(task, sets, seed, participants)
    beside = out.with_suffix(".key.json")
    if beside.exists() and read_key(beside).form != key.form:
        raise UserError(f"{beside} un-blinds another form: give another --out, or delete it if nobody has answered.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(beside, (json.dumps(_key_data(key), indent=1) + "\n").encode())
        write_whole(out, form_page(key, pictures).encode())
    except OSError as problem:
        raise UserError(f"{out} cannot be written ({problem.strerror}): give another --out.") from None
    return out, beside


def form_page(key: ChoiceKey, pictures: Mapping[str, str]) -> str:
    """The page's HTML. pictures: data URIs by sha256. Texts stand in it as JSON whose "<" are escaped, and get into the
    document as text only."""
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined
    )
    style = read_parts("agreement_form.css", "usefulness_form.css")
    script = read_parts("blind_form.js", "usefulness_form.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {policy_hash(style)}; script-src {policy_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    trials = [
        {
            "id": question.id,
            "texts": list(question.texts),
            "sets": [[pictures[digest] for digest in one] for one in question.pictures],
        }
        for question in key.trials
    ]
    return environment.get_template("usefulness_form.html.j2").render(
        policy=Markup(policy),
        style=Markup(style),
        script=Markup(script),
        data=Markup(json.dumps({"form": key.form, "trials": trials}).replace("<", "\\u003c")),
        trials=len(key.trials),
        longest=LONGEST_NAME,
    )


def read_key(file: Path) -> ChoiceKey:
    """The key that `write_form` wrote. Raises UserError where it is missing, damaged, or was changed."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != FORMAT or data["kind"] != KIND:
            raise ValueError("it is of another version, or of another sort of form")
        methods = tuple(map(str, data["methods"]))
        trials = tuple(_question(entry, methods) for entry in data["trials"])
        key = ChoiceKey(
            str(data["form"]), str(data["text"]), methods, trials, int(data["participants"]), dict(data["left_out"])
        )
    except FileNotFoundError:
        raise UserError(f"{file} is missing: give the .key.json file that was written beside the form.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise UserError(f"{file} is damaged ({problem}): take the .key.json file as it was written.") from None
    if key.form != _form_hash(trials):
        raise UserError(f"{file} was changed after its form was made: take the .key.json file as it was written.")
    return key


KIND = "four-way choice"
"""Of keys."""


def _question(entry: dict[str, Any], methods: Sequence[str]) -> Question:
    found = Question(
        str(entry["id"]),
        str(entry["unit"]),
        tuple(map(str, entry["texts"])),
        tuple(map(str, entry["methods"])),
        tuple(tuple(map(str, one)) for one in entry["pictures"]),
        tuple(tuple(map(int, one)) for one in entry["ids"]),
        int(entry["strong"]),
    )
    whole = all(len(one) == SET_SIZE for one in found.pictures) and len(found.pictures) == SETS
    if not whole or sorted(found.methods) != sorted(methods) or len(found.texts) != len(methods):
        raise ValueError(f"{found.id} lacks sets or texts")
    if found.strong not in range(SETS):
        raise ValueError(f"{found.id} has no right answer")
    return found


def _key_data(key: ChoiceKey) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": KIND,
        "form": key.form,
        "text": key.text,
        "methods": key.methods,
        "participants": key.participants,
        "trials": [vars(question) for question in key.trials],
        "left_out": key.left_out,
    }


def _form_hash(questions: Sequence[Question]) -> str:
    """Hex sha256 of all that the page shows: answers to another page are told by it."""
    shown = [[question.id, question.texts, question.pictures] for question in questions]
    return hashlib.sha256(json.dumps([FORMAT, KIND, shown]).encode()).hexdigest()


def _encoded(picture: Image.Image) -> tuple[str, str]:
    """(sha256, data URI) of a picture made smaller; all of them the same way, without metadata."""
    scale = min(1.0, SIDE / max(picture.size))
    width, height = (max(1, round(length * scale)) for length in picture.size)
    buffer = io.BytesIO()
    shown = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    shown.save(buffer, "JPEG", quality=QUALITY)
    data = buffer.getvalue()
    return hashlib.sha256(data).hexdigest(), f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"


@dataclass
class _Read:
    """A file's answers as choices. places: how often a set at each place was chosen."""

    file: str
    participant: str
    answered: int
    choices: list[Choice]
    places: list[int]
    problems: dict[str, str]


def read_answers(files: Sequence[Path], key: ChoiceKey, name: str = PEOPLE) -> Answers:
    """The participants' choices.

    A file that is damaged, belongs to another form, or repeats a participant's name (the one with more answers counts,
    the first of equals) is left out and named in `problems`; so is a single answer that is damaged, unknown or given
    twice. Unfinished files count for what they hold.

    facts: files, damaged, foreign, duplicate (lists of file names), unfinished (participant -> "12 of 40"),
    participants_wanted. Raises UserError where no file can be used.
    """
    kept, problems, facts = one_each(
        files, lambda file: _read_file(file, key), lambda read: (read.participant, read.answered), "person", "people"
    )
    asked = len(key.trials)
    facts["unfinished"] = {
        read.participant: f"{read.answered} of {asked}" for read in kept.values() if read.answered < asked
    }
    facts["participants_wanted"] = key.participants
    for read in kept.values():
        problems |= {f"{read.file}, {answer}": why for answer, why in read.problems.items()}
    places = [sum(read.places[place] for read in kept.values()) for place in range(SETS)]
    choices = [choice for read in kept.values() for choice in read.choices]
    return Answers(name, "people", choices, places, problems, facts)


def _read_file(file: Path, key: ChoiceKey) -> _Read:
    """Raises Foreign for another form's, else ValueError or OSError that says what is wrong with the file."""
    # The file's head is that of the other form's answers, with the same checks; the answers have a shape of their own.
    head = read_sheet(file, cast(Any, key))
    entries = json.loads(file.read_text(encoding="utf-8"))["answers"]
    read = _Read(str(file), head.judge, 0, [], [0] * SETS, {})
    questions, seen = {question.id: question for question in key.trials}, set()
    task = key.task
    for number, entry in enumerate(entries, 1):
        try:
            question, slot, order, chosen = _answer(entry, questions)
            if question.id in seen:
                raise ValueError(f"{question.id} is answered already")
        except ValueError as problem:
            read.problems[f"answer {number}"] = str(problem)
            continue
        seen.add(question.id)
        read.answered += 1
        read.places[order.index(chosen)] += 1
        value = float(chosen == question.strong)
        for method in task.methods_with(question.unit, question.texts[slot]):
            read.choices.append(Choice(head.judge, question.unit, method, value))
    return read


def _answer(entry: Any, questions: Mapping[str, Question]) -> tuple[Question, int, list[int], int]:
    """(question, slot of the text that was shown, sets by place, the set that was chosen). Raises ValueError that says
    what is wrong."""
    if not isinstance(entry, dict):
        raise ValueError("it is no object")
    trial, slot, order, chosen = (entry.get(name) for name in ("trial", "text", "order", "chosen"))
    if not isinstance(trial, str) or trial not in questions:
        raise ValueError(f"the form has no trial {trial!r:.24}")
    question = questions[trial]
    if type(slot) is not int or not 0 <= slot < len(question.texts):
        raise ValueError("it names no text of the trial")
    numbers = isinstance(order, list) and all(type(place) is int for place in order)
    if not isinstance(order, list) or not numbers or sorted(order) != list(range(SETS)):
        raise ValueError("it does not say how the sets stood")
    if type(chosen) is not int or chosen not in range(SETS):
        raise ValueError(f"it names none of the {SETS} sets")
    return question, slot, order, chosen
