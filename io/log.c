/* The values of a log: scalars, histograms, pictures and texts as Summary.Value messages. */
#include "log.h"

#include "file.h"
#include "log_file.h"
#include "png_write.h"
#include "proto.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Numbers of fields: framework/summary.proto, tensor.proto, tensor_shape.proto. */
enum { VALUE_SIMPLE = 2, VALUE_IMAGE = 4, VALUE_HISTOGRAM = 5, VALUE_TENSOR = 8, VALUE_METADATA = 9 };
enum {
    HISTOGRAM_MIN = 1,
    HISTOGRAM_MAX,
    HISTOGRAM_NUMBER,
    HISTOGRAM_SUM,
    HISTOGRAM_SQUARES,
    HISTOGRAM_LIMITS,
    HISTOGRAM_COUNTS
};
enum { IMAGE_HEIGHT = 1, IMAGE_WIDTH, IMAGE_CHANNELS, IMAGE_FILE };
enum { TENSOR_TYPE = 1, TENSOR_SHAPE = 2, TENSOR_STRINGS = 8, TYPE_STRING = 7, SHAPE_SIZE = 2, SIZE_SIZE = 1 };
enum { METADATA_PLUGIN = 1, PLUGIN_NAME = 1 };

/* ---- scalars ---- */

wg_status wg_log_scalar(wg_log_file *log, const char *tag, int64_t step, double number)
{
    wg_status status = WG_OK;
    if (!wg__log_begin(log, "scalar", tag, step, &status)) return status;
    wg__proto_float(&log->value, VALUE_SIMPLE, (float)number);
    return wg__log_end(log, step);
}

/* ---- histograms ---- */

enum { RANGES = 30 };

typedef struct histogram {
    double low, high, sum, squares, number; /* of finite numbers */
    double counts[RANGES];
} histogram;

static double number_at(wg_dtype dtype, const void *numbers, int64_t i)
{
    return dtype == WG_F32 ? (double)((const float *)numbers)[i] : ((const double *)numbers)[i];
}

/* Half of each, since the difference of two doubles may overflow. */
static int range_of(const histogram *h, double x)
{
    const double part = (x / 2 - h->low / 2) / (h->high / 2 - h->low / 2) * RANGES;
    return part < RANGES ? (int)part : RANGES - 1;
}

static histogram histogram_of(wg_dtype dtype, const void *numbers, int64_t n)
{
    histogram h = {.low = INFINITY, .high = -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        const double x = number_at(dtype, numbers, i);
        if (!isfinite(x)) continue;
        h.low = fmin(h.low, x), h.high = fmax(h.high, x);
        h.sum += x, h.squares += x * x, h.number++;
    }
    for (int64_t i = 0; i < n; i++) {
        const double x = number_at(dtype, numbers, i);
        if (isfinite(x)) h.counts[h.high > h.low ? range_of(&h, x) : 0]++;
    }
    return h;
}

static void put_histogram(wg__bytes *to, const histogram *h)
{
    double limits[RANGES];
    const int n = h->high > h->low ? RANGES : 1; /* equal numbers are one range */
    for (int i = 0; i < n; i++) {
        const double part = (i + 1.0) / RANGES;
        limits[i] = h->low * (1 - part) + h->high * part;
    }
    limits[n - 1] = h->high;
    wg__proto_double(to, HISTOGRAM_MIN, h->low);
    wg__proto_double(to, HISTOGRAM_MAX, h->high);
    wg__proto_double(to, HISTOGRAM_NUMBER, h->number);
    wg__proto_double(to, HISTOGRAM_SUM, h->sum);
    wg__proto_double(to, HISTOGRAM_SQUARES, h->squares);
    wg__proto_doubles(to, HISTOGRAM_LIMITS, limits, (size_t)n);
    wg__proto_doubles(to, HISTOGRAM_COUNTS, h->counts, (size_t)n);
}

static wg_status log_nonfinite(wg_log_file *log, const char *tag, int64_t step, double number)
{
    char name[480], whole[500];
    snprintf(whole, sizeof whole, "%s/nonfinite", wg_printable(tag, name, sizeof name)); /* cut to fit */
    return wg_log_scalar(log, whole, step, number);
}

wg_status wg_log_histogram(wg_log_file *log, const char *tag, int64_t step, wg_dtype dtype, const void *numbers,
                           int64_t n)
{
    wg_status status = WG_OK;
    if (!wg__log_begin(log, "histogram", tag, step, &status)) return status;
    wg_error error = {0};
    if (!numbers || n < 1)
        wg_error_set(&error, WG_ERR_ARGUMENT, "log histogram %.80s: %s", tag,
                     numbers ? "there must be at least one number" : "numbers is NULL");
    else if (dtype != WG_F32 && dtype != WG_F64)
        wg_error_set(&error, WG_ERR_DTYPE, "log histogram %.80s: numbers must be f32 or f64", tag);
    if (error.status != WG_OK) return wg__log_fail(log, &error);
    const histogram h = histogram_of(dtype, numbers, n);
    if (h.number > 0) {
        put_histogram(&log->inner, &h);
        wg__proto_bytes(&log->value, VALUE_HISTOGRAM, log->inner.data, log->inner.size);
        status = wg__log_end(log, step);
    }
    if (status != WG_OK || h.number == (double)n) return status;
    return log_nonfinite(log, tag, step, (double)n - h.number);
}

/* ---- parameters ---- */

static wg_status log_param(wg_log_file *log, const char *group, const wg_param *param, const void *numbers,
                           int64_t step)
{
    char name[400], tag[440];
    snprintf(tag, sizeof tag, "%s/%s", group, wg_printable(wg_param_name(param), name, sizeof name));
    return wg_log_histogram(log, tag, step, wg_param_dtype(param), numbers, wg_param_numel(param));
}

wg_status wg_log_params(wg_log_file *log, int64_t step, const wg_params *params)
{
    wg_status status = WG_OK;
    if (!wg__log_begin(log, "params", "params", step, &status)) return status;
    if (!params) {
        wg_error error = {0};
        wg_error_set(&error, WG_ERR_ARGUMENT, "log params: params is NULL");
        return wg__log_fail(log, &error);
    }
    for (size_t i = 0; i < wg_params_count(params) && status == WG_OK; i++) {
        const wg_param *param = wg_params_at(params, i);
        const bool is_float = wg_param_dtype(param) == WG_F32 || wg_param_dtype(param) == WG_F64;
        if (!is_float || wg_param_numel(param) == 0) continue;
        status = log_param(log, "values", param, wg_param_value(param), step);
        const void *gradient = wg_params_grad_valid(params) ? wg_param_grad(param) : NULL;
        if (status == WG_OK && gradient) status = log_param(log, "gradients", param, gradient, step);
    }
    return status;
}

/* ---- pictures and texts ---- */

wg_status wg_log_image(wg_log_file *log, const char *tag, int64_t step, const uint8_t *pixels, int64_t height,
                       int64_t width, int channels)
{
    wg_status status = WG_OK;
    if (!wg__log_begin(log, "image", tag, step, &status)) return status;
    wg_error error = {0};
    char what[120];
    snprintf(what, sizeof what, "log image %.80s", tag);
    if (!wg__png_check(pixels, height, width, channels, what, &error)) return wg__log_fail(log, &error);
    wg__bytes_clear(&log->record); /* room for the file */
    wg__png_put(&log->record, pixels, height, width, channels);
    wg__proto_integer(&log->inner, IMAGE_HEIGHT, (uint64_t)height);
    wg__proto_integer(&log->inner, IMAGE_WIDTH, (uint64_t)width);
    wg__proto_integer(&log->inner, IMAGE_CHANNELS, (uint64_t)channels);
    wg__proto_bytes(&log->inner, IMAGE_FILE, log->record.data, log->record.size);
    log->inner.failed |= log->record.failed;
    wg__proto_bytes(&log->value, VALUE_IMAGE, log->inner.data, log->inner.size);
    return wg__log_end(log, step);
}

/* The metadata that says which plugin shows the value. */
static void put_metadata(wg_log_file *log, const char *plugin)
{
    wg__bytes_clear(&log->record);
    wg__proto_bytes(&log->record, PLUGIN_NAME, plugin, strlen(plugin));
    wg__proto_bytes(&log->inner, METADATA_PLUGIN, log->record.data, log->record.size);
    wg__proto_bytes(&log->value, VALUE_METADATA, log->inner.data, log->inner.size);
    log->value.failed |= log->record.failed || log->inner.failed;
    wg__bytes_clear(&log->inner);
}

wg_status wg_log_text(wg_log_file *log, const char *tag, int64_t step, const char *text)
{
    wg_status status = WG_OK;
    if (!wg__log_begin(log, "text", tag, step, &status)) return status;
    const size_t length = text ? strlen(text) : 0;
    if (!text || length > INT32_MAX / 2 || wg__utf8_error(text, length) != length) {
        wg_error error = {0};
        wg_error_set(&error, WG_ERR_ARGUMENT, "log text %.80s: %s", tag,
                     !text ? "text is NULL" : "must be UTF-8 of less than 1 GiB");
        return wg__log_fail(log, &error);
    }
    static const unsigned char shape_of_one[] = {SHAPE_SIZE << 3 | 2, 2, SIZE_SIZE << 3, 1};
    put_metadata(log, "text");
    wg__proto_integer(&log->inner, TENSOR_TYPE, TYPE_STRING);
    wg__proto_bytes(&log->inner, TENSOR_SHAPE, shape_of_one, sizeof shape_of_one);
    wg__proto_bytes(&log->inner, TENSOR_STRINGS, text, length);
    wg__proto_bytes(&log->value, VALUE_TENSOR, log->inner.data, log->inner.size);
    return wg__log_end(log, step);
}
