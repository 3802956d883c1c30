"""What runs inside a user's app: capture, budget, threads, crash behaviour."""
