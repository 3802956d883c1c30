"""Pure rendering: values to rows, rows to strips; the only place that knows colours and glyphs."""
