"""Routes: what varies by its shape is folded at once, what varies without one is learned, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceaudit.routes import MANY, Routes, route_of

SHAPES = {
    "/orders/17?full=1": "GET /orders/{id}",
    "/orders/17/items/3": "GET /orders/{id}/items/{id}",
    "/u/6f1c0c3e-8a51-4b9e-9a7d-1d5ebeef0001": "GET /u/{uuid}",
    "/d/2026-03-02": "GET /d/{date}",
    "/d/2026-03-02T10:00:00Z": "GET /d/{date}",
    "/e/01ARZ3NDEKTSV4RRFFQ69G5FAV": "GET /e/{ulid}",
    "/blob/da39a3ee5e6b4b0d3255bfef95601890afd80709": "GET /blob/{hex}",
    "/cafe/decade": "GET /cafe/decade",
    "/v1/health": "GET /v1/health",
    "http://pricing/quote/17": "GET /quote/{id}",
    "/": "GET /",
    "*": "GET *",
    "": "GET ",
}


@pytest.mark.parametrize("path", SHAPES)
def test_what_shows_that_it_varies_is_folded_at_once(path: str) -> None:
    assert route_of("GET", path) == SHAPES[path]


def names(count: int) -> list[str]:
    """Words without a shape, all different."""
    return ["".join(chr(ord("a") + int(digit)) for digit in f"{number * 7919:07d}") for number in range(count)]


def test_a_place_that_takes_many_names_is_folded() -> None:
    routes = Routes()
    given_ = [routes.route("", "GET", f"/users/{name}/orders") for name in names(MANY)]
    assert given_[0] == "GET /users/aaaaaaa/orders"
    assert given_[-1] == "GET /users/{name}/orders"
    assert {routes.refold("", route) for route in given_} == {"GET /users/{name}/orders"}


def test_a_fold_stays_and_the_places_beside_and_below_it_are_kept() -> None:
    routes = Routes()
    for name in names(MANY):
        routes.route("", "GET", f"/users/{name}")
        routes.route("", "GET", f"/users/{name}/cart")
    folds = routes.version
    for name in names(MANY * 3):
        assert routes.route("", "GET", f"/users/{name}/cart") == "GET /users/{name}/cart"
    assert routes.route("", "DELETE", "/users/zoe/avatar") == "DELETE /users/{name}/avatar"
    assert routes.route("", "GET", "/healthz") == "GET /healthz"
    assert routes.route("other", "GET", "/users/aaaaaaa") == "GET /users/aaaaaaa"
    assert routes.version == folds == 1


def test_handlers_that_are_called_again_and_again_are_no_names() -> None:
    routes = Routes()
    handlers = names(MANY * 2)
    for handler in handlers[: MANY - 1]:
        for _ in range(20):
            routes.route("", "GET", f"/api/{handler}")
    for handler in handlers:
        assert routes.route("", "GET", f"/api/{handler}") == f"GET /api/{handler}"
    assert routes.version == 0


def test_grpc_methods_are_no_names() -> None:
    routes = Routes()
    for name in names(MANY * 2):
        assert routes.route("", "POST", f"/shop.v1.Shop/{name}") == f"POST /shop.v1.Shop/{name}"


@given(st.lists(st.text("ab/x1", max_size=12), max_size=120))
def test_a_route_that_is_named_anew_is_what_the_path_is_named_now(paths: list[str]) -> None:
    routes = Routes()
    before = {f"/{path}": routes.route("", "GET", f"/{path}") for path in paths}
    version = routes.version
    now = {path: routes.refold("", route_of("GET", path)) for path in before}
    assert now == {path: routes.refold("", route) for path, route in before.items()}
    assert routes.version == version
