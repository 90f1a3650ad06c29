"""What the captioner is asked, the baseline that sees a unit's exemplars once and runs no experiment."""

CAPTION = """\
These pictures activate one neuron of a vision network more than any others. In each, what the neuron responds to is
left bright, and the rest is darkened.

Name the one visual concept that the bright regions have in common, in a few words, so that someone else could tell
which other pictures activate the neuron. Answer with the label alone, on one line:

LABEL: <a few words>
"""

AGAIN = """\
That is no label. Answer with one line and nothing else, at most {words} words after "LABEL:":

LABEL: <a few words>
"""
