"""Bridges to libraries that programs are built on: each records what happens in a library's own terms.

A module a library; none is imported before the program imports it by name, and only then is its library needed.
"""
