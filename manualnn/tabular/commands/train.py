"""The command `manualnn train`."""

import math
import shlex
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

import click

from manualnn.errors import DivergedError, ManualNNError, ModelFileError
from manualnn.output.console import print_text
from manualnn.tabular.commands.continuation import Continuation, count_held, print_end
from manualnn.tabular.commands.options import (
    ARGUMENTS,
    DATA,
    Sections,
    require_outputs,
    take_reading,
)
from manualnn.tabular.commands.plots import outputs_in, require_pictures, write_pictures
from manualnn.tabular.commands.training_options import training_options

if TYPE_CHECKING:
    from manualnn.tabular.prepare import Prepared
    from manualnn.training.average import AveragedModel
    from manualnn.training.callbacks import EarlyStopping
    from manualnn.training.history import History

__all__ = ["train"]

CODES = {"interrupted": 130, "terminated": 143}
"""The exit codes after Ctrl-C and SIGTERM: 128 + the number of the signal."""
OF_THE_FIT = ("epochs", "batch_size", "accumulation_steps", "target_loss")
OF_THE_RULE = ("momentum", "weight_decay", "l1", "l2", "max_norm", "clip_value", "groups")
"""The options of the command that are options of `fit`, and of the update rule."""
EVERY = {"every_seconds": 60.0}
"""The period of checkpoints if none is given. They are deleted when the model is saved."""


@click.command(cls=Sections, short_help="Train a classifier or a regressor on a table.")
@DATA
@training_options
@click.pass_context
def train(ctx: click.Context, /, data: str, output: str, **options: Any) -> None:
    """Train a classifier or a regressor on a table, and report its scores on held-out rows.

    DATA is a CSV or TSV file (also .gz or .zst), a Parquet file, or - for standard input. Columns
    of numbers are standardised; text, yes/no and boolean columns become one input for each value.
    The test rows are not used for training, nor for what is learnt about the columns.

    NAME:OPTION=VALUE,… sets options of a layer, loss, optimizer or schedule; names are torch's.

    Ctrl-C ends the training and saves the model as trained until then; the exit code is 130.
    SIGTERM ends it without a model; the exit code is 143. After both, --resume goes on.
    """
    from manualnn.checkpoints import Checkpoint
    from manualnn.serialization import require_safetensors
    from manualnn.tabular.reader import read_table

    require_safetensors()
    log, resume, every, plots, force = (
        options.pop(name) for name in ("log", "resume", "checkpoint_every", "plots", "force")
    )
    checkpoint = f"{output}.checkpoint"
    is_new = not Path(checkpoint).exists()
    require_outputs({"--output": output, "--log": log, **outputs_in(plots)}, data, resume)
    _require_ours(*([] if force else [output, checkpoint]))
    require_pictures(plots, force=force)
    held = count_held(resume, options["epochs"])
    early = _take_early_stopping(options)
    average = _take_average(options)
    limits = _take_limits(options)
    about = {
        "command": shlex.join(["manualnn", "train", *ctx.meta[ARGUMENTS]]),
        "missing_values": options["missing_value"],
    }
    table = read_table(data, **take_reading(options))
    # Here, because loading scikit-learn takes longer than to find what is wrong so far.
    from manualnn.tabular.prepare import prepare
    from manualnn.tabular.report import compute_scores, describe, format_items, format_results

    prepared = prepare(table, options.pop("target"), **_build(options, limits["epochs"]))
    print_text(describe(prepared, table))
    keeper = Checkpoint(checkpoint, **(every or EVERY))
    callbacks = [keeper, *([early] if early else []), *average]
    go_on = Continuation(about["command"], keeper, resume, prepared.model.trainer)
    try:
        with go_on.named_in_errors():
            history = _fit(prepared, log, callbacks=callbacks, resume=resume, **limits)
    except ManualNNError as error:
        if is_new and not every:
            Path(checkpoint).unlink(missing_ok=True)
        if isinstance(error, DivergedError):
            _explain_divergence(error, prepared.estimator.optimizer.lr, output)
        raise
    lines = {"stopped": _describe_end(history, limits, early)}
    if history.stopped in CODES:
        lines["continue"] = go_on.command
    if history.stopped == "terminated":  # who sends it will not wait for scores
        print_end(format_items(lines), f"Continue: {go_on.command}")
        sys.exit(CODES[history.stopped])
    scores = compute_scores(prepared)
    prepared.model.about.update(
        about,
        rows=prepared.sizes,
        epochs=history.epochs,
        stopped=history.stopped,
        scores=scores,
    )
    with go_on.named_in_errors():
        prepared.model.save(output)
    if history.stopped not in CODES and history.epochs > held and not every:
        Path(checkpoint).unlink(missing_ok=True)
    report = f"{format_items(lines | {'saved as': output})}\n\n{format_results(prepared, scores)}"
    print_end(report, f"The model is saved as {output}.")
    if plots:
        print_text(write_pictures(plots, prepared, table, history))
    sys.exit(CODES.get(history.stopped, 0))


def _take_early_stopping(options: dict[str, Any]) -> "EarlyStopping | None":
    """Return the callback of --early-stopping; without it, no validation part is held out."""
    from manualnn.training.callbacks import EarlyStopping

    patience = options.pop("patience")
    if options.pop("early_stopping"):
        return EarlyStopping(patience)
    options["validation_fraction"] = 0
    return None


def _take_limits(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `fit`, and set the learning rate: other defaults for a solver."""
    from manualnn.optimizers import SOLVERS

    is_solver = options["optimizer"]["type"] in SOLVERS
    limits = {name: options.pop(name) for name in OF_THE_FIT}
    limits["batch_size"] = limits["batch_size"] or (None if is_solver else 32)
    if options["lr"] is None:
        options["lr"] = 1.0 if is_solver else 0.005
    return limits


def _take_average(options: dict[str, Any]) -> "list[AveragedModel]":
    """Return the callback of --average, or nothing."""
    from manualnn.training.average import AveragedModel

    decay = options.pop("average")
    return [] if decay is None else [AveragedModel(decay, replaces=True)]


def _fit(
    prepared: "Prepared", log: str | None, *, callbacks: list[Any], **options: Any
) -> "History":
    """Train, and log every epoch if a file is given."""
    from manualnn.tabular.commands.log import log_epochs

    with log_epochs(log) if log else nullcontext() as logged:
        callbacks = [*callbacks, logged] if logged else callbacks
        history = prepared.fit(callbacks=callbacks, progress=None, **options)
        if logged:  # also if the checkpoint had all epochs already
            logged(prepared.model.trainer, history)
    return history


def _build(options: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Return the options of `prepare`: layers, loss, rule and schedule in place of their specs."""
    from manualnn.layers import LAYERS
    from manualnn.losses import LOSSES
    from manualnn.optimizers import MATRIX_RULES, all_optimizers
    from manualnn.spec import from_spec
    from manualnn.training.schedules import schedule_from_spec

    rule = options.pop("optimizer") | {"lr": options.pop("lr")}
    for name in OF_THE_RULE:
        if (value := options.pop(name)) not in (None, ()):
            rule[name] = value
    if rule["type"] in MATRIX_RULES:
        rule.setdefault("groups", [{"params": "*.bias", "type": "AdamW"}])
    if options["class_weight"] is None:  # a regressor has no such option
        del options["class_weight"]
    usual = _usual_options(epochs, rule["lr"], has_validation=options["validation_fraction"] > 0)
    schedule = options.pop("schedule")
    loss, activation = options.pop("loss"), options.pop("activation")
    return options | {
        "loss": loss and from_spec(loss, LOSSES, "loss"),
        "activation": from_spec(activation, LAYERS, "activation"),
        "rule": from_spec(rule, all_optimizers(), "optimizer"),
        "schedule": schedule and schedule_from_spec(usual.get(schedule["type"], {}) | schedule),
    }


def _usual_options(epochs: int, lr: float, *, has_validation: bool) -> dict[str, dict[str, Any]]:
    """Return options of schedules that follow from other options of the command."""
    return {
        "CosineAnnealingLR": {"T_max": epochs},
        "CyclicLR": {"max_lr": lr},
        "OneCycleLR": {"max_lr": lr, "epochs": epochs},
        "ReduceLROnPlateau": {"monitor": "validation_loss" if has_validation else "loss"},
    }


def _describe_end(
    history: "History", limits: Mapping[str, Any], early: "EarlyStopping | None"
) -> str:
    """Return when and why the training ended."""
    from manualnn.tabular.table import count_noun

    reason = {
        "epochs": "as many as --epochs allows",
        "target_loss": f"the loss is at most {limits['target_loss']}",
        "early_stopping": "the validation loss does not improve any more",
        "interrupted": "Ctrl-C; the model as trained until then is saved",
        "terminated": "SIGTERM; no model was saved, but a checkpoint",
    }[history.stopped]
    losses = f", loss {history.loss[-1]:.4g}" if history.loss else ""
    if history.validation_loss:
        losses += f", validation loss {history.validation_loss[-1]:.4g}"
    if early and early.best is not None and early.best_epoch < history.epochs:
        reason += f"; the lowest validation loss was {early.best:.4g} in epoch {early.best_epoch}"
    epochs = count_noun(history.epochs, "epoch")
    return f"after {epochs}, {history.seconds:.2g} s{losses}: {reason}"


def _require_ours(*outputs: str) -> None:
    """Raise an error if an output would replace a file that is no model of ours."""
    from manualnn.serialization import load_with_notes

    for output in outputs:
        if not Path(output).exists() or not Path(output).stat().st_size:
            continue
        try:
            load_with_notes(output)
        except ModelFileError as error:
            message = (
                f"{output} would be replaced, but it is no model file that can be read ({error}) "
                f"Give another --output, or say --force."
            )
            raise click.UsageError(message) from error


def _explain_divergence(error: DivergedError, lr: float, output: str) -> Never:
    """Raise an error that says what to do."""
    known = (
        "" if math.isnan(error.last_loss) else f", the last finite loss was {error.last_loss:.4g}"
    )
    old = f" {output} is still the old one." if Path(output).exists() else ""
    message = (
        f"training diverged in epoch {error.epoch}{known}; nothing was saved.{old} "
        f"Try a smaller --lr than {lr:g}, or leave it out."
    )
    raise click.ClickException(message) from error
