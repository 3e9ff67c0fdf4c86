"""From files of motions to a folder of clips: which files, one file, the records that are kept, the table."""
