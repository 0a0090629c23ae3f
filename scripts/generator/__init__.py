"""Generates stores of any size with the proportions of a build server's: `scripts/generate`.

The same plan always gives the same store: names, contents, sizes and times. Standard library only.
"""
