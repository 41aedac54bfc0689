"""A small shop on packages of others: tags, a tree, permissions for single objects."""

from django.db import models
from taggit.managers import TaggableManager
from treebeard.mp_tree import MP_Node


class Category(MP_Node):
    name = models.CharField(max_length=40)
    node_order_by = ["name"]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    name = models.CharField(max_length=40)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    category = models.ForeignKey(Category, models.CASCADE, related_name="products")
    related = models.ManyToManyField("self", blank=True)
    active = models.BooleanField(default=True)
    tags = TaggableManager(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    product = models.ForeignKey(Product, models.PROTECT)
    buyer = models.ForeignKey("auth.User", models.CASCADE)
    amount = models.PositiveIntegerField(default=1)
    placed = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-placed", "pk"]
