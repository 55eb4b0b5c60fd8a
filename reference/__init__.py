"""The twin: the networks of manualnn in PyTorch, name for name.

Its gradients come from torch.autograd alone, and it shares no code with manualnn: what the two have
in common is the JSON form of a run and the keys of a state_dict.

    twin = Twin(spec, params.state_dict())
    twin.value_and_grad(x, t).grads["0.weight"]
"""

from reference.network import Result, Twin

__all__ = ["Result", "Twin"]
