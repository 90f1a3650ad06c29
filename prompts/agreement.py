"""What a judge is asked: which of two descriptions agrees better with the truth (the paper's section 4.2)."""

AGREEMENT = """\
A neuron of a vision network responds to what is in a picture. What it truly responds to is known:

Truth: {truth}

Two people who did not know the truth described what the neuron responds to:

Description A: {first}
Description B: {second}

Which description agrees better with the truth? "X OR Y" is a neuron that responds to either, "X, in the presence of Y"
one that responds to X only in pictures that show Y too. Neither length nor style counts. Answer with one letter, A or
B, and nothing else.
"""

ANSWER = 'root ::= "A" | "B"'
"""Grammar of an answer."""
