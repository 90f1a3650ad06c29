"""The words of the offline world: what it can draw, and the words that people use for it.

Every family is an ordered mapping from the canonical word to its facts. Canonical words are what labels,
ground truth and the describer use; synonyms are accepted in prompts only.
"""

from dataclasses import dataclass, field

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (205, 35, 40),
    "orange": (240, 130, 30),
    "yellow": (245, 210, 50),
    "green": (50, 150, 60),
    "turquoise": (45, 190, 185),
    "blue": (40, 85, 200),
    "purple": (125, 60, 170),
    "pink": (240, 130, 175),
    "brown": (120, 75, 40),
    "black": (30, 30, 32),
    "white": (242, 242, 240),
    "gray": (135, 137, 140),
}

# "plain" is the absence of a pattern: it can be asked for, but is never a concept of a ground-truth neuron.
PLAIN = "plain"
PATTERNS: tuple[str, ...] = (
    "horizontally striped",
    "vertically striped",
    "diagonally striped",
    "dotted",
    "checkered",
    "zigzag",
    "speckled",
    "woven",
    "mesh",
    "wavy",
    "furry",
    "scaly",
    "plaid",
    "honeycomb",
)


@dataclass(frozen=True)
class Noun:
    """Facts about a noun: how it is placed and coloured when the prompt does not say.

    size: factor on the object's half-size in pixels. floats: hangs or flies instead of standing.
    usual: colours that it has in photographs; drawn from when a prompt names no colour.
    """

    plural: str
    size: float = 1.0
    floats: bool = False
    usual: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()


NOUNS: dict[str, Noun] = {
    # shapes, buildings and vehicles
    "ball": Noun("balls", 0.9, usual=("red", "blue", "yellow", "white", "orange"), synonyms=("sphere", "football")),
    "box": Noun("boxes", 0.95, usual=("brown", "white", "gray"), synonyms=("cube", "crate", "parcel")),
    "ring": Noun("rings", 0.95, usual=("yellow", "gray", "orange"), synonyms=("hoop", "torus")),
    "star": Noun("stars", 0.95, floats=True, usual=("yellow", "white", "red")),
    "wheel": Noun("wheels", 0.95, usual=("gray", "black", "white"), synonyms=("tire", "tyre")),
    "clock": Noun("clocks", 0.95, floats=True, usual=("white", "black", "brown", "gray"), synonyms=("watch",)),
    "sign": Noun("signs", 1.05, usual=("red", "yellow", "green", "blue", "white"), synonyms=("signpost", "road sign")),
    "fence": Noun("fences", 1.0, usual=("white", "brown", "gray"), synonyms=("railing",)),
    "bridge": Noun("bridges", 1.15, usual=("gray", "red", "brown")),
    "house": Noun("houses", 1.1, usual=("white", "yellow", "brown", "red"), synonyms=("cottage", "home", "hut")),
    "door": Noun("doors", 1.05, usual=("brown", "green", "blue", "red", "white")),
    "window": Noun("windows", 1.0, floats=True, usual=("white", "brown", "gray")),
    "lighthouse": Noun("lighthouses", 1.25, usual=("white", "red"), synonyms=("tower",)),
    "tent": Noun("tents", 1.0, usual=("orange", "green", "blue", "yellow")),
    "boat": Noun("boats", 1.05, usual=("white", "blue", "red", "brown"), synonyms=("ship", "sailboat")),
    "car": Noun("cars", 1.05, usual=("red", "blue", "white", "black", "gray"), synonyms=("automobile",)),
    "bus": Noun("buses", 1.1, usual=("yellow", "red", "blue", "white"), synonyms=("coach",)),
    "airplane": Noun("airplanes", 1.1, floats=True, usual=("white", "gray", "blue"), synonyms=("plane", "aircraft")),
    "bicycle": Noun("bicycles", 1.05, usual=("black", "red", "blue", "green"), synonyms=("bike",)),
    "balloon": Noun("balloons", 1.05, floats=True, usual=("red", "yellow", "blue", "pink", "orange")),
    # things of the house, plants and animals
    "cup": Noun("cups", 0.8, usual=("white", "blue", "red", "brown"), synonyms=("mug",)),
    "bottle": Noun("bottles", 1.0, usual=("green", "brown", "blue", "white")),
    "bowl": Noun("bowls", 0.85, usual=("white", "blue", "brown", "yellow")),
    "vase": Noun("vases", 0.95, usual=("blue", "white", "turquoise", "brown"), synonyms=("jar", "urn")),
    "lamp": Noun("lamps", 1.05, usual=("yellow", "white", "green", "orange")),
    "candle": Noun("candles", 0.95, usual=("white", "red", "yellow")),
    "umbrella": Noun("umbrellas", 1.05, usual=("black", "red", "blue", "yellow"), synonyms=("parasol",)),
    "book": Noun("books", 0.9, usual=("red", "blue", "green", "brown")),
    "chair": Noun("chairs", 1.0, usual=("brown", "red", "white", "black"), synonyms=("seat", "armchair")),
    "screen": Noun("screens", 1.0, usual=("black", "blue", "gray"), synonyms=("monitor", "television", "tv")),
    "guitar": Noun("guitars", 1.1, usual=("brown", "orange", "red", "black")),
    "tree": Noun("trees", 1.25, usual=("green",)),
    "flower": Noun("flowers", 0.95, usual=("red", "pink", "yellow", "purple", "white")),
    "leaf": Noun("leaves", 0.9, floats=True, usual=("green", "orange", "red", "brown")),
    "mushroom": Noun("mushrooms", 0.9, usual=("red", "brown", "white")),
    "fish": Noun("fish", 0.95, floats=True, usual=("orange", "blue", "gray", "turquoise")),
    "bird": Noun("birds", 0.9, usual=("brown", "blue", "red", "black", "yellow")),
    "dog": Noun("dogs", 1.0, usual=("brown", "black", "white", "orange", "gray"), synonyms=("puppy",)),
    "cat": Noun("cats", 0.95, usual=("gray", "orange", "black", "white"), synonyms=("kitten",)),
    "butterfly": Noun("butterflies", 0.9, floats=True, usual=("orange", "blue", "yellow", "purple")),
}


@dataclass(frozen=True)
class Background:
    """phrase: how a caption or prompt says it ("a dog <phrase>"). synonyms: other words that name it."""

    phrase: str
    synonyms: tuple[str, ...] = field(default=())


BACKGROUNDS: dict[str, Background] = {
    "grass": Background("on the grass", ("field", "lawn", "meadow", "grassy field", "park", "garden")),
    "beach": Background("on a sandy beach", ("sand", "shore", "seaside", "coast")),
    "sea": Background("on the sea", ("ocean", "water", "waves", "lake")),
    "snow": Background("in the snow", ("winter", "snowy field", "ice", "snowy mountains")),
    "desert": Background("in a desert", ("dunes", "sand dunes")),
    "forest": Background("in a forest", ("woods", "jungle", "woodland")),
    "night city": Background("in a city at night", ("night", "night sky", "city at night", "skyline", "city")),
    "room": Background("in a room", ("living room", "indoors", "house interior", "wooden floor", "kitchen")),
    "brick wall": Background("in front of a brick wall", ("bricks", "wall")),
    "studio": Background("on a plain background", ("plain background", "empty background", "white background")),
}

# Words for several concepts at once. "striped" in a prompt means one of its members, chosen by the seed;
# as a concept it is true for any member.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "striped": ("pattern", ("horizontally striped", "vertically striped", "diagonally striped")),
    "grid": ("pattern", ("checkered", "woven", "mesh", "plaid", "honeycomb")),
    "animal": ("noun", ("fish", "bird", "dog", "cat", "butterfly")),
    "vehicle": ("noun", ("boat", "car", "bus", "airplane", "bicycle")),
    "building": ("noun", ("house", "lighthouse", "tent")),
    "plant": ("noun", ("tree", "flower", "leaf")),
    "container": ("noun", ("cup", "bottle", "bowl", "vase", "box")),
    "round thing": ("noun", ("ball", "ring", "wheel", "clock", "balloon")),
}

FAMILIES: dict[str, tuple[str, ...]] = {
    "noun": tuple(NOUNS),
    "colour": tuple(COLOURS),
    "pattern": PATTERNS,
    "background": tuple(BACKGROUNDS),
}
