"""Routes, declared beside the views that answer them: for Flask, and for the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Literal, TypeVar

from flask import Blueprint
from pydantic import BaseModel

from twinlens.backend.problem_kinds import Code
from twinlens.backend.schemas.base import API_ROOT

Json = dict[str, Any]
ViewT = TypeVar("ViewT", bound=Callable[..., Any])
_ROUTE: Final = "declared_route"

# The errors that routes have in common. Any route can answer these, whatever it does:
OF_ANY_ROUTE: Final = frozenset(
    {Code.BAD_REQUEST, Code.REQUEST_LINE_TOO_LONG, Code.HEADERS_TOO_LARGE, Code.INTERNAL_ERROR}
)
# Any route of the API, the first three where the operator has set keys or limits:
OF_THE_API: Final = frozenset(
    {Code.UNAUTHORIZED, Code.RATE_LIMITED, Code.OVERLOADED, Code.VALIDATION_FAILED, Code.NOT_READY}
)
# A route that takes a body:
OF_A_BODY: Final = frozenset(
    {Code.JSON_INVALID, Code.REQUEST_TIMEOUT, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE}
)
# A route whose answer is one page of several:
OF_PAGES: Final = frozenset({Code.CURSOR_INVALID, Code.CURSOR_EXPIRED})
# A route whose path names a video; an id with a slash in it is no such path.
OF_ONE_VIDEO: Final = frozenset({Code.NOT_FOUND, Code.VIDEO_NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Route:
    """One route: what it takes, what it answers, and every error it can answer.

    As a decorator it declares that a view answers the route. ``path`` is written as Flask writes
    it. ``query`` is the model of the query string; ``body`` that of a JSON body, and with
    ``upload``, the name of a field, of a multipart form with a file in it. ``answer`` is the model
    of the answer, or its several models; an answer that is not JSON has ``media_types`` instead.
    ``problems`` are errors beside those that follow from the rest. ``requests`` are examples of the
    body, or of the parameters; ``answers`` of the answer. A route without a ``tag`` is a page, and
    no part of the OpenAPI document.
    """

    method: Literal["get", "post", "delete"]
    path: str
    _: KW_ONLY
    name: str = ""
    tag: str = ""
    summary: str = ""
    description: str = ""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    upload: str | None = None
    answer: type[BaseModel] | Sequence[type[BaseModel]] = ()
    media_types: Sequence[str] = ()
    not_modified: bool = False
    problems: frozenset[Code] = frozenset()
    requests: Mapping[str, Json] = field(default_factory=dict)
    answers: Mapping[str, Json] = field(default_factory=dict)

    def __call__(self, view: ViewT) -> ViewT:
        """Return ``view``, declared to answer this route."""
        setattr(view, _ROUTE, self)
        return view

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it, with parameters in braces."""
        return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", self.path)

    @property
    def answer_models(self) -> Sequence[type[BaseModel]]:
        """The models that an answer can have; none where it is not JSON."""
        return self.answer if isinstance(self.answer, Sequence) else [self.answer]

    @property
    def codes(self) -> tuple[Code, ...]:
        """Every error it can answer, in the order of the codes."""
        mine = self.problems | OF_ANY_ROUTE
        if self.path.startswith(API_ROOT):
            mine |= OF_THE_API
        if self.body is not None:
            mine |= OF_A_BODY
        return tuple(code for code in Code if code in mine)


def list_routes(*classes: type) -> tuple[Route, ...]:
    """Return the routes of the API that these classes of views declare, in their order."""
    routes = (declared for views in classes for _, declared in _find_declared(views))
    return tuple(declared for declared in routes if declared.tag)


def make_blueprint(name: str, *views: object) -> Blueprint:
    """Return a blueprint with every route that the classes of ``views`` declare."""
    blueprint = Blueprint(name, __name__)
    for one in views:
        for view, declared in _find_declared(type(one)):
            blueprint.add_url_rule(
                declared.path, view, getattr(one, view), methods=[declared.method.upper()]
            )
    return blueprint


def _find_declared(views: type) -> Iterator[tuple[str, Route]]:
    for name, view in vars(views).items():
        if isinstance(declared := getattr(view, _ROUTE, None), Route):
            yield name, declared
