/* Many arrays seen as one. Each function is a loop over n contiguous elements, called for each array of a range. */
#include "flat.h"

#include <string.h>

wg__range wg__common(wg__range a, wg__range b)
{
    const int64_t begin = a.begin > b.begin ? a.begin : b.begin, end = a.end < b.end ? a.end : b.end;
    return (wg__range){begin, end > begin ? end : begin};
}

wg__flat wg__flat_of(void *memory, int64_t numel, size_t size)
{
    return (wg__flat){.size = size, .numel = numel, .whole = memory};
}

size_t wg__flat_find(const wg__flat *f, int64_t at)
{
    size_t low = 0, high = f->n;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        *(f->begin[middle] <= at ? &low : &high) = middle;
    }
    return low;
}

/* A loop over n elements: of an array, and of the other side, which is contiguous, or a number. */
typedef void (*loop)(size_t size, int64_t n, void *elements, void *other, double number);

static void each(const wg__flat *f, wg__range r, loop run, void *other, double number)
{
    if (r.begin >= r.end) return;
    if (f->whole) {
        run(f->size, r.end - r.begin, f->whole + (size_t)r.begin * f->size, other, number);
        return;
    }
    for (size_t i = wg__flat_find(f, r.begin); i < f->n && f->begin[i] < r.end; i++) {
        const wg__range here = wg__common(r, (wg__range){f->begin[i], f->begin[i + 1]});
        if (here.begin == here.end) continue; /* an array without elements */
        char *at = other ? (char *)other + (size_t)(here.begin - r.begin) * f->size : NULL;
        run(f->size, here.end - here.begin, f->memory[i] + (size_t)(here.begin - f->begin[i]) * f->size, at,
            number);
    }
}

static void run_read(size_t size, int64_t n, void *elements, void *other, double number)
{
    memcpy(other, elements, (size_t)n * size);
}

static void run_write(size_t size, int64_t n, void *elements, void *other, double number)
{
    memcpy(elements, other, (size_t)n * size);
}

#define FOR_REALS(statement)                                                                                       \
    if (size == sizeof(float)) {                                                                                   \
        typedef float real;                                                                                        \
        real *x = elements;                                                                                        \
        const real *y = other;                                                                                     \
        (void)y;                                                                                                   \
        for (int64_t i = 0; i < n; i++) statement;                                                                 \
    } else {                                                                                                       \
        typedef double real;                                                                                       \
        real *x = elements;                                                                                        \
        const real *y = other;                                                                                     \
        (void)y;                                                                                                   \
        for (int64_t i = 0; i < n; i++) statement;                                                                 \
    }

static void run_add(size_t size, int64_t n, void *elements, void *other, double number) { FOR_REALS(x[i] += y[i]) }

static void run_scale(size_t size, int64_t n, void *elements, void *other, double number)
{
    FOR_REALS(x[i] = (real)((double)x[i] * number))
}

static void run_divide(size_t size, int64_t n, void *elements, void *other, double number)
{
    FOR_REALS(x[i] = (real)((double)x[i] / number))
}

void wg__flat_read(const wg__flat *f, wg__range r, void *to) { each(f, r, run_read, to, 0); }
void wg__flat_write(const wg__flat *f, wg__range r, const void *from)
{
    each(f, r, run_write, (void *)(uintptr_t)from, 0);
}
void wg__flat_add(const wg__flat *f, wg__range r, const void *from)
{
    each(f, r, run_add, (void *)(uintptr_t)from, 0);
}
void wg__flat_scale(const wg__flat *f, wg__range r, double factor) { each(f, r, run_scale, NULL, factor); }
void wg__flat_divide(const wg__flat *f, wg__range r, double divisor) { each(f, r, run_divide, NULL, divisor); }
