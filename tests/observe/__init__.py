"""Events, the log lines made of them, and the page about them."""
