"""What clients speak: each file reads one dialect's requests into core types and writes events in its words."""
