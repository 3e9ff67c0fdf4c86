"""The tools of a lesson: set-up, exercises that answer, comparisons that print a verdict, the glossary."""
