"""Fields of an application's own that write the column which is selected, as the reader says."""

from collections.abc import Callable

import pytest
from django.db.models import F

from testapp.fields import Cased, Remark, case, tables

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("database")]


@pytest.mark.parametrize(
    "read",
    [
        lambda pk: Cased.objects.get(pk=pk).text,
        lambda pk: Remark.objects.select_related("cased").get(cased=pk).cased.text,
        lambda pk: Remark.objects.values_list("cased__text").get(cased=pk)[0],
        lambda pk: Remark.objects.annotate(text=F("cased__text")).get(cased=pk).text,
    ],
)
def test_column_that_is_selected_as_the_reader_says(read: Callable[[int], str]) -> None:
    with tables(Cased, Remark):
        for pk in (1, 2):
            Remark.objects.create(cased=Cased.objects.create(pk=pk, text="Text"))
        for pk in (1, 2, 1, 2):
            for name, expected in (("upper", "TEXT"), ("lower", "text")):
                reset = case.set(name)
                try:
                    assert [read(pk), read(pk)] == [expected] * 2
                finally:
                    case.reset(reset)
