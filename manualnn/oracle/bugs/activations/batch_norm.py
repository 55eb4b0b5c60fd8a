"""Bugs of batch normalisation; `normalization` has those that it shares with other layers."""

from manualnn.oracle.bugs.bug import Method, Table, bug
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")


def _tracked_without_count(e: Textbook, o: object, x: object) -> None:
    counts = {key: a for key, a in e.params.items() if key.endswith("num_batches_tracked")}
    Textbook.batch_norm_track(e, o, x)  # type: ignore[arg-type]
    e.params.update(counts)


def _in_training(method: Method) -> Method:
    """Return a method that computes in prediction as in training."""

    def always(e: Textbook, *given: object) -> object:
        case = e.case
        e.case = case.but(noise=case.noise or {})
        result = method(e, *given)
        e.case = case
        return result

    return always


BUGS["batch-norm-biased-running-variance"] = bug(
    "The running variance averages the biased variance of the batches.",
    lines=("running_var ← (1 − α) running_var + α Σ d² / N", "… + α Σ d² / (N − 1)"),
    source="Keras's BatchNormalization, whose weights torch then reads",
    batch_norm_variance=lambda e, o, d: e.norm_mean(d * d)[:, 0],
)
BUGS["batch-norm-momentum-reversed"] = bug(
    "The momentum weighs the old running average, as in Keras and TensorFlow.",
    lines=("running ← α running + (1 − α) batch", "running ← (1 − α) running + α batch"),
    source="ports between Keras and torch",
    batch_norm_moved=lambda e, o, old, new, share: share * old + (1 - share) * new,
)
BUGS["batch-norm-not-tracked"] = bug(
    "Training does not update the running averages.",
    lines=("running unchanged", "running ← (1 − α) running + α batch"),
    batch_norm_track=lambda e, o, x: None,
)
BUGS["batch-norm-batches-not-counted"] = bug(
    "The number of batches is not counted.",
    lines=("num_batches_tracked unchanged", "num_batches_tracked ← num_batches_tracked + 1"),
    batch_norm_track=_tracked_without_count,
)
BUGS["batch-norm-tracked-in-prediction"] = bug(
    "The running averages change in prediction, too.",
    lines=("running ← (1 − α) running + α batch", "running unchanged in prediction"),
    batch_norm_track=_in_training(Textbook.batch_norm_track),
)
BUGS["batch-norm-batch-in-prediction"] = bug(
    "Prediction normalises by the batch instead of the running averages.",
    lines=("x̂ = (x − μ) / √(σ² + ε)", "x̂ = (x − running_mean) / √(running_var + ε)"),
    batch_norm_uses_batch=lambda e, o: True,
)
BUGS["batch-norm-running-in-training"] = bug(
    "Training normalises by the running averages instead of the batch.",
    lines=("x̂ = (x − running_mean) / √(running_var + ε)", "x̂ = (x − μ) / √(σ² + ε)"),
    batch_norm_uses_batch=lambda e, o: not o.track_running_stats,
)
BUGS["batch-norm-momentum-none-as-default"] = bug(
    "Without momentum, the running averages have the default momentum instead of the mean.",
    lines=("α = 0.1", "α = 1 / num_batches_tracked"),
    where=lambda e, o, *_: o.momentum is None,
    batch_norm_moved=lambda e, o, old, new, share: (1 - e.num(0.1)) * old + e.num(0.1) * new,
)
BUGS["batch-norm-training-gradient-in-prediction"] = bug(
    "In prediction, the gradient is that of training: it differentiates the averages as well.",
    lines=("dx = (dx̂ − mean(dx̂) − x̂ mean(dx̂ x̂)) / √(… + ε)", "dx = dx̂ / √(running_var + ε)"),
    source="ML-From-Scratch and tinynn, with the running averages; numpy-ml, with the batch's",
    batch_norm_backward=[Textbook.layer_norm_backward, _in_training(Textbook.batch_norm_backward)],
    batch_norm_grads=[Textbook.batch_norm_grads, _in_training(Textbook.batch_norm_grads)],
)
