"""DJANGO_CACHE_MANAGER: what each key accepts, and what happens to a value that is no good."""

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from django_cache_manager import conf

MIB = 2**20


def problems_of(setting: Any) -> list[conf.Problem]:
    with override_settings(DJANGO_CACHE_MANAGER=setting):
        return conf.problems(place=False)


def settings_of(setting: Any) -> conf.Settings:
    with override_settings(DJANGO_CACHE_MANAGER=setting):
        return conf.current()


GOOD = [
    ("ENABLED", False, False),
    ("LOCATION", "/dev/shm", "/dev/shm"),
    ("LOCATION", Path("/dev/shm"), "/dev/shm"),
    ("LOCATION", "/dev//shm/", "/dev/shm"),
    ("SIZE", None, None),
    ("SIZE", 16 * MIB, 16 * MIB),
    ("SIZE", str(16 * MIB), 16 * MIB),
    ("SIZE", "16M", 16 * MIB),
    ("SIZE", " 16m ", 16 * MIB),
    ("SIZE", "16384K", 16 * MIB),
    ("SIZE", "2G", 2048 * MIB),
    ("MAX_ENTRY", "64K", 65536),
    ("L1_SIZE", 0, 0),
    ("L1_SIZE", "8M", 8 * MIB),
    ("CELLS", 1024, 1024),
    ("SLOTS", 64, 64),
    ("MODE", 0o660, 0o660),
    ("MODE", 0o600, 0o600),
    ("GROUP", 0, 0),
    ("GROUP", "root", 0),
    ("GROUP", None, -1),
    ("MODELS", ["*"], {"*": {}}),
    ("MODELS", ("testapp.*", "testapp.Book"), {"testapp.*": {}, "testapp.book": {}}),
    ("MODELS", ["testapp.Book", "testapp.BOOK"], {"testapp.book": {}}),
    (
        "MODELS",
        {"testapp.Book": {"TIMEOUT": 60, "MAX_ENTRY": "64K", "ITERATOR": False}, "testapp.*": {}},
        {
            "testapp.book": {"timeout": 60.0, "max_entry": 65536, "iterator": False},
            "testapp.*": {},
        },
    ),
    ("MODELS", {"*": {"TIMEOUT": None}}, {"*": {"timeout": None}}),
    ("EXCLUDE", ["testapp.Book"], ("testapp.book",)),
    ("TIMEOUT", None, None),
    ("TIMEOUT", 60, 60.0),
    ("TIMEOUT", 0.5, 0.5),
    ("VIEWS", {"sales": ["shop_order", "shop_item"]}, {"sales": ("shop_order", "shop_item")}),
    ("TRIGGERS", {"Shop_Order": ["shop_AUDIT"]}, {"shop_order": ("shop_audit",)}),
    ("FUNCTIONS", ["public.My_Total"], frozenset({"my_total"})),
    ("REPLICAS", ["other"], frozenset({"other"})),
    ("UNSEEN_WRITES", True, True),
]


@pytest.mark.parametrize(("key", "value", "expected"), GOOD)
def test_good_value_is_in_force(key: str, value: Any, expected: Any) -> None:
    assert problems_of({key: value}) == []
    settings = settings_of({key: value})
    found = getattr(settings, key.lower())
    assert found == expected
    assert type(found) is not bool or isinstance(expected, bool)
    assert settings.valid


BAD = [
    ("ENABLED", "yes", "E003"),
    ("ENABLED", 1, "E003"),
    ("ENABLED", None, "E003"),
    ("LOCATION", "cache", "E003"),
    ("LOCATION", "", "E003"),
    ("LOCATION", b"/dev/shm", "E003"),
    ("LOCATION", "/dev/shm\0", "E003"),
    ("LOCATION", None, "E003"),
    ("SIZE", -1, "E003"),
    ("SIZE", 0, "E003"),
    ("SIZE", 100, "E003"),
    ("SIZE", "100", "E003"),
    ("SIZE", "lots", "E003"),
    ("SIZE", "", "E003"),
    ("SIZE", "-32M", "E003"),
    ("SIZE", "32 M", "E003"),
    ("SIZE", "32MB", "E003"),
    ("SIZE", "1.5G", "E003"),
    ("SIZE", "٣٢M", "E003"),
    ("SIZE", 32.0 * MIB, "E003"),
    ("SIZE", True, "E003"),
    ("SIZE", 2**70, "E003"),
    ("SIZE", "9" * 5000, "E003"),
    ("SIZE", "32\N{KELVIN SIGN}", "E003"),
    ("SIZE", "1M", "E008"),
    ("MAX_ENTRY", 1, "E003"),
    ("MAX_ENTRY", None, "E003"),
    ("MAX_ENTRY", "4G", "E003"),
    ("MAX_ENTRY", "64M", "E008"),
    ("L1_SIZE", -1, "E003"),
    ("CELLS", 1, "E003"),
    ("CELLS", 2**32, "E003"),
    ("CELLS", "65536", "E003"),
    ("CELLS", True, "E003"),
    ("CELLS", 2**24, "E008"),
    ("SLOTS", 0, "E003"),
    ("SLOTS", 65536, "E003"),
    ("MODE", "0600", "E009"),
    ("MODE", 600, "E009"),
    ("MODE", 0o666, "E009"),
    ("MODE", 0o604, "E009"),
    ("MODE", 0o060, "E009"),
    ("MODE", 0o640, "E009"),
    ("MODE", 0o700, "E009"),
    ("MODE", 0o4600, "E009"),
    ("MODE", -1, "E009"),
    ("MODE", None, "E009"),
    ("GROUP", "no-such-group", "E010"),
    ("GROUP", "nul\0", "E010"),
    ("GROUP", -2, "E010"),
    ("GROUP", 2**32, "E010"),
    ("GROUP", 1.0, "E010"),
    ("GROUP", False, "E010"),
    ("MODELS", "*", "E003"),
    ("MODELS", None, "E003"),
    ("MODELS", {"testapp.Book": True}, "E003"),
    ("MODELS", {"testapp.Book": None}, "E003"),
    ("MODELS", {"testapp": {}}, "E003"),
    ("MODELS", {1: {}}, "E003"),
    ("MODELS", {"testapp.Book": {}, "testapp.book": {"TIMEOUT": 60}}, "E003"),
    ("MODELS", {"testapp.Book": {"timeout": 60}}, "E014"),
    ("MODELS", {"testapp.Book": {"SIZE": "8M"}}, "E014"),
    ("MODELS", {"testapp.Book": {1: 60}}, "E014"),
    ("MODELS", {"testapp.Book": {"TIMEOUT": 0}}, "E014"),
    ("MODELS", {"testapp.Book": {"MAX_ENTRY": "64"}}, "E014"),
    ("MODELS", {"testapp.Book": {"MAX_ENTRY": None}}, "E014"),
    ("MODELS", {"testapp.Book": {"ITERATOR": "no"}}, "E014"),
    ("MODELS", [None], "E003"),
    ("MODELS", [""], "E003"),
    ("MODELS", ["testapp"], "E003"),
    ("MODELS", ["testapp."], "E003"),
    ("MODELS", [".Book"], "E003"),
    ("MODELS", ["*.Book"], "E003"),
    ("MODELS", ["testapp.B*"], "E003"),
    ("MODELS", ["testapp.models.Book"], "E003"),
    ("EXCLUDE", "testapp.Book", "E003"),
    ("TIMEOUT", 0, "E003"),
    ("TIMEOUT", -5, "E003"),
    ("TIMEOUT", "60", "E003"),
    ("TIMEOUT", True, "E003"),
    ("TIMEOUT", float("nan"), "E003"),
    ("TIMEOUT", float("inf"), "E003"),
    ("TIMEOUT", 10**400, "E003"),
    ("VIEWS", ["sales"], "E003"),
    ("VIEWS", {"sales": "shop_order"}, "E003"),
    ("VIEWS", {1: ["shop_order"]}, "E003"),
    ("VIEWS", {"sales": [1]}, "E003"),
    ("TRIGGERS", None, "E003"),
    ("FUNCTIONS", "total", "E003"),
    ("REPLICAS", "other", "E003"),
    ("REPLICAS", ["no_such_alias"], "E012"),
    ("UNSEEN_WRITES", "no", "E003"),
]


@pytest.mark.parametrize(("key", "value", "check"), BAD)
def test_bad_value_is_an_error_with_a_cure_and_turns_caching_off(
    key: str, value: Any, check: str
) -> None:
    (problem,) = problems_of({key: value})
    assert (problem.id, problem.is_error) == (check, True)
    assert key in problem.message
    assert problem.message.endswith(".")
    assert len(problem.message) < 300
    assert problem.hint
    settings = settings_of({key: value})
    assert not settings.valid
    assert not settings.enabled
    default = conf.NOWHERE if key == "LOCATION" else getattr(conf.Settings(), key.lower())
    if key != "ENABLED":
        assert getattr(settings, key.lower()) == default


def test_every_key_is_tested_with_good_and_bad_values() -> None:
    keys = {field.upper() for field in conf.Settings.__dataclass_fields__} - {"BACKEND", "VALID"}
    assert {key for key, *_ in GOOD} == keys
    assert {key for key, *_ in BAD} == keys


@pytest.mark.parametrize("setting", [None, [], "32M", 1, object()])
def test_setting_that_is_no_dict_is_an_error(setting: Any) -> None:
    (problem,) = problems_of(setting)
    assert problem.id == "E001"
    assert not settings_of(setting).enabled


def test_missing_setting_means_every_default() -> None:
    with override_settings(DJANGO_CACHE_MANAGER={}):
        del django_settings.DJANGO_CACHE_MANAGER
        assert conf.problems(place=False) == []
        assert conf.current() == conf.Settings()
        assert conf.current().enabled


def test_any_mapping_will_do() -> None:
    assert settings_of(OrderedDict(SIZE="16M")).size == 16 * MIB


@pytest.mark.parametrize(
    ("key", "hint"),
    [("size", "SIZE"), ("MAX_ENTRYS", "MAX_ENTRY"), ("L1SIZE", "L1_SIZE")],
)
def test_unknown_key_is_an_error_that_names_the_near_one(key: str, hint: str) -> None:
    (problem,) = problems_of({key: 1})
    assert problem.id == "E002"
    assert repr(key) in problem.message
    assert problem.hint == f"Did you mean {hint}?"
    assert not settings_of({key: 1}).enabled


@pytest.mark.parametrize("key", ["zzz", 5, None, ("SIZE",)])
def test_unlike_key_is_an_error_that_lists_the_known_ones(key: Any) -> None:
    (problem,) = problems_of({key: 1})
    assert problem.id == "E002"
    assert all(field.upper() in problem.hint for field in ("size", "unseen_writes", "enabled"))


def test_all_bad_values_are_told_at_once() -> None:
    found = problems_of({"SIZE": -1, "TIMEOUT": 0, "nonsense": 1})
    assert [problem.id for problem in found] == ["E003", "E003", "E002"]


def test_bad_value_leaves_the_good_ones_in_force() -> None:
    settings = settings_of({"SIZE": -1, "LOCATION": "/run", "MODE": 0o660})
    assert (settings.location, settings.mode, settings.size) == ("/run", 0o660, None)


def test_nothing_can_be_opened_where_a_bad_location_leads() -> None:
    location = Path(settings_of({"LOCATION": 5}).location)
    with pytest.raises(NotADirectoryError):
        (location / "x").open("wb")


@pytest.mark.parametrize(
    "setting",
    [
        {"SIZE": "8M", "MAX_ENTRY": "8M"},
        {"SIZE": "2M", "CELLS": 65536},
        {"SIZE": "1M", "CELLS": 1024, "SLOTS": 8192},
    ],
)
def test_sizes_that_do_not_go_together_are_one_error(setting: dict[str, Any]) -> None:
    (problem,) = problems_of(setting)
    assert problem.id == "E008"
    size = problem.hint.partition("at least ")[2].partition(",")[0]
    assert problems_of({**setting, "SIZE": size}) == []


def test_small_segment_with_few_cells_is_accepted() -> None:
    assert problems_of({"SIZE": "1M", "CELLS": 1024, "SLOTS": 64}) == []


def test_entry_cap_is_clipped_to_what_the_segment_can_hold() -> None:
    settings = settings_of({"SIZE": "4M"})
    clipped = conf.max_entry_size(settings, 4 * MIB)
    assert clipped == conf.largest_entry(4 * MIB, settings.cells, settings.slots)
    assert clipped < settings.max_entry
    assert conf.max_entry_size(settings, 64 * MIB) == settings.max_entry


@pytest.mark.cached
@pytest.mark.parametrize("size", ["3M", "4M", "8M", "32M", "100M"])
@pytest.mark.parametrize(("cells", "slots"), [(65536, 1024), (64, 8), (1000, 77)])
def test_engine_accepts_the_largest_entry_and_little_more(
    size: str, cells: int, slots: int
) -> None:
    from django_cache_manager import _engine

    size_bytes = int(size[:-1]) * MIB
    entry = conf.largest_entry(size_bytes, cells, slots)
    setting = {"SIZE": size, "CELLS": cells, "SLOTS": slots, "MAX_ENTRY": entry}
    assert problems_of(setting) == []
    sizes = {"size": size_bytes, "cells": cells, "slots": slots}
    segment = _engine.Segment.private_memory(**sizes, max_entry=entry)
    assert segment.max_entry == entry
    with pytest.raises(_engine.SegmentError) as caught:
        _engine.Segment.private_memory(**sizes, max_entry=entry * 8 // 7 + 64 * 1024)
    assert caught.value.status == "argument"


@pytest.mark.cached
@pytest.mark.parametrize(("cells", "slots"), [(65536, 1024), (64, 8), (2**24, 65535)])
def test_engine_accepts_the_least_size(cells: int, slots: int) -> None:
    from django_cache_manager import _engine

    size = conf.least_size(cells, slots, conf.LEAST_MAX_ENTRY)
    entry = conf.LEAST_MAX_ENTRY
    assert _engine.Segment.private_memory(size=size, cells=cells, slots=slots, max_entry=entry)


def test_model_that_does_not_exist_is_an_error_but_caching_goes_on() -> None:
    setting = {"MODELS": ["testapp.Bok"], "EXCLUDE": ["nosuchapp.*", "testapp.*", "*"]}
    first, second = problems_of(setting)
    assert (first.id, second.id) == ("E011", "E011")
    assert "MODELS" in first.message
    assert "no such model" in first.message
    assert first.hint == "Did you mean 'testapp.book'?"
    assert "EXCLUDE" in second.message
    assert "no such app" in second.message
    assert settings_of(setting).enabled


def test_hidden_many_to_many_model_may_be_named() -> None:
    from testapp.models import Book

    hidden = [
        field.remote_field.through._meta.label
        for field in Book._meta.many_to_many
        if field.remote_field.through._meta.auto_created
    ]
    assert hidden
    assert problems_of({"MODELS": hidden}) == []


@pytest.mark.parametrize(
    ("patterns", "label", "selected"),
    [
        (["*"], "testapp.book", True),
        (["testapp.*"], "testapp.book", True),
        (["testapp.Book"], "testapp.book", True),
        (["testapp.Book"], "testapp.bookshelf", False),
        (["test.*"], "testapp.book", False),
        ([], "testapp.book", False),
    ],
)
def test_patterns_select_models(patterns: list[str], label: str, selected: bool) -> None:
    assert conf.selects(settings_of({"MODELS": patterns}).models, label) is selected


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Orders", "orders"),
        ("public.Orders", "orders"),
        ('"Public"."Orders"', "orders"),
        ('public."my.Orders"', "my.orders"),
        ('"a""B"', 'a"b'),
        ("db.`Order``s`", "order`s"),
        ("[dbo].[My Orders]", "my orders"),
        ("ÄRGER", "Ärger"),
        ("", ""),
    ],
)
def test_table_names_are_folded_as_the_scanner_does(name: str, folded: str) -> None:
    assert conf.table_name(name) == folded


def test_two_spellings_of_one_view_are_joined() -> None:
    settings = settings_of({"VIEWS": {"Sales": ["a", "b"], "public.sales": ["B", "c"]}})
    assert settings.views == {"sales": ("a", "b", "c")}


def test_view_over_a_view_reads_its_tables_too() -> None:
    views = {"top": ["middle", "a"], "middle": ["bottom", "b"], "bottom": ["c", "top"]}
    settings = settings_of({"VIEWS": views})
    assert set(settings.views["top"]) == {"middle", "bottom", "top", "a", "b", "c"}
    assert len(settings.views["top"]) == 6


def test_backend_is_the_alias_of_the_old_package() -> None:
    assert conf.current().backend is None
    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    with override_settings(CACHES={"default": cache, conf.BACKEND_ALIAS: cache}):
        assert conf.current().backend == conf.BACKEND_ALIAS
    assert conf.current().backend is None


def test_settings_are_read_once_and_again_after_a_change() -> None:
    before = conf.current()
    assert conf.current() is before
    with override_settings(DJANGO_CACHE_MANAGER={"SIZE": "16M"}):
        assert conf.current().size == 16 * MIB
    assert conf.current() is not before
    assert conf.current() == before


def test_callbacks_run_after_a_change_with_the_new_settings_in_force(monkeypatch: Any) -> None:
    monkeypatch.setattr(conf, "_callbacks", [])
    seen = []

    def note() -> None:
        seen.append(conf.current().size)

    conf.on_change(note)
    conf.on_change(note)
    outside = conf.current().size
    with override_settings(DJANGO_CACHE_MANAGER={"SIZE": "16M"}):
        assert seen == [16 * MIB]
    with override_settings(LANGUAGE_CODE="de"):
        pass
    assert seen == [16 * MIB, outside]


def test_bad_setting_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING, "django_cache_manager"),
        override_settings(DJANGO_CACHE_MANAGER={"SIZE": "lots"}),
    ):
        conf.current()
        conf.current()
        warnings = [record for record in caplog.records if record.name == "django_cache_manager"]
    (warning,) = warnings
    assert "'SIZE'" in warning.getMessage()
    assert "manage.py check" in warning.getMessage()


def test_good_setting_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "django_cache_manager"):
        settings_of({"SIZE": "16M", "MODELS": ["nosuchapp.*"]})
    assert caplog.records == []


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o661])
def test_mode_for_everybody_is_called_that(mode: int) -> None:
    (problem,) = problems_of({"MODE": mode})
    assert "every user of the machine" in problem.message


def test_long_value_is_cut_in_the_message() -> None:
    (problem,) = problems_of({"SIZE": "x" * 10_000})
    assert len(problem.message) < 200
