"""What depends on a store alone is worked out once, and goes with the store."""

from __future__ import annotations

import gc
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from sdm_core.prediction import PredictionStore
from sdm_core.prediction.files import TRUST_FILE
from sdm_core.prediction.once import once_per_files, once_per_store


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


def test_stores_of_the_same_files_share_what_is_worked_out_once(simulated_atlas_folder, _own_cache):
    calls = []

    @once_per_files
    def worked_out(store):
        calls.append(store)
        return [store.n_cells]

    first, second = (PredictionStore.open(simulated_atlas_folder) for _ in range(2))
    assert worked_out(first) is worked_out(second) is worked_out(first)
    assert calls == [first]


def test_what_files_share_is_worked_out_again_when_a_file_beside_them_changes(
    simulated_atlas_folder, tmp_path, _own_cache
):
    folder = tmp_path / "hot"
    shutil.copytree(PredictionStore.open(simulated_atlas_folder).folder, folder)
    worked_out = once_per_files(lambda store: object())
    before = PredictionStore.open(folder)
    known = worked_out(before)
    (folder / TRUST_FILE).write_bytes(b"anything")
    assert worked_out(PredictionStore.open(folder)) is not known
    assert worked_out(before) is known


def test_a_second_asker_waits_for_what_files_share(simulated_atlas_folder, _own_cache):
    calls, started, go_on = [], threading.Event(), threading.Event()

    @once_per_files
    def worked_out(store):
        calls.append(store)
        started.set()
        go_on.wait(10)
        return object()

    stores = [PredictionStore.open(simulated_atlas_folder) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(worked_out, stores[0])
        started.wait(10)
        second = pool.submit(worked_out, stores[1])
        go_on.set()
        assert first.result() is second.result()
    assert len(calls) == 1
