"""TableLab: a small table-top world in numpy. `world.py` moves it, `render.py` looks at it, `expert.py` solves it."""
