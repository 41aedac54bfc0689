#include "plat/time.h"

#include <errno.h>
#include <time.h>

static uint64_t microseconds(clockid_t clock)
{
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t qc_time_boot_us(void)
{
    return microseconds(CLOCK_BOOTTIME);
}

uint64_t qc_time_monotonic_us(void)
{
    return microseconds(CLOCK_MONOTONIC);
}

uint64_t qc_time_coarse_ms(void)
{
    return microseconds(CLOCK_MONOTONIC_COARSE) / 1000u;
}

int64_t qc_time_real_ms(void)
{
    return (int64_t)(microseconds(CLOCK_REALTIME) / 1000u);
}

void qc_time_wait_us(uint64_t us)
{
    struct timespec left = {.tv_sec = (time_t)(us / 1000000u), .tv_nsec = (long)(us % 1000000u) * 1000};

    while (nanosleep(&left, &left) && errno == EINTR)
        continue;
}
