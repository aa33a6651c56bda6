/* Samples: operands by spec, and the list of families. */
#include "samples.h"

#include "bf16_number.h"

#include "../autograd/base/random.h"

static const op_samples *const families[] = {samples_pointwise, samples_scalar,   samples_reduce, samples_view,
                                             samples_product,   samples_index,    samples_loss,   samples_make,
                                             samples_conv,      samples_composed, samples_more,   samples_scatter};

const op_samples *samples_at(int index)
{
    for (int f = 0; f < COUNT(families); f++)
        for (const op_samples *row = families[f]; row->name; row++)
            if (index-- == 0) return row;
    return NULL;
}

const wg_op *op_named(const char *name)
{
    const wg_op *op;
    for (int i = 0; (op = wg_op_at(i)); i++)
        if (!strcmp(op->name, name)) return op;
    return NULL;
}

/* ---- numbers ---- */

static uint64_t key_of(const op_samples *row, int i)
{
    return wg__hash_bytes((uint64_t)i + 1, row->name, strlen(row->name));
}

static uint32_t bits_at(uint64_t key, int64_t i)
{
    uint32_t bits[4];
    wg__random4(20, 0, key, (uint64_t)i, bits);
    return bits[0];
}

/* Numbers of [low, high), one from the middle half of each of n equal cells, shuffled; exact in f32. */
static double *distinct_numbers(int64_t n, uint64_t key, double low, double high)
{
    double *out = malloc((size_t)(n ? n : 1) * sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        double cell = (double)i + 0.25 + 0.5 * wg__uniform(bits_at(key, 2 * i));
        out[i] = (double)(float)(low + (high - low) * cell / (double)n);
    }
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(wg__uniform(bits_at(key, 2 * i + 1)) * (double)(i + 1));
        double swap = out[i];
        out[i] = out[j];
        out[j] = swap;
    }
    return out;
}

/* The numbers in the dtype that they are for. */
static void store(wg_dtype dtype, int64_t n, const double *from, void *to)
{
    for (int64_t i = 0; i < n; i++) {
        if (dtype == WG_F64) ((double *)to)[i] = from[i];
        if (dtype == WG_F32) ((float *)to)[i] = (float)from[i];
        if (dtype == WG_BF16) ((uint16_t *)to)[i] = nearest((float)from[i]);
        if (dtype == WG_I32) ((int32_t *)to)[i] = (int32_t)from[i];
        if (dtype == WG_BOOL) ((uint8_t *)to)[i] = from[i] != 0;
    }
}

static int64_t numel_of(wg_shape shape)
{
    int64_t n;
    wg_shape_numel(&shape, &n);
    return n;
}

/* ---- specs ---- */

wg_shape shape_of_spec(const char *spec)
{
    wg_shape shape = {0};
    while (*spec && *spec != ' ') {
        shape.size[shape.rank++] = strtol(spec, (char **)(uintptr_t)&spec, 10);
        if (*spec == ',') spec++;
    }
    return shape;
}

static char view_of_spec(const char *spec)
{
    const char *blank = strchr(spec, ' ');
    return blank ? blank[1] : 0;
}

/* The shape of the memory under the view of a spec. */
static wg_shape base_of_spec(const char *spec)
{
    wg_shape shape = shape_of_spec(spec);
    int last = shape.rank - 1;
    int64_t size;
    switch (view_of_spec(spec)) {
    case 't':
        size = shape.size[last];
        shape.size[last] = shape.size[last - 1];
        shape.size[last - 1] = size;
        break;
    case 's': shape.size[last] += 3; break;
    case 'o': shape.size[0] += 2; break;
    case 'p': shape.size[last] *= 2; break;
    case 'e': shape.size[0] = 1; break;
    case 'b':
        for (int i = 0; i < last; i++) shape.size[i] = shape.size[i + 1];
        shape.size[shape.rank = last] = 0;
        break;
    default: break;
    }
    return shape;
}

static wg_tensor seen_as(wg_tensor base, const char *spec)
{
    wg_shape shape = shape_of_spec(spec);
    int last = shape.rank - 1;
    switch (view_of_spec(spec)) {
    case 't': return wg_t(base);
    case 's': return wg_slice(base, -1, 1, shape.size[last] + 1);
    case 'o': return wg_slice(base, 0, 2, shape.size[0] + 2);
    case 'p': return wg_slice_step(base, -1, 1, 2 * shape.size[last], 2);
    case 'f': return wg_flip(base, -1);
    case 'e':
    case 'b': return wg_expand(base, shape);
    default: return base;
    }
}

/* ---- operands ---- */

/* A tensor of the same shape on the other tape. */
static wg_tensor abroad(sampler *s, wg_tensor operand)
{
    void *zeros = calloc((size_t)wg_numel(operand) + 1, sizeof(double));
    wg_tensor result = wg_data(s->other, wg_dtype_get(operand), wg_shape_get(operand), zeros);
    free(zeros);
    return result;
}

static wg_tensor spoil_operand(sampler *s, wg_tensor operand)
{
    if (s->n_operands < SAMPLE_OPERANDS) s->is_float[s->n_operands] = wg_dtype_is_float(wg_dtype_get(operand));
    if (s->n_operands++ != s->spoil_at) return operand;
    switch (s->spoil) {
    case SPOIL_STALE: return s->stale;
    case SPOIL_TAPE: return abroad(s, operand);
    case SPOIL_UNSET: return WG_NONE;
    case SPOIL_NIL: operand.node = 0; return operand;
    case SPOIL_DTYPE:
        return wg_dtype_is_float(wg_dtype_get(operand))
                   ? wg_cast(operand, wg_dtype_get(operand) == WG_F64 ? WG_F32 : WG_F64)
                   : operand;
    default: return operand;
    }
}

/* The earlier operand that this one can share numbers with; SAMPLE_INPUTS: none. */
static int partner_of(const sampler *s, const char *spec, double low, double high)
{
    const wg_shape shape = base_of_spec(spec);
    for (int j = 0; j < s->n_inputs; j++) {
        const wg_shape other = wg_shape_get(s->input[j]);
        if (wg_shape_equal(&shape, &other) && low <= s->from[j] && s->to[j] <= high) return j;
    }
    return SAMPLE_INPUTS;
}

static wg_tensor share(sampler *s, wg_tensor x, double low, double high)
{
    s->n_shared++;
    switch (s->sharing) {
    case SHARE_VIEW: return wg_reshape(wg_flatten(x, 0, -1), wg_shape_get(x));
    case SHARE_EQUAL: return wg_add_scalar(wg_scale(x, 1), 0);
    case SHARE_DEPENDS: return wg_add_scalar(wg_scale(x, 0.5), (low + high) / 4);
    default: return x;
    }
}

wg_tensor x_range(sampler *s, const char *spec, double low, double high)
{
    char name[8];
    const int partner = s->sharing ? partner_of(s, spec, low, high) : SAMPLE_INPUTS;
    s->from[s->n_inputs] = low;
    s->to[s->n_inputs] = high;
    if (partner < SAMPLE_INPUTS) {
        const wg_tensor base = share(s, s->input[partner], low, high);
        s->input[s->n_inputs++] = base;
        return seen_as(base, spec);
    }
    snprintf(name, sizeof name, "x%d", s->n_inputs);
    wg_param *param = wg_param_find(s->set, name);
    if (!param && (param = wg_param_new(s->set, name, base_of_spec(spec), wg_init_zeros()))) {
        int64_t n = wg_param_numel(param);
        double *numbers = distinct_numbers(n, s->key + 7919 * (uint64_t)s->n_inputs, low, high);
        for (int64_t k = 0; k < n && s->rounded; k++) numbers[k] = (double)wide(nearest((float)numbers[k]));
        store(wg_param_dtype(param), n, numbers, wg_param_write_begin(param));
        wg_param_write_end(param);
        free(numbers);
    }
    wg_tensor base = wg_use(s->tape, param);
    s->input[s->n_inputs++] = base;
    return seen_as(spoil_operand(s, base), spec);
}

wg_tensor x_in(sampler *s, const char *spec) { return x_range(s, spec, s->low, s->high); }

static wg_tensor data(sampler *s, wg_dtype dtype, wg_shape shape, const double *numbers)
{
    int64_t n = numel_of(shape);
    void *memory = malloc((size_t)n * sizeof(double) + 1);
    store(dtype, n, numbers, memory);
    wg_tensor result = wg_data(s->tape, dtype, shape, memory);
    free(memory);
    return spoil_operand(s, result);
}

wg_tensor x_data(sampler *s, const char *spec, double low, double high)
{
    wg_shape base = base_of_spec(spec);
    double *numbers = distinct_numbers(numel_of(base), s->key ^ (0xda7a0 + (uint64_t)s->n_data++), low, high);
    wg_tensor result = seen_as(data(s, s->dtype, base, numbers), spec);
    free(numbers);
    return result;
}

static wg_tensor whole(sampler *s, wg_dtype dtype, const char *spec, int low, int high)
{
    wg_shape base = base_of_spec(spec);
    int64_t n = numel_of(base);
    uint64_t key = s->key ^ (0x1220 + (uint64_t)s->n_data++);
    double *numbers = malloc((size_t)n * sizeof *numbers + 1);
    for (int64_t i = 0; i < n; i++) numbers[i] = low + (int)(wg__uniform(bits_at(key, i)) * (high - low));
    wg_tensor result = seen_as(data(s, dtype, base, numbers), spec);
    free(numbers);
    return result;
}

wg_tensor x_bool(sampler *s, const char *spec) { return whole(s, WG_BOOL, spec, 0, 2); }
wg_tensor x_i32(sampler *s, const char *spec, int low, int high) { return whole(s, WG_I32, spec, low, high); }
wg_tensor x_list(sampler *s, wg_shape shape, const double *numbers) { return data(s, s->dtype, shape, numbers); }

/* ---- samples ---- */

static void begin(sampler *s, const op_samples *row, int i)
{
    s->key = key_of(row, i);
    s->low = row->low;
    s->high = row->high;
    if (row->low == 0 && row->high == 0) {
        s->low = -2;
        s->high = 2;
    }
    s->n_inputs = s->n_data = s->n_operands = s->n_shared = 0;
    s->dtype = wg_params_dtype(s->set) == WG_F64 ? WG_F64 : WG_F32;
    wg_set_step(s->tape, 0);
}

wg_tensor sample_make(sampler *s, const op_samples *row, int i)
{
    begin(s, row, i);
    return row->make(s, row, i);
}

wg_tensor sample_bad(sampler *s, const op_samples *row, int i)
{
    begin(s, row, i);
    s->expected = WG_OK;
    s->words = "";
    return row->bad(s, row, i);
}

void expect(sampler *s, wg_status status, const char *words)
{
    s->expected = status;
    s->words = words;
}

wg_tensor sample_loss(sampler *s, wg_tensor out)
{
    wg_shape shape = wg_shape_get(out);
    if (shape.rank < 0) return out;
    double *numbers = distinct_numbers(numel_of(shape), s->key ^ 0x105500, -1, 1);
    wg_tensor loss = wg_sum_all(wg_mul(out, data(s, wg_dtype_get(out), shape, numbers)));
    free(numbers);
    return loss;
}

wg_tensor sample_run(sampler *s, const op_samples *row, int i, int frozen)
{
    for (bool backward = !s->rounded;; backward = false) {
        wg_tensor out = wg_keep(sample_make(s, row, i));
        if (frozen >= 0) wg_param_freeze(wg_params_at(s->set, (size_t)frozen), true);
        wg_zero_grad(s->set);
        if (!backward || !wg_dtype_is_float(wg_dtype_get(out)) || s->n_inputs == 0)
            (void)wg_eval(&out, 1);
        else if (wg_backward(sample_loss(s, out)) == WG_ERR_GRADIENT) {
            wg_tape_reset(s->tape);
            continue;
        }
        return out;
    }
}

/* ---- tests ---- */

bool sample_wanted(const op_samples *row, int i)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d", row->name, i);
    return check_wants(name);
}

void sample_failed(const op_samples *row, int i, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    FAIL("%s.%d: %s", row->name, i, text);
}
