"""Full or delta, and when; rebuilding, caching, health."""
