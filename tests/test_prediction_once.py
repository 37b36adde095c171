"""What depends on a store alone is worked out once, and goes with the store."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from sdm_core.prediction.once import once_per_store


class Store:
    def __init__(self, number: int):
        self.number = number


def test_a_result_is_worked_out_once_for_each_store_by_any_number_of_threads():
    calls = []

    @once_per_store
    def doubled(store: Store) -> list[int]:
        calls.append(store.number)
        return [2 * store.number]

    one, two = Store(1), Store(2)
    first = doubled(one)
    with ThreadPoolExecutor(4) as pool:
        assert all(result is first for result in pool.map(doubled, [one] * 50))
    assert doubled(two) == [4]
    assert calls == [1, 2]


def test_a_result_goes_with_its_store_and_another_store_at_its_place_gets_its_own():
    @once_per_store
    def number_of(store: Store) -> int:
        return store.number

    for number in range(200):
        assert number_of(Store(number)) == number
        gc.collect(0)


def test_what_may_change_is_worked_out_each_time():
    @once_per_store
    def number_of(store: SimpleNamespace) -> int:
        return store.number

    changing = SimpleNamespace(number=1)
    assert number_of(changing) == 1
    changing.number = 2
    assert number_of(changing) == 2
