"""Tables of words that prompts and edits may use beside the vocabulary. Lists are separated by commas."""

COLOUR_WORDS: dict[str, str] = {
    "red": "crimson scarlet maroon ruby burgundy reddish",
    "orange": "tangerine apricot",
    "yellow": "golden gold yellowish amber",
    "green": "emerald olive lime greenish",
    "turquoise": "teal cyan aqua aquamarine",
    "blue": "navy azure cobalt indigo bluish",
    "purple": "violet lilac lavender mauve",
    "pink": "magenta fuchsia rosy",
    "brown": "beige tan chestnut brownish",
    "black": "ebony",
    "white": "ivory",
    "gray": "grey silver silvery greyish grayish",
}
SHADES = ("light", "dark", "pale", "deep", "bright")
BRIGHT = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink")

# Adjectives and standing nouns ("stripes") for the patterns and their groups.
PATTERN_ADJECTIVES: dict[str, str] = {
    "dotted": "dotted, spotted, polka dotted, polka dot, dotty, spotty",
    "checkered": "checkered, chequered, checked, checkerboard, chessboard, chequerboard",
    "zigzag": "zigzag, zig zag, zigzagged, zig zagged, chevron, zigzagging",
    "speckled": "speckled, flecked, freckled, speckly, grainy",
    "woven": "woven, weave, knitted, wicker, basket weave, basketweave",
    "mesh": "mesh, meshed, netted, wire mesh, chain link",
    "wavy": "wavy, waved, rippled, undulating",
    "furry": "furry, fluffy, hairy, fuzzy, shaggy",
    "scaly": "scaly, scaled, fish scale, reptile scale",
    "plaid": "plaid, tartan, gingham",
    "honeycomb": "honeycomb, hexagonal, honeycombed",
    "grid": "grid, gridded, grid like, gridlike, lattice",
    "striped": "striped, stripy, stripey, stripe, lined",
    "horizontally striped": "horizontally striped, horizontal striped, horizontal stripe, horizontal, horizontally",
    "vertically striped": "vertically striped, vertical striped, vertical stripe, vertical, vertically, pinstriped",
    "diagonally striped": "diagonally striped, diagonal striped, diagonal stripe, diagonal, diagonally, candy striped",
}
PATTERN_NOUNS: dict[str, str] = {
    "dotted": "dots, spots, polka dots",
    "checkered": "checks, checkers, checkerboards, checker, chequers",
    "zigzag": "zigzags, zig zags, chevrons, zigzag lines, zig zag lines",
    "speckled": "speckles, flecks, freckles",
    "woven": "weaving, wickerwork, knitting, woven basket",
    "mesh": "netting, net, nets, chain link",
    "wavy": "wavy lines, wave pattern, ripples, wavy stripes",
    "furry": "fur, hair",
    "scaly": "scales, fish scales, reptile scales, fish skin, snake skin, reptile skin",
    "plaid": "plaids, tartans",
    "honeycomb": "honeycombs, hexagons",
    "grid": "grids, lattices, grid lines, squares",
    "striped": "stripes, lines, bars",
    "horizontally striped": "horizontal stripes, horizontal lines, horizontal bars",
    "vertically striped": "vertical stripes, vertical lines, vertical bars, pinstripes",
    "diagonally striped": "diagonal stripes, diagonal lines, diagonal bars",
}
# More words for nouns. A compound stands here when its first word alone would name something else.
NOUN_WORDS: dict[str, str] = {
    "ball": "beach ball, soccer ball, tennis ball, basketball, toy ball",
    "box": "cardboard box, gift box, package",
    "star": "starfish shape, star shape",
    "clock": "wall clock, alarm clock, wristwatch, clock face",
    "sign": "street sign, traffic sign, stop sign, wooden sign",
    "fence": "garden fence, picket fence",
    "house": "brick house, farmhouse, cabin",
    "window": "house window, glass window",
    "door": "house door, front door",
    "boat": "fishing boat, sailing boat, sailing ship, yacht",
    "car": "sports car, race car, sedan",
    "bus": "school bus, city bus",
    "airplane": "aeroplane, jet",
    "balloon": "hot air balloon, party balloon",
    "cup": "tea cup, teacup, coffee cup, coffee mug",
    "bottle": "water bottle, wine bottle, beer bottle, glass bottle",
    "vase": "flower vase",
    "lamp": "table lamp, desk lamp, street lamp, floor lamp, lantern, streetlamp",
    "umbrella": "beach umbrella",
    "chair": "garden chair, kitchen chair, beach chair",
    "screen": "computer screen, tv screen, tv set, computer monitor",
    "guitar": "acoustic guitar, electric guitar",
    "tree": "forest tree",
    "mushroom": "forest mushroom, toadstool",
    "flower": "garden flower, blossom",
    "fish": "goldfish, sea fish",
    "dog": "house dog",
    "cat": "house cat",
}
GROUP_WORDS: dict[str, str] = {
    "plant": "houseplant, house plant",
    "container": "vessel",
    "round thing": "round object, circular object, round shape, circular thing, circular shape",
}
ANYTHING = "object, thing, item, something, shape, toy, subject"
BACKGROUND_WORDS: dict[str, str] = {
    "grass": "grassy, grassland, grass field, green field, backyard, yard",
    "beach": "sandy beach, sandy, seashore",
    "sea": "seawater, open sea, river",
    "snow": "snowy, wintry, snowfield, snowy landscape, snow field, snowy field",
    "desert": "desert landscape, sandy desert",
    "forest": "wood, rainforest, forest floor",
    "night city": "nighttime, city lights, night time, dark city, town at night, city street, street at night, "
    "city skyline, city skyline at night, night skyline, skyline at night, city street at night, city by night, "
    "starry night, starry night sky, starry sky",
    "room": "indoor, wood floor, house inside, bedroom, inside a house, house room",
    "brick wall": "brick, red brick wall",
    "studio": "studio background, plain white background, blank background, plain backdrop, studio backdrop, "
    "white backdrop, neutral background, simple background, solid background, gray background, grey background, "
    "light background, plain gray background, plain wall, white wall",
}
# Colours that a background has by nature may be said of it; others are refused.
BACKGROUND_COLOURS: dict[str, tuple[str, ...]] = {
    "grass": ("green",),
    "beach": ("yellow", "white", "brown"),
    "sea": ("blue", "turquoise", "green"),
    "snow": ("white",),
    "desert": ("yellow", "orange", "brown"),
    "forest": ("green",),
    "night city": ("black", "blue"),
    "room": ("brown",),
    "brick wall": ("red", "brown", "orange"),
    "studio": ("white", "gray"),
}
RELATIONS: dict[str, str] = {
    "on": "on, on top of, atop, upon, onto, sitting on, standing on",
    "beside": "beside, next to, near, by, alongside, close to, together with, along with, accompanied by",
    "in front of": "in front of, before",
    "behind": "behind, in back of",
    "above": "above, over, hovering over, flying over",
    "under": "under, below, beneath, underneath",
    "left of": "left of, to the left of, on the left of, on the left side of, to the left side of",
    "right of": "right of, to the right of, on the right of, on the right side of, to the right side of",
    "between": "between, in between",
}
NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
COUNTS: dict[tuple[int, ...], str] = {
    (1,): "single, only one",
    (2,): "pair of, a pair of, couple of, a couple of, both, pair, twin",
    (2, 3): "some, a row of, row of, a group of, group of, a set of, set of, a bunch of, bunch of, multiple, various",
    (3,): "a few, few, trio of",
    (3, 4): "several, a number of, assorted",
    (4, 5): "many, lots of, a lot of, a collection of, collection of, a pile of, numerous",
    (12,): "dozen, dozens of, a dozen",
    (100,): "hundred, hundreds of, a hundred, thousand, thousands of, countless",
}
SIZES: dict[str, str] = {
    "large": "large, big, huge, giant, enormous, tall, oversized, massive",
    "small": "small, little, tiny, mini, miniature, short, small sized",
    "medium": "medium, medium sized, normal sized, average sized, mid sized",
}
MATERIALS = (
    "fabric, cloth, textile, surface, texture, pattern, material, wallpaper, carpet, tiles, tile, skin, paper, "
    "patterned, patterns, textures, fabrics, surfaces, textured, rug, blanket, background, backdrop, design, coat, "
    "print, sheet, weave pattern"
)
# Words that change nothing in a picture of this world: the medium, praise, poses, places in the frame.
FILLERS = (
    "photo, photograph, picture, image, photography, drawing, painting, illustration, rendering, render, cartoon, "
    "sketch, view, shot, scene, realistic, photorealistic, high quality, high resolution, detailed, hd, 4k, "
    "beautiful, lovely, pretty, nice, cute, bright, vivid, vibrant, sunny, clear, simple, typical, ordinary, "
    "regular, common, real, whole, entire, full, empty, isolated, single isolated, standing, sitting, lying, "
    "resting, placed, parked, floating, flying, hanging, mounted, running, walking, playing, sleeping, swimming, "
    "jumping, looking, located, positioned, seen, shown, visible, displayed, set, stands, sits, lies, hangs, "
    "rests, floats, flies, there, there is, there are, there's, here is, this is, it is, it's, color, colour, "
    "colors, colours, solid color, solid colour, in color, in colour, 's, wooden, metal, plastic, glass, ceramic, "
    "old, new, modern, vintage, antique, young, baby, adult, happy, friendly, calm, quiet, clean, shiny, glossy, "
    "just, only, very, really, quite, alone, itself, centered, centred, center, centre, middle, foreground, front "
    "view, side view, day, daytime, daylight, outdoors, outside, sunlight, landscape, ground, floor, i, me, show, "
    "draw, generate, create, please, sample, example, concept, kind, type, style, containing only, filled, full "
    "of, one's, up, down, its own, where, while, it, them, colored in, coloured in, on the ground, on the floor, "
    "in the center, in the centre, in the middle, in the foreground, in the background, in the distance, in view, "
    "in focus, in the sun, in sunlight, in the daytime, in the frame, on display, chasing, facing, watching, "
    "holding, carrying, toy like, sized, size, shaped"
)
# Near things for words that people try and this world lacks.
RELATED: dict[str, tuple[str, ...]] = {
    word: tuple(near.split(", "))
    for words, near in {
        "wolf, fox, hound, lion, tiger, bear, horse, cow, sheep, goat, pig, deer, rabbit, mouse, squirrel, elephant, "
        "monkey, zebra, leopard, labrador, bulldog, corgi, dachshund, terrier, poodle, husky": "dog, cat",
        "lynx, panther, tabby": "cat, dog",
        "truck, van, lorry, tractor, train, tram, taxi, motorcycle, ambulance, trailer": "car, bus",
        "motorbike, scooter, tricycle": "bicycle",
        "helicopter, rocket, drone, kite": "airplane, balloon",
        "canoe, ferry, raft, submarine": "boat",
        "mountain, mountains, hill, hills, glacier": "snow, desert",
        "sky, cloud, clouds, sun, moon, sunset, sunrise, heaven": "sea, night city",
        "street, road, highway, sidewalk, town": "night city, brick wall",
        "office, hallway, table, desk, shelf, bathroom, wall clock face": "room",
        "bench, sofa, couch, stool, bed, throne": "chair",
        "church, castle, skyscraper, barn, temple, palace, tower block, windmill": "house, lighthouse",
        "person, man, woman, people, child, boy, girl, human, face, hand, hat, dress, shirt, shoe, eye": "dog, cat",
        "duck, eagle, parrot, owl, chicken, penguin, seagull, swan, crow": "bird",
        "shark, whale, dolphin, octopus, turtle": "fish",
        "snake, lizard, crocodile, dragon": "fish, scaly",
        "bee, insect, moth, beetle, spider, dragonfly, ant": "butterfly",
        "rose, tulip, daisy, sunflower, orchid": "flower",
        "palm tree, pine tree, oak, palm, pine, cactus, bush, fern": "tree",
        "apple, fruit, lemon, egg, tomato, pumpkin, orange fruit": "ball",
        "plate, dish, pan, pot, kettle, teapot, basket": "bowl",
        "glass of water, jug, can, flask, jar lid": "bottle, cup",
        "phone, laptop, computer, camera, tablet": "screen",
        "violin, piano, drum, trumpet, banjo": "guitar",
        "circle, disc, disk, coin, donut": "ring, ball",
        "square, rectangle, block": "box, checkered",
        "triangle, pyramid": "tent, zigzag",
        "brick pattern": "brick wall",
        "gate": "fence, door",
        "torch, flame, fire": "candle, lamp",
        "tunnel, arch": "bridge",
        "rain, fog, storm, ice cream": "sea, snow",
        "tire track": "wheel",
        "left": "left of",
        "right": "right of",
        "multicolored, rainbow, multicolour, iridescent": "red, blue",
        "floral, leopard print, paisley": "dotted, speckled",
    }.items()
    for word in words.split(", ")
}
