// f(x, w) = scale·x·w, elementwise, and its gradient: a function for `manualnn gradcheck`.

import { createInterface } from "node:readline";

function answer({ type, arrays, cotangents, options }) {
  const [x, w] = arrays;
  const scale = options.scale ?? 1;
  if (type === "value") return { outputs: [x.map((a, i) => scale * a * w[i])] };
  const [dy] = cotangents;
  const gradient = (other) => dy.map((d, i) => scale * d * other[i]);
  return { gradients: [gradient(w), gradient(x)] };
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.type === "stop") break;
  const reply =
    message.type === "hello"
      ? { type: "hello", name: "product", version: "0.1" }
      : { type: "ok", seq: message.seq, ...answer(message) };
  console.log(JSON.stringify(reply));
}
process.exit(0);
