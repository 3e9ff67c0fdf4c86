"""Published tokenizer weights, in and out."""
