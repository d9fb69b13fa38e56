"""How uploads share the spectrum: by a rule as they come, or as a plan says."""
