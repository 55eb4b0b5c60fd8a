"""Model files: save a trainer and load it again, bit for bit.

    save("model.safetensors", trainer)
    trainer = load("model.safetensors")
    trainer.fit(x, t, epochs=10)            # continues as if it had never been saved

A file has the safetensors format: arrays, and one JSON text that describes them. Nothing in it is
ever executed. The parameters have torch's keys ("0.weight", …), so torch reads them with
`safetensors.torch.load_file`. The state of the optimizer has keys that begin with "optimizer.",
further arrays have keys that begin with "notes.". To load a state_dict that torch saved:

    params = net.load_state_dict(load_arrays("from_torch.safetensors"))

A file is written completely or not at all. It holds a checksum: a file with any damage is refused
with ModelFileError, and so is every other file, with its kind and the remedy. Reading a file never
takes more than a small multiple of its size in memory. Files of version 1, which have no checksum,
are read as before.
"""

from manualnn.serialization.container import load_arrays, require_safetensors
from manualnn.serialization.loading import load, load_with_notes
from manualnn.serialization.saving import save

__all__ = ["load", "load_arrays", "load_with_notes", "require_safetensors", "save"]
