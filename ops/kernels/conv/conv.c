/* Convolutions: their geometry, and those of few channels. (Where there are enough to fill vectors, direct.c takes
 * over.) These are products whose right operand is the image seen through the window: no matrix of patches is built,
 * the product's packing reads the image.
 *
 *     forward            y[o, position]  = sum over places     w[o, place]     x[place + position], for every image
 *     weight's gradient  dw[o, place]    = sum over positions  dy[o, position] x[position + place], over all images
 *     image's gradient   dx[place + position] += sum over o    w[o, place]    dy[o, position], for every image
 *
 * The last makes the sums of a few channels at a time, which stay in cache, and adds them where they belong. */
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
    wg__conv c = {.x = x, .w = w, .y = y, .attr = attr, .axes = x.rank - 2, .places = 1, .positions = 1};
    wg__frame f = {.bare = 1, .plane = 1};
    c.images = x.size[0];
    c.in = w.size[1];
    c.out = w.size[0] / attr->groups;
    for (int i = WG__CONV_AXES - 1; i >= 0; i--) {
        int axis = i - WG__CONV_AXES + c.axes;
        f.size[i] = axis < 0 ? 1 : x.size[2 + axis];
        f.low[i] = axis < 0 ? 0 : attr->before[axis];
        f.framed[i] = f.size[i] + f.low[i] + (axis < 0 ? 0 : attr->after[axis]);
        f.space[i] = f.plane;
        f.bare *= f.size[i];
        f.plane *= f.framed[i];
        c.places *= axis < 0 ? 1 : w.size[2 + axis];
        c.positions *= axis < 0 ? 1 : y.size[2 + axis];
    }
    c.frame = f;
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
    for (int a = axes - 1; a >= 0; a--) { /* the block that is there, again for each further index */
        for (int64_t i = 1; i < size[a]; i++)
            for (int64_t j = 0; j < n; j++) to[i * n + j] = to[j] + i * step[a];
        n *= size[a];
    }
}

void wg__conv_positions(const wg__conv *c, int64_t *to)
{
    int64_t step[WG__CONV_AXES];
    const int64_t *space = c->frame.space + WG__CONV_AXES - c->axes;
    for (int i = 0; i < c->axes; i++) step[i] = c->attr->stride[i] * space[i];
    wg__offsets(to, 0, c->axes, c->y.size + 2, step);
}

void wg__conv_places(const wg__conv *c, int64_t *to)
{
    int64_t step[1 + WG__CONV_AXES] = {c->frame.plane};
    const int64_t *space = c->frame.space + WG__CONV_AXES - c->axes;
    for (int i = 0; i < c->axes; i++) step[1 + i] = c->attr->dilation[i] * space[i];
    wg__offsets(to, 0, 1 + c->axes, c->w.size + 1, step);
}

/* ---- the products -------------------------------------------------------------------------------------------- */

/* What a task needs beside the product's own scratch. */
typedef struct tables {
    wg__product product;
    wg__window window;
    int64_t *place, *position, *batch_a, *batch_b;
    wg__segment *segments;
    char *rest; /* for the product */
} tables;

/* Lays the arrays out in the scratch; with memory NULL, how much that is. */
static size_t lay_out(tables *t, const wg__conv *c, int64_t batches, int64_t segments, char *memory)
{
    size_t at = 0;
    int64_t **array[] = {&t->place, &t->position, &t->batch_a, &t->batch_b};
    const int64_t size[] = {c->in * c->places, c->positions, batches, batches};
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
    int64_t k = c->in * c->places;
    *segment = (wg__segment){.a = c->w.data, .b = c->x.data, .k = k, .a_rs = k, .a_cs = 1};
    return (wg__product){.dtype = c->y.dtype,
                         .m = c->out,
                         .n = c->positions,
                         .batches = c->images * c->attr->groups,
                         .c = c->y.data,
                         .c_rs = c->positions,
                         .c_cs = 1,
                         .batch_c = c->out * c->positions,
                         .n_segments = 1,
                         .segments = segment,
                         .window = window};
}

/* An address that may not be known yet. */
static void *past(const void *base, int64_t bytes) { return (void *)((uintptr_t)base + (uintptr_t)bytes); }

/* One segment an image. To be cut into tasks, two stand for all. */
static wg__product weight_product(const wg__conv *c, wg__segment *segments, bool all, const wg__window *window)
{
    int64_t n = all ? c->images : least(c->images, 2), k = c->in * c->places, groups = c->attr->groups;
    int64_t size = (int64_t)wg_dtype_size(c->y.dtype);
    for (int64_t i = 0; i < n; i++) {
        segments[i] = (wg__segment){.a = past(c->y.data, i * groups * c->out * c->positions * size),
                                    .b = past(c->x.data, i * groups * c->in * c->frame.plane * size),
                                    .k = all || n < 2 || i == 0 ? c->positions : (c->images - 1) * c->positions,
                                    .a_rs = c->positions,
                                    .a_cs = 1};
    }
    return (wg__product){.dtype = c->y.dtype,
                         .m = c->out,
                         .n = k,
                         .batches = groups,
                         .c = c->w.data,
                         .c_rs = k,
                         .c_cs = 1,
                         .batch_c = c->out * k,
                         .n_segments = (int)n,
                         .segments = segments,
                         .window = window};
}

static void *image_end(const wg__conv *c)
{
    return past(c->x.data, c->x.numel * (int64_t)wg_dtype_size(c->x.dtype));
}

static void run(tables *t, const wg__product *product, int64_t task)
{
    t->product = *product;
    t->product.batch_a = t->batch_a;
    t->product.batch_b = t->batch_b;
    wg__product_get(product->dtype)->run(&t->product, task, t->rest);
}

static const wg__window unknown; /* stands for a window where only its being there counts */

int64_t wg__conv_tasks(const wg_args *args)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out)) return wg__correlation_tasks(wg__correlate(&c, NULL, NULL));
    wg__segment segment;
    wg__product p = forward_product(&c, &segment, &unknown);
    return wg__product_get(p.dtype)->tasks(&p);
}

size_t wg__conv_scratch(const wg_args *args)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out)) {
        size_t bytes;
        wg__correlate(&c, NULL, &bytes);
        return bytes;
    }
    wg__segment segment;
    wg__product p = forward_product(&c, &segment, &unknown);
    return lay_out(&(tables){0}, &c, p.batches, 1, NULL) + wg__product_get(p.dtype)->scratch(&p);
}

void wg__conv_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_of(args);
    if (wg__conv_is_wide(c.out)) {
        direct_conv(c.y.dtype, args, task);
        return;
    }
    int64_t groups = c.attr->groups, batches = c.images * groups;
    tables t;
    lay_out(&t, &c, batches, 1, args->scratch);
    wg__conv_positions(&c, t.position);
    wg__conv_places(&c, t.place);
    for (int64_t i = 0; i < batches; i++) {
        t.batch_a[i] = i % groups * c.out * c.in * c.places;
        t.batch_b[i] = i * c.in * c.frame.plane;
    }
    t.window = (wg__window){.step = t.place, .line = t.position, .end = image_end(&c)};
    wg__product p = forward_product(&c, t.segments, &t.window);
    run(&t, &p, task);
}

int64_t wg__conv_weight_tasks(const wg_args *args)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out)) return wg__weight_tasks(wg__weight_job_of(&c, NULL, NULL));
    wg__segment segments[2];
    wg__product p = weight_product(&c, segments, false, &unknown);
    return wg__product_get(p.dtype)->tasks(&p);
}

size_t wg__conv_weight_scratch(const wg_args *args)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out)) {
        size_t bytes;
        wg__weight_job_of(&c, NULL, &bytes);
        return bytes;
    }
    wg__segment segments[2];
    wg__product p = weight_product(&c, segments, false, &unknown);
    return lay_out(&(tables){0}, &c, p.batches, c.images, NULL) + wg__product_get(p.dtype)->scratch(&p);
}

void wg__conv_weight_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_weight_of(args);
    if (wg__conv_is_wide(c.out)) {
        direct_conv_weight(c.y.dtype, args, task);
        return;
    }
    int64_t groups = c.attr->groups;
    tables t;
    lay_out(&t, &c, groups, c.images, args->scratch);
    if (c.positions > 0) wg__conv_positions(&c, t.position);
    wg__conv_places(&c, t.place);
    for (int64_t i = 0; i < groups; i++) {
        t.batch_a[i] = i * c.out * c.positions;
        t.batch_b[i] = i * c.in * c.frame.plane;
    }
    t.window = (wg__window){.step = t.position, .line = t.place, .end = image_end(&c)};
    wg__product p = weight_product(&c, t.segments, true, &t.window);
    run(&t, &p, task);
}

/* ---- the image's gradient --------------------------------------------------------------------------------- */

enum { SUMS = 32768 }; /* of a block of channels: they stay in the second-level cache */

static int64_t channels_together(const wg__conv *c)
{
    return between(1, SUMS / (c->places * c->positions + 1), c->in);
}

/* Rows [first, first + channels) of w^T dy: places of these channels by positions. */
static wg__product input_product(const wg__conv *c, int64_t channels, void *sums, wg__segment *segment)
{
    *segment = (wg__segment){.a = c->w.data,
                             .b = c->y.data,
                             .k = c->out,
                             .a_rs = 1,
                             .a_cs = c->in * c->places,
                             .b_rs = c->positions,
                             .b_cs = 1};
    return (wg__product){.dtype = c->y.dtype,
                         .m = channels * c->places,
                         .n = c->positions,
                         .batches = 1,
                         .c = sums,
                         .c_rs = c->positions,
                         .c_cs = 1,
                         .n_segments = 1,
                         .segments = segment};
}

static size_t sums_bytes(const wg__conv *c)
{
    return aligned_bytes((size_t)(channels_together(c) * c->places * c->positions) * wg_dtype_size(c->y.dtype));
}

static size_t tables_bytes(const wg__conv *c)
{
    return aligned_bytes((size_t)(c->in * c->places + c->positions) * sizeof(int64_t));
}

/* What is in the image's frame is added up there, and the image taken out. */
static size_t framed_bytes(const wg__conv *c)
{
    if (c->frame.plane == c->frame.bare) return 0;
    return aligned_bytes((size_t)(c->in * c->frame.plane) * wg_dtype_size(c->y.dtype));
}

static void take_out_of_frame(const wg__conv *c, const char *framed, char *image)
{
    const wg__frame *f = &c->frame;
    int64_t size = (int64_t)wg_dtype_size(c->y.dtype), row = f->size[2] * size;
    for (int64_t n = 0; n < c->in; n++)
        for (int64_t i = 0; i < f->size[0]; i++)
            for (int64_t j = 0; j < f->size[1]; j++, image += row) {
                int64_t at = (f->low[0] + i) * f->space[0] + (f->low[1] + j) * f->space[1] + f->low[2];
                memcpy(image, framed + (n * f->plane + at) * size, (size_t)row);
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
    int64_t together = channels_together(&c), last = c.in % together;
    size_t product = 0;
    if (wg__conv_input_is_direct(&c)) {
        wg__correlate_input(&c, NULL, &product);
        return product;
    }
    for (int i = 0; i < 2; i++) {
        wg__segment segment;
        wg__product p = input_product(&c, i ? last : together, NULL, &segment);
        size_t bytes = p.m && p.n ? wg__product_get(p.dtype)->scratch(&p) : 0;
        product = bytes > product ? bytes : product;
    }
    return tables_bytes(&c) + framed_bytes(&c) + sums_bytes(&c) + product;
}

/* to[at[j]] += from[j], where the positions of a row of the window, `step` apart, lie in rows of `row`. */
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

static void add_place(const wg__conv *c, void *image, int64_t place, const int64_t *position, const void *sums)
{
    int64_t row = c->y.size[c->y.rank - 1], step = c->attr->stride[c->axes - 1];
    if (c->y.dtype == WG_F32)
        add_rows_f32((float *)image + place, position, step, sums, c->positions, row);
    else
        add_rows_f64((double *)image + place, position, step, sums, c->positions, row);
}

void wg__conv_input_kernel(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_input_of(args);
    if (wg__conv_input_is_direct(&c)) {
        direct_conv_input(c.y.dtype, args, task);
        return;
    }
    int64_t size = (int64_t)wg_dtype_size(c.y.dtype), group = task % c.attr->groups;
    int64_t together = channels_together(&c);
    int64_t *place = args->scratch, *position = place + c.in * c.places;
    char *framed = (char *)args->scratch + tables_bytes(&c), *sums = framed + framed_bytes(&c);
    char *result = (char *)c.x.data + task * c.in * c.frame.bare * size,
         *image = framed_bytes(&c) ? framed : result;
    const wg__product_kernels *kernels = wg__product_get(c.y.dtype);
    memset(image, 0, (size_t)(c.in * c.frame.plane * size));
    if (c.positions > 0) wg__conv_positions(&c, position);
    wg__conv_places(&c, place);
    c.y.data = past(c.y.data, task * c.out * c.positions * size);
    for (int64_t first = 0; first < c.in && c.positions > 0; first += together) {
        wg__conv part = c;
        wg__segment segment;
        int64_t channels = least(c.in - first, together);
        part.w.data = past(c.w.data, (group * c.out * c.in + first) * c.places * size);
        wg__product p = input_product(&part, channels, sums, &segment);
        for (int64_t t = 0, tasks = kernels->tasks(&p); t < tasks; t++) kernels->run(&p, t, sums + sums_bytes(&c));
        for (int64_t i = 0; i < channels * c.places; i++)
            add_place(&c, image, place[first * c.places + i], position, sums + i * c.positions * size);
    }
    if (image == framed) take_out_of_frame(&c, framed, result);
}

/* ---- the frame -------------------------------------------------------------------------------------------- */

/* The result's last axis is a row; a task takes some rows. */
enum { FRAME_TASK = 16384 };

static int64_t row_size(const wg_args *args) { return args->out.size[args->out.rank - 1]; }
static int64_t rows_a_task(const wg_args *args) { return 1 + FRAME_TASK / (1 + row_size(args)); }

int64_t wg__frame_tasks(const wg_args *args)
{
    int64_t row = row_size(args), each = rows_a_task(args);
    return row ? ceil_div(args->out.numel / row, each) : 1;
}

/* The row of in0 that stands in a row of the result; -1: none. */
static int64_t row_of(const wg_args *args, int64_t row)
{
    const wg__frame_attr *f = args->attr;
    int64_t from = 0, size = 1;
    for (int i = (int)f->axes - 2; i >= 0; i--) {
        int64_t n = args->in[0].size[args->in[0].rank - f->axes + i], at = row % f->size[i] - f->low[i];
        if (at < 0 || at >= n) return -1;
        from += at * size;
        size *= n;
        row /= f->size[i];
    }
    return from + row * size;
}

void wg__frame_kernel(const wg_args *args, int64_t task)
{
    const wg__frame_attr *f = args->attr;
    int64_t size = (int64_t)wg_dtype_size(args->out.dtype), n = args->in[0].size[args->in[0].rank - 1];
    int64_t row = row_size(args), each = rows_a_task(args), stop = (task + 1) * each, low = f->low[f->axes - 1];
    if (!row) return;
    if (stop > args->out.numel / row) stop = args->out.numel / row;
    for (int64_t r = task * each; r < stop; r++) {
        char *to = (char *)args->out.data + r * row * size;
        int64_t from = n ? row_of(args, r) : -1;
        if (from < 0) {
            memset(to, 0, (size_t)(row * size));
            continue;
        }
        memset(to, 0, (size_t)(low * size));
        memcpy(to + low * size, (const char *)args->in[0].data + from * n * size, (size_t)(n * size));
        memset(to + (low + n) * size, 0, (size_t)((row - low - n) * size));
    }
}
