"""Guards: who is refused how often, that units finish, and that the scripted experimenter trips none."""

import contextlib
from collections import Counter

import pytest
from guard_cases import (
    COPIED,
    COPIES,
    EXEMPLARS,
    INVENTED,
    MADE,
    NEW,
    PICTURE,
    SAME,
    SEEN,
    THIN,
    code,
    ending,
    experiment,
    reply,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.backbones.scripted.backbone import ScriptedBackbone
from maia.agent.backbones.scripted.hypotheses import Hypothesis
from maia.agent.guard_code import read_code
from maia.agent.guards import (
    GUARDS,
    LET_PASS,
    REFUSALS,
    REFUSED,
    REMARKED,
    Verdict,
    guard_counts,
    guards_named,
    on_conclusion,
    on_experiment,
    refused_conclusion,
)
from maia.agent.replies import ParsedReply, parse_reply
from maia.agent.transcript import Conclusion, Experiment, LogEntry, Notice, Record, Remark, Reply
from maia.benchmarks.quality.flawed import MODES, FlawedBackbone
from maia.models.errors import ExperimentError, UserError
from simulated_units import play, start


def verdict_on(
    records: list[Record], last: Reply, left: int = 5, answers: int = 7, enabled: tuple[str, ...] = GUARDS
) -> Verdict:
    parsed = parse_reply(last.text)
    if parsed.code is None:
        return on_conclusion([*records, last], parsed, enabled, experiments_left=left, answers_left=answers)
    return on_experiment([*records, last], parsed, enabled)


def test_who_refuses_and_who_remarks() -> None:
    bad = "Hypothesis_1: The image shows a cat, 14.21"
    copied = verdict_on(SEEN[:1], reply(COPIES[0], 1, bad))
    assert [f.guard for f in copied.refusals] == [COPIED] and not copied.recorded
    assert "was not run" in copied.refusals[0].text
    assert copied.notices(1) == [Notice(1, "guard/copied-example", copied.refusals[0].text)]
    remarked = verdict_on(SEEN, reply(NEW, 3, bad))
    assert not remarked.refusals
    assert [remark.kind for remark in remarked.recorded] == [f"guard/{INVENTED}", f"guard/{PICTURE}"]
    concluded = verdict_on(SEEN[:2], ending(label="a photo of a bus", description="It reached 14.21."))
    assert {f.guard for f in concluded.refusals} == {INVENTED, THIN, PICTURE}


@pytest.mark.parametrize("guard", GUARDS)
def test_each_guard_can_be_switched_off(guard: str) -> None:
    others = tuple(name for name in GUARDS if name != guard)
    last = reply(MADE, 3, "Hypothesis_1: The image shows a cat, 14.21")
    copied = reply(COPIES[0], 1)
    ends = ending(label="a photo of a bus", description="It reached 14.21.")
    for records, given_reply in ((SEEN, last), (SEEN[:1], copied), (SEEN[:2], ends)):
        every, some = (verdict_on(records, given_reply, enabled=names) for names in (GUARDS, others))
        kept = [f.guard for f in every.refusals if f.guard != guard]
        assert [f.guard for f in some.refusals] == kept
        assert guard not in {f.guard for f in (*some.remarks, *some.let_pass)}
    assert verdict_on(SEEN, last, enabled=()) == verdict_on(SEEN, reply(NEW))


def test_guards_by_name() -> None:
    assert guards_named("all") == GUARDS and guards_named("none") == ()
    assert set(guards_named(f"{THIN},{INVENTED}")) == {INVENTED, THIN}
    with pytest.raises(UserError, match="thin-evidence"):
        guards_named("thin")


def test_after_two_refusals_a_guard_lets_pass_and_says_so() -> None:
    records = list(SEEN[:2])
    for turn in range(3, 3 + REFUSALS):
        records.append(ending(turn))
        refused = verdict_on(records[:-1], records[-1])
        assert [f.guard for f in refused.refusals] == [THIN]
        records += refused.notices(turn)
    last = ending(3 + REFUSALS)
    passed = verdict_on(records, last)
    assert not passed.refusals and passed.recorded == [Remark(f"let-pass/{THIN}", passed.let_pass[0].text)]
    whole = [*records, last, Conclusion(5, "x", ["bus"], False, passed.recorded)]
    assert guard_counts(whole) == Counter({(THIN, REFUSED): 2, (THIN, LET_PASS): 1})
    remarked = experiment(6, NEW, remarks=[Remark(f"guard/{INVENTED}", "x")])
    assert guard_counts([remarked]) == Counter({(INVENTED, REMARKED): 1})
    assert refused_conclusion(records) == (4, parse_reply(records[-2].text))  # type: ignore[union-attr]
    assert refused_conclusion(SEEN) is None


def test_final_answers_are_refused_once_in_all_and_never_the_last_one() -> None:
    asked: list[Record] = [*SEEN, Notice(12, "last-turn", "This was the last experiment.")]
    invented = ending(13, description="It reached 14.21.")
    first = verdict_on(asked, invented, left=0, answers=1)
    assert [f.guard for f in first.refusals] == [INVENTED]
    assert not verdict_on(asked, invented, left=0, answers=0).refusals
    again = [*asked, invented, *first.notices(13)]
    other = verdict_on(again, ending(14, label="a photo of a bus"), left=0, answers=1)
    assert not other.refusals and [f.guard for f in other.let_pass] == [PICTURE]


def test_thin_evidence_is_let_pass_where_no_experiment_is_left() -> None:
    verdict = verdict_on(SEEN[:2], ending(12), left=0, answers=2)
    assert not verdict.refusals and [f.guard for f in verdict.let_pass] == [THIN]


@pytest.mark.parametrize(
    "truth",
    [Hypothesis("single", "dog"), Hypothesis("or", "ball", "beach"), Hypothesis("given", "cat", "grass")],
    ids=lambda truth: truth.label,
)
def test_the_scripted_experimenter_trips_no_guard(truth: Hypothesis) -> None:
    records = play(ScriptedBackbone(), truth, seed=len(truth.label))
    assert isinstance(records[-1], Conclusion) and len(records[-1].labels) >= 1
    assert guard_counts(records) == Counter()


@pytest.mark.parametrize("mode", MODES)
def test_a_backbone_that_always_fails_and_never_listens_still_finishes(mode: str) -> None:
    records = play(FlawedBackbone({mode: 1.0}, deaf=True), Hypothesis("single", "bus"), turns=6)
    lost = {"empty-reply", "endless-reply", "unreadable-reply", "several-blocks", "code-after-last-turn"}
    assert isinstance(records[-1], Conclusion) or mode in lost
    counts = guard_counts(records)
    assert all(counts[guard, REFUSED] <= REFUSALS for guard in GUARDS)
    if mode in GUARDS:
        assert counts[mode, REFUSED] + counts[mode, REMARKED] > 0


WORDS = st.sampled_from(
    [
        "The image shows",
        "activation",
        "14.21",
        "-3",
        "exemplar 17",
        "bus",
        "[LABEL]: x",
        "mean",
        "%",
        "\n",
        "1e999",
        "٣.٤",
        "\ud800",
    ]
)
TEXT = st.lists(WORDS | st.text(max_size=12), max_size=12).map(" ".join)
CODE = st.one_of(TEXT, st.sampled_from([code(body) for body in (*COPIES, *SAME, EXEMPLARS)]), st.text(max_size=60))
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
ENTRIES = st.builds(
    LogEntry, st.lists(NUMBERS, max_size=3), st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=3), TEXT
)
RECORDS: st.SearchStrategy[list[Record]] = st.lists(
    st.one_of(
        st.just(start()),
        st.builds(Reply, st.integers(0, 15), TEXT),
        st.builds(
            Experiment,
            st.integers(0, 15),
            CODE,
            st.sampled_from(["ok", "error"]),
            TEXT,
            TEXT,
            st.lists(ENTRIES, max_size=2),
        ),
        st.builds(
            Notice, st.integers(0, 15), st.sampled_from(["last-turn", *(f"guard/{name}" for name in GUARDS)]), TEXT
        ),
    ),
    max_size=6,
)


@settings(max_examples=150)
@given(RECORDS, TEXT, CODE, TEXT, st.lists(TEXT, max_size=3), st.integers(0, 3), st.integers(0, 3))
def test_nothing_that_a_reply_or_a_record_holds_makes_a_guard_raise(
    records: list[Record], hypotheses: str, source: str, description: str, labels: list[str], left: int, answers: int
) -> None:
    asked = on_experiment(records, ParsedReply(hypotheses, source))
    parsed = ParsedReply(hypotheses, None, description, labels)
    ended = on_conclusion(records, parsed, experiments_left=left, answers_left=answers)
    assert ended == on_conclusion(list(records), parsed, experiments_left=left, answers_left=answers)
    for verdict in (asked, ended):
        assert not (verdict.refusals and verdict.recorded)
        assert all(finding.guard in GUARDS and finding.text for finding in verdict.refusals)
    if answers == 0:
        assert not ended.refusals
    guard_counts(records)
    refused_conclusion(records)


@settings(max_examples=60)
@given(st.text(max_size=200))
def test_any_text_is_code_that_can_be_read(source: str) -> None:
    read_code(source)
    with contextlib.suppress(ExperimentError):
        parse_reply(source)


def test_endless_text_takes_no_endless_time() -> None:
    text = "activating " * 20_000 + "activation 3.21 exemplar 99 " * 5_000 + "(" * 5_000
    parsed = ParsedReply(text, code(NEW) + "#" * 100_000)
    assert on_experiment([*SEEN, Reply(3, text)], parsed).remarks
