"""The discrete-event engine: requests, memory, the GPU, the server and its uplink."""
