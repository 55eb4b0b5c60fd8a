// Update rules over an arithmetic A: the step Δ of a parameter p with the gradient g; p − Δ is next.
// `o` are the options as they are, `c` as numbers of A with their names. `kept` are the numbers of
// the rule's state, and `keep` renews one of them; t = 1, 2, … counts the updates. Names, options
// and their defaults are torch's.

// β old + (1 − β) g, or the same with g².
function average({ add, mul, one, sub }, old, beta, g, isOfSquare = false) {
  const share = mul(g, sub(one, beta));
  return add(mul(old, beta), isOfSquare ? mul(share, g) : share);
}

function adam(A, o, c, g, kept, keep, t) {
  const { add, div, maximum, mul, one, power, sqrt, sub } = A;
  const [beta1, beta2] = c.betas;
  const m = keep("exp_avg", average(A, kept("exp_avg"), beta1, g));
  let v = keep("exp_avg_sq", average(A, kept("exp_avg_sq"), beta2, g, true));
  if (o.amsgrad) v = keep("max_exp_avg_sq", maximum(kept("max_exp_avg_sq"), v));
  const root = sqrt(sub(one, power(beta2, t)));
  const rate = div(mul(c.lr, root), sub(one, power(beta1, t)));
  return mul(div(m, add(sqrt(v), mul(c.eps, root))), rate);
}

// NAdam's momentum β₁ (1 − ½ 0.96^(t ψ)), ψ = momentum_decay.
function momentumOf({ constant, div, exp, log, mul, one, ratio, sub }, o, c, t) {
  if (!o.momentum_decay) return mul(c.betas[0], constant(0.5));
  const power = exp(mul(mul(constant(t), c.momentum_decay), log(ratio(24, 25))));
  return mul(c.betas[0], sub(one, div(power, constant(2))));
}

// A step with the decoupled decay, if the rule has it.
function withDecay({ add, mul }, o, c, step, p) {
  if (!o.decoupled_weight_decay) return step;
  return add(step, mul(p, mul(c.lr, c.weight_decay)));
}

const ADAM = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0 };

export const RULES = {
  SGD: {
    defaults: { lr: 1e-3, momentum: 0, dampening: 0, weight_decay: 0 },
    step(A, o, c, g, kept, keep, t) {
      const { add, mul, one, zero } = A;
      if (!o.momentum) return mul(g, c.lr);
      const isFirst = t === 1; // then b is g
      const share = isFirst ? one : (A.unrounded ?? A).sub(one, c.dampening);
      const before = isFirst ? zero : mul(kept("momentum_buffer"), c.momentum);
      const b = keep("momentum_buffer", add(before, mul(g, share)));
      return mul(o.nesterov ? add(isFirst ? b : g, mul(b, c.momentum)) : b, c.lr);
    },
  },
  RMSprop: {
    defaults: { lr: 1e-2, alpha: 0.99, eps: 1e-8, weight_decay: 0, momentum: 0 },
    step(A, o, c, g, kept, keep) {
      const { add, div, maximum, mul, sqrt, sub, zero } = A;
      let v = keep("square_avg", average(A, kept("square_avg"), c.alpha, g, true));
      if (o.centered) {
        const m = keep("grad_avg", average(A, kept("grad_avg"), c.alpha, g));
        v = maximum(sub(v, mul(m, m)), zero); // rounding may have made it negative
      }
      let step = div(g, add(sqrt(v), c.eps));
      if (o.momentum) {
        step = keep("momentum_buffer", add(mul(kept("momentum_buffer"), c.momentum), step));
      }
      return mul(step, c.lr);
    },
  },
  Adagrad: {
    defaults: { lr: 1e-2, lr_decay: 0, weight_decay: 0, initial_accumulator_value: 0, eps: 1e-10 },
    step(A, o, c, g, kept, keep, t) {
      const { add, constant, div, mul, one, sqrt } = A;
      const s = keep("sum", add(kept("sum", c.initial_accumulator_value), mul(g, g)));
      const rate = div(c.lr, add(one, mul(constant(t - 1), c.lr_decay)));
      return mul(div(g, add(sqrt(s), c.eps)), rate);
    },
  },
  Adam: { defaults: ADAM, step: adam },
  AdamW: {
    defaults: { ...ADAM, weight_decay: 1e-2 },
    isDecoupled: true, // the decay does not enter the gradient
    step(A, o, c, g, kept, keep, t, p) {
      const decay = A.mul(p, A.mul(c.lr, c.weight_decay));
      return A.add(adam(A, o, c, g, kept, keep, t), decay);
    },
  },
  Adadelta: {
    defaults: { lr: 1, rho: 0.9, eps: 1e-6, weight_decay: 0 },
    step(A, o, c, g, kept, keep) {
      const { add, div, mul, sqrt } = A;
      const before = kept("acc_delta");
      const v = keep("square_avg", average(A, kept("square_avg"), c.rho, g, true));
      const delta = mul(div(sqrt(add(before, c.eps)), sqrt(add(v, c.eps))), g);
      keep("acc_delta", average(A, before, c.rho, delta, true));
      return mul(delta, c.lr);
    },
  },
  NAdam: {
    defaults: { ...ADAM, lr: 2e-3, momentum_decay: 4e-3 },
    step(A, o, c, g, kept, keep, t, p) {
      const { add, div, mul, one, power, sqrt, sub } = A;
      const [beta1, beta2] = c.betas;
      const m = keep("exp_avg", average(A, kept("exp_avg"), beta1, g));
      const v = keep("exp_avg_sq", average(A, kept("exp_avg_sq"), beta2, g, true));
      const momentum = (n) => momentumOf(A, o, c, n);
      let product = one;
      for (let n = 1; n <= t; n++) product = mul(product, momentum(n));
      const root = sqrt(sub(one, power(beta2, t)));
      const [now, ahead] = [momentum(t), momentum(t + 1)];
      const rate = mul(c.lr, root);
      const ofGradient = div(mul(rate, sub(one, now)), sub(one, product));
      const ofAverage = div(mul(rate, ahead), sub(one, mul(product, ahead)));
      const sum = add(mul(g, ofGradient), mul(m, ofAverage));
      return withDecay(A, o, c, div(sum, add(sqrt(v), mul(c.eps, root))), p);
    },
  },
  RAdam: {
    defaults: ADAM,
    step(A, o, c, g, kept, keep, t, p) {
      const { add, constant, div, greater, mul, one, power, sqrt, sub } = A;
      const [beta1, beta2] = c.betas;
      const m = keep("exp_avg", average(A, kept("exp_avg"), beta1, g));
      const v = keep("exp_avg_sq", average(A, kept("exp_avg_sq"), beta2, g, true));
      const correction = sub(one, power(beta2, t));
      const whole = sub(div(constant(2), sub(one, beta2)), one);
      const length = sub(whole, div(mul(constant(2 * t), power(beta2, t)), correction));
      const rate = div(c.lr, sub(one, power(beta1, t)));
      if (!greater(length, constant(5))) return withDecay(A, o, c, mul(m, rate), p);
      const less = (a, k) => sub(a, constant(k));
      const share = div(mul(mul(less(length, 4), less(length, 2)), whole),
        mul(mul(less(whole, 4), less(whole, 2)), length));
      const step = mul(div(m, add(sqrt(v), c.eps)), mul(mul(rate, sqrt(share)), sqrt(correction)));
      return withDecay(A, o, c, step, p);
    },
  },
  Rprop: {
    defaults: { lr: 1e-2, etas: [0.5, 1.2], step_sizes: [1e-6, 50] },
    step(A, o, c, g, kept, keep) {
      const { constant, greater, maximum, minimum, mul, neg, sign, zero } = A;
      const change = mul(g, kept("prev"));
      const [before, falls] = [kept("step_size", c.lr), greater(neg(change), zero)];
      const factor = falls ? c.etas[0] : greater(change, zero) ? c.etas[1] : A.one;
      const limited = minimum(maximum(mul(before, factor), c.step_sizes[0]), c.step_sizes[1]);
      const size = keep("step_size", limited);
      const last = keep("prev", falls ? zero : g);
      return mul(constant(sign(last)), size);
    },
  },
  Lion: {
    defaults: { lr: 1e-4, betas: [0.9, 0.99], weight_decay: 0 },
    isDecoupled: true,
    step(A, o, c, g, kept, keep, t, p) {
      const { add, constant, mul, sign } = A;
      const m = kept("exp_avg");
      const way = average(A, m, c.betas[0], g);
      keep("exp_avg", average(A, m, c.betas[1], g));
      const step = mul(constant(sign(way)), c.lr);
      return o.weight_decay ? add(step, mul(p, mul(c.lr, c.weight_decay))) : step;
    },
  },
  ASGD: {
    defaults: { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, weight_decay: 0 },
    step(A, o, c, g, kept, keep, t, p) {
      const { add, constant, div, exp, log, mul, one, sub } = A;
      const base = () => add(one, mul(mul(c.lambd, c.lr), constant(t - 1)));
      const eta = t > 1 && o.lambd ? div(c.lr, exp(mul(c.alpha, log(base())))) : c.lr;
      const step = add(mul(g, eta), mul(p, mul(eta, c.lambd)));
      const [after, late] = [sub(p, step), t - 1 - o.t0];
      const share = o.t0 ? () => div(one, sub(constant(t - 1), c.t0)) : () => constant(1 / late);
      const rest = o.t0 ? () => sub(one, share()) : () => constant(1 - 1 / late);
      keep("ax", t > 1 && late > 1 ? add(mul(kept("ax"), rest()), mul(after, share())) : after);
      return step;
    },
  },
  Adamax: {
    defaults: { ...ADAM, lr: 2e-3 },
    step(A, o, c, g, kept, keep, t) {
      const { abs, add, div, maximum, mul, one, power, sub } = A;
      const [beta1, beta2] = c.betas;
      const m = keep("exp_avg", average(A, kept("exp_avg"), beta1, g));
      const u = keep("exp_inf", maximum(mul(kept("exp_inf"), beta2), add(abs(g), c.eps)));
      return mul(div(m, u), div(c.lr, sub(one, power(beta1, t))));
    },
  },
};
