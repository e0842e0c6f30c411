"""`nst-batch evaluate`: the quality of results as numbers."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst_lightning.errors import OutputError, UserError

from .flags import Accelerator, Json, Network, Quiet, Weights, WeightsInput

if TYPE_CHECKING:
    import torch

    from nst_lightning.evaluation.image_values import Compare
    from nst_lightning.evaluation.subject import Subject

SHOWN = 20
"""Warnings that are printed; --json has all."""


def evaluate(
    out: Annotated[Path, typer.Argument(help="Output folder of a grid, sweep or study.")],
    batch_size: Annotated[
        int, typer.Option(min=1, help="Results of one shape measured together, at most.")
    ] = 8,
    lpips: Annotated[
        bool,
        typer.Option("--lpips/--no-lpips", help="LPIPS too, whose network may be downloaded."),
    ] = True,
    network: Network = "vgg19",
    weights: Weights = "normalized",
    weights_input: WeightsInput = "auto",
    accelerator: Accelerator = "auto",
    again: Annotated[
        bool, typer.Option("--again", help="Measure all, also what has not changed since.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure how results keep to their contents and styles: OUT/evaluation.csv.

    One network measures all of them, whatever made them. Prints the means; the gallery shows each.
    """
    if out.is_file():
        raise UserError(
            f"{out}: is a file; name the output folder of a grid, sweep or study (`nst-batch run` "
            "leaves no manifest to go by)."
        )
    from rich.console import Console
    from rich.progress import Progress

    from nst_lightning.evaluation.feature_extractor import FeatureExtractor
    from nst_lightning.evaluation.measuring import evaluate_changed
    from nst_lightning.evaluation.subject import find_subjects
    from nst_lightning.evaluation.table import means, write_evaluation
    from nst_lightning.layout import EVALUATION_TABLE, PAGE
    from nst_lightning.report.gallery import read_records, write_gallery
    from nst_lightning.run.devices import choose_device

    chosen = find_subjects(read_records(out), out)
    if not chosen:
        raise UserError(
            f"{out}: none of its images or films is finished, and meshes are not measured."
        )
    device = choose_device(accelerator)
    extractor = FeatureExtractor(network, weights, device, weights_input)
    perceptual, warnings = load_lpips(device) if lpips else (None, [])
    hidden = quiet or as_json or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task("results", total=len(chosen))
        found = evaluate_changed(
            out,
            chosen,
            extractor,
            device,
            lpips=perceptual,
            batch_size=batch_size,
            again=again,
            watch=lambda done, of: progress.update(task, completed=done, total=of),
        )
    warnings += [f"left empty: {warning}" for warning in found.warnings]
    try:
        table = write_evaluation(out, chosen, found.values, extractor.name)
        page = write_gallery(out)[0] if (out / PAGE).is_file() else None
    except OSError as error:
        file = out / EVALUATION_TABLE
        where = f"{file}: cannot be written ({error.strerror}); free it and measure again."
        raise OutputError(where) from None
    for warning in warnings[:SHOWN]:
        typer.echo(warning, err=True)
    if len(warnings) > SHOWN:
        typer.echo(f"left empty: and for {len(warnings) - SHOWN} files more", err=True)
    rows = means(chosen, found.values)
    same = find_identities(chosen, found.values)
    if as_json:
        outcome = {
            "table": str(table),
            "results": len(chosen),
            "measured": found.measured,
            "feature_extractor": extractor.name,
            "means": rows,
            "identity": same,
            "warnings": warnings,
            "page": str(page) if page else None,
        }
        typer.echo(json.dumps(outcome))
    elif not quiet:
        from nst_lightning.evaluation.table import format_means

        typer.echo("\n".join([*format_means(rows), *format_identities(same)]))
        gallery = f", also in {page}" if page else f"; `nst-batch report {out}` shows it"
        kept = len(chosen) - found.measured
        counts = f"{found.measured} measured" + (f", {kept} unchanged" if kept else "")
        typer.echo(f"{counts}, with {extractor.name}; every result and layer: {table}{gallery}")
    if not any(found.values):
        raise typer.Exit(1)


def load_lpips(device: "torch.device") -> "tuple[Compare | None, list[str]]":
    """Returns LPIPS, or a sentence that says why there is none."""
    from nst_lightning.evaluation.lpips import LPIPS

    try:
        return LPIPS(device), []
    except UserError as error:
        return None, [str(error)]


def find_identities(
    chosen: "Sequence[Subject]", values: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Returns the PSNR of each result whose content is its style, by its file."""
    return {
        subject.output: mine["identity_psnr"]
        for subject, mine in zip(chosen, values, strict=True)
        if "identity_psnr" in mine
    }


def format_identities(same: Mapping[str, float]) -> list[str]:
    """Returns the identity test for people; [] where no pair takes part in it."""
    if not same:
        return []
    title = "identity test: content and style are one image, which must come back (PSNR, dB)"
    return [title, *(f"  {psnr:6.2f}  {output}" for output, psnr in same.items())]
