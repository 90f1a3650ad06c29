"""Numbers and images that a reply cites, and whether the unit's records hold them."""

import itertools
import re
from collections.abc import Iterator

from .guard_evidence import DECIMAL, Evidence, to_number

CITATIONS = 200
"""Citations of a reply that are looked at: an endless reply must not take endless time."""
CONTEXT = 400
"""Characters before a number in which the words are looked for that say what it is."""
_NUMBER = re.compile(r"(?<![\w.])[-+\N{MINUS SIGN}]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")
_INTEGER = re.compile(
    r"\bactivations?(?:\s+(?:values?|levels?|scores?))?\s*(?::|=|\bof\b|\bis\b|\bwas\b|\bat\b|\babout\b|\baround\b|≈|~|\s)+"
    r"([-\N{MINUS SIGN}]?\d+)(?![\d.]*[\w%]|\.\d|\s*(?:to|-|–|or|and)\s*\d|\s+[a-z])",
    re.I,
)
"""A whole number is a result only where the word activation stands right before it and nothing is counted by it."""
_UNIT_AFTER = re.compile(
    r"\s*-?(?:%|per\s?cent|x\b|×|times|fold|m\b|cm\b|mm\b|km\b|kg\b|g\b|px\b|pixels?|inch|feet|ft\b|lit(?:re|er)|years?|hours?|s\b|"
    r"seconds?|minutes?|megapixels?|mp\b|°|:\d)",
    re.I,
)
_SECTION_NUMBER = re.compile(r"(?:^|\n)[ \t#*>-]*\d+\.\d+[ \t.)]+(?=[A-Z*])")

_MEAN = re.compile(r"\b(?:means?|averages?|averaged|avg|medians?|typical(?:ly)?|overall)\b", re.I)
_CHANGE = re.compile(
    r"\b(?:differences?|differ|drops?|dropped|rises?|rose|increases?d?|decreases?d?|gaps?|by|higher|lower|falls?|fell|"
    r"std|deviations?|sd|spread|range|margin|variance|error|gain|loss|change[ds]?|delta|reduc\w+|more|less)\b|±|\+/-",
    re.I,
)
_RATIO = re.compile(
    r"\b(?:ratios?|share|fraction|proportion|rate|correlations?|probability|confidence|factor|r)\b", re.I
)
_BOUND = re.compile(
    r"\b(?:above|below|over|under|exceed\w*|at least|at most|more than|less than|greater than|between|threshold|"
    r"up to)\b|[<>≥≤]",
    re.I,
)

_CITED = re.compile(
    r"\b(exemplar|image|picture|photo|experiment)s?\s*(?:#|no\.?\s*|number\s*)?"
    r"(\d{1,4}(?![\d.]*\d|\s*[x×*]\s*\d|\s?px|[a-z%])(?:\s*(?:,|and|&|-|–|to|,\s*and)\s*\d{1,4}(?![\d.]*\d|[x×a-z%]))*)",
    re.I,
)


def invented_numbers(text: str, evidence: Evidence, code: str = "") -> list[str]:
    """Numbers that the text gives as results and that nothing shown to the backbone holds, as the text writes them.

    A decimal is one unless a unit of measure follows it or it numbers a section; a whole number only right after
    "activation". It is held if the prompts, the code (of this reply too), the logs or the printed output of this unit
    have a number that rounds, or is cut off, to it at the precision that it is cited with. In the same sentence or the
    one before, words make numbers of one's own reckoning out of it, which are accepted in the range that they can have:
    a mean and a bound ("above 0.5") between the lowest and the highest value measured; a difference up to the distance
    between these; a ratio or share always. Values are logged activations and the decimals in logs and printed output.
    """
    cited = list(dict.fromkeys(itertools.islice(_cited_results(text), CITATIONS)))
    if not cited:
        return []
    values = evidence.values()
    known = {to_number(n) for source in (*evidence.texts(), code) for n in _NUMBER.findall(source)} | set(values)
    invented = []
    for number, context in cited:
        if not any(_rounds_to(value, number) for value in known) and not _derivable(number, context, values):
            invented.append(number)
    return list(dict.fromkeys(invented))


def _cited_results(text: str) -> Iterator[tuple[str, str]]:
    """Each number that is given as a result, with the words before it in its sentence and the one before."""
    numbering = {match.end() for match in _SECTION_NUMBER.finditer(text)}
    for match in DECIMAL.finditer(text):
        after = text[match.end() : match.end() + 16]
        numbers_section = any(match.end() < end <= match.end() + 4 for end in numbering)
        if not _UNIT_AFTER.match(after) and not numbers_section:
            yield match.group(), _context(text, match.start(), match.end())
    for match in _INTEGER.finditer(text):
        yield match.group(1), _context(text, match.start(1), match.end(1))


def _context(text: str, start: int, end: int) -> str:
    line = max(text.rfind("\n", 0, start) + 1, start - CONTEXT)
    sentences = re.split(r"(?<=[.;!?])\s+", text[line:start])
    after = re.split(r"[.;,!?\n](?=\s|$)", text[end : end + 40], maxsplit=1)[0]
    return " ".join(sentences[-2:]) + " " + after


def _rounds_to(value: float, cited: str) -> bool:
    """Whether value, rounded half away or cut off, is the number as written. With or without its sign if that is not
    written."""
    number = to_number(cited)
    mantissa, _, exponent = cited.lower().partition("e")
    unit = float(f"1e{int(exponent or 0) - len(mantissa.partition('.')[2])}")
    if abs(value - number) <= unit * (0.5 + 1e-6):
        return True
    return abs(value) >= abs(number) and abs(value - number) < unit * (1 - 1e-9) and value * number > 0


def _derivable(cited: str, context: str, values: list[float]) -> bool:
    number = to_number(cited)
    if _RATIO.search(context):
        return True
    if not values:
        return False
    low, high = min(values), max(values)
    margin = 0.5 * 10.0 ** -len(cited.lower().partition("e")[0].partition(".")[2])
    if (_MEAN.search(context) or _BOUND.search(context)) and low - margin <= number <= high + margin:
        return True
    return bool(_CHANGE.search(context)) and abs(number) <= high - low + margin


def invented_images(text: str, evidence: Evidence) -> list[str]:
    """Exemplars, images and experiments cited by number that there are not, such as "exemplar 17".

    Exemplars go up to the most that one experiment logged after tools.dataset_exemplars; images up to all that were
    logged; experiments up to the one that this reply may ask for and the next. A number that stands in a title, a log
    or printed output behind the same word was not invented. 0 is always there, for those who count from it.
    """
    limits = _limits(evidence)
    shown = "\n".join(evidence.texts())
    invented = []
    for match in itertools.islice(_CITED.finditer(text), CITATIONS):
        kind = match.group(1).lower()
        kind = "image" if kind in ("picture", "photo") else kind
        for number in re.findall(r"\d+", match.group(2)):
            name = f"{kind} {int(number)}"
            if int(number) > limits[kind] and not re.search(rf"\b{kind}s?[\s_#]*{int(number)}\b", shown, re.I):
                invented.append(name)
    return list(dict.fromkeys(invented))


def _limits(evidence: Evidence) -> dict[str, int]:
    exemplars = images = 0
    for done in evidence.done:
        logged = [len(entry.images) for entry in done.record.log]
        images += sum(logged)
        if "dataset_exemplars" in done.code.methods:
            exemplars = max([exemplars, *logged])
    return {"exemplar": exemplars, "image": images, "experiment": evidence.turn + 1}
