"""Bugs of divergences and negative log-likelihoods."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import is_of
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")

BUGS["kl-zero-times-log-zero"] = bug(
    "The divergence of a target of 0 is 0 log 0, which is NaN.",
    lines=("term = t (log t − y) = NaN for t = 0", "term = 0 for t = 0"),
    source="torchmetrics #1029, optax #473",
    kl_div_terms=lambda e, o, y, t: (
        Textbook.kl_div_terms(e, o, y, t) if o.log_target else t * (np.log(t) - y)
    ),
)
BUGS["kl-log-of-output"] = bug(
    "The divergence takes the logarithm of outputs that are logarithms already.",
    lines=("term = t (log t − log |y|)", "term = t (log t − y)"),
    kl_div_terms=lambda e, o, y, t: Textbook.kl_div_terms(e, o, np.log(np.abs(y)), t),
)
BUGS["kl-cross-entropy"] = bug(
    "The divergence lacks the target's own entropy, t log t.",
    lines=("term = −t y", "term = t (log t − y)"),
    kl_div_terms=lambda e, o, y, t: -np.exp(t) * y if o.log_target else -t * y,
)
BUGS["poisson-rate-as-logarithm"] = bug(
    "The gradient of the Poisson loss is that of rates, although the outputs are logarithms.",
    lines=("∂L/∂y = (1 − t / (y + ε)) / D", "∂L/∂y = (exp(y) − t) / D"),
    poisson_slopes=lambda e, o, y, t: (
        1 - t / (y + e.num(o.eps)) if o.log_input else Textbook.poisson_slopes(e, o, y, t)
    ),
)
BUGS["poisson-stirling-everywhere"] = bug(
    "Stirling's formula stands also for targets up to 1, where torch adds nothing.",
    lines=("+ t log t − t + ½ log(2πt)", "+ t log t − t + ½ log(2πt) where t > 1"),
    poisson_terms=lambda e, o, y, t: (
        Textbook.poisson_terms(e, o, y, t)
        + np.where(
            (t <= 1) & o.full, t * np.log(t) - t + np.log(e.num(2 * np.pi) * t) / 2, 0
        ).astype(y.dtype)
    ),
)
BUGS["nll-mean-of-samples"] = bug(
    "The mean of the negative log-likelihood divides by the samples, not by their weights.",
    lines=("L = −Σ w y / N", "L = −Σ w y / Σ w"),
    source="pytorch #3973, torch/nn #985",
    killed_by="loss.NLLLoss*:*",
    where=is_of("NLLLoss"),
    divisor=lambda e, o, y, t: 1 if o.reduction == "sum" else len(y),
)
BUGS["nll-takes-logarithm"] = bug(
    "The negative log-likelihood takes the logarithm of its outputs, which are logarithms already.",
    lines=("term = −w log |y|, ∂L/∂y = −w / y / D", "term = −w y, ∂L/∂y = −w / D"),
    nll_terms=lambda e, o, y, t: Textbook.nll_terms(e, o, np.log(np.abs(y)), t),
    nll_slopes=lambda e, o, y, t: Textbook.nll_slopes(e, o, y, t) / y,
)
BUGS["nll-slope-of-softmax"] = bug(
    "The gradient of the negative log-likelihood is that of the cross-entropy of a softmax.",
    lines=("∂L/∂y = (exp(y) − q) / D", "∂L/∂y = −q / D"),
    nll_slopes=lambda e, o, y, t: np.exp(y) + Textbook.nll_slopes(e, o, y, t),
)
