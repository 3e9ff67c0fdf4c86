"""Real LIBERO (Liu et al., arXiv:2306.03310) behind the `Env` protocol; needs the extra `libero`, about 2 GB.

| module | does |
|---|---|
| `package.py` | the door: what must be installed, imports without noise |
| `suites.py` | tasks, sentences, initial states |
| `simulation.py` | one task, built by LIBERO, and its verdict on success |
| `robot.py`, `pictures.py` | what is measured: hand, fingers, pictures, depth, cameras |
| `steppers.py`, `osc.py` | a control step, official or in one pass |
| `thinning.py` | fewer triangles for demonstrations |
| `env.py` | all of it as an `Env` |
| `scene.py`, `grasps.py`, `expert.py` | an expert that knows where everything is |
| `record.py` | its demonstrations, in files in LIBERO's layout |

The packages are used as they are installed. Nothing of their models, textures or meshes is copied into this one.
"""
