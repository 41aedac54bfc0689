from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evolving", "0002_gauge_unit")]
    operations = [
        migrations.AlterField("gauge", "value", models.CharField(max_length=40)),
    ]
