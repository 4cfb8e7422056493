"""Draws the pictures of the demo: see `scenes`."""
