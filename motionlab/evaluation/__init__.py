"""How good is it: reconstruction error, recognised actions."""
