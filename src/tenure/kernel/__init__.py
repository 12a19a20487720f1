"""Pure rules: states, values, decisions.

Everything else is a way to feed this package. It does no I/O, reads no clock, draws no
random number and starts no thread; what it needs of those it takes as arguments.
"""
