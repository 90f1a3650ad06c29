"""The forced choice: win rates, intervals, judges that are models, tables."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.quality.agreement import Panel, Verdict, compare, judge_agreement, sign_test, summarise, win_rate
from maia.benchmarks.quality.agreement_data import Described, Pairing, Procedure, pair_up
from maia.benchmarks.quality.agreement_judges import judge_by_embeddings, judge_by_model, parse_answer, through
from maia.benchmarks.quality.agreement_table import HEADS, notes, rows, table, to_markdown
from maia.benchmarks.quality.testbed_study import wilson
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatReply, ChatRequest, ContextOverflow, RequestFailed
from rich.console import Console
from talking import talking

TRUTHS = ["stripes", "train OR instrument", "dog|leash", "tail", "dog OR car", "sky|bird"]


def pairing(count: int = 6, swap: bool = False, same: Sequence[int] = ()) -> Pairing:
    """Procedures "good", which repeats the truth, and "bad"; `same`: units of which both say one thing."""
    good, bad = (
        Procedure(
            name,
            {
                f"synthetic.x.{k}": Described(TRUTHS[k % 6], "Same" if k in same else f"{name} {TRUTHS[k % 6]} {k}", "")
                for k in range(count)
            },
        )
        for name in ("good", "bad")
    )
    return pair_up(bad, good) if swap else pair_up(good, bad)


def reply(text: str) -> ChatReply:
    return ChatReply(text, "stop", 10, 1)


def asked(of: Pairing, complete: Any, **options: Any) -> Panel:
    return asyncio.run(judge_by_model(of, complete, **options))


def favours(word: str) -> Any:
    """A judge that finds the description with the word, wherever it stands."""

    def complete(request: ChatRequest) -> ChatReply:
        (text,) = request.messages[0].parts
        return reply("A" if f"Description A: {word}" in text else "B")

    return complete


class WordEmbedder:
    """Cosines by shared words: what embeddings would say of very simple texts."""

    name, fingerprint, truncated = "words", "f", 0

    def similarity(self, a: Sequence[str], b: Sequence[str]) -> np.ndarray:
        one, other = ([set(text.lower().replace(",", "").split()) for text in texts] for texts in (a, b))
        return np.array([len(x & y) / np.sqrt(len(x) * len(y)) for x, y in zip(one, other, strict=True)], np.float32)


# Rates

values = st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=4), min_size=1, max_size=12)


@settings(max_examples=40)
@given(values, st.integers(0, 3))
def test_rates_of_both_sides_add_up_to_one(judged: list[list[float]], identical: int) -> None:
    one = win_rate(judged, identical)
    other = win_rate([[1 - value for value in unit] for unit in judged], identical)
    assert one["rate"] + other["rate"] == pytest.approx(1)
    assert one["interval"][0] == pytest.approx(1 - other["interval"][1], abs=0.02), "resampled twice: nearly"
    assert (one["wins"], one["losses"], one["ties"]) == (other["losses"], other["wins"], other["ties"])
    assert one["p"] == pytest.approx(other["p"]) and one["interval_by"] == other["interval_by"]
    assert one["interval"][0] <= one["rate"] <= one["interval"][1]
    assert one["units"] == len(judged) + identical


def test_a_unit_counts_once_however_many_judged_it() -> None:
    entry = win_rate([[1.0] * 9, [0.0], [0.0]])
    assert entry["rate"] == pytest.approx(1 / 3) and entry["verdicts"] == 11


def test_the_interval_says_how_it_was_made() -> None:
    single = win_rate([[1.0], [1.0], [0.5], [0.0]])
    assert single["interval_by"] == "wilson" and single["interval"] == pytest.approx(list(wilson(2.5, 4)))
    assert win_rate([[1.0, 1.0], [0.0, 1.0]])["interval_by"] == "bootstrap over units"
    unanimous = win_rate([[1.0] * 10] * 5)
    assert unanimous["interval_by"] == "wilson over units"
    assert unanimous["interval"] == pytest.approx(list(wilson(5, 5))), "50 verdicts about 5 units are no 50 units"
    assert win_rate([]) | {"p": 1.0} == win_rate([]) and win_rate([])["rate"] is None


def coverage(units: int, judges: int, runs: int, interval: Any) -> float:
    """Share of simulated studies whose interval holds the true rate 2/3: units favour A by Beta(2, 1)."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(runs):
        favour = rng.beta(2, 1, units)
        votes = (rng.random((units, judges)) < favour[:, None]).astype(float)
        low, high = interval(votes.tolist())
        held += low <= 2 / 3 <= high
    return held / runs


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    assert 0.92 <= coverage(40, 1, 300, lambda votes: win_rate(votes)["interval"]) <= 0.98
    assert 0.90 <= coverage(40, 10, 200, lambda votes: win_rate(votes)["interval"]) <= 0.98
    # What the clusters are for: verdicts taken as independent claim far more than they know.
    naive = coverage(40, 10, 200, lambda votes: wilson(float(np.sum(votes)), 400))
    assert naive < 0.85


def test_sign_test() -> None:
    # 2 * (1 + 8) / 256, by hand.
    assert sign_test(7, 1) == sign_test(1, 7) == pytest.approx(18 / 256)
    assert sign_test(0, 0) == 1.0 and sign_test(4, 4) == pytest.approx(1.0)


def test_fleiss_kappa_of_the_worked_example() -> None:
    """Ten subjects, fourteen raters, five categories: kappa .210 (the example of Fleiss' kappa in textbooks). Verdicts
    have three values; the function takes any."""
    counts = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    verdicts = [
        Verdict(f"j{place}", f"u{unit}", float(value))
        for unit, row in enumerate(counts)
        for place, value in enumerate(v for v, count in enumerate(row) for _ in range(count))
    ]
    found = judge_agreement(verdicts)
    assert found is not None and found["kappa"] == pytest.approx(0.210, abs=5e-4)
    assert found["pairwise"] == pytest.approx(0.378, abs=5e-4) and found["units"] == 10
    assert judge_agreement([Verdict("a", "u", 1.0)]) is None
    same = judge_agreement([Verdict("a", "u", 1.0), Verdict("b", "u", 1.0)])
    assert same == {"units": 1, "pairwise": 1.0, "kappa": None}


# Models as judges


def test_a_judge_that_sees_the_difference_decides_by_kind() -> None:
    result = summarise(pairing(12, same=[3]), asked(pairing(12, same=[3]), favours("good")))
    assert result["win_rate"]["all"]["rate"] == pytest.approx((11 + 0.5) / 12)
    assert {kind: entry["units"] for kind, entry in result["win_rate"].items()} == {
        "all": 12,
        "single": 4,
        "or": 4,
        "conditional": 4,
    }
    assert result["win_rate"]["conditional"]["rate"] == 1.0 and result["win_rate"]["single"]["rate"] == 3.5 / 4
    assert result["self_agreement"]["rate"] == 1.0 and result["self_agreement"]["of"] == 11
    assert result["first_shown"]["rate"] == 0.5 and result["unjudged"] == []


@settings(max_examples=15)
@given(st.sampled_from(["A", "B"]), st.integers(1, 9))
def test_a_judge_that_looks_at_the_place_only_decides_nothing(letter: str, count: int) -> None:
    panel = asked(pairing(count), lambda request: reply(letter))
    result = summarise(pairing(count), panel)
    assert result["win_rate"]["all"]["rate"] == 0.5 and result["win_rate"]["all"]["ties"] == count
    assert result["self_agreement"]["rate"] == 0.0
    assert result["first_shown"]["rate"] == (1.0 if letter == "A" else 0.0)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 9))
def test_exchanging_the_procedures_exchanges_the_rate(seed: int, count: int) -> None:
    """Of any judge whose answer depends on what it is asked, however odd."""

    def odd(request: ChatRequest) -> ChatReply:
        return reply("AB"[(request.seed + seed) % 7 % 2])

    rates = [summarise(of, asked(of, odd))["win_rate"]["all"]["rate"] for of in (pairing(count), pairing(count, True))]
    assert sum(rates) == pytest.approx(1.0)


def test_unreadable_and_failed_replies_cost_their_pair_and_are_counted() -> None:
    def complete(request: ChatRequest) -> ChatReply:
        (text,) = request.messages[0].parts
        if "good tail 3" in text:
            return reply("Both agree.")
        if "Description A: bad stripes 0" in text:
            raise RequestFailed("too hot")
        if "Description A: good dog OR car 4" in text:
            raise ContextOverflow("too long", 5)
        return favours("good")(request)

    panel = asked(pairing(), complete)
    result = summarise(pairing(), panel)
    assert panel.facts == {"unreadable": 2, "failed": 2}
    assert result["unjudged"] == ["synthetic.x.0", "synthetic.x.3", "synthetic.x.4"]
    assert result["win_rate"]["all"]["rate"] == 1.0 and result["win_rate"]["all"]["units"] == 3
    assert panel.problems["synthetic.x.0, B first"] == "too hot"
    assert "'Both agree.'" in panel.problems["synthetic.x.3, A first"]
    assert panel.first_shown is not None and panel.first_shown[1] == 8, "of four pairs with both, two with one"


def test_what_nobody_can_mend_ends_the_judging() -> None:
    def complete(request: ChatRequest) -> ChatReply:
        raise UserError("the model is gone")

    with pytest.raises(UserError, match="gone"):
        asked(pairing(), complete)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("A", True),
        ("B", False),
        (" B.\n", False),
        ("**A**", True),
        ('"B"', False),
        ("(A)", True),
        ("a", None),
        ("A or B", None),
        ("A B", None),
        ("Description A", None),
        ("", None),
        ("AB", None),
        ("Answer: A because", None),
    ],
)
def test_answers_are_read_strictly(text: str, chosen: bool | None) -> None:
    assert parse_answer(text) is chosen


async def test_through_the_scheduler() -> None:
    scheduler, runner = talking(lambda request: favours("good")(request).text)
    async with scheduler, scheduler.agent("agreement"):
        panel = await judge_by_model(pairing(), through(scheduler), at_once=2)
    assert [verdict.value for verdict in panel.verdicts] == [1.0] * 6 and len(runner.asked) == 12
    assert all(request.sampling.temperature == 0 and request.grammar for request in runner.asked)


async def test_failures_of_the_scheduler_are_failures_of_a_trial() -> None:
    scheduler, _ = talking(lambda request: RequestFailed("no"))
    async with scheduler, scheduler.agent("agreement"):
        panel = await judge_by_model(pairing(), through(scheduler))
    assert panel.facts["failed"] == 12 and panel.verdicts == []


def test_embeddings_take_the_nearer_text() -> None:
    a = Procedure("a", {"u": Described("dog|leash", "dog presence leash", ""), "v": Described("tail", "tail x", "")})
    b = Procedure("b", {"u": Described("dog|leash", "dog", ""), "v": Described("tail", "y tail", "")})
    panel = judge_by_embeddings(pair_up(a, b), WordEmbedder())
    assert [verdict.value for verdict in panel.verdicts] == [1.0, 0.5], "equal cosines are a tie"
    swapped = judge_by_embeddings(pair_up(b, a), WordEmbedder())
    assert [verdict.value for verdict in swapped.verdicts] == [0.0, 0.5]
    assert summarise(pair_up(a, b), panel)["self_agreement"] is None


# Results


def test_panels_side_by_side_and_their_tables() -> None:
    of = pairing(6, same=[0])
    panels = [asked(of, favours("good"), name="lm"), judge_by_embeddings(of, WordEmbedder())]
    people = [
        Verdict(f"p{k}", pair.unit, float(k > 0), True if k == 1 else None) for pair in of.pairs for k in range(3)
    ]
    panels.append(Panel("people", "people", people, (7, 15), {"x.json": "it is no answer file"}, {"judges_wanted": 10}))
    result = compare(of, panels, seed=1)
    assert result == compare(of, panels, seed=1)
    assert result["panels"]["people"]["win_rate"]["all"]["interval_by"] == "bootstrap over units"
    assert result["panels"]["people"]["agreement"]["pairwise"] == pytest.approx(1 / 3)
    # lm and people favour A in all five, embeddings tie: one pair of panels of three agrees.
    assert result["between_panels"]["pairwise"] == pytest.approx(1 / 3)
    cells = list(rows(result))
    assert [row[0] for row in cells if row[1] == "all"] == ["lm", "embeddings", "people"]
    assert all(len(row) == len(HEADS) for row in cells) and len(cells) == 12
    text = to_markdown(result)
    assert "3 judges of 10 wanted" in text and "x.json: it is no answer file" in text
    assert "1 units with the same label of both count half" in text and "agreement with itself 1.00 of 5" in text
    console = Console(record=True, width=180)
    console.print(table(result))
    assert "good (A) or bad (B)" in console.export_text()
    with pytest.raises(ValueError, match="one name"):
        compare(of, [panels[0], panels[0]])


def test_texts_of_models_cannot_break_the_tables() -> None:
    a = Procedure("[red]a[/x]", {"u": Described("dog|leash", "dogs | [/]", "")})
    b = Procedure("b", {"u": Described("dog|leash", "x", "")})
    of = pair_up(a, b)
    result = compare(of, [Panel("m|n", "model", [], problems={"u|": "[/]"})])
    console = Console(record=True, width=180)
    console.print(table(result))
    assert "[red]a[/x]" in console.export_text()
    assert "m\\|n" in to_markdown(result) and any("u|: [/]" in note for note in notes(result))
