"""What each family of vision-language models can take: rows of facts, from `families.yaml`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """architectures: names in a checkpoint's config.json by which it is recognised.

    images_per_turn: pictures that one user's message may hold (more go onto a contact sheet); 0: text only.
    images_per_prompt: in a whole dialogue. images_first: the chat template puts a message's pictures before its text,
    wherever they stood. system_role: the template takes a system message; else its text heads the first user message.
    image_side: pixels of a picture's longer side at most, as sent; sheet_side: of a contact sheet's. context: tokens
    that its published checkpoints read. server_args: options that a vLLM server needs for it. note: one sentence for
    people.
    """

    name: str
    architectures: tuple[str, ...]
    images_per_turn: int
    images_per_prompt: int
    images_first: bool
    system_role: bool
    image_side: int
    sheet_side: int
    context: int
    server_args: tuple[str, ...] = ()
    note: str = ""
