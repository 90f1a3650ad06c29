"""`maia index …`: exemplar indexes."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

index_app = typer.Typer(help="Exemplar indexes: what every unit does over a dataset.", no_args_is_help=True)
console = Console()
errors = Console(stderr=True)

Weights = Annotated[
    str | None, typer.Option(help="File or directory of the target's weights; 'random' builds some, for measuring.")
]
Detector = Annotated[
    str | None,
    typer.Option(help="What --target synthetic is made of: grounded, testbed, or a YAML file of options."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N (default: cuda if there is one).")]


@index_app.command("build")
def index_build(
    data: Annotated[str, typer.Option(help="Image folder, tar shards, parquet, or testbed[:N].")],
    out: Annotated[Path, typer.Option(help="Directory of the index. The same command goes on where it stood.")],
    target: Annotated[str, typer.Option(help="Network (maia units lists layers; names: see README).")],
    layers: Annotated[str | None, typer.Option(help="Layers, with commas (default: the recommended ones).")] = None,
    weights: Weights = None,
    device: Device = None,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16 (default: float32).")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images of a forward; activations' last bits depend on it.", min=1)
    ] = None,
    chunk: Annotated[int | None, typer.Option(help="Images between two savings (default: by device).", min=1)] = None,
    positions: Annotated[int | None, typer.Option(help="Map positions that quantiles sample; 0: all.", min=0)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that decode (default: by cores).", min=0)] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the forward (default: by cores).", min=1)] = None,
    shard: Annotated[str, typer.Option(help="i/n: build the i-th of n shares, from 0; the last one merges.")] = "0/1",
    cache: Annotated[Path | None, typer.Option(help="Keep decoded pixels here, for further targets.")] = None,
    detector: Detector = None,
    captions: Annotated[
        str, typer.Option(help="Which images a detector is asked about: off (all), keyword or embedding, by captions.")
    ] = "off",
    synonyms: Annotated[
        Path | None, typer.Option(help="YAML of further words for --captions keyword, such as dog: [puppy, retriever].")
    ] = None,
) -> None:
    """Read a dataset once and keep what every unit of some layers does on it."""
    from ..engine.index_session import build_with_progress, options_of

    options = options_of(batch, chunk, positions, workers, shard)
    build_with_progress(
        console,
        target,
        data,
        layers,
        out,
        options,
        weights,
        device,
        dtype,
        threads,
        cache,
        detector,
        captions,
        synonyms,
    )


@index_app.command("merge")
def index_merge(
    out: Annotated[Path, typer.Argument(help="Directory of the merged index.")],
    shards: Annotated[list[Path], typer.Argument(help="The --out directories of the shards.")],
) -> None:
    """Make one index of shards that were built into different directories."""
    from ..engine.index_build import merge_indexes

    index = merge_indexes(shards, out)
    console.print(f"Index: {out} ({', '.join(f'{layer}: {count}' for layer, count in index.layers.items())} units)")


@index_app.command("verify")
def index_verify(index: Annotated[Path, typer.Argument(help="Directory of the index.")]) -> None:
    """Read all files of an index and say which are damaged or missing; exit code 1 if any is."""
    from ..engine.exemplars import ExemplarIndex
    from ..engine.index_session import summary

    opened = ExemplarIndex.open(index)
    console.print(summary(opened))
    wrong = opened.verify()
    for sentence in wrong:
        errors.print(f"maia: {index}: {sentence}", style="red", highlight=False, markup=False, soft_wrap=True)
    if wrong:
        raise typer.Exit(1)
    console.print("All files are whole.")


@index_app.command("query")
def index_query(
    index: Annotated[Path, typer.Argument(help="Directory of the index.")],
    unit: Annotated[
        list[str], typer.Option(help="Such as layer4:122, layer4:3,7-9 or layer3=1:layer4=3,7. Repeatable.")
    ],
    html: Annotated[Path | None, typer.Option(help="Write a page with the masked exemplars here.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Name to load the target by, where pictures are drawn again (default: its own).")
    ] = None,
    weights: Weights = None,
) -> None:
    """Show what an index holds on units: exemplars, thresholds, quantiles; as a table, or as a page with pictures."""
    import json

    from ..engine.exemplars import ExemplarIndex
    from ..engine.targets import load_target
    from ..models.files import write_whole
    from ..models.testbed.world import World
    from .index_page import build_page
    from .index_query import answer, as_json, query_units, tables

    opened = ExemplarIndex.open(index)
    named = list(dict.fromkeys(one for text in unit for one in query_units(opened, text)))
    answers = [answer(opened, one) for one in named]
    if json_file:
        text = json.dumps(as_json(opened, answers), indent=1, allow_nan=False) + "\n"
        write_whole(json_file, text.encode())
        console.print(f"JSON: {json_file}", markup=False, highlight=False, soft_wrap=True)
    if html:
        world = World()
        name = target or opened.facts.target
        # The target is asked only where the index keeps no pictures: then its weights have to be there.
        loaded = None if opened.has_pictures else load_target(name, world, weights, device="cpu")
        build_page(opened, named, html, loaded, world)
        console.print(f"Page: {html}", markup=False, highlight=False, soft_wrap=True)
    elif not json_file:
        for part in tables(opened, answers):
            console.print(part)
