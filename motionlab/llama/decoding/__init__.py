"""From a trained decoder to motion codes: the loop, how a token is chosen, ways to ask the model for logits."""
