"""The estimators beside scikit-learn's: a whole fit on its digits, with its own defaults.

Both get the same split, sizes, order and initial weights (random_state=0), so that both find the
same weights. Only the time differs. "float32 for float64": manualnn computes in float32
(dtype="float32") what scikit-learn, which has no such parameter, computes in X's float64.
"""

import warnings
from typing import ClassVar

from fitting import digits

from manualnn.benchmark.cases import Case
from manualnn.benchmark.peers import ManualNN, Peer, Run
from manualnn.output.tables import format_markdown

EPOCHS = 50
CASES = [
    Case(widths, batch, dtype, "ReLU", "Adam")
    for widths, batch in (((64, 100, 10), 200), ((64, 64, 10), 32))
    for dtype in ("float64", "float32")
]
"""The first is scikit-learn's default."""


class Ours(Peer):
    name = ManualNN.name
    needs: ClassVar = {"sklearn": "scikit-learn"}

    def classify(self, case, batch, **options):
        del batch
        x, t, held_x, held_t = digits(case.dtype)
        classifier = self.estimator()(
            case.widths[1:-1],
            batch_size=case.batch,
            max_iter=EPOCHS,
            n_iter_no_change=EPOCHS,
            random_state=0,
            **options,
        )

        def call():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it has not converged
                classifier.fit(x, t)

        call()
        return Run(call, f"{classifier.score(held_x, held_t):.1%}")

    def estimator(self):
        from manualnn.estimators import MLPClassifier

        return MLPClassifier


class OursInFloat32(Ours):
    name = "float32 for float64"

    def classify(self, case, batch):
        return super().classify(case, batch, dtype="float32")


class Theirs(Ours):
    name = "scikit-learn"

    def estimator(self):
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier


ESTIMATORS = (Ours, OursInFloat32, Theirs)


def show_estimators(rows):
    """Return a table: the time of scikit-learn, its ratio to ours, and the accuracies."""
    ours, narrow, theirs = (peer.name for peer in ESTIMATORS)
    heads = ["network (batch), X", f"{theirs}, s", "right", f"{theirs} ÷ ours", "right"]
    heads += [f"{theirs} ÷ ours in float32", "right"]
    body = []
    for row in rows:
        if theirs in row.turns and ours in row.turns:
            cells = [f"{row.case.network}, {row.case.dtype}", f"{row.value(theirs):.2f}"]
            cells.append(row.notes[theirs])
            for peer in (ours, narrow):
                cells += [f"{row.ratio(theirs, peer):.2f}", row.notes[peer]]
            body.append(cells)
    return format_markdown(heads, body, "lr")
