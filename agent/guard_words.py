"""What hypotheses and labels say: a picture described in the place of a unit, and labels that were never tested."""

import re

from .guard_evidence import Evidence, is_generic, words_of

LABEL_WORDS = 8
"""Words of a label up to which its grammar does not matter."""
LOW = 0.5
"""A share of the highest activation: what is not above it counts as a low one, where titles tell nothing."""

_PICTURE = r"(?:image|picture|photo|photograph|scene|illustration|drawing|exemplar|figure)"
_QUALIFIER = (
    r"(?:first|second|third|fourth|fifth|last|next|top|given|masked|highlighted|generated|edited|original|activating|"
    r"dataset|exemplar|provided|above|resulting|\w+ing)"
)
_SHOWING = (
    r"(?:shows?|depicts?|features?|contains?|displays?|captures?|portrays?|presents?|illustrates?|is (?:of|a|an)|has)"
)
_STARTS = [
    re.compile(
        rf"(?:the|this|that|each|one)(?: {_QUALIFIER}){{0,4}} {_PICTURE}(?: \d+)?,? (?:also |clearly )?{_SHOWING}\b",
        re.I,
    ),
    re.compile(rf"(?:the |this )?(?:{_PICTURE}) \d+:? {_SHOWING}\b", re.I),
    re.compile(rf"in (?:the|this|that)(?: {_QUALIFIER}){{0,4}} {_PICTURE}\b", re.I),
    re.compile(rf"(?:an?|the|this) (?:\w+ )?(?:{_PICTURE}|close-?up|view|shot) (?:of|showing|depicting|with)\b", re.I),
    re.compile(r"(?:i|we|you|one) (?:can )?(?:clearly )?(?:see|observe)\b", re.I),
]
_PLACES = re.compile(
    r"\b(?:(?:on|to|at) the (?:left|right)(?: side)?|in the (?:foreground|background|cent(?:er|re)|middle)|"
    r"(?:left|right|top|bottom)(?:-hand)? (?:side|corner|half) of the)\b",
    re.I,
)
_TELLING = re.compile(
    r"(?:there (?:is|are)|(?:an?|the|two|three|several|some|many) [\w -]{1,60}? (?:is|are|stands?|sits?|lies|lay|"
    r"appears?|hangs?)\b)",
    re.I,
)
_OF_UNITS = re.compile(
    r"\b(?:units?|neurons?|activat\w*|activity|respon[ds]\w*|fires?|firing|selective|selectivity|detect\w*|prefers?|"
    r"preference|sensitive|sensitivity|high(?:er|est)?|low(?:er|est)?|drives?|drop\w*|hypothes[ie]s|concept)\b",
    re.I,
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|shows?|depicts?|has|have|contains?|features?|stands?|sits?|responds?|activates?|fires?|"
    r"appears?|detects?|displays?|seems?)\b",
    re.I,
)
_HYPOTHESIS = re.compile(r"^[\s>*#_-]*(?:hypothes[ie]s)?[\s_#]*\d*\s*[:.)*]+[\s*]*", re.I)


def picture_sentences(text: str) -> list[str]:
    """Sentences that tell what stands in a picture and nothing of the unit.

    A sentence does if it begins by pointing at a picture ("The image shows …", "In this picture …", "A photo of …",
    "I see …"), or tells that something is somewhere in one ("A dog is on the left"). Sentences with a word for what
    units do (unit, activation, responds, higher …) do not, nor do those on images in general ("images of dogs").
    """
    found = []
    for line in text.splitlines():
        for sentence in re.split(r"(?<=[.!?;])\s+", _HYPOTHESIS.sub("", line, count=1)):
            plain = sentence.strip(" \t*_>#\"'-")
            if plain and not _OF_UNITS.search(plain) and _tells_of_a_picture(plain):
                found.append(plain)
    return found


def _tells_of_a_picture(sentence: str) -> bool:
    if any(pattern.match(sentence) for pattern in _STARTS):
        return True
    return bool(_TELLING.match(sentence) and _PLACES.search(sentence))


def describes_picture(description: str) -> str | None:
    """The first sentence on a picture in a description that says nothing of the unit anywhere; else None."""
    if _OF_UNITS.search(description):
        return None
    return next(iter(picture_sentences(description)), None)


def bad_label(label: str) -> str | None:
    """What is wrong with a label: it names a picture, or is a whole sentence where a few words are asked for."""
    if _STARTS[0].match(label) or _STARTS[2].match(label) or _STARTS[3].match(label):
        return f"the label '{_cut(label)}' describes a picture"
    if len(label.split()) > LABEL_WORDS and _VERB.search(label):
        return f"the label '{_cut(label)}' is a sentence of {len(label.split())} words"
    return None


def _cut(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def thin(labels: list[str], evidence: Evidence) -> str | None:
    """What is missing before a conclusion can rest on the evidence; None if nothing is.

    1. Fewer than 2 images of the agent's own were measured. Own: not a dataset exemplar; logged with an activation in
       an experiment that makes images (or draws them itself), or told of by a line with a number in its log or output.
    2. The words of a label stand together in the text of exactly one such image: it rests on that image. (No text with
       them says nothing: the label may be more general than the prompts.)
    3. No counter-test: every text that tells of an own image holds all words of one label, nothing was edited, and no
       activation is at most half of the highest. Where no text tells what is in the images, only activations count.

    The last two look for concepts, which only the labels of a description name: see `few_images` for other answers.
    Texts are the titles of logged images that say something, the lines of logs that hold a number, and prompts. Runs
    without the tools that make images are exempt.
    """
    if _without_images(evidence):
        return None
    if few := few_images(evidence):
        return few
    titles = [image.title for image in evidence.made if not is_generic(image.title)]
    for label in labels:
        words = _label_words(label)
        # A title and a line of the log may tell of the same image.
        counts = [sum(bool(words) and words <= words_of(text) for text in texts) for texts in (titles, evidence.lines)]
        if max(counts) == 1:
            return f"'{_cut(label)}' stands in one image only: the conclusion rests on that image"
    return None if _counter_tested(labels, evidence, titles + evidence.lines) else _NO_COUNTER_TEST


def few_images(evidence: Evidence) -> str | None:
    """What is missing while fewer than 2 images of the agent's own were measured (see `thin`); else None."""
    count = max(len({image.id for image in evidence.made}), len(evidence.lines))
    if count > 1 or _without_images(evidence):
        return None
    what = "no image of your own was" if count == 0 else "only one image of your own was"
    return f"{what} measured so far"


def _without_images(evidence: Evidence) -> bool:
    return {"text2image", "edit_images"} <= evidence.removed_tools


_NO_COUNTER_TEST = "nothing was tested that your explanation predicts to fail"


def _counter_tested(labels: list[str], evidence: Evidence, told: list[str]) -> bool:
    made = [done for done in evidence.done if done.code.makes_images]
    if any("edit_images" in done.code.methods and (done.measured or done.record.stdout) for done in made):
        return True
    prompts = [prompt for done in made if done.record.outcome == "ok" for prompt in done.code.prompts]
    texts = [text for text in (*told, *prompts) if len(words_of(text)) >= 1]
    wanted = [words for label in labels if (words := _label_words(label))]
    if texts and wanted and any(not any(words <= words_of(text) for words in wanted) for text in texts):
        return True
    activations = [image.activation for image in evidence.made]
    thresholds = [d.record.activation_threshold for d in evidence.done if d.record.activation_threshold is not None]
    highest = max([*activations, *thresholds], default=0.0)
    return bool(activations) and min(activations) < highest and min(activations) <= LOW * highest


def _label_words(label: str) -> frozenset[str]:
    return words_of(re.sub(r"\b(?:given|OR|AND|only|when|with|together)\b", " ", label))
