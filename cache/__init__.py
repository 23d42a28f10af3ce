"""Reserved for the cache layers; holds nothing yet."""
