/* The decoder on any bytes: what it takes has one spelling, the encoder's. First bit: with the head of a result set, or
 * without. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qcache/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Decodes to the end or to the first refusal, encoding again what comes. */
static void decode_values(struct qc_decoder *decoder, struct qc_encoder *encoder)
{
    struct qc_value value;
    int status = QC_OK;
    while (decoder->at < decoder->end) {
        const uint8_t *before = decoder->at;
        status = qc_decode(decoder, &value);
        if (status != QC_OK)
            break;
        require(decoder->at > before && decoder->at <= decoder->end);
        require(qc_encode(encoder, &value) == QC_OK);
    }
    require(status == QC_OK || status == QC_ERR_CORRUPT);
    if (decoder->at == decoder->end) {
        require(qc_decode(decoder, &value) == QC_ERR_CORRUPT);
        require(decoder->at == decoder->end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qc_decoder decoder;
    struct qc_encoder encoder;
    size_t rows, columns;
    if (size == 0)
        return 0;
    uint8_t *copy = malloc(size); /* ends where its memory ends */
    require(copy != NULL);
    memcpy(copy, data, size);
    qc_decoder_init(&decoder, copy + 1, size - 1);
    qc_encoder_init(&encoder, 2 * size + 64);
    if ((copy[0] & 1) == 0) {
        decode_values(&decoder, &encoder);
    } else if (qc_decode_rows(&decoder, &rows, &columns) == QC_OK) {
        require(qc_encode_rows(&encoder, rows, columns) == QC_OK);
        decode_values(&decoder, &encoder);
    }
    require(encoder.size <= size - 1);
    require(encoder.size == 0 || memcmp(encoder.data, copy + 1, encoder.size) == 0);
    qc_encoder_release(&encoder);
    free(copy);
    return 0;
}
