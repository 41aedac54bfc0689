"""Views for ATOMIC_REQUESTS: each runs in a transaction of its own."""

from django.http import HttpRequest, JsonResponse

from testapp.models import Author


def names_of_authors() -> list[str]:
    return list(Author.objects.order_by("pk").values_list("name", flat=True))


def names(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"names": names_of_authors()})


def rename(request: HttpRequest) -> JsonResponse:
    Author.objects.filter(pk=1).update(name="renamed")
    return JsonResponse({"names": names_of_authors()})


def rename_and_fail(request: HttpRequest) -> JsonResponse:
    Author.objects.filter(pk=1).update(name="never")
    assert names_of_authors()[0] == "never"
    raise RuntimeError("the view fails")
