#include "codec/moment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DAY_SECONDS 86400
#define SECOND_MICROSECONDS 1000000u
#define ZONE_MASK 0x03u
#define FOLD_BIT 0x04u

static bool date_in_range(const struct qc_moment *moment)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = moment->year;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    if (year < 1 || year > 9999 || moment->month < 1 || moment->month > 12 || moment->day < 1)
        return false;
    return moment->day <= days[moment->month - 1] + (moment->month == 2 && leap);
}

static bool zone_in_range(const struct qc_moment *moment)
{
    if (moment->zone != QC_ZONE_OFFSET)
        return moment->zone <= QC_ZONE_UTC;
    if (moment->offset_s <= -DAY_SECONDS || moment->offset_s >= DAY_SECONDS)
        return false;
    /* An offset of nothing is QC_ZONE_UTC: one value, one spelling. */
    return moment->offset_us < SECOND_MICROSECONDS && (moment->offset_s != 0 || moment->offset_us != 0);
}

static bool time_in_range(const struct qc_moment *moment)
{
    return moment->hour < 24 && moment->minute < 60 && moment->second < 60 && moment->fold <= 1 &&
           moment->microsecond < SECOND_MICROSECONDS && zone_in_range(moment);
}

static bool in_range(enum qc_type type, const struct qc_moment *moment)
{
    return (type == QC_TYPE_TIME || date_in_range(moment)) && (type == QC_TYPE_DATE || time_in_range(moment));
}

static int put_date(struct qc_writer *writer, const struct qc_moment *moment)
{
    int status = qc_writer_put_u16(writer, (uint16_t)moment->year);

    if (status == QC_OK)
        status = qc_writer_put_u8(writer, moment->month);
    if (status == QC_OK)
        status = qc_writer_put_u8(writer, moment->day);
    return status;
}

static int put_time(struct qc_writer *writer, const struct qc_moment *moment)
{
    uint8_t flags = (uint8_t)(moment->zone | (moment->fold ? FOLD_BIT : 0));
    uint8_t clock[] = {flags, moment->hour, moment->minute, moment->second};
    int status = qc_writer_put_bytes(writer, clock, sizeof clock);

    if (status == QC_OK)
        status = qc_writer_put_varint(writer, moment->microsecond);
    if (status == QC_OK && moment->zone == QC_ZONE_OFFSET)
        status = qc_writer_put_signed(writer, moment->offset_s);
    if (status == QC_OK && moment->zone == QC_ZONE_OFFSET)
        status = qc_writer_put_varint(writer, moment->offset_us);
    return status;
}

int qc_moment_put(struct qc_writer *writer, enum qc_type type, const struct qc_moment *moment)
{
    int status = QC_OK;

    if (!in_range(type, moment))
        return QC_ERR_ARGUMENT;
    if (type != QC_TYPE_TIME)
        status = put_date(writer, moment);
    if (status == QC_OK && type != QC_TYPE_DATE)
        status = put_time(writer, moment);
    return status;
}

static int take_date(struct qc_reader *reader, struct qc_moment *moment)
{
    uint16_t year;
    int status = qc_reader_take_u16(reader, &year);

    if (status != QC_OK || year > INT16_MAX)
        return QC_ERR_CORRUPT;
    moment->year = (int16_t)year;
    status = qc_reader_take_u8(reader, &moment->month);
    if (status == QC_OK)
        status = qc_reader_take_u8(reader, &moment->day);
    return status;
}

static int take_offset(struct qc_reader *reader, struct qc_moment *moment)
{
    int64_t seconds;
    uint64_t microseconds;

    if (qc_reader_take_signed(reader, &seconds) != QC_OK || qc_reader_take_varint(reader, &microseconds) != QC_OK)
        return QC_ERR_CORRUPT;
    if (seconds < -DAY_SECONDS || seconds > DAY_SECONDS || microseconds >= SECOND_MICROSECONDS)
        return QC_ERR_CORRUPT;
    moment->offset_s = (int32_t)seconds;
    moment->offset_us = (uint32_t)microseconds;
    return QC_OK;
}

static int take_time(struct qc_reader *reader, struct qc_moment *moment)
{
    const uint8_t *clock;
    uint64_t microseconds;

    if (qc_reader_take_bytes(reader, 4, &clock) != QC_OK || qc_reader_take_varint(reader, &microseconds) != QC_OK)
        return QC_ERR_CORRUPT;
    if ((clock[0] & ~(ZONE_MASK | FOLD_BIT)) != 0 || microseconds >= SECOND_MICROSECONDS)
        return QC_ERR_CORRUPT;
    moment->zone = clock[0] & ZONE_MASK;
    moment->fold = (clock[0] & FOLD_BIT) != 0;
    moment->hour = clock[1];
    moment->minute = clock[2];
    moment->second = clock[3];
    moment->microsecond = (uint32_t)microseconds;
    return moment->zone == QC_ZONE_OFFSET ? take_offset(reader, moment) : QC_OK;
}

int qc_moment_take(struct qc_reader *reader, enum qc_type type, struct qc_moment *moment)
{
    int status = QC_OK;

    memset(moment, 0, sizeof *moment);
    if (type != QC_TYPE_TIME)
        status = take_date(reader, moment);
    if (status == QC_OK && type != QC_TYPE_DATE)
        status = take_time(reader, moment);
    if (status == QC_OK && !in_range(type, moment))
        status = QC_ERR_CORRUPT;
    return status;
}

static bool delta_in_range(int64_t days, int64_t seconds, int64_t microseconds)
{
    return llabs(days) <= 999999999 && seconds >= 0 && seconds < DAY_SECONDS && microseconds >= 0 &&
           microseconds < SECOND_MICROSECONDS;
}

int qc_delta_put(struct qc_writer *writer, const struct qc_delta *delta)
{
    int status;

    if (!delta_in_range(delta->days, delta->seconds, delta->microseconds))
        return QC_ERR_ARGUMENT;
    status = qc_writer_put_signed(writer, delta->days);
    if (status == QC_OK)
        status = qc_writer_put_varint(writer, (uint64_t)delta->seconds);
    if (status == QC_OK)
        status = qc_writer_put_varint(writer, (uint64_t)delta->microseconds);
    return status;
}

int qc_delta_take(struct qc_reader *reader, struct qc_delta *delta)
{
    int64_t days;
    uint64_t seconds, microseconds;

    if (qc_reader_take_signed(reader, &days) != QC_OK || qc_reader_take_varint(reader, &seconds) != QC_OK ||
        qc_reader_take_varint(reader, &microseconds) != QC_OK)
        return QC_ERR_CORRUPT;
    if (days == INT64_MIN || seconds > INT32_MAX || microseconds > INT32_MAX)
        return QC_ERR_CORRUPT;
    if (!delta_in_range(days, (int64_t)seconds, (int64_t)microseconds))
        return QC_ERR_CORRUPT;
    delta->days = (int32_t)days;
    delta->seconds = (int32_t)seconds;
    delta->microseconds = (int32_t)microseconds;
    return QC_OK;
}
