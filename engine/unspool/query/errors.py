"""Questions that cannot be asked as they are put."""

from __future__ import annotations

from unspool.errors import ConfigError


class QuestionError(ConfigError):
    """A question that has no meaning for this history; the message names the place and what would be valid."""


class ExpressionError(QuestionError):
    """An expression or pattern that does not parse; the message names the column."""


class EvaluationStopped(QuestionError):
    """A question that takes longer than the limits allow; the message names the limit and how to raise it."""


class PathNotFound(QuestionError, LookupError):
    """A path at which the state asked about has nothing; the message names where it ends."""
