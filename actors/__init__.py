"""The runtime: agents that live in Ray actors, and everything an agent does."""
