"""The session through libfuse 2 and fusepy, by path: where our own cannot be had."""
