/* The clocks of the operating system. The segment's own clock is another matter: see qcache/coherence.h. */
#ifndef QC_PLAT_TIME_H
#define QC_PLAT_TIME_H

#include <stdint.h>

/* Since boot, sleep included; the same for all processes of the machine. */
uint64_t qc_time_boot_us(void);

/* Never jumps; stands still while the machine sleeps. */
uint64_t qc_time_monotonic_us(void);

/* The same by the cheap clock, which moves in steps of up to 10 ms. No system call. */
uint64_t qc_time_coarse_ms(void);

/* Since 1970, for people. */
int64_t qc_time_real_ms(void);

/* Waits that long, signals or not. */
void qc_time_wait_us(uint64_t us);

#endif
