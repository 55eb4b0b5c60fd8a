"""Orders and groupings of update rules that real programs use, as methods of `Textbook`.

    ORDERS["sgd"]["Caffe: …"]       a method that replaces `Textbook.sgd`
    INSIDE                          (line, method) with the learning rate inside the buffers

All of them are the same mathematics. The names say which program, where the order is a program's
own. An order with the rate inside its buffers is right only for an engine that returns no state.
"""

import math

import numpy as np

from manualnn.oracle.textbook.engine import Textbook

# Stochastic gradient descent


def plain(order):
    """Return a method that uses an order for steps without momentum, and else the usual one."""

    def sgd(e, o, p, g, s, t):
        if o.momentum:
            return Textbook.sgd(e, o, p, g, s, t)
        return order(e.num(o.lr), e.num(o.weight_decay), p, e.uphill(o, g))

    return sgd


def buffered(order):
    """Return a method with the usual buffer, and an order for the step along it."""

    def sgd(e, o, p, g, s, t):
        if not o.momentum:
            return Textbook.sgd(e, o, p, g, s, t)
        old = s["momentum_buffer"] if t > 1 else np.zeros_like(p)
        own = e.gradient(o, p, g)
        s["momentum_buffer"] = new = e.sgd_buffer(o, old, own, t)
        if not o.nesterov:
            return e.moved(o, p, new, e.num(o.lr))
        return order(e.num(o.lr), e.num(o.momentum), p, own, old, new)

    return sgd


def velocity(order, *, expanded=False):
    """Return a method whose buffer is v = μ v − lr g, and an order for Nesterov's step."""

    def sgd(e, o, p, g, s, t):
        lr, mu, own = e.num(o.lr), e.num(o.momentum), e.gradient(o, p, g)
        if not o.momentum:
            return p - lr * own
        old = s["momentum_buffer"] if t > 1 else np.zeros_like(p)
        share = lr if t == 1 else lr * (1 - e.num(o.dampening))
        if expanded:  # MXNet: the decay is a term of its own.
            new = mu * old - share * e.num(o.weight_decay) * p - share * e.uphill(o, g)
        else:
            new = mu * old - share * own
        s["momentum_buffer"] = new
        return order(lr, mu, p, own, old, new) if o.nesterov else p + new

    return sgd


def _three_terms(e, o, p, g, s, t):
    """Add the decay to the buffer after the gradient."""
    if not o.momentum or t == 1:
        return Textbook.sgd(e, o, p, g, s, t)
    own, g = e.gradient(o, p, g), e.uphill(o, g)
    share = 1 - e.num(o.dampening)
    b = e.num(o.momentum) * s["momentum_buffer"] + share * g
    s["momentum_buffer"] = b = b + share * e.num(o.weight_decay) * p if o.weight_decay else b
    return e.moved(o, p, e.sgd_direction(o, own, b), e.num(o.lr))


def _momentum_in_two_additions(e, o, p, g, s, t):
    if not o.momentum or o.nesterov or t == 1:
        return velocity(NESTEROV["Keras: p + μ v − lr g, two additions"])(e, o, p, g, s, t)
    lr, mu = e.num(o.lr), e.num(o.momentum)
    carried = mu * s["momentum_buffer"]
    step = lr * ((1 - e.num(o.dampening)) * e.gradient(o, p, g))
    s["momentum_buffer"] = carried - step
    return (p + carried) - step


def _maximized_by_the_rate(e, o, p, g, s, t):
    if o.momentum or not o.maximize:
        return Textbook.sgd(e, o, p, g, s, t)
    return p + e.num(o.lr) * (g - e.num(o.weight_decay) * p)


NESTEROV = {
    "Keras: p + μ v − lr g, two additions": lambda lr, mu, p, g, old, v: (p - lr * g) + mu * v,
    "MXNet: p + (μ v − lr g)": lambda lr, mu, p, g, old, v: p + (mu * v - lr * g),
    "CS231n: p − μ v₀ + (1 + μ) v": lambda lr, mu, p, g, old, v: p + (-mu * old + (1 + mu) * v),
    "the same, two additions": lambda lr, mu, p, g, old, v: (p - mu * old) + (1 + mu) * v,
    "Chainer: p + μ² v₀ − (1 + μ) lr g": lambda lr, mu, p, g, old, v: (
        p + (mu * mu * old - (1 + mu) * lr * g)
    ),
}
WITH_BUFFER = {
    "PaddlePaddle: p − (lr g + lr μ b)": lambda lr, mu, p, g, old, b: p - (lr * g + lr * mu * b),
    "p − lr g − lr μ b": lambda lr, mu, p, g, old, b: (p - lr * g) - lr * mu * b,
    "p − lr μ b − lr g": lambda lr, mu, p, g, old, b: (p - lr * (mu * b)) - lr * g,
    "Caffe: p − lr ((1 + μ) b − μ b₀)": lambda lr, mu, p, g, old, b: (
        p - lr * ((1 + mu) * b - mu * old)
    ),
    "p − lr (μ² b₀ + (1 + μ) g)": lambda lr, mu, p, g, old, b: (
        p - lr * (mu * mu * old + (1 + mu) * g)
    ),
}
DECAY = {
    "(1 − lr λ) p − lr g": lambda lr, wd, p, g: p * (1 - lr * wd) - lr * g,
    "p − lr g − lr λ p": lambda lr, wd, p, g: (p - lr * g) - lr * wd * p,
    "p − lr λ p − lr g": lambda lr, wd, p, g: (p - lr * (wd * p)) - lr * g,
    "p − (lr g + lr λ p)": lambda lr, wd, p, g: p - (lr * g + lr * wd * p),
}
INSIDE = {
    **{f"rate inside, {name}": ("sgd", velocity(order)) for name, order in NESTEROV.items()},
    "MXNet: v = μ v − lr λ p − lr g": (
        "sgd",
        velocity(NESTEROV["MXNet: p + (μ v − lr g)"], expanded=True),
    ),
    "p + μ v − lr g without Nesterov": ("sgd", _momentum_in_two_additions),
}


def _rmsprop_inside(e, o, p, g, s, t):
    """Keras: the momentum's buffer contains the rate."""
    g = e.gradient(o, p, g)
    s["square_avg"] = v = e.rmsprop_square(o, s["square_avg"], g)
    if o.centered:
        s["grad_avg"] = m = e.rmsprop_mean(o, s["grad_avg"], g)
        v = e.rmsprop_variance(o, v, m)
    step = e.num(o.lr) * g / e.rmsprop_root(o, v)
    if o.momentum:
        s["momentum_buffer"] = step = e.num(o.momentum) * s["momentum_buffer"] + step
    return p - step


INSIDE["Keras: b = μ b + lr g / root"] = ("rmsprop", _rmsprop_inside)


# Adam


def adam(step):
    """Return a method with the usual moments, and step(e, o, m, v, lr, c₁, c₂, ε)."""

    def adam_step(e, o, p, g, s, t):
        s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
        s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], g, t)
        if o.amsgrad:
            s["max_exp_avg_sq"] = v = e.adam_maximum(o, s["max_exp_avg_sq"], v, t)
        c1, c2 = e.adam_correction1(o, t), e.adam_correction2(o, t)
        return p - step(e, m, v, e.num(o.lr), c1, c2, e.num(o.eps))

    return adam_step


def _root(c):
    return c**0.5


def _by_the_rate(e, m, v, lr, c1, c2, eps):
    """PyTorch, capturable: the denominator is divided by the rate, which must not be 0."""
    if not lr:
        return 0 * m
    return m / (np.sqrt(v) / (_root(c2) * (lr / c1)) + eps / (lr / c1))


ADAM = {
    "lr m̂ / (√v̂ + ε), as in the paper": lambda e, m, v, lr, c1, c2, eps: (
        lr * (m / c1) / (np.sqrt(v / c2) + eps)
    ),
    "m̂ and v̂ by reciprocals": lambda e, m, v, lr, c1, c2, eps: (
        lr * (m * (1 / c1)) / (np.sqrt(v * (1 / c2)) + eps)
    ),
    "lr m / c₁ / (√v / √c₂ + ε)": lambda e, m, v, lr, c1, c2, eps: (
        lr * m / c1 / (np.sqrt(v) / _root(c2) + eps)
    ),
    "PyTorch: (lr / c₁) (m / (√v / √c₂ + ε))": lambda e, m, v, lr, c1, c2, eps: (
        lr / c1 * (m / (np.sqrt(v) / _root(c2) + eps))
    ),
    "(lr √c₂ / c₁) m / (√v + ε √c₂)": lambda e, m, v, lr, c1, c2, eps: (
        lr * _root(c2) / c1 * m / (np.sqrt(v) + eps * _root(c2))
    ),
    "lr √c₂ m / c₁ / (√v + ε √c₂)": lambda e, m, v, lr, c1, c2, eps: (
        lr * _root(c2) * m / c1 / (np.sqrt(v) + eps * _root(c2))
    ),
    "(lr / c₁) (m (1 / (√v̂ + ε)))": lambda e, m, v, lr, c1, c2, eps: (
        lr / c1 * (m * (1 / (np.sqrt(v / c2) + eps)))
    ),
    "m / ((√v̂ + ε) c₁ / lr)": lambda e, m, v, lr, c1, c2, eps: (
        m / ((np.sqrt(v / c2) + eps) * c1 / lr)
    ),
    "PyTorch: m / (√v / (√c₂ rate) + ε / rate)": _by_the_rate,
}


def adamw(order):
    """Return a method that combines the step of Adam with the decay in another order."""

    def adamw_step(e, o, p, g, s, t):
        s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], e.uphill(o, g), t)
        s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], e.uphill(o, g), t)
        if o.amsgrad:
            s["max_exp_avg_sq"] = v = e.adam_maximum(o, s["max_exp_avg_sq"], v, t)
        u = m / e.adam_correction1(o, t) / e.adam_root(o, v, t)
        return order(e.num(o.lr), e.num(o.weight_decay), p, u)

    return adamw_step


ADAMW = {
    "Optax: p − lr (u + λ p)": lambda lr, wd, p, u: p - lr * (u + wd * p),
    "p − lr u − lr λ p": lambda lr, wd, p, u: (p - lr * u) - lr * wd * p,
    "p − (lr u + lr λ p)": lambda lr, wd, p, u: p - (lr * u + lr * wd * p),
    "p − lr λ p − lr u": lambda lr, wd, p, u: (p - lr * wd * p) - lr * u,
}


def adamax(step):
    def method(e, o, p, g, s, t):
        g = e.gradient(o, p, g)
        s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
        u = e.larger(e.num(o.betas[1]) * s["exp_inf"], abs(g) + e.num(o.eps))
        s["exp_inf"] = u
        return p - step(m, u, e.num(o.lr), e.adam_correction1(o, t))

    return method


ADAMAX = {
    "lr m / (c₁ u)": lambda m, u, lr, c: lr * m / (c * u),
    "lr (m / c₁) / u": lambda m, u, lr, c: lr * (m / c) / u,
    "PyTorch: m / (u c₁ / lr)": lambda m, u, lr, c: m / (u * c / lr),
    "(lr / c₁) (m (1 / u))": lambda m, u, lr, c: lr / c * (m * (1 / u)),
}


def nadam(step):
    def method(e, o, p, g, m, root, t):
        lr, a, b = e.num(o.lr), e.nadam_gradient_share(o, t), e.nadam_mean_share(o, t)
        return step(lr, a, b, p, g, m, root)

    return method


NADAM = {
    "PyTorch: p − lr a (g / root) − lr b (m / root)": lambda lr, a, b, p, g, m, root: (
        p - lr * a * (g / root) - lr * b * (m / root)
    ),
    "p − (lr a g + lr b m) / root": lambda lr, a, b, p, g, m, root: (
        p - (lr * a * g + lr * b * m) / root
    ),
    "p − lr (a g + b m) / root": lambda lr, a, b, p, g, m, root: p - lr * (a * g + b * m) / root,
    "p − lr (a g / root + b m / root)": lambda lr, a, b, p, g, m, root: (
        p - lr * (a * g / root + b * m / root)
    ),
}


def muon(order):
    def muon(e, o, p, g, s, t):
        s["momentum_buffer"] = b = e.muon_buffer(o, s["momentum_buffer"], g)
        d = e.muon_scale(o, p) * e.muon_orthogonal(o, e.muon_direction(o, b, g))
        return order(e.num(o.lr), e.num(o.weight_decay), p, d)

    return muon


def scaled_first(e, o, u):
    """Divide by the largest entry first, so that no square overflows (manualnn)."""
    size = np.maximum(np.abs(u).max(), e.num(o.eps))
    x = u / size
    return x / np.maximum(np.sqrt(np.sum(x * x)), e.num(o.eps) / size)


def iterated(order):
    """Return a method that uses an order for each iteration."""

    def muon_orthogonal(e, o, u):
        x = e.muon_normalised(o, u)
        for _ in range(o.ns_steps):
            x = order(e, o, x)
        return x

    return muon_orthogonal


def in_three_products(e, o, x):
    a, b, c = map(e.num, o.ns_coefficients)
    gram = x @ x.T
    once = gram @ x
    return a * x + b * once + c * (gram @ once)


def from_the_right(e, o, x):
    a, b, c = map(e.num, o.ns_coefficients)
    gram = x.T @ x
    return x @ (b * gram + c * (gram @ gram)) + a * x


def lion(order):
    def method(e, o, p, g, s, t):
        g, m = e.uphill(o, g), s["exp_avg"]
        s["exp_avg"] = e.lion_mean(o, m, g)
        return order(e.num(o.lr), e.num(o.weight_decay), p, e.lion_direction(o, m, g))

    return method


def radam(step):
    def method(e, o, p, g, s, t):
        p, g = e.decayed(o, p, g)
        s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
        s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], g, t)
        lr, c1, c2 = e.num(o.lr), e.adam_correction1(o, t), e.adam_correction2(o, t)
        if not e.radam_is_reliable(o, t):
            return p - m / c1 * lr
        return p - step(m, e.radam_root(o, v, t), lr, e.radam_share(o, t), c1, c2)

    return method


RADAM = {
    "PyTorch: m̂ lr (√c₂ / (√v + ε)) r": lambda m, root, lr, r, c1, c2: (
        m / c1 * lr * (_root(c2) / root) * r
    ),
    "(lr r √c₂ / c₁) m / (√v + ε)": lambda m, root, lr, r, c1, c2: (
        lr * r * _root(c2) / c1 * m / root
    ),
    "r m̂ / ((√v + ε) / √c₂) lr": lambda m, root, lr, r, c1, c2: (
        lr * (r * (m / c1) / (root / _root(c2)))
    ),
}


# Fused operations


def fused(a, b, c):
    """Return a b + c, rounded once."""
    wide = np.longdouble if np.result_type(a, b, c) == np.float64 else np.float64
    kind = np.result_type(c)
    return (np.asarray(a, wide) * np.asarray(b, wide) + np.asarray(c, wide)).astype(kind)


def _fused_average(e, old, new, beta):
    return fused(e.kind.type(beta), old - new, new)


def _product(e, beta, t):
    return math.prod([e.num(beta)] * t)


ORDERS = {
    "average": {
        "β old + (1 − β) new": lambda e, old, new, beta: (
            e.num(beta) * old + (1 - e.num(beta)) * new
        ),
        "old + (1 − β) (new − old)": lambda e, old, new, beta: (
            old + (1 - e.num(beta)) * (new - old)
        ),
        "old − (1 − β) (old − new)": lambda e, old, new, beta: (
            old - (1 - e.num(beta)) * (old - new)
        ),
        "fused: β old + [(1 − β) new]": lambda e, old, new, beta: fused(
            e.kind.type(e.num(beta)), old, (1 - e.num(beta)) * new
        ),
        "new + β (old − new), for β below ½": lambda e, old, new, beta: (
            new + e.num(beta) * (old - new) if beta < 0.5 else old + (1 - e.num(beta)) * (new - old)
        ),
    },
    "adam_square": {
        "β v + ((1 − β) g) g": lambda e, o, v, g, t: (
            e.num(o.betas[1]) * v + ((1 - e.num(o.betas[1])) * g) * g
        ),
    },
    "rmsprop_square": {
        "α v + ((1 − α) g) g": lambda e, o, v, g: (
            e.num(o.alpha) * v + ((1 - e.num(o.alpha)) * g) * g
        ),
    },
    "correction": {
        "1 − βᵗ": lambda e, beta, t: 1 - e.num(beta) ** t,
        "1 − β β … β": lambda e, beta, t: 1 - _product(e, beta, t),
    },
    "gradient": {
        "fused: λ p + g": lambda e, o, p, g: (
            fused(e.kind.type(o.weight_decay), p, e.uphill(o, g))
            if o.weight_decay
            else e.uphill(o, g)
        ),
    },
    "moved": {
        "fused: p − lr d": lambda e, o, p, d, lr: fused(e.kind.type(-lr), d, p),
        "p + (−lr) d": lambda e, o, p, d, lr: p + (-lr) * d,
    },
    "moved_by_quotient": {
        "p − lr (d / root)": lambda _, _o, p, d, root, lr: p - lr * (d / root),
        "p − (lr d) / root": lambda _, _o, p, d, root, lr: p - lr * d / root,
        "p − (lr / root) d": lambda _, _o, p, d, root, lr: p - lr / root * d,
        "p − d / (root / lr)": lambda _, _o, p, d, root, lr: p - d / (root / lr),
        "p − lr (d (1 / root))": lambda _, _o, p, d, root, lr: p - lr * (d * (1 / root)),
        "p − (lr d) (1 / root)": lambda _, _o, p, d, root, lr: p - (lr * d) * (1 / root),
    },
    "sgd": {
        "p − lr (g + λ p)": Textbook.sgd,
        **{name: plain(order) for name, order in DECAY.items()},
        **{name: buffered(order) for name, order in WITH_BUFFER.items()},
        "b = μ b + g + λ p": _three_terms,
        "p + lr (g − λ p), which maximizes": _maximized_by_the_rate,
    },
    "adagrad_rate": {
        "lr / (1 + (t − 1) η)": lambda e, o, t: e.num(o.lr) / (1 + (t - 1) * e.num(o.lr_decay)),
    },
    "asgd_moved": {
        "p (1 − η λ₀) − η g": Textbook.asgd_moved,
        "p − η (g + λ₀ p)": lambda e, o, p, g, rate: p - rate * (g + e.num(o.lambd) * p),
        "p − η g − η λ₀ p": lambda e, o, p, g, rate: (p - rate * g) - rate * e.num(o.lambd) * p,
    },
    "asgd_rate": {
        "PyTorch: in float32": lambda e, o, t: float(np.float32(Textbook.asgd_rate(e, o, t))),
    },
    "asgd_share": {
        "PyTorch: in float32": lambda e, o, t: float(np.float32(Textbook.asgd_share(e, o, t))),
    },
    "asgd_average": {
        "a + μ (p − a)": Textbook.asgd_average,
        "(1 − μ) a + μ p": lambda e, o, a, p, share: (1 - share) * a + share * p,
    },
    "adadelta_step": {
        "PyTorch: (√(u + ε) / √(v + ε)) g": Textbook.adadelta_step,
        "√(u + ε) g / √(v + ε)": lambda e, o, u, v, g: (
            e.adadelta_root(o, u) * g / e.adadelta_root(o, v)
        ),
        "√(u + ε) (g / √(v + ε))": lambda e, o, u, v, g: (
            e.adadelta_root(o, u) * (g / e.adadelta_root(o, v))
        ),
        "√((u + ε) / (v + ε)) g": lambda e, o, u, v, g: (
            np.sqrt((u + e.num(o.eps)) / (v + e.num(o.eps))) * g
        ),
    },
    "adam_root": {
        "√(v / c) + ε": lambda e, o, v, t: np.sqrt(v / e.adam_correction2(o, t)) + e.num(o.eps),
        "√v / √c + ε": lambda e, o, v, t: (
            np.sqrt(v) / e.adam_correction2(o, t) ** 0.5 + e.num(o.eps)
        ),
    },
    "adam_step": {name: adam(step) for name, step in ADAM.items()},
    "adamw": {name: adamw(order) for name, order in ADAMW.items()},
    "adamw_decayed": {
        "(1 − lr λ) p": lambda e, o, p: (1 - e.num(o.lr) * e.num(o.weight_decay)) * p,
        "p − (lr λ) p": lambda e, o, p: p - e.num(o.lr) * e.num(o.weight_decay) * p,
        "p − lr (λ p)": lambda e, o, p: p - e.num(o.lr) * (e.num(o.weight_decay) * p),
    },
    "nadam_moved": {name: nadam(step) for name, step in NADAM.items()},
    "nadam_product": {
        "μ₁ μ₂ … μₜ": Textbook.nadam_product,
        "PyTorch: in float32": lambda e, o, t: float(
            np.prod([np.float32(Textbook.nadam_momentum(e, o, n)) for n in range(1, t + 1)])
        ),
    },
    "nadam_momentum": {"β₁ (1 − ½ 0.96^(t ψ))": Textbook.nadam_momentum},
    "rprop_size": {
        "η, η η₊ or η η₋ by a condition": lambda e, o, size, change: e.rprop_limited(
            o, size * np.where(change, np.where(change > 0, *map(e.num, o.etas[::-1])), 1)
        ).astype(size.dtype),
    },
    "lion": {name: lion(order) for name, order in ADAMW.items()},
    "muon": {name: muon(order) for name, order in ADAMW.items()},
    "muon_normalised": {
        "PyTorch: U / max(‖U‖, ε)": Textbook.muon_normalised,
        "manualnn: by its largest entry first": scaled_first,
    },
    "muon_orthogonal": {
        "PyTorch: (b A + c A²) X from the smaller side": Textbook.muon_orthogonal,
        "b A X + c A (A X), never transposed": iterated(in_three_products),
        "X (b A + c A²), A = Xᵀ X": iterated(from_the_right),
    },
    "radam": {name: radam(step) for name, step in RADAM.items()},
    "radam_is_reliable": {"ρₜ > 5": Textbook.radam_is_reliable},
    "radam_length": {
        "2 / (1 − β) − (1 + 2 t βᵗ / (1 − βᵗ))": lambda e, o, t: (
            2 / (1 - e.num(o.betas[1]))
            - (1 + 2 * t * e.num(o.betas[1]) ** t / (1 - e.num(o.betas[1]) ** t))
        ),
    },
    "radam_share": {"√((ρₜ − 4) (ρₜ − 2) ρₘ / …)": Textbook.radam_share},
    "adamax": {name: adamax(step) for name, step in ADAMAX.items()},
}
