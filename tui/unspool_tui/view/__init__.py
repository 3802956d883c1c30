"""The frozen view model and the pure functions from (view, event) to view; knows no screen."""
