"""Images and an instruction to the actions of a robot arm. `observation.py` has the nouns; every part has a file."""
