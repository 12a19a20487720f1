"""Tests of `tenure.testing`: the platform on a clock that stands still."""
