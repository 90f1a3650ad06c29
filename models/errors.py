"""The two families of errors: what the backbone reads and mends, and what ends the run."""


class ExperimentError(Exception):
    """Something the model can mend: its text is shown to the backbone in the next turn.

    Raised for a wrong argument, a prompt that cannot be drawn, an image the unit cannot see. Messages
    say what is wrong and what would be accepted, in words that a model can act on.
    """


class UserError(Exception):
    """Something only a person can mend: ends the run with exit code 2 and no traceback.

    The message is one sentence: what is wrong, the valid choices, and the command that fixes it.
    """


def first_line(problem: BaseException) -> str:
    """What an error says first, 200 characters at most; its class's name if it says nothing."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
