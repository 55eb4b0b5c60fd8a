"""Peers with one unusual behaviour each, for tests of the workers."""

import os
import sys
from typing import ClassVar

from manualnn.benchmark.peers import Peer, Run, Unsupported


class Threads(Peer):
    name = "threads"

    def step(self, case, batch):
        del case, batch
        return Run(list, os.environ["OPENBLAS_NUM_THREADS"] + os.environ["OMP_NUM_THREADS"])


class Noisy(Peer):
    """Prints to standard output, which also carries the answers."""

    name = "noisy"

    def step(self, case, batch):
        sys.stdout.write("hello\n")
        os.write(1, b"hello\n")
        return Run(list, f"{batch.x.shape} {batch.t.shape} {batch.x.dtype} {case}")


class Allocating(Peer):
    name = "allocating"

    def step(self, case, batch):
        del case, batch
        return Run(lambda: len(bytes(1_000_000)))


class Absent(Peer):
    name = "absent"
    needs: ClassVar = {"no_such_module": "no-such-package"}


class AbsentStep(Absent):
    step = Noisy.step


class Choosy(Peer):
    name = "choosy"

    def step(self, case, batch):
        del batch
        if case.optimizer == "Adam":
            message = "has no Adam"
            raise Unsupported(message)
        return Run(list)


class Failing(Peer):
    name = "failing"

    def step(self, case, batch):
        del case, batch
        message = "of its own"
        raise RuntimeError(message)


class Dying(Peer):
    name = "dying"

    def step(self, case, batch):
        del case, batch
        os.write(2, b"Illegal instruction\n")
        os._exit(4)
