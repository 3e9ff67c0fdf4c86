"""Where motions come from: bundled samples, composed corpus, packed store, batches."""
