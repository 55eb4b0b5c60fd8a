"""Small engines in a file, as an author has them, for tests of the commands and of pytest."""

TOY = '''
from manualnn.oracle.textbook.engine import Textbook


class Right(Textbook):
    """Little enough for a run of it to be short."""

    def capabilities(self):
        return {
            "name": "toy",
            "version": "1.0",
            "layers": ["Linear", "Tanh"],
            "losses": ["MSELoss"],
            "returns": ["loss", "grads", "outputs"],
        }

    def result(self, value, dx):
        return {"loss": value, "grads": self.grads, "outputs": self.ys[-1].copy()}


class MeanBias(Right):
    """The bias gradient is averaged over the batch a second time."""

    def linear_db(self, o, dz):
        return super().linear_db(o, dz) / len(dz)


class Picky(Right):
    def step(self, case):
        return {"skipped": "not in the mood"}


class Interrupted(MeanBias):
    """Its user presses Ctrl-C when the losses and the layers are done."""

    def step(self, case):
        if case.recipe == "options":
            raise KeyboardInterrupt
        return super().step(case)


class Unclaimed(Right):
    def capabilities(self):
        return {"layers": ["Conv2d"], "losses": ["MSELoss"]}
'''
