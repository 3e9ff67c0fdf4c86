"""Lesson 17, the jargon: a demonstration for every term, the taxonomy of a survey, and exercises."""

from lessons.glossary import (  # registers demonstrations and exercises
    acting,
    conditioning,
    exercises,
    generating,
    learning,
    measuring,
    motion,
    numbers,
    paper_words,
    tokenizing,
    transformer,
)

__all__ = [
    "acting", "conditioning", "exercises", "generating", "learning", "measuring", "motion", "numbers", "paper_words",
    "tokenizing", "transformer",
]  # fmt: skip
