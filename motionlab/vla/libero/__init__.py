"""Demonstrations in the HDF5 layout of LIBERO, read and written.

| module | does |
|---|---|
| `layout.py` | names of groups, datasets and attributes; `Episode` |
| `orientation.py` | the one place where pictures are turned upright |
| `language.py` | the instruction of a demonstration |
| `hdf5.py` | the door: h5py, datasets with their shape and kind checked |
| `index.py` | a file without its pictures: demonstrations, actions, states, faults |
| `read.py`, `write.py` | whole files |
"""
