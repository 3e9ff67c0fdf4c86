"""The classroom: code that belongs to one lesson, one folder per lesson. It is not part of the wheel."""
