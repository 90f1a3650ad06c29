"""What a fresh observer is asked, who knows nothing of the experiment: no hypothesis, no activation, no title."""

OBSERVER = """\
You describe pictures for someone who cannot see them. Parts of a picture may be darkened: then only the bright region
matters, and a line may run around it.
"""

DESCRIBE = """\
Describe what the bright region of this picture shows, in one short sentence: the object or part of one, its colour,
pattern and surroundings where they can be seen. If nothing is darkened, describe the whole picture. Say nothing about
the darkening itself.
"""

SUMMARIZE = """\
What do the bright regions of these pictures have in common? Answer in one or two short sentences: first what most of
them show, then how many do not fit. If nothing is darkened, compare the whole pictures.
"""
