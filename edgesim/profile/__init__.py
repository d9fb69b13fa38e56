"""Device profiles: values, files, fits, sums, and separate runs merged."""
