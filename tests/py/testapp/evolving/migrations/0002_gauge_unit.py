from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evolving", "0001_initial")]
    operations = [
        migrations.AddField("gauge", "unit", models.CharField(max_length=10, default="mm")),
    ]
