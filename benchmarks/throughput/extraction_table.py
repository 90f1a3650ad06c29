"""The figures of the extraction benchmark as a table for people."""

from typing import Any

from rich.table import Table

from .extraction import GOALS

_WAYS = {
    "bare_to_deepest": "bare forward to the deepest layer",
    "bare_full": "bare forward, whole",
    "pass": "index pass (top-k, positions, quantiles, maps)",
    "pass_first_images": "index pass, first images of a dataset",
    "pass_all_positions": "index pass, every position counted",
    "per_layer_tally": "usual way: a forward for each layer, all counted",
    "encode_pictures": "winners' pictures as JPEG",
    "decode": "decoding JPEG files",
    "end_to_end": "JPEG files to index parts",
}

_FIGURES = {
    "ratio_to_bare": "pass / bare forward of the same depth",
    "ratio_to_bare_full": "pass / whole bare forward",
    "ratio_with_parts": "pass with pictures and parts / bare",
    "ratio_first_images": "pass over the first images / bare",
    "ratio_all_positions": "pass, every position counted / bare",
    "tally_ratio_to_bare_full": "usual way / one whole bare forward",
    "speedup_over_per_layer": "usual way / pass",
    "end_to_end_share": "end to end / the slower of decode and forward",
}


def tables(result: dict[str, Any]) -> list[Table]:
    """Images per second of each way; then the ratios with their goals."""
    where = f"{result['device_name']}, {result['threads']} threads, {result['workers']} decoding"
    rates = Table(
        "way", "images/s", "20 to 80 %", title=f"{result['model']} {result['dtype']}, batch {result['batch']}: {where}"
    )
    for name, label in _WAYS.items():
        rate = result["rates"][name]
        rates.add_row(label, f"{rate['median']:.1f}", f"{rate['p20']:.1f} to {rate['p80']:.1f}")
    ratios = Table("figure", "median", "20 to 80 %", "goal on 2 CPU cores", title=f"medians of {result['repeats']}")
    for name, label in _FIGURES.items():
        figure = result["figures"][name]
        goal = f"{'<=' if name.startswith('ratio') else '>='} {GOALS[name]:g}" if name in GOALS else ""
        ratios.add_row(label, f"{figure['median']:.3f}", f"{figure['p20']:.3f} to {figure['p80']:.3f}", goal)
    return [rates, ratios]
