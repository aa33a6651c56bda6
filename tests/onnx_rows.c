/* Runs rows of models of one node: see onnx_rows.h. */
#include "onnx_rows.h"

#include <math.h>

#include "check.h"
#include "onnx_compose.h"
#include "test_onnx.h"
#include "wengert.h"

enum { MOST = 8, MOST_NUMBERS = 64 };

/* Reads numbers up to a bracket; returns what follows it. */
static const char *read_numbers(const char *text, double *out, int *n)
{
    char *end;
    for (*n = 0; *text != ']' && *text != '}'; text = end) {
        out[(*n)++] = strtod(text, &end);
        assert_true(end > text && *n < MOST_NUMBERS);
        while (*end == ' ') end++;
    }
    return text + 1;
}

/* The end of int64 is no double. */
static int64_t integer_of(double number) { return number < 0x1p63 ? (int64_t)number : INT64_MAX; }

/* One attribute; returns what follows it. */
static const char *put_attribute(wg__bytes *node, const char *text)
{
    wg__bytes a = {0};
    double number[MOST_NUMBERS];
    int n = 1;
    const size_t name = strcspn(text, "=:");
    const bool floats = text[name] == ':', list = text[name + 1] == '[';
    wg__proto_bytes(&a, 1, text, name);
    text += name + 1;
    if (*text == '\'') {
        const size_t length = strcspn(++text, "'");
        wg__proto_bytes(&a, 4, text, length);
        wg__proto_integer(&a, 20, WG__ATTR_TEXT);
        text += length + 1;
    } else if (*text == '(') {
        for (text++; *text != ')'; text += strspn(text, " ")) {
            const size_t length = strcspn(text, " )");
            wg__proto_bytes(&a, 9, text, length);
            text += length;
        }
        wg__proto_integer(&a, 20, 8); /* AttributeProto.STRINGS */
        text++;
    } else {
        char *end = NULL;
        if (list)
            text = read_numbers(text + 1, number, &n);
        else
            number[0] = strtod(text, &end);
        for (int i = 0; i < n; i++)
            if (floats)
                wg__proto_float(&a, list ? 7 : 2, (float)number[i]);
            else
                wg__proto_integer(&a, list ? 8 : 3, (uint64_t)integer_of(number[i]));
        wg__proto_integer(&a, 20,
                          list     ? (floats ? WG__ATTR_FLOATS : WG__ATTR_INTS)
                          : floats ? WG__ATTR_FLOAT
                                   : WG__ATTR_INT);
        if (end) text = end;
    }
    put_message(node, 5, &a);
    return text + strspn(text, " ");
}

/* The data of a tensor. */
static void put_numbers(wg__bytes *tensor, int type, const double *number, int n)
{
    float real[MOST_NUMBERS];
    int64_t integer[MOST_NUMBERS];
    uint8_t byte[MOST_NUMBERS];
    for (int i = 0; i < n; i++) {
        real[i] = type == WG__FLOAT ? (float)number[i] : 0;
        integer[i] = type == WG__FLOAT || type == WG__DOUBLE ? 0 : integer_of(number[i]);
        byte[i] = (uint8_t)integer[i];
    }
    const size_t count = (size_t)n;
    if (type == WG__FLOAT)
        wg__proto_bytes(tensor, 9, real, count * sizeof *real);
    else if (type == WG__DOUBLE)
        wg__proto_bytes(tensor, 9, number, count * sizeof *number);
    else if (type == WG__INT64)
        wg__proto_bytes(tensor, 9, integer, count * sizeof *integer);
    else
        wg__proto_bytes(tensor, 9, byte, count);
}

/* An operand of the graph as one of the inputs, whose shape is noted, or as an initializer; returns what follows it. */
static const char *put_operand(wg__bytes *graph, wg__bytes *node, const char *text, int k, wg_onnx_value *inputs,
                               int *n_inputs)
{
    double size[MOST_NUMBERS], number[MOST_NUMBERS];
    char name[16];
    int rank, n;
    if (*text == '-') {
        put_text(node, 1, "");
        return text + 1 + strspn(text + 1, " ");
    }
    const int type = *text == 'f'   ? WG__FLOAT
                     : *text == 'd' ? WG__DOUBLE
                     : *text == 'i' ? WG__INT64
                     : *text == 'u' ? WG__UINT8
                     : *text == 's' ? WG__INT8
                                    : WG__BOOLEAN;
    snprintf(name, sizeof name, "x%d", k);
    put_text(node, 1, name);
    assert_true(text[1] == '[');
    text = read_numbers(text + 2, size, &rank);
    if (*text == '{') {
        wg__bytes t = {0};
        text = read_numbers(text + 1, number, &n);
        for (int i = 0; i < rank; i++) wg__proto_integer(&t, 1, (uint64_t)size[i]);
        wg__proto_integer(&t, 2, (uint64_t)type);
        put_text(&t, 8, name);
        put_numbers(&t, type, number, n);
        put_message(graph, 5, &t);
    } else {
        add_value(graph, 11, name, type, NULL);
        wg_onnx_value *in = &inputs[(*n_inputs)++];
        *in = (wg_onnx_value){.rank = rank};
        in->dtype = type == WG__FLOAT ? WG_F32 : type == WG__BOOLEAN ? WG_BOOL : WG_I32;
        for (int i = 0; i < rank; i++) in->size[i] = (int64_t)size[i];
    }
    return text + strspn(text, " ");
}

static wg__bytes compose(const row *r, wg_onnx_value *inputs, int *n_inputs)
{
    wg__bytes graph = {0}, node = {0};
    int k = 0;
    *n_inputs = 0;
    for (const char *at = r->operands; *at;) at = put_operand(&graph, &node, at, k++, inputs, n_inputs);
    for (int i = 0; i < (r->results ? r->results : 1); i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        put_text(&node, 2, name);
        add_value(&graph, 12, name, WG__FLOAT, NULL);
    }
    put_operator(&node, r->op);
    for (const char *at = r->attributes; *at;) at = put_attribute(&node, at);
    put_message(&graph, 1, &node);
    return compose_model(&graph, r->opset);
}

static wg_tensor input_of(wg_tape *tape, const wg_onnx_value *v)
{
    wg_shape shape = {.rank = v->rank};
    memcpy(shape.size, v->size, (size_t)v->rank * sizeof *shape.size);
    int64_t n;
    assert_true(wg_shape_numel(&shape, &n));
    return wg_cast(wg_reshape(wg_arange(tape, v->dtype == WG_F32 ? WG_F32 : WG_I32, 1, 1, n), shape), v->dtype);
}

static double element(const void *value, wg_dtype dtype, int64_t i)
{
    return dtype == WG_F32   ? (double)((const float *)value)[i]
           : dtype == WG_I32 ? (double)((const int32_t *)value)[i]
                             : (double)((const uint8_t *)value)[i];
}

static void compare(const row *r, wg_tensor y)
{
    double size[MOST_NUMBERS];
    int rank;
    char *end;
    const char *text = read_numbers(r->want + 1, size, &rank);
    const wg_shape shape = wg_shape_get(y);
    const void *value = wg_value(y);
    bool same = value && shape.rank == rank;
    for (int i = 0; same && i < rank; i++) same = (double)shape.size[i] == size[i];
    char got[128];
    if (!same) {
        FAIL("%s %s: the result is %s, not %s", r->op, r->operands, wg_shape_text(&shape, got, sizeof got),
             r->want);
        return;
    }
    for (int64_t i = 0; i < wg_numel(y); i++, text = end) {
        const double want = strtod(text, &end), here = element(value, wg_dtype_get(y), i);
        assert_true(end > text);
        if (!(fabs(here - want) <= 1e-5 * (1 + fabs(want))) && here != want && !(isnan(here) && isnan(want)))
            FAIL("%s %s: element %lld is %g, not %g", r->op, r->operands, (long long)i, here, want);
    }
}

void run_row(const row *r)
{
    wg_onnx_value inputs[MOST];
    int n;
    wg_error error = {0};
    wg__bytes bytes = compose(r, inputs, &n);
    wg_onnx *model = wg_onnx_open(as_model(bytes.data, bytes.size), &error);
    wg__bytes_fini(&bytes);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x[MOST], y[MOST];
    wg_status status = error.status;
    if (model) {
        for (int k = 0; k < n; k++) x[k] = input_of(tape, &inputs[k]);
        wg_onnx_apply(model, tape, x, n, y, r->results ? r->results : 1);
        wg_value(y[0]); /* indices are checked when the program runs */
        status = wg_tape_status(tape);
        if (status != WG_OK) wg_error_set(&error, status, "%s", wg_tape_message(tape));
    }
    if (status == WG_OK && *r->want == '[')
        compare(r, y[0]);
    else if (status == WG_OK || !*r->want || !strstr(error.text, r->want))
        FAIL("%s %s %s: '%s', not '%s'", r->op, r->attributes, r->operands, error.text, r->want);
    wg_tape_free(tape);
    wg_onnx_free(model);
}
