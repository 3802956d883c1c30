"""Files that are made: private to whoever makes them, whole or not there, and gone again when they were only for a while."""
