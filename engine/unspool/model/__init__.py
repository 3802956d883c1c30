"""Plain frozen values and the rules of values: equality, paths, the wire form."""
