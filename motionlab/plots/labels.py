"""Text in figures that comes from outside: names of runs, words of captions, columns of files.

matplotlib reads the text between two dollar signs as a formula, and ends in a traceback where it is none; a legend
leaves out every name that begins with an underscore.
"""

from __future__ import annotations

from motionlab.errors import printable


def plain(text: object) -> str:
    r"""A text that a figure shows as it is written.

    >>> print(plain("$5 or $6"), plain("_draft"), plain("walk"))
    \$5 or \$6  _draft walk
    """
    shown = printable(text, lines=True).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
