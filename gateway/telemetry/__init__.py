"""What the gateway tells about itself: one log line a request, and metrics."""
