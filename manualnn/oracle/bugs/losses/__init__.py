"""Known bugs of losses and of their gradients."""
