"""Known bugs of activations and of their derivatives."""
