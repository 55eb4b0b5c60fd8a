"""Known bugs of activations and of their derivatives."""

from manualnn.oracle.bugs.activations import rectifiers, slopes, smooth, softmax

TABLES = (smooth, rectifiers, softmax, slopes)
