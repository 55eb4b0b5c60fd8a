"""Activations: layers that act on every row separately.

Names, options and behaviour at kinks are torch's. If the slope is an exact function of the output,
the equation states it so. Then the input need not be stored.
"""

from manualnn.layers.activations import (
    exponential,
    gated,
    glu,
    hard,
    piecewise,
    rectifiers,
    rows,
    shrinks,
    smooth,
)
from manualnn.layers.activations.exponential import *
from manualnn.layers.activations.gated import *
from manualnn.layers.activations.glu import *
from manualnn.layers.activations.hard import *
from manualnn.layers.activations.piecewise import *
from manualnn.layers.activations.rectifiers import *
from manualnn.layers.activations.rows import *
from manualnn.layers.activations.shrinks import *
from manualnn.layers.activations.smooth import *

__all__ = []
__all__ += piecewise.__all__
__all__ += rectifiers.__all__
__all__ += smooth.__all__
__all__ += exponential.__all__
__all__ += rows.__all__
__all__ += gated.__all__
__all__ += glu.__all__
__all__ += hard.__all__
__all__ += shrinks.__all__
