"""One file a fault: `broken`, `fixed`, the `symptom` of either, and the `test` that tells them apart.

The code here is wrong on purpose, and written anew: small, plain, and with the one fault only.
"""
