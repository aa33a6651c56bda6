/* The geometry of convolutions, and convolutions to few channels; direct.c computes those to enough channels to fill
 * vectors. These are products whose B is the image seen through the window: the product's packing reads the image, and
 * no matrix of patches is built.
 *
 *     forward            y[o, output]         = sum over taps     w[o, tap]     x[tap + output], for every image
 *     weight's gradient  dw[o, tap]           = sum over outputs  dy[o, output] x[output + tap], over all images
 *     image's gradient   dx[tap + output]    += sum over o        w[o, tap]     dy[o, output],   for every image
 *
 * The last computes the sums of a few channels at a time, which stay in cache, and adds them to the image. */
#include "conv.h"

#include <string.h>

#include "../base/integers.h"
#include "../gemm/gemm.h"
#include "../../../autograd/base/isa.h"

/* The kernels of direct.c for this machine. */
#define DIRECT(name)                                                                                               \
    static void direct_##name(wg_dtype dtype, const wg_args *args, int64_t task)                                   \
    {                                                                                                              \
        extern __typeof__(void(const wg_args *, int64_t)) WG__EVERY_ISA(WG__VARIANT, name, f32),                   \
            WG__EVERY_ISA(WG__VARIANT, name, f64);                                                                 \
        static const wg_kernel kernels[][WG__ISA_COUNT] = {{WG__EVERY_ISA(WG__VARIANT, name, f32)},                \
                                                           {WG__EVERY_ISA(WG__VARIANT, name, f64)}};               \
        kernels[dtype == WG_F64][wg__isa_get()](args, task);                                                       \
    }
DIRECT(conv)
DIRECT(conv_input)
DIRECT(conv_weight)

static wg__conv describe(const wg__conv_attr *attr, wg_operand x, wg_operand w, wg_operand y)
{
    wg__conv c = {.x = x, .w = w, .y = y, .attr = attr, .axes = x.rank - 2, .taps = 1, .outputs = 1};
    wg__padding f = {.plane = 1, .padded_plane = 1};
    c.images = x.size[0];
    c.in_channels = w.size[1];
    c.out_channels = w.size[0] / attr->groups;
    for (int i = WG__CONV_AXES - 1; i >= 0; i--) {
        int axis = i - WG__CONV_AXES + c.axes;
        f.size[i] = axis < 0 ? 1 : x.size[2 + axis];
        f.before[i] = axis < 0 ? 0 : attr->before[axis];
        f.padded[i] = f.size[i] + f.before[i] + (axis < 0 ? 0 : attr->after[axis]);
        f.stride[i] = f.padded_plane;
        f.plane *= f.size[i];
        f.padded_plane *= f.padded[i];
        c.taps *= axis < 0 ? 1 : w.size[2 + axis];
        c.outputs *= axis < 0 ? 1 : y.size[2 + axis];
    }
    c.padding = f;
    return c;
}

wg__conv wg__conv_of(const wg_args *args) { return describe(args->attr, args->in[0], args->in[1], args->out); }
wg__conv wg__conv_weight_of(const wg_args *args)
{
    return describe(args->attr, args->in[1], args->out, args->in[0]);
}
wg__conv wg__conv_input_of(const wg_args *args)
{
    return describe(args->attr, args->out, args->in[1], args->in[0]);
}

void wg__offsets(int64_t *to, int64_t first, int axes, const int64_t *size, const int64_t *step)
{
    int64_t n = 1;
    to[0] = first;
    for (int a = axes - 1; a >= 0; a--) { /* repeats the block so far for each further index */
        for (int64_t i = 1; i < size[a]; i++)
            for (int64_t j = 0; j < n; j++) to[i * n + j] = to[j] + i * step[a];
        n *= size[a];
    }
}

void wg__conv_output_offsets(const wg__conv *c, int64_t *to)
{
    int64_t step[WG__CONV_AXES];
    const int64_t *space = c->padding.stride + WG__CONV_AXES - c->axes;
    for (int i = 0; i < c->axes; i++) step[i] = c->attr->stride[i] * space[i];
    wg__offsets(to, 0, c->axes, c->y.size + 2, step);
}

void wg__conv_tap_offsets(const wg__conv *c, int64_t *to)
{
    int64_t step[1 + WG__CONV_AXES] = {c->padding.padded_plane};
    const int64_t *space = c->padding.stride + WG__CONV_AXES - c->axes;
    for (int i = 0; i < c->axes; i++) step[1 + i] = c->attr->dilation[i] * space[i];
    wg__offsets(to, 0, 1 + c->axes, c->w.size + 1, step);
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

/* One segment an image. For the cut into tasks two segments represent all of them. */
static wg__product weight_product(const wg__conv *c, wg__segment *segments, bool all, const wg__window *window)
{
    int64_t n = all ? c->images : min64(c->images, 2), k = c->in_channels * c->taps, groups = c->attr->groups;
    int64_t size = (int64_t)wg_dtype_size(c->y.dtype);
    for (int64_t i = 0; i < n; i++) {
        segments[i] =
            (wg__segment){.a = offset_by(c->y.data, i * groups * c->out_channels * c->outputs * size),
                          .b = offset_by(c->x.data, i * groups * c->in_channels * c->padding.padded_plane * size),
                          .k = all || n < 2 || i == 0 ? c->outputs : (c->images - 1) * c->outputs,
                          .a_rs = c->outputs,
                          .a_cs = 1};
    }
    return (wg__product){.dtype = c->y.dtype,
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
    wg__product_get(product->dtype)->run(&t->product, task, t->rest);
}

static const wg__window any_window; /* for the cut, which only asks whether there is a window */

int64_t wg__conv_tasks(const wg_args *args)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out_channels)) return wg__correlation_tasks(wg__correlate(&c, NULL, NULL));
    wg__segment segment;
    wg__product p = forward_product(&c, &segment, &any_window);
    return wg__product_get(p.dtype)->tasks(&p);
}

size_t wg__conv_scratch(const wg_args *args)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out_channels)) {
        size_t bytes;
        wg__correlate(&c, NULL, &bytes);
        return bytes;
    }
    wg__segment segment;
    wg__product p = forward_product(&c, &segment, &any_window);
    return lay_out(&(tables){0}, &c, p.batches, 1, NULL) + wg__product_get(p.dtype)->scratch(&p);
}

void wg__conv_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out_channels)) {
        direct_conv(c.y.dtype, args, task);
        return;
    }
    int64_t groups = c.attr->groups, batches = c.images * groups;
    tables t;
    lay_out(&t, &c, batches, 1, args->scratch);
    wg__conv_output_offsets(&c, t.output);
    wg__conv_tap_offsets(&c, t.tap);
    for (int64_t i = 0; i < batches; i++) {
        t.batch_a[i] = i % groups * c.out_channels * c.in_channels * c.taps;
        t.batch_b[i] = i * c.in_channels * c.padding.padded_plane;
    }
    t.window = (wg__window){.step = t.tap, .line = t.output, .end = image_end(&c)};
    wg__product p = forward_product(&c, t.segments, &t.window);
    run(&t, &p, task);
}

int64_t wg__conv_weight_tasks(const wg_args *args)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out_channels)) return wg__weight_grad_tasks(wg__weight_grad_of(&c, NULL, NULL));
    wg__segment segments[2];
    wg__product p = weight_product(&c, segments, false, &any_window);
    return wg__product_get(p.dtype)->tasks(&p);
}

size_t wg__conv_weight_scratch(const wg_args *args)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out_channels)) {
        size_t bytes;
        wg__weight_grad_of(&c, NULL, &bytes);
        return bytes;
    }
    wg__segment segments[2];
    wg__product p = weight_product(&c, segments, false, &any_window);
    return lay_out(&(tables){0}, &c, p.batches, c.images, NULL) + wg__product_get(p.dtype)->scratch(&p);
}

void wg__conv_weight_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out_channels)) {
        direct_conv_weight(c.y.dtype, args, task);
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

enum { SUMS = 32768 }; /* of a block of channels: they stay in the second-level cache; chosen, not measured */

static int64_t channels_per_block(const wg__conv *c)
{
    return clamp64(SUMS / (c->taps * c->outputs + 1), 1, c->in_channels);
}

/* w^T dy for some channels: their taps by outputs. */
static wg__product input_product(const wg__conv *c, int64_t channels, void *sums, wg__segment *segment)
{
    *segment = (wg__segment){.a = c->w.data,
                             .b = c->y.data,
                             .k = c->out_channels,
                             .a_rs = 1,
                             .a_cs = c->in_channels * c->taps,
                             .b_rs = c->outputs,
                             .b_cs = 1};
    return (wg__product){.dtype = c->y.dtype,
                         .m = channels * c->taps,
                         .n = c->outputs,
                         .batches = 1,
                         .c = sums,
                         .c_rs = c->outputs,
                         .c_cs = 1,
                         .n_segments = 1,
                         .segments = segment};
}

static size_t sums_bytes(const wg__conv *c)
{
    return aligned_bytes((size_t)(channels_per_block(c) * c->taps * c->outputs) * wg_dtype_size(c->y.dtype));
}

static size_t tables_bytes(const wg__conv *c)
{
    return aligned_bytes((size_t)(c->in_channels * c->taps + c->outputs) * sizeof(int64_t));
}

/* With padding the sums are added up in a padded image, from which the image is copied. */
static size_t padded_bytes(const wg__conv *c)
{
    if (c->padding.padded_plane == c->padding.plane) return 0;
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
    if (wg__conv_input_is_direct(&c)) return wg__correlation_tasks(wg__correlate_input(&c, NULL, NULL));
    return c.images * c.attr->groups;
}

size_t wg__conv_input_scratch(const wg_args *args)
{
    wg__conv c = wg__conv_input_of(args);
    int64_t block = channels_per_block(&c), last = c.in_channels % block;
    size_t product = 0;
    if (wg__conv_input_is_direct(&c)) {
        wg__correlate_input(&c, NULL, &product);
        return product;
    }
    for (int i = 0; i < 2; i++) {
        wg__segment segment;
        wg__product p = input_product(&c, i ? last : block, NULL, &segment);
        size_t bytes = p.m && p.n ? wg__product_get(p.dtype)->scratch(&p) : 0;
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

static void add_tap(const wg__conv *c, void *image, int64_t tap, const int64_t *output, const void *sums)
{
    int64_t row = c->y.size[c->y.rank - 1], step = c->attr->stride[c->axes - 1];
    if (c->y.dtype == WG_F32)
        add_rows_f32((float *)image + tap, output, step, sums, c->outputs, row);
    else
        add_rows_f64((double *)image + tap, output, step, sums, c->outputs, row);
}

void wg__conv_input_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_input_of(args);
    if (wg__conv_input_is_direct(&c)) {
        direct_conv_input(c.y.dtype, args, task);
        return;
    }
    int64_t size = (int64_t)wg_dtype_size(c.y.dtype), group = task % c.attr->groups;
    int64_t block = channels_per_block(&c);
    int64_t *tap = args->scratch, *output = tap + c.in_channels * c.taps;
    char *padded = (char *)args->scratch + tables_bytes(&c), *sums = padded + padded_bytes(&c);
    char *result = (char *)c.x.data + task * c.in_channels * c.padding.plane * size,
         *image = padded_bytes(&c) ? padded : result;
    const wg__product_kernels *kernels = wg__product_get(c.y.dtype);
    memset(image, 0, (size_t)(c.in_channels * c.padding.padded_plane * size));
    if (c.outputs > 0) wg__conv_output_offsets(&c, output);
    wg__conv_tap_offsets(&c, tap);
    c.y.data = offset_by(c.y.data, task * c.out_channels * c.outputs * size);
    for (int64_t first = 0; first < c.in_channels && c.outputs > 0; first += block) {
        wg__conv part = c;
        wg__segment segment;
        int64_t channels = min64(c.in_channels - first, block);
        part.w.data = offset_by(c.w.data, (group * c.out_channels * c.in_channels + first) * c.taps * size);
        wg__product p = input_product(&part, channels, sums, &segment);
        for (int64_t t = 0, tasks = kernels->tasks(&p); t < tasks; t++) kernels->run(&p, t, sums + sums_bytes(&c));
        for (int64_t i = 0; i < channels * c.taps; i++)
            add_tap(&c, image, tap[first * c.taps + i], output, sums + i * c.outputs * size);
    }
    if (image == padded) copy_from_padded(&c, padded, result);
}

/* ---- padding -------------------------------------------------------------------------------------------- */

/* The result's last axis is a row; a task copies some rows. */
enum { PAD_TASK = 16384 }; /* elements, about; chosen, not measured */

static int64_t row_size(const wg_args *args) { return args->out.size[args->out.rank - 1]; }
static int64_t rows_per_task(const wg_args *args) { return 1 + PAD_TASK / (1 + row_size(args)); }

int64_t wg__pad_image_tasks(const wg_args *args)
{
    int64_t row = row_size(args), each = rows_per_task(args);
    return row ? ceil_div(args->out.numel / row, each) : 1;
}

/* The row of in0 that a row of the result contains; -1: none. */
static int64_t source_row(const wg_args *args, int64_t row)
{
    const wg__pad_image_attr *f = args->attr;
    int64_t from = 0, size = 1;
    for (int i = (int)f->axes - 2; i >= 0; i--) {
        int64_t n = args->in[0].size[args->in[0].rank - f->axes + i], at = row % f->size[i] - f->before[i];
        if (at < 0 || at >= n) return -1;
        from += at * size;
        size *= n;
        row /= f->size[i];
    }
    return from + row * size;
}

void wg__pad_image_kernel(const wg_args *args, int64_t task)
{
    const wg__pad_image_attr *f = args->attr;
    int64_t size = (int64_t)wg_dtype_size(args->out.dtype), n = args->in[0].size[args->in[0].rank - 1];
    int64_t row = row_size(args), each = rows_per_task(args), stop = (task + 1) * each,
            before = f->before[f->axes - 1];
    if (!row) return;
    if (stop > args->out.numel / row) stop = args->out.numel / row;
    for (int64_t r = task * each; r < stop; r++) {
        char *to = (char *)args->out.data + r * row * size;
        int64_t from = n ? source_row(args, r) : -1;
        if (from < 0) {
            memset(to, 0, (size_t)(row * size));
            continue;
        }
        memset(to, 0, (size_t)(before * size));
        memcpy(to + before * size, (const char *)args->in[0].data + from * n * size, (size_t)(n * size));
        memset(to + (before + n) * size, 0, (size_t)((row - before - n) * size));
    }
}
