"""Questions over a history: who set this, where does it flip, where is it, where are the bytes."""
