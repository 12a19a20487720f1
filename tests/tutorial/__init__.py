"""The first tests to read: one idea each, with ordinary functions and real stores."""
