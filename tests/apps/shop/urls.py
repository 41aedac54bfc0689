from django.contrib import admin
from django.urls import include, path
from rest_framework.authtoken.views import obtain_auth_token

from shop import views
from shop.api import router

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include(router.urls)),
    path("token/", obtain_auth_token),
    path("cart/", views.cart),
    path("tree/", views.tree),
    path("mine/", views.mine),
    path("tags/<slug:slug>/", views.tagged),
]
