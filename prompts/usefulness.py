"""What is asked in the four-way choice (the paper's appendix E): which set of pictures fits a unit's description."""

INTRODUCTION = """\
A neuron of a vision network responds to something in pictures. Someone described what it responds to:

Description: {text}

Here are four sets of four pictures each. The pictures of one set make the neuron respond strongly; those of the other
three were drawn at random.
"""

SET = "Set {number}:"
"""Stands before the pictures of a set, or before the sheet with all of them."""

QUESTION = """\
Which set makes the neuron respond strongly, if the description is right? Answer with one number, 1, 2, 3 or 4, and
nothing else.
"""

ANSWER = 'root ::= "1" | "2" | "3" | "4"'
"""Grammar of an answer."""
