"""Reading files that somebody else may have written: everything is checked before it is used."""
