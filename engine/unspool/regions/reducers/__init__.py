"""What each action does to a region: small pure functions, one an action (rows R-01, R-30)."""
