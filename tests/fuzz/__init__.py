"""Mutated files and texts: each is read well, or refused in one line, in bounded time and memory.

| file | holds |
|---|---|
| `registry.py` | `Format`: how a small valid sample is made and read, and what holds when reading succeeds |
| `mutators.py` | seeded changes of bytes, text, JSON and YAML |
| `attempt.py` | one try: a sample, a mutation, a verdict |
| `formats_*.py` | the formats, one file per family |
| `test_formats.py` | 200 tries per format; `make fuzz` makes 20,000 |

To add a family, write `formats_<family>.py` with `register(Format(...))` in it and name it in `registry.FAMILIES`.
Nothing here stores an input that broke something: a failing try is its format and its seed.
"""
