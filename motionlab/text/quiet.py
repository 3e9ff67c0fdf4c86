"""Importing and loading transformers models without their progress bars and advice, offline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType

from motionlab.errors import MissingExtra


def transformers_module(purpose: str) -> ModuleType:
    """The transformers package; its import takes about two seconds, so only call this when a model is needed.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra("transformers", extra="text", purpose=purpose) from error
    return transformers


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """No progress bars, warnings or load reports inside the block; the settings are put back afterwards."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
