"""How often a procedure's labels state the truth, by kind of truth and by measure, with intervals."""

from collections.abc import Callable
from typing import Any

from ...models.errors import UserError
from ...models.text_embeddings import TextEmbedder
from .agreement_data import ALL, KINDS, Described, Procedure, parse_truth
from .agreement_truth import THRESHOLD, embedded_truth, exact_truth, synthetic_truth
from .failure_counts import proportion


def evaluate_synthetic(
    procedure: Procedure, embedder: TextEmbedder | None = None, threshold: float = THRESHOLD
) -> dict[str, Any]:
    """How often a procedure's labels state the truth, by kind: {"all" | kind: {count, of, rate, interval (Wilson)}}.

    A unit that ended without a label counts as not found. Keys: words, embedding (None without an embedder), embedder,
    threshold, units (by unit: truth, label, words, embedding), left_out (units not counted, each with why). Raises
    UserError where no unit has a truth that can be read.
    """
    measures: dict[str, Callable[[Described], bool]] = {
        "words": lambda of: synthetic_truth(of.label, of.truth or "", of.description)
    }
    if embedder is not None:
        measures["embedding"] = lambda of: embedded_truth(of.label, of.truth or "", embedder, threshold)
    result = _evaluate(procedure, measures)
    facts = {"name": embedder.name, "fingerprint": embedder.fingerprint} if embedder is not None else None
    return {"embedding": None, **result, "embedder": facts, "threshold": threshold if embedder is not None else None}


def evaluate_exact(procedure: Procedure) -> dict[str, Any]:
    """The same for the testbed, whose words are closed: key `exact`. Units whose truth is not of its grammar are left
    out."""
    return _evaluate(procedure, {"exact": lambda of: exact_truth(of.label, of.truth or "")})


def _evaluate(procedure: Procedure, measures: dict[str, Callable[[Described], bool]]) -> dict[str, Any]:
    answers = procedure.units | {unit: Described(truth, "", "") for unit, truth in procedure.failed.items()}
    units: dict[str, dict[str, Any]] = {}
    kinds: dict[str, str] = {}
    left_out = {unit: why for unit, why in procedure.left_out.items() if unit not in procedure.failed}
    for unit, of in answers.items():
        try:
            if of.truth is None:
                raise ValueError("its truth is not known")
            found = {name: measure(of) for name, measure in measures.items()}
            kinds[unit] = parse_truth(of.truth).kind
        except ValueError as problem:
            left_out[unit] = str(problem)
        else:
            units[unit] = {"truth": of.truth, "label": of.label or None, **found}
    if not units:
        reasons = "; ".join(f"{unit}: {why}" for unit, why in list(left_out.items())[:3]) or "there is no unit"
        raise UserError(f"{procedure.name} has no unit whose truth is known ({reasons}): give a run of such units.")
    rates = {}
    for name in measures:
        groups = {ALL: list(units)} | {kind: [unit for unit in units if kinds[unit] == kind] for kind in KINDS}
        rates[name] = {
            kind: proportion(sum(units[unit][name] for unit in chosen), len(chosen))
            for kind, chosen in groups.items()
            if chosen
        }
    return {**rates, "units": units, "left_out": left_out}
