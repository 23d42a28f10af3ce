"""The pure ground of the gateway: no sockets, no clock, no chance, no ``async``; ``tests/law`` holds it to that."""
