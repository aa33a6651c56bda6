/* Convolutions to few channels; direct.c computes those to enough channels to fill vectors, and is called from here.
 * These are products whose B is the image seen through the window: the product's packing reads the image, and no matrix
 * of patches is built.
 *
 *     forward            y[o, output]         = sum over taps     w[o, tap]     x[tap + output], for every image
 *     weight's gradient  dw[o, tap]           = sum over outputs  dy[o, output] x[output + tap], over all images
 *     image's gradient   dx[tap + output]    += sum over o        w[o, tap]     dy[o, output],   for every image
 *
 * The last computes the sums of a few channels at a time, which stay in cache, and adds them to the image. */
#include "direct_bf16.h"

#include <string.h>

#include "../gemm/gemm.h"
#include "../../../autograd/base/isa.h"

/* The kernels of direct.c, or of direct_bf16.h, for this machine. */
#define DIRECT(name)                                                                                               \
    static void direct_##name(const wg__conv *c, const wg_args *args, int64_t task)                                \
    {                                                                                                              \
        extern __typeof__(void(const wg_args *, int64_t)) WG__EVERY_ISA(WG__VARIANT, name, f32),                   \
            WG__EVERY_ISA(WG__VARIANT, name, f64);                                                                 \
        static const wg_kernel kernels[][WG__ISA_COUNT] = {{WG__EVERY_ISA(WG__VARIANT, name, f32)},                \
                                                           {WG__EVERY_ISA(WG__VARIANT, name, f64)}};               \
        wg_kernel kernel = kernels[c->y.dtype == WG_F64][wg__isa_get()];                                           \
        (c->bf16 ? wg__conv_bf16_get()->name : kernel)(args, task);                                                \
    }
DIRECT(conv)
DIRECT(conv_input)
DIRECT(conv_weight)

/* Their tasks and scratch. */
static int64_t correlation_tasks(const wg__conv *c, bool input, size_t *bytes)
{
    if (c->bf16) {
        const wg__bf16_correlation r = wg__bf16_correlate(c, input, wg__conv_bf16_get()->group, NULL, bytes);
        return wg__cut_tasks(r.groups, &r.cut);
    }
    return wg__correlation_tasks(input ? wg__correlate_input(c, NULL, bytes) : wg__correlate(c, NULL, bytes));
}

static int64_t weight_grad_tasks(const wg__conv *c, size_t *bytes)
{
    if (c->bf16) {
        const wg__bf16_weight_grad t = wg__bf16_weight_grad_of(c, wg__conv_bf16_get()->group, NULL, bytes);
        return wg__cut_tasks(c->attr->groups, &t.cut);
    }
    return wg__weight_grad_tasks(wg__weight_grad_of(c, NULL, bytes));
}

/* ---- the products -------------------------------------------------------------------------------------------- */

/* The scratch of a task: tables, then the scratch of the product. */
typedef struct tables {
    wg__product product;
    wg__window window;
    int64_t *tap, *output, *batch_a, *batch_b;
    wg__segment *segments;
    char *rest; /* of the product */
} tables;

/* Places the arrays in the scratch; returns their bytes. With memory NULL only the latter. */
static size_t lay_out(tables *t, const wg__conv *c, int64_t batches, int64_t segments, char *memory)
{
    size_t at = 0;
    int64_t **array[] = {&t->tap, &t->output, &t->batch_a, &t->batch_b};
    const int64_t size[] = {c->in_channels * c->taps, c->outputs, batches, batches};
    for (int i = 0; i < 4; i++) {
        if (memory) *array[i] = (int64_t *)(memory + at);
        at += aligned_bytes((size_t)size[i] * sizeof(int64_t));
    }
    if (memory) t->segments = (wg__segment *)(memory + at);
    at += aligned_bytes((size_t)segments * sizeof(wg__segment));
    if (memory) t->rest = memory + at;
    return at;
}

static wg__product forward_product(const wg__conv *c, wg__segment *segment, const wg__window *window)
{
    int64_t k = c->in_channels * c->taps;
    *segment = (wg__segment){.a = c->w.data, .b = c->x.data, .k = k, .a_rs = k, .a_cs = 1};
    return (wg__product){.dtype = c->y.dtype,
                         .bf16 = c->bf16,
                         .m = c->out_channels,
                         .n = c->outputs,
                         .batches = c->images * c->attr->groups,
                         .c = c->y.data,
                         .c_rs = c->outputs,
                         .c_cs = 1,
                         .batch_c = c->out_channels * c->outputs,
                         .n_segments = 1,
                         .segments = segment,
                         .window = window};
}

/* Base plus bytes; base may be NULL when only sizes are computed. */
static void *offset_by(const void *base, int64_t bytes) { return (void *)((uintptr_t)base + (uintptr_t)bytes); }

/* One segment an image. For the cut into tasks two segments represent all of them; in bf16 each image takes whole pairs
 * of outputs. */
static wg__product weight_product(const wg__conv *c, wg__segment *segments, bool all, const wg__window *window)
{
    int64_t n = all ? c->images : min64(c->images, 2), k = c->in_channels * c->taps, groups = c->attr->groups;
    int64_t size = (int64_t)wg_dtype_size(c->y.dtype), taken = c->bf16 ? round_up(c->outputs, 2) : c->outputs;
    for (int64_t i = 0; i < n; i++) {
        segments[i] =
            (wg__segment){.a = offset_by(c->y.data, i * groups * c->out_channels * c->outputs * size),
                          .b = offset_by(c->x.data, i * groups * c->in_channels * c->padding.padded_plane * size),
                          .k = all || n < 2 || i == 0 ? c->outputs : (c->images - 1) * taken,
                          .a_rs = c->outputs,
                          .a_cs = 1};
    }
    return (wg__product){.dtype = c->y.dtype,
                         .bf16 = c->bf16,
                         .m = c->out_channels,
                         .n = k,
                         .batches = groups,
                         .c = c->w.data,
                         .c_rs = k,
                         .c_cs = 1,
                         .batch_c = c->out_channels * k,
                         .n_segments = (int)n,
                         .segments = segments,
                         .window = window};
}

static void *image_end(const wg__conv *c)
{
    return offset_by(c->x.data, c->x.numel * (int64_t)wg_dtype_size(c->x.dtype));
}

static void run(tables *t, const wg__product *product, int64_t task)
{
    t->product = *product;
    t->product.batch_a = t->batch_a;
    t->product.batch_b = t->batch_b;
    wg__product_get(product->dtype, product->bf16)->run(&t->product, task, t->rest);
}

static const wg__window any_window; /* for the cut, which only asks whether there is a window */

int64_t wg__conv_tasks(const wg_args *args)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out_channels)) return correlation_tasks(&c, false, NULL);
    wg__segment segment;
    wg__product p = forward_product(&c, &segment, &any_window);
    return wg__product_get(p.dtype, p.bf16)->tasks(&p);
}

size_t wg__conv_scratch(const wg_args *args)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out_channels)) {
        size_t bytes;
        correlation_tasks(&c, false, &bytes);
        return bytes;
    }
    wg__segment segment;
    wg__product p = forward_product(&c, &segment, &any_window);
    return lay_out(&(tables){0}, &c, p.batches, 1, NULL) + wg__product_get(p.dtype, p.bf16)->scratch(&p);
}

void wg__conv_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out_channels)) {
        direct_conv(&c, args, task);
        return;
    }
    int64_t groups = c.attr->groups, batches = c.images * groups;
    tables t;
    lay_out(&t, &c, batches, 1, args->scratch);
    wg__conv_output_offsets(&c, t.output);
    wg__conv_tap_offsets(&c, t.tap);
    t.window = (wg__window){.step = t.tap, .line = t.output, .end = image_end(&c)};
    wg__product p = forward_product(&c, t.segments, &t.window);
    t.batch_a[0] = t.batch_b[0] = 0; /* how a product is cut depends on the sides of its first problem */
    int64_t last, first = wg__product_get(p.dtype, p.bf16)->batches(&p, task, &last);
    for (int64_t i = first; i < last; i++) { /* not all: the time would be quadratic in the number of images */
        t.batch_a[i] = i % groups * c.out_channels * c.in_channels * c.taps;
        t.batch_b[i] = i * c.in_channels * c.padding.padded_plane;
    }
    run(&t, &p, task);
}

int64_t wg__conv_weight_tasks(const wg_args *args)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out_channels)) return weight_grad_tasks(&c, NULL);
    wg__segment segments[2];
    wg__product p = weight_product(&c, segments, false, &any_window);
    return wg__product_get(p.dtype, p.bf16)->tasks(&p);
}

size_t wg__conv_weight_scratch(const wg_args *args)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out_channels)) {
        size_t bytes;
        weight_grad_tasks(&c, &bytes);
        return bytes;
    }
    wg__segment segments[2];
    wg__product p = weight_product(&c, segments, false, &any_window);
    return lay_out(&(tables){0}, &c, p.batches, c.images, NULL) + wg__product_get(p.dtype, p.bf16)->scratch(&p);
}

void wg__conv_weight_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out_channels)) {
        direct_conv_weight(&c, args, task);
        return;
    }
    int64_t groups = c.attr->groups;
    tables t;
    lay_out(&t, &c, groups, c.images, args->scratch);
    if (c.outputs > 0) wg__conv_output_offsets(&c, t.output);
    wg__conv_tap_offsets(&c, t.tap);
    for (int64_t i = 0; i < groups; i++) {
        t.batch_a[i] = i * c.out_channels * c.outputs;
        t.batch_b[i] = i * c.in_channels * c.padding.padded_plane;
    }
    t.window = (wg__window){.step = t.output, .line = t.tap, .end = image_end(&c)};
    wg__product p = weight_product(&c, t.segments, true, &t.window);
    run(&t, &p, task);
}

/* ---- the image's gradient --------------------------------------------------------------------------------- */

enum { SUMS = 32768 }; /* of a block: they stay in the second-level cache; chosen, not measured */

/* AMX multiplies so fast that adding the sums to the image takes longer: 2.1 ms against 0.8 for
 * lenet's second convolution on one thread. */
static bool is_direct(const wg__conv *c)
{
    return wg__conv_input_is_direct(c, c->bf16 && wg__conv_bf16_get()->group > 1 ? 3 : 1.15);
}

static int64_t channels_per_block(const wg__conv *c)
{
    return clamp64(SUMS / (c->taps * c->outputs + 1), 1, c->in_channels);
}

/* Of one channel, if all are more than SUMS: some rows. */
static int64_t outputs_per_block(const wg__conv *c)
{
    const int64_t row = c->y.size[c->y.rank - 1];
    return min64(c->outputs, max64(1, SUMS / (c->taps * row + 1)) * row);
}

/* w^T dy for some channels: their taps by `outputs`. */
static wg__product input_product(const wg__conv *c, int64_t channels, int64_t outputs, void *sums,
                                 wg__segment *segment)
{
    *segment = (wg__segment){.a = c->w.data,
                             .b = c->y.data,
                             .k = c->out_channels,
                             .a_rs = 1,
                             .a_cs = c->in_channels * c->taps,
                             .b_rs = c->outputs,
                             .b_cs = 1};
    return (wg__product){.dtype = c->y.dtype,
                         .bf16 = c->bf16,
                         .m = channels * c->taps,
                         .n = outputs,
                         .batches = 1,
                         .c = sums,
                         .c_rs = outputs,
                         .c_cs = 1,
                         .n_segments = 1,
                         .segments = segment};
}

static size_t sums_bytes(const wg__conv *c)
{
    return aligned_bytes((size_t)(channels_per_block(c) * c->taps * outputs_per_block(c)) *
                         wg_dtype_size(c->y.dtype));
}

static size_t tables_bytes(const wg__conv *c)
{
    return aligned_bytes((size_t)(c->in_channels * c->taps + c->outputs) * sizeof(int64_t));
}

/* With padding the sums are added up in a padded image, from which the image is copied. */
static size_t padded_bytes(const wg__conv *c)
{
    if (!wg__is_padded(&c->padding)) return 0;
    return aligned_bytes((size_t)(c->in_channels * c->padding.padded_plane) * wg_dtype_size(c->y.dtype));
}

static void copy_from_padded(const wg__conv *c, const char *padded, char *image)
{
    const wg__padding *f = &c->padding;
    int64_t size = (int64_t)wg_dtype_size(c->y.dtype), row = f->size[2] * size;
    for (int64_t n = 0; n < c->in_channels; n++)
        for (int64_t i = 0; i < f->size[0]; i++)
            for (int64_t j = 0; j < f->size[1]; j++, image += row) {
                int64_t at = (f->before[0] + i) * f->stride[0] + (f->before[1] + j) * f->stride[1] + f->before[2];
                memcpy(image, padded + (n * f->padded_plane + at) * size, (size_t)row);
            }
}

int64_t wg__conv_input_tasks(const wg_args *args)
{
    wg__conv c = wg__conv_input_of(args);
    if (is_direct(&c)) return correlation_tasks(&c, true, NULL);
    return c.images * c.attr->groups;
}

size_t wg__conv_input_scratch(const wg_args *args)
{
    wg__conv c = wg__conv_input_of(args);
    size_t product = 0;
    if (is_direct(&c)) {
        correlation_tasks(&c, true, &product);
        return product;
    }
    const int64_t channels = channels_per_block(&c), outputs = outputs_per_block(&c);
    for (int i = 0; i < 4 && c.outputs > 0; i++) { /* whole blocks, and the last ones */
        wg__segment segment;
        wg__product p = input_product(&c, i & 1 ? c.in_channels % channels : channels,
                                      i & 2 ? c.outputs % outputs : outputs, NULL, &segment);
        size_t bytes = p.m && p.n ? wg__product_get(p.dtype, p.bf16)->scratch(&p) : 0;
        product = bytes > product ? bytes : product;
    }
    return tables_bytes(&c) + padded_bytes(&c) + sums_bytes(&c) + product;
}

/* to[at[j]] += from[j] for n outputs in rows of `row`, which are `step` apart in the image. */
#define ADD_ROWS(name, real)                                                                                       \
    static void name(real *to, const int64_t *at, int64_t step, const real *from, int64_t n, int64_t row)          \
    {                                                                                                              \
        for (int64_t i = 0; i < n; i += row) {                                                                     \
            real *line = to + at[i];                                                                               \
            if (step == 1)                                                                                         \
                for (int64_t j = 0; j < row; j++) line[j] += from[i + j];                                          \
            else                                                                                                   \
                for (int64_t j = 0; j < row; j++) line[j * step] += from[i + j];                                   \
        }                                                                                                          \
    }
ADD_ROWS(add_rows_f32, float)
ADD_ROWS(add_rows_f64, double)

static void add_tap(const wg__conv *c, void *image, int64_t tap, const int64_t *output, int64_t outputs,
                    const void *sums)
{
    int64_t row = c->y.size[c->y.rank - 1], step = c->attr->stride[c->axes - 1];
    if (c->y.dtype == WG_F32)
        add_rows_f32((float *)image + tap, output, step, sums, outputs, row);
    else
        add_rows_f64((double *)image + tap, output, step, sums, outputs, row);
}

void wg__conv_input_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_input_of(args);
    if (is_direct(&c)) {
        direct_conv_input(&c, args, task);
        return;
    }
    int64_t size = (int64_t)wg_dtype_size(c.y.dtype), group = task % c.attr->groups;
    const int64_t most_channels = channels_per_block(&c), most_outputs = outputs_per_block(&c);
    int64_t *tap = args->scratch, *output = tap + c.in_channels * c.taps;
    char *padded = (char *)args->scratch + tables_bytes(&c), *sums = padded + padded_bytes(&c);
    char *result = (char *)c.x.data + task * c.in_channels * c.padding.plane * size,
         *image = padded_bytes(&c) ? padded : result;
    const wg__product_kernels *kernels = wg__product_get(c.y.dtype, c.bf16);
    memset(image, 0, (size_t)(c.in_channels * c.padding.padded_plane * size));
    if (c.outputs > 0) wg__conv_output_offsets(&c, output);
    wg__conv_tap_offsets(&c, tap);
    c.y.data = offset_by(c.y.data, task * c.out_channels * c.outputs * size);
    for (int64_t first = 0; first < c.in_channels && c.outputs > 0; first += most_channels)
        for (int64_t at = 0; at < c.outputs; at += most_outputs) {
            wg__conv part = c;
            wg__segment segment;
            const int64_t channels = min64(c.in_channels - first, most_channels),
                          outputs = min64(c.outputs - at, most_outputs);
            part.w.data = offset_by(c.w.data, (group * c.out_channels * c.in_channels + first) * c.taps * size);
            part.y.data = offset_by(c.y.data, at * size);
            wg__product p = input_product(&part, channels, outputs, sums, &segment);
            for (int64_t t = 0, tasks = kernels->tasks(&p); t < tasks; t++)
                kernels->run(&p, t, sums + sums_bytes(&c));
            for (int64_t i = 0; i < channels * c.taps; i++)
                add_tap(&c, image, tap[first * c.taps + i], output + at, outputs, sums + i * outputs * size);
        }
    if (image == padded) copy_from_padded(&c, padded, result);
}
