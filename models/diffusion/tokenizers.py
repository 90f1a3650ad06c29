"""Tokenizers that need no download: CLIP's, from the vocabulary that open_clip brings along, tiny ones for tests."""

import gzip
from pathlib import Path
from typing import Any

CLIP_MERGES = 49152 - 256 - 2
"""Merges of CLIP's byte pair encoding: 49408 entries are 2 * 256 bytes, these, and two special tokens."""

START, END = "<|startoftext|>", "<|endoftext|>"

CLIP_LENGTH = 77
"""Tokens that CLIP's text encoders read, START and END among them."""


def byte_letters() -> list[str]:
    """One printable letter for each byte, in the order of CLIP's vocabulary (the byte-level alphabet of GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def _clip(merges: Any) -> Any:
    """merges: pairs of pieces, the most frequent first."""
    from transformers import CLIPTokenizer

    letters = byte_letters()
    pieces = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    return CLIPTokenizer(
        vocab={piece: place for place, piece in enumerate(pieces)}, merges=merges, model_max_length=CLIP_LENGTH
    )


def clip_tokenizer() -> Any:
    """The tokenizer of all CLIP text encoders (49,408 entries), from open_clip's vocabulary file."""
    import open_clip

    lines = gzip.decompress((Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz").read_bytes())
    # The first line is a heading; the file goes on after the merges that CLIP uses.
    pairs = [line.split() for line in lines.decode("utf-8").split("\n")[1 : CLIP_MERGES + 1]]
    return _clip([(first, second) for first, second in pairs])


def tiny_clip_tokenizer() -> Any:
    """CLIP's without merges: every letter is a token (514 entries)."""
    return _clip([])


def tiny_t5_tokenizer(length: int) -> Any:
    """A T5 tokenizer that knows ASCII letter by letter. length: tokens that are read at most."""
    from transformers import T5Tokenizer

    letters = [(chr(code), -5.0) for code in range(ord("!"), ord("~") + 1)]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), ("▁", -2.0), *letters]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=length)
