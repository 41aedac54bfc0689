from django.db import migrations, models

import testapp.evolving.models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Gauge",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=40)),
                ("value", models.IntegerField()),
            ],
            managers=[("objects", testapp.evolving.models.GaugeManager())],
        ),
    ]
