from rest_framework import filters, routers, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from taggit.serializers import TaggitSerializer, TagListSerializerField

from shop.models import Category, Order, Product


class CategorySerializer(serializers.ModelSerializer):
    products = serializers.StringRelatedField(many=True, read_only=True)

    class Meta:
        model = Category
        fields = ["id", "name", "depth", "numchild", "products"]


class ProductSerializer(TaggitSerializer, serializers.ModelSerializer):
    tags = TagListSerializerField(required=False)

    class Meta:
        model = Product
        fields = ["id", "name", "price", "category", "related", "active", "tags"]


class OrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = ["id", "product", "buyer", "amount", "placed"]


class CategoryViewSet(viewsets.ModelViewSet):
    queryset = Category.objects.prefetch_related("products")
    serializer_class = CategorySerializer


class ProductViewSet(viewsets.ModelViewSet):
    queryset = Product.objects.select_related("category").prefetch_related("tags", "related")
    serializer_class = ProductSerializer
    filter_backends = [filters.SearchFilter, filters.OrderingFilter]
    search_fields = ["name", "tags__name"]
    ordering_fields = ["price", "name"]

    @action(detail=True)
    def similar(self, request, pk=None):
        found = self.get_object().tags.similar_objects()
        return Response(sorted(product.name for product in found))


class OrderViewSet(viewsets.ModelViewSet):
    queryset = Order.objects.all()
    serializer_class = OrderSerializer


router = routers.DefaultRouter()
router.register("categories", CategoryViewSet)
router.register("products", ProductViewSet)
router.register("orders", OrderViewSet)
