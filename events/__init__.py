"""What people watch, see, search and say: events, and the log that keeps them."""
