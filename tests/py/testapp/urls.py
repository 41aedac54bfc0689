from django.urls import path

from testapp import views

urlpatterns = [
    path("rename/", views.rename),
    path("rename-and-fail/", views.rename_and_fail),
    path("names/", views.names),
]
