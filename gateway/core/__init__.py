"""The pure ground of the gateway: no sockets, no clock, no randomness, no ``async`` (``tests/law`` holds it to that)."""
