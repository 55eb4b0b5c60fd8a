"""The options of `manualnn train`."""

from collections.abc import Callable
from typing import Any

import click

from manualnn.tabular.commands.options import (
    GROUP,
    NUMBER,
    PERIOD,
    READING,
    WIDTHS,
    described,
    section,
)

__all__ = ["training_options"]

_columns, _network = section("Columns and rows"), section("Network")
_training, _stopping = section("Training"), section("Stopping")
_files = section("Output")

_OPTIONS = [
    _columns(
        "--target",
        required=True,
        multiple=True,
        metavar="COLUMN",
        help="Column to predict, by name or number; repeated for a regression of several.",
    ),
    _columns(
        "--task",
        type=click.Choice(["classification", "regression"]),
        help="Kind of prediction. Default: classification if the target is text, or at most 20 "
        "different whole numbers (and no more than half as many as there are rows).",
    ),
    _columns(
        "--ignore",
        multiple=True,
        metavar="COLUMN",
        help="Column to leave out, by name or number; may be repeated.",
    ),
    _columns(
        "--sample-weight", metavar="COLUMN", help="Column with the weight of each row in the loss."
    ),
    _columns(
        "--missing",
        type=click.Choice(["impute", "fail"]),
        default="impute",
        help="Missing numbers become the median, with an indicator as a further input, and missing "
        "texts a category of their own; or they are refused.",
    ),
    _columns(
        "--hash",
        "hashed",
        multiple=True,
        metavar="COLUMN",
        help="Column of text with many values to spread over 32 inputs, by name or number; may be "
        "repeated.",
    ),
    _columns(
        "--max-categories",
        "most_categories",
        type=click.IntRange(2),
        default=100,
        help="Largest number of different values of a column of text that is not hashed.",
    ),
    _columns(
        "--missing-class",
        is_flag=True,
        help="Rows without a target are a class. Default: they are left out.",
    ),
    _columns(
        "--test-fraction",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.2,
        help="Fraction of the rows to hold out as test rows.",
    ),
    *READING,
    _network(
        "--hidden",
        type=WIDTHS,
        default="32",
        help="Widths of the hidden layers, such as 32,16, or none.",
    ),
    _network(
        "--activation",
        type=described("manualnn.layers.activations", "__all__"),
        default="Sigmoid",
        help="Layer after each hidden layer, such as ReLU or LeakyReLU:negative_slope=0.1; the "
        "output layer is linear.",
    ),
    _network(
        "--dropout",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        help="Probability with which training drops an output of a hidden layer.",
    ),
    _network(
        "--dtype",
        type=click.Choice(["float32", "float64"]),
        default="float64",
        help="Precision of the computation.",
    ),
    _training(
        "--loss",
        type=described("manualnn.losses", "LOSSES"),
        help="Function to minimise, such as HuberLoss or CrossEntropyLoss:label_smoothing=0.1. "
        "Default: CrossEntropyLoss, or MSELoss of the standardised target.",
    ),
    _training(
        "--optimizer",
        type=described("manualnn.optimizers", "all_optimizers"),
        default="AdamW",
        help="Update rule, such as Adam or SGD:nesterov=true, or LBFGS, whose steps take all rows, "
        "or Muon, with AdamW for the biases.",
    ),
    _training(
        "--lr",
        type=NUMBER,
        show_default=False,
        help="Learning rate. Default: 0.005, and 1 for LBFGS.",
    ),
    _training("--momentum", type=NUMBER, help="Momentum of SGD or RMSprop."),
    _training(
        "--weight-decay",
        type=NUMBER,
        help="Factor of the penalty on large weights. Default: the optimizer's, 0.01 for AdamW.",
    ),
    _training("--l1", type=NUMBER, help="λ of the penalty λ Σ|w| of all weights."),
    _training("--l2", type=NUMBER, help="λ of the penalty λ Σw² of all weights."),
    _training("--max-norm", type=NUMBER, help="Largest norm of all gradients together."),
    _training("--clip-value", type=NUMBER, help="Largest absolute value of a gradient."),
    _training(
        "--group",
        "groups",
        type=GROUP,
        multiple=True,
        help="Options of the parameters whose names fit a pattern, such as *.bias:weight_decay=0; "
        "may be repeated, and the first pattern that fits holds.",
    ),
    _training(
        "--schedule",
        type=described("manualnn.training.schedules", "SCHEDULES"),
        help="Change of the learning rate, such as CosineAnnealingLR, OneCycleLR, "
        "MultiStepLR:milestones=[30,80] or ReduceLROnPlateau:patience=5. Default: none.",
    ),
    _training(
        "--class-weight",
        type=click.Choice(["balanced"]),
        help="Weight rows so that each class has the same total weight. Default: no weights.",
    ),
    _training(
        "--batch-size",
        type=click.IntRange(1),
        show_default=False,
        help="Number of rows per batch. Default: 32, and all of them for LBFGS.",
    ),
    _training(
        "--accumulation-steps",
        type=click.IntRange(1),
        default=1,
        help="Number of batches per step, which has the gradient of all their rows.",
    ),
    _training(
        "--average",
        type=click.FloatRange(0, 1),
        metavar="DECAY",
        help="Decay per step of a moving average of the parameters, such as 0.999, which the model "
        "has in their place. Default: none.",
    ),
    _training(
        "--seed",
        type=click.IntRange(0),
        default=0,
        help="Random seed of the held-out rows, the initial parameters and the order of the "
        "batches.",
    ),
    _stopping(
        "--epochs",
        type=click.IntRange(1),
        default=100,
        help="Largest number of passes over the rows.",
    ),
    _stopping(
        "--target-loss",
        type=NUMBER,
        show_default=False,
        help="Training loss at or below which training stops.",
    ),
    _stopping(
        "--early-stopping",
        is_flag=True,
        help="Stop when the loss of a validation part does not improve any more, and go back "
        "to the parameters with the lowest.",
    ),
    _stopping(
        "--patience",
        type=click.IntRange(1),
        default=10,
        help="Number of epochs without improvement before --early-stopping stops.",
    ),
    _stopping(
        "--validation-fraction",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.1,
        help="Fraction of the training rows that --early-stopping watches and does not train on.",
    ),
    _files("--output", type=click.Path(), default="model.safetensors", help="File of the model."),
    _files(
        "--force",
        is_flag=True,
        help="Replace files even if they are not manualnn's: --output, pictures.",
    ),
    _files(
        "--log",
        type=click.Path(),
        help="File with a line for each epoch: JSON lines if its name ends in .jsonl, "
        "otherwise CSV.",
    ),
    _files(
        "--plots",
        type=click.Path(file_okay=False),
        metavar="FOLDER",
        help="Folder for pictures (PNG, by Matplotlib): the loss of each epoch; a confusion "
        "matrix, or predicted against actual numbers; the regions of the classes if two columns "
        "of numbers are the features.",
    ),
    _files(
        "--checkpoint-every",
        type=PERIOD,
        help="Period after which the state of the training is written to OUTPUT.checkpoint: a "
        "number of epochs such as 10, or seconds such as 30s. Default: 60s, and the file is "
        "deleted when the training has ended.",
    ),
    _files(
        "--resume",
        type=click.Path(exists=True, dir_okay=False),
        help="Checkpoint from which to go on, with the same table and options as before.",
    ),
]


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `manualnn train` to a command."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command
