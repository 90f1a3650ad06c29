"""How good experimenters are: models and their adapters on held-out neurons of known truth (`maia finetune evaluate`).

All describe the same neurons with the same seeds and settings. By default nothing helps them: no guards, no check of
code, no grammar. Each is a run like any other, in a directory of its own: killed and started again, it goes on, and a
finished one is only counted.
"""

import gc
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...agent.backbones.base import Backbone
from ...agent.backbones.registry import backbone_name, model_of
from ...agent.backbones.scripted.backbone import ScriptedBackbone
from ...agent.experiment import TURNS, Settings
from ...agent.run import RunProgress, describe
from ...agent.run_facts import facts_of, joined
from ...agent.transcript import Conclusion, Transcript, unit_directory
from ...engine.items import Purpose
from ...engine.profile import VLM_BACKBONES, Profile
from ...engine.targets import load_target
from ...engine.vlm import with_model
from ...models.errors import UserError
from ...models.files import write_whole
from ...models.groundtruth import GroundTruthTarget, same_truth
from ...models.registry import GROUND_TRUTH_HELD_OUT, GROUND_TRUTHS
from ...models.targets import Unit
from ...models.testbed.world import World
from .finetune_study_counts import UnitCounts, count_unit, difference, summary
from .finetune_study_scores import is_scored, read_scores, score_labels
from .testbed_study import KINDS, ground_truth_units

BASE = "base"
"""What the model without an adapter is called."""
COMPARED = ("turns", "seed", "guards", "check_code", "drawings")
"""Settings of run.json that have to be equal for two runs to be compared."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

Say = Callable[[str], None]
Watch = Callable[[int], AbstractContextManager[RunProgress]]
"""From the number of units to what shows their progress."""


@dataclass(frozen=True)
class StudyOptions:
    """What all compared models have in common. per_kind: neurons of each kind (or all that the target has). drawings:
    "evaluation" for pictures of drawings that exploration, and so training, never uses. score: draw what labels predict
    (`predictive`), and not only compare them with the truth."""

    target: str = GROUND_TRUTH_HELD_OUT
    per_kind: int = 40
    turns: int = TURNS
    seed: int = 0
    jobs: int = 8
    guards: tuple[str, ...] = ()
    check_code: bool = False
    drawings: Purpose = "exploration"
    sandbox: str = "bubblewrap"
    score: bool = True

    @property
    def settings(self) -> Settings:
        """Of the runs."""
        return Settings(
            turns=self.turns,
            seed=self.seed,
            guards=self.guards,
            check_code=self.check_code,
            sandbox=self.sandbox,
            drawings=self.drawings,
        )


@dataclass(frozen=True)
class Arm:
    """One of the compared: a backbone with its profile (vision-language models), or a run that is there already.
    reference: something to compare with, never what is judged."""

    name: str
    profile: Profile
    backbone: str | Backbone = ScriptedBackbone.name
    run: Path | None = None
    reference: bool = False


def arms_of(
    profile: Profile,
    *,
    backbone: str = "in-process",
    vlm: str | None = None,
    url: str | None = None,
    adapters: Mapping[str, str | Path | None] | None = None,
    models: Mapping[str, str | Path] | None = None,
    references: Sequence[str] = (),
    runs: Mapping[str, str | Path] | None = None,
    structured: bool = False,
    temperature: float | None = None,
    context: int | None = None,
) -> list[Arm]:
    """What is compared, in this order: the model (BASE; only if there is one, here or in the profile), the model with
    each adapter, further models, references.

    backbone: "in-process" or "served". vlm: a checkpoint's folder or a name of the catalogue. url: a server that has
    the model and the adapters under their names. adapters: folders by name (None: the profile's folder of that name, or
    the server at url has it). models: checkpoints' folders by name, as those with an adapter merged in. references:
    backbones that need no model ("scripted"). runs: directories of runs that are there already, by name. structured:
    hold replies to the grammar. temperature, context: None: the profile's.
    Raises UserError for adapters without a model, for names that occur twice or cannot be a directory's.
    """
    if backbone not in VLM_BACKBONES:
        raise UserError(f"a model cannot be run as {backbone!r}: choose from {', '.join(VLM_BACKBONES)}.")
    given = {"temperature": temperature, "context": context}
    chosen = {"structured": structured, **{name: value for name, value in given.items() if value is not None}}

    def arm(name: str, of: Profile, **entries: Any) -> Arm:
        return Arm(name, replace(of, backbone=backbone, vlm={**(of.vlm or {}), **entries, **chosen}), backbone)

    base = with_model(profile, vlm, url)
    arms: list[Arm] = []
    if base.vlm is not None and "model" in base.vlm:
        arms.append(arm(BASE, base, adapter=None))
        known = base.vlm.get("adapters") or {}
        for name, folder in (adapters or {}).items():
            named = {**known, **({} if folder is None else {name: str(folder)})}
            arms.append(arm(name, base, adapters=named, adapter=name))
    elif adapters:
        raise UserError("adapters need the model that they were trained for: name it with --vlm, or in the profile.")
    arms += [arm(name, with_model(profile, str(path))) for name, path in (models or {}).items()]
    arms += [Arm(name, replace(profile, vlm=None), name, reference=True) for name in references]
    arms += [Arm(name, profile, run=Path(path), reference=True) for name, path in (runs or {}).items()]
    _check_names([arm.name for arm in arms])
    return arms


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise UserError("nothing is to be evaluated: name a model with --vlm, or in the profile.")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"two of the models are called {', '.join(sorted(twice))}: give each a name of its own.")
    for name in names:
        if not _NAME.fullmatch(name):
            raise UserError(f"{name!r} cannot be a model's name here: use letters, digits, '.', '_', '+' and '-'.")


def evaluate(
    arms: Sequence[Arm],
    out: Path,
    options: StudyOptions = StudyOptions(),
    say: Say = lambda text: None,
    watch: Watch = lambda units: nullcontext(RunProgress()),
) -> dict[str, Any]:
    """Run what is not finished, each arm in OUT/NAME, count, and write OUT/evaluation.json and evaluation.md.

    What is judged is the last arm that is no reference (`judged`); at the top stand its `executable_rate`,
    `format_rate`, `truth_single`, `truth_or`, `truth_conditional` (None where there is nothing to count) and
    `intervals`. arms: `finetune_study_counts.summary` of each, with what it is. differences: the judged one less each
    other. Raises UserError where the profile's world is not the testbed, where a model cannot be had, and where a
    directory holds a run with other settings.
    """
    from .finetune_study_table import to_markdown

    _check_names([arm.name for arm in arms])
    judged = next((arm.name for arm in reversed(arms) if not arm.reference), arms[-1].name)
    target = _target(options.target)
    units = ground_truth_units(options.per_kind, options.seed, options.target)
    counts: dict[str, list[UnitCounts]] = {}
    described: dict[str, dict[str, Any]] = {}
    for arm in arms:
        path = arm.run or out / arm.name
        described[arm.name] = _described(arm, path, units, options, say)
        if arm.run is None:
            _run_arm(arm, path, units, options, say, watch)
        counts[arm.name] = count_run(path, target, units, options.score)
    own = {name: {**described[name], **summary(counted)} for name, counted in counts.items()}
    result = {
        **_top(own[judged]),
        "judged": judged,
        "neurons": {kind: sum(unit.layer == kind for unit in units) for kind in KINDS},
        "options": {**asdict(options), "guards": list(options.guards)},
        "arms": own,
        "differences": {name: difference(counts[judged], base) for name, base in counts.items() if name != judged},
    }
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "evaluation.json", (json.dumps(result, indent=1) + "\n").encode())
    write_whole(out / "evaluation.md", to_markdown(result).encode())
    return result


def _top(judged: Mapping[str, Any]) -> dict[str, Any]:
    entries = {name: judged["rates"][name] for name in ("executable_rate", "format_rate")}
    entries |= {f"truth_{kind}": judged["truth"][kind] for kind in KINDS}
    intervals = {name: entry["interval"] for name, entry in entries.items()}
    return {**{name: entry["rate"] for name, entry in entries.items()}, "intervals": intervals}


def _target(name: str) -> GroundTruthTarget:
    if name not in GROUND_TRUTHS:
        raise UserError(f"the truth of {name}'s units is not known: choose from {', '.join(GROUND_TRUTHS)}.")
    target = load_target(name, World())
    assert isinstance(target, GroundTruthTarget)
    return target


def _described(arm: Arm, path: Path, units: Sequence[Unit], options: StudyOptions, say: Say) -> dict[str, Any]:
    """What the arm is. Of a run that is there already: whether it can be compared."""
    if arm.run is None:
        if arm.profile.world != "testbed":
            raise UserError(
                f"the profile draws with {arm.profile.world}, and the neurons of known truth only see what the testbed "
                "draws: choose a profile with world: testbed."
            )
        vlm = model_of(_profile(arm, options)) if isinstance(arm.backbone, str) else None
        return {"backbone": _backbone_name(arm, options), "vlm": vlm.facts if vlm else None}
    try:
        facts = json.loads((path / "run.json").read_text(encoding="utf-8"))
        missing = [str(unit) for unit in units if str(unit) not in facts["units"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is no directory of a run: it has no readable run.json.") from None
    if missing:
        raise UserError(
            f"the run {path} lacks {len(missing)} of the {len(units)} neurons ({missing[0]} is the first): "
            f"describe them there too, or leave {arm.name} out."
        )
    wanted = {**asdict(options), "guards": list(options.guards)}
    other = [name for name in COMPARED if facts.get(name, "exploration") != wanted[name]]
    if other:
        say(f"{arm.name} was run with other settings ({', '.join(other)}): its difference is not that of models alone.")
    return {"backbone": facts.get("backbone"), "vlm": facts.get("vlm"), "run": str(path), "other_settings": other}


def _profile(arm: Arm, options: StudyOptions) -> Profile:
    name = arm.backbone if isinstance(arm.backbone, str) else arm.backbone.name
    return replace(arm.profile, target=options.target, backbone=name, jobs=options.jobs, turns=options.turns)


def _backbone_name(arm: Arm, options: StudyOptions) -> str:
    if not isinstance(arm.backbone, str):
        return arm.backbone.name
    profile = _profile(arm, options)
    return backbone_name(profile, model_of(profile))


def _run_arm(arm: Arm, path: Path, units: Sequence[Unit], options: StudyOptions, say: Say, watch: Watch) -> None:
    """The arm's run, with scores, as far as it is not there. No model is loaded where nothing is missing."""
    profile = _profile(arm, options)
    vlm = model_of(profile) if isinstance(arm.backbone, str) else None
    facts = facts_of(units, _backbone_name(arm, options), profile, options.settings, vlm)
    joined(path, facts)  # other settings are refused before it counts as finished
    if _finished(path, units, options.score):
        say(f"{arm.name}: {len(units)} neurons, finished in {path}")
        return
    say(f"{arm.name}: {len(units)} neurons with {_backbone_name(arm, options)}, into {path}")
    with watch(len(units)) as progress:
        run = describe(
            units,
            path,
            backbone=arm.backbone,
            profile=profile,
            jobs=options.jobs,
            settings=options.settings,
            progress=progress,
        )
        try:
            if options.score:
                score_labels(run, progress.scoring)
        finally:
            run.close()
    del run
    gc.collect()  # the weights, before those of the next model are read


def _finished(path: Path, units: Sequence[Unit], score: bool) -> bool:
    scores = read_scores(path) if score else {}
    ends = {unit: _transcript(path, unit).end for unit in units}
    return all(ends.values()) and not any(
        score and isinstance(end, Conclusion) and not is_scored(scores, unit, " OR ".join(end.labels))
        for unit, end in ends.items()
    )


def count_run(path: Path, target: GroundTruthTarget, units: Sequence[Unit], score: bool) -> list[UnitCounts]:
    """Counts of the run's units from its files. score: take the predictive scores that it has; a unit without a label
    predicts nothing, which is a score of 0."""
    scores = read_scores(path) if score else {}
    found = []
    for unit in units:
        neuron, transcript = target.neuron(unit), _transcript(path, unit)
        right, value = False, 0.0 if score else None
        if isinstance(transcript.end, Conclusion):
            label = " OR ".join(transcript.end.labels)
            right = same_truth(label, neuron)
            value = scores[str(unit)]["difference"] if is_scored(scores, unit, label) else None
        found.append(count_unit(str(unit), unit.layer, neuron.truth, transcript.records, right, value))
    return found


def _transcript(path: Path, unit: Unit) -> Transcript:
    return Transcript(unit_directory(path, str(unit)) / "transcript.jsonl")
