"""Parameters, memory, floating-point operations and rooflines, by formula and as measured."""
