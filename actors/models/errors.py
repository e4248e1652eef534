"""What can go wrong with a model call. ``error_type`` is the name that API clients match on."""

from storage.errors import GreenroomError


class ModelError(GreenroomError):
    """The model provider failed."""

    code = "llm_error"
    transient = True
    """Whether the same call may well succeed a moment later."""

    def __init__(
        self, message: str = "", *, detail: str | None = None, retry_after: float | None = None
    ) -> None:
        """
        Args:
            message: for people; never has a key in it.
            detail: the provider's own words, shortened, if it sent any.
            retry_after: seconds the provider asks to wait.
        """
        super().__init__(message)
        self.detail = detail
        self.retry_after = retry_after

    @property
    def error_type(self) -> str:
        return self.code


class ModelTimeout(ModelError):
    """The model did not answer in time."""

    code = "llm_timeout"


class ModelRateLimit(ModelError):
    """The model provider refuses more calls for now."""

    code = "llm_rate_limit"


class ModelAuthentication(ModelError):
    """The model provider refuses the key, or has none."""

    code = "llm_authentication"
    transient = False


class ModelBadRequest(ModelError):
    """The model provider does not accept the request."""

    code = "llm_bad_request"
    transient = False


class ContextWindowExceeded(ModelBadRequest):
    """The prompt is longer than the model's context window."""


class ModelInsufficientCredits(ModelError):
    """The account with the model provider has no credit left."""

    code = "llm_insufficient_credits"
    transient = False


class ModelEmptyResponse(ModelError):
    """The model provider answered with nothing."""

    code = "llm_empty_response"
