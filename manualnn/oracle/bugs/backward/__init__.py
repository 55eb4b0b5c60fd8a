"""Known bugs of the Linear layer and of the backward pass."""
