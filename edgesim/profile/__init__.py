"""Device profiles: values, files, fits, summaries and merging of separate runs."""
