"""Files, in and out: written whole or not at all, and read through one door.

| module | does |
|---|---|
| `atomic.py` | a crash never leaves half a file; sha256 |
| `litter.py` | names of temporary files, and their removal after a kill |
| `lock.py` | one process at a time in a folder |
| `reading.py` | the door: size before reading, and one kind of error for whatever a parser raises |
| `numbers.py` | numbers out of text, many at once |
| `records.py` | JSON with a type for each field and a digest of itself |
| `tensors.py` | safetensors with a digest of itself |
| `weights.py` | tensors by name from elsewhere: names of wrappers, kinds of numbers, tensors without a place |
| `stored.py` | the tensors of foreign safetensors files, unread |
| `pth.py` | `.pth` archives of torch, as data |
| `foreign_config.py` | the `config.json` of a foreign model, each field with its type |
| `arrays.py` | `.npy` and `.npz`, whose claims are compared with the file's length |
"""

from motionlab.files.atomic import atomic_path, cannot_write, sha256, write_text

__all__ = ["atomic_path", "cannot_write", "sha256", "write_text"]
