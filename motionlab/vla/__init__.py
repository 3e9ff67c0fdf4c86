"""Images and an instruction to robot actions: a small vision-language-action policy (VLA) and all that it needs."""
