from django.contrib import admin
from guardian.admin import GuardedModelAdmin
from treebeard.admin import TreeAdmin
from treebeard.forms import movenodeform_factory

from shop.models import Category, Order, Product


class OrderInline(admin.TabularInline):
    model = Order
    extra = 1


@admin.register(Product)
class ProductAdmin(GuardedModelAdmin):
    list_display = ["name", "price", "category", "active"]
    list_filter = ["active", "category", "tags"]
    list_editable = ["active"]
    search_fields = ["name", "category__name", "tags__name"]
    autocomplete_fields = ["related"]
    inlines = [OrderInline]
    actions = ["deactivate"]
    list_per_page = 5
    date_hierarchy = None

    @admin.action(description="Deactivate")
    def deactivate(self, request, queryset):
        self.message_user(request, f"{queryset.update(active=False)} deactivated")


@admin.register(Category)
class CategoryAdmin(TreeAdmin):
    form = movenodeform_factory(Category)


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["product", "buyer", "amount", "placed"]
    list_select_related = True
    date_hierarchy = "placed"
    raw_id_fields = ["product"]
