"""The API's shapes: requests as pydantic models, responses as typed dicts built from records."""
