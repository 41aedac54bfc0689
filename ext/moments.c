/* date, time, datetime, timedelta and the fixed time zones <-> codec. */
#include "engine.h"

#define DAY_SECONDS 86400

/* A timezone with a name of its own is not the same as one with the same offset: tzname() tells. */
static PyObject *unnamed_offset(struct engine_writer *writer, PyObject *zone)
{
    PyObject *arguments = PyObject_CallMethodNoArgs(zone, writer->state->name_getinitargs);
    PyObject *offset;

    if (arguments == NULL)
        return NULL;
    if (PyTuple_CheckExact(arguments) && PyTuple_GET_SIZE(arguments) == 1) {
        offset = Py_NewRef(PyTuple_GET_ITEM(arguments, 0));
    } else {
        offset = NULL;
        PyErr_SetString(writer->state->unencodable, "a datetime.timezone with a name");
    }
    Py_DECREF(arguments);
    return offset;
}

static int zone_of(struct engine_writer *writer, PyObject *zone, struct qc_moment *moment)
{
    PyObject *offset;

    if (zone == Py_None)
        return QC_OK;
    if (zone == writer->state->datetime->TimeZone_UTC) {
        moment->zone = QC_ZONE_UTC;
        return QC_OK;
    }
    if (Py_TYPE(zone) != writer->state->timezone_type)
        return engine_refuse(writer, zone);
    offset = unnamed_offset(writer, zone);
    if (offset == NULL)
        return ENGINE_RAISED;
    moment->zone = QC_ZONE_OFFSET;
    moment->offset_s = PyDateTime_DELTA_GET_DAYS(offset) * DAY_SECONDS + PyDateTime_DELTA_GET_SECONDS(offset);
    moment->offset_us = (uint32_t)PyDateTime_DELTA_GET_MICROSECONDS(offset);
    Py_DECREF(offset);
    return QC_OK;
}

int engine_date_write(struct engine_writer *writer, PyObject *value)
{
    struct qc_value date = {.type = QC_TYPE_DATE, .as.moment = {0}};

    date.as.moment.year = (int16_t)PyDateTime_GET_YEAR(value);
    date.as.moment.month = PyDateTime_GET_MONTH(value);
    date.as.moment.day = PyDateTime_GET_DAY(value);
    return qc_encode(&writer->encoder, &date);
}

int engine_time_write(struct engine_writer *writer, PyObject *value)
{
    struct qc_value time = {.type = QC_TYPE_TIME, .as.moment = {0}};
    struct qc_moment *moment = &time.as.moment;
    int status;

    moment->hour = PyDateTime_TIME_GET_HOUR(value);
    moment->minute = PyDateTime_TIME_GET_MINUTE(value);
    moment->second = PyDateTime_TIME_GET_SECOND(value);
    moment->microsecond = (uint32_t)PyDateTime_TIME_GET_MICROSECOND(value);
    moment->fold = PyDateTime_TIME_GET_FOLD(value);
    status = zone_of(writer, PyDateTime_TIME_GET_TZINFO(value), moment);
    return status == QC_OK ? qc_encode(&writer->encoder, &time) : status;
}

int engine_datetime_write(struct engine_writer *writer, PyObject *value)
{
    struct qc_value datetime = {.type = QC_TYPE_DATETIME, .as.moment = {0}};
    struct qc_moment *moment = &datetime.as.moment;
    int status;

    moment->year = (int16_t)PyDateTime_GET_YEAR(value);
    moment->month = PyDateTime_GET_MONTH(value);
    moment->day = PyDateTime_GET_DAY(value);
    moment->hour = PyDateTime_DATE_GET_HOUR(value);
    moment->minute = PyDateTime_DATE_GET_MINUTE(value);
    moment->second = PyDateTime_DATE_GET_SECOND(value);
    moment->microsecond = (uint32_t)PyDateTime_DATE_GET_MICROSECOND(value);
    moment->fold = PyDateTime_DATE_GET_FOLD(value);
    status = zone_of(writer, PyDateTime_DATE_GET_TZINFO(value), moment);
    return status == QC_OK ? qc_encode(&writer->encoder, &datetime) : status;
}

int engine_timedelta_write(struct engine_writer *writer, PyObject *value)
{
    struct qc_value delta = {.type = QC_TYPE_TIMEDELTA};

    delta.as.delta.days = PyDateTime_DELTA_GET_DAYS(value);
    delta.as.delta.seconds = PyDateTime_DELTA_GET_SECONDS(value);
    delta.as.delta.microseconds = PyDateTime_DELTA_GET_MICROSECONDS(value);
    return qc_encode(&writer->encoder, &delta);
}

static PyObject *read_delta(struct engine_state *state, int days, int seconds, int microseconds)
{
    return state->datetime->Delta_FromDelta(days, seconds, microseconds, 1, state->datetime->DeltaType);
}

static PyObject *read_zone(struct engine_state *state, const struct qc_moment *moment)
{
    PyObject *offset, *zone;

    if (moment->zone == QC_ZONE_NONE)
        Py_RETURN_NONE;
    if (moment->zone == QC_ZONE_UTC)
        return Py_NewRef(state->datetime->TimeZone_UTC);
    offset = read_delta(state, 0, moment->offset_s, (int)moment->offset_us);
    if (offset == NULL)
        return NULL;
    zone = state->datetime->TimeZone_FromTimeZone(offset, NULL);
    Py_DECREF(offset);
    return zone;
}

static PyObject *read_time(const PyDateTime_CAPI *api, const struct qc_moment *moment, PyObject *zone)
{
    return api->Time_FromTimeAndFold(moment->hour, moment->minute, moment->second, (int)moment->microsecond, zone,
                                     moment->fold, api->TimeType);
}

static PyObject *read_datetime(const PyDateTime_CAPI *api, const struct qc_moment *moment, PyObject *zone)
{
    return api->DateTime_FromDateAndTimeAndFold(moment->year, moment->month, moment->day, moment->hour, moment->minute,
                                                moment->second, (int)moment->microsecond, zone, moment->fold,
                                                api->DateTimeType);
}

PyObject *engine_moment_read(struct engine_reader *reader, const struct qc_value *value)
{
    struct engine_state *state = reader->state;
    const struct qc_moment *moment = &value->as.moment;
    PyObject *zone, *result;

    if (value->type == QC_TYPE_TIMEDELTA)
        return read_delta(state, value->as.delta.days, value->as.delta.seconds, value->as.delta.microseconds);
    if (value->type == QC_TYPE_DATE)
        return state->datetime->Date_FromDate(moment->year, moment->month, moment->day, state->datetime->DateType);
    zone = read_zone(state, moment);
    if (zone == NULL)
        return NULL;
    if (value->type == QC_TYPE_TIME)
        result = read_time(state->datetime, moment, zone);
    else
        result = read_datetime(state->datetime, moment, zone);
    Py_DECREF(zone);
    return result;
}
