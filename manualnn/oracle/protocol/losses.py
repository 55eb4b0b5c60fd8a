"""The row of every loss: its options and properties."""

from manualnn.oracle.protocol.rows import REDUCTIONS, Loss, Option

REDUCTION = {"reduction": Option("mean", REDUCTIONS[1:])}

ROWS = (
    Loss(name="MSELoss", method="mse", options=REDUCTION, is_partner=True, is_exact=True),
    Loss(
        name="L1Loss",
        method="l1",
        options=REDUCTION,
        is_partner=True,
        has_kink=True,
        is_exact=True,
    ),
    Loss(
        name="HuberLoss",
        method="huber",
        options={**REDUCTION, "delta": Option(1.0, (0.1, 0.5, 3.0), exact=(1.0, 2.0, 0.5))},
        is_partner=True,
        is_exact=True,
    ),
    Loss(
        name="BCELoss",
        method="bce",
        options={**REDUCTION, "weight": Option(None)},
        is_partner=True,
        targets="probabilities",
        takes_probabilities=True,
    ),
    Loss(
        name="BCEWithLogitsLoss",
        method="logits",
        options={**REDUCTION, "weight": Option(None), "pos_weight": Option(None)},
        is_partner=True,
        targets="probabilities",
    ),
    Loss(
        name="CrossEntropyLoss",
        method="cross_entropy",
        options={
            **REDUCTION,
            "weight": Option(None),
            "ignore_index": Option(-100, (-1, 0, 1)),
            "label_smoothing": Option(0.0, (0.1, 0.5, 1.0)),
        },
        is_partner=True,
        targets="classes",
    ),
)
