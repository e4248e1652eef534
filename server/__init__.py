"""The front: HTTP API, command line and web page."""
