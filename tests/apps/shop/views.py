"""Pages that use sessions, the tree, the tags and the permissions for single objects."""

from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from guardian.shortcuts import get_objects_for_user, get_perms

from shop.models import Category, Product


def cart(request):
    items = request.session.get("cart", [])
    if request.method == "POST":
        items.append(request.POST["product"])
        request.session["cart"] = items
    products = Product.objects.in_bulk([int(item) for item in items])
    return JsonResponse({"cart": [products[int(item)].name for item in items]})


def tree(request):
    return JsonResponse(
        {
            "bulk": Category.dump_bulk(),
            "annotated": [
                [str(node), info["open"], info["close"], info["level"]]
                for node, info in Category.get_annotated_list()
            ],
            "ancestors": {
                str(node): [str(one) for one in node.get_ancestors()]
                for node in Category.get_tree()
            },
            "descendants": [
                [str(node), node.descendants_count]
                for node in Category.get_descendants_group_count()
            ],
        }
    )


@login_required
def mine(request):
    allowed = get_objects_for_user(request.user, "shop.change_product", Product)
    return JsonResponse(
        {
            "allowed": [product.name for product in allowed.order_by("pk")],
            "perms": {
                product.name: sorted(get_perms(request.user, product))
                for product in Product.objects.all()
            },
            "groups": sorted(request.user.groups.values_list("name", flat=True)),
            "all": sorted(request.user.get_all_permissions()),
        }
    )


def tagged(request, slug):
    products = Product.objects.filter(tags__slug=slug).distinct()
    common = Product.tags.most_common()
    return JsonResponse(
        {
            "products": [[str(product), sorted(product.tags.names())] for product in products],
            "common": [[tag.name, tag.num_times] for tag in common.order_by("-num_times", "name")],
        }
    )
