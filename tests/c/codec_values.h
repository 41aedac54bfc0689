/* Values for the codec's tests. */
#ifndef QC_TESTS_CODEC_VALUES_H
#define QC_TESTS_CODEC_VALUES_H

#include "qcache/codec.h"

#define VALUE_CAP 100000u /* of the encoders that value_encode makes */
#define VALUE_SAMPLES_MAX 96u

struct qc_value value_sized(enum qc_type type, const void *data, size_t size);
struct qc_value value_text(enum qc_type type, const char *text);
struct qc_value value_integer(int64_t number);
struct qc_value value_real(double number);
struct qc_value value_moment(enum qc_type type, struct qc_moment fields);
struct qc_value value_delta(int32_t days, int32_t seconds, int32_t microseconds);
struct qc_value value_head(enum qc_type type, size_t count);

/* Every kind of value at its edges; no two are the same. Returns how many. */
size_t value_samples(struct qc_value out[VALUE_SAMPLES_MAX]);

/* Into an encoder of its own, which the caller releases. */
int value_encode(const struct qc_value *value, struct qc_encoder *encoder);

/* Decodes one value that takes all the bytes. */
int value_decode(const void *data, size_t size);

#endif
