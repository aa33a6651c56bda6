/* What the rows of operators use: operands, results, errors. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../io/tensors.h"
#include "internal.h"

/* Numbers known while recording: of one value, and of a result that nobody needs there. */
enum { MOST_NUMBERS = 1 << 24, FEW_NUMBERS = 1 << 12 };

/* ---- errors ---- */

void wg__call_fail(wg__call *c, wg_status status, const char *rule, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, rule);
    vsnprintf(text, sizeof text, rule, arguments);
    va_end(arguments);
    wg_fail_on(c->tape, status, c->node ? c->node->type : "onnx", "%s", text);
}

bool wg__call_failed(const wg__call *c) { return wg_tape_status(c->tape) != WG_OK; }

/* ---- tensors of numbers ---- */

wg_dtype wg__dtype_of(const wg_onnx *model, int type)
{
    if (type == WG__DOUBLE) return model->doubles;
    return wg__type_is_float(type) ? model->dtype : type == WG__BOOLEAN ? WG_BOOL : WG_I32;
}

wg_tensor wg__data_of(wg__call *c, wg_shape shape, const double *numbers, int type)
{
    const wg_dtype dtype = wg__dtype_of(c->model, type);
    int64_t n;
    wg_shape_numel(&shape, &n);
    void *data = wg__arena_array(c->arena, (uint64_t)n + 1, wg_dtype_size(dtype));
    if (!data) {
        wg__call_fail(c, WG_ERR_MEMORY, "out of memory");
        return WG_NONE;
    }
    for (int64_t i = 0; i < n; i++) {
        const double number = numbers[i];
        if (dtype == WG_I32 && !(number >= INT32_MIN && number <= INT32_MAX)) {
            wg__call_fail(c, WG_ERR_ARGUMENT, "the %s %.0f is no i32", wg__type_name(type), number);
            return WG_NONE;
        }
        switch (dtype) {
        case WG_F32: ((float *)data)[i] = (float)number; break;
        case WG_F64: ((double *)data)[i] = number; break;
        case WG_I32: ((int32_t *)data)[i] = (int32_t)number; break;
        default: ((uint8_t *)data)[i] = number != 0; break;
        }
    }
    return wg_data(c->tape, dtype, shape, data);
}

wg_tensor wg__scalar_like(wg__call *c, wg_tensor x, double number)
{
    return wg_scalar(c->tape, wg_dtype_get(x), number);
}

/* ---- operands ---- */

bool wg__has(const wg__call *c, int k) { return k < c->n_in && c->node->in[k] != 0; }

const wg__known_item *wg__in(const wg__call *c, int k) { return &c->items[wg__has(c, k) ? c->node->in[k] : 0]; }

wg_tensor wg__tensor(wg__call *c, int k)
{
    if (!wg__has(c, k)) return WG_NONE;
    wg__known_item *item = &c->items[c->node->in[k]];
    if (!item->tensor.tape && item->host) item->tensor = wg__data_of(c, item->shape, item->host, item->type);
    return item->tensor;
}

wg_shape wg__shape_of(const wg__call *c, int k)
{
    const wg__known_item *item = wg__in(c, k);
    return item->host ? item->shape : wg_shape_get(item->tensor);
}

int wg__type_of(const wg__call *c, int k) { return wg__in(c, k)->type; }

bool wg__is_known(const wg__call *c, int k) { return wg__in(c, k)->host != NULL; }

bool wg__all_known(const wg__call *c)
{
    for (int k = 0; k < c->n_in; k++)
        if (wg__has(c, k) && !wg__is_known(c, k)) return false;
    return true;
}

bool wg__wants(const wg__call *c, int k) { return k < c->n_out && c->node->out[k] != 0; }

const double *wg__known(wg__call *c, int k, int64_t *n)
{
    const wg__known_item *item = wg__in(c, k);
    *n = 0;
    if (!item->host) {
        if (!wg__call_failed(c))
            wg__call_fail(c, WG_ERR_ARGUMENT, "operand %d must be known while recording, but is computed", k);
        return NULL;
    }
    wg_shape_numel(&item->shape, n);
    return item->host;
}

double wg__known_scalar(wg__call *c, int k, double otherwise)
{
    int64_t n;
    if (!wg__has(c, k)) return otherwise;
    const double *numbers = wg__known(c, k, &n);
    if (!numbers) return otherwise;
    if (n != 1) wg__call_fail(c, WG_ERR_SHAPE, "operand %d has %lld elements, not 1", k, (long long)n);
    return n == 1 ? numbers[0] : otherwise;
}

/* The integer nearest to a number: INT64_MAX, in files, means the end. */
static int64_t integer_of(double number)
{
    if (isnan(number)) return 0;
    return number >= 9.2e18 ? INT64_MAX : number <= -9.2e18 ? INT64_MIN : (int64_t)number;
}

int64_t wg__known_integer(wg__call *c, int k, int64_t otherwise)
{
    return wg__has(c, k) ? integer_of(wg__known_scalar(c, k, 0)) : otherwise;
}

int wg__known_ints(wg__call *c, int k, int64_t *out, int most)
{
    int64_t n;
    const double *numbers = wg__has(c, k) ? wg__known(c, k, &n) : NULL;
    if (!numbers) return -1;
    if (n > most) {
        wg__call_fail(c, WG_ERR_SHAPE, "operand %d has %lld elements, more than %d", k, (long long)n, most);
        return -1;
    }
    for (int64_t i = 0; i < n; i++) out[i] = integer_of(numbers[i]);
    return (int)n;
}

int wg__ints_of(wg__call *c, int k, const char *attribute, int64_t *out, int most)
{
    if (wg__has(c, k)) return wg__known_ints(c, k, out, most);
    const int n = wg__attribute_ints(c->node, attribute, out, most);
    if (n <= most) return n;
    wg__call_fail(c, WG_ERR_SHAPE, "attribute '%s' has %d numbers, more than %d", attribute, n, most);
    return -1;
}

int wg__call_axis(wg__call *c, int64_t axis, int rank)
{
    if (axis >= -rank && axis < rank) return (int)(axis < 0 ? axis + rank : axis);
    if (!wg__call_failed(c)) wg__call_fail(c, WG_ERR_ARGUMENT, "axis %lld is not one of %d", (long long)axis, rank);
    return 0;
}

/* ---- results ---- */

void wg__set(wg__call *c, int k, wg_tensor tensor, int type)
{
    if (wg__wants(c, k)) c->items[c->node->out[k]] = (wg__known_item){.type = type, .tensor = tensor};
}

double *wg__numbers_new(wg__call *c, const wg_shape *shape)
{
    int64_t n;
    double *numbers = NULL;
    if (!wg_shape_numel(shape, &n) || n > MOST_NUMBERS)
        wg__call_fail(c, WG_ERR_SHAPE, "more than %d numbers that must be known while recording", MOST_NUMBERS);
    else if ((c->budget->numbers -= n + 1) < 0)
        wg__call_fail(c, WG_ERR_SHAPE,
                      "the model knows more numbers in all while it is recorded than fit into 512 MiB");
    else if (!(numbers = wg__arena_array(c->arena, (uint64_t)n + 1, sizeof *numbers)))
        wg__call_fail(c, WG_ERR_MEMORY, "out of memory");
    return numbers;
}

/* Whether known floats are f32: as on the tape; in a model of f64 those that sizes depend on. */
static bool is_f32(const wg__call *c, int k, int type)
{
    return wg__type_is_float(type) && type != WG__DOUBLE &&
           (c->model->dtype == WG_F32 || c->model->values[c->node->out[k]].wanted);
}

void wg__set_known(wg__call *c, int k, wg_shape shape, double *numbers, int type)
{
    int64_t n = 0;
    if (!wg__wants(c, k) || !numbers) return;
    if (is_f32(c, k, type)) wg_shape_numel(&shape, &n);
    for (int64_t i = 0; i < n; i++) numbers[i] = (double)(float)numbers[i];
    c->items[c->node->out[k]] = (wg__known_item){.type = type, .shape = shape, .host = numbers};
}

void wg__set_item(wg__call *c, int k, const wg__known_item *item)
{
    if (wg__wants(c, k)) c->items[c->node->out[k]] = *item;
}

bool wg__keep_known(wg__call *c, const wg_shape *shape)
{
    int64_t n;
    if (!wg_shape_numel(shape, &n)) return false;
    return n <= FEW_NUMBERS || (wg__wants(c, 0) && c->model->values[c->node->out[0]].wanted);
}

/* ---- numbers under another shape ---- */

void wg__strides_of(const wg_shape *shape, int64_t *stride)
{
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape->size[i] > 0 ? shape->size[i] : 1;
    }
}

void wg__known_strided(const double *x, int64_t offset, const int64_t *stride, const wg_shape *shape, double *out)
{
    wg__copy_strided((const char *)(x + offset), shape, stride, sizeof *x, (char *)out);
}

int64_t wg__broadcast_index(const wg_shape *shape, const wg_shape *operand, int64_t i)
{
    int64_t index = 0, step = 1;
    for (int axis = shape->rank - 1, o = operand->rank - 1; o >= 0; axis--, o--) {
        const int64_t at = i % shape->size[axis];
        i /= shape->size[axis];
        if (operand->size[o] != 1) index += at * step;
        step *= operand->size[o];
    }
    return index;
}
