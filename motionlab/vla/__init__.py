"""Pictures and an instruction -> an action of a robot arm. `observation.py` has the nouns; every part has a file."""
