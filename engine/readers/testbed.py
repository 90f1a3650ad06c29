"""The rendered scenes of the offline world as a dataset: pictures that are part of this program."""

import hashlib
from collections.abc import Sequence

from PIL import Image

from ...models.errors import UserError
from ..caption_text import Captioned
from .entries import check_ordinal, phase_of
from .payload import Decoded, Stream, View, view_pixels
from .stream import InProcess


class TestbedDataset:
    """The first `count` scenes, drawn when they are asked for. Keys "00000", "00001", ..

    fingerprint: of `count` and of everything that the pictures depend on (code and drawings).
    """

    __test__ = False  # no test, whatever pytest makes of its name
    kind = "testbed"
    embedded = True

    def __init__(self, name: str, count: int | None = None) -> None:
        """Raises UserError for a count that the testbed does not have."""
        from ...models.testbed.dataset import DATASET_SIZE, dataset_fingerprint

        count = DATASET_SIZE if count is None else count
        if not 1 <= count <= DATASET_SIZE:
            raise UserError(f"the testbed has 1 to {DATASET_SIZE} scenes, not {count}: give testbed or testbed:NUMBER.")
        self.name = name
        self._count = count
        self.fingerprint = hashlib.sha256(f"testbed {dataset_fingerprint()} {count}".encode()).hexdigest()
        self.description = f"{count} rendered scenes"
        self.skipped: dict[str, int] = {}

    def __len__(self) -> int:
        return self._count

    def key(self, i: int) -> str:
        check_ordinal(i, self._count)
        return f"{i:05d}"

    def phase(self, i: int) -> int:
        return phase_of(self.key(i))

    def caption(self, i: int) -> str | None:
        from ...models.testbed.dataset import dataset_scene
        from ...models.testbed.language import caption

        check_ordinal(i, self._count)
        return caption(dataset_scene(i))

    def captions(self, ordinals: Sequence[int]) -> list[str | None]:
        return [self.caption(i) for i in ordinals]

    @property
    def captioned(self) -> Captioned:
        """Every scene has one."""
        return Captioned(self._count, 0)

    def image(self, i: int) -> Image.Image:
        """The picture that `World.dataset_image(i)` shows; no world remembers its scene."""
        from ...models.testbed.dataset import dataset_scene
        from ...models.testbed.renderer import render

        check_ordinal(i, self._count)
        return Image.fromarray(render(dataset_scene(i)).image)

    def decoded(self, ordinals: Sequence[int], preprocess: View, workers: int) -> Stream:
        """workers: 0 draws in this process; any other number in one other process, quick for runs of scenes."""
        for i in ordinals:
            check_ordinal(i, self._count)
        if workers == 0:
            return InProcess(ordinals, lambda i: view_pixels(self.image(i), preprocess))
        return _Drawn(ordinals, preprocess)


class _Drawn(InProcess):
    def __init__(self, ordinals: Sequence[int], view: View) -> None:
        from ...models.testbed.drawn_ahead import DrawnAhead

        self._drawing = DrawnAhead()
        super().__init__(ordinals, lambda i: view_pixels(self._drawing(i), view))

    def __next__(self) -> Decoded:
        try:
            return super().__next__()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        super().close()
        self._drawing.close()
