"""The rows of activations that normalise each row of a batch."""

from manualnn.oracle.protocol.rows import Layer, Option

ROWS = (
    Layer(
        name="Softmin",
        method="softmin",
        options={"dim": Option(-1, (1,))},
        saturates=True,
        mixes_features=True,
        gives_probabilities=True,
    ),
)
