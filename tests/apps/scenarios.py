"""What people do with the shop: each scenario is a list of requests, with writes between them."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from guardian.shortcuts import assign_perm, remove_perm
from rest_framework.authtoken.models import Token
from shop.models import Category, Order, Product
from taggit.models import Tag

Visit = Callable[..., Any]


def load() -> None:
    """The shop before each scenario: primary keys are new each time, and the same in every run."""
    for model in (Order, Product, Category, Tag, Token, Group):
        model.objects.all().delete()
    User.objects.exclude(username="AnonymousUser").delete()
    boss = User.objects.create_superuser("boss", "boss@example.org", "secret")
    clerk = User.objects.create_user("clerk", "clerk@example.org", "secret", is_staff=True)
    User.objects.create_user("guest", "guest@example.org", "secret")
    root = Category.add_root(name="Everything")
    fruit = root.add_child(name="Fruit")
    root.add_child(name="Tools")
    fruit = Category.objects.get(pk=fruit.pk)
    fruit.add_child(name="Berries")
    names = ["Apple", "Banana", "Cherry", "Drill", "Elderberry", "Fig", "Grape"]
    for number, name in enumerate(names):
        category = Category.objects.get(name="Tools" if name == "Drill" else "Fruit")
        product = Product.objects.create(name=name, price=number + 1, category=category)
        product.tags.add("new" if number % 2 else "old", "all")
    Order.objects.create(product=Product.objects.get(name="Apple"), buyer=clerk)
    Order.objects.create(product=Product.objects.get(name="Fig"), buyer=boss, amount=3)


def product(name: str) -> Product:
    return Product.objects.get(name=name)


def admin(visit: Visit) -> None:
    boss = Client()
    boss.force_login(User.objects.get(username="boss"))
    products = "/admin/shop/product/"
    for query in ("", "?q=an", "?q=new&o=-2", "?active__exact=1", "?p=2", "?o=2.-1", "?e=1"):
        visit(boss.get, products + query)
        visit(boss.get, products + query)
    for path in ("/admin/", "/admin/shop/", "/admin/shop/order/", "/admin/shop/category/"):
        visit(boss.get, path)
        visit(boss.get, path)
    visit(boss.get, products + "add/")
    fields = {
        "name": "Hammer",
        "price": "12.50",
        "category": Category.objects.get(name="Tools").pk,
        "active": "on",
        "tags": "heavy, new",
        "related": [product("Drill").pk],
        "order_set-TOTAL_FORMS": "1",
        "order_set-INITIAL_FORMS": "0",
        "order_set-0-buyer": User.objects.get(username="guest").pk,
        "order_set-0-amount": "2",
    }
    visit(boss.post, products + "add/", {**fields, "price": "much"})
    visit(boss.post, products + "add/", fields, follow=True)
    hammer = product("Hammer")
    page = f"{products}{hammer.pk}/change/"
    for _ in range(2):
        visit(boss.get, page)
    order = hammer.order_set.get()
    fields |= {
        "name": "Big hammer",
        "order_set-INITIAL_FORMS": "1",
        "order_set-0-id": order.pk,
        "order_set-0-product": hammer.pk,
        "order_set-0-amount": "5",
    }
    visit(boss.post, page, fields, follow=True)
    visit(boss.get, page)
    visit(boss.get, f"{products}{hammer.pk}/history/")
    visit(boss.get, f"{products}{hammer.pk}/history/")
    rows = list(Product.objects.order_by("name")[:5])
    edited = {
        "form-TOTAL_FORMS": "5",
        "form-INITIAL_FORMS": "5",
        "_save": "Save",
        **{f"form-{number}-id": row.pk for number, row in enumerate(rows)},
        **{f"form-{number}-active": "on" for number in range(3)},
    }
    visit(boss.post, products, edited, follow=True)
    chosen = [row.pk for row in rows[:2]]
    visit(boss.post, products, {"action": "deactivate", "_selected_action": chosen}, follow=True)
    chosen = [product("Banana").pk, product("Cherry").pk]
    deleting = {"action": "delete_selected", "_selected_action": chosen}
    visit(boss.post, products, deleting)
    visit(boss.post, products, {**deleting, "post": "yes"}, follow=True)
    visit(boss.get, f"{products}{product('Apple').pk}/delete/")
    visit(boss.post, f"{products}{product('Grape').pk}/delete/", {"post": "yes"}, follow=True)
    visit(boss.get, f"{products}987654/change/", follow=True)
    lookup = "?app_label=shop&model_name=product&field_name=related&term=e"
    for _ in range(2):
        visit(boss.get, "/admin/autocomplete/" + lookup)
    visit(boss.get, f"{products}{product('Fig').pk}/permissions/")
    Product.objects.filter(name="Fig").update(name="Fig of Smyrna")
    visit(boss.get, products)
    visit(boss.get, "/admin/")


def accounts(visit: Visit) -> None:
    boss, clerk = Client(), Client()
    visit(clerk.get, "/admin/", follow=True)
    visit(clerk.post, "/admin/login/", {"username": "clerk", "password": "wrong"})
    visit(clerk.post, "/admin/login/", {"username": "clerk", "password": "secret"}, follow=True)
    boss.force_login(User.objects.get(username="boss"))
    for _ in range(2):
        visit(clerk.get, "/admin/shop/product/")
    permissions = [
        Permission.objects.get(codename=name).pk for name in ("view_product", "change_product")
    ]
    visit(boss.get, "/admin/auth/group/add/")
    group = {"name": "clerks", "permissions": permissions}
    visit(boss.post, "/admin/auth/group/add/", group, follow=True)
    user = User.objects.get(username="clerk")
    page = f"/admin/auth/user/{user.pk}/change/"
    for _ in range(2):
        visit(boss.get, page)
    fields = {
        "username": "clerk",
        "is_active": "on",
        "is_staff": "on",
        "groups": [Group.objects.get().pk],
        "date_joined_0": "2024-01-01",
        "date_joined_1": "10:00:00",
    }
    visit(boss.post, page, fields, follow=True)
    for _ in range(2):
        visit(clerk.get, "/admin/shop/product/")
        visit(clerk.get, "/mine/")
    visit(clerk.post, f"/admin/shop/product/{product('Apple').pk}/delete/", {"post": "yes"})
    Group.objects.get().permissions.clear()
    visit(clerk.get, "/admin/shop/product/")
    visit(clerk.get, "/mine/")
    passwords = {"old_password": "secret", "new_password1": "tr0ub4dor", "new_password2": "x"}
    visit(clerk.post, "/admin/password_change/", passwords)
    passwords["new_password2"] = "tr0ub4dor"
    visit(clerk.post, "/admin/password_change/", passwords, follow=True)
    visit(clerk.get, "/mine/")
    user = User.objects.get(username="clerk")
    user.set_password("changed elsewhere")
    user.save()
    visit(clerk.get, "/mine/")
    visit(boss.get, f"/admin/auth/user/{user.pk}/history/")
    visit(boss.post, "/admin/logout/")
    visit(boss.get, "/admin/")


def sessions(visit: Visit) -> None:
    one, two = Client(), Client()
    for _ in range(2):
        visit(one.get, "/cart/")
    visit(one.post, "/cart/", {"product": product("Apple").pk})
    for _ in range(2):
        visit(one.get, "/cart/")
        visit(two.get, "/cart/")
    visit(two.post, "/cart/", {"product": product("Fig").pk})
    visit(one.post, "/cart/", {"product": product("Drill").pk})
    product("Apple").delete() if not Order.objects.filter(product__name="Apple").exists() else None
    Product.objects.filter(name="Drill").update(name="Power drill")
    for _ in range(2):
        visit(one.get, "/cart/")
        visit(two.get, "/cart/")
    one.session.flush()
    visit(one.get, "/cart/")


def tree(visit: Visit) -> None:
    boss = Client()
    boss.force_login(User.objects.get(username="boss"))
    for _ in range(2):
        visit(boss.get, "/tree/")
    Category.objects.get(name="Fruit").add_child(name="Citrus")
    for _ in range(2):
        visit(boss.get, "/tree/")
    Category.objects.get(name="Berries").move(Category.objects.get(name="Tools"), "sorted-child")
    visit(boss.get, "/tree/")
    visit(boss.get, "/admin/shop/category/")
    fruit = Category.objects.get(name="Fruit")
    page = f"/admin/shop/category/{fruit.pk}/change/"
    for _ in range(2):
        visit(boss.get, page)
    root = Category.objects.get(name="Everything")
    fields = {"name": "Fresh fruit", "treebeard_position": "sorted-child"}
    visit(boss.post, page, {**fields, "treebeard_ref_node": root.pk}, follow=True)
    visit(boss.get, "/tree/")
    moved = {"node_id": fruit.pk, "sibling_id": Category.objects.get(name="Tools").pk}
    visit(boss.post, "/admin/shop/category/move/", {**moved, "as_child": "1"})
    visit(boss.get, "/tree/")
    Category.objects.get(name="Citrus").delete()
    for _ in range(2):
        visit(boss.get, "/tree/")


def tags(visit: Visit) -> None:
    anybody = Client()
    for _ in range(2):
        visit(anybody.get, "/tags/new/")
        visit(anybody.get, "/tags/all/")
    product("Apple").tags.add("new", "red")
    product("Fig").tags.remove("new")
    product("Drill").tags.set(["heavy", "all"])
    for slug in ("new", "red", "heavy", "all"):
        visit(anybody.get, f"/tags/{slug}/")
        visit(anybody.get, f"/tags/{slug}/")
    Tag.objects.filter(name="red").update(name="ruby")
    visit(anybody.get, "/tags/red/")
    product("Banana").tags.clear()
    product("Cherry").delete()
    visit(anybody.get, "/tags/all/")
    visit(anybody.get, f"/api/products/{product('Apple').pk}/similar/")


def api(visit: Visit) -> None:
    boss, guest = Client(), Client()
    visit(boss.post, "/token/", {"username": "boss", "password": "wrong"})
    boss.force_login(User.objects.get(username="boss"))
    json = {"content_type": "application/json"}
    for path in ("", "?page=2", "?search=new", "?ordering=-price&page=1", "?page=99"):
        for _ in range(2):
            visit(boss.get, "/api/products/" + path)
    visit(guest.get, "/api/products/")
    visit(boss.get, "/api/products/?format=api")
    visit(boss.options, "/api/products/")
    fruit = Category.objects.get(name="Fruit").pk
    made = {"name": "Kiwi", "price": "0.50", "category": fruit, "tags": ["green", "new"]}
    visit(boss.post, "/api/products/", {**made, "category": 987654}, **json)
    visit(boss.post, "/api/products/", {**made, "related": [product("Apple").pk]}, **json)
    path = f"/api/products/{product('Kiwi').pk}/"
    for _ in range(2):
        visit(boss.get, path)
    visit(boss.patch, path, {"price": "0.75", "tags": ["green"]}, **json)
    visit(boss.get, path)
    visit(boss.get, path + "similar/")
    visit(boss.put, path, {**made, "name": "Gold kiwi"}, **json)
    visit(boss.get, "/api/products/?search=kiwi")
    for _ in range(2):
        visit(boss.get, "/api/categories/")
    visit(boss.delete, path)
    visit(boss.get, path)
    visit(boss.get, "/api/categories/")
    order = {"product": product("Apple").pk, "amount": 2}
    visit(
        boss.post, "/api/orders/", {**order, "buyer": User.objects.get(username="guest").pk}, **json
    )
    visit(boss.get, "/api/orders/")
    clerk = User.objects.get(username="clerk")
    worker = Client()
    worker.force_login(clerk)
    visit(worker.post, "/api/products/", made, **json)
    clerk.user_permissions.add(Permission.objects.get(codename="add_product"))
    visit(worker.post, "/api/products/", made, **json)
    clerk.user_permissions.clear()
    visit(worker.post, "/api/products/", made, **json)


def objects(visit: Visit) -> None:
    clerk = User.objects.get(username="clerk")
    client = Client()
    client.force_login(clerk)
    for _ in range(2):
        visit(client.get, "/mine/")
    assign_perm("shop.change_product", clerk, product("Apple"))
    for _ in range(2):
        visit(client.get, "/mine/")
    group = Group.objects.create(name="buyers")
    assign_perm("shop.change_product", group, product("Fig"))
    visit(client.get, "/mine/")
    clerk.groups.add(group)
    for _ in range(2):
        visit(client.get, "/mine/")
    remove_perm("shop.change_product", clerk, product("Apple"))
    visit(client.get, "/mine/")
    assign_perm("shop.change_product", group)
    for _ in range(2):
        visit(client.get, "/mine/")
    group.delete()
    visit(client.get, "/mine/")


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (admin, accounts, sessions, tree, tags, api, objects)
}
