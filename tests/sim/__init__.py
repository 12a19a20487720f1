"""The whole engine under virtual time and seeded trouble; start at simulation.py."""
