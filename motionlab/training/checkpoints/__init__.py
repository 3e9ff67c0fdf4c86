"""Everything a training writes in order to continue: tensors, state, and the files that hold them."""
