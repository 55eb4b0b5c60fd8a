"""Engines in a file that crash, hang, print and remember, for tests of their process.

The outputs are x. The note of a case is Python code that runs first. The name is the process group.
"""

import ctypes
import os
import sys
import time

import numpy as np

CALLS = []


class Engine:
    def capabilities(self):
        kinds = {"layers": ["Identity"], "losses": ["MSELoss"], "returns": ["outputs"]}
        return {"name": str(os.getpgid(0)), **kinds}

    def step(self, case):
        CALLS.append(case.note)
        scope = {"ctypes": ctypes, "os": os, "sys": sys, "time": time, "calls": len(CALLS)}
        exec(case.note, scope)  # noqa: S102 - the tests' own code
        return scope.get("reply", {"outputs": case.x.copy()})


class Global(Engine):
    """Its outputs depend on the number of calls in the process."""

    def capabilities(self):
        return {**super().capabilities(), "layers": ["Tanh"], "returns": ["loss"]}

    def step(self, case):
        CALLS.append(1)
        y = case.x
        for _ in case.layers:
            y = np.tanh(y)
        squares = (y - case.t) ** 2
        return {"loss": squares.mean() if len(CALLS) % 5 else squares.sum()}
