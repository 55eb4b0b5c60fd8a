"""torch on one thread: the arrays are small, and other tests may be running beside these."""

import torch

torch.set_num_threads(1)
