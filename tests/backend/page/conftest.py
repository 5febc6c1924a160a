"""A browser and a server that every test of the page shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.backend.browser import launched
from tests.backend.catalogue import Catalogue
from tests.backend.page.visiting import DESKTOP, KEY, PER_SUBJECT, PHONE, visit
from tests.backend.served import Served, publish_embedded
from twinlens.stores.generations import DataDir


@pytest.fixture(scope="session")
def many(tmp_path_factory) -> DataDir:
    return publish_embedded(Catalogue(per_subject=PER_SUBJECT), tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="package")
def served(many) -> Iterator[Served]:
    with Served(many) as served:
        yield served


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


# Both widths in CI, the narrower one whenever tests are run.
@pytest.fixture(params=[PHONE, pytest.param(DESKTOP, marks=pytest.mark.slow)])
def page(browser, served, request) -> Iterator[Page]:
    with visit(browser, served, width=request.param) as page:
        yield page


@pytest.fixture
def phone(browser, served) -> Iterator[Page]:
    with visit(browser, served, width=PHONE) as page:
        yield page


@pytest.fixture
def desktop(browser, served) -> Iterator[Page]:
    with visit(browser, served) as page:
        yield page


@pytest.fixture
def failing(browser, served) -> Iterator[Page]:
    with visit(browser, served, failing=True) as page:
        yield page


@pytest.fixture(scope="package")
def keyed(many) -> Iterator[Served]:
    with Served(many, api_keys=KEY) as served:
        yield served
