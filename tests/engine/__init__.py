"""Each loop of the engine by itself, on a real store, with a clock that the test moves."""
