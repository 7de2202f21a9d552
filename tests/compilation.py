"""How the tests compile what they run for a moment only."""

# Half the time of compilation, which is most of what a test of a whole algorithm takes.
QUICK_TO_COMPILE = {"xla_backend_optimization_level": 0}
