"""The small backbone that ships, in the closed loop: it reads pictures, writes code that runs, and concludes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from maia.agent.backbones.teacher.beliefs import read_counts
from maia.agent.experiment import Settings
from maia.agent.run import describe
from maia.agent.transcript import Conclusion, Experiment, Reply
from maia.engine.profile import load_profile
from maia.models.groundtruth import GroundTruthTarget
from maia.models.registry import GROUND_TRUTH_HELD_OUT
from maia.models.targets import Unit

UNITS = [Unit(GROUND_TRUTH_HELD_OUT, "single", index) for index in (15, 17)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path) -> Iterator[None]:
    """The checkpoint is put together here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAIA_CACHE", str(tmp_path / "cache"))
        yield


@pytest.mark.timeout(900)
def test_it_interprets_neurons_whose_words_no_training_set_has_as_an_answer(tmp_path: Path) -> None:
    """Without guards, grammar or repairs. How often it finds the truth is for `maia finetune evaluate` to say; here it
    reads pictures, writes code that runs, and names what its code counted."""
    profile = replace(load_profile("testbed"), dataset_images=1500)
    run = describe(
        UNITS,
        tmp_path / "run",
        backbone="small",
        profile=profile,
        jobs=2,
        settings=Settings(guards=(), check_code=False),
    )
    seen, named = [], []
    for unit, transcript in zip(run.units, run.transcripts, strict=True):
        target = run.services[unit.target].target
        assert isinstance(target, GroundTruthTarget)
        replies = [record for record in transcript.records if isinstance(record, Reply)]
        experiments = [record for record in transcript.records if isinstance(record, Experiment)]
        assert len(replies) >= 3 and len(experiments) >= 2
        assert all(experiment.outcome == "ok" for experiment in experiments)
        assert isinstance(transcript.end, Conclusion) and not transcript.end.forced
        # What it says of the exemplars, as its code counted it, are words of the world.
        counts = read_counts(experiments[0].log[0].text)
        assert counts is not None and 0 < counts.total <= 15 and max(counts.picture.values()) >= counts.total // 2
        assert sum(counts.picture.values()) > 2 * counts.total
        often = [word for word, count in counts.bright.items() if count >= counts.total // 2]
        named.append(any(word in label for word in often for label in transcript.end.labels))
        seen.append(any(str(concept) in often for concept in target.neuron(unit).concepts))
    run.close()
    assert any(seen) and any(named)
