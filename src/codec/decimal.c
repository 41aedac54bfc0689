#include "codec/decimal.h"

#include <string.h>

#include "base/cursor.h"

#define EXPONENT_DIGITS 19 /* Python's exponents reach down to -1999999999999999997 */

static bool digit(uint8_t byte)
{
    return '0' <= byte && byte <= '9';
}

static size_t take_digits(struct qc_reader *reader, const uint8_t **digits)
{
    *digits = reader->at;
    while (reader->at < reader->end && digit(*reader->at))
        reader->at++;
    return (size_t)(reader->at - *digits);
}

static bool take_word(struct qc_reader *reader, const char *word)
{
    size_t size = strlen(word);

    if (qc_reader_left(reader) < size || memcmp(reader->at, word, size) != 0)
        return false;
    reader->at += size;
    return true;
}

static bool at_end(const struct qc_reader *reader)
{
    return reader->at == reader->end;
}

/* NaN, sNaN and their payload, which has no leading zeros. */
static bool nan_rest(struct qc_reader *reader)
{
    const uint8_t *digits;
    size_t count = take_digits(reader, &digits);

    return at_end(reader) && (count == 0 || digits[0] != '0');
}

/* "E+7", "E-12": a sign always, no leading zeros, never zero. */
static bool take_exponent(struct qc_reader *reader, int64_t *exponent)
{
    const uint8_t *digits;
    size_t count;
    bool negative;

    if (!take_word(reader, "E"))
        return false;
    negative = take_word(reader, "-");
    if (!negative && !take_word(reader, "+"))
        return false;
    count = take_digits(reader, &digits);
    if (count == 0 || count > EXPONENT_DIGITS || digits[0] == '0' || (count == EXPONENT_DIGITS && digits[0] > '1'))
        return false;
    *exponent = 0;
    for (size_t i = 0; i < count; i++)
        *exponent = *exponent * 10 + (digits[i] - '0');
    if (negative)
        *exponent = -*exponent;
    return at_end(reader);
}

static size_t zeros_before(const uint8_t *digits, size_t count)
{
    size_t zeros = 0;

    while (zeros < count && digits[zeros] == '0')
        zeros++;
    return zeros;
}

/* Plain form: the exponent is -(digits after the point); Python uses it down to six places of zeros. */
static bool plain_form(const uint8_t *whole, size_t whole_count, const uint8_t *part, size_t part_count)
{
    size_t zeros;
    int64_t digits;

    if (whole[0] != '0')
        return true;
    if (whole_count > 1)
        return false;
    zeros = zeros_before(part, part_count);
    digits = zeros < part_count ? (int64_t)(part_count - zeros) : 1; /* a zero has one digit */
    return digits - (int64_t)part_count > -6;
}

/* Scientific form: one digit before the point; only where the plain form may not be used. */
static bool scientific_form(const uint8_t *whole, size_t whole_count, size_t part_count, int64_t shown)
{
    int64_t exponent = shown - (int64_t)part_count;

    if (whole_count != 1 || (whole[0] == '0' && part_count > 0))
        return false;
    return exponent > 0 || shown + 1 <= -6;
}

bool qc_decimal_valid(const uint8_t *text, size_t size)
{
    struct qc_reader reader;
    const uint8_t *whole, *part = NULL;
    size_t whole_count, part_count = 0;
    int64_t shown;

    qc_reader_init(&reader, text, size);
    (void)take_word(&reader, "-");
    if (take_word(&reader, "Infinity"))
        return at_end(&reader);
    if (take_word(&reader, "NaN") || take_word(&reader, "sNaN"))
        return nan_rest(&reader);
    whole_count = take_digits(&reader, &whole);
    if (whole_count == 0)
        return false;
    if (take_word(&reader, ".")) {
        part_count = take_digits(&reader, &part);
        if (part_count == 0)
            return false;
    }
    if (at_end(&reader))
        return plain_form(whole, whole_count, part, part_count);
    return take_exponent(&reader, &shown) && scientific_form(whole, whole_count, part_count, shown);
}
