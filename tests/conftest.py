"""What holds for all tests."""

from hypothesis import settings

# The same random cases in every run, so that a change fails what it breaks and nothing
# else. ``pytest --hypothesis-profile=default`` draws others each time.
settings.register_profile("the same", derandomize=True)
settings.load_profile("the same")
