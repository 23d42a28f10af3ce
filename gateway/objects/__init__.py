"""What the gateway keeps for its clients: responses, conversations, files and batches of its own."""
