"""Kill a training with SIGKILL at random moments: `python kills.py FOLDER KILLS [SEED]`.

Each process resumes from the checkpoint of the killed one. After each kill every file in the folder
must load, and the training that resumes from it must end bit for bit as the one that nobody kills.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from manualnn import (
    Adam,
    Checkpoint,
    CosineAnnealingLR,
    Dropout,
    EarlyStopping,
    Linear,
    MSELoss,
    Sequential,
    Tanh,
    Trainer,
    load,
)

NET = Sequential(Linear(5, 40), Dropout(0.3), Tanh(), Linear(40, 2))
RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((60, 5)), RNG.standard_normal((60, 2))


def train(path: Path, every_steps: int, epochs: int = 8) -> tuple[bytes, list[float], list[float]]:
    """Train, from the checkpoint where there is one; return the end."""
    trainer = Trainer(NET, MSELoss(), Adam(lr=0.01), seed=0)
    checkpoint = Checkpoint(path, every_steps=every_steps)
    history = trainer.fit(
        X[:50],
        T[:50],
        epochs=epochs,
        batch_size=7,
        validation_data=(X[50:], T[50:]),
        callbacks=[CosineAnnealingLR(6), EarlyStopping(5), checkpoint],
        resume=path if path.exists() else None,
        progress=False,
    )
    return trainer.params.vector.tobytes(), history.loss, history.validation_loss


def main(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    calm = folder.parent / f"{folder.name}-calm"
    started = time.perf_counter()
    expected = train(calm, every_steps=1)
    calm.unlink()
    whole = time.perf_counter() - started
    path, killed, inside, finished = folder / "run", 0, 0, 0
    while killed < kills:
        child = os.fork()
        if not child:
            train(path, every_steps=1)
            os._exit(0)
        time.sleep(chance.uniform(0, whole / 2))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):  # it had ended before
            finished += 1
            path.unlink()
            continue
        killed += 1
        for file in folder.iterdir():  # beside the checkpoint, one that was about to replace it
            load(file)
        if path.exists():
            inside += load(path).steps % 8 != 0
            copy = folder.parent / f"{folder.name}-copy"
            copy.write_bytes(path.read_bytes())
            assert train(copy, every_steps=1000) == expected, f"kill {killed} of seed {seed}"
            copy.unlink()
    others = len(set(folder.iterdir()) - {path})
    print(  # noqa: T201 - the figure
        f"{kills} kills, {inside} of them inside of an epoch, {finished} trainings finished, "
        f"{others} files left over; "
        f"every file loads, every training ends bit for bit as it does without kills"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
