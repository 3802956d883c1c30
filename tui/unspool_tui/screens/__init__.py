"""The main screen, the screens beside it, and the small ones in front of it; each loaded when it is needed."""
