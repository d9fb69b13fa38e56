"""A scenario: the TOML file that says all a run depends on, as values."""

from edgesim.scenario.file import read_scenario
from edgesim.scenario.scenario import Scenario

__all__ = ["Scenario", "read_scenario"]
