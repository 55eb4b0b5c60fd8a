// The story's sentences: what a layer, a loss or an update does, in plain words.

const joined = (names) => names.join(", ");

const affine = (isAffine, bias) => (isAffine
  ? ` Then each is multiplied by its weight${bias ? ", and its bias is added" : ""}.` : "");

export const FORWARD = {
  Linear: ({ bias = true }) =>
    `Every number that arrives is multiplied by the weight of its edge. The products are added${
      bias ? ", and the bias is added to them" : ""}.`,
  Identity: () => "Identity passes every number on unchanged.",
  Sigmoid: () => "The sigmoid squeezes a number into the range from 0 to 1.",
  Tanh: () => "The hyperbolic tangent squeezes a number into the range from −1 to 1.",
  ReLU: () => "A positive number passes unchanged. Any other becomes 0.",
  LeakyReLU: ({ negative_slope: slope = 0.01 }) =>
    `A positive number passes unchanged. A negative one is multiplied by ${slope}.`,
  Softplus: () => "Softplus is a smooth ReLU: almost 0 far below zero, almost unchanged far above.",
  Softsign: () => "Softsign squeezes a number into the range from −1 to 1: z divided by 1 + |z|.",
  ELU: ({ alpha = 1 }) => "A positive number passes unchanged. Any other goes down exponentially, " +
    `to ${-alpha} at most.`,
  SELU: () => "A positive number is multiplied by 1.0507. Any other goes down exponentially, to −1.7581 " +
    "at most. These constants keep the numbers of a deep network from growing or vanishing.",
  CELU: ({ alpha = 1 }) => "A positive number passes unchanged. Any other goes down exponentially, " +
    `to ${-alpha} at most, without a bend at 0.`,
  SiLU: () => "SiLU multiplies a number by its own sigmoid: almost 0 far below zero, almost unchanged far above.",
  LogSigmoid: () => "LogSigmoid is the logarithm of the sigmoid: almost unchanged far below zero, almost 0 far above.",
  Tanhshrink: () => "Tanhshrink subtracts the hyperbolic tangent: small numbers almost vanish, large ones lose 1.",
  Softmin: () => "Softmin turns the numbers of a layer into shares: the smallest number gets the largest.",
  Hardtanh: ({ min_val: low = -1, max_val: high = 1 }) =>
    `A number from ${low} to ${high} passes unchanged. Any other becomes the nearer of the two.`,
  ReLU6: () => "A number from 0 to 6 passes unchanged. A negative one becomes 0, a larger one 6.",
  Hardsigmoid: () => "Hardsigmoid is a line from 0 at −3 to 1 at 3, and flat beyond.",
  Hardswish: () => "Hardswish multiplies a number by a line from 0 at −3 to 1 at 3, flat beyond.",
  Softshrink: ({ lambd = 0.5 }) => `A number moves towards 0 by ${lambd}. One that is nearer becomes 0.`,
  Hardshrink: ({ lambd = 0.5 }) => `A number farther than ${lambd} from 0 passes unchanged. Any other becomes 0.`,
  Threshold: ({ threshold, value }) => `A number above ${threshold} passes unchanged. Any other becomes ${value}.`,
  Mish: () => "Mish multiplies a number by tanh(softplus(z)): almost 0 far below zero, almost 1 far above.",
  GELU: () => "GELU multiplies a number by the share of the normal distribution below it.",
  Softmax: () => "Softmax turns the numbers of a layer into shares: positive, and 1 in total.",
  LogSoftmax: () => "LogSoftmax gives the logarithm of each number's share in the layer.",
  LayerNorm: ({ elementwise_affine: isAffine = true, bias = true }) => "The mean of a sample is subtracted " +
    `from its numbers, and they are divided by the root of their mean square.${affine(isAffine, bias)}`,
  RMSNorm: ({ elementwise_affine: isAffine = true }) =>
    `The numbers of a sample are divided by the root of their mean square.${affine(isAffine, false)}`,
  GroupNorm: ({ num_groups: groups, affine: isAffine = true, bias = true }) => "The numbers of a sample are in " +
    `${groups} ${groups === 1 ? "group" : "groups"}. The mean of a group is subtracted from its numbers, and ` +
    `they are divided by the root of their mean square.${affine(isAffine, bias)}`,
  BatchNorm1d: ({ affine: isAffine = true, bias = true }) => "The running mean is subtracted from each number, and " +
    `it is divided by the root of the running variance, as in prediction.${affine(isAffine, bias)}`,
  Dropout: (options, masked) => (masked
    ? "Dropout multiplies by its mask: 0 for a unit that is left out, 1/(1 − p) for one that stays."
    : "Dropout is off, as in prediction. Every number passes unchanged."),
  PReLU: () => "A positive number passes unchanged. A negative one is multiplied by a learned slope.",
  Residual: () => "The numbers go through the layers inside, and what comes out is added to what went in.",
  GLU: () => "The sigmoid of the second half of the layer's numbers says how much of the first passes.",
  AlphaDropout: (options, masked) => (masked
    ? "A unit that is left out becomes the lowest value of SELU. A factor and a constant keep the mean " +
      "and the spread of all."
    : "AlphaDropout is off, as in prediction. Every number passes unchanged."),
  Flatten: () => "Flatten leaves every number as it is, because each sample is one row.",
  RReLU: (options, drawn) => "A positive number passes unchanged. A negative one is multiplied by " +
    `${drawn ? "a slope that was drawn for it." : "the mean of the slopes of training."}`,
};

export const TERM = {
  MSELoss: "The difference between the output and its target is squared.",
  L1Loss: "The difference between the output and its target counts without its sign.",
  HuberLoss: "A small difference to the target is squared. A large one counts without its sign.",
  SmoothL1Loss: "A small difference to the target is squared. A large one counts without its sign.",
  BCELoss: "The term is large if the output gives little probability to what is the target.",
  BCEWithLogitsLoss:
    "The sigmoid makes a probability of the output. The term is large if it disagrees with the target.",
  CrossEntropyLoss:
    "Softmax makes shares of the outputs. The term is minus the logarithm of its share, " +
    "times the probability that the target gives to it: 0 for what is not the target.",
  MultiLabelMarginLoss:
    "The output of each class of the sample has to be larger by 1 than those of all other classes. " +
    "The term of another output is the sum of what they lack, divided by the number of classes.",
  MultiLabelSoftMarginLoss:
    "The sigmoid makes a probability of the output. The term is large if it disagrees with the " +
    "target. It is divided by the number of outputs.",
  MultiMarginLoss:
    "The output of the target's class has to be larger than every other one by the margin. The term " +
    "of another output is what it lacks, divided by the number of classes.",
  NLLLoss:
    "The term is minus the output of the class that is the target, a logarithm of its probability. " +
    "It is 0 for all others.",
  PoissonNLLLoss:
    "The output is the logarithm of a rate, at which events are counted. The term is smallest where " +
    "the rate is the target's count.",
  HingeEmbeddingLoss:
    "The target is 1 for a pair that belongs together: the term is the output, its distance. For " +
    "−1, the term is what the distance lacks of the margin.",
  SoftMarginLoss:
    "The term is almost 0 if the output has the sign of its target and is large, and grows like " +
    "the output if it has the other sign.",
  KLDivLoss:
    "The output is a logarithm of a probability. The term is what it is below that of the target, " +
    "times the target.",
};

export const SLOPE = {
  Linear: ({ bias = true }) => "If an input grows by 1, the weighted sum grows by the weight between " +
    `them. If a weight grows by 1, the sum grows by the input on its edge.${
      bias ? " If the bias grows by 1, so does the sum." : ""}`,
  Identity: () => "The output follows its input one to one.",
  Sigmoid: () => "The sigmoid's slope is a·(1 − a). It is at most ¼, where the sigmoid is ½, and " +
    "almost 0 where the sigmoid is almost 0 or 1.",
  Tanh: () => "The slope is 1 − a². It is almost 0 where the output is almost −1 or 1.",
  ReLU: () => "The slope is 1 for a unit that lets its number pass, and 0 for one that gives 0.",
  LeakyReLU: ({ negative_slope: slope = 0.01 }) =>
    `The slope is 1 for a positive number and ${slope} for a negative one.`,
  Softplus: () => "The slope of softplus is a sigmoid: between 0 and 1.",
  Softsign: () => "The slope is 1 / (1 + |z|)². It is largest at 0.",
  ELU: ({ alpha = 1 }) => `The slope is 1 for a positive number, and ${alpha}·exp(z) for a negative one.`,
  SELU: () => "The slope is 1.0507 for a positive number, and 1.7581·exp(z) for a negative one.",
  CELU: ({ alpha = 1 }) => `The slope is 1 for a positive number, and exp(z / ${alpha}) for a negative one.`,
  SiLU: () => "The slope is σ(z)·(1 + z·(1 − σ(z))). It is a little below 0 for numbers below −1.28.",
  LogSigmoid: () => "The slope is 1 minus the sigmoid: almost 1 far below zero, almost 0 far above.",
  Tanhshrink: () => "The slope is tanh(z)²: 0 at 0, almost 1 far from it.",
  Softmin: () => "Each share depends on all numbers of the layer: its own makes it smaller, the " +
    "others make it larger.",
  Hardtanh: () => "The slope is 1 for a number that passes, and 0 for one that is cut off.",
  ReLU6: () => "The slope is 1 for a number that passes, and 0 for one that is cut off.",
  Hardsigmoid: () => "The slope is 1/6 between −3 and 3, and 0 beyond.",
  Hardswish: () => "The slope is z / 3 + ½ between −3 and 3, 0 below and 1 above.",
  Softshrink: ({ lambd = 0.5 }) => `The slope is 1 for a number farther than ${lambd} from 0, and 0 for any other.`,
  Hardshrink: ({ lambd = 0.5 }) => `The slope is 1 for a number farther than ${lambd} from 0, and 0 for any other.`,
  Threshold: ({ threshold }) => `The slope is 1 for a number above ${threshold}, and 0 for any other.`,
  Mish: () => "The slope is a little below 0 for numbers below −1.19, and almost 1 far above zero.",
  GELU: () => "The slope is a little below 0 for numbers below −0.75, and almost 1 far above zero.",
  Softmax: () => "Each share depends on all numbers of the layer: its own makes it larger, the " +
    "others make it smaller.",
  LogSoftmax: () => "Each output depends on all numbers of the layer.",
  LayerNorm: () => "Each output depends on all numbers of its sample. If all of them grow by 1, it stays.",
  RMSNorm: () => "Each output depends on all numbers of its sample. If all of them are doubled, it almost stays.",
  GroupNorm: () => "Each output depends on all numbers of its group. If all of them grow by 1, it stays.",
  BatchNorm1d: () => "The slope is the weight, divided by the root of the running variance.",
  Dropout: (options, masked) => (masked
    ? "The slope is the unit's entry in the mask." : "The output follows its input one to one."),
  PReLU: () => "The slope is 1 for a positive number and the learned one for a negative. If the learned " +
    "slope grows by 1, the output grows by the input where that is negative.",
  Residual: () => "An output depends on its own input directly, and on all inputs through the layers inside.",
  GLU: () => "An output grows with its own input by the sigmoid of its gate, and with the gate by the " +
    "input times the slope of the sigmoid.",
  AlphaDropout: (options, masked) => (masked
    ? "The slope is a factor for a unit that stays, and 0 for one that is left out."
    : "The output follows its input one to one."),
  Flatten: () => "The output follows its input one to one.",
  RReLU: (options, drawn) => "The slope is 1 for a positive number. For a negative one it is " +
    `${drawn ? "the slope that was drawn." : "the mean of the slopes of training."}`,
};

// What a rule keeps from step to step.
const KEPT = {
  acc_delta: "an average of the squares of the steps so far",
  momentum_buffer: "the sum of the steps so far, in which older ones count less",
  exp_avg: "an average of the gradients so far",
  exp_avg_sq: "an average of the squares of the gradients so far",
  exp_inf: "the largest size of the gradients so far, in which older ones count less",
  grad_avg: "an average of the gradients so far",
  ax: "an average of the parameter so far, or the parameter itself as long as none began",
  prev: "the last gradient, or 0 where the gradient has just changed its sign",
  step_size: "the size of the step, which grows while the gradient keeps its sign",
  square_avg: "an average of the squares of the gradients so far",
  sum: "the sum of the squares of the gradients so far",
};

// Are there penalties, clipping or groups around a rule?
export const isAround = ({ l1, l2, clip_value: limit = null, max_norm: most = null, groups = [] }) =>
  Boolean(l1 || l2 || groups.length) || limit !== null || most !== null;

// What is done to the gradients before the rule.
function before({ l1, l2, clip_value: limit = null, max_norm: most = null, groups = [] }) {
  return [
    (l1 || l2) && " Before, the slope of the penalties l1 and l2 is added to the gradients of weights.",
    limit !== null && " Then the gradients are moved into the range of clip_value.",
    most !== null && " A common factor makes their norm max_norm if it is above that.",
    groups.length && " Groups of parameters have options of their own.",
  ].filter(Boolean).join("");
}

export function rule(o, state) {
  const { type, eps } = o;
  const kept = Object.keys(state ?? {}).filter((name) => name in KEPT)
    .map((name) => ` Here ${name} is ${KEPT[name]}.`);
  return `${type} makes the step of each parameter from its gradients so far; the learning constant ` +
    `α scales it.${before(o)}${kept.join("")}${eps ? " The small eps avoids a division by 0." : ""}`;
}

// Their mean divides by the samples, or by the weights of their classes.
const DIVIDED_BY_SAMPLES = [
  "CrossEntropyLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss",
  "NLLLoss",
];

export function division({ loss, sample_weights: weights }) {
  const divisor = {
    sum: "The terms are added.",
    batchmean: "The terms are added, and the sum is divided by the number of samples.",
  }[loss.reduction] ?? (loss.weight || DIVIDED_BY_SAMPLES.includes(loss.type)
    ? "The terms are added, and the sum is divided as the reduction “mean” says."
    : "The terms are added, and the sum is divided by the number of terms.");
  const { factor = 1 } = loss;
  const counted = weights ? " Each sample counts as often as its weight says." : "";
  return `${divisor}${counted}${factor === 1 ? "" : ` The factor ${factor} multiplies it.`}`;
}

export function carried(isLinear, names) {
  return isLinear
    ? `Each of ${joined(names)} acts on the error through every unit that it leads to. There the ` +
      "derivative of the error is known already; it is multiplied by the weight between, and the " +
      "products are added."
    : "The derivative of the error after a unit is multiplied by the unit's own slope. That is the " +
      "chain rule.";
}

// The two questions that a gradient answers: which way, and how fast.
export function meaning(name, value, shown, maximize) {
  if (!Number.isFinite(value)) return `The gradient of ${name} is no finite number.`;
  if (value === 0) return `The error does not depend on ${name} here, so the gradient is 0.`;
  const way = value > 0 ? "grows" : "falls";
  const step = value > 0 !== Boolean(maximize) ? "smaller" : "larger";
  return `If ${name} grows by a little, the error ${way} ${shown(Math.abs(value))} times as much. So ` +
    `the step ${maximize ? "along" : "against"} the gradient makes ${name} ${step}.`;
}
