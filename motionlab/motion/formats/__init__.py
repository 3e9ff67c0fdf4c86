"""Motion files of other programs, one file per format, and the way from their bodies to the 22 joints."""
