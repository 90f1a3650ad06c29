"""Chat templates, rendered as the libraries render them and without them: to count tokens and to try a template out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .chat import ChatImage, ChatMessage

SYSTEM, QUESTION, REPLY = "MAIA-system", "MAIA-question", "MAIA-reply"
"""Texts that no template holds, by which it is seen where it puts what it is given."""

_PICTURE = ChatImage(b"", 1, 1)


class TemplateRefusal(Exception):
    """The template does not take this dialogue."""


class _Generation(Extension):
    """`{% generation %}`: marks the assistant's words for training; of no effect here."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> None:
    raise TemplateRefusal(message)


@dataclass(frozen=True)
class ChatTemplate:
    """source: Jinja. tokens: special tokens that it may name, as bos_token."""

    source: str
    tokens: Mapping[str, str]

    @cached_property
    def _compiled(self) -> jinja2.Template:
        # Settings and names are those of transformers' chat templates (utils/chat_template_utils.py).
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.globals["raise_exception"] = _refuse
        # A date of fixed length stands for today's: the text is only measured.
        environment.globals["strftime_now"] = lambda form: "2000-01-01"
        return environment.from_string(self.source)

    def render(self, messages: Sequence[ChatMessage], generation_prompt: bool = True) -> str:
        """The prompt's text, each picture as the template's placeholder.

        generation_prompt: it ends where the assistant begins. Contents are given as lists of parts; where the template
        refuses them, those without a picture as plain texts. Raises TemplateRefusal if it does not take the dialogue.
        """
        try:
            return self._rendered(messages, generation_prompt, plain=False)
        except TemplateRefusal:
            return self._rendered(messages, generation_prompt, plain=True)

    def _rendered(self, messages: Sequence[ChatMessage], generation_prompt: bool, plain: bool) -> str:
        dialogue = [{"role": message.role, "content": _content(message, plain)} for message in messages]
        try:
            return self._compiled.render(
                messages=dialogue, add_generation_prompt=generation_prompt, tools=None, documents=None, **self.tokens
            )
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise TemplateRefusal(f"{type(error).__name__}: {error}") from error

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message's text arrives in the prompt."""
        try:
            text = self.render([ChatMessage("system", (SYSTEM,)), ChatMessage("user", (QUESTION,))])
        except TemplateRefusal:
            return False
        return SYSTEM in text and QUESTION in text

    @cached_property
    def moves_images_first(self) -> bool:
        """Whether a message's pictures come before its text though they were given after it."""
        after = self.render([ChatMessage("user", (QUESTION, _PICTURE))])
        before = self.render([ChatMessage("user", (_PICTURE, QUESTION))])
        return after == before

    @cached_property
    def takes_images(self) -> bool:
        """Whether a picture leaves a placeholder in the prompt."""
        try:
            with_picture = self.render([ChatMessage("user", (_PICTURE, QUESTION))])
        except TemplateRefusal:
            return False
        return with_picture != self.render([ChatMessage("user", (QUESTION,))])

    def check(self) -> str | None:
        """What is wrong with it, None if nothing: it must go on with a dialogue of several turns."""
        dialogue = [
            ChatMessage("user", (QUESTION,)),
            ChatMessage("assistant", (REPLY,)),
            ChatMessage("user", ("next",)),
        ]
        try:
            text = self.render(dialogue)
        except TemplateRefusal as refusal:
            return str(refusal)
        except jinja2.TemplateError as error:
            return str(error)
        return None if QUESTION in text and REPLY in text else "messages do not arrive in the prompt"


def _content(message: ChatMessage, plain: bool) -> str | list[dict[str, Any]]:
    texts = [part for part in message.parts if isinstance(part, str)]
    if plain and len(texts) == len(message.parts):
        return "".join(texts)
    return [
        {"type": "image"} if isinstance(part, ChatImage) else {"type": "text", "text": part} for part in message.parts
    ]
