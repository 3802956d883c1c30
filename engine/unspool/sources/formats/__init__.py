"""The formats of other tools: one module a format, named in `unspool.sources.detection`."""
