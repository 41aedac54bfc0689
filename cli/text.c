#include <stdio.h>

#include "qcache.h"

void cli_print_bytes(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == 0)
            (void)printf("\\0");
        else if (bytes[i] == '\\')
            (void)printf("\\\\");
        else if (bytes[i] < 0x20 || bytes[i] > 0x7e)
            (void)printf("\\x%02x", bytes[i]);
        else
            (void)putchar(bytes[i]);
    }
    (void)putchar('\n');
}

const char *cli_size(uint64_t bytes, char out[24])
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    double amount = (double)bytes;
    size_t unit = 0;

    while (amount >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        amount /= 1024;
        unit++;
    }
    (void)snprintf(out, 24, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
    return out;
}
