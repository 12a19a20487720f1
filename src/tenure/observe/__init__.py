"""What is told of what happens: events, and the log lines made of them."""
