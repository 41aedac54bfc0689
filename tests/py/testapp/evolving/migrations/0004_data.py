from django.db import migrations


def forwards(apps, schema_editor):
    """Reads, writes and reads again through the historical model and its CacheManager."""
    Gauge = apps.get_model("evolving", "Gauge")
    before = list(Gauge.objects.high().order_by("pk"))
    for gauge in before:
        gauge.name = gauge.name.upper()
        gauge.save()
    after = Gauge.objects.order_by("pk").values_list("name", flat=True)
    assert [gauge.name for gauge in before] == [name for name in after if name == name.upper()]


class Migration(migrations.Migration):
    dependencies = [("evolving", "0003_value_is_text")]
    operations = [
        migrations.RunPython(forwards, migrations.RunPython.noop),
        migrations.RunSQL(
            "UPDATE evolving_gauge SET unit = 'km' WHERE name = 'ZONE'", migrations.RunSQL.noop
        ),
    ]
