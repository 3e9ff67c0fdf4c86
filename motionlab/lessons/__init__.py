"""Exercises, checks that diagnose, hints, glossary."""
