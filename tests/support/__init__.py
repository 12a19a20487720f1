"""What tests of several packages stand on: servers, builders, waiting."""
