"""Guards: what is checked of a reply that can be read, before it is acted upon (after the failures that the paper
reports of open models, sections 4.4, D2 and D3).

| guard | on an experiment | on a conclusion |
|---|---|---|
| invented-result | remark | refusal |
| copied-example | refusal | |
| thin-evidence | | refusal |
| repeated-experiment | refusal | |
| picture-description | remark | refusal |

A refused reply is not acted upon: the loop appends a Notice of the kind "guard/<name>" for each finding, which says
what is wrong and what to do. A reply with remarks is acted upon: they stand under its result. Every guard refuses at
most REFUSALS times in a unit, and final answers are refused once in all, so that every unit finishes; what is then let
pass is a Remark of the kind "let-pass/<name>" on what was acted upon. All is a function of the records, so that a
resumed run decides the same.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ..models.errors import ExperimentError, UserError
from .guard_code import Code, read_code
from .guard_evidence import Evidence, example_prompts, gather, words_of
from .guard_numbers import invented_images, invented_numbers
from .guard_words import bad_label, describes_picture, few_images, picture_sentences, thin
from .replies import ParsedReply, parse_reply
from .transcript import Conclusion, Experiment, Notice, Record, Remark, Reply

INVENTED, COPIED, THIN, REPEATED, PICTURE = GUARDS = (
    "invented-result",
    "copied-example",
    "thin-evidence",
    "repeated-experiment",
    "picture-description",
)
REFUSALS = 2
"""Times that one guard may refuse in one unit."""
REFUSED_CODE = frozenset({COPIED, REPEATED})
"""Guards that refuse an experiment; the others remark."""
SAME_PROMPT = 0.75
"""Content words shared (of both together) from which a prompt is an example's copy."""
SAME_SET = 0.8
"""Prompts shared (of both together) from which two experiments are the same."""
REFUSED, REMARKED, LET_PASS = "refused", "remarked", "let pass"
_KIND, _PASSED = "guard/", "let-pass/"


@dataclass(frozen=True)
class Finding:
    """guard: its name. text: for the backbone: what is wrong and what to do."""

    guard: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """refusals: the reply is not acted upon; then there is nothing else. remarks: it is acted upon, and these stand
    under its result. let_pass: what would have been refused, had it not been often enough."""

    refusals: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)
    let_pass: list[Finding] = field(default_factory=list)

    def notices(self, turn: int) -> list[Notice]:
        """The refusals as records, in place of an Experiment or a Conclusion."""
        return [Notice(turn, _KIND + finding.guard, finding.text) for finding in self.refusals]

    @property
    def recorded(self) -> list[Remark]:
        """What the Experiment or the Conclusion keeps as its `remarks`."""
        return [
            Remark(kind + finding.guard, finding.text)
            for kind, findings in ((_KIND, self.remarks), (_PASSED, self.let_pass))
            for finding in findings
        ]


def guards_named(text: str) -> tuple[str, ...]:
    """The guards that "all", "none" or names with commas stand for, in their usual order. Raises UserError."""
    if text in ("all", "none"):
        return GUARDS if text == "all" else ()
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in GUARDS:
            raise UserError(f"there is no guard {name!r}: choose from all, none, {', '.join(GUARDS)}.")
    return tuple(guard for guard in GUARDS if guard in names)


def on_experiment(
    records: Sequence[Record],
    parsed: ParsedReply,
    enabled: Collection[str] = GUARDS,
    examples: Sequence[str] | None = None,
) -> Verdict:
    """What becomes of a reply with code. records: up to the Reply itself. enabled: names of GUARDS.

    examples: prompts that count as copied; None: those that the prompts of the unit's Start quote.
    """
    refusals: list[Finding] = []
    remarks: list[Finding] = []
    let_pass: list[Finding] = []
    for finding in find_in_experiment(records, parsed, examples):
        if finding.guard not in enabled:
            continue
        if finding.guard not in REFUSED_CODE:
            remarks.append(finding)
        elif _refused(records, finding.guard) < REFUSALS:
            refusals.append(Finding(finding.guard, f"Your code was not run. {finding.text}"))
        else:
            let_pass.append(finding)
    return Verdict(refusals) if refusals else Verdict([], remarks, let_pass)


def on_conclusion(
    records: Sequence[Record],
    parsed: ParsedReply,
    enabled: Collection[str] = GUARDS,
    *,
    experiments_left: int,
    answers_left: int,
) -> Verdict:
    """What becomes of a reply with labels. records: up to the Reply itself.

    experiments_left: experiments that may still be made after this reply: without any, thin evidence cannot be mended
    and is let pass. answers_left: replies that will still be asked for after this one: without any, nothing is refused.
    After the "last-turn" notice one reply is refused in all.
    """
    refusals: list[Finding] = []
    let_pass: list[Finding] = []
    may_refuse = answers_left > 0 and (experiments_left > 0 or not _refused_since_last_turn(records))
    for finding in find_in_conclusion(records, parsed):
        if finding.guard not in enabled:
            continue
        mendable = may_refuse and (finding.guard != THIN or experiments_left > 0)
        if mendable and _refused(records, finding.guard) < REFUSALS:
            refusals.append(Finding(finding.guard, f"Your conclusion was not accepted yet. {finding.text}"))
        else:
            let_pass.append(finding)
    return Verdict(refusals) if refusals else Verdict([], [], let_pass)


def find_in_experiment(
    records: Sequence[Record], parsed: ParsedReply, examples: Sequence[str] | None = None
) -> list[Finding]:
    """All that guards find in a reply with code, however often they have refused."""
    evidence = gather(records)
    code = read_code(parsed.code or "")
    prose = _prose(records, parsed)
    chosen = example_prompts(evidence.start) if examples is None else examples
    found = [
        _invented(prose, parsed.code or "", evidence),
        _copied(code, chosen, evidence),
        _repeated(code, evidence),
        _pictures(parsed.hypotheses),
    ]
    return [finding for finding in found if finding]


def find_in_conclusion(records: Sequence[Record], parsed: ParsedReply) -> list[Finding]:
    """All that guards find in a reply with labels, however often they have refused."""
    evidence = gather(records)
    labelled = evidence.endings[-1].kind == "labels"
    # A choice or a sentence names no concept whose presence in images could be looked for.
    missing = thin(parsed.labels, evidence) if labelled else few_images(evidence)
    found = [
        _invented(_prose(records, parsed), "", evidence),
        missing and Finding(THIN, f"It is too early to conclude: {missing}. {_TEST_MORE}"),
        _picture_conclusion(parsed) if labelled else None,
    ]
    return [finding for finding in found if finding]


def guard_counts(records: Sequence[Record]) -> Counter[tuple[str, str]]:
    """How often each guard refused, remarked and let pass: (guard, REFUSED | REMARKED | LET_PASS) -> times."""
    counts: Counter[tuple[str, str]] = Counter()
    for record in records:
        if isinstance(record, Notice) and record.kind.startswith(_KIND):
            counts[record.kind.removeprefix(_KIND), REFUSED] += 1
        elif isinstance(record, Experiment | Conclusion):
            for remark in record.remarks:
                if remark.kind.startswith(_KIND):
                    counts[remark.kind.removeprefix(_KIND), REMARKED] += 1
                elif remark.kind.startswith(_PASSED):
                    counts[remark.kind.removeprefix(_PASSED), LET_PASS] += 1
    return counts


def refused_conclusion(records: Sequence[Record]) -> tuple[int, ParsedReply] | None:
    """The last conclusion that guards refused, with its turn: what a unit falls back on when no later reply serves."""
    turns = {record.turn for record in records if isinstance(record, Notice) and record.kind.startswith(_KIND)}
    endings = gather(records[:1]).endings
    for record in reversed(records):
        if isinstance(record, Reply) and record.turn in turns:
            try:
                parsed = parse_reply(record.text, endings)
            except ExperimentError:
                continue
            if parsed.code is None:
                return record.turn, parsed
    return None


_TEST_MORE = (
    "Make images of your own in which your explanation holds and, as counter-examples, images that lack it or that are "
    "edited so that it no longer holds; measure them with system.neuron and log all of them. Conclude when what you "
    "predicted to fail has failed."
)


def _refused(records: Sequence[Record], guard: str) -> int:
    return sum(isinstance(record, Notice) and record.kind == _KIND + guard for record in records)


def _refused_since_last_turn(records: Sequence[Record]) -> bool:
    asked = False
    for record in records:
        if isinstance(record, Notice):
            if asked and record.kind.startswith(_KIND):
                return True
            asked = asked or record.kind == "last-turn"
    return False


def _prose(records: Sequence[Record], parsed: ParsedReply) -> str:
    """The reply without its code; of records that do not end with a Reply, the sections that were parsed."""
    if not records or not isinstance(records[-1], Reply):
        return "\n".join((parsed.hypotheses, parsed.description, *parsed.labels))
    text = re.sub(r"^[ \t]*```[^\n]*\n.*?^[ \t]*```", "\n", records[-1].text, flags=re.DOTALL | re.MULTILINE)
    code = (parsed.code or "").strip()
    return text.replace(code, "\n") if code else text


def _listed(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _invented(prose: str, code: str, evidence: Evidence) -> Finding | None:
    numbers, images = invented_numbers(prose, evidence, code), invented_images(prose, evidence)
    if not numbers and not images:
        return None
    parts = []
    if numbers:
        parts.append(
            f"you cite {_listed(numbers)}, but no result of this unit has {'it' if len(numbers) == 1 else 'them'}"
        )
    if images:
        parts.append(f"you cite {_listed(images)}, which the log does not have")
    text = " and ".join(parts)
    return Finding(
        INVENTED,
        f"{text[0].upper()}{text[1:]}. Cite only what the results above show, with the numbers as they stand there; "
        "what you have not measured, measure or leave out.",
    )


def _copied(code: Code, examples: Sequence[str], evidence: Evidence) -> Finding | None:
    """Copied: most of the prompts and edits share SAME_PROMPT of their content words with an example each, and the
    observers' words in this unit's logs name what the example is about less than twice."""
    prompts = [prompt for prompt in code.prompts if words_of(prompt)]
    wanted = [(words_of(example), example) for example in examples]
    copies = [
        prompt
        for prompt in prompts
        if any(_overlap(words_of(prompt), words) >= SAME_PROMPT for words, _ in wanted) and not _seen(prompt, evidence)
    ]
    if 2 * len(copies) <= len(prompts):
        return None
    quoted = _listed([f'"{copy}"' for copy in copies])
    return Finding(
        COPIED,
        f"Your prompts ({quoted}) are the examples of the instructions, which have nothing to do with this unit. Write "
        "prompts of your own: from what the exemplars of this unit show, or from your hypotheses.",
    )


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def _seen(prompt: str, evidence: Evidence) -> bool:
    """Whether the logs speak of the prompt's subject twice, beside the backbone's own titles."""
    subject = _subject(prompt)
    count = 0
    for done in evidence.done:
        for entry in done.record.log:
            text = entry.text
            for title in sorted(set(entry.titles) | set(done.code.prompts), key=len, reverse=True):
                text = text.replace(title, " ") if title else text
            count += sum(subject in words_of(piece) for piece in re.split(r"[\n,;]", text))
    return count >= 2


def _subject(prompt: str) -> str:
    """What a prompt or an edit is about: the last content word before the first preposition; of an edit, the thing that
    is changed."""
    edited = re.search(
        r"^\W*(?:replace|make|change|turn|paint|put|add|swap)\s+(?:an?\s|the\s)?\s*([\w-]+)", prompt, re.I
    )
    if edited:
        return next(iter(words_of(edited.group(1))), "")
    head = re.split(r"\b(?:on|in|at|with|near|beside|of|under|over|standing|sitting|lying|and)\b", prompt.lower())[0]
    words = [word for token in re.findall(r"[a-z'-]+", head) for word in words_of(token)]
    return words[-1] if words else ""


def _repeated(code: Code, evidence: Evidence) -> Finding | None:
    """The same: equal but for names, comments and layout; or the same methods and numeric constants, with SAME_SET of
    the prompts shared, where the earlier one logged activations. Experiments that failed may be tried again."""
    if not code.shape:
        return None
    for done in evidence.done:
        record, other = done.record, done.code
        if record.outcome != "ok":
            continue
        same = other.shape == code.shape and bool(record.log or record.stdout)
        mine, theirs = _prompt_keys(code), _prompt_keys(other)
        if not same and done.measured and mine and code.methods == other.methods and code.numbers == other.numbers:
            same = len(mine & theirs) >= SAME_SET * len(mine | theirs)
        if same:
            return Finding(
                REPEATED,
                f"This is experiment {record.turn} again, whose results you have. Change what is tested: other "
                "subjects, other surroundings, an edit of one factor, or images that your best hypothesis predicts to "
                "fail; or conclude, if the results support one explanation. For more images of a prompt, repeat it "
                "within one experiment.",
            )
    return None


def _prompt_keys(code: Code) -> frozenset[tuple[str, ...]]:
    """Prompts and templates without articles, prepositions, order and plurals."""
    texts = (*code.prompts, *code.templates)
    return frozenset(tuple(sorted(words_of(text))) or (text.strip().lower(),) for text in texts if text.strip())


def _pictures(hypotheses: str) -> Finding | None:
    sentences = picture_sentences(hypotheses)
    if not sentences:
        return None
    return Finding(
        PICTURE,
        f"Your hypothesis describes a picture ('{sentences[0][:100]}'). A hypothesis says which visual concept "
        "activates the unit in any image, in the form 'Hypothesis_1: <concept>', and has to fit the activations.",
    )


def _picture_conclusion(parsed: ParsedReply) -> Finding | None:
    wrong = [problem for label in parsed.labels if (problem := bad_label(label))]
    if not wrong and (sentence := describes_picture(parsed.description)):
        wrong = [f"the description tells of a picture ('{sentence[:100]}')"]
    if not wrong:
        return None
    return Finding(
        PICTURE,
        f"{wrong[0][0].upper()}{wrong[0][1:]}. Say which visual concept activates the unit in any image: in the "
        "description what activates it and what does not, in the label a few words that name the concept, no more.",
    )
