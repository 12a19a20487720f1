"""The command line: composes everything, and nobody imports it."""
