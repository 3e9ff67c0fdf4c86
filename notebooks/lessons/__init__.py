"""The classroom: code that belongs to one lesson, one folder a lesson. It is not part of the wheel."""
