"""Which lines a rule applies to: the file's product matches, compiled into tests of one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.contracts.order_lines import Line
from shared.program.language.products import ProductMatch

LineTest = Callable[[Line], bool]


def line_test(only: Sequence[ProductMatch] | None, without: Sequence[ProductMatch] | None) -> LineTest | None:
    """Return a test for lines that match ``only`` and not ``without``; None if every line passes."""
    if only and without:
        wanted, unwanted = any_of(only), any_of(without)
        return lambda line: wanted(line) and not unwanted(line)
    if only:
        return any_of(only)
    if without:
        unwanted = any_of(without)
        return lambda line: not unwanted(line)
    return None


def any_of(matches: Sequence[ProductMatch]) -> LineTest:
    """Return a test for lines that any of the matches accepts; without matches it accepts no line."""
    tests = [_compile_match(match) for match in matches]
    if not tests:
        return lambda _line: False
    if len(tests) == 1:
        return tests[0]
    return lambda line: any(test(line) for test in tests)


def keys_of_match(match: ProductMatch) -> list[tuple[str, str]] | None:
    """Return (kind, value) keys of which every matching line has at least one, of the rarest kind possible.

    The index of rules uses them: a line with none of these keys need not be tested.
    """
    if match.sku is not None:
        return [("sku", sku) for sku in match.sku]
    if match.product is not None:
        return [("product", product) for product in match.product]
    if match.brand is not None:
        return [("brand", brand) for brand in match.brand]
    if match.tag is not None:
        return [("tag", tag) for tag in match.tag]
    if match.category is not None:
        return [("category", path[0]) for path in match.category]
    return None


def _compile_match(match: ProductMatch) -> LineTest:
    """Return one test for all the attributes that the match names."""
    tests: list[LineTest] = []
    if match.category is not None:
        tests.append(_category_test(match.category))
    if match.brand is not None:
        brands = frozenset(match.brand)
        tests.append(lambda line: line.brand in brands)
    if match.product is not None:
        products = frozenset(match.product)
        tests.append(lambda line: line.product_id in products)
    if match.sku is not None:
        skus = frozenset(match.sku)
        tests.append(lambda line: line.sku in skus)
    if match.tag is not None:
        tags = frozenset(match.tag)
        tests.append(lambda line: not tags.isdisjoint(line.tags))
    if len(tests) == 1:
        return tests[0]
    return lambda line: all(test(line) for test in tests)


def _category_test(paths: Sequence[tuple[str, ...]]) -> LineTest:
    tops = frozenset(path[0] for path in paths if len(path) == 1)
    deeper = frozenset(path for path in paths if len(path) > 1)
    lengths = sorted({len(path) for path in deeper})

    def test(line: Line) -> bool:
        category = line.category
        if not category:
            return False
        return category[0] in tops or any(category[:length] in deeper for length in lengths)

    return test
