"""What holds for the whole suite."""

from hypothesis import settings

# A slow or busy machine is no failure: no test here asserts a duration, and hypothesis need not either.
settings.register_profile("sluice", deadline=None)
settings.load_profile("sluice")
