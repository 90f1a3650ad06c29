"""Spawrious, the challenge "one-to-one, easy", in a local folder (Lynch et al., arXiv 2303.05470).

Layout, as the authors' archive unpacks: FOLDER/spawrious224/{0,1}/PLACE/BREED/*.png. Facts from their code
(aengusl/spawrious): which breed stands where, and how many pictures of each folder count. Of 3168 pictures of a breed
in a place, training takes 97 % of its own place from folder 0 and 87 % from folder 1; as many as are then missing, of
all breeds, stand on a beach. Test pictures, all there are, show each breed in another's place.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...models.errors import UserError

TOP = "spawrious224"
BREEDS = ("bulldog", "corgi", "dachshund", "labrador")
"""In the order of their labels."""
TRAINED = {"bulldog": "desert", "dachshund": "jungle", "labrador": "dirt", "corgi": "snow"}
TESTED = {"bulldog": "dirt", "dachshund": "snow", "labrador": "desert", "corgi": "jungle"}
FILLER = "beach"
"""Where all breeds are found in training."""
PICTURES = 3168
"""Of each breed, place and folder in the authors' archive."""
SHARES = (0.97, 0.87)
"""Of them in training, in their breed's own place, by folder."""
VALIDATION = 0.1
"""Of the training pictures (F2: 90-10)."""
RESERVED = 0.1
"""Of the test pictures, kept for balanced sets and not tested with: the paper does not say where its balanced pictures
come from."""
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg"})

NAMES = {"bulldog": "Bulldog", "corgi": "Welsh Corgi", "dachshund": "Dachshund", "labrador": "Labrador"}
PHRASES = {
    "desert": "in a desert",
    "jungle": "in a jungle",
    "dirt": "in a muddy park",
    "snow": "in the snow",
    "beach": "on a beach",
}
"""How the task tells breeds and places (F4): all of them, and nothing of which belongs to which."""


@dataclass(frozen=True)
class Sample:
    """A picture. label: index into BREEDS. place: where the dog is."""

    path: Path
    label: int
    place: str


@dataclass(frozen=True)
class Spawrious:
    """The splits, each sorted or shuffled by the seed. pool: what balanced sets are drawn from; no picture of it is
    trained on or tested with."""

    folder: Path
    training: list[Sample]
    validation: list[Sample]
    test: list[Sample]
    pool: list[Sample]

    @property
    def counts(self) -> dict[str, int]:
        """Pictures by split."""
        splits = {"training": self.training, "validation": self.validation, "test": self.test, "pool": self.pool}
        return {name: len(split) for name, split in splits.items()}


def open_spawrious(folder: Path, seed: int = 0, limit: int | None = None) -> Spawrious:
    """The splits of a folder, by the seed.

    folder: that which holds spawrious224, or spawrious224 itself. limit: pictures of each breed and place in each
    folder at most, for a trial. Raises UserError that says what is missing.
    """
    root = _root(folder)
    wanted = [(i, place, breed) for i in (0, 1) for places in (TRAINED, TESTED) for breed, place in places.items()]
    wanted += [(i, FILLER, breed) for i in (0, 1) for breed in BREEDS]
    found = {cell: _pictures(root, cell)[:limit] for cell in _cells(root)}
    missing = [f"{TOP}/{i}/{place}/{breed}" for i, place, breed in wanted if not found.get((i, place, breed))]
    if missing:
        raise UserError(
            f"{folder} is not Spawrious' one-to-one easy set: {len(missing)} of its {len(wanted)} folders are missing "
            f"or hold no pictures, such as {', '.join(missing[:3])}; give the folder that holds {TOP}/0/desert/bulldog."
        )
    training: list[Sample] = []
    unused: list[Sample] = []
    for i, share in enumerate(SHARES):
        for breed in BREEDS:
            own = found[i, TRAINED[breed], breed]
            # By share, so that a smaller copy keeps the mixture; a whole one gives the authors' numbers.
            count = int(share * len(own))
            beach = found[i, FILLER, breed]
            filler = min(len(beach), max(1, len(own) - count))
            training += own[:count] + beach[:filler]
            unused += own[count:] + beach[filler:]
    rng = random.Random(f"{seed}/spawrious")
    rng.shuffle(training)
    held = round(VALIDATION * len(training))
    test, reserved = _tested(found, rng)
    used = {(TRAINED[breed], breed) for breed in BREEDS} | {(TESTED[breed], breed) for breed in BREEDS}
    others = [
        s
        for (_, place, breed), samples in found.items()
        if (place, breed) not in used and place != FILLER
        for s in samples
    ]
    pool = sorted([*training[:held], *unused, *reserved, *others], key=lambda sample: str(sample.path))
    return Spawrious(root, training[held:], training[:held], test, pool)


def _tested(found: dict[tuple[int, str, str], list[Sample]], rng: random.Random) -> tuple[list[Sample], list[Sample]]:
    test: list[Sample] = []
    reserved: list[Sample] = []
    for breed, place in TESTED.items():
        samples = [sample for i in (0, 1) for sample in found[i, place, breed]]
        rng.shuffle(samples)
        kept = max(1, round(RESERVED * len(samples))) if len(samples) > 1 else 0
        reserved += samples[:kept]
        test += samples[kept:]
    return test, reserved


def balanced_sets(pool: Sequence[Sample], size: int, sets: int, seed: int) -> list[list[int]]:
    """Positions in the pool of `sets` balanced sets: as many pictures of every breed, and of a breed as many of every
    place that all breeds have (else of its trained and its tested place). Fewer than `size` where the pool is small.

    Raises UserError where a breed is seen in one place only.
    """
    cells: dict[tuple[int, str], list[int]] = {}
    for position, sample in enumerate(pool):
        if sample.place != FILLER:
            cells.setdefault((sample.label, sample.place), []).append(position)
    labels = sorted({label for label, _ in cells})
    places = {place for _, place in cells}
    shared = [place for place in sorted(places) if all((label, place) in cells for label in labels)]
    chosen = [(label, place) for label in labels for place in shared] if len(shared) > 1 else list(cells)
    by_label = {label: [cell for cell in chosen if cell[0] == label] for label in labels}
    if not labels or min(len(own) for own in by_label.values()) < 2:
        raise UserError("there are no balanced pictures: each class has to be there in two places at least.")
    share = min(size // len(labels) // max(len(own) for own in by_label.values()), min(len(cells[c]) for c in chosen))
    if share < 1:
        raise UserError(f"a balanced set of {size} pictures is too small for {len(chosen)} classes and places.")
    drawn = []
    for number in range(sets):
        rng = random.Random(f"{seed}/balanced/{number}")
        drawn.append([position for cell in chosen for position in rng.sample(cells[cell], share)])
    return drawn


def _root(folder: Path) -> Path:
    for root in (folder / TOP, folder):
        if (root / "0").is_dir() and (root / "1").is_dir():
            return root
    what = "is no folder" if not folder.is_dir() else f"holds no {TOP}/0 and {TOP}/1"
    raise UserError(
        f"{folder} {what}, so that it is not Spawrious: unpack its o2o_easy archive and give the "
        f"folder with {TOP} in it."
    )


def _cells(root: Path) -> list[tuple[int, str, str]]:
    return sorted(
        (i, place.name, breed)
        for i in (0, 1)
        for place in (root / str(i)).iterdir()
        if place.is_dir()
        for breed in BREEDS
        if (place / breed).is_dir()
    )


def _pictures(root: Path, cell: tuple[int, str, str]) -> list[Sample]:
    i, place, breed = cell
    files = sorted(file for file in (root / str(i) / place / breed).iterdir() if file.suffix.lower() in EXTENSIONS)
    return [Sample(file, BREEDS.index(breed), place) for file in files]
