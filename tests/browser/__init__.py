"""Pages in a real browser: Debian's Chromium, without a window, driven by its own protocol."""
