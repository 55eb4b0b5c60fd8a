"""The commands `manualnn info` and `manualnn export`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manualnn.output.console import print_text
from manualnn.output.files import write_whole
from manualnn.tabular.commands.options import MODEL, require_outputs

if TYPE_CHECKING:
    from manualnn.tabular.model import TableModel
    from manualnn.training.trainer import Trainer

__all__ = ["export", "info"]

ENDINGS = {"onnx": ".onnx", "torch": ".torch.safetensors"}


@click.command(short_help="Print what a model file holds.")
@MODEL
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, with every number.")
def info(*, model: str, as_json: bool) -> None:
    """Print what a model file holds: network, training, and the columns of a table's model.

    The file is checked on the way: its checksum, and that its parts fit together.
    """
    from manualnn import checkpoints
    from manualnn.serialization import container, load_with_notes
    from manualnn.tabular.model import load_model
    from manualnn.tabular.report import describe_model, describe_trainer, format_items

    trainer, notes, _ = load_with_notes(model)
    size = Path(model).stat().st_size
    if as_json:
        facts = {"file": model, "bytes": size, **trainer.spec(), "steps": trainer.steps, **notes}
        print_text(json.dumps(facts, indent=2))
        return
    of_table = load_model(model) if "table" in notes else None
    lines = describe_model(of_table) if of_table else describe_trainer(trainer)
    lines["optimizer"] = repr(trainer.rule)
    kind = "a model for tables" if of_table else "a network"
    if checkpoints.KEY in notes:
        kind = "a checkpoint; fit(resume=…) or `manualnn train … --resume` goes on from it"
    if trainer.steps:
        lines["steps"] = str(trainer.steps)
    is_checked = container.read(model)[0]["version"] > 1
    checked = "checksum correct" if is_checked else "version 1, without a checksum"
    print_text(f"{model}: {kind}\n  {size:,} bytes, {checked}")
    print_text(format_items(lines))
    if of_table:
        print_text(_describe_table(of_table))


def _describe_table(model: "TableModel") -> str:
    """Return how the model was trained, its scores, and how each column becomes inputs."""
    from manualnn.output.tables import align_columns
    from manualnn.tabular.report import format_items, format_scores

    about, parts = model.about, []
    known: dict[str, Any] = {
        name: about[name] for name in ("command", "epochs", "stopped") if name in about
    }
    if about.get("rows"):
        known["rows"] = ", ".join(f"{count} {name}" for name, count in about["rows"].items())
    if known:
        parts.append(f"training\n{format_items({k: str(v) for k, v in known.items()})}")
    if about.get("scores"):
        parts.append(f"scores\n{format_scores(about['scores'])}")
    columns = align_columns(model.encoder.describe(), "l")
    parts.append("\n".join(["features", *(f"  {line}" for line in columns)]))
    return "\n" + "\n\n".join(parts)


@click.command(short_help="Write a model's network for other programs.")
@MODEL
@click.option(
    "--format",
    "form",
    type=click.Choice([*ENDINGS]),
    required=True,
    help="onnx: a graph for onnxruntime. torch: a safetensors file that load_state_dict of a "
    "torch.nn.Sequential takes.",
)
@click.option("--output", type=click.Path(), help="Default: MODEL with the ending of the format.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option(
    "--probabilities",
    is_flag=True,
    help="Let the ONNX graph end in probabilities instead of the loss's inputs.",
)
@click.option(
    "--opset", type=click.IntRange(1), help="Version of ONNX's operators. Default: newest."
)
def export(*, model: str, form: str, output: str | None, force: bool, **of_onnx: Any) -> None:
    """Write a model's network for other programs.

    Only the network is written. The encoding of a table's columns is left to the caller:
    `manualnn info MODEL --json` prints it.
    """
    import numpy as np

    from manualnn.serialization import load_with_notes, require_safetensors

    output = output or str(Path(model).with_suffix(ENDINGS[form]))
    require_outputs({"--output": output}, model)
    if Path(output).exists() and not force:
        raise click.UsageError(f"{output} exists; replace it with --force, or give another name.")
    if form != "onnx" and any(of_onnx.values()):
        raise click.UsageError("--probabilities and --opset are for --format onnx.")
    trainer, notes, _ = load_with_notes(model)
    if form == "onnx":
        from manualnn.onnx import save_onnx

        save_onnx(output, trainer, **of_onnx)
    else:
        parameters = {key: np.ascontiguousarray(array) for key, array in trainer.params.items()}
        write_whole(output, require_safetensors(".numpy").save(parameters))
    print_text(f"{output}: {_explain_loading(trainer, form, output)}")
    if "table" in notes:
        click.echo(
            "Its inputs are the encoded columns: `manualnn info MODEL --json` prints the encoder "
            "and the target.",
            err=True,
        )


def _explain_loading(trainer: "Trainer", form: str, output: str) -> str:
    """Return how another program loads the file."""
    if form == "onnx":
        return "one input x (rows, inputs), one output y (rows, outputs)"
    layers = ", ".join(f"nn.{layer!r}" for layer in trainer.net.layers)
    double = ".double()" if trainer.params.dtype == float else ""
    return (
        f"load it with\n  net = nn.Sequential({layers}){double}\n"
        f"  net.load_state_dict(safetensors.torch.load_file({output!r}))"
    )
