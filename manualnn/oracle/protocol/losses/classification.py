"""The rows of the losses for classification: their options and properties."""

from manualnn.oracle.protocol.losses.common import REDUCTION
from manualnn.oracle.protocol.rows import Convention, Loss, Option

ROWS = (
    Loss(
        name="BCELoss",
        method="bce",
        options={**REDUCTION, "weight": Option(None)},
        conventions={
            "torch": Convention(
                "its gradient is (y − t) / max(y (1 − y), 1e-12), as in torch", {"floor": 1e-12}
            ),
            "calculus": Convention(
                "its gradient is (y − t) / (y (1 − y)), by calculus; torch floors y (1 − y) at "
                "1e-12",
                {"floor": 0.0},
            ),
        },
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
        has_mean_of_weights=True,
    ),
    Loss(
        name="NLLLoss",
        method="nll",
        options={
            **REDUCTION,
            "weight": Option(None),
            "ignore_index": Option(-100, (-1, 0, 1)),
        },
        targets="classes",
        class_targets=("indices",),
        has_mean_of_weights=True,
    ),
    Loss(
        name="MultiMarginLoss",
        method="multi_margin",
        options={
            **REDUCTION,
            "weight": Option(None),
            "p": Option(1, (2,)),
            "margin": Option(1.0, (0.5, 2.0, 0.0)),
        },
        targets="classes",
        class_targets=("indices",),
        is_per_sample=True,
        switches=lambda o: (o.margin,),
    ),
    Loss(
        name="MultiLabelMarginLoss",
        method="multi_label_margin",
        options={**REDUCTION},
        targets="labels",
        is_per_sample=True,
        switches=lambda _: (1.0,),
    ),
    Loss(
        name="MultiLabelSoftMarginLoss",
        method="multi_label_soft_margin",
        options={**REDUCTION, "weight": Option(None)},
        targets="probabilities",
        is_per_sample=True,
    ),
)
