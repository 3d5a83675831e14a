"""A hypothesis profile for the second run of these tests, with the other codec."""

from hypothesis import settings

settings.register_profile("quick", max_examples=25)
