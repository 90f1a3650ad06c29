"""Prompts within a budget: what may be left out of a dialogue, and what of it a server has read before."""

import dataclasses
import itertools
import tempfile
from pathlib import Path

import pytest
from dialogues import CountingTokens, family, pictures, reply, result
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from maia.agent import context
from maia.agent.backbones.base import Message, Passage, Picture
from maia.agent.context import Prompt, fit
from maia.agent.rendering import GONE, Cut, rendered
from maia.models.vlm.chat import ChatImage, ContextOverflow
from maia.models.vlm.families import Family

FOLDER = tempfile.TemporaryDirectory(prefix="maia-context-")
FILES = pictures(Path(FOLDER.name))
COUNTER = CountingTokens()
UNBOUNDED = 10**9
FIXED = ("system rules", "task to do")


@st.composite
def results(draw: st.DrawFn, number: int) -> Message:
    count = draw(st.integers(0, 5))
    values: list[float | None] = (
        draw(st.lists(st.integers(0, 30), min_size=count, max_size=count)) if draw(st.booleans()) else [None] * count
    )
    shown = [
        Picture(draw(st.sampled_from(FILES)), f"title {number} {place}", value) for place, value in enumerate(values)
    ]
    note = f"note{number} " * draw(st.integers(1, 120))
    return result(number, shown, Passage(note.strip(), draw(st.sampled_from(("", f"brief{number}", note * 2)))))


@st.composite
def dialogues(draw: st.DrawFn) -> list[Message]:
    messages = [Message("system", (FIXED[0],)), Message("user", (Passage(FIXED[1], ""),))]
    for number in range(1, draw(st.integers(1, 6)) + 1):
        if draw(st.integers(0, 4)):
            messages.append(reply(f"idea {number}", f"code{number} = 1\n" * draw(st.integers(1, 40))))
        else:
            messages.append(Message("assistant", (f"chatter{number} " * draw(st.integers(1, 300)),)))
        messages.append(draw(results(number)))
    return messages


settings_of_models = st.tuples(
    st.builds(family, images_first=st.booleans(), images_per_prompt=st.integers(1, 6)),
    st.integers(0, 4),
)


def prompts(messages: list[Message], chosen: Family, images: int, budget: int) -> list[Prompt]:
    """Those of all turns; none from a turn on that cannot be asked."""
    made = []
    for end in range(2, len(messages) + 1, 2):
        try:
            made.append(fit(messages[:end], chosen, images, COUNTER, budget))
        except ContextOverflow:
            break
    return made


def texts(prompt: Prompt, place: int) -> str:
    return "\n".join(part for part in prompt.messages[place].parts if isinstance(part, str))


def images(prompt: Prompt, place: int) -> list[ChatImage]:
    return [part for part in prompt.messages[place].parts if isinstance(part, ChatImage)]


def evidence(messages: list[Message]) -> set[int]:
    """Places of the exemplars and of the highest activation."""
    shown = [
        (place, [part.activation for part in message.parts if isinstance(part, Picture)])
        for place, message in enumerate(messages)
    ]
    values = [(value, -place) for place, found in shown for value in found if value is not None]
    return {place for place, found in shown if found and place == next(p for p, f in shown if f)} | (
        {-max(values)[1]} if values else set()
    )


def all_texts(message: Message) -> list[str]:
    return [part.text if isinstance(part, Passage) else part for part in message.parts if not isinstance(part, Picture)]


def counted(prompt: Prompt) -> int:
    return len(COUNTER.stream(prompt.messages)) + COUNTER.message


@given(dialogues(), settings_of_models, st.floats(0.15, 1.05))
@settings(max_examples=60)
def test_every_turn_of_a_dialogue(messages: list[Message], model: tuple[Family, int], share: float) -> None:
    chosen, per_turn = model
    free = dataclasses.replace(chosen, images_per_prompt=99)
    per_message = min(per_turn, chosen.images_per_prompt)
    budget = int(share * fit(messages, free, per_turn, COUNTER, UNBOUNDED).tokens)
    made = prompts(messages, chosen, per_turn, budget)
    for turn, prompt in enumerate(made):
        asked = messages[: 2 * turn + 2]
        whole = fit(asked, free, per_message, COUNTER, UNBOUNDED)
        assert prompt.tokens == counted(prompt) <= budget
        assert [message.role for message in prompt.messages] == [message.role for message in asked]
        assert sum(len(images(prompt, place)) for place in range(len(asked))) <= chosen.images_per_prompt
        # What is never left out.
        assert texts(prompt, 0) == FIXED[0] and texts(prompt, 1) == FIXED[1]
        assert prompt.messages[-1] == whole.messages[-1]
        for place in evidence(asked):
            assert all(text in texts(prompt, place) for text in all_texts(asked[place]))
        if turn:
            assert prompt.messages[-2] == whole.messages[-2], "the reply that the result answers to"
    for before, after in itertools.pairwise(made):
        kept = after.messages[: len(before.messages)]
        added = counted(after) - counted(dataclasses.replace(after, messages=kept)) + before.tokens
        pictured = sum(
            isinstance(part, ChatImage) for m in (*before.messages, *after.messages[-2:]) for part in m.parts
        )
        if added <= budget and pictured <= chosen.images_per_prompt:
            assert kept == before.messages, "a prompt with room to grow only grows"
        # Left out for good: of every message, later prompts hold the same or less.
        for place, (old, new) in enumerate(zip(before.messages, kept, strict=True)):
            assert set(images(after, place)) <= set(images(before, place))
            details = [part.text for part in messages[place].parts if isinstance(part, Passage) and part.text]
            gone = [text for text in details if text not in texts(before, place)]
            assert not [text for text in gone if text in texts(after, place)]
            longer = counted(dataclasses.replace(before, messages=[new])) - counted(
                dataclasses.replace(before, messages=[old])
            )
            assert old == new or longer <= COUNTER.text(GONE), "but for the remark in the place of a tiny picture"


@given(dialogues(), settings_of_models, st.floats(0.15, 1.0))
@settings(max_examples=40)
def test_a_prompt_depends_on_the_messages_alone(
    messages: list[Message], model: tuple[Family, int], share: float
) -> None:
    chosen, per_turn = model
    budget = int(share * fit(messages, chosen, per_turn, COUNTER, UNBOUNDED).tokens)
    made = prompts(messages, chosen, per_turn, budget)
    assume(len(made) == len(messages) // 2)
    # A resumed run asks for the last prompt first, of messages that are equal and not the same.
    again = [
        Message(m.role, tuple(dataclasses.replace(p) if not isinstance(p, str) else p for p in m.parts))
        for m in messages
    ]
    assert fit(again, chosen, per_turn, COUNTER, budget) == made[-1]


@given(dialogues(), settings_of_models, st.floats(0.02, 0.7))
@settings(max_examples=60)
def test_overflow_only_when_what_must_stay_is_too_long(
    messages: list[Message], model: tuple[Family, int], share: float
) -> None:
    chosen, per_turn = model
    chosen = dataclasses.replace(chosen, images_per_prompt=99)
    budget = int(share * fit(messages, chosen, per_turn, COUNTER, UNBOUNDED).tokens)
    last, protected = len(messages) - 1, evidence(messages)
    least, number = COUNTER.message, 1
    for place, message in enumerate(messages):
        cuts = [Cut()]
        if 2 <= place < last - 1:
            cuts += [Cut(pictures=True)] + ([] if place in protected else [Cut(True, True)])
        sizes = []
        for cut in cuts:
            sent = rendered(message, number, chosen, per_turn, cut)
            sizes.append(
                sum(COUNTER.text(part) if isinstance(part, str) else COUNTER.image(*part.size) for part in sent)
            )
        least += COUNTER.message + min(sizes)
        number += sum(isinstance(part, Picture) for part in message.parts)
    if least <= budget:
        assert fit(messages, chosen, per_turn, COUNTER, budget).tokens <= budget
    else:
        # Old evidence that was best for a while may have been shortened before: never less than `least` all the same.
        with pytest.raises(ContextOverflow) as raised:
            fit(messages, chosen, per_turn, COUNTER, budget)
        assert raised.value.limit == budget and str(budget) in str(raised.value)


def dialogue_of(*counts: int, note: int = 60) -> list[Message]:
    messages = [Message("system", (FIXED[0],)), Message("user", (FIXED[1],))]
    for number, count in enumerate(counts, start=1):
        shown = [Picture(FILES[place], f"title {number} {place}", 10.0 - number) for place in range(count)]
        messages.append(reply(f"idea {number}", f"code{number} = 1\n" * 10))
        messages.append(result(number, shown, Passage(f"note{number} " * note, f"brief{number}")))
    return messages


def test_the_order_in_which_things_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "LOW_WATER", 1.0)  # one thing at a time
    monkeypatch.setattr(context, "LOW_DETAILS", 1.0)
    messages = dialogue_of(3, 3, 3, 3)
    whole = fit(messages, family(), 1, COUNTER, UNBOUNDED)
    stages = []
    for budget in range(whole.tokens, 0, -4):
        try:
            prompt = fit(messages, family(), 1, COUNTER, budget)
        except ContextOverflow:
            break
        stage = (
            bool(images(prompt, 3)),  # the exemplars', which are the best evidence too
            *(bool(images(prompt, place)) for place in (5, 7, 9)),
            *("brief" not in texts(prompt, place) for place in (3, 5, 7, 9)),
            *("code1 = 1" in texts(prompt, 2), "code3 = 1" in texts(prompt, 6), "code4 = 1" in texts(prompt, 8)),
        )
        if not stages or stage != stages[-1]:
            stages.append(stage)
    assert stages[0] == (True,) * 11
    # Old pictures before old texts, oldest first, texts before replies, and the exemplars' pictures last.
    assert stages[-1] == (False, False, False, True, True, False, False, True, False, False, True)
    first_gone = [next(n for n, stage in enumerate(stages) if not stage[what]) for what in (1, 2, 5, 6, 8, 9, 0)]
    assert first_gone == sorted(first_gone)
    assert len(set(first_gone)) == len(first_gone)


def test_what_is_said_where_something_was() -> None:
    messages = dialogue_of(3, 3, 3)
    whole = fit(messages, family(), 1, COUNTER, UNBOUNDED)
    prompt = fit(messages, family(), 1, COUNTER, whole.tokens - 1)
    assert "no longer shown" in texts(prompt, 5) and "[picture" not in texts(prompt, 5)
    assert "no longer shown" not in texts(prompt, 3) and prompt.images_dropped == 3
    tight = fit(messages, family(), 1, COUNTER, 440)
    assert tight.images_dropped == 6 and tight.passages_shortened == 4 and tight.replies_shortened == 2
    assert "idea 1" in texts(tight, 2) and "left out" in texts(tight, 2), "hypotheses stay when the code goes"


def test_fewer_images_a_prompt_than_turns() -> None:
    messages = dialogue_of(2, 2, 2, 2, 2, 2)
    prompt = fit(messages, family(images_per_prompt=3), 1, COUNTER, UNBOUNDED)
    shown = [place for place in range(len(messages)) if images(prompt, place)]
    assert shown[0] == 3 and shown[-1] == 13 and len(shown) <= 3, "the exemplars and the newest"
    assert prompt.images_dropped == 2 * (6 - len(shown))
    alone = fit(messages, family(images_per_prompt=1), 1, COUNTER, UNBOUNDED)
    assert [place for place in range(len(messages)) if images(alone, place)] == [13]


def test_a_template_without_a_system_role() -> None:
    messages = dialogue_of(1)
    prompt = fit(messages, family(system_role=False), 1, COUNTER, UNBOUNDED)
    assert [message.role for message in prompt.messages] == ["user", "assistant", "user"]
    assert texts(prompt, 0) == "\n".join(FIXED)


def test_characters_that_no_server_reads() -> None:
    messages = [
        Message("system", ("rules",)),
        Message("user", ("half \ud83d of one",)),
        Message("assistant", ("\udc00",)),
    ]
    prompt = fit([*messages, Message("user", ("on",))], family(), 1, COUNTER, UNBOUNDED)
    assert texts(prompt, 1) == "half ? of one" and texts(prompt, 2) == "?"


def test_a_note_in_the_place_of_details() -> None:
    """Of some passages more is left than they held: the heading of an entry turns into its summary."""
    parts = (Passage("Log entry 1:", "Log entry 1, shortened: 9 at most"), Passage("value 9\n" * 80, ""))
    messages = [*dialogue_of(0), reply("idea", "code"), Message("user", parts), *dialogue_of(0, 0)[2:]]
    whole = fit(messages, family(), 1, COUNTER, UNBOUNDED)
    prompt = fit(messages, family(), 1, COUNTER, whole.tokens - 1)
    assert texts(prompt, 5) == "Log entry 1, shortened: 9 at most"


def test_more_goes_at_once_than_must() -> None:
    messages = dialogue_of(3, 3, 3, 3, 3, 3, note=4)
    budget = fit(messages, family(), 1, COUNTER, UNBOUNDED).tokens - 1
    prompt = fit(messages, family(), 1, COUNTER, budget)
    shown = [place for place in range(len(messages)) if images(prompt, place)]
    assert prompt.tokens <= context.LOW_WATER * budget or shown == [3, 13]
    assert prompt.images_dropped > 3 and shown[0] == 3 and shown[-1] == 13
