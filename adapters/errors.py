"""What translation can refuse, and the shape every refusal has.

    ApiError                      an answer in OpenAI's error shape
    ├── InvalidRequest       400  the request itself is wrong
    │   ├── MissingParameter      something required is not there
    │   └── Unsupported           this model, or this gateway, has no place for what was asked
    ├── ContentRefused       400  the model's own filter refused prompt or output
    └── PredictionFailed     500  the model ran and failed
        ├── InvalidAnswer    502  it answered, and not in the form that was asked for
        ├── ModelBusy        503  the model's host has no room now
        └── PredictionStopped 504 it was canceled, or its deadline passed

`gateway.errors` adds what admission and upstream can refuse, and renders them all.
"""

from typing import ClassVar


class ApiError(Exception):
    """An answer in OpenAI's error shape; the class says status, type and code, the instance the rest.

    `retry_after` is in seconds. `should_retry` overrides what official clients would do by status alone
    (header `x-should-retry`); None leaves it to them. `predictions` are the ids of what was run all the same.
    `told` says that a call's own line in the log has told of it.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str | None = None
    should_retry: bool | None = None
    predictions: tuple[str, ...] = ()
    told: bool = False

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else type(self).code
        self.retry_after = retry_after


class InvalidRequest(ApiError):
    """The request itself is wrong; nothing was spent."""

    status, type = 400, "invalid_request_error"


class MissingParameter(InvalidRequest):
    """Something required is not there."""

    code = "missing_required_parameter"


class Unsupported(InvalidRequest):
    """This model, or this gateway, has no place for what was asked."""

    code = "unsupported_parameter"


class ContentRefused(ApiError):
    """The model's own filter refused the prompt or its output."""

    status, type, code = 400, "invalid_request_error", "content_policy_violation"
    should_retry = False


class PredictionFailed(ApiError):
    """The model ran and failed; running it again would cost again."""

    code = "prediction_failed"
    should_retry = False


class InvalidAnswer(PredictionFailed):
    """The model answered twice, and not in the form that was asked for: no call that its function takes, no JSON that
    the schema allows."""

    status, code = 502, "invalid_answer"


class ModelBusy(PredictionFailed):
    """The model's host has no room now (Replicate's E003 and E004)."""

    status, code = 503, "model_overloaded"


class PredictionStopped(PredictionFailed):
    """The prediction was canceled, or its deadline passed, before it had an answer."""

    status, code = 504, "prediction_stopped"
