"""An engine with correct answers, unless the note of a case is Python code: then it runs the code.

Its network has no layers: the outputs are x, returned in the form in which they came. In the code,
`reply(…)` writes an object, `right` is the correct reply, and `calls` counts the cases. Its
argument holds the claims; "before" and "after" in it are code to run before and after `hello`.
"""

import json
import os
import signal
import sys
import time

EVERYTHING = {"layers": ["Identity"], "losses": ["MSELoss"], "returns": ["outputs"]}


def reply(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def run(code, **scope):
    tools = {"json": json, "os": os, "reply": reply, "signal": signal, "sys": sys, "time": time}
    exec(code, tools | scope)  # noqa: S102 - the tests' own code


def main(claims):
    before, after = claims.pop("before", ""), claims.pop("after", "")
    calls = 0
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "hello":
            run(before)
            reply({"type": "hello", **EVERYTHING, **claims})
            run(after)
        elif message["type"] == "run":
            calls += 1
            case = message["case"]
            right = {"type": "ok", "seq": message["seq"], "result": {"outputs": case["x"]}}
            code = case["note"] or "reply(right)"
            run(code, right=right, calls=calls, case=case, message=message)
        else:
            break


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
